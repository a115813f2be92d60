//! Hooks of the agent's own interface: the server alone, and `ccc hook` as the agent's CLI calls it.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use ccc::agent::HOOK_GONE;
use ccc::control::protocol::{Code, FromRun, Hello, Reply, Request, encode_hello, encode_request};
use ccc::control::{Hook, Hub, Places, Served, Server, ToRun};
use ccc::journal::RunDir;

use super::Raw;
use crate::whole_runs::harness::DEADLINE;

const KEY: &str = "00ff00ff";

/// A run that is served, and has no agent.
struct Run {
    server: Server,
    told: Receiver<ToRun>,
    state: tempfile::TempDir,
}

fn served(key: Option<&str>) -> Run {
    let state = tempfile::tempdir().expect("a directory");
    let dir = RunDir::create(state.path(), "20261127-230000-aaaa").expect("a run");
    let served = Served {
        places: Places::new(state.path(), &dir, None),
        state_dir: state.path().to_owned(),
        run: "20261127-230000-aaaa".to_owned(),
        kind: "agent",
        cwd: "/".to_owned(),
        journal: dir.journal(),
        started_unix_ms: 0,
        hook_key: key.map(str::to_owned),
        caps: vec!["status", "follow", "say"],
        family: None,
    };
    let (sender, told) = channel();
    let server = Server::start(served, Hub::new(0), move |what| drop(sender.send(what))).expect("a server");
    Run { server, told, state }
}

impl Run {
    fn socket(&self) -> PathBuf {
        self.server.place().to_owned()
    }

    /// What a hook has told.
    fn hook(&self) -> Hook {
        loop {
            if let ToRun::Hook(hook) = self.told.recv_timeout(DEADLINE).expect("a hook") {
                return hook;
            }
        }
    }
}

