//! Shows a long text at a terminal by the user's pager.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Seek as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use super::Context;
use crate::config::Env;

/// The pager of the user who has set none. It ends by itself when all fits on the screen, keeps colours, and leaves the text there.
const DEFAULT: &str = "less -FRX";

/// Prints these lines; with `paged`, by the pager, if they are too many for the terminal. Then this process becomes the pager: it has
/// nothing else to do, and Ctrl-C is the pager's alone.
pub(super) fn show(lines: &[String], paged: bool, context: &Context) {
    let printer = &context.printer;
    let is_long = printer.rows().is_some_and(|rows| lines.len() >= usize::from(rows));
    if paged
        && is_long
        && io::stdin().is_terminal()
        && let Some(pager) = of(&context.env)
    {
        let mut text = String::new();
        for line in lines {
            text.push_str(&printer.in_columns(line));
        }
        // It comes back only when the pager cannot be started.
        let _ = become_pager(&pager, &text, &context.env);
    }
    for line in lines {
        printer.line(line);
    }
}

/// The command of the pager; `None` if the user wants none, or the terminal cannot show one.
fn of(env: &Env) -> Option<OsString> {
    if env.get("TERM").is_none_or(|term| term == "dumb") {
        return None;
    }
    match env.pairs().find(|(name, _)| *name == "PAGER") {
        None => Some(DEFAULT.into()),
        Some((_, value)) if value.is_empty() || value == "cat" => None,
        Some((_, value)) => Some(value.to_owned()),
    }
}

/// Replaces this process with the pager, whose stdin is an unnamed file with the text. Returns the error when that fails.
fn become_pager(pager: &OsString, text: &str, env: &Env) -> io::Result<()> {
    let mut file = tempfile::tempfile()?;
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    // A shell says only when it runs that there is no such program.
    if pager == DEFAULT && !is_there("less", env) {
        return Err(io::ErrorKind::NotFound.into());
    }
    Err(Command::new("/bin/sh").arg("-c").arg(pager).stdin(file).exec())
}

fn is_there(program: &str, env: &Env) -> bool {
    env.get("PATH").is_some_and(|path| std::env::split_paths(path).any(|dir| dir.join(program).is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pager_is_the_users_and_none_if_the_user_or_the_terminal_has_none() {
        let pager = |pairs: &[(&str, &str)]| of(&Env::from_pairs(pairs.iter().copied()));
        assert_eq!(pager(&[("TERM", "xterm")]), Some("less -FRX".into()));
        assert_eq!(pager(&[("TERM", "xterm"), ("PAGER", "more -d")]), Some("more -d".into()));
        for none in
            [&[("TERM", "xterm"), ("PAGER", "")][..], &[("TERM", "xterm"), ("PAGER", "cat")], &[("TERM", "dumb")], &[]]
        {
            assert_eq!(pager(none), None, "{none:?}");
        }
    }
}
