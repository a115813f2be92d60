//! `ccc usage`.

use std::fmt::Write as _;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::cli::credentials::{self, at_once, gather, in_keychain};
use crate::cli::run_places::RunPlaces;
use crate::cli::{CliError, Context, ExitCode, Paint, trust};
use crate::config::UsageSettings;
use crate::core::policy::{Choice, choose};
use crate::core::{TokenFact, TokenId};
use crate::driver::unix_ms;
use crate::order::sort_by_key;
use crate::tokens::usage::{
    Ask, Entry, ExtraUsage, FIVE_HOUR, Identity, OTHERS_WAIT, Refreshed, SEVEN_DAY, Usage, UsageCache, UsageFile,
    UsageWindow,
};
use crate::tokens::{Credential, NoCredential, Pool, SharedTokens, TokenStates};
use crate::ui::format::{away, due, moment};
use crate::ui::{clean, token_state};

/// How many cells a bar has.
const BAR_CELLS: usize = 20;
/// How many characters of a label or a reason are shown.
const SHOWN_CHARS: usize = 200;

/// Show how much of each subscription's usage windows is used, and when they reset.
///
/// All ccc processes together ask about a login or an OAuth token at most once in two minutes. The answers are kept in
/// usage-cache.json in the state directory. The usage of other tokens is known from the provider's answers to them,
/// after the first one. The login is not changed. The exit code is 1 when nothing is known about any token.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct UsageArgs {
    /// Print one JSON object instead.
    #[arg(long)]
    pub json: bool,

    /// Ask about every token whose last request is long enough ago. A token that may not read its usage sends a message of one
    /// token, and commands that print a token are run.
    #[arg(long)]
    pub refresh: bool,
}

/// Shows usage.
///
/// # Errors
/// When there is no token, or the configuration cannot be understood.
pub fn run(args: UsageArgs, context: &Context) -> Result<ExitCode, CliError> {
    let dirs = context.dirs()?;
    let project = context.project()?;
    let settings = trust::settings_told(context)?;
    let agent = settings.agent.kind.0;
    let gathered = gather(context, &RunPlaces::same(&project), &settings, agent, &[])?;
    for warning in &gathered.warnings {
        context.printer.warn(warning);
    }
    let cache = UsageCache::new(&dirs.state);
    let tokens = SharedTokens::new(&dirs.state);
    let now_unix_ms = unix_ms();
    let mut credentials = gathered.pool.credentials().to_vec();
    let in_keychain = in_keychain(agent, &credentials, now_unix_ms, context)?.unwrap_or_else(|fault| {
        context.printer.warn(fault);
        None
    });
    credentials.extend(in_keychain);
    if credentials.is_empty() {
        return Err(CliError::environment(format!(
            "there is no token to ask about: {}",
            NoCredential(agent.provider())
        ))
        .hint(format!("{}, or set one of the variables", agent.log_in())));
    }
    let usage = credentials::usage(&settings.usage, tokens.clone(), context)?;
    let ask = Ask { thorough: args.refresh, wait: OTHERS_WAIT };
    let refreshed = refresh(&usage, &credentials, ask, now_unix_ms);
    let states = tokens.read().unwrap_or_default();
    let file = cache.read();
    let in_use = in_use(&gathered.pool, &states, settings.rotate_at.share(), now_unix_ms);
    let seen: Vec<Seen> = credentials
        .iter()
        .zip(refreshed)
        .map(|(credential, refreshed)| {
            let id = credential.id();
            let entry = file.identities.get(&id);
            Seen {
                in_use: in_use.as_ref().or(credentials.first().map(Credential::id).as_ref()) == Some(&id),
                note: note(&refreshed, entry, args.refresh, now_unix_ms),
                name: clean::one_line(&credential.to_string(), SHOWN_CHARS),
                identity: Identity::new(credential, entry, states.get(&id), now_unix_ms),
            }
        })
        .collect();
    let shown = put_on_top(&cache, file, &seen);
    if args.json {
        context.printer.json(format_args!("{:#}", as_json(&seen, &shown, &settings.usage, now_unix_ms)));
    } else {
        let zone = crate::cli::zone::of_process();
        let paint = |paint, text: &str| context.printer.paint(paint, text);
        context.printer.data(&as_text(&seen, &settings.usage, now_unix_ms, &zone, &paint));
    }
    let any = seen.iter().any(|seen| seen.identity.is_known());
    Ok(if any { ExitCode::COMPLETED } else { ExitCode::FAILED })
}

