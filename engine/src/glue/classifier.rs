//! Classes of any model, by their numbers.

use crate::vision::metrics;

use super::ports::Ports;
use super::tensor::Plain;
use super::{Class, Finding, Glue, GlueError, Inputs, Kind, Outputs, Scene};

/// `classifier`: inputs as with `tensor`; the class is the index of the highest score of the only output, counted from 0.
#[derive(Debug)]
pub(super) struct Numbered {
    plain: Plain,
    ports: Ports,
    classes: usize,
}

impl Numbered {
    pub(super) fn bind(ports: &Ports) -> Result<Self, GlueError> {
        let output = Ports::only(&ports.outputs, "output, the scores")?;
        Ok(Self {
            plain: Plain::bind(ports),
            ports: ports.clone(),
            classes: output.shape.iter().product(),
        })
    }
}

impl Glue for Numbered {
    fn prepare(&self, scene: &Scene<'_>) -> Result<Vec<Inputs>, GlueError> {
        self.plain.prepare(scene)
    }

    fn interpret(&self, _: &Scene<'_>, outputs: &[Outputs]) -> Result<Option<Finding>, GlueError> {
        let Some(outputs) = outputs.first() else { return Ok(None) };
        let scores = self.ports.elements(outputs, 0)?;
        // Scores that are no numbers name no class.
        let best = metrics::arg_max(&scores).ok();
        Ok(best.map(|best| Finding::Class(Class { label: best.to_string(), scores })))
    }

    fn classes(&self) -> Vec<String> {
        (0..self.classes).map(|class| class.to_string()).collect()
    }

    fn finds(&self) -> Kind {
        Kind::Class
    }

    fn looks_at_image(&self) -> bool {
        false
    }
}
