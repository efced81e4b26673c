//! Means and covariances of the operands of layers, from calibration samples.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::calibrate::Calibration;
use super::error::CalibrateError;
use super::noise::watch;
use super::samples::spread;
use crate::graph::{Graph, Node, Op, ValueId, Window};
use crate::kernels::CpuFeatures;
use crate::{Serial, Tensor};

/// About so many results of a layer are looked at, evenly spread over samples and positions.
const ROWS: usize = 4096;

/// Mean and covariance of the operands that a layer's weights are multiplied with, in the order of the weights of one
/// output channel.
#[derive(Debug)]
pub(super) struct Moments {
    /// `[k]`.
    pub(super) mean: Array1<f64>,
    /// `[k, k]`.
    pub(super) covariance: Array2<f64>,
}

impl Moments {
    /// Of `rows`, `[n, k]`.
    fn of(rows: &Array2<f32>) -> Self {
        let rows = rows.mapv(f64::from);
        let count = rows.nrows().max(1) as f64;
        let mean = rows.sum_axis(Axis(0)) / count;
        let covariance = centred_products(&rows.view(), &rows.view(), &mean, &mean);
        Self { mean, covariance }
    }
}

/// The moments of every layer that multiplies all its input channels with weights, by node.
///
/// # Errors
/// A graph that cannot be planned, or samples that do not fit it.
pub(super) fn moments(
    graph: &Graph,
    calibration: &Calibration,
) -> Result<BTreeMap<usize, Moments>, CalibrateError> {
    let dense = |node: &Node| matches!(node.op, Op::Conv2d { .. } | Op::FullyConnected { .. });
    let layers: Vec<usize> = (0..graph.nodes.len()).filter(|&at| dense(&graph.nodes[at])).collect();
    let nodes: Vec<&Node> = layers.iter().map(|&at| &graph.nodes[at]).collect();
    let samples = calibration.kept.fitting().collect();
    let mut rows: Vec<Vec<f32>> = vec![Vec::new(); layers.len()];
    Operands { samples, cpu: &calibration.cpu }.rows(
        graph,
        &nodes,
        |node| node.inputs[0],
        0.0,
        |layer, of_sample| rows[layer].extend_from_slice(of_sample),
    )?;
    let by_layer = layers.into_iter().zip(rows).map(|(layer, rows)| {
        let width = operands(graph, layer);
        let rows = Array2::from_shape_vec((rows.len() / width.max(1), width), rows);
        (layer, Moments::of(&rows.unwrap_or_default()))
    });
    Ok(by_layer.collect())
}

/// The mean of the products of the columns of `a` with those of `b`, less the product of their means. Added up in one order,
/// whatever the CPU.
pub(super) fn centred_products(
    a: &ArrayView2<'_, f64>,
    b: &ArrayView2<'_, f64>,
    a_means: &Array1<f64>,
    b_means: &Array1<f64>,
) -> Array2<f64> {
    let mut sums = Array2::<f64>::zeros((a.ncols(), b.ncols()));
    for (left, right) in a.rows().into_iter().zip(b.rows()) {
        for (i, &x) in left.iter().enumerate().filter(|(_, x)| **x != 0.0) {
            sums.row_mut(i).scaled_add(x, &right);
        }
    }
    sums /= a.nrows().max(1) as f64;
    for (i, &mean) in a_means.iter().enumerate() {
        sums.row_mut(i).scaled_add(-mean, b_means);
    }
    sums
}

/// Calibration samples, and the CPU on which they are run again.
pub(super) struct Operands<'a> {
    pub(super) samples: Vec<&'a Vec<Tensor>>,
    pub(super) cpu: &'a CpuFeatures,
}

impl Operands<'_> {
    /// Calls `see` with rows of the operands of each of `layers` (by its index), sample by sample. `graph` has them in the
    /// values `operand`; those in the padding are `fill`.
    pub(super) fn rows(
        &self,
        graph: &Graph,
        layers: &[&Node],
        operand: impl Fn(&Node) -> ValueId,
        fill: f32,
        mut see: impl FnMut(usize, &[f32]),
    ) -> Result<(), CalibrateError> {
        let mut values: Vec<ValueId> = layers.iter().map(|node| operand(node)).collect();
        values.sort_unstable();
        values.dedup();
        let mut session = watch(graph, &values, self.cpu)?;
        let wanted = ROWS.div_ceil(self.samples.len().max(1));
        let mut rows = Vec::new();
        for sample in &self.samples {
            let tensors = session.run_in_place(sample, &Serial)?;
            for (layer, node) in layers.iter().enumerate() {
                let at = values.binary_search(&operand(node)).unwrap_or_default();
                rows.clear();
                gather(node, &tensors[at], wanted, fill, &mut rows);
                see(layer, &rows);
            }
        }
        Ok(())
    }
}

/// Weights per output channel.
fn operands(graph: &Graph, layer: usize) -> usize {
    graph.values[graph.nodes[layer].inputs[1]].shape.iter().skip(1).product()
}

