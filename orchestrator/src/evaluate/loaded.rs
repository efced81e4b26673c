//! A variant that is ready to run.

use std::sync::{Arc, Mutex, PoisonError};

use quantrack_engine::kernels::CpuFeatures;
use quantrack_engine::plan::{Plan, RunError, Session};
use quantrack_engine::{Serial, Variant};

use super::EvaluateError;
use quantrack_engine::glue::{Inputs, Outputs};

/// A variant planned for this machine, with a session for each thread that has run it.
#[derive(Debug)]
pub struct LoadedVariant {
    sha256: String,
    plan: Arc<Plan>,
    idle: Mutex<Vec<Session>>,
}

impl LoadedVariant {
    /// Plans the variant in the file `bytes`.
    ///
    /// # Errors
    /// When it is no variant, or cannot run here.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EvaluateError> {
        let variant = Variant::from_bytes(bytes)?;
        let plan = Arc::new(Plan::new(&variant, &CpuFeatures::detect())?);
        Ok(Self { sha256: Variant::sha256(bytes), plan, idle: Mutex::default() })
    }

    /// Digest of its file.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// How it runs.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Runs it once, on the calling thread.
    ///
    /// # Errors
    /// Inputs that do not fit.
    pub fn run(&self, inputs: &Inputs) -> Result<Outputs, RunError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let session = idle().pop();
        let mut session = session.unwrap_or_else(|| Session::new(Arc::clone(&self.plan)));
        let outputs = session.run(inputs, &Serial);
        idle().push(session);
        outputs
    }
}
