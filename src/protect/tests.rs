use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::*;
use crate::checkpoint::Expected;
use crate::checkpoint::tests::{CheckpointRequest, take};
use crate::config::Glob;
use crate::git::tests::Ground;

/// A repository with a base, and the directory of a run.
struct World {
    ground: Ground,
    base: String,
    run: tempfile::TempDir,
}

impl World {
    /// `files` and what [`Ground`] has are the base.
    fn with(files: &[(&str, &str)]) -> World {
        let ground = Ground::new();
        for (path, content) in files {
            ground.write(path, content);
        }
        World::of(ground)
    }

    fn of(ground: Ground) -> World {
        let tree = ground.project();
        let request = CheckpointRequest {
            expected: Expected::Anything,
            ..CheckpointRequest::new(&tree, "refs/ccc/run/1", "the beginning")
        };
        let base = take(&ground.ours(), &request).expect("a checkpoint").commit;
        World { ground, base, run: tempfile::tempdir().expect("a directory") }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.ground.project().join(path)
    }

    fn exchange_in(&self, cwd: &str, patterns: &[&str]) -> Result<Exchanged, ProtectError> {
        let patterns: Vec<Glob> = patterns.iter().map(|pattern| pattern.parse().expect("a pattern")).collect();
        exchange(&Exchange {
            git: &self.ground.ours(),
            run_id: "r1",
            run_dir: self.run.path(),
            cwd: &self.at(cwd),
            base: &self.base,
            patterns: &patterns,
        })
    }

    fn exchange(&self, patterns: &[&str]) -> Result<Exchanged, ProtectError> {
        self.exchange_in("", patterns)
    }

    fn put_back(&self) -> PutBack {
        put_back(self.run.path()).expect("put back").expect("there was an exchange")
    }

    /// Each path with what lies there: content or target, mode, and time.
    fn state(&self) -> Vec<(String, String, u32, (i64, i64))> {
        let mut found = Vec::new();
        collect(&self.ground.project(), &self.ground.project(), &mut found);
        found.sort();
        found
    }
}

fn collect(top: &Path, dir: &Path, found: &mut Vec<(String, String, u32, (i64, i64))>) {
    for entry in fs::read_dir(dir).expect("listed").flatten().filter(|entry| entry.file_name() != ".git") {
        let path = entry.path();
        let meta = fs::symlink_metadata(&path).expect("metadata");
        let content = if meta.is_symlink() {
            format!("-> {}", fs::read_link(&path).expect("a link").display())
        } else if meta.is_file() {
            String::from_utf8_lossy(&fs::read(&path).expect("read")).into_owned()
        } else {
            collect(top, &path, found);
            continue;
        };
        let name = path.strip_prefix(top).expect("below").display().to_string();
        found.push((name, content, meta.mode(), (meta.mtime(), meta.mtime_nsec())));
    }
}

fn long_ago(path: &Path) {
    let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 123_456_789);
    fs::File::options().write(true).open(path).expect("opened").set_modified(time).expect("set");
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("read")
}

#[test]
fn what_the_agent_changed_removed_and_added_is_exactly_there_again() {
    let ground = Ground::new();
    for (path, content) in [
        ("tests/changed.sh", "base\r\n"),
        ("tests/removed.sh", "removed"),
        ("tests/deep/er/gone.sh", "gone"),
        ("tests/mode.sh", "same"),
        ("tests/same.sh", "same"),
        ("tests/to_link.sh", "was a file"),
        ("src/code.rs", "base"),
        (".gitattributes", "* text=auto eol=lf\n"),
    ] {
        ground.write(path, content);
    }
    mode(&ground.project().join("tests/mode.sh"), 0o755);
    symlink("changed.sh", ground.project().join("tests/link")).expect("link");
    let world = World::of(ground);
    world.ground.write("tests/changed.sh", "exit 0\n");
    mode(&world.at("tests/changed.sh"), 0o640);
    long_ago(&world.at("tests/changed.sh"));
    fs::remove_file(world.at("tests/removed.sh")).expect("removed");
    fs::remove_dir_all(world.at("tests/deep")).expect("removed");
    mode(&world.at("tests/mode.sh"), 0o644);
    fs::remove_file(world.at("tests/to_link.sh")).expect("removed");
    symlink("/nowhere", world.at("tests/to_link.sh")).expect("link");
    fs::remove_file(world.at("tests/link")).expect("removed");
    symlink("removed.sh", world.at("tests/link")).expect("link");
    world.ground.write("tests/added.sh", "added");
    world.ground.write("src/code.rs", "changed");
    let before = world.state();

    let exchanged = world.exchange(&["tests/**", "none/**"]).expect("exchanged");
    assert_eq!(exchanged.unmatched, ["none/**"]);
    let expected = ["changed.sh", "deep/er/gone.sh", "link", "mode.sh", "removed.sh", "to_link.sh"]
        .map(|name| format!("tests/{name}"));
    assert_eq!(exchanged.restored, expected);
    assert_eq!(read(&world.at("tests/changed.sh")), "base\r\n", "byte for byte");
    assert_eq!(read(&world.at("tests/removed.sh")), "removed");
    assert_eq!(read(&world.at("tests/deep/er/gone.sh")), "gone");
    assert_eq!(fs::read_link(world.at("tests/link")).expect("a link"), Path::new("changed.sh"));
    assert_eq!(read(&world.at("tests/to_link.sh")), "was a file");
    assert!(fs::metadata(world.at("tests/mode.sh")).expect("metadata").mode() & 0o111 != 0);
    assert_eq!(
        (read(&world.at("tests/added.sh")), read(&world.at("src/code.rs"))),
        ("added".to_owned(), "changed".to_owned())
    );
    let record = self::record::file(world.run.path());
    assert_eq!(fs::metadata(&record).expect("a record").mode() & 0o777, 0o600);
    assert!(is_pending(world.run.path()));
    assert_eq!(pending_in(world.run.path()), Some(world.ground.project().canonicalize().expect("real")));

    assert_eq!(world.put_back(), PutBack { files: 6, written: Vec::new() });
    assert_eq!(world.state(), before);
    assert!(!world.at("tests/deep").exists(), "the directory that the agent had removed");
    assert!(!is_pending(world.run.path()));
    assert_eq!(put_back(world.run.path()).expect("no fault"), None);
    assert_eq!(fs::read_dir(world.run.path()).expect("listed").count(), 0, "no copy is left");
}

