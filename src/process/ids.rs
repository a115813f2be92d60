//! The ids of a process's session and group, which a process in a container may not have.
//!
//! In a PID namespace, such as a container's, the leader of a session or of a group can be outside. The kernel then gives 0 for
//! it (pid_namespaces(7)). rustix takes these ids for positive: `getsid`, `getpgid` and `getpgrp` panic in a debug build and are
//! unsound in a release build, so `clippy.toml` forbids them.

use rustix::process::Pid;

/// The id of the session of `pid`, or of ccc's own session without one. `None` if its leader is outside of ccc's PID namespace,
/// or if there is no such process.
#[must_use]
pub(crate) fn session_of(pid: Option<Pid>) -> Option<Pid> {
    #[allow(unsafe_code, reason = "rustix has no form of getsid(2) that may return 0")]
    // SAFETY: it takes a number and touches no memory.
    let session = unsafe { libc::getsid(Pid::as_raw(pid)) };
    positive(session)
}

/// The id of ccc's own process group. `None` if its leader is outside of ccc's PID namespace.
#[must_use]
pub(crate) fn own_group() -> Option<Pid> {
    #[allow(unsafe_code, reason = "rustix has no form of getpgrp(2) that may return 0")]
    // SAFETY: it takes nothing and touches no memory.
    let group = unsafe { libc::getpgrp() };
    positive(group)
}

fn positive(id: i32) -> Option<Pid> {
    if id > 0 { Pid::from_raw(id) } else { None }
}

#[cfg(test)]
mod tests {
    use super::{own_group, session_of};

    #[test]
    fn a_process_that_leads_neither_has_both_ids() {
        let us = rustix::process::getpid();
        assert!(session_of(Some(us)) == session_of(None));
        assert!(session_of(rustix::process::Pid::from_raw(i32::MAX)).is_none(), "there is no such process");
    }

    /// The first process of another PID namespace, for the test below.
    #[test]
    #[ignore = "it is the other process of another test"]
    fn the_first_process_of_a_namespace() {
        if std::env::var_os("CCC_TEST_NAMESPACE").is_some() {
            assert_eq!((session_of(None), own_group()), (None, None));
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn leaders_outside_of_the_namespace_have_no_id() {
        let test = "process::ids::tests::the_first_process_of_a_namespace";
        let run = |options: &[&str], program: &std::ffi::OsStr, args: &[&str]| {
            let mut command = std::process::Command::new("unshare");
            command.args(options).arg(program).args(args).env("CCC_TEST_NAMESPACE", "1");
            command.output().ok().is_some_and(|output| output.status.success())
        };
        let ways: [&[&str]; 2] = [&["--fork", "--pid"], &["--fork", "--pid", "--user", "--map-root-user"]];
        let Some(way) = ways.into_iter().find(|way| run(way, "true".as_ref(), &[])) else {
            eprintln!("this machine gives no PID namespace to a test");
            return;
        };
        let us = std::env::current_exe().expect("the test's program");
        assert!(run(way, us.as_os_str(), &["--exact", test, "--ignored", "--nocapture"]));
    }
}
