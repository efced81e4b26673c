//! Operators: what a plan runs. Each is prepared once (kernel selected, weights packed, tables made) and then run on
//! slices of bytes.
//!
//! Inputs are readable for [`SLACK`](super::micro::SLACK) bytes past their elements, every buffer is 64-byte aligned
//! ([`Buffer`]), and results do not depend on the number of threads.

#[cfg(target_arch = "x86_64")]
mod add_avx2;
#[cfg(target_arch = "aarch64")]
mod add_neon;
mod bin_conv;
mod bin_table;
mod binary;
mod buffer;
mod conv;
mod convert;
#[cfg(target_arch = "aarch64")]
mod convert_neon;
mod depthwise;
mod depthwise_signs;
mod elementwise;
mod fold;
mod geometry;
mod movement;
mod pool;
#[cfg(target_arch = "aarch64")]
mod pool_neon;
mod reduce;
mod resize;
mod scratch;
mod shallow;
mod signs;
#[cfg(target_arch = "x86_64")]
mod signs_avx2;
#[cfg(target_arch = "arm")]
mod signs_v7;
mod softmax;
mod transcendental;
mod walk;
mod widen;
mod winograd;

pub use bin_conv::{Affine, BinConv};
pub use bin_table::bin_conv;
pub use binary::{F32Binary, I8Add, I8Mul, Operands};
pub use buffer::Buffer;
pub use conv::{F32Conv, I8Conv, IntegerWeights, float_conv};
pub use convert::Convert;
pub use depthwise::{F32DepthwiseConv, I8DepthwiseConv};
pub use depthwise_signs::I8DepthwiseSignsConv;
pub use elementwise::{F32Prelu, F32Unary, I8Prelu, I8Table, unary};
pub use geometry::ConvShape;
pub use movement::{Concat, CopyRows, Gather};
pub use pool::{BinMaxPool, F32AveragePool, F32MaxPool, I8AveragePool, I8MaxPool};
pub use reduce::{F32Reduce, I8Mean};
pub use resize::{F32Resize, I8Resize};
pub use scratch::Scratch;
pub use signs::{F32Signs, I8Signs};
pub use softmax::{F32Softmax, I8Softmax};
pub use transcendental::{exp, logistic};
pub use widen::{Widened, WidenedRows};

use crate::Pool;

/// A prepared operator.
///
/// Operands are bytes of the element types that the operator was prepared for, long enough for its shapes; an operand
/// that is not panics, which a plan excludes by construction.
pub trait Operator: Send + Sync + std::fmt::Debug {
    /// Computes `outputs` from `inputs` without allocating: `scratch` has [`Operator::scratch_bytes`] for the threads of
    /// `pool`.
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        scratch: Scratch<'_>,
        pool: &dyn Pool,
    );

    /// Bytes of memory that it needs while it runs on so many threads.
    fn scratch_bytes(&self, _threads: usize) -> usize {
        0
    }

    /// As [`Operator::run`], with memory that is allocated for this once.
    fn run_alone(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]], pool: &dyn Pool) {
        let mut memory = Buffer::new(self.scratch_bytes(pool.threads()));
        self.run(inputs, outputs, Scratch::new(&mut memory), pool);
    }

    /// Name of the micro-kernel in use; empty for operators without one.
    fn kernel(&self) -> &'static str {
        ""
    }

    /// Bytes of packed weights and tables.
    fn weight_bytes(&self) -> usize {
        0
    }
}

/// Elements of an operand.
fn elements<T: bytemuck::Pod>(bytes: &[u8], count: usize) -> &[T] {
    &bytemuck::cast_slice(&bytes[..count * size_of::<T>()])[..count]
}

/// Elements of a result.
fn elements_mut<T: bytemuck::Pod>(bytes: &mut [u8], count: usize) -> &mut [T] {
    bytemuck::cast_slice_mut(&mut bytes[..count * size_of::<T>()])
}

/// Fewest products of a dense layer worth a task: some ten microseconds on the slowest core, which is more than it takes to
/// start one.
const LEAST_PRODUCTS: usize = 1 << 15;

/// Consecutive ranges of items, one per task.
struct Ranges {
    count: usize,
    tasks: usize,
}

impl Ranges {
    /// First item of task `index`, and the one behind its last.
    fn of(&self, index: usize) -> (usize, usize) {
        (self.count * index / self.tasks, self.count * (index + 1) / self.tasks)
    }
}

/// `count` items shared out among `pool`'s threads, at least `least` for each.
fn ranges(pool: &dyn Pool, count: usize, least: usize) -> Ranges {
    Ranges { count, tasks: pool.threads().min(count / least.max(1)).max(1) }
}

/// Runs `task(first, end)` over `count` items on `pool`'s threads, at least `least` each.
fn split(pool: &dyn Pool, count: usize, least: usize, task: impl Fn(usize, usize) + Sync) {
    let ranges = ranges(pool, count, least);
    pool.run(ranges.tasks, &|index| {
        let (first, end) = ranges.of(index);
        task(first, end);
    });
}

/// Rows of a result that tasks write independently.
struct SharedRows<'a, T> {
    start: *mut T,
    elements: usize,
    row: usize,
    borrow: std::marker::PhantomData<&'a mut [T]>,
}

// SAFETY: `rows` hands out disjoint parts as its contract demands; T is plain data.
unsafe impl<T: Send> Sync for SharedRows<'_, T> {}

impl<'a, T> SharedRows<'a, T> {
    /// `output` as rows of `row` elements.
    fn new(output: &'a mut [T], row: usize) -> Self {
        let elements = output.len();
        Self { start: output.as_mut_ptr(), elements, row, borrow: std::marker::PhantomData }
    }

    /// Rows `first..end`.
    ///
    /// # Safety
    /// No two live slices overlap.
    #[allow(clippy::mut_from_ref, reason = "the caller keeps the parts disjoint")]
    unsafe fn rows(&self, first: usize, end: usize) -> &mut [T] {
        assert!(first <= end && end * self.row <= self.elements);
        // SAFETY: within the borrowed slice, and disjoint by the contract.
        unsafe {
            std::slice::from_raw_parts_mut(
                self.start.add(first * self.row),
                (end - first) * self.row,
            )
        }
    }
}

/// Elements that tasks write independently, at places of their own.
struct SharedElements<'a, T> {
    start: *mut T,
    borrow: std::marker::PhantomData<&'a mut [T]>,
}

// SAFETY: it only hands out pointers; who writes through them vouches that every element is written by one task.
unsafe impl<T: Send> Sync for SharedElements<'_, T> {}

impl<'a, T> SharedElements<'a, T> {
    fn of(elements: &'a mut [T]) -> Self {
        Self { start: elements.as_mut_ptr(), borrow: std::marker::PhantomData }
    }

    fn at(&self, element: usize) -> *mut T {
        self.start.wrapping_add(element)
    }
}

/// Runs `task(first row, rows)` over blocks of rows of `output`, in parallel.
fn for_rows<T: Send>(
    pool: &dyn Pool,
    output: &mut [T],
    row: usize,
    least: usize,
    task: impl Fn(usize, &mut [T]) + Sync,
) {
    let rows = output.len() / row.max(1);
    let shared = SharedRows::new(output, row);
    split(pool, rows, least, |first, end| {
        // SAFETY: `split` gives disjoint ranges.
        task(first, unsafe { shared.rows(first, end) });
    });
}
