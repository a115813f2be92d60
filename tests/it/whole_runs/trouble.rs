//! Providers, tools and surroundings that make trouble in the middle of the night.

use std::process::Stdio;

use serde_json::json;

use super::harness::{BRIEF, Ground, Running, approval, bash, script, text};
use super::requests::{agents, critics, is_critic, user_texts};
use crate::scripted_api::{Block, Ending, Message, Reply, Script, ScriptedApi};

const DANGEROUS: [&str; 4] = ["-p", "do it", "--", "--dangerously-skip-permissions"];

fn said(text: &str) -> Reply {
    Reply::text(text)
}

on_both! {
    fn honest_slowness_is_no_stall(cli, current) {
        let ground = Ground::new();
        // Each part lasts longer than the bound: a tool, a slow answer with a delta now and then.
        let slow = Reply::Message(Message::paced("I am thinking about it with great care", 5, 1_100));
        let tool = bash("timeout 5 tail -f /dev/null; echo slept");
        let api = ScriptedApi::start(script(vec![tool, slow], vec![approval()])).unwrap();
        let args = ["-p", "do it", "--stall-timeout", "4s", "--", "--dangerously-skip-permissions"];
        let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
        ended.assert_code(0);
        assert_eq!(ended.result()["restarts"], 0, "honest work was killed: {}", ended.stdout);
        assert_eq!(api.request_count(), 3);
    }

    fn a_model_that_falls_silent_is_restarted_and_told_to_continue(cli) {
        let ground = Ground::new().env("CCC_GRACE", "1s");
        let stall = Reply::Message(Message { ending: Ending::Stall { after_deltas: 2 }, ..Message::paced("I begin and then nothing", 4, 0) });
        let api = ScriptedApi::start(script(vec![bash("echo one >> steps.txt"), stall, said("Done.")], vec![approval()])).unwrap();
        let args = ["-p", "do it", "--stall-timeout", "4s", "--", "--dangerously-skip-permissions"];
        let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
        ended.assert_code(0);
        assert_eq!(ended.result()["restarts"], 1);
        assert_eq!(ground.read("steps.txt"), "one\n");
        let requests = api.requests();
        let texts = user_texts(&agents(&requests)[2].body);
        assert_eq!(texts.iter().filter(|said| said.trim() == "do it").count(), 1, "{texts:#?}");
        let turns: Vec<String> = ended.of_type("turn").iter().map(|turn| text(&turn["kind"])).collect();
        assert_eq!(turns, ["task", "continue"]);
    }

    fn what_a_restart_cannot_mend_ends_the_run_with_its_name(cli) {
        let table = [
            (Reply::error(400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."), "credit"),
            (Reply::error(404, "not_found_error", "model: no-such-model"), "-- --model MODEL"),
            (Reply::error(403, "permission_error", "not allowed here"), "refused"),
        ];
        for (reply, word) in table {
            let ground = Ground::without_git();
            let api = ScriptedApi::start(Script::new().always(reply)).unwrap();
            let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
            ended.assert_code(1);
            assert!(ended.reason().contains(word), "{word}: {}", ended.reason());
            assert_eq!(ended.result()["restarts"], 0);
            assert!(api.request_count() <= 8, "{word}: {} requests", api.request_count());
        }
    }

    fn refusals_in_a_row_end_the_run(cli) {
        let ground = Ground::without_git();
        let refusal = Reply::Message(Message { blocks: vec![Block::text("I cannot.")], stop_reason: Some("refusal".to_owned()), ..Message::default() });
        let api = ScriptedApi::start(Script::new().always(refusal)).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(1);
        assert!(ended.reason().contains("turns in a row failed"), "{}", ended.reason());
        assert!(ended.verdicts().is_empty(), "no critic is asked about a refusal");
    }

    fn an_answer_cut_off_after_a_whole_block_is_not_the_end_of_the_work(cli) {
        let ground = Ground::new();
        let cut = Reply::Message(Message {
            blocks: vec![Block::text("First I will look at")],
            ending: Ending::Cut { after_deltas: 9 },
            ..Message::default()
        });
        let api = ScriptedApi::start(script(vec![cut, said("Done.")], vec![approval()])).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(0);
        let kinds: Vec<bool> = api.requests().iter().map(is_critic).collect();
        assert_eq!(kinds, [false, false, true], "the critic judged a half answer");
        assert_eq!(ended.result()["result"], "Done.");
    }

    fn a_file_of_megabytes_in_one_line_passes_the_terminal_whole(cli, current) {
        let ground = Ground::new();
        let content = "0123456789abcde\n".repeat(200_000);
        let write = Reply::tool("Write", json!({"file_path": ground.project().join("big.txt"), "content": content}));
        let api = ScriptedApi::start(script(vec![write, said("Done.")], vec![approval()])).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &DANGEROUS).end();
        ended.assert_code(0);
        assert_eq!(ground.read("big.txt").len(), content.len());
        assert!(!ended.stdout.contains("is lost"), "a line was lost");
    }

    fn a_question_to_the_user_does_not_hang_the_night(cli) {
        let ground = Ground::new();
        let ask = Reply::tool("AskUserQuestion", json!({"questions": [{
            "question": "Which colour?", "header": "Colour", "multiSelect": false,
            "options": [{"label": "red", "description": "warm"}, {"label": "blue", "description": "cold"}],
        }]}));
        let api = ScriptedApi::start(script(vec![ask, said("I took red.")], vec![approval()])).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &DANGEROUS).end();
        ended.assert_code(0);
        assert_eq!(ended.result()["result"], "I took red.");
    }

    fn a_background_sub_agent_keeps_the_turn_open(cli) {
        let ground = Ground::new();
        let start = Reply::tool("Task", json!({"description": "look", "prompt": "SUB-AGENT-WORK", "subagent_type": "general-purpose", "run_in_background": true}));
        let sub = Reply::Message(Message { first_delay_ms: 1_500, ..Message::paced("The sub-agent found it.", 1, 0) });
        let when = |text: &str| crate::scripted_api::When::last_user_text(text);
        let api = ScriptedApi::start(
            Script::new()
                .on(when("SUB-AGENT-WORK"), sub)
                .rule(rule_for(BRIEF, approval()))
                .then(start)
                .then(said("It is looking."))
                .then(said("It has found it.")),
        )
        .unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &DANGEROUS).end();
        ended.assert_code(0);
        let requests = api.requests();
        assert!(is_critic(requests.last().unwrap()), "the critic came before the sub-agent's end was dealt with");
        assert_eq!(critics(&requests).len(), 1);
        assert_eq!(requests.len(), 5, "{:#?}", requests.iter().map(|request| user_texts(&request.body).pop()).collect::<Vec<_>>());
    }

    fn started_by_an_agents_own_tool_it_works_as_anywhere(cli) {
        let ground = Ground::new()
            .env("CLAUDECODE", "1")
            .env("CLAUDE_CODE_ENTRYPOINT", "cli")
            .env("CLAUDE_CODE_SESSION_ID", "11111111-1111-4111-8111-111111111111")
            .env("CLAUDE_CODE_CHILD_SESSION", "1")
            .env("CCC_RUN_ID", "another-run")
            .env("CCC_ATTEMPT", "7");
        let api = ScriptedApi::start(script(vec![bash("echo run=$CCC_RUN_ID"), said("Done.")], vec![approval()])).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &DANGEROUS).end();
        ended.assert_code(0);
        assert_ne!(ended.result()["session_id"], "11111111-1111-4111-8111-111111111111");
        let requests = api.requests();
        let run_id = text(&ended.result()["run_id"]);
        assert!(requests[1].body.to_string().contains(&format!("run={run_id}")), "the cookie is this run's");
    }
}

