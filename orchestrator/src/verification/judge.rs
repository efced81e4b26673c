//! The verdict on what a board did with the chosen assignment.

use super::equality::TOLERANCE;
use super::latency::{LatencyCheck, Prediction};
use super::record::{Finding, VerificationRecord};
use crate::assignment::{SearchRecord, StageLevel};
use crate::output::duration_us;
use crate::stats::{LatencySummary, summarize};

/// Share of the pipeline's latency that every stage may be off by as if it were its own: what a stage of microseconds
/// is off by decides nothing.
const SMALL_STAGE: f64 = 0.1;

/// Holds latencies against what the latency table predicts for an assignment.
#[derive(Clone, Copy, Debug)]
pub struct Judge<'a> {
    /// The search, for how stages compose and which percentile it predicts.
    pub search: &'a SearchRecord,
    /// The assignment that was run.
    pub stages: &'a [StageLevel],
    /// What it is predicted to take, in microseconds.
    pub predicted_us: f64,
    /// How far latencies may be from the prediction beyond the intervals, as a share of it.
    pub max_deviation: f64,
}

impl Judge<'_> {
    /// The inferences of one stage, in nanoseconds; `None` when there are none.
    pub fn stage(&self, stage: &StageLevel, durations_ns: Vec<u64>) -> Option<LatencyCheck> {
        let smallest = SMALL_STAGE * self.predicted_us;
        let slack_us = self.max_deviation * stage.latency_us.max(smallest);
        let predicted = Prediction {
            percentile: self.search.percentile,
            latency_us: stage.latency_us,
            interval_us: stage.interval_us,
        };
        Some(LatencyCheck::new(predicted, &summarize(durations_ns, 0)?, slack_us))
    }

    /// Images end to end, in microseconds each.
    pub fn end_to_end(&self, measured: &LatencySummary) -> LatencyCheck {
        let latency_us = self.predicted_us;
        let bound = |pick: fn((f64, f64)) -> f64| {
            let of = |stage: &StageLevel| {
                pick(stage.interval_us.unwrap_or((stage.latency_us, stage.latency_us)))
            };
            let stages: Vec<f64> = self.stages.iter().map(of).collect();
            self.composed_us(&stages)
        };
        let predicted = Prediction {
            percentile: self.search.percentile,
            latency_us,
            interval_us: Some((bound(|interval| interval.0), bound(|interval| interval.1))),
        };
        LatencyCheck::new(predicted, measured, self.max_deviation * latency_us)
    }

    /// Latency of an image in microseconds from the nanoseconds that each stage took for it.
    pub fn image_us(&self, stage_ns: &[u64]) -> f64 {
        let stage_us: Vec<f64> = stage_ns.iter().map(|&ns| ns as f64 / 1e3).collect();
        self.composed_us(&stage_us)
    }

    /// Latency in microseconds of the assignment when its stages take so long.
    fn composed_us(&self, stage_us: &[f64]) -> f64 {
        let level = |stage: usize| self.stages.get(stage).map(|stage| stage.level);
        self.search.problem.composition.latency_us(stage_us, &level)
    }
}

/// Everything that speaks against the assignment; `limit_us` is the pipeline's latency limit.
pub fn failures(record: &VerificationRecord, limit_us: Option<f64>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if record.equal_outputs < record.samples {
        findings.push(different_outputs(record));
    }
    if let Some(limit) = limit_us.filter(|limit| record.measured_us > *limit) {
        findings.push(Finding {
            what: format!(
                "the pipeline takes {}, the limit is {}",
                duration_us(record.measured_us),
                duration_us(limit)
            ),
            next: "raise max-ms of [latency] in the pipeline file, or lower the accuracy it asks for and search again".to_owned(),
        });
    }
    let off = |what: &str, check: &LatencyCheck| {
        off_prediction(what, check, record.max_latency_deviation)
    };
    for stage in &record.stages {
        let deviates = stage.latency.as_ref().filter(|check| !check.within);
        findings.extend(
            deviates.map(|check| off(&format!("{} at {}", stage.stage, stage.level), check)),
        );
    }
    let deviates = record.latency.as_ref().filter(|check| !check.within);
    findings.extend(deviates.map(|check| {
        let mut finding = off("the pipeline", check);
        let several = record.stages.iter().find(|stage| stage.inferences > record.samples);
        if let Some(stage) = several {
            finding.what.push_str(&format!(
                "; {} ran {} times for {} images, and the prediction counts it once for each",
                stage.stage, stage.inferences, record.samples
            ));
        }
        finding
    }));
    findings
}

fn different_outputs(record: &VerificationRecord) -> Finding {
    let stages: Vec<&str> = record
        .stages
        .iter()
        .filter(|stage| stage.equal < stage.inferences)
        .map(|stage| stage.stage.as_str())
        .collect();
    let of = if stages.is_empty() { "the class".to_owned() } else { stages.join(", ") };
    Finding {
        what: format!(
            "{} of {} images differ from the host, by {of} (integers must be equal, floating point to {TOLERANCE:e} of the largest output)",
            record.samples - record.equal_outputs,
            record.samples,
        ),
        next: "run `agent self-test` on the board: it holds every kernel against the reference"
            .to_owned(),
    }
}

