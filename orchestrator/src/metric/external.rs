//! A program of the user's as a metric. What it is given and what it must print: `docs/accuracy.md`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ndarray_npy::{WriteNpyError, write_npy};
use quantrack_engine::glue::Outputs;
use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;

use super::process::{ProcessError, run};
use crate::digest::hex_digest;

/// Version of what the program is given.
const VERSION: u32 = 1;

/// Characters of a wrong answer that are told.
const TOLD: usize = 200;

/// Characters of the command that are shown in tables.
const SHOWN: usize = 40;

/// A program that scores what variants put out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// How long one call may take.
    pub timeout: Duration,
    /// Whether it is called once and prints one number for the whole set, which has no interval, rather than one for each
    /// sample.
    pub whole_set: bool,
}

/// Why a program gives no scores.
#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
    /// A file that the command names cannot be read.
    #[error("failed to read {}, which the command names", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The folder for its input cannot be made.
    #[error(
        "failed to make a folder for its input; make room, or choose another place with TMPDIR"
    )]
    Folder(#[source] std::io::Error),
    /// Its input cannot be written.
    #[error("failed to write its input {}; make room, or choose another place with TMPDIR", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: WriteNpyError,
    },
    /// It could not do its work.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// It printed nothing.
    #[error("it printed nothing; print one number for each sample, or null, to standard output")]
    Nothing,
    /// It printed what is no number.
    #[error(
        "it printed {printed:?}, which is not a list of numbers; print JSON, one finite number for each sample (null for one \
         that does not count), and everything else to standard error"
    )]
    NoNumbers {
        /// How it begins.
        printed: String,
    },
    /// It printed NaN or infinity.
    #[error(
        "it printed {printed:?}: NaN and infinity are no scores; print null for a sample that does not count"
    )]
    NotFinite {
        /// How it begins.
        printed: String,
    },
    /// It printed too few or too many.
    #[error(
        "it printed {found} scores for {expected} samples; print one for each, in the order of the samples"
    )]
    Count {
        /// How many samples there are.
        expected: usize,
        /// How many scores.
        found: usize,
    },
    /// It says that a sample does not count which has to: every one end to end.
    #[error("it printed null for {sample}, which has to count; print a number")]
    Null {
        /// The sample.
        sample: String,
    },
}

/// Whose outputs are scored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Scope {
    /// Name of the stage.
    pub stage: String,
    /// Whether the stages before it run variants of their own, too, rather than fp32.
    pub end_to_end: bool,
    /// Names of the model's outputs, in order.
    pub outputs: Vec<String>,
}

/// A sample with its files, by inference and output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// Name of the sample.
    pub name: String,
    /// Its label, where it has one.
    pub label: Option<String>,
    variant: Vec<Vec<String>>,
    reference: Vec<Vec<String>>,
}

/// A new folder with what the program is given; it goes when this does.
#[derive(Debug)]
pub(crate) struct Exchange {
    folder: TempDir,
}

#[derive(Serialize)]
struct Manifest<'a> {
    version: u32,
    folder: &'a Path,
    #[serde(flatten)]
    scope: &'a Scope,
    samples: &'a [Subject],
}

impl Exchange {
    pub(crate) fn new() -> Result<Self, ExternalError> {
        let folder = TempDir::with_prefix("quantrack-metric-").map_err(ExternalError::Folder)?;
        Ok(Self { folder })
    }

    /// Writes the outputs of sample number `index`: those of the variant and those of fp32, of each inference.
    pub(crate) fn add(
        &self,
        index: usize,
        (name, label): (String, Option<String>),
        variant: &[Outputs],
        reference: &[Outputs],
    ) -> Result<Subject, ExternalError> {
        let write = |of: &str, inferences: &[Outputs]| -> Result<Vec<Vec<String>>, ExternalError> {
            let one = |(inference, outputs): (usize, &Outputs)| {
                let one = |(output, tensor)| {
                    let file = format!("{index}-{of}-{inference}-{output}.npy");
                    let path = self.folder.path().join(&file);
                    write_npy(&path, tensor)
                        .map_err(|source| ExternalError::Write { path, source })?;
                    Ok(file)
                };
                outputs.iter().enumerate().map(one).collect()
            };
            inferences.iter().enumerate().map(one).collect()
        };
        let (variant, reference) = (write("variant", variant)?, write("fp32", reference)?);
        Ok(Subject { name, label, variant, reference })
    }
}

