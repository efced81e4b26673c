//! Small TFLite models made in memory, for tests and tools.

use flatbuffers::{FlatBufferBuilder, WIPOffset};

use super::builtin::{self, Builtin};
use super::flexbuffer;
use super::larq::LarqOp;
use super::schema::{IDENTIFIER, Options, slot};

/// A tensor of a [`ModelWriter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorId(i32);

impl TensorId {
    /// An optional operand that is left out.
    pub const ABSENT: Self = Self(-1);
}

struct Tensor {
    name: String,
    shape: Vec<i32>,
    element_type: i8,
    data: Vec<u8>,
}

struct Operator {
    code: i32,
    /// Name and parameters of a custom operator.
    custom: Option<(String, Vec<u8>)>,
    version: i32,
    inputs: Vec<i32>,
    outputs: Vec<i32>,
    options: Options,
}

/// Writes a TFLite file with one subgraph. It writes what it is told, right or wrong: checking is the importer's
/// part.
///
/// ```
/// use quantrack_engine::model::{self, tflite::{Builtin, ModelWriter, Options}};
///
/// let mut writer = ModelWriter::default();
/// let x = writer.input("x", &[1, 4]);
/// let y = writer.tensor("y", &[1, 4]);
/// writer.op(Builtin::Relu, 1, &[x], &[y], Options::None);
/// let graph = model::import(&writer.finish(&[y]))?;
/// assert_eq!(graph.nodes.len(), 1);
/// # Ok::<(), model::ImportError>(())
/// ```
#[derive(Default)]
pub struct ModelWriter {
    tensors: Vec<Tensor>,
    operators: Vec<Operator>,
    inputs: Vec<i32>,
}

impl ModelWriter {
    /// An fp32 tensor that an operator computes.
    pub fn tensor(&mut self, name: &str, shape: &[i32]) -> TensorId {
        self.add(name, shape, 0, Vec::new())
    }

    /// An fp32 input of the model.
    pub fn input(&mut self, name: &str, shape: &[i32]) -> TensorId {
        let id = self.tensor(name, shape);
        self.declare_input(id);
        id
    }

    /// Makes a tensor of any kind an input of the model.
    pub fn declare_input(&mut self, id: TensorId) {
        self.inputs.push(id.0);
    }

