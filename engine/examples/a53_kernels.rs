//! One layer between markers, for the Cortex-A53 cycle estimate in `docs/performance.md`. 64- and 32-bit ARM only:
//!
//! ```sh
//! cargo build --release --target aarch64-unknown-linux-musl -p quantrack-engine --example a53_kernels
//! a53_kernels                # the names of the cases
//! a53_kernels gemm-256-int8  # runs one; prints its kernel and its multiply-accumulates
//! a53_kernels m.tflite int8  # runs a model at a level
//! a53_kernels m.tflite int8 list     # the model's steps
//! a53_kernels m.tflite int8 memory   # bytes of its variant's file, of packed weights and of the arena with scratch memory
//! a53_kernels m.tflite int8 CONV_2D  # counts steps whose operator or number is so only
//! ```
//!
//! KERNELS=NAME,... takes those kernels wherever they can run, RECIPE=NAME that recipe for a model.
//!
//! An estimator counts the instructions between `hint #0x60` and `hint #0x61`: a whole operator on packed weights, with the
//! pointers that it sets up, after one run that is not counted.
#![expect(clippy::print_stdout, reason = "an example shows its results")]

use std::error::Error;
use std::sync::Arc;

use quantrack_engine::bench::{Family, cases};
use quantrack_engine::kernels::{CpuFeatures, Isa};
use quantrack_engine::plan::{Plan, Session, StepEdge};
use quantrack_engine::quantize::{Calibrator, default_recipe, quantize};
use quantrack_engine::{Level, Serial, Tensor, model};

#[cfg(target_arch = "aarch64")]
std::arch::global_asm!("a53_begin:", "hint #0x60", "ret", "a53_end:", "hint #0x61", "ret");
#[cfg(target_arch = "arm")]
std::arch::global_asm!(
    ".arm",
    ".type a53_begin, %function",
    "a53_begin:",
    ".inst 0xe320f060",
    "bx lr",
    ".type a53_end, %function",
    "a53_end:",
    ".inst 0xe320f061",
    "bx lr",
);

#[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
// SAFETY: both are functions without arguments, results and effects.
unsafe extern "C" {
    safe fn a53_begin();
    safe fn a53_end();
}
#[cfg(not(any(target_arch = "aarch64", target_arch = "arm")))]
fn a53_begin() {}
#[cfg(not(any(target_arch = "aarch64", target_arch = "arm")))]
fn a53_end() {}

/// The emulated board's: an A53 has NEON and, at 32 bits, VFPv4.
fn features() -> CpuFeatures {
    const NEON_AND_VFPV4: u64 = 1 << 12 | 1 << 16;
    let features = if cfg!(target_arch = "arm") {
        CpuFeatures::from_armv7_hwcap(NEON_AND_VFPV4)
    } else {
        CpuFeatures::detect().up_to(Isa::Neon)
    };
    let kernels = std::env::var("KERNELS").unwrap_or_default();
    features.preferring(kernels.split(',').map(str::to_owned))
}

/// One inference of a whole model, its conversions to and from fp32 included, calibrated on inputs of 0.5.
fn run_model(path: &str, level: Level, only: Option<&str>) -> Result<(), Box<dyn Error>> {
    let graph = model::import(&std::fs::read(path)?)?;
    let input = |&id: &usize| Tensor::from_elem(graph.values[id].shape.clone(), 0.5);
    let inputs: Vec<Tensor> = graph.inputs.iter().map(input).collect();
    let mut calibrator = Calibrator::new(&graph, &features())?;
    calibrator.observe(&inputs, &Serial)?;
    let calibration = calibrator.finish()?;
    let recipe = match std::env::var("RECIPE") {
        Ok(name) => name.parse()?,
        Err(_) => default_recipe(level),
    };
    let variant = quantize(&graph, level, &recipe, Some(&calibration))?;
    let mut session = Session::new(Arc::new(Plan::new(&variant, &features())?));
    session.run(&inputs, &Serial)?;
    let steps = session.plan().steps().to_vec();
    let wanted =
        |index: usize| only.is_none_or(|only| steps[index].op == only || only == index.to_string());
    match only {
        Some("list") => {
            for (index, step) in steps.iter().enumerate() {
                println!("{index}\t{}\t{}\t{}\t{}", step.op, step.kernel, step.macs, step.name);
            }
            return Ok(());
        }
        Some("memory") => {
            let plan = session.plan();
            let (file, weights) = (variant.to_bytes().len(), plan.weight_bytes());
            println!("{level}\t{file}\t{weights}\t{}", plan.arena_bytes() + plan.scratch_bytes(1));
            return Ok(());
        }
        None => {
            a53_begin();
            session.run_in_place(&inputs, &Serial)?;
            a53_end();
        }
        Some(_) => {
            session.run_observed(&inputs, &Serial, &mut |index, edge| {
                if wanted(index) {
                    if edge == StepEdge::Begin { a53_begin() } else { a53_end() }
                }
            })?;
        }
    }
    let counted = steps.iter().enumerate().filter(|(index, _)| wanted(*index));
    let macs: u64 = counted.map(|(_, step)| step.macs).sum();
    println!("{path} {level} {macs}");
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let Some(wanted) = std::env::args().nth(1) else {
        for case in cases().iter().filter(|case| case.family != Family::Peak) {
            case.levels().iter().for_each(|level| println!("{}-{level}", case.name));
        }
        return Ok(());
    };
    if wanted.ends_with(".tflite") {
        let level = std::env::args().nth(2).ok_or("expected MODEL LEVEL")?;
        let only = std::env::args().nth(3);
        return run_model(&wanted, level.parse()?, only.as_deref());
    }
    let (name, level) = wanted.rsplit_once('-').ok_or("expected CASE-LEVEL")?;
    let case = cases().iter().find(|case| case.name == name).ok_or("no such case; see the list")?;
    let prepared = case.prepare(level.parse()?, &features());
    let mut prepared = prepared.ok_or("the case does not run at this level")?;
    prepared.run(&Serial);
    a53_begin();
    prepared.run(&Serial);
    a53_end();
    let kernel = if prepared.kernel().is_empty() { "-" } else { prepared.kernel() };
    println!("{wanted} {kernel} {}", prepared.macs());
    Ok(())
}
