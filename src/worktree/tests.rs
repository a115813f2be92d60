use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::add::{AddStep, add_with};
use super::remove::{RemoveStep, remove_with};
use super::*;
use crate::checkpoint::FILE_LIMIT_BYTES;
use crate::files::PathError;
use crate::git::tests::{Ground, Hostile, write};
use crate::journal::Holder;

fn holder() -> Holder {
    Holder { pid: 7, run_id: "run".to_owned(), since_unix_ms: 1_795_190_000_000, tree: None }
}

/// A state directory beside the project.
struct Fleet {
    ground: Ground,
    holder: Holder,
    state: PathBuf,
}

impl Fleet {
    fn new() -> Self {
        Self::of(Ground::new())
    }

    fn of(ground: Ground) -> Self {
        let state = ground.at("state");
        Self { ground, holder: holder(), state }
    }

    fn request<'a>(&'a self, project: &'a Path, id: &'a str) -> AddRequest<'a> {
        AddRequest {
            state_dir: &self.state,
            repository: project,
            id,
            branch: BranchWish::Of(id),
            base: None,
            include: None,
            clone: CloneWish::default(),
            reason: "an agent of ccc works here",
            holder: &self.holder,
        }
    }

    fn add(&self, id: &str) -> Added {
        add(&self.ground.ours(), &self.request(&self.ground.project(), id)).expect("added")
    }

    fn removal<'a>(&'a self, id: &'a str) -> RemoveRequest<'a> {
        RemoveRequest {
            state_dir: &self.state,
            id,
            holder: &self.holder,
            file_limit_bytes: FILE_LIMIT_BYTES,
            discard: false,
        }
    }

    fn remove(&self, id: &str) -> Removed {
        remove(&self.ground.ours(), &self.removal(id)).expect("removed")
    }

    /// What is in the repository's directory of worktrees, besides locks.
    fn left(&self) -> Vec<String> {
        let trees = Worktrees::new(&self.state).expect("made");
        let dir = trees.dir_of(&self.ground.project().join(".git"));
        let names = fs::read_dir(&dir).into_iter().flatten().flatten();
        let mut names: Vec<String> = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        let is_empty_trash =
            |name: &str| name == ".trash" && fs::read_dir(dir.join(name)).is_ok_and(|dir| dir.count() == 0);
        names.retain(|name| !name.ends_with(".lock") && !is_empty_trash(name));
        names.sort();
        names
    }

    /// All that an attempt could leave in the repository.
    fn traces(&self) -> (Vec<String>, String, String, bool) {
        let refs = self.ground.git(&["for-each-ref", "--format=%(refname)"]);
        let list = self.ground.git(&["worktree", "list", "--porcelain"]);
        let admin = fs::read_dir(self.ground.project().join(".git/worktrees")).is_ok_and(|dir| dir.count() > 0);
        (self.left(), refs, list, admin)
    }
}

#[test]
fn what_is_salvaged_has_the_bytes_that_lay_there_also_where_git_could_not_add_them() {
    use crate::checkpoint::tests::{ATTRIBUTES, CONVERTED, git_keeps_bytes};
    let fleet = Fleet::new();
    let ground = &fleet.ground;
    if !git_keeps_bytes(ground) {
        return;
    }
    let tree = fleet.add("fox").worktree.path;
    write(&tree.join(".gitattributes"), ATTRIBUTES);
    for (name, content) in CONVERTED {
        fs::write(tree.join(name), content).expect("written");
    }
    let salvage = fleet.remove("fox").salvage.expect("kept");
    for (name, content) in CONVERTED {
        let size = ground.git(&["cat-file", "-s", &format!("{}:{name}", salvage.reference)]);
        assert_eq!(size, content.len().to_string(), "{name}");
        let file = ground.at("kept");
        fs::write(&file, content).expect("written");
        let object = ground.git(&["hash-object", "--no-filters", file.to_str().expect("UTF-8")]);
        assert_eq!(ground.git(&["rev-parse", &format!("{}:{name}", salvage.reference)]), object, "{name}");
    }
}

fn commit_in(fleet: &Fleet, tree: &Path, name: &str) -> String {
    write(&tree.join(name), name);
    fleet.ground.git_in(tree, &["add", "-A"]);
    fleet.ground.git_in(tree, &["commit", "-q", "-m", name]);
    fleet.ground.git_in(tree, &["rev-parse", "HEAD"])
}

#[test]
fn a_worktree_has_a_branch_of_its_own_and_the_repository_is_otherwise_as_before() {
    let fleet = Fleet::new();
    let ground = &fleet.ground;
    let config = fs::read_to_string(ground.project().join(".git/config")).expect("read");
    let added = fleet.add("fox");
    let tree = &added.worktree;
    assert_eq!(added.notes, []);
    assert_eq!((tree.branch.as_str(), tree.stage), ("agent/fox", Stage::Ready));
    assert_eq!(tree.base_branch.as_deref(), Some("refs/heads/main"));
    assert_eq!(tree.base, ground.git(&["rev-parse", "HEAD"]));
    assert!(tree.path.starts_with(ground.at("state/worktrees")) && tree.path.ends_with("fox"));
    assert_eq!(fs::read_to_string(tree.path.join("src/a.rs")).expect("read"), "one\n");
    assert_eq!(ground.git_in(&tree.path, &["status", "--porcelain", "--branch"]), "## agent/fox");
    let list = ground.git(&["worktree", "list", "--porcelain"]);
    assert!(list.contains("locked an agent of ccc works here"), "{list}");
    assert_eq!(fs::read_to_string(ground.project().join(".git/config")).expect("read"), config);
    assert_eq!(Worktrees::new(&fleet.state).expect("made").find("fox").expect("found"), *tree);
    let name = tree.path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).expect("a name");
    assert!(name.starts_with("project-") && name.len() == "project-".len() + 8, "{name}");
    // A name that is taken, by the record or by anything else.
    let again = add(&ground.ours(), &fleet.request(&ground.project(), "fox")).expect_err("taken");
    assert!(matches!(again, WorktreeError::Taken { .. }), "{again}");
    fs::write(tree.path.with_file_name("owl"), "in the way").expect("write");
    let again = add(&ground.ours(), &fleet.request(&ground.project(), "owl")).expect_err("taken");
    assert!(matches!(again, WorktreeError::Taken { .. }), "{again}");
    assert!(tree.path.with_file_name("owl").exists());
}

#[test]
fn a_removal_keeps_what_no_branch_has_and_deletes_only_a_merged_branch() {
    let fleet = Fleet::new();
    let ground = &fleet.ground;
    let before = fleet.traces();
    fleet.add("clean");
    let removed = fleet.remove("clean");
    assert_eq!((removed.tree, removed.salvage, removed.branch), (TreeFate::Removed, None, BranchFate::Deleted));
    assert_eq!(fleet.traces(), before);
    let error = remove(&ground.ours(), &fleet.removal("clean")).expect_err("gone");
    assert!(matches!(error, WorktreeError::Unknown { .. }), "{error}");

    let tree = fleet.add("worker").worktree.path;
    commit_in(&fleet, &tree, "b.rs");
    write(&tree.join("src/a.rs"), "not committed\n");
    write(&tree.join("new.rs"), "not tracked\n");
    write(&tree.join("target/built"), "ignored\n");
    let removed = fleet.remove("worker");
    assert_eq!(removed.branch, BranchFate::NotMerged { commits: 1 });
    let salvage = removed.salvage.expect("kept");
    assert_eq!(salvage.reference, "refs/ccc/salvage/worker/1");
    let files = ground.git(&["ls-tree", "-r", "--name-only", &salvage.reference]);
    assert_eq!(files, ".gitignore\nb.rs\nnew.rs\nsrc/a.rs");
    assert_eq!(ground.git(&["rev-parse", "refs/ccc/salvage/worker/1^"]), ground.git(&["rev-parse", "agent/worker"]));
    assert!(!tree.exists() && fleet.left().is_empty(), "{:?}", fleet.left());
    // The name can be used again; the old branch stays.
    assert_eq!(fleet.add("worker").worktree.branch, "agent/worker-2");
    ground.git(&["merge", "-q", "agent/worker"]);
    let tree = fleet.add("next").worktree.path;
    ground.git_in(&tree, &["checkout", "-q", "--detach"]);
    let lost = commit_in(&fleet, &tree, "c.rs");
    let removed = fleet.remove("next");
    let salvage = removed.salvage.expect("a commit that no branch has");
    assert_eq!(ground.git(&["rev-parse", &format!("{}^", salvage.reference)]), lost);
    assert_eq!(removed.branch, BranchFate::Deleted);
}

