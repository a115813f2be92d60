//! A table of the providers: variables, base URL, and how each is queried. The only place that distinguishes them.

use super::usage::{self, Account};
use crate::config::Provider;
use crate::core::TokenKind as CredentialKind;

/// An API key.
pub const ANTHROPIC_API_KEY: &str = "ANTHROPIC_API_KEY";
/// A bearer token.
pub const ANTHROPIC_AUTH_TOKEN: &str = "ANTHROPIC_AUTH_TOKEN";
/// An OAuth token.
pub const CLAUDE_CODE_OAUTH_TOKEN: &str = "CLAUDE_CODE_OAUTH_TOKEN";

/// The variables that conflict with each other in an agent's environment.
pub const CREDENTIAL_VARIABLES: [&str; 3] = [ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN, CLAUDE_CODE_OAUTH_TOKEN];
/// Anthropic's base URL if it is not the official host. The agent's CLI uses it too.
pub const ANTHROPIC_BASE_URL: &str = "ANTHROPIC_BASE_URL";

/// The version of Anthropic's API.
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

/// An API that can be queried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// A provider's API.
    Api(Provider),
    /// Anthropic's usage endpoint for subscriptions. The agent's CLI queries it at the official host, whatever
    /// `ANTHROPIC_BASE_URL` says (facts §9).
    Usage,
}

/// The header that an OAuth token needs.
const OAUTH_BETA: (&str, &str) = ("anthropic-beta", "oauth-2025-04-20");

/// A provider's row.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) provider: Provider,
    /// Its kinds of token, in the order in which its agent's CLI searches for them (facts §9).
    pub(super) kinds: &'static [Kind],
    /// The variables that set its base URL; the first one that is set counts.
    pub(super) base_variables: &'static [&'static str],
    /// Its default base URL.
    pub(super) official: &'static str,
    /// The request that checks whether a token is accepted.
    pub(super) asked: Asked,
    /// The programs, besides agents, that use its tokens, by name.
    programs: &'static [&'static str],
}

/// A kind of token of a provider.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) kind: CredentialKind,
    /// The variables that give it to a program; empty when the program finds it by itself. If programs read several
    /// names, all are set to the same value.
    pub(super) variables: &'static [&'static str],
    pub(super) sent: Sent,
    /// Additional headers of a request with it.
    pub(super) headers: &'static [(&'static str, &'static str)],
    /// The endpoint that reports its usage for free.
    pub(super) account: Option<UsageEndpoint>,
}

/// How a secret is sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sent {
    /// As `Authorization: Bearer`.
    Bearer,
    /// As the value of this header.
    Header(&'static str),
}

/// The request by which a provider's verdict on a token is obtained.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked {
    /// A message of one token to the cheapest model.
    Message,
    /// Its list of models, at this path.
    Models(&'static str),
}

/// The endpoint at which a provider reports a token's usage.
#[derive(Debug, Clone, Copy)]
pub(super) struct UsageEndpoint {
    pub(super) service: Service,
    pub(super) path: &'static str,
    pub(super) headers: &'static [(&'static str, &'static str)],
    pub(super) sent: Sent,
    /// Parses its answer.
    pub(super) read: fn(&[u8], i64) -> Option<Account>,
}

/// The endpoint for subscriptions (facts §9).
const ACCOUNT: Option<UsageEndpoint> = Some(UsageEndpoint {
    service: Service::Usage,
    path: "/api/oauth/usage",
    headers: &[OAUTH_BETA],
    sent: Sent::Bearer,
    read: usage::account,
});

