use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};

use super::*;
use crate::git::tests::{Ground, Hostile, write};
use crate::git::{Git, Place};

const REFERENCE: &str = "refs/ccc/run/1";

/// A checkpoint to be taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CheckpointRequest<'a> {
    pub(crate) tree: &'a Path,
    pub(crate) reference: &'a str,
    pub(crate) expected: Expected<'a>,
    pub(crate) message: &'a str,
    pub(crate) file_limit_bytes: u64,
}

impl<'a> CheckpointRequest<'a> {
    pub(crate) fn new(tree: &'a Path, reference: &'a str, message: &'a str) -> Self {
        Self { tree, reference, expected: Expected::Absent, message, file_limit_bytes: FILE_LIMIT_BYTES }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) commit: String,
    pub(crate) tree: String,
    pub(crate) parent: Option<String>,
    pub(crate) left_out: Vec<LeftOut>,
}

/// Takes a checkpoint.
pub(crate) fn take(git: &Git, request: &CheckpointRequest<'_>) -> Result<Checkpoint, CheckpointError> {
    let of = TreeRequest {
        file_limit_bytes: request.file_limit_bytes,
        verbatim: true,
        ..TreeRequest::of(git, request.tree)?
    };
    let WrittenTree { tree, left_out } = write_tree(git, &of)?;
    let commit = commit_tree(git, &of.repository, &tree, of.head.as_deref(), request.message)?;
    set_reference(git, &of.repository.place(), request.reference, &commit, request.expected)?;
    Ok(Checkpoint { commit, tree, parent: of.head, left_out })
}

fn taken(ground: &Ground) -> Checkpoint {
    let tree = ground.project();
    let request =
        CheckpointRequest { expected: Expected::Anything, ..CheckpointRequest::new(&tree, REFERENCE, "a stop") };
    take(&ground.ours(), &request).expect("taken")
}

/// The files of a commit.
fn files(ground: &Ground, commit: &str) -> Vec<String> {
    ground.git(&["ls-tree", "-r", "--name-only", commit]).lines().map(str::to_owned).collect()
}

/// All that a checkpoint must not change.
fn state_of_user(ground: &Ground) -> Vec<String> {
    let git_dir = PathBuf::from(ground.git(&["rev-parse", "--absolute-git-dir"]));
    let read = |name: &str| format!("{:?}", fs::read(git_dir.join(name)).ok());
    let refs = ground.git(&["for-each-ref", "--format=%(refname) %(objectname)"]);
    let refs: Vec<&str> = refs.lines().filter(|line| !line.starts_with("refs/ccc/")).collect();
    let mut state: Vec<String> = ["index", "HEAD", "config", "logs/HEAD", "MERGE_HEAD", "ORIG_HEAD"].map(read).into();
    state.push(refs.join("\n"));
    state.push(format!("{:?}", fs::read_dir(&git_dir).expect("listed").flatten().count()));
    state
}

#[test]
fn all_files_but_the_ignored_are_in_it_and_the_users_git_is_untouched() {
    let ground = Ground::new();
    ground.write("staged.rs", "staged");
    ground.git(&["add", "staged.rs"]);
    ground.write("src/a.rs", "two\n");
    ground.write("new/deep.rs", "new");
    ground.write("target/built", "ignored");
    ground.write("with\nline \"end\".rs", "odd");
    symlink("/nowhere", ground.project().join("link")).expect("link");
    fs::set_permissions(ground.project().join("staged.rs"), fs::Permissions::from_mode(0o755)).expect("chmod");
    let before = state_of_user(&ground);
    let head = ground.git(&["rev-parse", "HEAD"]);
    let checkpoint = taken(&ground);
    assert_eq!(state_of_user(&ground), before);
    assert_eq!(checkpoint.parent.as_deref(), Some(head.as_str()));
    assert_eq!(checkpoint.left_out, []);
    assert_eq!(ground.git(&["rev-parse", REFERENCE]), checkpoint.commit);
    assert_eq!(
        ground.git(&["log", "-1", "--format=%P|%T|%an|%s", REFERENCE]),
        format!("{head}|{}|ccc|a stop", checkpoint.tree)
    );
    let tree = ground.git(&["-c", "core.quotePath=false", "ls-tree", "-r", &checkpoint.commit]);
    assert_eq!(tree.lines().count(), 6, "{tree}");
    assert!(tree.contains("100755") && tree.contains("120000"), "{tree}");
    assert_eq!(ground.git(&["show", &format!("{REFERENCE}:src/a.rs")]), "two");
    assert!(!ground.project().join(".git/logs/refs/ccc").exists());
    // Without a change the same tree comes out.
    assert_eq!(taken(&ground).tree, checkpoint.tree);
}

