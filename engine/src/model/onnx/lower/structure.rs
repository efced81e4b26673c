//! Operators that move elements, change shapes or reduce axes.

use super::elementwise::{Chain, cut as cut_fraction};
use crate::graph::{BinaryOp, Op, ReduceOp, UnaryOp, ValueId};
use crate::model::fault::{Fault, malformed, unsupported};
use crate::model::onnx::fold::{permutation, resolve_shape, slices};
use crate::model::onnx::importer::{Held, Importer, TO_NCHW, TO_NHWC};
use crate::model::onnx::node::{Node, axes, axis};
use crate::model::onnx::tensors::Known;

/// `TensorProto.DataType` of fp32, and of integers that fp32 can hold.
const FLOAT: i64 = 1;
const INTEGERS: [i64; 6] = [2, 3, 4, 5, 6, 7];
const BOOL: i64 = 9;

/// `Identity`, `Dropout` (which does nothing behind training), and `Cast`: to integers it cuts what is behind the point.
pub(super) fn identity(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let known = |index: usize| node.input(index).and_then(|name| importer.known(name));
    let is = |known: Option<&Known>, zero: bool| {
        known.is_some_and(|known| known.iter().all(|&x| (x == 0.0) == zero))
    };
    if node.op() == "Dropout" && is(known(2), false) && !is(known(1), true) {
        return Err(unsupported("a dropout that trains".into()));
    }
    if let Some(mask) = node.outputs().get(1).filter(|mask| importer.is_read(mask)) {
        let shape = importer.shape_of(input)?;
        importer.know(mask, Known::ones(shape))?;
    }
    match (node.op(), node.int("to", FLOAT)) {
        ("Identity" | "Dropout", _) | (_, FLOAT) => importer.alias(output, input),
        (_, kind) if INTEGERS.contains(&kind) => {
            let (x, channels_last) = importer.as_it_is(input)?;
            let y = cut_fraction(&mut Chain::new(importer, output), x)?;
            importer.bind_as(output, y, channels_last)
        }
        (_, BOOL) => {
            let (x, channels_last) = importer.as_it_is(input)?;
            let mut chain = Chain::new(importer, output);
            let sign = chain.unary(UnaryOp::Sign, x)?;
            let y = chain.unary(UnaryOp::Abs, sign)?;
            importer.bind_as(output, y, channels_last)
        }
        (_, kind) => Err(unsupported(format!("a cast of run-time values to type {kind}"))),
    }
}

/// Integers of an operand, or of the attribute that older versions have instead.
fn parameter(
    importer: &Importer<'_>,
    node: &Node<'_>,
    index: usize,
    name: &str,
) -> Result<Option<Vec<i64>>, Fault> {
    match node.input(index) {
        Some(_) => importer.ints_of(node, index).map(Some),
        None => Ok(node.ints(name).map(<[i64]>::to_vec)),
    }
}

/// `Reshape`, `Flatten`, `Squeeze`, `Unsqueeze`.
pub(super) fn reshape(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let from = importer.shape_of(input)?;
    let rank = from.len();
    let shape = match node.op() {
        "Reshape" => {
            let given = parameter(importer, node, 1, "shape")?.unwrap_or_default();
            resolve_shape(&from, &given, node.int("allowzero", 0) != 0)?
        }
        "Flatten" => {
            let at = node.int("axis", 1);
            let at = if at < 0 { at + rank as i64 } else { at };
            let at = usize::try_from(at).ok().filter(|&at| at <= rank);
            let at = at.ok_or_else(|| malformed(format!("has no axis to flatten {from:?} at")))?;
            vec![from[..at].iter().product(), from[at..].iter().product()]
        }
        "Squeeze" => match parameter(importer, node, 1, "axes")? {
            None => from.iter().copied().filter(|&n| n != 1).collect(),
            Some(given) => {
                let dropped = axes(&given, rank)?;
                (0..rank).filter(|axis| !dropped.contains(axis)).map(|axis| from[axis]).collect()
            }
        },
        _ => {
            let given = parameter(importer, node, 1, "axes")?;
            let given = given.ok_or_else(|| malformed("has no axes".into()))?;
            let added = axes(&given, rank + given.len())?;
            let mut kept = from.iter().copied();
            let all = 0..rank + added.len();
            all.filter_map(|axis| if added.contains(&axis) { Some(1) } else { kept.next() })
                .collect()
        }
    };
    let x = importer.plain(input)?;
    let y = importer.push(Op::Reshape, vec![x], Some(&shape), output)?;
    importer.bind(output, y)
}

