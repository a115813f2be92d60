//! What keys do.

use super::super::clean;
use super::super::composer::Buffer;
use super::super::conversation::editing::edit;
use super::super::keys::Code::{
    Backspace, Char, Delete, Down, End, Enter, Escape, Home, Insert, Left, PageDown, PageUp, Right, Tab, Up,
};
use super::super::keys::{Press, Typed};
use super::agents::{Agent, OpenId, OpenRequest, Standing};
use super::{Dashboard, Errand, Job, Mode, Ordered, TypedFor, draft_of, help};
use crate::core::{OperatorInput, Outcome};

/// An answer counts only when its request has been visible for this long.
const SEEN_MS: u64 = 300;
/// How many characters of a name are shown in a message.
const NAME_CHARS: usize = 40;

/// How a key moves in a list.
enum Move {
    By(isize),
    First,
    Last,
}

/// How this key moves in a list, if it does.
fn moves(press: Press) -> Option<Move> {
    match (press.code, press.ctrl) {
        (Up | Char('k'), false) | (Char('p'), true) => Some(Move::By(-1)),
        (Down | Char('j'), false) | (Char('n'), true) => Some(Move::By(1)),
        (Home | Char('g'), false) => Some(Move::First),
        (End | Char('G'), false) => Some(Move::Last),
        (
            Char(_) | Enter | Tab | Backspace | Delete | Insert | Escape | Left | Right | PageUp | PageDown | Up | Down
            | Home | End,
            _,
        ) => None,
    }
}

impl Move {
    /// The place in a list of this length to which it leads from `at`.
    fn from(&self, at: usize, length: usize) -> usize {
        let last = length.saturating_sub(1);
        match self {
            Move::By(by) => at.saturating_add_signed(*by).min(last),
            Move::First => 0,
            Move::Last => last,
        }
    }
}

impl Dashboard {
    pub(super) fn typed(&mut self, at: u64, typed: Vec<Typed>) {
        for typed in typed {
            match typed {
                Typed::Press(press) => self.pressed(at, press),
                Typed::Paste { text, .. } => {
                    if let Mode::Typing { buffer, .. } | Mode::Answering { buffer, .. } = &mut self.mode {
                        buffer.paste(&text);
                    }
                }
            }
        }
    }

    fn pressed(&mut self, at: u64, press: Press) {
        if press == Press::ctrl('z') {
            self.jobs.push_back(Job::Suspend);
            return;
        }
        if press == Press::ctrl('l') {
            self.jobs.push_back(Job::Redraw);
            return;
        }
        match &self.mode {
            Mode::Agents => self.pressed_in_list(at, press),
            Mode::Inbox { .. } => self.pressed_in_inbox(at, press),
            Mode::Typing { .. } | Mode::Answering { .. } => self.pressed_in_text(at, press),
            Mode::Stopping { agent } => {
                let agent = agent.clone();
                self.mode = Mode::Agents;
                let name = self.name_of(&agent);
                if !matches!(press.text(), Some('y' | 'Y')) {
                    self.tell(at, "nothing is stopped");
                } else if self.agents.get(&agent).is_some_and(Agent::is_active) {
                    let reason = "stopped in ccc watch".to_owned();
                    let done = format!("{name} ends in good order; its session is kept");
                    self.order(at, &agent, OperatorInput::Interrupt { reason }, Ordered::of(done));
                } else {
                    // No run is there that could be told.
                    self.jobs.push_back(Job::HandOver(Errand { command: "stop", args: vec![agent], waits: true }));
                }
            }
            Mode::Help { first } => {
                let first = *first;
                match moves(press) {
                    Some(to) => self.mode = Mode::Help { first: to.from(first, help::KEYS.len()) },
                    None => self.mode = Mode::Agents,
                }
            }
        }
    }

