//! Closes descriptors that a child must not inherit, between fork and exec.

use std::ffi::c_int;

use super::system;

/// How many descriptors the fallback handles without `close_range`: the usual soft limit of open files.
const FALLBACK_DESCRIPTORS: c_int = 1024;

/// Closes this descriptor and all higher ones. Async-signal-safe.
#[allow(unsafe_code, reason = "numbers that may be closed cannot be borrowed")]
pub(super) fn close_from(first: c_int) {
    if system::close_range(first) {
        return;
    }
    for fd in first..FALLBACK_DESCRIPTORS {
        // SAFETY: an integer; the caller no longer uses any of these descriptors, and for a closed one the call fails.
        unsafe { libc::close(fd) };
    }
}

/// Marks descriptor 3 and all higher ones close-on-exec. ccc's own are marked already, but not those inherited from its parent,
/// nor those that another thread (or portable-pty, between its two calls) has just opened.
#[allow(unsafe_code, reason = "numbers that may be closed cannot be borrowed")]
pub(super) fn close_others_on_exec() {
    if system::close_range_on_exec(3) {
        return;
    }
    for fd in 3..FALLBACK_DESCRIPTORS {
        // SAFETY: F_SETFD takes one integer; on a closed descriptor it fails and changes nothing.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}
