//! The words of the interface: docs/vocabulary.md says them once, and what it has retired stands nowhere that users read.

use std::fs;
use std::path::{Path, PathBuf};

use super::sandbox::Sandbox;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).expect("a file of the repository")
}

/// The phrases of the last column.
fn retired() -> Vec<String> {
    let page = read("docs/vocabulary.md");
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.matches('|').count() == 5);
    let phrases = rows.skip(1).flat_map(|row| {
        let cell = row.rsplit('|').nth(1).expect("a column");
        cell.split(',').map(|phrase| phrase.trim().to_owned()).collect::<Vec<_>>()
    });
    let phrases: Vec<String> = phrases.filter(|phrase| !phrase.is_empty()).collect();
    assert!(phrases.len() >= 10 && phrases.contains(&"same care".to_owned()), "{phrases:?}");
    phrases
}

fn files_below(dir: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files_below(&path, ending, found);
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
}

/// Help of all commands, snapshots of what is shown, the texts in the code of the rooms that speak, and the users' pages.
fn texts() -> Vec<(String, String)> {
    let sandbox = Sandbox::new();
    let help = sandbox.run(&["--help"]);
    let (_, list) = help.split_once("Commands:").expect("a list of commands");
    let (list, _) = list.split_once("Arguments:").expect("its end");
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let mut texts: Vec<(String, String)> = names
        .filter_map(|line| line.split_whitespace().next())
        .map(|name| (format!("ccc help {name}"), sandbox.run(&["help", name])))
        .collect();
    assert!(texts.len() > 12, "every command is asked for its help");
    texts.push(("ccc --help".to_owned(), help));
    texts.push(("ccc help tokens check".to_owned(), sandbox.run(&["help", "tokens", "check"])));
    let mut files = Vec::new();
    files_below(&root().join("tests/it"), ".snap", &mut files);
    for room in ["src/cli", "src/ui", "src/config", "src/tokens", "src/driver", "src/journal", "src/guard"] {
        files_below(&root().join(room), ".rs", &mut files);
    }
    files.extend(
        ["README.md", "docs/runs.md", "docs/configuration.md", "docs/trust.md", "docs/replay-in-ci.md"]
            .map(|name| root().join(name)),
    );
    texts.extend(files.into_iter().map(|path| {
        let text = fs::read_to_string(&path).expect("a text");
        let is_code = path.extension().is_some_and(|end| end == "rs");
        let shown = |line: &&str| !is_code || (line.contains('"') && !line.trim_start().starts_with("//"));
        (path.display().to_string(), text.lines().filter(shown).collect::<Vec<_>>().join("\n"))
    }));
    texts
}

#[test]
fn what_the_vocabulary_has_retired_stands_in_no_text_for_users() {
    let retired = retired();
    let mut found = Vec::new();
    for (name, text) in texts() {
        let folded = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        let said = retired.iter().filter(|phrase| folded.contains(&phrase.to_lowercase()));
        found.extend(said.map(|phrase| format!("{name}: {phrase}")));
    }
    assert_eq!(found, Vec::<String>::new(), "the word to use stands in docs/vocabulary.md");
}

#[test]
fn pages_that_list_the_exit_codes_have_those_of_the_table() {
    for (name, beginning) in [("README.md", "with an exit code for scripts: "), ("docs/design.md", "Exit codes: ")] {
        let page = read(name);
        let (_, list) = page.split_once(beginning).expect("a list of exit codes");
        let list = list.lines().next().expect("a line").split_inclusive("130 interrupted").next().expect("its end");
        let told: Vec<(u8, String)> = list
            .split([',', '·'])
            .filter_map(|item| item.trim().split_once(' '))
            .filter_map(|(code, words)| Some((code.parse().ok()?, words.split(" (").next()?.to_owned())))
            .collect();
        let codes = ccc::cli::ExitCode::all().into_iter().map(|(code, words, _)| (code, words.to_owned()));
        assert_eq!(told, codes.collect::<Vec<_>>(), "{name}");
    }
}
