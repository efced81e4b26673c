//! The rules that every graph keeps, whoever made it: an importer, a recipe, or bytes from the network.

use std::collections::HashSet;

use super::shape::{checked_elements, infer};
use super::{Activation, Constant, ConstantData, Encoding, Graph, GraphError, Node, Op, Value};

impl Graph {
    /// Checks everything that later stages rely on: ids in range, each value produced once and before it is
    /// read, shapes as [`infer`] finds them, constants as long as their shape says, unique names.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self) -> Result<(), GraphError> {
        self.validate_values()?;
        let mut available = self.validate_interface()?;
        for (index, node) in self.nodes.iter().enumerate() {
            self.validate_node(node, &mut available).map_err(|reason| GraphError::Node {
                node: index,
                name: node.name.clone(),
                reason,
            })?;
        }
        for &output in &self.outputs {
            if !available.get(output).is_some_and(|&is| is) {
                return Err(GraphError::Interface(format!("nothing computes output {output}")));
            }
        }
        Ok(())
    }

    fn validate_values(&self) -> Result<(), GraphError> {
        let mut names = HashSet::new();
        for (index, value) in self.values.iter().enumerate() {
            let fault = if names.insert(value.name.as_str()) {
                value_fault(value)
            } else {
                Some("has the name of another value".to_owned())
            };
            if let Some(reason) = fault {
                let name = value.name.clone();
                return Err(GraphError::Value { value: index, name, reason });
            }
        }
        Ok(())
    }

    /// Returns which values are known before the first node runs.
    fn validate_interface(&self) -> Result<Vec<bool>, GraphError> {
        let mut available: Vec<bool> =
            self.values.iter().map(|value| value.constant.is_some()).collect();
        for &input in &self.inputs {
            match available.get_mut(input) {
                Some(known) if !*known => *known = true,
                Some(_) => {
                    return Err(GraphError::Interface(format!(
                        "input {input} is a constant or listed twice"
                    )));
                }
                None => return Err(GraphError::Interface(format!("input {input} does not exist"))),
            }
        }
        if self.outputs.is_empty() {
            return Err(GraphError::Interface("there is no output".to_owned()));
        }
        Ok(available)
    }

    fn validate_node(&self, node: &Node, available: &mut [bool]) -> Result<(), String> {
        for &id in &node.inputs {
            if !available.get(id).is_some_and(|&is| is) {
                return Err(format!("reads value {id} before anything computes it"));
            }
        }
        for &id in &node.outputs {
            match available.get_mut(id) {
                Some(known) if !*known => *known = true,
                _ => return Err(format!("value {id} does not exist or has another source")),
            }
        }
        let shapes = |ids: &[usize]| -> Vec<&[usize]> {
            ids.iter().map(|&id| self.values[id].shape.as_slice()).collect()
        };
        let to = match node.outputs.first() {
            Some(&id) => self.values[id].encoding,
            None => return Err("has no result".to_owned()),
        };
        let from = node.inputs.first().map(|&id| self.values[id].encoding);
        let wanted = operand_count(&node.op, from, to);
        if wanted.is_some_and(|wanted| wanted != node.inputs.len()) {
            return Err(format!("has {} operands instead of {wanted:?}", node.inputs.len()));
        }
        let declared = shapes(&node.outputs);
        let inferred = infer(&node.op, &shapes(&node.inputs), &declared)?;
        if inferred != declared {
            return Err(format!("results should be {inferred:?}, not {declared:?}"));
        }
        self.validate_constants_of(node)
    }

    /// Operators whose parameters must be known beforehand.
    fn validate_constants_of(&self, node: &Node) -> Result<(), String> {
        let parameters = match node.op {
            Op::Conv2d { .. } | Op::DepthwiseConv2d { .. } | Op::FullyConnected { .. } => 1..,
            Op::Prelu | Op::Convert | Op::Gather { .. } => 1..,
            Op::Binary { .. } => 2..,
            _ => return Ok(()),
        };
        for &id in &node.inputs[parameters] {
            if self.values[id].constant.is_none() {
                return Err(format!("needs a constant instead of value {id}"));
            }
        }
        let layer = matches!(
            node.op,
            Op::Conv2d { .. } | Op::DepthwiseConv2d { .. } | Op::FullyConnected { .. }
        );
        let weights = node.inputs.get(1).and_then(|&id| self.values[id].constant.as_ref());
        if let (true, Some(ConstantData::I8(weights))) = (layer, weights.map(|w| &w.data)) {
            // Kernels add two products up in 16 bits, which has room for -127..=127.
            if weights.contains(&-128) {
                return Err("has weights of -128".to_owned());
            }
        }
        if let Op::Gather { axis } = node.op {
            let extent = self.values[node.inputs[0]].shape[axis];
            let indices = &self.values[node.inputs[1]];
            let in_range = |&index: &i32| usize::try_from(index).is_ok_and(|i| i < extent);
            match indices.constant.as_ref().and_then(Constant::as_i32) {
                Some(all) if all.iter().all(in_range) => {}
                _ => return Err(format!("needs integer indices below {extent}")),
            }
        }
        Ok(())
    }
}

