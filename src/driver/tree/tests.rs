use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Snapshot, TreeObserver};
use crate::core::{TreeFact, TreeFault};
use crate::driver::child_env::ChildEnv;
use crate::git::Git;
use crate::process::Cancel;

/// Longer than any git command here takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// An observer that excludes no files; a git command that takes longer than `limit` hangs.
fn ours(limit: Duration) -> TreeObserver {
    let env = ChildEnv(std::env::vars_os().collect());
    let git = Git::new(&env.0, "run", Cancel::new().expect("a descriptor")).with_limit(limit);
    TreeObserver { files: Vec::new(), state_dir: "".into(), git: Some(git), memory: Mutex::default() }
}

fn nobody() -> Arc<TreeObserver> {
    Arc::new(ours(DEADLINE))
}

fn still() -> BTreeSet<String> {
    BTreeSet::new()
}

fn take(dir: &Path, ours: &Arc<TreeObserver>) -> Arc<Snapshot> {
    Arc::new(Snapshot::take(dir, ours))
}

impl Snapshot {
    fn looked_at_again(self: &Arc<Self>) -> TreeFact {
        self.again(&still()).fact_since(self, &still())
    }
}

fn run_git(dir: &Path, args: &[&str]) {
    let status = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.invalid"])
        .args(args)
        .current_dir(dir)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .expect("git runs");
    assert!(status.success(), "git {args:?}");
}

fn repository() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    run_git(dir.path(), &["init", "-q", "-b", "main"]);
    fs::create_dir(dir.path().join("src")).expect("mkdir");
    fs::write(dir.path().join("src/a.rs"), "one").expect("write");
    fs::write(dir.path().join(".gitignore"), "target\n").expect("write");
    run_git(dir.path(), &["add", "-A"]);
    run_git(dir.path(), &["commit", "-qm", "first"]);
    dir
}

#[test]
fn an_untouched_repository_is_unchanged_and_has_a_stable_fingerprint() {
    let dir = repository();
    let first = take(dir.path(), &nobody());
    assert!(first.fact(&still()).fingerprint.is_some());
    assert_eq!(first.looked_at_again(), first.fact(&still()));
    assert_eq!(take(dir.path(), &nobody()).fact(&still()), first.fact(&still()));
}

#[test]
fn the_files_offered_are_the_projects_and_none_of_gits_own() {
    let names = |dir: &Path, most| super::file_names(dir, &nobody(), most);
    let fresh = tempfile::tempdir().expect("a directory");
    run_git(fresh.path(), &["init", "-q", "-b", "main"]);
    fs::create_dir_all(fresh.path().join("src/.github")).expect("mkdir");
    for file in ["a.rs", "src/b.rs", "src/.github/c.yml"] {
        fs::write(fresh.path().join(file), "one").expect("write");
    }
    // Before the first commit, too.
    assert_eq!(names(fresh.path(), 9), ["a.rs", "src/.github/c.yml", "src/b.rs"]);
    assert_eq!(names(&fresh.path().join("src"), 9), [".github/c.yml", "b.rs"], "below a directory");
    assert_eq!(names(fresh.path(), 1).len(), 1);
    let committed = repository();
    assert_eq!(names(committed.path(), 9), [".gitignore", "src/a.rs"]);
}

/// The branch of the test repository.
const BRANCH: &str = ".git/refs/heads/main";

/// The object id of its file.
fn blob(dir: &Path) -> String {
    let found = Command::new("git").args(["rev-parse", "HEAD:src/a.rs"]).current_dir(dir).output().expect("git runs");
    String::from_utf8(found.stdout).expect("a name").trim().to_owned()
}