fn rule_for(text: &str, reply: Reply) -> crate::scripted_api::Rule {
    crate::scripted_api::Rule {
        when: crate::scripted_api::When::any_user_text(text),
        times: crate::scripted_api::Times::Once,
        reply,
    }
}

#[test]
fn a_task_from_a_pipe_and_a_project_with_spaces_below_a_repository_work() {
    let ground = Ground::new();
    ground.write("süb dir 漢/deep/notes.txt", "notes");
    ground.git(&["add", "."]);
    ground.git(&["commit", "-q", "-m", "More"]);
    let program = ground.scripted_agent(&json!({
        "agent": [
            [{"tool": {"name": "Bash", "input": {"command": "pwd > where.txt"}, "real": true}}, {"say": "Done."}],
            [{"say": "Done again."}]
        ],
        "critic": [
            [{"tool": {"name": "Bash", "input": {"command": "echo x > ../../cheat.txt"}, "real": true, "unchecked": true}}, {"say": "[TASK_COMPLETED]"}],
            [{"say": "[TASK_COMPLETED]"}]
        ],
    }));
    let mut command = ground.command(
        "http://127.0.0.1:9",
        [
            "--supervisor",
            "--output-format",
            "stream-json",
            "--agent",
            program.to_str().unwrap(),
            "--",
            "--dangerously-skip-permissions",
        ],
    );
    let task = ground.write("../home/task.txt", "Find out where you are.\n");
    command
        .current_dir(ground.project().join("süb dir 漢/deep"))
        .stdin(Stdio::from(std::fs::File::open(task).unwrap()));
    let ended = Running::spawn(&ground, &mut command).end();
    ended.assert_code(0);
    assert_eq!(ended.verdicts(), ["unusable", "completed"], "a change elsewhere in the repository is seen");
    assert!(text(&ended.of_type("verdict")[0]["text"]).contains("cheat.txt"), "{}", ended.stdout);
    let deep = ground.project().join("süb dir 漢/deep");
    assert_eq!(ground.read("süb dir 漢/deep/where.txt").trim(), deep.to_str().unwrap());
    assert_eq!(text(&ended.of_type("turn")[0]["text"]).trim(), "Find out where you are.");
}

