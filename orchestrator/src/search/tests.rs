//! The search against brute force.

use std::convert::Infallible;

use proptest::prelude::*;
use quantrack_engine::Level;

use super::instance::instance;
use super::*;

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
