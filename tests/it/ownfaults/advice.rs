//! What ccc advises is run as it stands: the commands are cut out of what it prints, and typed.

use std::fs;

use serde_json::{Value, json};

use super::world::{FEEDBACK, TASK, World, forever, two_turns};
use crate::supervise::tty::Tty;
use crate::whole_runs::harness::{Ended, Ground, Running};

/// Nobody listens there; the scripted agent asks nobody.
const NOWHERE: &str = "http://127.0.0.1:9";

/// Runs the task in the form for people.
fn told<'a>(world: &'a World, args: &[&str]) -> Ended<'a> {
    let fixed = ["--supervisor", "-p", TASK, "--agent"];
    let mut command = world.ccc(&fixed);
    command.arg(&world.agent).args(args);
    Running::spawn(&world.ground, &mut command).wait()
}

/// The command that stands behind this label, or below it on a line of its own.
#[track_caller]
fn advised(talk: &str, label: &str) -> String {
    let mut lines = talk.lines().skip_while(|line| !line.trim_start().starts_with(label));
    let beside = lines.next().unwrap_or_else(|| panic!("no {label:?} in {talk}"));
    let beside = beside.trim_start().strip_prefix(label).unwrap_or_default().trim();
    if beside.is_empty() { lines.next().unwrap_or_default().trim().to_owned() } else { beside.to_owned() }
}

/// Types it into a shell.
fn typed<'a>(world: &'a World, line: &str) -> Ended<'a> {
    let mut command = world.ground.typed(NOWHERE, line);
    command.env("CCC_GRACE", "500ms");
    Running::spawn(&world.ground, &mut command).wait()
}

#[test]
fn of_a_spent_bound_the_advice_names_its_own_option_and_is_enough() {
    let mut held = two_turns();
    held["agent"][0] = json!([{"say": "I begin."}, forever()]);
    let rows: [(&[&str], &Value, &str); 3] = [
        (&["--max-iterations", "1"], &two_turns(), " --max-iterations 2"),
        (&["--max-duration", "1s"], &held, " --max-duration 2h"),
        (&["--max-cost-usd", "0.000001"], &two_turns(), " --max-cost-usd 1"),
    ];
    for (bound, script, more) in rows {
        let world = World::new(script);
        let ended = told(&world, bound);
        assert_eq!(ended.status.code(), Some(4), "{bound:?}: {}", ended.stderr);
        let advice = advised(&ended.stderr, "continue");
        assert_eq!(advice, format!("ccc resume {}{more}", world.run_id()), "{}", ended.stderr);
        world.play(&two_turns());
        let again = typed(&world, &advice);
        assert_eq!(again.status.code(), Some(0), "{bound:?}: {}{}", again.stdout, again.stderr);
    }
}

#[test]
fn what_ccc_cannot_see_is_said_at_the_start() {
    let outside = World::new(&two_turns());
    let ended = told(&outside, &[]);
    assert!(ended.stderr.contains("is in no git repository"), "{}", ended.stderr);
    let ignoring = Ground::without_git();
    ignoring.git(&["init", "-q"]);
    ignoring.write(".gitignore", "*\n");
    ignoring.write("code.txt", "text");
    let world = World::on(ignoring, &two_turns());
    let ended = &told(&world, &[]).stderr;
    assert!(ended.contains("git ignores every file of") && ended.contains("git check-ignore -v"), "{ended}");
    let world = World::on(Ground::new(), &two_turns());
    let ended = &told(&world, &[]).stderr;
    assert!(!ended.contains("git repository") && !ended.contains("git ignores"), "{ended}");
}

