//! Calibration samples that recipes run again.

use crate::Tensor;

/// Most samples that are kept.
const MOST: usize = 128;
/// Most elements that are kept, of all samples together: 32 MiB.
const MOST_ELEMENTS: usize = 8 << 20;

/// Evenly spread samples of however many were seen. Half of them are there to fit parameters to, the other half to judge
/// the result by.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Samples {
    /// Every `stride`-th sample.
    kept: Vec<Vec<Tensor>>,
    /// Binary logarithm of the stride.
    sparsity: u32,
    seen: usize,
}

impl Samples {
    /// Shows the next sample: the model's inputs.
    pub(super) fn offer(&mut self, inputs: &[Tensor]) {
        let due = self.seen.trailing_zeros() >= self.sparsity;
        self.seen += 1;
        if !due {
            return;
        }
        self.kept.push(inputs.to_vec());
        let elements: usize = inputs.iter().map(Tensor::len).sum();
        let room = (MOST_ELEMENTS / elements.max(1)).clamp(2, MOST);
        if self.kept.len() > room {
            let mut index = 0;
            self.kept.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.sparsity += 1;
        }
    }

    /// Samples to fit to.
    pub(super) fn fitting(&self) -> impl Iterator<Item = &Vec<Tensor>> {
        self.kept.iter().step_by(2)
    }

    /// Samples to judge by, at most `most` and evenly spread: none of those fitted to, unless there is one only.
    pub(super) fn judging(&self, most: usize) -> Vec<&Vec<Tensor>> {
        let others: Vec<&Vec<Tensor>> = match self.kept.len() {
            1 => self.kept.iter().collect(),
            _ => self.kept.iter().skip(1).step_by(2).collect(),
        };
        spread(others.len(), most).map(|index| others[index]).collect()
    }

    /// All that are kept.
    pub(super) fn all(&self) -> &[Vec<Tensor>] {
        &self.kept
    }
}

/// At most `wanted` indices below `count`, evenly spread.
pub(super) fn spread(count: usize, wanted: usize) -> impl Iterator<Item = usize> {
    let taken = count.min(wanted);
    (0..taken).map(move |index| index * count / taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(count: usize, elements: usize) -> Samples {
        let mut samples = Samples::default();
        for index in 0..count {
            samples.offer(&[Tensor::from_elem(vec![elements], index as f32)]);
        }
        samples
    }

    fn indices<'a>(samples: impl Iterator<Item = &'a Vec<Tensor>>) -> Vec<usize> {
        samples.map(|inputs| inputs[0][[0]] as usize).collect()
    }

    #[test]
    fn few_samples_are_all_kept_and_divided() {
        let samples = offered(5, 1);
        assert_eq!(indices(samples.fitting()), [0, 2, 4]);
        assert_eq!(indices(samples.judging(9).into_iter()), [1, 3]);
        assert_eq!(indices(samples.judging(1).into_iter()), [1]);
        assert_eq!(indices(offered(1, 1).judging(9).into_iter()), [0], "better than nothing");
    }

    #[test]
    fn many_samples_are_thinned_out_evenly() {
        let samples = offered(1000, 1);
        assert_eq!(samples.kept.len(), 125);
        assert_eq!(indices(samples.kept.iter())[..3], [0, 8, 16]);
        let large = offered(9, MOST_ELEMENTS);
        assert_eq!(large.kept.len(), 2);
    }
}
