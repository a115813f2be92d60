//! Runs the subcommand that the arguments name, and turns its result into an exit code.

use std::ffi::OsString;

use clap::error::ErrorKind as ClapKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args as _, CommandFactory, FromArgMatches};

use super::subcommand::{
    answer, attach, checkpoints, completions, config, demo, diff, doctor, events, explain, export, follow, gc, go_on,
    init, interrupt, keeper, kill, list, logs, look, man, merge, new, night, notify, nuke, pause, prompt, providers,
    questions, replay, restore, resume, run, runs, scripted_agent, send, setup, status, status_line, stop, supervise,
    tokens, tree, trust, usage, wait, watch,
};
use super::{Cli, CliError, Command, Context, ExitCode, misuse, steer, subcommand, zone};

/// Runs the command line, the program's name first, and returns the exit code.
pub fn run<I, T>(args: I, context: &Context) -> u8
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    let code = parse(args, context).and_then(|(matches, args)| match matches {
        Ok(matches) => execute(&matches, &args, context),
        Err(error) => Ok(answer_clap(&error, &args, context)),
    });
    let code = code.unwrap_or_else(|error| report(&error, context));
    // Data that could not be written makes a successful command fail.
    match context.printer.fault() {
        Some(fault) if code == ExitCode::COMPLETED => report(
            &CliError::io(format!("writing to stdout failed: {fault}"))
                .hint("free some disk space, or write to another place"),
            context,
        ),
        Some(_) | None => code,
    }
    .as_u8()
}

/// Reads the arguments, and returns them as they were read. The tree of all commands takes 0.3 MB and a tenth of the time of
/// `ccc --version`, so it is made once, not at all for a run, and dropped before the command runs.
#[allow(clippy::type_complexity, reason = "two results")]
fn parse(args: Vec<OsString>, context: &Context) -> Result<(Result<ArgMatches, clap::Error>, Vec<OsString>), CliError> {
    // No command can follow this option. What is wrong with the others, and the help, is told by the whole tree.
    if args.get(1).is_some_and(|first| first == "--supervisor") {
        let run = run::RunArgs::augment_args(clap::Command::new("ccc"));
        if let Ok(matches) = run.try_get_matches_from(&args) {
            return Ok((Ok(matches), args));
        }
    }
    let mut root = Cli::command();
    let args = providers::with_option(args, &root, context)?;
    Ok((root.try_get_matches_from_mut(&args), args))
}

fn execute(matches: &ArgMatches, args: &[OsString], context: &Context) -> Result<ExitCode, CliError> {
    let cli = match Cli::from_arg_matches(matches) {
        Ok(cli) => cli,
        Err(error) => return Ok(answer_clap(&error, args, context)),
    };
    let only_help = cli.command.is_none() && nothing_given(matches);
    let keeps_state = cli.command.as_ref().is_none_or(Command::keeps_state);
    if keeps_state && !only_help {
        context.private_state()?;
    }
    let tells_times = keeps_state || matches!(cli.command, Some(Command::Doctor(_) | Command::Demo(_)));
    if tells_times
        && !only_help
        && let (_, Some(fault)) = zone::of_user(&context.env)
    {
        context.printer.warn(format_args!("{fault}; times are shown in the system's time zone"));
    }
    match cli.command {
        None if only_help => match providers::start_current(&[], context) {
            Some(started) => started,
            None => {
                context.printer.data(&short_help());
                Ok(ExitCode::COMPLETED)
            }
        },
        None if cli.run.is_plain() => match &cli.run.provider {
            Some(name) => providers::start(name, &cli.run.agent_args, context),
            None => providers::start_current(&cli.run.agent_args, context)
                .unwrap_or_else(|| run::run(cli.run, args, context)),
        },
        None => run::run(cli.run, args, context),
        Some(Command::Resume(given)) => resume::run(given, args, context),
        Some(Command::Night(given)) => night::run(given, args, &Cli::command(), context),
        Some(Command::Setup(given)) => setup::run(given, args, context),
        Some(Command::Attach(args)) => attach::run(args, context),
        Some(Command::Follow(args)) => follow::run(args, context),
        Some(Command::Send(args)) => send::run(args, context),
        Some(Command::Interrupt(args)) => interrupt::run(args, context),
        Some(Command::Pause(args)) => pause::run(args, context),
        Some(Command::Continue(args)) => go_on::run(args, context),
        Some(Command::Answer(args)) => answer::run(args, context),
        Some(Command::Stop(args)) => stop::run(args, context),
        Some(Command::Supervise(args)) => supervise::run(args, context),
        Some(Command::Runs(args)) => runs::run(args, context),
        Some(Command::New(given)) => new::run(given, args, context),
        Some(Command::List(args)) => list::run(args, context),
        Some(Command::Tree(args)) => tree::run(args, context),
        Some(Command::Look(args)) => look::run(args, context),
        Some(Command::Diff(args)) => diff::run(args, context),
        Some(Command::Checkpoints(args)) => checkpoints::run(args, context),
        Some(Command::Restore(args)) => restore::run(args, context),
        Some(Command::Merge(args)) => merge::run(args, context),
        Some(Command::Status(args)) => status::run(args, context),
        Some(Command::Gc(args)) => gc::run(args, context),
        Some(Command::Events(args)) => events::run(args, context),
        Some(Command::Questions(args)) => questions::run(args, context),
        Some(Command::Wait(args)) => wait::run(args, context),
        Some(Command::Kill(args)) => kill::run(args, context),
        Some(Command::Nuke(args)) => nuke::run(args, context),
        Some(Command::Watch(args)) => watch::run(args, &Cli::command(), context),
        Some(Command::StatusLine(args)) => status_line::run(args, context),
        Some(Command::Tokens(args)) => tokens::run(args, context),
        Some(Command::Notify(args)) => notify::run(args, context),
        Some(Command::Providers(args)) => providers::run(args, context),
        Some(Command::Replay(args)) => replay::run(args, context),
        Some(Command::Report(args)) => subcommand::report::run(args, context),
        Some(Command::Trust(args)) => trust::run(args, context),
        Some(Command::Export(args)) => export::run(args, context),
        Some(Command::Explain(args)) => explain::run(args, context),
        Some(Command::Logs(args)) => logs::run(&args, context),
        Some(Command::Init(args)) => init::run(args, context),
        Some(Command::Prompt(args)) => prompt::run(args, context),
        Some(Command::Config(args)) => config::run(args, context),
        Some(Command::Doctor(args)) => doctor::run(args, context),
        Some(Command::Usage(args)) => usage::run(args, context),
        Some(Command::Keeper(args)) => keeper::run(args, context),
        Some(Command::Demo(args)) => demo::run(args, context),
        Some(Command::Completions(args)) => completions::run(args, context),
        Some(Command::Man(args)) => man::run(args, Cli::command(), context),
        Some(Command::Help(args)) => help(&args.command, context),
        Some(Command::ScriptedAgent(args)) => Ok(scripted_agent::run(args)),
    }
}

