//! The real CLI's own interface on a terminal, against a scripted Messages API.
//!
//! What the interface paints is not looked at: words stand in its screen in pieces. The journal says how far a run is.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::suspended::in_shell;
use crate::real_cli::{CleanHome, RealCli};
use crate::scripted_api::{Reply, Rule, Script, ScriptedApi, Times, When};
use crate::supervise::state_of;
use crate::supervise::tty::Tty;
use crate::whole_runs::harness::{
    BRIEF, Ground, action, approval, bash, input, is_alive, journal, look_until, script, send, text,
};
use crate::whole_runs::limits::{bearer, rejected, with_oauth};
use crate::whole_runs::requests::critics;

const TASK: &str = "Write the report.";

/// A ground whose user has been through the interface's dialogs.
fn ground() -> Ground {
    let ground = Ground::new();
    let key = &CleanHome::KEY[CleanHome::KEY.len() - 20..];
    let project = ground.project().display().to_string();
    let state = json!({
        "hasCompletedOnboarding": true,
        "theme": "dark",
        "projects": {project: {"hasTrustDialogAccepted": true, "hasCompletedProjectOnboarding": true}},
        "customApiKeyResponses": {"approved": [key], "rejected": []},
    });
    fs::write(ground.home().join(".claude.json"), state.to_string()).expect("the state of the CLI");
    ground
}

/// The interface on a terminal, with this task.
fn start(ground: &Ground, api: &ScriptedApi, cli: &RealCli, more: &[&str]) -> Tty {
    Tty::start(&command(ground, api, cli, more))
}

fn command(ground: &Ground, api: &ScriptedApi, cli: &RealCli, more: &[&str]) -> Command {
    let agent = cli.path.display().to_string();
    let fixed = ["--supervisor", "--native", "--agent", &agent, "-p", TASK];
    let agents = ["--", "--permission-mode", "acceptEdits", "--allowedTools", "Bash"];
    let args = fixed.into_iter().chain(more.iter().copied()).chain(agents);
    ground.command(&api.base_url(), args)
}

