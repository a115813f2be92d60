use std::fs;
use std::path::{Path, PathBuf};

use super::remove::Step;
use super::*;
use crate::checkpoint::{self, Expected, set_reference};
use crate::fleet::{AgentRecord, KeptDown, Queued, Role};
use crate::git::Repository;
use crate::git::tests::Ground;
use crate::journal::{RunDir, RunNames};

const NOW_MS: i64 = 1_795_198_017_000;
const DAY_MS: i64 = 86_400_000;

fn state(ground: &Ground) -> PathBuf {
    ground.at("state")
}

/// A run that ended so many days ago; without an outcome it has not ended.
fn run(ground: &Ground, id: &str, days: i64, outcome: Option<&str>) -> RunDir {
    let dir = RunDir::create(&state(ground), id).expect("a run");
    let at = NOW_MS - days * DAY_MS;
    let summary = serde_json::json!({
        "version": 1, "id": id, "task": "", "cwd": ground.project(), "pid": 1, "started_unix_ms": at, "updated_unix_ms": at,
        "phase": "working", "iteration": 0, "restarts": 0, "rotations": 0, "waited_ms": 0, "outcome": outcome,
    });
    fs::write(dir.summary(), summary.to_string()).expect("written");
    fs::write(dir.journal(), "x".repeat(1_000)).expect("written");
    dir
}

fn agent(ground: &Ground, run: &RunDir, name: &str) -> AgentRecord {
    let record = AgentRecord::new(run.id(), name, Role::Manager, 1, &ground.project());
    record.write(run).expect("written");
    RunNames::new(&state(ground)).claim(name, run.id()).expect("free");
    record
}

fn checkpoints(ground: &Ground, run: &RunDir, number: u64) {
    let repository = Repository::find(&ground.project()).expect("a repository");
    let head = ground.git(&["rev-parse", "HEAD"]);
    for n in 1..=number {
        let reference = checkpoint::reference(run.id(), n);
        set_reference(&ground.ours(), &repository.shared(), &reference, &head, Expected::Absent).expect("set");
    }
}

fn references(ground: &Ground) -> Vec<String> {
    ground.git(&["for-each-ref", "--format=%(refname)", "refs/ccc"]).lines().map(str::to_owned).collect()
}

#[test]
fn only_what_is_finished_may_go() {
    let ground = Ground::new();
    let of = |tail: &str, days, outcome| run(&ground, &format!("20261101-000000-{tail}"), days, outcome);
    of("done", 1, Some("completed"));
    of("fail", 1, Some("failed"));
    for (tail, outcome) in
        [("user", "needs_user"), ("budg", "budget"), ("stck", "stuck"), ("lims", "limits"), ("intr", "interrupted")]
    {
        of(tail, 29, Some(outcome));
        of(&format!("old-{tail}"), 31, Some(outcome));
    }
    of("newr", 99, Some("dreamt"));
    of("died", 99, None);
    let killed = of("kill", 99, None);
    let record = agent(&ground, &killed, "killed");
    AgentRecord { removed_unix_ms: Some(NOW_MS), ..record }.write(&killed).expect("written");
    let down = of("down", 99, None);
    agent(&ground, &down, "down");
    KeptDown::write(&down, "ccc stop", NOW_MS).expect("written");
    let works = of("work", 99, Some("completed"));
    let _held = works.take_lock(std::process::id(), 1).expect("free");
    let queued = of("wait", 99, None);
    fs::remove_file(queued.journal()).expect("removed");
    let plan = crate::core::Plan::new("Do it.", "/project", crate::core::SessionStart::New("s".to_owned()));
    Queued::new(plan, Path::new("/project"), "2 agents run".to_owned(), 7).write(&queued).expect("written");
    let managing = of("boss", 99, Some("completed"));
    agent(&ground, &managing, "boss");
    let worker = of("hand", 99, None);
    let record = agent(&ground, &worker, "hand");
    AgentRecord { manager: Some(managing.id().to_owned()), ..record }.write(&worker).expect("written");
    let damaged = of("harm", 99, Some("completed"));
    fs::write(damaged.summary(), "{").expect("written");

    let all = ages(&state(&ground), NOW_MS).expect("read");
    let why = |tail: &str| {
        let run = all.iter().find(|run| run.dir.id().ends_with(&format!("-{tail}"))).expect("there");
        run.finished.as_ref().err().copied()
    };
    for tail in ["done", "fail", "old-user", "old-budg", "old-stck", "old-lims", "old-intr", "kill"] {
        assert_eq!(why(tail), None, "{tail}");
    }
    assert_eq!(why("newr"), Some(Stays::Unknown));
    assert_eq!(why("died"), Some(Stays::NotEnded));
    assert_eq!(why("down"), Some(Stays::NotEnded));
    assert_eq!(why("work"), Some(Stays::AtWork));
    assert_eq!(why("wait"), Some(Stays::AtWork));
    assert_eq!(why("boss"), Some(Stays::Manages));
    assert_eq!(why("harm"), Some(Stays::Unknown));
    let recent = all.iter().filter(|run| run.finished == Err(Stays::CanGoOn)).count();
    assert_eq!(recent, 5, "those that ended 29 days ago");
    assert!(all.is_sorted_by_key(|run| std::cmp::Reverse(run.last_unix_ms)));
}

