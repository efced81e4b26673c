//! Small random problems with the accuracy of every assignment, for tests.

use std::convert::Infallible;

use proptest::prelude::*;
use quantrack_engine::Level;

use super::*;

/// Samples of an evaluation.
pub(crate) const TOTAL: u64 = 20;

/// A problem, and the accuracy of every assignment by mixed-radix index.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) problem: Problem,
    pub(crate) correct: Vec<u64>,
}

impl Instance {
    pub(crate) fn index(&self, picks: &[usize]) -> usize {
        let stages = &self.problem.stages;
        stages.iter().zip(picks).fold(0, |index, (s, &pick)| index * s.choices.len() + pick)
    }

    pub(crate) fn accuracy(&self, picks: &[usize]) -> Accuracy {
        Accuracy { correct: self.correct[self.index(picks)], total: TOTAL }
    }

    /// Whether it has each sample right: as many as its accuracy says, in an order of its own.
    pub(crate) fn answers(&self, picks: &[usize]) -> Vec<bool> {
        let (index, correct) = (self.index(picks) as u64, self.accuracy(picks).correct);
        (0..TOTAL).map(|sample| (7 * sample + index) % TOTAL < correct).collect()
    }

    pub(crate) fn all(&self) -> Vec<Evaluated> {
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
            at_most: self.accuracy(&picks).correct,
            answers: String::new(),
            picks,
        };
        all.into_iter().map(evaluated).collect()
    }

    /// Whether an assignment meets the stages' own thresholds and the constraints.
    pub(crate) fn is_allowed(&self, picks: &[usize]) -> bool {
        let choices = || self.problem.stages.iter().zip(picks).map(|(s, &pick)| &s.choices[pick]);
        let constraints = &self.problem.constraints;
        let files: u64 = choices().map(|choice| choice.model_bytes).sum();
        let memory: u64 = choices().filter_map(|choice| choice.memory_bytes).sum();
        let levels: Vec<Level> = choices().map(|choice| choice.level).collect();
        let own = self.problem.stages.iter().zip(choices()).all(|(stage, choice)| {
            stage.min_accuracy.zip(choice.accuracy).is_none_or(|(least, is)| is >= least)
        });
        own && constraints.max_model_bytes.is_none_or(|most| files <= most)
            && constraints.max_memory_bytes.is_none_or(|most| memory <= most)
            && constraints
                .same_level
                .iter()
                .all(|group| group.iter().all(|&stage| levels[stage] == levels[group[0]]))
    }

    pub(crate) fn feasible(&self) -> Vec<Evaluated> {
        let baseline = self.accuracy(&self.problem.baseline());
        let least = self.problem.floor.map_or(0, |floor| floor.min_correct(baseline));
        let limit = self.problem.max_latency_us.unwrap_or(f64::INFINITY);
        let mut all = self.all();
        all.retain(|e| {
            e.accuracy.correct >= least && e.latency_us <= limit && self.is_allowed(&e.picks)
        });
        all
    }

    /// The outcome, and which assignments were evaluated, in order.
    pub(crate) fn solve(&self) -> (Outcome, Vec<Vec<usize>>) {
        let mut oracle = Oracle { instance: self, calls: Vec::new() };
        let outcome = solve(&self.problem, &mut oracle).unwrap();
        (outcome, oracle.calls)
    }

    /// The same problem where accuracy falls with every level: by as much as `losses` says, which adds up.
    pub(crate) fn with_monotone_accuracy(mut self) -> Self {
        for index in 0..self.correct.len() {
            let (mut rest, mut lost) = (index, 0);
            for (at, stage) in self.problem.stages.iter().enumerate().rev() {
                let level = stage.choices[rest % stage.choices.len()].level;
                rest /= stage.choices.len();
                let below = Level::ALL.iter().filter(|&&other| other < level).count() as u64;
                lost += below * below * (1 + at as u64 % 3) / 2;
            }
            self.correct[index] = TOTAL.saturating_sub(lost);
        }
        self
    }
}

/// Evaluates assignments of an instance.
pub(crate) struct Oracle<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) calls: Vec<Vec<usize>>,
}

