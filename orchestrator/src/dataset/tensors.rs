//! Samples that are tensors, in NumPy's files.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use ndarray::{ArrayViewD, Axis};
use ndarray_npy::{ViewNpyError, ViewNpyExt as _};
use quantrack_engine::Tensor;
use quantrack_engine::glue::Port;

/// Most bytes of a file, and of all that an archive holds. Larger sets belong in a folder, one file for each sample.
const MOST_BYTES: u64 = 2 << 30;

/// Why a file gives no tensors.
#[derive(Debug, thiserror::Error)]
pub enum TensorError {
    /// It cannot be read.
    #[error("failed to read the file")]
    Read(#[source] std::io::Error),
    /// It is too large.
    #[error(
        "it holds more than {MOST_BYTES} bytes; put one .npy or .npz file for each sample in a folder"
    )]
    TooLarge,
    /// It is no archive.
    #[error("it is not a whole .npz archive; save it again with numpy.savez")]
    Archive(#[source] zip::result::ZipError),
    /// An array is broken, or has elements of another type.
    #[error(
        "{array} is not an array of 32-bit floating-point numbers; save it with numpy.save(..., x.astype(\"float32\"))"
    )]
    Array {
        /// Which.
        array: String,
        /// Why.
        #[source]
        source: ViewNpyError,
    },
    /// The model wants an array that is not there.
    #[error("it has no array {name:?}, an input of the stage {stage}; it has {found}")]
    Missing {
        /// The stage.
        stage: String,
        /// The model's input.
        name: String,
        /// What there is.
        found: String,
    },
    /// An array has another shape than the model wants.
    #[error("{array} has the shape {found:?}, but the stage {stage} takes {wanted:?}")]
    Shape {
        /// Which.
        array: String,
        /// The stage.
        stage: String,
        /// Its shape.
        found: Vec<usize>,
        /// The model's.
        wanted: Vec<usize>,
    },
    /// NaN or infinity.
    #[error("{array} has an element that is no finite number; mend it, or take the sample out")]
    NotFinite {
        /// Which.
        array: String,
    },
    /// Arrays that should have all samples along their first axis.
    #[error(
        "its arrays have {lengths} samples along their first axes; give all of them the same number"
    )]
    Lengths {
        /// What there is.
        lengths: String,
    },
}

/// An array with its name in an archive; an array alone has none.
#[derive(Clone, Debug, PartialEq)]
struct Named {
    name: Option<String>,
    values: Tensor,
}

impl Named {
    fn called(&self) -> String {
        self.name.as_ref().map_or("the array".to_owned(), |name| format!("the array {name:?}"))
    }
}

/// The arrays of one file.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrays {
    arrays: Vec<Named>,
}

impl Arrays {
    /// Reads a `.npy` or `.npz` file, told apart by their first bytes.
    ///
    /// # Errors
    /// See [`TensorError`].
    pub fn read(path: &Path) -> Result<Self, TensorError> {
        Self::from_bytes(&bytes_of(path)?)
    }

