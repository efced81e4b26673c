//! Every micro-kernel of the registry against a naive reference over awkward sizes.
//!
//! The self-test of a board and the tests of this crate are the same code. Cases come from a fixed pseudo-random
//! sequence. Integers must be equal, fp32 bit for bit. Buffers are exactly as large as the contract promises, and bytes
//! around the tile must stay as they were.

use serde::Serialize;

use super::bin_table::{Columns, MOST_CHANNELS};
use super::i8_depthwise::threshold_blocks;
use super::isa::CpuFeatures;
use super::micro::{
    BinGemm, BinGemmArgs, BinTable, F32Depthwise, F32DepthwiseArgs, F32Gemm, F32GemmArgs,
    I8Depthwise, I8DepthwiseArgs, I8DepthwiseSigns, I8DepthwiseSignsArgs, I8Gemm, I8GemmArgs,
    MicroKernel, SLACK, Taps, Tile, clamp_f32,
};
use super::pack;
use super::registry;
use super::requant::RequantParams;
use crate::graph::grouped;

/// How one kernel did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SelfTestResult {
    /// Name of the kernel.
    pub kernel: &'static str,
    /// Its family.
    pub family: &'static str,
    /// Cases computed.
    pub cases: usize,
    /// What went wrong in the first case that did; `None` when all were right.
    pub failure: Option<String>,
}

/// Holds every kernel that `features` allows against the reference, `cases` cases each.
pub fn self_test(features: &CpuFeatures, cases: usize) -> Vec<SelfTestResult> {
    let mut results = Vec::new();
    check(&mut results, features, cases, "f32_gemm", registry::f32_gemm(), f32_gemm);
    check(&mut results, features, cases, "i8_gemm", registry::i8_gemm(), i8_gemm);
    check(&mut results, features, cases, "i4_gemm", registry::i4_gemm(), i4_gemm);
    check(&mut results, features, cases, "i4_group_gemm", registry::i4_group_gemm(), i4_group_gemm);
    check(&mut results, features, cases, "bin_gemm", registry::bin_gemm(), |kernel, random| {
        bin_gemm(kernel, random, false)
    });
    check(&mut results, features, cases, "ternary", registry::ternary_gemm(), |kernel, random| {
        bin_gemm(kernel, random, true)
    });
    check(&mut results, features, cases, "bin_table", registry::bin_table(), bin_table);
    check(&mut results, features, cases, "f32_depthwise", registry::f32_depthwise(), f32_depthwise);
    check(&mut results, features, cases, "i8_depthwise", registry::i8_depthwise(), i8_depthwise);
    let signs = registry::i8_depthwise_signs();
    check(&mut results, features, cases, "i8_depthwise_signs", signs, i8_depthwise_signs);
    results
}

type Case<A> = fn(&MicroKernel<A>, &mut Random) -> Result<(), String>;

