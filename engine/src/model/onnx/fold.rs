//! What is known while importing: constants, shapes, and what is computed from these.

use ndarray::{ArrayD, Axis, IxDyn, Slice, concatenate};

use super::importer::{Held, Importer};
use super::lower::qonnx;
use super::node::{Node, axes, axis};
use super::tensors::{self, Known};
use crate::graph::{broadcast, checked_elements};
use crate::model::fault::{Fault, malformed, unsupported};

/// The result of `node` if it is known already, and whether its elements are integers; nothing if it has to be computed at
/// run time.
pub(super) fn fold(
    importer: &mut Importer<'_>,
    node: &Node<'_>,
) -> Result<Option<(Known, bool)>, Fault> {
    if !node.domain().is_empty() {
        return Ok(qonnx::fold(importer, node)?.map(|known| (known, false)));
    }
    match node.op() {
        "Constant" => {
            let kind = node.tensor("value").map_or(0, |tensor| tensor.data_type);
            let integer =
                tensors::is_integer(kind) || node.has("value_ints") || node.has("value_int");
            return Ok(Some((constant(node)?, integer)));
        }
        "Shape" => {
            let shape = importer.shape_of(node.required(0)?)?;
            let rank = shape.len() as i64;
            let bound =
                |given: i64| (if given < 0 { given + rank } else { given }).clamp(0, rank) as usize;
            let (start, end) = (bound(node.int("start", 0)), bound(node.int("end", rank)));
            let part = shape.get(start..end).unwrap_or_default();
            return Ok(Some((list(part.iter().map(|&n| n as f64)), true)));
        }
        "Size" => {
            let count: usize = importer.shape_of(node.required(0)?)?.iter().product();
            return Ok(Some((ArrayD::from_elem(IxDyn(&[]), count as f64), true)));
        }
        _ => {}
    }
    let mut operands = Vec::with_capacity(node.inputs().len());
    for name in node.inputs() {
        match (name.is_empty(), importer.known(name)) {
            (true, _) => operands.push(None),
            (false, Some(known)) => operands.push(Some(known.clone())),
            (false, None) => {
                // Read before anything computes it, or computed at run time.
                let Held::Known(_) = importer.get(name)? else { return Ok(None) };
            }
        }
    }
    if operands.is_empty() {
        return Ok(None);
    }
    let integer = match node.op() {
        "Cast" => i32::try_from(node.int("to", 1)).is_ok_and(tensors::is_integer),
        "ConstantOfShape" => {
            node.tensor("value").is_some_and(|tensor| tensors::is_integer(tensor.data_type))
        }
        "DequantizeLinear" | "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual"
        | "Not" => false,
        "Where" => node.input(1).is_some_and(|name| importer.is_integer(name)),
        _ => node.input(0).is_some_and(|name| importer.is_integer(name)),
    };
    let known = Folding { importer, node, operands: &operands, integer }.run()?;
    Ok(known.map(|known| (known, integer)))
}

fn list(elements: impl Iterator<Item = f64>) -> Known {
    ArrayD::from_shape_vec(IxDyn(&[elements.size_hint().0]), elements.collect()).unwrap_or_default()
}

fn constant(node: &Node<'_>) -> Result<Known, Fault> {
    if let Some(tensor) = node.tensor("value") {
        return tensors::decode(tensor, None);
    }
    if let Some(ints) = node.ints("value_ints") {
        return Ok(list(ints.iter().map(|&x| x as f64)));
    }
    if let Some(floats) = node.floats("value_floats") {
        return Ok(list(floats.iter().map(|&x| f64::from(x))));
    }
    let scalar = |x: f64| Ok(ArrayD::from_elem(IxDyn(&[]), x));
    match (node.has("value_float"), node.has("value_int")) {
        (true, _) => scalar(f64::from(node.float("value_float", 0.0))),
        (_, true) => scalar(node.int("value_int", 0) as f64),
        _ => Err(unsupported("a constant of text or of a sparse tensor".into())),
    }
}

struct Folding<'a, 'b, 'n> {
    importer: &'a mut Importer<'b>,
    node: &'a Node<'n>,
    operands: &'a [Option<Known>],
    /// Whether the result has integers.
    integer: bool,
}

