//! Convolutions, matrix products and normalizations.

use super::elementwise::Chain;
use super::windows::window;
use crate::graph::{Activation, BinaryOp, Op, UnaryOp, ValueId, Window};
use crate::model::fault::{Fault, malformed, unsupported};
use crate::model::onnx::importer::{Held, Importer, floats};
use crate::model::onnx::node::Node;
use crate::model::onnx::tensors::Known;

/// `Conv`: x, weights `[co, ci / groups, kh, kw]`, optional bias.
pub(super) fn conv(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let weights = with_rows(importer.constant_of(node, 1)?)?;
    let bias = match node.input(2) {
        Some(_) => Some(floats(importer.constant_of(node, 2)?)),
        None => None,
    };
    let (input, output) = (node.required(0)?, node.output()?);
    let (x, row) = image(importer, input)?;
    let y = convolution(importer, node, (x, row), &weights, bias, output)?;
    bind_image(importer, output, y, row)
}

/// Weights over one axis as those over rows and columns.
pub(super) fn with_rows(weights: &Known) -> Result<Known, Fault> {
    match weights.ndim() {
        3 => Ok(weights.clone().insert_axis(ndarray::Axis(2))),
        4 => Ok(weights.clone()),
        rank => Err(unsupported(format!("weights of {rank} axes"))),
    }
}

/// A value as an image in NHWC order, and whether it is a single row: `[n, c, w]` in the file.
pub(super) fn image(importer: &mut Importer<'_>, name: &str) -> Result<(ValueId, bool), Fault> {
    let &[n, c, w] = importer.shape_of(name)?.as_slice() else {
        return Ok((importer.channels_last(name)?, false));
    };
    let x = importer.plain(name)?;
    let x = importer.transpose(x, &[0, 2, 1])?;
    let row = format!("{name}/row");
    Ok((importer.push(Op::Reshape, vec![x], Some(&[n, 1, w, c]), &row)?, true))
}

/// `name` is this image, or its only row.
pub(super) fn bind_image(
    importer: &mut Importer<'_>,
    name: &str,
    y: ValueId,
    row: bool,
) -> Result<(), Fault> {
    let (true, &[n, 1, w, c]) = (row, importer.shape(y)) else {
        return importer.bind_channels_last(name, y);
    };
    let y = importer.push(Op::Reshape, vec![y], Some(&[n, w, c]), name)?;
    let y = importer.transpose(y, &[0, 2, 1])?;
    importer.bind(name, y)
}

/// What a convolution computes with.
pub(super) struct Layer<'a> {
    /// `[co, ci / groups, kh, kw]`.
    pub(super) weights: &'a Known,
    pub(super) bias: Option<Vec<f32>>,
    pub(super) groups: usize,
    pub(super) window: Window,
}

/// A convolution of an image (or of a single row) by a node's window.
pub(super) fn convolution(
    importer: &mut Importer<'_>,
    node: &Node<'_>,
    (x, row): (ValueId, bool),
    weights: &Known,
    bias: Option<Vec<f32>>,
    output: &str,
) -> Result<ValueId, Fault> {
    let (&[_, h, w, _], &[.., kh, kw]) = (importer.shape(x), weights.shape()) else {
        return Err(malformed("has no four axes".into()));
    };
    let groups = usize::try_from(node.int("group", 1)).unwrap_or(0);
    let window = window(node, [kh, kw], [h, w], row)?;
    grouped(importer, x, Layer { weights, bias, groups, window }, output)
}

