//! The login of the agent's CLI: `.credentials.json`. It is only read; the CLI refreshes it by itself (facts §9).

use std::path::Path;

use secrecy::SecretString;
use serde_json::Value;

use super::credential::{Credential, CredentialKind, SeenValue};
use super::fingerprint::short_hash;
use super::sources::Found;
use crate::config::Dirs;
use crate::files::{self, AGENT_SETTINGS, ReadFault};
use crate::json::from_json;

/// The agent's own login, if there is one. Its values are kept only for redaction.
pub(super) fn read(dirs: &Dirs, found: &mut Found) -> Option<Credential> {
    let claude_dir = &dirs.claude;
    let file = claude_dir.join(".credentials.json");
    let login = match read_json(&file, &mut found.warnings) {
        Ok(login) => login?,
        Err(fault) => {
            found.warnings.push(format!("{} {fault}", file.display()));
            return None;
        }
    };
    let field = |name: &str| {
        let text = login.pointer(name)?.as_str()?;
        (!text.is_empty()).then(|| SecretString::from(text))
    };
    let token = field("/claudeAiOauth/accessToken")?;
    let seen = SeenValue {
        value: token.clone(),
        expires_at_unix_ms: login.pointer("/claudeAiOauth/expiresAt").and_then(Value::as_i64),
    };
    let label = match file.strip_prefix(&dirs.home) {
        Ok(below) => format!("~/{}", below.display()),
        Err(_) => file.display().to_string(),
    };
    let credential = Credential::found_by_agent(label, CredentialKind::Login, id(claude_dir), Some(seen));
    found.hidden.push(token);
    found.hidden.extend(field("/claudeAiOauth/refreshToken"));
    Some(credential)
}

/// `login` for the default directory of the agent's CLI; a directory that `CLAUDE_CONFIG_DIR` names has its own
/// account and id.
fn id(claude_dir: &Path) -> String {
    if claude_dir.ends_with(".claude") {
        "login".to_owned()
    } else {
        format!("login-{}", short_hash(b"ccc login directory 1\0", &claude_dir.to_string_lossy()))
    }
}

/// A missing file is no fault; invalid JSON is a warning. The parser's message is left out, because it may quote the
/// content.
fn read_json(file: &Path, warnings: &mut Vec<String>) -> Result<Option<Value>, ReadFault> {
    let Some(bytes) = files::read_if_there(file, AGENT_SETTINGS)? else { return Ok(None) };
    let value = from_json(&bytes)
        .map_err(|error| {
            warnings.push(format!(
                "{} is not valid JSON at line {}, column {}",
                file.display(),
                error.line(),
                error.column()
            ));
        })
        .ok();
    Ok(value)
}