/// `ccc hook`, as the CLI calls it.
fn hook_command(socket: &Path, key: &str, wait: bool) -> Command {
    let mut command = Command::new(crate::program::ccc());
    command
        .arg("hook")
        .args(wait.then_some("--wait"))
        .env_clear()
        .envs([("CCC_HOOK_KEY", key), ("CCC_ATTEMPT", "3"), ("CCC_RUN_ID", "night-1")])
        .env("CCC_CONTROL", socket)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn begun(socket: &Path, key: &str, wait: bool, input: &[u8]) -> std::process::Child {
    let mut child = hook_command(socket, key, wait).spawn().expect("ccc starts");
    // A hook that needs no input does not read it.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    child
}

/// What it printed. It always ends well, and never complains.
fn ended(child: std::process::Child) -> String {
    let output = child.wait_with_output().expect("an end");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn hooks_that_only_tell_are_answered_before_the_run_has_looked_and_reach_it_in_order() {
    let run = served(Some(KEY));
    // Nobody takes what they tell meanwhile: a run that is busy does not hold up the agent.
    for number in 0..20 {
        let input = format!("{{\"hook_event_name\":\"PreToolUse\",\n \"tool_use_id\":\"{number}\"}}");
        assert_eq!(ended(begun(&run.socket(), KEY, false, input.as_bytes())), "");
    }
    for number in 0..20 {
        let hook = run.hook();
        assert_eq!(hook.json, format!("{{\"hook_event_name\":\"PreToolUse\",  \"tool_use_id\":\"{number}\"}}"));
        assert!(hook.attempt == 3 && hook.reply.is_none());
    }
}

#[test]
fn a_hook_that_waits_prints_what_the_run_decides() {
    let run = served(Some(KEY));
    let answer = "{\"decision\":\"block\",\"reason\":\"Add tests.\\nAll of \\\"them\\\".\"}";
    for (answer, printed) in [(Some(answer), answer), (Some("{}"), "{}"), (None, "")] {
        let waiting = begun(&run.socket(), KEY, true, b"{\"hook_event_name\":\"Stop\"}");
        let hook = run.hook();
        assert_eq!(hook.json, "{\"hook_event_name\":\"Stop\"}");
        let reply = hook.reply.expect("it waits");
        match answer {
            Some(answer) => reply.send(answer.to_owned()).expect("it still waits"),
            // The run lets go of it without a word.
            None => drop(reply),
        }
        assert_eq!(ended(waiting), printed);
    }
}

#[test]
fn the_run_hears_of_a_waiting_hook_that_is_gone_and_not_of_one_that_was_answered() {
    let run = served(Some(KEY));
    let mut waiting = begun(&run.socket(), KEY, true, b"{}");
    let reply = run.hook().reply.expect("it waits");
    // Claude Code ends it by a signal when the user presses Esc.
    waiting.kill().expect("killed");
    waiting.wait().expect("an end");
    let gone = run.hook();
    assert_eq!((gone.json.as_str(), gone.attempt), (HOOK_GONE, 3));
    assert!(gone.reply.is_none() && reply.is_closed());
    let waiting = begun(&run.socket(), KEY, true, b"{}");
    run.hook().reply.expect("it waits").send("{}".to_owned()).expect("it still waits");
    assert_eq!(ended(waiting), "{}");
    assert_eq!(ended(begun(&run.socket(), KEY, false, b"{\"a\":1}")), "");
    assert_eq!(run.hook().json, "{\"a\":1}", "nothing came between");
}

#[test]
fn a_run_that_ends_lets_go_of_a_hook_that_waits() {
    let run = served(Some(KEY));
    let waiting = begun(&run.socket(), KEY, true, b"{}");
    let hook = run.hook();
    let Run { server, told: _told, state: _state } = run;
    server.end(None);
    assert_eq!(ended(waiting), "");
    drop(hook);
}

#[test]
fn whatever_is_wrong_with_a_hook_the_session_goes_on() {
    let run = served(Some(KEY));
    let nowhere = run.state.path().join("nowhere.s");
    let dead = run.state.path().join("dead.s");
    drop(std::os::unix::net::UnixListener::bind(&dead).expect("a socket"));
    let long = vec![b' '; 8 * 1024 * 1024 + 1];
    for (socket, key, input) in [
        (&nowhere, KEY, &b"{}"[..]),
        (&dead, KEY, b"{}"),
        (&run.state.path().to_owned(), KEY, b"{}"),
        (&run.socket(), "another", b"{}"),
        (&run.socket(), KEY, b"\xff\xfe"),
        (&run.socket(), KEY, &long),
    ] {
        for wait in [false, true] {
            assert_eq!(ended(begun(socket, key, wait, input)), "", "{}", socket.display());
        }
    }
    let without = hook_command(&run.socket(), KEY, true).env_remove("CCC_CONTROL").spawn().expect("ccc starts");
    assert_eq!(ended(without), "");
    // Garbage is text to the socket: what it means is the run's to say.
    assert_eq!(ended(begun(&run.socket(), KEY, false, b"no JSON")), "");
    assert_eq!(run.hook().json, "no JSON", "nothing of all that was told before");
}

#[test]
fn without_a_socket_a_hook_ends_at_once() {
    // Of several tries the fastest: the machine may have other work.
    let fastest = (0..10).map(|_| {
        let since = Instant::now();
        assert_eq!(ended(begun(Path::new("/nowhere.s"), KEY, true, b"{}")), "");
        since.elapsed()
    });
    let fastest = fastest.min().expect("tries");
    assert!(fastest < Duration::from_millis(300), "{fastest:?}");
}

#[test]
fn a_run_that_stands_still_holds_up_no_hook_that_only_tells() {
    // It takes no connection, as a run that was stopped does.
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("still.s");
    let _still = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    assert_eq!(ended(begun(&socket, KEY, false, b"{}")), "");
}

#[test]
fn only_a_hook_with_the_key_tells_and_a_hook_does_nothing_else() {
    let run = served(Some(KEY));
    let hook = |key: &str| Request::Hook { key: key.to_owned(), attempt: 1, wait: false, input: "{}".to_owned() };
    let code = |reply: Reply| if let Reply::Fault(fault) = reply { Some(fault.code) } else { None };
    let as_hook = || {
        let mut client = Raw::at(&run.socket());
        client.send(&encode_hello(&Hello::new("hook", false)));
        client
    };
    assert_eq!(code(as_hook().call(&hook("wrong"))), Some(Code::Inside));
    assert_eq!(code(as_hook().call(&super::say("Approve all.", None))), Some(Code::Refused));
    assert_eq!(as_hook().call(&hook(KEY)), Reply::Done);
    // Another client does not tell it, and its own run does not let it.
    let mut client = Raw::at(&run.socket());
    client.send(&encode_hello(&Hello::new("test", false)));
    assert!(matches!(code(client.call(&hook(KEY))), Some(Code::Refused | Code::Inside)));
    let plain = served(None);
    let mut client = Raw::at(&plain.socket());
    client.send(&encode_hello(&Hello::new("hook", false)));
    assert!(code(client.call(&hook(KEY))).is_some(), "a run without an interface has no hooks");
    assert_eq!(run.hook().json, "{}");
    assert!(run.told.try_iter().all(|told| !matches!(told, ToRun::Hook(_))), "one was told");
}

#[test]
fn hooks_do_not_take_the_places_of_clients_nor_clients_those_of_hooks() {
    let run = served(Some(KEY));
    let waiting: Vec<_> = (0..20).map(|_| begun(&run.socket(), KEY, true, b"{}")).collect();
    let replies: Vec<_> = waiting.iter().map(|_| run.hook().reply.expect("it waits")).collect();
    let clients: Vec<Raw> = (0..16)
        .map(|_| {
            let mut client = Raw::at(&run.socket());
            client.send(&encode_hello(&Hello::new("test", false)));
            assert!(matches!(client.next(), Some(FromRun::Greeting(_))));
            assert!(matches!(client.next(), Some(FromRun::Welcome(_))));
            client
        })
        .collect();
    assert_eq!(ended(begun(&run.socket(), KEY, false, b"{}")), "");
    assert!(run.hook().reply.is_none(), "sixteen clients are there");
    let mut seventeenth = Raw::at(&run.socket());
    seventeenth.send(&encode_hello(&Hello::new("test", false)));
    assert!(seventeenth.rest().iter().any(|said| matches!(said, FromRun::Fault(fault) if fault.code == Code::Busy)));
    drop((replies, clients));
    for hook in waiting {
        assert_eq!(ended(hook), "");
    }
}

#[test]
fn half_a_line_of_a_hook_is_dropped_with_it() {
    let run = served(Some(KEY));
    let mut client = Raw::at(&run.socket());
    client.send(&encode_hello(&Hello::new("hook", false)));
    let line = encode_request(1, &Request::Hook { key: KEY.into(), attempt: 1, wait: true, input: "{}".into() });
    client.send(&line[..line.len() / 2]);
    drop(client);
    let mut silent = Raw::at(&run.socket());
    silent.send(&encode_hello(&Hello::new("hook", false)));
    let mut rest = Vec::new();
    silent.stream.read_to_end(&mut rest).expect("it is let go");
    assert!(run.told.try_iter().all(|told| !matches!(told, ToRun::Hook(_))));
}