fn check<A>(
    results: &mut Vec<SelfTestResult>,
    features: &CpuFeatures,
    cases: usize,
    family: &'static str,
    kernels: &[&'static MicroKernel<A>],
    case: Case<A>,
) {
    for kernel in kernels.iter().filter(|kernel| features.has(kernel.isa)) {
        #[cfg(all(test, unix, not(miri)))]
        super::fence::running(kernel.name);
        let mut random = Random::new(cases as u64);
        let failure = (0..cases).find_map(|_| case(kernel, &mut random).err());
        results.push(SelfTestResult { kernel: kernel.name, family, cases, failure });
    }
}

/// A fixed sequence: xorshift64 (G. Marsaglia, "Xorshift RNGs", 2003).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.bits() >> 33) as usize % end
    }

    fn one_to(&mut self, last: usize) -> usize {
        1 + self.below(last)
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    fn f32(&mut self) -> f32 {
        self.below(2001) as f32 / 1000.0 - 1.0
    }

    /// Often an extreme.
    fn i8(&mut self) -> i8 {
        match self.below(8) {
            0 => i8::MIN,
            1 => i8::MAX,
            _ => self.bits() as i8,
        }
    }

    fn f32s(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.f32()).collect()
    }

    fn i8s(&mut self, count: usize) -> Vec<i8> {
        (0..count).map(|_| self.i8()).collect()
    }

    fn i32s(&mut self, count: usize) -> Vec<i32> {
        (0..count).map(|_| (self.bits() >> 40) as i32 - (1 << 23)).collect()
    }

    /// Up to two tiles and a half.
    fn rows(&mut self, mr: usize) -> usize {
        self.one_to(2 * mr + mr.div_ceil(2))
    }

    fn taps(&mut self) -> usize {
        [1, 4, 9, 25][self.below(4)]
    }

    fn bounds(&mut self) -> (f32, f32) {
        [(f32::NEG_INFINITY, f32::INFINITY), (0.0, f32::INFINITY), (0.0, 6.0)][self.below(3)]
    }

    /// Factors from hardly any shift to far too large, so that all shifts and saturation occur; or all of them below 1, or so
    /// small that they have the same shift, which some kernels have an output stage for, as they have for eight channels.
    fn requant(&mut self, channels: usize) -> RequantParams {
        let powers = [28, 22, 18, 14][self.below(4)];
        let blocks = self.coin();
        let mut factors = |signed: bool| -> Vec<f64> {
            let mut power = 0;
            (0..channels)
                .map(|channel| {
                    if !blocks || channel % 8 == 0 {
                        power = self.below(powers) as i32 - 22;
                    }
                    let magnitude = 2_f64.powi(power);
                    let sign = if signed && self.coin() { -1.0 } else { 1.0 };
                    sign * magnitude * (1.0 + self.below(1000) as f64 / 1000.0)
                })
                .collect()
        };
        let positive = factors(false);
        let negative = factors(true);
        let negative = self.coin().then_some(&negative[..]);
        let min = -128 + self.below(100) as i8;
        let max = 127 - self.below(100) as i8;
        RequantParams::from_real(&positive, negative, self.i8(), min, max)
    }
}

/// Rows of channels, each in a buffer of its own with the promised slack behind it (filled with noise).
struct Rows<T> {
    data: Vec<Vec<T>>,
}

impl<T> Rows<T> {
    fn new(count: usize, channels: usize, mut make: impl FnMut(usize) -> Vec<T>) -> Self {
        let slack = SLACK / size_of::<T>();
        Self { data: (0..count).map(|_| make(channels + slack)).collect() }
    }

    /// `taps * mr` pointers for each tile; rows beyond `rows` repeat the last valid one.
    fn pointers(&self, taps: usize, mr: usize, rows: usize) -> Vec<*const T> {
        let row = |i: usize| i / mr % taps * rows + (i / (taps * mr) * mr + i % mr).min(rows - 1);
        (0..rows.div_ceil(mr) * taps * mr).map(|i| self.data[row(i)].as_ptr()).collect()
    }
}

fn compare<T: PartialEq + std::fmt::Debug>(
    got: &[T],
    expected: &[T],
    what: &str,
) -> Result<(), String> {
    match got.iter().zip(expected).position(|(got, expected)| got != expected) {
        Some(at) => Err(format!("{what}: element {at} is {:?}, not {:?}", got[at], expected[at])),
        None => Ok(()),
    }
}