impl Folding<'_, '_, '_> {
    fn operand(&self, index: usize) -> Result<&Known, Fault> {
        let operand = self.operands.get(index).and_then(Option::as_ref);
        operand.ok_or_else(|| malformed(format!("has no operand {index}")))
    }

    /// Integers of an operand, or of the attribute that older versions have instead.
    fn ints(&self, index: usize, attribute: &str) -> Result<Option<Vec<i64>>, Fault> {
        match self.operands.get(index).and_then(Option::as_ref) {
            Some(known) => Ok(Some(known.iter().map(|&x| x as i64).collect())),
            None => Ok(self.node.ints(attribute).map(<[i64]>::to_vec)),
        }
    }

    fn run(mut self) -> Result<Option<Known>, Fault> {
        let x = self.operand(0)?.clone();
        Ok(Some(match self.node.op() {
            "Identity" | "Dropout" => x,
            "Cast" => self.cast(x),
            "Neg" => -x,
            "Abs" => x.mapv(f64::abs),
            "Sqrt" => x.mapv(f64::sqrt),
            "Floor" => x.mapv(f64::floor),
            "Ceil" => x.mapv(f64::ceil),
            "Exp" => x.mapv(f64::exp),
            "Reciprocal" => x.mapv(f64::recip),
            "Not" => x.mapv(|x| f64::from(x == 0.0)),
            "Where" => self.choose(&x)?,
            "Range" => self.range()?,
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Max" | "Min" | "Equal" | "Greater"
            | "GreaterOrEqual" | "Less" | "LessOrEqual" | "And" | "Or" | "Xor"
                if self.operands.len() == 2 =>
            {
                let b = self.operand(1)?.clone();
                self.arithmetic(&x, &b)?
            }
            "ConstantOfShape" => self.filled(&x)?,
            "DequantizeLinear" => self.dequantize(&x)?,
            _ => return self.moved(x),
        }))
    }

    /// `ConstantOfShape`.
    fn filled(&mut self, shape: &Known) -> Result<Known, Fault> {
        let shape: Vec<usize> = shape.iter().map(|&n| n as usize).collect();
        let count = checked_elements(&shape).unwrap_or(0);
        self.importer.spend(count)?;
        let element = match self.node.tensor("value") {
            Some(tensor) => tensors::decode(tensor, None)?.first().copied(),
            None => None,
        };
        let shape = if count == 0 { vec![0] } else { shape };
        Ok(ArrayD::from_elem(IxDyn(&shape), element.unwrap_or(0.0)))
    }

    /// Operators that move elements.
    fn moved(self, x: Known) -> Result<Option<Known>, Fault> {
        let rank = x.ndim();
        Ok(Some(match self.node.op() {
            "Unsqueeze" => {
                let given = self.ints(1, "axes")?.ok_or_else(|| malformed("has no axes".into()))?;
                let mut y = x;
                for axis in axes(&given, rank + given.len())? {
                    if axis > y.ndim() {
                        return Err(malformed(format!("inserts axis {axis} of {rank}")));
                    }
                    y = y.insert_axis(Axis(axis));
                }
                y
            }
            "Squeeze" => {
                let mut shape = x.shape().to_vec();
                match self.ints(1, "axes")? {
                    None => shape.retain(|&n| n != 1),
                    Some(given) => {
                        for axis in axes(&given, rank)?.into_iter().rev() {
                            shape.remove(axis);
                        }
                    }
                }
                reshaped(&x, &shape)?
            }
            "Reshape" => {
                let given = self.ints(1, "shape")?.unwrap_or_default();
                let shape = resolve_shape(x.shape(), &given, self.node.int("allowzero", 0) != 0)?;
                reshaped(&x, &shape)?
            }
            "Flatten" => {
                let at = self.node.int("axis", 1);
                let at = if at < 0 { at + rank as i64 } else { at }.clamp(0, rank as i64) as usize;
                let first = x.shape()[..at].iter().product();
                let rest = x.shape()[at..].iter().product();
                reshaped(&x, &[first, rest])?
            }
            "Transpose" => {
                let perm = permutation(self.node, rank)?;
                x.permuted_axes(perm).as_standard_layout().into_owned()
            }
            "Concat" => {
                let at = axis(self.node.int("axis", 0), rank)?;
                let all: Option<Vec<_>> =
                    self.operands.iter().map(|x| x.as_ref().map(|x| x.view())).collect();
                let all = all.ok_or_else(|| malformed("lacks an operand".into()))?;
                concatenate(Axis(at), &all).map_err(|error| malformed(error.to_string()))?
            }
            "Gather" => {
                let at = axis(self.node.int("axis", 0), rank)?;
                let extent = x.shape()[at];
                let indices = self.operand(1)?;
                let picked: Vec<usize> = indices
                    .iter()
                    .map(|&index| axis(index as i64, extent))
                    .collect::<Result<_, _>>()?;
                let shape = [&x.shape()[..at], indices.shape(), &x.shape()[at + 1..]].concat();
                self.importer.spend(shape.iter().product())?;
                reshaped(&x.select(Axis(at), &picked), &shape)?
            }
            "Slice" => self.slice(x)?,
            _ => return Ok(None),
        }))
    }

    fn cast(&self, x: Known) -> Known {
        const FLOATS: [i64; 4] = [1, 10, 11, 16];
        if FLOATS.contains(&self.node.int("to", 1)) { x } else { x.mapv(f64::trunc) }
    }

    fn arithmetic(&mut self, a: &Known, b: &Known) -> Result<Known, Fault> {
        let (sa, sb) = (a.shape(), b.shape());
        let shape = broadcast(sa, sb)
            .ok_or_else(|| malformed(format!("cannot broadcast {sa:?} with {sb:?}")))?;
        self.importer.spend(shape.iter().product())?;
        let (Some(a), Some(b)) = (a.broadcast(IxDyn(&shape)), b.broadcast(IxDyn(&shape))) else {
            return Err(malformed(format!("cannot broadcast {sa:?} with {sb:?}")));
        };
        let f = |a: f64, b: f64| match self.node.op() {
            "Add" => a + b,
            "Sub" => a - b,
            "Mul" => a * b,
            "Div" if self.integer => (a / b).trunc(),
            "Div" => a / b,
            "Pow" => a.powf(b),
            "Max" => a.max(b),
            "Min" => a.min(b),
            "Equal" => f64::from(a == b),
            "Greater" => f64::from(a > b),
            "GreaterOrEqual" => f64::from(a >= b),
            "Less" => f64::from(a < b),
            "LessOrEqual" => f64::from(a <= b),
            "And" => f64::from(a != 0.0 && b != 0.0),
            "Or" => f64::from(a != 0.0 || b != 0.0),
            _ => f64::from((a != 0.0) != (b != 0.0)),
        };
        let elements = a.iter().zip(&b).map(|(&a, &b)| f(a, b)).collect();
        ArrayD::from_shape_vec(IxDyn(&shape), elements)
            .map_err(|error| malformed(error.to_string()))
    }

    /// `Where`.
    fn choose(&mut self, condition: &Known) -> Result<Known, Fault> {
        let (a, b) = (self.operand(1)?.clone(), self.operand(2)?.clone());
        let wrong = || malformed("chooses among shapes that do not fit".into());
        let shape = broadcast(a.shape(), b.shape()).ok_or_else(wrong)?;
        let shape = broadcast(condition.shape(), &shape).ok_or_else(wrong)?;
        self.importer.spend(shape.iter().product())?;
        let wide = |known: &Known| known.broadcast(IxDyn(&shape)).map(|view| view.to_owned());
        let (c, a, b) = (wide(condition), wide(&a), wide(&b));
        let (Some(c), Some(mut a), Some(b)) = (c, a, b) else { return Err(wrong()) };
        ndarray::Zip::from(&mut a).and(&c).and(&b).for_each(|a, &c, &b| {
            if c == 0.0 {
                *a = b;
            }
        });
        Ok(a)
    }

    /// `Range`.
    fn range(&mut self) -> Result<Known, Fault> {
        let of = |index: usize| Ok(self.operand(index)?.first().copied().unwrap_or(f64::NAN));
        let (start, limit, step): (f64, f64, f64) = (of(0)?, of(1)?, of(2)?);
        let count = ((limit - start) / step).ceil().max(0.0);
        if !(0.0..1e7).contains(&count) {
            return Err(malformed(format!("counts from {start} to {limit} by {step}")));
        }
        self.importer.spend(count as usize)?;
        Ok(list((0..count as usize).map(|i| start + i as f64 * step)))
    }

    fn slice(&self, x: Known) -> Result<Known, Fault> {
        let mut y = x;
        for part in slices(self.node, |index, name| self.ints(index, name), y.shape())? {
            let AxisSlice { axis, first, step, count } = part;
            let (low, high) = match step > 0 {
                true => (first, first + (count.max(1) - 1) * step as usize + 1),
                false => (first - (count.max(1) - 1) * step.unsigned_abs(), first + 1),
            };
            let high = if count == 0 { low } else { high };
            let slice = Slice::new(low as isize, Some(high as isize), step);
            y = y.slice_axis(Axis(axis), slice).to_owned();
        }
        Ok(y)
    }

    /// `(x - zero point) * scale` of constants.
    fn dequantize(&mut self, x: &Known) -> Result<Known, Fault> {
        let scale = self.operand(1)?;
        let zero = self.operands.get(2).and_then(Option::as_ref);
        if let Some(block) = Block::of(self.node, x.shape())? {
            let scale = block.spread(scale)?;
            let zero = zero.map(|zero| block.spread(zero)).transpose()?;
            let mut y = x.clone();
            if let Some(zero) = zero {
                y -= &zero;
            }
            return Ok(y * scale);
        }
        let one_of = |known: &Known, index: usize| {
            known.iter().nth(if known.len() == 1 { 0 } else { index }).copied().unwrap_or(0.0)
        };
        let at = match scale.len() {
            1 => 0,
            _ => axis(self.node.int("axis", 1), x.ndim())?,
        };
        let fits = |known: &Known| known.len() == 1 || x.shape().get(at) == Some(&known.len());
        if !fits(scale) || zero.is_some_and(|zero| !fits(zero)) {
            return Err(malformed(format!("has {} scales for {:?}", scale.len(), x.shape())));
        }
        let mut y = x.clone();
        for (index, element) in y.indexed_iter_mut() {
            let channel = if scale.len() == 1 { 0 } else { index[at] };
            let zero = zero.map_or(0.0, |zero| one_of(zero, channel));
            *element = ((*element - zero) as f32 * one_of(scale, channel) as f32).into();
        }
        Ok(y)
    }
}

