//! Small models, at least one for every operator that the importer knows, with awkward sizes.

use quantrack_engine::model::tflite::{
    AddOptions, Builtin, ConcatenationOptions, Conv2dOptions, DepthwiseConv2dOptions, DivOptions,
    FullyConnectedOptions, GatherOptions, ModelWriter, MulOptions, Options, Pool2dOptions,
    ReducerOptions, ResizeBilinearOptions, SoftmaxOptions, StridedSliceOptions, SubOptions,
    TensorId, UnpackOptions,
};

#[path = "zoo_larq.rs"]
pub(crate) mod larq;

/// SAME and VALID in the schema.
pub(crate) const SAME: i8 = 0;
pub(crate) const VALID: i8 = 1;
/// RELU and RELU6 as fused activations in the schema.
pub(crate) const RELU: i8 = 1;
pub(crate) const RELU6: i8 = 3;

/// `count` numbers between -2 and 2 without a pattern that would hide a wrong index.
pub(crate) fn numbers(count: i32, seed: f32) -> Vec<f32> {
    (0..count).map(|i| 2.0 * (i as f32 * 1.7 + seed).sin()).collect()
}

/// A named file.
#[derive(Clone)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// All models.
pub(crate) fn zoo() -> Vec<Model> {
    [
        convolutions(),
        depthwise(),
        layers(),
        element_wise(),
        structure(),
        slices(),
        folding(),
        larq::zoo(),
    ]
    .concat()
}

/// One operator: x of `shape`, constants, one result.
fn single(
    name: &str,
    builtin: Builtin,
    shape: &[i32],
    constants: &[(&[i32], Vec<f32>)],
    result: &[i32],
    options: impl Into<Options>,
) -> Model {
    let mut writer = ModelWriter::default();
    let mut inputs = vec![writer.input("x", shape)];
    for (index, (shape, values)) in constants.iter().enumerate() {
        inputs.push(writer.floats(&format!("constant {index}"), shape, values));
    }
    let result = writer.tensor("result", result);
    writer.op(builtin, 1, &inputs, &[result], options);
    Model { name: name.to_owned(), bytes: writer.finish(&[result]) }
}

/// One operator with integer parameters behind x.
fn parametric(
    name: &str,
    builtin: Builtin,
    shape: &[i32],
    parameters: &[(&[i32], &[i32])],
    result: &[i32],
    options: impl Into<Options>,
) -> Model {
    let mut writer = ModelWriter::default();
    let mut inputs = vec![writer.input("x", shape)];
    for (index, (shape, values)) in parameters.iter().enumerate() {
        inputs.push(writer.integers(&format!("parameter {index}"), shape, values));
    }
    let result = writer.tensor("result", result);
    writer.op(builtin, 1, &inputs, &[result], options);
    Model { name: name.to_owned(), bytes: writer.finish(&[result]) }
}

fn convolutions() -> Vec<Model> {
    let conv = |name: &str, weights: [i32; 4], result: [i32; 4], options: Conv2dOptions| {
        let count = weights.iter().product();
        let constants: [(&[i32], _); 2] =
            [(&weights, numbers(count, 0.3)), (&[weights[0]], numbers(weights[0], 0.9))];
        single(name, Builtin::Conv2d, &[1, 7, 9, 3], &constants, &result, options)
    };
    let options = Conv2dOptions { stride_h: 1, stride_w: 1, ..Conv2dOptions::default() };
    vec![
        conv("conv same", [5, 3, 2, 3], [1, 7, 9, 5], options),
        conv(
            "conv same strided relu",
            [4, 4, 3, 3],
            [1, 4, 3, 4],
            Conv2dOptions { stride_h: 2, stride_w: 3, activation: RELU, ..options },
        ),
        conv(
            "conv valid dilated relu6",
            [2, 2, 3, 3],
            [1, 4, 5, 2],
            Conv2dOptions {
                padding: VALID,
                dilation_h: 3,
                dilation_w: 2,
                activation: RELU6,
                ..options
            },
        ),
        conv(
            "conv same dilated",
            [1, 3, 3, 3],
            [1, 7, 9, 1],
            Conv2dOptions { dilation_h: 2, dilation_w: 3, ..options },
        ),
        single(
            "conv without bias",
            Builtin::Conv2d,
            &[2, 3, 3, 2],
            &[(&[3, 1, 1, 2], numbers(6, 0.1))],
            &[2, 3, 3, 3],
            options,
        ),
    ]
}

