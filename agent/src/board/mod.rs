//! Who the board is and what it is doing.
//!
//! Everything is read below a [`Root`], so a directory of small files can imitate any board. What cannot be read is
//! absent: unknown is never taken for fine.

mod conditions;
mod cpu;
mod dmi;
mod facts;
mod features;
mod root;
mod throttle;
mod tool;

pub use conditions::Conditions;
pub use cpu::{Cpu, parse_cpuinfo};
pub use facts::BoardFacts;
pub use features::{detect as detect_features, isa_name};
pub use root::Root;
pub use throttle::{ThrottleBits, Throttled};
