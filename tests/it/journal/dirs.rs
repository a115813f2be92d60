use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ccc::core::{Outcome, Tick};
use ccc::journal::Word;
use ccc::journal::{
    FileLock, Holder, JournalWriter, LockError, RunDir, RunDirError, RunNames, RunSummary, SUMMARY_VERSION,
    SummaryError, run_id,
};
use redaction::Redactor;

use super::samples::{header, json_line};

fn summary(id: &str, started_unix_ms: i64) -> RunSummary {
    RunSummary {
        version: SUMMARY_VERSION,
        id: id.to_owned(),
        task: "Make the tests pass.".to_owned(),
        cwd: "/home/alice/shop".to_owned(),
        session_id: None,
        agent_version: Some("2.1.329".to_owned()),
        pid: 4_242,
        started_unix_ms,
        updated_unix_ms: started_unix_ms + 5,
        ended_unix_ms: None,
        phase: "working".to_owned(),
        iteration: 1,
        outcome: None,
        reason: None,
        restarts: 0,
        rotations: 0,
        waited_ms: 0,
        cost_usd: None,
        context_tokens: None,
        context_window_tokens: None,
        tests_touched: None,
        tools_denied: None,
        elapsed_ms: None,
        journal_missing: None,
        result: None,
        resume: None,
        kind: None,
        demo: None,
    }
}

fn run(state: &Path, id: &str) -> RunDir {
    let dir = RunDir::create(state, id).unwrap();
    summary(id, 1).write(&dir.summary(), &Redactor::new()).unwrap();
    dir
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn run_ids_are_readable_and_sort_by_time() {
    let id = run_id(1_795_202_302_000, 0);
    assert_eq!(id, "20261120-191822-2222");
    assert!(run_id(1_795_202_303_000, 0) > run_id(1_795_202_302_000, u32::MAX));
    assert_ne!(run_id(0, 1), run_id(0, 2));
    RunDir::at(Path::new("/s"), &run_id(i64::MAX, u32::MAX)).unwrap();
}

#[test]
fn only_the_user_may_look_into_a_run() {
    let state = tempfile::tempdir().unwrap();
    let root = state.path().join("ccc");
    let dir = run(&root, "20261120-191822-k3f9");
    let mut writer = JournalWriter::create(&dir.journal(), &dir.blobs(), &header(), Redactor::new()).unwrap();
    writer.input(Tick(1), &json_line(&format!("\"{}\"", "x".repeat(100_000))));
    writer.close();
    let _run = dir.take_lock(1, 2).unwrap();
    let holder = Holder { pid: 1, run_id: "r".to_owned(), since_unix_ms: 0, tree: None };
    let _session = FileLock::of_session(&root, "3f2b", &holder).unwrap();
    for path in [root.clone(), root.join("runs"), root.join("sessions"), dir.path().to_owned(), dir.blobs()] {
        assert_eq!(mode(&path), 0o700, "{}", path.display());
    }
    let blob = std::fs::read_dir(dir.blobs()).unwrap().next().unwrap().unwrap().path();
    for path in [dir.journal(), dir.summary(), dir.lock(), blob, root.join("sessions/3f2b.lock")] {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_run_is_made_once() {
    let state = tempfile::tempdir().unwrap();
    RunDir::create(state.path(), "a").unwrap();
    assert!(matches!(RunDir::create(state.path(), "a"), Err(RunDirError::Exists { .. })));
    for bad in ["", "../x", "a/b", ".", "a b"] {
        assert!(matches!(RunDir::create(state.path(), bad), Err(RunDirError::BadId { .. })), "{bad}");
    }
}

#[test]
fn a_second_locker_is_refused_and_told_who_was_first() {
    let state = tempfile::tempdir().unwrap();
    let dir = run(state.path(), "20261120-191822-k3f9");
    assert_eq!(FileLock::holder(&dir.lock()).unwrap(), None);
    let first = dir.take_lock(4_242, 1_795_202_302_000).unwrap();
    let error = dir.take_lock(1, 1).unwrap_err();
    let LockError::Held { holder: Some(holder), .. } = &error else { panic!("{error}") };
    assert_eq!(holder.pid, 4_242);
    let text = error.to_string();
    assert!(text.contains("(pid 4242, run 20261120-191822-k3f9)"), "{text}");
    let told = error.told(|unix_ms| format!("at {unix_ms}"));
    assert!(told.contains("(pid 4242, run 20261120-191822-k3f9, since at 1795202302000)"), "{told}");
    assert_eq!(FileLock::holder(&dir.lock()).unwrap().as_ref(), Some(holder));
    drop(first);
    assert_eq!(FileLock::holder(&dir.lock()).unwrap(), None);
    dir.take_lock(1, 1).unwrap();
}

/// It still keeps its files and writes its report: who has waited for its outcome may go on with it at once.
#[test]
fn the_lock_of_a_run_that_has_ended_is_waited_for_and_that_of_one_at_work_is_not() {
    let state = tempfile::tempdir().unwrap();
    let dir = run(state.path(), "20261120-191822-k3f9");
    let ours = std::process::id();
    for (outcome, is_waited_for) in [(None, false), (Some(Word::Known(Outcome::Failed)), true)] {
        let ended = RunSummary { outcome, ..summary(dir.id(), 7) };
        ended.write(&dir.summary(), &Redactor::default()).unwrap();
        let held = dir.take_lock(ours, 1).unwrap();
        let (never, silent) = std::sync::mpsc::channel::<()>();
        let taken = std::thread::scope(|scope| {
            scope.spawn(move || {
                let _ = silent.recv_timeout(std::time::Duration::from_millis(200));
                drop(held);
            });
            dir.take_lock(ours, 1)
        });
        drop(never);
        assert_eq!(taken.is_ok(), is_waited_for, "{taken:?}");
    }
}

#[test]
fn a_session_has_one_ccc_at_a_time() {
    let state = tempfile::tempdir().unwrap();
    let holder = |pid: u32| Holder { pid, run_id: format!("run-{pid}"), since_unix_ms: 0, tree: None };
    let first = FileLock::of_session(state.path(), "s/1", &holder(11)).unwrap();
    FileLock::of_session(state.path(), "s_1", &holder(12)).unwrap();
    let error = FileLock::of_session(state.path(), "s/1", &holder(13)).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("session s/1") && text.contains("pid 11, run run-11"), "{text}");
    let locks = std::fs::read_dir(state.path().join("sessions")).unwrap();
    assert_eq!(locks.count(), 2, "a session, a file");
    drop(first);
    FileLock::of_session(state.path(), "s/1", &holder(13)).unwrap();
}

#[test]
fn looking_at_a_lock_never_keeps_anyone_from_taking_it() {
    let state = tempfile::tempdir().unwrap();
    let dir = run(state.path(), "a");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                FileLock::holder(&dir.lock()).unwrap();
            }
        });
        let taken: Vec<_> = (0..500).map(|_| dir.take_lock(1, 1).map(drop)).collect();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(taken.iter().all(Result::is_ok));
    });
}

