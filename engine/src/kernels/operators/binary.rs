//! Operators on two operands with NumPy broadcasting.

#[cfg(target_arch = "x86_64")]
use super::add_avx2;
#[cfg(target_arch = "aarch64")]
use super::add_neon;
use super::{Operator, Scratch, SharedRows, elements, elements_mut};
use crate::Pool;
use crate::graph::BinaryOp;
use crate::kernels::isa::{CpuFeatures, Isa};
use crate::kernels::micro::clamp_f32;
use crate::kernels::requant::Factor;
use crate::kernels::vectorize::Vectorizer;

/// Fewest elements worth a task.
const LEAST: usize = 4096;
/// Elements after which the cost of entering a loop no longer matters.
const LONG: usize = 512;

/// How the elements of an operand are found for each result.
#[derive(Debug)]
enum Source {
    /// The same shape as the result.
    Same,
    /// Repeats after so many elements (a scalar: 1, a vector over the last axis: its length).
    Repeats(usize),
    /// Anything else: an index per result.
    Table(Vec<u32>),
}

impl Source {
    fn new(shape: &[usize], result: &[usize]) -> Self {
        let count: usize = shape.iter().product();
        if count == result.iter().product::<usize>() {
            return Self::Same;
        }
        let significant: Vec<usize> = shape.iter().copied().skip_while(|&n| n == 1).collect();
        if result.ends_with(&significant) {
            return Self::Repeats(count);
        }
        // Row-major strides of the operand, 0 along broadcast axes, aligned to the result's last axis.
        let mut strides = vec![0; result.len()];
        let mut stride = 1;
        for (axis, &extent) in shape.iter().enumerate().rev() {
            if extent > 1 {
                strides[result.len() - shape.len() + axis] = stride;
            }
            stride *= extent;
        }
        let index = |mut flat: usize| {
            let mut at = 0;
            for (&extent, &stride) in result.iter().zip(&strides).rev() {
                at += flat % extent * stride;
                flat /= extent;
            }
            at as u32
        };
        Self::Table((0..result.iter().product()).map(index).collect())
    }

    /// The operand of the results `first..first + count`, in `scratch` unless they lie side by side.
    fn row<'a, T: Copy>(
        &self,
        data: &'a [T],
        first: usize,
        count: usize,
        scratch: &'a mut [T],
    ) -> &'a [T] {
        match self {
            Self::Same => return &data[first..first + count],
            Self::Repeats(period) if *period == count && first.is_multiple_of(count) => {
                return data;
            }
            Self::Repeats(period) => {
                let places = scratch.iter_mut().zip(first..first + count);
                places.for_each(|(place, flat)| *place = data[flat % period]);
            }
            Self::Table(table) => {
                let places = scratch.iter_mut().zip(&table[first..first + count]);
                places.for_each(|(place, &at)| *place = data[at as usize]);
            }
        }
        &scratch[..count]
    }
}

/// Where operands are found, and how loops over them run.
#[derive(Debug)]
pub struct Operands {
    a: Source,
    b: Source,
    counts: (usize, usize),
    count: usize,
    /// Extent of the result's last axis.
    channels: usize,
    vectorizer: Vectorizer,
    /// The instruction set of vector instructions for sums, where they are not left to the compiler.
    sums: Option<Isa>,
}

impl Operands {
    /// Shapes of both operands and of the result.
    pub fn new(cpu: &CpuFeatures, a: &[usize], b: &[usize], result: &[usize]) -> Self {
        Self {
            a: Source::new(a, result),
            b: Source::new(b, result),
            counts: (a.iter().product(), b.iter().product()),
            count: result.iter().product(),
            channels: result.last().copied().unwrap_or(1).max(1),
            vectorizer: Vectorizer::new(cpu),
            sums: [Isa::Neon, Isa::NeonV7, Isa::Avx2].into_iter().find(|&isa| cpu.has(isa)),
        }
    }

    /// A parameter per channel, repeated so that loops over it are long enough to pay.
    fn repeated<P: Copy>(&self, per_channel: &[P]) -> Vec<P> {
        let channels = per_channel.len().max(1);
        // Whole vectors of any length, unless that takes too many.
        let unit = 32 >> channels.trailing_zeros().min(5);
        let times = LONG / channels;
        let whole = if times < unit { times } else { times / unit * unit };
        per_channel.repeat(whole.max(1))
    }

