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
    /// The range of which the 8-bit steps leave the smallest squared error.
    Mse,
    /// The range of which the 8-bit steps lose the least information about the distribution.
    Kl,
}

/// How a model gets 8-bit activations, and weights of 8 or 4 bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scheme {
    /// The ranges of activations.
    pub range: Range,
    /// Whether the last layers with weights, and what follows them, stay in floating point.
    pub float_heads: bool,
    /// Whether weights are rounded so that the layers' results change least, rather than the weights themselves.
    pub gptq: bool,
}

impl Scheme {
    /// Ranges of activations, and nothing else.
    pub const fn plain(range: Range) -> Self {
        Self { range, float_heads: false, gptq: false }
    }
}

/// A recipe by its name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Recipe {
    /// fp32 as imported, fp16 by rounding.
    Direct,
    /// int8 and int4 from fp32 weights and calibration samples: the name of the ranges, then `+` and each technique.
    Integer(Scheme),
    /// bin1 and int2 from fp32 weights: signs around each channel's centre.
    SignCenter,
    /// bin1 as trained, the rest at 8 bits: the model has SIGN before the convolutions that run on bits.
    Trained,
    /// bin1 as trained, the rest in fp32: what the file computes, without calibration.
    Imported,
}

/// A name that is no recipe's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown recipe {0:?}: use direct (fp32, fp16), minmax, percentile-99.99, mse or kl, each with +gptq, +heads or without (int8, int4), sign-center (int2, bin1), trained or imported (bin1)"
)]
pub struct UnknownRecipe(pub String);

impl Range {
    fn read(text: &str) -> Option<Self> {
        match text {
            "minmax" => Some(Self::MinMax),
            "mse" => Some(Self::Mse),
            "kl" => Some(Self::Kl),
            _ => {
                let share: f64 = text.strip_prefix("percentile-")?.parse().ok()?;
                (50.0..100.0).contains(&share).then_some(Self::Percentile(share))
            }
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MinMax => f.write_str("minmax"),
            Self::Percentile(share) => write!(f, "percentile-{share}"),
            Self::Mse => f.write_str("mse"),
            Self::Kl => f.write_str("kl"),
        }
    }
}

impl Scheme {
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('+');
        let mut scheme = Self::plain(Range::read(parts.next()?)?);
        for part in parts {
            let technique = match part {
                "gptq" => &mut scheme.gptq,
                "heads" => &mut scheme.float_heads,
                _ => return None,
            };
            if std::mem::replace(technique, true) {
                return None;
            }
        }
        Some(scheme)
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.range)?;
        let techniques = [(self.gptq, "gptq"), (self.float_heads, "heads")];
        for (_, name) in techniques.iter().filter(|technique| technique.0) {
            write!(f, "+{name}")?;
        }
        Ok(())
    }
}

impl FromStr for Recipe {
    type Err = UnknownRecipe;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "direct" => Some(Self::Direct),
            "sign-center" => Some(Self::SignCenter),
            "trained" => Some(Self::Trained),
            "imported" => Some(Self::Imported),
            _ => Scheme::read(text).map(Self::Integer),
        }
        .ok_or_else(|| UnknownRecipe(text.to_owned()))
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.write_str("direct"),
            Self::Integer(scheme) => scheme.fmt(f),
            Self::SignCenter => f.write_str("sign-center"),
            Self::Trained => f.write_str("trained"),
            Self::Imported => f.write_str("imported"),
        }
    }
}

impl Recipe {
    /// Whether the recipe reaches `level`.
    pub(super) fn check(&self, level: Level) -> Result<(), QuantizeError> {
        let known = match level {
            Level::Fp32 | Level::Fp16 => "direct",
            Level::Int8 | Level::Int4 => "minmax, percentile-99.99, mse, kl, mse+gptq",
            Level::Int2 => "sign-center",
            Level::Bin1 => "sign-center, trained, imported",
        };
        let fits = match self {
            Self::Direct => level <= Level::Fp16,
            Self::Integer(_) => matches!(level, Level::Int8 | Level::Int4),
            Self::SignCenter => matches!(level, Level::Int2 | Level::Bin1),
            Self::Trained | Self::Imported => level == Level::Bin1,
        };
        if fits {
            return Ok(());
        }
        Err(QuantizeError::WrongRecipe { recipe: self.to_string(), level, known: known.to_owned() })
    }

    /// Whether the recipe looks at a calibration.
    pub fn needs_calibration(&self) -> bool {
        !matches!(self, Self::Direct | Self::Imported)
    }

    /// How the layers that stay at 8 bits get there.
    pub(super) fn scheme(&self) -> Scheme {
        match self {
            Self::Integer(scheme) => *scheme,
            _ => Scheme::plain(Range::MinMax),
        }
    }
}

/// The recipe of a level when none is named.
pub fn default_recipe(level: Level) -> Recipe {
    match level {
        Level::Fp32 | Level::Fp16 => Recipe::Direct,
        Level::Int8 => Recipe::Integer(Scheme::plain(Range::Mse)),
        Level::Int4 => Recipe::Integer(Scheme { gptq: true, ..Scheme::plain(Range::Mse) }),
        Level::Int2 | Level::Bin1 => Recipe::SignCenter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for name in [
            "direct",
            "minmax",
            "percentile-99.99",
            "mse+gptq+heads",
            "kl+heads",
            "sign-center",
            "trained",
            "imported",
        ] {
            assert_eq!(name.parse::<Recipe>().unwrap().to_string(), name);
        }
        for name in [
            "",
            "percentile-",
            "percentile-100",
            "percentile-nan",
            "magic",
            "mse+",
            "mse+heads+heads",
        ] {
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
