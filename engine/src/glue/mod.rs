//! The glue of a pipeline: how a stage's inputs are made from the image and from what the stage before found, and
//! what its outputs mean.
//!
//! A glue is chosen by its name in the pipeline file, and bound once to the inputs and outputs of the stage's model
//! ([`bind`]); then it is pure. All variants of a stage have the model's inputs and outputs, so they share its glue.

mod classifier;
mod compare;
mod demo;
mod error;
mod finding;
mod gesture;
mod hand;
mod palm;
mod ports;
mod registry;
mod tensor;
#[cfg(test)]
mod tests;

pub use compare::{Part, Quantity, compare, cosine, extent, noise, pair_boxes};
pub use error::GlueError;
pub use finding::{Class, Finding, Hand, Kind, Regions};
pub use ports::{Port, Ports};
pub use registry::{GLUE_IDS, bind};

use crate::Tensor;
use crate::vision::RgbImage;

/// What a stage sees.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The image.
    pub image: &'a RgbImage<'a>,
    /// What the stage before found; `None` for the first stage.
    pub previous: Option<&'a Finding>,
}

/// The inputs of one inference, in the order of the model.
pub type Inputs = Vec<Tensor>;

/// The outputs of one inference, in the order of the model.
pub type Outputs = Vec<Tensor>;

/// The code around one model.
pub trait Glue: std::fmt::Debug + Send + Sync {
    /// The inferences that the stage makes for an image; none where there is nothing to look at, which ends the
    /// chain for this image.
    ///
    /// # Errors
    /// When the stage before found something of another kind than this one needs.
    fn prepare(&self, scene: &Scene<'_>) -> Result<Vec<Inputs>, GlueError>;

    /// What the outputs of these inferences mean; `None` ends the chain for this image.
    ///
    /// # Errors
    /// When the outputs make no sense.
    fn interpret(
        &self,
        scene: &Scene<'_>,
        outputs: &[Outputs],
    ) -> Result<Option<Finding>, GlueError>;

    /// The classes that it can name; empty for glue that names none.
    fn classes(&self) -> Vec<String> {
        Vec::new()
    }

    /// What it finds.
    fn finds(&self) -> Kind;

    /// Whether it looks at the image. Glue that does not can be given tensors from a file in its place, as if a stage before had
    /// found them.
    fn looks_at_image(&self) -> bool {
        true
    }
}