impl External {
    /// As tables call it.
    pub(super) fn name(&self) -> String {
        let whole = self.command.join(" ");
        match whole.char_indices().nth(SHOWN) {
            None => whole,
            Some((at, _)) => format!("{}…", &whole[..at]),
        }
    }

    /// Digest of the command and of the files in `folder` that it names. What these read in turn, modules of Python for
    /// instance, it does not cover, nor programs that are looked for where programs are.
    ///
    /// # Errors
    /// When such a file cannot be read.
    pub fn digest(&self, folder: &Path) -> Result<String, ExternalError> {
        let mut files = Vec::new();
        for argument in &self.command {
            let path = folder.join(argument);
            if path.is_file() {
                let bytes = std::fs::read(&path);
                let bytes = bytes.map_err(|source| ExternalError::Read { path, source })?;
                files.push((argument, hex_digest(&bytes)));
            }
        }
        let parts = (VERSION, &self.command, self.whole_set, files);
        // Serializing plain strings cannot fail; the fallback is shared with nothing.
        let text = serde_json::to_string(&parts).unwrap_or_else(|_| format!("{parts:?}"));
        Ok(hex_digest(text.as_bytes()))
    }

    /// The scores of these samples, in order; `None` for those that do not count. Of a whole set, one score.
    pub(crate) fn score(
        &self,
        folder: &Path,
        exchange: &Exchange,
        scope: &Scope,
        samples: &[Subject],
    ) -> Result<Vec<Option<f64>>, ExternalError> {
        let manifest =
            Manifest { version: VERSION, folder: exchange.folder.path(), scope, samples };
        let mut input = serde_json::to_vec(&manifest).map_err(|error| {
            ExternalError::Folder(std::io::Error::new(std::io::ErrorKind::InvalidData, error))
        })?;
        input.push(b'\n');
        let printed = run(&self.command, folder, input, self.timeout)?;
        let scores = scores(&printed)?;
        let expected = if self.whole_set { 1 } else { samples.len() };
        if scores.len() != expected {
            return Err(ExternalError::Count { expected, found: scores.len() });
        }
        Ok(scores)
    }
}

/// The numbers in what a program printed: a JSON list, or one after the other.
fn scores(printed: &[u8]) -> Result<Vec<Option<f64>>, ExternalError> {
    let text = String::from_utf8_lossy(printed);
    let text = text.trim();
    if text.is_empty() {
        return Err(ExternalError::Nothing);
    }
    let told = || text.chars().take(TOLD).collect::<String>();
    let wrong = || {
        let lower = text.to_lowercase();
        let word = |word: &str| lower.split(|c: char| !c.is_alphanumeric()).any(|w| w == word);
        match word("nan") || word("inf") || word("infinity") {
            true => ExternalError::NotFinite { printed: told() },
            false => ExternalError::NoNumbers { printed: told() },
        }
    };
    let values: Result<Vec<Value>, _> =
        serde_json::Deserializer::from_str(text).into_iter().collect();
    let values = match values.map_err(|_| wrong())?.as_slice() {
        [Value::Array(values)] => values.clone(),
        values => values.to_vec(),
    };
    let number = |value: &Value| match value {
        Value::Null => Ok(None),
        Value::Number(number) => number.as_f64().map(Some).ok_or_else(wrong),
        _ => Err(wrong()),
    };
    values.iter().map(number).collect()
}

#[cfg(test)]
mod tests {
    use quantrack_engine::Tensor;

    use super::*;

    fn shell(script: &str) -> External {
        External {
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
            timeout: Duration::from_secs(60),
            whole_set: false,
        }
    }

    fn scope() -> Scope {
        Scope { stage: "a".to_owned(), end_to_end: false, outputs: vec!["y".to_owned()] }
    }

