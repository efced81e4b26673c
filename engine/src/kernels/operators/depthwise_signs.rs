//! Depthwise convolutions of 8-bit operands whose results are bits.

use super::depthwise::{Input, Rows};
use super::{ConvShape, I8DepthwiseConv, I8Signs, Operator, Scratch, elements_mut};
use crate::Pool;
use crate::kernels::i8_depthwise::threshold_blocks;
use crate::kernels::isa::CpuFeatures;
use crate::kernels::micro::{I8DepthwiseSigns, I8DepthwiseSignsArgs, SLACK};
use crate::kernels::pack::{self, Panels};
use crate::kernels::registry;
use crate::kernels::requant::RequantParams;

/// A bit for each result: 1 where bias and products sum up to the channel's threshold or more.
#[derive(Debug)]
pub struct I8DepthwiseSignsConv(Way);

#[derive(Debug)]
enum Way {
    /// All products of a window add up in 16 bits, and there is a kernel for that.
    Narrow(Box<Narrow>),
    /// Any other layer.
    Bytes(Box<Bytes>),
}

/// Sums less thresholds, kept within 8 bits, and their signs.
#[derive(Debug)]
struct Bytes {
    conv: I8DepthwiseConv,
    signs: I8Signs,
    count: usize,
}

#[derive(Debug)]
struct Narrow {
    rows: Rows,
    kernel: &'static I8DepthwiseSigns,
    packed: Panels<i8>,
    /// For sums of products without bias.
    thresholds: Vec<[i16; 16]>,
    /// A pixel of zero points.
    padding: Vec<i8>,
}

/// Beyond all sums of a window, and half of what 32 bits hold.
const MOST: i64 = 1 << 30;

impl I8DepthwiseSignsConv {
    /// Weights `[taps, channels]`; biases and thresholds `[channels]` in units of input scale times weight scale, for inputs
    /// less their zero point.
    pub fn new(
        cpu: &CpuFeatures,
        shape: &ConvShape,
        weights: &[i8],
        bias: &[i32],
        thresholds: &[i32],
        input_zero_point: i8,
    ) -> Self {
        let channels = shape.in_c;
        assert_eq!(bias.len(), channels, "a bias per channel");
        assert_eq!(thresholds.len(), channels, "a threshold per channel");
        let mut magnitudes = vec![0_u32; channels];
        let mut sums = vec![0_i64; channels];
        for weights in weights.chunks_exact(channels) {
            for ((magnitude, sum), w) in magnitudes.iter_mut().zip(&mut sums).zip(weights) {
                *magnitude += u32::from(w.unsigned_abs());
                *sum += i64::from(*w);
            }
        }
        let kernel = registry::select_depthwise_signs(cpu, shape.work(channels, 1));
        let differences = thresholds.iter().zip(bias).map(|(t, b)| i64::from(*t) - i64::from(*b));
        match kernel {
            Some(kernel) if magnitudes.iter().all(|&magnitude| magnitude <= 255) => {
                let least = differences.zip(&sums).map(|(difference, sum)| {
                    (difference + sum * i64::from(input_zero_point))
                        .clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16
                });
                let thresholds = threshold_blocks(&least.collect::<Vec<i16>>());
                let packed = pack::i8_depthwise(kernel.tile, weights, bias, shape.taps());
                let padding = vec![input_zero_point; channels + SLACK];
                let rows = Rows::new(shape);
                let narrow = Narrow { rows, kernel, packed, thresholds, padding };
                Self(Way::Narrow(Box::new(narrow)))
            }
            _ => {
                let less: Vec<i32> =
                    differences.map(|difference| (-difference).clamp(-MOST, MOST) as i32).collect();
                // As near to 1 as factors without a left shift are, which changes no sign.
                let factors = vec![1.0 - 0.5_f64.powi(31); channels];
                let requant = RequantParams::from_real(&factors, None, 0, -128, 127);
                let conv =
                    I8DepthwiseConv::new(cpu, shape, weights, &less, input_zero_point, requant);
                let signs = I8Signs::new(cpu, &vec![0; channels], shape.out_pixels());
                let count = shape.out_pixels() * channels;
                Self(Way::Bytes(Box::new(Bytes { conv, signs, count })))
            }
        }
    }
}

impl Narrow {
    fn run(&self, input: &[u8], output: &mut [u8], scratch: Scratch<'_>, pool: &dyn Pool) {
        let shape = self.rows.geometry.shape();
        let words = shape.in_c.div_ceil(64);
        assert!(input.len() >= shape.in_pixels() * shape.in_c + SLACK);
        let input = Input::Stored(bytemuck::cast_slice::<u8, i8>(input));
        let output = elements_mut::<u64>(output, shape.out_pixels() * words);
        self.rows.run(&input, &self.padding, output, scratch, pool, |taps, output, _| {
            if !shape.in_c.is_multiple_of(64) {
                // Bytes behind the last channel stay 0.
                output.iter_mut().skip(words - 1).step_by(words).for_each(|last| *last = 0);
            }
            let args = I8DepthwiseSignsArgs {
                pixels: shape.out_w,
                channels: shape.in_c,
                taps,
                w: self.packed.panel(0).as_ptr(),
                thresholds: self.thresholds.as_ptr(),
                c: output.as_mut_ptr().cast(),
                c_stride: 8 * words,
            };
            // SAFETY: selection gave a kernel of this CPU; pointers are rows of `input` or `padding`, both readable for
            // SLACK bytes past their channels, and `output` is a whole row, with a byte for each block of channels.
            unsafe { (self.kernel.run)(&args) };
        });
    }
}

impl Operator for I8DepthwiseSignsConv {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        mut scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        match &self.0 {
            Way::Narrow(narrow) => narrow.run(inputs[0], outputs[0], scratch, pool),
            Way::Bytes(layer) => {
                let bytes = scratch.take::<u8>(layer.count);
                layer.conv.run(inputs, &mut [bytes], scratch, pool);
                layer.signs.run(&[bytes], outputs, Scratch::within(&mut []), pool);
            }
        }
    }

    fn scratch_bytes(&self, threads: usize) -> usize {
        match &self.0 {
            Way::Narrow(narrow) => narrow.rows.scratch_bytes::<i8>(threads),
            Way::Bytes(layer) => {
                Scratch::bytes_for::<u8>(layer.count) + layer.conv.scratch_bytes(threads)
            }
        }
    }

    fn kernel(&self) -> &'static str {
        match &self.0 {
            Way::Narrow(narrow) => narrow.kernel.name,
            Way::Bytes(layer) => layer.conv.kernel(),
        }
    }

    fn weight_bytes(&self) -> usize {
        match &self.0 {
            Way::Narrow(narrow) => narrow.packed.bytes() + size_of_val(&narrow.thresholds[..]),
            Way::Bytes(layer) => layer.conv.weight_bytes() + layer.signs.weight_bytes(),
        }
    }
}
