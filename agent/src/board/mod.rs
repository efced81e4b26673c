//! Who the board is and what it is doing.
//!
//! Everything is read below a [`Root`], so a directory of small files can imitate any board. What cannot be read is
//! absent: unknown is never taken for fine.

mod conditions;
mod cores;
mod cpu;
mod cpu_time;
mod dmi;
mod facts;
mod features;
mod power;
mod root;
mod throttle;
mod tool;

pub use conditions::{Conditions, temperature};
pub use cores::quiet_cores;
pub use cpu::{Cpu, parse_cpuinfo};
pub use cpu_time::cpu_time;
pub use facts::BoardFacts;
pub(crate) use facts::meminfo;
pub use features::{detect as detect_features, isa_name};
pub use power::Power;
pub use root::Root;
pub use throttle::{ThrottleBits, Throttled};