#[test]
fn what_nobody_has_changed_needs_no_exchange() {
    let world = World::with(&[("tests/a.sh", "a")]);
    let before = world.state();
    let exchanged = world.exchange(&["tests"]).expect("exchanged");
    assert_eq!(Exchanged { files: Vec::new(), ..exchanged }, Exchanged::default());
    assert!(!is_pending(world.run.path()));
    assert_eq!(world.state(), before);
}

#[test]
fn an_exchange_that_was_killed_at_any_file_is_undone_by_its_record() {
    for killed_after in 0..4 {
        let world = World::with(&[("tests/a", "A"), ("tests/b", "B"), ("tests/c", "C")]);
        for name in ["a", "b", "c"] {
            world.ground.write(&format!("tests/{name}"), "bent");
        }
        let before = world.state();
        world.exchange(&["tests/**"]).expect("exchanged");
        // The later files are as if they had never been written, and one is left in part.
        for name in ["a", "b", "c"].iter().skip(killed_after) {
            world.ground.write(&format!("tests/{name}"), "bent");
            let (_, _, _, (s, ns)) =
                &before[before.iter().position(|(path, ..)| path == &format!("tests/{name}")).expect("there")];
            let time =
                std::time::UNIX_EPOCH + std::time::Duration::new(s.cast_unsigned(), u32::try_from(*ns).expect("ns"));
            fs::File::options()
                .write(true)
                .open(world.at(&format!("tests/{name}")))
                .expect("opened")
                .set_modified(time)
                .expect("set");
        }
        if killed_after < 3 {
            world.ground.write(&format!("tests/.ccc-protect-r1-{killed_after}"), "par");
        }
        world.put_back();
        assert_eq!(world.state(), before, "killed after {killed_after}");
    }
}

#[test]
fn undoing_it_a_second_time_after_a_kill_in_the_middle_completes_it() {
    let world = World::with(&[("tests/a", "A"), ("tests/b", "B")]);
    world.ground.write("tests/a", "bent a");
    world.ground.write("tests/b", "bent b");
    world.exchange(&["tests/**"]).expect("exchanged");
    let record = self::record::file(world.run.path());
    let kept = fs::read(&record).expect("a record");
    let copies: Vec<_> = (0..2).map(|at| fs::read(self::record::copy(world.run.path(), at)).expect("a copy")).collect();
    let before = world.put_back();
    let state = world.state();
    // As if it had been killed before the record was removed.
    fs::create_dir(self::record::dir(world.run.path())).expect("mkdir");
    mode(&self::record::dir(world.run.path()), 0o700);
    for (at, copy) in copies.iter().enumerate() {
        fs::write(self::record::copy(world.run.path(), at), copy).expect("written");
    }
    fs::write(&record, kept).expect("written");
    assert_eq!(world.put_back(), before);
    assert_eq!(world.state(), state);
}

#[test]
fn an_exchange_that_was_not_undone_is_undone_before_the_next_one() {
    let world = World::with(&[("tests/a", "A")]);
    world.ground.write("tests/a", "bent");
    let before = world.state();
    world.exchange(&["tests/**"]).expect("exchanged");
    assert_eq!(world.exchange(&["tests/**"]).expect("exchanged").restored, ["tests/a"]);
    world.put_back();
    assert_eq!(world.state(), before);
}