#[test]
fn twenty_four_worktrees_at_once_all_come_into_being() {
    let fleet = Fleet::new();
    // With a base that is a remote's branch, git would write the configuration.
    fleet.ground.git(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
    let before = fs::read_to_string(fleet.ground.project().join(".git/config")).expect("read");
    let project = fleet.ground.project();
    let results: Vec<_> = std::thread::scope(|scope| {
        let fleet = &fleet;
        let project = &project;
        let threads: Vec<_> = (0..24)
            .map(|number| {
                scope.spawn(move || {
                    let id = format!("a{number}");
                    let request = AddRequest { base: Some("origin/main"), ..fleet.request(project, &id) };
                    let request = AddRequest { branch: BranchWish::Of("same"), ..request };
                    add(&fleet.ground.ours(), &request)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("joined")).collect()
    });
    let mut branches = std::collections::BTreeSet::new();
    for result in results {
        let added = result.expect("added");
        assert!(added.worktree.path.join("src/a.rs").exists());
        branches.insert(added.worktree.branch);
    }
    assert_eq!(branches.len(), 24);
    assert_eq!(fs::read_to_string(fleet.ground.project().join(".git/config")).expect("read"), before);
    assert_eq!(fleet.ground.git(&["worktree", "list"]).lines().count(), 25);
}

const ADD_STEPS: [AddStep; 5] =
    [AddStep::Filled, AddStep::Recorded, AddStep::BranchMade, AddStep::Registered, AddStep::CheckedOut];

#[test]
fn an_attempt_that_fails_takes_back_what_it_has_made_and_nothing_else() {
    let fleet = Fleet::new();
    let project = fleet.ground.project();
    fleet.add("other");
    let before = fleet.traces();
    for step in ADD_STEPS {
        let fail = |at| {
            let source = std::io::Error::other("the disk is full");
            if at == step { Err(WorktreeError::Io(PathError { path: "x".into(), source })) } else { Ok(()) }
        };
        let error = add_with(&fleet.ground.ours(), &fleet.request(&project, "fox"), &mut { fail }).expect_err("failed");
        assert!(error.to_string().contains("the disk is full"), "{step:?}: {error}");
        assert_eq!(fleet.traces(), before, "{step:?}");
    }
    // Git itself fails: at the branch, and at the checkout.
    let git_dir = project.join(".git");
    let lock = git_dir.join("refs/heads/agent/fox.lock");
    fs::create_dir(&lock).expect("made");
    add(&fleet.ground.ours(), &fleet.request(&project, "fox")).expect_err("the branch cannot be locked");
    fs::remove_dir(&lock).expect("removed");
    assert_eq!(fleet.traces(), before);
    let blob = fleet.ground.git(&["rev-parse", "HEAD:src/a.rs"]);
    let object = git_dir.join("objects").join(&blob[..2]).join(&blob[2..]);
    let hidden = fleet.ground.at("hidden");
    fs::rename(&object, &hidden).expect("hidden");
    let error = add(&fleet.ground.ours(), &fleet.request(&project, "fox")).expect_err("a file is missing");
    assert!(error.to_string().contains("`git read-tree` failed"), "{error}");
    fs::rename(&hidden, &object).expect("back");
    assert_eq!(fleet.traces(), before);
}

#[test]
fn the_lock_that_a_killed_git_has_left_on_the_branch_is_no_obstacle() {
    let fleet = Fleet::new();
    write(&fleet.ground.project().join(".git/refs/heads/agent/fox.lock"), "");
    assert_eq!(fleet.add("fox").worktree.branch, "agent/fox");
}

#[test]
fn an_attempt_that_was_killed_is_taken_back_by_the_next_one_or_by_completing() {
    for step in ADD_STEPS {
        let fleet = Fleet::new();
        let project = fleet.ground.project();
        let before = fleet.traces();
        let kill = |id: &str| {
            let died = catch_unwind(AssertUnwindSafe(|| {
                let die = |at| if at == step { panic!("killed") } else { Ok(()) };
                add_with(&fleet.ground.ours(), &fleet.request(&project, id), &mut { die })
            }));
            assert!(died.is_err(), "{step:?}");
            assert_ne!(fleet.traces(), before, "{step:?} leaves something");
        };
        kill("fox");
        let done = complete(&fleet.ground.ours(), &fleet.state, &fleet.holder, FILE_LIMIT_BYTES).expect("listed");
        assert_eq!((done.taken_back.as_slice(), done.failed.len()), (&["fox".to_owned()][..], 0), "{step:?}: {done:?}");
        assert_eq!(fleet.traces(), before, "{step:?}");
        kill("fox");
        kill("owl");
        fleet.add("fox");
        fleet.remove("fox");
        assert_eq!(fleet.traces(), before, "{step:?}");
    }
}

#[test]
fn a_removal_that_was_killed_is_completed_by_the_next_call() {
    for step in [
        RemoveStep::Salvaged,
        RemoveStep::Recorded,
        RemoveStep::Renamed,
        RemoveStep::Pruned,
        RemoveStep::BranchDone,
        RemoveStep::TrashDeleted,
    ] {
        for by_completing in [false, true] {
            let fleet = Fleet::new();
            let tree = fleet.add("fox").worktree.path;
            write(&tree.join("new.rs"), "work\n");
            let died = catch_unwind(AssertUnwindSafe(|| {
                let die = |at| if at == step { panic!("killed") } else { Ok(()) };
                remove_with(&fleet.ground.ours(), &fleet.removal("fox"), &mut { die })
            }));
            assert!(died.is_err(), "{step:?}");
            let removed = if by_completing && step != RemoveStep::Salvaged {
                let done = complete(&fleet.ground.ours(), &fleet.state, &fleet.holder, FILE_LIMIT_BYTES);
                let mut done = done.expect("listed");
                assert_eq!((done.removed.len(), done.failed.len()), (1, 0), "{step:?}: {done:?}");
                done.removed.remove(0)
            } else {
                fleet.remove("fox")
            };
            assert_eq!(removed.salvage.expect("kept").reference, "refs/ccc/salvage/fox/1", "{step:?}");
            assert_eq!(removed.tree, TreeFate::Removed, "{step:?}");
            let (left, refs, list, admin) = fleet.traces();
            assert_eq!((left, admin), (Vec::new(), false), "{step:?}");
            assert_eq!(refs, "refs/ccc/salvage/fox/1\nrefs/heads/main", "{step:?}");
            assert_eq!(list.matches("worktree ").count(), 1, "{step:?}");
        }
    }
}

#[test]
fn no_program_of_the_repository_is_run() {
    let ground = Ground::new();
    for name in ["x.late", "x.odd"] {
        ground.write(name, "one\n");
    }
    ground.commit("more");
    let hostile = Hostile::new(&ground, &ground.project());
    let fleet = Fleet::of(ground);
    let tree = fleet.add("fox").worktree.path;
    for name in ["x.late", "x.odd", "src/a.rs"] {
        assert_eq!(fs::read_to_string(tree.join(name)).expect("read"), "one\n");
        write(&tree.join(name), "two\n");
    }
    let removed = fleet.remove("fox");
    assert_eq!(hostile.seen(), Vec::<String>::new());
    assert!(removed.salvage.is_some());
    // The premise: git itself does run some of them.
    let tree = fleet.ground.at("plain").display().to_string();
    fleet.ground.try_git(&fleet.ground.project(), &["worktree", "add", "-b", "agent/plain", &tree]);
    assert!(hostile.seen().len() > 1, "{:?}", hostile.seen());
}

#[test]
fn the_base_is_what_is_checked_out_or_named_and_uncommitted_changes_are_told() {
    let fleet = Fleet::of(Ground::empty());
    let ground = &fleet.ground;
    let project = ground.project();
    let error = add(&ground.ours(), &fleet.request(&project, "fox")).expect_err("no commit");
    assert!(error.to_string().contains("commit --allow-empty -m first"), "{error}");
    let error = add(&ground.ours(), &fleet.request(&ground.at("home"), "fox")).expect_err("no repository");
    assert!(error.to_string().contains("git init"), "{error}");
    ground.write("a.rs", "one\n");
    let first = ground.commit("first");
    ground.write("a.rs", "two\n");
    ground.commit("second");
    let named = |base: &str, id: &str| {
        let project = &project;
        add(&ground.ours(), &AddRequest { base: Some(base), ..fleet.request(project, id) })
    };
    for base in ["nothing", "--help", "HEAD^{tree}", ""] {
        let error = named(base, "fox").expect_err(base);
        assert!(matches!(error, WorktreeError::NoSuchBase { .. }), "{base}: {error}");
    }
    assert_eq!(fleet.left(), Vec::<String>::new());
    ground.write("a.rs", "not committed\n");
    ground.write("new name.rs", "x\n");
    let added = fleet.add("fox");
    assert_eq!(added.notes, [Note::NotInBase { files: vec!["a.rs".into(), "new name.rs".into()] }]);
    assert_eq!(fs::read_to_string(added.worktree.path.join("a.rs")).expect("read"), "two\n");
    let old = named(&first, "owl").expect("added");
    assert_eq!((old.notes, old.worktree.base_branch), (Vec::new(), None), "the changes are not to this base");
    let by_branch = named("main", "emu").expect("added").worktree;
    assert_eq!(by_branch.base_branch.as_deref(), Some("refs/heads/main"));
    ground.git(&["checkout", "-q", "--detach", &first, "-f"]);
    let detached = fleet.add("bat").worktree;
    assert_eq!((detached.base.as_str(), detached.base_branch.as_deref()), (first.as_str(), None));
    // From within the worktree of an agent.
    let inner = add(&ground.ours(), &fleet.request(&detached.path, "cub")).expect("added").worktree;
    assert_eq!(inner.base_branch.as_deref(), Some("refs/heads/agent/bat"));
    assert_eq!(inner.path.parent(), detached.path.parent(), "beside it, not in it");
}

#[test]
fn a_branch_that_exists_gets_a_number_or_is_an_error_if_it_was_named() {
    let fleet = Fleet::new();
    let ground = &fleet.ground;
    let project = ground.project();
    ground.git(&["branch", "agent/fox"]);
    ground.git(&["branch", "agent/owl/deep"]);
    assert_eq!(fleet.add("fox").worktree.branch, "agent/fox-2");
    assert_eq!(fleet.add("owl").worktree.branch, "agent/owl-2");
    let named = |branch: &str, id: &str| {
        let project = &project;
        add(&ground.ours(), &AddRequest { branch: BranchWish::Named(branch), ..fleet.request(project, id) })
    };
    for branch in ["main", "agent/fox", "main/below", "agent"] {
        let error = named(branch, "bat").expect_err(branch);
        assert!(matches!(error, WorktreeError::BranchExists { .. }), "{branch}: {error}");
    }
    for branch in ["-x", "a..b", "a b", ""] {
        let error = named(branch, "bat").expect_err(branch);
        assert!(matches!(error, WorktreeError::WrongBranch { .. }), "{branch}: {error}");
    }
    assert_eq!(named("feature/x", "bat").expect("added").worktree.branch, "feature/x");
    for id in ["", ".x", "-x", "a/b", "a.lock", "a.json", "..", "ä"] {
        let error = add(&ground.ours(), &fleet.request(&project, id)).expect_err(id);
        assert!(matches!(error, WorktreeError::WrongId { .. }), "{id}: {error}");
    }
    let other = Fleet::new();
    other.ground.git(&["branch", "agent"]);
    assert_eq!(other.add("fox").worktree.branch, "agent-fox");
}

#[test]
fn a_bare_a_sparse_and_a_shallow_repository_have_worktrees_too() {
    let fleet = Fleet::new();
    let ground = &fleet.ground;
    ground.write("docs/a.md", "docs\n");
    ground.commit("docs");
    ground.git_in(&ground.at(""), &["clone", "-q", "--bare", "project", "bare.git"]);
    let url = format!("file://{}", ground.project().display());
    ground.git_in(&ground.at(""), &["clone", "-q", "--depth", "1", &url, "shallow"]);
    for (dir, id) in [("bare.git", "one"), ("shallow", "two")] {
        let added = add(&ground.ours(), &fleet.request(&ground.at(dir), id)).expect("added");
        assert_eq!(added.notes, [], "{dir}");
        write(&added.worktree.path.join("new.rs"), "x\n");
        assert!(added.worktree.path.join("docs/a.md").exists(), "{dir}");
        let removed = fleet.remove(id);
        assert!(removed.salvage.is_some() && removed.branch == BranchFate::Deleted, "{dir}: {removed:?}");
    }
    ground.git(&["sparse-checkout", "set", "--cone", "src"]);
    let tree = fleet.add("fox").worktree.path;
    assert!(tree.join("src/a.rs").exists() && !tree.join("docs").exists(), "as sparse as the user's");
    write(&tree.join("src/a.rs"), "two\n");
    let salvage = fleet.remove("fox").salvage.expect("kept");
    let files = ground.git(&["ls-tree", "-r", "--name-only", &salvage.reference]);
    assert_eq!(files, ".gitignore\ndocs/a.md\nsrc/a.rs");
}

#[test]
fn a_partial_clone_that_lacks_files_is_told_as_such_and_nothing_is_fetched() {
    let fleet = Fleet::new();
    let ground = &fleet.ground;
    ground.git(&["config", "uploadpack.allowFilter", "true"]);
    let url = format!("file://{}", ground.project().display());
    ground.git_in(&ground.at(""), &["clone", "-q", "--no-checkout", "--filter=blob:none", &url, "partial"]);
    let partial = ground.at("partial");
    let refs = ground.git_in(&partial, &["for-each-ref"]);
    let error = add(&ground.ours(), &fleet.request(&partial, "fox")).expect_err("files are missing");
    let WorktreeError::PartialClone { base, .. } = &error else { panic!("{error}") };
    assert_eq!(ground.git_in(&partial, &["for-each-ref"]), refs);
    assert_eq!(ground.git_in(&partial, &["worktree", "list"]).lines().count(), 1);
    // What the error says to type.
    ground.git_in(&partial, &["archive", "--output=/dev/null", base]);
    let added = add(&ground.ours(), &fleet.request(&partial, "fox")).expect("added");
    assert!(added.worktree.path.join("src/a.rs").exists());
}

#[test]
fn submodules_are_cloned_from_the_users_and_their_work_is_not_lost() {
    let (ground, library) = (Ground::new(), Ground::new());
    let deep = Ground::new();
    library.git(&["submodule", "add", "-q", &deep.project().display().to_string(), "deep"]);
    library.commit("deep");
    let url = library.project().display().to_string();
    for name in ["lib", "other/lib"] {
        ground.git(&["submodule", "add", "-q", &url, name]);
    }
    ground.commit("submodules");
    // A commit that no remote has, and a submodule that is not there.
    let lib = ground.project().join("lib");
    ground.git_in(&lib, &["checkout", "-q", "--detach"]);
    ground.git_in(&lib, &["commit", "-q", "--allow-empty", "-m", "local"]);
    ground.git(&["submodule", "deinit", "-q", "-f", "other/lib"]);
    ground.commit("ahead");
    let config = fs::read_to_string(ground.project().join(".git/config")).expect("read");
    let fleet = Fleet::of(ground);
    let ground = &fleet.ground;
    let added = fleet.add("fox");
    let tree = added.worktree.path.clone();
    let missing = vec![PathBuf::from("lib/deep"), PathBuf::from("other/lib")];
    assert_eq!(added.notes, [Note::SubmodulesMissing { paths: missing, tree: tree.clone() }]);
    assert_eq!(fs::read_to_string(tree.join("lib/src/a.rs")).expect("read"), "one\n");
    assert_eq!(ground.git_in(&tree, &["status", "--porcelain"]), "");
    assert_eq!(ground.git_in(&tree.join("lib"), &["config", "remote.origin.url"]), url);
    assert_eq!(fs::read_to_string(ground.project().join(".git/config")).expect("read"), config);
    write(&tree.join("lib/new.rs"), "x\n");
    let error = remove(&ground.ours(), &fleet.removal("fox")).expect_err("changes in a submodule");
    assert!(error.to_string().contains("lib (a submodule with uncommitted changes)"), "{error}");
    ground.git_in(&tree.join("lib"), &["add", "-A"]);
    ground.git_in(&tree.join("lib"), &["commit", "-q", "-m", "work"]);
    let error = remove(&ground.ours(), &fleet.removal("fox")).expect_err("a commit in a submodule");
    assert!(error.to_string().contains("lib (a submodule with commits of its own)"), "{error}");
    assert!(tree.join("lib/new.rs").exists());
    let removed = remove(&ground.ours(), &RemoveRequest { discard: true, ..fleet.removal("fox") }).expect("removed");
    assert!(removed.salvage.is_some());
    fleet.add("owl");
    assert_eq!(fleet.remove("owl").salvage, None, "an untouched one goes without a word");
}

#[test]
fn contents_of_git_lfs_come_from_the_repository_and_other_filters_are_named() {
    let ground = Ground::new();
    let content = "large content\n";
    let hash = crate::journal::sha256_hex(content.as_bytes());
    let pointer = |hash: &str, size: usize| {
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{hash}\nsize {size}\n")
    };
    ground.write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n*.key filter=crypt\n");
    ground.write("there.bin", &pointer(&hash, content.len()));
    ground.write("missing.bin", &pointer(&"0".repeat(64), 5));
    ground.write("a.key", "ciphertext\n");
    ground.commit("pointers");
    let marker = ground.at("ran").display().to_string();
    for key in ["filter.lfs.smudge", "filter.lfs.clean", "filter.crypt.smudge", "filter.crypt.clean"] {
        ground.git(&["config", key, &format!("touch '{marker}'; cat")]);
    }
    write(&ground.project().join(".git/lfs/objects").join(&hash[..2]).join(&hash[2..4]).join(&hash), content);
    let fleet = Fleet::of(ground);
    let added = fleet.add("fox");
    let tree = added.worktree.path.clone();
    assert_eq!(fs::read_to_string(tree.join("there.bin")).expect("read"), content);
    assert!(fs::read_to_string(tree.join("missing.bin")).expect("read").starts_with("version "));
    assert_eq!(
        added.notes,
        [
            Note::LfsMissing { files: 1, tree: tree.clone() },
            Note::FiltersOff { filters: vec![("crypt".to_owned(), 1)] }
        ]
    );
    assert!(added.notes[0].to_string().contains("lfs pull"));
    let removed = fleet.remove("fox");
    assert_eq!(removed.salvage, None, "the contents are what the pointers say");
    assert!(!Path::new(&marker).exists());
}

#[test]
fn a_tree_that_the_user_has_moved_stays_and_one_that_is_gone_keeps_its_commits() {
    let fleet = Fleet::new();
    let ground = &fleet.ground;
    let tree = fleet.add("moved").worktree.path;
    let to = ground.at("mine");
    ground.git(&["worktree", "unlock", &tree.display().to_string()]);
    ground.git(&["worktree", "move", &tree.display().to_string(), &to.display().to_string()]);
    ground.git(&["worktree", "lock", &to.display().to_string()]);
    write(&to.join("work.rs"), "x\n");
    let removed = fleet.remove("moved");
    assert_eq!(removed.tree, TreeFate::Moved { to: to.clone() });
    assert_eq!(removed.branch, BranchFate::InUse);
    assert!(to.join("work.rs").exists());
    assert_eq!(ground.git_in(&to, &["status", "--porcelain"]), "?? work.rs");
    ground.git(&["worktree", "remove", "--force", &to.display().to_string()]);

    let tree = fleet.add("deleted").worktree.path;
    ground.git_in(&tree, &["checkout", "-q", "--detach"]);
    let lost = commit_in(&fleet, &tree, "b.rs");
    fs::remove_dir_all(&tree).expect("removed");
    let removed = fleet.remove("deleted");
    assert_eq!((removed.tree, removed.branch), (TreeFate::Gone, BranchFate::Deleted));
    let salvage = removed.salvage.expect("kept");
    assert_eq!(ground.git(&["rev-parse", &format!("{}^", salvage.reference)]), lost);

    let tree = fleet.add("pruned").worktree.path;
    write(&tree.join("work.rs"), "x\n");
    fs::remove_file(tree.join(".git")).expect("removed");
    fs::remove_dir_all(ground.project().join(".git/worktrees/pruned")).expect("removed");
    let removed = fleet.remove("pruned");
    let salvage = removed.salvage.expect("files are kept also when git has forgotten the tree");
    assert!(ground.git(&["ls-tree", "-r", "--name-only", &salvage.reference]).contains("work.rs"));
    assert_eq!((removed.tree, fleet.left().len()), (TreeFate::Removed, 0));
}

#[test]
fn nothing_is_removed_through_a_link_and_no_other_worktree_is_pruned() {
    let fleet = Fleet::new();
    let ground = &fleet.ground;
    // A worktree of the user's on a disk that is not there at the moment.
    let away = ground.at("away");
    ground.git(&["worktree", "add", "-q", "-b", "away", &away.display().to_string()]);
    fs::rename(&away, ground.at("unplugged")).expect("renamed");
    let tree = fleet.add("fox").worktree.path;
    let real = ground.at("real");
    fs::rename(&tree, &real).expect("renamed");
    std::os::unix::fs::symlink(&real, &tree).expect("link");
    let error = remove(&ground.ours(), &fleet.removal("fox")).expect_err("a link");
    assert!(matches!(error, WorktreeError::Replaced { .. }), "{error}");
    assert!(real.join("src/a.rs").exists());
    fs::remove_file(&tree).expect("removed");
    fs::rename(&real, &tree).expect("renamed");
    // A link in the tree leads to what must stay.
    write(&ground.at("precious/file"), "x");
    std::os::unix::fs::symlink(ground.at("precious"), tree.join("link")).expect("link");
    // Nor does a directory that cannot be written to stop it.
    write(&tree.join("target/cache/file"), "x");
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(tree.join("target/cache"), fs::Permissions::from_mode(0o500)).expect("chmod");
    assert_eq!(fleet.remove("fox").tree, TreeFate::Removed);
    assert!(ground.at("precious/file").exists());
    fs::rename(ground.at("unplugged"), &away).expect("renamed");
    assert_eq!(ground.git_in(&away, &["status", "--porcelain"]), "");
}

#[test]
fn what_a_commit_cannot_keep_stops_the_removal_until_the_user_lets_it_go() {
    let fleet = Fleet::new();
    let ground = &fleet.ground;
    let tree = fleet.add("fox").worktree.path;
    write(&tree.join("big.bin"), &"x".repeat(2000));
    ground.git_in(&tree, &["init", "-q", "inner"]);
    write(&tree.join("inner/work.rs"), "x\n");
    let request = RemoveRequest { file_limit_bytes: 1000, ..fleet.removal("fox") };
    let error = remove(&ground.ours(), &request).expect_err("not all can be kept");
    assert!(error.to_string().contains("big.bin (1 MiB), inner (a repository of its own)"), "{error}");
    assert!(tree.join("inner/work.rs").exists());
    let removed = remove(&ground.ours(), &RemoveRequest { discard: true, ..request }).expect("removed");
    assert_eq!(removed.tree, TreeFate::Removed);
    // The repository itself is gone.
    let tree = fleet.add("owl").worktree.path;
    fs::rename(ground.project(), ground.at("elsewhere")).expect("renamed");
    let error = remove(&ground.ours(), &fleet.removal("owl")).expect_err("nowhere to keep it");
    assert!(matches!(error, WorktreeError::RepositoryGone { .. }) && tree.exists(), "{error}");
    remove(&ground.ours(), &RemoveRequest { discard: true, ..fleet.removal("owl") }).expect("removed");
    assert!(!tree.exists());
}

fn add_with_files(fleet: &Fleet, id: &str, include: Option<&[String]>, clone: CloneWish<'_>) -> Added {
    let project = fleet.ground.project();
    let request = AddRequest { include, clone, ..fleet.request(&project, id) };
    add(&fleet.ground.ours(), &request).expect("added")
}

#[test]
fn listed_ignored_files_are_copied_with_their_modes_and_no_link_leads_out() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let ground = Ground::new();
    ground.write(".gitignore", ".env*\nsecrets/\n.worktreeinclude\nconf\n");
    ground.commit("ignores");
    ground.write(".worktreeinclude", "# comment\n.env*\n!.env.production\nsecrets/\nuntracked.txt\nsrc/a.rs\nconf/x\n");
    for name in [".env", ".env.production", "sub/.env.local", "secrets/deep/key", "untracked.txt"] {
        ground.write(name, name);
    }
    fs::set_permissions(ground.project().join("secrets/deep/key"), fs::Permissions::from_mode(0o600)).expect("chmod");
    symlink("deep/key", ground.project().join("secrets/inside")).expect("link");
    symlink("../../outside", ground.project().join("secrets/outside")).expect("link");
    symlink("/etc/passwd", ground.project().join("secrets/absolute")).expect("link");
    let fleet = Fleet::of(ground);
    let added = add_with_files(&fleet, "fox", None, CloneWish::default());
    let tree = added.worktree.path.clone();
    for name in [".env", "sub/.env.local", "secrets/deep/key"] {
        assert_eq!(fs::read_to_string(tree.join(name)).expect(name), name);
    }
    let mode = fs::metadata(tree.join("secrets/deep/key")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_link(tree.join("secrets/inside")).expect("a link"), Path::new("deep/key"));
    assert!(!tree.join(".env.production").exists(), "the patterns are those of .gitignore");
    assert!(!tree.join("untracked.txt").exists(), "only ignored files");
    let told: Vec<String> = added.notes.iter().map(ToString::to_string).collect();
    let left = "not copied: secrets/absolute (a link that leads out of the tree), secrets/outside (a link that leads out of the tree)";
    assert!(told.contains(&left.to_owned()), "{told:?}");
    // The setting wins over the file.
    let only = [".env".to_owned()];
    let tree = add_with_files(&fleet, "owl", Some(&only), CloneWish::default()).worktree.path;
    assert!(tree.join(".env").exists() && !tree.join("secrets").exists());
    // In the base a part of the path is a link that leads out.
    let ground = &fleet.ground;
    symlink(ground.at("home"), ground.project().join("conf")).expect("link");
    ground.git(&["add", "-f", "conf"]);
    ground.git(&["commit", "-q", "-m", "a link"]);
    fs::remove_file(ground.project().join("conf")).expect("removed");
    ground.write("conf/x", "x");
    let added = add_with_files(&fleet, "bat", None, CloneWish::default());
    assert!(!ground.at("home/x").exists());
    assert!(
        added.notes.iter().any(|note| note.to_string().contains("conf/x (a part of its path is a link)")),
        "{:?}",
        added.notes
    );
}

#[test]
fn directories_are_cloned_whole_or_not_at_all() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let ground = Ground::new();
    ground.write(".gitignore", "target/\nnode_modules/\n");
    ground.write("app/package.json", "{}");
    ground.commit("ignores");
    ground.write("target/debug/ccc", "built");
    ground.write("target/debug/empty", "");
    ground.write("app/node_modules/x/index.js", "js");
    ground.write("target/inner/file", "of another worktree");
    ground.git_in(&ground.project().join("target/inner"), &["init", "-q"]);
    symlink("debug", ground.project().join("target/link")).expect("link");
    symlink("../src", ground.project().join("target/out")).expect("link");
    fs::set_permissions(ground.project().join("target/debug/ccc"), fs::Permissions::from_mode(0o555)).expect("chmod");
    fs::set_permissions(ground.project().join("target/debug"), fs::Permissions::from_mode(0o555)).expect("chmod");
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    let file = ground.project().join("app/node_modules/x/index.js");
    fs::File::options().write(true).open(&file).and_then(|file| file.set_modified(time)).expect("set");
    let fleet = Fleet::of(ground);
    let patterns = ["target/".to_owned(), "node_modules/".to_owned(), "src/".to_owned()];
    let wish = |by_bytes| CloneWish { patterns: &patterns, by_bytes };
    let tree = add_with_files(&fleet, "fox", None, wish(true)).worktree.path;
    assert_eq!(fs::read_to_string(tree.join("target/debug/ccc")).expect("read"), "built");
    let mode = |name: &str| fs::metadata(tree.join(name)).expect(name).permissions().mode() & 0o777;
    assert_eq!((mode("target/debug/ccc"), mode("target/debug")), (0o555, 0o555));
    let copied = fs::metadata(tree.join("app/node_modules/x/index.js")).and_then(|meta| meta.modified());
    assert_eq!(copied.expect("a time"), time);
    assert!(!tree.join("target/inner").exists(), "a repository inside is left out");
    assert!(tree.join("target/link").is_symlink() && !tree.join("target/out").is_symlink());
    fleet.remove("fox");
    // The system's own answer: either it can share contents, or nothing is there.
    let added = add_with_files(&fleet, "owl", None, wish(false));
    let told: Vec<String> = added.notes.iter().map(ToString::to_string).collect();
    let is_cloned = added.worktree.path.join("app/node_modules/x/index.js").exists();
    let is_told = told.iter().any(|note| note.contains("app/node_modules/ (the file system cannot clone files)"));
    assert_ne!(is_cloned, is_told, "{told:?}");
    assert_eq!(added.worktree.path.join("app/node_modules").exists(), is_cloned, "no half of a directory");
}

#[test]
fn ports_belong_to_one_agent_until_they_are_freed() {
    let dir = tempfile::tempdir().expect("a directory");
    let ports = Ports::new(dir.path());
    let occupied = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("bound");
    let first = occupied.local_addr().expect("an address").port();
    let range = first..=first.saturating_add(40);
    let holder = holder();
    let fox = ports.reserve("fox", 3, &range, &holder).expect("reserved");
    assert!(fox.len() == 3 && !fox.contains(&first), "{fox:?}");
    assert_eq!(ports.reserve("fox", 2, &range, &holder).expect("kept"), fox[..2]);
    assert_eq!(ports.of("fox"), fox);
    let owl = ports.reserve("owl", 3, &range, &holder).expect("reserved");
    assert!(owl.iter().all(|port| !fox.contains(port)));
    let error = ports.reserve("bat", 400, &range, &holder).expect_err("too many");
    assert!(matches!(error, PortError::NotEnough { count: 400, .. }), "{error}");
    assert!(ports.of("bat").is_empty());
    let variables = port_variables(&[4000, 4001]);
    assert_eq!(variables, [("CCC_PORT".into(), "4000".into()), ("CCC_PORT_1".into(), "4001".into())]);
    ports.free("fox", &holder).expect("freed");
    ports.free("fox", &holder).expect("nothing to free");
    assert!(ports.of("fox").is_empty());
    assert_eq!(ports.free_unknown(|id| id == "owl", &holder).expect("freed"), Vec::<String>::new());
    assert_eq!(ports.free_unknown(|_| false, &holder).expect("freed"), ["owl"]);
    for id in ["../x", "", "a/b"] {
        assert!(ports.reserve(id, 1, &range, &holder).is_err() && ports.of(id).is_empty(), "{id}");
    }
    let all: Vec<Vec<u16>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|number| {
                let (ports, range, holder) = (&ports, &range, &holder);
                scope.spawn(move || ports.reserve(&format!("a{number}"), 2, range, holder).expect("reserved"))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("joined")).collect()
    });
    let distinct: std::collections::BTreeSet<u16> = all.into_iter().flatten().collect();
    assert_eq!(distinct.len(), 16);
}

