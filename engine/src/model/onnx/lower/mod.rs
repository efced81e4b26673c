//! From one node of the file to nodes of the graph.

mod elementwise;
mod layers;
pub(super) mod qonnx;
mod quantized;
mod resample;
mod structure;
mod windows;

use super::importer::Importer;
use super::node::Node;
use crate::model::fault::Fault;

type Lower = fn(&mut Importer<'_>, &Node<'_>) -> Result<(), Fault>;

/// The operators of ONNX's own set that are known, in the order of the alphabet.
pub const OPERATORS: &[&str] = &[
    "Abs",
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Ceil",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "ConvInteger",
    "DepthToSpace",
    "DequantizeLinear",
    "Div",
    "Dropout",
    "DynamicQuantizeLinear",
    "Elu",
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
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "LRN",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "MatMul",
    "MatMulInteger",
    "Max",
    "MaxPool",
    "Mean",
    "Min",
    "Mish",
    "Mul",
    "Neg",
    "PRelu",
    "Pad",
    "Pow",
    "QLinearConv",
    "QLinearMatMul",
    "QuantizeLinear",
    "Reciprocal",
    "ReduceL1",
    "ReduceL2",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceSum",
    "ReduceSumSquare",
    "Relu",
    "Reshape",
    "Resize",
    "Round",
    "Selu",
    "Shape",
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
    "Tanh",
    "ThresholdedRelu",
    "Tile",
    "Transpose",
    "Unsqueeze",
    "Upsample",
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
        "BatchNormalization" => layers::batch_normalization,
        "InstanceNormalization" => layers::instance_normalization,
        "LayerNormalization" => layers::layer_normalization,
        "MaxPool" | "AveragePool" => windows::pool,
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

/// Adds what computes `node`.
pub(super) fn lower(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    match lowering(node.domain(), node.op()) {
        Some(lower) => lower(importer, node),
        None => {
            Err(crate::model::fault::unsupported("operands that are computed at run time".into()))
        }
    }
}