fn f32_gemm(kernel: &F32Gemm, random: &mut Random) -> Result<(), String> {
    let tile = kernel.tile;
    // Several whole tiles may be computed as one.
    let (rows, cols) = match random.below(4) {
        0 => (random.one_to(4 * tile.mr), tile.nr),
        _ => (random.one_to(tile.mr), random.one_to(tile.nr)),
    };
    let (channels, taps) = (random.one_to(67), random.taps());
    let a = Rows::new(rows * taps, channels, |n| random.f32s(n));
    let (bias, weights) = (random.f32s(cols), random.f32s(cols * taps * channels));
    let slopes = random.coin().then(|| random.f32s(tile.nr));
    let (min, max) = random.bounds();
    let panel = pack::f32_gemm(tile, &weights, &bias, taps, channels);
    let pointers = a.pointers(taps, tile.mr, rows);
    let stride = cols + 3;
    let mut c = vec![777.0_f32; (rows - 1) * stride + cols];
    let args = F32GemmArgs {
        rows,
        cols,
        channels,
        taps,
        a: pointers.as_ptr(),
        w: panel.panel(0).as_ptr(),
        c: c.as_mut_ptr(),
        c_stride: stride,
        min,
        max,
        slopes: slopes.as_ref().map_or(std::ptr::null(), |slopes| slopes.as_ptr()),
    };
    // SAFETY: the registry gives kernels of this CPU only, and every pointer covers what its field says.
    unsafe { (kernel.run)(&args) };
    let mut expected = vec![777.0_f32; (rows - 1) * stride + cols];
    for r in 0..rows {
        for j in 0..cols {
            let mut x = bias[j];
            for tap in 0..taps {
                for k in 0..channels {
                    let w = weights[(j * taps + tap) * channels + k];
                    x = a.data[tap * rows + r][k].mul_add(w, x);
                }
            }
            let x = slopes.as_ref().filter(|_| x < 0.0).map_or(x, |slopes| x * slopes[j]);
            expected[r * stride + j] = clamp_f32(x, min, max);
        }
    }
    let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let what = format!("{rows}x{cols}, {channels} channels, {taps} taps");
    compare(&bits(&c), &bits(&expected), &what)
}

fn i8_gemm(kernel: &I8Gemm, random: &mut Random) -> Result<(), String> {
    let (channels, taps) = (random.one_to(67), random.taps());
    let cols = random.one_to(kernel.tile.nr);
    // The largest weights, those four of which just fit 16 bits, and smaller ones; all or few of them at the extremes,
    // which fill narrow sums soonest.
    let most = [127, 127, 63, 63, 40][random.below(5)];
    let extreme = random.below(3) == 0;
    let few = random.coin();
    let weights = random.i8s(cols * taps * channels).into_iter();
    let weights: Vec<i8> = weights
        .map(|w| match extreme {
            true => -most,
            false if few && w != i8::MIN => (i32::from(w) * i32::from(most) / 256) as i8,
            false => (i32::from(w) * i32::from(most) / 128) as i8,
        })
        .collect();
    let pack = |bias: &[i32]| pack::i8_gemm(kernel.tile, &weights, bias, taps, channels);
    integer_gemm(kernel, pack, &weights, [channels, taps, cols], random)
}

/// Often the extremes, which fill narrow accumulators soonest.
fn i4s(random: &mut Random, count: usize) -> Vec<i8> {
    let (extreme, sign) = (random.coin(), random.coin());
    let narrow = |w: i8| match (extreme, sign) {
        (true, true) => 7,
        (true, false) => -7,
        _ => w % 8,
    };
    random.i8s(count).into_iter().map(narrow).collect()
}

fn i4_gemm(kernel: &I8Gemm, random: &mut Random) -> Result<(), String> {
    let (channels, taps) = (random.one_to(330), random.taps());
    let cols = random.one_to(kernel.tile.nr);
    let weights = i4s(random, cols * taps * channels);
    let pack = |bias: &[i32]| pack::i4_gemm(kernel.tile, &weights, bias, taps, channels);
    integer_gemm(kernel, pack, &weights, [channels, taps, cols], random)
}

/// Groups of one or more of the kernel's, also longer than the layer, whose multipliers are often the largest.
fn i4_group_gemm(kernel: &I8Gemm, random: &mut Random) -> Result<(), String> {
    let (channels, taps) = (random.one_to(150), random.taps());
    let cols = random.one_to(kernel.tile.nr);
    let group = Tile::GROUPED_CHANNELS * random.one_to(4);
    let weights = i4s(random, cols * taps * channels);
    let count = cols * taps * channels.div_ceil(group);
    let multipliers: Vec<u8> = (0..count).map(|_| random.one_to(20).min(15) as u8).collect();
    let products = grouped(&weights, &multipliers, channels, group);
    let groups = (&multipliers[..], group);
    let pack =
        |bias: &[i32]| pack::i4_group_gemm(kernel.tile, &weights, groups, bias, taps, channels);
    integer_gemm(kernel, pack, &products, [channels, taps, cols], random)
}

