//! The types that the core and the adapters share. They are below both, so that neither has to know the other.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One process of this run, agent or critic, numbered from 1 in spawn order.
///
/// It is also the value of `CCC_ATTEMPT` in that process's environment, by which its descendants are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProcId(pub u32);

impl fmt::Display for ProcId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A request of the agent to its user, or a question of ccc; numbered from 1 in the order of asking.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AskId(pub u32);

impl fmt::Display for AskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// An image sent with a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// For example `image/png`.
    pub media_type: String,
    /// Its bytes in base64.
    pub data: String,
}

/// The uuid under which a user turn is sent: the key by which the agent's CLI delivers it exactly once (facts §5).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TurnId(pub String);

impl fmt::Display for TurnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The kind of a credential; it decides how it is billed, limited and exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// An API key, sent as `x-api-key`.
    ApiKey,
    /// A bearer token, usually for a gateway.
    AuthToken,
    /// An OAuth token of a subscription; it can be exchanged in a live process (facts §0.1).
    #[serde(rename = "oauth")]
    OAuth,
    /// A command in the agent's settings that prints a key.
    Helper,
    /// The agent's own login; its CLI reads and refreshes it.
    Login,
}

impl TokenKind {
    /// It belongs to a subscription. The provider reports a subscription's limits explicitly, so any other rejection is
    /// throttling.
    #[must_use]
    pub fn is_subscription(self) -> bool {
        match self {
            TokenKind::OAuth | TokenKind::Login => true,
            TokenKind::ApiKey | TokenKind::AuthToken | TokenKind::Helper => false,
        }
    }

    /// A key or a bearer token: nothing refreshes it, and a rejection may mean that its limit is reached.
    #[must_use]
    pub fn is_key(self) -> bool {
        match self {
            TokenKind::ApiKey | TokenKind::AuthToken => true,
            TokenKind::OAuth | TokenKind::Helper | TokenKind::Login => false,
        }
    }

    /// The agent's CLI finds and refreshes it by itself.
    #[must_use]
    pub fn is_found_by_agent(self) -> bool {
        match self {
            TokenKind::Helper | TokenKind::Login => true,
            TokenKind::ApiKey | TokenKind::AuthToken | TokenKind::OAuth => false,
        }
    }
}

impl fmt::Display for TokenKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TokenKind::ApiKey => "API key",
            TokenKind::AuthToken => "bearer token",
            TokenKind::OAuth => "OAuth token",
            TokenKind::Helper => "helper command",
            TokenKind::Login => "login",
        })
    }
}

/// The company whose service a token is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Anthropic, or a gateway with the same API.
    #[default]
    Anthropic,
    /// OpenAI.
    OpenAi,
    /// Google's Gemini API.
    Google,
    /// Cohere.
    Cohere,
}

impl Provider {
    /// All providers, in the order in which they are searched.
    pub const ALL: [Provider; 4] = [Provider::Anthropic, Provider::OpenAi, Provider::Google, Provider::Cohere];

    /// The provider with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Provider> {
        Provider::ALL.into_iter().find(|provider| provider.name() == name)
    }

    /// Its name in settings and options.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Provider::Anthropic => "anthropic",
            Provider::OpenAi => "openai",
            Provider::Google => "google",
            Provider::Cohere => "cohere",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Provider::Anthropic => "Anthropic",
            Provider::OpenAi => "OpenAI",
            Provider::Google => "Google",
            Provider::Cohere => "Cohere",
        })
    }
}

/// How the session begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionStart {
    /// A new session with this id, chosen by ccc.
    New(String),
    /// The user's arguments name an existing session: it is resumed.
    Resume(String),
    /// The user's arguments ask for the latest session (`--continue`): the agent reports its id.
    Latest,
}

/// What the sandbox of the agent's CLI lets be written: absolute paths, with all below them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SandboxPlaces {
    /// Commands may write here, besides the working directory.
    pub commands: Vec<String>,
    /// The tools that edit files may write here, and nowhere else.
    pub edits: Vec<String>,
    /// Neither may write this, though it lies in one of those places.
    pub read_only: Vec<String>,
}

