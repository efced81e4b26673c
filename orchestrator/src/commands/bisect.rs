//! `bisect`: the first of several versions that is slower than the first one.

use std::collections::BTreeSet;

use anyhow::anyhow;
use serde::{Deserialize, Serialize};

use super::compare::runs;
use super::nightly::{resolver, share};
use crate::context::Context;
use crate::device::Device;
use crate::digest::hex_digest;
use crate::exit::{CommandResult, Exit, Failure};
use crate::nightly::bisect::{Bisection, Step};
use crate::nightly::check::{Asked, Comparison, compare};
use crate::nightly::effect::Effect;
use crate::nightly::night::Night;
use crate::nightly::render::{change, interval};
use crate::nightly::report::ModelReport;
use crate::nightly::setup::Setup;
use crate::nightly::subject::Subject;
use crate::nightly::suite::{MIN_EFFECT, Model, RUNS, Suite};
use crate::nightly::verdict::Verdict;
use crate::output::text_table;
use crate::store::{ArtifactKind, Store};

/// Options of `bisect`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The versions, the oldest first: model files, variants, or stages of the pipeline; with a level, as in hand.tflite@fp16.
    #[arg(required = true, num_args = 2.., value_name = "VERSION")]
    versions: Vec<String>,
    /// The slow-down that is to be found, as a share.
    #[arg(long, default_value_t = MIN_EFFECT, value_name = "SHARE", value_parser = share)]
    min_effect: f64,
    /// Runs of each version that is compared, and as many again to confirm.
    #[arg(long, default_value_t = RUNS, value_name = "N", value_parser = runs)]
    runs: usize,
}

/// What a comparison of a version with the first came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Compared {
    verdict: Verdict,
    reason: Option<String>,
    effect: Option<Effect>,
}

/// A version.
#[derive(Debug, Serialize)]
struct Version {
    name: String,
    sha256: String,
    /// Absent where it was not needed.
    compared: Option<Compared>,
}

/// What `bisect` prints.
#[derive(Debug, Serialize)]
struct Shown {
    board: String,
    min_effect: f64,
    versions: Vec<Version>,
    /// The first that is slower.
    first_slower: Option<String>,
    /// Those of which one is the first, where the evidence does not allow to say which.
    candidates: Vec<String>,
}

/// Where comparisons are made.
struct Bench<'a> {
    device: &'a Device,
    store: &'a Store,
    suite: &'a Suite,
    asked: Asked,
    /// Taken with the first comparison that is measured.
    night: Option<Night<'a>>,
}

/// Runs the command.
///
/// # Errors
/// When the versions cannot be read, or board or store fail. What has been compared is kept, and not compared again.
pub async fn run(args: Args, context: &Context) -> CommandResult {
    let models = args.versions.iter().map(|version| Model::named(version)).collect();
    let mut suite = Suite { models, ..Suite::default() };
    context.options.overrule(&mut suite.measure);
    let store = context.store().await?;
    let subjects = resolver(context, &store, &suite, None)?.suite(&suite).await?;
    let device = context.connect().await?;
    let asked = Asked { min_effect: args.min_effect, runs: args.runs, across: BTreeSet::new() };
    let mut bench = Bench { device: &device, store: &store, suite: &suite, asked, night: None };
    let mut all: Vec<Option<Compared>> = vec![None; subjects.len()];
    let mut bisection = Bisection::new(subjects.len());
    let end = loop {
        let Step::Compare(version) = bisection.next() else { break bisection.next() };
        let compared = bench.compare(&subjects[0], &subjects[version], context).await?;
        tracing::info!("{}", said(&subjects[version].name, &subjects[0].name, &compared));
        bisection.learn(version, compared.verdict);
        all[version] = Some(compared);
    };
    if let Some(night) = bench.night {
        night.end();
    }
    let name = |version: usize| subjects[version].name.clone();
    let shown = Shown {
        board: device.facts().hostname.clone(),
        min_effect: args.min_effect,
        first_slower: if let Step::Found(version) = end { Some(name(version)) } else { None },
        candidates: match end {
            Step::Unclear { from, to } => (from..=to).map(name).collect(),
            _ => Vec::new(),
        },
        versions: subjects
            .iter()
            .zip(all)
            .map(|(subject, compared)| Version {
                name: subject.name.clone(),
                sha256: subject.record.sha256.clone(),
                compared,
            })
            .collect(),
    };
    context.print("bisect", &shown, human)?;
    Ok(match end {
        Step::Found(_) => Exit::TargetMissed,
        Step::Unclear { .. } => Exit::Inconclusive,
        Step::NoneSlower | Step::Compare(_) => Exit::Ok,
    })
}

