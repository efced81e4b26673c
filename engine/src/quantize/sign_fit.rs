//! Fitting a layer on bits to what it should give: thresholds, signs, scales and biases by least squares.

use ndarray::{Array1, Array2, ArrayView1, Axis};

use super::moments::centred_products;
use super::sign::{self, SignLayer};
use crate::graph::ValueId;

/// Rounds in which a threshold moves to the middle between the means of what lies below and above it.
const THRESHOLD_ROUNDS: usize = 12;
/// Most passes over the weights of a row.
const PASSES: usize = 10;
/// Share of the mean variance that is added to all of them: what a few samples say is not taken literally.
const DAMPING: f64 = 0.01;
/// Share of the mean magnitude up to which a ternary weight starts as 0 (F. Li, B. Liu, arXiv:1605.04711).
const TERNARY_THRESHOLD: f64 = 0.7;

/// Operands of a layer, row by row: those of fp32, and those of which the signs are taken. What lies in the padding is NaN.
#[derive(Debug)]
pub(super) struct SignRows {
    width: usize,
    channels: usize,
    pub(super) expected: Vec<f32>,
    pub(super) found: Vec<f32>,
}

impl SignRows {
    /// Of rows of `width` operands, taps of `channels`.
    pub(super) fn new(width: usize, channels: usize) -> Self {
        Self { width, channels, expected: Vec::new(), found: Vec::new() }
    }

    /// Per channel the threshold of the two levels that stand for its elements with the least squared error
    /// (S. Lloyd, "Least squares quantization in PCM", 1982).
    fn thresholds(&self) -> Vec<f32> {
        let mut by_channel = vec![Vec::new(); self.channels];
        for (index, &x) in self.found.iter().enumerate().filter(|(_, x)| !x.is_nan()) {
            by_channel[index % self.width % self.channels].push(x);
        }
        by_channel.iter().map(|elements| threshold(elements)).collect()
    }

    /// The signs around `thresholds`, 0 in the padding.
    fn signs(&self, thresholds: &[f32]) -> Array2<f64> {
        let sign = |(index, &x): (usize, &f32)| match thresholds[index % self.width % self.channels]
        {
            _ if x.is_nan() => 0.0,
            threshold if x >= threshold => 1.0,
            _ => -1.0,
        };
        self.rows(self.found.iter().enumerate().map(sign).collect())
    }

    fn rows(&self, elements: Vec<f64>) -> Array2<f64> {
        let count = elements.len() / self.width.max(1);
        Array2::from_shape_vec((count, self.width), elements).unwrap_or_default()
    }

    /// The operands of fp32, 0 in the padding.
    fn operands(&self) -> Array2<f64> {
        let real = |&x: &f32| if x.is_nan() { 0.0 } else { f64::from(x) };
        self.rows(self.expected.iter().map(real).collect())
    }
}

fn threshold(elements: &[f32]) -> f32 {
    let mean = |kept: &dyn Fn(f32) -> bool| {
        let (mut sum, mut count) = (0.0, 0_usize);
        for &x in elements.iter().filter(|&&x| kept(x)) {
            sum += f64::from(x);
            count += 1;
        }
        (count > 0).then(|| sum / count as f64)
    };
    let mut threshold = mean(&|_| true).unwrap_or_default() as f32;
    for _ in 0..THRESHOLD_ROUNDS {
        let ends = mean(&|x| x < threshold).zip(mean(&|x| x >= threshold));
        let Some((low, high)) = ends else { break };
        threshold = ((low + high) / 2.0) as f32;
    }
    threshold
}

