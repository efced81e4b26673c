//! Proposes assignments in order of latency, evaluates them, and stops when nothing can be better.

use std::collections::{BTreeMap, HashMap};

use super::advice;
use super::enumerate::Enumerate;
use super::goal::Goal;
use super::monotone::{Climbed, Cuts};
use super::outcome::{
    Certificate, Evaluated, Guarantee, Infeasible, Outcome, Progress, Verdict, answers_text,
};
use super::pareto::pareto_front;
use super::problem::{Accuracy, Objective, Problem, ProblemError};
use super::sequential::{Hopeless, Stopping};
use super::space::Space;

/// Measures the end-to-end accuracy of assignments.
pub trait Evaluate {
    /// Why it could not.
    type Error;

    /// Whether an assignment, given as one choice per stage, has each sample right. The samples come in the same order for
    /// all assignments, one that has nothing to do with what is in them. With `stop` the evaluation may end at any sample
    /// at which [`Stopping::hopeless`] holds, and must end there in every run alike.
    ///
    /// # Errors
    /// When it cannot be evaluated.
    fn answers(
        &mut self,
        picks: &[usize],
        stop: Option<&Stopping<'_>>,
    ) -> Result<Vec<bool>, Self::Error>;

    /// The most right answers that any assignment which begins with `picks` can have, where these stages alone leave fewer
    /// than `needed`: the samples in which they find something for the next stages to look at.
    ///
    /// # Errors
    /// When it cannot be evaluated.
    fn reached(&mut self, _picks: &[usize], _needed: u64) -> Result<Option<u64>, Self::Error> {
        Ok(None)
    }

    /// Called when something became known.
    fn progress(&mut self, _progress: &Progress) {}
}

/// A search that could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum SolveError<E> {
    /// The problem makes no sense.
    #[error(transparent)]
    Problem(#[from] ProblemError),
    /// An evaluation failed.
    #[error("failed to evaluate an assignment")]
    Evaluate(#[source] E),
}

/// Solves `problem`; the baseline is evaluated first, and nothing twice.
///
/// # Errors
/// A problem that makes no sense, or an evaluation that failed.
pub fn solve<V: Evaluate>(
    problem: &Problem,
    evaluator: &mut V,
) -> Result<Outcome, SolveError<V::Error>> {
    problem.validate()?;
    solve_valid(problem, evaluator).map_err(SolveError::Evaluate)
}

fn solve_valid<V: Evaluate>(problem: &Problem, evaluator: &mut V) -> Result<Outcome, V::Error> {
    let answers = evaluator.answers(&problem.baseline(), None)?;
    let mut log = Log::new(problem, evaluator, answers);
    let baseline = log.trace[0].clone();
    let min_correct = problem.floor.map(|floor| floor.min_correct(baseline.accuracy));
    let goal = Goal {
        objective: problem.objective,
        min_correct: min_correct.unwrap_or_default(),
        limit_us: problem.max_latency_us.unwrap_or(f64::INFINITY),
        baseline: &baseline,
    };
    let (walk, audits, relax) = loop {
        let walk = walk(&mut log, &goal)?;
        let audits = match walk.ran_out {
            true => Vec::new(),
            false => log.audit(&goal, &walk)?,
        };
        let relax = match (&walk.best, walk.ran_out) {
            (None, false) => advice::relax(&mut log, &goal)?,
            _ => Vec::new(),
        };
        let is_contradicted = log.is_contradicted();
        // What a test stopped may have been evaluated in full after all, to tell what to relax, and pass.
        let mut passing = log.trace.iter().filter(|seen| log.accepts(&goal, seen, None));
        let is_settled = walk.ran_out || walk.best.is_some() || passing.next().is_none();
        if is_settled && !is_contradicted {
            break (walk, audits, relax);
        }
        if is_contradicted {
            log.cuts = None;
        }
    };
    let mut witnesses: Vec<Evaluated> = log.trace.clone();
    witnesses.retain(|seen| walk.best.as_ref() != Some(seen) && !walk.front.contains(seen));
    witnesses
        .sort_by(|a, b| a.latency_us.total_cmp(&b.latency_us).then_with(|| a.picks.cmp(&b.picks)));
    let certificate = Certificate {
        guarantee: match (walk.ran_out, &log.cuts) {
            (true, _) => Guarantee::Incomplete,
            (false, Some(_)) => Guarantee::Monotone,
            (false, None) => Guarantee::AssumptionFree,
        },
        min_correct,
        max_latency_us: problem.max_latency_us,
        excluded: log.space.excluded(),
        witnesses,
        covered_to_us: walk.covered_to_us,
        monotone_margin: log.cuts.as_ref().map(Cuts::margin),
        audits,
        bounds: log.bounds.into_iter().collect(),
    };
    let verdict = match walk.best {
        Some(best) => Verdict::Found(best),
        None => Verdict::Infeasible(Infeasible { relax }),
    };
    Ok(Outcome {
        verdict,
        front: walk.front,
        baseline: baseline.clone(),
        trace: log.trace,
        progress: log.progress,
        certificate,
    })
}

/// Remembers every evaluation.
pub(super) struct Log<'a, V> {
    pub(super) problem: &'a Problem,
    pub(super) space: Space<'a>,
    evaluator: &'a mut V,
    baseline: Vec<bool>,
    pub(super) trace: Vec<Evaluated>,
    known: HashMap<Vec<usize>, usize>,
    progress: Vec<Progress>,
    /// The most right answers of all assignments that begin alike, and for how many needed ones no such bound is known.
    bounds: BTreeMap<Vec<usize>, u64>,
    unbounded: HashMap<Vec<usize>, u64>,
    /// What accuracy being monotone rules out, where that is assumed.
    pub(super) cuts: Option<Cuts<'a>>,
}