#[test]
fn the_work_of_an_agent_is_told_committed_or_not_and_without_what_is_new_in_its_base() {
    use crate::checkpoint::changed_paths;
    let (fleet, tree) = with_work();
    let ground = &fleet.ground;
    let git = ground.ours();
    let record = Worktrees::new(&fleet.state).expect("made").find("fox").expect("found");
    let changed = || {
        let work = work(&git, &record).expect("told");
        changed_paths(&git, &work.place, &work.from, &work.to).expect("compared")
    };
    write(&tree.join("new.rs"), "not committed\n");
    let both = ["fox.rs", "new.rs"].map(PathBuf::from);
    assert_eq!(changed(), both);
    ground.write("main.rs", "main\n");
    ground.commit("on main");
    assert_eq!(changed(), both, "what is new in the base is not removed by the agent");
    ground.git_in(&tree, &["merge", "-q", "--no-edit", "main"]);
    assert_eq!(changed(), both, "nor is it the agent's");
    assert!(matches!(fleet.merge("fox", Strategy::Merge), MergeOutcome::Merged(_)));
    assert!(changed().starts_with(&[PathBuf::from("fox.rs")]), "also after it is merged");
    assert_eq!(uncommitted(&git, &tree).expect("listed"), [PathBuf::from("new.rs")]);
    ground.git_in(&tree, &["checkout", "-q", "--detach"]);
    fs::remove_dir_all(&tree).expect("removed");
    assert_eq!(changed()[0], Path::new("fox.rs"));
    ground.git(&["update-ref", "-d", "refs/heads/agent/fox"]);
    assert!(matches!(work(&git, &record), Err(WorktreeError::Unknown { .. })));
}

