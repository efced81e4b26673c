use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use super::{Bundle, BundleError, FORMAT_VERSION, Manifest, Provenance, Runner, Stage};
use crate::glue::Finding;
use crate::graph::{Encoding, Graph, Node, Op, UnaryOp, Value};
use crate::kernels::CpuFeatures;
use crate::level::Level;
use crate::pool::Serial;
use crate::variant::Variant;
use crate::vision::RgbImage;

/// Stands for a certificate.
const PROOF: &[u8] = b"a proof";

/// A model that takes an image of 2 x 2 pixels, or the result of such a model.
fn model(op: UnaryOp) -> Variant {
    let value = |name: &str| Value {
        name: name.to_owned(),
        shape: vec![1, 2, 2, 3],
        encoding: Encoding::F32,
        constant: None,
    };
    let node = Node {
        name: "out".to_owned(),
        op: Op::Unary(op),
        inputs: vec![0],
        outputs: vec![1],
        level: Level::Fp32,
    };
    Variant::fp32(Graph {
        values: vec![value("in"), value("out")],
        nodes: vec![node],
        inputs: vec![0],
        outputs: vec![1],
    })
}

fn stage(name: &str, sources: &[usize], variant: &[u8]) -> Stage {
    Stage {
        name: name.to_owned(),
        glue: "tensor".to_owned(),
        sources: sources.to_vec(),
        level: Level::Fp32,
        recipe: "direct".to_owned(),
        variant_sha256: Variant::sha256(variant),
    }
}

/// Magnitudes, then their negatives.
fn bundle() -> Bundle {
    let [first, second] = [UnaryOp::Abs, UnaryOp::Neg].map(|op| model(op).to_bytes());
    let stages = vec![stage("first", &[], &first), stage("second", &[0], &second)];
    let variants = [first, second].map(|file| (Variant::sha256(&file), file));
    let provenance = Provenance {
        version: "1".to_owned(),
        engine_build: "e".to_owned(),
        quantizer_build: "q".to_owned(),
        board: "b".to_owned(),
        threads: 1,
        percentile: "median".to_owned(),
        predicted_latency_us: 1.5,
        baseline_latency_us: 3.0,
        correct: (9, 10),
        baseline_correct: (10, 10),
        certificate_sha256: "c".to_owned(),
    };
    let manifest =
        Manifest { format: FORMAT_VERSION, pipeline: "two".to_owned(), stages, provenance };
    let documents = BTreeMap::from([("certificate.json".to_owned(), PROOF.to_vec())]);
    Bundle { manifest, variants: BTreeMap::from(variants), documents }
}

fn runner(bundle: &Bundle) -> Runner {
    Runner::new(bundle, &CpuFeatures::portable()).unwrap()
}

#[test]
fn survives_its_file_which_is_always_the_same() {
    let bundle = bundle();
    let bytes = bundle.to_bytes().unwrap();
    assert_eq!(Bundle::from_bytes(&bytes).unwrap(), bundle);
    assert_eq!(bundle.to_bytes().unwrap(), bytes);
}

#[test]
fn a_byte_changed_anywhere_is_noticed() {
    let bytes = bundle().to_bytes().unwrap();
    for (at, flip) in (0..bytes.len()).zip([0x01, 0x80, 0xff].into_iter().cycle()) {
        let mut changed = bytes.clone();
        changed[at] ^= flip;
        assert!(Bundle::from_bytes(&changed).is_err(), "byte {at} ^ {flip:#x}");
    }
    let at = bytes.windows(PROOF.len()).position(|window| window == PROOF).unwrap();
    let mut changed = bytes;
    changed[at] ^= 1;
    let error = Bundle::from_bytes(&changed).unwrap_err().to_string();
    assert!(error.starts_with("certificate.json is not what it was"), "{error}");
}

