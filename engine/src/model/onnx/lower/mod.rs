//! From one node of the file to nodes of the graph.

mod elementwise;
mod layers;
mod logic;
mod normalize;
mod pooling;
pub(super) mod qonnx;
mod quantized;
mod resample;
mod structure;
mod transposed;
mod windows;

use super::importer::Importer;
use super::node::Node;
use super::tensors;
use crate::model::fault::Fault;

type Lower = fn(&mut Importer<'_>, &Node<'_>) -> Result<(), Fault>;

/// The operators of ONNX's own set that are known, in the order of the alphabet.
pub const OPERATORS: &[&str] = &[
    "Abs",
    "Add",
    "And",
    "ArgMax",
    "ArgMin",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Ceil",
    "Celu",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "ConvInteger",
    "ConvTranspose",
    "DepthToSpace",
    "DequantizeLinear",
    "Div",
    "Dropout",
    "DynamicQuantizeLinear",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Floor",
    "Gather",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Greater",
    "GreaterOrEqual",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "LRN",
    "LayerNormalization",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "LogSoftmax",
    "LpNormalization",
    "LpPool",
    "MatMul",
    "MatMulInteger",
    "Max",
    "MaxPool",
    "Mean",
    "MeanVarianceNormalization",
    "Min",
    "Mish",
    "Mul",
    "Neg",
    "Not",
    "OneHot",
    "Or",
    "PRelu",
    "Pad",
    "Pow",
    "QLinearConv",
    "QLinearMatMul",
    "QuantizeLinear",
    "RMSNormalization",
    "Range",
    "Reciprocal",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Relu",
    "Reshape",
    "Resize",
    "Round",
    "Selu",
    "Shape",
    "Shrink",
    "Sigmoid",
    "Sign",
    "Size",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Swish",
    "Tanh",
    "ThresholdedRelu",
    "Tile",
    "Transpose",
    "Unsqueeze",
    "Upsample",
    "Where",
    "Xor",
];

/// What lowers an operator.
fn lowering(domain: &str, op: &str) -> Option<Lower> {
    if qonnx::is_domain(domain) {
        return match op {
            "Quant" => Some(qonnx::quant),
            "BipolarQuant" => Some(qonnx::bipolar_quant),
            _ => None,
        };
    }
    if !domain.is_empty() {
        return None;
    }
    Some(match op {
        "Conv" => layers::conv,
        "Gemm" => layers::gemm,
        "MatMul" => layers::matmul,
        "LRN" => layers::local_response,
        "ConvTranspose" => transposed::conv_transpose,
        "BatchNormalization" => layers::batch_normalization,
        "GroupNormalization" => normalize::group_normalization,
        "InstanceNormalization" => normalize::instance_normalization,
        "LayerNormalization" => normalize::layer_normalization,
        "LpNormalization" => normalize::by_norm,
        "MeanVarianceNormalization" => normalize::mean_variance,
        "RMSNormalization" => normalize::root_mean_square,
        "MaxPool" | "AveragePool" => windows::pool,
        "LpPool" => pooling::along_axes,
        "GlobalAveragePool" | "GlobalMaxPool" => windows::global_pool,
        "Resize" | "Upsample" => windows::resize,
        "Identity" | "Dropout" | "Cast" => structure::identity,
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => structure::reshape,
        "Transpose" => structure::transpose,
        "Concat" => structure::concat,
        "Pad" => structure::pad,
        "Slice" => structure::slice,
        "Split" => structure::split,
        "Gather" => structure::gather,
        "Expand" | "Tile" => structure::repeat,
        "DepthToSpace" | "SpaceToDepth" => structure::depth_space,
        "Softmax" | "LogSoftmax" => structure::softmax,
        op if op.starts_with("Reduce") && OPERATORS.contains(&op) => structure::reduce,
        "Add" | "Sub" | "Mul" | "Div" => elementwise::arithmetic,
        "Max" | "Min" | "Sum" | "Mean" => elementwise::variadic,
        "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "And" | "Or" | "Xor" => {
            logic::compare
        }
        "Not" => logic::negation,
        "Where" => logic::choose,
        "ArgMax" | "ArgMin" => logic::position,
        "OneHot" => logic::one_hot,
        "Pow" => elementwise::pow,
        "Clip" => elementwise::clip,
        "LeakyRelu" | "PRelu" => elementwise::prelu,
        "QuantizeLinear" => quantized::quantize_linear,
        "DequantizeLinear" => quantized::dequantize_linear,
        "DynamicQuantizeLinear" => quantized::dynamic_quantize,
        "QLinearConv" => quantized::qlinear_conv,
        "QLinearMatMul" => quantized::qlinear_matmul,
        "ConvInteger" => quantized::conv_integer,
        "MatMulInteger" => quantized::matmul_integer,
        op if elementwise::is_function(op) => elementwise::function,
        _ => return None,
    })
}

/// Why no node of this kind can be imported.
pub(super) fn kind_fault(node: &Node<'_>) -> Option<String> {
    let own = node.domain().is_empty();
    if (own && OPERATORS.contains(&node.op())) || lowering(node.domain(), node.op()).is_some() {
        return None;
    }
    Some(
        match node.op() {
            "If" | "Loop" | "Scan" => {
                "the engine has no control flow: export with fixed conditions"
            }
            _ => "the engine has no such operator",
        }
        .to_owned(),
    )
}

/// Whether result `index` of `node` has integers; `is_integer` says it of operands.
pub(super) fn has_integers(
    node: &Node<'_>,
    index: usize,
    is_integer: impl Fn(&str) -> bool,
) -> bool {
    let of = |index: usize| node.input(index).is_some_and(&is_integer);
    match node.op() {
        "QuantizeLinear" | "QLinearConv" | "QLinearMatMul" | "ConvInteger" | "MatMulInteger"
        | "ArgMax" | "ArgMin" => true,
        "DynamicQuantizeLinear" => index != 1,
        "Cast" => i32::try_from(node.int("to", 1)).is_ok_and(tensors::is_integer),
        "DequantizeLinear" | "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual"
        | "Not" => false,
        "OneHot" => of(2),
        "Where" => of(1),
        _ => of(0),
    }
}

/// Adds what computes `node`.
pub(super) fn lower(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    match lowering(node.domain(), node.op()) {
        Some(lower) => lower(importer, node),
        None => {
            Err(crate::model::fault::unsupported("operands that are computed at run time".into()))
        }
    }
}
