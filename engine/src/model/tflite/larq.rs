//! The custom operators of Larq Compute Engine, which runs networks of one bit in TFLite files.

/// A custom operator of Larq Compute Engine (0.6 to 0.16). A tensor of signs is int32: 32 channels to an integer, from
/// the lowest bit on, which is set where the sign is -1; each pixel starts a new integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LarqOp {
    /// Numbers to signs; 0 counts as +1.
    Quantize,
    /// Signs to numbers, -1 and 1.
    Dequantize,
    /// A convolution of signs by signs: to numbers with a factor and an offset per channel, or to signs by a threshold.
    BConv2d,
    /// Largest sign of each window.
    BMaxPool2d,
}

impl LarqOp {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Quantize, Self::Dequantize, Self::BConv2d, Self::BMaxPool2d];

    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quantize => "LceQuantize",
            Self::Dequantize => "LceDequantize",
            Self::BConv2d => "LceBconv2d",
            Self::BMaxPool2d => "LceBMaxPool2d",
        }
    }

    /// The operator of this name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.name() == name)
    }
}
