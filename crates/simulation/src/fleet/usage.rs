//! The endpoint that tells the usage of a token, its faults, and the cache of its answers that all ccc processes share.

use std::collections::BTreeMap;

use crate::dice::Dice;
use crate::provider::Provider;
use supervision::core::{TokenFact, TokenId};
use supervision::upkeep::{TokenUsage, WindowUse};

/// The shortest pause between two questions about a token.
pub(super) const PAUSE_MS: i64 = 120_000;
/// The pauses after the endpoint has been asked too often.
const BACKOFF_MS: (i64, i64) = (300_000, 3_600_000);

/// How the endpoint answers at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Works,
    /// It answers with an error, or not at all.
    Down,
    /// It answers that it is asked too often.
    TooOften,
    /// It answers with nonsense.
    Garbage,
    /// It answers after this time.
    Late(u64),
}

impl Endpoint {
    pub(super) fn draw(dice: &mut Dice) -> Endpoint {
        match dice.between(0, 4) {
            0 => Endpoint::Works,
            1 => Endpoint::Down,
            2 => Endpoint::TooOften,
            3 => Endpoint::Garbage,
            _ => Endpoint::Late(dice.between(1_000, 120_000)),
        }
    }

    /// How long an answer takes, in milliseconds.
    pub(super) fn takes_ms(self, dice: &mut Dice) -> u64 {
        match self {
            Endpoint::Works | Endpoint::TooOften | Endpoint::Garbage => dice.between(20, 800),
            Endpoint::Down => dice.between(20, 15_000),
            Endpoint::Late(ms) => ms,
        }
    }
}

/// What is on the disk about a token.
#[derive(Debug, Clone, Default)]
struct Entry {
    next_unix_ms: Option<i64>,
    backoff_ms: Option<i64>,
    windows: Vec<WindowUse>,
}

/// The cache of the answers.
#[derive(Debug, Default)]
pub(super) struct Cache(BTreeMap<TokenId, Entry>);

impl Cache {
    /// Whether the token may be asked about now. If so, that is written down.
    pub(super) fn asks(&mut self, token: &TokenId, now_unix_ms: i64) -> bool {
        let entry = self.0.entry(token.clone()).or_default();
        // A time beyond the longest pause is of a clock that was set back.
        let waits = entry.next_unix_ms.is_some_and(|next| (1..=BACKOFF_MS.1).contains(&(next - now_unix_ms)));
        if !waits {
            entry.next_unix_ms = Some(now_unix_ms + PAUSE_MS);
        }
        !waits
    }

    /// The answer has come.
    pub(super) fn answered(
        &mut self,
        token: &TokenId,
        endpoint: Endpoint,
        provider: &mut Provider,
        dice: &mut Dice,
        true_ms: i64,
        now_unix_ms: i64,
    ) {
        let entry = self.0.entry(token.clone()).or_default();
        match endpoint {
            Endpoint::Down => {}
            Endpoint::TooOften => {
                let pause = entry.backoff_ms.map_or(BACKOFF_MS.0, |last| (last * 2).clamp(BACKOFF_MS.0, BACKOFF_MS.1));
                entry.backoff_ms = Some(pause);
                entry.next_unix_ms = Some(now_unix_ms + pause);
            }
            Endpoint::Garbage => {
                let percent = dice.choose(&[None, Some(-3.0), Some(1.0e9), Some(90.0), Some(f64::NAN)], None);
                let resets_unix_ms = dice.choose(&[None, Some(0), Some(i64::MAX), Some(true_ms - 1)], None);
                let name = dice.choose(&["five_hour", "", "no such window"], "").to_owned();
                entry.windows = vec![WindowUse { name, percent, resets_unix_ms }];
            }
            Endpoint::Works | Endpoint::Late(_) => {
                entry.backoff_ms = None;
                let told = provider.usage(token, true_ms).into_iter();
                entry.windows = told
                    .map(|(name, percent, resets_unix_ms)| WindowUse {
                        name: name.to_owned(),
                        percent: Some(percent),
                        resets_unix_ms,
                    })
                    .collect();
            }
        }
    }

    /// What is known about the tokens.
    pub(super) fn known(&self, tokens: &[TokenFact], now_unix_ms: i64) -> Vec<TokenUsage> {
        let usage = |fact: &TokenFact| TokenUsage {
            id: fact.id.0.clone(),
            label: fact.label.clone(),
            windows: self.0.get(&fact.id).map(|entry| entry.windows.clone()).unwrap_or_default(),
            limited_until_unix_ms: fact.limited_until_unix_ms.filter(|until| *until > now_unix_ms),
            refused: fact.refused,
        };
        tokens.iter().map(usage).collect()
    }
}
