//! One layer between markers, for the Cortex-A53 cycle estimate in `docs/performance.md`. 64- and 32-bit ARM only:
//!
//! ```sh
//! cargo build --release --target aarch64-unknown-linux-musl -p quantrack-engine --example a53_kernels
//! a53_kernels                # the names of the cases
//! a53_kernels gemm-256-int8  # runs one; prints its kernel and its multiply-accumulates
//! a53_kernels m.tflite int8  # runs a model at a level
//! a53_kernels m.tflite int8 list     # the model's steps
//! a53_kernels m.tflite int8 CONV_2D  # counts steps whose operator or number is so only
//! ```
//!
//! KERNELS=NAME,... takes those kernels wherever they can run.
//!
//! An estimator counts the instructions between `hint #0x60` and `hint #0x61`: a whole operator on packed weights, with the
//! pointers that it sets up, after one run that is not counted.
#![expect(clippy::print_stdout, reason = "an example shows its results")]

use std::error::Error;
use std::sync::Arc;

use quantrack_engine::graph::{Padding, Window};
use quantrack_engine::kernels::operators::{
    BinConv, Buffer, ConvShape, F32Conv, F32DepthwiseConv, I8Conv, I8DepthwiseConv, IntegerWeights,
    Operator,
};
use quantrack_engine::kernels::{CpuFeatures, RequantParams};
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

/// A layer: output pixels are `height` x `width`, stride 1.
struct Case {
    name: &'static str,
    height: usize,
    width: usize,
    kernel: usize,
    in_c: usize,
    out_c: usize,
    depthwise: bool,
}

const CASES: &[Case] = &[
    dense("gemm-256", 256, 1, 1, 256, 256),
    dense("conv1x1-128-28", 28, 28, 1, 128, 128),
    dense("conv3x3-256-14", 14, 14, 3, 256, 256),
    dense("conv3x3-64-56", 56, 56, 3, 64, 64),
    dense("fc-1024", 1, 1, 1, 1024, 1024),
    depthwise("depthwise3x3-128-28", 28, 3, 128),
    depthwise("depthwise5x5-128-28", 28, 5, 128),
];

const fn dense(
    name: &'static str,
    height: usize,
    width: usize,
    kernel: usize,
    in_c: usize,
    out_c: usize,
) -> Case {
    Case { name, height, width, kernel, in_c, out_c, depthwise: false }
}

const fn depthwise(name: &'static str, extent: usize, kernel: usize, channels: usize) -> Case {
    let (height, width, in_c, out_c) = (extent, extent, channels, channels);
    Case { name, height, width, kernel, in_c, out_c, depthwise: true }
}

impl Case {
    fn shape(&self) -> ConvShape {
        let before = (self.kernel - 1) / 2;
        let padding = Padding { top: before, bottom: before, left: before, right: before };
        let window = Window { kernel: [self.kernel; 2], padding, ..Window::default() };
        let (in_h, in_w, in_c, out_c) = (self.height, self.width, self.in_c, self.out_c);
        ConvShape { batch: 1, in_h, in_w, in_c, out_h: in_h, out_w: in_w, out_c, window }
    }

    /// Multiply-accumulates, padding included.
    fn macs(&self) -> usize {
        let per_channel = self.height * self.width * self.kernel * self.kernel * self.in_c;
        if self.depthwise { per_channel } else { per_channel * self.out_c }
    }

    fn operator(&self, level: &str) -> Option<Box<dyn Operator>> {
        let cpu = &features();
        let shape = &self.shape();
        let (depth, out_c) = (if self.depthwise { 1 } else { self.in_c }, self.out_c);
        let count = out_c * shape.taps() * depth;
        let bounds = (0.0, f32::INFINITY);
        let reals = || vec![0.01; count];
        let bytes = || vec![3_i8; count];
        let (zeros, ints) = (vec![0.0; out_c], vec![0; out_c]);
        let requant = RequantParams::from_real(&vec![1e-3; out_c], None, 0, -128, 127);
        Some(match (level, self.depthwise) {
            ("fp32", false) => {
                Box::new(F32Conv::new(cpu, shape, &reals(), &zeros, None, bounds, false))
            }
            ("int8", false) => {
                let weights = bytes();
                Box::new(I8Conv::new(
                    cpu,
                    shape,
                    IntegerWeights::Eight(&weights),
                    &ints,
                    0,
                    requant,
                ))
            }
            ("int4", false) => {
                let weights = bytes();
                Box::new(I8Conv::new(cpu, shape, IntegerWeights::Four(&weights), &ints, 0, requant))
            }
            ("int2" | "bin1", false) => {
                let planes = if level == "int2" { 2 } else { 1 };
                let words = vec![0x5555; out_c * planes * shape.taps() * self.in_c.div_ceil(64)];
                Box::new(BinConv::new(cpu, shape, &words, &ints, requant))
            }
            ("fp32", true) => {
                Box::new(F32DepthwiseConv::new(cpu, shape, &reals(), &zeros, None, bounds, false))
            }
            ("int8", true) => {
                Box::new(I8DepthwiseConv::new(cpu, shape, &bytes(), &ints, 0, requant))
            }
            _ => return None,
        })
    }
}

/// The emulated board's: an A53 has NEON and, at 32 bits, VFPv4.
fn features() -> CpuFeatures {
    const NEON_AND_VFPV4: u64 = 1 << 12 | 1 << 16;
    let features = if cfg!(target_arch = "arm") {
        CpuFeatures::from_armv7_hwcap(NEON_AND_VFPV4)
    } else {
        CpuFeatures::detect()
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
    let variant = quantize(&graph, level, &default_recipe(level), Some(&calibration))?;
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
        None => {
            a53_begin();
            session.run(&inputs, &Serial)?;
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
        for case in CASES {
            let levels = match case.depthwise {
                true => &["fp32", "int8"][..],
                false => &["fp32", "int8", "int4", "int2", "bin1"],
            };
            levels.iter().for_each(|level| println!("{}-{level}", case.name));
        }
        return Ok(());
    };
    if wanted.ends_with(".tflite") {
        let level = std::env::args().nth(2).ok_or("expected MODEL LEVEL")?;
        let only = std::env::args().nth(3);
        return run_model(&wanted, level.parse()?, only.as_deref());
    }
    let (name, level) = wanted.rsplit_once('-').ok_or("expected CASE-LEVEL")?;
    let case = CASES.iter().find(|case| case.name == name).ok_or("no such case; see the list")?;
    let operator = case.operator(level).ok_or("the case does not run at this level")?;
    let shape = case.shape();
    let input = Buffer::new(4 * shape.in_pixels() * shape.in_c);
    let mut output = Buffer::new(4 * shape.out_pixels() * shape.out_c);
    operator.run(&[input.bytes()], &mut [output.bytes_mut()], &Serial);
    a53_begin();
    operator.run(&[input.bytes()], &mut [output.bytes_mut()], &Serial);
    a53_end();
    println!("{wanted} {} {}", operator.kernel(), case.macs());
    Ok(())
}
