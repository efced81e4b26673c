//! A worker without sockets: a filter of system calls, for boards that give it no network of its own.
//!
//! The filter is classic BPF and written by hand, since what it refuses is little and `seccompiler`, which installs it on
//! every architecture, compiles rules for 64-bit ones only. Threads inherit it, so it comes before them. What was open before
//! stays open: of a worker those are the pipes to its agent.

use nix::errno::Errno;
use nix::libc;
use seccompiler::{Error, apply_filter, sock_filter};

/// How the kernel names this architecture in what a filter sees (`AUDIT_ARCH_*` of linux/audit.h).
const ARCHITECTURE: Option<u32> = if cfg!(target_arch = "x86_64") {
    Some(0xc000_003e)
} else if cfg!(all(target_arch = "aarch64", target_endian = "little")) {
    Some(0xc000_00b7)
} else if cfg!(all(target_arch = "arm", target_endian = "little")) {
    Some(0x4000_0028)
} else {
    None
};

/// Where the number of a system call, and its architecture, are in `struct seccomp_data`.
const NUMBER: u32 = 0;
const CALLED_FROM: u32 = 4;

/// x86-64 has every call a second time, with this bit in its number. No other architecture has numbers as high, but for the
/// private ones of 32-bit ARM, which set up threads.
const SECOND_ABI: Option<u32> = if cfg!(target_arch = "x86_64") { Some(0x4000_0000) } else { None };

/// What makes sockets, or reaches them past this filter.
const REFUSED: [libc::c_long; 3] =
    [libc::SYS_socket, libc::SYS_socketpair, libc::SYS_io_uring_setup];

/// Takes sockets of every family away from this thread and those that it starts from now on.
///
/// # Errors
/// When the system has no such filters, or does not allow this one.
pub(super) fn refuse() -> Result<(), Errno> {
    let program = program().ok_or(Errno::ENOSYS)?;
    apply_filter(&program).map_err(|error| match error {
        Error::Prctl(error) | Error::Seccomp(error) => {
            error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
        }
        _ => Errno::EINVAL,
    })
}

/// Ends the process at a call of another architecture, whose numbers mean something else; fails what is refused with EPERM.
fn program() -> Option<Vec<sock_filter>> {
    let load = |at| instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at, 0, 0);
    let end = |with| instruction(libc::BPF_RET | libc::BPF_K, with, 0, 0);
    let refusal = end(libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs());
    // Each test jumps over the end that follows it.
    let unless = |test, value| instruction(libc::BPF_JMP | test | libc::BPF_K, value, 1, 0);
    let when = |test, value| instruction(libc::BPF_JMP | test | libc::BPF_K, value, 0, 1);
    let mut program = vec![
        load(CALLED_FROM),
        unless(libc::BPF_JEQ, ARCHITECTURE?),
        end(libc::SECCOMP_RET_KILL_PROCESS),
        load(NUMBER),
    ];
    if let Some(bit) = SECOND_ABI {
        program.extend([when(libc::BPF_JGE, bit), refusal.clone()]);
    }
    for call in REFUSED {
        program.extend([when(libc::BPF_JEQ, u32::try_from(call).ok()?), refusal.clone()]);
    }
    program.push(end(libc::SECCOMP_RET_ALLOW));
    Some(program)
}

/// One that jumps so far when its test is true, or false.
fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    // All codes have 8 bits.
    sock_filter { code: code as u16, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    fn all_refused() -> bool {
        let refused = |error: std::io::Error| error.raw_os_error() == Some(libc::EPERM);
        let folder = tempfile::TempDir::new().unwrap();
        TcpListener::bind("127.0.0.1:0").is_err_and(refused)
            && UdpSocket::bind("[::1]:0").is_err_and(refused)
            && UnixListener::bind(folder.path().join("socket")).is_err_and(refused)
            && UnixStream::pair().is_err_and(refused)
    }

    /// A filter is a thread's own, so a thread can be lent to it.
    #[test]
    fn a_thread_under_the_filter_has_no_sockets_and_does_all_else() {
        let lent = std::thread::spawn(|| {
            refuse().unwrap();
            assert!(all_refused());
            assert!(std::thread::spawn(all_refused).join().unwrap(), "a thread of its own");
            assert!(std::fs::read("/proc/self/status").is_ok());
        });
        lent.join().unwrap();
        assert!(!all_refused(), "the others keep theirs");
    }
}
