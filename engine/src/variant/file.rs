//! Variants as safetensors files.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::{Exemption, Variant, VariantError};
use crate::graph::{Constant, ConstantData, Encoding, Graph, Node, Op, Value, ValueId};
use crate::level::Level;

/// Version of the format: of this description and of the meaning of operators and encodings.
pub const FORMAT_VERSION: u32 = 4;
/// Key of the description in the container's metadata.
const KEY: &str = "quantrack";

/// The JSON description.
#[derive(Serialize, Deserialize)]
struct Description {
    version: u32,
    level: Level,
    recipe: String,
    exemptions: Vec<Exemption>,
    values: Vec<ValueDescription>,
    nodes: Vec<NodeDescription>,
    inputs: Vec<ValueId>,
    outputs: Vec<ValueId>,
}

#[derive(Serialize, Deserialize)]
struct ValueDescription {
    name: String,
    shape: Vec<usize>,
    encoding: Encoding,
    /// Whether the container holds the elements, and whether also scales.
    constant: bool,
    scales: bool,
}

#[derive(Serialize, Deserialize)]
struct NodeDescription {
    name: String,
    op: Op,
    inputs: Vec<ValueId>,
    outputs: Vec<ValueId>,
    level: Level,
}

/// Names of a constant's tensors. The index keeps them unique, the name is for people.
fn tensor_name(index: usize, name: &str) -> String {
    format!("{index}:{name}")
}

fn scales_name(index: usize, name: &str) -> String {
    format!("{index}:{name}:scales")
}

fn stored(data: &ConstantData) -> (Dtype, &[u8], usize) {
    match data {
        ConstantData::F32(v) => (Dtype::F32, bytemuck::cast_slice(v), v.len()),
        ConstantData::F16(v) => (Dtype::F16, bytemuck::cast_slice(v), v.len()),
        ConstantData::I8(v) => (Dtype::I8, bytemuck::cast_slice(v), v.len()),
        ConstantData::I4(v) => (Dtype::U8, v, v.len()),
        ConstantData::I32(v) => (Dtype::I32, bytemuck::cast_slice(v), v.len()),
        ConstantData::Bits(v) => (Dtype::U64, bytemuck::cast_slice(v), v.len()),
    }
}

pub(super) fn write(variant: &Variant) -> Vec<u8> {
    let graph = &variant.graph;
    let describe = |value: &Value| ValueDescription {
        name: value.name.clone(),
        shape: value.shape.clone(),
        encoding: value.encoding,
        constant: value.constant.is_some(),
        scales: value.constant.as_ref().is_some_and(|constant| !constant.scales.is_empty()),
    };
    let describe_node = |node: &Node| NodeDescription {
        name: node.name.clone(),
        op: node.op.clone(),
        inputs: node.inputs.clone(),
        outputs: node.outputs.clone(),
        level: node.level,
    };
    let description = Description {
        version: FORMAT_VERSION,
        level: variant.level,
        recipe: variant.recipe.clone(),
        exemptions: variant.exemptions.clone(),
        values: graph.values.iter().map(describe).collect(),
        nodes: graph.nodes.iter().map(describe_node).collect(),
        inputs: graph.inputs.clone(),
        outputs: graph.outputs.clone(),
    };
    let mut tensors: Vec<(String, TensorView<'_>)> = Vec::new();
    let mut add = |name: String, dtype, count: usize, bytes| {
        // The length always fits: both come from the same slice.
        if let Ok(view) = TensorView::new(dtype, vec![count], bytes) {
            tensors.push((name, view));
        }
    };
    for (index, value) in graph.values.iter().enumerate() {
        let Some(constant) = &value.constant else { continue };
        let (dtype, bytes, count) = stored(&constant.data);
        add(tensor_name(index, &value.name), dtype, count, bytes);
        if !constant.scales.is_empty() {
            let bytes = bytemuck::cast_slice(&constant.scales);
            let name = scales_name(index, &value.name);
            add(name, Dtype::F32, constant.scales.len(), bytes);
        }
    }
    // Plain data in memory: neither serialization can fail.
    let json = serde_json::to_string(&description).unwrap_or_default();
    let metadata = HashMap::from([(KEY.to_owned(), json)]);
    safetensors::serialize(tensors, Some(metadata)).unwrap_or_default()
}

pub(super) fn read(bytes: &[u8]) -> Result<Variant, VariantError> {
    let damaged = |error: safetensors::SafeTensorError| VariantError::Container(error.to_string());
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let json = metadata.metadata().as_ref().and_then(|map| map.get(KEY));
    let json = json.ok_or(VariantError::NoGraph)?;
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let unreadable = |error: serde_json::Error| VariantError::Description(error.to_string());
    let Version { version } = serde_json::from_str(json).map_err(unreadable)?;
    if version != FORMAT_VERSION {
        return Err(VariantError::Version { found: version, known: FORMAT_VERSION });
    }
    let description: Description = serde_json::from_str(json).map_err(unreadable)?;
    let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let values = description.values.into_iter().enumerate();
    let values = values.map(|(index, value)| read_value(&tensors, index, value));
    let node = |node: NodeDescription| Node {
        name: node.name,
        op: node.op,
        inputs: node.inputs,
        outputs: node.outputs,
        level: node.level,
    };
    let graph = Graph {
        values: values.collect::<Result<_, _>>()?,
        nodes: description.nodes.into_iter().map(node).collect(),
        inputs: description.inputs,
        outputs: description.outputs,
    };
    graph.validate()?;
    let Description { level, recipe, exemptions, .. } = description;
    Ok(Variant { graph, level, recipe, exemptions })
}

fn read_value(
    tensors: &SafeTensors<'_>,
    index: usize,
    value: ValueDescription,
) -> Result<Value, VariantError> {
    let wrong = || VariantError::Constant(value.name.clone());
    let constant = if value.constant {
        let tensor = tensors.tensor(&tensor_name(index, &value.name)).map_err(|_| wrong())?;
        let bytes = tensor.data();
        let data = match (value.encoding, tensor.dtype()) {
            (Encoding::F32, Dtype::F32) => ConstantData::F32(copied(bytes)),
            (Encoding::F16, Dtype::F16) => ConstantData::F16(copied(bytes)),
            (Encoding::Int8 { .. }, Dtype::I8) => ConstantData::I8(copied(bytes)),
            (Encoding::Int4, Dtype::U8) => ConstantData::I4(bytes.to_vec()),
            (Encoding::I32, Dtype::I32) => ConstantData::I32(copied(bytes)),
            (Encoding::Bits | Encoding::Ternary, Dtype::U64) => ConstantData::Bits(copied(bytes)),
            _ => return Err(wrong()),
        };
        let scales = if value.scales {
            let tensor = tensors.tensor(&scales_name(index, &value.name)).map_err(|_| wrong())?;
            if tensor.dtype() != Dtype::F32 {
                return Err(wrong());
            }
            copied(tensor.data())
        } else {
            Vec::new()
        };
        Some(Constant { data, scales })
    } else {
        None
    };
    Ok(Value { name: value.name, shape: value.shape, encoding: value.encoding, constant })
}

/// Little-endian elements, wherever they lie.
fn copied<T: bytemuck::Pod>(bytes: &[u8]) -> Vec<T> {
    bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect()
}

#[cfg(not(target_endian = "little"))]
compile_error!("variants are stored in little-endian order, which this target does not use");