fn depthwise() -> Vec<Model> {
    let depthwise = |name: &str, channels: i32, multiplier: i32, stride: i32, padding: i8| {
        let co = channels * multiplier;
        let constants: [(&[i32], _); 2] =
            [(&[1, 3, 2, co], numbers(6 * co, 0.4)), (&[co], numbers(co, 1.1))];
        let [h, w] = match padding {
            SAME => [(6 + stride - 1) / stride, (5 + stride - 1) / stride],
            _ => [(6 - 3) / stride + 1, (5 - 2) / stride + 1],
        };
        let options = DepthwiseConv2dOptions {
            padding,
            stride_h: stride,
            stride_w: stride,
            depth_multiplier: multiplier,
            ..DepthwiseConv2dOptions::default()
        };
        single(
            name,
            Builtin::DepthwiseConv2d,
            &[1, 6, 5, channels],
            &constants,
            &[1, h, w, co],
            options,
        )
    };
    vec![
        depthwise("depthwise same", 5, 1, 1, SAME),
        depthwise("depthwise valid strided", 3, 1, 2, VALID),
        depthwise("depthwise with multiplier", 3, 2, 1, SAME),
        depthwise("depthwise over one channel", 1, 4, 2, SAME),
    ]
}

fn layers() -> Vec<Model> {
    let pool = |name: &str, builtin, padding, result: [i32; 4], activation| {
        let options = Pool2dOptions {
            padding,
            stride_w: 2,
            stride_h: 1,
            filter_w: 3,
            filter_h: 2,
            activation,
        };
        single(name, builtin, &[1, 5, 6, 3], &[], &result, options)
    };
    let matrix: [(&[i32], _); 2] = [(&[4, 6], numbers(24, 0.2)), (&[4], numbers(4, 0.7))];
    let keep = FullyConnectedOptions { keep_num_dims: true, ..FullyConnectedOptions::default() };
    let relu = FullyConnectedOptions { activation: RELU, ..FullyConnectedOptions::default() };
    vec![
        pool("max pool same", Builtin::MaxPool2d, SAME, [1, 5, 3, 3], 0),
        pool("max pool valid relu", Builtin::MaxPool2d, VALID, [1, 4, 2, 3], RELU),
        pool("average pool same", Builtin::AveragePool2d, SAME, [1, 5, 3, 3], 0),
        pool("average pool valid relu6", Builtin::AveragePool2d, VALID, [1, 4, 2, 3], RELU6),
        single("fully connected", Builtin::FullyConnected, &[3, 6], &matrix, &[3, 4], relu),
        single("fully connected rows", Builtin::FullyConnected, &[2, 3, 2], &matrix, &[2, 4], relu),
        single(
            "fully connected keeps axes",
            Builtin::FullyConnected,
            &[2, 2, 6],
            &matrix,
            &[2, 2, 4],
            keep,
        ),
        single(
            "prelu",
            Builtin::Prelu,
            &[1, 2, 3, 4],
            &[(&[1, 1, 4], numbers(4, 0.5))],
            &[1, 2, 3, 4],
            Options::None,
        ),
        single(
            "prelu with one slope",
            Builtin::Prelu,
            &[1, 2, 3, 4],
            &[(&[1, 1, 1], vec![0.3])],
            &[1, 2, 3, 4],
            Options::None,
        ),
        single("softmax", Builtin::Softmax, &[2, 5], &[], &[2, 5], SoftmaxOptions { beta: 1.5 }),
    ]
}

