//! The images of a data set.

use std::path::{Path, PathBuf};

use quantrack_engine::vision::RgbImage;

use super::decode::{DecodeError, decode, dimensions};
use super::error::DatasetError;
use super::labels::{LabelRow, check_classes, check_some, list_images, read_labels};
use crate::digest::hex_digest;
use crate::spec::{Data, ImageSet};

/// A labelled image.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its row of the labels.
    pub row: LabelRow,
    /// Where the image is.
    pub path: PathBuf,
}

/// Labelled images in the order of their CSV file.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// The samples; at least two, of at least two classes.
    pub samples: Vec<Sample>,
}

impl Dataset {
    /// Opens a set whose paths are relative to `data`. Every image's header is read, so that a missing file or one
    /// that is no image is found before hours of work.
    ///
    /// # Errors
    /// See [`DatasetError`].
    pub fn open(data: &Path, set: &ImageSet, columns: &Data) -> Result<Self, DatasetError> {
        let folder = data.join(&set.images);
        let named = set.labels.as_ref().map(|labels| data.join(labels));
        let rows = match &named {
            Some(labels) => read_labels(labels, &columns.file_column, &columns.label_column)?,
            None => list_images(&folder)?,
        };
        let rows = set.part.of(rows);
        let whence = named.as_ref().unwrap_or(&folder);
        match named {
            Some(_) => check_classes(whence, &columns.label_column, &rows)?,
            None => check_some(whence, &rows)?,
        }
        let samples: Vec<Sample> =
            rows.into_iter().map(|row| Sample { path: folder.join(&row.file), row }).collect();
        for sample in &samples {
            sample.check(whence)?;
        }
        Ok(Self { samples })
    }

    /// The set with at most `count` of its samples, evenly spread.
    #[must_use]
    pub fn subset(&self, count: usize) -> Self {
        let chosen = spread(self.samples.len(), count);
        Self { samples: chosen.into_iter().map(|index| self.samples[index].clone()).collect() }
    }

    /// Digest of the images' bytes and of their labels, in order.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn digest(&self) -> Result<String, DatasetError> {
        let mut parts = String::new();
        for sample in &self.samples {
            let bytes = sample.read()?;
            let row = &sample.row;
            parts.push_str(&format!(
                "{:?} {:?} {:?} {}\n",
                row.file,
                row.label,
                row.bounds,
                hex_digest(&bytes)
            ));
        }
        Ok(hex_digest(parts.as_bytes()))
    }
}

impl Sample {
    /// Decodes the image to RGB; its format is told by its first bytes, not by its name.
    ///
    /// # Errors
    /// When it cannot be decoded, or is larger than the engine takes.
    pub fn decode(&self) -> Result<RgbImage<'static>, DatasetError> {
        decode(&self.read()?).map_err(|source| self.undecodable(source))
    }

    fn read(&self) -> Result<Vec<u8>, DatasetError> {
        std::fs::read(&self.path).map_err(|source| self.undecodable(DecodeError::Read(source)))
    }

    fn undecodable(&self, source: DecodeError) -> DatasetError {
        DatasetError::Image { path: self.path.clone(), source }
    }

    fn check(&self, labels: &Path) -> Result<(), DatasetError> {
        if !self.path.is_file() {
            return Err(DatasetError::Row {
                path: labels.to_owned(),
                line: self.row.line,
                problem: format!(
                    "the image {} does not exist; add it or drop the row",
                    self.path.display()
                ),
            });
        }
        dimensions(&self.read()?).map(|_| ()).map_err(|source| self.undecodable(source))
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
        let set = ImageSet {
            images: "images".into(),
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