/// An account, and the result of asking about it.
#[derive(Debug, Clone)]
struct Seen {
    name: String,
    identity: Identity,
    in_use: bool,
    note: Option<String>,
}

/// Asks about all credentials, several at the same time.
fn refresh(usage: &Usage, credentials: &[Credential], ask: Ask, now_unix_ms: i64) -> Vec<Refreshed> {
    let refresh = |credential: &Credential| usage.refresh_if_due(credential, ask, now_unix_ms);
    let answers = at_once(credentials, refresh).into_iter().zip(credentials);
    answers.map(|(answer, credential)| answer.unwrap_or_else(|| refresh(credential))).collect()
}

/// The account that a run would use now.
fn in_use(pool: &Pool, states: &TokenStates, rotate_at: f64, now_unix_ms: i64) -> Option<TokenId> {
    let facts: Vec<TokenFact> = pool.facts(states);
    match choose(&facts, None, rotate_at, now_unix_ms) {
        Choice::Take(id) => Some(id),
        Choice::Stay | Choice::Spent { .. } | Choice::Nothing => None,
    }
}

/// Moves the account in use to the top of the cache.
fn put_on_top(cache: &UsageCache, file: UsageFile, seen: &[Seen]) -> UsageFile {
    let Some(used) = seen.iter().find(|seen| seen.in_use) else { return file };
    let Identity { id, checked_unix_ms, windows, .. } = &used.identity;
    let mut wanted = file.clone();
    wanted.show(id.clone(), *checked_unix_ms, windows);
    if wanted != file {
        // If the cache cannot be written, a message has already said why nothing was asked. The known usage is shown anyway.
        let _ = cache.update(|file| file.show(id.clone(), *checked_unix_ms, windows));
    }
    wanted
}

/// A note about the request, if needed.
fn note(refreshed: &Refreshed, entry: Option<&Entry>, asked_for: bool, now_unix_ms: i64) -> Option<String> {
    let again = |at: i64| format!("the next request is possible in {}", away(at, now_unix_ms));
    let fault = entry.and_then(|entry| entry.fault.as_deref());
    match (refreshed, fault) {
        (Refreshed::Learnt(_), fault) => fault.map(str::to_owned),
        (Refreshed::NotDue { again_unix_ms }, Some(fault)) => Some(format!("{fault}; {}", again(*again_unix_ms))),
        (Refreshed::NotDue { again_unix_ms }, None) => asked_for.then(|| again(*again_unix_ms)),
        (Refreshed::ByAnother, _) => Some("another ccc process is asking at this moment".to_owned()),
        (Refreshed::NotAsked(why), _) => Some(why.to_string()),
        (Refreshed::Failed { why, again_unix_ms: Some(at) }, _) => Some(format!("{why}; {}", again(*at))),
        (Refreshed::Failed { why, again_unix_ms: None }, _) => Some(why.clone()),
    }
}

/// The severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unknown,
    Ok,
    Warn,
    Critical,
}

impl State {
    fn of(percent: Option<f64>, thresholds: &UsageSettings) -> Self {
        match percent {
            None => State::Unknown,
            Some(percent) if percent / 100.0 >= thresholds.critical_threshold.share() => State::Critical,
            Some(percent) if percent / 100.0 >= thresholds.warn_threshold.share() => State::Warn,
            Some(_) => State::Ok,
        }
    }

    fn word(self) -> &'static str {
        match self {
            State::Unknown => token_state::UNKNOWN,
            State::Ok => "OK",
            State::Warn => "WARN",
            State::Critical => "CRITICAL",
        }
    }

    fn paint(self) -> Paint {
        match self {
            State::Unknown => Paint::Dim,
            State::Ok => Paint::Green,
            State::Warn => Paint::Yellow,
            State::Critical => Paint::Red,
        }
    }
}

