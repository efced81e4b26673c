//! Tensors of the file: shapes checked, constants decoded.

use std::collections::HashMap;

use flatbuffers::{ForwardsUOffset, Vector};

use super::schema;
use crate::graph::checked_elements;
use crate::model::fault::{Fault, malformed, unsupported};

type Tables<'a, T> = Option<Vector<'a, ForwardsUOffset<T>>>;

/// Most axes that a tensor may have.
const MAX_RANK: usize = 8;
/// Longest name of a tensor in bytes; longer ones are cut. Fused operators join the names of all their parts, and
/// any number of values may be called after one tensor.
const MAX_NAME: usize = 512;

/// Element types of the schema, by code.
const TYPES: [&str; 10] = [
    "FLOAT32",
    "FLOAT16",
    "INT32",
    "UINT8",
    "INT64",
    "STRING",
    "BOOL",
    "INT16",
    "COMPLEX64",
    "INT8",
];
const FLOAT32: i8 = 0;
const FLOAT16: i8 = 1;
const INT32: i8 = 2;
const INT64: i8 = 4;

/// The tensors of a subgraph with the data of the constants among them.
pub(super) struct Tensors<'a> {
    file: &'a [u8],
    tensors: Tables<'a, schema::Tensor<'a>>,
    buffers: Tables<'a, schema::Buffer<'a>>,
    /// Constants that were computed while importing: DEQUANTIZE of fp16, RESHAPE of a constant.
    folded: HashMap<usize, Vec<f32>>,
    /// Bytes of constants that may still be decoded. Many tensors can share one buffer of the file, so without
    /// a budget a small file could fill the memory.
    budget: usize,
    /// The same for packed signs, of which each becomes a number of 32 bits.
    sign_budget: usize,
}

impl<'a> Tensors<'a> {
    pub(super) fn new(
        file: &'a [u8],
        tensors: Tables<'a, schema::Tensor<'a>>,
        buffers: Tables<'a, schema::Buffer<'a>>,
    ) -> Self {
        let budget = file.len().saturating_mul(8).saturating_add(1 << 20);
        let sign_budget = file.len().saturating_mul(40).saturating_add(1 << 20);
        Self { file, tensors, buffers, folded: HashMap::new(), budget, sign_budget }
    }

    pub(super) fn len(&self) -> usize {
        self.tensors.map_or(0, |tensors| tensors.len())
    }

