//! The whole hand-gesture pipeline on all evaluation photographs, held against the reference pipeline (LiteRT and OpenCV):
//! the models at fp32 as a board runs
//! them, images decoded as the product decodes them, everything between by `vision`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests fail by panicking, and say what they measured"
)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::{ArrayD, IxDyn};
use quantrack_engine::kernels::CpuFeatures;
use quantrack_engine::model::Dimensions;
use quantrack_engine::plan::{Plan, Port, Session};
use quantrack_engine::quantize::{default_recipe, quantize};
use quantrack_engine::vision::{
    self, HAND_LANDMARKS, Hand, RgbImage, RotatedSquare, SsdDecoder, metrics,
};
use quantrack_engine::{Level, Serial, Tensor};
use quantrack_orchestrator::dataset;
use quantrack_orchestrator::variants::ModelFile;

const GESTURES: [&str; 8] = [
    "None",
    "Closed_Fist",
    "Open_Palm",
    "Pointing_Up",
    "Thumb_Down",
    "Thumb_Up",
    "Victory",
    "ILoveYou",
];

/// Side of the landmark model's input, in pixels.
const CROP: usize = 224;

struct Pipeline {
    decoder: SsdDecoder,
    palm: Arc<Plan>,
    landmark: Arc<Plan>,
    embedder: Arc<Plan>,
    classifier: Arc<Plan>,
}

/// What a pipeline says about one photograph in which it found a hand; lengths in pixels, the angle in radians.
struct Found {
    palm_score: f64,
    palm: [f64; 4],
    square: RotatedSquare,
    presence: f64,
    landmarks: Vec<[f64; 2]>,
    gesture: String,
}

impl Pipeline {
    fn new(folder: &Path) -> Self {
        let load = |name: &str| {
            let path = folder.join("models").join(name).with_extension("tflite");
            let graph = ModelFile::read(&path, &Dimensions::default()).unwrap().graph;
            let variant = quantize(&graph, Level::Fp32, &default_recipe(Level::Fp32), None);
            Arc::new(Plan::new(&variant.unwrap(), &CpuFeatures::detect()).unwrap())
        };
        Self {
            decoder: SsdDecoder::palm().unwrap(),
            palm: load("palm_detection_lite"),
            landmark: load("hand_landmark_lite"),
            embedder: load("gesture_embedder"),
            classifier: load("canned_gesture_classifier"),
        }
    }

    fn run(&self, image: &RgbImage<'_>) -> Option<Found> {
        let (input, place) = vision::letterbox(image, self.decoder.side()).unwrap();
        let outputs = named_outputs(&self.palm, &[input]);
        let (regressors, scores) = (&outputs["Identity"], &outputs["Identity_1"]);
        let palms = self.decoder.decode(regressors, scores).unwrap();
        let palms: Vec<_> = palms.iter().map(|palm| palm.to_image(&place)).collect();
        let hands: Vec<Hand> =
            palms.iter().map(|palm| self.hand(image, vision::hand_square(palm).unwrap())).collect();
        let hand = vision::select_hand(&hands, 0.5)?;
        let palm = palms[hands.iter().position(|other| std::ptr::eq(other, hand)).unwrap()];
        let bounds = palm.bounds;
        Some(Found {
            palm_score: palm.score,
            palm: [bounds.x_min, bounds.y_min, bounds.x_max, bounds.y_max],
            square: hand.square,
            presence: f64::from(hand.presence),
            landmarks: hand.landmarks.iter().map(|point| [point[0], point[1]]).collect(),
            gesture: self.gesture(image, hand).to_owned(),
        })
    }

    fn hand(&self, image: &RgbImage<'_>, square: RotatedSquare) -> Hand {
        let input = vision::crop(image, &square, CROP).unwrap();
        let outputs = named_outputs(&self.landmark, &[input]);
        Hand {
            square,
            presence: outputs["Identity_1"][0],
            handedness: outputs["Identity_2"][0],
            landmarks: vision::landmarks_in_image(&outputs["Identity"], &square, CROP).unwrap(),
            world: vision::rotate_about_origin(&outputs["Identity_3"], square.angle).unwrap(),
        }
    }

