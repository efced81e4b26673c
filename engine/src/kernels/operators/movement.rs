//! Operators that only move elements, whatever their type.

use super::{Operator, Scratch};
use crate::Pool;

/// Copies runs of bytes from the operand to the results: slices, unpacking, padding.
#[derive(Debug)]
pub struct CopyRows {
    /// Per result the runs `(source byte, target byte)`.
    results: Vec<Vec<(usize, usize)>>,
    /// Bytes of every run.
    run: usize,
    /// Bytes of each result, and what they are filled with before the copy (one element's bytes).
    fill: Option<(usize, Vec<u8>)>,
}

impl CopyRows {
    /// Per result the runs `(source, target)` in elements, each of `run` elements of `size` bytes.
    pub fn new(results: Vec<Vec<(usize, usize)>>, run: usize, size: usize) -> Self {
        let scale = |runs: Vec<(usize, usize)>| {
            runs.into_iter().map(|(from, to)| (from * size, to * size)).collect()
        };
        Self { results: results.into_iter().map(scale).collect(), run: run * size, fill: None }
    }

    /// Fills the (only) result of `elements` elements with `element` before the copy.
    #[must_use]
    pub fn with_fill(mut self, elements: usize, element: Vec<u8>) -> Self {
        self.fill = Some((elements * element.len(), element));
        self
    }

    /// Zero padding of `shape` by `amounts` before and after each axis, with `element` as zero.
    pub fn pad(shape: &[usize], amounts: &[[usize; 2]], element: Vec<u8>) -> Self {
        let padded: Vec<usize> =
            shape.iter().zip(amounts).map(|(n, [before, after])| n + before + after).collect();
        let run = shape.last().copied().unwrap_or(1);
        let rows = shape.iter().product::<usize>() / run.max(1);
        let target = |row: usize| {
            let (mut flat, mut at, mut stride) = (row, 0, 1);
            for axis in (0..shape.len()).rev() {
                let position = if axis + 1 == shape.len() {
                    0
                } else {
                    let position = flat % shape[axis];
                    flat /= shape[axis];
                    position
                };
                at += (position + amounts[axis][0]) * stride;
                stride *= padded[axis];
            }
            at
        };
        let runs = (0..rows).map(|row| (row * run, target(row))).collect();
        Self::new(vec![runs], run, element.len()).with_fill(padded.iter().product(), element)
    }

    /// Padding of +1 around the pixels of bits packed along the last axis, of which `amounts` has none.
    pub fn pad_signs(shape: &[usize], amounts: &[[usize; 2]]) -> Self {
        let channels = shape.last().copied().unwrap_or(1);
        let word = |first: usize| u64::MAX >> (64 - (channels - first).min(64));
        let ones = (0..channels).step_by(64).flat_map(|first| word(first).to_ne_bytes());
        // A pixel is an element.
        let mut pixels = shape.to_vec();
        pixels.iter_mut().last().into_iter().for_each(|last| *last = 1);
        Self::pad(&pixels, amounts, ones.collect())
    }

    /// The elements at `begin + i * stride` of each axis, `counts` of them, in elements of `size` bytes.
    pub fn strided_slice(
        shape: &[usize],
        begin: &[usize],
        strides: &[isize],
        counts: &[usize],
        size: usize,
    ) -> Self {
        let count: usize = counts.iter().product();
        let source = |mut flat: usize| {
            let (mut at, mut stride) = (0, 1);
            for axis in (0..shape.len()).rev() {
                let step = (flat % counts[axis]) as isize * strides[axis];
                at += begin[axis].wrapping_add_signed(step) * stride;
                stride *= shape[axis];
                flat /= counts[axis];
            }
            at
        };
        Self::new(vec![(0..count).map(|flat| (source(flat), flat)).collect()], 1, size)
    }

