//! The walls of macOS: a profile of Seatbelt, which `sandbox-exec` applies to the program that it then executes.
//!
//! Which of two rules counts that both fit is not documented, so no two of them do: all writes are denied, and each rule that allows
//! some names what it does not allow. The profile was checked as a text, and not by a macOS.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::walls::Walls;

/// The program of the system that applies a profile. It is named by its path, because PATH may be the agent's.
pub(in crate::process) const PROGRAM: &str = "/usr/bin/sandbox-exec";
/// Terminals, which are made while the child runs, so they cannot be listed.
const TERMINALS: &str = "(allow file-write* (regex #\"^/dev/ttys[0-9]+$\"))\n";

/// The command that executes this program behind the walls of this profile.
pub(in crate::process) fn around(profile: &str, program: &Path, args: &[OsString]) -> (PathBuf, Vec<OsString>) {
    let own = [OsString::from("-p"), profile.into(), program.as_os_str().to_owned()];
    (PROGRAM.into(), own.into_iter().chain(args.iter().cloned()).collect())
}

/// The profile of these walls.
///
/// # Errors
/// When a copy of a directory is asked for, which macOS has no form of, and for a path that is no text.
pub(in crate::process) fn profile(walls: &Walls) -> io::Result<String> {
    if walls.copied.is_some() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let mut profile = String::from("(version 1)\n(allow default)\n(deny file-write*)\n");
    profile.push_str("(deny signal)\n(allow signal (target same-sandbox))\n");
    let is_pinned = |path: &PathBuf| walls.pinned.contains(path);
    let inside_pinned = walls.pinned.iter().filter(|pinned| walls.write.iter().any(|open| pinned.starts_with(open)));
    for open in walls.write.iter().chain(inside_pinned) {
        // What is pinned stays open in what cannot be written otherwise.
        if !is_pinned(open) && walls.read_only.iter().any(|shut| open.starts_with(shut)) {
            continue;
        }
        let mut rule = format!("(allow file-write* (require-all (subpath {})", quoted(open)?);
        for shut in walls.read_only.iter().filter(|shut| shut.starts_with(open) && *shut != open) {
            rule.push_str(&format!(" (require-not (subpath {}))", quoted(shut)?));
        }
        // Its own entry cannot be changed: neither renamed nor removed. The entries in it can.
        for pinned in walls.pinned.iter().filter(|pinned| pinned.starts_with(open)) {
            rule.push_str(&format!(" (require-not (literal {}))", quoted(pinned)?));
        }
        rule.push_str("))\n");
        profile.push_str(&rule);
    }
    profile.push_str(TERMINALS);
    Ok(profile)
}

/// The path as a string of the profile's language.
fn quoted(path: &Path) -> io::Result<String> {
    let text = path.to_str().filter(|text| !text.chars().any(char::is_control)).ok_or(io::ErrorKind::InvalidInput)?;
    let mut quoted = String::from("\"");
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    Ok(quoted)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::Path;

    use super::super::walls::{Copied, Walls};
    use super::{around, profile};

    /// The rules that allow writing below a path, without their beginning.
    fn rules(walls: &Walls) -> Vec<String> {
        let profile = profile(walls).expect("a profile");
        assert_eq!(profile.matches('(').count(), profile.matches(')').count(), "{profile}");
        let begin = "(allow file-write* (require-all ";
        profile.lines().filter_map(|line| line.strip_prefix(begin)?.strip_suffix("))")).map(str::to_owned).collect()
    }

    fn paths(paths: &[&str]) -> Vec<std::path::PathBuf> {
        paths.iter().map(Into::into).collect()
    }

    #[test]
    fn all_writes_are_denied_but_those_below_the_listed_paths() {
        let walls = Walls { write: paths(&["/p", "/private/tmp"]), ..Walls::default() };
        assert_eq!(rules(&walls), [r#"(subpath "/p")"#, r#"(subpath "/private/tmp")"#]);
        let profile = profile(&walls).expect("a profile");
        assert!(profile.starts_with("(version 1)\n(allow default)\n(deny file-write*)\n"), "{profile}");
        assert!(profile.contains("(deny signal)\n(allow signal (target same-sandbox))\n"), "{profile}");
    }

    #[test]
    fn what_lies_in_an_open_path_can_be_taken_out_and_pinned() {
        let walls = Walls {
            write: paths(&["/p", "/p/.git", "/t"]),
            read_only: paths(&["/p/.git/config", "/p/.git/hooks"]),
            pinned: paths(&["/p/.git"]),
            ..Walls::default()
        };
        let shut = r#"(require-not (subpath "/p/.git/config")) (require-not (subpath "/p/.git/hooks")) (require-not (literal "/p/.git"))"#;
        let git = format!(r#"(subpath "/p/.git") {shut}"#);
        assert_eq!(rules(&walls), [format!(r#"(subpath "/p") {shut}"#), git.clone(), r#"(subpath "/t")"#.into(), git]);
    }

    /// ccc's state lies in a place for temporary files, and in it the working tree of the agent.
    #[test]
    fn what_is_pinned_stays_open_in_what_is_shut() {
        let walls = Walls {
            write: paths(&["/t", "/t/state/tree", "/t/state/other"]),
            read_only: paths(&["/t/state"]),
            pinned: paths(&["/t/state/tree"]),
            ..Walls::default()
        };
        let tree = r#"(subpath "/t/state/tree") (require-not (literal "/t/state/tree"))"#;
        let around =
            r#"(subpath "/t") (require-not (subpath "/t/state")) (require-not (literal "/t/state/tree"))"#.to_owned();
        assert_eq!(rules(&walls), [around, tree.to_owned(), tree.to_owned()], "the other is not open");
    }

    #[test]
    fn a_path_cannot_end_its_string() {
        let walls = Walls { write: paths(&[r#"/a") (subpath "/"#, r"/b\"]), ..Walls::default() };
        assert_eq!(rules(&walls), [r#"(subpath "/a\") (subpath \"/")"#, r#"(subpath "/b\\")"#]);
        for path in [OsStr::from_bytes(b"/\xff"), OsStr::new("/a\nb")] {
            let walls = Walls { write: vec![path.into()], ..Walls::default() };
            assert!(profile(&walls).is_err(), "{path:?}");
        }
    }

    #[test]
    fn a_copy_of_a_directory_is_refused() {
        let copied = Some(Copied { tree: "/p".into(), changes: "/c".into() });
        assert!(profile(&Walls { copied, ..Walls::default() }).is_err());
    }

    #[test]
    fn the_program_is_executed_by_the_one_that_raises_the_walls() {
        let (program, args) = around("(version 1)", Path::new("agent"), &["-p".into(), "x".into()]);
        assert_eq!(program, Path::new("/usr/bin/sandbox-exec"));
        assert_eq!(args, ["-p", "(version 1)", "agent", "-p", "x"]);
    }
}
