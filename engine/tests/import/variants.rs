//! Damaged files of variants, as an agent gets them: any answer is right but a panic, a hang or a graph that breaks a rule.
//! What comes out all the same survives its own file, and is planned (or refused) and run.

use std::sync::LazyLock;

use proptest::prelude::*;
use quantrack_engine::Variant;
use quantrack_engine::graph::Encoding;
use quantrack_engine::model::import;

use crate::variant_files::{convolutions, files};
use crate::variant_survives::survives;
use crate::zoo;

/// Files at every level, of some models with every kind of constant.
static FILES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let models = zoo::zoo().into_iter().step_by(5);
    let graphs = models.map(|model| import(&model.bytes).unwrap()).chain([convolutions()]);
    graphs.flat_map(|graph| files(&graph)).map(|(_, file)| file).collect()
});

#[test]
fn the_files_have_every_kind_of_weights() {
    let variants = FILES.iter().map(|bytes| Variant::from_bytes(bytes).unwrap());
    let values = variants.flat_map(|variant| variant.graph.values);
    let encodings: Vec<Encoding> =
        values.filter(|value| value.constant.is_some()).map(|value| value.encoding).collect();
    let has = |kind: fn(&Encoding) -> bool| encodings.iter().any(kind);
    assert!(has(|encoding| *encoding == Encoding::Int4));
    assert!(has(|encoding| matches!(encoding, Encoding::Int4Groups { .. })));
    assert!(has(|encoding| *encoding == Encoding::Ternary));
}

#[test]
fn every_truncation_and_every_byte_replaced() {
    // The last one has groups of weights.
    for bytes in FILES.iter().step_by(13).chain(FILES.last()) {
        for length in 0..bytes.len() {
            survives(&bytes[..length]);
        }
        let mut bytes = bytes.clone();
        for index in 0..bytes.len() {
            let original = bytes[index];
            for replacement in [0, b'9', 0xff, original ^ 1] {
                bytes[index] = replacement;
                survives(&bytes);
            }
            bytes[index] = original;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn several_bytes_replaced(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = FILES[which.index(FILES.len())].clone();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        survives(&bytes);
    }

    /// Numbers of the graph's description (extents, ids, indices, windows) replaced by others.
    #[test]
    fn numbers_replaced(
        which in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        number in prop_oneof![Just(0_u64), 1..9_u64, Just(1 << 28), any::<u64>()],
    ) {
        let bytes = &FILES[which.index(FILES.len())];
        let (length, text) = bytes.split_at(8);
        let header = u64::from_le_bytes(length.try_into().unwrap()) as usize;
        let (text, data) = text.split_at(header);
        let digits: Vec<usize> = (1..text.len())
            .filter(|&i| text[i].is_ascii_digit() && !text[i - 1].is_ascii_digit())
            .collect();
        let at = digits[place.index(digits.len())];
        let end = at + text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = number.to_string();
        let mut changed = [&text[..at], number.as_bytes(), &text[end..]].concat();
        // The header stays a multiple of 8 long, as the format wants it.
        changed.resize(changed.len().next_multiple_of(8), b' ');
        let length = (changed.len() as u64).to_le_bytes();
        survives(&[&length[..], &changed, data].concat());
    }

    #[test]
    fn arbitrary_bytes(tail in prop::collection::vec(any::<u8>(), 0..256)) {
        survives(&tail);
    }
}
