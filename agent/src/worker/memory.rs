//! How much memory a variant takes in a process that holds several.

use crate::board::meminfo;

/// What one variant holds and needs, apart from the others in the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Footprint {
    /// What it holds now.
    held_bytes: u64,
    /// The most that it needed.
    peak_bytes: u64,
}

impl Footprint {
    /// Does some work of the variant, and adds what it took. `None` when the system does not tell.
    pub(super) fn during<T>(self, work: impl FnOnce() -> T) -> (T, Option<Self>) {
        let before = resident().filter(|_| reset_peak());
        let done = work();
        let after = before.zip(peak()).zip(resident());
        (done, after.map(|((before, peak), after)| self.add(before, peak, after)))
    }

    fn add(self, before: u64, peak: u64, after: u64) -> Self {
        Self {
            held_bytes: (self.held_bytes + after).saturating_sub(before),
            peak_bytes: self.peak_bytes.max(self.held_bytes + peak.saturating_sub(before)),
        }
    }

    /// The largest resident memory of a process that had this variant only, and `base_bytes` before it.
    pub(super) fn alone(self, base_bytes: u64) -> u64 {
        base_bytes + self.peak_bytes
    }
}

/// Resident memory now.
pub(super) fn resident() -> Option<u64> {
    status("VmRSS")
}

/// Largest resident memory since [`reset_peak`].
fn peak() -> Option<u64> {
    status("VmHWM")
}

/// Whether the kernel counts the largest resident memory from here on (proc_pid_clear_refs(5)).
fn reset_peak() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

fn status(name: &str) -> Option<u64> {
    meminfo(&std::fs::read_to_string("/proc/self/status").ok()?, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_hold_does_not_count() {
        // Loading takes 30 for a moment and keeps 10; another variant of 500 is loaded meanwhile; running takes 7 more.
        let loaded = Footprint::default().add(100, 130, 110);
        assert_eq!(loaded, Footprint { held_bytes: 10, peak_bytes: 30 });
        let run = loaded.add(610, 617, 612);
        assert_eq!(run, Footprint { held_bytes: 12, peak_bytes: 30 });
        assert_eq!(run.add(612, 640, 612).alone(5), 5 + 40);
    }

    #[test]
    fn a_real_allocation_is_seen_or_nothing_is_said() {
        let (bytes, footprint) = Footprint::default().during(|| vec![1_u8; 32 << 20]);
        if let Some(footprint) = footprint {
            // Other tests run in the same process, so only roughly.
            assert!(footprint.peak_bytes >= 16 << 20, "{footprint:?}");
        }
        drop(bytes);
    }
}
