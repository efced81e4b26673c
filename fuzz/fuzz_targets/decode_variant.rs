//! Any bytes as a variant's file, which an agent takes from whoever holds its lease: decoding must not panic, hang or fill
//! the memory; what comes out is valid, survives its own file, and is planned (or refused) and run.
#![no_main]

#[path = "../../engine/tests/import/variant_survives.rs"]
mod variant_survives;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| variant_survives::survives(bytes));
