//! One call of git: its arguments, and the repository it works on.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::EndedWithCcc;

/// The timeout of a command that may write a whole tree.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// Where git works. The directories are always set explicitly: a configuration may name another working tree, and from a
/// broken repository git would search upwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Git's directory of the working tree, or the repository itself.
    pub git_dir: PathBuf,
    /// The top of the working tree. `None` for commands that need no working tree.
    pub work_tree: Option<PathBuf>,
}

impl Place {
    /// The working tree with this top.
    #[must_use]
    pub fn tree(top: &Path) -> Self {
        Self { git_dir: top.join(".git"), work_tree: Some(top.to_owned()) }
    }

    /// The repository alone, without a working tree.
    #[must_use]
    pub fn repository(git_dir: &Path) -> Self {
        Self { git_dir: git_dir.to_owned(), work_tree: None }
    }

    pub(super) fn cwd(&self) -> &Path {
        self.work_tree.as_deref().unwrap_or(&self.git_dir)
    }
}

/// A git command with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) settings: Vec<(OsString, OsString)>,
    pub(super) input: Vec<u8>,
    pub(super) limit: Duration,
    pub(super) ended_with_ccc: EndedWithCcc,
}

impl Call {
    /// The command and its first arguments.
    #[must_use]
    pub fn new<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Self {
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        Self {
            args,
            env: Vec::new(),
            settings: Vec::new(),
            input: Vec::new(),
            limit: LIMIT,
            ended_with_ccc: EndedWithCcc::Command,
        }
    }

    /// `git update-ref` and its arguments. It takes milliseconds, and killed in between it would leave a lock that git never removes:
    /// so it finishes what it does also when ccc is killed.
    #[must_use]
    pub fn update_ref<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Self {
        Self { ended_with_ccc: EndedWithCcc::Nothing, ..Self::new(["update-ref"]).args(args) }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable of git.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Uses this index file instead of the working tree's own.
    #[must_use]
    pub fn index(self, path: &Path) -> Self {
        self.env("GIT_INDEX_FILE", path)
    }

    /// Adds settings for this call. They win over all files.
    #[must_use]
    pub fn settings(mut self, settings: &[(OsString, OsString)]) -> Self {
        self.settings.extend_from_slice(settings);
        self
    }

    /// What the command reads on stdin.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Sets another timeout.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The command's name, for errors.
    pub(super) fn name(&self) -> String {
        let words = self.args.iter().take(2).map(|arg| arg.to_string_lossy());
        let words: Vec<_> = words.filter(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-')).collect();
        words.iter().take_while(|word| !word.starts_with('-')).map(AsRef::as_ref).collect::<Vec<&str>>().join(" ")
    }
}
