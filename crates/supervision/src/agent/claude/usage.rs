//! The tokens that one process has used: during a turn from its messages, at its end from the totals of each result.

use std::collections::VecDeque;

use crate::agent::TokenCount;
use crate::stream::message::{Entries, ModelUsage, TurnResult, Usage};

/// How many messages are remembered with their counts. Each block of an answer is a line with the count of the whole
/// answer, and lines of parallel sub-agents are interleaved.
const REMEMBERED: usize = 16;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct UsedTokens {
    /// From the results.
    settled: TokenCount,
    /// From the messages since the last result.
    open: TokenCount,
    messages: VecDeque<(String, TokenCount)>,
    /// The process's totals in the last result (2.1.197).
    process: TokenCount,
}

impl UsedTokens {
    /// A line of the message with this id gave its count. Returns the new total if it changed.
    pub(super) fn message(&mut self, id: &str, usage: &Usage) -> Option<TokenCount> {
        let count = count(
            [usage.input_tokens, usage.cache_creation_input_tokens],
            usage.cache_read_input_tokens,
            usage.output_tokens,
        );
        let counted = match self.messages.iter_mut().rev().find(|(known, _)| known == id) {
            Some((_, counted)) => std::mem::replace(counted, counted.most(count)),
            None => {
                if self.messages.len() >= REMEMBERED {
                    self.messages.pop_front();
                }
                self.messages.push_back((id.to_owned(), count));
                TokenCount::default()
            }
        };
        let more = count.less(counted);
        self.open = self.open.plus(more);
        (more != TokenCount::default()).then(|| self.sum())
    }

    /// A result came. Its totals include requests that no streamed message shows; for an interrupted turn 2.1.197
    /// reports too little.
    pub(super) fn result(&mut self, result: &TurnResult<'_>) -> Option<TokenCount> {
        let before = self.sum();
        let since = match &result.model_usage_since_last_result {
            Some(models) => of_all(models),
            None => {
                let process = result.model_usage.as_ref().map_or_else(TokenCount::default, of_all);
                process.less(std::mem::replace(&mut self.process, process))
            }
        };
        self.settled = self.settled.plus(since.most(self.open));
        self.open = TokenCount::default();
        let sum = self.sum();
        (sum != before).then_some(sum)
    }

    fn sum(&self) -> TokenCount {
        self.settled.plus(self.open)
    }
}

fn of_all(models: &Entries<'_, ModelUsage>) -> TokenCount {
    let counts = models.0.iter().map(|(_, usage)| {
        let input = [usage.input_tokens, usage.cache_creation_input_tokens];
        count(input, usage.cache_read_input_tokens, usage.output_tokens)
    });
    counts.fold(TokenCount::default(), TokenCount::plus)
}

fn count(input: [Option<u64>; 2], cached: Option<u64>, output: Option<u64>) -> TokenCount {
    TokenCount {
        input: input.into_iter().flatten().fold(0, u64::saturating_add),
        cached: cached.unwrap_or(0),
        output: output.unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use crate::agent::{AgentEvent, AgentKind, LaunchRequest, Role, SessionOpen, TokenCount};
    use crate::recordings::recordings;

    /// The last reported usage of the recorded process. The scripted model reported 10 tokens in and 1 out each time.
    #[test]
    fn a_process_tells_what_its_messages_used_each_counted_once() {
        for (scene, requests) in [
            ("tools.jsonl", 5),
            ("parallel_tools.jsonl", 2),
            ("sub_agent.jsonl", 4),
            ("background_agent.jsonl", 5),
            ("resume.jsonl", 1),
        ] {
            let mut found = recordings("fixtures/streams", scene);
            found.retain(|recording| recording.name.ends_with(&format!("/{scene}")));
            assert!(found.len() >= 2, "{scene} of both versions");
            for recording in found {
                let request = LaunchRequest::new(Role::Agent, SessionOpen::Latest, "/project");
                let mut protocol = AgentKind::CLAUDE_CODE.protocol(&request);
                let mut used = Vec::new();
                for line in recording.text.lines() {
                    let mut events = Vec::new();
                    protocol.line(line, &mut events);
                    used.extend(
                        events
                            .into_iter()
                            .filter_map(|event| if let AgentEvent::Usage(count) = event { Some(count) } else { None }),
                    );
                }
                let expected = TokenCount { input: 10 * requests, cached: 0, output: requests };
                assert_eq!(used.last(), Some(&expected), "{}", recording.name);
                assert!(used.is_sorted_by_key(TokenCount::total), "{}: {used:?}", recording.name);
                assert!(used.len() > 1 || requests == 1, "{}: told before the result, too", recording.name);
            }
        }
    }

    #[test]
    fn an_interrupted_turn_is_counted_by_its_messages() {
        let mut used = super::UsedTokens::default();
        let usage = super::Usage { input_tokens: Some(10), output_tokens: Some(1), ..Default::default() };
        let told = TokenCount { input: 10, cached: 0, output: 1 };
        assert_eq!(used.message("m1", &usage), Some(told));
        assert_eq!(used.message("m1", &usage), None, "another block of it");
        assert_eq!(used.result(&super::TurnResult::default()), None);
        assert_eq!(used.message("m2", &usage), Some(told.plus(told)));
    }
}
