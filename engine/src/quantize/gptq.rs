//! Rounding weights so that the layer's results change least, not the weights.
//!
//! After E. Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers",
//! arXiv:2210.17323: one weight of a row after the other is rounded, and those not rounded yet make up for it. Then single
//! weights move by a step as long as that helps (K. Behdin et al., "QuantEase", arXiv:2309.01885).

use ndarray::{Array2, ArrayView1, Axis, s};

/// Share of the mean variance that is added to all of them: what a few samples say is not taken literally.
const DAMPING: f64 = 0.01;
/// Most passes over the weights of a row.
const PASSES: usize = 8;

/// How errors of a layer's weights become errors of its results.
#[derive(Debug)]
pub(super) struct Rounder {
    /// Damped covariance of the operands, `[k, k]`.
    covariance: Array2<f64>,
    /// The operands by falling variance: the first are rounded while many are left to make up for them.
    order: Vec<usize>,
    /// Upper triangular, in that order: its transpose times itself is the inverse of the covariance.
    factor: Array2<f64>,
}

impl Rounder {
    /// For operands of this covariance; `None` when it has no inverse (not finite, or all zero).
    pub(super) fn new(covariance: &Array2<f64>) -> Option<Self> {
        let count = covariance.nrows();
        let mean = covariance.diag().sum() / count.max(1) as f64;
        if !mean.is_finite() || mean <= 0.0 {
            return None;
        }
        let mut covariance = covariance.clone();
        covariance.diag_mut().mapv_inplace(|variance| variance + DAMPING * mean);
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|&a, &b| covariance[[b, b]].total_cmp(&covariance[[a, a]]).then(a.cmp(&b)));
        // With L the lower factor of the covariance in reversed order, the inverse of L in reversed order is the upper factor of
        // the covariance's inverse, which need not be computed.
        let place = |i: usize| order[count - 1 - i];
        let reversed =
            Array2::from_shape_fn((count, count), |(i, j)| covariance[[place(i), place(j)]]);
        let mut factor = inverse(&lower(reversed)?);
        factor.invert_axis(Axis(0));
        factor.invert_axis(Axis(1));
        Some(Self { covariance, order, factor: factor.as_standard_layout().into_owned() })
    }

    /// The variance of each operand, damped.
    pub(super) fn variances(&self) -> Vec<f32> {
        self.covariance.diag().iter().map(|&variance| variance as f32).collect()
    }

    /// Variance of the change of the result when the weights are off by `error`.
    pub(super) fn cost(&self, error: &[f64]) -> f64 {
        let error = ArrayView1::from(error);
        error.dot(&self.covariance.dot(&error))
    }

    /// The row in steps from `-limit` to `limit`, each weight's `scale` times its multiplier; its [`Rounder::cost`] is never
    /// above that of rounding each weight to the nearest step.
    pub(super) fn round(&self, row: &[f32], scale: f32, multipliers: &[u8], limit: f32) -> Vec<i8> {
        let scaled: Vec<f64> = row.iter().map(|&w| f64::from(w) / f64::from(scale)).collect();
        let limit = f64::from(limit);
        let grid: Vec<Steps> =
            multipliers.iter().map(|&step| Steps { step: f64::from(step), limit }).collect();
        let nearest: Vec<f64> =
            scaled.iter().zip(&grid).map(|(&w, grid)| grid.nearest(w)).collect();
        let candidates = [self.compensated(&scaled, &grid), nearest];
        let refined = candidates.map(|rounded| self.refined(&scaled, rounded, &grid));
        let [first, second] = refined;
        let best = if first.0 <= second.0 { first.1 } else { second.1 };
        best.iter().zip(&grid).map(|(&q, grid)| (q / grid.step) as i8).collect()
    }

    /// GPTQ proper.
    fn compensated(&self, steps: &[f64], grid: &[Steps]) -> Vec<f64> {
        let mut left: Vec<f64> = self.order.iter().map(|&k| steps[k]).collect();
        let mut rounded = vec![0.0; steps.len()];
        for (i, &k) in self.order.iter().enumerate() {
            rounded[k] = grid[k].nearest(left[i]);
            let error = (left[i] - rounded[k]) / self.factor[[i, i]];
            let row = self.factor.row(i);
            for (w, &share) in left.iter_mut().zip(row).skip(i + 1) {
                *w -= error * share;
            }
        }
        rounded
    }

    /// Moves each weight to where the cost is least, the others held, until none moves. The cost and the weights.
    fn refined(&self, steps: &[f64], mut rounded: Vec<f64>, grid: &[Steps]) -> (f64, Vec<f64>) {
        let error = |rounded: &[f64]| -> Vec<f64> {
            steps.iter().zip(rounded).map(|(w, q)| w - q).collect()
        };
        let mut slope = self.covariance.dot(&ArrayView1::from(&error(&rounded)));
        for _ in 0..PASSES {
            let mut moved = false;
            for k in 0..rounded.len() {
                let variance = self.covariance[[k, k]];
                let to = grid[k].nearest(rounded[k] + slope[k] / variance);
                let by = to - rounded[k];
                // Only where it pays: rounding of the division must not move weights to and fro.
                if by != 0.0 && by * (by * variance - 2.0 * slope[k]) < 0.0 {
                    rounded[k] = to;
                    slope.scaled_add(-by, &self.covariance.row(k));
                    moved = true;
                }
            }
            if !moved {
                break;
            }
        }
        (self.cost(&error(&rounded)), rounded)
    }
}

