//! Damaged files of variants, as an agent gets them: any answer is right but a panic, a hang or a graph that breaks a rule.
//! What comes out all the same survives its own file, and is planned (or refused) and run.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use quantrack_engine::graph::{Graph, Op};
use quantrack_engine::kernels::CpuFeatures;
use quantrack_engine::model::import;
use quantrack_engine::plan::{Plan, Session};
use quantrack_engine::quantize::{Calibrator, default_recipe, quantize};
use quantrack_engine::{Level, Serial, Tensor, Variant};

use crate::zoo;

/// Graphs that take more than this many multiply-accumulates, elements or window positions are not run.
const MAX_WORK: u64 = 1 << 16;

/// Files at every level, of some models with every kind of constant.
static FILES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let models = zoo::zoo().into_iter().step_by(5);
    models.flat_map(|model| variants(&import(&model.bytes).unwrap())).collect()
});

fn variants(graph: &Graph) -> Vec<Vec<u8>> {
    let wave = |&id: &usize| {
        let mut count = 0.0;
        Tensor::from_shape_simple_fn(graph.values[id].shape.as_slice(), || {
            count += 1.0;
            f32::sin(count)
        })
    };
    let inputs: Vec<Tensor> = graph.inputs.iter().map(wave).collect();
    let mut calibrator = Calibrator::new(graph, &CpuFeatures::portable()).unwrap();
    calibrator.observe(&inputs, &Serial).unwrap();
    let calibration = calibrator.finish().unwrap();
    let at = |level| quantize(graph, level, &default_recipe(level), Some(&calibration)).ok();
    Level::ALL.into_iter().filter_map(at).map(|variant| variant.to_bytes()).collect()
}

fn survives(bytes: &[u8]) {
    let Ok(variant) = Variant::from_bytes(bytes) else { return };
    variant.graph.validate().unwrap();
    let again = Variant::from_bytes(&variant.to_bytes()).unwrap();
    assert_eq!(again.graph.nodes, variant.graph.nodes);
    if work(&variant.graph) > MAX_WORK {
        return;
    }
    let Ok(plan) = Plan::new(&variant, &CpuFeatures::detect()) else { return };
    let ones: Vec<Tensor> =
        plan.inputs().iter().map(|port| Tensor::ones(port.shape.as_slice())).collect();
    Session::new(Arc::new(plan)).run(&ones, &Serial).unwrap();
}

/// Roughly what running the graph costs.
fn work(graph: &Graph) -> u64 {
    let elements: u64 = graph.values.iter().map(|value| value.elements() as u64).sum();
    let windows = graph.nodes.iter().map(|node| match node.op {
        Op::Conv2d { window, .. }
        | Op::DepthwiseConv2d { window, .. }
        | Op::MaxPool2d { window, .. }
        | Op::AveragePool2d { window, .. } => {
            let taps = window.kernel.map(|extent| extent as u64);
            let results = graph.values[node.outputs[0]].elements() as u64;
            results.saturating_mul(taps[0]).saturating_mul(taps[1])
        }
        _ => 0,
    });
    graph.macs().saturating_add(elements).saturating_add(windows.fold(0, u64::saturating_add))
}

#[test]
fn every_truncation_and_every_byte_replaced() {
    for bytes in FILES.iter().step_by(13) {
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