fn off_prediction(what: &str, check: &LatencyCheck, max_deviation: f64) -> Finding {
    let (low, high) = check.allowed_us;
    Finding {
        what: format!(
            "{what} takes {}, {:+.0} % from the predicted {}: outside {} to {}, which is the interval of the prediction and {:.0} %",
            duration_us(check.measured_us),
            100.0 * check.deviation(),
            duration_us(check.predicted_us),
            duration_us(low),
            duration_us(high),
            100.0 * max_deviation,
        ),
        next: "see that nothing else runs on the board and that it is as warm as when it was measured, then `orchestrator tune --remeasure`; --max-latency-deviation allows more".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use quantrack_engine::Level;

    use super::*;
    use crate::assignment::{EndToEnd, Scope, search};
    use crate::exit::Failure;
    use crate::search::{
        Choice, Composition, Constraints, Floor, Method, Objective, Problem, StageChoices, Stopping,
    };
    use crate::spec::Percentile;

    struct AlwaysRight;

    impl EndToEnd for AlwaysRight {
        fn answers(&mut self, _: &[&str], _: Option<&Stopping<'_>>) -> Result<Vec<bool>, Failure> {
            Ok(vec![true; 10])
        }
    }

    /// Two stages of 1000 us and 2 us; the first runs on half of the images.
    fn searched() -> SearchRecord {
        let stage = |name: &str, latency_us: f64| StageChoices {
            name: name.to_owned(),
            choices: vec![Choice {
                level: Level::Fp32,
                recipe: "direct".to_owned(),
                variant_sha256: name.to_owned(),
                latency_us,
                interval_us: Some((latency_us * 0.98, latency_us * 1.02)),
                accuracy: None,
                model_bytes: 1000,
                memory_bytes: None,
            }],
            baseline: 0,
            min_accuracy: None,
        };
        let leaf = Composition::stage;
        let problem = Problem {
            stages: vec![stage("large", 1000.0), stage("tiny", 2.0)],
            composition: Composition::Chain(vec![leaf(0, 0.5), leaf(1, 1.0)]),
            objective: Objective::MinLatency,
            floor: Some(Floor::MaxDropPoints(1.0)),
            max_latency_us: None,
            constraints: Constraints::default(),
            method: Method::default(),
            max_evaluations: None,
        };
        let scope = Scope {
            pipeline: "p".to_owned(),
            device: "d".to_owned(),
            engine_build: "e".to_owned(),
            threads: 1,
            percentile: Percentile::Median,
        };
        search(&scope, problem, &mut AlwaysRight).unwrap()
    }

    fn judge(search: &SearchRecord, max_deviation: f64) -> Judge<'_> {
        let predicted_us = search.predicted_latency_us.unwrap();
        Judge { search, stages: &search.stages, predicted_us, max_deviation }
    }

    #[test]
    fn stages_of_microseconds_are_judged_by_what_they_are_of_the_pipeline() {
        let search = searched();
        let judge = judge(&search, 0.25);
        let of = |stage: usize, us: u64| {
            judge.stage(&search.stages[stage], vec![us * 1000; 10]).unwrap()
        };
        assert!(of(0, 1250).within && !of(0, 1300).within && !of(0, 700).within);
        // 10 % of the pipeline's 502 us, times 25 %, beyond 2.04 us.
        assert!(of(1, 14).within && !of(1, 15).within);
        assert_eq!(judge.stage(&search.stages[0], Vec::new()), None);
    }

    #[test]
    fn an_image_is_composed_as_the_prediction_is() {
        let search = searched();
        let judge = judge(&search, 0.1);
        assert_eq!(judge.image_us(&[1_000_000, 2_000]), 502.0);
        let measured = summarize(vec![560_000; 10], 0).unwrap();
        let check = judge.end_to_end(&measured);
        assert!((check.predicted_us - 502.0).abs() < 1e-9);
        assert!((check.allowed_us.1 - (512.04 + 50.2)).abs() < 1e-9, "{check:?}");
        assert!(check.within);
        assert!(!judge.end_to_end(&summarize(vec![570_000; 10], 0).unwrap()).within);
    }

    #[test]
    fn a_failure_names_the_stage_the_numbers_and_the_next_step() {
        let search = searched();
        let judge = judge(&search, 0.25);
        let latency = judge.end_to_end(&summarize(vec![2_000_000; 10], 0).unwrap());
        let record = VerificationRecord {
            pipeline: "p".to_owned(),
            device: "d".to_owned(),
            stages: vec![crate::verification::StageCheck {
                stage: "large".to_owned(),
                level: Level::Fp32,
                equality: crate::verification::Equality::WithinTolerance,
                inferences: 40,
                equal: 39,
                latency: judge.stage(&search.stages[0], vec![1_000_000; 40]),
            }],
            samples: 10,
            equal_outputs: 9,
            equal_labels: 10,
            predicted_us: latency.predicted_us,
            measured_us: latency.measured_us,
            measured_p90_us: 2000.0,
            per_image_us: vec![2000.0; 10],
            latency: Some(latency),
            max_latency_deviation: 0.25,
            ranking: Vec::new(),
            failures: Vec::new(),
            passed: false,
        };
        let found = failures(&record, Some(1500.0));
        let expected: [&[&str]; 3] = [
            &["1 of 10 images", "large", "self-test"],
            &["2.00 ms", "1.50 ms", "max-ms"],
            &["the pipeline takes 2.00 ms, +298 %", "502 us", "ran 40 times", "--remeasure"],
        ];
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (finding, words) in found.iter().zip(expected) {
            let text = format!("{} {}", finding.what, finding.next);
            assert!(words.iter().all(|word| text.contains(word)), "{words:?} in {text}");
        }
    }
}
