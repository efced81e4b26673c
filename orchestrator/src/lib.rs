//! The host side: from a pipeline file to a verified assignment of levels.

pub mod assignment;
pub mod certificate;
pub mod cli;
pub mod commands;
pub mod context;
pub mod dataset;
pub mod device;
pub mod digest;
pub mod evaluate;
pub mod exit;
pub mod explain;
pub mod gate;
pub mod latency_table;
pub mod measurement;
pub mod metric;
pub mod nightly;
pub mod output;
pub mod profile;
pub mod rack;
pub mod report;
pub mod search;
pub mod spec;
pub mod stats;
pub mod store;
pub mod variants;
pub mod verification;