    /// As [`Arrays::read`], of the bytes of a file.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, TensorError> {
        if !bytes.starts_with(b"PK") {
            return Ok(Self { arrays: vec![Named { name: None, values: array(bytes, None)? }] });
        }
        let mut archive =
            zip::ZipArchive::new(std::io::Cursor::new(bytes)).map_err(TensorError::Archive)?;
        let (mut arrays, mut left) = (Vec::new(), MOST_BYTES);
        for index in 0..archive.len() {
            let entry = archive.by_index(index).map_err(TensorError::Archive)?;
            let name = entry.name().trim_end_matches(".npy").to_owned();
            let mut bytes = Vec::new();
            // What the archive says of its sizes may be wrong.
            entry.take(left + 1).read_to_end(&mut bytes).map_err(TensorError::Read)?;
            left = left.checked_sub(bytes.len() as u64).ok_or(TensorError::TooLarge)?;
            let values = array(&bytes, Some(&name))?;
            arrays.push(Named { name: Some(name), values });
        }
        Ok(Self { arrays })
    }

    /// How many samples there are along the first axes.
    ///
    /// # Errors
    /// When arrays differ in that, or there are none.
    pub fn samples(&self) -> Result<usize, TensorError> {
        let lengths: Vec<usize> =
            self.arrays.iter().map(|a| a.values.shape().first().copied().unwrap_or(0)).collect();
        match lengths.as_slice() {
            [first, rest @ ..] if rest.iter().all(|length| length == first) => Ok(*first),
            lengths => {
                let texts: Vec<String> = lengths.iter().map(usize::to_string).collect();
                let lengths = if texts.is_empty() { "no".to_owned() } else { texts.join(", ") };
                Err(TensorError::Lengths { lengths })
            }
        }
    }

    /// The tensors that a stage with these inputs takes: of sample number `row`, where all samples are along the first axes, or
    /// else of the one there is, with or without an axis of length 1 before its own.
    ///
    /// # Errors
    /// When an input is not there, or is of another shape.
    pub fn inputs(
        &self,
        stage: &str,
        ports: &[Port],
        row: Option<usize>,
    ) -> Result<Vec<Tensor>, TensorError> {
        ports.iter().map(|port| self.input(stage, ports.len(), port, row)).collect()
    }

    fn input(
        &self,
        stage: &str,
        ports: usize,
        port: &Port,
        row: Option<usize>,
    ) -> Result<Tensor, TensorError> {
        let named = |array: &&Named| array.name.as_ref().is_none_or(|name| *name == port.name);
        let found = match self.arrays.as_slice() {
            // One array can only be meant for the one input.
            [one] if ports == 1 => Some(one),
            arrays => arrays.iter().filter(|array| array.name.is_some()).find(named),
        };
        let Some(found) = found else {
            let names: Vec<&str> = self
                .arrays
                .iter()
                .map(|a| a.name.as_deref().unwrap_or("one without a name"))
                .collect();
            let (stage, name) = (stage.to_owned(), port.name.clone());
            return Err(TensorError::Missing { stage, name, found: names.join(", ") });
        };
        let whole = &found.values;
        let values = match row {
            Some(row) => whole.index_axis(Axis(0), row).to_owned(),
            None => whole.clone(),
        };
        let inner = match port.shape.as_slice() {
            [1, inner @ ..] => Some(inner),
            _ => None,
        };
        if values.shape() != port.shape && Some(values.shape()) != inner {
            let mut wanted = port.shape.clone();
            let mut shape = values.shape().to_vec();
            if row.is_some() {
                shape = whole.shape().to_vec();
                wanted = [&[shape[0]], inner.unwrap_or(&port.shape)].concat();
            }
            let (array, stage) = (found.called(), stage.to_owned());
            return Err(TensorError::Shape { array, stage, found: shape, wanted });
        }
        if !values.iter().all(|value| value.is_finite()) {
            return Err(TensorError::NotFinite { array: found.called() });
        }
        let elements: Vec<f32> = values.iter().copied().collect();
        let shape = values.shape().to_vec();
        Tensor::from_shape_vec(port.shape.clone(), elements).map_err(|_| TensorError::Shape {
            array: found.called(),
            stage: stage.to_owned(),
            found: shape,
            wanted: port.shape.clone(),
        })
    }
}

/// The bytes of a file that is not too large.
pub(super) fn bytes_of(path: &Path) -> Result<Vec<u8>, TensorError> {
    let size = std::fs::metadata(path).map_err(TensorError::Read)?.len();
    if size > MOST_BYTES {
        return Err(TensorError::TooLarge);
    }
    std::fs::read(path).map_err(TensorError::Read)
}

/// An array from a `.npy` file. Its bytes are there before memory is set aside: a header may promise anything.
fn array(bytes: &[u8], name: Option<&str>) -> Result<Tensor, TensorError> {
    let view = ArrayViewD::<f32>::view_npy(bytes).map_err(|source| TensorError::Array {
        array: name.map_or("it".to_owned(), |name| format!("the array {name:?}")),
        source,
    })?;
    // In the order in which the engine reads, whatever the file's.
    Ok(view.as_standard_layout().into_owned())
}

/// The `.npy` and `.npz` files of a folder.
pub(super) fn is_tensor_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "npy" || extension == "npz")
}

