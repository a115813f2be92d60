//! Loops that must end: repeated feedback, iterations, money, time.

use serde_json::json;

use super::harness::{BRIEF, Ground, approval, bash, script, text};
use super::requests::{agents, user_texts};
use crate::scripted_api::{Block, Ending, Message, Reply, Script, ScriptedApi, Usage, When};

fn said(text: &str) -> Reply {
    Reply::text(text)
}

/// A call of Bash in an answer that costs about a dollar and takes a moment.
fn dear(command: &str) -> Reply {
    Reply::Message(Message {
        blocks: vec![Block::ToolUse { name: "Bash".to_owned(), input: json!({ "command": command }) }],
        usage: Usage { output_tokens: 40_000, ..Usage::default() },
        first_delay_ms: 500,
        ..Message::default()
    })
}

on_both! {
    fn the_same_feedback_on_a_still_tree_ends_as_stuck_and_the_agent_was_told(cli, current) {
        let ground = Ground::new();
        let api = ScriptedApi::start(
            Script::new()
                .always_on(When::no_user_text(BRIEF), said("I am done."))
                .always_on(When::any_user_text(BRIEF), said("The tests are missing. Write them.")),
        )
        .unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(5);
        assert_eq!(ended.result()["outcome"], "stuck");
        assert!(ended.reason().contains("The tests are missing"), "{}", ended.reason());
        let iterations = ended.result()["iterations"].as_u64().unwrap();
        let requests = api.requests();
        let last = agents(&requests).pop().unwrap();
        let texts = user_texts(&last.body);
        assert!(texts.iter().any(|said| said.contains("Nothing in the working tree has changed")), "{texts:#?}");
        assert!(iterations == 3 || iterations == 4, "{iterations}");
    }

    fn the_same_feedback_after_changes_goes_on_and_the_last_iteration_still_completes(cli, current) {
        let ground = Ground::new();
        let step = |n: u32| bash(&format!("echo {n} >> progress.txt"));
        let no = || said("The tests are missing. Write them.");
        let api = ScriptedApi::start(script(
            (1..=5).flat_map(|n| [step(n), said("I am done.")]).collect(),
            vec![no(), no(), no(), no(), approval()],
        ))
        .unwrap();
        let args = ["-p", "do it", "--max-iterations", "5", "--", "--dangerously-skip-permissions"];
        let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
        ended.assert_code(0);
        assert_eq!(ended.result()["iterations"], 5);
    }

    fn spent_iterations_end_as_budget(cli, current) {
        let ground = Ground::new();
        let api = ScriptedApi::start(script(
            vec![said("Done."), said("Done.")],
            vec![said("The licence is missing."), said("Now the changelog has no date.")],
        ))
        .unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it", "--max-iterations", "2"]).end();
        ended.assert_code(4);
        assert_eq!(ended.result()["outcome"], "budget");
        assert!(ended.reason().contains("2 of 2 iterations"), "{}", ended.reason());
        assert!(api.unmatched().is_empty(), "no turn is said after the last judged stop");
    }

    fn spent_money_ends_as_budget_with_the_sum(cli) {
        let ground = Ground::new();
        let dear = Reply::Message(Message {
            blocks: vec![Block::text("Done.")],
            usage: Usage { output_tokens: 40_000, ..Usage::default() },
            ..Message::default()
        });
        let api = ScriptedApi::start(script(vec![dear], vec![said("The licence is missing.")])).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it", "--max-cost-usd", "0.10"]).end();
        ended.assert_code(4);
        assert!(ended.reason().contains("of $0.10 are spent"), "{}", ended.reason());
        assert!(ended.result()["cost_usd"].as_f64().unwrap() > 0.1);
    }

    fn spent_tokens_end_as_budget_and_the_command_that_goes_on_raises_the_bound(cli) {
        let ground = Ground::new();
        let long = Reply::Message(Message {
            blocks: vec![Block::text("Done.")],
            usage: Usage { output_tokens: 40_000, ..Usage::default() },
            ..Message::default()
        });
        let api = ScriptedApi::start(script(vec![long], vec![said("The licence is missing.")])).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it", "--max-tokens", "30000"]).end();
        ended.assert_code(4);
        assert_eq!(ended.result()["outcome"], "budget");
        assert!(ended.reason().contains("of 30000 tokens are spent"), "{}", ended.reason());
        let resume = ended.result()["resume"].as_str().unwrap().to_owned();
        let more = resume.split_once(" --max-tokens ").unwrap_or_else(|| panic!("{resume}")).1;
        assert!(more.parse::<u64>().unwrap() >= 80_000, "{resume}");
    }

    fn an_agent_that_never_ends_its_turn_is_ended_when_the_money_is_spent(cli, current) {
        let ground = Ground::new();
        let api = ScriptedApi::start(Script::new().always(dear("echo on"))).unwrap();
        let args = ["-p", "do it", "--max-cost-usd", "3", "--", "--dangerously-skip-permissions"];
        let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
        ended.assert_code(4);
        assert!(ended.reason().contains("of $3.00 are spent; the turn was ended"), "{}", ended.reason());
        let cost = ended.result()["cost_usd"].as_f64().unwrap();
        let each = cost / api.request_count() as f64;
        assert!(cost >= 3.0 && each > 0.5, "{cost} for {} requests", api.request_count());
        assert_eq!((&ended.result()["iterations"], &ended.result()["restarts"]), (&json!(0), &json!(0)));
    }

    fn a_critic_that_never_ends_its_turn_is_ended_when_the_money_is_spent(cli, current) {
        let ground = Ground::new();
        let api = ScriptedApi::start(
            Script::new().on(When::no_user_text(BRIEF), said("Done.")).always_on(When::any_user_text(BRIEF), dear("ls")),
        )
        .unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it", "--max-cost-usd", "3"]).end();
        ended.assert_code(4);
        assert!(ended.reason().contains("are spent, before the stop was judged"), "{}", ended.reason());
        assert_eq!(ended.result()["iterations"], 0, "a resumed run judges this stop");
        assert!(ended.result()["cost_usd"].as_f64().unwrap() >= 3.0, "{}", ended.result());
    }

    fn what_a_process_that_died_in_its_turn_has_cost_is_kept(cli, current) {
        let ground = Ground::new();
        let dies = || bash("sleep 2; kill -9 $PPID");
        let agent = vec![dear("sleep 3"), dies(), dear("sleep 3"), dies(), said("Done.")];
        let api = ScriptedApi::start(script(agent, vec![approval()])).unwrap();
        let args = ["-p", "do it", "--max-cost-usd", "50", "--", "--dangerously-skip-permissions"];
        let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
        ended.assert_code(0);
        assert_eq!(ended.result()["restarts"], 2);
        // The cheaper of the two models takes $0.80 for what each of the two that died was answered.
        assert!(ended.result()["cost_usd"].as_f64().unwrap() > 1.59, "{}", ended.result());
    }

    fn spent_time_ends_the_turn_in_its_middle(cli, current) {
        let ground = Ground::new().env("CCC_GRACE", "2s");
        let endless = Reply::Message(Message {
            ending: Ending::Stall { after_deltas: 2 },
            ..Message::paced("I will think for ever and", 4, 0)
        });
        let api = ScriptedApi::start(script(vec![endless], vec![])).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it", "--max-duration", "3s"]).end();
        ended.assert_code(4);
        assert!(ended.reason().contains("3s of --max-duration"), "{}", ended.reason());
        assert_eq!(ended.result()["iterations"], 0);
        assert!(ended.result()["duration_ms"].as_u64().unwrap() < 15_000, "{}", ended.result());
    }
}

#[test]
fn an_endless_alternation_of_two_feedbacks_is_stuck_too() {
    let ground = Ground::new();
    let turns: Vec<_> = (0..12).map(|_| json!([{"say": "Done."}])).collect();
    let critic: Vec<_> = (0..12)
        .map(|n| json!([{"say": if n % 2 == 0 { "Use tabs for the indentation." } else { "Rename every variable, please." }}]))
        .collect();
    let program = ground.scripted_agent(&json!({"agent": turns, "critic": critic}));
    let ended = ground.supervise("http://127.0.0.1:9", &program, &["-p", "do it"]).end();
    ended.assert_code(5);
    assert!(text(&ended.result()["reason"]).contains("same feedback"), "{}", ended.reason());
}
