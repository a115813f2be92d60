//! The open questions: what to do at a limit, and what the agent asks the user (a permission, questions, a plan, a form).
//!
//! A request of the agent gets a number and stays open until it is settled: by the user, by the rule for unattended runs, by
//! the agent's CLI, which withdraws it, or by the end of the process. It is settled once; later answers are refused. While a
//! client is attached, there is no timeout. While the CLI waits for an answer, the watch for silence (`watch`) is suspended.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value};

use super::machine::Stage;
use super::policy::{Asked as AskedAtLimit, Choice as TokenChoice, Settled};
use super::resting::AWAY_MS;
use super::{
    About, Action, AfterWait, Answer, Approvals, Awaited, Core, Needs, Outcome, ProcId, Question, Refused, Ruling,
    SettledHow, Show, Taken, Tick, Unattended,
};
use crate::agent::{AgentEvent, Ask, Asked, AskedKind, Role, ToolRequest};
use crate::words::AskId;

/// Sent to the model when its CLI asks for a permission and no client is attached.
const PERMISSION_DENIED: &str = "Permission denied: this run is unattended, and nobody is there to be asked. Do not repeat \
    this call. Go on without it or in another way; if the task cannot be done without it, say which permission is missing.";
/// The same for questions.
const NOBODY_ANSWERS: &str = "Nobody is there to answer. Decide by yourself, and say what you assumed.";
/// The same for the approval of a plan.
const NOBODY_APPROVES: &str = "Nobody is there to approve it. Go on with the work.";
/// The same three when the user was asked.
const DENIED_BY_USER: &str =
    "Permission denied by the user. Do not repeat this call. Go on without it or in another way.";
const NOT_ANSWERED_BY_USER: &str =
    "The user does not answer these questions. Decide by yourself, and say what you assumed.";
const PLAN_NOT_APPROVED: &str = "The user does not approve this plan. Stay in plan mode and ask what is to be changed.";
/// Sent when too many requests are open.
const TOO_MANY: &str = "Denied: too many requests are open already. Wait for their answers.";
/// Sent to the CLI for a request of an unknown kind; the subtype follows.
const NOT_ANSWERED: &str = "This run is unattended; its supervisor does not answer requests of the kind";
/// The most requests that may be open at once; more are denied.
const MAX_OPEN: usize = 64;
/// The most keys of rulings that are kept; beyond that the oldest is dropped.
const MAX_KEYS: usize = 256;
/// The start of a redaction mark. Text with a mark is never sent back, because it is not what the agent asked for.
const REDACTED: &str = "[redacted:";

/// The open requests in order of arrival, and whether a client is attached.
#[derive(Debug, Clone, Default)]
pub(super) struct Asking {
    /// The number of questions so far.
    questions: u32,
    open: Vec<Open>,
    /// Keys of rulings, the oldest first.
    keys: VecDeque<String>,
    /// The number of attached clients.
    attended: u32,
    /// A client has been attached since the run was started or resumed.
    was_attended: bool,
    /// When the last client detached.
    alone_since: Tick,
}

/// An open request of the agent.
#[derive(Debug, Clone)]
struct Open {
    asked: Asked,
    proc: ProcId,
    request_id: String,
    since: Tick,
    /// When it is denied, if no client is attached.
    deny_at: Option<Tick>,
}

/// The answer to the CLI.
enum ReplyToCli {
    Allowed { input: Option<String>, updates: Vec<String> },
    Filled(String),
    Cancelled,
    Denied(String),
}

impl Asking {
    fn next_number(&mut self) -> u32 {
        self.questions += 1;
        self.questions
    }

    fn take(&mut self, is_meant: impl Fn(&Open) -> bool) -> Option<Open> {
        let at = self.open.iter().position(is_meant)?;
        Some(self.open.remove(at))
    }

    /// Closes all requests.
    pub(super) fn stop(&mut self) {
        self.open.clear();
    }

    /// The run is started or resumed: no client is attached yet.
    fn begin(&mut self, now: Tick) {
        (self.attended, self.was_attended, self.alone_since) = (0, false, now);
    }

    fn is_plan_open(&self) -> bool {
        self.open.iter().any(|open| open.asked.kind == AskedKind::Plan)
    }
}

/// Who denies a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DeniedBy {
    User,
    /// The rule for requests that nobody answers, or ccc itself.
    Rule,
}

