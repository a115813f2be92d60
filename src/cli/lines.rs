//! The conversation with a run in lines, without cursor movement or redrawing, for screen readers, dumb terminals and pipes.
#![allow(
    clippy::disallowed_methods,
    reason = "a line that was typed before its question was shown is told by the clock"
)]

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, Read as _};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::answering::Open;
use super::asking::{Asking, Meant};
use super::event_printer::EventPrinter;
use super::{CliError, Context, ExitCode, steer};
use crate::attach::span_ms;
use crate::control::protocol::{Code, Event, FromRun, Reply, Request, Welcome, You};
use crate::control::{ClientError, EventReceiver, RequestSender, request_of};
use crate::core::{Budgets, RestKind, Show, WhenLeft};
use crate::driver;
use crate::journal::RunDir;
use crate::ui::conversation::{Command, command};

/// The longest line that is sent, in bytes.
const LINE_BYTES: u64 = 1024 * 1024;
/// A line that is typed sooner after a question appeared was meant for something else.
const QUIET: Duration = Duration::from_millis(300);
/// The text of `/help`.
const HELP: &str = "\
What you type is sent to the agent; while something is asked, it is the answer.
ccc's own commands:
/say TEXT       send it to the agent, also while something is asked
/whole          show all of what is asked
/interrupt      interrupt the turn; the run continues with your next message
/supervisor on, /supervisor off   whether a critic judges the work
/critic now     let the critic judge the work now
/pause, /continue
/budget         change a bound, as in: /budget iterations 40
/model NAME     the agent's model
/rotate         take another token
/detach         leave; the run continues (Ctrl-D, Ctrl-C)
/quit, /exit    end the run; its session is kept
Every other command with / is the agent's own.";

/// An event for the main thread.
enum LineEvent {
    /// From the connection with this number.
    Run(u32, Result<Option<FromRun>, ClientError>),
    /// The user typed a line; `None` at the end of the input.
    Typed(Option<String>),
    /// The user pressed Ctrl-C.
    Interrupted,
}

/// The kind of an order that was sent.
enum Ordered {
    /// The answer to an open item.
    Answer,
    /// Any other order, with the text shown when it is done.
    Other(String),
}

/// The result of a typed line.
enum Next {
    /// The conversation continues.
    On,
    /// The user leaves it.
    Left,
}

struct Lines<'a> {
    run: &'a RunDir,
    context: &'a Context,
    printer: EventPrinter<'a>,
    requests: RequestSender,
    /// The number of the present connection. Events of older connections are ignored.
    link: u32,
    heard: Sender<LineEvent>,
    asking: Asking,
    ordered: BTreeMap<u64, Ordered>,
    budgets: Option<Budgets>,
    /// The phase of the run and its details.
    phase: (String, String),
    attending: u32,
    /// When an item was last shown.
    asked_at: Option<Instant>,
    /// Whether nothing may be sent.
    read_only: bool,
}

/// The text shown when a terminal detaches.
pub(super) fn left(run: &str, then: WhenLeft) -> String {
    match then {
        WhenLeft::GoesOn => format!("the run continues; to attach again: ccc attach {run}"),
        WhenLeft::Ends => {
            format!(
                "the run ends in a minute, because it waits for your next message; to continue it: ccc resume {run}"
            )
        }
        WhenLeft::Asks => format!(
            "the run continues, and denies its open request in a minute, or when approvals.unattended says; to answer it: ccc attach {run}"
        ),
        WhenLeft::LeavesNothing => {
            format!("the run ends in a minute, because no message was sent; to attach before that: ccc attach {run}")
        }
    }
}

