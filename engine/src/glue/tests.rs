//! Glue on made-up models and findings.

use crate::Tensor;
use crate::vision::{BoundingBox, RgbImage, RotatedSquare};

use super::*;

fn port(name: &str, shape: &[usize]) -> Port {
    Port { name: name.to_owned(), shape: shape.to_vec() }
}

fn palm_ports() -> Ports {
    Ports {
        inputs: vec![port("input_1", &[1, 192, 192, 3])],
        outputs: vec![port("Identity", &[1, 2016, 18]), port("Identity_1", &[1, 2016, 1])],
    }
}

fn hand_ports() -> Ports {
    let outputs = [("Identity_3", 63), ("Identity", 63), ("Identity_2", 1), ("Identity_1", 1)];
    Ports {
        inputs: vec![port("input_1", &[1, 224, 224, 3])],
        outputs: outputs.map(|(name, length)| port(name, &[1, length])).into(),
    }
}

fn image() -> RgbImage<'static> {
    RgbImage::new(192, 192, vec![128; 192 * 192 * 3]).unwrap()
}

fn regions(bounds: BoundingBox) -> Finding {
    let square = RotatedSquare::new(bounds.center(), 100.0, 0.0).unwrap();
    Finding::Regions(Regions { squares: vec![square], bounds: vec![bounds], scores: vec![0.9] })
}

fn vector(values: &[f32]) -> Tensor {
    Tensor::from_shape_vec(vec![1, values.len()], values.to_vec()).unwrap()
}

#[test]
fn every_name_is_known_and_others_are_listed() {
    for id in GLUE_IDS {
        assert!(!matches!(bind(id, &palm_ports()), Err(GlueError::Unknown { .. })), "{id}");
    }
    let message = bind("palm", &palm_ports()).unwrap_err().to_string();
    assert!(message.contains("mediapipe-palm"), "{message}");
}

#[test]
fn a_model_that_does_not_fit_is_told_what_is_needed() {
    let message = bind("mediapipe-palm", &hand_ports()).unwrap_err().to_string();
    assert!(message.contains("192"), "{message}");
    let message = bind("mediapipe-hand-landmark", &palm_ports()).unwrap_err().to_string();
    assert!(message.contains("63") && message.contains("2016"), "{message}");
    let message = bind("mediapipe-gesture-embedder", &palm_ports()).unwrap_err().to_string();
    assert!(message.contains("hand"), "{message}");
}

#[test]
fn a_palm_becomes_a_square_and_nothing_ends_the_chain() {
    let (glue, image) = (bind("mediapipe-palm", &palm_ports()).unwrap(), image());
    let scene = Scene { image: &image, previous: None };
    assert_eq!(glue.prepare(&scene).unwrap()[0][0].shape(), [1, 192, 192, 3]);
    let mut regressors = Tensor::zeros(vec![1, 2016, 18]);
    let mut scores = Tensor::from_elem(vec![1, 2016, 1], -50.0);
    let none = glue.interpret(&scene, &[vec![regressors.clone(), scores.clone()]]).unwrap();
    assert_eq!(none, None);
    // Anchor 0 is at (4, 4): a palm of side 20 about (104, 84), fingers up.
    scores[[0, 0, 0]] = 5.0;
    for (index, value) in [100.0, 80.0, 20.0, 20.0, 100.0, 90.0].into_iter().enumerate() {
        regressors[[0, 0, index]] = value;
    }
    (regressors[[0, 0, 8]], regressors[[0, 0, 9]]) = (100.0, 70.0);
    let found = glue.interpret(&scene, &[vec![regressors, scores.clone()]]).unwrap().unwrap();
    let Finding::Regions(found) = found else { unreachable!("palms are regions") };
    assert!((found.squares[0].side - 52.0).abs() < 1e-6, "{found:?}");
    assert!(found.squares[0].angle.abs() < 1e-6, "{found:?}");
    let broken = Tensor::from_elem(vec![1, 2016, 18], f32::NAN);
    scores.fill(5.0);
    assert_eq!(glue.interpret(&scene, &[vec![broken, scores]]).unwrap(), None);
}

