//! The content of a report from what the store holds.

use std::collections::BTreeMap;

use quantrack_engine::Level;

use super::data::{
    BoardConditions, Choice, Collapsed, Device, Exempt, LatencyRow, Point, Proof, Report,
    SearchStep, SensitivityRow, StageChoice, TracePoint, Verdict, Verification,
};
use crate::assignment::{SearchRecord, assignments, guarantee};
use crate::certificate::{certificate, check, statement};
use crate::evaluate::wilson;
use crate::gate::Tried;
use crate::search::{Evaluated, Progress, pareto_front};
use crate::store::{DeviceRecord, TableRow};

/// What a report is collected from.
#[derive(Debug)]
pub struct Sources<'a> {
    /// When it is made.
    pub made_at: String,
    /// The board.
    pub device: &'a DeviceRecord,
    /// Rows of the latency table of this board, pipeline and engine build.
    pub rows: &'a [TableRow],
    /// The search over them.
    pub search: &'a SearchRecord,
    /// Each variant alone.
    pub sensitivity: Vec<SensitivityRow>,
    /// Every recipe that the newest collapse test tried.
    pub tried: &'a [Tried],
    /// The check on the board, if it was made.
    pub verification: Option<Verification>,
    /// Commands that make the report again.
    pub reproduce: Vec<String>,
}

/// Collects a report.
pub fn collect(sources: Sources<'_>) -> Report {
    let search = sources.search;
    let floor = search
        .certificate
        .min_correct
        .map(|correct| correct as f64 / search.baseline.accuracy.total as f64);
    Report {
        pipeline: search.pipeline.clone(),
        made_at: sources.made_at,
        versions: format!(
            "orchestrator {}, engine build {}",
            env!("CARGO_PKG_VERSION"),
            search.engine_build
        ),
        device: device(sources.device),
        conditions: conditions(sources.rows),
        verdict: verdict(search),
        table: sources.rows.iter().map(latency_row).collect(),
        sensitivity: sources.sensitivity,
        points: points(search),
        trace: trace(search),
        steps: steps(search),
        proof: proof(search),
        collapsed: sources
            .tried
            .iter()
            .filter(|tried| tried.test.collapsed)
            .map(collapsed)
            .collect(),
        accuracy_floor: floor,
        latency_limit_us: search.certificate.max_latency_us,
        verification: sources.verification,
        reproduce: sources.reproduce,
    }
}

fn device(record: &DeviceRecord) -> Device {
    let facts = &record.facts;
    Device {
        address: record.address.clone(),
        model: facts.name(),
        cpu: facts.cpu.clone(),
        cores: facts.cores,
        memory_bytes: facts.memory_bytes,
        system: facts.system(),
        fingerprint: record.fingerprint.chars().take(16).collect(),
    }
}

/// All rows together: what the board was doing from the first block to the last.
fn conditions(rows: &[TableRow]) -> BoardConditions {
    let all = || rows.iter().map(|row| &row.conditions);
    let spread = |low: f64, high: f64| move |seen: (f64, f64)| (seen.0.min(low), seen.1.max(high));
    let mut reasons: Vec<String> = all().flat_map(|one| one.void_reasons.clone()).collect();
    reasons.sort();
    reasons.dedup();
    let mut boots: Vec<&String> = all().flat_map(|one| &one.boot_ids).collect();
    boots.sort();
    boots.dedup();
    BoardConditions {
        blocks: all().map(|one| one.blocks).sum(),
        voided_blocks: all().map(|one| one.voided_blocks).sum(),
        void_reasons: reasons,
        temperature_celsius: all().filter_map(|one| one.temperature_celsius).fold(
            None,
            |seen: Option<(f64, f64)>, (low, high)| {
                Some(seen.map_or((low, high), spread(low, high)))
            },
        ),
        arm_clock_hz: all().filter_map(|one| one.arm_clock_hz).fold(
            None,
            |seen: Option<(u64, u64)>, (low, high)| {
                Some(seen.map_or((low, high), |(l, h)| (l.min(low), h.max(high))))
            },
        ),
        throttled_bits: all().filter_map(|one| one.throttled_bits).reduce(|a, b| a | b),
        max_load_1m: all().filter_map(|one| one.max_load_1m).reduce(f64::max),
        governor: all().find_map(|one| one.governor.clone()),
        boots: boots.len(),
    }
}