fn as_text(
    seen: &[Seen],
    thresholds: &UsageSettings,
    now_unix_ms: i64,
    zone: &TimeZone,
    paint: &dyn Fn(Paint, &str) -> String,
) -> String {
    let mut out = String::new();
    for (index, Seen { name, identity, in_use, note }) in seen.iter().enumerate() {
        let state = State::of(identity.fullest(), thresholds);
        let used = if *in_use && seen.len() > 1 { ", in use" } else { "" };
        let gap = if index == 0 { "" } else { "\n" };
        let _ = writeln!(out, "{gap}{}{used}: {}", paint(Paint::Bold, name), paint(state.paint(), state.word()));
        for window in shown_windows(identity) {
            let state = State::of(window.utilization, thresholds);
            let title = token_state::window(&window.name);
            let Some(percent) = window.utilization else {
                let _ = writeln!(out, "  {title:<16}  {}", paint(Paint::Dim, unknown_use(identity, &window)));
                continue;
            };
            let bar = paint(state.paint(), &bar(percent));
            let word = paint(state.paint(), &format!("{:<8}", state.word()));
            let line = format!(
                "  {title:<16}  {bar}  {:>6}  {word}  {}",
                percentage(percent),
                reset(&window, now_unix_ms, zone)
            );
            let _ = writeln!(out, "{}", line.trim_end());
        }
        if let Some(extra) = identity.extra_usage.as_ref().filter(|extra| extra.is_enabled) {
            let _ = writeln!(out, "  {:<16}  {}", "extra usage", extra_words(extra));
        }
        if identity.refused {
            let _ = writeln!(out, "  {}", paint(Paint::Red, token_state::REFUSED));
        }
        if let Some(at) = identity.limited_until_unix_ms {
            let when = token_state::limited(Some(at), now_unix_ms, zone);
            let _ = writeln!(out, "  {}", paint(Paint::Red, &when));
        }
        if let Some(at) = identity.throttled_until_unix_ms {
            let when = token_state::throttled(at, now_unix_ms, zone);
            let _ = writeln!(out, "  {}", paint(Paint::Yellow, &when));
        }
        if let Some(at) = identity.checked_unix_ms {
            let ago = away(now_unix_ms, at);
            let _ = writeln!(
                out,
                "  {}",
                paint(Paint::Dim, &format!("last checked {ago} ago ({})", moment(at, now_unix_ms, zone)))
            );
        }
        if let Some(note) = note {
            let _ = writeln!(out, "  {}", paint(Paint::Dim, &clean::one_line(note, SHOWN_CHARS)));
        }
    }
    out
}

/// Why the usage of a window is unknown.
fn unknown_use(identity: &Identity, window: &UsageWindow) -> &'static str {
    // The window is known, so it has been reset since the last answer.
    if identity.windows.iter().any(|known| known.name == window.name) {
        "unknown until the next answer"
    } else if identity.is_silent {
        "unknown: its answers say nothing about it"
    } else {
        "unknown until the first answer"
    }
}

/// The windows of an account. A subscription has two, even before the first answer about them.
fn shown_windows(identity: &Identity) -> Vec<UsageWindow> {
    let subscription = identity.kind.is_subscription();
    if identity.windows.is_empty() && !subscription {
        return vec![UsageWindow::new("usage".to_owned(), None, None)];
    }
    let missing = [FIVE_HOUR, SEVEN_DAY]
        .into_iter()
        .filter(|name| subscription && identity.windows.iter().all(|window| window.name != *name));
    let mut windows: Vec<UsageWindow> = missing.map(|name| UsageWindow::new(name.to_owned(), None, None)).collect();
    windows.extend(identity.windows.iter().cloned());
    sort_by_key(&mut windows, |window| match window.name.as_str() {
        FIVE_HOUR => 0,
        SEVEN_DAY => 1,
        _ => 2,
    });
    windows
}

fn bar(percent: f64) -> String {
    let full = ((percent / 100.0 * BAR_CELLS as f64).round() as usize).min(BAR_CELLS);
    format!("{}{}", "█".repeat(full), "░".repeat(BAR_CELLS - full))
}

/// The percentage, with a decimal unless it is whole: 79.6 must not be shown as 80, where the warning begins.
fn percentage(percent: f64) -> String {
    let tenths = (percent * 10.0).floor() / 10.0;
    if tenths.fract() == 0.0 { format!("{tenths:.0} %") } else { format!("{tenths:.1} %") }
}

fn reset(window: &UsageWindow, now_unix_ms: i64, zone: &TimeZone) -> String {
    window.resets_at_epoch.map_or_else(String::new, |at| {
        let at_ms = at.saturating_mul(1_000);
        format!("resets {}", due(at_ms, now_unix_ms, zone))
    })
}

