//! What the order of channels costs.

use super::axes::Axes;
use crate::graph::{Activation, Constant, ConstantData, Encoding, Graph, Node, Op};
use crate::kernels::micro::run_order;
use crate::kernels::registry::{self, Work};
use crate::kernels::{CpuFeatures, RequantParams, shift_in_common};

/// Columns of a panel, and channels of a depthwise block.
const COLUMNS: usize = 8;
/// Channels of which products add up at once.
const SET: usize = 4;

/// Magnitudes of the weights of eight columns for a channel and tap.
type Row = [u8; COLUMNS];

/// A layer with 8-bit weights whose time depends on the order of channels.
#[derive(Debug)]
pub(super) struct Layer {
    /// Axes of its results and of its operand.
    columns: Option<usize>,
    depth: Option<usize>,
    kind: Kind,
    /// Output pixels.
    pixels: u64,
    taps: usize,
    /// Channels of a tap; of a depthwise layer one.
    channels: usize,
    /// For each panel of columns and tap those of all channels; of depthwise layers taps are in the order of products.
    rows: Vec<Row>,
    /// For each block of a depthwise layer whose channels have no right shift in common that of each; none where it does not
    /// matter.
    shifts: Vec<[Option<u8>; COLUMNS]>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Dense,
    Depthwise,
}

impl Kind {
    /// Whether its kernel on `cpu` takes fewer cycles the more products add up in 16 bits.
    pub(super) fn depends_on_order(self, cpu: &CpuFeatures, work: Work) -> bool {
        match self {
            Self::Dense => registry::adds_fours(cpu, work),
            Self::Depthwise => registry::adds_runs(cpu, work),
        }
    }
}

/// The layers with 8-bit weights of which one axis, at least, can be in any order, if they are wanted: what weights they have
/// is looked at for these only.
pub(super) fn layers(
    graph: &Graph,
    axes: &Axes,
    wanted: impl Fn(Kind, Work) -> bool,
) -> Vec<Layer> {
    graph.nodes.iter().filter_map(|node| Layer::new(graph, axes, node, &wanted)).collect()
}

/// Magnitudes of even and of odd columns, in sixteen bits each, which add up side by side.
fn lanes(row: Row) -> [u64; 2] {
    const BYTES: u64 = 0x00FF_00FF_00FF_00FF;
    let row = u64::from_ne_bytes(row);
    [row & BYTES, row >> 8 & BYTES]
}

fn add(a: [u64; 2], b: [u64; 2]) -> [u64; 2] {
    [a[0] + b[0], a[1] + b[1]]
}

/// Whether some sum of such magnitudes is beyond 255.
fn leaves(sums: [u64; 2]) -> bool {
    (sums[0] | sums[1]) & 0xFF00_FF00_FF00_FF00 != 0
}

/// Cycles per output pixel of a set of channels: none where four products add up, one where the first or last three do, else
/// two.
fn cycles_of_set(set: &[Row; SET]) -> u64 {
    let [a, b, c, d] = set.map(lanes);
    let middle = add(b, c);
    let (first, last) = (add(a, middle), add(middle, d));
    u64::from(leaves(add(first, d))) + u64::from(leaves(first) && leaves(last))
}

/// Cycles per output pixel of a block with these right shifts: more where each channel has its own.
fn cycles_of_shifts(shifts: &[Option<u8>; COLUMNS]) -> u64 {
    if shift_in_common(shifts).is_some() { 0 } else { 4 }
}

/// How often sums of a depthwise block leave 16 bits before the last tap.
fn run_ends(taps: &[Row]) -> u64 {
    let (mut sums, mut ends) = ([0; 2], 0);
    for tap in taps.iter().copied().map(lanes) {
        sums = add(sums, tap);
        if leaves(sums) {
            (sums, ends) = (tap, ends + 1);
        }
    }
    ends
}

