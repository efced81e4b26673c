//! One-bit layers of few channels whose output pixels read one input pixel each, by table.

use super::bin_conv::{BinConv, signs_and_masks};
use super::geometry::{ConvShape, Geometry};
use super::{LEAST_PRODUCTS, Operator, Scratch, SharedRows, elements, elements_mut, split};
use crate::Pool;
use crate::kernels::bin_table::{Columns, MOST_CHANNELS};
use crate::kernels::isa::CpuFeatures;
use crate::kernels::micro::BinTable;
use crate::kernels::registry;
use crate::kernels::requant::RequantParams;

/// A convolution or fully connected layer on bits with 8-bit results, by the algorithm that suits its shape; as
/// [`BinConv::new`].
pub fn bin_conv(
    cpu: &CpuFeatures,
    shape: &ConvShape,
    weights: &[u64],
    bias: &[i32],
    requant: RequantParams,
) -> Box<dyn Operator> {
    match BinTableConv::new(cpu, shape, weights, bias, &requant) {
        Some(table) => Box::new(table),
        None => Box::new(BinConv::new(cpu, shape, weights, bias, requant)),
    }
}

/// A layer by table: the result of every count of differing bits is known when the plan is made.
#[derive(Debug)]
struct BinTableConv {
    kernel: &'static BinTable,
    columns: Columns,
    pixels: usize,
    /// Channels of the result.
    out_c: usize,
    /// Products of a pixel.
    products: usize,
}

impl BinTableConv {
    /// None where the shape, or the CPU, has none.
    fn new(
        cpu: &CpuFeatures,
        shape: &ConvShape,
        weights: &[u64],
        bias: &[i32],
        requant: &RequantParams,
    ) -> Option<Self> {
        // Vectors of pixels, most of which a layer of few would leave empty.
        const LEAST_PIXELS: usize = 8;
        let pixels = shape.out_pixels();
        let suits = Geometry::new(shape).is_pointwise()
            && (1..=MOST_CHANNELS).contains(&shape.in_c)
            && pixels >= LEAST_PIXELS;
        let work = shape.work(shape.out_c, shape.in_c.div_ceil(8));
        let kernel = if suits { registry::select_table(cpu, work)? } else { return None };
        let columns = match weights.len() / shape.out_c {
            1 => Columns::new(shape.in_c, weights, None, 1 << 8, bias, requant),
            // What is not 0 counts twice.
            _ => {
                let (signs, masks) = signs_and_masks(shape, weights);
                Columns::new(shape.in_c, &signs, Some(&masks), 2 << 8, bias, requant)
            }
        };
        let products = shape.in_c * shape.out_c;
        Some(Self { kernel, columns, pixels, out_c: shape.out_c, products })
    }
}

impl Operator for BinTableConv {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        _scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        let input = elements::<u64>(inputs[0], self.pixels);
        let output =
            SharedRows::new(elements_mut::<i8>(outputs[0], self.pixels * self.out_c), self.out_c);
        split(pool, self.pixels, LEAST_PRODUCTS.div_ceil(self.products), |first, end| {
            // SAFETY: `split` gives disjoint ranges.
            let output = unsafe { output.rows(first, end) };
            let input = &input[first..end];
            let args = self.columns.args(input.len(), input.as_ptr(), output.as_mut_ptr());
            // SAFETY: selection gave a kernel of this CPU; the arguments are as many pixels and their results.
            unsafe { (self.kernel.run)(&args) };
        });
    }

    fn kernel(&self) -> &'static str {
        self.kernel.name
    }

    fn weight_bytes(&self) -> usize {
        self.columns.size()
    }
}
