use super::{RECORDED, feed, recording, replay};
use crate::agent::FailureCause::{
    self, Billing, CliLimit, InvalidRequest, MaxOutput, ModelNotFound, ModelRefusal, PromptTooLong, Quota, Refused,
    Throttled, Unavailable,
};
use crate::agent::{AgentEvent, LimitStatus, Protocol, StartedBy};

/// The same story on both versions.
fn both_tell(case: &str, story: &str) {
    for version in RECORDED {
        let replay = replay(case, version);
        assert_eq!(replay.story(), story, "{case} on {version}");
        assert!(replay.protocol.is_idle(), "{case} on {version}");
        assert_eq!(replay.protocol.open_tasks(), 0, "{case} on {version}");
    }
}

#[test]
fn a_turn_is_accepted_by_its_replay_and_ended_by_result_and_idle() {
    both_tell(
        "plain",
        "session\n\
         accepted 1\nstarted by 1\nended 1 done: You said 5-hour limit reached [TASK_COMPLETED]\n\
         accepted 2\nstarted by 2\nended 2 done: second\n\
         duplicate 2\n\
         accepted 3\nstarted by 3\nended 3 interrupted: \n\
         accepted 4\nstarted by 4\nended 4 done: after\n",
    );
}

#[test]
fn a_turn_sent_again_after_a_restart_is_acknowledged_as_a_duplicate() {
    both_tell("duplicate_after_resume", "duplicate 2\nsession\naccepted 5\nstarted by 5\nended 5 done: after resume\n");
}

#[test]
fn a_long_foreground_command_is_a_task_that_its_tool_call_ends() {
    both_tell(
        "tools",
        "session\naccepted 10\nstarted by 10\n\
         tool Bash sleep 4; echo 5-hour limit\ntool Write /project/a.txt\ntool done\ntool done\n\
         tool Read /project/a.txt\ntool done\ntool Edit /project/a.txt\ntool done\n\
         ended 10 done: done tools\n",
    );
    both_tell(
        "long_command_fails",
        "session\naccepted 402\nstarted by 402\n\
         tool Bash for i in 1 2 3 4 5; do sleep 1; done; exit 3\ntool failed\nended 402 done: end\n",
    );
}

#[test]
fn a_background_command_keeps_the_turn_open_until_the_turn_about_its_end() {
    both_tell(
        "background_command",
        "session\naccepted 12\nstarted by 12\ntool Bash sleep 4; echo bgdone\ntool done\n\
         waiting for 1\nwaiting for the follow-up\nstarted by 12\nended 12 done: it ended well\n",
    );
    both_tell(
        "moved_to_background",
        "session\naccepted 401\nstarted by 401\n\
         tool Bash for i in 1 2 3 4 5 6 7 8 9; do sleep 1; done; echo late\ntool done\n\
         waiting for 1\nwaiting for the follow-up\nstarted by 401\nended 401 done: f1\n",
    );
}

#[test]
fn two_background_commands_keep_the_turn_open_until_the_last_turn_about_them() {
    let until_the_end = "session\naccepted 302\nstarted by 302\n\
         tool Bash sleep 3; echo a\ntool Bash sleep 3; echo b\ntool done\ntool done\n\
         waiting for 2\nwaiting for 1\nwaiting for the follow-up\nstarted by 302\nstarted by 302\n";
    // 2.1.197 begins a turn for each task; 2.1.329 one for both, after a result without model turns.
    for (version, text) in [("2.1.197", "f2"), ("2.1.329", "f1")] {
        let story = replay("two_background_commands", version).story();
        assert_eq!(story, format!("{until_the_end}ended 302 done: {text}\n"));
    }
}

#[test]
fn a_background_agent_whose_end_comes_before_the_result_still_brings_its_turn() {
    both_tell(
        "background_agent",
        "session\naccepted 13\nstarted by 13\ntool Agent sub job\ntool done\nstarted by 13\nended 13 done: C\n",
    );
}

#[test]
fn a_background_task_that_ends_within_the_turn_brings_no_other() {
    both_tell(
        "background_ends_in_turn",
        "session\naccepted 303\nstarted by 303\n\
         tool Bash sleep 2; echo a\ntool done\ntool Bash sleep 4; echo fg\ntool done\nended 303 done: end\n",
    );
}

#[test]
fn a_background_task_that_was_stopped_brings_no_turn() {
    for version in RECORDED {
        let story = replay("background_stopped", version).story();
        assert!(story.ends_with("tool done\nended 309 done: stopped it\n"), "{version}: {story}");
    }
}

