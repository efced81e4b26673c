//! Builds a typed graph from an fp32 graph, node by node, with conversions where levels meet.

use crate::Level;
use crate::graph::{Constant, Encoding, Graph, Node, Op, Value, ValueId};
use crate::variant::Exemption;

/// A typed graph under construction.
#[derive(Debug)]
pub(super) struct Rewriter {
    /// The fp32 graph, fused.
    pub(super) source: Graph,
    target: Graph,
    /// The level that conversions belong to.
    level: Level,
    /// For each value of the source its forms in the target.
    forms: Vec<Vec<ValueId>>,
    exemptions: Vec<Exemption>,
}

impl Rewriter {
    /// Starts with the inputs, which stay fp32.
    pub(super) fn new(source: Graph, level: Level) -> Self {
        let forms = vec![Vec::new(); source.values.len()];
        let target = Graph::default();
        let mut this = Self { source, target, level, forms, exemptions: Vec::new() };
        for id in this.source.inputs.clone() {
            let name = this.source.values[id].name.clone();
            let form = this.add(id, name, Encoding::F32, None);
            this.target.inputs.push(form);
        }
        this
    }

    fn add(
        &mut self,
        id: ValueId,
        name: String,
        encoding: Encoding,
        constant: Option<Constant>,
    ) -> ValueId {
        let shape = self.source.values[id].shape.clone();
        self.target.values.push(Value { name, shape, encoding, constant });
        self.forms[id].push(self.target.values.len() - 1);
        self.target.values.len() - 1
    }

    /// A constant of the target; `name` becomes unique.
    pub(super) fn constant(
        &mut self,
        name: &str,
        shape: Vec<usize>,
        encoding: Encoding,
        constant: Constant,
    ) -> ValueId {
        let index = self.target.values.len();
        let name = format!("{name}#{index}");
        self.target.values.push(Value { name, shape, encoding, constant: Some(constant) });
        index
    }

    /// The scales of a constant of the target.
    pub(super) fn scales(&self, id: ValueId) -> &[f32] {
        self.target.values[id].constant.as_ref().map_or(&[], |constant| &constant.scales)
    }

    /// The encoding of a value of the target.
    pub(super) fn encoding(&self, form: ValueId) -> Encoding {
        self.target.values[form].encoding
    }

    /// The encoding of the first form of a source value.
    pub(super) fn first_encoding(&self, id: ValueId) -> Option<Encoding> {
        self.forms[id].first().map(|&form| self.target.values[form].encoding)
    }

    /// The form of a source value in `encoding`, converted when there is none yet. `convert` makes the form of a
    /// constant.
    pub(super) fn form(
        &mut self,
        id: ValueId,
        encoding: Encoding,
        convert: impl FnOnce(&Constant) -> Constant,
    ) -> ValueId {
        let same = |form: &&ValueId| self.target.values[**form].encoding == encoding;
        if let Some(&form) = self.forms[id].iter().find(same) {
            return form;
        }
        if let Some(constant) = &self.source.values[id].constant {
            let constant = convert(constant);
            let name = format!("{}#{}", self.source.values[id].name, self.target.values.len());
            return self.add(id, name, encoding, Some(constant));
        }
        let from = self.forms[id].first().copied().unwrap_or_default();
        self.convert(id, from, encoding, &[])
    }

    /// A new conversion of form `from` of source value `id`.
    pub(super) fn convert(
        &mut self,
        id: ValueId,
        from: ValueId,
        encoding: Encoding,
        parameters: &[ValueId],
    ) -> ValueId {
        let index = self.target.values.len();
        let name = format!("{}#{index}", self.source.values[id].name);
        let to = if encoding == Encoding::Bits {
            // Thresholds differ between readers, so bits are no form that others may use.
            let shape = self.source.values[id].shape.clone();
            self.target.values.push(Value { name: name.clone(), shape, encoding, constant: None });
            index
        } else {
            self.add(id, name.clone(), encoding, None)
        };
        let inputs = [&[from], parameters].concat();
        let level = self.level;
        self.target.nodes.push(Node { name, op: Op::Convert, inputs, outputs: vec![to], level });
        to
    }

    /// The bits that `node` makes of the bits `x`, in the shape of source value `id`: a form that others may not use.
    pub(super) fn on_bits(&mut self, id: ValueId, node: &Node, x: ValueId) -> ValueId {
        let index = self.target.values.len();
        let name = format!("{}#{index}", self.source.values[id].name);
        let shape = self.source.values[id].shape.clone();
        let encoding = Encoding::Bits;
        self.target.values.push(Value { name: name.clone(), shape, encoding, constant: None });
        let (op, level) = (node.op.clone(), self.level);
        self.target.nodes.push(Node { name, op, inputs: vec![x], outputs: vec![index], level });
        index
    }

    /// Adds the counterpart of a source node: same operator and results, other operands and encodings.
    pub(super) fn node(
        &mut self,
        node: &Node,
        inputs: Vec<ValueId>,
        encoding: impl Fn(ValueId) -> Encoding,
        level: Level,
    ) {
        let mut outputs = Vec::with_capacity(node.outputs.len());
        for &id in &node.outputs {
            let name = self.source.values[id].name.clone();
            outputs.push(self.add(id, name, encoding(id), None));
        }
        let (name, op) = (node.name.clone(), node.op.clone());
        self.target.nodes.push(Node { name, op, inputs, outputs, level });
    }

    /// Notes that a node runs at another level than the variant's.
    pub(super) fn exempt(&mut self, node: &Node, level: Level, reason: &str) {
        let (node, reason) = (node.name.clone(), reason.to_owned());
        self.exemptions.push(Exemption { node, level, reason });
    }

    /// Converts the outputs to fp32 and drops what nobody reads.
    pub(super) fn finish(mut self) -> (Graph, Vec<Exemption>) {
        for id in self.source.outputs.clone() {
            let output = self.form(id, Encoding::F32, Clone::clone);
            self.target.outputs.push(output);
        }
        let mut graph = crate::graph::fuse::remove_dead(self.target);
        name_interface(&self.source, &mut graph);
        let names: std::collections::HashSet<&str> =
            graph.nodes.iter().map(|node| node.name.as_str()).collect();
        let mut exemptions = self.exemptions;
        exemptions.retain(|exemption| names.contains(exemption.node.as_str()));
        (graph, exemptions)
    }
}

/// Gives inputs and outputs the names that they have in the source; others that had one get a suffix.
fn name_interface(source: &Graph, graph: &mut Graph) {
    let ports = |graph: &Graph| -> Vec<ValueId> {
        graph.inputs.iter().chain(&graph.outputs).copied().collect()
    };
    for (&from, to) in ports(source).iter().zip(ports(graph)) {
        let name = source.values[from].name.clone();
        if let Some(other) = graph.values.iter().position(|value| value.name == name)
            && other != to
        {
            graph.values[other].name = format!("{name}#inner");
        }
        graph.values[to].name = name;
    }
}
