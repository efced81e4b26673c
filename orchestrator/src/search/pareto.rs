//! The trade-off between latency and accuracy.

use super::outcome::Evaluated;

/// Indices of the evaluations that no other beats in both latency and accuracy, fastest first. Of equal ones the
/// first counts.
pub fn pareto_front(evaluated: &[Evaluated]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..evaluated.len()).collect();
    order.sort_by(|&a, &b| {
        let (left, right) = (&evaluated[a], &evaluated[b]);
        left.latency_us
            .total_cmp(&right.latency_us)
            .then(right.accuracy.value().total_cmp(&left.accuracy.value()))
            .then(a.cmp(&b))
    });
    let mut best = f64::NEG_INFINITY;
    order.retain(|&index| {
        let value = evaluated[index].accuracy.value();
        let keep = value > best;
        best = best.max(value);
        keep
    });
    order
}

#[cfg(test)]
mod tests {
    use super::super::problem::Accuracy;
    use super::*;

    fn point(latency_us: f64, correct: u64) -> Evaluated {
        let accuracy = Accuracy { correct, total: 100 };
        Evaluated { picks: vec![], latency_us, accuracy, at_most: correct, answers: String::new() }
    }

    #[test]
    fn only_points_that_nothing_beats_stay() {
        let points =
            [point(30.0, 90), point(10.0, 50), point(20.0, 90), point(20.0, 80), point(40.0, 91)];
        assert_eq!(pareto_front(&points), [1, 2, 4]);
        assert!(pareto_front(&[]).is_empty());
    }
}
