//! Deciding what to sample, when to stop, and which samples do not count.

mod interval;
mod sampling;
mod validity;

pub use interval::{MedianInterval, median_interval};
pub use sampling::{Sampling, Settings};
pub use validity::void_reason;
