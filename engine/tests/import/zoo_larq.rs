//! Small models of Larq Compute Engine's operators.

use quantrack_engine::model::tflite::{LarqOp, ModelWriter, TensorId};

use super::{Model, RELU, RELU6, SAME, VALID, numbers};

/// INT32 in the schema.
const INT32: i8 = 2;

/// What of a one-bit convolution differs between the models. Pairs are `[vertical, horizontal]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layer {
    pub(crate) input: [i32; 3],
    pub(crate) out_channels: i32,
    pub(crate) kernel: [i32; 2],
    pub(crate) stride: [i32; 2],
    pub(crate) dilation: [i32; 2],
    pub(crate) padding: i8,
    pub(crate) pad_values: i32,
    pub(crate) activation: i8,
}

impl Layer {
    /// A window of 3 by 3 over 5 by 6 pixels with padding of +1.
    pub(crate) fn new(channels: i32, out_channels: i32) -> Self {
        Self {
            input: [5, 6, channels],
            out_channels,
            kernel: [3; 2],
            stride: [1; 2],
            dilation: [1; 2],
            padding: SAME,
            pad_values: 1,
            activation: 0,
        }
    }

    /// Shape of the result.
    pub(crate) fn output(&self) -> [i32; 4] {
        let extent = |axis: usize| {
            let covered = (self.kernel[axis] - 1) * self.dilation[axis];
            let starts = self.input[axis] - if self.padding == VALID { covered } else { 0 };
            (starts + self.stride[axis] - 1) / self.stride[axis]
        };
        [1, extent(0), extent(1), self.out_channels]
    }

    /// The parameters in the file.
    pub(crate) fn options(&self) -> Vec<(&'static str, i32)> {
        vec![
            ("channels_in", self.input[2]),
            ("dilation_height_factor", self.dilation[0]),
            ("dilation_width_factor", self.dilation[1]),
            ("fused_activation_function", i32::from(self.activation)),
            ("pad_values", self.pad_values),
            ("padding", i32::from(self.padding)),
            ("stride_height", self.stride[0]),
            ("stride_width", self.stride[1]),
        ]
    }

    /// The weights, `[co, kh, kw, ci]`.
    pub(crate) fn weights(&self) -> Vec<f32> {
        let count = self.out_channels * self.kernel[0] * self.kernel[1] * self.input[2];
        numbers(count, 0.3).iter().map(|&x| if x < 0.0 { -1.0 } else { 1.0 }).collect()
    }

    /// Factors of both signs, and offsets.
    pub(crate) fn affine(&self) -> [Vec<f32>; 2] {
        [numbers(self.out_channels, 0.9), numbers(self.out_channels, 0.5)]
    }

    /// Thresholds near half the products, and some that no sum or every sum reaches.
    pub(crate) fn thresholds(&self) -> Vec<i32> {
        let products = self.kernel[0] * self.kernel[1] * self.input[2];
        let near = |o: i32| match o % 5 {
            3 => i32::MAX,
            4 => i32::MIN,
            step => products / 2 + step - 1,
        };
        (0..self.out_channels).map(near).collect()
    }
}

/// A file under construction: signs flow from operator to operator.
pub(crate) struct Net {
    pub(crate) writer: ModelWriter,
    signs: TensorId,
    shape: [i32; 4],
}

impl Net {
    /// An input of numbers and its signs.
    pub(crate) fn new([h, w, channels]: [i32; 3]) -> Self {
        let mut writer = ModelWriter::default();
        let x = writer.input("x", &[1, h, w, channels]);
        let shape = [1, h, w, channels];
        let signs = packed(&mut writer, "signs", shape);
        writer.larq_op(LarqOp::Quantize, &[x], &[signs], &[]);
        Self { writer, signs, shape }
    }

    fn weights(&mut self, layer: &Layer) -> TensorId {
        let bits = pack(&layer.weights(), layer.input[2] as usize);
        let [kh, kw] = layer.kernel;
        let shape = [layer.out_channels, kh, kw, (layer.input[2] + 31) / 32];
        self.writer.integers("weights", &shape, &bits)
    }

    /// A convolution of the signs to numbers: the whole file.
    pub(crate) fn numbers(mut self, layer: &Layer) -> Vec<u8> {
        let weights = self.weights(layer);
        let channels = [layer.out_channels];
        let [factors, offsets] = layer.affine();
        let factors = self.writer.floats("factors", &channels, &factors);
        let offsets = self.writer.floats("offsets", &channels, &offsets);
        let inputs = [self.signs, weights, factors, offsets, TensorId::ABSENT];
        let y = self.writer.tensor("y", &layer.output());
        self.writer.larq_op(LarqOp::BConv2d, &inputs, &[y], &layer.options());
        self.writer.finish(&[y])
    }

