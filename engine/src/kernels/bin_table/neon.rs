//! Layers by table for 64-bit ARM, scheduled for in-order cores.

use std::arch::aarch64::{uint8x16_t, vld1q_u8, vuzp1q_u8, vuzp2q_u8};
use std::arch::asm;

use crate::kernels::isa::Isa;
use crate::kernels::micro::{BinTable, BinTableArgs, MicroKernel, Tile};

/// Sixteen pixels as lanes, by four columns. A byte of a column goes to every lane (two DUP share a cycle) and meets that byte
/// of all pixels: EOR, CNT and ADD count it. TBX then turns a count into the result, where other tiles take some twelve
/// instructions for eight: so an output stage takes two or three cycles for sixteen results. What is left to do is to
/// exchange pixels and columns: 24 ZIP and sixteen stores for 128 results, half of which share cycles.
///
/// A result takes one cycle of a Cortex-A53 with 16 input channels, 1.5 with 32 and 2.8 with 64.
pub(crate) static TABLE_16X8: BinTable = MicroKernel {
    name: "bin_table_16x8_neon",
    isa: Isa::Neon,
    tile: Tile { mr: ROWS, nr: 8, kr: 1 },
    run: |args| {
        // SAFETY: the caller vouches for the CPU and `args`.
        unsafe { table(args) }
    },
};

const ROWS: usize = 16;
/// Columns of a pass of the loops.
const BLOCK: usize = 8;

/// Computes and stores so many blocks of columns of sixteen pixels, given by their bytes.
type Blocks<const BYTES: usize> = unsafe fn(&[uint8x16_t; BYTES], Place, usize);

/// Where columns start.
#[derive(Clone, Copy)]
struct Place {
    signs: *const u8,
    tables: *const u8,
    c: *mut i8,
    stride: usize,
}

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn table(args: &BinTableArgs) {
    // SAFETY: the caller vouches for `args`.
    unsafe {
        match (args.bytes, args.masked) {
            (2, false) => tiles(args, bits_2),
            (3, false) => tiles(args, bits_3),
            (4, false) => tiles(args, bits_4),
            (6, false) => tiles(args, bits_6),
            (_, false) => tiles(args, bits_8),
            (2, true) => tiles(args, masked_2),
            (3, true) => tiles(args, masked_3),
            (4, true) => tiles(args, masked_4),
            (6, true) => tiles(args, masked_6),
            (_, true) => tiles(args, masked_8),
        }
    }
}

/// # Safety
/// As [`MicroKernel::run`]; `blocks` is for as many bytes and masks as `args` has.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn tiles<const BYTES: usize>(args: &BinTableArgs, blocks: Blocks<BYTES>) {
    let BinTableArgs { rows, cols, a, signs, tables, c, c_stride, .. } = *args;
    // SAFETY: the caller vouches for pixels, columns and results. Whole tiles are read and stored, but for the last pixels,
    // which are read from and stored to memory of their own, and for the last columns, which are stored there.
    unsafe {
        for first in (0..rows).step_by(ROWS) {
            let count = (rows - first).min(ROWS);
            let mut pixels = [0_u64; ROWS];
            let from = a.add(first);
            let from = match count {
                ROWS => from,
                _ => {
                    std::ptr::copy_nonoverlapping(from, pixels.as_mut_ptr(), count);
                    pixels.as_ptr()
                }
            };
            let (x, to) = (bytes_of::<BYTES>(from), c.add(first * c_stride));
            let whole = if count == ROWS { cols / BLOCK } else { 0 };
            let place = Place { signs, tables, c: to, stride: c_stride };
            if whole > 0 {
                blocks(&x, place, whole);
            }
            for block in whole..cols.div_ceil(BLOCK) {
                let mut results = [0_i8; ROWS * BLOCK];
                let signs = signs.add(block * args.sign_bytes(BLOCK));
                let tables = tables.add(block * args.table_bytes(BLOCK));
                blocks(&x, Place { signs, tables, c: results.as_mut_ptr(), stride: BLOCK }, 1);
                let columns = (cols - block * BLOCK).min(BLOCK);
                for (r, row) in results.as_chunks::<BLOCK>().0.iter().enumerate().take(count) {
                    let to = to.add(r * c_stride + block * BLOCK);
                    std::ptr::copy_nonoverlapping(row.as_ptr(), to, columns);
                }
            }
        }
    }
}

