//! `ccc prompt`.

use clap::Args;
use serde_json::json;

use crate::cli::{CliError, Context, ExitCode};
use crate::config::{Flags, prompt};

/// Show the critic's prompt that is in force, and why it is that one.
///
/// Looked for, in this order: the file named by --supervisor-prompt, CCC_SUPERVISOR_PROMPT or `critic.prompt_file`;
/// SUPERVISOR.md in the project; .claude/SUPERVISOR.md in the project; ~/.claude/SUPERVISOR.md; the built-in text.
/// The text goes to stdout, where it was found to stderr.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct PromptArgs {
    /// Print only the file's path, or `built-in`.
    #[arg(long, conflicts_with = "json")]
    pub path: bool,

    /// Print origin, reason, path, hash and text as one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Shows the prompt.
///
/// # Errors
/// When the configuration or the prompt in force cannot be used.
pub fn run(args: PromptArgs, context: &Context) -> Result<ExitCode, CliError> {
    let resolved = context.settings(Flags::default())?;
    let prompt = prompt::find(resolved.named_prompt.as_ref(), &context.project()?, context.dirs()?)?;
    let path = prompt.origin.path().map(|path| path.display().to_string());
    let shown_path = path.as_deref().unwrap_or("built-in");
    let printer = &context.printer;
    if args.json {
        let object = json!({
            "origin": prompt.origin.as_str(),
            "why": prompt.origin.to_string(),
            "path": path,
            "sha256": prompt.sha256,
            "text": prompt.text,
        });
        printer.json(format_args!("{object:#}"));
    } else if args.path {
        printer.line(shown_path);
    } else {
        printer.talk(format_args!("{shown_path}: {}", prompt.origin));
        printer.data(&prompt.text);
        if !prompt.text.ends_with('\n') {
            printer.data("\n");
        }
    }
    Ok(ExitCode::COMPLETED)
}
