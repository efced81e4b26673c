//! ONNX models that the tests make themselves: order of the axes, merged normalization, open axes, constants in files of
//! their own, refusals, and damaged files.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use prost::Message;
use quantrack_engine::graph::Graph;
use quantrack_engine::kernels::CpuFeatures;
use quantrack_engine::model::onnx::schema::{
    AttributeProto, Dimension, Extent, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto,
};
use quantrack_engine::model::{Dimensions, ImportError, import, import_with};
use quantrack_engine::plan::{Plan, Session};
use quantrack_engine::quantize::{Recipe, default_recipe, quantize};
use quantrack_engine::{Level, Serial, Tensor, oracle};

use crate::zoo_onnx;

const FLOAT: i32 = 1;

fn extent(value: Extent) -> Dimension {
    Dimension { value: Some(value) }
}

fn value(name: &str, shape: Vec<Dimension>) -> ValueInfoProto {
    let shape = Some(TensorShapeProto { dim: shape });
    let tensor_type = Some(TensorTypeProto { elem_type: FLOAT, shape });
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }) }
}

fn fixed(name: &str, shape: &[i64]) -> ValueInfoProto {
    value(name, shape.iter().map(|&n| extent(Extent::DimValue(n))).collect())
}

fn floats(name: &str, dims: &[i64], elements: impl IntoIterator<Item = f32>) -> TensorProto {
    let float_data = elements.into_iter().collect();
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: FLOAT,
        float_data,
        ..Default::default()
    }
}

fn ints(name: &str, all: &[i64]) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: 7, ints: all.to_vec(), ..Default::default() }
}

fn node(op: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        input: inputs.iter().map(|&name| name.into()).collect(),
        output: vec![output.into()],
        op_type: op.into(),
        attribute,
        ..Default::default()
    }
}

fn model(
    node: Vec<NodeProto>,
    initializer: Vec<TensorProto>,
    input: ValueInfoProto,
    output: &str,
) -> ModelProto {
    let (input, output) = (vec![input], vec![fixed(output, &[])]);
    let graph = GraphProto { node, name: "g".into(), initializer, input, output };
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 13 }];
    ModelProto { ir_version: 8, opset_import, graph: Some(graph) }
}

/// x [1, 2, 4, 3] → convolution 3x3 to 3 channels → normalization → ReLU → pooling 2x1 → flat → product by [9, 2].
fn network() -> ModelProto {
    let wave = |i: usize| ((i * 37 % 19) as f32 - 9.0) / 7.0;
    let nodes = vec![
        node("Conv", &["x", "w", "b"], "c", vec![ints("pads", &[1, 1, 1, 1])]),
        node("BatchNormalization", &["c", "scale", "shift", "mean", "variance"], "n", vec![]),
        node("Relu", &["n"], "r", vec![]),
        node("MaxPool", &["r"], "p", vec![ints("kernel_shape", &[2, 1]), ints("strides", &[2, 1])]),
        node("Flatten", &["p"], "f", vec![]),
        node("MatMul", &["f", "m"], "y", vec![]),
    ];
    let constants = vec![
        floats("w", &[3, 2, 3, 3], (0..54).map(wave)),
        floats("b", &[3], [0.5, -0.25, 1.0]),
        floats("scale", &[3], [1.5, 0.5, 2.0]),
        floats("shift", &[3], [0.1, 0.2, -0.3]),
        floats("mean", &[3], [0.3, -0.4, 0.2]),
        floats("variance", &[3], [0.9, 1.7, 0.4]),
        floats("m", &[18, 2], (0..36).map(|i| wave(i + 5))),
    ];
    model(nodes, constants, fixed("x", &[1, 2, 4, 3]), "y")
}