/// The right shifts of a depthwise layer, where its channels have none in common.
fn blocks_of_shifts(graph: &Graph, node: &Node) -> Option<Vec<[Option<u8>; COLUMNS]>> {
    let scale = |id: usize| match graph.values[id].encoding {
        Encoding::Int8 { scale, .. } => Some(f64::from(scale)),
        _ => None,
    };
    let unit = scale(node.inputs[0])? / scale(node.outputs[0])?;
    let scales = &graph.values[node.inputs[1]].constant.as_ref()?.scales;
    let factors: Vec<f64> = scales.iter().map(|&scale| unit * f64::from(scale)).collect();
    let shifts = RequantParams::from_real(&factors, None, 0, -128, 127).right_shifts()?;
    let block =
        |shifts: &[Option<u8>]| std::array::from_fn(|column| shifts.get(column).copied().flatten());
    Some(shifts.chunks(COLUMNS).map(block).collect())
}

impl Layer {
    /// Nothing for nodes without 8-bit weights, of which neither axis can be in another order, or that are not wanted.
    fn new(
        graph: &Graph,
        axes: &Axes,
        node: &Node,
        wanted: impl Fn(Kind, Work) -> bool,
    ) -> Option<Self> {
        let value = graph.values.get(*node.inputs.get(1)?)?;
        let Some(Constant { data: ConstantData::I8(weights), .. }) = &value.constant else {
            return None;
        };
        let output = &graph.values[node.outputs[0]].shape;
        let pixels = output.split_last()?.1.iter().product::<usize>() as u64;
        let (columns, depth) = (axes.axis(node.outputs[0]), axes.axis(node.inputs[0]));
        if columns.is_none() && depth.is_none() {
            return None;
        }
        let all = *output.last()?;
        let work = |taps, depth| Work {
            rows: pixels as usize,
            columns: all.next_multiple_of(COLUMNS),
            taps,
            depth,
        };
        match &node.op {
            Op::Conv2d { .. } | Op::FullyConnected { .. } => {
                let channels = *value.shape.last()?;
                let taps = weights.len() / all / channels;
                if !wanted(Kind::Dense, work(taps, channels)) {
                    return None;
                }
                // Columns are missing in the last panel, as they are in packed weights.
                let mut rows = vec![[0; COLUMNS]; all.div_ceil(COLUMNS) * taps * channels];
                for (index, weight) in weights.iter().enumerate() {
                    let (column, k) = (index / (taps * channels), index % (taps * channels));
                    rows[column / COLUMNS * taps * channels + k][column % COLUMNS] =
                        weight.unsigned_abs();
                }
                let (kind, shifts) = (Kind::Dense, Vec::new());
                Some(Self { columns, depth, kind, pixels, taps, channels, rows, shifts })
            }
            Op::DepthwiseConv2d { window, activation } => {
                let [height, width] = window.kernel;
                let taps = height * width;
                if !wanted(Kind::Depthwise, work(taps, 1)) {
                    return None;
                }
                let mut rows = vec![[0; COLUMNS]; all.div_ceil(COLUMNS) * taps];
                let order = (0..height)
                    .flat_map(|y| run_order(width, window.stride[1]).map(move |x| y * width + x));
                for (place, tap) in order.enumerate() {
                    for (channel, weight) in weights[tap * all..][..all].iter().enumerate() {
                        rows[channel / COLUMNS * taps + place][channel % COLUMNS] =
                            weight.unsigned_abs();
                    }
                }
                let shifts = match activation {
                    Activation::Prelu => Vec::new(),
                    _ => blocks_of_shifts(graph, node).unwrap_or_default(),
                };
                let (kind, channels) = (Kind::Depthwise, 1);
                Some(Self { columns, depth: None, kind, pixels, taps, channels, rows, shifts })
            }
            _ => None,
        }
    }

    fn panels(&self) -> usize {
        self.rows.len() / (self.taps * self.channels)
    }

    /// Multiply-accumulates.
    pub(super) fn products(&self) -> u64 {
        self.pixels * (self.rows.len() * COLUMNS) as u64
    }

    pub(super) fn has(&self, axis: usize) -> bool {
        self.columns == Some(axis) || self.depth == Some(axis)
    }