/// How many operands an operator takes; `None` for any number from 1.
fn operand_count(op: &Op, from: Option<Encoding>, to: Encoding) -> Option<usize> {
    let to_bits = usize::from(to == Encoding::Bits);
    let affine = if from == Some(Encoding::Bits) && to == Encoding::F32 { 2 } else { 0 };
    Some(match op {
        Op::Conv2d { activation, .. }
        | Op::DepthwiseConv2d { activation, .. }
        | Op::FullyConnected { activation } => {
            3 + usize::from(*activation == Activation::Prelu) + to_bits + affine
        }
        Op::Binary { activation, .. } => 2 + usize::from(*activation == Activation::Prelu),
        Op::Prelu | Op::Gather { .. } => 2,
        Op::Convert => 1 + to_bits,
        Op::Concat { .. } => return None,
        _ => 1,
    })
}

fn value_fault(value: &Value) -> Option<String> {
    let Some(elements) = checked_elements(&value.shape) else {
        return Some(format!("has an impossible shape {:?}", value.shape));
    };
    if let Encoding::Int8 { scale, .. } = value.encoding
        && !(scale.is_finite() && scale > 0.0)
    {
        return Some(format!("has a scale of {scale}"));
    }
    let Some(constant) = &value.constant else {
        let constant_only = matches!(
            value.encoding,
            Encoding::I32 | Encoding::Int4 | Encoding::Int4Groups { .. } | Encoding::Ternary
        );
        return constant_only.then(|| format!("computes with {:?}", value.encoding));
    };
    let rows = value.shape.last().map(|&channels| (elements / channels, channels));
    let (length, wanted) = match (&constant.data, value.encoding) {
        (ConstantData::F32(data), Encoding::F32) => (data.len(), elements),
        (ConstantData::F16(data), Encoding::F16) => (data.len(), elements),
        (ConstantData::I8(data), Encoding::Int8 { .. }) => (data.len(), elements),
        (ConstantData::I4(data), Encoding::Int4) => (data.len(), elements.div_ceil(2)),
        (ConstantData::I4Groups { weights, multipliers }, Encoding::Int4Groups { group }) => {
            let groups = match rows {
                Some((rows, row)) if group > 0 => rows * row.div_ceil(group),
                _ => return Some(format!("has no groups of {group} weights")),
            };
            if let Some(fault) = multiplier_fault(constant, multipliers.len(), groups) {
                return Some(fault);
            }
            (weights.len(), elements.div_ceil(2))
        }
        (ConstantData::I32(data), Encoding::I32) => (data.len(), elements),
        (ConstantData::Bits(data), Encoding::Bits) => {
            (data.len(), rows.map_or(0, |(rows, channels)| rows * channels.div_ceil(64)))
        }
        (ConstantData::Bits(data), Encoding::Ternary) => {
            (data.len(), rows.map_or(0, |(rows, channels)| 2 * rows * channels.div_ceil(64)))
        }
        _ => return Some(format!("holds other data than {:?}", value.encoding)),
    };
    if length != wanted {
        return Some(format!("holds {length} elements instead of {wanted}"));
    }
    // Kernels sum up products of 4 bits in 16, which has room for -7..=7.
    if constant.to_i4(elements).is_some_and(|values| values.contains(&-8)) {
        return Some("holds -8 among 4-bit weights".to_owned());
    }
    let scales = &constant.scales;
    let per_channel = scales.len() <= 1 || value.shape.contains(&scales.len());
    if !per_channel || scales.iter().any(|scale| !scale.is_finite()) {
        return Some(format!("has {} scales, or one that is no number", scales.len()));
    }
    None
}

