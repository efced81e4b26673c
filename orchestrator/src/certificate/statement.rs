//! A certificate in words.

use super::document::Document;
use crate::output::duration_us;
use crate::search::Guarantee;

/// What a certificate proves, in a sentence.
pub fn statement(document: &Document) -> String {
    let proof = &document.proof;
    let answer = match &proof.incumbent {
        Some(answer) => {
            let stages = document.table.stages.iter().zip(&answer.picks);
            let levels: Vec<String> = stages
                .map(|(stage, &pick)| format!("{}={}", stage.name, stage.choices[pick].level))
                .collect();
            let (correct, total) = (answer.correct, answer.total);
            let latency = duration_us(answer.latency_us);
            format!("{} takes {latency} with {correct} of {total} right", levels.join(", "))
        }
        None if proof.guarantee == Guarantee::Incomplete => "no answer".to_owned(),
        None => "no assignment meets the thresholds".to_owned(),
    };
    let scope = match (proof.guarantee, proof.covered_us) {
        (Guarantee::AssumptionFree, _) => {
            "nothing meets them better, whatever accuracy does".to_owned()
        }
        (Guarantee::Monotone, _) => format!(
            "nothing meets them better, if fewer bits give fewer than {} more right answers ({} audits agree)",
            proof.monotone_margin.unwrap_or_default(),
            proof.audits.len()
        ),
        (Guarantee::Table, _) => "which is not proven: it goes by a table alone".to_owned(),
        (Guarantee::Incomplete, covered) => format!(
            "nothing faster than {} meets them better; slower ones were not all looked at",
            duration_us(covered.unwrap_or_default())
        ),
    };
    let risk = match document.question.false_rejection {
        0.0 => String::new(),
        risk => format!(" (up to a probability of {risk} that a test stopped one that does)"),
    };
    let front = match proof.front.len() {
        0 => String::new(),
        points => format!(", and so do {points} assignments in all that none beats"),
    };
    match &proof.incumbent {
        Some(_) => format!("{answer} and meets the thresholds{front}; {scope}{risk}"),
        None if proof.guarantee == Guarantee::AssumptionFree => format!("{answer}{risk}"),
        None => format!("{answer}; {scope}{risk}"),
    }
}
