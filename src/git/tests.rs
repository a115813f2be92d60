//! A repository for tests, and one that names programs for all that git may start.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Call, ContentSettings, Git, Place, Repository, programs, settings_without_programs};
use crate::process::Cancel;

/// A directory with a home of its own and a repository `project`.
pub(crate) struct Ground {
    pub(crate) dir: tempfile::TempDir,
}

impl Ground {
    /// A repository without a commit.
    pub(crate) fn empty() -> Self {
        let ground = Self { dir: tempfile::tempdir().expect("a directory") };
        for dir in ["home", "project"] {
            fs::create_dir(ground.at(dir)).expect("mkdir");
        }
        ground.git(&["init", "-q", "-b", "main"]);
        ground
    }

    /// A repository with one commit.
    pub(crate) fn new() -> Self {
        let ground = Self::empty();
        ground.write("src/a.rs", "one\n");
        ground.write(".gitignore", "target\n.env\n");
        ground.commit("first");
        ground
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        // The real path, as git names it.
        self.dir.path().canonicalize().expect("real").join(name)
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.at("project")
    }

    pub(crate) fn env(&self) -> Vec<(OsString, OsString)> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        vec![("PATH".into(), path), ("HOME".into(), self.at("home").into())]
    }

    /// Git of ours.
    pub(crate) fn ours(&self) -> Git {
        Git::new(&self.env(), "run", Cancel::new().expect("a descriptor"))
    }

    /// The user's git, in any directory.
    pub(crate) fn git_in(&self, dir: &Path, args: &[&str]) -> String {
        let (code, output) = self.try_git(dir, args);
        assert_eq!(code, Some(0), "git {args:?} in {}: {output}", dir.display());
        output
    }

    pub(crate) fn try_git(&self, dir: &Path, args: &[&str]) -> (Option<i32>, String) {
        let output = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "protocol.file.allow=always"])
            .args(args)
            .current_dir(dir)
            .env_clear()
            .envs(self.env())
            .output()
            .expect("git runs");
        let mut text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !output.status.success() {
            text.push_str(&String::from_utf8_lossy(&output.stderr));
        }
        (output.status.code(), text)
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        self.git_in(&self.project(), args)
    }

    /// Puts the project onto the branch `agent/x` with as few of git's programs as possible.
    pub(crate) fn on_agents_branch(&self) {
        self.git(&["update-ref", "refs/heads/agent/x", "HEAD"]);
        self.git(&["symbolic-ref", "HEAD", "refs/heads/agent/x"]);
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, name: &str, content: &str) {
        write(&self.project().join(name), content);
    }

    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }
}

pub(crate) fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
    fs::write(path, content).expect("write");
}

/// Programs in a repository's configuration, each of which would leave a file.
pub(crate) struct Hostile {
    traces: PathBuf,
}

impl Hostile {
    /// Names them all in the repository with this working tree.
    pub(crate) fn new(ground: &Ground, root: &Path) -> Self {
        let hostile = Self { traces: ground.at("traces") };
        fs::create_dir_all(&hostile.traces).expect("mkdir");
        let hooks = ground.at("hooks");
        for hook in [
            "post-index-change",
            "pre-commit",
            "post-commit",
            "post-checkout",
            "fsmonitor-watchman",
            "reference-transaction",
            "prepare-commit-msg",
            "commit-msg",
            "pre-merge-commit",
            "post-merge",
            "pre-rebase",
            "post-rewrite",
            "pre-auto-gc",
        ] {
            for place in [hooks.clone(), root.join(".git/hooks")] {
                let file = place.join(hook);
                write(&file, &format!("#!/bin/sh\n{}\n", hostile.program(&format!("hook-{hook}"))));
                fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("chmod");
            }
        }
        let by_branch = ground.at("by-branch");
        ground.git_in(
            root,
            &[
                "config",
                "--file",
                &by_branch.display().to_string(),
                "filter.late.smudge",
                &hostile.program("late-smudge"),
            ],
        );
        ground.git_in(
            root,
            &[
                "config",
                "--file",
                &by_branch.display().to_string(),
                "filter.late.clean",
                &hostile.program("late-clean"),
            ],
        );
        ground.git_in(root, &["config", "includeIf.onbranch:agent/**.path", &by_branch.display().to_string()]);
        for key in [
            "filter.evil.clean",
            "filter.evil.smudge",
            "filter.evil.process",
            "filter.a.b=c.clean",
            "filter.a.b=c.smudge",
            "diff.evil.textconv",
            "diff.evil.command",
            "diff.external",
            "core.fsmonitor",
            "core.sshCommand",
            "core.pager",
            "core.editor",
            "sequence.editor",
            "core.askPass",
            "core.alternateRefsCommand",
            "pager.diff-tree",
            "alias.add",
            "alias.write-tree",
            "gpg.program",
            "credential.helper",
            "merge.evil.driver",
            "uploadpack.packObjectsHook",
        ] {
            let value = hostile.program(key);
            let value = if key.starts_with("alias") { format!("!{value}") } else { value };
            ground.git_in(root, &["config", key, &value]);
        }
        for (key, value) in [
            ("core.hooksPath", hooks.display().to_string().as_str()),
            ("filter.evil.required", "true"),
            ("commit.gpgSign", "true"),
            ("submodule.recurse", "true"),
        ] {
            ground.git_in(root, &["config", key, value]);
        }
        write(
            &root.join(".git/info/attributes"),
            "* filter=evil diff=evil merge=evil\n*.late filter=late\n*.odd filter=a.b=c\n",
        );
        hostile.forget();
        hostile
    }