fn extra_words(extra: &ExtraUsage) -> String {
    match (extra.utilization, extra.used_credits) {
        (Some(percent), _) => format!("{} of the monthly limit", percentage(percent)),
        (None, Some(used)) if used > 0.0 => "in use, without a monthly limit".to_owned(),
        (None, Some(_) | None) => "allowed".to_owned(),
    }
}

fn as_json(seen: &[Seen], top: &UsageFile, thresholds: &UsageSettings, now_unix_ms: i64) -> Value {
    let iso = |at: i64| Timestamp::from_second(at.div_euclid(1_000)).map(|at| at.to_string()).ok();
    let identities: Vec<Value> = seen
        .iter()
        .map(|Seen { identity, in_use, note, .. }| {
            let windows: Vec<Value> = identity
                .windows
                .iter()
                .map(|window| {
                    json!({
                        "name": window.name,
                        "utilization": window.utilization,
                        "resets_at": window.resets_at,
                        "resets_at_epoch": window.resets_at_epoch,
                        "state": State::of(window.utilization, thresholds).word(),
                    })
                })
                .collect();
            json!({
                "id": identity.id,
                "label": identity.label,
                "kind": identity.kind,
                "in_use": in_use,
                "state": State::of(identity.fullest(), thresholds).word(),
                "windows": windows,
                "extra_usage": identity.extra_usage,
                "fetched_at": identity.checked_unix_ms.and_then(iso),
                "fetched_at_epoch": identity.checked_unix_ms.map(|at| at.div_euclid(1_000)),
                "limited_until": identity.limited_until_unix_ms.and_then(iso),
                "throttled_until": identity.throttled_until_unix_ms.and_then(iso),
                "refused": identity.refused,
                "note": note,
            })
        })
        .collect();
    json!({
        "version": 1,
        "asked_at_epoch": now_unix_ms.div_euclid(1_000),
        "identity": top.identity,
        "fetched_at": top.fetched_at,
        "fetched_at_epoch": top.fetched_at_epoch,
        "five_hour": top.five_hour,
        "seven_day": top.seven_day,
        "warn_threshold": thresholds.warn_threshold,
        "critical_threshold": thresholds.critical_threshold,
        "identities": identities,
    })
}

#[cfg(test)]
mod tests {
    use jiff::tz;

    use super::*;
    use crate::config::{Percent, Settings};
    use crate::tokens::CredentialKind;

    /// 2027-01-15 08:00:00 UTC, a Friday.
    const NOW: i64 = 1_800_000_000_000;

    fn thresholds() -> UsageSettings {
        let percent = |number| Percent::new(number).expect("a percentage");
        UsageSettings { warn_threshold: percent(80), critical_threshold: percent(90), ..Settings::default().usage }
    }

    fn window(name: &str, percent: Option<f64>, in_s: Option<i64>) -> UsageWindow {
        UsageWindow::new(name.to_owned(), percent, in_s.map(|s| NOW / 1_000 + s))
    }

    fn seen(name: &str, kind: CredentialKind, windows: Vec<UsageWindow>) -> Seen {
        let identity = Identity {
            id: TokenId("1a2b3c4d".to_owned()),
            label: name.to_owned(),
            kind,
            checked_unix_ms: (!windows.is_empty()).then_some(NOW - 45_000),
            windows,
            extra_usage: None,
            limited_until_unix_ms: None,
            throttled_until_unix_ms: None,
            refused: false,
            is_silent: false,
        };
        Seen { name: format!("{name} ({kind})"), identity, in_use: false, note: None }
    }

    fn text(seen: &[Seen]) -> String {
        let zone = tz::TimeZone::fixed(tz::offset(1));
        as_text(seen, &thresholds(), NOW, &zone, &|_, text| text.to_owned())
    }