#[test]
fn references_configuration_and_hooks_of_a_repository_are_part_of_it() {
    type Change = fn(&Path);
    let table: &[(&str, Change, &str)] = &[
        ("a branch", |dir| run_git(dir, &["branch", "other"]), ".git/refs/heads/other"),
        ("a tag", |dir| run_git(dir, &["tag", "v1"]), ".git/refs/tags/v1"),
        ("another branch at the same commit", |dir| run_git(dir, &["checkout", "-q", "-b", "other"]), ".git/HEAD"),
        (
            "a packed branch that is removed",
            |dir| run_git(dir, &["branch", "-q", "-D", "packed"]),
            ".git/refs/heads/packed",
        ),
        ("a note", |dir| run_git(dir, &["notes", "add", "-m", "x"]), ".git/refs/notes/commits"),
        ("a setting", |dir| run_git(dir, &["config", "user.name", "x"]), ".git/config"),
        (
            "a hook",
            |dir| fs::write(dir.join(".git/hooks/pre-commit"), "#!/bin/sh\n").expect("write"),
            ".git/hooks/pre-commit",
        ),
        (
            "what git ignores",
            |dir| fs::write(dir.join(".git/info/exclude"), "*.rs\n").expect("write"),
            ".git/info/exclude",
        ),
        (
            "attributes",
            |dir| fs::write(dir.join(".git/info/attributes"), "* -text\n").expect("write"),
            ".git/info/attributes",
        ),
    ];
    for (what, change, path) in table {
        let dir = repository();
        run_git(dir.path(), &["branch", "packed"]);
        run_git(dir.path(), &["pack-refs", "--all"]);
        let before = take(dir.path(), &nobody());
        assert_eq!(before.looked_at_again(), before.fact(&still()), "{what}");
        change(dir.path());
        let fact = before.looked_at_again();
        assert!(fact.changed.iter().any(|changed| changed == path), "{what}: {:?}", fact.changed);
        assert_ne!(fact.fingerprint, before.fact(&still()).fingerprint, "{what}");
    }
}

#[test]
fn references_of_a_worktree_and_of_a_submodule_are_seen_too() {
    let dir = repository();
    let home = tempfile::tempdir().expect("a directory");
    let tree = home.path().join("tree");
    run_git(dir.path(), &["worktree", "add", "-q", &tree.display().to_string(), "-b", "side"]);
    let outer = nested(true);
    for (place, top) in [(tree.clone(), tree), (outer.path().join("lib"), outer.path().to_owned())] {
        let before = take(&top, &nobody());
        run_git(&place, &["branch", "other"]);
        let changed = before.looked_at_again().changed;
        assert!(changed.iter().any(|path| path.ends_with("refs/heads/other")), "{changed:?}");
    }
}

#[test]
fn what_other_trees_of_the_repository_and_ccc_do_is_no_change_of_this_one() {
    let dir = repository();
    let home = tempfile::tempdir().expect("a directory");
    let (mine, other) = (home.path().join("mine"), home.path().join("other"));
    for (tree, branch) in [(&mine, "agent/mine"), (&other, "other")] {
        run_git(dir.path(), &["worktree", "add", "-q", &tree.display().to_string(), "-b", branch]);
    }
    run_git(dir.path(), &["branch", "agent/gone"]);
    let before = take(&mine, &nobody());
    run_git(&other, &["commit", "-q", "--allow-empty", "-m", "x"]);
    run_git(dir.path(), &["commit", "-q", "--allow-empty", "-m", "x"]);
    run_git(dir.path(), &["update-ref", "refs/ccc/run/1", "HEAD"]);
    run_git(dir.path(), &["update-ref", "refs/remotes/origin/main", "HEAD"]);
    run_git(dir.path(), &["branch", "-D", "agent/gone"]);
    run_git(dir.path(), &["branch", "agent/new"]);
    assert_eq!(before.looked_at_again(), before.fact(&still()));
    run_git(dir.path(), &["pack-refs", "--all"]);
    assert_eq!(before.looked_at_again(), before.fact(&still()));
    run_git(&mine, &["commit", "-q", "--allow-empty", "-m", "x"]);
    let changed = before.looked_at_again().changed;
    assert!(changed.len() == 1 && changed[0].ends_with("refs/heads/agent/mine"), "{changed:?}");
}

#[test]
fn the_worktree_of_an_agent_is_measured_though_it_lies_in_the_state_directory() {
    let (dir, home) = (repository(), tempfile::tempdir().expect("a directory"));
    let state = home.path().join("state");
    let tree = state.join("worktrees/project-12345678/fox");
    fs::create_dir_all(tree.parent().expect("a parent")).expect("mkdir");
    run_git(dir.path(), &["worktree", "add", "-q", &tree.display().to_string(), "-b", "agent/fox"]);
    let ours = Arc::new(TreeObserver { state_dir: state.clone(), ..ours(DEADLINE) });
    let before = take(&tree, &ours);
    fs::write(tree.join("src/a.rs"), "two").expect("write");
    fs::write(tree.join("b.rs"), "new").expect("write");
    fs::create_dir_all(tree.join("target")).expect("mkdir");
    fs::write(tree.join("target/x"), "ignored").expect("write");
    assert_eq!(before.looked_at_again().changed, ["b.rs", "src/a.rs"]);
    let after = take(&tree, &ours);
    assert_ne!(after.fact(&still()).ignored, before.fact(&still()).ignored);
    assert_eq!(super::file_names(&tree, &ours, 9), [".gitignore", "b.rs", "src/a.rs"]);
    // For a project that the state directory lies in, all of it is still ccc's own.
    let around = take(home.path(), &ours);
    fs::write(tree.join("b.rs"), "other").expect("write");
    assert_eq!(around.looked_at_again(), around.fact(&still()));
}

