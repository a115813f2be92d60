//! Patterns of paths, such as `tests/**`.
//!
//! | part | stands for |
//! |---|---|
//! | `*`, `?` | any characters, one character, without `/` |
//! | `**` between slashes, at the beginning or the end | any directories, also none |
//! | `[a-z]`, `[!a-z]` | one character of these, or of all others but `/` |
//! | `{a,b}` | one of these, which may hold patterns |
//! | `\x` | the character `x` |
//!
//! A pattern that stands for a directory stands for all files in it. Paths are those that git writes, seen from the directory that
//! the patterns belong to; letters count as they are written.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// How many characters a pattern may have.
const LONGEST: usize = 1_000;
/// How many patterns its braces may stand for.
const MOST_ALTERNATIVES: usize = 256;

/// A pattern of paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Glob {
    text: String,
    /// One for each choice from the braces.
    alternatives: Vec<Vec<Segment>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// `**`.
    AnyDepth,
    Name(Vec<Part>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(char),
    AnyOne,
    Any,
    Of { ranges: Vec<(char, char)>, not: bool },
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pattern `{pattern}` is invalid: {why}")]
pub struct GlobFault {
    pattern: String,
    why: &'static str,
}

impl Glob {
    /// Whether the pattern stands for this path, or for a directory that it lies in.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        self.alternatives.iter().any(|segments| (1..=names.len()).any(|end| matches(segments, &names[..end])))
    }
}

fn matches(segments: &[Segment], names: &[&str]) -> bool {
    // The states that are reached after each name, so that many `**` cost no more than one.
    let mut reached = vec![false; segments.len() + 1];
    reached[0] = true;
    pass_any_depth(segments, &mut reached);
    for name in names {
        let mut next = vec![false; segments.len() + 1];
        for (at, segment) in segments.iter().enumerate().filter(|(at, _)| reached[*at]) {
            match segment {
                Segment::AnyDepth => next[at] = true,
                Segment::Name(parts) => next[at + 1] |= is_named(parts, name),
            }
        }
        pass_any_depth(segments, &mut next);
        reached = next;
    }
    reached[segments.len()]
}

fn pass_any_depth(segments: &[Segment], reached: &mut [bool]) {
    for (at, segment) in segments.iter().enumerate() {
        if reached[at] && *segment == Segment::AnyDepth {
            reached[at + 1] = true;
        }
    }
}

fn is_named(parts: &[Part], name: &str) -> bool {
    let mut reached = vec![false; parts.len() + 1];
    reached[0] = true;
    let pass = |reached: &mut Vec<bool>| {
        for (at, part) in parts.iter().enumerate() {
            if reached[at] && *part == Part::Any {
                reached[at + 1] = true;
            }
        }
    };
    pass(&mut reached);
    for c in name.chars() {
        let mut next = vec![false; parts.len() + 1];
        for (at, part) in parts.iter().enumerate().filter(|(at, _)| reached[*at]) {
            match part {
                Part::Any => next[at] = true,
                Part::AnyOne => next[at + 1] = true,
                Part::Literal(literal) => next[at + 1] |= *literal == c,
                Part::Of { ranges, not } => {
                    next[at + 1] |= ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *not;
                }
            }
        }
        pass(&mut next);
        reached = next;
    }
    reached[parts.len()]
}

impl FromStr for Glob {
    type Err = GlobFault;

    fn from_str(text: &str) -> Result<Self, GlobFault> {
        let fault = |why| GlobFault { pattern: text.chars().take(80).collect(), why };
        if text.chars().count() > LONGEST {
            return Err(fault("it is too long"));
        }
        let pattern = text.strip_prefix("./").unwrap_or(text);
        if pattern.trim().is_empty() {
            return Err(fault("it is empty"));
        }
        if pattern.starts_with('!') {
            return Err(fault(
                "it begins with `!`, and what another pattern names cannot be taken out; write \\! for a name",
            ));
        }
        let characters: Vec<char> = pattern.chars().collect();
        let alternatives = braces(&characters).map_err(fault)?;
        let alternatives =
            alternatives.iter().map(|pattern| segments(pattern)).collect::<Result<_, _>>().map_err(fault)?;
        Ok(Self { text: text.to_owned(), alternatives })
    }
}

