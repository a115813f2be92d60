//! What the run is given: a program that is none, a task of any shape, a project of any kind, a transport.

use std::fs;
use std::process::Command;

use serde_json::json;

use super::harness::{Ground, Running, approval, bash, script, text};
use super::requests::{agents, assert_result_fields, brief_of, critics, is_critic, user_texts};
use crate::scripted_api::{Reply, Script, ScriptedApi};

const NOWHERE: &str = "http://127.0.0.1:9";

fn said(text: &str) -> Reply {
    Reply::text(text)
}

#[test]
fn without_claude_on_the_path_nothing_is_started_and_the_error_says_what_to_do() {
    let ground = Ground::new().env("PATH", "/nonexistent");
    let ended = ground.start(NOWHERE, ["--supervisor", "-p", "do it"]).end();
    ended.assert_code(2);
    assert!(ended.stdout.is_empty(), "{}", ended.stdout);
    assert!(ended.stderr.contains("claude") && ended.stderr.contains("--agent"), "{}", ended.stderr);
    assert!(ground.runs().is_empty(), "no run was begun");
}

#[test]
fn an_agent_that_is_missing_or_no_program_is_named() {
    let ground = Ground::new();
    ground.write("notes.txt", "no program");
    for (agent, word) in [("/nonexistent/claude", "/nonexistent/claude"), ("./notes.txt", "not an executable file")] {
        let ended = ground.start(NOWHERE, ["--supervisor", "-p", "do it", "--agent", agent]).end();
        ended.assert_code(2);
        assert!(ended.stderr.contains(word), "{}", ended.stderr);
        assert!(ground.runs().is_empty(), "no run was begun");
    }
}

#[test]
fn a_program_that_the_system_cannot_run_ends_as_failed_at_once() {
    let ground = Ground::new();
    let program = ground.script("broken", "exit 0");
    fs::write(&program, "#!/nonexistent/interpreter\n").unwrap();
    let ended = ground.supervise(NOWHERE, &program, &["-p", "do it"]).end();
    assert_ne!(ended.status.code(), Some(0));
    assert!(ended.status.code().is_some_and(|code| code == 1 || code == 2), "{:?}", ended.status);
    let seen = format!("{}{}", ended.stdout, ended.stderr);
    assert!(seen.contains("broken"), "{seen}");
}

#[test]
fn a_cli_too_old_for_an_option_is_a_clear_error_and_is_not_started_again() {
    let ground = Ground::new();
    let tries = ground.home().join("tries");
    let program = ground.script(
        "old",
        &format!(
            "[ \"$1\" = --version ] && {{ echo '1.0.3 (Claude Code)'; exit 0; }}\n\
             echo try >> '{}'\necho \"error: unknown option '--include-partial-messages'\" >&2\nexit 1",
            tries.display()
        ),
    );
    let ended = ground.supervise(NOWHERE, &program, &["-p", "do it"]).end();
    ended.assert_code(1);
    assert!(ended.reason().contains("--include-partial-messages"), "{}", ended.reason());
    assert_eq!(fs::read_to_string(tries).unwrap(), "try\n");
    assert_eq!(ended.result()["session_id"], json!(null), "there is no session");
    assert_eq!(ended.result()["resume"], json!(null), "nothing to go on with");
}

#[test]
fn unknown_messages_fields_and_versions_pass() {
    let ground = Ground::new();
    let inner = ground.scripted_agent(&json!({
        "agent": [["unknown_message", {"say": "One"}, {"garbage": "{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"hologram\"}]},\"new\":{\"deep\":[1]}}"}, {"say": "Done."}]],
        "critic": [["unknown_message", {"say": "Good.\n[TASK_COMPLETED]"}]],
    }));
    let program = ground.script(
        "newer",
        &format!(
            "[ \"$1\" = --version ] && {{ echo '9.4.0-beta.2 (Claude Code)'; exit 0; }}\nexec '{}' \"$@\"",
            inner.display()
        ),
    );
    let ended = ground.supervise(NOWHERE, &program, &["-p", "do it"]).end();
    ended.assert_code(0);
    assert_eq!(ended.result()["result"], "Done.");
}