/// A convolution of an image in any number of groups.
pub(super) fn grouped(
    importer: &mut Importer<'_>,
    x: ValueId,
    Layer { weights, bias, groups, window }: Layer<'_>,
    output: &str,
) -> Result<ValueId, Fault> {
    let &[.., channels] = importer.shape(x) else {
        return Err(malformed("has no four axes".into()));
    };
    let &[co, per_group, kh, kw] = weights.shape() else {
        return Err(unsupported(format!("weights of {} axes", weights.ndim())));
    };
    let fits = groups > 0
        && co > 0
        && co.is_multiple_of(groups)
        && per_group.checked_mul(groups) == Some(channels);
    if !fits {
        return Err(malformed(format!(
            "has weights {:?} in {groups} groups for {channels} channels",
            weights.shape()
        )));
    }
    let bias = bias.unwrap_or_else(|| vec![0.0; co]);
    if bias.len() != co {
        return Err(malformed(format!("has {} biases for {co} channels", bias.len())));
    }
    let activation = Activation::None;
    if groups == channels && groups > 1 {
        // A multiple of the channels: each is repeated so many times.
        let mut x = x;
        if co != channels {
            let name = format!("{output}/repeated");
            let indices =
                importer.indices(&name, (0..co).map(|c| c / (co / channels)).collect())?;
            x = importer.push(Op::Gather { axis: 3 }, vec![x, indices], None, &name)?;
        }
        let elements =
            weights.view().permuted_axes(vec![1, 2, 3, 0]).iter().map(|&x| x as f32).collect();
        let weights =
            importer.constant(&format!("{output}/weights"), vec![1, kh, kw, co], elements)?;
        let bias = importer.constant(&format!("{output}/bias"), vec![co], bias)?;
        let op = Op::DepthwiseConv2d { window, activation };
        return importer.push(op, vec![x, weights, bias], None, output);
    }
    let each = co / groups;
    let elements: Vec<f32> =
        weights.view().permuted_axes(vec![0, 2, 3, 1]).iter().map(|&x| x as f32).collect();
    let mut results = Vec::new();
    for (group, elements) in elements.chunks_exact(each * kh * kw * per_group).enumerate() {
        let mut part = x;
        if groups > 1 {
            let name = format!("{output}/group{group}");
            let first = group * per_group;
            let indices = importer.indices(&name, (first..first + per_group).collect())?;
            part = importer.push(Op::Gather { axis: 3 }, vec![x, indices], None, &name)?;
        }
        let shape = vec![each, kh, kw, per_group];
        let weights = importer.constant(&format!("{output}/weights"), shape, elements.to_vec())?;
        let bias = bias[group * each..(group + 1) * each].to_vec();
        let bias = importer.constant(&format!("{output}/bias"), vec![each], bias)?;
        let op = Op::Conv2d { window, activation };
        results.push(importer.push(op, vec![part, weights, bias], None, output)?);
    }
    match results.as_slice() {
        &[single] => Ok(single),
        _ => importer.push(Op::Concat { axis: 3 }, results, None, output),
    }
}

/// `Gemm` with constant weights: `alpha * x * w + beta * bias`.
pub(super) fn gemm(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let weights = importer.constant_of(node, 1)?.clone();
    let &[rows, columns] = weights.shape() else {
        return Err(malformed(format!("has weights of {:?}", weights.shape())));
    };
    // Weights of the graph are [outputs, inputs].
    let transposed = node.int("transB", 0) != 0;
    let (outputs, weights) =
        if transposed { (rows, weights) } else { (columns, weights.reversed_axes()) };
    let alpha = node.float("alpha", 1.0);
    let weights: Vec<f32> = weights.iter().map(|&w| w as f32 * alpha).collect();
    let beta = node.float("beta", 1.0);
    // A bias per output; other constants, and values computed at run time, are added behind the product.
    let bias = match node.input(2).map(|name| (name, importer.known(name))) {
        None => Some(vec![0.0; outputs]),
        Some((_, Some(known))) if known.len() == 1 => Some(vec![floats(known)[0] * beta; outputs]),
        Some((_, Some(known)))
            if known.len() == outputs && known.shape().last() == Some(&outputs) =>
        {
            Some(floats(known).iter().map(|b| b * beta).collect())
        }
        Some(_) => None,
    };
    let mut x = importer.plain(input)?;
    if node.int("transA", 0) != 0 {
        x = importer.transpose(x, &[1, 0])?;
    }
    let product_bias = bias.clone().unwrap_or_else(|| vec![0.0; outputs]);
    let mut y = product(importer, x, outputs, weights, product_bias, output)?;
    if bias.is_none() {
        let mut addend = importer.plain(node.required(2)?)?;
        let mut chain = Chain::new(importer, output);
        if beta != 1.0 {
            addend = chain.with(BinaryOp::Mul, addend, beta)?;
        }
        y = chain.binary(BinaryOp::Add, y, addend)?;
    }
    importer.bind(output, y)
}

/// `x` times weights `[outputs, inputs]`.
pub(super) fn product(
    importer: &mut Importer<'_>,
    x: ValueId,
    outputs: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
    output: &str,
) -> Result<ValueId, Fault> {
    let inputs = weights.len() / outputs.max(1);
    let weights =
        importer.constant(&format!("{output}/weights"), vec![outputs, inputs], weights)?;
    let bias = importer.constant(&format!("{output}/bias"), vec![outputs], bias)?;
    let op = Op::FullyConnected { activation: Activation::None };
    importer.push(op, vec![x, weights, bias], None, output)
}

/// `MatMul` by a constant matrix.
pub(super) fn matmul(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let weights = importer.constant_of(node, 1)?.clone();
    let y = matrix(importer, input, &weights, output)?;
    importer.bind(output, y)
}

