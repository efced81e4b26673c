//! The commands: one module each, with `Args` and `run`.

pub mod device;
pub mod model;
pub mod table;
