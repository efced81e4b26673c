//! The closed set of operators.
//!
//! Operand order is part of the contract and stands with each operator. Shapes are NHWC.

use serde::{Deserialize, Serialize};

/// Zeros (real zero, whatever the encoding) around the two spatial axes, already resolved from SAME or VALID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the left.
    pub left: usize,
    /// Columns to the right.
    pub right: usize,
}

/// A sliding window: the geometry shared by convolution and pooling. Pairs are `[vertical, horizontal]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Step between neighbouring outputs.
    pub stride: [usize; 2],
    /// Distance between neighbouring taps.
    pub dilation: [usize; 2],
    /// Padding of the input.
    pub padding: Padding,
}

impl Default for Window {
    /// One tap, every pixel.
    fn default() -> Self {
        Self { kernel: [1; 2], stride: [1; 2], dilation: [1; 2], padding: Padding::default() }
    }
}

/// What is applied to each result of a convolution, fully connected or arithmetic operator before it is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x < 0 ? x * slope[c] : x`; the slopes (one per channel, fp32) are the operator's last input. Only on
    /// `Conv2d`, `DepthwiseConv2d` and `FullyConnected`.
    Prelu,
}

/// Element-wise operators of one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnaryOp {
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `1 / (1 + exp(-x))`.
    Logistic,
    /// -1, 0 or 1. In a one-bit variant it becomes a `Convert` to bits, where 0 counts as +1.
    Sign,
    /// 1 where x is 0 or more, else -1: how networks of one bit take signs. In a one-bit variant it becomes bits.
    Bipolar,
    /// `|x|`.
    Abs,
    /// `-x`.
    Neg,
    /// `e^x`.
    Exp,
    /// Natural logarithm.
    Log,
    /// Square root.
    Sqrt,
    /// Hyperbolic tangent.
    Tanh,
    /// Error function.
    Erf,
    /// Largest integer not above x.
    Floor,
    /// Smallest integer not below x.
    Ceil,
    /// Nearest integer, halves to even.
    Round,
}

/// Element-wise operators of two operands, with NumPy broadcasting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Maximum,
    Minimum,
}

/// Reductions over axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ReduceOp {
    Mean,
    Sum,
    Max,
    Min,
}

/// An operator. The arithmetic follows from the encodings of its operands and results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// Inputs: x `[n, h, w, ci]`, weights `[co, kh, kw, ci]`, bias `[co]`, then slopes `[co]` with
    /// [`Activation::Prelu`]. With a result of `Bits`: then thresholds `[co]`. With x of `Bits` and a result of fp32: then
    /// factors `[co]` and offsets `[co]`, which are applied after the activation.
    Conv2d {
        /// Geometry.
        window: Window,
        /// Fused activation.
        activation: Activation,
    },
    /// Inputs: x `[n, h, w, c]`, weights `[1, kh, kw, c]`, bias `[c]`, then slopes `[c]`. With a result of `Bits`: then
    /// thresholds `[c]` in units of the accumulator; a bit is 1 when bias and products sum up to the threshold or more.
    DepthwiseConv2d {
        /// Geometry.
        window: Window,
        /// Fused activation.
        activation: Activation,
    },
    /// Inputs: x `[.., ci]` (seen as `[rows, ci]`), weights `[co, ci]`, bias `[co]`, then slopes `[co]`, or factors and
    /// offsets as [`Op::Conv2d`] has them.
    FullyConnected {
        /// Fused activation.
        activation: Activation,
    },
    /// Inputs: x, slopes (one per channel, fp32, `[c]`).
    Prelu,
    /// Input: x.
    Unary(UnaryOp),
    /// Inputs: a, b, broadcast against each other, then slopes (one per channel of the result, fp32, `[c]`) with
    /// [`Activation::Prelu`].
    Binary {
        /// The operation.
        op: BinaryOp,
        /// Fused activation (`Prelu` only behind a sum or a difference).
        activation: Activation,
    },
    /// Largest element of each window; padding never wins. Input: x `[n, h, w, c]`.
    MaxPool2d {
        /// Geometry (dilation 1).
        window: Window,
        /// Fused activation.
        activation: Activation,
    },
    /// Mean of the elements of each window, padding not counted. Input: x `[n, h, w, c]`.
    AveragePool2d {
        /// Geometry (dilation 1).
        window: Window,
        /// Fused activation.
        activation: Activation,
    },
    /// Adds real zeros: `[before, after]` per axis. Input: x. Bits have no zero: around them it adds +1, which is the sign
    /// of zero, and not along their last axis.
    Pad {
        /// One pair per axis.
        amounts: Vec<[usize; 2]>,
    },
    /// Bilinear interpolation of the spatial axes to a size. Input: x `[n, h, w, c]`.
    ResizeBilinear {
        /// Height and width of the result.
        size: [usize; 2],
        /// Sample positions `(i + 0.5) * scale - 0.5` instead of `i * scale`.
        half_pixel_centers: bool,
        /// The corners of input and output coincide.
        align_corners: bool,
    },
    /// Same elements, other shape (that of the result). Input: x.
    Reshape,
    /// Inputs: one or more tensors, joined along `axis`.
    Concat {
        /// The axis (not negative).
        axis: usize,
    },
    /// Input: x; the result keeps reduced axes as 1 when `keep_dims`.
    Reduce {
        /// The operation.
        op: ReduceOp,
        /// Sorted, distinct, not negative.
        axes: Vec<usize>,
        /// Whether the reduced axes stay.
        keep_dims: bool,
    },
    /// `exp(beta * x) / sum(exp(beta * x))` over the last axis. Input: x.
    Softmax {
        /// Factor of the exponent.
        beta: f32,
    },
    /// Picks slices along `axis`. Inputs: x, indices (an I32 constant).
    Gather {
        /// The axis (not negative).
        axis: usize,
    },
    /// Splits `axis` into as many results as it is long, without that axis. Input: x.
    Unpack {
        /// The axis (not negative).
        axis: usize,
    },
    /// Input: x. Per axis first index, step (not 0) and count, resolved from the masks of the format; the
    /// result's shape is that of the value (axes may be dropped).
    StridedSlice {
        /// First index per axis.
        begin: Vec<usize>,
        /// Step per axis; negative runs backwards.
        strides: Vec<isize>,
        /// Number of elements taken per axis.
        counts: Vec<usize>,
    },
    /// Changes the encoding, not the real numbers. Input: x; to `Bits` also thresholds `[c]`: a bit is 1 when
    /// `x >= threshold[c]` (an I32 constant in steps of q for an `Int8` input, fp32 otherwise).
    Convert,
    /// Axis `i` of the result is axis `perm[i]` of the operand. Input: x.
    Transpose {
        /// A permutation of the axes.
        perm: Vec<usize>,
    },
}

