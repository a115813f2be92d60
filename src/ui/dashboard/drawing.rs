//! The frame: the list or the inbox, below it what the selected agent does or asks, then a text that is typed, and the footer.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Position;
use ratatui_core::style::{Color, Modifier, Style};
use ratatui_core::terminal::Frame;

use super::super::clean;
use super::super::columns;
use super::super::conversation::editing::framed;
use super::super::format::{self, count};
use super::super::paint::{Colour, Look, Row, View};
use super::agents::{Agent, OpenRequest, Standing};
use super::{Dashboard, Mode, TypedFor, help};

/// What stands where nothing is known.
const UNKNOWN: &str = "–";
/// How many rows of a text that is typed are shown.
const TEXT_ROWS: usize = 4;
/// How many questions stand below the list.
const ASKS_ROWS: usize = 3;
/// How deep a tree is indented.
const DEPTH_SHOWN: usize = 6;
/// The widths from which columns are shown.
const NUMBERS_FROM: usize = 60;
const CONTEXT_FROM: usize = 100;
/// How many characters of the reason for which an agent waits are shown.
const WHY_CHARS: usize = 400;
/// The least width of the last action.
const ACTION_COLUMNS: usize = 8;

/// Where everything stands, in rows from the top.
struct Layout {
    title: usize,
    head: usize,
    list: usize,
    asks: usize,
    rule: usize,
    shared: usize,
    pane: usize,
    note: usize,
    text: usize,
}

impl Dashboard {
    /// Draws the frame.
    pub fn draw(&self, frame: &mut Frame<'_>, at: u64, now_unix_ms: i64) {
        let area = frame.area();
        let (columns, rows) = (usize::from(area.width), usize::from(area.height));
        if columns == 0 || rows == 0 {
            return;
        }
        let text = self.text_view(columns);
        let layout = self.layout(rows, text.as_ref().map_or(0, |text| text.rows.len()), self.note.is_some());
        let buffer = frame.buffer_mut();
        let mut y = 0;
        let put_all = |buffer: &mut Buffer, rows: Vec<Row>, room: usize, y: &mut usize| {
            for (offset, row) in rows.iter().take(room).enumerate() {
                put(buffer, *y + offset, row, columns);
            }
            *y += room;
        };
        put_all(buffer, vec![self.title()], layout.title, &mut y);
        if let Mode::Help { first } = self.mode {
            let room = rows.saturating_sub(layout.title + 1);
            put_all(buffer, help_rows(first, columns, room), room, &mut y);
        } else {
            match &self.mode {
                Mode::Inbox { .. } => {
                    let head = Row::of(Look::DIM, "  the questions of all agents, the oldest first");
                    put_all(buffer, vec![head], layout.head, &mut y);
                    put_all(buffer, self.inbox_rows(layout.list, columns, now_unix_ms), layout.list, &mut y);
                }
                Mode::Agents
                | Mode::Typing { .. }
                | Mode::Answering { .. }
                | Mode::Stopping { .. }
                | Mode::Help { .. } => {
                    let (head, list) = self.agent_rows(layout.list, columns, now_unix_ms);
                    put_all(buffer, vec![head], layout.head, &mut y);
                    put_all(buffer, list, layout.list, &mut y);
                }
            }
            put_all(buffer, self.ask_rows(layout.asks, columns, now_unix_ms), layout.asks, &mut y);
            put_all(buffer, vec![self.rule(columns)], layout.rule, &mut y);
            put_all(buffer, self.shared_row(columns).into_iter().collect(), layout.shared, &mut y);
            put_all(buffer, self.pane_rows(layout.pane, columns, at, now_unix_ms), layout.pane, &mut y);
            let note = self.note.as_ref().map(|(note, _)| Row::of(Look::of(Colour::Yellow), note).cut(columns));
            put_all(buffer, note.into_iter().collect(), layout.note, &mut y);
            let cursor = text.as_ref().map(|text| text.cursor);
            let text_at = y;
            put_all(buffer, text.map(|text| text.rows).unwrap_or_default(), layout.text, &mut y);
            if let (Some((x, row)), true) = (cursor, layout.text > 0) {
                let row = usize::from(row).min(layout.text - 1);
                let y = u16::try_from(text_at + row).unwrap_or(u16::MAX);
                frame.set_cursor_position(Position { x: x.min(area.width - 1), y });
            }
        }
        put(frame.buffer_mut(), rows - 1, &self.footer(columns, now_unix_ms), columns);
    }