fn element_wise() -> Vec<Model> {
    let shape = [1, 2, 3];
    let unary = |name: &str, builtin| single(name, builtin, &shape, &[], &shape, Options::None);
    let binary = |name: &str, builtin, options: Options| {
        let other: [(&[i32], _); 1] = [(&[2, 1], vec![0.75, -1.25])];
        single(name, builtin, &shape, &other, &shape, options)
    };
    vec![
        unary("relu", Builtin::Relu),
        unary("relu6", Builtin::Relu6),
        unary("logistic", Builtin::Logistic),
        unary("sign", Builtin::Sign),
        binary("add relu", Builtin::Add, AddOptions { activation: RELU }.into()),
        binary("sub relu6", Builtin::Sub, SubOptions { activation: RELU6 }.into()),
        binary("mul", Builtin::Mul, MulOptions::default().into()),
        binary("div", Builtin::Div, DivOptions::default().into()),
        binary("maximum", Builtin::Maximum, Options::None),
        binary("minimum", Builtin::Minimum, Options::None),
    ]
}

fn structure() -> Vec<Model> {
    let resize = |name: &str, align_corners, half_pixel_centers| {
        let options = ResizeBilinearOptions { align_corners, half_pixel_centers };
        parametric(
            name,
            Builtin::ResizeBilinear,
            &[1, 3, 4, 2],
            &[(&[2], &[7, 6])],
            &[1, 7, 6, 2],
            options,
        )
    };
    let reduce = |name: &str, builtin, axes: &[i32], keep_dims, result: &[i32]| {
        let shape = [axes.len() as i32];
        parametric(
            name,
            builtin,
            &[2, 3, 4],
            &[(&shape, axes)],
            result,
            ReducerOptions { keep_dims },
        )
    };
    let mut concat = ModelWriter::default();
    let parts = [concat.input("a", &[1, 2, 3]), concat.input("b", &[1, 2, 1])];
    let joined = concat.tensor("joined", &[1, 2, 4]);
    let options = ConcatenationOptions { axis: -1, activation: 0 };
    concat.op(Builtin::Concatenation, 1, &parts, &[joined], options);
    vec![
        parametric(
            "pad",
            Builtin::Pad,
            &[1, 2, 3, 2],
            &[(&[4, 2], &[0, 0, 1, 0, 0, 2, 0, 3])],
            &[1, 3, 5, 5],
            Options::None,
        ),
        resize("resize", false, false),
        resize("resize half pixel", false, true),
        resize("resize align corners", true, false),
        parametric(
            "reshape",
            Builtin::Reshape,
            &[2, 6],
            &[(&[2], &[3, -1])],
            &[3, 4],
            Options::None,
        ),
        single("squeeze", Builtin::Squeeze, &[1, 3, 1], &[], &[3], Options::None),
        parametric(
            "expand dims",
            Builtin::ExpandDims,
            &[3],
            &[(&[], &[0])],
            &[1, 3],
            Options::None,
        ),
        reduce("mean", Builtin::Mean, &[0, -1], false, &[3]),
        reduce("sum", Builtin::Sum, &[1], true, &[2, 1, 4]),
        reduce("reduce max", Builtin::ReduceMax, &[2], false, &[2, 3]),
        reduce("reduce min", Builtin::ReduceMin, &[1, 2], false, &[2]),
        Model { name: "concatenation".into(), bytes: concat.finish(&[joined]) },
    ]
}

