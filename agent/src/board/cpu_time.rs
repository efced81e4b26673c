//! CPU time of everything that runs on the board.

use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

use super::root::Root;

/// CPU time that all processes and interrupts have taken since boot, and other guests of the same host; to a hundredth
/// of a second, as the kernel counts it. `None` when nothing says.
pub fn cpu_time(root: &Root) -> Option<Duration> {
    let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().filter(|ticks| *ticks > 0)?;
    let ticks = busy_ticks(&root.read("/proc/stat")?)?;
    Some(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}

/// Of the line for all CPUs (proc_stat(5)): user, nice, system, then idle and iowait, which are no work, then irq, softirq and
/// steal. What follows is contained in the first two.
fn busy_ticks(stat: &str) -> Option<u64> {
    let all = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Option<Vec<u64>> = all.split_whitespace().map(|text| text.parse().ok()).collect();
    let ticks = ticks?;
    let worked = ticks.iter().take(3).chain(ticks.iter().skip(5).take(3));
    (ticks.len() >= 4).then(|| worked.sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_and_what_is_counted_twice_do_not_count() {
        let stat = "cpu  100 20 30 9999 5 1 2 3 50 60\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(busy_ticks(stat), Some(100 + 20 + 30 + 1 + 2 + 3));
        assert_eq!(busy_ticks("cpu  7 0 1 9\n"), Some(8), "as old kernels write it");
        for nothing in ["", "cpu  1 2\n", "cpu  1 2 3 x\n", "cpu0 1 2 3 4\n"] {
            assert_eq!(busy_ticks(nothing), None, "{nothing:?}");
        }
    }
}
