//! Every operator imports, and everything that can be wrong with a file is named.

use quantrack_engine::graph::{Op, Padding, fuse};
use quantrack_engine::model::tflite::{
    Builtin, Conv2dOptions, FullyConnectedOptions, ModelWriter, Options, SoftmaxOptions, TensorId,
};
use quantrack_engine::model::{ImportError, import};
use quantrack_engine::{Tensor, oracle};

use crate::litert::INPUT_SEED;
use crate::zoo::{self, numbers};

#[test]
fn every_operator_imports_and_runs() {
    let mut nodes = 0;
    for model in zoo::zoo() {
        let graph = import(&model.bytes).unwrap_or_else(|error| panic!("{}: {error}", model.name));
        let inputs: Vec<Tensor> = graph
            .inputs
            .iter()
            .map(|&id| {
                let shape = graph.values[id].shape.as_slice();
                let count = graph.values[id].elements() as i32;
                Tensor::from_shape_vec(shape, numbers(count, INPUT_SEED)).unwrap()
            })
            .collect();
        let outputs = oracle::run(&graph, &inputs).unwrap();
        assert!(outputs.iter().flatten().all(|v| v.is_finite()), "{}", model.name);
        let fused = fuse::optimize(graph.clone());
        assert_eq!(oracle::run(&fused, &inputs).unwrap(), outputs, "{}", model.name);
        nodes += graph.nodes.len();
    }
    assert!(nodes >= Builtin::ALL.len());
}

fn model(name: &str) -> Vec<u8> {
    zoo::zoo().into_iter().find(|model| model.name == name).unwrap().bytes
}

#[test]
fn same_padding_is_resolved() {
    let graph = import(&model("conv same strided relu")).unwrap();
    let Op::Conv2d { window, .. } = graph.nodes[0].op else { panic!("{:?}", graph.nodes[0]) };
    // 7 rows at stride 2 give 4 results, which need 10 rows; 9 columns at stride 3 need no padding.
    assert_eq!(window.padding, Padding { top: 1, bottom: 2, left: 0, right: 0 });
    assert_eq!((window.kernel, window.stride), ([4, 3], [2, 3]));
}

#[test]
fn constants_are_folded_bit_for_bit() {
    let graph = import(&model("folded constants")).unwrap();
    assert_eq!(graph.nodes.len(), 2, "neither DEQUANTIZE nor RESHAPE is left");
    let constant = |id: usize| graph.values[id].constant.as_ref().unwrap().as_f32().unwrap();
    let [_, weights, bias] = graph.nodes[0].inputs[..] else { panic!("{:?}", graph.nodes[0]) };
    let halves: Vec<f32> =
        numbers(6, 0.6).into_iter().map(|v| half::f16::from_f32(v).to_f32()).collect();
    assert_eq!(constant(weights), halves);
    assert_eq!(constant(bias), [0.0, 0.0]);
    let row = graph.nodes[1].inputs[1];
    assert_eq!(
        (constant(row), graph.values[row].shape.as_slice()),
        (&[0.5, -0.5][..], &[1, 2][..])
    );
    let name = |id: usize| graph.values[id].name.as_str();
    assert_eq!(graph.inputs.iter().map(|&id| name(id)).collect::<Vec<_>>(), ["x", "unused"]);
    assert_eq!(graph.outputs.iter().map(|&id| name(id)).collect::<Vec<_>>(), ["z", "y"]);
}

#[test]
fn every_half_is_widened_exactly() {
    let halves: Vec<half::f16> =
        (0..=u16::MAX).map(half::f16::from_bits).filter(|h| h.is_finite()).collect();
    let count = halves.len() as i32;
    let mut writer = ModelWriter::default();
    let x = writer.input("x", &[count]);
    let stored = writer.halves("stored", &[count], &halves);
    let wide = writer.tensor("wide", &[count]);
    writer.op(Builtin::Dequantize, 1, &[stored], &[wide], Options::None);
    let y = writer.tensor("y", &[count]);
    writer.op(Builtin::Maximum, 1, &[x, wide], &[y], Options::None);
    let graph = import(&writer.finish(&[y])).unwrap();
    let wide = graph.values[graph.nodes[0].inputs[1]].constant.as_ref().unwrap().as_f32().unwrap();
    for (half, &wide) in halves.iter().zip(wide) {
        // By the definition of binary16: sign, exponent of bias 15, mantissa of 10 bits.
        let bits = half.to_bits();
        let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
        let magnitude = match exponent {
            0 => mantissa * 2f64.powi(-24),
            _ => (1024.0 + mantissa) * 2f64.powi(exponent - 25),
        };
        assert_eq!(f64::from(wide), if bits >> 15 == 1 { -magnitude } else { magnitude });
        assert_eq!(wide.is_sign_negative(), bits >> 15 == 1);
    }
}

