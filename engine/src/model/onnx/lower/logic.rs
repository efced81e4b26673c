//! Comparisons, truth values (0 and 1) and positions, from the arithmetic that the graph has.

use super::elementwise::{Chain, is_positive, pair};
use crate::graph::{BinaryOp, Op, ReduceOp, UnaryOp, ValueId};
use crate::model::fault::{Fault, unsupported};
use crate::model::onnx::importer::{Importer, floats};
use crate::model::onnx::node::{Node, axis};

/// `1 - x`.
fn not(chain: &mut Chain<'_, '_>, x: ValueId) -> Result<ValueId, Fault> {
    let name = chain.name().to_owned();
    let one = chain.importer().scalar(&format!("{name}/one"), 1.0)?;
    chain.binary(BinaryOp::Sub, one, x)
}

/// 1 where `a > b`, else 0.
fn greater(chain: &mut Chain<'_, '_>, a: ValueId, b: ValueId) -> Result<ValueId, Fault> {
    let difference = chain.binary(BinaryOp::Sub, a, b)?;
    is_positive(chain, difference)
}

/// 1 where `a` is not `b`, else 0.
fn differs(chain: &mut Chain<'_, '_>, a: ValueId, b: ValueId) -> Result<ValueId, Fault> {
    let difference = chain.binary(BinaryOp::Sub, a, b)?;
    let sign = chain.unary(UnaryOp::Sign, difference)?;
    chain.unary(UnaryOp::Abs, sign)
}

/// 0, 1, 2, … along the first of `rank` axes, the others of extent 1.
fn positions(
    importer: &mut Importer<'_>,
    count: usize,
    rank: usize,
    output: &str,
) -> Result<ValueId, Fault> {
    let mut shape = vec![1; rank];
    shape[0] = count;
    let all = (0..count).map(|i| i as f32).collect();
    importer.constant(&format!("{output}/positions"), shape, all)
}

/// `Equal`, `Greater`, `Less`, their likes, `And`, `Or`, `Xor`.
pub(super) fn compare(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let output = node.output()?;
    let ([a, b], channels_last) = pair(importer, node.required(0)?, node.required(1)?)?;
    let mut chain = Chain::new(importer, output);
    let y = match node.op() {
        "Greater" => greater(&mut chain, a, b)?,
        "Less" => greater(&mut chain, b, a)?,
        "GreaterOrEqual" => {
            let less = greater(&mut chain, b, a)?;
            not(&mut chain, less)?
        }
        "LessOrEqual" => {
            let more = greater(&mut chain, a, b)?;
            not(&mut chain, more)?
        }
        "Equal" => {
            let differs = differs(&mut chain, a, b)?;
            not(&mut chain, differs)?
        }
        "And" => chain.binary(BinaryOp::Mul, a, b)?,
        "Or" => chain.binary(BinaryOp::Maximum, a, b)?,
        _ => {
            let difference = chain.binary(BinaryOp::Sub, a, b)?;
            chain.unary(UnaryOp::Abs, difference)?
        }
    };
    importer.bind_as(output, y, channels_last)
}

/// `Not`.
pub(super) fn negation(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let output = node.output()?;
    let (x, channels_last) = importer.as_it_is(node.required(0)?)?;
    let y = not(&mut Chain::new(importer, output), x)?;
    importer.bind_as(output, y, channels_last)
}

/// `Where`: `condition * a + (1 - condition) * b`, of finite numbers.
pub(super) fn choose(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (output, condition) = (node.output()?, node.required(0)?);
    for index in 1..3 {
        let known = importer.known(node.required(index)?);
        if known.is_some_and(|known| known.iter().any(|x| !(*x as f32).is_finite())) {
            return Err(unsupported("a choice of numbers that are not finite".into()));
        }
    }
    // In the order of the file, so that all three are.
    let [c, a, b] = [condition, node.required(1)?, node.required(2)?].map(|n| importer.plain(n));
    let (c, a, b) = (c?, a?, b?);
    let mut chain = Chain::new(importer, output);
    let first = chain.binary(BinaryOp::Mul, c, a)?;
    let other = not(&mut chain, c)?;
    let second = chain.binary(BinaryOp::Mul, other, b)?;
    let y = chain.binary(BinaryOp::Add, first, second)?;
    importer.bind(output, y)
}

/// `ArgMax` and `ArgMin`: the first position, or the last, whose element is the extreme: positions of others are moved out
/// of the way by the axis' extent.
pub(super) fn position(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let rank = importer.shape_of(input)?.len();
    let at = axis(node.int("axis", 0), rank)?;
    let x = importer.plain(input)?;
    let extent = importer.shape(x)[at];
    let max = node.op() == "ArgMax";
    let last = node.int("select_last_index", 0) != 0;
    let (extreme, wanted) = (
        if max { ReduceOp::Max } else { ReduceOp::Min },
        if last { ReduceOp::Max } else { ReduceOp::Min },
    );
    let extreme = Op::Reduce { op: extreme, axes: vec![at], keep_dims: true };
    let extreme = importer.push(extreme, vec![x], None, output)?;
    let positions = positions(importer, extent, rank - at, output)?;
    let mut chain = Chain::new(importer, output);
    let others = differs(&mut chain, x, extreme)?;
    let away = if last { -(extent as f32) } else { extent as f32 };
    let moved = chain.with(BinaryOp::Mul, others, away)?;
    let candidates = chain.binary(BinaryOp::Add, moved, positions)?;
    let keep_dims = node.int("keepdims", 1) != 0;
    let op = Op::Reduce { op: wanted, axes: vec![at], keep_dims };
    let y = importer.push(op, vec![candidates], None, output)?;
    importer.bind(output, y)
}

/// `OneHot` of indices that are computed at run time, with constant depth and values.
pub(super) fn one_hot(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let depth = importer.constant_of(node, 1)?.first().copied().unwrap_or(0.0);
    let values = floats(importer.constant_of(node, 2)?);
    let &[off, on] = values.as_slice() else {
        return Err(unsupported(format!("{} values of a one-hot vector", values.len())));
    };
    if !(1.0..=65536.0).contains(&depth) {
        return Err(unsupported(format!("one-hot vectors of {depth}")));
    }
    let depth = depth as usize;
    let mut shape = importer.shape_of(input)?;
    let at = axis(node.int("axis", -1), shape.len() + 1)?;
    shape.insert(at, 1);
    let x = importer.plain(input)?;
    let x = importer.push(Op::Reshape, vec![x], Some(&shape), output)?;
    let positions = positions(importer, depth, shape.len() - at, output)?;
    let mut chain = Chain::new(importer, output);
    // Negative indices count from the end.
    let below = chain.with(BinaryOp::Minimum, x, 0.0)?;
    let sign = chain.unary(UnaryOp::Sign, below)?;
    let turn = chain.with(BinaryOp::Mul, sign, depth as f32)?;
    let x = chain.binary(BinaryOp::Sub, x, turn)?;
    let differs = differs(&mut chain, x, positions)?;
    let scaled = chain.with(BinaryOp::Mul, differs, off - on)?;
    let y = chain.with(BinaryOp::Add, scaled, on)?;
    importer.bind(output, y)
}
