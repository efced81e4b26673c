//! Stages whose tensors go straight into the next stage.

use crate::Tensor;
use crate::vision;

use super::ports::{Ports, tensor};
use super::{Finding, Glue, GlueError, Inputs, Metric, Outputs, Scene};

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

    fn metric(&self) -> Metric {
        COSINE
    }
}

/// See [`mean_cosine`].
pub(super) const COSINE: Metric = Metric { name: "cosine", agreement: mean_cosine };

/// The cosine of the angle between the tensors, averaged over them, negative ones counted as 0. Both without: 1; only
/// one: 0.
pub(super) fn mean_cosine(
    found: Option<&Finding>,
    reference: Option<&Finding>,
) -> Result<f64, GlueError> {
    let (found, reference) = match (found, reference) {
        (None, None) => return Ok(1.0),
        (Some(found), Some(reference)) => (found.tensors()?, reference.tensors()?),
        _ => return Ok(0.0),
    };
    if found.len() != reference.len() || found.is_empty() {
        return Ok(0.0);
    }
    let sum: f64 = found.iter().zip(reference).map(|(a, b)| cosine(a, b)).sum();
    Ok((sum / found.len() as f64).clamp(0.0, 1.0))
}

/// The cosine of the angle between two tensors, in -1..=1. Two zero tensors point the same way; a zero tensor, one of
/// another size, or one with elements that are no numbers agrees with nothing else: 0.
pub(super) fn cosine(a: &Tensor, b: &Tensor) -> f64 {
    if a.len() != b.len() {
        return 0.0;
    }
    let dot = |a: &Tensor, b: &Tensor| -> f64 {
        a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
    };
    let (aa, bb) = (dot(a, a), dot(b, b));
    if aa == 0.0 && bb == 0.0 {
        return 1.0;
    }
    let cosine = dot(a, b) / (aa.sqrt() * bb.sqrt());
    if cosine.is_finite() { cosine.clamp(-1.0, 1.0) } else { 0.0 }
}
