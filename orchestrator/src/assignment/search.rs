//! Searching the measured table of one board.

use quantrack_engine::Level;

use super::{SearchRecord, uniform};
use crate::exit::Failure;
use crate::search::{
    Evaluate, Evaluated, Outcome, Problem, Progress, Proposals, SolveError, Stopping, solve,
    solve_table,
};
use crate::spec::Percentile;

/// Measures end-to-end accuracy.
pub trait EndToEnd {
    /// Whether the assignment that runs these variants, one digest per stage, has each sample right, as
    /// [`Evaluate::answers`] asks for.
    ///
    /// # Errors
    /// When it cannot be evaluated.
    fn answers(
        &mut self,
        variants: &[&str],
        stop: Option<&Stopping<'_>>,
    ) -> Result<Vec<bool>, Failure>;

    /// What the first stages leave, running these variants, as [`Evaluate::reached`] asks for.
    ///
    /// # Errors
    /// When it cannot be evaluated.
    fn reached(&mut self, _variants: &[&str], _needed: u64) -> Result<Option<u64>, Failure> {
        Ok(None)
    }

    /// Called when something became known.
    fn progress(&mut self, _progress: &Progress) {}
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
    let outcome = solve(&problem, &mut Picked { problem: &problem, evaluator });
    let outcome = outcome.map_err(failure)?;
    let uniform = compared(&problem, &outcome, evaluator)?;
    Ok(SearchRecord::new(scope, problem, outcome, uniform))
}

/// As [`search`], by the table of what choices lose alone; the `count` best by it are proposed, and evaluated.
///
/// # Errors
/// As [`search`].
pub fn search_table(
    scope: &Scope,
    problem: Problem,
    evaluator: &mut dyn EndToEnd,
    count: usize,
) -> Result<SearchRecord, Failure> {
    let solved = solve_table(&problem, &mut Picked { problem: &problem, evaluator }, count);
    let Proposals { proposals, outcome } = solved.map_err(failure)?;
    let uniform = compared(&problem, &outcome, evaluator)?;
    Ok(SearchRecord { proposals, ..SearchRecord::new(scope, problem, outcome, uniform) })
}

fn failure(error: SolveError<Failure>) -> Failure {
    match error {
        SolveError::Problem(error) => Failure::usage(error),
        SolveError::Evaluate(failure) => failure,
    }
}

/// The uniform levels, for comparison.
fn compared(
    problem: &Problem,
    outcome: &Outcome,
    evaluator: &mut dyn EndToEnd,
) -> Result<Vec<(Level, Evaluated)>, Failure> {
    let mut compared = Vec::new();
    for level in Level::ALL {
        let Some(picks) = uniform(problem, level) else { continue };
        let total = outcome.baseline.accuracy.total;
        let known = |seen: &&Evaluated| seen.picks == picks && seen.is_complete(total);
        let known = outcome.trace.iter().find(known);
        let evaluated = match known {
            Some(evaluated) => evaluated.clone(),
            None => whole(problem, picks, evaluator)?,
        };
        compared.push((level, evaluated));
    }
    Ok(compared)
}

/// Evaluates an assignment on all samples.
fn whole(
    problem: &Problem,
    picks: Vec<usize>,
    evaluator: &mut dyn EndToEnd,
) -> Result<Evaluated, Failure> {
    let answers = Picked { problem, evaluator }.answers(&picks, None)?;
    Ok(Evaluated::whole(problem, picks, &answers))
}

/// Evaluates picks by the variants that they stand for.
struct Picked<'a> {
    problem: &'a Problem,
    evaluator: &'a mut dyn EndToEnd,
}

/// Digests of the variants that the first stages run.
fn variants<'a>(problem: &'a Problem, picks: &[usize]) -> Vec<&'a str> {
    let stages = problem.stages.iter().zip(picks);
    stages.map(|(stage, &pick)| stage.choices[pick].variant_sha256.as_str()).collect()
}

