//! The command line of each run, and what is checked before the first one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind as ClapKind};
use clap::{Command, FromArgMatches as _};
use jiff::Timestamp;

use crate::agent::AgentKind;
use crate::cli::subcommand::run::{RunArgs, behind_dashes, prepare};
use crate::cli::{CliError, Context, misuse, steer};
use crate::config::Settings;
use crate::tasks::{TaskEntry, TaskOptions};

/// The options for every run that the user has given behind the two dashes.
#[derive(Debug, Clone)]
pub(super) struct RunOptions {
    words: Vec<String>,
    agent_args: Vec<String>,
    agent: AgentKind,
    /// What each run may cost.
    max_cost_usd: Option<f64>,
    share_tree: bool,
    /// The form of the output is set anew at each start.
    output_format: Option<String>,
    /// The definition of all commands, by which options are read.
    root: Command,
}

impl RunOptions {
    /// Reads the options.
    ///
    /// # Errors
    /// When they are no options of a run, or contradict the list.
    pub(super) fn read(
        given: &[String],
        typed: &[String],
        root: &Command,
        context: &Context,
    ) -> Result<RunOptions, CliError> {
        let at = given.iter().position(|word| word == "--").unwrap_or(given.len());
        let (words, agent_args) = given.split_at(at);
        let args = parsed(words, "x", Some(typed), root, context)?;
        let layer = &args.settings.0;
        let refused = [
            (
                args.detach || args.hosted,
                "--detach",
                "the runs of a list are started by ccc night; to leave the terminal, start it in tmux or with nohup",
            ),
            (args.native, "--native", "the runs of a list have no user"),
            (args.provider.is_some(), "--provider", "a run takes its tokens from the pool"),
            (
                layer.budgets.until.is_some(),
                "--until",
                "put it before the two dashes: it is one time for the whole night",
            ),
            (args.conversation || args.run_id.is_some(), "this option", "it is ccc's own"),
        ];
        if let Some((_, option, why)) = refused.into_iter().find(|(given, _, _)| *given) {
            return Err(CliError::usage(format!("{option} cannot be given to the runs of a list")).hint(why));
        }
        Ok(RunOptions {
            max_cost_usd: layer.budgets.max_cost_usd.map(crate::config::Cost::usd),
            agent: layer.agent.kind.map(|kind| kind.0).unwrap_or_default(),
            share_tree: args.share_tree,
            output_format: value_of(words, "--output-format"),
            words: without(words.to_vec(), "--max-cost-usd"),
            agent_args: agent_args.get(1..).unwrap_or_default().to_vec(),
            root: root.clone(),
        })
    }

    /// What the run of a task may cost by its own options, these, and the configuration.
    pub(super) fn max_cost_usd(&self, options: &TaskOptions, settings: Option<&Settings>) -> Option<f64> {
        let configured = settings.and_then(|settings| settings.budgets.max_cost_usd);
        let of = crate::config::Cost::usd;
        options.max_cost_usd.map(of).or(self.max_cost_usd).or(configured.map(of))
    }

    /// The options of this task's run, the agent's arguments last.
    fn of_task(&self, options: &TaskOptions) -> (Vec<String>, Vec<String>) {
        let mut words = self.words.clone();
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        let own = [
            ("--max-iterations", number(options.max_iterations.map(u64::from))),
            ("--max-tokens", number(options.max_tokens)),
            ("--max-duration", options.max_duration.map(|span| span.to_string())),
            ("--critic-model", options.critic_model.clone()),
        ];
        for (option, value) in own {
            if let Some(value) = value {
                words = without(words, option);
                words.push(format!("{option}={value}"));
            }
        }
        if let Some(checks) = &options.checks {
            words = without(words, "--check");
            words.extend(checks.iter().map(|check| format!("--check={check}")));
        }
        let model = options.model.iter().flat_map(|model| self.agent.args_of_provider(None, Some(model)));
        let agent_args = self.agent_args.iter().cloned().chain(model).chain(options.agent_args.iter().cloned());
        (words, agent_args.collect())
    }

    /// The arguments that start a task's run under this id.
    pub(super) fn to_start(&self, task: &TaskEntry, file: &Path, run: &str, bounds: RunBounds) -> Vec<OsString> {
        let (words, agent_args) = self.of_task(&task.options);
        let mut args: Vec<OsString> = ["--supervisor", "--run-id", run, "--prompt-file"].map(OsString::from).to_vec();
        args.push(file.into());
        args.extend(bounds.words().into_iter().chain(words).map(OsString::from));
        args.push("--".into());
        args.extend(agent_args.into_iter().map(OsString::from));
        args
    }

