//! The CLI's own sandbox: the settings that switch it on, and those that keep the tools that edit files in the same places.
//!
//! The sandbox is around commands only. The tools `Write`, `Edit` and `NotebookEdit` run in the CLI itself, and only rules deny them
//! something, in every permission mode (facts 2.1.332, "The sandbox"). A rule cannot except a place from another rule, and a
//! character class cannot be negated. So the rules name, on each level of the way to a place, all names but those on the way: the
//! first character that differs is one of a class that has all others.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::words::SandboxPlaces;

/// The id of the trial's only request.
const TRIAL: &str = "ccc-sandbox-trial";

/// The user's own settings with the sandbox, without which the CLI does not start, and with rules for the places.
pub(super) fn settings(mut settings: Map<String, Value>, places: &SandboxPlaces, critic: bool) -> Map<String, Value> {
    change(&mut settings, "sandbox", |sandbox| {
        sandbox.insert("enabled".to_owned(), Value::Bool(true));
        sandbox.insert("failIfUnavailable".to_owned(), Value::Bool(true));
        // Otherwise a call may ask to run outside of it.
        sandbox.insert("allowUnsandboxedCommands".to_owned(), Value::Bool(false));
        if critic {
            // Otherwise every command runs unasked, and it may write the tree (measured on both versions).
            sandbox.insert("autoAllowBashIfSandboxed".to_owned(), Value::Bool(false));
        }
        change(sandbox, "filesystem", |filesystem| {
            append(filesystem, "allowWrite", places.commands.iter().cloned());
            append(filesystem, "denyWrite", places.read_only.iter().cloned());
        });
    });
    change(&mut settings, "permissions", |permissions| append(permissions, "deny", rules(places).into_iter()));
    settings
}

/// Changes the object of this name, which takes the place of anything else there.
fn change(map: &mut Map<String, Value>, name: &str, with: impl FnOnce(&mut Map<String, Value>)) {
    let mut object = match map.remove(name) {
        Some(Value::Object(own)) => own,
        Some(_) | None => Map::new(),
    };
    with(&mut object);
    map.insert(name.to_owned(), Value::Object(object));
}

fn append(map: &mut Map<String, Value>, name: &str, more: impl Iterator<Item = String>) {
    let mut all = match map.remove(name) {
        Some(Value::Array(own)) => own,
        Some(_) | None => Vec::new(),
    };
    all.extend(more.map(Value::String));
    if !all.is_empty() {
        map.insert(name.to_owned(), Value::Array(all));
    }
}

/// The rules that deny the tools everything but these places. A rule for `Edit` counts for all of them.
fn rules(places: &SandboxPlaces) -> Vec<String> {
    let open: Vec<Vec<&str>> = places.edits.iter().map(|place| names_of(place).collect()).collect();
    let open: Vec<&[&str]> = open.iter().map(Vec::as_slice).collect();
    let mut patterns = Vec::new();
    all_but(&open, "//", &mut patterns);
    patterns.extend(places.read_only.iter().map(|path| format!("/{}", written(path))));
    patterns.into_iter().map(|pattern| format!("Edit({pattern})")).collect()
}

fn names_of(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty())
}

/// The patterns for all below `base`, which ends in `/`, that neither is one of these places nor leads to one.
fn all_but(open: &[&[&str]], base: &str, patterns: &mut Vec<String>) {
    if open.iter().any(|rest| rest.is_empty()) {
        return;
    }
    let names: BTreeSet<&str> = open.iter().filter_map(|rest| rest.first().copied()).collect();
    all_names_but(&names, base, patterns);
    for name in names {
        let inside: Vec<&[&str]> = open
            .iter()
            .filter_map(|rest| rest.split_first().filter(|(first, _)| **first == name).map(|(_, inside)| inside))
            .collect();
        all_but(&inside, &format!("{base}{}/", written(name)), patterns);
    }
}

