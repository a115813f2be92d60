//! `ccc tokens`.

use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::cli::run_places::RunPlaces;
use crate::cli::{CliError, Context, ExitCode, Paint, credentials, inside, trust};
use crate::config::{Provider, Settings};
use crate::core::{TokenId, TokenKind, WindowFact};
use crate::driver;
use crate::tokens::usage::{Judged, OTHERS_WAIT, Usage};
use crate::tokens::{
    Credential, Fingerprint, NoCredential, Pool, ProbeVerdict, Probed, SharedTokens, TokenState, TokenStates,
};
use crate::ui::format::{away, due};
use crate::ui::{clean, token_state};

/// How many characters of a label a line shows.
const LABEL_CHARS: usize = 60;

/// The help on configuring several tokens.
const SEVERAL_TOKENS: &str = r#"Several tokens:
  In variables, for one kind of token:
      export CLAUDE_CODE_OAUTH_TOKENS=FIRST,SECOND
      export ANTHROPIC_API_KEY=FIRST ANTHROPIC_API_KEY_2=SECOND
      export ANTHROPIC_API_KEYS_FILE=~/keys      (one a line, `#` for comments)
  In ccc.json, in your order and of any kind (`ccc config path` shows the file):
      {
        "tokens": [
          {"label": "work", "env": "WORK_KEY"},
          {"label": "spare", "file": "/home/me/.keys"},
          {"kind": "oauth", "command": "op read op://Me/plan/token"}
        ]
      }
  `kind` is api_key (the default), oauth or auth_token. A command, such as a
  password manager's, is run when its token is needed. The configuration never
  contains a token itself. `ccc config schema` has all keys."#;

/// List the tokens that a run may use, with what is known about each.
///
/// They come from the configuration (`tokens`), from variables (ANTHROPIC_API_KEY, ANTHROPIC_API_KEY_2…, ANTHROPIC_API_KEYS
/// separated by commas, ANTHROPIC_API_KEYS_FILE with one a line; likewise CLAUDE_CODE_OAUTH_TOKEN and ANTHROPIC_AUTH_TOKEN,
/// and for other programs OPENAI_API_KEY, GEMINI_API_KEY, GOOGLE_API_KEY, COHERE_API_KEY and CO_API_KEY) and from the agent's
/// own login. Values are never shown; a fingerprint tells them apart.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = SEVERAL_TOKENS)]
pub struct TokensArgs {
    /// What to do; `list` unless given.
    #[command(subcommand)]
    pub what: Option<TokensCommand>,

    /// Print one JSON object instead.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What `ccc tokens` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum TokensCommand {
    /// Each token with its kind, provider, fingerprint, state, windows and resets, as last known to all ccc processes.
    /// `throttled`: a run with this token waits, because of too many requests. No provider is asked; to ask them, use
    /// `ccc tokens check`.
    List,
    /// Ask each provider about its tokens: ready, limited until when, refused, or not reached. The answers are shared
    /// with all ccc processes. The exit code is 0 when at least one token can be used, else 1.
    ///
    /// This costs almost nothing: ccc requests the usage if the token may read it, else it sends a message of one token
    /// or requests the list of models. Commands of the configuration are run. An answer that this command or another
    /// ccc got within the last two minutes is shown with its age instead of asking again.
    Check,
}

/// The state of a token, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// The last answer about it was good.
    Ready,
    /// The provider rejects requests with it until a usage window resets.
    Limited,
    /// The provider gets too many requests at present, so a run with it waits.
    Throttled,
    /// The provider does not accept it.
    Refused,
    /// Nothing is known about it.
    Unknown,
}

/// One token in the list.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    id: TokenId,
    label: String,
    kind: TokenKind,
    provider: Provider,
    fingerprint: Option<String>,
    state: State,
    limited_until_unix_ms: Option<i64>,
    limited_window: Option<String>,
    /// A run with it waits until then, because of too many requests.
    throttled_until_unix_ms: Option<i64>,
    windows: Vec<WindowFact>,
    /// When information about it last arrived.
    seen_unix_ms: Option<i64>,
}

