//! Which token the run uses next, after a limit, a refusal or a nearly used window (design §7).
//!
//! The core chooses the token. A process with another one changes to it before its next request ([`super::exchange`]), so agent
//! and critic follow one rule and no turn is lost. With `--interactive` the user is asked first
//! ([`super::asking`]).
//!
//! Before each choice the core reads the state that all ccc processes of the user share ([`Action::ReportToken`],
//! [`Action::ReadTokens`], answered by [`Input::Tokens`](super::Input::Tokens)).

use super::machine::Stage;
use super::policy::{Asked, Choice, SET_ASIDE_MS, reset_jitter_ms};
use super::process::Process;
use super::{
    Action, Core, Outcome, ProcId, Refused, Show, Taken, Tick, TokenFact, TokenId, TokenKind, TokenReport, WindowFact,
};
use crate::agent::{FailureCause, LimitReport, Role, TurnEnd, TurnOutcome};

/// From this many consecutive rejections, each after the CLI's own backoff, the token counts as limited rather than throttled.
/// Reached after about 3.5 s (facts §8, retry schedule).
const PERSISTENT_THROTTLES: u32 = 3;
/// How long an account without credit is not used while there are others.
const NO_CREDIT_MS: u64 = 3_600_000;
/// The refusals after which a key that has never worked counts as refused.
const NEVER_WORKED_REFUSALS: u32 = 2;
/// The state of the choice of a token.
#[derive(Debug, Clone, Default)]
pub(super) struct Rotation {
    /// A choice that waits for the shared state or for the user.
    choosing: Option<Choosing>,
    /// The shared state was read at this stop already.
    looked_at_stop: bool,
    requests: u32,
    /// The last shown state of a token's windows.
    windows_shown: Option<Show>,
}

#[derive(Debug, Clone)]
struct Choosing {
    occasion: Occasion,
    why: String,
    /// The number of the request that it waits for.
    request: u32,
    asked: Option<Asked>,
}

/// When a token is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occasion {
    /// Between two requests.
    Idle,
    /// During a turn of this process, whose token is not usable.
    AtWork(ProcId),
}

impl Rotation {
    /// The run is started or resumed: drops a pending choice.
    fn begin(&mut self) {
        (self.choosing, self.looked_at_stop) = (None, false);
    }

    fn next_request(&mut self) -> u32 {
        self.requests += 1;
        self.requests
    }

    /// The choice waits for the user's answer.
    pub(super) fn ask(&mut self, asked: Asked) {
        if let Some(choosing) = &mut self.choosing {
            choosing.asked = Some(asked);
        }
    }

    pub(super) fn asked(&self) -> Option<&Asked> {
        self.choosing.as_ref()?.asked.as_ref()
    }

    /// Drops a pending choice.
    pub(super) fn stop_choosing(&mut self) {
        self.choosing = None;
    }
}

impl Core {
    /// The id of the current token, once there is one.
    #[must_use]
    pub fn token(&self) -> Option<&TokenId> {
        self.tokens.current()
    }

    /// The run is started or resumed with these tokens.
    pub(super) fn tokens_at_beginning(&mut self, known: Vec<TokenFact>) {
        let clock = self.clock();
        self.rotation.begin();
        self.tokens.begin(known, clock);
    }

    /// The shared state of the tokens. A pending choice may wait for it.
    pub(super) fn tokens_known(&mut self, request: Option<u32>, known: Vec<TokenFact>) {
        let clock = self.clock();
        self.tokens.know(known, clock);
        match &self.rotation.choosing {
            Some(choosing) if choosing.asked.is_none() && request == Some(choosing.request) => self.choose_token(),
            Some(_) => {}
            None => self.reconsider(),
        }
    }

    /// Handles an update without a pending choice: the answer to a probe.
    fn reconsider(&mut self) {
        let Some(current) = self.tokens.current_fact() else { return };
        let usable = self.tokens.is_usable(current, self.clock());
        match self.stage() {
            // The wait was for a transient failure, but the token is limited.
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
            | Stage::SettingUp { .. }
            | Stage::Checking(_)
            | Stage::Resting(_)
            | Stage::Closing { .. }
            | Stage::Finished => {}
        }
    }

