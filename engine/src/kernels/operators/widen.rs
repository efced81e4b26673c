//! fp16 storage around fp32 arithmetic.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::{Buffer, Operator, elements, elements_mut};
use crate::Pool;

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
        let wide = |(bytes, &count): (&&[u8], &usize)| {
            let mut buffer = Buffer::new(4 * count);
            let target = elements_mut::<f32>(buffer.bytes_mut(), count);
            elements::<f16>(bytes, count).convert_to_f32_slice(target);
            buffer
        };
        let wide_inputs: Vec<Buffer> = inputs.iter().zip(&self.inputs).map(wide).collect();
        let mut wide_outputs: Vec<Buffer> =
            self.outputs.iter().map(|&count| Buffer::new(4 * count)).collect();
        let input_bytes: Vec<&[u8]> = wide_inputs.iter().map(Buffer::bytes).collect();
        let mut output_bytes: Vec<&mut [u8]> =
            wide_outputs.iter_mut().map(Buffer::bytes_mut).collect();
        self.operator.run(&input_bytes, &mut output_bytes, pool);
        for ((bytes, wide), &count) in outputs.iter_mut().zip(&wide_outputs).zip(&self.outputs) {
            let source = elements::<f32>(wide.bytes(), count);
            elements_mut::<f16>(bytes, count).convert_from_f32_slice(source);
        }
    }

    fn weight_bytes(&self) -> usize {
        self.operator.weight_bytes()
    }
}