    #[test]
    fn people_see_percentages_resets_and_how_old_they_are() {
        let mut first = seen(
            "CLAUDE_CODE_OAUTH_TOKEN",
            CredentialKind::OAuth,
            vec![
                window(FIVE_HOUR, Some(82.5), Some(8_100)),
                window(SEVEN_DAY, Some(12.0), Some(3 * 86_400 + 4 * 3_600)),
                window("seven_day_opus", Some(100.0), None),
            ],
        );
        first.in_use = true;
        first.identity.extra_usage = Some(ExtraUsage {
            is_enabled: true,
            monthly_limit: Some(5_000.0),
            used_credits: Some(120.5),
            utilization: Some(2.41),
            currency: None,
        });
        let mut second = seen("login", CredentialKind::Login, Vec::new());
        second.identity.limited_until_unix_ms = Some(NOW + 900_000);
        second.note = Some("the login has expired; run `claude`, which renews it".to_owned());
        let mut third = seen("ANTHROPIC_API_KEY", CredentialKind::ApiKey, Vec::new());
        third.identity.refused = true;
        let mut fourth = seen("ANTHROPIC_API_KEY_2", CredentialKind::ApiKey, Vec::new());
        fourth.identity.is_silent = true;
        assert_eq!(
            text(&[first, second, third, fourth]),
            "\
CLAUDE_CODE_OAUTH_TOKEN (OAuth token), in use: CRITICAL
  5 hours           █████████████████░░░  82.5 %  WARN      resets 11:15 (in 2h 15m)
  7 days            ██░░░░░░░░░░░░░░░░░░    12 %  OK        resets Mon 13:00 (in 3d 04h)
  7 days, opus      ████████████████████   100 %  CRITICAL
  extra usage       2.4 % of the monthly limit
  last checked 45s ago (08:59)

login (login): unknown
  5 hours           unknown until the first answer
  7 days            unknown until the first answer
  limited until 09:15 (in 15m 00s)
  the login has expired; run `claude`, which renews it

ANTHROPIC_API_KEY (API key): unknown
  usage             unknown until the first answer
  refused

ANTHROPIC_API_KEY_2 (API key): unknown
  usage             unknown: its answers say nothing about it
"
        );
    }

    #[test]
    fn the_thresholds_divide_ok_warn_and_critical() {
        for (percent, expected) in [
            (None, "unknown"),
            (Some(0.0), "OK"),
            (Some(79.99), "OK"),
            (Some(80.0), "WARN"),
            (Some(89.9), "WARN"),
            (Some(90.0), "CRITICAL"),
            (Some(120.0), "CRITICAL"),
        ] {
            assert_eq!(State::of(percent, &thresholds()).word(), expected, "{percent:?}");
        }
        // The value shown must agree with the warning.
        assert_eq!([79.99, 80.0, 0.04, 33.333, 100.0].map(percentage), ["79.9 %", "80 %", "0 %", "33.3 %", "100 %"]);
    }

    #[test]
    fn a_bar_is_never_longer_than_its_place() {
        assert_eq!([0.0, 2.4, 2.5, 50.0, 100.0, 900.0].map(|p| bar(p).matches('█').count()), [0, 0, 1, 10, 20, 20]);
        assert!([0.0, 33.0, 900.0].iter().all(|p| bar(*p).chars().count() == BAR_CELLS));
    }

    #[test]
    fn a_name_from_outside_cannot_drive_the_terminal() {
        let shown = text(&[seen("x", CredentialKind::OAuth, vec![window("\u{1b}[31mred", Some(1.0), None)])]);
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }

    #[test]
    fn scripts_see_the_keys_of_the_cache_and_each_identity() {
        let windows = vec![window(FIVE_HOUR, Some(82.5), Some(8_100))];
        let mut top = UsageFile::default();
        top.show(TokenId("1a2b3c4d".to_owned()), Some(NOW - 45_000), &windows);
        let json = as_json(&[seen("L", CredentialKind::OAuth, windows)], &top, &thresholds(), NOW);
        assert_eq!(
            json["five_hour"],
            json!({"utilization": 82.5, "resets_at": "2027-01-15T10:15:00Z", "resets_at_epoch": 1_800_008_100})
        );
        assert_eq!(json["seven_day"], Value::Null);
        assert_eq!(json["fetched_at"], "2027-01-15T07:59:15Z");
        assert_eq!((&json["warn_threshold"], &json["critical_threshold"]), (&json!(80), &json!(90)));
        let identity = &json["identities"][0];
        assert_eq!((&identity["state"], &identity["id"]), (&json!("WARN"), &json!("1a2b3c4d")));
        assert_eq!(identity["windows"][0]["name"], FIVE_HOUR);
    }
}
