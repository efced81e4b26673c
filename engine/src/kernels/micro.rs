//! The families of micro-kernels.
//!
//! Convolution is indirect (M. Dukhan, "The Indirect Convolution Algorithm", arXiv:1907.02129): a micro-kernel
//! computes a tile of up to `mr` output pixels by `nr` output channels, reading for each tap of the window one
//! row of input channels per pixel through a pointer. A 1x1 convolution and a matrix product are the case of
//! one tap. Padding is a pointer to a row of zeros (of zero points). Nothing is copied.
//!
//! Weights are packed per panel of `nr` output channels, missing channels filled with zeros:
//! `[bias; nr]`, then for each tap, for each group of `kr` input channels: `[[w; kr]; nr]`. Input channels are
//! padded with zero weights to a multiple of `kr`.
//!
//! All argument structures are `repr(C)`: the armv7 kernels read them by offset. Activation buffers are readable
//! for [`SLACK`] bytes past their end; kernels never write outside the tile.

use super::isa::Isa;

/// Bytes that may be read (never written) past the end of any activation buffer.
pub const SLACK: usize = 64;

/// Extent of a micro-kernel's tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Most output pixels (rows) per call.
    pub mr: usize,
    /// Output channels (columns) per packed panel.
    pub nr: usize,
    /// Input channels (for one-bit kernels: 64-bit words) packed next to each other.
    pub kr: usize,
}

impl Tile {
    /// One-bit panels of so many columns are packed by bytes: each tap is `[[u8; nr]; bytes]`, the least significant bytes of
    /// words first, where others have `[[u64; nr]; words]`.
    pub const BYTEWISE_COLUMNS: usize = 32;

    /// 4-bit panels of so many channels next to each other have columns in pairs, a byte for each channel: 16 times the weight
    /// of the second plus that of the first. Two instructions take sixteen such bytes apart, one for each column.
    pub const PAIRED_CHANNELS: usize = 16;
    /// Channels of a tap, from the first on, whose 4-bit weights share a multiplier where groups have some.
    pub const GROUPED_CHANNELS: usize = 32;
    /// One-bit panels of so many columns are packed in groups of [`Tile::PAIRED_GROUP`] columns, one after the other, and the
    /// words of all taps of a group in pairs: `[[[u64; 2]; group]; taps * words / 2]`, then `[u64; group]` where one is left.
    pub const PAIRED_COLUMNS: usize = 64;
    /// Columns of a group of such panels.
    pub const PAIRED_GROUP: usize = 8;
}

/// Arguments of [`F32Gemm`]: `c[r][j] = clamp(act(bias[j] + sum over t, k of a[t * mr + r][k] * w[t][k][j]))`.
///
/// Each element is accumulated in the order bias, then taps, then channels, by fused multiply-add, so results
/// are the same bits on every ISA.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct F32GemmArgs {
    /// Rows to compute, at least 1: tiles of mr of them, the last of what is left.
    pub rows: usize,
    /// Columns to store, 1..=nr.
    pub cols: usize,
    /// Input channels per tap, at least 1.
    pub channels: usize,
    /// Taps, at least 1.
    pub taps: usize,
    /// For each tile `taps * mr` pointers, tap-major; entries of rows beyond `rows` repeat a valid one.
    pub a: *const *const f32,
    /// The packed panel, 64-byte aligned, readable for [`SLACK`] bytes past its end.
    pub w: *const f32,
    /// First element of the first tile.
    pub c: *mut f32,
    /// Elements between rows of `c`.
    pub c_stride: usize,
    /// Lower bound of the result (-inf for none).
    pub min: f32,
    /// Upper bound of the result (+inf for none).
    pub max: f32,
    /// `nr` PReLU slopes, or null: results below 0 are multiplied by theirs before the clamp.
    pub slopes: *const f32,
}

