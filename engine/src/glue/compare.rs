//! How far what a variant finds is from what fp32 finds of the same inputs, in the terms of its field: no labels are
//! needed.

use crate::Tensor;
use crate::vision::{BoundingBox, Point, metrics};
use serde::{Deserialize, Serialize};

use super::finding::{Finding, Hand, Regions};

/// From this IoU on, two boxes show the same thing.
const SAME_BOX: f64 = 0.5;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// Share of the boxes of fp32 that are found, with an IoU of at least one half.
    Recall,
    /// Share of the boxes found that fp32 has, too.
    Precision,
    /// IoU of a box with that of fp32, mean over those that both have.
    MeanIou,
    /// Share of the hands of fp32 that are found.
    HandsFound,
    /// Distance of a landmark from that of fp32 in shares of the hand's extent, mean over landmarks and hands that both
    /// find. The extent is the longer side of the box about the landmarks of fp32.
    NormalizedMeanError,
    /// Share of the images with the class of fp32.
    Agreement,
    /// Cosine of the angle between the outputs and those of fp32, mean over the tensors.
    Cosine,
    /// Signal to quantization noise ratio of the outputs in decibels: energy of those of fp32 over that of the
    /// differences.
    SqnrDb,
}

/// One image's part in a quantity: the quantity is the ratio of the sums over all images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The quantity.
    pub quantity: Quantity,
    /// What counts.
    pub sum: f64,
    /// Out of how much.
    pub of: f64,
}

/// What `found` has in common with `reference`, what fp32 finds. Nothing for what cannot be compared, and where both
/// found nothing.
pub fn compare(found: Option<&Finding>, reference: Option<&Finding>) -> Vec<Part> {
    match (found, reference) {
        (Some(Finding::Regions(found)), Some(Finding::Regions(reference))) => {
            boxes(&found.bounds, &reference.bounds)
        }
        (Some(Finding::Regions(Regions { bounds, .. })), None) => boxes(bounds, &[]),
        (None, Some(Finding::Regions(Regions { bounds, .. }))) => boxes(&[], bounds),
        (Some(Finding::Hand(found)), Some(Finding::Hand(reference))) => hands(found, reference),
        (None, Some(Finding::Hand(_))) => vec![part(Quantity::HandsFound, 0.0, 1.0)],
        (Some(Finding::Class(found)), Some(Finding::Class(reference))) => {
            let scores = found.scores.iter().zip(&reference.scores);
            let same = f64::from(u8::from(found.label == reference.label));
            vec![part(Quantity::Agreement, same, 1.0), noise(scores)]
        }
        (None, Some(Finding::Class(_))) | (Some(Finding::Class(_)), None) => {
            vec![part(Quantity::Agreement, 0.0, 1.0)]
        }
        (Some(Finding::Tensors(found)), Some(Finding::Tensors(reference))) => {
            tensors(found, reference)
        }
        _ => Vec::new(),
    }
}

fn part(quantity: Quantity, sum: f64, of: f64) -> Part {
    Part { quantity, sum, of }
}

fn boxes(found: &[BoundingBox], reference: &[BoundingBox]) -> Vec<Part> {
    let pairs: Vec<f64> = pair_boxes(found, reference, SAME_BOX).into_iter().flatten().collect();
    let count = pairs.len() as f64;
    vec![
        part(Quantity::Recall, count, reference.len() as f64),
        part(Quantity::Precision, count, found.len() as f64),
        part(Quantity::MeanIou, pairs.iter().sum(), count),
    ]
}

/// For each box found, the IoU with the one of the reference that it is paired with: in order, the best first, each with the
/// free one that overlaps it most, if their IoU is at least `least_iou`.
pub fn pair_boxes(
    found: &[BoundingBox],
    reference: &[BoundingBox],
    least_iou: f64,
) -> Vec<Option<f64>> {
    let mut free = vec![true; reference.len()];
    let pair = |one: &BoundingBox| {
        let free_ones = (0..reference.len()).filter(|&index| free[index]);
        let overlaps = free_ones.map(|index| (index, one.iou(&reference[index])));
        let best = overlaps.max_by(|a, b| a.1.total_cmp(&b.1));
        let (index, iou) = best.filter(|(_, iou)| *iou >= least_iou)?;
        free[index] = false;
        Some(iou)
    };
    found.iter().map(pair).collect()
}

fn hands(found: &Hand, reference: &Hand) -> Vec<Part> {
    let mut parts = vec![part(Quantity::HandsFound, 1.0, 1.0)];
    let size = extent(&reference.landmarks);
    // Points that coincide have no extent to compare with.
    let flat = |hand: &Hand| hand.landmarks.iter().map(|[x, y]| [*x, *y, 0.0]).collect::<Vec<_>>();
    if let Ok(error) = metrics::normalized_mean_error(&flat(found), &flat(reference), size) {
        parts.push(part(Quantity::NormalizedMeanError, error, 1.0));
    }
    parts
}

fn tensors(found: &[Tensor], reference: &[Tensor]) -> Vec<Part> {
    let pairs = || found.iter().zip(reference);
    let angle: f64 = pairs().map(|(a, b)| cosine(a, b)).sum();
    let elements = pairs().flat_map(|(a, b)| a.iter().zip(b));
    vec![part(Quantity::Cosine, angle, reference.len() as f64), noise(elements)]
}

/// The longer side of the box about these points.
pub fn extent(landmarks: &[Point]) -> f64 {
    let along = |axis: usize| {
        let values = landmarks.iter().map(|point| point[axis]);
        values.clone().fold(f64::MIN, f64::max) - values.fold(f64::MAX, f64::min)
    };
    along(0).max(along(1))
}

