//! The certificate file.

use quantrack_engine::Level;
use serde::{Deserialize, Serialize};

use crate::digest::hex_digest;
use crate::search::{Composition, Constraints, Floor, Guarantee, Objective};
use crate::spec::Percentile;

/// What a certificate file calls itself.
pub const FORMAT: &str = "quantrack-certificate";
/// Version of the format that this program writes and reads.
pub const VERSION: u32 = 2;

/// What was asked, of which board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Fingerprint of the board.
    pub device: String,
    /// Engine build that was timed.
    pub engine_build: String,
    /// Threads of the engine.
    pub threads: u32,
    /// Which percentile the latencies are.
    pub percentile: Percentile,
    /// What is best.
    pub objective: Objective,
    /// End-to-end accuracy that must be reached.
    pub floor: Option<Floor>,
    /// Latency in microseconds that must not be exceeded.
    pub max_latency_us: Option<f64>,
    /// What else an assignment must keep to.
    pub constraints: Constraints,
    /// The probability with which a test may have stopped the evaluation of an assignment that passes; 0: none did.
    pub false_rejection: f64,
}

/// The stages, their choices, and how latencies compose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The stages, in the order of the picks.
    pub stages: Vec<Stage>,
    /// How their latencies make that of the pipeline.
    pub composition: Composition,
}

/// A stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// Index of the choice that the baseline takes.
    pub baseline: usize,
    /// Least value of the stage's own metric.
    pub min_accuracy: Option<f64>,
    /// Its choices.
    pub choices: Vec<Choice>,
}

/// One measured variant of a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The level.
    pub level: Level,
    /// The recipe that reached it.
    pub recipe: String,
    /// Digest of the variant's file.
    pub variant_sha256: String,
    /// Measured latency in microseconds.
    pub latency_us: f64,
    /// The stage's own metric with all other stages at fp32, when it has been measured.
    pub accuracy: Option<f64>,
    /// Size of the variant's file in bytes.
    pub model_bytes: u64,
    /// Bytes that it holds in memory when it is loaded.
    pub memory_bytes: Option<u64>,
}

/// An assignment that was evaluated end to end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Choice per stage.
    pub picks: Vec<usize>,
    /// Predicted latency in microseconds.
    pub latency_us: f64,
    /// Samples with the right answer.
    pub correct: u64,
    /// Samples looked at: all, unless the evaluation was stopped.
    pub total: u64,
    /// The most right answers that it has of all samples.
    pub at_most: u64,
    /// Where a test shows `at_most`, the answers that it saw, `1` right and `0` wrong; for the baseline wherever there were
    /// such tests.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub answers: String,
}

/// The first stages find nothing in so many samples that whatever follows them has few right answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// Choices of the first stages.
    pub picks: Vec<usize>,
    /// Samples in which they find something: the most right answers that there can be.
    pub at_most: u64,
}

/// A choice below its stage's own threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Excluded {
    /// Index of the stage.
    pub stage: usize,
    /// Index of the choice.
    pub choice: usize,
    /// The stage's own metric as measured.
    pub accuracy: f64,
    /// What was asked of it.
    pub min_accuracy: f64,
}

/// Why nothing else is better.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// What is assumed.
    pub guarantee: Guarantee,
    /// All stages at their baseline choice.
    pub baseline: Evaluation,
    /// The least number of right answers that reaches the floor.
    pub min_correct: Option<u64>,
    /// The best assignment; none: there is none.
    pub incumbent: Option<Evaluation>,
    /// Where the trade-off was asked for: all of it, the fastest first, which is the incumbent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub front: Vec<Evaluation>,
    /// The margin, in right answers, of monotone accuracy: an assignment has fewer than so many more than one that runs no
    /// stage at a lower level. None: nothing is assumed.
    pub monotone_margin: Option<u64>,
    /// Witnesses that the assumption would have made unnecessary, evaluated to test it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audits: Vec<Vec<usize>>,
    /// Every choice below its stage's threshold, in order of stage and choice.
    pub excluded: Vec<Excluded>,
    /// Every other assignment that could have been better by its latency and was not by its accuracy, in order of
    /// latency and picks. Where accuracy is taken to be monotone: all evaluations, which rule out what is below them.
    pub witnesses: Vec<Evaluation>,
    /// Of assignments that begin alike the most right answers, in order of the picks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bounds: Vec<Bound>,
    /// The proof is about assignments faster than this, in microseconds: the incumbent where the fastest is asked,
    /// else the latency limit; where evaluations ran out, where they did. None: about all.
    pub covered_us: Option<f64>,
}

