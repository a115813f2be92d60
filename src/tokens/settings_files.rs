//! Where the settings files of the agent's CLI are, and how the CLI reads them.
//!
//! Measured on 2.1.197 and 2.1.332, which behave the same except for the last row:
//!
//! | the file | the CLI |
//! |---|---|
//! | begins with a byte order mark | reads it |
//! | is UTF-16 (with its mark), is not quite UTF-8, is nested 400 deep, has half a surrogate pair or `1e999` in it | reads it |
//! | has a comment, a surplus comma, a raw tab in a string, two byte order marks, text after the object | ignores it |
//! | has a duplicate key | uses the last one |
//! | has a value in `env` that is no string | uses its text; for a list of one, the item's |
//! | is a link, or is reached through one, whatever its target | reads it |
//! | is in a directory between the one that the CLI starts in and the repository's top | does not read it |
//! | is the `settings.local.json` of the repository's top (of a worktree: of the main one) | 2.1.332 reads it, 2.1.197 does not |

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::config::{Dirs, GitDirs, Project};
use crate::files::{self, AGENT_SETTINGS, ReadFault};

/// The administrator's settings of the agent's CLI.
#[cfg(not(target_os = "macos"))]
pub const MANAGED_SETTINGS: &str = "/etc/claude-code/managed-settings.json";
/// The administrator's settings of the agent's CLI.
#[cfg(target_os = "macos")]
pub const MANAGED_SETTINGS: &str = "/Library/Application Support/ClaudeCode/managed-settings.json";

/// The byte order mark that an editor may write before UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Where the settings are.
#[derive(Debug, Clone, Copy)]
pub struct SettingsPlaces<'a> {
    /// The user's directories.
    pub dirs: &'a Dirs,
    /// The agent's start directory.
    pub cwd: &'a Path,
    /// The value of `--settings` in the user's arguments: a file or JSON.
    pub argument: Option<&'a str>,
    /// The value of `--setting-sources`: which of the files `user`, `project` and `local` are read; without it all.
    pub sources: Option<&'a [String]>,
    /// The administrator's file, usually [`MANAGED_SETTINGS`].
    pub managed: &'a Path,
}

impl SettingsPlaces<'_> {
    pub(super) fn users_file(&self) -> PathBuf {
        self.dirs.claude.join("settings.json")
    }

    /// Whether the CLI reads the files of this source: `user`, `project` or `local`.
    pub(super) fn reads(&self, source: &str) -> bool {
        self.sources.is_none_or(|read| read.iter().any(|named| named == source))
    }

    /// The project's files that the CLI reads, the strongest first. When the project is the home directory, one of
    /// them is the user's file, which is left out.
    pub(super) fn project_files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        if self.reads("local") {
            files.extend(
                local_roots(self.cwd, &self.dirs.home).iter().map(|root| in_project(root, "settings.local.json")),
            );
        }
        if self.reads("project") {
            files.push(in_project(self.cwd, "settings.json"));
        }
        let users = self.users_file();
        files.retain(|file| *file != users);
        files
    }
}

fn in_project(root: &Path, name: &str) -> PathBuf {
    root.join(".claude").join(name)
}

/// The directories whose `settings.local.json` the CLI reads, the strongest first. Directories that it may ignore,
/// such as the top of a worktree, are included: asking once too often does no harm.
fn local_roots(cwd: &Path, home: &Path) -> Vec<PathBuf> {
    let mut roots: Vec<PathBuf> = Vec::new();
    if let Some(top) = Project::find(cwd).git_root {
        let dirs = GitDirs::of(&top);
        if dirs.own != dirs.common
            && let Ok(common) = dirs.common.canonicalize()
        {
            roots.extend(common.parent().map(Path::to_path_buf));
            // For a repository without a working tree.
            roots.push(common);
        }
        roots.push(top);
    }
    // In the home directory the CLI reads only the user's settings.
    let home = home.canonicalize().unwrap_or_else(|_| home.to_owned());
    roots.retain(|root| root != cwd && root.canonicalize().is_ok_and(|real| real != home));
    roots.push(cwd.to_owned());
    roots
}

/// A file that the agent's CLI must not read, or that cannot be interpreted with certainty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsafeFile {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: String,
    /// What to do about it.
    pub advice: &'static str,
}

/// Why a settings file cannot be interpreted with certainty. `Display` follows the file's name and quotes no content.
#[derive(Debug, thiserror::Error)]
pub(super) enum SettingsFault {
    #[error(transparent)]
    File(#[from] ReadFault),
    #[error("is UTF-16 text, not UTF-8")]
    Utf16,
    #[error("is not UTF-8 text (byte {0})")]
    NotUtf8(usize),
    #[error("is not JSON that ccc can read (line {line}, column {column})")]
    NotJson { line: usize, column: usize },
    #[error("is JSON, but not an object")]
    NoObject,
}

impl SettingsFault {
    /// What the user can do about it.
    pub(super) fn advice(&self) -> &'static str {
        match self {
            SettingsFault::File(fault) => fault.advice(),
            SettingsFault::Utf16
            | SettingsFault::NotUtf8(_)
            | SettingsFault::NotJson { .. }
            | SettingsFault::NoObject => "write it as one JSON object in UTF-8, or remove it",
        }
    }
}

/// Reads a settings file; `None` when there is none. A file that the CLI reads differently from ccc, or that ccc
/// cannot read, is a fault.
pub(super) fn read_settings(file: &Path) -> Result<Option<Value>, SettingsFault> {
    files::read_if_there(file, AGENT_SETTINGS)?.map(|bytes| parse(&bytes)).transpose()
}

