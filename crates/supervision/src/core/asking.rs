//! The questions that are open: what to do at a limit, and whether the agent may use a tool. Each is answered by the user, or
//! settled by its default when its time is over.
//!
//! Of those that wait one at a time is on the screen; an answer may name any of them. The time for which the CLI waits for an
//! answer is not its silence: the watch over it stops meanwhile (`watch`).

use super::policy::{Asked, Choice as TokenChoice, Settled};
use super::{About, Action, Answer, Approvals, Awaited, Core, Needs, Outcome, ProcId, Question, Show, Then, Tick};
use crate::agent::{AgentEvent, Ask, Role, ToolRequest};

/// What the model reads when its CLI asks whether a tool may be used, and nobody is there.
const PERMISSION_DENIED: &str = "Permission denied: this run is unattended, and nobody is there to be asked. Do not repeat \
    this call. Go on without it or in another way; if the task cannot be done without it, say which permission is missing.";
/// The same when the user was asked.
const DENIED_BY_USER: &str =
    "Permission denied by the user. Do not repeat this call. Go on without it or in another way.";
/// What the CLI reads when it asks something that ccc does not know; the subtype follows.
const NOT_ANSWERED: &str = "This run is unattended; its supervisor does not answer requests of the kind";
/// So many permissions wait for the user at once; another one is denied.
const MAX_WAITING: usize = 64;

/// The permissions that wait for the user, in the order in which they were asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Asking {
    /// Questions asked so far.
    questions: u32,
    permissions: Vec<Permission>,
}

/// A permission that waits for the user.
#[derive(Debug, Clone)]
struct Permission {
    number: u32,
    proc: ProcId,
    request_id: String,
    request: ToolRequest,
    since: Tick,
    due: Tick,
}

impl Asking {
    fn next_number(&mut self) -> u32 {
        self.questions += 1;
        self.questions
    }

    fn take(&mut self, is_meant: impl Fn(&Permission) -> bool) -> Option<Permission> {
        let at = self.permissions.iter().position(is_meant)?;
        Some(self.permissions.remove(at))
    }

    /// What this process has asked for, needs no answer any more.
    pub(super) fn forget(&mut self, proc: ProcId) {
        self.permissions.retain(|permission| permission.proc != proc);
    }

    /// Nobody is asked for a permission any more.
    pub(super) fn stop(&mut self) {
        self.permissions.clear();
    }
}

impl Core {
    /// What is done about a permission that this role asks for.
    fn approvals(&self, role: Role) -> Approvals {
        match role {
            Role::Agent => self.plan.approvals,
            // It judges, and needs no more than reading.
            Role::Critic => Approvals::Deny,
        }
    }

    /// The CLI asks something over its protocol: it would wait for ever.
    pub(super) fn question_asked(&mut self, proc: ProcId, role: Role, request_id: &str, subtype: &str, ask: &Ask) {
        let request_id = request_id.to_owned();
        match ask {
            Ask::Permission(request) => match self.approvals(role) {
                Approvals::Wait { timeout_ms } if self.asking.permissions.len() < MAX_WAITING => {
                    self.ask_for_permission(proc, request_id, request.clone(), timeout_ms);
                    return;
                }
                Approvals::Deny | Approvals::Wait { .. } => {
                    self.decide("deny the permission", "nobody is there to ask");
                    self.answer_permission(proc, role, request_id, Err(PERMISSION_DENIED));
                }
            },
            Ask::Form { from, text } => {
                self.decide("cancel the question", &format!("`{from}` asks \"{text}\", and nobody is there to answer"));
                self.show(Show::Notice {
                    text: format!("the MCP server `{from}` asked: {text} Nobody is there to answer; it was cancelled."),
                });
                self.act(Action::CancelForm { proc, request_id });
            }
            Ask::Unknown => {
                self.decide("refuse the question", &format!("ccc knows no answer to `{subtype}`"));
                let why = format!("{NOT_ANSWERED} `{subtype}`.");
                self.act(Action::Refuse { proc, request_id, why });
            }
        }
        self.question_is_answered(proc);
    }

    /// From now on the CLI's silence is its own.
    fn question_is_answered(&mut self, proc: ProcId) {
        let now = self.now();
        if let Some(process) = self.process_mut(proc) {
            process.question_answered(now);
        }
    }

    fn ask_for_permission(&mut self, proc: ProcId, request_id: String, request: ToolRequest, timeout_ms: u64) {
        let (number, since) = (self.asking.next_number(), self.now());
        let due = since.plus_ms(timeout_ms);
        self.asking.permissions.push(Permission { number, proc, request_id, request, since, due });
        self.decide("ask the user", "the agent asks for a permission");
        if self.asking.permissions.len() == 1 && self.rotation.asked().is_none() {
            self.show_permission();
        }
    }

    /// Puts the first permission that waits on the screen.
    fn show_permission(&mut self) {
        let Some(permission) = self.asking.permissions.first() else { return };
        let about = About::Permission(permission.request.clone());
        let (number, timeout_ms) = (permission.number, permission.due.ms_since(self.now()));
        self.show_question(Question { number, about, default: Answer::Deny, timeout_ms });
    }

