//! Fitting what a variant adds to its integers to what the layers should give, layer after layer on calibration samples.
//!
//! Each layer is fitted to the operands that it really gets, with the layers before it fitted already: it makes up for
//! their errors as well as for its own.

use super::calibrate::Calibration;
use super::error::CalibrateError;
use super::integer::f32s;
use super::moments::Operands;
use super::roles::has_weights;
use super::samples::spread;
use super::sign;
use super::sign_fit::{self, SignRows};
use crate::Tensor;
use crate::graph::{Constant, ConstantData, Encoding, Graph, Node, Op, ValueId, grouped};
use crate::variant::Variant;

/// Most samples that are fitted to.
const SAMPLES: usize = 16;
/// Largest bias in accumulator units.
const MOST_BIAS: f64 = (1 << 30) as f64;

/// Corrects the biases of all layers of `variant`, made of the fused `source`, whose weights are integers, so that the means
/// of their results are those of fp32 (M. Nagel et al., ICCV 2019, section 4.2, with the means of real samples), and fits
/// layers on bits anew.
pub(super) fn correct(
    source: &Graph,
    variant: &mut Variant,
    calibration: &Calibration,
) -> Result<(), CalibrateError> {
    let fitting: Vec<&Vec<Tensor>> = calibration.kept.fitting().collect();
    let samples = spread(fitting.len(), SAMPLES).map(|index| fitting[index]).collect();
    let fit = Fit { source, operands: Operands { samples, cpu: &calibration.cpu } };
    let layers: Vec<&Node> = source.nodes.iter().filter(|node| has_weights(node)).collect();
    let means = fit.means(source, &layers, |node| node.inputs[0])?;
    for (node, means) in layers.into_iter().zip(&means) {
        let same = |other: &Node| other.name == node.name && has_weights(other);
        let Some(layer) = variant.graph.nodes.iter().position(same) else { continue };
        let weights = variant.graph.nodes[layer].inputs[1];
        match variant.graph.values[weights].encoding {
            Encoding::Int8 { .. } | Encoding::Int4 | Encoding::Int4Groups { .. } => {
                fit.correct_bias(node, means, variant, layer)?;
            }
            Encoding::Bits | Encoding::Ternary => fit.fit_signs(node, variant, layer)?,
            _ => {}
        }
    }
    Ok(())
}

/// What layers are fitted to.
struct Fit<'a> {
    source: &'a Graph,
    operands: Operands<'a>,
}

/// The weights of a layer, by output channel.
struct Rows {
    weights: Vec<f32>,
    outputs: usize,
    depthwise: bool,
}

impl Rows {
    fn new(node: &Node, weights: Vec<f32>, outputs: usize) -> Self {
        let depthwise = matches!(node.op, Op::DepthwiseConv2d { .. });
        Self { weights, outputs, depthwise }
    }

    /// The result of an output channel for these operands, without bias.
    fn result(&self, output: usize, operands: &[f64]) -> f64 {
        let product = |(&w, x): (&f32, &f64)| f64::from(w) * x;
        if self.depthwise {
            let pairs = self.weights.iter().zip(operands).skip(output).step_by(self.outputs);
            return pairs.map(product).sum();
        }
        let width = self.weights.len() / self.outputs.max(1);
        self.weights[output * width..(output + 1) * width].iter().zip(operands).map(product).sum()
    }
}

