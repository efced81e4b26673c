//! `bisect`: the first of several versions of a model, or of several engine builds, that is slower than the first one.

mod engines;
mod models;

use std::path::PathBuf;

use anyhow::anyhow;
use engines::{Engines, builds};
use models::Models;
use serde::{Deserialize, Serialize};

use super::authority::Keeper;
use super::compare::runs;
use super::enroll;
use super::nightly::{resolver, share};
use crate::context::Context;
use crate::device::Address;
use crate::digest::hex_digest;
use crate::exit::{CommandResult, Exit, Failure};
use crate::nightly::bisect::{Bisection, Step};
use crate::nightly::check::Asked;
use crate::nightly::effect::Effect;
use crate::nightly::precautions::PRECAUTIONS;
use crate::nightly::render::{change, interval};
use crate::nightly::report::ModelReport;
use crate::nightly::setup::Setup;
use crate::nightly::suite::{MIN_EFFECT, Model, RUNS, Suite};
use crate::nightly::verdict::Verdict;
use crate::output::text_table;
use crate::store::{ArtifactKind, Store};

/// Options of `bisect`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The versions, the oldest first: model files, variants, or stages of the pipeline; with a level, as in hand.tflite@fp16.
    /// With --engine: the model that all builds run.
    #[arg(required = true, value_name = "VERSION")]
    versions: Vec<String>,
    /// An engine build, the oldest first: an agent, or a folder with agent-aarch64, agent-armv7 and agent-x86_64. Give it
    /// twice or more. They are started on this machine, or put on a board with --enroll.
    #[arg(long = "engine", value_name = "BUILD")]
    engines: Vec<PathBuf>,
    /// The board as `ssh` knows it, as in pi@pi3.local: each build is put there as `device enroll` does it, the last one
    /// stays. Where it is not enrolled under the name and address that ssh knows, add --device.
    #[arg(long, value_name = "TARGET", requires = "engines")]
    enroll: Option<String>,
    #[command(flatten)]
    keeper: Keeper,
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
    /// What there is to say of precautions that were missing.
    #[serde(default)]
    precautions: Option<String>,
}

impl Compared {
    /// What a report on a version says; `first` is the one that all are compared with.
    fn new(report: ModelReport, first: &str) -> Self {
        let precautions = report.missing_precautions.sentence(first);
        let ModelReport { verdict, reason, effect, .. } = report;
        Self { verdict, reason, effect, precautions }
    }

    /// Of what could not be tried.
    fn untried(failure: &Failure) -> Self {
        let cause = failure.to_string().replace("\n  because: ", ": ");
        Self { verdict: Verdict::LabFault, reason: Some(cause), effect: None, precautions: None }
    }

    /// Of what is the same to the byte.
    fn same() -> Self {
        Self { verdict: Verdict::Ok, reason: None, effect: None, precautions: None }
    }
}

