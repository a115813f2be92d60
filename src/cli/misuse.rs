//! Wrong command lines: what is wrong, and what to type instead.
//!
//! The parser's own message is kept if it says enough. Its tips and usage lines are dropped, because a specific hint says more.

use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind as ClapKind};

use super::{CliError, steer};
use crate::core::shell::words;

/// A word at least this similar to a name counts as that name mistyped.
pub(super) const LIKENESS: f32 = 0.6;

/// The error shown to the user. `args` is the command line, the program's name first; `root` is the definition of all commands.
/// `has_runs`: whether there is any run to name.
pub(super) fn error(error: &clap::Error, args: &[OsString], root: &Command, has_runs: bool) -> CliError {
    let command = subcommand(args, root);
    let given =
        [ContextKind::InvalidArg, ContextKind::InvalidSubcommand].into_iter().find_map(|kind| match error.get(kind) {
            Some(ContextValue::String(given)) => Some(given.as_str()),
            _ => None,
        });
    let (message, hint) = match (error.kind(), given) {
        (ClapKind::UnknownArgument, Some(option)) if option.starts_with('-') => (
            format!("there is no option {option}{}", of(command.as_deref())),
            option_hint(error, args, command.as_deref(), root),
        ),
        (ClapKind::UnknownArgument | ClapKind::InvalidSubcommand, Some(word)) => {
            loose_words(word, args, command.as_deref(), root)
                .unwrap_or_else(|| stray_word(word, args, command.as_deref(), root))
        }
        (ClapKind::MissingRequiredArgument, _) if command.as_deref() == Some("supervise") => (
            "there is no command to supervise".to_owned(),
            "put it after `--`, as in: ccc supervise -- make test".to_owned(),
        ),
        (ClapKind::MissingRequiredArgument, _) => {
            let said = first_paragraph(error);
            let missing = said.rsplit_once(": ").map_or(said.as_str(), |(_, missing)| missing);
            let name = command.as_deref().map_or_else(|| "ccc".to_owned(), |command| format!("ccc {command}"));
            let hint = match likely(command.as_deref(), args) {
                Some(_) if !has_runs => format!("there is no run yet; {}", steer::START),
                Some(likely) => format!("type: {likely}"),
                None if matches!(command.as_deref(), Some("kill" | "merge" | "wait")) => {
                    "to list the agents and their names: ccc list".to_owned()
                }
                None => see_help(command.as_deref()),
            };
            (format!("`{name}` needs {missing}"), hint)
        }
        _ => match error.get(ContextKind::SuggestedValue) {
            Some(ContextValue::String(near)) => (first_paragraph(error), format!("did you mean {near}?")),
            _ => (first_paragraph(error), see_help(command.as_deref())),
        },
    };
    CliError::usage(message).hint(hint)
}

/// The command that the words begin with.
fn subcommand(args: &[OsString], root: &Command) -> Option<String> {
    let named = args.iter().skip(1).map_while(|arg| arg.to_str()).find(|arg| !arg.starts_with('-'))?;
    root.find_subcommand(named).map(|command| command.get_name().to_owned())
}

/// The command that was most likely meant, for a command that controls a run and lacks an argument.
fn likely(command: Option<&str>, args: &[OsString]) -> Option<String> {
    let command = command?;
    let given: Vec<&str> = args.iter().skip(2).filter_map(|arg| arg.to_str()).filter(|a| !a.starts_with('-')).collect();
    let is_run = |word: &&&str| **word == "last" || word.starts_with(|c: char| c.is_ascii_digit());
    let run = given.first().filter(is_run).copied().unwrap_or("last");
    match command {
        "follow" | "pause" | "continue" | "interrupt" | "stop" => Some(format!("ccc {command} last")),
        "send" => Some(format!("ccc send {run} \"TEXT\"")),
        "answer" => {
            let request = given.get(1).filter(|word| word.bytes().all(|byte| byte.is_ascii_digit())).unwrap_or(&"last");
            Some(format!("ccc answer {run} {request} allow"))
        }
        "restore" => Some(format!("ccc restore {run} N; N is a number of: ccc checkpoints {run}")),
        _ => None,
    }
}

fn of(command: Option<&str>) -> String {
    command.map(|command| format!(" of `ccc {command}`")).unwrap_or_default()
}