/// Runs the conversation until the user leaves or the run ends. `greeting` is shown first.
///
/// # Errors
/// When the run cannot be reached, or drops this client.
pub(super) fn converse(
    run: &RunDir,
    read_only: bool,
    greeting: Option<&str>,
    context: &Context,
) -> Result<ExitCode, CliError> {
    let mut client = steer::connect(run, "attach", !read_only)?;
    let read_only = read_only || client.greeting().you == You::Inside;
    let welcome = client.welcome().clone();
    let from = client.follow(None, None, false).map_err(|error| steer::unreachable(&error))?;
    let mut printer = EventPrinter::new(run, false, context);
    printer.in_directory(&welcome.cwd);
    printer.history(None, Some(from))?;
    let (requests, listener, waiting) = client.split();
    let (sender, heard) = channel();
    hear(listener, 0, sender.clone());
    let mut lines = Lines {
        run,
        context,
        printer,
        requests,
        link: 0,
        heard: sender.clone(),
        asking: Asking::default(),
        ordered: BTreeMap::new(),
        budgets: welcome.bounds.clone(),
        phase: (welcome.phase.clone(), String::new()),
        attending: welcome.attending,
        asked_at: None,
        read_only,
    };
    let interrupted = sender.clone();
    driver::at_interrupt(move || {
        let _ = interrupted.send(LineEvent::Interrupted);
    });
    let words = if read_only {
        "this terminal is read-only; Ctrl-C or Ctrl-D leaves it, and the run continues"
    } else {
        greeting.unwrap_or("attached: what you type is sent to the agent; /help lists commands; Ctrl-D leaves")
    };
    context.printer.talk(words);
    lines.joins(&welcome);
    if !read_only || context.stdin.is_terminal() {
        read_lines(sender);
    }
    let waiting = waiting.into_iter().map(|event| LineEvent::Run(0, Ok(Some(FromRun::Event(event)))));
    for heard in waiting.chain(heard) {
        match heard {
            LineEvent::Run(of, _) if of != lines.link => {}
            LineEvent::Run(_, Ok(Some(FromRun::Event(Event::End { finish })))) => {
                let code = lines.printer.end(finish.map(|finish| *finish));
                // The directory of a run without any message is removed at its end.
                if run.path().exists() && steer::is_conversation(run) && !lines.printer.says_how_to_continue() {
                    context.printer.talk(format_args!("to continue the conversation: ccc resume {}", run.id()));
                }
                return Ok(code);
            }
            LineEvent::Run(_, Ok(Some(said))) => lines.hear(said)?,
            LineEvent::Run(_, Ok(None)) => return Err(steer::died(run)),
            LineEvent::Run(_, Err(error)) => return Err(steer::unreachable(&error)),
            LineEvent::Typed(Some(line)) => {
                if let Next::Left = lines.typed(line.trim())? {
                    return Ok(lines.leave());
                }
            }
            // Ctrl-D leaves. After the end of a pipe the client continues to watch.
            LineEvent::Typed(None) if context.stdin.is_terminal() => return Ok(lines.leave()),
            LineEvent::Typed(None) => {}
            LineEvent::Interrupted => {
                // The terminal has shown `^C` in the row of the cursor.
                context.printer.talk_raw("\n");
                lines.leave();
                return Ok(ExitCode::INTERRUPTED);
            }
        }
        if context.printer.reader_has_gone() {
            return Ok(ExitCode::COMPLETED);
        }
    }
    Err(steer::died(run))
}

