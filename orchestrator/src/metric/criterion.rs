//! A metric together with what it compares with.

use quantrack_engine::glue::Kind;

use super::builtin::Metric;
use super::estimate::Unit;
use super::external::External;

/// What findings are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// What fp32 finds: needs no labels.
    Fp32,
    /// What the labels say.
    Labels,
}

/// What judges: a metric of ours, or a program of the user's.
#[derive(Clone, Debug, PartialEq)]
pub enum Measure {
    /// Ours.
    Builtin(Metric),
    /// The user's.
    External(External),
}

impl Measure {
    /// Whether its value is made of all images together rather than of the images' values.
    pub fn is_pooled(&self) -> bool {
        match self {
            Self::External(_) => false,
            Self::Builtin(metric) => matches!(
                metric,
                Metric::Iou
                    | Metric::Recall(_)
                    | Metric::Precision(_)
                    | Metric::AveragePrecision(_)
                    | Metric::Sqnr
            ),
        }
    }

    /// What its value is.
    pub fn unit(&self) -> Unit {
        match self {
            Self::Builtin(metric) => metric.unit(),
            Self::External(_) => Unit::Number,
        }
    }
}

/// What a stage, or the whole pipeline, is judged by.
#[derive(Clone, Debug, PartialEq)]
pub struct Criterion {
    /// What judges.
    pub measure: Measure,
    /// What it compares with.
    pub against: Against,
    /// End to end: an image is right from this value on. Absent: the metric itself says what is right, or it is no count.
    pub right_from: Option<f64>,
    /// As in pipeline files and tables.
    name: String,
}

impl Criterion {
    /// `measure`, called `name`.
    fn new(measure: Measure, against: Against, name: impl Into<String>) -> Self {
        Self { measure, against, right_from: None, name: name.into() }
    }

    /// Share of images with the class of their label.
    pub fn top1() -> Self {
        Self::new(Measure::Builtin(Metric::SameClass), Against::Labels, "top1")
    }

    /// Share of images with the class that all stages at fp32 find, or in which neither finds one: needs no labels.
    pub fn agreement() -> Self {
        Self::new(Measure::Builtin(Metric::SameClass), Against::Fp32, "agreement")
    }

    /// The criterion of stages that find this, unless another is named.
    pub fn default_of(kind: Kind) -> Self {
        let metric = Metric::default_of(kind);
        Self::new(Measure::Builtin(metric), Against::Fp32, metric.name())
    }

    /// A program of the user's, which is given both what a variant puts out and what fp32 does.
    pub fn external(external: External) -> Self {
        let name = external.name();
        Self::new(Measure::External(external), Against::Fp32, name)
    }

    /// The criterion with that name, compared with what is `asked` for, or else with fp32.
    ///
    /// # Errors
    /// What is wrong, for a message.
    pub fn named(name: &str, asked: Option<Against>) -> Result<Self, String> {
        match (name, asked) {
            ("top1", None | Some(Against::Labels)) => return Ok(Self::top1()),
            ("top1", Some(Against::Fp32)) => {
                return Err(
                    "top1 compares with labels; against fp32 it is \"agreement\"".to_owned()
                );
            }
            ("agreement" | "top1-agreement", None | Some(Against::Fp32)) => {
                let measure = Measure::Builtin(Metric::SameClass);
                return Ok(Self::new(measure, Against::Fp32, name));
            }
            ("agreement" | "top1-agreement", Some(Against::Labels)) => {
                return Err(format!("{name} compares with fp32; against labels it is \"top1\""));
            }
            _ => {}
        }
        let metric = Metric::named(name).ok_or_else(|| unknown(name))?;
        let against = asked.unwrap_or(Against::Fp32);
        if against == Against::Labels && metric.kind() == Kind::Tensors {
            return Err(format!(
                "{name} compares tensors, which labels do not give; leave out against"
            ));
        }
        let suffix = if against == Against::Labels { " against labels" } else { "" };
        let name = format!("{}{suffix}", metric.name());
        Ok(Self::new(Measure::Builtin(metric), against, name))
    }

    /// Its name in tables and keys.
    pub fn name(&self) -> String {
        match self.right_from {
            None => self.name.clone(),
            Some(from) => format!("{} from {from}", self.name),
        }
    }

    /// Whether an image is either right or wrong.
    pub fn is_count(&self) -> bool {
        let counts = |measure: &Measure| matches!(measure, Measure::Builtin(m) if m.is_count());
        self.right_from.is_some() || counts(&self.measure)
    }

    /// What its value is.
    pub fn unit(&self) -> Unit {
        match self.right_from {
            Some(_) => Unit::Share,
            None => self.measure.unit(),
        }
    }

    /// The program of the user's, if it is one.
    pub fn program(&self) -> Option<&External> {
        match &self.measure {
            Measure::External(external) => Some(external),
            Measure::Builtin(_) => None,
        }
    }

    /// Whether it judges stages that find this.
    pub fn fits(&self, kind: Kind) -> bool {
        match &self.measure {
            Measure::Builtin(metric) => metric.kind() == kind,
            Measure::External(_) => true,
        }
    }
}

/// All metrics there are, for a message.
fn unknown(name: &str) -> String {
    let of = |kind: Kind| Metric::names_for(kind).join(", ");
    format!(
        "unknown metric {name:?}: use {} for detections, {} for landmarks, {} for tensors, {} for classes (shares after @ may be \
         others), or a program of yours, {{ command = [\"python3\", \"score.py\"] }}",
        of(Kind::Regions),
        of(Kind::Hand),
        of(Kind::Tensors),
        of(Kind::Class)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compared_with_follows_the_name_or_is_asked_for() {
        let against = |name: &str, asked| Criterion::named(name, asked).map(|c| c.against);
        assert_eq!(against("top1", None), Ok(Against::Labels));
        assert_eq!(against("agreement", None), Ok(Against::Fp32));
        assert_eq!(against("map@50", None), Ok(Against::Fp32));
        assert_eq!(against("map@50", Some(Against::Labels)), Ok(Against::Labels));
        assert!(against("top1", Some(Against::Fp32)).unwrap_err().contains("agreement"));
        assert!(against("agreement", Some(Against::Labels)).unwrap_err().contains("top1"));
        assert!(against("sqnr", Some(Against::Labels)).unwrap_err().contains("tensors"));
        let message = Criterion::named("map", None).unwrap_err();
        assert!(message.contains("map@50:95") && message.contains("score.py"), "{message}");
    }

    #[test]
    fn only_what_is_right_or_wrong_counts() {
        let mut cosine = Criterion::named("cosine", None).unwrap();
        assert!(!cosine.is_count());
        cosine.right_from = Some(0.99);
        assert!(cosine.is_count());
        assert_eq!((cosine.name(), cosine.unit()), ("cosine from 0.99".to_owned(), Unit::Share));
        assert!(Criterion::top1().is_count() && Criterion::agreement().is_count());
        let labelled = Criterion::named("pck@0.05", Some(Against::Labels)).unwrap();
        assert_eq!(labelled.name(), "pck@0.05 against labels");
        assert!(labelled.fits(Kind::Hand) && !labelled.fits(Kind::Class));
    }
}
