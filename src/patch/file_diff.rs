//! Reads a patch as git writes it. The patch is hostile: what cannot be read is left out.

use crate::agent::{Edit, Hunk};
use similar::{ChangeTag, TextDiff};

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileFate {
    /// It is new.
    Added,
    /// Its content is another.
    Changed,
    /// It is gone.
    Removed,
    /// It has another name.
    Renamed,
}

impl FileFate {
    /// The word for the user.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            FileFate::Added => "added",
            FileFate::Changed => "changed",
            FileFate::Removed => "removed",
            FileFate::Renamed => "renamed",
        }
    }
}

/// A line of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// It is on both sides.
    Same,
    /// It is only on the later side.
    Added,
    /// It is only on the earlier side.
    Removed,
    /// The place of the lines that follow.
    Place,
}

/// The difference of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDiff {
    /// Its path; of a removed file the former one.
    pub path: String,
    /// Its former path, if it was renamed.
    pub renamed_from: Option<String>,
    /// What happened to it.
    pub fate: FileFate,
    /// Its lines. None of a binary file.
    pub lines: Vec<(Sign, String)>,
}

impl FileDiff {
    fn new(path: String) -> FileDiff {
        FileDiff { path, renamed_from: None, fate: FileFate::Changed, lines: Vec::new() }
    }

    /// The change that a tool has made to a file: `hunks` if they are known.
    #[must_use]
    pub fn of_edit(edit: &Edit, hunks: &[Hunk]) -> FileDiff {
        let mut diff = FileDiff::new(edit.path.clone());
        if edit.old.is_empty() && hunks.iter().all(|hunk| hunk.old_start == 0) {
            diff.fate = FileFate::Added;
        }
        if hunks.is_empty() {
            let changes = TextDiff::from_lines(&edit.old, &edit.new);
            diff.lines = changes
                .iter_all_changes()
                .map(|change| {
                    let sign = match change.tag() {
                        ChangeTag::Equal => Sign::Same,
                        ChangeTag::Delete => Sign::Removed,
                        ChangeTag::Insert => Sign::Added,
                    };
                    (sign, change.value().trim_end_matches(['\n', '\r']).to_owned())
                })
                .collect();
        }
        for hunk in hunks {
            diff.lines.push((Sign::Place, format!("@@ -{} +{} @@", hunk.old_start, hunk.new_start)));
            diff.lines.extend(hunk.lines.iter().filter_map(|line| signed(line)));
        }
        diff
    }

    /// How many lines were added and removed.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let of = |sign| self.lines.iter().filter(|line| line.0 == sign).count();
        (of(Sign::Added), of(Sign::Removed))
    }
}

/// A line after its sign.
fn signed(line: &str) -> Option<(Sign, String)> {
    let mut chars = line.chars();
    let sign = match chars.next() {
        None | Some(' ') => Sign::Same,
        Some('+') => Sign::Added,
        Some('-') => Sign::Removed,
        Some(_) => return None,
    };
    Some((sign, chars.as_str().trim_end_matches('\r').to_owned()))
}

/// The files of a patch.
#[must_use]
pub fn parse(patch: &str) -> Vec<FileDiff> {
    let mut files: Vec<FileDiff> = Vec::new();
    // How many lines of the current hunk are left on both sides: what stands in them is never a heading.
    let (mut old_left, mut new_left) = (0_u64, 0_u64);
    for line in patch.split('\n') {
        if let Some(rest) = line.strip_prefix("diff --git ")
            && old_left == 0
            && new_left == 0
        {
            files.push(FileDiff::new(path_of_heading(rest)));
            continue;
        }
        let Some(file) = files.last_mut() else { continue };
        if old_left > 0 || new_left > 0 {
            let Some((sign, text)) = signed(line) else { continue };
            match sign {
                Sign::Same => (old_left, new_left) = (old_left.saturating_sub(1), new_left.saturating_sub(1)),
                Sign::Removed => old_left = old_left.saturating_sub(1),
                Sign::Added => new_left = new_left.saturating_sub(1),
                Sign::Place => {}
            }
            file.lines.push((sign, text));
        } else if let Some(place) = line.strip_prefix("@@ ") {
            (old_left, new_left) = lengths(place);
            file.lines.push((Sign::Place, line.to_owned()));
        } else if line.starts_with("new file mode") {
            file.fate = FileFate::Added;
        } else if line.starts_with("deleted file mode") {
            file.fate = FileFate::Removed;
        } else if let Some(from) = line.strip_prefix("rename from ") {
            file.renamed_from = Some(unquoted(from));
            file.fate = FileFate::Renamed;
        } else if let Some(to) = line.strip_prefix("rename to ") {
            file.path = unquoted(to);
        } else if let Some(path) = line.strip_prefix("--- ").or_else(|| line.strip_prefix("+++ ")) {
            let path = unquoted(path.trim_end_matches('\t'));
            if let Some(path) = path.strip_prefix("a/").or_else(|| path.strip_prefix("b/")) {
                file.path = path.to_owned();
            }
        }
    }
    files
}