    /// Whether columns of 8-bit sums are computed, all of them whole.
    #[cfg(target_arch = "aarch64")]
    fn by_columns(&self, sum: &I8Sum) -> bool {
        let neon = self.sums == Some(Isa::Neon) && sum.fraction > 0;
        neon && self.channels.is_multiple_of(add_neon::LANES)
    }

    /// Elsewhere they are computed row by row.
    #[cfg(not(target_arch = "aarch64"))]
    fn by_columns(&self, _: &I8Sum) -> bool {
        false
    }

    fn side_by_side(&self) -> bool {
        matches!((&self.a, &self.b), (Source::Same, Source::Same))
    }

    /// Bytes of scratch memory for a row of each operand.
    fn task_bytes<T>(&self) -> usize {
        if self.side_by_side() { 0 } else { 2 * self.channels * size_of::<T>() }
    }

    /// Bytes of scratch memory for so many threads and operands of type `T`.
    fn scratch_bytes<T>(&self, threads: usize) -> usize {
        Scratch::bytes_per_task(threads, self.task_bytes::<T>())
    }

    /// Calls `row(results, operands, other operands, parameters)` with all results, in parts. `parameters` are none, or come
    /// from [`Operands::repeated`]: as many as results then, or more.
    fn run<T: bytemuck::Pod + Send + Sync, P: Sync>(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        mut scratch: Scratch<'_>,
        pool: &dyn Pool,
        parameters: &[P],
        row: impl Fn(&mut [T], &[T], &[T], &[P]) + Sync,
    ) {
        let a = elements::<T>(inputs[0], self.counts.0);
        let b = elements::<T>(inputs[1], self.counts.1);
        let channels = self.channels;
        let output = SharedRows::new(elements_mut(outputs[0], self.count), channels);
        let parts = scratch.per_task(pool, self.task_bytes::<T>());
        parts.split(pool, self.count / channels, LEAST / channels, |first, end, scratch| {
            // SAFETY: each row belongs to one task.
            let output = unsafe { output.rows(first, end) };
            let scratch = bytemuck::cast_slice_mut::<u8, T>(scratch);
            let (scratch_a, scratch_b) = scratch.split_at_mut(scratch.len() / 2);
            let length = match (self.side_by_side(), parameters.len()) {
                (false, _) => channels,
                (true, 0) => output.len().max(1),
                (true, count) => count,
            };
            for (index, y) in output.chunks_mut(length).enumerate() {
                let flat = first * channels + index * length;
                let a = self.a.row(a, flat, y.len(), scratch_a);
                let b = self.b.row(b, flat, y.len(), scratch_b);
                row(y, a, b, parameters);
            }
        });
    }
}

/// fp32 arithmetic, then PReLU if there are slopes, results kept within bounds.
#[derive(Debug)]
pub struct F32Binary {
    op: BinaryOp,
    operands: Operands,
    /// Repeated.
    slopes: Vec<f32>,
    bounds: (f32, f32),
}

impl F32Binary {
    /// PReLU slopes, one per channel, or none.
    pub fn new(
        op: BinaryOp,
        operands: Operands,
        slopes: Option<&[f32]>,
        bounds: (f32, f32),
    ) -> Self {
        let slopes = operands.repeated(slopes.unwrap_or_default());
        Self { op, operands, slopes, bounds }
    }

    /// Computes as many results of a row as vector instructions of their own do, and says how many: the compiler has none for
    /// fp32 on 32-bit ARM.
    #[cfg(target_arch = "arm")]
    fn row_of_vectors(&self, y: &mut [f32], a: &[f32], b: &[f32], slopes: &[f32]) -> usize {
        if self.op != BinaryOp::Add || self.operands.sums != Some(Isa::NeonV7) {
            return 0;
        }
        // SAFETY: the CPU has NEON.
        unsafe { crate::kernels::neon_v7::elements::add(y, a, b, slopes, self.bounds) }
    }

    /// None, where the compiler's vectors do.
    #[cfg(not(target_arch = "arm"))]
    fn row_of_vectors(&self, _: &mut [f32], _: &[f32], _: &[f32], _: &[f32]) -> usize {
        0
    }

