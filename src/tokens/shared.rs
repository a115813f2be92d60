//! What all ccc processes of the user know about their tokens: `tokens.json` in the state directory.
//!
//! # Format 1.0
//!
//! ```json
//! {
//!   "version": {"major": 1, "minor": 0},
//!   "tokens": {
//!     "1a2b3c4d": {
//!       "label": "ANTHROPIC_API_KEYS[2]", "kind": "api_key", "provider": "anthropic",
//!       "windows": [{"name": "five_hour", "utilization": 0.93, "resets_at_unix_s": 1795198017}],
//!       "limited_until_unix_ms": null, "limited_window": null, "throttled_until_unix_ms": null, "refused_value": null,
//!       "seen_unix_ms": 1795190000000
//!     }
//!   }
//! }
//! ```
//!
//! The keys are handles ([`TokenId`]); the file contains no token values. Additions of a newer minor are ignored, and
//! kept when the file is rewritten. A file of a newer major or an unreadable one is moved aside and replaced by an
//! empty one: its content can be learnt again, and no run fails for it.
//!
//! To change the file, a process takes `tokens.lock`, reads, writes a new file and renames it over the old one.
//! Therefore a reader needs no lock and never sees a partial file, and no change of another process is lost.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::credential::{Credential, CredentialKind};
use super::fingerprint::Fingerprint;
use crate::config::Provider;
use crate::core::policy::merge_windows;
use crate::core::{TokenId, TokenReport, WindowFact};
use crate::files::{PathError, SHARED_STATE, TimedLock, make_private_dir, open_private};
use crate::json::from_json;
use crate::order::map_of;

/// The version that this ccc writes. It reads every minor of that major.
pub const TOKENS_VERSION: (u64, u64) = (1, 0);
/// How long to wait for the lock, which is held while a small file is read and written.
pub const LOCK_WAIT: Duration = Duration::from_secs(5);
/// How long a token without reports is kept, in milliseconds.
pub const KEPT_MS: i64 = 30 * 24 * 3_600 * 1_000;
/// How long after its end a throttling wait is still shared, in milliseconds. Within that time the next request
/// succeeds or announces the next wait.
const THROTTLE_TOLD_MS: i64 = 15_000;

/// What is known about one token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenState {
    /// Its source, as of the last report.
    pub label: String,
    /// Its kind.
    pub kind: CredentialKind,
    /// Its provider.
    pub provider: Provider,
    /// Its windows, as last reported.
    #[serde(default)]
    pub windows: Vec<WindowFact>,
    /// It is limited until then, unix milliseconds; may be past.
    #[serde(default)]
    pub limited_until_unix_ms: Option<i64>,
    /// The window whose limit is reached, if known.
    #[serde(default)]
    pub limited_window: Option<String>,
    /// It is throttled: a run that uses it waits until then, unix milliseconds; may be past.
    #[serde(default)]
    pub throttled_until_unix_ms: Option<i64>,
    /// The fingerprint of the value that was refused (401, 403).
    #[serde(default)]
    pub refused_value: Option<String>,
    /// The time of the last report about it, unix milliseconds.
    pub seen_unix_ms: i64,
}

impl TokenState {
    fn new(credential: &Credential, now_unix_ms: i64) -> Self {
        Self {
            label: credential.label.clone(),
            kind: credential.kind,
            provider: credential.provider,
            windows: Vec::new(),
            limited_until_unix_ms: None,
            limited_window: None,
            throttled_until_unix_ms: None,
            refused_value: None,
            seen_unix_ms: now_unix_ms,
        }
    }

    /// Its windows at this time: after its reset a window's usage is unknown.
    #[must_use]
    pub fn windows_at(&self, now_unix_ms: i64) -> Vec<WindowFact> {
        let now_unix_s = now_unix_ms.div_euclid(1_000);
        let windows = self.windows.iter().map(|window| match window.resets_at_unix_s {
            Some(at) if at <= now_unix_s => {
                WindowFact { name: window.name.clone(), utilization: None, resets_at_unix_s: None }
            }
            Some(_) | None => window.clone(),
        });
        windows.collect()
    }