    fn gesture(&self, image: &RgbImage<'_>, hand: &Hand) -> &'static str {
        let angle = hand.square.angle;
        let points =
            vision::image_features(&hand.landmarks, image.width(), image.height(), angle).unwrap();
        let world = vision::world_features(&hand.world, angle).unwrap();
        let points_tensor = |points: [[f32; 3]; HAND_LANDMARKS]| {
            ArrayD::from_shape_vec(IxDyn(&[1, HAND_LANDMARKS, 3]), points.concat()).unwrap()
        };
        let input = |port: &Port| match port.name.as_str() {
            "hand" => points_tensor(points),
            "world_hand" => points_tensor(world),
            "handedness" => ArrayD::from_elem(IxDyn(&[1, 1]), hand.handedness),
            other => panic!("the embedder has an input {other}"),
        };
        let inputs: Vec<Tensor> = self.embedder.inputs().iter().map(input).collect();
        let embedding = run(&self.embedder, &inputs);
        let scores = run(&self.classifier, &embedding);
        GESTURES[metrics::arg_max(scores[0].as_slice().unwrap()).unwrap()]
    }
}

fn run(plan: &Arc<Plan>, inputs: &[Tensor]) -> Vec<Tensor> {
    Session::new(Arc::clone(plan)).run(inputs, &Serial).unwrap()
}

fn named_outputs<'p>(plan: &'p Arc<Plan>, inputs: &[Tensor]) -> BTreeMap<&'p str, Vec<f32>> {
    let outputs = run(plan, inputs).into_iter();
    let names = plan.outputs().iter().map(|port| port.name.as_str());
    names.zip(outputs.map(|output| output.iter().copied().collect())).collect()
}

/// The rows of a CSV file without quotes, as column name → field.
fn csv(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned));
    let header: Vec<String> = lines.next().unwrap().collect();
    lines.map(|fields| header.iter().cloned().zip(fields).collect()).collect()
}

/// What the reference says; `None` where it found no hand.
fn reference(row: &BTreeMap<String, String>) -> Option<Found> {
    let numbers = |column: &str| -> Vec<f64> {
        row[column].split_whitespace().map(|number| number.parse().unwrap()).collect()
    };
    let &[x, y, side, angle] = numbers("roi_cx_cy_side_rad").as_slice() else { return None };
    Some(Found {
        palm_score: numbers("palm_score")[0],
        palm: numbers("palm_box_xyxy_px").try_into().unwrap(),
        square: RotatedSquare::new([x, y], side, angle).unwrap(),
        presence: numbers("hand_presence")[0],
        landmarks: numbers("landmarks_xy_px").chunks(2).map(|p| [p[0], p[1]]).collect(),
        gesture: row["gesture"].clone(),
    })
}

fn decode(path: &Path) -> RgbImage<'static> {
    dataset::decode(&std::fs::read(path).unwrap()).unwrap()
}

/// Runs the pipeline on all `files`, in order, on every core.
fn run_all(folder: &Path, files: &[&str]) -> Vec<Option<Found>> {
    let pipeline = Pipeline::new(folder);
    let (next, workers) = (AtomicUsize::new(0), std::thread::available_parallelism().unwrap());
    let work = || {
        let take = || files.get(next.fetch_add(1, Ordering::Relaxed));
        let found = std::iter::from_fn(take).map(|&file| {
            let image = decode(&folder.join("images/evaluation").join(file));
            (file, pipeline.run(&image))
        });
        found.collect::<Vec<_>>()
    };
    let mut results: BTreeMap<&str, Option<Found>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers.get()).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    files.iter().map(|file| results.remove(file).unwrap()).collect()
}

