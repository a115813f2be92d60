//! Lists that cannot be used, and what is said before anything is started.

use std::fs;

use super::{LIST, Nights};

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
    assert!(ended.stderr.contains("no task: line 8"), "{}", ended.stderr);
    assert!(nights.0.ground.runs().is_empty() && !nights.0.ground.state().join("nights").exists());
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
