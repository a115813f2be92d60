//! One try to deliver a message.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use redaction::Redactor;

use super::message::Message;
use super::shape;
use crate::config::env::PATH;
use crate::config::{CommandLine, Env, NotifyEntry, NotifyWay, Span, WebhookShape};
use crate::process::{Cancel, CommandEnding, CommandErrors, CommandSpec, on_path, run_command};
use crate::tokens::{PostError, Webhook, without_credentials};
use crate::ui::clean;

/// How long one try may take unless the entry says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a command may take to exit after it was told to.
const GRACE: Duration = Duration::from_secs(1);
/// How many bytes of a command's output are kept.
const OUTPUT_LIMIT_BYTES: usize = 4 * 1024;
/// How much of it is shown.
const SAID_LIMIT_CHARS: usize = 200;
/// Exit codes of a shell that cannot execute a program or does not find it.
const CANNOT_RUN: [i32; 2] = [126, 127];

/// Why a try has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Why, in words without a secret.
    pub why: String,
    /// Whether another try may succeed.
    pub(super) again: bool,
    /// How long the receiver wants to be left alone.
    pub(super) after: Option<Duration>,
}

impl Failure {
    fn for_good(why: impl Into<String>) -> Failure {
        Failure { why: why.into(), again: false, after: None }
    }

    fn for_now(why: impl Into<String>) -> Failure {
        Failure { why: why.into(), again: true, after: None }
    }
}

/// Delivers messages. Clones share the order to give up.
#[derive(Debug, Clone)]
pub struct Courier {
    /// The user's environment, for the variables that entries name.
    env: Env,
    /// The same without any credential, for commands.
    bare: Vec<(OsString, OsString)>,
    home: PathBuf,
    redactor: Redactor,
    give_up: Cancel,
}

impl Courier {
    /// A courier with the user's environment. Commands are started in the home directory, so that no file of a project stands
    /// in for a program.
    ///
    /// # Errors
    /// When the process has no descriptors left.
    pub fn new(env: &Env, home: &Path, redactor: Redactor) -> std::io::Result<Courier> {
        let bare = without_credentials(env, &[]);
        let bare = bare.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(Courier { env: env.clone(), bare, home: home.to_owned(), redactor, give_up: Cancel::new()? })
    }

    /// Kills the commands that are running. A request ends at its timeout.
    pub(super) fn give_up(&self) {
        self.give_up.kill();
    }

    /// Tries once, and returns how it went in words.
    ///
    /// # Errors
    /// When the message was not delivered.
    pub fn attempt(&self, entry: &NotifyEntry, message: &Message) -> Result<String, Failure> {
        let timeout = entry.timeout.map_or(TIMEOUT, Span::as_duration);
        match &entry.way {
            NotifyWay::Command(line) => self.command(line, message, timeout),
            NotifyWay::Webhook { place, shape, headers } => {
                let webhook = Webhook::of(place, headers, &self.env);
                let webhook = webhook.map_err(|fault| Failure::for_good(fault.to_string()))?;
                self.webhook(&webhook, *shape, message, timeout)
            }
            NotifyWay::Desktop => self.desktop(message, timeout),
            NotifyWay::Bell => Err(Failure::for_good("there is no terminal whose bell could ring")),
        }
    }

    fn webhook(
        &self,
        webhook: &Webhook,
        shape: WebhookShape,
        message: &Message,
        timeout: Duration,
    ) -> Result<String, Failure> {
        let json = |value: serde_json::Result<serde_json::Value>| value.unwrap_or_default().to_string();
        let answer = match shape {
            WebhookShape::Json => webhook.post(&json(serde_json::to_value(message)), &self.env, timeout),
            WebhookShape::Slack => webhook.post(&shape::slack(message).to_string(), &self.env, timeout),
            WebhookShape::Discord => webhook.post(&shape::discord(message).to_string(), &self.env, timeout),
            WebhookShape::Ntfy => {
                let (server, topic) = webhook.topic().map_err(|fault| Failure::for_good(fault.to_string()))?;
                server.post(&shape::ntfy(message, &topic).to_string(), &self.env, timeout)
            }
        };
        let answer = answer.map_err(|error| {
            let again = match &error {
                PostError::Timeout { .. } => true,
                PostError::Http(fault) => fault.may_pass(),
            };
            Failure { why: error.to_string(), again, after: None }
        })?;
        let host = webhook.host();
        match answer.status {
            200..=299 => Ok(format!("{host} has answered with {}", answer.status)),
            300..=399 => Err(Failure::for_good(format!(
                "{host} redirects to another URL ({}), which is not followed: write that URL",
                answer.status
            ))),
            status @ (408 | 425 | 429 | 500..=599) => Err(Failure {
                why: format!("{host} has answered with {status}"),
                again: true,
                after: answer.retry_after,
            }),
            status => Err(Failure::for_good(format!("{host} has refused it with {status}"))),
        }
    }

