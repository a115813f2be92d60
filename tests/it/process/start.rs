//! What a child finds when it starts, and why it does not start.

use ccc::process::{Ptys, SpawnError, Transport, spawn, spawn_on, spawn_or_pipe};
use portable_pty::{PtyPair, PtySize};

use super::observer::{PTY, alone, reader, shell};

/// What the script says on stdout until its end.
fn said(script: &str, transport: Transport) -> String {
    let (sink, mut reader) = reader();
    let _child = spawn(&shell(script, transport), sink).unwrap();
    let exit = reader.exit();
    assert_eq!(exit.code, Some(0), "{:?}", String::from_utf8_lossy(&reader.stderr));
    reader.text()
}

#[test]
fn stdout_is_the_childs_controlling_terminal() {
    let _turn = alone();
    // /dev/tty opens only for a process that has a controlling terminal; field 7 of stat is its number.
    let script = "tty <&1; echo by-dev-tty >/dev/tty; read -r s </proc/self/stat; set -- ${s##*) }; echo tty_nr=$5 session=$4 pid=$$";
    let text = said(script, PTY);
    assert!(text.starts_with("/dev/"), "{text}");
    assert!(text.contains("by-dev-tty\n"), "{text}");
    let (tty_nr, session, pid) = (
        super::observer::number(&text, "tty_nr"),
        super::observer::number(&text, "session"),
        super::observer::number(&text, "pid"),
    );
    assert_ne!(tty_nr, 0);
    assert_eq!(session, pid, "the child leads its session");
}

#[test]
fn a_child_on_a_pipe_has_no_controlling_terminal() {
    let _turn = alone();
    let text = said("tty <&1; if (: </dev/tty) 2>/dev/null; then echo has; else echo none; fi", Transport::Pipe);
    assert_eq!(text, "not a tty\nnone\n");
}

#[test]
fn the_terminal_is_raw_and_has_the_size_that_was_asked_for() {
    let _turn = alone();
    let text = said("stty size <&1; stty -a <&1", PTY);
    assert!(text.starts_with("43 132\n"), "{text:?}");
    assert!(!text.contains('\r'), "{text:?}");
    for mode in ["-opost", "-echo ", "-icanon", "-isig"] {
        assert!(text.contains(mode), "{mode} in {text}");
    }
}

#[test]
fn stdin_and_stderr_are_pipes_of_their_own() {
    let _turn = alone();
    let (sink, mut reader) = reader();
    let script = "tty; for n in 0 2; do readlink /proc/$$/fd/$n; done; echo oops >&2";
    let _child = spawn(&shell(script, PTY), sink).unwrap();
    reader.exit();
    let text = reader.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "not a tty");
    assert!(lines[1].starts_with("pipe:") && lines[2].starts_with("pipe:"), "{text}");
    assert_ne!(lines[1], lines[2]);
    assert_eq!(reader.stderr, b"oops\n");
}

#[test]
fn a_child_inherits_three_descriptors_and_no_more() {
    let _turn = alone();
    // A descriptor without close-on-exec, such as a careless parent of ours leaves open.
    let file = std::fs::File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    let (sink, mut first) = reader();
    let holder = spawn(&shell("read -r wait", PTY), sink).unwrap();
    for transport in [PTY, Transport::Pipe] {
        // The shell's own glob opens one descriptor while it reads the directory, hence the builtin test on each number.
        let text = said(
            "for n in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29; do [ -e /proc/$$/fd/$n ] && echo $n; done; :",
            transport,
        );
        assert_eq!(text, "0\n1\n2\n");
    }
    holder.close_stdin();
    first.exit();
}