    /// How many rows of the transcript are shown.
    pub(super) fn transcript_rows(&self) -> usize {
        let text = self.text_view(usize::from(self.size.columns)).map_or(0, |text| text.rows.len());
        self.layout(usize::from(self.size.rows), text, self.note.is_some()).pane
    }

    /// Divides the rows of the screen. The footer has the last row.
    fn layout(&self, rows: usize, text: usize, has_note: bool) -> Layout {
        let mut left = rows.saturating_sub(1);
        let mut take = |wanted: usize, keeps: usize| {
            let taken = wanted.min(left.saturating_sub(keeps));
            left -= taken;
            taken
        };
        // A text that is typed, or an answer, comes before all else.
        let text = take(text, 0);
        let note = take(usize::from(has_note), 1);
        let title = take(1, 2);
        let head = take(usize::from(rows >= 8), 2);
        let asked = self.inbox().len();
        let asks = match self.mode {
            Mode::Agents | Mode::Typing { .. } | Mode::Stopping { .. } if rows >= 14 => take(asked.min(ASKS_ROWS), 8),
            Mode::Agents
            | Mode::Typing { .. }
            | Mode::Stopping { .. }
            | Mode::Inbox { .. }
            | Mode::Answering { .. }
            | Mode::Help { .. } => 0,
        };
        let wanted = match self.mode {
            Mode::Inbox { .. } => asked.max(1),
            // What is asked needs the room.
            Mode::Answering { .. } => self.agents.all().len().clamp(1, 3),
            Mode::Agents | Mode::Typing { .. } | Mode::Stopping { .. } | Mode::Help { .. } => {
                self.agents.all().len().max(1)
            }
        };
        let half = left.div_ceil(2).max(1);
        let list = wanted.min(half).min(left);
        left -= list;
        let rule = usize::from(left >= 2);
        let shared = usize::from(left >= 4 && self.shared_row(1).is_some());
        Layout { title, head, list, asks, rule, shared, pane: left - rule - shared, note, text }
    }

    fn title(&self) -> Row {
        let agents = self.agents.all();
        let mut row = Row::of(Look::BOLD, "ccc").and(Look::DIM, " · ");
        row.push(Look::PLAIN, &count(agents.len(), "agent"));
        let active = agents.iter().filter(|agent| agent.is_active()).count();
        if active > 0 {
            row.push(Look::PLAIN, &format!(" · {active} active"));
        }
        let asks = self.inbox().len();
        if asks > 0 {
            row.push(Look::DIM, " · ");
            row.push(Look { bold: true, ..Look::of(Colour::Yellow) }, &count(asks, "question"));
        }
        let sharing = self.shared.count();
        if sharing > 0 {
            row.push(Look::DIM, " · ");
            row.push(Look::of(Colour::Yellow), &format!("{sharing} change the same files"));
        }
        row
    }

