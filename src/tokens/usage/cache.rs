//! `usage-cache.json` in the state directory: the last known usage of each identity.
//!
//! # Format 1.0
//!
//! ```json
//! {
//!   "version": {"major": 1, "minor": 0},
//!   "identity": "1a2b3c4d",
//!   "fetched_at": "2027-01-15T08:00:00Z", "fetched_at_epoch": 1800000000,
//!   "five_hour": {"utilization": 34.5, "resets_at": "2027-01-15T10:15:00Z", "resets_at_epoch": 1800008100},
//!   "seven_day": {"utilization": 81.0, "resets_at": null, "resets_at_epoch": null},
//!   "identities": {"1a2b3c4d": {"label": "CLAUDE_CODE_OAUTH_TOKEN", "kind": "oauth", "windows": [], …}}
//! }
//! ```
//!
//! The top-level keys describe the identity in use, for status lines and the like; an unknown value is `null`. The
//! keys of `identities` are handles; the file contains no token values. A file of a newer major or an invalid one is
//! ignored and replaced: everything in it can be queried again.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use super::super::credential::CredentialKind;
use super::super::probe::ProbeVerdict;
use super::window::{ExtraUsage, FIVE_HOUR, SEVEN_DAY, UsageWindow};
use crate::core::TokenId;
use crate::files::{self, SHARED_STATE, TimedLock, make_private_dir};
use crate::json::from_json;

/// The version that this ccc writes.
const VERSION: Version = Version { major: 1, minor: 0 };
/// How many identities are kept; beyond that, those with the oldest queries are dropped.
const IDENTITIES_LIMIT: usize = 512;
/// How long to wait for the file's lock, which is held while a small file is read and written.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// What is known about one identity.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// The token's source.
    pub label: String,
    /// Its kind.
    pub kind: Option<CredentialKind>,
    /// When it was last answered, unix milliseconds.
    pub fetched_unix_ms: Option<i64>,
    /// Its windows at that time.
    pub windows: Vec<UsageWindow>,
    /// Usage beyond the subscription.
    pub extra_usage: Option<ExtraUsage>,
    /// A request was sent whose answer is not recorded here. The process that sent it may have died since.
    pub asking: bool,
    /// The earliest time of the next request, unix milliseconds.
    pub next_unix_ms: Option<i64>,
    /// The last backoff after a 429, in milliseconds.
    pub backoff_ms: Option<i64>,
    /// The fingerprint of the value that may not read its usage.
    pub forbidden_value: Option<String>,
    /// Why the last request had no answer, for the user.
    pub fault: Option<String>,
    /// The last verdict on it; `None` also when a newer ccc wrote one that this one does not know.
    #[serde(deserialize_with = "known_verdict")]
    pub verdict: Option<LastVerdict>,
}

/// The last verdict on a token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastVerdict {
    /// The verdict.
    pub said: ProbeVerdict,
    /// When the provider was queried, unix milliseconds.
    pub at_unix_ms: i64,
    /// The fingerprint of the value that was checked.
    pub value: String,
    /// The hosts that were queried; another host may answer differently.
    #[serde(default)]
    pub hosts: String,
}

fn known_verdict<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<LastVerdict>, D::Error> {
    Option::<serde_json::Value>::deserialize(deserializer)
        .map(|written| written.and_then(|value| serde_json::from_value(value).ok()))
}

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UsageFile {
    version: Version,
    /// The identity in use.
    pub identity: Option<TokenId>,
    /// When its usage was reported, RFC 3339.
    pub fetched_at: Option<String>,
    /// The same in unix seconds.
    pub fetched_at_epoch: Option<i64>,
    /// Its window of five hours.
    pub five_hour: Option<TopWindow>,
    /// Its window of seven days.
    pub seven_day: Option<TopWindow>,
    /// All identities, by handle.
    pub identities: BTreeMap<TokenId, Entry>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Version {
    major: u64,
    minor: u64,
}

/// A window at the top level of the file, where its name is the key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopWindow {
    /// In percent.
    pub utilization: Option<f64>,
    /// RFC 3339.
    pub resets_at: Option<String>,
    /// Unix seconds.
    pub resets_at_epoch: Option<i64>,
}

impl UsageFile {
    /// Writes an identity's state to the top-level keys.
    pub fn show(&mut self, identity: TokenId, fetched_unix_ms: Option<i64>, windows: &[UsageWindow]) {
        let top = |name: &str| {
            windows.iter().find(|window| window.name == name).map(|window| TopWindow {
                utilization: window.utilization,
                resets_at: window.resets_at.clone(),
                resets_at_epoch: window.resets_at_epoch,
            })
        };
        let fetched = fetched_unix_ms.and_then(|at| Timestamp::from_second(at.div_euclid(1_000)).ok());
        self.identity = Some(identity);
        self.fetched_at = fetched.map(|at| at.to_string());
        self.fetched_at_epoch = fetched.map(Timestamp::as_second);
        self.five_hour = top(FIVE_HOUR);
        self.seven_day = top(SEVEN_DAY);
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let file: Self = from_json(bytes).ok()?;
        (file.version.major == VERSION.major).then_some(file)
    }

