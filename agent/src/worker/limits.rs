//! Limits and precautions that the worker takes on itself before it touches a model.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::errno::Errno;
use nix::sched::{CloneFlags, CpuSet, sched_setaffinity, unshare};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::personality::{self, Persona};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, rlim_t, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::time::TimeValLike as _;
use nix::unistd::{Pid, Uid};
use quantrack_proto::Precaution;

use super::sockets;

/// Files that a worker may have open.
const OPEN_FILES: u64 = 64;

/// Bytes of a file that it may write: none of its own, but user-mode emulators make what they show it of /proc in a small one.
const FILE_BYTES: u64 = 64 << 10;

/// Set in the environment of a worker that has started itself again.
const AGAIN: &str = "QUANTRACK_WORKER_AGAIN";

/// Starts this program again, in the same process, without random addresses: two runs then have the same memory layout,
/// as far as it is up to the system. Comes before everything else, and returns when the system refuses.
pub fn fix_addresses() {
    let fixed = Persona::ADDR_NO_RANDOMIZE;
    let Ok(persona) = personality::get() else { return };
    if persona.contains(fixed) || std::env::var_os(AGAIN).is_some() {
        return;
    }
    if personality::set(persona | fixed).is_ok() {
        // Returns only when it fails.
        let _ =
            Command::new("/proc/self/exe").args(std::env::args_os().skip(1)).env(AGAIN, "1").exec();
    }
}

/// Limits memory and files, turns core dumps off, dies with the agent, and offers itself to the kernel first when
/// memory runs out. Then takes the precautions that the system allows, and pins to `cores`; returns those that it does
/// not allow, with the reasons.
///
/// # Errors
/// When the system refuses a limit.
pub fn apply(memory_limit_bytes: u64, cores: &[u32]) -> Result<Missing, String> {
    let set = |resource, limit: u64| {
        // Wider than a 32-bit address space means no limit there.
        let limit = limit.min(usize::MAX as u64) as rlim_t;
        setrlimit(resource, limit, limit).map_err(|e| format!("failed to set {resource:?}: {e}"))
    };
    set(Resource::RLIMIT_CORE, 0)?;
    set(Resource::RLIMIT_FSIZE, FILE_BYTES)?;
    set(Resource::RLIMIT_NOFILE, OPEN_FILES)?;
    set(Resource::RLIMIT_AS, memory_limit_bytes)?;
    let die = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
    die.map_err(|e| format!("failed to tie the worker to the agent: {e}"))?;
    // A container may forbid it; then the kernel chooses by size, which is the worker as well.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let mut missing = Missing::default();
    missing.note(Precaution::Memory, lock_memory(memory_limit_bytes));
    if let Err((namespace, filter)) = leave_network() {
        let why = format!("{}; nor are sockets refused: {}", namespace.desc(), filter.desc());
        missing.0.push((Precaution::Network, why));
    }
    missing.note(
        Precaution::Addresses,
        match personality::get() {
            Ok(persona) if persona.contains(Persona::ADDR_NO_RANDOMIZE) => Ok(()),
            Ok(_) => Err(Errno::EPERM),
            Err(errno) => Err(errno),
        },
    );
    missing.note(Precaution::Cores, pin(cores));
    Ok(missing)
}

/// Precautions that the system does not allow.
#[derive(Debug, Default)]
pub struct Missing(Vec<(Precaution, String)>);

impl Missing {
    fn note(&mut self, precaution: Precaution, taken: Result<(), Errno>) {
        if let Err(errno) = taken {
            self.0.push((precaution, errno.desc().to_owned()));
        }
    }

    /// Whether it is this one.
    pub fn is(&self, precaution: Precaution) -> bool {
        self.0.iter().any(|(missing, _)| *missing == precaution)
    }

    /// Each with the reason, as in "memory is not locked: Operation not permitted".
    pub fn texts(&self) -> Vec<String> {
        self.0.iter().map(|(missing, why)| format!("{}: {why}", missing.lack())).collect()
    }
}

/// Keeps what has been touched in memory. Only where all that the worker may take may be locked: allocations fail beyond
/// what may.
fn lock_memory(memory_limit_bytes: u64) -> Result<(), Errno> {
    /// `MCL_ONFAULT` of mlockall(2), for which `nix` has no name: pages are locked when they are touched, not when they are mapped.
    const ON_FAULT: MlockAllFlags = MlockAllFlags::from_bits_retain(4);
    let (_, most) = getrlimit(Resource::RLIMIT_MEMLOCK)?;
    if !Uid::effective().is_root() {
        if most < memory_limit_bytes.min(usize::MAX as u64) as rlim_t {
            return Err(Errno::EPERM);
        }
        setrlimit(Resource::RLIMIT_MEMLOCK, most, most)?;
    }
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | ON_FAULT)
}

/// Moves to a network of its own, in which there is nothing. Who may not make one alone may do so among users of its own; who
/// may not do that either goes without sockets. With an error, why there is neither.
fn leave_network() -> Result<(), (Errno, Errno)> {
    unshare(CloneFlags::CLONE_NEWNET)
        .or_else(|_| unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET))
        .or_else(|namespace| sockets::refuse().map_err(|filter| (namespace, filter)))
}

/// Pins this thread, and those that it starts from now on; to no cores: leaves it where it is.
///
/// # Errors
/// When the system refuses, or has no such cores.
pub fn pin(cores: &[u32]) -> Result<(), Errno> {
    if cores.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    for &core in cores {
        let core = usize::try_from(core).ok().filter(|&core| core < CpuSet::count());
        set.set(core.ok_or(Errno::EINVAL)?)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set)
}

/// CPU time of all threads of this process so far, and of the programs that it has started and waited for.
pub fn cpu_time_ns() -> u64 {
    let of = |who| {
        let usage = getrusage(who).ok()?;
        u64::try_from((usage.user_time() + usage.system_time()).num_nanoseconds()).ok()
    };
    let both = [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN];
    both.into_iter().filter_map(of).sum()
}

/// Largest resident memory so far.
pub fn peak_memory_bytes() -> Option<u64> {
    let kib = getrusage(UsageWho::RUSAGE_SELF).ok()?.max_rss();
    u64::try_from(kib).ok()?.checked_mul(1024)
}
