//! ccc is killed while a real CLI works for it; what was said is counted in the requests to the API.

use std::time::Duration;

use serde_json::Value;

use super::world::{FEEDBACK, TASK, acts};
use crate::real_cli::RealCli;
use crate::scripted_api::{Message, Reply, Rule, Script, ScriptedApi, Times, When};
use crate::whole_runs::harness::{BRIEF, Ended, Ground, Running, approval, bash, is_alive, journal, look_until, send};

/// A text that takes longer than any test.
fn endless() -> Reply {
    Reply::Message(Message::paced(&"word ".repeat(600), 600, 1_000))
}

fn once(when: When, reply: Reply) -> Rule {
    Rule { when, times: Times::Once, reply }
}

fn agent() -> When {
    When::no_user_text(BRIEF)
}

fn critic() -> When {
    When::any_user_text(BRIEF)
}

/// These replies first, then an agent that is done and a critic that agrees, as often as they are asked.
fn script(first: Vec<Rule>) -> Script {
    let rest = [
        Rule { when: agent(), times: Times::Forever, reply: Reply::text("All is done.") },
        Rule { when: critic(), times: Times::Forever, reply: approval() },
    ];
    first.into_iter().chain(rest).fold(Script::new(), Script::rule)
}

struct Night<'a> {
    ground: &'a Ground,
    api: &'a ScriptedApi,
    cli: &'a RealCli,
}

impl<'a> Night<'a> {
    fn start(&self) -> Running<'a> {
        let args = ["-p", TASK, "--", "--dangerously-skip-permissions"];
        self.ground.supervise(&self.api.base_url(), &self.cli.path, &args)
    }

    /// Kills ccc, goes on with the run, and asserts that it ends with each of these in the session exactly once.
    fn kill_and_go_on(&self, running: Running<'_>, said: &[&str]) -> Ended<'a> {
        let pid = running.pid();
        let left = self.ground.alive(pid);
        running.signal(rustix::process::Signal::KILL);
        assert_eq!(running.wait().status.code(), None);
        let run = self.ground.runs().pop().expect("a run");
        let id = run.file_name().and_then(|name| name.to_str()).expect("an id").to_owned();
        let mut resumed = self.ground.start(&self.api.base_url(), ["resume", &id, "--output-format", "stream-json"]);
        resumed.until("the first words of the resumed ccc", |event| event["type"] == "run");
        // The first process that the resumed ccc starts comes after the sweep.
        look_until("the second life in the journal", || {
            let entries = journal(&run);
            let began = entries.iter().rposition(|entry| entry["in"]["began"]["resumed"] == true)?;
            entries[began..].iter().any(|entry| entry["in"].get("spawned").is_some()).then_some(())
        });
        for (pid, command) in left {
            assert!(!can_act(pid), "{command} of the dead run lives beside the resumed agent");
        }
        let ended = resumed.end();
        ended.assert_code(0);
        assert_eq!(ended.result()["outcome"], "completed");
        assert!(self.api.unmatched().is_empty(), "{:#?}", self.api.unmatched());
        let requests = self.api.requests();
        let last =
            requests.iter().rev().find(|request| !request.body.to_string().contains(BRIEF)).expect("the agent asked");
        for words in said {
            let times = user_texts(&last.body).iter().map(|text| text.matches(words).count()).sum::<usize>();
            assert_eq!(
                times,
                1,
                "{words:?} stands {times} times in the agent's session: {:#?}\n{:#?}",
                user_texts(&last.body),
                ended.decisions()
            );
        }
        ended
    }
}

