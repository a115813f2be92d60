//! Replaces this process by another program.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Executes the program in this process, which keeps its pid, terminal, job and open standard streams. Signal dispositions that
/// this program's runtime has set are reset. Returns only on failure.
pub fn exec<A: AsRef<OsStr>>(
    program: &Path,
    args: impl IntoIterator<Item = A>,
    env: impl IntoIterator<Item = (OsString, OsString)>,
) -> io::Error {
    Command::new(program).args(args).env_clear().envs(env).exec()
}
