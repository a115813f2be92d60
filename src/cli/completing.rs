//! What a shell completes while a command is typed: the answer to the scripts of `ccc completions`.
//!
//! A script calls ccc with `CCC_COMPLETE` set to the shell's name and the words of the line after `--`. The answer is made of the
//! definition of all commands, the directories of runs, the names of agents, and the names of providers in the configuration. Nothing
//! is asked over the network, no command of the configuration is run, and no value of a provider or token is read.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, SubcommandCandidates};
use clap_complete::env::Shells;

use super::{Cli, Context};
use crate::config::env::CCC_COMPLETE;
use crate::config::{Dirs, Env, Flags, Project, resolve};
use crate::guard::ConsentStore;
use crate::journal::{RunDir, RunNames, RunSummary};
use crate::ui::clean;

/// How many runs are offered by their ids.
const RUNS_OFFERED: usize = 100;
/// How many characters of a task stand beside its run.
const TASK_CHARS: usize = 50;

/// Answers a completion script; `false` if none asks. The answer of a shell that is not known is empty.
#[must_use]
pub fn complete(args: &[OsString], context: &Context) -> bool {
    let Some(shell) = context.env.get(CCC_COMPLETE) else { return false };
    let shells = Shells::builtins();
    let Some(completer) = shell.to_str().and_then(|shell| shells.completer(shell)) else { return true };
    let typed = args.iter().position(|arg| arg == "--").and_then(|at| args.get(at + 1..)).unwrap_or_default();
    let mut root = with_values(context);
    let mut answer = Vec::new();
    // A shell has no place for an error: it completes nothing then.
    if completer.write_complete(&mut root, typed.to_vec(), context.cwd().ok(), &mut answer).is_ok() {
        context.printer.bytes(&answer);
    }
    true
}

/// Where the values come from.
struct Sources {
    dirs: Option<Dirs>,
    cwd: Option<PathBuf>,
    env: Env,
}

/// All commands, with the values of their arguments.
fn with_values(context: &Context) -> Command {
    let sources = Arc::new(Sources {
        dirs: context.dirs().ok().cloned(),
        cwd: context.cwd().ok().map(PathBuf::from),
        env: context.env.clone(),
    });
    let of_root = Arc::clone(&sources);
    let root = Cli::command()
        .allow_external_subcommands(true)
        .add(SubcommandCandidates::new(move || candidates(of_root.providers(), OsStr::new(""))));
    let mut root = valued(root, &sources);
    root.build();
    root
}

fn valued(command: Command, sources: &Arc<Sources>) -> Command {
    let of_providers = command.get_name() == "providers";
    let command = command.mut_args(|arg| argument(arg, false, sources));
    command.mut_subcommands(|below| {
        let below = if of_providers { below.mut_args(|arg| argument(arg, true, sources)) } else { below };
        valued(below, sources)
    })
}

/// The argument with its values: of a run or agent by the name of its value, of a provider by its own.
fn argument(arg: Arg, of_providers: bool, sources: &Arc<Sources>) -> Arg {
    let named = |names: &[&str]| {
        arg.get_value_names().is_some_and(|values| values.iter().any(|value| names.contains(&value.as_str())))
    };
    let sources = Arc::clone(sources);
    if named(&["RUN", "AGENT"]) {
        return arg.add(ArgValueCompleter::new(move |typed: &OsStr| sources.runs(typed)));
    }
    let is_provider = arg.get_id() == "provider" || of_providers && arg.get_id() == "name";
    // The providers of `ccc supervise` are its own few.
    if is_provider && arg.get_possible_values().is_empty() {
        return arg.add(ArgValueCompleter::new(move |typed: &OsStr| candidates(sources.providers(), typed)));
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
        let (Some(dirs), Some(typed)) = (&self.dirs, typed.to_str()) else { return Vec::new() };
        let mut found: Vec<CompletionCandidate> = Vec::new();
        let of_names = RunNames::new(&dirs.state).beginning_with(typed);
        found.extend(of_names.into_iter().map(|(name, dir)| candidate(&name, &dir)));
        let mut ids = RunDir::unsorted(&dirs.state).unwrap_or_default();
        ids.retain(|dir| dir.id().starts_with(typed));
        ids.sort_by(|a, b| b.id().cmp(a.id()));
        found.extend(ids.iter().take(RUNS_OFFERED).map(|dir| candidate(dir.id(), dir)));
        if "last".starts_with(typed) && !ids.is_empty() {
            found.push(CompletionCandidate::new("last").help(Some("the run that was active last".into())));
        }
        found
    }

    fn providers(&self) -> Vec<String> {
        let (Some(dirs), Some(cwd)) = (&self.dirs, &self.cwd) else { return Vec::new() };
        let project = Project::find(cwd);
        let consents = ConsentStore::new(&dirs.state).of(project.root());
        let resolved = resolve(dirs, &project, &self.env, &consents, Flags::default());
        resolved.map_or_else(
            |_| Vec::new(),
            |resolved| resolved.settings.providers.names().map(|name| clean::one_line(name, 100)).collect(),
        )
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

    fn offered(context: &Context, words: &[&str]) -> Vec<String> {
        let mut root = with_values(context);
        let args: Vec<OsString> = ["ccc"].iter().chain(words).map(OsString::from).collect();
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
        let providers = r#"{"providers": {"work": {"env": {"KEY": {"command": "exit 1"}}}, "spare": {}}}"#;
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
        assert!(offered(&context, &["runs", "--he"]).contains(&"--here".to_owned()));
        assert_eq!(seen.text() + &seen.messages(), "");
    }
}