/// The same network in plain loops over the file's own order.
fn naive(x: &Tensor) -> Vec<f32> {
    let graph = network().graph.unwrap();
    let constants: BTreeMap<String, Vec<f32>> =
        graph.initializer.into_iter().map(|tensor| (tensor.name, tensor.float_data)).collect();
    let mut c = Tensor::zeros(vec![1, 3, 4, 3]);
    for ((_, co, y, x_at), result) in (0..3)
        .flat_map(|co| (0..4).flat_map(move |y| (0..3).map(move |x| (0, co, y, x))))
        .map(|at| (at, 0.0))
    {
        let mut sum: f32 = result + constants["b"][co];
        for (ci, ky, kx) in
            (0..2).flat_map(|ci| (0..3).flat_map(move |ky| (0..3).map(move |kx| (ci, ky, kx))))
        {
            let (row, column) = (y + ky, x_at + kx);
            if (1..5).contains(&row) && (1..4).contains(&column) {
                let weight = constants["w"][((co * 2 + ci) * 3 + ky) * 3 + kx];
                sum += weight * x[[0, ci, row - 1, column - 1]];
            }
        }
        let spread = (constants["variance"][co] + 1e-5).sqrt();
        let normal = (sum - constants["mean"][co]) / spread;
        c[[0, co, y, x_at]] = (normal * constants["scale"][co] + constants["shift"][co]).max(0.0);
    }
    let mut flat = Vec::new();
    for co in 0..3 {
        for y in 0..2 {
            flat.extend((0..3).map(|x| c[[0, co, 2 * y, x]].max(c[[0, co, 2 * y + 1, x]])));
        }
    }
    (0..2)
        .map(|j| flat.iter().enumerate().map(|(i, v)| v * constants["m"][2 * i + j]).sum())
        .collect()
}

fn run(graph: &Graph, input: &Tensor) -> Vec<f32> {
    let outputs = oracle::run(graph, std::slice::from_ref(input)).unwrap();
    outputs[0].iter().copied().collect()
}

fn sample() -> Tensor {
    let elements = (0..24).map(|i| ((i * 31 % 23) as f32 - 11.0) / 5.0).collect();
    Tensor::from_shape_vec(vec![1, 2, 4, 3], elements).unwrap()
}

#[test]
fn channels_come_out_in_the_order_of_the_file() {
    let graph = import(&network().encode_to_vec()).unwrap();
    assert_eq!(graph.values[graph.inputs[0]].shape, [1, 2, 4, 3]);
    let (got, wanted) = (run(&graph, &sample()), naive(&sample()));
    for (a, b) in got.iter().zip(&wanted) {
        assert!((a - b).abs() < 1e-4 * b.abs().max(1.0), "{got:?}, not {wanted:?}");
    }
    let names: Vec<&str> = graph.nodes.iter().map(|node| node.op.name()).collect();
    assert!(!names.contains(&"mul"), "the normalization is merged into the convolution: {names:?}");
}

#[test]
fn open_axes_take_the_extents_that_are_given() {
    let open = |name: &str| extent(Extent::DimParam(name.into()));
    let input = value("x", vec![open("batch"), open("length")]);
    let bytes = model(vec![node("Relu", &["x"], "y", vec![])], vec![], input, "y").encode_to_vec();
    let error = import(&bytes).unwrap_err().to_string();
    assert!(error.contains("length"), "{error}");
    let given = Dimensions::new([("length".to_owned(), 7)]);
    let graph = import_with(&bytes, &given, None).unwrap();
    assert_eq!(graph.values[graph.inputs[0]].shape, [1, 7]);
}

fn with_external(location: &str) -> Vec<u8> {
    let entry =
        |key: &str, value: &str| StringStringEntryProto { key: key.into(), value: value.into() };
    let external_data =
        vec![entry("location", location), entry("offset", "4"), entry("length", "8")];
    let mut constant = floats("b", &[2], []);
    (constant.external_data, constant.data_location) = (external_data, 1);
    let add = node("Add", &["x", "b"], "y", vec![]);
    model(vec![add], vec![constant], fixed("x", &[2]), "y").encode_to_vec()
}

#[test]
fn constants_may_lie_in_files_beside_the_model_but_not_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = [9.0_f32, 1.5, -2.5].iter().flat_map(|x| x.to_le_bytes()).collect();
    std::fs::write(folder.path().join("constants.bin"), bytes).unwrap();
    let read = |location: &str| {
        import_with(&with_external(location), &Dimensions::default(), Some(folder.path()))
    };
    let graph = read("constants.bin").unwrap();
    let input = Tensor::from_shape_vec(vec![2], vec![1.0, 1.0]).unwrap();
    assert_eq!(run(&graph, &input), [2.5, -1.5]);
    for outside in ["../constants.bin", "/etc/hostname", "a/../../b"] {
        let error = read(outside).unwrap_err().to_string();
        assert!(error.contains("outside"), "{error}");
    }
    assert!(matches!(read("missing.bin"), Err(ImportError::Constant(_))));
    let error = import(&with_external("constants.bin")).unwrap_err().to_string();
    assert!(error.contains("by its path"), "{error}");
}