/// What to start, without secrets: the driver adds those.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Launch {
    /// Arguments after the program.
    pub args: Vec<String>,
    /// Environment variables to set.
    pub env_set: Vec<(String, String)>,
    /// Environment variables to remove.
    pub env_unset: Vec<String>,
    /// The working directory.
    pub cwd: String,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ExitFact {
    /// Its exit code, when it exited.
    pub code: Option<i32>,
    /// The signal that killed it, when one did.
    pub signal: Option<i32>,
    /// The last bytes of its stderr, as text (at most 4 KiB).
    pub stderr_tail: String,
    /// Descendants that had to be killed after it.
    pub swept: u32,
    /// Whether the session's own record contains the turn that it had not answered; `None` when there was no such turn,
    /// or no readable record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_recorded: Option<bool>,
    /// Lines that it wrote after it was told to end and that were dropped, because there were too many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped_lines: u64,
    /// Descendants that could not be killed: ccc lacks permission, or they hang in the kernel.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub leaked: u32,
    /// The system killed it because its memory was used up (`agent.memory_max`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub out_of_memory: bool,
}

fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckEnd {
    /// With this exit code; 0 is success.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// It ran longer than its timeout and was killed.
    TimedOut,
    /// It could not be started.
    NotStarted(String),
    /// ccc cancelled it.
    Cancelled,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// How it ended.
    pub end: CheckEnd,
    /// How long it ran.
    pub duration_ms: u64,
    /// The end of its output, stdout and stderr interleaved as they arrived, invalid UTF-8 replaced.
    pub tail: String,
    /// Bytes of output before the tail, which are not kept.
    pub omitted_bytes: u64,
    /// The program of its command, when it is missing and the agent could not create it either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// The protected files, if it ran with those of the run's beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protected: Option<Box<ProtectedFiles>>,
}

impl CheckResult {
    /// Whether it counts as passed. If something has written protected files while it ran, it may have seen others than those of the
    /// run's beginning.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.end == CheckEnd::Exited(0) && !self.saw_others()
    }

    /// Whether protected files were written while it ran.
    #[must_use]
    pub fn saw_others(&self) -> bool {
        self.protected.as_deref().is_some_and(|files| !files.written_meanwhile.is_empty())
    }
}

/// What a check had of the files that are protected. Paths are seen from the run's directory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProtectedFiles {
    /// The files that the agent had changed or removed, and that were as at the run's beginning while the check ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restored: Vec<String>,
    /// How many more there were.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
    /// Files that could not be as at the run's beginning, because git does not have their content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without_content: Vec<String>,
    /// Files that something wrote during the check, so that it does not count as passed, each with the words that say where the
    /// agent's version is: what was written stays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub written_meanwhile: Vec<String>,
    /// Patterns that match no file of the run's beginning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmatched: Vec<String>,
    /// Why the check could not have the files of the run's beginning, if the agent cannot mend that. The check was not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_exchanged: Option<String>,
    /// Why the agent's versions are not in the tree again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_put_back: Option<String>,
    /// At the end of a run: why the checks ran without protection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_effect: Option<String>,
}

impl ProtectedFiles {
    /// The restored files in one line, at most `most` of them by name; `None` if there are none.
    #[must_use]
    pub fn in_words(&self, most: usize) -> Option<String> {
        let named: Vec<&str> = self.restored.iter().take(most).map(String::as_str).collect();
        let unnamed = self.restored.len().saturating_sub(most) as u64 + self.more;
        let more = if unnamed > 0 { format!(" and {unnamed} more") } else { String::new() };
        (!named.is_empty()).then(|| format!("{}{more}", named.join(", ")))
    }