/// Lists the tokens.
///
/// # Errors
/// When the configuration or a file of tokens cannot be read, or the state directory cannot.
pub fn run(args: TokensArgs, context: &Context) -> Result<ExitCode, CliError> {
    inside::refuse("tokens", context)?;
    match args.what.unwrap_or(TokensCommand::List) {
        TokensCommand::List => list(args.json, context),
        TokensCommand::Check => check(args.json, context),
    }
}

fn list(json: bool, context: &Context) -> Result<ExitCode, CliError> {
    let now_unix_ms = driver::unix_ms();
    let settings = trust::settings_told(context)?;
    let pools = pools(&settings, context)?;
    let states = SharedTokens::new(&context.dirs()?.state)
        .read()
        .map_err(|error| CliError::io(error).hint("make it readable, or set CCC_STATE_DIR to another directory"))?;
    if let Some(set_aside) = &states.set_aside {
        context.printer.warn(set_aside);
    }
    let rows: Vec<Row> = pools.iter().flat_map(|pool| rows(pool, &states, now_unix_ms)).collect();
    if json {
        context.printer.json(format_args!("{:#}", serde_json::json!({ "tokens": rows })));
        return Ok(ExitCode::COMPLETED);
    }
    if rows.is_empty() {
        context.printer.talk(NoCredential(settings.agent.kind.0.provider()));
    }
    let zone = crate::cli::zone::of_process();
    let lines = rows.iter().map(|row| (row, row.windows.as_slice(), row.state_in_words(now_unix_ms, &zone)));
    print(&lines.collect::<Vec<_>>(), now_unix_ms, context);
    Ok(ExitCode::COMPLETED)
}

/// The result of asking about one token.
#[derive(Debug, Clone, Serialize)]
struct Checked {
    #[serde(flatten)]
    row: Row,
    /// The provider's answer; `null` if it could not be asked.
    answer: Option<Probed>,
    /// When it was answered, unix milliseconds.
    answered_unix_ms: Option<i64>,
    /// Whether the answer comes from an earlier command or another ccc.
    kept: bool,
    /// Why it could not be asked.
    not_asked: Option<String>,
}

fn check(json: bool, context: &Context) -> Result<ExitCode, CliError> {
    let settings = trust::settings_told(context)?;
    let pools = pools(&settings, context)?;
    let credentials: Vec<&Credential> = pools.iter().flat_map(Pool::credentials).collect();
    let shared = SharedTokens::new(&context.dirs()?.state);
    let usage = credentials::usage(&settings.usage, shared.clone(), context)?;
    // A damaged file is set aside here, with one warning.
    let before = shared.read();
    if let Some(set_aside) = before.as_ref().ok().and_then(|states| states.set_aside.as_ref()) {
        context.printer.warn(set_aside);
    }
    let now_unix_ms = driver::unix_ms();
    let answers = ask_all(&usage, &credentials, now_unix_ms);
    let states = shared.read().unwrap_or_else(|error| {
        context.printer.warn(format_args!("the answers cannot be shared with other ccc processes: {error}"));
        TokenStates::default()
    });
    let mut all = Vec::new();
    for (credential, judged) in credentials.into_iter().zip(answers) {
        let row = row(credential, states.get(&credential.id()), now_unix_ms);
        let (answer, answered_unix_ms, kept, not_asked) = match judged {
            Judged::Verdict { probed, at_unix_ms, kept } => (Some(probed), Some(at_unix_ms), kept, None),
            Judged::ByAnother => {
                (None, None, false, Some("another ccc process is checking it at this moment".to_owned()))
            }
            Judged::NotAsked(why) => (None, None, false, Some(why.to_string())),
            Judged::Failed(why) => (None, None, false, Some(why)),
        };
        all.push(Checked { row, answer, answered_unix_ms, kept, not_asked });
    }
    let usable = all.iter().filter_map(|checked| checked.answer.as_ref()).any(|probed| match probed.verdict {
        ProbeVerdict::Valid | ProbeVerdict::Throttled { .. } => true,
        ProbeVerdict::Limited { .. }
        | ProbeVerdict::Refused { .. }
        | ProbeVerdict::Unreachable { .. }
        | ProbeVerdict::Unknown { .. } => false,
    });
    if json {
        context.printer.json(format_args!("{:#}", serde_json::json!({ "usable": usable, "tokens": all })));
    } else {
        if all.is_empty() {
            context.printer.talk(NoCredential(settings.agent.kind.0.provider()));
        }
        let zone = crate::cli::zone::of_process();
        let lines = all.iter().map(|checked| {
            let windows = checked.answer.as_ref().map(|probed| probed.windows.as_slice()).unwrap_or_default();
            (&checked.row, windows, checked.in_words(now_unix_ms, &zone))
        });
        print(&lines.collect::<Vec<_>>(), now_unix_ms, context);
    }
    Ok(if usable { ExitCode::COMPLETED } else { ExitCode::FAILED })
}