impl Core {
    /// The open requests of the agent, in order of arrival.
    pub fn asks(&self) -> impl Iterator<Item = Asked> {
        let now = self.now();
        self.asking.open.iter().map(move |open| {
            let deny_in_ms = open.deny_at.map(|at| at.ms_since(now));
            Asked { deny_in_ms, ..open.asked.clone() }
        })
    }

    /// Whether a client is attached that could answer.
    pub(super) fn is_attended(&self) -> bool {
        self.asking.attended > 0
    }

    /// Whether a client has been attached since the run was started or resumed.
    pub(super) fn was_attended(&self) -> bool {
        self.asking.was_attended
    }

    /// Since when no client is attached; `None` while one is.
    pub(super) fn alone_since(&self) -> Option<Tick> {
        (!self.is_attended()).then_some(self.asking.alone_since)
    }

    /// The number of attached clients has changed.
    pub(super) fn attended(&mut self, clients: u32, why: &str) {
        // No action may follow `Finish`.
        if self.is_finished() {
            return;
        }
        let before = std::mem::replace(&mut self.asking.attended, clients);
        if before == clients {
            return;
        }
        self.note("attended", &format!("by {clients}{}{why}", if why.is_empty() { "" } else { ": " }));
        self.show(Show::Attended { clients });
        if clients == 0 {
            self.asking.alone_since = self.now();
        }
        self.asking.was_attended = true;
        self.unattended_changed();
    }

    /// Recomputes the deadlines of open requests, when a client attaches or the last one detaches, or the rule for unattended
    /// runs changes. The grace time lets a client come back.
    pub(super) fn unattended_changed(&mut self) {
        let Approvals::Ask { unattended } = self.plan.approvals else { return };
        let deny_at = self.alone_since().map(|since| match unattended {
            Unattended::Deny => since.plus_ms(AWAY_MS),
            Unattended::Wait { timeout_ms } => since.plus_ms(timeout_ms.max(AWAY_MS)),
        });
        for open in &mut self.asking.open {
            open.deny_at = deny_at;
        }
    }

    /// Whether the agent may stay in plan mode: a user can approve its plan.
    pub(super) fn may_plan(&self) -> bool {
        let asks = matches!(self.plan.approvals, Approvals::Ask { .. });
        asks && (self.is_attended() || self.plan.conversation || self.asking.is_plan_open())
    }

    /// How requests of this role are handled.
    fn approvals(&self, role: Role) -> Approvals {
        match role {
            Role::Agent => self.plan.approvals,
            // The critic judges and needs only to read.
            Role::Critic => Approvals::Off,
        }
    }

    /// The CLI asks something over its protocol. Every request gets an answer, because the CLI would wait forever.
    pub(super) fn question_asked(&mut self, proc: ProcId, role: Role, request_id: &str, subtype: &str, ask: &Ask) {
        let request_id = request_id.to_owned();
        match ask {
            Ask::ForUser(asked) => {
                let deny_at = match self.approvals(role) {
                    Approvals::Off => Some(self.now()),
                    Approvals::Ask { .. } if self.is_attended() => None,
                    // A client that has just detached may come back.
                    Approvals::Ask { unattended: Unattended::Deny } if self.was_attended() => {
                        Some(self.asking.alone_since.plus_ms(AWAY_MS))
                    }
                    Approvals::Ask { unattended: Unattended::Deny } => Some(self.now()),
                    Approvals::Ask { unattended: Unattended::Wait { timeout_ms } } => {
                        Some(self.now().plus_ms(timeout_ms))
                    }
                };
                let is_full = self.asking.open.len() >= MAX_OPEN;
                if !is_full && deny_at.is_none_or(|at| at > self.now()) {
                    self.ask_user(proc, request_id, (**asked).clone(), deny_at);
                    return;
                }
                self.deny_unasked(proc, role, request_id, asked, is_full);
            }
            Ask::Unknown => {
                self.decide("refuse the question", &format!("ccc knows no answer to `{subtype}`"));
                let why = format!("{NOT_ANSWERED} `{subtype}`.");
                self.act(Action::Refuse { proc, request_id, why });
            }
        }
        self.question_is_answered(proc);
    }

    /// Resumes the watch for silence: the CLI no longer waits for an answer.
    fn question_is_answered(&mut self, proc: ProcId) {
        let now = self.now();
        if let Some(process) = self.process_mut(proc) {
            process.question_answered(now);
        }
    }

