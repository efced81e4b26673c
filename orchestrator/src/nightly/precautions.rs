//! What a board's workers did without, in two measurements that are compared.

use std::collections::BTreeSet;

use quantrack_proto::Precaution;
use serde::Serialize;

use super::setup::Difference;

/// The name of a difference in precautions, beside those of [`super::setup::Setup::NAMES`].
pub const PRECAUTIONS: &str = "precautions";

/// Precautions that a board did not allow, each with the reason.
pub type Missing = BTreeSet<String>;

/// All of them, or `none` where there are none.
pub fn listed(missing: &Missing, none: &str) -> String {
    if missing.is_empty() {
        return none.to_owned();
    }
    missing.iter().map(String::as_str).collect::<Vec<_>>().join("; ")
}

/// Precautions that were missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MissingPrecautions {
    /// When the baseline was measured; absent where its store did not keep that yet.
    pub baseline: Option<Missing>,
    /// Tonight.
    pub now: Missing,
}

impl MissingPrecautions {
    /// Why times cannot be compared: one was measured with a precaution that concerns them, the other without. What nobody
    /// has kept cannot speak against it.
    pub fn difference(&self) -> Option<Difference> {
        let timing = |missing: &Missing| -> Vec<&str> {
            let of_time = |precaution: &Precaution| precaution.concerns_time();
            let lacking = |text: &String| Precaution::lacking(text).filter(of_time);
            missing.iter().filter_map(lacking).map(Precaution::lack).collect()
        };
        let (then, now) = (timing(self.baseline.as_ref()?), timing(&self.now));
        let said = |missing: &[&str]| match missing {
            [] => "all taken".to_owned(),
            some => format!("not all ({})", some.join(", ")),
        };
        let (baseline, now_said) = (said(&then), said(&now));
        (then != now).then_some(Difference { what: PRECAUTIONS, baseline, now: now_said })
    }

    /// What there is to say in one sentence, where anything is missing or has been; `baseline` is what was compared with.
    pub fn sentence(&self, baseline: &str) -> Option<String> {
        // Reasons may be worded otherwise by another release.
        let kinds = |missing: &Missing| -> BTreeSet<String> {
            let kind =
                |text: &String| text.split_once(": ").map_or(&**text, |(kind, _)| kind).to_owned();
            missing.iter().map(kind).collect()
        };
        let now = listed(&self.now, "none");
        match &self.baseline {
            Some(then) if kinds(then) != kinds(&self.now) => Some(format!(
                "measured with other precautions missing than {baseline}: {now}; for {baseline}: {}",
                listed(then, "none")
            )),
            Some(_) if self.now.is_empty() => None,
            Some(_) => Some(format!("measured with precautions missing, as {baseline} was: {now}")),
            None if self.now.is_empty() => None,
            None => Some(format!(
                "measured with precautions missing: {now} (those of {baseline} were not kept)"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: &str = "memory is not locked: Operation not permitted";
    const NETWORK: &str = "the network is reachable: Operation not permitted";

    fn missing(baseline: Option<&[&str]>, now: &[&str]) -> MissingPrecautions {
        let set = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        MissingPrecautions { baseline: baseline.map(set), now: set(now) }
    }

    #[test]
    fn what_concerns_time_forbids_to_compare_and_the_rest_is_told() {
        let lost = missing(Some(&[]), &[MEMORY]);
        let found = lost.difference().unwrap();
        assert_eq!((found.what, found.baseline.as_str()), ("precautions", "all taken"));
        assert_eq!(found.now, "not all (memory is not locked)");
        let said = lost.sentence("main").unwrap();
        assert_eq!(
            said,
            format!("measured with other precautions missing than main: {MEMORY}; for main: none")
        );
        assert_eq!(missing(Some(&[MEMORY]), &[]).difference().unwrap().now, "all taken");
        let network = missing(Some(&[]), &[NETWORK]);
        assert_eq!(network.difference(), None);
        assert!(network.sentence("main").unwrap().contains("other precautions missing than main"));
    }

    #[test]
    fn as_before_is_told_once_and_what_was_not_kept_is_no_difference() {
        let other_words = "memory is not locked: EPERM";
        let same = missing(Some(&[MEMORY]), &[other_words]);
        assert_eq!(same.difference(), None);
        let said = same.sentence("main").unwrap();
        assert_eq!(said, format!("measured with precautions missing, as main was: {other_words}"));
        let unknown = missing(None, &[MEMORY]);
        assert_eq!(unknown.difference(), None);
        assert!(unknown.sentence("main").unwrap().ends_with("(those of main were not kept)"));
        for nothing in [missing(None, &[]), missing(Some(&[]), &[])] {
            assert_eq!(nothing.sentence("main"), None);
        }
    }
}
