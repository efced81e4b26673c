//! Graph to graph: operators merged into those before them, and what no output needs removed.

use super::{Activation, BinaryOp, Graph, MAX_ELEMENTS, Node, Op, Padding, UnaryOp, ValueId};

/// All passes of this module, in the order in which they help each other.
#[must_use]
pub fn optimize(graph: Graph) -> Graph {
    remove_dead(fuse_padding(fuse_activations(graph)))
}

/// Merges spatial padding into the convolution behind it, if nobody else reads the padded tensor. Exporters of
/// frameworks without SAME padding write it so. The `Pad` is dead then.
#[must_use]
pub fn fuse_padding(mut graph: Graph) -> Graph {
    let consumers = graph.consumers();
    let producers = graph.producers();
    for index in 0..graph.nodes.len() {
        let padded = graph.nodes[index].inputs[0];
        let Some(before) = producers[padded] else { continue };
        let Op::Pad { amounts } = &graph.nodes[before].op else { continue };
        let &[[0, 0], [top, bottom], [left, right], [0, 0]] = amounts.as_slice() else { continue };
        if consumers[padded].len() != 1 || graph.outputs.contains(&padded) {
            continue;
        }
        let x = graph.nodes[before].inputs[0];
        let node = &mut graph.nodes[index];
        if let Op::Conv2d { window, .. } | Op::DepthwiseConv2d { window, .. } = &mut node.op {
            let joined = Padding {
                top: window.padding.top + top,
                bottom: window.padding.bottom + bottom,
                left: window.padding.left + left,
                right: window.padding.right + right,
            };
            let sides = [joined.top, joined.bottom, joined.left, joined.right];
            if sides.iter().all(|&side| side <= MAX_ELEMENTS) {
                window.padding = joined;
                node.inputs[0] = x;
            }
        }
    }
    graph
}

/// Merges PReLU, ReLU and ReLU6 into the operator before them, where that operator can apply them and nobody else
/// reads its result. The merged node has the name and the result of the activation.
#[must_use]
pub fn fuse_activations(mut graph: Graph) -> Graph {
    let consumers = graph.consumers();
    let mut producers = vec![None; graph.values.len()];
    let mut fused: Vec<Node> = Vec::with_capacity(graph.nodes.len());
    for node in std::mem::take(&mut graph.nodes) {
        let x = node.inputs[0];
        let exclusive = consumers[x].len() == 1 && !graph.outputs.contains(&x);
        let before = producers[x].filter(|_| exclusive);
        let place = match before {
            Some(before) if merge(&mut fused[before], &node) => before,
            _ => {
                fused.push(node);
                fused.len() - 1
            }
        };
        for &output in &fused[place].outputs {
            producers[output] = Some(place);
        }
    }
    graph.nodes = fused;
    graph
}

/// Makes `before` compute what `node` computes from its result; false when it cannot.
fn merge(before: &mut Node, node: &Node) -> bool {
    let activation = match node.op {
        Op::Prelu => Activation::Prelu,
        Op::Unary(UnaryOp::Relu) => Activation::Relu,
        Op::Unary(UnaryOp::Relu6) => Activation::Relu6,
        _ => return false,
    };
    let Some(slot) = activation_slot(&mut before.op, activation) else { return false };
    *slot = activation;
    before.inputs.extend(&node.inputs[1..]);
    before.outputs.clone_from(&node.outputs);
    before.name.clone_from(&node.name);
    true
}

