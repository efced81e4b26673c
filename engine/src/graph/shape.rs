//! Shape inference: the shapes of an operator's results follow from those of its operands.

use super::{Activation, BinaryOp, Op, Window};

/// The largest extent, window parameter and number of elements that a graph may have. It keeps every product of
/// two of them within 64 bits, and an fp32 tensor within 1 GiB.
pub const MAX_ELEMENTS: usize = 1 << 28;

/// Number of elements of a shape, if every extent is at least 1 and there are at most [`MAX_ELEMENTS`].
pub fn checked_elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, &extent| {
        let product = product.checked_mul(extent)?;
        (product > 0 && product <= MAX_ELEMENTS).then_some(product)
    })
}

/// The shape of two operands broadcast against each other as in NumPy: aligned at the last axis, an extent of 1
/// stretches. `None` when they do not fit.
pub fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let extent = |shape: &[usize], axis: usize| {
        (axis + shape.len()).checked_sub(rank).map_or(1, |own| shape[own])
    };
    (0..rank)
        .map(|axis| match (extent(a, axis), extent(b, axis)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

impl Window {
    /// Height and width of the result over an input of `[height, width]`; `None` when a parameter is 0 or above
    /// [`MAX_ELEMENTS`], or when the window does not fit even once.
    pub fn output_size(&self, input: [usize; 2]) -> Option<[usize; 2]> {
        let pads =
            [[self.padding.top, self.padding.bottom], [self.padding.left, self.padding.right]];
        let along = |axis: usize| {
            let (kernel, stride, dilation) =
                (self.kernel[axis], self.stride[axis], self.dilation[axis]);
            let positive = [kernel, stride, dilation, input[axis]];
            let bounded = |x: &usize| *x <= MAX_ELEMENTS;
            if positive.contains(&0) || !positive.iter().chain(&pads[axis]).all(bounded) {
                return None;
            }
            // Every factor is at most 2^28, so nothing here overflows 64 bits.
            let covered = (kernel as u64 - 1) * dilation as u64 + 1;
            let padded = input[axis] as u64 + pads[axis][0] as u64 + pads[axis][1] as u64;
            let steps = padded.checked_sub(covered)? / stride as u64;
            usize::try_from(steps + 1).ok()
        };
        Some([along(0)?, along(1)?])
    }
}

/// The result shapes of `op`.
///
/// `inputs` are the operands' shapes, their number already checked by the caller except for `Concat`. `declared`
/// are the shapes that the results are said to have; only operators whose result is not determined by the
/// operands ([`Op::Reshape`], and which axes [`Op::StridedSlice`] drops) read them.
///
/// # Errors
/// Says why the operands do not fit the operator.
pub fn infer(
    op: &Op,
    inputs: &[&[usize]],
    declared: &[&[usize]],
) -> Result<Vec<Vec<usize>>, String> {
    let x = *inputs.first().ok_or("has no operand")?;
    let one = |shape: Vec<usize>| Ok(vec![shape]);
    match op {
        Op::Conv2d { window, .. } => one(convolution(window, inputs, false)?),
        Op::DepthwiseConv2d { window, .. } => one(convolution(window, inputs, true)?),
        Op::FullyConnected { .. } => one(fully_connected(inputs)?),
        Op::Prelu => {
            per_channel("slopes", operand(inputs, 1)?, x.last().copied())?;
            one(x.to_vec())
        }
        Op::Unary(_) => one(x.to_vec()),
        Op::Convert => {
            if let Some(thresholds) = inputs.get(1) {
                per_channel("thresholds", thresholds, x.last().copied())?;
            }
            one(x.to_vec())
        }
        Op::Binary { op, activation } => {
            let b = operand(inputs, 1)?;
            let shape = broadcast(x, b);
            let shape = shape.ok_or_else(|| format!("cannot broadcast {x:?} with {b:?}"))?;
            if matches!(op, BinaryOp::Add | BinaryOp::Sub) && *activation == Activation::Prelu {
                per_channel("slopes", operand(inputs, 2)?, shape.last().copied())?;
            } else {
                not_prelu(*activation)?;
            }
            one(shape)
        }
        Op::MaxPool2d { window, activation } | Op::AveragePool2d { window, activation } => {
            not_prelu(*activation)?;
            one(pool(window, x)?)
        }
        Op::Pad { amounts } => one(pad(x, amounts)?),
        Op::ResizeBilinear { size, half_pixel_centers, align_corners } => {
            if *half_pixel_centers && *align_corners {
                return Err("half-pixel centres exclude aligned corners".to_owned());
            }
            let [n, _, _, c] = nhwc(x)?;
            one(vec![n, size[0], size[1], c])
        }
        Op::Reshape => reshape(x, declared),
        Op::Concat { axis } => one(concat(inputs, *axis)?),
        Op::Reduce { axes, keep_dims, .. } => one(reduce(x, axes, *keep_dims)?),
        Op::Softmax { beta } => {
            if x.is_empty() || !beta.is_finite() {
                return Err(format!("cannot take a softmax of {x:?} with beta {beta}"));
            }
            one(x.to_vec())
        }
        Op::Gather { axis } => {
            axis_of(x, *axis)?;
            one([&x[..*axis], operand(inputs, 1)?, &x[*axis + 1..]].concat())
        }
        Op::Unpack { axis } => {
            axis_of(x, *axis)?;
            if declared.len() != x[*axis] {
                return Err(format!("axis {axis} of {x:?} has not {} parts", declared.len()));
            }
            Ok(vec![[&x[..*axis], &x[*axis + 1..]].concat(); declared.len()])
        }
        Op::Transpose { perm } => {
            let mut sorted = perm.clone();
            sorted.sort_unstable();
            if !sorted.into_iter().eq(0..x.len()) {
                return Err(format!("cannot order the axes of {x:?} as {perm:?}"));
            }
            one(perm.iter().map(|&axis| x[axis]).collect())
        }
        Op::StridedSlice { begin, strides, counts } => {
            strided_slice(x, [begin, counts], strides, declared)
        }
    }
}

fn operand<'a>(inputs: &[&'a [usize]], index: usize) -> Result<&'a [usize], String> {
    inputs.get(index).copied().ok_or_else(|| format!("has no operand {index}"))
}

