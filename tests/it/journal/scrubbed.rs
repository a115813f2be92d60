//! What is left of a run whose texts are scrubbed: its decisions, and none of its words.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ccc::core::{Core, Input, LineFact, OperatorInput};
use ccc::driver::{compare, copy_run};
use ccc::journal::{EntryKind, Header, JournalReader, JournalWriter, RunDir};
use redaction::Redactor;
use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Every recorded run of the repository.
fn recorded() -> Vec<PathBuf> {
    let folders = ["fixtures/runs", "fixtures/compat"].map(|folder| Path::new(ROOT).join(folder));
    let runs = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("a folder").flatten());
    let runs: Vec<PathBuf> =
        runs.map(|entry| entry.path()).filter(|path| path.join("journal.jsonl").is_file()).collect();
    assert!(runs.len() >= 10, "{runs:?}");
    runs
}

fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push((path.clone(), fs::read(&path).expect("a file")));
        }
    }
    all.sort();
    all
}

#[test]
fn every_recorded_run_can_be_scrubbed_is_decided_the_same_and_is_the_same_each_time() {
    for run in recorded() {
        let copies: Vec<Vec<(PathBuf, Vec<u8>)>> = (0..2)
            .map(|_| {
                let out = tempfile::tempdir().unwrap();
                let copied =
                    copy_run(&run, out.path(), None).unwrap_or_else(|error| panic!("{}: {error}", run.display()));
                let journal = copied.dir.journal();
                assert_eq!(compare(&journal).unwrap().difference, None, "{}", run.display());
                // The kinds of inputs and actions and their times are those of the run, up to a gap.
                let kinds = |journal: &Path| -> Vec<(u64, Option<String>)> {
                    let text = fs::read_to_string(journal).unwrap();
                    let entries = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
                    let kind = |entry: &Value| {
                        let of = entry.get("in").or(entry.get("act"))?;
                        of.as_str().map(str::to_owned).or_else(|| of.as_object()?.keys().next().cloned())
                    };
                    entries
                        .take_while(|entry| entry.get("gap").is_none())
                        .filter(|entry| entry.get("n").is_some())
                        .map(|entry| (entry["t"].as_u64().unwrap(), kind(&entry)))
                        .collect()
                };
                if compare(&run.join("journal.jsonl")).is_ok_and(|original| original.difference.is_none()) {
                    assert_eq!(kinds(&journal), kinds(&run.join("journal.jsonl")), "{}", run.display());
                }
                let mut files = files(copied.dir.path());
                for (path, _) in &mut files {
                    *path = path.strip_prefix(out.path()).unwrap().to_owned();
                }
                files
            })
            .collect();
        assert_eq!(copies[0], copies[1], "{}", run.display());
    }
}

/// What must not be found, and where it is planted.
const CANARIES: [&str; 12] = [
    "canary-task about Mr. Zwitscher",
    "canary_prompt_of_the_reviewer",
    "/srv/canary-house/nest",
    "CANARY_VARIABLE=singing",
    "canary said \"tweet\" and\n\tflew\\away",
    "kanarienvögel 🐤 金丝雀 çanary",
    "Y2FuYXJ5IGluIGJhc2U2NCB3aXRoIG51bWJlcnMgMTIz+/8canary==",
    "canary-feedback-70215",
    "0049301234567",
    "canary.corp.example.org",
    "mcp__canary__sing",
    "canary_member",
];

fn all_canaries() -> String {
    CANARIES.join(" ; ")
}

