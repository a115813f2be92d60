//! A command line that makes no sense: what is wrong with it, and what to type instead.
//!
//! The parser's own message is kept where it says enough; its tips and its usage lines are not, since a hint that fits the
//! case says more.

use std::ffi::OsString;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind as ClapKind};

use super::{Cli, CliError, ErrorKind};

/// From this likeness on a word is taken for a mistyped one.
pub(super) const LIKENESS: f32 = 0.6;

/// The error for the user. `args` is the command line, the program's name first.
pub(super) fn error(error: &clap::Error, args: &[OsString]) -> CliError {
    let command = subcommand(args);
    let given = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(given)) => Some(given.as_str()),
        _ => None,
    };
    let (message, hint) = match (error.kind(), given) {
        (ClapKind::UnknownArgument, Some(option)) if option.starts_with('-') => {
            (format!("there is no option {option}{}", of(command.as_deref())), option_hint(error, command.as_deref()))
        }
        (ClapKind::UnknownArgument, Some(word)) => stray_word(word, command.as_deref()),
        (ClapKind::MissingRequiredArgument, _) if command.as_deref() == Some("supervise") => (
            "there is no command to supervise".to_owned(),
            "it goes after `--`, as in: ccc supervise -- make test".to_owned(),
        ),
        (ClapKind::MissingRequiredArgument, _) => {
            let said = first_paragraph(error);
            let missing = said.rsplit_once(": ").map_or(said.as_str(), |(_, missing)| missing);
            let name = command.as_deref().map_or_else(|| "ccc".to_owned(), |command| format!("ccc {command}"));
            (format!("`{name}` needs {missing}"), see_help(command.as_deref()))
        }
        _ => match error.get(ContextKind::SuggestedValue) {
            Some(ContextValue::String(near)) => (first_paragraph(error), format!("did you mean {near}?")),
            _ => (first_paragraph(error), see_help(command.as_deref())),
        },
    };
    CliError::new(ErrorKind::Usage, message).hint(hint)
}

/// The command that the words begin with.
fn subcommand(args: &[OsString]) -> Option<String> {
    let named = args.iter().skip(1).map_while(|arg| arg.to_str()).find(|arg| !arg.starts_with('-'))?;
    Cli::command().find_subcommand(named).map(|command| command.get_name().to_owned())
}

fn of(command: Option<&str>) -> String {
    command.map(|command| format!(" of `ccc {command}`")).unwrap_or_default()
}

fn see_help(command: Option<&str>) -> String {
    match command {
        Some(command) => format!("see what it takes: ccc help {command}"),
        None => "see the options and commands: ccc --help".to_owned(),
    }
}

fn option_hint(error: &clap::Error, command: Option<&str>) -> String {
    match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(near)) => format!("did you mean {near}?"),
        _ if command.is_none_or(|command| command == "resume") => {
            format!("what is meant for the agent goes after `--`; {}", see_help(command))
        }
        _ if command == Some("supervise") => {
            "options of the command to supervise go after `--`, as in: ccc supervise -- make -j4 test".to_owned()
        }
        _ => see_help(command),
    }
}

/// A word where none belongs. The parser knows the commands no more once there are arguments after `--`, so the likeness
/// is looked for here.
fn stray_word(word: &str, command: Option<&str>) -> (String, String) {
    match command {
        Some("supervise") => (
            format!("`{word}` stands where an option is expected"),
            format!("the command goes after `--`, as in: ccc supervise -- {word} …"),
        ),
        Some(command) if command != word => {
            (format!("`ccc {command}` does not take `{word}` here"), see_help(Some(command)))
        }
        Some(_) | None => {
            let root = Cli::command();
            let commands = root.get_subcommands().filter(|command| !command.is_hide_set());
            let names: Vec<&str> = commands.map(clap::Command::get_name).collect();
            match similar::get_close_matches(word, &names, 1, LIKENESS).first() {
                Some(name) if *name == word => (
                    format!("`{word}` stands after an option"),
                    format!("`ccc {name}` is a command of its own: give it before any option"),
                ),
                Some(name) => (format!("there is no command `{word}`"), format!("did you mean `ccc {name}`?")),
                None if word.contains(char::is_whitespace) => (
                    "a task stands where a command is expected".to_owned(),
                    "a task is given with -p: ccc --supervisor -p \"TASK\"".to_owned(),
                ),
                None => (
                    format!("there is no command `{word}`"),
                    "see the commands: ccc --help; a task is given with -p: ccc --supervisor -p \"TASK\"".to_owned(),
                ),
            }
        }
    }
}

/// What the parser says, without its label, its tips and its usage.
fn first_paragraph(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let lines = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim);
    let said = lines.collect::<Vec<_>>().join(" ");
    said.strip_prefix("error: ").unwrap_or(&said).to_owned()
}
