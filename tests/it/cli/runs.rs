//! `ccc runs` and `ccc runs prune` as a user types them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::help::on_a_terminal;
use super::sandbox::Sandbox;

const STATE: &str = "home/.local/state/ccc";

/// A run of this second, which ended in 2020.
fn run(sandbox: &Sandbox, second: u32, outcome: &str) -> String {
    let id = format!("20200101-0000{second:02}-aaaa");
    let project = sandbox.path("project").display().to_string();
    let json = format!(
        r#"{{"version":1,"id":"{id}","task":"Fix the login of the shop","cwd":"{project}","pid":1,"started_unix_ms":1577836800000,
        "updated_unix_ms":1577836800000,"ended_unix_ms":1577836800000,"phase":"ended","iteration":2,"outcome":{outcome},
        "restarts":0,"rotations":0,"waited_ms":0,"cost_usd":0.12}}"#
    );
    sandbox.write(&format!("{STATE}/runs/{id}/run.json"), json);
    let mut dir = sandbox.path(&format!("{STATE}/runs/{id}"));
    fs::set_permissions(dir.join("run.json"), fs::Permissions::from_mode(0o600)).expect("chmod");
    for _ in 0..3 {
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).expect("chmod");
        dir.pop();
    }
    id
}

#[test]
fn a_long_list_goes_through_the_pager_and_a_short_one_does_not() {
    let sandbox = Sandbox::new();
    for second in 0..40 {
        run(&sandbox, second, "\"completed\"");
    }
    let pager = "tr a-z A-Z; echo the pager has ended";
    let paged = on_a_terminal(&sandbox, &["runs"], &[("PAGER", pager), ("TERM", "xterm"), ("PATH", "/usr/bin:/bin")]);
    assert!(paged.contains("FIX THE") && paged.contains("the pager has ended"), "{paged}");
    assert!(paged.contains("20200101-000000-AAAA"), "all of it: {paged}");
    for (args, vars) in [
        (&["runs", "--no-pager"][..], &[("PAGER", pager), ("TERM", "xterm")][..]),
        (&["runs"], &[("PAGER", ""), ("TERM", "xterm")]),
        (&["runs"], &[("PAGER", pager), ("TERM", "dumb")]),
        (&["runs", "--since", "2020-01-02"], &[("PAGER", pager), ("TERM", "xterm")]),
        // The usual pager is not there.
        (&["runs"], &[("TERM", "xterm"), ("PATH", "/nowhere")]),
    ] {
        let seen = on_a_terminal(&sandbox, args, vars);
        assert!(!seen.contains("the pager has ended"), "{args:?}: {seen}");
        assert!(args.contains(&"--since") || seen.contains("Fix the"), "{args:?}: {seen}");
    }
    let piped = sandbox.run(&["runs"]);
    assert!(piped.contains("Fix the login of the shop") && !piped.contains("to remove them"), "{piped}");
}

#[test]
fn runs_are_filtered_by_place_outcome_and_time() {
    let sandbox = Sandbox::new();
    let (done, failed) = (run(&sandbox, 0, "\"completed\""), run(&sandbox, 1, "\"failed\""));
    let dreamt = run(&sandbox, 2, "\"dreamt\"");
    let listed = |args: &[&str]| {
        let args: Vec<&str> = ["runs"].into_iter().chain(args.iter().copied()).collect();
        let seen = sandbox.run(&args);
        [&done, &failed, &dreamt].map(|id| seen.contains(id.as_str()))
    };
    assert_eq!(listed(&[]), [true, true, true]);
    assert_eq!(listed(&["--outcome", "failed"]), [false, true, false]);
    assert_eq!(listed(&["--outcome", "failed,dreamt"]), [false, true, true]);
    assert_eq!(listed(&["--outcome", "failed", "--outcome", "completed", "--json"]), [true, true, false]);
    assert_eq!(listed(&["--here"]), [true, true, true]);
    assert_eq!(listed(&["--since", "2020-01-01"]), [true, true, true]);
    assert_eq!(listed(&["--since", "7d"]), [false, false, false]);
    let refused = sandbox.run(&["runs", "--outcome", "fixed"]);
    assert!(refused.starts_with("exit code 2\n") && refused.contains("`fixed` is no outcome"), "{refused}");
    assert!(refused.contains("completed, failed, needs_user") && refused.contains("dreamt"), "{refused}");
}

#[test]
fn old_runs_are_removed_after_a_yes_and_said_before() {
    let sandbox = Sandbox::new();
    let ids: Vec<String> = (0..4).map(|second| run(&sandbox, second, "\"completed\"")).collect();
    let died = run(&sandbox, 9, "null");
    let there =
        || ids.iter().chain([&died]).map(|id| sandbox.path(&format!("{STATE}/runs/{id}")).is_dir()).collect::<Vec<_>>();
    let seen = sandbox.run(&["runs", "prune", "--older-than", "30d", "--dry-run"]);
    assert!(seen.starts_with("exit code 0\n") && seen.contains(&ids[0]), "{seen}");
    assert!(seen.contains("kept: 1 run without an end"), "{seen}");
    let seen = sandbox.run(&["runs", "prune", "--older-than", "30d"]);
    assert!(seen.starts_with("exit code 2\n") && seen.contains("add --yes"), "{seen}");
    assert_eq!(there(), [true; 5], "nobody has agreed");
    let seen = sandbox.run(&["runs", "prune"]);
    assert!(seen.contains("no run is to be removed"), "the newest 200 stay: {seen}");
    let seen = sandbox.run(&["runs", "prune", "--keep", "2", "--dry-run"]);
    assert!(seen.contains("the 2 newest runs are kept; those that are not finished count among them"), "{seen}");
    let seen = sandbox.run(&["runs", "prune", "--keep", "2", "--yes", "--json"]);
    assert!(seen.starts_with("exit code 0\n") && seen.contains(r#""removed":true"#), "{seen}");
    assert_eq!(there().iter().filter(|there| **there).count(), 2, "{seen}");
    assert!(there()[4], "the one that has not ended: {seen}");
    let seen = sandbox.run(&["runs", "prune", "--max-size", "0", "--yes"]);
    assert!(seen.contains("removed run"), "{seen}");
    assert_eq!(there(), [false, false, false, false, true]);
    assert!(sandbox.run(&["runs", "prune", "--older-than", "30"]).starts_with("exit code 2\n"));
}