    /// The heading and the agents around the selected one.
    fn agent_rows(&self, room: usize, columns: usize, now_unix_ms: i64) -> (Row, Vec<Row>) {
        let agents = self.agents.all();
        if agents.is_empty() {
            let text =
                if self.is_listed { "  no agents yet; n starts one, as does: ccc new \"TASK\"" } else { "  …" };
            return (Row::new(), vec![Row::of(Look::DIM, text).cut(columns)]);
        }
        let first = window(self.selected_at, agents.len(), room);
        let shown: Vec<&Agent> = agents.iter().skip(first).take(room).collect();
        let states: Vec<(String, Look)> = shown.iter().map(|agent| agent.state()).collect();
        let names: Vec<String> = shown.iter().map(|agent| name(agent)).collect();
        let widest = |texts: &mut dyn Iterator<Item = &str>| texts.map(columns::of).max().unwrap_or(0);
        let name_columns = widest(&mut names.iter().map(String::as_str)).clamp(5, (columns / 3).clamp(5, 28));
        let state_columns = widest(&mut states.iter().map(|(word, _)| word.as_str())).clamp(5, 13);
        let has_numbers = columns >= NUMBERS_FROM;
        let has_context = columns >= CONTEXT_FROM || has_numbers && shown.iter().any(|agent| agent.context().is_some());
        let cells = |name: &str, state: (&str, Look), rest: [&str; 4], action: &str, look: Look| {
            let [age, iteration, cost, context] = rest;
            let mut row = Row::of(look, &padded(name, name_columns)).and(look, "  ");
            row.push(state.1, &padded(state.0, state_columns));
            row.push(look, &format!("  {age:>7}"));
            if has_numbers {
                row.push(look, &format!("  {iteration:>4}  {cost:>7}"));
            }
            if has_context {
                row.push(look, &format!("  {context:>4}"));
            }
            let left = columns.saturating_sub(row.columns() + 2 + MARK_COLUMNS);
            if left >= ACTION_COLUMNS {
                row.push(look, "  ");
                row.push(look, &columns::cut(action, left));
            }
            row
        };
        let mut head = Row::of(Look::DIM, NO_MARK);
        head.append(&cells("AGENT", ("STATE", Look::DIM), ["AGE", "ITER", "COST", "CTX"], "LAST ACTION", Look::DIM));
        let rows = shown.iter().zip(names.iter().zip(&states)).map(|(agent, (name, (word, look)))| {
            let unknown = || UNKNOWN.to_owned();
            let age = format::seconds(agent.age_ms(now_unix_ms));
            let iteration = agent.iteration().map_or_else(unknown, |iteration| iteration.to_string());
            let cost = agent.cost_usd().map_or_else(unknown, |usd| format::money(Some(usd)));
            let context = agent.context().map_or_else(unknown, |used| format::context(&used));
            let action = agent.last_action().unwrap_or_else(unknown);
            let rest = [age.as_str(), iteration.as_str(), cost.as_str(), context.as_str()];
            let is_selected = self.is_selected(&agent.listed.id);
            let plain = if agent.is_active() { Look::PLAIN } else { Look::DIM };
            let shares = self.shared.has(&agent.listed.id);
            marked(cells(name, (word, *look), rest, &action, plain), is_selected, shares, columns)
        });
        (head, rows.collect())
    }

    /// The questions of all agents around the selected one.
    fn inbox_rows(&self, room: usize, columns: usize, now_unix_ms: i64) -> Vec<Row> {
        let inbox = self.inbox();
        if inbox.is_empty() {
            return vec![Row::of(Look::DIM, "  no agent asks anything; Esc leads back")];
        }
        let here = self.inbox_at(inbox.iter().map(|(agent, open)| (agent.listed.id.as_str(), open.id)));
        let first = window(here, inbox.len(), room);
        let rows = inbox.iter().enumerate().skip(first).take(room);
        rows.map(|(at, (agent, open))| marked(question(agent, open, now_unix_ms), at == here, false, columns)).collect()
    }

    /// The oldest questions, below the list. If not all fit, the last row counts the rest.
    fn ask_rows(&self, room: usize, columns: usize, now_unix_ms: i64) -> Vec<Row> {
        let inbox = self.inbox();
        let row = |(agent, open): &(&Agent, &OpenRequest)| {
            let mut row = Row::of(Look::of(Colour::Yellow), "? ");
            row.append(&question(agent, open, now_unix_ms));
            row.cut(columns)
        };
        let mut rows: Vec<Row> = inbox.iter().take(room).map(row).collect();
        if inbox.len() > room
            && let Some(last) = rows.last_mut()
        {
            let more = format!("? {} more; i shows all", inbox.len() + 1 - room);
            *last = Row::of(Look::of(Colour::Yellow), &more).cut(columns);
        }
        rows
    }

