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
    /// For each tensor that of the others with which the model's outputs change least on samples kept for that.
    Best,
}

/// How a model gets 8-bit activations, and weights of 8 or 4 bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scheme {
    /// The ranges of activations.
    pub range: Range,
    /// Whether the channels between two layers are scaled so that both lose little (cross-layer equalization).
    pub equalize: bool,
    /// Whether weights are rounded so that the layers' results change least, rather than the weights themselves.
    pub gptq: bool,
    /// How many input channels of a tap share a multiplier of a 4-bit weight's steps; all weights of an output where none.
    pub group: Option<u8>,
    /// Whether biases make up for what quantization adds to the means of the layers' results.
    pub correct: bool,
    /// The layers that hurt most run one level higher, up to this many percent of the multiply-accumulates.
    pub mixed: Option<u8>,
    /// Whether the last layers with weights, and what follows them, stay in floating point.
    pub float_heads: bool,
}

impl Scheme {
    /// Ranges of activations, and nothing else.
    pub const fn plain(range: Range) -> Self {
        Self {
            range,
            equalize: false,
            gptq: false,
            group: None,
            correct: false,
            mixed: None,
            float_heads: false,
        }
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
    /// The same with thresholds, scales and biases fitted to the calibration samples, layer after layer, and the layers
    /// that hurt most at 8 bits, up to this many percent of the multiply-accumulates.
    SignFit(Option<u8>),
    /// bin1 as trained, the rest at 8 bits: the model has SIGN before the convolutions that run on bits.
    Trained,
    /// bin1 as trained, the rest in fp32: what the file computes, without calibration.
    Imported,
}

/// A name that is no recipe's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown recipe {0:?}: use direct (fp32, fp16), minmax, percentile-99.99, mse, kl or best, each with any of +cle, +gptq, +group-32, +bias, +mixed-10 and +heads (int8, int4), sign-center, sign-fit or sign-fit+mixed-10 (int2, bin1), trained or imported (bin1)"
)]
pub struct UnknownRecipe(pub String);

impl Range {
    fn read(text: &str) -> Option<Self> {
        match text {
            "minmax" => Some(Self::MinMax),
            "mse" => Some(Self::Mse),
            "kl" => Some(Self::Kl),
            "best" => Some(Self::Best),
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
            Self::Best => f.write_str("best"),
        }
    }
}

impl Scheme {
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('+');
        let mut scheme = Self::plain(Range::read(parts.next()?)?);
        for part in parts {
            let technique = match part {
                "cle" => &mut scheme.equalize,
                "gptq" => &mut scheme.gptq,
                "bias" => &mut scheme.correct,
                "heads" => &mut scheme.float_heads,
                _ => {
                    let (number, value) = match read_group(part) {
                        Some(group) => (&mut scheme.group, group),
                        None => (&mut scheme.mixed, read_mixed(part)?),
                    };
                    if number.replace(value).is_some() {
                        return None;
                    }
                    continue;
                }
            };
            if std::mem::replace(technique, true) {
                return None;
            }
        }
        Some(scheme)
    }
}

/// The percentage of `mixed-10`.
fn read_mixed(text: &str) -> Option<u8> {
    let percent: u8 = text.strip_prefix("mixed-")?.parse().ok()?;
    (1..=99).contains(&percent).then_some(percent)
}

/// The channels of `group-32`: sixteens, which kernels take at a time.
fn read_group(text: &str) -> Option<u8> {
    let channels: u8 = text.strip_prefix("group-")?.parse().ok()?;
    (channels > 0 && channels.is_multiple_of(16)).then_some(channels)
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.range)?;
        for (_, name) in [(self.equalize, "cle"), (self.gptq, "gptq")].iter().filter(|used| used.0)
        {
            write!(f, "+{name}")?;
        }
        if let Some(channels) = self.group {
            write!(f, "+group-{channels}")?;
        }
        if self.correct {
            f.write_str("+bias")?;
        }
        if let Some(percent) = self.mixed {
            write!(f, "+mixed-{percent}")?;
        }
        if self.float_heads { f.write_str("+heads") } else { Ok(()) }
    }
}

