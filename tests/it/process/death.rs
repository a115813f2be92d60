//! Our own death, and a life inside a run's remains. Each test is also the program that it starts: a variable says which part it plays.

use std::process::{Command, Stdio};

use ccc::process::{reap_orphans, spawn, sweep_run};

use super::observer::{Fifo, PTY, alone, reader, run_id, shell};

const PART: &str = "CCC_TEST_PART";

#[expect(clippy::disallowed_methods, reason = "tells the two parts of a test apart")]
fn part() -> Option<String> {
    std::env::var(PART).ok()
}

/// This test binary again, in this one test, as `part`.
fn again(test: &str, part: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("process::death::{test}"), "--nocapture"]).env(PART, part).stdin(Stdio::null());
    command
}

#[test]
fn our_death_hangs_the_child_up_and_ends_its_stdin() {
    if let Some(fifo) = part() {
        let script = format!(
            "trap hup=yes HUP; echo ready >{fifo}; while read -r line; do :; done; eof=yes
             while [ -z \"$hup\" ]; do sleep 0.02; done; echo eof=$eof hup=$hup >{fifo}"
        );
        let _child = spawn(&shell(&script, PTY), reader().0).unwrap();
        loop {
            std::thread::park();
        }
    }
    let _turn = alone();
    let fifo = Fifo::new();
    let mut supervisor = again("our_death_hangs_the_child_up_and_ends_its_stdin", fifo.path.to_str().unwrap())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(fifo.line(), "ready");
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    assert_eq!(fifo.line(), "eof=yes hup=yes");
    reap_orphans();
}

#[test]
fn a_sweep_spares_itself_and_its_ancestors_even_if_they_carry_the_dead_runs_id() {
    if let Some(run_id) = part() {
        let swept = sweep_run(&run_id);
        // On a line of its own, whatever the test harness has written before.
        println!("\nkilled={} by a survivor", swept.killed);
        return;
    }
    let _turn = alone();
    let id = run_id("inside");
    let name = "a_sweep_spares_itself_and_its_ancestors_even_if_they_carry_the_dead_runs_id";
    // The shell is a session leader of the dead run and the parent of the sweeping process, which leads a session of its own.
    let program = std::env::current_exe().unwrap();
    let output = Command::new("setsid")
        .args(["sh", "-c", "setsid -w \"$0\" \"$@\"; echo the parent survived"])
        .arg(program)
        .args(["--exact", &format!("process::death::{name}"), "--nocapture"])
        .env(PART, &id)
        .env("CCC_RUN_ID", &id)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("killed=0 by a survivor\n"), "{text}");
    assert!(text.contains("the parent survived\n"), "{text}");
}

/// Starts this test as `part`, which runs a command that writes pids into these files of a directory and `ready` into its FIFO; then
/// kills it, as nobody can be warned of, and sees that all of them end.
fn all_die_with_us(test: &str, files: &[&str]) -> tempfile::TempDir {
    let _turn = alone();
    let dir = tempfile::tempdir().unwrap();
    crate::fifo::make_fifo(&dir.path().join("fifo"));
    let mut supervisor = again(test, dir.path().to_str().unwrap()).stdout(Stdio::null()).spawn().unwrap();
    std::fs::read_to_string(dir.path().join("fifo")).unwrap();
    let pids: Vec<u32> = files
        .iter()
        .map(|file| std::fs::read_to_string(dir.path().join(file)).unwrap().trim().parse().unwrap())
        .collect();
    assert!(pids.iter().all(|pid| super::observer::alive(*pid)), "the premise: {pids:?}");
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    let (_never, silent) = std::sync::mpsc::channel::<()>();
    let gone = (0..1_000).any(|_| {
        let _ = silent.recv_timeout(std::time::Duration::from_millis(10));
        pids.iter().all(|pid| !super::observer::alive(*pid))
    });
    assert!(gone, "they live on: {pids:?}");
    reap_orphans();
    dir
}