/// `input` times constants `[.., inputs, outputs]`.
pub(super) fn matrix(
    importer: &mut Importer<'_>,
    input: &str,
    weights: &Known,
    output: &str,
) -> Result<ValueId, Fault> {
    let x = importer.plain(input)?;
    stacked(importer, x, weights, output)
}

/// Most products of a stack.
const MAX_STACK: usize = 256;

/// `x` times constants `[.., inputs, outputs]`: one matrix, or one for each of the leading indices of `x`.
pub(super) fn stacked(
    importer: &mut Importer<'_>,
    x: ValueId,
    weights: &Known,
    output: &str,
) -> Result<ValueId, Fault> {
    let shape = importer.shape(x).to_vec();
    let [lead @ .., inputs, outputs] = weights.shape() else {
        return Err(unsupported("a product with a vector".into()));
    };
    let (inputs, outputs) = (*inputs, *outputs);
    let wrong = || malformed(format!("multiplies {shape:?} by {:?}", weights.shape()));
    if shape.last() != Some(&inputs) || inputs == 0 || outputs == 0 {
        return Err(wrong());
    }
    let transposed = |matrix: &[f64]| -> Vec<f32> {
        (0..inputs * outputs).map(|i| matrix[i % inputs * outputs + i / inputs] as f32).collect()
    };
    let all: Vec<f64> = weights.iter().copied().collect();
    let bias = vec![0.0; outputs];
    if lead.iter().all(|&n| n == 1) && shape.len() >= lead.len() + 2 || lead.is_empty() {
        return product(importer, x, outputs, transposed(&all), bias, output);
    }
    let count: usize = lead.iter().product();
    let (of_x, rows) = shape.split_at(shape.len().saturating_sub(2));
    if of_x != lead || count > MAX_STACK {
        return Err(unsupported(format!("a product of {shape:?} by {:?}", weights.shape())));
    }
    let flat = [&[count], rows].concat();
    let x = importer.push(Op::Reshape, vec![x], Some(&flat), output)?;
    let mut results = Vec::with_capacity(count);
    for (index, matrix) in all.chunks_exact(inputs * outputs).enumerate() {
        let counts = vec![1, rows[0], inputs];
        let op = Op::StridedSlice {
            begin: vec![index, 0, 0],
            strides: vec![1; 3],
            counts: counts.clone(),
        };
        let part = importer.push(op, vec![x], Some(&counts), output)?;
        results.push(product(importer, part, outputs, transposed(matrix), bias.clone(), output)?);
    }
    let joined = importer.push(Op::Concat { axis: 0 }, results, None, output)?;
    let shape = [lead, &[rows[0], outputs][..]].concat();
    importer.push(Op::Reshape, vec![joined], Some(&shape), output)
}

/// `BatchNormalization` with the moments of training, merged into the layer before it where only it reads that.
pub(super) fn batch_normalization(
    importer: &mut Importer<'_>,
    node: &Node<'_>,
) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    if node.has_output(1) || node.int("training_mode", 0) != 0 || node.int("spatial", 1) == 0 {
        return Err(unsupported("the moments of the batch itself".into()));
    }
    let parameter = |index: usize| Ok(floats(importer.constant_of(node, index)?));
    let [scale, shift, mean, variance]: [Vec<f32>; 4] =
        [parameter(1)?, parameter(2)?, parameter(3)?, parameter(4)?];
    let shape = importer.shape_of(input)?;
    let channels = shape.get(1).copied().unwrap_or(0);
    if [&scale, &shift, &mean, &variance].iter().any(|all| all.len() != channels) {
        return Err(malformed(format!("has parameters for other than {channels} channels")));
    }
    let epsilon = node.float("epsilon", 1e-5);
    let factor: Vec<f32> =
        (0..channels).map(|c| scale[c] / (variance[c] + epsilon).sqrt()).collect();
    let offset: Vec<f32> = (0..channels).map(|c| shift[c] - mean[c] * factor[c]).collect();
    let (x, channels_last) = match shape.len() {
        4 => (importer.channels_last(input)?, true),
        _ => (importer.plain(input)?, false),
    };
    if (channels_last || shape.len() == 2)
        && importer.is_read_once(input)
        && merge(importer, x, &factor, &offset)
    {
        return importer.alias(output, input);
    }
    let per_channel = match shape.len() {
        2 | 4 => vec![channels],
        rank => [&[channels][..], &vec![1; rank.saturating_sub(2)]].concat(),
    };
    let factor = importer.constant(&format!("{output}/factor"), per_channel.clone(), factor)?;
    let offset = importer.constant(&format!("{output}/offset"), per_channel, offset)?;
    let mut chain = Chain::new(importer, output);
    let scaled = chain.binary(BinaryOp::Mul, x, factor)?;
    let y = chain.binary(BinaryOp::Add, scaled, offset)?;
    importer.bind_as(output, y, channels_last)
}

