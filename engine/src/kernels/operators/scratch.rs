//! Memory that an operator needs while it runs.

use std::cell::RefCell;

use super::Buffer;

thread_local! {
    /// Buffers of this thread that nobody uses at the moment.
    static IDLE: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
}

/// A buffer with arbitrary content, given back for the thread's next operator when dropped: memory fresh from the system
/// costs a page fault per page.
#[derive(Debug)]
pub(super) struct Scratch(Buffer);

impl Scratch {
    /// At least `bytes`, and the slack behind them.
    pub(super) fn new(bytes: usize) -> Self {
        let idle = IDLE.with_borrow_mut(|idle| {
            let fits = |buffer: &Buffer| buffer.capacity() >= bytes;
            let index = idle.iter().position(fits).or_else(|| idle.len().checked_sub(1));
            index.map(|index| idle.swap_remove(index))
        });
        Self(idle.filter(|buffer| buffer.capacity() >= bytes).unwrap_or_else(|| Buffer::new(bytes)))
    }

    /// The buffer.
    pub(super) fn buffer(&mut self) -> &mut Buffer {
        &mut self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        IDLE.with_borrow_mut(|idle| idle.push(std::mem::take(&mut self.0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again_and_grow() {
        let address = |scratch: &mut Scratch| scratch.buffer().bytes().as_ptr();
        let (mut a, mut b) = (Scratch::new(1000), Scratch::new(1000));
        assert_ne!(address(&mut a), address(&mut b));
        let first = address(&mut a);
        drop(a);
        assert_eq!(address(&mut Scratch::new(800)), first);
        let mut large = Scratch::new(1 << 20);
        assert!(large.buffer().bytes().len() >= 1 << 20);
    }
}