    /// What `script` makes of two samples.
    fn score(script: &str) -> Result<Vec<Option<f64>>, ExternalError> {
        let exchange = Exchange::new()?;
        let outputs = |value: f32| vec![vec![Tensor::from_elem(vec![1, 2], value)]];
        let add = |index: usize, name: &str| {
            exchange.add(index, (name.to_owned(), None), &outputs(1.0), &outputs(2.0))
        };
        let samples = [add(0, "a.npy")?, add(1, "b.npy")?];
        shell(script).score(Path::new("/"), &exchange, &scope(), &samples)
    }

    #[test]
    fn scores_are_a_list_or_one_after_the_other() {
        for script in ["echo '[0.5, null]'", "echo 0.5; echo null", "echo '0.5 null'"] {
            assert_eq!(score(script).unwrap(), [Some(0.5), None], "{script}");
        }
    }

    #[test]
    fn the_program_is_told_where_everything_is() {
        let exchange = Exchange::new().unwrap();
        let outputs = vec![vec![Tensor::from_elem(vec![1, 2], 0.25)]];
        let named = ("a.npy".to_owned(), Some("3".to_owned()));
        let subject = exchange.add(7, named, &outputs, &outputs).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let script = "cat > manifest.json; echo 1";
        shell(script).score(folder.path(), &exchange, &scope(), &[subject]).unwrap();
        let manifest = std::fs::read(folder.path().join("manifest.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let expected = serde_json::json!({
            "version": 1, "folder": exchange.folder.path(), "stage": "a", "end_to_end": false,
            "outputs": ["y"],
            "samples": [{
                "name": "a.npy", "label": "3",
                "variant": [["7-variant-0-0.npy"]], "reference": [["7-fp32-0-0.npy"]],
            }],
        });
        assert_eq!(manifest, expected);
        let array: Tensor =
            ndarray_npy::read_npy(exchange.folder.path().join("7-variant-0-0.npy")).unwrap();
        assert_eq!(array, outputs[0][0]);
        let place = exchange.folder.path().to_owned();
        drop(exchange);
        assert!(!place.exists());
    }

    #[test]
    fn answers_that_are_no_scores_are_refused_with_what_to_do() {
        let cases = [
            ("true", "printed nothing"),
            ("echo", "printed nothing"),
            ("echo nan; echo 1", "NaN and infinity"),
            ("echo '[NaN, 1]'", "NaN and infinity"),
            ("echo '[1, -Infinity]'", "NaN and infinity"),
            ("echo 'accuracy: 0.5'", "not a list of numbers"),
            ("echo '[0.5, \"0.5\"]'", "not a list of numbers"),
            ("echo '[0.5, 1e999]'", "not a list of numbers"),
            ("echo '{\"scores\": [1, 2]}'", "not a list of numbers"),
            ("echo '[0.5'", "not a list of numbers"),
            ("echo 0.5", "1 scores for 2 samples"),
            ("echo '[1, 2, 3]'", "3 scores for 2 samples"),
            ("echo '[]'", "0 scores for 2 samples"),
            ("exit 7", "exit status: 7"),
        ];
        for (script, expected) in cases {
            let message = score(script).unwrap_err().to_string();
            assert!(message.contains(expected), "{script}: {message}");
        }
    }

    #[test]
    fn the_command_and_the_files_that_it_names_count() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("score.py");
        std::fs::write(&script, "print(1)").unwrap();
        let command = |words: &[&str]| External {
            command: words.iter().map(|&word| word.to_owned()).collect(),
            ..shell("")
        };
        let digest = |external: &External| external.digest(folder.path()).unwrap();
        let usual = command(&["python3", "score.py"]);
        let set = External { whole_set: true, ..usual.clone() };
        let slow = External { timeout: Duration::from_secs(1), ..usual.clone() };
        let before = digest(&usual);
        assert_ne!(digest(&command(&["python3", "score.py", "-v"])), before);
        assert_ne!(digest(&command(&["python3 score.py"])), before);
        assert_ne!(digest(&set), before);
        assert_eq!(digest(&slow), before, "time is no part of a score");
        std::fs::write(&script, "print(2)").unwrap();
        assert_ne!(digest(&usual), before);
    }

    proptest::proptest! {
        #[test]
        fn no_answer_makes_the_reader_panic(printed: Vec<u8>) {
            if let Ok(scores) = scores(&printed) {
                proptest::prop_assert!(scores.iter().flatten().all(|score| score.is_finite()));
            }
        }
    }
}
