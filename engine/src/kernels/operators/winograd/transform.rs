//! The transforms of F(4x4, 3x3) at the points 0, 1, -1, 2, -2 and infinity (A. Lavin, S. Gray, "Fast Algorithms for
//! Convolutional Neural Networks", arXiv:1509.09308).
//!
//! Those of inputs and results are multiplications and additions in the order written here, on vectors of any length,
//! so results are the same bits everywhere.

use crate::kernels::vector::Vector;
use crate::kernels::vectorize::Lanewise;

/// Results of a tile along an axis.
pub(super) const OUT: usize = 4;
/// Inputs of a tile along an axis.
pub(super) const IN: usize = 6;
/// Products of a tile for each pair of channels.
pub(super) const POINTS: usize = IN * IN;

/// The transform `G g G^T` of a window, rounded once.
pub(super) fn weights(g: [[f32; 3]; 3]) -> [f32; POINTS] {
    let along = |[a, b, c]: [f64; 3]| -> [f64; IN] {
        let (even, odd) = ((a + c) / 6.0, b / 6.0);
        let (even_2, odd_2) = (a / 24.0 + c / 6.0, b / 12.0);
        [a / 4.0, -even - odd, odd - even, even_2 + odd_2, even_2 - odd_2, c]
    };
    let rows = g.map(|row| along(row.map(f64::from)));
    let columns: [[f64; IN]; IN] =
        std::array::from_fn(|j| along(std::array::from_fn(|i| rows[i][j])));
    std::array::from_fn(|at| columns[at % IN][at / IN] as f32)
}

/// Element `y` of each column.
#[inline(always)]
fn across<V: Copy, const N: usize>(columns: &[[V; N]; IN], y: usize) -> [V; IN] {
    [columns[0][y], columns[1][y], columns[2][y], columns[3][y], columns[4][y], columns[5][y]]
}

/// Inputs along an axis, `B^T d`.
///
/// # Safety
/// As [`Lanewise::run`].
#[inline(always)]
unsafe fn inputs<V: Vector>(d: [V; IN]) -> [V; IN] {
    // SAFETY: the caller vouches for the CPU.
    let (two, four) = unsafe { (V::splat(2.0), V::splat(4.0)) };
    let (even, odd) = (d[4].sub(d[2].mul(four)), d[3].sub(d[1].mul(four)));
    let (even_2, odd_2) = (d[4].sub(d[2]), d[3].sub(d[1]));
    let twice = odd_2.mul(two);
    [
        d[0].sub(d[2]).mul(four).add(even_2),
        even.add(odd),
        even.sub(odd),
        even_2.add(twice),
        even_2.sub(twice),
        d[5].sub(d[3]).sub(odd_2.mul(four)),
    ]
}

/// Results along an axis, `A^T m`.
///
/// # Safety
/// As [`Lanewise::run`].
#[inline(always)]
unsafe fn results<V: Vector>(m: [V; IN]) -> [V; OUT] {
    // SAFETY: the caller vouches for the CPU.
    let (two, four, eight) = unsafe { (V::splat(2.0), V::splat(4.0), V::splat(8.0)) };
    let (even, odd) = (m[1].add(m[2]), m[1].sub(m[2]));
    let (even_2, odd_2) = (m[3].add(m[4]), m[3].sub(m[4]));
    [
        m[0].add(even).add(even_2),
        odd.add(odd_2.mul(two)),
        even.add(even_2.mul(four)),
        odd.add(odd_2.mul(eight)).add(m[5]),
    ]
}

/// A tile of inputs to transform, channel by channel.
pub(super) struct InputTile<'a> {
    /// `IN` pixels of each of `IN` rows.
    pub(super) rows: [&'a [f32]; IN],
    pub(super) channels: usize,
    /// Where the tile's channels go for the first point, and elements from point to point.
    pub(super) to: *mut f32,
    pub(super) plane: usize,
}

