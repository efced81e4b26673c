//! Reductions over axes.

use super::fold::{Fold, LANES_F32, LANES_I8};
use super::{Operator, Scratch, elements, elements_mut};
use crate::Pool;
use crate::graph::ReduceOp;
use crate::kernels::isa::CpuFeatures;
use crate::kernels::micro::SLACK;
use crate::kernels::requant::Factor;
use crate::kernels::vectorize::{Loop, Vectorizer};

/// Which elements of an operand belong to a result.
#[derive(Debug)]
enum Members {
    /// The operand is `[outer, each, inner]` and the result `[outer, inner]`.
    Middle { each: usize, inner: usize },
    /// The result of each element.
    Table(Vec<u32>),
}

impl Members {
    fn new(shape: &[usize], axes: &[usize]) -> Self {
        // Axes of a single element do not matter.
        let reduced: Vec<(bool, usize)> = shape
            .iter()
            .enumerate()
            .filter(|&(_, &extent)| extent != 1)
            .map(|(axis, &extent)| (axes.contains(&axis), extent))
            .collect();
        let first = reduced.iter().position(|&(is, _)| is).unwrap_or(reduced.len());
        let count = reduced[first..].iter().take_while(|&&(is, _)| is).count();
        if reduced[first + count..].iter().any(|&(is, _)| is) {
            return Self::Table(targets(shape, axes));
        }
        let product = |axes: &[(bool, usize)]| axes.iter().map(|&(_, extent)| extent).product();
        Self::Middle {
            each: product(&reduced[first..first + count]),
            inner: product(&reduced[first + count..]),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Middle { .. } => 0,
            Self::Table(targets) => size_of_val(&targets[..]),
        }
    }
}

/// For each element of the operand the result that it belongs to.
fn targets(shape: &[usize], axes: &[usize]) -> Vec<u32> {
    let count: usize = shape.iter().product();
    let target = |mut flat: usize| {
        let (mut at, mut stride) = (0, 1);
        for (axis, &extent) in shape.iter().enumerate().rev() {
            if !axes.contains(&axis) {
                at += flat % extent * stride;
                stride *= extent;
            }
            flat /= extent;
        }
        at as u32
    };
    (0..count).map(target).collect()
}

/// Elements of the result and of the operand, and how they belong together.
#[derive(Debug)]
struct Reduction {
    members: Members,
    results: usize,
    count: usize,
    vectorizer: Vectorizer,
}

impl Reduction {
    fn new(cpu: &CpuFeatures, shape: &[usize], axes: &[usize]) -> Self {
        let each: usize = axes.iter().map(|&axis| shape[axis]).product();
        let count = shape.iter().product::<usize>();
        let members = Members::new(shape, axes);
        Self { members, results: count / each, count, vectorizer: Vectorizer::new(cpu) }
    }

    fn each(&self) -> usize {
        self.count / self.results
    }

    /// Bytes of scratch memory for results of type `A`.
    fn scratch_bytes<A>(&self) -> usize {
        match self.members {
            Members::Middle { .. } => 0,
            Members::Table(_) => Scratch::bytes_for::<A>(self.results),
        }
    }

    /// Folds the elements of each result in order, `L` results at a time.
    fn fold<T: bytemuck::Pod, A: bytemuck::Pod, const L: usize>(
        &self,
        input: &[u8],
        output: &mut [u8],
        mut scratch: Scratch<'_>,
        fold: Fold<A, impl Fn(A, T) -> A, impl Fn(A, usize) -> T>,
    ) {
        let output = elements_mut::<T>(output, self.results);
        match &self.members {
            &Members::Middle { each, inner } => {
                let input = elements::<T>(input, self.count + SLACK / size_of::<T>());
                let rows = Rows::<'_, _, _, _, _, L> { each, inner, input, output, fold };
                self.vectorizer.run(rows);
            }
            Members::Table(targets) => {
                let all = scratch.take::<A>(self.results);
                all.fill(fold.start);
                for (&x, &target) in elements::<T>(input, self.count).iter().zip(targets) {
                    let acc = &mut all[target as usize];
                    *acc = (fold.combine)(*acc, x);
                }
                for (y, &acc) in output.iter_mut().zip(&*all) {
                    *y = (fold.finish)(acc, self.each());
                }
            }
        }
    }
}

/// Reduces `[outer, each, inner]` to `[outer, inner]`.
struct Rows<'a, T, A, C, F, const L: usize> {
    each: usize,
    inner: usize,
    /// The slack behind the elements included.
    input: &'a [T],
    output: &'a mut [T],
    fold: Fold<A, C, F>,
}

impl<T: Copy, A: Copy, C: Fn(A, T) -> A, F: Fn(A, usize) -> T, const L: usize> Loop
    for Rows<'_, T, A, C, F, L>
{
    #[inline(always)]
    fn run(self) {
        let Self { each, inner, input, output, fold } = self;
        if inner == 1 {
            for (y, x) in output.iter_mut().zip(input.chunks_exact(each)) {
                let acc = x.iter().fold(fold.start, |acc, &x| (fold.combine)(acc, x));
                *y = (fold.finish)(acc, each);
            }
            return;
        }
        for (outer, y) in output.chunks_exact_mut(inner).enumerate() {
            for (lanes, y) in y.chunks_mut(L).enumerate() {
                let mut acc = [fold.start; L];
                for row in outer * each..(outer + 1) * each {
                    fold.add(&mut acc, &input[row * inner + lanes * L..]);
                }
                fold.store(acc, each, y);
            }
        }
    }
}

