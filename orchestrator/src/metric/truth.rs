//! What labels say, in the form in which stages find it.

use quantrack_engine::glue::{Class, Finding, Hand, Kind, Regions};
use quantrack_engine::vision::{BoundingBox, RotatedSquare};

use crate::dataset::LabelRow;

/// What a stage of this kind should find in the image of a row; `None` where the row says that there is nothing, or nothing
/// of the kind.
pub fn labelled(row: &LabelRow, kind: Kind) -> Option<Finding> {
    match kind {
        Kind::Class => Some(Finding::Class(Class { label: row.label.clone(), scores: Vec::new() })),
        Kind::Regions => {
            let [x_min, y_min, x_max, y_max] = row.bounds?;
            let bounds = vec![BoundingBox { x_min, y_min, x_max, y_max }];
            Some(Finding::Regions(Regions { squares: Vec::new(), bounds, scores: vec![1.0] }))
        }
        Kind::Hand => {
            let landmarks = row.landmarks.clone();
            // Where a model would have looked is not compared.
            let square = RotatedSquare::new([0.0, 0.0], 1.0, 0.0).ok()?;
            (!landmarks.is_empty()).then(|| Finding::Hand(Hand { square, landmarks, full: None }))
        }
        Kind::Tensors => None,
    }
}
