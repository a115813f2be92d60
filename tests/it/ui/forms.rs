//! The three forms of one night.

use ccc::core::{Finish, Needs, Outcome, Plan, Show, Tick};
use ccc::ui::{Form, Printer, Stream, Style};
use insta::assert_snapshot;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::whole_run::{BEGAN_UNIX_MS, NIGHT_ENDS_MS, ending, finish, night, outputs, phase, plan, text_of};

#[test]
fn piped_text_tells_each_event_with_its_time_and_keeps_its_lines() {
    let outputs = outputs(Form::Text, Style::PIPED);
    assert_snapshot!(text_of(&outputs, Stream::Err), @r#"
    Supervisor mode enabled
      run        20261120-ab12
      journal    /home/me/.local/state/ccc/runs/20261120-ab12
      directory  /home/me/my work
      session    6f0c2e9a-0000-4000-8000-000000000001
      agent      /usr/bin/claude (2.1.329)
      token      ANTHROPIC_API_KEY (API key, 3fa9c1)
      bounds     20 iterations, 8h including waits, no bound on cost, 5 restarts in a row
      timeouts   3m without progress, 15m for a tool
      critic     prompt: ./SUPERVISOR.md
      walls      Landlock 7, with mounts; the critic gets a copy of the tree
      check      cargo test
    18:06:57 ▸ starting
    18:06:57   session 6f0c2e9a-0000-4000-8000-000000000001, claude-opus-4-8, version 2.1.329, permission mode acceptEdits
    18:06:58 task: Make the tests pass.
                 Then stop.
    18:06:58 ▸ working · iteration 1 of 20
    18:07:01 I look at the failing test first, because it says `left: 3, right: 4`:

             - src/lib.rs
               - the sum
    18:07:02 ● Bash cargo test ⏎ 2>&1
    18:07:12   ✗ Bash failed: Exit code 101: test sum ... FAILED
    18:07:13 ● Edit src/lib.rs +1 -1
    18:07:14 ⊘ denied: Bash git push --force
    18:07:15   ↳ Searching 日本語 🦀 names
    18:07:17 Done. All tests pass.
    18:07:17 ▸ checking · iteration 1 of 20 · cargo test
    18:07:29 ✗ check failed: cargo test (12.3s): exit code 101
                 test sum ... ok
                 test product ... FAILED
    18:07:29 → the agent is given the output of the checks
    18:07:29 ▸ working · iteration 2 of 20
    18:07:37 ! API key 3fa9c1 is limited until 03:00; going on with key 77b0de
    18:07:37 ▸ waiting until 19:06 (in 59m 19s)
               API Error: Request rejected (429) · This request would exceed your organization's rate limit of 50,000 input tokens per minute
    18:07:57 ▸ waiting until 19:06 (in 59m 00s)
               the provider, before it is asked again
    19:06:57 ▸ restarting · iteration 2 of 20 · the model was silent for 180s
    19:06:58 → continue: Go on.
    19:08:37 ▸ reviewing · iteration 2 of 20
    19:08:37 → the critic is briefed
    19:08:38 critic ● Read src/lib.rs
    19:08:40 critic: `product` has no test for zero.
    19:08:40 ↻ verdict 2 of 20: feedback
    19:08:40 → the agent is given the critic's feedback
    19:08:40 ▸ working · iteration 3 of 20
    19:08:57 you: And keep it short.
    19:09:07 ✓ check passed: cargo test (9.0s)
    19:09:17 ✓ verdict 3 of 20: completed
                 Everything asked for is there.
                 I ran the tests.
    Completed: the critic agrees that the task is done; 1 tool call was denied
      iterations 3
      restarts   1
      rotations  1
      elapsed    1h 02m
      waited     58m 20s
      cost       $0.42
      tests      changed: tests/sum.rs (fewer assertions) and 1 more
      journal    /home/me/.local/state/ccc/runs/20261120-ab12
      talk to it cd "/home/me/my work" && claude --resume 6f0c2e9a-0000-4000-8000-000000000001
      why        ccc explain 20261120-ab12
    "#);
    assert_snapshot!(text_of(&outputs, Stream::Out), @r#"
    Done: `sum` and `product` are right,
    and tested.
    "#);
    for piece in &outputs[1..=night().len()] {
        let mut lines = piece.text.lines();
        let first = lines.next().unwrap_or("00:00:00 ");
        assert!(
            first.as_bytes()[0].is_ascii_digit() && lines.all(|line| line.is_empty() || line.starts_with("  ")),
            "{piece:?}"
        );
    }
}

#[test]
fn a_terminal_gets_wrapped_text_diffs_and_a_status_line() {
    let style = Style { colour: false, live: true, wraps: true, columns: 60 };
    let outputs = outputs(Form::Text, style);
    let shown = text_of(&outputs, Stream::Err).replace("\r\x1b[J", "⌫").replace('\r', "⏎\n");
    assert_snapshot!(shown, @r#"
    Supervisor mode enabled
      run        20261120-ab12
      journal    /home/me/.local/state/ccc/runs/20261120-ab12
      directory  /home/me/my work
      session    6f0c2e9a-0000-4000-8000-000000000001
      agent      /usr/bin/claude (2.1.329)
      token      ANTHROPIC_API_KEY (API key, 3fa9c1)
      bounds     20 iterations, 8h including waits, no bound on
                 cost, 5 restarts in a row
      timeouts   3m without progress, 15m for a tool
      critic     prompt: ./SUPERVISOR.md
      walls      Landlock 7, with mounts; the critic gets a copy
                 of the tree
      check      cargo test
    ⌫
    18:06:57 ▸ starting
    starting · 0s elapsed · 8h 00m left⏎
    ⌫18:06:57   session 6f0c2e9a-0000-4000-8000-000000000001,
               claude-opus-4-8, version 2.1.329, permission mode
               acceptEdits
    starting · 0s elapsed · 7h 59m left⏎
    ⌫18:06:58 task: Make the tests pass.
                 Then stop.
    starting · 1s elapsed · 7h 59m left⏎
    ⌫
    18:06:58 ▸ working · iteration 1 of 20
    working · iteration 1 of 20 · 1s elapsed · 7h 59m left⏎
    ⌫18:07:01 I look at the failing test first, because it says
             `left: 3, right: 4`:

             - src/lib.rs
               - the sum
    working · iteration 1 of 20 · 4s elapsed · 7h 59m left⏎
    ⌫18:07:02 ● Bash cargo test ⏎ 2>&1
    working · iteration 1 of 20 · Bash 0s · 5s · 7h 59m left⏎
    ⌫18:07:12   ✗ Bash failed: Exit code 101: test sum ... FAILED
    working · iteration 1 of 20 · 15s elapsed · 7h 59m left⏎
    ⌫18:07:13 ● Edit src/lib.rs +1 -1
    working · iteration 1 of 20 · Edit 0s · 16s · 7h 59m left⏎
    ⌫             @@ -41,4 +41,4 @@

                  fn sum(a: u32, b: u32) -> u32 {
                 -    a + b - 1
                 +    a + b
                  }
    working · iteration 1 of 20 · 16s elapsed · 7h 59m left⏎
    ⌫18:07:14 ⊘ denied: Bash git push --force
    working · iteration 1 of 20 · 17s elapsed · 7h 59m left⏎
    ⌫18:07:15   ↳ Searching 日本語 🦀 names
    working · iteration 1 of 20 · 18s elapsed · 7h 59m left⏎
    ⌫18:07:17 Done. All tests pass.
    working · iteration 1 of 20 · 20s elapsed · 7h 59m left⏎
    ⌫
    18:07:17 ▸ checking · iteration 1 of 20 · cargo test
    checking · iteration 1 of 20 · 20s · 7h 59m left · $0.42⏎
    ⌫18:07:29 ✗ check failed: cargo test (12.3s): exit code 101
                 test sum ... ok
                 test product ... FAILED
    checking · iteration 1 of 20 · 32s · 7h 59m left · $0.42⏎
    ⌫18:07:29 → the agent is given the output of the checks
    checking · iteration 1 of 20 · 32s · 7h 59m left · $0.42⏎
    ⌫
    18:07:29 ▸ working · iteration 2 of 20
    working · iteration 2 of 20 · 32s · 7h 59m left · $0.42⏎
    ⌫18:07:37 ! API key 3fa9c1 is limited until 03:00; going on
               with key 77b0de
    working · iteration 2 of 20 · 40s · 7h 59m left · $0.42⏎
    ⌫
    18:07:37 ▸ waiting until 19:06 (in 59m 19s)
               API Error: Request rejected (429) · This request
               would exceed your organization's rate limit of
               50,000 input tokens per minute
    waiting · iteration 2 of 20 · 40s · 7h 59m left · $0.42⏎
    ⌫18:07:57 ▸ waiting until 19:06 (in 59m 00s)
               the provider, before it is asked again
    waiting · iteration 2 of 20 · 1m 00s · 7h 59m left · $0.42⏎
    ⌫19:06:57 ▸ restarting · iteration 2 of 20 · the model was s…
    restarting · 2/20 · 1h 00m · 7h 00m left · $0.42⏎
    ⌫19:06:58 → continue: Go on.
    restarting · 2/20 · 1h 00m · 6h 59m left · $0.42⏎
    ⌫
    19:08:37 ▸ reviewing · iteration 2 of 20
    reviewing · 2/20 · 1h 01m · 6h 58m left · $0.42⏎
    ⌫19:08:37 → the critic is briefed
    reviewing · 2/20 · 1h 01m · 6h 58m left · $0.42⏎
    ⌫19:08:38 critic ● Read src/lib.rs
    reviewing · 2/20 · Read 0s · 1h 01m · 6h 58m left · $0.42⏎
    ⌫19:08:40 critic: `product` has no test for zero.
    reviewing · 2/20 · 1h 01m · 6h 58m left · $0.42⏎
    ⌫19:08:40 ↻ verdict 2 of 20: feedback
    reviewing · 2/20 · 1h 01m · 6h 58m left · $0.42⏎
    ⌫19:08:40 → the agent is given the critic's feedback
    reviewing · 2/20 · 1h 01m · 6h 58m left · $0.42⏎
    ⌫
    19:08:40 ▸ working · iteration 3 of 20
    working · iteration 3 of 20 · 1h 01m · 6h 58m left · $0.42⏎
    ⌫19:08:57 you: And keep it short.
    working · iteration 3 of 20 · 1h 02m · 6h 58m left · $0.42⏎
    ⌫19:09:07 ✓ check passed: cargo test (9.0s)
    working · iteration 3 of 20 · 1h 02m · 6h 57m left · $0.42⏎
    ⌫19:09:17 ✓ verdict 3 of 20: completed
                 Everything asked for is there.
                 I ran the tests.
    working · iteration 3 of 20 · 1h 02m · 6h 57m left · $0.42⏎
    ⌫⌫
    Completed: the critic agrees that the task is done; 1 tool
      call was denied
      iterations 3
      restarts   1
      rotations  1
      elapsed    1h 02m
      waited     58m 20s
      cost       $0.42
      tests      changed: tests/sum.rs (fewer assertions) and 1
                 more
      journal    /home/me/.local/state/ccc/runs/20261120-ab12
      talk to it
    cd "/home/me/my work" && claude --resume 6f0c2e9a-0000-4000-8000-000000000001
      why        ccc explain 20261120-ab12
    "#);
}

#[test]
fn json_is_one_object_with_exactly_the_promised_fields() {
    let plain = outputs(Form::Text, Style::PIPED);
    let outputs = outputs(Form::Json, Style::PIPED);
    assert_eq!(text_of(&outputs, Stream::Err), text_of(&plain, Stream::Err), "the talk is that of the form for people");
    assert_snapshot!(text_of(&outputs, Stream::Out), @r#"
    {"outcome":"completed","reason":"the critic agrees that the task is done","run_id":"20261120-ab12","session_id":"6f0c2e9a-0000-4000-8000-000000000001","iterations":3,"restarts":1,"rotations":1,"waited_ms":3500000,"duration_ms":3741000,"cost_usd":0.417,"result":"Done: `sum` and `product` are right,\nand tested.","tests_touched":[{"path":"tests/sum.rs","touches":["fewer_assertions"]}],"protected":null,"report":null,"resume":"cd \"/home/me/my work\" && claude --resume 6f0c2e9a-0000-4000-8000-000000000001"}
    "#);
}

#[test]
fn stream_json_is_one_object_per_event_between_header_and_result() {
    let outputs = outputs(Form::StreamJson, Style::PIPED);
    let talk = text_of(&outputs, Stream::Err);
    assert!(talk.starts_with("Supervisor mode enabled\n"), "the bounds in force are said: {talk}");
    assert_eq!(talk.lines().count(), 12, "and nothing but them: {talk}");
    let text = text_of(&outputs, Stream::Out);
    assert_snapshot!(text, @r#"
    {"v":1,"type":"run","t_ms":0,"unix_ms":1795198017000,"run_id":"20261120-ab12","run_dir":"/home/me/.local/state/ccc/runs/20261120-ab12","cwd":"/home/me/my work","session_id":"6f0c2e9a-0000-4000-8000-000000000001","agent_path":"/usr/bin/claude","agent_version":"2.1.329","credential":"ANTHROPIC_API_KEY (API key, 3fa9c1)","max_iterations":20,"max_duration_ms":28800000,"until_unix_ms":null,"max_wait_ms":null,"max_cost_usd":null,"max_tokens":null,"max_restarts":5,"stall_timeout_ms":180000,"tool_timeout_ms":900000,"checks":["cargo test"],"prompt_origin":"./SUPERVISOR.md"}
    {"v":1,"type":"phase","t_ms":0,"unix_ms":1795198017000,"phase":"starting","detail":"","iteration":0}
    {"v":1,"type":"session","t_ms":900,"unix_ms":1795198017900,"session_id":"6f0c2e9a-0000-4000-8000-000000000001","model":"claude-opus-4-8","agent_version":"2.1.329","permission_mode":"acceptEdits"}
    {"v":1,"type":"turn","t_ms":1000,"unix_ms":1795198018000,"kind":"task","text":"Make the tests pass.\nThen stop."}
    {"v":1,"type":"phase","t_ms":1000,"unix_ms":1795198018000,"phase":"working","detail":"","iteration":1}
    {"v":1,"type":"text","t_ms":4000,"unix_ms":1795198021000,"role":"agent","sub_agent":false,"text":"I look at the failing test first, because it says `left: 3, right: 4`:\n\n- src/lib.rs\n  - the sum"}
    {"v":1,"type":"tool","t_ms":5000,"unix_ms":1795198022000,"role":"agent","id":"t1","name":"Bash","target":"cargo test\n2>&1","edit":null}
    {"v":1,"type":"tool_ended","t_ms":15000,"unix_ms":1795198032000,"role":"agent","id":"t1","failed":true}
    {"v":1,"type":"tool","t_ms":16000,"unix_ms":1795198033000,"role":"agent","id":"t2","name":"Edit","target":"src/lib.rs","edit":{"path":"src/lib.rs","old":"fn sum(a: u32, b: u32) -> u32 {\n    a + b - 1\n}\n","new":"fn sum(a: u32, b: u32) -> u32 {\n\ta + b\n}\n"}}
    {"v":1,"type":"tool_ended","t_ms":16100,"unix_ms":1795198033100,"role":"agent","id":"t2","failed":false,"hunks":[{"old_start":41,"new_start":41,"lines":[" "," fn sum(a: u32, b: u32) -> u32 {","-    a + b - 1","+\ta + b"," }"]}]}
    {"v":1,"type":"denied","t_ms":17000,"unix_ms":1795198034000,"role":"agent","tool":"Bash","target":"git push --force"}
    {"v":1,"type":"text","t_ms":18000,"unix_ms":1795198035000,"role":"agent","sub_agent":true,"text":"Searching 日本語 🦀 names"}
    {"v":1,"type":"text","t_ms":20000,"unix_ms":1795198037000,"role":"agent","sub_agent":false,"text":"Done. All tests pass."}
    {"v":1,"type":"cost","t_ms":20100,"unix_ms":1795198037100,"cost_usd":0.417}
    {"v":1,"type":"phase","t_ms":20200,"unix_ms":1795198037200,"phase":"checking","detail":"cargo test","iteration":1}
    {"v":1,"type":"check","t_ms":32500,"unix_ms":1795198049500,"command":"cargo test","passed":false,"summary":"exit code 101","duration_ms":12345,"tail":"test sum ... ok\n\u001b[31mtest product ... FAILED\u001b[0m\n"}
    {"v":1,"type":"turn","t_ms":32600,"unix_ms":1795198049600,"kind":"check_failure","text":"`cargo test` fails: …"}
    {"v":1,"type":"phase","t_ms":32600,"unix_ms":1795198049600,"phase":"working","detail":"","iteration":2}
    {"v":1,"type":"notice","t_ms":40000,"unix_ms":1795198057000,"text":"API key 3fa9c1 is limited until 03:00; going on with key 77b0de"}
    {"v":1,"type":"phase","t_ms":40100,"unix_ms":1795198057100,"phase":"waiting","detail":"API Error: Request rejected (429) · This request would exceed your organization's rate limit of 50,000 input tokens per minute","iteration":2}
    {"v":1,"type":"phase","t_ms":60000,"unix_ms":1795198077000,"phase":"waiting","detail":"the provider, before it is asked again","iteration":2}
    {"v":1,"type":"phase","t_ms":3600000,"unix_ms":1795201617000,"phase":"restarting","detail":"the model was silent for 180s","iteration":2}
    {"v":1,"type":"turn","t_ms":3601000,"unix_ms":1795201618000,"kind":"continue","text":"Go on."}
    {"v":1,"type":"phase","t_ms":3700000,"unix_ms":1795201717000,"phase":"reviewing","detail":"","iteration":2}
    {"v":1,"type":"turn","t_ms":3700100,"unix_ms":1795201717100,"kind":"brief","text":"You are the critic …"}
    {"v":1,"type":"tool","t_ms":3701000,"unix_ms":1795201718000,"role":"critic","id":"c1","name":"Read","target":"src/lib.rs","edit":null}
    {"v":1,"type":"tool_ended","t_ms":3702000,"unix_ms":1795201719000,"role":"critic","id":"c1","failed":false}
    {"v":1,"type":"text","t_ms":3703000,"unix_ms":1795201720000,"role":"critic","sub_agent":false,"text":"`product` has no test for zero."}
    {"v":1,"type":"verdict","t_ms":3703100,"unix_ms":1795201720100,"verdict":"feedback","iteration":2,"text":"`product` has no test for zero."}
    {"v":1,"type":"turn","t_ms":3703200,"unix_ms":1795201720200,"kind":"feedback","text":"`product` has no test for zero."}
    {"v":1,"type":"phase","t_ms":3703300,"unix_ms":1795201720300,"phase":"working","detail":"","iteration":3}
    {"v":1,"type":"turn","t_ms":3720000,"unix_ms":1795201737000,"kind":"operator","text":"And keep it short."}
    {"v":1,"type":"check","t_ms":3730000,"unix_ms":1795201747000,"command":"cargo test","passed":true,"summary":"","duration_ms":9000,"tail":""}
    {"v":1,"type":"verdict","t_ms":3740000,"unix_ms":1795201757000,"verdict":"completed","iteration":3,"text":"Everything asked for is there.\nI ran the tests."}
    {"v":1,"type":"finished","t_ms":3740100,"unix_ms":1795201757100,"outcome":"completed","reason":"the critic agrees that the task is done"}
    {"v":1,"type":"result","t_ms":3741000,"unix_ms":1795201758000,"outcome":"completed","reason":"the critic agrees that the task is done","run_id":"20261120-ab12","session_id":"6f0c2e9a-0000-4000-8000-000000000001","iterations":3,"restarts":1,"rotations":1,"waited_ms":3500000,"duration_ms":3741000,"cost_usd":0.417,"result":"Done: `sum` and `product` are right,\nand tested.","tests_touched":[{"path":"tests/sum.rs","touches":["fewer_assertions"]}],"protected":null,"report":null,"resume":"cd \"/home/me/my work\" && claude --resume 6f0c2e9a-0000-4000-8000-000000000001"}
    "#);
    let types: Vec<String> = text
        .lines()
        .map(|line| {
            let event: Value = serde_json::from_str(line).expect("a line is an object");
            assert_eq!(event["v"], 1);
            assert!(event["t_ms"].is_u64());
            event["type"].as_str().expect("a type").to_owned()
        })
        .collect();
    assert_eq!(types.len(), night().len() + 2);
    assert_eq!(types.first().map(String::as_str), Some("run"));
    assert_eq!(types.last().map(String::as_str), Some("result"));
}

#[test]
fn what_is_unknown_is_null_and_never_zero() {
    let mut finish = finish();
    finish.cost_usd = None;
    finish.session_id = None;
    finish.outcome = Outcome::Failed;
    finish.result.clear();
    let end = Tick::ZERO.plus_ms(NIGHT_ENDS_MS);
    let mut json = Printer::new(Form::Json, Style::PIPED);
    let text = text_of(&json.finish(end, &ending(&finish, &plan())), Stream::Out);
    let object: Value = serde_json::from_str(&text).expect("an object");
    assert_eq!(object["cost_usd"], Value::Null);
    assert_eq!(object["session_id"], Value::Null);
    assert_eq!(object["resume"], Value::Null, "no session was begun");

    let mut plain = Printer::new(Form::Text, Style::PIPED);
    let outputs = plain.finish(end, &ending(&finish, &plan()));
    assert_eq!(text_of(&outputs, Stream::Out), "");
    assert_snapshot!(text_of(&outputs, Stream::Err), @r#"
    Failed: the critic agrees that the task is done
      iterations 3
      restarts   1
      rotations  1
      elapsed    1h 02m
      waited     58m 20s
      cost       unknown
      tests      changed: tests/sum.rs (fewer assertions) and 1 more
      journal    /home/me/.local/state/ccc/runs/20261120-ab12
      continue   ccc resume 20261120-ab12
      why        ccc explain 20261120-ab12
    "#);
}

#[test]
fn a_line_begins_with_the_time_of_day_in_the_users_zone() {
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").expect("a zone");
    let notice = Show::Notice { text: "first\n\nsecond".into() };
    for (style, expected) in [
        (Style::PIPED, "19:06:59 ! first\n\n           second\n"),
        (
            Style { colour: false, live: true, wraps: true, columns: 80 },
            "\r\x1b[J19:06:59 ! first\n\n           second\n",
        ),
        (Style { colour: false, live: true, wraps: true, columns: 40 }, "\r\x1b[J! first\n\n  second\n"),
    ] {
        let mut printer = Printer::new(Form::Text, style);
        printer.in_zone(zone.clone());
        printer.clock(Tick::ZERO, BEGAN_UNIX_MS);
        assert_eq!(printer.render(Tick::ZERO.plus_ms(2_000), &notice).text, expected);
    }
    // The clock may be set in mid-run, and a resumed run begins at a later tick.
    let mut printer = Printer::new(Form::StreamJson, Style::PIPED);
    let at = |printer: &mut Printer, ms| {
        let line = printer.render(Tick::ZERO.plus_ms(ms), &notice).text;
        serde_json::from_str::<Value>(&line).expect("JSON")["unix_ms"].clone()
    };
    assert_eq!(at(&mut printer, 0), Value::Null, "not invented");
    printer.clock(Tick::ZERO, BEGAN_UNIX_MS);
    assert_eq!(at(&mut printer, 2_000), BEGAN_UNIX_MS + 2_000);
    printer.clock(Tick::ZERO.plus_ms(3_000), BEGAN_UNIX_MS + 3_600_000);
    assert_eq!(at(&mut printer, 3_500), BEGAN_UNIX_MS + 3_600_500);
}

#[test]
fn an_interrupted_run_says_how_to_resume_it() {
    let mut finish = finish();
    finish.outcome = Outcome::Interrupted;
    finish.reason = "SIGINT".into();
    let end = Tick::ZERO.plus_ms(NIGHT_ENDS_MS);
    let mut json = Printer::new(Form::Json, Style::PIPED);
    let text = text_of(&json.finish(end, &ending(&finish, &plan())), Stream::Out);
    let object: Value = serde_json::from_str(&text).expect("an object");
    assert_eq!(object["resume"], "ccc resume 20261120-ab12");
    let mut plain = Printer::new(Form::Text, Style::PIPED);
    let talk = text_of(&plain.finish(end, &ending(&finish, &plan())), Stream::Err);
    assert!(talk.starts_with("Interrupted: SIGINT\n"), "{talk}");
    assert!(talk.contains("ccc resume 20261120-ab12"), "{talk}");
    assert!(talk.contains("ccc explain 20261120-ab12"), "{talk}");
}

#[test]
fn a_command_that_the_reason_names_is_not_said_again() {
    let finish = Finish {
        outcome: Outcome::Failed,
        reason: "the credential was refused; log in again, then: ccc resume 20261120-ab12".into(),
        ..finish()
    };
    for style in [Style::PIPED, Style { colour: false, live: true, wraps: true, columns: 80 }] {
        let mut plain = Printer::new(Form::Text, style);
        let talk = text_of(&plain.finish(Tick::ZERO, &ending(&finish, &plan())), Stream::Err);
        assert_eq!(talk.matches("ccc resume").count(), 1, "{talk}");
    }
}

#[test]
fn the_end_at_a_limit_names_the_reset_in_local_time() {
    let at_unix_ms = BEGAN_UNIX_MS + 7_140_000;
    let ended = |announced| Finish {
        outcome: Outcome::Limits,
        reason: "the wait would be too long".into(),
        needs: Some(Needs::Reset { at_unix_ms, announced, now_unix_ms: BEGAN_UNIX_MS }),
        ..finish()
    };
    let plan = Plan { no_wait: true, ..plan() };
    let mut plain = Printer::new(Form::Text, Style::PIPED);
    plain.in_zone(TimeZone::fixed(jiff::tz::offset(1)));
    let mut told = |announced| text_of(&plain.finish(Tick::ZERO, &ending(&ended(announced), &plan)), Stream::Err);
    let talk = told(true);
    assert!(talk.starts_with("Limited: the wait would be too long; the reset is at 21:05 (in 1h 59m)\n"), "{talk}");
    assert!(talk.contains("ccc resume 20261120-ab12 --wait\n"), "{talk}");
    assert!(!told(false).contains("the reset is at"), "none was announced");
}

#[test]
fn colours_are_used_on_a_colour_terminal_only() {
    let colour = Style::decide(true, None, Some("xterm-256color"), Some(80));
    let mut printer = Printer::new(Form::Text, colour);
    let text = printer.render(Tick::ZERO, &phase("working", "", 1)).text;
    assert!(text.contains("\x1b[1m▸ working"), "{text:?}");

    for plain in [
        Style::decide(true, Some("1"), Some("xterm"), Some(80)),
        Style::decide(true, None, Some("dumb"), Some(80)),
        Style::decide(false, None, Some("xterm"), None),
    ] {
        assert!(!plain.colour);
        let all = text_of(&outputs(Form::Text, plain), Stream::Err);
        assert!(!all.contains("\x1b[") || plain.live);
        assert!(!all.replace("\r\x1b[J", "").contains('\x1b'), "{all:?}");
    }
    assert!(Style::decide(true, Some(""), None, Some(80)).colour);
    assert_eq!(Style::decide(true, None, None, Some(0)).columns, 80);
}

#[test]
fn a_long_diff_is_bounded_and_counts_what_it_leaves_out() {
    let new: String = (1..=160).map(|n| format!("line {n}\n")).collect();
    let style = Style { colour: false, live: true, wraps: true, columns: 80 };
    let mut printer = Printer::new(Form::Text, style);
    let mut shown = |show: Show| printer.render(Tick::ZERO, &show).text;
    let ended = || super::whole_run::ended(ccc::agent::Role::Agent, "t2", false);
    let head = shown(super::whole_run::edit("a.txt", "", &new));
    assert!(head.ends_with("● Edit a.txt 160 lines\n"), "{head}");
    let made = shown(ended());
    assert!(made.ends_with("    +line 40\n    … 120 more lines\n"), "{made}");

    let old: String = (1..=3_000).map(|n| format!("old {n}\n")).collect();
    let head = shown(super::whole_run::edit("b.txt", &old, &new));
    assert!(head.contains("● Edit b.txt +160 -3000\n"), "{head}");
    let made = shown(ended());
    assert!(made.contains("too big to compare") && !made.contains("b.txt"), "{made}");
    // Something else came between: the file is named again.
    shown(super::whole_run::edit("c.txt", "a\n", "b\n"));
    shown(Show::Notice { text: "a remark".into() });
    let made = shown(ended());
    assert!(made.ends_with("  ⎿ c.txt\n    -a\n    +b\n"), "{made}");
}

#[test]
fn a_huge_text_is_bounded_on_a_terminal_and_in_a_pipe() {
    let text = "word ".repeat(20) + "\n";
    let show = super::whole_run::said(ccc::agent::Role::Agent, &text.repeat(50_000));
    let live = Style { colour: false, live: true, wraps: true, columns: 80 };
    let on_terminal = Printer::new(Form::Text, live).render(Tick::ZERO, &show).text;
    assert_eq!(on_terminal.lines().count(), 201);
    assert!(on_terminal.contains(" more lines\n"));
    let piped = Printer::new(Form::Text, Style::PIPED).render(Tick::ZERO, &show).text;
    assert!(piped.chars().count() < 4_200, "{}", piped.len());
    assert!(piped.ends_with(" more lines\n"));
}

#[test]
fn a_check_that_fails_shows_the_end_of_its_output() {
    let tail: String = (1..=30).map(|n| format!("row {n}\n")).collect();
    let show = Show::Check {
        command: "make".into(),
        passed: false,
        summary: "exit code 2".into(),
        duration_ms: 61_000,
        tail,
        setup: false,
        not_run: None,
    };
    let live = Style { colour: false, live: true, wraps: true, columns: 80 };
    let shown = Printer::new(Form::Text, live).render(Tick::ZERO, &show).text;
    let rows: Vec<_> = shown.trim_start_matches("\r\x1b[J").lines().collect();
    assert_eq!(rows[0], "✗ check failed: make (1m 01s): exit code 2");
    assert_eq!(rows[1], "    row 11");
    assert_eq!(rows[rows.len() - 1], "    row 30");
}

#[test]
fn the_last_line_of_a_failed_check_and_why_it_failed_are_shown_to_their_ends() {
    let result = format!("test result: {} FAILED. 212 passed; 1 failed", "suite after suite, ".repeat(6));
    let endless = format!("{}the verdict", "x".repeat(4_000));
    for (last, end) in [(result.as_str(), "212 passed; 1 failed"), (endless.as_str(), "the verdict")] {
        let show = Show::Check {
            command: format!("cargo test --workspace {}", "--exclude a-crate ".repeat(5)),
            passed: false,
            summary: "exited with 101".into(),
            duration_ms: 61_000,
            tail: format!("{}\n{last}\n", "a row that is wider than the terminal ".repeat(4)),
            setup: false,
            not_run: None,
        };
        let live = Style { colour: false, live: true, wraps: true, columns: 80 };
        let shown = Printer::new(Form::Text, live).render(Tick::ZERO, &show).text;
        let rows: Vec<_> = shown.trim_start_matches("\r\x1b[J").lines().collect();
        assert!(rows.iter().all(|row| row.chars().count() <= 80), "{rows:#?}");
        let words = rows.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("(1m 01s): exited with 101"), "{rows:#?}");
        assert!(
            rows[rows.len() - 1].ends_with(end.rsplit(' ').next().expect("a word")) && rows.len() < 12,
            "{rows:#?}"
        );
    }
}

#[test]
fn information_has_no_mark_of_a_warning() {
    let using = Show::Information { text: "using work (API key, afb092de)".into() };
    assert_eq!(
        Printer::new(Form::Text, Style::PIPED).render(Tick::ZERO, &using).text,
        "  using work (API key, afb092de)\n"
    );
    let line = Printer::new(Form::StreamJson, Style::PIPED).render(Tick::ZERO, &using).text;
    assert_eq!(serde_json::from_str::<Value>(&line).expect("JSON")["type"], "notice");
}