    /// The row between the list and what the selected agent does or asks.
    fn rule(&self, columns: usize) -> Row {
        let mut row = Row::of(Look::DIM, "── ");
        let open = self.open_shown();
        if open.is_none() && self.selected().is_none() {
            row = Row::new();
        } else if let Some((agent, open)) = &open {
            row.push(Look::BOLD, &self.name_of(agent));
            row.push(Look::DIM, &format!(" asks, request {} ", open.number()));
        } else if let Some(agent) = self.selected() {
            row.push(Look::BOLD, &self.name_of(&agent.listed.id));
            let mut more = format!(" · {} ", clean::one_line(&agent.listed.id, 40));
            if let Some(branch) = &agent.listed.branch {
                more.push_str(&format!("· {} ", clean::one_line(branch, 60)));
            }
            if !agent.listed.task.is_empty() {
                more.push_str(&format!("· {} ", clean::one_line(&agent.listed.task, 200)));
            }
            row.push(Look::DIM, &more);
        }
        let row = row.cut(columns.saturating_sub(2));
        let left = columns.saturating_sub(row.columns());
        row.and(Look::DIM, &"─".repeat(left))
    }

    /// Which files the selected agent shares with others.
    fn shared_row(&self, columns: usize) -> Option<Row> {
        let selected = self.selected.as_deref().filter(|_| self.open_shown().is_none())?;
        let told = self.shared.told(selected, |id| self.name_of(id))?;
        Some(Row::of(Look::of(Colour::Yellow), &format!("{SHARES} {told}")).cut(columns))
    }

    /// The request that is shown whole.
    fn open_shown(&self) -> Option<(String, OpenRequest)> {
        match &self.mode {
            Mode::Answering { agent, open, .. } => Some((agent.clone(), (**open).clone())),
            Mode::Inbox { .. } => {
                let inbox = self.inbox();
                let here = self.inbox_at(inbox.iter().map(|(agent, open)| (agent.listed.id.as_str(), open.id)));
                inbox.get(here).map(|(agent, open)| (agent.listed.id.clone(), (*open).clone()))
            }
            Mode::Agents | Mode::Typing { .. } | Mode::Stopping { .. } | Mode::Help { .. } => None,
        }
    }

    /// What the selected agent does, or what is asked.
    fn pane_rows(&self, room: usize, columns: usize, at: u64, now_unix_ms: i64) -> Vec<Row> {
        if let Some((_, open)) = self.open_shown() {
            return whole_rows(&open, room, columns, now_unix_ms);
        }
        let rows = self.transcript.shown(room, at);
        if !rows.is_empty() || !self.transcript.is_empty() {
            return rows;
        }
        if let Some(Standing::Queued { why }) = self.selected().map(|agent| &agent.listed.standing) {
            let name = self.selected.as_deref().map(|id| self.name_of(id)).unwrap_or_default();
            let said = [format!("it waits in the queue: {why}"), format!("to start it at once: ccc resume {name}")];
            let rows = said.iter().flat_map(|said| columns::wrap(&clean::one_line(said, WHY_CHARS), columns));
            return rows.map(|row| Row::of(Look::DIM, &row)).take(room).collect();
        }
        let nothing = if self.selected.is_some() { "  nothing to show yet" } else { "" };
        vec![Row::of(Look::DIM, nothing)]
    }

    /// The text that is typed, or the question that a key answers.
    fn text_view(&self, columns: usize) -> Option<View> {
        let (words, buffer) = match &self.mode {
            Mode::Typing { wanted: TypedFor::Message(agent), buffer } => {
                (format!("to {}: ", self.name_of(agent)), buffer)
            }
            Mode::Typing { wanted: TypedFor::Task, buffer } => ("task of the new agent: ".to_owned(), buffer),
            Mode::Answering { buffer, .. } => ("answer: ".to_owned(), buffer),
            Mode::Stopping { agent } => {
                let name = self.name_of(agent);
                let is_queued = self
                    .agents
                    .get(agent)
                    .is_some_and(|agent| matches!(agent.listed.standing, Standing::Queued { .. }));
                let text = if is_queued {
                    format!("take {name} out of the queue? · y takes it out")
                } else {
                    format!("stop {name}? its session is kept · y stops it")
                };
                let row = Row::of(Look { bold: true, ..Look::of(Colour::Yellow) }, &text).cut(columns);
                return Some(View { rows: vec![row], cursor: (0, 0), ..View::default() });
            }
            Mode::Agents | Mode::Inbox { .. } | Mode::Help { .. } => return None,
        };
        // The prompt takes two columns, the cursor one.
        let words = columns::cut(&words, columns / 2);
        let room = columns.saturating_sub(columns::of(&words) + 3).max(2);
        Some(framed(buffer.draft(room), &words, TEXT_ROWS))
    }

