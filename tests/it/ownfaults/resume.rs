//! What `ccc resume` does with runs of every kind, and with what cannot be gone on with.

use std::fs;

use serde_json::{Value, json};

use super::world::{FEEDBACK, TASK, World, forever, two_turns};
use crate::whole_runs::harness::{Ended, Running, send};

/// Asserts a refusal with a hint.
#[track_caller]
fn refused(ended: &Ended<'_>, code: i32, words: &[&str]) {
    assert_eq!(ended.status.code(), Some(code), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.is_empty(), "{}", ended.stdout);
    for word in words.iter().chain(&["hint:"]) {
        assert!(ended.stderr.contains(word), "no {word:?} in: {}", ended.stderr);
    }
}

/// A world with a run that has completed.
fn completed() -> World {
    let world = World::new(&two_turns());
    world.start(&[]).end().assert_code(0);
    world
}

/// A world with a run that was killed in its first turn.
fn killed() -> World {
    let mut held = two_turns();
    held["agent"][0] = json!([{"say": "I begin."}, forever()]);
    let world = World::new(&held);
    let mut running = world.start(&[]);
    running.until("text", |event| event["type"] == "text");
    world.kill(running);
    world.play(&two_turns());
    world
}

#[test]
fn a_completed_run_has_nothing_to_go_on_with_unless_the_user_says_more() {
    let world = completed();
    let id = world.run_id();
    refused(&world.run(&["resume", &id]), 2, &[&id, "completed", "-p"]);

    let ended = world.resume(&["-p", "And paint it."]).end();
    ended.assert_code(0);
    assert_eq!(ended.result()["iterations"], 3);
    world.assert_said_once(&[TASK, FEEDBACK, "And paint it."]);
}

#[test]
fn a_run_whose_iterations_are_spent_goes_on_with_a_higher_bound() {
    let world = World::new(&two_turns());
    let ended = world.start(&["--max-iterations", "1"]).end();
    ended.assert_code(4);
    let again = world.resume(&["--max-iterations", "5"]).end();
    again.assert_code(0);
    world.assert_said_once(&[TASK, FEEDBACK]);
}

#[test]
fn a_run_whose_iterations_are_spent_ends_the_same_way_without_a_higher_bound() {
    let world = World::new(&two_turns());
    world.start(&["--max-iterations", "1"]).end().assert_code(4);
    let mut stubborn = two_turns();
    stubborn["critic"][1] = json!([{"say": FEEDBACK}]);
    world.play(&stubborn);
    world.resume(&[]).end().assert_code(4);
}

#[test]
fn a_question_of_the_critic_is_answered_on_resumption() {
    let mut script = two_turns();
    script["critic"][0] = json!([{"say": "Which colour shall it have?\n\n[NEEDS_USER]"}]);
    let world = World::new(&script);
    let ended = world.start(&[]).end();
    ended.assert_code(3);
    let again = world.resume(&["-p", "Blue."]).end();
    again.assert_code(0);
    world.assert_said_once(&[TASK, "Blue."]);
}

#[test]
fn what_the_user_says_to_a_run_killed_while_it_ended_is_said_to_the_agent() {
    for (word, agent) in
        [("interrupted", json!([{"say": "I begin."}, forever()])), ("completed", json!([{"say": "Done."}]))]
    {
        let mut script = two_turns();
        script["agent"][0] = agent;
        script["agent"][0].as_array_mut().unwrap().insert(0, json!("ignore_signals"));
        script["agent"][0].as_array_mut().unwrap().insert(0, json!("stop_reading"));
        script["critic"][0] = script["critic"][1].clone();
        let world = World::new(&script);
        let mut command = world.command(&[]);
        command.env("CCC_GRACE", "10m");
        let mut running = Running::spawn(&world.ground, &mut command);
        running.until("text", |event| event["type"] == "text");
        if word == "interrupted" {
            running.signal(rustix::process::Signal::INT);
        }
        running.until("the ending", |event| event["type"] == "phase" && event["phase"] == "ending");
        world.kill(running);
        world.play(&two_turns());
        let ended = world.resume(&["-p", "And paint it."]).end();
        ended.assert_code(0);
        assert!(world.turns().iter().any(|(_, said)| said.contains("And paint it.")), "{word}: {:#?}", world.turns());
    }
}

#[test]
fn an_unknown_run_is_an_error_that_names_those_that_are_there() {
    let world = completed();
    refused(&world.run(&["resume", "19990101"]), 2, &["19990101", &world.run_id()]);
}

#[test]
fn without_any_run_there_is_nothing_to_resume() {
    let world = World::new(&two_turns());
    refused(&world.run(&["resume"]), 2, &["no unfinished run"]);
    refused(&world.run(&["resume", "last"]), 2, &["no run"]);
}

