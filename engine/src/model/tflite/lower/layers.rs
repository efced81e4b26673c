//! Convolutions, matrix products, pooling, PReLU: what has weights or a window.

use super::{fused, operands};
use crate::graph::{Constant, Op, ValueId, Window};
use crate::model::fault::{Fault, malformed, unsupported};
use crate::model::tflite::importer::{Importer, Operator, tensor_id};
use crate::model::tflite::schema::{
    Conv2dOptions, DepthwiseConv2dOptions, FullyConnectedOptions, Pool2dOptions,
};
use crate::model::tflite::window::Geometry;

/// `CONV_2D`: x, weights `[co, kh, kw, ci]`, optional bias.
pub(super) fn conv_2d(importer: &mut Importer<'_>, op: &Operator) -> Result<(), Fault> {
    let options = Conv2dOptions::of(op.options)?;
    let activation = fused(options.activation)?;
    let [x, w] = weighted(op)?;
    let x = importer.operand(x)?;
    let [_, h, width, channels] = nhwc(importer.shape(x))?;
    let shape = importer.tensors.shape(w)?;
    let [co, kh, kw, ci] = nhwc(&shape)?;
    if ci != channels && channels.is_multiple_of(ci) {
        return Err(unsupported(format!("convolution in {} groups", channels / ci)));
    }
    let window = Geometry {
        kernel: [kh, kw],
        stride: [options.stride_h, options.stride_w],
        dilation: [options.dilation_h, options.dilation_w],
        padding: options.padding,
    }
    .resolve([h, width])?;
    let weights = importer.constant(w, shape, Ok)?;
    let bias = bias(importer, op, co)?;
    importer.node(Op::Conv2d { window, activation }, vec![x, weights, bias], &op.outputs)
}

/// `DEPTHWISE_CONV_2D`: x, weights `[1, kh, kw, c * multiplier]`, optional bias.
///
/// With a multiplier above 1 each channel is repeated first; over a single channel it is a plain convolution.
pub(super) fn depthwise_conv_2d(importer: &mut Importer<'_>, op: &Operator) -> Result<(), Fault> {
    let options = DepthwiseConv2dOptions::of(op.options)?;
    let activation = fused(options.activation)?;
    let [x, w] = weighted(op)?;
    let x = importer.operand(x)?;
    let [n, h, width, channels] = nhwc(importer.shape(x))?;
    let shape = importer.tensors.shape(w)?;
    let [one, kh, kw, co] = nhwc(&shape)?;
    if one != 1 || !co.is_multiple_of(channels) {
        return Err(malformed(format!("has weights {shape:?} for {channels} channels")));
    }
    let window = Geometry {
        kernel: [kh, kw],
        stride: [options.stride_h, options.stride_w],
        dilation: [options.dilation_h, options.dilation_w],
        padding: options.padding,
    }
    .resolve([h, width])?;
    if channels == 1 && co > 1 {
        let taps = kh * kw;
        let weights = importer.constant(w, vec![co, kh, kw, 1], |tap_major| {
            Ok((0..co * taps).map(|i| tap_major[i % taps * co + i / taps]).collect())
        })?;
        let bias = bias(importer, op, co)?;
        return importer.node(
            Op::Conv2d { window, activation },
            vec![x, weights, bias],
            &op.outputs,
        );
    }
    let weights = importer.constant(w, shape, Ok)?;
    let bias = bias(importer, op, co)?;
    let x = if co == channels { x } else { repeat(importer, op, x, [n, h, width, channels], co)? };
    importer.node(Op::DepthwiseConv2d { window, activation }, vec![x, weights, bias], &op.outputs)
}

/// Repeats each of the channels `co / channels` times.
fn repeat(
    importer: &mut Importer<'_>,
    op: &Operator,
    x: ValueId,
    [n, h, w, channels]: [usize; 4],
    co: usize,
) -> Result<ValueId, Fault> {
    let name = result_name(importer, op)?;
    // Shapes have at most 2^28 elements.
    let indices = (0..co).map(|c| (c / (co / channels)) as i32).collect();
    let indices =
        importer.new_constant(&format!("{name}/channels"), vec![co], Constant::i32(indices))?;
    let shape = vec![n, h, w, co];
    importer.intermediate(
        Op::Gather { axis: 3 },
        vec![x, indices],
        &format!("{name}/repeated"),
        shape,
    )
}

