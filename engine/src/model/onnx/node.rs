//! A node of the file with its attributes, each read as the type that its operator defines.

use super::schema::{AttributeProto, NodeProto, TensorProto};
use crate::model::fault::{Fault, malformed};

/// A node to be lowered.
pub(super) struct Node<'a> {
    proto: &'a NodeProto,
    /// Version of ONNX's own operator set that the file uses.
    pub(super) opset: i64,
}

impl<'a> Node<'a> {
    pub(super) fn new(proto: &'a NodeProto, opset: i64) -> Self {
        Self { proto, opset }
    }

    /// The operator's name.
    pub(super) fn op(&self) -> &'a str {
        &self.proto.op_type
    }

    /// The operator's domain; "" is ONNX's own.
    pub(super) fn domain(&self) -> &'a str {
        match self.proto.domain.as_str() {
            "ai.onnx" => "",
            other => other,
        }
    }

    /// Names of all operands; "" where an optional one is absent.
    pub(super) fn inputs(&self) -> &'a [String] {
        &self.proto.input
    }

    /// The name of an operand, if it is there.
    pub(super) fn input(&self, index: usize) -> Option<&'a str> {
        self.proto.input.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The name of an operand that must be there.
    pub(super) fn required(&self, index: usize) -> Result<&'a str, Fault> {
        self.input(index).ok_or_else(|| malformed(format!("has no operand {index}")))
    }

    /// Names of the results that somebody wants.
    pub(super) fn outputs(&self) -> &'a [String] {
        &self.proto.output
    }

    /// The name of the first result.
    pub(super) fn output(&self) -> Result<&'a str, Fault> {
        self.proto
            .output
            .first()
            .map(String::as_str)
            .ok_or_else(|| malformed("has no result".into()))
    }

    /// Whether a result other than the first is wanted.
    pub(super) fn has_output(&self, index: usize) -> bool {
        self.proto.output.get(index).is_some_and(|name| !name.is_empty())
    }

    fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        self.proto.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// Whether the attribute is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i)
    }

    pub(super) fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |attribute| attribute.f)
    }

    pub(super) fn text(&self, name: &str, default: &'a str) -> &'a str {
        let text = self.attribute(name).map(|attribute| std::str::from_utf8(&attribute.s));
        text.map_or(default, |text| text.unwrap_or(default))
    }

    pub(super) fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.attribute(name).map(|attribute| attribute.ints.as_slice())
    }

    pub(super) fn floats(&self, name: &str) -> Option<&'a [f32]> {
        self.attribute(name).map(|attribute| attribute.floats.as_slice())
    }

    pub(super) fn tensor(&self, name: &str) -> Option<&'a TensorProto> {
        self.attribute(name).and_then(|attribute| attribute.t.as_ref())
    }
}

/// An axis counted from the end when negative.
pub(super) fn axis(given: i64, rank: usize) -> Result<usize, Fault> {
    let from_start = if given < 0 { given.checked_add(rank as i64) } else { Some(given) };
    from_start
        .and_then(|axis| usize::try_from(axis).ok())
        .filter(|&axis| axis < rank)
        .ok_or_else(|| malformed(format!("has axis {given} of {rank}")))
}

/// Sorted, distinct axes, each counted from the end when negative.
pub(super) fn axes(given: &[i64], rank: usize) -> Result<Vec<usize>, Fault> {
    let mut all: Vec<usize> = given.iter().map(|&a| axis(a, rank)).collect::<Result<_, _>>()?;
    all.sort_unstable();
    all.dedup();
    Ok(all)
}
