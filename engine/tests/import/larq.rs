//! Larq Compute Engine's operators: against its own interpreter, against loops over the definition, and damaged.

use proptest::prelude::*;
use quantrack_engine::graph::{Encoding, Graph};
use quantrack_engine::kernels::CpuFeatures;
use quantrack_engine::model::import;
use quantrack_engine::model::tflite::{LarqOp, ModelWriter, TensorId};
use quantrack_engine::plan::{Plan, Session};
use quantrack_engine::quantize::{Recipe, quantize};
use quantrack_engine::{Level, Serial, Tensor, Variant, oracle};

use crate::zoo::larq::{self, Layer, Net};
use crate::zoo::{RELU, RELU6, SAME, VALID, numbers};

/// Per model the number of elements of the output, their sum, and their sum with the weights 1, 2, … 7, 1, 2, …
/// larq-compute-engine 0.16.0 from PyPI; the input is filled with `numbers(count, 0.15)`.
#[rustfmt::skip]
const LARQ: &[(&str, usize, f64, f64)] = &[
    ("larq one", 150, -1111.6589, -4301.1941),
    ("larq zero", 270, -620.6420, -1021.9258),
    ("larq valid", 64, -622.5770, -2362.3849),
    ("larq strided relu", 198, -1036.7094, -8765.8557),
    ("larq dilated relu6", 180, 233.6431, 1004.5961),
    ("larq pointwise", 1980, -62.9357, 5232.9154),
    ("larq single channel", 90, 20.9000, 155.6317),
    ("larq signs", 2100, 2.0, 10.0),
    ("larq max pool same", 408, 212.0, 857.0),
    ("larq max pool valid", 24, 16.0, 60.0),
    ("larq pooled", 54, 117.7426, 1327.8705),
    ("larq padded layers", 54, 106.4445, 538.3222),
    ("larq layers", 30, 195.3152, 710.8957),
];

fn input(graph: &Graph) -> Tensor {
    let shape = graph.values[graph.inputs[0]].shape.as_slice();
    let count = shape.iter().product::<usize>() as i32;
    Tensor::from_shape_vec(shape, numbers(count, 0.15)).unwrap()
}

/// What the imported graph computes, and its variant of one bit on every instruction set, which has to be the same.
fn run(bytes: &[u8]) -> Vec<f32> {
    let graph = import(bytes).unwrap();
    let x = input(&graph);
    let expected = oracle::run(&graph, std::slice::from_ref(&x)).unwrap();
    let variant = quantize(&graph, Level::Bin1, &Recipe::Imported, None).unwrap();
    let variant = Variant::from_bytes(&variant.to_bytes()).unwrap();
    for cpu in CpuFeatures::detect_assuming_neon().prefixes() {
        let plan = Plan::new(&variant, &cpu).unwrap();
        for step in plan.steps().iter().filter(|step| step.op == "conv_2d") {
            // Pointwise layers of few channels look their sums up in tables.
            let binary = ["bin_gemm", "bin_table"].iter().any(|name| step.kernel.starts_with(name));
            assert!(binary && step.level == Level::Bin1, "{step:?}");
        }
        let found =
            Session::new(std::sync::Arc::new(plan)).run(std::slice::from_ref(&x), &Serial).unwrap();
        assert_eq!(found, expected, "{cpu:?}");
    }
    expected[0].iter().copied().collect()
}

#[test]
fn larq_compute_engine_computes_the_same() {
    let models = larq::zoo();
    assert_eq!(models.len(), LARQ.len());
    for (model, (name, count, sum, weighted)) in models.iter().zip(LARQ) {
        let elements: Vec<f64> = run(&model.bytes).iter().map(|&y| f64::from(y)).collect();
        let weights = elements.iter().enumerate().map(|(i, v)| v * (i % 7 + 1) as f64);
        let found = (elements.len(), elements.iter().sum::<f64>(), weights.sum::<f64>());
        // Larq rounds to fp32 at the magnitude of all products together: a thousand of them here.
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-4 * *count as f64;
        assert!(
            model.name == *name
                && found.0 == *count
                && close(found.1, *sum)
                && close(found.2, *weighted),
            "{}: {found:?} instead of {:?}",
            model.name,
            (count, sum, weighted)
        );
    }
}