/// The cosine of the angle between two tensors, in -1..=1. Two zero tensors point the same way; a zero tensor, one of
/// another size, or one with elements that are no numbers agrees with nothing else: 0.
pub fn cosine(a: &Tensor, b: &Tensor) -> f64 {
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

/// Energies of the signal and of the noise of (found, reference). An element that is no number is as wrong as a zero.
pub fn noise<'a>(pairs: impl Iterator<Item = (&'a f32, &'a f32)>) -> Part {
    let (mut signal, mut noise) = (0.0, 0.0);
    for (&found, &reference) in pairs {
        let found = if found.is_finite() { f64::from(found) } else { 0.0 };
        let reference = f64::from(reference);
        signal += reference * reference;
        noise += (reference - found) * (reference - found);
    }
    part(Quantity::SqnrDb, signal, noise)
}

#[cfg(test)]
mod tests {
    use crate::vision::RotatedSquare;

    use super::super::Class;
    use super::*;

    fn value(parts: &[Part], quantity: Quantity) -> f64 {
        let part = parts.iter().find(|part| part.quantity == quantity).unwrap();
        part.sum / part.of
    }

    fn regions(corners: &[(f64, f64)]) -> Finding {
        let square = RotatedSquare::new([0.0, 0.0], 1.0, 0.0).unwrap();
        let side = |&(x, y): &(f64, f64)| BoundingBox {
            x_min: x,
            y_min: y,
            x_max: x + 10.0,
            y_max: y + 10.0,
        };
        Finding::Regions(Regions {
            squares: vec![square; corners.len()],
            bounds: corners.iter().map(side).collect(),
            scores: vec![0.9; corners.len()],
        })
    }

    fn hand(landmarks: &[[f64; 2]]) -> Finding {
        let square = RotatedSquare::new([0.0, 0.0], 1.0, 0.0).unwrap();
        Finding::Hand(Hand { square, landmarks: landmarks.to_vec(), full: None })
    }

    #[test]
    fn boxes_are_paired_once_with_the_one_that_overlaps_most() {
        // Of the boxes of fp32 the first is found twice and the second moved by 2 of 10: IoU 80 / 120.
        let reference = regions(&[(0.0, 0.0), (50.0, 0.0), (0.0, 90.0)]);
        let found = regions(&[(0.0, 0.0), (0.0, 0.0), (52.0, 0.0)]);
        let parts = compare(Some(&found), Some(&reference));
        assert_eq!(value(&parts, Quantity::Recall), 2.0 / 3.0);
        assert_eq!(value(&parts, Quantity::Precision), 2.0 / 3.0);
        assert_eq!(value(&parts, Quantity::MeanIou), (1.0 + 80.0 / 120.0) / 2.0);
        let missed = compare(None, Some(&reference));
        assert_eq!(value(&missed, Quantity::Recall), 0.0);
        let invented = compare(Some(&found), None);
        assert_eq!(value(&invented, Quantity::Precision), 0.0);
        assert_eq!(compare(None, None), []);
    }

    #[test]
    fn landmarks_are_off_by_shares_of_the_hand() {
        let reference = hand(&[[0.0, 0.0], [20.0, 0.0], [0.0, 10.0]]);
        let found = hand(&[[3.0, 4.0], [20.0, 0.0], [0.0, 9.0]]);
        let parts = compare(Some(&found), Some(&reference));
        let error = value(&parts, Quantity::NormalizedMeanError);
        assert!((error - (5.0 + 0.0 + 1.0) / 3.0 / 20.0).abs() < 1e-12, "{error}");
        assert_eq!(value(&parts, Quantity::HandsFound), 1.0);
        assert_eq!(value(&compare(None, Some(&reference)), Quantity::HandsFound), 0.0);
        let point = hand(&[[1.0, 1.0], [1.0, 1.0]]);
        assert_eq!(compare(Some(&point), Some(&point)).len(), 1, "a point has no extent");
    }

    #[test]
    fn noise_is_what_differs_and_what_is_no_number_differs_wholly() {
        let tensors = |values: [f32; 2]| {
            Finding::Tensors(vec![Tensor::from_shape_vec(vec![1, 2], values.to_vec()).unwrap()])
        };
        let reference = tensors([3.0, 4.0]);
        let parts = compare(Some(&tensors([3.0, 3.5])), Some(&reference));
        assert_eq!(value(&parts, Quantity::SqnrDb), 25.0 / 0.25);
        let cosine = value(&parts, Quantity::Cosine);
        assert!((cosine - (9.0 + 14.0) / (5.0 * 21.25_f64.sqrt())).abs() < 1e-6, "{cosine}");
        let broken = compare(Some(&tensors([3.0, f32::NAN])), Some(&reference));
        assert_eq!(value(&broken, Quantity::SqnrDb), 25.0 / 16.0);
    }

    #[test]
    fn classes_agree_or_not() {
        let class = |label: &str, scores: [f32; 2]| {
            Finding::Class(Class { label: label.to_owned(), scores: scores.to_vec() })
        };
        let (fist, palm) = (class("fist", [0.8, 0.2]), class("palm", [0.4, 0.6]));
        let parts = compare(Some(&palm), Some(&fist));
        assert_eq!(value(&parts, Quantity::Agreement), 0.0);
        assert!((value(&parts, Quantity::SqnrDb) - 0.68 / 0.32).abs() < 1e-6);
        assert_eq!(value(&compare(None, Some(&fist)), Quantity::Agreement), 0.0);
        assert_eq!(value(&compare(Some(&fist), Some(&fist)), Quantity::Agreement), 1.0);
    }
}
