//! The plan of a variant for a CPU.

use super::arena::{self, Lifetime};
use super::error::PlanError;
use super::lower::{constant_bytes, lower, value_bytes};
use super::order;
use crate::Level;
use crate::graph::{Encoding, Graph, Node, Op, ValueId};
use crate::kernels::CpuFeatures;
use crate::kernels::operators::{Buffer, Operator};
use crate::variant::Variant;

/// An input or output of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The name in the source model.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Where its elements are.
    pub(super) place: Place,
}

/// What people may know of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepInfo {
    /// Name of the node.
    pub name: String,
    /// Its operator.
    pub op: String,
    /// The level at which it computes.
    pub level: Level,
    /// The micro-kernel; empty for operators without one.
    pub kernel: &'static str,
    /// Multiply-accumulates.
    pub macs: u64,
}

/// Where the elements of a value are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In a slot of the session.
    Slot(usize),
    /// In a constant of the plan.
    Constant(usize),
}

/// One operator with its operands.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) operator: Box<dyn Operator>,
    pub(super) inputs: Vec<Place>,
    /// Slots.
    pub(super) outputs: Vec<usize>,
}

/// A variant prepared for a CPU: immutable, to be shared by sessions.
#[derive(Debug)]
pub struct Plan {
    pub(super) steps: Vec<Step>,
    infos: Vec<StepInfo>,
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
    /// Bytes of each slot.
    pub(super) slots: Vec<usize>,
    pub(super) constants: Vec<Buffer>,
}

impl Plan {
    /// Orders channels and selects kernels for `cpu`, packs the weights and lays out the memory.
    ///
    /// # Errors
    /// A graph that is not valid, or a node that no operator computes.
    pub fn new(variant: &Variant, cpu: &CpuFeatures) -> Result<Self, PlanError> {
        variant.graph.validate()?;
        match order::ordered(&variant.graph, cpu) {
            None => Self::of(&variant.graph, cpu),
            Some(graph) => Self::of(&graph, cpu),
        }
    }

    /// The plan of a valid graph, its channels in the order that they have.
    pub(super) fn of(graph: &Graph, cpu: &CpuFeatures) -> Result<Self, PlanError> {
        let roots = roots(graph);
        let (slots, sizes) = arena::assign(&lifetimes(graph, &roots));
        let mut places = Places { graph, roots, slots, constants: Vec::new(), known: Vec::new() };
        places.known = vec![None; graph.values.len()];
        let mut steps = Vec::new();
        let mut infos = Vec::new();
        for node in graph.nodes.iter().filter(|node| !is_alias(graph, node)) {
            let unsupported = |reason: String| PlanError::Unsupported {
                name: node.name.clone(),
                op: node.op.name().to_owned(),
                reason,
            };
            let lowered = lower(graph, node, cpu).map_err(unsupported)?;
            let inputs = lowered.operands.iter().map(|&id| places.place(id)).collect();
            let outputs = node.outputs.iter().map(|&id| places.slot(id)).collect();
            infos.push(StepInfo {
                name: node.name.clone(),
                op: node.op.name().to_owned(),
                level: node.level,
                kernel: lowered.operator.kernel(),
                macs: graph.node_macs(node),
            });
            steps.push(Step { operator: lowered.operator, inputs, outputs });
        }
        let inputs = graph.inputs.iter().map(|&id| places.port(id)).collect::<Result<_, _>>()?;
        let outputs = graph.outputs.iter().map(|&id| places.port(id)).collect::<Result<_, _>>()?;
        Ok(Self { steps, infos, inputs, outputs, slots: sizes, constants: places.constants })
    }

    /// The model's inputs, in order.
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// The model's outputs, in order.
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// The steps, in order.
    pub fn steps(&self) -> &[StepInfo] {
        &self.infos
    }

    /// Bytes that a session allocates for activations.
    pub fn arena_bytes(&self) -> usize {
        self.slots.iter().sum()
    }

