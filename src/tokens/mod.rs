//! Credentials: where they come from and which one the agent gets.
//!
//! [`discover`] looks at the environment and at the files of the agent's CLI, which are only read: refresh tokens are
//! single-use, and a copied or rewritten credential file locks accounts out. It picks the one that the CLI itself would
//! use, and [`Discovery::child_env`] leaves the agent exactly that one.
//!
//! A value never leaves this module except as a [`secrecy::SecretString`] for the child's environment: people see label,
//! kind and [`Fingerprint`].

mod credential;
mod discovery;
mod fetch;

pub use credential::{
    ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN, CLAUDE_CODE_OAUTH_TOKEN, CREDENTIAL_VARIABLES, ChildEnv, Credential,
    CredentialKind, Fingerprint, Source, variables,
};
pub use discovery::{Discovery, NoCredential, discover};
pub use fetch::{FetchCommand, FetchError};

pub use crate::config::Provider;
