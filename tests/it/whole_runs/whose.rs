//! Whose change is it? Whose progress? Nights in which something else than the critic writes into the project, and nights
//! whose progress the tree does not show at first sight.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::harness::{Ended, Ground, approval, bash, input, look_until, script, text};
use super::requests::{agents, critics, messages, tool_results};
use crate::scripted_api::{Reply, ScriptedApi};

const DANGEROUS: [&str; 4] = ["-p", "do it", "--", "--dangerously-skip-permissions"];

fn said(text: &str) -> Reply {
    Reply::text(text)
}

/// A program of the user's that writes into the project until it is dropped.
struct Writer(Child);

impl Writer {
    fn start(ground: &Ground, file: &str) -> Writer {
        let line = format!("while echo line >> {file}; do sleep 0.02; done");
        let child = Command::new("sh").args(["-c", &line]).current_dir(ground.project()).stdin(Stdio::null()).spawn();
        look_until("the writer's file", || ground.project().join(file).exists().then_some(()));
        Writer(child.expect("sh runs"))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn remarks(ended: &Ended<'_>, about: &str) -> Vec<String> {
    let journal = ended.journal();
    let notes = journal.iter().filter_map(|entry| entry.get("act")?.get("note"));
    notes.filter(|note| note["about"] == about).map(|note| text(&note["text"])).collect()
}

fn with_submodule(ground: &Ground) {
    let lib = ground.home().join("lib-origin");
    let run = |dir: &Path, args: &[&str]| {
        let done = Command::new("git")
            .args(["-c", "user.name=T", "-c", "user.email=t@example.invalid", "-c", "protocol.file.allow=always"])
            .args(args)
            .current_dir(dir)
            .output()
            .expect("git runs");
        assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    std::fs::create_dir_all(&lib).expect("mkdir");
    std::fs::write(lib.join("code.txt"), "line 0\n").expect("write");
    std::fs::write(lib.join("touch.sh"), "echo changed >> lib/code.txt\n").expect("write");
    run(&lib, &["init", "-q"]);
    run(&lib, &["add", "."]);
    run(&lib, &["commit", "-qm", "lib"]);
    run(&ground.project(), &["submodule", "add", "-q", &lib.display().to_string(), "lib"]);
    run(&ground.project(), &["commit", "-qm", "lib"]);
}

on_both! {
    fn the_users_hooks_do_not_run_in_a_critic_and_its_prompt_prefix_stays(cli) {
        let ground = Ground::new();
        let hook = |file: &str| json!([{"hooks": [{"type": "command", "command": format!("cat >> {file}")}]}]);
        let hooks = json!({"Stop": hook("stop.log"), "UserPromptSubmit": hook("prompt.log"), "SessionStart": hook("start.log")});
        ground.write(".claude/settings.json", &json!({"hooks": hooks}).to_string());
        let api = ScriptedApi::start(script(vec![said("Done.")], vec![bash("ls"), approval()])).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(0);
        assert_eq!(ended.verdicts(), ["completed"]);
        assert_eq!(ground.read("stop.log").matches("hook_event_name").count(), 1, "once, for the agent");
        assert_eq!(ground.read("prompt.log").matches("hook_event_name").count(), 1);
        let requests = api.requests();
        let (agent, critic) = (&agents(&requests)[0], &critics(&requests)[0]);
        for part in ["model", "tools", "system"] {
            assert!(agent.body[part] == critic.body[part], "{part} differs");
        }
        let (agent, critic) = (messages(agent), messages(critic));
        assert_eq!(critic[..agent.len()], agent[..], "the critic's messages begin with the agent's");
    }

    fn settings_of_the_users_command_line_keep_their_hooks_from_the_critic_too(cli) {
        let ground = Ground::new();
        let hook = json!([{"hooks": [{"type": "command", "command": "cat >> stop.log"}]}]);
        let settings = json!({"hooks": {"Stop": hook}, "permissions": {"allow": ["Bash(python3:*)"]}}).to_string();
        let look = || bash("python3 -c \"print(6*7)\"");
        let api = ScriptedApi::start(script(vec![said("Done.")], vec![look(), approval()])).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it", "--", "--settings", &settings]).end();
        ended.assert_code(0);
        assert_eq!(ground.read("stop.log").matches("hook_event_name").count(), 1, "once, for the agent");
        let requests = api.requests();
        let results = tool_results(&critics(&requests)[1].body).join("\n");
        assert!(results.contains("42"), "the rest of the settings holds: {results}");
    }

    fn a_settings_file_of_the_users_command_line_keeps_its_hooks_from_the_critic_and_its_prompt_prefix_stays(cli) {
        let ground = Ground::new();
        let hook = |file: &str| json!([{"hooks": [{"type": "command", "command": format!("cat >> {file}")}]}]);
        let hooks = json!({"Stop": hook("stop.log"), "UserPromptSubmit": hook("prompt.log"), "SessionStart": hook("start.log")});
        let settings = json!({"hooks": hooks, "permissions": {"allow": ["Bash(python3:*)"]}}).to_string();
        let file = ground.home().join("mine.json");
        std::fs::write(&file, settings).unwrap();
        let look = || bash("python3 -c \"print(6*7)\"");
        let api = ScriptedApi::start(script(vec![said("Done.")], vec![look(), approval()])).unwrap();
        let given = ["-p", "do it", "--", "--settings", file.to_str().unwrap()];
        let ended = ground.supervise(&api.base_url(), &cli.path, &given).end();
        ended.assert_code(0);
        for log in ["stop.log", "prompt.log", "start.log"] {
            assert_eq!(ground.read(log).matches("hook_event_name").count(), 1, "once, for the agent: {log}");
        }
        let requests = api.requests();
        let results = tool_results(&critics(&requests)[1].body).join("\n");
        assert!(results.contains("42"), "the rest of the settings holds: {results}");
        let (agent, critic) = (&agents(&requests)[0], &critics(&requests)[0]);
        for part in ["model", "tools", "system"] {
            assert!(agent.body[part] == critic.body[part], "{part} differs");
        }
        let (agent, critic) = (messages(agent), messages(critic));
        assert_eq!(critic[..agent.len()], agent[..], "the critic's messages begin with the agent's");
    }

    fn what_the_users_own_server_writes_is_found_to_move_by_itself(cli, current) {
        let ground = Ground::new();
        let writer = Writer::start(&ground, "app.log");
        let api = ScriptedApi::start(script(vec![said("Done.")], vec![bash("ls"), approval()])).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &DANGEROUS).end();
        drop(writer);
        ended.assert_code(0);
        assert_eq!(ended.verdicts(), ["completed"]);
        assert!(remarks(&ended, "moving files").iter().any(|remark| remark.contains("app.log")));
    }

    fn what_a_server_that_the_agent_left_running_writes_is_background_work(cli) {
        let ground = Ground::new();
        // It writes only once the critic looks: a write in the watch before the brief would make the file one that moves by itself,
        // and then it is not its being alive that excuses it.
        let looks = ground.home().join("looks").display().to_string();
        let serve = &format!(
            "nohup sh -c 'while [ ! -e {looks} ]; do sleep 0.1; done; while true; do date +%N >> served.txt; sleep 0.7; done' \
             >/dev/null 2>&1 & echo started"
        );
        // In a script, because the CLI lets no critic touch a file outside of the project by name.
        ground.write("look.sh", &format!("touch {looks}; while [ ! -s served.txt ]; do sleep 0.05; done; ls\n"));
        let look = bash("sh look.sh");
        let allow = json!({"permissions": {"allow": ["Bash"]}});
        ground.user_settings(&allow);
        let api =
            ScriptedApi::start(script(vec![bash(serve), said("It serves.")], vec![look, approval()])).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &DANGEROUS).end();
        ended.assert_code(0);
        assert_eq!(ended.verdicts(), ["completed"]);
        assert!(!ground.read("served.txt").is_empty(), "the premise: it wrote");
        let reason = ended.reason();
        assert!(reason.contains("served.txt") && reason.contains("left running (sh (pid "), "{reason}");
    }

    fn a_process_that_the_agent_left_running_and_that_writes_nothing_excuses_no_critic(cli, current) {
        let ground = Ground::new();
        ground.write("write.sh", "echo written-by-the-critic >> README\n");
        ground.write(".ccc.json", "{\"critic\": {\"allow\": [\"Bash(sh write.sh)\"]}}");
        ground.trust();
        let leave = "(setsid sleep 400 >/dev/null 2>&1 &)";
        let api = ScriptedApi::start(script(
            vec![bash(leave), said("Done.")],
            vec![bash("sh write.sh"), approval(), approval()],
        ))
        .unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &DANGEROUS).end();
        ended.assert_code(0);
        assert!(ground.read("README").contains("by-the-critic"), "the premise: it wrote");
        assert_eq!(ended.verdicts(), ["unusable", "completed"]);
        let why = text(&ended.of_type("verdict")[0]["text"]);
        assert!(why.contains("README (sleep (pid ") && why.contains("had written nothing"), "{why}");
        assert!(ended.reason().contains("look at them: README"), "{}", ended.reason());
    }

