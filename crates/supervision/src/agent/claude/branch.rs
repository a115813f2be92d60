//! What CLIs before 2.1.329 load of a session when they resume it (measured on 2.1.197).
//!
//! A CLI of these versions that is terminated appends a `last-prompt` row that names its latest message as the leaf of the
//! conversation. A resume loads the latest message of the record only if it descends from that leaf; otherwise it loads the
//! leaf and its ancestors. It leaves out a tool call without a result, so what follows the resume has an ancestor of that call as
//! its parent. If the call is the leaf, the next resume goes back to it, unless a newer row has named another leaf meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use crate::agent::Branch;
use crate::stream::Raw;
use crate::stream::message::{Block, content_blocks};

struct Row {
    parent: Option<String>,
    /// A resume leaves it out unless one of its tool calls has a result.
    calls: Vec<String>,
    is_kept: bool,
}

/// What a resume of the session with this record loads.
pub(super) fn of(record: &str) -> Branch {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    let mut results: BTreeSet<String> = BTreeSet::new();
    let (mut leaf, mut latest): (Option<String>, Option<String>) = (None, None);
    for row in record.lines().filter_map(Raw::parse) {
        let text = |name| row.member(name).and_then(Raw::text).map(std::borrow::Cow::into_owned);
        let flag = |name| row.member(name).and_then(Raw::bool).unwrap_or(false);
        let kind = text("type").unwrap_or_default();
        match (kind.as_str(), text("uuid")) {
            // A leaf that the user chose by going back is meant.
            ("last-prompt", _) => leaf = text("leafUuid").filter(|_| !flag("explicit")),
            ("user" | "assistant" | "attachment" | "system", Some(uuid)) => {
                // A compaction begins a new chain.
                if text("subtype").is_some_and(|subtype| subtype == "compact_boundary") {
                    leaf = None;
                }
                let blocks = row.member("message").and_then(|message| message.member("content")).map(content_blocks);
                let mut calls = Vec::new();
                let mut says = kind == "user";
                for block in blocks.unwrap_or_default() {
                    match block {
                        Block::ToolUse(call) => calls.push(call.id.unwrap_or_default().into_owned()),
                        Block::ToolResult(result) => {
                            results.insert(result.tool_use_id.unwrap_or_default().into_owned());
                        }
                        Block::Text(_) | Block::Other(_) => says |= kind == "assistant",
                        Block::Thinking(_) => {}
                    }
                }
                if !flag("isSidechain") {
                    latest = Some(uuid.clone());
                }
                rows.insert(uuid, Row { parent: text("parentUuid"), calls, is_kept: says });
            }
            _ => {}
        }
    }
    let Some(leaf) = leaf.filter(|leaf| rows.contains_key(leaf)) else { return Branch::Whole };
    let mut seen = BTreeSet::new();
    let mut at = latest;
    let mut is_kept = false;
    while let Some((uuid, row)) = at.as_ref().and_then(|uuid| rows.get_key_value(uuid)) {
        let is_answered = row.calls.iter().any(|call| results.contains(call));
        is_kept |= is_answered || (row.is_kept && row.calls.is_empty());
        if *uuid == leaf {
            return if is_kept { Branch::Whole } else { Branch::Stuck };
        }
        if !seen.insert(uuid) {
            break;
        }
        at = row.parent.clone();
    }
    Branch::Cut
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::agent::Branch;

    fn row(kind: &str, uuid: &str, parent: &str, content: &str) -> String {
        format!(r#"{{"type":"{kind}","uuid":"{uuid}","parentUuid":"{parent}","message":{{"content":{content}}}}}"#)
    }

    fn leaf(uuid: &str) -> String {
        format!(r#"{{"type":"last-prompt","lastPrompt":"do","leafUuid":"{uuid}"}}"#)
    }

    #[test]
    fn a_resume_goes_back_to_the_call_at_which_the_cli_was_terminated() {
        let call = r#"[{"type":"tool_use","id":"t1","name":"Bash","input":{}}]"#;
        let result = r#"[{"type":"tool_result","tool_use_id":"t1","content":"done"}]"#;
        let says = r#"[{"type":"text","text":"done"}]"#;
        let thinks = r#"[{"type":"thinking","thinking":"hm"}]"#;
        let rows = [
            ("user", row("user", "user", "", "\"one\"")),
            ("listing", row("attachment", "listing", "user", "null")),
            ("call", row("assistant", "call", "listing", call)),
            ("result", row("user", "result", "call", result)),
            ("hook", row("system", "hook", "call", "null")),
            ("thought", row("assistant", "thought", "listing", thinks)),
            // What 2.1.197 appends at a resume: the call is left out.
            ("resumed", row("user", "resumed", "listing", "\"Continue from where you left off.\"")),
            ("next", row("user", "next", "resumed", "\"two\"")),
            ("answer", row("assistant", "answer", "next", says)),
            ("helper", r#"{"type":"user","isSidechain":true,"uuid":"helper","parentUuid":null}"#.to_owned()),
            ("compacted", r#"{"type":"system","subtype":"compact_boundary","uuid":"compacted"}"#.to_owned()),
            ("back", r#"{"type":"last-prompt","leafUuid":"user","explicit":true}"#.to_owned()),
            ("half", r#"{"type":"user","uuid":"ha"#.to_owned()),
        ];
        let written = |name: &str| {
            let known = rows.iter().find(|(known, _)| *known == name).map(|(_, row)| row.clone());
            known.or_else(|| name.strip_prefix('>').map(leaf)).expect("a row")
        };
        for (record, expected) in [
            ("", Branch::Whole),
            // Killed, not terminated.
            ("user listing call", Branch::Whole),
            ("user listing call >call", Branch::Stuck),
            ("user listing call >call hook half", Branch::Stuck),
            ("user listing thought >thought", Branch::Stuck),
            ("user listing call >call result", Branch::Whole),
            ("user listing call result >result helper", Branch::Whole),
            // Resumed, and then killed or closed.
            ("user listing call >call resumed next answer", Branch::Cut),
            ("user listing call >call resumed next answer >answer", Branch::Whole),
            ("user listing call resumed next answer", Branch::Whole),
            ("user listing call >call compacted resumed", Branch::Whole),
            ("user listing resumed next back", Branch::Whole),
            ("user listing call >gone", Branch::Whole),
        ] {
            let rows: Vec<String> = record.split_whitespace().map(written).collect();
            assert_eq!(of(&rows.join("\n")), expected, "{record}");
        }
    }

    #[test]
    fn a_circle_of_parents_ends() {
        let rows = [row("user", "c", "", "\"z\""), row("user", "b", "a", "\"y\""), row("user", "a", "b", "\"x\"")];
        assert_eq!(of(&[rows.join("\n"), leaf("c")].join("\n")), Branch::Cut);
    }
}