    fn footer(&self, columns: usize, now_unix_ms: i64) -> Row {
        let mut right = self.usage_row();
        let time: String = format::time_of_day(now_unix_ms, &self.zone).chars().take(5).collect();
        right.push(Look::PLAIN, &format!("  {time}"));
        let room = columns.saturating_sub(right.columns() + 2);
        let hints = self.hints();
        let mut left = String::new();
        for hint in hints {
            let longer = if left.is_empty() { hint } else { format!("{left} · {hint}") };
            if columns::of(&longer) > room {
                break;
            }
            left = longer;
        }
        let gap = columns.saturating_sub(columns::of(&left) + right.columns());
        let mut row = Row::of(Look::DIM, &left).and(Look::PLAIN, &" ".repeat(gap));
        row.append(&right);
        row.cut(columns)
    }

    /// `usage: 45%/62%`.
    fn usage_row(&self) -> Row {
        let mut row = Row::of(Look::DIM, "usage: ");
        if self.usage.session.is_none() && self.usage.weekly.is_none() {
            return row.and(Look::DIM, UNKNOWN);
        }
        for (at, used) in [self.usage.session, self.usage.weekly].into_iter().enumerate() {
            if at > 0 {
                row.push(Look::DIM, "/");
            }
            match used {
                None => row.push(Look::DIM, UNKNOWN),
                Some(used) if used >= self.thresholds.critical => row.push(Look::of(Colour::Red), &percent(used)),
                Some(used) if used >= self.thresholds.warn => row.push(Look::of(Colour::Yellow), &percent(used)),
                Some(used) => row.push(Look::PLAIN, &percent(used)),
            }
        }
        row
    }

    /// The keys that work now, the most important first.
    fn hints(&self) -> Vec<String> {
        let hints: &[&str] = match &self.mode {
            Mode::Agents if !self.inbox().is_empty() => &["? help", "a answer", "s send", "Enter attach", "q leave"],
            Mode::Agents if self.selected().is_some_and(Agent::is_active) => {
                &["? help", "s send", "Enter attach", "n new", "x stop", "q leave"]
            }
            Mode::Agents if self.selected.is_some() => &["? help", "Enter history", "n new", "q leave"],
            Mode::Agents => &["? help", "n new", "q leave"],
            Mode::Inbox { .. } => &["Esc back", "Enter answer", "↑↓ select"],
            Mode::Typing { .. } => &["Esc leaves it", "Enter sends", "Alt-Enter new line"],
            Mode::Answering { open, .. } => {
                return ["Esc back".to_owned(), open.answers()].into();
            }
            Mode::Stopping { .. } => &["y stops it", "any other key: no"],
            Mode::Help { .. } => &["any key leads back", "↑↓ scroll"],
        };
        hints.iter().map(|hint| (*hint).to_owned()).collect()
    }
}

/// A mark before the selected row, and the columns that it takes.
const MARK: &str = "▸";
const NO_MARK: &str = "  ";
const MARK_COLUMNS: usize = 2;
/// A mark of an agent that changes the same files as another one.
const SHARES: &str = "!";

/// A row of a list; the selected one is marked and reversed.
fn marked(row: Row, is_selected: bool, shares: bool, columns: usize) -> Row {
    let second = if shares { SHARES } else { " " };
    if !is_selected {
        let mut shown = Row::of(Look::PLAIN, " ").and(Look::of(Colour::Yellow), second);
        shown.append(&row);
        return shown.cut(columns);
    }
    let text = columns::cut(&format!("{MARK}{second}{}", row.text()), columns);
    let gap = columns.saturating_sub(columns::of(&text));
    Row::of(Look { reversed: true, ..Look::PLAIN }, &format!("{text}{}", " ".repeat(gap)))
}

/// The first of the rows that are shown of a list, so that the selected one is among them.
fn window(selected: usize, all: usize, room: usize) -> usize {
    selected.saturating_sub(room / 2).min(all.saturating_sub(room))
}

