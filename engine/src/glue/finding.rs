//! What stages find.

use crate::Tensor;
use crate::vision::{self, BoundingBox, Point, RotatedSquare};

use super::GlueError;

/// What a stage found in an image.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// Where to look closer, the best first; at least one.
    Regions(Regions),
    /// A hand.
    Hand(Hand),
    /// Tensors that mean something only to the next stage.
    Tensors(Vec<Tensor>),
    /// A class.
    Class(Class),
}

/// The kinds of [`Finding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`Finding::Regions`].
    Regions,
    /// [`Finding::Hand`].
    Hand,
    /// [`Finding::Tensors`].
    Tensors,
    /// [`Finding::Class`].
    Class,
}

impl Kind {
    /// As messages call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Regions => "regions",
            Self::Hand => "a hand",
            Self::Tensors => "tensors",
            Self::Class => "a class",
        }
    }
}

/// Where to look closer.
#[derive(Clone, Debug, PartialEq)]
pub struct Regions {
    /// The squares that the next stage crops, the best first.
    pub squares: Vec<RotatedSquare>,
    /// What the detector saw in each, in image pixels.
    pub bounds: Vec<BoundingBox>,
    /// How sure it is of each, in 0..=1.
    pub scores: Vec<f64>,
}

/// A hand with its landmarks.
#[derive(Clone, Debug, PartialEq)]
pub struct Hand {
    /// Where the model looked.
    pub square: RotatedSquare,
    /// Landmarks in image pixels.
    pub landmarks: Vec<Point>,
    /// All that the model says, where the next stage needs more than the landmarks.
    pub full: Option<Box<vision::Hand>>,
}

/// A class.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// Its label.
    pub label: String,
    /// Score of every class.
    pub scores: Vec<f32>,
}

impl Finding {
    /// Its kind, for messages.
    pub fn kind(&self) -> &'static str {
        let kind = match self {
            Self::Regions(_) => Kind::Regions,
            Self::Hand(_) => Kind::Hand,
            Self::Tensors(_) => Kind::Tensors,
            Self::Class(_) => Kind::Class,
        };
        kind.name()
    }

    /// What parallel stages found, as one: all their tensors, in the order of the composition.
    ///
    /// # Errors
    /// When they found anything but tensors: no glue takes several of those.
    pub fn join<'a>(branches: impl Iterator<Item = &'a Self>) -> Result<Self, GlueError> {
        let mut all = Vec::new();
        for branch in branches {
            match branch {
                Self::Tensors(tensors) => all.extend(tensors.iter().cloned()),
                other => return Err(GlueError::Join { found: other.kind() }),
            }
        }
        Ok(Self::Tensors(all))
    }

    /// Memory that it takes, in bytes, roughly: what a cache counts.
    pub fn bytes(&self) -> usize {
        let content = match self {
            Self::Regions(regions) => 72 * regions.squares.len(),
            Self::Hand(hand) => 16 * hand.landmarks.len() + 1200,
            Self::Tensors(tensors) => tensors.iter().map(|tensor| 4 * tensor.len() + 64).sum(),
            Self::Class(class) => class.label.len() + 4 * class.scores.len(),
        };
        content + 128
    }

    pub(super) fn regions(&self) -> Result<&Regions, GlueError> {
        match self {
            Self::Regions(regions) => Ok(regions),
            other => Err(GlueError::Previous { wanted: "regions", found: other.kind() }),
        }
    }

    pub(super) fn hand(&self) -> Result<&Hand, GlueError> {
        match self {
            Self::Hand(hand) => Ok(hand),
            other => Err(GlueError::Previous { wanted: "a hand", found: other.kind() }),
        }
    }

    pub(super) fn tensors(&self) -> Result<&[Tensor], GlueError> {
        match self {
            Self::Tensors(tensors) => Ok(tensors),
            other => Err(GlueError::Previous { wanted: "tensors", found: other.kind() }),
        }
    }
}

impl super::Scene<'_> {
    /// What the stage before found; `wanted` says what that should be.
    pub(super) fn previous(&self, wanted: &'static str) -> Result<&Finding, GlueError> {
        self.previous.ok_or(GlueError::Previous { wanted, found: "nothing: it is the first" })
    }
}
