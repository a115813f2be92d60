//! The names of variables that hold tokens, in all forms.

use super::offers::all_variables;
use crate::config::Provider;
use crate::core::TokenKind as CredentialKind;

/// The variables of one kind of token: `BASE`, `BASE_2` and so on, `BASES`, `BASES_FILE`.
pub(super) struct Family {
    pub(super) provider: Provider,
    pub(super) kind: CredentialKind,
    base: &'static str,
}

pub(super) fn families(provider: Provider) -> impl Iterator<Item = Family> {
    all_variables(provider).map(move |(kind, base)| Family { provider, kind, base })
}

/// The family of a variable with this name, and its form.
pub(super) fn family_of(name: &str) -> Option<(Family, Form)> {
    Provider::ALL.into_iter().flat_map(families).find_map(|family| {
        let form = family.form(name)?;
        Some((family, form))
    })
}

/// How a variable holds tokens. The forms are read in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// `BASE`.
    Single,
    /// `BASE_2`, `BASE_3`, …
    Numbered(u64),
    /// `BASES`, separated by commas.
    List,
    /// `BASES_FILE`, which names a file.
    File,
}

impl Family {
    pub(super) fn form(&self, name: &str) -> Option<Form> {
        match name.strip_prefix(self.base)? {
            "" => Some(Form::Single),
            "S" => Some(Form::List),
            "S_FILE" => Some(Form::File),
            rest => {
                let digits = rest.strip_prefix('_')?;
                let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                all.then(|| Form::Numbered(digits.parse().unwrap_or(u64::MAX)))
            }
        }
    }
}

/// The provider whose token a variable with this name holds or names, in any form.
#[must_use]
pub fn variable_of(name: &str) -> Option<Provider> {
    family_of(name).map(|(family, _)| family.provider)
}

/// Variables that hold a credential of the agent's CLI and belong to no family.
const OTHER_CREDENTIALS: [&str; 6] = [
    "ANTHROPIC_CUSTOM_HEADERS",
    "ANTHROPIC_FOUNDRY_API_KEY",
    "ANTHROPIC_IDENTITY_TOKEN",
    "AWS_BEARER_TOKEN_BEDROCK",
    "CLAUDE_CODE_OAUTH_REFRESH_TOKEN",
    "CLAUDE_CODE_SESSION_ACCESS_TOKEN",
];

/// Whether a variable with this name holds a credential.
pub(super) fn is_credential(name: &str) -> bool {
    variable_of(name).is_some() || OTHER_CREDENTIALS.contains(&name)
}
