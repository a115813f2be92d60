//! Settings as a run's plan has them: plain numbers, moments instead of times of day.

use std::num::{NonZeroU32, NonZeroU64};

use crate::config::{BudgetsLayer, Cost, CriticPromptAs, CriticSettings, Span, Until};
use crate::core::{Budgets, CriticPlan, CriticPrompt};
use crate::driver;

/// How long the tree is watched for what moves by itself before a critic is briefed; its process takes longer to start.
const CRITIC_WATCH_MS: u64 = 250;

/// These bounds with those of the layer over them.
pub(super) fn overlaid(under: &Budgets, given: &BudgetsLayer) -> Budgets {
    Budgets {
        max_iterations: given.max_iterations.map_or(under.max_iterations, NonZeroU32::get),
        max_duration_ms: given.max_duration.map(Span::as_ms).or(under.max_duration_ms),
        max_cost_usd: given.max_cost_usd.map(Cost::usd).or(under.max_cost_usd),
        max_tokens: given.max_tokens.map(NonZeroU64::get).or(under.max_tokens),
        max_restarts: given.max_restarts.unwrap_or(under.max_restarts),
        max_repeats: given.max_repeats.map_or(under.max_repeats, NonZeroU32::get),
        max_wait_ms: given.max_wait.map(Span::as_ms).or(under.max_wait_ms),
        until_unix_ms: given.until.map(until_unix_ms).or(under.until_unix_ms),
    }
}

/// The moment that the user means by it now, in unix milliseconds.
fn until_unix_ms(until: Until) -> i64 {
    until.unix_ms(driver::unix_ms(), &super::zone::of_process())
}

/// A critic with these settings; its prompt comes from elsewhere.
impl From<&CriticSettings> for CriticPlan {
    fn from(settings: &CriticSettings) -> Self {
        Self {
            prompt: String::new(),
            prompt_as: match settings.prompt {
                CriticPromptAs::Message => CriticPrompt::Message,
                CriticPromptAs::System => CriticPrompt::System,
            },
            prompt_file: None,
            model: settings.model.clone(),
            allow: settings.allow.clone(),
            max_failures: settings.max_failures.get(),
            timeout_ms: settings.timeout.as_ms(),
            watch_ms: CRITIC_WATCH_MS,
            without_hooks: true,
            settings_file: None,
        }
    }
}