    fn apply(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        scratch: Scratch<'_>,
        pool: &dyn Pool,
        function: impl Fn(f32, f32) -> f32 + Copy + Sync,
    ) {
        let ((min, max), vectorizer) = (self.bounds, self.operands.vectorizer);
        let bounded = (min, max) != (f32::NEG_INFINITY, f32::INFINITY);
        // Parameters are moved into loops: behind a reference a store might change them, which keeps loops scalar.
        self.operands.run(inputs, outputs, scratch, pool, &self.slopes, |y, a, b, slopes| {
            let done = self.row_of_vectors(y, a, b, slopes);
            let (y, a, b) = (&mut y[done..], &a[done..], &b[done..]);
            if !slopes.is_empty() {
                let slopes = &slopes[done..];
                vectorizer.map_3(y, a, b, slopes, move |a, b, slope| {
                    let x = function(a, b);
                    if x < 0.0 { x * slope } else { x }
                });
            } else if bounded {
                vectorizer.map_2(y, a, b, move |a, b| clamp_f32(function(a, b), min, max));
            } else {
                vectorizer.map_2(y, a, b, function);
            }
        });
    }
}

impl Operator for F32Binary {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        match self.op {
            BinaryOp::Add => self.apply(inputs, outputs, scratch, pool, |a, b| a + b),
            BinaryOp::Sub => self.apply(inputs, outputs, scratch, pool, |a, b| a - b),
            BinaryOp::Mul => self.apply(inputs, outputs, scratch, pool, |a, b| a * b),
            BinaryOp::Div => self.apply(inputs, outputs, scratch, pool, |a, b| a / b),
            BinaryOp::Maximum => self.apply(inputs, outputs, scratch, pool, f32::max),
            BinaryOp::Minimum => self.apply(inputs, outputs, scratch, pool, f32::min),
        }
    }

    fn weight_bytes(&self) -> usize {
        4 * self.slopes.len()
    }

    fn scratch_bytes(&self, threads: usize) -> usize {
        self.operands.scratch_bytes::<f32>(threads)
    }
}

/// Sum or difference of 8-bit operands, with PReLU if there are slopes. Everything has 16 bits, some of them parts of a step of
/// the result: with `high(x, m) = (x * m + 2^14) >> 15`, which every vector instruction set has,
///
/// `acc = high(256 a, ma) + high(256 b, mb) + bias`, then `q = clamp((acc + (z << fraction) + half a step) >> fraction)`.
///
/// Sums saturate, though those of both operands never do: `fraction` is as large as that allows, and at most 7. PReLU multiplies
/// `acc` below 0 by the channel's slope, `high(acc, slope) << slope_shift`, saturating.
#[derive(Debug)]
pub struct I8Add {
    operands: Operands,
    sum: I8Sum,
    /// Slopes, one per channel, repeated unless columns are computed; none without PReLU.
    slopes: Vec<i16>,
    /// Whether 32 channels of all pixels are computed together, for which slopes need not be repeated.
    by_columns: bool,
}

/// The integers of an [`I8Add`].
#[derive(Clone, Copy, Debug)]
pub(super) struct I8Sum {
    pub(super) multipliers: (i16, i16),
    /// What the zero points of both operands amount to.
    pub(super) bias: i16,
    pub(super) fraction: u32,
    /// 0 where no slope is beyond 1.
    pub(super) slope_shift: u32,
    /// The result's zero point, shifted.
    pub(super) zero: i16,
    pub(super) bounds: (i8, i8),
}

impl I8Sum {
    /// Most bits behind the point: a sum that saturates is beyond the bounds, whatever the zero point.
    const MOST_FRACTION: u32 = 7;

    /// Encodings `(scale, zero point)` of both operands and of the result; `sign` is -1 for a difference.
    fn new([a, b, result]: [(f32, i8); 3], sign: i16, bounds: (i8, i8)) -> Self {
        let real = [a, b].map(|(scale, _)| f64::from(scale) / f64::from(result.0));
        let fits = |bits: &u32| 128.0 * (real[0] + real[1]) * f64::from(1 << bits) < 32767.0;
        let fraction = (1..=Self::MOST_FRACTION).rev().find(fits).unwrap_or(0);
        // Ratios beyond 2^8, of which the smallest number is beyond the bounds, saturate.
        let integer =
            |real: f64| (real * f64::from(128 << fraction)).round().min(f64::from(i16::MAX)) as i16;
        let multipliers = (integer(real[0]), sign * integer(real[1]));
        let zeros =
            i32::from(a.1) * i32::from(multipliers.0) + i32::from(b.1) * i32::from(multipliers.1);
        let bias = saturated(-((zeros + 64) >> 7));
        let zero = i16::from(result.1) << fraction;
        Self { multipliers, bias, fraction, slope_shift: 0, zero, bounds }
    }