    fn get(&self, id: usize) -> Result<schema::Tensor<'a>, Fault> {
        match self.tensors {
            Some(tensors) if id < tensors.len() => Ok(tensors.get(id)),
            _ => Err(malformed(format!("refers to tensor {id}, but there are {}", self.len()))),
        }
    }

    /// The name in the file, cut at a sensible length; empty when there is none.
    pub(super) fn name(&self, id: usize) -> &'a str {
        let name = self.get(id).ok().and_then(|tensor| tensor.name()).unwrap_or_default();
        let mut end = name.len().min(MAX_NAME);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        &name[..end]
    }

    /// Index and name, short enough for a message.
    pub(super) fn label(&self, id: usize) -> String {
        format!("tensor {id} ({})", short(self.name(id)))
    }

    /// The shape, every extent at least 1. Where the file leaves an extent open (`shape_signature`), this is the
    /// one that it stores for the time being, as a rule a batch of 1.
    pub(super) fn shape(&self, id: usize) -> Result<Vec<usize>, Fault> {
        let Some(extents) = self.get(id)?.shape() else { return Ok(Vec::new()) };
        if extents.len() > MAX_RANK {
            return Err(malformed(format!("tensor {id} has {} axes", extents.len())));
        }
        let shape: Option<Vec<usize>> =
            extents.iter().map(|extent| usize::try_from(extent).ok()).collect();
        match shape {
            Some(shape) if checked_elements(&shape).is_some() => Ok(shape),
            _ => Err(malformed(format!(
                "tensor {id} has the shape {:?}: extents must be at least 1 and elements at most 2^28",
                extents.iter().collect::<Vec<_>>()
            ))),
        }
    }

    /// The shape of a tensor that is computed at run time, which must be fp32.
    pub(super) fn activation_shape(&self, id: usize) -> Result<Vec<usize>, Fault> {
        let tensor = self.get(id)?;
        if tensor.is_variable().unwrap_or(false) {
            return Err(unsupported(format!("tensor {id} keeps state between inferences")));
        }
        match tensor.element_type().unwrap_or(FLOAT32) {
            FLOAT32 => self.shape(id),
            other => Err(unsupported(format!(
                "{} is {}; only floating-point models are imported, quantize them here",
                self.label(id),
                type_name(other)
            ))),
        }
    }

    /// Whether the elements are known before the model runs.
    pub(super) fn is_constant(&self, id: usize) -> Result<bool, Fault> {
        Ok(self.folded.contains_key(&id) || self.data(id)?.is_some())
    }

    /// The bytes of the tensor's buffer, `None` when it has none.
    fn data(&self, id: usize) -> Result<Option<&'a [u8]>, Fault> {
        let index = self.get(id)?.buffer().unwrap_or(0) as usize;
        let buffer = match self.buffers {
            Some(buffers) if index < buffers.len() => buffers.get(index),
            // Buffer 0 means "no data", even when the list is absent.
            _ if index == 0 => return Ok(None),
            _ => return Err(malformed(format!("tensor {id} has no buffer {index}"))),
        };
        if let Some(data) = buffer.data().filter(|data| !data.is_empty()) {
            return Ok(Some(data.bytes()));
        }
        // Files above 2 GiB keep the data behind the flatbuffer; offsets 0 and 1 mean "not used".
        let (offset, size) = (buffer.offset().unwrap_or(0), buffer.size().unwrap_or(0));
        if offset <= 1 || size == 0 {
            return Ok(None);
        }
        let range = usize::try_from(offset).ok().zip(usize::try_from(size).ok());
        range
            .and_then(|(start, len)| self.file.get(start..start.checked_add(len)?))
            .map(Some)
            .ok_or_else(|| malformed(format!("buffer {index} lies outside the file")))
    }

    /// The data of a constant, which must have exactly as many bytes as its shape and type need.
    fn exact(&mut self, id: usize, element_bytes: usize) -> Result<&'a [u8], Fault> {
        let shape = self.shape(id)?;
        let elements = checked_elements(&shape).unwrap_or(0);
        if self.get(id)?.sparsity().is_some() {
            return Err(unsupported(format!("tensor {id} is sparse")));
        }
        let data =
            self.data(id)?.ok_or_else(|| malformed(format!("tensor {id} is no constant")))?;
        if elements.checked_mul(element_bytes) != Some(data.len()) {
            return Err(malformed(format!(
                "tensor {id} of shape {shape:?} needs {elements} elements of {element_bytes} bytes, its buffer \
                 holds {} bytes",
                data.len()
            )));
        }
        self.spend(elements)?;
        Ok(data)
    }

    /// Accounts for `elements` decoded numbers.
    pub(super) fn spend(&mut self, elements: usize) -> Result<(), Fault> {
        self.budget = elements
            .checked_mul(4)
            .and_then(|bytes| self.budget.checked_sub(bytes))
            .ok_or_else(|| malformed("decodes far more constants than the file is long".into()))?;
        Ok(())
    }

    /// The elements of an fp32 constant.
    pub(super) fn floats(&mut self, id: usize) -> Result<Vec<f32>, Fault> {
        if let Some(count) = self.folded.get(&id).map(Vec::len) {
            self.spend(count)?;
            return Ok(self.folded.get(&id).cloned().unwrap_or_default());
        }
        match self.get(id)?.element_type().unwrap_or(FLOAT32) {
            FLOAT32 => Ok(self
                .exact(id, 4)?
                .as_chunks()
                .0
                .iter()
                .map(|b| f32::from_le_bytes(*b))
                .collect()),
            other => Err(self.wrong_type(id, other, "floating-point numbers")),
        }
    }

    /// The elements of an fp16 constant, each exactly as fp32.
    pub(super) fn halves(&mut self, id: usize) -> Result<Vec<f32>, Fault> {
        match self.get(id)?.element_type().unwrap_or(FLOAT32) {
            FLOAT16 => Ok(self
                .exact(id, 2)?
                .as_chunks()
                .0
                .iter()
                .map(|b| half::f16::from_le_bytes(*b).to_f32())
                .collect()),
            other => Err(self.wrong_type(id, other, "fp16 constants")),
        }
    }

    /// The elements of an integer constant: axes, sizes, indices.
    pub(super) fn integers(&mut self, id: usize) -> Result<Vec<i32>, Fault> {
        if !self.is_constant(id)? {
            return Err(unsupported(format!("tensor {id} would have to be a constant")));
        }
        match self.get(id)?.element_type().unwrap_or(FLOAT32) {
            INT32 => Ok(self
                .exact(id, 4)?
                .as_chunks()
                .0
                .iter()
                .map(|b| i32::from_le_bytes(*b))
                .collect()),
            INT64 => self
                .exact(id, 8)?
                .as_chunks()
                .0
                .iter()
                .map(|b| i32::try_from(i64::from_le_bytes(*b)))
                .collect::<Result<_, _>>()
                .map_err(|_| malformed(format!("tensor {id} holds integers beyond 32 bits"))),
            other => Err(self.wrong_type(id, other, "integers")),
        }
    }

    /// Checks that a tensor holds the signs of a tensor of `shape`: 32 channels to an integer.
    pub(super) fn check_packed(&self, id: usize, shape: &[usize]) -> Result<(), Fault> {
        let mut packed = shape.to_vec();
        if let Some(last) = packed.last_mut() {
            *last = last.div_ceil(32);
        }
        let found = (self.get(id)?.element_type().unwrap_or(FLOAT32), self.shape(id)?);
        if found == (INT32, packed) {
            return Ok(());
        }
        Err(malformed(format!(
            "has {} of {} and shape {:?} for the signs of {shape:?}",
            self.label(id),
            type_name(found.0),
            found.1
        )))
    }

    /// A constant of packed signs as numbers, row-major in `shape`: 1, or -1 where a bit is set.
    pub(super) fn signs(&mut self, id: usize, shape: &[usize]) -> Result<Vec<f32>, Fault> {
        self.check_packed(id, shape)?;
        let channels = shape.last().copied().unwrap_or(1);
        let rows = checked_elements(shape).unwrap_or(0) / channels.max(1);
        self.sign_budget = rows
            .checked_mul(channels)
            .and_then(|elements| self.sign_budget.checked_sub(elements.checked_mul(4)?))
            .ok_or_else(|| malformed("unpacks far more signs than the file is long".into()))?;
        let words = self.exact(id, 4)?.as_chunks().0;
        let bit = |word: &[u8; 4], index: usize| u32::from_le_bytes(*word) >> index & 1;
        let row = |words: &[[u8; 4]]| -> Vec<f32> {
            (0..channels)
                .map(|c| if bit(&words[c / 32], c % 32) == 1 { -1.0 } else { 1.0 })
                .collect()
        };
        Ok(words.chunks_exact(channels.div_ceil(32)).flat_map(row).collect())
    }

    fn wrong_type(&self, id: usize, found: i8, wanted: &str) -> Fault {
        unsupported(format!("{} is {} where {wanted} are needed", self.label(id), type_name(found)))
    }

    /// Makes `id` a constant.
    pub(super) fn fold(&mut self, id: usize, values: Vec<f32>) -> Result<(), Fault> {
        let shape = self.activation_shape(id)?;
        if checked_elements(&shape) != Some(values.len()) {
            return Err(malformed(format!(
                "has {} elements for the shape {shape:?}",
                values.len()
            )));
        }
        self.folded.insert(id, values);
        Ok(())
    }
}

/// A name of the file, short enough for a message.
pub(super) fn short(name: &str) -> String {
    name.chars().take(64).collect()
}

fn type_name(code: i8) -> String {
    let known = usize::try_from(code).ok().and_then(|index| TYPES.get(index));
    known.map_or_else(|| format!("of type {code}"), |name| (*name).to_owned())
}
