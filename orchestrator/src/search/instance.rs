//! Small random problems with the accuracy of every assignment, for tests.

use std::convert::Infallible;

use proptest::prelude::*;
use quantrack_engine::Level;

use super::*;

/// Samples of an evaluation.
pub(crate) const TOTAL: u64 = 20;

/// A problem, and the accuracy of every assignment by mixed-radix index.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) problem: Problem,
    pub(crate) correct: Vec<u64>,
}

impl Instance {
    pub(crate) fn index(&self, picks: &[usize]) -> usize {
        let stages = &self.problem.stages;
        stages.iter().zip(picks).fold(0, |index, (s, &pick)| index * s.choices.len() + pick)
    }

    pub(crate) fn accuracy(&self, picks: &[usize]) -> Accuracy {
        Accuracy { correct: self.correct[self.index(picks)], total: TOTAL }
    }

    pub(crate) fn all(&self) -> Vec<Evaluated> {
        let mut all = vec![vec![]];
        for stage in &self.problem.stages {
            let extend = |head: &Vec<usize>| {
                let head = head.clone();
                (0..stage.choices.len()).map(move |pick| [&head[..], &[pick]].concat())
            };
            all = all.iter().flat_map(extend).collect();
        }
        let evaluated = |picks: Vec<usize>| Evaluated {
            latency_us: self.problem.latency_us(&picks),
            accuracy: self.accuracy(&picks),
            picks,
        };
        all.into_iter().map(evaluated).collect()
    }

    pub(crate) fn feasible(&self) -> Vec<Evaluated> {
        let baseline = self.accuracy(&self.problem.baseline());
        let least = self.problem.floor.map_or(0, |floor| floor.min_correct(baseline));
        let limit = self.problem.max_latency_us.unwrap_or(f64::INFINITY);
        let stage_ok = |e: &Evaluated| {
            self.problem.stages.iter().zip(&e.picks).all(|(stage, &pick)| {
                match (stage.min_accuracy, stage.choices[pick].accuracy) {
                    (Some(least), Some(accuracy)) => accuracy >= least,
                    _ => true,
                }
            })
        };
        let mut all = self.all();
        all.retain(|e| e.accuracy.correct >= least && e.latency_us <= limit && stage_ok(e));
        all
    }

    pub(crate) fn solve(&self) -> (Outcome, usize) {
        let mut calls = 0;
        let outcome = solve(&self.problem, |picks| {
            calls += 1;
            Ok::<_, Infallible>(self.accuracy(picks))
        });
        (outcome.unwrap(), calls)
    }
}

fn choice() -> impl Strategy<Value = Choice> {
    // Few distinct latencies, so that ties are common.
    (1..=6_u32, prop::option::of(0..=4_u32)).prop_map(|(latency, accuracy)| Choice {
        level: Level::Int8,
        recipe: "minmax".to_owned(),
        variant_sha256: String::new(),
        latency_us: f64::from(latency) * 10.0,
        interval_us: None,
        accuracy: accuracy.map(|quarters| f64::from(quarters) / 4.0),
    })
}

fn stage() -> impl Strategy<Value = StageChoices> {
    (
        prop::collection::vec(choice(), 1..5),
        any::<prop::sample::Index>(),
        prop::option::of(0..=4_u32),
    )
        .prop_map(|(choices, baseline, minimum)| StageChoices {
            name: "stage".to_owned(),
            baseline: baseline.index(choices.len()),
            choices,
            min_accuracy: minimum.map(|quarters| f64::from(quarters) / 4.0),
        })
}

fn composition(stages: usize) -> impl Strategy<Value = Composition> {
    let rates = prop::collection::vec(prop_oneof![Just(1.0), Just(0.25)], stages);
    (rates, 0..3_u8).prop_map(|(rates, shape)| {
        let leaf = |(stage, rate)| Composition::Stage { stage, rate };
        let mut leaves: Vec<Composition> = rates.into_iter().enumerate().map(leaf).collect();
        match shape {
            0 => Composition::Chain(leaves),
            1 => Composition::Parallel(leaves),
            _ => {
                let tail = leaves.split_off(leaves.len() / 2);
                Composition::Chain(vec![Composition::Parallel(leaves), Composition::Chain(tail)])
            }
        }
    })
}

pub(crate) fn instance() -> impl Strategy<Value = Instance> {
    let objective = prop_oneof![
        3 => Just(Objective::MinLatency),
        1 => Just(Objective::MaxAccuracy),
        1 => (0..4_u32).prop_map(|w| Objective::Weighted { accuracy_weight: f64::from(w) }),
    ];
    let floor = prop::option::of(prop_oneof![
        (0..=60_u32).prop_map(|points| Floor::MaxDropPoints(f64::from(points))),
        (0..=20_u32).prop_map(|n| Floor::MinAccuracy(f64::from(n) / 20.0)),
    ]);
    let stages = prop::collection::vec(stage(), 1..5);
    (stages, objective, floor, prop::option::of(1..=200_u32)).prop_flat_map(
        |(mut stages, objective, floor, limit)| {
            for (index, stage) in stages.iter_mut().enumerate() {
                stage.name = format!("stage {index}");
            }
            let space: usize = stages.iter().map(|stage| stage.choices.len()).product();
            let correct = prop::collection::vec(0..=TOTAL, space);
            (Just(stages.clone()), correct, composition(stages.len())).prop_map(
                move |(stages, correct, composition)| {
                    let needs_limit = objective == Objective::MaxAccuracy;
                    let max_latency_us =
                        limit.or(needs_limit.then_some(100)).map(|limit| f64::from(limit) * 1.0);
                    let max_evaluations = None;
                    let problem = Problem {
                        stages,
                        composition,
                        objective,
                        floor,
                        max_latency_us,
                        max_evaluations,
                    };
                    Instance { problem, correct }
                },
            )
        },
    )
}