    /// Until when it is limited, unix milliseconds; `None` when that time is past.
    #[must_use]
    pub fn limited_at(&self, now_unix_ms: i64) -> Option<i64> {
        self.limited_until_unix_ms.filter(|until| *until > now_unix_ms)
    }

    /// Until when a run waits because of throttling, unix milliseconds; `None` when that time is past.
    #[must_use]
    pub fn throttled_at(&self, now_unix_ms: i64) -> Option<i64> {
        self.throttled_until_unix_ms.filter(|until| until.saturating_add(THROTTLE_TOLD_MS) > now_unix_ms)
    }

    /// Whether a credential with this fingerprint was refused. Without a fingerprint the value may have changed
    /// since, so a refusal does not count.
    #[must_use]
    pub fn is_refused(&self, fingerprint: Option<&Fingerprint>) -> bool {
        fingerprint.is_some() && fingerprint.map(Fingerprint::as_str) == self.refused_value.as_deref()
    }

    fn learn(&mut self, credential: &Credential, report: &TokenReport) {
        match report {
            TokenReport::Windows(windows) => merge_windows(&mut self.windows, windows),
            TokenReport::Limited { until_unix_ms, window } => {
                let another_window = matches!((&self.limited_window, window), (Some(old), Some(new)) if old != new);
                // Of two different windows the later reset counts; for one window the last report counts.
                if another_window && self.limited_until_unix_ms.is_some_and(|old| old > *until_unix_ms) {
                    return;
                }
                self.limited_until_unix_ms = Some(*until_unix_ms);
                self.limited_window.clone_from(window);
            }
            TokenReport::Throttled { until_unix_ms } => self.throttled_until_unix_ms = Some(*until_unix_ms),
            TokenReport::Refused => {
                self.refused_value = credential.fingerprint.as_ref().map(|print| print.as_str().to_owned());
            }
            TokenReport::Accepted => self.refused_value = None,
            TokenReport::Works => {
                self.limited_until_unix_ms = None;
                self.limited_window = None;
                self.throttled_until_unix_ms = None;
                self.refused_value = None;
            }
        }
    }
}

/// What is known about all tokens.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TokenStates {
    /// By handle.
    pub tokens: BTreeMap<TokenId, TokenState>,
    /// The file was unusable and was moved aside, or could not be moved.
    pub set_aside: Option<SetAside>,
}

impl TokenStates {
    /// Applies a report about a token, as [`SharedTokens::report`] would.
    pub fn learn(&mut self, credential: &Credential, report: &TokenReport) {
        let state = self.tokens.entry(credential.id()).or_insert_with(|| TokenState::new(credential, 0));
        state.learn(credential, report);
    }

    /// What is known about a token.
    #[must_use]
    pub fn get(&self, id: &TokenId) -> Option<&TokenState> {
        self.tokens.get(id)
    }
}

/// A `tokens.json` that could not be used. Nothing fails because of it; the user is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: String,
    /// Where it is now; `None` when it could not be moved.
    pub moved_to: Option<PathBuf>,
}

impl fmt::Display for SetAside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path.display(), self.why)?;
        match &self.moved_to {
            Some(to) => write!(
                f,
                "; it was moved to {}, and a new file is started: earlier knowledge about tokens is lost",
                to.display()
            ),
            None => f.write_str("; it cannot be moved aside, so nothing is known about tokens"),
        }
    }
}

/// Why the shared state cannot be used. A run continues without it.
#[derive(Debug, thiserror::Error)]
pub enum SharedError {
    /// A file or directory cannot be used.
    #[error(transparent)]
    Io(#[from] PathError),
    /// Another process holds the lock for too long.
    #[error("{} has been held by another process for more than {}s", path.display(), waited.as_secs_f32())]
    Busy {
        /// The lock's file.
        path: PathBuf,
        /// How long ccc waited.
        waited: Duration,
    },
}

/// The shared state of all ccc processes of the user.
#[derive(Debug, Clone)]
pub struct SharedTokens {
    dir: PathBuf,
    wait: Duration,
}

impl SharedTokens {
    /// The state in this directory. Nothing is opened or created yet.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self { dir: state_dir.to_owned(), wait: LOCK_WAIT }
    }

    /// The same with another time limit than [`LOCK_WAIT`].
    #[must_use]
    pub fn waiting_at_most(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.dir.join("tokens.json")
    }