/// `pack` packs for these biases what acts as `weights`.
fn integer_gemm(
    kernel: &I8Gemm,
    pack: impl Fn(&[i32]) -> pack::Panels<i8>,
    weights: &[i8],
    [channels, taps, cols]: [usize; 3],
    random: &mut Random,
) -> Result<(), String> {
    let tile = kernel.tile;
    let rows = random.rows(tile.mr);
    let lowest = random.below(4) == 0;
    let a =
        Rows::new(rows * taps, channels, |n| if lowest { vec![i8::MIN; n] } else { random.i8s(n) });
    let bias = random.i32s(cols);
    let requant = random.requant(cols);
    let panel = pack(&bias);
    let narrow = pack::NarrowGroups::new(tile, weights, cols, taps, channels);
    let pointers = a.pointers(taps, tile.mr, rows);
    let stride = cols + 3;
    let mut c = vec![77_i8; (rows - 1) * stride + cols];
    let args = I8GemmArgs {
        rows,
        cols,
        channels,
        taps,
        a: pointers.as_ptr(),
        w: panel.panel(0).as_ptr(),
        narrow: narrow.panel(0).as_ptr(),
        c: c.as_mut_ptr(),
        c_stride: stride,
        requant: requant.raw(0),
    };
    // SAFETY: the registry gives kernels of this CPU only, and every pointer covers what its field says.
    unsafe { (kernel.run)(&args) };
    let mut expected = vec![77_i8; (rows - 1) * stride + cols];
    for r in 0..rows {
        for j in 0..cols {
            let mut acc = bias[j];
            for tap in 0..taps {
                for k in 0..channels {
                    let w = i32::from(weights[(j * taps + tap) * channels + k]);
                    acc = acc.wrapping_add(w * i32::from(a.data[tap * rows + r][k]));
                }
            }
            expected[r * stride + j] = requant.apply(j, acc);
        }
    }
    compare(&c, &expected, &format!("{rows}x{cols}, {channels} channels, {taps} taps"))
}

