//! Credentials: their sources, what is known about them, and which one the agent gets.
//!
//! [`Pool::gather`] reads the configuration, the environment and the files of the agent's CLI. It never writes those
//! files: refresh tokens are single-use, and a copied or rewritten credential file locks accounts out.
//! [`Pool::child_env`] leaves a child exactly one token; [`AgentSettings`] finds settings of the CLI that would
//! replace it. [`SharedTokens`] holds what all ccc processes of the user know about limits and refusals.
//!
//! A value leaves this module only as a [`secrecy::SecretString`] for a child's environment: the user sees label,
//! kind and [`Fingerprint`].

mod agent_settings;
mod credential;
mod fetch;
mod fingerprint;
mod hosts;
mod http;
mod keychain;
mod knowledge;
mod login;
mod offers;
mod pool;
mod probe;
mod project_settings;
mod provided;
mod rate_headers;
mod settings_files;
mod shared;
mod sources;
pub mod usage;
mod variables;
mod webhook;

pub use agent_settings::{AgentSettings, Conflict, ConflictingSetting};
pub use credential::{ChildEnv, Credential, CredentialKind, Route, SeenValue, Source};
pub use fetch::{FetchCommand, FetchError};
pub use fingerprint::Fingerprint;
pub use hosts::{BaseUrl, HostError, Hosts, UrlFault};
pub use http::{BODY_LIMIT_BYTES, Http, HttpFault, TIMEOUT as HTTP_TIMEOUT};
pub use keychain::{Keychain, KeychainFault, SECURITY};
pub use knowledge::Knowledge;
pub use offers::{
    ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN, ANTHROPIC_BASE_URL, CLAUDE_CODE_OAUTH_TOKEN, CREDENTIAL_VARIABLES,
    Service, all_variables, provider_of_program, variables,
};
pub use pool::{Gathered, NoCredential, Places, Pool};
pub use probe::{ProbeVerdict, Probed, QUOTA_RETRY_AFTER_MS, probe};
pub use project_settings::{ProjectWishes, wishes_of_project, wishes_of_user};
pub use provided::{EnvConflict, Provided, ProvidedFault, ResolveBase, SettingsConflicts};
pub use settings_files::{MANAGED_SETTINGS, SettingsPlaces, UnsafeFile};
pub use shared::{KEPT_MS, LOCK_WAIT, SetAside, SharedError, SharedTokens, TOKENS_VERSION, TokenState, TokenStates};
pub use sources::{POOL_LIMIT, PoolError, TokenFileFault, without_credentials};
pub use variables::variable_of;
#[cfg(test)]
pub(crate) use webhook::tests::server as answering_server;
pub use webhook::{PostError, Webhook, WebhookAnswer, WebhookFault};

pub use crate::config::Provider;