/// A fleet with the branch `agent/fox`, which has one commit.
fn with_work() -> (Fleet, PathBuf) {
    let fleet = Fleet::new();
    let tree = fleet.add("fox").worktree.path;
    commit_in(&fleet, &tree, "fox.rs");
    (fleet, tree)
}

impl Fleet {
    fn merge_request<'a>(&'a self, id: &'a str, strategy: Strategy) -> MergeRequest<'a> {
        MergeRequest { state_dir: &self.state, id, into: None, strategy, message: "Merge fox", holder: &self.holder }
    }

    fn merge(&self, id: &str, strategy: Strategy) -> MergeOutcome {
        let request = self.merge_request(id, strategy);
        merge(&self.ground.ours(), &request, &mut |_| Ok(())).expect("merged")
    }
}

#[test]
fn a_merge_is_checked_aside_and_brings_the_users_tree_along() {
    for strategy in [Strategy::Merge, Strategy::Rebase] {
        let (fleet, tree) = with_work();
        let ground = &fleet.ground;
        ground.write("main.rs", "main\n");
        let before = ground.commit("on main");
        ground.write("untracked.rs", "of the user\n");
        ground.git_in(&tree, &["commit", "-q", "--amend", "--author", "A U Thor <a@example.invalid>", "--no-edit"]);
        let mut seen = Vec::new();
        let outcome = merge(&ground.ours(), &fleet.merge_request("fox", strategy), &mut |result| {
            seen.push(["fox.rs", "main.rs", "untracked.rs"].map(|name| result.tree.join(name).exists()));
            assert_eq!(result.before, before);
            assert_eq!(ground.git(&["rev-parse", "main"]), before, "not set before the check");
            Ok(())
        });
        let MergeOutcome::Merged(merged) = outcome.expect("merged") else { panic!("{strategy:?}") };
        assert_eq!(seen, [[true, true, false]]);
        assert_eq!((merged.into.as_str(), &merged.before), ("refs/heads/main", &before));
        assert_eq!(merged.tree, Some(ground.project()));
        assert_eq!(ground.git(&["rev-parse", "main"]), merged.commit);
        assert_eq!(ground.git(&["status", "--porcelain"]), "?? untracked.rs");
        assert!(ground.project().join("fox.rs").exists());
        let parents = ground.git(&["log", "-1", "--format=%P"]);
        assert_eq!(parents.split(' ').count(), if strategy == Strategy::Merge { 2 } else { 1 });
        if strategy == Strategy::Rebase {
            assert_eq!(ground.git(&["log", "-1", "--format=%an <%ae>|%s"]), "A U Thor <a@example.invalid>|fox.rs");
        }
        assert_eq!(fleet.left(), ["fox", "fox.json"]);
        assert!(!ground.git(&["worktree", "list"]).contains(".merge"));
        let again = fleet.merge("fox", strategy);
        assert_eq!(again, MergeOutcome::NothingToMerge);
    }
}

