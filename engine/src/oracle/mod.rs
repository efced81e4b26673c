//! The reference executor: fp32 graphs as their definition reads, one plain loop per operator.
//!
//! Slow and obvious on purpose. Sums are accumulated in fp64, so results are closer to the real numbers than
//! those of any kernel; everything faster is tested against it.

mod layers;
mod structure;

use ndarray::{ArrayD, IxDyn};

use crate::Tensor;
use crate::graph::{BinaryOp, Encoding, Graph, GraphError, Node, Op, UnaryOp, ValueId};

/// Why the oracle did not run a graph.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OracleError {
    /// The graph breaks a rule of the representation.
    #[error("cannot run the graph: {0}")]
    Graph(#[from] GraphError),
    /// The graph is quantized.
    #[error("value {0:?} is not fp32: the oracle runs imported models, not variants")]
    NotFp32(String),
    /// Too few or too many inputs.
    #[error("the model has {expected} inputs, {found} were given")]
    InputCount {
        /// How many the model has.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// An input of another shape.
    #[error("input {name:?} has the shape {expected:?}, not {found:?}")]
    InputShape {
        /// The input's name.
        name: String,
        /// Its shape in the model.
        expected: Vec<usize>,
        /// The shape that was given.
        found: Vec<usize>,
    },
}

/// The model's outputs for `inputs`, both in the model's order.
///
/// # Errors
/// Says which input does not fit, or why the graph cannot run.
pub fn run(graph: &Graph, inputs: &[Tensor]) -> Result<Vec<Tensor>, OracleError> {
    let values = run_all(graph, inputs)?;
    let tensor = |&id: &ValueId| values[id].clone().unwrap_or_default();
    Ok(graph.outputs.iter().map(tensor).collect())
}

/// All values, constants included, indexed like [`Graph::values`]; `None` for indices and for values that nothing
/// computes.
///
/// # Errors
/// As [`run`].
pub fn run_all(graph: &Graph, inputs: &[Tensor]) -> Result<Vec<Option<Tensor>>, OracleError> {
    graph.validate()?;
    check_inputs(graph, inputs)?;
    let mut values: Vec<Option<Tensor>> = graph
        .values
        .iter()
        .map(|value| {
            let elements = value.constant.as_ref().and_then(|constant| constant.as_f32());
            elements.map(|elements| dense(&value.shape, elements.to_vec()))
        })
        .collect();
    for (&id, tensor) in graph.inputs.iter().zip(inputs) {
        values[id] = Some(tensor.as_standard_layout().into_owned());
    }
    for node in &graph.nodes {
        let results = compute(graph, node, &values);
        for (&id, result) in node.outputs.iter().zip(results) {
            values[id] = Some(result);
        }
    }
    Ok(values)
}

fn check_inputs(graph: &Graph, inputs: &[Tensor]) -> Result<(), OracleError> {
    if inputs.len() != graph.inputs.len() {
        let (expected, found) = (graph.inputs.len(), inputs.len());
        return Err(OracleError::InputCount { expected, found });
    }
    for (&id, tensor) in graph.inputs.iter().zip(inputs) {
        let value = &graph.values[id];
        if tensor.shape() != value.shape {
            return Err(OracleError::InputShape {
                name: value.name.clone(),
                expected: value.shape.clone(),
                found: tensor.shape().to_vec(),
            });
        }
    }
    let other =
        |value: &&crate::graph::Value| !matches!(value.encoding, Encoding::F32 | Encoding::I32);
    match graph.values.iter().find(other) {
        Some(value) => Err(OracleError::NotFp32(value.name.clone())),
        None => Ok(()),
    }
}

/// A tensor of row-major elements. A wrong number of elements, which validation excludes, gives zeros.
fn dense(shape: &[usize], elements: Vec<f32>) -> Tensor {
    ArrayD::from_shape_vec(IxDyn(shape), elements).unwrap_or_else(|_| ArrayD::zeros(IxDyn(shape)))
}

/// The results of one node of a validated graph.
fn compute(graph: &Graph, node: &Node, values: &[Option<Tensor>]) -> Vec<Tensor> {
    let empty = Tensor::zeros(IxDyn(&[0]));
    let operand = |index: usize| -> &Tensor {
        node.inputs.get(index).and_then(|&id| values[id].as_ref()).unwrap_or(&empty)
    };
    let shape = graph.values[node.outputs[0]].shape.as_slice();
    let x = operand(0);
    let result = match &node.op {
        Op::Conv2d { window, activation } => {
            let parameters = layers::Parameters::new(operand(1), operand(2), operand(3));
            layers::conv_2d(x, &parameters, window, *activation, shape)
        }
        Op::DepthwiseConv2d { window, activation } => {
            let parameters = layers::Parameters::new(operand(1), operand(2), operand(3));
            layers::depthwise_conv_2d(x, &parameters, window, *activation, shape)
        }
        Op::FullyConnected { activation } => {
            let parameters = layers::Parameters::new(operand(1), operand(2), operand(3));
            layers::fully_connected(x, &parameters, *activation, shape)
        }
        Op::Prelu => {
            let slopes = operand(1);
            let channels = slopes.len();
            let prelu = |(i, &v): (usize, &f32)| if v < 0.0 { v * slopes[i % channels] } else { v };
            dense(shape, x.iter().enumerate().map(prelu).collect())
        }
        Op::Unary(function) => x.mapv(|v| unary(*function, v)),
        Op::Binary { op, activation } => {
            let pairs = broadcast(x, shape).into_iter().zip(broadcast(operand(1), shape));
            let slopes = operand(2).iter().copied().chain(std::iter::repeat(0.0));
            let slopes: Vec<f32> = slopes.take(shape.last().copied().unwrap_or(1)).collect();
            let result = pairs
                .zip(slopes.iter().cycle())
                .map(|((a, b), &slope)| layers::activate(*activation, binary(*op, a, b), slope));
            dense(shape, result.collect())
        }
        Op::MaxPool2d { window, activation } => layers::pool(x, window, shape, |elements| {
            layers::activate(*activation, elements.iter().copied().fold(f32::MIN, f32::max), 0.0)
        }),
        Op::AveragePool2d { window, activation } => layers::pool(x, window, shape, |elements| {
            let sum: f64 = elements.iter().copied().map(f64::from).sum();
            layers::activate(*activation, (sum / elements.len() as f64) as f32, 0.0)
        }),
        Op::Pad { amounts } => structure::pad(x, amounts, shape),
        Op::ResizeBilinear { half_pixel_centers, align_corners, .. } => {
            structure::resize_bilinear(x, *half_pixel_centers, *align_corners, shape)
        }
        Op::Reshape => dense(shape, x.iter().copied().collect()),
        Op::Concat { axis } => {
            let inputs: Vec<&Tensor> = (0..node.inputs.len()).map(operand).collect();
            structure::concat(&inputs, *axis, shape)
        }
        Op::Reduce { op, axes, .. } => structure::reduce(x, *op, axes, shape),
        Op::Softmax { beta } => structure::softmax(x, *beta),
        Op::Gather { axis } => {
            let indices = &graph.values[node.inputs[1]];
            let elements = indices.constant.as_ref().and_then(|constant| constant.as_i32());
            structure::gather(x, *axis, elements.unwrap_or_default(), shape)
        }
        Op::Unpack { axis } => return structure::unpack(x, *axis),
        Op::StridedSlice { begin, strides, counts } => {
            dense(shape, structure::strided_slice(x, begin, strides, counts))
        }
        Op::Convert => x.clone(),
        Op::Transpose { perm } => {
            let moved = x.view().permuted_axes(IxDyn(perm));
            dense(shape, moved.iter().copied().collect())
        }
    };
    vec![result]
}

/// The elements of `x`, stretched to `shape`.
fn broadcast(x: &Tensor, shape: &[usize]) -> Vec<f32> {
    x.broadcast(IxDyn(shape)).map_or_else(Vec::new, |view| view.iter().copied().collect())
}

fn unary(function: UnaryOp, x: f32) -> f32 {
    match function {
        UnaryOp::Relu => x.max(0.0),
        UnaryOp::Relu6 => x.clamp(0.0, 6.0),
        UnaryOp::Logistic => (1.0 / (1.0 + (-f64::from(x)).exp())) as f32,
        UnaryOp::Sign if x == 0.0 => 0.0,
        UnaryOp::Sign => x.signum(),
        UnaryOp::Bipolar if x >= 0.0 => 1.0,
        UnaryOp::Bipolar => -1.0,
        UnaryOp::Abs => x.abs(),
        UnaryOp::Neg => -x,
        UnaryOp::Exp => f64::from(x).exp() as f32,
        UnaryOp::Log => f64::from(x).ln() as f32,
        UnaryOp::Sqrt => f64::from(x).sqrt() as f32,
        UnaryOp::Tanh => f64::from(x).tanh() as f32,
        UnaryOp::Erf => libm::erf(f64::from(x)) as f32,
        UnaryOp::Floor => x.floor(),
        UnaryOp::Ceil => x.ceil(),
        UnaryOp::Round => x.round_ties_even(),
    }
}

fn binary(op: BinaryOp, a: f32, b: f32) -> f32 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Maximum => a.max(b),
        BinaryOp::Minimum => a.min(b),
    }
}

#[cfg(test)]
mod tests;