impl Fit<'_> {
    /// The mean of each operand of each of `layers`.
    fn means(
        &self,
        graph: &Graph,
        layers: &[&Node],
        operand: impl Fn(&Node) -> ValueId,
    ) -> Result<Vec<Vec<f64>>, CalibrateError> {
        let width = |node: &&Node| {
            let weights = &self.source.values[node.inputs[1]];
            match node.op {
                Op::DepthwiseConv2d { .. } => weights.elements(),
                _ => weights.elements() / weights.shape[0].max(1),
            }
        };
        let mut sums: Vec<(Vec<f64>, usize)> =
            layers.iter().map(|node| (vec![0.0; width(node)], 0)).collect();
        self.operands.rows(graph, layers, operand, 0.0, |layer, rows| {
            let (sums, count) = &mut sums[layer];
            for row in rows.chunks_exact(sums.len().max(1)) {
                sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
                *count += 1;
            }
        })?;
        let mean = |(sums, count): (Vec<f64>, usize)| {
            sums.iter().map(|sum| sum / count.max(1) as f64).collect()
        };
        Ok(sums.into_iter().map(mean).collect())
    }

    /// Makes the mean of each result of the source's `node` that of fp32, whose operands have the means `expected`.
    fn correct_bias(
        &self,
        node: &Node,
        expected: &[f64],
        variant: &mut Variant,
        layer: usize,
    ) -> Result<(), CalibrateError> {
        let inputs = variant.graph.nodes[layer].inputs.clone();
        let Encoding::Int8 { scale: input_scale, .. } = variant.graph.values[inputs[0]].encoding
        else {
            return Ok(());
        };
        let bias = f32s(self.source, node.inputs[2]);
        let real = Rows::new(node, f32s(self.source, node.inputs[1]), bias.len());
        let Some((rounded, scales)) = dequantized(&variant.graph, inputs[1], real.depthwise) else {
            return Ok(());
        };
        let rounded = Rows::new(node, rounded, bias.len());
        let found = self.means(&variant.graph, &[node], |_| inputs[0])?;
        let units = bias.iter().enumerate().map(|(output, &bias)| {
            let missing = real.result(output, expected) - rounded.result(output, &found[0]);
            let unit = f64::from(input_scale) * f64::from(scales[output]);
            let units = ((f64::from(bias) + missing) / unit).round_ties_even();
            units.clamp(-MOST_BIAS, MOST_BIAS) as i32
        });
        let units = Constant::i32(units.collect());
        variant.graph.values[inputs[2]].constant = Some(units);
        Ok(())
    }

    /// Fits thresholds, signs, scales and biases of a layer on bits, the counterpart of the source's `node`.
    fn fit_signs(
        &self,
        node: &Node,
        variant: &mut Variant,
        layer: usize,
    ) -> Result<(), CalibrateError> {
        let inputs = variant.graph.nodes[layer].inputs.clone();
        let signs = variant.graph.nodes.iter().find(|other| other.outputs.contains(&inputs[0]));
        let Some(signs) = signs.filter(|signs| signs.op == Op::Convert).cloned() else {
            return Ok(());
        };
        let x = signs.inputs[0];
        let encoding = variant.graph.values[x].encoding;
        let (weights, bias) =
            (f32s(self.source, node.inputs[1]), f32s(self.source, node.inputs[2]));
        let channels = self.source.values[node.inputs[1]].shape.last().copied().unwrap_or(1);
        let mut rows = SignRows::new(weights.len() / bias.len().max(1), channels);
        self.operands.rows(
            self.source,
            &[node],
            |_| node.inputs[0],
            f32::NAN,
            |_, operands| {
                rows.expected.extend_from_slice(operands);
            },
        )?;
        self.operands.rows(
            &variant.graph,
            &[node],
            |_| x,
            f32::NAN,
            |_, operands| {
                rows.found.extend_from_slice(operands);
            },
        )?;
        let ternary = variant.graph.values[inputs[1]].encoding == Encoding::Ternary;
        let fitted = sign_fit::fit(x, &weights, &bias, &rows, ternary);
        variant.graph.values[signs.inputs[1]].constant =
            Some(sign::thresholds_in(encoding, &fitted.thresholds));
        variant.graph.values[inputs[1]].constant = Some(fitted.weights);
        variant.graph.values[inputs[2]].constant = Some(fitted.bias);
        Ok(())
    }
}