    fn pressed_in_list(&mut self, at: u64, press: Press) {
        if let Some(to) = moves(press) {
            let count = self.agents.all().len();
            self.select_at(to.from(self.selected_at, count));
            return;
        }
        let page = self.transcript_rows().saturating_sub(1).max(1);
        match (press.code, press.ctrl) {
            (PageUp, _) => self.transcript.scroll(true, page),
            (PageDown, _) => self.transcript.scroll(false, page),
            (Char('q'), false) | (Char('c' | 'd'), true) => self.jobs.push_back(Job::Leave),
            (Char('?' | 'h'), false) => self.mode = Mode::Help { first: 0 },
            (Char('i'), false) | (Tab, _) => self.mode = self.inbox_mode(),
            (Char('s'), false) => {
                if let Some(agent) = self.running(at) {
                    self.type_for(TypedFor::Message(agent));
                }
            }
            (Char('n'), false) => self.type_for(TypedFor::Task),
            (Char('a'), false) => self.answer_oldest(at),
            (Char('p'), false) => {
                if let Some(agent) = self.running(at) {
                    let done = format!("{} pauses; c lets it continue", self.name_of(&agent));
                    self.order(at, &agent, OperatorInput::Pause, Ordered::of(done));
                }
            }
            (Char('c'), false) => {
                if let Some(agent) = self.running(at) {
                    let done = format!("{} continues", self.name_of(&agent));
                    self.order(at, &agent, OperatorInput::Continue, Ordered::of(done));
                }
            }
            (Char('x'), false) => {
                let has_not_ended =
                    self.selected().filter(|agent| agent.is_active() || agent.listed.standing.has_not_ended());
                let stops = has_not_ended.map(|agent| agent.listed.id.clone());
                if let Some(agent) = stops.or_else(|| self.running(at)) {
                    self.mode = Mode::Stopping { agent };
                }
            }
            (Enter, _) => {
                let active = self.selected().is_some_and(|agent| agent.is_active());
                self.errand("attach", !active);
            }
            (Char('d'), false) => self.errand("diff", true),
            (Char('m'), false) => self.errand("merge", true),
            (Char(_) | Backspace | Delete | Insert | Escape | Up | Down | Left | Right | Home | End, _) => {}
        }
    }

    /// The selected agent, if a ccc works on it; else says what can be done.
    fn running(&mut self, at: u64) -> Option<String> {
        let agent = self.selected()?;
        let (id, going_on) = (agent.listed.id.clone(), agent.listed.going_on.clone());
        if agent.is_active() {
            return Some(id);
        }
        let is_completed = matches!(agent.listed.standing, Standing::Ended { outcome: Some(Outcome::Completed), .. });
        let name = self.name_of(&id);
        let text = match going_on {
            _ if is_completed => format!("to give it more to do: ccc resume {name} -p \"TEXT\""),
            Some(going_on) => format!("to continue it: {going_on}"),
            None => format!("to continue it: ccc resume {name}"),
        };
        self.tell(at, format!("{name} is not running; {text}"));
        None
    }

    /// The name by which commands find the agent.
    pub(super) fn name_of(&self, id: &str) -> String {
        let name = self.agents.get(id).map(|agent| agent.listed.name.as_str()).filter(|name| !name.is_empty());
        clean::one_line(name.unwrap_or(id), NAME_CHARS)
    }

    fn errand(&mut self, command: &'static str, waits: bool) {
        if let Some(id) = self.selected.clone() {
            self.jobs.push_back(Job::HandOver(Errand { command, args: vec![id], waits }));
        }
    }

    fn type_for(&mut self, wanted: TypedFor) {
        let buffer = self.drafts.remove(&draft_of(&wanted)).unwrap_or_default();
        self.mode = Mode::Typing { wanted, buffer };
    }

    /// Answers the oldest request of the selected agent; if it has none, the oldest of all.
    fn answer_oldest(&mut self, at: u64) {
        let inbox = self.inbox();
        let of_selected = inbox.iter().find(|(agent, _)| self.is_selected(&agent.listed.id));
        let found = of_selected.or(inbox.first()).map(|(agent, open)| (agent.listed.id.clone(), (*open).clone()));
        match found {
            Some((agent, open)) => self.answer(at, agent, open, false),
            None => self.tell(at, "no agent asks anything"),
        }
    }

    fn answer(&mut self, at: u64, agent: String, open: OpenRequest, from_inbox: bool) {
        self.select(&agent);
        self.mode = Mode::Answering { agent, open: Box::new(open), buffer: Buffer::new(), from_inbox, since: at };
    }