    fn program(&self, name: &str) -> String {
        format!("echo ran > '{}'; cat", self.traces.join(name).display())
    }

    /// Removes what the test's own git has run.
    pub(crate) fn forget(&self) {
        for trace in self.seen() {
            fs::remove_file(self.traces.join(trace)).expect("removed");
        }
    }

    /// The programs that were run.
    pub(crate) fn seen(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.traces).expect("listed").flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}

#[test]
fn the_programs_of_a_configuration_are_found_and_switched_off_by_name() {
    let ground = Ground::new();
    let place = Place::tree(&ground.project());
    let git = ground.ours();
    assert_eq!(programs(&git, &place).expect("none"), super::Programs::default());
    assert_eq!(settings_without_programs(&git, &place).expect("none"), []);
    Hostile::new(&ground, &ground.project());
    let found = programs(&git, &place).expect("read");
    assert_eq!(found.filters.iter().collect::<Vec<_>>(), ["a.b=c", "evil"]);
    assert_eq!(found.merge_drivers.iter().collect::<Vec<_>>(), ["evil"]);
    let settings = settings_without_programs(&git, &place).expect("read");
    let clean = Call::new(["config", "--get-all", "filter.a.b=c.clean"]).settings(&settings);
    assert!(git.run(&place, &clean).expect("read").ends_with(b"\n\n"), "the last value counts, and is empty");
    ground.on_agents_branch();
    let found = programs(&git, &place).expect("read");
    assert!(found.filters.contains(std::ffi::OsStr::new("late")), "{found:?}");
}

#[test]
fn a_repository_is_found_from_each_of_its_directories() {
    let ground = Ground::new();
    let tree = ground.at("tree");
    ground.git(&["worktree", "add", "-q", "-b", "side", &tree.display().to_string()]);
    ground.git_in(&ground.at(""), &["clone", "-q", "--bare", "project", "bare.git"]);
    let git = ground.ours();
    let common = ground.project().join(".git");
    let is_bare = |found: &Repository| found.is_bare(&ContentSettings::read(&git, &found.place()).expect("read"));
    for (dir, top, common, bare) in [
        (ground.project(), Some(ground.project()), common.clone(), false),
        (ground.project().join("src"), Some(ground.project()), common.clone(), false),
        (tree.clone(), Some(tree.clone()), common.clone(), false),
        (ground.at("bare.git"), None, ground.at("bare.git"), true),
        (ground.at("bare.git/refs"), None, ground.at("bare.git"), true),
    ] {
        let found = Repository::find(&dir).expect("found");
        assert_eq!((&found.top, &found.dirs.common), (&top, &common), "{}", dir.display());
        assert_eq!(is_bare(&found), bare, "{}", dir.display());
    }
    assert_eq!(Repository::find(&ground.at("home")), None);
    // The spellings that git takes, among settings that say nothing of it.
    let project = Repository::find(&ground.project()).expect("found");
    ground.git(&["config", "core.autocrlf", "input"]);
    for (spelling, bare) in
        [("true", true), ("Yes", true), ("on", true), ("1", true), ("no", false), ("0", false), ("", false)]
    {
        ground.git(&["config", "core.bare", spelling]);
        assert_eq!(is_bare(&project), bare, "{spelling:?}");
    }
    ground.git(&["config", "core.bare", "true"]);
    let linked = Repository::find(&tree).expect("found");
    assert!(!is_bare(&linked), "a linked tree of a bare repository has files");
    assert!(is_bare(&project));
}

#[test]
fn a_failure_names_the_command_and_gits_reason() {
    let ground = Ground::new();
    let place = Place::tree(&ground.project());
    let failed =
        ground.ours().run(&place, &Call::new(["update-ref", "refs/x", "nothing"])).expect_err("no such object");
    assert!(failed.text.starts_with("`git update-ref` failed: fatal: nothing"), "{failed}");
    let failed = ground.ours().run(&place, &Call::new(["worktree", "unlock", "/nowhere"])).expect_err("no such tree");
    assert!(failed.text.starts_with("`git worktree unlock` failed: fatal: "), "{failed}");
}
