use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;

/// A home directory, a project in it and a PATH of its own, gone at the end.
pub(super) struct Sandbox {
    _dir: tempfile::TempDir,
    root: PathBuf,
}

impl Sandbox {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().expect("tempdir");
        let root = dir.path().canonicalize().expect("canonical");
        for name in ["home", "project", "bin"] {
            fs::create_dir(root.join(name)).expect("mkdir");
        }
        Self { _dir: dir, root }
    }

    pub(super) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    pub(super) fn write(&self, relative: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
        fs::write(&path, content).expect("write");
        path
    }

    pub(super) fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).expect("read")
    }

    /// An executable script.
    pub(super) fn script(&self, relative: &str, body: &str) -> PathBuf {
        let path = self.write(relative, format!("#!/bin/sh\n{body}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
        path
    }

    /// ccc in the project, with nothing of the environment but HOME and PATH.
    pub(super) fn ccc(&self, args: &[&str]) -> Command {
        let mut command = Command::new(crate::program::ccc());
        command
            .env_clear()
            .env("HOME", self.path("home"))
            .env("PATH", self.path("bin"))
            .current_dir(self.path("project"))
            .write_stdin("")
            .args(args);
        command
    }

    /// Agrees to all that the project's files ask for, as this command's environment has it.
    pub(super) fn trust(&self) {
        for state in [None, Some(self.path("state"))] {
            let mut command = self.ccc(&["trust", "--yes"]);
            if let Some(state) = state {
                command.env("CCC_STATE_DIR", state);
            }
            let seen = self.seen(command);
            assert!(seen.starts_with("exit code 0\n"), "{seen}");
        }
    }

    /// Runs it and writes down all that can be seen of it.
    pub(super) fn seen(&self, mut command: Command) -> String {
        let output = command.output().expect("ccc runs");
        self.render(&output)
    }

    pub(super) fn run(&self, args: &[&str]) -> String {
        self.seen(self.ccc(args))
    }

    pub(super) fn render(&self, output: &Output) -> String {
        let text = |bytes: &[u8]| {
            String::from_utf8(bytes.to_vec()).expect("UTF-8").replace(self.root.to_str().expect("UTF-8"), "[ROOT]")
        };
        let code = output.status.code().expect("an exit code");
        format!("exit code {code}\n--- stdout\n{}--- stderr\n{}", text(&output.stdout), text(&output.stderr))
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }
}
