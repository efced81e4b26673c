//! The glue there is, by name.

use super::classifier::Numbered;
use super::demo::{Finder, Gesture, Landmarks};
use super::gesture::{CANNED_GESTURES, Classifier, GestureEmbedder};
use super::hand::HandLandmark;
use super::palm::Palm;
use super::tensor::Plain;
use super::{Glue, GlueError, Ports};

/// The names that a pipeline file may use.
pub const GLUE_IDS: [&str; 9] = [
    "mediapipe-palm",
    "mediapipe-hand-landmark",
    "mediapipe-gesture-embedder",
    "gesture-classifier",
    "demo-finder",
    "demo-landmarks",
    "demo-gesture",
    "tensor",
    "classifier",
];

/// The glue called `id` for a model with these inputs and outputs.
///
/// # Errors
/// An unknown name, or a model that does not have what the glue needs.
pub fn bind(id: &str, ports: &Ports) -> Result<Box<dyn Glue>, GlueError> {
    Ok(match id {
        "mediapipe-palm" => Box::new(Palm::bind(ports)?),
        "mediapipe-hand-landmark" => Box::new(HandLandmark::bind(ports)?),
        "mediapipe-gesture-embedder" => Box::new(GestureEmbedder::bind(ports)?),
        "gesture-classifier" => Box::new(Classifier::bind(ports, &CANNED_GESTURES)?),
        "demo-finder" => Box::new(Finder::bind(ports)?),
        "demo-landmarks" => Box::new(Landmarks::bind(ports)?),
        "demo-gesture" => Box::new(Gesture::bind(ports)?),
        "tensor" => Box::new(Plain::bind(ports)),
        "classifier" => Box::new(Numbered::bind(ports)?),
        _ => {
            let known = GLUE_IDS.join(", ");
            return Err(GlueError::Unknown { id: id.to_owned(), known });
        }
    })
}
