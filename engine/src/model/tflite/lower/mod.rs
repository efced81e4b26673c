//! One operator of the file to one node of the graph (now and then with a helper before it).
//!
//! What follows from shapes alone (do the operands fit each other and the declared result) is left to
//! [`crate::graph::infer`], which checks every node of the finished graph.

mod larq;
mod layers;
mod structure;

use super::builtin::Builtin;
use super::importer::{Importer, Kind, Operator, tensor_id};
use super::schema::{AddOptions, DivOptions, MulOptions, SoftmaxOptions, SubOptions};
use crate::graph::{Activation, BinaryOp, Op, ReduceOp, UnaryOp};
use crate::model::fault::{Fault, malformed, unsupported};

/// Adds `op` to the graph.
pub(super) fn lower(importer: &mut Importer<'_>, op: &Operator) -> Result<(), Fault> {
    let splits = matches!(op.kind, Some(Kind::Builtin(Builtin::Unpack)));
    if op.outputs.len() != 1 && !splits {
        return Err(malformed(format!("has {} results instead of 1", op.outputs.len())));
    }
    let builtin = match op.kind {
        Some(Kind::Builtin(builtin)) => builtin,
        Some(Kind::Larq(kind)) => return larq::lower(importer, op, kind),
        None => return Err(unsupported("the engine has no such operator".into())),
    };
    match builtin {
        Builtin::Conv2d => layers::conv_2d(importer, op),
        Builtin::DepthwiseConv2d => layers::depthwise_conv_2d(importer, op),
        Builtin::FullyConnected => layers::fully_connected(importer, op),
        Builtin::Prelu => layers::prelu(importer, op),
        Builtin::MaxPool2d => layers::pool(importer, op, true),
        Builtin::AveragePool2d => layers::pool(importer, op, false),
        Builtin::Softmax => softmax(importer, op),
        Builtin::Relu => unary(importer, op, UnaryOp::Relu),
        Builtin::Relu6 => unary(importer, op, UnaryOp::Relu6),
        Builtin::Logistic => unary(importer, op, UnaryOp::Logistic),
        Builtin::Sign => unary(importer, op, UnaryOp::Sign),
        Builtin::Add => binary(importer, op, BinaryOp::Add),
        Builtin::Sub => binary(importer, op, BinaryOp::Sub),
        Builtin::Mul => binary(importer, op, BinaryOp::Mul),
        Builtin::Div => binary(importer, op, BinaryOp::Div),
        Builtin::Maximum => binary(importer, op, BinaryOp::Maximum),
        Builtin::Minimum => binary(importer, op, BinaryOp::Minimum),
        Builtin::Mean => structure::reduce(importer, op, ReduceOp::Mean),
        Builtin::Sum => structure::reduce(importer, op, ReduceOp::Sum),
        Builtin::ReduceMax => structure::reduce(importer, op, ReduceOp::Max),
        Builtin::ReduceMin => structure::reduce(importer, op, ReduceOp::Min),
        Builtin::Pad => structure::pad(importer, op),
        Builtin::ResizeBilinear => structure::resize_bilinear(importer, op),
        Builtin::Reshape | Builtin::Squeeze | Builtin::ExpandDims => {
            structure::reshape(importer, op)
        }
        Builtin::Concatenation => structure::concatenation(importer, op),
        Builtin::Gather => structure::gather(importer, op),
        Builtin::Unpack => structure::unpack(importer, op),
        Builtin::StridedSlice => structure::strided_slice(importer, op),
        Builtin::Dequantize => structure::dequantize(importer, op),
    }
}

fn unary(importer: &mut Importer<'_>, op: &Operator, function: UnaryOp) -> Result<(), Fault> {
    let [x] = operands(op)?;
    let x = importer.operand(x)?;
    importer.node(Op::Unary(function), vec![x], &op.outputs)
}

fn binary(importer: &mut Importer<'_>, op: &Operator, function: BinaryOp) -> Result<(), Fault> {
    let [a, b] = operands(op)?;
    let activation = match function {
        BinaryOp::Add => AddOptions::of(op.options)?.activation,
        BinaryOp::Sub => SubOptions::of(op.options)?.activation,
        BinaryOp::Mul => MulOptions::of(op.options)?.activation,
        BinaryOp::Div => DivOptions::of(op.options)?.activation,
        BinaryOp::Maximum | BinaryOp::Minimum => 0,
    };
    let activation = fused(activation)?;
    let inputs = vec![importer.operand(a)?, importer.operand(b)?];
    importer.node(Op::Binary { op: function, activation }, inputs, &op.outputs)
}

fn softmax(importer: &mut Importer<'_>, op: &Operator) -> Result<(), Fault> {
    let [x] = operands(op)?;
    let SoftmaxOptions { beta } = SoftmaxOptions::of(op.options)?;
    if !(beta.is_finite() && beta > 0.0) {
        return Err(malformed(format!("has a beta of {beta}")));
    }
    let x = importer.operand(x)?;
    importer.node(Op::Softmax { beta }, vec![x], &op.outputs)
}

/// The operands of an operator that has exactly `N`.
fn operands<const N: usize>(op: &Operator) -> Result<[usize; N], Fault> {
    let ids: &[i32; N] = op
        .inputs
        .as_slice()
        .try_into()
        .map_err(|_| malformed(format!("has {} operands instead of {N}", op.inputs.len())))?;
    let mut tensors = [0; N];
    for (tensor, &id) in tensors.iter_mut().zip(ids) {
        *tensor = tensor_id(id)?;
    }
    Ok(tensors)
}

/// The activation that the file asks to be applied to the result.
fn fused(code: i8) -> Result<Activation, Fault> {
    let name = match code {
        0 => return Ok(Activation::None),
        1 => return Ok(Activation::Relu),
        3 => return Ok(Activation::Relu6),
        2 => "RELU_N1_TO_1",
        4 => "TANH",
        5 => "SIGN_BIT",
        other => return Err(malformed(format!("has an unknown fused activation {other}"))),
    };
    Err(unsupported(format!("the fused activation {name}")))
}

/// An axis of a tensor of `rank` axes, counted from the end when negative.
fn axis(axis: i32, rank: usize) -> Result<usize, Fault> {
    let resolved = if axis < 0 { i64::from(axis) + rank as i64 } else { i64::from(axis) };
    usize::try_from(resolved)
        .ok()
        .filter(|&axis| axis < rank)
        .ok_or_else(|| malformed(format!("has axis {axis} of a tensor with {rank} axes")))
}
