//! Where nodes stand in a model, and at which level that lets them run.

use crate::graph::{Activation, BinaryOp, Graph, Node, Op, ReduceOp, UnaryOp};

/// Why a node stays in floating point, if it does.
pub(super) fn needs_fp32(node: &Node, preparation: bool) -> Option<String> {
    let arithmetic = matches!(
        &node.op,
        Op::Binary { op: BinaryOp::Div | BinaryOp::Maximum | BinaryOp::Minimum, .. }
            | Op::Unary(UnaryOp::Sign | UnaryOp::Bipolar)
            | Op::Reduce { op: ReduceOp::Max | ReduceOp::Min | ReduceOp::Sum, .. }
    );
    if arithmetic {
        return Some(format!("{} has no 8-bit arithmetic", node.op.name()));
    }
    let computes = matches!(node.op, Op::Binary { .. } | Op::Reduce { .. });
    (preparation && computes)
        .then(|| "prepares the input before the first layer with weights".to_owned())
}

/// Why the weights of a layer stay at 8 bits at int4, if they do.
pub(super) fn eight_bit_reason(node: &Node, index: usize, roles: &Roles) -> Option<&'static str> {
    match node.op {
        Op::DepthwiseConv2d { .. } => {
            Some("a depthwise layer has few weights, and each of them counts")
        }
        _ if roles.is_stem(index) => Some("the stem: everything depends on it"),
        _ if roles.is_head(index) => Some("a head: its results are the model's"),
        _ => None,
    }
}

/// Whether a node multiplies with weights.
pub(super) fn has_weights(node: &Node) -> bool {
    matches!(node.op, Op::Conv2d { .. } | Op::DepthwiseConv2d { .. } | Op::FullyConnected { .. })
}

/// The activation that a node ends with.
pub(super) fn activation(node: &Node) -> Activation {
    match node.op {
        Op::Conv2d { activation, .. }
        | Op::DepthwiseConv2d { activation, .. }
        | Op::Binary { activation, .. }
        | Op::FullyConnected { activation } => activation,
        _ => Activation::None,
    }
}

/// Where nodes stand in the model.
#[derive(Debug)]
pub(super) struct Roles {
    /// Per node whether it has weights.
    pub(super) weighted: Vec<bool>,
    /// Per node whether a weighted node precedes it.
    after_weights: Vec<bool>,
    /// Per node whether a weighted node follows it.
    before_weights: Vec<bool>,
}

impl Roles {
    pub(super) fn of(graph: &Graph) -> Self {
        let weighted: Vec<bool> = graph.nodes.iter().map(has_weights).collect();
        let count = graph.nodes.len();
        let (mut after, mut before) = (vec![false; count], vec![false; count]);
        let producers = graph.producers();
        for index in 0..count {
            let feeds = graph.nodes[index].inputs.iter().filter_map(|&id| producers[id]);
            after[index] = feeds.into_iter().any(|from| weighted[from] || after[from]);
        }
        let consumers = graph.consumers();
        for index in (0..count).rev() {
            let mut readers = graph.nodes[index].outputs.iter().flat_map(|&id| &consumers[id]);
            before[index] = readers.any(|&to| weighted[to] || before[to]);
        }
        Self { weighted, after_weights: after, before_weights: before }
    }

    pub(super) fn is_stem(&self, node: usize) -> bool {
        self.weighted[node] && !self.after_weights[node]
    }

    pub(super) fn is_head(&self, node: usize) -> bool {
        self.weighted[node] && !self.before_weights[node]
    }

    /// A head, or what comes after all layers with weights.
    pub(super) fn is_tail(&self, node: usize) -> bool {
        !self.before_weights[node] && (self.weighted[node] || self.after_weights[node])
    }

    pub(super) fn is_preparation(&self, node: usize) -> bool {
        !self.weighted[node] && !self.after_weights[node] && self.before_weights[node]
    }
}