/// The help of `ccc` without arguments: how to start a run, and the commands. `ccc --help` has the options.
fn short_help() -> String {
    let mut command = Cli::command()
        .disable_help_flag(true)
        .disable_version_flag(true)
        .mut_args(|arg| arg.hide(true))
        .after_help("`ccc --help` lists the options; `ccc help COMMAND` those of a command.");
    command.render_help().to_string()
}

/// Whether no option was typed.
fn nothing_given(matches: &ArgMatches) -> bool {
    matches.ids().all(|id| matches.value_source(id.as_str()) != Some(ValueSource::CommandLine))
}

/// Prints clap's answer: help and version go to stdout, everything else is a usage error.
fn answer_clap(error: &clap::Error, args: &[OsString], context: &Context) -> ExitCode {
    if !matches!(error.kind(), ClapKind::DisplayHelp | ClapKind::DisplayVersion) {
        return report(&misuse::error(error, args, &Cli::command(), steer::has_runs(context)), context);
    }
    let (rendered, printer) = (error.render(), &context.printer);
    let text = if printer.color_out() { rendered.ansi().to_string() } else { rendered.to_string() };
    printer.data(&text);
    ExitCode::COMPLETED
}

/// The help of a command, as `ccc COMMAND --help` gives it.
fn help(words: &[String], context: &Context) -> Result<ExitCode, CliError> {
    let root = Cli::command();
    let mut command = &root;
    for word in words {
        let Some(found) = command.find_subcommand(word) else {
            let names: Vec<&str> =
                command.get_subcommands().filter(|known| !known.is_hide_set()).map(clap::Command::get_name).collect();
            let near = similar::get_close_matches(word.as_str(), &names, 1, misuse::LIKENESS)
                .first()
                .map(|name| format!("did you mean `ccc help {name}`?"));
            let option = misuse::named_option(word, command);
            return Err(CliError::usage(format!("there is no command `{word}`"))
                .hint(option.or(near).unwrap_or_else(|| "to list the commands: ccc --help".to_owned())));
        };
        command = found;
    }
    let args: Vec<OsString> =
        ["ccc"].into_iter().chain(words.iter().map(String::as_str)).chain(["--help"]).map(OsString::from).collect();
    match Cli::command().try_get_matches_from(&args) {
        Ok(_) => Ok(ExitCode::COMPLETED),
        Err(error) => Ok(answer_clap(&error, &args, context)),
    }
}

fn report(error: &CliError, context: &Context) -> ExitCode {
    context.printer.error(&error.message, error.hint.as_deref());
    error.exit_code()
}
