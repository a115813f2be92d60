//! `ccc providers`, and the start of the agent under a provider: `ccc NAME -- ARGS`.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::Path;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::agent::InterfaceArgs;
use crate::cli::{CliError, Context, ExitCode, Paint, Printer, credentials, inside, misuse, trust};
use crate::config::{EnvValue, Flags, NamedProvider, Project, Settings, TokenPlace, agent};
use crate::driver;
use crate::files::replace_json;
use crate::guard::{CurrentProvider, SettingsOfAgent};
use crate::process;
use crate::tokens::{
    MANAGED_SETTINGS, ProbeVerdict, Provided, ProvidedFault, ResolveBase, SettingsPlaces, SharedTokens, usage,
};
use crate::ui::{columns, token_state};

use crate::cli::credentials::{at_once, conflicts_in_words};

/// The prefix of the name of a file with a provider's settings; the pid of the agent follows.
const SETTINGS_FILE: &str = "settings-";
/// How to configure providers.
const EXAMPLE: &str = r#"Configure providers in ccc.json (`ccc config path` shows where it is):
      {
        "providers": {
          "kimi": {
            "env": {
              "ANTHROPIC_BASE_URL": "https://api.moonshot.ai/anthropic",
              "ANTHROPIC_AUTH_TOKEN": {"command": "pass show kimi"}
            },
            "model": "kimi-k2"
          }
        },
        "current_provider": "kimi"
      }
  A value of `env` is a text, or one of {"env": NAME}, {"file": PATH} and
  {"command": LINE}. `settings` and `claude_args` of a provider override those
  beside `providers`, which all providers have. ccc writes nothing into the
  agent's own files: `env` goes into the agent's environment, `settings` into
  its --settings."#;

/// List the providers under which the agent can be started, choose one, or check them.
///
/// `ccc NAME -- ARGS` starts the agent under the provider NAME. The agent replaces the ccc process, so nothing is supervised.
/// `ccc` alone at a terminal starts the current provider. If a provider has the name of a command, start it with
/// `ccc --provider NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = EXAMPLE)]
pub struct ProvidersArgs {
    /// What to do; `list` unless given.
    #[command(subcommand)]
    pub what: Option<ProvidersCommand>,

    /// Print one JSON object instead.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What `ccc providers` does.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum ProvidersCommand {
    /// Each provider with its credential, host and model; `*` marks the current one. No value is shown.
    List,
    /// Make a provider the current one, which `ccc` alone starts. It is kept in the state directory.
    Use {
        /// The provider.
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Check whether the agent can work under a provider, and ask the provider about its credential.
    ///
    /// This runs commands of the configuration, and sends a message of one token to each provider. The exit code is 0 when
    /// nothing is wrong, else 1.
    Check {
        /// The provider; without it, every one.
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
}

/// Runs the command.
///
/// # Errors
/// When the configuration cannot be understood, or the provider does not exist.
pub fn run(args: ProvidersArgs, context: &Context) -> Result<ExitCode, CliError> {
    let settings = trust::settings_told(context)?;
    match args.what.unwrap_or(ProvidersCommand::List) {
        ProvidersCommand::List => list(&settings, args.json, context),
        ProvidersCommand::Use { name } => {
            inside::refuse("providers use", context)?;
            find(&settings, &name)?;
            CurrentProvider::new(&context.dirs()?.state).choose(&name).map_err(|error| {
                CliError::io(error).hint("make it writable, or set CCC_STATE_DIR to another directory")
            })?;
            context.printer.talk(format_args!("`ccc` alone starts the agent under {name} from now on"));
            Ok(ExitCode::COMPLETED)
        }
        ProvidersCommand::Check { name } => check(&settings, name.as_deref(), args.json, context),
    }
}

/// The provider that `ccc` alone starts.
///
/// # Errors
/// When there are no directories.
pub(in crate::cli) fn current(settings: &Settings, context: &Context) -> Result<Option<String>, CliError> {
    let chosen = CurrentProvider::new(&context.dirs()?.state).chosen();
    Ok(chosen.or_else(|| settings.current_provider.clone()))
}

fn find<'a>(settings: &'a Settings, name: &str) -> Result<&'a NamedProvider, CliError> {
    settings.providers.get(name).ok_or_else(|| unknown(settings, name))
}

