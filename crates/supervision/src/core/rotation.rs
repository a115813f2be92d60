//! Which token the run uses next: what a limit, a refusal or a nearly used window leads to (design §7).
//!
//! The core chooses the token. A process with another one gets the chosen token before its next request ([`super::exchange`]),
//! so agent and critic follow one rule and no turn is lost. With `--interactive` the user is asked first
//! ([`super::asking`]).
//!
//! Before each choice the core asks what all ccc processes of the user know
//! ([`Action::ReportToken`], [`Action::ReadTokens`], answered by [`Input::Tokens`](super::Input::Tokens)).

use super::machine::Stage;
use super::policy::{Asked, Choice, SET_ASIDE_MS, reset_jitter_ms};
use super::process::Process;
use super::{Action, Core, Outcome, ProcId, Show, Tick, TokenFact, TokenId, TokenKind, TokenReport, WindowFact};
use crate::agent::{FailureCause, LimitReport, Role};

/// So many rejections in a row, each after the CLI's own back-off, are no momentary crowd: the token counts as spent.
/// Reached after about 3.5 s (facts §8, retry schedule).
const PERSISTENT_THROTTLES: u32 = 3;
/// How long an account without credit is left alone while there are others.
const NO_CREDIT_MS: u64 = 3_600_000;
/// So many refusals of a key that has never worked are enough.
const NEVER_WORKED_REFUSALS: u32 = 2;
/// What is being settled about tokens.
#[derive(Debug, Clone, Default)]
pub(super) struct Rotation {
    /// A choice that waits for what the world knows, or for the user.
    choosing: Option<Choosing>,
    /// Asked at this stop already.
    looked_at_stop: bool,
    requests: u32,
}

#[derive(Debug, Clone)]
struct Choosing {
    occasion: Occasion,
    why: String,
    /// The request whose answer it waits for.
    request: u32,
    asked: Option<Asked>,
}

/// When it is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occasion {
    /// Between two requests.
    Idle,
    /// While this process is at work with a token that will not do.
    AtWork(ProcId),
}

impl Rotation {
    /// Nothing is chosen any more, and the next stop is another one.
    fn begin(&mut self) {
        (self.choosing, self.looked_at_stop) = (None, false);
    }

    fn next_request(&mut self) -> u32 {
        self.requests += 1;
        self.requests
    }

    /// The choice waits for the user.
    pub(super) fn ask(&mut self, asked: Asked) {
        if let Some(choosing) = &mut self.choosing {
            choosing.asked = Some(asked);
        }
    }

    pub(super) fn asked(&self) -> Option<&Asked> {
        self.choosing.as_ref()?.asked.as_ref()
    }

    /// Nothing is chosen any more.
    pub(super) fn stop_choosing(&mut self) {
        self.choosing = None;
    }
}

impl Core {
    /// The handle of the token in use, once there is one.
    #[must_use]
    pub fn token(&self) -> Option<&TokenId> {
        self.tokens.current()
    }

    /// A life of the run begins with these.
    pub(super) fn tokens_at_beginning(&mut self, known: Vec<TokenFact>) {
        let clock = self.clock();
        self.rotation.begin();
        self.tokens.begin(known, clock);
    }

    /// What is known by now. It may be the answer that a choice waits for.
    pub(super) fn tokens_known(&mut self, request: Option<u32>, known: Vec<TokenFact>) {
        let clock = self.clock();
        self.tokens.know(known, clock);
        match &self.rotation.choosing {
            Some(choosing) if choosing.asked.is_none() && request == Some(choosing.request) => self.choose_token(),
            Some(_) => {}
            None => self.reconsider(),
        }
    }

    /// News that nobody asked for: a probe's answer.
    fn reconsider(&mut self) {
        let Some(current) = self.tokens.current_fact() else { return };
        let usable = self.tokens.is_usable(current, self.clock());
        match self.stage() {
            // The wait was for a passing failure; it turns out that the token is spent.
            Stage::Waiting(pause) if !usable && !pause.is_for_limit() => {
                let pause = *pause;
                self.end_wait(&pause);
                self.enter(Stage::Working);
                self.choose_at(Occasion::Idle, "the provider says that the token is spent");
            }
            Stage::Working | Stage::Reviewing(_) if !usable => {
                let throttled = self.processes.iter().find(|process| process.is_throttled() && !process.is_ending());
                if let Some(proc) = throttled.map(|process| process.id) {
                    self.choose_at(Occasion::AtWork(proc), "the provider says that the token is spent");
                }
            }
            Stage::Working
            | Stage::Reviewing(_)
            | Stage::Waiting(_)
            | Stage::NotBegun
            | Stage::Checking(_)
            | Stage::Closing { .. }
            | Stage::Finished => {}
        }
    }

