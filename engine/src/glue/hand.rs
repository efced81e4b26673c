//! MediaPipe's hand landmarks.

use crate::vision::{self, Point, RotatedSquare, metrics};

use super::ports::Ports;
use super::{Finding, Glue, GlueError, Hand, Inputs, Metric, Outputs, Scene};

/// A hand counts from this presence on.
const MIN_PRESENCE: f32 = 0.5;

/// A landmark is right within this share of the hand's extent (PCK@0.1).
const TOLERANCE: f64 = 0.1;

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

    fn metric(&self) -> Metric {
        PCK
    }
}

/// See [`landmarks_agree`].
pub(super) const PCK: Metric = Metric { name: "pck@0.1", agreement: landmarks_agree };

/// PCK@0.1: the share of landmarks within a tenth of the reference hand's extent (the longer side of the box about its
/// landmarks). Both without a hand: 1; only one: 0.
fn landmarks_agree(found: Option<&Finding>, reference: Option<&Finding>) -> Result<f64, GlueError> {
    let (found, reference) = match (found, reference) {
        (None, None) => return Ok(1.0),
        (Some(found), Some(reference)) => (found.hand()?, reference.hand()?),
        _ => return Ok(0.0),
    };
    let size = extent(&reference.landmarks);
    if !(size.is_finite() && size > 0.0) {
        return Ok(f64::from(u8::from(found.landmarks == reference.landmarks)));
    }
    Ok(metrics::correct_keypoints(&found.landmarks, &reference.landmarks, size, TOLERANCE)?)
}

/// The longer side of the box about these points.
pub(super) fn extent(landmarks: &[Point]) -> f64 {
    let along = |axis: usize| {
        let values = landmarks.iter().map(|point| point[axis]);
        values.clone().fold(f64::MIN, f64::max) - values.fold(f64::MAX, f64::min)
    };
    along(0).max(along(1))
}
