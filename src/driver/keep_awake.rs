//! Keeps the machine awake while a run works, and while it waits for something after which it goes on by itself.

use crate::core::{RestKind, Show};
use crate::process::{Awake, Inhibitor};

/// Keeps the machine awake as the run needs it.
#[derive(Debug)]
pub struct KeepAwake {
    inhibitor: Inhibitor,
    why: String,
    /// The run rests: nothing happens before the user's next message.
    rests: bool,
    held: Option<Awake>,
}

impl KeepAwake {
    /// For the run with this id.
    #[must_use]
    pub fn new(inhibitor: Inhibitor, run: &str) -> KeepAwake {
        KeepAwake { inhibitor, why: format!("the run {run} works"), rests: true, held: None }
    }

    /// Learns from what is shown whether the run rests. A wait for a reset is no rest: the machine would sleep past the reset.
    pub(super) fn follow(&mut self, show: &Show) {
        match show {
            Show::Rests { why, .. } => {
                self.rests = match why {
                    RestKind::NoTask
                    | RestKind::Interrupted
                    | RestKind::Judged
                    | RestKind::Unsupervised
                    | RestKind::Paused
                    | RestKind::TakenUp => true,
                    RestKind::Workers => false,
                };
            }
            Show::Phase { .. } => self.rests = false,
            Show::Finished { .. } => self.rests = true,
            Show::Session { .. }
            | Show::PermissionMode { .. }
            | Show::Retrying { .. }
            | Show::Turn { .. }
            | Show::Text { .. }
            | Show::Tool { .. }
            | Show::ToolEnded { .. }
            | Show::Denied { .. }
            | Show::Check { .. }
            | Show::Verdict { .. }
            | Show::Cost { .. }
            | Show::Context { .. }
            | Show::Notice { .. }
            | Show::Information { .. }
            | Show::Awaited { .. }
            | Show::Rotation { .. }
            | Show::Spent { .. }
            | Show::Question { .. }
            | Show::Thinking { .. }
            | Show::Asked { .. }
            | Show::Settled { .. }
            | Show::Queue { .. }
            | Show::Todo { .. }
            | Show::Offers { .. }
            | Show::Attended { .. }
            | Show::Windows { .. } => {}
        }
    }

    /// Takes or releases the lock, once all of a fact is shown: a phase is shown before the rest that it begins.
    pub(super) fn settle(&mut self) {
        if self.rests {
            self.held = None;
        } else if self.held.is_none() {
            match self.inhibitor.hold(&self.why) {
                Ok(awake) => self.held = Some(awake),
                Err(error) => {
                    tracing::warn!(%error, "the machine cannot be kept awake");
                    // One try for each time that the run begins to work.
                    self.rests = true;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn phase(phase: &str) -> Show {
        Show::Phase { phase: phase.into(), detail: String::new(), iteration: 0, goes_on_in_ms: None }
    }

    fn rests(why: RestKind) -> Show {
        Show::Rests { why, outcome: None, reason: String::new() }
    }

    #[test]
    fn the_machine_may_sleep_only_while_the_run_waits_for_its_user() {
        let dir = tempfile::tempdir().expect("a directory");
        let program = dir.path().join("systemd-inhibit");
        std::fs::write(&program, "#!/bin/sh\nexec cat\n").expect("write");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("chmod");
        let path = format!("{}:/usr/bin:/bin", dir.path().display());
        let inhibitor = Inhibitor::find(&[("PATH".into(), path.into())]).expect("an inhibitor");
        let mut keep_awake = KeepAwake::new(inhibitor, "r1");
        for (shows, held) in [
            (&[phase("starting")][..], true),
            (&[phase("waiting")], true),
            (&[phase("waiting"), rests(RestKind::Paused)], false),
            (&[phase("working")], true),
            (&[phase("waiting"), rests(RestKind::Workers)], true),
            (&[phase("completed"), rests(RestKind::Judged)], false),
            (&[phase("working")], true),
            (&[Show::Finished { outcome: crate::core::Outcome::Completed, reason: String::new() }], false),
        ] {
            shows.iter().for_each(|show| keep_awake.follow(show));
            keep_awake.settle();
            assert_eq!(keep_awake.held.is_some(), held, "{shows:?}");
        }
    }
}
