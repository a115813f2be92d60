use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::super::clean;
use super::super::paint::{Colour, Look, Row};

/// A longer line is shown as typed.
const LINE_LIMIT_BYTES: usize = 16 * 1024;

/// Appends a line's text to a row: emphasis, code and links are rendered, everything else is shown as typed.
pub(super) fn push(row: &mut Row, look: Look, line: &str) {
    let has_marks = line.bytes().any(|byte| matches!(byte, b'*' | b'_' | b'`' | b'[' | b'~' | b'\\' | b'&' | b'<'));
    if !has_marks || line.len() > LINE_LIMIT_BYTES {
        row.push(look, line);
        return;
    }
    // Remove control sequences before parsing, so that they cannot hide marks.
    let line = clean::lines(line).replace('\n', " ");
    match parsed(&line, look) {
        Some(parsed) => row.append(&parsed),
        None => row.push(look, &line),
    }
}

/// The rendered line; `None` when it is not a single paragraph, because text would be lost.
fn parsed(line: &str, look: Look) -> Option<Row> {
    let body = line.trim_start_matches(' ');
    let mut row = Row::of(look, line.get(..line.len() - body.len())?);
    let mut looks = vec![look];
    let mut links = Vec::new();
    let mut events = Parser::new_ext(body, Options::ENABLE_STRIKETHROUGH);
    if !matches!(events.next(), Some(Event::Start(Tag::Paragraph))) {
        return None;
    }
    let mut text = String::new();
    for event in events {
        let now = looks.last().copied().unwrap_or(look);
        match event {
            Event::Start(Tag::Strong) => looks.push(Look { bold: true, ..now }),
            Event::Start(Tag::Emphasis) => looks.push(Look { italic: true, ..now }),
            Event::Start(Tag::Strikethrough) => looks.push(Look { struck: true, ..now }),
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                text.clear();
                links.push(dest_url.to_string());
                looks.push(Look { underlined: true, ..now });
            }
            Event::End(TagEnd::Link | TagEnd::Image) => {
                looks.pop();
                let url = links.pop().unwrap_or_default();
                // A terminal does not show a link's target, so the target is printed unless it equals the text.
                if !url.is_empty() && url != text && url.strip_prefix("mailto:") != Some(text.as_str()) {
                    row.push(Look { dim: true, ..look }, &format!(" ({url})"));
                }
            }
            Event::End(TagEnd::Strong | TagEnd::Emphasis | TagEnd::Strikethrough) => {
                looks.pop();
            }
            Event::Text(part) => {
                text.push_str(&part);
                row.push(now, &part);
            }
            Event::Code(part) => {
                text.push_str(&part);
                row.push(Look { colour: Some(Colour::Cyan), ..now }, &part);
            }
            Event::Html(part) | Event::InlineHtml(part) => row.push(now, &part),
            Event::SoftBreak | Event::HardBreak => row.push(now, " "),
            Event::End(TagEnd::Paragraph) => {}
            // A second block, or an extension that is not enabled.
            Event::Start(_)
            | Event::End(_)
            | Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::FootnoteReference(_)
            | Event::Rule
            | Event::TaskListMarker(_) => return None,
        }
    }
    Some(row)
}
