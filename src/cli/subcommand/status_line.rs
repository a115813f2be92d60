//! `ccc status-line`.

use clap::Args;
use serde_json::json;

use crate::cli::start::state_error;
use crate::cli::{CliError, Context, ExitCode};
use crate::driver::unix_ms;
use crate::fleet::Census;
use crate::ui::dashboard::UsageShown;
use crate::watch::usage_known;

/// Print how many agents work and ask, and the usage, in one line for a prompt or tmux.
///
/// Agents count as working, asking, waiting, paused, ready for a message, queued, or died. Agents that have ended are not counted. Only
/// files are read. Without agents nothing is printed.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct StatusLineArgs {
    /// Print one JSON object instead, also without agents.
    #[arg(long)]
    pub json: bool,
}

/// Prints the line.
///
/// # Errors
/// When the state directory cannot be read.
pub fn run(args: StatusLineArgs, context: &Context) -> Result<ExitCode, CliError> {
    let state = &context.dirs()?.state;
    let census = Census::take(state).map_err(|error| state_error(&error))?;
    if args.json {
        let usage = usage_known(state, unix_ms());
        let mut object = serde_json::Map::new();
        object.extend(census.counts().map(|(word, count)| (word.to_owned(), serde_json::Value::from(count))));
        object.insert("version".to_owned(), 1.into());
        object.insert("usage".to_owned(), json!({"five_hour": usage.session, "seven_day": usage.weekly}));
        context.printer.json(serde_json::Value::Object(object));
    } else if let Some(line) = line(&census, || usage_known(state, unix_ms())) {
        context.printer.line(line);
    }
    Ok(ExitCode::COMPLETED)
}

/// `ccc 3 working 1 asks 45%/62%`; `None` without agents.
fn line(census: &Census, usage: impl FnOnce() -> UsageShown) -> Option<String> {
    let counts = census.counts().filter(|(_, count)| *count > 0);
    let counts: Vec<String> = counts.map(|(word, count)| format!("{count} {word}")).collect();
    if counts.is_empty() {
        return None;
    }
    let usage = usage();
    let percent = |used: Option<f64>| used.map_or_else(|| "–".to_owned(), |used| format!("{:.0}%", used.floor()));
    let usage = match (usage.session, usage.weekly) {
        (None, None) => String::new(),
        (session, weekly) => format!(" {}/{}", percent(session), percent(weekly)),
    };
    Some(format!("ccc {}{usage}", counts.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_what_is_not_zero_and_is_empty_without_agents() {
        let usage = UsageShown { session: Some(45.9), weekly: Some(62.0) };
        let census = |of: &[(&str, usize)]| {
            let mut census = Census::default();
            for (word, count) in of {
                (0..*count).for_each(|_| census.add(word));
            }
            census
        };
        assert_eq!(line(&census(&[]), || usage), None);
        let some = census(&[("asking", 1), ("working", 2), ("reviewing", 1)]);
        assert_eq!(line(&some, || usage).as_deref(), Some("ccc 3 working 1 asks 45%/62%"));
        assert_eq!(line(&some, UsageShown::default).as_deref(), Some("ccc 3 working 1 asks"));
        let partly = UsageShown { session: None, ..usage };
        assert_eq!(line(&census(&[("died", 1)]), || partly).as_deref(), Some("ccc 1 died –/62%"));
    }
}
