//! Usage: levels and their crossings, headroom, and whether a new agent may start.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Critical, Decided, Facts, Rules, Upkeep};

/// How full a window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Below both thresholds, or unknown.
    Below,
    /// At or over the first threshold.
    Warn,
    /// At or over the second threshold.
    Critical,
}

/// What is known about a window of a token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WindowUse {
    /// Its name, for example `five_hour`.
    pub name: String,
    /// Its usage in percent; `None` is unknown, which is not 0.
    pub percent: Option<f64>,
    /// When it resets, unix milliseconds.
    #[serde(default)]
    pub resets_unix_ms: Option<i64>,
}

/// What is known about the usage of a token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenUsage {
    /// Its handle.
    pub id: String,
    /// Its name for the user.
    pub label: String,
    /// Its windows.
    pub windows: Vec<WindowUse>,
    /// A limit was reached, which ends then.
    #[serde(default)]
    pub limited_until_unix_ms: Option<i64>,
    /// The provider has refused it.
    #[serde(default)]
    pub refused: bool,
}

/// A window that keeps a token from having headroom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Full {
    /// The token's name.
    pub token: String,
    /// The window.
    pub window: String,
    /// Its usage in percent.
    pub percent: f64,
    /// When it resets, if known.
    pub resets_unix_ms: Option<i64>,
}

/// Whether a new agent may start.
#[derive(Debug, Clone, PartialEq)]
pub enum Admission {
    /// It may.
    Allowed,
    /// Nothing is known about any token's usage, so it may.
    Unknown,
    /// No token has headroom, but the user wants it all the same.
    Ignored(Full),
    /// No token has headroom.
    Refused(Full),
}

impl WindowUse {
    /// Its usage at this time; unknown after its reset.
    fn percent_at(&self, now: i64) -> Option<f64> {
        if self.resets_unix_ms.is_some_and(|reset| reset <= now) { None } else { self.percent }
    }

    /// Its level at this time. Exactly at a threshold counts as over it.
    fn level_at(&self, now: i64, rules: &Rules) -> Level {
        match self.percent_at(now) {
            Some(percent) if percent >= rules.critical_percent => Level::Critical,
            Some(percent) if percent >= rules.warn_percent => Level::Warn,
            Some(_) | None => Level::Below,
        }
    }
}

impl TokenUsage {
    /// The fullest window that keeps it from having headroom.
    fn full(&self, now: i64, rules: &Rules) -> Option<Full> {
        let critical = self.windows.iter().filter(|window| window.level_at(now, rules) == Level::Critical);
        let percent = |window: &WindowUse| window.percent_at(now).unwrap_or_default();
        let fullest = critical.max_by(|a, b| percent(a).total_cmp(&percent(b)))?;
        Some(Full {
            token: self.label.clone(),
            window: fullest.name.clone(),
            percent: percent(fullest),
            resets_unix_ms: fullest.resets_unix_ms,
        })
    }

    fn has_headroom(&self, now: i64, rules: &Rules) -> bool {
        let limited = self.limited_until_unix_ms.is_some_and(|until| until > now);
        !self.refused && !limited && self.full(now, rules).is_none()
    }

    /// When it may have headroom again, because of a reset; `None` if that is unknown.
    fn next_reset(&self, now: i64, rules: &Rules) -> Option<i64> {
        let full = self.windows.iter().filter(|window| window.level_at(now, rules) == Level::Critical);
        let resets = full
            .map(|window| window.resets_unix_ms)
            .chain(self.limited_until_unix_ms.filter(|until| *until > now).map(Some));
        resets.collect::<Option<Vec<i64>>>()?.into_iter().max()
    }
}

/// The window because of which no token has headroom; `None` while one has some, or nothing is known.
fn exhausted(usage: &[TokenUsage], now: i64, rules: &Rules) -> Option<Full> {
    if usage.iter().any(|token| token.has_headroom(now, rules)) {
        return None;
    }
    usage.iter().find_map(|token| token.full(now, rules))
}

/// Whether a new agent may start.
#[must_use]
pub fn admission(usage: &[TokenUsage], ignore: bool, now_unix_ms: i64, rules: &Rules) -> Admission {
    if !rules.watches_usage {
        return Admission::Allowed;
    }
    let is_known = |window: &WindowUse| window.percent_at(now_unix_ms).is_some();
    match exhausted(usage, now_unix_ms, rules) {
        Some(full) if ignore => Admission::Ignored(full),
        Some(full) => Admission::Refused(full),
        None if usage.iter().any(|token| token.windows.iter().any(is_known)) => Admission::Allowed,
        None => Admission::Unknown,
    }
}

/// When a token may have headroom again, because of a reset; `None` if that is unknown.
#[must_use]
pub fn headroom_again(usage: &[TokenUsage], now_unix_ms: i64, rules: &Rules) -> Option<i64> {
    let usable = usage.iter().filter(|token| !token.refused);
    usable.filter_map(|token| token.next_reset(now_unix_ms, rules)).filter(|reset| *reset > now_unix_ms).min()
}

/// The percentage, rounded down to a tenth: a value below a threshold must not be shown as the threshold.
fn percentage(percent: f64) -> String {
    let tenths = (percent * 10.0).floor() / 10.0;
    if tenths.fract() == 0.0 { format!("{tenths:.0} %") } else { format!("{tenths:.1} %") }
}

impl Upkeep {
    /// Notes the crossings of thresholds, and whether any token has headroom.
    pub(super) fn judge_usage(&mut self, facts: &Facts<'_>, rules: &Rules, decided: &mut Decided) {
        let now = facts.now_unix_ms;
        if !rules.watches_usage {
            self.levels.clear();
            self.critical = None;
            return;
        }
        let was_critical = self.critical.is_some();
        match (exhausted(&self.usage, now, rules), &mut self.critical) {
            (Some(full), Some(critical)) => critical.full = full,
            (Some(full), none @ None) => {
                self.episodes += 1;
                *none = Some(Critical { episode: self.episodes, since_unix_ms: now, full });
            }
            (None, critical) => *critical = None,
        }
        let mut crossings = Vec::new();
        let mut levels: BTreeMap<String, BTreeMap<String, Level>> = BTreeMap::new();
        for token in &self.usage {
            let before = self.levels.get(&token.id);
            for window in &token.windows {
                let level = window.level_at(now, rules);
                let earlier = before.and_then(|levels| levels.get(&window.name)).copied().unwrap_or(Level::Below);
                if level > earlier {
                    crossings.push(crossing(token, window, level));
                }
                levels.entry(token.id.clone()).or_default().insert(window.name.clone(), level);
            }
        }
        self.levels = levels;
        if self.critical.is_some() {
            let resets = self.usage.iter().filter_map(|token| token.next_reset(now, rules));
            if let Some(reset) = resets.filter(|reset| *reset > now).min() {
                decided.wake(reset);
            }
        }
        // Managers that are about to be stopped need no message.
        let all_stop = self.critical.is_some() && !was_critical;
        if rules.notify_managers && !all_stop {
            for text in crossings {
                self.notify(text, facts);
            }
        }
    }
}

fn crossing(token: &TokenUsage, window: &WindowUse, level: Level) -> String {
    let used = percentage(window.percent.unwrap_or_default());
    let name = match window.name.as_str() {
        "five_hour" => "window of 5 hours",
        "seven_day" => "window of 7 days",
        other => other,
    };
    let then = match level {
        Level::Below | Level::Warn => "Start only agents that are needed.",
        Level::Critical => "The agents continue with another token. Start only agents that are needed.",
    };
    format!("[ccc] {used} of the {name} of {} is used. {then}", token.label)
}
