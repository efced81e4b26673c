//! How a level is reached.

use std::fmt;
use std::str::FromStr;

use crate::Level;

use super::error::QuantizeError;

/// How the range of an activation is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    /// From the smallest to the largest value seen.
    MinMax,
    /// Leaves out so large a share of the values at both ends together, as in 99.99 (percent kept).
    Percentile(f64),
}

/// A recipe by its name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Recipe {
    /// fp32 as imported, fp16 by rounding.
    Direct,
    /// int8 and int4 with ranges of activations from calibration.
    Ranges(Range),
    /// bin1 and int2 from fp32 weights: signs around each channel's centre.
    SignCenter,
    /// bin1 as trained: the model has SIGN before the convolutions that run on bits.
    Trained,
}

/// A name that is no recipe's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown recipe {0:?}: use direct (fp32, fp16), minmax or percentile-99.99 (int8, int4), sign-center (int2, bin1) or trained (bin1)"
)]
pub struct UnknownRecipe(pub String);

impl FromStr for Recipe {
    type Err = UnknownRecipe;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let percentile = |rest: &str| {
            let share: f64 = rest.parse().ok()?;
            (50.0..100.0).contains(&share).then_some(Self::Ranges(Range::Percentile(share)))
        };
        match text {
            "direct" => Some(Self::Direct),
            "minmax" => Some(Self::Ranges(Range::MinMax)),
            "sign-center" => Some(Self::SignCenter),
            "trained" => Some(Self::Trained),
            _ => text.strip_prefix("percentile-").and_then(percentile),
        }
        .ok_or_else(|| UnknownRecipe(text.to_owned()))
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.write_str("direct"),
            Self::Ranges(Range::MinMax) => f.write_str("minmax"),
            Self::Ranges(Range::Percentile(share)) => write!(f, "percentile-{share}"),
            Self::SignCenter => f.write_str("sign-center"),
            Self::Trained => f.write_str("trained"),
        }
    }
}

impl Recipe {
    /// Whether the recipe reaches `level`.
    pub(super) fn check(&self, level: Level) -> Result<(), QuantizeError> {
        let known = match level {
            Level::Fp32 | Level::Fp16 => "direct",
            Level::Int8 | Level::Int4 => "minmax, percentile-99.99",
            Level::Int2 => "sign-center",
            Level::Bin1 => "sign-center, trained",
        };
        let fits = match self {
            Self::Direct => level <= Level::Fp16,
            Self::Ranges(_) => matches!(level, Level::Int8 | Level::Int4),
            Self::SignCenter => matches!(level, Level::Int2 | Level::Bin1),
            Self::Trained => level == Level::Bin1,
        };
        if fits {
            return Ok(());
        }
        Err(QuantizeError::WrongRecipe { recipe: self.to_string(), level, known: known.to_owned() })
    }

    /// The range of activations that stay at 8 bits.
    pub(super) fn range(&self) -> Range {
        match self {
            Self::Ranges(range) => *range,
            _ => Range::MinMax,
        }
    }
}

/// The recipe of a level when none is named.
pub fn default_recipe(level: Level) -> Recipe {
    match level {
        Level::Fp32 | Level::Fp16 => Recipe::Direct,
        Level::Int8 | Level::Int4 => Recipe::Ranges(Range::MinMax),
        Level::Int2 | Level::Bin1 => Recipe::SignCenter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for name in ["direct", "minmax", "percentile-99.99", "sign-center", "trained"] {
            assert_eq!(name.parse::<Recipe>().unwrap().to_string(), name);
        }
        for name in ["", "percentile-", "percentile-100", "percentile-nan", "magic"] {
            assert!(name.parse::<Recipe>().is_err(), "{name}");
        }
    }

    #[test]
    fn a_recipe_of_another_level_is_refused_with_those_that_fit() {
        let message = Recipe::SignCenter.check(Level::Int8).unwrap_err().to_string();
        assert!(message.contains("minmax"), "{message}");
        assert!(Recipe::Direct.check(Level::Int4).is_err());
    }
}
