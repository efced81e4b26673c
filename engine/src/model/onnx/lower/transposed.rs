//! `ConvTranspose`: zeros between the elements of the input, then a convolution by the mirrored kernel.

use ndarray::{Array4, Ix4};

use super::layers::{self, Layer};
use super::windows::{Span, spans};
use crate::graph::{Op, Padding, ValueId, Window};
use crate::model::fault::{Fault, malformed, unsupported};
use crate::model::onnx::importer::{Importer, floats};
use crate::model::onnx::node::Node;
use crate::model::onnx::tensors::Known;

/// Most elements that padding adds to an axis.
const MAX_EXTENT: i64 = 1 << 24;

/// Padding of the spread input before and behind; negative where it is cut.
fn around(node: &Node<'_>, at: usize, span: &Span, input: usize) -> Result<[i64; 2], Fault> {
    let wrong = || malformed("has an impossible window".into());
    let of = |name: &str| node.ints(name).and_then(|all| all.get(at).copied());
    let bounded = |n: Option<i64>| match n {
        Some(n) if !(0..MAX_EXTENT).contains(&n) => Err(wrong()),
        n => Ok(n),
    };
    let more = bounded(of("output_padding"))?.unwrap_or(0);
    let int = |n: usize| i64::try_from(n).ok().filter(|&n| n < MAX_EXTENT).ok_or_else(wrong);
    let (stride, input) = (int(span.stride)?, int(input)?);
    let reach = int(span.kernel.max(1) - 1)? * int(span.dilation)?;
    let same = node.text("auto_pad", "NOTSET").starts_with("SAME");
    let wanted = bounded(of("output_shape"))?.or(same.then_some(input * stride));
    let (before, after) = match wanted {
        Some(wanted) => {
            let total = stride * (input - 1) + more + reach + 1 - wanted;
            // What the result has beyond the window's reach is behind it.
            let less = total.max(0) / 2;
            match node.text("auto_pad", "NOTSET") {
                _ if total < 0 => (0, total),
                "SAME_UPPER" => (less, total - less),
                _ => (total - less, less),
            }
        }
        None => (int(span.before)?, int(span.after)?),
    };
    // Spreading leaves `stride - 1` zeros behind the last element.
    let amounts = [reach - before, reach - after + more - (stride - 1)];
    if amounts.iter().any(|n| n.abs() >= MAX_EXTENT) {
        return Err(wrong());
    }
    Ok(amounts)
}

/// `strides - 1` zeros behind each element of both axes of an NHWC value.
fn spread(
    importer: &mut Importer<'_>,
    x: ValueId,
    strides: [usize; 2],
    output: &str,
) -> Result<ValueId, Fault> {
    let &[n, h, w, c] = importer.shape(x) else {
        return Err(malformed("has no four axes".into()));
    };
    let [sh, sw] = strides;
    let wrong = || malformed("has an impossible stride".into());
    let wide = w.checked_mul(sw).ok_or_else(wrong)?;
    let row = wide.checked_mul(c).ok_or_else(wrong)?;
    let high = h.checked_mul(sh).ok_or_else(wrong)?;
    let mut y = x;
    if sw > 1 {
        y = importer.push(Op::Reshape, vec![y], Some(&[n * h * w, 1, c]), output)?;
        let amounts = vec![[0, 0], [0, sw - 1], [0, 0]];
        y = importer.push(Op::Pad { amounts }, vec![y], None, output)?;
    }
    if sh > 1 {
        y = importer.push(Op::Reshape, vec![y], Some(&[n * h, 1, row]), output)?;
        let amounts = vec![[0, 0], [0, sh - 1], [0, 0]];
        y = importer.push(Op::Pad { amounts }, vec![y], None, output)?;
    }
    if y == x {
        return Ok(x);
    }
    importer.push(Op::Reshape, vec![y], Some(&[n, high, wide, c]), output)
}

