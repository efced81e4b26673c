//! Element-wise loops in plain Rust, compiled once more for vectors that the compiler may not assume.
//!
//! These loops need no hand-written kernels: the compiler vectorizes them well once it may use the CPU's vectors. It never
//! contracts a multiplication and an addition into one operation, so results are the same bits everywhere.

use super::isa::{CpuFeatures, Isa};
use super::vector::Vector;

/// The instruction set with which loops run. NEON needs no second version on 64-bit ARM, where it is always there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vectorizer(Isa);

impl Vectorizer {
    /// The best for `cpu`.
    pub(super) fn new(cpu: &CpuFeatures) -> Self {
        let best = [Isa::Avx512, Isa::Avx2].into_iter().find(|&isa| cpu.has(isa));
        Self(best.unwrap_or(Isa::Portable))
    }
}

/// A loop of more than one slice can say. `run` must be `#[inline(always)]`, and what it calls inlined.
pub(super) trait Loop {
    /// The loop.
    fn run(self);
}

impl Vectorizer {
    /// Runs a loop.
    pub(super) fn run(self, body: impl Loop) {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        fn avx2(body: impl Loop) {
            body.run();
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
        fn avx512(body: impl Loop) {
            body.run();
        }
        match self.0 {
            // SAFETY: `new` was told by `CpuFeatures` that the CPU has these instructions.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { avx512(body) },
            // SAFETY: likewise.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { avx2(body) },
            _ => body.run(),
        }
    }
}

/// Work on vectors; its result must not depend on their length.
pub(in crate::kernels) trait Lanewise {
    /// Does it with vectors. Must be inlined always, to be compiled for the CPU's vectors.
    ///
    /// # Safety
    /// The CPU has the instruction set of `V`.
    unsafe fn run<V: Vector>(self);
}

impl Vectorizer {
    /// Does `work` with the CPU's vectors.
    pub(super) fn lanewise<T: Lanewise>(self, work: T) {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        fn avx2<T: Lanewise>(work: T) {
            // SAFETY: the CPU has AVX2 where this is called.
            unsafe { work.run::<std::arch::x86_64::__m256>() }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
        fn avx512<T: Lanewise>(work: T) {
            // SAFETY: the CPU has AVX-512 where this is called.
            unsafe { work.run::<std::arch::x86_64::__m512>() }
        }
        match self.0 {
            // SAFETY: `new` was told by `CpuFeatures` that the CPU has these instructions.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { avx512(work) },
            // SAFETY: likewise.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { avx2(work) },
            // SAFETY: every 64-bit ARM CPU has NEON.
            #[cfg(target_arch = "aarch64")]
            _ => unsafe { work.run::<std::arch::aarch64::float32x4_t>() },
            // SAFETY: single numbers need nothing.
            #[cfg(not(target_arch = "aarch64"))]
            _ => unsafe { work.run::<f32>() },
        }
    }
}

/// Defines a method that computes each element of `y` from those at its place in the other slices, which are at least as
/// long. The function must be small enough to be inlined, which is what makes its loop a vector loop.
macro_rules! define_map {
    ($name:ident($($x:ident: $t:ident),+)) => {
        impl Vectorizer {
            /// `y[i] = f(...)` of the elements `i` of the other slices.
            pub(super) fn $name<Y, $($t: Copy),+>(
                self,
                y: &mut [Y],
                $($x: &[$t],)+
                f: impl Fn($($t),+) -> Y,
            ) {
                struct Map<'a, Y, $($t,)+ F> {
                    y: &'a mut [Y],
                    $($x: &'a [$t],)+
                    f: F,
                }
                impl<Y, $($t: Copy,)+ F: Fn($($t),+) -> Y> Loop for Map<'_, Y, $($t,)+ F> {
                    #[inline(always)]
                    fn run(self) {
                        let Self { y, $($x,)+ f } = self;
                        let count = y.len();
                        $(let $x = &$x[..count];)+
                        for i in 0..count {
                            y[i] = f($($x[i]),+);
                        }
                    }
                }
                self.run(Map { y, $($x,)+ f });
            }
        }
    };
}

define_map!(map(a: A));
define_map!(map_2(a: A, b: B));
define_map!(map_3(a: A, b: B, c: C));
define_map!(map_4(a: A, b: B, c: C, d: D));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_computed_whole() {
        for vectorizer in
            [CpuFeatures::portable(), CpuFeatures::detect()].map(|cpu| Vectorizer::new(&cpu))
        {
            for count in 0..200_usize {
                let a: Vec<i32> = (0..count as i32 + 3).collect();
                let mut y = vec![0; count];
                vectorizer.map_4(&mut y, &a, &a, &a, &a, |a, b, c, d| a + 2 * b + 3 * c - d);
                assert!(y.iter().zip(&a).all(|(&y, &a)| y == 5 * a));
            }
        }
    }
}