    fn forget(&mut self) {
        while self.identities.len() > IDENTITIES_LIMIT {
            let oldest = self.identities.iter().min_by_key(|(_, entry)| entry.next_unix_ms).map(|(id, _)| id.clone());
            let Some(oldest) = oldest else { return };
            self.identities.remove(&oldest);
        }
    }
}

/// The cache file in a state directory.
#[derive(Debug, Clone)]
pub struct UsageCache {
    dir: PathBuf,
}

impl UsageCache {
    /// The cache in this directory. Nothing is opened or created yet.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self { dir: state_dir.to_owned() }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.dir.join("usage-cache.json")
    }

    /// Its content; empty when the file is missing or unusable.
    #[must_use]
    pub fn read(&self) -> UsageFile {
        let read = files::read_private(&self.path(), SHARED_STATE).ok().flatten();
        read.and_then(|bytes| UsageFile::parse(&bytes)).unwrap_or_default()
    }

    /// Changes it under a lock: reads it, applies the change and replaces the whole file.
    ///
    /// # Errors
    /// When it cannot be locked or replaced; then the old file remains.
    pub fn update(&self, change: impl FnOnce(&mut UsageFile)) -> io::Result<()> {
        make_private_dir(&self.dir)?;
        let lock = TimedLock::take(&self.dir.join("usage-cache.lock"), LOCK_WAIT)?;
        let Some(_lock) = lock else { return Err(io::ErrorKind::TimedOut.into()) };
        let old = self.read();
        let mut new = old.clone();
        change(&mut new);
        new.version = VERSION;
        new.forget();
        if new == old {
            return Ok(());
        }
        // Its mode is 0600.
        files::replace_json(&self.path(), &new, false)
    }

    /// The lock of the one process that queries this identity; `None` when another process holds it for longer than
    /// `wait`.
    ///
    /// # Errors
    /// When the lock's file cannot be used.
    pub(super) fn poll_lock(&self, id: &TokenId, wait: Duration) -> io::Result<Option<TimedLock>> {
        let dir = self.dir.join("usage");
        make_private_dir(&dir)?;
        // Handles are hexadecimal digits and words, but file names must not depend on that.
        let name: String = id.0.chars().take(64).map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        TimedLock::take(&dir.join(format!("{name}.lock")), wait)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn window(name: &str, percent: f64, at: Option<i64>) -> UsageWindow {
        UsageWindow::new(name.to_owned(), Some(percent), at)
    }

    #[test]
    fn the_file_has_the_documented_keys_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().expect("tempdir");
        let cache = UsageCache::new(&dir.path().join("state"));
        let id = TokenId("1a2b3c4d".to_owned());
        cache
            .update(|file| {
                let windows = vec![window(FIVE_HOUR, 34.5, Some(1_800_008_100)), window("seven_day_opus", 1.0, None)];
                file.identities.insert(id.clone(), Entry { windows: windows.clone(), ..Entry::default() });
                file.show(id.clone(), Some(1_800_000_000_999), &windows);
            })
            .expect("written");
        let json: serde_json::Value = serde_json::from_slice(&fs::read(cache.path()).expect("read")).expect("JSON");
        assert_eq!(json["fetched_at"], "2027-01-15T08:00:00Z");
        assert_eq!(json["fetched_at_epoch"], 1_800_000_000);
        assert_eq!(json["five_hour"]["utilization"], 34.5);
        assert_eq!(json["five_hour"]["resets_at"], "2027-01-15T10:15:00Z");
        assert_eq!(json["five_hour"]["resets_at_epoch"], 1_800_008_100);
        assert!(json["seven_day"].is_null(), "unknown, not 0");
        assert_eq!(json["identities"]["1a2b3c4d"]["windows"][1]["name"], "seven_day_opus");
        let mode = fs::metadata(cache.path()).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::metadata(dir.path().join("state")).expect("metadata").permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn what_cannot_be_understood_is_taken_for_nothing_and_replaced() {
        let dir = tempfile::tempdir().expect("tempdir");
        let cache = UsageCache::new(dir.path());
        for text in ["", "x", "[]", r#"{"version":{"major":2,"minor":0},"identity":"a"}"#, r#"{"identities":7}"#] {
            fs::write(cache.path(), text).expect("write");
            assert_eq!(cache.read(), UsageFile::default(), "{text}");
            cache.update(|file| file.identity = Some(TokenId("b".to_owned()))).expect("written");
            assert_eq!(cache.read().identity, Some(TokenId("b".to_owned())), "{text}");
        }
        let newer = r#"{"version":{"major":1,"minor":9},"new":1,"identities":{"a":{"label":"L","more":2}}}"#;
        fs::write(cache.path(), newer).expect("write");
        assert_eq!(cache.read().identities[&TokenId("a".to_owned())].label, "L");
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let dir = tempfile::tempdir().expect("tempdir");
        let cache = UsageCache::new(dir.path());
        cache
            .update(|file| {
                for n in 0..600 {
                    let entry = Entry { next_unix_ms: Some(n), ..Entry::default() };
                    file.identities.insert(TokenId(format!("{n:04}")), entry);
                }
            })
            .expect("written");
        let kept = cache.read().identities;
        assert_eq!(kept.len(), IDENTITIES_LIMIT);
        assert!(kept.contains_key(&TokenId("0599".to_owned())) && !kept.contains_key(&TokenId("0000".to_owned())));
    }
}