#[test]
fn references_that_git_packs_are_no_change() {
    let dir = repository();
    run_git(dir.path(), &["branch", "other"]);
    run_git(dir.path(), &["tag", "-a", "v1", "-m", "one"]);
    let before = take(dir.path(), &nobody());
    run_git(dir.path(), &["pack-refs", "--all"]);
    assert!(!dir.path().join(BRANCH).exists());
    assert_eq!(before.looked_at_again(), before.fact(&still()));
    // The loose reference takes precedence over the packed one.
    run_git(dir.path(), &["commit", "-q", "--allow-empty", "-m", "second"]);
    assert_eq!(before.looked_at_again().changed, [BRANCH]);
}

#[test]
fn every_kind_of_change_is_seen_and_named() {
    type Change = fn(&Path);
    let table: &[(&str, Change, &str)] = &[
        ("an edit", |dir| fs::write(dir.join("src/a.rs"), "two").expect("write"), "src/a.rs"),
        ("a new file in a known directory", |dir| fs::write(dir.join("src/b.rs"), "x").expect("write"), "src/b.rs"),
        (
            "a new directory",
            |dir| {
                fs::create_dir(dir.join("docs")).expect("mkdir");
                fs::write(dir.join("docs/c.md"), "x").expect("write");
            },
            "docs/c.md",
        ),
        ("a removal", |dir| fs::remove_file(dir.join("src/a.rs")).expect("remove"), "src/a.rs"),
        ("a rename", |dir| fs::rename(dir.join("src/a.rs"), dir.join("src/z.rs")).expect("rename"), "src/z.rs"),
        (
            "a mode",
            |dir| {
                use std::os::unix::fs::PermissionsExt;
                fs::set_permissions(dir.join("src/a.rs"), fs::Permissions::from_mode(0o755)).expect("chmod");
            },
            "src/a.rs",
        ),
        ("a commit of what was there", |dir| run_git(dir, &["commit", "-q", "--allow-empty", "-m", "second"]), BRANCH),
        (
            "an index alone",
            |dir| run_git(dir, &["update-index", "--cacheinfo", "100755", &blob(dir), "src/a.rs"]),
            "(the repository's head or index)",
        ),
    ];
    for (what, change, path) in table {
        let dir = repository();
        let before = take(dir.path(), &nobody());
        change(dir.path());
        let fact = before.looked_at_again();
        assert!(fact.changed.iter().any(|changed| changed == path), "{what}: {:?}", fact.changed);
        assert_ne!(fact.fingerprint, before.fact(&still()).fingerprint, "{what}");
    }
}

#[test]
fn a_second_edit_of_an_already_edited_file_is_seen() {
    let dir = repository();
    fs::write(dir.path().join("src/a.rs"), "two").expect("write");
    let before = take(dir.path(), &nobody());
    fs::write(dir.path().join("src/a.rs"), "six").expect("write");
    assert_eq!(before.looked_at_again().changed, ["src/a.rs"]);
}

#[test]
fn ignored_files_and_touches_are_no_change() {
    let dir = repository();
    let before = take(dir.path(), &nobody());
    fs::create_dir(dir.path().join("target")).expect("mkdir");
    fs::write(dir.path().join("target/out"), "x").expect("write");
    let text = fs::read(dir.path().join("src/a.rs")).expect("read");
    fs::write(dir.path().join("src/a.rs"), text).expect("write");
    let fact = before.looked_at_again();
    assert_eq!(fact.changed, Vec::<String>::new());
    assert_eq!(fact.fingerprint, before.fact(&still()).fingerprint);
}