    /// The user wants another token: the one with this id or label, or the first other usable one.
    pub(super) fn rotate(&mut self, to: Option<&TokenId>) -> Taken {
        let (clock, current) = (self.clock(), self.tokens.current());
        let is_meant = |token: &&TokenFact| match to {
            Some(name) => token.id == *name || token.label == name.0,
            None => Some(&token.id) != current,
        };
        let Some(wanted) = self.tokens.usable(clock).find(is_meant).map(|token| token.id.clone()) else {
            return Taken::Refused(Refused::NoSuchToken);
        };
        if Some(&wanted) == current {
            return Taken::Already;
        }
        self.rotation.stop_choosing();
        self.take_token(wanted, "the user wants it");
        if let Stage::Waiting(pause) = self.stage()
            && pause.is_for_limit()
        {
            let pause = *pause;
            self.end_wait(&pause);
            self.enter(Stage::Working);
        }
        let agent = self.processes.agent().filter(|agent| !agent.is_ready() && !agent.is_starting());
        self.go_on_after_choice(agent.map_or(Occasion::Idle, |agent| Occasion::AtWork(agent.id)));
        Taken::Done
    }

    /// Whether a choice is pending: agent and critic get no request until then.
    pub(super) fn is_choosing(&self) -> bool {
        self.rotation.choosing.is_some()
    }

    /// The timeout of a question to the user or of an exchange.
    pub(super) fn token_deadline(&self) -> Option<Tick> {
        self.question_deadline().into_iter().chain(self.exchange_deadline()).min()
    }

    pub(super) fn tokens_elapsed(&mut self) {
        self.question_elapsed();
        self.exchanges_elapsed();
    }

    /// Whether a process may be started: a token is usable, or no token is known and the CLI finds one by itself. Otherwise a
    /// wait, or the end of the run, has begun.
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

    /// Whether the current token is usable, or the user has said to use it despite its limit.
    pub(super) fn may_use_token(&self) -> bool {
        self.tokens.is_empty() || self.tokens.may_use_current(self.clock())
    }

    /// At a stop: looks for a better token. True if the answer has to be waited for.
    pub(super) fn look_for_better_token(&mut self) -> bool {
        let crowded = self.tokens.is_near_limit(self.plan.rotate_at, self.clock());
        if !crowded || self.tokens.is_kept() || self.tokens.all().len() < 2 || self.rotation.looked_at_stop {
            return false;
        }
        let why = format!("{} is near its limit", self.tokens.label(self.tokens.current()));
        self.rotation.looked_at_stop = true;
        self.choose_after_reading(Occasion::Idle, why);
        true
    }

    /// After a wait for a reset: reads the shared state. True if the answer has to be waited for.
    pub(super) fn look_after_wait(&mut self) -> bool {
        if self.tokens.is_empty() {
            return false;
        }
        let why = "the wait is over".to_owned();
        self.choose_after_reading(Occasion::Idle, why);
        true
    }

    /// A turn was sent: the shared state is read again at the next stop.
    pub(super) fn turn_is_asked(&mut self) {
        self.rotation.looked_at_stop = false;
    }

    /// A turn of this process was answered, so its token works.
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

    /// The provider reported the state of the windows of this process's token.
    pub(super) fn windows_told(&mut self, proc: ProcId, limit: &LimitReport) {
        let Some(id) = self.token_of(proc) else { return };
        let report = self.tokens.windows_told(&id, windows_of(limit));
        self.show_windows(&id);
        if let Some(report) = report {
            self.tell(id, report);
        }
    }

    /// Shows the used part of this token's windows, if it changed.
    fn show_windows(&mut self, id: &TokenId) {
        let Some(token) = self.tokens.fact(Some(id)) else { return };
        let used = |name: &str| token.windows.iter().find(|window| window.name == name)?.utilization;
        let label = token.label.clone();
        let show = Show::Windows { label, five_hour: used("five_hour"), seven_day: used("seven_day") };
        if self.rotation.windows_shown.as_ref() != Some(&show) {
            self.rotation.windows_shown = Some(show.clone());
            self.show(show);
        }
    }