/// How 32-bit accumulators become 8-bit results. With `x = acc << left[j]` (saturating):
/// `q = clamp(zero_point + rounding_shift_right(sqrdmulh(x, multiplier[j]), right[j]), min, max)`, where
/// `sqrdmulh(a, b) = saturate((2 * a * b + 2^31) >> 32)` and `rounding_shift_right(a, s) = (a + (1 << s >> 1)) >> s`
/// computed without overflow: exactly ARM's SQRDMULH and SRSHL. For `acc < 0` the `negative` set is used, which is how
/// PReLU stays in integers; without PReLU both sets are the same.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Requant {
    /// `nr` Q31 multipliers for accumulators at or above 0; never `i32::MIN`.
    pub multiplier: *const i32,
    /// `nr` left shifts, 0..=30.
    pub left: *const i32,
    /// `nr` right shifts, 0..=31.
    pub right: *const i32,
    /// As `multiplier`, for accumulators below 0. Null when there is no PReLU.
    pub negative_multiplier: *const i32,
    /// As `left`, for accumulators below 0.
    pub negative_left: *const i32,
    /// As `right`, for accumulators below 0.
    pub negative_right: *const i32,
    /// The result's zero point.
    pub zero_point: i32,
    /// Lower bound of the result, at least -128.
    pub min: i32,
    /// Upper bound of the result, at most 127.
    pub max: i32,
    /// Whether all left shifts are 0, those for negative accumulators too: kernels may then leave them out.
    pub only_right: bool,
    /// The right shift, 3..=16, where it is the same for all channels, for negative accumulators too, and all left shifts are 0;
    /// else 0.
    pub shift: i32,
}

impl Requant {
    /// For kernels that are not to requantize.
    pub(crate) const NONE: Self = Self {
        multiplier: std::ptr::null(),
        left: std::ptr::null(),
        right: std::ptr::null(),
        negative_multiplier: std::ptr::null(),
        negative_left: std::ptr::null(),
        negative_right: std::ptr::null(),
        zero_point: 0,
        min: 0,
        max: 0,
        only_right: false,
        shift: 0,
    };
}

/// Arguments of [`I8Gemm`]: `acc[r][j] = bias[j] + sum of a * w` in wrapping 32-bit arithmetic, then [`Requant`].
/// The input's zero point is already folded into the bias; padding rows hold the zero point.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct I8GemmArgs {
    /// Rows to compute, at least 1: tiles of mr of them, the last of what is left.
    pub rows: usize,
    /// Columns to store, 1..=nr.
    pub cols: usize,
    /// Input channels per tap, at least 1.
    pub channels: usize,
    /// Taps, at least 1.
    pub taps: usize,
    /// For each tile `taps * mr` pointers, tap-major; entries of rows beyond `rows` repeat a valid one.
    pub a: *const *const i8,
    /// The packed panel (biases are i32; weights -127..=127), 64-byte aligned, readable for [`SLACK`] bytes past its end.
    pub w: *const i8,
    /// First element of the first tile.
    pub c: *mut i8,
    /// Elements between rows of `c`.
    pub c_stride: usize,
    /// Output stage, arrays of `nr`.
    pub requant: Requant,
    /// Of 8-bit weights, a byte for each tap and group of channels of the panel, and one more: whose products add up in 16
    /// bits, whatever the activations, because the magnitudes of their weights sum to 255 at most in every column. Groups are
    /// eight channels (those beyond have no byte); bits 0 and 1 are for the first three and four of them, bits 2 and 3 for
    /// three and four from the fifth on, bits 4 and 5 for three from the second and from the sixth on, and a byte of zero is
    /// behind those of each tap. In tiles of one row groups are `kr` channels, the last of a tap or not, and bit 0 is for all
    /// sets of channels of the group that are eight apart.
    pub narrow: *const u8,
}

/// Arguments of [`BinGemm`]: `acc[r][j] = ((bits - 2 * popcount(a ^ w)) << 8) + bias[j]`, then [`Requant`], unless
/// accumulators are asked for; `bits` is
/// the number of valid (tap, channel) pairs. Padded taps contribute 0, for which the caller adjusts through
/// `row_bias`: `acc[r][j]` also gets `row_bias[r][j]` when that pointer is not null.
///
/// For weights of -1, 0 and 1, whose products count twice, `acc[r][j] = ((bits - 4 * popcount((a ^ w) & mask)) << 8) + bias[j]`:
/// panels hold the signs of a byte (word) of all columns, then as many masks, which are 0 where weights are.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct BinGemmArgs {
    /// Rows to compute, at least 1: tiles of mr of them, the last of what is left.
    pub rows: usize,
    /// Columns to store, 1..=nr.
    pub cols: usize,
    /// 64-bit words of input channels per tap, at least 1.
    pub words: usize,
    /// Taps, at least 1.
    pub taps: usize,
    /// Channels times taps.
    pub bits: usize,
    /// For each tile `taps * mr` pointers, tap-major; entries of rows beyond `rows` repeat a valid one.
    pub a: *const *const u64,
    /// The packed panel: `[bias i32; nr]` then words (see [`Tile::BYTEWISE_COLUMNS`]), 64-byte aligned, readable for [`SLACK`] bytes past its end.
    pub w: *const u64,
    /// First element of the first tile.
    pub c: *mut i8,
    /// Elements between rows of `c`.
    pub c_stride: usize,
    /// Null, or for each tile `mr` pointers to `nr` corrections each in units of the accumulator, or `mr` null pointers.
    pub row_bias: *const *const i32,
    /// Output stage, arrays of `nr`; not read when there is `sums`.
    pub requant: Requant,
    /// Null, or where the accumulators are stored instead of `c`, rows `c_stride` elements apart.
    pub sums: *mut i32,
    /// Bytes per tap that hold channels, at least 1: those of `words` but the last are all.
    pub bytes: usize,
}

