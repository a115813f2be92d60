//! What a shell completes while a command is typed: the answer to the scripts of `ccc completions`.
//!
//! A script calls ccc with `CCC_COMPLETE` set to the shell's name and the words of the line after `--`. The answer is made of the
//! definition of all commands, the directories of runs, the names of agents, the names of providers and of entries of `notify` in the
//! configuration, and the checkpoints in the repository of the run that was typed. Nothing is asked over the network, no command of
//! the configuration is run, and no value of a provider or token is read.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, SubcommandCandidates};
use clap_complete::env::Shells;

use super::kept::KeptRun;
use super::subcommand::runs::Outcomes;
use super::{Cli, Context};
use crate::config::env::CCC_COMPLETE;
use crate::config::{Flags, Settings};
use crate::journal::{RunDir, RunNames, RunSummary};
use crate::order::sort_by;
use crate::ui::clean;

/// How many runs are offered by their ids.
const RUNS_OFFERED: usize = 100;
/// How many characters of a task stand beside its run.
const TASK_CHARS: usize = 50;
/// The longest name that is offered, in characters.
const NAME_CHARS: usize = 100;

/// Answers a completion script; `false` if none asks. The answer of a shell that is not known is empty.
#[must_use]
pub fn complete(args: &[OsString], context: &Context) -> bool {
    let Some(shell) = context.env.get(CCC_COMPLETE) else { return false };
    let shells = Shells::builtins();
    let Some(completer) = shell.to_str().and_then(|shell| shells.completer(shell)) else { return true };
    let typed = args.iter().position(|arg| arg == "--").and_then(|at| args.get(at + 1..)).unwrap_or_default();
    let mut root = with_values(typed, context);
    let mut answer = Vec::new();
    // A shell has no place for an error: it completes nothing then.
    if completer.write_complete(&mut root, typed.to_vec(), context.cwd().ok(), &mut answer).is_ok() {
        context.printer.bytes(&answer);
    }
    true
}

/// Where the values come from.
struct Sources {
    /// Prints nothing.
    context: Context,
    /// The words of the line.
    typed: Vec<OsString>,
}

/// All commands, with the values of their arguments. `typed` are the words of the line.
fn with_values(typed: &[OsString], context: &Context) -> Command {
    let here = context.cwd().unwrap_or(Path::new("/"));
    let sources = Arc::new(Sources { context: context.at(here), typed: typed.to_vec() });
    let of_root = Arc::clone(&sources);
    let root = Cli::command()
        .allow_external_subcommands(true)
        .add(SubcommandCandidates::new(move || candidates(of_root.providers(), OsStr::new(""))));
    let mut root = valued(root, "", &sources);
    root.build();
    root
}

/// The command with the values of its arguments and of the commands below it; `above` is the name of the one above it.
fn valued(command: Command, above: &str, sources: &Arc<Sources>) -> Command {
    let name = command.get_name().to_owned();
    let command = command.mut_args(|arg| argument(arg, &name, above, sources));
    command.mut_subcommands(|below| valued(below, &name, sources))
}

/// The argument of a command with its values.
fn argument(arg: Arg, command: &str, above: &str, sources: &Arc<Sources>) -> Arg {
    let named = |names: &[&str]| {
        arg.get_value_names().is_some_and(|values| values.iter().any(|value| names.contains(&value.as_str())))
    };
    let sources = Arc::clone(sources);
    if named(&["RUN", "AGENT"]) {
        return arg.add(ArgValueCompleter::new(move |typed: &OsStr| sources.runs(typed)));
    }
    let is_name = arg.get_id() == "name";
    let is_provider = arg.get_id() == "provider" || (command == "providers" || above == "providers") && is_name;
    // The providers of `ccc supervise` are its own few.
    if is_provider && arg.get_possible_values().is_empty() {
        return arg.add(ArgValueCompleter::new(move |typed: &OsStr| candidates(sources.providers(), typed)));
    }
    if above == "notify" && is_name {
        return arg.add(ArgValueCompleter::new(move |typed: &OsStr| candidates(sources.entries_of_notify(), typed)));
    }
    if command == "runs" && arg.get_id() == "outcome" {
        return arg.add(ArgValueCompleter::new(|typed: &OsStr| candidates(Outcomes::names(), typed)));
    }
    if command == "diff" && named(&["N[..M]"]) || command == "restore" && named(&["N"]) {
        return arg.add(ArgValueCompleter::new(move |typed: &OsStr| sources.checkpoints(typed)));
    }
    arg
}

