//! fp16 storage around fp32 arithmetic.

use half::f16;

use super::{Operator, Scratch, elements, elements_mut};
use crate::Pool;
use crate::kernels::fp16;
use crate::kernels::pack::Panels;

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
        mut scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        let mut wide_inputs: [&[u8]; 2] = [&[], &[]];
        for ((wide, bytes), &count) in wide_inputs.iter_mut().zip(inputs).zip(&self.inputs) {
            *wide = bytemuck::cast_slice(widened(elements(bytes, count), &mut scratch));
        }
        let wide = scratch.take::<f32>(self.output);
        self.operator.run(
            &wide_inputs[..self.inputs.len()],
            &mut [bytemuck::cast_slice_mut(wide)],
            scratch,
            pool,
        );
        fp16::narrow(&wide[..self.output], elements_mut(outputs[0], self.output));
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
