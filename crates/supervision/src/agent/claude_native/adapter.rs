//! Claude Code's own interface as an [`Adapter`]. The program and the critic are those of Claude Code in any run.

use super::super::claude::{Claude, INTERFACE_NAME};
use super::protocol::NativeProtocol;
use super::{launch, settings};
use crate::agent::{
    Adapter, AmendedArgs, ArgsProblem, Caps, ExitCause, Installation, InterfaceArgs, LaunchRequest, Protocol, Role,
    UserArgs, Vocabulary,
};
use crate::words::{ExitFact, Launch, Provider, TurnId};

/// The same program.
const CLAUDE: Claude = Claude;

/// Claude Code with its own interface.
#[derive(Debug)]
pub(in crate::agent) struct ClaudeNative;

impl Adapter for ClaudeNative {
    fn name(&self) -> &'static str {
        INTERFACE_NAME
    }

    /// Unlike the stream-json protocol, hooks offer neither a credential exchange nor limit events.
    fn caps(&self, agent_version: &str) -> Caps {
        Caps { hot_tokens: &[], limit_events: false, own_interface: true, ..CLAUDE.caps(agent_version) }
    }

    fn program(&self) -> &'static str {
        CLAUDE.program()
    }

    fn installation(&self) -> Installation {
        CLAUDE.installation()
    }

    fn interface_name(&self) -> Option<&'static str> {
        Some(INTERFACE_NAME)
    }

    fn provider(&self) -> Provider {
        CLAUDE.provider()
    }

    fn records_of(&self, cwd: &str) -> Option<String> {
        CLAUDE.records_of(cwd)
    }

    fn launch(&self, request: &LaunchRequest<'_>) -> Launch {
        match request.role {
            Role::Agent => launch::launch(request),
            Role::Critic => CLAUDE.launch(request),
        }
    }

    fn protocol(&self, request: &LaunchRequest<'_>) -> Box<dyn Protocol> {
        match request.role {
            Role::Agent => Box::new(NativeProtocol::of(request)),
            Role::Critic => CLAUDE.protocol(request),
        }
    }

    fn exit_cause(&self, exit: &ExitFact, session_begun: bool) -> ExitCause {
        CLAUDE.exit_cause(exit, session_begun)
    }

    fn vocabulary(&self) -> Vocabulary {
        CLAUDE.vocabulary()
    }

    fn read_user_args(&self, args: &[String]) -> Result<UserArgs, ArgsProblem> {
        CLAUDE.read_user_args(args)
    }

    fn hookless_settings(&self, text: &str) -> Result<String, String> {
        CLAUDE.hookless_settings(text)
    }

    fn settings_with_hooks(&self, text: &str) -> Result<String, String> {
        settings::with_hooks(text)
    }

    fn merged_args(&self, before: &[String], later: &[String], is_redacted: &dyn Fn(&str) -> bool) -> Vec<String> {
        CLAUDE.merged_args(before, later, is_redacted)
    }

    fn args_apart(&self, args: &[String], is_such: &dyn Fn(&str) -> bool) -> (Vec<String>, Vec<String>) {
        CLAUDE.args_apart(args, is_such)
    }

    fn amended_args(&self, args: &[String], proven: &[String], complaint: &str) -> AmendedArgs {
        CLAUDE.amended_args(args, proven, complaint)
    }

    fn interface_args(&self, session_id: &str, args: &[String]) -> Option<Vec<String>> {
        CLAUDE.interface_args(session_id, args)
    }

    fn read_interface_args(&self, args: &[String]) -> InterfaceArgs {
        CLAUDE.read_interface_args(args)
    }

    fn args_of_provider(&self, settings: Option<&str>, model: Option<&str>) -> Vec<String> {
        CLAUDE.args_of_provider(settings, model)
    }

    fn own_trees(&self) -> &'static [&'static str] {
        CLAUDE.own_trees()
    }

    /// A record has the user's messages, but not ccc's turn ids.
    fn has_turn(&self, _: &str, _: &TurnId) -> Option<bool> {
        None
    }

    fn user_turns(&self, transcript: &str) -> Vec<String> {
        CLAUDE.user_turns(transcript)
    }
}
