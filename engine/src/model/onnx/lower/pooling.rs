//! Pooling over any number of axes, with gaps, and by norms: along one axis after the other. The largest element by picking,
//! sums as matrix products.

use super::elementwise::Chain;
use super::layers;
use super::windows::{Span, spans};
use crate::graph::{BinaryOp, Op, UnaryOp, ValueId};
use crate::model::fault::{Fault, malformed, unsupported};
use crate::model::onnx::importer::Importer;
use crate::model::onnx::node::Node;

/// Most elements of a result along an axis.
const MAX_EXTENT: usize = 1 << 20;

/// Most taps along an axis that are picked one by one.
const MAX_PICKED: usize = 256;

/// A window's taps along one axis.
struct Taps {
    span: Span,
    extent: usize,
    /// Elements of the result.
    count: usize,
}

impl Taps {
    fn new(span: Span, extent: usize, round_up: bool) -> Result<Self, Fault> {
        let impossible = || malformed("has an impossible window".into());
        let padded = extent.checked_add(span.before).and_then(|n| n.checked_add(span.after));
        let reach = (span.kernel.max(1) - 1).checked_mul(span.dilation);
        let rest = padded.zip(reach).and_then(|(padded, reach)| padded.checked_sub(reach + 1));
        let rest = rest.filter(|_| span.kernel > 0).ok_or_else(impossible)?;
        let mut count = rest / span.stride + 1;
        // A window that is cut off counts, unless it would begin behind the input.
        if round_up
            && !rest.is_multiple_of(span.stride)
            && count.saturating_mul(span.stride) < extent + span.before
        {
            count += 1;
        }
        if count > MAX_EXTENT || span.kernel > MAX_EXTENT {
            return Err(impossible());
        }
        Ok(Self { span, extent, count })
    }

    /// The position that a tap reads, if it is inside of the input.
    fn position(&self, index: usize, tap: usize) -> Option<usize> {
        let at = index * self.span.stride + tap * self.span.dilation;
        at.checked_sub(self.span.before).filter(|&at| at < self.extent)
    }

    /// For each element of the result a position inside of the input that its window has.
    fn inside(&self) -> Result<Vec<usize>, Fault> {
        (0..self.count)
            .map(|index| {
                (0..self.span.kernel)
                    .find_map(|tap| self.position(index, tap))
                    .ok_or_else(|| malformed("has a window of nothing but padding".into()))
            })
            .collect()
    }

    /// For each element of the result what `tap` picks; where that is padding, the position `inside`.
    fn picked(&self, tap: usize, inside: &[usize]) -> Vec<usize> {
        let pick = |(index, &inside)| self.position(index, tap).unwrap_or(inside);
        inside.iter().enumerate().map(pick).collect()
    }

    /// Row `i` has the shares of the input's elements in element `i` of the result: 1, or of as many as the window has
    /// inside of the input, or inside of the padded input.
    fn matrix(&self, sum: Sum) -> Vec<f32> {
        let mut matrix = vec![0.0; self.count * self.extent];
        for (index, row) in matrix.chunks_exact_mut(self.extent).enumerate() {
            let inside: Vec<usize> =
                (0..self.span.kernel).filter_map(|tap| self.position(index, tap)).collect();
            let padded = self.extent + self.span.before + self.span.after;
            let at = |tap: usize| index * self.span.stride + tap * self.span.dilation;
            let taps = match sum {
                Sum::Plain => 1,
                Sum::Mean => inside.len(),
                Sum::PaddedMean => (0..self.span.kernel).filter(|&tap| at(tap) < padded).count(),
            };
            inside.iter().for_each(|&position| row[position] += 1.0 / taps as f32);
        }
        matrix
    }
}

#[derive(Clone, Copy)]
enum Sum {
    Plain,
    Mean,
    PaddedMean,
}

