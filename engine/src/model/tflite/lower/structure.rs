//! Operators that move elements, change shapes or reduce axes.

use super::{axis, fused, operands};
use crate::graph::{Activation, Constant, Op, ReduceOp};
use crate::model::fault::{Fault, malformed, unsupported};
use crate::model::tflite::importer::{Importer, Operator, tensor_id};
use crate::model::tflite::schema::{
    ConcatenationOptions, GatherOptions, ReducerOptions, ResizeBilinearOptions,
    StridedSliceOptions, UnpackOptions,
};

/// `PAD`: x, amounts `[rank, 2]`.
pub(super) fn pad(importer: &mut Importer<'_>, op: &Operator) -> Result<(), Fault> {
    let [x, amounts] = operands(op)?;
    let x = importer.operand(x)?;
    let amounts = importer.tensors.integers(amounts)?;
    let amounts: Result<Vec<usize>, _> = amounts.into_iter().map(usize::try_from).collect();
    let amounts = amounts.map_err(|_| malformed("removes elements instead of padding".into()))?;
    let (pairs, rest) = amounts.as_chunks();
    if !rest.is_empty() {
        return Err(malformed("has half a pair of paddings".into()));
    }
    importer.node(Op::Pad { amounts: pairs.to_vec() }, vec![x], &op.outputs)
}

/// `RESIZE_BILINEAR`: x, size `[height, width]`.
pub(super) fn resize_bilinear(importer: &mut Importer<'_>, op: &Operator) -> Result<(), Fault> {
    let ResizeBilinearOptions { align_corners, half_pixel_centers } =
        ResizeBilinearOptions::of(op.options)?;
    let [x, size] = operands(op)?;
    let x = importer.operand(x)?;
    let size = importer.tensors.integers(size)?;
    let size = match size.as_slice() {
        &[h, w] => usize::try_from(h).ok().zip(usize::try_from(w).ok()),
        _ => None,
    };
    let (h, w) = size.ok_or_else(|| malformed("has no size of two extents".into()))?;
    let op_resized = Op::ResizeBilinear { size: [h, w], half_pixel_centers, align_corners };
    importer.node(op_resized, vec![x], &op.outputs)
}

/// `RESHAPE`, `SQUEEZE`, `EXPAND_DIMS`: x, and for some the new shape or axis, which has to be known, so that the
/// result's declared shape is the one that counts.
pub(super) fn reshape(importer: &mut Importer<'_>, op: &Operator) -> Result<(), Fault> {
    let (&[id] | &[id, _]) = op.inputs.as_slice() else {
        return Err(malformed(format!("has {} operands instead of 1 or 2", op.inputs.len())));
    };
    if let Some(&parameter) = op.inputs.get(1) {
        importer.tensors.integers(tensor_id(parameter)?)?;
    }
    let id = tensor_id(id)?;
    if importer.tensors.is_constant(id)? {
        let elements = importer.tensors.floats(id)?;
        return importer.fold(op.outputs[0], elements);
    }
    let x = importer.operand(id)?;
    importer.node(Op::Reshape, vec![x], &op.outputs)
}

/// `DEQUANTIZE` of fp16 constants: the constant itself, widened exactly.
pub(super) fn dequantize(importer: &mut Importer<'_>, op: &Operator) -> Result<(), Fault> {
    let [x] = operands(op)?;
    if !importer.tensors.is_constant(x)? {
        return Err(unsupported(
            "of values computed at run time: import a floating-point model".into(),
        ));
    }
    let elements = importer.tensors.halves(x)?;
    importer.fold(op.outputs[0], elements)
}

/// `CONCATENATION` along an axis.
pub(super) fn concatenation(importer: &mut Importer<'_>, op: &Operator) -> Result<(), Fault> {
    let options = ConcatenationOptions::of(op.options)?;
    if fused(options.activation)? != Activation::None {
        return Err(unsupported("a fused activation behind a concatenation".into()));
    }
    let inputs = op.inputs.iter().map(|&id| importer.operand(tensor_id(id)?));
    let inputs: Vec<usize> = inputs.collect::<Result<_, _>>()?;
    let first = inputs.first().ok_or_else(|| malformed("has no operand".into()))?;
    let axis = axis(options.axis, importer.shape(*first).len())?;
    importer.node(Op::Concat { axis }, inputs, &op.outputs)
}

/// `MEAN`, `SUM`, `REDUCE_MAX`, `REDUCE_MIN`: x, axes.
pub(super) fn reduce(
    importer: &mut Importer<'_>,
    op: &Operator,
    function: ReduceOp,
) -> Result<(), Fault> {
    let ReducerOptions { keep_dims } = ReducerOptions::of(op.options)?;
    let [x, axes] = operands(op)?;
    let x = importer.operand(x)?;
    let rank = importer.shape(x).len();
    let axes = importer.tensors.integers(axes)?;
    let mut axes: Vec<usize> =
        axes.into_iter().map(|given| axis(given, rank)).collect::<Result<_, _>>()?;
    axes.sort_unstable();
    axes.dedup();
    importer.node(Op::Reduce { op: function, axes, keep_dims }, vec![x], &op.outputs)
}