#[test]
fn what_was_written_during_the_check_stays_and_the_version_from_before_is_kept() {
    let world = World::with(&[("tests/a", "A"), ("tests/b", "B"), ("tests/c", "C"), ("tests/d", "D")]);
    world.ground.write("tests/a", "bent a");
    world.ground.write("tests/b", "bent b");
    fs::remove_file(world.at("tests/c")).expect("removed");
    world.ground.write("tests/d", "bent d");
    world.exchange(&["tests/**"]).expect("exchanged");
    world.ground.write("tests/a", "newer");
    fs::remove_file(world.at("tests/b")).expect("removed");
    world.ground.write("tests/c", "newer");
    // Another time is no other content.
    long_ago(&world.at("tests/d"));
    let done = world.put_back();
    let kept = world.run.path().join("protected-kept/0");
    assert_eq!(done.written, [("tests/a".into(), Some(kept.clone())), ("tests/c".into(), None)]);
    assert_eq!((read(&world.at("tests/a")), read(&kept)), ("newer".to_owned(), "bent a".to_owned()));
    assert_eq!(read(&world.at("tests/c")), "newer");
    assert_eq!(read(&world.at("tests/b")), "bent b", "what the check has removed comes back");
    assert_eq!(read(&world.at("tests/d")), "bent d");
    // The next one gets a place of its own.
    world.exchange(&["tests/**"]).expect("exchanged");
    world.ground.write("tests/a", "newest");
    assert_eq!(world.put_back().written, [("tests/a".into(), Some(world.run.path().join("protected-kept/1")))]);
}