fn nhwc(shape: &[usize]) -> Result<[usize; 4], String> {
    shape.try_into().map_err(|_| format!("needs an NHWC operand, not {shape:?}"))
}

fn axis_of(shape: &[usize], axis: usize) -> Result<(), String> {
    if axis < shape.len() { Ok(()) } else { Err(format!("{shape:?} has no axis {axis}")) }
}

fn per_channel(what: &str, shape: &[usize], channels: Option<usize>) -> Result<(), String> {
    match channels {
        Some(channels) if shape == [channels] => Ok(()),
        _ => Err(format!("needs one of the {what} per channel, not {shape:?}")),
    }
}

fn not_prelu(activation: Activation) -> Result<(), String> {
    match activation {
        Activation::Prelu => Err("cannot have a fused PReLU".to_owned()),
        _ => Ok(()),
    }
}

fn convolution(
    window: &Window,
    inputs: &[&[usize]],
    depthwise: bool,
) -> Result<Vec<usize>, String> {
    let x = operand(inputs, 0)?;
    let weights = operand(inputs, 1)?;
    let [n, h, w, ci] = nhwc(x)?;
    let [first, kh, kw, last] = nhwc(weights)?;
    let fits = last == ci && (!depthwise || first == 1);
    if !fits || window.kernel != [kh, kw] {
        return Err(format!(
            "weights {weights:?} do not fit an input of {x:?} or a window of {:?}",
            window.kernel
        ));
    }
    let co = if depthwise { ci } else { first };
    for vector in &inputs[2..] {
        per_channel("biases, slopes, thresholds, factors or offsets", vector, Some(co))?;
    }
    let [oh, ow] = window
        .output_size([h, w])
        .ok_or_else(|| format!("the window {window:?} does not fit {x:?}"))?;
    Ok(vec![n, oh, ow, co])
}

fn fully_connected(inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
    let x = operand(inputs, 0)?;
    let weights = operand(inputs, 1)?;
    let (&[co, ci], Some((&last, rows))) = (weights, x.split_last()) else {
        return Err(format!("cannot multiply {x:?} by {weights:?}"));
    };
    if last != ci {
        return Err(format!("cannot multiply {x:?} by {weights:?}"));
    }
    for vector in &inputs[2..] {
        per_channel("biases, slopes, thresholds, factors or offsets", vector, Some(co))?;
    }
    Ok([rows, &[co]].concat())
}

fn pool(window: &Window, x: &[usize]) -> Result<Vec<usize>, String> {
    let [n, h, w, c] = nhwc(x)?;
    let padding = window.padding;
    // A window wholly in the padding would have no element to take.
    let inside = padding.top.max(padding.bottom) < window.kernel[0]
        && padding.left.max(padding.right) < window.kernel[1];
    match window.output_size([h, w]) {
        Some([oh, ow]) if inside && window.dilation == [1, 1] => Ok(vec![n, oh, ow, c]),
        _ => Err(format!("the window {window:?} does not fit {x:?}")),
    }
}

fn pad(x: &[usize], amounts: &[[usize; 2]]) -> Result<Vec<usize>, String> {
    if amounts.len() != x.len() || amounts.iter().flatten().any(|&n| n > MAX_ELEMENTS) {
        return Err(format!("cannot pad {x:?} by {amounts:?}"));
    }
    Ok(x.iter().zip(amounts).map(|(extent, [before, after])| extent + before + after).collect())
}

fn reshape(x: &[usize], declared: &[&[usize]]) -> Result<Vec<Vec<usize>>, String> {
    let [result] = declared else {
        return Err(format!("has {} results instead of 1", declared.len()));
    };
    if checked_elements(x) != checked_elements(result) {
        return Err(format!("{result:?} has not as many elements as {x:?}"));
    }
    Ok(vec![result.to_vec()])
}