fn candidates(names: Vec<String>, typed: &OsStr) -> Vec<CompletionCandidate> {
    let begins = |name: &String| name.as_bytes().starts_with(typed.as_encoded_bytes());
    names.into_iter().filter(begins).map(CompletionCandidate::new).collect()
}

impl Sources {
    /// The names of agents, and the newest runs, that begin like this.
    fn runs(&self, typed: &OsStr) -> Vec<CompletionCandidate> {
        let (Ok(dirs), Some(typed)) = (self.context.dirs(), typed.to_str()) else { return Vec::new() };
        let mut found: Vec<CompletionCandidate> = Vec::new();
        let of_names = RunNames::new(&dirs.state).beginning_with(typed);
        found.extend(of_names.into_iter().map(|(name, dir)| candidate(&name, &dir)));
        let mut ids = RunDir::unsorted(&dirs.state).unwrap_or_default();
        ids.retain(|dir| dir.id().starts_with(typed));
        sort_by(&mut ids, |a, b| b.id().cmp(a.id()));
        found.extend(ids.iter().take(RUNS_OFFERED).map(|dir| candidate(dir.id(), dir)));
        if "last".starts_with(typed) && !ids.is_empty() {
            found.push(CompletionCandidate::new("last").help(Some("the run that was active last".into())));
        }
        found
    }

    /// The settings, without a warning.
    fn settings(&self) -> Option<Settings> {
        let project = self.context.project().ok()?;
        Some(self.context.settings_of(&project, Flags::default()).ok()?.settings)
    }

    fn providers(&self) -> Vec<String> {
        let settings = self.settings().unwrap_or_default();
        settings.providers.names().map(|name| clean::one_line(name, NAME_CHARS)).collect()
    }

    fn entries_of_notify(&self) -> Vec<String> {
        let settings = self.settings().unwrap_or_default();
        settings.notify.entries().iter().map(|entry| clean::one_line(&entry.name, NAME_CHARS)).collect()
    }

    /// The checkpoints of the run that was typed before; after `2..`, those that it can be compared with.
    fn checkpoints(&self, typed: &OsStr) -> Vec<CompletionCandidate> {
        let command = self.typed.iter().position(|word| word == "diff" || word == "restore");
        let is_value = |word: &&OsString| !word.as_encoded_bytes().starts_with(b"-");
        let words = command.and_then(|at| self.typed.get(at + 1..)).unwrap_or_default();
        let Some(run) = words.iter().find(is_value).and_then(|word| word.to_str()) else { return Vec::new() };
        let Ok(kept) = KeptRun::find(run, &self.context) else { return Vec::new() };
        let before = typed.to_str().and_then(|typed| typed.split_once("..")).map_or("", |(from, _)| from);
        let before = if before.is_empty() { String::new() } else { format!("{before}..") };
        let offered = kept.entries.iter().rev().take(RUNS_OFFERED).map(|entry| {
            let about = clean::one_line(&entry.why, TASK_CHARS);
            CompletionCandidate::new(format!("{before}{}", entry.number)).help(Some(about.into()))
        });
        offered.filter(|one| one.get_value().as_encoded_bytes().starts_with(typed.as_encoded_bytes())).collect()
    }
}

