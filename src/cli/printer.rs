//! The only place that writes to stdout and stderr: data to stdout, messages to stderr.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::once::Once;
use super::{CliError, ExitCode};
use crate::config::Env;
use crate::config::env::NO_COLOR;
use crate::ui::{clean, columns, harmless_json, rows};

/// The width of a terminal that does not report one.
const DEFAULT_COLUMNS: u16 = 80;

/// Stdout and stderr. A reader that has gone away (`ccc runs | head -1`) or a terminal that has hung up is neither an error nor a
/// panic: nothing more is written there. Any other failure, such as a full disk, is kept for [`Printer::fault`].
pub struct Printer {
    out: Mutex<Stream>,
    err: Mutex<Stream>,
    color_out: bool,
    color_err: bool,
    columns: Width,
    columns_err: Width,
    once: Once,
}

/// The width to which a stream's text is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    /// Of this process's stdout or stderr, which may be a terminal that changes its size.
    OfStdout,
    OfStderr,
    /// Always this; `None` for a pipe or a file.
    Fixed(Option<u16>),
}

impl Width {
    fn columns(self) -> Option<u16> {
        match self {
            Width::OfStdout => columns_of(io::stdout()),
            Width::OfStderr => columns_of(io::stderr()),
            Width::Fixed(columns) => columns,
        }
    }
}

struct Stream {
    to: Box<dyn Write + Send>,
    gone: bool,
    fault: Option<io::Error>,
}