    /// The arguments that continue a run.
    pub(super) fn to_resume(&self, run: &str, bounds: RunBounds) -> Vec<OsString> {
        let mut args: Vec<OsString> = ["resume", run, "--lift-bounds"].map(OsString::from).to_vec();
        args.extend(bounds.words().into_iter().map(OsString::from));
        if self.share_tree {
            args.push("--share-tree".into());
        }
        args.extend(self.output_format.iter().map(|form| OsString::from(format!("--output-format={form}"))));
        args
    }

    /// Checks that a run of this task could begin, and asks for what needs the user's agreement, because nobody is there later.
    /// Returns the settings.
    ///
    /// # Errors
    /// When it could not begin.
    pub(super) fn check(&self, task: &TaskEntry, context: &Context) -> Result<Settings, CliError> {
        let (mut words, agent_args) = self.of_task(&task.options);
        words.push("--".to_owned());
        words.extend(agent_args);
        let args = parsed(&words, &task.text, None, &self.root, context)?;
        let dashes = behind_dashes(&self.agent_args, if self.words.is_empty() { 2 } else { 1 });
        Ok(prepare(&args, "ccc night FILE", dashes, context)?.resolved.settings)
    }
}

/// The bounds of a run that come from the list.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RunBounds {
    pub(super) until_unix_ms: Option<i64>,
    pub(super) max_cost_usd: Option<f64>,
}

impl RunBounds {
    fn words(self) -> Vec<String> {
        let until = self.until_unix_ms.and_then(|until| Timestamp::from_millisecond(until).ok());
        let until = until.map(|until| format!("--until={until}"));
        until.into_iter().chain(self.max_cost_usd.map(|usd| format!("--max-cost-usd={usd}"))).collect()
    }
}

/// Where a task works.
pub(super) fn place(options: &TaskOptions, cwd: &Path) -> PathBuf {
    options.cwd.as_ref().map_or_else(|| cwd.to_owned(), |own| cwd.join(own))
}

/// These words as the arguments of a run. `night`: the words of the user's own command after `ccc`.
fn parsed(
    words: &[String],
    task: &str,
    night: Option<&[String]>,
    root: &Command,
    context: &Context,
) -> Result<RunArgs, CliError> {
    let typed = ["ccc", "--supervisor", "-p", task].into_iter().map(OsString::from);
    let typed: Vec<OsString> = typed.chain(words.iter().map(OsString::from)).collect();
    let no_option = || {
        CliError::usage("what follows the two dashes are no options of a run")
            .hint("for example: ccc night tasks.md -- --check \"make test\"")
    };
    let refused = |error: clap::Error| {
        let is_word = |value: &ContextValue| matches!(value, ContextValue::String(word) if !word.starts_with('-'));
        // The task is the list's: another one, or a command, has no place here.
        let is_stray = matches!(error.kind(), ClapKind::InvalidSubcommand | ClapKind::ArgumentConflict);
        if is_stray || error.get(ContextKind::InvalidArg).is_some_and(is_word) {
            return no_option();
        }
        let misused = misuse::error(&error, &typed, root, steer::has_runs(context));
        match night.and_then(|night| misuse::behind_dashes(&error, night, 2)) {
            Some(hint) => misused.hint(format!("{hint}; to see those of a run: ccc --help")),
            None => misused,
        }
    };
    let matches = root.clone().try_get_matches_from(&typed).map_err(refused)?;
    if matches.subcommand().is_some() {
        return Err(no_option());
    }
    RunArgs::from_arg_matches(&matches).map_err(refused)
}

/// The words without this option, which has a value.
fn without(words: Vec<String>, option: &str) -> Vec<String> {
    let mut words = words.into_iter();
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        if word == option {
            let _ = words.next();
        } else if word.strip_prefix(option).is_none_or(|rest| !rest.starts_with('=')) {
            kept.push(word);
        }
    }
    kept
}

