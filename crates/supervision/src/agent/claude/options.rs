//! The options of Claude Code's command line, as far as ccc must interpret them.
//!
//! Names and arities are those of `claude --help` of 2.1.197 and 2.1.329, and of hidden options that both programs
//! declare (`--max-turns`, `--append-system-prompt-file`, `--permission-prompt-tool`, …). What each option means
//! under ccc is defined only here, so that launching and reading the user's arguments cannot disagree.

use Arity::{Flag, Many, Optional, Value};
use Treatment::{Agent, Own, Refuse, Session, Shape};

use crate::agent::ArgsProblem;

/// How many values an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arity {
    /// None.
    Flag,
    /// Exactly one, whatever it looks like.
    Value,
    /// One, unless the next argument is an option.
    Optional,
    /// At least one, up to the next option (such an option consumes a prompt that follows it).
    Many,
}

/// What ccc does with a user's option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Treatment {
    /// It shapes the request: agent and critic both get it, otherwise their prompts would differ. `--settings` may
    /// contain permission rules, as the user's settings files do; the working tree's fingerprint detects a critic
    /// that used them.
    Shape,
    /// Only the agent gets it: it grants a permission, bounds the work, or concerns one process only.
    Agent,
    /// It names the session; the launch names the session in its own way.
    Session(SessionOption),
    /// ccc passes it already, so it is dropped silently.
    Own,
    /// It cannot be used under ccc, for this reason.
    Refuse(&'static str),
}

/// How an option names the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SessionOption {
    /// `--session-id`.
    New,
    /// `--resume`.
    Resume,
    /// `--continue`.
    Latest,
}

struct Rule {
    names: &'static [&'static str],
    arity: Arity,
    treatment: Treatment,
}

const fn rule(names: &'static [&'static str], arity: Arity, treatment: Treatment) -> Rule {
    Rule { names, arity, treatment }
}

const STREAM: &str = "ccc speaks the agent's stream-json protocol itself";
const SCREEN: &str = "it needs the agent's own screen, and ccc runs it without one";
const ELSEWHERE: &str = "the work would go on outside the process and directory that ccc supervises";
const FORKING: &str = "ccc forks the session itself, for its critic";
const KEPT: &str = "without a stored session nothing can be resumed or judged";
const EXITS: &str = "the agent would do this and exit";
const REWRITES: &str = "it would rewrite the session that ccc goes on with";