    /// The provider failed and the CLI will retry. Its token is changed if it is not usable, because the CLI would retry for
    /// three minutes (facts §8).
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
        match status {
            Some(401) if others && !kind.is_found_by_agent() => {
                self.report(&id, TokenReport::Refused);
                self.choose_after_report(Occasion::AtWork(proc), "the credential was refused");
            }
            // The CLI would retry for three minutes, and a key is never refreshed.
            Some(401) if kind.is_key() && times >= NEVER_WORKED_REFUSALS && !self.tokens.has_worked(Some(&id)) => {
                self.report(&id, TokenReport::Refused);
                self.choose_after_report(
                    Occasion::AtWork(proc),
                    "it was refused twice and has never worked in this run",
                );
            }
            // A 429 of a subscription is transient: its limits are reported otherwise (facts 2.1.329, A).
            Some(429) if kind.is_key() && times >= PERSISTENT_THROTTLES && others => {
                self.hold_token(&id, SET_ASIDE_MS);
                let why = format!("{times} requests in a row were rejected with status 429");
                self.choose_after_reading(Occasion::AtWork(proc), why);
            }
            Some(429) if kind.is_key() && times == 1 => {
                self.act(Action::ProbeToken { token: id });
            }
            Some(_) | None => {}
        }
    }

    /// A turn ended whose answer is not needed any more. If it failed at a limit, record the limit, because the next request
    /// would meet it.
    pub(super) fn limit_outlives(&mut self, proc: ProcId, end: &TurnEnd) {
        let TurnOutcome::Failed { cause: FailureCause::Quota { resets_at_unix_s }, .. } = &end.outcome else { return };
        let proven = self.processes.get(proc).is_some_and(|process| process.credential().is_proven());
        if self.is_closing() || !proven {
            return;
        }
        let clock = self.clock();
        match self.token_of(proc).filter(|id| self.tokens.fact(Some(id)).is_some()) {
            Some(id) => {
                if let Some(until_unix_ms) = self.tokens.rejected(&id, *resets_at_unix_s, clock) {
                    self.report(&id, TokenReport::Limited { until_unix_ms, window: None });
                }
            }
            None => {
                let pause = self.reset_pause(proc, *resets_at_unix_s);
                self.own_turns.breaks_off(pause);
            }
        }
    }

    /// A turn failed because of its token. False if it did not, or if there is nothing to choose from: then the failure is
    /// handled as one of the provider. Any turn to send again has been queued.
    pub(super) fn token_failed(&mut self, proc: ProcId, cause: &FailureCause, message: &str) -> bool {
        let clock = self.clock();
        let Some(id) = self.token_of(proc) else { return false };
        let about_token = matches!(cause, FailureCause::Quota { .. } | FailureCause::Refused | FailureCause::Billing);
        let concerns_token = about_token || matches!(cause, FailureCause::Throttled { .. });
        if !concerns_token || self.tokens.fact(Some(&id)).is_none() {
            return false;
        }
        if self.failed_unproven(proc, cause, about_token, message) {
            return true;
        }
        let others = self.has_other_than(Some(&id));
        let kind = self.tokens.kind(Some(&id));
        // A CLI that reports no limits cannot tell a subscription's limit from throttling, so its rejections are handled like
        // those of a key.
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
            // A key counts as limited when the CLI stops retrying (it does not retry at all if the provider asks for a long
            // pause, facts §8). A subscription's limit is reported otherwise, so its 429 is throttling, however long it lasts.
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

    /// The command that prints a token failed, so a process could not be started with it: changes to another token, or ends the
    /// run, since nobody is there to unlock a password manager.
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

    /// Reports a wait because of throttling to the other ccc processes. It does not affect their choice: throttling is
    /// transient, and another run may get through.
    pub(super) fn warn_of_high_usage(&mut self, proc: ProcId) {
        let pause = self.stage().pause();
        let token = self.token_of(proc);
        if let (Some(pause), Some(token)) = (pause, token.filter(|token| self.tokens.fact(Some(token)).is_some())) {
            self.tell_throttled(&token, pause.due());
        }
    }

    fn tell_throttled(&mut self, token: &TokenId, until: Tick) {
        let until_unix_ms = self.unix_ms_at(until);
        // No choice waits for its answer, so it reuses the last request's number.
        let request = self.rotation.requests;
        let report = TokenReport::Throttled { until_unix_ms };
        self.act(Action::ReportToken { request, token: token.clone(), report });
    }

    fn tell(&mut self, token: TokenId, report: TokenReport) {
        let request = self.rotation.next_request();
        self.act(Action::ReportToken { request, token, report });
    }

    /// The choice waits for [`Input::Tokens`](super::Input::Tokens), the answer to the last report.
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
            // An idle agent changes to the token before its next turn; a critic is started with it.
            Occasion::Idle => self.review_with_token(),
            Occasion::AtWork(proc) => {
                let Some(wanted) = self.tokens.current().cloned() else { return };
                let has = |process: &Process| process.credential().token() == Some(&wanted);
                if self.processes.iter().any(|process| process.id == proc && !process.is_ending() && !has(process)) {
                    self.bring_to(proc, wanted);
                }
                // `proc` may be a critic that has failed meanwhile.
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

    /// Whether a token is usable, when a run that waited for one is resumed.
    pub(super) fn has_usable_token(&self) -> bool {
        self.tokens.usable(self.clock()).next().is_some()
    }

    /// Whether another token is usable.
    pub(super) fn has_other_than(&self, id: Option<&TokenId>) -> bool {
        self.tokens.has_other_than(id, self.clock())
    }

    /// Holds a token for this long. Other runs are not affected.
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
