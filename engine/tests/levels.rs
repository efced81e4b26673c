//! The four models of the hand-gesture pipeline at every level: held against the reference results of LiteRT, and
//! against themselves on other instruction sets and numbers of threads.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use ndarray_npy::NpzReader;
use quantrack_engine::graph::{ConstantData, Encoding, Graph};
use quantrack_engine::kernels::CpuFeatures;
use quantrack_engine::plan::{Plan, Session};
use quantrack_engine::quantize::{Calibration, Calibrator, default_recipe, quantize};
use quantrack_engine::{Level, Pool, RayonPool, Serial, Tensor, Variant, model};

const MODELS: [&str; 4] =
    ["palm_detection_lite", "hand_landmark_lite", "gesture_embedder", "canned_gesture_classifier"];

/// A model with its reference inputs and outputs.
struct Model {
    name: &'static str,
    graph: Graph,
    samples: Vec<(Vec<Tensor>, Vec<Tensor>)>,
}

impl Model {
    fn load(folder: &Path, name: &'static str) -> Self {
        let bytes = std::fs::read(folder.join(format!("models/{name}.tflite"))).unwrap();
        let graph = model::import(&bytes).unwrap();
        let file = File::open(folder.join(format!("reference/{name}.npz"))).unwrap();
        let mut npz = NpzReader::new(file).unwrap();
        let mut tensors = |kind: &str, ids: &[usize], sample: usize| -> Vec<Tensor> {
            let name = |&id: &usize| format!("{kind}.{}.{sample}.npy", graph.values[id].name);
            ids.iter().map(|id| npz.by_name(&name(id)).unwrap()).collect()
        };
        let samples = (0..4)
            .map(|k| (tensors("input", &graph.inputs, k), tensors("output", &graph.outputs, k)))
            .collect();
        Self { name, graph, samples }
    }

    fn calibration(&self) -> Calibration {
        let mut calibrator = Calibrator::new(&self.graph, &CpuFeatures::detect()).unwrap();
        for (inputs, _) in &self.samples {
            calibrator.observe(inputs, &Serial).unwrap();
        }
        calibrator.finish().unwrap()
    }

    /// The default variant of each level, and one whose groups of weights have multipliers.
    fn variants(&self, calibration: &Calibration) -> Vec<Variant> {
        let groups = "mse+gptq+group-32".parse().unwrap();
        let groups = quantize(&self.graph, Level::Int4, &groups, Some(calibration)).unwrap();
        let defaults = Level::ALL.into_iter().map(|level| self.variant(level, calibration));
        defaults.chain([groups]).collect()
    }

    fn variant(&self, level: Level, calibration: &Calibration) -> Variant {
        quantize(&self.graph, level, &default_recipe(level), Some(calibration)).unwrap()
    }
}

fn run(variant: &Variant, cpu: &CpuFeatures, inputs: &[Tensor], pool: &dyn Pool) -> Vec<Tensor> {
    let plan = Plan::new(variant, cpu).unwrap();
    Session::new(Arc::new(plan)).run(inputs, pool).unwrap()
}

/// Signal to quantization noise ratio in decibels.
fn sqnr(expected: &Tensor, got: &Tensor) -> f64 {
    let square = |x: f32| f64::from(x) * f64::from(x);
    let signal: f64 = expected.iter().map(|&x| square(x)).sum();
    let noise: f64 = expected.iter().zip(got).map(|(&x, &y)| square(x - y)).sum();
    10.0 * (signal / noise.max(1e-30)).log10()
}

#[test]
fn fp32_equals_the_reference() {
    let Some(folder) = support::data() else { return };
    for name in MODELS {
        let model = Model::load(&folder, name);
        let variant =
            quantize(&model.graph, Level::Fp32, &default_recipe(Level::Fp32), None).unwrap();
        for (inputs, expected) in &model.samples {
            let outputs = run(&variant, &CpuFeatures::detect_assuming_neon(), inputs, &Serial);
            for (index, (output, expected)) in outputs.iter().zip(expected).enumerate() {
                let error =
                    output.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                let largest = expected.iter().map(|x| x.abs()).fold(0.0, f32::max);
                let limit = if name == MODELS[0] && index == 0 { 1e-3 } else { 1e-4 * largest };
                assert!(error <= limit, "{name} output {index}: {error} of {largest}");
            }
        }
    }
}