/// Whether a process is alive and has its memory: one that the kernel is taking apart does nothing any more.
fn can_act(pid: u32) -> bool {
    is_alive(pid) && std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// The texts of the user messages, one a block.
fn user_texts(body: &Value) -> Vec<String> {
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    let blocks =
        messages.iter().filter(|message| message["role"] == "user").flat_map(|message| match &message["content"] {
            Value::Array(blocks) => blocks.clone(),
            Value::String(text) => vec![serde_json::json!({"text": text})],
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
        });
    blocks.filter_map(|block| block["text"].as_str().map(str::to_owned)).collect()
}

fn with(cli: &RealCli, first: Vec<Rule>, body: impl FnOnce(&Night<'_>)) {
    let ground = Ground::without_git();
    let api = ScriptedApi::start(script(first)).expect("the API listens");
    body(&Night { ground: &ground, api: &api, cli });
}

fn asked(night: &Night<'_>, part: &str) {
    let asked = night.api.wait_for_requests(1, Duration::from_secs(60));
    drop(asked);
    look_until("the request", || {
        night.api.requests().iter().any(|request| request.body.to_string().contains(part)).then_some(())
    });
}

/// Waits until these words stand in the CLI's transcript as a user's, and ccc knows that they were taken.
///
/// Not tested is the moment between the two. The newest CLI may acknowledge a turn that a kill then takes away before
/// it is saved, and does not recognise the uuid of a saved turn that has no answer yet: nothing that ccc could ask it
/// tells the two apart. The older one acknowledges later, and recognises the uuid.
fn taken(night: &Night<'_>, words: &str) {
    asked(night, words);
    if night.cli.version == "2.1.197" {
        return;
    }
    let projects = night.ground.home().join(".claude/projects");
    look_until("the saved turn", || {
        let dirs = std::fs::read_dir(&projects).ok()?.flatten();
        let files = dirs.flat_map(|dir| std::fs::read_dir(dir.path()).into_iter().flatten().flatten());
        let texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
        let rows = texts
            .flat_map(|text| text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect::<Vec<Value>>());
        rows.into_iter().find(|row| row["type"] == "user" && row["message"].to_string().contains(words))
    });
    look_until("the acknowledgement", || {
        let entries = journal(&night.ground.runs().pop()?);
        entries.into_iter().find(|entry| {
            let line = &entry["in"]["line"]["line"]["json"];
            line["isReplay"] == true && line["message"].to_string().contains(words)
        })
    });
}

on_both! {
    fn killed_when_the_task_was_sent(cli, current) {
        with(cli, vec![], |night| {
            let running = night.start();
            look_until("the task's turn", || journal(&night.ground.runs().pop()?).iter().any(|entry| acts(entry, "send")).then_some(()));
            night.kill_and_go_on(running, &[TASK]);
        });
    }

    fn killed_when_the_request_was_out_and_nothing_answered(cli, current) {
        with(cli, vec![once(agent(), Reply::StallBeforeHeaders)], |night| {
            let running = night.start();
            asked(night, TASK);
            night.kill_and_go_on(running, &[TASK]);
        });
    }

    fn killed_in_the_middle_of_a_text(cli, current) {
        with(cli, vec![once(agent(), endless())], |night| {
            let mut running = night.start();
            running.until("session", |event| event["type"] == "session");
            taken(night, TASK);
            night.kill_and_go_on(running, &[TASK]);
        });
    }

    fn killed_in_a_tool(cli, current) {
        let tool = bash("echo begun >> effects; setsid sleep 600 & sleep 601");
        with(cli, vec![once(agent(), tool)], |night| {
            let running = night.start();
            let effects = night.ground.project().join("effects");
            look_until("the tool's effect", || std::fs::read_to_string(&effects).ok().filter(|text| text == "begun\n"));
            night.kill_and_go_on(running, &[TASK]);
            assert_eq!(night.ground.read("effects"), "begun\n", "the command was repeated");
        });
    }

    fn killed_while_the_critic_answers(cli, current) {
        with(cli, vec![once(critic(), endless())], |night| {
            let running = night.start();
            asked(night, BRIEF);
            night.kill_and_go_on(running, &[TASK]);
        });
    }

    fn killed_when_the_feedback_was_sent(cli, current) {
        let mut first = vec![once(agent(), Reply::text("I am done.")), once(agent(), endless())];
        first.push(once(critic(), Reply::text(FEEDBACK)));
        with(cli, first, |night| {
            let mut running = night.start();
            running.until("the feedback", |event| event["type"] == "turn" && event["kind"] == "feedback");
            taken(night, FEEDBACK);
            night.kill_and_go_on(running, &[TASK, FEEDBACK]);
        });
    }
}

/// Names itself once it has left the session of its parent. Its parent has ended by then, so the CLI, which ends what is below it when
/// its terminal is gone, does not find it.
const LEAVES_ITS_SESSION: &str = "(setsid sh -c 'echo $$ > grandchild; exec sleep 600' &); sleep 601";

/// A process that a real CLI has left is ended by the resumed run even when it has nothing of a terminal.
#[test]
fn the_sweep_is_what_ends_the_tools_of_a_killed_run() {
    let Some(cli) = crate::whole_runs::harness::cli("current") else { return };
    with(&cli, vec![once(agent(), bash(LEAVES_ITS_SESSION))], |night| {
        let running = night.start();
        let file = night.ground.project().join("grandchild");
        let pid: u32 = look_until("the grandchild", || std::fs::read_to_string(&file).ok()?.trim().parse().ok());
        running.signal(rustix::process::Signal::KILL);
        drop(running.wait());
        assert!(is_alive(pid), "the sleep did not outlive ccc: the test shows nothing");
        let ended = night.ground.start(&night.api.base_url(), ["resume", "last"]).end();
        ended.assert_code(0);
        assert!(!is_alive(pid));
        assert!(ended.stderr.contains("that the run had left when its ccc process died"), "{}", ended.stderr);
        send(pid, rustix::process::Signal::KILL);
    });
}