/// A run, with its state and task for shells that show them.
fn candidate(name: &str, dir: &RunDir) -> CompletionCandidate {
    let summary = RunSummary::read(&dir.summary()).ok();
    let about = summary.map(|run| clean::one_line(&run.task, TASK_CHARS)).filter(|task| !task.is_empty());
    CompletionCandidate::new(name).help(about.map(Into::into))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::captured::Captured;
    use crate::fleet::{AgentRecord, Role};

    fn offered(context: &Context, words: &[&str]) -> Vec<String> {
        let args: Vec<OsString> = ["ccc"].iter().chain(words).map(OsString::from).collect();
        let mut root = with_values(&args, context);
        let at = args.len() - 1;
        let found = clap_complete::engine::complete(&mut root, args, at, context.cwd().ok()).expect("completed");
        found.iter().map(|candidate| candidate.get_value().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn runs_agents_providers_and_commands_are_completed() {
        let dir = tempfile::tempdir().expect("a directory");
        let seen = Captured::default();
        let context = seen.context(dir.path(), None);
        assert_eq!(offered(&context, &["explain", ""]).first().map(String::as_str), Some("--help"));
        let state = context.dirs().expect("directories").state.clone();
        for id in ["20261120-191822-aaaa", "20261121-191822-bbbb"] {
            RunDir::create(&state, id).expect("a run");
        }
        RunNames::new(&state).claim("login", "20261121-191822-bbbb").expect("free");
        let providers = r#"{"providers": {"work": {"env": {"KEY": {"command": "exit 1"}}}, "spare": {}},
            "notify": [{"name": "phone", "command": ["true"]}, {"bell": true}]}"#;
        std::fs::write(context.dirs().expect("directories").config.join("ccc.json"), providers).expect("written");
        let runs = ["login", "20261121-191822-bbbb", "20261120-191822-aaaa", "last"];
        for command in ["explain", "status", "kill", "resume", "report", "logs"] {
            let all = offered(&context, &[command, ""]);
            assert_eq!(all.iter().filter(|it| !it.starts_with('-')).collect::<Vec<_>>(), runs.each_ref(), "{command}");
        }
        assert_eq!(offered(&context, &["explain", "20261120"]), ["20261120-191822-aaaa"]);
        assert_eq!(offered(&context, &["status", "lo"]), ["login"]);
        assert_eq!(offered(&context, &["new", "--manager", "lo"]), ["login"]);
        assert_eq!(offered(&context, &["providers", "use", "w"]), ["work"]);
        assert_eq!(offered(&context, &["providers", "check", "s"]), ["spare"]);
        assert_eq!(offered(&context, &["--provider", "w"]), ["work"]);
        assert!(offered(&context, &["wo"]).contains(&"work".to_owned()));
        assert_eq!(offered(&context, &["runs", "pr"]), ["prune"]);
        assert_eq!(offered(&context, &["runs", "--outcome", "b"]), ["budget"]);
        assert_eq!(offered(&context, &["runs", "--outcome", "d"]), ["died"]);
        assert_eq!(offered(&context, &["notify", "test", "ph"]), ["phone"]);
        assert!(offered(&context, &["runs", "--he"]).contains(&"--here".to_owned()));
        assert_eq!(seen.text() + &seen.messages(), "");
    }

    #[test]
    fn the_checkpoints_of_the_run_that_was_typed_are_completed() {
        let dir = tempfile::tempdir().expect("a directory");
        let seen = Captured::default();
        let context = seen.context(dir.path(), None);
        let dirs = context.dirs().expect("directories");
        let project = dir.path().join("project");
        std::fs::create_dir(&project).expect("made");
        assert!(std::process::Command::new("git").arg("init").arg("-q").arg(&project).status().expect("git").success());
        let run = RunDir::create(&dirs.state, "20261120-191822-aaaa").expect("a run");
        RunNames::new(&dirs.state).claim("login", run.id()).expect("free");
        let record = AgentRecord::new(run.id(), "login", Role::Worker, 1, &project);
        record.write(&run).expect("written");
        let git = crate::cli::agent_tree::git(run.id(), &context).expect("git");
        for number in 1..=3 {
            std::fs::write(project.join("file"), number.to_string()).expect("written");
            crate::checkpoint::keep(&git, &project, run.id(), "a stop", None).expect("kept");
        }
        assert_eq!(offered(&context, &["restore", "login", ""]).first().map(String::as_str), Some("3"));
        assert_eq!(offered(&context, &["diff", "--stat", "login", "2"]), ["2"]);
        assert_eq!(offered(&context, &["diff", "20261120", "2.."]), ["2..3", "2..2", "2..1"]);
        assert_eq!(offered(&context, &["diff", "no-such-run", "2"]), [""; 0]);
    }
}
