//! Where the agent's program is, and which version it reports.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::env::PATH;
use super::{Dirs, Env};
use crate::agent::AgentKind;
use crate::process::{self, Cancel, CommandEnding, CommandErrors, CommandSpec, SpawnError, is_executable, run_command};

/// The timeout of `--version`. On a loaded machine a start was seen to take four seconds (facts §2).
pub const VERSION_TIMEOUT: Duration = Duration::from_secs(15);
/// How much of the answer to `--version` is read, in bytes.
const VERSION_LIMIT_BYTES: usize = 64 * 1024;
/// How long a program without an answer may take to exit before it is killed.
const VERSION_GRACE: Duration = Duration::from_millis(500);

/// The agent's program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentProgram {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// The version that it reported; `None` when it reported none in time.
    pub version: Option<String>,
}

/// Why there is no agent to start.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AgentLookupError {
    /// The program that the user named does not exist.
    #[error("the agent's program {} does not exist", path.display())]
    Missing {
        /// The path as named.
        path: PathBuf,
    },
    /// The file that the user named is not executable.
    #[error("{} is not an executable file", path.display())]
    NotExecutable {
        /// The path as named.
        path: PathBuf,
    },
    /// No program with this name is on PATH or at its installer's location.
    #[error("no agent found: no `{name}` on PATH{}", also.as_ref().map(|path| format!(", and no {}", path.display())).unwrap_or_default())]
    NotFound {
        /// The name that was searched.
        name: String,
        /// The other location that was searched.
        also: Option<PathBuf>,
        /// The CLI family of the program.
        agent: AgentKind,
    },
}

/// Finds the agent's program and asks for its version. `env` is the program's environment then, so it must not
/// contain a credential.
///
/// `named` is `--agent` or `agent.path`: a path, or a bare name to search on PATH. Without it, the program of `agent`
/// is searched on PATH, then where its installer puts it.
///
/// # Errors
/// When there is no such program. A program that does not report its version is no error.
pub fn find(
    agent: AgentKind,
    named: Option<&Path>,
    env: &Env,
    dirs: &Dirs,
    cwd: &Path,
) -> Result<AgentProgram, AgentLookupError> {
    let path = locate(agent, named, env, dirs, cwd)?;
    let version = ask_version(&path, env, VERSION_TIMEOUT).ok();
    Ok(AgentProgram { path, version })
}

/// Finds the agent's program without starting it.
///
/// # Errors
/// When there is no such program.
pub fn locate(
    agent: AgentKind,
    named: Option<&Path>,
    env: &Env,
    dirs: &Dirs,
    cwd: &Path,
) -> Result<PathBuf, AgentLookupError> {
    match named {
        Some(path) if path.components().count() > 1 || path.is_absolute() => {
            let path = cwd.join(path);
            if is_executable(&path) {
                Ok(path)
            } else if path.exists() {
                Err(AgentLookupError::NotExecutable { path })
            } else {
                Err(AgentLookupError::Missing { path })
            }
        }
        Some(name) => on_path(name.as_os_str(), env, cwd).ok_or_else(|| AgentLookupError::NotFound {
            name: name.display().to_string(),
            also: None,
            agent,
        }),
        None => {
            let also = agent.installation().also_at.map(|place| dirs.home.join(place));
            on_path(OsStr::new(agent.program()), env, cwd)
                .or_else(|| also.clone().filter(|path| is_executable(path)))
                .ok_or_else(|| AgentLookupError::NotFound { name: agent.program().to_owned(), also, agent })
        }
    }
}

/// How a person types the program of a run: by its name where PATH (`path`) finds it under that, else with its own path. A program
/// that is not on this machine, as in the recording of another one, has its name only.
#[must_use]
pub fn typed(agent: AgentKind, program: &Path, path: Option<&OsStr>) -> String {
    let name = agent.program();
    let is_it = |found: &Path| {
        found == program || found.canonicalize().is_ok_and(|found| program.canonicalize().is_ok_and(|it| it == found))
    };
    let found = path.and_then(|path| process::on_path(OsStr::new(name), path, Path::new("/")));
    if !program.is_file() || found.is_some_and(|found| is_it(&found)) {
        name.to_owned()
    } else {
        program.display().to_string()
    }
}

/// The first executable file with this name on PATH.
#[must_use]
pub fn on_path(name: &OsStr, env: &Env, cwd: &Path) -> Option<PathBuf> {
    process::on_path(name, env.get(PATH)?, cwd)
}

