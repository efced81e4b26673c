//! Pooling and resizing.

use super::elementwise::Chain;
use super::layers;
use super::pooling;
use super::resample::{Interpolation, Resized};
use crate::graph::{Activation, BinaryOp, Op, Padding, ReduceOp, ValueId, Window};
use crate::model::fault::{Fault, malformed, unsupported};
use crate::model::onnx::importer::Importer;
use crate::model::onnx::node::{Node, axis};

/// A window's parameters along one axis.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) dilation: usize,
    /// Padding before and behind the input.
    pub(super) before: usize,
    pub(super) after: usize,
}

/// A window's parameters as ONNX gives them, over an input of these extents.
pub(super) fn spans(
    node: &Node<'_>,
    kernel: &[usize],
    input: &[usize],
) -> Result<Vec<Span>, Fault> {
    let axes = kernel.len();
    let numbers = |name: &str| -> Result<Vec<usize>, Fault> {
        let Some(given) = node.ints(name) else { return Ok(vec![1; axes]) };
        let all: Option<Vec<usize>> = given.iter().map(|&n| usize::try_from(n).ok()).collect();
        all.filter(|all| all.len() == axes && !all.contains(&0))
            .ok_or_else(|| malformed(format!("has {name} of {given:?}")))
    };
    let (stride, dilation) = (numbers("strides")?, numbers("dilations")?);
    let mode = node.text("auto_pad", "NOTSET");
    let mut pads = vec![0; 2 * axes];
    if let ("NOTSET", Some(given)) = (mode, node.ints("pads")) {
        let all: Option<Vec<usize>> = given.iter().map(|&n| usize::try_from(n).ok()).collect();
        pads = all
            .filter(|all| all.len() == 2 * axes)
            .ok_or_else(|| unsupported(format!("pads of {given:?}")))?;
    }
    let same = match mode {
        "NOTSET" | "VALID" => None,
        "SAME_UPPER" => Some(true),
        "SAME_LOWER" => Some(false),
        other => return Err(malformed(format!("has auto_pad {other:?}"))),
    };
    let span = |axis: usize| {
        let (stride, dilation) = (stride[axis], dilation[axis]);
        let (mut before, mut after) = (pads[axis], pads[axis + axes]);
        if let Some(upper) = same {
            let covered = (input[axis].div_ceil(stride) - 1).saturating_mul(stride);
            let reach = (kernel[axis].max(1) - 1).saturating_mul(dilation).saturating_add(1);
            let total = covered.saturating_add(reach).saturating_sub(input[axis]);
            let less = total / 2;
            (before, after) = if upper { (less, total - less) } else { (total - less, less) };
        }
        Span { kernel: kernel[axis], stride, dilation, before, after }
    };
    Ok((0..axes).map(span).collect())
}

/// The same over rows and columns; a single axis is that of the columns.
pub(super) fn window(
    node: &Node<'_>,
    kernel: [usize; 2],
    input: [usize; 2],
    columns_only: bool,
) -> Result<Window, Fault> {
    let first = usize::from(columns_only);
    let given = spans(node, &kernel[first..], &input[first..])?;
    let none = Span { kernel: 1, stride: 1, dilation: 1, before: 0, after: 0 };
    let (v, h) = match given[..] {
        [v, h] => (v, h),
        _ => (none, given.first().copied().unwrap_or(none)),
    };
    let padding = Padding { top: v.before, bottom: v.after, left: h.before, right: h.after };
    let (stride, dilation) = ([v.stride, h.stride], [v.dilation, h.dilation]);
    Ok(Window { kernel, stride, dilation, padding })
}

