//! Depthwise convolutions.

use std::ops::Range;

use half::f16;

use super::geometry::{ConvShape, Geometry};
use super::scratch::pointers;
use super::widen::{FloatPanels, HalfPanels};
use super::{Operator, Scratch, SharedRows, elements, elements_mut};
use crate::Pool;
use crate::kernels::fp16;
use crate::kernels::isa::CpuFeatures;
use crate::kernels::micro::{
    F32Depthwise, F32DepthwiseArgs, I8Depthwise, I8DepthwiseArgs, SLACK, Taps,
};
use crate::kernels::pack::{self, Panels};
use crate::kernels::registry;
use crate::kernels::requant::RequantParams;

/// Fewest products worth a task.
const LEAST_PRODUCTS: usize = 1 << 14;

/// Which pixels the rows of a depthwise convolution read.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) geometry: Geometry,
    /// Where the pixels of a table of pointers begin in their row; anything for padding.
    offsets: Vec<usize>,
    /// The entries that are not padding, in runs.
    inside: Vec<Range<usize>>,
    pub(super) step: usize,
    /// Elements of a row of the input that is made when it is needed, and of a row of results to be stored in another way.
    made: [usize; 2],
}

/// The input of a depthwise convolution.
pub(super) enum Input<'a, T> {
    /// All of it.
    Stored(&'a [T]),
    /// What writes the row whose first pixel it is given. Only as many rows as the window has are kept.
    Made(&'a (dyn Fn(usize, &mut [T]) + Sync)),
}

impl Rows {
    pub(super) fn new(shape: &ConvShape) -> Self {
        let geometry = Geometry::new(shape);
        let (columns, step) = geometry.column_table();
        let offsets = columns.iter().map(|column| column.unwrap_or(0) * shape.in_c).collect();
        let mut inside: Vec<Range<usize>> = Vec::new();
        for (entry, _) in columns.iter().enumerate().filter(|(_, column)| column.is_some()) {
            match inside.last_mut() {
                Some(run) if run.end == entry => run.end += 1,
                _ => inside.push(entry..entry + 1),
            }
        }
        Self { geometry, offsets, inside, step, made: [0; 2] }
    }

    /// For input that is made row by row, as are results.
    fn making_rows(self) -> Self {
        let shape = self.geometry.shape();
        let made = [shape.in_w * shape.in_c + SLACK / 4, shape.out_w * shape.in_c];
        Self { made, ..self }
    }

    /// Bytes of scratch memory for the tables of a task, and for rows of elements of type `T` that are made.
    fn task_bytes<T>(&self) -> usize {
        let height = self.geometry.shape().window.kernel[0];
        // A table for each row of the window and one of padding; what they hold; which of them an output row takes.
        let tables = (height + 1) * self.offsets.len();
        let [row, results] = self.made;
        (tables + height + height + 1) * size_of::<*const ()>()
            + (height * row + results) * size_of::<T>()
    }

    /// Bytes of scratch memory for so many threads and an input of elements of type `T`.
    pub(super) fn scratch_bytes<T>(&self, threads: usize) -> usize {
        Scratch::bytes_per_task(threads, self.task_bytes::<T>())
    }

    /// Calls `call` with every row of `output`, its taps, and room for a row of results if rows are made.
    pub(super) fn run<T: bytemuck::Pod + Sync, O: Send>(
        &self,
        input: &Input<'_, T>,
        padding: &[T],
        output: &mut [O],
        mut scratch: Scratch<'_>,
        pool: &dyn Pool,
        call: impl Fn(Taps<T>, &mut [O], &mut [T]) + Sync,
    ) {
        let shape = self.geometry.shape();
        let rows = shape.batch * shape.out_h;
        let row = output.len() / rows;
        let products = shape.out_w * shape.in_c * shape.taps();
        let least = LEAST_PRODUCTS.div_ceil(products.max(1));
        let output = SharedRows::new(output, row);
        let parts = scratch.per_task(pool, self.task_bytes::<T>());
        parts.split(pool, rows, least, |first, end, scratch| {
            // SAFETY: each row belongs to one task.
            let output = unsafe { output.rows(first, end) };
            let (mut tables, results) = Tables::new(self, input, padding, scratch);
            let outside = tables.outside.as_ptr();
            for (index, output) in output.chunks_exact_mut(row).enumerate() {
                let rows = tables.of_row(first + index);
                let taps = Taps {
                    rows: rows.as_ptr(),
                    kernel: shape.window.kernel,
                    step: self.step,
                    outside,
                };
                call(taps, output, results);
            }
        });
    }
}

/// Tables of pointers to the pixels of input rows, each made once while output rows go by.
struct Tables<'a, T> {
    rows: &'a Rows,
    input: &'a Input<'a, T>,
    /// All of it padding.
    outside: &'a [*const T],
    /// As many tables as the window has rows.
    tables: &'a mut [*const T],
    /// The first pixel of the input row that each table is of, or `NONE`.
    known: &'a mut [usize],
    /// The tables of an output row.
    chosen: &'a mut [*const *const T],
    /// The row that each table is of, where rows are made.
    made: &'a mut [T],
}

