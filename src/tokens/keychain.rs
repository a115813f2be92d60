//! The agent's login in the macOS Keychain, read with the system's `security` command. It is only read.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

use crate::config::Env;
use crate::config::env::{CCC_SECURITY, CLAUDE_CONFIG_DIR};
use crate::process::{Cancel, CommandEnding, CommandErrors, CommandResult, CommandSpec, run_command};

/// The command on macOS.
pub const SECURITY: &str = "/usr/bin/security";
/// The name under which the agent's CLI stores its login.
const SERVICE: &str = "Claude Code-credentials";
/// The command's timeout: it may show a dialog that the user has to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long the command may take to exit after it was told to.
const GRACE: Duration = Duration::from_secs(1);
/// The largest login, in bytes.
const OUTPUT_LIMIT_BYTES: usize = 64 * 1024;
/// The variables that the command needs to find the user's Keychain.
const VARIABLES: [&str; 3] = ["HOME", "USER", "LOGNAME"];

/// Its exit code for a missing item: the last byte of errSecItemNotFound (-25300).
const NOT_FOUND: i32 = 44;
/// Its exit codes for a Keychain that cannot be opened now: errSecInteractionNotAllowed (-25308), errSecAuthFailed
/// (-25293) and userCanceledErr (-128).
const LOCKED: [i32; 3] = [36, 51, 128];

/// Reads one item of the Keychain.
#[derive(Debug, Clone)]
pub struct Keychain {
    program: PathBuf,
    env: Vec<(OsString, OsString)>,
    timeout: Duration,
}

/// Why there is no item. No message contains any of its content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeychainFault {
    /// It is locked, or access was denied.
    #[error("the Keychain is locked or did not allow it; unlock it with `security unlock-keychain`")]
    Locked,
    /// Nobody answered its dialog, or the command hangs.
    #[error("the Keychain did not answer within {}s; it may be asking for a password on the screen", timeout.as_secs_f32())]
    TimedOut {
        /// The timeout.
        timeout: Duration,
    },
    /// The command cannot be run, or failed in another way.
    #[error("{} {how}", program.display())]
    Failed {
        /// The command.
        program: PathBuf,
        /// How it failed.
        how: String,
    },
}

impl Keychain {
    /// The macOS Keychain; on other systems only an explicitly named program counts as one.
    #[must_use]
    pub fn of_user(env: &Env) -> Option<Keychain> {
        // It is not known which item belongs to another directory of the agent's CLI.
        if env.get(CLAUDE_CONFIG_DIR).is_some() {
            return None;
        }
        let named = env.get(CCC_SECURITY).map(PathBuf::from);
        let program = named.or_else(|| cfg!(target_os = "macos").then(|| PathBuf::from(SECURITY)))?;
        Some(Keychain::new(&program, env))
    }

    /// The Keychain behind this program, usually [`SECURITY`].
    #[must_use]
    pub fn new(program: &Path, env: &Env) -> Self {
        let set = VARIABLES.into_iter().filter_map(|name| Some((name.into(), env.get(name)?.to_owned())));
        Self { program: program.to_owned(), env: set.collect(), timeout: TIMEOUT }
    }

    /// The same with another timeout.
    #[must_use]
    pub fn within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The agent's login as the JSON that its CLI stored; `None` when there is no such item.
    ///
    /// # Errors
    /// When the Keychain cannot be read.
    pub fn login(&self) -> Result<Option<SecretString>, KeychainFault> {
        match self.find(&["-w"])? {
            None => Ok(None),
            Some(result) if result.truncated_bytes > 0 => Err(self.failed("printed more than a login".to_owned())),
            Some(result) => text(&result.tail).map(Some).ok_or_else(|| self.failed("printed no login".to_owned())),
        }
    }

    /// Whether there is a login. Its value is not requested, so the user is not asked for permission.
    ///
    /// # Errors
    /// When the Keychain cannot be read.
    pub fn has_login(&self) -> Result<bool, KeychainFault> {
        self.find(&[]).map(|found| found.is_some())
    }

    fn failed(&self, how: String) -> KeychainFault {
        KeychainFault::Failed { program: self.program.clone(), how }
    }

