//! The user's messages in a session that existed before the run, read from the CLI's transcript, which has one JSON
//! row per line (facts §2, §4; the formats of both versions were checked). Only rows that are clearly from the user
//! are used. Unknown rows are skipped, because the fork sees the whole conversation anyway.

use crate::stream::Raw;
use crate::stream::message::{Block, content_blocks};

/// Prefixes of turns that the CLI generates but records as a user's: output of slash commands, interruptions, task
/// notices.
const NOT_THE_USERS: [&str; 6] = [
    "<command-name>",
    "<command-message>",
    "<local-command-",
    "<task-notification>",
    "[Request interrupted by user",
    "Continue from where you left off.",
];

/// The user's turns in a transcript, in order.
pub(super) fn user_turns(transcript: &str) -> Vec<String> {
    transcript.lines().filter_map(user_turn).collect()
}

/// Whether the transcript contains the user turn with this uuid.
pub(super) fn has_turn(transcript: &str, uuid: &str) -> bool {
    transcript.lines().filter(|row| row.contains(uuid)).any(|row| {
        let Some(row) = Raw::parse(row) else { return false };
        let is = |name, wanted: &str| row.member(name).and_then(Raw::text).is_some_and(|text| text == wanted);
        is("type", "user") && is("uuid", uuid)
    })
}

fn user_turn(row: &str) -> Option<String> {
    let row = Raw::parse(row)?;
    let flag = |name| row.member(name).and_then(Raw::bool).unwrap_or(false);
    if row.member("type")?.text()? != "user" || flag("isSidechain") || flag("isMeta") || flag("isSynthetic") {
        return None;
    }
    let content = row.member("message")?.member("content")?;
    let mut parts = Vec::new();
    for block in content_blocks(content) {
        match block {
            Block::Text(text) => parts.push(text.into_owned()),
            // A tool result is not text of the user.
            Block::ToolResult(_) => return None,
            Block::Thinking(_) | Block::ToolUse(_) | Block::Other(_) => {}
        }
    }
    let text = parts.join("\n");
    let said = text.trim();
    let theirs = !said.is_empty() && !NOT_THE_USERS.iter().any(|mark| said.starts_with(mark));
    theirs.then(|| said.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{has_turn, user_turns};

    #[test]
    fn the_users_words_are_taken_and_nothing_else() {
        let transcript = [
            r#"{"type":"user","isSidechain":false,"message":{"role":"user","content":"write a parser"},"uuid":"a"}"#,
            r#"{"type":"assistant","message":{"role":"assistant","content":[{"type":"text","text":"I do."}]}}"#,
            r#"{"type":"user","message":{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"out"}]}}"#,
            r#"{"type":"user","message":{"role":"user","content":[{"type":"text","text":"and tests"},{"type":"image","source":{}}]}}"#,
            r#"{"type":"user","isMeta":true,"message":{"role":"user","content":"caveat"}}"#,
            r#"{"type":"user","isSidechain":true,"message":{"role":"user","content":"a sub-agent's prompt"}}"#,
            r#"{"type":"user","message":{"role":"user","content":"<command-name>/usage</command-name>"}}"#,
            r#"{"type":"user","message":{"role":"user","content":"[Request interrupted by user]"}}"#,
            r#"{"type":"queue-operation","operation":"enqueue"}"#,
            "not JSON",
            r#"{"type":"user"}"#,
            "",
        ]
        .join("\n");
        assert_eq!(user_turns(&transcript), ["write a parser", "and tests"]);
    }

    #[test]
    fn a_turn_stands_there_only_as_a_users_own_row() {
        let transcript = concat!(
            r#"{"type":"queue-operation","operation":"enqueue","content":"aaa-1"}"#,
            "\n",
            r#"{"type":"assistant","parentUuid":"aaa-1","uuid":"bbb-2"}"#,
            "\n",
            r#"{"type":"user","uuid":"ccc-3","message":{"role":"user","content":"aaa-1"}}"#,
            "\n",
            r#"{"type":"user","uuid":"ddd-4","mess"#,
        );
        assert!(has_turn(transcript, "ccc-3"));
        assert!(!has_turn(transcript, "aaa-1"), "queued, quoted and referred to, but not said");
        assert!(!has_turn(transcript, "ddd-4"), "half a row is none");
    }
}
