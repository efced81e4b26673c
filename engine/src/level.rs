//! Quantization levels.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How many bits the weights and activations of a layer have. Ordered from most to fewest bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// 32-bit floating point.
    Fp32,
    /// Weights and activations stored in 16-bit floating point, arithmetic in fp32.
    Fp16,
    /// 8-bit weights (per channel, symmetric) and activations (per tensor, asymmetric), integer arithmetic.
    Int8,
    /// 4-bit weights, 8-bit activations.
    Int4,
    /// Weights -1, 0 and 1 (per channel, symmetric), one-bit activations: between int4 and bin1 in size, speed and accuracy.
    Int2,
    /// One-bit weights and activations.
    Bin1,
}

impl Level {
    /// All levels, from most to fewest bits.
    pub const ALL: [Self; 6] =
        [Self::Fp32, Self::Fp16, Self::Int8, Self::Int4, Self::Int2, Self::Bin1];

    /// The canonical spelling, as in `fp32`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
            Self::Int2 => "int2",
            Self::Bin1 => "bin1",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text names no level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown level {0:?}: use one of fp32, fp16, int8, int4, int2, bin1")]
pub struct UnknownLevel(pub String);

impl FromStr for Level {
    type Err = UnknownLevel;

    /// Accepts `int8`, `int-8` and `INT8` alike.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = text.trim().to_ascii_lowercase().replacen('-', "", 1);
        Self::ALL
            .into_iter()
            .find(|level| level.name() == plain)
            .ok_or_else(|| UnknownLevel(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_parses_from_its_name_and_its_hyphenated_spelling() {
        for level in Level::ALL {
            assert_eq!(level.name().parse::<Level>(), Ok(level));
            let digits = level.name().find(|c: char| c.is_ascii_digit()).unwrap();
            let (word, bits) = level.name().split_at(digits);
            assert_eq!(format!("{word}-{bits}").to_uppercase().parse::<Level>(), Ok(level));
        }
    }

    #[test]
    fn an_unknown_level_names_the_choices() {
        let message = "int7".parse::<Level>().unwrap_err().to_string();
        assert!(message.contains("\"int7\"") && message.contains("bin1"), "{message}");
    }
}