/// Weights `[channels, per group, kh, kw]` as those of the convolution, `[outputs, channels per group, kh, kw]`, mirrored.
fn mirrored(weights: &Known, groups: usize) -> Result<Known, Fault> {
    let wrong = || malformed(format!("has weights {:?} in {groups} groups", weights.shape()));
    let weights = weights.view().into_dimensionality::<Ix4>().map_err(|_| wrong())?;
    let (channels, each, kh, kw) = weights.dim();
    if groups == 0 || channels == 0 || !channels.is_multiple_of(groups) {
        return Err(wrong());
    }
    let depth = channels / groups;
    let of = |(o, c, y, x): (usize, usize, usize, usize)| {
        weights[[o / each * depth + c, o % each, kh - 1 - y, kw - 1 - x]]
    };
    Ok(Array4::from_shape_fn((each * groups, depth, kh, kw), of).into_dyn())
}

/// `ConvTranspose` over one or two axes.
pub(super) fn conv_transpose(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let weights = layers::with_rows(importer.constant_of(node, 1)?)?;
    let groups = usize::try_from(node.int("group", 1)).unwrap_or(0);
    importer.spend(weights.len())?;
    let weights = mirrored(&weights, groups)?;
    let bias = match node.input(2) {
        Some(_) => Some(floats(importer.constant_of(node, 2)?)),
        None => None,
    };
    let (x, rows) = layers::image(importer, input)?;
    let &[_, h, w, _] = importer.shape(x) else {
        return Err(malformed("has no four axes".into()));
    };
    let kernel = [weights.shape()[2], weights.shape()[3]];
    let (extents, kernels) =
        if rows { (vec![w], vec![kernel[1]]) } else { (vec![h, w], kernel.to_vec()) };
    let spans = spans(node, &kernels, &extents)?;
    let mut amounts = Vec::new();
    for (at, span) in spans.iter().enumerate() {
        amounts.push(around(node, at, span, extents[at])?);
    }
    let stride: Vec<usize> = spans.iter().map(|span| span.stride).collect();
    let dilation: Vec<usize> = spans.iter().map(|span| span.dilation).collect();
    let (stride, dilation, amounts) = match rows {
        true => ([1, stride[0]], [1, dilation[0]], [[0, 0], amounts[0]]),
        false => ([stride[0], stride[1]], [dilation[0], dilation[1]], [amounts[0], amounts[1]]),
    };
    let spread = spread(importer, x, stride, output)?;
    let kept = cropped(importer, spread, amounts, output)?;
    let pad = |n: i64| n.max(0) as usize;
    let [[top, bottom], [left, right]] = amounts.map(|both| both.map(pad));
    let padding = Padding { top, bottom, left, right };
    let window = Window { kernel, stride: [1, 1], dilation, padding };
    let layer = Layer { weights: &weights, bias, groups, window };
    let y = layers::grouped(importer, kept, layer, output)?;
    layers::bind_image(importer, output, y, rows)
}

/// Without the rows and columns that negative padding takes away.
fn cropped(
    importer: &mut Importer<'_>,
    x: ValueId,
    amounts: [[i64; 2]; 2],
    output: &str,
) -> Result<ValueId, Fault> {
    let cut = |n: i64| n.min(0).unsigned_abs() as usize;
    let cuts = amounts.map(|both| both.map(cut));
    if cuts == [[0; 2]; 2] {
        return Ok(x);
    }
    let mut counts = importer.shape(x).to_vec();
    let mut begin = vec![0; 4];
    for (axis, [before, after]) in cuts.into_iter().enumerate() {
        let left = counts[axis + 1].checked_sub(before + after).filter(|&n| n > 0);
        counts[axis + 1] = left.ok_or_else(|| unsupported("padding that leaves nothing".into()))?;
        begin[axis + 1] = before;
    }
    let op = Op::StridedSlice { begin, strides: vec![1; 4], counts: counts.clone() };
    importer.push(op, vec![x], Some(&counts), output)
}
