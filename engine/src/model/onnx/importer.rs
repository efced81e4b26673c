//! From the messages of a file to a graph.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use prost::Message;

use super::node::Node;
use super::schema::{Extent, GraphProto, ModelProto, ValueInfoProto};
use super::tensors::{self, Known};
use super::{fold, lower};
use crate::Level;
use crate::graph::{
    Constant, Encoding, Graph, Node as GraphNode, Op, Value, ValueId, checked_elements, infer,
};
use crate::model::fault::{Fault, malformed, unsupported};
use crate::model::{ImportError, UnsupportedOp};

/// Most nodes, constants, inputs and outputs of a model.
const MAX_ITEMS: usize = 1 << 16;
/// Most elements of all constants, and of all values that are made while importing.
const MAX_CREATED: usize = 1 << 28;
/// Versions of ONNX's operator set.
const OPERATOR_SETS: std::ops::RangeInclusive<i64> = 7..=24;
/// NHWC to NCHW, and back.
pub(super) const TO_NCHW: [usize; 4] = [0, 3, 1, 2];
pub(super) const TO_NHWC: [usize; 4] = [0, 2, 3, 1];

/// Extents for axes that a file leaves open, by the names that it gives them. An open first axis (the batch) is 1 unless it
/// is named here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dimensions(BTreeMap<String, usize>);

impl Dimensions {
    /// From names and extents.
    pub fn new(all: impl IntoIterator<Item = (String, usize)>) -> Self {
        Self(all.into_iter().collect())
    }

    /// Names and extents.
    pub fn iter(&self) -> impl Iterator<Item = (&str, usize)> {
        self.0.iter().map(|(name, &extent)| (name.as_str(), extent))
    }
}

/// Whether some constants of the ONNX model lie in files of their own.
pub fn has_external_data(bytes: &[u8]) -> bool {
    let model = ModelProto::decode(bytes).unwrap_or_default();
    let constants = model.graph.map(|graph| graph.initializer).unwrap_or_default();
    constants.iter().any(|constant| constant.data_location == 1)
}

/// Reads an ONNX model. See [`crate::model::import_with`].
///
/// # Errors
/// See [`ImportError`].
pub fn import(
    bytes: &[u8],
    dimensions: &Dimensions,
    folder: Option<&Path>,
) -> Result<Graph, ImportError> {
    let model = ModelProto::decode(bytes).map_err(|_| ImportError::UnknownFormat)?;
    let own = model.opset_import.iter().find(|set| matches!(set.domain.as_str(), "" | "ai.onnx"));
    let (Some(graph), Some(set)) = (model.graph, own) else {
        return Err(ImportError::UnknownFormat);
    };
    if !OPERATOR_SETS.contains(&set.version) {
        return Err(ImportError::OperatorSet(set.version));
    }
    for (what, count) in [
        ("operators", graph.node.len()),
        ("constants", graph.initializer.len()),
        ("inputs", graph.input.len()),
        ("outputs", graph.output.len()),
    ] {
        if count > MAX_ITEMS {
            return Err(ImportError::Limit { what, count, limit: MAX_ITEMS });
        }
    }
    let mut importer = Importer::new(&graph, folder);
    importer.constants(&graph)?;
    for input in &graph.input {
        // Old files list their constants among the inputs.
        if !importer.held.contains_key(&input.name) {
            importer.input(input, dimensions).map_err(interface)?;
        }
    }
    importer.nodes(&graph, set.version)?;
    for output in &graph.output {
        let value = importer.plain(&output.name).map_err(interface)?;
        importer.rename(value, &output.name);
        importer.graph.outputs.push(value);
    }
    importer.graph.validate()?;
    Ok(importer.graph)
}

fn interface(fault: Fault) -> ImportError {
    let (Fault::Unsupported(reason) | Fault::Malformed(reason)) = fault;
    ImportError::Interface(reason)
}

/// What a name of the file stands for.
#[derive(Clone)]
pub(super) enum Held {
    /// Known while importing.
    Known(Known),
    /// Computed at run time.
    Computed(Computed),
}

/// A value in the order of the file, in NHWC order, or in both.
#[derive(Clone)]
pub(super) struct Computed {
    /// The extents in the file's order.
    pub(super) shape: Vec<usize>,
    plain: Option<ValueId>,
    channels_last: Option<ValueId>,
}