/// Another command of ccc's, which succeeds.
#[track_caller]
fn steer(ground: &Ground, api: &ScriptedApi, args: &[&str]) {
    let output = ground.command(&api.base_url(), args).output().expect("ccc runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Waits until the run rests for such a reason.
#[track_caller]
fn until_rest(ground: &Ground, why: &str) {
    until_entry(ground, why, 1, |entry| {
        action(entry, "decide").is_some_and(|decide| decide["what"] == "rest" && text(&decide["why"]).starts_with(why))
    });
}

fn entries(ground: &Ground) -> Vec<Value> {
    ground.runs().pop().map(|run| journal(&run)).unwrap_or_default()
}

/// Waits until the journal has such an entry; so many of them.
#[track_caller]
fn until_entry(ground: &Ground, what: &str, count: usize, is_it: impl Fn(&Value) -> bool) {
    look_until(what, || (entries(ground).iter().filter(|entry| is_it(entry)).count() >= count).then_some(()));
}

/// A hook has told of this event.
fn tells(entry: &Value, event: &str) -> bool {
    let line = input(entry, "line").map(|line| line["line"].to_string()).unwrap_or_default();
    line.contains(&format!("\"hook_event_name\":\"{event}\""))
}

/// The stop that was held is let go: the interface is the user's.
fn until_let_go(ground: &Ground) {
    until_entry(ground, "the end of the hold", 1, |entry| action(entry, "let_go").is_some());
}

/// Types words, and Enter when the interface has shown that it has them. Ctrl-U first: the previous CLI may leave words in its prompt that
/// it has already taken.
fn type_line(tty: &mut Tty, words: &str) {
    tty.type_in(b"\x15");
    tty.type_in(words.as_bytes());
    tty.until(words);
    tty.type_in(b"\r");
}

/// Leaves the interface: the run is completed, and has started no other one.
#[track_caller]
fn leave_completed(ground: &Ground, tty: &mut Tty) {
    type_line(tty, "/exit");
    assert_eq!(tty.end(), 0, "{}", tty.text());
    assert_eq!((outcome(ground).as_str(), interfaces(ground).len()), ("completed", 1));
    ground.assert_sound();
}

fn outcome(ground: &Ground) -> String {
    let entries = entries(ground);
    let finish = entries.iter().rev().find_map(|entry| action(entry, "finish")).expect("the run has ended");
    text(&finish["outcome"])
}

fn interfaces(ground: &Ground) -> Vec<(u32, Vec<String>)> {
    let entries = entries(ground);
    let starts = entries.iter().filter_map(|entry| action(entry, "spawn")).filter(|spawn| spawn["role"] == "agent");
    starts
        .filter_map(|spawn| {
            let pid = entries.iter().find_map(|entry| {
                input(entry, "spawned").filter(|spawned| spawned["proc"] == spawn["proc"])?["pid"].as_u64()
            })?;
            let args = spawn["launch"]["args"].as_array()?.iter().map(text).collect();
            Some((pid as u32, args))
        })
        .collect()
}

/// A later interface resumed the session, with words that begin so. One that was ended before its session had a conversation
/// begins with the task instead.
#[track_caller]
fn assert_went_on(ground: &Ground, words: &str) {
    let starts = interfaces(ground);
    let (_, last) = starts.last().expect("an interface");
    let begins = if last.contains(&"--resume".to_owned()) { words } else { TASK };
    assert!(starts.len() >= 2 && last.last().is_some_and(|said| said.starts_with(begins)), "{starts:?}");
}

fn lines_of(path: &Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

on_both! {
    fn a_task_that_stops_too_early_is_completed_after_the_critics_word_and_the_users_hooks_run(cli) {
        let ground = ground();
        let theirs = ground.home().join("their-stops");
        let hook = format!("echo stop >> '{}'", theirs.display());
        ground.user_settings(&json!({"hooks": {"Stop": [{"hooks": [{"type": "command", "command": hook}]}]}}));
        let api = ScriptedApi::start(script(
            vec![Reply::text("I am done."), bash("echo all > report.txt"), Reply::text("Now it is there.")],
            vec![Reply::text("report.txt is missing."), approval()],
        ))
        .unwrap();
        let mut tty = start(&ground, &api, cli, &[]);
        until_let_go(&ground);
        assert_eq!(ground.read("report.txt"), "all\n");
        type_line(&mut tty, "/exit");
        assert_eq!(tty.end(), 0, "{}", tty.text());
        assert_eq!(outcome(&ground), "completed");
        // Each stop of the interface, and of no critic's: theirs are switched off.
        assert!(lines_of(&theirs) >= 2, "the user's own hook did not run");
        assert!(!tty.is_raw(), "the terminal is given back");
        ground.assert_sound();
    }

    fn at_a_limit_the_interface_goes_on_with_the_next_token(cli) {
        let ground = with_oauth(ground(), 2);
        let forever = |when: When, reply: Reply| Rule { when, times: Times::Forever, reply };
        let second = |when: When| When { headers: bearer("sk-ant-oat01-second-made-up").headers, ..when };
        let api = ScriptedApi::start(
            Script::new()
                .rule(forever(bearer("sk-ant-oat01-first-made-up"), rejected(Some(3_600))))
                .rule(forever(second(When::no_user_text(BRIEF)), Reply::text("It is written.")))
                .rule(forever(second(When::any_user_text(BRIEF)), approval())),
        )
        .unwrap();
        let mut tty = start(&ground, &api, cli, &[]);
        until_let_go(&ground);
        assert_went_on(&ground, "Your last turn was cut off");
        type_line(&mut tty, "/exit");
        assert_eq!(tty.end(), 0, "{}", tty.text());
        assert_eq!(outcome(&ground), "completed");
        ground.assert_sound();
    }

    fn an_interface_that_is_killed_in_a_tool_comes_back_and_goes_on(cli) {
        let ground = ground();
        let api = ScriptedApi::start(script(
            vec![bash("echo begun >> begun.txt; sleep 600"), Reply::text("It is written now.")],
            vec![approval()],
        ))
        .unwrap();
        let mut tty = start(&ground, &api, cli, &[]);
        look_until("the tool", || ground.project().join("begun.txt").exists().then_some(()));
        // What stands in ccc's record is the monitor above the interface.
        let (monitor, _) = interfaces(&ground).pop().expect("an interface");
        let interface = look_until("the interface below its monitor", || child_of(monitor));
        send(interface, Signal::KILL);
        until_let_go(&ground);
        assert_went_on(&ground, "Your process ended before");
        type_line(&mut tty, "/exit");
        assert_eq!(tty.end(), 0, "{}", tty.text());
        ground.assert_sound();
    }

    fn a_terminal_that_is_gone_ends_the_interface_and_the_run_can_be_resumed(cli) {
        let ground = ground();
        let api = ScriptedApi::start(script(
            vec![bash("echo begun >> begun.txt; sleep 600"), Reply::text("It is written now.")],
            vec![approval()],
        ))
        .unwrap();
        let mut tty = start(&ground, &api, cli, &[]);
        look_until("the tool", || ground.project().join("begun.txt").exists().then_some(()));
        let (pid, _) = interfaces(&ground).pop().expect("an interface");
        send(tty.pid(), Signal::HUP);
        assert_eq!(tty.end(), 130, "{}", tty.text());
        assert_eq!(outcome(&ground), "interrupted");
        look_until("the interface's end", || (!is_alive(pid)).then_some(()));
        let mut again = Tty::start(&ground.command(&api.base_url(), ["resume", "last"]));
        until_let_go(&ground);
        type_line(&mut again, "/exit");
        assert_eq!(again.end(), 0, "{}", again.text());
        assert_eq!(outcome(&ground), "completed");
        ground.assert_sound();
    }

    fn esc_while_the_work_is_judged_gives_the_judging_up_and_the_next_stop_is_judged(cli) {
        let ground = ground();
        let api = ScriptedApi::start(script(
            vec![Reply::text("It is written."), Reply::text("And now the summary.")],
            vec![Reply::StallBeforeHeaders, approval()],
        ))
        .unwrap();
        let mut tty = start(&ground, &api, cli, &[]);
        // The stalled answer is the first critic's only if its request has come before it is ended.
        look_until("the critic's request", || (!critics(&api.requests()).is_empty()).then_some(()));
        tty.type_in(b"\x1b");
        until_rest(&ground, "interrupted");
        type_line(&mut tty, "Summarise");
        until_let_go(&ground);
        leave_completed(&ground, &mut tty);
    }

    fn interrupt_from_elsewhere_ends_the_tool_and_the_user_goes_on(cli) {
        let ground = ground();
        let api = ScriptedApi::start(script(
            vec![bash("echo $$ > pid.txt; exec sleep 600"), Reply::text("It is written now.")],
            vec![approval()],
        ))
        .unwrap();
        let mut tty = start(&ground, &api, cli, &[]);
        let pid = look_until("the tool", || fs::read_to_string(ground.project().join("pid.txt")).ok()?.trim().parse().ok());
        steer(&ground, &api, &["interrupt", "last"]);
        until_rest(&ground, "interrupted");
        look_until("the tool's end", || (!is_alive(pid)).then_some(()));
        type_line(&mut tty, "Continue");
        until_let_go(&ground);
        leave_completed(&ground, &mut tty);
    }

    fn a_paused_run_is_judged_after_the_pause_and_stop_ends_it(cli) {
        let ground = ground();
        let api = ScriptedApi::start(script(
            vec![bash("echo begun > begun.txt; until [ -e go ]; do sleep 0.1; done"), Reply::text("It is written.")],
            vec![approval()],
        ))
        .unwrap();
        let mut tty = start(&ground, &api, cli, &[]);
        look_until("the tool", || ground.project().join("begun.txt").exists().then_some(()));
        steer(&ground, &api, &["pause", "last"]);
        ground.write("go", "");
        until_rest(&ground, "paused");
        steer(&ground, &api, &["continue", "last"]);
        until_rest(&ground, "judged");
        steer(&ground, &api, &["stop", "last", "--wait"]);
        assert_eq!(tty.end(), 0, "{}", tty.text());
        assert_eq!((outcome(&ground).as_str(), interfaces(&ground).len()), ("completed", 1));
        assert!(!tty.is_raw() && tty.echoes(), "the terminal is given back");
        ground.assert_sound();
    }

    fn ctrl_z_and_back_leaves_the_shell_its_terminal_and_the_interface_its_session(cli) {
        let ground = ground();
        let api = ScriptedApi::start(script(
            vec![Reply::text("It is written."), Reply::text("And now the summary.")],
            vec![approval(), approval()],
        ))
        .unwrap();
        let mut tty = in_shell(&command(&ground, &api, cli, &[]));
        until_let_go(&ground);
        let (monitor, _) = interfaces(&ground).pop().expect("an interface");
        let interface = look_until("the interface below its monitor", || child_of(monitor));
        assert!(tty.is_raw());
        tty.type_in(b"\x1a");
        look_until("the stop", || (state_of(interface) == Some('T')).then_some(()));
        tty.until("shell> ");
        tty.type_in(b"stty -a | grep -o ' -*icanon'\n");
        tty.until(" icanon\r\n");
        tty.until("shell> ");
        tty.type_in(b"fg\n");
        look_until("the raw terminal", || tty.is_raw().then_some(()));
        look_until("the interface to go on", || (state_of(interface) != Some('T')).then_some(()));
        // It takes keys one by one only after it has set its terminal again.
        tty.until("\x1b[?2004h");
        type_line(&mut tty, "Summarise");
        until_entry(&ground, "the second verdict", 2, |entry| action(entry, "let_go").is_some());
        type_line(&mut tty, "/exit");
        tty.until("shell> ");
        tty.type_in(b"exit\n");
        tty.end();
        assert_eq!((outcome(&ground).as_str(), interfaces(&ground).len()), ("completed", 1));
        ground.assert_sound();
    }

    fn a_prompt_of_the_users_after_the_verdict_goes_on_in_the_same_run(cli) {
        let ground = ground();
        let api = ScriptedApi::start(script(
            vec![Reply::text("It is written."), Reply::text("And now the summary.")],
            vec![approval(), approval()],
        ))
        .unwrap();
        let mut tty = start(&ground, &api, cli, &[]);
        until_let_go(&ground);
        type_line(&mut tty, "Summarise");
        until_entry(&ground, "the second verdict", 2, |entry| action(entry, "let_go").is_some());
        until_entry(&ground, "the user's words", 2, |entry| tells(entry, "UserPromptSubmit"));
        type_line(&mut tty, "/exit");
        assert_eq!(tty.end(), 0, "{}", tty.text());
        assert_eq!((outcome(&ground).as_str(), ground.runs().len()), ("completed", 1));
        ground.assert_sound();
    }
}

/// A process below this one.
pub(super) fn child_of(pid: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}