    /// True while the token is not chosen: agent and critic get no request until then.
    pub(super) fn is_choosing(&self) -> bool {
        self.rotation.choosing.is_some()
    }

    /// When an unanswered question is settled by its default, or an exchange is given up.
    pub(super) fn token_deadline(&self) -> Option<Tick> {
        self.question_deadline().into_iter().chain(self.exchange_deadline()).min()
    }

    pub(super) fn tokens_elapsed(&mut self) {
        self.question_elapsed();
        self.exchanges_elapsed();
    }

    /// Whether a process may be started: there is a token that may be used, or none is known at all and the CLI finds one
    /// by itself. Otherwise a wait, or the end, has begun.
    pub(super) fn token_for_start(&mut self) -> bool {
        if self.may_use_token() {
            return true;
        }
        let why = if self.tokens.current().is_some() { "the token may not be used" } else { "a run begins" };
        match self.tokens.choose(self.plan.rotate_at, self.clock()) {
            Choice::Stay => true,
            Choice::Take(id) => {
                self.take_token(id, why);
                true
            }
            Choice::Spent { .. } | Choice::Nothing => {
                self.choose_at(Occasion::Idle, "no token may be used now");
                false
            }
        }
    }

    /// Whether the token in use may be used now, or the user has said to use it all the same.
    pub(super) fn may_use_token(&self) -> bool {
        self.tokens.is_empty() || self.tokens.may_use_current(self.clock())
    }

    /// At a stop: asks whether another token is better. True when the answer has to be waited for.
    pub(super) fn look_for_better_token(&mut self) -> bool {
        let crowded = self.tokens.is_crowded(self.plan.rotate_at, self.clock());
        if !crowded || self.tokens.is_kept() || self.tokens.all().len() < 2 || self.rotation.looked_at_stop {
            return false;
        }
        let why = format!("{} is near its limit", self.tokens.label(self.tokens.current()));
        self.rotation.looked_at_stop = true;
        self.choose_after_reading(Occasion::Idle, why);
        true
    }

    /// After a wait for a reset: asks what is known by now. True when the answer has to be waited for.
    pub(super) fn look_after_wait(&mut self) -> bool {
        if self.tokens.is_empty() {
            return false;
        }
        let why = "the wait is over".to_owned();
        self.choose_after_reading(Occasion::Idle, why);
        true
    }

    /// A turn is asked: the next stop is another one.
    pub(super) fn turn_is_asked(&mut self) {
        self.rotation.looked_at_stop = false;
    }

    /// A turn of this process was answered with its token.
    pub(super) fn token_works(&mut self, proc: ProcId) {
        self.exchange_bears_out(proc);
        self.own_turns.turn_answered();
        let Some(process) = self.process_mut(proc) else { return };
        process.turn_answered();
        let token = self.token_of(proc);
        if self.tokens.works(token.as_ref())
            && let Some(id) = token
        {
            self.tell(id, TokenReport::Works);
        }
    }

    /// The provider told the state of the windows of this process's token.
    pub(super) fn windows_told(&mut self, proc: ProcId, limit: &LimitReport) {
        let Some(id) = self.token_of(proc) else { return };
        if let Some(report) = self.tokens.windows_told(&id, windows_of(limit)) {
            self.tell(id, report);
        }
    }