/// Asks about all credentials, several at the same time. The answers are in the order of the credentials.
pub(in crate::cli) fn ask_all(usage: &Usage, credentials: &[&Credential], now_unix_ms: i64) -> Vec<Judged> {
    let answers = credentials::at_once(credentials, |credential| usage.verdict(credential, OTHERS_WAIT, now_unix_ms));
    let failed = || Judged::Failed("ccc failed while it asked; this is a bug: please report it".to_owned());
    answers.into_iter().map(|answer| answer.unwrap_or_else(failed)).collect()
}

impl Checked {
    fn in_words(&self, now_unix_ms: i64, zone: &TimeZone) -> (Paint, String) {
        let Some(probed) = &self.answer else {
            return (Paint::Dim, format!("not checked: {}", self.not_asked.as_deref().unwrap_or_default()));
        };
        let (paint, words) = Self::verdict_in_words(probed, now_unix_ms, zone);
        match self.answered_unix_ms.filter(|_| self.kept) {
            None => (paint, words),
            Some(at) => (paint, format!("{words} (checked {} ago)", away(now_unix_ms, at))),
        }
    }

    fn verdict_in_words(probed: &Probed, now_unix_ms: i64, zone: &TimeZone) -> (Paint, String) {
        match &probed.verdict {
            ProbeVerdict::Valid => (Paint::Green, token_state::READY.to_owned()),
            ProbeVerdict::Limited { until_unix_ms, window } => {
                let window = window.as_deref().map(|window| format!(", window: {}", token_state::window(window)));
                let limited = token_state::limited(*until_unix_ms, now_unix_ms, zone);
                (Paint::Yellow, format!("{limited}{}", window.unwrap_or_default()))
            }
            ProbeVerdict::Throttled { .. } => (Paint::Yellow, probed.verdict.to_string()),
            ProbeVerdict::Refused { .. } | ProbeVerdict::Unreachable { .. } => (Paint::Red, probed.verdict.to_string()),
            ProbeVerdict::Unknown { .. } => (Paint::Dim, probed.verdict.to_string()),
        }
    }
}

/// The tokens for the agent and those for programs of other providers, one pool each.
fn pools(settings: &Settings, context: &Context) -> Result<Vec<Pool>, CliError> {
    let project = context.project()?;
    let mut pools = Vec::new();
    let agent = settings.agent.kind.0;
    let agents = credentials::gather(context, &RunPlaces::same(&project), settings, agent, &settings.agent.args)?;
    if let Some(refusal) = credentials::refusal(&agents.conflicts) {
        context.printer.warn(refusal);
    }
    let mut all = vec![agents];
    for provider in Provider::ALL.into_iter().filter(|provider| *provider != agent.provider()) {
        all.push(credentials::gather_for_program(context, &project, &settings.tokens, provider)?);
    }
    for gathered in all {
        for warning in &gathered.warnings {
            context.printer.warn(warning);
        }
        pools.push(gathered.pool);
    }
    let of_agent = pools.first().map(Pool::credentials).unwrap_or_default();
    match credentials::in_keychain(agent, of_agent, driver::unix_ms(), context)? {
        Ok(None) => {}
        Ok(Some(login)) => pools.insert(1, Pool::of(vec![login], &context.env, agent.provider())),
        Err(fault) => context.printer.warn(fault),
    }
    Ok(pools)
}

fn rows(pool: &Pool, states: &TokenStates, now_unix_ms: i64) -> Vec<Row> {
    pool.credentials().iter().map(|credential| row(credential, states.get(&credential.id()), now_unix_ms)).collect()
}

