//! What the activations of a model look like on calibration samples.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::CalibrateError;
use super::prepare;
use super::range::Distribution;
use super::recipe::Range;
use super::samples::Samples;
use crate::graph::{Encoding, Graph, ValueId};
use crate::kernels::CpuFeatures;
use crate::plan::{Plan, Session};
use crate::variant::Variant;
use crate::{Pool, Serial, Tensor};

/// Statistics of one value over all samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ValueStats {
    /// Smallest element.
    pub min: f32,
    /// Largest element.
    pub max: f32,
    /// Elements seen.
    pub count: u64,
    /// How many elements fell into each bucket of [`bucket`].
    histogram: BTreeMap<u16, u64>,
    /// Per channel (last axis) sum and sum of squares.
    sums: Vec<(f64, f64)>,
    /// Per channel the largest magnitude.
    peaks: Vec<f32>,
}

/// Elements in the same bucket agree in sign, exponent and 7 bits of mantissa: within 1 % of each other.
fn bucket(x: f32) -> u16 {
    let bits = x.to_bits();
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    (ordered >> 16) as u16
}

/// The smallest element of a bucket.
fn bucket_start(bucket: u16) -> f32 {
    let ordered = u32::from(bucket) << 16;
    f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
}

/// How many elements fall into each bucket; large tensors are counted, for which sorting small ones would be a detour.
fn bucket_counts(tensor: &Tensor) -> Vec<(u16, u64)> {
    if tensor.len() < 1 << 14 {
        let mut buckets: Vec<u16> = tensor.iter().map(|&x| bucket(x)).collect();
        buckets.sort_unstable();
        return buckets.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as u64)).collect();
    }
    let mut counts = vec![0_u32; 1 << 16];
    for &x in tensor {
        counts[usize::from(bucket(x))] += 1;
    }
    let counted = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    counted.map(|(bucket, &count)| (bucket as u16, u64::from(count))).collect()
}

impl ValueStats {
    fn observe(&mut self, tensor: &Tensor) {
        let channels = tensor.shape().last().copied().unwrap_or(1);
        if self.count == 0 {
            (self.min, self.max) = (f32::INFINITY, f32::NEG_INFINITY);
            self.sums = vec![(0.0, 0.0); channels];
            self.peaks = vec![0.0; channels];
        }
        // Values are dense and row-major: each row has all channels.
        let elements = tensor.as_standard_layout();
        for row in elements.as_slice().unwrap_or_default().chunks_exact(channels.max(1)) {
            for ((&x, sums), peak) in row.iter().zip(&mut self.sums).zip(&mut self.peaks) {
                self.min = self.min.min(x);
                self.max = self.max.max(x);
                sums.0 += f64::from(x);
                sums.1 += f64::from(x) * f64::from(x);
                *peak = peak.max(x.abs());
            }
        }
        self.count += tensor.len() as u64;
        for (bucket, count) in bucket_counts(tensor) {
            *self.histogram.entry(bucket).or_default() += count;
        }
    }

    /// The range of the value, widened to contain 0 (padding and ReLU need it exactly).
    pub fn range(&self, range: Range) -> (f32, f32) {
        let (low, high) = match range {
            Range::MinMax => (self.min, self.max),
            Range::Percentile(kept) => self.percentiles((100.0 - kept) / 200.0),
            Range::Mse => self.distribution().least_squares(),
            Range::Kl => self.distribution().least_divergence(),
            // Who chooses among ranges asks for each; alone it is the one that serves most tensors best.
            Range::Best => self.distribution().least_squares(),
        };
        (low.min(0.0), high.max(0.0))
    }

    fn distribution(&self) -> Distribution {
        let counts = self.histogram.iter().map(|(&bucket, &count)| {
            // The next bucket of negative numbers begins nearer to 0, that of positive ones further away.
            (bucket_start(bucket), bucket_start(bucket.saturating_add(1)), count)
        });
        Distribution::new((self.min.min(0.0), self.max.max(0.0)), counts)
    }

    /// The elements that leave a share of `tail` below and above.
    fn percentiles(&self, tail: f64) -> (f32, f32) {
        let outside = (tail * self.count as f64).floor() as u64;
        let find = |buckets: &mut dyn Iterator<Item = (&u16, &u64)>| {
            let mut seen = 0;
            for (&bucket, &count) in buckets {
                seen += count;
                if seen > outside {
                    return bucket_start(bucket);
                }
            }
            0.0
        };
        let low = find(&mut self.histogram.iter());
        let high = find(&mut self.histogram.iter().rev());
        (low.clamp(self.min, self.max), high.clamp(self.min, self.max))
    }

    /// Per channel the largest magnitude and the mean square.
    pub(super) fn magnitudes(&self) -> Vec<(f32, f64)> {
        let rows = self.count as f64 / self.sums.len().max(1) as f64;
        self.peaks.iter().zip(&self.sums).map(|(&peak, sums)| (peak, sums.1 / rows)).collect()
    }

    /// Per channel the mean, and the mean distance from it as it is for normally distributed elements:
    /// `sigma * sqrt(2 / pi)`.
    pub fn channels(&self) -> Vec<(f32, f32)> {
        let rows = self.count as f64 / self.sums.len().max(1) as f64;
        let stats = |&(sum, squares): &(f64, f64)| {
            let mean = sum / rows;
            let variance = (squares / rows - mean * mean).max(0.0);
            (mean as f32, (variance.sqrt() * std::f64::consts::FRAC_2_PI.sqrt()) as f32)
        };
        self.sums.iter().map(stats).collect()
    }
}