fn unknown(settings: &Settings, name: &str) -> CliError {
    let names: Vec<&str> = settings.providers.names().collect();
    let error = CliError::usage(format!("there is no provider `{name}`"));
    match (similar::get_close_matches(name, &names, 3, misuse::LIKENESS).as_slice(), names.as_slice()) {
        ([], []) => error.hint("add it to `providers` in ccc.json; for an example: ccc help providers"),
        ([], _) => error.hint(format!("known: {}; to list them: ccc providers", names.join(", "))),
        (near, _) => error.hint(format!("did you mean {}?", near.join(" or "))),
    }
}

/// Where a value comes from, without the value.
fn source(value: &EnvValue) -> String {
    match value {
        EnvValue::Given(_) => "written in the configuration".to_owned(),
        EnvValue::From(TokenPlace::Env(name)) => format!("from the variable {name}"),
        EnvValue::From(TokenPlace::File(path)) => format!("from {path}"),
        EnvValue::From(TokenPlace::Command { .. }) => "from a command".to_owned(),
    }
}

/// The variable that names the host of the requests.
const BASE_URL: &str = "ANTHROPIC_BASE_URL";

/// The description of one provider.
#[derive(Debug, Clone, Serialize)]
struct Row {
    name: String,
    current: bool,
    /// The variable that gives the agent its credential; `null` if the agent uses its own.
    credential: Option<&'static str>,
    /// Where the credential's value comes from.
    source: Option<String>,
    /// The host of the requests; `null` for the default.
    host: Option<String>,
    model: Option<String>,
    /// Why the provider cannot be used.
    fault: Option<String>,
}

fn row(
    name: &str,
    entry: &NamedProvider,
    is_current: bool,
    settings: &Settings,
    context: &Context,
) -> Result<Row, CliError> {
    let provided = provided(name, entry, None, settings, context)?;
    let mut row = Row {
        name: name.to_owned(),
        current: is_current,
        credential: None,
        source: None,
        host: None,
        model: entry.model.clone(),
        fault: None,
    };
    match provided {
        Err(fault) => {
            row.fault = Some(fault.to_string());
            row.host = host_alone(name, entry, settings, context)?;
        }
        Ok(provided) => {
            row.credential = provided.credential_variables().first().copied();
            row.source = row
                .credential
                .map(|variable| entry.env.get(variable).map_or_else(|| "from `settings.env`".to_owned(), source));
            row.model = provided.asked_model();
            row.fault = provided.gives_several();
            match provided.base() {
                Some(Ok(base)) => row.host = Some(base.host().to_owned()),
                Some(Err(error)) => row.fault = Some(error.to_string()),
                None => {}
            }
        }
    }
    Ok(row)
}

/// The host that a provider names, also when another of its values cannot be read.
fn host_alone(
    name: &str,
    entry: &NamedProvider,
    settings: &Settings,
    context: &Context,
) -> Result<Option<String>, CliError> {
    let mut alone = entry.clone();
    alone.env.retain(|variable, _| variable == BASE_URL);
    let provided = provided(name, &alone, None, settings, context)?;
    let base = provided.ok().and_then(|provided| provided.base()).and_then(Result::ok);
    Ok(base.map(|base| base.host().to_owned()))
}