#[test]
fn a_sub_agents_own_background_task_is_not_waited_for_after_it_was_stopped() {
    both_tell(
        "sub_agent_background",
        "session\naccepted 322\nstarted by 322\ntool Agent sub job\n\
         tool Bash sleep 3; echo subbg\ntool done\ntool done\nended 322 done: m1\n",
    );
}

#[test]
fn a_spurious_result_after_a_resume_is_not_taken_for_ours() {
    for version in RECORDED {
        let replay = replay("resume_with_dead_background", version);
        let story = replay.story();
        assert!(
            story.ends_with("session\naccepted 307\nstarted by 307\nended 307 done: resumed\n"),
            "{version}: {story}"
        );
        assert_eq!(replay.ends().len(), 1, "{version}");
    }
}

#[test]
fn an_interrupted_tool_ends_the_turn_as_interrupted() {
    both_tell(
        "interrupt_tool",
        "session\naccepted 305\nstarted by 305\n\
         tool Bash for i in 1 2 3 4 5 6 7 8 9 9 9 9; do sleep 1; done\ntool failed\nended 305 interrupted: \n",
    );
}

#[test]
fn a_turn_without_a_replay_is_ours_when_the_cli_is_idle_after_its_result() {
    for version in RECORDED {
        let slash = replay("slash_commands", version).story();
        assert!(slash.contains("accepted 319\nstarted by 319\nended 319 done: "), "{version}: {slash}");
        assert!(slash.contains("accepted 320\nstarted by 320\nended 320 done: \n"), "{version}: {slash}");
        assert_eq!(slash.matches("session\n").count(), 2, "/clear changes the session: {slash}");
        let budget = replay("budget", version);
        assert_eq!(budget.ends().len(), 2, "{version}");
        assert_eq!(budget.last_cause(), Some(CliLimit { which: "max_budget_usd".to_owned() }));
    }
}

#[test]
fn a_denial_said_twice_counts_once() {
    for version in RECORDED {
        let replay = replay("denied", version);
        assert_eq!(replay.story().matches("denied Bash touch zz && python3 -c 'print(1)'\n").count(), 1, "{version}");
        let denials = &replay.ends()[0].denials;
        assert_eq!(denials.len(), 1, "{version}");
        assert_eq!(denials[0].target, "touch zz && python3 -c 'print(1)'");
    }
}

#[test]
fn failures_are_classed_by_their_fields_on_both_versions() {
    let cases: &[(&str, FailureCause)] = &[
        ("fail_quota", Quota { resets_at_unix_s: Some(1_795_206_313) }),
        ("fail_throttled_oauth", Throttled { retry_after_ms: None }),
        ("fail_throttled_key", Throttled { retry_after_ms: None }),
        ("fail_401", Refused),
        ("fail_no_login", Refused),
        ("fail_credit", Billing),
        ("fail_413", PromptTooLong),
        ("fail_408", Unavailable),
        ("fail_500", Unavailable),
        ("fail_529", Unavailable),
        ("fail_timeout", Unavailable),
        ("fail_refused_connection", Unavailable),
        ("fail_cut", Unavailable),
        ("fail_refusal", ModelRefusal),
        ("fail_max_tokens", MaxOutput),
        ("max_turns", CliLimit { which: "max_turns".to_owned() }),
    ];
    for (case, cause) in cases {
        for version in RECORDED {
            let replay = replay(case, version);
            assert_eq!(replay.last_cause().as_ref(), Some(cause), "{case} on {version}");
            assert!(replay.protocol.is_idle(), "{case} on {version}: the process stays usable");
        }
    }
    // Only the newer version passes the API's error name on; without it and without a request id, a network on the
    // way may have sent the answer.
    assert_eq!(replay("fail_403", "2.1.329").last_cause(), Some(Refused));
    assert_eq!(replay("fail_403", "2.1.197").last_cause(), Some(Unavailable));
    assert_eq!(replay("fail_404", "2.1.329").last_cause(), Some(ModelNotFound));
    assert_eq!(replay("fail_404", "2.1.197").last_cause(), Some(Unavailable));
    // Only the older version ends the turn on these; the newer one compacts, or retries the request.
    assert_eq!(replay("fail_long", "2.1.197").last_cause(), Some(PromptTooLong));
    assert_eq!(replay("fail_400", "2.1.197").last_cause(), Some(InvalidRequest));
}

#[test]
fn an_empty_answer_is_an_answer() {
    for version in RECORDED {
        let replay = replay("empty", version);
        let end = replay.ends()[1];
        assert_eq!((end.text.as_str(), &end.outcome), ("", &crate::agent::TurnOutcome::Done), "{version}");
    }
}

