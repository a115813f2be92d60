//! Whether a run in the background outlives the user's logout: systemd-logind can be set to end all processes of a session.

use std::path::PathBuf;

use super::Context;
use crate::files::{self, LOGIND};
use crate::order::sort_by_key;

/// This variable is set in every session of systemd-logind.
const XDG_SESSION_ID: &str = "XDG_SESSION_ID";
/// logind's settings files, lowest priority first; each may have a drop-in directory beside it.
const PLACES: [&str; 4] = [
    "/usr/lib/systemd/logind.conf",
    "/usr/local/lib/systemd/logind.conf",
    "/run/systemd/logind.conf",
    "/etc/systemd/logind.conf",
];
/// How the user can avoid this.
pub(super) const ADVICE: &str =
    "once: loginctl enable-linger; then start such runs with `systemd-run --user --scope` in front of the command";

/// The settings file that makes logind end the run at the logout of this session; `None` if no file does.
pub(super) fn ends_runs(context: &Context) -> Option<PathBuf> {
    context.env.get(XDG_SESSION_ID)?;
    let user = context.env.get("USER").and_then(|user| user.to_str()).unwrap_or_default();
    let is_root = rustix::process::geteuid().is_root();
    of_files(&settings(&PLACES.map(PathBuf::from)), if is_root { "root" } else { user })
}

/// The settings files, lowest priority first.
fn settings(places: &[PathBuf]) -> Vec<(PathBuf, String)> {
    let read = |path: PathBuf| {
        let text = files::read(&path, LOGIND).ok()?;
        Some((path, String::from_utf8_lossy(&text).into_owned()))
    };
    let mut found: Vec<(PathBuf, String)> = places.iter().cloned().filter_map(read).collect();
    let mut more: Vec<PathBuf> = places
        .iter()
        .filter_map(|place| std::fs::read_dir(place.with_extension("conf.d")).ok())
        .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "conf"))
        .collect();
    sort_by_key(&mut more, |path| path.file_name().map(std::ffi::OsStr::to_owned));
    found.extend(more.into_iter().filter_map(read));
    found
}

fn of_files(settings: &[(PathBuf, String)], user: &str) -> Option<PathBuf> {
    let mut kills = None;
    let (mut only, mut except) = (String::new(), "root".to_owned());
    for (path, text) in settings {
        for line in text.lines() {
            let Some((key, value)) = line.trim().split_once('=') else { continue };
            let value = value.trim();
            match key.trim() {
                "KillUserProcesses" => {
                    let is_on = matches!(value.to_ascii_lowercase().as_str(), "yes" | "true" | "on" | "1" | "y" | "t");
                    kills = is_on.then(|| path.clone());
                }
                "KillOnlyUsers" => value.clone_into(&mut only),
                "KillExcludeUsers" => value.clone_into(&mut except),
                _ => {}
            }
        }
    }
    let names = |list: &str| list.split_whitespace().any(|name| name == user);
    kills.filter(|_| if only.is_empty() { !names(&except) } else { names(&only) && !names(&except) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_logind_is_set_to_is_read_as_it_reads_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
            std::fs::write(path, text).expect("written");
        };
        let places = [dir.path().join("usr/logind.conf"), dir.path().join("etc/logind.conf")];
        let told = |user: &str| of_files(&settings(&places), user);
        assert_eq!(told("u"), None);
        write("usr/logind.conf", "[Login]\n#KillUserProcesses=yes\n");
        assert_eq!(told("u"), None, "a comment says nothing");
        write("usr/logind.conf", "[Login]\nKillUserProcesses = yes\n");
        assert_eq!(told("u"), Some(places[0].clone()));
        assert_eq!(told("root"), None, "root is excepted, unless it is said otherwise");
        write("etc/logind.conf", "[Login]\nKillUserProcesses=no\n");
        assert_eq!(told("u"), None, "the administrator's file counts more");
        write("usr/logind.conf.d/50-site.conf", "[Login]\nKillUserProcesses=1\nKillExcludeUsers=\n");
        assert_eq!(
            told("u"),
            Some(dir.path().join("usr/logind.conf.d/50-site.conf")),
            "and a further file more than that"
        );
        assert!(told("root").is_some());
        write("etc/logind.conf.d/60-site.conf", "[Login]\nKillOnlyUsers=a b\nKillExcludeUsers=b\n");
        assert_eq!((told("u"), told("b")), (None, None));
        assert!(told("a").is_some());
    }
}
