//! The layers that benchmarks time: one list for `agent bench` and for the examples.
//!
//! Each [`Case`] is one operator on packed weights, as a plan would prepare it, with buffers of its own. Nothing is timed
//! here; callers bring the clock.

mod elementwise;
mod layers;

use elementwise::Elementwise;

use crate::kernels::CpuFeatures;
use crate::kernels::operators::{Buffer, Operator, Scratch};
use crate::{Level, Pool};

/// Cases that share a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Matrix products.
    Gemm,
    /// Dense convolutions.
    Conv,
    /// Depthwise convolutions.
    Depthwise,
    /// Fully connected layers, one row.
    Fc,
    /// Additions, activations, pooling, resizing, softmax; and a copy, to compare these with.
    Elementwise,
    /// Small matrix products of long depth whose operands stay in the first cache: what the kernels reach at best.
    Peak,
}

impl Family {
    /// All families.
    pub const ALL: [Self; 6] =
        [Self::Gemm, Self::Conv, Self::Depthwise, Self::Fc, Self::Elementwise, Self::Peak];

    /// As in `gemm`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gemm => "gemm",
            Self::Conv => "conv",
            Self::Depthwise => "depthwise",
            Self::Fc => "fc",
            Self::Elementwise => "elementwise",
            Self::Peak => "peak",
        }
    }
}

/// A layer, at one or more levels.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Kind, channels and extent, as in `conv3x3-64-56`.
    pub name: &'static str,
    /// The table that it belongs to.
    pub family: Family,
    layer: Layer,
}

/// Extents of output pixels, stride 1 and SAME padding but for what says otherwise.
#[derive(Clone, Copy, Debug)]
enum Layer {
    Dense { extent: [usize; 2], kernel: usize, stride: usize, in_c: usize, out_c: usize },
    Depthwise { extent: usize, kernel: usize, stride: usize, channels: usize },
    Peak { rows: usize },
    Elementwise(Elementwise),
}

const CASES: &[Case] = &[
    dense("gemm-256", Family::Gemm, [256, 1], 1, 256, 256),
    dense("conv1x1-128-28", Family::Conv, [28, 28], 1, 128, 128),
    dense("conv3x3-256-14", Family::Conv, [14, 14], 3, 256, 256),
    dense("conv3x3-64-56", Family::Conv, [56, 56], 3, 64, 64),
    Case {
        name: "conv3x3s2-3-32-112",
        family: Family::Conv,
        layer: Layer::Dense { extent: [112, 112], kernel: 3, stride: 2, in_c: 3, out_c: 32 },
    },
    dense("fc-1024", Family::Fc, [1, 1], 1, 1024, 1024),
    depthwise("depthwise3x3-128-28", 28, 3, 1, 128),
    depthwise("depthwise3x3s2-128-28", 28, 3, 2, 128),
    depthwise("depthwise5x5-128-28", 28, 5, 1, 128),
    depthwise("depthwise5x5s2-128-28", 28, 5, 2, 128),
    elementwise("copy-64-56", Elementwise::Copy),
    elementwise("add-64-56", Elementwise::Add),
    elementwise("prelu-64-56", Elementwise::Prelu),
    elementwise("average-pool2x2-64-56", Elementwise::AveragePool),
    elementwise("max-pool2x2-64-56", Elementwise::MaxPool),
    elementwise("resize2x-64-56", Elementwise::Resize),
    elementwise("softmax-64-56", Elementwise::Softmax),
    Case { name: "peak-48", family: Family::Peak, layer: Layer::Peak { rows: 48 } },
    Case { name: "peak-60", family: Family::Peak, layer: Layer::Peak { rows: 60 } },
];

const fn dense(
    name: &'static str,
    family: Family,
    extent: [usize; 2],
    kernel: usize,
    in_c: usize,
    out_c: usize,
) -> Case {
    Case { name, family, layer: Layer::Dense { extent, kernel, stride: 1, in_c, out_c } }
}

const fn depthwise(
    name: &'static str,
    extent: usize,
    kernel: usize,
    stride: usize,
    channels: usize,
) -> Case {
    let layer = Layer::Depthwise { extent, kernel, stride, channels };
    Case { name, family: Family::Depthwise, layer }
}

const fn elementwise(name: &'static str, which: Elementwise) -> Case {
    Case { name, family: Family::Elementwise, layer: Layer::Elementwise(which) }
}

/// All cases.
pub fn cases() -> &'static [Case] {
    CASES
}

