//! What decides the result of an evaluation.

use serde::Serialize;

use crate::digest::hex_digest;

/// Version of the code around the models: how images are decoded, inputs made, outputs interpreted, and answers judged.
/// Raise it with every change that can change a result.
pub(super) const CODE: u32 = 3;

/// Everything that decides the results of all evaluations over one data set.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Surroundings {
    /// [`CODE`].
    pub(super) code: u32,
    /// [`engine_build`](quantrack_engine::kernels::registry::engine_build).
    pub(super) engine: String,
    /// Digest of the images' bytes and labels, in order.
    pub(super) samples_sha256: String,
    /// Stage by stage what makes inputs and interprets outputs.
    pub(super) glue: Vec<String>,
    /// Which stages feed which.
    pub(super) wiring: String,
}

impl Surroundings {
    /// Key of the evaluation by `metric` of these variants: the one evaluated, and all that run before it or with it.
    pub(super) fn key<'a>(
        &self,
        metric: &str,
        variants: impl IntoIterator<Item = &'a str>,
    ) -> String {
        let variants: Vec<&str> = variants.into_iter().collect();
        // Serializing plain strings cannot fail; the fallback is shared with nothing.
        let text = serde_json::to_string(&(self, metric, &variants));
        hex_digest(text.unwrap_or_else(|_| format!("{self:?} {metric} {variants:?}")).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_counts() {
        let same = || Surroundings {
            code: 1,
            engine: "engine".to_owned(),
            samples_sha256: "samples".to_owned(),
            glue: vec!["a".to_owned(), "b".to_owned()],
            wiring: "chain".to_owned(),
        };
        let other = "other".to_owned();
        let all = [
            same().key("top1", ["v", "w"]),
            Surroundings { code: 2, ..same() }.key("top1", ["v", "w"]),
            Surroundings { engine: other.clone(), ..same() }.key("top1", ["v", "w"]),
            Surroundings { samples_sha256: other.clone(), ..same() }.key("top1", ["v", "w"]),
            Surroundings { wiring: other.clone(), ..same() }.key("top1", ["v", "w"]),
            Surroundings { glue: vec![other, "b".to_owned()], ..same() }.key("top1", ["v", "w"]),
            Surroundings { glue: vec!["a\",\"b".to_owned()], ..same() }.key("top1", ["v", "w"]),
            Surroundings { glue: vec!["b".to_owned(), "a".to_owned()], ..same() }
                .key("top1", ["v", "w"]),
            same().key("top5", ["v", "w"]),
            same().key("top1", ["v", "x"]),
            same().key("top1", ["w", "v"]),
            same().key("top1", ["v"]),
            same().key("top1", ["vw"]),
            same().key("top1", ["v\nw"]),
        ];
        for (index, key) in all.iter().enumerate() {
            assert!(!all[..index].contains(key), "case {index} hits an earlier one");
        }
        assert_eq!(all[0], same().key("top1", ["v", "w"]));
    }
}
