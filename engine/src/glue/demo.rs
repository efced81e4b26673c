//! The demo's own pipeline; the numbers are those of `demo/README.md`.

use crate::vision::{self, BoundingBox, Point};

use super::gesture::{Classifier, owned};
use super::ports::{Ports, tensor};
use super::{Finding, Glue, GlueError, Hand, Inputs, Kind, Outputs, Regions, Scene};

/// Side of the crop in sizes of the hand.
const MARGIN: f64 = 1.35;

/// A hand is there from this probability on.
const MIN_PRESENCE: f64 = 0.5;

/// Coordinates of the landmarks: 21 of x, y.
const COORDINATES: usize = 42;

/// The classes, in the order of the gesture model's output.
pub(super) const GESTURES: [&str; 6] =
    ["fist", "pointing", "victory", "three", "open_palm", "thumb_up"];

/// `demo-finder`: letterbox, one turned square.
#[derive(Debug)]
pub(super) struct Finder {
    ports: Ports,
    side: usize,
    output: usize,
}

impl Finder {
    pub(super) fn bind(ports: &Ports) -> Result<Self, GlueError> {
        let (side, output) = (ports.image_side()?, ports.output(&[1, 6], 0)?);
        Ok(Self { ports: ports.clone(), side, output })
    }
}

impl Glue for Finder {
    fn prepare(&self, scene: &Scene<'_>) -> Result<Vec<Inputs>, GlueError> {
        Ok(vec![vec![vision::letterbox(scene.image, self.side)?.0]])
    }

    fn interpret(
        &self,
        scene: &Scene<'_>,
        outputs: &[Outputs],
    ) -> Result<Option<Finding>, GlueError> {
        let Some(outputs) = outputs.first() else { return Ok(None) };
        let place = vision::Letterbox::new(scene.image.width(), scene.image.height(), self.side)?;
        let raw = self.ports.elements(outputs, self.output)?;
        // Outputs that are no numbers find nothing.
        let found = vision::decode_single_box(&raw, &place, MARGIN, MIN_PRESENCE).ok().flatten();
        Ok(found.map(|found| {
            let ([x, y], half) = (found.square.center, found.square.side / 2.0);
            let bounds =
                BoundingBox { x_min: x - half, y_min: y - half, x_max: x + half, y_max: y + half };
            Finding::Regions(Regions {
                squares: vec![found.square],
                bounds: vec![bounds],
                scores: vec![found.presence],
            })
        }))
    }

    fn finds(&self) -> Kind {
        Kind::Regions
    }
}

/// `demo-landmarks`: a crop to 21 points in shares of its sides.
#[derive(Debug)]
pub(super) struct Landmarks {
    ports: Ports,
    side: usize,
    output: usize,
}

impl Landmarks {
    pub(super) fn bind(ports: &Ports) -> Result<Self, GlueError> {
        let (side, output) = (ports.image_side()?, ports.output(&[1, COORDINATES], 0)?);
        Ok(Self { ports: ports.clone(), side, output })
    }
}

impl Glue for Landmarks {
    fn prepare(&self, scene: &Scene<'_>) -> Result<Vec<Inputs>, GlueError> {
        let regions = scene.previous("regions")?.regions()?;
        let crop = |square| Ok(vec![vision::crop(scene.image, square, self.side)?]);
        regions.squares.iter().take(1).map(crop).collect()
    }

    fn interpret(
        &self,
        scene: &Scene<'_>,
        outputs: &[Outputs],
    ) -> Result<Option<Finding>, GlueError> {
        let regions = scene.previous("regions")?.regions()?;
        let Some((&square, outputs)) = regions.squares.iter().zip(outputs).next() else {
            return Ok(None);
        };
        let raw = self.ports.elements(outputs, self.output)?;
        let landmarks = vision::points_in_image(&raw, &square).ok();
        Ok(landmarks.map(|landmarks| Finding::Hand(Hand { square, landmarks, full: None })))
    }

    fn finds(&self) -> Kind {
        Kind::Hand
    }
}

/// `demo-gesture`: landmarks as the crop saw them, about their middle, to a class.
#[derive(Debug)]
pub(super) struct Gesture {
    ports: Ports,
    classifier: Classifier,
}

impl Gesture {
    pub(super) fn bind(ports: &Ports) -> Result<Self, GlueError> {
        let classifier = Classifier::bind(ports, &GESTURES)?;
        Ok(Self { ports: ports.clone(), classifier })
    }
}

impl Glue for Gesture {
    fn prepare(&self, scene: &Scene<'_>) -> Result<Vec<Inputs>, GlueError> {
        let hand = scene.previous("a hand")?.hand()?;
        let upright: Vec<Point> =
            hand.landmarks.iter().map(|&point| hand.square.from_image(point)).collect();
        // Points that coincide have no gesture.
        let Ok(features) = vision::normalize_points(&upright) else { return Ok(Vec::new()) };
        Ok(vec![vec![tensor(&self.ports.inputs[0].shape, features)?]])
    }

    fn interpret(&self, _: &Scene<'_>, outputs: &[Outputs]) -> Result<Option<Finding>, GlueError> {
        self.classifier.class(outputs)
    }

    fn classes(&self) -> Vec<String> {
        owned(&GESTURES)
    }

    fn finds(&self) -> Kind {
        Kind::Class
    }
}
