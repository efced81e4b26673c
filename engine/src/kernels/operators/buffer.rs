//! Aligned memory for activations.

use crate::kernels::micro::SLACK;

/// Zero-initialized bytes that start on a cache line and end with readable slack.
#[derive(Clone, Debug, Default)]
pub struct Buffer {
    lines: Vec<Line>,
}

/// A cache line.
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

impl Buffer {
    /// Room for `bytes` and the slack behind them.
    pub fn new(bytes: usize) -> Self {
        let lines = (bytes + SLACK).div_ceil(size_of::<Line>());
        Self { lines: vec![bytemuck::Zeroable::zeroed(); lines] }
    }

    /// Makes room for `bytes`; the content is lost if there was less.
    pub fn grow(&mut self, bytes: usize) {
        if self.capacity() < bytes {
            *self = Self::new(bytes);
        }
    }

    /// Bytes without the slack.
    pub fn capacity(&self) -> usize {
        size_of_val(&self.lines[..]).saturating_sub(SLACK)
    }

    /// All bytes, slack included.
    pub fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.lines)
    }

    /// All bytes, slack included.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.lines)
    }
}
