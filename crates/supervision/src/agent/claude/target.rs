//! What a tool call works on, as one short line, its timeout, and the edit that it is about to make.

use crate::agent::{Edit, Hunk};
use crate::stream::Raw;
use crate::stream::message::{Block, content_blocks};

/// How many characters of a target are kept.
const TARGET_CHARS: usize = 120;
/// How many bytes of a change are kept with its place. Nothing of a bigger one is kept.
const HUNKS_BYTES: usize = 32 * 1024;

/// The target of a call: for known tools the most informative input, otherwise the first text.
pub(in crate::agent) fn target(tool: &str, input: Option<Raw<'_>>) -> String {
    let Some(input) = input else {
        return String::new();
    };
    let member = match tool {
        "Bash" | "PowerShell" => Some("command"),
        "Read" | "Write" | "Edit" | "MultiEdit" => Some("file_path"),
        "NotebookEdit" => Some("notebook_path"),
        "Grep" | "Glob" => Some("pattern"),
        "WebFetch" => Some("url"),
        "WebSearch" => Some("query"),
        "Agent" | "Task" => Some("description"),
        _ => None,
    };
    let text = member
        .and_then(|name| input.member(name))
        .and_then(Raw::text)
        .or_else(|| input.members().find_map(|(_, value)| value.text()))
        .unwrap_or_default();
    first_line(&text)
}

/// A shorter first line of an error says too little: `Exit code 1`.
const TELLING_CHARS: usize = 24;

/// The text of a tool's result.
pub(in crate::agent) fn output_of(content: Raw<'_>) -> String {
    texts_of(content).join("\n")
}

fn texts_of(content: Raw<'_>) -> Vec<String> {
    content_blocks(content)
        .into_iter()
        .filter_map(|block| match block {
            Block::Text(text) => Some(text.into_owned()),
            Block::Thinking(_) | Block::ToolUse(_) | Block::ToolResult(_) | Block::Other(_) => None,
        })
        .collect()
}

/// The beginning of a failed tool's result, on one line.
pub(in crate::agent) fn error_of(content: Raw<'_>) -> String {
    let unmarked = |text: String| text.replace("<tool_use_error>", "").replace("</tool_use_error>", "");
    let said: Vec<String> = texts_of(content).into_iter().map(unmarked).collect();
    let mut lines = said.iter().flat_map(|text| text.lines()).map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    match lines.next().filter(|_| first.chars().count() < TELLING_CHARS) {
        Some(second) => first_line(&format!("{first}: {second}")),
        None => first_line(first),
    }
}

/// The first line, truncated, without control characters that a terminal would execute.
pub(in crate::agent) fn first_line(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    let plain = |char: char| if char.is_control() { ' ' } else { char };
    let mut chars = line.chars().map(plain);
    let mut target: String = chars.by_ref().take(TARGET_CHARS).collect();
    if chars.next().is_some() {
        target.push('…');
    }
    target
}

/// Longer timeouts are capped, because they would keep a hung process from being noticed.
const LONGEST_TIMEOUT_MS: u64 = 24 * 3_600_000;

/// The timeout that the call declares, milliseconds.
pub(in crate::agent) fn timeout_ms(tool: &str, input: Option<Raw<'_>>) -> Option<u64> {
    match tool {
        "Bash" | "PowerShell" => {
            let declared_ms: u64 = input?.member("timeout")?.read()?;
            Some(declared_ms.min(LONGEST_TIMEOUT_MS))
        }
        _ => None,
    }
}

/// The longest time limit of a background command on 2.1.329 (its tool's own text).
const LONGEST_BACKGROUND_MS: u64 = 7_200_000;

/// The timeout that a background call declares, milliseconds.
pub(super) fn background_ms(tool: &str, input: Option<Raw<'_>>) -> Option<u64> {
    let in_background: Option<bool> = input?.member("run_in_background")?.read();
    timeout_ms(tool, input).filter(|_| in_background == Some(true)).map(|ms| ms.min(LONGEST_BACKGROUND_MS))
}