#[test]
fn a_looker_that_loses_its_processor_is_no_holder() {
    let state = tempfile::tempdir().unwrap();
    let dir = run(state.path(), "a");
    drop(dir.take_lock(1, 1).unwrap());
    // As `FileLock::holder` does it, on a machine that is busy just then.
    let looked_at = std::fs::File::open(dir.lock()).unwrap();
    looked_at.lock_shared().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (_never, silent) = std::sync::mpsc::channel::<()>();
            let _ = silent.recv_timeout(std::time::Duration::from_millis(300));
            looked_at.unlock().unwrap();
        });
        dir.take_lock(1, 1).unwrap();
    });
}

#[test]
fn a_run_is_found_by_the_beginning_of_its_id() {
    let state = tempfile::tempdir().unwrap();
    assert!(matches!(RunDir::resolve(state.path(), None), Err(RunDirError::NoRuns { .. })));
    for id in ["20261120-191822-k3f9", "20261120-191822-k3f9x", "20261121-000000-bbbb"] {
        run(state.path(), id);
    }
    let found = |wanted: Option<&str>| RunDir::resolve(state.path(), wanted).map(|dir| dir.id().to_owned());
    assert_eq!(found(None).unwrap(), "20261121-000000-bbbb");
    assert_eq!(found(Some("last")).unwrap(), "20261121-000000-bbbb");
    assert_eq!(found(Some("20261121")).unwrap(), "20261121-000000-bbbb");
    assert_eq!(found(Some("20261120-191822-k3f9")).unwrap(), "20261120-191822-k3f9", "exact before prefix");
    let ambiguous = found(Some("20261120")).unwrap_err();
    assert!(matches!(&ambiguous, RunDirError::Ambiguous { count: 2, candidates, .. } if candidates.len() == 2));
    let unknown = found(Some("1999")).unwrap_err();
    assert!(unknown.to_string().contains("20261121-000000-bbbb"), "{unknown}");
}

#[test]
fn a_run_that_does_not_exist_is_answered_with_the_names_that_are_most_like_it() {
    let state = tempfile::tempdir().unwrap();
    let names = RunNames::new(state.path());
    let fleet = ["login", "login-2", "logout", "docs", "fix-the-parser"];
    for (at, name) in fleet.into_iter().enumerate() {
        let id = format!("20261120-19182{at}-bbbb");
        run(state.path(), &id);
        names.claim(name, &id).unwrap();
    }
    run(state.path(), "20261121-000000-bbbb");
    let said = |wanted: &str| RunDir::resolve(state.path(), Some(wanted)).unwrap_err().to_string();
    let newest = "the newest runs are: 20261121-000000-bbbb, fix-the-parser (20261120-191824-bbbb), \
                  docs (20261120-191823-bbbb), logout (20261120-191822-bbbb)";
    assert_eq!(said("lgoin"), format!("no run `lgoin`; names like it: login, login-2; {newest}"));
    assert_eq!(said("Parser"), format!("no run `Parser`; names like it: fix-the-parser; {newest}"));
    assert_eq!(said("1999"), format!("no run `1999`; {newest}"));
    assert_eq!(said("nothing-of-the-kind"), format!("no run `nothing-of-the-kind`; {newest}"));
}

