//! Files of a model's variants, for what decodes them; the seeds of fuzzing are such files, too.

use quantrack_engine::graph::{
    Activation, Constant, Encoding, Graph, Node, Op, Padding, Value, Window,
};
use quantrack_engine::kernels::CpuFeatures;
use quantrack_engine::quantize::{Calibrator, Recipe, default_recipe, quantize};
use quantrack_engine::{Level, Serial, Tensor};

/// Three convolutions: at int4 only what is between the first and the last layer has 4 bits.
pub(crate) fn convolutions() -> Graph {
    let mut graph = Graph { inputs: vec![0], outputs: vec![3], ..Graph::default() };
    let channels = [2, 18, 3, 2];
    for (index, channels) in channels.into_iter().enumerate() {
        let (name, shape) = (format!("x{index}"), vec![1, 2, 2, channels]);
        graph.values.push(Value { name, shape, encoding: Encoding::F32, constant: None });
    }
    for index in 0..3 {
        let padding = Padding { top: 1, bottom: 1, left: 1, right: 1 };
        let window = Window { kernel: [3; 2], padding, ..Window::default() };
        let mut inputs = vec![index];
        let (from, to) = (channels[index], channels[index + 1]);
        for (name, shape) in [("weights", vec![to, 3, 3, from]), ("bias", vec![to])] {
            let wave = (0..shape.iter().product()).map(|i: usize| (i as f32).cos());
            let constant = Some(Constant::f32(wave.collect()));
            let name = format!("{name} {index}");
            inputs.push(graph.values.len());
            graph.values.push(Value { name, shape, encoding: Encoding::F32, constant });
        }
        let op = Op::Conv2d { window, activation: Activation::Relu };
        let (name, outputs) = (format!("conv {index}"), vec![index + 1]);
        graph.nodes.push(Node { name, op, inputs, outputs, level: Level::Fp32 });
    }
    graph
}

/// The file of each level that the model has, and one whose groups of weights have multipliers, by name; calibrated on waves.
pub(crate) fn files(graph: &Graph) -> Vec<(String, Vec<u8>)> {
    let wave = |&id: &usize| {
        let mut count = 0.0;
        Tensor::from_shape_simple_fn(graph.values[id].shape.as_slice(), || {
            count += 1.0;
            f32::sin(count)
        })
    };
    let inputs: Vec<Tensor> = graph.inputs.iter().map(wave).collect();
    let mut calibrator = Calibrator::new(graph, &CpuFeatures::portable()).unwrap();
    calibrator.observe(&inputs, &Serial).unwrap();
    let calibration = calibrator.finish().unwrap();
    let defaults = Level::ALL.into_iter().map(|level| (level, default_recipe(level)));
    let file = |(level, recipe): (Level, Recipe)| {
        let variant = quantize(graph, level, &recipe, Some(&calibration)).ok()?;
        Some((format!("{level}.{recipe}"), variant.to_bytes()))
    };
    defaults.chain([(Level::Int4, "mse+group-16".parse().unwrap())]).filter_map(file).collect()
}