#[test]
fn a_run_that_still_has_an_agents_versions_stays() {
    let ground = Ground::new();
    let old = run(&ground, "20260801-000000-aaaa", 99, Some("completed"));
    let finished = || ages(&state(&ground), NOW_MS).expect("read").remove(0).finished.map(drop);
    assert_eq!(finished(), Ok(()));
    fs::create_dir(old.path().join("protected")).expect("made");
    fs::write(old.path().join("protected/record.json"), "{}").expect("written");
    assert_eq!(finished(), Err(Stays::NotPutBack));
}

#[test]
fn with_a_run_go_its_directory_its_name_and_its_checkpoints_and_nothing_else() {
    let ground = Ground::new();
    let old = run(&ground, "20260801-000000-aaaa", 99, Some("completed"));
    let other = run(&ground, "20260801-000000-aaab", 99, Some("completed"));
    agent(&ground, &old, "old");
    agent(&ground, &other, "other");
    checkpoints(&ground, &old, 12);
    checkpoints(&ground, &other, 1);
    let head = ground.git(&["rev-parse", "HEAD"]);
    let kept = [format!("refs/ccc/salvage/{}/1", old.id()), "refs/ccc/mine/1".to_owned()];
    for reference in &kept {
        ground.git(&["update-ref", reference, &head]);
    }
    let (state, git) = (state(&ground), ground.ours());
    let removed = Remover::new(&state, &git).expect("free").remove(&old, NOW_MS).expect("removed");
    assert_eq!((removed.checkpoints, removed.gone), (12, None));
    assert!(removed.bytes > 1_000);
    assert!(!old.path().exists() && other.path().is_dir());
    assert_eq!(fs::read_dir(state.join("runs/.trash")).expect("there").count(), 0);
    let names = RunNames::new(&state);
    assert!(names.run_of("old").is_none() && names.run_of("other").is_some());
    assert!(!state.join("names/old").exists());
    let mut expected = vec![checkpoint::reference(other.id(), 1)];
    expected.extend(kept);
    expected.sort();
    assert_eq!(references(&ground), expected);
    assert_eq!(RunDir::all(&state).expect("listed"), [other]);
}

#[test]
fn a_removal_that_is_killed_after_any_step_is_completed_by_the_next_one() {
    for at in [Step::Renamed, Step::CheckpointsGone, Step::NameFree, Step::Deleted] {
        let ground = Ground::new();
        let old = run(&ground, "20260801-000000-aaaa", 99, Some("completed"));
        agent(&ground, &old, "old");
        checkpoints(&ground, &old, 2);
        let (state, git) = (state(&ground), ground.ours());
        let remover = Remover::new(&state, &git).expect("free");
        let killed = remover.remove_with(&old, NOW_MS, &mut |step| {
            if step == at { Err(NotRemoved::Busy) } else { Ok(()) }
        });
        assert!(matches!(killed, Err(NotRemoved::Busy)), "{at:?}");
        assert!(!old.path().exists(), "{at:?}: it is gone as a whole");
        let (removed, failed) = remover.complete();
        assert!(failed.is_empty(), "{at:?}: {failed:?}");
        assert_eq!(removed.len(), usize::from(at != Step::Deleted), "{at:?}");
        assert_eq!(references(&ground), [] as [String; 0], "{at:?}");
        assert!(!state.join("names/old").exists(), "{at:?}");
        assert_eq!(fs::read_dir(state.join("runs/.trash")).expect("there").count(), 0, "{at:?}");
        assert!(remover.complete().0.is_empty());
    }
}