/// fp32, elements taken in order.
#[derive(Debug)]
pub struct F32Reduce {
    op: ReduceOp,
    reduction: Reduction,
}

impl F32Reduce {
    /// `axes` of an operand of `shape`.
    pub fn new(cpu: &CpuFeatures, op: ReduceOp, shape: &[usize], axes: &[usize]) -> Self {
        Self { op, reduction: Reduction::new(cpu, shape, axes) }
    }

    fn fold(
        &self,
        (input, output): (&[u8], &mut [u8]),
        scratch: Scratch<'_>,
        start: f32,
        combine: impl Fn(f32, f32) -> f32,
    ) {
        let mean = self.op == ReduceOp::Mean;
        let finish = |y: f32, each: usize| if mean { y / each as f32 } else { y };
        let fold = Fold { start, combine, finish };
        self.reduction.fold::<f32, f32, LANES_F32>(input, output, scratch, fold);
    }
}

impl Operator for F32Reduce {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        scratch: Scratch<'_>,
        _pool: &dyn Pool,
    ) {
        let operands = (inputs[0], &mut *outputs[0]);
        match self.op {
            ReduceOp::Mean | ReduceOp::Sum => self.fold(operands, scratch, 0.0, |a, b| a + b),
            ReduceOp::Max => self.fold(operands, scratch, f32::NEG_INFINITY, f32::max),
            ReduceOp::Min => self.fold(operands, scratch, f32::INFINITY, f32::min),
        }
    }

    fn scratch_bytes(&self, _threads: usize) -> usize {
        self.reduction.scratch_bytes::<f32>()
    }

    fn weight_bytes(&self) -> usize {
        self.reduction.members.bytes()
    }
}

/// Mean of 8-bit elements: an integer sum times a factor.
#[derive(Debug)]
pub struct I8Mean {
    reduction: Reduction,
    factor: Factor,
    zero_points: (i32, i32),
}

impl I8Mean {
    /// `axes` of an operand of `shape`; encodings `(scale, zero point)`.
    pub fn new(
        cpu: &CpuFeatures,
        shape: &[usize],
        axes: &[usize],
        input: (f32, i8),
        output: (f32, i8),
    ) -> Self {
        let reduction = Reduction::new(cpu, shape, axes);
        let real = f64::from(input.0) / f64::from(output.0) / reduction.each() as f64;
        Self {
            reduction,
            factor: Factor::from_real(real),
            zero_points: (i32::from(input.1), i32::from(output.1)),
        }
    }
}

impl Operator for I8Mean {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        scratch: Scratch<'_>,
        _pool: &dyn Pool,
    ) {
        let fold = Fold {
            start: 0,
            combine: |sum: i32, q: i8| sum + i32::from(q),
            finish: |sum: i32, each: usize| {
                let sum = sum - each as i32 * self.zero_points.0;
                let q = self.factor.apply(sum).saturating_add(self.zero_points.1);
                q.clamp(-128, 127) as i8
            },
        };
        self.reduction.fold::<i8, i32, LANES_I8>(inputs[0], outputs[0], scratch, fold);
    }

    fn scratch_bytes(&self, _threads: usize) -> usize {
        self.reduction.scratch_bytes::<i32>()
    }

    fn weight_bytes(&self) -> usize {
        self.reduction.members.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Buffer;
    use super::*;
    use crate::Serial;

    #[test]
    fn every_set_of_axes_gives_the_sums_of_a_naive_loop() {
        let shape = [2, 3, 1, 5, 37];
        let count: usize = shape.iter().product();
        let mut input = Buffer::new(4 * count);
        input.bytes_mut().fill(0x5A);
        let x = elements_mut::<f32>(input.bytes_mut(), count);
        x.iter_mut().enumerate().for_each(|(i, x)| *x = (i * 89 % 256) as f32 - 100.0);
        for set in 0..1 << shape.len() {
            let axes: Vec<usize> = (0..shape.len()).filter(|axis| set >> axis & 1 == 1).collect();
            for cpu in [CpuFeatures::portable(), CpuFeatures::detect()] {
                let operator = F32Reduce::new(&cpu, ReduceOp::Sum, &shape, &axes);
                let mut wanted = vec![0.0_f32; operator.reduction.results];
                let x = elements::<f32>(input.bytes(), count);
                for (&x, target) in x.iter().zip(targets(&shape, &axes)) {
                    wanted[target as usize] += x;
                }
                let mut got = vec![0.0_f32; wanted.len()];
                let y = bytemuck::cast_slice_mut(&mut got);
                operator.run_alone(&[input.bytes()], &mut [y], &Serial);
                assert_eq!(got, wanted, "{axes:?}");
            }
        }
    }
}
