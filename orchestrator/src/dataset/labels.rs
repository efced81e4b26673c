//! The CSV file of a data set.

use std::collections::HashMap;
use std::path::{Component, Path};

use super::error::DatasetError;

/// A labelled box in image pixels: left, top, right, bottom.
pub type HandBox = [f64; 4];

/// One row of the labels.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelRow {
    /// Name of the image, relative to the folder of images.
    pub file: String,
    /// The right answer.
    pub label: String,
    /// The columns `xmin, ymin, xmax, ymax`, where the file has them.
    pub bounds: Option<HandBox>,
    /// Where the row stands, counted from 1.
    pub line: u64,
}

/// Reads the rows of `path`, in the order of the file. Columns are found by name; fields may be quoted.
///
/// # Errors
/// See [`DatasetError`]; every message names the line.
pub fn read_labels(
    path: &Path,
    file_column: &str,
    label_column: &str,
) -> Result<Vec<LabelRow>, DatasetError> {
    let source = std::fs::File::open(path)
        .map_err(|source| DatasetError::Labels { path: path.to_owned(), source })?;
    let csv_error = |source| DatasetError::Csv { path: path.to_owned(), source };
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(source);
    let columns: Vec<String> =
        reader.headers().map_err(csv_error)?.iter().map(str::to_owned).collect();
    let find = |name: &str| columns.iter().position(|column| column == name);
    let required = |name: &str| {
        find(name).ok_or_else(|| DatasetError::Column {
            path: path.to_owned(),
            column: name.to_owned(),
            found: columns.clone(),
        })
    };
    let (file_index, label_index) = (required(file_column)?, required(label_column)?);
    let corners = ["xmin", "ymin", "xmax", "ymax"].map(find);
    let mut seen: HashMap<String, u64> = HashMap::new();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(csv_error)?;
        let line = record.position().map_or(0, csv::Position::line);
        let wrong = |problem: String| DatasetError::Row { path: path.to_owned(), line, problem };
        let field = |index: usize| record.get(index).unwrap_or_default().to_owned();
        let (file, label) = (field(file_index), field(label_index));
        if label.is_empty() {
            return Err(wrong(format!("{file} has no {label_column}; label it or drop the row")));
        }
        if !is_inside(&file) {
            return Err(wrong(format!("{file:?} does not name a file inside the image folder")));
        }
        if let Some(first) = seen.insert(file.clone(), line) {
            return Err(wrong(format!("{file} stands in line {first} already; keep one")));
        }
        let bounds = bounds(corners, &field).map_err(wrong)?;
        rows.push(LabelRow { file, label, bounds, line });
    }
    Ok(rows)
}

/// A row without a label for every file of `folder`, in the order of their names; hidden files are left out.
pub(super) fn list_images(folder: &Path) -> Result<Vec<LabelRow>, DatasetError> {
    let unreadable = |source| DatasetError::Labels { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_file() && !name.starts_with('.') {
            files.push(name);
        }
    }
    files.sort();
    let row = |(index, file): (usize, String)| LabelRow {
        file,
        label: String::new(),
        bounds: None,
        line: index as u64 + 1,
    };
    Ok(files.into_iter().enumerate().map(row).collect())
}

/// A relative path that does not leave its folder.
fn is_inside(file: &str) -> bool {
    !file.is_empty()
        && Path::new(file).components().all(|part| matches!(part, Component::Normal(_)))
}

fn bounds(
    corners: [Option<usize>; 4],
    field: &dyn Fn(usize) -> String,
) -> Result<Option<HandBox>, String> {
    let [Some(a), Some(b), Some(c), Some(d)] = corners else { return Ok(None) };
    let texts = [a, b, c, d].map(field);
    if texts.iter().all(String::is_empty) {
        return Ok(None);
    }
    let mut numbers = [0.0; 4];
    for (number, text) in numbers.iter_mut().zip(&texts) {
        let parsed = text.parse::<f64>().ok().filter(|value| value.is_finite());
        *number = parsed.ok_or_else(|| format!("{text:?} is no coordinate; give pixels"))?;
    }
    let ordered = numbers[0] < numbers[2] && numbers[1] < numbers[3];
    if ordered { Ok(Some(numbers)) } else { Err("the box has no area; correct it".to_owned()) }
}

/// A set without labels needs images all the same.
pub(super) fn check_some(path: &Path, rows: &[LabelRow]) -> Result<(), DatasetError> {
    if rows.is_empty() {
        let problem = "it has no image; add some".to_owned();
        return Err(DatasetError::Degenerate { path: path.to_owned(), problem });
    }
    Ok(())
}

/// Accuracy over nothing, or over one class only, says nothing.
pub(super) fn check_classes(
    path: &Path,
    column: &str,
    rows: &[LabelRow],
) -> Result<(), DatasetError> {
    let degenerate = |problem: String| DatasetError::Degenerate { path: path.to_owned(), problem };
    let Some(first) = rows.first() else {
        return Err(degenerate("it has no rows; add labelled images".to_owned()));
    };
    if rows.iter().all(|row| row.label == first.label) {
        let problem = format!("every {column} is {:?}; add images of another class", first.label);
        return Err(degenerate(problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(text: &str) -> Result<Vec<LabelRow>, DatasetError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let rows = read_labels(file.path(), "file", "gesture")?;
        check_classes(file.path(), "gesture", &rows)?;
        Ok(rows)
    }

    #[test]
    fn columns_are_found_by_name_and_fields_may_be_quoted() {
        let rows = read("gesture,extra,file\nA,1,\"one, two.jpg\"\n\"B\",2,b.png\n").unwrap();
        assert_eq!(rows[0].file, "one, two.jpg");
        assert_eq!((rows[1].label.as_str(), rows[1].line), ("B", 3));
        assert_eq!(rows[0].bounds, None);
    }

    #[test]
    fn boxes_are_read_where_there_are_any() {
        let text = "file,gesture,xmin,ymin,xmax,ymax\na,A,1,2,3,4.5\nb,B,,,,\n";
        let rows = read(text).unwrap();
        assert_eq!(rows[0].bounds, Some([1.0, 2.0, 3.0, 4.5]));
        assert_eq!(rows[1].bounds, None);
    }

    #[test]
    fn every_complaint_says_where_and_what() {
        let cases = [
            ("name,gesture\na,A\n", "column \"file\""),
            ("file,gesture\n", "no rows"),
            ("file,gesture\na,A\nb,A\n", "another class"),
            ("file,gesture\na,A\nb,\n", "line 3"),
            ("file,gesture\na,A\na,B\n", "line 2 already"),
            ("file,gesture\n../a,A\nb,B\n", "inside the image folder"),
            ("file,gesture\na,A\nb\n", "as long as the header"),
            ("file,gesture,xmin,ymin,xmax,ymax\na,A,1,2,3,x\n", "no coordinate"),
            ("file,gesture,xmin,ymin,xmax,ymax\na,A,3,2,1,5\n", "no area"),
        ];
        for (text, expected) in cases {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text:?}: {message}");
        }
        let missing = read_labels(Path::new("/nowhere.csv"), "file", "gesture").unwrap_err();
        assert!(missing.to_string().contains("/nowhere.csv"));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&bytes).unwrap();
            let _ = read_labels(file.path(), "file", "gesture");
        }
    }
}