/// Statistics of every value of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Samples observed.
    pub samples: usize,
    /// By value of the fused graph; constants have empty statistics.
    pub(super) values: Vec<ValueStats>,
    /// Some of the samples themselves.
    pub(super) kept: Samples,
    /// What the samples were run on.
    pub(super) cpu: CpuFeatures,
}

impl Calibration {
    pub(super) fn of(&self, value: ValueId) -> &ValueStats {
        &self.values[value]
    }

    /// The statistics of `graph`, the same model with other weights, over the samples that are kept.
    pub(super) fn again(&self, graph: &Graph) -> Result<Self, CalibrateError> {
        let mut calibrator = Calibrator::of_prepared(graph.clone(), &self.cpu)?;
        for sample in self.kept.all() {
            calibrator.observe(sample, &Serial)?;
        }
        Ok(Self { samples: self.samples, kept: self.kept.clone(), ..calibrator.finish()? })
    }
}

/// Runs a model in fp32 and gathers statistics of every value.
#[derive(Debug)]
pub struct Calibrator {
    session: Session,
    /// The observed values, in the order of the session's outputs.
    observed: Vec<ValueId>,
    names: Vec<String>,
    values: Vec<ValueStats>,
    samples: usize,
    kept: Samples,
    cpu: CpuFeatures,
}

impl Calibrator {
    /// For an imported graph.
    ///
    /// # Errors
    /// A graph that cannot be planned.
    pub fn new(graph: &Graph, cpu: &CpuFeatures) -> Result<Self, CalibrateError> {
        Self::of_prepared(prepare(graph), cpu)
    }

    fn of_prepared(mut graph: Graph, cpu: &CpuFeatures) -> Result<Self, CalibrateError> {
        let computed = |id: &ValueId| {
            let value = &graph.values[*id];
            value.constant.is_none() && value.encoding == Encoding::F32
        };
        let observed: Vec<ValueId> = (0..graph.values.len()).filter(computed).collect();
        let names = observed.iter().map(|&id| graph.values[id].name.clone()).collect();
        let values = vec![ValueStats::default(); graph.values.len()];
        // Every value is an output, so none is overwritten before it has been seen.
        graph.outputs.clone_from(&observed);
        let plan = Plan::new(&Variant::fp32(graph), cpu)?;
        let session = Session::new(Arc::new(plan));
        let (kept, cpu) = (Samples::default(), cpu.clone());
        Ok(Self { session, observed, names, values, samples: 0, kept, cpu })
    }

    /// Observes one sample: the model's inputs.
    ///
    /// # Errors
    /// Inputs that do not fit, or a value that is not finite.
    pub fn observe(&mut self, inputs: &[Tensor], pool: &dyn Pool) -> Result<(), CalibrateError> {
        let outputs = self.session.run(inputs, pool)?;
        let broken = outputs.iter().position(|tensor| tensor.iter().any(|x| !x.is_finite()));
        if let Some(at) = broken {
            let value = self.names[at].clone();
            return Err(CalibrateError::NotFinite { sample: self.samples, value });
        }
        for (&id, tensor) in self.observed.iter().zip(&outputs) {
            self.values[id].observe(tensor);
        }
        self.samples += 1;
        self.kept.offer(inputs);
        Ok(())
    }

    /// The statistics.
    ///
    /// # Errors
    /// No sample was observed.
    pub fn finish(self) -> Result<Calibration, CalibrateError> {
        if self.samples == 0 {
            return Err(CalibrateError::Empty);
        }
        let Self { samples, values, kept, cpu, .. } = self;
        Ok(Calibration { samples, values, kept, cpu })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stats(values: &[f32]) -> ValueStats {
        let mut stats = ValueStats::default();
        stats.observe(&Tensor::from_shape_vec(vec![values.len(), 1], values.to_vec()).unwrap());
        stats
    }

    #[test]
    fn percentiles_leave_the_tails_out() {
        let mut values: Vec<f32> = (0..10_000).map(|i| i as f32 / 10_000.0).collect();
        values.push(1e6);
        let (low, high) = stats(&values).range(Range::Percentile(99.0));
        assert!(low == 0.0 && (0.98..1.0).contains(&high), "{low} {high}");
        assert_eq!(stats(&values).range(Range::MinMax), (0.0, 1e6));
    }

    #[test]
    fn channels_have_their_own_centre() {
        let mut stats = ValueStats::default();
        let tensor = Tensor::from_shape_vec(vec![2, 2], vec![1.0, 10.0, 3.0, 10.0]).unwrap();
        stats.observe(&tensor);
        let channels = stats.channels();
        assert_eq!(channels[0].0, 2.0);
        assert_eq!(channels[1], (10.0, 0.0));
    }

    proptest! {
        #[test]
        fn buckets_are_ordered_and_close(x in -1e30..1e30_f32, y in -1e30..1e30_f32) {
            prop_assert_eq!(x <= y, bucket(x) < bucket(y) || (bucket(x) == bucket(y) && x <= y));
            let start = bucket_start(bucket(x));
            prop_assert!((start - x).abs() <= x.abs() / 64.0 + f32::MIN_POSITIVE);
        }
    }
}
