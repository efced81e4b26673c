//! For tests: an allocator that puts every block of memory between inaccessible pages, after the idea of B. Perens'
//! Electric Fence. What reads or writes outside of its operands ends the test process, which says what was running.
//!
//! A block lies directly at one of its two fences, as the test asks: [`Side::Behind`] finds accesses beyond the last byte,
//! [`Side::Before`] those before the first. What its pages have left on the other side holds a pattern that must still be
//! there when the block is freed. Freed pages become inaccessible.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::operators::Buffer;

#[global_allocator]
static ALLOCATOR: Fence = Fence;

const PAGE: usize = 4096;
/// Pages of the region in which blocks and fences lie: 512 MiB of addresses, which a 32-bit process has.
const PAGES: usize = 1 << 17;
/// What is left of a block's pages.
const PATTERN: u8 = 0xA7;

/// Where the fence is that a block touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Before its first byte.
    Before,
    /// Behind its last byte (that of the slack, where the contract promises slack).
    Behind,
}

thread_local! {
    /// Whether, and how, blocks of this thread are fenced.
    static SIDE: Cell<Option<Side>> = const { Cell::new(None) };
    /// What lives until `fenced` ends.
    static KEPT: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
}

/// Which pages are taken.
struct Pages {
    taken: [bool; PAGES],
    /// Where the search goes on: what was freed stays inaccessible for long.
    next: usize,
}

static REGION: AtomicUsize = AtomicUsize::new(0);
static TAKEN: Mutex<Pages> = Mutex::new(Pages { taken: [false; PAGES], next: 0 });
/// What is running, for the message of a crash.
static RUNNING: [AtomicU8; 120] = [const { AtomicU8::new(0) }; 120];

/// Runs `work` with all memory of this thread fenced. Threads that it starts are not fenced.
pub(crate) fn fenced<T>(side: Side, work: impl FnOnce() -> T) -> T {
    prepare();
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            KEPT.take();
            SIDE.set(None);
        }
    }
    SIDE.set(Some(side));
    let _reset = Reset;
    work()
}

/// Whether memory of this thread is fenced.
pub(crate) fn is_on() -> bool {
    SIDE.get().is_some()
}

/// The bytes of a buffer that lives until [`fenced`] ends, and all that it ran with it.
pub(crate) fn until_end<'a>(buffer: Buffer) -> &'a mut [u8] {
    KEPT.with_borrow_mut(|kept| {
        kept.push(buffer);
        let bytes = kept.last_mut().map(Buffer::bytes_mut).unwrap_or_default();
        let (start, length) = (bytes.as_mut_ptr(), bytes.len());
        // SAFETY: nobody else has the buffer, and what uses the bytes runs within `fenced`.
        unsafe { std::slice::from_raw_parts_mut(start, length) }
    })
}

/// Says what runs from now on.
pub(crate) fn running(what: &str) {
    if is_on() {
        let bytes = what.bytes().chain(std::iter::repeat(0));
        RUNNING.iter().zip(bytes).for_each(|(place, byte)| place.store(byte, Ordering::Relaxed));
    }
}

/// Reserves the region and listens for accesses that are not allowed.
fn prepare() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // SAFETY: plain system calls; the mapping is nobody's yet, and the handler only writes to stderr.
        unsafe {
            assert_eq!(libc::sysconf(libc::_SC_PAGESIZE), PAGE as libc::c_long, "size of a page");
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            let null = std::ptr::null_mut();
            let region = libc::mmap(null, PAGES * PAGE, libc::PROT_NONE, flags, -1, 0);
            assert_ne!(region, libc::MAP_FAILED, "no room for {PAGES} pages");
            REGION.store(region as usize, Ordering::Release);
            for signal in [libc::SIGSEGV, libc::SIGBUS] {
                libc::signal(signal, crashed as *const () as libc::sighandler_t);
            }
        }
    });
}

/// Says what was running, and lets the access fail once more, which ends the process.
extern "C" fn crashed(signal: libc::c_int) {
    say(b"\nmemory outside of its operands was touched by ");
    // SAFETY: the signal's default is to end the process.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Writes to stderr, past what captures the output of tests, without allocating.
fn say(message: &[u8]) {
    let write = |bytes: &[u8]| {
        // SAFETY: the bytes are readable.
        unsafe { libc::write(2, bytes.as_ptr().cast(), bytes.len()) };
    };
    write(message);
    let name = RUNNING.each_ref().map(|byte| byte.load(Ordering::Relaxed));
    write(&name[..name.iter().position(|&byte| byte == 0).unwrap_or(name.len())]);
    write(b"\n");
}

struct Fence;

// SAFETY: blocks are those of the system's allocator, or whole pages of the region that nobody else has.
unsafe impl GlobalAlloc for Fence {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match SIDE.try_with(Cell::get) {
            Ok(Some(side)) => between_fences(layout, side),
            // SAFETY: as the caller vouches.
            _ => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let region = REGION.load(Ordering::Acquire);
        let offset = (block as usize).wrapping_sub(region);
        if region == 0 || offset >= PAGES * PAGE {
            // SAFETY: then it is the system's.
            return unsafe { System.dealloc(block, layout) };
        }
        // SAFETY: it came from `between_fences`.
        unsafe { free(region, offset, layout.size()) };
    }
}

fn pages() -> MutexGuard<'static, Pages> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn between_fences(layout: Layout, side: Side) -> *mut u8 {
    let count = layout.size().div_ceil(PAGE);
    let Some(first) = pages().take(count) else {
        say(b"\nthere is no room for more fences in ");
        return std::ptr::null_mut();
    };
    let start = (REGION.load(Ordering::Acquire) + first * PAGE) as *mut u8;
    let room = count * PAGE;
    let before = match side {
        Side::Before => 0,
        // A multiple of the alignment: a few bytes may be left behind a block of odd size.
        Side::Behind => (room - layout.size()) / layout.align() * layout.align(),
    };
    // SAFETY: the pages are this block's alone.
    unsafe {
        if libc::mprotect(start.cast(), room, libc::PROT_READ | libc::PROT_WRITE) != 0 {
            return std::ptr::null_mut();
        }
        start.write_bytes(PATTERN, room);
        start.add(before)
    }
}