    /// Slopes as integers, and how far their products must be shifted.
    fn slopes(slopes: &[f32]) -> (Vec<i16>, u32) {
        let largest = slopes.iter().fold(0.0, |largest: f32, slope| largest.max(slope.abs()));
        // Beyond 2^8 what is below 0 saturates.
        let shift = (0..8).find(|&shift| largest <= (1 << shift) as f32).unwrap_or(8);
        let integer = |slope: &f32| {
            let slope = f64::from(*slope) * f64::from(1 << 15) / f64::from(1 << shift);
            slope.round().clamp(-32767.0, 32767.0) as i16
        };
        (slopes.iter().map(integer).collect(), shift)
    }

    #[inline(always)]
    fn accumulate(&self, a: i8, b: i8) -> i16 {
        let a = high(i16::from(a) << 8, self.multipliers.0);
        let b = high(i16::from(b) << 8, self.multipliers.1);
        a.saturating_add(b).saturating_add(self.bias)
    }

    /// The result of an accumulator.
    #[inline(always)]
    fn finish(&self, x: i16) -> i8 {
        let x = i32::from(x.saturating_add(self.zero));
        let q = ((x + ((1 << self.fraction) >> 1)) >> self.fraction).clamp(-128, 127) as i8;
        q.max(self.bounds.0).min(self.bounds.1)
    }

    /// A sum without PReLU.
    #[inline(always)]
    fn plain(&self, a: i8, b: i8) -> i8 {
        self.finish(self.accumulate(a, b))
    }

    /// A sum with PReLU.
    #[inline(always)]
    fn sloped(&self, a: i8, b: i8, slope: i16) -> i8 {
        let acc = self.accumulate(a, b);
        let sloped = saturated(i32::from(high(acc, slope)) << self.slope_shift);
        self.finish(if acc < 0 { sloped } else { acc })
    }
}

/// The upper half of twice the product, rounded; written as compilers recognize it. Of two numbers the second is not the least.
#[inline(always)]
fn high(x: i16, m: i16) -> i16 {
    ((((i32::from(x) * i32::from(m)) >> 14) + 1) >> 1) as i16
}

/// To 16 bits. Bounds are no variables, as those of the instructions that narrow.
#[inline(always)]
fn saturated(x: i32) -> i16 {
    x.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}

/// As `clamp`, but never panics, which would keep a loop from being vectorized.
#[inline(always)]
fn bounded(x: i32, min: i32, max: i32) -> i32 {
    x.max(min).min(max)
}

impl I8Add {
    /// Encodings `(scale, zero point)` of both operands and of the result; `sign` is -1 for a difference; PReLU slopes,
    /// one per channel, or none; inclusive bounds.
    pub fn new(
        operands: Operands,
        encodings: [(f32, i8); 3],
        sign: i16,
        slopes: Option<&[f32]>,
        bounds: (i8, i8),
    ) -> Self {
        let mut sum = I8Sum::new(encodings, sign, bounds);
        let (slopes, shift) = I8Sum::slopes(slopes.unwrap_or_default());
        sum.slope_shift = shift;
        let by_columns = operands.by_columns(&sum);
        let slopes = if by_columns { slopes } else { operands.repeated(&slopes) };
        Self { operands, sum, slopes, by_columns }
    }

    /// Computes as many results of a row as vector instructions of their own do, and says how many.
    #[cfg_attr(target_arch = "arm", expect(unused_variables, reason = "there the compiler's do"))]
    fn row_of_vectors(&self, y: &mut [i8], a: &[i8], b: &[i8], slopes: &[i16]) -> usize {
        match self.operands.sums {
            #[cfg(target_arch = "aarch64")]
            Some(Isa::Neon) if self.sum.fraction > 0 => {
                // SAFETY: the CPU has NEON.
                unsafe { add_neon::add(y, a, b, slopes, self.operands.channels, &self.sum) };
                y.len() / add_neon::LANES * add_neon::LANES
            }
            #[cfg(target_arch = "x86_64")]
            Some(Isa::Avx2) => {
                // SAFETY: the CPU has AVX2.
                unsafe { add_avx2::add(y, a, b, slopes, &self.sum) };
                y.len() / add_avx2::LANES * add_avx2::LANES
            }
            _ => 0,
        }
    }

