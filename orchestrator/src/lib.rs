//! The host side.

pub mod report;
pub mod search;
