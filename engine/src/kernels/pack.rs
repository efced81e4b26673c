//! Weights in the order in which micro-kernels read them.

use std::marker::PhantomData;

use super::micro::{Tile, run_order};

/// Packed panels of elements, each panel starting on a cache line.
#[derive(Clone, Debug)]
pub(crate) struct Panels<T> {
    lines: Vec<Line>,
    /// Cache lines from one panel to the next.
    stride: usize,
    element: PhantomData<T>,
}

/// A cache line.
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u64; 8]);

impl<T: bytemuck::Pod> Panels<T> {
    fn new(panels: usize, panel_bytes: usize) -> Self {
        let stride = panel_bytes.div_ceil(size_of::<Line>());
        // Kernels load ahead: a spare line makes the last panel readable past its end.
        let lines = vec![bytemuck::Zeroable::zeroed(); panels * stride + 1];
        Self { lines, stride, element: PhantomData }
    }

    fn panel_mut<U: bytemuck::Pod>(&mut self, panel: usize) -> &mut [U] {
        bytemuck::cast_slice_mut(&mut self.lines[panel * self.stride..][..self.stride])
    }

    /// The elements of a panel.
    pub(crate) fn panel(&self, panel: usize) -> &[T] {
        bytemuck::cast_slice(&self.lines[panel * self.stride..][..self.stride])
    }

    /// Size in bytes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.lines.as_slice())
    }
}

/// Position of weight (`tap`, `k`, column `j`) behind the biases of a panel.
fn position(tile: Tile, groups: usize, tap: usize, k: usize, j: usize) -> usize {
    ((tap * groups + k / tile.kr) * tile.nr + j) * tile.kr + k % tile.kr
}

/// Calls `put(panel, index, j, source)` for every weight of `[columns, taps, depth]`.
fn for_each_weight(
    tile: Tile,
    columns: usize,
    taps: usize,
    depth: usize,
    mut put: impl FnMut(usize, usize, usize),
) {
    let groups = depth.div_ceil(tile.kr);
    for column in 0..columns {
        for tap in 0..taps {
            for k in 0..depth {
                let index = position(tile, groups, tap, k, column % tile.nr);
                put(column / tile.nr, index, (column * taps + tap) * depth + k);
            }
        }
    }
}

/// fp32 weights `[columns, taps, channels]` and biases `[columns]`.
pub(crate) fn f32_gemm(
    tile: Tile,
    weights: &[f32],
    bias: &[f32],
    taps: usize,
    channels: usize,
) -> Panels<f32> {
    let columns = bias.len();
    let elements = tile.nr * (1 + taps * channels.next_multiple_of(tile.kr));
    let mut panels = Panels::new(columns.div_ceil(tile.nr), 4 * elements);
    for (column, &bias) in bias.iter().enumerate() {
        panels.panel_mut::<f32>(column / tile.nr)[column % tile.nr] = bias;
    }
    for_each_weight(tile, columns, taps, channels, |panel, index, source| {
        panels.panel_mut::<f32>(panel)[tile.nr + index] = weights[source];
    });
    panels
}

/// 8-bit weights `[columns, taps, channels]` and 32-bit biases `[columns]`.
pub(crate) fn i8_gemm(
    tile: Tile,
    weights: &[i8],
    bias: &[i32],
    taps: usize,
    channels: usize,
) -> Panels<i8> {
    let columns = bias.len();
    let bytes = tile.nr * (4 + taps * channels.next_multiple_of(tile.kr));
    let mut panels = Panels::new(columns.div_ceil(tile.nr), bytes);
    for (column, &bias) in bias.iter().enumerate() {
        panels.panel_mut::<i32>(column / tile.nr)[column % tile.nr] = bias;
    }
    for_each_weight(tile, columns, taps, channels, |panel, index, source| {
        panels.panel_mut::<i8>(panel)[4 * tile.nr + index] = weights[source];
    });
    panels
}

/// Which products of a layer of 8-bit weights add up in 16 bits: see [`I8GemmArgs::narrow`](super::micro::I8GemmArgs::narrow).
#[derive(Clone, Debug)]
pub(crate) struct NarrowGroups {
    flags: Vec<u8>,
    /// From one panel to the next.
    stride: usize,
}

