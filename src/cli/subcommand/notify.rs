//! `ccc notify`.

use std::io::{self, IsTerminal as _};

use clap::{Args, Subcommand};
use redaction::Redactor;
use serde_json::json;

use crate::cli::{CliError, Context, ExitCode, Paint, inside, notifying, steer};
use crate::config::{Flags, Notify, NotifyEntry, NotifyWay};
use crate::core::shell::quoted;
use crate::core::{Finish, Outcome};
use crate::driver::unix_ms;
use crate::journal::RunSummary;
use crate::notify::{Courier, Message, Terminal, deliver};
use crate::ui::clean;

/// The help on entries.
const ENTRIES: &str = r#"Entries, in your ccc.json (`ccc config path` shows the file):
      {
        "notify": [
          {"webhook": "https://ntfy.sh/my-secret-topic", "shape": "ntfy"},
          {"name": "chat", "webhook": {"env": "SLACK_URL"}, "shape": "slack",
           "events": ["completed", "failed"]},
          {"command": ["my-script", "--loud"]},
          {"desktop": true},
          {"bell": true, "events": ["approval", "needs_user"]}
        ]
      }
  The events are completed, needs_user, stuck, budget, limited, restarts, failed
  and approval. docs/notify.md says what each entry gets."#;

/// List whom your runs tell what they come to, or send each a test.
///
/// The entries are those of `notify` in your configuration.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = ENTRIES)]
pub struct NotifyArgs {
    /// What to do; the entries are listed unless given.
    #[command(subcommand)]
    pub what: Option<NotifyCommand>,
}

/// What `ccc notify` does.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum NotifyCommand {
    /// Send a test through each entry, once and without a second try, and say what happened. The exit code is 0 when all were
    /// sent, else 1.
    Test(TestArgs),
    /// Tell that an agent is not continued any more, whose ccc has died.
    #[command(hide = true)]
    Lost {
        /// The run.
        run: String,
        /// Why.
        why: String,
    },
    /// Send what a run has left.
    #[command(hide = true)]
    Deliver {
        /// The run.
        run: String,
    },
}

/// What is tested.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct TestArgs {
    /// Only the entry with this name.
    #[arg(value_name = "NAME")]
    pub name: Option<String>,

    /// Print one JSON object for each entry.
    #[arg(long)]
    pub json: bool,
}

/// Tells.
///
/// # Errors
/// When there is nobody to tell, or somebody could not be told.
pub fn run(args: NotifyArgs, context: &Context) -> Result<ExitCode, CliError> {
    match args.what {
        None => list(context),
        Some(NotifyCommand::Test(args)) => {
            inside::refuse("notify test", context)?;
            test(&args, context)
        }
        Some(NotifyCommand::Lost { run, why }) => {
            inside::refuse("notify lost", context)?;
            lost(&run, why, context)
        }
        Some(NotifyCommand::Deliver { run }) => {
            inside::refuse("notify deliver", context)?;
            deliver_left(&run, context)
        }
    }
}

fn courier(redactor: Redactor, context: &Context) -> Result<Courier, CliError> {
    notifying::courier(redactor, context)
        .ok_or_else(|| CliError::environment("there is no home directory, or no descriptor is left"))
}

/// The entries, of which there is one.
fn entries(context: &Context) -> Result<Notify, CliError> {
    let notify = context.settings(Flags::default())?.settings.notify;
    if notify.entries().is_empty() {
        return Err(CliError::usage("nobody is told: your configuration has no entry in `notify`")
            .hint("to see how an entry is written: ccc help notify"));
    }
    Ok(notify)
}

fn list(context: &Context) -> Result<ExitCode, CliError> {
    let notify = entries(context)?;
    for entry in notify.entries() {
        let way = match &entry.way {
            NotifyWay::Webhook { place, .. } => format!("webhook {place}"),
            NotifyWay::Command(_) | NotifyWay::Desktop | NotifyWay::Bell => entry.way.key().to_owned(),
        };
        let events: Vec<&str> = entry.events.iter().map(|event| event.name()).collect();
        context
            .printer
            .behind(&format!("{}: ", clean::one_line(&entry.name, 64)), format!("{way}: {}", events.join(", ")));
    }
    context.printer.talk("to try them: ccc notify test");
    Ok(ExitCode::COMPLETED)
}