    /// An fp32 constant.
    pub fn floats(&mut self, name: &str, shape: &[i32], values: &[f32]) -> TensorId {
        self.add(name, shape, 0, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// An fp16 constant.
    pub fn halves(&mut self, name: &str, shape: &[i32], values: &[half::f16]) -> TensorId {
        self.add(name, shape, 1, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// An int32 constant.
    pub fn integers(&mut self, name: &str, shape: &[i32], values: &[i32]) -> TensorId {
        self.add(name, shape, 2, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// Any tensor: `element_type` is the code of the schema, `data` is empty when it is no constant.
    pub fn add(&mut self, name: &str, shape: &[i32], element_type: i8, data: Vec<u8>) -> TensorId {
        let id = TensorId(self.tensors.len() as i32);
        self.tensors.push(Tensor {
            name: name.to_owned(),
            shape: shape.to_vec(),
            element_type,
            data,
        });
        id
    }

    /// An operator of some version.
    pub fn op(
        &mut self,
        builtin: Builtin,
        version: i32,
        inputs: &[TensorId],
        outputs: &[TensorId],
        options: impl Into<Options>,
    ) {
        self.raw_op(builtin.code(), version, inputs, outputs, options);
    }

    /// An operator by its code in the schema, known or not.
    pub fn raw_op(
        &mut self,
        code: i32,
        version: i32,
        inputs: &[TensorId],
        outputs: &[TensorId],
        options: impl Into<Options>,
    ) {
        let ids = |tensors: &[TensorId]| tensors.iter().map(|id| id.0).collect();
        let (inputs, outputs) = (ids(inputs), ids(outputs));
        let options = options.into();
        let custom = (code == builtin::CUSTOM).then(|| ("custom".to_owned(), Vec::new()));
        self.operators.push(Operator { code, custom, version, inputs, outputs, options });
    }

    /// An operator of Larq Compute Engine, with its parameters by name.
    pub fn larq_op(
        &mut self,
        op: LarqOp,
        inputs: &[TensorId],
        outputs: &[TensorId],
        options: &[(&str, i32)],
    ) {
        self.custom_op(op.name(), inputs, outputs, flexbuffer::write(options));
    }

    /// A custom operator of any name, with its parameters as bytes.
    pub fn custom_op(
        &mut self,
        name: &str,
        inputs: &[TensorId],
        outputs: &[TensorId],
        options: Vec<u8>,
    ) {
        self.raw_op(builtin::CUSTOM, 1, inputs, outputs, Options::None);
        if let Some(op) = self.operators.last_mut() {
            op.custom = Some((name.to_owned(), options));
        }
    }

    /// The file, with the given outputs of the model.
    pub fn finish(&self, outputs: &[TensorId]) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let b = &mut builder;
        let codes: Vec<_> = self.operators.iter().map(|op| write_code(b, op)).collect();
        let codes = b.create_vector(&codes);
        let operators: Vec<_> = self
            .operators
            .iter()
            .enumerate()
            .map(|(index, op)| write_operator(b, index, op))
            .collect();
        let operators = b.create_vector(&operators);
        // Buffer 0 is the empty one that tensors without data share.
        let empty = Vec::new();
        let buffers: Vec<_> = std::iter::once(&empty)
            .chain(self.tensors.iter().map(|tensor| &tensor.data))
            .map(|data| write_buffer(b, data))
            .collect();
        let buffers = b.create_vector(&buffers);
        let tensors: Vec<_> = self
            .tensors
            .iter()
            .enumerate()
            .map(|(index, tensor)| write_tensor(b, index, tensor))
            .collect();
        let tensors = b.create_vector(&tensors);
        let inputs = b.create_vector(&self.inputs);
        let outputs: Vec<i32> = outputs.iter().map(|id| id.0).collect();
        let outputs = b.create_vector(&outputs);
        let subgraph = b.start_table();
        for (field, list) in [(1, inputs), (2, outputs)] {
            b.push_slot_always(slot(field), list);
        }
        b.push_slot_always(slot(0), tensors);
        b.push_slot_always(slot(3), operators);
        let subgraph = b.end_table(subgraph);
        let subgraphs = b.create_vector(&[subgraph]);
        let model = b.start_table();
        b.push_slot_always(slot(0), 3u32);
        b.push_slot_always(slot(1), codes);
        b.push_slot_always(slot(2), subgraphs);
        b.push_slot_always(slot(4), buffers);
        let model = b.end_table(model);
        b.finish(model, Some(IDENTIFIER));
        b.finished_data().to_vec()
    }
}

type Table = WIPOffset<flatbuffers::TableFinishedWIPOffset>;

fn write_code(b: &mut FlatBufferBuilder<'_>, op: &Operator) -> Table {
    let custom = op.custom.as_ref().map(|(name, _)| b.create_string(name));
    let table = b.start_table();
    b.push_slot(slot(0), op.code.min(127) as i8, 0);
    b.push_slot(slot(2), op.version, 1);
    b.push_slot(slot(3), op.code, 0);
    if let Some(name) = custom {
        b.push_slot_always(slot(1), name);
    }
    b.end_table(table)
}

fn write_operator(b: &mut FlatBufferBuilder<'_>, index: usize, op: &Operator) -> Table {
    let inputs = b.create_vector(&op.inputs);
    let outputs = b.create_vector(&op.outputs);
    let options = op.options.write(b);
    let custom = op.custom.as_ref().filter(|(_, options)| !options.is_empty());
    let custom = custom.map(|(_, options)| b.create_vector(options));
    let table = b.start_table();
    b.push_slot(slot(0), index as u32, 0);
    b.push_slot_always(slot(1), inputs);
    b.push_slot_always(slot(2), outputs);
    if let Some((tag, options)) = options {
        b.push_slot_always(slot(3), tag);
        b.push_slot_always(slot(4), options);
    }
    if let Some(custom) = custom {
        b.push_slot_always(slot(5), custom);
    }
    b.end_table(table)
}

fn write_buffer(b: &mut FlatBufferBuilder<'_>, data: &[u8]) -> Table {
    let data = (!data.is_empty()).then(|| b.create_vector(data));
    let table = b.start_table();
    if let Some(data) = data {
        b.push_slot_always(slot(0), data);
    }
    b.end_table(table)
}

fn write_tensor(b: &mut FlatBufferBuilder<'_>, index: usize, tensor: &Tensor) -> Table {
    let shape = b.create_vector(&tensor.shape);
    let name = b.create_string(&tensor.name);
    let table = b.start_table();
    b.push_slot_always(slot(0), shape);
    b.push_slot(slot(1), tensor.element_type, 0);
    let buffer = if tensor.data.is_empty() { 0 } else { index as u32 + 1 };
    b.push_slot(slot(2), buffer, 0);
    b.push_slot_always(slot(3), name);
    b.end_table(table)
}