impl NarrowGroups {
    /// For weights `[columns, taps, channels]`.
    pub(crate) fn new(
        tile: Tile,
        weights: &[i8],
        columns: usize,
        taps: usize,
        channels: usize,
    ) -> Self {
        // Tiles of several rows multiply what is beyond groups of eight channel by channel.
        let several = tile.mr > 1;
        let group = if several { 8 } else { tile.kr };
        let groups = if several { channels / group } else { channels.div_ceil(group) };
        // Behind the groups of a tap.
        let end: &[u8] = if several { &[0] } else { &[] };
        let stride = taps * (groups + end.len());
        let mut flags = Vec::with_capacity(columns.div_ceil(tile.nr) * stride + 1);
        for panel in (0..columns).step_by(tile.nr) {
            for tap in 0..taps {
                let fits = |channel: usize, count: usize, step: usize| {
                    let set = (0..count).map(|i| channel + i * step).filter(|&k| k < channels);
                    (panel..columns.min(panel + tile.nr)).all(|column| {
                        let row = &weights[(column * taps + tap) * channels..][..channels];
                        set.clone().map(|k| u32::from(row[k].unsigned_abs())).sum::<u32>() <= 255
                    })
                };
                flags.extend((0..groups).map(|index| index * group).map(|first| match several {
                    true => {
                        [(0, 3), (0, 4), (4, 3), (4, 4), (1, 3), (5, 3)].iter().enumerate().fold(
                            0,
                            |flags, (bit, &(from, count))| {
                                flags | u8::from(fits(first + from, count, 1)) << bit
                            },
                        )
                    }
                    false => u8::from((first..first + 8).all(|k| fits(k, group / 8, 8))),
                }));
                flags.extend(end);
            }
        }
        // Kernels read one ahead.
        flags.push(0);
        Self { flags, stride }
    }

    /// Those of a panel.
    pub(crate) fn panel(&self, panel: usize) -> &[u8] {
        &self.flags[panel * self.stride..]
    }
}

/// Biases or slopes for whole panels: `count` of them, zeros behind the last.
pub(crate) fn padded(values: &[f32], count: usize) -> Vec<f32> {
    let mut values = values.to_vec();
    values.resize(count, 0.0);
    values
}

/// 4-bit weights `[columns, taps, channels]`, each -7..=7, and 32-bit biases `[columns]`: biases, then per tap and group of
/// `kr` channels `[[w; kr / 2]; nr]` bytes, whose low nibbles are the first half of the group and high nibbles the second,
/// or see [`Tile::PAIRED_CHANNELS`].
pub(crate) fn i4_gemm(
    tile: Tile,
    weights: &[i8],
    bias: &[i32],
    taps: usize,
    channels: usize,
) -> Panels<i8> {
    i4_panels(tile, weights, bias, [taps, channels], 0)
}

/// As [`i4_gemm`], then the multipliers of the weights' groups, given for each column, tap and group of so many channels, a
/// multiple of [`Tile::GROUPED_CHANNELS`]: `[i16; nr]` for each tap and as many channels.
pub(crate) fn i4_group_gemm(
    tile: Tile,
    weights: &[i8],
    (multipliers, group): (&[u8], usize),
    bias: &[i32],
    taps: usize,
    channels: usize,
) -> Panels<i8> {
    let groups = channels.div_ceil(Tile::GROUPED_CHANNELS);
    let rows = taps * groups;
    let mut panels = i4_panels(tile, weights, bias, [taps, channels], 2 * rows);
    let first = i4_bytes(tile, taps, channels) / 2;
    for (column, row) in (0..bias.len()).flat_map(|column| (0..rows).map(move |row| (column, row)))
    {
        let (tap, channel) = (row / groups, row % groups * Tile::GROUPED_CHANNELS);
        let source = (column * taps + tap) * channels.div_ceil(group) + channel / group;
        panels.panel_mut::<i16>(column / tile.nr)[first + row * tile.nr + column % tile.nr] =
            multipliers[source].into();
    }
    panels
}

/// Bytes of a panel of biases and 4-bit weights.
fn i4_bytes(tile: Tile, taps: usize, channels: usize) -> usize {
    tile.nr * (4 + taps * channels.next_multiple_of(tile.kr) / 2)
}

/// [`i4_gemm`] with room for so many more bytes for each column.
fn i4_panels(
    tile: Tile,
    weights: &[i8],
    bias: &[i32],
    [taps, channels]: [usize; 2],
    more: usize,
) -> Panels<i8> {
    let columns = bias.len();
    let bytes = i4_bytes(tile, taps, channels) + more * tile.nr;
    let mut panels = Panels::new(columns.div_ceil(tile.nr), bytes);
    for (column, &bias) in bias.iter().enumerate() {
        panels.panel_mut::<i32>(column / tile.nr)[column % tile.nr] = bias;
    }
    let half = tile.kr / 2;
    for_each_weight(tile, columns, taps, channels, |panel, index, source| {
        // `index` counts single weights: take it apart into group and column, and place within the group.
        let (place, k) = (index / tile.kr, index % tile.kr);
        if tile.kr == Tile::PAIRED_CHANNELS {
            let factor = if place % 2 == 0 { 1 } else { 16 };
            let at = 4 * tile.nr + place / 2 * tile.kr + k;
            panels.panel_mut::<i8>(panel)[at] += factor * weights[source];
            return;
        }
        let byte = &mut panels.panel_mut::<i8>(panel)[4 * tile.nr + place * half + k % half];
        *byte |= if k < half { weights[source] & 15 } else { weights[source] << 4 };
    });
    panels
}

