//! `explain`: why this assignment.

use super::search::{board, newest};
use crate::context::Context;
use crate::exit::{CommandResult, Exit};
use crate::explain::{explain, human};

/// Explains the newest search on the board that the options choose.
///
/// # Errors
/// When nothing was searched, or the store fails.
pub async fn run(context: &Context) -> CommandResult {
    let pipeline = context.pipeline()?;
    let store = context.store().await?;
    let device = board(context, &store).await?;
    let search = newest(&store, &pipeline, Some(&device.fingerprint)).await?.body;
    context.print("explain", &explain(&search), human)?;
    Ok(Exit::Ok)
}