/// The patterns without braces that a pattern stands for.
fn braces(pattern: &[char]) -> Result<Vec<Vec<char>>, &'static str> {
    let Some(open) = unescaped(pattern, |c| c == '{') else {
        let closes = unescaped(pattern, |c| c == '}').is_some();
        return if closes { Err("`}` closes no `{`; write \\} for a name") } else { Ok(vec![pattern.to_vec()]) };
    };
    let (mut depth, mut cuts, mut at) = (0_usize, vec![open], open);
    let close = loop {
        let Some(c) = pattern.get(at) else { return Err("`{` is not closed; write \\{ for a name") };
        match c {
            '\\' => at += 1,
            '{' => depth += 1,
            '}' if depth == 1 => break at,
            '}' => depth -= 1,
            ',' if depth == 1 => cuts.push(at),
            _ => {}
        }
        at += 1;
    };
    cuts.push(close);
    let mut all = Vec::new();
    for cut in cuts.windows(2) {
        let choice = [&pattern[..open], &pattern[cut[0] + 1..cut[1]], &pattern[close + 1..]].concat();
        all.extend(braces(&choice)?);
        if all.len() > MOST_ALTERNATIVES {
            return Err("its braces stand for too many patterns");
        }
    }
    Ok(all)
}

fn unescaped(pattern: &[char], wanted: impl Fn(char) -> bool) -> Option<usize> {
    let mut at = 0;
    while let Some(c) = pattern.get(at) {
        if wanted(*c) {
            return Some(at);
        }
        at += if *c == '\\' { 2 } else { 1 };
    }
    None
}

fn segments(pattern: &[char]) -> Result<Vec<Segment>, &'static str> {
    if pattern.first() == Some(&'/') {
        return Err("it begins with `/`; paths are seen from the directory of the run");
    }
    let mut found = Vec::new();
    for name in pattern.split(|c| *c == '/').filter(|name| !name.is_empty() && *name != ['.']) {
        match name {
            ['*', '*'] => found.push(Segment::AnyDepth),
            ['.', '.'] => return Err("it leads out of the directory of the run"),
            name => found.push(Segment::Name(parts(name)?)),
        }
    }
    // What is in a directory stands for it: `tests/**` is all files in `tests`, and not a file of that name.
    if found.last() == Some(&Segment::AnyDepth) {
        found.push(Segment::Name(vec![Part::Any]));
    }
    if found.is_empty() { Err("it is empty") } else { Ok(found) }
}

