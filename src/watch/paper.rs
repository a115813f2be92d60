//! The backend of the frames: turns changed cells into the bytes for the terminal.

use std::convert::Infallible;
use std::fmt::Write as _;

use ratatui_core::backend::{Backend, ClearType, WindowSize};
use ratatui_core::buffer::Cell;
use ratatui_core::layout::{Position, Size};
use ratatui_core::style::{Color, Modifier};

/// The bytes of a frame. Nothing is written anywhere.
#[derive(Debug)]
pub(super) struct Paper {
    text: String,
    size: Size,
    cursor: Position,
    colour: bool,
}

impl Paper {
    /// For a terminal of this size; `colour`: whether styles are written.
    pub(super) fn new(size: Size, colour: bool) -> Paper {
        Paper { text: String::new(), size, cursor: Position::ORIGIN, colour }
    }

    /// The terminal has this size.
    pub(super) fn resize(&mut self, size: Size) {
        self.size = size;
    }

    /// The bytes since the last call, as one synchronized update; empty if there are none.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let text = std::mem::take(&mut self.text);
        if text.is_empty() { Vec::new() } else { format!("\x1b[?2026h{text}\x1b[?2026l").into_bytes() }
    }
}

/// The parameters of the control sequence that switches the style of a cell on; empty for the default.
fn parameters(cell: &Cell) -> String {
    let flags = [
        (Modifier::BOLD, 1),
        (Modifier::DIM, 2),
        (Modifier::ITALIC, 3),
        (Modifier::UNDERLINED, 4),
        (Modifier::REVERSED, 7),
        (Modifier::CROSSED_OUT, 9),
    ];
    let mut parameters = String::new();
    for (_, code) in flags.into_iter().filter(|(flag, _)| cell.modifier.contains(*flag)) {
        let _ = write!(parameters, ";{code}");
    }
    // The dashboard draws with the terminal's own palette.
    let colour = [(Color::Red, 31), (Color::Green, 32), (Color::Yellow, 33), (Color::Magenta, 35), (Color::Cyan, 36)];
    if let Some((_, code)) = colour.into_iter().find(|(colour, _)| *colour == cell.fg) {
        let _ = write!(parameters, ";{code}");
    }
    parameters
}

impl Backend for Paper {
    type Error = Infallible;

    fn draw<'a, I>(&mut self, content: I) -> Result<(), Infallible>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut next = None;
        let mut style = String::new();
        for (x, y, cell) in content {
            if next != Some((x, y)) {
                let _ = write!(self.text, "\x1b[{};{}H", y + 1, x + 1);
            }
            let wanted = if self.colour { parameters(cell) } else { String::new() };
            if wanted != style {
                let _ = write!(self.text, "\x1b[0{wanted}m");
                style = wanted;
            }
            self.text.push_str(cell.symbol());
            // Terminals differ in the width of other characters: after them the place is said anew.
            next = cell.symbol().is_ascii().then_some((x + 1, y));
        }
        if !style.is_empty() {
            self.text.push_str("\x1b[0m");
        }
        Ok(())
    }

    fn hide_cursor(&mut self) -> Result<(), Infallible> {
        self.text.push_str("\x1b[?25l");
        Ok(())
    }

    fn show_cursor(&mut self) -> Result<(), Infallible> {
        self.text.push_str("\x1b[?25h");
        Ok(())
    }

    fn get_cursor_position(&mut self) -> Result<Position, Infallible> {
        Ok(self.cursor)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> Result<(), Infallible> {
        self.cursor = position.into();
        let _ = write!(self.text, "\x1b[{};{}H", self.cursor.y + 1, self.cursor.x + 1);
        Ok(())
    }

    fn clear(&mut self) -> Result<(), Infallible> {
        self.text.push_str("\x1b[0m\x1b[2J");
        Ok(())
    }

    fn clear_region(&mut self, _: ClearType) -> Result<(), Infallible> {
        self.clear()
    }

    fn size(&self) -> Result<Size, Infallible> {
        Ok(self.size)
    }

    fn window_size(&mut self) -> Result<WindowSize, Infallible> {
        Ok(WindowSize { columns_rows: self.size, pixels: Size::ZERO })
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ratatui_core::layout::Rect;
    use ratatui_core::style::Style;
    use ratatui_core::terminal::Terminal;

    use super::*;

    #[test]
    fn a_terminal_shows_the_frame_and_an_unchanged_one_writes_nothing() {
        let Ok(mut terminal) = Terminal::new(Paper::new(Size::new(20, 4), true));
        let mut screen = vt100::Parser::new(4, 20, 0);
        let mut draw = |text: &str, screen: &mut vt100::Parser| {
            let Ok(_) = terminal.draw(|frame| {
                let style = Style::new().fg(Color::Red).add_modifier(Modifier::REVERSED);
                frame.buffer_mut().set_string(2, 1, text, style);
                frame.buffer_mut().set_string(0, 3, "日本 end", Style::new());
                assert_eq!(frame.area(), Rect::new(0, 0, 20, 4));
            });
            let bytes = terminal.backend_mut().take();
            screen.process(&bytes);
            bytes.len()
        };
        assert!(draw("first", &mut screen) > 0);
        assert_eq!(screen.screen().contents(), "\n  first\n\n日本 end");
        let cell = screen.screen().cell(1, 2).expect("a cell");
        assert!(cell.inverse() && cell.fgcolor() == vt100::Color::Idx(1));
        draw("fi", &mut screen);
        assert_eq!(screen.screen().rows(0, 20).nth(1).as_deref().map(str::trim_end), Some("  fi"));
        // Only the cursor is hidden again.
        assert!(draw("fi", &mut screen) < 32);
        assert!(screen.screen().hide_cursor());
    }
}
