use tracing::level_filters::LevelFilter;

use super::Context;
use crate::config::env::CCC_LOG;

/// Switches diagnostics on when `CCC_LOG` asks for them (`error`, `warn`, `info`, `debug`, `trace`); they go to stderr.
/// Kinds and numbers only: no text of a model or a tool, and no secret, is ever among them. For `main` alone: this is the
/// one thing that is global.
pub fn diagnostics(context: &Context) {
    let Some(asked) = context.env.get(CCC_LOG) else { return };
    match asked.to_str().and_then(|level| level.parse::<LevelFilter>().ok()) {
        Some(level) => {
            // A second call finds the first one's settings, which is as good.
            let _ = tracing_subscriber::fmt()
                .with_max_level(level)
                .with_ansi(false)
                .with_writer(std::io::stderr)
                .try_init();
        }
        None => context
            .printer
            .warn(format_args!("{CCC_LOG} is not one of off, error, warn, info, debug, trace; it has no effect")),
    }
}