    /// Axis `i` of the result is axis `perm[i]` of `shape`.
    pub fn transpose(shape: &[usize], perm: &[usize], size: usize) -> Self {
        // Last axes that stay are copied as one.
        let kept = (0..shape.len()).rev().take_while(|&axis| perm[axis] == axis).count();
        let moved = shape.len() - kept;
        let run: usize = shape[moved..].iter().product();
        let stride = |axis: usize| shape[axis + 1..].iter().product::<usize>();
        let extents: Vec<usize> = perm[..moved].iter().map(|&axis| shape[axis]).collect();
        let strides: Vec<usize> = perm[..moved].iter().map(|&axis| stride(axis)).collect();
        let source = |mut flat: usize| {
            let mut at = 0;
            for (extent, stride) in extents.iter().zip(&strides).rev() {
                at += flat % extent * stride;
                flat /= extent;
            }
            at
        };
        let count: usize = extents.iter().product();
        let runs = (0..count).map(|flat| (source(flat), flat * run)).collect();
        Self::new(vec![runs], run, size)
    }

    /// One result per index of `axis`, without that axis.
    pub fn unpack(shape: &[usize], axis: usize, size: usize) -> Self {
        let inner: usize = shape[axis + 1..].iter().product();
        let outer: usize = shape[..axis].iter().product();
        let runs = |index: usize| {
            (0..outer).map(|o| ((o * shape[axis] + index) * inner, o * inner)).collect()
        };
        Self::new((0..shape[axis]).map(runs).collect(), inner, size)
    }
}

impl Operator for CopyRows {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        _scratch: Scratch<'_>,
        _pool: &dyn Pool,
    ) {
        if let Some((bytes, element)) = &self.fill {
            // The filled part doubles, so long copies do most of the work.
            let target = &mut outputs[0][..*bytes];
            let mut filled = element.len().min(*bytes);
            target[..filled].copy_from_slice(&element[..filled]);
            while filled < *bytes {
                let more = filled.min(*bytes - filled);
                target.copy_within(..more, filled);
                filled += more;
            }
        }
        for (runs, output) in self.results.iter().zip(outputs) {
            for &(from, to) in runs {
                output[to..][..self.run].copy_from_slice(&inputs[0][from..][..self.run]);
            }
        }
    }

    fn weight_bytes(&self) -> usize {
        self.results.iter().map(|runs| runs.len() * size_of::<(usize, usize)>()).sum()
    }
}

/// Joins operands along an axis.
#[derive(Debug)]
pub struct Concat {
    /// Bytes of each operand per outer index.
    runs: Vec<usize>,
    outer: usize,
}

impl Concat {
    /// Shapes of the operands, which differ along `axis` only; elements of `size` bytes.
    pub fn new(shapes: &[&[usize]], axis: usize, size: usize) -> Self {
        let run = |shape: &&[usize]| shape[axis..].iter().product::<usize>() * size;
        let outer = shapes[0][..axis].iter().product();
        Self { runs: shapes.iter().map(run).collect(), outer }
    }
}

impl Operator for Concat {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        _scratch: Scratch<'_>,
        _pool: &dyn Pool,
    ) {
        let mut at = 0;
        for outer in 0..self.outer {
            for (input, &run) in inputs.iter().zip(&self.runs) {
                outputs[0][at..][..run].copy_from_slice(&input[outer * run..][..run]);
                at += run;
            }
        }
    }
}

/// Picks slices along an axis.
#[derive(Debug)]
pub struct Gather(CopyRows);

impl Gather {
    /// `indices` (all below the extent of `axis`) of an operand of `shape`; elements of `size` bytes.
    pub fn new(shape: &[usize], axis: usize, indices: &[usize], size: usize) -> Self {
        let inner: usize = shape[axis + 1..].iter().product();
        let outer: usize = shape[..axis].iter().product();
        let runs = (0..outer).flat_map(|o| {
            let target = move |at: usize| (o * indices.len() + at) * inner;
            let source = move |index: usize| (o * shape[axis] + index) * inner;
            indices.iter().enumerate().map(move |(at, &index)| (source(index), target(at)))
        });
        Self(CopyRows::new(vec![runs.collect()], inner, size))
    }
}

impl Operator for Gather {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        self.0.run(inputs, outputs, scratch, pool);
    }

    fn weight_bytes(&self) -> usize {
        self.0.weight_bytes()
    }
}
