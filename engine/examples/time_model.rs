//! Times a model at every level on this machine, one thread, levels interleaved:
//!
//! ```sh
//! cargo run --release --example time_model -- models/palm_detection_lite.tflite 50
//! ```
//!
//! With a level as third argument it prints the slowest layers of that level instead.
#![expect(clippy::print_stdout, reason = "an example shows its results")]

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quantrack_engine::kernels::CpuFeatures;
use quantrack_engine::plan::{Plan, Session, StepEdge};
use quantrack_engine::quantize::{Calibrator, default_recipe, quantize};
use quantrack_engine::{Level, Serial, Tensor, model};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("name a model file")?;
    let rounds: usize = arguments.next().map_or(Ok(50), |n| n.parse())?;
    let layers: Option<Level> = arguments.next().map(|level| level.parse()).transpose()?;
    let graph = model::import(&std::fs::read(path)?)?;
    let cpu = CpuFeatures::detect();
    let inputs: Vec<Tensor> = graph
        .inputs
        .iter()
        .enumerate()
        .map(|(index, &id)| {
            let wave = |i: usize| ((i * 7 + index) % 255) as f32 / 255.0;
            let shape = graph.values[id].shape.clone();
            let count = shape.iter().product();
            Tensor::from_shape_vec(shape, (0..count).map(wave).collect())
        })
        .collect::<Result<_, _>>()?;
    let mut calibrator = Calibrator::new(&graph, &cpu)?;
    calibrator.observe(&inputs, &Serial)?;
    let calibration = calibrator.finish()?;
    let mut sessions = Vec::new();
    for level in Level::ALL {
        let variant = quantize(&graph, level, &default_recipe(level), Some(&calibration))?;
        let plan = Plan::new(&variant, &cpu)?;
        sessions.push((level, Session::new(Arc::new(plan))));
    }
    if let Some(level) = layers {
        let chosen = sessions.into_iter().find(|(l, _)| *l == level);
        return time_layers(&mut chosen.ok_or("no such level")?.1, &inputs, rounds);
    }
    let mut times = vec![Vec::new(); sessions.len()];
    for round in 0..rounds + 3 {
        for ((_, session), times) in sessions.iter_mut().zip(&mut times) {
            let start = Instant::now();
            session.run_in_place(&inputs, &Serial)?;
            if round >= 3 {
                times.push(start.elapsed());
            }
        }
    }
    for ((level, session), times) in sessions.iter().zip(&mut times) {
        times.sort_unstable();
        let kernels = session.plan().kernels().join(", ");
        println!("{level}: median {:?}, fastest {:?} ({kernels})", times[rounds / 2], times[0]);
    }
    Ok(())
}

fn time_layers(
    session: &mut Session,
    inputs: &[Tensor],
    rounds: usize,
) -> Result<(), Box<dyn Error>> {
    let mut fastest = vec![Duration::MAX; session.plan().steps().len()];
    for _ in 0..rounds {
        let mut start = Instant::now();
        session.run_observed(inputs, &Serial, &mut |step, edge| match edge {
            StepEdge::Begin => start = Instant::now(),
            StepEdge::End => fastest[step] = fastest[step].min(start.elapsed()),
        })?;
    }
    let mut order: Vec<usize> = (0..fastest.len()).collect();
    order.sort_by_key(|&step| std::cmp::Reverse(fastest[step]));
    println!("sum of the fastest: {:?}", fastest.iter().sum::<Duration>());
    for &step in order.iter().take(25) {
        let info = &session.plan().steps()[step];
        let rate = info.macs as f64 / fastest[step].as_nanos().max(1) as f64;
        println!(
            "{:>10.1?} {rate:6.1} MAC/ns {} {} {}",
            fastest[step], info.op, info.kernel, info.name
        );
    }
    Ok(())
}