#[test]
fn a_removed_file_is_not_in_it_and_a_change_of_the_same_size_is() {
    let ground = Ground::new();
    for round in 0..10 {
        ground.write("src/b.rs", &format!("{round}a"));
        ground.git(&["add", "-A"]);
        // In the same moment, and with the same size: only the index's own time tells that the file may have changed.
        ground.write("src/b.rs", &format!("{round}b"));
        let checkpoint = taken(&ground);
        assert_eq!(ground.git(&["show", &format!("{}:src/b.rs", checkpoint.commit)]), format!("{round}b"));
    }
    fs::remove_file(ground.project().join("src/a.rs")).expect("removed");
    assert_eq!(files(&ground, &taken(&ground).commit), [".gitignore", "src/b.rs"]);
}

#[test]
fn a_reference_is_changed_only_from_the_expected_value_and_only_below_refs_ccc() {
    let ground = Ground::new();
    let (git, tree) = (ground.ours(), ground.project());
    let request = CheckpointRequest::new(&tree, REFERENCE, "x");
    let first = take(&git, &request).expect("a new reference");
    let error = take(&git, &request).expect_err("it exists");
    assert!(matches!(error, CheckpointError::ReferenceMoved { .. }), "{error}");
    ground.write("src/a.rs", "two");
    let second =
        take(&git, &CheckpointRequest { expected: Expected::Commit(&first.commit), ..request }).expect("as expected");
    let error =
        take(&git, &CheckpointRequest { expected: Expected::Commit(&first.commit), ..request }).expect_err("another");
    assert!(matches!(error, CheckpointError::ReferenceMoved { .. }), "{error}");
    assert_eq!(ground.git(&["rev-parse", REFERENCE]), second.commit);
    for reference in ["refs/heads/main", "HEAD", "refs/ccc/../heads/main", "refs/ccc/"] {
        assert!(take(&git, &CheckpointRequest { reference, ..request }).is_err(), "{reference}");
    }
    assert_eq!(next_reference(&git, &Place::tree(&tree), "refs/ccc/run").expect("listed"), "refs/ccc/run/2");
    assert_eq!(next_reference(&git, &Place::tree(&tree), "refs/ccc/ru").expect("listed"), "refs/ccc/ru/1");
    delete_references(&git, &Place::tree(&tree), [(REFERENCE, &*first.commit)]).expect_err("another value");
    delete_references(&git, &Place::tree(&tree), [(REFERENCE, &*second.commit)]).expect("removed");
    assert_eq!(ground.git(&["for-each-ref", "refs/ccc"]), "");
}

#[test]
fn large_special_and_foreign_things_are_left_out_by_name() {
    let ground = Ground::new();
    ground.write("kept.bin", &"k".repeat(2000));
    ground.write("grown.bin", &"g".repeat(2000));
    ground.write("pipe", "a file before");
    ground.commit("large ones");
    fs::remove_file(ground.project().join("pipe")).expect("removed");
    ground.write("grown.bin", &"G".repeat(3000));
    ground.write("new/big [1].bin", &"n".repeat(2000));
    ground.write("new/big 1.bin", "small: the brackets above are no pattern");
    crate::files::make_fifo(&ground.project().join("pipe"));
    fs::create_dir(ground.project().join("other")).expect("mkdir");
    ground.git_in(&ground.project().join("other"), &["init", "-q"]);
    ground.write("other/inside", "x");
    let tree = ground.project();
    let request = CheckpointRequest { file_limit_bytes: 1000, ..CheckpointRequest::new(&tree, REFERENCE, "x") };
    let checkpoint = take(&ground.ours(), &request).expect("taken");
    let left: Vec<String> = checkpoint.left_out.iter().map(ToString::to_string).collect();
    assert_eq!(
        left,
        ["grown.bin (1 MiB)", "new/big [1].bin (1 MiB)", "other (a repository of its own)", "pipe (not a file)"]
    );
    assert_eq!(
        files(&ground, &checkpoint.commit),
        [".gitignore", "grown.bin", "kept.bin", "new/big 1.bin", "pipe", "src/a.rs"]
    );
    assert!(ground.git(&["show", &format!("{REFERENCE}:grown.bin")]).starts_with('g'), "the version of the index");
}