    /// A convolution to signs.
    pub(crate) fn thresholded(mut self, layer: &Layer) -> Self {
        let weights = self.weights(layer);
        let thresholds = layer.thresholds();
        let thresholds = self.writer.integers("thresholds", &[layer.out_channels], &thresholds);
        let absent = TensorId::ABSENT;
        let inputs = [self.signs, weights, absent, absent, thresholds];
        self.shape = layer.output();
        let y = packed(&mut self.writer, "more signs", self.shape);
        self.writer.larq_op(LarqOp::BConv2d, &inputs, &[y], &layer.options());
        Self { signs: y, ..self }
    }

    /// Largest signs of windows of 2 by 1 in steps of 2.
    pub(crate) fn max_pool(mut self, padding: i8) -> Self {
        let options = [
            ("filter_height", 2),
            ("filter_width", 1),
            ("padding", i32::from(padding)),
            ("stride_height", 2),
            ("stride_width", 2),
        ];
        let [n, h, w, channels] = self.shape;
        let extent = |input: i32, kernel: i32| match padding {
            VALID => (input - kernel) / 2 + 1,
            _ => (input + 1) / 2,
        };
        self.shape = [n, extent(h, 2), extent(w, 1), channels];
        let y = packed(&mut self.writer, "pooled", self.shape);
        self.writer.larq_op(LarqOp::BMaxPool2d, &[self.signs], &[y], &options);
        Self { signs: y, ..self }
    }

    /// The signs as the numbers -1 and 1: the whole file.
    pub(crate) fn dequantize(mut self) -> Vec<u8> {
        let y = self.writer.tensor("y", &self.shape);
        self.writer.larq_op(LarqOp::Dequantize, &[self.signs], &[y], &[]);
        self.writer.finish(&[y])
    }
}

/// Packs signs as the file has them, rows of `channels`.
fn pack(signs: &[f32], channels: usize) -> Vec<i32> {
    let word = |signs: &[f32]| {
        let bits = signs.iter().enumerate().map(|(i, &sign)| u32::from(sign < 0.0) << i);
        bits.fold(0, |word, bit| word | bit) as i32
    };
    signs.chunks(channels).flat_map(|row| row.chunks(32).map(word)).collect()
}

/// A tensor of the signs of `shape`.
fn packed(writer: &mut ModelWriter, name: &str, [n, h, w, channels]: [i32; 4]) -> TensorId {
    writer.add(name, &[n, h, w, (channels + 31) / 32], INT32, Vec::new())
}

/// All models.
pub(crate) fn zoo() -> Vec<Model> {
    let one = Layer::new(33, 5);
    let numbers = |name: &str, layer: Layer| Model {
        name: format!("larq {name}"),
        bytes: Net::new(layer.input).numbers(&layer),
    };
    let signs = |name: &str, bytes: Vec<u8>| Model { name: format!("larq {name}"), bytes };
    let strided = Layer { stride: [2, 3], activation: RELU, ..Layer::new(64, 33) };
    // Behind the one of 40 channels, whose result has 3 by 4 pixels.
    let narrow = Layer { input: [3, 4, 33], kernel: [2; 2], padding: VALID, ..one };
    let wide = Layer { input: [5, 6, 40], padding: VALID, ..Layer::new(40, 33) };
    // Pooling leaves 3 rows and 3 columns.
    let behind = Layer { input: [3, 3, 34], ..Layer::new(34, 6) };
    let to_34 = Layer::new(33, 34);
    vec![
        numbers("one", one),
        numbers("zero", Layer { pad_values: 0, ..Layer::new(70, 9) }),
        numbers("valid", Layer { padding: VALID, kernel: [2, 3], ..Layer::new(32, 4) }),
        numbers("strided relu", strided),
        numbers(
            "dilated relu6",
            Layer { dilation: [2; 2], activation: RELU6, ..Layer::new(31, 6) },
        ),
        numbers("pointwise", Layer { kernel: [1; 2], ..Layer::new(65, 66) }),
        numbers("single channel", Layer { pad_values: 0, ..Layer::new(1, 3) }),
        signs("signs", Net::new(one.input).thresholded(&Layer::new(33, 70)).dequantize()),
        signs("max pool same", Net::new([5, 7, 34]).max_pool(SAME).dequantize()),
        signs("max pool valid", Net::new([5, 7, 3]).max_pool(VALID).dequantize()),
        signs("pooled", Net::new([5, 6, 34]).max_pool(SAME).numbers(&behind)),
        signs(
            "padded layers",
            Net::new(one.input).thresholded(&to_34).max_pool(SAME).numbers(&behind),
        ),
        signs("layers", Net::new(wide.input).thresholded(&wide).numbers(&narrow)),
    ]
}
