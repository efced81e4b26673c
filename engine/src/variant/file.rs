//! Variants as safetensors files.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::{Exemption, Variant, VariantError};
use crate::graph::{Constant, ConstantData, Encoding, Graph, Node, Op, Value, ValueId};
use crate::level::Level;

/// Newest version of the format: of this description and of the meaning of operators and encodings. Version 5 added groups of
/// 4-bit weights.
pub const FORMAT_VERSION: u32 = 5;
/// Oldest version that this build reads.
const OLDEST_VERSION: u32 = 4;
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

fn multipliers_name(index: usize, name: &str) -> String {
    format!("{index}:{name}:multipliers")
}

/// The oldest version that can describe the graph: what older builds can run, they can read, and what was the same before is
/// the same file.
fn version_for(graph: &Graph) -> u32 {
    let groups = |value: &Value| matches!(value.encoding, Encoding::Int4Groups { .. });
    if graph.values.iter().any(groups) { FORMAT_VERSION } else { OLDEST_VERSION }
}

fn stored(data: &ConstantData) -> (Dtype, &[u8], usize) {
    match data {
        ConstantData::F32(v) => (Dtype::F32, bytemuck::cast_slice(v), v.len()),
        ConstantData::F16(v) => (Dtype::F16, bytemuck::cast_slice(v), v.len()),
        ConstantData::I8(v) => (Dtype::I8, bytemuck::cast_slice(v), v.len()),
        ConstantData::I4(v) | ConstantData::I4Groups { weights: v, .. } => (Dtype::U8, v, v.len()),
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
        version: version_for(graph),
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
        if let ConstantData::I4Groups { multipliers, .. } = &constant.data {
            let name = multipliers_name(index, &value.name);
            add(name, Dtype::U8, multipliers.len(), multipliers);
        }
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
    if !(OLDEST_VERSION..=FORMAT_VERSION).contains(&version) {
        let (oldest, newest) = (OLDEST_VERSION, FORMAT_VERSION);
        return Err(VariantError::Version { found: version, oldest, newest });
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
        let find = |name: String| tensors.tensor(&name).map_err(|_| wrong());
        let tensor = find(tensor_name(index, &value.name))?;
        let bytes = tensor.data();
        let data = match (value.encoding, tensor.dtype()) {
            (Encoding::F32, Dtype::F32) => ConstantData::F32(copied(bytes)),
            (Encoding::F16, Dtype::F16) => ConstantData::F16(copied(bytes)),
            (Encoding::Int8 { .. }, Dtype::I8) => ConstantData::I8(copied(bytes)),
            (Encoding::Int4, Dtype::U8) => ConstantData::I4(bytes.to_vec()),
            (Encoding::Int4Groups { .. }, Dtype::U8) => {
                let multipliers = find(multipliers_name(index, &value.name))?;
                if multipliers.dtype() != Dtype::U8 {
                    return Err(wrong());
                }
                let (weights, multipliers) = (bytes.to_vec(), multipliers.data().to_vec());
                ConstantData::I4Groups { weights, multipliers }
            }
            (Encoding::I32, Dtype::I32) => ConstantData::I32(copied(bytes)),
            (Encoding::Bits | Encoding::Ternary, Dtype::U64) => ConstantData::Bits(copied(bytes)),
            _ => return Err(wrong()),
        };
        let scales = if value.scales {
            let tensor = find(scales_name(index, &value.name))?;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::graph::{Activation, grouped};
    use crate::kernels::CpuFeatures;
    use crate::plan::{Plan, Session};
    use crate::{Serial, Tensor};

    /// A fully connected layer of three outputs and five inputs with these weights.
    fn layer(encoding: Encoding, weights: Constant) -> Variant {
        let int8 = Encoding::Int8 { scale: 0.1, zero_point: 3 };
        let value = |name: &str, shape: &[usize], encoding, constant| Value {
            name: name.to_owned(),
            shape: shape.to_vec(),
            encoding,
            constant,
        };
        let node = |name: &str, op, inputs: &[usize], output, level| Node {
            name: name.to_owned(),
            op,
            inputs: inputs.to_vec(),
            outputs: vec![output],
            level,
        };
        let dense = Op::FullyConnected { activation: Activation::None };
        let graph = Graph {
            values: vec![
                value("x", &[1, 5], Encoding::F32, None),
                value("x8", &[1, 5], int8, None),
                value("w", &[3, 5], encoding, Some(weights)),
                value("b", &[3], Encoding::I32, Some(Constant::i32(vec![1, -2, 3]))),
                value("y8", &[1, 3], int8, None),
                value("y", &[1, 3], Encoding::F32, None),
            ],
            nodes: vec![
                node("in", Op::Convert, &[0], 1, Level::Int8),
                node("dense", dense, &[1, 2, 3], 4, Level::Int4),
                node("out", Op::Convert, &[4], 5, Level::Int8),
            ],
            inputs: vec![0],
            outputs: vec![5],
        };
        graph.validate().unwrap();
        let recipe = "mse".to_owned();
        Variant { graph, level: Level::Int4, recipe, exemptions: Vec::new() }
    }

    fn plain() -> Variant {
        layer(Encoding::Int4, Constant::i4(&[3; 15], vec![0.5; 3]))
    }

    fn with_groups() -> Variant {
        let multipliers = [1, 2, 15, 4, 5, 6, 7, 8, 9];
        let weights = Constant::i4_groups(&[-7; 15], &multipliers, vec![0.5; 3]);
        layer(Encoding::Int4Groups { group: 2 }, weights)
    }

    /// The file with a part of its text replaced by as long a one.
    fn replaced(variant: &Variant, from: &str, to: &str) -> Vec<u8> {
        assert_eq!(from.len(), to.len());
        let mut bytes = write(variant);
        let at = bytes.windows(from.len()).position(|part| part == from.as_bytes()).unwrap();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        bytes
    }

    #[test]
    fn groups_survive_their_file_and_only_they_need_the_newest_version() {
        for (variant, version) in [(plain(), 4), (with_groups(), 5)] {
            let bytes = write(&variant);
            assert_eq!(read(&bytes).unwrap(), variant);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            assert!(text.contains(&format!("{{\\\"version\\\":{version},")), "{text}");
        }
    }

    #[test]
    fn groups_compute_what_their_products_would_as_8_bit_weights() {
        let weights: Vec<i8> = (0..15).map(|i| i * 5 % 15 - 7).collect();
        let multipliers = [1, 2, 15, 4, 5, 6, 7, 8, 9];
        let products = grouped(&weights, &multipliers, 5, 2);
        let groups = Constant::i4_groups(&weights, &multipliers, vec![0.01; 3]);
        let eight = Constant { data: ConstantData::I8(products), scales: vec![0.01; 3] };
        let run = |variant: &Variant| {
            let plan = Plan::new(variant, &CpuFeatures::detect()).unwrap();
            let x = Tensor::from_shape_fn(vec![1, 5], |at| at[1] as f32 - 1.5);
            Session::new(Arc::new(plan)).run(&[x], &Serial).unwrap()
        };
        let int8 = Encoding::Int8 { scale: 1.0, zero_point: 0 };
        let found = run(&layer(Encoding::Int4Groups { group: 2 }, groups));
        assert_eq!(found, run(&layer(int8, eight)));
        assert!(found[0].iter().any(|&y| y != found[0][[0, 0]]), "{found:?}");
    }

    #[test]
    fn versions_that_are_not_known_are_refused() {
        for version in ["3", "6"] {
            let bytes = replaced(&plain(), "version\\\":4", &format!("version\\\":{version}"));
            let error = read(&bytes).unwrap_err().to_string();
            assert!(error.contains(&format!("version {version}")), "{error}");
            assert!(error.contains("versions 4 to 5"), "{error}");
        }
        // What a newer build writes without need, too.
        read(&replaced(&plain(), "version\\\":4", "version\\\":5")).unwrap();
    }

    #[test]
    fn damaged_groups_are_named() {
        let error = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
        let missing = error(&replaced(&with_groups(), "2:w:multipliers", "2:w:multiplierz"));
        assert!(missing.contains("constant w is missing"), "{missing}");
        for (group, fault) in [
            ("0", "no groups of 0 weights"),
            ("1", "holds 5 bytes of multipliers for 15 groups"),
            ("5", "holds 5 bytes of multipliers for 3 groups"),
        ] {
            let changed = replaced(&with_groups(), "group\\\":2", &format!("group\\\":{group}"));
            let error = error(&changed);
            assert!(error.contains("value 2") && error.contains(fault), "{error}");
        }
        let mut zero = with_groups();
        let weights = zero.graph.values[2].constant.as_mut().unwrap();
        *weights = Constant::i4_groups(&[-7; 15], &[1, 2, 3, 0, 5, 6, 7, 8, 9], vec![0.5; 3]);
        assert!(error(&write(&zero)).contains("holds a multiplier of 0"));
    }
}
