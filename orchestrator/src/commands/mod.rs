//! The commands: one module each, with `Args` and `run`.

pub mod authority;
pub mod baseline;
pub mod bisect;
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
mod nightly_accuracy;
pub mod profile;
mod rack;
pub mod report;
pub mod search;
pub mod table;
pub mod tune;
pub mod verify;