#[test]
fn no_program_of_the_repository_is_run_and_contents_are_as_they_lie_there() {
    let ground = Ground::new();
    let hostile = Hostile::new(&ground, &ground.project());
    ground.on_agents_branch();
    hostile.forget();
    for name in ["src/a.rs", "x.late", "x.odd"] {
        ground.write(name, "two\n");
    }
    let checkpoint = taken(&ground);
    assert_eq!(hostile.seen(), Vec::<String>::new());
    for name in ["src/a.rs", "x.late", "x.odd"] {
        assert_eq!(ground.git(&["cat-file", "blob", &format!("{REFERENCE}:{name}")]), "two", "{name}");
    }
    let (git, place) = (ground.ours(), Place::tree(&ground.project()));
    let patch = diff(&git, &place, "HEAD", &checkpoint.commit, &[]).expect("compared");
    assert!(String::from_utf8_lossy(&patch).contains("-one\n+two\n"));
    summary(&git, &place, "HEAD", &checkpoint.commit).expect("compared");
    hostile.forget();
    // The premise: a plain `git add` does run some of them.
    ground.try_git(&ground.project(), &["add", "-A"]);
    assert!(hostile.seen().len() > 1, "{:?}", hostile.seen());
}

#[test]
fn a_merge_and_a_rebase_that_are_not_finished_are_kept_with_their_conflicts_and_go_on() {
    for (begin, proceed, file) in [("merge", "commit", "MERGE_HEAD"), ("rebase", "rebase", "rebase-merge")] {
        let ground = Ground::new();
        ground.git(&["checkout", "-q", "-b", "side"]);
        ground.write("src/a.rs", "side\n");
        ground.write("big.bin", &"s".repeat(20));
        ground.commit("side");
        ground.git(&["checkout", "-q", "main"]);
        ground.write("src/a.rs", "main\n");
        ground.write("big.bin", &"m".repeat(2000));
        ground.commit("main");
        let (code, _) = ground.try_git(&ground.project(), &[begin, "side"]);
        assert_eq!(code, Some(1), "a conflict");
        let before = state_of_user(&ground);
        let checkpoint = taken(&ground);
        assert_eq!(state_of_user(&ground), before, "{begin}");
        let kept = ground.git(&["show", &format!("{}:src/a.rs", checkpoint.commit)]);
        assert!(kept.contains("<<<<<<<") && kept.contains(">>>>>>>"), "{kept}");
        // Also when a file with a conflict is left out.
        let tree = ground.project();
        let small =
            CheckpointRequest { file_limit_bytes: 1000, ..CheckpointRequest::new(&tree, "refs/ccc/run/2", "x") };
        let small = take(&ground.ours(), &small).expect("taken");
        assert_eq!(small.left_out.len(), 1, "{:?}", small.left_out);
        assert!(ground.project().join(".git").join(file).exists(), "{begin} is still going on");
        ground.write("src/a.rs", "both\n");
        ground.write("big.bin", "both\n");
        ground.git(&["add", "-A"]);
        let more: &[&str] = if proceed == "rebase" { &["--continue"] } else { &["-m", "merged"] };
        ground.git(&[&["-c", "core.editor=true", proceed], more].concat());
    }
}

#[test]
fn before_the_first_commit_and_without_an_index_it_has_no_parent_and_all_files() {
    let ground = Ground::empty();
    let checkpoint = taken(&ground);
    assert_eq!((checkpoint.parent, files(&ground, &checkpoint.commit)), (None, Vec::new()));
    ground.write("a", "1");
    ground.write(".gitignore", "b\n");
    ground.write("b", "2");
    let checkpoint = taken(&ground);
    assert_eq!(checkpoint.parent, None);
    assert_eq!(files(&ground, &checkpoint.commit), [".gitignore", "a"]);
    let ground = Ground::new();
    ground.write("target/tracked", "an ignored file that is tracked");
    ground.git(&["add", "-f", "target/tracked"]);
    ground.commit("ignored");
    fs::remove_file(ground.project().join(".git/index")).expect("removed");
    assert!(files(&ground, &taken(&ground).commit).contains(&"target/tracked".to_owned()));
}

#[test]
fn without_a_repository_and_in_a_bare_one_it_is_refused_in_words() {
    let ground = Ground::new();
    let request = |dir: &Path| take(&ground.ours(), &CheckpointRequest::new(dir, REFERENCE, "x"));
    let error = request(&ground.at("home")).expect_err("no repository");
    assert!(matches!(error, CheckpointError::NoRepository { .. }) && error.to_string().contains("git init"), "{error}");
    ground.git_in(&ground.at(""), &["clone", "-q", "--bare", "project", "bare.git"]);
    let error = request(&ground.at("bare.git")).expect_err("bare");
    assert!(matches!(error, CheckpointError::Bare { .. }), "{error}");
    // The layout of a bare repository beside its working trees.
    write(&ground.at("around/.git"), &format!("gitdir: {}\n", ground.at("bare.git").display()));
    let error = request(&ground.at("around")).expect_err("bare");
    assert!(matches!(error, CheckpointError::Bare { .. }), "{error}");
}