/// What a weight can be, in units of the row's scale: multiples of `step`, up to `limit` of them.
struct Steps {
    step: f64,
    limit: f64,
}

impl Steps {
    fn nearest(&self, w: f64) -> f64 {
        (w / self.step).round_ties_even().clamp(-self.limit, self.limit) * self.step
    }
}

/// Rows that are computed side by side, so that others are read from memory once for all of them.
const BLOCK: usize = 8;

/// The lower triangular factor of a positive definite matrix (Cholesky), in place of its lower half; `None` for another matrix.
/// What is above the diagonal is left as it is.
fn lower(mut matrix: Array2<f64>) -> Option<Array2<f64>> {
    let count = matrix.nrows();
    for first in (0..count).step_by(BLOCK) {
        let (done, mut rows) = matrix.view_mut().split_at(Axis(0), first);
        let block = BLOCK.min(count - first);
        for (j, other) in done.rows().into_iter().enumerate() {
            for mut row in rows.rows_mut().into_iter().take(block) {
                let known = row.slice(s![..j]).dot(&other.slice(s![..j]));
                row[j] = (row[j] - known) / other[j];
            }
        }
        for i in 0..block {
            for j in 0..=i {
                let place = first + j;
                let known = rows.slice(s![i, ..place]).dot(&rows.slice(s![j, ..place]));
                let rest = rows[[i, place]] - known;
                if i != j {
                    rows[[i, place]] = rest / rows[[j, place]];
                } else if rest > 0.0 && rest.is_finite() {
                    rows[[i, place]] = rest.sqrt();
                } else {
                    return None;
                }
            }
        }
    }
    Some(matrix)
}