    fn a_critic_that_changes_references_configuration_and_hooks_is_caught_by_name(cli, current) {
        let ground = Ground::new();
        ground.write("write.sh", "git branch other; git config user.name other; echo '#!/bin/sh' > .git/hooks/pre-commit\n");
        ground.write(".ccc.json", "{\"critic\": {\"allow\": [\"Bash(sh write.sh)\"]}}");
        ground.trust();
        let api =
            ScriptedApi::start(script(vec![said("Done.")], vec![bash("sh write.sh"), approval(), approval()])).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(0);
        assert_eq!(ended.verdicts(), ["unusable", "completed"]);
        let why = text(&ended.of_type("verdict")[0]["text"]);
        for path in [".git/config", ".git/hooks/pre-commit", ".git/refs/heads/other"] {
            assert!(why.contains(path) && ended.reason().contains(path), "{path}: {why} {}", ended.reason());
        }
    }

    fn a_critic_that_changes_a_submodule_is_caught_by_name(cli, current) {
        let ground = Ground::new();
        with_submodule(&ground);
        ground.write(".ccc.json", "{\"critic\": {\"allow\": [\"Bash(sh lib/touch.sh)\"]}}");
        ground.trust();
        let api = ScriptedApi::start(script(
            vec![said("Done.")],
            vec![bash("sh lib/touch.sh"), approval(), approval()],
        ))
        .unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        assert!(ground.read("lib/code.txt").contains("changed"), "the premise: it wrote");
        assert_eq!(ended.verdicts(), ["unusable", "completed"]);
        let why = text(&ended.of_type("verdict")[0]["text"]);
        assert!(why.contains("lib/code.txt") && why.contains(".gitignore"), "{why}");
    }

