//! MediaPipe's hand landmarks.

use crate::vision::{self, RotatedSquare};

use super::ports::Ports;
use super::{Finding, Glue, GlueError, Hand, Inputs, Kind, Outputs, Scene};

/// A hand counts from this presence on.
const MIN_PRESENCE: f32 = 0.5;

/// `mediapipe-hand-landmark`: a crop per palm; of the hands, the one with the highest presence.
#[derive(Debug)]
pub(super) struct HandLandmark {
    ports: Ports,
    side: usize,
    landmarks: usize,
    presence: usize,
    handedness: usize,
    world: usize,
}

impl HandLandmark {
    pub(super) fn bind(ports: &Ports) -> Result<Self, GlueError> {
        Ok(Self {
            side: ports.image_side()?,
            landmarks: ports.output(&[1, 63], 0)?,
            presence: ports.output(&[1, 1], 0)?,
            handedness: ports.output(&[1, 1], 1)?,
            world: ports.output(&[1, 63], 1)?,
            ports: ports.clone(),
        })
    }

    /// `None` where the outputs are no numbers.
    fn hand(
        &self,
        square: RotatedSquare,
        outputs: &Outputs,
    ) -> Result<Option<vision::Hand>, GlueError> {
        let output = |index: usize| self.ports.elements(outputs, index);
        let landmarks = output(self.landmarks)?;
        let world = output(self.world)?;
        let (presence, handedness) = (output(self.presence)?[0], output(self.handedness)?[0]);
        let landmarks = vision::landmarks_in_image(&landmarks, &square, self.side);
        let world = vision::rotate_about_origin(&world, square.angle);
        Ok(landmarks.ok().zip(world.ok()).map(|(landmarks, world)| vision::Hand {
            square,
            presence,
            handedness,
            landmarks,
            world,
        }))
    }
}

impl Glue for HandLandmark {
    fn prepare(&self, scene: &Scene<'_>) -> Result<Vec<Inputs>, GlueError> {
        let regions = scene.previous("regions")?.regions()?;
        let crop = |square| Ok(vec![vision::crop(scene.image, square, self.side)?]);
        regions.squares.iter().map(crop).collect()
    }

    fn interpret(
        &self,
        scene: &Scene<'_>,
        outputs: &[Outputs],
    ) -> Result<Option<Finding>, GlueError> {
        let regions = scene.previous("regions")?.regions()?;
        let mut hands = Vec::new();
        for (&square, outputs) in regions.squares.iter().zip(outputs) {
            hands.extend(self.hand(square, outputs)?);
        }
        Ok(vision::select_hand(&hands, MIN_PRESENCE).map(|hand| {
            Finding::Hand(Hand {
                square: hand.square,
                landmarks: hand.landmarks.iter().map(|[x, y, _]| [*x, *y]).collect(),
                full: Some(Box::new(hand.clone())),
            })
        }))
    }

    fn finds(&self) -> Kind {
        Kind::Hand
    }
}