/// The largest distance of a landmark from its place in the reference, in sides of the reference's square.
fn landmark_error(found: &Found, expected: &Found) -> f64 {
    let distances = found.landmarks.iter().zip(&expected.landmarks);
    let distances = distances.map(|(a, b)| (a[0] - b[0]).hypot(a[1] - b[1]));
    distances.fold(0.0, f64::max) / expected.square.side
}

/// The largest difference of the palm's box and of the square's centre and side, in sides of the reference's square.
fn square_error(found: &Found, expected: &Found) -> f64 {
    let numbers = |found: &Found| {
        let [x, y] = found.square.center;
        found.palm.into_iter().chain([x, y, found.square.side]).collect::<Vec<f64>>()
    };
    let pairs = numbers(found).into_iter().zip(numbers(expected));
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / expected.square.side
}

/// The value below which `share` of `values` lie.
fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).ceil() as usize]
}

#[test]
fn the_pipeline_equals_the_reference() {
    let Some(folder) = support::data() else { return };
    let rows = csv(&folder.join("images/evaluation.csv"));
    let references: BTreeMap<String, Option<Found>> =
        csv(&folder.join("reference/pipeline_lite_fp32.csv"))
            .iter()
            .map(|row| (row["file"].clone(), reference(row)))
            .collect();
    assert_eq!((rows.len(), references.len()), (138, 138));
    let files: Vec<&str> = rows.iter().map(|row| row["file"].as_str()).collect();

    let (mut correct, mut same_gesture) = (0, 0);
    let (mut landmarks, mut squares, mut scores) = (Vec::new(), Vec::new(), Vec::new());
    for (row, found) in rows.iter().zip(run_all(&folder, &files)) {
        let (found, expected) = match (found, &references[&row["file"]]) {
            (Some(found), Some(expected)) => (found, expected),
            (None, None) => continue,
            (found, _) => panic!("{}: hand found: {}", row["file"], found.is_some()),
        };
        correct += usize::from(found.gesture == row["gesture"]);
        same_gesture += usize::from(found.gesture == expected.gesture);
        landmarks.push(landmark_error(&found, expected));
        squares.push(square_error(&found, expected));
        scores.push((found.palm_score - expected.palm_score).abs());
        scores.push((found.presence - expected.presence).abs());
    }
    let close = landmarks.iter().filter(|&&error| error <= 0.01).count();
    let shares = |values: &[f64]| [0.5, 0.95, 1.0].map(|share| quantile(values, share));
    eprintln!(
        "{correct} correct, {same_gesture} gestures as in the reference, {} hands found",
        landmarks.len()
    );
    eprintln!("landmarks within 1 % of the square's side: {close} of {}", landmarks.len());
    eprintln!(
        "median, 95 % and largest error: landmarks {:?}, squares {:?} (sides), scores {:?}",
        shares(&landmarks),
        shares(&squares),
        shares(&scores)
    );

    assert!((120..=124).contains(&correct), "{correct} gestures are correct, not 122 ± 2");
    assert!(close * 100 >= landmarks.len() * 95, "{close} of {} are close", landmarks.len());
    assert!(same_gesture + 2 >= landmarks.len());
}

/// The landmark stage alone, on the reference's squares: independent of how the palm detector fares.
#[test]
fn landmarks_on_the_squares_of_the_reference_are_close() {
    let Some(folder) = support::data() else { return };
    let pipeline = Pipeline::new(&folder);
    let mut errors = Vec::new();
    for row in csv(&folder.join("reference/pipeline_lite_fp32.csv")) {
        let Some(expected) = reference(&row) else { continue };
        let image = decode(&folder.join("images/evaluation").join(&row["file"]));
        let hand = pipeline.hand(&image, expected.square);
        let landmarks = hand.landmarks.iter().map(|point| [point[0], point[1]]).collect();
        errors.push(landmark_error(&Found { landmarks, ..reference(&row).unwrap() }, &expected));
    }
    let close = errors.iter().filter(|&&error| error <= 0.01).count();
    eprintln!("landmarks within 1 % of the square's side: {close} of {}", errors.len());
    assert!(close * 100 >= errors.len() * 95, "{close} of {} are close", errors.len());
}
