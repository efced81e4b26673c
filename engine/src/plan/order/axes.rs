//! Which values have their channels in one order.

use crate::graph::{ConstantData, Encoding, Graph, Node, Op, ReduceOp, ValueId};

/// The channel axes of a graph that can be in any order.
#[derive(Debug)]
pub(super) struct Axes {
    /// For each value its axis; none where channels must stay where they are.
    of: Vec<Option<usize>>,
    /// Channels of each axis.
    pub(super) sizes: Vec<usize>,
}

impl Axes {
    pub(super) fn of(graph: &Graph) -> Self {
        let mut sets = Sets::new(graph);
        graph.nodes.iter().for_each(|node| sets.visit(node));
        let mut axes = Self { of: vec![None; graph.values.len()], sizes: Vec::new() };
        let mut known = vec![None; graph.values.len()];
        for (id, value) in graph.values.iter().enumerate() {
            let root = sets.root(id);
            if sets.fixed[root] || value.constant.is_some() {
                continue;
            }
            axes.of[id] = Some(*known[root].get_or_insert_with(|| {
                axes.sizes.push(channels(graph, id));
                axes.sizes.len() - 1
            }));
        }
        axes
    }

    /// The axis of a value.
    pub(super) fn axis(&self, id: ValueId) -> Option<usize> {
        self.of[id]
    }
}

/// The extent of the last axis.
fn channels(graph: &Graph, id: ValueId) -> usize {
    graph.values[id].shape.last().copied().unwrap_or(1)
}

/// Sets of values whose channels are in the same order.
struct Sets<'a> {
    graph: &'a Graph,
    parent: Vec<ValueId>,
    /// Of those who stand for a set, whether its order is given.
    fixed: Vec<bool>,
    /// How many operands each value is.
    uses: Vec<usize>,
}

impl<'a> Sets<'a> {
    /// Each value alone; what comes from outside, goes there or is not in 8 bits stays as it is.
    fn new(graph: &'a Graph) -> Self {
        let bytes = |encoding| matches!(encoding, Encoding::Int8 { .. });
        let mut fixed: Vec<bool> =
            graph.values.iter().map(|value| !bytes(value.encoding)).collect();
        graph.inputs.iter().chain(&graph.outputs).for_each(|&id| fixed[id] = true);
        let uses = graph.consumers().iter().map(Vec::len).collect();
        Self { graph, parent: (0..graph.values.len()).collect(), fixed, uses }
    }

    fn root(&self, mut id: ValueId) -> ValueId {
        while self.parent[id] != id {
            id = self.parent[id];
        }
        id
    }

    fn join(&mut self, a: ValueId, b: ValueId) {
        let same = channels(self.graph, a) == channels(self.graph, b);
        let (a, b) = (self.root(a), self.root(b));
        self.parent[b] = a;
        self.fixed[a] |= self.fixed[b] || !same;
    }

    fn fix(&mut self, id: ValueId) {
        let root = self.root(id);
        self.fixed[root] = true;
    }

    /// Whether all operands from the second on are constants that no other node reads, so that they can be permuted.
    fn owns_constants(&self, operands: &[ValueId]) -> bool {
        operands.iter().all(|&id| self.uses[id] == 1 && self.graph.values[id].constant.is_some())
    }

    fn visit(&mut self, node: &Node) {
        let (x, y, graph) = (node.inputs[0], node.outputs[0], self.graph);
        let integers = |id: ValueId| {
            let data = graph.values[id].constant.as_ref().map(|constant| &constant.data);
            matches!(data, Some(ConstantData::I8(_) | ConstantData::I4(_)))
        };
        let last = graph.values[x].shape.len().saturating_sub(1);
        match &node.op {
            Op::Conv2d { .. } | Op::FullyConnected { .. }
                if integers(node.inputs[1]) && self.owns_constants(&node.inputs[1..]) =>
            {
                if channels(graph, x) != channels(graph, node.inputs[1]) {
                    self.fix(x);
                }
            }
            Op::DepthwiseConv2d { .. } | Op::Prelu if self.owns_constants(&node.inputs[1..]) => {
                self.join(x, y);
            }
            Op::MaxPool2d { .. }
            | Op::AveragePool2d { .. }
            | Op::ResizeBilinear { .. }
            | Op::Unary(_) => self.join(x, y),
            Op::Reduce { op: ReduceOp::Mean, axes, .. } if !axes.contains(&last) => {
                self.join(x, y);
            }
            Op::Pad { amounts } if amounts.last() == Some(&[0, 0]) => self.join(x, y),
            Op::Binary { .. }
                if graph.values[x].shape == graph.values[node.inputs[1]].shape
                    && graph.values[x].constant.is_none()
                    && graph.values[node.inputs[1]].constant.is_none()
                    && self.owns_constants(&node.inputs[2..]) =>
            {
                self.join(x, y);
                self.join(node.inputs[1], y);
            }
            _ => node.inputs.iter().chain(&node.outputs).for_each(|&id| self.fix(id)),
        }
    }
}