on_both! {
    fn a_cli_that_says_a_newer_version_works(cli) {
        let ground = Ground::new();
        let program = ground.script(
            "newer",
            &format!("[ \"$1\" = --version ] && {{ echo '3.0.1 (Claude Code)'; exit 0; }}\nexec '{}' \"$@\"", cli.path.display()),
        );
        // What the newest CLI needs and the older one refuses would show here.
        for args in [&["-p", "do it"][..], &["-p", "do it", "--transport", "pipe"]] {
            let api = ScriptedApi::start(script(vec![said("Done.")], vec![approval()])).unwrap();
            ground.supervise(&api.base_url(), &program, args).end().assert_code(0);
        }
    }

    fn a_task_of_a_megabyte_arrives_whole_and_once(cli) {
        let ground = Ground::new();
        let line = "漢字 and \"quotes\" and \\ and a tab\t and \u{1b}[31m red \u{7} — ✓ 𝄞\n";
        let task = format!("BEGIN\n{}\r\n\r\nEND", line.repeat(1_000_000 / line.len()));
        assert!(task.len() > 950_000);
        let file = ground.home().join("task.txt");
        fs::write(&file, &task).unwrap();
        let api = ScriptedApi::start(script(vec![said("Done.")], vec![approval()])).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["--prompt-file", file.to_str().unwrap()]).end();
        ended.assert_code(0);
        let requests = api.requests();
        let texts = user_texts(&agents(&requests)[0].body);
        let arrived: Vec<&String> = texts.iter().filter(|said| said.contains("BEGIN") && said.contains("END")).collect();
        assert_eq!(arrived.len(), 1);
        assert_eq!(arrived[0].trim(), task.trim(), "the task arrived changed");
        let brief = brief_of(critics(&requests)[0]);
        assert!(brief.len() < 40_000 && brief.contains("in full in the conversation above"), "{}", brief.len());
        assert!(!ended.stdout.contains('\u{1b}'), "a control character of the task reaches the terminal");
    }

    fn a_task_that_looks_like_an_option_or_a_command_is_only_a_task(cli, current) {
        for task in ["--help", "- first\n- second", "[TASK_COMPLETED]"] {
            let ground = Ground::without_git();
            let api = ScriptedApi::start(script(vec![said("Done.")], vec![approval()])).unwrap();
            let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", task]).end();
            ended.assert_code(0);
            let requests = api.requests();
            assert_eq!(user_texts(&agents(&requests)[0].body).iter().filter(|said| *said == task).count(), 1, "{task}");
        }
    }

    fn missing_permissions_are_named_to_the_critic_and_in_the_outcome(cli) {
        let ground = Ground::new();
        let install = || bash("npm install left-pad");
        let api = ScriptedApi::start(script(
            vec![install(), said("I could not."), install(), said("Again not.")],
            vec![said("Install it."), said("Install it at last, by all means.")],
        ))
        .unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it", "--max-iterations", "2"]).end();
        ended.assert_code(4);
        assert!(ended.reason().contains("permissions were missing for: Bash npm install left-pad (2x)"), "{}", ended.reason());
        let requests = api.requests();
        for critic in critics(&requests) {
            assert!(brief_of(critic).contains("npm install left-pad (1x)"), "{}", brief_of(critic));
        }
    }

    fn an_overloaded_provider_is_waited_for(cli) {
        let ground = Ground::new().env("CLAUDE_CODE_MAX_RETRIES", "3");
        let overloaded = || Reply::error(529, "overloaded_error", "Overloaded");
        let api = ScriptedApi::start(script(vec![overloaded(), overloaded(), said("Done.")], vec![overloaded(), approval()])).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(0);
        assert_eq!(ended.result()["restarts"], 0);
        assert!(ended.of_type("notice").iter().any(|notice| text(&notice["text"]).contains("status 529")), "{}", ended.stdout);
        assert_eq!(ended.verdicts(), ["completed"]);
    }

    fn a_refused_key_ends_the_run_and_says_what_to_do(cli) {
        let ground = Ground::new().env("CLAUDE_CODE_MAX_RETRIES", "1");
        let api = ScriptedApi::start(
            Script::new().always(Reply::error(401, "authentication_error", "invalid x-api-key")),
        )
        .unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(1);
        assert!(ended.reason().contains("the credential ANTHROPIC_API_KEY was refused"), "{}", ended.reason());
        assert!(ended.reason().contains("ccc resume"), "{}", ended.reason());
        assert_eq!(ended.result()["restarts"], 0, "a refusal is not a crash");
    }

    fn a_spent_window_is_waited_for_and_the_turn_is_continued(cli) {
        let ground = Ground::new();
        let ground = oauth(ground);
        let api = ScriptedApi::start(script(
            vec![Reply::limit_reached("five_hour", 2), said("Done.")],
            vec![approval()],
        ))
        .unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(0);
        let result = ended.result();
        assert!(result["waited_ms"].as_u64().unwrap() >= 1_000, "{result}");
        assert_eq!(result["restarts"], 0);
        let requests = api.requests();
        let texts = user_texts(&agents(&requests)[1].body);
        assert_eq!(texts.iter().filter(|said| said.trim() == "do it").count(), 1, "{texts:#?}");
    }

    fn a_spent_window_without_waiting_is_exit_code_75(cli, current) {
        let ground = oauth(Ground::new());
        let api = ScriptedApi::start(Script::new().always(Reply::limit_reached("five_hour", 3_600))).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it", "--no-wait"]).end();
        ended.assert_code(75);
        assert_eq!(ended.result()["outcome"], "limits");
        let go_on = text(&ended.result()["resume"]);
        assert!(go_on.ends_with(" --wait"), "{go_on}");
        // As it stands it waits.
        let mut waits = Running::spawn(&ground, &mut ground.typed(&api.base_url(), &format!("exec {go_on}")));
        waits.until_stderr("the run continues by itself");
        waits.signal(rustix::process::Signal::INT);
        waits.wait().assert_code(130);
    }

    fn a_wait_that_would_pass_a_bound_is_not_begun(cli, current) {
        for bound in [["--max-wait", "10m"], ["--until", "+30m"], ["--max-duration", "30m"]] {
            let ground = oauth(Ground::new());
            let api = ScriptedApi::start(Script::new().always(Reply::limit_reached("five_hour", 3_600))).unwrap();
            let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it", bound[0], bound[1]]).end();
            ended.assert_code(75);
            let reason = ended.result()["reason"].to_string();
            assert!(reason.contains(bound[0]), "{reason}");
            let go_on = text(&ended.result()["resume"]);
            assert!(go_on.contains(bound[0]), "{go_on}");
            let mut waits = Running::spawn(&ground, &mut ground.typed(&api.base_url(), &format!("exec {go_on}")));
            waits.until_stderr("the run continues by itself");
            waits.signal(rustix::process::Signal::INT);
            let ended = waits.wait();
            ended.assert_code(130);
        }
    }

    fn a_limit_that_meets_the_critic_is_no_verdict(cli) {
        let ground = oauth(Ground::new());
        let api = ScriptedApi::start(script(
            vec![said("Done.")],
            vec![Reply::limit_reached("five_hour", 2), approval()],
        ))
        .unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(0);
        assert_eq!(ended.verdicts(), ["completed"]);
        assert!(ended.result()["waited_ms"].as_u64().unwrap() >= 1_000);
    }

    fn a_pipe_gives_the_same_night_as_a_terminal(cli, current) {
        let nights: Vec<_> = ["pty", "pipe"]
            .iter()
            .map(|transport| {
                let ground = Ground::new();
                let api = ScriptedApi::start(script(
                    vec![bash("echo one > answer.txt"), said("Done."), bash("tty; echo two > answer.txt"), said("Now.")],
                    vec![said("It must be two."), approval()],
                ))
                .unwrap();
                let args = ["-p", "write two", "--transport", transport, "--", "--dangerously-skip-permissions"];
                let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
                ended.assert_code(0);
                assert_eq!(ground.read("answer.txt"), "two\n");
                let seen: Vec<_> = api.requests().iter().map(|request| (is_critic(request), user_texts(&request.body).len())).collect();
                let shown: Vec<_> = ended.events().iter().map(|event| (text(&event["type"]), text(&event["kind"]), text(&event["phase"]))).collect();
                let transport_used = ended.journal().iter().any(|entry| entry["in"]["spawned"]["transport"] == **transport);
                assert!(transport_used, "{transport} was not used");
                (seen, shown)
            })
            .collect();
        assert_eq!(nights[0], nights[1]);
    }

    fn json_prints_one_object_and_text_prints_the_result(cli, current) {
        let ground = Ground::new();
        for format in ["json", "text"] {
            let api = ScriptedApi::start(script(vec![said("All is done.")], vec![approval()])).unwrap();
            let agent = cli.path.to_str().unwrap();
            let ended = ground.start(&api.base_url(), ["--supervisor", "-p", "do it", "--output-format", format, "--agent", agent]).end();
            ended.assert_code(0);
            if format == "json" {
                let object: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
                assert_result_fields(&object, &[]);
                assert_eq!(ended.stdout.lines().count(), 1);
                assert_eq!(object["result"], "All is done.");
            } else {
                assert_eq!(ended.stdout, "All is done.\n");
                assert!(ended.stderr.contains("completed"), "{}", ended.stderr);
            }
        }
        assert_eq!(ground.runs().len(), 2);
    }
}

