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
    /// The columns `xmin, ymin, xmax, ymax`, where the file has them; empty fields: there is nothing in the image.
    pub bounds: Option<HandBox>,
    /// The columns `x0, y0, x1, y1` and so on, landmarks in image pixels, where the file has them; empty fields: there is nothing
    /// in the image.
    pub landmarks: Vec<[f64; 2]>,
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
    let point = |index: usize| Some([find(&format!("x{index}"))?, find(&format!("y{index}"))?]);
    let points: Vec<[usize; 2]> = (0..).map_while(point).collect();
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
        let landmarks = landmarks(&points, &field).map_err(wrong)?;
        rows.push(LabelRow { file, label, bounds, landmarks, line });
    }
    Ok(rows)
}

/// A row without a label for every file of `folder` that is `wanted`, in the order of their names; hidden files are left out.
pub(super) fn list_files(
    folder: &Path,
    wanted: impl Fn(&Path) -> bool,
) -> Result<Vec<LabelRow>, DatasetError> {
    let unreadable = |source| DatasetError::Labels { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_file() && !name.starts_with('.') && wanted(&entry.path()) {
            files.push(name);
        }
    }
    files.sort();
    Ok(unlabelled(files))
}

/// A row without a label for each of these.
pub(super) fn unlabelled(files: impl IntoIterator<Item = String>) -> Vec<LabelRow> {
    let row = |(index, file): (usize, String)| LabelRow {
        file,
        label: String::new(),
        bounds: None,
        landmarks: Vec::new(),
        line: index as u64 + 1,
    };
    files.into_iter().enumerate().map(row).collect()
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
        *number = coordinate(text)?;
    }
    let ordered = numbers[0] < numbers[2] && numbers[1] < numbers[3];
    if ordered { Ok(Some(numbers)) } else { Err("the box has no area; correct it".to_owned()) }
}

fn coordinate(text: &str) -> Result<f64, String> {
    let parsed = text.parse::<f64>().ok().filter(|value| value.is_finite());
    parsed.ok_or_else(|| format!("{text:?} is no coordinate; give pixels"))
}

fn landmarks(
    points: &[[usize; 2]],
    field: &dyn Fn(usize) -> String,
) -> Result<Vec<[f64; 2]>, String> {
    if points.iter().flatten().all(|&index| field(index).is_empty()) {
        return Ok(Vec::new());
    }
    let point = |&[x, y]: &[usize; 2]| Ok([coordinate(&field(x))?, coordinate(&field(y))?]);
    points.iter().map(point).collect()
}

/// A set without labels needs samples all the same.
pub(super) fn check_some(path: &Path, rows: &[LabelRow], what: &str) -> Result<(), DatasetError> {
    if rows.is_empty() {
        let problem = format!("it has no {what}; add some");
        return Err(DatasetError::Degenerate { path: path.to_owned(), problem });
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
        read_labels(file.path(), "file", "gesture")
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
    fn landmarks_are_read_where_there_are_any() {
        let rows = read("file,gesture,x0,y0,x1,y1,x2\na,A,1,2,3,4.5,9\nb,B,,,,,\n").unwrap();
        assert_eq!(rows[0].landmarks, [[1.0, 2.0], [3.0, 4.5]], "x2 has no y2");
        assert!(rows[1].landmarks.is_empty());
    }

    #[test]
    fn every_complaint_says_where_and_what() {
        let cases = [
            ("name,gesture\na,A\n", "column \"file\""),
            ("file,gesture\na,A\nb,\n", "line 3"),
            ("file,gesture\na,A\na,B\n", "line 2 already"),
            ("file,gesture\n../a,A\nb,B\n", "inside the image folder"),
            ("file,gesture\na,A\nb\n", "as long as the header"),
            ("file,gesture,xmin,ymin,xmax,ymax\na,A,1,2,3,x\n", "no coordinate"),
            ("file,gesture,xmin,ymin,xmax,ymax\na,A,3,2,1,5\n", "no area"),
            ("file,gesture,x0,y0\na,A,1,\n", "no coordinate"),
            ("file,gesture,x0,y0\na,A,1,nan\n", "no coordinate"),
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