/// Adds the canaries to each text of a message that is not the protocol's own, and members of nobody's protocol.
fn plant(value: &mut Value, member: &str) {
    const TEXTS: [&str; 24] = [
        "text",
        "content",
        "command",
        "description",
        "file_path",
        "stdout",
        "stderr",
        "result",
        "cwd",
        "thinking",
        "summary",
        "prompt",
        "old_string",
        "new_string",
        "model",
        "output",
        "tool_use_result",
        "message",
        "errors",
        "title",
        "display_name",
        "slash_commands",
        "agents",
        "partial_json",
    ];
    match value {
        Value::String(text) if TEXTS.contains(&member) => {
            // At the beginning: what stands last decides.
            *text = format!("{}\n{text}", all_canaries());
        }
        Value::Array(items) => items.iter_mut().for_each(|item| plant(item, member)),
        Value::Object(members) => {
            for (name, value) in members.iter_mut() {
                plant(value, name);
            }
            if member == "input" || member.is_empty() {
                members.insert(
                    CANARIES[11].to_owned(),
                    serde_json::json!({ CANARIES[10]: [CANARIES[4], 49_301_234_567_u64] }),
                );
                members.insert("environment".to_owned(), serde_json::json!({ "HOST": CANARIES[9], "nested": serde_json::json!({"reason": all_canaries()}).to_string() }));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn planted(input: &Input) -> Input {
    let mut input = input.clone();
    match &mut input {
        Input::Line { line: LineFact::Json(json), .. } => {
            let mut value: Value = serde_json::from_str(json.get()).unwrap();
            plant(&mut value, "");
            *json = serde_json::value::to_raw_value(&value).unwrap();
        }
        Input::TreeMeasured { tree, .. } => {
            tree.changed.push(CANARIES[2].to_owned());
            tree.running.push(all_canaries());
            tree.idle.push(all_canaries());
        }
        Input::CheckpointTaken { fact, .. } => fact.left_out.push(all_canaries()),
        Input::TestsCompared { tests, .. } => {
            tests.files.iter_mut().for_each(|file| file.path.push_str(&all_canaries()));
        }
        Input::Exited { exit, .. } => exit.stderr_tail.push_str(&all_canaries()),
        Input::CheckFinished { result, .. } => result.tail.push_str(&all_canaries()),
        Input::Spawned { .. }
        | Input::Began { .. }
        | Input::Tokens { .. }
        | Input::SpawnFailed { .. }
        | Input::Line { .. }
        | Input::Noise { .. }
        | Input::Progress { .. }
        | Input::WriteFailed { .. }
        | Input::BranchLost { .. }
        | Input::Operator(_)
        | Input::Elapsed { .. } => {}
    }
    input
}

/// A run with canaries wherever texts stand, decided by this core.
fn run_with_canaries(from: &Path, state: &Path) -> RunDir {
    let reader = JournalReader::open(from).unwrap();
    let mut plan = reader.plan().unwrap();
    plan.task.push_str(&all_canaries());
    plan.earlier_turns.push(all_canaries());
    plan.critic.prompt.push_str(CANARIES[1]);
    plan.critic.allow.push(format!("Bash({})", CANARIES[9]));
    plan.critic.prompt_file = Some(CANARIES[2].to_owned());
    plan.agent_args.extend(["--append-system-prompt".to_owned(), all_canaries(), format!("--add-dir={}", CANARIES[2])]);
    plan.agent_program = format!("{}/bin/claude", CANARIES[2]);
    plan.given = Some(serde_json::json!({ "task": all_canaries() }));
    let header = Header::new(&plan, "0.1.0").unwrap();
    let dir = RunDir::create(state, &plan.run_id).unwrap();
    let mut writer = JournalWriter::create(&dir.journal(), &dir.blobs(), &header, Redactor::new()).unwrap();
    let mut core = Core::new(plan);
    let mut ms = 0;
    let mut feed = |tick, input: Input, writer: &mut JournalWriter| {
        writer.input(tick, &input);
        core.handle(tick, input);
        while let Some(action) = core.poll_action() {
            writer.action(tick, &action);
        }
    };
    for entry in reader {
        let entry = entry.unwrap();
        if let EntryKind::In(input) = entry.kind {
            let spawned = matches!(input, Input::Spawned { .. });
            feed(entry.tick, planted(&input), &mut writer);
            if spawned && ms == 0 {
                ms = 1;
                let proc = ccc::core::ProcId(1);
                let noise = LineFact::Noise(all_canaries());
                feed(entry.tick, Input::Line { proc, line: noise }, &mut writer);
                let turn = OperatorInput::Turn { text: format!("{} {}", "word ".repeat(20_000), all_canaries()) };
                feed(entry.tick, Input::Operator(turn), &mut writer);
            }
        }
    }
    assert_eq!(writer.close(), None);
    let summary = fs::read_to_string(from.join("run.json")).unwrap();
    let mut summary: Value = serde_json::from_str(&summary).unwrap();
    for member in ["task", "cwd", "reason", "result", "resume"] {
        summary[member] = Value::from(all_canaries());
    }
    fs::write(dir.summary(), summary.to_string()).unwrap();
    dir
}

/// All strings of a JSON document, and of those that stand in its strings.
fn spelt_out(json: &Value, out: &mut String) {
    match json {
        Value::String(text) => {
            out.push_str(text);
            out.push('\n');
            if let Ok(inner @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str::<Value>(text) {
                spelt_out(&inner, out);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| spelt_out(item, out)),
        Value::Object(members) => {
            for (name, value) in members {
                out.push_str(name);
                out.push('\n');
                spelt_out(value, out);
            }
        }
        Value::Number(number) => out.push_str(&format!("{number}\n")),
        Value::Null | Value::Bool(_) => {}
    }
}

/// The canaries, and the pieces of them that tell most, in each form in which one could be written.
fn forms() -> Vec<String> {
    let pieces = CANARIES.iter().flat_map(|canary| canary.split(|char: char| !char.is_alphanumeric()));
    // ccc's own sentences, which stand in the copy, have these words.
    let own = ["prompt", "feedback"];
    let telling = pieces.filter(|piece| piece.chars().count() >= 6 && !own.contains(piece)).map(str::to_owned);
    let whole = CANARIES
        .iter()
        .map(|canary| (*canary).to_owned())
        .chain(telling)
        .chain(["🐤".to_owned(), "49301234567".to_owned()]);
    whole
        .flat_map(|text| {
            let quoted = Value::from(text.as_str()).to_string();
            let escaped: String = text
                .encode_utf16()
                .map(|unit| {
                    if unit < 128 {
                        char::from_u32(u32::from(unit)).unwrap_or(' ').to_string()
                    } else {
                        format!("\\u{unit:04x}")
                    }
                })
                .collect();
            [quoted[1..quoted.len() - 1].to_owned(), escaped, text]
        })
        .collect()
}

fn found_in(dir: &Path) -> Vec<(PathBuf, String)> {
    let forms = forms();
    let mut found = Vec::new();
    for (path, bytes) in files(dir) {
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        let mut inside = String::new();
        for line in text.lines().chain([text.as_str()]) {
            if let Ok(json) = serde_json::from_str(line) {
                spelt_out(&json, &mut inside);
            }
        }
        text.push_str(&inside);
        text.push_str(&path.strip_prefix(dir).unwrap().to_string_lossy());
        let lower = text.to_lowercase();
        let there = forms.iter().filter(|form| lower.contains(&form.to_lowercase()));
        found.extend(there.map(|form| (path.clone(), form.clone())));
    }
    found
}

#[test]
fn none_of_the_words_of_a_run_is_left_in_its_scrubbed_copy() {
    for name in ["night-2.1.329", "night-2.1.197", "stuck-2.1.329", "busy-2.1.329", "needs-user-2.1.329", "demo"] {
        let state = tempfile::tempdir().unwrap();
        let run = run_with_canaries(&Path::new(ROOT).join("fixtures/runs").join(name), state.path());
        assert_eq!(compare(&run.journal()).unwrap().difference, None, "{name}");
        let before = found_in(run.path());
        assert!(before.len() > forms().len() / 2, "{name}: the canaries are planted: {}", before.len());
        assert!(before.iter().any(|(path, _)| path.starts_with(run.blobs())), "{name}: in payloads too");
        let out = tempfile::tempdir().unwrap();
        let copied = copy_run(run.path(), out.path(), None).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(compare(&copied.dir.journal()).unwrap().difference, None, "{name}");
        assert!(copied.dir.summary().is_file(), "{name}");
        assert_eq!(found_in(out.path()), [], "{name}");
    }
}

#[test]
fn the_command_says_what_it_kept_and_texts_are_kept_only_when_asked_for() {
    let state = tempfile::tempdir().unwrap();
    let run = run_with_canaries(&Path::new(ROOT).join("fixtures/runs/night-2.1.329"), state.path());
    let ccc = |args: &[&str]| {
        let output = Command::new(crate::program::ccc())
            .args(args)
            .current_dir(state.path())
            .envs([("HOME", state.path()), ("CCC_STATE_DIR", state.path())])
            .output()
            .expect("ccc runs");
        (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
    };
    let (code, said) = ccc(&["export", "last", "--format", "fixture", "-o", "scrubbed"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.lines().last().is_some_and(|line| line.contains("scrubbed: all texts")), "{said}");
    assert_eq!(found_in(&state.path().join("scrubbed")), []);
    let (code, said) = ccc(&["export", "last", "--format", "fixture", "--keep-text", "-o", "kept"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.lines().last().is_some_and(|line| line.contains("kept: all texts")), "{said}");
    assert!(said.lines().all(|line| line.len() <= 80), "{said}");
    assert!(found_in(&state.path().join("kept")).len() > 10);
    for copy in ["./scrubbed", "./kept"] {
        assert_eq!(ccc(&["replay", "--check", copy]).0, Some(0), "{copy}");
    }
    let (code, said) = ccc(&["export", "last", "--keep-text", "-o", "cast"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(run.journal().is_file() && !state.path().join("cast").exists());
}