fn see_help(command: Option<&str>) -> String {
    match command {
        Some(command) => format!("to see its options and arguments: ccc help {command}"),
        None => "to list the options and commands: ccc --help".to_owned(),
    }
}

fn option_hint(error: &clap::Error, args: &[OsString], command: Option<&str>, root: &Command) -> String {
    match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(near)) => format!("did you mean {near}?"),
        _ if command.is_none_or(|command| matches!(command, "resume" | "new" | "night")) => {
            let typed: Vec<String> = args.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
            // Behind the first two dashes of a night stand options of its runs, and behind the next ones those of the agent.
            let dashes = if command == Some("night") && !is_of_runs(error, root) { 2 } else { 1 };
            let hint = behind_dashes(error, &typed, dashes);
            let hint = hint.unwrap_or_else(|| "put the agent's own options after `--`".to_owned());
            format!("{hint}; {}", see_help(command))
        }
        _ if command == Some("supervise") => {
            "put the supervised command and its options after `--`, as in: ccc supervise -- make -j4 test".to_owned()
        }
        _ => see_help(command),
    }
}

/// Whether the unknown option is one of `ccc --supervisor`.
fn is_of_runs(error: &clap::Error, root: &Command) -> bool {
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else { return false };
    let name = option.trim_start_matches('-').split('=').next().unwrap_or_default();
    root.get_arguments().any(|known| known.get_long() == Some(name))
}

/// The hint for an unknown option that may be one of the agent: the same command with the option where those belong, behind the
/// two dashes that stand for the `dashes`-th time. `typed` are the words after `ccc`. `None` when ccc has a similar option.
pub(super) fn behind_dashes(error: &clap::Error, typed: &[String], dashes: usize) -> Option<String> {
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else { return None };
    if !option.starts_with('-') || error.get(ContextKind::SuggestedArg).is_some() {
        return None;
    }
    let separators: Vec<usize> = typed.iter().enumerate().filter(|(_, word)| *word == "--").map(|(at, _)| at).collect();
    let end = separators.get(dashes.checked_sub(1)?).copied().unwrap_or(typed.len());
    let (ours, theirs) = typed.split_at_checked(end)?;
    let mut ours = ours.to_vec();
    // Options before the first two dashes of a list are those of the list.
    let from = if dashes > 1 { separators.first().copied().unwrap_or(0) } else { 0 };
    let is_it = |word: &String| word == option || word.strip_prefix(option).is_some_and(|rest| rest.starts_with('='));
    let at = from + ours.get(from..)?.iter().position(is_it)?;
    let has_value = ours.get(at) == Some(option) && ours.get(at + 1).is_some_and(|word| !word.starts_with('-'));
    let moved: Vec<String> = ours.drain(at..=at + usize::from(has_value)).collect();
    let there = ours.iter().filter(|word| *word == "--").count() + usize::from(!theirs.is_empty());
    let missing = vec!["--".to_owned(); dashes.saturating_sub(there)];
    let whose = if dashes == 1 && typed.first().is_some_and(|word| word == "night") { "the runs" } else { "the agent" };
    let command: Vec<String> = ours.iter().chain(&missing).chain(theirs).chain(&moved).cloned().collect();
    Some(format!("if it is an option of {whose}, type: ccc{}", words(&command)))
}

/// The error for words of a task, or of a text for the agent, that were typed without quotes or without `-p`; `None`
/// when the word is something else.
fn loose_words(word: &str, args: &[OsString], command: Option<&str>, root: &Command) -> Option<(String, String)> {
    let words: Vec<&str> = args.iter().skip(1).map_while(|arg| arg.to_str()).take_while(|arg| *arg != "--").collect();
    let at = words.iter().position(|given| *given == word)?;
    let (before, from) = words.split_at_checked(at)?;
    let is_prompt = |arg: &&str| matches!(*arg, "-p" | "--prompt");
    // A command's name after an option is a word of the task.
    let typed = match command.filter(|_| words.first().is_some_and(|first| !first.starts_with('-'))) {
        None => "ccc --supervisor",
        Some("resume") => "ccc resume RUN",
        Some(_) => return None,
    };
    let said = before.iter().rposition(is_prompt);
    let begins = match said {
        // Only words after the text of `-p`; other words are misplaced for another reason.
        Some(option) if before.get(option + 2..).is_some_and(|more| more.iter().all(|arg| !arg.starts_with('-'))) => {
            option + 1
        }
        Some(_) => return None,
        None if before.contains(&"--supervisor") => at,
        None => return None,
    };
    let is_command = |name: &str| root.find_subcommand(name).is_some();
    let loose: Vec<&str> = words.iter().skip(begins).copied().take_while(|arg| !arg.starts_with('-')).collect();
    if from.len() == 1 && is_command(word) {
        return None;
    }
    let text = loose.join(" ");
    let quoted = if text.contains(['"', '$', '`', '\\', '!']) { "TEXT".to_owned() } else { text };
    let example = format!("{typed} -p \"{quoted}\"");
    Some(match said {
        Some(_) => (
            format!("unexpected `{word}` after the text of -p: a text of several words needs quotes"),
            format!("put the whole text in quotes: {example}"),
        ),
        None => ("expected a command, found a task".to_owned(), format!("give the task with -p: {example}")),
    })
}