/// Weights as the real numbers that their integers stand for, and the scales of the output channels.
fn dequantized(graph: &Graph, id: ValueId, depthwise: bool) -> Option<(Vec<f32>, Vec<f32>)> {
    let value = &graph.values[id];
    let constant = value.constant.as_ref()?;
    let integers = match (&constant.data, value.encoding) {
        (ConstantData::I8(integers), _) => integers.clone(),
        (ConstantData::I4(_), _) => constant.to_i4(value.elements())?,
        (ConstantData::I4Groups { .. }, Encoding::Int4Groups { group }) => {
            let weights = constant.to_i4(value.elements())?;
            // Some of them may be padding, which no group has.
            let multipliers = constant.to_multipliers(usize::MAX)?;
            grouped(&weights, &multipliers, *value.shape.last()?, group)
        }
        _ => return None,
    };
    let scales = constant.scales.clone();
    let per_output = integers.len() / scales.len().max(1);
    let real = integers.iter().enumerate().map(|(index, &q)| {
        let output = if depthwise { index % scales.len() } else { index / per_output };
        f32::from(q) * scales[output]
    });
    Some((real.collect(), scales))
}

#[cfg(test)]
mod tests {
    use super::super::equalize::tests::{calibration, chain, samples};
    use super::super::noise::{Judge, watch};
    use super::super::{Recipe, quantize};
    use super::*;
    use crate::graph::Activation;
    use crate::kernels::CpuFeatures;
    use crate::{Level, Serial};

    fn variant(graph: &Graph, level: Level, recipe: &str) -> Variant {
        let recipe: Recipe = recipe.parse().unwrap();
        quantize(graph, level, &recipe, Some(&calibration(graph))).unwrap()
    }

    /// Mean of each channel of the result over the samples that were fitted to.
    fn means(graph: &Graph) -> Vec<f64> {
        let mut session = watch(graph, &graph.outputs, &CpuFeatures::detect()).unwrap();
        let mut sums = vec![0.0; 4];
        for sample in samples(8).iter().step_by(2) {
            let outputs = session.run(sample, &Serial).unwrap();
            outputs[0].iter().enumerate().for_each(|(i, &x)| sums[i % 4] += f64::from(x) / 144.0);
        }
        sums
    }

    #[test]
    fn corrected_results_have_the_means_of_fp32() {
        let graph = chain(Activation::Relu);
        let truth = means(&graph);
        let off = |recipe: &str| {
            let found = means(&variant(&graph, Level::Int4, recipe).graph);
            found.iter().zip(&truth).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        let (plain, corrected) = (off("mse"), off("mse+bias"));
        assert!(corrected < 0.5 * plain, "{plain} {corrected}");
    }

    #[test]
    fn recipes_that_cost_more_leave_less_noise() {
        let graph = chain(Activation::Relu);
        let (samples, cpu) = (samples(24), CpuFeatures::detect());
        let judge = Judge::new(&graph, samples[8..].iter().collect(), &cpu).unwrap();
        let noise = |level, recipe: &str| judge.noise(&variant(&graph, level, recipe)).unwrap();
        for (level, cheap, dear) in [
            (Level::Int4, "mse+gptq", "mse+cle+gptq+bias+mixed-50"),
            (Level::Bin1, "sign-center", "sign-fit"),
            (Level::Int2, "sign-center", "sign-fit"),
            (Level::Bin1, "sign-fit", "sign-fit+mixed-50"),
        ] {
            let (cheap_noise, dear_noise) = (noise(level, cheap), noise(level, dear));
            assert!(
                dear_noise < cheap_noise,
                "{level}: {cheap} {cheap_noise}, {dear} {dear_noise}"
            );
        }
    }

    #[test]
    fn the_same_samples_give_the_same_variant_and_exemptions_have_reasons() {
        let graph = chain(Activation::Relu);
        let recipe = "best+cle+gptq+bias+mixed-50";
        let one = variant(&graph, Level::Int4, recipe);
        assert_eq!(one.to_bytes(), variant(&graph, Level::Int4, recipe).to_bytes());
        let chosen: Vec<_> =
            one.exemptions.iter().filter(|exempt| exempt.reason.contains("dB")).collect();
        assert!(!chosen.is_empty(), "{:?}", one.exemptions);
        assert!(chosen.iter().all(|exempt| exempt.level == Level::Int8));
    }
}