/// Where `op` keeps its activation, if it has none yet and can apply `wanted`.
fn activation_slot(op: &mut Op, wanted: Activation) -> Option<&mut Activation> {
    let slot = match op {
        Op::Conv2d { activation, .. }
        | Op::DepthwiseConv2d { activation, .. }
        | Op::FullyConnected { activation }
        | Op::Binary { op: BinaryOp::Add | BinaryOp::Sub, activation } => activation,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;
    use crate::graph::{Constant, Encoding, Value, Window};

    fn value(name: &str, shape: &[usize], constant: Option<Vec<f32>>) -> Value {
        let constant = constant.map(Constant::f32);
        Value { name: name.into(), shape: shape.to_vec(), encoding: Encoding::F32, constant }
    }

    fn node(name: &str, op: Op, inputs: &[ValueId], output: ValueId) -> Node {
        let (name, inputs) = (name.to_owned(), inputs.to_vec());
        Node { name, op, inputs, outputs: vec![output], level: Level::Fp32 }
    }

    /// x → FC → PReLU → ReLU → y, and a second reader of x that leads nowhere.
    fn graph() -> Graph {
        Graph {
            values: vec![
                value("x", &[1, 2], None),
                value("w", &[2, 2], Some(vec![1., 0., 0., 1.])),
                value("b", &[2], Some(vec![0., 0.])),
                value("slopes", &[2], Some(vec![2., 3.])),
                value("unused", &[1, 2], None),
                value("fc", &[1, 2], None),
                value("prelu", &[1, 2], None),
                value("y", &[1, 2], None),
                value("other input", &[3], None),
            ],
            nodes: vec![
                node("unused", Op::Unary(UnaryOp::Sign), &[0], 4),
                node("fc", Op::FullyConnected { activation: Activation::None }, &[0, 1, 2], 5),
                node("prelu", Op::Prelu, &[5, 3], 6),
                node("y", Op::Unary(UnaryOp::Relu), &[6], 7),
            ],
            inputs: vec![0, 8],
            outputs: vec![7],
        }
    }

    #[test]
    fn an_activation_merges_into_its_producer_and_dead_nodes_vanish() {
        let graph = graph();
        graph.validate().unwrap();
        let optimized = optimize(graph);
        optimized.validate().unwrap();
        let names: Vec<&str> = optimized.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["prelu", "y"], "one activation per node");
        let fc = &optimized.nodes[0];
        assert_eq!(fc.op, Op::FullyConnected { activation: Activation::Prelu });
        assert_eq!(optimized.values[fc.inputs[3]].name, "slopes");
        let names: Vec<&str> = optimized.values.iter().map(|value| value.name.as_str()).collect();
        assert_eq!(names, ["x", "w", "b", "slopes", "prelu", "y", "other input"]);
        assert_eq!(optimized.inputs, [0, 6], "inputs stay, used or not");
    }

    #[test]
    fn prelu_merges_into_a_sum_but_not_into_a_product() {
        for (op, nodes) in [(BinaryOp::Add, 1), (BinaryOp::Mul, 2)] {
            let graph = Graph {
                values: vec![
                    value("x", &[2, 2], None),
                    value("slopes", &[2], Some(vec![2., 3.])),
                    value("sum", &[2, 2], None),
                    value("y", &[2, 2], None),
                ],
                nodes: vec![
                    node("sum", Op::Binary { op, activation: Activation::None }, &[0, 0], 2),
                    node("y", Op::Prelu, &[2, 1], 3),
                ],
                inputs: vec![0],
                outputs: vec![3],
            };
            let fused = optimize(graph.clone());
            fused.validate().unwrap();
            assert_eq!(fused.nodes.len(), nodes);
            let x =
                crate::Tensor::from_shape_fn(vec![2, 2], |i| i[0] as f32 * 2. - 1. - i[1] as f32);
            let results = |graph| crate::oracle::run(graph, std::slice::from_ref(&x)).unwrap();
            assert_eq!(results(&fused), results(&graph));
        }
    }

    #[test]
    fn spatial_padding_becomes_that_of_the_convolution() {
        let window = Window {
            kernel: [2, 2],
            stride: [1, 1],
            dilation: [1, 1],
            padding: Padding { top: 1, ..Padding::default() },
        };
        let mut graph = Graph {
            values: vec![
                value("x", &[1, 2, 2, 1], None),
                value("w", &[1, 2, 2, 1], Some(vec![1., 2., 3., 4.])),
                value("b", &[1], Some(vec![0.])),
                value("padded", &[1, 3, 4, 1], None),
                value("y", &[1, 3, 3, 1], None),
            ],
            nodes: vec![
                node("padded", Op::Pad { amounts: vec![[0, 0], [0, 1], [2, 0], [0, 0]] }, &[0], 3),
                node("y", Op::Conv2d { window, activation: Activation::None }, &[3, 1, 2], 4),
            ],
            inputs: vec![0],
            outputs: vec![4],
        };
        let fused = optimize(graph.clone());
        fused.validate().unwrap();
        assert_eq!(fused.nodes.len(), 1);
        let x = crate::Tensor::from_shape_fn(vec![1, 2, 2, 1], |i| (i[1] * 2 + i[2]) as f32 + 1.);
        let results = |graph| crate::oracle::run(graph, std::slice::from_ref(&x)).unwrap();
        assert_eq!(results(&fused), results(&graph));
        graph.outputs.push(3);
        assert_eq!(optimize(graph).nodes.len(), 2, "the padded tensor is an output");
    }

    #[test]
    fn a_result_that_others_see_is_kept() {
        let mut seen = graph();
        seen.outputs.push(5);
        assert_eq!(optimize(seen).nodes.len(), 3, "an output");
        let mut read_twice = graph();
        read_twice.nodes[0].inputs = vec![5];
        read_twice.nodes.swap(0, 1);
        read_twice.outputs.push(4);
        read_twice.validate().unwrap();
        assert_eq!(optimize(read_twice).nodes.len(), 4, "another reader");
    }
}
