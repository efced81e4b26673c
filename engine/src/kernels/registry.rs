//! The one list of micro-kernels. Selection, self-test, tests, benchmarks and table keys all read it.

use super::isa::{CpuFeatures, Isa};
use super::micro::{
    BinGemm, BinTable, F32Depthwise, F32Gemm, I8Depthwise, I8DepthwiseSigns, I8Gemm, MicroKernel,
    Tile,
};
use super::{bin_gemm, bin_table, f32_depthwise, f32_gemm, i4_gemm, i8_depthwise, i8_gemm};

/// Changes whenever a kernel computes something else or at another speed than before under the same name.
const REVISION: u32 = 22;

/// fp32 matrix-product tiles.
pub fn f32_gemm() -> &'static [&'static F32Gemm] {
    f32_gemm::KERNELS
}

/// 8-bit matrix-product tiles.
pub fn i8_gemm() -> &'static [&'static I8Gemm] {
    i8_gemm::KERNELS
}

/// Tiles of 8-bit activations and 4-bit weights.
pub fn i4_gemm() -> &'static [&'static I8Gemm] {
    i4_gemm::KERNELS
}

/// The same, where groups of 4-bit weights have multipliers.
pub fn i4_group_gemm() -> &'static [&'static I8Gemm] {
    i4_gemm::GROUPED
}

/// One-bit matrix-product tiles.
pub fn bin_gemm() -> &'static [&'static BinGemm] {
    bin_gemm::KERNELS
}

/// One-bit activations and weights of -1, 0 and 1.
pub fn ternary_gemm() -> &'static [&'static BinGemm] {
    bin_gemm::TERNARY
}

/// One-bit layers of few channels, by table.
pub fn bin_table() -> &'static [&'static BinTable] {
    bin_table::KERNELS
}

/// fp32 depthwise rows.
pub fn f32_depthwise() -> &'static [&'static F32Depthwise] {
    f32_depthwise::KERNELS
}

/// 8-bit depthwise rows.
pub fn i8_depthwise() -> &'static [&'static I8Depthwise] {
    i8_depthwise::KERNELS
}

/// 8-bit depthwise rows whose results are bits.
pub fn i8_depthwise_signs() -> &'static [&'static I8DepthwiseSigns] {
    i8_depthwise::SIGNS
}

/// Name and instruction set of every kernel of this build.
pub fn all() -> Vec<(&'static str, Isa)> {
    fn names<A>(kernels: &[&MicroKernel<A>]) -> Vec<(&'static str, Isa)> {
        kernels.iter().map(|kernel| (kernel.name, kernel.isa)).collect()
    }
    [
        names(f32_gemm()),
        names(i8_gemm()),
        names(i4_gemm()),
        names(i4_group_gemm()),
        names(bin_gemm()),
        names(ternary_gemm()),
        names(bin_table()),
        names(f32_depthwise()),
        names(i8_depthwise()),
        names(i8_depthwise_signs()),
    ]
    .concat()
}

/// Cycles of a Cortex-A53, by the estimator of `docs/performance.md`: of a step (that many channels of a whole tile, of bits
/// bytes of them, by that many columns), and of what comes before and after the steps of a tile. Kernels that are not listed
/// are compared by the operands they load.
struct Cycles {
    kernel: &'static str,
    channels: usize,
    columns: usize,
    step: usize,
    tile: usize,
}

const fn cycles(
    kernel: &'static str,
    [channels, columns]: [usize; 2],
    step: usize,
    tile: usize,
) -> Cycles {
    Cycles { kernel, channels, columns, step, tile }
}

const CYCLES: &[Cycles] = &[
    cycles("f32_gemm_10x8_neon", [1, 8], 25, 120),
    cycles("f32_gemm_1x16_neon", [1, 16], 10, 120),
    cycles("i8_gemm_8x8_neon", [1, 8], 16, 100),
    cycles("i8_gemm_1x8c32_neon", [32, 8], 72, 120),
    cycles("i4_gemm_4x4c16_neon", [16, 4], 43, 130),
    cycles("i4_gemm_1x8c16_neon", [16, 8], 31, 120),
    cycles("i4_group_gemm_4x4c32_neon", [32, 4], 106, 130),
    cycles("bin_gemm_8x64w2_neon", [8, 8], 106, 148),
    cycles("bin_gemm_4x32b_neon", [1, 32], 28, 600),
    cycles("ternary_gemm_4x32b_neon", [1, 32], 38, 620),
    cycles("f32_gemm_5x8_neon_v7", [1, 8], 16, 100),
    cycles("f32_gemm_1x16_neon_v7", [1, 16], 10, 120),
    cycles("i8_gemm_4x8_neon_v7", [1, 8], 10, 140),
    cycles("i8_gemm_1x8c16_neon_v7", [16, 8], 41, 120),
    cycles("i4_gemm_4x8c16_neon_v7", [16, 8], 96, 400),
];

