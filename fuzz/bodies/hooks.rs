//! The reader of what the hooks of the agent's own interface tell, in any order and with any content.

use ccc::agent::{
    AgentEvent, AgentKind, HOOK_GONE, LaunchRequest, Protocol, Role, Say, SessionOpen, StartedBy, TurnKind,
};
use ccc::core::TurnId;

/// The words with which the interface is started.
const WORDS: &str = "Write a parser.";

/// The first line is `w` when the interface is started with words. Each further line is what one hook tells, but for `!` (a turn
/// of ours, if the interface takes one), `.` (a held stop is let go), `?` (the limit for waiting has passed), `i` (Esc was
/// typed for the user) and `g` (the process of the held hook is gone).
pub(crate) fn check(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok()).peekable();
    let words = lines.next_if_eq(&"w").map(|_| WORDS);
    let open = SessionOpen::New("5d0c".to_owned());
    let request = LaunchRequest { words, ..LaunchRequest::new(Role::Agent, open, "/project") };
    let protocol = AgentKind::CLAUDE_NATIVE.protocol(&request);
    let mut run = Run { protocol, turns: 0, open: None };
    run.protocol.started();
    if words.is_some() {
        run.send();
    }
    for line in lines {
        run.step(line);
    }
}

struct Run {
    protocol: Box<dyn Protocol>,
    turns: u32,
    /// The turn of ours, or of the user's, that has not ended.
    open: Option<TurnId>,
}

impl Run {
    fn step(&mut self, line: &str) {
        match line {
            "!" if self.protocol.takes_turn() => self.send(),
            "." if self.protocol.takes_turn() => {
                self.protocol.stop_released();
                assert!(!self.protocol.takes_turn(), "a stop that was let go is held");
            }
            "!" | "." => {}
            "?" => {
                if let Some(end) = self.protocol.settle() {
                    self.ended(&end.started_by);
                    assert!(self.protocol.is_idle(), "settled and not idle");
                }
                assert_eq!(self.protocol.settle(), None, "settled twice");
            }
            "i" => {
                self.protocol.interrupted();
                self.open = None;
                assert!(self.protocol.is_idle(), "interrupted and not idle");
            }
            "g" => self.tell(HOOK_GONE),
            line => self.tell(line),
        }
        if self.protocol.takes_turn() {
            assert!(self.protocol.is_idle(), "a turn is taken only at a stop");
        }
        let names = self.protocol.open_task_names().len();
        assert_eq!(self.protocol.open_tasks(), names, "each open task has a name");
    }

    /// Gives a turn of ours: as the words of the start, or as the answer to the held stop.
    fn send(&mut self) {
        self.turns += 1;
        let turn = TurnId(format!("turn-{}", self.turns));
        let say = Say::Turn { turn: &turn, kind: TurnKind::Feedback, text: "Go on.", images: &[] };
        let answer = self.protocol.encode(&say).expect("a hook takes a turn");
        serde_json::from_slice::<serde_json::Value>(&answer).expect("the answer of a hook is JSON");
        self.protocol.turn_sent(&turn);
        assert!(!self.protocol.is_idle() && !self.protocol.takes_turn(), "idle with a turn under way");
        self.open = Some(turn);
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "only some events are held to something")]
    fn tell(&mut self, line: &str) {
        let held = self.protocol.clone();
        let mut copy = held.clone();
        let (mut events, mut again) = (Vec::new(), Vec::new());
        self.protocol.line(line, &mut events);
        copy.line(line, &mut again);
        assert_eq!(events, again, "a copy understands the same");
        assert!(matches!(events.first(), Some(AgentEvent::Alive | AgentEvent::Progress)), "no sign of life");
        let mut over = false;
        for event in events {
            match event {
                AgentEvent::TurnEnded(end) => {
                    self.ended(&end.started_by);
                    over = true;
                }
                AgentEvent::TurnStarted { .. } => over = false,
                AgentEvent::StopAbandoned => assert!(!self.protocol.takes_turn(), "a stop without a hook is held"),
                AgentEvent::UserSaid { .. } => {
                    // As the core does: what the user has said gets an id.
                    self.turns += 1;
                    let turn = TurnId(format!("turn-{}", self.turns));
                    self.protocol.turn_sent(&turn);
                    self.open = Some(turn);
                    assert!(!self.protocol.is_idle(), "idle with a message of the user's");
                }
                _ => {}
            }
        }
        if over {
            assert!(self.protocol.is_idle(), "a turn ended and the agent is not idle");
        }
        // A stop about which there is nothing to decide is let go once.
        if self.protocol.poll_send().is_some() {
            assert!(!self.protocol.takes_turn(), "a stop that was let go is held");
            assert_eq!(self.protocol.poll_send(), None, "let go twice");
        }
    }

    /// A turn ends once.
    fn ended(&mut self, started_by: &StartedBy) {
        if let StartedBy::Us(turn) = started_by {
            assert_eq!(self.open.take().as_ref(), Some(turn), "the end of another turn");
        }
    }
}