fn parse(bytes: &[u8]) -> Result<Value, SettingsFault> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(SettingsFault::Utf16);
    }
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| SettingsFault::NotUtf8(error.valid_up_to() + 1))?;
    if text.trim().is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    let value: Value = serde_json::from_str(text)
        .map_err(|error| SettingsFault::NotJson { line: error.line(), column: error.column() })?;
    if value.is_object() { Ok(value) } else { Err(SettingsFault::NoObject) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::Env;

    #[test]
    fn a_file_is_read_as_the_cli_reads_it_or_not_at_all() {
        let plain = r#"{"env":{"A":"b"}}"#;
        let utf16 = |text: &str, mark: &[u8]| -> Vec<u8> {
            mark.iter().copied().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect()
        };
        let deep = format!(r#"{{"x":{}{},"env":{{"A":"b"}}}}"#, "[".repeat(400), "]".repeat(400));
        let rows: [(&str, Vec<u8>, Option<&str>); 17] = [
            ("plain", plain.into(), Some("b")),
            ("a mark", [BYTE_ORDER_MARK, plain.as_bytes()].concat(), Some("b")),
            ("empty", Vec::new(), Some("-")),
            ("only a mark", [BYTE_ORDER_MARK, b" \n"].concat(), Some("-")),
            ("a key twice", br#"{"env":{"A":"x"},"env":{"A":"y","A":"b"}}"#.to_vec(), Some("b")),
            ("two marks", [BYTE_ORDER_MARK, BYTE_ORDER_MARK, plain.as_bytes()].concat(), None),
            ("UTF-16", utf16(plain, b"\xff\xfe"), None),
            ("UTF-16 without its mark", utf16(plain, b""), None),
            ("not UTF-8", b"{\"env\":{\"A\":\"b\"},\"x\":\"\xff\"}".to_vec(), None),
            ("deep", deep.into(), None),
            ("half a pair", br#"{"env":{"A":"b"},"x":"\ud800"}"#.to_vec(), None),
            ("a large number", br#"{"env":{"A":"b"},"x":1e999}"#.to_vec(), None),
            ("a comment", format!("// x\n{plain}").into(), None),
            ("a comma", br#"{"env":{"A":"b"},}"#.to_vec(), None),
            ("a tail", format!("{plain} x").into(), None),
            ("no object", b"[1]".to_vec(), None),
            ("null", b"null".to_vec(), None),
        ];
        for (name, bytes, expected) in rows {
            let read = parse(&bytes).ok();
            let found = read.as_ref().map(|value| value.pointer("/env/A").and_then(Value::as_str).unwrap_or("-"));
            assert_eq!(found, expected, "{name}");
        }
        let fault = parse(b"{\"secret\":\"made-up\"\xff").expect_err("a fault").to_string();
        assert_eq!(fault, "is not UTF-8 text (byte 20)");
    }

    #[test]
    fn the_projects_files_are_those_of_the_directory_and_the_local_one_of_the_repository_too() {
        let dir = tempfile::tempdir().expect("tempdir");
        let root = dir.path().canonicalize().expect("real");
        let write = |name: &str, text: &str| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
            fs::write(path, text).expect("write");
        };
        let read = |cwd: &str, home: &str, sources: Option<&[String]>| {
            fs::create_dir_all(root.join(cwd)).expect("mkdir");
            let home = root.join(home);
            let dirs = Dirs::new(&home, &home, &home, &Env::default());
            let (cwd, managed) = (root.join(cwd), root.join("managed.json"));
            let places = SettingsPlaces { dirs: &dirs, cwd: &cwd, argument: None, sources, managed: &managed };
            let files = places.project_files();
            let name = |file: &PathBuf| file.strip_prefix(&root).expect("below").display().to_string();
            files.iter().map(name).collect::<Vec<_>>()
        };
        let (local, project) = (".claude/settings.local.json", ".claude/settings.json");
        let of = |dirs: &[&str], last: &str| -> Vec<String> {
            let local = dirs.iter().map(|dir| format!("{dir}/{local}"));
            local.chain([format!("{last}/{project}")]).collect()
        };
        fs::create_dir_all(root.join("home")).expect("mkdir");
        assert_eq!(read("plain/sub", "home", None), of(&["plain/sub"], "plain/sub"));
        write("repo/.git/HEAD", "ref: refs/heads/main\n");
        assert_eq!(read("repo", "home", None), of(&["repo"], "repo"));
        assert_eq!(read("repo/a/b", "home", None), of(&["repo", "repo/a/b"], "repo/a/b"));
        assert_eq!(read("repo/a/b", "repo", None), of(&["repo/a/b"], "repo/a/b"), "the top is the home directory");
        write("repo/.git/worktrees/w/commondir", "../..\n");
        write("wt/.git", &format!("gitdir: {}\n", root.join("repo/.git/worktrees/w").display()));
        assert_eq!(read("wt/s", "home", None), of(&["repo", "repo/.git", "wt", "wt/s"], "wt/s"), "the main tree's");
        // A repository's own files can make it look like a worktree.
        write("fake/main/.git/worktrees/w/commondir", "../..\n");
        write("fake/.git", "gitdir: main/.git/worktrees/w\n");
        assert_eq!(read("fake", "home", None), of(&["fake/main", "fake/main/.git", "fake"], "fake"));
        assert_eq!(read("home", "home", None), [format!("home/{local}")], "the other one is the user's");
        let only = ["project".to_owned()];
        assert_eq!(read("repo/a/b", "home", Some(&only)), [format!("repo/a/b/{project}")]);
    }
}