/// The hint for a word that is the name of an option, as `supervisor`.
pub(super) fn named_option(word: &str, root: &Command) -> Option<String> {
    root.get_arguments().find(|argument| argument.get_long() == Some(word) && !argument.is_hide_set())?;
    let example = if word == "supervisor" { ", as in: ccc --supervisor -p \"TASK\"" } else { "" };
    Some(format!("--{word} is an option{example}; to list the options: ccc --help"))
}

/// The error for a word where none belongs. With arguments after `--` the parser suggests no command, so similar names are looked
/// up here.
fn stray_word(word: &str, args: &[OsString], command: Option<&str>, root: &Command) -> (String, String) {
    match command {
        Some("supervise") => {
            (format!("expected `--` before the command `{word}`"), format!("type: {}", with_separator(word, args)))
        }
        Some(command) if command != word => {
            (format!("unexpected argument `{word}` of `ccc {command}`"), what_it_takes(word, command, root))
        }
        Some(_) | None => {
            if let Some(hint) = named_option(word, root).filter(|_| command != Some(word)) {
                return (format!("there is no command `{word}`"), hint);
            }
            let commands = root.get_subcommands().filter(|command| !command.is_hide_set());
            let names: Vec<&str> = commands.map(Command::get_name).collect();
            // No command's name has several words.
            let like = similar::get_close_matches(word, &names, 1, LIKENESS);
            match like.first().filter(|_| !word.contains(char::is_whitespace)) {
                Some(name) if *name == word => (
                    format!("the command `{word}` is given after an option"),
                    format!("commands come first, and do not combine with --supervisor; as in: ccc {name}"),
                ),
                Some(name) => (format!("there is no command `{word}`"), format!("did you mean `ccc {name}`?")),
                None if word.contains(char::is_whitespace) => (
                    "expected a command, found a task".to_owned(),
                    "give the task with -p: ccc --supervisor -p \"TASK\"".to_owned(),
                ),
                None => (
                    format!("there is no command `{word}`"),
                    "to list the commands: ccc --help; to start a task: ccc --supervisor -p \"TASK\"".to_owned(),
                ),
            }
        }
    }
}

/// The same command line with `--` before the command to supervise.
fn with_separator(word: &str, args: &[OsString]) -> String {
    let typed: Vec<String> = args.iter().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    let at = typed.iter().position(|arg| arg == word).unwrap_or(typed.len());
    let (ours, theirs) = typed.split_at_checked(at).unwrap_or((&typed, &[]));
    format!("ccc{} --{}", words(ours), words(theirs))
}

/// The hint for a word that a command does not take: a similar subcommand, the list of them, or the command's help.
fn what_it_takes(word: &str, command: &str, root: &Command) -> String {
    let own = root.find_subcommand(command).map(Command::get_subcommands).into_iter().flatten();
    let names: Vec<&str> = own.filter(|own| !own.is_hide_set()).map(Command::get_name).collect();
    match (similar::get_close_matches(word, &names, 1, LIKENESS).first(), names.as_slice()) {
        (Some(near), _) => format!("did you mean `ccc {command} {near}`?"),
        (None, [first @ .., last]) if !first.is_empty() && word != "help" => {
            format!("expected {} or {last}; to see more: ccc help {command}", first.join(", "))
        }
        (None, [..]) => see_help(Some(command)),
    }
}