/// The value of this option in the words.
fn value_of(words: &[String], option: &str) -> Option<String> {
    let at = words
        .iter()
        .position(|word| word.strip_prefix(option).is_some_and(|rest| rest.is_empty() || rest.starts_with('=')))?;
    match words.get(at)?.split_once('=') {
        Some((_, value)) => Some(value.to_owned()),
        None => words.get(at + 1).cloned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;
    use crate::cli::captured::Captured;
    use crate::tasks::read_list;

    fn read(given: &[&str]) -> Result<RunOptions, CliError> {
        let dir = tempfile::tempdir().expect("a directory");
        let typed: Vec<String> =
            ["night", "my list", "--"].into_iter().chain(given.iter().copied()).map(str::to_owned).collect();
        let given: Vec<String> = given.iter().map(|word| (*word).to_owned()).collect();
        RunOptions::read(&given, &typed, &Cli::command(), &Captured::default().context(dir.path(), None))
    }

    fn start(given: &[&str], list: &str) -> String {
        let list = read_list(list.as_bytes()).expect("a list");
        let options = read(given).expect("options");
        let bounds = RunBounds { until_unix_ms: Some(1_800_000_000_000), max_cost_usd: Some(2.5) };
        let args = options.to_start(&list.tasks[0], Path::new("/task"), "r", bounds);
        args.iter().map(|arg| arg.to_str().expect("UTF-8")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_run_gets_the_options_for_all_and_those_of_its_task_count_more() {
        let bounds = "--supervisor --run-id r --prompt-file /task --until=2027-01-15T08:00:00Z --max-cost-usd=2.5";
        assert_eq!(start(&[], "a"), format!("{bounds} --"));
        let given = ["--check", "make", "--max-iterations=9", "--max-cost-usd", "7", "--", "--effort", "high"];
        assert_eq!(start(&given, "a"), format!("{bounds} --check make --max-iterations=9 -- --effort high"));
        let own = r#"[{"task": "a", "checks": ["x", "y"], "max_iterations": 3, "max_duration": "1h", "model": "m", "agent_args": ["-z"]}]"#;
        assert_eq!(
            start(&given, own),
            format!("{bounds} --max-iterations=3 --max-duration=1h --check=x --check=y -- --effort high --model m -z")
        );
        assert_eq!(read(&given).expect("options").max_cost_usd, Some(7.0));
    }

    #[test]
    fn a_continued_run_keeps_its_settings_and_gets_the_bounds_of_this_night() {
        let options = read(&["--check", "make", "--share-tree", "--output-format", "json"]).expect("options");
        let args = options.to_resume("r", RunBounds { until_unix_ms: None, max_cost_usd: Some(4.0) });
        assert_eq!(
            args,
            ["resume", "r", "--lift-bounds", "--max-cost-usd=4", "--share-tree", "--output-format=json"]
                .map(OsString::from)
        );
    }

    #[test]
    fn an_option_of_the_agent_among_those_of_the_runs_is_told_the_command_that_works() {
        for (given, command) in [
            (&["--permission-mode", "acceptEdits"][..], "-- -- --permission-mode acceptEdits"),
            (&["--permission-mode=acceptEdits", "--share-tree"], "-- --share-tree -- --permission-mode=acceptEdits"),
            (
                &["--check", "make", "--permission-mode", "acceptEdits", "--share-tree", "--", "--effort", "high"],
                "-- --check make --share-tree -- --effort high --permission-mode acceptEdits",
            ),
        ] {
            let hint = read(given).expect_err("an option of the agent").hint.expect("a hint");
            let told = format!("if it is an option of the agent, type: ccc night \"my list\" {command}; to see");
            assert!(hint.starts_with(&told), "{hint}");
            let words: Vec<&str> = command.split(' ').skip(1).collect();
            let options = read(&words).expect("what is told is read");
            assert!(options.agent_args.iter().any(|word| word.contains("acceptEdits")), "{options:?}");
        }
    }

    #[test]
    fn options_that_make_no_sense_for_a_list_are_refused() {
        for (given, said) in [
            (&["--detach"][..], "--detach"),
            (&["--until", "07:00"], "--until"),
            (&["--native"], "--native"),
            (&["--no-such-thing"], "--no-such-thing"),
            (&["runs"], "no options of a run"),
            (&["--check", "make", "foo"], "no options of a run"),
        ] {
            let error = read(given).expect_err(said);
            assert!(error.message.contains(said), "{said}: {}", error.message);
            assert!(error.hint.is_some(), "{said}");
        }
    }
}