impl Evaluate for Oracle<'_> {
    type Error = Infallible;

    fn answers(
        &mut self,
        picks: &[usize],
        stop: Option<&Stopping<'_>>,
    ) -> Result<Vec<bool>, Infallible> {
        self.calls.push(picks.to_vec());
        let mut all = self.instance.answers(picks);
        let hopeless = |seen: &usize| stop.is_some_and(|s| s.hopeless(&all[..*seen]).is_some());
        let seen = (0..=all.len()).step_by(3).find(hopeless).unwrap_or(all.len());
        all.truncate(seen);
        Ok(all)
    }

    fn reached(&mut self, picks: &[usize], needed: u64) -> Result<Option<u64>, Infallible> {
        let begins = |e: &Evaluated| e.picks.starts_with(picks);
        let most = self.instance.all().iter().filter(|e| begins(e)).map(|e| e.at_most).max();
        Ok(most.filter(|&most| most < needed))
    }
}

fn choice() -> impl Strategy<Value = Choice> {
    // Few distinct latencies, so that ties are common.
    let numbers = (1..=6_u32, prop::option::of(0..=4_u32), 0..6_usize, 1..4_u64);
    numbers.prop_map(|(latency, accuracy, level, bytes)| Choice {
        level: Level::ALL[level],
        recipe: "minmax".to_owned(),
        variant_sha256: String::new(),
        latency_us: f64::from(latency) * 10.0,
        interval_us: None,
        accuracy: accuracy.map(|quarters| f64::from(quarters) / 4.0),
        model_bytes: bytes,
        memory_bytes: Some(10 * bytes % 7),
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
    let rate = prop_oneof![Just(1.0), Just(0.25)];
    let other = (any::<prop::sample::Index>(), 0..6_usize, prop::sample::select(vec![0.0, 0.5]));
    let leaf = (rate, prop::option::weighted(0.2, other));
    let leaves = prop::collection::vec(leaf, stages);
    (leaves, 0..3_u8).prop_map(move |(leaves, shape)| {
        let leaf = |(stage, (rate, other))| {
            let dependent = |(other, level, rate): (prop::sample::Index, usize, f64)| RateByLevel {
                stage: other.index(stages),
                rates: [(Level::ALL[level], rate)].into(),
            };
            // The first stage always runs, or the baseline could take no time at all, which `validate` refuses.
            let by = Option::map(other, dependent).filter(|by| stage != 0 && by.stage != stage);
            Composition::Stage { stage, rate, by }
        };
        let mut leaves: Vec<Composition> = leaves.into_iter().enumerate().map(leaf).collect();
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

fn constraints(stages: usize) -> impl Strategy<Value = Constraints> {
    let limit = || prop::option::weighted(0.2, 1..=12_u64);
    let group = prop::collection::vec(0..stages, 2..=3);
    (limit(), limit(), prop::option::weighted(0.2, group)).prop_map(|(files, memory, group)| {
        Constraints {
            max_model_bytes: files,
            max_memory_bytes: memory.map(|bytes| 2 * bytes),
            same_level: group.into_iter().collect(),
        }
    })
}

/// What is asked of the table.
type Asked = (Objective, Option<Floor>, Option<u32>);

fn asked() -> impl Strategy<Value = Asked> {
    let objective = prop_oneof![
        3 => Just(Objective::MinLatency),
        1 => Just(Objective::MaxAccuracy),
        1 => Just(Objective::ParetoFront),
        1 => (0..4_u32).prop_map(|w| Objective::Weighted { accuracy_weight: f64::from(w) }),
    ];
    let floor = prop::option::of(prop_oneof![
        (0..=60_u32).prop_map(|points| Floor::MaxDropPoints(f64::from(points))),
        (0..=20_u32).prop_map(|n| Floor::MinAccuracy(f64::from(n) / 20.0)),
    ]);
    (objective, floor, prop::option::of(1..=200_u32))
}

pub(crate) fn instance() -> impl Strategy<Value = Instance> {
    let stages = prop::collection::vec(stage(), 1..5);
    (stages, asked()).prop_flat_map(|(mut stages, (objective, floor, limit))| {
        for (index, stage) in stages.iter_mut().enumerate() {
            stage.name = format!("stage {index}");
        }
        let space: usize = stages.iter().map(|stage| stage.choices.len()).product();
        let correct = prop::collection::vec(0..=TOTAL, space);
        let count = stages.len();
        (Just(stages), correct, composition(count), constraints(count)).prop_map(
            move |(stages, correct, composition, constraints)| {
                let needs_limit = objective == Objective::MaxAccuracy;
                let max_latency_us = limit.or(needs_limit.then_some(100)).map(f64::from);
                let problem = Problem {
                    stages,
                    composition,
                    objective,
                    floor,
                    max_latency_us,
                    constraints,
                    method: Method::default(),
                    max_evaluations: None,
                };
                Instance { problem, correct }
            },
        )
    })
}
