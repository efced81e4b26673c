//! Versions of a model, which one agent measures in turns.

use super::{Compared, known, remember};
use crate::context::Context;
use crate::device::Device;
use crate::exit::Failure;
use crate::nightly::check::{Asked, Comparison, compare};
use crate::nightly::night::Night;
use crate::nightly::setup::Setup;
use crate::nightly::subject::Subject;
use crate::nightly::suite::Suite;
use crate::store::Store;

/// Where comparisons are made.
pub(super) struct Models<'a> {
    pub(super) context: &'a Context,
    pub(super) device: &'a Device,
    pub(super) store: &'a Store,
    pub(super) suite: &'a Suite,
    pub(super) asked: &'a Asked,
    /// The versions, the oldest first.
    pub(super) subjects: &'a [Subject],
    /// Taken with the first comparison that is measured.
    pub(super) night: Option<Night<'a>>,
}

impl Models<'_> {
    /// Compares a version with the first, or finds what that came to before.
    pub(super) async fn compare(&mut self, version: usize) -> Result<Compared, Failure> {
        let (first, version) = (&self.subjects[0].record.sha256, &self.subjects[version]);
        if version.record.sha256 == *first {
            return Ok(Compared::same());
        }
        let setup = Setup::of(self.device, self.suite.measure.threads);
        let parts = [first, &version.record.sha256];
        if let Some(before) = known(self.store, &setup, &parts, self.asked).await? {
            return Ok(before);
        }
        let night = match self.night.take() {
            Some(night) => night,
            None => {
                let (measure, bars) = (&self.suite.measure, &self.context.progress);
                Night::begin(self.device, self.store, measure, bars).await?
            }
        };
        let comparison = Comparison::with_variant(version.clone(), first.clone());
        let reports = compare(&night, std::slice::from_ref(&comparison), self.asked).await;
        self.night = Some(night);
        let report = reports?.pop();
        let report = report.ok_or_else(|| Failure::lab(anyhow::anyhow!("nothing was compared")))?;
        let compared = Compared::new(report, &self.subjects[0].name);
        remember(self.store, &setup, &parts, self.asked, &compared).await?;
        Ok(compared)
    }
}