/// No pixel.
const NONE: usize = usize::MAX;

impl<'a, T: bytemuck::Pod> Tables<'a, T> {
    /// Tables in `scratch`, and room for a row of results.
    fn new(
        rows: &'a Rows,
        input: &'a Input<'a, T>,
        padding: &'a [T],
        scratch: &'a mut [u8],
    ) -> (Self, &'a mut [T]) {
        let [height, _] = rows.geometry.shape().window.kernel;
        let (outside, rest) = pointers(scratch, rows.offsets.len(), padding.as_ptr());
        let (tables, rest) = pointers(rest, height * rows.offsets.len(), padding.as_ptr());
        let (chosen, rest) = pointers(rest, height + 1, outside.as_ptr());
        let (known, rest) = rest.split_at_mut(height * size_of::<usize>());
        let known: &mut [usize] = bytemuck::cast_slice_mut(known);
        known.fill(NONE);
        let all = height * rows.made[0] + rows.made[1];
        let made: &mut [T] = bytemuck::cast_slice_mut(&mut rest[..all * size_of::<T>()]);
        let (made, results) = made.split_at_mut(height * rows.made[0]);
        (Self { rows, input, outside, tables, known, chosen, made }, results)
    }

    /// The first element of the input row from pixel `first` on, for table `table`.
    fn row(&mut self, first: usize, table: usize) -> *const T {
        let shape = self.rows.geometry.shape();
        match self.input {
            Input::Stored(input) => input[first * shape.in_c..].as_ptr(),
            Input::Made(make) => {
                let row = &mut self.made[table * self.rows.made[0]..][..self.rows.made[0]];
                make(first, &mut row[..shape.in_w * shape.in_c]);
                row.as_ptr()
            }
        }
    }

    fn of_row(&mut self, row: usize) -> &[*const *const T] {
        let rows = self.rows;
        let height = rows.geometry.shape().window.kernel[0];
        let base = |tap: usize| rows.geometry.source_row(row, tap);
        for tap in 0..height {
            let Some(first) = base(tap) else {
                self.chosen[tap] = self.outside.as_ptr();
                continue;
            };
            let table = self.known.iter().position(|&known| known == first).unwrap_or_else(|| {
                // Rows of a window differ, so a table of another output row is free.
                let needed = |&known: &usize| (0..height).any(|tap| base(tap) == Some(known));
                let free = self.known.iter().position(|known| !needed(known)).unwrap_or(0);
                self.known[free] = first;
                let first = self.row(first, free);
                let table = self.tables.chunks_exact_mut(rows.offsets.len()).nth(free);
                let table = table.unwrap_or_default();
                for run in &rows.inside {
                    let offsets = &rows.offsets[run.clone()];
                    for (pointer, &offset) in table[run.clone()].iter_mut().zip(offsets) {
                        *pointer = first.wrapping_add(offset);
                    }
                }
                free
            });
            self.chosen[tap] = self.tables[table * rows.offsets.len()..].as_ptr();
        }
        // The last one once more: kernels read ahead.
        self.chosen[height] = self.chosen[height - 1];
        self.chosen
    }
}

/// fp32 arithmetic on fp32 or fp16 operands.
#[derive(Debug)]
pub struct F32DepthwiseConv {
    rows: Rows,
    kernel: &'static F32Depthwise,
    weights: FloatPanels,
    slopes: Option<Vec<f32>>,
    bounds: (f32, f32),
    /// A pixel of zeros.
    padding: Vec<f32>,
    /// Whether padding changes no sum.
    neutral_padding: bool,
}

