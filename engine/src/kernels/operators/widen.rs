//! fp16 storage around fp32 arithmetic.

use half::f16;

use super::{Operator, Scratch, SharedRows, elements, elements_mut};
use crate::kernels::fp16;
use crate::kernels::pack::Panels;
use crate::{Pool, Serial};

/// The same numbers as fp32, and the slack behind them.
pub(super) fn widened<'a>(narrow: &[f16], scratch: &mut Scratch<'a>) -> &'a mut [f32] {
    let wide = scratch.take::<f32>(narrow.len());
    fp16::widen(narrow, &mut wide[..narrow.len()]);
    wide
}

/// Packed weights stored as fp16, their biases as fp32.
#[derive(Debug)]
pub(super) struct HalfPanels {
    weights: Vec<f16>,
    /// One per channel of all panels, missing ones zero.
    bias: Vec<f32>,
    /// Biases at the start of each panel.
    nr: usize,
    /// Elements of a panel.
    stride: usize,
}

impl HalfPanels {
    /// `panels` of `stride` elements each, the first `nr` of which are biases.
    pub(super) fn new(panels: &[f32], nr: usize, stride: usize) -> Self {
        let bias = panels.chunks(stride).flat_map(|panel| &panel[..nr]).copied().collect();
        Self { weights: panels.iter().map(|&x| f16::from_f32(x)).collect(), bias, nr, stride }
    }

    /// Bytes of scratch memory that [`HalfPanels::widened`] takes.
    pub(super) fn widened_bytes(&self) -> usize {
        Scratch::bytes_for::<f32>(self.weights.len())
    }

    /// The panels as fp32, one behind the other.
    pub(super) fn widened<'a>(&self, scratch: &mut Scratch<'a>) -> &'a [f32] {
        let wide = widened(&self.weights, scratch);
        let panels = wide[..self.weights.len()].chunks_mut(self.stride);
        for (panel, bias) in panels.zip(self.bias.chunks(self.nr)) {
            panel[..self.nr].copy_from_slice(bias);
        }
        wide
    }

    /// Bytes of scratch memory that [`HalfPanels::widened_panel`] takes.
    pub(super) fn widened_panel_bytes(&self) -> usize {
        Scratch::bytes_for::<f32>(self.stride)
    }

    /// Panel `index` as fp32.
    pub(super) fn widened_panel<'a>(&self, index: usize, scratch: &mut Scratch<'a>) -> &'a [f32] {
        let wide = widened(&self.weights[index * self.stride..][..self.stride], scratch);
        wide[..self.nr].copy_from_slice(&self.bias[index * self.nr..][..self.nr]);
        wide
    }

    /// Elements of a panel.
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// Size in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.weights[..]) + size_of_val(&self.bias[..])
    }
}

/// Packed weights at their stored width.
#[derive(Debug)]
pub(super) enum FloatPanels {
    F32(Panels<f32>),
    F16(HalfPanels),
}

impl FloatPanels {
    /// All panels as fp32 where they are stored as fp16, else none.
    pub(super) fn widened<'a>(&self, scratch: &mut Scratch<'a>) -> &'a [f32] {
        match self {
            Self::F32(_) => &[],
            Self::F16(panels) => panels.widened(scratch),
        }
    }

    /// Panel `index`, of `wide` where there are [`FloatPanels::widened`] ones.
    #[inline]
    pub(super) fn panel<'a>(&'a self, index: usize, wide: &'a [f32]) -> &'a [f32] {
        match self {
            Self::F32(panels) => panels.panel(index),
            Self::F16(panels) => &wide[index * panels.stride()..],
        }
    }

    /// Bytes of scratch memory for a layer's weights, operand and result as fp32, where all are stored as fp16.
    pub(super) fn layer_bytes(&self, input: usize, output: usize) -> usize {
        match self {
            Self::F32(_) => 0,
            Self::F16(panels) => {
                panels.widened_bytes()
                    + Scratch::bytes_for::<f32>(input)
                    + Scratch::bytes_for::<f32>(output)
            }
        }
    }

    /// Bytes of the weights.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::F32(panels) => panels.bytes(),
            Self::F16(panels) => panels.bytes(),
        }
    }
}

/// Runs an fp32 operator on one operand or two that are stored as fp16, as is its result.
fn run_widened<'a>(
    operator: &dyn Operator,
    inputs: impl ExactSizeIterator<Item = &'a [f16]>,
    output: &mut [f16],
    mut scratch: Scratch<'_>,
    pool: &dyn Pool,
) {
    let operands = inputs.len();
    let mut wide_inputs: [&[u8]; 2] = [&[], &[]];
    for (wide, narrow) in wide_inputs.iter_mut().zip(inputs) {
        *wide = bytemuck::cast_slice(widened(narrow, &mut scratch));
    }
    let wide = scratch.take::<f32>(output.len());
    let wide_outputs = &mut [bytemuck::cast_slice_mut(wide)];
    operator.run(&wide_inputs[..operands], wide_outputs, scratch, pool);
    fp16::narrow(&wide[..output.len()], output);
}

/// An fp32 operator of one or two operands and a result that are stored as fp16.
#[derive(Debug)]
pub struct Widened {
    operator: Box<dyn Operator>,
    /// Elements of each operand.
    inputs: Vec<usize>,
    /// Elements of the result.
    output: usize,
}