/// `MaxPool` and `AveragePool`.
pub(super) fn pool(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let max = node.op() == "MaxPool";
    if node.has_output(1) {
        return Err(unsupported("the positions of the largest elements".into()));
    }
    let gaps = node.ints("dilations").is_some_and(|all| all.iter().any(|&n| n != 1));
    let partly_counted = node.int("count_include_pad", 0) != 0 && node.int("ceil_mode", 0) != 0;
    if importer.shape_of(input)?.len() != 4 || gaps || (partly_counted && !max) {
        return pooling::along_axes(importer, node);
    }
    let mut x = importer.channels_last(input)?;
    let &[n, h, w, c] = importer.shape(x) else { return Err(malformed("has no four axes".into())) };
    let kernel = match node.ints("kernel_shape") {
        Some(&[kh, kw]) => usize::try_from(kh).ok().zip(usize::try_from(kw).ok()),
        _ => None,
    };
    let (kh, kw) = kernel.ok_or_else(|| malformed("has no kernel of two extents".into()))?;
    let mut window = window(node, [kh, kw], [h, w], false)?;
    let counts_padding = !max && node.int("count_include_pad", 0) != 0;
    if node.int("ceil_mode", 0) != 0 {
        let more = round_up(&window, [h, w])
            .ok_or_else(|| malformed("has an impossible window".into()))?;
        window.padding.bottom += more[0];
        window.padding.right += more[1];
    }
    if counts_padding && window.padding != Padding::default() {
        let Padding { top, bottom, left, right } = std::mem::take(&mut window.padding);
        let amounts = vec![[0, 0], [top, bottom], [left, right], [0, 0]];
        if [top, bottom, left, right]
            .iter()
            .any(|&pad| pad > n.max(h).max(w).max(c).max(kh.max(kw)))
        {
            return Err(malformed("pads by more than its window".into()));
        }
        x = importer.push(Op::Pad { amounts }, vec![x], None, &format!("{output}/padded"))?;
    }
    let activation = Activation::None;
    let op = if max {
        Op::MaxPool2d { window, activation }
    } else {
        Op::AveragePool2d { window, activation }
    };
    let y = importer.push(op, vec![x], None, output)?;
    importer.bind_channels_last(output, y)
}

/// Padding behind the input that makes the last, incomplete step whole; windows that would begin in it do not count.
fn round_up(window: &Window, input: [usize; 2]) -> Option<[usize; 2]> {
    let before = [window.padding.top, window.padding.left];
    let after = [window.padding.bottom, window.padding.right];
    let mut more = [0; 2];
    for axis in 0..2 {
        let padded = input[axis].checked_add(before[axis])?.checked_add(after[axis])?;
        let rest = padded.checked_sub(window.kernel[axis])?;
        let stride = window.stride[axis];
        let steps = rest.div_ceil(stride);
        let begins_inside = steps * stride < input[axis] + before[axis];
        if !rest.is_multiple_of(stride) && begins_inside {
            more[axis] = steps * stride - rest;
        }
    }
    Some(more)
}

/// `GlobalAveragePool` and `GlobalMaxPool`.
pub(super) fn global_pool(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let op = if node.op() == "GlobalMaxPool" { ReduceOp::Max } else { ReduceOp::Mean };
    let rank = importer.shape_of(input)?.len();
    if rank < 3 {
        return Err(malformed(format!("pools over {rank} axes")));
    }
    if rank == 4 {
        let x = importer.channels_last(input)?;
        let reduce = Op::Reduce { op, axes: vec![1, 2], keep_dims: true };
        let y = importer.push(reduce, vec![x], None, output)?;
        return importer.bind_channels_last(output, y);
    }
    let x = importer.plain(input)?;
    let reduce = Op::Reduce { op, axes: (2..rank).collect(), keep_dims: true };
    let y = importer.push(reduce, vec![x], None, output)?;
    importer.bind(output, y)
}

