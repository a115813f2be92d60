//! A preview of the last screen of a run while its history is read and printed, which takes seconds for a night's journal.

use std::collections::VecDeque;

use crate::ui::conversation::{Conversation, News};
use crate::ui::paint::{Row, Size, View};

/// Bytes of rows that are made at once.
const BYTES: usize = 64 * 1_024;

/// The latest events of a run until its history is printed.
#[derive(Debug)]
pub(super) struct Preview {
    conversation: Conversation,
    rows: VecDeque<Row>,
}

impl Preview {
    /// A preview of a conversation that has shown nothing yet.
    pub(super) fn of(conversation: &Conversation) -> Preview {
        Preview { conversation: conversation.clone(), rows: VecDeque::new() }
    }

    /// Adds something that the run has shown.
    pub(super) fn take(&mut self, at: u64, told: News) {
        self.conversation.take(at, told);
        // Discard the jobs of the conversation: a preview performs nothing.
        while self.conversation.poll_job().is_some() {}
    }

    /// Adds the last rows above this view.
    pub(super) fn above(&mut self, view: View, size: Size) -> View {
        while self.conversation.is_ready() {
            self.rows.extend(self.conversation.commit(size, BYTES));
            let left = self.rows.len().saturating_sub(usize::from(size.rows));
            self.rows.drain(..left);
        }
        View { above: self.rows.iter().cloned().collect(), ..view }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Show;

    #[test]
    fn the_last_rows_stand_above_the_view_however_many_came() {
        let size = Size { columns: 40, rows: 10 };
        let mut preview = Preview::of(&Conversation::new("seed", |text| Err(text.to_owned())));
        assert_eq!(preview.above(View::default(), size), View::default());
        for number in 0..100 {
            let show = Box::new(Show::Notice { text: format!("notice {number}") });
            preview.take(number, News::Show { show, run_ms: number, past: true });
        }
        let view = View { rows: vec![Row::new()], ..View::default() };
        let above: Vec<String> = preview.above(view.clone(), size).above.iter().map(Row::text).collect();
        assert_eq!(above.len(), 10);
        assert!(above.last().is_some_and(|row| row.ends_with("notice 99")), "{above:?}");
        assert_eq!(preview.above(view.clone(), size).rows, view.rows);
    }
}
