//! Many elements to one, several channels side by side in registers.

use crate::kernels::micro::SLACK;

/// Elements side by side: what fits the slack behind a buffer, which the last of them may read, and the registers.
pub(super) const LANES_F32: usize = 16;
/// As [`LANES_F32`].
pub(super) const LANES_I8: usize = 32;
/// As [`LANES_F32`].
pub(super) const LANES_U64: usize = 8;

const _: () = assert!(4 * LANES_F32 <= SLACK && LANES_I8 <= SLACK && 8 * LANES_U64 <= SLACK);

/// How elements are folded.
#[derive(Clone, Copy)]
pub(super) struct Fold<A, C, F> {
    /// Of no element.
    pub(super) start: A,
    /// With one element more.
    pub(super) combine: C,
    /// The result of so many elements.
    pub(super) finish: F,
}

impl<A: Copy, C, F> Fold<A, C, F> {
    /// Adds an element to each of `acc`, of which `elements` has as many or more.
    #[inline(always)]
    pub(super) fn add<T: Copy, const L: usize>(&self, acc: &mut [A; L], elements: &[T])
    where
        C: Fn(A, T) -> A,
    {
        let elements = &elements.as_chunks::<L>().0[0];
        // Indices and constant lengths keep `acc` in registers, which iterators do not.
        for i in 0..L {
            acc[i] = (self.combine)(acc[i], elements[i]);
        }
    }

    /// Writes as many results as `y` has, at most `L`.
    #[inline(always)]
    pub(super) fn store<T: Copy, const L: usize>(&self, acc: [A; L], elements: usize, y: &mut [T])
    where
        F: Fn(A, usize) -> T,
    {
        if let Some(y) = y.first_chunk_mut::<L>() {
            for i in 0..L {
                y[i] = (self.finish)(acc[i], elements);
            }
        } else {
            for i in 0..y.len().min(L) {
                y[i] = (self.finish)(acc[i], elements);
            }
        }
    }
}
