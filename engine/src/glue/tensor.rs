//! Stages whose tensors go straight into the next stage.

use crate::vision;

use super::ports::{Ports, tensor};
use super::{Finding, Glue, GlueError, Inputs, Kind, Outputs, Scene};

/// `tensor`: the outputs of the stage before are the inputs, in order; the first stage gets the letterboxed image.
#[derive(Debug)]
pub(super) struct Plain {
    ports: Ports,
}

impl Plain {
    pub(super) fn bind(ports: &Ports) -> Self {
        Self { ports: ports.clone() }
    }
}

impl Glue for Plain {
    fn prepare(&self, scene: &Scene<'_>) -> Result<Vec<Inputs>, GlueError> {
        let Some(previous) = scene.previous else {
            let (input, _) = vision::letterbox(scene.image, self.ports.image_side()?)?;
            return Ok(vec![vec![input]]);
        };
        let given = previous.tensors()?;
        if given.len() != self.ports.inputs.len() {
            return Err(GlueError::Port {
                wanted: format!("{} inputs, as the stage before gives", given.len()),
                found: self.ports.inputs.len().to_string(),
            });
        }
        let pairs = self.ports.inputs.iter().zip(given);
        let inputs =
            pairs.map(|(port, given)| tensor(&port.shape, given.iter().copied().collect()));
        Ok(vec![inputs.collect::<Result<_, _>>()?])
    }

    fn interpret(&self, _: &Scene<'_>, outputs: &[Outputs]) -> Result<Option<Finding>, GlueError> {
        Ok(outputs.first().map(|outputs| Finding::Tensors(outputs.clone())))
    }

    fn finds(&self) -> Kind {
        Kind::Tensors
    }

    fn looks_at_image(&self) -> bool {
        false
    }
}