/// `GATHER`: x, indices.
pub(super) fn gather(importer: &mut Importer<'_>, op: &Operator) -> Result<(), Fault> {
    let options = GatherOptions::of(op.options)?;
    if options.batch_dims != 0 {
        return Err(unsupported(format!("{} batch axes", options.batch_dims)));
    }
    let [x, indices] = operands(op)?;
    let x = importer.operand(x)?;
    let axis = axis(options.axis, importer.shape(x).len())?;
    let elements = importer.tensors.integers(indices)?;
    let shape = importer.tensors.shape(indices)?;
    let name = importer.tensors.name(indices);
    let indices = importer.new_constant(name, shape, Constant::i32(elements))?;
    importer.node(Op::Gather { axis }, vec![x, indices], &op.outputs)
}

/// `UNPACK`: one result per index of the axis.
pub(super) fn unpack(importer: &mut Importer<'_>, op: &Operator) -> Result<(), Fault> {
    let options = UnpackOptions::of(op.options)?;
    let [x] = operands(op)?;
    let x = importer.operand(x)?;
    let axis = axis(options.axis, importer.shape(x).len())?;
    importer.node(Op::Unpack { axis }, vec![x], &op.outputs)
}

/// `STRIDED_SLICE`: x, begin, end, strides; axes that these do not mention are taken whole.
pub(super) fn strided_slice(importer: &mut Importer<'_>, op: &Operator) -> Result<(), Fault> {
    let options = StridedSliceOptions::of(op.options)?;
    if options.ellipsis_mask != 0 || options.new_axis_mask != 0 || options.offset {
        return Err(unsupported("an ellipsis, a new axis, or ends counted from the begin".into()));
    }
    let [x, begin, end, strides] = operands(op)?;
    let x = importer.operand(x)?;
    let shape = importer.shape(x).to_vec();
    let [begin, end, strides] = [
        importer.tensors.integers(begin)?,
        importer.tensors.integers(end)?,
        importer.tensors.integers(strides)?,
    ];
    let rank = begin.len();
    if rank > shape.len() || end.len() != rank || strides.len() != rank {
        return Err(malformed(format!("slices {rank} axes of {shape:?}")));
    }
    let mut sliced = (vec![0; shape.len()], vec![1; shape.len()], shape.clone());
    for axis in 0..rank {
        let masked = |mask: i32| mask >> axis & 1 == 1;
        let range = AxisRange {
            begin: (!masked(options.begin_mask)).then_some(begin[axis]),
            end: (!masked(options.end_mask)).then_some(end[axis]),
            stride: strides[axis],
            single: masked(options.shrink_axis_mask),
        };
        let [first, step, count] = range
            .resolve(shape[axis] as i64)
            .ok_or_else(|| malformed(format!("takes nothing of axis {axis} of {shape:?}")))?;
        sliced.0[axis] = first as usize;
        sliced.1[axis] = step as isize;
        sliced.2[axis] = count as usize;
    }
    let (begin, strides, counts) = sliced;
    importer.node(Op::StridedSlice { begin, strides, counts }, vec![x], &op.outputs)
}

/// What the file asks of one axis.
struct AxisRange {
    /// `None` for the first element in the direction of the stride.
    begin: Option<i32>,
    /// `None` for all up to the last element in the direction of the stride.
    end: Option<i32>,
    stride: i32,
    /// Only the element at `begin`.
    single: bool,
}

impl AxisRange {
    /// First index, step and count over `extent` elements, as NumPy resolves a slice; `None` when it is empty.
    fn resolve(&self, extent: i64) -> Option<[i64; 3]> {
        let stride = i64::from(self.stride);
        let (lowest, highest) = if stride > 0 { (0, extent) } else { (-1, extent - 1) };
        let clamp = |index: i32| {
            let from_start = i64::from(index) + if index < 0 { extent } else { 0 };
            from_start.clamp(lowest, highest)
        };
        let begin = self.begin.map_or(if stride > 0 { lowest } else { highest }, clamp);
        let inside = (0..extent).contains(&begin);
        if self.single {
            return inside.then_some([begin, 1, 1]);
        }
        let end = self.end.map_or(if stride > 0 { highest } else { lowest }, clamp);
        let span = (end - begin) * stride.signum();
        let reachable = inside && stride != 0 && span > 0;
        // Rounded up; both are positive here.
        reachable.then(|| [begin, stride, (span - 1) / stride.abs() + 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(begin: Option<i32>, end: Option<i32>, stride: i32) -> Option<[i64; 3]> {
        AxisRange { begin, end, stride, single: false }.resolve(5)
    }

    #[test]
    fn slices_are_those_of_numpy() {
        assert_eq!(resolve(Some(1), Some(4), 2), Some([1, 2, 2]));
        assert_eq!(resolve(None, None, 2), Some([0, 2, 3]));
        assert_eq!(resolve(None, None, -2), Some([4, -2, 3]));
        assert_eq!(resolve(Some(-2), Some(100), 1), Some([3, 1, 2]));
        assert_eq!(resolve(Some(3), Some(0), -1), Some([3, -1, 3]));
        assert_eq!(resolve(Some(3), Some(3), 1), None);
        assert_eq!(resolve(Some(0), Some(3), 0), None);
        assert_eq!(resolve(Some(7), None, 1), None);
        let single = AxisRange { begin: Some(-1), end: Some(0), stride: 1, single: true };
        assert_eq!(single.resolve(5), Some([4, 1, 1]));
    }
}