#[test]
fn the_advice_after_every_other_end_can_be_typed() {
    let stubborn = json!({
        "agent": [[{"say": "Done."}], [{"say": "Done."}], [{"say": "Done."}], [{"say": "Done."}], [{"say": "Done."}]],
        "critic": [[{"say": FEEDBACK}], [{"say": FEEDBACK}], [{"say": FEEDBACK}], [{"say": FEEDBACK}], [{"say": FEEDBACK}]],
    });
    let asking = {
        let mut script = two_turns();
        script["critic"][0] = json!([{"say": "Which colour?\n\n[NEEDS_USER]"}]);
        script
    };
    for (script, code) in [(&stubborn, 5), (&asking, 3)] {
        let world = World::new(script);
        let ended = told(&world, &[]);
        assert_eq!(ended.status.code(), Some(code), "{}", ended.stderr);
        let advice = advised(&ended.stderr, "continue");
        assert_eq!(advice, format!("ccc resume {} -p \"TEXT\"", world.run_id()));
        world.play(&two_turns());
        // A word in capitals stands for the user's own: pasted as it is, it is said to nobody.
        let lives = world.lives();
        let pasted = typed(&world, &advice);
        assert_eq!(pasted.status.code(), Some(2), "{}", pasted.stderr);
        assert!(pasted.stderr.contains("TEXT is a placeholder for"), "{}", pasted.stderr);
        assert_eq!(world.lives(), lives, "nothing was begun");
        typed(&world, &advice.replace("TEXT", "Use tabs.")).assert_code(0);
        // And what says why is a command, too.
        let why = typed(&world, &advised(&ended.stderr, "why"));
        assert_eq!(why.status.code(), Some(0), "{}", why.stderr);
    }
}

#[test]
fn a_run_that_asks_is_not_gone_on_with_without_an_answer() {
    let mut script = two_turns();
    script["critic"][0] = json!([{"say": "Which colour shall it have?\n\nRed or blue?\n\n[NEEDS_USER]"}]);
    let world = World::new(&script);
    told(&world, &[]).assert_code(3);
    let id = world.run_id();
    let lives = world.lives();
    let refused = world.run(&["resume", &id]);
    assert_eq!(refused.status.code(), Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("Which colour"), "{}", refused.stderr);
    assert_eq!(world.lives(), lives, "nothing was begun");
    let (_, advice) = refused.stderr.split_once("to answer:").expect("a hint");
    typed(&world, &advice.trim().replace("TEXT", "Blue.")).assert_code(0);
    world.assert_said_once(&[TASK, "Blue."]);

    // At a terminal it is asked for.
    let world = World::new(&script);
    told(&world, &[]).assert_code(3);
    let mut tty = Tty::start(&world.ccc(&["resume"]));
    tty.until("Red or blue?");
    tty.until("your answer:");
    tty.type_in(b"Blue.\r");
    assert_eq!(tty.end(), 0, "{}", tty.text());
    // The agent's own interface comes only when it is asked for.
    assert!(!tty.text().contains("continuing in"), "{}", tty.text());
    world.assert_said_once(&[TASK, "Blue."]);
}

#[test]
fn what_the_user_says_is_heard_before_anything_is_gone_on_with() {
    let mut held = two_turns();
    held["agent"][0] = json!([{"say": "I begin."}, forever()]);
    let world = World::new(&held);
    let mut running = world.start(&[]);
    running.until("text", |event| event["type"] == "text");
    running.signal(rustix::process::Signal::INT);
    running.wait().assert_code(130);
    world.play(&two_turns());
    world.resume(&["-p", "Use tabs."]).end().assert_code(0);
    let turns = world.turns();
    let said: Vec<&str> = turns.iter().map(|(_, text)| text.as_str()).collect();
    assert!(said[0].contains(TASK), "{said:#?}");
    assert!(said[1].starts_with("Use tabs.\n\n") && said[1].contains("Go on with the work"), "{said:#?}");
}

