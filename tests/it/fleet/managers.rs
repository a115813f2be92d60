//! A manager and its workers, with the real CLI: it starts them with `ccc new`, is told of their ends, and merges their work.

use serde_json::{Value, json};

use crate::scripted_api::{Reply, Script, ScriptedApi, When};
use crate::whole_runs::harness::{BRIEF, Ended, Ground, Running, approval, bash, input, journal, text};
use crate::whole_runs::on_both;

fn run<'a>(ground: &'a Ground, url: &str, args: &[&str]) -> Ended<'a> {
    Running::spawn(ground, &mut ground.command(url, args)).wait()
}

fn committed(file: &str) -> Reply {
    bash(&format!("echo {file} > {file} && git add {file} && git -c user.name=a -c user.email=a@b commit -qm {file}"))
}

on_both! {
    fn a_manager_starts_two_workers_is_told_of_their_ends_and_merges_both(cli) {
        let lead = || When::any_user_text("LEAD");
        let script = Script::new()
            .always_on(When::any_user_text(BRIEF), approval())
            .on(When::any_user_text("WORK-ONE"), committed("one.txt"))
            .always_on(When::any_user_text("WORK-ONE"), Reply::text("One is written."))
            .on(When::any_user_text("WORK-TWO"), committed("two.txt"))
            .always_on(When::any_user_text("WORK-TWO"), Reply::text("Two is written."))
            .on(lead(), bash("ccc new 'WORK-ONE: write one.txt' --name one --worker"))
            .on(lead(), bash("ccc new 'WORK-TWO: write two.txt' --name two --worker"))
            .on(lead(), Reply::text("Both work."))
            .on(lead(), Reply::text("I wait for the other."))
            .on(lead(), bash("ccc merge one two && ls"))
            .on(lead(), Reply::text("Both are merged."));
        let api = ScriptedApi::start(script).expect("an API");
        let ground = Ground::new();
        ground.user_config(&json!({
            "agent": {"path": cli.path.display().to_string(), "args": ["--dangerously-skip-permissions"]},
        }));
        let url = api.base_url().to_owned();
        run(&ground, &url, &["new", "LEAD the two", "--name", "lead"]).assert_code(0);
        run(&ground, &url, &["wait", "lead"]).assert_code(0);
        let listed = run(&ground, &url, &["tree", "--json"]);
        let agents: Vec<Value> = serde_json::from_str(&listed.stdout).expect("a JSON array");
        let shown: Vec<_> = agents.iter().map(|agent| (agent["name"].as_str(), agent["level"].as_u64(), agent["state"].as_str())).collect();
        let completed = Some("completed");
        assert_eq!(shown[0], (Some("lead"), Some(0), completed), "{shown:?}");
        let mut workers = shown[1..].to_vec();
        workers.sort_unstable();
        assert_eq!(workers, [(Some("one"), Some(1), completed), (Some("two"), Some(1), completed)]);
        // Its branch has the work of both; the user's has none of it.
        let files = ground.git(&["ls-tree", "--name-only", "agent/lead"]);
        assert!(files.contains("one.txt") && files.contains("two.txt"), "{files}");
        assert!(!ground.git(&["ls-tree", "--name-only", "main"]).contains("one.txt"));
        // Each end was told once.
        let lead = agents[0]["id"].as_str().expect("an id");
        let entries = journal(&ground.state().join("runs").join(lead));
        let ends: Vec<String> = entries
            .iter()
            .filter_map(|entry| input(entry, "operator")?.get("worker_ended").map(|ended| text(&ended["name"])))
            .collect();
        let mut names = ends.clone();
        names.sort_unstable();
        assert_eq!(names, ["one", "two"], "{ends:?}");
    }
}
