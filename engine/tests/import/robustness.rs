//! Damaged files: any answer is right but a panic, a hang or an invalid graph.

use proptest::prelude::*;
use quantrack_engine::model::import;

use crate::{support, zoo};

/// Imports; a graph that comes out of a damaged file must be sound all the same.
fn survives(bytes: &[u8]) {
    if let Ok(graph) = import(bytes) {
        graph.validate().unwrap();
        let optimized = quantrack_engine::graph::fuse::optimize(graph);
        optimized.validate().unwrap();
        assert!(optimized.macs() < u64::MAX && optimized.parameters() < usize::MAX);
    }
}

#[test]
fn every_truncation_of_a_small_model() {
    for model in zoo::zoo() {
        for length in 0..model.bytes.len() {
            survives(&model.bytes[..length]);
        }
    }
}

#[test]
fn every_byte_of_a_small_model_replaced() {
    for model in zoo::zoo() {
        let mut bytes = model.bytes;
        for index in 0..bytes.len() {
            let original = bytes[index];
            for replacement in [0, 1, 0x7f, 0x80, 0xff, original ^ 4] {
                bytes[index] = replacement;
                survives(&bytes);
            }
            bytes[index] = original;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn several_bytes_of_a_small_model_replaced(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let zoo = zoo::zoo();
        let mut bytes = zoo[which.index(zoo.len())].bytes.clone();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        survives(&bytes);
    }

    #[test]
    fn arbitrary_bytes_behind_the_identifier(tail in prop::collection::vec(any::<u8>(), 0..256)) {
        let bytes = [b"\x10\0\0\0TFL3".as_slice(), &tail].concat();
        survives(&bytes);
    }
}

#[test]
fn damaged_real_models() {
    let Some(folder) = support::data() else { return };
    for name in ["palm_detection_lite", "gesture_embedder", "canned_gesture_classifier"] {
        let original = std::fs::read(folder.join(format!("models/{name}.tflite"))).unwrap();
        let length = original.len();
        for part in 0..40 {
            survives(&original[..length * part / 40]);
        }
        // A fixed sequence (Knuth's multiplicative hash) over places; the tables lie at the file's ends.
        let mut bytes = original.clone();
        for step in 0..120_u64 {
            let hash = step.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            let offset = hash as usize % (length / 4).min(20_000);
            let place = if step % 2 == 0 { offset } else { length - 1 - offset };
            bytes[place] = (hash >> 32) as u8;
            survives(&bytes);
            bytes[place] = original[place];
        }
    }
}