/// Why a program did not report its version.
#[derive(Debug, thiserror::Error)]
pub enum VersionFault {
    /// It could not be started.
    #[error("{0}")]
    Spawn(#[source] SpawnError),
    /// The system has no file descriptors left.
    #[error("it cannot be started: {0}")]
    Descriptors(#[source] io::Error),
    /// It gave no answer in time and was killed.
    #[error("`--version` did not answer within {}s", .0.as_secs())]
    Timeout(Duration),
    /// It failed or printed something else.
    #[error("`--version` did not print a version number{}", quoted(.said))]
    NoVersion {
        /// What it wrote to stderr, or else to stdout.
        said: String,
    },
}

/// Asks a program for its version: runs `--version` and takes the first number of the form `1.2.3` in its output.
///
/// The program gets this environment. On a timeout it is ended with all its descendants.
///
/// # Errors
/// See [`VersionFault`].
pub fn ask_version(path: &Path, env: &Env, timeout: Duration) -> Result<String, VersionFault> {
    let spec = CommandSpec {
        program: path.to_owned(),
        args: vec!["--version".into()],
        env: env.pairs().map(|(name, value)| (name.into(), value.into())).collect(),
        timeout,
        grace: VERSION_GRACE,
        output_tail_limit_bytes: VERSION_LIMIT_BYTES,
        errors: CommandErrors::Apart { tail_limit_bytes: VERSION_LIMIT_BYTES },
        ..CommandSpec::shell("", PathBuf::from("."))
    };
    let cancel = Cancel::new().map_err(VersionFault::Descriptors)?;
    let result = run_command(&spec, &cancel).map_err(VersionFault::Spawn)?;
    match result.ending {
        CommandEnding::TimedOut => Err(VersionFault::Timeout(timeout)),
        CommandEnding::Exited | CommandEnding::Cancelled => {
            let printed = String::from_utf8_lossy(&result.tail);
            version_in(&printed).ok_or_else(|| {
                let errors = String::from_utf8_lossy(&result.errors);
                let said = if errors.trim().is_empty() { printed } else { errors };
                VersionFault::NoVersion { said: said.into_owned() }
            })
        }
    }
}

/// The longest quotation of what a program said, in characters.
const QUOTED_CHARS: usize = 300;

/// The first rows of what a program said, for a sentence.
fn quoted(said: &str) -> String {
    let rows: Vec<&str> = said.lines().map(str::trim).filter(|row| !row.is_empty()).take(3).collect();
    if rows.is_empty() {
        return String::new();
    }
    let text: String = rows.join(" / ").chars().filter(|c| !c.is_control()).take(QUOTED_CHARS).collect();
    format!("; it said: {text}")
}

/// The first word that begins with three numbers separated by dots.
fn version_in(text: &str) -> Option<String> {
    text.split_whitespace()
        .map(|word| word.trim_start_matches('v'))
        .find(|word| numbers(word).is_some())
        .map(str::to_owned)
}

/// The three numbers of a version; a suffix (`-beta.1`) is ignored.
fn numbers(version: &str) -> Option<[u64; 3]> {
    let mut parts = version.splitn(3, '.');
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?.parse().ok()?;
    let patch = parts.next()?;
    let digits = patch.find(|char: char| !char.is_ascii_digit()).unwrap_or(patch.len());
    Some([major, minor, patch[..digits].parse().ok()?])
}

/// How a version compares to the tested ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tested {
    /// Older than the oldest.
    TooOld,
    /// Within the tested range.
    Yes,
    /// Newer than the newest: used, but not tested.
    Newer,
    /// Not a version that can be compared.
    Unknown,
}

/// Compares a version with the tested ones.
#[must_use]
pub fn tested(agent: AgentKind, version: &str) -> Tested {
    let [oldest, newest] = agent.installation().tested;
    let (Some(version), Some(oldest), Some(newest)) = (numbers(version), numbers(oldest), numbers(newest)) else {
        return Tested::Unknown;
    };
    match (version.cmp(&oldest), version.cmp(&newest)) {
        (Ordering::Less, _) => Tested::TooOld,
        (_, Ordering::Greater) => Tested::Newer,
        (Ordering::Equal | Ordering::Greater, Ordering::Less | Ordering::Equal) => Tested::Yes,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::{Tested, VersionFault, tested, typed, version_in};
    use crate::agent::AgentKind;

    #[test]
    fn a_program_is_typed_by_its_name_only_where_path_finds_it_under_that() {
        let dir = tempfile::tempdir().expect("a directory");
        let program = |place: &str| {
            let path = dir.path().join(place).join("claude");
            std::fs::create_dir(dir.path().join(place)).expect("made");
            std::fs::write(&path, "").expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("set");
            path
        };
        let (one, other) = (program("one"), program("other"));
        let path = dir.path().join("one").into_os_string();
        let typed = |program: &Path, path| typed(AgentKind::CLAUDE_CODE, program, path);
        assert_eq!(typed(&one, Some(&path)), "claude");
        assert_eq!(typed(&other, Some(&path)), other.display().to_string());
        assert_eq!(typed(&one, None), one.display().to_string());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&one, &link).expect("a link");
        assert_eq!(typed(&link, Some(&path)), "claude", "it is the same program");
        assert_eq!(typed(&dir.path().join("gone"), Some(&path)), "claude");
        assert_eq!(typed(Path::new(""), None), "claude");
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, expected) in [
            ("2.1.196", Tested::TooOld),
            ("2.1.99", Tested::TooOld),
            ("1.9.999", Tested::TooOld),
            ("2.1.197", Tested::Yes),
            ("2.1.332", Tested::Yes),
            ("2.1.333", Tested::Newer),
            ("2.1.1000", Tested::Newer),
            ("10.0.0", Tested::Newer),
            ("2.1.332-beta.1", Tested::Yes),
            ("banana", Tested::Unknown),
            ("2.1", Tested::Unknown),
        ] {
            assert_eq!(tested(AgentKind::CLAUDE_CODE, version), expected, "{version}");
        }
    }

    #[test]
    fn the_version_is_found_in_what_the_program_prints() {
        for (printed, version) in [
            ("2.1.329 (Claude Code)\n", Some("2.1.329")),
            ("claude v1.0.2\n", Some("1.0.2")),
            ("Usage: 1 or 2\n", None),
            ("", None),
        ] {
            assert_eq!(version_in(printed).as_deref(), version, "{printed:?}");
        }
    }

    #[test]
    fn a_program_without_a_version_is_quoted() {
        for (said, quoted) in [
            ("", ""),
            (
                "native binary not installed\n\n  run npm\x1b[1m\n",
                "; it said: native binary not installed / run npm[1m",
            ),
        ] {
            let shown = VersionFault::NoVersion { said: said.to_owned() }.to_string();
            assert_eq!(shown, format!("`--version` did not print a version number{quoted}"));
        }
    }
}
