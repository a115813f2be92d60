//! How much of the model's context the main conversation uses: from the usage of its newest message, and the window of its model,
//! which only a result tells.

use crate::agent::ContextUse;
use crate::stream::message::{TurnResult, Usage};

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct ContextUsed {
    /// The model of the newest message.
    model: String,
    used_tokens: Option<u64>,
    /// The window of that model.
    window_tokens: Option<u64>,
    told: Option<ContextUse>,
}

impl ContextUsed {
    /// A message of the main conversation: what was sent for it is what the context has. Returns the use if it has changed.
    pub(super) fn message(&mut self, model: &str, usage: &Usage) -> Option<Option<ContextUse>> {
        let parts = [usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens];
        let used = parts.into_iter().flatten().fold(0, u64::saturating_add);
        // The CLI's own messages were not sent to a model.
        if used == 0 {
            return None;
        }
        if self.model != model {
            model.clone_into(&mut self.model);
            self.window_tokens = None;
        }
        self.used_tokens = Some(used);
        self.news()
    }

    /// A result. It has the windows of all models, also of sub-agents. The name of one may say more than its messages do:
    /// `MODEL[1m]`; `session` is the name of the session's.
    pub(super) fn result(&mut self, result: &TurnResult<'_>, session: &str) -> Option<Option<ContextUse>> {
        let models = result.model_usage.as_ref()?;
        let is_base = |name: &str| name.split('[').next() == Some(self.model.as_str());
        let windows = || {
            let all = models.0.iter().map(|(name, usage)| (name.as_ref(), usage.context_window));
            all.filter(|(name, _)| is_base(name)).filter_map(|(name, window)| Some((name, window.filter(|n| *n > 0)?)))
        };
        let of_session = windows().find(|(name, _)| *name == session);
        let only = || windows().next().filter(|_| windows().count() == 1);
        if let Some((_, window)) = of_session.or_else(only) {
            self.window_tokens = Some(window);
        }
        self.news()
    }

    /// The conversation was shortened or begins anew: how much is left is known with the next message.
    pub(super) fn forgotten(&mut self) -> Option<Option<ContextUse>> {
        self.used_tokens = None;
        self.news()
    }

    fn news(&mut self) -> Option<Option<ContextUse>> {
        let used = self.used_tokens.map(|used_tokens| ContextUse { used_tokens, window_tokens: self.window_tokens });
        (used != self.told).then(|| {
            self.told = used;
            used
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::agent::{AgentEvent, AgentKind, ContextUse, LaunchRequest, Protocol, Role, SessionOpen};
    use crate::recordings::recordings;

    fn protocol() -> Box<dyn Protocol> {
        AgentKind::CLAUDE_CODE.protocol(&LaunchRequest::new(Role::Agent, SessionOpen::Latest, "/project"))
    }

    fn told<'a>(protocol: &mut dyn Protocol, lines: impl Iterator<Item = &'a str>) -> Vec<Option<ContextUse>> {
        let mut events = Vec::new();
        for line in lines {
            protocol.line(line, &mut events);
        }
        events
            .into_iter()
            .filter_map(|event| if let AgentEvent::Context(used) = event { Some(used) } else { None })
            .collect()
    }

    fn message(id: &str, model: &str, parent: Option<&str>, tokens: [u64; 3]) -> String {
        let [input, read, created] = tokens;
        serde_json::json!({
            "type": "assistant", "session_id": "s", "parent_tool_use_id": parent,
            "message": {"id": id, "model": model, "content": [{"type": "text", "text": "x"}], "usage": {
                "input_tokens": input, "output_tokens": 7, "cache_read_input_tokens": read,
                "cache_creation_input_tokens": created,
            }},
        })
        .to_string()
    }

    fn result(windows: &[(&str, u64)]) -> String {
        let models: serde_json::Map<String, serde_json::Value> = windows
            .iter()
            .map(|(name, window)| ((*name).to_owned(), serde_json::json!({"contextWindow": window})))
            .collect();
        serde_json::json!({"type": "result", "subtype": "success", "num_turns": 1, "result": "x", "modelUsage": models})
            .to_string()
    }

    fn of(used_tokens: u64, window_tokens: Option<u64>) -> Option<ContextUse> {
        Some(ContextUse { used_tokens, window_tokens })
    }

    #[test]
    fn the_context_is_that_of_the_newest_message_of_the_main_conversation() {
        let mut protocol = protocol();
        let init = r#"{"type":"system","subtype":"init","session_id":"s","model":"opus[1m]"}"#.to_owned();
        let boundary = r#"{"type":"system","subtype":"compact_boundary","session_id":"s"}"#.to_owned();
        let lines = [
            init,
            message("m1", "opus", None, [10, 2_000, 300]),
            message("m1", "opus", None, [10, 2_000, 300]),
            message("m2", "haiku", Some("call"), [1, 90_000, 0]),
            message("m3", "<synthetic>", None, [0, 0, 0]),
            result(&[("haiku", 200_000), ("opus", 200_000), ("opus[1m]", 1_000_000)]),
            message("m4", "opus", None, [5, 500_000, 0]),
            boundary,
            message("m5", "opus", None, [5, 9_000, 0]),
            // Another model: its window is not known yet.
            message("m6", "sonnet", None, [5, 9_100, 0]),
            result(&[("opus[1m]", 1_000_000), ("sonnet", 200_000)]),
        ];
        let told = told(protocol.as_mut(), lines.iter().map(String::as_str));
        let mega = Some(1_000_000);
        assert_eq!(
            told,
            [
                of(2_310, None),
                of(2_310, mega),
                of(500_005, mega),
                None,
                of(9_005, mega),
                of(9_105, None),
                of(9_105, Some(200_000))
            ]
        );
        assert_eq!(told[2].and_then(|used| used.percent()), Some(50.0005));
        assert_eq!(told[0].and_then(|used| used.percent()), None);
    }

    #[test]
    fn of_two_windows_of_one_model_none_is_guessed() {
        let mut protocol = protocol();
        let lines = [message("m1", "opus", None, [10, 0, 0]), result(&[("opus", 200_000), ("opus[1m]", 1_000_000)])];
        assert_eq!(told(protocol.as_mut(), lines.iter().map(String::as_str)), [of(10, None)]);
        let lines = [result(&[("opus[1m]", 1_000_000)]), result(&[("other", 5)]), result(&[("opus", 0)])];
        assert_eq!(told(protocol.as_mut(), lines.iter().map(String::as_str)), [of(10, Some(1_000_000))]);
    }

    #[test]
    fn recorded_processes_tell_their_context() {
        for recording in recordings("fixtures/streams", "tools.jsonl") {
            if !recording.name.ends_with("/tools.jsonl") {
                continue;
            }
            let told = told(protocol().as_mut(), recording.text.lines());
            let Some(Some(last)) = told.last() else { panic!("{}: {told:?}", recording.name) };
            assert_eq!(last.used_tokens, 10, "{}", recording.name);
            let has_window = recording.text.contains("contextWindow");
            assert_eq!(
                last.window_tokens.is_some_and(|window| window >= 200_000),
                has_window,
                "{}: {told:?}",
                recording.name
            );
        }
    }
}
