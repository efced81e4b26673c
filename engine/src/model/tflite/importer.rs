//! From a verified file to a graph.

use std::collections::{HashMap, HashSet};

use super::builtin::{self, Builtin};
use super::larq::LarqOp;
use super::schema;
use super::tensors::{Tensors, short};
use super::{lower, schema::Options};
use crate::Level;
use crate::graph::{
    Constant, ConstantData, Encoding, Graph, Node, Op, Value, ValueId, checked_elements,
};
use crate::model::fault::{Fault, malformed, unsupported};
use crate::model::{ImportError, UnsupportedOp};

/// Most tensors, most operators, most inputs and most outputs of a model.
const MAX_ITEMS: usize = 1 << 16;
/// Most operands or results of all operators together.
const MAX_OPERANDS: usize = 1 << 20;

/// Reads a TFLite model. See [`crate::model::import`].
///
/// # Errors
/// See [`ImportError`].
pub fn import(bytes: &[u8]) -> Result<Graph, ImportError> {
    let model = schema::model(bytes).map_err(|error| ImportError::Corrupt(one_line(&error)))?;
    let version = model.version().unwrap_or(0);
    if version != 3 {
        return Err(ImportError::SchemaVersion(version));
    }
    let subgraphs = model.subgraphs();
    let count = subgraphs.map_or(0, |all| all.len());
    let subgraph = match subgraphs {
        Some(all) if count == 1 => all.get(0),
        _ => return Err(ImportError::Subgraphs(count)),
    };
    let operators = read_operators(&model, &subgraph)?;
    let tensors = Tensors::new(bytes, subgraph.tensors(), model.buffers());
    limit("tensors", tensors.len(), MAX_ITEMS)?;
    let (inputs, outputs) = (ids(subgraph.inputs()), ids(subgraph.outputs()));
    limit("inputs", inputs.len(), MAX_ITEMS)?;
    limit("outputs", outputs.len(), MAX_ITEMS)?;
    let mut importer = Importer {
        produced: HashMap::new(),
        packed: HashSet::new(),
        constants: HashMap::new(),
        names: HashSet::new(),
        suffix: 0,
        graph: Graph::default(),
        tensors,
    };
    importer.inputs(inputs)?;
    importer.operators(&operators)?;
    importer.outputs(outputs)?;
    importer.graph.validate()?;
    Ok(importer.graph)
}

fn one_line(error: &impl ToString) -> String {
    error
        .to_string()
        .split('\n')
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(", ")
}

fn limit(what: &'static str, count: usize, limit: usize) -> Result<(), ImportError> {
    if count > limit { Err(ImportError::Limit { what, count, limit }) } else { Ok(()) }
}

fn ids(list: Option<flatbuffers::Vector<'_, i32>>) -> Vec<i32> {
    list.map_or_else(Vec::new, |ids| ids.iter().collect())
}

/// Which operator.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// One of TFLite's own.
    Builtin(Builtin),
    /// One of Larq Compute Engine's.
    Larq(LarqOp),
}

impl Kind {
    fn of(code: i32, custom: Option<&str>) -> Option<Self> {
        match custom {
            Some(name) if code == builtin::CUSTOM => LarqOp::from_name(name).map(Self::Larq),
            _ => Builtin::from_code(code).map(Self::Builtin),
        }
    }

    fn max_version(self) -> i32 {
        match self {
            Self::Builtin(builtin) => builtin.max_version(),
            Self::Larq(_) => 1,
        }
    }
}

/// An operator of the file.
pub(super) struct Operator {
    index: usize,
    /// `None` when it is not supported.
    pub(super) kind: Option<Kind>,
    name: String,
    version: i32,
    /// Operands; -1 where an optional one is absent.
    pub(super) inputs: Vec<i32>,
    pub(super) outputs: Vec<i32>,
    pub(super) options: Options,
    /// Parameters of a custom operator, empty when there are none.
    pub(super) custom_options: Vec<u8>,
}

impl Operator {
    fn unsupported(&self, reason: String) -> UnsupportedOp {
        UnsupportedOp { index: self.index, name: self.name.clone(), version: self.version, reason }
    }

    fn malformed(&self, reason: String) -> ImportError {
        ImportError::Operator { index: self.index, name: self.name.clone(), reason }
    }

