//! The agent's process ends in the middle of its work: the run goes on with the same session, and no turn of the user
//! is lost or said twice.

use serde_json::{Value, json};

use super::harness::{
    BRIEF, DEADLINE, Ended, Ground, approval, bash, is_alive, journal, look_until, script, send, text,
};
use super::requests::{agents, is_critic, transcripts, user_texts};
use crate::real_cli::RealCli;
use crate::scripted_api::{Ending, Message, Reply, Script, ScriptedApi, When};

const TASK: &str = "Count to three in numbers.txt";
const KILL: rustix::process::Signal = rustix::process::Signal::KILL;
const ARGS: [&str; 4] = ["-p", TASK, "--", "--dangerously-skip-permissions"];

fn said(text: &str) -> Reply {
    Reply::text(text)
}

fn half_an_answer() -> Reply {
    Reply::Message(Message {
        ending: Ending::Stall { after_deltas: 2 },
        ..Message::paced("I begin to count: one, two, and then", 4, 0)
    })
}

/// Waits until the CLI has saved this: it writes its transcript a little after the fact.
fn until_saved(ground: &Ground, part: &str) {
    look_until("the transcript", || {
        let saved =
            transcripts(ground).iter().any(|path| std::fs::read_to_string(path).is_ok_and(|all| all.contains(part)));
        saved.then_some(())
    });
}

/// Waits until the replay of our turn has reached ccc.
fn until_acknowledged(ground: &Ground) {
    look_until("the acknowledgement", || {
        let entries = journal(&ground.runs().pop()?);
        entries.iter().any(|entry| entry.to_string().contains("isReplay")).then_some(())
    });
}

/// What holds after every death: completed, restarted so often, the task said once, a continue message or not.
fn assert_gone_on(ended: &Ended<'_>, api: &ScriptedApi, restarts: u64, turns: &[&str]) {
    ended.assert_code(0);
    assert_eq!(ended.result()["restarts"], restarts, "{}", ended.stdout);
    let shown: Vec<String> = ended.of_type("turn").iter().map(|turn| text(&turn["kind"])).collect();
    assert_eq!(shown, turns);
    assert!(api.unmatched().is_empty(), "{:#?}", api.unmatched());
    let requests = api.requests();
    let last = agents(&requests).pop().expect("a request of the agent");
    let texts = user_texts(&last.body);
    assert_eq!(texts.iter().filter(|said| said.contains(TASK)).count(), 1, "the task stands once: {texts:#?}");
}

/// A completed run whose agent was killed in its second answer; this shell command ran before its session was resumed.
#[track_caller]
fn killed_and_its_session_changed<'g>(ground: &'g Ground, cli: &RealCli, change: &str) -> (ScriptedApi, Ended<'g>) {
    let agent = cli.path.display();
    let wrapper = ground.script(
        "wrapper",
        &format!("case \"$*\" in *--fork-session*) ;; *--resume*) {change} ;; esac\nexec '{agent}' \"$@\""),
    );
    let api = ScriptedApi::start(script(
        vec![bash("echo one > numbers.txt"), half_an_answer(), said("Done.")],
        vec![approval()],
    ))
    .unwrap();
    let running = ground.supervise(&api.base_url(), &wrapper, &ARGS);
    api.wait_for_requests(2, DEADLINE).unwrap();
    until_acknowledged(ground);
    send(running.child_pid("agent"), KILL);
    let ended = running.end();
    ended.assert_code(0);
    (api, ended)
}

