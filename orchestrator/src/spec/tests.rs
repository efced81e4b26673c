//! Good and bad pipeline files.

use quantrack_engine::Level;

use super::*;
use crate::dataset::Portion;
use crate::metric::Criterion;
use crate::search::{Composition, Constraints, Floor, Objective, RateByLevel};

const SMALL: &str = r#"
name = "small"
[data]
calibration = { images = "c", labels = "c.csv" }
evaluation = { images = "e", labels = "e.csv" }
[accuracy]
metric = "top1"
min-accuracy = 0.9
[[stage]]
name = "a"
model = "a.tflite"
glue = "tensor"
levels = ["int-8", "fp32"]
[[stage]]
name = "b"
model = "b.tflite"
glue = "tensor"
levels = ["fp32", "bin1"]
"#;

/// The message for `SMALL` with `from` replaced by `to`; it must name `line`.
fn complaint(from: &str, to: &str, line: usize) -> String {
    assert!(SMALL.contains(from), "{from}");
    let message = parse("p.toml", &SMALL.replacen(from, to, 1)).unwrap_err().to_string();
    assert!(message.starts_with(&format!("p.toml:{line}:")), "{message}");
    message
}

#[test]
fn the_built_in_pipelines_are_valid() {
    for (name, _) in BUILTIN {
        assert_eq!(load(name).unwrap().name, *name);
    }
    let hand = load("hand-gesture").unwrap();
    let names: Vec<&str> = hand.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["palm", "landmark", "embedder", "classifier"]);
    assert_eq!(hand.floor, Floor::MaxDropPoints(4.0));
    assert_eq!(hand.objective, Objective::MinLatency);
    assert_eq!(hand.composition, Composition::chain(4));
    for stage in &hand.stages {
        assert_eq!(stage.candidates[0].level, Level::Fp32);
    }
}

#[test]
fn levels_are_ordered_and_every_level_gets_its_default_recipe() {
    let small = parse("p.toml", SMALL).unwrap();
    let levels: Vec<Level> = small.stages[0].candidates.iter().map(|c| c.level).collect();
    assert_eq!(levels, [Level::Fp32, Level::Int8]);
    assert_eq!(small.stages[1].candidates[1].recipe, "sign-center");
    assert_eq!(small.measure, Measure::default());
}

#[test]
fn a_trained_model_replaces_the_default_recipe_but_not_one_that_was_asked_for() {
    let trained = "levels = [\"fp32\", \"bin1\"]\ntrained = { bin1 = \"t.tflite\" }";
    let only = SMALL.replace("levels = [\"fp32\", \"bin1\"]", trained);
    let stage = &parse("p.toml", &only).unwrap().stages[1];
    assert_eq!(stage.candidates.len(), 2);
    assert_eq!(stage.candidates[1].recipe, TRAINED);
    assert_eq!(stage.candidates[1].trained_model.as_deref(), Some(Path::new("t.tflite")));
    let both = only.replace("trained =", "recipes = { bin1 = [\"sign-center\"] }\ntrained =");
    let stage = &parse("p.toml", &both).unwrap().stages[1];
    assert_eq!(stage.candidates.len(), 3);
    assert_eq!(stage.candidates[1].trained_model, None);
    let imported = only.replace("trained =", "recipes = { bin1 = [\"imported\"] }\ntrained =");
    let stage = &parse("p.toml", &imported).unwrap().stages[1];
    assert_eq!(stage.candidates.len(), 2);
    assert_eq!(stage.candidates[1].trained_model.as_deref(), Some(Path::new("t.tflite")));
}

#[test]
fn automatic_recipes_are_the_engine_s_in_order_of_cost_each_tried_if_needed() {
    let auto = "levels = [\"fp32\", \"bin1\"]\nrecipes = { bin1 = [\"auto\"] }";
    let text = SMALL.replace("levels = [\"fp32\", \"bin1\"]", auto);
    let stage = &parse("p.toml", &text).unwrap().stages[1];
    let recipes: Vec<&str> = stage.candidates[1..].iter().map(|c| c.recipe.as_str()).collect();
    assert_eq!(recipes[..2], ["sign-center", "sign-fit"]);
    assert!(stage.candidates[1..].iter().all(|candidate| candidate.if_needed));
    assert!(!stage.candidates[0].if_needed);
    let mixed = auto.replace("\"auto\"", "\"auto\", \"sign-fit\"");
    let levels = "levels = [\"fp32\", \"bin1\"]";
    assert!(complaint(levels, &mixed, 19).contains("unknown recipe \"auto\""));
}