    /// Weights that are compared to learn what an exchange along an axis saves.
    pub(super) fn compared(&self, axis: usize) -> u64 {
        if self.is_square(axis) {
            return 2 * (COLUMNS * self.rows.len()) as u64;
        }
        let columns = if self.columns == Some(axis) { 2 * self.taps * self.channels } else { 0 };
        let depth = if self.depth == Some(axis) { 2 * SET * self.panels() * self.taps } else { 0 };
        2 * (COLUMNS * (columns + depth)) as u64
    }

    /// What channels of a depthwise layer should be beside their likes in; nothing for other layers.
    pub(super) fn likeness(&self, channel: usize) -> Option<(Option<u8>, u32)> {
        if self.kind == Kind::Dense {
            return None;
        }
        let (block, column) = (channel / COLUMNS, channel % COLUMNS);
        let taps = &self.rows[block * self.taps..][..self.taps];
        let magnitude = taps.iter().map(|row| u32::from(row[column])).sum();
        Some((self.shifts.get(block).and_then(|shifts| shifts[column]), magnitude))
    }

    /// Cycles beyond those that it takes where all products add up.
    pub(super) fn cost(&self) -> u64 {
        (0..self.panels()).map(|panel| self.panel_cost(panel)).sum()
    }

    /// Those of a panel.
    fn panel_cost(&self, panel: usize) -> u64 {
        let rows = &self.rows[panel * self.taps * self.channels..][..self.taps * self.channels];
        let cycles = match self.kind {
            // Two instructions for each pixel.
            Kind::Depthwise => {
                2 * run_ends(rows) + self.shifts.get(panel).map_or(0, cycles_of_shifts)
            }
            Kind::Dense => {
                let taps = rows.chunks_exact(self.channels);
                taps.flat_map(|tap| self.sets(tap)).map(cycles_of_set).sum()
            }
        };
        self.pixels * cycles
    }