#[test]
fn a_shallow_repository_and_a_linked_tree_are_as_any_other() {
    let ground = Ground::new();
    ground.commit("second");
    let url = format!("file://{}", ground.project().display());
    ground.git_in(&ground.at(""), &["clone", "-q", "--depth", "1", &url, "shallow"]);
    let tree = ground.at("tree");
    ground.git(&["worktree", "add", "-q", "-b", "side", &tree.display().to_string()]);
    for dir in [ground.at("shallow"), tree] {
        write(&dir.join("src/deep/new.rs"), "new");
        let request = CheckpointRequest::new(&dir, REFERENCE, "x");
        let checkpoint = take(&ground.ours(), &request).expect("taken");
        let names = ground.git_in(&dir, &["ls-tree", "-r", "--name-only", &checkpoint.commit]);
        assert_eq!(names, ".gitignore\nsrc/a.rs\nsrc/deep/new.rs");
        assert!(ground.git_in(&dir, &["status", "--porcelain"]).starts_with("??"), "still untracked");
    }
}

#[test]
fn a_submodule_is_its_head_and_none_of_its_programs_is_run() {
    let (ground, library) = (Ground::new(), Ground::new());
    let url = library.project().display().to_string();
    for name in ["lib", "empty", "gone"] {
        ground.git(&["submodule", "add", "-q", &url, name]);
    }
    ground.commit("submodules");
    ground.git(&["submodule", "deinit", "-q", "-f", "empty"]);
    fs::remove_dir_all(ground.project().join("gone")).expect("removed");
    let lib = ground.project().join("lib");
    ground.git_in(&lib, &["commit", "-q", "--allow-empty", "-m", "ahead"]);
    ground.git_in(&lib, &["config", "filter.evil.clean", &format!("touch {}; cat", ground.at("ran").display())]);
    write(&lib.join(".gitattributes"), "* filter=evil\n");
    write(&lib.join("src/a.rs"), "two\n");
    let checkpoint = taken(&ground);
    assert!(!ground.at("ran").exists());
    let tree = ground.git(&["ls-tree", &checkpoint.commit]);
    let head = ground.git_in(&lib, &["rev-parse", "HEAD"]);
    assert!(tree.contains(&format!("160000 commit {head}\tlib")), "{tree}");
    assert!(tree.contains("\tempty") && !tree.contains("\tgone"), "{tree}");
}

#[test]
fn a_sparse_tree_keeps_what_is_not_checked_out_and_hidden_changes_are_seen() {
    let ground = Ground::new();
    ground.write("docs/a.md", "docs\n");
    ground.write("docs/deep/b.md", "docs\n");
    ground.commit("docs");
    for cone in ["--sparse-index", "--no-sparse-index"] {
        ground.git(&["sparse-checkout", "set", "--cone", cone, "src"]);
        assert!(!ground.project().join("docs").exists());
        ground.write("src/a.rs", "two\n");
        // A file outside of what is checked out.
        ground.write("other/c.rs", "new\n");
        let checkpoint = taken(&ground);
        assert_eq!(
            files(&ground, &checkpoint.commit),
            [".gitignore", "docs/a.md", "docs/deep/b.md", "other/c.rs", "src/a.rs"],
            "{cone}"
        );
        assert_eq!(ground.git(&["show", &format!("{}:src/a.rs", checkpoint.commit)]), "two");
    }
    ground.git(&["sparse-checkout", "disable"]);
    for mark in ["--assume-unchanged", "--skip-worktree"] {
        ground.git(&["update-index", mark, "src/a.rs"]);
        ground.write("src/a.rs", mark);
        let checkpoint = taken(&ground);
        assert_eq!(ground.git(&["show", &format!("{}:src/a.rs", checkpoint.commit)]), mark);
        assert!(!ground.git(&["ls-files", "-v", "src/a.rs"]).starts_with("H "), "the user's mark stays");
        ground.git(&["update-index", &mark.replacen("--", "--no-", 1), "src/a.rs"]);
    }
}