/// The first bytes of sixteen words, a vector of sixteen for each.
///
/// # Safety
/// There are sixteen words.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn bytes_of<const BYTES: usize>(words: *const u64) -> [uint8x16_t; BYTES] {
    // SAFETY: the caller vouches for the words.
    let pairs: [uint8x16_t; 8] =
        std::array::from_fn(|i| unsafe { vld1q_u8(words.add(2 * i).cast()) });
    let [a, b, c, d, e, f, g, h] = pairs;
    let halves = |a, b| [vuzp1q_u8(a, b), vuzp2q_u8(a, b)];
    // Bytes 0, 2, 4 and 6 of four words, and 1, 3, 5 and 7; then half as many of eight words, and one of sixteen.
    let ([e0, o0], [e1, o1]) = (halves(a, b), halves(c, d));
    let ([e2, o2], [e3, o3]) = (halves(e, f), halves(g, h));
    let quarters = |a, b, c, d| {
        let ([a, b], [c, d]) = (halves(a, b), halves(c, d));
        let ([first, third], [second, fourth]) = (halves(a, c), halves(b, d));
        [first, second, third, fourth]
    };
    let (even, odd) = (quarters(e0, e1, e2, e3), quarters(o0, o1, o2, o3));
    std::array::from_fn(|byte| if byte % 2 == 0 { even[byte / 2] } else { odd[byte / 2] })
}

/// A byte of four columns against that of all pixels: v20 to v23 are where they differ. Loads the next four bytes of columns.
macro_rules! differ {
    ($x:literal, signs) => {
        concat!(
            "dup v24.16b, {b0:w}\ndup v25.16b, {b1:w}\ndup v26.16b, {b2:w}\ndup v27.16b, {b3:w}\n",
            "eor v20.16b, ",
            $x,
            ".16b, v24.16b\nldrb {b0:w}, [{signs}, #4]\neor v21.16b, ",
            $x,
            ".16b, v25.16b\nldrb {b1:w}, [{signs}, #5]\neor v22.16b, ",
            $x,
            ".16b, v26.16b\nldrb {b2:w}, [{signs}, #6]\neor v23.16b, ",
            $x,
            ".16b, v27.16b\nldrb {b3:w}, [{signs}, #7]\nadd {signs}, {signs}, #4\n",
        )
    };
    ($x:literal, masks) => {
        concat!(
            differ!($x, signs),
            "dup v28.16b, {b0:w}\ndup v29.16b, {b1:w}\ndup v30.16b, {b2:w}\ndup v31.16b, {b3:w}\n",
            "and v20.16b, v20.16b, v28.16b\nldrb {b0:w}, [{signs}, #4]\n",
            "and v21.16b, v21.16b, v29.16b\nldrb {b1:w}, [{signs}, #5]\n",
            "and v22.16b, v22.16b, v30.16b\nldrb {b2:w}, [{signs}, #6]\n",
            "and v23.16b, v23.16b, v31.16b\nldrb {b3:w}, [{signs}, #7]\nadd {signs}, {signs}, #4\n",
        )
    };
}

/// The first byte: v16 to v19 are the counts.
macro_rules! first {
    ($masks:ident) => {
        concat!(
            differ!("v0", $masks),
            "cnt v16.16b, v20.16b\ncnt v17.16b, v21.16b\ncnt v18.16b, v22.16b\ncnt v19.16b, v23.16b\n",
        )
    };
}

/// One more byte, which is not the last.
macro_rules! more {
    ($x:literal, $masks:ident) => {
        concat!(
            differ!($x, $masks),
            "cnt v20.16b, v20.16b\ncnt v21.16b, v21.16b\ncnt v22.16b, v22.16b\ncnt v23.16b, v23.16b\n",
            "add v16.16b, v16.16b, v20.16b\nadd v17.16b, v17.16b, v21.16b\n",
            "add v18.16b, v18.16b, v22.16b\nadd v19.16b, v19.16b, v23.16b\n",
        )
    };
}

/// Sixteen bytes of a table: half by way of `$t`, whose load shares a cycle with `$beside`, for a move to come.
macro_rules! load {
    ($beside:literal, $v:literal, $t:literal, $at:literal) => {
        concat!(
            $beside,
            "\nldr {",
            $t,
            "}, [{tables}, #",
            $at,
            "+8]\nldr d",
            $v,
            ", [{tables}, #",
            $at,
            "]\n"
        )
    };
}

/// The other half, three loads later.
macro_rules! join {
    ($v:literal, $t:literal) => {
        concat!("mov v", $v, ".d[1], {", $t, "}\n")
    };
}