/// `ternary` weights have masks, and count twice.
fn bin_gemm(kernel: &BinGemm, random: &mut Random, ternary: bool) -> Result<(), String> {
    let tile = kernel.tile;
    // Whole tiles have an output stage of their own.
    let (rows, cols) = match random.coin() {
        true => (tile.mr, tile.nr),
        false => (random.one_to(tile.mr), random.one_to(tile.nr)),
    };
    let taps = random.taps();
    // Now and then sums beyond 16 bits.
    let words = if random.one_to(24) == 1 { 1100_usize.div_ceil(taps) } else { random.one_to(9) };
    // Kernels load ahead into the slack behind the last word.
    let with_slack = words + SLACK / 8;
    // The last word of a tap may have channels in some of its bytes only; the others are 0.
    let bytes = 8 * (words - 1) + random.one_to(8);
    let used = |k: usize| if k % words + 1 == words { !0 >> (64 * words - 8 * bytes) } else { !0 };
    let a: Vec<Vec<u64>> = (0..rows * taps)
        .map(|_| (0..with_slack).map(|k| random.bits() & used(k)).collect())
        .collect();
    let mut plane =
        || -> Vec<u64> { (0..cols * taps * words).map(|k| random.bits() & used(k)).collect() };
    let (weights, masks) = (plane(), plane());
    let bias = random.i32s(cols);
    let requant = random.requant(cols);
    let panel = match ternary {
        true => pack::ternary_gemm(tile, [&weights, &masks], &bias, taps, (words, bytes)),
        false => pack::bin_gemm(tile, &weights, &bias, taps, (words, bytes)),
    };
    let row = |i: usize| i / tile.mr * rows + (i % tile.mr).min(rows - 1);
    let pointers: Vec<*const u64> = (0..taps * tile.mr).map(|i| a[row(i)].as_ptr()).collect();
    let row_bias: Option<Vec<Vec<i32>>> =
        random.coin().then(|| (0..tile.mr).map(|_| random.i32s(tile.nr)).collect());
    let row_bias_pointers: Option<Vec<*const i32>> =
        row_bias.as_ref().map(|all| all.iter().map(|row| row.as_ptr()).collect());
    let stride = cols + 3;
    let mut c = vec![77_i8; (rows - 1) * stride + cols];
    let mut sums = vec![77_i32; (rows - 1) * stride + cols];
    let wants_sums = random.coin();
    let bits = 64 * words * taps;
    let args = BinGemmArgs {
        rows,
        cols,
        words,
        taps,
        bits,
        a: pointers.as_ptr(),
        w: panel.panel(0).as_ptr(),
        c: c.as_mut_ptr(),
        c_stride: stride,
        row_bias: row_bias_pointers.as_ref().map_or(std::ptr::null(), |all| all.as_ptr()),
        requant: requant.raw(0),
        sums: if wants_sums { sums.as_mut_ptr() } else { std::ptr::null_mut() },
        bytes,
    };
    // SAFETY: the registry gives kernels of this CPU only, and every pointer covers what its field says.
    unsafe { (kernel.run)(&args) };
    let mut expected = vec![77_i8; (rows - 1) * stride + cols];
    let mut expected_sums = vec![77_i32; (rows - 1) * stride + cols];
    for r in 0..rows {
        for j in 0..cols {
            let mut differing = 0;
            for tap in 0..taps {
                for (k, bits) in a[tap * rows + r].iter().enumerate().take(words) {
                    let at = (j * taps + tap) * words + k;
                    let differ = bits ^ weights[at];
                    differing += match ternary {
                        true => 2 * (differ & masks[at]).count_ones(),
                        false => differ.count_ones(),
                    };
                }
            }
            let product = bits as i32 - 2 * differing as i32;
            let extra = row_bias.as_ref().map_or(0, |all| all[r][j]);
            let acc = (product << 8) + bias[j] + extra;
            match wants_sums {
                true => expected_sums[r * stride + j] = acc,
                false => expected[r * stride + j] = requant.apply(j, acc),
            }
        }
    }
    let what = format!("{rows}x{cols}, {words} words, {taps} taps");
    compare(&sums, &expected_sums, &what)?;
    compare(&c, &expected, &what)
}

/// Layers by table, with masks and without.
fn bin_table(kernel: &BinTable, random: &mut Random) -> Result<(), String> {
    let (rows, cols) = (random.rows(kernel.tile.mr), random.one_to(3 * kernel.tile.nr));
    let (channels, masked) = (random.one_to(MOST_CHANNELS), random.coin());
    let used = !0 >> (64 - channels);
    let mut words = |count| -> Vec<u64> { (0..count).map(|_| random.bits() & used).collect() };
    let (a, signs, masks) = (words(rows), words(cols), words(cols));
    let (bias, requant) = (random.i32s(cols), random.requant(cols));
    let unit = if masked { 512 } else { 256 };
    let all = masked.then_some(&masks[..]);
    let columns = Columns::new(channels, &signs, all, unit, &bias, &requant);
    let mut c = vec![77_i8; rows * cols];
    // SAFETY: the registry gives kernels of this CPU only, and there are as many pixels and results.
    unsafe { (kernel.run)(&columns.args(rows, a.as_ptr(), c.as_mut_ptr())) };
    let result = |(r, j): (usize, usize)| {
        let mask = if masked { masks[j] } else { used };
        let (all, differing) = (mask.count_ones(), ((a[r] ^ signs[j]) & mask).count_ones());
        requant.apply(j, (all as i32 - 2 * differing as i32) * unit + bias[j])
    };
    let expected: Vec<i8> = (0..rows * cols).map(|i| result((i / cols, i % cols))).collect();
    compare(&c, &expected, &format!("{rows}x{cols}, {channels} channels, masks: {masked}"))
}