/// What a matrix product or convolution has to compute.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Output pixels.
    pub rows: usize,
    /// Output channels.
    pub columns: usize,
    /// Taps of the window.
    pub taps: usize,
    /// Channels (bytes of them, where they are bits) per tap.
    pub depth: usize,
}

/// What `work` costs with `kernel`, compared with other kernels of the same instruction set.
fn cost<A>(kernel: &MicroKernel<A>, work: Work) -> usize {
    let Tile { mr, nr, kr } = kernel.tile;
    let listed = CYCLES.iter().find(|listed| listed.kernel == kernel.name);
    // Each channel of a tile takes mr + nr operands.
    let operands = cycles("", [kr, nr], kr * (mr + nr), 0);
    let &Cycles { channels, columns, step, tile, .. } = listed.unwrap_or(&operands);
    let tiles = work.rows.div_ceil(mr) * work.columns.div_ceil(columns);
    tiles * (work.taps * work.depth.div_ceil(channels) * step + tile)
}

/// The kernel for 4-bit weights, of [`i4_gemm`] or [`i4_group_gemm`], and whether it is one for 8-bit weights, which are then
/// unpacked beforehand: that is faster for layers of few channels, and where no kernel for 4 bits has the CPU's best
/// instruction set.
pub(crate) fn select_four_bits(
    kernels: &[&'static I8Gemm],
    features: &CpuFeatures,
    work: Work,
) -> (&'static I8Gemm, bool) {
    let (four, eight) = (select(kernels, features, work), select(i8_gemm(), features, work));
    let as_good = four.isa == eight.isa && cost(four, work) <= cost(eight, work);
    if as_good || features.prefers(four.name) { (four, false) } else { (eight, true) }
}

/// The kernel for weights of -1, 0 and 1, where one has the CPU's best instruction set; elsewhere they are the sum of two signs,
/// which [`bin_gemm`] adds up.
pub(crate) fn select_ternary(features: &CpuFeatures, work: Work) -> Option<&'static BinGemm> {
    let (ternary, bits) =
        (select(ternary_gemm(), features, work), select(bin_gemm(), features, work));
    (ternary.isa == bits.isa && !features.prefers(bits.name)).then_some(ternary)
}

/// The kernel for layers by table, where one has the CPU's best instruction set for bits; with it they are always faster.
pub(crate) fn select_table(features: &CpuFeatures, work: Work) -> Option<&'static BinTable> {
    let (table, bits) = (select(bin_table(), features, work), select(bin_gemm(), features, work));
    (table.isa == bits.isa && !features.prefers(bits.name)).then_some(table)
}

/// Whether the kernel for 8-bit weights takes less time where the products of four channels add up in 16 bits.
pub(crate) fn adds_fours(features: &CpuFeatures, work: Work) -> bool {
    let kernel = select(i8_gemm(), features, work);
    kernel.isa == Isa::Neon && kernel.tile.mr > 1
}

/// Whether the kernel for depthwise layers takes less time the more of their products add up in 16 bits.
pub(crate) fn adds_runs(features: &CpuFeatures, work: Work) -> bool {
    select(i8_depthwise(), features, work).isa == Isa::Neon
}

/// The kernel for depthwise layers whose results are bits, where one has the CPU's best instruction set for such of 8 bits.
pub(crate) fn select_depthwise_signs(
    features: &CpuFeatures,
    work: Work,
) -> Option<&'static I8DepthwiseSigns> {
    let signs = select(i8_depthwise_signs(), features, work);
    let bytes = select(i8_depthwise(), features, work);
    (signs.isa == bytes.isa && !features.prefers(bytes.name)).then_some(signs)
}

