//! The host side: from a pipeline file to a verified assignment of levels.

pub mod exit;
pub mod report;
pub mod search;
pub mod spec;