/// The text without terminal control sequences; colours stay if the stream has them.
fn harmless(text: &str, colored: bool) -> String {
    if !colored {
        return clean::data(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\x1b[") {
        let (before, sequence) = rest.split_at(at);
        out.push_str(&clean::data(before));
        let parameters = |c: char| c.is_ascii_digit() || c == ';';
        let after = sequence.get(2..).unwrap_or_default().trim_start_matches(parameters);
        rest = match after.strip_prefix('m') {
            Some(after) => {
                out.push_str(sequence.strip_suffix(after).unwrap_or_default());
                after
            }
            // Other sequences are removed or made visible.
            None => {
                out.push_str(&clean::data(sequence.get(..1).unwrap_or_default()));
                sequence.get(1..).unwrap_or_default()
            }
        };
    }
    out.push_str(&clean::data(rest));
    out
}

/// A text after a lead, in rows for a terminal of `columns`.
fn shown(lead: &str, text: &str, colored: bool, columns: Option<u16>) -> String {
    let hang = columns::of_shown(lead);
    let rows = rows::message(&harmless(text, colored), hang, columns).join("\n");
    format!("{}{rows}\n", harmless(lead, colored))
}

impl Printer {
    /// The streams of this process; coloured where they are terminals and `NO_COLOR` is not set.
    #[must_use]
    pub fn of_process(env: &Env) -> Self {
        let color = env.get(NO_COLOR).is_none();
        Self {
            color_out: color && io::stdout().is_terminal(),
            color_err: color && io::stderr().is_terminal(),
            columns: Width::OfStdout,
            columns_err: Width::OfStderr,
            out: Mutex::new(Stream::new(Box::new(io::stdout()))),
            err: Mutex::new(Stream::new(Box::new(io::stderr()))),
            once: Once::default(),
        }
    }

    /// Other streams, without colour.
    #[must_use]
    pub fn to(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        Self {
            out: Mutex::new(Stream::new(out)),
            err: Mutex::new(Stream::new(err)),
            color_out: false,
            color_err: false,
            columns: Width::Fixed(None),
            columns_err: Width::Fixed(None),
            once: Once::default(),
        }
    }

    /// Treats both as terminals of this width.
    #[must_use]
    pub fn with_columns(mut self, columns: u16) -> Self {
        (self.columns, self.columns_err) = (Width::Fixed(Some(columns)), Width::Fixed(Some(columns)));
        self
    }

    /// The width of stdout's terminal; `None` for a pipe or a file, where lines may have any length.
    #[must_use]
    pub fn columns(&self) -> Option<u16> {
        self.columns.columns()
    }

    /// How many rows stdout's terminal has; `None` when it is no terminal of this process.
    #[must_use]
    pub fn rows(&self) -> Option<u16> {
        match self.columns {
            Width::OfStdout => rows_of(io::stdout()),
            Width::OfStderr | Width::Fixed(_) => None,
        }
    }

    /// The line as [`Printer::line`] writes it.
    #[must_use]
    pub fn in_columns(&self, line: &str) -> String {
        shown("", line, self.color_out, self.columns())
    }

    /// Whether stdout takes colour.
    #[must_use]
    pub fn color_out(&self) -> bool {
        self.color_out
    }

    /// Whether nobody reads stdout any more.
    #[must_use]
    pub fn reader_has_gone(&self) -> bool {
        lock(&self.out).gone
    }

    /// Writes data to stdout unchanged.
    pub fn data(&self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Writes bytes to stdout unchanged.
    pub fn bytes(&self, bytes: &[u8]) {
        lock(&self.out).write(bytes);
    }

    /// Writes a line to stdout, wrapped to its terminal. Control sequences are removed except ccc's own colours.
    pub fn line(&self, line: impl fmt::Display) {
        self.behind("", line);
    }

    /// Writes lines to stdout as [`Printer::line`] does, all at once: of a long list each alone would be a call of the system.
    pub fn lines(&self, lines: impl IntoIterator<Item = impl fmt::Display>) {
        let columns = self.columns();
        let lines = lines.into_iter().map(|line| shown("", &line.to_string(), self.color_out, columns));
        self.data(&lines.collect::<String>());
    }

    /// Writes a line to stdout after a lead, such as a label. On a terminal it is wrapped, and later rows are aligned
    /// under the first.
    pub fn behind(&self, lead: &str, text: impl fmt::Display) {
        self.data(&shown(lead, &text.to_string(), self.color_out, self.columns()));
    }

    /// Writes a JSON text and a line end to stdout. Control and invisible characters are written as escapes.
    pub fn json(&self, json: impl fmt::Display) {
        self.data(&format!("{}\n", harmless_json(&json.to_string())));
    }

    /// Writes the value as indented JSON, and a line end, to stdout: all that a command says.
    ///
    /// # Errors
    /// When the value has no form in JSON.
    pub(super) fn only_json(&self, value: &impl Serialize) -> Result<ExitCode, CliError> {
        self.json(serde_json::to_string_pretty(value).map_err(CliError::failed)?);
        Ok(ExitCode::COMPLETED)
    }

    /// Writes a message to stderr, wrapped to its terminal. Control sequences are removed except ccc's own colours.
    pub fn talk(&self, line: impl fmt::Display) {
        self.talk_behind("", line);
    }

    /// Writes a message after a bold or coloured lead. Later rows are aligned under the first.
    pub fn talk_behind(&self, lead: &str, text: impl fmt::Display) {
        self.talk_raw(&shown(lead, &text.to_string(), self.color_err, self.columns_err.columns()));
    }

    /// Writes a message to stderr unchanged.
    pub fn talk_raw(&self, text: &str) {
        lock(&self.err).write(text.as_bytes());
    }

    /// Writes a warning to stderr.
    pub fn warn(&self, text: impl fmt::Display) {
        self.talk_behind(&format!("{} ", self.paint_err(Paint::Yellow, "warning:")), text);
    }

    /// Writes a warning that each run with the same settings would give: in the runs of a list only the first does.
    pub fn warn_of_settings(&self, text: impl fmt::Display) {
        if self.once.is_new(&text) {
            self.warn(text);
        }
    }

    /// Leaves out the warnings about settings that stand in this file, and adds others to it.
    pub fn warn_once_by(&self, file: PathBuf) {
        self.once.remember_in(file);
    }

    /// The file of [`Self::warn_once_by`].
    pub fn warned(&self) -> Option<&Path> {
        self.once.file()
    }

    /// Writes an error to stderr, and the hint below it.
    pub fn error(&self, message: impl fmt::Display, hint: Option<&str>) {
        self.talk_behind(&format!("{} ", self.paint_err(Paint::Red, "error:")), message);
        if let Some(hint) = hint {
            self.hint(hint);
        }
    }

    /// Writes what can be done about what was said.
    pub fn hint(&self, hint: impl fmt::Display) {
        self.talk_behind(&format!("  {} ", self.paint_err(Paint::Bold, "hint:")), hint);
    }

    /// The text in a colour, if stdout has colours.
    #[must_use]
    pub fn paint(&self, paint: Paint, text: &str) -> String {
        paint.wrap(text, self.color_out)
    }

    /// The text in a colour, if stderr has colours.
    #[must_use]
    pub fn paint_err(&self, paint: Paint, text: &str) -> String {
        paint.wrap(text, self.color_err)
    }

    /// Why data could not be written, unless the reader had gone away. It is returned once.
    #[must_use]
    pub fn fault(&self) -> Option<io::Error> {
        lock(&self.out).fault.take()
    }
}

/// The width of the stream's terminal; `None` when it is no terminal.
fn columns_of(stream: impl IsTerminal + AsFd) -> Option<u16> {
    if !stream.is_terminal() {
        return None;
    }
    let said = rustix::termios::tcgetwinsize(&stream).map_or(0, |size| size.ws_col);
    Some(if said > 0 { said } else { DEFAULT_COLUMNS })
}

/// The height of the stream's terminal; `None` when it is no terminal, or does not say.
fn rows_of(stream: impl IsTerminal + AsFd) -> Option<u16> {
    let said = stream.is_terminal().then(|| rustix::termios::tcgetwinsize(&stream).ok());
    said.flatten().map(|size| size.ws_row).filter(|rows| *rows > 0)
}

impl fmt::Debug for Printer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Printer")
            .field("color_out", &self.color_out)
            .field("color_err", &self.color_err)
            .finish_non_exhaustive()
    }
}

impl Stream {
    fn new(to: Box<dyn Write + Send>) -> Self {
        Self { to, gone: false, fault: None }
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.gone {
            return;
        }
        if let Err(error) = self.to.write_all(bytes).and_then(|()| self.to.flush()) {
            self.gone = true;
            // A terminal that has hung up answers EIO.
            let nobody_there = error.kind() == io::ErrorKind::BrokenPipe
                || error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
            if !nobody_there {
                self.fault = Some(error);
            }
        }
    }
}

/// Ignores poisoning, because a panic while writing leaves no state that matters here.
fn lock(stream: &Mutex<Stream>) -> std::sync::MutexGuard<'_, Stream> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The colours in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// Good.
    Green,
    /// A warning.
    Yellow,
    /// Bad.
    Red,
    /// Less important.
    Dim,
    /// More important.
    Bold,
}