impl BinGemmArgs {
    /// The accumulator of an output whose operands differ in `count` bits, without the row's correction.
    #[inline]
    pub(crate) fn accumulate(&self, count: u32, bias: i32) -> i32 {
        ((self.bits as i32 - 2 * count as i32) << 8).wrapping_add(bias)
    }

    /// Stores accumulators of row `r` from column `column` on, where `sums` asks for them.
    ///
    /// # Safety
    /// `sums` is not null, and the tile has that row and those columns.
    #[inline]
    pub(crate) unsafe fn store_sums(&self, r: usize, column: usize, acc: &[i32]) {
        // SAFETY: the caller vouches for the place, which no other tile has.
        unsafe {
            let to = self.sums.add(r * self.c_stride + column);
            std::ptr::copy_nonoverlapping(acc.as_ptr(), to, acc.len());
        }
    }
}

/// Arguments of [`BinTable`]: `c[r][j] = result[j][popcount((a[r] ^ w[j]) & mask[j])]`, where pixels, columns and masks have up to
/// 64 bits, the results of a column are known beforehand, and without masks all bits count.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct BinTableArgs {
    /// Pixels, at least 1.
    pub rows: usize,
    /// Columns, at least 1.
    pub cols: usize,
    /// Bytes of pixels and columns that hold channels: 2, 3, 4, 6 or 8.
    pub bytes: usize,
    /// Whether there are masks.
    pub masked: bool,
    /// A word for each pixel.
    pub a: *const u64,
    /// For four columns at a time `[[u8; 4]; bytes]`, each byte followed by its masks `[u8; 4]`, if there are such, then
    /// `[u8; 4]`, the results of counts for which the table has no entry. For whole groups of eight columns, and readable for
    /// four bytes past their end.
    pub signs: *const u8,
    /// The results of each column for counts from 0: eight for each byte, rounded up to sixteen. For whole groups of eight
    /// columns.
    pub tables: *const u8,
    /// First result.
    pub c: *mut i8,
    /// Elements between rows of `c`.
    pub c_stride: usize,
}

impl BinTableArgs {
    /// Bytes that so many columns, whole groups of four, take of `signs`.
    pub(crate) fn sign_bytes(&self, columns: usize) -> usize {
        let planes = if self.masked { 2 } else { 1 };
        (planes * self.bytes + 1) * columns
    }

    /// Bytes that so many columns take of `tables`.
    pub(crate) fn table_bytes(&self, columns: usize) -> usize {
        (8 * self.bytes).next_multiple_of(16) * columns
    }
}

/// Bounds as every kernel applies them: equal values give the bound, so -0 against a lower bound of +0 is +0.
#[inline]
pub(crate) fn clamp_f32(x: f32, min: f32, max: f32) -> f32 {
    let x = if x > min { x } else { min };
    if x < max { x } else { max }
}

/// Where the taps of a row of output pixels are: a table of pointers to pixels for each row of the window, which
/// neighbouring output pixels share. Padding is a pointer to a pixel of zeros (of zero points).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Taps<T> {
    /// `kernel[0]` tables of `(pixels - 1) * step + kernel[1]` pointers, and the last of them once more for kernels that
    /// read ahead.
    pub rows: *const *const *const T,
    /// Height and width of the window, at least 1.
    pub kernel: [usize; 2],
    /// Pointers from an output pixel's first tap to that of the next: the stride, unless the window has gaps.
    pub step: usize,
    /// The table, padding only, of window rows outside of the input, or null. Kernels may leave such rows out, if the result is
    /// the same: what is outside is above and below the other rows.
    pub outside: *const *const T,
}