#[test]
fn the_beginning_of_an_id_is_enough_where_it_fits_one_run() {
    let world = killed();
    // Two runs of the same second have no order by their names.
    let killed = world.run_id();
    world.start(&["--max-iterations", "1"]).wait();
    let ids: Vec<String> =
        world.ground.runs().iter().map(|run| run.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    refused(&world.run(&["resume", "2"]), 2, &[&ids[0], &ids[1]]);
    let only = &killed[..killed.len() - 1];
    world.run(&["resume", only]).assert_code(0);
}

#[test]
fn a_run_in_use_is_not_touched() {
    let mut held = two_turns();
    held["agent"][0] = json!([{"say": "I begin."}, forever()]);
    let world = World::new(&held);
    let mut running = world.start(&[]);
    running.until("text", |event| event["type"] == "text");
    let pid = running.pid().to_string();
    refused(&world.run(&["resume", &world.run_id()]), 2, &[&pid, "in use"]);
    assert_eq!(world.lives(), 1, "the refused one wrote into the journal");
    assert!(!world.ground.alive(running.pid()).is_empty(), "the agent of the first was ended");
    running.signal(rustix::process::Signal::INT);
    running.end().assert_code(130);
}

#[test]
fn a_run_goes_on_in_its_own_directory() {
    let world = killed();
    let mut command = world.ccc(&["resume", &world.run_id()]);
    command.current_dir(world.ground.home());
    let ended = Running::spawn(&world.ground, &mut command).end();
    ended.assert_code(0);
    let project = world.ground.project();
    assert!(ended.stderr.contains(&format!("continuing in {}", project.display())), "{}", ended.stderr);
    let journal = ended.journal();
    let spawned: Vec<&Value> =
        journal.iter().filter_map(|entry| crate::whole_runs::harness::action(entry, "spawn")).collect();
    assert!(spawned.iter().all(|spawn| spawn["launch"]["cwd"].as_str() == project.to_str()), "{spawned:#?}");
    world.assert_said_once(&[TASK, FEEDBACK]);
}

#[test]
fn without_its_directory_a_run_does_not_go_on() {
    let world = killed();
    let project = world.ground.project();
    let mut command = world.ccc(&["resume", &world.run_id()]);
    fs::remove_dir_all(&project).expect("rm");
    command.current_dir(world.ground.home());
    refused(
        &Running::spawn(&world.ground, &mut command).wait(),
        2,
        &[&project.display().to_string(), "does not exist"],
    );
    fs::create_dir(&project).expect("mkdir");
}

#[test]
fn without_its_agent_a_run_does_not_go_on() {
    let world = killed();
    fs::remove_file(&world.agent).expect("rm");
    refused(&world.run(&["resume", &world.run_id()]), 2, &[&world.agent.display().to_string()]);
}

#[test]
fn a_damaged_journal_is_named_with_its_line_and_nothing_is_started() {
    let world = killed();
    let path = world.run_dir().join("journal.jsonl");
    let whole = fs::read_to_string(&path).expect("a journal");
    let mut lines: Vec<&str> = whole.lines().collect();
    lines[4] = "{\"n\":4,\"t\":";
    fs::write(&path, lines.join("\n") + "\n").expect("write");
    let id = world.run_id();
    let by_hand = format!("cd {} && {} --resume ", world.ground.project().display(), world.agent.display());
    let hints = ["line 5", &path.display().to_string(), &format!("ccc explain {id};"), &by_hand];
    refused(&world.run(&["resume", &id]), 1, &hints);
    fs::write(&path, whole).expect("write");
}

#[test]
fn a_journal_of_a_newer_major_version_is_refused() {
    let world = killed();
    let path = world.run_dir().join("journal.jsonl");
    let whole = fs::read_to_string(&path).expect("a journal");
    let newer = whole.replacen("\"major\":1", "\"major\":2", 1);
    assert_ne!(newer, whole);
    fs::write(&path, newer).expect("write");
    refused(&world.run(&["resume", &world.run_id()]), 1, &["newer", "use a newer ccc"]);
}

#[test]
fn a_journal_torn_anywhere_is_gone_on_with_from_its_last_whole_line() {
    let world = completed();
    let path = world.run_dir().join("journal.jsonl");
    let whole = fs::read(&path).expect("a journal");
    let header = whole.iter().position(|byte| *byte == b'\n').expect("a header") + 1;
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').expect("lines") + 1;
    let cuts = [header, header + 1, last - 1, last, last + 5];
    let between = (1..8).map(|part| header + (whole.len() - header) * part / 8);
    for cut in cuts.into_iter().chain(between) {
        fs::write(&path, &whole[..cut]).expect("write");
        let ended = world.resume(&[]).end();
        assert_eq!(ended.status.code(), Some(0), "cut at {cut} of {}:\n{}{}", whole.len(), ended.stdout, ended.stderr);
        assert_eq!(world.turns().iter().filter(|(_, said)| said.contains(TASK)).count(), 1, "cut at {cut}");
    }
}

#[test]
fn a_journal_torn_in_its_header_says_that_the_run_had_not_begun() {
    let world = completed();
    let path = world.run_dir().join("journal.jsonl");
    let whole = fs::read(&path).expect("a journal");
    fs::write(&path, &whole[..10]).expect("write");
    refused(&world.run(&["resume", &world.run_id()]), 1, &["ccc ended before the run began"]);
    fs::write(&path, &whole).expect("write");
}

#[test]
fn a_damaged_or_missing_summary_does_not_keep_a_run_from_going_on() {
    for summary in [Some("{\"version\": 1, \"id\""), Some(""), None] {
        let world = killed();
        let path = world.run_dir().join("run.json");
        match summary {
            Some(text) => fs::write(&path, text).expect("write"),
            None => fs::remove_file(&path).expect("rm"),
        }
        // Also where nobody names it: a power cut must not make the only run of the night unfindable.
        let ended = world.run(&["resume"]);
        assert_eq!(ended.status.code(), Some(0), "{summary:?}: {}", ended.stderr);
        let mended: Value = serde_json::from_slice(&fs::read(&path).expect("a summary")).expect("JSON");
        assert_eq!(mended["outcome"], "completed");
    }
}

#[test]
fn remains_that_ignore_every_signal_are_ended_before_the_run_goes_on() {
    let world = World::new(&json!({"agent": [["ignore_signals", "stop_reading", {"say": "I begin."}, forever()]]}));
    let mut running = world.start(&[]);
    running.until("text", |event| event["type"] == "text");
    let stopped: Vec<u32> = world.ground.alive(running.pid()).iter().map(|(pid, _)| *pid).collect();
    for pid in &stopped {
        send(*pid, rustix::process::Signal::STOP);
    }
    world.kill(running);
    world.play(&two_turns());
    let ended = world.resume(&[]).end();
    ended.assert_code(0);
    world.assert_no_survivors();
    assert!(ended.stderr.contains("that the run had left when its ccc process died"), "{}", ended.stderr);
}

#[test]
fn a_completed_run_whose_summary_was_not_written_any_more_is_shown_as_completed() {
    let world = completed();
    let path = world.run_dir().join("run.json");
    let mut summary: Value = serde_json::from_slice(&fs::read(&path).expect("a summary")).expect("JSON");
    for (key, value) in [("outcome", Value::Null), ("reason", Value::Null), ("phase", json!("ending"))] {
        summary[key] = value;
    }
    fs::write(&path, summary.to_string()).expect("write");
    refused(&world.run(&["resume"]), 2, &["completed"]);
    let mended: Value = serde_json::from_slice(&fs::read(&path).expect("a summary")).expect("JSON");
    assert_eq!(mended["outcome"], "completed");
    refused(&world.run(&["resume"]), 2, &["no unfinished run"]);
}

#[test]
fn resume_without_a_run_never_goes_past_a_newer_completed_one_in_silence() {
    let world = completed();
    let newer = world.run_id();
    // An older run of the same directory that died: the copy of this one without its end.
    let older = "20200101-000000-2222";
    let runs = world.run_dir().parent().expect("runs").to_owned();
    let path = runs.join(older);
    fs::create_dir(&path).expect("made");
    let summary = fs::read_to_string(world.run_dir().join("run.json")).expect("a summary");
    let died = summary.replace(&newer, older).replace("\"completed\"", "null");
    fs::write(path.join("run.json"), died).expect("written");
    refused(&world.run(&["resume"]), 2, &[&newer, "is completed", &format!("ccc resume {older}")]);
}

/// A secret that ccc knows by its shape only.
fn token() -> String {
    format!("ghp_{}", "a1".repeat(18))
}

/// Asserts that a text does not hold the token.
#[track_caller]
fn assert_clean(what: &str, text: &str) {
    assert!(!text.contains(&token()), "{what} holds the secret: {text}");
}

/// The command lines of all agents and critics.
fn started(world: &World) -> String {
    fs::read_to_string(world.ground.home().join("started")).expect("one was started")
}

#[test]
fn a_run_does_not_go_on_with_a_mark_in_the_place_of_a_secret_among_the_agents_arguments() {
    let prompt = format!("The staging token is {}.", token());
    let given = ["--model", "opus", "--append-system-prompt", &prompt];
    let mut held = two_turns();
    held["agent"][0] = json!([{"say": "I begin."}, forever()]);
    let note = "echo \"$*\" | tr '\\n' ' ' >> \"$home/started\"; echo >> \"$home/started\"";
    let world = World::with_prelude(crate::whole_runs::harness::Ground::without_git(), &held, note);
    let mut running = world.start(&[&["--"], &given[..]].concat());
    running.until("text", |event| event["type"] == "text");
    world.kill(running);
    world.play(&two_turns());

    let id = world.run_id();
    let advice = format!("ccc resume {id} -- --append-system-prompt VALUE");
    let ended = world.run(&["resume", &id]);
    refused(&ended, 2, &["the agent's option --append-system-prompt", &advice]);
    refused(&world.run(&["resume", &id, "-p", "Go on."]), 2, &["--append-system-prompt"]);
    refused(&world.run(&["resume", &id, "--", "--append-system-prompt", "VALUE"]), 2, &["VALUE is a placeholder for"]);
    assert_eq!(started(&world).lines().count(), 1, "no agent was started");

    let ended = world.resume(&["--", "--append-system-prompt", &prompt]).end();
    ended.assert_code(0);
    let started = started(&world);
    assert!(started.lines().count() > 2, "{started}");
    for line in started.lines() {
        assert!(line.contains(&token()), "{line}");
        assert!(line.contains("--model opus") || line.contains("--fork-session"), "{line}");
        assert!(!line.contains("[redacted") && line.matches("--append-system-prompt").count() == 1, "{line}");
    }
    assert_clean("stdout", &ended.stdout);
    assert_clean("stderr", &ended.stderr);
    world.assert_said_once(&[TASK, FEEDBACK]);
}

#[test]
fn a_task_that_held_a_secret_and_was_not_heard_is_asked_for_again() {
    let task = format!("Deploy with token {}", token());
    let world = World::new(&two_turns());
    world.hold("agent");
    let mut command = world.ccc(&["--supervisor", "-p", &task, "--output-format", "stream-json", "--agent"]);
    let running = Running::spawn(&world.ground, command.arg(&world.agent));
    world.until_entry("a turn sent", |entry| super::world::acts(entry, "send"));
    world.until_file("held");
    world.kill(running);
    world.release("agent");

    let id = world.run_id();
    let ended = world.run(&["resume", &id]);
    refused(
        &ended,
        2,
        &["your message", "Deploy with token [redacted:github]", &format!("ccc resume {id} -p \"TEXT\"")],
    );
    let ended = world.resume(&["-p", &task]).end();
    ended.assert_code(0);
    assert_clean("stderr", &ended.stderr);
    let turns = world.turns();
    assert_eq!(turns.iter().filter(|(_, said)| said.contains(&token())).count(), 1, "{turns:#?}");
    assert!(turns.iter().all(|(_, said)| !said.contains("[redacted")), "{turns:#?}");
}

#[test]
fn what_to_type_at_the_end_holds_no_secret_of_the_arguments() {
    let world = World::new(&two_turns());
    let prompt = format!("The staging token is {}.", token());
    for format in ["stream-json", "text"] {
        let mut command = world.ccc(&["--supervisor", "-p", TASK, "--output-format", format, "--agent"]);
        command.arg(&world.agent).args(["--", "--model", "opus", "--append-system-prompt", &prompt]);
        let ended = Running::spawn(&world.ground, &mut command).end();
        ended.assert_code(0);
        assert_clean("stdout", &ended.stdout);
        assert_clean("stderr", &ended.stderr);
        if format == "text" {
            let told = ended.stderr.split("talk to it").nth(1).expect("the command").to_owned();
            assert!(
                told.contains("--model opus") && told.contains("with your original --append-system-prompt"),
                "{told}"
            );
        }
    }
}

#[test]
fn a_run_whose_directory_was_moved_and_linked_back_goes_on_there() {
    let world = killed();
    let project = world.ground.project();
    let moved = world.ground.home().join("moved");
    fs::rename(&project, &moved).expect("moved");
    std::os::unix::fs::symlink(&moved, &project).expect("linked back");
    let mut command = world.ccc(&["resume", "--output-format", "stream-json"]);
    command.current_dir(&moved);
    let ended = Running::spawn(&world.ground, &mut command).end();
    ended.assert_code(0);
    assert!(!ended.stderr.contains("where the run belongs"), "{}", ended.stderr);
    let notices = ended.of_type("notice");
    assert!(notices.iter().all(|notice| !notice["text"].to_string().contains("do not see")), "{notices:?}");
}
