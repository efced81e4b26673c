//! Importing models that the tests make themselves, and damaged ones.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod larq;
mod litert;
mod onnx;
mod operators;
mod robustness;
#[path = "../support/mod.rs"]
mod support;
mod variant_files;
mod variant_survives;
mod variants;
mod zoo;
mod zoo_onnx;