#[test]
fn one_set_of_images_is_divided_and_half_a_description_is_refused() {
    let sets = "calibration = { images = \"c\", labels = \"c.csv\" }\n\
                evaluation = { images = \"e\", labels = \"e.csv\" }";
    let one = SMALL.replace(sets, "images = { images = \"all\", labels = \"all.csv\" }");
    let data = parse("p.toml", &one).unwrap().data;
    assert_eq!(data.calibration.part, Portion::Calibration);
    assert_eq!(data.evaluation.part, Portion::Selection);
    assert_eq!(data.held_out.unwrap().part, Portion::HeldOut);
    assert_eq!(parse("p.toml", SMALL).unwrap().data.held_out, None);
    let only = "calibration = { images = \"c\", labels = \"c.csv\" }";
    assert!(complaint(sets, only, 3).contains("one set that is divided"));
    let both = format!("images = {{ images = \"all\" }}\n{sets}");
    assert!(complaint(sets, &both, 3).contains("one set that is divided"));
}

#[test]
fn what_calibration_leaves_is_a_set_of_its_own() {
    let sets = "calibration = { images = \"c\", labels = \"c.csv\" }\n\
                evaluation = { images = \"e\", labels = \"e.csv\" }";
    let with = |held_out: &str| format!("{sets}\n{held_out}");
    let rest = "held-out = { images = \"c\", labels = \"c.csv\", rest = true }";
    let used = format!("{}\ncalibration-samples = 7", with(rest));
    let data = parse("p.toml", &SMALL.replace(sets, &used)).unwrap().data;
    assert_eq!(data.held_out.unwrap().part, Portion::Rest(7));
    assert!(complaint(sets, &with(rest), 6).contains("needs calibration-samples"));
    let other = used.replace("held-out = { images = \"c\"", "held-out = { images = \"d\"");
    assert!(complaint(sets, &other, 3).contains("name the samples and labels of calibration"));
    let twice = used.replace(
        "evaluation = { images = \"e\", labels = \"e.csv\" }",
        "evaluation = { images = \"c\", labels = \"c.csv\", rest = true }",
    );
    assert!(complaint(sets, &twice, 3).contains("must be new to the choice"));
}

#[test]
fn without_labels_the_metric_is_agreement_with_fp32() {
    assert_eq!(parse("p.toml", SMALL).unwrap().metric, Criterion::top1());
    let silent = SMALL.replace("metric = \"top1\"\n", "");
    assert_eq!(parse("p.toml", &silent).unwrap().metric, Criterion::top1());
    let unlabelled = silent.replace(", labels = \"e.csv\"", "");
    assert_eq!(parse("p.toml", &unlabelled).unwrap().metric, Criterion::agreement());
    let message = complaint(", labels = \"e.csv\"", "", 7);
    assert!(message.contains("top1 needs labels"), "{message}");
    let message = complaint("\"top1\"", "\"top5\"", 7);
    assert!(message.contains("unknown metric \"top5\"") && message.contains("map@50"), "{message}");
}