#[test]
fn what_can_change_is_changed_and_what_has_changed_is_said() {
    let world = World::new(&two_turns());
    let prompt = world.ground.write("SUPERVISOR.md", "Judge kindly.\n");
    let agree = || world.run(&["trust", "--yes"]).assert_code(0);
    world.ground.write(".ccc.json", r#"{"checks": ["true"]}"#);
    agree();
    told(&world, &["--max-iterations", "1", "--", "--model", "one"]).assert_code(4);
    let id = world.run_id();

    // Nothing has changed: nothing is said, and a bound given at the start is no change of the configuration.
    let same = world.run(&["resume", &id]);
    assert_eq!(same.status.code(), Some(4), "{}", same.stderr);
    assert!(!same.stderr.contains("changed since"), "{}", same.stderr);

    fs::write(&prompt, "Judge strictly.\n").expect("write");
    world.ground.write(".ccc.json", r#"{"checks": ["echo strict > strictly"]}"#);
    // What the user has not agreed to is not taken, not even on demand.
    let unasked = world.run(&["resume", &id, "--reload"]);
    assert_eq!(unasked.status.code(), Some(2), "{}", unasked.stderr);
    agree();
    let told = world.run(&["resume", &id]);
    assert!(told.stderr.contains("changed since this run began:"), "{}", told.stderr);
    assert!(told.stderr.contains("SUPERVISOR.md") && told.stderr.contains("(checks)"), "{}", told.stderr);
    let advice = told.stderr.lines().find(|line| line.trim().starts_with("ccc resume")).expect("a command").trim();
    assert_eq!(advice, format!("ccc resume {id} --reload"));
    assert!(!world.ground.project().join("strictly").exists(), "the old check counts until the user says otherwise");

    let args = format!("{advice} --max-iterations 5 --tool-timeout 7m -- --effort high --model two");
    let again = typed(&world, &args);
    again.assert_code(0);
    assert!(world.ground.project().join("strictly").exists(), "the new check was run");
    let plan = world.until_entry("the new plan", |entry| !entry["in"]["operator"]["plan"].is_null());
    let plan = &plan["in"]["operator"]["plan"];
    assert_eq!(plan["critic"]["prompt"], "Judge strictly.\n");
    assert_eq!(plan["budgets"]["max_iterations"], 5);
    assert_eq!(plan["timeouts"]["tool_ms"], 420_000);
    assert_eq!(plan["agent_args"], json!(["--effort", "high", "--model", "two"]));

    // What was given on the way is not taken for a change later.
    let more = world.run(&["resume", &id, "-p", "And paint it."]);
    assert_eq!(more.status.code(), Some(0), "{}", more.stderr);
    assert!(!more.stderr.contains("changed since"), "{}", more.stderr);

    let session = world.run(&["resume", &id, "-p", "x", "--", "--resume", "other"]);
    assert_eq!(session.status.code(), Some(2), "{}", session.stderr);
}

/// A run of so many iterations that has spent them.
fn spent(world: &World, args: &[&str]) -> String {
    let ended = told(world, &[&["--max-iterations", "1"], args].concat());
    assert_eq!(ended.status.code(), Some(4), "{}", ended.stderr);
    world.run_id()
}

fn agent_args(world: &World) -> Value {
    let journal = crate::whole_runs::harness::journal(&world.run_dir());
    let args = |entry: &Value| entry["in"]["operator"]["plan"]["agent_args"].as_array().cloned();
    json!(journal.iter().rev().find_map(args).expect("a plan was given"))
}

#[test]
fn arguments_that_the_agent_refuses_at_a_resume_are_not_kept() {
    let world = World::new(&two_turns());
    let id = spent(&world, &["--", "--model", "one"]);
    fn refused<'a>(world: &'a World, id: &str) -> Ended<'a> {
        let bad = ["--max-iterations", "8", "--", "--permision-mode", "acceptEdits"];
        let ended = world.run(&[&["resume", id], &bad[..]].concat());
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains("unknown option '--permision-mode'"), "{}", ended.stderr);
        ended
    }
    // The printed command works as it stands, and so does the one that talks to the session.
    let ended = refused(&world, &id);
    let advice = advised(&ended.stderr, "continue");
    assert_eq!(advice, format!("ccc resume {id} -- --permission-mode acceptEdits"), "{}", ended.stderr);
    assert!(!advised(&ended.stderr, "talk to it").contains("permision"), "{}", ended.stderr);
    typed(&world, &advice).assert_code(0);
    assert_eq!(agent_args(&world), json!(["--model", "one", "--permission-mode", "acceptEdits"]));

    // A plain one goes on with what worked before, the new bound kept, and says so.
    let world = World::new(&two_turns());
    let id = spent(&world, &["--", "--model", "one"]);
    drop(refused(&world, &id));
    let plain = world.run(&["resume", &id]);
    assert_eq!(plain.status.code(), Some(0), "{}", plain.stderr);
    assert!(plain.stderr.contains("left out: --permision-mode acceptEdits"), "{}", plain.stderr);
    assert_eq!(agent_args(&world), json!(["--model", "one"]));

    // Others take the place of all.
    let world = World::new(&two_turns());
    let id = spent(&world, &["--", "--model", "one", "--effort", "low"]);
    drop(refused(&world, &id));
    let replaced = world.run(&["resume", &id, "--replace-args", "--", "--model", "two"]);
    assert_eq!(replaced.status.code(), Some(0), "{}", replaced.stderr);
    assert_eq!(agent_args(&world), json!(["--model", "two"]));
}

