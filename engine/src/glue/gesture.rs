//! From a hand to the name of its gesture.

use crate::vision::{self, HAND_LANDMARKS, metrics};

use super::ports::{Ports, tensor};
use super::{Class, Finding, Glue, GlueError, Inputs, Kind, Outputs, Scene};

/// The classes of MediaPipe's canned gesture classifier, in the order of its output.
pub(super) const CANNED_GESTURES: [&str; 8] = [
    "None",
    "Closed_Fist",
    "Open_Palm",
    "Pointing_Up",
    "Thumb_Down",
    "Thumb_Up",
    "Victory",
    "ILoveYou",
];

/// `mediapipe-gesture-embedder`: a hand's landmarks, normalized, to an embedding.
#[derive(Debug)]
pub(super) struct GestureEmbedder {
    ports: Ports,
    hand: usize,
    handedness: usize,
    world: usize,
}

impl GestureEmbedder {
    pub(super) fn bind(ports: &Ports) -> Result<Self, GlueError> {
        let points = [1, HAND_LANDMARKS, 3];
        Ok(Self {
            hand: ports.input("hand", &points)?,
            handedness: ports.input("handedness", &[1, 1])?,
            world: ports.input("world_hand", &points)?,
            ports: ports.clone(),
        })
    }
}

impl Glue for GestureEmbedder {
    fn prepare(&self, scene: &Scene<'_>) -> Result<Vec<Inputs>, GlueError> {
        const WANTED: &str = "a hand with world landmarks";
        let found = scene.previous(WANTED)?.hand()?;
        let hand = found.full.as_ref();
        let hand = hand.ok_or(GlueError::Previous { wanted: WANTED, found: "a hand without" })?;
        let (width, height) = (scene.image.width(), scene.image.height());
        let angle = hand.square.angle;
        let landmarks = vision::image_features(&hand.landmarks, width, height, angle)?;
        let world = vision::world_features(&hand.world, angle)?;
        let input = |index: usize| {
            let shape = &self.ports.inputs[index].shape;
            match index {
                index if index == self.hand => tensor(shape, landmarks.concat()),
                index if index == self.world => tensor(shape, world.concat()),
                index if index == self.handedness => tensor(shape, vec![hand.handedness]),
                _ => tensor(shape, vec![0.0; shape.iter().product()]),
            }
        };
        Ok(vec![(0..self.ports.inputs.len()).map(input).collect::<Result<_, _>>()?])
    }

    fn interpret(&self, _: &Scene<'_>, outputs: &[Outputs]) -> Result<Option<Finding>, GlueError> {
        Ok(outputs.first().map(|outputs| Finding::Tensors(outputs.clone())))
    }

    fn finds(&self) -> Kind {
        Kind::Tensors
    }
}

/// A classifier behind a stage that gives tensors.
#[derive(Debug)]
pub(super) struct Classifier {
    ports: Ports,
    labels: &'static [&'static str],
}

impl Classifier {
    pub(super) fn bind(ports: &Ports, labels: &'static [&'static str]) -> Result<Self, GlueError> {
        Ports::only(&ports.inputs, "one input")?;
        ports.output(&[1, labels.len()], 0)?;
        Ok(Self { ports: ports.clone(), labels })
    }

    /// The class with the highest score.
    pub(super) fn class(&self, outputs: &[Outputs]) -> Result<Option<Finding>, GlueError> {
        let Some(outputs) = outputs.first() else { return Ok(None) };
        let index = self.ports.output(&[1, self.labels.len()], 0)?;
        let scores = self.ports.elements(outputs, index)?;
        // Scores that are no numbers name no class.
        let Ok(best) = metrics::arg_max(&scores) else { return Ok(None) };
        let label = self.labels[best].to_owned();
        Ok(Some(Finding::Class(Class { label, scores })))
    }
}

impl Glue for Classifier {
    fn prepare(&self, scene: &Scene<'_>) -> Result<Vec<Inputs>, GlueError> {
        let tensors = scene.previous("tensors")?.tensors()?;
        let input = &self.ports.inputs[0];
        let elements = tensors.iter().flatten().copied().collect();
        Ok(vec![vec![tensor(&input.shape, elements)?]])
    }

    fn interpret(&self, _: &Scene<'_>, outputs: &[Outputs]) -> Result<Option<Finding>, GlueError> {
        self.class(outputs)
    }

    fn classes(&self) -> Vec<String> {
        owned(self.labels)
    }

    fn finds(&self) -> Kind {
        Kind::Class
    }

    fn looks_at_image(&self) -> bool {
        false
    }
}

/// Labels as [`Glue::classes`] gives them.
pub(super) fn owned(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|&label| label.to_owned()).collect()
}