    /// The sets of a tap: whole groups of two, for what is beyond is multiplied channel by channel.
    fn sets<'a>(&self, tap: &'a [Row]) -> &'a [[Row; SET]] {
        tap[..self.channels / (2 * SET) * 2 * SET].as_chunks().0
    }

    /// Whether an exchange along an axis changes results and operand.
    fn is_square(&self, axis: usize) -> bool {
        self.columns == Some(axis) && self.depth == Some(axis)
    }

    /// Those of what an exchange of two places of an axis changes.
    pub(super) fn cost_at(&self, axis: usize, places: [usize; 2]) -> u64 {
        if self.is_square(axis) {
            return self.cost();
        }
        let mut cost = 0;
        if self.columns == Some(axis) {
            let [a, b] = places.map(|place| place / COLUMNS);
            cost += self.panel_cost(a) + if a == b { 0 } else { self.panel_cost(b) };
        }
        if self.depth == Some(axis) {
            let [a, b] = places.map(|place| place / SET);
            let cycles: u64 = self
                .rows
                .chunks_exact(self.channels)
                .map(|tap| {
                    let sets = self.sets(tap);
                    let of = |set: usize| sets.get(set).map_or(0, cycles_of_set);
                    of(a) + if a == b { 0 } else { of(b) }
                })
                .sum();
            cost += self.pixels * cycles;
        }
        cost
    }

    /// Exchanges two places of an axis.
    pub(super) fn exchange(&mut self, axis: usize, [a, b]: [usize; 2]) {
        if self.columns == Some(axis) {
            let panel = self.taps * self.channels;
            let (near, far) = (a.min(b), a.max(b));
            let (before, rows) = self.rows.split_at_mut(far / COLUMNS * panel);
            let (left, right) = (near % COLUMNS, far % COLUMNS);
            match before.get_mut(near / COLUMNS * panel..) {
                Some(others) if near / COLUMNS < far / COLUMNS => {
                    for (other, row) in others[..panel].iter_mut().zip(rows) {
                        std::mem::swap(&mut other[left], &mut row[right]);
                    }
                }
                _ => rows[..panel].iter_mut().for_each(|row| row.swap(left, right)),
            }
            if !self.shifts.is_empty() {
                let shift = |place: usize| self.shifts[place / COLUMNS][place % COLUMNS];
                let (left, right) = (shift(a), shift(b));
                self.shifts[a / COLUMNS][a % COLUMNS] = right;
                self.shifts[b / COLUMNS][b % COLUMNS] = left;
            }
        }
        if self.depth == Some(axis) {
            self.rows.chunks_exact_mut(self.channels).for_each(|tap| tap.swap(a, b));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::search;
    use super::*;

    fn layer(kind: Kind, [taps, channels]: [usize; 2], rows: Vec<Row>) -> Layer {
        let (columns, depth) = match kind {
            Kind::Dense => (None, Some(0)),
            Kind::Depthwise => (Some(0), None),
        };
        Layer { columns, depth, kind, pixels: 64, taps, channels, rows, shifts: Vec::new() }
    }

    #[test]
    fn sets_cost_what_the_tile_takes_for_them() {
        let of = |set: [u8; SET]| cycles_of_set(&set.map(|weight| [weight; COLUMNS]));
        assert_eq!(of([64, 64, 64, 63]), 0);
        assert_eq!(of([64, 64, 64, 64]), 1);
        assert_eq!(of([127, 127, 1, 1]), 1);
        assert_eq!(of([1, 1, 127, 127]), 1);
        assert_eq!(of([2, 127, 127, 2]), 2);
        // Each in a column of its own.
        let mut columns = [[0; COLUMNS]; SET];
        (columns[0][0], columns[1][0], columns[2][7], columns[3][7]) = (127, 127, 127, 127);
        assert_eq!(cycles_of_set(&columns), 0);
        columns[2][0] = 2;
        assert_eq!(cycles_of_set(&columns), 1);
    }

    #[test]
    fn runs_of_a_window_end_where_the_next_product_might_not_fit() {
        let of = |taps: &[u8]| {
            let taps: Vec<Row> = taps.iter().map(|&weight| [1, weight, 2, 0, 0, 0, 0, 0]).collect();
            run_ends(&taps)
        };
        assert_eq!(of(&[85, 85, 85]), 0);
        assert_eq!(of(&[85, 85, 86]), 1);
        assert_eq!(of(&[127, 127, 1, 127, 127, 1, 2]), 2);
    }

    #[test]
    fn large_weights_go_beside_small_ones() {
        // Two of eight channels are large, side by side at first.
        let rows = (0..16).map(|k| if k % 8 < 2 { [127; COLUMNS] } else { [20; COLUMNS] });
        let mut layers = [layer(Kind::Dense, [1, 16], rows.collect())];
        assert!(layers[0].cost() > 0);
        search(&[16], &mut layers);
        assert_eq!(layers[0].cost(), 0);
    }

    #[test]
    fn large_windows_go_beside_each_other() {
        // Every other channel is large.
        let rows = vec![std::array::from_fn(|c| if c % 2 == 0 { 100 } else { 20 }); 2 * 9];
        let mut layers = [layer(Kind::Depthwise, [9, 1], rows)];
        let before = layers[0].cost();
        search(&[16], &mut layers);
        assert_eq!(2 * layers[0].cost(), before);
    }

    #[test]
    fn equal_shifts_go_beside_each_other() {
        let shifts = vec![std::array::from_fn(|c| Some(3 + c as u8 % 2)); 2];
        let layer = layer(Kind::Depthwise, [9, 1], vec![[1; COLUMNS]; 2 * 9]);
        let mut layers = [Layer { shifts, ..layer }];
        assert_eq!(layers[0].cost(), 2 * 4 * 64);
        search(&[16], &mut layers);
        assert_eq!(layers[0].cost(), 0);
    }

    #[test]
    fn only_shifts_within_an_instruction_s_range_can_be_in_common() {
        let cycles = |shift: Option<u8>| cycles_of_shifts(&[shift; COLUMNS]);
        assert_eq!([None, Some(1), Some(16)].map(cycles), [0; 3]);
        assert_eq!([Some(0), Some(17)].map(cycles), [4; 2]);
    }
}
