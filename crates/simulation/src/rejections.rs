//! Faults that a plain retry does not resolve: requests that the provider calls invalid, credentials that it refuses or that lack
//! a permission, and networks that block requests.
//!
//! Each trouble belongs to a session (its history), to an account, or to everything (the task's text, the network), and lasts for
//! some time. `/compact` ends some of them. This module has its own dice, so that nights without such a trouble are the same as
//! before it existed.

use std::fmt;

use super::dice::Dice;
use ccc::demo::scripted::{ApiError, CliVersion};
use supervision::core::TokenId;

/// Separates these dice from the night's own.
const DICE: u64 = 0x7265_6a65_6374;
const MINUTE_MS: i64 = 60_000;

/// The rejections of the night.
#[derive(Debug)]
pub(super) struct Rejections {
    dice: Dice,
    /// How often a trouble begins at a request, per [`OCCASIONS`](super::dice::OCCASIONS).
    rate: u64,
    troubles: Vec<Trouble>,
}

/// The facts about a request that decide whether it is rejected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) session: &'a str,
    pub(super) token: Option<&'a TokenId>,
    /// Whether it is `/compact`.
    pub(super) compacts: bool,
    pub(super) version: CliVersion,
    pub(super) now_ms: i64,
}

#[derive(Debug, Clone)]
struct Trouble {
    kind: Kind,
    of: Of,
    /// When the trouble ends, unix milliseconds.
    until_ms: i64,
    /// Whether `/compact` ends the trouble.
    heals_by_compaction: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Of {
    Session(String),
    Account(Option<TokenId>),
    Everything,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A filter blocks an answer; a later answer passes.
    Filter,
    TooLong,
    /// The provider rejects something in the history.
    History,
    /// The provider rejects the task's text, in every session.
    Task,
    SpendLimit,
    CreditsRequired,
    /// The API denies a permission to the credential.
    NotPermitted,
    /// The login is refused briefly, while another process refreshes it.
    Refreshing,
    /// A proxy or a web filter answers instead of the API.
    Network(u16),
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Filter => "filtered answer",
            Kind::TooLong => "prompt too long",
            Kind::History => "rejected history",
            Kind::Task => "rejected task",
            Kind::SpendLimit => "spend limit",
            Kind::CreditsRequired => "credits required",
            Kind::NotPermitted => "missing permission",
            Kind::Refreshing => "refusal that heals",
            Kind::Network(403) => "network answers 403",
            Kind::Network(_) => "network answers 407",
        }
    }

    /// The CLI's error, in the fields of its version.
    fn error(self, version: CliVersion) -> ApiError {
        let newest = version >= CliVersion::V332;
        let of_the_api = |status, api_type: &str| ApiError {
            status: Some(status),
            api_type: api_type.to_owned(),
            message: self.to_string(),
            ..ApiError::default()
        };
        match self {
            Kind::Filter | Kind::History | Kind::Task | Kind::SpendLimit => of_the_api(400, "invalid_request_error"),
            Kind::TooLong => {
                ApiError { terminal_reason: "prompt_too_long".to_owned(), ..of_the_api(400, "invalid_request_error") }
            }
            Kind::CreditsRequired => ApiError {
                api_error: if newest { "long_context_credits_required".to_owned() } else { String::new() },
                ..of_the_api(400, "invalid_request_error")
            },
            Kind::NotPermitted => of_the_api(403, "permission_error"),
            Kind::Refreshing => of_the_api(401, "authentication_error"),
            Kind::Network(status) => of_the_api(status, ""),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Rejections {
    pub(super) fn draw(seed: u64, long: bool) -> Rejections {
        let mut dice = Dice::new(seed ^ DICE);
        let rate = dice.rate(if long { 60 } else { 8_000 });
        Rejections { dice, rate, troubles: Vec::new() }
    }

    /// The error of a rejected request and the name of its trouble; `None` when the request passes.
    pub(super) fn answer(&mut self, request: Request<'_>) -> Option<(ApiError, &'static str)> {
        self.troubles.retain(|trouble| trouble.until_ms > request.now_ms);
        let at = match self.troubles.iter().position(|trouble| trouble.hits(request)) {
            Some(at) => at,
            None if self.dice.chance(self.rate) => {
                let trouble = self.trouble(request);
                self.troubles.push(trouble);
                self.troubles.len() - 1
            }
            None => return None,
        };
        let trouble = self.troubles.get(at).filter(|trouble| trouble.hits(request))?;
        Some((trouble.kind.error(request.version), trouble.kind.name()))
    }

    fn trouble(&mut self, request: Request<'_>) -> Trouble {
        let dice = &mut self.dice;
        let (session, account) = (Of::Session(request.session.to_owned()), Of::Account(request.token.cloned()));
        let (kind, of, minutes) = match dice.between(0, 19) {
            0..=3 => (Kind::Filter, session, (0, 1)),
            4..=6 => (Kind::TooLong, session, (600, 6_000)),
            7..=9 => (Kind::History, session, (600, 6_000)),
            10 => (Kind::Task, Of::Everything, (60, 600)),
            11..=12 => (Kind::SpendLimit, account, (30, 600)),
            13..=14 => (Kind::CreditsRequired, account, (30, 600)),
            15 => (Kind::NotPermitted, account, (600, 6_000)),
            16..=17 => (Kind::Refreshing, account, (0, 0)),
            18 => (Kind::Network(403), Of::Everything, (0, 30)),
            _ => (Kind::Network(407), Of::Everything, (0, 30)),
        };
        let (from_ms, to_ms) = (minutes.0 * MINUTE_MS, minutes.1 * MINUTE_MS);
        let lasts_ms = if kind == Kind::Refreshing { (100, 25_000) } else { (from_ms + 100, to_ms + 100) };
        let heals = match kind {
            Kind::TooLong => 80,
            Kind::History => 40,
            Kind::Filter
            | Kind::Task
            | Kind::SpendLimit
            | Kind::CreditsRequired
            | Kind::NotPermitted
            | Kind::Refreshing
            | Kind::Network(_) => 0,
        };
        Trouble {
            kind,
            of,
            until_ms: request.now_ms + dice.between_signed(lasts_ms.0, lasts_ms.1),
            heals_by_compaction: dice.percent(heals),
        }
    }

    /// Ends the troubles that the compaction of a session resolves.
    pub(super) fn compacted(&mut self, session: &str) {
        self.troubles
            .retain(|trouble| !trouble.heals_by_compaction || !matches!(&trouble.of, Of::Session(of) if of == session));
    }
}

impl Trouble {
    fn hits(&self, request: Request<'_>) -> bool {
        let shortens = request.compacts && (self.kind == Kind::TooLong || self.heals_by_compaction);
        match &self.of {
            Of::Session(session) => session == request.session && !shortens,
            Of::Account(token) => token.as_ref() == request.token,
            Of::Everything => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CliVersion, Kind, MINUTE_MS, Of, Rejections, Request, Trouble};

    const REQUEST: Request<'_> =
        Request { session: "s", token: None, compacts: false, version: CliVersion::V332, now_ms: 0 };

    fn troubled(kind: Kind, of: Of, heals_by_compaction: bool) -> Rejections {
        let trouble = Trouble { kind, of, until_ms: MINUTE_MS, heals_by_compaction };
        let mut rejections = Rejections::draw(0, false);
        (rejections.rate, rejections.troubles) = (0, vec![trouble]);
        rejections
    }

    #[test]
    fn a_trouble_hits_what_it_belongs_to_and_passes_with_its_time_or_with_a_shorter_history() {
        let of_session = || Of::Session("s".to_owned());
        let mut long = troubled(Kind::TooLong, of_session(), true);
        assert!(long.answer(REQUEST).is_some());
        assert!(long.answer(Request { session: "another", ..REQUEST }).is_none());
        assert!(long.answer(Request { compacts: true, ..REQUEST }).is_none(), "the CLI knows how to shorten it");
        long.compacted("another");
        assert!(long.answer(REQUEST).is_some());
        long.compacted("s");
        assert!(long.answer(REQUEST).is_none());

        let mut poisoned = troubled(Kind::History, of_session(), false);
        assert!(poisoned.answer(Request { compacts: true, ..REQUEST }).is_some(), "to shorten it asks the model, too");
        poisoned.compacted("s");
        assert!(poisoned.answer(REQUEST).is_some());
        assert!(poisoned.answer(Request { now_ms: MINUTE_MS, ..REQUEST }).is_none());

        assert!(troubled(Kind::SpendLimit, Of::Account(None), false).answer(REQUEST).is_some());
        let everywhere =
            troubled(Kind::Network(407), Of::Everything, false).answer(Request { session: "new", ..REQUEST });
        assert_eq!(everywhere.map(|(error, _)| (error.status, error.api_type)), Some((Some(407), String::new())));
    }
}