/// `MaxPool`, `AveragePool` and `LpPool` of a value of three or more axes.
pub(super) fn along_axes(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, output) = (node.required(0)?, node.output()?);
    let shape = importer.shape_of(input)?;
    let kernel = node.ints("kernel_shape").unwrap_or_default();
    let kernel: Option<Vec<usize>> = kernel.iter().map(|&n| usize::try_from(n).ok()).collect();
    let kernel = kernel.filter(|kernel| kernel.len() + 2 == shape.len() && !kernel.is_empty());
    let kernel = kernel.ok_or_else(|| malformed("has no kernel with an extent per axis".into()))?;
    let spans = spans(node, &kernel, &shape[2..])?;
    let round_up = node.int("ceil_mode", 0) != 0;
    let mut y = importer.plain(input)?;
    let power = if node.op() == "LpPool" { node.int("p", 2) } else { 1 };
    if node.op() == "LpPool" {
        y = raised(importer, y, power, output)?;
    }
    for (index, span) in spans.into_iter().enumerate() {
        let taps = Taps::new(span, shape[index + 2], round_up)?;
        y = match node.op() {
            "MaxPool" => largest(importer, y, index + 2, &taps, output)?,
            "LpPool" => summed(importer, y, (index + 2, &taps), Sum::Plain, output)?,
            _ if node.int("count_include_pad", 0) != 0 => {
                summed(importer, y, (index + 2, &taps), Sum::PaddedMean, output)?
            }
            _ => summed(importer, y, (index + 2, &taps), Sum::Mean, output)?,
        };
    }
    let mut chain = Chain::new(importer, output);
    y = match power {
        1 => y,
        2 => chain.unary(UnaryOp::Sqrt, y)?,
        power => {
            let log = chain.unary(UnaryOp::Log, y)?;
            let scaled = chain.with(BinaryOp::Div, log, power as f32)?;
            chain.unary(UnaryOp::Exp, scaled)?
        }
    };
    importer.bind(output, y)
}

/// `|x|^power`.
fn raised(
    importer: &mut Importer<'_>,
    x: ValueId,
    power: i64,
    output: &str,
) -> Result<ValueId, Fault> {
    if !(1..=16).contains(&power) {
        return Err(unsupported(format!("a norm of order {power}")));
    }
    let mut chain = Chain::new(importer, output);
    let magnitude = chain.unary(UnaryOp::Abs, x)?;
    let mut y = magnitude;
    for _ in 1..power {
        y = chain.binary(BinaryOp::Mul, y, magnitude)?;
    }
    Ok(y)
}

fn largest(
    importer: &mut Importer<'_>,
    x: ValueId,
    axis: usize,
    taps: &Taps,
    output: &str,
) -> Result<ValueId, Fault> {
    if taps.span.kernel > MAX_PICKED {
        return Err(unsupported(format!(
            "the largest of {} elements of an axis",
            taps.span.kernel
        )));
    }
    importer.spend(taps.count.saturating_mul(taps.span.kernel))?;
    let inside = taps.inside()?;
    let mut best = None;
    for tap in 0..taps.span.kernel {
        let picked = taps.picked(tap, &inside);
        let indices = importer.indices(&format!("{output}/tap{tap}"), picked)?;
        let picked = importer.push(Op::Gather { axis }, vec![x, indices], None, output)?;
        best = Some(match best {
            None => picked,
            Some(best) => Chain::new(importer, output).binary(BinaryOp::Maximum, best, picked)?,
        });
    }
    Ok(best.unwrap_or(x))
}

fn summed(
    importer: &mut Importer<'_>,
    x: ValueId,
    (axis, taps): (usize, &Taps),
    sum: Sum,
    output: &str,
) -> Result<ValueId, Fault> {
    importer.spend(taps.count.saturating_mul(taps.extent.saturating_add(taps.span.kernel)))?;
    let last = importer.shape(x).len() - 1;
    let mut perm: Vec<usize> = (0..=last).collect();
    perm.swap(axis, last);
    let turned = importer.transpose(x, &perm)?;
    let (matrix, bias) = (taps.matrix(sum), vec![0.0; taps.count]);
    let y = layers::product(importer, turned, taps.count, matrix, bias, output)?;
    importer.transpose(y, &perm)
}
