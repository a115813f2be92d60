//! The points of a critic's answer: the items of its lists, or else its paragraphs.

use pulldown_cmark::{Event, Parser, Tag, TagEnd};
use serde::Serialize;

use super::text::{Text, Washer};

/// How many points are shown.
const POINTS: usize = 60;
/// How many characters of a point are shown.
const POINT_CHARS: usize = 1_000;
/// How many characters of an answer are read.
const ANSWER_BYTES: usize = 64 * 1024;
/// What is longer is no name of a point.
const NAME_CHARS: usize = 120;

/// One point of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Point {
    /// What it is about.
    pub what: Text,
    /// What shows it, or what is missing; empty if the answer does not tell the two apart.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub shown_by: Text,
}

/// The points of this answer.
#[must_use]
pub(super) fn points(answer: &str, washer: &Washer) -> Vec<Point> {
    let answer = answer.get(..answer.floor_char_boundary(ANSWER_BYTES)).unwrap_or(answer);
    let (mut items, mut paragraphs) = (Vec::new(), Vec::new());
    let (mut depth, mut text) = (0_u32, String::new());
    for event in Parser::new(answer) {
        match event {
            Event::Start(Tag::Item) => {
                if depth == 0 {
                    keep(&mut paragraphs, &mut text);
                }
                depth += 1;
                text.push(' ');
            }
            Event::End(TagEnd::Item) => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    keep(&mut items, &mut text);
                }
            }
            Event::End(TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::CodeBlock) if depth == 0 => {
                keep(&mut paragraphs, &mut text);
            }
            Event::Text(part) | Event::Html(part) | Event::InlineHtml(part) => text.push_str(&part),
            Event::Code(part) => {
                text.push('`');
                text.push_str(&part);
                text.push('`');
            }
            Event::SoftBreak | Event::HardBreak => text.push(' '),
            Event::Start(_)
            | Event::End(_)
            | Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::FootnoteReference(_)
            | Event::Rule
            | Event::TaskListMarker(_) => {}
        }
    }
    keep(&mut paragraphs, &mut text);
    let told = if items.is_empty() { paragraphs } else { items };
    told.iter().take(POINTS).map(|told| point(told, washer)).collect()
}

fn keep(all: &mut Vec<String>, text: &mut String) {
    let text = std::mem::take(text);
    if !text.trim().is_empty() {
        all.push(text.trim().to_owned());
    }
}

/// `NAME: what shows it`, and the same with a dash.
fn point(told: &str, washer: &Washer) -> Point {
    let parts = [": ", " — ", " – ", " -- "].iter().filter_map(|mark| told.split_once(mark));
    let first = parts.min_by_key(|(name, _)| name.len());
    match first.filter(|(name, rest)| name.chars().count() <= NAME_CHARS && !rest.trim().is_empty()) {
        Some((name, rest)) => Point { what: washer.line(name, POINT_CHARS), shown_by: washer.line(rest, POINT_CHARS) },
        None => Point { what: washer.line(told, POINT_CHARS), shown_by: Text::default() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(answer: &str) -> Vec<(String, String)> {
        let points = points(answer, &Washer::default());
        points.iter().map(|point| (point.what.to_string(), point.shown_by.to_string())).collect()
    }

    #[test]
    fn the_items_of_a_list_are_the_points() {
        let answer = "I looked at it.\n\n- **hello.txt exists**: `cat hello.txt` prints it\n  with a line end\n- tests pass — `cargo test`, 12 passed\n- nothing else changed\n  - really\n\nOne more: x";
        assert_eq!(
            told(answer),
            [
                ("hello.txt exists".to_owned(), "`cat hello.txt` prints it with a line end".to_owned()),
                ("tests pass".to_owned(), "`cargo test`, 12 passed".to_owned()),
                ("nothing else changed really".to_owned(), String::new()),
            ]
        );
    }

    #[test]
    fn without_a_list_the_paragraphs_are_the_points() {
        assert_eq!(
            told("Words are counted.\n\nBoth are tested."),
            [("Words are counted.".to_owned(), String::new()), ("Both are tested.".to_owned(), String::new())]
        );
        assert_eq!(told("<script>x</script>"), [("<script>x</script>".to_owned(), String::new())]);
        assert!(told("").is_empty());
    }
}