#[test]
fn a_file_of_git_lfs_stays_its_pointer_until_its_content_changes() {
    let ground = Ground::new();
    let content = "large content\n";
    let pointer = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n",
        crate::journal::sha256_hex(content.as_bytes()),
        content.len()
    );
    ground.write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    ground.write("a.bin", &pointer);
    ground.commit("a pointer");
    // What the smudge filter would have written.
    ground.write("a.bin", content);
    let checkpoint = taken(&ground);
    assert_eq!(ground.git(&["cat-file", "blob", &format!("{}:a.bin", checkpoint.commit)]), pointer.trim());
    ground.write("a.bin", "other content\n");
    let checkpoint = taken(&ground);
    assert_eq!(ground.git(&["cat-file", "blob", &format!("{}:a.bin", checkpoint.commit)]), "other content");
}

#[test]
fn a_file_that_cannot_be_read_is_left_out() {
    if rustix::process::geteuid().is_root() {
        return;
    }
    let ground = Ground::new();
    ground.write("secret", "x");
    fs::set_permissions(ground.project().join("secret"), fs::Permissions::from_mode(0o000)).expect("chmod");
    let left: Vec<String> = taken(&ground).left_out.iter().map(ToString::to_string).collect();
    assert_eq!(left, ["secret (cannot be read)"]);
}

#[test]
fn the_difference_is_told_as_a_patch_as_numbers_and_as_paths() {
    let ground = Ground::new();
    ground.write("old.rs", &"a line that stays\n".repeat(20));
    ground.write("gone.rs", "1\n2\n");
    let from = ground.commit("before");
    fs::rename(ground.project().join("old.rs"), ground.project().join("new \"name\".rs")).expect("renamed");
    fs::remove_file(ground.project().join("gone.rs")).expect("removed");
    ground.write("src/a.rs", "one\ntwo\n");
    fs::write(ground.project().join("x.bin"), [0u8, 159, 146, 150]).expect("write");
    ground.git(&["config", "diff.noprefix", "true"]);
    ground.git(&["config", "color.ui", "always"]);
    let checkpoint = taken(&ground);
    let (git, place) = (ground.ours(), Place::tree(&ground.project()));
    let found = summary(&git, &place, &from, &checkpoint.commit).expect("compared");
    let told: Vec<_> = found.files.iter().map(|file| (file.path.to_str(), file.lines)).collect();
    assert_eq!(
        told,
        [
            (Some("gone.rs"), Some((0, 2))),
            (Some("new \"name\".rs"), Some((0, 0))),
            (Some("src/a.rs"), Some((1, 0))),
            (Some("x.bin"), None)
        ]
    );
    assert_eq!(found.files[1].renamed_from.as_deref(), Some(Path::new("old.rs")));
    assert_eq!((found.added, found.removed), (1, 2));
    let paths = changed_paths(&git, &place, &from, &checkpoint.commit).expect("compared");
    assert_eq!(paths, ["gone.rs", "new \"name\".rs", "old.rs", "src/a.rs", "x.bin"].map(PathBuf::from));
    let patch = diff(&git, &place, &from, &checkpoint.tree, &[Path::new("src")]).expect("compared");
    let patch = String::from_utf8_lossy(&patch);
    assert!(patch.starts_with("diff --git a/src/a.rs b/src/a.rs\n") && patch.ends_with(" one\n+two\n"), "{patch}");
    assert!(diff(&git, &place, "--output=/tmp/x", &checkpoint.commit, &[]).is_err());
}

fn kept(ground: &Ground, why: &str) -> Kept {
    keep(&ground.ours(), &ground.project(), "run-1", why, None).expect("kept")
}

fn repository(ground: &Ground) -> crate::git::Repository {
    crate::git::Repository::find(&ground.project()).expect("a repository")
}

/// Restores these paths of a checkpoint, as `ccc restore` does.
fn restored(ground: &Ground, to: &Kept, paths: &[&Path]) -> Result<RestorePlan, CheckpointError> {
    let (git, repository) = (ground.ours(), repository(ground));
    let before = kept(ground, "before");
    let plan = plan_restore(&git, &repository, &before.commit, &to.commit, paths)?;
    restore(&git, &repository, &before.commit, &plan)?;
    Ok(plan)
}

fn read(ground: &Ground, name: &str) -> Option<String> {
    fs::read_to_string(ground.project().join(name)).ok()
}

