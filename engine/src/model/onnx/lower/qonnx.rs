//! QONNX's quantizers: numbers rounded to few bits, held as fp32. Those of constants, as weights are, are computed here.
//!
//! Source: the operators' definitions in github.com/fastmachinelearning/qonnx.

use ndarray::{ArrayD, IxDyn};

use super::elementwise::Chain;
use super::quantized::number;
use crate::graph::{BinaryOp, UnaryOp, ValueId};
use crate::model::fault::{Fault, malformed, unsupported};
use crate::model::onnx::importer::Importer;
use crate::model::onnx::node::Node;
use crate::model::onnx::tensors::Known;

/// Whether the operators of `domain` are QONNX's.
pub(in crate::model::onnx) fn is_domain(domain: &str) -> bool {
    matches!(domain, "qonnx.custom_op.general" | "finn.custom_op.general" | "onnx.brevitas")
}

/// The result of a quantizer whose operands are all known; `None` for others.
pub(in crate::model::onnx) fn fold(
    importer: &mut Importer<'_>,
    node: &Node<'_>,
) -> Result<Option<Known>, Fault> {
    let quantizer = is_domain(node.domain()) && matches!(node.op(), "Quant" | "BipolarQuant");
    let known = |index: usize| node.input(index).and_then(|name| importer.known(name)).cloned();
    let (Some(x), Some(scale), true) = (known(0), known(1), quantizer) else { return Ok(None) };
    let like_x = |known: &Known| -> Result<ArrayD<f32>, Fault> {
        let view = known.broadcast(IxDyn(x.shape()));
        let view = view.ok_or_else(|| malformed(format!("has scales {:?}", known.shape())))?;
        Ok(view.mapv(|x| x as f32))
    };
    let (mut y, scale) = (like_x(&x)?, like_x(&scale)?);
    if node.op() == "BipolarQuant" {
        y.zip_mut_with(&scale, |x, scale| *x = if *x >= 0.0 { *scale } else { -scale });
    } else {
        let Some(zero) = known(2) else { return Ok(None) };
        let (zero, (low, high)) = (like_x(&zero)?, limits(importer, node)?);
        y.zip_mut_with(&scale, |x, scale| *x /= scale);
        y.zip_mut_with(&zero, |x, zero| {
            *x = (*x + zero).max(low).min(high).round_ties_even() - zero;
        });
        y.zip_mut_with(&scale, |x, scale| *x *= scale);
    }
    importer.spend(y.len())?;
    Ok(Some(y.mapv(f64::from)))
}

/// The lowest and the highest integer of a `Quant`.
fn limits(importer: &Importer<'_>, node: &Node<'_>) -> Result<(f32, f32), Fault> {
    let bits = number(importer, node, 3)?;
    let (signed, narrow) = (node.int("signed", 1) != 0, node.int("narrow", 0) != 0);
    if !(1.0..=16.0).contains(&bits) || node.text("rounding_mode", "ROUND") != "ROUND" {
        return Err(unsupported(format!("{bits} bits, or another rounding than to the nearest")));
    }
    let one = f32::from(u8::from(narrow));
    Ok(match signed {
        true => (-(bits - 1.0).exp2() + one, (bits - 1.0).exp2() - 1.0),
        false => (0.0, bits.exp2() - 1.0 - one),
    })
}

/// `Quant`: x, scale, zero point, bits; both rounded to integers and back.
pub(super) fn quant(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let (low, high) = limits(importer, node)?;
    let scale = importer.plain(node.required(1)?)?;
    let zero = importer.plain(node.required(2)?)?;
    let x = importer.plain(input)?;
    let mut chain = Chain::new(importer, output);
    let steps = chain.binary(BinaryOp::Div, x, scale)?;
    let moved = chain.binary(BinaryOp::Add, steps, zero)?;
    let bounded = chain.clamp(moved, low, high)?;
    let whole = chain.unary(UnaryOp::Round, bounded)?;
    let centred = chain.binary(BinaryOp::Sub, whole, zero)?;
    let y = chain.binary(BinaryOp::Mul, centred, scale)?;
    importer.bind(output, y)
}

/// `BipolarQuant`: x, scale; +1 at and above 0, else -1, times the scale.
pub(super) fn bipolar_quant(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output, scale) = (node.required(0)?, node.output()?, node.required(1)?);
    // A single scale fits x in any order of its axes.
    let single = match importer.known(scale) {
        Some(known) if known.len() == 1 => known.first().copied(),
        _ => None,
    };
    let Some(factor) = single else {
        let (x, scale) = (importer.plain(input)?, importer.plain(scale)?);
        let y = signs(importer, output, x, |chain, y| chain.binary(BinaryOp::Mul, y, scale))?;
        return importer.bind(output, y);
    };
    // Convolutions read signs in the order in which these are packed.
    let channels_last = importer.shape_of(input)?.len() == 4;
    let x = if channels_last { importer.channels_last(input)? } else { importer.plain(input)? };
    let y = signs(importer, output, x, |chain, y| match factor as f32 {
        1.0 => Ok(y),
        factor => chain.with(BinaryOp::Mul, y, factor),
    })?;
    importer.bind_as(output, y, channels_last)
}

fn signs(
    importer: &mut Importer<'_>,
    output: &str,
    x: ValueId,
    scaled: impl FnOnce(&mut Chain<'_, '_>, ValueId) -> Result<ValueId, Fault>,
) -> Result<ValueId, Fault> {
    let mut chain = Chain::new(importer, output);
    let y = chain.unary(UnaryOp::Bipolar, x)?;
    scaled(&mut chain, y)
}