impl Computed {
    /// Whether it is at hand in NHWC order, and not in the file's.
    pub(super) fn only_channels_last(&self) -> bool {
        self.plain.is_none()
    }
}

/// The graph under construction.
pub(super) struct Importer<'a> {
    folder: Option<&'a Path>,
    held: HashMap<String, Held>,
    /// How many operands and outputs of the file each name is.
    uses: HashMap<&'a str, usize>,
    names: HashSet<String>,
    /// Next number that makes a repeated name unique.
    suffix: usize,
    created: usize,
    /// Constants of signed 8-bit integers.
    signed: HashSet<String>,
    /// What has integers of any kind, whose quotients are cut.
    integers: HashSet<String>,
    pub(super) graph: Graph,
}

impl<'a> Importer<'a> {
    fn new(graph: &'a GraphProto, folder: Option<&'a Path>) -> Self {
        let mut uses: HashMap<&str, usize> = HashMap::new();
        let operands = graph.node.iter().flat_map(|node| &node.input);
        for name in operands.chain(graph.output.iter().map(|output| &output.name)) {
            *uses.entry(name).or_default() += 1;
        }
        Self {
            folder,
            held: HashMap::new(),
            uses,
            names: HashSet::new(),
            suffix: 0,
            created: 0,
            signed: HashSet::new(),
            integers: HashSet::new(),
            graph: Graph::default(),
        }
    }

    fn constants(&mut self, graph: &GraphProto) -> Result<(), ImportError> {
        for tensor in &graph.initializer {
            let known = tensors::decode(tensor, self.folder).and_then(|known| {
                self.spend(known.len())?;
                Ok(known)
            });
            let known = known.map_err(|fault| match fault {
                Fault::Unsupported(reason) | Fault::Malformed(reason) => {
                    ImportError::Constant(reason)
                }
            })?;
            if tensors::byte_sign(tensor.data_type) == Some(true) {
                self.signed.insert(tensor.name.clone());
            }
            if tensors::is_integer(tensor.data_type) {
                self.integers.insert(tensor.name.clone());
            }
            self.held.insert(tensor.name.clone(), Held::Known(known));
        }
        Ok(())
    }

    fn input(&mut self, input: &ValueInfoProto, dimensions: &Dimensions) -> Result<(), Fault> {
        let name = &input.name;
        let tensor = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
        let tensor = tensor.ok_or_else(|| unsupported(format!("input {name} is no tensor")))?;
        if !tensors::holds_as_fp32(tensor.elem_type) {
            let kind = tensor.elem_type;
            return Err(unsupported(format!("input {name} has elements of type {kind}")));
        }
        let given = tensor.shape.as_ref().ok_or_else(|| {
            unsupported(format!(
                "input {name} has no shape: run shape inference over the model first"
            ))
        })?;
        let mut shape = Vec::with_capacity(given.dim.len());
        for (axis, dimension) in given.dim.iter().enumerate() {
            let (open, extent) = match &dimension.value {
                Some(Extent::DimValue(extent)) if *extent > 0 => {
                    ("", usize::try_from(*extent).ok())
                }
                Some(Extent::DimParam(name)) => (name.as_str(), dimensions.0.get(name).copied()),
                _ => ("", None),
            };
            // A batch of one, unless somebody asks for another.
            let extent = extent.or((axis == 0).then_some(1)).ok_or_else(|| {
                unsupported(format!(
                    "axis {axis} of input {name} is open ({open:?}): give its extent (--dimension, or dimensions in the pipeline)"
                ))
            })?;
            shape.push(extent);
        }
        if checked_elements(&shape).is_none() {
            return Err(malformed(format!("input {name} is of {shape:?}")));
        }
        if tensors::is_integer(tensor.elem_type) {
            self.integers.insert(name.clone());
        }
        let id = self.value(name, shape, None);
        self.graph.inputs.push(id);
        self.bind(name, id)
    }