#[test]
fn nothing_is_written_through_a_link_and_the_tree_stays_as_it_is() {
    let outside = tempfile::tempdir().expect("a directory");
    fs::write(outside.path().join("a"), "untouched").expect("written");
    type Put<'a> = &'a dyn Fn(&World);
    let way: [(&str, Put<'_>); 4] = [
        ("a link to a directory", &|world| {
            fs::remove_dir_all(world.at("tests")).expect("removed");
            symlink(outside.path(), world.at("tests")).expect("link");
        }),
        ("a file", &|world| {
            fs::remove_dir_all(world.at("tests")).expect("removed");
            world.ground.write("tests", "a file");
        }),
        ("a directory", &|world| {
            fs::remove_file(world.at("tests/a")).expect("removed");
            world.ground.write("tests/a/b", "below");
        }),
        ("a FIFO", &|world| {
            fs::remove_file(world.at("tests/a")).expect("removed");
            crate::files::make_fifo(&world.at("tests/a"));
        }),
    ];
    for (what, put) in way {
        let world = World::with(&[("tests/a", "A"), ("tests/b", "B")]);
        world.ground.write("tests/b", "bent");
        put(&world);
        let error = world.exchange(&["tests/**"]).expect_err(what);
        assert!(!error.leaves_files() && !is_pending(world.run.path()), "{what}: {error}");
        assert!(error.to_string().contains("tests"), "{what}: {error}");
        if world.at("tests/b").exists() {
            assert_eq!(read(&world.at("tests/b")), "bent");
        }
        assert_eq!(read(&outside.path().join("a")), "untouched");
        assert_eq!(fs::read_dir(outside.path()).expect("listed").count(), 1);
    }
}

#[test]
fn a_link_that_came_during_the_check_is_not_followed_and_the_record_stays() {
    let world = World::with(&[("tests/a", "A"), ("other/b", "B")]);
    world.ground.write("tests/a", "bent a");
    world.ground.write("other/b", "bent b");
    world.exchange(&["**"]).expect("exchanged");
    let outside = tempfile::tempdir().expect("a directory");
    fs::write(outside.path().join("a"), "A").expect("written");
    fs::rename(world.at("tests"), world.at("away")).expect("renamed");
    symlink(outside.path(), world.at("tests")).expect("link");
    put_back(world.run.path()).expect_err("it leads elsewhere");
    assert_eq!(read(&outside.path().join("a")), "A");
    assert_eq!(read(&world.at("other/b")), "bent b", "the others are put back");
    assert!(is_pending(world.run.path()));
    fs::remove_file(world.at("tests")).expect("removed");
    world.put_back();
    assert_eq!(read(&world.at("tests/a")), "bent a");
}

#[test]
fn patterns_are_seen_from_the_directory_of_the_run() {
    let world = World::with(&[("web/tests/a", "A"), ("tests/b", "B")]);
    world.ground.write("web/tests/a", "bent");
    world.ground.write("tests/b", "bent");
    let exchanged = world.exchange_in("web", &["tests/**"]).expect("exchanged");
    assert_eq!(exchanged.restored, ["tests/a"]);
    assert_eq!((read(&world.at("web/tests/a")), read(&world.at("tests/b"))), ("A".to_owned(), "bent".to_owned()));
    world.put_back();
}

#[test]
fn a_file_that_the_agent_has_hidden_from_git_is_restored_too() {
    let world = World::with(&[("tests/a", "A"), ("tests/b", "B")]);
    world.ground.git(&["add", "-A"]);
    world.ground.git(&["commit", "-qm", "both"]);
    world.ground.git(&["update-index", "--assume-unchanged", "tests/a"]);
    world.ground.git(&["rm", "-q", "--cached", "tests/b"]);
    world.ground.write(".gitignore", "tests/\n");
    world.ground.write("tests/a", "bent");
    world.ground.write("tests/b", "bent");
    world.ground.git(&["config", "core.fileMode", "false"]);
    world.ground.git(&["config", "core.ignoreStat", "true"]);
    world.ground.git(&["config", "core.hooksPath", "/nowhere"]);
    assert_eq!(world.exchange(&["tests/**"]).expect("exchanged").restored, ["tests/a", "tests/b"]);
    world.put_back();
}

#[test]
fn what_a_sparse_tree_never_had_is_not_brought_into_it() {
    let world = World::with(&[("tests/a", "A"), ("far/tests/b", "B")]);
    world.ground.git(&["add", "-A"]);
    world.ground.git(&["commit", "-qm", "both"]);
    world.ground.git(&["sparse-checkout", "set", "--no-cone", "/tests/"]);
    assert!(!world.at("far").exists(), "the premise");
    let World { ground, .. } = world;
    let world = World::of(ground);
    world.ground.write("tests/a", "bent");
    assert_eq!(world.exchange(&["**/tests/**"]).expect("exchanged").restored, ["tests/a"]);
    assert!(!world.at("far").exists());
    world.put_back();
}

#[test]
fn a_pointer_of_git_lfs_is_not_written_over_its_content() {
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 3\n", "a".repeat(64));
    let world = World::with(&[("tests/big.bin", &pointer), ("tests/a", "A")]);
    world.ground.write("tests/big.bin", "abc");
    world.ground.write("tests/a", "bent");
    let exchanged = world.exchange(&["tests/**"]).expect("exchanged");
    assert_eq!(
        (exchanged.restored, exchanged.without_content),
        (vec!["tests/a".to_owned()], vec!["tests/big.bin".to_owned()])
    );
    assert_eq!(read(&world.at("tests/big.bin")), "abc");
    world.put_back();
}

#[test]
fn a_missing_base_or_repository_and_a_copy_that_is_lost_are_errors() {
    let mut world = World::with(&[("tests/a", "A")]);
    world.ground.write("tests/a", "bent");
    world.exchange(&["tests/**"]).expect("exchanged");
    let copy = self::record::copy(world.run.path(), 0);
    let kept = fs::read(&copy).expect("a copy");
    fs::remove_file(&copy).expect("removed");
    put_back(world.run.path()).expect_err("the copy is lost");
    assert_eq!(read(&world.at("tests/a")), "A", "nothing half done");
    fs::write(&copy, kept).expect("written");
    world.put_back();
    world.base = "0123456789012345678901234567890123456789".to_owned();
    world.exchange(&["tests/**"]).expect_err("no such commit");
    fs::remove_dir_all(world.at(".git")).expect("removed");
    let error = world.exchange(&["tests/**"]).expect_err("no repository");
    assert!(matches!(error, ProtectError::NoRepository { .. }), "{error}");
    assert_eq!(read(&world.at("tests/a")), "bent");
}

#[test]
fn a_tree_that_is_gone_needs_nothing_put_back() {
    let world = World::with(&[("tests/a", "A")]);
    world.ground.write("tests/a", "bent");
    world.exchange(&["tests/**"]).expect("exchanged");
    fs::remove_dir_all(world.ground.project()).expect("removed");
    assert_eq!(world.put_back(), PutBack::default());
    assert!(!is_pending(world.run.path()));
}

#[test]
fn a_path_that_is_no_text_is_remembered_byte_for_byte() {
    use std::os::unix::ffi::OsStrExt;
    let name = std::ffi::OsStr::from_bytes(b"tests/100% \xff\xfe\n");
    let ground = Ground::new();
    ground.write("tests/x", "X");
    fs::write(ground.project().join(name), "base").expect("written");
    let world = World::of(ground);
    fs::write(world.ground.project().join(name), "bent").expect("written");
    world.exchange(&["tests/**"]).expect("exchanged");
    assert_eq!(read(&world.ground.project().join(name)), "base");
    assert_eq!(world.put_back().files, 1);
    assert_eq!(read(&world.ground.project().join(name)), "bent");
}