#[test]
fn everything_that_is_not_supported_is_named_at_once() {
    let nodes = vec![
        node("If", &["x"], "a", vec![]),
        node("Relu", &["a"], "b", vec![]),
        node("Frobnicate", &["b"], "y", vec![]),
    ];
    let bytes = model(nodes, vec![], fixed("x", &[2]), "y").encode_to_vec();
    let error = import(&bytes).unwrap_err().to_string();
    assert!(error.contains("If") && error.contains("control flow"), "{error}");
    assert!(error.contains("Frobnicate"), "{error}");
    let mut old = network();
    old.opset_import[0].version = 6;
    assert_eq!(import(&old.encode_to_vec()), Err(ImportError::OperatorSet(6)));
}

/// Imports; a graph that comes out of a damaged file must be sound all the same.
fn survives(bytes: &[u8]) {
    if let Ok(graph) = import(bytes) {
        graph.validate().unwrap();
        quantrack_engine::graph::fuse::optimize(graph).validate().unwrap();
    }
}

#[test]
fn every_operator_imports_and_computes_the_same_by_plan_as_by_the_oracle() {
    for model in zoo_onnx::zoo() {
        let graph = import(&model.bytes).unwrap_or_else(|error| panic!("{}: {error}", model.name));
        let inputs: Vec<Tensor> = graph
            .inputs
            .iter()
            .map(|&id| {
                let mut count = 0.0;
                Tensor::from_shape_simple_fn(graph.values[id].shape.as_slice(), || {
                    count += 1.0;
                    f32::sin(count) * 2.0
                })
            })
            .collect();
        let expected = oracle::run(&graph, &inputs).unwrap();
        let variant = quantize(&graph, Level::Fp32, &default_recipe(Level::Fp32), None).unwrap();
        let plan = Plan::new(&variant, &CpuFeatures::detect()).unwrap();
        let results = Session::new(Arc::new(plan)).run(&inputs, &Serial).unwrap();
        for (result, expected) in results.iter().zip(&expected) {
            assert_eq!(result.shape(), expected.shape(), "{}", model.name);
            for (a, b) in result.iter().zip(expected) {
                let near = (a - b).abs() <= 1e-4 * (1.0 + b.abs()) || a.is_nan() && b.is_nan();
                assert!(near, "{}: {a} instead of {b}", model.name);
            }
        }
    }
}

#[test]
fn every_truncation_and_every_byte_replaced() {
    let models = zoo_onnx::zoo().into_iter().map(|model| model.bytes);
    models.chain([network().encode_to_vec()]).for_each(damaged_anywhere);
}