impl<T> Taps<T> {
    /// The rows of the window that are not outside of the input; all where there are no others.
    ///
    /// # Safety
    /// There are as many tables as `kernel` says.
    #[cfg_attr(
        not(target_arch = "aarch64"),
        expect(dead_code, reason = "for kernels that leave rows out")
    )]
    pub(crate) unsafe fn inside(&self) -> std::ops::Range<usize> {
        // SAFETY: the caller vouches for the tables.
        let tables = unsafe { std::slice::from_raw_parts(self.rows, self.kernel[0]) };
        let inside = |&table: &*const *const T| table != self.outside;
        match (tables.iter().position(inside), tables.iter().rposition(inside)) {
            (Some(first), Some(last)) => first..last + 1,
            _ => 0..self.kernel[0],
        }
    }

    /// Taps of a window.
    pub(crate) fn count(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// The table of window row `y` from the first tap of `pixel` on.
    ///
    /// # Safety
    /// There are such a row and pixel.
    #[inline]
    pub(crate) unsafe fn row(&self, pixel: usize, y: usize) -> *const *const T {
        // SAFETY: the caller vouches for both.
        unsafe { (*self.rows.add(y)).add(pixel * self.step) }
    }
}

/// Arguments of [`F32Depthwise`]: for each of `pixels` outputs and each channel,
/// `c[p][ch] = clamp(act(bias[ch] + sum over t of tap[p][t][ch] * w[t][ch]))`, taps in order, fused. Biases are never -0, so taps
/// of padding by finite weights change nothing.
///
/// Weights are packed in blocks of `nr` channels: `[bias; nr]`, then `[[w; nr]; taps]`.
#[repr(C)]
#[derive(Debug)]
pub struct F32DepthwiseArgs {
    /// Output pixels, at least 1.
    pub pixels: usize,
    /// Channels, at least 1.
    pub channels: usize,
    /// Where the taps are.
    pub taps: Taps<f32>,
    /// Packed weights.
    pub w: *const f32,
    /// First output pixel.
    pub c: *mut f32,
    /// Elements between output pixels.
    pub c_stride: usize,
    /// Lower bound of the result.
    pub min: f32,
    /// Upper bound of the result.
    pub max: f32,
    /// PReLU slopes, `channels` rounded up to `nr`, or null.
    pub slopes: *const f32,
}

/// Arguments of [`I8Depthwise`]; as [`F32DepthwiseArgs`] with the output stage of [`I8GemmArgs`].
#[repr(C)]
#[derive(Debug)]
pub struct I8DepthwiseArgs {
    /// Output pixels, at least 1.
    pub pixels: usize,
    /// Channels, at least 1.
    pub channels: usize,
    /// Where the taps are.
    pub taps: Taps<i8>,
    /// Packed weights, -127..=127, in blocks of `nr` channels: `[bias i32; nr]`, then for each group of `kr` taps (zeros for those
    /// beyond the last) `[[w i8; kr]; nr]`. Readable for [`SLACK`] bytes past their end.
    pub w: *const i8,
    /// For each block of channels and row of the window, whether the products of that row add up in 16 bits, whatever the
    /// activations: the magnitudes of each channel's weights sum to 255 at most.
    pub narrow: *const bool,
    /// For each block of channels and row of the window, where sums of products leave 16 bits, whatever the activations: bit `i`
    /// is set if the sums since the last such tap must be widened behind the row's tap `i`, counted as `run_order` does. Set
    /// for the last tap; valid for windows up to eight wide.
    pub run_ends: *const u8,
    /// First output pixel.
    pub c: *mut i8,
    /// Elements between output pixels.
    pub c_stride: usize,
    /// Output stage, arrays of `channels` rounded up to `nr`.
    pub requant: Requant,
    /// For each channel, rounded up to eight, the right shift that all channels of its block of eight have, 1..=16; 0 where they
    /// have none in common. Of channels whose multiplier is 0 it may be another. Valid without PReLU.
    pub shifts: *const u8,
}

/// Arguments of [`I8DepthwiseSigns`]: as [`I8DepthwiseArgs`] for weights whose magnitudes sum to 255 at most in every channel, so
/// that all products of a window add up in 16 bits; for each output and channel a bit, 1 where they sum up to the threshold or
/// more.
#[repr(C)]
#[derive(Debug)]
pub struct I8DepthwiseSignsArgs {
    /// Output pixels, at least 1.
    pub pixels: usize,
    /// Channels, at least 1.
    pub channels: usize,
    /// Where the taps are.
    pub taps: Taps<i8>,
    /// As [`I8DepthwiseArgs::w`]; biases are not used.
    pub w: *const i8,
    /// For each block of `nr` channels their thresholds, [`i16::MAX`], which no sum reaches, for those that are missing, then the
    /// bit of each in a byte, from 1 to 128.
    pub thresholds: *const [i16; 16],
    /// Bits of the first output pixel, the first channel's the least significant of the first byte; for each `nr` channels a
    /// byte is written.
    pub c: *mut u8,
    /// Bytes between output pixels.
    pub c_stride: usize,
}