/// `Resize` and `Upsample`: to the nearest pixel by picking, bilinearly over both spatial axes by the engine's own operator,
/// and by any other interpolation as a matrix product per axis.
pub(super) fn resize(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let shape = importer.shape_of(input)?;
    let axes = targets(importer, node, &shape)?;
    let upsample = node.op() == "Upsample" || node.opset < 11;
    let mode = node.text("mode", "nearest");
    let transform = match upsample {
        true => "asymmetric",
        false => node.text("coordinate_transformation_mode", "half_pixel"),
    };
    let changes = |resized: &Resized| {
        resized.from != resized.to || resized.scale != 1.0 || transform == "tf_crop_and_resize"
    };
    let changed: Vec<usize> = (0..shape.len()).filter(|&axis| changes(&axes[axis])).collect();
    let interpolation = Interpolation::of(node, mode, transform);
    if mode == "nearest" {
        let rounding =
            if upsample { "floor" } else { node.text("nearest_mode", "round_prefer_floor") };
        let (mut x, channels_last) = importer.as_it_is(input)?;
        for at in changed {
            let picked = nearest(&interpolation, &axes[at], rounding)?;
            let axis = if channels_last { [0, 3, 1, 2][at] } else { at };
            let indices = importer.indices(&format!("{output}/axis{at}"), picked)?;
            x = importer.push(Op::Gather { axis }, vec![x, indices], None, output)?;
        }
        return bind_or_alias(importer, node, x, channels_last);
    }
    let simple = match transform {
        "half_pixel" => Some((true, false)),
        "asymmetric" => Some((false, false)),
        "align_corners" => Some((false, true)),
        _ => None,
    };
    // The engine's operator takes the scale from the sizes.
    let exact =
        |resized: &Resized| (resized.scale - resized.to as f64 / resized.from as f64).abs() < 1e-9;
    let bilinear = matches!(mode, "linear" | "bilinear") && node.int("antialias", 0) == 0;
    if let (4, Some((half_pixel_centers, align_corners))) = (shape.len(), simple)
        && bilinear
        && changed.iter().all(|&axis| axis >= 2)
        && changed.iter().all(|&axis| exact(&axes[axis]))
    {
        let x = importer.channels_last(input)?;
        let size = [axes[2].to, axes[3].to];
        let op = Op::ResizeBilinear { size, half_pixel_centers, align_corners };
        let y = importer.push(op, vec![x], None, output)?;
        return importer.bind_channels_last(output, y);
    }
    let mut x = importer.plain(input)?;
    for at in changed {
        x = along(importer, node, x, (at, &axes[at]), &interpolation)?;
    }
    bind_or_alias(importer, node, x, false)
}

fn bind_or_alias(
    importer: &mut Importer<'_>,
    node: &Node<'_>,
    x: ValueId,
    channels_last: bool,
) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    if importer.as_it_is(input)?.0 == x {
        return importer.alias(output, input);
    }
    importer.bind_as(output, x, channels_last)
}

/// One axis of `x` resized: it becomes the last, is multiplied by the matrix of the interpolation, and moves back.
fn along(
    importer: &mut Importer<'_>,
    node: &Node<'_>,
    x: ValueId,
    (at, axis): (usize, &Resized),
    interpolation: &Interpolation<'_>,
) -> Result<ValueId, Fault> {
    let output = node.output()?;
    let rank = importer.shape(x).len();
    let (matrix, outside) = interpolation.matrix(axis)?;
    let mut perm: Vec<usize> = (0..rank).collect();
    perm.swap(at, rank - 1);
    let turned = importer.transpose(x, &perm)?;
    let mut y = layers::product(importer, turned, axis.to, matrix, vec![0.0; axis.to], output)?;
    if outside.contains(&true) {
        // Outside of the original a constant counts.
        let constant = node.float("extrapolation_value", 0.0);
        let keep = outside.iter().map(|&out| if out { 0.0 } else { 1.0 }).collect();
        let fill = outside.iter().map(|&out| if out { constant } else { 0.0 }).collect();
        let keep = importer.constant(&format!("{output}/keep"), vec![axis.to], keep)?;
        let fill = importer.constant(&format!("{output}/fill"), vec![axis.to], fill)?;
        let mut chain = Chain::new(importer, output);
        y = chain.binary(BinaryOp::Mul, y, keep)?;
        y = chain.binary(BinaryOp::Add, y, fill)?;
    }
    importer.transpose(y, &perm)
}

