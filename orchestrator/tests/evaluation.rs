//! Evaluations of the demo pipeline: what they depend on, and what they do not.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use quantrack_orchestrator::evaluate::{
    Chain, EvaluateError, Evaluator, Journal, LoadedVariant, NoJournal, SampleResult,
};
use quantrack_orchestrator::search::{Composition, Stopping};
use quantrack_orchestrator::spec::{self, Pipeline};

fn demo() -> (PathBuf, Pipeline) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo");
    let pipeline = spec::load(data.join("demo.toml").to_str().unwrap()).unwrap();
    (data, pipeline)
}

/// A journal in memory, which may have been cut.
#[derive(Default)]
struct Memory(Mutex<BTreeMap<String, BTreeMap<String, SampleResult>>>);

impl Memory {
    /// Leaves the first `entries` of every evaluation.
    fn cut(&self, entries: usize) {
        for results in self.0.lock().unwrap().values_mut() {
            *results = std::mem::take(results).into_iter().take(entries).collect();
        }
    }
}

impl Journal for Memory {
    fn recorded(&self, key: &str) -> Result<BTreeMap<String, SampleResult>, EvaluateError> {
        Ok(self.0.lock().unwrap().get(key).cloned().unwrap_or_default())
    }

    fn record(&self, key: &str, results: &[(String, SampleResult)]) -> Result<(), EvaluateError> {
        let mut all = self.0.lock().unwrap();
        all.entry(key.to_owned()).or_default().extend(results.iter().cloned());
        Ok(())
    }
}

#[test]
fn answers_depend_neither_on_threads_nor_on_where_a_journal_was_cut() {
    let (data, pipeline) = demo();
    let one = Evaluator::open(&pipeline, &data, 1).unwrap();
    let two = Evaluator::open(&pipeline, &data, 2).unwrap();
    let baseline = one.chain().baseline();
    let all = one.right(&baseline, &NoJournal, None).unwrap();
    assert_eq!(two.right(&baseline, &NoJournal, None).unwrap(), all);
    let whole = one.end_to_end(&baseline, &NoJournal).unwrap();
    let right = all.iter().filter(|&&right| right).count() as u64;
    assert_eq!((Some(right), all.len() as u64), (whole.correct, whole.total));

    // In one image the finder finds no hand, and the stages after it do not run.
    assert_eq!(one.found_share(&baseline[..1], &NoJournal).unwrap(), 0.995);
    assert_eq!(one.found_share(&baseline, &NoJournal).unwrap(), 0.995);

    // More than it has: it is stopped, at the same place whatever is in the journal.
    let perfect = vec![true; all.len()];
    let stop = Stopping { needed: right + 1, baseline: &perfect, false_rejection: 0.01 };
    let stopped = one.right(&baseline, &NoJournal, Some(&stop)).unwrap();
    assert!(stopped.len() < all.len(), "it looked at all {}", all.len());
    assert_eq!(stopped, all[..stopped.len()]);
    let journal = Memory::default();
    for entries in [0, 1, 7, 8, 9, 31, 100, all.len()] {
        two.right(&baseline, &journal, None).unwrap();
        journal.cut(entries);
        assert_eq!(two.right(&baseline, &journal, Some(&stop)).unwrap(), stopped, "{entries}");
        assert_eq!(two.right(&baseline, &journal, None).unwrap(), all, "{entries}");
    }
}

#[test]
fn whatever_decides_an_evaluation_is_in_its_key() {
    let (data, pipeline) = demo();
    let evaluator = |pipeline: &Pipeline| Evaluator::open(pipeline, &data, 1).unwrap();
    let usual = evaluator(&pipeline);
    let baseline = usual.chain().baseline();
    let key = |evaluator: &Evaluator| evaluator.end_to_end_key(&baseline);
    assert_eq!(key(&evaluator(&pipeline)), key(&usual));

    // The samples: bytes, labels, order, and which they are.
    let changed = |change: &dyn Fn(&mut quantrack_orchestrator::dataset::Dataset)| {
        let mut dataset = usual.dataset().clone();
        change(&mut dataset);
        let chain = Chain::open(&pipeline, &data).unwrap();
        key(&Evaluator::new(&pipeline, chain, dataset, 1).unwrap())
    };
    let other_label = usual.dataset().samples.iter().map(|s| s.row.label.clone());
    let first = usual.dataset().samples[0].row.label.clone();
    let other_label = other_label.into_iter().find(|label| *label != first).unwrap();
    let mut keys = vec![
        key(&usual),
        changed(&|set| set.samples[0].row.label.clone_from(&other_label)),
        changed(&|set| set.samples.swap(0, 1)),
        changed(&|set| drop(set.samples.pop())),
        changed(&|set| {
            let other = set.samples[1].content.clone();
            set.samples[0].content = other;
        }),
    ];

    // The variants: another one anywhere, before or after.
    let other_models = |stage: usize| -> Vec<Arc<LoadedVariant>> {
        let mut variants = baseline.clone();
        variants[stage] = Arc::clone(&baseline[(stage + 1) % baseline.len()]);
        variants
    };
    keys.extend((0..baseline.len()).map(|stage| usual.end_to_end_key(&other_models(stage))));
    keys.push(usual.sensitivity_key(1, &baseline[1]));
    keys.push(usual.sensitivity_key(1, &baseline[0]));
    keys.push(usual.sensitivity_key(0, &baseline[0]));

    // How stages are connected.
    let mut side_by_side = pipeline.clone();
    let leaf = |stage| Composition::stage(stage, 1.0);
    side_by_side.composition =
        Composition::Chain(vec![Composition::Parallel(vec![leaf(0), leaf(1)]), leaf(2)]);
    keys.push(key(&evaluator(&side_by_side)));
    for (index, key) in keys.iter().enumerate() {
        assert!(!keys[..index].contains(key), "case {index} hits an earlier one");
    }
}