/// `Transpose`; between NCHW and NHWC it only changes how a value is seen.
pub(super) fn transpose(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let perm = permutation(node, importer.shape_of(input)?.len())?;
    let (x, channels_last) = importer.as_it_is(input)?;
    match (channels_last, perm.as_slice()) {
        (true, perm) if perm == TO_NHWC => importer.bind(output, x),
        (false, perm) if perm == TO_NCHW => importer.bind_channels_last(output, x),
        _ => {
            let x = importer.plain(input)?;
            let y = importer.transpose(x, &perm)?;
            importer.bind(output, y)
        }
    }
}

/// An axis of the file as the axis of a value in NHWC order.
fn last_axis(axis: usize) -> usize {
    [0, 3, 1, 2][axis]
}

/// `Concat`.
pub(super) fn concat(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let output = node.output()?;
    let rank = importer.shape_of(node.required(0)?)?.len();
    let at = axis(node.int("axis", 1), rank)?;
    let mut channels_last = false;
    let empty = |name: &&String| importer.known(name).is_some_and(|known| known.is_empty());
    let names: Vec<&String> = node.inputs().iter().filter(|name| !empty(name)).collect();
    for &name in &names {
        let last = matches!(importer.get(name)?, Held::Computed(computed) if computed.only_channels_last());
        channels_last |= last && rank == 4;
    }
    let mut inputs = Vec::with_capacity(names.len());
    for name in names {
        inputs.push(if channels_last {
            importer.channels_last(name)?
        } else {
            importer.plain(name)?
        });
    }
    let at = if channels_last { last_axis(at) } else { at };
    let y = importer.push(Op::Concat { axis: at }, inputs, None, output)?;
    importer.bind_as(output, y, channels_last)
}

/// `Pad` with constants: zeros by the engine's own operator, other numbers by moving the input to where they are zero;
/// `reflect`, `edge` and `wrap` by picking.
pub(super) fn pad(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let shape = importer.shape_of(input)?;
    let rank = shape.len();
    let given =
        parameter(importer, node, 1, "pads")?.ok_or_else(|| malformed("has no pads".into()))?;
    let named: Vec<usize> = match node.input(3) {
        Some(_) => {
            let all = importer.ints_of(node, 3)?;
            all.iter().map(|&a| axis(a, rank)).collect::<Result<_, _>>()?
        }
        None => (0..rank).collect(),
    };
    let amounts: Option<Vec<usize>> = given.iter().map(|&n| usize::try_from(n).ok()).collect();
    let amounts = amounts.ok_or_else(|| unsupported("pads that cut".into()))?;
    if amounts.len() != 2 * named.len() {
        return Err(malformed(format!("has {} pads for {} axes", amounts.len(), named.len())));
    }
    let mut pairs = vec![[0, 0]; rank];
    for (index, &axis) in named.iter().enumerate() {
        pairs[axis] = [amounts[index], amounts[index + named.len()]];
    }
    let element = match node.input(2) {
        Some(_) => importer.constant_of(node, 2)?.first().map_or(0.0, |&x| x as f32),
        None => node.float("value", 0.0),
    };
    let (mut x, channels_last) = importer.as_it_is(input)?;
    if channels_last {
        pairs = TO_NHWC.iter().map(|&axis| pairs[axis]).collect();
    }
    let mode = node.text("mode", "constant");
    if mode != "constant" {
        for (axis, &amounts) in pairs.iter().enumerate().filter(|(_, amounts)| **amounts != [0, 0])
        {
            let extent = importer.shape(x)[axis];
            let picked = mirrored(extent, amounts, mode)?;
            let indices = importer.indices(&format!("{output}/axis{axis}"), picked)?;
            x = importer.push(Op::Gather { axis }, vec![x, indices], None, output)?;
        }
        return importer.bind_as(output, x, channels_last);
    }
    let moved = element != 0.0;
    if moved {
        x = Chain::new(importer, output).with(BinaryOp::Sub, x, element)?;
    }
    let mut y = importer.push(Op::Pad { amounts: pairs }, vec![x], None, output)?;
    if moved {
        y = Chain::new(importer, output).with(BinaryOp::Add, y, element)?;
    }
    importer.bind_as(output, y, channels_last)
}