#[test]
fn the_checkpoints_of_a_run_are_numbered_and_one_that_would_be_the_same_is_the_last_one() {
    let ground = Ground::new();
    let first = kept(&ground, "before the agent began");
    assert_eq!((first.number, first.is_new), (1, true));
    let same = kept(&ground, "the agent stopped");
    assert_eq!((same.number, same.is_new, &same.commit), (1, false, &first.commit));
    for number in 2..=11 {
        ground.write("src/a.rs", &format!("{number}\n"));
        assert_eq!(kept(&ground, "the agent stopped").number, number);
    }
    // The same files on another commit are another state.
    ground.commit("the agent's");
    assert_eq!(kept(&ground, "the agent stopped").number, 12);
    let (git, place) = (ground.ours(), repository(&ground).shared());
    let entries = list(&git, &place, "run-1").expect("listed");
    assert_eq!(entries.iter().map(|entry| entry.number).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    assert_eq!((entries[0].why.as_str(), &entries[0].commit), ("before the agent began", &first.commit));
    assert!(entries[0].unix_s > 1_700_000_000 && entries[11].parent != entries[10].parent);
    assert_eq!(list(&git, &place, "run").expect("listed"), [], "another run");
    assert_eq!(remove_all(&git, &repository(&ground), "run-1").expect("removed"), 12);
    assert_eq!(ground.git(&["for-each-ref", "refs/ccc"]), "");
}

#[test]
fn what_is_known_of_the_last_checkpoint_saves_asking_and_is_not_trusted() {
    let ground = Ground::new();
    let again =
        |why: &str, before: &Kept| keep(&ground.ours(), &ground.project(), "run-1", why, Some(before)).expect("kept");
    let first = kept(&ground, "before the agent began");
    let same = again("the agent stopped", &first);
    assert_eq!((same.number, same.is_new, &same.commit), (1, false, &first.commit));
    ground.write("src/a.rs", "two\n");
    let second = again("the agent stopped", &same);
    assert_eq!((second.number, second.is_new), (2, true));
    // Another process has kept the third one meanwhile.
    ground.write("src/a.rs", "three\n");
    assert_eq!(kept(&ground, "restored").number, 3);
    ground.write("src/a.rs", "four\n");
    let fourth = again("the agent stopped", &second);
    assert_eq!((fourth.number, fourth.is_new), (4, true));
    // The references are gone: one that would be the same has to be made.
    remove_all(&ground.ours(), &repository(&ground), "run-1").expect("removed");
    let fresh = again("the agent stopped", &fourth);
    assert_eq!((fresh.number, fresh.is_new, &fresh.tree), (1, true, &fourth.tree));
    assert!(ground.git(&["for-each-ref", "refs/ccc"]).contains(&fresh.commit));
}

#[test]
fn references_that_something_has_changed_or_removed_are_set_again_and_packed_ones_are_as_they_were() {
    let ground = Ground::new();
    let mut made = std::collections::BTreeMap::new();
    for number in 1..=3 {
        ground.write("src/a.rs", &format!("{number}\n"));
        let kept = kept(&ground, "the agent stopped");
        made.insert(kept.number, kept.commit);
    }
    let again = || set_again(&ground.ours(), &ground.project(), "run-1", &made).expect("set");
    assert_eq!(again(), 0);
    ground.git(&["pack-refs", "--all"]);
    assert_eq!(again(), 0);
    ground.git(&["update-ref", "refs/ccc/run-1/1", &made[&3]]);
    ground.git(&["update-ref", "-d", "refs/ccc/run-1/2"]);
    assert_eq!(again(), 2);
    let entries = list(&ground.ours(), &repository(&ground).shared(), "run-1").expect("listed");
    assert!(entries.iter().map(|entry| (&entry.number, &entry.commit)).eq(made.iter()), "{entries:?}");
}

#[test]
fn a_lock_that_a_killed_git_has_left_on_a_reference_of_ours_is_removed_and_one_that_is_held_is_waited_for() {
    let ground = Ground::new();
    let lock = |number: u64| ground.project().join(format!(".git/refs/ccc/run-1/{number}.lock"));
    write(&lock(1), "");
    assert_eq!(kept(&ground, "before the agent began").number, 1);
    assert!(!lock(1).exists());
    // One that is given up and taken again is held by somebody who lives.
    ground.write("src/a.rs", "two\n");
    let (done, over) = channel::<()>();
    std::thread::scope(|scope| {
        let lock = &lock;
        scope.spawn(move || {
            let held = || over.recv_timeout(std::time::Duration::from_millis(20)) == Err(RecvTimeoutError::Timeout);
            while held() {
                let _ = fs::remove_file(lock(2).with_extension("lock.old"));
                write(&lock(2).with_extension("lock.new"), "");
                let _ = fs::rename(lock(2).with_extension("lock.new"), lock(2));
            }
        });
        let error = keep(&ground.ours(), &ground.project(), "run-1", "the agent stopped", None);
        drop(done);
        let error = error.expect_err("it is held").to_string();
        assert!(error.contains("update-ref"), "{error}");
    });
    assert!(lock(2).exists(), "it is not ours to remove");
}

#[test]
fn two_that_keep_at_once_both_get_a_number() {
    let ground = Ground::new();
    std::thread::scope(|scope| {
        for at in 0..4 {
            let ground = &ground;
            scope.spawn(move || {
                let why = format!("thread {at}");
                // Every other one goes by what it knows, which another thread has made old.
                let mut last: Option<Kept> = None;
                for round in 0..3 {
                    fs::write(ground.project().join(format!("{at}.txt")), format!("{round}")).expect("written");
                    let before = last.as_ref().filter(|_| at % 2 == 0);
                    let kept = keep(&ground.ours(), &ground.project(), "run-1", &why, before).expect("kept");
                    last = Some(kept);
                }
            });
        }
    });
    let last = kept(&ground, "after");
    let entries = list(&ground.ours(), &repository(&ground).shared(), "run-1").expect("listed");
    assert!(entries.iter().map(|entry| entry.number).eq(1..=last.number), "no number is missing: {entries:?}");
}

#[test]
fn a_restore_writes_removes_and_brings_back_and_touches_nothing_else() {
    let ground = Ground::new();
    ground.write("gone.rs", "gone\n");
    ground.write("dir", "a file\n");
    let first = kept(&ground, "before the agent began");
    ground.write("src/a.rs", "worse\n");
    fs::remove_file(ground.project().join("gone.rs")).expect("removed");
    fs::remove_file(ground.project().join("dir")).expect("removed");
    ground.write("dir/inside", "now a directory\n");
    ground.write("new/deep/er.rs", "new\n");
    ground.write("target/built", "ignored\n");
    ground.write("staged.rs", "staged\n");
    ground.git(&["add", "staged.rs"]);
    let before = state_of_user(&ground);
    let plan = restored(&ground, &first, &[]).expect("restored");
    assert_eq!(state_of_user(&ground), before);
    let names = |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
    assert_eq!(names(&plan.written), ["dir", "gone.rs", "src/a.rs"]);
    assert_eq!(names(&plan.removed), ["dir/inside", "new/deep/er.rs", "staged.rs"]);
    assert_eq!(read(&ground, "src/a.rs").as_deref(), Some("one\n"));
    assert_eq!(
        (read(&ground, "dir").as_deref(), read(&ground, "gone.rs").as_deref()),
        (Some("a file\n"), Some("gone\n"))
    );
    assert!(!ground.project().join("new").exists(), "empty directories go");
    assert_eq!(read(&ground, "target/built").as_deref(), Some("ignored\n"));
    // And back: the restore itself is kept.
    let entries = list(&ground.ours(), &repository(&ground).shared(), "run-1").expect("listed");
    let back = Kept { number: 2, commit: entries[1].commit.clone(), ..first.clone() };
    restored(&ground, &back, &[]).expect("restored");
    assert_eq!(read(&ground, "dir/inside").as_deref(), Some("now a directory\n"));
    assert_eq!(read(&ground, "src/a.rs").as_deref(), Some("worse\n"));
    // Only what is named, which is no pattern.
    ground.write("*", "a star\n");
    restored(&ground, &first, &[Path::new("*")]).expect("restored");
    assert_eq!((read(&ground, "*"), read(&ground, "src/a.rs").as_deref()), (None, Some("worse\n")));
    restored(&ground, &first, &[Path::new("src")]).expect("restored");
    assert_eq!((read(&ground, "src/a.rs").as_deref(), read(&ground, "dir")), (Some("one\n"), None));
}

/// Git that takes attributes from a tree: 2.41 or newer.
pub(crate) fn git_keeps_bytes(ground: &Ground) -> bool {
    let version = ground.git(&["version"]);
    let mut parts = version.trim_start_matches("git version ").split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next(), parts.next()) >= (Some(2), Some(41))
}

