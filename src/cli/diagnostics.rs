use std::io;

use tracing::level_filters::LevelFilter;

use super::Context;
use crate::config::env::CCC_LOG;
use crate::process::bound_host_log;

/// Switches diagnostics on when `CCC_LOG` asks for them (`error`, `warn`, `info`, `debug`, `trace`); they go to stderr.
/// They have kinds and numbers only: never a secret, nor a text of a model or a tool. Only `main` calls this, because
/// the subscriber is global.
pub fn diagnostics(context: &Context) {
    let Some(asked) = context.env.get(CCC_LOG) else { return };
    match asked.to_str().and_then(|level| level.parse::<LevelFilter>().ok()) {
        Some(level) => {
            // A second call fails and keeps the first one's settings, which is fine.
            let _ = tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_writer(|| Bounded).try_init();
        }
        None => context
            .printer
            .warn(format_args!("{CCC_LOG} is not one of off, error, warn, info, debug, trace; it has no effect")),
    }
}

/// stderr; limited in length if it is the log of a run in the background.
struct Bounded;

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        bound_host_log(bytes.len())?;
        io::stderr().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
