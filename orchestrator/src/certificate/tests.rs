//! Certificates of random problems, and what becomes of them when they are changed.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use serde_json::Value;

use super::*;
use crate::assignment::{Scope, SearchRecord};
use crate::search::instance::{Instance, instance};
use crate::search::{Floor, Guarantee, Method, Objective};
use crate::spec::Percentile;

fn emitted(instance: &Instance) -> Document {
    let scope = Scope {
        pipeline: "pipeline".to_owned(),
        device: "board".to_owned(),
        engine_build: "build".to_owned(),
        threads: 1,
        percentile: Percentile::Median,
    };
    let (problem, (outcome, _)) = (instance.problem.clone(), instance.solve());
    certificate(&SearchRecord::new(&scope, problem, outcome, Vec::new())).unwrap()
}

/// Problems as [`instance`] makes them, some searched with tests that stop evaluations, some with accuracy taken to be
/// monotone, which it is in half of them.
fn searched() -> impl Strategy<Value = Instance> {
    let margin = prop::option::weighted(0.4, 1..4_u64);
    (instance(), margin, any::<bool>(), prop::bool::weighted(0.3)).prop_map(
        |(mut instance, monotone_margin, is_monotone, tested)| {
            if is_monotone {
                instance = instance.with_monotone_accuracy();
            }
            let false_rejection = if tested { 0.4 } else { 0.0 };
            instance.problem.method = Method { monotone_margin, false_rejection };
            instance
        },
    )
}

/// Every assignment of a table.
fn all_picks(document: &Document) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = vec![vec![]];
    for stage in &document.table.stages {
        let with = |head: &Vec<usize>| {
            let head = head.clone();
            (0..stage.choices.len()).map(move |pick| [&head[..], &[pick]].concat())
        };
        all = all.iter().flat_map(with).collect();
    }
    all
}

/// What a proof says was evaluated.
fn evaluated(document: &Document) -> impl Iterator<Item = &Evaluation> + Clone {
    let proof = &document.proof;
    proof.witnesses.iter().chain(&proof.incumbent).chain(&proof.front).chain([&proof.baseline])
}

/// The most right answers that a proof allows for an assignment.
fn at_most(document: &Document, picks: &[usize]) -> u64 {
    let (table, proof) = (&document.table, &document.proof);
    let own = evaluated(document).filter(|e| e.picks == *picks).map(|e| e.at_most);
    let is_above = |e: &&Evaluation| {
        let level = |stage: usize, pick: usize| table.stages[stage].choices[pick].level;
        let mut stages = picks.iter().zip(&e.picks).enumerate();
        stages.all(|(stage, (&low, &high))| low == high || level(stage, high) < level(stage, low))
    };
    let margin = proof.monotone_margin;
    let above = evaluated(document).filter(|e| margin.is_some() && is_above(e));
    let above = above.map(|e| e.at_most + margin.unwrap_or_default() - 1);
    let begins = proof.bounds.iter().filter(|bound| picks.starts_with(&bound.picks));
    let begins = begins.map(|bound| bound.at_most);
    own.chain(above).chain(begins).chain([proof.baseline.total]).min().unwrap_or_default()
}

