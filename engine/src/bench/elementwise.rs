//! Layers without weights, which move data rather than multiply.

use super::Prepared;
use crate::graph::{BinaryOp, Window};
use crate::kernels::operators::{
    ConvShape, F32AveragePool, F32Binary, F32MaxPool, F32Prelu, F32Resize, F32Softmax, I8Add,
    I8AveragePool, I8MaxPool, I8Prelu, I8Resize, I8Softmax, Operands, Operator, Scratch,
};
use crate::kernels::{CpuFeatures, RequantParams};
use crate::{Level, Pool};

/// Rows and columns of the input.
const EXTENT: usize = 56;
/// Channels of input and output.
const CHANNELS: usize = 64;
/// Scale and zero point of 8-bit tensors.
const ENCODING: (f32, i8) = (0.02, 3);

/// What to compute on [`EXTENT`] squared pixels of [`CHANNELS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Elementwise {
    /// What memory allows.
    Copy,
    /// Of two tensors.
    Add,
    /// A slope per channel.
    Prelu,
    /// 2x2, stride 2.
    AveragePool,
    /// 2x2, stride 2.
    MaxPool,
    /// Bilinear, to twice the extent.
    Resize,
    /// Over channels.
    Softmax,
}

/// Copies bytes.
#[derive(Debug)]
struct Copy(usize);

impl Operator for Copy {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        _scratch: Scratch<'_>,
        _pool: &dyn Pool,
    ) {
        outputs[0][..self.0].copy_from_slice(&inputs[0][..self.0]);
    }
}

/// At fp32 and int8.
pub(super) fn prepare(cpu: &CpuFeatures, which: Elementwise, level: Level) -> Option<Prepared> {
    let count = EXTENT * EXTENT * CHANNELS;
    let (operator, size) = match level {
        Level::Fp32 => (float(cpu, which, count), 4),
        Level::Int8 => (integer(cpu, which, count), 1),
        _ => return None,
    };
    let inputs = vec![size * count; if which == Elementwise::Add { 2 } else { 1 }];
    let results = match which {
        Elementwise::AveragePool | Elementwise::MaxPool => count / 4,
        Elementwise::Resize => 4 * count,
        _ => count,
    };
    Some(Prepared::new(operator, &inputs, size * results, 0))
}

fn float(cpu: &CpuFeatures, which: Elementwise, count: usize) -> Box<dyn Operator> {
    let bounds = (f32::NEG_INFINITY, f32::INFINITY);
    match which {
        Elementwise::Copy => Box::new(Copy(4 * count)),
        Elementwise::Add => Box::new(F32Binary::new(BinaryOp::Add, operands(cpu), None, bounds)),
        Elementwise::Prelu => Box::new(F32Prelu::new(cpu, &[0.1; CHANNELS], count)),
        Elementwise::AveragePool => Box::new(F32AveragePool::new(cpu, &halved(), bounds)),
        Elementwise::MaxPool => Box::new(F32MaxPool::new(cpu, &halved(), bounds)),
        Elementwise::Resize => Box::new(F32Resize::new(cpu, image(), [2 * EXTENT; 2], true, false)),
        Elementwise::Softmax => Box::new(F32Softmax { beta: 1.0, row: CHANNELS, count }),
    }
}

fn integer(cpu: &CpuFeatures, which: Elementwise, count: usize) -> Box<dyn Operator> {
    let bounds = (i8::MIN, i8::MAX);
    match which {
        Elementwise::Copy => Box::new(Copy(count)),
        Elementwise::Add => Box::new(I8Add::new(operands(cpu), [ENCODING; 3], 1, None, bounds)),
        Elementwise::Prelu => {
            let (ones, slopes) = ([1.0; CHANNELS], [0.1; CHANNELS]);
            let requant = RequantParams::from_real(&ones, Some(&slopes), ENCODING.1, -128, 127);
            Box::new(I8Prelu::new(requant, ENCODING.1, count))
        }
        Elementwise::AveragePool => {
            Box::new(I8AveragePool::new(cpu, &halved(), ENCODING, ENCODING, bounds))
        }
        Elementwise::MaxPool => Box::new(I8MaxPool::new(cpu, &halved(), bounds)),
        Elementwise::Resize => Box::new(I8Resize::new(cpu, image(), [2 * EXTENT; 2], true, false)),
        Elementwise::Softmax => Box::new(I8Softmax::new(1.0, ENCODING.0, CHANNELS, count)),
    }
}

/// The input's shape.
fn image() -> [usize; 4] {
    [1, EXTENT, EXTENT, CHANNELS]
}

fn operands(cpu: &CpuFeatures) -> Operands {
    Operands::new(cpu, &image(), &image(), &image())
}

/// A pooling window of 2x2, stride 2.
fn halved() -> ConvShape {
    let window = Window { kernel: [2; 2], stride: [2; 2], ..Window::default() };
    let (in_c, out_c) = (CHANNELS, CHANNELS);
    let (out_h, out_w) = (EXTENT / 2, EXTENT / 2);
    ConvShape { batch: 1, in_h: EXTENT, in_w: EXTENT, in_c, out_h, out_w, out_c, window }
}
