//! How activations are stored in 8 bits.

use super::calibrate::Calibration;
use super::recipe::Range;
use super::weights::asymmetric;
use crate::graph::{Graph, Op, UnaryOp, ValueId};

/// The encoding of probabilities.
const PROBABILITY: (f32, i8) = (1.0 / 256.0, -128);

/// Sets of values that operators only move, and that share an encoding therefore.
#[derive(Debug)]
pub(super) struct Groups {
    /// For each value one of its set, the same for all of them.
    root: Vec<ValueId>,
}

impl Groups {
    pub(super) fn of(graph: &Graph) -> Self {
        let mut root: Vec<ValueId> = (0..graph.values.len()).collect();
        for node in &graph.nodes {
            let operands: &[ValueId] = match node.op {
                Op::Concat { .. } => &node.inputs,
                Op::MaxPool2d { .. }
                | Op::Reshape
                | Op::Pad { .. }
                | Op::Gather { .. }
                | Op::Unpack { .. }
                | Op::Transpose { .. }
                | Op::StridedSlice { .. }
                | Op::ResizeBilinear { .. } => &node.inputs[..1],
                _ => continue,
            };
            let first = find(&mut root, node.outputs[0]);
            for &id in operands.iter().chain(&node.outputs) {
                let other = find(&mut root, id);
                root[other] = first;
            }
        }
        let root = (0..root.len()).map(|id| find(&mut root, id)).collect();
        Self { root }
    }

    /// The value that stands for the set of `id`.
    pub(super) fn root(&self, id: ValueId) -> ValueId {
        self.root[id]
    }

    /// Those who stand for sets with a value that is given or computed, in the order in which the values are.
    pub(super) fn computed(&self, graph: &Graph) -> Vec<ValueId> {
        let mut roots: Vec<ValueId> = Vec::new();
        let computed = graph.nodes.iter().flat_map(|node| &node.outputs);
        for &id in graph.inputs.iter().chain(computed) {
            if !roots.contains(&self.root[id]) {
                roots.push(self.root[id]);
            }
        }
        roots
    }
}

fn find(root: &mut [ValueId], mut id: ValueId) -> ValueId {
    while root[id] != id {
        root[id] = root[root[id]];
        id = root[id];
    }
    id
}

/// The 8-bit encoding of every value, given how the range of a set is found.
pub(super) fn encodings(
    graph: &Graph,
    groups: &Groups,
    calibration: &Calibration,
    range: impl Fn(ValueId) -> Range,
) -> Vec<(f32, i8)> {
    let mut ranges: Vec<(f32, f32)> = vec![(0.0, 0.0); graph.values.len()];
    for (id, value) in graph.values.iter().enumerate() {
        let root = groups.root(id);
        let (low, high) = match &value.constant {
            None => calibration.of(id).range(range(root)),
            Some(constant) => constant
                .as_f32()
                .unwrap_or_default()
                .iter()
                .fold((0.0, 0.0), |(low, high): (f32, f32), &x| (low.min(x), high.max(x))),
        };
        ranges[root] = (ranges[root].0.min(low), ranges[root].1.max(high));
    }
    let mut all: Vec<(f32, i8)> =
        (0..graph.values.len()).map(|id| asymmetric(ranges[groups.root(id)])).collect();
    for node in &graph.nodes {
        if matches!(node.op, Op::Softmax { .. } | Op::Unary(UnaryOp::Logistic)) {
            all[node.outputs[0]] = PROBABILITY;
        }
    }
    all
}