#[test]
fn fewer_bits_stay_close_to_the_reference() {
    let Some(folder) = support::data() else { return };
    for name in MODELS {
        let model = Model::load(&folder, name);
        let calibration = model.calibration();
        for (level, least) in [(Level::Fp16, 35.0), (Level::Int8, 10.0)] {
            let variant = model.variant(level, &calibration);
            let mut worst = f64::INFINITY;
            for (inputs, expected) in &model.samples {
                let outputs = run(&variant, &CpuFeatures::detect_assuming_neon(), inputs, &Serial);
                for (output, expected) in outputs.iter().zip(expected) {
                    worst = worst.min(sqnr(expected, output));
                }
            }
            eprintln!("{name} at {level}: {worst:.1} dB");
            assert!(worst >= least, "{name} at {level}: {worst:.1} dB");
        }
    }
}

#[test]
fn every_level_gives_the_same_bits_on_every_instruction_set_and_number_of_threads() {
    let Some(folder) = support::data() else { return };
    let threads =
        |n| RayonPool::new(rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap());
    for name in MODELS {
        let model = Model::load(&folder, name);
        let calibration = model.calibration();
        let inputs = &model.samples[0].0;
        for variant in model.variants(&calibration) {
            let what = format!("{name} at {} by {}", variant.level, variant.recipe);
            let expected = run(&variant, &CpuFeatures::detect_assuming_neon(), inputs, &Serial);
            for cpu in CpuFeatures::detect_assuming_neon().prefixes() {
                let outputs = run(&variant, &cpu, inputs, &threads(3));
                assert!(outputs == expected, "{what} differs on {:?}", cpu.isas());
            }
            let outputs = run(&variant, &CpuFeatures::detect_assuming_neon(), inputs, &threads(2));
            assert!(outputs == expected, "{what} differs on two threads");
        }
    }
}

#[test]
fn variants_survive_their_file_and_shrink_with_the_bits() {
    let Some(folder) = support::data() else { return };
    for name in MODELS {
        let model = Model::load(&folder, name);
        let calibration = model.calibration();
        let mut sizes = Vec::new();
        for variant in model.variants(&calibration) {
            let level = variant.level;
            let bytes = variant.to_bytes();
            let read = Variant::from_bytes(&bytes).unwrap();
            assert_eq!(read, variant, "{name} at {level}");
            assert_eq!(read.to_bytes(), bytes, "{name} at {level}");
            sizes.push(bytes.len());
            let exempt = variant.exemptions.len();
            eprintln!("{} at {level}: {} bytes, {exempt} layers exempt", model.name, bytes.len());
        }
        let groups = sizes.pop().unwrap();
        if name != MODELS[3] {
            // Four bits for each multiplier.
            assert!((sizes[3]..sizes[2]).contains(&groups), "{name}: {groups} of {sizes:?}");
            assert!(sizes.windows(2).all(|pair| pair[1] < pair[0]), "{name}: {sizes:?}");
        }
    }
}

#[test]
fn depthwise_layers_write_the_bits_that_the_next_layer_reads() {
    let Some(folder) = support::data() else { return };
    // Every depthwise layer but the last, whose mean is taken, has one reader: a layer on bits.
    let model = Model::load(&folder, MODELS[1]);
    let calibration = model.calibration();
    for level in [Level::Int2, Level::Bin1] {
        let graph = model.variant(level, &calibration).graph;
        let depthwise = graph.nodes.iter().filter(|node| node.op.name() == "depthwise_conv_2d");
        let bits = depthwise.clone().filter(|node| {
            let (weights, channels) =
                (&graph.values[node.inputs[1]], graph.values[node.inputs[2]].elements());
            let Some(ConstantData::I8(steps)) = weights.constant.as_ref().map(|c| &c.data) else {
                return false;
            };
            for channel in 0..channels {
                let steps = steps.iter().skip(channel).step_by(channels);
                let sum: u32 = steps.map(|step| u32::from(step.unsigned_abs())).sum();
                assert!(sum <= 255, "{}: {sum}", node.name);
            }
            graph.values[node.outputs[0]].encoding == Encoding::Bits
        });
        assert_eq!(bits.count(), depthwise.count() - 1, "{level}");
    }
}