/// Tools that write no file: they read, search, plan, or start sub-agents, whose own calls are reported one by one.
pub(super) const READING_TOOLS: &[&str] = &[
    "Read",
    "Glob",
    "Grep",
    "LS",
    "NotebookRead",
    "WebFetch",
    "WebSearch",
    "TodoWrite",
    "TaskCreate",
    "TaskGet",
    "TaskList",
    "TaskUpdate",
    "TaskOutput",
    "BashOutput",
    "KillShell",
    "TaskStop",
    "ToolSearch",
    "Agent",
    "Task",
    "ListMcpResourcesTool",
    "ReadMcpResourceTool",
];

/// Whether a tool with this name can write a file. Unknown tools can: a user's MCP server may do anything.
pub(in crate::agent) fn can_write(tool: &str) -> bool {
    !READING_TOOLS.contains(&tool)
}

/// The change that the call is about to make to a file. `MultiEdit` is shown as its replaced parts, one after the
/// other.
pub(in crate::agent) fn edit(tool: &str, input: Option<Raw<'_>>) -> Option<Edit> {
    let input = input?;
    let text = |name: &str| input.member(name).and_then(Raw::text).map(|text| text.into_owned());
    let (old, new) = match tool {
        "Edit" => (text("old_string")?, text("new_string")?),
        "Write" => (String::new(), text("content")?),
        "MultiEdit" => {
            let mut old = Vec::new();
            let mut new = Vec::new();
            for part in input.member("edits")?.items() {
                old.push(part.member("old_string")?.text()?.into_owned());
                new.push(part.member("new_string")?.text()?.into_owned());
            }
            (old.join("\n"), new.join("\n"))
        }
        "NotebookEdit" => {
            let cell = text("cell_id").unwrap_or_else(|| "first".to_owned());
            let mode = text("edit_mode").unwrap_or_else(|| "replace".to_owned());
            // The call does not contain the cell's old text; the cell id distinguishes one call from another.
            let path = format!("{} (cell {cell}, {mode})", text("notebook_path")?);
            return Some(Edit { path, old: String::new(), new: text("new_source").unwrap_or_default() });
        }
        _ => return None,
    };
    Some(Edit { path: text("file_path")?, old, new })
}

/// What a call has changed in its file, according to its result. Empty if the result does not say so, contradicts itself or is
/// too long.
pub(in crate::agent) fn hunks(result: Option<Raw<'_>>) -> Vec<Hunk> {
    let patch = result.and_then(|result| result.member("structuredPatch"));
    let mut left = HUNKS_BYTES;
    let hunks: Option<Vec<Hunk>> =
        patch.into_iter().flat_map(Raw::items).map(|hunk| read_hunk(hunk, &mut left)).collect();
    hunks.unwrap_or_default()
}

fn read_hunk(hunk: Raw<'_>, left: &mut usize) -> Option<Hunk> {
    let number = |name| hunk.member(name).and_then(Raw::i64).and_then(|number| u64::try_from(number).ok());
    let mut lines = Vec::new();
    for line in hunk.member("lines")?.items() {
        let line = line.text()?;
        *left = left.checked_sub(line.len() + 1)?;
        lines.push(line.into_owned());
    }
    // With a wrong count, the lines after it would get wrong numbers.
    let count = |sign| lines.iter().filter(|line| line.starts_with([' ', sign])).count() as u64;
    let fits = number("oldLines")? == count('-') && number("newLines")? == count('+');
    fits.then_some(Hunk { old_start: number("oldStart")?, new_start: number("newStart")?, lines })
}

#[cfg(test)]
mod tests {
    use super::error_of;
    use crate::stream::Raw;

    #[test]
    fn the_first_words_of_an_error_are_kept_and_an_exit_code_alone_says_too_little() {
        for (content, said) in [
            (r#""Exit code 1\nls: no such file\nmore""#, "Exit code 1: ls: no such file"),
            (
                r#""<tool_use_error>File has not been read yet. Read it first.</tool_use_error>""#,
                "File has not been read yet. Read it first.",
            ),
            (
                r#"[{"type":"text","text":"\n\nString to replace not found in file.\nString: x"}]"#,
                "String to replace not found in file.",
            ),
            (r#""Exit code 2""#, "Exit code 2"),
            (r#"[{"type":"image"}]"#, ""),
        ] {
            let raw = Raw::parse(content).expect("JSON");
            assert_eq!(error_of(raw), said);
        }
    }
}
