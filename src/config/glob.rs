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

#[cfg(test)]
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use fast_glob::glob_match;
#[cfg(test)]
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// How many characters a pattern may have.
const LONGEST: usize = 1_000;
/// How many patterns its braces may stand for: each is compared, and a project's file is not trusted.
const MOST_ALTERNATIVES: usize = 256;

/// A pattern of paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Glob {
    text: String,
    /// As it is compared: without `./`, empty names and a slash at the end.
    pattern: String,
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
        (1..=names.len()).any(|end| glob_match(&self.pattern, names[..end].join("/")))
    }
}

impl FromStr for Glob {
    type Err = GlobFault;

    fn from_str(text: &str) -> Result<Self, GlobFault> {
        let fault = |why| GlobFault { pattern: text.chars().take(80).collect(), why };
        if text.chars().count() > LONGEST {
            return Err(fault("it is too long"));
        }
        let pattern = text.strip_prefix("./").unwrap_or(text);
        if pattern.starts_with('!') {
            return Err(fault(
                "it begins with `!`, and what another pattern names cannot be taken out; write \\! for a name",
            ));
        }
        if is_absolute(pattern) {
            return Err(fault("it begins with `/`; paths are seen from the directory of the run"));
        }
        check(pattern).map_err(fault)?;
        let names: Vec<&str> = pattern.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
        if names.contains(&"..") {
            return Err(fault("it leads out of the directory of the run"));
        }
        if pattern.trim().is_empty() || names.is_empty() {
            return Err(fault("it is empty"));
        }
        Ok(Self { text: text.to_owned(), pattern: names.join("/") })
    }
}

/// Whether the pattern, or an alternative of the braces at its beginning, begins at the root.
fn is_absolute(pattern: &str) -> bool {
    // For each open brace, whether its alternatives begin the pattern.
    let mut open: Vec<bool> = Vec::new();
    let mut is_first = true;
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '/' if is_first => return true,
            '{' => {
                open.push(is_first);
                continue;
            }
            ',' if !open.is_empty() => {
                is_first = open.last().is_some_and(|begins| *begins);
                continue;
            }
            '}' => drop(open.pop()),
            '\\' => drop(rest.next()),
            '[' => {
                while rest.next_if(|c| matches!(c, '!' | '^')).is_some() {}
                let _ = rest.next();
                while rest.next().is_some_and(|c| c != ']') {}
            }
            _ => {}
        }
        is_first = false;
        if open.iter().all(|begins| !begins) {
            return false;
        }
    }
    false
}

/// Checks what the library takes for a pattern that nothing matches.
fn check(pattern: &str) -> Result<(), &'static str> {
    const UNCLOSED: &str = "`[` is not closed; write \\[ for a name";
    // For each open brace: the patterns of the alternatives before, and of the present one.
    let mut open: Vec<(usize, usize)> = vec![(0, 1)];
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => drop(rest.next().ok_or("it ends with `\\`")?),
            '{' => open.push((0, 1)),
            ',' if open.len() > 1 => {
                if let Some((before, present)) = open.last_mut() {
                    (*before, *present) = (before.saturating_add(*present), 1);
                }
            }
            '}' => {
                let closed = open.pop().zip(open.last_mut());
                let ((before, last), (_, present)) = closed.ok_or("`}` closes no `{`; write \\} for a name")?;
                *present = present.saturating_mul(before.saturating_add(last));
            }
            '[' => {
                while rest.next_if(|c| matches!(c, '!' | '^')).is_some() {}
                let mut last = rest.next().ok_or(UNCLOSED)?;
                loop {
                    match rest.next().ok_or(UNCLOSED)? {
                        ']' => break,
                        '-' if rest.peek().is_some_and(|to| *to != ']' && *to < last) => {
                            return Err("a range of characters ends before it begins");
                        }
                        '\\' => last = rest.next().ok_or(UNCLOSED)?,
                        c => last = c,
                    }
                }
            }
            _ => {}
        }
    }
    match open.as_slice() {
        [(_, patterns)] if *patterns <= MOST_ALTERNATIVES => Ok(()),
        [_] => Err("its braces stand for too many patterns"),
        _ => Err("`{` is not closed; write \\{ for a name"),
    }
}

written_as_text!(Glob);

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
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
            ("{a,b}/x,/y", vec!["a/x,/y", "b/x,/y"], vec!["a/x"]),
            ("{a,b[,/]}/{c,d}", vec!["a/c", "b,/d"], vec!["/c"]),
            ("{a\\,/b,c}", vec!["a,/b", "c"], vec!["a"]),
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
            ("{a,/etc}/b", "begins with `/`"),
            ("{b,{a,/etc}}", "begins with `/`"),
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
        assert!(format!("{{{}a}}", "a,".repeat(MOST_ALTERNATIVES)).parse::<Glob>().is_err());
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