    /// Why no operator of this kind can be imported.
    fn kind_fault(&self) -> Option<&'static str> {
        match self.kind {
            None => Some("the engine has no such operator"),
            Some(kind) if !(1..=kind.max_version()).contains(&self.version) => {
                Some("this version of the operator is not known")
            }
            Some(_) => None,
        }
    }
}

fn read_operators(
    model: &schema::Model<'_>,
    subgraph: &schema::SubGraph<'_>,
) -> Result<Vec<Operator>, ImportError> {
    let Some(list) = subgraph.operators() else { return Ok(Vec::new()) };
    limit("operators", list.len(), MAX_ITEMS)?;
    let operands = |op: schema::Operator<'_>| {
        op.inputs().map_or(0, |ids| ids.len()) + op.outputs().map_or(0, |ids| ids.len())
    };
    limit("operands", list.iter().map(operands).sum(), MAX_OPERANDS)?;
    list.iter()
        .enumerate()
        .map(|(index, op)| {
            let opcode = op.opcode_index().unwrap_or(0) as usize;
            let code = match model.operator_codes() {
                Some(codes) if opcode < codes.len() => codes.get(opcode),
                _ => {
                    let reason = format!("has the operator code {opcode}, which the file lacks");
                    return Err(ImportError::Operator { index, name: "unknown".into(), reason });
                }
            };
            // Codes below 127 used to be bytes; newer files fill in both fields.
            let number = code
                .builtin_code()
                .unwrap_or(0)
                .max(i32::from(code.deprecated_builtin_code().unwrap_or(0)));
            let name = match (builtin::name(number), code.custom_code()) {
                (Some("CUSTOM"), Some(custom)) => format!("custom {}", short(custom)),
                (Some(name), _) => name.to_owned(),
                (None, _) => format!("operator code {number}"),
            };
            Ok(Operator {
                index,
                kind: Kind::of(number, code.custom_code()),
                name,
                version: code.version().unwrap_or(1),
                inputs: ids(op.inputs()),
                outputs: ids(op.outputs()),
                options: op.options(),
                custom_options: op
                    .custom_options()
                    .map_or_else(Vec::new, |all| all.bytes().to_vec()),
            })
        })
        .collect()
}

/// The graph under construction.
pub(super) struct Importer<'a> {
    pub(super) tensors: Tensors<'a>,
    /// Values of the tensors that are inputs or that an operator has computed.
    produced: HashMap<usize, ValueId>,
    /// Tensors of packed signs. Their values are the signs themselves, unpacked.
    packed: HashSet<usize>,
    /// Values of the constants, by tensor and by the shape in which they are used.
    constants: HashMap<(usize, Vec<usize>), ValueId>,
    names: HashSet<String>,
    /// Next number that makes a repeated name unique.
    suffix: usize,
    graph: Graph,
}