/// # Safety
/// A block of `size` bytes at `offset` of the region, which nobody uses any more.
unsafe fn free(region: usize, offset: usize, size: usize) {
    let (first, end) = (offset / PAGE, (offset + size).div_ceil(PAGE));
    let start = (region + first * PAGE) as *mut u8;
    let (before, room) = (offset - first * PAGE, (end - first) * PAGE);
    // SAFETY: the pages are the block's.
    let bytes = unsafe { std::slice::from_raw_parts(start, room) };
    if bytes[..before].iter().chain(&bytes[before + size..]).any(|&byte| byte != PATTERN) {
        say(b"\nbytes beside a block were written by ");
        std::process::abort();
    }
    // SAFETY: nobody reads them any more.
    unsafe {
        libc::madvise(start.cast(), room, libc::MADV_DONTNEED);
        libc::mprotect(start.cast(), room, libc::PROT_NONE);
    }
    pages().taken[first..end].fill(false);
}

impl Pages {
    /// The first of `count` pages between two that stay free.
    fn take(&mut self, count: usize) -> Option<usize> {
        for from in [self.next, 1] {
            let mut run = 0;
            // The page before, the block's, and the page behind.
            for page in from - from.min(1)..PAGES {
                run = if self.taken[page] { 0 } else { run + 1 };
                if run == count + 2 {
                    let first = page - count;
                    self.taken[first..page].fill(true);
                    self.next = page;
                    return Some(first);
                }
            }
        }
        None
    }
}

mod tests {
    use super::*;

    #[test]
    #[expect(clippy::useless_vec, reason = "blocks of the allocator are what is tested")]
    fn blocks_touch_the_fence_of_their_side() {
        for side in [Side::Before, Side::Behind] {
            let (start, end, aligned) = fenced(side, || {
                let odd = vec![1_u8; 5003];
                let aligned = vec![1_u64; 3];
                let range = odd.as_ptr_range();
                (range.start as usize, range.end as usize, aligned.as_ptr() as usize)
            });
            match side {
                Side::Before => assert_eq!((start % PAGE, aligned % PAGE), (0, 0)),
                Side::Behind => assert_eq!((end % PAGE, aligned % PAGE), (0, PAGE - 24)),
            }
        }
    }

    #[test]
    fn accesses_beside_a_block_end_the_process_with_the_name_of_what_ran() {
        type Access = fn(*mut u8);
        let behind: Access = |block| {
            // SAFETY: none; it has to be found, in a process of its own. So have those that follow.
            _ = unsafe { block.add(8).read_volatile() };
        };
        let before: Access = |block| {
            // SAFETY: none.
            _ = unsafe { block.sub(1).read_volatile() };
        };
        let beside: Access = |block| {
            // SAFETY: none.
            unsafe { block.add(8).write_volatile(1) };
        };
        let accesses = [
            (Side::Behind, behind, "outside"),
            (Side::Before, before, "outside"),
            (Side::Before, beside, "beside"),
        ];
        for (side, access, message) in accesses {
            prepare();
            let mut ends = [0; 2];
            // Nobody else holds the lock while the process is copied.
            let lock = pages();
            // SAFETY: the child only runs what follows, and reports through the pipe.
            let child = unsafe {
                assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
                libc::fork()
            };
            drop(lock);
            if child == 0 {
                // SAFETY: the descriptors are open.
                unsafe { libc::dup2(ends[1], 2) };
                fenced(side, || {
                    running("the kernel");
                    let mut block = vec![0_u8; 8];
                    access(block.as_mut_ptr());
                });
                // SAFETY: without destructors.
                unsafe { libc::_exit(0) };
            }
            let mut text = [0_u8; 200];
            let mut status = 0;
            // SAFETY: the child is ours, and the buffer as long as said.
            let length = unsafe {
                libc::close(ends[1]);
                libc::waitpid(child, &mut status, 0);
                let length = libc::read(ends[0], text.as_mut_ptr().cast(), text.len());
                libc::close(ends[0]);
                length
            };
            assert!(libc::WIFSIGNALED(status), "survived an access at {side:?}");
            let text = String::from_utf8_lossy(&text[..length.max(0) as usize]).into_owned();
            assert!(text.contains(message) && text.contains("by the kernel"), "said {text:?}");
        }
    }
}
