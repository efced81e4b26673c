//! Dividing one set of images into those to calibrate with, those to select by, and those to certify the winner with.

use std::collections::BTreeMap;

use super::labels::LabelRow;
use super::samples::spread;
use crate::digest::hex_digest;

/// The part of a set that is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Portion {
    /// All of it.
    #[default]
    Whole,
    /// Three tenths, for calibration: never for measuring accuracy.
    Calibration,
    /// Four tenths, for choosing among variants.
    Selection,
    /// Three tenths, for certifying the choice: never for anything before.
    HeldOut,
    /// All but those that calibration uses: so many, evenly spread.
    Rest(usize),
}

impl Portion {
    /// Those of `rows` that belong to the part, in their order. Each class is divided alike, in an order that follows from
    /// the names of the files alone: the same set is always divided the same way.
    pub(super) fn of(self, rows: Vec<LabelRow>) -> Vec<LabelRow> {
        match self {
            Self::Whole => return rows,
            Self::Rest(used) => {
                let used = spread(rows.len(), used);
                let is_left = |(index, _): &(usize, LabelRow)| used.binary_search(index).is_err();
                return rows.into_iter().enumerate().filter(is_left).map(|(_, row)| row).collect();
            }
            Self::Calibration | Self::Selection | Self::HeldOut => {}
        }
        let mut classes: BTreeMap<&str, Vec<(String, usize)>> = BTreeMap::new();
        for (index, row) in rows.iter().enumerate() {
            let place = (hex_digest(row.file.as_bytes()), index);
            classes.entry(&row.label).or_default().push(place);
        }
        let mut parts = vec![Self::Whole; rows.len()];
        for class in classes.values_mut() {
            class.sort();
            for (place, &(_, index)) in class.iter().enumerate() {
                // In twentieths: the middle of the place within its class.
                let middle = (20 * place + 10) / class.len();
                parts[index] = match middle {
                    0..6 => Self::Calibration,
                    6..14 => Self::Selection,
                    _ => Self::HeldOut,
                };
            }
        }
        rows.into_iter().zip(parts).filter(|(_, part)| *part == self).map(|(row, _)| row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize) -> Vec<LabelRow> {
        let row = |index: usize| LabelRow {
            file: format!("{index}.jpg"),
            label: if index.is_multiple_of(5) { "rare" } else { "common" }.to_owned(),
            bounds: None,
            landmarks: Vec::new(),
            line: index as u64 + 2,
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn the_rest_is_what_calibration_leaves() {
        let lines = |rows: Vec<LabelRow>| rows.iter().map(|row| row.line).collect::<Vec<_>>();
        assert_eq!(lines(Portion::Rest(2).of(rows(6))), [3, 4, 6, 7]);
        assert_eq!(Portion::Rest(9).of(rows(6)), []);
        assert_eq!(Portion::Rest(0).of(rows(6)).len(), 6);
    }

    #[test]
    fn every_image_is_in_one_part_and_every_part_has_every_class() {
        let parts = [Portion::Calibration, Portion::Selection, Portion::HeldOut]
            .map(|part| part.of(rows(100)));
        let counts = parts.each_ref().map(Vec::len);
        assert_eq!(counts, [30, 40, 30]);
        for part in &parts {
            let rare = part.iter().filter(|row| row.label == "rare").count();
            assert_eq!(rare * 5, part.len());
            assert!(part.windows(2).all(|pair| pair[0].line < pair[1].line), "in their order");
        }
        let mut all: Vec<String> = parts.concat().into_iter().map(|row| row.file).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 100);
    }

    #[test]
    fn the_division_does_not_depend_on_the_order_of_the_rows() {
        let files = |rows: Vec<LabelRow>| {
            let mut files: Vec<String> = rows.into_iter().map(|row| row.file).collect();
            files.sort();
            files
        };
        let mut turned = rows(57);
        turned.reverse();
        assert_eq!(files(Portion::Selection.of(turned)), files(Portion::Selection.of(rows(57))));
        assert_eq!(Portion::Whole.of(rows(3)).len(), 3);
    }
}
