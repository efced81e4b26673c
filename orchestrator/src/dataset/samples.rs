//! The samples of a data set.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use quantrack_engine::Tensor;
use quantrack_engine::glue::Port;
use quantrack_engine::vision::RgbImage;

use super::decode::{DecodeError, decode, dimensions};
use super::error::DatasetError;
use super::labels::{LabelRow, check_some, list_files, read_labels, unlabelled};
use super::tensors::{Arrays, TensorError, TensorPlace, bytes_of, is_tensor_file};
use crate::digest::hex_digest;
use crate::spec::{Data, Origin, SampleSet};

/// A sample with what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its row of the labels.
    pub row: LabelRow,
    /// What it is.
    pub content: Content,
}

/// What a sample is.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// An image file.
    Image(PathBuf),
    /// Inputs of the first stages.
    Tensors(TensorPlace),
}

/// Samples in the order of their CSV file.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// The samples; at least one.
    pub samples: Vec<Sample>,
    /// Where they are listed, for messages.
    whence: PathBuf,
    /// Name of the column with labels.
    label_column: String,
}

impl Dataset {
    /// Opens a set whose paths are relative to `data`. Every image's header is read, so that a missing file or one
    /// that is no image is found before hours of work.
    ///
    /// # Errors
    /// See [`DatasetError`].
    pub fn open(data: &Path, set: &SampleSet, columns: &Data) -> Result<Self, DatasetError> {
        let named = set.labels.as_ref().map(|labels| data.join(labels));
        let labelled = match &named {
            Some(labels) => Some(read_labels(labels, &columns.file_column, &columns.label_column)?),
            None => None,
        };
        let (place, samples) = match &set.origin {
            Origin::Images(folder) => {
                let folder = data.join(folder);
                let rows = labelled.map_or_else(|| list_files(&folder, |_| true), Ok)?;
                let content = |row: &LabelRow| Content::Image(folder.join(&row.file));
                let samples = set.part.of(rows).into_iter().map(|row| Sample::new(row, content));
                (folder.clone(), samples.collect())
            }
            Origin::Tensors(place) => {
                let place = data.join(place);
                let rows = |all: Vec<LabelRow>| set.part.of(all);
                (place.clone(), tensors(&place, named.as_deref(), labelled, rows)?)
            }
        };
        let what = match (&named, &set.origin) {
            (Some(_), _) => "rows of labelled samples",
            (None, Origin::Images(_)) => "image",
            (None, Origin::Tensors(_)) => ".npy or .npz file, or no row",
        };
        let whence = named.unwrap_or(place);
        let label_column = columns.label_column.clone();
        let all = Self { samples, whence, label_column };
        let rows: Vec<LabelRow> = all.samples.iter().map(|sample| sample.row.clone()).collect();
        check_some(&all.whence, &rows, what)?;
        for sample in &all.samples {
            sample.check(&all.whence)?;
        }
        Ok(all)
    }

    /// The set with at most `count` of its samples, evenly spread.
    #[must_use]
    pub fn subset(&self, count: usize) -> Self {
        let chosen = spread(self.samples.len(), count);
        let samples = chosen.into_iter().map(|index| self.samples[index].clone()).collect();
        Self { samples, ..self.clone() }
    }

    /// Labels tell nothing apart where there is only one class: whatever names always that is right.
    ///
    /// # Errors
    /// When there is only one.
    pub fn check_classes(&self) -> Result<(), DatasetError> {
        let labels = || self.samples.iter().map(|sample| sample.row.label.as_str());
        let first = labels().next().unwrap_or_default();
        if labels().any(|label| label != first) {
            return Ok(());
        }
        let column = &self.label_column;
        let problem = format!("every {column} is {first:?}; add samples of another class");
        Err(self.degenerate(problem))
    }

    /// A set that cannot be used.
    pub(crate) fn degenerate(&self, problem: String) -> DatasetError {
        DatasetError::Degenerate { path: self.whence.clone(), problem }
    }

    /// Digest of the samples' bytes and of their labels, in order.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn digest(&self) -> Result<String, DatasetError> {
        let mut parts = String::new();
        for sample in &self.samples {
            let row = &sample.row;
            let landmarks = match row.landmarks.as_slice() {
                [] => String::new(),
                landmarks => format!(" {landmarks:?}"),
            };
            parts.push_str(&format!(
                "{:?} {:?} {:?}{landmarks} {}\n",
                row.file,
                row.label,
                row.bounds,
                sample.digest()?
            ));
        }
        Ok(hex_digest(parts.as_bytes()))
    }
}