impl F32DepthwiseConv {
    /// Weights `[taps, channels]`, biases and PReLU slopes `[channels]`; results are kept within `bounds`. With `half`
    /// inputs, outputs and weights are stored as fp16.
    pub fn new(
        cpu: &CpuFeatures,
        shape: &ConvShape,
        weights: &[f32],
        bias: &[f32],
        slopes: Option<&[f32]>,
        bounds: (f32, f32),
        half: bool,
    ) -> Self {
        assert_eq!(bias.len(), shape.in_c, "a bias per channel");
        assert!(slopes.is_none_or(|slopes| slopes.len() == shape.in_c), "a slope per channel");
        let kernel = registry::select(registry::f32_depthwise(), cpu, shape.work(shape.in_c, 1));
        // Products of padding change no sum, but for a bias of -0 and weights that are not finite.
        let bias: Vec<f32> = bias.iter().map(|&bias| bias + 0.0).collect();
        let neutral_padding = !half && weights.iter().all(|weight| weight.is_finite());
        let packed = pack::f32_depthwise(kernel.tile, weights, &bias, shape.taps());
        let columns = shape.in_c.next_multiple_of(kernel.tile.nr);
        let slopes = slopes.map(|slopes| pack::padded(slopes, columns));
        let weights = if half {
            let nr = kernel.tile.nr;
            let stride = nr * (1 + shape.taps());
            let blocks = &packed.panel(0)[..stride * shape.in_c.div_ceil(nr)];
            FloatPanels::F16(HalfPanels::new(blocks, nr, stride))
        } else {
            FloatPanels::F32(packed)
        };
        let padding = vec![0.0; shape.in_c + SLACK / 4];
        let rows = if half { Rows::new(shape).making_rows() } else { Rows::new(shape) };
        Self { rows, kernel, weights, slopes, bounds, padding, neutral_padding }
    }

    /// Computes a row of results.
    ///
    /// # Safety
    /// The pixels of `taps` are readable for SLACK bytes past their channels.
    unsafe fn row(&self, taps: Taps<f32>, weights: &[f32], output: &mut [f32]) {
        let shape = self.rows.geometry.shape();
        assert_eq!(output.len(), shape.out_w * shape.in_c);
        let outside = if self.neutral_padding { taps.outside } else { std::ptr::null() };
        let args = F32DepthwiseArgs {
            pixels: shape.out_w,
            channels: shape.in_c,
            taps: Taps { outside, ..taps },
            w: weights.as_ptr(),
            c: output.as_mut_ptr(),
            c_stride: shape.in_c,
            min: self.bounds.0,
            max: self.bounds.1,
            slopes: self.slopes.as_ref().map_or(std::ptr::null(), |s| s.as_ptr()),
        };
        // SAFETY: selection gave a kernel of this CPU; the caller vouches for the pixels, and `output` is a whole row.
        unsafe { (self.kernel.run)(&args) };
    }
}

impl Operator for F32DepthwiseConv {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        mut scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        let shape = self.rows.geometry.shape();
        let in_count = shape.in_pixels() * shape.in_c;
        let out_count = shape.out_pixels() * shape.in_c;
        match &self.weights {
            FloatPanels::F32(packed) => {
                let input = Input::Stored(elements(inputs[0], in_count + SLACK / 4));
                let output = elements_mut(outputs[0], out_count);
                self.rows.run(&input, &self.padding, output, scratch, pool, |taps, output, _| {
                    // SAFETY: pixels are in `input` or `padding`, which have slack behind them.
                    unsafe { self.row(taps, packed.panel(0), output) };
                });
            }
            FloatPanels::F16(weights) => {
                let input = elements::<f16>(inputs[0], in_count);
                let row = |pixel: usize, wide: &mut [f32]| {
                    fp16::widen(&input[pixel * shape.in_c..][..wide.len()], wide);
                };
                let weights = weights.widened(&mut scratch);
                let (input, output) = (Input::Made(&row), elements_mut(outputs[0], out_count));
                self.rows.run(
                    &input,
                    &self.padding,
                    output,
                    scratch,
                    pool,
                    |taps, output, wide| {
                        // SAFETY: pixels are in rows that were made or in `padding`, which have slack behind them.
                        unsafe { self.row(taps, weights, wide) };
                        fp16::narrow(wide, output);
                    },
                );
            }
        }
    }

    fn scratch_bytes(&self, threads: usize) -> usize {
        let weights = match &self.weights {
            FloatPanels::F32(_) => 0,
            FloatPanels::F16(weights) => weights.widened_bytes(),
        };
        weights + self.rows.scratch_bytes::<f32>(threads)
    }

    fn kernel(&self) -> &'static str {
        self.kernel.name
    }

    fn weight_bytes(&self) -> usize {
        self.weights.bytes()
    }
}