/// What counts beyond a table become, in the registers of the results, and the first bytes of the next columns.
macro_rules! results {
    ($a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            "dup ",
            $a,
            ".16b, {b0:w}\ndup ",
            $b,
            ".16b, {b1:w}\ndup ",
            $c,
            ".16b, {b2:w}\ndup ",
            $d,
            ".16b, {b3:w}\n",
            "ldrb {b0:w}, [{signs}, #4]\nldrb {b1:w}, [{signs}, #5]\n",
            "ldrb {b2:w}, [{signs}, #6]\nldrb {b3:w}, [{signs}, #7]\nadd {signs}, {signs}, #4\n",
        )
    };
}

/// The counts of the last byte, beside which the first 128 bytes of tables are loaded; the last two vectors are yet to be joined.
macro_rules! count_and_load {
    () => {
        concat!(
            load!("cnt v20.16b, v20.16b", "24", "t0", "0"),
            load!("cnt v21.16b, v21.16b", "25", "t1", "16"),
            load!("cnt v22.16b, v22.16b", "26", "t2", "32"),
            join!("24", "t0"),
            load!("cnt v23.16b, v23.16b", "27", "t3", "48"),
            join!("25", "t1"),
            load!("add v16.16b, v16.16b, v20.16b", "28", "t0", "64"),
            join!("26", "t2"),
            load!("add v17.16b, v17.16b, v21.16b", "29", "t1", "80"),
            join!("27", "t3"),
            load!("add v18.16b, v18.16b, v22.16b", "30", "t2", "96"),
            join!("28", "t0"),
            load!("add v19.16b, v19.16b, v23.16b", "31", "t3", "112"),
            join!("29", "t1"),
        )
    };
}

/// The counts of the last byte, and the results of four columns by tables of 16 to 64 entries.
macro_rules! look_up {
    (16: $name:literal $a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            load!("cnt v20.16b, v20.16b", "24", "t0", "0"),
            load!("cnt v21.16b, v21.16b", "25", "t1", "16"),
            load!("cnt v22.16b, v22.16b", "26", "t2", "32"),
            join!("24", "t0"),
            load!("cnt v23.16b, v23.16b", "27", "t3", "48"),
            join!("25", "t1"),
            "add v16.16b, v16.16b, v20.16b\nadd v17.16b, v17.16b, v21.16b\n",
            "add v18.16b, v18.16b, v22.16b\n",
            join!("26", "t2"),
            join!("27", "t3"),
            "add v19.16b, v19.16b, v23.16b\nadd {tables}, {tables}, #64\n",
            results!($a, $b, $c, $d),
            $name,
            $a,
            ".16b, {{v24.16b}}, v16.16b\n",
            $name,
            $b,
            ".16b, {{v25.16b}}, v17.16b\n",
            $name,
            $c,
            ".16b, {{v26.16b}}, v18.16b\n",
            $name,
            $d,
            ".16b, {{v27.16b}}, v19.16b\n",
        )
    };
    (32: $name:literal $a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            count_and_load!(),
            "add {tables}, {tables}, #128\n",
            results!($a, $b, $c, $d),
            join!("30", "t2"),
            join!("31", "t3"),
            $name,
            $a,
            ".16b, {{v24.16b, v25.16b}}, v16.16b\n",
            $name,
            $b,
            ".16b, {{v26.16b, v27.16b}}, v17.16b\n",
            $name,
            $c,
            ".16b, {{v28.16b, v29.16b}}, v18.16b\n",
            $name,
            $d,
            ".16b, {{v30.16b, v31.16b}}, v19.16b\n",
        )
    };
    (48: $name:literal $a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            load!("cnt v20.16b, v20.16b", "24", "t0", "0"),
            load!("cnt v21.16b, v21.16b", "25", "t1", "16"),
            load!("cnt v22.16b, v22.16b", "26", "t2", "32"),
            join!("24", "t0"),
            load!("cnt v23.16b, v23.16b", "28", "t3", "48"),
            join!("25", "t1"),
            load!("add v16.16b, v16.16b, v20.16b", "29", "t0", "64"),
            join!("26", "t2"),
            load!("add v17.16b, v17.16b, v21.16b", "30", "t1", "80"),
            join!("28", "t3"),
            "add v18.16b, v18.16b, v22.16b\n",
            join!("29", "t0"),
            "add v19.16b, v19.16b, v23.16b\n",
            join!("30", "t1"),
            results!($a, $b, $c, $d),
            $name,
            $a,
            ".16b, {{v24.16b, v25.16b, v26.16b}}, v16.16b\n",
            load!("", "20", "t0", "96"),
            load!("", "21", "t1", "112"),
            load!("", "22", "t2", "128"),
            join!("20", "t0"),
            load!("", "24", "t3", "144"),
            join!("21", "t1"),
            load!("", "25", "t0", "160"),
            join!("22", "t2"),
            load!("", "26", "t1", "176"),
            join!("24", "t3"),
            $name,
            $b,
            ".16b, {{v28.16b, v29.16b, v30.16b}}, v17.16b\nadd {tables}, {tables}, #192\n",
            join!("25", "t0"),
            join!("26", "t1"),
            $name,
            $c,
            ".16b, {{v20.16b, v21.16b, v22.16b}}, v18.16b\n",
            $name,
            $d,
            ".16b, {{v24.16b, v25.16b, v26.16b}}, v19.16b\n",
        )
    };
    (64: $name:literal $a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            count_and_load!(),
            results!($a, $b, $c, $d),
            join!("30", "t2"),
            join!("31", "t3"),
            $name,
            $a,
            ".16b, {{v24.16b, v25.16b, v26.16b, v27.16b}}, v16.16b\n",
            load!("", "20", "t0", "128"),
            load!("", "21", "t1", "144"),
            load!("", "22", "t2", "160"),
            join!("20", "t0"),
            load!("", "23", "t3", "176"),
            join!("21", "t1"),
            load!("", "24", "t0", "192"),
            join!("22", "t2"),
            load!("", "25", "t1", "208"),
            join!("23", "t3"),
            load!("", "26", "t2", "224"),
            join!("24", "t0"),
            load!("", "27", "t3", "240"),
            join!("25", "t1"),
            $name,
            $b,
            ".16b, {{v28.16b, v29.16b, v30.16b, v31.16b}}, v17.16b\nadd {tables}, {tables}, #256\n",
            join!("26", "t2"),
            join!("27", "t3"),
            $name,
            $c,
            ".16b, {{v20.16b, v21.16b, v22.16b, v23.16b}}, v18.16b\n",
            $name,
            $d,
            ".16b, {{v24.16b, v25.16b, v26.16b, v27.16b}}, v19.16b\n",
        )
    };
}

