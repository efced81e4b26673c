//! How much noise a variant adds: at its outputs, and along the graph.

use std::sync::Arc;

use super::error::CalibrateError;
use super::prepare;
use crate::Level;
use crate::graph::{Encoding, Graph, Node, Op, Value, ValueId, fuse};
use crate::kernels::CpuFeatures;
use crate::plan::{Plan, Session};
use crate::variant::Variant;
use crate::{Serial, Tensor};

/// Least ratio of noise to signal: what is below counts as none (-150 dB).
const LEAST: f64 = 1e-15;

/// A layer of a variant, and what is left of the signal behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNoise {
    /// Name of the node.
    pub node: String,
    /// The operator.
    pub op: String,
    /// The level at which it runs.
    pub level: Level,
    /// Signal to quantization noise ratio of its result in decibels: how well the fp32 result can be told from it, each
    /// channel scaled as suits best, because equalization scales channels. 0 where nothing is left.
    pub sqnr_db: f64,
}

/// The signal behind every layer of `variant`, made of `graph`, over `samples`, in the order in which they run.
///
/// # Errors
/// Graphs that cannot be planned, or samples that do not fit.
pub fn noise_along(
    graph: &Graph,
    variant: &Variant,
    samples: &[Vec<Tensor>],
    cpu: &CpuFeatures,
) -> Result<Vec<LayerNoise>, CalibrateError> {
    let source = prepare(graph);
    let pairs: Vec<(&Node, ValueId, ValueId)> = variant
        .graph
        .nodes
        .iter()
        .filter(|node| node.op != Op::Convert && readable(&variant.graph, node.outputs[0]))
        .filter_map(|node| {
            let same = source.nodes.iter().find(|other| other.name == node.name)?;
            Some((node, same.outputs[0], node.outputs[0]))
        })
        .collect();
    let expected: Vec<ValueId> = pairs.iter().map(|pair| pair.1).collect();
    let found: Vec<ValueId> = pairs.iter().map(|pair| pair.2).collect();
    let mut reference = watch(&source, &expected, cpu)?;
    let mut candidate = watch(&variant.graph, &found, cpu)?;
    let mut products: Vec<Vec<Products>> = vec![Vec::new(); pairs.len()];
    for sample in samples {
        let expected = reference.run(sample, &Serial)?;
        let found = candidate.run(sample, &Serial)?;
        for ((expected, found), products) in expected.iter().zip(&found).zip(&mut products) {
            let channels = expected.shape().last().copied().unwrap_or(1).max(1);
            products.resize(channels, Products::default());
            for (index, (&x, &y)) in expected.iter().zip(found).enumerate() {
                products[index % channels].add(f64::from(x), f64::from(y));
            }
        }
    }
    let noise = |((node, ..), products): (&(&Node, ValueId, ValueId), &Vec<Products>)| {
        let signal: f64 = products.iter().map(|channel| channel.xx).sum();
        let noise: f64 = products.iter().map(Products::unexplained).sum();
        LayerNoise {
            node: node.name.clone(),
            op: node.op.name().to_owned(),
            level: node.level,
            sqnr_db: if signal > 0.0 { decibels(noise / signal) } else { decibels(0.0) },
        }
    };
    Ok(pairs.iter().zip(&products).map(noise).collect())
}

/// Sums over the elements x of fp32 and y of the variant of one channel.
#[derive(Clone, Copy, Debug, Default)]
struct Products {
    xx: f64,
    xy: f64,
    yy: f64,
}

impl Products {
    fn add(&mut self, x: f64, y: f64) {
        // What is no number explains nothing.
        let y = if y.is_finite() { y } else { 0.0 };
        self.xx += x * x;
        self.xy += x * y;
        self.yy += y * y;
    }

    /// Energy of x that no positive multiple of y has.
    fn unexplained(&self) -> f64 {
        if self.xy <= 0.0 { self.xx } else { (self.xx - self.xy * self.xy / self.yy).max(0.0) }
    }
}

/// Signal to noise ratio in decibels, for noise in shares of the signal.
pub(super) fn decibels(noise: f64) -> f64 {
    -10.0 * noise.max(LEAST).log10()
}

/// What fp32 gives for some samples, to hold variants against.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    cpu: &'a CpuFeatures,
    samples: Vec<&'a Vec<Tensor>>,
    /// By sample.
    expected: Vec<Vec<Tensor>>,
    /// By output, how far its elements are from their mean, squared and added up.
    signal: Vec<f64>,
}

