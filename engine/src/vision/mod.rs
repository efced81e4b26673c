//! The glue between vision models, as pure functions on values: from photograph to detector input, from detector
//! output to rotated crop, from landmarks to the features of a classifier.
//!
//! Conventions, everywhere in this module:
//! * Image coordinates are in pixels from the top left corner, x to the right and y down. Angles are in radians,
//!   clockwise as seen on the screen; an upright hand, fingers up, has the angle 0.
//! * Model inputs are `[1, side, side, 3]`, RGB, in 0..=1.
//! * Geometry is computed in fp64, with sine, cosine, arc tangent and exponential from `libm` rather than from the
//!   platform, so that host and boards agree.
//!
//! The hand-gesture pipeline, step by step: [`letterbox`], [`SsdDecoder::decode`] (which suppresses overlaps),
//! [`hand_square`], [`crop`], [`landmarks_in_image`], [`rotate_about_origin`], [`select_hand`], [`image_features`]
//! and [`world_features`], [`metrics::arg_max`]. The models and their pre- and postprocessing come from MediaPipe
//! Hands (Zhang et al., "MediaPipe Hands: On-device Real-time Hand Tracking", arXiv:2006.10214).

mod crop;
mod detection;
mod error;
mod features;
mod image;
mod landmarks;
mod letterbox;
pub mod metrics;
mod resample;
mod single_box;
mod square;
mod ssd;

pub use crop::crop;
pub use detection::{BoundingBox, Detection, PALM_KEYPOINTS, weighted_nms};
pub use error::VisionError;
pub use features::{image_features, normalize_points, world_features};
pub use image::{MAX_SIDE, RgbImage};
pub use landmarks::{
    HAND_LANDMARKS, Hand, landmarks_in_image, points_in_image, rotate_about_origin, select_hand,
};
pub use letterbox::{Letterbox, letterbox};
pub use single_box::{SingleBox, decode_single_box};
pub use square::{RotatedSquare, hand_square, wrap_angle};
pub use ssd::{AnchorGrid, PALM_ANCHOR_GRIDS, SsdDecoder, sigmoid};

/// A point in the plane: x, y.
pub type Point = [f64; 2];

/// A point in space: x, y, z.
pub type Point3 = [f64; 3];