impl Importer<'_> {
    fn inputs(&mut self, inputs: Vec<i32>) -> Result<(), ImportError> {
        for id in inputs {
            let value = self.input(id).map_err(interface)?;
            self.graph.inputs.push(value);
        }
        Ok(())
    }

    fn input(&mut self, id: i32) -> Result<ValueId, Fault> {
        let id = tensor_id(id)?;
        if self.tensors.is_constant(id)? {
            return Err(malformed("is an input and a constant at once".into()));
        }
        self.produce(id)
    }

    fn outputs(&mut self, outputs: Vec<i32>) -> Result<(), ImportError> {
        for id in outputs {
            let value = tensor_id(id).and_then(|tensor| self.operand(tensor));
            let value = value.map_err(interface)?;
            self.graph.outputs.push(value);
        }
        Ok(())
    }

    /// Lowers all operators, or names all that are not supported.
    fn operators(&mut self, operators: &[Operator]) -> Result<(), ImportError> {
        let mut unsupported: Vec<UnsupportedOp> = Vec::new();
        let mut malformed = None;
        for op in operators {
            let fault = match op.kind_fault() {
                Some(reason) => Some(Fault::Unsupported(reason.to_owned())),
                // After a contradiction only the kinds of the remaining operators are looked at.
                None if malformed.is_some() => None,
                None => lower::lower(self, op).err(),
            };
            match fault {
                Some(Fault::Unsupported(reason)) => {
                    unsupported.push(op.unsupported(reason));
                    self.assume_results(op);
                }
                Some(Fault::Malformed(reason)) => malformed = Some(op.malformed(reason)),
                None => {}
            }
        }
        match malformed {
            _ if !unsupported.is_empty() => Err(ImportError::Unsupported(unsupported)),
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// After an unsupported operator: lets those that read its results be judged as well.
    fn assume_results(&mut self, op: &Operator) {
        for id in op.outputs.iter().filter_map(|&id| tensor_id(id).ok()) {
            // What cannot be produced is named where it is read.
            let _ = self.produce(id);
        }
    }

    /// A new value for a tensor that is computed at run time.
    fn produce(&mut self, id: usize) -> Result<ValueId, Fault> {
        let shape = self.tensors.activation_shape(id)?;
        self.produce_as(id, shape)
    }

    fn produce_as(&mut self, id: usize, shape: Vec<usize>) -> Result<ValueId, Fault> {
        self.check_unproduced(id)?;
        let value = self.value(self.tensors.name(id), shape, None);
        self.produced.insert(id, value);
        Ok(value)
    }

    fn check_unproduced(&self, id: usize) -> Result<(), Fault> {
        if self.produced.contains_key(&id) || self.tensors.is_constant(id)? {
            return Err(malformed(format!("computes tensor {id}, which has another source")));
        }
        Ok(())
    }

    /// The value of an operand of packed signs: the signs, one per channel.
    pub(super) fn signs(&self, id: usize) -> Result<ValueId, Fault> {
        match self.produced.get(&id) {
            Some(&value) if self.packed.contains(&id) => Ok(value),
            _ => Err(malformed(format!("reads {}, which are no signs", self.tensors.label(id)))),
        }
    }

    /// Adds the node that computes the signs of shape `shape` that the file packs into tensor `output`.
    pub(super) fn signs_node(
        &mut self,
        op: Op,
        inputs: Vec<ValueId>,
        output: i32,
        shape: Vec<usize>,
    ) -> Result<(), Fault> {
        let id = tensor_id(output)?;
        self.tensors.check_packed(id, &shape)?;
        let value = self.produce_as(id, shape)?;
        self.packed.insert(id);
        self.push(op, inputs, vec![value])
    }

    /// Makes tensor `output` another name of `value`.
    pub(super) fn alias(&mut self, output: i32, value: ValueId) -> Result<(), Fault> {
        let id = tensor_id(output)?;
        let shape = self.tensors.activation_shape(id)?;
        self.check_unproduced(id)?;
        if shape != self.shape(value) {
            return Err(malformed(format!("makes {shape:?} of {:?}", self.shape(value))));
        }
        self.produced.insert(id, value);
        Ok(())
    }

    /// The value of an fp32 operand: computed before, or a constant.
    pub(super) fn operand(&mut self, id: usize) -> Result<ValueId, Fault> {
        if self.packed.contains(&id) {
            let label = self.tensors.label(id);
            return Err(unsupported(format!(
                "{label} holds packed signs, which only Larq's operators read"
            )));
        }
        if let Some(&value) = self.produced.get(&id) {
            return Ok(value);
        }
        if self.tensors.is_constant(id)? {
            let shape = self.tensors.shape(id)?;
            return self.constant(id, shape, Ok);
        }
        Err(malformed(format!("reads {} before anything computes it", self.tensors.label(id))))
    }

    /// The shape of a value.
    pub(super) fn shape(&self, value: ValueId) -> &[usize] {
        &self.graph.values[value].shape
    }

    /// The value of an fp32 constant, its elements rearranged for `shape`.
    pub(super) fn constant(
        &mut self,
        id: usize,
        shape: Vec<usize>,
        rearrange: impl FnOnce(Vec<f32>) -> Result<Vec<f32>, Fault>,
    ) -> Result<ValueId, Fault> {
        if self.produced.contains_key(&id) || !self.tensors.is_constant(id)? {
            return Err(Fault::Unsupported(format!("tensor {id} would have to be a constant")));
        }
        let key = (id, shape);
        if let Some(&value) = self.constants.get(&key) {
            return Ok(value);
        }
        let elements = rearrange(self.tensors.floats(id)?)?;
        self.add_constant(key, elements)
    }

    fn add_constant(
        &mut self,
        key: (usize, Vec<usize>),
        elements: Vec<f32>,
    ) -> Result<ValueId, Fault> {
        let (id, shape) = (key.0, key.1.clone());
        if checked_elements(&shape) != Some(elements.len()) {
            return Err(malformed(format!(
                "needs {shape:?} elements, but tensor {id} has {}",
                elements.len()
            )));
        }
        let value = self.value(self.tensors.name(id), shape, Some(Constant::f32(elements)));
        self.constants.insert(key, value);
        Ok(value)
    }

    /// The value of a constant of packed signs, as numbers of shape `shape`.
    pub(super) fn sign_constant(&mut self, id: usize, shape: Vec<usize>) -> Result<ValueId, Fault> {
        if let Some(&value) = self.constants.get(&(id, shape.clone())) {
            return Ok(value);
        }
        let elements = self.tensors.signs(id, &shape)?;
        self.add_constant((id, shape), elements)
    }

    /// Makes `id` a constant that is known at import.
    pub(super) fn fold(&mut self, id: i32, elements: Vec<f32>) -> Result<(), Fault> {
        let id = tensor_id(id)?;
        if self.produced.contains_key(&id) || self.tensors.is_constant(id)? {
            return Err(malformed(format!("computes tensor {id}, which has another source")));
        }
        self.tensors.fold(id, elements)
    }

    /// A constant that is not in the file.
    pub(super) fn new_constant(
        &mut self,
        name: &str,
        shape: Vec<usize>,
        constant: Constant,
    ) -> Result<ValueId, Fault> {
        self.tensors.spend(shape.iter().product())?;
        Ok(self.value(name, shape, Some(constant)))
    }

    fn value(&mut self, name: &str, shape: Vec<usize>, constant: Option<Constant>) -> ValueId {
        let index = self.graph.values.len();
        let mut unique = name.to_owned();
        // Names of the file may be empty, repeat, or look like those made here. The counter never goes back,
        // so that a file full of look-alikes costs no more than one full of repetitions.
        while unique.is_empty() || !self.names.insert(unique.clone()) {
            unique = format!("{name}#{}", self.suffix);
            self.suffix += 1;
        }
        let encoding = match constant.as_ref().map(|constant| &constant.data) {
            Some(ConstantData::I32(_)) => Encoding::I32,
            _ => Encoding::F32,
        };
        self.graph.values.push(Value { name: unique, shape, encoding, constant });
        index
    }

    /// Adds the node that computes the tensors `outputs`.
    pub(super) fn node(
        &mut self,
        op: Op,
        inputs: Vec<ValueId>,
        outputs: &[i32],
    ) -> Result<(), Fault> {
        let outputs: Vec<ValueId> =
            outputs.iter().map(|&id| self.produce(tensor_id(id)?)).collect::<Result<_, _>>()?;
        self.push(op, inputs, outputs)
    }

    /// Adds a node whose result is not in the file.
    pub(super) fn intermediate(
        &mut self,
        op: Op,
        inputs: Vec<ValueId>,
        name: &str,
        shape: Vec<usize>,
    ) -> Result<ValueId, Fault> {
        let value = self.value(name, shape, None);
        self.push(op, inputs, vec![value])?;
        Ok(value)
    }

    fn push(&mut self, op: Op, inputs: Vec<ValueId>, outputs: Vec<ValueId>) -> Result<(), Fault> {
        let name = match outputs.first() {
            Some(&first) => self.graph.values[first].name.clone(),
            None => return Err(malformed("has no result".into())),
        };
        self.graph.nodes.push(Node { name, op, inputs, outputs, level: Level::Fp32 });
        Ok(())
    }
}

fn interface(fault: Fault) -> ImportError {
    let (Fault::Unsupported(reason) | Fault::Malformed(reason)) = fault;
    ImportError::Interface(reason)
}

/// The index of a tensor that must be there.
pub(super) fn tensor_id(id: i32) -> Result<usize, Fault> {
    usize::try_from(id).map_err(|_| malformed(format!("refers to tensor {id}")))
}