impl InputTile<'_> {
    /// The transform of the tile's column that starts at element `at` of its rows. No closures here: they would not be
    /// compiled for the vectors.
    ///
    /// # Safety
    /// As [`Lanewise::run`], and rows have `V::LANES` elements there.
    #[inline(always)]
    unsafe fn column<V: Vector>(&self, at: usize) -> [V; IN] {
        let rows = &self.rows;
        // SAFETY: the caller vouches for it.
        unsafe {
            inputs([
                V::load(rows[0].as_ptr().add(at)),
                V::load(rows[1].as_ptr().add(at)),
                V::load(rows[2].as_ptr().add(at)),
                V::load(rows[3].as_ptr().add(at)),
                V::load(rows[4].as_ptr().add(at)),
                V::load(rows[5].as_ptr().add(at)),
            ])
        }
    }

    /// # Safety
    /// As [`Lanewise::run`], and there are `V::LANES` channels from `channel` on, at `to` too.
    #[inline(always)]
    unsafe fn transform<V: Vector>(&self, channel: usize) {
        // SAFETY: the caller vouches for the channels of every pixel and point.
        unsafe {
            let c = [
                self.column(channel),
                self.column(self.channels + channel),
                self.column(2 * self.channels + channel),
                self.column(3 * self.channels + channel),
                self.column(4 * self.channels + channel),
                self.column(5 * self.channels + channel),
            ];
            for y in 0..IN {
                let row: [V; IN] = inputs(across(&c, y));
                for (x, point) in row.iter().enumerate() {
                    point.store(self.to.add((y * IN + x) * self.plane + channel));
                }
            }
        }
    }
}

impl Lanewise for InputTile<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        assert!(self.rows.iter().all(|row| row.len() == IN * self.channels));
        let whole = self.channels / V::LANES * V::LANES;
        for channel in (0..whole).step_by(V::LANES) {
            // SAFETY: there are so many channels, in rows as asserted, at `to` as who made this vouches.
            unsafe { self.transform::<V>(channel) };
        }
        for channel in whole..self.channels {
            // SAFETY: likewise.
            unsafe { self.transform::<f32>(channel) };
        }
    }
}

/// A tile of products of a panel to transform, column by column.
pub(super) struct ResultTile<'a> {
    /// The tile's columns for the first point, and elements from point to point.
    pub(super) from: *const f32,
    pub(super) plane: usize,
    /// Of the panel's columns.
    pub(super) bias: &'a [f32],
    /// PReLU slopes, none or as many as biases.
    pub(super) slopes: &'a [f32],
    pub(super) bounds: (f32, f32),
    /// Where the first column of the first pixel goes, and elements from row to row and from pixel to pixel.
    pub(super) to: *mut f32,
    pub(super) row: usize,
    pub(super) pixel: usize,
    /// Rows, pixels of a row and columns that are wanted.
    pub(super) extent: [usize; 2],
    pub(super) columns: usize,
}

impl ResultTile<'_> {
    /// The transform of column `x` of the tile's products.
    ///
    /// # Safety
    /// As [`Lanewise::run`], and there are `V::LANES` products from `column` on at every point.
    #[inline(always)]
    unsafe fn column<V: Vector>(&self, x: usize, column: usize) -> [V; OUT] {
        // SAFETY: the caller vouches for it.
        unsafe {
            let (from, row) = (self.from.add(x * self.plane + column), IN * self.plane);
            results([
                V::load(from),
                V::load(from.add(row)),
                V::load(from.add(2 * row)),
                V::load(from.add(3 * row)),
                V::load(from.add(4 * row)),
                V::load(from.add(5 * row)),
            ])
        }
    }

    /// # Safety
    /// As [`Lanewise::run`], and there are `V::LANES` wanted columns from `column` on.
    #[inline(always)]
    unsafe fn transform<V: Vector>(&self, column: usize) {
        // SAFETY: the caller vouches for the columns at every point, of the biases and slopes, and of the wanted pixels.
        unsafe {
            let c: [[V; OUT]; IN] = [
                self.column(0, column),
                self.column(1, column),
                self.column(2, column),
                self.column(3, column),
                self.column(4, column),
                self.column(5, column),
            ];
            let bias = V::load(self.bias.as_ptr().add(column));
            let (min, max) = (V::splat(self.bounds.0), V::splat(self.bounds.1));
            for y in 0..OUT {
                let row = results(across(&c, y));
                if y >= self.extent[0] {
                    break;
                }
                for (x, sum) in row.iter().enumerate() {
                    if x >= self.extent[1] {
                        break;
                    }
                    let mut sum = sum.add(bias);
                    if !self.slopes.is_empty() {
                        sum = sum.prelu(V::load(self.slopes.as_ptr().add(column)));
                    }
                    sum.clamp(min, max).store(self.to.add(y * self.row + x * self.pixel + column));
                }
            }
        }
    }
}

impl Lanewise for ResultTile<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        assert!(self.bias.len() >= self.columns);
        assert!(self.slopes.is_empty() || self.slopes.len() >= self.columns);
        let whole = self.columns / V::LANES * V::LANES;
        for column in (0..whole).step_by(V::LANES) {
            // SAFETY: there are so many columns, in products and results as who made this vouches.
            unsafe { self.transform::<V>(column) };
        }
        for column in whole..self.columns {
            // SAFETY: likewise.
            unsafe { self.transform::<f32>(column) };
        }
    }
}