const RULES: &[Rule] = &[
    // The session.
    rule(&["--session-id"], Value, Session(SessionOption::New)),
    rule(&["--resume", "-r"], Optional, Session(SessionOption::Resume)),
    rule(&["--continue", "-c"], Flag, Session(SessionOption::Latest)),
    // Passed by ccc.
    rule(&["--verbose"], Flag, Own),
    rule(&["--include-partial-messages"], Flag, Own),
    rule(&["--replay-user-messages"], Flag, Own),
    rule(&["--include-hook-events"], Flag, Own),
    // Options that ccc controls.
    rule(&["--print", "-p"], Flag, Refuse("ccc gives it itself; the task goes to ccc, with `-p TASK` before `--`")),
    rule(&["--input-format"], Value, Refuse(STREAM)),
    rule(&["--output-format"], Value, Refuse(STREAM)),
    rule(&["--sdk-url"], Value, Refuse(STREAM)),
    rule(&["--fork-session"], Flag, Refuse(FORKING)),
    rule(&["--no-session-persistence"], Flag, Refuse(KEPT)),
    rule(&["--permission-prompt-tool"], Value, Agent),
    rule(&["--resume-session-at", "--resume-drops-turn", "--rewind-files"], Value, Refuse(REWRITES)),
    rule(&["--from-pr", "--teleport"], Optional, Refuse("name the session by --resume ID")),
    rule(&["--bg", "--background"], Flag, Refuse(ELSEWHERE)),
    rule(&["--worktree", "-w"], Optional, Refuse(ELSEWHERE)),
    rule(&["--cloud", "--remote", "--remote-control", "--rc"], Optional, Refuse(ELSEWHERE)),
    rule(&["--environment", "--remote-control-session-name-prefix"], Value, Refuse(ELSEWHERE)),
    rule(&["--desktop"], Flag, Refuse(SCREEN)),
    rule(&["--tmux"], Flag, Refuse(SCREEN)),
    rule(&["--prefill"], Value, Refuse(SCREEN)),
    rule(&["--init-only", "--help", "-h", "--version", "-v"], Flag, Refuse(EXITS)),
    // Options that shape the request, the same for agent and critic.
    rule(&["--model"], Value, Shape),
    rule(&["--fallback-model", "--effort", "--autocompact", "--thinking", "--thinking-display"], Value, Shape),
    rule(&["--max-thinking-tokens", "--task-budget", "--fast-mode", "--advisor"], Value, Shape),
    rule(&["--agent", "--agents", "--settings", "--managed-settings", "--setting-sources"], Value, Shape),
    rule(
        &["--system-prompt", "--system-prompt-file", "--append-system-prompt", "--append-system-prompt-file"],
        Value,
        Shape,
    ),
    rule(&["--append-subagent-system-prompt", "--append-subagent-system-prompt-file"], Value, Shape),
    rule(&["--system-prompt-snapshot", "--plan-mode-instructions"], Value, Shape),
    rule(&["--plugin-dir", "--plugin-dir-no-mcp", "--plugin-url"], Value, Shape),
    rule(&["--add-dir", "--mcp-config", "--betas", "--tools", "--file"], Many, Shape),
    rule(&["--disallowedTools", "--disallowed-tools"], Many, Shape),
    rule(&["--bare", "--safe-mode", "--restricted", "--strict-mcp-config"], Flag, Shape),
    rule(&["--disable-slash-commands", "--exclude-dynamic-system-prompt-sections"], Flag, Shape),
    rule(&["--brief", "--chrome", "--no-chrome", "--ide"], Flag, Shape),
    // Options that grant, bound, or concern one process.
    rule(&["--permission-mode", "--permission-prompts"], Value, Agent),
    rule(&["--allowedTools", "--allowed-tools"], Many, Agent),
    rule(
        &["--dangerously-skip-permissions", "--allow-dangerously-skip-permissions", "--enable-auto-mode"],
        Flag,
        Agent,
    ),
    rule(&["--max-turns", "--max-budget-usd", "--json-schema", "--name", "-n", "--debug-file"], Value, Agent),
    rule(&["--debug", "-d", "--prompt-suggestions"], Optional, Agent),
    rule(&["--debug-to-stderr", "-d2e", "--forward-subagent-text"], Flag, Agent),
    rule(&["--ax-screen-reader", "--init", "--maintenance"], Flag, Agent),
];

/// One option that the user gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given<'a> {
    /// Its name as written, without an attached value.
    pub(super) name: String,
    /// Its values.
    pub(super) values: Vec<&'a str>,
    /// The arguments as written, which are passed on.
    pub(super) written: &'a [String],
    /// What ccc does with it.
    pub(super) treatment: Treatment,
}

impl Given<'_> {
    /// Whether this is the same option, perhaps under another of its names.
    pub(super) fn is_same_as(&self, other: &Given<'_>) -> bool {
        self.name == other.name || find(&self.name).is_some_and(|rule| rule.names.contains(&other.name.as_str()))
    }
}

/// Whether an option has effect only once, however often it is given.
pub(super) fn is_single(name: &str) -> bool {
    match find(name).map_or(Optional, |rule| rule.arity) {
        Flag | Value | Optional => true,
        Many => false,
    }
}

/// The names of the options that the user may give.
pub(super) fn known_names() -> impl Iterator<Item = &'static str> {
    let may_be_given = |rule: &&Rule| matches!(rule.treatment, Shape | Agent);
    RULES.iter().filter(may_be_given).flat_map(|rule| rule.names.iter().copied())
}

