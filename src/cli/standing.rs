//! How active runs stand, asked at their control sockets.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::answering::{Offered, Open};
use crate::control::Client;
use crate::control::protocol::{Hello, Welcome};
use crate::core::{RestKind, Show, shell};
use crate::journal::RunDir;
use crate::order::map_of;
use crate::ui::clean;

/// How many characters of an open item are shown.
const ABOUT_CHARS: usize = 70;
/// How long a run may take to answer.
const ANSWER: Duration = Duration::from_millis(200);
/// How many runs are asked at the same time.
const ASKED_AT_ONCE: usize = 16;

/// The state that a running run reports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Standing {
    /// Whether it answers at its control socket.
    pub(super) reachable: bool,
    /// Whether it waits for its user.
    #[serde(skip)]
    pub(super) rests: bool,
    /// How many clients are attached.
    pub(super) attending: u32,
    /// The numbers of its open items.
    pub(super) asks: Vec<u32>,
    /// The open items with their subjects.
    pub(super) open: Vec<OpenRequest>,
}

/// An open item of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct OpenRequest {
    /// Its number.
    pub(super) number: u32,
    /// Its subject: the tool and its target, or the question.
    pub(super) about: String,
    /// The answers that are offered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) options: Vec<Offered>,
    /// An answer that fits.
    #[serde(skip)]
    pub(super) example: String,
}

impl OpenRequest {
    /// The command that answers it, of the run with this name or id.
    pub(super) fn command(&self, run: &str) -> String {
        format!("ccc answer {} {} {}", shell::quoted(run), self.number, shell::quoted(&self.example))
    }

    /// The rows below it: what is offered, and the command that answers.
    pub(super) fn rows(&self, run: &str) -> Vec<String> {
        let mut rows = Offered::rows(&self.options);
        rows.push(format!("    {}", self.command(run)));
        rows
    }
}

/// Asks these runs, a few at the same time, so that one that does not answer delays few others.
pub(super) fn ask_all<'a>(runs: impl IntoIterator<Item = &'a RunDir>) -> BTreeMap<String, Standing> {
    let runs: Vec<&RunDir> = runs.into_iter().collect();
    let of_each = runs.len().div_ceil(ASKED_AT_ONCE).max(1);
    std::thread::scope(|scope| {
        let asked: Vec<_> = runs
            .chunks(of_each)
            .map(|some| scope.spawn(move || some.iter().map(|dir| (dir.id().to_owned(), ask(dir))).collect::<Vec<_>>()))
            .collect();
        map_of(asked.into_iter().flat_map(|some| some.join().unwrap_or_default()))
    })
}

/// Asks one run.
pub(super) fn ask(dir: &RunDir) -> Standing {
    match Client::connect_within(dir, &Hello::new("runs", false), ANSWER) {
        Ok(client) => {
            let open = Open::all(client.welcome());
            let request = |open: &Open| OpenRequest {
                number: open.number(),
                about: clean::one_line(&open.about(), ABOUT_CHARS),
                options: open.offered(),
                example: open.example(),
            };
            Standing {
                reachable: true,
                rests: rests(client.welcome()),
                attending: client.welcome().attending,
                asks: open.iter().map(Open::number).collect(),
                open: open.iter().map(request).collect(),
            }
        }
        Err(_) => Standing::default(),
    }
}

/// Whether the run waits for its user's next message.
fn rests(welcome: &Welcome) -> bool {
    let phase = |show| if let Show::Phase { phase, detail, .. } = show { Some((phase, detail)) } else { None };
    welcome.standing().find_map(phase).is_some_and(|(phase, detail)| RestKind::is_rest(&phase, &detail))
}
