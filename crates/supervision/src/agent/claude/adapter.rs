//! Claude Code as an [`Adapter`]: delegates each method to its module.

use std::collections::BTreeMap;

use super::protocol::{ClaudeProtocol, partial_is_progress};
use super::{
    INTERFACE_NAME, OWN_TREES, PLAN_MODE, PROGRAM, amend, branch, exit, interface, launch, noise, options, partial,
    questions, rules, sandbox, transcript, vocabulary,
};
use crate::agent::{
    Adapter, AmendedArgs, ArgsProblem, Asked, Branch, Caps, ExitCause, Installation, InterfaceArgs, LaunchRequest,
    Protocol, Role, UserArgs, Vocabulary,
};
use crate::stream::Envelope;
use crate::words::{ExitFact, Launch, Provider, SandboxPlaces, TokenKind, TurnId};

/// Where Claude Code's own installer puts the program.
const INSTALLED_AT: &str = ".claude/local/claude";

/// Claude Code.
#[derive(Debug)]
pub(in crate::agent) struct Claude;

impl Adapter for Claude {
    fn name(&self) -> &'static str {
        "claude_code"
    }

    fn caps(&self, agent_version: &str) -> Caps {
        Caps {
            fork: true,
            read_only_critic: true,
            interrupt: true,
            hot_tokens: &[TokenKind::OAuth],
            limit_events: true,
            prompt_snapshot: launch::has_prompt_snapshot(agent_version),
            own_interface: false,
        }
    }

    fn program(&self) -> &'static str {
        PROGRAM
    }

    fn installation(&self) -> Installation {
        Installation {
            product: "Claude Code",
            install: "npm install -g @anthropic-ai/claude-code",
            also_at: Some(INSTALLED_AT),
            tested: ["2.1.197", "2.1.332"],
            dir_variable: "CLAUDE_CONFIG_DIR",
            dir: ".claude",
            files: &[".claude.json"],
            // `projects/<directory>/<session>.jsonl` (facts §2). All directories are searched, because the newest CLI
            // continues the record in the directory where the session began (facts 2.1.329, A).
            records: ("projects", 1),
            settings_files: true,
        }
    }

    fn interface_name(&self) -> Option<&'static str> {
        Some(INTERFACE_NAME)
    }

    fn provider(&self) -> Provider {
        Provider::Anthropic
    }

    fn records_of(&self, cwd: &str) -> Option<String> {
        // Both versions. For a very long path the CLI shortens the name and appends a hash; such a folder is not
        // found.
        Some(cwd.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '-' }).collect())
    }

    fn launch(&self, request: &LaunchRequest<'_>) -> Launch {
        launch::launch(request)
    }

    fn protocol(&self, request: &LaunchRequest<'_>) -> Box<dyn Protocol> {
        let protocol = match request.role {
            Role::Agent => ClaudeProtocol::of_agent(request.asks),
            Role::Critic => ClaudeProtocol::of_critic(),
        };
        Box::new(if request.sandbox.is_some() { protocol.in_sandbox() } else { protocol })
    }

    fn lacked_memory(&self, exit: &ExitFact) -> bool {
        exit::lacked_memory(exit)
    }

    fn exit_cause(&self, exit: &ExitFact, session_begun: bool) -> ExitCause {
        exit::cause(exit, session_begun)
    }

    fn vocabulary(&self) -> Vocabulary {
        vocabulary::vocabulary()
    }

    fn read_user_args(&self, args: &[String]) -> Result<UserArgs, ArgsProblem> {
        launch::user_args(args)
    }

    fn has_sandbox(&self) -> bool {
        true
    }

    fn settings_in_sandbox(
        &self,
        own: Option<&str>,
        places: &SandboxPlaces,
        role: Role,
        without_hooks: bool,
    ) -> Result<String, String> {
        launch::settings_in_sandbox(own, places, role, without_hooks)
    }

    fn sandbox_trial(&self, dir: &str) -> Option<(Vec<String>, String)> {
        Some(sandbox::trial(dir))
    }

    fn sandbox_in_force(&self, output: &str) -> Option<bool> {
        sandbox::in_force(output)
    }

    fn hookless_settings(&self, text: &str) -> Result<String, String> {
        launch::hookless_settings(text)
    }

    fn merged_args(&self, before: &[String], later: &[String], is_redacted: &dyn Fn(&str) -> bool) -> Vec<String> {
        amend::merged(before, later, is_redacted)
    }

    fn args_apart(&self, args: &[String], is_such: &dyn Fn(&str) -> bool) -> (Vec<String>, Vec<String>) {
        amend::apart(args, is_such)
    }

    fn amended_args(&self, args: &[String], proven: &[String], complaint: &str) -> AmendedArgs {
        amend::amended(args, proven, complaint)
    }

    fn interface_args(&self, session_id: &str, args: &[String]) -> Option<Vec<String>> {
        let resume = ["--resume", session_id].map(str::to_owned);
        Some(resume.into_iter().chain(options::for_interface(args)).collect())
    }

    fn read_interface_args(&self, args: &[String]) -> InterfaceArgs {
        interface::read(args)
    }

    fn args_of_provider(&self, settings: Option<&str>, model: Option<&str>) -> Vec<String> {
        interface::of_provider(settings, model)
    }

    fn own_trees(&self) -> &'static [&'static str] {
        &OWN_TREES
    }

    fn allowing_more(&self, command: &str) -> Option<Vec<String>> {
        rules::allowing_more(command)
    }

    fn allowing_all_commands(&self) -> Vec<String> {
        rules::allowing_all_commands()
    }

    fn args_to_work(&self) -> Vec<String> {
        let (option, mode) = rules::ACCEPT_EDITS;
        vec![option.to_owned(), mode.to_owned()]
    }

    fn only_plans_in(&self, permission_mode: &str) -> bool {
        permission_mode == PLAN_MODE
    }

    fn asks_before_changes_in(&self, permission_mode: Option<&str>) -> bool {
        matches!(permission_mode, None | Some("default" | "dontAsk"))
    }

    fn is_rule_for_changes(&self, rule: &str) -> bool {
        rules::is_for_changes(rule)
    }

    fn answered_input(
        &self,
        asked: &Asked,
        answers: &BTreeMap<String, String>,
        notes: &BTreeMap<String, String>,
    ) -> Option<String> {
        questions::answered_input(asked, answers, notes)
    }

    fn has_turn(&self, transcript: &str, turn: &TurnId) -> Option<bool> {
        Some(transcript::has_turn(transcript, &turn.0))
    }

    fn branch(&self, transcript: &str, agent_version: &str) -> Branch {
        if launch::has_prompt_snapshot(agent_version) { Branch::Whole } else { branch::of(transcript) }
    }

    fn user_turns(&self, transcript: &str) -> Vec<String> {
        transcript::user_turns(transcript)
    }

    fn is_partial(&self, line: &Envelope<'_>) -> bool {
        line.is_partial()
    }

    fn partial_is_progress(&self, line: &Envelope<'_>) -> bool {
        partial_is_progress(line)
    }

    fn partial_text(&self, line: &Envelope<'_>) -> Option<String> {
        partial::partial_text(line)
    }

    fn partial_thought(&self, line: &Envelope<'_>) -> Option<String> {
        partial::partial_thought(line)
    }

    fn begins_text(&self, line: &Envelope<'_>) -> bool {
        partial::begins_text(line)
    }

    fn says_nothing(&self, line: &Envelope<'_>) -> bool {
        noise::says_nothing(line)
    }
}