fn concat(inputs: &[&[usize]], axis: usize) -> Result<Vec<usize>, String> {
    let mut joined = inputs[0].to_vec();
    axis_of(&joined, axis)?;
    for input in &inputs[1..] {
        let others_agree = input.len() == joined.len()
            && (0..joined.len()).all(|a| a == axis || input[a] == joined[a]);
        let sum = input.get(axis).and_then(|extent| joined[axis].checked_add(*extent));
        match sum {
            Some(sum) if others_agree => joined[axis] = sum,
            _ => return Err(format!("cannot join {joined:?} and {input:?} along axis {axis}")),
        }
    }
    Ok(joined)
}

fn reduce(x: &[usize], axes: &[usize], keep_dims: bool) -> Result<Vec<usize>, String> {
    let sorted = axes.windows(2).all(|pair| pair[0] < pair[1]);
    if !sorted || axes.last().is_some_and(|&axis| axis >= x.len()) {
        return Err(format!("cannot reduce {x:?} over {axes:?}"));
    }
    let extents = x.iter().enumerate();
    Ok(if keep_dims {
        extents.map(|(axis, &n)| if axes.contains(&axis) { 1 } else { n }).collect()
    } else {
        extents.filter(|(axis, _)| !axes.contains(axis)).map(|(_, &n)| n).collect()
    })
}

fn strided_slice(
    x: &[usize],
    [begin, counts]: [&[usize]; 2],
    strides: &[isize],
    declared: &[&[usize]],
) -> Result<Vec<Vec<usize>>, String> {
    if [begin.len(), counts.len(), strides.len()] != [x.len(); 3] {
        return Err(format!("slices {} axes of {x:?}", begin.len()));
    }
    for (axis, &extent) in x.iter().enumerate() {
        let (first, step, count) = (begin[axis] as u64, strides[axis], counts[axis]);
        let ok = step != 0 && (1..=MAX_ELEMENTS).contains(&count) && begin[axis] < extent && {
            let span = (count as u64 - 1).checked_mul(step.unsigned_abs() as u64);
            match (span, step > 0) {
                (Some(span), true) => span < extent as u64 - first,
                (Some(span), false) => span <= first,
                (None, _) => false,
            }
        };
        if !ok {
            return Err(format!("slice {first}, step {step}, count {count} leaves axis {axis}"));
        }
    }
    let [result] = declared else {
        return Err(format!("has {} results instead of 1", declared.len()));
    };
    if drops_only_ones(counts, result) {
        Ok(vec![result.to_vec()])
    } else {
        Err(format!("takes {counts:?}, which is not {result:?}"))
    }
}

/// Whether `to` is `from` without some of its extents of 1.
fn drops_only_ones(from: &[usize], to: &[usize]) -> bool {
    let mut rest = to.iter().peekable();
    from.iter().all(|extent| rest.next_if_eq(&extent).is_some() || *extent == 1)
        && rest.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Padding;

    #[test]
    fn broadcasting_follows_numpy() {
        assert_eq!(broadcast(&[2, 1, 3], &[4, 1]), Some(vec![2, 4, 3]));
        assert_eq!(broadcast(&[], &[5]), Some(vec![5]));
        assert_eq!(broadcast(&[2], &[3]), None);
    }

    #[test]
    fn a_window_counts_its_positions() {
        let mut window = Window {
            kernel: [3, 5],
            stride: [2, 1],
            dilation: [1, 2],
            padding: Padding::default(),
        };
        assert_eq!(window.output_size([7, 9]), Some([3, 1]));
        assert_eq!(window.output_size([7, 8]), None, "nine columns are covered");
        window.padding.right = 1;
        assert_eq!(window.output_size([7, 8]), Some([3, 1]));
        window.stride[0] = 0;
        assert_eq!(window.output_size([7, 9]), None);
        window.stride[0] = usize::MAX;
        assert_eq!(window.output_size([7, 9]), None);
    }

    #[test]
    fn slices_stay_inside_whichever_way_they_run() {
        let slice = |begin, stride, count| {
            let op =
                Op::StridedSlice { begin: vec![begin], strides: vec![stride], counts: vec![count] };
            infer(&op, &[&[5]], &[&[count]]).is_ok()
        };
        assert!(slice(0, 2, 3) && slice(4, -2, 3) && slice(4, -4, 2));
        assert!(!slice(1, 2, 3) && !slice(4, -2, 4) && !slice(5, 1, 1) && !slice(0, 0, 1));
        assert!(!slice(0, isize::MIN, 2) && !slice(0, 1, usize::MAX));
    }

    #[test]
    fn element_counts_do_not_overflow() {
        assert_eq!(checked_elements(&[]), Some(1));
        assert_eq!(checked_elements(&[usize::MAX, 2]), None);
        assert_eq!(checked_elements(&[4, 0]), None);
    }
}