    fn show_question(&mut self, question: Question) {
        self.phase_changes("waiting", "for your answer");
        // Listen first: what was typed before is dropped then, and an answer to a question that is on the screen must not be.
        self.act(Action::Ask(question.clone()));
        self.show(Show::Question { question, now_unix_ms: self.unix_ms() });
    }

    /// Tells the CLI, and its protocol what it has been told; a denial is handled as one that the CLI tells.
    fn answer_permission(&mut self, proc: ProcId, role: Role, request_id: String, answer: Result<(), &str>) {
        let denial = self.process_mut(proc).and_then(|it| it.tool_answered(&request_id, answer.is_ok()));
        self.act(match answer {
            Ok(()) => Action::AllowTool { proc, request_id },
            Err(denial) => Action::DenyTool { proc, request_id, denial: denial.to_owned() },
        });
        if let Some(denial) = denial {
            match role {
                Role::Agent => self.agent_event(proc, AgentEvent::Denied(denial)),
                Role::Critic => self.critic_event(proc, AgentEvent::Denied(denial)),
            }
        }
    }

    fn settle_permission(&mut self, permission: Permission, answer: Result<(), &str>) {
        let Permission { proc, request_id, .. } = permission;
        if let Some(role) = self.role(proc) {
            self.answer_permission(proc, role, request_id, answer);
            self.question_is_answered(proc);
        }
        self.permission_is_settled();
    }

    /// The next one comes on the screen, or the work goes on.
    fn permission_is_settled(&mut self) {
        if self.rotation.asked().is_some() {
            return;
        }
        if self.asking.permissions.is_empty() {
            self.phase_changes("working", "");
        } else {
            self.show_permission();
        }
    }

    /// The CLI has taken its question back: somebody else has answered it, or the turn was interrupted.
    pub(super) fn question_withdrawn(&mut self, proc: ProcId, request_id: &str) {
        let taken = self.asking.take(|asked| asked.proc == proc && asked.request_id == request_id);
        if taken.is_some() {
            self.note("withdrawn", "the agent needs no answer any more");
            self.question_is_answered(proc);
            self.permission_is_settled();
        }
    }

    /// Asks what to do at a limit; `choice` is what would be done without asking.
    pub(super) fn ask_at_limit(&mut self, choice: TokenChoice) {
        let (clock, number) = (self.clock(), self.asking.next_number());
        let asked = Asked::about(&self.tokens, choice, number, self.plan.answer_timeout_ms, clock);
        let question = asked.question().clone();
        self.rotation.ask(asked);
        self.show_question(question);
    }

    /// The user answered.
    pub(super) fn answered(&mut self, number: u32, answer: Answer) {
        let is_for_tool = matches!(answer, Answer::Allow | Answer::Deny);
        match self.asking.take(|permission| is_for_tool && permission.number == number) {
            Some(permission) if answer == Answer::Allow => {
                self.decide("allow the tool", "the user said so");
                self.settle_permission(permission, Ok(()));
            }
            Some(permission) => {
                self.decide("deny the tool", "the user said so");
                self.settle_permission(permission, Err(DENIED_BY_USER));
            }
            None => self.limit_answered(number, answer),
        }
    }

    /// The user answered at a limit, or nobody did in time.
    fn limit_answered(&mut self, number: u32, answer: Answer) {
        let asked = self.rotation.asked().filter(|asked| asked.question().number == number).cloned();
        let Some(settled) = asked.and_then(|asked| asked.settle(answer, &mut self.tokens)) else {
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
        self.show_permission();
    }

    /// Whether a question to the user is open.
    #[must_use]
    pub fn is_asking(&self) -> bool {
        self.rotation.asked().is_some() || !self.asking.permissions.is_empty()
    }

    /// The permission that is waited for, as what the run waits for.
    pub(super) fn awaited_permission(&self) -> Option<Awaited> {
        let Permission { since, due, .. } = self.asking.permissions.first()?;
        Some(Awaited { what: "your answer".to_owned(), since: *since, until: *due, then: Then::GoesOn, alive: false })
    }

    /// When an unanswered question is settled by its default.
    pub(super) fn question_deadline(&self) -> Option<Tick> {
        let permissions = self.asking.permissions.iter().map(|permission| permission.due);
        permissions.chain(self.rotation.asked().map(Asked::due)).min()
    }

    /// A question that nobody answers is settled by its default.
    pub(super) fn question_elapsed(&mut self) {
        let now = self.now();
        if let Some(asked) = self.rotation.asked().filter(|asked| now >= asked.due()) {
            let (number, default) = (asked.question().number, asked.question().default);
            self.note("unanswered", "nobody answered; the default is taken");
            self.limit_answered(number, default);
        }
        while let Some(permission) = self.asking.take(|permission| now >= permission.due) {
            self.note("unanswered", "nobody answered; the default is taken");
            self.decide("deny the permission", "nobody answered in time");
            self.settle_permission(permission, Err(PERMISSION_DENIED));
        }
    }
}