/// The window and pixels of a depthwise row, and the pointers to its taps.
struct Window<T> {
    kernel: [usize; 2],
    step: usize,
    pixels: usize,
    /// A table for each row of the window.
    rows: Vec<Rows<T>>,
    pointers: Vec<Vec<*const T>>,
    /// Pointers to padding, and which rows have it instead of their own.
    padding: Vec<*const T>,
    outside: Vec<bool>,
}

impl<T: Copy> Window<T> {
    /// Up to thirty pixels, the windows and strides that kernels have code of their own for and others; rows outside of the
    /// input now and then.
    fn new(
        random: &mut Random,
        channels: usize,
        padding: T,
        mut make: impl FnMut(&mut Random, usize) -> Vec<T>,
    ) -> Self {
        let kernel = [[1, 1], [3, 3], [5, 5], [2, 3], [4, 5], [3, 2], [7, 7]][random.below(7)];
        let (step, pixels) = (random.one_to(3), random.one_to(30));
        let columns = (pixels - 1) * step + kernel[1];
        let (above, below) = match random.below(3) {
            0 => (random.below(kernel[0]), random.below(kernel[0])),
            _ => (0, 0),
        };
        let outside: Vec<bool> =
            (0..kernel[0]).map(|y| y < above || y + below >= kernel[0]).collect();
        let row = |&outside: &bool| match outside {
            true => Rows::new(columns, channels, |n| vec![padding; n]),
            false => Rows::new(columns, channels, |n| make(random, n)),
        };
        let rows: Vec<Rows<T>> = outside.iter().map(row).collect();
        let pointers: Vec<Vec<*const T>> =
            rows.iter().map(|row| row.data.iter().map(|pixel| pixel.as_ptr()).collect()).collect();
        let of_padding = outside.iter().position(|&outside| outside);
        let padding = of_padding.map_or(Vec::new(), |y| pointers[y].clone());
        Self { kernel, step, pixels, rows, pointers, padding, outside }
    }

    fn tables(&self) -> Vec<*const *const T> {
        let tables = self.pointers.iter().zip(&self.outside);
        let tables = tables.map(|(row, &outside)| if outside { &self.padding } else { row });
        let mut tables: Vec<*const *const T> = tables.map(|row| row.as_ptr()).collect();
        tables.extend(tables.last().copied());
        tables
    }

    /// `tables` as kernels get them.
    fn taps(&self, tables: &[*const *const T]) -> Taps<T> {
        let outside = match self.padding.is_empty() {
            true => std::ptr::null(),
            false => self.padding.as_ptr(),
        };
        Taps { rows: tables.as_ptr(), kernel: self.kernel, step: self.step, outside }
    }

    fn tap(&self, pixel: usize, tap: usize) -> &[T] {
        let (y, x) = (tap / self.kernel[1], tap % self.kernel[1]);
        &self.rows[y].data[pixel * self.step + x]
    }

    fn what(&self, channels: usize) -> String {
        let Self { kernel: [height, width], step, pixels, .. } = self;
        format!("{pixels} pixels, {channels} channels, {height}x{width}, step {step}")
    }
}

fn f32_depthwise(kernel: &F32Depthwise, random: &mut Random) -> Result<(), String> {
    let nr = kernel.tile.nr;
    let channels = random.one_to(67);
    let window = Window::new(random, channels, 0.0, Random::f32s);
    let (pixels, taps) = (window.pixels, window.kernel[0] * window.kernel[1]);
    let (bias, weights) = (random.f32s(channels), random.f32s(taps * channels));
    let slopes = random.coin().then(|| random.f32s(channels.next_multiple_of(nr)));
    let (min, max) = random.bounds();
    let packed = pack::f32_depthwise(kernel.tile, &weights, &bias, taps);
    let tables = window.tables();
    let stride = channels + 3;
    let mut c = vec![777.0_f32; (pixels - 1) * stride + channels];
    let args = F32DepthwiseArgs {
        pixels,
        channels,
        taps: window.taps(&tables),
        w: packed.panel(0).as_ptr(),
        c: c.as_mut_ptr(),
        c_stride: stride,
        min,
        max,
        slopes: slopes.as_ref().map_or(std::ptr::null(), |slopes| slopes.as_ptr()),
    };
    // SAFETY: the registry gives kernels of this CPU only, and every pointer covers what its field says.
    unsafe { (kernel.run)(&args) };
    let mut expected = vec![777.0_f32; (pixels - 1) * stride + channels];
    for p in 0..pixels {
        for ch in 0..channels {
            let mut x = bias[ch];
            for tap in 0..taps {
                x = window.tap(p, tap)[ch].mul_add(weights[tap * channels + ch], x);
            }
            let x = slopes.as_ref().filter(|_| x < 0.0).map_or(x, |slopes| x * slopes[ch]);
            expected[p * stride + ch] = clamp_f32(x, min, max);
        }
    }
    let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    compare(&bits(&c), &bits(&expected), &window.what(channels))
}