impl Lines<'_> {
    fn hear(&mut self, said: FromRun) -> Result<(), CliError> {
        match said {
            // This client was too slow; it may be faster now.
            FromRun::Event(Event::Gone { .. }) => self.connect_again(),
            FromRun::Event(event) => {
                self.event(&event);
                Ok(())
            }
            FromRun::Reply { re, reply } => {
                self.replied(re, &reply);
                Ok(())
            }
            FromRun::Fault(fault) => Err(CliError::failed(fault.message)),
            FromRun::Greeting(_) | FromRun::Welcome(_) => Ok(()),
        }
    }

    fn connect_again(&mut self) -> Result<(), CliError> {
        let mut client = steer::connect(self.run, "attach", !self.read_only)?;
        let since = self.printer.told_until().saturating_sub(1);
        let from = client.follow(None, Some(since), false).map_err(|error| steer::unreachable(&error))?;
        let welcome = client.welcome().clone();
        self.printer.history(Some(since), Some(from))?;
        let (requests, listener, waiting) = client.split();
        (self.requests, self.link, self.asking) = (requests, self.link + 1, Asking::default());
        self.ordered.clear();
        self.joins(&welcome);
        for event in waiting {
            let _ = self.heard.send(LineEvent::Run(self.link, Ok(Some(FromRun::Event(event)))));
        }
        hear(listener, self.link, self.heard.clone());
        Ok(())
    }

    /// Shows what is open when the client connects.
    fn joins(&mut self, welcome: &Welcome) {
        for show in welcome.standing() {
            self.note(&show);
            if let Some(open) = Open::of(show).filter(|_| !self.read_only) {
                let text = self.asking.ask(open);
                self.tell(text);
            }
        }
    }

    fn event(&mut self, event: &Event) {
        let Event::Show(shown) = event else { return self.printer.event(event) };
        self.note(&shown.show);
        if let (Show::Asked { ask }, false) = (&shown.show, self.read_only) {
            // The block contains everything that the row would.
            let text = self.asking.ask(Open::Asked(ask.clone()));
            return self.tell(text);
        }
        self.printer.event(event);
        let text = if let (Show::Question { question, .. }, false) = (&shown.show, self.read_only) {
            self.asked_at = Some(Instant::now());
            self.asking.ask(Open::Question(question.clone()))
        } else if let Show::Settled { ask, .. } = &shown.show {
            self.asking.settled(ask.0)
        } else if let Show::Phase { phase, .. } = &shown.show
            && phase != "waiting"
        {
            self.asking.question_is_over()
        } else {
            None
        };
        self.tell(text);
    }

    /// Remembers parts of what is shown.
    fn note(&mut self, show: &Show) {
        if let Show::Phase { phase, detail, .. } = show {
            self.phase = (phase.clone(), detail.clone());
        }
        if let Show::Attended { clients } = show {
            self.attending = *clients;
        }
    }

    fn tell(&mut self, text: Option<String>) {
        let Some(text) = text else { return };
        self.asked_at = Some(Instant::now());
        self.context.printer.line(text.trim_end_matches('\n'));
    }

    fn replied(&mut self, re: u64, reply: &Reply) {
        if let Err(error) = steer::said(reply) {
            self.context.printer.warn(&error.message);
        }
        if let Some(queued) = steer::queued_in_words(reply) {
            self.context.printer.talk(queued);
        }
        let is_over = matches!(reply, Reply::Fault(fault) if matches!(fault.code, Code::NotOpen | Code::Ending));
        let is_taken = !matches!(reply, Reply::Fault(_));
        match self.ordered.remove(&re) {
            Some(Ordered::Answer) => {
                let text = self.asking.answered(is_taken || is_over);
                self.tell(text);
            }
            Some(Ordered::Other(said)) if is_taken && !said.is_empty() => self.context.printer.talk(said),
            Some(Ordered::Other(_)) | None => {}
        }
    }

    /// Performs what a typed line asks for.
    fn typed(&mut self, line: &str) -> Result<Next, CliError> {
        match line {
            "/detach" => return Ok(Next::Left),
            _ if self.read_only => {
                self.context.printer.talk("this terminal is read-only; to send messages, attach without --read-only");
                return Ok(Next::On);
            }
            "/help" => {
                self.context.printer.talk(HELP);
                return Ok(Next::On);
            }
            "/interrupt" => return self.order(&Request::Interrupt {}, "interrupted"),
            "/stop" => return self.order(&stop(), ""),
            "/judge" => return self.order(&Request::Judge {}, "the work is judged as soon as the agent stops"),
            _ => {}
        }
        if let Some(text) = line.strip_prefix("/say ") {
            return self.say(text);
        }
        if let Some(command) = command(line, self.budgets.as_ref(), span_ms) {
            return match command {
                Command::Detach => Ok(Next::Left),
                Command::Quit => self.order(&stop(), ""),
                Command::Help => {
                    self.context.printer.talk(HELP);
                    Ok(Next::On)
                }
                Command::Wrong(why) => {
                    self.context.printer.talk(why);
                    Ok(Next::On)
                }
                Command::Order(input, said) => match request_of(input) {
                    Some(request) => self.order(&request, &said),
                    None => Ok(Next::On),
                },
            };
        }
        let is_early = self.asked_at.is_some_and(|asked| asked.elapsed() < QUIET) && self.context.stdin.is_terminal();
        if is_early && self.asking.is_open() {
            self.context.printer.talk("this was typed before the question was shown: type it again");
            return Ok(Next::On);
        }
        match self.asking.typed(line) {
            Meant::Answer(request) => self.give(&request, Ordered::Answer).map(|()| Next::On),
            Meant::Shown(text) => {
                self.context.printer.line(text.trim_end_matches('\n'));
                Ok(Next::On)
            }
            Meant::ForTheAgent if line.is_empty() => Ok(Next::On),
            Meant::ForTheAgent => self.say(line),
        }
    }

    fn say(&mut self, text: &str) -> Result<Next, CliError> {
        let key = Some(uuid::Uuid::new_v4().simple().to_string());
        self.order(&Request::Say { key, text: text.to_owned(), images: Vec::new() }, "")
    }

    fn order(&mut self, request: &Request, said: &str) -> Result<Next, CliError> {
        self.give(request, Ordered::Other(said.to_owned())).map(|()| Next::On)
    }

    fn give(&mut self, request: &Request, ordered: Ordered) -> Result<(), CliError> {
        let number = self.requests.ask(request).map_err(|error| {
            CliError::failed(format!("the run cannot be reached: {error}")).hint("to list the runs: ccc runs")
        })?;
        self.ordered.insert(number, ordered);
        Ok(())
    }

    fn leave(&self) -> ExitCode {
        let (phase, detail) = &self.phase;
        let is_last = !self.read_only && self.attending <= 1 && !steer::has_interface(self.run);
        let then = if is_last { RestKind::when_left(phase, detail) } else { WhenLeft::GoesOn };
        self.context.printer.talk(left(self.run.id(), then));
        ExitCode::COMPLETED
    }
}

fn stop() -> Request {
    Request::Stop { reason: Some("ccc attach".to_owned()) }
}

/// Reads the run's events in a thread.
fn hear(mut listener: EventReceiver, link: u32, to: Sender<LineEvent>) {
    thread::spawn(move || {
        loop {
            let heard = listener.next();
            let is_last = !matches!(heard, Ok(Some(_)));
            if to.send(LineEvent::Run(link, heard)).is_err() || is_last {
                return;
            }
        }
    });
}

/// Reads the user's input in a thread, which ends with the process.
fn read_lines(to: Sender<LineEvent>) {
    thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let read = (&mut stdin).take(LINE_BYTES).read_until(b'\n', &mut line);
            let typed = read.is_ok_and(|count| count > 0).then(|| String::from_utf8_lossy(&line).into_owned());
            let is_last = typed.is_none();
            if to.send(LineEvent::Typed(typed)).is_err() || is_last {
                return;
            }
        }
    });
}