/// A version.
#[derive(Debug, Serialize)]
struct Version {
    name: String,
    /// Digest of the variant, or of the agent.
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
    /// Those of which one is the first, the last included, where the evidence does not allow to say which.
    candidates: Vec<String>,
    /// Those of which nothing can be said, where none before them is slower: they allow no verdict, or cannot be tried.
    open: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// When the versions cannot be read, or board or store fail. What has been compared is kept, and not compared again.
pub async fn run(args: Args, context: &Context) -> CommandResult {
    let store = context.store().await?;
    let models = args.versions.iter().map(|version| Model::named(version)).collect();
    let mut suite = Suite { models, ..Suite::default() };
    context.options.overrule(&mut suite.measure);
    // Which precautions a worker takes is part of an engine build: one that has lost some is slower, and shall be found.
    let across = (!args.engines.is_empty()).then(|| PRECAUTIONS.to_owned());
    let across = across.into_iter().collect();
    let asked = Asked { min_effect: args.min_effect, runs: args.runs, across };
    let shown = if args.engines.is_empty() {
        of_models(&suite, &asked, &store, context).await?
    } else {
        of_engines(args, &suite, &asked, &store, context).await?
    };
    context.print("bisect", &shown, human)?;
    Ok(match shown.first_slower {
        Some(_) => Exit::TargetMissed,
        None if shown.candidates.is_empty() && shown.open.is_empty() => Exit::Ok,
        None => Exit::Inconclusive,
    })
}

async fn of_models(
    suite: &Suite,
    asked: &Asked,
    store: &Store,
    context: &Context,
) -> Result<Shown, Failure> {
    if suite.models.len() < 2 {
        let error = anyhow!("one version alone cannot be compared");
        return Err(Failure::usage(error)
            .next("name two or more, the oldest first, or engine builds with --engine"));
    }
    let subjects = resolver(context, store, suite, None)?.suite(suite).await?;
    let device = context.connect().await?;
    let (device, subjects) = (&device, subjects.as_slice());
    let mut bench = Models { context, device, store, suite, asked, subjects, night: None };
    let names = subjects.iter().map(|s| (s.name.clone(), s.record.sha256.clone())).collect();
    let mut search = Search::new(names);
    while let Some(version) = search.due() {
        let compared = bench.compare(version).await?;
        search.learn(version, compared);
    }
    if let Some(night) = bench.night {
        night.end();
    }
    Ok(search.shown(&device.facts().hostname, asked))
}

async fn of_engines(
    args: Args,
    suite: &Suite,
    asked: &Asked,
    store: &Store,
    context: &Context,
) -> Result<Shown, Failure> {
    if suite.models.len() != 1 || args.engines.len() < 2 {
        let error =
            anyhow!("engine builds are compared by one model, and there must be two or more");
        return Err(Failure::usage(error).next("as in: bisect hand.tflite --engine v1 --engine v2"));
    }
    let (address, target) = (context.address()?, args.enroll.as_deref());
    if address != Address::Local && target.is_none() {
        let error = anyhow!("no engine build can be put on {address}");
        return Err(
            Failure::usage(error).next("say how ssh reaches it, as in --enroll pi@pi3.local")
        );
    }
    let builds = builds(&args.engines, target).await?;
    let subjects = resolver(context, store, suite, None)?.suite(suite).await?;
    let [subject] = subjects.as_slice() else { return Err(Failure::usage(anyhow!("no model"))) };
    let enroll = args.enroll.map(|target| {
        let args = enroll::Args { target, keeper: args.keeper, ..enroll::Args::default() };
        match address {
            Address::Local => args,
            Address::Remote { host, port, board } => {
                enroll::Args { name: board, address: Some(host), port: Some(port), ..args }
            }
        }
    });
    let names = builds.iter().map(|b| (b.name.clone(), b.sha256.clone())).collect();
    let (stays, builds) = (enroll.is_some(), builds.as_slice());
    let mut bench = Engines {
        context,
        store,
        suite,
        asked,
        subject,
        builds,
        enroll,
        running: None,
        last: None,
        lock: None,
        disturbed: false,
    };
    let mut search = Search::new(names);
    let ended = async {
        while let Some(build) = search.due() {
            let compared = bench.compare(build).await?;
            search.learn(build, compared);
        }
        let last = if stays { search.newest_usable() } else { 0 };
        Ok(bench.on(last).await?.facts().hostname.clone())
    };
    let ended: Result<String, Failure> = ended.await;
    let left = bench.last.filter(|_| stays).map(|build| builds[build].name.as_str());
    let board = ended.map_err(|failure| match left {
        Some(left) => failure.context(format!("the board has {left} now")),
        None => failure,
    })?;
    Ok(search.shown(&board, asked))
}

/// What is known of versions.
struct Search {
    /// Names and digests.
    names: Vec<(String, String)>,
    bisection: Bisection,
    compared: Vec<Option<Compared>>,
}

impl Search {
    fn new(names: Vec<(String, String)>) -> Self {
        let count = names.len();
        Self { names, bisection: Bisection::new(count), compared: vec![None; count] }
    }

    /// The version to compare with the first; `None`: there is no more to learn.
    fn due(&self) -> Option<usize> {
        let Step::Compare(version) = self.bisection.next() else { return None };
        Some(version)
    }

    /// The last of those that are known to run; the first where no other is.
    fn newest_usable(&self) -> usize {
        let tried = |compared: &Option<Compared>| {
            compared.as_ref().is_some_and(|compared| compared.verdict != Verdict::LabFault)
        };
        self.compared.iter().rposition(tried).unwrap_or(0)
    }

