//! From a node of the graph to an operator.

use crate::graph::{
    Activation, BinaryOp, Constant, ConstantData, Encoding, Graph, Node, Op, ReduceOp, UnaryOp,
    Value, ValueId, Window,
};
use crate::kernels::operators::{
    Affine, BinConv, BinMaxPool, Concat, ConvShape, Convert, CopyRows, F32AveragePool, F32Binary,
    F32DepthwiseConv, F32MaxPool, F32Prelu, F32Reduce, F32Resize, F32Signs, F32Softmax, F32Unary,
    Gather, I8Add, I8AveragePool, I8Conv, I8DepthwiseConv, I8DepthwiseSignsConv, I8MaxPool, I8Mean,
    I8Mul, I8Prelu, I8Resize, I8Signs, I8Softmax, I8Table, IntegerWeights, Operands, Operator,
    Widened, WidenedRows, bin_conv, float_conv, unary,
};
use crate::kernels::{CpuFeatures, RequantParams};

/// An operator and the values that it reads when it runs.
pub(super) struct Lowered {
    pub(super) operator: Box<dyn Operator>,
    pub(super) operands: Vec<ValueId>,
}

/// Most products of a sum of a layer on bits with a result in fp32.
const MAX_PRODUCTS: usize = 1 << 21;

type Result<T> = std::result::Result<T, String>;

/// Bytes of a value's elements.
pub(super) fn value_bytes(value: &Value) -> usize {
    let last = value.shape.last().copied().unwrap_or(1);
    match value.encoding {
        Encoding::Bits => value.elements() / last * last.div_ceil(64) * 8,
        Encoding::Ternary => 2 * value.elements() / last * last.div_ceil(64) * 8,
        Encoding::Int4 | Encoding::Int4Groups { .. } => value.elements().div_ceil(2),
        encoding => value.elements() * element_bytes(encoding),
    }
}

fn element_bytes(encoding: Encoding) -> usize {
    match encoding {
        Encoding::F32 | Encoding::I32 => 4,
        Encoding::F16 => 2,
        Encoding::Int8 { .. }
        | Encoding::Int4
        | Encoding::Int4Groups { .. }
        | Encoding::Bits
        | Encoding::Ternary => 1,
    }
}

/// The stored elements of a constant.
pub(super) fn constant_bytes(constant: &Constant) -> &[u8] {
    match &constant.data {
        ConstantData::F32(data) => bytemuck::cast_slice(data),
        ConstantData::F16(data) => bytemuck::cast_slice(data),
        ConstantData::I8(data) => bytemuck::cast_slice(data),
        ConstantData::I4(data) | ConstantData::I4Groups { weights: data, .. } => data,
        ConstantData::Bits(data) => bytemuck::cast_slice(data),
        ConstantData::I32(data) => bytemuck::cast_slice(data),
    }
}

/// The operator that computes `node` on `cpu`.
pub(super) fn lower(graph: &Graph, node: &Node, cpu: &CpuFeatures) -> Result<Lowered> {
    let context = Context { graph, node, cpu };
    let operands = match node.op {
        Op::Binary { .. } => node.inputs[..2].to_vec(),
        Op::Concat { .. } => node.inputs.clone(),
        _ => vec![node.inputs[0]],
    };
    Ok(Lowered { operator: context.lower()?, operands })
}

struct Context<'a> {
    graph: &'a Graph,
    node: &'a Node,
    cpu: &'a CpuFeatures,
}

fn boxed(operator: impl Operator + 'static) -> Result<Box<dyn Operator>> {
    Ok(Box::new(operator))
}

/// Bounds of an activation in real numbers.
fn real_bounds(activation: Activation) -> (f32, f32) {
    match activation {
        Activation::None | Activation::Prelu => (f32::NEG_INFINITY, f32::INFINITY),
        Activation::Relu => (0.0, f32::INFINITY),
        Activation::Relu6 => (0.0, 6.0),
    }
}

/// Bounds of an activation in steps of a result with this encoding.
fn i8_bounds(activation: Activation, (scale, zero_point): (f32, i8)) -> (i8, i8) {
    let step = |real: f32| {
        ((real / scale).round_ties_even() + f32::from(zero_point)).clamp(-128.0, 127.0) as i8
    };
    let (min, max) = real_bounds(activation);
    (step(min), step(max))
}