#[test]
fn signs_between_layers_stay_bits() {
    let model = larq::zoo().into_iter().find(|model| model.name == "larq padded layers").unwrap();
    let graph = import(&model.bytes).unwrap();
    let variant = quantize(&graph, Level::Bin1, &Recipe::Imported, None).unwrap();
    let steps: Vec<(&str, Encoding)> = variant
        .graph
        .nodes
        .iter()
        .map(|node| (node.op.name(), variant.graph.values[node.outputs[0]].encoding))
        .collect();
    let bits = Encoding::Bits;
    // Half a product is a step of the sums whose sign is taken.
    let sums = Encoding::Int8 { scale: 0.5, zero_point: 0 };
    let first = [("convert", bits), ("pad", bits), ("conv_2d", sums), ("convert", bits)];
    let second = [("max_pool_2d", bits), ("pad", bits), ("conv_2d", Encoding::F32)];
    assert_eq!(steps, [&first[..], &second[..]].concat());
    assert!(variant.exemptions.is_empty(), "{:?}", variant.exemptions);
}

/// The sums of products of every pixel and channel of the result, by the definition.
fn sums(layer: &Layer) -> Vec<i32> {
    let [h, w, channels] = layer.input;
    let [_, out_h, out_w, out_channels] = layer.output();
    let x: Vec<i32> = numbers(h * w * channels, 0.15).iter().map(|&x| sign(x)).collect();
    let weights: Vec<i32> = layer.weights().iter().map(|&w| w as i32).collect();
    let before = |axis: usize, out: i32| {
        let covered = (layer.kernel[axis] - 1) * layer.dilation[axis] + 1;
        let total = ((out - 1) * layer.stride[axis] + covered - layer.input[axis]).max(0);
        if layer.padding == VALID { 0 } else { total / 2 }
    };
    let (top, left) = (before(0, out_h), before(1, out_w));
    let mut sums = Vec::new();
    for (oy, ox, oc) in triples(out_h, out_w, out_channels) {
        let mut sum = 0;
        for (ky, kx, c) in triples(layer.kernel[0], layer.kernel[1], channels) {
            let y = oy * layer.stride[0] + ky * layer.dilation[0] - top;
            let column = ox * layer.stride[1] + kx * layer.dilation[1] - left;
            let inside = (0..h).contains(&y) && (0..w).contains(&column);
            let pixel = if inside {
                x[((y * w + column) * channels + c) as usize]
            } else {
                layer.pad_values
            };
            let [kh, kw] = layer.kernel;
            sum += pixel * weights[(((oc * kh + ky) * kw + kx) * channels + c) as usize];
        }
        sums.push(sum);
    }
    sums
}

/// All triples below the extents, the last one fastest.
fn triples(a: i32, b: i32, c: i32) -> impl Iterator<Item = (i32, i32, i32)> {
    (0..a).flat_map(move |i| (0..b).flat_map(move |j| (0..c).map(move |k| (i, j, k))))
}

fn sign(x: f32) -> i32 {
    if x < 0.0 { -1 } else { 1 }
}

