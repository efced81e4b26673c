//! Larq Compute Engine's operators, as the graph has them: signs are numbers, -1 and 1, in fp32.

use super::layers::{nhwc, result_name};
use super::{fused, operands};
use crate::graph::{Activation, BinaryOp, Constant, Op, Padding, UnaryOp, ValueId, Window};
use crate::model::fault::{Fault, malformed, unsupported};
use crate::model::tflite::flexbuffer::IntegerMap;
use crate::model::tflite::importer::{Importer, Operator, tensor_id};
use crate::model::tflite::larq::LarqOp;
use crate::model::tflite::window::Geometry;

/// Most products of a sum: so many are counted exactly in fp32.
const MAX_PRODUCTS: usize = 1 << 21;

/// Adds `op` to the graph.
pub(super) fn lower(importer: &mut Importer<'_>, op: &Operator, kind: LarqOp) -> Result<(), Fault> {
    match kind {
        LarqOp::Quantize => {
            let [x] = operands(op)?;
            let x = importer.operand(x)?;
            let shape = importer.shape(x).to_vec();
            importer.signs_node(Op::Unary(UnaryOp::Bipolar), vec![x], op.outputs[0], shape)
        }
        LarqOp::Dequantize => {
            let [x] = operands(op)?;
            let x = importer.signs(x)?;
            importer.alias(op.outputs[0], x)
        }
        LarqOp::BMaxPool2d => max_pool(importer, op),
        LarqOp::BConv2d => convolution(importer, op),
    }
}

/// `LceBMaxPool2d`: signs.
fn max_pool(importer: &mut Importer<'_>, op: &Operator) -> Result<(), Fault> {
    let options = IntegerMap::read(&op.custom_options)?;
    let [x] = operands(op)?;
    let x = importer.signs(x)?;
    let [n, h, w, channels] = nhwc(importer.shape(x))?;
    let filter = [options.get("filter_height")?, options.get("filter_width")?];
    let [Ok(kh), Ok(kw)] = filter.map(usize::try_from) else {
        return Err(malformed(format!("has a window of {filter:?}")));
    };
    let geometry = Geometry {
        kernel: [kh, kw],
        stride: [options.get("stride_height")?, options.get("stride_width")?],
        dilation: [1, 1],
        padding: padding(&options)?,
    };
    let window = geometry.resolve([h, w])?;
    let [out_h, out_w] = extents(&window, [h, w])?;
    let pool = Op::MaxPool2d { window, activation: Activation::None };
    importer.signs_node(pool, vec![x], op.outputs[0], vec![n, out_h, out_w, channels])
}

/// `LceBconv2d`: signs, weights (signs `[co, kh, kw, ci]`), then factors and offsets `[co]` of a result of numbers, or
/// thresholds `[co]` of a result of signs.
///
/// Numbers: `factor * activation(sum of products) + offset`. Signs: -1 where more products are -1 than the threshold.
fn convolution(importer: &mut Importer<'_>, op: &Operator) -> Result<(), Fault> {
    let options = IntegerMap::read(&op.custom_options)?;
    let &[x, weights, factors, offsets, thresholds] = op.inputs.as_slice() else {
        return Err(malformed(format!("has {} operands instead of 5", op.inputs.len())));
    };
    let x = importer.signs(tensor_id(x)?)?;
    let [n, h, w, channels] = nhwc(importer.shape(x))?;
    if usize::try_from(options.get("channels_in")?) != Ok(channels) {
        return Err(malformed(format!("has channels_in that are not the {channels} it reads")));
    }
    let weights = tensor_id(weights)?;
    let [co, kh, kw, words] = nhwc(&importer.tensors.shape(weights)?)?;
    if words < channels.div_ceil(32) {
        return Err(unsupported(format!("a convolution of {channels} channels in groups")));
    }
    let products = kh.checked_mul(kw).and_then(|taps| taps.checked_mul(channels));
    let products = products.filter(|&products| products <= MAX_PRODUCTS);
    let products = products.ok_or_else(|| unsupported("sums beyond 2^21 products".into()))?;
    let geometry = Geometry {
        kernel: [kh, kw],
        stride: [options.get("stride_height")?, options.get("stride_width")?],
        dilation: [options.get("dilation_height_factor")?, options.get("dilation_width_factor")?],
        padding: padding(&options)?,
    };
    let window = geometry.resolve([h, w])?;
    let [out_h, out_w] = extents(&window, [h, w])?;
    let activation = code(&options, "fused_activation_function").and_then(fused)?;
    let conv = Convolution {
        weights: importer.sign_constant(weights, vec![co, kh, kw, channels])?,
        activation,
        shape: vec![n, out_h, out_w, co],
        products,
    };
    let (x, window) = match options.get("pad_values")? {
        0 => (x, window),
        1 => pad_with_ones(importer, op, x, window)?,
        other => return Err(malformed(format!("pads with {other}"))),
    };
    match (factors, offsets, thresholds) {
        (-1, -1, thresholds) => conv.add_signs(importer, op, (x, window), tensor_id(thresholds)?),
        (factors, offsets, -1) => {
            let parameters = [tensor_id(factors)?, tensor_id(offsets)?];
            conv.add_numbers(importer, op, (x, window), parameters)
        }
        _ => Err(malformed("has both factors and thresholds".into())),
    }
}

