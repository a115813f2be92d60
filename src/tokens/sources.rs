//! Where tokens are written down: variables, files of one a line, and entries of the configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::credential::{Credential, CredentialKind};
use super::fetch::FetchCommand;
use crate::config::{Env, Provider, TokenEntry, TokenEntryKind, TokenPlace};

/// How large a file of tokens may be, in bytes.
const FILE_LIMIT_BYTES: u64 = 1024 * 1024;
/// How many tokens a pool may hold.
pub const POOL_LIMIT: usize = 512;

/// The variables of one kind of token: `BASE`, `BASE_2` and so on, `BASES`, `BASES_FILE`.
struct Family {
    provider: Provider,
    kind: CredentialKind,
    base: &'static str,
}

const fn family(provider: Provider, kind: CredentialKind, base: &'static str) -> Family {
    Family { provider, kind, base }
}

const FAMILIES: [Family; 8] = [
    family(Provider::Anthropic, CredentialKind::ApiKey, super::ANTHROPIC_API_KEY),
    family(Provider::Anthropic, CredentialKind::AuthToken, super::ANTHROPIC_AUTH_TOKEN),
    family(Provider::Anthropic, CredentialKind::OAuth, super::CLAUDE_CODE_OAUTH_TOKEN),
    family(Provider::OpenAi, CredentialKind::ApiKey, "OPENAI_API_KEY"),
    family(Provider::Google, CredentialKind::ApiKey, "GEMINI_API_KEY"),
    family(Provider::Google, CredentialKind::ApiKey, "GOOGLE_API_KEY"),
    family(Provider::Cohere, CredentialKind::ApiKey, "COHERE_API_KEY"),
    family(Provider::Cohere, CredentialKind::ApiKey, "CO_API_KEY"),
];

/// How a variable holds tokens. The order is the one in which the forms are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
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
    fn form(&self, name: &str) -> Option<Form> {
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

/// Whose token a variable of this name holds or names, in any of the forms.
#[must_use]
pub fn variable_of(name: &str) -> Option<Provider> {
    FAMILIES.iter().find(|family| family.form(name).is_some()).map(|family| family.provider)
}

/// Why the tokens could not be gathered. No message holds a value.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// A file of tokens is named and cannot be used.
    #[error("{named_by} names the file of tokens {}, which {fault}", path.display())]
    File {
        /// The variable, or the place in the configuration.
        named_by: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        fault: TokenFileFault,
    },
    /// There are too many.
    #[error("there are more than {POOL_LIMIT} tokens, the last of them from {last}")]
    TooMany {
        /// Where the one too many was found.
        last: String,
    },
}

/// What is wrong with a file of tokens.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileFault {
    /// It is not there.
    #[error("does not exist")]
    Missing,
    /// It cannot be opened or read.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// It is a directory or a device.
    #[error("is no regular file")]
    NotAFile,
    /// It is larger than any list of tokens.
    #[error("is larger than 1 MiB")]
    TooLarge,
    /// It is no text.
    #[error("is not valid UTF-8 in line {line}")]
    NotUtf8 {
        /// Counted from 1.
        line: usize,
    },
}

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) credentials: Vec<Credential>,
    pub(super) warnings: Vec<String>,
    /// Values that are never given to anybody by us, but must not be shown either.
    pub(super) hidden: Vec<SecretString>,
}

impl Found {
    /// Adds a credential unless its value is there already: the first label stays.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn add(&mut self, credential: Credential) -> Result<(), PoolError> {
        if self.credentials.iter().any(|known| known.id() == credential.id()) {
            return Ok(());
        }
        if self.credentials.len() >= POOL_LIMIT {
            return Err(PoolError::TooMany { last: credential.label });
        }
        self.credentials.push(credential);
        Ok(())
    }

    /// Adds what was written at a place, if it is anything. White space around a value is left out.
    fn add_written(
        &mut self,
        label: String,
        kind: CredentialKind,
        provider: Provider,
        text: &str,
    ) -> Result<(), PoolError> {
        let value = text.trim();
        if value.is_empty() {
            return Ok(());
        }
        if value.contains(|c: char| c.is_whitespace() || c.is_control()) {
            self.hidden.extend(value.split_whitespace().map(SecretString::from));
            self.warnings.push(format!("{label} has white space inside and is not used"));
            return Ok(());
        }
        self.add(Credential::held(label, kind, provider, SecretString::from(value)))
    }
}

