//! One-bit tiles for 64-bit ARM whose vector lanes are columns, with weights of one bit or of -1, 0 and 1.

use std::arch::aarch64::{
    uint8x16_t, uint16x8_t, vaddq_s32, vaddw_high_u8, vaddw_u8, vdupq_n_s32, vdupq_n_u8,
    vdupq_n_u16, vget_low_u8, vget_low_u16, vmovl_high_u16, vmovl_u16, vreinterpretq_s32_u32,
    vshlq_n_s32,
};
use std::arch::asm;

use super::neon_output::{Plain, any, any_counts};
use crate::kernels::isa::Isa;
use crate::kernels::micro::{BinGemm, BinGemmArgs, MicroKernel, Tile, each_tile};

/// Four rows by 32 columns, eight channels at a time: a byte of a row in every lane against the same byte of 16 columns.
/// EOR, CNT and ADD count 128 products in three instructions, and nothing is ever summed across lanes: bytes grow to
/// 16 bits every 31 steps (31 * 8 = 248 still fits). Channels end at a byte, so layers of few of them waste little.
///
/// A step takes 24 + 2 for the bytes of rows (two DUP share a cycle) + 2 for weights = 28 cycles of a Cortex-A53 for 1024
/// products.
pub(crate) static GEMM_4X32: BinGemm = MicroKernel {
    name: "bin_gemm_4x32b_neon",
    isa: Isa::Neon,
    tile: Tile { mr: MR, nr: NR, kr: 1 },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, MR, gemm_4x32) },
};

/// As [`GEMM_4X32`], for weights of -1, 0 and 1: a mask more (AND), 38 cycles for 1024 products.
pub(crate) static TERNARY_4X32: BinGemm = MicroKernel {
    name: "ternary_gemm_4x32b_neon",
    isa: Isa::Neon,
    tile: Tile { mr: MR, nr: NR, kr: 1 },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, MR, ternary_4x32) },
};

const MR: usize = 4;
const NR: usize = Tile::BYTEWISE_COLUMNS;
/// Steps whose bit counts fit a byte.
const STEPS_PER_BYTE: usize = 31;
/// Steps whose bit counts fit 16 bits.
const STEPS_PER_HALF: usize = 8191;

type Bytes = [[uint8x16_t; 2]; MR];
type Halves = [[uint16x8_t; 4]; MR];

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn gemm_4x32(args: &BinGemmArgs) {
    // SAFETY: the caller vouches for `args`.
    unsafe { tile::<false, 9>(args) };
}

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn ternary_4x32(args: &BinGemmArgs) {
    // SAFETY: the caller vouches for `args`. Products count twice.
    unsafe { tile::<true, 10>(args) };
}

/// Where a tile's steps are: the next tap and byte, and the weights for them.
struct Place {
    tap: usize,
    byte: usize,
    w: *const u8,
}

/// A tile, whose weights are `MASKED` or not; what is counted takes `2^SHIFT` from accumulators.
///
/// # Safety
/// As [`MicroKernel::run`].
#[inline]
#[target_feature(enable = "neon")]
unsafe fn tile<const MASKED: bool, const SHIFT: i32>(args: &BinGemmArgs) {
    // SAFETY: the caller vouches for `args`: weights follow the biases.
    unsafe {
        let mut place = Place { tap: 0, byte: 0, w: args.w.cast::<u8>().add(4 * NR) };
        if args.taps * args.bytes > STEPS_PER_HALF {
            return many_steps::<MASKED, SHIFT>(args, &mut place);
        }
        let mut halves = [[vdupq_n_u16(0); 4]; MR];
        accumulate::<MASKED>(args, &mut place, &mut halves, STEPS_PER_HALF);
        let plain = Plain::suits(args) && args.rows == MR;
        // Written out, so that all sums stay in registers.
        group::<SHIFT, 0>(args, plain, &halves);
        group::<SHIFT, 1>(args, plain, &halves);
        group::<SHIFT, 2>(args, plain, &halves);
        group::<SHIFT, 3>(args, plain, &halves);
    }
}