/// The parser's message without its label, tips and usage.
fn first_paragraph(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let lines = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim);
    let said = lines.collect::<Vec<_>>().join(" ");
    said.strip_prefix("error: ").unwrap_or(&said).to_owned()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::CommandFactory as _;

    use crate::cli::Cli;
    use crate::ui::rows::COMMANDS;

    #[test]
    fn rows_know_every_command_so_that_none_is_broken() {
        let names: Vec<String> = Cli::command().get_subcommands().map(|one| one.get_name().to_owned()).collect();
        for name in &names {
            assert!(COMMANDS.contains(&name.as_str()) || name.starts_with('_'), "{name} is missing in {COMMANDS:?}");
        }
        for known in COMMANDS {
            assert!(names.iter().any(|name| name == known), "there is no command {known}");
        }
    }

    #[test]
    fn a_word_that_is_an_option_is_told_as_one_and_not_as_a_similar_command() {
        let args = ["ccc", "supervisor"].map(OsString::from);
        let error = Cli::command().try_get_matches_from(&args).expect_err("no command");
        let error = super::error(&error, &args, &Cli::command(), true);
        assert_eq!(error.message, "there is no command `supervisor`");
        let hint = "--supervisor is an option, as in: ccc --supervisor -p \"TASK\"; to list the options: ccc --help";
        assert_eq!(error.hint.as_deref(), Some(hint));
        assert_eq!(super::named_option("supervisor", &Cli::command()).as_deref(), Some(hint));
        assert_eq!(super::named_option("supervise", &Cli::command()), None);
    }

    #[test]
    fn an_option_of_the_agent_is_told_the_command_that_works() {
        for (line, expected) in [
            ("--supervisor -p do --permission-mode acceptEdits", "--supervisor -p do -- --permission-mode acceptEdits"),
            ("--supervisor --permission-mode=plan -p do", "--supervisor -p do -- --permission-mode=plan"),
            ("--supervisor --strange -p do -- --effort high", "--supervisor -p do -- --effort high --strange"),
            ("resume last --permission-mode acceptEdits", "resume last -- --permission-mode acceptEdits"),
            ("new do --permission-mode acceptEdits", "new do -- --permission-mode acceptEdits"),
            ("night list --permission-mode acceptEdits", "night list -- -- --permission-mode acceptEdits"),
        ] {
            let args: Vec<OsString> = ["ccc"].into_iter().chain(line.split(' ')).map(OsString::from).collect();
            let error = Cli::command().try_get_matches_from(&args).expect_err("an option of the agent");
            let hint = super::error(&error, &args, &Cli::command(), true).hint.expect("a hint");
            let command = format!("if it is an option of the agent, type: ccc {expected}; to ");
            assert!(hint.starts_with(&command), "{line}: {hint}");
            let typed = ["ccc"].into_iter().chain(expected.split(' '));
            assert!(Cli::command().try_get_matches_from(typed).is_ok(), "{expected}");
        }
    }

    #[test]
    fn a_command_without_its_run_is_told_the_command_that_works_most_likely() {
        let hint = |line: &str, has_runs: bool| {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let error = Cli::command().try_get_matches_from(&args).expect_err("an argument is missing");
            super::error(&error, &args, &Cli::command(), has_runs).hint.expect("a hint")
        };
        for (line, expected) in [
            ("ccc follow", "type: ccc follow last"),
            ("ccc follow --json", "type: ccc follow last"),
            ("ccc pause", "type: ccc pause last"),
            ("ccc continue", "type: ccc continue last"),
            ("ccc interrupt", "type: ccc interrupt last"),
            ("ccc stop --now", "type: ccc stop last"),
            ("ccc send", "type: ccc send last \"TEXT\""),
            ("ccc send 2026", "type: ccc send 2026 \"TEXT\""),
            ("ccc send hello", "type: ccc send last \"TEXT\""),
            ("ccc answer", "type: ccc answer last last allow"),
            ("ccc answer 2026 3", "type: ccc answer 2026 3 allow"),
        ] {
            assert_eq!(hint(line, true), expected, "{line}");
            assert!(hint(line, false).ends_with("to start a run: ccc --supervisor -p \"TASK\""), "{line}");
        }
        assert!(hint("ccc replay", true).contains("ccc help replay"));
    }
}
