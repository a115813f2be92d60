//! A terminal that breaks its rows anew when its size changes, and keeps what leaves its screen: tmux.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::whole_runs::harness::look_until;

/// Sets servers of one test process apart: one name used again while its server is ending would meet that server.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A tmux server with one window. Dropping it ends it.
pub(crate) struct Tmux {
    socket: String,
}

#[allow(dead_code, reason = "tests of the conversation use all of it")]
impl Tmux {
    /// Starts the program in a window of that size, in the test's own environment.
    pub(crate) fn start(columns: u16, rows: u16, program: &[&str]) -> Tmux {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let tmux = Tmux { socket: format!("ccc-{}-{number}", std::process::id()) };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let mut args = vec!["-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", &rows];
        args.push("--");
        args.extend(program);
        tmux.tmux(&args);
        tmux
    }

    /// Starts a shell that has the environment and the directory of a command; the command is not run.
    pub(crate) fn shell(columns: u16, rows: u16, like: &Command) -> Tmux {
        let mut words = vec!["env".to_owned(), "-i".to_owned()];
        if let Some(dir) = like.get_current_dir() {
            words.push(format!("--chdir={}", dir.display()));
        }
        for (name, value) in like.get_envs() {
            if let Some(value) = value {
                words.push(format!("{}={}", name.display(), value.display()));
            }
        }
        words.extend(["TERM=xterm-256color", "PS1=$ ", "sh", "-i"].map(str::to_owned));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Tmux::start(columns, rows, &words)
    }

    /// Waits until the screen or the scrollback shows this; gives both.
    #[track_caller]
    pub(crate) fn until(&self, part: &str) -> String {
        Tmux::until_in(part, || self.everything())
    }

    /// Waits until the screen shows this; gives the screen.
    #[track_caller]
    pub(crate) fn until_screen(&self, part: &str) -> String {
        Tmux::until_in(part, || self.screen())
    }

    #[track_caller]
    fn until_in(part: &str, look: impl Fn() -> String) -> String {
        let seen = std::cell::RefCell::new(String::new());
        let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            look_until(part, || {
                *seen.borrow_mut() = look();
                seen.borrow().contains(part).then(|| seen.borrow().clone())
            })
        }));
        looked.unwrap_or_else(|_| panic!("no {part:?} on the screen:\n{}", seen.borrow()))
    }

    fn tmux(&self, args: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-L", &self.socket])
            .args(args)
            .env_remove("TMUX")
            .output()
            .expect("tmux is installed (Debian: apt-get install tmux)");
        assert!(output.status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("tmux writes text")
    }

    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.tmux(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// Types text as it is.
    pub(crate) fn type_in(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    /// Pastes text, as a terminal does that brackets a paste.
    pub(crate) fn paste(&self, text: &str) {
        self.tmux(&["set-buffer", text]);
        self.tmux(&["paste-buffer", "-p"]);
    }

    /// Presses keys by tmux's names for them (`Enter`, `C-c`, `Escape`).
    pub(crate) fn press(&self, keys: &[&str]) {
        let mut args = vec!["send-keys"];
        args.extend(keys);
        self.tmux(&args);
    }

    /// What its screen shows.
    pub(crate) fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// All rows from the beginning of the scrollback.
    pub(crate) fn everything(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-S", "-"])
    }

    /// All lines from the beginning of the scrollback: rows that the terminal broke are joined.
    pub(crate) fn joined(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-J", "-S", "-"])
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        // It may be gone with its program.
        let _ = Command::new("tmux").args(["-L", &self.socket, "kill-server"]).output();
    }
}