/// What is wrong with the multipliers, stored in so many bytes, of `groups` groups, if anything is.
fn multiplier_fault(constant: &Constant, bytes: usize, groups: usize) -> Option<String> {
    if bytes != groups.div_ceil(2) {
        return Some(format!("holds {bytes} bytes of multipliers for {groups} groups of weights"));
    }
    let multipliers = constant.to_multipliers(groups);
    multipliers.is_some_and(|all| all.contains(&0)).then(|| "holds a multiplier of 0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;
    use crate::graph::{BinaryOp, UnaryOp};

    fn value(name: &str, shape: &[usize], encoding: Encoding, constant: Option<Constant>) -> Value {
        Value { name: name.into(), shape: shape.to_vec(), encoding, constant }
    }

    fn node(op: Op, inputs: &[usize], output: usize) -> Node {
        let (name, inputs) = (format!("node of {output}"), inputs.to_vec());
        Node { name, op, inputs, outputs: vec![output], level: Level::Fp32 }
    }

    /// x → ReLU → a; a + x → y.
    fn graph() -> Graph {
        let names = ["x", "a", "y"];
        let add = Op::Binary { op: BinaryOp::Add, activation: Activation::None };
        Graph {
            values: names.map(|name| value(name, &[2, 3], Encoding::F32, None)).into(),
            nodes: vec![node(Op::Unary(UnaryOp::Relu), &[0], 1), node(add, &[1, 0], 2)],
            inputs: vec![0],
            outputs: vec![2],
        }
    }

    fn fault(change: impl FnOnce(&mut Graph)) -> String {
        let mut graph = graph();
        change(&mut graph);
        graph.validate().unwrap_err().to_string()
    }

    #[test]
    fn a_sound_graph_passes_and_each_broken_rule_is_named() {
        assert_eq!(graph().validate(), Ok(()));
        assert!(fault(|g| g.nodes.swap(0, 1)).contains("reads value 1 before"));
        assert!(fault(|g| g.nodes[1].inputs[0] = 9).contains("reads value 9"));
        assert!(fault(|g| g.nodes[1].outputs[0] = 9).contains("value 9 does not exist"));
        assert!(fault(|g| g.nodes[1].outputs[0] = 0).contains("another source"));
        assert!(fault(|g| g.nodes[1].outputs.clear()).contains("no result"));
        assert!(fault(|g| g.nodes[0].inputs.push(0)).contains("2 operands"));
        assert!(fault(|g| g.values[2].shape = vec![3, 2]).contains("should be [[2, 3]]"));
        assert!(fault(|g| g.values[1].shape = vec![usize::MAX; 2]).contains("impossible shape"));
        assert!(fault(|g| g.values[1].name = "x".into()).contains("name of another"));
        assert!(fault(|g| g.inputs.push(0)).contains("listed twice"));
        assert!(fault(|g| g.inputs[0] = 7).contains("input 7 does not exist"));
        assert!(fault(|g| g.outputs.clear()).contains("no output"));
        assert!(fault(|g| g.outputs[0] = 7).contains("nothing computes output 7"));
        assert!(fault(|g| g.nodes[0].op = Op::Prelu).contains("operands instead of"));
        let int8 = |scale| Encoding::Int8 { scale, zero_point: 0 };
        assert!(fault(|g| g.values[1].encoding = int8(f32::NAN)).contains("scale"));
        assert!(fault(|g| g.values[1].encoding = int8(0.0)).contains("scale"));
        assert!(fault(|g| g.values[1].encoding = Encoding::I32).contains("I32"));
    }

    #[test]
    fn constants_match_their_shape_and_encoding() {
        let check = |shape: &[usize], encoding, data, scales: &[f32]| {
            let constant = Constant { data, scales: scales.to_vec() };
            value_fault(&value("c", shape, encoding, Some(constant))).is_none()
        };
        let int8 = Encoding::Int8 { scale: 1.0, zero_point: 0 };
        assert!(check(&[2, 3], Encoding::F32, ConstantData::F32(vec![0.0; 6]), &[]));
        assert!(!check(&[2, 3], Encoding::F32, ConstantData::F32(vec![0.0; 5]), &[]));
        assert!(!check(&[2, 3], Encoding::F16, ConstantData::F32(vec![0.0; 6]), &[]));
        assert!(check(&[2, 3], int8, ConstantData::I8(vec![0; 6]), &[0.1, 0.2]));
        assert!(!check(&[2, 3], int8, ConstantData::I8(vec![0; 6]), &[0.1; 4]));
        assert!(!check(&[2, 3], int8, ConstantData::I8(vec![0; 6]), &[f32::INFINITY]));
        // Each row of 65 signs takes two words.
        assert!(check(&[3, 65], Encoding::Bits, ConstantData::Bits(vec![0; 6]), &[0.5; 3]));
        assert!(!check(&[3, 65], Encoding::Bits, ConstantData::Bits(vec![0; 4]), &[0.5; 3]));
        assert!(check(&[3, 65], Encoding::Ternary, ConstantData::Bits(vec![0; 12]), &[0.5; 3]));
        assert!(!check(&[3, 65], Encoding::Ternary, ConstantData::Bits(vec![0; 6]), &[0.5; 3]));
        assert!(!check(&[], Encoding::Bits, ConstantData::Bits(vec![0]), &[]));
        // Each row of five weights has three groups of two, the last of them shorter.
        let groups = |weights: usize, multipliers: &[u8], group| {
            let (weights, multipliers) = (vec![0x17; weights], multipliers.to_vec());
            let data = ConstantData::I4Groups { weights, multipliers };
            check(&[3, 5], Encoding::Int4Groups { group }, data, &[0.5; 3])
        };
        assert!(groups(8, &[0x1f, 0xf1, 0x11, 0x11, 0x01], 2));
        assert!(groups(8, &[0x11, 0x01], 5) && groups(8, &[0x11, 0x01], usize::MAX));
        assert!(!groups(7, &[0x1f, 0xf1, 0x11, 0x11, 0x01], 2), "weights are missing");
        assert!(!groups(8, &[0x1f, 0xf1, 0x11, 0x11], 2), "multipliers are missing");
        assert!(!groups(8, &[0x1f, 0xf1, 0x11, 0x11, 0x01, 0], 2), "multipliers are left over");
        assert!(!groups(8, &[0x1f, 0x0f, 0x11, 0x11, 0x01], 2), "a multiplier is 0");
        assert!(!groups(8, &[], 0));
        let plain = ConstantData::I4(vec![0; 8]);
        assert!(!check(&[3, 5], Encoding::Int4Groups { group: 2 }, plain, &[0.5; 3]));
    }

    #[test]
    fn indices_stay_below_the_extent() {
        let gather = |indices: &[i32]| {
            let mut graph = graph();
            let constant = Constant::i32(indices.to_vec());
            graph.values.push(value("i", &[indices.len()], Encoding::I32, Some(constant)));
            graph.values[1].shape = vec![2, indices.len()];
            graph.nodes = vec![node(Op::Gather { axis: 1 }, &[0, 3], 1)];
            graph.outputs = vec![1];
            graph.validate().is_ok()
        };
        assert!(gather(&[2, 0, 2, 1]));
        assert!(!gather(&[3]) && !gather(&[-1]));
    }
}