    /// What is known now. Takes the lock only to move an unusable file aside.
    ///
    /// # Errors
    /// When the file exists and cannot be read.
    pub fn read(&self) -> Result<TokenStates, SharedError> {
        match self.load()? {
            Loaded::Document(document) => Ok(document.states(None)),
            Loaded::Unusable { why, .. } => match self.lock() {
                Ok(_lock) => {
                    let (document, set_aside) = self.load_or_set_aside()?;
                    Ok(document.states(set_aside))
                }
                Err(_) => {
                    let set_aside = SetAside { path: self.path(), why, moved_to: None };
                    Ok(TokenStates { tokens: BTreeMap::new(), set_aside: Some(set_aside) })
                }
            },
        }
    }

    /// Adds reports about a token, and returns what is known then. Blocks while another process writes, at most for
    /// [`LOCK_WAIT`].
    ///
    /// A refusal is stored for the value that was refused. For a credential without a fingerprint (a command's, a
    /// helper's) it is not stored, because its value may differ the next time.
    ///
    /// # Errors
    /// When the lock was not available in time, or the file cannot be read or replaced; then the old file remains.
    pub fn report(
        &self,
        credential: &Credential,
        reports: &[TokenReport],
        now_unix_ms: i64,
    ) -> Result<TokenStates, SharedError> {
        let _lock = self.lock()?;
        let (mut document, set_aside) = self.load_or_set_aside()?;
        document.learn(credential, reports, now_unix_ms);
        document.forget(now_unix_ms);
        self.write(&document)?;
        Ok(document.states(set_aside))
    }

    fn io(path: &Path) -> impl FnOnce(io::Error) -> SharedError {
        let path = path.to_owned();
        move |source| SharedError::Io(PathError { path, source })
    }

    fn lock(&self) -> Result<TimedLock, SharedError> {
        make_private_dir(&self.dir).map_err(Self::io(&self.dir))?;
        let path = self.dir.join("tokens.lock");
        TimedLock::take(&path, self.wait).map_err(Self::io(&path))?.ok_or(SharedError::Busy { path, waited: self.wait })
    }

    fn load(&self) -> Result<Loaded, SharedError> {
        let path = self.path();
        let io = |source| SharedError::Io(PathError { path: path.clone(), source });
        let file = match open_private(&path, OFlags::RDONLY) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Loaded::Document(Document::default()));
            }
            Err(error) => return Err(io(error)),
        };
        let mut bytes = Vec::new();
        file.take(SHARED_STATE.limit_bytes + 1).read_to_end(&mut bytes).map_err(io)?;
        Ok(Document::parse(&bytes))
    }

    /// Requires the lock: the document, or an empty one after the file was moved aside.
    fn load_or_set_aside(&self) -> Result<(Document, Option<SetAside>), SharedError> {
        match self.load()? {
            Loaded::Document(document) => Ok((document, None)),
            Loaded::Unusable { why, aside } => {
                let to = self.dir.join(aside);
                let moved_to = fs::rename(self.path(), &to).is_ok().then_some(to);
                Ok((Document::default(), Some(SetAside { path: self.path(), why, moved_to })))
            }
        }
    }

    /// Requires the lock, so that no other process writes to the new file.
    fn write(&self, document: &Document) -> Result<(), SharedError> {
        let new = self.dir.join("tokens.json.new");
        let write = || -> io::Result<()> {
            let json = document.encode()?;
            // A file left over from a dead process is not reused, because its mode may differ.
            match fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            open_private(&new, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?.write_all(&json)?;
            fs::rename(&new, self.path())
        };
        write().map_err(Self::io(&self.path()))
    }
}

enum Loaded {
    Document(Document),
    Unusable {
        why: String,
        /// Its new name.
        aside: &'static str,
    },
}

/// The file as JSON, so that unknown content is kept.
#[derive(Default)]
struct Document {
    tokens: Map<String, Value>,
    /// All other content.
    rest: Map<String, Value>,
}

