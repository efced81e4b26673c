//! A pipeline of two stages, of which the answer and all that stands against it are known.

use quantrack_engine::Level;

use super::*;
use crate::assignment::{EndToEnd, Scope, search};
use crate::exit::Failure;
use crate::search::{
    Accuracy, Choice, Composition, Constraints, Floor, Method, Problem, StageChoices, Stopping,
};
use crate::spec::Percentile;

/// Right answers are 100 less what the level of each stage loses.
struct Losses;

impl EndToEnd for Losses {
    fn answers(
        &mut self,
        variants: &[&str],
        _: Option<&Stopping<'_>>,
    ) -> Result<Vec<bool>, Failure> {
        let loss = |variant: &&str| match *variant {
            "find-int8" => 1,
            "find-bin1" => 40,
            "read-int8" => 2,
            "read-bin1" => 7,
            _ => 0,
        };
        let correct = 100 - variants.iter().map(loss).sum::<usize>();
        Ok((0..100).map(|sample| sample < correct).collect())
    }
}

fn stage(name: &str, latencies_us: [f64; 3], bin1_accuracy: f64) -> StageChoices {
    let levels = [(Level::Fp32, 1.0), (Level::Int8, 0.99), (Level::Bin1, bin1_accuracy)];
    let choice = |(&(level, accuracy), latency_us): (&(Level, f64), f64)| Choice {
        level,
        recipe: "test".to_owned(),
        variant_sha256: format!("{name}-{level}"),
        latency_us,
        interval_us: None,
        accuracy: Some(accuracy),
        model_bytes: 1000,
        memory_bytes: None,
    };
    StageChoices {
        name: name.to_owned(),
        choices: levels.iter().zip(latencies_us).map(choice).collect(),
        baseline: 0,
        min_accuracy: None,
    }
}

fn problem() -> Problem {
    Problem {
        stages: vec![
            stage("find", [1000.0, 600.0, 100.0], 0.5),
            stage("read", [500.0, 550.0, 200.0], 0.9),
        ],
        composition: Composition::chain(2),
        objective: Objective::MinLatency,
        floor: Some(Floor::MaxDropPoints(4.0)),
        max_latency_us: None,
        constraints: Constraints::default(),
        method: Method::default(),
        max_evaluations: None,
    }
}

fn scope() -> Scope {
    Scope {
        pipeline: "two".to_owned(),
        device: "board".to_owned(),
        engine_build: "build".to_owned(),
        threads: 1,
        percentile: Percentile::Median,
    }
}

fn explained(problem: Problem) -> Explanation {
    let scope = scope();
    let fp32 = |problem: &Problem| problem.stages.iter().map(|s| s.baseline).collect::<Vec<_>>();
    assert_eq!(fp32(&problem), [0, 0]);
    explain(&search(&scope, problem, &mut Losses).unwrap())
}

#[test]
fn names_the_answer_and_the_faster_one_that_comes_closest() {
    let explanation = explained(problem());
    let chosen = explanation.chosen.as_ref().unwrap();
    // int8 with fp32: 1100 us and 99 right. bin1 of `read` is faster and has 92 right at best, `find` 60.
    assert_eq!((chosen.latency_us, chosen.correct), (1100.0, 99));
    let Binding::Accuracy { nearest, faster } = &explanation.binding else {
        panic!("{:?}", explanation.binding)
    };
    assert_eq!((nearest.latency_us, nearest.correct, *faster), (800.0, 92, 4));
    let text = human(&explanation);
    assert!(text.contains("find int8, read fp32"), "{text}");
    assert!(text.contains("At least 96 are asked, 100 of 100 right at fp32"), "{text}");
    assert!(text.contains("4 faster assignments were tried"), "{text}");
}