impl Context<'_> {
    fn value(&self, operand: usize) -> Result<&Value> {
        let id = self.node.inputs.get(operand).ok_or("an operand is missing")?;
        Ok(&self.graph.values[*id])
    }

    fn result(&self) -> &Value {
        &self.graph.values[self.node.outputs[0]]
    }

    fn constant(&self, operand: usize) -> Result<&Constant> {
        let value = self.value(operand)?;
        value.constant.as_ref().ok_or_else(|| format!("operand {operand} must be a constant"))
    }

    fn f32s(&self, operand: usize) -> Result<&[f32]> {
        self.constant(operand)?.as_f32().ok_or_else(|| format!("operand {operand} must be fp32"))
    }

    fn i32s(&self, operand: usize) -> Result<&[i32]> {
        let constant = self.constant(operand)?;
        constant.as_i32().ok_or_else(|| format!("operand {operand} must hold integers"))
    }

    fn i8_encoding(value: &Value) -> Result<(f32, i8)> {
        match value.encoding {
            Encoding::Int8 { scale, zero_point } => Ok((scale, zero_point)),
            other => Err(format!("{} is {other:?}, not 8 bits", value.name)),
        }
    }

    fn lower(&self) -> Result<Box<dyn Operator>> {
        let input = self.value(0)?;
        let size = element_bytes(input.encoding);
        match &self.node.op {
            Op::Convert => self.convert(),
            _ if input.encoding == Encoding::Bits => match &self.node.op {
                Op::Conv2d { window, activation } => self.bin_conv(*window, *activation),
                Op::FullyConnected { activation } => self.bin_conv(Window::default(), *activation),
                Op::MaxPool2d { window, activation: Activation::None } => {
                    self.same_encoding()?;
                    boxed(BinMaxPool::new(self.cpu, &self.conv_shape(*window)?))
                }
                Op::Pad { amounts } if amounts.last() == Some(&[0, 0]) => {
                    self.same_encoding()?;
                    boxed(CopyRows::pad_signs(&input.shape, amounts))
                }
                _ => Err("it does not compute on bits".to_owned()),
            },
            Op::Pad { amounts } => boxed(CopyRows::pad(&input.shape, amounts, self.zero()?)),
            Op::Reshape => {
                self.same_encoding()?;
                boxed(CopyRows::new(vec![vec![(0, 0)]], input.elements(), size))
            }
            Op::Concat { axis } => {
                for operand in 0..self.node.inputs.len() {
                    if self.value(operand)?.encoding != self.result().encoding {
                        return Err("operands and result differ in encoding".to_owned());
                    }
                }
                let shapes: Vec<&[usize]> =
                    self.node.inputs.iter().map(|&id| &self.graph.values[id].shape[..]).collect();
                boxed(Concat::new(&shapes, *axis, size))
            }
            Op::Gather { axis } => {
                self.same_encoding()?;
                let indices: Vec<usize> = self.i32s(1)?.iter().map(|&i| i as usize).collect();
                boxed(Gather::new(&input.shape, *axis, &indices, size))
            }
            Op::Unpack { axis } => {
                self.same_encoding()?;
                boxed(CopyRows::unpack(&input.shape, *axis, size))
            }
            Op::Transpose { perm } => {
                self.same_encoding()?;
                boxed(CopyRows::transpose(&input.shape, perm, size))
            }
            Op::StridedSlice { begin, strides, counts } => {
                self.same_encoding()?;
                boxed(CopyRows::strided_slice(&input.shape, begin, strides, counts, size))
            }
            _ => match input.encoding {
                Encoding::F32 => self.float(false),
                Encoding::F16 => self.float(true),
                Encoding::Int8 { .. } => self.int8(),
                _ => Err("it does not compute on integers".to_owned()),
            },
        }
    }

    fn same_encoding(&self) -> Result<()> {
        let same = |id: &ValueId| {
            self.graph.values[*id].encoding == self.graph.values[self.node.inputs[0]].encoding
        };
        if self.node.outputs.iter().all(same) {
            Ok(())
        } else {
            Err("it must keep the encoding".to_owned())
        }
    }

    /// The bytes of one element that stands for zero.
    fn zero(&self) -> Result<Vec<u8>> {
        self.same_encoding()?;
        Ok(match self.result().encoding {
            Encoding::Int8 { zero_point, .. } => zero_point.to_ne_bytes().to_vec(),
            encoding => vec![0; element_bytes(encoding)],
        })
    }

    fn conv_shape(&self, window: Window) -> Result<ConvShape> {
        let (x, y) = (&self.value(0)?.shape, &self.result().shape);
        let (&[batch, in_h, in_w, in_c], &[_, out_h, out_w, out_c]) = (&x[..], &y[..]) else {
            return Err("it needs four axes".to_owned());
        };
        Ok(ConvShape { batch, in_h, in_w, in_c, out_h, out_w, out_c, window })
    }

    /// The shape of a convolution or fully connected layer.
    fn product_shape(&self, window: Window) -> Result<ConvShape> {
        if !matches!(self.node.op, Op::FullyConnected { .. }) {
            return self.conv_shape(window);
        }
        let weights = &self.value(1)?.shape;
        let &[out_c, in_c] = &weights[..] else {
            return Err("its weights need two axes".to_owned());
        };
        Ok(ConvShape::matrix(self.value(0)?.elements() / in_c, in_c, out_c))
    }

    /// The slopes of a fused PReLU: the last operand of a layer or of a sum.
    fn slopes(&self, activation: Activation) -> Result<Option<&[f32]>> {
        let operand = if matches!(self.node.op, Op::Binary { .. }) { 2 } else { 3 };
        if activation == Activation::Prelu { self.f32s(operand).map(Some) } else { Ok(None) }
    }

    fn float(&self, half: bool) -> Result<Box<dyn Operator>> {
        self.float_result(half)?;
        match &self.node.op {
            Op::Conv2d { window, activation } => self.float_conv(*window, *activation, half),
            Op::FullyConnected { activation } => {
                self.float_conv(Window::default(), *activation, half)
            }
            Op::DepthwiseConv2d { window, activation } => {
                let (weights, slopes) = (self.float_weights(half)?, self.slopes(*activation)?);
                let (shape, bounds) = (self.conv_shape(*window)?, real_bounds(*activation));
                boxed(F32DepthwiseConv::new(
                    self.cpu,
                    &shape,
                    &weights,
                    self.f32s(2)?,
                    slopes,
                    bounds,
                    half,
                ))
            }
            _ if half => {
                if let Some(operator) = self.half_rows()? {
                    return Ok(operator);
                }
                let operands = match self.node.op {
                    Op::Binary { .. } => &self.node.inputs[..2],
                    _ => &self.node.inputs[..1],
                };
                let counts = operands.iter().map(|&id| self.graph.values[id].elements()).collect();
                boxed(Widened::new(self.float_rest()?, counts, self.result().elements()))
            }
            _ => self.float_rest(),
        }
    }

    fn float_result(&self, half: bool) -> Result<()> {
        let wanted = if half { Encoding::F16 } else { Encoding::F32 };
        if self.result().encoding == wanted {
            Ok(())
        } else {
            Err(format!("its result must be {wanted:?}"))
        }
    }

    /// Weights as fp32, whatever their stored width.
    fn float_weights(&self, half: bool) -> Result<Vec<f32>> {
        match &self.constant(1)?.data {
            ConstantData::F32(data) if !half => Ok(data.clone()),
            ConstantData::F16(data) if half => Ok(data.iter().map(|x| x.to_f32()).collect()),
            _ => Err("its weights have another width than its operands".to_owned()),
        }
    }

    fn float_conv(
        &self,
        window: Window,
        activation: Activation,
        half: bool,
    ) -> Result<Box<dyn Operator>> {
        let (weights, slopes) = (self.float_weights(half)?, self.slopes(activation)?);
        let (shape, bounds) = (self.product_shape(window)?, real_bounds(activation));
        Ok(float_conv(self.cpu, &shape, &weights, self.f32s(2)?, slopes, bounds, half))
    }

    /// Operators on the elements of operands of one shape, in fp16: rows by rows.
    fn half_rows(&self) -> Result<Option<Box<dyn Operator>>> {
        let operands = match self.node.op {
            Op::Binary { .. } if self.value(0)?.shape == self.value(1)?.shape => 2,
            Op::Prelu | Op::Unary(_) => 1,
            _ => return Ok(None),
        };
        let channels = self.result().shape.last().copied().unwrap_or(1);
        let rows = self.result().elements() / channels;
        let operator = |rows| self.float_rows([rows, channels]);
        Ok(Some(Box::new(WidenedRows::new([rows, channels], operands, operator)?)))
    }

    /// Such an operator in fp32.
    fn float_rows(&self, shape: [usize; 2]) -> Result<Box<dyn Operator>> {
        let count = shape.iter().product();
        match &self.node.op {
            Op::Prelu => boxed(F32Prelu::new(self.cpu, self.f32s(1)?, count)),
            Op::Unary(op) => boxed(F32Unary::new(self.cpu, *op, count)),
            Op::Binary { op, activation } => {
                let (slopes, bounds) = (self.slopes(*activation)?, real_bounds(*activation));
                let operands = Operands::new(self.cpu, &shape, &shape, &shape);
                boxed(F32Binary::new(*op, operands, slopes, bounds))
            }
            op => Err(format!("{} has more than elements", op.name())),
        }
    }

    /// fp32 operators without kernels of their own for fp16.
    fn float_rest(&self) -> Result<Box<dyn Operator>> {
        let input = self.value(0)?;
        let count = input.elements();
        match &self.node.op {
            Op::Prelu | Op::Unary(_) => self.float_rows([1, count]),
            Op::Binary { op, activation } => {
                let (slopes, bounds) = (self.slopes(*activation)?, real_bounds(*activation));
                boxed(F32Binary::new(*op, self.binary_operands()?, slopes, bounds))
            }
            Op::MaxPool2d { window, activation } => {
                let shape = self.conv_shape(*window)?;
                boxed(F32MaxPool::new(self.cpu, &shape, real_bounds(*activation)))
            }
            Op::AveragePool2d { window, activation } => {
                let shape = self.conv_shape(*window)?;
                boxed(F32AveragePool::new(self.cpu, &shape, real_bounds(*activation)))
            }
            Op::ResizeBilinear { size, half_pixel_centers, align_corners } => {
                let shape = four(&input.shape)?;
                boxed(F32Resize::new(self.cpu, shape, *size, *half_pixel_centers, *align_corners))
            }
            Op::Reduce { op, axes, .. } => boxed(F32Reduce::new(self.cpu, *op, &input.shape, axes)),
            Op::Softmax { beta } => {
                let row = input.shape.last().copied().unwrap_or(1);
                boxed(F32Softmax { beta: *beta, row, count })
            }
            op => Err(format!("{} does not compute in floating point", op.name())),
        }
    }

    /// Real factors per channel from accumulator to result, and those of negative accumulators for PReLU; weights have room for
    /// `left` more bits.
    fn requant(&self, unit: f64, activation: Activation, left: i32) -> Result<RequantParams> {
        let output = Self::i8_encoding(self.result())?;
        let scales = &self.constant(1)?.scales;
        let channels = self.i32s(2)?.len();
        if scales.len() != channels {
            return Err(format!("it has {} weight scales for {channels} channels", scales.len()));
        }
        let factors: Vec<f64> =
            scales.iter().map(|&scale| unit * f64::from(scale) / f64::from(output.0)).collect();
        let negative: Option<Vec<f64>> = self.slopes(activation)?.map(|slopes| {
            factors.iter().zip(slopes).map(|(factor, &slope)| factor * f64::from(slope)).collect()
        });
        let bounds = i8_bounds(activation, output);
        Ok(RequantParams::with_left(&factors, negative.as_deref(), output.1, bounds, left))
    }

    fn i8_weights(&self) -> Result<&[i8]> {
        match &self.constant(1)?.data {
            ConstantData::I8(data) => Ok(data),
            _ => Err("its weights must have 8 bits".to_owned()),
        }
    }

    fn bin_conv(&self, window: Window, activation: Activation) -> Result<Box<dyn Operator>> {
        let ConstantData::Bits(weights) = &self.constant(1)?.data else {
            return Err("its weights must have one bit".to_owned());
        };
        let shape = self.product_shape(window)?;
        if matches!(self.node.op, Op::FullyConnected { .. })
            && self.value(0)?.shape.last() != Some(&shape.in_c)
        {
            return Err("its operand must end in the channels of its weights".to_owned());
        }
        if self.result().encoding == Encoding::F32 {
            let output = self.affine(activation)?;
            // So many are added up in 32 bits, in units of 1/256.
            if shape.taps() * shape.in_c > MAX_PRODUCTS {
                return Err(format!("it adds up more than {MAX_PRODUCTS} products"));
            }
            return boxed(BinConv::to_floats(self.cpu, &shape, weights, output));
        }
        let requant = self.requant(1.0 / 256.0, activation, 0)?;
        Ok(bin_conv(self.cpu, &shape, weights, self.i32s(2)?, requant))
    }

    /// The output stage of a layer on bits whose result is fp32.
    fn affine(&self, activation: Activation) -> Result<Affine> {
        if activation == Activation::Prelu {
            return Err("its result in fp32 cannot have a fused PReLU".to_owned());
        }
        let bias = self.f32s(2)?.to_vec();
        let scales = self.constant(1)?.scales.clone();
        if scales.len() != bias.len() {
            return Err(format!(
                "it has {} weight scales for {} channels",
                scales.len(),
                bias.len()
            ));
        }
        let bounds = real_bounds(activation);
        let (factors, offsets) = (self.f32s(3)?.to_vec(), self.f32s(4)?.to_vec());
        Ok(Affine { scales, bias, bounds, factors, offsets })
    }

    /// A depthwise layer on 8 bits whose results are bits.
    fn depthwise_signs(&self, window: Window, activation: Activation) -> Result<Box<dyn Operator>> {
        if activation == Activation::Prelu {
            return Err("its result in bits cannot have a fused PReLU".to_owned());
        }
        let (_, zero_point) = Self::i8_encoding(self.value(0)?)?;
        let (shape, weights) = (self.conv_shape(window)?, self.i8_weights()?);
        let (bias, thresholds) = (self.i32s(2)?, self.i32s(3)?);
        if thresholds.len() != bias.len() {
            return Err(format!("it needs {} thresholds", bias.len()));
        }
        boxed(I8DepthwiseSignsConv::new(self.cpu, &shape, weights, bias, thresholds, zero_point))
    }

    fn int8(&self) -> Result<Box<dyn Operator>> {
        if let (Op::DepthwiseConv2d { window, activation }, Encoding::Bits) =
            (&self.node.op, self.result().encoding)
        {
            return self.depthwise_signs(*window, *activation);
        }
        let input = Self::i8_encoding(self.value(0)?)?;
        let output = Self::i8_encoding(self.result())?;
        let shape = &self.value(0)?.shape;
        let count = self.value(0)?.elements();
        let table = |op| boxed(I8Table::new(|x| unary(op, x), input, output, count));
        match &self.node.op {
            Op::Conv2d { window, activation } => self.i8_conv(*window, *activation, input),
            Op::FullyConnected { activation } => {
                self.i8_conv(Window::default(), *activation, input)
            }
            Op::DepthwiseConv2d { window, activation } => {
                let requant = self.requant(f64::from(input.0), *activation, 0)?;
                let (shape, weights) = (self.conv_shape(*window)?, self.i8_weights()?);
                boxed(I8DepthwiseConv::new(
                    self.cpu,
                    &shape,
                    weights,
                    self.i32s(2)?,
                    input.1,
                    requant,
                ))
            }
            Op::Prelu => {
                let ratio = f64::from(input.0) / f64::from(output.0);
                let slopes = self.f32s(1)?;
                let negative: Vec<f64> = slopes.iter().map(|&s| ratio * f64::from(s)).collect();
                let positive = vec![ratio; slopes.len()];
                let requant =
                    RequantParams::from_real(&positive, Some(&negative), output.1, -128, 127);
                boxed(I8Prelu::new(requant, input.1, count))
            }
            Op::Unary(op) if !matches!(op, UnaryOp::Sign | UnaryOp::Bipolar) => table(*op),
            Op::Binary { op, activation } => self.i8_binary(*op, *activation, input, output),
            Op::MaxPool2d { window, activation } => {
                self.same_encoding()?;
                let bounds = i8_bounds(*activation, output);
                boxed(I8MaxPool::new(self.cpu, &self.conv_shape(*window)?, bounds))
            }
            Op::AveragePool2d { window, activation } => {
                let bounds = i8_bounds(*activation, output);
                let shape = self.conv_shape(*window)?;
                boxed(I8AveragePool::new(self.cpu, &shape, input, output, bounds))
            }
            Op::ResizeBilinear { size, half_pixel_centers, align_corners } => {
                self.same_encoding()?;
                boxed(I8Resize::new(
                    self.cpu,
                    four(shape)?,
                    *size,
                    *half_pixel_centers,
                    *align_corners,
                ))
            }
            Op::Reduce { op: ReduceOp::Mean, axes, .. } => {
                boxed(I8Mean::new(self.cpu, shape, axes, input, output))
            }
            Op::Softmax { beta } if output == (1.0 / 256.0, -128) => {
                let row = shape.last().copied().unwrap_or(1);
                boxed(I8Softmax::new(*beta, input.0, row, count))
            }
            op => Err(format!("{} does not compute on 8 bits with these encodings", op.name())),
        }
    }

    fn i8_conv(
        &self,
        window: Window,
        activation: Activation,
        input: (f32, i8),
    ) -> Result<Box<dyn Operator>> {
        /// Unpacked 4-bit weights can be multiplied by eight, and four of them still add up in 16 bits. Their steps are large, so
        /// without that few layers would have a right shift in common. Those of groups are as small as 8-bit ones.
        const ROOM: i32 = 3;
        let (shape, bias) = (self.product_shape(window)?, self.i32s(2)?);
        let (value, constant) = (self.value(1)?, self.constant(1)?);
        let nibbles = constant.to_i4(value.elements());
        let multipliers = constant.to_multipliers(value.elements());
        let weights = match (&nibbles, &multipliers, value.encoding) {
            (Some(weights), Some(multipliers), Encoding::Int4Groups { group }) => {
                IntegerWeights::Groups { weights, multipliers, group }
            }
            (Some(weights), ..) => IntegerWeights::Four(weights),
            _ => IntegerWeights::Eight(self.i8_weights()?),
        };
        let left = if matches!(weights, IntegerWeights::Four(_)) { ROOM } else { 0 };
        let requant = self.requant(f64::from(input.0), activation, left)?;
        boxed(I8Conv::new(self.cpu, &shape, weights, bias, input.1, requant))
    }

    fn i8_binary(
        &self,
        op: BinaryOp,
        activation: Activation,
        a: (f32, i8),
        output: (f32, i8),
    ) -> Result<Box<dyn Operator>> {
        let b = Self::i8_encoding(self.value(1)?)?;
        let (operands, encodings) = (self.binary_operands()?, [a, b, output]);
        let (slopes, bounds) = (self.slopes(activation)?, i8_bounds(activation, output));
        match op {
            BinaryOp::Add => boxed(I8Add::new(operands, encodings, 1, slopes, bounds)),
            BinaryOp::Sub => boxed(I8Add::new(operands, encodings, -1, slopes, bounds)),
            BinaryOp::Mul => boxed(I8Mul::new(operands, encodings, bounds)),
            op => Err(format!("{op:?} does not compute on 8 bits")),
        }
    }

    fn binary_operands(&self) -> Result<Operands> {
        let (a, b) = (&self.value(0)?.shape, &self.value(1)?.shape);
        Ok(Operands::new(self.cpu, a, b, &self.result().shape))
    }

    fn convert(&self) -> Result<Box<dyn Operator>> {
        let (from, to) = (self.value(0)?, self.result());
        if to.encoding != Encoding::Bits {
            let convert = Convert::new(self.cpu, from.encoding, to.encoding, from.elements());
            return boxed(convert.ok_or("bits and integers cannot be converted")?);
        }
        let channels = from.shape.last().copied().unwrap_or(1);
        let rows = from.elements() / channels;
        let wrong = || format!("it needs {channels} thresholds");
        match from.encoding {
            Encoding::F32 => {
                let thresholds = self.f32s(1)?;
                if thresholds.len() != channels {
                    return Err(wrong());
                }
                boxed(F32Signs::new(self.cpu, thresholds, rows))
            }
            Encoding::Int8 { .. } => {
                let thresholds = self.i32s(1)?;
                if thresholds.len() != channels {
                    return Err(wrong());
                }
                boxed(I8Signs::new(self.cpu, thresholds, rows))
            }
            other => Err(format!("bits cannot be made of {other:?}")),
        }
    }
}

fn four(shape: &[usize]) -> Result<[usize; 4]> {
    shape.try_into().map_err(|_| "it needs four axes".to_owned())
}