/// The rows of the list. In a terminal that is too narrow for one of them, each has its credential on a row of its own.
fn print_table(rows: &[Row], printer: &Printer) {
    let width = |cell: fn(&Row) -> usize| rows.iter().map(cell).max().unwrap_or(0);
    let (names, hosts) = (width(|row| columns::of(&row.name)), width(|row| columns::of(host(row))));
    let models = width(|row| columns::of(model(row)));
    let credential = |row: &Row| match (&row.credential, &row.source, &row.fault) {
        (_, _, Some(fault)) => printer.paint(Paint::Red, fault),
        (Some(variable), Some(source), None) => format!("{variable} {source}"),
        (_, _, None) => "the agent's own credential".to_owned(),
    };
    let credentials: Vec<String> = rows.iter().map(credential).collect();
    let widest = credentials.iter().map(|credential| columns::of_shown(credential)).max().unwrap_or(0);
    let is_narrow = printer.columns().is_some_and(|room| names + hosts + models + widest + 8 > usize::from(room));
    for (row, credential) in rows.iter().zip(&credentials) {
        let mark = if row.current { "*" } else { " " };
        let cells = format!("{mark} {:names$}  {:hosts$}  {:models$}", row.name, host(row), model(row));
        if is_narrow {
            printer.line(cells.trim_end());
            printer.behind("    ", credential);
        } else {
            printer.line(format_args!("{cells}  {credential}"));
        }
    }
}

fn list(settings: &Settings, json: bool, context: &Context) -> Result<ExitCode, CliError> {
    let current = current(settings, context)?;
    let mut rows = Vec::new();
    for (name, entry) in settings.providers.iter() {
        rows.push(row(name, entry, current.as_deref() == Some(name), settings, context)?);
    }
    if json {
        context.printer.json(format_args!("{:#}", serde_json::json!({ "current": current, "providers": rows })));
        return Ok(ExitCode::COMPLETED);
    }
    if rows.is_empty() {
        context.printer.talk("no provider is configured; to see how: ccc help providers");
    }
    print_table(&rows, &context.printer);
    if let Some(current) = current.filter(|current| settings.providers.get(current).is_none()) {
        context.printer.warn(format_args!(
            "the current provider is {current}, which is not configured; to choose another: ccc providers use NAME"
        ));
    }
    Ok(ExitCode::COMPLETED)
}

fn host(row: &Row) -> &str {
    row.host.as_deref().unwrap_or("the agent's own host")
}

fn model(row: &Row) -> &str {
    row.model.as_deref().unwrap_or("-")
}

/// What a provider gives; the inner error is about the provider itself.
fn provided(
    name: &str,
    entry: &NamedProvider,
    users: Option<&str>,
    settings: &Settings,
    context: &Context,
) -> Result<Result<Provided, ProvidedFault>, CliError> {
    let around = ResolveBase { env: &context.env, home: &context.dirs()?.home, cwd: context.cwd()? };
    Ok(Provided::new(name, entry, settings, users, around))
}

/// The result of checking one provider.
#[derive(Debug, Clone, Serialize)]
struct Checked {
    name: String,
    /// Whether nothing is wrong.
    ok: bool,
    /// What is wrong.
    faults: Vec<String>,
    /// The provider's answer about the credential; `null` if it was not asked.
    answer: Option<String>,
}

fn check(settings: &Settings, name: Option<&str>, json: bool, context: &Context) -> Result<ExitCode, CliError> {
    let mut entries: Vec<(&str, &NamedProvider)> = settings.providers.iter().collect();
    if let Some(name) = name {
        find(settings, name)?;
        entries.retain(|(known, _)| *known == name);
    }
    let project = context.project()?;
    let shared = SharedTokens::new(&context.dirs()?.state);
    let usage = credentials::usage(&settings.usage, shared, context)?;
    let mut looked_at = Vec::new();
    for (name, entry) in entries {
        let (mut faults, mut credential) = (Vec::new(), None);
        match provided(name, entry, None, settings, context)? {
            Err(fault) => faults.push(fault.to_string()),
            Ok(provided) => {
                let found = provided.conflicts(places(&project, None, context)?);
                faults.extend(found.odd.map(|odd| format!("{} {}", odd.path.display(), odd.why)));
                faults.extend(conflicts_in_words(name, &found.conflicts));
                faults.extend(provided.gives_several());
                faults.extend(seen_secrets(&provided));
                credential = provided.credential();
            }
        }
        looked_at.push((name, faults, credential));
    }
    let now_unix_ms = driver::unix_ms();
    let answers = at_once(&looked_at, |(_, _, credential)| {
        let credential = credential.as_ref()?;
        Some(usage.verdict(credential, usage::OTHERS_WAIT, now_unix_ms))
    });
    let mut all = Vec::new();
    for ((name, mut faults, _), judged) in looked_at.into_iter().zip(answers) {
        let answer = judged.flatten().map(|judged| answer_in_words(judged, &mut faults));
        all.push(Checked { name: name.to_owned(), ok: faults.is_empty(), faults, answer });
    }
    let ok = all.iter().all(|checked| checked.ok);
    if json {
        context.printer.json(format_args!("{:#}", serde_json::json!({ "ok": ok, "providers": all })));
    } else {
        for checked in &all {
            let (paint, words) = match (checked.faults.is_empty(), &checked.answer) {
                (true, Some(answer)) => (Paint::Green, answer.as_str()),
                (true, None) => (Paint::Dim, "the agent's own credential"),
                (false, _) => (Paint::Red, "fails"),
            };
            context.printer.behind(&format!("{}  ", checked.name), context.printer.paint(paint, words));
            for fault in &checked.faults {
                context.printer.behind("    ", fault);
            }
        }
        if all.is_empty() {
            context.printer.talk("no provider is configured; to see how: ccc help providers");
        }
    }
    Ok(if ok { ExitCode::COMPLETED } else { ExitCode::FAILED })
}