#[test]
fn repeated_and_missing_names_become_unique() {
    let mut writer = ModelWriter::default();
    let x = writer.input("same", &[2]);
    let other = writer.input("same#0", &[2]);
    let y = writer.tensor("same", &[2]);
    writer.op(Builtin::Maximum, 1, &[x, other], &[y], Options::None);
    let z = writer.tensor("", &[2]);
    writer.op(Builtin::Relu, 1, &[y], &[z], Options::None);
    let graph = import(&writer.finish(&[z])).unwrap();
    let names: Vec<&str> = graph.values.iter().map(|value| value.name.as_str()).collect();
    assert_eq!(names, ["same", "same#0", "same#1", "#2"]);
}

/// A model of one operator between `x` and `y`, both `[1, 4]`, with `constants` as further operands.
fn one_op(
    builtin: Builtin,
    constants: &[(&[i32], &[f32])],
    options: impl Into<Options>,
) -> Vec<u8> {
    let mut writer = ModelWriter::default();
    let mut inputs = vec![writer.input("x", &[1, 4])];
    for (shape, values) in constants {
        inputs.push(writer.floats("constant", shape, values));
    }
    let y = writer.tensor("y", &[1, 4]);
    writer.op(builtin, 1, &inputs, &[y], options);
    writer.finish(&[y])
}

fn message(bytes: &[u8]) -> String {
    import(bytes).unwrap_err().to_string()
}

#[test]
fn all_unsupported_operators_are_named_at_once() {
    let mut writer = ModelWriter::default();
    let x = writer.input("x", &[1, 4]);
    let t: Vec<TensorId> = (0..6).map(|i| writer.tensor(&format!("t{i}"), &[1, 4])).collect();
    writer.raw_op(117, 2, &[x], &[t[0]], Options::None);
    writer.op(Builtin::Relu, 1, &[t[0]], &[t[1]], Options::None);
    writer.raw_op(32, 7, &[t[1]], &[t[2]], Options::None);
    writer.op(Builtin::Softmax, 99, &[t[2]], &[t[3]], SoftmaxOptions { beta: 1.0 });
    let relu_n1 = quantrack_engine::model::tflite::AddOptions { activation: 2 };
    writer.op(Builtin::Add, 1, &[t[3], x], &[t[4]], relu_n1);
    writer.raw_op(4000, 1, &[t[4]], &[t[5]], Options::None);
    let bytes = writer.finish(&[t[5]]);
    let Err(ImportError::Unsupported(ops)) = import(&bytes) else { panic!("{:?}", import(&bytes)) };
    let found: Vec<_> = ops.iter().map(|op| (op.index, op.name.as_str(), op.version)).collect();
    let expected = [
        (0, "HARD_SWISH", 2),
        (2, "custom custom", 7),
        (3, "SOFTMAX", 99),
        (4, "ADD", 1),
        (5, "operator code 4000", 1),
    ];
    assert_eq!(found, expected);
    let text = message(&bytes);
    assert!(
        text.contains("operator 4 (ADD version 1): the fused activation RELU_N1_TO_1"),
        "{text}"
    );
    assert!(text.starts_with("5 operators not supported"), "{text}");
}

#[test]
fn quantized_models_are_refused_with_a_reason() {
    let mut writer = ModelWriter::default();
    let x = writer.add("x", &[1, 4], 9, Vec::new());
    writer.declare_input(x);
    let y = writer.add("y", &[1, 4], 9, Vec::new());
    writer.op(Builtin::Relu, 1, &[x], &[y], Options::None);
    let text = message(&writer.finish(&[y]));
    assert!(text.contains("tensor 0 (x) is INT8; only floating-point"), "{text}");
    let mut writer = ModelWriter::default();
    let x = writer.input("x", &[1, 4]);
    let weights = writer.add("w", &[2, 4], 9, vec![1; 8]);
    let y = writer.tensor("y", &[1, 2]);
    writer.op(Builtin::FullyConnected, 1, &[x, weights], &[y], FullyConnectedOptions::default());
    let text = message(&writer.finish(&[y]));
    assert!(text.contains("tensor 1 (w) is INT8"), "{text}");
}

