//! The commands: one module each, with `Args` and `run`.

pub mod authority;
pub mod baseline;
pub mod certificate;
pub mod check;
pub mod compare;
pub mod confirm;
pub mod demo;
pub mod device;
pub mod doctor;
pub mod enroll;
pub mod evaluate;
pub mod explain;
pub mod export;
pub mod gate;
pub mod history;
pub mod manual;
pub mod model;
mod nightly;
pub mod profile;
pub mod report;
pub mod search;
pub mod table;
pub mod tune;
pub mod verify;