/// The provider's answer in words; a problem is added to `faults`.
fn answer_in_words(judged: usage::Judged, faults: &mut Vec<String>) -> String {
    let words = match judged {
        usage::Judged::Verdict { probed, .. } => {
            let words = match &probed.verdict {
                ProbeVerdict::Valid => return token_state::READY.to_owned(),
                // These states end by themselves.
                ProbeVerdict::Limited { .. } | ProbeVerdict::Throttled { .. } => return probed.verdict.to_string(),
                ProbeVerdict::Refused { .. } | ProbeVerdict::Unreachable { .. } | ProbeVerdict::Unknown { .. } => {
                    probed.verdict.to_string()
                }
            };
            format!("its credential: {words}")
        }
        usage::Judged::ByAnother => return "another ccc process is checking it at this moment".to_owned(),
        usage::Judged::NotAsked(why) => format!("its credential was not checked: {why}"),
        usage::Judged::Failed(why) => format!("its credential was not checked: {why}"),
    };
    faults.push(words.clone());
    words
}

fn places<'a>(
    project: &'a Project,
    sources: Option<&'a [String]>,
    context: &'a Context,
) -> Result<SettingsPlaces<'a>, CliError> {
    let managed = Path::new(MANAGED_SETTINGS);
    Ok(SettingsPlaces { dirs: context.dirs()?, cwd: &project.cwd, argument: None, sources, managed })
}

/// The command line with `--provider NAME` in place of a provider's name that was typed as a command. `root` is the definition of
/// all commands.
///
/// # Errors
/// When the word resembles a provider more than a command, or the configuration cannot be understood.
pub(in crate::cli) fn with_option(
    mut args: Vec<OsString>,
    root: &clap::Command,
    context: &Context,
) -> Result<Vec<OsString>, CliError> {
    let word = args.get(1).and_then(|word| word.to_str());
    let is_name = |word: &&str| !word.starts_with('-') && !word.contains(char::is_whitespace) && !word.is_empty();
    let Some(word) = word.filter(is_name).filter(|word| root.find_subcommand(word).is_none()).map(str::to_owned) else {
        return Ok(args);
    };
    // Without directories there are no providers.
    let (Ok(_), Ok(project)) = (context.dirs(), context.project()) else { return Ok(args) };
    // The next reader of the configuration prints its warnings.
    let providers = context.settings_of(&project, Flags::default())?.settings.providers;
    if providers.get(&word).is_some() {
        args.splice(1..2, ["--provider".into(), word.into()]);
        return Ok(args);
    }
    let commands = root.get_subcommands().filter(|command| !command.is_hide_set()).map(clap::Command::get_name);
    let names: Vec<&str> = providers.names().chain(commands).collect();
    match similar::get_close_matches(word.as_str(), &names, 1, misuse::LIKENESS).first() {
        Some(near) if providers.get(near).is_some() => {
            Err(CliError::usage(format!("there is no command and no provider `{word}`"))
                .hint(format!("did you mean `ccc {near}`?")))
        }
        Some(_) | None => Ok(args),
    }
}

