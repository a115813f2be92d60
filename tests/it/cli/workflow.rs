//! The workflow of docs/replay-in-ci.md: its steps are run as they stand there. And the examples of docs/supervisor.md.

use std::path::Path;
use std::process::{Command, Output};

use ccc::config::prompt::{self, BUILT_IN};
use ccc::config::{Dirs, Env, Project};

use super::sandbox::Sandbox;

fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).expect("the page")
}

/// The `run:` steps of the page's workflow, in order.
fn steps(page: &str) -> Vec<String> {
    let yaml = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a workflow");
    let mut steps: Vec<String> = Vec::new();
    let mut block: Option<usize> = None;
    for line in yaml.lines() {
        let indent = line.len() - line.trim_start().len();
        if block.is_some_and(|begins| indent <= begins) {
            block = None;
        }
        match (block, line.trim_start().trim_start_matches("- ").strip_prefix("run: ")) {
            (Some(_), _) => {
                let step = steps.last_mut().expect("a step");
                step.push_str(line.trim_start());
                step.push('\n');
            }
            (None, Some("|")) => {
                block = Some(indent);
                steps.push(String::new());
            }
            (None, Some(command)) => steps.push(command.to_owned()),
            (None, None) => {}
        }
    }
    steps
}

/// A step as GitHub runs it.
fn run(sandbox: &Sandbox, step: &str) -> Output {
    let ccc = std::path::PathBuf::from(crate::program::ccc());
    let path =
        format!("{}:{}:/usr/bin:/bin", sandbox.path("bin").display(), ccc.parent().expect("a directory").display());
    Command::new("bash")
        .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", step])
        .env_clear()
        .env("HOME", sandbox.path("home"))
        .env("PATH", path)
        .current_dir(sandbox.path("project"))
        .output()
        .expect("bash runs")
}

#[test]
fn the_steps_of_the_workflow_pass_for_a_recorded_run_and_fail_for_one_that_is_decided_differently() {
    let sandbox = Sandbox::new();
    sandbox.script("bin/cargo", "echo \"$@\" > \"$HOME/installed\"");
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/runs/demo");
    for name in ["journal.jsonl", "run.json"] {
        let content = std::fs::read(recorded.join(name)).expect("read");
        sandbox.write(&format!("project/tests/runs/first/{name}"), content);
    }
    let steps = steps(&page("replay-in-ci.md"));
    assert_eq!(steps.len(), 3, "{steps:#?}");
    for step in &steps {
        let output = run(&sandbox, step);
        assert!(output.status.success(), "{step}: {output:?}");
    }
    assert!(sandbox.read("home/installed").starts_with("install --locked"));
    let journal = sandbox.read("project/tests/runs/first/journal.jsonl");
    let changed = journal.replacen("give the checks' output to the agent", "something else", 1);
    assert_ne!(changed, journal);
    sandbox.write("project/tests/runs/first/journal.jsonl", changed);
    let codes: Vec<Option<i32>> = steps.iter().map(|step| run(&sandbox, step).status.code()).collect();
    assert_eq!(codes, [Some(0), Some(1), Some(0)], "another decision");
    sandbox.write("project/tests/runs/first/journal.jsonl", "{}\n");
    let codes: Vec<bool> = steps.iter().map(|step| run(&sandbox, step).status.success()).collect();
    assert_eq!(codes, [true, false, false], "no journal");
}

#[test]
fn the_example_prompts_are_loaded_and_differ_from_the_built_in_one_only_in_the_projects_part() {
    let text = page("supervisor.md");
    let parts = |prompt: &str| {
        let (before, rest) = prompt.split_once("## For this project").expect("the project's part");
        let (own, after) = rest.split_once("## What was asked").expect("the general part");
        (before.to_owned(), own.to_owned(), after.to_owned())
    };
    let (before, built_in, after) = parts(BUILT_IN);
    for name in ["library", "web-service", "documentation"] {
        let file = format!("examples/supervisors/{name}/SUPERVISOR.md");
        assert!(text.contains(&format!("(../{file})")), "{name} is on the page");
        let content = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).expect("read");
        let sandbox = Sandbox::new();
        sandbox.write("project/SUPERVISOR.md", &content);
        let home = sandbox.path("home");
        let dirs = Dirs::new(&home, &home.join("config"), &home.join("state"), &Env::default());
        let found = prompt::find(None, &Project::find(&sandbox.path("project")), &dirs).expect("loaded");
        assert_eq!((found.text.as_str(), found.origin.as_str()), (content.as_str(), "project"), "{name}");
        let (is_before, own, is_after) = parts(&found.text);
        assert!((is_before, is_after) == (before.clone(), after.clone()), "{file}: only the project's part may differ");
        assert!(own != built_in && own.lines().count() < 15, "{name}");
        assert!(own.contains("Done means") && own.contains("Out of scope"), "{name}");
    }
}