    fn ask_user(&mut self, proc: ProcId, request_id: String, asked: Asked, deny_at: Option<Tick>) {
        let (id, since) = (AskId(self.asking.next_number()), self.now());
        let deny_in_ms = deny_at.map(|at| at.ms_since(since));
        let asked = Asked { id, deny_in_ms, ..asked };
        let what = match asked.kind {
            AskedKind::Permission => "the agent asks for a permission",
            AskedKind::Choices => "the agent has questions",
            AskedKind::Plan => "the agent asks for the approval of its plan",
            AskedKind::Form => "an MCP server asks for something to be filled in",
        };
        self.decide("ask the user", what);
        let is_first = self.asking.open.is_empty() && self.rotation.asked().is_none();
        if is_first {
            self.phase_changes("asking", what);
        }
        self.show(Show::Asked { ask: Box::new(asked.clone()) });
        self.asking.open.push(Open { asked, proc, request_id, since, deny_at });
        if is_first {
            self.ask_at_terminal();
        }
    }

    /// Asks at the terminal if the run is interactive: the first request, if it is a permission with a deadline.
    fn ask_at_terminal(&mut self) {
        let Some(open) = self.asking.open.first().filter(|open| self.plan.interactive && open.is_permission()) else {
            return;
        };
        let Some(deny_at) = open.deny_at else { return };
        let Asked { id, tool, target, input, .. } = &open.asked;
        let request = ToolRequest { tool: tool.clone(), target: target.clone(), input: input.clone() };
        let (number, timeout_ms) = (id.0, deny_at.ms_since(self.now()));
        self.show_question(Question { number, about: About::Permission(request), default: Answer::Deny, timeout_ms });
    }

    fn show_question(&mut self, question: Question) {
        self.phase_changes("waiting", "for your answer");
        // Start reading first: that discards earlier input, which must not happen while the question is on the screen.
        self.act(Action::Ask(question.clone()));
        self.show(Show::Question { question, now_unix_ms: self.unix_ms() });
    }

    /// Answers a request without asking the user.
    fn deny_unasked(&mut self, proc: ProcId, role: Role, request_id: String, asked: &Asked, is_full: bool) {
        let asks = self.approvals(role) != Approvals::Off;
        if is_full && asks {
            self.decide("deny the request", "too many are open already");
            let told = match asked.kind {
                AskedKind::Form => ReplyToCli::Cancelled,
                AskedKind::Permission | AskedKind::Choices | AskedKind::Plan => ReplyToCli::Denied(TOO_MANY.to_owned()),
            };
            self.tell_cli(proc, role, request_id, asked.kind, told, DeniedBy::Rule);
            return;
        }
        let told = match asked.kind {
            AskedKind::Form => {
                let Asked { tool: from, said, .. } = asked;
                self.decide("cancel the question", &format!("`{from}` asks \"{said}\", and nobody is there to answer"));
                self.show(Show::Notice {
                    text: format!("the MCP server `{from}` asked: {said} Nobody is there to answer; it was cancelled."),
                });
                ReplyToCli::Cancelled
            }
            AskedKind::Choices if asks => {
                self.decide("leave the questions unanswered", "nobody is there to ask");
                ReplyToCli::Denied(NOBODY_ANSWERS.to_owned())
            }
            AskedKind::Plan if asks => {
                self.decide("let the agent go on without approval of its plan", "nobody is there to ask");
                ReplyToCli::Denied(NOBODY_APPROVES.to_owned())
            }
            AskedKind::Permission | AskedKind::Choices | AskedKind::Plan => {
                self.decide("deny the permission", "nobody is there to ask");
                ReplyToCli::Denied(PERMISSION_DENIED.to_owned())
            }
        };
        self.tell_cli(proc, role, request_id, asked.kind, told, DeniedBy::Rule);
        if asked.kind == AskedKind::Plan && asks {
            self.leave_plan_mode(proc);
        }
    }

