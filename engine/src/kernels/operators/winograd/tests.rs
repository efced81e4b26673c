//! Against convolution by definition, and against itself on other instruction sets, threads and numbers of tiles.

use super::*;
use crate::graph::Padding;
use crate::pool::RayonPool;

/// A fixed sequence of numbers of either sign around 1.
fn noise(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

struct Layer {
    shape: ConvShape,
    input: Vec<f32>,
    weights: Vec<f32>,
    bias: Vec<f32>,
    slopes: Option<Vec<f32>>,
    bounds: (f32, f32),
}

impl Layer {
    /// Input extents, images, channels, and padding before and after either axis.
    fn new(
        [in_h, in_w]: [usize; 2],
        batch: usize,
        [in_c, out_c]: [usize; 2],
        pads: [usize; 2],
        seed: u64,
    ) -> Self {
        let padding = Padding { top: pads[0], bottom: pads[1], left: pads[0], right: pads[1] };
        let window = Window { kernel: [3, 3], padding, ..Window::default() };
        let (out_h, out_w) = (in_h + pads[0] + pads[1] - 2, in_w + pads[0] + pads[1] - 2);
        let shape = ConvShape { batch, in_h, in_w, in_c, out_h, out_w, out_c, window };
        let mut next = noise(seed);
        let mut many = |count: usize| (0..count).map(|_| next()).collect::<Vec<f32>>();
        Self {
            input: many(shape.in_pixels() * in_c),
            weights: many(out_c * 9 * in_c),
            bias: many(out_c),
            slopes: seed.is_multiple_of(2).then(|| many(out_c)),
            bounds: [(f32::NEG_INFINITY, f32::INFINITY), (0.0, 6.0)][seed as usize / 2 % 2],
            shape,
        }
    }

    fn run(&self, cpu: &CpuFeatures, pool: &dyn Pool) -> Vec<f32> {
        let slopes = self.slopes.as_deref();
        let conv = F32Winograd::new(
            cpu,
            &self.shape,
            &self.weights,
            &self.bias,
            slopes,
            self.bounds,
            false,
        );
        let count = self.shape.out_pixels() * self.shape.out_c;
        let mut output = vec![f32::NAN; count + 5];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut output);
        conv.run_alone(&[bytemuck::cast_slice(&self.input)], &mut [bytes], pool);
        assert!(output[count..].iter().all(|x| x.is_nan()), "written behind the end");
        output.truncate(count);
        output
    }

    fn by_definition(&self) -> Vec<f64> {
        let ConvShape { batch, in_h, in_w, in_c, out_h, out_w, out_c, .. } = self.shape;
        let before = self.shape.window.padding.top;
        let mut all = Vec::new();
        for at in 0..batch * out_h * out_w * out_c {
            let (channel, pixel) = (at % out_c, at / out_c);
            let (image, y, x) = (pixel / (out_h * out_w), pixel / out_w % out_h, pixel % out_w);
            let mut sum = f64::from(self.bias[channel]);
            for tap in 0..9 {
                let (y, x) =
                    ((y + tap / 3).wrapping_sub(before), (x + tap % 3).wrapping_sub(before));
                if y < in_h && x < in_w {
                    for k in 0..in_c {
                        let w = self.weights[(channel * 9 + tap) * in_c + k];
                        let a = self.input[((image * in_h + y) * in_w + x) * in_c + k];
                        sum += f64::from(w) * f64::from(a);
                    }
                }
            }
            if let Some(slopes) = self.slopes.as_ref().filter(|_| sum < 0.0) {
                sum *= f64::from(slopes[channel]);
            }
            all.push(sum.clamp(f64::from(self.bounds.0), f64::from(self.bounds.1)));
        }
        all
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn equals_convolution_and_is_the_same_everywhere() {
    let threads =
        |n| RayonPool::new(rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap());
    let pools = [threads(2), threads(3)];
    let cases = [
        ([4, 4], 1, [1, 1], [1, 1]),
        ([1, 9], 2, [3, 5], [1, 1]),
        ([7, 5], 3, [17, 9], [1, 1]),
        ([14, 13], 1, [33, 40], [0, 2]),
        ([6, 19], 2, [16, 70], [0, 0]),
        ([30, 31], 1, [20, 12], [2, 1]),
    ];
    for (seed, (extent, batch, channels, pads)) in (0..).zip(cases) {
        let layer = Layer::new(extent, batch, channels, pads, seed);
        let portable = layer.run(&CpuFeatures::portable(), &Serial);
        for (at, (&got, exact)) in portable.iter().zip(layer.by_definition()).enumerate() {
            assert!((f64::from(got) - exact).abs() < 2e-4, "{extent:?} {at}: {got}, not {exact}");
        }
        let here = CpuFeatures::detect();
        assert_eq!(bits(&portable), bits(&layer.run(&here, &Serial)));
        for pool in &pools {
            assert_eq!(bits(&portable), bits(&layer.run(&here, pool)));
        }
    }
}

/// Weights as layers have them, which keep the deviation of what passes: results around 1.
#[test]
fn the_error_stays_far_below_a_thousandth() {
    let mut layer = Layer::new([14, 14], 1, [256, 16], [1, 1], 1);
    let scale = (3.0 / (9.0 * 256.0_f32)).sqrt();
    layer.weights.iter_mut().for_each(|w| *w *= scale);
    let (got, exact) = (layer.run(&CpuFeatures::detect(), &Serial), layer.by_definition());
    let errors = got.iter().zip(&exact).map(|(&got, exact)| (f64::from(got) - exact).abs());
    let largest = errors.fold(0.0, f64::max);
    assert!(largest < 5e-5, "{largest}");
}

#[test]
fn layers_of_many_channels_and_pixels_suit() {
    let suits = |extent: usize, in_c: usize, out_c: usize| {
        F32Winograd::suits(&Layer::new([extent; 2], 1, [in_c, out_c], [1, 1], 0).shape)
    };
    assert!(suits(56, 64, 64) && suits(28, 128, 128) && suits(14, 256, 256));
    assert!(!suits(224, 3, 32) && !suits(7, 512, 512) && !suits(2, 64, 64));
}
