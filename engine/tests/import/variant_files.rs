//! Files of a model's variants, for what decodes them; the seeds of fuzzing are such files, too.

use quantrack_engine::graph::Graph;
use quantrack_engine::kernels::CpuFeatures;
use quantrack_engine::quantize::{Calibrator, default_recipe, quantize};
use quantrack_engine::{Level, Serial, Tensor};

/// The file of each level that the model has, calibrated on waves.
pub(crate) fn files(graph: &Graph) -> Vec<(Level, Vec<u8>)> {
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
    let at = |level| quantize(graph, level, &default_recipe(level), Some(&calibration)).ok();
    let file = |level| at(level).map(|variant| (level, variant.to_bytes()));
    Level::ALL.into_iter().filter_map(file).collect()
}