/// Contents that git would convert, or could not.
pub(crate) const CONVERTED: [(&str, &[u8]); 6] = [
    ("t.crlf", b"a\r\nb\r\n"),
    ("u.crlf", b"line feeds\nonly\n"),
    ("m.auto", b"mixed\r\nends\n"),
    ("x.id", b"$Id$ and $Id: mine $\n"),
    ("b.dat", b"PNG\r\n\x1a\0\r\nprecious\r\n"),
    ("x.ko", &[0xff, 0xfe, 0xfa]),
];
pub(crate) const ATTRIBUTES: &str =
    "*.crlf text eol=crlf\n*.auto text=auto\n*.id ident\n*.dat text\n*.ko text working-tree-encoding=SHIFT_JIS\n";

#[test]
fn bytes_that_git_would_convert_come_back_as_they_were() {
    let ground = Ground::new();
    if !git_keeps_bytes(&ground) {
        return;
    }
    let attributes = |text: &str| ground.write(".gitattributes", text);
    let write_all = |bytes: Option<&[u8]>| {
        for (name, content) in CONVERTED {
            fs::write(ground.project().join(name), bytes.unwrap_or(content)).expect("written");
        }
    };
    for (settings, text, tracked) in
        [(&[][..], ATTRIBUTES, true), (&[], ATTRIBUTES, false), (&["core.autocrlf", "true"], "", true)]
    {
        attributes(text);
        write_all(None);
        if !settings.is_empty() {
            ground.git(&[&["config"], settings].concat());
        }
        if tracked {
            // What git has in its index is converted, and it takes the files for unchanged. It cannot add the last one.
            ground.git(&["add", ".gitattributes", "t.crlf", "u.crlf", "m.auto", "x.id", "b.dat"]);
        }
        let first = kept(&ground, "before the agent began");
        write_all(Some(b"worse\n"));
        restored(&ground, &first, &[]).expect("restored");
        for (name, content) in CONVERTED {
            let found = fs::read(ground.project().join(name)).expect("read");
            assert_eq!(found.escape_ascii().to_string(), content.escape_ascii().to_string(), "{name}, {settings:?}");
        }
        let tree = |kept: &Kept| ground.git(&["rev-parse", &format!("{}^{{tree}}", kept.commit)]);
        assert_eq!(tree(&kept(&ground, "once more")), tree(&first), "{settings:?}");
        ground.git(&["rm", "-q", "--cached", "--ignore-unmatch", "-r", "."]);
        ground.git(&["reset", "-q", "HEAD"]);
    }
}

