//! Finds the recording that the user names.

use std::path::{Path, PathBuf};

use super::queue::not_started;
use super::{CliError, Context, inside, removal, steer};
use crate::core::shell;
use crate::fleet::Queued;
use crate::journal::{JOURNAL_FILE, RunDir};

/// The journal of a run: of the newest run for `None` and `last`. A text that contains a slash or ends in `.jsonl` is
/// the path of a run's directory or of a journal. Any other text is a run's id or the beginning of one, even if the
/// current directory has a file of that name.
///
/// # Errors
/// When there is no such journal.
pub(super) fn journal_of(wanted: Option<&str>, command: &str, context: &Context) -> Result<PathBuf, CliError> {
    if let Some(text) = wanted.filter(|text| is_path(text)) {
        let path = context.cwd()?.join(text);
        let journal = if path.is_dir() { path.join(JOURNAL_FILE) } else { path };
        // Reading it reports what is wrong with it, for example that it is a FIFO.
        return match std::fs::symlink_metadata(&journal) {
            Ok(_) => match run_at(&journal, context) {
                Some(run) => inside::may_read(&run, command, context).map(|()| journal),
                None => Ok(journal),
            },
            Err(_) => Err(CliError::usage(format!("{text}: there is no recorded run"))
                .hint("give a directory that contains a journal.jsonl, or the id of a run (to list them: ccc runs)")),
        };
    }
    let dir = RunDir::resolve(&context.dirs()?.state, wanted).map_err(|error| {
        let error = steer::no_such_run(&error);
        match wanted {
            Some(text) if context.cwd().is_ok_and(|cwd| cwd.join(text).join(JOURNAL_FILE).is_file()) => {
                error.hint(format!("if you mean the directory {text}, write ./{text}"))
            }
            Some(text) => match context.dirs().ok().and_then(|dirs| removal::archived(text, &dirs.state)) {
                Some(kept) => error.hint(format!(
                    "`ccc nuke` has moved it to the archive; type: ccc {command} {}",
                    shell::quoted(&kept.display().to_string())
                )),
                None => error,
            },
            None => error,
        }
    })?;
    inside::may_read(&dir, command, context)?;
    if Queued::is_there(&dir) { Err(not_started(&dir)) } else { Ok(dir.journal()) }
}

/// The run of the state directory whose journal this is.
fn run_at(journal: &Path, context: &Context) -> Option<RunDir> {
    let dir = journal.canonicalize().ok()?.parent()?.to_owned();
    let run = RunDir::at(&context.dirs().ok()?.state, dir.file_name()?.to_str()?).ok()?;
    run.path().canonicalize().is_ok_and(|path| path == dir).then_some(run)
}

fn is_path(text: &str) -> bool {
    text.contains('/') || text.ends_with(".jsonl")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::cli::captured::Captured;

    #[test]
    fn a_name_is_a_run_everywhere_and_a_path_looks_like_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let context = Captured::default().context(dir.path(), None);
        let run = RunDir::create(&context.dirs().expect("directories").state, "20261120-191822-aaaa").expect("a run");
        fs::write(run.journal(), "").expect("written");
        let here = context.cwd().expect("a directory").to_owned();
        fs::create_dir(here.join("night")).expect("mkdir");
        fs::write(here.join("night/journal.jsonl"), "").expect("written");
        // Files in the current directory with the names of runs.
        for name in ["last", "2026", "20261120-191822-aaaa", "other.jsonl"] {
            fs::write(here.join(name), "").expect("written");
        }
        let found = |wanted: &str| journal_of(Some(wanted), "replay", &context);
        for name in ["last", "2026", "20261120-191822-aaaa"] {
            assert_eq!(found(name).expect("a run"), run.journal(), "{name}");
        }
        assert_eq!(found("./night").expect("a path"), here.join("./night/journal.jsonl"));
        assert_eq!(found("night/journal.jsonl").expect("a path"), here.join("night/journal.jsonl"));
        assert_eq!(found("other.jsonl").expect("a path"), here.join("other.jsonl"));
        let refused = found("night").expect_err("no run of that name");
        assert!(format!("{refused:?}").contains("./night"), "{refused:?}");
        assert!(found("./none").is_err() && found("none.jsonl").is_err());
    }
}
