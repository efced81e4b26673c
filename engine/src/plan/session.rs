//! Running a plan.

use std::sync::Arc;

use super::error::RunError;
use super::plan::{Place, Plan};
use crate::kernels::operators::{Buffer, Scratch};
use crate::{Pool, Tensor};

/// Whether a step begins or has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepEdge {
    /// Before the step.
    Begin,
    /// After it.
    End,
}

/// The memory of one inference at a time. After a first run on as many threads, running allocates nothing.
#[derive(Debug)]
pub struct Session {
    pub(super) plan: Arc<Plan>,
    pub(super) slots: Vec<Buffer>,
    /// What operators need while they run.
    scratch: Buffer,
    outputs: Vec<Tensor>,
    lists: Lists,
}

/// Lists of a step's operands and results, empty between steps, whose memory the next step uses again.
#[derive(Debug, Default)]
struct Lists {
    results: Vec<Buffer>,
    inputs: Vec<&'static [u8]>,
    outputs: Vec<&'static mut [u8]>,
}

/// An empty list in the memory of `list`, for references of another lifetime.
fn emptied<T, U>(mut list: Vec<T>, none: impl Fn() -> U) -> Vec<U> {
    list.clear();
    // The collection of a list's own elements, of the same size, stays where they are.
    list.into_iter().map(|_| none()).collect()
}

impl Session {
    /// Allocates what the plan needs.
    pub fn new(plan: Arc<Plan>) -> Self {
        let slots = plan.slots.iter().map(|&bytes| Buffer::new(bytes)).collect();
        let outputs = plan.outputs.iter().map(|port| Tensor::zeros(port.shape.clone())).collect();
        Self { plan, slots, scratch: Buffer::default(), outputs, lists: Lists::default() }
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
        self.run_in_place(inputs, pool).map(<[Tensor]>::to_vec)
    }

    /// As [`Session::run`], with outputs that the next run overwrites.
    ///
    /// # Errors
    /// Inputs of another number or shape.
    pub fn run_in_place(
        &mut self,
        inputs: &[Tensor],
        pool: &dyn Pool,
    ) -> Result<&[Tensor], RunError> {
        self.run_observed(inputs, pool, &mut |_, _| {})
    }

    /// As [`Session::run_in_place`], and calls `observe` before and after each step, with its index in [`Plan::steps`].
    ///
    /// # Errors
    /// Inputs of another number or shape.
    pub fn run_observed(
        &mut self,
        inputs: &[Tensor],
        pool: &dyn Pool,
        observe: &mut (dyn FnMut(usize, StepEdge) + Send),
    ) -> Result<&[Tensor], RunError> {
        self.write_inputs(inputs)?;
        self.scratch.grow(self.plan.scratch_bytes(pool.threads()));
        pool.enter(&mut || {
            for index in 0..self.plan.steps.len() {
                observe(index, StepEdge::Begin);
                self.step(index, pool);
                observe(index, StepEdge::End);
            }
        });
        self.read_outputs();
        Ok(&self.outputs)
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
        let Lists { mut results, inputs, outputs } = std::mem::take(&mut self.lists);
        let mut inputs: Vec<&[u8]> = emptied(inputs, || &[][..]);
        let mut outputs: Vec<&mut [u8]> = emptied(outputs, || &mut [][..]);
        // Results leave the table while they are written, so operands can be borrowed from it.
        results.extend(step.outputs.iter().map(|&slot| std::mem::take(&mut self.slots[slot])));
        inputs.extend(step.inputs.iter().map(|place| match *place {
            Place::Slot(slot) => self.slots[slot].bytes(),
            Place::Constant(constant) => self.plan.constants[constant].bytes(),
        }));
        outputs.extend(results.iter_mut().map(Buffer::bytes_mut));
        step.operator.run(&inputs, &mut outputs, Scratch::new(&mut self.scratch), pool);
        self.lists.inputs = emptied(inputs, || &[][..]);
        self.lists.outputs = emptied(outputs, || &mut [][..]);
        for (&slot, result) in step.outputs.iter().zip(results.drain(..)) {
            self.slots[slot] = result;
        }
        self.lists.results = results;
    }

    fn read_outputs(&mut self) {
        for (port, output) in self.plan.outputs.iter().zip(&mut self.outputs) {
            let bytes = match port.place {
                Place::Slot(slot) => self.slots[slot].bytes(),
                Place::Constant(constant) => self.plan.constants[constant].bytes(),
            };
            let numbers: &[f32] = bytemuck::cast_slice(&bytes[..4 * output.len()]);
            output.iter_mut().zip(numbers).for_each(|(to, &from)| *to = from);
        }
    }
}
