//! Operators that work element by element.

use super::layers::merge_constant;
use crate::graph::{Activation, BinaryOp, Op, UnaryOp, ValueId};
use crate::model::fault::{Fault, malformed, unsupported};
use crate::model::onnx::importer::{Held, Importer, TO_NHWC, floats};
use crate::model::onnx::node::Node;

/// A chain of operators on one value.
pub(super) struct Chain<'a, 'b> {
    importer: &'a mut Importer<'b>,
    name: String,
}

impl<'a, 'b> Chain<'a, 'b> {
    /// Results are named after `name`.
    pub(super) fn new(importer: &'a mut Importer<'b>, name: &str) -> Self {
        Self { importer, name: name.to_owned() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn importer(&mut self) -> &mut Importer<'b> {
        self.importer
    }

    pub(super) fn unary(&mut self, op: UnaryOp, x: ValueId) -> Result<ValueId, Fault> {
        self.importer.push(Op::Unary(op), vec![x], None, &self.name)
    }

    pub(super) fn binary(
        &mut self,
        op: BinaryOp,
        a: ValueId,
        b: ValueId,
    ) -> Result<ValueId, Fault> {
        let op = Op::Binary { op, activation: Activation::None };
        self.importer.push(op, vec![a, b], None, &self.name)
    }

    /// With a constant on the right.
    pub(super) fn with(
        &mut self,
        op: BinaryOp,
        x: ValueId,
        element: f32,
    ) -> Result<ValueId, Fault> {
        let constant = self.importer.scalar(&format!("{}/constant", self.name), element)?;
        self.binary(op, x, constant)
    }

    pub(super) fn clamp(&mut self, x: ValueId, low: f32, high: f32) -> Result<ValueId, Fault> {
        let x = self.with(BinaryOp::Maximum, x, low)?;
        self.with(BinaryOp::Minimum, x, high)
    }
}

/// Whether `op` is a function of one operand.
pub(super) fn is_function(op: &str) -> bool {
    direct(op).is_some()
        || matches!(
            op,
            "Reciprocal"
                | "HardSigmoid"
                | "HardSwish"
                | "Celu"
                | "Elu"
                | "Selu"
                | "Softplus"
                | "Softsign"
                | "Gelu"
                | "Mish"
                | "Shrink"
                | "Swish"
                | "ThresholdedRelu"
        )
}

fn direct(op: &str) -> Option<UnaryOp> {
    Some(match op {
        "Relu" => UnaryOp::Relu,
        "Sigmoid" => UnaryOp::Logistic,
        "Sign" => UnaryOp::Sign,
        "Abs" => UnaryOp::Abs,
        "Neg" => UnaryOp::Neg,
        "Exp" => UnaryOp::Exp,
        "Log" => UnaryOp::Log,
        "Sqrt" => UnaryOp::Sqrt,
        "Tanh" => UnaryOp::Tanh,
        "Erf" => UnaryOp::Erf,
        "Floor" => UnaryOp::Floor,
        "Ceil" => UnaryOp::Ceil,
        "Round" => UnaryOp::Round,
        _ => return None,
    })
}

/// Functions of one operand, by their definitions in ONNX.
pub(super) fn function(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    use BinaryOp::{Add, Div, Minimum, Mul, Sub};
    let output = node.output()?;
    let (x, channels_last) = importer.as_it_is(node.required(0)?)?;
    let mut chain = Chain::new(importer, output);
    let y = match node.op() {
        "Reciprocal" => {
            let one = chain.importer.scalar(&format!("{output}/one"), 1.0)?;
            chain.binary(Div, one, x)?
        }
        "HardSigmoid" => {
            let scaled = chain.with(Mul, x, node.float("alpha", 0.2))?;
            let moved = chain.with(Add, scaled, node.float("beta", 0.5))?;
            chain.clamp(moved, 0.0, 1.0)?
        }
        "HardSwish" => {
            let scaled = chain.with(Mul, x, 1.0 / 6.0)?;
            let moved = chain.with(Add, scaled, 0.5)?;
            let gate = chain.clamp(moved, 0.0, 1.0)?;
            chain.binary(Mul, x, gate)?
        }
        "Celu" => {
            let alpha = node.float("alpha", 1.0);
            let scaled = chain.with(Mul, x, 1.0 / alpha)?;
            let y = elu(&mut chain, scaled, 1.0)?;
            chain.with(Mul, y, alpha)?
        }
        "Shrink" => shrink(&mut chain, x, node.float("lambd", 0.5), node.float("bias", 0.0))?,
        "Swish" => {
            let scaled = chain.with(Mul, x, node.float("alpha", 1.0))?;
            let gate = chain.unary(UnaryOp::Logistic, scaled)?;
            chain.binary(Mul, x, gate)?
        }
        "Elu" => elu(&mut chain, x, node.float("alpha", 1.0))?,
        "Selu" => {
            let y = elu(&mut chain, x, node.float("alpha", 1.673_263_2))?;
            chain.with(Mul, y, node.float("gamma", 1.050_701))?
        }
        "Softplus" => softplus(&mut chain, x)?,
        "Softsign" => {
            let magnitude = chain.unary(UnaryOp::Abs, x)?;
            let divisor = chain.with(Add, magnitude, 1.0)?;
            chain.binary(Div, x, divisor)?
        }
        "Gelu" if node.text("approximate", "none") == "tanh" => {
            let square = chain.binary(Mul, x, x)?;
            let cube = chain.binary(Mul, square, x)?;
            let small = chain.with(Mul, cube, 0.044_715)?;
            let sum = chain.binary(Add, x, small)?;
            let scaled = chain.with(Mul, sum, (2.0 / std::f32::consts::PI).sqrt())?;
            let tanh = chain.unary(UnaryOp::Tanh, scaled)?;
            half_of_one_plus(&mut chain, x, tanh)?
        }
        "Gelu" => {
            let scaled = chain.with(Mul, x, std::f32::consts::FRAC_1_SQRT_2)?;
            let erf = chain.unary(UnaryOp::Erf, scaled)?;
            half_of_one_plus(&mut chain, x, erf)?
        }
        "Mish" => {
            let soft = softplus(&mut chain, x)?;
            let tanh = chain.unary(UnaryOp::Tanh, soft)?;
            chain.binary(Mul, x, tanh)?
        }
        "ThresholdedRelu" => {
            // 1 above the threshold, 0 elsewhere.
            let moved = chain.with(Sub, x, node.float("alpha", 1.0))?;
            let sign = chain.unary(UnaryOp::Sign, moved)?;
            let above = chain.unary(UnaryOp::Relu, sign)?;
            let above = chain.with(Minimum, above, 1.0)?;
            chain.binary(Mul, x, above)?
        }
        op => {
            let op = direct(op).ok_or_else(|| unsupported(format!("the function {op}")))?;
            chain.unary(op, x)?
        }
    };
    importer.bind_as(output, y, channels_last)
}

/// 1 where `x > 0`, else 0.
pub(super) fn is_positive(chain: &mut Chain<'_, '_>, x: ValueId) -> Result<ValueId, Fault> {
    let sign = chain.unary(UnaryOp::Sign, x)?;
    chain.with(BinaryOp::Maximum, sign, 0.0)
}

/// `x - sign(x) * bias` where `|x| > limit`, else 0.
fn shrink(chain: &mut Chain<'_, '_>, x: ValueId, limit: f32, bias: f32) -> Result<ValueId, Fault> {
    let sign = chain.unary(UnaryOp::Sign, x)?;
    let toward = chain.with(BinaryOp::Mul, sign, bias)?;
    let moved = chain.binary(BinaryOp::Sub, x, toward)?;
    let magnitude = chain.unary(UnaryOp::Abs, x)?;
    let beyond = chain.with(BinaryOp::Sub, magnitude, limit)?;
    let outside = is_positive(chain, beyond)?;
    chain.binary(BinaryOp::Mul, moved, outside)
}

/// The whole part: `sign(x) * floor(|x|)`.
pub(super) fn cut(chain: &mut Chain<'_, '_>, x: ValueId) -> Result<ValueId, Fault> {
    let sign = chain.unary(UnaryOp::Sign, x)?;
    let magnitude = chain.unary(UnaryOp::Abs, x)?;
    let whole = chain.unary(UnaryOp::Floor, magnitude)?;
    chain.binary(BinaryOp::Mul, whole, sign)
}

/// `max(x, 0) + alpha * (exp(min(x, 0)) - 1)`.
fn elu(chain: &mut Chain<'_, '_>, x: ValueId, alpha: f32) -> Result<ValueId, Fault> {
    let above = chain.unary(UnaryOp::Relu, x)?;
    let below = chain.with(BinaryOp::Minimum, x, 0.0)?;
    let power = chain.unary(UnaryOp::Exp, below)?;
    let less = chain.with(BinaryOp::Sub, power, 1.0)?;
    let scaled = chain.with(BinaryOp::Mul, less, alpha)?;
    chain.binary(BinaryOp::Add, above, scaled)
}

/// `max(x, 0) + log(1 + exp(-|x|))`.
fn softplus(chain: &mut Chain<'_, '_>, x: ValueId) -> Result<ValueId, Fault> {
    let above = chain.unary(UnaryOp::Relu, x)?;
    let magnitude = chain.unary(UnaryOp::Abs, x)?;
    let negative = chain.unary(UnaryOp::Neg, magnitude)?;
    let power = chain.unary(UnaryOp::Exp, negative)?;
    let more = chain.with(BinaryOp::Add, power, 1.0)?;
    let log = chain.unary(UnaryOp::Log, more)?;
    chain.binary(BinaryOp::Add, above, log)
}

/// `0.5 * x * (1 + y)`.
fn half_of_one_plus(chain: &mut Chain<'_, '_>, x: ValueId, y: ValueId) -> Result<ValueId, Fault> {
    let more = chain.with(BinaryOp::Add, y, 1.0)?;
    let half = chain.with(BinaryOp::Mul, x, 0.5)?;
    chain.binary(BinaryOp::Mul, half, more)
}

/// Both operands in the same order: NHWC if one of them is at hand only so.
pub(super) fn pair(
    importer: &mut Importer<'_>,
    a: &str,
    b: &str,
) -> Result<([ValueId; 2], bool), Fault> {
    let only_last = |name: &str| -> Result<bool, Fault> {
        Ok(matches!(importer.get(name)?, Held::Computed(computed) if computed.only_channels_last()))
    };
    let ranks = [importer.shape_of(a)?.len(), importer.shape_of(b)?.len()];
    // More than four axes would need another order.
    let channels_last = (only_last(a)? || only_last(b)?) && ranks.iter().all(|&rank| rank <= 4);
    let mut ids = [0; 2];
    for (id, (name, rank)) in ids.iter_mut().zip([(a, ranks[0]), (b, ranks[1])]) {
        *id = match (channels_last, rank) {
            (false, _) => importer.plain(name)?,
            (true, 4) => importer.channels_last(name)?,
            (true, _) => lifted(importer, name)?,
        };
    }
    Ok((ids, channels_last))
}

/// An operand of fewer than four axes, in NHWC order as it is broadcast.
fn lifted(importer: &mut Importer<'_>, name: &str) -> Result<ValueId, Fault> {
    let shape = importer.shape_of(name)?;
    let mut four = vec![1; 4 - shape.len()];
    four.extend(&shape);
    let moved = [four[0], four[2], four[3], four[1]];
    if let Some(known) = importer.known(name) {
        let wide = known
            .to_shape((four[0], four[1], four[2], four[3]))
            .map_err(|error| malformed(error.to_string()))?;
        let elements = wide.view().permuted_axes(TO_NHWC).iter().map(|&x| x as f32).collect();
        // Broadcasting starts from the last axis, so leading ones can be left out.
        let from = moved.iter().position(|&n| n > 1).unwrap_or(3);
        return importer.constant(name, moved[from..].to_vec(), elements);
    }
    let plain = importer.plain(name)?;
    let wide = importer.push(Op::Reshape, vec![plain], Some(&four), &format!("{name}/four"))?;
    importer.transpose(wide, &[0, 2, 3, 1])
}

fn apply(
    importer: &mut Importer<'_>,
    op: BinaryOp,
    [a, b]: [&str; 2],
    output: &str,
) -> Result<(), Fault> {
    let ([a, b], channels_last) = pair(importer, a, b)?;
    let op = Op::Binary { op, activation: Activation::None };
    let y = importer.push(op, vec![a, b], None, output)?;
    importer.bind_as(output, y, channels_last)
}

/// `Add`, `Sub`, `Mul`, `Div`.
pub(super) fn arithmetic(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let op = match node.op() {
        "Add" => BinaryOp::Add,
        "Sub" => BinaryOp::Sub,
        "Mul" => BinaryOp::Mul,
        _ => BinaryOp::Div,
    };
    let (a, b, output) = (node.required(0)?, node.required(1)?, node.output()?);
    if merge_constant(importer, op, a, b)? {
        return importer.alias(output, a);
    }
    if op == BinaryOp::Div && importer.is_integer(a) {
        let ([a, b], channels_last) = pair(importer, a, b)?;
        let mut chain = Chain::new(importer, output);
        let quotient = chain.binary(op, a, b)?;
        let y = cut(&mut chain, quotient)?;
        return importer.bind_as(output, y, channels_last);
    }
    apply(importer, op, [a, b], output)
}

/// `Max`, `Min`, `Sum`, `Mean` of any number of operands.
pub(super) fn variadic(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let op = match node.op() {
        "Max" => BinaryOp::Maximum,
        "Min" => BinaryOp::Minimum,
        _ => BinaryOp::Add,
    };
    let output = node.output()?;
    let mean = node.op() == "Mean";
    let count = node.inputs().len();
    let mut so_far = node.required(0)?.to_owned();
    for index in 1..count {
        let last = index + 1 == count && !mean;
        let name = if last { output.to_owned() } else { format!("{output}/{index}") };
        apply(importer, op, [&so_far, node.required(index)?], &name)?;
        so_far = name;
    }
    if mean {
        let (x, channels_last) = importer.as_it_is(&so_far)?;
        let y = Chain::new(importer, output).with(BinaryOp::Div, x, count as f32)?;
        return importer.bind_as(output, y, channels_last);
    }
    if count == 1 { importer.alias(output, &so_far) } else { Ok(()) }
}

/// Largest exponent that is computed by multiplying.
const MAX_FACTORS: f64 = 16.0;

/// `Pow`: by multiplying for whole exponents, else as `exp(y * log(x))`, which needs bases of at least 0.
pub(super) fn pow(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (input, exponent, output) = (node.required(0)?, node.required(1)?, node.output()?);
    let single = importer.known(exponent).filter(|known| known.len() == 1);
    let single = single.and_then(|known| known.first().copied());
    let Some(power) = single else {
        let ([x, y], channels_last) = pair(importer, input, exponent)?;
        let mut chain = Chain::new(importer, output);
        let log = chain.unary(UnaryOp::Log, x)?;
        let product = chain.binary(BinaryOp::Mul, log, y)?;
        let power = chain.unary(UnaryOp::Exp, product)?;
        return importer.bind_as(output, power, channels_last);
    };
    if power == 1.0 {
        return importer.alias(output, input);
    }
    let (x, channels_last) = importer.as_it_is(input)?;
    let mut chain = Chain::new(importer, output);
    let magnitude = power.abs();
    let mut y = if magnitude == 0.5 {
        chain.unary(UnaryOp::Sqrt, x)?
    } else if magnitude.fract() == 0.0 && (1.0..=MAX_FACTORS).contains(&magnitude) {
        let mut y = x;
        for _ in 1..magnitude as usize {
            y = chain.binary(BinaryOp::Mul, y, x)?;
        }
        y
    } else {
        let log = chain.unary(UnaryOp::Log, x)?;
        let product = chain.with(BinaryOp::Mul, log, magnitude as f32)?;
        chain.unary(UnaryOp::Exp, product)?
    };
    if power < 0.0 {
        let one = chain.importer.scalar(&format!("{output}/one"), 1.0)?;
        y = chain.binary(BinaryOp::Div, one, y)?;
    }
    importer.bind_as(output, y, channels_last)
}

/// `Clip`, whose bounds were attributes before version 11.
pub(super) fn clip(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let bound = |index: usize, name: &str, open: f32| -> Result<f32, Fault> {
        if node.opset < 11 {
            return Ok(node.float(name, open));
        }
        match node.input(index) {
            None => Ok(open),
            Some(_) => Ok(importer.constant_of(node, index)?.first().map_or(open, |&x| x as f32)),
        }
    };
    let (low, high) = (bound(1, "min", f32::MIN)?, bound(2, "max", f32::MAX)?);
    let output = node.output()?;
    let (x, channels_last) = importer.as_it_is(node.required(0)?)?;
    let mut chain = Chain::new(importer, output);
    let y = match (low, high) {
        (0.0, 6.0) => chain.unary(UnaryOp::Relu6, x)?,
        (0.0, f32::MAX) => chain.unary(UnaryOp::Relu, x)?,
        (low, high) => chain.clamp(x, low, high)?,
    };
    importer.bind_as(output, y, channels_last)
}

/// `LeakyRelu`, and `PRelu` with slopes per channel; with other slopes as `max(x, 0) + slope * min(x, 0)`.
pub(super) fn prelu(importer: &mut Importer<'_>, node: &Node<'_>) -> Result<(), Fault> {
    let (output, input) = (node.output()?, node.required(0)?);
    let shape = importer.shape_of(input)?;
    let leaky = node.op() == "LeakyRelu";
    let slopes = if leaky {
        vec![node.float("alpha", 0.01)]
    } else {
        floats(importer.constant_of(node, 1)?)
    };
    let of_slopes = if leaky { vec![] } else { importer.constant_of(node, 1)?.shape().to_vec() };
    let per_channel = shape.len() == 4
        && (slopes.len() == 1
            || of_slopes.ends_with(&[shape[1], 1, 1]) && slopes.len() == shape[1]);
    if per_channel {
        let x = importer.channels_last(input)?;
        let channels = shape[1];
        let slopes = if slopes.len() == 1 { vec![slopes[0]; channels] } else { slopes };
        let slopes = importer.constant(&format!("{output}/slopes"), vec![channels], slopes)?;
        let y = importer.push(Op::Prelu, vec![x, slopes], None, output)?;
        return importer.bind_channels_last(output, y);
    }
    let x = importer.plain(input)?;
    let slopes = if leaky {
        importer.scalar(&format!("{output}/slope"), slopes[0])?
    } else if of_slopes.len() == 1 && shape.get(1) == Some(&slopes.len()) && node.opset < 9 {
        // Old files have one slope per channel.
        let mut per_channel = vec![1; shape.len() - 1];
        per_channel[0] = slopes.len();
        importer.constant(&format!("{output}/slopes"), per_channel, slopes)?
    } else {
        importer.plain(node.required(1)?)?
    };
    let mut chain = Chain::new(importer, output);
    let above = chain.unary(UnaryOp::Relu, x)?;
    let below = chain.with(BinaryOp::Minimum, x, 0.0)?;
    let scaled = chain.binary(BinaryOp::Mul, below, slopes)?;
    let y = chain.binary(BinaryOp::Add, above, scaled)?;
    importer.bind(output, y)
}
