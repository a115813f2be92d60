//! The token of a process and a pending exchange of it.

use super::{Tick, TokenId};

/// The timeout for the CLI's answer to an exchanged credential. It answers within a few milliseconds (measured).
const SWAP_LIMIT_MS: u64 = 3_000;
/// The token of a process and a pending exchange of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Credential {
    /// `None` if the CLI finds one by itself.
    token: Option<TokenId>,
    /// The token of a pending exchange, and when it times out.
    swap: Option<(TokenId, Tick)>,
    proof: Proof,
}

/// Whether the process is known to use its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Proof {
    /// The process was started with the token, or the model has answered since the exchange.
    #[default]
    Proven,
    /// Exchanged while idle: the next answer is the proof. `before_unix_ms`: until when the previous token is limited, unix
    /// milliseconds.
    Awaited { before_unix_ms: Option<i64> },
    /// Exchanged during a turn: a failure may still concern the previous token.
    AwaitedAtWork { before_unix_ms: Option<i64> },
}

impl Credential {
    pub(super) fn of(token: Option<TokenId>) -> Credential {
        Credential { token, ..Credential::default() }
    }

    pub(super) fn token(&self) -> Option<&TokenId> {
        self.token.as_ref()
    }

    /// Whether an exchange is pending.
    pub(super) fn is_exchanged(&self) -> bool {
        self.swap.is_some()
    }

    /// Whether the process is known to use its token.
    pub(super) fn is_proven(&self) -> bool {
        self.proof == Proof::Proven
    }

    pub(super) fn proof(&self) -> Proof {
        self.proof
    }

    /// When the exchange times out.
    pub(super) fn due(&self) -> Option<Tick> {
        self.swap.as_ref().map(|(_, due)| *due)
    }

    pub(super) fn exchange(&mut self, token: TokenId, now: Tick) {
        self.swap = Some((token, now.plus_ms(SWAP_LIMIT_MS)));
    }

    pub(super) fn give_up(&mut self) {
        self.swap = None;
    }

    /// The CLI accepted or rejected the exchanged token; `before_unix_ms` is as in `Proof`. False if no exchange was pending.
    pub(super) fn answered(&mut self, applied: bool, idle: bool, before_unix_ms: Option<i64>) -> bool {
        let Some((token, _)) = self.swap.take() else { return false };
        if applied {
            self.proof = match idle {
                true => Proof::Awaited { before_unix_ms },
                false => Proof::AwaitedAtWork { before_unix_ms },
            };
            self.token = Some(token);
        }
        true
    }

    /// The model has answered. True if this is the proof of an exchange.
    pub(super) fn borne_out(&mut self) -> bool {
        let shows = !self.is_exchanged() && !self.is_proven();
        if shows {
            self.proof = Proof::Proven;
        }
        shows
    }

    /// A turn failed, perhaps because of the previous token: the next answer is the proof.
    pub(super) fn failed_at_work(&mut self, before_unix_ms: Option<i64>) {
        self.proof = Proof::Awaited { before_unix_ms };
    }
}