/// The layer on the signs of `input` that comes nearest to one with `weights` (`[out, taps, in]`) and `bias` on the operands
/// of fp32. Each weight is a sign, or -1, 0 or 1 if `ternary`.
pub(super) fn fit(
    input: ValueId,
    weights: &[f32],
    bias: &[f32],
    rows: &SignRows,
    ternary: bool,
) -> SignLayer {
    let thresholds = rows.thresholds();
    let (signs, operands) = (rows.signs(&thresholds), rows.operands());
    let count = signs.nrows().max(1) as f64;
    let (sign_means, means) = (signs.sum_axis(Axis(0)) / count, operands.sum_axis(Axis(0)) / count);
    let mut covariance = centred_products(&signs.view(), &signs.view(), &sign_means, &sign_means);
    let with_operands = centred_products(&signs.view(), &operands.view(), &sign_means, &means);
    let damping = DAMPING * covariance.diag().sum() / rows.width.max(1) as f64;
    covariance.diag_mut().mapv_inplace(|variance| variance + damping.max(1e-9));
    let (mut planes, mut alphas, mut biases) = (Vec::new(), Vec::new(), Vec::new());
    for (row, &bias) in weights.chunks_exact(rows.width).zip(bias) {
        let row: Array1<f64> = row.iter().map(|&w| f64::from(w)).collect();
        let wanted = with_operands.dot(&row);
        let (steps, alpha) = fit_row(&row, &wanted, &covariance, ternary);
        biases.push((f64::from(bias) + means.dot(&row) - alpha * sign_means.dot(&steps)) as f32);
        if ternary {
            // Each product is the sum of two: 1 of two positive signs, 0 of a positive and a negative one.
            alphas.push((alpha / 2.0) as f32);
            planes.extend(bits(&steps, rows.channels, |step| step >= 0.0));
            planes.extend(bits(&steps, rows.channels, |step| step > 0.0));
        } else {
            alphas.push(alpha as f32);
            planes.extend(bits(&steps, rows.channels, |step| step >= 0.0));
        }
    }
    sign::layer(input, thresholds, planes, &alphas, &biases)
}

fn bits(steps: &Array1<f64>, channels: usize, positive: impl Fn(f64) -> bool) -> Vec<u64> {
    let signs: Vec<f32> = steps.iter().map(|&s| if positive(s) { 1.0 } else { -1.0 }).collect();
    sign::pack(&signs, channels)
}

/// The row of signs (or -1, 0 and 1) and its scale for which `scale * steps` times the signs is nearest to the results, whose
/// covariance with the signs is `wanted`: one step after the other moves to where it serves best, until none does.
fn fit_row(
    row: &Array1<f64>,
    wanted: &Array1<f64>,
    covariance: &Array2<f64>,
    ternary: bool,
) -> (Array1<f64>, f64) {
    let allowed: &[f64] = if ternary { &[-1.0, 0.0, 1.0] } else { &[-1.0, 1.0] };
    let magnitude = row.iter().map(|w| w.abs()).sum::<f64>() / row.len().max(1) as f64;
    let first = |&w: &f64| match ternary {
        true if w.abs() <= TERNARY_THRESHOLD * magnitude => 0.0,
        _ if w >= 0.0 => 1.0,
        _ => -1.0,
    };
    let mut steps: Array1<f64> = row.iter().map(first).collect();
    let mut slope = covariance.dot(&steps);
    let mut alpha = scale(&steps, &slope, wanted);
    for _ in 0..PASSES {
        let mut moved = false;
        for k in 0..steps.len() {
            let now = steps[k];
            // How much the squared error changes.
            let change = |to: &f64| {
                let by = to - now;
                alpha * alpha * by * (by * covariance[[k, k]] + 2.0 * slope[k])
                    - 2.0 * alpha * by * wanted[k]
            };
            let best =
                allowed.iter().map(|to| (change(to), *to)).min_by(|a, b| a.0.total_cmp(&b.0));
            if let Some((change, to)) = best.filter(|(change, to)| *change < 0.0 && *to != now) {
                debug_assert!(change.is_finite());
                steps[k] = to;
                slope.scaled_add(to - now, &ArrayView1::from(&covariance.row(k)));
                moved = true;
            }
        }
        alpha = scale(&steps, &slope, wanted);
        if !moved {
            break;
        }
    }
    (steps, alpha)
}