    /// Lowers all nodes, or names all that are not supported.
    fn nodes(&mut self, graph: &GraphProto, opset: i64) -> Result<(), ImportError> {
        let mut faults: Vec<UnsupportedOp> = Vec::new();
        // Results of what is not supported: what reads them is not judged.
        let mut unknown: HashSet<&str> = HashSet::new();
        for (index, proto) in graph.node.iter().enumerate() {
            let node = Node::new(proto, opset);
            let reason = if let Some(reason) = lower::kind_fault(&node) {
                Some(reason)
            } else if proto.input.iter().any(|name| unknown.contains(name.as_str())) {
                unknown.extend(proto.output.iter().map(String::as_str));
                continue;
            } else {
                match self.node(&node) {
                    Ok(()) => None,
                    Err(Fault::Unsupported(reason)) => Some(reason),
                    Err(Fault::Malformed(reason)) => {
                        if !faults.is_empty() {
                            break;
                        }
                        let name = format!("{} {}", proto.op_type, proto.name);
                        return Err(ImportError::Operator { index, name, reason });
                    }
                }
            };
            if let Some(reason) = reason {
                let name = match proto.domain.as_str() {
                    "" => proto.op_type.clone(),
                    domain => format!("{domain}.{}", proto.op_type),
                };
                let version = i32::try_from(opset).unwrap_or(i32::MAX);
                faults.push(UnsupportedOp { index, name, version, reason });
                unknown.extend(proto.output.iter().map(String::as_str));
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(ImportError::Unsupported(faults)) }
    }

    fn node(&mut self, node: &Node<'_>) -> Result<(), Fault> {
        let kind = node.tensor("value").map_or(0, |tensor| tensor.data_type);
        if node.op() == "Constant" && tensors::byte_sign(kind) == Some(true) {
            self.signed.insert(node.output()?.to_owned());
        }
        match fold::fold(self, node)? {
            Some((known, integer)) => {
                if integer {
                    self.integers.insert(node.output()?.to_owned());
                }
                self.know(node.output()?, known)
            }
            None => {
                lower::lower(self, node)?;
                for (index, name) in node.outputs().iter().enumerate() {
                    if lower::has_integers(node, index, |name| self.is_integer(name)) {
                        self.integers.insert(name.clone());
                    }
                }
                Ok(())
            }
        }
    }

    /// Counts elements that come to be, so that a small file cannot ask for unbounded memory.
    pub(super) fn spend(&mut self, elements: usize) -> Result<(), Fault> {
        self.created = self.created.saturating_add(elements);
        if self.created > MAX_CREATED {
            return Err(unsupported(format!("more than {MAX_CREATED} elements of constants")));
        }
        Ok(())
    }

    fn hold(&mut self, name: &str, held: Held) -> Result<(), Fault> {
        if name.is_empty() || self.held.insert(name.to_owned(), held).is_some() {
            return Err(malformed(format!(
                "computes {name:?}, which has another source or no name"
            )));
        }
        Ok(())
    }

    /// `name` is a constant from now on.
    pub(super) fn know(&mut self, name: &str, known: Known) -> Result<(), Fault> {
        self.spend(known.len())?;
        self.hold(name, Held::Known(known))
    }

    /// `name` is this value, in the order of the file.
    pub(super) fn bind(&mut self, name: &str, id: ValueId) -> Result<(), Fault> {
        let shape = self.shape(id).to_vec();
        self.hold(name, Held::Computed(Computed { shape, plain: Some(id), channels_last: None }))
    }

    /// `name` is this value, which is in NHWC order.
    pub(super) fn bind_channels_last(&mut self, name: &str, id: ValueId) -> Result<(), Fault> {
        let of = self.shape(id);
        let shape = TO_NCHW.iter().map(|&axis| of[axis]).collect();
        self.hold(name, Held::Computed(Computed { shape, plain: None, channels_last: Some(id) }))
    }

    /// `name` is another name for what `source` stands for.
    pub(super) fn alias(&mut self, name: &str, source: &str) -> Result<(), Fault> {
        let held = self.get(source)?.clone();
        self.hold(name, held)
    }

    /// Binds a result that was computed in NHWC order or not.
    pub(super) fn bind_as(
        &mut self,
        name: &str,
        id: ValueId,
        channels_last: bool,
    ) -> Result<(), Fault> {
        if channels_last { self.bind_channels_last(name, id) } else { self.bind(name, id) }
    }

    /// What `name` stands for.
    pub(super) fn get(&self, name: &str) -> Result<&Held, Fault> {
        self.held
            .get(name)
            .ok_or_else(|| malformed(format!("reads {name:?} before anything computes it")))
    }

    /// The constant of this name, if it is one.
    pub(super) fn known(&self, name: &str) -> Option<&Known> {
        match self.held.get(name) {
            Some(Held::Known(known)) => Some(known),
            _ => None,
        }
    }

    /// The constant of an operand that must be one.
    pub(super) fn constant_of(&self, node: &Node<'_>, index: usize) -> Result<&Known, Fault> {
        let name = node.required(index)?;
        match self.get(name)? {
            Held::Known(known) => Ok(known),
            Held::Computed(_) => Err(unsupported(format!("{name:?} would have to be a constant"))),
        }
    }

    /// Whether what has this name has integers.
    pub(super) fn is_integer(&self, name: &str) -> bool {
        self.integers.contains(name)
    }

    /// Whether the constant of this name has signed integers of 8 bits.
    pub(super) fn is_signed(&self, name: &str) -> bool {
        self.signed.contains(name)
    }

    /// The integers of an operand that must be constant.
    pub(super) fn ints_of(&self, node: &Node<'_>, index: usize) -> Result<Vec<i64>, Fault> {
        Ok(self.constant_of(node, index)?.iter().map(|&x| x as i64).collect())
    }

    /// The shape of what `name` stands for, in the file's order.
    pub(super) fn shape_of(&self, name: &str) -> Result<Vec<usize>, Fault> {
        Ok(match self.get(name)? {
            Held::Known(known) => known.shape().to_vec(),
            Held::Computed(computed) => computed.shape.clone(),
        })
    }

    /// Gives an output the name that it has in the file, which its form in the other order may have had before.
    fn rename(&mut self, id: ValueId, name: &str) {
        if self.graph.inputs.contains(&id) || self.graph.values[id].name == name {
            return;
        }
        let other = self.graph.values.iter().position(|value| value.name == name);
        if other.is_some_and(|other| self.graph.inputs.contains(&other)) {
            return;
        }
        let before = std::mem::replace(&mut self.graph.values[id].name, name.to_owned());
        self.names.insert(name.to_owned());
        if let Some(other) = other {
            self.graph.values[other].name = before;
        }
    }

    /// Whether anything reads `name`.
    pub(super) fn is_read(&self, name: &str) -> bool {
        self.uses.contains_key(name)
    }

    /// Whether nothing but one operand reads `name`.
    pub(super) fn is_read_once(&self, name: &str) -> bool {
        self.uses.get(name) == Some(&1)
    }

    /// The value of `name` in the order of the file.
    pub(super) fn plain(&mut self, name: &str) -> Result<ValueId, Fault> {
        let computed = match self.get(name)?.clone() {
            Held::Known(known) => {
                return self.constant(name, known.shape().to_vec(), floats(&known));
            }
            Held::Computed(computed) => computed,
        };
        if let Some(id) = computed.plain {
            return Ok(id);
        }
        let id = computed.channels_last.unwrap_or_default();
        let id = self.transpose(id, &TO_NCHW)?;
        if let Some(Held::Computed(computed)) = self.held.get_mut(name) {
            computed.plain = Some(id);
        }
        Ok(id)
    }

    /// The value of `name`, which must have four axes, in NHWC order.
    pub(super) fn channels_last(&mut self, name: &str) -> Result<ValueId, Fault> {
        let shape = self.shape_of(name)?;
        if shape.len() != 4 {
            return Err(unsupported(format!("an operand of {} axes instead of 4", shape.len())));
        }
        let computed = match self.get(name)?.clone() {
            Held::Known(known) => {
                let moved = known.view().permuted_axes(TO_NHWC.to_vec());
                let elements = moved.iter().map(|&x| x as f32).collect();
                return self.constant(name, moved.shape().to_vec(), elements);
            }
            Held::Computed(computed) => computed,
        };
        if let Some(id) = computed.channels_last {
            return Ok(id);
        }
        let id = self.transpose(computed.plain.unwrap_or_default(), &TO_NHWC)?;
        if let Some(Held::Computed(computed)) = self.held.get_mut(name) {
            computed.channels_last = Some(id);
        }
        Ok(id)
    }

    /// `name` in the order in which it is at hand, and whether that is NHWC.
    pub(super) fn as_it_is(&mut self, name: &str) -> Result<(ValueId, bool), Fault> {
        match self.get(name)? {
            Held::Computed(computed) if computed.only_channels_last() => {
                Ok((self.channels_last(name)?, true))
            }
            _ => Ok((self.plain(name)?, false)),
        }
    }

    /// The axes of `id` in another order; a change of shape only where no element moves.
    pub(super) fn transpose(&mut self, id: ValueId, perm: &[usize]) -> Result<ValueId, Fault> {
        let shape = self.shape(id).to_vec();
        let moving = |axes: &[usize]| -> Vec<usize> {
            axes.iter().copied().filter(|&axis| shape[axis] > 1).collect()
        };
        let name = format!("{}/transposed", self.graph.values[id].name);
        if moving(perm).is_sorted() {
            let shape: Vec<usize> = perm.iter().map(|&axis| shape[axis]).collect();
            return self.push(Op::Reshape, vec![id], Some(&shape), &name);
        }
        self.push(Op::Transpose { perm: perm.to_vec() }, vec![id], None, &name)
    }

    /// The shape of a value of the graph.
    pub(super) fn shape(&self, id: ValueId) -> &[usize] {
        &self.graph.values[id].shape
    }

    /// An fp32 constant of the graph.
    pub(super) fn constant(
        &mut self,
        name: &str,
        shape: Vec<usize>,
        elements: Vec<f32>,
    ) -> Result<ValueId, Fault> {
        self.spend(elements.len())?;
        if checked_elements(&shape) != Some(elements.len()) {
            return Err(unsupported(format!("{name:?} is empty ({shape:?})")));
        }
        Ok(self.value(name, shape, Some(Constant::f32(elements))))
    }

    /// A constant of one element, which does not change the shape of what it is broadcast with.
    pub(super) fn scalar(&mut self, name: &str, element: f32) -> Result<ValueId, Fault> {
        self.constant(name, Vec::new(), vec![element])
    }

    /// Indices for a gather.
    pub(super) fn indices(&mut self, name: &str, indices: Vec<usize>) -> Result<ValueId, Fault> {
        self.spend(indices.len())?;
        let shape = vec![indices.len()];
        let indices = indices.into_iter().map(|index| index as i32).collect();
        Ok(self.value(name, shape, Some(Constant::i32(indices))))
    }

    fn value(&mut self, name: &str, shape: Vec<usize>, constant: Option<Constant>) -> ValueId {
        let mut unique = name.to_owned();
        // The counter never goes back, so that a file full of look-alikes costs no more than one full of repetitions.
        while unique.is_empty() || !self.names.insert(unique.clone()) {
            unique = format!("{name}#{}", self.suffix);
            self.suffix += 1;
        }
        let integers = constant.as_ref().is_some_and(|constant| constant.as_i32().is_some());
        let encoding = if integers { Encoding::I32 } else { Encoding::F32 };
        self.graph.values.push(Value { name: unique, shape, encoding, constant });
        self.graph.values.len() - 1
    }

    /// Adds a node with one result, whose shape follows from the operands unless it is `declared`.
    pub(super) fn push(
        &mut self,
        op: Op,
        inputs: Vec<ValueId>,
        declared: Option<&[usize]>,
        name: &str,
    ) -> Result<ValueId, Fault> {
        let shapes: Vec<&[usize]> = inputs.iter().map(|&id| self.shape(id)).collect();
        let declared: Vec<&[usize]> = declared.into_iter().collect();
        let shape = infer(&op, &shapes, &declared).map_err(malformed)?.swap_remove(0);
        if checked_elements(&shape).is_none() {
            return Err(malformed(format!("has a result of {shape:?}")));
        }
        let id = self.value(name, shape, None);
        let name = self.graph.values[id].name.clone();
        let (outputs, level) = (vec![id], Level::Fp32);
        self.graph.nodes.push(GraphNode { name, op, inputs, outputs, level });
        Ok(id)
    }
}

/// The elements as fp32.
pub(super) fn floats(known: &Known) -> Vec<f32> {
    known.iter().map(|&x| x as f32).collect()
}