fn damaged_anywhere(mut bytes: Vec<u8>) {
    for length in 0..bytes.len() {
        survives(&bytes[..length]);
    }
    for index in 0..bytes.len() {
        let original = bytes[index];
        for replacement in [0, 0x7f, 0xff, original ^ 4] {
            bytes[index] = replacement;
            survives(&bytes);
        }
        bytes[index] = original;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn several_bytes_replaced(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let zoo = zoo_onnx::zoo();
        let mut bytes = match which.index(zoo.len() + 1) {
            0 => network().encode_to_vec(),
            index => zoo[index - 1].bytes.clone(),
        };
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        survives(&bytes);
    }

    #[test]
    fn any_attribute_of_any_operator(
        op in prop::sample::select(quantrack_engine::model::onnx::OPERATORS),
        numbers in prop::collection::vec(any::<i64>(), 0..5),
        small in prop::collection::vec(-3_i64..5, 0..5),
        which in 0_usize..2,
    ) {
        let list = if which == 0 { &numbers } else { &small };
        let attributes = ["axes", "perm", "pads", "kernel_shape", "strides", "axis", "group", "blocksize", "split"]
            .map(|name| AttributeProto { i: list.first().copied().unwrap_or(1), ..ints(name, list) });
        let mut shape = floats("shape", &[list.len() as i64], []);
        shape.data_type = 7;
        shape.float_data.clear();
        shape.int64_data = list.clone();
        for operands in [&["x"][..], &["x", "shape"], &["x", "w"], &["x", "shape", "shape", "shape"], &["x", "w", "w"]] {
            let nodes = vec![node(op, operands, "y", attributes.to_vec())];
            let constants = vec![shape.clone(), floats("w", &[2, 2, 1, 1], [1.0; 4])];
            survives(&model(nodes, constants, fixed("x", &[1, 2, 4, 3]), "y").encode_to_vec());
        }
    }
}

/// A node of QONNX.
fn quantizer(op: &str, inputs: &[&str], output: &str) -> NodeProto {
    let domain = "qonnx.custom_op.general".to_owned();
    NodeProto { domain, ..node(op, inputs, output, vec![]) }
}

/// x [1, 40, 5, 6] → signs → convolution → normalization → signs → convolution, each of 3x3 signs.
fn one_bit_network() -> Vec<u8> {
    let wave = |i: usize| ((i * 37 % 19) as f32 - 9.0) / 7.0 + (i as f32 * 1.3).sin();
    let per_channel =
        |name: &str, from: usize| floats(name, &[33], (0..33).map(|i| wave(i + from)));
    let nodes = vec![
        quantizer("BipolarQuant", &["w1", "half"], "signs1"),
        quantizer("BipolarQuant", &["w2", "third"], "signs2"),
        quantizer("BipolarQuant", &["x", "one"], "q1"),
        node("Conv", &["q1", "signs1"], "c1", vec![ints("pads", &[1, 1, 1, 1])]),
        node("BatchNormalization", &["c1", "scale", "shift", "mean", "variance"], "n", vec![]),
        quantizer("BipolarQuant", &["n", "third"], "q2"),
        node("Conv", &["q2", "signs2"], "c2", vec![ints("pads", &[1, 0, 1, 0])]),
        node("Relu", &["c2"], "y", vec![]),
    ];
    let initializers = vec![
        floats("w1", &[33, 40, 3, 3], (0..33 * 40 * 9).map(wave)),
        floats("w2", &[5, 33, 3, 3], (0..5 * 33 * 9).map(|i| wave(i + 3))),
        floats("one", &[], [1.0]),
        floats("half", &[], [0.5]),
        floats("third", &[1], [0.3]),
        per_channel("scale", 5),
        per_channel("shift", 90),
        per_channel("mean", 41),
        floats("variance", &[33], (0..33).map(|i| 0.5 + wave(i).abs())),
    ];
    model(nodes, initializers, fixed("x", &[1, 40, 5, 6]), "y").encode_to_vec()
}

#[test]
fn bipolar_layers_of_qonnx_run_on_bits_with_their_own_weights() {
    let graph = import(&one_bit_network()).unwrap();
    let x = Tensor::from_shape_fn(vec![1, 40, 5, 6], |i| {
        ((i[1] * 31 + i[2] * 7 + i[3]) as f32 * 1.7).sin()
    });
    let expected = &oracle::run(&graph, std::slice::from_ref(&x)).unwrap()[0];
    let variant = quantize(&graph, Level::Bin1, &Recipe::Imported, None).unwrap();
    let plan = Plan::new(&variant, &CpuFeatures::detect()).unwrap();
    let steps: Vec<_> = plan.steps().iter().map(|step| (step.op.as_str(), step.level)).collect();
    let layers = steps.iter().filter(|step| **step == ("conv_2d", Level::Bin1)).count();
    assert!(layers == 2 && plan.kernels().len() == 1, "{steps:?} by {:?}", plan.kernels());
    let found = &Session::new(Arc::new(plan)).run(&[x], &Serial).unwrap()[0];
    let largest = expected.iter().fold(0.0, |m: f32, y| m.max(y.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-5 * largest, "{found} instead of {expected}");
    }
}

#[test]
fn constants_of_quantizers_are_what_they_compute_at_run_time() {
    let all = |i: usize| ((i * 37 % 23) as f32 - 11.0) / 4.0;
    for op in ["BipolarQuant", "Quant"] {
        let parameters: &[&str] = &["s", "z", "bits"][..if op == "Quant" { 3 } else { 1 }];
        let of = |x| [&[x], parameters].concat();
        let nodes = vec![
            quantizer(op, &of("x"), "a"),
            quantizer(op, &of("c"), "b"),
            node("Sub", &["a", "b"], "y", vec![]),
        ];
        let initializers = vec![
            floats("c", &[3, 8], (0..24).map(all)),
            floats("s", &[3, 1], [0.25, 0.5, 1.0]),
            floats("z", &[], [1.0]),
            floats("bits", &[], [3.0]),
        ];
        let bytes = model(nodes, initializers, fixed("x", &[3, 8]), "y").encode_to_vec();
        let x = Tensor::from_shape_fn(vec![3, 8], |i| all(i[0] * 8 + i[1]));
        let results = oracle::run(&import(&bytes).unwrap(), &[x]).unwrap();
        assert!(results[0].iter().all(|&y| y == 0.0), "{op}: {:?}", results[0]);
    }
}
