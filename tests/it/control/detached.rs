//! Runs that outlive the terminal that they were started from.

use std::io::Read as _;
use std::process::Stdio;

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use rustix::process::Signal;

use super::{begun, go, waiting};
use crate::ownfaults::world::{TASK, World};
use crate::whole_runs::harness::{Ended, is_alive, journal, look_until, send};

/// The arguments of a run in the background.
fn detached(agent: &str) -> Vec<&str> {
    vec!["--supervisor", "-p", TASK, "--agent", agent, "--detach"]
}

/// The process that hosts the last run.
fn host(world: &World) -> u32 {
    look_until("the host", || {
        let lock = std::fs::read_to_string(world.run_dir().join("lock")).ok()?;
        let holder: serde_json::Value = serde_json::from_str(&lock).ok()?;
        u32::try_from(holder["pid"].as_u64()?).ok()
    })
}

/// Waits until the last run has an outcome, and nothing of it is alive.
fn outcome(world: &World) -> String {
    let outcome = look_until("an outcome", || {
        let summary = std::fs::read_to_string(world.run_dir().join("run.json")).ok()?;
        let summary: serde_json::Value = serde_json::from_str(&summary).ok()?;
        summary["outcome"].as_str().map(str::to_owned)
    });
    look_until("the end of its processes", || world.ground.alive(0).is_empty().then_some(()));
    world.ground.assert_sound();
    outcome
}

fn attached<'a>(world: &'a World, args: &[&str]) -> Ended<'a> {
    let all: Vec<&str> = ["attach", "last", "--plain", "--read-only"].into_iter().chain(args.iter().copied()).collect();
    world.run(&all)
}

#[test]
fn a_detached_run_prints_its_id_goes_on_by_itself_and_is_shown_whole_by_attach() {
    let world = waiting();
    let agent = world.agent.display().to_string();
    let started = world.run(&detached(&agent));
    started.assert_code(0);
    assert_eq!(started.stdout.trim(), world.run_id());
    assert!(started.stderr.contains("ccc attach") && started.stderr.contains("ccc stop"), "{}", started.stderr);
    world.until_file("begun");
    let host = host(&world);
    assert!(is_alive(host) && host != started.status.code().unwrap_or(0).unsigned_abs());
    // A session of its own, and nothing of what it was started with.
    #[allow(clippy::disallowed_methods, reason = "a host leads its own session, so its id is known here")]
    let session = rustix::process::getsid(rustix::process::Pid::from_raw(host.cast_signed())).expect("a session");
    assert_eq!(session.as_raw_nonzero().get().unsigned_abs(), host);
    for fd in 0..3 {
        let to = std::fs::read_link(format!("/proc/{host}/fd/{fd}")).expect("a descriptor");
        let to = to.display().to_string();
        assert!(to == "/dev/null" || to.ends_with("/host.log"), "{fd}: {to}");
    }
    let watcher = {
        let mut command = world.ccc(&["attach", "last", "--plain", "--read-only"]);
        command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("ccc attach")
    };
    go(&world);
    let seen = watcher.wait_with_output().expect("it ends with the run");
    let seen = (seen.status.code(), String::from_utf8_lossy(&seen.stdout).into_owned());
    assert_eq!(outcome(&world), "completed");
    // What happened before it attached, and what happened after.
    for part in ["I begin.", "First done.", "All is there."] {
        assert_eq!(seen.1.matches(part).count(), 1, "{part}: {}", seen.1);
    }
    assert_eq!(seen.0, Some(0), "{}", seen.1);
    let again = attached(&world, &[]);
    again.assert_code(0);
    assert!(again.stdout.contains("First done."), "{}", again.stdout);
}