/// Where names are taken from.
#[derive(Clone, Copy)]
pub(super) struct Base<'a> {
    pub(super) env: &'a Env,
    pub(super) home: &'a Path,
    pub(super) cwd: &'a Path,
}

/// The tokens of the variables of one provider and kind: `BASE`, `BASE_2`…, `BASES`, `BASES_FILE`.
pub(super) fn from_variables(
    base: Base<'_>,
    provider: Provider,
    kind: CredentialKind,
    found: &mut Found,
) -> Result<(), PoolError> {
    for family in FAMILIES.iter().filter(|family| family.provider == provider && family.kind == kind) {
        let mut set: Vec<(Form, &str)> = base
            .env
            .names()
            .filter_map(|name| name.to_str())
            .filter_map(|name| Some((family.form(name)?, name)))
            .collect();
        set.sort_unstable();
        for (form, name) in set {
            let Some(text) = read_variable(base.env, name, &mut found.warnings) else { continue };
            match form {
                Form::Single | Form::Numbered(_) => {
                    if text.trim() != text && !text.trim().is_empty() {
                        found.warnings.push(format!("{name} begins or ends with white space, which is left out"));
                    }
                    found.add_written(name.to_owned(), kind, provider, text)?;
                }
                Form::List => {
                    for (index, item) in text.split(',').enumerate() {
                        found.add_written(format!("{name}[{}]", index + 1), kind, provider, item)?;
                    }
                }
                Form::File => {
                    if !text.trim().is_empty() {
                        let path = located(base, text.trim());
                        from_file(name, &path, None, kind, provider, found)?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// A variable's text; one that is empty is none, one that is no text is a warning.
fn read_variable<'a>(env: &'a Env, name: &str, warnings: &mut Vec<String>) -> Option<&'a str> {
    let value = env.get(name)?;
    let text = value.to_str();
    if text.is_none() {
        warnings.push(format!("{name} is not valid UTF-8 and is not used"));
    }
    text
}

fn located(base: Base<'_>, text: &str) -> PathBuf {
    text.strip_prefix("~/").map_or_else(|| base.cwd.join(text), |rest| base.home.join(rest))
}

/// The tokens of a file, one a line. `#` begins a comment, at the start of a line or after white space.
fn from_file(
    named_by: &str,
    path: &Path,
    label: Option<&str>,
    kind: CredentialKind,
    provider: Provider,
    found: &mut Found,
) -> Result<(), PoolError> {
    let (bytes, mode) = read_file(path).map_err(|fault| PoolError::File {
        named_by: named_by.to_owned(),
        path: path.to_owned(),
        fault,
    })?;
    if mode & 0o077 != 0 {
        found.warnings.push(format!(
            "{} holds tokens and may be read by others (mode {:03o}): chmod 600 {0}",
            path.display(),
            mode & 0o777
        ));
    }
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let mut values = Vec::new();
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let number = index + 1;
        let text = std::str::from_utf8(line).map_err(|_| PoolError::File {
            named_by: named_by.to_owned(),
            path: path.to_owned(),
            fault: TokenFileFault::NotUtf8 { line: number },
        })?;
        let value = without_comment(text.trim_start_matches('\u{feff}'));
        if !value.is_empty() {
            values.push((number, value));
        }
    }
    let alone = values.len() == 1;
    for (number, value) in values {
        let label = match label {
            Some(label) if alone => label.to_owned(),
            Some(label) => format!("{label}:{number}"),
            None => format!("{name}:{number}"),
        };
        found.add_written(label, kind, provider, value)?;
    }
    Ok(())
}

fn without_comment(line: &str) -> &str {
    let mut before = ' ';
    let comment = line.char_indices().find(|&(_, c)| {
        let begins = c == '#' && before.is_whitespace();
        before = c;
        begins
    });
    line.get(..comment.map_or(line.len(), |(at, _)| at)).unwrap_or_default().trim()
}

/// The file's content and its permission bits.
fn read_file(path: &Path) -> Result<(Vec<u8>, u32), TokenFileFault> {
    let unreadable = TokenFileFault::Unreadable;
    // Asked first: a pipe without a writer would be waited for.
    let metadata = std::fs::metadata(path).map_err(|error| {
        let missing = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind());
        if missing { TokenFileFault::Missing } else { unreadable(error) }
    })?;
    if !metadata.is_file() {
        return Err(TokenFileFault::NotAFile);
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(FILE_LIMIT_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_LIMIT_BYTES {
        return Err(TokenFileFault::TooLarge);
    }
    Ok((bytes, metadata.mode()))
}

/// The tokens that the configuration names, in its order.
pub(super) fn from_entries(
    base: Base<'_>,
    entries: &[TokenEntry],
    provider: Provider,
    found: &mut Found,
) -> Result<(), PoolError> {
    let mut command_env: Option<Arc<Vec<(OsString, OsString)>>> = None;
    for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.provider == provider) {
        let place = format!("tokens[{index}]");
        let label = entry.label.clone();
        let kind = match entry.kind {
            TokenEntryKind::ApiKey => CredentialKind::ApiKey,
            TokenEntryKind::OAuth => CredentialKind::OAuth,
            TokenEntryKind::AuthToken => CredentialKind::AuthToken,
        };
        match &entry.place {
            TokenPlace::Env(name) => match read_variable(base.env, name, &mut found.warnings) {
                // Its name is left out: somebody may have written the value there.
                None => found.warnings.push(format!(
                    "{} of the configuration is not used: the variable that it names is not set",
                    label.unwrap_or(place)
                )),
                Some(text) => found.add_written(label.unwrap_or_else(|| name.clone()), kind, provider, text)?,
            },
            TokenPlace::File(path) => {
                from_file(&place, &located(base, path), label.as_deref(), kind, provider, found)?;
            }
            TokenPlace::Command { line, timeout } => {
                let env = command_env.get_or_insert_with(|| {
                    Arc::new(base.env.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
                });
                let command = FetchCommand::new(line.clone(), *timeout, base.cwd.to_owned(), Arc::clone(env));
                let label = label.unwrap_or_else(|| format!("command of {place}"));
                found.add(Credential::fetched(label, kind, provider, command))?;
            }
        }
    }
    Ok(())
}

/// The variables that a child of this provider's must not see: those that programs look for, those of all forms that are
/// set, and those that entries of the configuration name. What belongs to another provider alone is left.
pub(super) fn taken_away(env: &Env, entries: &[TokenEntry], provider: Provider) -> Vec<String> {
    let own = FAMILIES.iter().filter(|family| family.provider == provider);
    let mut names: BTreeSet<String> = own.map(|family| family.base.to_owned()).collect();
    let set = env.names().filter_map(|name| name.to_str());
    names.extend(set.filter(|name| variable_of(name) == Some(provider)).map(str::to_owned));
    for entry in entries {
        if let TokenPlace::Env(name) = &entry.place
            && variable_of(name).is_none_or(|owner| owner == provider)
        {
            names.insert(name.clone());
        }
    }
    names.into_iter().collect()
}

/// The values of other providers' variables: the agent and its tools may have them, but they must not be shown.
pub(super) fn foreign_values(env: &Env, provider: Provider) -> Vec<SecretString> {
    let foreign = env.pairs().filter_map(|(name, value)| {
        let name = name.to_str()?;
        let family = FAMILIES.iter().find(|family| family.provider != provider && family.form(name).is_some())?;
        let value = value.to_str()?;
        match family.form(name)? {
            Form::Single | Form::Numbered(_) | Form::List => Some(value),
            Form::File => None,
        }
    });
    let values: BTreeMap<&str, SecretString> = foreign
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|value| !value.is_empty())
        .map(|value| (value, SecretString::from(value)))
        .collect();
    values.into_values().collect()
}

/// Whether two values are the same.
pub(super) fn same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}
