//! Constants of the file.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path};

use half::f16;
use ndarray::{ArrayD, IxDyn};

use super::schema::TensorProto;
use crate::graph::checked_elements;
use crate::model::fault::{Fault, malformed, unsupported};

/// A constant, whatever its type in the file: fp64 holds every fp32 and every integer up to 2^53.
pub(super) type Known = ArrayD<f64>;

/// `TensorProto.DataType`.
mod data_type {
    pub(super) const FLOAT: i32 = 1;
    pub(super) const UINT8: i32 = 2;
    pub(super) const INT8: i32 = 3;
    pub(super) const UINT16: i32 = 4;
    pub(super) const INT16: i32 = 5;
    pub(super) const INT32: i32 = 6;
    pub(super) const INT64: i32 = 7;
    pub(super) const BOOL: i32 = 9;
    pub(super) const FLOAT16: i32 = 10;
    pub(super) const DOUBLE: i32 = 11;
    pub(super) const UINT32: i32 = 12;
    pub(super) const UINT64: i32 = 13;
    pub(super) const BFLOAT16: i32 = 16;
}

/// Whether `kind` is an integer of 8 bits, and whether it has a sign.
pub(super) fn byte_sign(kind: i32) -> Option<bool> {
    match kind {
        data_type::UINT8 => Some(false),
        data_type::INT8 => Some(true),
        _ => None,
    }
}

/// Whether elements of this type are integers.
pub(super) fn is_integer(kind: i32) -> bool {
    use data_type as t;
    matches!(
        kind,
        t::UINT8 | t::INT8 | t::UINT16 | t::INT16 | t::INT32 | t::INT64 | t::UINT32 | t::UINT64
    )
}

/// Whether a run-time value of this type can be held as fp32: floating point, or integers of 8 bits and truth values, which
/// fp32 holds exactly.
pub(super) fn holds_as_fp32(kind: i32) -> bool {
    matches!(
        kind,
        data_type::FLOAT
            | data_type::FLOAT16
            | data_type::DOUBLE
            | data_type::UINT8
            | data_type::INT8
            | data_type::BOOL
    )
}

/// The elements of `tensor`; `directory` is where files of constants lie.
pub(super) fn decode(tensor: &TensorProto, directory: Option<&Path>) -> Result<Known, Fault> {
    let dims: Option<Vec<usize>> = tensor.dims.iter().map(|&n| usize::try_from(n).ok()).collect();
    let shape =
        dims.ok_or_else(|| malformed(format!("constant {} has a negative extent", tensor.name)))?;
    // Empty constants are legal: an empty list of axes, no regions of interest.
    let count = if shape.contains(&0) { Some(0) } else { checked_elements(&shape) };
    let count =
        count.ok_or_else(|| malformed(format!("constant {} is of {shape:?}", tensor.name)))?;
    let external;
    let raw = if tensor.data_location == 1 {
        external = read_external(tensor, directory)?;
        external.as_slice()
    } else {
        tensor.raw_data.as_slice()
    };
    let elements = if raw.is_empty() { typed(tensor)? } else { from_raw(tensor, raw)? };
    if elements.len() != count {
        let (name, found) = (&tensor.name, elements.len());
        return Err(malformed(format!("constant {name} of {shape:?} has {found} elements")));
    }
    ArrayD::from_shape_vec(IxDyn(&shape), elements).map_err(|error| malformed(error.to_string()))
}

fn typed(tensor: &TensorProto) -> Result<Vec<f64>, Fault> {
    use data_type as t;
    let ints = || tensor.int32_data.iter();
    Ok(match tensor.data_type {
        t::FLOAT => tensor.float_data.iter().map(|&x| f64::from(x)).collect(),
        t::DOUBLE => tensor.double_data.clone(),
        t::INT64 => tensor.int64_data.iter().map(|&x| x as f64).collect(),
        t::FLOAT16 => ints().map(|&bits| f64::from(f16::from_bits(bits as u16))).collect(),
        t::BFLOAT16 => ints().map(|&bits| f64::from(half::bf16::from_bits(bits as u16))).collect(),
        t::UINT8 | t::INT8 | t::UINT16 | t::INT16 | t::INT32 | t::BOOL => {
            ints().map(|&x| f64::from(x)).collect()
        }
        other => return Err(unknown_type(tensor, other)),
    })
}

fn from_raw(tensor: &TensorProto, raw: &[u8]) -> Result<Vec<f64>, Fault> {
    fn each<const N: usize>(raw: &[u8], f: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        raw.as_chunks().0.iter().map(|&bytes| f(bytes)).collect()
    }
    use data_type as t;
    Ok(match tensor.data_type {
        t::FLOAT => each(raw, |b| f64::from(f32::from_le_bytes(b))),
        t::DOUBLE => each(raw, f64::from_le_bytes),
        t::FLOAT16 => each(raw, |b| f64::from(f16::from_le_bytes(b))),
        t::BFLOAT16 => each(raw, |b| f64::from(half::bf16::from_le_bytes(b))),
        t::UINT8 | t::BOOL => each(raw, |[b]| f64::from(b)),
        t::INT8 => each(raw, |[b]| f64::from(b as i8)),
        t::UINT16 => each(raw, |b| f64::from(u16::from_le_bytes(b))),
        t::INT16 => each(raw, |b| f64::from(i16::from_le_bytes(b))),
        t::INT32 => each(raw, |b| f64::from(i32::from_le_bytes(b))),
        t::UINT32 => each(raw, |b| f64::from(u32::from_le_bytes(b))),
        t::INT64 => each(raw, |b| i64::from_le_bytes(b) as f64),
        t::UINT64 => each(raw, |b| u64::from_le_bytes(b) as f64),
        other => return Err(unknown_type(tensor, other)),
    })
}

fn unknown_type(tensor: &TensorProto, kind: i32) -> Fault {
    unsupported(format!("constant {} of element type {kind}", tensor.name))
}

/// Bytes of a constant in a file of its own, which must lie beside or below the model.
fn read_external(tensor: &TensorProto, directory: Option<&Path>) -> Result<Vec<u8>, Fault> {
    let name = &tensor.name;
    let directory = directory.ok_or_else(|| {
        unsupported(format!(
            "constant {name} is in a file of its own: import the model by its path"
        ))
    })?;
    let entry = |key: &str| tensor.external_data.iter().find(|e| e.key == key).map(|e| &e.value);
    let number = |key: &str| match entry(key) {
        None => Ok(None),
        Some(text) => text
            .parse::<u64>()
            .map(Some)
            .map_err(|_| malformed(format!("constant {name} has the {key} {text:?}"))),
    };
    let location =
        entry("location").ok_or_else(|| malformed(format!("constant {name} has no location")))?;
    let below = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
    if !below(Path::new(location)) {
        return Err(malformed(format!(
            "constant {name} lies outside of the model's folder: {location}"
        )));
    }
    let path = directory.join(location);
    let fault = |error: std::io::Error| {
        malformed(format!("constant {name} cannot be read from {}: {error}", path.display()))
    };
    let mut file = File::open(&path).map_err(fault)?;
    file.seek(SeekFrom::Start(number("offset")?.unwrap_or(0))).map_err(fault)?;
    let mut bytes = Vec::new();
    let most = number("length")?.unwrap_or(u64::MAX);
    file.take(most).read_to_end(&mut bytes).map_err(fault)?;
    Ok(bytes)
}