    /// The command's output about the item; `None` when it is missing.
    fn find(&self, more: &[&str]) -> Result<Option<CommandResult>, KeychainFault> {
        let mut spec = CommandSpec::shell("", PathBuf::from("/"));
        spec.program.clone_from(&self.program);
        spec.args = ["find-generic-password", "-s", SERVICE].iter().chain(more).map(OsString::from).collect();
        spec.env.clone_from(&self.env);
        spec.timeout = self.timeout;
        spec.grace = GRACE;
        spec.output_tail_limit_bytes = OUTPUT_LIMIT_BYTES;
        spec.errors = CommandErrors::Apart { tail_limit_bytes: 0 };
        let cancel = Cancel::new().map_err(|error| self.failed(format!("cannot be run: {error}")))?;
        let result = run_command(&spec, &cancel).map_err(|error| self.failed(format!("cannot be run: {error}")))?;
        match (result.ending, result.exit.code) {
            (CommandEnding::TimedOut | CommandEnding::Cancelled, _) => {
                Err(KeychainFault::TimedOut { timeout: self.timeout })
            }
            (CommandEnding::Exited, Some(0)) => Ok(Some(result)),
            (CommandEnding::Exited, Some(NOT_FOUND)) => Ok(None),
            (CommandEnding::Exited, Some(code)) if LOCKED.contains(&code) => Err(KeychainFault::Locked),
            (CommandEnding::Exited, Some(code)) => Err(self.failed(format!("failed with exit code {code}"))),
            (CommandEnding::Exited, None) => Err(self.failed("was ended by a signal".to_owned())),
        }
    }
}

/// The item's text. `security` prints it in hexadecimal when it has unprintable characters.
fn text(printed: &[u8]) -> Option<SecretString> {
    let text = std::str::from_utf8(printed).ok()?.trim();
    let is_hex = !text.is_empty() && text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex {
        return (!text.is_empty()).then(|| SecretString::from(text));
    }
    let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(byte).collect();
    String::from_utf8(bytes?).ok().map(SecretString::from)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::*;

    const LOGIN: &str = r#"{"claudeAiOauth":{"accessToken":"sk-ant-oat01-made-up"}}"#;

    fn asked(script: &str) -> Result<Option<String>, KeychainFault> {
        let dir = tempfile::tempdir().expect("tempdir");
        let program = dir.path().join("security");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("write");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("chmod");
        let env = Env::from_pairs([("HOME", dir.path().as_os_str())]);
        let keychain = Keychain::new(&program, &env).within(Duration::from_secs(5));
        keychain.login().map(|login| login.map(|text| text.expose_secret().to_owned()))
    }

    #[test]
    fn the_command_is_asked_as_on_macos_and_its_answer_is_taken() {
        let script = format!(
            r#"[ "$1 $2 $3 $4$5" = "find-generic-password -s Claude Code-credentials -w" ] && [ -n "$HOME" ] && echo '{LOGIN}'"#
        );
        assert_eq!(asked(&script), Ok(Some(LOGIN.to_owned())));
        let hex: String = LOGIN.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(asked(&format!("echo {hex}")), Ok(Some(LOGIN.to_owned())));
    }

    #[test]
    fn a_missing_item_a_locked_keychain_and_a_broken_command_are_told_apart() {
        assert_eq!(asked("echo 'security: SecKeychainSearchCopyNext: not found' >&2; exit 44"), Ok(None));
        for code in LOCKED {
            assert_eq!(asked(&format!("exit {code}")), Err(KeychainFault::Locked), "{code}");
        }
        for (script, says) in [
            ("exit 1", "exit code 1"),
            ("kill -9 $$", "signal"),
            ("echo", "no login"),
            ("printf '\\377\\376'", "no login"),
            ("yes made-up | head -c 100000", "more than a login"),
        ] {
            let error = asked(script).expect_err("a fault").to_string();
            assert!(error.contains(says) && !error.contains("made-up"), "{script}: {error}");
        }
        let missing = Keychain::new(Path::new("/nowhere/security"), &Env::default()).login().expect_err("a fault");
        assert!(missing.to_string().contains("cannot be run"), "{missing}");
    }

    #[test]
    fn a_dialog_that_nobody_answers_has_an_end() {
        let dir = tempfile::tempdir().expect("tempdir");
        let program = dir.path().join("security");
        fs::write(&program, "#!/bin/sh\nexec sleep 600\n").expect("write");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("chmod");
        let timeout = Duration::from_millis(100);
        let asked = Keychain::new(&program, &Env::default()).within(timeout).login();
        assert_eq!(asked.err(), Some(KeychainFault::TimedOut { timeout }));
    }
}
