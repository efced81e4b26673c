//! fp16: weights and activations stored in 16 bits.

use half::f16;

use super::rewrite::Rewriter;
use crate::Level;
use crate::graph::{Constant, ConstantData, Encoding, Graph, Op};
use crate::variant::Variant;

/// Every activation and weight of `graph` rounded to fp16; biases and PReLU slopes, which are applied in registers, stay.
pub(super) fn half(graph: Graph) -> Variant {
    let level = Level::Fp16;
    let mut rewriter = Rewriter::new(graph, level);
    for node in rewriter.source.nodes.clone() {
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for (operand, &id) in node.inputs.iter().enumerate() {
            let encoding = match (&node.op, operand) {
                (Op::Gather { .. }, 1) => Encoding::I32,
                (
                    Op::Conv2d { .. } | Op::DepthwiseConv2d { .. } | Op::FullyConnected { .. },
                    2..,
                )
                | (Op::Binary { .. }, 2)
                | (Op::Prelu, 1) => Encoding::F32,
                _ => Encoding::F16,
            };
            let convert = |constant: &Constant| narrow(constant, encoding);
            inputs.push(rewriter.form(id, encoding, convert));
        }
        rewriter.node(&node, inputs, |_| Encoding::F16, level);
    }
    let (graph, exemptions) = rewriter.finish();
    Variant { graph, level, recipe: String::new(), exemptions }
}

fn narrow(constant: &Constant, encoding: Encoding) -> Constant {
    match (&constant.data, encoding) {
        (ConstantData::F32(values), Encoding::F16) => {
            let values = values.iter().map(|&x| f16::from_f32(x)).collect();
            Constant { data: ConstantData::F16(values), scales: Vec::new() }
        }
        _ => constant.clone(),
    }
}