    /// Bytes that a session allocates for what operators need while they run on so many threads.
    pub fn scratch_bytes(&self, threads: usize) -> usize {
        let steps = self.steps.iter().map(|step| step.operator.scratch_bytes(threads));
        steps.max().unwrap_or(0)
    }

    /// Bytes of packed weights, tables and constants.
    pub fn weight_bytes(&self) -> usize {
        let steps = self.steps.iter().map(|step| step.operator.weight_bytes()).sum::<usize>();
        steps + self.constants.iter().map(|constant| constant.bytes().len()).sum::<usize>()
    }

    /// Names of the micro-kernels in use, each once, in order of first use.
    pub fn kernels(&self) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = Vec::new();
        for info in &self.infos {
            if !info.kernel.is_empty() && !names.contains(&info.kernel) {
                names.push(info.kernel);
            }
        }
        names
    }
}

/// Places of values while a plan is made.
struct Places<'a> {
    graph: &'a Graph,
    roots: Vec<ValueId>,
    slots: Vec<Option<usize>>,
    constants: Vec<Buffer>,
    /// Constants that have a buffer already, by value.
    known: Vec<Option<usize>>,
}

impl Places<'_> {
    fn place(&mut self, id: ValueId) -> Place {
        let root = self.roots[id];
        match &self.graph.values[root].constant {
            None => Place::Slot(self.slot(root)),
            Some(constant) => {
                let index = *self.known[root].get_or_insert_with(|| {
                    let bytes = constant_bytes(constant);
                    let mut buffer = Buffer::new(bytes.len());
                    buffer.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
                    self.constants.push(buffer);
                    self.constants.len() - 1
                });
                Place::Constant(index)
            }
        }
    }

    /// A value that is no constant always has a slot: `lifetimes` covers all of them.
    fn slot(&self, id: ValueId) -> usize {
        self.slots[self.roots[id]].unwrap_or(usize::MAX)
    }

    fn port(&mut self, id: ValueId) -> Result<Port, PlanError> {
        let value = &self.graph.values[id];
        if value.encoding != Encoding::F32 {
            return Err(PlanError::Unsupported {
                name: value.name.clone(),
                op: "interface".to_owned(),
                reason: "inputs and outputs of a variant are fp32".to_owned(),
            });
        }
        Ok(Port { name: value.name.clone(), shape: value.shape.clone(), place: self.place(id) })
    }
}

/// Whether a node's result is its operand under another shape.
fn is_alias(graph: &Graph, node: &Node) -> bool {
    let encoding = |id: ValueId| graph.values[id].encoding;
    // Rows of bits are padded to words, so a change of their shape moves them.
    node.op == Op::Reshape
        && encoding(node.inputs[0]) == encoding(node.outputs[0])
        && encoding(node.inputs[0]) != Encoding::Bits
}

/// For each value the one whose memory it shares.
fn roots(graph: &Graph) -> Vec<ValueId> {
    let mut roots: Vec<ValueId> = (0..graph.values.len()).collect();
    for node in graph.nodes.iter().filter(|node| is_alias(graph, node)) {
        roots[node.outputs[0]] = roots[node.inputs[0]];
    }
    roots
}

/// Step 0 writes the inputs, step `i + 1` is node `i`, and the step after the last reads the outputs.
fn lifetimes(graph: &Graph, roots: &[ValueId]) -> Vec<Option<Lifetime>> {
    let mut lives: Vec<Option<Lifetime>> = vec![None; graph.values.len()];
    let mut touch = |id: ValueId, step: usize| {
        let root = roots[id];
        let value = &graph.values[root];
        if value.constant.is_none() {
            let bytes = value_bytes(value);
            let life = lives[root].get_or_insert(Lifetime { first: step, last: step, bytes });
            life.last = life.last.max(step);
        }
    };
    graph.inputs.iter().for_each(|&id| touch(id, 0));
    for (index, node) in graph.nodes.iter().enumerate() {
        node.inputs.iter().chain(&node.outputs).for_each(|&id| touch(id, index + 1));
    }
    graph.outputs.iter().for_each(|&id| touch(id, graph.nodes.len() + 1));
    lives
}
