//! What moves elements, changes shapes or reduces axes.

use ndarray::{ArrayD, Axis, IxDyn};

use super::{Tensor, dense};
use crate::graph::ReduceOp;

pub(super) fn pad(x: &Tensor, amounts: &[[usize; 2]], shape: &[usize]) -> Tensor {
    let mut padded = ArrayD::zeros(IxDyn(shape));
    for (index, &element) in x.indexed_iter() {
        let moved: Vec<usize> =
            (0..shape.len()).map(|axis| index[axis] + amounts[axis][0]).collect();
        padded[IxDyn(&moved)] = element;
    }
    padded
}

/// Position in the input (whole part, next, fraction) of each output along an axis; beyond the edge the edge
/// counts.
fn samples(
    input: usize,
    output: usize,
    half_pixel_centers: bool,
    align_corners: bool,
) -> Vec<(usize, usize, f64)> {
    let scale = if align_corners && output > 1 {
        (input - 1) as f64 / (output - 1) as f64
    } else {
        input as f64 / output as f64
    };
    let shift = if half_pixel_centers { 0.5 } else { 0.0 };
    (0..output)
        .map(|i| {
            let position = ((i as f64 + shift) * scale - shift).clamp(0.0, (input - 1) as f64);
            let whole = position as usize;
            (whole, (whole + 1).min(input - 1), position - whole as f64)
        })
        .collect()
}

pub(super) fn resize_bilinear(
    x: &Tensor,
    half_pixel_centers: bool,
    align_corners: bool,
    shape: &[usize],
) -> Tensor {
    let along =
        |axis: usize| samples(x.shape()[axis], shape[axis], half_pixel_centers, align_corners);
    let (rows, columns) = (along(1), along(2));
    ArrayD::from_shape_fn(IxDyn(shape), |index| {
        let (top, bottom, down) = rows[index[1]];
        let (left, right, across) = columns[index[2]];
        let at = |row, column| f64::from(x[[index[0], row, column, index[3]]]);
        let upper = at(top, left) * (1.0 - across) + at(top, right) * across;
        let lower = at(bottom, left) * (1.0 - across) + at(bottom, right) * across;
        (upper * (1.0 - down) + lower * down) as f32
    })
}

pub(super) fn concat(inputs: &[&Tensor], axis: usize, shape: &[usize]) -> Tensor {
    let mut joined = ArrayD::zeros(IxDyn(shape));
    let mut start = 0;
    for input in inputs {
        for (index, &element) in input.indexed_iter() {
            let mut moved = index.clone();
            moved[axis] += start;
            joined[moved] = element;
        }
        start += input.shape()[axis];
    }
    joined
}

/// `shape` is the result's, with or without the reduced axes: their extents are 1 or absent, so the row-major
/// order is the same.
pub(super) fn reduce(x: &Tensor, op: ReduceOp, axes: &[usize], shape: &[usize]) -> Tensor {
    let kept = |axis: usize| !axes.contains(&axis);
    let start = match op {
        ReduceOp::Mean | ReduceOp::Sum => 0.0,
        ReduceOp::Max => f64::NEG_INFINITY,
        ReduceOp::Min => f64::INFINITY,
    };
    let results: usize = shape.iter().product();
    let mut reduced = vec![start; results];
    for (index, &element) in x.indexed_iter() {
        let flat = (0..x.ndim())
            .filter(|&axis| kept(axis))
            .fold(0, |flat, axis| flat * x.shape()[axis] + index[axis]);
        let (so_far, element) = (&mut reduced[flat], f64::from(element));
        *so_far = match op {
            ReduceOp::Mean | ReduceOp::Sum => *so_far + element,
            ReduceOp::Max => so_far.max(element),
            ReduceOp::Min => so_far.min(element),
        };
    }
    let divisor = if op == ReduceOp::Mean { (x.len() / results) as f64 } else { 1.0 };
    dense(shape, reduced.into_iter().map(|value| (value / divisor) as f32).collect())
}

pub(super) fn softmax(x: &Tensor, beta: f32) -> Tensor {
    let mut result = x.clone();
    for mut row in result.rows_mut() {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let power = |v: f32| (f64::from(beta) * (f64::from(v) - f64::from(largest))).exp();
        let sum: f64 = row.iter().map(|&v| power(v)).sum();
        row.mapv_inplace(|v| (power(v) / sum) as f32);
    }
    result
}

/// The axes of the indices stand where `axis` stood.
pub(super) fn gather(x: &Tensor, axis: usize, indices: &[i32], shape: &[usize]) -> Tensor {
    let picked: Vec<usize> = indices.iter().map(|&index| index as usize).collect();
    let result = x.select(Axis(axis), &picked);
    dense(shape, result.iter().copied().collect())
}

pub(super) fn unpack(x: &Tensor, axis: usize) -> Vec<Tensor> {
    x.axis_iter(Axis(axis)).map(|part| part.as_standard_layout().into_owned()).collect()
}

/// The picked elements in row-major order.
pub(super) fn strided_slice(
    x: &Tensor,
    begin: &[usize],
    strides: &[isize],
    counts: &[usize],
) -> Vec<f32> {
    let picked = ArrayD::from_shape_fn(IxDyn(counts), |index| {
        let source: Vec<usize> = (0..counts.len())
            .map(|axis| begin[axis].wrapping_add_signed(index[axis] as isize * strides[axis]))
            .collect();
        x[IxDyn(&source)]
    });
    picked.iter().copied().collect()
}
