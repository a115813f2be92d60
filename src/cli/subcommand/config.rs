//! `ccc config`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::{CliError, Context, ExitCode, Paint, trust};
use crate::config::{Flags, Resolved, schema};

/// Show the configuration, its files or its schema.
///
/// Flags override `CCC_*` variables. These override, in this order, the project's `.ccc.json`, `ccc.json` in your
/// configuration directory, `~/.claude/ccc.json`, and the defaults.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ConfigArgs {
    /// What to show; `show` unless given.
    #[command(subcommand)]
    pub what: Option<ConfigCommand>,
}

/// What `ccc config` shows.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum ConfigCommand {
    /// Each setting with its value and its origin.
    Show {
        /// Print one JSON object instead.
        #[arg(long)]
        json: bool,
    },
    /// The files that are looked for, the strongest first, and the state directory.
    Path {
        /// Print one JSON object instead.
        #[arg(long)]
        json: bool,
    },
    /// The JSON schema of a configuration file.
    Schema,
}

/// Shows the configuration.
///
/// # Errors
/// When the configuration cannot be understood.
pub fn run(args: ConfigArgs, context: &Context) -> Result<ExitCode, CliError> {
    match args.what.unwrap_or(ConfigCommand::Show { json: false }) {
        ConfigCommand::Show { json } => show(json, context)?,
        ConfigCommand::Path { json } => path(json, context)?,
        ConfigCommand::Schema => context.printer.json(format_args!("{:#}", schema())),
    }
    Ok(ExitCode::COMPLETED)
}

fn show(json: bool, context: &Context) -> Result<(), CliError> {
    let resolved = context.settings(Flags::default())?;
    trust::tell(&resolved.not_agreed, context);
    if json {
        context.printer.json(format_args!("{:#}", as_json(&resolved)));
        return Ok(());
    }
    let rows: Vec<(&str, String, String)> = resolved
        .rows()
        .into_iter()
        .map(|(key, value, origin)| {
            let value = match value {
                Value::Null => "(none)".to_owned(),
                value @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_)) => {
                    value.to_string()
                }
            };
            (key.path, value, origin.to_string())
        })
        .collect();
    let key_width = rows.iter().map(|(key, _, _)| key.len()).max().unwrap_or(0);
    let value_width = rows
        .iter()
        .map(|(_, value, _)| value.chars().count())
        .filter(|width| *width <= MAX_VALUE_WIDTH)
        .max()
        .unwrap_or(0);
    for (key, value, origin) in rows {
        let origin = context.printer.paint(Paint::Dim, &origin);
        context.printer.line(format_args!("{key:key_width$}  {value:value_width$}  {origin}"));
    }
    Ok(())
}

/// Values longer than this do not widen the column.
const MAX_VALUE_WIDTH: usize = 40;

fn as_json(resolved: &Resolved) -> Value {
    let mut all = serde_json::Map::new();
    all.extend(resolved.rows().into_iter().map(|(key, value, origin)| {
        let entry = json!({ "value": value, "origin": origin.to_string() });
        (key.path.to_owned(), entry)
    }));
    all.into()
}

fn path(json: bool, context: &Context) -> Result<(), CliError> {
    let dirs = context.dirs()?;
    let project = context.project()?;
    let files: Vec<_> = crate::config::files_of(dirs, &project)
        .into_iter()
        .map(|file| {
            let found = file.exists();
            (file, found)
        })
        .collect();
    if json {
        let files: Vec<Value> =
            files.iter().map(|(file, found)| json!({ "path": file.display().to_string(), "exists": found })).collect();
        context
            .printer
            .json(format_args!("{:#}", json!({ "files": files, "state": dirs.state.display().to_string() })));
        return Ok(());
    }
    for (file, found) in files {
        let found = if found { "" } else { "  (none)" };
        context.printer.line(format_args!("{}{found}", file.display()));
    }
    context.printer.line(format_args!("{}  (state)", dirs.state.display()));
    Ok(())
}