#[test]
fn says_what_every_choice_would_have_meant() {
    let explanation = explained(problem());
    let [find, read] = &explanation.stages[..] else { panic!("{:?}", explanation.stages) };
    // All at fp32 is evaluated whatever comes of it; with `read` at int8 nothing would be gained.
    assert_eq!(find.options[0].verdict, Known::Evaluated { correct: 100, total: 100 });
    assert_eq!(read.options[1].verdict, Known::NotFaster);
    assert_eq!(find.options[0].difference_us, 400.0);
    assert_eq!(find.options[1].verdict, Known::Chosen);
    assert_eq!(find.options[2].verdict, Known::Evaluated { correct: 60, total: 100 });
    assert_eq!(read.options[2].difference_us, -300.0);
    let text = human(&explanation);
    assert!(text.contains("92 of 100 right: 4 too few"), "{text}");
}

#[test]
fn says_what_a_lower_threshold_would_buy() {
    let steps = explained(problem()).relaxations;
    let seen: Vec<(u64, f64)> =
        steps.iter().map(|step| (step.fewer, step.gains.latency_us)).collect();
    // 92 right at 800 us, then 60 at 600, then 53 at 300.
    assert_eq!(seen, [(4, 800.0), (36, 600.0), (43, 300.0)]);
}

#[test]
fn thresholds_of_stages_are_named_where_they_exclude() {
    let mut problem = problem();
    for stage in &mut problem.stages {
        stage.min_accuracy = Some(0.95);
    }
    let explanation = explained(problem);
    assert_eq!(explanation.binding, Binding::Stages);
    let of_read = &explanation.stages[1].options[2].verdict;
    let expected = Known::BelowThreshold { accuracy: Some(0.9), min_accuracy: Some(0.95) };
    assert_eq!(*of_read, expected);
    assert!(human(&explanation).contains("the stage alone reaches 0.900 of 0.950 asked"));
}

#[test]
fn uniform_levels_say_where_they_fail() {
    let uniform = explained(problem()).uniform;
    let short: Vec<(Level, u64)> = uniform.iter().map(|one| (one.level, one.short_of)).collect();
    assert_eq!(short, [(Level::Fp32, 0), (Level::Int8, 0), (Level::Bin1, 43)]);
    assert!(uniform[1].slower.unwrap() > 0.0);
}

#[test]
fn without_an_answer_there_is_advice() {
    let mut problem = problem();
    problem.max_latency_us = Some(900.0);
    let explanation = explained(problem);
    assert_eq!((&explanation.chosen, &explanation.binding), (&None, &Binding::NoAnswer));
    let text = human(&explanation);
    assert!(text.contains("nothing meets the thresholds") && text.contains("relax"), "{text}");
}

#[test]
fn the_latency_limit_is_named_where_accuracy_is_what_is_best() {
    let mut problem = problem();
    problem.objective = Objective::MaxAccuracy;
    problem.floor = None;
    problem.max_latency_us = Some(900.0);
    let explanation = explained(problem);
    let chosen = explanation.chosen.as_ref().unwrap();
    assert_eq!((chosen.latency_us, chosen.correct), (800.0, 92));
    assert!(matches!(explanation.binding, Binding::Latency { .. } | Binding::Nothing));
}

#[test]
fn what_was_stopped_early_is_no_lack_of_rivals() {
    let scope = scope();
    let mut record = search(&scope, problem(), &mut Losses).unwrap();
    let total = record.baseline.accuracy.total;
    for seen in record.trace.iter_mut().filter(|seen| seen.latency_us < 1100.0) {
        seen.at_most = seen.accuracy.correct;
        seen.accuracy = Accuracy { correct: 1, total: total / 2 };
    }
    let explanation = explain(&record);
    assert_eq!(explanation.binding, Binding::Hopeless);
    let bin1 = &explanation.stages[1].options[2].verdict;
    assert_eq!(*bin1, Known::Hopeless { at_most: 92, total });
    let text = human(&explanation);
    assert!(text.contains("Every faster assignment gets too much wrong"), "{text}");
}