#[test]
fn contradictions_are_named() {
    let relu = |shape: &[i32], result: &[i32]| {
        let mut writer = ModelWriter::default();
        let x = writer.input("x", shape);
        let y = writer.tensor("y", result);
        writer.op(Builtin::Relu, 1, &[x], &[y], Options::None);
        message(&writer.finish(&[y]))
    };
    assert!(relu(&[1, 0], &[1, 0]).contains("[1, 0]"));
    assert!(relu(&[1, -1], &[1, -1]).contains("extents must be at least 1"));
    assert!(relu(&[i32::MAX; 8], &[1]).contains("at most 2^28"));
    assert!(relu(&[1; 9], &[1; 9]).contains("9 axes"));
    assert!(relu(&[1, 4], &[4, 1]).contains("results should be [[1, 4]]"));

    let none = FullyConnectedOptions::default();
    let short = one_op(Builtin::FullyConnected, &[(&[4, 4], &[0.0; 15])], none);
    assert!(message(&short).contains("needs 16 elements of 4 bytes, its buffer holds 60 bytes"));
    let bias = one_op(Builtin::FullyConnected, &[(&[4, 4], &[0.0; 16]), (&[3], &[0.0; 3])], none);
    assert!(message(&bias).contains("needs [4] elements, but tensor 2 has 3"));
    let four = one_op(Builtin::Relu, &[(&[1], &[0.0])], Options::None);
    assert!(message(&four).contains("operator 0 (RELU): has 2 operands instead of 1"));
    let other = one_op(Builtin::Softmax, &[], FullyConnectedOptions::default());
    assert!(message(&other).contains("instead of SoftmaxOptions"));
    let stride = one_op(Builtin::Conv2d, &[(&[1, 1, 1, 1], &[1.0])], Conv2dOptions::default());
    assert!(message(&stride).contains("needs a tensor of four axes"), "{}", message(&stride));
}

#[test]
fn operators_must_come_in_an_order_in_which_they_can_run() {
    let mut writer = ModelWriter::default();
    let x = writer.input("x", &[2]);
    let [a, b] = ["a", "b"].map(|name| writer.tensor(name, &[2]));
    writer.op(Builtin::Maximum, 1, &[x, b], &[a], Options::None);
    writer.op(Builtin::Relu, 1, &[a], &[b], Options::None);
    assert!(
        message(&writer.finish(&[b])).contains("reads tensor 2 (b) before anything computes it")
    );

    let mut writer = ModelWriter::default();
    let x = writer.input("x", &[2]);
    let y = writer.tensor("y", &[2]);
    writer.op(Builtin::Relu, 1, &[x], &[y], Options::None);
    writer.op(Builtin::Relu6, 1, &[x], &[y], Options::None);
    assert!(message(&writer.finish(&[y])).contains("another source"));

    let mut writer = ModelWriter::default();
    let x = writer.input("x", &[2]);
    let dangling = writer.tensor("dangling", &[2]);
    let y = writer.tensor("y", &[2]);
    writer.op(Builtin::Relu, 1, &[x], &[y], Options::None);
    assert!(message(&writer.finish(&[dangling])).contains("before anything computes it"));
    assert!(message(&writer.finish(&[])).contains("there is no output"));
    assert!(message(&writer.finish(&[TensorId::ABSENT])).contains("refers to tensor -1"));
}

#[test]
fn a_buffer_that_many_tensors_share_cannot_fill_the_memory() {
    let mut writer = ModelWriter::default();
    let x = writer.input("x", &[1]);
    let mut last = x;
    let ones = writer.floats("ones", &[1 << 10], &[1.0; 1 << 10]);
    let shape = writer.integers("shape", &[1], &[1 << 10]);
    // Each reshape of a constant makes a copy: 4 KiB of memory for some 150 bytes of file.
    for index in 0..10_000 {
        let copy = writer.tensor("copy", &[1 << 10]);
        writer.op(Builtin::Reshape, 1, &[ones, shape], &[copy], Options::None);
        last = if index == 9_999 { copy } else { last };
    }
    let text = message(&writer.finish(&[last]));
    assert!(text.contains("far more constants than the file is long"), "{text}");
}

#[test]
fn other_files_are_told_apart() {
    assert_eq!(import(b"").unwrap_err(), ImportError::UnknownFormat);
    assert_eq!(import(b"\x08\x00\x00\x00ONNX").unwrap_err(), ImportError::UnknownFormat);
    assert!(matches!(import(b"\x08\x00\x00\x00TFL3"), Err(ImportError::Corrupt(_))));
    let text = message(b"\xff\xff\xff\x7fTFL3\0\0\0\0");
    assert!(text.starts_with("the file is corrupt or truncated") && !text.contains('\n'), "{text}");
}
