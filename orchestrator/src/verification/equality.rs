//! When outputs of a board equal the host's.

use quantrack_engine::{Level, Tensor};
use serde::{Deserialize, Serialize};

/// How far outputs of floating-point variants may be from the host's, relative to the largest of them.
pub const TOLERANCE: f32 = 1e-4;

/// What equal means for a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Equality {
    /// The same bits.
    BitForBit,
    /// Within [`TOLERANCE`].
    WithinTolerance,
}

impl Equality {
    /// Integer kernels give the same bits on every machine; floating-point ones may round differently.
    pub fn of(level: Level) -> Self {
        if level <= Level::Fp16 { Self::WithinTolerance } else { Self::BitForBit }
    }

    /// Whether the outputs of an inference equal the host's.
    pub fn holds(self, board: &[Tensor], host: &[Tensor]) -> bool {
        board.len() == host.len()
            && board.iter().zip(host).all(|(board, host)| match self {
                Self::BitForBit => {
                    board.shape() == host.shape()
                        && board.iter().zip(host).all(|(a, b)| a.to_bits() == b.to_bits())
                }
                Self::WithinTolerance => relative_error(board, host) <= TOLERANCE,
            })
    }
}

/// The largest difference, relative to the largest magnitude of `host`; infinite for other shapes or numbers that are
/// none.
pub fn relative_error(board: &Tensor, host: &Tensor) -> f32 {
    if board.shape() != host.shape() {
        return f32::INFINITY;
    }
    let largest = host.iter().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    board.iter().zip(host).fold(0.0, |worst: f32, (a, b)| {
        let error = if a.to_bits() == b.to_bits() { 0.0 } else { (a - b).abs() / largest };
        if error.is_nan() { f32::INFINITY } else { worst.max(error) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(values: &[f32]) -> Tensor {
        ndarray::Array1::from(values.to_vec()).into_dyn()
    }

    #[test]
    fn integers_must_be_equal_to_the_bit_and_floats_to_the_tolerance() {
        let (host, near) = ([tensor(&[1.0, 10.0])], [tensor(&[1.0009, 10.0])]);
        assert!(Equality::of(Level::Fp32).holds(&near, &host));
        assert!(!Equality::of(Level::Int8).holds(&near, &host));
        assert!(Equality::of(Level::Int8).holds(&host, &host));
        let far = [tensor(&[1.002, 10.0])];
        assert!(!Equality::of(Level::Fp32).holds(&far, &host));
    }

    #[test]
    fn other_shapes_counts_and_what_is_no_number_differ() {
        let host = [tensor(&[1.0])];
        for board in [vec![], vec![tensor(&[1.0, 1.0])], vec![tensor(&[f32::NAN])]] {
            assert!(!Equality::WithinTolerance.holds(&board, &host), "{board:?}");
            assert!(!Equality::BitForBit.holds(&board, &host), "{board:?}");
        }
    }
}
