//! A list that the real CLI works through.

use std::path::PathBuf;
use std::process::Command;

use crate::scripted_api::{Script, ScriptedApi, When};
use crate::whole_runs::harness::{BRIEF, Ground, Running, cli};

#[test]
fn the_real_cli_works_two_tasks_each_in_a_session_of_its_own() {
    let Some(cli) = cli("current") else { return };
    let ground = Ground::new();
    let said = crate::scripted_api::Reply::text;
    let api = ScriptedApi::start(
        Script::new()
            .always_on(When::no_user_text(BRIEF), said("I am done."))
            .always_on(When::any_user_text(BRIEF), said("All is there.\n\n[TASK_COMPLETED]")),
    )
    .expect("an API");
    ground.write("tasks.md", "- Write the first file\n- Write the second file\n");
    let mut command: Command = ground.command(&api.base_url(), ["night", "tasks.md"]);
    command.env("CCC_AGENT", &cli.path);
    let ended = Running::spawn(&ground, &mut command).end();
    ended.assert_code(0);
    let runs = ground.runs();
    assert_eq!(runs.len(), 2, "{}", ended.stderr);
    let session = |run: &PathBuf| ccc::journal::RunSummary::read(&run.join("run.json")).expect("a summary").session_id;
    assert!(session(&runs[0]).is_some() && session(&runs[0]) != session(&runs[1]));
    assert!(ended.stderr.contains("2 of 2 tasks completed"), "{}", ended.stderr);
}
