//! The inputs and outputs of a model, and finding one among them.

use crate::Tensor;
use crate::plan::{self, Plan};

use super::{GlueError, Outputs};

/// An input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name in the model.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// What goes into a model and what comes out, in the model's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The inputs.
    pub inputs: Vec<Port>,
    /// The outputs.
    pub outputs: Vec<Port>,
}

impl From<&plan::Port> for Port {
    fn from(port: &plan::Port) -> Self {
        Self { name: port.name.clone(), shape: port.shape.clone() }
    }
}

impl From<&Plan> for Ports {
    fn from(plan: &Plan) -> Self {
        Self {
            inputs: plan.inputs().iter().map(Port::from).collect(),
            outputs: plan.outputs().iter().map(Port::from).collect(),
        }
    }
}

impl Ports {
    /// The side of the one input `[1, side, side, 3]`.
    pub(super) fn image_side(&self) -> Result<usize, GlueError> {
        match self.inputs.as_slice() {
            [Port { shape, .. }] if matches!(shape[..], [1, h, w, 3] if h == w) => Ok(shape[1]),
            _ => Err(missing("one input [1, side, side, 3]".to_owned(), &self.inputs)),
        }
    }

    /// The index of the input called `name`, which must have that shape.
    pub(super) fn input(&self, name: &str, shape: &[usize]) -> Result<usize, GlueError> {
        let found = |port: &Port| port.name == name && port.shape == shape;
        let wanted = || missing(format!("input {name} {shape:?}"), &self.inputs);
        self.inputs.iter().position(found).ok_or_else(wanted)
    }

    /// The index of the `nth` output (counted from 0) with that shape, sorted by name: converters number outputs
    /// (`Identity`, `Identity_1`), whatever their order in the file.
    pub(super) fn output(&self, shape: &[usize], nth: usize) -> Result<usize, GlueError> {
        let mut fitting: Vec<usize> =
            (0..self.outputs.len()).filter(|&index| self.outputs[index].shape == shape).collect();
        fitting.sort_by(|&a, &b| self.outputs[a].name.cmp(&self.outputs[b].name));
        let wanted =
            || missing(format!("output no. {} of shape {shape:?}", nth + 1), &self.outputs);
        fitting.get(nth).copied().ok_or_else(wanted)
    }

    /// The number of elements of the only input and the only output.
    pub(super) fn only(ports: &[Port], what: &str) -> Result<Port, GlueError> {
        match ports {
            [port] => Ok(port.clone()),
            _ => Err(missing(format!("only {what}"), ports)),
        }
    }

    /// The elements of an output, checked to be there.
    pub(super) fn elements(&self, outputs: &Outputs, index: usize) -> Result<Vec<f32>, GlueError> {
        let expected = self.outputs.len();
        if outputs.len() != expected {
            return Err(GlueError::OutputCount { expected, found: outputs.len() });
        }
        Ok(outputs[index].iter().copied().collect())
    }
}

/// A tensor of that shape.
pub(super) fn tensor(shape: &[usize], elements: Vec<f32>) -> Result<Tensor, GlueError> {
    let found = elements.len();
    Tensor::from_shape_vec(shape.to_vec(), elements).map_err(|_| GlueError::Port {
        wanted: format!("input {shape:?}"),
        found: format!("{found} elements to put there"),
    })
}

fn missing(wanted: String, ports: &[Port]) -> GlueError {
    let found: Vec<String> =
        ports.iter().map(|port| format!("{} {:?}", port.name, port.shape)).collect();
    GlueError::Port { wanted, found: found.join(", ") }
}