fn layers() -> impl Strategy<Value = Layer> {
    let sizes = (1..9_i32, 1..9_i32, 1..71_i32, 1..71_i32);
    let window = ([1..4_i32, 1..4_i32], [1..4_i32, 1..4_i32], [1..3_i32, 1..3_i32]);
    let rest = (prop::sample::select(vec![SAME, VALID]), 0..2_i32);
    let activation = prop::sample::select(vec![0, RELU, RELU6]);
    (sizes, window, rest, activation).prop_filter_map(
        "a window beyond the input",
        |((h, w, ci, co), (kernel, stride, dilation), (padding, pad_values), activation)| {
            let input = [h, w, ci];
            let layer = Layer {
                input,
                kernel,
                stride,
                dilation,
                padding,
                pad_values,
                activation,
                ..Layer::new(ci, co)
            };
            let fits = |axis: usize| (kernel[axis] - 1) * dilation[axis] < input[axis];
            (padding == SAME || (fits(0) && fits(1))).then_some(layer)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn convolutions_to_numbers_are_those_of_the_definition(layer in layers()) {
        let [factors, offsets] = layer.affine();
        let activate = |sum: i32| match layer.activation {
            RELU => sum.max(0),
            RELU6 => sum.clamp(0, 6),
            _ => sum,
        };
        let channels = layer.out_channels as usize;
        let expected = sums(&layer).into_iter().enumerate().map(|(index, sum)| {
            activate(sum) as f32 * factors[index % channels] + offsets[index % channels]
        });
        prop_assert_eq!(run(&Net::new(layer.input).numbers(&layer)), expected.collect::<Vec<_>>());
    }

    #[test]
    fn convolutions_to_signs_are_those_of_the_definition(layer in layers()) {
        let layer = Layer { pad_values: 1, activation: 0, ..layer };
        let products = layer.kernel[0] * layer.kernel[1] * layer.input[2];
        let thresholds = layer.thresholds();
        let expected = sums(&layer).into_iter().enumerate().map(|(index, sum)| {
            let negative = (products - sum) / 2;
            if negative > thresholds[index % thresholds.len()] { -1.0 } else { 1.0 }
        });
        let expected: Vec<f32> = expected.collect();
        prop_assert_eq!(run(&Net::new(layer.input).thresholded(&layer).dequantize()), expected);
    }
}

/// What the importer says about a 3 by 3 convolution of signs in which `change` has changed something.
fn refused(change: impl FnOnce(&mut Parts)) -> String {
    let layer = Layer::new(33, 5);
    let mut writer = ModelWriter::default();
    let x = writer.input("x", &[1, 5, 6, 33]);
    let signs = writer.add("signs", &[1, 5, 6, 2], 2, Vec::new());
    let weights = writer.integers("weights", &[5, 3, 3, 2], &[0; 90]);
    let factors = writer.floats("factors", &[5], &[1.0; 5]);
    let y = writer.tensor("y", &[1, 5, 6, 5]);
    let operands = [signs, weights, factors, factors, TensorId::ABSENT];
    let mut parts = Parts { writer, operands, y, signs, options: layer.options() };
    change(&mut parts);
    let Parts { mut writer, operands, y, signs, options } = parts;
    writer.larq_op(LarqOp::Quantize, &[x], &[signs], &[]);
    writer.larq_op(LarqOp::BConv2d, &operands, &[y], &options);
    import(&writer.finish(&[y])).unwrap_err().to_string()
}

struct Parts {
    writer: ModelWriter,
    operands: [TensorId; 5],
    y: TensorId,
    signs: TensorId,
    options: Vec<(&'static str, i32)>,
}

impl Parts {
    fn set(&mut self, key: &str, value: i32) {
        self.options.iter_mut().filter(|entry| entry.0 == key).for_each(|entry| entry.1 = value);
    }
}

#[test]
fn what_does_not_fit_is_refused_with_its_reason() {
    let check = |message: String, wanted: &str| assert!(message.contains(wanted), "{message}");
    check(refused(|p| p.set("channels_in", 34)), "channels_in");
    check(refused(|p| p.set("pad_values", 2)), "pads with 2");
    check(refused(|p| p.set("padding", 7)), "unknown padding 7");
    check(refused(|p| p.set("padding", 1 << 20)), "as its padding");
    check(refused(|p| p.set("stride_width", 0)), "stride");
    check(refused(|p| p.set("fused_activation_function", 4)), "TANH");
    check(refused(|p| p.options.retain(|entry| entry.0 != "stride_height")), "stride_height");
    check(refused(|p| p.operands[4] = p.operands[2]), "factors and thresholds");
    check(refused(|p| p.operands[2] = TensorId::ABSENT), "refers to tensor -1");
    check(refused(|p| p.operands[0] = p.operands[2]), "are no signs");
    check(refused(|p| p.y = p.writer.add("y", &[1, 5, 6, 5], 9, Vec::new())), "INT8");
    check(refused(|p| p.y = p.writer.tensor("y", &[1, 5, 6, 4])), "should be");
    check(refused(|p| p.signs = p.writer.add("s", &[1, 5, 6, 3], 2, Vec::new())), "for the signs");
    check(refused(|p| p.signs = p.writer.tensor("s", &[1, 5, 6, 2])), "FLOAT32");
    let weights = |shape: &'static [i32], count: usize| {
        move |p: &mut Parts| p.operands[1] = p.writer.integers("w", shape, &vec![0; count])
    };
    check(refused(weights(&[5, 3, 3, 1], 45)), "groups");
    check(refused(weights(&[5, 3, 3, 3], 135)), "for the signs");
    check(refused(weights(&[5, 3, 6], 90)), "four axes");
    check(refused(weights(&[4, 3, 3, 2], 72)), "needs [4] elements");
}

#[test]
fn signs_stay_among_larqs_operators() {
    let mut writer = ModelWriter::default();
    let x = writer.input("x", &[1, 4]);
    let signs = writer.add("signs", &[1, 1], 2, Vec::new());
    writer.larq_op(LarqOp::Quantize, &[x], &[signs], &[]);
    let message = import(&writer.finish(&[signs])).unwrap_err().to_string();
    assert!(message.contains("packed signs"), "{message}");
    let y = writer.tensor("y", &[1, 4]);
    writer.custom_op("LceDequantise", &[signs], &[y], Vec::new());
    let message = import(&writer.finish(&[y])).unwrap_err().to_string();
    assert!(message.contains("custom LceDequantise"), "{message}");
}

#[test]
fn zero_padding_before_thresholds_is_refused() {
    let layer = Layer { pad_values: 0, ..Layer::new(33, 5) };
    let bytes = Net::new(layer.input).thresholded(&layer).dequantize();
    let message = import(&bytes).unwrap_err().to_string();
    assert!(message.contains("padding of zeros"), "{message}");
}
