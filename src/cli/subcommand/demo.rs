//! `ccc demo`.
#![allow(rustdoc::broken_intra_doc_links, reason = "in help texts a default stands in brackets")]

use std::ffi::OsString;

use clap::Args;

use super::run::{PlanParts, plan};
use crate::cli::credentials::RunTokens;
use crate::cli::presentation::Presentation;
use crate::cli::start::{RunRequest, begin};
use crate::cli::{CliError, Context, ExitCode};
use crate::config::prompt::BUILT_IN;
use crate::config::{
    CheckEntry, Consents, Dirs, Env, Flags, Layer, Notify, OutputFormat, Project, Provider, Span, Transport, resolve,
};
use crate::demo::scenario;
use crate::guard::SettingsOfAgent;
use crate::tokens::{Credential, CredentialKind, Pool};

/// The stall timeout of the demonstration. The scripted agent hangs once, and the default of three minutes would be too
/// long to watch.
const STALL_TIMEOUT: Span = Span::from_secs(3);

/// Watch a run with a scripted agent: no login, no cost, nothing of yours is touched.
///
/// The agent says too early that it is done, fails a check, gets feedback from the critic, crashes, hangs, and reaches the limit
/// of one token and then of the other. The run is a real one, with real processes and a journal.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct DemoArgs {
    /// What to write to stdout: text for people, json for one object at the end, stream-json for one per event [text].
    #[arg(long, value_enum, value_name = "FORMAT", hide_possible_values = true)]
    pub output_format: Option<OutputFormat>,
}

/// Runs the demonstration.
///
/// # Errors
/// When its project cannot be written or the run cannot begin.
pub fn run(args: DemoArgs, context: &Context) -> Result<ExitCode, CliError> {
    let io = |error: std::io::Error| {
        CliError::io(format!("the demonstration's project cannot be written: {error}"))
            .hint("set TMPDIR to a writable directory")
    };
    let dir = tempfile::Builder::new().prefix("ccc-demo-").tempdir().map_err(io)?.keep();
    let dir = dir.canonicalize().map_err(io)?;
    let scenario = scenario::prepare(&dir)
        .map_err(|error| CliError::io(error).hint("install git, and set TMPDIR to a writable directory"))?;
    let program = std::env::current_exe().map_err(io)?;
    // The user's own configuration must not affect the demonstration's project.
    let layer = Layer {
        checks: Some(scenario.checks.iter().cloned().map(CheckEntry::Command).collect()),
        output_format: args.output_format,
        stall_timeout: Some(STALL_TIMEOUT),
        ..Layer::default()
    };
    let nobody = Dirs::new(&dir, &dir.join("config"), &dir.join("state"), &Env::default());
    let flags = Flags { layer, agent_args: Vec::new() };
    let settings =
        resolve(&nobody, &Project::find(&scenario.project), &Env::default(), &Consents::default(), flags)?.settings;
    let plan = plan(PlanParts {
        task: scenario.task.clone(),
        cwd: scenario.project.display().to_string(),
        program: program.display().to_string(),
        first_args: vec!["scripted-agent".to_owned()],
        agent_version: "2.1.332".to_owned(),
        prompt: BUILT_IN.to_owned(),
        agent_dir: &nobody.of_agent(settings.agent.kind.0, &Env::default()),
        settings: &settings,
        given: None,
        conversation: false,
        native: false,
        own_tree: false,
    })?;
    let made_up = ["made-up token A", "made-up token B"].map(|label| {
        Credential::held(label, CredentialKind::OAuth, Provider::Anthropic, format!("made up: {label}").into())
    });
    let tokens = RunTokens::new(
        Pool::of(made_up.into(), &context.env, Provider::Anthropic),
        &nobody.state,
        settings.rotate_at.share(),
        None,
    );
    let request = RunRequest {
        presentation: Presentation {
            transport: Transport::Pty,
            hand_over: false,
            ..Presentation::of(&settings, &Layer::default())
        },
        tokens: &tokens,
        credential_sentence: "two made-up tokens, A and B; the agent is scripted, and nothing leaves this machine"
            .to_owned(),
        prompt_origin: "built-in".to_owned(),
        extra_env: scenario
            .environment()
            .into_iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)))
            .collect(),
        notify: Notify::default(),
        keep_awake: false,
        hosted: false,
        interface: None,
        share_tree: false,
        settings_of_agent: SettingsOfAgent::new(
            settings.agent.kind.0,
            &Project::find(&scenario.project),
            &nobody,
            &Env::default(),
            None,
            None,
        ),
    };
    let code = begin(plan, None, &request, context)?;
    context
        .printer
        .talk(format_args!("the project of this demonstration is kept in {}; you can delete it", dir.display()));
    Ok(code)
}
