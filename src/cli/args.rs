use clap::{Args, Parser, Subcommand};

use super::ExitCode;
use super::subcommand::{
    completions, config, demo, doctor, explain, export, init, man, prompt, replay, resume, run, runs, scripted_agent,
    supervise, tokens, trust, usage,
};

/// Keeps an AI coding agent working, unattended, until an independent critic agrees that the task is done.
///
/// `ccc --supervisor -p "TASK"` starts the agent on the task. Each time it stops, checks and a critic look at the work;
/// what they find is the agent's next turn. Limits are waited for, crashes and stalls are restarted, and the run always
/// ends with one named outcome.
#[derive(Debug, Parser)]
#[command(
    name = "ccc",
    bin_name = "ccc",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true,
    max_term_width = 100,
    override_usage = "ccc --supervisor [-p TASK | --prompt-file FILE] [OPTIONS] [-- AGENT ARGS]\n       ccc COMMAND",
    after_help = ExitCode::in_words()
)]
pub struct Cli {
    /// A supervised run.
    #[command(flatten)]
    pub run: run::RunArgs,

    /// Another command.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Which command's options to show.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct HelpArgs {
    /// The command [all commands].
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// What `ccc` does besides a supervised run.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Continue a run that has ended or was interrupted.
    Resume(resume::ResumeArgs),
    /// Supervise any command: restart it, watch its heartbeat, rotate its tokens, wait at limits.
    Supervise(supervise::SuperviseArgs),
    /// List the runs, the newest first.
    Runs(runs::RunsArgs),
    /// List the tokens that a run may use, with what is known about each.
    Tokens(tokens::TokensArgs),
    /// Show recorded runs again, or check that they would be decided the same way.
    Replay(replay::ReplayArgs),
    /// Show what this project's files make ccc run, or do with tokens, and agree to it.
    Trust(trust::TrustArgs),
    /// Turn a recorded run into a terminal recording or a scrubbed test fixture.
    Export(export::ExportArgs),
    /// Tell, decision by decision, what happened in a run and why.
    Explain(explain::ExplainArgs),
    /// Write SUPERVISOR.md and .ccc.json into the project, to be edited.
    Init(init::InitArgs),
    /// Show the critic's prompt that is in force, and why it is that one.
    Prompt(prompt::PromptArgs),
    /// Show the configuration, its files or its schema.
    Config(config::ConfigArgs),
    /// Check that everything a run needs is there.
    Doctor(doctor::DoctorArgs),
    /// Show how much of the usage windows is used, and when they reset.
    Usage(usage::UsageArgs),
    /// Watch a run with a scripted agent: no login, no cost.
    Demo(demo::DemoArgs),
    /// Print a completion script for a shell.
    Completions(completions::CompletionsArgs),
    /// Print the manual page.
    Man(man::ManArgs),
    /// Show the options of a command.
    Help(HelpArgs),
    /// The agent of `ccc demo`.
    #[command(hide = true)]
    ScriptedAgent(scripted_agent::ScriptedAgentArgs),
}
