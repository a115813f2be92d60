//! How much of the model's context the agent's conversation uses.

use super::{Core, Show};
use crate::agent::ContextUse;

/// While the window is unknown, a change of this many tokens is shown.
const SHOWN_STEP_TOKENS: u64 = 2_000;

/// What is known, and what was shown of it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Context {
    used: Option<ContextUse>,
    shown: Option<ContextUse>,
}

impl Context {
    /// Takes what a process of the agent has told; returns whether it is to be shown. Each message of the model changes the
    /// tokens, so only a change is shown that can be seen.
    fn told(&mut self, told: Option<ContextUse>) -> bool {
        // A new process does not know the window until its first result. It works with the model of the one before.
        let known = self.used.and_then(|used| used.window_tokens);
        self.used = told.map(|told| {
            let known = known.filter(|window| told.used_tokens <= *window);
            ContextUse { window_tokens: told.window_tokens.or(known), ..told }
        });
        let is_news = match (self.used, self.shown) {
            (Some(used), Some(shown)) => used.step() != shown.step() || used.window_tokens != shown.window_tokens,
            (used, shown) => used != shown,
        };
        if is_news {
            self.shown = self.used;
        }
        is_news
    }
}

impl ContextUse {
    /// What can be seen of it: whole percents, or some thousand tokens.
    fn step(&self) -> u64 {
        match self.window_tokens.filter(|window| *window > 0) {
            Some(window) => self.used_tokens.saturating_mul(100) / window,
            None => self.used_tokens / SHOWN_STEP_TOKENS,
        }
    }
}

impl Core {
    /// How much of the model's context the agent's conversation uses; `None` while unknown.
    #[must_use]
    pub fn context_used(&self) -> Option<ContextUse> {
        self.context.used
    }

    /// A process of the agent has told it.
    pub(super) fn context_told(&mut self, told: Option<ContextUse>) {
        if self.context.told(told) {
            let used = self.context.used;
            self.show(Show::Context {
                used_tokens: used.map(|used| used.used_tokens),
                window_tokens: used.and_then(|used| used.window_tokens),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(used_tokens: u64, window_tokens: Option<u64>) -> Option<ContextUse> {
        Some(ContextUse { used_tokens, window_tokens })
    }

    #[test]
    fn only_a_change_that_can_be_seen_is_shown() {
        let mut context = Context::default();
        assert!(!context.told(None));
        assert!(context.told(of(10, None)), "the first");
        assert!(!context.told(of(1_900, None)) && context.told(of(2_000, None)));
        assert!(context.told(of(2_000, Some(200_000))), "the window");
        assert!(!context.told(of(3_999, Some(200_000))) && context.told(of(4_000, Some(200_000))));
        assert_eq!(context.used, of(4_000, Some(200_000)));
        assert!(context.told(None) && !context.told(None), "shortened");
    }

    #[test]
    fn a_new_process_works_with_the_window_that_is_known_unless_that_cannot_be() {
        let mut context = Context::default();
        context.told(of(10, Some(200_000)));
        assert!(!context.told(of(20, None)));
        assert_eq!(context.used, of(20, Some(200_000)));
        assert!(context.told(of(300_000, None)));
        assert_eq!(context.used, of(300_000, None));
    }
}