#[test]
fn a_file_that_ends_early_or_goes_on_is_refused() {
    let bytes = bundle().to_bytes().unwrap();
    for end in 0..bytes.len() {
        assert!(Bundle::from_bytes(&bytes[..end]).is_err(), "{end} bytes");
    }
    let longer = [bytes.as_slice(), &[0; 512]].concat();
    assert!(matches!(Bundle::from_bytes(&longer), Err(BundleError::Altered)));
}

#[test]
fn what_makes_no_pipeline_is_not_written() {
    let error = |change: &dyn Fn(&mut Bundle)| {
        let mut bundle = bundle();
        change(&mut bundle);
        bundle.to_bytes().unwrap_err().to_string()
    };
    let stages = |change: &dyn Fn(&mut Vec<Stage>)| error(&|b| change(&mut b.manifest.stages));
    assert!(stages(&|all| all.clear()).contains("there are none"));
    assert!(stages(&|all| all[1].name = "first".to_owned()).contains("two are called first"));
    assert!(stages(&|all| all[1].sources = vec![1]).contains("not before it"));
    assert!(stages(&|all| all[0].variant_sha256 = "../x".to_owned()).contains("no SHA-256"));
    assert!(error(&|b| b.variants.clear()).contains("is missing"));
    for name in ["../escape", "bundle.json", "a/b"] {
        let with = |b: &mut Bundle| drop(b.documents.insert(name.to_owned(), Vec::new()));
        assert!(error(&with).contains("no bundle has"), "{name}");
    }
}

#[test]
fn another_format_is_named() {
    let mut manifest = bundle().manifest;
    manifest.format = 7;
    let json = manifest.to_json().unwrap();
    let error = Manifest::from_json(&json).unwrap_err().to_string();
    assert!(error.contains("format 7") && error.contains("takes format 1"), "{error}");
}

#[test]
fn stages_run_one_after_the_other_and_are_timed() {
    let image = RgbImage::new(2, 2, vec![51; 12]).unwrap();
    let clock = Cell::new(Duration::ZERO);
    let now = || {
        clock.set(clock.get() + Duration::from_millis(1));
        clock.get()
    };
    let runs = runner(&bundle()).run(&image, &Serial, &now).unwrap();
    let found: Vec<&Finding> = runs.iter().map(|run| run.found.as_ref().unwrap()).collect();
    for (finding, expected) in found.into_iter().zip([0.2, -0.2]) {
        let Finding::Tensors(tensors) = finding else { panic!("{finding:?}") };
        assert!(tensors[0].iter().all(|&element| element == expected), "{tensors:?}");
    }
    for run in &runs {
        let times = (run.inferences, run.model, run.glue);
        assert_eq!(times, (1, Duration::from_millis(1), Duration::from_millis(2)));
    }
}

#[test]
fn branches_meet_again() {
    let mut bundle = bundle();
    let (negate, absolute) = (model(UnaryOp::Neg).to_bytes(), model(UnaryOp::Abs).to_bytes());
    bundle.manifest.stages = vec![
        stage("image", &[], &absolute),
        stage("left", &[0], &absolute),
        stage("right", &[0], &negate),
    ];
    let image = RgbImage::new(2, 2, vec![255; 12]).unwrap();
    let runs = runner(&bundle).run(&image, &Serial, &|| Duration::ZERO).unwrap();
    assert_eq!(runs.len(), 3);
    // A stage with one input does not take what two stages give.
    bundle.manifest.stages.push(stage("both", &[1, 2], &negate));
    let error = runner(&bundle).run(&image, &Serial, &|| Duration::ZERO).unwrap_err();
    assert!(error.to_string().contains("stage both"), "{error}");
}

#[test]
fn a_variant_under_the_wrong_name_is_refused() {
    let mut bundle = bundle();
    let other = model(UnaryOp::Exp).to_bytes();
    for file in bundle.variants.values_mut() {
        *file = other.clone();
    }
    let bytes = bundle.to_bytes().unwrap();
    assert!(matches!(Bundle::from_bytes(&bytes), Err(BundleError::Digest { .. })));
}