fn test(args: &TestArgs, context: &Context) -> Result<ExitCode, CliError> {
    let notify = entries(context)?;
    let all = notify.entries();
    let wanted = |entry: &&NotifyEntry| args.name.as_ref().is_none_or(|name| *name == entry.name);
    let entries: Vec<&NotifyEntry> = all.iter().filter(wanted).collect();
    if let (Some(name), true) = (&args.name, entries.is_empty()) {
        let names: Vec<String> = all.iter().map(|entry| quoted(&entry.name)).collect();
        return Err(CliError::usage(format!("`notify` has no entry {}", quoted(name)))
            .hint(format!("its entries are {}", names.join(", "))));
    }
    let courier = courier(Redactor::new(), context)?;
    let message = Message::test(&context.cwd()?.display().to_string(), unix_ms());
    let terminal = io::stderr().is_terminal().then(|| Terminal::of(&context.env));
    let mut failed = Vec::new();
    for entry in entries {
        let result = match (&entry.way, terminal) {
            (NotifyWay::Bell, Some(terminal)) => {
                context.printer.talk_raw(terminal.bell());
                Ok("this terminal was asked to ring its bell".to_owned())
            }
            (NotifyWay::Desktop, Some(terminal)) => {
                context.printer.talk_raw(&terminal.notification(&message));
                Ok("this terminal was asked to show a notification; not every terminal can".to_owned())
            }
            (NotifyWay::Bell | NotifyWay::Desktop, None) | (NotifyWay::Command(_) | NotifyWay::Webhook { .. }, _) => {
                courier.attempt(entry, &message).map_err(|failure| failure.why)
            }
        };
        print(entry, &result, args.json, context);
        if result.is_err() {
            failed.push(entry.name.as_str());
        }
    }
    CliError::unless_none("not told", &failed)
}

fn print(entry: &NotifyEntry, result: &Result<String, String>, json: bool, context: &Context) {
    let (is_sent, text) = match result {
        Ok(text) => (true, text),
        Err(text) => (false, text),
    };
    if json {
        let way = entry.way.key();
        context.printer.json(json!({"name": entry.name, "way": way, "sent": is_sent, "text": text}));
        return;
    }
    let printer = &context.printer;
    let state = if is_sent { printer.paint(Paint::Green, "sent  ") } else { printer.paint(Paint::Red, "failed") };
    printer.behind(&format!("{state} "), format_args!("{}: {text}", entry.name));
}

/// Tells of an end that the ccc of the agent cannot tell.
fn lost(run: &str, why: String, context: &Context) -> Result<ExitCode, CliError> {
    let run_dir = steer::find(run, context)?;
    let summary = RunSummary::read(&run_dir.summary()).ok();
    let cwd = summary.map_or_else(String::new, |summary| summary.cwd);
    // A project's file names nobody who is told, and the keeper is in no project.
    let notify = context.settings(Flags::default())?.settings.notify;
    let finish = Finish::new(Outcome::Failed, format!("nothing continues it any more: {why}"));
    notifying::tell_end(&notify, &run_dir, cwd, (&finish, None), &Redactor::new(), context);
    Ok(ExitCode::COMPLETED)
}

/// Sends what a run could not send before its end. Nobody reads what this process says.
fn deliver_left(run: &str, context: &Context) -> Result<ExitCode, CliError> {
    // The terminal of the run, and Ctrl-C on it, are not for this process. A leader of its group cannot leave it.
    let _ = rustix::process::setsid();
    let run_dir = steer::find(run, context)?;
    let notify = context.settings(Flags::default())?.settings.notify;
    let courier = courier(Redactor::new(), context)?;
    let given_up = deliver(run_dir.path(), notify.entries(), &courier, unix_ms());
    for (name, why) in &given_up {
        tracing::warn!(name, why, "a message of a run was given up");
    }
    Ok(if given_up.is_empty() { ExitCode::COMPLETED } else { ExitCode::FAILED })
}
