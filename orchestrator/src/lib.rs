//! The host side.

pub mod search;
