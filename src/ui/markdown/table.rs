use super::super::columns;
use super::super::paint::{Look, Row};
use super::inline;

/// A table with more columns than this is shown as typed.
const CELLS_MAX: usize = 24;

/// Whether a line can be a head or a row of a table.
pub(super) fn is_row(line: &str) -> bool {
    line.contains('|')
}

/// Whether a line is the delimiter of the table that this head begins: dashes, bars and colons, with as many cells as the head
/// (GFM, section 4.10).
pub(super) fn is_delimiter(line: &str, head: &str) -> bool {
    let line = line.trim();
    let is_drawn =
        line.contains('-') && line.contains('|') && line.bytes().all(|byte| matches!(byte, b'-' | b'|' | b':' | b' '));
    is_drawn && cells(line).len() == cells(head).len()
}

const BETWEEN: &str = " │ ";

/// The table laid out: in columns whose cells wrap at words, or as one record below the other if a word is too wide for its
/// column. Lines that are no table are shown as typed.
pub(super) fn rows(lines: &[String], columns: usize) -> Vec<Row> {
    let Some(table) = Table::read(lines) else {
        let mut rows = Vec::new();
        for line in lines {
            let mut row = Row::new();
            inline::push(&mut row, Look::PLAIN, line);
            rows.extend(row.wrapped(columns, &Row::new()));
        }
        return rows;
    };
    match table.widths(columns) {
        Some(widths) => table.in_columns(&widths),
        None => table.as_records(columns),
    }
}

/// The rendered cells; each row has as many as the head.
struct Table {
    head: Vec<Row>,
    body: Vec<Vec<Row>>,
    /// Whether a column is aligned to the right.
    right: Vec<bool>,
}

impl Table {
    fn read(lines: &[String]) -> Option<Table> {
        let shown = |line: &str, look: Look| -> Vec<Row> {
            let cell = |cell: String| {
                let mut row = Row::new();
                inline::push(&mut row, look, &cell);
                row
            };
            cells(line).into_iter().map(cell).collect()
        };
        let head = shown(lines.first()?, Look::BOLD);
        if head.is_empty() || head.len() > CELLS_MAX {
            return None;
        }
        let mut body = Vec::new();
        for line in lines.iter().skip(2) {
            let mut row = shown(line, Look::PLAIN);
            if row.len() > head.len() {
                return None;
            }
            row.resize(head.len(), Row::new());
            body.push(row);
        }
        let marks = cells(lines.get(1)?);
        let is_right = |at| marks.get(at).is_some_and(|mark: &String| mark.ends_with(':') && !mark.starts_with(':'));
        let right = (0..head.len()).map(is_right).collect();
        Some(Table { head, body, right })
    }

    fn all(&self) -> impl Iterator<Item = &Vec<Row>> {
        std::iter::once(&self.head).chain(&self.body)
    }

    /// The widths of the columns; `None` if a word is too wide for its column.
    fn widths(&self, columns: usize) -> Option<Vec<usize>> {
        let count = self.head.len();
        let room = columns.checked_sub((count - 1) * columns::of(BETWEEN))?;
        let most =
            |at: usize, of: fn(&Row) -> usize| self.all().filter_map(|row| row.get(at)).map(of).max().unwrap_or(0);
        let word = |cell: &Row| cell.text().split(' ').map(columns::of).max().unwrap_or(0);
        let least: Vec<usize> = (0..count).map(|at| most(at, word)).collect();
        let mut widths: Vec<usize> = (0..count).map(|at| most(at, Row::columns).min(room)).collect();
        // Narrow the widest column first.
        while widths.iter().sum::<usize>() > room {
            let gives = widths.iter().zip(&least).map(|(width, least)| if width > least { *width } else { 0 });
            let (at, _) = gives.enumerate().filter(|(_, width)| *width > 0).max_by_key(|(_, width)| *width)?;
            if let Some(width) = widths.get_mut(at) {
                *width -= 1;
            }
        }
        widths.iter().zip(&least).all(|(width, least)| width >= least).then_some(widths)
    }

    fn in_columns(&self, widths: &[usize]) -> Vec<Row> {
        let is_broken =
            self.body.iter().flatten().zip(widths.iter().cycle()).any(|(cell, width)| cell.columns() > *width);
        let rule = |line: &str| {
            let dashes: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
            Row::of(Look::DIM, &dashes.join(line))
        };
        let mut rows = Vec::new();
        for (number, cells) in self.all().enumerate() {
            // If cells take several rows, a rule separates the rows of the table.
            if number == 1 || (number > 1 && is_broken) {
                rows.push(rule("─┼─"));
            }
            let cells: Vec<Vec<Row>> =
                cells.iter().zip(widths).map(|(cell, width)| cell.wrapped(*width, &Row::new())).collect();
            let height = cells.iter().map(Vec::len).max().unwrap_or(0);
            for at in 0..height {
                rows.push(self.line(&cells, widths, at));
            }
        }
        if self.body.is_empty() {
            rows.push(rule("─┼─"));
        }
        rows
    }

    /// One screen row of a table row.
    fn line(&self, cells: &[Vec<Row>], widths: &[usize], at: usize) -> Row {
        let mut row = Row::new();
        let last = widths.len() - 1;
        for (place, ((cell, width), right)) in cells.iter().zip(widths).zip(&self.right).enumerate() {
            if place > 0 {
                row.push(Look::DIM, BETWEEN);
            }
            let part = cell.get(at).cloned().unwrap_or_default();
            let gap = " ".repeat(width.saturating_sub(part.columns()));
            if *right {
                row.push(Look::PLAIN, &gap);
            }
            row.append(&part);
            if !*right && place < last {
                row.push(Look::PLAIN, &gap);
            }
        }
        row
    }

    /// Each row of the table as lines of name and value.
    fn as_records(&self, columns: usize) -> Vec<Row> {
        let indent = Row::of(Look::PLAIN, "  ");
        let mut rows = Vec::new();
        for (number, cells) in self.body.iter().enumerate() {
            if number > 0 {
                rows.push(Row::new());
            }
            for (name, cell) in self.head.iter().zip(cells).filter(|(_, cell)| !cell.is_empty()) {
                let mut row = name.clone();
                row.push(Look::DIM, ": ");
                row.append(cell);
                rows.extend(row.wrapped(columns, &indent));
            }
        }
        if self.body.is_empty() {
            rows.extend(self.head.iter().flat_map(|name| name.wrapped(columns, &indent)));
        }
        rows
    }
}

/// The cells of a row; a bar after a backslash or within code is text.
fn cells(line: &str) -> Vec<String> {
    let line = line.trim();
    let line = line.strip_prefix('|').unwrap_or(line);
    let mut cells = vec![String::new()];
    let (mut is_escaped, mut in_code) = (false, false);
    for c in line.chars() {
        let Some(cell) = cells.last_mut() else { break };
        match c {
            '|' if is_escaped => {
                cell.pop();
                cell.push('|');
            }
            '|' if !in_code => cells.push(String::new()),
            _ => cell.push(c),
        }
        in_code ^= c == '`' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
    }
    // A final bar ends the last cell and begins no new one.
    if cells.last().is_some_and(|last| last.trim().is_empty()) {
        cells.pop();
    }
    cells.into_iter().map(|cell| cell.trim().to_owned()).collect()
}
