use clap::{Args, Parser, Subcommand};

use super::ExitCode;
use super::subcommand::{
    answer, attach, checkpoints, completions, config, demo, diff, doctor, events, explain, export, follow, gc, go_on,
    init, interrupt, keeper, kill, list, logs, look, man, merge, new, night, notify, nuke, pause, prompt, providers,
    questions, replay, report, restore, resume, run, runs, scripted_agent, send, setup, status, status_line, stop,
    supervise, tokens, tree, trust, usage, wait, watch,
};

/// Keeps an AI coding agent working, unattended, until an independent critic agrees that the task is done.
///
/// `ccc --supervisor -p "TASK"` starts the agent on the task. Each time it stops, checks and a critic look at the work;
/// what they find is the agent's next turn. ccc waits at limits and restarts the agent after crashes and stalls, and
/// the run always ends with one named outcome.
#[derive(Debug, Parser)]
#[command(
    name = "ccc",
    bin_name = "ccc",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true,
    max_term_width = 100,
    override_usage = "ccc --supervisor [OPTIONS]   (at a terminal: a conversation)\n       ccc --supervisor [-p TASK | --prompt-file FILE] [OPTIONS] [-- AGENT ARGS]\n       ccc [PROVIDER] [-- AGENT ARGS]\n       ccc COMMAND",
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

/// Makes [`Command`] of its rows: each command with its arguments, and whether its purpose is to read or write the state
/// directory. `doctor` checks the directory itself.
macro_rules! commands {
    ($($(#[$meta:meta])* $name:ident($args:ty): $keeps_state:literal,)+) => {
        /// What `ccc` does besides a supervised run. A command's help is the text of its arguments' struct; a doc comment here
        /// would replace all of it. `about` is its line in the list of commands where the first paragraph is too long for one.
        #[derive(Debug, Subcommand)]
        #[allow(missing_docs, reason = "the struct of each command's arguments has its text")]
        pub enum Command {$(
            $(#[$meta])*
            $name($args),
        )+}

        impl Command {
            /// Whether its purpose is to read or write the state directory.
            pub(super) fn keeps_state(&self) -> bool {
                match self {$(
                    Command::$name(_) => $keeps_state,
                )+}
            }
        }
    };
}

commands! {
    Resume(resume::ResumeArgs): true,
    #[command(about = "Work through a list of tasks, one after the other")]
    Night(night::NightArgs): true,
    Setup(setup::SetupArgs): true,
    Supervise(supervise::SuperviseArgs): true,
    #[command(about = "Attach this terminal to a run: watch it, and send it messages")]
    Attach(attach::AttachArgs): true,
    #[command(about = "Show what happens in a run, as it happens")]
    Follow(follow::FollowArgs): true,
    #[command(about = "Send a message to the agent of a run: its next turn")]
    Send(send::SendArgs): true,
    Interrupt(interrupt::InterruptArgs): true,
    Pause(pause::PauseArgs): true,
    Continue(go_on::ContinueArgs): true,
    #[command(about = "Answer what a run asks")]
    Answer(answer::AnswerArgs): true,
    Stop(stop::StopArgs): true,
    #[command(about = "List the runs, the newest first")]
    Runs(runs::RunsArgs): true,
    #[command(about = "Start an agent in the background, in a git worktree of its own")]
    New(new::NewArgs): true,
    #[command(about = "List the agents, the oldest first")]
    List(list::ListArgs): true,
    Tree(tree::TreeArgs): true,
    #[command(about = "Show the latest of what an agent has done")]
    Look(look::LookArgs): true,
    #[command(about = "Show what an agent has changed since its branch began")]
    Diff(diff::DiffArgs): true,
    #[command(about = "List the checkpoints of a run: its files at each stop")]
    Checkpoints(checkpoints::CheckpointsArgs): true,
    Restore(restore::RestoreArgs): true,
    #[command(about = "Merge the work of agents into the branch that they started from")]
    Merge(merge::MergeArgs): true,
    #[command(about = "Show how one agent or run stands")]
    Status(status::StatusArgs): true,
    #[command(about = "Print each change of an agent's state")]
    Events(events::EventsArgs): true,
    #[command(about = "List everything that waits for you, over all agents")]
    Questions(questions::QuestionsArgs): true,
    #[command(about = "Wait until agents or other runs have ended")]
    Wait(wait::WaitArgs): true,
    #[command(about = "Remove agents: end their runs, keep their work")]
    Kill(kill::KillArgs): true,
    #[command(about = "Remove all agents")]
    Nuke(nuke::NukeArgs): true,
    #[command(about = "Remove the working trees, runs and references that are needed no more")]
    Gc(gc::GcArgs): true,
    Watch(watch::WatchArgs): true,
    #[command(about = "Print how many agents work and ask, and the usage, in one line")]
    StatusLine(status_line::StatusLineArgs): true,
    Tokens(tokens::TokensArgs): true,
    Notify(notify::NotifyArgs): true,
    Providers(providers::ProvidersArgs): true,
    Replay(replay::ReplayArgs): true,
    #[command(about = "Make the report of a run: what was asked, what became of it, what it cost")]
    Report(report::ReportArgs): true,
    Trust(trust::TrustArgs): true,
    #[command(about = "Turn a recorded run into a terminal recording or a scrubbed test fixture")]
    Export(export::ExportArgs): true,
    Explain(explain::ExplainArgs): true,
    #[command(about = "Show what the processes of a run wrote besides their answers")]
    Logs(logs::LogsArgs): true,
    Init(init::InitArgs): false,
    Prompt(prompt::PromptArgs): false,
    Config(config::ConfigArgs): false,
    #[command(about = "Check that everything a run needs is there")]
    Doctor(doctor::DoctorArgs): false,
    #[command(about = "Show how much of the usage windows is used, and when they reset")]
    Usage(usage::UsageArgs): true,
    #[command(about = "Show the keeper of the agents, or have it started at login")]
    Keeper(keeper::KeeperArgs): true,
    #[command(about = "Watch a run with a scripted agent: no login, no cost")]
    Demo(demo::DemoArgs): false,
    #[command(about = "Print a completion script for a shell")]
    Completions(completions::CompletionsArgs): false,
    #[command(about = "Print the manual page")]
    Man(man::ManArgs): false,
    #[command(about = "Show the options of a command")]
    Help(HelpArgs): false,
    /// The agent of `ccc demo`.
    #[command(hide = true)]
    ScriptedAgent(scripted_agent::ScriptedAgentArgs): false,
}
