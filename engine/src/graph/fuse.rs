//! Graph to graph: operators merged into those before them, and what no output needs removed.

use super::{Activation, Graph, Node, Op, UnaryOp, ValueId};

/// All passes of this module, in the order in which they help each other.
#[must_use]
pub fn optimize(graph: Graph) -> Graph {
    remove_dead(fuse_activations(graph))
}

/// Merges PReLU, ReLU and ReLU6 into the operator before them, where that operator can apply them and nobody else
/// reads its result. The merged node has the name and the result of the activation.
#[must_use]
pub fn fuse_activations(mut graph: Graph) -> Graph {
    let producers = graph.producers();
    let consumers = graph.consumers();
    let mut merged = vec![false; graph.nodes.len()];
    for index in 0..graph.nodes.len() {
        let x = graph.nodes[index].inputs[0];
        let Some(before) = producers[x] else { continue };
        if consumers[x].len() != 1 || graph.outputs.contains(&x) {
            continue;
        }
        let (activation, slopes) = match &graph.nodes[index].op {
            Op::Prelu => (Activation::Prelu, Some(graph.nodes[index].inputs[1])),
            Op::Unary(UnaryOp::Relu) => (Activation::Relu, None),
            Op::Unary(UnaryOp::Relu6) => (Activation::Relu6, None),
            _ => continue,
        };
        let Some(slot) = activation_slot(&mut graph.nodes[before].op, activation) else { continue };
        *slot = activation;
        graph.nodes[before].inputs.extend(slopes);
        graph.nodes[before].outputs = graph.nodes[index].outputs.clone();
        graph.nodes[before].name = graph.nodes[index].name.clone();
        merged[index] = true;
    }
    let mut index = 0;
    graph.nodes.retain(|_| {
        index += 1;
        !merged[index - 1]
    });
    graph
}

/// Where `op` keeps its activation, if it has none yet and can apply `wanted`.
fn activation_slot(op: &mut Op, wanted: Activation) -> Option<&mut Activation> {
    let slot = match op {
        Op::Conv2d { activation, .. }
        | Op::DepthwiseConv2d { activation, .. }
        | Op::FullyConnected { activation } => activation,
        Op::Binary { activation, .. }
        | Op::MaxPool2d { activation, .. }
        | Op::AveragePool2d { activation, .. }
            if wanted != Activation::Prelu =>
        {
            activation
        }
        _ => return None,
    };
    (*slot == Activation::None).then_some(slot)
}

/// Removes nodes that no output depends on and values that nothing mentions. Inputs stay, used or not.
#[must_use]
pub fn remove_dead(mut graph: Graph) -> Graph {
    let mut needed = vec![false; graph.values.len()];
    for &output in &graph.outputs {
        needed[output] = true;
    }
    let mut kept: Vec<Node> = Vec::with_capacity(graph.nodes.len());
    for node in graph.nodes.drain(..).rev() {
        if node.outputs.iter().any(|&id| needed[id]) {
            for &id in node.inputs.iter().chain(&node.outputs) {
                needed[id] = true;
            }
            kept.push(node);
        }
    }
    kept.reverse();
    graph.nodes = kept;
    for &input in &graph.inputs {
        needed[input] = true;
    }
    compact(graph, &needed)
}

/// Drops the values that are not `needed` and renumbers the rest.
fn compact(mut graph: Graph, needed: &[bool]) -> Graph {
    let mut renumbered: Vec<ValueId> = Vec::with_capacity(needed.len());
    let mut next = 0;
    for &keep in needed {
        renumbered.push(next);
        next += usize::from(keep);
    }
    let mut keep = needed.iter();
    graph.values.retain(|_| keep.next().is_some_and(|&keep| keep));
    let nodes = graph.nodes.iter_mut().flat_map(|node| [&mut node.inputs, &mut node.outputs]);
    for ids in nodes.chain([&mut graph.inputs, &mut graph.outputs]) {
        for id in ids {
            *id = renumbered[*id];
        }
    }
    graph
}