on_both! {
    fn what_follows_a_termination_in_a_tool_is_known_after_the_next_death(cli) {
        let ground = Ground::new();
        // 2.1.197 names the call in which it is terminated as the leaf of the session, and goes back to it at each resume.
        let goes_on = || When::any_user_text("Your process ended");
        let script = Script::new()
            .on(When::any_user_text(BRIEF), approval())
            .on(When::no_user_text("Your process ended"), bash("tail -f /dev/null"))
            .on(goes_on(), bash("echo kept > kept.txt"))
            .on(goes_on(), bash("sleep 2; kill -9 $PPID"))
            .on(goes_on(), said("Done."))
            // The terminated process may still report the end of its tool.
            .always_on(When::no_user_text("Your process ended"), half_an_answer());
        let api = ScriptedApi::start(script).unwrap();
        let running = ground.supervise(&api.base_url(), &cli.path, &ARGS);
        until_saved(&ground, "tail -f");
        send(running.child_pid("agent"), rustix::process::Signal::TERM);
        let ended = running.end();
        assert_gone_on(&ended, &api, 2, &["task", "continue", "continue"]);
        let requests = api.requests();
        let last = agents(&requests).pop().expect("a request of the agent");
        for request in std::iter::once(last).chain(requests.iter().filter(|request| is_critic(request))) {
            assert!(request.body.to_string().contains("echo kept"), "{:#?}", user_texts(&request.body));
        }
    }

    fn killed_before_its_first_word_it_begins_again(cli) {
        // With checkpoints the process may be gone before the task is sent to it.
        let ground = Ground::new().env("CCC_CHECKPOINTS", "0");
        let api = ScriptedApi::start(script(vec![said("Done.")], vec![approval()])).unwrap();
        // The first process is ended by a wrapper at the moment it starts.
        let mark = ground.home().join("started-once");
        let wrapper = ground.script(
            "wrapper",
            &format!(
                "case \"$*\" in *--session-id*) if [ ! -e '{0}' ]; then : > '{0}'; kill -9 $$; fi ;; esac\nexec '{1}' \"$@\"",
                mark.display(),
                cli.path.display()
            ),
        );
        let ended = ground.supervise(&api.base_url(), &wrapper, &ARGS).end();
        assert!(mark.exists());
        assert_gone_on(&ended, &api, 1, &["task", "task"]);
    }

    fn killed_in_the_middle_of_a_text_it_is_told_to_continue(cli) {
        let ground = Ground::new();
        let api = ScriptedApi::start(script(vec![half_an_answer(), said("Done.")], vec![approval()])).unwrap();
        let running = ground.supervise(&api.base_url(), &cli.path, &ARGS);
        api.wait_for_requests(1, DEADLINE).unwrap();
        until_saved(&ground, TASK);
        // 2.1.197 replays a turn only with the first whole message of its answer: there the session's own record alone
        // tells that the turn stands in it.
        if cli.label != "previous" {
            until_acknowledged(&ground);
        }
        send(running.child_pid("agent"), KILL);
        assert_gone_on(&running.end(), &api, 1, &["task", "continue"]);
    }

    fn killed_when_its_session_had_a_record_and_no_conversation_it_begins_a_new_one(cli) {
        let ground = Ground::new();
        // What a CLI has written before the first message: it neither resumes such a session nor begins it.
        let change = "for record in \"$HOME\"/.claude/projects/*/*.jsonl; do sed -i '/\"uuid\":/d' \"$record\"; \
                      echo '{\"type\":\"mode\",\"mode\":\"normal\"}' >> \"$record\"; done";
        let (_api, ended) = killed_and_its_session_changed(&ground, cli, change);
        let decided = ended.decisions();
        assert!(decided.iter().any(|line| line.starts_with("begin a new session: ")), "{decided:#?}");
        ground.assert_sound();
    }

    fn killed_before_its_session_was_saved_the_task_is_said_again(cli) {
        let ground = Ground::new();
        // The session is lost on disk between the two processes, as when the CLI had not yet written it.
        let (api, _) = killed_and_its_session_changed(&ground, cli, "rm -rf \"$HOME/.claude/projects\"");
        let requests = api.requests();
        let texts = user_texts(&agents(&requests)[2].body);
        assert_eq!(texts.iter().filter(|said| said.contains(TASK)).count(), 1, "the task stands once: {texts:#?}");
        assert!(texts.iter().any(|said| said.contains("lost before it was saved")), "{texts:#?}");
    }

    fn killed_in_a_tool_nothing_of_the_tool_is_left(cli) {
        let ground = Ground::new();
        let tool = "setsid sh -c 'echo $$ > grandchild.pid; exec tail -f /dev/null' & echo $$ > shell.pid; tail -f /dev/null";
        let api = ScriptedApi::start(script(vec![bash(tool), said("Done.")], vec![approval()])).unwrap();
        let running = ground.supervise(&api.base_url(), &cli.path, &ARGS);
        let pid = |name: &'static str| {
            let file = ground.project().join(name);
            look_until(name, || std::fs::read_to_string(&file).ok()?.trim().parse::<u32>().ok())
        };
        let (shell, grandchild) = (pid("shell.pid"), pid("grandchild.pid"));
        assert!(is_alive(shell) && is_alive(grandchild));
        until_saved(&ground, TASK);
        until_acknowledged(&ground);
        send(running.child_pid("agent"), KILL);
        let ended = running.end();
        assert!(!is_alive(shell) && !is_alive(grandchild), "the tool outlived the agent");
        assert_gone_on(&ended, &api, 1, &["task", "continue"]);
        let requests = api.requests();
        let resumed = agents(&requests)[1];
        let last = user_texts(&resumed.body).pop().unwrap_or_default();
        assert!(last.contains("verify") || last.contains("check"), "the continue message warns of effects: {last}");
    }

    fn killed_after_a_tools_result_the_work_is_kept(cli) {
        let ground = Ground::new();
        let api = ScriptedApi::start(script(
            vec![bash("echo one >> numbers.txt"), half_an_answer(), bash("echo two >> numbers.txt"), said("Done.")],
            vec![approval()],
        ))
        .unwrap();
        let running = ground.supervise(&api.base_url(), &cli.path, &ARGS);
        api.wait_for_requests(2, DEADLINE).unwrap();
        until_saved(&ground, "tool_result");
        send(running.child_pid("agent"), KILL);
        let ended = running.end();
        assert_gone_on(&ended, &api, 1, &["task", "continue"]);
        assert_eq!(ground.read("numbers.txt"), "one\ntwo\n");
        let requests = api.requests();
        let resumed = &agents(&requests)[2].body;
        assert!(resumed["messages"].to_string().contains("echo one"), "the finished tool call is still in the conversation");
    }

    fn an_agent_idle_during_the_review_may_die(cli) {
        let ground = Ground::new();
        let api = ScriptedApi::start(script(
            vec![said("Done."), said("Now it is.")],
            vec![
                Reply::Message(Message { first_delay_ms: 1_500, ..Message::paced("It is not. Add a licence.", 1, 0) }),
                approval(),
            ],
        ))
        .unwrap();
        let running = ground.supervise(&api.base_url(), &cli.path, &ARGS);
        api.wait_for_requests(2, DEADLINE).unwrap();
        send(running.child_pid("agent"), KILL);
        let ended = running.end();
        ended.assert_code(0);
        assert_eq!(ended.verdicts(), ["feedback", "completed"]);
        let requests = api.requests();
        let texts = user_texts(&agents(&requests)[1].body);
        assert_eq!(texts.iter().filter(|said| said.contains(TASK)).count(), 1, "{texts:#?}");
        assert_eq!(texts.iter().filter(|said| said.contains("Add a licence.")).count(), 1, "{texts:#?}");
    }
}