/// The inverse of a lower triangular matrix, of which only the lower half is read.
fn inverse(factor: &Array2<f64>) -> Array2<f64> {
    let count = factor.nrows();
    let mut inverse = Array2::<f64>::eye(count);
    for first in (0..count).step_by(BLOCK) {
        let (done, mut rows) = inverse.view_mut().split_at(Axis(0), first);
        let block = BLOCK.min(count - first);
        for (k, other) in done.rows().into_iter().enumerate() {
            for (i, mut row) in rows.rows_mut().into_iter().take(block).enumerate() {
                let part = other.slice(s![..=k]);
                row.slice_mut(s![..=k]).scaled_add(-factor[[first + i, k]], &part);
            }
        }
        for i in 0..block {
            let (others, mut row) = rows.multi_slice_mut((s![..i, ..], s![i, ..]));
            for (k, other) in others.rows().into_iter().enumerate() {
                row.scaled_add(-factor[[first + i, first + k]], &other);
            }
            row /= factor[[first + i, first + i]];
        }
    }
    inverse
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The covariance of `count` operands that share some of `rows` random causes.
    fn covariance(count: usize, causes: &[f64]) -> Array2<f64> {
        let rows = causes.len() / count;
        let causes = Array2::from_shape_fn((rows, count), |(i, j)| causes[i * count + j]);
        causes.t().dot(&causes)
    }

    fn error(row: &[f32], rounded: &[i8], scale: f32, multipliers: &[u8]) -> Vec<f64> {
        let off = |((&w, &q), &m): ((&f32, &i8), &u8)| {
            f64::from(w) / f64::from(scale) - f64::from(q) * f64::from(m)
        };
        row.iter().zip(rounded).zip(multipliers).map(off).collect()
    }

    fn to_nearest(row: &[f32], scale: f32, multipliers: &[u8]) -> Vec<i8> {
        let step = |(&w, &m): (&f32, &u8)| {
            (f64::from(w) / f64::from(scale) / f64::from(m)).round_ties_even().clamp(-7.0, 7.0)
                as i8
        };
        row.iter().zip(multipliers).map(step).collect()
    }

    /// Every row of weights within a step of the real ones.
    fn all_roundings(row: &[f32], scale: f32) -> Vec<Vec<i8>> {
        let mut all = vec![Vec::new()];
        for w in row {
            let below = (w / scale).floor() as i8;
            all = all
                .iter()
                .flat_map(|start| (below - 1..=below + 2).map(|q| [&start[..], &[q]].concat()))
                .collect();
        }
        all
    }

    #[test]
    fn related_operands_make_up_for_each_other() {
        // The operands are almost the same, so only the sum of the errors counts.
        let covariance = Array2::from_shape_fn((2, 2), |(i, j)| if i == j { 1.0 } else { 0.98 });
        let rounder = Rounder::new(&covariance).unwrap();
        let row = [0.4, 0.4];
        let rounded = rounder.round(&row, 1.0, &[1; 2], 7.0);
        assert_eq!(rounded.iter().sum::<i8>(), 1, "{rounded:?}");
    }

    #[test]
    fn operands_without_relation_are_rounded_to_nearest() {
        let rounder = Rounder::new(&Array2::eye(4)).unwrap();
        assert_eq!(rounder.round(&[0.4, -1.6, 20.0, 0.0], 1.0, &[1; 4], 7.0), [0, -2, 7, 0]);
        assert_eq!(rounder.round(&[1.4, -1.6, 20.0, 8.0], 1.0, &[1, 3, 2, 5], 7.0), [1, -1, 7, 2]);
    }

    #[test]
    fn operands_that_say_nothing_have_no_rounder() {
        assert!(Rounder::new(&Array2::zeros((3, 3))).is_none());
        assert!(Rounder::new(&Array2::from_elem((3, 3), f64::NAN)).is_none());
        assert!(Rounder::new(&Array2::zeros((0, 0))).is_none());
        // An operand that never varies is harmless.
        let mut covariance = Array2::eye(3);
        covariance[[1, 1]] = 0.0;
        let rounder = Rounder::new(&covariance).unwrap();
        assert_eq!(rounder.round(&[1.0, 2.0, 3.0], 1.0, &[1; 3], 7.0), [1, 2, 3]);
    }

    proptest! {
        #[test]
        fn the_factor_inverts_the_covariance(causes in prop::collection::vec(-2.0..2.0_f64, 35)) {
            let rounder = Rounder::new(&covariance(5, &causes)).unwrap();
            let product = rounder.factor.t().dot(&rounder.factor);
            let ordered = Array2::from_shape_fn((5, 5), |(i, j)| {
                rounder.covariance[[rounder.order[i], rounder.order[j]]]
            });
            let identity = product.dot(&ordered);
            for ((i, j), x) in identity.indexed_iter() {
                prop_assert!((x - f64::from(u8::from(i == j))).abs() < 1e-6, "{identity}");
            }
        }

        #[test]
        fn the_cost_is_never_above_that_of_the_nearest_steps(
            causes in prop::collection::vec(-2.0..2.0_f64, 60), row in prop::collection::vec(-1.0..1.0_f32, 12),
            scale in 0.05..0.4_f32, multipliers in prop::collection::vec(1..=15_u8, 12), alike: bool,
        ) {
            let multipliers = if alike { vec![1; 12] } else { multipliers };
            let rounder = Rounder::new(&covariance(12, &causes)).unwrap();
            let cost = |rounded: &[i8]| rounder.cost(&error(&row, rounded, scale, &multipliers));
            let rounded = rounder.round(&row, scale, &multipliers, 7.0);
            prop_assert!(rounded.iter().all(|q| (-7..=7).contains(q)));
            prop_assert!(cost(&rounded) <= cost(&to_nearest(&row, scale, &multipliers)) + 1e-12);
            prop_assert_eq!(rounded, rounder.round(&row, scale, &multipliers, 7.0));
        }
    }

    #[test]
    fn few_weights_are_rounded_almost_as_well_as_can_be() {
        // Numbers that look random between -1 and 1.
        let mut state = 1_u64;
        let mut random = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / f64::from(1 << 30) - 1.0
        };
        let (mut found, mut least, mut nearest) = (0.0, 0.0, 0.0);
        for _ in 0..100 {
            let causes: Vec<f64> = (0..12).map(|_| random()).collect();
            let row: Vec<f32> = (0..4).map(|_| random() as f32).collect();
            let rounder = Rounder::new(&covariance(4, &causes)).unwrap();
            let cost = |rounded: &[i8]| rounder.cost(&error(&row, rounded, 0.3, &[1; 4]));
            found += cost(&rounder.round(&row, 0.3, &[1; 4], 7.0));
            least += all_roundings(&row, 0.3).iter().map(|q| cost(q)).fold(f64::INFINITY, f64::min);
            nearest += cost(&to_nearest(&row, 0.3, &[1; 4]));
        }
        assert!(found - least < 0.25 * (nearest - least), "{found} {least} {nearest}");
    }
}