    fn row(&self, y: &mut [i8], a: &[i8], b: &[i8], slopes: &[i16]) {
        let done = self.row_of_vectors(y, a, b, slopes);
        if done == y.len() {
            return;
        }
        let (y, a, b, sum) = (&mut y[done..], &a[done..], &b[done..], self.sum);
        if slopes.is_empty() {
            self.operands.vectorizer.map_2(y, a, b, move |a, b| sum.plain(a, b));
        } else {
            let sloped = move |a, b, slope| sum.sloped(a, b, slope);
            self.operands.vectorizer.map_3(y, a, b, &slopes[done..], sloped);
        }
    }
}

impl Operator for I8Add {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        let repeated = if self.by_columns { &[] } else { &self.slopes[..] };
        self.operands.run(inputs, outputs, scratch, pool, repeated, |y, a, b, slopes| {
            self.row(y, a, b, if self.by_columns { &self.slopes } else { slopes });
        });
    }

    fn scratch_bytes(&self, threads: usize) -> usize {
        self.operands.scratch_bytes::<i8>(threads)
    }

    fn weight_bytes(&self) -> usize {
        size_of_val(&self.slopes[..])
    }
}

/// Product of 8-bit operands: the integer product of both less their zero points, times a [`Factor`].
#[derive(Debug)]
pub struct I8Mul {
    operands: Operands,
    zero_points: (i32, i32, i32),
    factor: Factor,
    bounds: (i32, i32),
}

impl I8Mul {
    /// Encodings `(scale, zero point)` of both operands and of the result; inclusive bounds.
    pub fn new(operands: Operands, [a, b, result]: [(f32, i8); 3], bounds: (i8, i8)) -> Self {
        let real = f64::from(a.0) * f64::from(b.0) / f64::from(result.0);
        Self {
            operands,
            zero_points: (i32::from(a.1), i32::from(b.1), i32::from(result.1)),
            factor: Factor::from_real(real),
            bounds: (i32::from(bounds.0), i32::from(bounds.1)),
        }
    }
}