impl<'a> Judge<'a> {
    /// Of the fp32 `graph`.
    pub(super) fn new(
        graph: &Graph,
        samples: Vec<&'a Vec<Tensor>>,
        cpu: &'a CpuFeatures,
    ) -> Result<Self, CalibrateError> {
        let mut session = watch(graph, &graph.outputs, cpu)?;
        let expected: Vec<Vec<Tensor>> =
            samples.iter().map(|sample| session.run(sample, &Serial)).collect::<Result<_, _>>()?;
        let signal = (0..graph.outputs.len()).map(|at| {
            let elements = || expected.iter().flat_map(|outputs| outputs[at].iter());
            let mean = elements().map(|&x| f64::from(x)).sum::<f64>() / elements().count() as f64;
            elements().map(|&x| (f64::from(x) - mean).powi(2)).sum()
        });
        let signal = signal.collect();
        Ok(Self { cpu, samples, expected, signal })
    }

    /// Noise of the outputs of `variant` in shares of their signal, mean over the outputs that have one.
    pub(super) fn noise(&self, variant: &Variant) -> Result<f64, CalibrateError> {
        let plan = Plan::new(variant, self.cpu)?;
        let mut session = Session::new(Arc::new(plan));
        let mut noise = vec![0.0; self.signal.len()];
        for (sample, expected) in self.samples.iter().zip(&self.expected) {
            let found = session.run_in_place(sample, &Serial)?;
            for ((noise, expected), found) in noise.iter_mut().zip(expected).zip(found) {
                let off = |(&x, &y): (&f32, &f32)| {
                    let y = if y.is_finite() { y } else { 0.0 };
                    (f64::from(x) - f64::from(y)).powi(2)
                };
                *noise += expected.iter().zip(found).map(off).sum::<f64>();
            }
        }
        let ratios = noise.iter().zip(&self.signal).filter(|(_, signal)| **signal > 0.0);
        let ratios: Vec<f64> = ratios.map(|(noise, signal)| noise / signal).collect();
        Ok(ratios.iter().sum::<f64>() / ratios.len().max(1) as f64)
    }
}

/// Whether a value can be read as real numbers: what the bits of a one-bit layer stand for is up to their reader.
fn readable(graph: &Graph, id: ValueId) -> bool {
    matches!(graph.values[id].encoding, Encoding::F32 | Encoding::F16 | Encoding::Int8 { .. })
}

/// Runs `graph` as far as `values`, which it returns in fp32.
pub(super) fn watch(
    graph: &Graph,
    values: &[ValueId],
    cpu: &CpuFeatures,
) -> Result<Session, CalibrateError> {
    let mut watched = graph.clone();
    watched.outputs.clear();
    for &id in values {
        if watched.values[id].encoding == Encoding::F32 {
            watched.outputs.push(id);
            continue;
        }
        let output = watched.values.len();
        let name = format!("{}#watched{output}", watched.values[id].name);
        let shape = watched.values[id].shape.clone();
        let value = Value { name: name.clone(), shape, encoding: Encoding::F32, constant: None };
        watched.values.push(value);
        let (inputs, outputs) = (vec![id], vec![output]);
        watched.nodes.push(Node { name, op: Op::Convert, inputs, outputs, level: Level::Fp32 });
        watched.outputs.push(output);
    }
    let plan = Plan::new(&Variant::fp32(fuse::remove_dead(watched)), cpu)?;
    Ok(Session::new(Arc::new(plan)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaled_channels_lose_nothing_and_silent_or_turned_ones_everything() {
        let of = |pairs: &[(f64, f64)]| {
            let mut products = Products::default();
            pairs.iter().for_each(|&(x, y)| products.add(x, y));
            products.unexplained() / products.xx
        };
        assert!(of(&[(1.0, 3.0), (-2.0, -6.0)]) < 1e-12);
        assert_eq!(of(&[(1.0, 0.0), (2.0, 0.0)]), 1.0);
        assert_eq!(of(&[(1.0, -1.0), (2.0, -2.0)]), 1.0);
        assert_eq!(of(&[(1.0, f64::NAN)]), 1.0);
        assert!((of(&[(3.0, 3.0), (4.0, 0.0)]) - 16.0 / 25.0).abs() < 1e-12);
    }
}