/// Appends the operands of about `wanted` results of `node` for the input `x`: taps times channels for a window, `fill`
/// where they lie in the padding.
fn gather(node: &Node, x: &Tensor, wanted: usize, fill: f32, rows: &mut Vec<f32>) {
    let Some(elements) = x.as_slice() else { return };
    let shape = x.shape();
    let window = match &node.op {
        Op::Conv2d { window, .. } | Op::DepthwiseConv2d { window, .. } if shape.len() == 4 => {
            *window
        }
        _ => {
            let channels = shape.last().copied().unwrap_or(1).max(1);
            let all: Vec<&[f32]> = elements.chunks_exact(channels).collect();
            for index in spread(all.len(), wanted) {
                rows.extend_from_slice(all[index]);
            }
            return;
        }
    };
    let [height, width] = results(&window, [shape[1], shape[2]]);
    for index in spread(shape[0] * height * width, wanted) {
        let (image, place) = (index / (height * width), index % (height * width));
        let size = [shape[1], shape[2], shape[3]];
        let image = &elements[image * size.iter().product::<usize>()..];
        let place = [place / width, place % width];
        patch(&window, image, size, place, fill, rows);
    }
}

/// Rows and columns of the results.
fn results(window: &Window, size: [usize; 2]) -> [usize; 2] {
    let padding = window.padding;
    let extents = [size[0] + padding.top + padding.bottom, size[1] + padding.left + padding.right];
    std::array::from_fn(|axis| {
        let reach = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
        extents[axis].saturating_sub(reach) / window.stride[axis] + 1
    })
}

/// The operands of the result at `place`, `fill` where they lie in the padding.
fn patch(
    window: &Window,
    image: &[f32],
    [height, width, channels]: [usize; 3],
    place: [usize; 2],
    fill: f32,
    rows: &mut Vec<f32>,
) {
    for tap_y in 0..window.kernel[0] {
        for tap_x in 0..window.kernel[1] {
            let y = place[0] * window.stride[0] + tap_y * window.dilation[0];
            let x = place[1] * window.stride[1] + tap_x * window.dilation[1];
            let inside = |at: usize, before: usize, size: usize| {
                at.checked_sub(before).filter(|&at| at < size)
            };
            let y = inside(y, window.padding.top, height);
            let x = inside(x, window.padding.left, width);
            match y.zip(x) {
                Some((y, x)) => {
                    let from = (y * width + x) * channels;
                    rows.extend_from_slice(&image[from..from + channels]);
                }
                None => rows.extend(std::iter::repeat_n(fill, channels)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Activation, Padding};

    fn node(op: Op) -> Node {
        let level = crate::Level::Fp32;
        Node { name: "layer".to_owned(), op, inputs: vec![0], outputs: vec![1], level }
    }

    #[test]
    fn moments_are_those_of_the_rows() {
        let rows = ndarray::array![[1.0, 5.0], [3.0, 1.0], [5.0, 0.0]];
        let moments = Moments::of(&rows);
        assert_eq!(moments.mean.to_vec(), [3.0, 2.0]);
        let expected = [[8.0 / 3.0, -10.0 / 3.0], [-10.0 / 3.0, 14.0 / 3.0]];
        for ((i, j), x) in moments.covariance.indexed_iter() {
            assert!((x - expected[i][j]).abs() < 1e-12, "{i} {j} {x}");
        }
    }

    #[test]
    fn a_patch_has_the_taps_of_its_result_and_zeros_around_the_image() {
        let padding = Padding { top: 1, left: 1, ..Padding::default() };
        let window = Window { kernel: [2, 2], stride: [2, 2], dilation: [1, 1], padding };
        assert_eq!(results(&window, [3, 3]), [2, 2]);
        let conv = node(Op::Conv2d { window, activation: Activation::None });
        let x = Tensor::from_shape_fn(vec![1, 3, 3, 1], |at| (3 * at[1] + at[2] + 1) as f32);
        let mut rows = Vec::new();
        gather(&conv, &x, 100, 0.0, &mut rows);
        assert_eq!(
            rows,
            [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 2.0, 3.0, 0.0, 4.0, 0.0, 7.0, 5.0, 6.0, 8.0, 9.0]
        );
        rows.clear();
        gather(&conv, &x, 2, 0.0, &mut rows);
        assert_eq!(rows, [0.0, 0.0, 0.0, 1.0, 0.0, 4.0, 0.0, 7.0]);
    }

    #[test]
    fn a_fully_connected_layer_has_its_rows() {
        let full = node(Op::FullyConnected { activation: Activation::None });
        let x = Tensor::from_shape_fn(vec![1, 2, 2], |at| (2 * at[1] + at[2]) as f32);
        let mut rows = Vec::new();
        gather(&full, &x, 100, 0.0, &mut rows);
        assert_eq!(rows, [0.0, 1.0, 2.0, 3.0]);
    }
}