    fn steps_in_a_submodule_are_progress(cli, current) {
        let ground = Ground::new();
        with_submodule(&ground);
        let steps = (1..=6).flat_map(|n| [bash(&format!("echo step{n} >> lib/code.txt")), said("Done.")]);
        let no = || said("Not all six steps are in the file yet. Add the next one.");
        let api = ScriptedApi::start(script(steps.collect(), vec![no(), no(), no(), no(), no(), approval()])).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &DANGEROUS).end();
        ended.assert_code(0);
        assert_eq!(ended.result()["iterations"], 6);
    }

    fn files_that_git_ignores_are_progress_when_the_agent_writes_them(cli, current) {
        let ground = Ground::new();
        ground.write(".gitignore", "data/\n");
        let project = ground.project();
        let step = |n: u32| {
            Reply::tool("Write", json!({"file_path": project.join(format!("data/step{n}.txt")), "content": "step\n"}))
        };
        let steps = (1..=6).flat_map(|n| [step(n), said("Done.")]);
        let no = || said("The steps are not all in data/ yet. Add the next one.");
        let api = ScriptedApi::start(script(steps.collect(), vec![no(), no(), no(), no(), no(), approval()])).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &DANGEROUS).end();
        ended.assert_code(0);
        assert_eq!(ended.result()["iterations"], 6);
    }

    fn what_commands_write_into_an_ignored_folder_is_progress_and_nothing_is_not(cli, current) {
        let no = || said("The steps are not all in data/ yet. Add the next one.");
        for (same, outcome, iterations) in [(false, "completed", 6), (true, "stuck", 4)] {
            let ground = Ground::new();
            ground.write(".gitignore", "data/\n");
            let step = |n: u32| bash(&format!("mkdir -p data; echo step > data/step{}.txt", if same { 1 } else { n }));
            let steps = (1..=6).flat_map(|n| [step(n), said("Done.")]);
            let critic = vec![no(), no(), no(), no(), no(), approval()];
            let api = ScriptedApi::start(script(steps.collect(), critic)).unwrap();
            let ended = ground.supervise(&api.base_url(), &cli.path, &DANGEROUS).end();
            assert_eq!(ended.result()["outcome"], outcome, "{}", ended.stdout);
            assert_eq!(ended.result()["iterations"], iterations);
        }
    }

    fn feedback_whose_count_moves_is_not_the_same_feedback(cli, current) {
        let ground = Ground::new();
        let no = |n: u32| said(&format!("Only {n} of the six rows are in the database yet."));
        let agent = (0..6).map(|_| said("One more row.")).collect();
        let critic = (1..=5).map(no).chain([approval()]).collect();
        let api = ScriptedApi::start(script(agent, critic)).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(0);
        assert_eq!(ended.result()["iterations"], 6);
    }

    fn the_agent_does_not_move_into_a_worktree_where_nobody_looks(cli) {
        let ground = Ground::new();
        let enter = Reply::tool("EnterWorktree", json!({"name": "elsewhere"}));
        let api = ScriptedApi::start(script(
            vec![enter, bash("pwd > where.txt"), said("Done.")],
            vec![approval()],
        ))
        .unwrap();
        let args = ["-p", "do it", "--check", "test -f where.txt", "--", "--dangerously-skip-permissions"];
        let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
        ended.assert_code(0);
        assert_eq!(ground.read("where.txt").trim(), ground.project().display().to_string());
        assert!(!ground.project().join(".claude/worktrees").exists());
        let requests = api.requests();
        let answers = tool_results(&agents(&requests)[1].body).join("\n");
        assert!(answers.contains("No such tool") || answers.contains("denied") || answers.contains("not"), "{answers}");
        let (agent, critic) = (&agents(&requests)[0], &critics(&requests)[0]);
        assert!(agent.body["tools"] == critic.body["tools"], "the critic's tools are the agent's");
    }
}