    fn command(&self, line: &CommandLine, message: &Message, timeout: Duration) -> Result<String, Failure> {
        let mut input = serde_json::to_vec(message).unwrap_or_default();
        input.push(b'\n');
        let spec = match line {
            CommandLine::Shell(line) => CommandSpec::shell(line, self.home.clone()),
            CommandLine::Words(words) => {
                let (program, args) = words.split_first().map_or(("", &[][..]), |(first, args)| (first.as_str(), args));
                CommandSpec {
                    program: self.home_relative(program),
                    args: args.iter().map(OsString::from).collect(),
                    ..CommandSpec::shell("", self.home.clone())
                }
            }
        };
        self.run(CommandSpec { input, ..spec }, "the command", timeout)
    }

    /// A program with `~/` is in the home directory.
    fn home_relative(&self, program: &str) -> PathBuf {
        program.strip_prefix("~/").map_or_else(|| PathBuf::from(program), |rest| self.home.join(rest))
    }

    /// Asks the desktop, for a run without a terminal.
    fn desktop(&self, message: &Message, timeout: Duration) -> Result<String, Failure> {
        let path = self.env.get(PATH).unwrap_or_default();
        let text = message.body();
        let (title, text) = (message.title.as_str(), text.as_str());
        if let Some(program) = on_path(OsStr::new("notify-send"), path, Path::new("/")) {
            // Servers take the text for markup.
            let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let args = ["--app-name=ccc", "--", title, &text].map(OsString::from).to_vec();
            let spec = CommandSpec { program, args, ..CommandSpec::shell("", self.home.clone()) };
            return self.run(spec, "notify-send", timeout);
        }
        if let Some(program) = on_path(OsStr::new("osascript"), path, Path::new("/")) {
            const SCRIPT: [&str; 3] =
                ["on run argv", "display notification (item 2 of argv) with title (item 1 of argv)", "end run"];
            let script = SCRIPT.iter().flat_map(|line| ["-e", line]);
            let args = script.chain([title, text]).map(OsString::from).collect();
            let spec = CommandSpec { program, args, ..CommandSpec::shell("", self.home.clone()) };
            return self.run(spec, "osascript", timeout);
        }
        Err(Failure::for_good("there is neither a terminal nor notify-send"))
    }

    fn run(&self, spec: CommandSpec, name: &str, timeout: Duration) -> Result<String, Failure> {
        let spec = CommandSpec {
            env: self.bare.clone(),
            timeout,
            grace: GRACE,
            output_tail_limit_bytes: OUTPUT_LIMIT_BYTES,
            errors: CommandErrors::WithOutput,
            ..spec
        };
        let result =
            run_command(&spec, &self.give_up).map_err(|error| Failure::for_good(format!("{name}: {error}")))?;
        let said = self.redactor.tail(&result.tail, result.truncated_bytes > 0);
        let said = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let said = clean::one_line(said, SAID_LIMIT_CHARS);
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        match (result.ending, result.exit.code) {
            (CommandEnding::Exited, Some(0)) => Ok(format!("{name} has ended with exit code 0")),
            (CommandEnding::Exited, Some(code)) => {
                let why = format!("{name} failed with exit code {code}{said}");
                Err(Failure { why, again: !CANNOT_RUN.contains(&code), after: None })
            }
            (CommandEnding::Exited, None) => Err(Failure::for_now(format!("{name} was killed{said}"))),
            (CommandEnding::TimedOut, _) => Err(Failure::for_now(format!(
                "{name} did not end within {}s, and was ended with all that it had started",
                timeout.as_secs_f32()
            ))),
            (CommandEnding::Cancelled, _) => Err(Failure::for_now(format!("{name} was given up"))),
        }
    }
}