/// SHA-256 of the parts, each over its compact JSON, and of these three digests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// Of the question.
    pub question: String,
    /// Of the table.
    pub table: String,
    /// Of the proof.
    pub proof: String,
    /// Of the format, the version and the other three: the name of the certificate.
    pub certificate: String,
}

/// A certificate file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// Digests of the parts.
    pub sha256: Digests,
    /// What was asked.
    pub question: Question,
    /// The measured choices.
    pub table: Table,
    /// The answer and its proof.
    pub proof: Proof,
}

/// A file that is no certificate, or no longer the one that was written.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Not JSON, or other fields.
    #[error("the file is not a certificate of version {VERSION}")]
    Json(#[from] serde_json::Error),
    /// Something else, or a later version.
    #[error("the file is {0} of version {1}; this program reads {FORMAT} of version {VERSION}")]
    Version(String, u32),
    /// A part does not have its digest.
    #[error("the {0} was changed after the certificate was written: its SHA-256 is {1}, not {2}")]
    Digest(&'static str, String, String),
    /// Of a search that went by the table.
    #[error(
        "a search by the table takes losses of accuracy to add up, of which there is no proof; search without `--method table`"
    )]
    ByTable,
    /// Same content in other bytes.
    #[error("byte {0} of the file was changed after the certificate was written")]
    Bytes(usize),
}

impl Document {
    /// A certificate of these parts, with their digests.
    ///
    /// # Errors
    /// When a part cannot be written as JSON.
    pub fn seal(question: Question, table: Table, proof: Proof) -> Result<Self, DocumentError> {
        let mut document = Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            sha256: Digests::default(),
            question,
            table,
            proof,
        };
        document.sha256 = document.digests()?;
        Ok(document)
    }

    /// The bytes of the file: the same for the same content.
    ///
    /// # Errors
    /// When the content cannot be written as JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DocumentError> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads a file; every byte is covered by a digest or by the one way in which a certificate is written.
    ///
    /// # Errors
    /// See [`DocumentError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DocumentError> {
        let document: Self = serde_json::from_slice(bytes)?;
        if (document.format.as_str(), document.version) != (FORMAT, VERSION) {
            return Err(DocumentError::Version(document.format, document.version));
        }
        let (said, is) = (&document.sha256, document.digests()?);
        for (part, is, said) in [
            ("question", is.question, &said.question),
            ("latency table", is.table, &said.table),
            ("proof", is.proof, &said.proof),
            ("list of digests", is.certificate, &said.certificate),
        ] {
            if is != *said {
                return Err(DocumentError::Digest(part, is, said.clone()));
            }
        }
        let written = document.to_bytes()?;
        if written != bytes {
            let same = written.iter().zip(bytes).take_while(|(a, b)| a == b).count();
            return Err(DocumentError::Bytes(same));
        }
        Ok(document)
    }

    fn digests(&self) -> Result<Digests, serde_json::Error> {
        let question = hex_digest(&serde_json::to_vec(&self.question)?);
        let table = hex_digest(&serde_json::to_vec(&self.table)?);
        let proof = hex_digest(&serde_json::to_vec(&self.proof)?);
        let all = format!("{} {} {question} {table} {proof}", self.format, self.version);
        Ok(Digests { question, table, proof, certificate: hex_digest(all.as_bytes()) })
    }
}