#[test]
fn the_environment_is_what_was_given_and_the_cookies() {
    let _turn = alone();
    let mut spec = shell("", Transport::Pipe);
    spec.program = "env".into();
    spec.args = vec![];
    spec.env.push(("ONE".into(), "a b".into()));
    spec.env.push(("CCC_ATTEMPT".into(), "99".into()));
    let (sink, mut reader) = reader();
    let _child = spawn(&spec, sink).unwrap();
    reader.exit();
    let text = reader.text();
    let mut names: Vec<&str> = text.lines().filter_map(|l| l.split_once('=')).map(|(n, _)| n).collect();
    names.sort_unstable();
    assert_eq!(names, ["CCC_ATTEMPT", "CCC_RUN_ID", "CCC_SPAWN", "ONE", "PATH"]);
    assert!(text.contains("ONE=a b\n"));
    assert!(text.contains("CCC_ATTEMPT=3\n"), "the cookie outranks what was given: {text}");
    assert!(text.contains(&format!("CCC_RUN_ID={}\n", spec.cookie.run_id)));
}

#[test]
fn a_program_is_looked_up_in_the_childs_path() {
    let _turn = alone();
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("only-here");
    std::fs::write(&program, "#!/bin/sh\npwd\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, executable).unwrap();
    let mut spec = shell("", Transport::Pipe);
    spec.program = "only-here".into();
    spec.args = vec![];
    spec.cwd = std::fs::canonicalize(dir.path()).unwrap();
    spec.env = vec![("PATH".into(), dir.path().into())];
    let (sink, mut reader) = reader();
    let _child = spawn(&spec, sink).unwrap();
    reader.exit();
    assert_eq!(reader.text().trim(), spec.cwd.to_str().unwrap());
}

#[test]
fn each_reason_not_to_start_has_its_error() {
    let _turn = alone();
    let error = |change: &dyn Fn(&mut ccc::process::ChildSpec)| {
        let mut spec = shell("true", PTY);
        change(&mut spec);
        spawn(&spec, reader().0).map(drop).unwrap_err()
    };
    assert_eq!(
        error(&|spec| spec.program = "/no/such/program".into()),
        SpawnError::NotFound { program: "/no/such/program".into() }
    );
    assert_eq!(
        error(&|spec| spec.program = "no-such-program".into()),
        SpawnError::NotFound { program: "no-such-program".into() }
    );
    assert_eq!(
        error(&|spec| spec.program = "/etc/passwd".into()),
        SpawnError::PermissionDenied { program: "/etc/passwd".into() }
    );
    for path in ["/no/such/directory", "/etc/passwd"] {
        assert_eq!(error(&|spec| spec.cwd = path.into()), SpawnError::BadCwd { path: path.into() });
    }
    let too_long = "x".repeat(3 << 20);
    let e2big = rustix::io::Errno::TOOBIG.raw_os_error();
    assert_eq!(
        error(&|spec| spec.args.push(too_long.clone().into())),
        SpawnError::Other { program: "/bin/sh".into(), errno: e2big }
    );
    assert_eq!(super::observer::zombies(), Vec::<u32>::new());
}

struct NoPtys;

impl Ptys for NoPtys {
    fn open(&self, _: PtySize) -> Result<PtyPair, String> {
        Err("all PTYs are taken".into())
    }
}

#[test]
fn without_a_pty_a_pipe_is_used_and_it_is_said() {
    let _turn = alone();
    let spec = shell("tty <&1; exit 7", PTY);
    let no_pty = SpawnError::NoPty { reason: "all PTYs are taken".into() };
    assert_eq!(spawn_on(&spec, reader().0, &NoPtys).map(drop), Err(no_pty.clone()));
    let (sink, mut reader) = reader();
    let (_child, why) = spawn_or_pipe(&spec, sink, &NoPtys).unwrap();
    assert_eq!(why, Some(no_pty));
    assert_eq!(reader.exit().code, Some(7));
    assert_eq!(reader.text(), "not a tty\n");
}

#[test]
fn no_secret_of_the_environment_is_shown() {
    let mut spec = shell("true", PTY);
    spec.env.push(("ANTHROPIC_API_KEY".into(), "sk-made-up".into()));
    let shown = format!("{spec:?}");
    assert!(shown.contains("ANTHROPIC_API_KEY") && !shown.contains("sk-made-up"), "{shown}");
}