    /// Answers the CLI and updates the protocol's state. A permission that ccc denies is handled like one that the CLI denies;
    /// a denial of any other request does not count as a missing permission, and neither does the user's own: nothing is to be
    /// allowed, but the critic must know of it.
    fn tell_cli(
        &mut self,
        proc: ProcId,
        role: Role,
        request_id: String,
        kind: AskedKind,
        told: ReplyToCli,
        by: DeniedBy,
    ) {
        let is_allowed = !matches!(told, ReplyToCli::Denied(_));
        let denial = self.process_mut(proc).and_then(|it| it.tool_answered(&request_id, is_allowed));
        let is_permission = kind == AskedKind::Permission || self.approvals(role) == Approvals::Off;
        self.act(match told {
            ReplyToCli::Allowed { input, updates } => Action::AllowTool { proc, request_id, input, updates },
            ReplyToCli::Filled(content) => Action::FillForm { proc, request_id, content },
            ReplyToCli::Cancelled => Action::CancelForm { proc, request_id },
            ReplyToCli::Denied(denial) => Action::DenyTool { proc, request_id, denial },
        });
        if let Some(denial) = denial.filter(|_| is_permission) {
            match role {
                Role::Agent if by == DeniedBy::User => {
                    self.common_event(proc, role, &AgentEvent::Denied(denial.clone()));
                    self.tally.denied_by_user(denial);
                }
                Role::Agent => self.agent_event(proc, AgentEvent::Denied(denial)),
                Role::Critic => self.critic_event(proc, AgentEvent::Denied(denial)),
            }
        }
    }

    /// Settles a request: answers the CLI and shows it to the user.
    fn settle_request(&mut self, open: Open, told: ReplyToCli, how: SettledHow) {
        let Open { asked, proc, request_id, .. } = open;
        let words = match (&told, how) {
            (ReplyToCli::Denied(words), SettledHow::Denied) => words.clone(),
            _ => String::new(),
        };
        if let Some(role) = self.role(proc) {
            let by = if how == SettledHow::Denied { DeniedBy::User } else { DeniedBy::Rule };
            self.tell_cli(proc, role, request_id, asked.kind, told, by);
            self.question_is_answered(proc);
        }
        if asked.kind == AskedKind::Plan && how == SettledHow::Policy {
            self.leave_plan_mode(proc);
        }
        self.show(Show::Settled { ask: asked.id, how, words });
        self.request_is_settled();
    }

    /// Shows the next request at the terminal, or returns to the working phase.
    fn request_is_settled(&mut self) {
        if self.rotation.asked().is_some() || !matches!(self.stage(), Stage::Working) {
            return;
        }
        if self.asking.open.is_empty() {
            self.phase_changes("working", "");
        } else {
            self.ask_at_terminal();
        }
    }

    /// The user decides about a request.
    pub(super) fn ruled(&mut self, ask: AskId, key: Option<String>, ruling: Ruling) -> Taken {
        if key.as_ref().is_some_and(|key| self.asking.keys.contains(key)) {
            return Taken::Already;
        }
        let Some(open) = self.asking.open.iter().find(|open| open.asked.id == ask) else {
            return Taken::Refused(Refused::NotOpen);
        };
        let (told, how) = match self.ruling_of(&open.asked, ruling) {
            Ok(told) => told,
            Err(why) => return Taken::Refused(Refused::BadAnswer(why.to_owned())),
        };
        if let Some(key) = key {
            if self.asking.keys.len() >= MAX_KEYS {
                self.asking.keys.pop_front();
            }
            self.asking.keys.push_back(key);
        }
        let what = match how {
            SettledHow::Denied if open.is_permission() => "deny the tool",
            SettledHow::Denied => "say no",
            SettledHow::Answered => "give the user's answer",
            SettledHow::Allowed
            | SettledHow::AllowedForSession
            | SettledHow::Withdrawn
            | SettledHow::Gone
            | SettledHow::Policy
                if !open.is_permission() =>
            {
                "say yes"
            }
            SettledHow::AllowedForSession => "allow the tool for this session",
            SettledHow::Allowed | SettledHow::Withdrawn | SettledHow::Gone | SettledHow::Policy => "allow the tool",
        };
        self.decide(what, "the user said so");
        if let Some(open) = self.asking.take(|open| open.asked.id == ask) {
            self.settle_request(open, told, how);
        }
        Taken::Done
    }