fn parts(name: &[char]) -> Result<Vec<Part>, &'static str> {
    let mut parts = Vec::new();
    let mut rest = name.iter().copied().peekable();
    while let Some(c) = rest.next() {
        parts.push(match c {
            '?' => Part::AnyOne,
            '*' => {
                while rest.next_if_eq(&'*').is_some() {}
                Part::Any
            }
            '\\' => Part::Literal(rest.next().ok_or("it ends with `\\`")?),
            '[' => {
                let not = rest.next_if(|c| matches!(c, '!' | '^')).is_some();
                let mut ranges = Vec::new();
                loop {
                    let unclosed = "`[` is not closed; write \\[ for a name";
                    let from = match rest.next().ok_or(unclosed)? {
                        ']' if !ranges.is_empty() => break,
                        '\\' => rest.next().ok_or(unclosed)?,
                        c => c,
                    };
                    let mut to = from;
                    if rest.peek() == Some(&'-') {
                        rest.next();
                        match rest.peek() {
                            Some(']') => ranges.push(('-', '-')),
                            Some(_) => to = rest.next().ok_or(unclosed)?,
                            None => return Err(unclosed),
                        }
                    }
                    if to < from {
                        return Err("a range of characters ends before it begins");
                    }
                    ranges.push((from, to));
                }
                Part::Of { ranges, not }
            }
            c => Part::Literal(c),
        });
    }
    Ok(parts)
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Glob {
    type Error = GlobFault;

    fn try_from(text: String) -> Result<Self, GlobFault> {
        text.parse()
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> String {
        glob.text
    }
}

impl JsonSchema for Glob {
    fn schema_name() -> Cow<'static, str> {
        "Glob".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 1})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_stands_for_the_paths_that_it_says() {
        for (pattern, yes, no) in [
            ("tests/**", vec!["tests/a.rs", "tests/a/b.rs"], vec!["tests", "src/tests/a.rs", "tests.rs", "testsx/a"]),
            ("tests", vec!["tests", "tests/a/b.rs"], vec!["a/tests", "tests.rs"]),
            ("./tests/", vec!["tests/a.rs"], vec!["a/tests/b"]),
            ("**/tests/**", vec!["tests/a", "a/b/tests/c/d"], vec!["a/tests.rs"]),
            ("**/*_test.go", vec!["a_test.go", "b/c/a_test.go"], vec!["a_test.go.bak", "test.go"]),
            ("tests/*.rs", vec!["tests/a.rs"], vec!["tests/a/b.rs", "tests/a.py"]),
            ("a/**/b", vec!["a/b", "a/x/y/b", "a/b/c"], vec!["a/bc"]),
            ("src/{a,b{1,2}}.rs", vec!["src/a.rs", "src/b1.rs", "src/b2.rs"], vec!["src/b.rs"]),
            ("[a-c]?[!x]", vec!["azz", "bzz"], vec!["dzz", "azx", "az"]),
            ("[]-]", vec!["]", "-"], vec!["a"]),
            ("a\\*b", vec!["a*b"], vec!["axb"]),
            ("**", vec!["a", "a/b"], vec![]),
            ("*.test.*", vec!["a.test.ts", ".test."], vec!["a/b.test.ts"]),
            ("tést/ü*", vec!["tést/übung"], vec!["test/ubung"]),
        ] {
            let glob: Glob = pattern.parse().expect(pattern);
            for path in yes {
                assert!(glob.matches(path), "{pattern}: {path}");
            }
            for path in no {
                assert!(!glob.matches(path), "{pattern}: {path}");
            }
        }
    }

    #[test]
    fn a_wrong_pattern_is_named_with_what_is_wrong() {
        for (pattern, why) in [
            ("", "it is empty"),
            (" ", "it is empty"),
            ("!a", "begins with `!`"),
            ("/etc/*", "begins with `/`"),
            ("{/etc,a}", "begins with `/`"),
            ("a/../../b", "leads out"),
            ("a[b", "`[` is not closed"),
            ("a[b-", "`[` is not closed"),
            ("[z-a]", "ends before it begins"),
            ("{a,b", "`{` is not closed"),
            ("a}", "closes no"),
            ("a\\", "ends with"),
            ("{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}", "too many"),
        ] {
            let fault = pattern.parse::<Glob>().expect_err(pattern).to_string();
            assert!(fault.contains(why), "{pattern}: {fault}");
        }
        assert!("a".repeat(LONGEST + 1).parse::<Glob>().is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_and_no_path_break_it(pattern in "[a\\*\\?\\[\\]\\{\\},/!\\\\.-]{0,40}", path in "[ab/.*]{0,40}") {
            if let Ok(glob) = pattern.parse::<Glob>() {
                let _ = glob.matches(&path);
                assert_eq!(serde_json::to_value(&glob).unwrap(), pattern);
            }
        }

        #[test]
        fn a_path_without_marks_stands_for_itself(path in "[a-z]{1,5}(/[a-z]{1,5}){0,3}") {
            let glob: Glob = path.parse().unwrap();
            assert!(glob.matches(&path));
        }
    }
}
