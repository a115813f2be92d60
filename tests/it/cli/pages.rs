//! The pages of the documentation that are made of the code, and what their tables must not lack.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::doc_pages::{self as pages, VARIABLES};

/// Files in which names of variables stand that ccc does not read: the reason is beside each.
const NOT_READ_THERE: &[(&str, &str)] = &[
    ("tokens/project_settings.rs", "what a project's settings may set for the agent"),
    ("git/", "given to git"),
    ("guard/withheld.rs", "given to git and gh, and what agents do not get"),
    ("publish/", "given to git and gh"),
    ("checkpoint/", "given to git"),
    ("worktree/", "given to git, and files of git"),
    ("patch/tests_touched.rs", "words of test frameworks"),
    ("journal/export/", "names of signals, and what is replaced"),
    ("recordings.rs", "of the build"),
    ("tokens/probe.rs", "words of an answer"),
    ("demo/process.rs", "of the agent that the scripted one imitates"),
];

/// Names without `_` that are variables.
const SHORT: [&str; 7] = ["HOME", "PATH", "TERM", "TZ", "USER", "LOGNAME", "PAGER"];

/// The literals of a source that look like names of variables, without those of its tests.
fn variables_in(text: &str) -> Vec<&str> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    let is_name = |word: &&str| {
        let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let inner = word.trim_matches('_').len() == word.len() && word.starts_with(|c: char| c.is_ascii_uppercase());
        inner && word.chars().all(plain) && (word.contains('_') || SHORT.contains(word))
    };
    code.split('"').skip(1).step_by(1).filter(is_name).collect()
}

#[test]
fn every_variable_that_the_code_names_is_on_the_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let page = pages::environment();
    let mut missing = BTreeSet::new();
    let mut found = 0;
    for source in crate::purity::sources() {
        let is_of_tests = source.file.ends_with("tests.rs");
        let is_elsewhere = NOT_READ_THERE.iter().any(|(place, _)| source.file.starts_with(place));
        if is_of_tests || is_elsewhere || !root.join(&source.file).is_file() {
            continue;
        }
        for name in variables_in(&source.text) {
            let is_of_the_build = name.starts_with("CARGO_") || name.starts_with("CCC_TEST_") || name == "CCC_X";
            let is_of_an_example = matches!(name, "WORK_KEY" | "S_FILE" | "NTFY_AUTH" | "SLACK_URL");
            found += 1;
            if !is_of_the_build && !is_of_an_example && !page.contains(&format!("`{name}`")) {
                missing.insert(format!("{name} ({})", source.file));
            }
        }
    }
    assert!(found > 60, "the search finds variables: {found}");
    assert!(missing.is_empty(), "add them to VARIABLES in tests/it/doc_pages.rs: {missing:#?}");
}

#[test]
fn a_variable_stands_on_the_page_once() {
    let mut seen = BTreeSet::new();
    let settings = ccc::config::KEYS.iter().filter_map(|key| key.variable);
    let others = ccc::config::env::OTHERS.iter().map(|(name, _)| *name);
    let rest = VARIABLES.iter().flat_map(|group| group.rows).map(|(name, _)| *name);
    for name in settings.chain(others).chain(rest) {
        assert!(seen.insert(name), "{name} stands there twice");
    }
}

/// `CCC_WRITE_PAGE=1` writes the pages instead of comparing them.
#[test]
fn the_pages_of_the_documentation_are_those_that_the_tables_give() {
    for (name, page) in [
        ("environment.md", pages::environment()),
        ("files.md", pages::files()),
        ("exit-codes.md", pages::exit_codes(&ccc::cli::ExitCode::all())),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
        if std::env::var_os("CCC_WRITE_PAGE").is_some() {
            fs::write(&path, &page).expect("written");
        }
        let stands = fs::read_to_string(&path).unwrap_or_default();
        assert!(stands == page, "write it anew: CCC_WRITE_PAGE=1 cargo nextest run the_pages_of_the_documentation");
    }
}