fn verdict(search: &SearchRecord) -> Verdict {
    let Some(found) = &search.found else { return Verdict::Infeasible(search.advice.clone()) };
    let stages =
        search.stages.iter().zip(&search.problem.stages).map(|(stage, choices)| StageChoice {
            stage: stage.stage.clone(),
            level: stage.level,
            recipe: stage.recipe.clone(),
            latency_us: stage.latency_us,
            baseline_latency_us: choices.choices[choices.baseline].latency_us,
        });
    let baseline = &search.baseline;
    Verdict::Chosen(Choice {
        stages: stages.collect(),
        latency_us: found.latency_us,
        baseline_latency_us: baseline.latency_us,
        accuracy: (found.accuracy.correct, found.accuracy.total),
        baseline_accuracy: (baseline.accuracy.correct, baseline.accuracy.total),
        evaluations: (search.evaluations, assignments(&search.problem)),
        guarantee: guarantee(&search.certificate, search.evaluations, true),
    })
}

/// Every assignment evaluated on all samples, each once.
fn points(search: &SearchRecord) -> Vec<Point> {
    let mut all: Vec<Evaluated> = Vec::new();
    let uniform = search.uniform.iter().map(|(_, evaluated)| evaluated);
    for evaluated in search.trace.iter().chain(uniform) {
        let complete = evaluated.is_complete(search.baseline.accuracy.total);
        if complete && !all.iter().any(|known| known.picks == evaluated.picks) {
            all.push(evaluated.clone());
        }
    }
    let front = pareto_front(&all);
    let point = |(index, evaluated): (usize, &Evaluated)| {
        let uniform = search.uniform.iter().find(|(_, other)| other.picks == evaluated.picks);
        Point {
            label: search.label(&evaluated.picks),
            latency_us: evaluated.latency_us,
            correct: evaluated.accuracy.correct,
            total: evaluated.accuracy.total,
            ci95: wilson(evaluated.accuracy.correct, evaluated.accuracy.total),
            uniform: uniform.map(|(level, _)| *level),
            pareto: front.contains(&index),
            chosen: search.found.as_ref().is_some_and(|found| found.picks == evaluated.picks),
        }
    };
    all.iter().enumerate().map(point).collect()
}

fn trace(search: &SearchRecord) -> Vec<TracePoint> {
    let all = search.baseline.accuracy.total;
    let needed = search.certificate.min_correct.unwrap_or_default();
    let point = |seen: &Evaluated| TracePoint {
        label: search.label(&seen.picks),
        latency_us: seen.latency_us,
        correct: seen.accuracy.correct,
        total: seen.accuracy.total,
        stopped: !seen.is_complete(all),
        passes: seen.is_complete(all) && seen.accuracy.correct >= needed,
    };
    search.trace.iter().map(point).collect()
}

fn steps(search: &SearchRecord) -> Vec<SearchStep> {
    let step = |progress: &Progress| SearchStep {
        evaluations: progress.evaluations,
        incumbent_us: progress.incumbent.map(|(us, _)| us),
        bound_us: progress.bound_us,
    };
    search.progress.iter().map(step).collect()
}

/// The certificate, checked by what knows nothing of the search.
fn proof(search: &SearchRecord) -> Option<Proof> {
    let document = certificate(search).ok()?;
    let checked = check(&document);
    Some(Proof {
        statement: statement(&document),
        witnesses: document.proof.witnesses.len(),
        bounds: document.proof.bounds.len(),
        excluded: document.proof.excluded.len(),
        checked: checked.map(|proven| proven.visited).map_err(|rejected| rejected.to_string()),
        sha256: document.sha256.certificate,
    })
}

fn collapsed(tried: &Tried) -> Collapsed {
    let autopsy = tried.autopsy.as_ref();
    Collapsed {
        stage: tried.stage.clone(),
        level: tried.level,
        recipe: tried.recipe.clone(),
        agreeing: (tried.test.agreeing, tried.test.samples),
        dies_at: autopsy.map(|autopsy| autopsy.dies_at.clone()),
        layers: autopsy.map(|autopsy| autopsy.layers.clone()).unwrap_or_default(),
        then: tried.then.to_string(),
    }
}

fn latency_row(row: &TableRow) -> LatencyRow {
    let mut grouped: BTreeMap<(Level, &str), usize> = BTreeMap::new();
    for exemption in &row.exemptions {
        *grouped.entry((exemption.level, &exemption.reason)).or_default() += 1;
    }
    let exempt = grouped.into_iter().map(|((level, reason), layers)| Exempt {
        level,
        layers,
        reason: reason.to_owned(),
    });
    LatencyRow {
        stage: row.stage.clone(),
        level: row.level,
        recipe: row.recipe.clone(),
        threads: row.threads,
        median_us: row.summary.median_us,
        p90_us: Some(row.summary.p90_us),
        p95_us: row.summary.p95_us,
        ci95_us: row.summary.ci95_us,
        samples: row.summary.samples,
        voided: row.summary.voided,
        bytes: row.bytes,
        memory_bytes: row.resources.variant_bytes(),
        exempt: exempt.collect(),
    }
}
