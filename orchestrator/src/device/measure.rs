//! Measuring variants on a board.

use quantrack_proto::v1;
use quantrack_proto::v1::measure_response::Event;
use tonic::Streaming;

use super::client::Device;
use super::convert;
use super::error::DeviceError;
use super::lease::Lease;
use crate::measurement::{Block, Conditions, LayerRow, Resources};
use crate::spec::Measure;

const DOING: &str = "measuring";
/// The version of the interface since which every block has a number of its own.
const NUMBERS_SINCE: u32 = 2;

/// What a measurement tells while it runs.
#[derive(Debug)]
pub enum MeasureEvent {
    /// How far it is.
    Progress(Progress),
    /// Samples.
    Block(Box<Block>),
    /// Layers of a variant, by its digest.
    Layers(String, Vec<LayerRow>),
    /// The end.
    Done(Measured),
}

/// How far a measurement is.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// What is happening, as in "warming up".
    pub phase: String,
    /// Samples of the variant that has fewest.
    pub samples: u32,
    /// The most samples that will be taken.
    pub max_samples: u32,
    /// Widest interval of a median as a share of the median.
    pub relative_ci: Option<f64>,
}

/// The end of a measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// What each variant, by its digest, took.
    pub variants: Vec<(String, Resources)>,
    /// Whether every interval became as narrow as asked.
    pub converged: bool,
    /// Cores that were pinned to.
    pub cores: Vec<u32>,
    /// Why it ended before there was enough, other than that time was up.
    pub cut_short: Option<String>,
    /// Precautions that the board did not allow, and why.
    pub missing: Vec<String>,
}

/// A running measurement. Dropping it ends it on the board.
#[derive(Debug)]
pub struct MeasureStream<'a> {
    device: &'a Device,
    /// The lease that it runs under.
    epoch: u64,
    sha256: Vec<String>,
    events: Streaming<v1::MeasureResponse>,
    /// Blocks so far.
    blocks: u32,
}

impl Device {
    /// Begins to measure variants that the agent has, interleaved in this order.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub async fn measure(
        &self,
        lease: &Lease,
        sha256: Vec<String>,
        settings: &Measure,
    ) -> Result<MeasureStream<'_>, DeviceError> {
        let request = v1::MeasureRequest {
            lease: Some(lease.wire()),
            variant_sha256: sha256.clone(),
            settings: Some(convert::settings(settings)),
        };
        let answer = self.client.clone().measure(request).await.map_err(self.fault(DOING))?;
        let (epoch, events) = (lease.epoch(), answer.into_inner());
        Ok(MeasureStream { device: self, epoch, sha256, events, blocks: 0 })
    }
}

impl MeasureStream<'_> {
    /// The next event; `None` after the end.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub async fn next(&mut self) -> Result<Option<MeasureEvent>, DeviceError> {
        loop {
            let message = self.events.message().await.map_err(self.device.fault(DOING))?;
            let Some(message) = message else { return Ok(None) };
            // A newer agent may tell more than we know.
            let Some(event) = message.event else { continue };
            return self.event(event).map(Some);
        }
    }

    fn event(&mut self, event: Event) -> Result<MeasureEvent, DeviceError> {
        Ok(match event {
            Event::Progress(now) => MeasureEvent::Progress(Progress {
                phase: now.phase,
                samples: now.samples,
                max_samples: now.max_samples,
                relative_ci: now.relative_ci,
            }),
            Event::Block(block) => {
                let round = self.number(block.block)?;
                MeasureEvent::Block(Box::new(Block {
                    sha256: self.variant(block.variant)?,
                    round,
                    duration_ns: block.duration_ns,
                    before: convert::conditions(block.before.unwrap_or_default()),
                    after: Conditions {
                        foreign_load: block.foreign_load,
                        ..convert::conditions(block.after.unwrap_or_default())
                    },
                    voided: block.voided,
                }))
            }
            Event::Layers(times) => MeasureEvent::Layers(
                self.variant(times.variant)?,
                times.layers.into_iter().map(convert::layer).collect(),
            ),
            Event::Summary(summary) => {
                let epoch = summary.lease.map_or(self.epoch, |lease| lease.epoch);
                if epoch != self.epoch {
                    let detail = format!("it sends results of lease {epoch}, not {}", self.epoch);
                    return Err(self.device.protocol(DOING, detail));
                }
                let variants = summary.variants.into_iter().map(|variant| {
                    Ok((self.variant(variant.variant)?, convert::resources(variant)))
                });
                MeasureEvent::Done(Measured {
                    variants: variants.collect::<Result<_, DeviceError>>()?,
                    converged: summary.converged,
                    cores: summary.cores,
                    cut_short: summary.cut_short,
                    missing: summary.missing,
                })
            }
        })
    }

    /// The number of the next block, which the agent says is `told`.
    fn number(&mut self, told: u32) -> Result<u32, DeviceError> {
        let next = self.blocks;
        self.blocks += 1;
        // Older agents give the number of a voided block again to the one that is taken in its place.
        if told != next && self.device.api_version() >= NUMBERS_SINCE {
            let detail = format!("it sends block {told} where {next} comes");
            return Err(self.device.protocol(DOING, detail));
        }
        Ok(next)
    }

    /// The digest that an index of the answer means.
    fn variant(&self, index: u32) -> Result<String, DeviceError> {
        let known = usize::try_from(index).ok().and_then(|index| self.sha256.get(index));
        known.cloned().ok_or_else(|| {
            let detail =
                format!("it names variant {index}, but {} were asked for", self.sha256.len());
            self.device.protocol(DOING, detail)
        })
    }
}
