//! Serves a run to other commands by a control socket.

use std::path::Path;

use super::{CliError, Context};
use crate::config::env::XDG_RUNTIME_DIR;
use crate::control::{Hub, Places, Served, Server};
use crate::driver::Controller;
use crate::journal::RunDir;

/// The description of a run for clients; it takes no orders yet.
///
/// # Errors
/// When there is no state directory.
pub(super) fn served(
    run_dir: &RunDir,
    kind: &'static str,
    cwd: &str,
    started_unix_ms: i64,
    context: &Context,
) -> Result<Served, CliError> {
    let state_dir = context.dirs()?.state.clone();
    let runtime_dir = context.env.get(XDG_RUNTIME_DIR).map(Path::new);
    Ok(Served {
        places: Places::new(&state_dir, run_dir, runtime_dir),
        state_dir,
        run: run_dir.id().to_owned(),
        kind,
        cwd: cwd.to_owned(),
        journal: run_dir.journal(),
        started_unix_ms,
        hook_key: None,
        caps: Vec::new(),
        family: None,
    })
}

/// Serves the run. The run continues even without a socket.
pub(super) fn serve(served: Served, hub: Hub, run: &Controller, context: &Context) -> Option<Server> {
    let run = run.clone();
    Server::start(served, hub, move |said| run.tell(said.into()))
        .inspect_err(|error| {
            context.printer.warn(format_args!(
                "other commands cannot reach this run ({error}); to end it, type: kill {}",
                std::process::id()
            ));
        })
        .ok()
}