    /// What the checks had, in one line at the end of a run, with at most `most` files by name.
    #[must_use]
    pub fn at_end(&self, most: usize) -> String {
        if let Some(why) = &self.no_effect {
            return format!("without effect: {why}");
        }
        if let Some(why) = &self.not_exchanged {
            return format!("a check could not have them as they were when the run began: {why}");
        }
        let unmatched =
            (!self.unmatched.is_empty()).then(|| format!("no file has the pattern {}", self.unmatched.join(", ")));
        if !self.written_meanwhile.is_empty() {
            let (named, unnamed) = self.written_meanwhile.split_at(most.min(self.written_meanwhile.len()));
            let more = if unnamed.is_empty() { String::new() } else { format!(" and {} more", unnamed.len()) };
            return format!("written by something while a check ran, which did not count: {}{more}", named.join(", "));
        }
        match (self.in_words(most), unmatched) {
            (Some(named), None) => format!("the checks ran with these as they were when the run began: {named}"),
            (Some(named), Some(unmatched)) => {
                format!("the checks ran with these as they were when the run began: {named}; {unmatched}")
            }
            (None, None) => "the checks ran with all of them as they were when the run began".to_owned(),
            (None, Some(unmatched)) => format!("{unmatched}; the agent has changed none of the others"),
        }
    }
}

/// What was done to tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestTouch {
    /// A file of tests was removed.
    Removed,
    /// A file of tests got a name that is none of a test.
    RenamedAway,
    /// A file of tests was there at a stop, and neither before the run nor at its end.
    CameAndWent,
    /// Tests are skipped, or expected to fail.
    Skipped,
    /// Only some tests run.
    Narrowed,
    /// Tests or assertions were commented out.
    CommentedOut,
    /// There are fewer tests.
    FewerTests,
    /// There are fewer assertions.
    FewerAssertions,
    /// A threshold was lowered, or a tolerance raised.
    Loosened,
    /// A file that the command of a check names was changed, removed or renamed.
    OfCheck,
    /// A file of tests was touched in between, and at the end is as it was before the run.
    PutBack,
    /// A file of tests was changed or renamed.
    Changed,
    /// A file of tests is new.
    Added,
}

impl TestTouch {
    /// The words for the user.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            TestTouch::Removed => "removed",
            TestTouch::RenamedAway => "renamed so that it is no test any more",
            TestTouch::CameAndWent => "came and went again",
            TestTouch::Skipped => "tests skipped or expected to fail",
            TestTouch::Narrowed => "only some tests run",
            TestTouch::CommentedOut => "commented out",
            TestTouch::FewerTests => "fewer tests",
            TestTouch::FewerAssertions => "fewer assertions",
            TestTouch::Loosened => "bound loosened",
            TestTouch::OfCheck => "a check's command names it",
            TestTouch::PutBack => "touched in between; at the end as before",
            TestTouch::Changed => "changed",
            TestTouch::Added => "new",
        }
    }

    /// Whether a person should look at it.
    #[must_use]
    pub fn is_suspicious(self) -> bool {
        match self {
            TestTouch::Removed
            | TestTouch::RenamedAway
            | TestTouch::CameAndWent
            | TestTouch::Skipped
            | TestTouch::Narrowed
            | TestTouch::CommentedOut
            | TestTouch::FewerTests
            | TestTouch::FewerAssertions
            | TestTouch::Loosened
            | TestTouch::OfCheck => true,
            TestTouch::PutBack | TestTouch::Changed | TestTouch::Added => false,
        }
    }
}

/// What was done to one file that is a test's, or that a check runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TouchedTest {
    /// Its path, seen from the run's directory.
    pub path: String,
    /// What was done to it, each once.
    pub touches: Vec<TestTouch>,
}

impl TouchedTest {
    /// The words for the user: what was done, the worst first.
    #[must_use]
    pub fn in_words(&self) -> String {
        let words: Vec<&str> = self.touches.iter().map(|touch| touch.in_words()).collect();
        words.join(", ")
    }
}

/// The files of tests and of checks that are not as they were when the run began.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TouchedTests {
    /// The files; those that a person should look at first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<TouchedTest>,
    /// How many more there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
}

impl TouchedTests {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}