/// Which elements an axis has behind padding by its own elements.
fn mirrored(extent: usize, [before, after]: [usize; 2], mode: &str) -> Result<Vec<usize>, Fault> {
    let total = extent.checked_add(before).and_then(|n| n.checked_add(after));
    let total =
        total.filter(|&n| n < 1 << 20).ok_or_else(|| malformed("pads by too much".into()))?;
    let n = extent as i64;
    (0..total as i64)
        .map(|i| {
            let at = i - before as i64;
            Ok(match mode {
                "edge" => at.clamp(0, n - 1),
                "wrap" => at.rem_euclid(n),
                "reflect" if n == 1 => 0,
                "reflect" => {
                    let at = at.rem_euclid(2 * (n - 1));
                    at.min(2 * (n - 1) - at)
                }
                other => return Err(unsupported(format!("padding by {other}"))),
            } as usize)
        })
        .collect()
}

/// `Slice` with constant bounds.
pub(super) fn slice(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let shape = importer.shape_of(input)?;
    let parts = slices(node, |index, name| parameter(importer, node, index, name), &shape)?;
    let mut taken: Vec<(usize, isize, usize)> = shape.iter().map(|&n| (0, 1, n)).collect();
    for part in parts {
        taken[part.axis] = (part.first, part.step, part.count);
    }
    cut(importer, input, taken, output)
}

/// First index, step and count of every axis.
fn cut(
    importer: &mut Importer<'_>,
    input: &str,
    taken: Vec<(usize, isize, usize)>,
    output: &str,
) -> Result<(), Fault> {
    let (x, channels_last) = importer.as_it_is(input)?;
    let taken: Vec<_> =
        if channels_last { TO_NHWC.iter().map(|&axis| taken[axis]).collect() } else { taken };
    let counts: Vec<usize> = taken.iter().map(|t| t.2).collect();
    let op = Op::StridedSlice {
        begin: taken.iter().map(|t| t.0).collect(),
        strides: taken.iter().map(|t| t.1).collect(),
        counts: counts.clone(),
    };
    let y = importer.push(op, vec![x], Some(&counts), output)?;
    importer.bind_as(output, y, channels_last)
}

/// `Split` into parts of given sizes, or equal ones.
pub(super) fn split(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let input = node.required(0)?;
    let shape = importer.shape_of(input)?;
    let at = axis(node.int("axis", 0), shape.len())?;
    let count = node.outputs().len().max(1);
    let sizes: Vec<usize> = match parameter(importer, node, 1, "split")? {
        Some(given) => given.iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect(),
        None => {
            let each = shape[at].div_ceil(count);
            (0..count).map(|i| each.min(shape[at].saturating_sub(i * each))).collect()
        }
    };
    if sizes.len() != count || sizes.iter().sum::<usize>() != shape[at] {
        return Err(malformed(format!("splits {} into {sizes:?}", shape[at])));
    }
    let mut first = 0;
    for (output, size) in node.outputs().iter().zip(sizes) {
        let mut taken: Vec<(usize, isize, usize)> = shape.iter().map(|&n| (0, 1, n)).collect();
        taken[at] = (first, 1, size);
        if size == 0 {
            let mut nothing = shape.clone();
            nothing[at] = 0;
            importer.know(output, Known::zeros(nothing))?;
        } else if !output.is_empty() {
            cut(importer, input, taken, output)?;
        }
        first += size;
    }
    Ok(())
}

/// `Gather` with constant indices.
pub(super) fn gather(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let shape = importer.shape_of(input)?;
    let at = axis(node.int("axis", 0), shape.len())?;
    let of_indices = importer.constant_of(node, 1)?.shape().to_vec();
    let picked = importer.ints_of(node, 1)?;
    let picked = picked.iter().map(|&i| axis(i, shape[at])).collect::<Result<Vec<_>, _>>()?;
    let x = importer.plain(input)?;
    let indices = importer.indices(&format!("{output}/indices"), picked)?;
    let flat = importer.push(Op::Gather { axis: at }, vec![x, indices], None, output)?;
    let shape = [&shape[..at], &of_indices, &shape[at + 1..]].concat();
    let y = importer.push(Op::Reshape, vec![flat], Some(&shape), output)?;
    importer.bind(output, y)
}