    /// The provider failed and the CLI will try again by itself. It is not left alone with a token that will not do: it
    /// would try for three minutes (facts §8).
    pub(super) fn retry_with_token(&mut self, proc: ProcId, status: Option<u16>, delay_ms: u64) {
        if self.is_choosing() {
            return;
        }
        let stays = |process: &&mut Process| !process.is_ending() && !process.credential().is_exchanged();
        let Some(process) = self.process_mut(proc).filter(stays) else { return };
        let times = process.tries_again(status);
        let Some(id) = self.token_of(proc) else { return };
        let Some(kind) = self.tokens.kind(Some(&id)) else { return };
        let others = self.has_other_than(Some(&id));
        if status == Some(429) {
            self.tell_throttled(&id, self.now().plus_ms(delay_ms));
        }
        match (status, kind) {
            (Some(401), TokenKind::ApiKey | TokenKind::AuthToken | TokenKind::OAuth) if others => {
                self.report(&id, TokenReport::Refused);
                self.choose_after_report(Occasion::AtWork(proc), "the credential was refused");
            }
            // It would be tried for three minutes, and nobody refreshes a key.
            (Some(401), TokenKind::ApiKey | TokenKind::AuthToken)
                if times >= NEVER_WORKED_REFUSALS && !self.tokens.has_worked(Some(&id)) =>
            {
                self.report(&id, TokenReport::Refused);
                self.choose_after_report(
                    Occasion::AtWork(proc),
                    "it was refused twice and has never worked in this run",
                );
            }
            // Momentary for a subscription: its own limits are told otherwise (facts 2.1.329, A).
            (Some(429), TokenKind::ApiKey | TokenKind::AuthToken) if times >= PERSISTENT_THROTTLES && others => {
                self.hold_token(&id, SET_ASIDE_MS);
                let why = format!("{times} requests in a row were rejected with status 429");
                self.choose_after_reading(Occasion::AtWork(proc), why);
            }
            (Some(429), TokenKind::ApiKey | TokenKind::AuthToken) if times == 1 => {
                self.act(Action::ProbeToken { token: id });
            }
            (_, TokenKind::ApiKey | TokenKind::AuthToken | TokenKind::OAuth | TokenKind::Helper | TokenKind::Login) => {
            }
        }
    }

    /// A turn failed for a reason that lies with its token. False when it does not, or when there is nothing to choose
    /// from: then the failure is to be dealt with as one of the provider. What the turn leaves to be said has been queued.
    pub(super) fn token_failed(&mut self, proc: ProcId, cause: &FailureCause, message: &str) -> bool {
        let clock = self.clock();
        let Some(id) = self.token_of(proc) else { return false };
        let about_token = match cause {
            FailureCause::Quota { .. } | FailureCause::Refused | FailureCause::Billing => true,
            FailureCause::Throttled { .. } => false,
            FailureCause::Unavailable
            | FailureCause::PromptTooLong
            | FailureCause::ModelNotFound
            | FailureCause::InvalidRequest
            | FailureCause::CreditsRequired
            | FailureCause::ModelRefusal
            | FailureCause::MaxOutput
            | FailureCause::Blocked { .. }
            | FailureCause::CliLimit { .. }
            | FailureCause::Unknown => return false,
        };
        if self.tokens.fact(Some(&id)).is_none() {
            return false;
        }
        if self.failed_unproven(proc, cause, about_token, message) {
            return true;
        }
        let others = self.has_other_than(Some(&id));
        let kind = self.tokens.kind(Some(&id));
        // A CLI that reports no limits cannot tell a subscription's spent window from a crowd: its rejections are taken as a key's.
        let has_events = self.plan.agent.caps(&self.plan.agent_version).limit_events;
        let names_limits = |kind: Option<TokenKind>| has_events && kind.is_some_and(TokenKind::is_subscription);
        match cause {
            FailureCause::Quota { resets_at_unix_s } => {
                let Some(until_unix_ms) = self.tokens.rejected(&id, *resets_at_unix_s, clock) else {
                    self.choose_after_reading(Occasion::Idle, message.to_owned());
                    return true;
                };
                self.report(&id, TokenReport::Limited { until_unix_ms, window: None });
            }
            FailureCause::Refused => self.report(&id, TokenReport::Refused),
            FailureCause::Billing if others => {
                self.hold_token(&id, NO_CREDIT_MS);
                self.choose_after_reading(Occasion::Idle, message.to_owned());
                return true;
            }
            // A key that the CLI has given up on is spent (it does not even try again when the provider asks for a long
            // pause, facts §8). A subscription's spent window is told otherwise: there it is a crowd, however long it lasts.
            FailureCause::Throttled { retry_after_ms } if others && !names_limits(kind) => {
                self.hold_token(&id, retry_after_ms.unwrap_or(SET_ASIDE_MS));
                self.choose_after_reading(Occasion::Idle, message.to_owned());
                return true;
            }
            FailureCause::Throttled { .. } => {
                if kind.is_some_and(|kind| kind != TokenKind::Helper && !names_limits(Some(kind))) {
                    self.act(Action::ProbeToken { token: id });
                }
                return false;
            }
            FailureCause::Billing
            | FailureCause::Unavailable
            | FailureCause::PromptTooLong
            | FailureCause::ModelNotFound
            | FailureCause::InvalidRequest
            | FailureCause::CreditsRequired
            | FailureCause::ModelRefusal
            | FailureCause::MaxOutput
            | FailureCause::Blocked { .. }
            | FailureCause::CliLimit { .. }
            | FailureCause::Unknown => return false,
        }
        self.choose_after_report(Occasion::Idle, message);
        true
    }

