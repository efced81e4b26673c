//! Limits that the worker sets on itself before it touches a model.

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, UsageWho, getrusage, rlim_t, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// Files that a worker may have open.
const OPEN_FILES: u64 = 64;

/// Limits memory and files, turns core dumps off, dies with the agent, and offers itself to the kernel first when
/// memory runs out.
///
/// # Errors
/// When the system refuses a limit.
pub fn apply(memory_limit_bytes: u64) -> Result<(), String> {
    let set = |resource, limit: u64| {
        // Wider than a 32-bit address space means no limit there.
        let limit = limit.min(usize::MAX as u64) as rlim_t;
        setrlimit(resource, limit, limit).map_err(|e| format!("failed to set {resource:?}: {e}"))
    };
    set(Resource::RLIMIT_CORE, 0)?;
    set(Resource::RLIMIT_NOFILE, OPEN_FILES)?;
    set(Resource::RLIMIT_AS, memory_limit_bytes)?;
    let die = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
    die.map_err(|e| format!("failed to tie the worker to the agent: {e}"))?;
    // A container may forbid it; then the kernel chooses by size, which is the worker as well.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    Ok(())
}

/// Pins this thread, and those that it starts from now on. Returns the cores, none when the system refused.
pub fn pin(cores: &[u32]) -> Vec<u32> {
    let mut set = CpuSet::new();
    let all = cores.iter().all(|&core| {
        usize::try_from(core).is_ok_and(|core| core < CpuSet::count() && set.set(core).is_ok())
    });
    if cores.is_empty() || !all || sched_setaffinity(Pid::from_raw(0), &set).is_err() {
        return Vec::new();
    }
    cores.to_vec()
}

/// Largest resident memory so far.
pub fn peak_memory_bytes() -> Option<u64> {
    let kib = getrusage(UsageWho::RUSAGE_SELF).ok()?.max_rss();
    u64::try_from(kib).ok()?.checked_mul(1024)
}
