//! The outcome in sentences.

use crate::output::{bytes, duration_us};
use crate::search::{Certificate, Guarantee, Problem, Relaxation, Verdict};

/// What to relax, one sentence per threshold; empty when an assignment was found.
pub fn advice(problem: &Problem, verdict: &Verdict) -> Vec<String> {
    let Verdict::Infeasible(infeasible) = verdict else { return Vec::new() };
    infeasible.relax.iter().map(|relaxation| sentence(problem, relaxation)).collect()
}

fn levels(problem: &Problem, picks: &[usize]) -> String {
    let stages = problem.stages.iter().zip(picks);
    let named: Vec<String> = stages
        .map(|(stage, &pick)| format!("{}={}", stage.name, stage.choices[pick].level))
        .collect();
    named.join(", ")
}

fn sentence(problem: &Problem, relaxation: &Relaxation) -> String {
    match relaxation {
        Relaxation::Accuracy { best, min_correct, points, picks } => format!(
            "relax the end-to-end accuracy by {points:.1} points: the best within the latency limit has {} of {} \
             right, {min_correct} were asked ({})",
            best.correct,
            best.total,
            levels(problem, picks)
        ),
        Relaxation::Latency { needed_us, limit_us, picks } => format!(
            "relax the latency limit from {} to {}, which {} takes",
            duration_us(*limit_us),
            duration_us(*needed_us),
            levels(problem, picks)
        ),
        Relaxation::Both { best, min_correct, needed_us, limit_us, picks } => format!(
            "relax both: the most accurate assignment ({}) has {} of {} right where {min_correct} were asked, and \
             takes {} where {} were allowed",
            levels(problem, picks),
            best.correct,
            best.total,
            duration_us(*needed_us),
            duration_us(*limit_us)
        ),
        Relaxation::Stage { stage, best, min_accuracy } => format!(
            "relax the accuracy asked of stage {} from {min_accuracy:.3} to {best:.3}, the best that it reaches",
            problem.stages[*stage].name
        ),
        Relaxation::Bytes { model_bytes, memory_bytes, picks } => format!(
            "relax the limits on bytes: the fastest assignment ({}) has {} of model files and takes {} of memory",
            levels(problem, picks),
            bytes(*model_bytes),
            bytes(*memory_bytes)
        ),
        Relaxation::SameLevel { groups } => {
            let group = |group: &Vec<usize>| {
                let names: Vec<&str> =
                    group.iter().map(|&stage| problem.stages[stage].name.as_str()).collect();
                names.join(" and ")
            };
            let named: Vec<String> = groups.iter().map(group).collect();
            format!("let levels differ: {} have none in common that is allowed", named.join("; "))
        }
    }
}

/// What the certificate promises about the assignment that was found, or about there being none.
pub fn guarantee(certificate: &Certificate, evaluations: usize, found: bool) -> String {
    let covered = duration_us(certificate.covered_to_us);
    match (certificate.guarantee, found) {
        (Guarantee::AssumptionFree, true) => format!(
            "Optimal, with nothing assumed about accuracy: everything predicted to take up to {covered} was \
             evaluated end to end or is excluded by a threshold, {evaluations} assignments in all."
        ),
        (Guarantee::AssumptionFree, false) => format!(
            "Certain, with nothing assumed about accuracy: {evaluations} assignments were evaluated end to end, and \
             thresholds exclude the others."
        ),
        (Guarantee::Monotone, _) => format!(
            "{} if accuracy is monotone: {evaluations} assignments were evaluated end to end; what was not runs no stage \
             at a higher level than one that misses the thresholds by {} or more right answers. {} audits agree.",
            if found { "Optimal" } else { "Certain" },
            certificate.monotone_margin.unwrap_or_default(),
            certificate.audits.len()
        ),
        (Guarantee::Table, true) => format!(
            "The best by the table, where right answers that each choice loses alone are taken to add up; what is proposed \
             was evaluated end to end, others were not. {evaluations} evaluations in all."
        ),
        (Guarantee::Table, false) => format!(
            "Going by the table, where right answers that each choice loses alone are taken to add up: {evaluations} \
             evaluations. Without `--method table` the search does not rest on that."
        ),
        (Guarantee::Incomplete, true) => format!(
            "Not proven optimal: the limit on evaluations ended the search after {evaluations}. Of assignments \
             predicted to take up to {covered} none is better; slower ones were not all looked at."
        ),
        (Guarantee::Incomplete, false) => format!(
            "Not proven: the limit on evaluations ended the search after {evaluations}; raise --max-evaluations."
        ),
    }
}
