//! `ccc tokens`.

use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::cli::reset_time::reset_time;
use crate::cli::{CliError, Context, ErrorKind, ExitCode, Paint, credentials};
use crate::config::{Flags, Provider};
use crate::core::{TokenId, TokenKind, WindowFact};
use crate::driver;
use crate::tokens::{Credential, Fingerprint, NoCredential, Pool, SharedTokens, TokenState, TokenStates};
use crate::ui::clean;

/// How much of a label a line shows, in characters.
const LABEL_CHARS: usize = 60;

/// List the tokens that a run may use, with what is known about each.
///
/// They come from the configuration (`tokens`), from variables (ANTHROPIC_API_KEY, ANTHROPIC_API_KEY_2…, ANTHROPIC_API_KEYS
/// separated by commas, ANTHROPIC_API_KEYS_FILE with one a line; likewise CLAUDE_CODE_OAUTH_TOKEN and ANTHROPIC_AUTH_TOKEN,
/// and for other programs OPENAI_API_KEY, GEMINI_API_KEY, GOOGLE_API_KEY, COHERE_API_KEY and CO_API_KEY) and from the agent's
/// own login. Values are never shown; a fingerprint tells them apart.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
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
    /// Each token with its kind, provider, fingerprint, state, windows and resets, as all ccc processes last heard.
    List,
}

/// How a token is, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// The last that was heard of it was good.
    Ready,
    /// It is spent for a while.
    Limited,
    /// It was refused.
    Refused,
    /// Nothing was heard of it.
    Unknown,
}

/// What is said of one token.
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
    windows: Vec<WindowFact>,
    /// When something was last heard of it.
    seen_unix_ms: Option<i64>,
}

/// Lists the tokens.
///
/// # Errors
/// When the configuration or a file of tokens cannot be read, or the state directory cannot.
pub fn run(args: TokensArgs, context: &Context) -> Result<ExitCode, CliError> {
    match args.what.unwrap_or(TokensCommand::List) {
        TokensCommand::List => list(args.json, context),
    }
}

fn list(json: bool, context: &Context) -> Result<ExitCode, CliError> {
    let now_unix_ms = driver::unix_ms();
    let pools = pools(context)?;
    let states = SharedTokens::new(&context.dirs()?.state).read().map_err(|error| {
        CliError::new(ErrorKind::Io, error.to_string())
            .hint("make it readable, or set CCC_STATE_DIR to another directory")
    })?;
    if let Some(set_aside) = &states.set_aside {
        context.printer.warn(set_aside);
    }
    let rows: Vec<Row> = pools.iter().flat_map(|pool| rows(pool, &states, now_unix_ms)).collect();
    if json {
        context.printer.line(format_args!("{:#}", serde_json::json!({ "tokens": rows })));
        return Ok(ExitCode::COMPLETED);
    }
    if rows.is_empty() {
        context.printer.talk(NoCredential);
    }
    print(&rows, now_unix_ms, context);
    Ok(ExitCode::COMPLETED)
}

/// The tokens for the agent, and those for programs of other providers.
fn pools(context: &Context) -> Result<Vec<Pool>, CliError> {
    let settings = context.settings(Flags::default())?.settings;
    let project = context.project()?;
    let mut pools = Vec::new();
    let agents = credentials::gather(context, &project, &settings.tokens, &settings.agent.args)?;
    if let Some(refusal) = credentials::refusal(&agents.conflicts) {
        context.printer.warn(refusal);
    }
    let mut all = vec![agents];
    for provider in [Provider::OpenAi, Provider::Google, Provider::Cohere] {
        all.push(credentials::gather_for_program(context, &project, &settings.tokens, provider)?);
    }
    for gathered in all {
        for warning in &gathered.warnings {
            context.printer.warn(warning);
        }
        pools.push(gathered.pool);
    }
    Ok(pools)
}

fn rows(pool: &Pool, states: &TokenStates, now_unix_ms: i64) -> Vec<Row> {
    pool.credentials().iter().map(|credential| row(credential, states.get(&credential.id()), now_unix_ms)).collect()
}

fn row(credential: &Credential, state: Option<&TokenState>, now_unix_ms: i64) -> Row {
    let limited_until_unix_ms = state.and_then(|state| state.limited_at(now_unix_ms));
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
            Some(_) => State::Ready,
        },
        limited_until_unix_ms,
        limited_window: state
            .filter(|_| limited_until_unix_ms.is_some())
            .and_then(|state| state.limited_window.clone()),
        windows: state.map(|state| state.windows_at(now_unix_ms)).unwrap_or_default(),
        seen_unix_ms: state.map(|state| state.seen_unix_ms),
    }
}

/// One line a token, and one a window below it.
fn print(rows: &[Row], now_unix_ms: i64, context: &Context) {
    let zone = TimeZone::system();
    let printer = &context.printer;
    let cells: Vec<[String; 4]> = rows
        .iter()
        .map(|row| {
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
    for (row, [label, kind, provider, fingerprint]) in rows.iter().zip(&cells) {
        let [a, b, c, d] = widths;
        let (paint, state) = match (row.state, row.limited_until_unix_ms) {
            (State::Ready, _) => (Paint::Green, "ready".to_owned()),
            (State::Refused, _) => (Paint::Red, "refused".to_owned()),
            (State::Unknown, _) => (Paint::Dim, "unknown".to_owned()),
            (State::Limited, None) => (Paint::Yellow, "limited".to_owned()),
            (State::Limited, Some(until)) => {
                (Paint::Yellow, format!("limited until {}", reset_time(until, now_unix_ms, &zone)))
            }
        };
        let state = printer.paint(paint, &state);
        printer.line(format_args!("{label:a$}  {kind:b$}  {provider:c$}  {fingerprint:d$}  {state}"));
        for window in &row.windows {
            let used = match window.utilization {
                Some(used) => format!("{:>3.0} % used", used * 100.0),
                None => "use unknown".to_owned(),
            };
            let resets = window
                .resets_at_unix_s
                .map(|at| format!(", resets {}", reset_time(at.saturating_mul(1_000), now_unix_ms, &zone)));
            let name = clean::one_line(&window.name, LABEL_CHARS);
            printer.line(format_args!("    {name:<12}  {used}{}", resets.unwrap_or_default()));
        }
    }
}