fn row(credential: &Credential, state: Option<&TokenState>, now_unix_ms: i64) -> Row {
    let limited_until_unix_ms = state.and_then(|state| state.limited_at(now_unix_ms));
    let throttled_until_unix_ms = state.and_then(|state| state.throttled_at(now_unix_ms));
    Row {
        id: credential.id(),
        label: credential.label.clone(),
        kind: credential.kind,
        provider: credential.provider,
        fingerprint: credential.fingerprint.as_ref().map(Fingerprint::to_string),
        state: match state {
            None => State::Unknown,
            Some(state) if state.is_refused(credential.fingerprint.as_ref()) => State::Refused,
            Some(_) if limited_until_unix_ms.is_some() => State::Limited,
            Some(_) if throttled_until_unix_ms.is_some() => State::Throttled,
            Some(_) => State::Ready,
        },
        limited_until_unix_ms,
        throttled_until_unix_ms,
        limited_window: state
            .filter(|_| limited_until_unix_ms.is_some())
            .and_then(|state| state.limited_window.clone()),
        windows: state.map(|state| state.windows_at(now_unix_ms)).unwrap_or_default(),
        seen_unix_ms: state.map(|state| state.seen_unix_ms),
    }
}

impl Row {
    fn state_in_words(&self, now_unix_ms: i64, zone: &TimeZone) -> (Paint, String) {
        match (self.state, self.limited_until_unix_ms) {
            (State::Ready, _) => (Paint::Green, token_state::READY.to_owned()),
            (State::Refused, _) => (Paint::Red, token_state::REFUSED.to_owned()),
            (State::Unknown, _) => (Paint::Dim, token_state::UNKNOWN.to_owned()),
            (State::Throttled, _) => {
                let until = self.throttled_until_unix_ms.unwrap_or(now_unix_ms);
                (Paint::Yellow, token_state::throttled(until, now_unix_ms, zone))
            }
            (State::Limited, until) => (Paint::Yellow, token_state::limited(until, now_unix_ms, zone)),
        }
    }
}

/// Prints one line for each token with its state, and below it one line for each usage window.
fn print(rows: &[(&Row, &[WindowFact], (Paint, String))], now_unix_ms: i64, context: &Context) {
    let zone = crate::cli::zone::of_process();
    let printer = &context.printer;
    let cells: Vec<[String; 4]> = rows
        .iter()
        .map(|(row, _, _)| {
            [
                clean::one_line(&row.label, LABEL_CHARS),
                row.kind.to_string(),
                row.provider.to_string(),
                row.fingerprint.clone().unwrap_or_else(|| "-".to_owned()),
            ]
        })
        .collect();
    let width = |column: usize| cells.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3].map(width);
    for ((_, windows, (paint, state)), [label, kind, provider, fingerprint]) in rows.iter().zip(&cells) {
        let [a, b, c, d] = widths;
        let state = printer.paint(*paint, state);
        printer.line(format_args!("{label:a$}  {kind:b$}  {provider:c$}  {fingerprint:d$}  {state}"));
        for window in *windows {
            let used = match window.utilization {
                Some(used) => format!("{:>3.0} % used", used * 100.0),
                None => "usage unknown".to_owned(),
            };
            let resets = window
                .resets_at_unix_s
                .map(|at| format!(", resets {}", due(at.saturating_mul(1_000), now_unix_ms, &zone)));
            let name = token_state::window(&window.name);
            printer.line(format_args!("    {name:<12}  {used}{}", resets.unwrap_or_default()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SEVERAL_TOKENS;
    use crate::config::{TokenEntry, TokenPlace};

    #[test]
    fn the_example_of_the_help_is_a_configuration_and_fits_80_columns() {
        let (from, to) = (SEVERAL_TOKENS.find('{').expect("JSON"), SEVERAL_TOKENS.rfind('}').expect("JSON"));
        let example: serde_json::Value = serde_json::from_str(&SEVERAL_TOKENS[from..=to]).expect("JSON");
        let entries: Vec<TokenEntry> = serde_json::from_value(example["tokens"].clone()).expect("tokens");
        let places: Vec<&TokenPlace> = entries.iter().map(|entry| &entry.place).collect();
        assert!(
            matches!(places[..], [TokenPlace::Env(_), TokenPlace::File(_), TokenPlace::Command { .. }]),
            "{places:?}"
        );
        assert!(SEVERAL_TOKENS.lines().all(|line| line.chars().count() <= 80), "{SEVERAL_TOKENS}");
    }
}
