//! Credentials: where they come from, what is known about them, and which one the agent gets.
//!
//! [`Pool::gather`] looks at the configuration, the environment and the files of the agent's CLI, which are only read:
//! refresh tokens are single-use, and a copied or rewritten credential file locks accounts out. [`Pool::child_env`]
//! leaves a child exactly one token; [`AgentSettings`] finds settings of the CLI that would put another in its place.
//! [`SharedTokens`] is what all ccc processes of the user know about limits and refusals.
//!
//! A value never leaves this module except as a [`secrecy::SecretString`] for a child's environment: people see label,
//! kind and [`Fingerprint`].

mod agent_settings;
mod credential;
mod fetch;
mod file_lock;
mod fingerprint;
mod hosts;
mod http;
mod keychain;
mod knowledge;
mod login;
mod pool;
mod probe;
mod project_settings;
mod rate_headers;
mod settings_files;
mod shared;
mod sources;
pub mod usage;

pub use agent_settings::{AgentSettings, Conflict, ConflictingSetting};
pub use credential::{
    ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN, CLAUDE_CODE_OAUTH_TOKEN, CREDENTIAL_VARIABLES, ChildEnv, Credential,
    CredentialKind, SeenValue, Source, variables,
};
pub use fetch::{FetchCommand, FetchError};
pub use fingerprint::Fingerprint;
pub use hosts::{ANTHROPIC_BASE_URL, BaseUrl, HostError, Hosts, Service, UrlFault};
pub use http::{BODY_LIMIT_BYTES, Http, HttpFault, TIMEOUT as HTTP_TIMEOUT};
pub use keychain::{Keychain, KeychainFault, SECURITY};
pub use knowledge::Knowledge;
pub use pool::{Gathered, NoCredential, Places, Pool};
pub use probe::{ProbeVerdict, Probed, QUOTA_RETRY_AFTER_MS, probe};
pub use project_settings::{ProjectWishes, wishes_of_project};
pub use settings_files::{MANAGED_SETTINGS, OddFile, SettingsPlaces};
pub use shared::{KEPT_MS, LOCK_WAIT, SetAside, SharedError, SharedTokens, TOKENS_VERSION, TokenState, TokenStates};
pub use sources::{POOL_LIMIT, PoolError, TokenFileFault, variable_of, without_credentials};

pub use crate::config::Provider;