#[test]
fn arguments_that_the_agent_refuses_at_the_start_can_be_corrected() {
    let world = World::new(&two_turns());
    let ended = told(&world, &["--", "--model", "one", "--permision-mode", "acceptEdits"]);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    let advice = advised(&ended.stderr, "continue");
    assert_eq!(advice, format!("ccc resume {} -- --model one --permission-mode acceptEdits", world.run_id()));
    typed(&world, &advice).assert_code(0);
    world.assert_said_once(&[TASK, FEEDBACK]);

    // What nobody can correct is left out.
    let world = World::new(&two_turns());
    let ended = told(&world, &["--", "--xyzzy"]);
    let advice = advised(&ended.stderr, "continue");
    assert_eq!(advice, format!("ccc resume {} --replace-args", world.run_id()));
    typed(&world, &advice).assert_code(0);
    assert_eq!(agent_args(&world), json!([]));
    // Or replaced by others.
    let world = World::new(&two_turns());
    drop(told(&world, &["--", "--xyzzy"]));
    world.run(&["resume", &world.run_id(), "--", "--model", "one"]).assert_code(0);
    assert_eq!(agent_args(&world), json!(["--model", "one"]));
}

#[test]
fn after_a_resume_the_start_and_every_line_tell_the_bounds_in_force() {
    let world = World::new(&two_turns());
    let id = spent(&world, &[]);
    let mut again = two_turns();
    again["critic"] = json!([[{"say": FEEDBACK}], [{"say": "[TASK_COMPLETED]"}]]);
    world.play(&again);
    let bounds = ["--max-iterations", "7", "--max-duration", "5h", "--max-wait", "3h", "--until", "+9h"];
    let ended = world.run(&[&["resume", &id], &bounds[..]].concat());
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let row = |label: &str| ended.stderr.lines().find(|line| line.trim_start().starts_with(label)).unwrap_or_default();
    let told = row("bounds");
    for bound in ["7 iterations", "5h including waits", "until ", "3h for a reset"] {
        assert!(told.contains(bound), "no {bound} in {told:?}");
    }
    assert!(ended.stderr.contains("2 of 7") && !ended.stderr.contains("of 1 "), "{}", ended.stderr);

    let world = World::new(&two_turns());
    spent(&world, &[]);
    let ended = world.resume(&bounds).end();
    let start = &ended.of_type("run")[0];
    assert_eq!((&start["max_iterations"], &start["max_duration_ms"]), (&json!(7), &json!(5 * 3_600_000)), "{start}");
    assert_eq!(start["max_wait_ms"], json!(3 * 3_600_000));
    assert!(start["until_unix_ms"].is_i64(), "{start}");
}