#[test]
fn what_git_ignores_is_known_by_names_sizes_and_small_contents() {
    let dir = repository();
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
        fs::write(path, text).expect("write");
    };
    let mut last = take(dir.path(), &nobody()).fact(&still());
    assert!(last.ignored.is_some());
    let mut look = |what: &str, moves: bool| {
        let fact = take(dir.path(), &nobody()).fact(&still());
        assert_eq!(fact.ignored != last.ignored, moves, "{what}");
        assert_eq!(fact.fingerprint, last.fingerprint, "{what}: no verdict depends on it");
        last = fact;
    };
    look("nothing", false);
    write("target/deep/out", "x");
    look("a file", true);
    write("target/deep/out", "x");
    look("the same again", false);
    write("target/deep/out", "y");
    look("another content of the same size", true);
    write("target/large", &"x".repeat(100_000));
    look("a large file", true);
    write("target/large", &"y".repeat(100_000));
    look("a large file of the same size", false);
    write("target/large", &"y".repeat(100_001));
    look("a larger one", true);
    for number in 0..2_000 {
        write(&format!("target/many/{number}"), "x");
    }
    look("more than is looked at", true);
}

#[test]
fn a_repository_without_a_commit_and_a_subdirectory_of_one_are_measured() {
    let dir = tempfile::tempdir().expect("a directory");
    run_git(dir.path(), &["init", "-q"]);
    fs::create_dir_all(dir.path().join("sub/empty")).expect("mkdir");
    let before = take(&dir.path().join("sub"), &nobody());
    assert!(before.fact(&still()).fingerprint.is_some());
    fs::write(dir.path().join("sub/empty/deep"), "x").expect("write");
    assert_eq!(before.looked_at_again().changed, ["sub/empty/deep"]);
    fs::remove_file(dir.path().join("sub/empty/deep")).expect("remove");
    fs::write(dir.path().join("top"), "x").expect("write");
    assert_eq!(before.looked_at_again().changed, ["top"], "the whole repository counts, not the subdirectory alone");
}

#[test]
fn outside_of_git_all_files_are_watched() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("a"), "1").expect("write");
    let before = take(dir.path(), &nobody());
    assert!(before.fact(&still()).fingerprint.is_some());
    assert_eq!(before.looked_at_again(), before.fact(&still()));
    fs::write(dir.path().join("b"), "2").expect("write");
    assert_eq!(before.looked_at_again().changed, ["b"]);
}

#[test]
fn what_ccc_itself_writes_is_nobodys_change() {
    for dir in [repository(), tempfile::tempdir().expect("a directory")] {
        let (log, state) = (dir.path().join("ccc.log"), dir.path().join("state"));
        fs::write(&log, "Supervisor").expect("write");
        fs::create_dir(&state).expect("mkdir");
        let meta = fs::metadata(&log).expect("stat");
        let ours = Arc::new(TreeObserver {
            files: vec![(meta.dev(), meta.ino())],
            state_dir: state.clone(),
            ..ours(DEADLINE)
        });
        let before = take(dir.path(), &ours);
        fs::write(&log, "Supervisor mode enabled").expect("write");
        fs::write(state.join("journal.jsonl"), "{}").expect("write");
        assert_eq!(before.looked_at_again(), before.fact(&still()));
        fs::write(dir.path().join("other.log"), "x").expect("write");
        assert!(
            before.looked_at_again().changed.iter().any(|path| path == "other.log"),
            "what others write is still seen"
        );
    }
}

/// A repository `lib` in another, as a submodule or as a plain nested repository.
fn nested(submodule: bool) -> tempfile::TempDir {
    let (outer, inner) = (repository(), repository());
    if submodule {
        let from = inner.path().display().to_string();
        run_git(outer.path(), &["-c", "protocol.file.allow=always", "submodule", "add", "-q", &from, "lib"]);
        run_git(outer.path(), &["commit", "-qm", "lib"]);
    } else {
        run_git(outer.path(), &["clone", "-q", &inner.path().display().to_string(), "lib"]);
    }
    outer
}

