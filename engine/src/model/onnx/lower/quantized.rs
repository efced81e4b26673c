//! Quantized operators, computed as they are defined on integers that are held as fp32.

use super::elementwise::Chain;
use super::layers;
use crate::graph::{BinaryOp, Op, ReduceOp, UnaryOp, ValueId};
use crate::model::fault::{Fault, malformed, unsupported};
use crate::model::onnx::fold::Block;
use crate::model::onnx::importer::{Importer, floats};
use crate::model::onnx::node::{Node, axis};
use crate::model::onnx::tensors::Known;

/// Lowest and highest integer of 8 bits.
fn limits(signed: bool) -> (f32, f32) {
    if signed { (-128.0, 127.0) } else { (0.0, 255.0) }
}

/// Scale and zero point of operands `scale` and the next, in the shape in which they are broadcast over an operand of
/// `rank` axes, and whether integers have a sign.
struct Encoding {
    scale: ValueId,
    zero: ValueId,
    signed: bool,
}

fn encoding(
    importer: &mut Importer<'_>,
    node: &Node<'_>,
    at: usize,
    of_x: &[usize],
) -> Result<Encoding, Fault> {
    let rank = of_x.len();
    if importer.known(node.required(at)?).is_none() {
        // Found at run time, as `DynamicQuantizeLinear` does: of all elements together, without a sign.
        let scale = importer.plain(node.required(at)?)?;
        let zero = match node.input(at + 1) {
            Some(name) => importer.plain(name)?,
            None => importer.scalar(&format!("{}/zero", node.output()?), 0.0)?,
        };
        return Ok(Encoding { scale, zero, signed: false });
    }
    let block = Block::of(node, of_x)?;
    let spread = |known: &Known| match &block {
        Some(block) => Ok(floats(&block.spread(known)?)),
        None => Ok(floats(known)),
    };
    if block.is_some() {
        importer.spend(2 * of_x.iter().product::<usize>())?;
    }
    let scale = spread(importer.constant_of(node, at)?)?;
    let zero = match node.input(at + 1) {
        Some(_) => spread(importer.constant_of(node, at + 1)?)?,
        None => vec![0.0; scale.len()],
    };
    let signed = match node.input(at + 1) {
        Some(name) => importer.is_signed(name),
        None => false,
    };
    if scale.len() != zero.len() || scale.iter().any(|s| !s.is_finite() || *s <= 0.0) {
        return Err(malformed(
            "has scales that are not positive, or of another number than zero points".into(),
        ));
    }
    let shape = if block.is_some() {
        of_x.to_vec()
    } else if scale.len() == 1 {
        vec![1]
    } else {
        let at = axis(node.int("axis", 1), rank)?;
        [&[scale.len()][..], &vec![1; rank - at - 1]].concat()
    };
    let name = node.output()?;
    let scale = importer.constant(&format!("{name}/scale"), shape.clone(), scale)?;
    let zero = importer.constant(&format!("{name}/zero"), shape, zero)?;
    Ok(Encoding { scale, zero, signed })
}

/// `clamp(round(x / scale) + zero)`.
fn quantized(
    importer: &mut Importer<'_>,
    x: ValueId,
    e: &Encoding,
    output: &str,
) -> Result<ValueId, Fault> {
    let (low, high) = limits(e.signed);
    let mut chain = Chain::new(importer, output);
    let steps = chain.binary(BinaryOp::Div, x, e.scale)?;
    let whole = chain.unary(UnaryOp::Round, steps)?;
    let moved = chain.binary(BinaryOp::Add, whole, e.zero)?;
    chain.clamp(moved, low, high)
}

/// `(x - zero) * scale`.
fn real(
    importer: &mut Importer<'_>,
    x: ValueId,
    e: &Encoding,
    output: &str,
) -> Result<ValueId, Fault> {
    let mut chain = Chain::new(importer, output);
    let centred = chain.binary(BinaryOp::Sub, x, e.zero)?;
    chain.binary(BinaryOp::Mul, centred, e.scale)
}

