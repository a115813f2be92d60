//! Finds programs, and reports missing ones that a command line names.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Words that begin a builtin of the shell, so no program of this name is needed.
const BUILTINS: &[&str] = &[
    ".", ":", "[", "alias", "bg", "break", "case", "cd", "command", "continue", "done", "echo", "esac", "eval", "exec",
    "exit", "export", "false", "fc", "fg", "fi", "for", "getopts", "hash", "jobs", "kill", "local", "printf", "pwd",
    "read", "readonly", "return", "select", "set", "shift", "source", "test", "times", "trap", "true", "type",
    "ulimit", "umask", "unalias", "unset", "wait", "}",
];
/// Shell words that a command follows.
const BEFORE_A_COMMAND: &[&str] = &["!", "do", "elif", "else", "if", "then", "time", "until", "while", "{"];
/// Characters that only a shell can interpret.
const NOT_PLAIN: &[char] = &['\'', '"', '`', '\\', '$', '(', ')', '#', '<'];

/// The first executable file of this name in the directories of `path`; relative ones are below `cwd`.
#[must_use]
pub fn on_path(name: &OsStr, path: &OsStr, cwd: &Path) -> Option<PathBuf> {
    std::env::split_paths(path).map(|dir| cwd.join(dir).join(name)).find(|path| is_executable(path))
}

/// Whether this is an executable file.
#[must_use]
pub fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// A missing program that a shell line names. A program in `cwd`, or one that may appear there, does not count, because the
/// agent can create it. Doubtful cases do not count either.
#[must_use]
pub fn missing_program(line: &str, path: &OsStr, cwd: &Path) -> Option<String> {
    let line = line.replace("&&", ";");
    simple_commands(&line).filter_map(program).find(|program| is_missing(program, path, cwd)).map(str::to_owned)
}

/// The first program that a command line names, that is not there yet, and that something in the working directory `cwd` can make.
/// `None` where the line goes to another directory before.
#[must_use]
pub fn unmade_program(line: &str, path: &OsStr, cwd: &Path) -> Option<String> {
    let line = line.replace("&&", ";");
    let stays = |command: &&str| !matches!(command.split_whitespace().next(), Some("cd" | "pushd"));
    let mut programs = simple_commands(&line).take_while(stays).filter_map(program);
    programs.find(|program| is_unmade(program, path, cwd)).map(str::to_owned)
}

/// The simple commands of a line; of one that only a shell can interpret, the first.
fn simple_commands(line: &str) -> impl Iterator<Item = &str> {
    let separators: &[char] = &['|', ';', '\n'];
    let seen = if line.contains(NOT_PLAIN) { 1 } else { usize::MAX };
    line.split(separators).take(seen)
}

/// The program of a simple command; `None` if there is none or it cannot be determined.
fn program(command: &str) -> Option<&str> {
    let name = |word: &str| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let assigns = |word: &str| word.split_once('=').is_some_and(|(before, _)| !before.is_empty() && name(before));
    let mut words = command.split_whitespace();
    let word = words.find(|word| !BEFORE_A_COMMAND.contains(word) && !assigns(word))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./+@:,%".contains(c);
    (word.chars().all(plain) && !BUILTINS.contains(&word)).then_some(word)
}

fn is_missing(program: &str, path: &OsStr, cwd: &Path) -> bool {
    if program.contains('/') {
        let file = Path::new(program);
        return file.is_absolute() && !file.starts_with(cwd) && !is_executable(file);
    }
    on_path(OsStr::new(program), path, cwd).is_none() && !is_on_path_of(cwd, path)
}

fn is_unmade(program: &str, path: &OsStr, cwd: &Path) -> bool {
    if program.contains('/') {
        let file = cwd.join(program);
        return file.starts_with(cwd) && !is_executable(&file);
    }
    on_path(OsStr::new(program), path, cwd).is_none() && is_on_path_of(cwd, path)
}

/// Whether programs below `cwd` are found by their names.
fn is_on_path_of(cwd: &Path, path: &OsStr) -> bool {
    std::env::split_paths(path).any(|dir| dir.is_relative() || dir.starts_with(cwd))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::Path;

    use super::{missing_program, unmade_program};

    #[test]
    fn a_program_that_is_nowhere_is_named_and_what_the_agent_could_make_is_not() {
        let missing = |line: &str| missing_program(line, OsStr::new("/usr/bin:/bin"), Path::new("/nowhere/project"));
        for line in [
            "carg test",
            "  carg test 2>&1",
            "cd sub && carg test",
            "sh -c true; carg",
            "RUST_LOG=debug carg test",
            "sh prepare.sh | carg --stdin",
            "if carg build; then true; fi",
            "carg test \"one two\"; true",
        ] {
            assert_eq!(missing(line).as_deref(), Some("carg"), "{line}");
        }
        assert_eq!(missing("/opt/no/such/tool --x").as_deref(), Some("/opt/no/such/tool"));
        for line in [
            "",
            "sh test.sh",
            "./run-tests.sh",
            "scripts/test all",
            "/nowhere/project/run-tests.sh",
            "test -f made.txt",
            "[ -f x ] && true",
            "exit 127",
            "$RUNNER test",
            "\"my tool\" test",
            "sh -c 'nosuch; other'",
            "for x in 1 2; do sh $x; done",
            "f() { true; }; f",
            "> out.txt",
            "sh x 2>&1 | sh",
        ] {
            assert_eq!(missing(line), None, "{line}");
        }
        let in_project = OsStr::new("/nowhere/project/node_modules/.bin:/usr/bin");
        assert_eq!(
            missing_program("vitest run", in_project, Path::new("/nowhere/project")),
            None,
            "it may be installed"
        );
        assert_eq!(missing_program("vitest run", OsStr::new("bin:/usr/bin"), Path::new("/nowhere/project")), None);
    }

    #[test]
    fn a_program_that_only_the_agent_could_make_is_named_until_it_is_there() {
        let dir = tempfile::tempdir().expect("a directory");
        let cwd = dir.path();
        let script = cwd.join("check.sh");
        let unmade = |line: &str| unmade_program(line, OsStr::new("/usr/bin:/bin"), cwd);
        for line in ["./check.sh", "  ./check.sh --all 2>&1", "true; ./check.sh", "CI=1 ./check.sh | sh"] {
            assert_eq!(unmade(line).as_deref(), Some("./check.sh"), "{line}");
        }
        assert_eq!(unmade(&script.display().to_string()), Some(script.display().to_string()));
        for line in ["", "sh check.sh", "cd sub && ./check.sh", "carg test", "/no/such/tool", "true '' && ./check.sh"] {
            assert_eq!(unmade(line), None, "{line}");
        }
        std::fs::write(&script, "").expect("written");
        assert_eq!(unmade("./check.sh").as_deref(), Some("./check.sh"), "it may not be executed");
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
        assert_eq!(unmade("./check.sh"), None);
        let in_project = std::env::join_paths([&cwd.join("node_modules/.bin"), Path::new("/usr/bin")]).expect("a path");
        assert_eq!(unmade_program("vitest run", &in_project, cwd).as_deref(), Some("vitest"));
    }
}