impl Operator for I8Mul {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        let (za, zb, z) = self.zero_points;
        let (min, max) = self.bounds;
        let factor = self.factor;
        let multiply = move |a: i8, b: i8| {
            let product = (i32::from(a) - za) * (i32::from(b) - zb);
            bounded(factor.apply(product).saturating_add(z), min, max) as i8
        };
        let none: &[()] = &[];
        self.operands.run(inputs, outputs, scratch, pool, none, |y, a, b, _| {
            self.operands.vectorizer.map_2(y, a, b, multiply);
        });
    }

    fn scratch_bytes(&self, threads: usize) -> usize {
        self.operands.scratch_bytes::<i8>(threads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Serial;

    /// With vectors that are not whole, and those of which columns are computed.
    const CHANNELS: [usize; 2] = [37, 64];

    fn operands(cpu: &CpuFeatures, channels: usize) -> Operands {
        let shape = [1, 25, 3, channels];
        Operands::new(cpu, &shape, &shape, &shape)
    }

    /// Both operands: all pairs of a few 8-bit numbers and more.
    fn inputs(channels: usize) -> (Vec<i8>, Vec<i8>) {
        let number = |i: usize, step: usize| (i * step % 256) as u8 as i8;
        (0..75 * channels).map(|i| (number(i, 89), number(i + i / 256, 151))).unzip()
    }

    fn run(add: &I8Add) -> Vec<i8> {
        let (a, b) = inputs(add.operands.channels);
        let mut y = vec![0_i8; a.len()];
        let bytes: [&[u8]; 2] = [bytemuck::cast_slice(&a), bytemuck::cast_slice(&b)];
        add.run_alone(&bytes, &mut [bytemuck::cast_slice_mut(&mut y)], &Serial);
        y
    }

    #[test]
    fn a_sum_of_bytes_with_prelu_is_the_real_one_to_a_rounding() {
        let slope = |c: usize| [0.25, -0.5, 1.5, 0.0, 3.0][c % 5] + c as f32 * 1e-3;
        let encodings = [(0.03, -5), (0.011, 17), (0.05, -20)];
        for (sign, channels) in [1_i16, -1].into_iter().zip(CHANNELS) {
            let slopes: Vec<f32> = (0..channels).map(slope).collect();
            let add = I8Add::new(
                operands(&CpuFeatures::detect(), channels),
                encodings,
                sign,
                Some(&slopes),
                (-128, 127),
            );
            let (a, b) = inputs(channels);
            for (i, (&q, (&a, &b))) in run(&add).iter().zip(a.iter().zip(&b)).enumerate() {
                let real = f64::from(i32::from(a) + 5) * 0.03
                    + f64::from(sign) * f64::from(i32::from(b) - 17) * 0.011;
                let real = if real < 0.0 { real * f64::from(slopes[i % channels]) } else { real };
                let wanted = (real / 0.05 - 20.0).clamp(-128.0, 127.0);
                assert!((f64::from(q) - wanted).abs() < 0.55, "{a} {b}: {q}, not {wanted}");
            }
        }
    }

    #[test]
    fn sums_of_bytes_are_the_same_on_every_instruction_set() {
        for channels in CHANNELS {
            let slopes = |last: f32| -> Vec<f32> {
                (0..channels).map(|c| (c as f32 / channels as f32 - 0.2) * last).collect()
            };
            // Steps of the result for which sums have seven, two and no bits behind the point.
            let steps = [(0.4, 7), (0.013, 2), (0.002, 0)];
            let all = [None, Some(slopes(1.0)), Some(slopes(3.0))];
            for ((step, fraction), slopes) in
                steps.iter().flat_map(|s| all.iter().map(move |a| (s, a)))
            {
                let sum = |cpu: &CpuFeatures| {
                    let encodings = [(0.02, 3), (0.7, -9), (*step, 1)];
                    let (operands, bounds) = (operands(cpu, channels), (-100, 90));
                    let add = I8Add::new(operands, encodings, 1, slopes.as_deref(), bounds);
                    assert_eq!(add.sum.fraction, *fraction);
                    run(&add)
                };
                assert_eq!(sum(&CpuFeatures::portable()), sum(&CpuFeatures::detect()));
            }
        }
    }

    #[test]
    fn fp32_sums_are_those_of_each_element() {
        let channels = 37;
        let slopes: Vec<f32> = (0..channels).map(|c| c as f32 / 9.0 - 1.5).collect();
        let (a, b): (Vec<f32>, Vec<f32>) = (0..5 * channels)
            .map(|i| ((i * 89 % 256) as f32 - 100.0, (i % 71) as f32 / 3.0))
            .unzip();
        let all = (f32::NEG_INFINITY, f32::INFINITY);
        for (slopes, bounds) in [(None, all), (None, (-3.5, 40.25)), (Some(&slopes[..]), all)] {
            let shape = [5, channels];
            let operands =
                Operands::new(&CpuFeatures::detect_assuming_neon(), &shape, &shape, &shape);
            let add = F32Binary::new(BinaryOp::Add, operands, slopes, bounds);
            let mut y = vec![0.0_f32; a.len()];
            let bytes: [&[u8]; 2] = [bytemuck::cast_slice(&a), bytemuck::cast_slice(&b)];
            add.run_alone(&bytes, &mut [bytemuck::cast_slice_mut(&mut y)], &Serial);
            for (i, y) in y.into_iter().enumerate() {
                let x = a[i] + b[i];
                let wanted = match slopes {
                    Some(slopes) if x < 0.0 => x * slopes[i % channels],
                    _ => x.clamp(bounds.0, bounds.1),
                };
                assert_eq!(y, wanted, "{i}: {} + {}", a[i], b[i]);
            }
        }
    }

    #[test]
    fn fp32_sums_take_broadcast_operands_and_prelu() {
        let slopes = [0.5, 2.0, -1.0];
        let a = [1.0_f32, -2.0, 3.0, -4.0, -5.0, -6.0];
        for (b, shape, wanted) in [
            (vec![-1.5_f32], vec![1], [-0.25, -7.0, 1.5, -2.75, -13.0, 7.5]),
            (vec![1.0, 2.0, 3.0], vec![3], [2.0, 0.0, 6.0, -1.5, -6.0, 3.0]),
            (vec![1.0, -1.0], vec![2, 1], [2.0, -2.0, 4.0, -2.5, -12.0, 7.0]),
        ] {
            let operands = Operands::new(&CpuFeatures::detect(), &[2, 3], &shape, &[2, 3]);
            let bounds = (f32::NEG_INFINITY, f32::INFINITY);
            let add = F32Binary::new(BinaryOp::Add, operands, Some(&slopes), bounds);
            let mut y = [0.0_f32; 6];
            let bytes: [&[u8]; 2] = [bytemuck::cast_slice(&a), bytemuck::cast_slice(&b)];
            add.run_alone(&bytes, &mut [bytemuck::cast_slice_mut(&mut y)], &Serial);
            assert_eq!(y, wanted, "{b:?}");
        }
    }
}
