use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::add::{AddStep, add_with};
use super::remove::{RemoveStep, remove_with};
use super::*;
use crate::checkpoint::FILE_LIMIT_BYTES;
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

const ADD_STEPS: [AddStep; 4] = [AddStep::Recorded, AddStep::BranchMade, AddStep::Registered, AddStep::CheckedOut];

#[test]
fn an_attempt_that_fails_takes_back_what_it_has_made_and_nothing_else() {
    let fleet = Fleet::new();
    let project = fleet.ground.project();
    fleet.add("other");
    let before = fleet.traces();
    for step in ADD_STEPS {
        let fail = |at| {
            let source = std::io::Error::other("the disk is full");
            if at == step { Err(WorktreeError::Io { path: "x".into(), source }) } else { Ok(()) }
        };
        let error = add_with(&fleet.ground.ours(), &fleet.request(&project, "fox"), &mut { fail }).expect_err("failed");
        assert!(error.to_string().contains("the disk is full"), "{step:?}: {error}");
        assert_eq!(fleet.traces(), before, "{step:?}");
    }
    // Git itself fails: at the branch, and at the checkout.
    let git_dir = project.join(".git");
    write(&git_dir.join("refs/heads/agent/fox.lock"), "");
    add(&fleet.ground.ours(), &fleet.request(&project, "fox")).expect_err("the branch is locked");
    fs::remove_file(git_dir.join("refs/heads/agent/fox.lock")).expect("removed");
    assert_eq!(fleet.traces(), before);
    let blob = fleet.ground.git(&["rev-parse", "HEAD:src/a.rs"]);
    let object = git_dir.join("objects").join(&blob[..2]).join(&blob[2..]);
    let hidden = fleet.ground.at("hidden");
    fs::rename(&object, &hidden).expect("hidden");
    let error = add(&fleet.ground.ours(), &fleet.request(&project, "fox")).expect_err("a file is missing");
    assert!(error.to_string().contains("`git reset` failed"), "{error}");
    fs::rename(&hidden, &object).expect("back");
    assert_eq!(fleet.traces(), before);
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