/// Replaces this process by the agent under a provider.
///
/// # Errors
/// When the provider does not exist, cannot be used, or the agent cannot be started.
pub(in crate::cli) fn start(name: &str, args: &[String], context: &Context) -> Result<ExitCode, CliError> {
    context.private_state()?;
    let settings = context.settings(Flags::default())?.settings;
    let entry = find(&settings, name)?;
    let kind = settings.agent.kind.0;
    let InterfaceArgs { rest, settings: users, setting_sources, choose_model } = kind.read_interface_args(args);
    let provided = provided(name, entry, users.as_deref(), &settings, context)?
        .map_err(|fault| CliError::configuration(fault).hint("correct it; for an example: ccc help providers"))?;
    if let Some(several) = provided.gives_several() {
        let message = format!("the provider {name} cannot be used: {several}");
        return Err(CliError::configuration(message).hint(
            "keep only one of them in its `env` and `settings.env`, because the agent would silently choose one",
        ));
    }
    if let Some(seen) = seen_secrets(&provided) {
        context.printer.warn(format_args!("the provider {name}: {seen}"));
    }
    let setting_sources = setting_sources.or_else(|| provided.setting_sources().map(<[String]>::to_vec));
    let (project, dirs) = (context.project()?, context.dirs()?);
    let asked = SettingsOfAgent::new(kind, &project, dirs, &context.env, None, setting_sources.clone()).look();
    trust::refuse_unreadable(&asked.unreadable, &project)?;
    trust::require(&asked.not_agreed, &project, context)?;
    let found = provided.conflicts(places(&project, setting_sources.as_deref(), context)?);
    for warning in &found.warnings {
        context.printer.warn(warning);
    }
    let conflicts = conflicts_in_words(name, &found.conflicts);
    if !conflicts.is_empty() {
        return Err(CliError::configuration(conflicts.join("; "))
            .hint("remove them there (ccc does not change the agent's settings), or remove them from the provider"));
    }
    let program = agent::locate(kind, settings.agent.path.as_deref().map(Path::new), &context.env, dirs, &project.cwd)?;
    let files = context.dirs()?.state.join("providers");
    remove_settings_files(&files);
    let file = files.join(format!("{SETTINGS_FILE}{}.json", std::process::id()));
    let in_force = provided.settings().map(|value| {
        let failed = |error: std::io::Error| CliError::io(format!("{}: {error}", file.display()));
        replace_json(&file, &value, false).map_err(failed).map(|()| file.display().to_string())
    });
    let in_force = in_force.transpose()?;
    let model = provided.model().filter(|_| !choose_model);
    let mut all = kind.args_of_provider(in_force.as_deref(), model);
    all.extend(provided.args().iter().cloned());
    all.extend(rest);
    let env = provided
        .environment(&context.env, &settings)
        .map_err(|error| CliError::environment(error).hint(format!("correct it, then type: ccc {name}")))?;
    let error = process::exec(&program, &all, env);
    Err(CliError::environment(format!("{} cannot be started: {error}", program.display()))
        .hint(format!("set the path of the agent's program: CCC_AGENT=PATH ccc {name}")))
}

/// Removes the settings files of agents that have ended. An agent replaces the ccc process, so it has the pid of that process.
fn remove_settings_files(files: &Path) {
    for file in std::fs::read_dir(files).into_iter().flatten().flatten() {
        let name = file.file_name();
        let Some(of) = name.to_str().and_then(|name| name.strip_prefix(SETTINGS_FILE)) else { continue };
        let pid = of.strip_suffix(".json").and_then(|pid| pid.parse::<i32>().ok());
        let lives = pid
            .and_then(rustix::process::Pid::from_raw)
            .is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH));
        if !lives {
            let _ = std::fs::remove_file(file.path());
        }
    }
}