#[test]
fn a_conflict_or_a_failed_check_changes_nothing() {
    let (fleet, tree) = with_work();
    let ground = &fleet.ground;
    write(&tree.join("src/a.rs"), "fox\n");
    ground.git_in(&tree, &["commit", "-qam", "fox"]);
    let before = fleet.traces();
    let outcome = merge(&ground.ours(), &fleet.merge_request("fox", Strategy::Merge), &mut |_| Err("3 failed".into()));
    assert_eq!(outcome.expect("an outcome"), MergeOutcome::ChecksFailed { why: "3 failed".to_owned() });
    assert_eq!(fleet.traces(), before);
    ground.write("src/a.rs", "main\n");
    let head = ground.commit("main");
    let before = fleet.traces();
    for strategy in [Strategy::Merge, Strategy::Rebase] {
        assert_eq!(fleet.merge("fox", strategy), MergeOutcome::Conflict { files: vec!["src/a.rs".into()] });
        assert_eq!(ground.git(&["rev-parse", "main"]), head);
        assert_eq!(ground.git(&["status", "--porcelain"]), "");
        assert_eq!(fleet.traces(), before);
    }
}

#[test]
fn a_merge_that_would_disturb_the_user_is_refused_in_words() {
    let (fleet, tree) = with_work();
    let ground = &fleet.ground;
    let refused = |strategy| {
        let outcome = fleet.merge("fox", strategy);
        let MergeOutcome::Refused(refusal) = outcome else { panic!("{outcome:?}") };
        refusal
    };
    ground.write("src/a.rs", "changed\n");
    let refusal = refused(Strategy::Merge);
    assert!(refusal.to_string().contains("stash") && matches!(refusal, Refusal::NotClean { .. }), "{refusal}");
    ground.git(&["checkout", "-q", "."]);
    ground.write("fox.rs", "in the way\n");
    let refusal = refused(Strategy::Merge);
    assert!(matches!(&refusal, Refusal::InTheWay { why, .. } if why.contains("fox.rs")), "{refusal}");
    assert_eq!(fs::read_to_string(ground.project().join("fox.rs")).expect("read"), "in the way\n");
    fs::remove_file(ground.project().join("fox.rs")).expect("removed");
    write(&ground.project().join(".git/MERGE_HEAD"), &ground.git(&["rev-parse", "HEAD"]));
    assert!(matches!(refused(Strategy::Merge), Refusal::Unfinished { what: "merge", .. }));
    fs::remove_file(ground.project().join(".git/MERGE_HEAD")).expect("removed");
    let request = MergeRequest { into: Some("nothing"), ..fleet.merge_request("fox", Strategy::Merge) };
    let outcome = merge(&ground.ours(), &request, &mut |_| Ok(())).expect("an outcome");
    assert!(matches!(outcome, MergeOutcome::Refused(Refusal::BranchGone { .. })));
    // The branch moves while the checks run.
    let outcome = merge(&ground.ours(), &fleet.merge_request("fox", Strategy::Merge), &mut |_| {
        ground.commit("meanwhile");
        Ok(())
    });
    assert!(matches!(outcome.expect("an outcome"), MergeOutcome::Refused(Refusal::BranchMoved { .. })));
    assert!(!ground.project().join("fox.rs").exists());
    // A filter, which is a program.
    let marker = ground.at("ran").display().to_string();
    write(&tree.join(".gitattributes"), "*.bin filter=lfs\n");
    commit_in(&fleet, &tree, "a.bin");
    ground.git(&["config", "filter.lfs.smudge", &format!("touch '{marker}'; cat")]);
    let refusal = refused(Strategy::Merge);
    let Refusal::Filters { reference, .. } = &refusal else { panic!("{refusal:?}") };
    assert!(!Path::new(&marker).exists());
    ground.git(&["merge", "-q", "--ff-only", reference]);
    assert_eq!(fleet.merge("fox", Strategy::Merge), MergeOutcome::NothingToMerge);
}