impl<'a, V: Evaluate> Log<'a, V> {
    fn new(problem: &'a Problem, evaluator: &'a mut V, baseline: Vec<bool>) -> Self {
        let space = Space::new(problem);
        let cuts = problem.method.monotone_margin.map(|margin| Cuts::new(problem, &space, margin));
        let mut this = Self {
            problem,
            space,
            evaluator,
            baseline,
            trace: Vec::new(),
            known: HashMap::new(),
            progress: Vec::new(),
            bounds: BTreeMap::new(),
            unbounded: HashMap::new(),
            cuts,
        };
        let mut evaluated = this.evaluated(&problem.baseline(), &this.baseline, None);
        if problem.method.false_rejection > 0.0 {
            evaluated.answers = answers_text(&this.baseline);
        }
        if let Some(cuts) = &mut this.cuts {
            cuts.learn(&evaluated);
        }
        this.remember(evaluated);
        this
    }

    fn evaluated(
        &self,
        picks: &[usize],
        answers: &[bool],
        stop: Option<&Stopping<'_>>,
    ) -> Evaluated {
        let correct = answers.iter().filter(|&&right| right).count() as u64;
        let unseen = (self.baseline.len() - answers.len()) as u64;
        let accuracy = Accuracy { correct, total: answers.len() as u64 };
        let tested =
            stop.filter(|stop| unseen > 0 && stop.hopeless(answers) == Some(Hopeless::Tested));
        Evaluated {
            picks: picks.to_vec(),
            latency_us: self.problem.latency_us(picks),
            accuracy,
            at_most: tested.map_or(correct + unseen, |stop| stop.needed - 1),
            answers: tested.map_or(String::new(), |_| answers_text(answers)),
        }
    }

    fn remember(&mut self, evaluated: Evaluated) {
        match self.known.get(&evaluated.picks) {
            Some(&index) => self.trace[index] = evaluated,
            None => {
                self.known.insert(evaluated.picks.clone(), self.trace.len());
                self.trace.push(evaluated);
            }
        }
    }

    pub(super) fn known(&self, picks: &[usize]) -> Option<&Evaluated> {
        self.known.get(picks).map(|&index| &self.trace[index])
    }

    /// Evaluates an assignment until it is certain whether it has `needed` right answers; `None` when there are to be no
    /// more evaluations.
    pub(super) fn judge(
        &mut self,
        picks: &[usize],
        needed: u64,
    ) -> Result<Option<Evaluated>, V::Error> {
        if let Some(known) = self.known(picks) {
            if known.at_most < needed || known.is_complete(self.baseline.len() as u64) {
                return Ok(Some(known.clone()));
            }
        } else if self.problem.max_evaluations.is_some_and(|most| self.trace.len() >= most) {
            return Ok(None);
        }
        // Where accuracy is taken to be monotone one wrong rejection would rule out much.
        let risk = match self.cuts {
            Some(_) => 0.0,
            None => self.problem.method.false_rejection,
        };
        let stop = Stopping { needed, baseline: &self.baseline, false_rejection: risk };
        let answers = self.evaluator.answers(picks, Some(&stop))?;
        let evaluated = self.evaluated(picks, &answers, Some(&stop));
        if let Some(cuts) = &mut self.cuts {
            cuts.learn(&evaluated);
        }
        self.remember(evaluated.clone());
        Ok(Some(evaluated))
    }

    /// Whether `seen` is an answer to `goal`, and better than `best`.
    fn accepts(&self, goal: &Goal<'_>, seen: &Evaluated, best: Option<&Evaluated>) -> bool {
        goal.accepts(seen, best) && self.space.contains(&seen.picks)
    }

    /// After an assignment turned out to have too few right answers: whether its first stages alone are the reason.
    fn blame(&mut self, seen: &Evaluated, needed: u64) -> Result<(), V::Error> {
        for length in 1..seen.picks.len() {
            let first = &seen.picks[..length];
            if self.unbounded.get(first).is_some_and(|&tried| needed <= tried) {
                continue;
            }
            if let Some(at_most) = self.evaluator.reached(first, needed)? {
                self.bounds.insert(first.to_vec(), at_most);
                break;
            }
            self.unbounded.insert(first.to_vec(), needed);
        }
        Ok(())
    }