#[test]
fn a_metric_says_what_it_compares_with_and_what_its_thresholds_are() {
    let metric = |written: &str| {
        let text = SMALL.replace("metric = \"top1\"", written);
        parse("p.toml", &text).map(|pipeline| pipeline.metric)
    };
    let cosine = metric("metric = \"cosine\"\nright-from = 0.99").unwrap();
    assert_eq!((cosine.name().as_str(), cosine.right_from), ("cosine from 0.99", Some(0.99)));
    let boxes = metric("metric = \"recall@0.75\"\nagainst = \"labels\"").unwrap();
    assert_eq!(boxes.name(), "recall@0.75 against labels");
    let refused = |written: &str, words: &[&str]| {
        let message = metric(written).unwrap_err().to_string();
        for word in words {
            assert!(message.contains(word), "{written}: no {word:?} in {message}");
        }
    };
    refused("metric = \"top1\"\nagainst = \"fp32\"", &["p.toml:7:", "agreement"]);
    refused("metric = \"agreement\"\nagainst = \"labels\"", &["top1"]);
    refused("metric = \"cosine\"\nagainst = \"labels\"", &["tensors"]);
    refused("metric = \"cosine\"\nagainst = \"truth\"", &["p.toml:8:", "unknown variant"]);
    refused("against = \"labels\"", &["p.toml:7:", "needs a metric"]);
    refused("metric = \"top1\"\nright-from = 0.5", &["p.toml:8:", "already counts"]);
    refused("metric = \"map@50\"\nright-from = 0.5", &["no value for a single image"]);
    refused("metric = \"nme\"\nright-from = 0.5", &["pck@0.05"]);
    refused("metric = \"cosine\"\nright-from = 1.5", &["between 0 and 1"]);
    refused("metric = \"pck@2\"", &["unknown metric", "pck@0.1"]);
    // Floors are in the unit of the metric.
    let decibels = SMALL.replace("metric = \"top1\"", "metric = \"sqnr\"");
    assert!(parse("p.toml", &decibels.replace("min-accuracy = 0.9", "min-accuracy = 20")).is_ok());
    let message = parse("p.toml", &decibels.replace("min-accuracy = 0.9", "max-drop = 4.0"));
    assert!(message.unwrap_err().to_string().contains("in decibels"));
    let stage = "glue = \"tensor\"\nmetric = \"sqnr\"\nmin-accuracy = 900.0";
    assert!(complaint("glue = \"tensor\"", stage, 14).contains("between -200 and 200"));
    let stage = "glue = \"tensor\"\nmetric = \"cosine\"\nmin-accuracy = 20.0";
    assert!(complaint("glue = \"tensor\"", stage, 14).contains("between 0 and 1"));
}

#[test]
fn a_program_may_score() {
    let stage = |written: &str| {
        let text = SMALL.replacen("glue = \"tensor\"", &format!("glue = \"tensor\"\n{written}"), 1);
        parse("p.toml", &text).map(|pipeline| pipeline.stages[0].metric.clone().unwrap())
    };
    let criterion =
        stage("metric = { command = [\"python3\", \"score.py\"], timeout-s = 0.5 }").unwrap();
    let program = criterion.program().unwrap();
    assert_eq!((program.timeout.as_millis(), program.whole_set), (500, false));
    assert_eq!(criterion.name(), "python3 score.py");
    let whole = stage("metric = { command = [\"./score\"], per = \"set\" }").unwrap();
    let program = whole.program().unwrap();
    assert_eq!((program.timeout.as_secs(), program.whole_set), (60, true));
    let refused = |written: &str, word: &str| {
        let message = stage(written).unwrap_err().to_string();
        assert!(message.contains(word), "{written}: {message}");
    };
    refused("metric = { command = [] }", "needs a program");
    refused("metric = { command = [\" \"] }", "needs a program");
    refused("metric = { command = [\"a\"], timeout-s = 0 }", "between 0.1 and 86400");
    refused("metric = { command = [\"a\"], timeout-s = nan }", "between 0.1 and 86400");
    refused("metric = { command = [\"a\"], seconds = 1 }", "command = [...]");
    refused("metric = { command = [\"a\"] }\nagainst = \"labels\"", "leave out against");
    let end_to_end = "{ command = [\"a\"], per = \"set\" }";
    assert!(complaint("\"top1\"", end_to_end, 7).contains("no interval"));
    assert!(complaint("\"top1\"", "{ command = \"a b\" }", 7).contains("command = [...]"));
}

#[test]
fn samples_are_images_or_tensors_in_all_sets() {
    let images = "calibration = { images = \"c\", labels = \"c.csv\" }";
    let tensors = "calibration = { tensors = \"c.npz\", labels = \"c.csv\" }";
    assert!(complaint(images, tensors, 3).contains("all images, or all tensors"));
    let evaluation = "evaluation = { images = \"e\", labels = \"e.csv\" }";
    let neither = "evaluation = { labels = \"e.csv\" }";
    assert!(complaint(evaluation, neither, 5).contains("either images, a folder, or tensors"));
    let sets = format!("{images}\n{evaluation}");
    let one = SMALL.replace(&sets, "tensors = { tensors = \"all.npz\", labels = \"all.csv\" }");
    let data = parse("p.toml", &one).unwrap().data;
    assert_eq!(data.evaluation.origin, Origin::Tensors("all.npz".into()));
    assert_eq!(data.held_out.unwrap().part, Portion::HeldOut);
}

