//! What is known from measuring: the board, its conditions, samples, layers and resources.

mod conditions;
mod facts;
mod health;
mod occupancy;
mod samples;

pub use conditions::{Conditions, ConditionsSummary};
pub use facts::BoardFacts;
pub use health::Health;
pub use occupancy::Occupancy;
pub use samples::{Block, LayerRow, Resources};
