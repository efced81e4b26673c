//! Small ONNX models, one per operator (or way of using it), written with the importer's own schema.

use prost::Message;
use quantrack_engine::model::onnx::schema::{
    AttributeProto, Dimension, Extent, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};

const FLOAT: i32 = 1;
const INT8: i32 = 3;
const INT64: i32 = 7;

/// A model of a single operator.
pub(crate) struct OnnxModel {
    /// What it shows.
    pub(crate) name: String,
    /// The file.
    pub(crate) bytes: Vec<u8>,
}

/// An attribute's value.
#[derive(Clone, Copy)]
enum A {
    Int(i64),
    Float(f32),
    Ints(&'static [i64]),
    Text(&'static str),
}

/// A constant operand.
#[derive(Clone, Copy)]
enum C {
    /// Waves around 0 of this shape.
    Waves(&'static [i64]),
    /// Positive numbers of this shape.
    Positive(&'static [i64]),
    Floats(&'static [f32]),
    Ints(&'static [i64]),
    Number(f32),
    /// 8-bit integers of this shape.
    Bytes(&'static [i64]),
    Zero,
    None,
}

type Row = (&'static str, &'static [i64], &'static [C], &'static [(&'static str, A)]);

const IMAGE: &[i64] = &[1, 4, 5, 6];

/// Operator, shape of the operand, constants behind it, attributes.
const ROWS: &[Row] = &[
    (
        "Conv",
        IMAGE,
        &[C::Waves(&[3, 4, 3, 3]), C::Waves(&[3])],
        &[("pads", A::Ints(&[1, 0, 1, 2]))],
    ),
    (
        "Conv",
        IMAGE,
        &[C::Waves(&[4, 1, 3, 3])],
        &[("group", A::Int(4)), ("strides", A::Ints(&[2, 1]))],
    ),
    (
        "Conv",
        IMAGE,
        &[C::Waves(&[6, 2, 2, 1])],
        &[("group", A::Int(2)), ("auto_pad", A::Text("SAME_UPPER"))],
    ),
    ("Conv", &[1, 4, 7], &[C::Waves(&[3, 4, 3])], &[("dilations", A::Ints(&[2]))]),
    (
        "ConvTranspose",
        IMAGE,
        &[C::Waves(&[4, 3, 3, 3]), C::Waves(&[3])],
        &[("strides", A::Ints(&[2, 3])), ("pads", A::Ints(&[1, 2, 0, 1]))],
    ),
    (
        "ConvTranspose",
        &[1, 4, 7],
        &[C::Waves(&[4, 1, 2])],
        &[("group", A::Int(2)), ("output_padding", A::Ints(&[1])), ("strides", A::Ints(&[2]))],
    ),
    ("ConvInteger", IMAGE, &[C::Bytes(&[3, 4, 2, 2]), C::Zero], &[]),
    (
        "QLinearConv",
        IMAGE,
        &[
            C::Number(0.5),
            C::Zero,
            C::Bytes(&[3, 4, 1, 1]),
            C::Number(0.25),
            C::Zero,
            C::Number(2.0),
            C::Zero,
        ],
        &[],
    ),
    ("MatMul", &[2, 5], &[C::Waves(&[5, 3])], &[]),
    ("MatMulInteger", &[2, 5], &[C::Bytes(&[5, 3])], &[]),
    (
        "QLinearMatMul",
        &[2, 5],
        &[
            C::Number(0.5),
            C::Zero,
            C::Bytes(&[5, 3]),
            C::Number(0.25),
            C::Zero,
            C::Number(2.0),
            C::Zero,
        ],
        &[],
    ),
    (
        "Gemm",
        &[2, 5],
        &[C::Waves(&[3, 5]), C::Waves(&[3])],
        &[("transB", A::Int(1)), ("alpha", A::Float(0.5))],
    ),
    ("LRN", IMAGE, &[], &[("size", A::Int(3))]),
    (
        "BatchNormalization",
        IMAGE,
        &[C::Waves(&[4]), C::Waves(&[4]), C::Waves(&[4]), C::Positive(&[4])],
        &[],
    ),
    ("InstanceNormalization", IMAGE, &[C::Waves(&[4]), C::Waves(&[4])], &[]),
    ("GroupNormalization", IMAGE, &[C::Waves(&[4]), C::Waves(&[4])], &[("num_groups", A::Int(2))]),
    ("LayerNormalization", &[2, 3, 5], &[C::Waves(&[5]), C::Waves(&[5])], &[]),
    ("RMSNormalization", &[2, 3, 5], &[C::Waves(&[5])], &[]),
    ("MeanVarianceNormalization", IMAGE, &[], &[]),
    ("LpNormalization", &[2, 5], &[], &[("p", A::Int(1))]),
    (
        "MaxPool",
        IMAGE,
        &[],
        &[
            ("kernel_shape", A::Ints(&[2, 3])),
            ("strides", A::Ints(&[2, 2])),
            ("ceil_mode", A::Int(1)),
        ],
    ),
    (
        "MaxPool",
        &[1, 2, 3, 4, 5],
        &[],
        &[("kernel_shape", A::Ints(&[2, 2, 2])), ("dilations", A::Ints(&[1, 2, 1]))],
    ),
    (
        "AveragePool",
        IMAGE,
        &[],
        &[
            ("kernel_shape", A::Ints(&[2, 2])),
            ("pads", A::Ints(&[1, 0, 0, 1])),
            ("count_include_pad", A::Int(1)),
        ],
    ),
    (
        "AveragePool",
        &[1, 2, 7],
        &[],
        &[("kernel_shape", A::Ints(&[3])), ("pads", A::Ints(&[1, 1]))],
    ),
    ("LpPool", IMAGE, &[], &[("kernel_shape", A::Ints(&[2, 2])), ("p", A::Int(3))]),
    ("GlobalAveragePool", IMAGE, &[], &[]),
    ("GlobalMaxPool", IMAGE, &[], &[]),
    ("Resize", IMAGE, &[C::None, C::Floats(&[1.0, 1.0, 2.0, 1.5])], &[("mode", A::Text("linear"))]),
    ("Resize", IMAGE, &[C::None, C::None, C::Ints(&[1, 4, 7, 9])], &[("mode", A::Text("cubic"))]),
    ("Resize", IMAGE, &[C::None, C::Floats(&[1.0, 1.0, 2.0, 2.0])], &[]),
    ("Identity", &[3], &[], &[]),
    ("Dropout", &[3], &[], &[]),
    ("Cast", &[3], &[], &[("to", A::Int(6))]),
    ("Reshape", &[2, 6], &[C::Ints(&[3, -1])], &[]),
    ("Flatten", IMAGE, &[], &[("axis", A::Int(2))]),
    ("Squeeze", &[1, 3, 1], &[C::Ints(&[0])], &[]),
    ("Unsqueeze", &[2, 3], &[C::Ints(&[1, -1])], &[]),
    ("Transpose", IMAGE, &[], &[("perm", A::Ints(&[2, 0, 3, 1]))]),
    ("Concat", &[2, 3], &[C::Waves(&[2, 2])], &[("axis", A::Int(1))]),
    ("Pad", IMAGE, &[C::Ints(&[0, 0, 1, 2, 0, 0, 3, 0]), C::Number(1.5)], &[]),
    ("Pad", IMAGE, &[C::Ints(&[0, 0, 1, 2, 0, 0, 2, 0])], &[("mode", A::Text("reflect"))]),
    (
        "Slice",
        IMAGE,
        &[C::Ints(&[1, -1]), C::Ints(&[3, -5]), C::Ints(&[1, 3]), C::Ints(&[1, -2])],
        &[],
    ),
    ("Split", &[2, 6], &[C::Ints(&[6])], &[("axis", A::Int(1))]),
    ("Gather", &[2, 6], &[C::Ints(&[5, 0, -2])], &[("axis", A::Int(1))]),
    ("Expand", &[2, 1], &[C::Ints(&[3, 1, 4])], &[]),
    ("Tile", &[2, 3], &[C::Ints(&[2, 2])], &[]),
    ("DepthToSpace", IMAGE, &[], &[("blocksize", A::Int(2))]),
    ("SpaceToDepth", &[1, 2, 4, 6], &[], &[("blocksize", A::Int(2))]),
    ("Softmax", &[2, 3, 4], &[], &[("axis", A::Int(1))]),
    ("LogSoftmax", &[2, 3, 4], &[], &[]),
    ("ReduceMean", IMAGE, &[C::Ints(&[2, 3])], &[]),
    ("ReduceMax", IMAGE, &[C::Ints(&[1])], &[("keepdims", A::Int(0))]),
    ("ReduceMin", IMAGE, &[], &[]),
    ("ReduceSum", IMAGE, &[C::Ints(&[0, 2])], &[]),
    ("ReduceProd", &[2, 3, 4], &[C::Ints(&[1])], &[("keepdims", A::Int(0))]),
    ("ReduceL1", &[2, 3], &[], &[]),
    ("ReduceL2", &[2, 3], &[C::Ints(&[1])], &[]),
    ("ReduceSumSquare", &[2, 3], &[], &[]),
    ("ReduceLogSumExp", &[2, 3], &[C::Ints(&[1])], &[("keepdims", A::Int(0))]),
    ("Add", IMAGE, &[C::Waves(&[4, 1, 1])], &[]),
    ("Sub", IMAGE, &[C::Waves(&[6])], &[]),
    ("Mul", IMAGE, &[C::Waves(&[5, 1])], &[]),
    ("Div", IMAGE, &[C::Positive(&[4, 5, 6])], &[]),
    ("Max", &[2, 3], &[C::Waves(&[3]), C::Waves(&[2, 1])], &[]),
    ("Min", &[2, 3], &[C::Waves(&[3])], &[]),
    ("Sum", &[2, 3], &[C::Waves(&[3]), C::Waves(&[2, 1])], &[]),
    ("Mean", &[2, 3], &[C::Waves(&[3]), C::Waves(&[2, 1])], &[]),
    ("Pow", &[2, 3], &[C::Number(2.0)], &[]),
    ("Clip", &[2, 3], &[C::Number(-0.5), C::Number(0.25)], &[]),
    ("LeakyRelu", &[2, 3], &[], &[("alpha", A::Float(0.2))]),
    ("PRelu", IMAGE, &[C::Waves(&[4, 1, 1])], &[]),
    ("QuantizeLinear", &[2, 3], &[C::Number(0.1), C::Zero], &[]),
    ("DequantizeLinear", &[2, 3], &[C::Number(0.1), C::Zero], &[]),
    ("DynamicQuantizeLinear", &[2, 3], &[], &[]),
    ("Equal", &[2, 3], &[C::Waves(&[3])], &[]),
    ("Greater", &[2, 3], &[C::Waves(&[3])], &[]),
    ("LessOrEqual", &[2, 3], &[C::Waves(&[3])], &[]),
    ("And", &[2, 3], &[C::Number(1.0)], &[]),
    ("Or", &[2, 3], &[C::Number(0.0)], &[]),
    ("Xor", &[2, 3], &[C::Number(1.0)], &[]),
    ("Not", &[2, 3], &[], &[]),
    ("Where", &[2, 3], &[C::Waves(&[3]), C::Waves(&[2, 1])], &[]),
    ("ArgMax", &[2, 3, 4], &[], &[("axis", A::Int(1))]),
    (
        "ArgMin",
        &[2, 3, 4],
        &[],
        &[("axis", A::Int(-1)), ("keepdims", A::Int(0)), ("select_last_index", A::Int(1))],
    ),
    ("OneHot", &[2, 3], &[C::Number(4.0), C::Floats(&[0.0, 1.0])], &[]),
    ("Shape", IMAGE, &[], &[]),
    ("Size", IMAGE, &[], &[]),
    ("Celu", &[6], &[], &[("alpha", A::Float(2.0))]),
    ("Elu", &[6], &[], &[]),
    ("Selu", &[6], &[], &[]),
    ("HardSigmoid", &[6], &[], &[]),
    ("HardSwish", &[6], &[], &[]),
    ("Mish", &[6], &[], &[]),
    ("Softplus", &[6], &[], &[]),
    ("Softsign", &[6], &[], &[]),
    ("Shrink", &[6], &[], &[]),
    ("Swish", &[6], &[], &[]),
    ("ThresholdedRelu", &[6], &[], &[]),
    ("Gelu", &[6], &[], &[("approximate", A::Text("tanh"))]),
    ("Reciprocal", &[6], &[], &[]),
    ("Relu", &[6], &[], &[]),
    ("Sigmoid", &[6], &[], &[]),
    ("Sign", &[6], &[], &[]),
    ("Abs", &[6], &[], &[]),
    ("Neg", &[6], &[], &[]),
    ("Exp", &[6], &[], &[]),
    ("Tanh", &[6], &[], &[]),
    ("Erf", &[6], &[], &[]),
    ("Floor", &[6], &[], &[]),
    ("Ceil", &[6], &[], &[]),
    ("Round", &[6], &[], &[]),
];

/// All models.
pub(crate) fn zoo() -> Vec<OnnxModel> {
    let model = |(index, row): (usize, &Row)| OnnxModel {
        name: format!("{index:03}-{}", row.0.to_lowercase()),
        bytes: model(*row).encode_to_vec(),
    };
    ROWS.iter().enumerate().map(model).collect()
}

fn model((op, shape, constants, attributes): Row) -> ModelProto {
    let mut names = vec!["x".to_owned()];
    let mut initializer = Vec::new();
    for (index, &operand) in constants.iter().enumerate() {
        let name = format!("c{index}");
        match constant(&name, operand) {
            Some(tensor) => {
                initializer.push(tensor);
                names.push(name);
            }
            None => names.push(String::new()),
        }
    }
    let node = NodeProto {
        input: names,
        output: vec!["y".into()],
        op_type: op.into(),
        attribute: attributes.iter().map(|&(name, value)| attribute(name, value)).collect(),
        ..Default::default()
    };
    let (input, output) = (vec![value("x", shape)], vec![value("y", &[])]);
    let graph = GraphProto { node: vec![node], name: "g".into(), initializer, input, output };
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 21 }];
    ModelProto { ir_version: 10, opset_import, graph: Some(graph) }
}

fn value(name: &str, shape: &[i64]) -> ValueInfoProto {
    let dimension = |&n: &i64| Dimension { value: Some(Extent::DimValue(n)) };
    let shape = Some(TensorShapeProto { dim: shape.iter().map(dimension).collect() });
    let tensor_type = Some(TensorTypeProto { elem_type: FLOAT, shape });
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }) }
}

fn attribute(name: &str, value: A) -> AttributeProto {
    let mut attribute = AttributeProto { name: name.into(), ..Default::default() };
    match value {
        A::Int(i) => (attribute.r#type, attribute.i) = (2, i),
        A::Float(f) => (attribute.r#type, attribute.f) = (1, f),
        A::Ints(all) => (attribute.r#type, attribute.ints) = (7, all.to_vec()),
        A::Text(text) => (attribute.r#type, attribute.s) = (3, text.as_bytes().to_vec()),
    }
    attribute
}

fn constant(name: &str, operand: C) -> Option<TensorProto> {
    let count = |shape: &[i64]| shape.iter().product::<i64>();
    let waves = |shape: &[i64]| (0..count(shape)).map(|i| ((i * 37 % 19) as f32 - 9.0) / 7.0);
    let mut tensor = TensorProto { name: name.into(), data_type: FLOAT, ..Default::default() };
    match operand {
        C::Waves(shape) => {
            (tensor.dims, tensor.float_data) = (shape.to_vec(), waves(shape).collect());
        }
        C::Positive(shape) => {
            tensor.dims = shape.to_vec();
            tensor.float_data = waves(shape).map(|x| 0.5 + x.abs()).collect();
        }
        C::Floats(all) => {
            (tensor.dims, tensor.float_data) = (vec![all.len() as i64], all.to_vec());
        }
        C::Ints(all) => {
            tensor.data_type = INT64;
            (tensor.dims, tensor.int64_data) = (vec![all.len() as i64], all.to_vec());
        }
        C::Number(x) => tensor.float_data = vec![x],
        C::Bytes(shape) => {
            tensor.data_type = INT8;
            tensor.dims = shape.to_vec();
            tensor.int32_data = (0..count(shape)).map(|i| (i * 37 % 255) as i32 - 127).collect();
        }
        C::Zero => (tensor.data_type, tensor.int32_data) = (INT8, vec![0]),
        C::None => return None,
    }
    Some(tensor)
}