/// `Expand` and `Tile`.
pub(super) fn repeat(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let from = importer.shape_of(input)?;
    let given = importer.ints_of(node, 1)?;
    let given: Option<Vec<usize>> = given.iter().map(|&n| usize::try_from(n).ok()).collect();
    let given = given.ok_or_else(|| malformed("repeats by a negative number".into()))?;
    let tile = node.op() == "Tile";
    let rank = from.len().max(given.len());
    let wide = [vec![1; rank - from.len()], from.clone()].concat();
    let given = [vec![1; rank - given.len()], given].concat();
    let mut x = importer.plain(input)?;
    if wide != from {
        x = importer.push(Op::Reshape, vec![x], Some(&wide.clone()), output)?;
    }
    for axis in 0..rank {
        let extent = wide[axis];
        let copies = match (tile, given[axis]) {
            (true, copies) => copies,
            (false, to) if to == extent || to == 1 => 1,
            (false, to) if extent == 1 => to,
            (false, to) => return Err(malformed(format!("cannot expand {extent} to {to}"))),
        };
        if copies == 1 {
            continue;
        }
        let total = extent.checked_mul(copies).filter(|&n| n > 0 && n < 1 << 24);
        let total =
            total.ok_or_else(|| malformed(format!("repeats {extent} elements {copies} times")))?;
        let indices = (0..total).map(|i| i % extent).collect();
        let indices = importer.indices(&format!("{output}/axis{axis}"), indices)?;
        x = importer.push(Op::Gather { axis }, vec![x, indices], None, output)?;
    }
    if x == importer.plain(input)? {
        importer.alias(output, input)
    } else {
        importer.bind(output, x)
    }
}

/// `DepthToSpace` and `SpaceToDepth`: a change of shape, of order, and of shape again.
pub(super) fn depth_space(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let shape = importer.shape_of(input)?;
    let block = usize::try_from(node.int("blocksize", 0)).unwrap_or(0);
    let &[n, c, h, w] = shape.as_slice() else {
        return Err(malformed(format!("needs four axes, not {shape:?}")));
    };
    let area = block.checked_mul(block).filter(|&area| area > 0);
    let area = area.ok_or_else(|| malformed(format!("has blocks of {block}")))?;
    let (apart, perm, to) = if node.op() == "SpaceToDepth" {
        let apart = vec![n, c, h / block, block, w / block, block];
        (apart, vec![0, 3, 5, 1, 2, 4], vec![n, c.saturating_mul(area), h / block, w / block])
    } else {
        let to = vec![n, c / area, h.saturating_mul(block), w.saturating_mul(block)];
        match node.text("mode", "DCR") {
            "CRD" => (vec![n, c / area, block, block, h, w], vec![0, 1, 4, 2, 5, 3], to),
            _ => (vec![n, block, block, c / area, h, w], vec![0, 3, 4, 1, 5, 2], to),
        }
    };
    let x = importer.plain(input)?;
    let apart = importer.push(Op::Reshape, vec![x], Some(&apart), output)?;
    let moved = importer.push(Op::Transpose { perm }, vec![apart], None, output)?;
    let y = importer.push(Op::Reshape, vec![moved], Some(&to), output)?;
    importer.bind(output, y)
}

/// `Softmax` and `LogSoftmax`: over one axis, before version 13 over all from it on.
pub(super) fn softmax(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let shape = importer.shape_of(input)?;
    let rank = shape.len();
    let at = axis(node.int("axis", if node.opset < 13 { 1 } else { -1 }), rank)?;
    let mut x = importer.plain(input)?;
    let mut perm: Vec<usize> = (0..rank).collect();
    perm.swap(at, rank - 1);
    let joined = node.opset < 13 && at + 1 != rank;
    if joined {
        let rows = vec![shape[..at].iter().product(), shape[at..].iter().product()];
        x = importer.push(Op::Reshape, vec![x], Some(&rows), output)?;
    } else if at + 1 != rank {
        x = importer.transpose(x, &perm)?;
    }
    let mut y = importer.push(Op::Softmax { beta: 1.0 }, vec![x], None, output)?;
    if node.op() == "LogSoftmax" {
        y = Chain::new(importer, output).unary(UnaryOp::Log, y)?;
    }
    if joined {
        y = importer.push(Op::Reshape, vec![y], Some(&shape), output)?;
    } else if at + 1 != rank {
        y = importer.transpose(y, &perm)?;
    }
    importer.bind(output, y)
}