impl FromStr for Recipe {
    type Err = UnknownRecipe;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "direct" => Some(Self::Direct),
            "sign-center" => Some(Self::SignCenter),
            "sign-fit" => Some(Self::SignFit(None)),
            "trained" => Some(Self::Trained),
            "imported" => Some(Self::Imported),
            _ => match text.strip_prefix("sign-fit+") {
                Some(mixed) => read_mixed(mixed).map(|percent| Self::SignFit(Some(percent))),
                None => Scheme::read(text).map(Self::Integer),
            },
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
            Self::SignFit(None) => f.write_str("sign-fit"),
            Self::SignFit(Some(percent)) => write!(f, "sign-fit+mixed-{percent}"),
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
            Level::Int8 | Level::Int4 => {
                "minmax, percentile-99.99, mse, kl, best, mse+cle+gptq+group-32+bias+mixed-10"
            }
            Level::Int2 => "sign-center, sign-fit",
            Level::Bin1 => "sign-center, sign-fit, trained, imported",
        };
        let fits = match self {
            Self::Direct => level <= Level::Fp16,
            Self::Integer(_) => matches!(level, Level::Int8 | Level::Int4),
            Self::SignCenter | Self::SignFit(_) => matches!(level, Level::Int2 | Level::Bin1),
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

    /// How many percent of the multiply-accumulates may run one level higher.
    pub(super) fn mixed(&self) -> Option<u8> {
        match self {
            Self::Integer(scheme) => scheme.mixed,
            Self::SignFit(mixed) => *mixed,
            _ => None,
        }
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

/// The recipes that reach a level, in order of cost: of making the variant, and then of running it. The first is the default.
pub fn recipes_of(level: Level) -> Vec<Recipe> {
    let mut recipes = vec![default_recipe(level)];
    let plain = Scheme::plain(Range::Mse);
    let corrected = Scheme { equalize: true, correct: true, ..plain };
    match level {
        Level::Fp32 | Level::Fp16 => {}
        Level::Int8 => recipes.extend(
            [
                corrected,
                Scheme { range: Range::Best, ..corrected },
                Scheme { mixed: Some(10), ..corrected },
            ]
            .map(Recipe::Integer),
        ),
        Level::Int4 => {
            let groups = Scheme { gptq: true, group: Some(32), ..plain };
            let rounded = Scheme { gptq: true, ..corrected };
            let mixed = |percent| Scheme { mixed: Some(percent), ..rounded };
            recipes.extend([groups, rounded, mixed(10), mixed(25)].map(Recipe::Integer));
        }
        Level::Int2 | Level::Bin1 => {
            recipes.extend([None, Some(25)].map(Recipe::SignFit));
        }
    }
    recipes
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
            "mse+group-16",
            "best+cle+gptq+group-32+bias+mixed-10+heads",
            "sign-center",
            "sign-fit",
            "sign-fit+mixed-25",
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
            "mse+mixed",
            "mse+mixed-0",
            "mse+mixed-100",
            "mse+mixed-5+mixed-6",
            "mse+group",
            "mse+group-0",
            "mse+group-24",
            "mse+group-256",
            "mse+group-32+group-32",
            "sign-fit+cle",
        ] {
            assert!(name.parse::<Recipe>().is_err(), "{name}");
        }
    }

    #[test]
    fn every_level_has_recipes_that_reach_it_the_default_first() {
        for level in Level::ALL {
            let recipes = recipes_of(level);
            assert_eq!(recipes[0], default_recipe(level));
            for recipe in &recipes {
                recipe.check(level).unwrap();
                assert_eq!(recipe.to_string().parse::<Recipe>().unwrap(), *recipe);
            }
        }
    }

    #[test]
    fn a_recipe_of_another_level_is_refused_with_those_that_fit() {
        let message = Recipe::SignCenter.check(Level::Int8).unwrap_err().to_string();
        assert!(message.contains("minmax"), "{message}");
        assert!(Recipe::Direct.check(Level::Int4).is_err());
    }
}
