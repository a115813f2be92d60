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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Notify;
    use crate::tokens::answering_server;

    /// The environment of a user, with a credential of a provider.
    fn courier(home: &Path) -> Courier {
        let env = Env::from_pairs([("PATH", "/usr/bin:/bin"), ("ANTHROPIC_API_KEY", "sk-ant-made-up"), ("MINE", "x")]);
        Courier::new(&env, home, Redactor::with_values(["made-up-secret-value"])).expect("descriptors")
    }

    fn entry(json: &str) -> NotifyEntry {
        let entries: Notify = serde_json::from_str(&format!("[{json}]")).expect("an entry");
        entries.entries()[0].clone()
    }

    fn attempt(json: &str, home: &Path) -> Result<String, Failure> {
        courier(home).attempt(&entry(json), &Message::test("/w", 7))
    }

    #[test]
    fn a_command_gets_the_message_and_no_credential_in_the_home_directory() {
        let home = tempfile::tempdir().expect("a directory");
        let line = "cat > got; { pwd; echo \"[$ANTHROPIC_API_KEY] [$MINE]\"; } > how";
        let words = serde_json::json!(["sh", "-c", line]);
        for command in [serde_json::json!(line), words] {
            let json = serde_json::json!({"command": command}).to_string();
            assert_eq!(attempt(&json, home.path()).as_deref(), Ok("the command has ended with exit code 0"));
            let got = std::fs::read(home.path().join("got")).expect("a message");
            assert_eq!(serde_json::from_slice::<Message>(&got).expect("JSON"), Message::test("/w", 7));
            let how = std::fs::read_to_string(home.path().join("how")).expect("read");
            let home = home.path().canonicalize().expect("a path");
            assert_eq!(how, format!("{}\n[] [x]\n", home.display()));
        }
    }

    #[test]
    fn a_command_that_reads_nothing_fails_or_hangs_is_told_apart() {
        let home = tempfile::tempdir().expect("a directory");
        assert!(attempt(r#"{"command": "exec <&-; exit 0"}"#, home.path()).is_ok());
        for (command, why, again) in [
            ("echo nothing; echo made-up-secret-value down >&2; exit 3", "failed with exit code 3: ", true),
            ("kill -9 $$", "was killed", true),
            ("no-such-program-of-ours", "failed with exit code 127", false),
        ] {
            let failure =
                attempt(&serde_json::json!({"command": command}).to_string(), home.path()).expect_err(command);
            assert!(failure.why.contains(why) && failure.again == again, "{failure:?}");
            assert!(!failure.why.contains("made-up-secret-value"), "{failure:?}");
        }
        let failure = attempt(r#"{"command": ["/no/such/program"]}"#, home.path()).expect_err("no program");
        assert!(!failure.again, "{failure:?}");
    }

    #[test]
    fn a_command_that_hangs_is_ended_with_all_that_it_has_started() {
        let home = tempfile::tempdir().expect("a directory");
        let fifo = home.path().join("held");
        crate::files::make_fifo(&fifo);
        // Both wait for a writer that never comes; a process that is left over would be a reader.
        let json = r#"{"command": "(sh -c 'read -r x < held') & read -r y < held", "timeout": "300ms"}"#;
        let failure = attempt(json, home.path()).expect_err("it hangs");
        assert!(failure.again && failure.why.contains("did not end within 0.3s"), "{failure:?}");
        let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK;
        let open = rustix::fs::open(&fifo, flags, rustix::fs::Mode::empty());
        assert_eq!(open.expect_err("no reader is left"), rustix::io::Errno::NXIO);
    }

    #[test]
    fn the_answer_of_a_webhook_decides_whether_it_is_tried_again() {
        let home = tempfile::tempdir().expect("a directory");
        for (status, again) in [("500", true), ("429", true), ("404", false), ("301", false)] {
            let (url, _told) = answering_server(&[&format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n")]);
            let json = serde_json::json!({"webhook": format!("{url}/hush")}).to_string();
            let failure = attempt(&json, home.path()).expect_err(status);
            assert!(failure.again == again && failure.why.contains(status), "{status}: {failure:?}");
            assert!(!failure.why.contains("hush"), "{failure:?}");
        }
        let failure = attempt(r#"{"webhook": {"env": "GONE"}}"#, home.path()).expect_err("no URL");
        assert_eq!(failure, Failure::for_good("the variable GONE is not set"));
    }

    #[test]
    fn each_shape_goes_where_its_receiver_expects_it() {
        let home = tempfile::tempdir().expect("a directory");
        for (shape, path, part) in [
            ("json", "POST /a/b ", r#""event":"test""#),
            ("ntfy", "POST /a/ ", r#""topic":"b""#),
            ("slack", "POST /a/b ", r#""text":"*ccc: a test*"#),
            ("discord", "POST /a/b ", r#""allowed_mentions""#),
        ] {
            let (url, told) = answering_server(&["HTTP/1.1 204 X\r\n\r\n"]);
            let json = serde_json::json!({"webhook": format!("{url}/a/b"), "shape": shape}).to_string();
            attempt(&json, home.path()).expect(shape);
            let request = told.recv().expect("a request");
            assert!(request.starts_with(path) && request.contains(part), "{shape}: {request}");
        }
    }

    #[test]
    fn a_command_is_given_up_at_once_when_it_is_ordered() {
        let home = tempfile::tempdir().expect("a directory");
        let courier = courier(home.path());
        courier.give_up();
        let failure = courier.attempt(&entry(r#"{"command": "exec sleep 600"}"#), &Message::test("/w", 7));
        assert!(failure.is_err_and(|failure| failure.why.contains("given up")));
    }
}
