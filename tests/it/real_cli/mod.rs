//! The real CLI under test: where it is, the clean world it runs in, and a conversation with it.
//!
//! Tests loop over [`RealCli::all`]; each process gets the environment of a [`CleanHome`], which points it at a
//! scripted API and at nothing else. Tests of `ccc` itself take [`CleanHome::environment`] for the `ccc` process.
//!
//! Must not: read the user's own home, credentials or settings.

#[cfg(test)]
mod facts;
mod session;
#[cfg(test)]
mod smoke;

#[allow(unused_imports, reason = "the examples use a part of what the tests use")]
pub(crate) use session::{Exit, Line, Session};

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

/// Names the binary to test with instead of the installed ones.
pub(crate) const OVERRIDE: &str = "CCC_E2E_CLAUDE";

/// The launch flags of an agent and of a critic, as ccc passes them.
pub(crate) const STREAM_FLAGS: [&str; 8] = [
    "-p",
    "--input-format",
    "stream-json",
    "--output-format",
    "stream-json",
    "--verbose",
    "--include-partial-messages",
    "--replay-user-messages",
];

/// One installed version.
#[derive(Debug, Clone)]
pub(crate) struct RealCli {
    /// `current`, `previous`, or `override`.
    pub(crate) label: String,
    /// Its version, such as `2.1.332`; `unknown` for an override that no package names.
    pub(crate) version: String,
    /// The native binary.
    pub(crate) path: PathBuf,
}

impl RealCli {
    /// The versions to test with, the newest first. Says loudly which are missing.
    ///
    /// # Panics
    /// Where `CI` is set and one is missing: there a skipped test is a failed one.
    #[allow(clippy::panic, clippy::print_stderr, reason = "a test's prerequisite, said where a test says things")]
    pub(crate) fn all() -> Vec<Self> {
        if let Some(path) = std::env::var_os(OVERRIDE) {
            let path = PathBuf::from(path);
            return vec![Self { label: "override".to_owned(), version: "unknown".to_owned(), path }];
        }
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/node_modules");
        let found: Vec<Self> = ["current", "previous"].iter().filter_map(|l| Self::installed(&modules, l)).collect();
        if found.len() < 2 {
            let what = format!(
                "{} of 2 real CLIs in {}: run `npm ci --prefix tests/e2e` or set {OVERRIDE}",
                found.len(),
                modules.display()
            );
            assert!(std::env::var_os("CI").is_none(), "{what}");
            eprintln!("\n*** SKIPPED: {what} ***\n");
        }
        found
    }

    /// The version under this alias. Its `bin` is the native binary only where npm ran the install script;
    /// the platform package always has it, hoisted for one version and nested for the other.
    fn installed(modules: &Path, label: &str) -> Option<Self> {
        let package = modules.join(format!("claude-{label}"));
        let version = version_of(&package)?;
        let platform = match (std::env::consts::OS, std::env::consts::ARCH) {
            ("macos", "aarch64") => "darwin-arm64",
            ("macos", _) => "darwin-x64",
            (_, "aarch64") => "linux-arm64",
            (_, _) => "linux-x64",
        };
        let path = [package.join("node_modules"), modules.to_owned()]
            .iter()
            .flat_map(|dir| ["", "-musl"].map(|libc| dir.join(format!("@anthropic-ai/claude-code-{platform}{libc}"))))
            .find(|dir| version_of(dir).is_some_and(|v| v == version))?
            .join("claude");
        Some(Self { label: label.to_owned(), version, path })
    }
}

fn version_of(package: &Path) -> Option<String> {
    let text = std::fs::read_to_string(package.join("package.json")).ok()?;
    let json: Value = serde_json::from_str(&text).ok()?;
    Some(json.get("version")?.as_str()?.to_owned())
}

/// An empty home, an empty project, and the environment that binds a process to them and to one base URL.
/// Gone with its files when dropped.
#[derive(Debug)]
pub(crate) struct CleanHome {
    root: TempDir,
}

#[allow(dead_code, reason = "the examples use a part of what the tests use")]
impl CleanHome {
    /// The key that processes present; made up.
    pub(crate) const KEY: &str = "sk-ant-made-up-key-of-the-tests";

    /// Makes the directories.
    ///
    /// # Errors
    /// When they cannot be made.
    pub(crate) fn new() -> io::Result<Self> {
        Self::below(&std::env::temp_dir())
    }

    /// Makes them below this directory.
    ///
    /// # Errors
    /// When they cannot be made.
    pub(crate) fn below(dir: &Path) -> io::Result<Self> {
        let root = tempfile::Builder::new().prefix("ccc-e2e-").tempdir_in(dir)?;
        std::fs::create_dir(root.path().join("home"))?;
        std::fs::create_dir(root.path().join("project"))?;
        Ok(Self { root })
    }

    /// The home directory.
    pub(crate) fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// The project directory, where processes start.
    pub(crate) fn project(&self) -> PathBuf {
        self.root.path().join("project")
    }

    /// Writes into the home that the user trusts the project: without it the CLI ignores its allow rules.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn trust_project(&self) -> io::Result<()> {
        let project = self.project().display().to_string();
        let state = json!({
            "hasCompletedOnboarding": true,
            "projects": {project: {"hasTrustDialogAccepted": true, "allowedTools": []}},
        });
        std::fs::write(self.home().join(".claude.json"), state.to_string())
    }

    /// The whole environment of a process that talks to this base URL with an API key.
    pub(crate) fn environment(&self, base_url: &str) -> Vec<(&'static str, OsString)> {
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
        vec![
            ("PATH", path),
            ("HOME", self.home().into_os_string()),
            ("TERM", "xterm-256color".into()),
            ("LANG", "C.UTF-8".into()),
            ("TZ", "UTC".into()),
            ("ANTHROPIC_BASE_URL", base_url.into()),
            ("ANTHROPIC_API_KEY", Self::KEY.into()),
            ("CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS", "1".into()),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1".into()),
            ("DISABLE_AUTOUPDATER", "1".into()),
            ("DISABLE_TELEMETRY", "1".into()),
            // Lets the CLI run as root, as it does in containers.
            ("IS_SANDBOX", "1".into()),
            // No proxy of the machine may stand between the CLI and loopback.
            ("NO_PROXY", "127.0.0.1,localhost".into()),
        ]
    }

    /// A command for the CLI in the project directory, with nothing but [`Self::environment`] and no arguments.
    pub(crate) fn command(&self, cli: &RealCli, base_url: &str) -> Command {
        let mut command = Command::new(&cli.path);
        command.env_clear().envs(self.environment(base_url)).current_dir(self.project());
        command
    }
}