fn i8_depthwise(kernel: &I8Depthwise, random: &mut Random) -> Result<(), String> {
    let channels = random.one_to(67);
    let lowest = random.below(4) == 0;
    let zero_point = random.i8();
    let window = Window::new(random, channels, zero_point, |random, n| match lowest {
        true => vec![i8::MIN; n],
        false => random.i8s(n),
    });
    let (pixels, taps) = (window.pixels, window.kernel[0] * window.kernel[1]);
    let (bias, weights) = (random.i32s(channels), random.i8s(taps * channels).into_iter());
    // The largest weights, those whose rows just fit 16 bits, and small ones.
    let most = [127, 127, 51, 85, 20][random.below(5)];
    let extreme = random.below(3) == 0;
    let weights: Vec<i8> = weights
        .map(|w| if extreme { -most } else { (i32::from(w) * i32::from(most) / 128) as i8 })
        .collect();
    let requant = random.requant(channels);
    let packed = pack::i8_depthwise(kernel.tile, &weights, &bias, taps);
    let narrow = pack::narrow_rows(&weights, window.kernel, channels, kernel.tile.nr);
    let run_ends = pack::run_ends(&weights, window.kernel, window.step, channels, kernel.tile.nr);
    let shifts = requant.block_shifts();
    let tables = window.tables();
    let stride = channels + 3;
    let mut c = vec![77_i8; (pixels - 1) * stride + channels];
    let args = I8DepthwiseArgs {
        pixels,
        channels,
        taps: window.taps(&tables),
        w: packed.panel(0).as_ptr(),
        narrow: narrow.as_ptr(),
        run_ends: run_ends.as_ptr(),
        c: c.as_mut_ptr(),
        c_stride: stride,
        requant: requant.raw(0),
        shifts: shifts.as_ptr(),
    };
    // SAFETY: the registry gives kernels of this CPU only, and every pointer covers what its field says.
    unsafe { (kernel.run)(&args) };
    let mut expected = vec![77_i8; (pixels - 1) * stride + channels];
    for p in 0..pixels {
        for ch in 0..channels {
            let mut acc = bias[ch];
            for tap in 0..taps {
                let w = i32::from(weights[tap * channels + ch]);
                acc = acc.wrapping_add(w * i32::from(window.tap(p, tap)[ch]));
            }
            expected[p * stride + ch] = requant.apply(ch, acc);
        }
    }
    compare(&c, &expected, &window.what(channels))
}

