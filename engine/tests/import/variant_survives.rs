//! What has to hold for any bytes that an agent takes for a variant; the fuzz target checks it, too.

use std::sync::Arc;

use quantrack_engine::graph::{Graph, Op};
use quantrack_engine::kernels::CpuFeatures;
use quantrack_engine::plan::{Plan, Session};
use quantrack_engine::{Serial, Tensor, Variant};

/// Graphs that take more than this many multiply-accumulates, elements or window positions are not run.
const MAX_WORK: u64 = 1 << 16;

/// Decodes: what comes out is valid, survives its own file, and is planned (or refused) and run.
pub(crate) fn survives(bytes: &[u8]) {
    let Ok(variant) = Variant::from_bytes(bytes) else { return };
    variant.graph.validate().unwrap();
    let again = Variant::from_bytes(&variant.to_bytes()).unwrap();
    assert_eq!(again.graph.nodes, variant.graph.nodes);
    if work(&variant.graph) > MAX_WORK {
        return;
    }
    let Ok(plan) = Plan::new(&variant, &CpuFeatures::detect()) else { return };
    let ones: Vec<Tensor> =
        plan.inputs().iter().map(|port| Tensor::ones(port.shape.as_slice())).collect();
    Session::new(Arc::new(plan)).run(&ones, &Serial).unwrap();
}

/// Roughly what running the graph costs.
fn work(graph: &Graph) -> u64 {
    let elements: u64 = graph.values.iter().map(|value| value.elements() as u64).sum();
    let windows = graph.nodes.iter().map(|node| match node.op {
        Op::Conv2d { window, .. }
        | Op::DepthwiseConv2d { window, .. }
        | Op::MaxPool2d { window, .. }
        | Op::AveragePool2d { window, .. } => {
            let taps = window.kernel.map(|extent| extent as u64);
            let results = graph.values[node.outputs[0]].elements() as u64;
            results.saturating_mul(taps[0]).saturating_mul(taps[1])
        }
        _ => 0,
    });
    graph.macs().saturating_add(elements).saturating_add(windows.fold(0, u64::saturating_add))
}