/// `ReduceMean` and its like.
pub(super) fn reduce(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let rank = importer.shape_of(input)?.len();
    let given = parameter(importer, node, 1, "axes")?.filter(|given| !given.is_empty());
    if given.is_none() && node.int("noop_with_empty_axes", 0) != 0 {
        return importer.alias(output, input);
    }
    let all = (0..rank as i64).collect::<Vec<_>>();
    let over = axes(given.as_deref().unwrap_or(&all), rank)?;
    let keep_dims = node.int("keepdims", 1) != 0;
    let (mut x, channels_last) = importer.as_it_is(input)?;
    // Without the reduced axes the order of the others matters: that of the file, unless one is left of three.
    let channels_last = channels_last && keep_dims;
    if !channels_last {
        x = importer.plain(input)?;
    }
    let mut axes: Vec<usize> =
        if channels_last { over.iter().map(|&axis| last_axis(axis)).collect() } else { over };
    axes.sort_unstable();
    let op = match node.op() {
        "ReduceMean" => ReduceOp::Mean,
        "ReduceMax" => ReduceOp::Max,
        "ReduceMin" => ReduceOp::Min,
        _ => ReduceOp::Sum,
    };
    let mut chain = Chain::new(importer, output);
    let x: ValueId = match node.op() {
        "ReduceL1" => chain.unary(UnaryOp::Abs, x)?,
        "ReduceL2" | "ReduceSumSquare" => chain.binary(BinaryOp::Mul, x, x)?,
        "ReduceLogSumExp" => {
            return log_sum_exp(importer, x, &axes, (keep_dims, channels_last), output);
        }
        "ReduceProd" => {
            let y = multiplied(importer, x, &axes, keep_dims, output)?;
            return importer.bind_as(output, y, channels_last);
        }
        _ => x,
    };
    let mut y = importer.push(Op::Reduce { op, axes, keep_dims }, vec![x], None, output)?;
    let root = match node.op() {
        "ReduceL2" => Some(UnaryOp::Sqrt),
        "ReduceLogSum" => Some(UnaryOp::Log),
        _ => None,
    };
    if let Some(root) = root {
        y = Chain::new(importer, output).unary(root, y)?;
    }
    importer.bind_as(output, y, channels_last)
}

/// `max + log(sum(exp(x - max)))`.
fn log_sum_exp(
    importer: &mut Importer<'_>,
    x: ValueId,
    axes: &[usize],
    (keep_dims, channels_last): (bool, bool),
    output: &str,
) -> Result<(), Fault> {
    let reduce = |op| Op::Reduce { op, axes: axes.to_vec(), keep_dims: true };
    let largest = importer.push(reduce(ReduceOp::Max), vec![x], None, output)?;
    let mut chain = Chain::new(importer, output);
    let below = chain.binary(BinaryOp::Sub, x, largest)?;
    let power = chain.unary(UnaryOp::Exp, below)?;
    let sum = importer.push(reduce(ReduceOp::Sum), vec![power], None, output)?;
    let mut chain = Chain::new(importer, output);
    let log = chain.unary(UnaryOp::Log, sum)?;
    let mut y = chain.binary(BinaryOp::Add, log, largest)?;
    if !keep_dims {
        let shape = importer.shape(y).iter().enumerate();
        let shape: Vec<usize> =
            shape.filter(|(axis, _)| !axes.contains(axis)).map(|(_, &n)| n).collect();
        y = importer.push(Op::Reshape, vec![y], Some(&shape), output)?;
    }
    importer.bind_as(output, y, channels_last)
}

/// Most elements of an axis that are multiplied with each other.
const MAX_PRODUCT: usize = 64;

/// The product over `axes`, slice by slice.
fn multiplied(
    importer: &mut Importer<'_>,
    x: ValueId,
    axes: &[usize],
    keep_dims: bool,
    output: &str,
) -> Result<ValueId, Fault> {
    let mut x = x;
    for &axis in axes {
        let extent = importer.shape(x)[axis];
        if extent > MAX_PRODUCT {
            return Err(unsupported(format!("a product of {extent} elements")));
        }
        let mut product = None;
        for index in 0..extent {
            let index = importer.indices(&format!("{output}/{index}"), vec![index])?;
            let part = importer.push(Op::Gather { axis }, vec![x, index], None, output)?;
            product = Some(match product {
                None => part,
                Some(so_far) => Chain::new(importer, output).binary(BinaryOp::Mul, so_far, part)?,
            });
        }
        x = product.unwrap_or(x);
    }
    if keep_dims {
        return Ok(x);
    }
    let shape = importer.shape(x).iter().enumerate();
    let shape: Vec<usize> =
        shape.filter(|(axis, _)| !axes.contains(axis)).map(|(_, &n)| n).collect();
    importer.push(Op::Reshape, vec![x], Some(&shape), output)
}
