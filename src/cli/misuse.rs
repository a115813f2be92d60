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
    let given =
        [ContextKind::InvalidArg, ContextKind::InvalidSubcommand].into_iter().find_map(|kind| match error.get(kind) {
            Some(ContextValue::String(given)) => Some(given.as_str()),
            _ => None,
        });
    let (message, hint) = match (error.kind(), given) {
        (ClapKind::UnknownArgument, Some(option)) if option.starts_with('-') => {
            (format!("there is no option {option}{}", of(command.as_deref())), option_hint(error, command.as_deref()))
        }
        (ClapKind::UnknownArgument | ClapKind::InvalidSubcommand, Some(word)) => {
            loose_words(word, args, command.as_deref()).unwrap_or_else(|| stray_word(word, command.as_deref()))
        }
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

/// Words of a task or of what is said to the agent that stand without quotes, or without `-p`. `None` when it is neither.
fn loose_words(word: &str, args: &[OsString], command: Option<&str>) -> Option<(String, String)> {
    let words: Vec<&str> = args.iter().skip(1).map_while(|arg| arg.to_str()).take_while(|arg| *arg != "--").collect();
    let at = words.iter().position(|given| *given == word)?;
    let (before, from) = words.split_at_checked(at)?;
    let is_prompt = |arg: &&str| matches!(*arg, "-p" | "--prompt");
    // After an option a command's name is a word of the task.
    let typed = match command.filter(|_| words.first().is_some_and(|first| !first.starts_with('-'))) {
        None => "ccc --supervisor",
        Some("resume") => "ccc resume RUN",
        Some(_) => return None,
    };
    let said = before.iter().rposition(is_prompt);
    let begins = match said {
        // Only words that follow the text itself; anything else is misplaced for another reason.
        Some(option) if before.get(option + 2..).is_some_and(|more| more.iter().all(|arg| !arg.starts_with('-'))) => {
            option + 1
        }
        Some(_) => return None,
        None if before.contains(&"--supervisor") => at,
        None => return None,
    };
    let is_command = |name: &str| Cli::command().find_subcommand(name).is_some();
    let loose: Vec<&str> = words.iter().skip(begins).copied().take_while(|arg| !arg.starts_with('-')).collect();
    if from.len() == 1 && is_command(word) {
        return None;
    }
    let text = loose.join(" ");
    let quoted = if text.contains(['"', '$', '`', '\\', '!']) { "TEXT".to_owned() } else { text };
    let example = format!("{typed} -p \"{quoted}\"");
    Some(match said {
        Some(_) => (
            format!("`{word}` stands after the text of -p: a text of several words needs quotes"),
            format!("put the whole text in quotes: {example}"),
        ),
        None => ("a task stands where a command is expected".to_owned(), format!("a task is given with -p: {example}")),
    })
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
            (format!("`ccc {command}` does not take `{word}` here"), what_it_takes(word, command))
        }
        Some(_) | None => {
            let root = Cli::command();
            let commands = root.get_subcommands().filter(|command| !command.is_hide_set());
            let names: Vec<&str> = commands.map(clap::Command::get_name).collect();
            // No command is called by several words.
            let like = similar::get_close_matches(word, &names, 1, LIKENESS);
            match like.first().filter(|_| !word.contains(char::is_whitespace)) {
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

/// What stands after a command that has commands of its own.
fn what_it_takes(word: &str, command: &str) -> String {
    let root = Cli::command();
    let own = root.find_subcommand(command).map(clap::Command::get_subcommands).into_iter().flatten();
    let names: Vec<&str> = own.filter(|own| !own.is_hide_set()).map(clap::Command::get_name).collect();
    match (similar::get_close_matches(word, &names, 1, LIKENESS).first(), names.as_slice()) {
        (Some(near), _) => format!("did you mean `ccc {command} {near}`?"),
        (None, [first @ .., last]) if !first.is_empty() && word != "help" => {
            format!("it takes {} or {last}: ccc help {command}", first.join(", "))
        }
        (None, [..]) => see_help(Some(command)),
    }
}

/// What the parser says, without its label, its tips and its usage.
fn first_paragraph(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let lines = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim);
    let said = lines.collect::<Vec<_>>().join(" ");
    said.strip_prefix("error: ").unwrap_or(&said).to_owned()
}