/// Everything that a proof says, by brute force: with the best accuracy that it allows for whatever was not evaluated,
/// nothing that meets the thresholds is better than the answer.
fn is_true(document: &Document) -> bool {
    let (table, question, proof) = (&document.table, &document.question, &document.proof);
    let choice = |picks: &[usize], stage: usize| table.stages[stage].choices[picks[stage]].clone();
    let latency = |picks: &[usize]| {
        let stage_us: Vec<f64> =
            (0..picks.len()).map(|stage| choice(picks, stage).latency_us).collect();
        table.composition.latency_us(&stage_us, &|stage| Some(choice(picks, stage).level))
    };
    let total = proof.baseline.total as f64;
    let share = |correct: u64| correct as f64 / total;
    let base = &proof.baseline;
    let least = match question.floor {
        None => 0.0,
        Some(Floor::MinAccuracy(least)) => least,
        Some(Floor::MaxDropPoints(points)) => share(base.correct) - points / 100.0,
    };
    let meets = |picks: &[usize], correct: u64| {
        let own = table.stages.iter().zip(picks).all(|(stage, &pick)| {
            stage.choices[pick]
                .accuracy
                .zip(stage.min_accuracy)
                .is_none_or(|(is, least)| is >= least)
        });
        let fast = question.max_latency_us.is_none_or(|limit| latency(picks) <= limit);
        let choices: Vec<Choice> = (0..picks.len()).map(|stage| choice(picks, stage)).collect();
        let files: u64 = choices.iter().map(|c| c.model_bytes).sum();
        let memory: u64 = choices.iter().filter_map(|c| c.memory_bytes).sum();
        let limits = &question.constraints;
        let same = |group: &Vec<usize>| {
            group.iter().all(|&stage| choices[stage].level == choices[group[0]].level)
        };
        let keeps = limits.max_model_bytes.is_none_or(|most| files <= most)
            && limits.max_memory_bytes.is_none_or(|most| memory <= most)
            && limits.same_level.iter().all(same);
        own && fast && keeps && share(correct) > least - 1e-9
    };
    let answers = proof.incumbent.iter().chain(&proof.front);
    if evaluated(document).any(|e| latency(&e.picks) != e.latency_us) {
        return false;
    }
    if answers.clone().any(|i| !meets(&i.picks, i.correct) || i.total != base.total) {
        return false;
    }
    let value = |picks: &[usize], correct: u64| match question.objective {
        Objective::MinLatency => (latency(picks), 0.0),
        Objective::MaxAccuracy => (-(correct as f64), latency(picks)),
        Objective::ParetoFront => (latency(picks), -(correct as f64)),
        Objective::Weighted { accuracy_weight } => {
            let drop = share(base.correct) - share(correct);
            (latency(picks) / base.latency_us + accuracy_weight * drop, 0.0)
        }
    };
    let incomplete = proof.guarantee == Guarantee::Incomplete;
    !all_picks(document).iter().any(|picks| {
        let claimed = !incomplete || latency(picks) < proof.covered_us.unwrap_or(0.0);
        let correct = at_most(document, picks);
        let better = |i: &Evaluation| match question.objective {
            Objective::ParetoFront => {
                let beats =
                    |on: &Evaluation| on.latency_us <= latency(picks) && on.correct >= correct;
                !proof.front.iter().any(beats)
            }
            _ => value(picks, correct) < value(&i.picks, i.correct),
        };
        claimed && meets(picks, correct) && proof.incumbent.as_ref().is_none_or(better)
    })
}

/// Every place in a JSON value, as a pointer.
fn places(value: &Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| places(field, &format!("{at}/{name}"), into));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| places(item, &format!("{at}/{i}"), into));
        }
        _ => {}
    }
}

/// Changes the value in one of a few ways.
fn change(value: &mut Value, how: usize) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            let index = how / 3 % items.len();
            match how % 3 {
                0 => drop(items.remove(index)),
                1 => items.push(items[index].clone()),
                _ => items.rotate_left(1),
            }
        }
        Value::Number(number) => {
            let is = number.as_f64().unwrap();
            let whole = number.as_u64();
            *value = match (how % 4, whole) {
                (0, Some(whole)) => (whole + 1).into(),
                (1, Some(whole)) => whole.saturating_sub(1).into(),
                (0, None) => is.next_up().into(),
                (1, None) => is.next_down().into(),
                (2, _) => (is * 3.0 + 10.0).into(),
                _ => (is / 4.0).into(),
            };
            if let (Some(_), Some(changed)) = (whole, value.as_f64()) {
                *value = (changed as u64).into();
            }
        }
        // More right answers, told twice alike.
        Value::Object(fields) if fields.contains_key("at_most") && how.is_multiple_of(2) => {
            for name in ["correct", "at_most"] {
                if let Some(is) = fields.get_mut(name) {
                    *is = (is.as_u64().unwrap() + how as u64 % 5).into();
                }
            }
        }
        Value::String(text) => *value = format!("{text}.").into(),
        Value::Null => *value = 5.5.into(),
        _ => *value = Value::Null,
    }
}