#[test]
fn a_mistyped_check_is_told_at_once_and_corrected_at_a_resume() {
    let world = World::new(&two_turns());
    let ended = told(&world, &["--check", "no-such-program-anywhere --flag", "--check", "test -n 'a b'"]);
    assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
    let warned = ended.stderr.find("warning").expect("a warning");
    assert!(ended.stderr.contains("there is no program no-such-program-anywhere"), "{}", ended.stderr);
    assert!(warned < ended.stderr.find("Needs you").expect("the end"), "before the agent has worked: {}", ended.stderr);
    let id = world.run_id();
    let advice = advised(&ended.stderr, "continue");
    assert_eq!(advice, format!("ccc resume {id} --check CMD --check \"test -n 'a b'\""));
    assert_eq!(typed(&world, &advice).status.code(), Some(2), "the word stands for the user's own");
    // Nobody has mended it: the same end, and nothing was said to the agent.
    let same = world.run(&["resume", &id]);
    assert_eq!(same.status.code(), Some(3), "{}", same.stderr);
    assert_eq!(world.turns().len(), 1, "{:#?}", world.turns());
    typed(&world, &advice.replace("CMD", "true")).assert_code(0);
    world.assert_said_once(&[TASK, FEEDBACK]);
    let last = fs::read_to_string(world.run_dir().join("journal.jsonl")).expect("a journal");
    assert!(last.contains(r#""command":"true""#) && last.contains("test -n 'a b'"), "the others stay");
}

#[test]
fn a_check_that_the_shell_does_not_run_is_told_to_the_user_before_the_run_at_the_stop_and_at_the_end() {
    let world = World::new(&two_turns());
    let ended = told(&world, &["--check", "./chekc.sh --all", "--max-iterations", "1"]);
    ended.assert_code(4);
    let said = ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    let before =
        said.find("warning: the check `./chekc.sh --all` cannot be run yet: there is no program ./chekc.sh in ");
    let stop =
        said.find("a command of the check `./chekc.sh --all` was not found; the agent is told so, but only you can");
    let end = said.rfind("not run a command of the check `./chekc.sh --all` was not found");
    assert!(before.is_some() && before < stop && stop < end, "{}", ended.stderr);
    let id = world.run_id();
    assert!(said.contains(&format!("ccc stop {id}; then: ccc resume {id} --check \"CMD\"")), "{}", ended.stderr);
    // It is mended.
    world.ground.script("chekc.sh", "true");
    let script = world.ground.home().join("bin/chekc.sh").display().to_string();
    let ended = world.run(&["resume", &id, "--check", &script, "--max-iterations", "5"]);
    ended.assert_code(0);
    assert!(!ended.stderr.contains("not run"), "{}", ended.stderr);
    let world = World::new(&two_turns());
    world.ground.write("nox.sh", "true\n");
    let ended = told(&world, &["--check", "./nox.sh", "--max-iterations", "1"]);
    let command = ended.stderr.split("to make it so: ").nth(1).and_then(|rest| rest.lines().next()).expect("a command");
    assert!(command.starts_with("chmod +x ") && command.ends_with("/nox.sh"), "{command}");
}

#[test]
fn the_last_message_of_the_agent_is_labelled_where_it_stands_above_the_outcome() {
    let run = |args: &[&str]| {
        let world = World::new(&two_turns());
        let both = world.ground.home().join("both");
        let file = fs::File::create(&both).expect("a file");
        let mut command = world.ccc(&["--supervisor", "-p", TASK, "--agent"]);
        command.arg(&world.agent).args(args);
        command.stdout(file.try_clone().expect("a descriptor")).stderr(file);
        assert!(command.status().expect("ccc runs").success());
        fs::read_to_string(&both).expect("its output")
    };
    let both = run(&[]);
    assert!(both.contains("\nThe agent's last message:\nSecond half done.\nCompleted: "), "{both}");
    let json = run(&["--output-format", "json"]);
    assert!(json.contains("\"result\":\"Second half done.\"") && !json.contains("last message"), "{json}");
    // Where stdout goes elsewhere, it is the result alone.
    let world = World::new(&two_turns());
    let apart = told(&world, &[]);
    assert_eq!(apart.stdout, "Second half done.\n");
    assert!(!apart.stderr.contains("last message"), "{}", apart.stderr);
}