/// Exchanges the eight columns v8 to v15 with the sixteen pixels, and stores these. Rows are stored beside the ZIP of later
/// ones, where there are such.
macro_rules! exchange {
    () => {
        concat!(
            "zip1 v16.16b, v8.16b, v12.16b\nzip1 v17.16b, v9.16b, v13.16b\n",
            "zip1 v18.16b, v10.16b, v14.16b\nzip1 v19.16b, v11.16b, v15.16b\n",
            "zip2 v20.16b, v8.16b, v12.16b\nzip2 v21.16b, v9.16b, v13.16b\n",
            "zip2 v22.16b, v10.16b, v14.16b\nzip2 v23.16b, v11.16b, v15.16b\n",
            "zip1 v24.16b, v16.16b, v18.16b\nzip1 v25.16b, v17.16b, v19.16b\n",
            "zip2 v26.16b, v16.16b, v18.16b\nzip2 v27.16b, v17.16b, v19.16b\n",
            "zip1 v28.16b, v24.16b, v25.16b\nzip2 v29.16b, v24.16b, v25.16b\n",
            "zip1 v30.16b, v26.16b, v27.16b\nzip2 v31.16b, v26.16b, v27.16b\n",
            "zip1 v16.16b, v20.16b, v22.16b\nst1 {{v28.d}}[0], [{p0}], {step}\n",
            "zip1 v17.16b, v21.16b, v23.16b\nst1 {{v28.d}}[1], [{p1}], {step}\n",
            "zip2 v18.16b, v20.16b, v22.16b\nst1 {{v29.d}}[0], [{p2}], {step}\n",
            "zip2 v19.16b, v21.16b, v23.16b\nst1 {{v29.d}}[1], [{p3}], {step}\n",
            "zip1 v20.16b, v16.16b, v17.16b\nst1 {{v30.d}}[0], [{p0}], {step}\n",
            "zip2 v21.16b, v16.16b, v17.16b\nst1 {{v30.d}}[1], [{p1}], {step}\n",
            "zip1 v22.16b, v18.16b, v19.16b\nst1 {{v31.d}}[0], [{p2}], {step}\n",
            "zip2 v23.16b, v18.16b, v19.16b\nst1 {{v31.d}}[1], [{p3}], {step}\n",
            "st1 {{v20.d}}[0], [{p0}], {step}\nst1 {{v20.d}}[1], [{p1}], {step}\n",
            "st1 {{v21.d}}[0], [{p2}], {step}\nst1 {{v21.d}}[1], [{p3}], {step}\n",
            "st1 {{v22.d}}[0], [{p0}], {back}\nst1 {{v22.d}}[1], [{p1}], {back}\n",
            "st1 {{v23.d}}[0], [{p2}], {back}\nst1 {{v23.d}}[1], [{p3}], {back}\n",
        )
    };
}