#[test]
fn an_unknown_key_is_named_with_the_closest_known_one() {
    let message = complaint("min-accuracy", "min-acuracy", 8);
    assert!(message.contains("`min-acuracy`"), "{message}");
    assert!(message.contains("did you mean `min-accuracy`?"), "{message}");
    assert!(message.contains("min-acuracy = 0.9"), "{message}");
}

#[test]
fn unknown_doubled_and_missing_levels_are_refused() {
    let message = complaint("\"int-8\"", "\"int7\"", 13);
    assert!(message.contains("unknown level \"int7\""), "{message}");
    assert!(complaint("\"int-8\"", "\"fp-32\"", 13).contains("twice"));
    assert!(complaint("\"fp32\", \"bin1\"", "\"bin1\"", 18).contains("fp32 must be among"));
}

#[test]
fn thresholds_must_be_one_and_in_range() {
    assert!(complaint("min-accuracy = 0.9", "min-accuracy = 90", 8).contains("between 0 and 1"));
    assert!(complaint("min-accuracy = 0.9", "min-accuracy = nan", 8).contains("NaN"));
    assert!(complaint("min-accuracy = 0.9", "", 6).contains("needs max-drop"));
    let doubtful = "min-accuracy = 0.9\nconfidence = 0.3";
    assert!(complaint("min-accuracy = 0.9", doubtful, 9).contains("between 0.5 and 0.9999"));
    let both = "min-accuracy = 0.9\nmax-drop = 4.0";
    assert!(complaint("min-accuracy = 0.9", both, 8).contains("not both"));
}

#[test]
fn stages_have_different_names_and_recipes_belong_to_their_levels() {
    assert!(complaint("name = \"b\"", "name = \"a\"", 15).contains("two stages are called \"a\""));
    let unknown = "glue = \"tensor\"\nrecipes = { int8 = [\"magic\"] }";
    assert!(complaint("glue = \"tensor\"", unknown, 13).contains("unknown recipe \"magic\""));
    let foreign = "glue = \"tensor\"\nrecipes = { int4 = [\"minmax\"] }";
    assert!(complaint("glue = \"tensor\"", foreign, 13).contains("not among a's levels"));
}

#[test]
fn objectives_have_what_they_need() {
    let with = |text: &str| format!("{text}\n[accuracy]");
    let message = complaint("[accuracy]", &with("[objective]\nkind = \"weighted\""), 6);
    assert!(message.contains("accuracy-weight"), "{message}");
    let message = complaint("[accuracy]", &with("[objective]\nkind = \"max-accuracy\""), 6);
    assert!(message.contains("max-ms"), "{message}");
    let message = complaint("[accuracy]", &with("[objective]\nkind = \"min-latncy\""), 7);
    assert!(message.contains("did you mean `min-latency`?"), "{message}");
}

#[test]
fn compositions_nest_and_carry_rates() {
    let with = |list: &str| format!("name = \"small\"\ncomposition = {list}");
    let third =
        "[[stage]]\nname = \"c\"\nmodel = \"c.tflite\"\nglue = \"tensor\"\nlevels = [\"fp32\"]";
    let three = |list: &str| SMALL.replace("name = \"small\"", &with(list)) + third;
    let text = three("[{ parallel = [\"a\", \"b\"] }, \"c\"]").replacen(
        "glue = \"tensor\"",
        "glue = \"tensor\"\nrate = 0.25",
        1,
    );
    let leaf = Composition::stage;
    let parallel = Composition::Parallel(vec![leaf(0, 0.25), leaf(1, 1.0)]);
    assert_eq!(
        parse("p.toml", &text).unwrap().composition,
        Composition::Chain(vec![parallel, leaf(2, 1.0)])
    );
    let refused = |list: &str| parse("p.toml", &three(list)).unwrap_err().to_string();
    let message = refused("[\"a\", { parallel = [\"b\", \"c\"] }]");
    assert!(message.contains("ends in parallel stages (b, c)"), "{message}");
    let message = refused("[\"b\", \"a\", \"c\"]");
    assert!(message.contains("feeds the stage \"a\" from \"b\", which stands after"), "{message}");
    let name = "name = \"small\"";
    assert!(complaint(name, &with("[\"a\"]"), 3).contains("stage \"b\" 0 times"));
    assert!(complaint(name, &with("[\"a\", \"c\"]"), 3).contains("\"c\", which is no stage"));
}