/// Case: a filter of the repository's that sleeps, and an edit of the same size, for which git would have to run it.
#[test]
fn a_filter_of_the_repositorys_is_not_run_and_holds_nothing_up() {
    let ground = Ground::new();
    ground.write("a.x", "one\n");
    ground.git(&["add", "."]);
    ground.git(&["commit", "-q", "-m", "a"]);
    ground.write(".gitattributes", "*.x filter=e\n");
    ground.git(&["config", "filter.e.clean", "sleep 54321"]);
    ground.write("a.x", "two\n");
    let program =
        ground.scripted_agent(&json!({"agent": [[{"say": "Done."}]], "critic": [[{"say": "[TASK_COMPLETED]"}]]}));
    let ended = ground.supervise("http://127.0.0.1:9", &program, &["-p", "do it"]).end();
    ended.assert_code(0);
    assert!(ended.result()["duration_ms"].as_u64().is_some_and(|ms| ms < 20_000), "{}", ended.result());
}

fn with_hanging_git(ground: &Ground) {
    let head = ground.project().join(".git/HEAD");
    std::fs::remove_file(&head).expect("remove");
    crate::fifo::make_fifo(&head);
}

fn endless_reviews(ground: &Ground) -> std::path::PathBuf {
    ground.scripted_agent(&json!({"agent": [[{"say": "Done."}]], "critic": [[{"say": "[TASK_COMPLETED]"}]]}))
}

#[test]
fn a_git_that_hangs_outlasts_neither_ctrl_c_nor_the_time_bound() {
    let ground = Ground::new();
    with_hanging_git(&ground);
    let program = endless_reviews(&ground);
    let mut running = ground.supervise("http://127.0.0.1:9", &program, &["-p", "do it"]);
    running.until("a review", |event| event["phase"] == "reviewing");
    running.signal(rustix::process::Signal::INT);
    running.end().assert_code(130);

    let ended = ground.supervise("http://127.0.0.1:9", &program, &["-p", "do it", "--max-duration", "2s"]).end();
    ended.assert_code(4);
    assert!(ended.result()["duration_ms"].as_u64().is_some_and(|ms| ms < 10_000), "{}", ended.result());
}

#[test]
fn a_git_that_hangs_is_a_fact_of_its_kind_and_stands_in_the_outcome() {
    let ground = Ground::new();
    with_hanging_git(&ground);
    let program = ground.scripted_agent(&json!({
        "agent": [[{"say": "Done."}]],
        "critic": [[{"say": "[TASK_COMPLETED]"}], [{"say": "[TASK_COMPLETED]"}]],
    }));
    let ended = ground.supervise("http://127.0.0.1:9", &program, &["-p", "do it"]).end();
    ended.assert_code(0);
    assert_eq!(ended.verdicts(), ["unusable", "completed"]);
    assert!(ended.reason().contains("could not be measured"), "{}", ended.reason());
    let journal = ended.journal();
    let measured: Vec<_> = journal.iter().filter_map(|entry| input(entry, "tree_measured")).collect();
    assert!(!measured.is_empty() && measured.iter().all(|fact| fact["tree"]["fault"] == "hung"), "{measured:?}");
    let notices: Vec<String> = ended.of_type("notice").iter().map(|notice| text(&notice["text"])).collect();
    assert_eq!(notices.iter().filter(|notice| notice.contains("git")).count(), 1, "{notices:?}");
}
