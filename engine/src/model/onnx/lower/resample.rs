//! Resizing by any interpolation, as the matrix that maps an axis to its resized one.
//!
//! Source: the definition of `Resize` in ONNX's operator documentation (version 19).

use crate::model::fault::{Fault, malformed, unsupported};
use crate::model::onnx::node::Node;

/// How positions of the result are found in the original, and what lies between its elements.
pub(super) struct Interpolation<'a> {
    mode: &'a str,
    transform: &'a str,
    /// Parameter of the cubic kernel (R. Keys, 1981).
    cubic: f64,
    exclude_outside: bool,
    antialias: bool,
}

/// An axis to be resized.
pub(super) struct Resized {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) scale: f64,
    /// First and last position, as shares of the axis, for `tf_crop_and_resize`.
    pub(super) region: [f64; 2],
}

impl<'a> Interpolation<'a> {
    pub(super) fn of(node: &Node<'a>, mode: &'a str, transform: &'a str) -> Self {
        Self {
            mode,
            transform,
            cubic: f64::from(node.float("cubic_coeff_a", -0.75)),
            exclude_outside: node.int("exclude_outside", 0) != 0,
            antialias: node.int("antialias", 0) != 0,
        }
    }

    /// Where position `i` of the result lies in the original.
    pub(super) fn position(&self, i: usize, axis: &Resized) -> Result<f64, Fault> {
        let (i, scale) = (i as f64, axis.scale);
        let (from, to) = (axis.from as f64, axis.to as f64);
        Ok(match self.transform {
            "half_pixel" => (i + 0.5) / scale - 0.5,
            "half_pixel_symmetric" => {
                // The size that the scale gives, not rounded.
                let exact = from * scale;
                let centre = from / 2.0;
                centre * (1.0 - to / exact) + (i + 0.5) / scale - 0.5
            }
            "pytorch_half_pixel" if axis.to == 1 => 0.0,
            "pytorch_half_pixel" => (i + 0.5) / scale - 0.5,
            "asymmetric" => i / scale,
            "align_corners" if axis.to == 1 => 0.0,
            "align_corners" => i * (from - 1.0) / (from * scale - 1.0),
            "tf_crop_and_resize" => {
                let [start, end] = axis.region;
                match axis.to {
                    1 => 0.5 * (start + end) * (from - 1.0),
                    _ => start * (from - 1.0) + i * (end - start) * (from - 1.0) / (to - 1.0),
                }
            }
            other => return Err(unsupported(format!("coordinates by {other}"))),
        })
    }

    /// Weight of an element at so many steps from the position.
    fn weight(&self, distance: f64) -> Result<f64, Fault> {
        let (x, a) = (distance.abs(), self.cubic);
        Ok(match self.mode {
            "linear" | "bilinear" => (1.0 - x).max(0.0),
            "cubic" if x <= 1.0 => (a + 2.0) * x.powi(3) - (a + 3.0) * x.powi(2) + 1.0,
            "cubic" if x < 2.0 => a * x.powi(3) - 5.0 * a * x.powi(2) + 8.0 * a * x - 4.0 * a,
            "cubic" => 0.0,
            other => return Err(unsupported(format!("interpolation by {other}"))),
        })
    }

    /// The matrix `[to, from]`, and which results lie outside of the original (for `tf_crop_and_resize`).
    pub(super) fn matrix(&self, axis: &Resized) -> Result<(Vec<f32>, Vec<bool>), Fault> {
        let Resized { from, to, scale, .. } = *axis;
        let size = from.checked_mul(to).filter(|&size| size <= 1 << 24);
        let size = size.ok_or_else(|| malformed(format!("resizes {from} to {to}")))?;
        let mut matrix = vec![0.0_f32; size];
        let mut outside = vec![false; to];
        // Antialiasing stretches the kernel over all elements that become one.
        let stretch = if self.antialias && scale < 1.0 { scale } else { 1.0 };
        let reach = if self.mode == "cubic" { 2.0 } else { 1.0 } / stretch;
        for (i, row) in matrix.chunks_exact_mut(from).enumerate() {
            let at = self.position(i, axis)?;
            outside[i] =
                self.transform == "tf_crop_and_resize" && !(0.0..=(from - 1) as f64).contains(&at);
            let mut weights = Vec::new();
            let first = (at - reach).floor() as i64;
            for element in first..=(at + reach).ceil() as i64 {
                let weight = self.weight((element as f64 - at) * stretch)?;
                let inside = (0..from as i64).contains(&element);
                // The edge is repeated.
                let counts = inside || !self.exclude_outside;
                if counts && weight != 0.0 {
                    weights.push((element.clamp(0, from as i64 - 1) as usize, weight));
                }
            }
            let normalized = self.exclude_outside || self.antialias;
            let sum = if normalized { weights.iter().map(|w| w.1).sum() } else { 1.0 };
            weights.iter().for_each(|&(element, weight)| row[element] += (weight / sum) as f32);
        }
        Ok((matrix, outside))
    }
}
