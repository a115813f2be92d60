//! Background work, and the checks that ccc runs itself at a stop.

use serde_json::json;

use super::harness::{BRIEF, Ground, approval, bash, script, text};
use super::requests::{agents, brief_of, critics, is_critic, user_texts};
use crate::scripted_api::{Reply, ScriptedApi, When};

const DANGEROUS: [&str; 4] = ["-p", "do it", "--", "--dangerously-skip-permissions"];

fn said(text: &str) -> Reply {
    Reply::text(text)
}

on_both! {
    fn a_background_command_keeps_the_turn_open_until_its_follow_up_is_over(cli) {
        let ground = Ground::new();
        let start = Reply::tool(
            "Bash",
            json!({"command": "tail --pid=$$ -s 0.1 -f /dev/null & (exec 9<>/dev/null; read -t 2 x < <(tail -f /dev/null)); echo late > late.txt; kill %1",
                   "description": "a build", "run_in_background": true}),
        );
        let api = ScriptedApi::start(script(vec![start, said("It is building."), said("The build is done.")], vec![approval()])).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &DANGEROUS).end();
        ended.assert_code(0);
        let requests = api.requests();
        let kinds: Vec<bool> = requests.iter().map(is_critic).collect();
        assert_eq!(kinds, [false, false, false, true], "the critic came before the follow-up turn was over");
        assert_eq!(ground.read("late.txt"), "late\n");
        assert_eq!(ended.result()["result"], "The build is done.");
    }

    fn a_failing_check_goes_back_without_a_critic_and_all_results_are_in_the_brief(cli, current) {
        let ground = Ground::new();
        ground.write(".ccc.json", r#"{"checks": ["cat made.txt || { echo THE-FILE-IS-MISSING; exit 7; }", "echo second-check"]}"#);
        ground.trust();
        let api = ScriptedApi::start(script(
            vec![said("Done."), bash("echo made > made.txt"), said("Now it is.")],
            vec![approval()],
        ))
        .unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &DANGEROUS).end();
        ended.assert_code(0);
        assert_eq!(ended.verdicts(), ["completed"]);
        let requests = api.requests();
        assert_eq!(critics(&requests).len(), 1);
        let texts = user_texts(&agents(&requests)[1].body);
        let failure: Vec<&String> = texts.iter().filter(|said| said.contains("THE-FILE-IS-MISSING")).collect();
        assert_eq!(failure.len(), 1, "{texts:#?}");
        assert!(failure[0].contains("exit code 7"), "{}", failure[0]);
        let brief = brief_of(critics(&requests)[0]);
        assert!(brief.contains("second-check") && brief.matches("passed after").count() == 2, "{brief}");
        let turns: Vec<String> = ended.of_type("turn").iter().map(|turn| text(&turn["kind"])).collect();
        assert_eq!(turns, ["task", "check_failure"]);
        assert_eq!(ended.result()["iterations"], 2);
    }

    fn a_check_that_hangs_and_leaves_a_daemon_is_stopped_whole(cli, current) {
        let ground = Ground::new();
        ground.write(
            ".ccc.json",
            r#"{"checks": [{"command": "setsid tail -f /dev/null & echo BEFORE; tail -f /dev/null", "timeout": "1s"}]}"#,
        );
        ground.trust();
        let api = ScriptedApi::start(
            crate::scripted_api::Script::new().always_on(When::no_user_text(BRIEF), said("Done.")),
        )
        .unwrap();
        let args = ["-p", "do it", "--max-iterations", "1"];
        // The end asserts that nothing of the check is alive.
        let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
        ended.assert_code(4);
        let check = &ended.of_type("check")[0];
        assert!(text(&check["summary"]).contains("did not end within its timeout"), "{check}");
        assert!(text(&check["tail"]).contains("BEFORE"), "{check}");
    }
}

#[test]
fn a_passing_check_may_leave_a_daemon_that_holds_its_output_and_does_not_see_the_key() {
    let ground = Ground::new();
    let program =
        ground.scripted_agent(&json!({"agent": [[{"say": "Done."}]], "critic": [[{"say": "[TASK_COMPLETED]"}]]}));
    let args = ["-p", "do it", "--check", "setsid tail -f /dev/null & echo KEY=[$ANTHROPIC_API_KEY]"];
    let ended = ground.supervise("http://127.0.0.1:9", &program, &args).end();
    ended.assert_code(0);
    let check = &ended.of_type("check")[0];
    assert_eq!(check["passed"], true);
    assert!(text(&check["tail"]).contains("KEY=[]"), "{check}");
}

#[test]
fn a_check_that_the_agent_could_make_runnable_is_told_to_it_as_it_is() {
    let ground = Ground::new();
    let program = ground.scripted_agent(&json!({"agent": [[{"say": "Done."}], [{"say": "Really."}]]}));
    let args = ["-p", "do it", "--check", "./run-tests.sh --flag", "--max-iterations", "2"];
    let ended = ground.supervise("http://127.0.0.1:9", &program, &args).end();
    ended.assert_code(4);
    let turns = ended.of_type("turn");
    assert!(text(&turns[1]["text"]).contains("./run-tests.sh"), "{turns:?}");
    assert!(ended.verdicts().is_empty(), "no critic is asked while a check fails");
}
