use super::{Awaited, Banner, Ending, Json, Plain, ScreenOutput, Stream, StreamJson, Style};
use crate::agent::Role;
use crate::core::{Show, Tick};

/// The choices of `--output-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// One object at the end.
    Json,
    /// One object per event.
    StreamJson,
}

/// Turns events into text. Pure: the same calls give the same outputs.
#[derive(Debug, Clone)]
pub enum Printer {
    /// For people.
    Plain(Plain),
    /// One object at the end; on stderr the messages of the form for people.
    Json(Json, Plain),
    /// One object per event; on stderr the bounds in force.
    StreamJson(StreamJson, Plain),
}

impl Printer {
    /// A printer of this form. `style` is the style of the messages on stderr.
    #[must_use]
    pub fn new(form: Form, style: Style) -> Printer {
        match form {
            Form::Text => Printer::Plain(Plain::new(style)),
            Form::Json => Printer::Json(Json, Plain::new(style)),
            Form::StreamJson => Printer::StreamJson(StreamJson::default(), Plain::new(style)),
        }
    }

    /// The output before the first event; may be empty.
    pub fn start(&mut self, tick: Tick, banner: &Banner) -> Vec<ScreenOutput> {
        match self {
            Printer::Plain(plain) | Printer::Json(_, plain) => vec![plain.start(tick, banner)],
            Printer::StreamJson(stream, plain) => vec![plain.start(tick, banner), stream.start(tick, banner)],
        }
    }

    /// Shortens paths below this directory. [`Printer::start`] calls this too; a replay must, because it has no banner.
    pub fn in_directory(&mut self, cwd: &str) {
        match self {
            Printer::Plain(plain) | Printer::Json(_, plain) => plain.in_directory(cwd),
            Printer::StreamJson(..) => {}
        }
    }

    /// Shows a text line by line while it arrives, also without a terminal.
    pub fn line_by_line(&mut self) {
        match self {
            Printer::Plain(plain) | Printer::Json(_, plain) => plain.line_by_line(),
            Printer::StreamJson(..) => {}
        }
    }

    /// Sets the time zone of all times shown; UTC by default.
    pub fn in_zone(&mut self, zone: jiff::tz::TimeZone) {
        match self {
            Printer::Plain(plain) | Printer::Json(_, plain) | Printer::StreamJson(_, plain) => plain.in_zone(zone),
        }
    }

    /// Sets the wall clock at a tick. From then on events have the time of day.
    pub fn clock(&mut self, tick: Tick, unix_ms: i64) {
        match self {
            Printer::Plain(plain) | Printer::Json(_, plain) => plain.clock(tick, unix_ms),
            Printer::StreamJson(stream, _) => stream.clock(tick, unix_ms),
        }
    }

    /// Sets what the run waits for now, which the status line shows.
    pub fn standing(&mut self, standing: Option<Awaited>) {
        match self {
            Printer::Plain(plain) | Printer::Json(_, plain) => plain.standing(standing),
            Printer::StreamJson(..) => {}
        }
    }

    /// Whether a text in progress is shown in parts.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match self {
            Printer::Plain(plain) | Printer::Json(_, plain) => plain.is_live(),
            Printer::StreamJson(..) => false,
        }
    }

    /// The sequence that erases the status line; empty if there is none.
    #[must_use]
    pub fn erased(&self) -> String {
        if self.is_live() { super::ERASE.to_owned() } else { String::new() }
    }

    /// A part of a text in progress. The whole text follows as an event.
    pub fn partial(&mut self, tick: Tick, role: Role, text: &str) -> ScreenOutput {
        match self {
            Printer::Plain(plain) | Printer::Json(_, plain) => plain.partial(tick, role, text),
            Printer::StreamJson(..) => ScreenOutput::talk(String::new()),
        }
    }

    /// The output for an event; may be empty.
    pub fn render(&mut self, tick: Tick, show: &Show) -> ScreenOutput {
        match self {
            Printer::Plain(plain) | Printer::Json(_, plain) => plain.render(tick, show),
            Printer::StreamJson(stream, _) => stream.render(tick, show),
        }
    }

    /// The present status line, if there is one. Call this at most once a second.
    pub fn status(&mut self, tick: Tick) -> Option<ScreenOutput> {
        match self {
            Printer::Plain(plain) | Printer::Json(_, plain) => plain.status(tick),
            Printer::StreamJson(..) => None,
        }
    }

    /// Sets the terminal's new width for the next output; [`Printer::status`] gives one at once.
    pub fn resize(&mut self, columns: u16) {
        match self {
            Printer::Plain(plain) | Printer::Json(_, plain) => plain.resize(columns),
            Printer::StreamJson(..) => {}
        }
    }

    /// The outputs at the end, in this order.
    pub fn finish(&mut self, tick: Tick, ending: &Ending<'_>) -> Vec<ScreenOutput> {
        match self {
            Printer::Plain(plain) => plain.finish(tick, ending),
            Printer::Json(json, plain) => {
                // The result is a field of the object.
                let ending = &Ending { labels_result: false, ..*ending };
                let talk = plain.finish(tick, ending).into_iter().filter(|output| output.stream == Stream::Err);
                talk.chain([json.finish(tick, ending)]).collect()
            }
            Printer::StreamJson(stream, _) => vec![stream.finish(tick, ending)],
        }
    }
}