/// A command with this line, which runs until its end.
fn run_a_command(line: &str, ended_with_ccc: ccc::process::EndedWithCcc) {
    let mut spec = ccc::process::CommandSpec::shell(line, std::env::temp_dir());
    spec.env = vec![("PATH".into(), "/usr/bin:/bin".into())];
    spec.ended_with_ccc = ended_with_ccc;
    drop(ccc::process::run_command(&spec, &ccc::process::Cancel::new().unwrap()));
}

#[test]
fn our_death_ends_a_command_with_all_that_it_started_whatever_session_or_environment_that_has() {
    if let Some(dir) = part() {
        let line = format!(
            "cd '{dir}'; (trap '' TERM HUP; echo $$ >plain; exec sleep 5001) & setsid sh -c 'echo $$ >session; exec sleep 5002' &
             env -i setsid sh -c 'echo $$ >bare; exec sleep 5003' & (setsid sh -c 'echo $$ >orphan; exec sleep 5004' &)
             while ! [ -s session -a -s bare -a -s orphan ]; do sleep 0.02; done; echo ready >fifo; sleep 5005"
        );
        return run_a_command(&line, ccc::process::EndedWithCcc::Tree);
    }
    let name = "our_death_ends_a_command_with_all_that_it_started_whatever_session_or_environment_that_has";
    all_die_with_us(name, &["session", "bare", "orphan"]);
}

/// Only Linux has the signal. A killed git would leave its locks.
#[test]
#[cfg(target_os = "linux")]
fn our_death_ends_a_command_that_has_no_watching_process_when_it_has_tidied_up() {
    let name = "our_death_ends_a_command_that_has_no_watching_process_when_it_has_tidied_up";
    if let Some(dir) = part() {
        let line = format!(
            "cd '{dir}'; touch lock; trap 'rm lock; exit' TERM; trap '' HUP; echo $$ >pid; echo ready >fifo; while :; do sleep 0.02; done"
        );
        return run_a_command(&line, ccc::process::EndedWithCcc::Command);
    }
    let dir = all_die_with_us(name, &["pid"]);
    assert!(!dir.path().join("lock").exists(), "its lock stays");
}

/// Killed in the middle of a change of references, it would leave `packed-refs.lock`, and no git could remove a branch any more.
#[test]
#[cfg(target_os = "linux")]
fn our_death_leaves_no_lock_of_git() {
    if let Some(dir) = part() {
        let line = format!(
            "cd '{dir}'; git init -q .; git -c user.name=a -c user.email=a commit -q --allow-empty -m one; git branch gone; mkfifo in
             (printf 'start\ndelete refs/heads/gone\nprepare\n'; until [ -e .git/packed-refs.lock ]; do sleep 0.02; done
              echo ready >fifo; while [ -e pid ]; do sleep 0.02; done) >in &
             echo $$ >pid; exec git update-ref --stdin <in"
        );
        return run_a_command(&line, ccc::process::EndedWithCcc::Command);
    }
    let dir = all_die_with_us("our_death_leaves_no_lock_of_git", &["pid"]);
    for lock in ["packed-refs.lock", "refs/heads/gone.lock"] {
        assert!(!dir.path().join(".git").join(lock).exists(), "{lock}");
    }
    assert!(dir.path().join(".git/refs/heads/gone").exists(), "the change was not made");
}

/// It changes something in a moment, and would leave half of it.
#[test]
fn our_death_lets_a_command_finish_that_is_to_finish() {
    if let Some(dir) = part() {
        let line = format!("cd '{dir}'; echo ready >fifo; read -r go <fifo; echo done >fifo");
        return run_a_command(&line, ccc::process::EndedWithCcc::Nothing);
    }
    let _turn = alone();
    let fifo = Fifo::new();
    let dir = fifo.path.parent().unwrap().to_str().unwrap().to_owned();
    let mut supervisor =
        again("our_death_lets_a_command_finish_that_is_to_finish", &dir).stdout(Stdio::null()).spawn().unwrap();
    assert_eq!(fifo.line(), "ready");
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    std::fs::write(&fifo.path, "go\n").unwrap();
    assert_eq!(fifo.line(), "done");
    reap_orphans();
}
