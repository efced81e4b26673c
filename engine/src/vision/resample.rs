//! Separable resampling of an image to another size.

use super::RgbImage;

/// The consecutive source samples that make one destination sample.
struct Taps {
    first: usize,
    /// Sum to 1.
    weights: Vec<f32>,
}

/// For each destination sample the mean of the source interval that it covers, partly covered samples counting in
/// part: OpenCV's `INTER_AREA`.
fn area_taps(source: usize, destination: usize) -> Vec<Taps> {
    let step = source as f64 / destination as f64;
    let taps = |index: usize| {
        let (begin, end) = (index as f64 * step, ((index + 1) as f64 * step).min(source as f64));
        let first = (begin as usize).min(source - 1);
        let last = (end.ceil() as usize).clamp(first + 1, source);
        let covered = |i: usize| (end.min((i + 1) as f64) - begin.max(i as f64)).max(0.0);
        let total: f64 = (first..last).map(covered).sum();
        Taps { first, weights: (first..last).map(|i| (covered(i) / total) as f32).collect() }
    };
    (0..destination).map(taps).collect()
}

/// Linear interpolation between the centres of samples, the first and last continued: OpenCV's `INTER_LINEAR`.
fn linear_taps(source: usize, destination: usize) -> Vec<Taps> {
    let step = source as f64 / destination as f64;
    let taps = |index: usize| {
        let at = ((index as f64 + 0.5) * step - 0.5).clamp(0.0, (source - 1) as f64);
        let first = at as usize;
        let fraction = (at - first as f64) as f32;
        let weights = if first + 1 < source { vec![1.0 - fraction, fraction] } else { vec![1.0] };
        Taps { first, weights }
    };
    (0..destination).map(taps).collect()
}

/// `[height, width, 3]` in 0..=255: by area along an axis that shrinks, bilinear along one that grows.
pub(super) fn resize(image: &RgbImage<'_>, width: usize, height: usize) -> Vec<f32> {
    let along = |source: usize, destination: usize| {
        if destination < source {
            area_taps(source, destination)
        } else {
            linear_taps(source, destination)
        }
    };
    let columns = along(image.width(), width);
    let rows = along(image.height(), height);

    let mut narrow = Vec::with_capacity(image.height() * width * 3);
    for row in image.bytes().chunks_exact(image.width() * 3) {
        for taps in &columns {
            for channel in 0..3 {
                let samples = row[taps.first * 3 + channel..].iter().step_by(3);
                narrow.push(
                    taps.weights.iter().zip(samples).map(|(w, &s)| w * f32::from(s)).sum::<f32>(),
                );
            }
        }
    }
    let mut result = vec![0.0; height * width * 3];
    for (row, taps) in result.chunks_exact_mut(width * 3).zip(&rows) {
        let sources = narrow[taps.first * width * 3..].chunks_exact(width * 3);
        for (weight, source) in taps.weights.iter().zip(sources) {
            for (sum, sample) in row.iter_mut().zip(source) {
                *sum += weight * sample;
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn weights_by_hand() {
        let weights = |taps: Vec<Taps>| -> Vec<(usize, Vec<f32>)> {
            taps.into_iter().map(|taps| (taps.first, taps.weights)).collect()
        };
        let (third, two_thirds) = (1.0 / 3.0, 2.0 / 3.0);
        let expected = vec![(0, vec![two_thirds, third]), (1, vec![third, two_thirds])];
        assert_eq!(weights(area_taps(3, 2)), expected);
        let expected = vec![(0, vec![1.0, 0.0]), (0, vec![0.75, 0.25]), (0, vec![0.25, 0.75])];
        assert_eq!(weights(linear_taps(2, 4))[..3], expected);
    }

    /// The mean over `repeat` copies of every sample, taken `source` at a time, is the area average.
    fn area_oracle(row: &[u8], destination: usize) -> Vec<f64> {
        let fine: Vec<f64> =
            row.iter().flat_map(|&s| std::iter::repeat_n(f64::from(s), destination)).collect();
        fine.chunks(row.len()).map(|c| c.iter().sum::<f64>() / c.len() as f64).collect()
    }

    proptest! {
        #[test]
        fn area_is_the_mean_of_what_is_covered(
            row in prop::collection::vec(any::<u8>(), 2..60),
            share in 0.0..1.0f64,
        ) {
            let destination = 1 + ((row.len() - 1) as f64 * share) as usize;
            let bytes: Vec<u8> = row.iter().flat_map(|&s| [s, 255 - s, 7]).collect();
            let expected = area_oracle(&row, destination);
            for (width, height) in [(row.len(), 1), (1, row.len())] {
                let image = RgbImage::new(width, height, bytes.as_slice()).unwrap();
                let (w, h) = if height == 1 { (destination, 1) } else { (1, destination) };
                let result = resize(&image, w, h);
                for (pixel, &e) in result.chunks_exact(3).zip(&expected) {
                    prop_assert!((f64::from(pixel[0]) - e).abs() < 1e-3, "{pixel:?} {e}");
                    prop_assert!((f64::from(pixel[1]) - (255.0 - e)).abs() < 1e-3);
                    prop_assert!((pixel[2] - 7.0).abs() < 1e-4);
                }
            }
        }

        #[test]
        fn growing_keeps_the_range_and_constants(
            width in 1..9usize, height in 1..9usize, w in 9..30usize, h in 9..30usize,
            seed in any::<u8>(),
        ) {
            let bytes: Vec<u8> = (0..width * height * 3)
                .map(|i| if i % 3 == 2 { 9 } else { seed.wrapping_mul(31).wrapping_add(i as u8) })
                .collect();
            let image = RgbImage::new(width, height, bytes.as_slice()).unwrap();
            let result = resize(&image, w, h);
            prop_assert_eq!(result.len(), w * h * 3);
            prop_assert!(result.iter().all(|v| (0.0..=255.001).contains(v)));
            prop_assert!(result.iter().skip(2).step_by(3).all(|v| (v - 9.0).abs() < 1e-5));
        }
    }
}