    /// The answer to the CLI for a ruling, or why the ruling does not fit the request.
    fn ruling_of(&self, asked: &Asked, ruling: Ruling) -> Result<(ReplyToCli, SettledHow), &'static str> {
        let kind = asked.kind;
        match (kind, ruling) {
            (AskedKind::Permission | AskedKind::Plan, Ruling::Allow { for_session, input }) => {
                if for_session && asked.updates.is_empty() {
                    return Err("this request offers nothing that could be allowed for the session");
                }
                if input.as_deref().is_some_and(|input| !is_object(input)) {
                    return Err("the input is no JSON object");
                }
                let updates = if for_session { asked.updates.clone() } else { Vec::new() };
                let how = if for_session { SettledHow::AllowedForSession } else { SettledHow::Allowed };
                Ok((ReplyToCli::Allowed { input, updates }, how))
            }
            (AskedKind::Choices, Ruling::Answers { answers, notes }) => {
                Ok((self.answered_told(asked, &answers, &notes), SettledHow::Answered))
            }
            (AskedKind::Form, Ruling::Fill { content }) if is_object(&content) => {
                Ok((ReplyToCli::Filled(content), SettledHow::Answered))
            }
            (AskedKind::Form, Ruling::Fill { .. }) => Err("what is filled in is no JSON object"),
            (AskedKind::Form, Ruling::Deny { .. }) => Ok((ReplyToCli::Cancelled, SettledHow::Denied)),
            (_, Ruling::Deny { reason }) => {
                let words = match (kind, reason.trim()) {
                    (AskedKind::Choices, "") => NOT_ANSWERED_BY_USER.to_owned(),
                    (AskedKind::Plan, "") => PLAN_NOT_APPROVED.to_owned(),
                    (_, "") => DENIED_BY_USER.to_owned(),
                    (AskedKind::Permission, reason) => format!("The user did not allow this, and says: {reason}"),
                    (_, reason) => reason.to_owned(),
                };
                Ok((ReplyToCli::Denied(words), SettledHow::Denied))
            }
            (AskedKind::Choices, Ruling::Allow { .. } | Ruling::Fill { .. }) => {
                Err("these are questions: they are answered or denied")
            }
            (AskedKind::Form, Ruling::Allow { .. } | Ruling::Answers { .. }) => {
                Err("this is a form: it is filled in or denied")
            }
            (AskedKind::Permission | AskedKind::Plan, Ruling::Answers { .. } | Ruling::Fill { .. }) => {
                Err("this request is allowed or denied")
            }
        }
    }

    /// The answers in the CLI's format. If the input cannot be sent back unchanged, because it was cut or redacted, the answers
    /// go to the model as the text of a denial.
    fn answered_told(
        &self,
        asked: &Asked,
        answers: &BTreeMap<String, String>,
        notes: &BTreeMap<String, String>,
    ) -> ReplyToCli {
        let is_whole = !asked.input_is_cut && !asked.input.contains(REDACTED);
        let input = is_whole.then(|| self.plan.agent.answered_input(asked, answers, notes)).flatten();
        match input {
            Some(input) => ReplyToCli::Allowed { input: Some(input), updates: Vec::new() },
            None => {
                let said: Vec<String> = answers
                    .iter()
                    .map(|(question, answer)| match notes.get(question) {
                        Some(note) => format!("\"{question}\"=\"{answer}\" notes: {note}"),
                        None => format!("\"{question}\"=\"{answer}\""),
                    })
                    .collect();
                ReplyToCli::Denied(format!("The user answered: {}", said.join(", ")))
            }
        }
    }

    /// The CLI has withdrawn its request: it was answered elsewhere, or the turn was interrupted.
    pub(super) fn question_withdrawn(&mut self, proc: ProcId, request_id: &str) {
        if let Some(open) = self.asking.take(|open| open.proc == proc && open.request_id == request_id) {
            self.note("withdrawn", "the agent needs no answer any more");
            self.question_is_answered(proc);
            self.show(Show::Settled { ask: open.asked.id, how: SettledHow::Withdrawn, words: String::new() });
            self.request_is_settled();
        }
    }

    /// The run is started or resumed: earlier requests ended with their processes, and no client is attached yet.
    pub(super) fn asks_begin(&mut self) {
        while let Some(open) = self.asking.take(|_| true) {
            self.show(Show::Settled { ask: open.asked.id, how: SettledHow::Gone, words: String::new() });
        }
        let now = self.now();
        self.asking.begin(now);
    }

    /// Closes the requests of this process without an answer.
    pub(super) fn asks_are_over(&mut self, proc: ProcId, how: SettledHow) {
        while let Some(open) = self.asking.take(|open| open.proc == proc) {
            self.show(Show::Settled { ask: open.asked.id, how, words: String::new() });
        }
    }

    /// Asks what to do at a limit; `choice` is the default.
    pub(super) fn ask_at_limit(&mut self, choice: TokenChoice) {
        let (clock, number) = (self.clock(), self.asking.next_number());
        let asked = AskedAtLimit::about(&self.tokens, choice, number, self.plan.answer_timeout_ms, clock);
        let question = asked.question().clone();
        self.rotation.ask(asked);
        self.show_question(question);
    }

    /// The user answered at the terminal.
    pub(super) fn answered(&mut self, number: u32, answer: Answer) {
        let ruling = match answer {
            Answer::Allow => Ruling::Allow { for_session: false, input: None },
            Answer::Deny => Ruling::Deny { reason: String::new() },
            Answer::Rotate | Answer::Wait | Answer::Exit | Answer::KeepGoing => {
                self.limit_answered(number, answer);
                return;
            }
        };
        self.taken = self.ruled(AskId(number), None, ruling);
        if self.taken != Taken::Done {
            self.ignored("an answer to a question that is not open");
        }
    }

    /// The user answered the question at a limit, or the timeout chose the default.
    fn limit_answered(&mut self, number: u32, answer: Answer) {
        let asked = self.rotation.asked().filter(|asked| asked.question().number == number).cloned();
        let Some(settled) = asked.and_then(|asked| asked.settle(answer, &mut self.tokens)) else {
            self.taken = Taken::Refused(Refused::NotOpen);
            self.ignored("an answer to a question that is not open");
            return;
        };
        match settled {
            Settled::Exit { until_unix_ms } => {
                self.rotation.stop_choosing();
                let reason = "a limit was reached and the user chose to end here";
                match until_unix_ms {
                    Some(at_unix_ms) => {
                        let needs = Needs::Reset { at_unix_ms, announced: true, now_unix_ms: self.unix_ms() };
                        self.close_needing(Outcome::Limits, reason, needs);
                    }
                    None => self.close(Outcome::Limits, reason),
                }
            }
            Settled::KeepGoing => {
                self.decide("go on with the same token", "the user said so");
                self.chosen(TokenChoice::Stay);
            }
            Settled::Choose(choice) => self.chosen(choice),
        }
        self.ask_at_terminal();
    }

    /// Whether a question to the user is open.
    #[must_use]
    pub fn is_asking(&self) -> bool {
        self.rotation.asked().is_some() || !self.asking.open.is_empty()
    }

    /// Whether the open question is the agent's.
    pub(super) fn agent_is_asking(&self) -> bool {
        self.rotation.asked().is_none() && !self.asking.open.is_empty()
    }

    /// The first open request, as what the run waits for; `None` if it has no deadline.
    pub(super) fn awaited_answer(&self) -> Option<Awaited> {
        let open = self.asking.open.first()?;
        let (since, until) = (open.since, open.deny_at?);
        Some(Awaited { what: "your answer".to_owned(), since, until, then: AfterWait::GoesOn, alive: false })
    }

    /// The earliest timeout of an open question.
    pub(super) fn question_deadline(&self) -> Option<Tick> {
        let requests = self.asking.open.iter().filter_map(|open| open.deny_at);
        requests.chain(self.rotation.asked().map(AskedAtLimit::due)).min()
    }

    /// Settles the questions whose timeout has passed by their defaults.
    pub(super) fn question_elapsed(&mut self) {
        let now = self.now();
        if let Some(asked) = self.rotation.asked().filter(|asked| now >= asked.due()) {
            let (number, default) = (asked.question().number, asked.question().default);
            self.note("unanswered", "nobody answered; the default is taken");
            self.limit_answered(number, default);
        }
        while let Some(open) = self.asking.take(|open| open.deny_at.is_some_and(|at| now >= at)) {
            self.note("unanswered", "nobody answered; the default is taken");
            self.decide("deny the permission", "nobody answered in time");
            let told = match open.asked.kind {
                AskedKind::Permission => ReplyToCli::Denied(PERMISSION_DENIED.to_owned()),
                AskedKind::Choices => ReplyToCli::Denied(NOBODY_ANSWERS.to_owned()),
                AskedKind::Plan => ReplyToCli::Denied(NOBODY_APPROVES.to_owned()),
                AskedKind::Form => ReplyToCli::Cancelled,
            };
            self.settle_request(open, told, SettledHow::Policy);
        }
    }
}

impl Open {
    fn is_permission(&self) -> bool {
        self.asked.kind == AskedKind::Permission
    }
}

fn is_object(json: &str) -> bool {
    serde_json::from_str::<Map<String, Value>>(json).is_ok()
}