/// How many lines of each side a hunk has: `-1,3 +1 @@`.
fn lengths(place: &str) -> (u64, u64) {
    let mut parts = place.split(' ');
    let mut length = |sign: char| {
        let part = parts.next().and_then(|part| part.strip_prefix(sign)).unwrap_or_default();
        part.split_once(',').map_or(Some(1), |(_, length)| length.parse().ok()).unwrap_or_default()
    };
    (length('-'), length('+'))
}

/// The path in `a/PATH b/PATH`, both of which are the same; other cases have lines of their own.
fn path_of_heading(heading: &str) -> String {
    if let Some(quoted) = heading.strip_prefix('"') {
        let path = unquoted(&format!("\"{}", quoted.split("\" ").next().unwrap_or(quoted)));
        return path.strip_prefix("a/").unwrap_or(&path).to_owned();
    }
    // The two have the same length.
    let path = heading.get(..heading.len() / 2).unwrap_or(heading);
    path.strip_prefix("a/").unwrap_or(path).to_owned()
}

/// A path, which git quotes as C does when it has unusual bytes.
fn unquoted(path: &str) -> String {
    let Some(inner) = path.strip_prefix('"') else { return path.to_owned() };
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            Some(b'n') => bytes.push(b'\n'),
            Some(b't') => bytes.push(b'\t'),
            Some(first @ b'0'..=b'3') => {
                let digits = [Some(first), rest.next(), rest.next()];
                let value = digits.iter().flatten().fold(0_u32, |value, digit| {
                    value.wrapping_mul(8).wrapping_add(u32::from(digit.wrapping_sub(b'0') & 7))
                });
                bytes.push(value as u8);
            }
            Some(other) => bytes.push(other),
            None => {}
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_patch_are_read_with_their_fate() {
        let patch = "diff --git a/src/a b.rs b/src/a b.rs\nindex 1..2 100644\n--- a/src/a b.rs\t\n+++ b/src/a b.rs\t\n@@ -1,3 +1,2 @@ fn x\n same\n--- a dash\n-gone\n+diff --git a/x b/x\n\\ No newline at end of file\ndiff --git a/new b/new\nnew file mode 100644\n--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+one\ndiff --git a/old b/old\ndeleted file mode 100644\n--- a/old\n+++ /dev/null\n@@ -1 +0,0 @@\n-one\ndiff --git a/from b/to\nsimilarity index 100%\nrename from from\nrename to to\ndiff --git \"a/\\303\\244\\t\" \"b/\\303\\244\\t\"\nBinary files differ\n";
        let files = parse(patch);
        let told: Vec<(&str, FileFate, usize)> =
            files.iter().map(|file| (file.path.as_str(), file.fate, file.lines.len())).collect();
        assert_eq!(
            told,
            [
                ("src/a b.rs", FileFate::Changed, 5),
                ("new", FileFate::Added, 2),
                ("old", FileFate::Removed, 2),
                ("to", FileFate::Renamed, 0),
                ("ä\t", FileFate::Changed, 0),
            ]
        );
        assert_eq!(files[0].lines[2], (Sign::Removed, "-- a dash".to_owned()));
        assert_eq!(files[0].lines[4], (Sign::Added, "diff --git a/x b/x".to_owned()));
        assert_eq!(files[3].renamed_from.as_deref(), Some("from"));
        assert_eq!(files[0].counts(), (1, 2));
    }

    #[test]
    fn an_edit_of_a_tool_is_a_difference_too() {
        let edit = Edit { path: "/p/a".to_owned(), old: "one\ntwo\n".to_owned(), new: "one\n2\n".to_owned() };
        let diff = FileDiff::of_edit(&edit, &[]);
        assert_eq!(diff.counts(), (1, 1));
        let hunk = Hunk { old_start: 4, new_start: 4, lines: vec![" x".to_owned(), "-two".to_owned()] };
        assert_eq!(FileDiff::of_edit(&edit, &[hunk]).counts(), (0, 1));
        let new = Edit { path: "/p/b".to_owned(), old: String::new(), new: "x\n".to_owned() };
        assert_eq!(FileDiff::of_edit(&new, &[]).fate, FileFate::Added);
    }

    proptest::proptest! {
        #[test]
        fn no_patch_breaks_the_reader(patch in "(diff --git |@@ -|\\+\\+\\+ |\"|\\\\|[0-9, @a/\n+-]){0,40}") {
            let files = parse(&patch);
            assert!(files.len() <= patch.matches("diff --git ").count());
        }
    }
}
