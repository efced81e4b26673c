//! The search against brute force.

use std::convert::Infallible;

use proptest::prelude::*;
use quantrack_engine::Level;

use super::*;

const TOTAL: u64 = 20;

/// A problem, and the accuracy of every assignment by mixed-radix index.
#[derive(Clone, Debug)]
struct Instance {
    problem: Problem,
    correct: Vec<u64>,
}

impl Instance {
    fn index(&self, picks: &[usize]) -> usize {
        let stages = &self.problem.stages;
        stages.iter().zip(picks).fold(0, |index, (s, &pick)| index * s.choices.len() + pick)
    }

    fn accuracy(&self, picks: &[usize]) -> Accuracy {
        Accuracy { correct: self.correct[self.index(picks)], total: TOTAL }
    }

    fn all(&self) -> Vec<Evaluated> {
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

    fn feasible(&self) -> Vec<Evaluated> {
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

    fn solve(&self) -> (Outcome, usize) {
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

fn instance() -> impl Strategy<Value = Instance> {
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
        |(stages, objective, floor, limit)| {
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn the_enumeration_is_complete_ordered_and_free_of_repetition(instance in instance()) {
        let walked: Vec<_> = Enumerate::new(&instance.problem, |_, _| true).collect();
        prop_assert!(walked.windows(2).all(|pair| pair[0].1 <= pair[1].1));
        let mut picks: Vec<_> = walked.into_iter().map(|(picks, _)| picks).collect();
        picks.sort();
        let all: Vec<_> = instance.all().into_iter().map(|e| e.picks).collect();
        prop_assert_eq!(picks, all);
    }

    #[test]
    fn the_answer_is_as_good_as_brute_force(instance in instance()) {
        let (outcome, calls) = instance.solve();
        prop_assert_eq!(calls, outcome.trace.len());
        let feasible = instance.feasible();
        let best = |key: &dyn Fn(&Evaluated) -> f64| {
            feasible.iter().map(key).min_by(f64::total_cmp)
        };
        match outcome.verdict {
            Verdict::Infeasible(_) => prop_assert!(feasible.is_empty(), "missed {:?}", feasible),
            Verdict::Found(found) => {
                prop_assert!(feasible.contains(&found), "{:?} breaks a threshold", found);
                match instance.problem.objective {
                    Objective::MinLatency => {
                        prop_assert_eq!(Some(found.latency_us), best(&|e| e.latency_us));
                    }
                    Objective::MaxAccuracy => {
                        let key = |e: &Evaluated| -(e.accuracy.correct as f64);
                        prop_assert_eq!(Some(key(&found)), best(&key));
                        let fastest = feasible.iter().filter(|e| e.accuracy == found.accuracy);
                        let fastest = fastest.map(|e| e.latency_us).min_by(f64::total_cmp);
                        prop_assert_eq!(Some(found.latency_us), fastest);
                    }
                    Objective::Weighted { accuracy_weight } => {
                        let baseline = &outcome.baseline;
                        let key = |e: &Evaluated| {
                            e.latency_us / baseline.latency_us
                                + accuracy_weight * (baseline.accuracy.value() - e.accuracy.value())
                        };
                        prop_assert_eq!(Some(key(&found)), best(&key));
                    }
                }
            }
        }
    }

    #[test]
    fn following_the_advice_makes_an_infeasible_problem_feasible(instance in instance()) {
        let (outcome, _) = instance.solve();
        if let Verdict::Infeasible(infeasible) = outcome.verdict {
            prop_assert!(!infeasible.relax.is_empty());
            let all_stages = infeasible.relax.iter().all(|r| matches!(r, Relaxation::Stage { .. }));
            for advice in &infeasible.relax {
                let mut relaxed = instance.clone();
                match advice {
                    Relaxation::Accuracy { best, .. } => {
                        relaxed.problem.floor = Some(Floor::MinAccuracy(best.value()));
                    }
                    Relaxation::Latency { needed_us, .. } => {
                        relaxed.problem.max_latency_us = Some(*needed_us);
                    }
                    Relaxation::Both { best, needed_us, .. } => {
                        relaxed.problem.floor = Some(Floor::MinAccuracy(best.value()));
                        relaxed.problem.max_latency_us = Some(*needed_us);
                    }
                    Relaxation::Stage { stage, best, .. } => {
                        relaxed.problem.stages[*stage].min_accuracy = Some(*best);
                    }
                }
                let left = relaxed.solve().0.verdict;
                if !all_stages {
                    prop_assert!(matches!(left, Verdict::Found(_)), "{advice:?} was not enough");
                } else if let Verdict::Infeasible(left) = left {
                    // A stage's advice cures that stage; others may remain.
                    let cured = |r: &Relaxation| {
                        !matches!((r, advice), (Relaxation::Stage { stage: a, .. },
                            Relaxation::Stage { stage: b, .. }) if a == b)
                    };
                    prop_assert!(left.relax.iter().all(cured));
                }
            }
        }
    }
}

/// Six stages of six levels: 46,656 assignments.
#[test]
fn six_stages_of_six_levels_are_enumerated_in_full_and_in_order() {
    let stage = |s: usize| StageChoices {
        name: format!("s{s}"),
        choices: (0..6)
            .map(|c| Choice {
                level: Level::ALL[c],
                recipe: "minmax".to_owned(),
                variant_sha256: String::new(),
                latency_us: 1000.0 / (1.0 + (c * (s + 3) % 7) as f64),
                interval_us: None,
                accuracy: None,
            })
            .collect(),
        baseline: 0,
        min_accuracy: None,
    };
    let problem = Problem {
        stages: (0..6).map(stage).collect(),
        composition: Composition::chain(6),
        objective: Objective::MinLatency,
        floor: Some(Floor::MinAccuracy(1.0)),
        max_latency_us: None,
        max_evaluations: None,
    };
    let mut calls = 0;
    let outcome = solve(&problem, |_| {
        calls += 1;
        Ok::<_, Infallible>(Accuracy { correct: 0, total: 1 })
    })
    .unwrap();
    assert_eq!(calls, 6_usize.pow(6));
    assert!(matches!(outcome.verdict, Verdict::Infeasible(_)));
}

#[test]
fn running_out_of_evaluations_is_said() {
    let stage = |name: &str| StageChoices {
        name: name.to_owned(),
        choices: [100.0, 10.0]
            .into_iter()
            .map(|latency_us| Choice {
                level: Level::Fp32,
                recipe: String::new(),
                variant_sha256: String::new(),
                latency_us,
                interval_us: None,
                accuracy: None,
            })
            .collect(),
        baseline: 0,
        min_accuracy: None,
    };
    let problem = Problem {
        stages: vec![stage("a"), stage("b")],
        composition: Composition::chain(2),
        objective: Objective::MinLatency,
        floor: Some(Floor::MaxDropPoints(0.0)),
        max_latency_us: None,
        max_evaluations: Some(2),
    };
    let only_baseline_is_right = |picks: &[usize]| {
        let correct = u64::from(picks == [0, 0]);
        Ok::<_, Infallible>(Accuracy { correct, total: 1 })
    };
    let outcome = solve(&problem, only_baseline_is_right).unwrap();
    assert_eq!(outcome.certificate.guarantee, Guarantee::Incomplete);
    assert_eq!(outcome.trace.len(), 2);
}
