//! Whether the answers that an evaluation saw before it was stopped show that it has too few. Part of the checker: the
//! test of `crate::search::Stopping`, written a second time.

/// Shares of the largest bet, each made with and without the baseline's answer to the same sample.
const SIZES: [f64; 4] = [0.1, 0.3, 0.6, 0.9];

/// `1` and `0` as right and wrong; `None` where there is anything else.
pub(super) fn answers(text: &str) -> Option<Vec<bool>> {
    text.chars()
        .map(|character| match character {
            '1' => Some(true),
            '0' => Some(false),
            _ => None,
        })
        .collect()
}

/// Whether someone who bets against `needed` right answers becomes `1 / risk` times as rich while the answers come in.
pub(super) fn rejects(seen: &[bool], baseline: &[bool], needed: u64, risk: f64) -> bool {
    let count = |answers: &[bool]| answers.iter().filter(|&&right| right).count() as f64;
    let mut purses = [1.0; 2 * SIZES.len()];
    for at in 0..seen.len().min(baseline.len()) {
        let to_come = (baseline.len() - at) as f64;
        let missing = needed as f64 - count(&seen[..at]);
        if missing <= 0.0 {
            return false;
        }
        let (expected, usual) = (missing / to_come, count(&baseline[at..]) / to_come);
        let (is, was) = (count(&seen[at..=at]), count(&baseline[at..=at]));
        for (index, size) in SIZES.into_iter().enumerate() {
            let alone = (expected - is, 1.0 - expected);
            let paired = (expected - is + (was - usual), 1.0 - expected + usual);
            for (purse, (gain, most)) in [(index, alone), (SIZES.len() + index, paired)] {
                if most > 0.0 {
                    purses[purse] *= 1.0 + size * gain / most;
                }
            }
        }
        // A hair's breadth for sums in another order.
        if purses.iter().sum::<f64>() / purses.len() as f64 * risk >= 1.0 - 1e-9 {
            return true;
        }
    }
    false
}
