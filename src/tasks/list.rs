//! A list of tasks, in any of its forms.

use super::entry::{Bare, TaskEntry};
use super::{ListFault, json, lines};
use crate::agenda::TaskKey;

/// How many tasks a list may have.
const MOST_TASKS: usize = 1_000;
/// The mark that some editors write at the beginning of a file.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// A list of tasks.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct List {
    /// The tasks in their order, with those that are ticked.
    pub tasks: Vec<TaskEntry>,
    /// The lines, from 1, that belong to no task.
    pub outside: Vec<usize>,
}

/// Reads a list: JSON if it begins like a JSON array, else the items of its Markdown list, else its lines.
///
/// # Errors
/// When it is no text, has no task or too many, or an entry is wrong.
pub fn read_list(bytes: &[u8]) -> Result<List, ListFault> {
    let text = std::str::from_utf8(bytes).map_err(|error| ListFault::NotUtf8 { at: error.valid_up_to() })?;
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n");
    if let Some(at) = text.find('\0') {
        let before = text.get(..at).unwrap_or_default();
        return Err(ListFault::Binary { line: before.matches('\n').count() + 1 });
    }
    let (bare, outside) = if json::is_json(&text) { (json::read(&text)?, Vec::new()) } else { lines::read(&text) };
    if bare.is_empty() {
        return Err(ListFault::Empty);
    }
    if bare.len() > MOST_TASKS {
        return Err(ListFault::TooMany { found: bare.len(), limit: MOST_TASKS });
    }
    let keys = TaskKey::of_all(bare.iter().map(|task| task.text.as_str()));
    let entry = |(key, Bare { text, done, options })| TaskEntry { key, text, done, options };
    Ok(List { tasks: keys.into_iter().zip(bare).map(entry).collect(), outside })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Cost;

    fn texts(text: &str) -> Vec<String> {
        let list = read_list(text.as_bytes()).expect("a list");
        list.tasks.into_iter().map(|task| if task.done { format!("[x] {}", task.text) } else { task.text }).collect()
    }

    #[test]
    fn one_task_a_line() {
        assert_eq!(texts("Fix it\n\n# Later\nTest it\n"), ["Fix it", "Test it"]);
        assert_eq!(
            texts("Fix it\n  with care\n\n  and slowly\nTest it"),
            ["Fix it\nwith care\n\nand slowly", "Test it"]
        );
        assert_eq!(texts("\u{feff}Fix it\r\nTest it\r\n"), ["Fix it", "Test it"], "as other systems write it");
        assert_eq!(texts("[later] Fix it\n-1 is wrong\n"), ["[later] Fix it", "-1 is wrong"]);
        assert_eq!(texts("[ ] Fix it\n[x] Test it\n"), ["Fix it", "[x] Test it"]);
    }

    #[test]
    fn the_items_of_a_markdown_list() {
        let text = "# For tonight\n\nSome words.\n\n- Fix it\n  - not so\n  - but so:\n\n    ```\n    - code\n    ```\n* [ ] Test it\n- [x] Done\n- [X] Done, too\n\
                    1. First\nand lazily\n2) Second\n---\n- \n## End\nMore words.\n";
        assert_eq!(
            texts(text),
            [
                "Fix it\n- not so\n- but so:\n\n  ```\n  - code\n  ```",
                "Test it",
                "[x] Done",
                "[x] Done, too",
                "First\nand lazily",
                "Second"
            ]
        );
        assert_eq!(read_list(text.as_bytes()).expect("a list").outside, [3, 21], "words around it are no tasks");
        assert_eq!(texts("  - a\n    - b\n  - c\n"), ["a\n- b", "c"], "the list may be indented as a whole");
        assert_eq!(texts("```\n- no\n```\n- yes\n"), ["yes"]);
    }

    #[test]
    fn json_with_options_for_each_task() {
        let text = r#"["Fix it", {"task": "Test it\nwell", "name": "tests", "cwd": "sub", "model": "m", "critic_model": "c",
            "checks": ["make"], "max_iterations": 3, "max_duration": "1h", "max_cost_usd": 2.5, "max_tokens": 9,
            "agent_args": ["--x"]}]"#;
        let list = read_list(text.as_bytes()).expect("a list");
        assert_eq!(list.tasks.iter().map(TaskEntry::title).collect::<Vec<_>>(), ["Fix it", "tests"]);
        let options = &list.tasks[1].options;
        assert_eq!((options.max_iterations, options.max_tokens), (Some(3), Some(9)));
        assert_eq!(options.max_cost_usd.map(Cost::usd), Some(2.5));
        assert_eq!(options.checks.as_deref(), Some(["make".to_owned()].as_slice()));
        assert_eq!(options.cwd.as_deref(), Some(std::path::Path::new("sub")));
    }

    #[test]
    fn what_is_no_list_says_where_and_what() {
        let many = "a\n".repeat(MOST_TASKS + 1);
        for (bytes, said) in [
            (&b""[..], "has no task"),
            (b"\n\n# only\n", "has no task"),
            (b"- \n", "has no task"),
            (b"a\n\xff\n", "not valid UTF-8 at byte 2"),
            (b"a\nb\0\n", "NUL character in line 2"),
            (many.as_bytes(), "has 1001 tasks; a list may have 1000"),
            (b"[", "is not valid JSON"),
            (b"[ ]", "has no task"),
            (b"[\"a\", 5]", "entry 2: it must be a task in quotes"),
            (b"[{\"name\": \"x\"}]", "entry 1: `task` is missing or empty"),
            (b"[{\"task\": \" \"}]", "entry 1: `task` is missing or empty"),
            (b"[\"a\", {\"task\": \"x\", \"modle\": \"y\"}]", "entry 2: unknown key `modle`; the keys are task, name"),
            (b"[{\"task\": \"x\", \"max_iterations\": 0}]", "entry 1: `max_iterations`: "),
            (b"[{\"task\": \"x\", \"max_cost_usd\": -1}]", "entry 1: `max_cost_usd`: "),
            (b"[{\"task\": \"x\", \"max_duration\": 5}]", "entry 1: `max_duration`: "),
            (b"[{\"task\": \"x\", \"checks\": \"make\"}]", "entry 1: `checks`: "),
        ] {
            let fault = read_list(bytes).expect_err(said).to_string();
            assert!(fault.contains(said), "{said}: {fault}");
        }
    }

    #[test]
    fn equal_tasks_have_keys_of_their_own_which_a_tick_does_not_change() {
        let keys = |text: &str| -> Vec<TaskKey> {
            read_list(text.as_bytes()).expect("a list").tasks.into_iter().map(|task| task.key).collect()
        };
        let before = keys("- a\n- b\n- a\n");
        assert!(before[0] != before[2], "{before:?}");
        assert_eq!(keys("- [x] a\n- b\n- [ ] a\n"), before);
    }
}
