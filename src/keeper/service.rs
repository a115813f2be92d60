//! The service that starts the keeper when the user's session begins, so that a reboot does not end the agents' work.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::Env;
use crate::config::env::{CCC_CONFIG_DIR, CCC_STATE_DIR, CLAUDE_CONFIG_DIR, PATH};

/// The name of the systemd unit.
pub const UNIT: &str = "ccc-keeper";
/// The label of the launchd job.
const LABEL: &str = "ccc.keeper";
/// The directory of the user's configuration.
const XDG_CONFIG_HOME: &str = "XDG_CONFIG_HOME";
/// The variables that the keeper needs, and that a service manager does not know. Tokens are not among them.
const KEPT_VARIABLES: [&str; 5] = [PATH, CCC_STATE_DIR, CCC_CONFIG_DIR, CLAUDE_CONFIG_DIR, XDG_CONFIG_HOME];

/// What starts programs for the user on this system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// systemd's user manager.
    Systemd,
    /// macOS's launchd.
    Launchd,
}

impl Manager {
    /// The one of this system.
    #[must_use]
    pub const fn of_system() -> Manager {
        if cfg!(target_os = "macos") { Manager::Launchd } else { Manager::Systemd }
    }

    /// The file that describes the service.
    #[must_use]
    pub fn file(self, home: &Path, env: &Env) -> PathBuf {
        match self {
            Manager::Systemd => {
                let config = env.get(XDG_CONFIG_HOME).map(PathBuf::from).filter(|dir| dir.is_absolute());
                config.unwrap_or_else(|| home.join(".config")).join("systemd/user").join(format!("{UNIT}.service"))
            }
            Manager::Launchd => home.join("Library/LaunchAgents").join(format!("{LABEL}.plist")),
        }
    }

    /// The commands that enable the service, each with what it is for.
    #[must_use]
    pub fn to_enable(self, file: &Path) -> Vec<(String, &'static str)> {
        match self {
            Manager::Systemd => vec![
                ("systemctl --user daemon-reload".to_owned(), "to have systemd read the file"),
                (format!("systemctl --user enable --now {UNIT}"), "to start it now and at each login"),
                ("loginctl enable-linger".to_owned(), "to start it at boot, before you log in"),
            ],
            Manager::Launchd => {
                vec![(format!("launchctl load -w {}", file.display()), "to start it now and at each login")]
            }
        }
    }

    /// The command that disables the service.
    #[must_use]
    pub fn to_disable(self, file: &Path) -> String {
        match self {
            Manager::Systemd => format!("systemctl --user disable --now {UNIT}"),
            Manager::Launchd => format!("launchctl unload -w {}", file.display()),
        }
    }

    /// The text of the file, which starts this program.
    ///
    /// # Errors
    /// When a path has a character that the file's format does not allow.
    pub fn text(self, program: &Path, env: &Env) -> io::Result<String> {
        let kept: Vec<(&str, &OsStr)> =
            KEPT_VARIABLES.into_iter().filter_map(|name| Some((name, env.get(name)?))).collect();
        match self {
            Manager::Systemd => unit(program, &kept),
            Manager::Launchd => plist(program, &kept),
        }
    }
}

fn unit(program: &Path, variables: &[(&str, &OsStr)]) -> io::Result<String> {
    let mut text = format!(
        "[Unit]\n\
         Description=ccc keeper: revives agents and watches their usage\n\
         \n\
         [Service]\n\
         Type=simple\n\
         ExecStart={} keeper run --revive\n\
         Restart=on-failure\n\
         RestartSec=10\n\
         # The agents that it has started are processes of their own, and stay when it ends.\n\
         KillMode=process\n",
        quoted(program.as_os_str())?
    );
    for (name, value) in variables {
        let pair = format!("{name}={}", plain(value)?);
        text.push_str(&format!("Environment={}\n", quoted(OsStr::new(&pair))?));
    }
    text.push_str("\n[Install]\nWantedBy=default.target\n");
    Ok(text)
}

/// A word of a systemd unit. A `$` stays: neither the path of a program nor a variable's value is expanded (systemd.exec(5),
/// `Environment=`; systemd.service(5), "Command lines").
fn quoted(word: &OsStr) -> io::Result<String> {
    let word = plain(word)?.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    Ok(format!("\"{word}\""))
}

fn plain(word: &OsStr) -> io::Result<&str> {
    let word = word.to_str().filter(|word| !word.chars().any(char::is_control));
    word.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it is not plain text"))
}

fn plist(program: &Path, variables: &[(&str, &OsStr)]) -> io::Result<String> {
    let string = |word: &OsStr| -> io::Result<String> {
        let word = plain(word)?.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        Ok(format!("<string>{word}</string>"))
    };
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\"><dict>\n\
         <key>Label</key><string>{LABEL}</string>\n\
         <key>ProgramArguments</key><array>{}<string>keeper</string><string>run</string><string>--revive</string></array>\n\
         <key>RunAtLoad</key><true/>\n\
         <key>AbandonProcessGroup</key><true/>\n\
         <key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>\n\
         <key>EnvironmentVariables</key><dict>\n",
        string(program.as_os_str())?
    );
    for (name, value) in variables {
        text.push_str(&format!("<key>{name}</key>{}\n", string(value)?));
    }
    text.push_str("</dict>\n</dict></plist>\n");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_starts_this_program_and_holds_no_token() {
        let env = Env::from_pairs([
            (PATH, "/usr/bin:/home/a b/bin"),
            (CCC_STATE_DIR, "/state/100%$5"),
            ("CLAUDE_CODE_OAUTH_TOKEN", "secret"),
        ]);
        let home = Path::new("/home/user");
        let unit = Manager::Systemd.text(Path::new("/opt/my tools/ccc"), &env).expect("a unit");
        for line in [
            "ExecStart=\"/opt/my tools/ccc\" keeper run --revive\n",
            "Environment=\"PATH=/usr/bin:/home/a b/bin\"\n",
            "Environment=\"CCC_STATE_DIR=/state/100%%$5\"\n",
            "KillMode=process\n",
            "WantedBy=default.target\n",
        ] {
            assert!(unit.contains(line), "{line}: {unit}");
        }
        assert!(!unit.contains("secret"));
        let file = Manager::Systemd.file(home, &env);
        assert_eq!(file, Path::new("/home/user/.config/systemd/user/ccc-keeper.service"));
        let elsewhere = Env::from_pairs([(XDG_CONFIG_HOME, "/config")]);
        assert_eq!(Manager::Systemd.file(home, &elsewhere), Path::new("/config/systemd/user/ccc-keeper.service"));
        let commands: Vec<String> = Manager::Systemd.to_enable(&file).into_iter().map(|(command, _)| command).collect();
        assert!(commands.contains(&"systemctl --user enable --now ccc-keeper".to_owned()));
        assert!(commands.contains(&"loginctl enable-linger".to_owned()));
        let plist = Manager::Launchd.text(Path::new("/opt/a&b/ccc"), &env).expect("a job");
        assert!(
            plist.contains("<string>/opt/a&amp;b/ccc</string><string>keeper</string>") && !plist.contains("secret")
        );
        assert_eq!(Manager::Launchd.file(home, &env), Path::new("/home/user/Library/LaunchAgents/ccc.keeper.plist"));
        assert!(Manager::Systemd.text(Path::new("/opt/a\nb"), &env).is_err());
    }
}