/// The samples at `place`, a folder or a file, in the order of `labelled` or else in their own; `part` chooses among them.
fn tensors(
    place: &Path,
    csv: Option<&Path>,
    labelled: Option<Vec<LabelRow>>,
    part: impl Fn(Vec<LabelRow>) -> Vec<LabelRow>,
) -> Result<Vec<Sample>, DatasetError> {
    if place.is_dir() {
        let rows = labelled.map_or_else(|| list_files(place, is_tensor_file), Ok)?;
        let file = |row: &LabelRow| Content::Tensors(TensorPlace::File(place.join(&row.file)));
        return Ok(part(rows).into_iter().map(|row| Sample::new(row, file)).collect());
    }
    let unusable = |source: TensorError| unusable(place, source);
    let bytes = bytes_of(place).map_err(unusable)?;
    let arrays = Arc::new(Arrays::from_bytes(&bytes).map_err(unusable)?);
    let sha256 = hex_digest(&bytes);
    let count = arrays.samples().map_err(unusable)?;
    let rows = labelled.unwrap_or_else(|| unlabelled((0..count).map(|row| row.to_string())));
    let one = |row: LabelRow| {
        let index = row.file.parse().ok().filter(|&index: &usize| index < count);
        let Some(index) = index else {
            let problem = format!(
                "{:?} is no sample of {}, which has numbers 0 to {}; correct it or drop the row",
                row.file,
                place.display(),
                count.saturating_sub(1)
            );
            let path = csv.unwrap_or(place).to_owned();
            return Err(DatasetError::Row { path, line: row.line, problem });
        };
        let (path, arrays, sha256) = (place.to_owned(), Arc::clone(&arrays), sha256.clone());
        let place = TensorPlace::Row { path, arrays, sha256, row: index };
        Ok(Sample { row, content: Content::Tensors(place) })
    };
    part(rows).into_iter().map(one).collect()
}

fn unusable(path: &Path, source: TensorError) -> DatasetError {
    DatasetError::Tensors { path: path.to_owned(), source }
}

impl Sample {
    fn new(row: LabelRow, content: impl FnOnce(&LabelRow) -> Content) -> Self {
        let content = content(&row);
        Self { row, content }
    }

    /// The file that it is in.
    pub fn path(&self) -> &Path {
        match &self.content {
            Content::Image(path)
            | Content::Tensors(TensorPlace::File(path) | TensorPlace::Row { path, .. }) => path,
        }
    }

    /// Decodes the image to RGB; its format is told by its first bytes, not by its name.
    ///
    /// # Errors
    /// When it cannot be decoded, or is larger than the engine takes.
    pub fn decode(&self) -> Result<RgbImage<'static>, DatasetError> {
        decode(&self.read()?).map_err(|source| self.undecodable(source))
    }

    /// What a first stage with these inputs gets; `None` where it gets the image.
    ///
    /// # Errors
    /// When the tensors cannot be read, or are others than the model takes.
    pub fn tensors(
        &self,
        stage: &str,
        ports: &[Port],
    ) -> Result<Option<Vec<Tensor>>, DatasetError> {
        let inputs = match &self.content {
            Content::Image(_) => return Ok(None),
            Content::Tensors(TensorPlace::Row { arrays, row, .. }) => {
                arrays.inputs(stage, ports, Some(*row))
            }
            Content::Tensors(TensorPlace::File(path)) => {
                Arrays::read(path).and_then(|arrays| arrays.inputs(stage, ports, None))
            }
        };
        inputs.map(Some).map_err(|source| unusable(self.path(), source))
    }

    fn digest(&self) -> Result<String, DatasetError> {
        match &self.content {
            Content::Tensors(TensorPlace::Row { sha256, row, .. }) => Ok(format!("{sha256} {row}")),
            Content::Tensors(TensorPlace::File(path)) => {
                Ok(hex_digest(&bytes_of(path).map_err(|source| unusable(path, source))?))
            }
            Content::Image(_) => Ok(hex_digest(&self.read()?)),
        }
    }

    fn read(&self) -> Result<Vec<u8>, DatasetError> {
        std::fs::read(self.path()).map_err(|source| self.undecodable(DecodeError::Read(source)))
    }

    fn undecodable(&self, source: DecodeError) -> DatasetError {
        DatasetError::Image { path: self.path().to_owned(), source }
    }

    fn check(&self, labels: &Path) -> Result<(), DatasetError> {
        if !self.path().is_file() {
            return Err(DatasetError::Row {
                path: labels.to_owned(),
                line: self.row.line,
                problem: format!(
                    "{} does not exist; add it or drop the row",
                    self.path().display()
                ),
            });
        }
        match &self.content {
            Content::Image(_) => {
                dimensions(&self.read()?).map(|_| ()).map_err(|source| self.undecodable(source))
            }
            // Shapes are checked where the model is known.
            Content::Tensors(_) => Ok(()),
        }
    }
}

