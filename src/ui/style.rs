/// The properties of the output that printers need. [`Style::decide`] decides them once, outside the printers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Colours may be used.
    pub colour: bool,
    /// Whether stderr is a terminal with a movable cursor, so that a status line is at the bottom.
    pub live: bool,
    /// Whether text is wrapped to `columns`: on every terminal, also where no status line is.
    pub wraps: bool,
    /// The width of that terminal.
    pub columns: u16,
}

/// The width of a terminal that does not report one.
const DEFAULT_COLUMNS: u16 = 80;

impl Style {
    /// For pipes and files: one line per event, no colour.
    pub const PIPED: Style = Style { colour: false, live: false, wraps: false, columns: DEFAULT_COLUMNS };

    /// For a terminal of this width whose cursor stays where it is: rows that are wrapped, and no status line.
    #[must_use]
    pub fn in_rows(colour: bool, columns: Option<u16>) -> Style {
        let Some(columns) = columns.filter(|&columns| columns > 0) else { return Style { colour, ..Style::PIPED } };
        Style { colour, live: false, wraps: true, columns }
    }

    /// Decides from facts about stderr: whether it is a terminal, the values of `NO_COLOR` (off when set and not
    /// empty, see no-color.org) and `TERM` (`dumb` cannot move its cursor), and its columns when known.
    #[must_use]
    pub fn decide(is_terminal: bool, no_color: Option<&str>, term: Option<&str>, columns: Option<u16>) -> Style {
        if !is_terminal {
            return Style::PIPED;
        }
        let columns = columns.filter(|&c| c > 0).unwrap_or(DEFAULT_COLUMNS);
        if term == Some("dumb") {
            return Style::in_rows(false, Some(columns));
        }
        Style { colour: no_color.is_none_or(str::is_empty), live: true, wraps: true, columns }
    }

    /// `text` in `ink`, if colours may be used. `text` must have no colours.
    pub(super) fn paint(self, ink: Ink, text: &str) -> String {
        if self.colour && !text.is_empty() { format!("\x1b[{}m{text}\x1b[0m", ink.code()) } else { text.to_owned() }
    }
}

/// The colours in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    Bold,
    Dim,
    Good,
    Bad,
    Warn,
    Tool,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Ink::Bold => "1",
            Ink::Dim => "2",
            Ink::Good => "32",
            Ink::Bad => "31",
            Ink::Warn => "33",
            Ink::Tool => "36",
        }
    }
}