impl Op {
    /// The operator's name for people, in lower case: `conv_2d`, `add`, `reduce_max`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Conv2d { .. } => "conv_2d",
            Self::DepthwiseConv2d { .. } => "depthwise_conv_2d",
            Self::FullyConnected { .. } => "fully_connected",
            Self::Prelu => "prelu",
            Self::Unary(UnaryOp::Relu) => "relu",
            Self::Unary(UnaryOp::Relu6) => "relu6",
            Self::Unary(UnaryOp::Logistic) => "logistic",
            Self::Unary(UnaryOp::Sign) => "sign",
            Self::Unary(UnaryOp::Bipolar) => "bipolar",
            Self::Unary(UnaryOp::Abs) => "abs",
            Self::Unary(UnaryOp::Neg) => "neg",
            Self::Unary(UnaryOp::Exp) => "exp",
            Self::Unary(UnaryOp::Log) => "log",
            Self::Unary(UnaryOp::Sqrt) => "sqrt",
            Self::Unary(UnaryOp::Tanh) => "tanh",
            Self::Unary(UnaryOp::Erf) => "erf",
            Self::Unary(UnaryOp::Floor) => "floor",
            Self::Unary(UnaryOp::Ceil) => "ceil",
            Self::Unary(UnaryOp::Round) => "round",
            Self::Binary { op: BinaryOp::Add, .. } => "add",
            Self::Binary { op: BinaryOp::Sub, .. } => "sub",
            Self::Binary { op: BinaryOp::Mul, .. } => "mul",
            Self::Binary { op: BinaryOp::Div, .. } => "div",
            Self::Binary { op: BinaryOp::Maximum, .. } => "maximum",
            Self::Binary { op: BinaryOp::Minimum, .. } => "minimum",
            Self::MaxPool2d { .. } => "max_pool_2d",
            Self::AveragePool2d { .. } => "average_pool_2d",
            Self::Pad { .. } => "pad",
            Self::ResizeBilinear { .. } => "resize_bilinear",
            Self::Reshape => "reshape",
            Self::Concat { .. } => "concat",
            Self::Reduce { op: ReduceOp::Mean, .. } => "mean",
            Self::Reduce { op: ReduceOp::Sum, .. } => "sum",
            Self::Reduce { op: ReduceOp::Max, .. } => "reduce_max",
            Self::Reduce { op: ReduceOp::Min, .. } => "reduce_min",
            Self::Softmax { .. } => "softmax",
            Self::Gather { .. } => "gather",
            Self::Unpack { .. } => "unpack",
            Self::StridedSlice { .. } => "strided_slice",
            Self::Convert => "convert",
            Self::Transpose { .. } => "transpose",
        }
    }
}
