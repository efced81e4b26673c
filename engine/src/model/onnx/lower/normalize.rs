//! Normalizations over the values of one inference.

use super::elementwise::Chain;
use crate::graph::{BinaryOp, Op, ReduceOp, UnaryOp, ValueId};
use crate::model::fault::{Fault, malformed, unsupported};
use crate::model::onnx::importer::{Importer, floats};
use crate::model::onnx::node::{Node, axes, axis};

/// `(x - mean) / sqrt(variance + epsilon)` over axes, the mean, and that root.
fn normalized(
    importer: &mut Importer<'_>,
    x: ValueId,
    axes: Vec<usize>,
    epsilon: f32,
    output: &str,
) -> Result<[ValueId; 3], Fault> {
    let mean = Op::Reduce { op: ReduceOp::Mean, axes, keep_dims: true };
    let middle = importer.push(mean.clone(), vec![x], None, output)?;
    let centred = Chain::new(importer, output).binary(BinaryOp::Sub, x, middle)?;
    let square = Chain::new(importer, output).binary(BinaryOp::Mul, centred, centred)?;
    let variance = importer.push(mean, vec![square], None, output)?;
    let mut chain = Chain::new(importer, output);
    let moved = chain.with(BinaryOp::Add, variance, epsilon)?;
    let deviation = chain.unary(UnaryOp::Sqrt, moved)?;
    Ok([chain.binary(BinaryOp::Div, centred, deviation)?, middle, deviation])
}

/// `InstanceNormalization` of four axes.
pub(super) fn instance_normalization(
    importer: &mut Importer<'_>,
    node: &Node<'_>,
) -> Result<(), Fault> {
    let output = node.output()?;
    let (scale, shift) =
        (floats(importer.constant_of(node, 1)?), floats(importer.constant_of(node, 2)?));
    let x = importer.channels_last(node.required(0)?)?;
    let [y, ..] = normalized(importer, x, vec![1, 2], node.float("epsilon", 1e-5), output)?;
    let y = scaled(importer, y, [scale, shift], 1, output)?;
    importer.bind_channels_last(output, y)
}

/// `LayerNormalization` over the last axes.
pub(super) fn layer_normalization(
    importer: &mut Importer<'_>,
    node: &Node<'_>,
) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let rank = importer.shape_of(input)?.len();
    let first = axis(node.int("axis", -1), rank)?;
    let x = importer.plain(input)?;
    let over = (first..rank).collect();
    let [mut y, mean, deviation] =
        normalized(importer, x, over, node.float("epsilon", 1e-5), output)?;
    if node.has_output(1) {
        importer.bind(&node.outputs()[1], mean)?;
    }
    if node.has_output(2) {
        let name = &node.outputs()[2];
        let one = importer.scalar(&format!("{name}/one"), 1.0)?;
        let inverse = Chain::new(importer, name).binary(BinaryOp::Div, one, deviation)?;
        importer.bind(name, inverse)?;
    }
    for (index, op) in [(1, BinaryOp::Mul), (2, BinaryOp::Add)] {
        if let Some(name) = node.input(index) {
            let parameter = importer.plain(name)?;
            y = Chain::new(importer, output).binary(op, y, parameter)?;
        }
    }
    importer.bind(output, y)
}

/// Multiplies by and adds a constant per element of the axis that is the first of the last `axes` ones.
fn scaled(
    importer: &mut Importer<'_>,
    y: ValueId,
    parameters: [Vec<f32>; 2],
    axes: usize,
    output: &str,
) -> Result<ValueId, Fault> {
    let mut constant = |name: &str, values: Vec<f32>| {
        let mut shape = vec![1; axes];
        shape[0] = values.len();
        importer.constant(&format!("{output}/{name}"), shape, values)
    };
    let [scale, shift] = parameters;
    let (scale, shift) = (constant("scale", scale)?, constant("shift", shift)?);
    let mut chain = Chain::new(importer, output);
    let scaled = chain.binary(BinaryOp::Mul, y, scale)?;
    chain.binary(BinaryOp::Add, scaled, shift)
}

