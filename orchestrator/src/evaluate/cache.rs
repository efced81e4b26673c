//! What stages found, by image and by the variants that led to it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::digest::hex_digest;
use quantrack_engine::glue::Finding;

/// An image and the variants of the first stages, up to the one whose finding is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PrefixKey {
    /// Index of the sample.
    sample: usize,
    /// The stage that found it.
    stage: usize,
    /// Digest of the digests of the variants.
    prefix: String,
}

impl PrefixKey {
    /// The key of what `stage` finds in `sample` when it and the stages that it depends on run the variants with these
    /// digests, in order.
    pub fn new<'a>(
        sample: usize,
        stage: usize,
        variants: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let joined: Vec<&str> = variants.into_iter().collect();
        Self { sample, stage, prefix: hex_digest(joined.join("\n").as_bytes()) }
    }
}

/// `None`: the chain ended there.
type Found = Option<Arc<Finding>>;

/// A bounded memory of findings; the oldest leave first. Shared by threads.
#[derive(Debug)]
pub struct PrefixCache {
    max_bytes: usize,
    content: Mutex<Content>,
}

#[derive(Debug, Default)]
struct Content {
    found: HashMap<PrefixKey, Found>,
    order: VecDeque<PrefixKey>,
    bytes: usize,
}

/// What an entry takes in memory.
fn bytes(found: &Found) -> usize {
    found.as_ref().map_or(0, |finding| finding.bytes()) + 256
}

impl PrefixCache {
    /// A cache of about so many bytes.
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, content: Mutex::default() }
    }

    /// What is known for `key`; `Some(None)` where the chain is known to end.
    pub fn get(&self, key: &PrefixKey) -> Option<Found> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner).found.get(key).cloned()
    }

    /// Remembers what was found.
    pub fn put(&self, key: PrefixKey, found: Found) {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        content.bytes += bytes(&found);
        match content.found.insert(key.clone(), found) {
            Some(before) => content.bytes -= bytes(&before),
            None => content.order.push_back(key),
        }
        while content.bytes > self.max_bytes {
            let Some(oldest) = content.order.pop_front() else { break };
            if let Some(left) = content.found.remove(&oldest) {
                content.bytes -= bytes(&left);
            }
        }
    }

    /// How many findings it holds.
    pub fn len(&self) -> usize {
        self.content.lock().unwrap_or_else(PoisonError::into_inner).found.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quantrack_engine::glue::Class;

    fn found(label: &str) -> Found {
        let class = Class { label: label.to_owned(), scores: vec![0.0; 8] };
        Some(Arc::new(Finding::Class(class)))
    }

    #[test]
    fn another_variant_anywhere_in_the_prefix_misses() {
        let cache = PrefixCache::new(1 << 20);
        cache.put(PrefixKey::new(3, 0, ["a", "b"]), found("x"));
        assert_eq!(cache.get(&PrefixKey::new(3, 0, ["a", "b"])), Some(found("x")));
        let others: [(usize, &[&str]); 6] = [
            (2, &["a", "b"]),
            (3, &["c", "b"]),
            (3, &["a", "c"]),
            (3, &["b", "a"]),
            (3, &["a"]),
            (3, &["ab"]),
        ];
        for (sample, variants) in others {
            assert_eq!(cache.get(&PrefixKey::new(sample, 0, variants.iter().copied())), None);
        }
    }

    #[test]
    fn an_ended_chain_is_remembered_too() {
        let cache = PrefixCache::new(1 << 20);
        cache.put(PrefixKey::new(0, 0, ["a"]), None);
        assert_eq!(cache.get(&PrefixKey::new(0, 0, ["a"])), Some(None));
    }

    proptest::proptest! {
        #[test]
        fn the_bound_holds_and_the_newest_stays(samples in proptest::collection::vec(0_usize..50, 1..200)) {
            let cache = PrefixCache::new(10 * bytes(&found("x")));
            for sample in samples {
                cache.put(PrefixKey::new(sample, 0, ["v"]), found("x"));
                assert!(cache.len() <= 10);
            }
            assert!(!cache.is_empty());
        }
    }
}