/// The kernel for `work`: of those that the CPU can run, one that an experiment asks for, else one of the best
/// instruction set, and of these the one whose tiles, whole or not, cost least.
///
/// A pure function of its arguments: what a board selects can be asked anywhere.
pub fn select<A>(
    kernels: &[&'static MicroKernel<A>],
    features: &CpuFeatures,
    work: Work,
) -> &'static MicroKernel<A> {
    let usable = kernels.iter().copied().filter(|kernel| features.has(kernel.isa));
    if let Some(preferred) = usable.clone().find(|kernel| features.prefers(kernel.name)) {
        return preferred;
    }
    let best = usable.clone().map(|kernel| kernel.isa).max();
    usable
        .filter(|kernel| Some(kernel.isa) == best)
        .min_by_key(|kernel| cost(kernel, work))
        .unwrap_or(kernels[0])
}

/// Identifies what is timed: the version, the revision of the kernels and their list. Part of the key of every
/// measurement.
pub fn engine_build() -> String {
    use sha2::{Digest, Sha256};
    let names: Vec<&str> = all().into_iter().map(|(name, _)| name).collect();
    let digest = Sha256::digest(format!("{REVISION}\n{}", names.join("\n")));
    let short: String = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{short}", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_family_has_a_portable_kernel() {
        let mut names: Vec<&str> = all().into_iter().map(|(name, _)| name).collect();
        let portable = all().iter().filter(|(_, isa)| *isa == Isa::Portable).count();
        assert_eq!(portable, 10);
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn selection_takes_the_best_instruction_set_and_the_tile_that_fits() {
        let work = |rows, columns| Work { rows, columns, taps: 1, depth: 8 };
        let portable = CpuFeatures::portable();
        assert_eq!(select(f32_gemm(), &portable, work(100, 100)).isa, Isa::Portable);
        let all: Vec<Isa> = all().into_iter().map(|(_, isa)| isa).collect();
        let features = CpuFeatures::imagined(all.clone());
        let kernel = select(f32_gemm(), &features, work(96, 64));
        let asked = features.clone().preferring([String::from("f32_gemm_4x8_portable")]);
        assert_eq!(select(f32_gemm(), &asked, work(96, 64)).isa, Isa::Portable);
        assert_eq!(Some(kernel.isa), f32_gemm().iter().map(|kernel| kernel.isa).max());
        if kernel.isa == Isa::Avx512 {
            assert_eq!(kernel.tile.nr, 32);
            assert_eq!(select(f32_gemm(), &features, work(96, 16)).tile.nr, 16);
            // A few wasted rows cost less than narrow tiles.
            assert_eq!(select(f32_gemm(), &features, work(28 * 28, 128)).tile.nr, 32);
            assert_eq!(select(f32_gemm(), &features, work(28 * 28, 48)).tile.nr, 16);
        }
    }

    #[test]
    #[cfg(target_arch = "aarch64")]
    fn families_without_kernels_for_the_best_instruction_set_take_the_next() {
        let work = |rows| Work { rows, columns: 64, taps: 1, depth: 64 };
        let cpu =
            |isas: &[Isa]| CpuFeatures::imagined([&[Isa::Portable, Isa::Neon], isas].concat());
        let kernels = |cpu: &CpuFeatures, rows| {
            [
                select(f32_gemm(), cpu, work(rows)).name,
                select(i8_gemm(), cpu, work(rows)).name,
                select_four_bits(i4_gemm(), cpu, work(rows)).0.name,
            ]
        };
        let a55 = cpu(&[Isa::NeonDotprod]);
        let a72 = cpu(&[Isa::NeonOoo]);
        let a76 = cpu(&[Isa::NeonOoo, Isa::NeonDotprod]);
        let dot = "i8_gemm_8x8c4_neon_dotprod";
        assert_eq!(kernels(&a55, 100), ["f32_gemm_10x8_neon", dot, dot]);
        assert_eq!(kernels(&a76, 100), ["f32_gemm_8x8_neon_ooo", dot, dot]);
        assert_eq!(kernels(&a76, 1), ["f32_gemm_1x32_neon_ooo", dot, "i4_gemm_4x8c8_neon_dotprod"]);
        let multiply = "i8_gemm_4x4c16_neon_ooo";
        assert_eq!(kernels(&a72, 100), ["f32_gemm_8x8_neon_ooo", multiply, multiply]);
    }
}