#[test]
fn runs_of_one_second_are_ordered_by_their_milliseconds() {
    let state = tempfile::tempdir().unwrap();
    for (id, started) in [("20261120-191822-bbbb", 900), ("20261120-191822-zzzz", 100), ("20261120-191822-cccc", 500)] {
        let dir = RunDir::create(state.path(), id).unwrap();
        summary(id, started).write(&dir.summary(), &Redactor::new()).unwrap();
    }
    let list = RunDir::list(state.path()).unwrap();
    let started: Vec<i64> = list.runs.iter().map(|(_, it)| it.started_unix_ms).collect();
    assert_eq!(started, [900, 500, 100]);
}

#[test]
fn a_damaged_summary_is_named_and_does_not_hide_the_others() {
    let state = tempfile::tempdir().unwrap();
    for id in ["20261120-191822-good", "20261121-000000-torn", "20261122-000000-gone", "20261123-000000-newer"] {
        run(state.path(), id);
    }
    let at = |id: &str| RunDir::at(state.path(), id).unwrap().summary();
    std::fs::write(at("20261121-000000-torn"), "{\"version\":1,").unwrap();
    std::fs::remove_file(at("20261122-000000-gone")).unwrap();
    std::fs::write(RunDir::at(state.path(), "20261122-000000-gone").unwrap().journal(), "{}\n").unwrap();
    // A ccc that was killed in its first moments leaves no more than this, and no run.
    RunDir::create(state.path(), "20261124-000000-none").unwrap();
    std::fs::write(at("20261123-000000-newer"), "{\"version\":2}").unwrap();
    let list = RunDir::list(state.path()).unwrap();
    assert_eq!(list.runs.len(), 1);
    assert_eq!(list.runs[0].0.id(), "20261120-191822-good");
    let damaged: Vec<&SummaryError> = list.damaged.iter().map(|(_, error)| error).collect();
    assert!(matches!(damaged[0], SummaryError::TooNew { version: 2, .. }), "{damaged:?}");
    assert!(matches!(damaged[1], SummaryError::Io { .. }), "{damaged:?}");
    assert!(matches!(damaged[2], SummaryError::Damaged { .. }), "{damaged:?}");
    let torn = damaged[2].to_string();
    assert!(torn.contains("20261121-000000-torn/run.json") && torn.contains("line 1"), "{torn}");
}

#[test]
fn a_summary_comes_back_without_secrets_and_with_fields_of_the_future() {
    let state = tempfile::tempdir().unwrap();
    let dir = RunDir::create(state.path(), "a").unwrap();
    let secret = "sk-ant-api03-0123456789abcdef0123456789";
    let redactor = Redactor::new();
    let mut written = summary("a", 7);
    written.outcome = Some(Outcome::NeedsUser.into());
    written.cost_usd = Some(1.25);
    written.result = Some(format!("the key is {secret}"));
    let task = format!("{} {secret}", "x".repeat(189));
    written.task = RunSummary::task_of(&task, &redactor);
    assert_eq!(written.task, format!("{} [redacted:", "x".repeat(189)));
    written.write(&dir.summary(), &redactor).unwrap();
    let text = std::fs::read_to_string(dir.summary()).unwrap();
    assert!(!text.contains("api03"), "{text}");
    std::fs::write(dir.summary(), text.replacen('{', "{\"future\":[1],", 1)).unwrap();
    let back = RunSummary::read(&dir.summary()).unwrap();
    written.result = Some("the key is [redacted:anthropic]".to_owned());
    assert_eq!(back, written);
    // What a newer ccc calls an outcome, a kind and a phase is kept, and written as it was.
    let odd = text.replace("\"needs_user\"", "\"dreamt\"").replacen('{', "{\"kind\":\"fleet\",", 1);
    let odd = odd.replace(&format!("\"{}\"", written.phase), "\"dreaming\"");
    std::fs::write(dir.summary(), odd).unwrap();
    let back = RunSummary::read(&dir.summary()).unwrap();
    assert_eq!((&back.outcome, &back.kind), (&Some(Word::Other("dreamt".into())), &Some(Word::Other("fleet".into()))));
    assert_eq!(back.phase, "dreaming");
    back.write(&dir.summary(), &redactor).unwrap();
    assert_eq!(RunSummary::read(&dir.summary()).unwrap(), back);
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "no temporary file is left: {left:?}");
}

#[test]
fn the_last_run_is_the_one_that_was_active_last() {
    let state = tempfile::tempdir().unwrap();
    let second = |unix_s: u64| std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(unix_s);
    for (id, written) in [("20261120-191822-aaaa", 200), ("20261121-191822-bbbb", 300), ("20261122-191822-cccc", 100)] {
        let dir = run(state.path(), id);
        std::fs::File::create(dir.journal()).unwrap().set_modified(second(written)).unwrap();
    }
    for wanted in [None, Some("last")] {
        assert_eq!(RunDir::resolve(state.path(), wanted).unwrap().id(), "20261121-191822-bbbb");
    }
}
