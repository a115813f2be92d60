//! `--output-format json` and `stream-json`. Their fields are a contract (`ui/mod.rs`).

use super::object::Object;
use super::{Banner, Ending, ScreenOutput};
use crate::agent::Role;
use crate::core::{Bound, Show, Tick};

/// The version of the `stream-json` format. Any change except an addition raises it.
pub const FORMAT_VERSION: u32 = 1;

/// `--output-format json`: one object at the end, and nothing else.
#[derive(Debug, Clone, Default)]
pub struct Json;

impl Json {
    /// The object.
    #[must_use]
    pub fn finish(&self, tick: Tick, ending: &Ending<'_>) -> ScreenOutput {
        ScreenOutput::data(ending.fields(tick, Object::new()).line())
    }
}

/// `--output-format stream-json`: one object per event. The fields are listed in the module's description.
#[derive(Debug, Clone, Default)]
pub struct StreamJson {
    /// The wall clock at a tick, when it is known.
    wall: Option<(Tick, i64)>,
}

impl StreamJson {
    /// Sets the wall clock at a tick.
    pub fn clock(&mut self, tick: Tick, unix_ms: i64) {
        self.wall = Some((tick, unix_ms));
    }

    fn opened(&self, kind: &str, tick: Tick) -> Object {
        let unix_ms = self.wall.map(|(at, unix_ms)| super::wall_time(at, unix_ms, tick));
        Object::new()
            .field("v", &FORMAT_VERSION)
            .field("type", kind)
            .field("t_ms", &tick.as_ms())
            .field("unix_ms", &unix_ms)
    }

    /// The header.
    #[must_use]
    pub fn start(&self, tick: Tick, banner: &Banner) -> ScreenOutput {
        let budgets = serde_json::to_value(&banner.budgets).unwrap_or_default();
        let object = self
            .opened("run", tick)
            .field("run_id", &banner.run_id)
            .field("run_dir", &banner.run_dir)
            .field("cwd", &banner.cwd)
            .field("session_id", &banner.session_id)
            .field("agent_path", &banner.agent_path)
            .field("agent_version", &banner.agent_version)
            .field("credential", &banner.credential);
        let bounds = Bound::ALL.map(|bound| bound.row().key);
        let object = bounds.into_iter().fold(object, |object, key| object.field(key, &budgets.get(key)));
        let object = object
            .field("stall_timeout_ms", &banner.stall_timeout_ms)
            .field("tool_timeout_ms", &banner.tool_timeout_ms)
            .field("checks", &banner.checks)
            .field("prompt_origin", &banner.prompt_origin);
        ScreenOutput::data(object.line())
    }

    /// A part of a text or thought in progress. The complete text follows as an event.
    #[must_use]
    pub fn words(&self, tick: Tick, role: Role, kind: &str, text: &str) -> ScreenOutput {
        ScreenOutput::data(
            self.opened("words", tick).field("role", &role).field("kind", kind).field("text", text).line(),
        )
    }