/// Scales (or zero points) for blocks along an axis.
pub(super) struct Block {
    axis: usize,
    size: usize,
    shape: Vec<usize>,
}

impl Block {
    /// As the node has them over a value of `shape`, if it does.
    pub(super) fn of(node: &Node<'_>, shape: &[usize]) -> Result<Option<Self>, Fault> {
        let size = node.int("block_size", 0);
        if size == 0 {
            return Ok(None);
        }
        let size = usize::try_from(size).map_err(|_| malformed(format!("has blocks of {size}")))?;
        let axis = axis(node.int("axis", 1), shape.len())?;
        Ok(Some(Self { axis, size, shape: shape.to_vec() }))
    }

    /// One for each element.
    pub(super) fn spread(&self, known: &Known) -> Result<Known, Fault> {
        let Self { axis, size, shape } = self;
        let mut expected = shape.clone();
        expected[*axis] = expected[*axis].div_ceil(*size);
        if known.shape() != expected {
            return Err(malformed(format!(
                "has scales {:?} for blocks of {shape:?}",
                known.shape()
            )));
        }
        let all: Vec<usize> = (0..shape[*axis]).map(|index| index / size).collect();
        Ok(known.select(Axis(*axis), &all))
    }
}

fn reshaped(x: &Known, shape: &[usize]) -> Result<Known, Fault> {
    let from = x.shape().to_vec();
    x.as_standard_layout()
        .into_owned()
        .into_shape_with_order(IxDyn(shape))
        .map_err(|_| malformed(format!("cannot make {shape:?} of {from:?}")))
}

