//! The device service.
//!
//! * [`board`] reads who the board is and what it is doing, from `/proc` and `/sys` under a root that tests replace.
//! * [`blobs`] keeps uploaded variants by their digest; [`lease`] gives the board to one client at a time.
//! * [`governor`] has the clock held at its highest while something is measured.
//! * [`worker`] runs models in a process of its own with limits, so that no model can end the agent.
//! * [`metrics`] counts what it did, for Prometheus.
//! * [`measure`] decides what to sample, when to stop, and which samples do not count.
//! * [`mod@bench`] times layers and models on this machine, for people.
//! * [`frames`] reads images and camera frames, on which [`pipeline`] reports what a bundle found and how long it took.
//! * [`security`] lets in those whose certificates the rack's authority has signed.
//! * [`service`] is the gRPC side, and the only place that knows wire types; [`commands`] is the command line.

pub mod bench;
pub mod blobs;
pub mod board;
pub mod commands;
pub mod frames;
pub mod governor;
pub mod lease;
pub mod measure;
pub mod metrics;
pub mod pipeline;
pub mod security;
pub mod service;
pub mod worker;
