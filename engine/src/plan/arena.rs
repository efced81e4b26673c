//! Which values share memory.

/// The time during which a value must keep its memory: from the step that writes it to the last that reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lifetime {
    pub(super) first: usize,
    pub(super) last: usize,
    pub(super) bytes: usize,
}

/// A slot per value, and the size of each slot, such that values whose lifetimes overlap never share a slot.
///
/// Greedy by time of birth: the smallest free slot that is large enough, else the largest free one, enlarged.
pub(super) fn assign(lifetimes: &[Option<Lifetime>]) -> (Vec<Option<usize>>, Vec<usize>) {
    let mut order: Vec<usize> = (0..lifetimes.len()).filter(|&i| lifetimes[i].is_some()).collect();
    order.sort_by_key(|&i| lifetimes[i].map(|l| (l.first, usize::MAX - l.bytes)));
    let mut sizes: Vec<usize> = Vec::new();
    let mut busy_until: Vec<usize> = Vec::new();
    let mut slots = vec![None; lifetimes.len()];
    for index in order {
        let Some(Lifetime { first, last, bytes }) = lifetimes[index] else { continue };
        let free = (0..sizes.len()).filter(|&slot| busy_until[slot] < first);
        let fitting = free.clone().filter(|&slot| sizes[slot] >= bytes).min_by_key(|&s| sizes[s]);
        let slot = fitting.or_else(|| free.max_by_key(|&s| sizes[s])).unwrap_or_else(|| {
            sizes.push(0);
            busy_until.push(0);
            sizes.len() - 1
        });
        sizes[slot] = sizes[slot].max(bytes);
        busy_until[slot] = last;
        slots[index] = Some(slot);
    }
    (slots, sizes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_alive_together_never_share(
            lives in prop::collection::vec((0..20_usize, 0..10_usize, 0..1000_usize), 1..40)
        ) {
            let lifetimes: Vec<Option<Lifetime>> = lives
                .iter()
                .map(|&(first, length, bytes)| Some(Lifetime { first, last: first + length, bytes }))
                .collect();
            let (slots, sizes) = assign(&lifetimes);
            for (i, a) in lifetimes.iter().flatten().enumerate() {
                prop_assert!(sizes[slots[i].unwrap()] >= a.bytes);
                for (j, b) in lifetimes.iter().flatten().enumerate().skip(i + 1) {
                    let together = a.first <= b.last && b.first <= a.last;
                    prop_assert!(!together || slots[i] != slots[j], "{i} and {j}");
                }
            }
        }
    }

    #[test]
    fn memory_is_used_again() {
        let chain: Vec<_> =
            (0..10).map(|i| Some(Lifetime { first: i, last: i + 1, bytes: 100 })).collect();
        assert_eq!(assign(&chain).1, [100, 100]);
    }
}