#[test]
fn what_was_killed_before_the_rename_leaves_the_run_as_it_is() {
    let ground = Ground::new();
    let old = run(&ground, "20260801-000000-aaaa", 99, Some("completed"));
    checkpoints(&ground, &old, 2);
    let place = state(&ground).join("runs/.trash/20260801-000000-aaaa.1");
    fs::create_dir_all(&place).expect("made");
    let (state, git) = (state(&ground), ground.ours());
    let (removed, failed) = Remover::new(&state, &git).expect("free").complete();
    assert!(removed.is_empty() && failed.is_empty());
    assert!(!place.exists() && old.summary().exists());
    assert_eq!(references(&ground).len(), 2);
}

#[test]
fn a_run_that_is_continued_meanwhile_stays() {
    let ground = Ground::new();
    let old = run(&ground, "20260801-000000-aaaa", 99, Some("completed"));
    let (state, git) = (state(&ground), ground.ours());
    let remover = Remover::new(&state, &git).expect("free");
    let held = old.take_lock(std::process::id(), 1).expect("free");
    let stays = |error: NotRemoved| matches!(error, NotRemoved::Stays { why: Stays::AtWork, .. });
    assert!(stays(remover.remove(&old, NOW_MS).expect_err("held")));
    // It went on, and its ccc died.
    drop(held);
    let text = fs::read_to_string(old.summary()).expect("read").replace("\"completed\"", "null");
    fs::write(old.summary(), text).expect("written");
    let error = remover.remove(&old, NOW_MS).expect_err("not finished");
    assert!(matches!(error, NotRemoved::Stays { why: Stays::NotEnded, .. }), "{error}");
    assert!(old.journal().exists());
    assert!(old.take_lock(std::process::id(), 1).is_ok(), "its lock is free");
}

#[test]
fn a_repository_that_is_gone_is_named_and_one_that_git_cannot_change_keeps_the_run_in_the_trash() {
    let ground = Ground::new();
    let old = run(&ground, "20260801-000000-aaaa", 99, Some("completed"));
    checkpoints(&ground, &old, 2);
    let (state, git) = (state(&ground), ground.ours());
    let remover = Remover::new(&state, &git).expect("free");
    let lock = ground.project().join(format!(".git/refs/ccc/{}/2.lock", old.id()));
    fs::write(&lock, "").expect("written");
    let error = remover.remove(&old, NOW_MS).expect_err("a reference is locked");
    assert!(matches!(error, NotRemoved::Checkpoints { .. }), "{error}");
    assert_eq!(references(&ground).len(), 2, "all or none");
    fs::remove_file(&lock).expect("removed");
    assert_eq!(remover.complete().0[0].checkpoints, 2);
    let last = run(&ground, "20260801-000000-bbbb", 99, Some("completed"));
    fs::rename(ground.project(), ground.at("moved")).expect("moved");
    let removed = remover.remove(&last, NOW_MS).expect("removed");
    assert_eq!((removed.checkpoints, removed.gone), (0, Some(ground.project())));
}

#[test]
fn references_of_runs_that_are_gone_are_found_when_they_are_old() {
    let ground = Ground::new();
    let (there, away) =
        (run(&ground, "20260801-000000-aaaa", 99, None), RunDir::at(&state(&ground), "20260801-000000-gone"));
    let away = away.expect("an id");
    fs::create_dir_all(state(&ground).join("archive/20260801-000000-nuke")).expect("made");
    let nuked = RunDir::at(&state(&ground), "20260801-000000-nuke").expect("an id");
    for run in [&there, &away, &nuked] {
        checkpoints(&ground, run, 2);
    }
    let head = ground.git(&["rev-parse", "HEAD"]);
    for reference in
        ["refs/ccc/merge/20260801-000000-gone", "refs/ccc/salvage/20260801-000000-gone/1", "refs/ccc/mine/1"]
    {
        ground.git(&["update-ref", reference, &head]);
    }
    let made_unix_s: i64 = ground.git(&["log", "-1", "--format=%ct"]).parse().expect("a time");
    let place = Repository::find(&ground.project()).expect("a repository").shared();
    let found = |before_unix_s| orphans(&ground.ours(), &place, &state(&ground), before_unix_s).expect("listed");
    assert_eq!(found(made_unix_s), [], "younger than that");
    let old = found(made_unix_s + 1);
    assert_eq!(old.len(), 1, "{old:?}");
    assert_eq!((old[0].run.as_str(), old[0].references.len()), (away.id(), 3));
    old[0].remove(&ground.ours(), &place).expect("removed");
    assert_eq!(found(made_unix_s + 1), []);
    assert_eq!(references(&ground).len(), 6);
}