#[test]
fn a_passing_429_is_no_rejected_window() {
    for version in RECORDED {
        let replay = replay("fail_throttled_oauth", version);
        assert!(recording("fail_throttled_oauth", version).contains(r#""status":"rejected""#), "{version}");
        for event in &replay.events {
            if let AgentEvent::Limit(limit) = event {
                assert_eq!(limit.status, LimitStatus::Allowed, "{version}");
            }
        }
    }
}

#[test]
fn limits_carry_window_use_and_reset() {
    let limits = |version: &str| -> Vec<_> {
        let replay = replay("fail_quota", version);
        let limits = replay
            .events
            .iter()
            .filter_map(|event| if let AgentEvent::Limit(limit) = event { Some(limit.clone()) } else { None });
        limits.collect()
    };
    let newer = limits("2.1.329");
    assert_eq!(newer[0].status, LimitStatus::Warning);
    assert_eq!(newer[0].utilization, Some(0.92));
    assert_eq!(newer[0].others, [("seven_day".to_owned(), Some(0.4), Some(1_795_562_713))]);
    assert_eq!((newer[1].status, newer[1].utilization), (LimitStatus::Rejected, Some(1.0)));
    let older = limits("2.1.197");
    assert_eq!((older[1].status, older[1].utilization), (LimitStatus::Rejected, None));
    assert_eq!(older[1].window.as_deref(), Some("five_hour"));
    assert_eq!(older[1].resets_at_unix_s, Some(1_795_206_313));
}

#[test]
fn cost_is_that_of_the_process_although_a_fork_counts_on_from_its_session() {
    let cost = |version: &str| {
        let replay = replay("fork", version);
        replay
            .events
            .iter()
            .rev()
            .find_map(|event| if let AgentEvent::Cost { process_usd } = event { Some(*process_usd) } else { None })
    };
    assert!(recording("fork", "2.1.329").contains(r#""total_cost_usd":0.0005"#), "counts on");
    assert_eq!(cost("2.1.329"), Some(0.000_140_000_000_000_000_01));
    assert_eq!(cost("2.1.197"), Some(0.000_175));
}

#[test]
fn a_failed_resume_ends_no_turn() {
    for version in RECORDED {
        assert_eq!(replay("unknown_session", version).story(), "", "{version}");
    }
}

/// Cases in which each turn was sent to an idle CLI and answered.
const ORDERLY: &[&str] = &[
    "agent",
    "background_agent",
    "background_command",
    "background_ends_in_turn",
    "denied",
    "empty",
    "fail_401",
    "fail_500",
    "fail_cut",
    "fail_quota",
    "fork",
    "interrupt_tool",
    "long_command_fails",
    "moved_to_background",
    "sub_agent_background",
    "tools",
    "two_background_commands",
];

#[test]
fn without_session_state_the_turns_are_the_same_but_for_where_waiting_ends() {
    for case in ORDERLY {
        for version in RECORDED {
            let full = recording(case, version);
            let lines: Vec<_> = full.lines().filter(|line| !line.contains("session_state_changed")).collect();
            let bare = feed(&lines.join("\n"));
            let ends: Vec<_> =
                bare.ends().into_iter().filter(|end| end.started_by != StartedBy::Itself).cloned().collect();
            let expected: Vec<_> = replay(case, version).ends().into_iter().cloned().collect();
            assert_eq!(ends.len(), expected.len(), "{case} on {version}: {}", bare.story());
            for (end, expected) in ends.iter().zip(&expected) {
                assert_eq!(end.outcome, expected.outcome, "{case} on {version}");
                assert_eq!(end.started_by, expected.started_by, "{case} on {version}");
            }
            assert!(bare.protocol.is_idle(), "{case} on {version}");
        }
    }
}

#[test]
fn whichever_line_is_lost_no_turn_ends_twice() {
    for case in ORDERLY {
        for version in RECORDED {
            let full = recording(case, version);
            let lines: Vec<_> = full.lines().collect();
            let sent = lines.iter().filter(|line| line.contains(r#""host":"turn""#)).count();
            for lost in 0..lines.len() {
                let kept: Vec<_> =
                    lines.iter().enumerate().filter(|(at, _)| *at != lost).map(|(_, line)| *line).collect();
                let replay = feed(&kept.join("\n"));
                let ours = replay.ends().into_iter().filter(|end| end.started_by != StartedBy::Itself).count();
                assert!(ours <= sent, "{case} on {version} without line {lost}: {}", replay.story());
            }
        }
    }
}