/// The name, indented below its manager's.
fn name(agent: &Agent) -> String {
    let depth = agent.listed.depth.min(DEPTH_SHOWN);
    let lead = if depth == 0 { String::new() } else { format!("{}└ ", "  ".repeat(depth - 1)) };
    let name = if agent.listed.name.is_empty() { &agent.listed.id } else { &agent.listed.name };
    format!("{lead}{}", clean::one_line(name, 40))
}

/// Who asks, since when, and what.
fn question(agent: &Agent, open: &OpenRequest, now_unix_ms: i64) -> Row {
    let age = open.since_unix_ms.map_or_else(|| UNKNOWN.to_owned(), |since| format::away(now_unix_ms, since));
    let name = if agent.listed.name.is_empty() { &agent.listed.id } else { &agent.listed.name };
    Row::of(Look::BOLD, &clean::one_line(name, 40))
        .and(Look::DIM, &format!(" {age} "))
        .and(Look::PLAIN, &format!("#{} {}", open.number(), open.about(now_unix_ms)))
}

/// Everything that is asked, in at most `room` rows; the end is kept where the beginning does not fit.
fn whole_rows(open: &OpenRequest, room: usize, columns: usize, now_unix_ms: i64) -> Vec<Row> {
    let whole = clean::lines(open.whole(now_unix_ms).trim_end());
    let lines = whole.split('\n').flat_map(|line| {
        let body = line.trim_start_matches(' ');
        let indent = Row::of(Look::PLAIN, &line[..line.len() - body.len()]);
        let width = columns.max(8);
        Row::of(Look::PLAIN, line).wrapped(width, &indent)
    });
    let mut rows: Vec<Row> = lines.collect();
    let left = rows.len().saturating_sub(room);
    if left > 0 {
        rows.truncate(room.saturating_sub(1));
        let more = format!("  … {}; Enter in the list attaches and shows all", count(left + 1, "more row"));
        rows.push(Row::of(Look::DIM, &more).cut(columns));
    }
    rows
}

fn help_rows(first: usize, columns: usize, room: usize) -> Vec<Row> {
    let first = first.min(help::KEYS.len().saturating_sub(room));
    let keys = help::KEYS.iter().skip(first).take(room);
    keys.map(|(key, does)| {
        Row::of(Look::of(Colour::Cyan), &padded(&format!("  {key}"), 14)).and(Look::PLAIN, does).cut(columns)
    })
    .collect()
}

/// A percentage without decimals: 79.6 is not 80, where the warning begins.
fn percent(used: f64) -> String {
    format!("{:.0}%", used.floor())
}

/// The text in exactly this many columns.
fn padded(text: &str, width: usize) -> String {
    let text = columns::cut(text, width);
    let gap = width.saturating_sub(columns::of(&text));
    format!("{text}{}", " ".repeat(gap))
}

/// Writes a row into the frame.
fn put(buffer: &mut Buffer, y: usize, row: &Row, columns: usize) {
    let (Ok(y), mut x) = (u16::try_from(y), 0) else { return };
    if y >= buffer.area.height {
        return;
    }
    for (text, look) in row.parts() {
        let room = columns.saturating_sub(usize::from(x));
        if room == 0 {
            return;
        }
        (x, _) = buffer.set_stringn(x, y, text, room, style(look));
    }
}

fn style(look: Look) -> Style {
    let colour = look.colour.map(|colour| match colour {
        Colour::Red => Color::Red,
        Colour::Green => Color::Green,
        Colour::Yellow => Color::Yellow,
        Colour::Magenta => Color::Magenta,
        Colour::Cyan => Color::Cyan,
    });
    let flags = [
        (look.bold, Modifier::BOLD),
        (look.dim, Modifier::DIM),
        (look.italic, Modifier::ITALIC),
        (look.underlined, Modifier::UNDERLINED),
        (look.struck, Modifier::CROSSED_OUT),
        (look.reversed, Modifier::REVERSED),
    ];
    let modifiers = flags.into_iter().filter(|(is_set, _)| *is_set).fold(Modifier::empty(), |all, (_, one)| all | one);
    Style { fg: colour, ..Style::new().add_modifier(modifiers) }
}
