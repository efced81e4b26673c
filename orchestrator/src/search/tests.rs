//! The search against brute force.

use std::convert::Infallible;

use proptest::prelude::*;
use quantrack_engine::Level;

use super::instance::{TOTAL, instance};
use super::*;
use proptest::strategy::ValueTree as _;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn the_enumeration_is_complete_ordered_and_free_of_repetition(instance in instance()) {
        let walked: Vec<_> = Enumerate::new(&instance.problem).collect();
        let ordered = |a: &(Vec<usize>, f64), b: &(Vec<usize>, f64)| {
            a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)).is_lt()
        };
        prop_assert!(walked.windows(2).all(|pair| ordered(&pair[0], &pair[1])));
        prop_assert!(walked.iter().all(|(picks, us)| instance.problem.latency_us(picks) == *us));
        let mut picks: Vec<_> = walked.into_iter().map(|(picks, _)| picks).collect();
        picks.sort();
        let mut all: Vec<_> = instance.all().into_iter().map(|e| e.picks).collect();
        all.retain(|picks| instance.is_allowed(picks));
        prop_assert_eq!(picks, all);
    }

    #[test]
    fn the_table_has_the_answer_where_losses_add_up(instance in instance(), count in 1..4_usize) {
        let mut instance = instance.with_monotone_accuracy();
        for stage in &mut instance.problem.stages {
            let highest = stage.choices.iter().enumerate().min_by_key(|(_, choice)| choice.level);
            stage.baseline = highest.unwrap().0;
        }
        // Fewer than no right answers there are not: losses that are cut off do not add up.
        let adds_up = instance.all().iter().all(|e| e.accuracy.correct > 0);
        let mut oracle = instance::Oracle { instance: &instance, calls: Vec::new() };
        let solved = solve_table(&instance.problem, &mut oracle, count).unwrap();
        let calls = oracle.calls.len();
        prop_assert_eq!(calls, solved.outcome.trace.len(), "nothing twice");
        for proposal in solved.proposals.iter().filter(|_| adds_up) {
            prop_assert_eq!(proposal.predicted, proposal.evaluated.accuracy.correct);
        }
        let feasible = instance.feasible();
        match solved.outcome.verdict {
            Verdict::Infeasible(infeasible) if adds_up => {
                prop_assert!(feasible.is_empty(), "missed {:?}", feasible);
                prop_assert!(!infeasible.relax.is_empty());
            }
            Verdict::Infeasible(_) => {}
            Verdict::Found(found) => {
                prop_assert!(feasible.iter().any(|e| e.picks == found.picks));
                if adds_up && instance.problem.objective == Objective::MinLatency {
                    let least = feasible.iter().map(|e| e.latency_us).min_by(f64::total_cmp);
                    prop_assert_eq!(Some(found.latency_us), least);
                }
            }
        }
    }

    #[test]
    fn the_answer_is_as_good_as_brute_force(
        mut instance in instance(), tested in any::<bool>(), monotone in prop::option::of(1..4_u64)
    ) {
        if let Some(margin) = monotone {
            instance = instance.with_monotone_accuracy();
            instance.problem.method.monotone_margin = Some(margin);
        } else if tested {
            // So small that no test of so few samples can be passed by chance.
            instance.problem.method.false_rejection = 1e-9;
        }
        let (outcome, calls) = instance.solve();
        prop_assert!(outcome.trace.iter().all(|seen| calls.contains(&seen.picks)));
        let asked = match monotone {
            Some(_) => Guarantee::Monotone,
            None => Guarantee::AssumptionFree,
        };
        prop_assert_eq!(outcome.certificate.guarantee, asked);
        let feasible = instance.feasible();
        let best = |key: &dyn Fn(&Evaluated) -> f64| {
            feasible.iter().map(key).min_by(f64::total_cmp)
        };
        match outcome.verdict {
            Verdict::Infeasible(_) => prop_assert!(feasible.is_empty(), "missed {:?}", feasible),
            Verdict::Found(found) => {
                let is_found = |e: &Evaluated| (&e.picks, e.accuracy) == (&found.picks, found.accuracy);
                prop_assert!(feasible.iter().any(is_found), "{:?} breaks a threshold", found);
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
                    Objective::ParetoFront => {
                        let values = |all: &[Evaluated]| -> Vec<(f64, u64)> {
                            all.iter().map(|e| (e.latency_us, e.accuracy.correct)).collect()
                        };
                        let front: Vec<Evaluated> = pareto_front(&feasible)
                            .into_iter().map(|at| feasible[at].clone()).collect();
                        prop_assert_eq!(values(&outcome.front), values(&front));
                        prop_assert_eq!(Some(&found), outcome.front.first());
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
                    Relaxation::Bytes { model_bytes, memory_bytes, .. } => {
                        relaxed.problem.constraints.max_model_bytes = Some(*model_bytes);
                        relaxed.problem.constraints.max_memory_bytes = Some(*memory_bytes);
                        let left = Enumerate::new(&relaxed.problem).next();
                        prop_assert!(left.is_some(), "{advice:?} was not enough");
                        continue;
                    }
                    Relaxation::SameLevel { .. } => {
                        relaxed.problem.constraints = Constraints::default();
                        prop_assert!(Enumerate::new(&relaxed.problem).next().is_some());
                        continue;
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

/// One sample.
struct Fixed<F>(F);

impl<F: Fn(&[usize]) -> bool> Evaluate for Fixed<F> {
    type Error = Infallible;

    fn answers(
        &mut self,
        picks: &[usize],
        _: Option<&Stopping<'_>>,
    ) -> Result<Vec<bool>, Infallible> {
        Ok(vec![(self.0)(picks)])
    }
}

/// The fastest assignment is the most accurate, though all of its stages run at lower levels than the others'.
#[test]
fn an_audit_that_contradicts_monotone_accuracy_leads_back_to_no_assumption() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut fell_back, mut missed, mut runs) = (0, 0, 0);
    for _ in 0..600 {
        let mut instance = instance().new_tree(&mut runner).unwrap().current();
        instance.problem.method.monotone_margin = Some(1);
        instance.problem.objective = Objective::MinLatency;
        let (outcome, _) = instance.solve();
        let best = instance.feasible().iter().map(|e| e.latency_us).min_by(f64::total_cmp);
        let found = match &outcome.verdict {
            Verdict::Found(found) => Some(found.latency_us),
            Verdict::Infeasible(_) => None,
        };
        runs += 1;
        fell_back += usize::from(outcome.certificate.guarantee == Guarantee::AssumptionFree);
        match outcome.certificate.guarantee {
            Guarantee::AssumptionFree => assert_eq!(found, best),
            _ => missed += usize::from(found != best),
        }
        assert!(outcome.baseline.is_complete(TOTAL));
    }
    // Accuracy is random here, so most runs are contradicted.
    assert!(10 * missed < runs, "{missed} of {runs} were not the best");
    assert!(fell_back > 100, "{fell_back} of {runs} fell back");
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
                model_bytes: 0,
                memory_bytes: None,
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
        constraints: Constraints::default(),
        method: Method::default(),
        max_evaluations: None,
    };
    let outcome = solve(&problem, &mut Fixed(|_: &[usize]| false)).unwrap();
    assert_eq!(outcome.trace.len(), 6_usize.pow(6));
    assert!(matches!(outcome.verdict, Verdict::Infeasible(_)));
}

#[test]
fn rates_that_leave_out_every_stage_are_a_mistake() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut problem = instance().new_tree(&mut runner).unwrap().current().problem;
    let never = |stage| Composition::Stage { stage, rate: 0.0, by: None };
    problem.composition = Composition::Chain((0..problem.stages.len()).map(never).collect());
    assert_eq!(problem.validate(), Err(ProblemError::NeverRuns));
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
                model_bytes: 0,
                memory_bytes: None,
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
        constraints: Constraints::default(),
        method: Method::default(),
        max_evaluations: Some(2),
    };
    let only_baseline_is_right = |picks: &[usize]| picks == [0, 0];
    let outcome = solve(&problem, &mut Fixed(only_baseline_is_right)).unwrap();
    assert_eq!(outcome.certificate.guarantee, Guarantee::Incomplete);
    assert_eq!(outcome.trace.len(), 2);
}