#[test]
fn a_rate_may_follow_the_level_of_another_stage() {
    let with = |by: &str| format!("glue = \"tensor\"\nrate = 0.1\nrate-by = {by}");
    let text =
        SMALL.replacen("glue = \"tensor\"", &with("{ stage = \"b\", levels = { fp32 = 0.3 } }"), 1);
    let by = RateByLevel { stage: 1, rates: [(Level::Fp32, 0.3)].into() };
    let first = Composition::Stage { stage: 0, rate: 0.1, by: Some(by) };
    let composition = parse("p.toml", &text).unwrap().composition;
    assert_eq!(composition, Composition::Chain(vec![first, Composition::stage(1, 1.0)]));
    let refused = |by: &str| {
        let text = SMALL.replacen("glue = \"tensor\"", &with(by), 1);
        parse("p.toml", &text).unwrap_err().to_string()
    };
    let unknown = refused("{ stage = \"bb\", levels = {} }");
    assert!(unknown.contains("\"bb\" is no stage of the pipeline"), "{unknown}");
    assert!(refused("{ stage = \"b\", levels = { int8 = 0.5 } }").contains("not among b's"));
    assert!(refused("{ stage = \"b\", levels = { fp32 = 5 } }").contains("between 0 and 1"));
    assert!(refused("{ stage = \"b\", levls = {} }").contains("unknown field"));
}

#[test]
fn a_rate_may_be_measured_where_one_stage_comes_before() {
    let with = |stage: &str, text: &str| {
        let named = format!("model = \"{stage}.tflite\"");
        parse("p.toml", &SMALL.replacen(&named, &format!("{named}\n{text}"), 1))
    };
    let pipeline = with("b", "rate = \"measured\"").unwrap();
    let measured: Vec<bool> = pipeline.stages.iter().map(|stage| stage.measured_rate).collect();
    assert_eq!(measured, [false, true]);
    assert_eq!(pipeline.composition, Composition::chain(2), "until then it always runs");
    let refused = |stage: &str, text: &str| with(stage, text).unwrap_err().to_string();
    assert!(refused("a", "rate = \"measured\"").contains("a first stage runs on every image"));
    let both = "rate = \"measured\"\nrate-by = { stage = \"a\", levels = {} }";
    assert!(refused("b", both).contains("leave out rate-by"));
    assert!(refused("b", "rate = \"guessed\"").contains("or \"measured\""));
}

#[test]
fn constraints_name_stages_and_sizes_that_can_be() {
    let with = |text: &str| format!("[constraints]\n{text}\n[accuracy]");
    let text = with("max-model-mb = 1.5\nsame-level = [[\"b\", \"a\"]]");
    let pipeline = parse("p.toml", &SMALL.replacen("[accuracy]", &text, 1)).unwrap();
    let expected = Constraints {
        max_model_bytes: Some(3 << 19),
        max_memory_bytes: None,
        same_level: vec![vec![1, 0]],
    };
    assert_eq!(pipeline.constraints, expected);
    let refused = |text: &str| complaint("[accuracy]", &with(text), 7);
    assert!(refused("max-memory-mb = -1").contains("max-memory-mb is -1"));
    assert!(refused("same-level = [[\"a\"]]").contains("at least two"));
    assert!(refused("same-level = [[\"a\", \"c\"]]").contains("\"c\" is no stage"));
    assert!(refused("max-model = 4").contains("did you mean"));
}

#[test]
fn measurement_settings_are_checked() {
    let with = |text: &str| format!("[measure]\n{text}\n[accuracy]");
    assert!(complaint("[accuracy]", &with("threads = 0"), 6).contains("threads"));
    assert!(complaint("[accuracy]", &with("max-samples = 5"), 6).contains("max-samples"));
    assert!(complaint("[accuracy]", &with("thread = 1"), 7).contains("did you mean `threads`?"));
}

#[test]
fn text_that_is_no_toml_is_pointed_at() {
    assert!(complaint("[accuracy]", "[accuracy", 6).contains("[accuracy"));
    let message = load("no-such-pipeline").unwrap_err().to_string();
    assert!(message.contains("hand-gesture"), "{message}");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(cut in 0..SMALL.len(), junk in "\\PC{0,20}") {
        let text = format!("{}{junk}{}", &SMALL[..cut], &SMALL[cut..]);
        let _ = parse("p.toml", &text);
    }
}