impl Widened {
    /// `operator` in fp32, and the elements of its operands, one or two, and of its result.
    pub fn new(operator: Box<dyn Operator>, inputs: Vec<usize>, output: usize) -> Self {
        assert!(matches!(inputs.len(), 1 | 2), "one operand or two");
        Self { operator, inputs, output }
    }
}

impl Operator for Widened {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        let inputs = self.inputs.iter().zip(inputs).map(|(&count, bytes)| elements(bytes, count));
        let output = elements_mut(outputs[0], self.output);
        run_widened(&*self.operator, inputs, output, scratch, pool);
    }

    fn scratch_bytes(&self, threads: usize) -> usize {
        let wide = self.inputs.iter().chain([&self.output]);
        wide.map(|&count| Scratch::bytes_for::<f32>(count)).sum::<usize>()
            + self.operator.scratch_bytes(threads)
    }

    fn weight_bytes(&self) -> usize {
        self.operator.weight_bytes()
    }
}

/// Bytes of fp32 operands and results of a part: they stay in the first cache.
const PART_BYTES: usize = 24 << 10;

/// An fp32 operator on the elements of operands and a result of one shape that are stored as fp16, part by part.
#[derive(Debug)]
pub struct WidenedRows {
    /// For the rows of a part, and for those that remain behind the last whole one.
    whole: Box<dyn Operator>,
    last: Option<Box<dyn Operator>>,
    /// Elements of a part, and of all.
    part: usize,
    all: usize,
    operands: usize,
}

impl WidenedRows {
    /// `operator` gives the operator for so many of the `rows` rows of `channels` elements that the operands have, one or two.
    ///
    /// # Errors
    /// Those of `operator`.
    pub fn new<E>(
        [rows, channels]: [usize; 2],
        operands: usize,
        operator: impl Fn(usize) -> Result<Box<dyn Operator>, E>,
    ) -> Result<Self, E> {
        assert!(matches!(operands, 1 | 2), "one operand or two");
        let part = (PART_BYTES / (4 * (operands + 1) * channels)).clamp(1, rows);
        let last = if rows.is_multiple_of(part) { None } else { Some(operator(rows % part)?) };
        let (whole, all) = (operator(part)?, rows * channels);
        Ok(Self { whole, last, part: part * channels, all, operands })
    }

    /// Bytes of scratch memory for a part.
    fn task_bytes(&self) -> usize {
        (self.operands + 1) * Scratch::bytes_for::<f32>(self.part) + self.whole.scratch_bytes(1)
    }
}

impl Operator for WidenedRows {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        mut scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        let output = SharedRows::new(elements_mut(outputs[0], self.all), 1);
        let parts = scratch.per_task(pool, self.task_bytes());
        parts.split(pool, self.all.div_ceil(self.part), 1, |first, end, memory| {
            for start in (first..end).map(|part| part * self.part) {
                let count = self.part.min(self.all - start);
                let operator = match &self.last {
                    Some(last) if count < self.part => last,
                    _ => &self.whole,
                };
                // SAFETY: parts are disjoint.
                let output = unsafe { output.rows(start, start + count) };
                let scratch = Scratch::within(&mut *memory);
                let inputs = inputs[..self.operands].iter();
                let inputs = inputs.map(|bytes| &elements(bytes, self.all)[start..start + count]);
                run_widened(&**operator, inputs, output, scratch, &Serial);
            }
        });
    }

    fn scratch_bytes(&self, threads: usize) -> usize {
        Scratch::bytes_per_task(threads, self.task_bytes())
    }

    fn weight_bytes(&self) -> usize {
        self.whole.weight_bytes() + self.last.as_ref().map_or(0, |last| last.weight_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::BinaryOp;
    use crate::kernels::CpuFeatures;
    use crate::kernels::operators::{F32Binary, Operands};

    #[test]
    fn sums_part_by_part_are_those_of_all() {
        let cpu = CpuFeatures::detect();
        // A part, whole parts, and some with a rest.
        for shape in [[1, 1], [3, 7], [128, 16], [2048, 1], [1000, 5], [1, 5000]] {
            let [_, channels] = shape;
            let slopes: Vec<f32> = (0..channels).map(|c| c as f32 / 8.0 - 0.5).collect();
            let sum = |rows: usize| -> Result<Box<dyn Operator>, ()> {
                let shape = [rows, channels];
                let operands = Operands::new(&cpu, &shape, &shape, &shape);
                let bounds = (f32::NEG_INFINITY, f32::INFINITY);
                Ok(Box::new(F32Binary::new(BinaryOp::Add, operands, Some(&slopes), bounds)))
            };
            let count = shape.iter().product();
            let number =
                |i: usize, step: usize| f16::from_f32((i * step % 201) as f32 / 16.0 - 6.0);
            let [a, b] =
                [37, 101].map(|step| (0..count).map(|i| number(i, step)).collect::<Vec<_>>());
            let wanted: Vec<f16> = (0..count)
                .map(|i| {
                    let sum = a[i].to_f32() + b[i].to_f32();
                    f16::from_f32(if sum < 0.0 { sum * slopes[i % channels] } else { sum })
                })
                .collect();
            let operator = WidenedRows::new(shape, 2, sum).unwrap();
            let mut y = vec![f16::ZERO; count];
            let bytes: [&[u8]; 2] = [bytemuck::cast_slice(&a), bytemuck::cast_slice(&b)];
            operator.run_alone(&bytes, &mut [bytemuck::cast_slice_mut(&mut y)], &Serial);
            assert_eq!(y, wanted, "{shape:?}");
        }
    }
}