#[test]
fn no_program_of_the_repository_is_run_by_a_merge() {
    let ground = Ground::new();
    ground.git(&["branch", "base"]);
    let hostile = Hostile::new(&ground, &ground.project());
    let fleet = Fleet::of(ground);
    let ground = &fleet.ground;
    let project = ground.project();
    let request = AddRequest { base: Some("base"), ..fleet.request(&project, "fox") };
    let tree = add(&ground.ours(), &request).expect("added").worktree.path;
    let git = ground.ours();
    // Commits that no program has seen: both sides change one file, and each another one.
    let commit = |dir: &Path, reference: &str, branch: &str, own: &str| {
        write(&dir.join("src/a.rs"), &format!("{branch}\n"));
        write(&dir.join(own), "x\n");
        let request = crate::checkpoint::tests::CheckpointRequest::new(dir, reference, "work");
        let taken = crate::checkpoint::tests::take(&git, &request).expect("taken");
        ground.git(&["update-ref", branch, &taken.commit]);
    };
    commit(&tree, "refs/ccc/fox/1", "refs/heads/agent/fox", "fox.rs");
    hostile.forget();
    let fast = MergeRequest { into: Some("main"), ..fleet.merge_request("fox", Strategy::Merge) };
    let outcome = merge(&git, &fast, &mut |_| Ok(())).expect("an outcome");
    assert!(matches!(outcome, MergeOutcome::Refused(Refusal::Filters { .. })), "{outcome:?}");
    assert_eq!(hostile.seen(), Vec::<String>::new());
    commit(&project, "refs/ccc/base/1", "refs/heads/base", "base.rs");
    hostile.forget();
    for strategy in [Strategy::Merge, Strategy::Rebase] {
        // The driver of the repository would have merged the file.
        assert_eq!(fleet.merge("fox", strategy), MergeOutcome::Conflict { files: vec!["src/a.rs".into()] });
        assert_eq!(hostile.seen(), Vec::<String>::new(), "{strategy:?}");
    }
}

