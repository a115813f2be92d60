//! The cost of one process: from its results, and during a turn from its answer to a question of ccc.

use crate::stream::message::TurnResult;

/// The id prefix of ccc's cost questions; the question's number follows.
pub(super) const COST_REQUEST: &str = "cost-";
/// The first question is sent before any turn: its answer is what the session had cost before this process.
const FIRST_QUESTION: u32 = 1;
/// The longest label before the amount, in bytes.
const LEAD_BYTES: usize = 24;

/// The cost of one process. CLIs since 2.1.329 continue counting from the session's cost on resume *and fork*, so
/// neither their `total_cost_usd` nor their answer to a question is the process's own (measured on 2.1.332). Therefore
/// the costs since the last result are summed, and the answer to the first question is subtracted from later answers.
/// 2.1.197 begins at zero.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cost {
    /// From the results.
    settled_usd: f64,
    by_parts: bool,
    /// The session's cost when the process began.
    before_usd: Option<f64>,
    /// The last reported cost.
    told_usd: f64,
}

impl Cost {
    /// A result came. Returns the new total if it increased.
    pub(super) fn count(&mut self, result: &TurnResult<'_>) -> Option<f64> {
        let before = self.settled_usd;
        if let Some(models) = &result.model_usage_since_last_result {
            let sum: f64 = models.0.iter().filter_map(|(_, usage)| usage.cost_usd).sum();
            self.settled_usd = if self.by_parts { before + sum } else { sum };
            self.by_parts = true;
        } else if let Some(total) = result.total_cost_usd
            && !self.by_parts
        {
            self.settled_usd = total;
        }
        // An answer is rounded, so it may have reported slightly more.
        let changed = self.settled_usd > before;
        if changed {
            self.told_usd = self.settled_usd;
        }
        changed.then_some(self.settled_usd)
    }

    /// The question with this number was answered with this text, if any. Returns the process's cost if the text
    /// names it.
    pub(super) fn answered(&mut self, number: u32, text: Option<&str>) -> Option<f64> {
        let (_, session_usd) = amount(text?)?;
        if number == FIRST_QUESTION {
            self.before_usd = Some(session_usd);
            return None;
        }
        let since_usd = session_usd - self.before_usd?;
        self.told_usd = self.told_usd.max(since_usd);
        Some(self.told_usd)
    }
}

/// The length in bytes of the CLI's cost line at the beginning of a text (`Estimated cost:        $1.20`, on 2.1.197
/// `Total cost:`), and its amount. The text is parsed because no cheap structured field exists: `get_usage` has one,
/// but reads a week of transcripts and queries the provider. The CLI rounds to cents above half a dollar.
fn amount(text: &str) -> Option<(usize, f64)> {
    let (lead, figure) = text.split_once('$')?;
    let label = lead.strip_suffix("cost:").or_else(|| lead.trim_end_matches(' ').strip_suffix("cost:"))?;
    let is_label = |byte: u8| byte.is_ascii_alphabetic() || byte == b' ';
    if lead.len() > LEAD_BYTES || !label.bytes().all(is_label) {
        return None;
    }
    let length = figure.bytes().take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b',')).count();
    let usd: f64 = figure.get(..length)?.replace(',', "").parse().ok()?;
    usd.is_finite().then_some((lead.len() + 1 + length, usd))
}

/// The length in bytes of the CLI's cost line at the beginning of a line.
pub(in crate::agent) fn cost_line_bytes(line: &str) -> usize {
    amount(line).map_or(0, |(bytes, _)| bytes)
}

#[cfg(test)]
mod tests {
    use super::{Cost, amount};

    #[test]
    fn the_amount_is_that_of_the_clis_own_line() {
        let usd = |text: &str| amount(text).map(|(_, usd)| usd);
        for (text, expected) in [
            ("Estimated cost:        $1.20\nTotal duration (API):  0s", Some(1.2)),
            ("Total cost:            $0.0123\nTotal duration (API):  0s", Some(0.0123)),
            ("Total cost:            $1,234.50 (costs may be inaccurate)", Some(1_234.5)),
            ("Estimated cost: $0.0000", Some(0.0)),
            ("Total duration: 3s\nTotal cost: $1.20", None),
            ("The work of a night at a cost: $5", None),
            ("cost $5", None),
            ("Total cost: $", None),
            ("Total cost: $.", None),
            ("Total cost: 5", None),
            ("", None),
        ] {
            assert_eq!(usd(text), expected, "{text}");
        }
    }

    #[test]
    fn an_answer_tells_the_process_and_not_the_session_and_never_less_than_a_result() {
        let line = |usd: f64| format!("Estimated cost:        ${usd:.2}\nTotal duration (API):  0s");
        let mut cost = Cost::default();
        assert_eq!(cost.answered(2, Some(&line(4.0))), None, "what came before is not known");
        assert_eq!(cost.answered(1, Some(&line(3.6))), None, "the session's until now");
        let told = cost.answered(2, Some(&line(4.8))).expect("a cost");
        assert!((told - 1.2).abs() < 1e-9, "{told}");
        assert_eq!(cost.answered(3, Some("no figure")), None);
        assert_eq!(cost.answered(3, None), None);
        assert_eq!(cost.answered(4, Some(&line(0.0))), Some(told), "a session that counts anew takes nothing back");
    }
}
