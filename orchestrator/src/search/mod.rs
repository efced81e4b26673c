//! Finds the best assignment of levels to stages.
//!
//! Latency is cheap: it comes from the measured table. End-to-end accuracy is expensive: it takes an evaluation
//! of the whole pipeline on labelled data. So assignments are proposed in increasing predicted latency
//! ([`Enumerate`]) and evaluated one by one until no other can be better ([`solve`]). Every cheaper assignment
//! has then been evaluated or excluded by a stage's own threshold, and the list of them is the [`Certificate`].
//!
//! Nothing is assumed about accuracy (guarantee `A`): it may rise when bits fall. On request it is taken to be monotone
//! (guarantee `M`), which leaves far fewer to evaluate, is audited, and given up where an evaluation contradicts it. An
//! evaluation ends as soon as it is certain that the assignment has too few right answers ([`Stopping`]), or, on
//! request, all but certain. About latency it is assumed that a pipeline does not get faster when one of its stages gets
//! slower.
//!
//! On the table alone, with losses of accuracy that add up, answers are exact (guarantee `T`): [`predict`]. The losses are
//! measured by one evaluation for each choice, all other stages at fp32, and what is proposed is evaluated as well
//! ([`solve_table`]).

mod advice;
mod compose;
mod enumerate;
mod goal;
mod knapsack;
mod monotone;
mod outcome;
mod pareto;
mod problem;
mod proposals;
mod sequential;
mod solve;
mod space;
mod table;

pub use compose::{Composition, CompositionError, RateByLevel};
pub use enumerate::Enumerate;
pub use knapsack::{Item, Packing, minimize};
pub use outcome::{
    Certificate, Evaluated, Guarantee, Infeasible, Outcome, Progress, Relaxation, Verdict,
};
pub use pareto::pareto_front;
pub use problem::{
    Accuracy, Choice, Constraints, Floor, Method, Objective, Problem, ProblemError, StageChoices,
};
pub use proposals::{Proposal, Proposals, solve_table};
pub use sequential::{Hopeless, Stopping};
pub use solve::{Evaluate, SolveError, solve};
pub(crate) use space::Space;
pub use table::{Losses, Prediction, predict};

#[cfg(test)]
pub(crate) mod instance;
#[cfg(test)]
mod tests;