/// Stores columns `8 * INDEX..8 * INDEX + 8`, as many as there are.
///
/// # Safety
/// As [`MicroKernel::run`].
#[inline]
#[target_feature(enable = "neon")]
unsafe fn group<const SHIFT: i32, const INDEX: usize>(
    args: &BinGemmArgs,
    plain: bool,
    [a, b, c, d]: &Halves,
) {
    let (column, counts) = (8 * INDEX, [a[INDEX], b[INDEX], c[INDEX], d[INDEX]]);
    // SAFETY: the caller vouches for `args`; only columns that it has are stored.
    unsafe {
        if plain && args.cols >= column + 8 {
            let to = args.c.add(column);
            Plain::new(args, column).store::<SHIFT>(args, 0, counts, to);
        } else if args.cols > column {
            any_counts::<SHIFT>(args, 0, column, counts);
        }
    }
}

/// As [`tile`], for sums beyond 16 bits.
///
/// # Safety
/// As [`MicroKernel::run`].
#[cold]
#[target_feature(enable = "neon")]
unsafe fn many_steps<const MASKED: bool, const SHIFT: i32>(args: &BinGemmArgs, place: &mut Place) {
    let mut counts = [[[vdupq_n_s32(0); 2]; NR / 8]; MR];
    // SAFETY: the caller vouches for `args`.
    unsafe {
        while place.tap < args.taps {
            let mut halves = [[vdupq_n_u16(0); 4]; MR];
            accumulate::<MASKED>(args, place, &mut halves, STEPS_PER_HALF);
            for (counts, &half) in counts.as_flattened_mut().iter_mut().zip(halves.as_flattened()) {
                let high = vreinterpretq_s32_u32(vmovl_high_u16(half));
                let low = vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(half)));
                *counts = [vaddq_s32(counts[0], low), vaddq_s32(counts[1], high)];
            }
        }
        for (group, column) in (0..args.cols).step_by(8).enumerate() {
            let rows = [counts[0][group], counts[1][group], counts[2][group], counts[3][group]];
            let taken = rows.map(|[a, b]| [vshlq_n_s32::<SHIFT>(a), vshlq_n_s32::<SHIFT>(b)]);
            any(args, 0, column, &taken);
        }
    }
}

/// Adds what is counted in at most `most` steps from `place` on.
///
/// # Safety
/// As [`tile`].
#[inline]
#[target_feature(enable = "neon")]
unsafe fn accumulate<const MASKED: bool>(
    args: &BinGemmArgs,
    place: &mut Place,
    halves: &mut Halves,
    mut most: usize,
) {
    let mut bytes: Bytes = [[vdupq_n_u8(0); 2]; MR];
    let mut room = STEPS_PER_BYTE;
    while place.tap < args.taps && most > 0 {
        let steps = (args.bytes - place.byte).min(room).min(most);
        // SAFETY: the caller vouches for `args`: `a` has taps * MR pointers to `bytes` bytes followed by readable
        // ones (SLACK), and `w` is a whole panel followed by 64 bytes.
        unsafe {
            let a = args.a.add(place.tap * MR);
            let row = |r: usize| (*a.add(r)).cast::<u8>().add(place.byte);
            let rows = [row(0), row(1), row(2), row(3)];
            if MASKED {
                count_masked(&mut bytes, rows, place.w, steps);
                place.w = place.w.add(2 * NR * steps);
            } else {
                count(&mut bytes, rows, place.w, steps);
                place.w = place.w.add(NR * steps);
            }
        }
        place.byte += steps;
        if place.byte == args.bytes {
            (place.tap, place.byte) = (place.tap + 1, 0);
        }
        (room, most) = (room - steps, most - steps);
        if room == 0 {
            widen(halves, &mut bytes);
            room = STEPS_PER_BYTE;
        }
    }
    widen(halves, &mut bytes);
}

/// Adds the byte counts to the sums, and clears them.
#[inline]
#[target_feature(enable = "neon")]
fn widen(halves: &mut Halves, bytes: &mut Bytes) {
    for (halves, bytes) in halves.iter_mut().zip(bytes) {
        for (halves, bytes) in halves.chunks_exact_mut(2).zip(bytes) {
            halves[0] = vaddw_u8(halves[0], vget_low_u8(*bytes));
            halves[1] = vaddw_high_u8(halves[1], *bytes);
            *bytes = vdupq_n_u8(0);
        }
    }
}