#[test]
fn what_changes_in_a_submodule_or_a_nested_repository_is_seen_and_named() {
    type Change = fn(&Path);
    let table: &[(&str, Change, &str)] = &[
        ("an edit", |lib| fs::write(lib.join("src/a.rs"), "two").expect("write"), "lib/src/a.rs"),
        ("a new file", |lib| fs::write(lib.join("b.txt"), "two").expect("write"), "lib/b.txt"),
        (
            "an index alone",
            |lib| run_git(lib, &["update-index", "--cacheinfo", "100755", &blob(lib), "src/a.rs"]),
            "lib (the repository's head or index)",
        ),
        (
            "a file in a repository deeper still",
            |lib| {
                run_git(lib, &["init", "-q", "deep"]);
                fs::write(lib.join("deep/c.txt"), "x").expect("write");
            },
            "lib/deep/c.txt",
        ),
    ];
    for submodule in [true, false] {
        for (what, change, path) in table {
            let dir = nested(submodule);
            let before = take(dir.path(), &nobody());
            assert_eq!(before.looked_at_again(), before.fact(&still()), "{what}");
            change(&dir.path().join("lib"));
            let fact = before.looked_at_again();
            assert!(fact.changed.iter().any(|changed| changed == path), "{what} ({submodule}): {:?}", fact.changed);
            assert_ne!(fact.fingerprint, before.fact(&still()).fingerprint, "{what}");
        }
    }
}

#[test]
fn repositories_below_a_directory_that_git_does_not_know_are_measured_too() {
    let dir = tempfile::tempdir().expect("a directory");
    run_git(dir.path(), &["init", "-q", "one"]);
    fs::write(dir.path().join("one/a"), "x").expect("write");
    let before = take(dir.path(), &nobody());
    run_git(&dir.path().join("one"), &["status"]);
    assert_eq!(before.looked_at_again().changed, Vec::<String>::new(), "git's own bookkeeping is no change");
    fs::write(dir.path().join("one/b"), "x").expect("write");
    assert_eq!(before.looked_at_again().changed, ["one/b"]);
}

#[test]
fn what_moves_by_itself_is_left_out_of_changes_and_fingerprint() {
    let dir = repository();
    fs::write(dir.path().join("app.log"), "1").expect("write");
    let moving = BTreeSet::from(["app.log".to_owned()]);
    let before = take(dir.path(), &nobody());
    fs::write(dir.path().join("app.log"), "1 and 2").expect("write");
    let now = before.again(&moving);
    assert_eq!(now.fact_since(&before, &moving), before.fact(&moving));
    assert_eq!(before.looked_at_again().changed, ["app.log"]);
    fs::write(dir.path().join("src/a.rs"), "two").expect("write");
    let now = before.again(&moving);
    assert_eq!(now.fact_since(&before, &moving).changed, ["src/a.rs"]);
}

#[test]
fn a_change_right_after_the_measurement_is_seen() {
    for round in 0..20 {
        let dir = repository();
        fs::write(dir.path().join("src/a.rs"), "one").expect("write");
        let before = take(dir.path(), &nobody());
        fs::write(dir.path().join("src/a.rs"), "six").expect("write");
        assert_eq!(before.looked_at_again().changed, ["src/a.rs"], "round {round}");
    }
}