/// Multiplies and moves the results of the layer that computes `x`, if the last node is one.
fn merge(importer: &mut Importer<'_>, x: ValueId, factor: &[f32], offset: &[f32]) -> bool {
    let graph = &mut importer.graph;
    let Some(node) = graph.nodes.iter().rev().find(|node| node.outputs == [x]) else {
        return false;
    };
    let per_output = match node.op {
        Op::Conv2d { activation: Activation::None, .. }
        | Op::FullyConnected { activation: Activation::None } => true,
        Op::DepthwiseConv2d { activation: Activation::None, .. } => false,
        _ => return false,
    };
    let (weights, bias) = (node.inputs[1], node.inputs[2]);
    let read =
        |id: ValueId| graph.values[id].constant.as_ref().and_then(|constant| constant.as_f32());
    let (Some(w), Some(b)) = (read(weights), read(bias)) else { return false };
    let channels = factor.len();
    if b.len() != channels || channels == 0 {
        return false;
    }
    let each = w.len() / channels;
    let channel = |index: usize| if per_output { index / each } else { index % channels };
    let w = w.iter().enumerate().map(|(index, w)| w * factor[channel(index)]).collect();
    let b = b.iter().zip(factor.iter().zip(offset)).map(|(b, (f, o))| b * f + o).collect();
    graph.values[weights].constant = Some(crate::graph::Constant::f32(w));
    graph.values[bias].constant = Some(crate::graph::Constant::f32(b));
    true
}

/// Merges `x * b`, `x + b` or `x - b` into the layer that computes `x`, where `b` is a constant per channel and nothing else
/// reads `x`; whether it could.
pub(super) fn merge_constant(
    importer: &mut Importer<'_>,
    op: BinaryOp,
    x: &str,
    b: &str,
) -> Result<bool, Fault> {
    let shape = importer.shape_of(x)?;
    let Some(known) = importer.known(b).filter(|_| shape.len() == 4 && importer.is_read_once(x))
    else {
        return Ok(false);
    };
    let channels = shape[1];
    let per_channel = known.len() == 1
        || known.len() == channels
            && matches!(known.shape(), [n, 1, 1] | [1, n, 1, 1] if *n == channels);
    let (id, b) = match importer.get(x)? {
        Held::Computed(computed) if per_channel && computed.only_channels_last() => {
            let b = floats(known);
            let b = if b.len() == 1 { vec![b[0]; channels] } else { b };
            (importer.channels_last(x)?, b)
        }
        _ => return Ok(false),
    };
    let (ones, zeros) = (vec![1.0; channels], vec![0.0; channels]);
    Ok(match op {
        BinaryOp::Mul => merge(importer, id, &b, &zeros),
        BinaryOp::Add => merge(importer, id, &ones, &b),
        BinaryOp::Sub => merge(importer, id, &ones, &b.iter().map(|b| -b).collect::<Vec<_>>()),
        _ => false,
    })
}

/// `LRN`: `x / (bias + alpha / size * sum of the squares of neighbouring channels)^beta`; the sum is a convolution.
pub(super) fn local_response(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let output = node.output()?;
    let x = importer.channels_last(node.required(0)?)?;
    let &[.., channels] = importer.shape(x) else {
        return Err(malformed("has no channels".into()));
    };
    let size = node.int("size", 0);
    let scale = node.float("alpha", 1e-4) / size as f32;
    if size < 1 {
        return Err(malformed(format!("sums {size} channels")));
    }
    importer.spend(channels.saturating_mul(channels))?;
    let (before, after) = ((size - 1) / 2, size / 2);
    let near = |index: usize| {
        let distance = (index % channels) as i64 - (index / channels) as i64;
        (-before..=after).contains(&distance)
    };
    let weights = (0..channels * channels).map(|i| if near(i) { scale } else { 0.0 }).collect();
    let square = Chain::new(importer, output).binary(BinaryOp::Mul, x, x)?;
    let bias = vec![node.float("bias", 1.0); channels];
    let sum = product(importer, square, channels, weights, bias, output)?;
    let mut chain = Chain::new(importer, output);
    let log = chain.unary(UnaryOp::Log, sum)?;
    let scaled = chain.with(BinaryOp::Mul, log, -node.float("beta", 0.75))?;
    let factor = chain.unary(UnaryOp::Exp, scaled)?;
    let y = chain.binary(BinaryOp::Mul, x, factor)?;
    importer.bind_channels_last(output, y)
}