#[test]
fn a_merge_that_was_killed_is_finished_or_taken_back_by_the_next_one() {
    use super::merge::{MergeStep, merge_with};
    for (at, step) in [
        MergeStep::Recorded,
        MergeStep::ScratchMade,
        MergeStep::Computed,
        MergeStep::Checked,
        MergeStep::Landing,
        MergeStep::TreeWritten,
        MergeStep::BranchSet,
        MergeStep::Cleaned,
    ]
    .into_iter()
    .enumerate()
    {
        // Both ways of each step would take long.
        let by_completing = at % 2 == 0;
        {
            let (fleet, _) = with_work();
            let ground = &fleet.ground;
            ground.write("main.rs", "main\n");
            ground.commit("on main");
            let died = catch_unwind(AssertUnwindSafe(|| {
                let request = fleet.merge_request("fox", Strategy::Merge);
                let die = |at| if at == step { panic!("killed") } else { Ok(()) };
                merge_with(&ground.ours(), &request, &mut |_| Ok(()), &mut { die })
            }));
            assert!(died.is_err(), "{step:?}");
            if by_completing {
                let done = complete(&ground.ours(), &fleet.state, &fleet.holder, FILE_LIMIT_BYTES).expect("listed");
                assert_eq!(done.failed.len(), 0, "{step:?}: {done:?}");
                assert_eq!(fleet.left(), ["fox", "fox.json"], "{step:?}");
                assert_eq!(ground.git(&["status", "--porcelain"]), "", "{step:?}");
            }
            let outcome = fleet.merge("fox", Strategy::Merge);
            let is_set = [MergeStep::TreeWritten, MergeStep::BranchSet, MergeStep::Cleaned].contains(&step);
            assert_eq!(outcome == MergeOutcome::NothingToMerge, is_set, "{step:?}: {outcome:?}");
            assert_eq!(ground.git(&["status", "--porcelain"]), "", "{step:?}");
            assert!(ground.project().join("fox.rs").exists(), "{step:?}");
            assert_eq!(fleet.left(), ["fox", "fox.json"], "{step:?}");
            assert_eq!(ground.git(&["worktree", "list"]).lines().count(), 2, "{step:?}");
        }
    }
}

#[test]
fn a_merge_that_was_killed_while_it_wrote_files_says_how_they_are_put_aside_until_they_are() {
    use super::merge::{MergeStep, merge_with};
    // Git may have written files only that were not there, so that no tracked one has changed.
    for half in [&["src/a.rs", "fox.rs"][..], &["fox.rs"]] {
        let (fleet, _) = with_work();
        let ground = &fleet.ground;
        let died = catch_unwind(AssertUnwindSafe(|| {
            let die = |at| if at == MergeStep::Landing { panic!("killed") } else { Ok(()) };
            merge_with(&ground.ours(), &fleet.merge_request("fox", Strategy::Merge), &mut |_| Ok(()), &mut { die })
        }));
        assert!(died.is_err());
        for file in half {
            ground.write(file, "half\n");
        }
        let lock = ground.project().join(".git/index.lock");
        write(&lock, "");
        for typed in [
            format!("rm -f {} && git -C {} stash -u", lock.display(), ground.project().display()),
            format!("type `git -C {} stash -u`", ground.project().display()),
        ] {
            let outcome = fleet.merge("fox", Strategy::Merge);
            let MergeOutcome::Refused(refusal @ Refusal::HalfWritten { .. }) = outcome else { panic!("{outcome:?}") };
            assert!(refusal.to_string().contains(&typed), "{refusal}");
            let _ = fs::remove_file(&lock);
        }
        ground.git(&["stash", "-q", "-u"]);
        let outcome = fleet.merge("fox", Strategy::Merge);
        assert!(matches!(outcome, MergeOutcome::Merged(_)), "{outcome:?}");
        assert_eq!(ground.git(&["status", "--porcelain"]), "");
    }
}

#[test]
fn a_worktree_that_git_has_forgotten_is_named_as_such() {
    let (fleet, tree) = with_work();
    fs::remove_dir_all(fleet.ground.project().join(".git/worktrees")).expect("removed");
    let (git, found) = (fleet.ground.ours(), Worktrees::new(&fleet.state).expect("worktrees"));
    let of_work = work(&git, &found.find("fox").expect("found")).expect_err("forgotten");
    let of_rest = super::uncommitted(&git, &tree).expect_err("forgotten");
    for error in [of_work, of_rest] {
        assert!(matches!(&error, WorktreeError::Forgotten { dir } if *dir == tree), "{error}");
        assert!(!error.to_string().contains("git init"), "{error}");
    }
}