/// `QuantizeLinear` to 8 bits.
pub(super) fn quantize_linear(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    const INT8: i64 = 3;
    let shape = importer.shape_of(input)?;
    let mut e = encoding(importer, node, 1, &shape)?;
    match node.int("output_dtype", 0) {
        0 | 2 => {}
        INT8 => e.signed = true,
        other => return Err(unsupported(format!("integers of type {other}"))),
    }
    let per_tensor = importer.shape(e.scale).iter().all(|&n| n == 1);
    let (x, channels_last) =
        if per_tensor { importer.as_it_is(input)? } else { (importer.plain(input)?, false) };
    let y = quantized(importer, x, &e, output)?;
    importer.bind_as(output, y, channels_last)
}

/// `DequantizeLinear` of values that are computed at run time.
pub(super) fn dequantize_linear(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let shape = importer.shape_of(input)?;
    let e = encoding(importer, node, 1, &shape)?;
    let per_tensor = importer.shape(e.scale).iter().all(|&n| n == 1);
    let (x, channels_last) =
        if per_tensor { importer.as_it_is(input)? } else { (importer.plain(input)?, false) };
    let y = real(importer, x, &e, output)?;
    importer.bind_as(output, y, channels_last)
}

/// `DynamicQuantizeLinear`: quantized over the range of the operand and 0; the scale and the zero point.
pub(super) fn dynamic_quantize(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let x = importer.plain(input)?;
    let axes: Vec<usize> = (0..importer.shape(x).len()).collect();
    let mut extreme = |op, bound| {
        let op = Op::Reduce { op, axes: axes.clone(), keep_dims: false };
        let y = importer.push(op, vec![x], None, output)?;
        Chain::new(importer, output).with(bound, y, 0.0)
    };
    let low = extreme(ReduceOp::Min, BinaryOp::Minimum)?;
    let high = extreme(ReduceOp::Max, BinaryOp::Maximum)?;
    let mut chain = Chain::new(importer, output);
    let range = chain.binary(BinaryOp::Sub, high, low)?;
    let scale = chain.with(BinaryOp::Div, range, 255.0)?;
    let steps = chain.binary(BinaryOp::Div, low, scale)?;
    let negative = chain.unary(UnaryOp::Neg, steps)?;
    let bounded = chain.clamp(negative, 0.0, 255.0)?;
    let zero = chain.unary(UnaryOp::Round, bounded)?;
    let y = quantized(importer, x, &Encoding { scale, zero, signed: false }, output)?;
    importer.bind(output, y)?;
    for (index, id) in [(1, scale), (2, zero)] {
        if let (true, Some(name)) = (node.has_output(index), node.outputs().get(index)) {
            // A number, not a list of one.
            let id = importer.push(Op::Reshape, vec![id], Some(&Vec::new()), name)?;
            importer.bind(name, id)?;
        }
    }
    Ok(())
}

/// Constant integers less their zero point, which is one number or one per index of `axis`.
fn centred(weights: &Known, zero: Option<&Known>, axis: usize) -> Result<Known, Fault> {
    let Some(zero) = zero else { return Ok(weights.clone()) };
    let zero: Vec<f64> = zero.iter().copied().collect();
    let mut weights = weights.clone();
    if zero.len() != 1 && weights.shape().get(axis) != Some(&zero.len()) {
        return Err(malformed(format!("has {} zero points for {:?}", zero.len(), weights.shape())));
    }
    for (index, element) in weights.indexed_iter_mut() {
        *element -= if zero.len() == 1 { zero[0] } else { zero[index[axis]] };
    }
    Ok(weights)
}

fn optional<'a>(
    importer: &'a Importer<'_>,
    node: &Node<'_>,
    index: usize,
) -> Result<Option<&'a Known>, Fault> {
    node.input(index).map(|_| importer.constant_of(node, index)).transpose()
}

/// A single number of an operand.
pub(super) fn number(importer: &Importer<'_>, node: &Node<'_>, index: usize) -> Result<f32, Fault> {
    let known = importer.constant_of(node, index)?;
    match (known.len(), known.first()) {
        (1, Some(&x)) => Ok(x as f32),
        (count, _) => Err(unsupported(format!("{count} scales or zero points of an activation"))),
    }
}

