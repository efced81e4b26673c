//! An explanation for people who do not know the search.

use super::{Assignment, Binding, ChoiceOption, Explanation, Known, Uniform};
use crate::output::{duration_us, text_table};

/// Steps that are shown.
const STEPS: usize = 5;

/// The explanation as text.
pub fn human(explanation: &Explanation) -> String {
    let mut parts = vec![answer(explanation), binding(explanation)];
    if !explanation.stages.is_empty() {
        parts.push(format!("Stage by stage, all others as chosen\n{}", stages(explanation)));
        parts.push(relaxations(explanation));
    }
    parts.push(uniform(explanation));
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

/// As in "int8 palm, fp32 landmark".
fn levels(assignment: &Assignment) -> String {
    let all: Vec<String> =
        assignment.levels.iter().map(|(stage, level)| format!("{stage} {level}")).collect();
    all.join(", ")
}

fn right(assignment: &Assignment) -> String {
    let Assignment { correct, total, .. } = assignment;
    format!("{correct} of {total} right")
}

fn share(of_one: f64) -> String {
    format!("{:.0} %", 100.0 * of_one)
}

fn answer(explanation: &Explanation) -> String {
    let Explanation { pipeline, baseline, .. } = explanation;
    let asked = explanation.min_correct.map_or(String::new(), |asked| {
        format!(" At least {asked} are asked, {} at fp32.", right(baseline))
    });
    match &explanation.chosen {
        None => {
            let advice: Vec<String> =
                explanation.advice.iter().map(|advice| format!("  - {advice}")).collect();
            let list = advice.join("\n");
            format!("{pipeline}: nothing meets the thresholds.{asked} What would help:\n{list}")
        }
        Some(chosen) => format!(
            "{pipeline}: {}.\nIt takes {} instead of {} ({:.2} times faster), {}.{asked}",
            levels(chosen),
            duration_us(chosen.latency_us),
            duration_us(baseline.latency_us),
            baseline.latency_us / chosen.latency_us,
            right(chosen)
        ),
    }
}

fn binding(explanation: &Explanation) -> String {
    match &explanation.binding {
        Binding::Accuracy { faster, nearest } => format!(
            "Why not faster? {faster} faster assignment{} tried, and every one gets too much wrong. The closest ({}) has \
             {} in {}.",
            if *faster == 1 { " was" } else { "s were" },
            levels(nearest),
            right(nearest),
            duration_us(nearest.latency_us)
        ),
        Binding::Hopeless => "Why not faster? Every faster assignment gets too much wrong: their evaluations ended as \
                              soon as that was certain."
            .to_owned(),
        Binding::Latency { nearest } => format!(
            "Why not more accurate? The latency limit: {} has {}, and takes {}.",
            levels(nearest),
            right(nearest),
            duration_us(nearest.latency_us)
        ),
        Binding::Predicted => "Why not better? By the table, what single stages lose adds up to too much in all others that \
                               would be. They were not tried."
            .to_owned(),
        Binding::Stages => {
            "Why not faster? Only the thresholds of single stages exclude faster choices."
                .to_owned()
        }
        Binding::Nothing => "Nothing stands against it: no assignment is better at all.".to_owned(),
        Binding::NoAnswer => String::new(),
    }
}

fn stages(explanation: &Explanation) -> String {
    let header = ["stage", "level", "recipe", ">latency", ">pipeline", "then"];
    let rows = explanation.stages.iter().flat_map(|stage| {
        stage.options.iter().map(|option| {
            vec![
                stage.stage.clone(),
                option.level.to_string(),
                option.recipe.clone(),
                duration_us(option.latency_us),
                difference(option.difference_us),
                known(explanation, option),
            ]
        })
    });
    text_table(&header, rows)
}

fn difference(us: f64) -> String {
    match us {
        0.0 => "same".to_owned(),
        us if us < 0.0 => format!("-{}", duration_us(-us)),
        us => format!("+{}", duration_us(us)),
    }
}

fn known(explanation: &Explanation, option: &ChoiceOption) -> String {
    match &option.verdict {
        Known::Chosen => "chosen".to_owned(),
        Known::Evaluated { correct, total } => {
            let asked = explanation.min_correct.unwrap_or(0);
            match asked.saturating_sub(*correct) {
                0 => format!("{correct} of {total} right"),
                short => format!("{correct} of {total} right: {short} too few"),
            }
        }
        Known::Hopeless { at_most, total } => {
            format!("at most {at_most} of {total} right: stopped there")
        }
        Known::BelowThreshold { accuracy: Some(accuracy), min_accuracy: Some(asked) } => {
            format!("the stage alone reaches {accuracy:.3} of {asked:.3} asked")
        }
        Known::BelowThreshold { .. } => "the stage alone misses its threshold".to_owned(),
        Known::NotFaster => "no gain: not tried".to_owned(),
        Known::NotEvaluated => "not tried".to_owned(),
    }
}

fn relaxations(explanation: &Explanation) -> String {
    let steps = &explanation.relaxations;
    if steps.is_empty() {
        return String::new();
    }
    let total = explanation.baseline.total as f64;
    let lines = steps.iter().take(STEPS).map(|step| {
        format!(
            "  - {} right answer{} fewer ({:.1} points): {}, {} faster, with {}",
            step.fewer,
            if step.fewer == 1 { "" } else { "s" },
            100.0 * step.fewer as f64 / total,
            duration_us(step.gains.latency_us),
            share(step.saves),
            levels(&step.gains)
        )
    });
    let lines: Vec<String> = lines.collect();
    format!("What a lower accuracy would buy\n{}", lines.join("\n"))
}

fn uniform(explanation: &Explanation) -> String {
    if explanation.uniform.is_empty() {
        return String::new();
    }
    let header = ["level", ">latency", ">right", "why not"];
    let rows = explanation.uniform.iter().map(|uniform| {
        vec![
            uniform.level.to_string(),
            duration_us(uniform.assignment.latency_us),
            right(&uniform.assignment).trim_end_matches(" right").to_owned(),
            against(uniform),
        ]
    });
    format!("All stages at one level\n{}", text_table(&header, rows))
}

/// What stands against a uniform level.
fn against(uniform: &Uniform) -> String {
    let mut reasons = Vec::new();
    if uniform.short_of > 0 {
        reasons.push(format!("{} right answers too few", uniform.short_of));
    }
    if uniform.too_slow {
        reasons.push("over the latency limit".to_owned());
    }
    match uniform.slower {
        Some(slower) if slower > 0.0 => reasons.push(format!("{} slower", share(slower))),
        Some(slower) if slower == 0.0 && reasons.is_empty() => {
            reasons.push("nothing: as fast as what was chosen".to_owned());
        }
        _ => {}
    }
    reasons.join(", ")
}
