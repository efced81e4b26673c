//! Binary search for the first of several versions that is slower than the first one. It takes for granted that once they
//! are slower they stay so; where a version allows no verdict, or cannot be tried, one beside it is.

use std::collections::BTreeMap;

use super::verdict::Verdict;

/// What is known of versions, which are numbered from 0, the one that all are compared with.
#[derive(Clone, Debug)]
pub struct Bisection {
    versions: usize,
    known: BTreeMap<usize, Verdict>,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Compare this version with the first.
    Compare(usize),
    /// The first that is slower.
    Found(usize),
    /// The last is not slower, so none is taken to be.
    NoneSlower,
    /// The first that is slower is one of these, the last included; the evidence does not allow to say which.
    Unclear {
        /// The first candidate.
        from: usize,
        /// The last one.
        to: usize,
    },
    /// Those before this one are not slower; of it and all after it nothing can be said.
    Open {
        /// The first of which nothing can be said.
        from: usize,
    },
}

impl Bisection {
    /// Nothing is known of so many versions.
    pub fn new(versions: usize) -> Self {
        Self { versions, known: BTreeMap::new() }
    }

    /// Takes the verdict on a version.
    pub fn learn(&mut self, version: usize, verdict: Verdict) {
        self.known.insert(version, verdict);
    }

    /// What to do next.
    pub fn next(&self) -> Step {
        let (mut fine, mut slower) = (0, self.versions.saturating_sub(1));
        match self.known.get(&slower) {
            _ if slower == 0 => return Step::NoneSlower,
            None => return Step::Compare(slower),
            Some(Verdict::Ok | Verdict::Improved) => return Step::NoneSlower,
            Some(Verdict::Regression) => {}
            // The evidence is worst where the change may be largest: others would hardly be clearer.
            Some(Verdict::Inconclusive) => return Step::Open { from: 1 },
            // Those before it may do, and then it does not matter, or all those that are left cannot be tried.
            Some(Verdict::LabFault) => {}
        }
        let untried = |version: usize| self.known.get(&version) == Some(&Verdict::LabFault);
        loop {
            let middle = usize::midpoint(fine, slower);
            let mut between: Vec<usize> = (fine + 1..slower).collect();
            between.sort_by_key(|version| version.abs_diff(middle));
            let unclear = |version: &usize| {
                matches!(self.known.get(version), Some(Verdict::Inconclusive | Verdict::LabFault))
            };
            match between.iter().find(|version| !unclear(version)) {
                None if untried(slower) => return Step::Open { from: fine + 1 },
                None if between.is_empty() => return Step::Found(slower),
                None => return Step::Unclear { from: fine + 1, to: slower },
                Some(&version) => match self.known.get(&version) {
                    None => return Step::Compare(version),
                    Some(Verdict::Regression) => slower = version,
                    Some(_) => fine = version,
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches among versions of which those from `first` on are slower; returns the end and how many were compared.
    fn search(versions: usize, first: usize, unclear: &[usize]) -> (Step, u32) {
        among(versions, first, unclear, Verdict::Inconclusive)
    }

    /// The same, with what becomes of those that allow no verdict.
    fn among(versions: usize, first: usize, unclear: &[usize], fault: Verdict) -> (Step, u32) {
        let mut bisection = Bisection::new(versions);
        let mut compared = 0;
        loop {
            let step = bisection.next();
            let Step::Compare(version) = step else { return (step, compared) };
            compared += 1;
            assert!(compared <= versions as u32, "it goes round in circles");
            bisection.learn(
                version,
                match version {
                    version if unclear.contains(&version) => fault,
                    version if version >= first => Verdict::Regression,
                    _ => Verdict::Ok,
                },
            );
        }
    }

    #[test]
    fn every_first_one_is_found_with_few_comparisons() {
        for versions in 2..40 {
            for first in 1..versions {
                let (step, compared) = search(versions, first, &[]);
                assert_eq!(step, Step::Found(first));
                assert!(compared <= 1 + versions.ilog2() + 1, "{compared} for {versions}");
            }
            assert_eq!(search(versions, versions, &[]), (Step::NoneSlower, 1));
        }
    }

    #[test]
    fn versions_without_a_verdict_are_gone_around_or_told() {
        assert_eq!(search(9, 6, &[4]).0, Step::Found(6));
        assert_eq!(search(9, 6, &[5]).0, Step::Unclear { from: 5, to: 6 });
        assert_eq!(search(9, 6, &[4, 5, 6]).0, Step::Unclear { from: 4, to: 7 });
        assert_eq!(search(9, 6, &[8]), (Step::Open { from: 1 }, 1));
        for first in 1..12 {
            for unclear in 1..11 {
                match search(12, first, &[unclear, unclear + 1]).0 {
                    Step::Found(found) => assert_eq!(found, first),
                    Step::Unclear { from, to } => assert!((from..=to).contains(&first)),
                    Step::Open { from } => assert!(from == 1 && unclear == 10),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    #[test]
    fn versions_that_cannot_be_tried_are_gone_around_even_at_the_end() {
        let untried = |first, untried: &[usize]| among(9, first, untried, Verdict::LabFault).0;
        assert_eq!(untried(6, &[4]), Step::Found(6));
        assert_eq!(untried(6, &[5]), Step::Unclear { from: 5, to: 6 });
        assert_eq!(untried(6, &[8]), Step::Found(6), "what comes after it says so");
        assert_eq!(untried(6, &[7, 8]), Step::Found(6));
        assert_eq!(untried(7, &[7, 8]), Step::Open { from: 7 });
        assert_eq!(untried(9, &[8]), Step::Open { from: 8 });
        assert_eq!(untried(9, &[1, 2, 3, 4, 5, 6, 7, 8]), Step::Open { from: 1 });
        for first in 1..=12 {
            for bad in 0..1 << 11 {
                let bad: Vec<usize> =
                    (1..12).filter(|version| bad >> (version - 1) & 1 == 1).collect();
                match among(12, first, &bad, Verdict::LabFault).0 {
                    Step::Found(found) => assert_eq!(found, first),
                    Step::Unclear { from, to } => assert!((from..=to).contains(&first)),
                    Step::Open { from } => assert!(from <= first, "{from} {first} {bad:?}"),
                    Step::NoneSlower => assert_eq!(first, 12),
                    Step::Compare(_) => unreachable!(),
                }
            }
        }
    }
}