/// The order in which 8-bit depthwise kernels multiply the taps of a row: at step 2 those that share pixels with a neighbouring
/// output follow each other.
pub(crate) fn run_order(width: usize, step: usize) -> impl Iterator<Item = usize> {
    let phases = if step == 2 { 2 } else { 1 };
    (0..phases).flat_map(move |phase| (phase..width).step_by(phases))
}

/// Arguments for a block of tiles.
pub(crate) trait Block: Copy {
    /// Rows of all tiles.
    fn rows(&self) -> usize;

    /// The arguments for tile `index` alone, each of `mr` rows.
    ///
    /// # Safety
    /// The block has that tile.
    unsafe fn tile(&self, index: usize, mr: usize) -> Self;
}

/// Calls `tile` for every tile of a block, for micro-kernels that compute one at a time.
///
/// # Safety
/// `tile` may be called for every tile.
pub(crate) unsafe fn each_tile<A: Block>(args: &A, mr: usize, tile: unsafe fn(&A)) {
    for index in 0..args.rows().div_ceil(mr) {
        // SAFETY: the caller vouches for every tile.
        unsafe { tile(&args.tile(index, mr)) };
    }
}

macro_rules! block {
    ($args:ty) => {
        impl Block for $args {
            fn rows(&self) -> usize {
                self.rows
            }

            unsafe fn tile(&self, index: usize, mr: usize) -> Self {
                let first = index * mr;
                // SAFETY: the block has the tile, so its pointers.
                let a = unsafe { self.a.add(first * self.taps) };
                // SAFETY: and its results.
                let c = unsafe { self.c.add(first * self.c_stride) };
                Self { rows: (self.rows - first).min(mr), a, c, ..*self }
            }
        }
    };
}

block!(F32GemmArgs);
block!(I8GemmArgs);

impl Block for BinGemmArgs {
    fn rows(&self) -> usize {
        self.rows
    }

    unsafe fn tile(&self, index: usize, mr: usize) -> Self {
        let first = index * mr;
        // SAFETY: the block has the tile, so its pointers, results and corrections.
        unsafe {
            let row_bias = match self.row_bias.is_null() || (*self.row_bias.add(first)).is_null() {
                true => std::ptr::null(),
                false => self.row_bias.add(first),
            };
            let (a, c) =
                (self.a.add(first * self.taps), self.c.wrapping_add(first * self.c_stride));
            // Null stays null: one of the two is.
            let sums = match self.sums.is_null() {
                true => self.sums,
                false => self.sums.add(first * self.c_stride),
            };
            Self { rows: (self.rows - first).min(mr), a, c, row_bias, sums, ..*self }
        }
    }
}

/// One entry of the registry. `A` is the family's argument structure.
#[derive(Debug)]
pub struct MicroKernel<A> {
    /// Says everything, as in `f32_gemm_6x16_avx2`.
    pub name: &'static str,
    /// What it needs.
    pub isa: Isa,
    /// Its tile; for depthwise kernels `nr` is the channel block, `mr` is 1, and `kr` taps are packed next to each other.
    pub tile: Tile,
    /// The code.
    ///
    /// # Safety
    /// The CPU has `isa`, and the arguments describe valid memory as their fields say.
    pub run: unsafe fn(&A),
}

/// fp32 tiles of matrix products and indirect convolutions.
pub type F32Gemm = MicroKernel<F32GemmArgs>;
/// 8-bit tiles.
pub type I8Gemm = MicroKernel<I8GemmArgs>;
/// One-bit tiles, and those of weights of -1, 0 and 1.
pub type BinGemm = MicroKernel<BinGemmArgs>;
/// Layers of few channels on bits, by table.
pub type BinTable = MicroKernel<BinTableArgs>;
/// fp32 depthwise rows.
pub type F32Depthwise = MicroKernel<F32DepthwiseArgs>;
/// 8-bit depthwise rows.
pub type I8Depthwise = MicroKernel<I8DepthwiseArgs>;
/// 8-bit depthwise rows whose results are bits.
pub type I8DepthwiseSigns = MicroKernel<I8DepthwiseSignsArgs>;