    fn pressed_in_inbox(&mut self, at: u64, press: Press) {
        let inbox: Vec<(String, OpenRequest)> =
            self.inbox().into_iter().map(|(agent, open)| (agent.listed.id.clone(), open.clone())).collect();
        let here = self.inbox_at(inbox.iter().map(|(agent, open)| (agent.as_str(), open.id)));
        if let Some(to) = moves(press) {
            let there = inbox.get(to.from(here, inbox.len())).map(|(agent, open)| (agent.clone(), open.id));
            self.mode = Mode::Inbox { selected: there };
            return;
        }
        match (press.code, press.ctrl) {
            (Enter, _) | (Char('a'), false) => match inbox.into_iter().nth(here) {
                Some((agent, open)) => self.answer(at, agent, open, true),
                None => self.tell(at, "no agent asks anything"),
            },
            (Char('?' | 'h'), false) => self.mode = Mode::Help { first: 0 },
            (Char('c' | 'd'), true) => self.jobs.push_back(Job::Leave),
            (Escape | Tab, _) | (Char('i' | 'q'), false) => self.mode = Mode::Agents,
            (Char(_) | Backspace | Delete | Insert | Up | Down | Left | Right | Home | End | PageUp | PageDown, _) => {}
        }
    }

    /// The inbox with its oldest question selected. It stays selected when an older one is learnt of.
    pub(super) fn inbox_mode(&self) -> Mode {
        Mode::Inbox { selected: self.inbox().first().map(|(agent, open)| (agent.listed.id.clone(), open.id)) }
    }

    /// The place of the selected question among these.
    pub(super) fn inbox_at<'a>(&self, mut inbox: impl Iterator<Item = (&'a str, OpenId)>) -> usize {
        let Mode::Inbox { selected: Some((agent, open)) } = &self.mode else { return 0 };
        inbox.position(|(id, known)| id == agent && known == *open).unwrap_or(0)
    }

    fn pressed_in_text(&mut self, at: u64, press: Press) {
        let sends = press.code == Enter && !press.alt && !press.shift && !press.ctrl;
        let leaves = press.code == Escape;
        let (Mode::Typing { buffer, .. } | Mode::Answering { buffer, .. }) = &mut self.mode else { return };
        if press == Press::ctrl('c') {
            if !buffer.is_empty() {
                buffer.take();
                return;
            }
        } else if !sends && !leaves {
            edit(buffer, press);
            return;
        }
        if sends && buffer.text().trim().is_empty() {
            return;
        }
        if sends && matches!(self.mode, Mode::Answering { since, .. } if at < since + SEEN_MS) {
            return;
        }
        match std::mem::replace(&mut self.mode, Mode::Agents) {
            Mode::Typing { wanted, mut buffer } if sends => {
                let text = buffer.content();
                buffer.take();
                self.send(at, wanted, text);
            }
            Mode::Answering { agent, open, buffer, from_inbox, .. } if sends => {
                self.send_answer(at, agent, &open, buffer.content(), from_inbox);
            }
            Mode::Typing { wanted, buffer } if !buffer.is_empty() => {
                self.drafts.insert(draft_of(&wanted), buffer);
            }
            Mode::Answering { from_inbox: true, agent, open, .. } => {
                self.mode = Mode::Inbox { selected: Some((agent, open.id)) };
            }
            Mode::Typing { .. }
            | Mode::Answering { .. }
            | Mode::Agents
            | Mode::Inbox { .. }
            | Mode::Stopping { .. }
            | Mode::Help { .. } => {}
        }
    }

    fn send(&mut self, at: u64, wanted: TypedFor, text: String) {
        match &wanted {
            TypedFor::Task => {
                self.jobs.push_back(Job::HandOver(Errand { command: "new", args: vec![text], waits: true }));
            }
            TypedFor::Message(agent) => {
                let agent = agent.clone();
                let done = format!("sent to {}", self.name_of(&agent));
                let key = Some(format!("{}-{}", self.seed, self.numbers + 1));
                let input = OperatorInput::Say { key, text: text.clone(), images: Vec::new() };
                self.order(at, &agent, input, Ordered { text: Some((wanted, text)), ..Ordered::of(done) });
            }
        }
    }

    fn send_answer(&mut self, at: u64, agent: String, open: &OpenRequest, text: String, from_inbox: bool) {
        let done = format!("request {} of {} is answered", open.number(), self.name_of(&agent));
        let answers = (agent.clone(), open.id);
        if let Some(number) = self.number(at, Ordered { answers: Some(answers.clone()), ..Ordered::of(done) }) {
            self.answered.push(answers);
            self.jobs.push_back(Job::Answer { number, agent, show: Box::new(open.show.clone()), text });
        }
        if from_inbox && !self.inbox().is_empty() {
            self.mode = self.inbox_mode();
        }
    }
}

impl Ordered {
    fn of(done: String) -> Ordered {
        Ordered { done, text: None, answers: None }
    }
}
