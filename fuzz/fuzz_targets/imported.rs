//! Any bytes as a model: importing must not panic, hang or fill the memory, and a graph that comes out must be sound, also
//! after the fusions, and run.

use quantrack_engine::graph::{self, Graph, Op, fuse};
use quantrack_engine::{Tensor, model, oracle};

/// Graphs that take more than this many multiply-accumulates or elements are not run.
const MAX_WORK: u64 = 1 << 16;

/// Imports, fuses and runs.
pub fn check(bytes: &[u8]) {
    let Ok(graph) = model::import(bytes) else { return };
    graph.validate().expect("an imported graph is valid");
    let work = work(&graph);
    let fused = fuse::optimize(graph.clone());
    fused.validate().expect("a fused graph is valid");
    // Padding times an infinite weight is NaN before a fusion and absent after it.
    let finite = |constant: &graph::Constant| {
        constant.as_f32().is_none_or(|all| all.iter().all(|v| v.is_finite()))
    };
    let finite = graph.values.iter().filter_map(|value| value.constant.as_ref()).all(finite);
    if finite && work <= MAX_WORK {
        let inputs: Vec<Tensor> = graph
            .inputs
            .iter()
            .map(|&id| Tensor::ones(graph.values[id].shape.as_slice()))
            .collect();
        let outputs = oracle::run(&graph, &inputs).expect("a valid graph runs");
        let fused_outputs = oracle::run(&fused, &inputs).expect("a fused graph runs");
        for (a, b) in outputs.iter().flatten().zip(fused_outputs.iter().flatten()) {
            assert!(a == b || (a.is_nan() && b.is_nan()), "fusing changed {a} into {b}");
        }
    }
}

/// Multiply-accumulates, elements and window positions of the graph, roughly what running it costs.
fn work(graph: &Graph) -> u64 {
    let elements: u64 = graph.values.iter().map(|value| value.elements() as u64).sum();
    let pooled = graph.nodes.iter().map(|node| match node.op {
        Op::MaxPool2d { window, .. } | Op::AveragePool2d { window, .. } => {
            let taps = window.kernel.map(|extent| extent as u64);
            let results = graph.values[node.outputs[0]].elements() as u64;
            results.saturating_mul(taps[0]).saturating_mul(taps[1])
        }
        _ => 0,
    });
    graph.macs().saturating_add(elements).saturating_add(pooled.fold(0, u64::saturating_add))
}