#[test]
fn outputs_are_found_by_name_and_a_faint_hand_is_none() {
    let (glue, image) = (bind("mediapipe-hand-landmark", &hand_ports()).unwrap(), image());
    let bounds = BoundingBox { x_min: 40.0, y_min: 40.0, x_max: 80.0, y_max: 80.0 };
    let previous = regions(bounds);
    let scene = Scene { image: &image, previous: Some(&previous) };
    assert_eq!(glue.prepare(&scene).unwrap()[0][0].shape(), [1, 224, 224, 3]);
    let points: Vec<f32> = (0..63_u8).map(f32::from).collect();
    // In the order of the ports: world landmarks, landmarks, handedness, presence.
    let outputs = |presence: f32| {
        vec![vector(&[0.0; 63]), vector(&points), vector(&[0.25]), vector(&[presence])]
    };
    assert_eq!(glue.interpret(&scene, &[outputs(0.49)]).unwrap(), None);
    let Some(Finding::Hand(hand)) = glue.interpret(&scene, &[outputs(0.9)]).unwrap() else {
        unreachable!("a present hand is found")
    };
    assert_eq!(hand.full.as_ref().unwrap().handedness, 0.25);
    // Crop pixel (0, 1) of a square of side 100 about (60, 60).
    let [x, y] = hand.landmarks[0];
    assert!((x - 10.0).abs() < 1e-6 && (y - (10.0 + 100.0 / 224.0)).abs() < 1e-6, "{x} {y}");
    let first = Scene { image: &image, previous: None };
    assert!(matches!(glue.prepare(&first), Err(GlueError::Previous { .. })));
}

#[test]
fn classes_are_named_by_the_highest_score() {
    let ports = Ports { inputs: vec![port("x", &[1, 128])], outputs: vec![port("y", &[1, 8])] };
    let (glue, image) = (bind("gesture-classifier", &ports).unwrap(), image());
    let previous = Finding::Tensors(vec![vector(&[0.5; 128])]);
    let scene = Scene { image: &image, previous: Some(&previous) };
    assert_eq!(glue.prepare(&scene).unwrap()[0][0].len(), 128);
    let mut scores = [0.0; 8];
    scores[6] = 0.7;
    let victory = glue.interpret(&scene, &[vec![vector(&scores)]]).unwrap();
    assert!(matches!(&victory, Some(Finding::Class(class)) if class.label == "Victory"));
    let nothing = glue.interpret(&scene, &[vec![vector(&[f32::NAN; 8])]]).unwrap();
    assert_eq!(nothing, None);
}

#[test]
fn any_classifier_names_its_classes_by_number() {
    let ports = Ports { inputs: vec![port("x", &[1, 2, 2])], outputs: vec![port("y", &[1, 3])] };
    let (glue, image) = (bind("classifier", &ports).unwrap(), image());
    let previous = Finding::Tensors(vec![vector(&[0.5; 4])]);
    let scene = Scene { image: &image, previous: Some(&previous) };
    assert_eq!(glue.prepare(&scene).unwrap()[0][0].shape(), [1, 2, 2]);
    assert_eq!(glue.classes(), ["0", "1", "2"]);
    let class = |scores: [f32; 3]| glue.interpret(&scene, &[vec![vector(&scores)]]).unwrap();
    assert!(matches!(class([0.1, 0.9, 0.2]), Some(Finding::Class(class)) if class.label == "1"));
    assert_eq!(class([0.1, f32::NAN, 0.2]), None);
    let two = Ports { outputs: vec![port("y", &[1, 3]), port("z", &[1])], ..ports };
    assert!(bind("classifier", &two).unwrap_err().to_string().contains("only output"));
}

#[test]
fn cosines_by_hand() {
    assert!((cosine(&vector(&[1.0, 0.0]), &vector(&[1.0, 1.0])) - 0.5_f64.sqrt()).abs() < 1e-12);
    assert_eq!(cosine(&vector(&[1.0]), &vector(&[-2.0])), -1.0);
    assert_eq!(cosine(&vector(&[0.0]), &vector(&[0.0])), 1.0);
    assert_eq!(cosine(&vector(&[0.0]), &vector(&[1.0])), 0.0);
    assert_eq!(cosine(&vector(&[f32::NAN]), &vector(&[1.0])), 0.0);
    assert_eq!(cosine(&vector(&[1.0]), &vector(&[1.0, 1.0])), 0.0);
}