/// Every program that git lets a repository name; each would leave a file.
#[test]
fn no_program_that_the_repository_names_is_run() {
    use std::os::unix::fs::PermissionsExt;
    let ground = tempfile::tempdir().expect("a directory");
    let traces = ground.path().join("traces");
    fs::create_dir(&traces).expect("mkdir");
    let dir = nested(true);
    let program = |name: &str| format!("echo ran > '{}'; cat", traces.join(name).display());
    let hook_dir = ground.path().join("hooks");
    fs::create_dir(&hook_dir).expect("mkdir");
    for hook in ["post-index-change", "pre-commit", "post-checkout", "fsmonitor-watchman", "reference-transaction"] {
        for place in [hook_dir.clone(), dir.path().join(".git/hooks"), dir.path().join(".git/modules/lib/hooks")] {
            fs::create_dir_all(&place).expect("mkdir");
            let file = place.join(hook);
            fs::write(&file, format!("#!/bin/sh\n{}\n", program(&format!("hook-{hook}")))).expect("write");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("chmod");
        }
    }
    let keys: &[&str] = &[
        "filter.evil.clean",
        "filter.evil.smudge",
        "filter.evil.process",
        "diff.evil.textconv",
        "diff.evil.command",
        "diff.external",
        "core.fsmonitor",
        "core.sshCommand",
        "core.gitProxy",
        "core.pager",
        "core.editor",
        "core.askPass",
        "core.alternateRefsCommand",
        "pager.ls-files",
        "pager.rev-parse",
        "alias.ls-files",
        "alias.rev-parse",
        "gpg.program",
        "credential.helper",
        "merge.evil.driver",
        "submodule.lib.update",
        "sequence.editor",
        "uploadpack.packObjectsHook",
    ];
    for root in [dir.path().to_owned(), dir.path().join("lib")] {
        for key in keys {
            let value = program(key);
            // For these keys git takes a value with `!` as a command.
            let value =
                if key.starts_with("alias") || *key == "submodule.lib.update" { format!("!{value}") } else { value };
            run_git(&root, &["config", key, &value]);
        }
        run_git(&root, &["config", "core.hooksPath", &hook_dir.display().to_string()]);
        run_git(&root, &["config", "filter.evil.required", "true"]);
        run_git(&root, &["config", "submodule.recurse", "true"]);
        run_git(&root, &["config", "extensions.partialClone", "origin"]);
        run_git(&root, &["config", "remote.origin.promisor", "true"]);
        run_git(&root, &["config", "remote.origin.url", "ssh://nowhere.invalid/x"]);
        run_git(&root, &["config", "remote.origin.uploadpack", &program("uploadpack")]);
        fs::write(root.join(".gitattributes"), "* filter=evil diff=evil merge=evil\n").expect("write");
        // Same size as before, so git would have to filter it to detect the change.
        fs::write(root.join("src/a.rs"), "two").expect("write");
    }
    let left = || fs::read_dir(&traces).expect("list").flatten().map(|trace| trace.file_name()).collect::<Vec<_>>();
    for trace in left() {
        fs::remove_file(traces.join(trace)).expect("what setting it up ran");
    }
    let before = take(dir.path(), &nobody());
    assert!(before.fact(&still()).fingerprint.is_some(), "{:?}", before.fact(&still()));
    for root in [dir.path().to_owned(), dir.path().join("lib")] {
        fs::write(root.join("src/a.rs"), "six").expect("write");
    }
    let fact = before.looked_at_again();
    assert_eq!(fact.changed, ["lib/src/a.rs", "src/a.rs"]);
    assert_eq!(left(), Vec::<std::ffi::OsString>::new());
    // The premise: a plain `git status` does run some of them.
    let plain = Command::new("git").args(["status", "--porcelain"]).current_dir(dir.path()).output().expect("git runs");
    assert!(!left().is_empty(), "{plain:?}");
}

#[test]
fn a_configuration_that_names_another_working_tree_does_not_lead_away() {
    let (dir, other) = (repository(), repository());
    run_git(dir.path(), &["config", "core.worktree", &other.path().display().to_string()]);
    let before = take(dir.path(), &nobody());
    fs::write(other.path().join("src/a.rs"), "two").expect("write");
    assert_eq!(before.looked_at_again().changed, Vec::<String>::new());
    fs::write(dir.path().join("src/a.rs"), "two").expect("write");
    assert_eq!(before.looked_at_again().changed, ["src/a.rs"]);
}

#[test]
fn a_git_that_hangs_is_ended_and_its_kind_is_told() {
    for file in [".git/HEAD", ".git/index", ".git/info/exclude", ".gitignore"] {
        let dir = repository();
        let fifo = dir.path().join(file);
        let _ = fs::remove_file(&fifo);
        crate::files::make_fifo(&fifo);
        let ours = Arc::new(ours(Duration::from_millis(300)));
        let fact = take(dir.path(), &ours).fact(&still());
        // Newer versions of git reject some of these files instead of hanging.
        if file == ".git/HEAD" {
            assert_eq!((fact.fingerprint.clone(), fact.fault), (None, Some(TreeFault::Hung)), "{file}: {fact:?}");
            assert!(fact.trouble.is_some_and(|trouble| trouble.contains("did not end within")), "{file}");
        }
    }
}

#[test]
fn a_fifo_and_a_link_to_a_device_in_the_tree_are_not_read() {
    for dir in [repository(), tempfile::tempdir().expect("a directory")] {
        crate::files::make_fifo(&dir.path().join("pipe"));
        std::os::unix::fs::symlink("/dev/zero", dir.path().join("zeros")).expect("a link");
        let before = take(dir.path(), &nobody());
        assert!(before.fact(&still()).fingerprint.is_some());
        fs::remove_file(dir.path().join("zeros")).expect("remove");
        std::os::unix::fs::symlink("/dev/null", dir.path().join("zeros")).expect("a link");
        assert_eq!(before.looked_at_again().changed, ["zeros"]);
    }
}
