//! How Claude Code is started, and the meaning of the user's own arguments.

use super::options::{Given, SessionOption, Treatment, read};
use super::{rules, sandbox};
use crate::agent::{ArgsProblem, LaunchRequest, Role, SessionOpen, UserArgs};
use crate::words::{Launch, SandboxPlaces, SessionStart};
use serde_json::{Map, Value};

/// The first version known to record the system prompt with the session (facts 2.1.329, A). Which version after 2.1.197
/// began that was not measured; an unknown version counts as one without it.
const FIRST_WITH_SNAPSHOT: [u32; 3] = [2, 1, 329];

/// Variables that must not be inherited from ccc's environment. The first group leaks when an agent's own tool runs
/// ccc (read from the environment of the Bash tool of 2.1.197 and 2.1.329). The second makes the CLI act by itself:
/// begin a turn on resume, or wait inside for a limit without a result.
pub(in crate::agent) const ENV_UNSET: &[&str] = &[
    "AI_AGENT",
    "CLAUDECODE",
    "CLAUDE_CODE_CHILD_NOTES_DIR",
    "CLAUDE_CODE_CHILD_SESSION",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_CODE_EXECPATH",
    "CLAUDE_CODE_MESSAGING_SOCKET",
    "CLAUDE_CODE_MESSAGING_TOKEN",
    "CLAUDE_CODE_SESSION_ATTENDED",
    "CLAUDE_CODE_SESSION_ID",
    "CLAUDE_EFFORT",
    "CLAUDE_PID",
    "CLAUDE_CODE_RESUME_INTERRUPTED_TURN",
    "CLAUDE_CODE_RETRY_WATCHDOG",
];

/// The options of every process: agent and critic use the same protocol, otherwise their requests would differ (facts
/// 2.1.329, A: `--output-format json` changes a request parameter).
const STREAM: &[&str] = &[
    "-p",
    "--input-format",
    "stream-json",
    "--output-format",
    "stream-json",
    "--verbose",
    "--include-partial-messages",
    "--replay-user-messages",
    // A user's hook may be silent for minutes; only with this option does the CLI report that one runs (2.1.197 and
    // 2.1.329).
    "--include-hook-events",
];

/// Whether this version records the system prompt with the session.
pub(super) fn has_prompt_snapshot(agent_version: &str) -> bool {
    parse_version(agent_version).is_some_and(|version| version >= FIRST_WITH_SNAPSHOT)
}

/// `2.1.329` of `2.1.329 (Claude Code)`.
fn parse_version(text: &str) -> Option<[u32; 3]> {
    let number = text.split_whitespace().next()?;
    let mut parts = number.split(['.', '-', '+']).map(str::parse::<u32>);
    let version = [parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?];
    Some(version)
}

/// The permission mode that `--dangerously-skip-permissions` chooses.
const BYPASS_MODE: &str = "bypassPermissions";

/// The tools that write files, for any path.
const WRITING_TOOLS: [&str; 3] = ["Edit(//**)", "Write(//**)", "NotebookEdit(//**)"];

/// The tool that runs commands.
const SHELL_TOOL: &str = "Bash";

/// The tool by which the agent would move to a worktree. The checks, the critic and the tree measurement would stay
/// in the run's directory and judge a tree in which nothing was done. The critic does not get it either, otherwise
/// its tools would differ.
pub(in crate::agent) const MOVING_TOOL: &str = "EnterWorktree";

