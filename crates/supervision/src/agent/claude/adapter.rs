//! Claude Code as an [`Adapter`]: which function answers what.

use super::protocol::{ClaudeProtocol, partial_is_progress};
use super::{
    OWN_TREES, PLAN_MODE, PROGRAM, amend, exit, launch, noise, options, partial, rules, transcript, vocabulary,
};
use crate::agent::{
    Adapter, AmendedArgs, ArgsProblem, Caps, ExitCause, Installation, LaunchRequest, Protocol, Role, UserArgs,
    Vocabulary,
};
use crate::stream::Envelope;
use crate::words::{ExitFact, Launch, Provider, TokenKind, TurnId};

/// Where its own installer puts it.
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
            // `projects/<directory>/<session>.jsonl` (facts §2). In any directory, because the newest CLI goes on in the record of
            // the directory where the session began (facts 2.1.329, A).
            records: ("projects", 1),
            settings_files: true,
        }
    }

    fn provider(&self) -> Provider {
        Provider::Anthropic
    }

    fn launch(&self, request: &LaunchRequest<'_>) -> Launch {
        launch::launch(request)
    }

    fn protocol(&self, request: &LaunchRequest<'_>) -> Box<dyn Protocol> {
        Box::new(match request.role {
            Role::Agent => ClaudeProtocol::default(),
            Role::Critic => ClaudeProtocol::of_critic(),
        })
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

    fn hookless_settings(&self, text: &str) -> Result<String, String> {
        launch::hookless_settings(text)
    }

    fn merged_args(&self, before: &[String], later: &[String], is_spoilt: &dyn Fn(&str) -> bool) -> Vec<String> {
        amend::merged(before, later, is_spoilt)
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

    fn has_turn(&self, transcript: &str, turn: &TurnId) -> bool {
        transcript::has_turn(transcript, &turn.0)
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

    fn says_nothing(&self, line: &Envelope<'_>) -> bool {
        noise::says_nothing(line)
    }
}