/// The document with one place of its question, table or proof changed; `None` where it can no longer be read or
/// nothing changed.
fn mutant(document: &Document, place: prop::sample::Index, how: usize) -> Option<Document> {
    let mut value = serde_json::to_value(document).unwrap();
    let mut all = Vec::new();
    for part in ["question", "table", "proof"] {
        places(&value[part], &format!("/{part}"), &mut all);
    }
    change(value.pointer_mut(&all[place.index(all.len())]).unwrap(), how);
    serde_json::from_value(value).ok().filter(|mutant| mutant != document)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_certificate_is_accepted_and_true(
        mut instance in searched(), most in prop::option::of(1..40_usize)
    ) {
        instance.problem.max_evaluations = most;
        let document = emitted(&instance);
        let bytes = document.to_bytes().unwrap();
        prop_assert_eq!(&Document::from_bytes(&bytes).unwrap(), &document);
        prop_assert_eq!(&emitted(&instance).to_bytes().unwrap(), &bytes);
        let proven = check(&document);
        prop_assert!(proven.is_ok(), "{:?}\n{}", proven, String::from_utf8(bytes).unwrap());
        prop_assert!(is_true(&document));
    }

    #[test]
    fn every_changed_byte_is_noticed(
        instance in searched(), place in any::<prop::sample::Index>(), byte in 0..=255_u8, how in 0..3_u8
    ) {
        let bytes = emitted(&instance).to_bytes().unwrap();
        let mut changed = bytes.clone();
        let at = place.index(changed.len());
        match how {
            0 => changed[at] = byte,
            1 => drop(changed.remove(at)),
            _ => changed.insert(at, byte),
        }
        prop_assert!(changed == bytes || Document::from_bytes(&changed).is_err());
    }

    #[test]
    fn a_changed_fact_does_not_pass_under_a_new_digest_of_the_file(
        instance in searched(), place in any::<prop::sample::Index>(), how in 0..60_usize
    ) {
        let document = emitted(&instance);
        if let Some(mut mutant) = mutant(&document, place, how) {
            let all = Document::seal(
                mutant.question.clone(), mutant.table.clone(), mutant.proof.clone()).unwrap();
            mutant.sha256.certificate = all.sha256.certificate;
            prop_assert!(Document::from_bytes(&mutant.to_bytes().unwrap()).is_err());
        }
    }
}

/// With every digest made anew a mutant is a certificate of other facts: it passes only where it proves its answer
/// from these.
#[test]
fn of_mutants_with_new_digests_only_those_pass_that_prove_their_answer() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = (searched(), any::<prop::sample::Index>(), 0..60_usize);
    let (mut rejected, mut reasons) = (0, std::collections::BTreeSet::new());
    for _ in 0..8000 {
        let (instance, place, how) = strategy.new_tree(&mut runner).unwrap().current();
        let Some(mutant) = mutant(&emitted(&instance), place, how) else { continue };
        match check(&mutant) {
            Ok(_) => assert!(is_true(&mutant), "{place:?} {how}: {mutant:#?}"),
            Err(reason) => {
                rejected += 1;
                let name = format!("{reason:?}");
                reasons.insert(name.split([' ', '(']).next().unwrap_or_default().to_owned());
            }
        }
    }
    assert!(rejected >= 1000, "only {rejected} mutants were rejected");
    assert_eq!(reasons.len(), 9, "every reason to reject is met: {reasons:?}");
}

/// The rows that a table shows of what a certificate is made of.
fn rows(document: &Document) -> MeasuredTable {
    let rows = document.table.stages.iter().flat_map(|stage| {
        stage.choices.iter().map(|choice| MeasuredRow {
            device: "board".to_owned(),
            pipeline: "pipeline".to_owned(),
            stage: stage.name.clone(),
            level: choice.level,
            recipe: choice.recipe.clone(),
            variant_sha256: choice.variant_sha256.clone(),
            threads: 1,
            engine_build: "build".to_owned(),
            median_us: choice.latency_us,
            p90_us: 2.0 * choice.latency_us,
            p95_us: None,
        })
    });
    MeasuredTable { rows: rows.collect() }
}

#[test]
fn a_certificate_of_another_table_is_told_by_the_difference() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut instance = instance().new_tree(&mut runner).unwrap().current();
    for (index, choice) in
        instance.problem.stages.iter_mut().flat_map(|s| &mut s.choices).enumerate()
    {
        choice.variant_sha256 = format!("{index:064x}");
    }
    let document = emitted(&instance);
    let table = rows(&document);
    assert_eq!(compare_table(&document, &table), []);
    let told = |change: &dyn Fn(&mut MeasuredTable)| {
        let mut table = table.clone();
        change(&mut table);
        let all = compare_table(&document, &table);
        assert!(!all.is_empty());
        all[0].to_string()
    };
    assert!(told(&|t| t.rows[0].median_us += 1.0).contains("us in the certificate"));
    assert!(told(&|t| drop(t.rows.remove(0))).contains("is not in the table"));
    assert!(told(&|t| t.rows[0].recipe = "other".to_owned()).contains("is not in the table"));
    let other = |t: &mut MeasuredTable| t.rows.iter_mut().for_each(|r| r.device = "b2".to_owned());
    assert!(told(&other).ends_with("it has pipeline on b2 with 1 threads of build"));
    assert!(told(&|t| t.rows.clear()).ends_with("it is empty"));
    let more = |t: &mut MeasuredTable| {
        let mut row = t.rows[0].clone();
        row.variant_sha256 = "new".to_owned();
        t.rows.push(row);
    };
    assert!(told(&more).contains("not in the certificate"));
}
