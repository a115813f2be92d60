//! `ccc trust`.

use clap::Args;
use serde_json::{Value, json};

use crate::cli::trust;
use crate::cli::{CliError, Context, ExitCode, Paint, inside};
use crate::config::{Flags, Project, Wish};
use crate::guard::{AskedFor, ConsentStore, named};
use crate::tokens::UnsafeFile;

/// Show what this project's files make ccc run, or do with tokens, and agree to it.
///
/// A repository's files may set anything harmless. A setting that makes ccc run a program (checks, the agent, its
/// arguments, what the critic may run), take a token (`tokens`), or send one elsewhere (base URLs in
/// .claude/settings.json) counts only after you have agreed. The agreement covers exactly this content, for this
/// directory, and is kept in ccc's state directory. When the content changes, you are asked again. What you type as an
/// option needs no agreement.
///
/// The exit code is 0 when you have agreed to everything, 1 when you say no, and 2 when there is no terminal to ask at,
/// or when a settings file of the agent cannot be read: it may ask for anything, so nobody can agree to it.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct TrustArgs {
    /// Agree without being asked.
    #[arg(long, conflicts_with_all = ["list", "revoke"])]
    pub yes: bool,

    /// List the projects in which you have agreed to something.
    #[arg(long, conflicts_with = "revoke")]
    pub list: bool,

    /// Revoke every agreement for this project.
    #[arg(long)]
    pub revoke: bool,

    /// Print one JSON object instead, and do not ask.
    #[arg(long)]
    pub json: bool,
}

/// Shows what the files ask for, asks for agreement, lists agreements or revokes them.
///
/// # Errors
/// When the configuration cannot be understood, the agreement cannot be stored, or there is no terminal to ask at.
pub fn run(args: TrustArgs, context: &Context) -> Result<ExitCode, CliError> {
    inside::refuse("trust", context)?;
    if args.list {
        return list(args.json, context);
    }
    let project = context.project()?;
    if args.revoke {
        return revoke(args.json, &project, context);
    }
    let mut wishes = look(&project, context)?;
    if args.yes && !wishes.not_agreed.is_empty() {
        trust::agree(&wishes.not_agreed, &project, context)?;
        let agreed = std::mem::take(&mut wishes.not_agreed);
        if args.json {
            wishes.agreed.extend(agreed);
        } else {
            show(&agreed, &project, context);
            let named = named(&agreed);
            context.printer.talk(format_args!("agreed to {named}; to revoke it: {} --revoke", trust::COMMAND));
            return readable(&wishes, &project);
        }
    }
    if args.json {
        context.printer.json(format_args!("{:#}", as_json(&wishes, &project)));
        return Ok(ExitCode::COMPLETED);
    }
    if wishes.not_agreed.is_empty() {
        trust::refuse_unreadable(&wishes.unreadable, &project)?;
        context.printer.line(if wishes.agreed.is_empty() {
            "nothing in this project's files needs your agreement".to_owned()
        } else {
            format!("you have agreed to {}; nothing else needs your agreement", named(&wishes.agreed))
        });
        return Ok(ExitCode::COMPLETED);
    }
    show(&wishes.not_agreed, &project, context);
    if !trust::somebody_is_there(context) {
        return Err(CliError::usage("ccc cannot ask: stdin or stderr is not a terminal")
            .hint(format!("to agree without being asked: {} --yes", trust::COMMAND)));
    }
    if !trust::ask(context)? {
        context.printer.talk("not agreed; nothing was changed");
        return Ok(ExitCode::FAILED);
    }
    trust::agree(&wishes.not_agreed, &project, context)?;
    context.printer.talk(format_args!("agreed; to revoke it: {} --revoke", trust::COMMAND));
    readable(&wishes, &project)
}

/// Fails when a settings file cannot be read: it may ask for anything, so an agreement to the rest does not cover it.
fn readable(asked: &AskedFor, project: &Project) -> Result<ExitCode, CliError> {
    trust::refuse_unreadable(&asked.unreadable, project).map(|()| ExitCode::COMPLETED)
}

fn look(project: &Project, context: &Context) -> Result<AskedFor, CliError> {
    let resolved = context.settings(Flags::default())?;
    trust::of_project(&resolved, project, context)
}

fn show(wishes: &[Wish], project: &Project, context: &Context) {
    let printer = &context.printer;
    trust::show(wishes, project.root(), &|line| printer.line(line), &|text| printer.paint(Paint::Bold, text));
}

fn as_json(wishes: &AskedFor, project: &Project) -> Value {
    let item = |wish: &Wish, agreed: bool| {
        json!({
            "file": wish.file.display().to_string(), "key": wish.key, "effect": wish.effect, "values": wish.shown,
            "sha256": wish.sha256, "agreed": agreed,
        })
    };
    let unreadable = |file: &UnsafeFile| json!({ "file": file.path.display().to_string(), "why": file.why });
    let agreed = wishes.agreed.iter().map(|wish| item(wish, true));
    let not_agreed = wishes.not_agreed.iter().map(|wish| item(wish, false));
    json!({
        "project": project.root().display().to_string(),
        "agreed": wishes.not_agreed.is_empty() && wishes.unreadable.is_empty(),
        "items": agreed.chain(not_agreed).collect::<Vec<_>>(),
        "unreadable": wishes.unreadable.iter().map(unreadable).collect::<Vec<_>>(),
    })
}

fn list(json: bool, context: &Context) -> Result<ExitCode, CliError> {
    let all = ConsentStore::new(&context.dirs()?.state)
        .list()
        .map_err(|error| CliError::io(error).hint("make it readable, or set CCC_STATE_DIR to another directory"))?;
    if json {
        let projects =
            all.iter().map(|one| json!({ "project": one.project.display().to_string(), "agreed": one.agreed }));
        context.printer.json(format_args!("{:#}", json!({ "projects": projects.collect::<Vec<_>>() })));
        return Ok(ExitCode::COMPLETED);
    }
    if all.is_empty() {
        context.printer.talk("you have not agreed to anything in any project");
    }
    for one in all {
        let mut keys: Vec<String> = one.agreed.iter().map(|it| format!("{} of {}", it.key, it.file)).collect();
        keys.sort();
        keys.dedup();
        context.printer.line(format_args!("{}", one.project.display()));
        for key in keys {
            context.printer.line(format_args!("  {key}"));
        }
    }
    Ok(ExitCode::COMPLETED)
}

fn revoke(json: bool, project: &Project, context: &Context) -> Result<ExitCode, CliError> {
    let revoked = ConsentStore::new(&context.dirs()?.state)
        .revoke(project.root())
        .map_err(|error| CliError::io(error).hint("make it writable, or set CCC_STATE_DIR to another directory"))?;
    let root = project.root().display();
    if json {
        context.printer.json(format_args!("{:#}", json!({ "project": root.to_string(), "revoked": revoked })));
    } else if revoked {
        context.printer.line(format_args!("revoked: your agreement for {root}"));
    } else {
        context.printer.line(format_args!("there was no agreement for {root}"));
    }
    Ok(ExitCode::COMPLETED)
}