/// What to start for this request. If [`user_args`] would refuse the user's arguments, all of them are left out: the
/// start of the run has refused them already.
pub(super) fn launch(request: &LaunchRequest<'_>) -> Launch {
    let critic = request.role == Role::Critic;
    let snapshot = has_prompt_snapshot(request.agent_version);
    let given = read(request.user_args).unwrap_or_default();
    let gives = |name: &str| given.iter().any(|option| option.name == name);
    let user_model = gives("--model");
    let mut args: Vec<String> = STREAM.iter().map(|&arg| arg.to_owned()).collect();
    let mut push = |parts: &[&str]| args.extend(parts.iter().map(|&part| part.to_owned()));
    match &request.open {
        SessionOpen::New(id) => push(&["--session-id", id]),
        SessionOpen::Resume(id) => push(&["--resume", id]),
        SessionOpen::Copy(from, id) => push(&["--resume", from, "--fork-session", "--session-id", id]),
        SessionOpen::Latest => push(&["--continue"]),
        SessionOpen::Fork(id) => {
            push(&["--resume", id, "--fork-session", "--no-session-persistence", "--permission-mode", "dontAsk"])
        }
    }
    // With this option the CLI asks over the protocol and has the tools that ask; a user's own tool would answer in
    // ccc's place. A fork repeats the agent's tools from the prompt snapshot; without a snapshot it needs the same
    // option, but never asks in its permission mode.
    if request.asks && !gives("--permission-prompt-tool") && (!critic || !snapshot) {
        push(&["--permission-prompt-tool", "stdio"]);
    }
    if let Some(model) = request.model
        && (critic || !user_model || request.model_is_chosen)
    {
        push(&["--model", model]);
    }
    if let Some(mode) = request.permission_mode.filter(|_| !critic) {
        push(&["--permission-mode", mode]);
    }
    if let Some(settings) = request.sandbox {
        push(&["--settings", settings]);
    // The user's own settings, without their hooks, replace these further down.
    } else if critic && request.without_hooks && !given.iter().any(|option| option.name == "--settings") {
        push(&["--settings", &without_hooks(Map::new())]);
    }
    if critic {
        // Patterns keep the prompt prefix identical; bare tool names would not (facts §7). Deny rules override the
        // allow rules of the user's settings files, which a fork also reads; measured on both versions, they also
        // block `touch` and output redirections.
        let denied: Vec<&str> = WRITING_TOOLS
            .into_iter()
            .filter(|_| !request.critic_runs_all)
            .chain([MOVING_TOOL].into_iter().filter(|_| request.one_tree))
            .collect();
        let allowed: Vec<&str> = [SHELL_TOOL]
            .into_iter()
            .filter(|_| request.critic_runs_all)
            .chain(request.critic_allow.iter().map(String::as_str))
            .collect();
        for (option, tools) in [("--disallowedTools", denied), ("--allowedTools", allowed)] {
            if !tools.is_empty() {
                // The option is variadic: it takes every argument up to the next option as a value, so an option or
                // nothing must follow.
                push(&[option]);
                push(&tools);
            }
        }
        if let Some(file) = request.system_prompt_file {
            push(&["--append-system-prompt-file", file]);
            if snapshot {
                // Without it a fork silently ignores the new text (facts 2.1.329, A).
                push(&["--system-prompt-snapshot", "off"]);
            }
        }
    }
    if !critic && request.one_tree {
        push(&["--disallowedTools", MOVING_TOOL]);
    }
    if !critic {
        // Rules of several `--allowedTools` add up, and a user's deny rule overrides all of them (measured on both
        // versions). They change nothing in the prompt.
        let mut rules: Vec<String> =
            request.allowed_commands.iter().flat_map(|command| rules::exact(command)).collect();
        rules.dedup();
        if !rules.is_empty() {
            push(&["--allowedTools"]);
            push(&rules.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
    let system_mode = critic && request.system_prompt_file.is_some();
    for option in &given {
        let is_overruled = match option.name.as_str() {
            "--model" => request.model_is_chosen,
            // They are in the settings with the sandbox.
            "--settings" => request.sandbox.is_some(),
            "--permission-mode" => request.permission_mode.is_some(),
            // It would take the place of the chosen mode.
            "--dangerously-skip-permissions" => request.permission_mode.is_some_and(|mode| mode != BYPASS_MODE),
            _ => false,
        };
        if is_overruled || !is_passed_on(option, critic, system_mode, request.model.is_some()) {
            continue;
        }
        let settings = option.values.first().filter(|_| option.name == "--settings" && critic && request.without_hooks);
        let hookless = settings.and_then(|text| match inline(text) {
            Some(settings) => Some(without_hooks(settings)),
            None => request.hookless_settings.map(str::to_owned),
        });
        match hookless {
            Some(settings) => args.extend(["--settings".to_owned(), settings]),
            None => args.extend_from_slice(option.written),
        }
    }
    Launch {
        args,
        env_set: env_set(request, snapshot),
        env_unset: ENV_UNSET.iter().map(|&name| name.to_owned()).collect(),
        cwd: request.cwd.to_owned(),
    }
}

/// Settings given as JSON; `None` for the path of a file.
fn inline(text: &str) -> Option<Map<String, Value>> {
    match serde_json::from_str(text) {
        Ok(Value::Object(settings)) => Some(settings),
        Ok(_) | Err(_) => None,
    }
}

/// A settings file's text with its hooks disabled; an error message if it holds no settings.
pub(super) fn hookless_settings(text: &str) -> Result<String, String> {
    read_settings(text).map(without_hooks)
}

/// The user's own settings with the sandbox in them; an error message if the text holds no settings.
pub(super) fn settings_in_sandbox(
    own: Option<&str>,
    places: &SandboxPlaces,
    role: Role,
    hookless: bool,
) -> Result<String, String> {
    let own = own.map(read_settings).transpose()?.unwrap_or_default();
    let settings = sandbox::settings(own, places, role == Role::Critic);
    Ok(if hookless { without_hooks(settings) } else { Value::Object(settings).to_string() })
}

fn read_settings(text: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(text.trim_start_matches('\u{feff}')) {
        Ok(Value::Object(settings)) => Ok(settings),
        Ok(_) => Err("it is no JSON object".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Settings under which none of the user's hooks runs: a file that a hook writes into the project would look like a
/// change by the critic, and a hook that judges stops would judge the critic's. The request stays identical byte for
/// byte (measured on both versions).
fn without_hooks(mut settings: Map<String, Value>) -> String {
    settings.insert("disableAllHooks".to_owned(), Value::Bool(true));
    Value::Object(settings).to_string()
}

fn is_passed_on(option: &Given<'_>, critic: bool, system_mode: bool, model_chosen: bool) -> bool {
    match option.treatment {
        Treatment::Session(_) | Treatment::Own | Treatment::Refuse(_) => false,
        Treatment::Agent => !critic,
        Treatment::Shape if !critic => true,
        Treatment::Shape => match option.name.as_str() {
            "--model" => !model_chosen,
            // The CLI refuses two appended system prompts, and a snapshot would hide ccc's prompt.
            "--append-system-prompt" | "--append-system-prompt-file" | "--system-prompt-snapshot" => !system_mode,
            _ => true,
        },
    }
}

/// `CLAUDE_CODE_DISABLE_GIT_INSTRUCTIONS` and the setting `includeGitInstructions` do the same (facts §7). The
/// variable is used because a second `--settings` would replace the user's own.
fn env_set(request: &LaunchRequest<'_>, snapshot: bool) -> Vec<(String, String)> {
    let mut env = vec![
        ("CCC_RUN_ID".to_owned(), request.run_id.to_owned()),
        ("CCC_ATTEMPT".to_owned(), request.proc.to_string()),
        ("CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS".to_owned(), "1".to_owned()),
    ];
    if request.share_prompt_prefix && !snapshot {
        env.push(("CLAUDE_CODE_DISABLE_GIT_INSTRUCTIONS".to_owned(), "1".to_owned()));
    }
    env
}

/// The meaning of the user's own arguments.
pub(super) fn user_args(args: &[String]) -> Result<UserArgs, ArgsProblem> {
    let mut meaning = UserArgs::default();
    let mut session: Option<(String, SessionStart)> = None;
    for option in read(args)? {
        let value = option.values.first().map(|&value| value.to_owned());
        if let Treatment::Session(way) = option.treatment {
            let start = match (way, value) {
                (SessionOption::New, Some(id)) => SessionStart::New(id),
                (SessionOption::Resume, Some(id)) => SessionStart::Resume(id),
                (SessionOption::Latest, _) => SessionStart::Latest,
                (SessionOption::New | SessionOption::Resume, None) => {
                    return Err(ArgsProblem::MissingValue { option: option.name });
                }
            };
            if let Some((first, _)) = session {
                return Err(ArgsProblem::TwoSessions { first, second: option.name });
            }
            session = Some((option.name, start));
            continue;
        }
        match option.name.as_str() {
            "--model" => meaning.model = value,
            "--permission-mode" => meaning.permission_mode = value,
            "--allowedTools" | "--allowed-tools" => {
                let rules = option.values.iter().flat_map(|values| values.split([' ', ',']));
                meaning.allowed.extend(rules.filter(|rule| !rule.is_empty()).map(str::to_owned));
            }
            // If given twice, the last one counts.
            "--settings" => {
                meaning.settings_file = value.clone().filter(|text| !text.trim_start().starts_with('{'));
                meaning.settings = value;
            }
            "--setting-sources" => {
                let named = value.unwrap_or_default();
                let sources = named.split(',').map(|source| source.trim().to_owned());
                meaning.setting_sources = Some(sources.filter(|source| !source.is_empty()).collect());
            }
            "--dangerously-skip-permissions" | "--allow-dangerously-skip-permissions" => {
                meaning.skips_permissions = true;
            }
            _ => {}
        }
    }
    meaning.skips_permissions |= meaning.permission_mode.as_deref() == Some("bypassPermissions");
    meaning.session = session.map(|(_, start)| start);
    Ok(meaning)
}