/// Adds the differing bits of `steps` bytes, at least one. v0-v7 are the sums, v8 and v9 the columns, v12-v15 the rows.
///
/// # Safety
/// `rows` point to so many bytes, `w` to so many of all columns; readable for 64 bytes more.
#[inline]
#[target_feature(enable = "neon")]
#[rustfmt::skip]
unsafe fn count(bytes: &mut Bytes, rows: [*const u8; MR], w: *const u8, steps: usize) {
    let [[a, b], [c, d], [e, f], [g, h]] = bytes;
    // SAFETY: the caller vouches for what is read; nothing is written.
    unsafe {
        asm!(
            "ldrb {b0:w}, [{r0}]", "ldrb {b1:w}, [{r1}]", "ldrb {b2:w}, [{r2}]", "ldrb {b3:w}, [{r3}]",
            "ldr d8, [{w}]", "ldr {x1}, [{w}, #8]", "ldr d9, [{w}, #16]", "ldr {x3}, [{w}, #24]",
            "dup v12.16b, {b0:w}", "dup v13.16b, {b1:w}", "mov v8.d[1], {x1}", "mov v9.d[1], {x3}",
            "2:",
            "eor v16.16b, v12.16b, v8.16b", "ldrb {b0:w}, [{r0}, #1]!",
            "eor v17.16b, v12.16b, v9.16b", "ldrb {b1:w}, [{r1}, #1]!",
            "eor v18.16b, v13.16b, v8.16b", "ldr {x0}, [{w}, #32]",
            "eor v19.16b, v13.16b, v9.16b", "ldr {x1}, [{w}, #40]",
            "dup v14.16b, {b2:w}", "dup v15.16b, {b3:w}",
            "cnt v16.16b, v16.16b", "ldr {x2}, [{w}, #48]",
            "cnt v17.16b, v17.16b", "ldr {x3}, [{w}, #56]",
            "cnt v18.16b, v18.16b", "ldrb {b2:w}, [{r2}, #1]!",
            "cnt v19.16b, v19.16b", "ldrb {b3:w}, [{r3}, #1]!",
            "add v0.16b, v0.16b, v16.16b", "add {w}, {w}, #32",
            "add v1.16b, v1.16b, v17.16b", "subs {steps}, {steps}, #1",
            "add v2.16b, v2.16b, v18.16b",
            "add v3.16b, v3.16b, v19.16b",
            "eor v16.16b, v14.16b, v8.16b",
            "eor v17.16b, v14.16b, v9.16b",
            "eor v18.16b, v15.16b, v8.16b",
            "eor v19.16b, v15.16b, v9.16b",
            "dup v12.16b, {b0:w}", "dup v13.16b, {b1:w}",
            "fmov d8, {x0}", "fmov d9, {x2}",
            "cnt v16.16b, v16.16b",
            "cnt v17.16b, v17.16b",
            "mov v8.d[1], {x1}", "mov v9.d[1], {x3}",
            "cnt v18.16b, v18.16b",
            "cnt v19.16b, v19.16b",
            "add v4.16b, v4.16b, v16.16b",
            "add v5.16b, v5.16b, v17.16b",
            "add v6.16b, v6.16b, v18.16b",
            "add v7.16b, v7.16b, v19.16b",
            "b.ne 2b",
            r0 = inout(reg) rows[0] => _, r1 = inout(reg) rows[1] => _,
            r2 = inout(reg) rows[2] => _, r3 = inout(reg) rows[3] => _,
            b0 = out(reg) _, b1 = out(reg) _, b2 = out(reg) _, b3 = out(reg) _,
            x0 = out(reg) _, x1 = out(reg) _, x2 = out(reg) _, x3 = out(reg) _,
            w = inout(reg) w => _, steps = inout(reg) steps => _,
            inout("v0") *a, inout("v1") *b, inout("v2") *c, inout("v3") *d,
            inout("v4") *e, inout("v5") *f, inout("v6") *g, inout("v7") *h,
            out("v8") _, out("v9") _, out("v12") _, out("v13") _,
            out("v14") _, out("v15") _, out("v16") _, out("v17") _, out("v18") _, out("v19") _,
            options(nostack, readonly),
        );
    }
}