/// What the two kinds of results share.
struct Convolution {
    weights: ValueId,
    activation: Activation,
    shape: Vec<usize>,
    /// Products of a sum.
    products: usize,
}

impl Convolution {
    fn add_numbers(
        self,
        importer: &mut Importer<'_>,
        op: &Operator,
        (x, window): (ValueId, Window),
        [factors, offsets]: [usize; 2],
    ) -> Result<(), Fault> {
        let channels = self.shape[3];
        let name = result_name(importer, op)?;
        let zeros = Constant::f32(vec![0.0; channels]);
        let bias = importer.new_constant(&format!("{name}/bias"), vec![channels], zeros)?;
        let factors = importer.constant(factors, vec![channels], Ok)?;
        let offsets = importer.constant(offsets, vec![channels], Ok)?;
        let conv = Op::Conv2d { window, activation: self.activation };
        let sums = importer.intermediate(
            conv,
            vec![x, self.weights, bias],
            &format!("{name}/sums"),
            self.shape.clone(),
        )?;
        let binary = |op| Op::Binary { op, activation: Activation::None };
        let scaled = importer.intermediate(
            binary(BinaryOp::Mul),
            vec![sums, factors],
            &format!("{name}/scaled"),
            self.shape,
        )?;
        importer.node(binary(BinaryOp::Add), vec![scaled, offsets], &op.outputs)
    }

    fn add_signs(
        self,
        importer: &mut Importer<'_>,
        op: &Operator,
        (x, window): (ValueId, Window),
        thresholds: usize,
    ) -> Result<(), Fault> {
        if self.activation != Activation::None || window.padding != Padding::default() {
            return Err(unsupported("an activation, or padding of zeros, before signs".into()));
        }
        let thresholds = importer.tensors.integers(thresholds)?;
        let most = self.products as i64;
        // At most t products are -1 when the sum is at least `products - 2 t`. Beyond -most..=most + 1 all are alike.
        let bias = thresholds.iter().map(|&t| -(most - 2 * i64::from(t)).clamp(-most, most + 1));
        let bias = Constant::f32(bias.map(|bias| bias as f32).collect());
        if thresholds.len() != self.shape[3] {
            return Err(malformed(format!("has {} thresholds", thresholds.len())));
        }
        let name = result_name(importer, op)?;
        let bias = importer.new_constant(&format!("{name}/bias"), vec![self.shape[3]], bias)?;
        let conv = Op::Conv2d { window, activation: Activation::None };
        let sums = importer.intermediate(
            conv,
            vec![x, self.weights, bias],
            &format!("{name}/sums"),
            self.shape.clone(),
        )?;
        importer.signs_node(Op::Unary(UnaryOp::Bipolar), vec![sums], op.outputs[0], self.shape)
    }
}

/// Padding of +1: zeros, of which the signs are taken once more.
fn pad_with_ones(
    importer: &mut Importer<'_>,
    op: &Operator,
    x: ValueId,
    window: Window,
) -> Result<(ValueId, Window), Fault> {
    let Padding { top, bottom, left, right } = window.padding;
    if window.padding == Padding::default() {
        return Ok((x, window));
    }
    let [n, h, w, channels] = nhwc(importer.shape(x))?;
    let name = result_name(importer, op)?;
    let amounts = vec![[0, 0], [top, bottom], [left, right], [0, 0]];
    let extent = |extent: usize, before: usize, after: usize| {
        let sum = extent.checked_add(before).and_then(|sum| sum.checked_add(after));
        sum.ok_or_else(|| malformed("has impossible padding".into()))
    };
    let shape = vec![n, extent(h, top, bottom)?, extent(w, left, right)?, channels];
    let pad = Op::Pad { amounts };
    let padded = importer.intermediate(pad, vec![x], &format!("{name}/zeros"), shape.clone())?;
    let bipolar = Op::Unary(UnaryOp::Bipolar);
    let x = importer.intermediate(bipolar, vec![padded], &format!("{name}/padded"), shape)?;
    Ok((x, Window { padding: Padding::default(), ..window }))
}

/// Height and width of the result of `window` over `input`.
fn extents(window: &Window, input: [usize; 2]) -> Result<[usize; 2], Fault> {
    let Padding { top, bottom, left, right } = window.padding;
    let padding = [(top, bottom), (left, right)];
    let extent = |axis: usize| {
        let padded = input[axis].checked_add(padding[axis].0)?.checked_add(padding[axis].1)?;
        let covered = window.kernel[axis].checked_sub(1)?.checked_mul(window.dilation[axis])?;
        Some(padded.checked_sub(covered.checked_add(1)?)? / window.stride[axis] + 1)
    };
    let impossible = || malformed(format!("has a window {window:?} beyond its operand"));
    Ok([extent(0).ok_or_else(impossible)?, extent(1).ok_or_else(impossible)?])
}

fn padding(options: &IntegerMap) -> Result<i8, Fault> {
    code(options, "padding")
}

/// A parameter that is the member of an enumeration of the schema.
fn code(options: &IntegerMap, key: &str) -> Result<i8, Fault> {
    let value = options.get(key)?;
    i8::try_from(value).map_err(|_| malformed(format!("has {value} as its {key}")))
}
