//! fp16 storage around fp32 arithmetic.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::scratch::Scratch;
use super::{Operator, elements, elements_mut};
use crate::Pool;

/// The same numbers as fp32.
pub(super) fn widened(narrow: &[f16]) -> Scratch {
    let mut scratch = Scratch::new(4 * narrow.len());
    let wide = elements_mut(scratch.buffer().bytes_mut(), narrow.len());
    narrow.convert_to_f32_slice(wide);
    scratch
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

    /// The panels as fp32, one behind the other.
    pub(super) fn widened(&self) -> Scratch {
        let mut scratch = widened(&self.weights);
        let panels = elements_mut::<f32>(scratch.buffer().bytes_mut(), self.weights.len());
        for (panel, bias) in panels.chunks_mut(self.stride).zip(self.bias.chunks(self.nr)) {
            panel[..self.nr].copy_from_slice(bias);
        }
        scratch
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

/// An fp32 operator on operands and results that are stored as fp16.
#[derive(Debug)]
pub struct Widened {
    operator: Box<dyn Operator>,
    /// Elements of each operand.
    inputs: Vec<usize>,
    /// Elements of each result.
    outputs: Vec<usize>,
}

impl Widened {
    /// `operator` in fp32, and the elements of its operands and results.
    pub fn new(operator: Box<dyn Operator>, inputs: Vec<usize>, outputs: Vec<usize>) -> Self {
        Self { operator, inputs, outputs }
    }
}

impl Operator for Widened {
    fn run(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]], pool: &dyn Pool) {
        let wide = |(bytes, &count): (&&[u8], &usize)| widened(elements(bytes, count));
        let mut wide_inputs: Vec<Scratch> = inputs.iter().zip(&self.inputs).map(wide).collect();
        let mut wide_outputs: Vec<Scratch> =
            self.outputs.iter().map(|&count| Scratch::new(4 * count)).collect();
        let input_bytes: Vec<&[u8]> =
            wide_inputs.iter_mut().map(|scratch| scratch.buffer().bytes()).collect();
        let mut output_bytes: Vec<&mut [u8]> =
            wide_outputs.iter_mut().map(|scratch| scratch.buffer().bytes_mut()).collect();
        self.operator.run(&input_bytes, &mut output_bytes, pool);
        for ((bytes, wide), &count) in outputs.iter_mut().zip(&output_bytes).zip(&self.outputs) {
            elements_mut::<f16>(bytes, count).convert_from_f32_slice(elements(wide, count));
        }
    }

    fn weight_bytes(&self) -> usize {
        self.operator.weight_bytes()
    }
}