/// `FULLY_CONNECTED`: x, weights `[co, ci]`, optional bias. Unless it keeps the axes of x, the operand is seen as
/// rows of `ci` elements.
pub(super) fn fully_connected(importer: &mut Importer<'_>, op: &Operator) -> Result<(), Fault> {
    let options = FullyConnectedOptions::of(op.options)?;
    let activation = fused(options.activation)?;
    if options.weights_format != 0 {
        return Err(unsupported(format!("weights in format {}", options.weights_format)));
    }
    let [x, w] = weighted(op)?;
    let mut x = importer.operand(x)?;
    let shape = importer.tensors.shape(w)?;
    let &[co, ci] = shape.as_slice() else {
        return Err(malformed(format!("has weights of shape {shape:?}")));
    };
    let weights = importer.constant(w, shape, Ok)?;
    let bias = bias(importer, op, co)?;
    let of_x = importer.shape(x);
    let elements: usize = of_x.iter().product();
    let direct = of_x.last() == Some(&ci) && (of_x.len() == 2 || options.keep_num_dims);
    if !direct {
        if options.keep_num_dims || !elements.is_multiple_of(ci) {
            return Err(malformed(format!("multiplies {of_x:?} by weights of {ci} columns")));
        }
        let rows = vec![elements / ci, ci];
        let name = format!("{}/rows", result_name(importer, op)?);
        x = importer.intermediate(Op::Reshape, vec![x], &name, rows)?;
    }
    importer.node(Op::FullyConnected { activation }, vec![x, weights, bias], &op.outputs)
}

/// `PRELU`: x, slopes per channel (or a single one for all).
pub(super) fn prelu(importer: &mut Importer<'_>, op: &Operator) -> Result<(), Fault> {
    let [x, slopes] = operands(op)?;
    let x = importer.operand(x)?;
    let &channels = importer.shape(x).last().ok_or_else(|| malformed("has a scalar".into()))?;
    let shape = importer.tensors.shape(slopes)?;
    let per_channel = match shape.split_last() {
        Some((&last, leading)) => {
            (last == channels || last == 1) && leading.iter().all(|&n| n == 1)
        }
        None => true,
    };
    if !per_channel {
        return Err(unsupported(format!("slopes {shape:?} instead of one per channel")));
    }
    importer.tensors.spend(channels)?;
    let slopes = importer.constant(slopes, vec![channels], |given| match given.as_slice() {
        &[single] => Ok(vec![single; channels]),
        _ => Ok(given),
    })?;
    importer.node(Op::Prelu, vec![x, slopes], &op.outputs)
}

/// `MAX_POOL_2D` and `AVERAGE_POOL_2D`.
pub(super) fn pool(importer: &mut Importer<'_>, op: &Operator, max: bool) -> Result<(), Fault> {
    let options = Pool2dOptions::of(op.options)?;
    let activation = fused(options.activation)?;
    let [x] = operands(op)?;
    let x = importer.operand(x)?;
    let [_, h, w, _] = nhwc(importer.shape(x))?;
    let filter = [options.filter_h, options.filter_w];
    let [Ok(kh), Ok(kw)] = filter.map(usize::try_from) else {
        return Err(malformed(format!("has a window of {filter:?}")));
    };
    let window: Window = Geometry {
        kernel: [kh, kw],
        stride: [options.stride_h, options.stride_w],
        dilation: [1, 1],
        padding: options.padding,
    }
    .resolve([h, w])?;
    let pool = if max {
        Op::MaxPool2d { window, activation }
    } else {
        Op::AveragePool2d { window, activation }
    };
    importer.node(pool, vec![x], &op.outputs)
}

/// Operand and weights of an operator that may have a bias behind them.
fn weighted(op: &Operator) -> Result<[usize; 2], Fault> {
    match op.inputs.as_slice() {
        &[x, weights] | &[x, weights, _] => Ok([tensor_id(x)?, tensor_id(weights)?]),
        other => Err(malformed(format!("has {} operands instead of 2 or 3", other.len()))),
    }
}

/// The bias, zeros if the file has none.
fn bias(importer: &mut Importer<'_>, op: &Operator, channels: usize) -> Result<ValueId, Fault> {
    match op.inputs.get(2) {
        None | Some(-1) => {
            let name = format!("{}/bias", result_name(importer, op)?);
            importer.new_constant(&name, vec![channels], Constant::f32(vec![0.0; channels]))
        }
        Some(&id) => importer.constant(tensor_id(id)?, vec![channels], Ok),
    }
}

pub(super) fn result_name(importer: &Importer<'_>, op: &Operator) -> Result<String, Fault> {
    let id = op.outputs.first().ok_or_else(|| malformed("has no result".into()))?;
    Ok(importer.tensors.name(tensor_id(*id)?).to_owned())
}

pub(super) fn nhwc(shape: &[usize]) -> Result<[usize; 4], Fault> {
    shape.try_into().map_err(|_| malformed(format!("needs a tensor of four axes, not {shape:?}")))
}