fn slices() -> Vec<Model> {
    let slice = |name: &str, ranges: [&[i32]; 3], result: &[i32], options: StridedSliceOptions| {
        let shape = [ranges[0].len() as i32];
        let parameters = ranges.map(|values| (&shape[..], values));
        parametric(name, Builtin::StridedSlice, &[3, 4, 5], &parameters, result, options)
    };
    let none = StridedSliceOptions::default();
    let mut unpack = ModelWriter::default();
    let x = unpack.input("x", &[2, 3, 2]);
    let parts: Vec<TensorId> =
        (0..3).map(|i| unpack.tensor(&format!("part {i}"), &[2, 2])).collect();
    unpack.op(Builtin::Unpack, 1, &[x], &parts, UnpackOptions { num: 3, axis: -2 });
    vec![
        parametric(
            "gather",
            Builtin::Gather,
            &[2, 4, 3],
            &[(&[2, 2], &[3, 0, 1, 1])],
            &[2, 2, 2, 3],
            GatherOptions { axis: -2, batch_dims: 0 },
        ),
        Model { name: "unpack".into(), bytes: unpack.finish(&parts) },
        slice("slice", [&[1, 0, 1], &[3, 4, 5], &[1, 2, 3]], &[2, 2, 2], none),
        slice("slice backwards", [&[-1, 3, 0], &[0, 0, 5], &[-1, -2, 1]], &[2, 2, 5], none),
        slice(
            "slice with masks",
            [&[1, 2, -3], &[2, 9, 0], &[1, 1, 1]],
            &[4, 3],
            StridedSliceOptions { begin_mask: 2, end_mask: 4, shrink_axis_mask: 1, ..none },
        ),
    ]
}

/// PAD and a convolution without padding of its own, as PyTorch exports it.
fn padded_convolution() -> Model {
    let mut writer = ModelWriter::default();
    let x = writer.input("x", &[1, 5, 4, 2]);
    let amounts = writer.integers("amounts", &[4, 2], &[0, 0, 1, 2, 2, 1, 0, 0]);
    let padded = writer.tensor("padded", &[1, 8, 7, 2]);
    writer.op(Builtin::Pad, 1, &[x, amounts], &[padded], Options::None);
    let weights = writer.floats("weights", &[3, 3, 3, 2], &numbers(54, 0.8));
    let bias = writer.floats("bias", &[3], &numbers(3, 0.2));
    let y = writer.tensor("y", &[1, 3, 3, 3]);
    let options =
        Conv2dOptions { padding: VALID, stride_h: 2, stride_w: 2, ..Conv2dOptions::default() };
    writer.op(Builtin::Conv2d, 1, &[padded, weights, bias], &[y], options);
    Model { name: "padded convolution".into(), bytes: writer.finish(&[y]) }
}

fn folding() -> Vec<Model> {
    // fp16 weights behind DEQUANTIZE, a reshaped constant, an absent bias, an input that nothing reads.
    let mut writer = ModelWriter::default();
    let x = writer.input("x", &[1, 3]);
    writer.input("unused", &[1, 7]);
    let values: Vec<half::f16> = numbers(6, 0.6).into_iter().map(half::f16::from_f32).collect();
    let stored = writer.halves("stored", &[2, 3], &values);
    let weights = writer.tensor("weights", &[2, 3]);
    writer.op(Builtin::Dequantize, 2, &[stored], &[weights], Options::None);
    let y = writer.tensor("y", &[1, 2]);
    let options = FullyConnectedOptions::default();
    writer.op(Builtin::FullyConnected, 1, &[x, weights, TensorId::ABSENT], &[y], options);
    let flat = writer.floats("flat", &[2], &[0.5, -0.5]);
    let shape = writer.integers("shape", &[2], &[1, 2]);
    let row = writer.tensor("row", &[1, 2]);
    writer.op(Builtin::Reshape, 1, &[flat, shape], &[row], Options::None);
    let z = writer.tensor("z", &[1, 2]);
    writer.op(Builtin::Mul, 1, &[y, row], &[z], MulOptions::default());
    let folded = Model { name: "folded constants".into(), bytes: writer.finish(&[z, y]) };
    vec![folded, padded_convolution()]
}