/// The providers, in the order of [`Provider::ALL`].
pub(super) static OFFERS: [Offer; Provider::ALL.len()] = [
    Offer {
        provider: Provider::Anthropic,
        kinds: &[
            anthropic(CredentialKind::ApiKey, &[ANTHROPIC_API_KEY], Sent::Header("x-api-key"), &[VERSION], None),
            anthropic(CredentialKind::AuthToken, &[ANTHROPIC_AUTH_TOKEN], Sent::Bearer, &[VERSION], None),
            anthropic(CredentialKind::Helper, &[], Sent::Header("x-api-key"), &[VERSION], None),
            anthropic(CredentialKind::OAuth, &[CLAUDE_CODE_OAUTH_TOKEN], Sent::Bearer, &[VERSION, OAUTH_BETA], ACCOUNT),
            anthropic(CredentialKind::Login, &[], Sent::Bearer, &[VERSION, OAUTH_BETA], ACCOUNT),
        ],
        base_variables: &[ANTHROPIC_BASE_URL],
        official: "https://api.anthropic.com",
        asked: Asked::Message,
        programs: &["anthropic"],
    },
    Offer {
        provider: Provider::OpenAi,
        kinds: &[key(&["OPENAI_API_KEY"], Sent::Bearer)],
        base_variables: &["OPENAI_BASE_URL"],
        official: "https://api.openai.com/v1",
        asked: Asked::Models("/models"),
        programs: &["codex", "openai"],
    },
    Offer {
        provider: Provider::Google,
        kinds: &[key(&["GEMINI_API_KEY", "GOOGLE_API_KEY"], Sent::Header("x-goog-api-key"))],
        base_variables: &["GOOGLE_GEMINI_BASE_URL", "GEMINI_BASE_URL"],
        official: "https://generativelanguage.googleapis.com",
        asked: Asked::Models("/v1beta/models?pageSize=1"),
        programs: &["gemini", "gemini-cli"],
    },
    Offer {
        provider: Provider::Cohere,
        kinds: &[key(&["COHERE_API_KEY", "CO_API_KEY"], Sent::Bearer)],
        base_variables: &["CO_API_URL", "COHERE_BASE_URL"],
        official: "https://api.cohere.com",
        asked: Asked::Models("/v1/models?page_size=1"),
        programs: &["cohere", "co"],
    },
];

const fn anthropic(
    kind: CredentialKind,
    variables: &'static [&'static str],
    sent: Sent,
    headers: &'static [(&'static str, &'static str)],
    account: Option<UsageEndpoint>,
) -> Kind {
    Kind { kind, variables, sent, headers, account }
}

const fn key(variables: &'static [&'static str], sent: Sent) -> Kind {
    Kind { kind: CredentialKind::ApiKey, variables, sent, headers: &[], account: None }
}

/// The row of a provider; a test checks that each has one.
pub(super) fn offer(provider: Provider) -> &'static Offer {
    OFFERS.iter().find(|offer| offer.provider == provider).unwrap_or(&OFFERS[0])
}

/// A provider's row for a kind of token; `None` when the provider has no such tokens.
pub(super) fn kind(provider: Provider, kind: CredentialKind) -> Option<&'static Kind> {
    offer(provider).kinds.iter().find(|row| row.kind == kind)
}

/// The variables that give a credential of this kind to a program; empty when the program finds it by itself. If a
/// provider's programs read two names, both are set to the same value.
#[must_use]
pub fn variables(provider: Provider, kind: CredentialKind) -> &'static [&'static str] {
    self::kind(provider, kind).map_or(&[], |row| row.variables)
}

/// All variables that give a provider's programs a token, with the kind that each holds.
pub fn all_variables(provider: Provider) -> impl Iterator<Item = (CredentialKind, &'static str)> {
    offer(provider).kinds.iter().flat_map(|row| row.variables.iter().map(|name| (row.kind, *name)))
}

/// The provider whose tokens a program with this name uses, if the name tells.
#[must_use]
pub fn provider_of_program(name: &str) -> Option<Provider> {
    OFFERS.iter().find(|offer| offer.programs.contains(&name)).map(|offer| offer.provider)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_has_a_row_and_no_variable_or_program_stands_in_two() {
        assert_eq!(OFFERS.each_ref().map(|offer| offer.provider), Provider::ALL);
        let variables = Provider::ALL.into_iter().flat_map(all_variables).map(|(_, name)| name);
        let programs = OFFERS.iter().flat_map(|offer| offer.programs.iter().copied());
        let mut names: Vec<&str> = variables.chain(programs).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
