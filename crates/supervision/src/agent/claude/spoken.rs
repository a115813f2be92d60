//! The text of the model's last message: all its text blocks, of which the CLI's `result` repeats only the last
//! (measured on 2.1.332 and 2.1.197). A message that is cut at the output limit continues in the next one, which the
//! CLI requests itself.

/// Stop reasons of a message that the model did not end and that the CLI itself lets continue.
const CUT: &[&str] = &["max_tokens", "model_context_window_exceeded", "pause_turn"];

/// The final text of a turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FinalText {
    pub(super) text: String,
    /// The offset at which the last block begins.
    pub(super) last_block: usize,
}

/// The text blocks of the model's last message.
#[derive(Debug, Clone, Default)]
pub(super) struct Spoken {
    message_id: String,
    blocks: Vec<String>,
    /// The last block as received, without the cut text that it continues.
    last: String,
    /// The message was cut, and the next one continues it.
    is_cut: bool,
    /// The current message continues a cut one.
    goes_on: bool,
}

impl Spoken {
    /// A result was read, or a new turn sent.
    pub(super) fn next_turn(&mut self) {
        *self = Self::default();
    }

    /// A block of the message with this id comes.
    pub(super) fn message(&mut self, id: &str) {
        if self.message_id == id && !id.is_empty() {
            return;
        }
        id.clone_into(&mut self.message_id);
        self.last.clear();
        self.goes_on = std::mem::take(&mut self.is_cut);
        if !self.goes_on {
            self.blocks.clear();
        }
    }

    /// The block is text.
    pub(super) fn text(&mut self, text: &str) {
        text.clone_into(&mut self.last);
        match self.blocks.last_mut() {
            Some(cut) if std::mem::take(&mut self.goes_on) => cut.push_str(text),
            Some(_) | None => self.blocks.push(text.to_owned()),
        }
    }

    /// The message ended for this reason.
    pub(super) fn ended(&mut self, stop_reason: &str) {
        self.is_cut = CUT.contains(&stop_reason);
    }

    /// Whether the last message was cut instead of ended by the model.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The answer of a turn with this `result`: the whole last message if the result repeats its end, otherwise the
    /// result.
    pub(super) fn answer(&self, result: &str) -> FinalText {
        let told: Vec<&str> = self.blocks.iter().map(String::as_str).filter(|text| !text.trim().is_empty()).collect();
        let Some((last, before)) = told.split_last().filter(|_| self.last.trim() == result.trim()) else {
            return FinalText { text: result.to_owned(), last_block: 0 };
        };
        let mut text = String::new();
        for block in before {
            text.push_str(block);
            // Separates the blocks.
            if !block.ends_with('\n') {
                text.push_str("\n\n");
            }
        }
        let last_block = text.len();
        text.push_str(last);
        FinalText { text, last_block }
    }
}

#[cfg(test)]
mod tests {
    use super::Spoken;

    /// Id, text blocks and stop reason.
    type Said<'a> = (&'a str, &'a [&'a str], &'a str);

    fn said(messages: &[Said<'_>], result: &str) -> (String, String) {
        let mut spoken = Spoken::default();
        for (id, blocks, end) in messages {
            for block in *blocks {
                spoken.message(id);
                spoken.text(block);
            }
            spoken.ended(end);
        }
        let answer = spoken.answer(result);
        (answer.text.clone(), answer.text[answer.last_block..].to_owned())
    }

    #[test]
    fn all_text_blocks_of_the_last_message_are_the_answer() {
        let table: &[(&[Said<'_>], &str, &str, &str)] = &[
            (&[("a", &["one"], "end_turn")], "one", "one", "one"),
            (&[("a", &["one", "two"], "end_turn")], "two", "one\n\ntwo", "two"),
            (&[("a", &["one\n", "two"], "end_turn")], "two", "one\ntwo", "two"),
            (&[("a", &["one", " \n"], "end_turn")], " \n", "one", "one"),
            (&[("a", &["before"], "tool_use"), ("b", &["one", "two"], "end_turn")], "two", "one\n\ntwo", "two"),
            // The last message has no text.
            (&[("a", &["before"], "tool_use")], "", "", ""),
            // Text of the CLI is not text of the model.
            (&[("a", &["one", "two"], "end_turn")], "no", "no", "no"),
            (&[], "said", "said", "said"),
        ];
        for (messages, result, whole, last) in table {
            assert_eq!(said(messages, result), ((*whole).to_owned(), (*last).to_owned()), "{messages:?}");
        }
    }

    #[test]
    fn an_answer_that_was_cut_at_the_limit_and_went_on_is_one_answer() {
        let cut: &[Said<'_>] = &[("a", &["Missing: the te"], "max_tokens"), ("b", &["sts.\nAnd", "more"], "end_turn")];
        assert_eq!(said(cut, "more"), ("Missing: the tests.\nAnd\n\nmore".to_owned(), "more".to_owned()));
        let again: &[Said<'_>] = &[("a", &["1"], "max_tokens"), ("b", &["2"], "max_tokens"), ("c", &["3"], "end_turn")];
        assert_eq!(said(again, "3"), ("123".to_owned(), "123".to_owned()));
    }
}