impl Document {
    fn parse(bytes: &[u8]) -> Loaded {
        let damaged = |why: String| Loaded::Unusable { why, aside: "tokens.json.damaged" };
        if bytes.len() as u64 > SHARED_STATE.limit_bytes {
            return damaged("is too large".to_owned());
        }
        let mut rest = match from_json(bytes) {
            Ok(Value::Object(object)) => object,
            Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                return damaged("does not contain a JSON object".to_owned());
            }
            Err(error) => {
                return damaged(format!("is damaged at line {}, column {}", error.line(), error.column()));
            }
        };
        match rest.get("version").and_then(|version| version.get("major")).and_then(Value::as_u64) {
            None => return damaged("does not contain its version".to_owned()),
            Some(major) if major > TOKENS_VERSION.0 => {
                return Loaded::Unusable {
                    why: format!("was written by a newer ccc (version {major}; this one reads {})", TOKENS_VERSION.0),
                    aside: "tokens.json.newer",
                };
            }
            Some(_) => {}
        }
        match rest.remove("tokens") {
            None => Loaded::Document(Self { tokens: Map::new(), rest }),
            Some(Value::Object(tokens)) => Loaded::Document(Self { tokens, rest }),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                damaged("does not contain a list of tokens".to_owned())
            }
        }
    }

    fn encode(&self) -> serde_json::Result<Vec<u8>> {
        let (major, minor) = TOKENS_VERSION;
        let mut all = self.rest.clone();
        all.entry("version").or_insert_with(|| json!({ "major": major, "minor": minor }));
        all.insert("tokens".to_owned(), Value::Object(self.tokens.clone()));
        let mut json = serde_json::to_vec_pretty(&all)?;
        json.push(b'\n');
        Ok(json)
    }

    fn learn(&mut self, credential: &Credential, reports: &[TokenReport], now_unix_ms: i64) {
        let entry = self.tokens.entry(credential.id().0).or_insert(Value::Null);
        let known: Option<TokenState> = serde_json::from_value(entry.clone()).ok();
        let mut state = known.unwrap_or_else(|| TokenState::new(credential, now_unix_ms));
        state.label.clone_from(&credential.label);
        state.kind = credential.kind;
        state.provider = credential.provider;
        state.seen_unix_ms = now_unix_ms;
        for report in reports {
            state.learn(credential, report);
        }
        let Ok(Value::Object(fields)) = serde_json::to_value(&state) else { return };
        match entry {
            Value::Object(old) => old.extend(fields),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                *entry = Value::Object(fields);
            }
        }
    }

    /// Drops tokens without recent reports. An entry without a time is kept, because a newer ccc wrote it.
    fn forget(&mut self, now_unix_ms: i64) {
        self.tokens.retain(|_, entry| {
            let seen = entry.get("seen_unix_ms").and_then(Value::as_i64);
            seen.is_none_or(|seen| now_unix_ms.saturating_sub(seen) <= KEPT_MS)
        });
    }

    fn states(&self, set_aside: Option<SetAside>) -> TokenStates {
        let states = self.tokens.iter().filter_map(|(id, entry)| {
            let state = serde_json::from_value(entry.clone()).ok()?;
            Some((TokenId(id.clone()), state))
        });
        TokenStates { tokens: map_of(states), set_aside }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::PermissionsExt;
    use std::thread;

    use secrecy::SecretString;

    use super::*;

    const NOW_MS: i64 = 1_800_000_000_000;
    const HOUR_MS: i64 = 3_600_000;

    fn token(value: &str) -> Credential {
        Credential::held("work", CredentialKind::OAuth, Provider::Anthropic, SecretString::from(value))
    }

    fn window(name: &str, utilization: Option<f64>, resets_at_unix_s: Option<i64>) -> WindowFact {
        WindowFact { name: name.to_owned(), utilization, resets_at_unix_s }
    }

    fn limited(hours: i64, window: Option<&str>) -> TokenReport {
        TokenReport::Limited { until_unix_ms: NOW_MS + hours * HOUR_MS, window: window.map(str::to_owned) }
    }

    fn state(dir: &Path, credential: &Credential) -> TokenState {
        let states = SharedTokens::new(dir).read().expect("read");
        states.get(&credential.id()).expect("known").clone()
    }

    #[test]
    fn what_many_report_at_once_is_all_there() {
        const REPORTERS: usize = 12;
        const REPORTS: usize = 20;
        let dir = tempfile::tempdir().expect("tempdir");
        thread::scope(|scope| {
            for reporter in 0..REPORTERS {
                let dir = dir.path();
                scope.spawn(move || {
                    // Each has its own descriptors, like a process.
                    let shared = SharedTokens::new(dir).waiting_at_most(Duration::from_secs(60));
                    for number in 0..REPORTS {
                        let credential = token(&format!("made-up-{reporter}-{number}"));
                        shared.report(&credential, &[TokenReport::Works], NOW_MS).expect("reported");
                        let own = TokenReport::Windows(vec![window(&format!("w{reporter}"), Some(0.5), None)]);
                        shared.report(&token("made-up-common"), &[own], NOW_MS).expect("reported");
                    }
                });
            }
        });
        let states = SharedTokens::new(dir.path()).read().expect("read");
        assert_eq!(states.tokens.len(), REPORTERS * REPORTS + 1);
        assert_eq!(state(dir.path(), &token("made-up-common")).windows.len(), REPORTERS);
        let text = fs::read_to_string(dir.path().join("tokens.json")).expect("read");
        assert!(!text.contains("made-up"), "{text}");
        for name in ["tokens.json", "tokens.lock"] {
            let mode = fs::metadata(dir.path().join(name)).expect("metadata").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_wait_because_of_too_many_requests_is_told_until_a_little_after_its_end() {
        let dir = tempfile::tempdir().expect("tempdir");
        let token = token("made-up");
        let throttled = TokenReport::Throttled { until_unix_ms: NOW_MS + 60_000 };
        SharedTokens::new(dir.path()).report(&token, &[throttled], NOW_MS).expect("reported");
        let known = state(dir.path(), &token);
        assert_eq!(known.throttled_at(NOW_MS + 30_000), Some(NOW_MS + 60_000));
        assert_eq!(known.throttled_at(NOW_MS + 61_000), Some(NOW_MS + 60_000), "it is asking again");
        assert_eq!(known.throttled_at(NOW_MS + 60_000 + THROTTLE_TOLD_MS), None);
        assert_eq!((known.limited_at(NOW_MS), known.refused_value.as_deref()), (None, None));
        SharedTokens::new(dir.path()).report(&token, &[TokenReport::Works], NOW_MS).expect("reported");
        assert_eq!(state(dir.path(), &token).throttled_at(NOW_MS), None);
    }

    #[test]
    fn each_report_changes_what_it_is_about_and_nothing_else() {
        let old = |name: &str| window(name, Some(0.5), Some(2_000_000_000));
        // Reports, and then: limited (hours from now), its window, refused, windows
        type Row<'a> = (Vec<TokenReport>, Option<i64>, Option<&'a str>, bool, Vec<WindowFact>);
        let table: Vec<Row<'_>> = vec![
            (vec![TokenReport::Works], None, None, false, vec![]),
            (vec![limited(1, None)], Some(1), None, false, vec![]),
            (vec![limited(1, Some("a")), limited(3, Some("a"))], Some(3), Some("a"), false, vec![]),
            (vec![limited(3, Some("a")), limited(1, Some("a"))], Some(1), Some("a"), false, vec![]),
            (vec![limited(3, Some("a")), limited(1, Some("b"))], Some(3), Some("a"), false, vec![]),
            (vec![limited(1, Some("a")), limited(3, Some("b"))], Some(3), Some("b"), false, vec![]),
            (vec![limited(3, Some("a")), limited(1, None)], Some(1), None, false, vec![]),
            (vec![limited(3, Some("a")), TokenReport::Works], None, None, false, vec![]),
            (vec![TokenReport::Refused], None, None, true, vec![]),
            (vec![limited(3, None), TokenReport::Refused], Some(3), None, true, vec![]),
            (vec![TokenReport::Refused, TokenReport::Works], None, None, false, vec![]),
            (vec![limited(3, Some("a")), TokenReport::Accepted], Some(3), Some("a"), false, vec![]),
            (vec![TokenReport::Refused, TokenReport::Accepted], None, None, false, vec![]),
            (vec![TokenReport::Windows(vec![old("a"), old("b")])], None, None, false, vec![old("a"), old("b")]),
            (
                vec![
                    TokenReport::Windows(vec![old("a"), old("b")]),
                    TokenReport::Windows(vec![window("a", Some(0.7), None)]),
                    TokenReport::Works,
                ],
                None,
                None,
                false,
                vec![window("a", Some(0.7), Some(2_000_000_000)), old("b")],
            ),
            (
                vec![
                    TokenReport::Windows(vec![old("a"), old("b")]),
                    TokenReport::Windows(vec![
                        window("a", None, Some(2_000_000_000)),
                        window("b", None, Some(2_000_018_000)),
                    ]),
                ],
                None,
                None,
                false,
                vec![old("a"), window("b", None, Some(2_000_018_000))],
            ),
        ];
        for (reports, hours, named, refused, windows) in table {
            let dir = tempfile::tempdir().expect("tempdir");
            let token = token("made-up");
            for (index, report) in reports.iter().enumerate() {
                let at = NOW_MS + i64::try_from(index).expect("small");
                SharedTokens::new(dir.path()).report(&token, std::slice::from_ref(report), at).expect("reported");
            }
            let state = state(dir.path(), &token);
            let until = hours.map(|hours| NOW_MS + hours * HOUR_MS);
            assert_eq!(state.limited_until_unix_ms, until, "{reports:?}");
            assert_eq!(state.limited_window.as_deref(), named, "{reports:?}");
            assert_eq!(state.is_refused(token.fingerprint.as_ref()), refused, "{reports:?}");
            assert_eq!(state.windows, windows, "{reports:?}");
            assert_eq!(state.seen_unix_ms, NOW_MS + i64::try_from(reports.len()).expect("small") - 1);
        }
    }

    #[test]
    fn what_is_past_counts_no_more() {
        let mut state = TokenState::new(&token("made-up"), NOW_MS);
        state.limited_until_unix_ms = Some(NOW_MS);
        state.windows = vec![window("a", Some(0.9), Some(NOW_MS / 1_000)), window("b", Some(0.9), None)];
        assert_eq!(state.limited_at(NOW_MS - 1), Some(NOW_MS));
        assert_eq!(state.limited_at(NOW_MS), None);
        assert_eq!(state.windows_at(NOW_MS - 1), state.windows);
        assert_eq!(state.windows_at(NOW_MS), [window("a", None, None), window("b", Some(0.9), None)]);
    }

    #[test]
    fn what_nobody_reports_about_for_thirty_days_is_forgotten() {
        let dir = tempfile::tempdir().expect("tempdir");
        let shared = SharedTokens::new(dir.path());
        let (old, kept, new) = (token("old"), token("kept"), token("new"));
        shared.report(&old, &[TokenReport::Refused], NOW_MS - KEPT_MS - 1).expect("reported");
        shared.report(&kept, &[TokenReport::Refused], NOW_MS - KEPT_MS).expect("reported");
        let states = shared.report(&new, &[TokenReport::Works], NOW_MS).expect("reported");
        let ids: Vec<_> = [&old, &kept, &new].map(|token| states.get(&token.id()).is_some()).into();
        assert_eq!(ids, [false, true, true]);
    }

    #[test]
    fn a_file_of_a_newer_minor_is_used_and_keeps_what_is_new_in_it() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (known, token) = (token("known"), token("made-up"));
        let written = json!({
            "version": {"major": 1, "minor": 7, "patch": 1},
            "fleet": {"paused": true},
            "tokens": {
                (known.id().0): {"label": "k", "kind": "api_key", "provider": "anthropic", "seen_unix_ms": NOW_MS, "mood": 5},
                "of-the-future": {"label": "f", "kind": "passkey", "provider": "mars"},
            },
        });
        fs::write(dir.path().join("tokens.json"), written.to_string()).expect("write");
        let shared = SharedTokens::new(dir.path());
        shared.report(&token, &[limited(1, None)], NOW_MS).expect("reported");
        let states = shared.report(&known, &[TokenReport::Refused], NOW_MS + 1).expect("reported");
        assert_eq!(states.set_aside, None);
        assert_eq!(states.tokens.len(), 2);
        let text = fs::read_to_string(dir.path().join("tokens.json")).expect("read");
        let now: Value = serde_json::from_str(&text).expect("JSON");
        for place in ["/version", "/fleet", "/tokens/of-the-future"] {
            assert_eq!(now.pointer(place), written.pointer(place), "{place}");
        }
        let entry = &now["tokens"][known.id().0.as_str()];
        assert_eq!(entry["mood"], 5);
        assert_eq!(entry["refused_value"], known.id().0);
        assert!(text.lines().count() > 20, "for people to read: {text}");
    }

    #[test]
    fn a_file_that_cannot_be_used_is_moved_aside_and_fails_nothing() {
        for (content, says, aside) in [
            (&b"{\"version\": {\"major\": 2}, \"tokens\": []}"[..], "written by a newer ccc (version 2", "newer"),
            (b"", "is damaged at line 1", "damaged"),
            (b"{\"version\": {\"maj", "is damaged at line 1", "damaged"),
            (b"\xff\xff", "is damaged at line 1", "damaged"),
            (b"[]", "does not contain a JSON object", "damaged"),
            (b"{}", "does not contain its version", "damaged"),
            (b"{\"version\": {\"major\": 1}, \"tokens\": 5}", "does not contain a list of tokens", "damaged"),
        ] {
            for by_reading in [true, false] {
                let dir = tempfile::tempdir().expect("tempdir");
                let path = dir.path().join("tokens.json");
                fs::write(&path, content).expect("write");
                let shared = SharedTokens::new(dir.path());
                let token = token("made-up");
                let states = if by_reading {
                    shared.read().expect("read")
                } else {
                    shared.report(&token, &[TokenReport::Works], NOW_MS).expect("reported")
                };
                assert_eq!(states.tokens.len(), usize::from(!by_reading));
                let warning = states.set_aside.expect("a warning");
                assert!(warning.to_string().contains(says), "{warning}");
                let moved = dir.path().join(format!("tokens.json.{aside}"));
                assert_eq!(warning.moved_to.as_deref(), Some(moved.as_path()));
                assert_eq!(fs::read(&moved).expect("read"), content);
                let after = shared.report(&token, &[TokenReport::Works], NOW_MS).expect("reported");
                assert_eq!((after.set_aside, after.tokens.len()), (None, 1));
            }
        }
    }

    #[test]
    fn a_lock_that_nobody_lets_go_of_is_waited_for_within_the_limit_and_had_when_it_is_free() {
        let dir = tempfile::tempdir().expect("tempdir");
        let shared = SharedTokens::new(dir.path());
        shared.report(&token("made-up"), &[TokenReport::Works], NOW_MS).expect("reported");
        let held = File::open(dir.path().join("tokens.lock")).expect("the lock");
        held.lock().expect("locked");
        let short = shared.clone().waiting_at_most(Duration::from_millis(50));
        let busy = short.report(&token("made-up"), &[TokenReport::Refused], NOW_MS).expect_err("it is held");
        assert!(matches!(busy, SharedError::Busy { .. }), "{busy}");
        assert!(!state(dir.path(), &token("made-up")).is_refused(token("made-up").fingerprint.as_ref()));
        // A reader needs no lock, and the report that timed out does not keep it.
        thread::scope(|scope| {
            let waiting = scope.spawn(|| shared.report(&token("other"), &[TokenReport::Works], NOW_MS));
            held.unlock().expect("unlocked");
            waiting.join().expect("no panic").expect("reported");
        });
        shared.report(&token("third"), &[TokenReport::Works], NOW_MS).expect("reported");
    }

    #[test]
    fn without_a_file_nothing_is_known_and_what_is_left_of_a_dead_writer_does_no_harm() {
        let dir = tempfile::tempdir().expect("tempdir");
        let state_dir = dir.path().join("not/yet");
        let shared = SharedTokens::new(&state_dir);
        assert_eq!(shared.read().expect("read"), TokenStates::default());
        assert!(!state_dir.exists(), "reading makes nothing");
        fs::create_dir_all(&state_dir).expect("mkdir");
        fs::write(state_dir.join("tokens.json.new"), "half").expect("write");
        shared.report(&token("made-up"), &[TokenReport::Works], NOW_MS).expect("reported");
        let mode = fs::metadata(shared.path()).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!state_dir.join("tokens.json.new").exists());
    }
}
