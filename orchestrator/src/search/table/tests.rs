//! The table search against brute force.

use proptest::prelude::*;

use super::super::compose::Composition;
use super::super::instance::{Instance, instance};
use super::super::outcome::Evaluated;
use super::*;

/// Losses of the choices of an instance, from a list of numbers.
fn losses(instance: &Instance, numbers: &[u64], most: Option<u64>) -> Losses {
    let stages = instance.problem.stages.iter().enumerate();
    let of = |index: usize, pick: usize| numbers[(4 * index + pick) % numbers.len()];
    let by_choice =
        stages.map(|(index, stage)| (0..stage.choices.len()).map(|pick| of(index, pick)).collect());
    Losses { by_choice: by_choice.collect(), most, whole: 20 }
}

fn without_dependence(part: &mut Composition) {
    match part {
        Composition::Stage { by, .. } => *by = None,
        Composition::Chain(parts) | Composition::Parallel(parts) => {
            parts.iter_mut().for_each(without_dependence);
        }
    }
}

/// Latency and loss of all assignments that may be chosen, in the order of the objective.
fn brute_force(instance: &Instance, losses: &Losses) -> Vec<(f64, u64)> {
    let loss = |e: &Evaluated| -> u64 {
        losses.by_choice.iter().zip(&e.picks).map(|(row, &pick)| row[pick]).sum()
    };
    let feasible = instance.feasible();
    let mut all: Vec<(f64, u64)> = feasible.iter().map(|e| (e.latency_us, loss(e))).collect();
    all.retain(|(_, loss)| losses.most.is_none_or(|most| *loss <= most));
    let baseline_us = instance.problem.latency_us(&instance.problem.baseline());
    all.sort_by(|a, b| match instance.problem.objective {
        Objective::MaxAccuracy => (a.1.cmp(&b.1)).then(a.0.total_cmp(&b.0)),
        Objective::Weighted { accuracy_weight } => {
            let score = |of: &(f64, u64)| {
                (of.0 / baseline_us + accuracy_weight * of.1 as f64 / losses.whole as f64) * 1e9
            };
            (score(a).round().total_cmp(&score(b).round())).then(a.0.total_cmp(&b.0))
        }
        Objective::MinLatency | Objective::ParetoFront => a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)),
    });
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn predictions_are_those_of_brute_force_in_order(
        instance in instance(),
        numbers in prop::collection::vec(0..9_u64, 16),
        most in prop::option::of(0..20_u64),
        count in 1..6_usize,
    ) {
        let mut instance = Instance { correct: vec![20; instance.correct.len()], ..instance };
        let losses = losses(&instance, &numbers, most);
        for plain in [false, true] {
            if plain {
                instance.problem.constraints = Constraints::default();
                without_dependence(&mut instance.problem.composition);
            }
            let found = predict(&instance.problem, &losses, count).unwrap();
            let mut want = brute_force(&instance, &losses);
            if instance.problem.objective == Objective::ParetoFront {
                let mut least = u64::MAX;
                want.retain(|&(_, loss)| {
                    let better = loss < least;
                    least = least.min(loss);
                    better
                });
            } else {
                want.truncate(count);
            }
            let of: Vec<(f64, u64)> = found.iter().map(|p| (p.latency_us, p.loss)).collect();
            prop_assert_eq!(of, want);
            for prediction in &found {
                prop_assert!(instance.is_allowed(&prediction.picks));
                let again = found.iter().filter(|other| other.picks == prediction.picks);
                prop_assert_eq!(again.count(), 1, "found twice");
            }
            // One alone goes by the knapsack, where that can.
            let first = predict(&instance.problem, &losses, 1).unwrap();
            let first = first.first().map(|p| (p.latency_us, p.loss));
            prop_assert_eq!(first, found.first().map(|p| (p.latency_us, p.loss)));
        }
    }
}