/// At most `count` of the indices below `total`, evenly spread and in increasing order.
pub fn spread(total: usize, count: usize) -> Vec<usize> {
    let count = count.min(total);
    (0..count).map(|index| index * total / count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Portion;

    fn data(folder: &Path) -> Data {
        let set = SampleSet {
            origin: Origin::Images("images".into()),
            labels: Some("labels.csv".into()),
            part: Portion::Whole,
        };
        std::fs::create_dir_all(folder.join("images")).unwrap();
        Data {
            calibration: set.clone(),
            evaluation: set,
            file_column: "file".to_owned(),
            label_column: "label".to_owned(),
            held_out: None,
            calibration_samples: None,
        }
    }

    #[test]
    fn images_decode_to_rgb_whatever_their_name() {
        let folder = tempfile::tempdir().unwrap();
        let columns = data(folder.path());
        for (name, value) in [("a.jpg", 7), ("b.png", 9)] {
            let path = folder.path().join("images").join(name);
            let pixels = image::GrayImage::from_pixel(3, 2, image::Luma([value]));
            pixels.save_with_format(path, image::ImageFormat::Png).unwrap();
        }
        std::fs::write(folder.path().join("labels.csv"), "file,label\nb.png,B\na.jpg,A\n").unwrap();
        let set = Dataset::open(folder.path(), &columns.evaluation, &columns).unwrap();
        let image = set.samples[1].decode().unwrap();
        assert_eq!((image.width(), image.height(), image.pixel(2, 1)), (3, 2, [7; 3]));
        let digest = set.digest().unwrap();
        assert_eq!(digest, set.digest().unwrap());
        assert_ne!(digest, set.subset(1).digest().unwrap());
    }

    #[test]
    fn a_folder_alone_is_a_set_without_labels() {
        let folder = tempfile::tempdir().unwrap();
        let mut columns = data(folder.path());
        columns.evaluation.labels = None;
        let open = || Dataset::open(folder.path(), &columns.evaluation, &columns);
        let message = open().unwrap_err().to_string();
        assert!(message.contains("no image"), "{message}");
        for name in ["b.png", "a.png", ".hidden"] {
            let path = folder.path().join("images").join(name);
            let pixels = image::GrayImage::from_pixel(3, 2, image::Luma([7]));
            pixels.save_with_format(path, image::ImageFormat::Png).unwrap();
        }
        let set = open().unwrap();
        let files: Vec<&str> = set.samples.iter().map(|s| s.row.file.as_str()).collect();
        assert_eq!(files, ["a.png", "b.png"], "in the order of their names");
        assert_eq!(set.samples[0].row.label, "");
    }

    #[test]
    fn missing_and_broken_images_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let columns = data(folder.path());
        std::fs::write(folder.path().join("labels.csv"), "file,label\na.png,A\nb.png,B\n").unwrap();
        let open = || Dataset::open(folder.path(), &columns.evaluation, &columns);
        let message = open().unwrap_err().to_string();
        assert!(message.contains("line 2") && message.contains("a.png"), "{message}");
        std::fs::write(folder.path().join("images/a.png"), b"not an image").unwrap();
        std::fs::write(folder.path().join("images/b.png"), b"not an image").unwrap();
        let message = open().unwrap_err().to_string();
        assert!(message.contains("decode") && message.contains("a.png"), "{message}");
    }

    proptest::proptest! {
        #[test]
        fn spread_is_increasing_and_as_long_as_asked(total in 0_usize..500, count in 0_usize..600) {
            let chosen = spread(total, count);
            assert_eq!(chosen.len(), count.min(total));
            assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]));
            assert!(chosen.iter().all(|&index| index < total));
        }
    }
}
