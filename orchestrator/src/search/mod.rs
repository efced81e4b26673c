//! Finds the best assignment of levels to stages.
//!
//! Latency is cheap: it comes from the measured table. End-to-end accuracy is expensive: it takes an evaluation
//! of the whole pipeline on labelled data. So assignments are proposed in increasing predicted latency
//! ([`Enumerate`]) and evaluated one by one until no other can be better ([`solve`]). Every cheaper assignment
//! has then been evaluated or excluded by a stage's own threshold, and the list of them is the [`Certificate`].
//!
//! Nothing is assumed about accuracy (guarantee `A`): it may rise when bits fall. What is assumed about latency
//! is only that a pipeline does not get faster when one of its stages gets slower.

mod compose;
mod enumerate;
mod knapsack;
mod outcome;
mod pareto;
mod predicted;
mod problem;
mod solve;

pub use compose::{Composition, CompositionError};
pub use enumerate::Enumerate;
pub use knapsack::{Item, Packing, minimize};
pub use outcome::{Certificate, Evaluated, Guarantee, Infeasible, Outcome, Relaxation, Verdict};
pub use pareto::pareto_front;
pub use predicted::{Prediction, fastest_predicted, most_accurate_predicted};
pub use problem::{Accuracy, Choice, Floor, Objective, Problem, ProblemError, StageChoices};
pub use solve::{SolveError, solve};

#[cfg(test)]
pub(crate) mod instance;
#[cfg(test)]
mod tests;
