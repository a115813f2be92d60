//! The state directory: the user's alone, or nothing is done with it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use super::sandbox::Sandbox;

const STATE: &str = "home/.local/state/ccc";
/// Commands that keep state.
const COMMANDS: [&[&str]; 7] = [
    &["runs"],
    &["tokens"],
    &["usage"],
    &["resume"],
    &["replay", "last"],
    &["trust", "--list"],
    &["--supervisor", "-p", "x"],
];

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.script("bin/claude", "echo '2.1.329 (Claude Code)'");
    for dir in ["runs", "trust", "trees"] {
        fs::create_dir_all(sandbox.path(&format!("{STATE}/{dir}"))).expect("mkdir");
    }
    sandbox
}

#[track_caller]
fn assert_refused(sandbox: &Sandbox, says: &str, remedy: &str) {
    for args in COMMANDS {
        let seen = sandbox.run(args);
        assert!(seen.starts_with("exit code 2\n") && seen.contains(says) && seen.contains(remedy), "{args:?}: {seen}");
    }
    let seen = sandbox.run(&["doctor", "--offline"]);
    assert!(seen.contains("fail  state directory: ") && seen.contains(says) && seen.contains(remedy), "{seen}");
}

#[test]
fn a_state_directory_that_others_can_write_to_is_refused_with_the_remedy() {
    for (dir, mode) in [(STATE.to_owned(), 0o777), (format!("{STATE}/runs"), 0o770), (format!("{STATE}/trust"), 0o703)]
    {
        let sandbox = sandbox();
        let path = sandbox.path(&dir);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
        assert_refused(&sandbox, &format!("is open to others (mode {mode:03o})"), "chmod go-rwx [ROOT]/home/");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("chmod");
        assert!(sandbox.run(&["runs"]).starts_with("exit code 0\n"));
    }
}

#[test]
fn a_state_directory_of_somebody_else_is_refused_with_the_remedy() {
    let sandbox = sandbox();
    // Only root may give directories away.
    if chown(sandbox.path(STATE), Some(12_345), None).is_err() {
        return;
    }
    assert_refused(&sandbox, "belongs to another user (uid 12345)", "sudo chown -R");
}

#[test]
fn a_link_inside_the_state_directory_is_refused_and_the_state_directory_itself_may_be_one() {
    let sandbox = sandbox();
    fs::create_dir(sandbox.path("elsewhere")).expect("mkdir");
    fs::remove_dir(sandbox.path(&format!("{STATE}/runs"))).expect("rmdir");
    symlink(sandbox.path("elsewhere"), sandbox.path(&format!("{STATE}/runs"))).expect("link");
    assert_refused(&sandbox, "is a link, which ccc does not follow inside its state directory", "mv [ROOT]/home/");
    fs::remove_dir_all(sandbox.path(STATE)).expect("removed");
    symlink(sandbox.path("elsewhere"), sandbox.path(STATE)).expect("link");
    assert!(sandbox.run(&["runs"]).starts_with("exit code 0\n"));
}
