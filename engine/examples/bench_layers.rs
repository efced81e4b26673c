//! Times convolution layers of common shapes on this machine, one thread, all operators interleaved:
//!
//! ```sh
//! cargo run --release --example bench_layers -- 50
//! ```
#![expect(clippy::print_stdout, reason = "an example shows its results")]

use std::error::Error;
use std::time::{Duration, Instant};

use quantrack_engine::Serial;
use quantrack_engine::graph::{Padding, Window};
use quantrack_engine::kernels::operators::{
    BinConv, Buffer, ConvShape, F32Conv, F32DepthwiseConv, I8Conv, I8DepthwiseConv, IntegerWeights,
    Operator,
};
use quantrack_engine::kernels::{CpuFeatures, RequantParams};

/// An operator to time, its buffers and what it took.
struct Run {
    layer: String,
    operator: Box<dyn Operator>,
    input: Buffer,
    output: Buffer,
    times: Vec<Duration>,
}

/// A convolution with SAME padding, stride 1.
fn shape(extent: usize, kernel: usize, in_c: usize, out_c: usize) -> ConvShape {
    let before = (kernel - 1) / 2;
    let padding = Padding { top: before, bottom: before, left: before, right: before };
    let window = Window { kernel: [kernel; 2], padding, ..Window::default() };
    let (in_h, in_w) = (extent, extent);
    ConvShape { batch: 1, in_h, in_w, in_c, out_h: extent, out_w: extent, out_c, window }
}

fn requant(channels: usize) -> RequantParams {
    RequantParams::from_real(&vec![1e-3; channels], None, 0, -128, 127)
}

/// Operators of a dense layer: fp32, int8, int4, bin1.
fn dense(cpu: &CpuFeatures, shape: &ConvShape) -> Vec<Box<dyn Operator>> {
    let (count, out_c) = (shape.out_c * shape.taps(), shape.out_c);
    let bounds = (f32::NEG_INFINITY, f32::INFINITY);
    let reals = vec![0.01; count * shape.in_c];
    let bytes = vec![3; count * shape.in_c];
    let words = vec![0x5555; count * shape.in_c.div_ceil(64)];
    let (zeros, ints) = (vec![0.0; out_c], vec![0; out_c]);
    vec![
        Box::new(F32Conv::new(cpu, shape, &reals, &zeros, None, bounds, false)),
        Box::new(I8Conv::new(cpu, shape, IntegerWeights::Eight(&bytes), &ints, 0, requant(out_c))),
        Box::new(I8Conv::new(cpu, shape, IntegerWeights::Four(&bytes), &ints, 0, requant(out_c))),
        Box::new(BinConv::new(cpu, shape, &words, &ints, requant(out_c))),
    ]
}

/// Operators of a depthwise layer: fp32, int8.
fn depthwise(cpu: &CpuFeatures, shape: &ConvShape) -> Vec<Box<dyn Operator>> {
    let (count, channels) = (shape.taps() * shape.in_c, shape.in_c);
    let bounds = (f32::NEG_INFINITY, f32::INFINITY);
    let (reals, bytes) = (vec![0.01; count], vec![3; count]);
    let (zeros, ints) = (vec![0.0; channels], vec![0; channels]);
    vec![
        Box::new(F32DepthwiseConv::new(cpu, shape, &reals, &zeros, None, bounds, false)),
        Box::new(I8DepthwiseConv::new(cpu, shape, &bytes, &ints, 0, requant(channels))),
    ]
}

fn main() -> Result<(), Box<dyn Error>> {
    let rounds: usize = std::env::args().nth(1).map_or(Ok(50), |n| n.parse())?;
    let cpu = CpuFeatures::detect();
    let mut runs = Vec::new();
    let mut add = |layer: &str, shape: &ConvShape, operators: Vec<Box<dyn Operator>>| {
        for operator in operators {
            let input = Buffer::new(4 * shape.in_pixels() * shape.in_c);
            let output = Buffer::new(4 * shape.out_pixels() * shape.out_c);
            runs.push(Run { layer: layer.to_owned(), operator, input, output, times: Vec::new() });
        }
    };
    for (layer, shape) in [
        ("conv 3x3 64->64 @56", shape(56, 3, 64, 64)),
        ("conv 3x3 256->256 @14", shape(14, 3, 256, 256)),
        ("conv 1x1 128->128 @28", shape(28, 1, 128, 128)),
    ] {
        add(layer, &shape, dense(&cpu, &shape));
    }
    let narrow = shape(28, 3, 128, 128);
    add("depthwise 3x3 128 @28", &narrow, depthwise(&cpu, &narrow));
    for round in 0..=rounds {
        for run in &mut runs {
            let start = Instant::now();
            run.operator.run(&[run.input.bytes()], &mut [run.output.bytes_mut()], &Serial);
            // The first round warms up.
            if round > 0 {
                run.times.push(start.elapsed());
            }
        }
    }
    println!("{:24} {:28} {:>10} {:>10}", "layer", "kernel", "median ms", "min ms");
    for run in &mut runs {
        run.times.sort_unstable();
        let Some((least, median)) = run.times.first().zip(run.times.get(rounds / 2)) else {
            return Err("time at least one round".into());
        };
        let [median, least] = [median, least].map(|time| 1e3 * time.as_secs_f64());
        println!("{:24} {:28} {median:10.3} {least:10.3}", run.layer, run.operator.kernel());
    }
    Ok(())
}