/// The scale that serves these steps best; `slope` is the covariance times them.
fn scale(steps: &Array1<f64>, slope: &Array1<f64>, wanted: &Array1<f64>) -> f64 {
    let energy = steps.dot(slope);
    if energy > 0.0 { (steps.dot(wanted) / energy).max(0.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::super::equalize::tests::random;
    use super::*;
    use crate::graph::ConstantData;

    /// Mean squared error of a layer's results, in shares of their variance.
    fn error(layer: &SignLayer, weights: &[f32], bias: f32, rows: &[f32], width: usize) -> f64 {
        let ConstantData::Bits(bits) = &layer.weights.data else { panic!("its weights are bits") };
        let alpha = layer.weights.scales[0];
        let offset = layer.bias.as_i32().unwrap()[0] as f32 / 256.0 * alpha;
        let pairs: Vec<(f64, f64)> = rows
            .chunks_exact(width)
            .map(|row| {
                let real: f32 = row.iter().zip(weights).map(|(x, w)| x * w).sum::<f32>() + bias;
                let sign = |k: usize| if row[k] >= layer.thresholds[k] { 1.0 } else { -1.0 };
                let weight = |k: usize| if bits[0] >> k & 1 == 1 { 1.0 } else { -1.0 };
                let sum: f32 = (0..width).map(|k| sign(k) * weight(k)).sum();
                (f64::from(real), f64::from(alpha * sum + offset))
            })
            .collect();
        let mean = pairs.iter().map(|pair| pair.0).sum::<f64>() / pairs.len() as f64;
        let variance: f64 = pairs.iter().map(|pair| (pair.0 - mean).powi(2)).sum();
        pairs.iter().map(|pair| (pair.0 - pair.1).powi(2)).sum::<f64>() / variance
    }

    #[test]
    fn a_fitted_layer_is_nearer_than_one_of_centres_and_magnitudes() {
        let width = 16;
        // Skewed as behind a ReLU, with one cause in common.
        let noise = random(7, 2000 * width);
        let rows: Vec<f32> = noise
            .chunks_exact(width)
            .flat_map(|row| row.iter().map(|x| (x + 0.6 * row[0]).max(0.0).powi(2)))
            .collect();
        let weights: Vec<f32> = random(7, 64).split_off(48);
        let mut seen = SignRows::new(width, width);
        (seen.expected, seen.found) = (rows.clone(), rows.clone());
        let fitted = fit(0, &weights, &[0.5], &seen, false);
        let statistics: Vec<(f32, f32)> = (0..width)
            .map(|k| {
                let column: Vec<f32> = rows.iter().skip(k).step_by(width).copied().collect();
                let mean = column.iter().sum::<f32>() / column.len() as f32;
                let spread = column.iter().map(|x| (x - mean).abs()).sum::<f32>();
                (mean, spread / column.len() as f32)
            })
            .collect();
        let centred = sign::centred(0, &weights, &[0.5], &statistics, false);
        let of = |layer: &SignLayer| error(layer, &weights, 0.5, &rows, width);
        let (fitted, centred) = (of(&fitted), of(&centred));
        assert!(fitted < 0.9 * centred, "{fitted} {centred}");
    }

    #[test]
    fn the_threshold_divides_two_clusters() {
        let elements = [0.0, 0.1, 0.2, 5.0, 5.2];
        assert!((threshold(&elements) - 2.6).abs() < 0.01, "{}", threshold(&elements));
        assert_eq!(threshold(&[3.0; 4]), 3.0);
        assert_eq!(threshold(&[]), 0.0);
    }

    #[test]
    fn padding_counts_neither_as_one_sign_nor_as_the_other() {
        let mut rows = SignRows::new(2, 1);
        rows.expected = vec![f32::NAN, 1.0, 2.0, 3.0];
        rows.found.clone_from(&rows.expected);
        assert_eq!(rows.thresholds(), [1.75], "the middle between 1 and 2.5");
        assert_eq!(rows.signs(&[2.0]), ndarray::array![[0.0, -1.0], [1.0, 1.0]]);
        assert_eq!(rows.operands()[[0, 0]], 0.0);
    }
}
