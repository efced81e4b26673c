//! `gate`: which variants are worth measuring.

use serde::Serialize;

use crate::context::Context;
use crate::exit::{CommandResult, Exit, Failure};
use crate::gate::{Tried, gate};
use crate::output::text_table;
use crate::spec::Pipeline;
use crate::store::{ArtifactKind, Store};

/// Options of `gate`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// Tell the signal behind every layer of collapsed variants.
    #[arg(long)]
    pub layers: bool,
}

/// What `gate` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Every recipe that was tried.
    pub tried: Vec<Tried>,
    #[serde(skip)]
    layers: bool,
}

/// Runs the command.
///
/// # Errors
/// When the pipeline's files or the store fail.
pub async fn run(args: Args, context: &Context) -> CommandResult {
    let pipeline = context.pipeline()?;
    let store = context.store().await?;
    let (shown, _) = measure(&args, context, &pipeline, &store).await?;
    context.print("gate", &shown, human)?;
    Ok(Exit::Ok)
}

/// Tests all candidates, and returns the pipeline with those that are left.
///
/// # Errors
/// As [`run`].
pub async fn measure(
    args: &Args,
    context: &Context,
    pipeline: &Pipeline,
    store: &Store,
) -> Result<(Shown, Pipeline), Failure> {
    let gated = gate(pipeline, &context.data()?, store, &context.progress).await?;
    // No board took part.
    store.save_artifact(ArtifactKind::Gate, &pipeline.name, "", &gated.tried).await?;
    let shown = Shown { pipeline: pipeline.name.clone(), tried: gated.tried, layers: args.layers };
    Ok((shown, gated.pipeline))
}

/// A row for each recipe; below them where collapsed ones lose their signal.
pub fn human(shown: &Shown) -> String {
    let rows = shown.tried.iter().map(|tried| {
        let test = &tried.test;
        let autopsy = tried.autopsy.as_ref();
        vec![
            tried.stage.clone(),
            tried.level.to_string(),
            tried.recipe.clone(),
            format!("{} of {}", test.agreeing, test.samples),
            if test.collapsed { "collapsed" } else { "alive" }.to_owned(),
            autopsy
                .map_or(String::new(), |a| format!("{} ({:.1} dB)", first(&a.dies_at), a.sqnr_db)),
            tried.then.to_string(),
        ]
    });
    let header = ["stage", "level", "recipe", ">agrees with fp32", "", "signal dies at", ""];
    let mut text = text_table(&header, rows);
    for tried in shown.tried.iter().filter(|_| shown.layers) {
        let Some(autopsy) = &tried.autopsy else { continue };
        text.push_str(&format!("\n\n{} at {} by {}", tried.stage, tried.level, tried.recipe));
        for (layer, sqnr_db) in &autopsy.layers {
            text.push_str(&format!("\n{sqnr_db:>7.1} dB  {layer}"));
        }
    }
    text
}

/// Of the operators that a converter made one layer of, and joined the names of, the first.
fn first(layer: &str) -> &str {
    layer.split(';').next().unwrap_or(layer)
}