/// The permutation of a `Transpose`: reversed axes when none is given.
pub(super) fn permutation(node: &Node<'_>, rank: usize) -> Result<Vec<usize>, Fault> {
    let Some(given) = node.ints("perm") else { return Ok((0..rank).rev().collect()) };
    let perm: Vec<usize> = given.iter().map(|&a| axis(a, rank)).collect::<Result<_, _>>()?;
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    if sorted.into_iter().eq(0..rank) {
        return Ok(perm);
    }
    Err(malformed(format!("cannot order {rank} axes as {given:?}")))
}

/// The shape that `Reshape` asks for: 0 keeps an extent, -1 takes what is left.
pub(super) fn resolve_shape(
    from: &[usize],
    given: &[i64],
    zero_is_zero: bool,
) -> Result<Vec<usize>, Fault> {
    let wrong = || malformed(format!("cannot make {given:?} of {from:?}"));
    let mut shape = Vec::with_capacity(given.len());
    for (axis, &extent) in given.iter().enumerate() {
        shape.push(match extent {
            0 if !zero_is_zero => *from.get(axis).ok_or_else(wrong)?,
            -1 => 1,
            extent => usize::try_from(extent).map_err(|_| wrong())?,
        });
    }
    let open: Vec<usize> = (0..given.len()).filter(|&axis| given[axis] == -1).collect();
    if let &[axis] = open.as_slice() {
        let known = shape.iter().try_fold(1_usize, |n, &extent| n.checked_mul(extent));
        let total: usize = from.iter().product();
        shape[axis] = known
            .filter(|&n| n > 0 && total.is_multiple_of(n))
            .map(|n| total / n)
            .ok_or_else(wrong)?;
    } else if !open.is_empty() {
        return Err(wrong());
    }
    Ok(shape)
}