    /// Whether all assignments that begin with `picks` are known to have fewer than `needed` right answers.
    pub(super) fn rules_out(&self, picks: &[usize], needed: u64) -> bool {
        let begins = |length: usize| self.bounds.get(&picks[..length]).copied();
        (1..=picks.len()).any(|length| begins(length).is_some_and(|at_most| at_most < needed))
            || self.cuts.as_ref().is_some_and(|cuts| cuts.cover(picks, needed))
    }

    fn tell(&mut self, walk: &Walk) {
        let incumbent = walk.best.as_ref().map(|best| (best.latency_us, best.accuracy));
        let (evaluations, bound_us) = (self.trace.len(), walk.covered_to_us);
        let now = Progress { evaluations, incumbent, bound_us };
        self.evaluator.progress(&now);
        // Assignments that are ruled out without an evaluation only raise the bound.
        match self.progress.last_mut() {
            Some(last) if last.is_same_state(&now) => *last = now,
            _ => self.progress.push(now),
        }
    }
}

/// What a walk over the assignments in increasing latency found.
#[derive(Default)]
pub(super) struct Walk {
    /// The best; of a trade-off the fastest.
    pub(super) best: Option<Evaluated>,
    /// Of a trade-off all of it, the fastest first.
    pub(super) front: Vec<Evaluated>,
    covered_to_us: f64,
    pub(super) ran_out: bool,
}

impl Walk {
    /// What an assignment that takes `latency_us` must be better than.
    pub(super) fn rival(&self, latency_us: f64) -> Option<&Evaluated> {
        let faster = self.front.iter().rev().find(|seen| seen.latency_us <= latency_us);
        if self.front.is_empty() { self.best.as_ref() } else { faster }
    }

    fn offer<V: Evaluate>(&mut self, log: &Log<'_, V>, goal: &Goal<'_>, seen: &Evaluated) {
        if goal.objective == Objective::ParetoFront {
            // Those that are not slower have been walked, so the last of the front is the rival.
            if log.accepts(goal, seen, self.front.last()) {
                self.front.push(seen.clone());
                let front = pareto_front(&self.front);
                self.front = front.into_iter().map(|at| self.front[at].clone()).collect();
                self.best = self.front.first().cloned();
            }
        } else if log.accepts(goal, seen, self.best.as_ref()) {
            self.best = Some(seen.clone());
        }
    }
}

/// Looks at all assignments that could be better than the best known, in increasing latency.
pub(super) fn walk<V: Evaluate>(log: &mut Log<'_, V>, goal: &Goal<'_>) -> Result<Walk, V::Error> {
    let mut walk = Walk::default();
    if goal.objective != Objective::ParetoFront {
        log.trace.iter().for_each(|seen| walk.offer(log, goal, seen));
    }
    let mut assignments = Enumerate::new(log.problem);
    loop {
        let next = assignments.next_unless(|picks, bound_us| {
            let needed = goal.needed(bound_us, walk.rival(bound_us));
            needed.is_some_and(|needed| log.rules_out(picks, needed))
        });
        let Some((picks, latency_us)) = next else { break };
        if goal.needed(latency_us, walk.rival(latency_us)).is_none() {
            break;
        }
        walk.covered_to_us = latency_us;
        match look_at(log, goal, &mut walk, &picks, latency_us)? {
            true => log.tell(&walk),
            false => {
                walk.ran_out = true;
                return Ok(walk);
            }
        }
    }
    if let (Some(best), Objective::MinLatency) = (&walk.best, goal.objective) {
        walk.covered_to_us = best.latency_us;
    }
    Ok(walk)
}

/// Finds out whether an assignment is better than the best known; `false` when evaluations ran out first.
fn look_at<V: Evaluate>(
    log: &mut Log<'_, V>,
    goal: &Goal<'_>,
    walk: &mut Walk,
    picks: &[usize],
    latency_us: f64,
) -> Result<bool, V::Error> {
    let is_front = goal.objective == Objective::ParetoFront;
    if let Some(needed) = goal.needed(latency_us, walk.rival(latency_us)) {
        match log.climb(picks, needed)? {
            Climbed::RanOut => return Ok(false),
            Climbed::Covered => return Ok(true),
            Climbed::Open(seen) if is_front => drop(seen),
            Climbed::Open(seen) => seen.iter().for_each(|seen| walk.offer(log, goal, seen)),
        }
    }
    let Some(needed) = goal.needed(latency_us, walk.rival(latency_us)) else { return Ok(true) };
    // Near misses are evaluated in full: they tell what a threshold costs.
    let near = needed.saturating_sub(goal.total() / 50);
    let wanted = log.cuts.as_ref().map_or(near, |cuts| cuts.target(needed));
    let Some(seen) = log.judge(picks, wanted)? else { return Ok(false) };
    if seen.at_most < needed {
        log.blame(&seen, needed)?;
    }
    walk.offer(log, goal, &seen);
    Ok(true)
}