/// With a made-up OAuth token in the key's place: only there does the API name usage windows.
fn oauth(ground: Ground) -> Ground {
    ground.env("ANTHROPIC_API_KEY", "").env("CLAUDE_CODE_OAUTH_TOKEN", crate::real_cli::CleanHome::KEY)
}

#[test]
fn a_project_that_git_does_not_know_and_one_without_commits_work() {
    for init in [false, true] {
        let ground = Ground::without_git();
        if init {
            ground.git(&["init", "-q"]);
        }
        let feedback: Vec<_> = (0..6).map(|_| json!([{"say": "The tests are missing."}])).collect();
        let done: Vec<_> = (0..6).map(|_| json!([{"say": "Done."}])).collect();
        let program = ground.scripted_agent(&json!({"agent": done, "critic": feedback}));
        let ended = ground.supervise(NOWHERE, &program, &["-p", "do it"]).end();
        ended.assert_code(5);
    }
}

#[test]
fn a_project_that_vanishes_under_the_agent_ends_the_run_with_a_reason() {
    let ground = Ground::without_git();
    let away = ground.home().join("moved-away");
    let body = format!("mv '{}' '{}'", ground.project().display(), away.display());
    let program = ground.scripted_agent(&json!({
        "agent": [[{"tool": {"name": "Bash", "input": {"command": body}, "real": true}}, {"say": "Done."}]],
        "critic": [[{"say": "[TASK_COMPLETED]"}]],
    }));
    let mut command: Command = ground.command(
        NOWHERE,
        [
            "--supervisor",
            "-p",
            "do it",
            "--output-format",
            "stream-json",
            "--agent",
            program.to_str().unwrap(),
            "--",
            "--dangerously-skip-permissions",
        ],
    );
    let running = Running::spawn(&ground, &mut command);
    let ended = running.wait();
    fs::rename(&away, away.parent().unwrap().parent().unwrap().join("project")).unwrap();
    ended.assert_code(1);
    assert!(ended.reason().contains("could not be started"), "{}", ended.reason());
}

#[test]
fn the_bounds_and_the_credential_are_shown_at_the_start() {
    let ground = Ground::new();
    let program =
        ground.scripted_agent(&json!({"agent": [[{"say": "Done."}]], "critic": [[{"say": "[TASK_COMPLETED]"}]]}));
    let mut running = ground.start(NOWHERE, ["--supervisor", "-p", "do it", "--agent", program.to_str().unwrap()]);
    running.until_stderr("20 iterations");
    let ended = running.end();
    ended.assert_code(0);
    assert!(ended.stderr.contains("ANTHROPIC_API_KEY"), "the credential is named: {}", ended.stderr);
}