    fn learn(&mut self, version: usize, compared: Compared) {
        tracing::info!("{}", said(&self.names[version].0, &self.names[0].0, &compared));
        self.bisection.learn(version, compared.verdict);
        self.compared[version] = Some(compared);
    }

    fn shown(self, board: &str, asked: &Asked) -> Shown {
        let end = self.bisection.next();
        let name = |version: usize| self.names[version].0.clone();
        let count = self.names.len();
        let (first_slower, candidates, open) = match end {
            Step::Found(version) => (Some(name(version)), 0..0, 0..0),
            Step::Unclear { from, to } => (None, from..to + 1, 0..0),
            Step::Open { from } => (None, 0..0, from..count),
            Step::NoneSlower | Step::Compare(_) => (None, 0..0, 0..0),
        };
        let [candidates, open] = [candidates, open].map(|all| all.map(name).collect());
        let all = self.names.into_iter().zip(self.compared);
        let version = |((name, sha256), compared)| Version { name, sha256, compared };
        Shown {
            board: board.to_owned(),
            min_effect: asked.min_effect,
            first_slower,
            candidates,
            open,
            versions: all.map(version).collect(),
        }
    }
}

/// Under which a comparison of what has these digests is stored.
fn key(setup: &Setup, digests: &[&String], asked: &Asked) -> String {
    let (effect, runs) = (asked.min_effect.to_string(), asked.runs.to_string());
    let mut parts = vec![setup.facts.hostname.clone(), setup.digest()];
    parts.extend(digests.iter().map(|digest| (*digest).clone()));
    parts.extend([effect, runs]);
    hex_digest(parts.join("\0").as_bytes())
}

/// What a comparison came to before.
async fn known(
    store: &Store,
    setup: &Setup,
    digests: &[&String],
    asked: &Asked,
) -> Result<Option<Compared>, Failure> {
    let key = key(setup, digests, asked);
    let before = store.newest_artifact(ArtifactKind::Bisection, &key, None).await?;
    Ok(before.map(|before| before.body))
}

/// Keeps what a comparison came to, unless it allowed no verdict: it may allow one another time.
async fn remember(
    store: &Store,
    setup: &Setup,
    digests: &[&String],
    asked: &Asked,
    compared: &Compared,
) -> Result<(), Failure> {
    if compared.verdict == Verdict::Inconclusive {
        return Ok(());
    }
    let (key, fingerprint) = (key(setup, digests, asked), setup.facts.fingerprint());
    store.save_artifact(ArtifactKind::Bisection, &key, &fingerprint, compared).await?;
    Ok(())
}

fn said(version: &str, first: &str, compared: &Compared) -> String {
    if compared.verdict == Verdict::LabFault {
        let why = compared.reason.as_deref().unwrap_or_default();
        return format!("{version} cannot be tried: {why}");
    }
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
            Some(Compared { verdict: Verdict::LabFault, .. }) => "cannot be tried".to_owned(),
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
    let mut table = text_table(&header, rows);
    let noted = shown.versions.iter().filter_map(|version| {
        let Compared { verdict, reason, precautions, .. } = version.compared.as_ref()?;
        let said = if *verdict == Verdict::LabFault { reason } else { precautions };
        Some(format!("{}: {}", version.name, said.as_ref()?))
    });
    for (at, line) in noted.enumerate() {
        table.push_str(if at == 0 { "\n\n" } else { "\n" });
        table.push_str(&line);
    }
    let (first, last) = match shown.versions.as_slice() {
        [first, .., last] => (first.name.as_str(), last.name.as_str()),
        _ => ("", ""),
    };
    let again = "what allowed no verdict, or could not be tried, is compared again when the command is repeated, with more \
                 runs (--runs) or on a quieter board";
    let end = match &shown.first_slower {
        Some(found) => {
            format!("{found} is the first that is slower than {first} on {}", shown.board)
        }
        None if !shown.candidates.is_empty() => {
            let candidates = shown.candidates.join(", ");
            format!("inconclusive: the first that is slower is one of {candidates}; {again}")
        }
        None if !shown.open.is_empty() => {
            let open = shown.open.join(", ");
            format!(
                "inconclusive: none before is slower, and nothing can be said of {open}; {again}"
            )
        }
        None => format!("none is slower: {last} is not slower than {first}"),
    };
    format!("{table}\n\n{end}")
}
