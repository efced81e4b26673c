//! Running a plan.

use std::sync::Arc;

use super::error::RunError;
use super::plan::{Place, Plan};
use crate::kernels::operators::Buffer;
use crate::{Pool, Tensor};

/// Whether a step begins or has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepEdge {
    /// Before the step.
    Begin,
    /// After it.
    End,
}

/// The memory of one inference at a time.
#[derive(Debug)]
pub struct Session {
    plan: Arc<Plan>,
    slots: Vec<Buffer>,
}

impl Session {
    /// Allocates what the plan needs.
    pub fn new(plan: Arc<Plan>) -> Self {
        let slots = plan.slots.iter().map(|&bytes| Buffer::new(bytes)).collect();
        Self { plan, slots }
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Computes the outputs for `inputs`, which are in the order and of the shapes of [`Plan::inputs`].
    ///
    /// # Errors
    /// Inputs of another number or shape.
    pub fn run(&mut self, inputs: &[Tensor], pool: &dyn Pool) -> Result<Vec<Tensor>, RunError> {
        self.run_observed(inputs, pool, &mut |_, _| {})
    }

    /// As [`Session::run`], and calls `observe` before and after each step, with its index in [`Plan::steps`].
    ///
    /// # Errors
    /// Inputs of another number or shape.
    pub fn run_observed(
        &mut self,
        inputs: &[Tensor],
        pool: &dyn Pool,
        observe: &mut dyn FnMut(usize, StepEdge),
    ) -> Result<Vec<Tensor>, RunError> {
        self.write_inputs(inputs)?;
        for index in 0..self.plan.steps.len() {
            observe(index, StepEdge::Begin);
            self.step(index, pool);
            observe(index, StepEdge::End);
        }
        Ok(self.read_outputs())
    }

    fn write_inputs(&mut self, inputs: &[Tensor]) -> Result<(), RunError> {
        let ports = &self.plan.inputs;
        if inputs.len() != ports.len() {
            let names: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
            return Err(RunError::InputCount {
                expected: ports.len(),
                names: names.join(", "),
                got: inputs.len(),
            });
        }
        for (port, input) in ports.iter().zip(inputs) {
            if port.shape != input.shape() {
                return Err(RunError::InputShape {
                    name: port.name.clone(),
                    expected: port.shape.clone(),
                    got: input.shape().to_vec(),
                });
            }
        }
        for (port, input) in ports.iter().zip(inputs) {
            if let Place::Slot(slot) = port.place {
                let bytes = &mut self.slots[slot].bytes_mut()[..4 * input.len()];
                let target: &mut [f32] = bytemuck::cast_slice_mut(bytes);
                match input.as_slice() {
                    Some(elements) => target.copy_from_slice(elements),
                    None => target.iter_mut().zip(input).for_each(|(to, &from)| *to = from),
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, index: usize, pool: &dyn Pool) {
        let step = &self.plan.steps[index];
        // Results leave the table while they are written, so operands can be borrowed from it.
        let mut results: Vec<Buffer> =
            step.outputs.iter().map(|&slot| std::mem::take(&mut self.slots[slot])).collect();
        {
            let inputs: Vec<&[u8]> = step
                .inputs
                .iter()
                .map(|place| match *place {
                    Place::Slot(slot) => self.slots[slot].bytes(),
                    Place::Constant(constant) => self.plan.constants[constant].bytes(),
                })
                .collect();
            let mut outputs: Vec<&mut [u8]> = results.iter_mut().map(Buffer::bytes_mut).collect();
            step.operator.run(&inputs, &mut outputs, pool);
        }
        for (&slot, result) in step.outputs.iter().zip(results) {
            self.slots[slot] = result;
        }
    }

    fn read_outputs(&self) -> Vec<Tensor> {
        let read = |port: &super::plan::Port| {
            let bytes = match port.place {
                Place::Slot(slot) => self.slots[slot].bytes(),
                Place::Constant(constant) => self.plan.constants[constant].bytes(),
            };
            let count: usize = port.shape.iter().product();
            let values: Vec<f32> = bytemuck::cast_slice(&bytes[..4 * count]).to_vec();
            Tensor::from_shape_vec(port.shape.clone(), values).unwrap_or_default()
        };
        self.plan.outputs.iter().map(read).collect()
    }
}