/// One-bit weights `[columns, taps, words]`, of which `bytes` of each tap hold channels, and 32-bit biases `[columns]`.
pub(crate) fn bin_gemm(
    tile: Tile,
    weights: &[u64],
    bias: &[i32],
    taps: usize,
    (words, bytes): (usize, usize),
) -> Panels<u64> {
    let columns = bias.len();
    let mut panels = bit_panels(tile, bias, taps, (words, bytes), 1);
    match tile.nr {
        Tile::BYTEWISE_COLUMNS => put_bytes(&mut panels, weights, columns, words, bytes, [0, 1]),
        Tile::PAIRED_COLUMNS => {
            let (group, all) = (Tile::PAIRED_GROUP, taps * words);
            for (index, &word) in weights.iter().enumerate() {
                let (column, k) = (index / all, index % all);
                let j = column % group;
                let within = if k + 1 == all && k % 2 == 0 { j } else { 2 * j + k % 2 };
                let first = tile.nr / 2 + column % tile.nr / group * group * all;
                panels.panel_mut::<u64>(column / tile.nr)[first + k / 2 * 2 * group + within] =
                    word;
            }
        }
        _ => for_each_weight(tile, columns, taps, words, |panel, index, source| {
            panels.panel_mut::<u64>(panel)[tile.nr / 2 + index] = weights[source];
        }),
    }
    panels
}

/// As [`bin_gemm`], for weights of -1, 0 and 1: their signs, and masks that are 0 where weights are.
pub(crate) fn ternary_gemm(
    tile: Tile,
    [signs, masks]: [&[u64]; 2],
    bias: &[i32],
    taps: usize,
    (words, bytes): (usize, usize),
) -> Panels<u64> {
    let columns = bias.len();
    let mut panels = bit_panels(tile, bias, taps, (words, bytes), 2);
    for (plane, weights) in [signs, masks].into_iter().enumerate() {
        if tile.nr == Tile::BYTEWISE_COLUMNS {
            put_bytes(&mut panels, weights, columns, words, bytes, [plane, 2]);
            continue;
        }
        for_each_weight(tile, columns, taps, words, |panel, index, source| {
            // `index` counts single weights, with rows of `nr` of them.
            let index = (index / tile.nr * 2 + plane) * tile.nr + index % tile.nr;
            panels.panel_mut::<u64>(panel)[tile.nr / 2 + index] = weights[source];
        });
    }
    panels
}

/// Panels with biases and room for so many planes of bits.
fn bit_panels(
    tile: Tile,
    bias: &[i32],
    taps: usize,
    (words, bytes): (usize, usize),
    planes: usize,
) -> Panels<u64> {
    let columns = bias.len();
    let weights = match tile.nr {
        Tile::BYTEWISE_COLUMNS => tile.nr * taps * bytes,
        // A single panel may be narrower.
        Tile::PAIRED_COLUMNS => {
            8 * columns.next_multiple_of(Tile::PAIRED_GROUP).min(tile.nr) * taps * words
        }
        _ => 8 * tile.nr * taps * words.next_multiple_of(tile.kr),
    };
    let mut panels = Panels::new(columns.div_ceil(tile.nr), 4 * tile.nr + planes * weights);
    for (column, &bias) in bias.iter().enumerate() {
        panels.panel_mut::<i32>(column / tile.nr)[column % tile.nr] = bias;
    }
    panels
}

/// Packs `[columns, rows, words]` by bytes, `bytes` of each row, as plane `plane` of `planes`.
fn put_bytes(
    panels: &mut Panels<u64>,
    weights: &[u64],
    columns: usize,
    words: usize,
    bytes: usize,
    [plane, planes]: [usize; 2],
) {
    let nr = Tile::BYTEWISE_COLUMNS;
    let rows = weights.len() / words / columns.max(1);
    for (index, weights) in weights.chunks_exact(words).enumerate() {
        let (column, row) = (index / rows, index % rows);
        let panel = panels.panel_mut::<u8>(column / nr);
        let source = weights.iter().flat_map(|word| word.to_le_bytes()).take(bytes);
        for (b, byte) in source.enumerate() {
            panel[((row * bytes + b) * planes + plane + 4) * nr + column % nr] = byte;
        }
    }
}