/// All bytes of four columns but the counts of the last.
macro_rules! planes {
    ($masks:ident, [$($x:literal)*] $last:literal) => {
        concat!(first!($masks), $(more!($x, $masks),)* differ!($last, $masks))
    };
}

/// A function without masks and one with them, for so many bytes: twice four columns, by tables of `$entries`.
macro_rules! blocks {
    ($bits:ident, $masked:ident, $bytes:literal, [$($x:tt)*] $last:tt, $entries:tt $name:literal) => {
        blocks! { $bits, $bytes, signs, [$($x)*] $last, $entries $name }
        blocks! { $masked, $bytes, masks, [$($x)*] $last, $entries $name }
    };
    ($function:ident, $bytes:literal, $masks:ident, [$($x:tt)*] $last:tt, $entries:tt $name:literal) => {
        /// # Safety
        /// As [`Blocks`]: signs, tables and rows of results are there for so many blocks, at least one.
        #[target_feature(enable = "neon")]
        #[rustfmt::skip]
        unsafe fn $function(x: &[uint8x16_t; $bytes], place: Place, blocks: usize) {
            let Place { signs, tables, c, stride } = place;
            let row = |r: usize| c.wrapping_add(r * stride);
            let x = |byte: usize| x[byte.min($bytes - 1)];
            // SAFETY: the caller vouches for what is read and written. The first bytes of columns behind the last are read
            // too, for which signs have room.
            unsafe {
                asm!(
                    "ldrb {b0:w}, [{signs}]", "ldrb {b1:w}, [{signs}, #1]",
                    "ldrb {b2:w}, [{signs}, #2]", "ldrb {b3:w}, [{signs}, #3]",
                    "2:",
                    planes!($masks, [$($x)*] $last), look_up!($entries: $name "v8", "v9", "v10", "v11"),
                    planes!($masks, [$($x)*] $last), look_up!($entries: $name "v12", "v13", "v14", "v15"),
                    exchange!(),
                    "subs {blocks}, {blocks}, #1", "b.ne 2b",
                    signs = inout(reg) signs => _, tables = inout(reg) tables => _, blocks = inout(reg) blocks => _,
                    p0 = inout(reg) c => _, p1 = inout(reg) row(1) => _,
                    p2 = inout(reg) row(2) => _, p3 = inout(reg) row(3) => _,
                    step = in(reg) 4 * stride, back = in(reg) BLOCK.wrapping_sub(12 * stride),
                    b0 = out(reg) _, b1 = out(reg) _, b2 = out(reg) _, b3 = out(reg) _,
                    t0 = out(reg) _, t1 = out(reg) _, t2 = out(reg) _, t3 = out(reg) _,
                    in("v0") x(0), in("v1") x(1), in("v2") x(2), in("v3") x(3),
                    in("v4") x(4), in("v5") x(5), in("v6") x(6), in("v7") x(7),
                    out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _,
                    out("v14") _, out("v15") _, out("v16") _, out("v17") _, out("v18") _, out("v19") _,
                    out("v20") _, out("v21") _, out("v22") _, out("v23") _, out("v24") _, out("v25") _,
                    out("v26") _, out("v27") _, out("v28") _, out("v29") _, out("v30") _, out("v31") _,
                    options(nostack),
                );
            }
        }
    };
}

// Of 24 channels no count is beyond the table.
blocks! { bits_2, masked_2, 2, [] "v1", 16 "tbx " }
blocks! { bits_3, masked_3, 3, ["v1"] "v2", 32 "tbl " }
blocks! { bits_4, masked_4, 4, ["v1" "v2"] "v3", 32 "tbx " }
blocks! { bits_6, masked_6, 6, ["v1" "v2" "v3" "v4"] "v5", 48 "tbx " }
blocks! { bits_8, masked_8, 8, ["v1" "v2" "v3" "v4" "v5" "v6"] "v7", 64 "tbx " }