/// The elements `first + i * step` of an axis, `count` of them.
pub(super) struct AxisSlice {
    pub(super) axis: usize,
    pub(super) first: usize,
    pub(super) step: isize,
    pub(super) count: usize,
}

/// What a `Slice` takes of each axis that it names; `ints` reads an operand, or the attribute of older versions.
pub(super) fn slices(
    node: &Node<'_>,
    ints: impl Fn(usize, &str) -> Result<Option<Vec<i64>>, Fault>,
    shape: &[usize],
) -> Result<Vec<AxisSlice>, Fault> {
    let (starts, ends) = (ints(1, "starts")?, ints(2, "ends")?);
    let (Some(starts), Some(ends)) = (starts, ends) else {
        return Err(malformed("has no starts or ends".into()));
    };
    let all = (0..starts.len() as i64).collect();
    let given = ints(3, "axes")?.unwrap_or(all);
    let steps = if node.opset >= 10 { ints(4, "steps")? } else { None };
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), given.len(), steps.len()] != [starts.len(); 3] {
        return Err(malformed(format!("slices {} axes of {shape:?}", starts.len())));
    }
    let mut parts = Vec::with_capacity(starts.len());
    for index in 0..starts.len() {
        let axis = axis(given[index], shape.len())?;
        let extent = shape[axis] as i64;
        let step = steps[index];
        if step == 0 {
            return Err(malformed("takes steps of 0".into()));
        }
        let (low, high) = if step > 0 { (0, extent) } else { (-1, extent - 1) };
        let bound =
            |at: i64| (if at < 0 { at.saturating_add(extent) } else { at }).clamp(low, high);
        let first = bound(starts[index]).clamp(0, (extent - 1).max(0));
        let begin = bound(starts[index]);
        let span = (bound(ends[index]) - begin) * step.signum();
        let count = if span > 0 { (span - 1) / step.abs() + 1 } else { 0 };
        let step =
            isize::try_from(step).map_err(|_| malformed(format!("takes steps of {step}")))?;
        parts.push(AxisSlice { axis, first: first as usize, step, count: count as usize });
    }
    Ok(parts)
}