#[test]
fn a_worktree_whose_git_files_were_overwritten_is_named_with_the_command_that_mends_it() {
    for (file, text) in [
        ("commondir", "/nowhere\n"),
        ("commondir", "/tmp\n"),
        ("HEAD", "nothing\n"),
        (".git", "gitdir: /tmp\n"),
        (".git", "a directory"),
        (".git", "a link"),
        (".git", "a link to nothing"),
        (".git", "removed"),
        ("both", ""),
    ] {
        let (fleet, tree) = with_work();
        write(&tree.join("new.rs"), "new\n");
        let ground = &fleet.ground;
        let admin = PathBuf::from(ground.git_in(&tree, &["rev-parse", "--absolute-git-dir"]));
        let files = match file {
            ".git" => vec![tree.join(file)],
            "both" => vec![admin.join("commondir"), admin.join("HEAD")],
            file => vec![admin.join(file)],
        };
        let pointed_to = ground.at("pointed-to");
        fs::write(&pointed_to, "gitdir: /tmp\n").expect("written");
        let replace = |file: &PathBuf| match text {
            "a directory" => {
                fs::remove_file(file).expect("removed");
                ground.git_in(&tree, &["init", "-q"]);
            }
            "a link" | "a link to nothing" => {
                fs::remove_file(file).expect("removed");
                let to = if text == "a link" { pointed_to.clone() } else { ground.at("nothing") };
                std::os::unix::fs::symlink(to, file).expect("linked");
            }
            "removed" => fs::remove_file(file).expect("removed"),
            text => fs::write(file, text).expect("written"),
        };
        files.iter().for_each(replace);
        let (git, found) =
            (ground.ours(), Worktrees::new(&fleet.state).expect("worktrees").find("fox").expect("found"));
        let of_work = work(&git, &found).expect_err("damaged");
        let of_removal = remove(&git, &fleet.removal("fox")).expect_err("damaged");
        for error in [&of_work, &of_removal] {
            let WorktreeError::Damaged { dir, file, .. } = error else { panic!("{error}") };
            assert!(*dir == tree && *file == files[0], "{error}");
        }
        let WorktreeError::Damaged { command, .. } = of_work else { panic!("{of_work}") };
        let typed = std::process::Command::new("sh").args(["-c", &command]).status().expect("a shell");
        assert!(typed.success(), "{command}");
        work(&git, &found).expect("mended");
        assert!(fleet.remove("fox").salvage.is_some(), "what is not committed is kept");
        assert_eq!(fs::read_to_string(&pointed_to).expect("read"), "gitdir: /tmp\n", "what a link names stays");
        let aside = PathBuf::from(format!("{}.replaced-1", tree.display()));
        assert_eq!(aside.join("HEAD").exists(), text == "a directory", "a repository of the agent's is kept");
    }
}

#[test]
fn merges_of_one_repository_wait_for_each_other() {
    let fleet = Fleet::new();
    for id in ["a", "b", "c", "d"] {
        let tree = fleet.add(id).worktree.path;
        commit_in(&fleet, &tree, &format!("{id}.rs"));
    }
    std::thread::scope(|scope| {
        for id in ["a", "b", "c", "d"] {
            let fleet = &fleet;
            scope.spawn(move || assert!(matches!(fleet.merge(id, Strategy::Rebase), MergeOutcome::Merged(_)), "{id}"));
        }
    });
    let log = fleet.ground.git(&["log", "--format=%s"]);
    assert_eq!(log.lines().count(), 5, "{log}");
    assert_eq!(fleet.ground.git(&["status", "--porcelain"]), "");
}

/// Types the command of a refusal, and merges again.
fn merged_after_the_command(fleet: &Fleet, path: &str, verb: &str) {
    let ground = &fleet.ground;
    let before = fleet.traces();
    let outcome = fleet.merge("fox", Strategy::Merge);
    let MergeOutcome::Refused(refusal @ Refusal::Unshared { .. }) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(fleet.traces(), before, "nothing is set and nothing is left");
    let said = refusal.to_string();
    assert!(said.starts_with(&format!("{path} is a repository of its own")), "{said}");
    let command = said.split('`').nth(1).expect("a command").to_owned();
    assert!(command.contains(verb), "{command}");
    let typed = std::process::Command::new("sh").args(["-c", &command]).env_clear().envs(ground.env()).output();
    let typed = typed.expect("a shell");
    assert!(typed.status.success(), "{command}: {}", String::from_utf8_lossy(&typed.stderr));
    let outcome = fleet.merge("fox", Strategy::Merge);
    assert!(matches!(outcome, MergeOutcome::Merged(_)), "{outcome:?}");
    assert_eq!(ground.git(&["status", "--porcelain", "--ignore-submodules=all"]), "");
    assert_eq!(fleet.merge("fox", Strategy::Merge), MergeOutcome::NothingToMerge);
    // What the command has given to the user is not lost with the tree.
    assert_eq!(fleet.remove("fox").salvage, None);
}

#[test]
fn a_merge_is_refused_while_only_the_worktree_has_the_commit_of_a_nested_repository() {
    let commit = |ground: &Ground, dir: &Path| {
        ground.git_in(dir, &["commit", "-q", "--allow-empty", "-m", "inner"]);
    };
    // One that the agent has made.
    let (fleet, tree) = with_work();
    let inner = tree.join("vendor/inner");
    fs::create_dir_all(&inner).expect("made");
    fleet.ground.git_in(&inner, &["init", "-q", "-b", "main"]);
    commit(&fleet.ground, &inner);
    fleet.ground.git_in(&tree, &["add", "vendor/inner"]);
    fleet.ground.git_in(&tree, &["commit", "-q", "-m", "nested"]);
    merged_after_the_command(&fleet, "vendor/inner", "clone");

    // A submodule that the user's tree has, and one that it has not.
    for (is_there, verb) in [(true, "fetch"), (false, "push")] {
        let (ground, library) = (Ground::new(), Ground::new());
        let url = library.project().display().to_string();
        ground.git(&["submodule", "add", "-q", &url, "lib"]);
        ground.commit("submodule");
        let fleet = Fleet::of(ground);
        let tree = fleet.add("fox").worktree.path;
        commit(&fleet.ground, &tree.join("lib"));
        fleet.ground.git_in(&tree, &["commit", "-qam", "bump"]);
        if !is_there {
            fleet.ground.git(&["submodule", "deinit", "-q", "-f", "lib"]);
        }
        merged_after_the_command(&fleet, "lib", verb);
    }

    // One whose repository is gone, and a commit that a remote has.
    let (fleet, tree) = with_work();
    let ground = &fleet.ground;
    let missing = "1".repeat(40);
    ground.git_in(&tree, &["update-index", "--add", "--cacheinfo", &format!("160000,{missing},gone")]);
    ground.git_in(&tree, &["commit", "-q", "-m", "gone"]);
    let MergeOutcome::Refused(refusal) = fleet.merge("fox", Strategy::Merge) else { panic!("merged") };
    assert!(refusal.to_string().contains("gone is a repository of its own, and its commit 111111111111"), "{refusal}");
    ground.git_in(&tree, &["rm", "-q", "--cached", "gone"]);
    let library = Ground::new();
    let url = library.project().display().to_string();
    ground.git_in(&tree, &["submodule", "add", "-q", &url, "new"]);
    ground.git_in(&tree, &["commit", "-q", "-m", "a submodule that others have"]);
    let outcome = fleet.merge("fox", Strategy::Merge);
    assert!(matches!(outcome, MergeOutcome::Merged(_)), "{outcome:?}");
}
