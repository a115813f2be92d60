//! A pull request by the user's `gh`.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::push::{environment, run};
use super::said;
use crate::config::Env;
use crate::config::agent::on_path;

/// How long `gh` may take.
const LIMIT: Duration = Duration::from_secs(120);

/// What is proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// The branch, as `gh` names it ([`super::head_of`]).
    pub head: String,
    /// The branch to merge it into, as the remote names it.
    pub base: String,
    /// The title.
    pub title: String,
    /// The text, in Markdown.
    pub body: String,
}

/// Why there is no pull request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct GhError {
    /// In the words of `gh`.
    pub words: String,
}

/// The `gh` of the user.
#[derive(Debug)]
pub struct Gh {
    program: PathBuf,
    env: Vec<(OsString, OsString)>,
    dir: PathBuf,
}

/// A pull request, as `gh` tells it.
#[derive(Debug, Deserialize)]
struct Told {
    #[serde(default)]
    url: String,
    #[serde(default)]
    state: String,
}

impl Gh {
    /// The first `gh` on the `PATH` of this environment; it works in this working tree.
    #[must_use]
    pub fn find(env: &Env, dir: &Path) -> Option<Gh> {
        let program = on_path(OsStr::new("gh"), env, dir)?;
        Some(Gh { program, env: environment(env), dir: dir.to_owned() })
    }

    /// The address of the open pull request for this branch. A `gh` that cannot tell has none: then it will say why when it is to
    /// create one, and the remote itself takes no second one.
    #[must_use]
    pub fn open(&self, head: &str) -> Option<String> {
        let answer = self.run(&["pr", "view", head, "--json", "url,state"]).ok()?;
        let told: Told = serde_json::from_str(&answer).ok()?;
        (told.state == "OPEN").then(|| address(&told.url))
    }

    /// Opens a pull request, and returns its address.
    ///
    /// # Errors
    /// When `gh` does not.
    pub fn create(&self, request: &PullRequest) -> Result<String, GhError> {
        let io = |error: std::io::Error| GhError { words: format!("the text cannot be written to a file: {error}") };
        // The text is longer than an argument should be, and arguments are visible to others.
        let mut body = tempfile::NamedTempFile::new().map_err(io)?;
        body.write_all(request.body.as_bytes()).map_err(io)?;
        body.flush().map_err(io)?;
        let path = body.path().display().to_string();
        let head = format!("--head={}", request.head);
        let (base, title) = (format!("--base={}", request.base), format!("--title={}", request.title));
        let said = self.run(&["pr", "create", &head, &base, &title, &format!("--body-file={path}")])?;
        let url = said.lines().rev().map(str::trim).find(|line| line.contains("://"));
        Ok(address(url.unwrap_or_default()))
    }

    fn run(&self, args: &[&str]) -> Result<String, GhError> {
        let program = self.program.display().to_string();
        let result = run(&program, args.iter().map(OsString::from).collect(), &self.env, &self.dir, LIMIT)
            .map_err(|words| GhError { words: format!("gh {words}") })?;
        if result.exit.code == Some(0) {
            return Ok(String::from_utf8_lossy(&result.tail).into_owned());
        }
        let words = said::words(&result.errors);
        let words = if words.is_empty() { said::words(&result.tail) } else { words };
        Err(GhError { words: if words.is_empty() { "gh failed and said nothing".to_owned() } else { words } })
    }
}

/// An address for the user.
fn address(url: &str) -> String {
    said::words(url.as_bytes())
}