/// Every axis with its scale and size.
fn targets(
    importer: &Importer<'_>,
    node: &Node<'_>,
    shape: &[usize],
) -> Result<Vec<Resized>, Fault> {
    let rank = shape.len();
    let named: Vec<usize> = match node.ints("axes") {
        Some(given) => given.iter().map(|&a| axis(a, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).collect(),
    };
    // Operands are x, regions of interest, scales and sizes; before version 11 x and scales.
    let old = node.op() == "Upsample" || node.opset < 11;
    let numbers = |index: usize| -> Result<Vec<f64>, Fault> {
        match node.input(index) {
            Some(_) => Ok(importer.constant_of(node, index)?.iter().copied().collect()),
            None => Ok(Vec::new()),
        }
    };
    let mut scales = numbers(if old { 1 } else { 2 })?;
    if let (true, Some(given)) = (scales.is_empty(), node.floats("scales")) {
        scales = given.iter().map(|&scale| f64::from(scale)).collect();
    }
    let sizes = if old { Vec::new() } else { numbers(3)? };
    let given = if scales.is_empty() { &sizes } else { &scales };
    let sound = given.len() == named.len() && given.iter().all(|n| (1e-6..1e6).contains(n));
    if !sound {
        return Err(malformed(format!("resizes {shape:?} by {given:?}")));
    }
    let regions = if old { Vec::new() } else { numbers(1)? };
    let mut ratios: Vec<f64> = named
        .iter()
        .zip(given)
        .map(|(&axis, &n)| if scales.is_empty() { n / shape[axis] as f64 } else { n })
        .collect();
    let policy = node.text("keep_aspect_ratio_policy", "stretch");
    let kept = scales.is_empty() && policy != "stretch";
    if kept {
        let fold = |f: fn(f64, f64) -> f64| ratios.iter().copied().reduce(f).unwrap_or(1.0);
        let ratio = if policy == "not_larger" { fold(f64::min) } else { fold(f64::max) };
        ratios.fill(ratio);
    }
    let mut all: Vec<Resized> =
        shape.iter().map(|&n| Resized { from: n, to: n, scale: 1.0, region: [0.0, 1.0] }).collect();
    for (index, &axis) in named.iter().enumerate() {
        let from = shape[axis];
        let to = match (scales.is_empty(), kept) {
            (true, false) => given[index] as usize,
            (true, true) => (from as f64 * ratios[index]).round() as usize,
            (false, _) => (from as f64 * ratios[index]).floor() as usize,
        };
        if to == 0 {
            return Err(malformed(format!("resizes {from} to nothing")));
        }
        let region = match (regions.get(index), regions.get(index + named.len())) {
            (Some(&start), Some(&end)) => [start, end],
            _ => [0.0, 1.0],
        };
        all[axis] = Resized { from, to, scale: ratios[index], region };
    }
    Ok(all)
}

/// For each position of an axis the nearest of the original.
fn nearest(
    interpolation: &Interpolation<'_>,
    axis: &Resized,
    rounding: &str,
) -> Result<Vec<usize>, Fault> {
    if axis.to > 1 << 24 {
        return Err(malformed(format!("resizes {} to {}", axis.from, axis.to)));
    }
    let mut all = Vec::with_capacity(axis.to);
    for index in 0..axis.to {
        let at = interpolation.position(index, axis)?;
        let at = match rounding {
            "round_prefer_floor" => (at - 0.5).ceil(),
            "round_prefer_ceil" => (at + 0.5).floor(),
            "floor" => at.floor(),
            "ceil" => at.ceil(),
            other => return Err(unsupported(format!("rounding by {other}"))),
        };
        all.push((at.max(0.0) as usize).min(axis.from - 1));
    }
    Ok(all)
}
