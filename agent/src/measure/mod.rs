//! Deciding what to sample, when to stop, and which samples do not count.

mod cooling;
mod foreign;
mod interval;
mod sampling;
mod validity;

pub use cooling::{CoolTo, Cooling};
pub use foreign::{CpuTimes, ForeignLoad, MAX_LOAD};
pub use interval::{MedianInterval, median_interval};
pub use sampling::{Sampling, Settings};
pub use validity::{foreign_reason, void_reason};
