//! Searching the measured table of one board.

use quantrack_engine::Level;

use super::{SearchRecord, uniform};
use crate::exit::Failure;
use crate::search::{Accuracy, Evaluated, Problem, SolveError, solve};
use crate::spec::Percentile;

/// Measures end-to-end accuracy.
pub trait EndToEnd {
    /// Right answers of the assignment that runs these variants, one digest per stage.
    ///
    /// # Errors
    /// When it cannot be evaluated.
    fn accuracy(&mut self, variants: &[&str]) -> Result<Accuracy, Failure>;
}

/// Whose latencies a problem is made of.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Fingerprint of the board.
    pub device: String,
    /// Engine build that was timed.
    pub engine_build: String,
    /// Threads of the engine.
    pub threads: u32,
    /// Which percentile the latencies are.
    pub percentile: Percentile,
}

/// Solves `problem`, evaluates the uniform levels for comparison, and records both.
///
/// # Errors
/// A problem that makes no sense, or an evaluation that failed.
pub fn search(
    scope: &Scope,
    problem: Problem,
    evaluator: &mut dyn EndToEnd,
) -> Result<SearchRecord, Failure> {
    let outcome = solve(&problem, |picks| evaluate(&problem, picks, evaluator));
    let outcome = outcome.map_err(|error| match error {
        SolveError::Problem(error) => Failure::usage(error),
        SolveError::Evaluate(failure) => failure,
    })?;
    let mut compared = Vec::new();
    for level in Level::ALL {
        let Some(picks) = uniform(&problem, level) else { continue };
        let known = outcome.trace.iter().find(|evaluated| evaluated.picks == picks);
        let evaluated = match known {
            Some(evaluated) => evaluated.clone(),
            None => Evaluated {
                latency_us: problem.latency_us(&picks),
                accuracy: evaluate(&problem, &picks, evaluator)?,
                picks,
            },
        };
        compared.push((level, evaluated));
    }
    Ok(SearchRecord::new(scope, problem, outcome, compared))
}

fn evaluate(
    problem: &Problem,
    picks: &[usize],
    evaluator: &mut dyn EndToEnd,
) -> Result<Accuracy, Failure> {
    let stages = problem.stages.iter().zip(picks);
    let variants: Vec<&str> =
        stages.map(|(stage, &pick)| stage.choices[pick].variant_sha256.as_str()).collect();
    evaluator.accuracy(&variants)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{Choice, Composition, Floor, Objective, StageChoices};

    /// Right answers by the levels of both stages: one bit costs most in the first stage.
    struct Table;

    impl EndToEnd for Table {
        fn accuracy(&mut self, variants: &[&str]) -> Result<Accuracy, Failure> {
            let lost: u64 = match variants {
                ["fp32", "fp32"] => 0,
                ["int8", _] => 2,
                ["bin1", _] => 60,
                _ => 1,
            };
            Ok(Accuracy { correct: 95 - lost, total: 100 })
        }
    }

    fn stage(name: &str) -> StageChoices {
        let choice = |(level, latency_us): (Level, f64)| Choice {
            level,
            recipe: "minmax".to_owned(),
            variant_sha256: level.name().to_owned(),
            latency_us,
            interval_us: None,
            accuracy: None,
        };
        StageChoices {
            name: name.to_owned(),
            choices: [(Level::Fp32, 100.0), (Level::Int8, 60.0), (Level::Bin1, 10.0)]
                .map(choice)
                .into(),
            baseline: 0,
            min_accuracy: None,
        }
    }

    fn run(floor: Floor, max_latency_us: Option<f64>) -> SearchRecord {
        let problem = Problem {
            stages: vec![stage("first"), stage("second")],
            composition: Composition::chain(2),
            objective: Objective::MinLatency,
            floor: Some(floor),
            max_latency_us,
            max_evaluations: None,
        };
        let scope = Scope {
            pipeline: "p".to_owned(),
            device: "d".to_owned(),
            engine_build: "e".to_owned(),
            threads: 1,
            percentile: Percentile::Median,
        };
        search(&scope, problem, &mut Table).unwrap()
    }

    #[test]
    fn levels_differ_between_stages_where_that_is_best() {
        let record = run(Floor::MaxDropPoints(4.0), None);
        let assignment = record.assignment.clone().unwrap();
        assert_eq!(assignment["first"], Level::Int8);
        assert_eq!(assignment["second"], Level::Bin1);
        assert_eq!(record.predicted_latency_us, Some(70.0));
        assert_eq!(record.baseline_latency_us, 200.0);
        assert_eq!(record.uniform.len(), 3);
        assert!(record.advice.is_empty());
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<SearchRecord>(&text).unwrap(), record);
    }

    #[test]
    fn an_infeasible_search_says_what_to_relax_and_by_how_much() {
        let record = run(Floor::MaxDropPoints(4.0), Some(50.0));
        assert_eq!(record.assignment, None);
        assert_eq!(record.advice.len(), 2, "{:?}", record.advice);
        assert!(record.advice[0].contains("70"), "{:?}", record.advice);
        assert!(record.advice[1].contains("points"), "{:?}", record.advice);
    }
}