/// Where a sample's tensors are.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorPlace {
    /// A file of its own.
    File(PathBuf),
    /// Along the first axes of a file that is read already.
    Row {
        /// The file.
        path: PathBuf,
        /// Its content.
        arrays: std::sync::Arc<Arrays>,
        /// Digest of the file.
        sha256: String,
        /// Which.
        row: usize,
    },
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayD, IxDyn};
    use ndarray_npy::{NpzWriter, WriteNpyExt as _};

    use super::*;

    fn port(name: &str, shape: &[usize]) -> Port {
        Port { name: name.to_owned(), shape: shape.to_vec() }
    }

    fn counting(shape: &[usize]) -> ArrayD<f32> {
        let count: usize = shape.iter().product();
        ArrayD::from_shape_vec(IxDyn(shape), (0..count).map(|i| i as f32).collect()).unwrap()
    }

    fn npy(array: &ArrayD<f32>) -> Vec<u8> {
        let mut bytes = Vec::new();
        array.write_npy(&mut bytes).unwrap();
        bytes
    }

    fn npz(arrays: &[(&str, ArrayD<f32>)]) -> Vec<u8> {
        let mut file = NpzWriter::new_compressed(std::io::Cursor::new(Vec::new()));
        for (name, array) in arrays {
            file.add_array(*name, array).unwrap();
        }
        file.finish().unwrap().into_inner()
    }

    #[test]
    fn rows_and_single_samples_become_inputs() {
        let stacked = Arrays::from_bytes(&npy(&counting(&[3, 2, 2]))).unwrap();
        assert_eq!(stacked.samples().unwrap(), 3);
        let input = stacked.inputs("a", &[port("x", &[1, 2, 2])], Some(1)).unwrap();
        assert_eq!(input[0].shape(), [1, 2, 2]);
        assert_eq!(input[0].iter().copied().collect::<Vec<_>>(), [4.0, 5.0, 6.0, 7.0]);
        for shape in [&[1, 2, 2][..], &[2, 2]] {
            let single = Arrays::from_bytes(&npy(&counting(shape))).unwrap();
            let input = single.inputs("a", &[port("x", &[1, 2, 2])], None).unwrap();
            assert_eq!(input[0].shape(), [1, 2, 2]);
        }
        let named = npz(&[("y", counting(&[3, 1])), ("x", counting(&[3, 2]))]);
        let named = Arrays::from_bytes(&named).unwrap();
        let ports = [port("x", &[1, 2]), port("y", &[1, 1])];
        let inputs = named.inputs("a", &ports, Some(2)).unwrap();
        assert_eq!(inputs[0].as_slice().unwrap(), [4.0, 5.0]);
        assert_eq!(inputs[1].as_slice().unwrap(), [2.0]);
    }

    #[test]
    fn columns_first_is_read_rows_first() {
        let transposed = counting(&[2, 3]).reversed_axes();
        let read = Arrays::from_bytes(&npy(&transposed)).unwrap();
        let input = read.inputs("a", &[port("x", &[1, 3, 2])], None).unwrap();
        assert_eq!(input[0].as_slice().unwrap(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    }

    #[test]
    fn what_does_not_fit_is_told_with_both_shapes() {
        let array = Arrays::from_bytes(&npy(&counting(&[3, 5]))).unwrap();
        let refused = |ports: &[Port], row| array.inputs("a", ports, row).unwrap_err().to_string();
        let message = refused(&[port("x", &[1, 4])], Some(0));
        assert!(message.contains("[3, 5]") && message.contains("[3, 4]"), "{message}");
        let message = refused(&[port("x", &[1, 4])], None);
        assert!(message.contains("[3, 5]") && message.contains("[1, 4]"), "{message}");
        let message = refused(&[port("x", &[1, 5]), port("y", &[1, 5])], Some(0));
        assert!(message.contains("no array \"x\"") && message.contains("stage a"), "{message}");
        let mut broken = counting(&[1, 2]);
        broken[[0, 1]] = f32::NAN;
        let broken = Arrays::from_bytes(&npy(&broken)).unwrap();
        let message = broken.inputs("a", &[port("x", &[1, 2])], None).unwrap_err().to_string();
        assert!(message.contains("no finite number"), "{message}");
        let uneven = npz(&[("x", counting(&[3, 1])), ("y", counting(&[2, 1]))]);
        let message = Arrays::from_bytes(&uneven).unwrap().samples().unwrap_err().to_string();
        assert!(message.contains("3, 2 samples"), "{message}");
    }

    #[test]
    fn other_types_lies_and_truncations_are_errors_before_memory_is_set_aside() {
        let mut whole = Vec::new();
        ArrayD::<f64>::zeros(IxDyn(&[2, 2])).write_npy(&mut whole).unwrap();
        let message = Arrays::from_bytes(&whole).unwrap_err().to_string();
        assert!(message.contains("float32"), "{message}");
        let file = npy(&counting(&[12345, 2]));
        let text = String::from_utf8_lossy(&file[..128]).into_owned();
        assert!(text.contains("(12345, 2)"), "{text}");
        for lie in ["(12346, 2)", "(12344, 2)", "(99999, 9)", "(1e999, 2)", "(-2345, 2)"] {
            let mut bytes = file.clone();
            let at = text.find("(12345, 2)").unwrap();
            bytes[at..at + lie.len()].copy_from_slice(lie.as_bytes());
            assert!(Arrays::from_bytes(&bytes).is_err(), "{lie}");
        }
        let archive = npz(&[("x", counting(&[3, 3]))]);
        for length in (0..file.len()).step_by(997).chain(0..128) {
            assert!(Arrays::from_bytes(&file[..length]).is_err(), "{length}");
        }
        for length in 0..archive.len() {
            let _ = Arrays::from_bytes(&archive[..length]);
        }
    }

    proptest::proptest! {
        #[test]
        fn corrupt_files_never_panic(at in 0_usize..400, value: u8, junk: Vec<u8>) {
            for mut file in [npy(&counting(&[3, 3])), npz(&[("x", counting(&[3, 3]))])] {
                let at = at % file.len();
                file[at] = value;
                let _ = Arrays::from_bytes(&file);
            }
            let _ = Arrays::from_bytes(&junk);
        }
    }
}