#[test]
fn ctrl_c_leaves_a_conversation_in_lines_and_says_that_the_run_continues() {
    let world = waiting();
    world.run(&detached(&world.agent.display().to_string())).assert_code(0);
    world.until_file("begun");
    let mut watcher = {
        let mut command = world.ccc(&["attach", "last", "--plain", "--read-only"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("ccc attach")
    };
    let mut said = watcher.stderr.take().expect("stderr");
    assert!(said.read(&mut [0; 1024]).expect("the greeting") > 0);
    send(watcher.id(), Signal::INT);
    let mut left = String::new();
    said.read_to_string(&mut left).expect("UTF-8");
    assert!(left.contains("the run continues; to attach again: ccc attach"), "{left}");
    assert_eq!(watcher.wait().expect("it ends").code(), Some(130));
    go(&world);
    assert_eq!(outcome(&world), "completed");
}

#[test]
fn the_end_of_the_terminal_and_of_the_starter_is_not_the_end_of_a_detached_run() {
    let world = waiting();
    let pty = native_pty_system().openpty(PtySize { rows: 24, cols: 100, ..PtySize::default() }).expect("a terminal");
    let command = world.ccc(&detached(&world.agent.display().to_string()));
    let mut builder = CommandBuilder::new("/bin/sh");
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy().replace('\'', "'\\''")))
        .collect();
    // A shell that stays, as the user's does.
    builder.args(["-c", &format!("{}; sleep 600", words.join(" "))]);
    builder.env_clear();
    for (name, value) in command.get_envs() {
        builder.env(name, value.unwrap_or_default());
    }
    builder.cwd(world.ground.project());
    let mut shell = pty.slave.spawn_command(builder).expect("a shell");
    drop(pty.slave);
    let mut screen = pty.master.try_clone_reader().expect("the screen");
    std::thread::spawn(move || drop(screen.read_to_end(&mut Vec::new())));
    world.until_file("begun");
    let host = host(&world);
    // The window is closed: the terminal goes, and its shell is killed.
    drop(pty.master);
    drop(shell.kill());
    drop(shell.wait());
    send(host, Signal::HUP);
    go(&world);
    assert_eq!(outcome(&world), "completed");
    world.assert_said_once(&[TASK]);
}

#[test]
fn a_host_that_was_killed_is_told_of_and_its_run_is_resumed_in_the_background() {
    let world = waiting();
    world.run(&detached(&world.agent.display().to_string())).assert_code(0);
    world.until_file("begun");
    let mut watcher = {
        let mut command = world.ccc(&["attach", "last", "--plain", "--read-only"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("ccc attach")
    };
    let mut seen = watcher.stdout.take().expect("stdout");
    let mut buffer = [0; 64];
    assert!(seen.read(&mut buffer).expect("history") > 0);
    let first = host(&world);
    send(first, Signal::KILL);
    drop(seen);
    let told = watcher.wait_with_output().expect("it ends with the host");
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert_eq!(told.status.code(), Some(1), "{said}");
    assert!(said.contains("ended before it reported an outcome") && said.contains("ccc resume"), "{said}");
    // Its socket listens until the system has taken the last of it away.
    look_until("the host's end", || {
        let stat = std::fs::read_to_string(format!("/proc/{first}/stat")).unwrap_or_default();
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    });
    let over = world.run(&["send", "last", "Anybody?"]);
    over.assert_code(2);
    look_until("the agent's end", || world.ground.alive(0).is_empty().then_some(()));
    go(&world);
    let resumed = world.run(&["resume", "last", "--detach"]);
    resumed.assert_code(0);
    assert_eq!(resumed.stdout.trim(), world.run_id());
    assert_eq!(outcome(&world), "completed");
    assert_eq!(world.lives(), 2);
    world.assert_said_once(&[TASK]);
    assert!(!journal(&world.run_dir()).is_empty());
}

#[test]
fn what_keeps_a_run_from_beginning_is_said_where_it_was_started() {
    let world = waiting();
    let refused = world.run(&["--supervisor", "-p", " ", "--detach"]);
    refused.assert_code(2);
    assert!(refused.stderr.contains("is empty") && refused.stdout.is_empty(), "{}{}", refused.stdout, refused.stderr);
    assert!(world.ground.runs().is_empty());
    // A second run in the same directory.
    let running = begun(&world);
    let second = world.run(&detached(&world.agent.display().to_string()));
    second.assert_code(2);
    assert!(second.stderr.contains("in use by another ccc"), "{}", second.stderr);
    go(&world);
    running.end().assert_code(0);
}