impl Case {
    /// Levels that this layer runs at as named; depthwise layers have fp16 and integer arithmetic only.
    pub fn levels(&self) -> &'static [Level] {
        use Level::{Bin1, Fp16, Fp32, Int2, Int4, Int8};
        match self.layer {
            // Words of 64 channels: one-bit arithmetic on three of them is never chosen.
            Layer::Dense { in_c, .. } if in_c < 64 => &[Fp32, Fp16, Int8, Int4],
            Layer::Dense { .. } => &[Fp32, Fp16, Int8, Int4, Int2, Bin1],
            Layer::Peak { .. } => &[Fp32, Int8, Int4, Int2, Bin1],
            Layer::Depthwise { .. } => &[Fp32, Fp16, Int8],
            Layer::Elementwise(_) => &[Fp32, Int8],
        }
    }

    /// The layer ready to run at `level`; `None` where it does not run at that level as named.
    pub fn prepare(&self, level: Level, cpu: &CpuFeatures) -> Option<Prepared> {
        if !self.levels().contains(&level) {
            return None;
        }
        match self.layer {
            Layer::Dense { extent, kernel, stride, in_c, out_c } => {
                let shape = layers::same(extent, kernel, stride, in_c, out_c);
                layers::dense(cpu, &shape, level)
            }
            Layer::Depthwise { extent, kernel, stride, channels } => {
                let shape = layers::same([extent, extent], kernel, stride, channels, channels);
                layers::depthwise(cpu, &shape, level)
            }
            Layer::Peak { rows } => layers::peak(cpu, rows, level),
            Layer::Elementwise(which) => elementwise::prepare(cpu, which, level),
        }
    }
}

/// A layer at a level, and its buffers.
#[derive(Debug)]
pub struct Prepared {
    operator: Box<dyn Operator>,
    inputs: Vec<Buffer>,
    output: Buffer,
    /// As much as the operator needed for the threads that it ran on.
    scratch: Buffer,
    macs: u64,
    bytes: u64,
}

impl Prepared {
    /// Bytes of each input and of the output; `macs` counts padded taps too.
    fn new(operator: Box<dyn Operator>, inputs: &[usize], output: usize, macs: usize) -> Self {
        let moved = inputs.iter().sum::<usize>() + output + operator.weight_bytes();
        Self {
            inputs: inputs.iter().map(|&bytes| Buffer::new(bytes)).collect(),
            output: Buffer::new(output),
            scratch: Buffer::default(),
            macs: macs as u64,
            bytes: moved as u64,
            operator,
        }
    }

    /// Computes the layer once.
    pub fn run(&mut self, pool: &dyn Pool) {
        self.scratch.grow(self.operator.scratch_bytes(pool.threads()));
        let mut inputs: [&[u8]; 2] = [&[], &[]];
        for (bytes, input) in inputs.iter_mut().zip(&self.inputs) {
            *bytes = input.bytes();
        }
        let inputs = &inputs[..self.inputs.len()];
        let scratch = Scratch::new(&mut self.scratch);
        self.operator.run(inputs, &mut [self.output.bytes_mut()], scratch, pool);
    }

    /// The micro-kernel that was selected; empty where there is none.
    pub fn kernel(&self) -> &'static str {
        self.operator.kernel()
    }

    /// Multiply-accumulates, padding included; 0 for element-wise layers.
    pub fn macs(&self) -> u64 {
        self.macs
    }

    /// Bytes of inputs, packed weights and output, each once.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Serial;

    #[test]
    fn every_case_runs_at_its_levels_and_names_are_unique() {
        let mut names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
        for case in CASES.iter().filter(|case| case.family != Family::Conv) {
            for level in Level::ALL {
                let prepared = case.prepare(level, &CpuFeatures::detect());
                assert_eq!(prepared.is_some(), case.levels().contains(&level), "{}", case.name);
                if let Some(mut prepared) = prepared {
                    prepared.run(&Serial);
                    let multiplies = case.family != Family::Elementwise;
                    assert_eq!(!prepared.kernel().is_empty(), multiplies, "{}", case.name);
                    assert_eq!(prepared.macs() > 0, multiplies, "{}", case.name);
                    assert!(prepared.bytes() > 0);
                }
            }
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CASES.len());
    }

    #[test]
    fn fewer_bits_move_fewer_bytes() {
        let case = CASES.iter().find(|case| case.name == "gemm-256").unwrap();
        let bytes = |level| case.prepare(level, &CpuFeatures::portable()).unwrap().bytes();
        assert!(bytes(Level::Fp32) > bytes(Level::Fp16));
        assert!(bytes(Level::Fp16) > bytes(Level::Int8));
        assert!(bytes(Level::Int8) > bytes(Level::Int4));
        assert!(bytes(Level::Int4) > bytes(Level::Bin1));
    }
}