/// As [`count`], of bits that the masks of the columns (v10 and v11) have set.
///
/// # Safety
/// As [`count`]; `w` has so many bytes of signs and as many of masks.
#[inline]
#[target_feature(enable = "neon")]
#[rustfmt::skip]
unsafe fn count_masked(bytes: &mut Bytes, rows: [*const u8; MR], w: *const u8, steps: usize) {
    let [[a, b], [c, d], [e, f], [g, h]] = bytes;
    // SAFETY: the caller vouches for what is read; nothing is written.
    unsafe {
        asm!(
            "ldrb {b0:w}, [{r0}]", "ldrb {b1:w}, [{r1}]", "ldrb {b2:w}, [{r2}]", "ldrb {b3:w}, [{r3}]",
            "ldr d8, [{w}]", "ldr {x1}, [{w}, #8]", "ldr d9, [{w}, #16]", "ldr {x3}, [{w}, #24]",
            "ldr d10, [{w}, #32]", "ldr {x0}, [{w}, #40]", "ldr d11, [{w}, #48]", "ldr {x2}, [{w}, #56]",
            "dup v12.16b, {b0:w}", "dup v13.16b, {b1:w}", "mov v8.d[1], {x1}", "mov v9.d[1], {x3}",
            "mov v10.d[1], {x0}", "mov v11.d[1], {x2}",
            "2:",
            "eor v16.16b, v12.16b, v8.16b", "ldrb {b0:w}, [{r0}, #1]!",
            "eor v17.16b, v12.16b, v9.16b", "ldrb {b1:w}, [{r1}, #1]!",
            "eor v18.16b, v13.16b, v8.16b", "ldr {x0}, [{w}, #64]",
            "eor v19.16b, v13.16b, v9.16b", "ldr {x1}, [{w}, #72]",
            "dup v14.16b, {b2:w}", "dup v15.16b, {b3:w}",
            "and v16.16b, v16.16b, v10.16b", "ldr {x2}, [{w}, #80]",
            "and v17.16b, v17.16b, v11.16b", "ldr {x3}, [{w}, #88]",
            "and v18.16b, v18.16b, v10.16b", "ldrb {b2:w}, [{r2}, #1]!",
            "and v19.16b, v19.16b, v11.16b", "ldrb {b3:w}, [{r3}, #1]!",
            "cnt v16.16b, v16.16b",
            "cnt v17.16b, v17.16b",
            "cnt v18.16b, v18.16b",
            "cnt v19.16b, v19.16b",
            "eor v20.16b, v14.16b, v8.16b", "subs {steps}, {steps}, #1",
            "eor v21.16b, v14.16b, v9.16b",
            "eor v22.16b, v15.16b, v8.16b",
            "eor v23.16b, v15.16b, v9.16b",
            "fmov d8, {x0}", "fmov d9, {x2}",
            "add v0.16b, v0.16b, v16.16b", "ldr {x0}, [{w}, #96]",
            "mov v8.d[1], {x1}", "mov v9.d[1], {x3}",
            "add v1.16b, v1.16b, v17.16b", "ldr {x1}, [{w}, #104]",
            "add v2.16b, v2.16b, v18.16b", "ldr {x2}, [{w}, #112]",
            "add v3.16b, v3.16b, v19.16b", "ldr {x3}, [{w}, #120]",
            "and v20.16b, v20.16b, v10.16b", "add {w}, {w}, #64",
            "and v21.16b, v21.16b, v11.16b",
            "and v22.16b, v22.16b, v10.16b",
            "and v23.16b, v23.16b, v11.16b",
            "dup v12.16b, {b0:w}", "dup v13.16b, {b1:w}",
            "fmov d10, {x0}", "fmov d11, {x2}",
            "cnt v20.16b, v20.16b",
            "cnt v21.16b, v21.16b",
            "mov v10.d[1], {x1}", "mov v11.d[1], {x3}",
            "cnt v22.16b, v22.16b",
            "cnt v23.16b, v23.16b",
            "add v4.16b, v4.16b, v20.16b",
            "add v5.16b, v5.16b, v21.16b",
            "add v6.16b, v6.16b, v22.16b",
            "add v7.16b, v7.16b, v23.16b",
            "b.ne 2b",
            r0 = inout(reg) rows[0] => _, r1 = inout(reg) rows[1] => _,
            r2 = inout(reg) rows[2] => _, r3 = inout(reg) rows[3] => _,
            b0 = out(reg) _, b1 = out(reg) _, b2 = out(reg) _, b3 = out(reg) _,
            x0 = out(reg) _, x1 = out(reg) _, x2 = out(reg) _, x3 = out(reg) _,
            w = inout(reg) w => _, steps = inout(reg) steps => _,
            inout("v0") *a, inout("v1") *b, inout("v2") *c, inout("v3") *d,
            inout("v4") *e, inout("v5") *f, inout("v6") *g, inout("v7") *h,
            out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _,
            out("v14") _, out("v15") _, out("v16") _, out("v17") _, out("v18") _, out("v19") _,
            out("v20") _, out("v21") _, out("v22") _, out("v23") _,
            options(nostack, readonly),
        );
    }
}