/// What is behind an integer product: `clamp(round(sum * scale) + zero)`, scales per output channel or one.
fn requantized(
    importer: &mut Importer<'_>,
    sum: ValueId,
    factors: Vec<f32>,
    (zero, signed): (f32, bool),
    output: &str,
) -> Result<ValueId, Fault> {
    let (low, high) = limits(signed);
    let count = factors.len();
    let factors = importer.constant(&format!("{output}/factors"), vec![count], factors)?;
    let mut chain = Chain::new(importer, output);
    let scaled = chain.binary(BinaryOp::Mul, sum, factors)?;
    let whole = chain.unary(UnaryOp::Round, scaled)?;
    let moved = chain.with(BinaryOp::Add, whole, zero)?;
    chain.clamp(moved, low, high)
}

/// `QLinearConv`: x, its scale and zero point, weights with theirs, those of the result, optional bias.
pub(super) fn qlinear_conv(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let output = node.output()?;
    let weights = centred(importer.constant_of(node, 3)?, optional(importer, node, 5)?, 0)?;
    let bias = optional(importer, node, 8)?.map(floats);
    let (x_scale, y_scale) = (number(importer, node, 1)?, number(importer, node, 6)?);
    let factors =
        floats(importer.constant_of(node, 4)?).iter().map(|w| x_scale * w / y_scale).collect();
    let result = (number(importer, node, 7)?, importer.is_signed(node.required(7)?));
    let zero = number(importer, node, 2)?;
    let x = importer.channels_last(node.required(0)?)?;
    let x = Chain::new(importer, output).with(BinaryOp::Sub, x, zero)?;
    let sum = layers::convolution(importer, node, (x, false), &weights, bias, output)?;
    let y = requantized(importer, sum, factors, result, output)?;
    importer.bind_channels_last(output, y)
}

/// `ConvInteger`: x, weights, their zero points.
pub(super) fn conv_integer(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let output = node.output()?;
    let weights = centred(importer.constant_of(node, 1)?, optional(importer, node, 3)?, 0)?;
    let zero = if node.input(2).is_some() { number(importer, node, 2)? } else { 0.0 };
    let x = importer.channels_last(node.required(0)?)?;
    let x = Chain::new(importer, output).with(BinaryOp::Sub, x, zero)?;
    let y = layers::convolution(importer, node, (x, false), &weights, None, output)?;
    importer.bind_channels_last(output, y)
}

/// The product of integers less their zero points by a constant matrix.
fn integer_product(
    importer: &mut Importer<'_>,
    node: &Node<'_>,
    zero: f32,
    weights: &Known,
) -> Result<ValueId, Fault> {
    let output = node.output()?;
    let x = importer.plain(node.required(0)?)?;
    let x = Chain::new(importer, output).with(BinaryOp::Sub, x, zero)?;
    layers::stacked(importer, x, weights, output)
}

/// `QLinearMatMul` by a constant matrix.
pub(super) fn qlinear_matmul(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let output = node.output()?;
    let weights = centred(importer.constant_of(node, 3)?, optional(importer, node, 5)?, 1)?;
    let (x_scale, y_scale) = (number(importer, node, 1)?, number(importer, node, 6)?);
    let factors =
        floats(importer.constant_of(node, 4)?).iter().map(|w| x_scale * w / y_scale).collect();
    let result = (number(importer, node, 7)?, importer.is_signed(node.required(7)?));
    let zero = number(importer, node, 2)?;
    let sum = integer_product(importer, node, zero, &weights)?;
    let y = requantized(importer, sum, factors, result, output)?;
    importer.bind(output, y)
}

/// `MatMulInteger` by a constant matrix.
pub(super) fn matmul_integer(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let weights = centred(importer.constant_of(node, 1)?, optional(importer, node, 3)?, 1)?;
    let zero = if node.input(2).is_some() { number(importer, node, 2)? } else { 0.0 };
    let y = integer_product(importer, node, zero, &weights)?;
    importer.bind(node.output()?, y)
}