    /// The command that gives a token failed, so that a process could not be started with it: another one is taken, or
    /// else the run ends, since nobody is there to unlock a password manager.
    pub(super) fn token_not_had(&mut self, process: &Process, message: &str) {
        if let Some(review) = self.review_mut()
            && review.critic() == Some(process.id)
        {
            review.gives_up_critic();
        }
        match process.credential().token().cloned() {
            Some(id) if self.has_other_than(Some(&id)) => {
                self.hold_token(&id, SET_ASIDE_MS);
                self.choose_after_reading(Occasion::Idle, message.to_owned());
            }
            Some(_) | None => self.close(Outcome::Failed, &format!("there is no credential: {message}")),
        }
    }

    fn report(&mut self, id: &TokenId, report: TokenReport) {
        let clock = self.clock();
        self.tokens.learn(id, &report, clock);
        self.tell(id.clone(), report);
    }

    /// Tells the others of a wait because of too many requests. They choose as before: a crowd is momentary, and another run may
    /// get through.
    pub(super) fn tell_of_crowd(&mut self, proc: ProcId) {
        let pause = self.stage().pause();
        let token = self.token_of(proc);
        if let (Some(pause), Some(token)) = (pause, token.filter(|token| self.tokens.fact(Some(token)).is_some())) {
            self.tell_throttled(&token, pause.due());
        }
    }

    fn tell_throttled(&mut self, token: &TokenId, until: Tick) {
        let until_unix_ms = self.unix_ms_at(until);
        // Nothing is chosen by its answer, so it takes the number of the last request.
        let request = self.rotation.requests;
        let report = TokenReport::Throttled { until_unix_ms };
        self.act(Action::ReportToken { request, token: token.clone(), report });
    }

    fn tell(&mut self, token: TokenId, report: TokenReport) {
        let request = self.rotation.next_request();
        self.act(Action::ReportToken { request, token, report });
    }

    /// The choice waits for [`Input::Tokens`](super::Input::Tokens), which answers the last report.
    fn choose_after_report(&mut self, occasion: Occasion, why: &str) {
        let request = self.rotation.requests;
        self.rotation.choosing = Some(Choosing { occasion, why: why.to_owned(), request, asked: None });
    }

    fn choose_after_reading(&mut self, occasion: Occasion, why: String) {
        let request = self.rotation.next_request();
        self.rotation.choosing = Some(Choosing { occasion, why, request, asked: None });
        self.act(Action::ReadTokens { request });
    }

    fn choose_at(&mut self, occasion: Occasion, why: &str) {
        self.choose_after_report(occasion, why);
        self.choose_token();
    }

    fn choose_token(&mut self) {
        let choice = self.tokens.choose(self.plan.rotate_at, self.clock());
        let (limited, asks) = match &choice {
            Choice::Stay | Choice::Nothing => (false, false),
            Choice::Take(_) => (self.tokens.current().is_some(), self.plan.interactive),
            Choice::Spent { .. } => (true, self.plan.interactive),
        };
        if limited && asks {
            self.ask_at_limit(choice);
        } else {
            self.chosen(choice);
        }
    }

    pub(super) fn chosen(&mut self, choice: Choice) {
        let Some(Choosing { occasion, why, .. }) = self.rotation.choosing.take() else { return };
        match choice {
            Choice::Stay => self.go_on_after_choice(occasion),
            Choice::Take(id) => {
                self.take_token(id, &why);
                self.go_on_after_choice(occasion);
            }
            Choice::Spent { until_unix_ms } => self.wait_for_token(occasion, until_unix_ms, &why),
            Choice::Nothing => {
                let which = match self.tokens.labels().as_slice() {
                    [one] => format!("the credential {one} was refused"),
                    all => format!("every credential was refused ({})", all.join(", ")),
                };
                let reason = format!("{which}: {why}; log in again or set another one, then `ccc resume`");
                self.close(Outcome::Failed, &reason);
            }
        }
    }