impl Paint {
    fn wrap(self, text: &str, color: bool) -> String {
        if !color {
            return text.to_owned();
        }
        let code = match self {
            Paint::Green => "32",
            Paint::Yellow => "33",
            Paint::Red => "31",
            Paint::Dim => "2",
            Paint::Bold => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::{Printer, harmless};

    #[test]
    fn of_what_acts_on_a_terminal_only_our_colours_get_there() {
        let text = "\x1b[31mred\x1b[0m \x1b[2J\x1b]0;title\u{7} \u{9b}2J\u{200b}.\tend\n";
        assert_eq!(harmless(text, true), "\x1b[31mred\x1b[0m \u{241b}[2J\u{241b}]0;title\u{2407} \u{fffd}.\tend\n");
        assert_eq!(harmless(text, false), "red \u{241b}]0;title\u{2407} \u{fffd}.\tend\n");
    }

    /// Fails each write with this error and counts the tries.
    struct Broken(i32, Arc<Mutex<u32>>);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            *self.1.lock().expect("lock") += 1;
            Err(io::Error::from_raw_os_error(self.0))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_fault_and_nothing_more_is_written() {
        for errno in [rustix::io::Errno::PIPE, rustix::io::Errno::IO] {
            let tries = Arc::new(Mutex::new(0));
            let printer = Printer::to(Box::new(Broken(errno.raw_os_error(), Arc::clone(&tries))), Box::new(io::sink()));
            printer.line("one");
            printer.line("two");
            assert!(printer.fault().is_none(), "{errno:?}");
            assert_eq!(*tries.lock().expect("lock"), 1);
        }
    }

    #[test]
    fn a_row_is_no_longer_than_the_terminal_and_ends_between_words() {
        use crate::cli::captured::Captured;
        use crate::ui::columns;

        let command = "ccc resume 20261127-084409-q3px";
        let text =
            format!("one two-three four five six seven eight nine ten eleven twelve, and then: {command}; or wait");
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for width in [20, 40, 60, 80, 120] {
            let seen = Captured::default();
            let printer = seen.context(std::path::Path::new("/"), Some(width)).printer;
            printer.line(&text);
            printer.behind("a label  ", &text);
            printer.talk(&text);
            printer.warn(&text);
            printer.error(&text, Some(&text));
            for (shown, times) in [(seen.text(), 2), (seen.messages(), 4)] {
                for row in shown.lines() {
                    let fits = columns::of(row) <= usize::from(width) || row.trim() == command;
                    assert!(fits, "{width}: {row:?} in\n{shown}");
                }
                assert_eq!(shown.matches(command).count(), times, "{width}: whole\n{shown}");
                assert!(shown.lines().all(|row| !row.contains(command) || row.ends_with(command)), "{width}:\n{shown}");
                let ours = ["a", "label", "warning:", "error:", "hint:"];
                let kept: Vec<_> = words(&shown).into_iter().filter(|word| !ours.contains(&word.as_str())).collect();
                let expected = words(&text.replace("; or", " or").repeat(times).replace("waitone", "wait one"));
                assert_eq!(kept, expected, "{width}: no word is broken or lost");
            }
        }
        let seen = Captured::default();
        seen.context(std::path::Path::new("/"), None).printer.line(&text);
        assert_eq!(seen.text(), format!("{text}\n"), "a pipe gets it as it is");
    }

    #[test]
    fn a_full_disk_is_a_fault() {
        let printer = Printer::to(
            Box::new(Broken(rustix::io::Errno::NOSPC.raw_os_error(), Arc::new(Mutex::new(0)))),
            Box::new(io::sink()),
        );
        printer.line("one");
        let fault = printer.fault().expect("a fault");
        assert_eq!(fault.kind(), io::ErrorKind::StorageFull);
        assert!(printer.fault().is_none(), "told once");
    }
}