/// Plays these turns of the agent, with a critic that agrees.
fn scripted(agent: &Value, args: &[&str], check: impl FnOnce(&Ended<'_>)) {
    let ground = Ground::new();
    let program = ground.scripted_agent(&json!({"agent": agent, "critic": [[{"say": "[TASK_COMPLETED]"}]]}));
    check(&ground.supervise("http://127.0.0.1:9", &program, args).end());
}

#[test]
fn an_agent_that_exits_cleanly_in_the_middle_of_a_turn_is_resumed() {
    let turns = json!([[{"say": "One"}, {"crash": {"code": 0}}, {"say": "Two"}], [{"say": "Done."}]]);
    scripted(&turns, &["-p", TASK], |ended| {
        ended.assert_code(0);
        assert_eq!(ended.result()["restarts"], 1);
        let shown: Vec<String> = ended.of_type("turn").iter().map(|turn| text(&turn["kind"])).collect();
        assert_eq!(shown, ["task", "continue"]);
    });
}

#[test]
fn an_agent_that_dies_again_and_again_ends_the_run_as_failed() {
    let crash = json!([{"say": "One"}, {"stderr": "out of memory"}, {"crash": {"signal": 9}}]);
    let turns = json!([crash, crash, crash, crash, crash]);
    scripted(&turns, &["-p", TASK, "--max-restarts", "2"], |ended| {
        ended.assert_code(1);
        let reason = ended.reason();
        assert!(reason.contains("ended 3 times in a row without finishing a turn"), "{reason}");
        assert!(reason.contains("out of memory"), "{reason}");
        assert!(ended.result()["resume"].is_string(), "the session can be gone on with");
    });
}

#[test]
fn half_a_line_at_its_death_and_noise_on_stdout_do_no_harm() {
    let turns = json!([
        [{"garbage": "%% not JSON \u{1b}[31m"}, {"say": "One"}, "half_line", {"crash": {"signal": 11}}],
        ["unknown_message", {"garbage": "{\"type\":\"result\",\"subtype\":"}, {"say": "Done."}]
    ]);
    scripted(&turns, &["-p", TASK], |ended| {
        ended.assert_code(0);
        assert_eq!(ended.result()["restarts"], 1);
        assert_eq!(ended.result()["result"], "Done.");
    });
}

#[test]
fn an_agent_that_hangs_and_ignores_all_signals_is_killed_and_resumed() {
    let turns = json!([["ignore_signals", {"say": "One"}, {"orphan": {"ms": 60000, "holds_stdout": true}}, "stall"], [{"say": "Done."}]]);
    let ground = Ground::new().env("CCC_GRACE", "300ms");
    let program = ground.scripted_agent(&json!({"agent": turns, "critic": [[{"say": "[TASK_COMPLETED]"}]]}));
    let ended = ground.supervise("http://127.0.0.1:9", &program, &["-p", TASK, "--stall-timeout", "1s"]).end();
    ended.assert_code(0);
    assert_eq!(ended.result()["restarts"], 1);
    assert!(
        ended.of_type("notice").iter().any(|notice| text(&notice["text"]).contains("the agent hangs")),
        "{}",
        ended.stdout
    );
}