/// `GroupNormalization`: parameters are per group before version 21, per channel from then on.
pub(super) fn group_normalization(
    importer: &mut Importer<'_>,
    node: &Node<'_>,
) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let shape = importer.shape_of(input)?;
    let groups = usize::try_from(node.int("num_groups", 0)).unwrap_or(0);
    let [n, channels, ..] = shape[..] else {
        return Err(malformed(format!("normalizes {shape:?}")));
    };
    if groups == 0 || !channels.is_multiple_of(groups) {
        return Err(malformed(format!("has {groups} groups of {channels} channels")));
    }
    let mut parameters = [1, 2].map(|index| importer.constant_of(node, index).map(floats));
    for parameter in parameters.iter_mut().flatten() {
        if parameter.len() == groups {
            let each = |c: usize| parameter[c / (channels / groups)];
            *parameter = (0..channels).map(each).collect();
        }
        if parameter.len() != channels {
            return Err(malformed(format!("has {} parameters", parameter.len())));
        }
    }
    let [scale, shift] = parameters;
    let x = importer.plain(input)?;
    let each = shape.iter().product::<usize>() / (n * groups);
    let grouped = importer.push(Op::Reshape, vec![x], Some(&[n, groups, each]), output)?;
    let [y, ..] = normalized(importer, grouped, vec![2], node.float("epsilon", 1e-5), output)?;
    let y = importer.push(Op::Reshape, vec![y], Some(&shape), output)?;
    let y = scaled(importer, y, [scale?, shift?], shape.len() - 1, output)?;
    importer.bind(output, y)
}

/// `MeanVarianceNormalization`.
pub(super) fn mean_variance(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let x = importer.plain(input)?;
    let over = axes(node.ints("axes").unwrap_or(&[0, 2, 3]), importer.shape(x).len())?;
    let [y, ..] = normalized(importer, x, over, 1e-9, output)?;
    importer.bind(output, y)
}

/// `RMSNormalization`: by the root of the mean of the squares over the last axes.
pub(super) fn root_mean_square(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let x = importer.plain(input)?;
    let rank = importer.shape(x).len();
    let first = axis(node.int("axis", -1), rank)?;
    let square = Chain::new(importer, output).binary(BinaryOp::Mul, x, x)?;
    let op = Op::Reduce { op: ReduceOp::Mean, axes: (first..rank).collect(), keep_dims: true };
    let mean = importer.push(op, vec![square], None, output)?;
    let scale = importer.plain(node.required(1)?)?;
    let mut chain = Chain::new(importer, output);
    let moved = chain.with(BinaryOp::Add, mean, node.float("epsilon", 1e-5))?;
    let root = chain.unary(UnaryOp::Sqrt, moved)?;
    let y = chain.binary(BinaryOp::Div, x, root)?;
    let y = chain.binary(BinaryOp::Mul, y, scale)?;
    importer.bind(output, y)
}

/// `LpNormalization` by the sum of magnitudes or the root of that of squares.
pub(super) fn by_norm(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let x = importer.plain(input)?;
    let at = axis(node.int("axis", -1), importer.shape(x).len())?;
    let power = node.int("p", 2);
    let mut chain = Chain::new(importer, output);
    let magnitude = match power {
        1 => chain.unary(UnaryOp::Abs, x)?,
        2 => chain.binary(BinaryOp::Mul, x, x)?,
        other => return Err(unsupported(format!("a norm of order {other}"))),
    };
    let op = Op::Reduce { op: ReduceOp::Sum, axes: vec![at], keep_dims: true };
    let mut norm = importer.push(op, vec![magnitude], None, output)?;
    let mut chain = Chain::new(importer, output);
    if power == 2 {
        norm = chain.unary(UnaryOp::Sqrt, norm)?;
    }
    let y = chain.binary(BinaryOp::Div, x, norm)?;
    importer.bind(output, y)
}