/// fp32 depthwise weights `[taps, channels]` and biases `[channels]`, in blocks of `nr` channels without gaps.
pub(crate) fn f32_depthwise(tile: Tile, weights: &[f32], bias: &[f32], taps: usize) -> Panels<f32> {
    let channels = bias.len();
    let block = tile.nr * (1 + taps);
    let mut packed = Panels::new(1, 4 * block * channels.div_ceil(tile.nr));
    let all = packed.panel_mut::<f32>(0);
    for channel in 0..channels {
        let block = &mut all[channel / tile.nr * block..][..block];
        block[channel % tile.nr] = bias[channel];
        for tap in 0..taps {
            block[(tap + 1) * tile.nr + channel % tile.nr] = weights[tap * channels + channel];
        }
    }
    packed
}

/// 8-bit depthwise weights `[taps, channels]` and 32-bit biases `[channels]`, in blocks of `nr` channels without gaps:
/// biases, then per group of `kr` taps (missing ones zero) those of each channel next to each other.
pub(crate) fn i8_depthwise(tile: Tile, weights: &[i8], bias: &[i32], taps: usize) -> Panels<i8> {
    let channels = bias.len();
    let bytes = tile.nr * (4 + taps.next_multiple_of(tile.kr));
    let mut packed = Panels::new(1, bytes * channels.div_ceil(tile.nr));
    let all = packed.panel_mut::<i8>(0);
    for channel in 0..channels {
        let block = &mut all[channel / tile.nr * bytes..][..bytes];
        let at = channel % tile.nr;
        bytemuck::cast_slice_mut(&mut block[4 * at..][..4])
            .copy_from_slice(&bias[channel].to_ne_bytes());
        for tap in 0..taps {
            let group = 4 + tap / tile.kr * tile.kr;
            block[group * tile.nr + at * tile.kr + tap % tile.kr] =
                weights[tap * channels + channel];
        }
    }
    packed
}

/// For depthwise weights `[rows, columns, channels]` and blocks of `nr` channels, per block and row of the window, whether the
/// magnitudes of each channel's weights in that row sum to 255 at most.
pub(crate) fn narrow_rows(
    weights: &[i8],
    kernel: [usize; 2],
    channels: usize,
    nr: usize,
) -> Vec<bool> {
    let fits = |block: usize, row: usize| {
        (block * nr..channels.min((block + 1) * nr)).all(|channel| {
            let weight = |x: usize| weights[(row * kernel[1] + x) * channels + channel];
            (0..kernel[1]).map(|x| u32::from(weight(x).unsigned_abs())).sum::<u32>() <= 255
        })
    };
    (0..channels.div_ceil(nr))
        .flat_map(|block| (0..kernel[0]).map(move |row| (block, row)))
        .map(|(block, row)| fits(block, row))
        .collect()
}

/// For depthwise weights `[rows, columns, channels]` and blocks of `nr` channels, where sums of products leave 16 bits, as
/// [`super::micro::I8DepthwiseArgs::run_ends`] says: behind taps whose successor would take the magnitudes of some channel's weights beyond
/// 255, for 255 * 128 fits.
pub(crate) fn run_ends(
    weights: &[i8],
    [height, width]: [usize; 2],
    step: usize,
    channels: usize,
    nr: usize,
) -> Vec<u8> {
    let mut ends = vec![0_u8; channels.div_ceil(nr) * height];
    for (block, ends) in ends.chunks_exact_mut(height).enumerate() {
        let channels_of_block = block * nr..channels.min((block + 1) * nr);
        let mut sums = vec![0; channels_of_block.len()];
        let mut last = None;
        for y in 0..height {
            for (index, x) in run_order(width, step).enumerate() {
                let tap = &weights[(y * width + x) * channels..][channels_of_block.clone()];
                let magnitudes = tap.iter().map(|w| u32::from(w.unsigned_abs()));
                let fits = sums.iter().zip(magnitudes.clone()).all(|(sum, w)| sum + w <= 255);
                match last {
                    Some((y, index)) if !fits => {
                        set_bit(&mut ends[y], index);
                        sums = magnitudes.collect();
                    }
                    _ => sums.iter_mut().zip(magnitudes).for_each(|(sum, w)| *sum += w),
                }
                last = Some((y, index));
            }
        }
        set_bit(&mut ends[height - 1], width - 1);
    }
    ends
}

/// Sets bit `index`, if there is such a bit.
fn set_bit(byte: &mut u8, index: usize) {
    *byte |= 1_u8.checked_shl(index as u32).unwrap_or(0);
}
