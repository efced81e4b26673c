//! A graph with its channels in another order.

use super::axes::Axes;
use crate::graph::{Constant, ConstantData, Graph, Op, ValueId};

/// `graph` with the channels of each axis in the order that `orders` has for it: what is at a place, was at the place that
/// stands there.
pub(super) fn permuted(graph: &Graph, axes: &Axes, orders: &[Vec<usize>]) -> Graph {
    let mut result = graph.clone();
    let order = |id: ValueId| axes.axis(id).map(|axis| &orders[axis][..]);
    for node in &graph.nodes {
        let (inputs, columns) = (&node.inputs, order(node.outputs[0]));
        // The axes of weights are those of the results and of the operand.
        let (weights, parameters) = match node.op {
            Op::Conv2d { .. } | Op::FullyConnected { .. } => {
                (Some([columns, order(inputs[0])]), &inputs[2..])
            }
            Op::DepthwiseConv2d { .. } => (Some([None, columns]), &inputs[2..]),
            Op::Prelu => (None, &inputs[1..]),
            Op::Binary { .. } => (None, &inputs[2..]),
            _ => continue,
        };
        if let Some(orders) = weights {
            permute(&mut result, inputs[1], orders, columns);
        }
        for &id in parameters {
            permute(&mut result, id, [None, columns], None);
        }
    }
    result
}

/// Puts the first and last axis of a constant in another order, and its scales.
fn permute(
    graph: &mut Graph,
    id: ValueId,
    [first, last]: [Option<&[usize]>; 2],
    scales: Option<&[usize]>,
) {
    if first.is_none() && last.is_none() {
        return;
    }
    let value = &mut graph.values[id];
    let count = value.elements();
    let columns = value.shape.last().copied().unwrap_or(1);
    // From one index of the first axis to the next, if it is not the last as well.
    let row = if value.shape.len() > 1 { count / value.shape[0] } else { count };
    let source = |index: usize| {
        let (outer, inner) = (index / row, index % row);
        let outer = first.map_or(outer, |order| order[outer]);
        let column = last.map_or(inner % columns, |order| order[inner % columns]);
        outer * row + inner / columns * columns + column
    };
    let Some(constant) = &mut value.constant else { return };
    if let Some(order) = scales
        && constant.scales.len() == order.len()
    {
        constant.scales = order.iter().map(|&channel| constant.scales[channel]).collect();
    }
    fn taken<T: Copy>(elements: &mut Vec<T>, source: impl Fn(usize) -> usize) {
        *elements = (0..elements.len()).map(|index| elements[source(index)]).collect();
    }
    if let ConstantData::I4(_) = constant.data
        && let Some(mut nibbles) = constant.to_i4(count)
    {
        taken(&mut nibbles, source);
        *constant = Constant::i4(&nibbles, std::mem::take(&mut constant.scales));
        return;
    }
    match &mut constant.data {
        ConstantData::F32(elements) => taken(elements, source),
        ConstantData::F16(elements) => taken(elements, source),
        ConstantData::I8(elements) => taken(elements, source),
        ConstantData::I32(elements) => taken(elements, source),
        // No axis of such constants is in another order.
        ConstantData::I4(_) | ConstantData::I4Groups { .. } | ConstantData::Bits(_) => {}
    }
}
