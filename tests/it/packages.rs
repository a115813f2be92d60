//! The launcher of the npm package, with a script in the place of the program. `scripts/package --check` installs the real packages.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// A directory in which npm would have installed the launcher, and, with a body, the program of this system.
fn installed(body: Option<&str>) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let launcher = dir.path().join("node_modules/ccc-supervisor/bin");
    fs::create_dir_all(&launcher).expect("a directory");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/npm/ccc.js");
    fs::copy(source, launcher.join("ccc.js")).expect("the launcher");
    if let Some(body) = body {
        let os = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
        let cpu = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
        let bin = dir.path().join(format!("node_modules/ccc-supervisor-{os}-{cpu}/bin"));
        fs::create_dir_all(&bin).expect("a directory");
        fs::write(bin.join("ccc"), format!("#!/bin/sh\n{body}\n")).expect("the program");
        fs::set_permissions(bin.join("ccc"), fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    dir
}

/// The launcher; `None` where node is not installed, which under CI is a failure.
fn launcher(dir: &Path) -> Option<Command> {
    if Command::new("node").arg("--version").stdout(Stdio::null()).status().is_err() {
        assert!(std::env::var_os("CI").is_none(), "node is not installed");
        return None;
    }
    let mut command = Command::new("node");
    command.arg(dir.join("node_modules/ccc-supervisor/bin/ccc.js")).stdin(Stdio::null());
    Some(command)
}

#[test]
fn the_launcher_of_npm_is_the_program_to_its_caller() {
    let dir = installed(Some("printf '%s|' \"$@\" \"$MARK\"; echo told >&2; exit 75"));
    let Some(mut command) = launcher(dir.path()) else { return };
    let output = command.args(["-p", "two words", "", "--"]).env("MARK", "here").output().expect("node runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "-p|two words||--|here|");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "told\n");
    assert_eq!(output.status.code(), Some(75));
}

#[test]
fn the_launcher_of_npm_passes_on_a_request_to_end() {
    let dir = installed(Some("trap 'echo asked to end; exit 3' TERM; echo ready; while :; do sleep 0.1; done"));
    let Some(mut command) = launcher(dir.path()) else { return };
    let mut child = command.stdout(Stdio::piped()).spawn().expect("node runs");
    let mut said = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    assert_eq!(said.next().expect("a line").expect("text"), "ready");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it lives");
    assert_eq!(said.next().expect("a line").expect("text"), "asked to end");
    assert_eq!(child.wait().expect("it has ended").code(), Some(3));
}

#[test]
fn without_the_package_of_the_system_the_launcher_says_what_to_type() {
    let dir = installed(None);
    let Some(mut command) = launcher(dir.path()) else { return };
    let output = command.arg("--version").output().expect("node runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("the package ccc-supervisor-") && said.contains("npm install ccc-supervisor"), "{said}");
    assert!(said.lines().all(|line| line.len() <= 80), "{said}");
}