fn i8_depthwise_signs(kernel: &I8DepthwiseSigns, random: &mut Random) -> Result<(), String> {
    let channels = random.one_to(150);
    let zero_point = random.i8();
    let window = Window::new(random, channels, zero_point, |random, n| random.i8s(n));
    let (pixels, taps) = (window.pixels, window.kernel[0] * window.kernel[1]);
    // Magnitudes up to what just fits.
    let most = (255 / taps).min(127) as i32;
    let extreme = random.below(3) == 0;
    let weights = random.i8s(taps * channels).into_iter();
    let weights: Vec<i8> = weights
        .map(|w| if extreme { -most as i8 } else { (i32::from(w) * most / 128) as i8 })
        .collect();
    let nr = kernel.tile.nr;
    let threshold = |random: &mut Random| match random.below(6) {
        0 => i16::MIN,
        1 => i16::MAX,
        _ => (random.bits() >> 52) as i16 - 2048,
    };
    let thresholds: Vec<i16> = (0..channels).map(|_| threshold(random)).collect();
    let blocks = threshold_blocks(&thresholds);
    let packed = pack::i8_depthwise(kernel.tile, &weights, &vec![0; channels], taps);
    let tables = window.tables();
    let bytes = channels.div_ceil(nr);
    let stride = bytes + 3;
    let mut c = vec![77_u8; (pixels - 1) * stride + bytes];
    let args = I8DepthwiseSignsArgs {
        pixels,
        channels,
        taps: window.taps(&tables),
        w: packed.panel(0).as_ptr(),
        thresholds: blocks.as_ptr(),
        c: c.as_mut_ptr(),
        c_stride: stride,
    };
    // SAFETY: the registry gives kernels of this CPU only, and every pointer covers what its field says.
    unsafe { (kernel.run)(&args) };
    let mut expected = vec![77_u8; (pixels - 1) * stride + bytes];
    for p in 0..pixels {
        expected[p * stride..][..bytes].fill(0);
        for ch in 0..channels {
            let product =
                |tap| i32::from(window.tap(p, tap)[ch]) * i32::from(weights[tap * channels + ch]);
            let is = (0..taps).map(product).sum::<i32>() >= i32::from(thresholds[ch]);
            expected[p * stride + ch / 8] |= u8::from(is) << (ch % 8);
        }
    }
    compare(&c, &expected, &window.what(channels))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::isa::Isa;
    use super::*;

    /// The features to test the kernels of `isa` with, and nothing else's; none, said on stderr, where this CPU lacks it.
    fn only(isa: Isa) -> Option<CpuFeatures> {
        let features = CpuFeatures::detect_assuming_neon().only(isa);
        if features.is_none() {
            // Past the capture of passing tests: a person is to see it.
            let _ =
                writeln!(std::io::stderr(), "\nskipped: kernels of {isa:?}, which this CPU lacks");
        }
        features
    }

    fn equal_the_naive_reference(isa: Isa) {
        let Some(features) = only(isa) else { return };
        let results = self_test(&features, if cfg!(miri) { 6 } else { 1500 });
        let of_isa = registry::all().into_iter().filter(|&(_, needed)| needed == isa).count();
        assert_eq!(results.len(), of_isa, "kernels of {isa:?}");
        for result in &results {
            assert_eq!(result.failure, None, "{}", result.kernel);
        }
    }

    #[cfg(all(unix, not(miri)))]
    fn stay_within_their_operands(isa: Isa) {
        use super::super::fence::{Side, fenced};
        use proptest::prelude::*;

        let Some(features) = only(isa) else { return };
        proptest!(ProptestConfig::with_cases(8), |(cases in 12..36_usize, before: bool)| {
            let side = if before { Side::Before } else { Side::Behind };
            let results = fenced(side, || self_test(&features, cases));
            for result in &results {
                prop_assert_eq!(&result.failure, &None, "{}", result.kernel);
            }
        });
    }

    macro_rules! kernels {
        ($($of:ident: $isa:expr, $($arch:literal),*;)*) => { $(
            #[cfg(any($(target_arch = $arch),*))]
            mod $of {
                use super::Isa;

                #[test]
                fn equal_the_naive_reference() {
                    super::equal_the_naive_reference($isa);
                }

                #[test]
                #[cfg(all(unix, not(miri)))]
                fn stay_within_their_operands() {
                    super::stay_within_their_operands($isa);
                }
            }
        )* };
    }

    kernels! {
        portable: Isa::Portable, "x86_64", "aarch64", "arm";
        avx2: Isa::Avx2, "x86_64";
        avx512: Isa::Avx512, "x86_64";
        neon: Isa::Neon, "aarch64";
        neon_ooo: Isa::NeonOoo, "aarch64";
        neon_dotprod: Isa::NeonDotprod, "aarch64";
        neon_v7: Isa::NeonV7, "arm";
    }
}
