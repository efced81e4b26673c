//! What LiteRT computes from the same files: an opinion on every operator that is independent of this project.

use quantrack_engine::model::import;
use quantrack_engine::{Tensor, oracle};

use crate::zoo::{self, numbers};

/// Per model the number of elements of all outputs, their sum, and their sum with the weights 1, 2, … 7, 1, 2, …
/// LiteRT 2.3 with its reference kernels; every input is filled with `numbers(count, INPUT_SEED)`.
#[rustfmt::skip]
const LITERT: &[(&str, usize, f64, f64)] = &[
    ("conv same", 315, 101.2347, 414.6907),
    ("conv same strided relu", 48, 644.0595, 3151.9783),
    ("conv valid dilated relu6", 40, 51.7210, 184.1725),
    ("conv same dilated", 63, 112.9573, 445.6771),
    ("depthwise same", 150, 66.7557, 240.0896),
    ("depthwise valid strided", 12, 3.6957, -21.9966),
    ("depthwise with multiplier", 180, 65.4891, 274.3909),
    ("depthwise over one channel", 36, 2.2218, -29.6253),
    ("max pool same", 45, 65.0846, 267.2309),
    ("max pool valid relu", 24, 38.7575, 138.2433),
    ("average pool same", 45, 1.2071, 13.8146),
    ("average pool valid relu6", 24, 7.5561, 20.9256),
    ("fully connected", 12, 44.9418, 165.9089),
    ("fully connected rows", 8, 32.1002, 117.2238),
    ("fully connected keeps axes", 16, 13.9764, 56.9668),
    ("prelu", 24, 24.1872, 97.8843),
    ("prelu with one slope", 24, 12.0103, 49.7624),
    ("softmax", 10, 2.0000, 5.9996),
    ("relu", 6, 4.8575, 18.7235),
    ("relu6", 6, 4.8575, 18.7235),
    ("logistic", 6, 3.4871, 12.5488),
    ("sign", 6, 2.0000, 7.0000),
    ("add relu", 6, 3.8705, 7.2887),
    ("sub relu6", 6, 6.3086, 30.6747),
    ("mul", 6, -0.0774, -8.3143),
    ("div", 6, 1.1683, -3.8183),
    ("maximum", 6, 4.8086, 16.4247),
    ("minimum", 6, -3.9633, -21.2055),
    ("pad", 75, 0.1400, 5.2152),
    ("resize", 84, 8.5360, 29.5189),
    ("resize half pixel", 84, 7.0703, 24.1994),
    ("resize align corners", 84, 6.4690, 21.6541),
    ("reshape", 12, 0.1400, -5.3956),
    ("squeeze", 3, 1.4271, 1.7611),
    ("expand dims", 3, 1.4271, 1.7611),
    ("mean", 3, 0.2500, 0.5793),
    ("sum", 8, 2.0004, -33.0230),
    ("reduce max", 6, 10.8752, 38.8011),
    ("reduce min", 2, -3.9065, -5.8295),
    ("concatenation", 8, 4.5668, 13.5054),
    ("gather", 24, 3.5608, -10.5029),
    ("unpack", 12, 0.1400, -6.6611),
    ("slice", 8, -1.9279, -3.8590),
    ("slice backwards", 20, -1.0250, 9.9157),
    ("slice with masks", 12, 1.5735, -9.6668),
    ("folded constants", 4, 7.9201, 23.2842),
    ("padded convolution", 27, 19.7692, 94.3521),
];

/// LiteRT refuses to run a convolution whose bias is absent; its file format allows it.
const NOT_IN_LITERT: &[&str] = &["conv without bias"];

pub(crate) const INPUT_SEED: f32 = 0.15;

#[test]
fn litert_computes_the_same() {
    // Larq's operators have results of their own.
    for model in zoo::zoo().into_iter().filter(|model| !model.name.starts_with("larq")) {
        let Some((_, count, sum, weighted)) = LITERT.iter().find(|row| row.0 == model.name) else {
            assert!(NOT_IN_LITERT.contains(&model.name.as_str()), "no results for {}", model.name);
            continue;
        };
        let graph = import(&model.bytes).unwrap();
        let input = |&id: &usize| {
            let elements = numbers(graph.values[id].elements() as i32, INPUT_SEED);
            Tensor::from_shape_vec(graph.values[id].shape.as_slice(), elements).unwrap()
        };
        let inputs: Vec<Tensor> = graph.inputs.iter().map(input).collect();
        let outputs = oracle::run(&graph, &inputs).unwrap();
        let elements: Vec<f64> = outputs.iter().flatten().map(|&v| f64::from(v)).collect();
        let weights = elements.iter().enumerate().map(|(i, v)| v * (i % 7 + 1) as f64);
        let found = (elements.len(), elements.iter().sum::<f64>(), weights.sum::<f64>());
        // The table has four decimals, LiteRT's fp32 sums differ in the seventh digit.
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-4 + 1e-6 * b.abs();
        assert!(
            found.0 == *count && close(found.1, *sum) && close(found.2, *weighted),
            "{}: {found:?} instead of {:?}",
            model.name,
            (count, sum, weighted)
        );
    }
}