    pub(super) fn take_token(&mut self, id: TokenId, why: &str) {
        let (from, to) = (self.tokens.label(self.tokens.current()), self.tokens.label(Some(&id)));
        match self.tokens.take(id) {
            Some(_) => {
                self.tally.rotated();
                self.decide(&format!("rotate from {from} to {to}"), why);
                self.show(Show::Rotation { from, to, why: why.to_owned() });
            }
            None if self.tokens.all().len() > 1 => self.decide(&format!("use {to}"), "it has the most headroom"),
            None => {}
        }
    }

    fn go_on_after_choice(&mut self, occasion: Occasion) {
        match occasion {
            // An idle agent is brought to the token before it is asked; a critic is started with it.
            Occasion::Idle => self.review_with_token(),
            Occasion::AtWork(proc) => {
                let Some(wanted) = self.tokens.current().cloned() else { return };
                let has = |process: &Process| process.credential().token() == Some(&wanted);
                if self.processes.iter().any(|process| process.id == proc && !process.is_ending() && !has(process)) {
                    self.bring_to(proc, wanted);
                }
                // It may have been a critic that has failed meanwhile.
                self.review_with_token();
            }
        }
    }

    fn wait_for_token(&mut self, occasion: Occasion, until_unix_ms: i64, why: &str) {
        let clock = self.clock();
        let (tokens, now_unix_ms) = (self.tokens.spent(clock), clock.unix_ms());
        let pause = self.tokens.wait(until_unix_ms, self.reset_jitter_ms(), clock);
        let waits = !self.plan.no_wait && self.passes_a_bound(&pause).is_none();
        self.show(Show::Spent { tokens, until_unix_ms, waits, now_unix_ms });
        if self.plan.no_wait {
            let reason = format!("every token is spent, and waiting was not wanted (--no-wait): {why}");
            self.close_at_limit(&pause, &reason);
            return;
        }
        if let Some(bound) = self.passes_a_bound(&pause) {
            self.close_at_limit(&pause, &format!("{bound}: {why}"));
            return;
        }
        self.decide("wait for the reset", why);
        self.phase_waits(why, &pause);
        let role = match occasion {
            Occasion::AtWork(proc) => self.process_mut(proc).map(|process| process.role),
            Occasion::Idle => None,
        };
        if matches!(self.stage(), Stage::Reviewing(_)) && role != Some(Role::Agent) {
            self.pause_review(pause);
            return;
        }
        if let (Some(Role::Agent), Occasion::AtWork(proc)) = (role, occasion) {
            self.order(proc, Process::leave);
        }
        self.begin_wait(pause);
    }

    /// Whether a token may be used after all, now that a run which waited for one is resumed.
    pub(super) fn has_usable_token(&self) -> bool {
        self.tokens.usable(self.clock()).next().is_some()
    }

    /// Whether there is another token that may be used.
    pub(super) fn has_other_than(&self, id: Option<&TokenId>) -> bool {
        self.tokens.has_other_than(id, self.clock())
    }

    /// Does not use a token for this long. Other runs are not affected.
    pub(super) fn hold_token(&mut self, token: &TokenId, ms: u64) {
        let clock = self.clock();
        self.tokens.hold(token, ms, clock);
    }

    /// The delay after a reset, so that many runs do not start at the same moment.
    pub(super) fn reset_jitter_ms(&self) -> i64 {
        reset_jitter_ms(&self.plan.seed, self.iteration())
    }
}

fn windows_of(limit: &LimitReport) -> Vec<WindowFact> {
    let first = limit.window.as_ref().map(|name| WindowFact {
        name: name.clone(),
        utilization: limit.utilization,
        resets_at_unix_s: limit.resets_at_unix_s,
    });
    let others = limit.others.iter().map(|(name, utilization, resets_at_unix_s)| WindowFact {
        name: name.clone(),
        utilization: *utilization,
        resets_at_unix_s: *resets_at_unix_s,
    });
    first.into_iter().chain(others).collect()
}
