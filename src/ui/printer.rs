use super::{Banner, Ending, Json, Plain, ScreenOutput, Standing, Stream, StreamJson, Style};
use crate::agent::Role;
use crate::core::{Show, Tick};

/// What the user asked for with `--output-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// One object at the end.
    Json,
    /// One object per event.
    StreamJson,
}

/// Turns what happens into text. Pure: the same calls give the same outputs.
#[derive(Debug, Clone)]
pub enum Printer {
    /// For people.
    Plain(Plain),
    /// One object at the end; the talk of the form for people on stderr.
    Json(Json, Plain),
    /// One object per event; the bounds in force on stderr.
    StreamJson(StreamJson, Plain),
}

impl Printer {
    /// A printer of this form. `style` is that of the talk on stderr.
    #[must_use]
    pub fn new(form: Form, style: Style) -> Printer {
        match form {
            Form::Text => Printer::Plain(Plain::new(style)),
            Form::Json => Printer::Json(Json, Plain::new(style)),
            Form::StreamJson => Printer::StreamJson(StreamJson::default(), Plain::new(style)),
        }
    }

    /// What is said before anything happens; may be empty.
    pub fn start(&mut self, tick: Tick, banner: &Banner) -> Vec<ScreenOutput> {
        match self {
            Printer::Plain(plain) | Printer::Json(_, plain) => vec![plain.start(tick, banner)],
            Printer::StreamJson(stream, plain) => vec![plain.start(tick, banner), stream.start(tick, banner)],
        }
    }

    /// Paths below this directory are shown without it. [`Printer::start`] says so itself; a replay has no banner.
    pub fn in_directory(&mut self, cwd: &str) {
        match self {
            Printer::Plain(plain) | Printer::Json(_, plain) => plain.in_directory(cwd),
            Printer::StreamJson(..) => {}
        }
    }

    /// The times of resets are told in this zone; in UTC unless this is called.
    pub fn in_zone(&mut self, zone: jiff::tz::TimeZone) {
        match self {
            Printer::Plain(plain) | Printer::Json(_, plain) | Printer::StreamJson(_, plain) => plain.in_zone(zone),
        }
    }

    /// The wall clock shows this at this tick: from now on events are told with the time of day.
    pub fn clock(&mut self, tick: Tick, unix_ms: i64) {
        match self {
            Printer::Plain(plain) | Printer::Json(_, plain) => plain.clock(tick, unix_ms),
            Printer::StreamJson(stream, _) => stream.clock(tick, unix_ms),
        }
    }

    /// What the run waits for now; the status line tells it.
    pub fn standing(&mut self, standing: Option<Standing>) {
        match self {
            Printer::Plain(plain) | Printer::Json(_, plain) => plain.standing(standing),
            Printer::StreamJson(..) => {}
        }
    }

    /// Whether parts of a text are shown while it is said.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match self {
            Printer::Plain(plain) | Printer::Json(_, plain) => plain.is_live(),
            Printer::StreamJson(..) => false,
        }
    }

    /// What takes the status line away; empty where there is none.
    #[must_use]
    pub fn erased(&self) -> String {
        if self.is_live() { super::ERASE.to_owned() } else { String::new() }
    }

    /// A part of a text that is being said; the whole of it follows as an event.
    pub fn partial(&mut self, tick: Tick, role: Role, text: &str) -> ScreenOutput {
        match self {
            Printer::Plain(plain) | Printer::Json(_, plain) => plain.partial(tick, role, text),
            Printer::StreamJson(..) => ScreenOutput::talk(String::new()),
        }
    }

    /// What is said of an event; may be empty.
    pub fn render(&mut self, tick: Tick, show: &Show) -> ScreenOutput {
        match self {
            Printer::Plain(plain) | Printer::Json(_, plain) => plain.render(tick, show),
            Printer::StreamJson(stream, _) => stream.render(tick, show),
        }
    }

    /// The status line as of now, where there is one. To be called at most once a second.
    pub fn status(&mut self, tick: Tick) -> Option<ScreenOutput> {
        match self {
            Printer::Plain(plain) | Printer::Json(_, plain) => plain.status(tick),
            Printer::StreamJson(..) => None,
        }
    }

    /// The terminal has another width now. The next output is made for it; [`Printer::status`] gives one at once.
    pub fn resize(&mut self, columns: u16) {
        match self {
            Printer::Plain(plain) | Printer::Json(_, plain) => plain.resize(columns),
            Printer::StreamJson(..) => {}
        }
    }

    /// What is said at the end, in this order.
    pub fn finish(&mut self, tick: Tick, ending: &Ending<'_>) -> Vec<ScreenOutput> {
        match self {
            Printer::Plain(plain) => plain.finish(tick, ending),
            Printer::Json(json, plain) => {
                let talk = plain.finish(tick, ending).into_iter().filter(|output| output.stream == Stream::Err);
                talk.chain([json.finish(tick, ending)]).collect()
            }
            Printer::StreamJson(stream, _) => vec![stream.finish(tick, ending)],
        }
    }
}