/// A warning that `claude_args` contain apparent secrets, which every user of the machine can read.
fn seen_secrets(provided: &Provided) -> Option<String> {
    let names = provided.secret_arguments();
    (!names.is_empty()).then(|| {
        format!(
            "`claude_args` contain what looks like a secret ({}), and every user of the machine can read arguments; put it into `env` or \
             `settings`",
            names.join(", ")
        )
    })
}

/// Starts the current provider, if one is configured and a user is at the terminal; else `None`.
///
/// # Errors
/// As [`start`].
pub(in crate::cli) fn start_current(args: &[String], context: &Context) -> Option<Result<ExitCode, CliError>> {
    if args.is_empty() && !(context.stdin.is_terminal() && std::io::stdout().is_terminal()) {
        return None;
    }
    let name = || {
        let settings = context.settings(Flags::default())?.settings;
        current(&settings, context)
    };
    match name() {
        Ok(Some(name)) => Some(start(&name, args, context)),
        Ok(None) if args.is_empty() => None,
        Ok(None) => Some(Err(CliError::usage("there is no current provider to start the agent under")
            .hint("to choose one: ccc providers use NAME; to start a supervised task: ccc --supervisor -p \"TASK\""))),
        Err(error) => Some(Err(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::{EXAMPLE, ProvidersArgs, ProvidersCommand, conflicts_in_words, run};
    use crate::cli::captured::Captured;
    use crate::config::parse_file;
    use crate::tokens::EnvConflict;
    use crate::ui::columns;

    #[test]
    fn the_example_of_the_help_is_a_configuration_and_fits_80_columns() {
        let (from, to) = (EXAMPLE.find('{').expect("JSON"), EXAMPLE.find("\n  A value").expect("prose"));
        let (layer, unknown) = parse_file(&EXAMPLE.as_bytes()[from..to]).expect("a configuration");
        assert_eq!(unknown, []);
        let providers = layer.providers.expect("providers");
        assert_eq!(providers.get("kimi").and_then(|kimi| kimi.model.as_deref()), Some("kimi-k2"));
        assert!(EXAMPLE.lines().all(|line| line.chars().count() <= 80), "{EXAMPLE}");
    }

    #[test]
    fn the_list_fits_every_terminal_and_names_the_host_of_a_provider_whose_credential_is_missing() {
        let dir = tempfile::tempdir().expect("a directory");
        let text = r#"{"providers": {
            "local": {"env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9999", "ANTHROPIC_AUTH_TOKEN": {"env": "NOT_SET"}}},
            "kimi": {"env": {"ANTHROPIC_BASE_URL": "https://api.moonshot.ai/anthropic",
                             "ANTHROPIC_AUTH_TOKEN": {"command": "false"}}, "model": "kimi-k2"}}}"#;
        let of = |columns: Option<u16>| {
            let seen = Captured::default();
            let context = seen.context(dir.path(), columns);
            std::fs::write(context.dirs().expect("directories").config.join("ccc.json"), text).expect("written");
            for what in [ProvidersCommand::List, ProvidersCommand::Check { name: Some("local".to_owned()) }] {
                run(ProvidersArgs { what: Some(what), json: false }, &context).expect("listed");
            }
            seen.text()
        };
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let piped = of(None);
        assert!(piped.contains("local  127.0.0.1:9999 ") && piped.contains("NOT_SET, which is not set"), "{piped}");
        for width in [60, 80, 120] {
            let shown = of(Some(width));
            assert!(shown.lines().all(|row| columns::of(row) <= usize::from(width)), "{width}:\n{shown}");
            assert_eq!(words(&shown), words(&piped), "{width}: no word is broken or lost");
        }
    }

    #[test]
    fn conflicts_are_told_by_file_with_their_keys() {
        let conflict = |key: &str, place: &str| EnvConflict { key: key.to_owned(), place: place.to_owned() };
        let conflicts = [conflict("env.A", "/u"), conflict("env.B", "/u"), conflict("apiKeyHelper", "/p")];
        assert_eq!(
            conflicts_in_words("kimi", &conflicts),
            [
                "`env.A`, `env.B` of /u override what the provider kimi sets",
                "`apiKeyHelper` of /p overrides what the provider kimi sets",
            ]
        );
    }
}