#[test]
fn a_critic_that_commits_is_caught_in_a_repository_and_in_a_worktree() {
    for worktree in [false, true] {
        let ground = Ground::new();
        let dir = if worktree {
            ground.git(&["worktree", "add", "-q", "../home/tree", "-b", "side"]);
            ground.home().join("tree")
        } else {
            ground.project()
        };
        let commit = "git -c user.name=T -c user.email=t@example.invalid commit -q --allow-empty -m sneaky";
        let program = ground.scripted_agent(&json!({
            "agent": [[{"say": "Done."}]],
            "critic": [
                [{"tool": {"name": "Bash", "input": {"command": commit}, "real": true, "unchecked": true}}, {"say": "[TASK_COMPLETED]"}],
                [{"tool": {"name": "Bash", "input": {"command": "git status"}, "real": true, "unchecked": true}}, {"say": "[TASK_COMPLETED]"}]
            ],
        }));
        let mut command = ground.command(
            "http://127.0.0.1:9",
            ["--supervisor", "-p", "do it", "--output-format", "stream-json", "--agent", program.to_str().unwrap()],
        );
        command.current_dir(&dir);
        let ended = Running::spawn(&ground, &mut command).end();
        ended.assert_code(0);
        assert_eq!(ended.verdicts(), ["unusable", "completed"], "worktree: {worktree}");
    }
}

#[test]
fn a_tree_that_git_cannot_measure_is_said_to_the_user() {
    let ground = Ground::new();
    ground.write(".git/HEAD", "nonsense");
    let program =
        ground.scripted_agent(&json!({"agent": [[{"say": "Done."}]], "critic": [[{"say": "[TASK_COMPLETED]"}], [{"say": "[TASK_COMPLETED]"}]]}));
    let ended = ground.supervise("http://127.0.0.1:9", &program, &["-p", "do it"]).end();
    ended.assert_code(0);
    assert_eq!(ended.verdicts(), ["unusable", "completed"], "another critic is asked, once");
    assert!(ended.reason().contains("could not be measured"), "{}", ended.reason());
    let notices: Vec<String> = ended.of_type("notice").iter().map(|notice| text(&notice["text"])).collect();
    // Once what it means for the review, and once what it means for the checkpoints.
    for told in ["cannot be measured", "could not be kept as a checkpoint"] {
        assert_eq!(notices.iter().filter(|notice| notice.contains(told)).count(), 1, "{notices:?}");
    }
    assert_eq!(notices.iter().filter(|notice| notice.contains("git")).count(), 2, "{notices:?}");
}

on_both! {
    fn words_that_begin_like_a_command_reach_the_model_as_they_are(cli) {
        let ground = Ground::new();
        let feedback = "/src/main.rs has no tests.\nWrite them.";
        let api = ScriptedApi::start(script(
            vec![said("Done."), said("Now there are tests.")],
            vec![said(feedback), approval()],
        ))
        .unwrap();
        let task = "/etc/hosts is to be parsed";
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", task]).end();
        ended.assert_code(0);
        let requests = api.requests();
        assert_eq!(agents(&requests).len(), 2, "{:?}", ended.verdicts());
        let texts = user_texts(&agents(&requests)[1].body);
        for said in [task, feedback] {
            assert_eq!(texts.iter().filter(|text| text.trim().ends_with(said)).count(), 1, "{said}: {texts:#?}");
        }
    }

    fn feedback_that_is_named_like_a_command_is_not_run_as_one(cli) {
        let ground = Ground::new();
        let feedback = ["/healthz answers 500. Mend it.", "/compact", "/clear"];
        let api = ScriptedApi::start(script(
            (0..4).map(|_| said("Done.")).collect(),
            feedback.iter().map(|text| said(text)).chain([approval()]).collect(),
        ))
        .unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(0);
        let requests = api.requests();
        let texts = user_texts(&agents(&requests)[3].body);
        for said in feedback.iter().chain(&["do it"]) {
            assert_eq!(texts.iter().filter(|text| text.trim().ends_with(said)).count(), 1, "{said}: {texts:#?}");
        }
    }
}

#[test]
fn what_the_agent_left_running_outlives_checks_and_critics_and_not_the_run() {
    let ground = Ground::new();
    let serve = "setsid sh -c 'echo $$ > server.pid; exec tail -f /dev/null' </dev/null >/dev/null 2>&1 & while [ ! -s server.pid ]; do :; done";
    let alive = "kill -0 $(cat server.pid)";
    let program = ground.scripted_agent(&json!({
        "agent": [
            [{"tool": {"name": "Bash", "input": {"command": serve}, "real": true}}, {"say": "It serves."}],
            [{"say": "It still serves."}]
        ],
        "critic": [[{"say": "Look again."}], [{"say": "[TASK_COMPLETED]"}]],
    }));
    let args = ["-p", "serve", "--check", alive, "--check", alive, "--", "--dangerously-skip-permissions"];
    let ended = ground.supervise("http://127.0.0.1:9", &program, &args).end();
    ended.assert_code(0);
    assert_eq!(ended.verdicts(), ["feedback", "completed"], "{}", ended.stdout);
    assert_eq!(ended.of_type("check").iter().filter(|check| check["passed"] == true).count(), 4, "{}", ended.stdout);
}