/// Integer arithmetic on 8-bit operands.
#[derive(Debug)]
pub struct I8DepthwiseConv {
    rows: Rows,
    kernel: &'static I8Depthwise,
    packed: Panels<i8>,
    /// As [`I8DepthwiseArgs::narrow`].
    narrow: Vec<bool>,
    /// As [`I8DepthwiseArgs::run_ends`].
    run_ends: Vec<u8>,
    requant: RequantParams,
    /// As [`I8DepthwiseArgs::shifts`].
    shifts: Vec<u8>,
    /// A pixel of zero points.
    padding: Vec<i8>,
}

impl I8DepthwiseConv {
    /// Weights `[taps, channels]`; biases `[channels]` in units of input scale times weight scale, for inputs less their
    /// zero point.
    pub fn new(
        cpu: &CpuFeatures,
        shape: &ConvShape,
        weights: &[i8],
        bias: &[i32],
        input_zero_point: i8,
        requant: RequantParams,
    ) -> Self {
        assert_eq!(bias.len(), shape.in_c, "a bias per channel");
        assert_eq!(requant.channels(), shape.in_c, "a factor per channel");
        let kernel = registry::select(registry::i8_depthwise(), cpu, shape.work(shape.in_c, 1));
        let mut folded = bias.to_vec();
        for weights in weights.chunks_exact(shape.in_c) {
            for (bias, &w) in folded.iter_mut().zip(weights) {
                *bias = bias.wrapping_sub(i32::from(w) * i32::from(input_zero_point));
            }
        }
        let packed = pack::i8_depthwise(kernel.tile, weights, &folded, shape.taps());
        let padding = vec![input_zero_point; shape.in_c + SLACK];
        let rows = Rows::new(shape);
        let narrow = pack::narrow_rows(weights, shape.window.kernel, shape.in_c, kernel.tile.nr);
        let run_ends =
            pack::run_ends(weights, shape.window.kernel, rows.step, shape.in_c, kernel.tile.nr);
        let shifts = requant.block_shifts();
        Self { rows, kernel, packed, narrow, run_ends, requant, shifts, padding }
    }
}

impl Operator for I8DepthwiseConv {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        let shape = self.rows.geometry.shape();
        assert!(inputs[0].len() >= shape.in_pixels() * shape.in_c + SLACK);
        let input = Input::Stored(bytemuck::cast_slice::<u8, i8>(inputs[0]));
        let output = elements_mut(outputs[0], shape.out_pixels() * shape.in_c);
        self.rows.run(&input, &self.padding, output, scratch, pool, |taps, output, _| {
            let args = I8DepthwiseArgs {
                pixels: shape.out_w,
                channels: shape.in_c,
                taps,
                w: self.packed.panel(0).as_ptr(),
                narrow: self.narrow.as_ptr(),
                run_ends: self.run_ends.as_ptr(),
                c: output.as_mut_ptr(),
                c_stride: shape.in_c,
                requant: self.requant.raw(0),
                shifts: self.shifts.as_ptr(),
            };
            // SAFETY: selection gave a kernel of this CPU; pointers are rows of `input` or `padding`, both readable
            // for SLACK bytes past their channels, and `output` is a whole row.
            unsafe { (self.kernel.run)(&args) };
        });
    }

    fn scratch_bytes(&self, threads: usize) -> usize {
        self.rows.scratch_bytes::<i8>(threads)
    }

    fn kernel(&self) -> &'static str {
        self.kernel.name
    }

    fn weight_bytes(&self) -> usize {
        self.packed.bytes()
    }
}