    /// One event.
    #[must_use]
    pub fn render(&self, tick: Tick, show: &Show) -> ScreenOutput {
        let object = match show {
            Show::Phase { phase, detail, iteration, goes_on_in_ms: _ } => {
                self.opened("phase", tick).field("phase", phase).field("detail", detail).field("iteration", iteration)
            }
            Show::Session { session_id, model, agent_version, permission_mode } => self
                .opened("session", tick)
                .field("session_id", session_id)
                .field("model", model)
                .field("agent_version", agent_version)
                .field("permission_mode", permission_mode),
            Show::Turn { kind, text } => self.opened("turn", tick).field("kind", kind).field("text", text),
            Show::Text { role, text, sub_agent, under } => self
                .opened("text", tick)
                .field("role", role)
                .field("sub_agent", sub_agent)
                .field("text", text)
                .field_if("under", under.as_ref()),
            Show::Thinking { role, text, under } => {
                self.opened("thinking", tick).field("role", role).field("text", text).field_if("under", under.as_ref())
            }
            Show::Tool { role, id, name, target, edit, under } => self
                .opened("tool", tick)
                .field("role", role)
                .field("id", id)
                .field("name", name)
                .field("target", target)
                .field("edit", edit)
                .field_if("under", under.as_ref()),
            Show::ToolEnded { role, id, failed, error: _, output, hunks } => self
                .opened("tool_ended", tick)
                .field("role", role)
                .field("id", id)
                .field("failed", failed)
                .field_if("output", output.as_ref())
                .field_if("hunks", Some(hunks).filter(|hunks| !hunks.is_empty())),
            Show::PermissionMode { mode } => self.opened("permission_mode", tick).field("mode", mode),
            Show::Retrying { role, attempt, max_attempts, delay_ms } => self
                .opened("retrying", tick)
                .field("role", role)
                .field("attempt", attempt)
                .field("max_attempts", max_attempts)
                .field("delay_ms", delay_ms),
            Show::Asked { ask } => self.opened("asked", tick).fields(&**ask),
            Show::Settled { ask, how, words } => {
                self.opened("settled", tick).field("id", ask).field("how", how).field("words", words)
            }
            Show::Queue { turns } => self.opened("queue", tick).field("turns", turns),
            Show::Todo { items } => self.opened("todo", tick).field("items", items),
            Show::Offers { offers } => self.opened("offers", tick).fields(&**offers),
            Show::Attended { clients } => self.opened("attended", tick).field("clients", clients),
            Show::Rests { why, outcome, reason } => {
                self.opened("rests", tick).field("why", why).field("outcome", outcome).field("reason", reason)
            }
            Show::Windows { label, five_hour, seven_day } => self
                .opened("windows", tick)
                .field("label", label)
                .field("five_hour", five_hour)
                .field("seven_day", seven_day),
            Show::Denied { role, tool, target } => {
                self.opened("denied", tick).field("role", role).field("tool", tool).field("target", target)
            }
            Show::Check { command, passed, summary, duration_ms, tail, setup, not_run: _ } => self
                .opened(if *setup { "setup" } else { "check" }, tick)
                .field("command", command)
                .field("passed", passed)
                .field("summary", summary)
                .field("duration_ms", duration_ms)
                .field("tail", tail),
            Show::Verdict { verdict, text, iteration } => {
                self.opened("verdict", tick).field("verdict", verdict).field("iteration", iteration).field("text", text)
            }
            Show::Cost { usd } => self.opened("cost", tick).field("cost_usd", usd),
            Show::Context { used_tokens, window_tokens } => {
                self.opened("context", tick).field("used_tokens", used_tokens).field("window_tokens", window_tokens)
            }
            Show::Rotation { from, to, why } => {
                self.opened("rotation", tick).field("from", from).field("to", to).field("why", why)
            }
            Show::Spent { tokens, until_unix_ms, waits, .. } => self
                .opened("spent", tick)
                .field("tokens", tokens)
                .field("until_unix_ms", until_unix_ms)
                .field("waits", waits),
            Show::Question { question, .. } => self
                .opened("question", tick)
                .field("number", &question.number)
                .fields(&question.about)
                .field("choices", &question.choices().iter().map(|choice| choice.answer).collect::<Vec<_>>())
                .field("default", &question.default)
                .field("timeout_ms", &question.timeout_ms),
            Show::Notice { text } | Show::Information { text } => self.opened("notice", tick).field("text", text),
            Show::Awaited { role, what, for_ms, left_ms, then, alive } => self
                .opened("awaited", tick)
                .field("role", role)
                .field("what", what)
                .field("for_ms", for_ms)
                .field("left_ms", left_ms)
                .field("then", then)
                .field("alive", alive),
            Show::Finished { outcome, reason } => {
                self.opened("finished", tick).field("outcome", outcome).field("reason", reason)
            }
        };
        ScreenOutput::data(object.line())
    }

    /// The last line.
    #[must_use]
    pub fn finish(&self, tick: Tick, ending: &Ending<'_>) -> ScreenOutput {
        ScreenOutput::data(ending.fields(tick, self.opened("result", tick)).line())
    }
}