/// Parses the user's arguments into options. An option that is not in the table goes to the agent alone, with one
/// value if one follows: a newer CLI may have it, and for the critic an unknown option could be a permission.
///
/// # Errors
/// An option is refused or lacks its value, or an argument is a prompt.
pub(super) fn read(args: &[String]) -> Result<Vec<Given<'_>>, ArgsProblem> {
    let mut given = Vec::new();
    let mut rest = args;
    while let Some((first, after)) = rest.split_first() {
        let (name, attached) = split(first).ok_or_else(|| prompt(first))?;
        let known = find(name);
        let arity = known.map_or(Optional, |rule| rule.arity);
        let treatment = known.map_or(Agent, |rule| rule.treatment);
        if let Refuse(reason) = treatment {
            return Err(ArgsProblem::Refused { option: name.to_owned(), reason });
        }
        if arity == Flag && attached.is_some() {
            return Err(ArgsProblem::Refused {
                option: first.clone(),
                reason: "it takes no value; write short options one by one",
            });
        }
        let following = match (arity, attached) {
            (Flag, _) | (Value | Optional, Some(_)) => 0,
            (Value, None) => 1,
            (Optional, None) => after.iter().take(1).take_while(|arg| is_value(arg)).count(),
            (Many, Some(_)) => after.iter().take_while(|arg| is_value(arg)).count(),
            (Many, None) => 1 + after.iter().skip(1).take_while(|arg| is_value(arg)).count(),
        };
        let (Some(values), Some(written)) = (after.get(..following), rest.get(..=following)) else {
            return Err(ArgsProblem::MissingValue { option: name.to_owned() });
        };
        given.push(Given {
            name: name.to_owned(),
            values: attached.into_iter().chain(values.iter().map(String::as_str)).collect(),
            written,
            treatment,
        });
        rest = rest.get(written.len()..).unwrap_or_default();
    }
    Ok(given)
}

/// Name and attached value of an option: `--name`, `--name=value`, `-n`, `-nvalue`. `None`: it is not an option.
/// Combined flags (`-cp`) are read as a letter with a value, which [`read`] refuses for a flag.
fn split(arg: &str) -> Option<(&str, Option<&str>)> {
    if arg == "--" || arg == "-" || !arg.starts_with('-') {
        return None;
    }
    if arg.starts_with("--") {
        return Some(match arg.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (arg, None),
        });
    }
    if find(arg).is_some() {
        return Some((arg, None));
    }
    let end = arg.char_indices().nth(2).map_or(arg.len(), |(at, _)| at);
    let (name, value) = arg.split_at(end);
    Some((name, Some(value).filter(|value| !value.is_empty())))
}

/// User options that have no effect, or another one, in the agent's own interface.
const UNATTENDED_ONLY: &[&str] = &["--max-turns", "--max-budget-usd", "--json-schema", "--permission-prompt-tool"];

/// The user's arguments for the agent's own interface on the same session, without those that name a session; the
/// caller adds that.
pub(super) fn for_interface(args: &[String]) -> Vec<String> {
    for_interface_without(args, &[])
}

/// The same, without options of these names.
pub(in crate::agent) fn for_interface_without(args: &[String], names: &[&str]) -> Vec<String> {
    let given = read(args).unwrap_or_default();
    given
        .iter()
        .filter(|option| !names.contains(&option.name.as_str()))
        .filter(|option| matches!(option.treatment, Shape | Agent))
        .filter(|option| !UNATTENDED_ONLY.contains(&option.name.as_str()))
        .flat_map(|option| option.written.iter().cloned())
        .collect()
}

/// Whether the table has an option with this name.
pub(super) fn is_known(name: &str) -> bool {
    find(name).is_some()
}

fn find(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.names.contains(&name))
}

fn is_value(arg: &str) -> bool {
    !arg.starts_with('-')
}

fn prompt(arg: &str) -> ArgsProblem {
    ArgsProblem::Prompt { text: arg.chars().take(60).collect() }
}
