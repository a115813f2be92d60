//! Lists that cannot be used, and what is said before anything is started.

use std::fs;

use serde_json::json;

use super::{LIST, Nights};
use crate::ownfaults::world::World;
use crate::whole_runs::harness::{Ground, Running};

#[test]
fn what_is_no_list_is_refused_before_anything_is_started() {
    let nights = Nights::new();
    let project = nights.0.ground.project();
    fs::create_dir(project.join("dir")).expect("mkdir");
    let large = "a task of the night\n".repeat(500_000);
    for (content, said) in [
        (&b""[..], "has no task"),
        (b"# Only a heading\n", "has no task"),
        (b"\x7fELF\x02\x01\x01\0\0\0", "NUL character in line 1"),
        (b"one\n\xff\xfe", "not valid UTF-8"),
        (br#"[{"task": "one", "max_iteration": 3}]"#, "entry 1: unknown key `max_iteration`; the keys are task, name"),
        (br#"[{"task": "one", "cwd": "nowhere"}]"#, "there is no directory"),
        (large.as_bytes(), "is larger than 1 MiB"),
    ] {
        fs::write(project.join(LIST), content).expect("written");
        let ended = nights.run(&[LIST]);
        assert!(ended.status.code() != Some(0) && ended.stderr.contains(said), "{said}: {}", ended.stderr);
        assert!(ended.stderr.contains("hint: "), "{}", ended.stderr);
    }
    for (args, said) in [
        (&["none"][..], "the list none does not exist"),
        (&["dir"], "the list dir is a directory"),
        (&[LIST, "--until", "2020-01-01T00:00"], "has passed already"),
        (&[LIST, "--json"], "--json needs --status or --dry-run"),
        (&["--status"], "ccc has not worked on any list"),
        (&[], "FILE"),
    ] {
        fs::write(project.join(LIST), "one\n").expect("written");
        let ended = nights.run(args);
        ended.assert_code(2);
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
    }
    assert!(nights.0.ground.runs().is_empty());
}

#[test]
fn a_dry_run_shows_the_tasks_and_starts_nothing() {
    let nights = Nights::new();
    nights.list("# Tonight\n\n- Fix it\n  with care\n- [x] Done\n- Test it\n\nAnd good night.\n");
    let ended = nights.run(&[LIST, "--dry-run", "--max-cost-usd", "5", "--on-failure", "stop"]);
    ended.assert_code(0);
    for said in
        ["at most $5.00, stops at the first failure", "1  Fix it (start)", "2  Test it (start)", "1 task ticked"]
    {
        assert!(ended.stdout.contains(said), "{said}: {}", ended.stdout);
    }
    assert!(ended.stderr.contains("not part of a task, and left out: line 8"), "{}", ended.stderr);
    assert!(nights.0.ground.runs().is_empty() && !nights.0.ground.state().join("nights").exists());
}

#[test]
fn a_dry_run_says_what_bounds_each_run() {
    let nights = Nights::new();
    nights.list("one\ntwo\n");
    nights.0.ground.user_config(&json!({"budgets": {"max_iterations": 2, "max_cost_usd": 0.01}}));
    let said = |args: &[&str]| {
        let ended = nights.run(args);
        ended.assert_code(0);
        ended.stdout.clone()
    };
    let each = "each run: 2 iterations, $0.01 at most\n";
    let alone = said(&[LIST, "--dry-run"]);
    assert!(alone.contains(&format!("no bounds on the night; {each}")), "{alone}");
    let bounded = said(&[LIST, "--dry-run", "--max-cost-usd", "5"]);
    assert!(bounded.contains("at most $5.00; each run: 2 iterations"), "{bounded}");
    nights.list(r#"["one", {"task": "two", "max_iterations": 7}]"#);
    let own = said(&[LIST, "--dry-run"]);
    assert!(own.contains("no bounds on the night; each run: its own bounds\n"), "{own}");
}

#[test]
fn a_dry_run_warns_as_the_start_does_and_says_why_it_would_not_begin() {
    let nights = Nights::new();
    nights.list("one\n");
    let warned = |args: &[&str]| {
        let mut command = nights.command(args);
        let ended = Running::spawn(&nights.0.ground, command.env("CCC_AGEN", "x")).wait();
        ended.assert_code(0);
        let said = ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains("CCC_AGEN has no effect"), "{}", ended.stderr);
        assert!(said.contains("the agent may change no file"), "{}", ended.stderr);
        ended.stdout.clone()
    };
    assert!(warned(&[LIST, "--dry-run"]).contains("1  one (start)"));
    assert!(nights.0.ground.runs().is_empty());
    warned(&[LIST]);
    // What nobody has agreed to.
    nights.0.ground.write(".ccc.json", r#"{"checks": ["make"]}"#);
    let ended = nights.run(&[LIST, "--dry-run", "--again"]);
    ended.assert_code(0);
    let said = ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("the list would not be begun: ") && said.contains("ccc trust"), "{}", ended.stderr);
    assert!(ended.stdout.contains("1  one (start)"), "{}", ended.stdout);
}

#[test]
fn a_project_that_is_not_agreed_to_is_refused_at_once_and_not_at_night() {
    let nights = Nights::new();
    nights.0.ground.write(".ccc.json", r#"{"checks": ["make"]}"#);
    nights.list("one\n");
    let ended = nights.run(&[LIST]);
    assert!(ended.status.code() != Some(0) && ended.stderr.contains("ccc trust"), "{}", ended.stderr);
    assert!(nights.0.ground.runs().is_empty());
}

#[test]
fn an_agent_works_through_no_list() {
    let nights = Nights::new();
    nights.list("one\n");
    nights.run(&[LIST]).assert_code(0);
    let run = nights.runs()[0].id.clone();
    let output = nights.command(&[LIST, "--again"]).env("CCC_RUN_ID", run).output().expect("ccc runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("an agent may not use it"), "{said}");
}

#[test]
fn an_agent_that_may_change_nothing_is_told_before_the_night_with_the_words_that_allow_it() {
    let denied =
        json!([{"cost_usd": 0.004}, {"deny": {"name": "Write", "input": {"file_path": "a.txt"}}}, {"say": "Done."}]);
    let agrees = json!([{"say": "All is there.\n\n[TASK_COMPLETED]"}]);
    let script = json!({"agent": [denied, denied, denied], "critic": [agrees, agrees, agrees]});
    let home = Ground::without_git();
    let told = home.home().join("told");
    home.user_config(&json!({"notify": [{"command": format!("cat >> {}", told.display()), "events": ["completed"]}]}));
    let nights = Nights(World::on(home, &script));
    nights.list("one\ntwo\nthree\n");
    let warned = "the agent may change no file: no permission mode is given";
    for (args, words) in [
        (&[LIST][..], "add at the end of the command: -- -- --permission-mode acceptEdits"),
        (
            &[LIST, "--again", "--", "--check", "true"],
            "add at the end of the command: -- --permission-mode acceptEdits",
        ),
        (
            &[LIST, "--again", "--", "--check", "true", "--", "--effort", "low"],
            "the command: --permission-mode acceptEdits",
        ),
    ] {
        let ended = nights.run(args);
        ended.assert_code(0);
        let said = ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(said.matches(warned).count(), 1, "once, before the runs: {said}");
        assert!(said.contains(words), "{words}: {said}");
        assert!(said.find(warned) < said.find("task 1 of 3"), "{said}");
        assert_eq!(said.matches("1 tool call was denied").count(), 3 * 2, "by each run, and in the table: {said}");
        let status = nights.status(&[LIST]);
        let costs = status["tasks"].as_array().expect("tasks").iter().filter_map(|task| task["cost_usd"].as_f64());
        let costs: Vec<f64> = costs.collect();
        let (sum, of_rows) =
            (costs.iter().sum::<f64>(), costs.iter().map(|usd| (usd * 100.0).round() / 100.0).sum::<f64>());
        assert_ne!(format!("{sum:.2}"), format!("{of_rows:.2}"), "the costs show nothing: {costs:?}");
        assert!(said.contains(&format!("3 of 3 tasks completed, ${sum:.2}")), "{costs:?}: {said}");
        let report = ended.stderr.lines().find_map(|line| line.strip_prefix("report: ")).expect("a report");
        let page = fs::read_to_string(report).expect("a page");
        assert_eq!(page.matches("1 tool call was denied").count(), 3, "{page}");
        assert_eq!(nights.status(&[LIST])["tasks"][0]["tools_denied"], 1);
    }
    let messages = fs::read_to_string(told).expect("messages");
    assert_eq!(messages.matches("; 1 tool call was denied").count(), 9, "{messages}");
    for words in
        ["-- -- --permission-mode acceptEdits", "-- -- --allowedTools Edit", "-- -- --dangerously-skip-permissions"]
    {
        let args: Vec<&str> = [LIST, "--again"].into_iter().chain(words.split(' ')).collect();
        let ended = nights.run(&args);
        assert!(!ended.stderr.contains("may change no file"), "{words}: {}", ended.stderr);
    }
    let single = nights.0.start(&["--check", "true"]).end();
    assert!(single.stderr.contains("the agent may change no file"), "a single run says it too: {}", single.stderr);
}
