//! Memory that operators need while they run: theirs for that time only, and part of what a session allocates once.

use super::{Buffer, SharedRows, ranges};
use crate::Pool;
use crate::kernels::micro::SLACK;

/// Alignment of everything that is taken.
const LINE: usize = 64;

/// Bytes with arbitrary content for one run of an operator, which takes parts of them.
#[derive(Debug)]
pub struct Scratch<'a>(&'a mut [u8]);

impl<'a> Scratch<'a> {
    /// All of `buffer`.
    pub fn new(buffer: &'a mut Buffer) -> Self {
        Self(buffer.bytes_mut())
    }

    /// All of a task's part.
    pub(super) fn within(part: &'a mut [u8]) -> Self {
        Self(part)
    }

    /// What [`Scratch::take`] needs for `count` elements of type `T`.
    pub(super) const fn bytes_for<T>(count: usize) -> usize {
        (count * size_of::<T>() + SLACK).next_multiple_of(LINE)
    }

    /// At least `count` elements and the slack behind them.
    pub(super) fn take<T: bytemuck::Pod>(&mut self, count: usize) -> &'a mut [T] {
        #[cfg(all(test, unix, not(miri)))]
        if crate::kernels::fence::is_on() {
            // A part of its own, so that what lies behind it is not the next.
            let bytes = count * size_of::<T>();
            return bytemuck::cast_slice_mut(crate::kernels::fence::until_end(Buffer::new(bytes)));
        }
        let (taken, rest) = std::mem::take(&mut self.0).split_at_mut(Self::bytes_for::<T>(count));
        self.0 = rest;
        bytemuck::cast_slice_mut(taken)
    }

    /// What [`Scratch::per_task`] needs for so many threads.
    pub(super) const fn bytes_per_task(threads: usize, bytes: usize) -> usize {
        threads * bytes.next_multiple_of(LINE)
    }

    /// `bytes` for each of the tasks that [`PerTask::split`] makes for `pool`.
    pub(super) fn per_task(&mut self, pool: &dyn Pool, bytes: usize) -> PerTask<'a> {
        let all = Self::bytes_per_task(pool.threads(), bytes);
        let (taken, rest) = std::mem::take(&mut self.0).split_at_mut(all);
        self.0 = rest;
        PerTask(SharedRows::new(taken, bytes.next_multiple_of(LINE)))
    }
}

/// A part of the scratch memory for each task.
pub(super) struct PerTask<'a>(SharedRows<'a, u8>);

impl PerTask<'_> {
    /// As [`super::split`], and gives each task its part.
    pub(super) fn split(
        &self,
        pool: &dyn Pool,
        count: usize,
        least: usize,
        task: impl Fn(usize, usize, &mut [u8]) + Sync,
    ) {
        let ranges = ranges(pool, count, least);
        pool.run(ranges.tasks, &|index| {
            let (first, end) = ranges.of(index);
            // SAFETY: there are no more tasks than threads, and each has an index of its own.
            task(first, end, unsafe { self.0.rows(index, index + 1) });
        });
    }
}

/// `count` pointers at the start of `bytes`, all of them `value`, and the bytes behind them.
pub(super) fn pointers<T>(
    bytes: &mut [u8],
    count: usize,
    value: *const T,
) -> (&mut [*const T], &mut [u8]) {
    let (taken, rest) = bytes.split_at_mut(count * size_of::<*const T>());
    let start = taken.as_mut_ptr().cast::<*const T>();
    assert!(start.is_aligned());
    for index in 0..count {
        // SAFETY: aligned, and within `taken`.
        unsafe { start.add(index).write(value) };
    }
    // SAFETY: aligned, long enough, borrowed from `bytes`, and every pointer has been written.
    (unsafe { std::slice::from_raw_parts_mut(start, count) }, rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Serial;

    #[test]
    fn parts_are_aligned_and_do_not_overlap() {
        let bytes = Scratch::bytes_for::<f32>(3)
            + Scratch::bytes_for::<i8>(100)
            + Scratch::bytes_per_task(1, 24);
        let mut buffer = Buffer::new(bytes);
        let mut scratch = Scratch::new(&mut buffer);
        let floats = scratch.take::<f32>(3);
        let small = scratch.take::<i8>(100);
        assert!(floats.len() >= 3 + SLACK / 4 && small.len() >= 100 + SLACK);
        floats.fill(1.0);
        small.fill(7);
        let parts = scratch.per_task(&Serial, 24);
        parts.split(&Serial, 5, 1, |first, end, part| {
            assert_eq!((first, end), (0, 5));
            let (table, rest) = pointers(part, 3, small.as_ptr());
            assert_eq!(table, [small.as_ptr(); 3]);
            assert_eq!(rest.len(), LINE - 3 * size_of::<usize>());
        });
        assert!(floats.iter().all(|&x| x == 1.0) && small.iter().all(|&x| x == 7));
    }
}