#[test]
fn a_restore_changes_nothing_when_a_file_that_no_checkpoint_has_is_in_the_way() {
    let ground = Ground::new();
    ground.write("place", "a file\n");
    let first = kept(&ground, "before the agent began");
    fs::remove_file(ground.project().join("place")).expect("removed");
    ground.write("src/a.rs", "worse\n");
    fs::write(ground.project().join(".git/info/exclude"), "place\n").expect("written");
    ground.write("place", "ignored now, and nowhere else\n");
    let error = restored(&ground, &first, &[]).expect_err("it would be lost");
    assert!(error.to_string().contains("place"), "{error}");
    assert_eq!(read(&ground, "place").as_deref(), Some("ignored now, and nowhere else\n"));
    assert_eq!(read(&ground, "src/a.rs").as_deref(), Some("worse\n"));
}

#[test]
fn a_restore_goes_through_no_link_and_runs_no_program() {
    let ground = Ground::new();
    let hostile = Hostile::new(&ground, &ground.project());
    ground.on_agents_branch();
    ground.write("dir/x.odd", "one\n");
    let first = kept(&ground, "before the agent began");
    ground.write("src/a.rs", "two\n");
    let elsewhere = tempfile::tempdir().expect("a directory");
    let outside = elsewhere.path().to_owned();
    fs::write(outside.join("x.odd"), "not ours\n").expect("written");
    fs::remove_dir_all(ground.project().join("dir")).expect("removed");
    symlink(&outside, ground.project().join("dir")).expect("link");
    hostile.forget();
    restored(&ground, &first, &[]).expect("restored");
    assert_eq!(hostile.seen(), Vec::<String>::new());
    assert_eq!(fs::read_to_string(outside.join("x.odd")).expect("there"), "not ours\n");
    assert!(!ground.project().join("dir").is_symlink());
    assert_eq!(read(&ground, "dir/x.odd").as_deref(), Some("one\n"));
}

#[test]
fn too_much_that_is_untracked_is_refused_before_it_is_read() {
    let ground = Ground::new();
    ground.write("data/1.bin", &"x".repeat(3000));
    let of = TreeRequest {
        untracked_limit_bytes: 2000,
        ..TreeRequest::of(&ground.ours(), &ground.project()).expect("a tree")
    };
    let error = write_tree(&ground.ours(), &of).expect_err("too much");
    assert!(matches!(error, CheckpointError::TooMuchUntracked { files: 1, bytes: 3000, .. }), "{error}");
    assert!(error.to_string().contains(".gitignore"), "{error}");
}
