//! What a run was asked, and what came of it, as Markdown: for a pull request, or a report.
//!
//! Pure. The text is read in a browser, by others than the user: what the user or a program wrote stands in code blocks, where it
//! mentions nobody, closes no issue, and is no markup.

use super::clean;
use super::format::{count, money};

/// How many characters of the task are shown, and of its title.
const TASK_CHARS: usize = 4_000;
const TITLE_CHARS: usize = 100;
/// How many characters of a reason, a command or a path are shown.
const LINE_CHARS: usize = 400;
/// How many files and checks are listed.
const FILES_SHOWN: usize = 50;
const CHECKS_SHOWN: usize = 20;

/// What is told of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunInShort {
    /// What was asked.
    pub task: String,
    /// The outcome in words, or how the run stands.
    pub outcome: String,
    /// The reason for the outcome; empty while there is none.
    pub reason: String,
    /// How many stops were judged.
    pub iterations: u32,
    /// The last result of each check: its command, and whether it passed.
    pub checks: Vec<(String, bool)>,
    /// The cost; `None` while unknown.
    pub cost_usd: Option<f64>,
    /// What has changed; `None` if it is not known.
    pub changes: Option<Changes>,
}

/// What has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The files, each with the lines that were added and removed; `None` for a binary file.
    pub files: Vec<(String, Option<(u64, u64)>)>,
    /// Lines added in all.
    pub added: u64,
    /// Lines removed in all.
    pub removed: u64,
}

/// A title for the work: the first line of the task.
#[must_use]
pub fn title(task: &str) -> String {
    let first = task.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("The work of an agent");
    clean::one_line(first, TITLE_CHARS)
}

/// The summary, in Markdown.
#[must_use]
pub fn markdown(run: &RunInShort) -> String {
    let mut text = format!("**{}**", clean::one_line(&run.outcome, LINE_CHARS));
    if !run.reason.is_empty() {
        text.push_str(&format!(": {}", code(&run.reason)));
    }
    text.push_str(&format!(" · {}", count(run.iterations as usize, "iteration")));
    if run.cost_usd.is_some() {
        text.push_str(&format!(" · {}", money(run.cost_usd)));
    }
    text.push_str("\n\n### Task\n\n");
    text.push_str(&block(&shortened(run.task.trim())));
    if !run.checks.is_empty() {
        text.push_str("\n### Checks\n\n");
        for (command, passed) in run.checks.iter().take(CHECKS_SHOWN) {
            text.push_str(&format!("- {}: {}\n", code(command), if *passed { "passed" } else { "failed" }));
        }
        text.push_str(&more(run.checks.len(), CHECKS_SHOWN, "- "));
    }
    if let Some(changes) = &run.changes {
        text.push_str("\n### Changes\n\n");
        text.push_str(&changed(changes));
    }
    text
}

fn changed(changes: &Changes) -> String {
    if changes.files.is_empty() {
        return "Nothing has changed.\n".to_owned();
    }
    let Changes { files, added, removed } = changes;
    let mut lines = String::new();
    for (path, count) in files.iter().take(FILES_SHOWN) {
        let count = count.map_or_else(|| "binary".to_owned(), |(added, removed)| format!("+{added} -{removed}"));
        lines.push_str(&format!("{count:<12} {}\n", clean::one_line(path, LINE_CHARS)));
    }
    lines.push_str(&more(files.len(), FILES_SHOWN, ""));
    let (all, added) = (count(files.len(), "file"), count(usize::try_from(*added).unwrap_or(usize::MAX), "line"));
    format!("{all}, {added} added, {removed} removed\n\n{}", block(lines.trim_end()))
}

fn more(all: usize, shown: usize, lead: &str) -> String {
    match all.saturating_sub(shown) {
        0 => String::new(),
        left => format!("{lead}and {left} more\n"),
    }
}

/// The beginning of a task.
fn shortened(task: &str) -> String {
    match task.char_indices().nth(TASK_CHARS) {
        Some((at, _)) => format!("{}…", &task[..at]),
        None => task.to_owned(),
    }
}

/// A line as code.
fn code(text: &str) -> String {
    let text = clean::one_line(text, LINE_CHARS);
    let fence = "`".repeat(longest_ticks(&text) + 1);
    // A backtick at a border would belong to the fence.
    let gap = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{gap}{text}{gap}{fence}")
}

/// Lines as a block of code, with a fence that does not occur in them.
fn block(text: &str) -> String {
    let text = clean::lines(text);
    let fence = "`".repeat((longest_ticks(&text) + 1).max(3));
    format!("{fence}text\n{text}\n{fence}\n")
}

fn longest_ticks(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_told_with_its_task_its_checks_and_its_changes() {
        let run = RunInShort {
            task: "\n  Fix the login\n\nMore of it.".to_owned(),
            outcome: "completed".to_owned(),
            reason: "the critic agrees that the task is done".to_owned(),
            iterations: 2,
            checks: vec![("cargo test".to_owned(), true), ("make `it`".to_owned(), false)],
            cost_usd: Some(1.239),
            changes: Some(Changes {
                files: vec![("src/a.rs".to_owned(), Some((10, 2))), ("logo.png".to_owned(), None)],
                added: 10,
                removed: 2,
            }),
        };
        assert_eq!(title(&run.task), "Fix the login");
        insta::assert_snapshot!(markdown(&run));
    }

    #[test]
    fn nothing_that_was_written_elsewhere_is_markup() {
        let hostile = "Do it.\n```\n@everyone fixes #1\n\x1b[2J";
        let run = RunInShort { task: hostile.to_owned(), reason: "`a`".to_owned(), ..RunInShort::default() };
        let text = markdown(&run);
        assert!(text.contains("````text\nDo it.\n```\n@everyone fixes #1\n") && text.contains("\n````\n"), "{text}");
        assert!(text.contains("`` `a` ``") && !text.contains('\x1b'), "{text}");
        assert_eq!(title(""), "The work of an agent");
    }

    #[test]
    fn a_long_task_and_many_files_are_cut() {
        let files = (0..200).map(|number| (format!("f{number}"), Some((1, 0)))).collect();
        let run = RunInShort {
            task: "word ".repeat(20_000),
            checks: vec![("true".to_owned(), true); 30],
            changes: Some(Changes { files, added: 200, removed: 0 }),
            ..RunInShort::default()
        };
        let text = markdown(&run);
        assert!(text.len() < 16_000, "{}", text.len());
        assert!(text.contains("\nand 150 more\n") && text.contains("- and 10 more\n"), "{text}");
        assert!(title(&run.task).chars().count() <= TITLE_CHARS + 1);
    }
}