impl<'a> Bench<'a> {
    /// Compares a version with the first, or finds what that came to before.
    async fn compare(
        &mut self,
        first: &Subject,
        version: &Subject,
        context: &Context,
    ) -> Result<Compared, Failure> {
        if version.record.sha256 == first.record.sha256 {
            return Ok(Compared { verdict: Verdict::Ok, reason: None, effect: None });
        }
        let setup = Setup::of(self.device, self.suite.measure.threads).digest();
        let facts = self.device.facts();
        let (effect, runs) = (self.asked.min_effect.to_string(), self.asked.runs.to_string());
        let parts =
            [&facts.hostname, &setup, &first.record.sha256, &version.record.sha256, &effect, &runs];
        let key = hex_digest(parts.map(String::as_str).join("\0").as_bytes());
        let kind = ArtifactKind::Bisection;
        if let Some(before) = self.store.newest_artifact(kind, &key, None).await? {
            return Ok(before.body);
        }
        let night = match self.night.take() {
            Some(night) => night,
            None => {
                let measure = &self.suite.measure;
                Night::begin(self.device, self.store, measure, &context.progress).await?
            }
        };
        let comparison = Comparison::with_variant(version.clone(), first.record.sha256.clone());
        let reports = compare(&night, std::slice::from_ref(&comparison), &self.asked).await;
        self.night = Some(night);
        let report: Option<ModelReport> = reports?.pop();
        let report = report.ok_or_else(|| Failure::lab(anyhow!("nothing was compared")))?;
        let ModelReport { verdict, reason, effect, .. } = report;
        let compared = Compared { verdict, reason, effect };
        // What allowed no verdict may allow one another time.
        if verdict != Verdict::Inconclusive {
            self.store.save_artifact(kind, &key, &facts.fingerprint(), &compared).await?;
        }
        Ok(compared)
    }
}

fn said(version: &str, first: &str, compared: &Compared) -> String {
    let effect = compared.effect.as_ref();
    let change = effect.map_or(String::new(), |e| format!(", {}", change(e.change)));
    let reason = compared.reason.as_ref().map_or(String::new(), |why| format!(", {why}"));
    format!("{version} compared with {first}: {}{change}{reason}", compared.verdict)
}

fn human(shown: &Shown) -> String {
    let header = ["version", ">change", ">99 % interval", "verdict"];
    let rows = shown.versions.iter().enumerate().map(|(index, version)| {
        let compared = version.compared.as_ref();
        let effect = compared.and_then(|compared| compared.effect.as_ref());
        let verdict = match compared {
            None if index == 0 => "what all are compared with".to_owned(),
            None => "not needed".to_owned(),
            Some(Compared { verdict, reason: Some(why), .. }) => format!("{verdict}: {why}"),
            Some(compared) => compared.verdict.to_string(),
        };
        vec![
            version.name.clone(),
            effect.map_or("-".to_owned(), |e| change(e.change)),
            effect.map_or("-".to_owned(), interval),
            verdict,
        ]
    });
    let table = text_table(&header, rows);
    let (first, last) = match shown.versions.as_slice() {
        [first, .., last] => (first.name.as_str(), last.name.as_str()),
        _ => ("", ""),
    };
    let end = match (&shown.first_slower, shown.candidates.as_slice()) {
        (Some(found), _) => {
            format!("{found} is the first that is slower than {first} on {}", shown.board)
        }
        (None, []) => format!("none is slower: {last} is not slower than {first}"),
        (None, candidates) => format!(
            "inconclusive: the first that is slower is one of {}; what allowed no verdict is compared \
             again when the command is repeated, with more runs (--runs) or on a quieter board",
            candidates.join(", ")
        ),
    };
    format!("{table}\n\n{end}")
}
