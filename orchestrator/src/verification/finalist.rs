//! The assignments that may turn out faster than the chosen one when the board runs them end to end: sums of medians are
//! predictions, and do not know what stages do to each other's caches.

use serde::{Deserialize, Serialize};

use crate::assignment::{SearchRecord, StageLevel, stage_levels};
use crate::search::{Evaluated, Objective, Space};
use crate::stats::{median_of_sorted, median_ranks};

/// An assignment that answers the search's question.
#[derive(Clone, Debug, PartialEq)]
pub struct Finalist {
    /// Its stages, in order.
    pub stages: Vec<StageLevel>,
    /// Predicted latency in microseconds.
    pub predicted_us: f64,
    /// Right answers, of all samples.
    pub correct: u64,
}

/// A finalist that the board has run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// Its stages, in order.
    pub stages: Vec<StageLevel>,
    /// Whether it is what the search chose.
    pub chosen: bool,
    /// Right answers on the host, of all samples.
    pub correct: u64,
    /// Predicted latency in microseconds.
    pub predicted_us: f64,
    /// Measured median in microseconds, over the images that reach the last stage.
    pub measured_us: f64,
    /// Images for which every inference, and the class, equal the host's.
    pub equal_outputs: u64,
    /// How many times as long as the chosen one it takes: the median over the images that both finish, and its 95 % interval
    /// (order statistics). Absent for the chosen one, and with fewer than six such images.
    pub ratio: Option<(f64, (f64, f64))>,
}

impl Ranked {
    /// Whether it is faster than the chosen one beyond what chance explains.
    pub fn is_faster(&self) -> bool {
        self.ratio.is_some_and(|(_, (_, high))| high < 1.0)
    }

    /// As in "int8 / int8 / fp32 / fp32".
    pub fn label(&self) -> String {
        let levels: Vec<&str> = self.stages.iter().map(|stage| stage.level.name()).collect();
        levels.join(" / ")
    }
}

/// The chosen assignment, and up to `most - 1` others that were evaluated, answer the question as well, and are predicted to
/// take at most `reach` times as long; in order of predicted latency. For the fastest under a floor that is whatever meets
/// the floor, else what has no fewer right answers.
pub fn finalists(search: &SearchRecord, most: usize, reach: f64) -> Vec<Finalist> {
    let Some(chosen) = &search.found else { return Vec::new() };
    let space = Space::new(&search.problem);
    let needed = match search.problem.objective {
        Objective::MinLatency | Objective::ParetoFront => {
            search.certificate.min_correct.unwrap_or_default()
        }
        Objective::MaxAccuracy | Objective::Weighted { .. } => chosen.accuracy.correct,
    };
    let limit_us = search.problem.max_latency_us.unwrap_or(f64::INFINITY);
    let answers = |seen: &&Evaluated| {
        seen.picks != chosen.picks
            && seen.is_complete(search.baseline.accuracy.total)
            && seen.accuracy.correct >= needed
            && seen.latency_us <= limit_us.min(chosen.latency_us * reach)
            && space.contains(&seen.picks)
    };
    let uniform = search.uniform.iter().map(|(_, seen)| seen);
    let mut others: Vec<&Evaluated> = search.trace.iter().chain(uniform).filter(answers).collect();
    others
        .sort_by(|a, b| a.latency_us.total_cmp(&b.latency_us).then_with(|| a.picks.cmp(&b.picks)));
    others.dedup_by(|a, b| a.picks == b.picks);
    let finalist = |seen: &Evaluated| Finalist {
        stages: stage_levels(&search.problem, &seen.picks),
        predicted_us: seen.latency_us,
        correct: seen.accuracy.correct,
    };
    [chosen].into_iter().chain(others).take(most).map(finalist).collect()
}

/// Sorts finalists by what was measured; of equal ones the chosen one comes first. `images_us` is by finalist and image, `None`
/// where an image does not reach the last stage; the chosen finalist is the first.
pub fn rank(mut ranked: Vec<Ranked>, images_us: &[Vec<Option<f64>>]) -> Vec<Ranked> {
    let Some(chosen) = images_us.first() else { return ranked };
    for (one, images) in ranked.iter_mut().zip(images_us).skip(1) {
        one.ratio = ratio(images, chosen);
    }
    ranked.sort_by(|a, b| a.measured_us.total_cmp(&b.measured_us).then(b.chosen.cmp(&a.chosen)));
    ranked
}

fn ratio(images: &[Option<f64>], chosen: &[Option<f64>]) -> Option<(f64, (f64, f64))> {
    let pairs = images.iter().zip(chosen);
    let mut ratios: Vec<f64> = pairs.filter_map(|(us, chosen)| Some((*us)? / (*chosen)?)).collect();
    ratios.sort_by(f64::total_cmp);
    let (low, high) = median_ranks(ratios.len())?;
    Some((median_of_sorted(&ratios)?, (ratios[low], ratios[high])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(chosen: bool, measured_us: f64) -> Ranked {
        Ranked {
            stages: Vec::new(),
            chosen,
            correct: 9,
            predicted_us: 100.0,
            measured_us,
            equal_outputs: 20,
            ratio: None,
        }
    }

    #[test]
    fn what_is_faster_image_by_image_is_told_from_what_is_so_by_chance() {
        // Images differ by far more than the finalists do.
        let image = |index: i32, factor: f64| Some(100.0 * f64::from(index + 1) * factor);
        let chosen: Vec<_> = (0..20).map(|i| image(i, 1.0)).collect();
        let faster: Vec<_> = (0..20).map(|i| image(i, 0.97 - 0.001 * f64::from(i % 3))).collect();
        let alike: Vec<_> =
            (0..20).map(|i| image(i, if i % 2 == 0 { 0.98 } else { 1.02 })).collect();
        let all = vec![ranked(true, 1050.0), ranked(false, 1010.0), ranked(false, 1045.0)];
        let order = rank(all, &[chosen, faster, alike]);
        assert_eq!(order.iter().map(|one| one.chosen).collect::<Vec<_>>(), [false, false, true]);
        assert!(
            order[0].is_faster() && !order[1].is_faster() && !order[2].is_faster(),
            "{order:?}"
        );
        let (median, (low, high)) = order[0].ratio.unwrap();
        assert!((median - 0.969).abs() < 1e-9 && low < high && high < 1.0, "{order:?}");
    }

    #[test]
    fn images_that_one_does_not_finish_do_not_count_and_few_tell_nothing() {
        let chosen = vec![Some(10.0); 8];
        let mut other = vec![Some(5.0); 8];
        (other[0], other[1]) = (None, None);
        assert_eq!(ratio(&other, &chosen), Some((0.5, (0.5, 0.5))));
        other[2] = None;
        assert_eq!(ratio(&other, &chosen), None);
    }
}