impl Evaluate for Picked<'_> {
    type Error = Failure;

    fn answers(
        &mut self,
        picks: &[usize],
        stop: Option<&Stopping<'_>>,
    ) -> Result<Vec<bool>, Failure> {
        self.evaluator.answers(&variants(self.problem, picks), stop)
    }

    fn reached(&mut self, picks: &[usize], needed: u64) -> Result<Option<u64>, Failure> {
        self.evaluator.reached(&variants(self.problem, picks), needed)
    }

    fn progress(&mut self, progress: &Progress) {
        self.evaluator.progress(progress);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{Choice, Composition, Constraints, Floor, Method, Objective, StageChoices};

    /// Right answers by the levels of both stages: one bit costs most in the first stage.
    struct Table;

    impl EndToEnd for Table {
        fn answers(
            &mut self,
            variants: &[&str],
            _: Option<&Stopping<'_>>,
        ) -> Result<Vec<bool>, Failure> {
            let lost: u64 = match variants {
                ["fp32", "fp32"] => 0,
                ["int8", _] => 2,
                ["bin1", _] => 60,
                _ => 1,
            };
            Ok((0..100).map(|sample| sample < 95 - lost).collect())
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
            model_bytes: 1000,
            memory_bytes: None,
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

    fn problem(floor: Floor, max_latency_us: Option<f64>) -> Problem {
        Problem {
            stages: vec![stage("first"), stage("second")],
            composition: Composition::chain(2),
            objective: Objective::MinLatency,
            floor: Some(floor),
            max_latency_us,
            constraints: Constraints::default(),
            method: Method::default(),
            max_evaluations: None,
        }
    }

    fn scope() -> Scope {
        Scope {
            pipeline: "p".to_owned(),
            device: "d".to_owned(),
            engine_build: "e".to_owned(),
            threads: 1,
            percentile: Percentile::Median,
        }
    }

    fn run(floor: Floor, max_latency_us: Option<f64>) -> SearchRecord {
        search(&scope(), problem(floor, max_latency_us), &mut Table).unwrap()
    }

    fn run_table(floor: Floor, max_latency_us: Option<f64>, count: usize) -> SearchRecord {
        search_table(&scope(), problem(floor, max_latency_us), &mut Table, count).unwrap()
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

    #[test]
    fn the_table_proposes_the_best_by_what_choices_lose_alone() {
        let record = run_table(Floor::MaxDropPoints(4.0), None, 2);
        let seen: Vec<_> = record
            .proposals
            .iter()
            .map(|p| (&p.evaluated.picks[..], p.predicted, p.evaluated.accuracy.correct))
            .collect();
        // Two right answers and one are lost alone, two together.
        assert_eq!(seen, [(&[1, 2][..], 92, 93), (&[0, 2][..], 94, 94)]);
        assert_eq!(record.predicted_latency_us, Some(70.0));
        assert!(record.is_by_table() && crate::certificate::certificate(&record).is_err());
        // The baseline, each of the other four choices alone, and what was not among them.
        assert_eq!(record.evaluations, 6);
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<SearchRecord>(&text).unwrap(), record);
    }

    #[test]
    fn the_first_proposal_that_keeps_the_floor_is_chosen() {
        /// Losses that do not add up: both stages at one bit find nothing.
        struct Together;
        impl EndToEnd for Together {
            fn answers(
                &mut self,
                variants: &[&str],
                _: Option<&Stopping<'_>>,
            ) -> Result<Vec<bool>, Failure> {
                Ok(vec![variants != ["bin1", "bin1"]; 100])
            }
        }
        let problem = problem(Floor::MaxDropPoints(4.0), None);
        let record = search_table(&scope(), problem.clone(), &mut Together, 2).unwrap();
        assert_eq!(record.predicted_latency_us, Some(70.0));
        let record = search_table(&scope(), problem, &mut Together, 1).unwrap();
        assert_eq!((record.assignment, record.proposals.len()), (None, 1));
    }

    #[test]
    fn an_infeasible_table_says_what_to_relax() {
        let record = run_table(Floor::MaxDropPoints(4.0), Some(50.0), 1);
        assert_eq!(record.assignment, None);
        assert!(record.proposals.is_empty());
        assert_eq!(record.advice.len(), 2, "{:?}", record.advice);
        assert!(record.advice[0].contains("70"), "{:?}", record.advice);
        assert!(record.advice[1].contains("points"), "{:?}", record.advice);
    }
}
