//! Counting: multiply-accumulates, parameters, and who reads what.

use super::{Graph, Node, Op};

impl Graph {
    /// Multiply-accumulates of one node; 0 for operators other than convolutions and matrix products. Products
    /// with padding count.
    pub fn node_macs(&self, node: &Node) -> u64 {
        let shape = |ids: &[usize], index: usize| -> &[usize] {
            ids.get(index).map_or(&[], |&id| &self.values[id].shape)
        };
        let (result, weights) = (shape(&node.outputs, 0), shape(&node.inputs, 1));
        let per_result: usize = match node.op {
            Op::Conv2d { .. } | Op::FullyConnected { .. } => weights.iter().skip(1).product(),
            Op::DepthwiseConv2d { .. } => weights.iter().skip(1).take(2).product(),
            _ => return 0,
        };
        result.iter().product::<usize>() as u64 * per_result as u64
    }

    /// Multiply-accumulates of one inference.
    pub fn macs(&self) -> u64 {
        // Only a hostile graph gets near the limit, but it must not overflow either.
        self.nodes.iter().map(|node| self.node_macs(node)).fold(0, u64::saturating_add)
    }

    /// Number of learned parameters: elements of all constants but indices.
    pub fn parameters(&self) -> usize {
        let mut is_index = vec![false; self.values.len()];
        for node in self.nodes.iter().filter(|node| matches!(node.op, Op::Gather { .. })) {
            is_index[node.inputs[1]] = true;
        }
        let learned = |(value, index): &(&super::Value, bool)| value.constant.is_some() && !index;
        self.values.iter().zip(is_index).filter(learned).map(|(value, _)| value.elements()).sum()
    }

    /// For each value the index of the node that computes it; `None` for inputs and constants.
    pub fn producers(&self) -> Vec<Option<usize>> {
        let mut producers = vec![None; self.values.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            for &output in &node.outputs {
                producers[output] = Some(index);
            }
        }
        producers
    }

    /// For each value the indices of the nodes that read it, in order, one entry per operand.
    pub fn consumers(&self) -> Vec<Vec<usize>> {
        let mut consumers = vec![Vec::new(); self.values.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            for &input in &node.inputs {
                consumers[input].push(index);
            }
        }
        consumers
    }
}
