//! TFLite's way of describing windows, resolved.

use crate::graph::{Padding, Window};
use crate::model::fault::{Fault, malformed};

/// Geometry as the file gives it; pairs are `[vertical, horizontal]`.
pub(super) struct Geometry {
    pub(super) kernel: [usize; 2],
    pub(super) stride: [i32; 2],
    pub(super) dilation: [i32; 2],
    /// 0 for SAME, 1 for VALID.
    pub(super) padding: i8,
}

impl Geometry {
    /// The window over an input of `[height, width]`.
    pub(super) fn resolve(&self, input: [usize; 2]) -> Result<Window, Fault> {
        let positive = |pair: [i32; 2], what: &str| match pair.map(usize::try_from) {
            [Ok(vertical), Ok(horizontal)] if vertical > 0 && horizontal > 0 => {
                Ok([vertical, horizontal])
            }
            _ => Err(malformed(format!("has a {what} of {pair:?}"))),
        };
        let stride = positive(self.stride, "stride")?;
        let dilation = positive(self.dilation, "dilation")?;
        let mut window =
            Window { kernel: self.kernel, stride, dilation, padding: Padding::default() };
        match self.padding {
            0 => {
                let [top, bottom] = same(&window, input[0], 0)?;
                let [left, right] = same(&window, input[1], 1)?;
                window.padding = Padding { top, bottom, left, right };
            }
            1 => {}
            other => return Err(malformed(format!("has an unknown padding {other}"))),
        }
        Ok(window)
    }
}

/// SAME: as many results as the stride goes into the input, rounded up; an odd row of padding goes to the end.
fn same(window: &Window, input: usize, axis: usize) -> Result<[usize; 2], Fault> {
    let (kernel, stride, dilation) =
        (window.kernel[axis], window.stride[axis], window.dilation[axis]);
    let needed = || {
        let covered = kernel.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)?;
        let last = (input.div_ceil(stride).checked_sub(1)?).checked_mul(stride)?;
        last.checked_add(covered)
    };
    let needed =
        needed().ok_or_else(|| malformed(format!("has an impossible window {window:?}")))?;
    let total = needed.saturating_sub(input);
    Ok([total / 2, total - total / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(kernel: usize, stride: i32, dilation: i32, input: usize) -> [usize; 2] {
        let geometry = Geometry {
            kernel: [kernel, 1],
            stride: [stride, 1],
            dilation: [dilation, 1],
            padding: 0,
        };
        let padding = geometry.resolve([input, 1]).unwrap().padding;
        [padding.top, padding.bottom]
    }

    #[test]
    fn same_padding_puts_the_odd_row_at_the_end() {
        assert_eq!(resolve(3, 1, 1, 7), [1, 1]);
        assert_eq!(resolve(3, 2, 1, 224), [0, 1]);
        assert_eq!(resolve(5, 2, 1, 192), [1, 2]);
        assert_eq!(resolve(3, 1, 2, 9), [2, 2]);
        assert_eq!(resolve(1, 3, 1, 9), [0, 0], "no negative padding");
    }

    #[test]
    fn nonsense_is_refused() {
        for (kernel, stride, dilation) in [(3, 0, 1), (3, -1, 1), (3, 1, 0), (0, 1, 1)] {
            let geometry = Geometry {
                kernel: [kernel; 2],
                stride: [stride; 2],
                dilation: [dilation; 2],
                padding: 0,
            };
            assert!(geometry.resolve([8, 8]).is_err());
        }
    }
}