/// The patterns for all names in `base` that are none of these.
fn all_names_but(names: &BTreeSet<&str>, base: &str, patterns: &mut Vec<String>) {
    let begins = |name: &str| name.char_indices().map(|(at, _)| at).chain([name.len()]).collect::<Vec<_>>();
    let prefixes: BTreeSet<&str> =
        names.iter().flat_map(|name| begins(name).into_iter().filter_map(|at| name.get(..at))).collect();
    for prefix in prefixes {
        let next: BTreeSet<char> = names.iter().filter_map(|name| name.strip_prefix(prefix)?.chars().next()).collect();
        let start = written(prefix);
        match next.iter().all(|&char| is_plain(char)).then(|| class_without(&next)) {
            Some(_) if next.is_empty() => patterns.push(format!("{base}{start}?*")),
            Some(class) => patterns.push(format!("{base}{start}{class}*")),
            None => {}
        }
        // What is in a directory whose name is the beginning of one of these. The class makes a pattern of it: for a path, the
        // sandbox would make what is not there. `.` and `..` are no names of their own.
        let last = prefix.chars().next_back().filter(|&last| is_plain(last));
        if let Some(last) = last
            && !names.contains(prefix)
            && ![".", ".."].contains(&prefix)
        {
            let before = prefix.strip_suffix(last).unwrap_or_default();
            patterns.push(format!("{base}{}[{last}]/*", written(before)));
        }
    }
}

/// Whether this character, and those before and after it, mean themselves in a pattern and in a class.
fn is_plain(char: char) -> bool {
    char.is_ascii_alphanumeric() || "-._ @+=".contains(char)
}

/// The text as a pattern. What could mean something else stands for any character: then the rules below it count for places that
/// are denied anyhow.
fn written(text: &str) -> String {
    let mut pattern = String::new();
    for char in text.chars() {
        match char {
            '/' => pattern.push(char),
            char if is_plain(char) => pattern.push(char),
            // The CLI counts in units of UTF-16.
            char => pattern.extend(std::iter::repeat_n('?', char.len_utf16())),
        }
    }
    pattern
}

/// A class of all characters but these, in either case, because the CLI's patterns do not tell them apart.
fn class_without(excluded: &BTreeSet<char>) -> String {
    let is_in = |byte: &u8| {
        let char = char::from(*byte);
        !"/[\\]^".contains(char) && !excluded.iter().any(|excluded| excluded.eq_ignore_ascii_case(&char))
    };
    // `!`, `-` and a space mean themselves where they do not stand first.
    let (symbols, rest): (Vec<u8>, Vec<u8>) = (b' '..=b'~').filter(is_in).partition(|byte| *byte < b'0');
    let mut class = String::from("[");
    for runs in [rest, symbols] {
        for run in runs.chunk_by(|before, after| before + 1 == *after) {
            if let [first, .., last] = run {
                class.extend([char::from(*first), '-', char::from(*last)]);
            } else {
                class.extend(run.iter().copied().map(char::from));
            }
        }
    }
    class.push_str("\u{80}-\u{ffff}]");
    class
}

/// The arguments and the input of a start that only says whether the sandbox is in force. None of the user's hooks runs.
pub(super) fn trial(dir: &str) -> (Vec<String>, String) {
    let places = SandboxPlaces { edits: vec![dir.to_owned()], ..SandboxPlaces::default() };
    let mut settings = settings(Map::new(), &places, false);
    settings.insert("disableAllHooks".to_owned(), Value::Bool(true));
    let settings = Value::Object(settings).to_string();
    let args = [
        "-p",
        "--input-format",
        "stream-json",
        "--output-format",
        "stream-json",
        "--verbose",
        "--no-session-persistence",
        "--settings",
        &settings,
    ];
    let asked = json!({"type": "control_request", "request_id": TRIAL, "request": {"subtype": "initialize"}});
    (args.map(str::to_owned).to_vec(), format!("{asked}\n"))
}

/// What the answer to the trial says. Version 2.1.197 does not say it.
pub(super) fn in_force(output: &str) -> Option<bool> {
    let answers = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut said = answers.filter_map(|answer| answer.pointer("/response/response/sandbox_enabled")?.as_bool());
    said.next()
}
