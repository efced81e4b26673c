//! Running assignments on a board with what the host gave to the same models.

use std::ops::Range;
use std::sync::Arc;

use quantrack_engine::Tensor;

use super::{Equality, Finalist, StageCheck};
use crate::device::{Device, Lease, NamedTensor};
use crate::evaluate::{EvaluateError, Evaluator, LoadedVariant, Trace};
use crate::exit::Failure;
use crate::output::StageBar;
use crate::spec::Pipeline;
use crate::store::Store;

/// Rounds in which several assignments take turns: drift of the board hits all alike.
const ROUNDS: usize = 4;

/// An assignment with what the host found by it, and what the board did.
#[derive(Debug)]
pub struct Run {
    /// The assignment.
    pub finalist: Finalist,
    /// What the host found, image by image.
    pub traces: Vec<Trace>,
    /// What the board did, image by image.
    pub images: Vec<Image>,
    /// What each stage did on the board.
    pub stages: Vec<StageRun>,
    variants: Vec<Arc<LoadedVariant>>,
}

/// What the board did with one image.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// Nanoseconds of all inferences, by stage.
    pub stage_ns: Vec<u64>,
    /// Inferences with other outputs than the host's.
    pub different: u64,
    /// Outputs of the last stage.
    pub outputs: Vec<Vec<Tensor>>,
}

/// What one stage did on the board.
#[derive(Clone, Debug, Default)]
pub struct StageRun {
    /// Nanoseconds of each inference.
    pub durations_ns: Vec<u64>,
    /// Inferences with outputs equal to the host's.
    pub equal: u64,
}

impl Run {
    /// Runs the assignment on the host, on these samples.
    ///
    /// # Errors
    /// When a variant is missing, or an image cannot be evaluated.
    pub fn on_host(
        finalist: Finalist,
        evaluator: &Evaluator,
        samples: &[usize],
        store: &Store,
    ) -> Result<Self, Failure> {
        let mut variants = Vec::new();
        for stage in &finalist.stages {
            let bytes = store.variant_bytes(&stage.variant_sha256)?;
            variants.push(Arc::new(LoadedVariant::from_bytes(&bytes)?));
        }
        let traces = samples.iter().map(|&sample| evaluator.trace(sample, &variants));
        let traces = traces.collect::<Result<Vec<Trace>, EvaluateError>>()?;
        Ok(Self {
            images: vec![Image::default(); traces.len()],
            stages: vec![StageRun::default(); finalist.stages.len()],
            finalist,
            traces,
            variants,
        })
    }

    /// What each stage did, without the verdict on its latency.
    pub fn checks(&self) -> Vec<StageCheck> {
        let stages = self.finalist.stages.iter().zip(&self.stages);
        let check = |(level, run): (&crate::assignment::StageLevel, &StageRun)| StageCheck {
            stage: level.stage.clone(),
            level: level.level,
            equality: Equality::of(level.level),
            inferences: run.durations_ns.len() as u64,
            equal: run.equal,
            latency: None,
        };
        stages.map(check).collect()
    }
}

/// A board that is held against the host.
#[derive(Debug)]
pub struct Board<'a> {
    /// The board.
    pub device: &'a Device,
    /// The right to use it.
    pub lease: &'a Lease,
    /// How models are run.
    pub pipeline: &'a Pipeline,
    /// Where progress is shown; a step is one image through one stage.
    pub bar: &'a StageBar,
}

impl Board<'_> {
    /// Uploads the variants that the board lacks, and runs all assignments in turns.
    ///
    /// # Errors
    /// When board or store fail.
    pub async fn run(&self, runs: &mut [Run], store: &Store) -> Result<(), Failure> {
        let stages = runs.iter().flat_map(|run| &run.finalist.stages);
        let mut sha256: Vec<String> = stages.map(|stage| stage.variant_sha256.clone()).collect();
        sha256.sort();
        sha256.dedup();
        self.device
            .upload(self.lease, &sha256, |digest: &str| {
                store.variant_bytes(digest).map_err(Failure::from)
            })
            .await?;
        let images = runs.first().map_or(0, |run| run.images.len());
        let rounds = if runs.len() > 1 { ROUNDS } else { 1 };
        let block = images.div_ceil(rounds).max(1);
        for (round, start) in (0..images).step_by(block).enumerate() {
            for turn in 0..runs.len() {
                let run = &mut runs[(round + turn) % runs.len()];
                for stage in 0..run.stages.len() {
                    self.stage(run, stage, start..images.min(start + block)).await?;
                }
            }
        }
        Ok(())
    }

    /// Runs one stage for some images, with the inputs that the host gave it.
    async fn stage(
        &self,
        run: &mut Run,
        index: usize,
        images: Range<usize>,
    ) -> Result<(), Failure> {
        let Run { finalist, variants, traces, images: done, stages } = run;
        let level = &finalist.stages[index];
        self.bar.say(format!("{} at {}", level.stage, level.level));
        let (equality, plan) = (Equality::of(level.level), variants[index].plan());
        let named = |inputs: &[Tensor]| -> Vec<NamedTensor> {
            let pairs = plan.inputs().iter().zip(inputs);
            pairs
                .map(|(port, tensor)| NamedTensor {
                    name: port.name.clone(),
                    tensor: tensor.clone(),
                })
                .collect()
        };
        let (traces, done) = (&traces[images.clone()], &mut done[images]);
        let mut stream =
            self.device.run(self.lease, &level.variant_sha256, &self.pipeline.measure).await?;
        // The first inference warms caches and is not counted.
        if let Some(first) = traces.iter().find_map(|trace| trace.stages[index].inputs.first()) {
            stream.infer(&named(first)).await?;
        }
        for (trace, image) in traces.iter().zip(done) {
            image.outputs.clear();
            let mut total_ns = 0_u64;
            let host = &trace.stages[index];
            for (inputs, expected) in host.inputs.iter().zip(&host.outputs) {
                let answer = stream.infer(&named(inputs)).await?;
                let outputs: Vec<Tensor> = answer.outputs.into_iter().map(|o| o.tensor).collect();
                let duration_ns = u64::try_from(answer.duration.as_nanos()).unwrap_or(u64::MAX);
                stages[index].durations_ns.push(duration_ns);
                total_ns = total_ns.saturating_add(duration_ns);
                let same = equality.holds(&outputs, expected);
                stages[index].equal += u64::from(same);
                image.different += u64::from(!same);
                image.outputs.push(outputs);
            }
            image.stage_ns.push(total_ns);
            self.bar.step();
        }
        Ok(())
    }
}
