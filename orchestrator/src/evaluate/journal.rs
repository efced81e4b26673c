//! Where per-image results are kept while an evaluation runs.

use std::collections::BTreeMap;

use tokio::runtime::Handle;

use super::{EvaluateError, SampleResult};
use crate::store::Store;

/// Keeps results, by evaluation and by image.
pub trait Journal {
    /// What is there for the evaluation `key`: result by image.
    ///
    /// # Errors
    /// When it cannot be read.
    fn recorded(&self, key: &str) -> Result<BTreeMap<String, SampleResult>, EvaluateError>;

    /// Adds results to the evaluation `key`.
    ///
    /// # Errors
    /// When they cannot be written.
    fn record(&self, key: &str, results: &[(String, SampleResult)]) -> Result<(), EvaluateError>;
}

/// Keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoJournal;

impl Journal for NoJournal {
    fn recorded(&self, _: &str) -> Result<BTreeMap<String, SampleResult>, EvaluateError> {
        Ok(BTreeMap::new())
    }

    fn record(&self, _: &str, _: &[(String, SampleResult)]) -> Result<(), EvaluateError> {
        Ok(())
    }
}

/// The journal in the store, for code that computes: call it from a thread that may block
/// ([`tokio::task::block_in_place`]).
#[derive(Clone, Debug)]
pub struct StoreJournal<'a> {
    store: &'a Store,
    runtime: Handle,
}

impl<'a> StoreJournal<'a> {
    /// The journal of `store`; to be made within a tokio runtime.
    pub fn new(store: &'a Store) -> Self {
        Self { store, runtime: Handle::current() }
    }
}

impl Journal for StoreJournal<'_> {
    fn recorded(&self, key: &str) -> Result<BTreeMap<String, SampleResult>, EvaluateError> {
        Ok(self.runtime.block_on(self.store.journalled(key))?)
    }

    fn record(&self, key: &str, results: &[(String, SampleResult)]) -> Result<(), EvaluateError> {
        Ok(self.runtime.block_on(self.store.journal(key, results))?)
    }
}
