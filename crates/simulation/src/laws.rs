//! Checks the laws from outside the core, by the actions on the agents and by the requests to the model.

use std::collections::{BTreeMap, BTreeSet};

use super::law::{Broken, Law};
use super::steering::Steering;
use supervision::agent::TurnKind;
use supervision::core::policy::LONGEST_RESET_MS;
use supervision::core::{Budgets, Finish, Outcome, Send, TokenFact, TokenId, words_before_continue};

/// A limit that ends later than this is ignored, because some clock must be wrong.
const BELIEVED_LIMIT_MS: i64 = LONGEST_RESET_MS + 3_600_000;
/// The window in which restarts are counted.
const RESTART_WINDOW_MS: i64 = 3_600_000;
/// How many consecutive requests may be sent without a pause while the model does not answer.
const ASKED_AT_ONCE: usize = 3;
/// How many consecutive reviews may be abandoned because the agent continues by itself.
const MOST_ABANDONED: u32 = 2;
/// How many consecutive requests may be sent in all while the model does not answer.
const MOST_ASKED: usize = 16;
/// The pause after [`ASKED_AT_ONCE`] requests; each further request doubles it, up to [`LONGEST_PAUSE_MS`].
const FIRST_PAUSE_MS: i64 = 2_000;
const LONGEST_PAUSE_MS: i64 = 3_600_000;

/// How much longer than to the reset a wait may last, in milliseconds.
const JITTER_MS: i64 = 30_000;

/// What the core was told about a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct KnownOfToken {
    /// The token is limited until this time, unix milliseconds.
    until_ms: Option<i64>,
    /// The reset that a rejection named, unix milliseconds; its turn may still be open.
    named_ms: Option<i64>,
    /// The announced reset; kept after it has passed.
    announced_ms: Option<i64>,
    /// When the announced reset is due on the run's own clock, milliseconds.
    due_ms: i64,
    refused: bool,
    /// Whether the provider refused the token to this run.
    by_us: bool,
    /// Whether the user chose to use the token despite its limit.
    kept: bool,
}

/// How many consecutive requests were not answered: now, and at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct UnansweredStreak {
    now: usize,
    most: usize,
}

/// The state of the laws in a night.
#[derive(Debug, Clone, Default)]
pub(super) struct Laws {
    /// Whether all tokens were refused when this life of the run began, so that each may be tried once more.
    tries_refused: bool,
    /// How often each turn's uuid reached the model, and in which session.
    taken: BTreeMap<String, (u32, String)>,
    /// Whether the journal lost entries. The run may then use a uuid again, in an earlier session.
    journal_lost: bool,
    /// The turns that the agent answered with a good result.
    answered: BTreeSet<String>,
    /// The agent's present or last turn.
    in_turn: Option<String>,
    /// The last turn sent to the agent: its uuid and its text.
    sent: Option<(String, String)>,
    /// The user's messages, each with the uuid with which they were sent.
    words: BTreeMap<String, String>,
    /// The texts of turns that tell the agent to continue. In a new session they repeat the user's messages of the lost session.
    retold: BTreeSet<String>,
    /// Turns that did not reach the model because the user's messages were sent first; they must still be sent.
    owed: BTreeSet<String>,
    /// The user's messages during the run.
    said: Vec<String>,
    /// The deaths of the agent while it was needed, since its last good result, in milliseconds of the run.
    deaths_ms: Vec<i64>,
    /// The run's time, milliseconds.
    now_ms: i64,
    interrupted: bool,
    chose_to_end: bool,
    /// Whether the user answered a question about tokens with "wait", perhaps for a window that is only near its limit.
    chose_to_wait: bool,
    approved: bool,
    needs_user: bool,
    /// How many denials of the agent's tools the user was shown.
    denied: u32,
    /// What the core was told, by token; `None` is the credential that the CLI finds by itself.
    told: BTreeMap<Option<TokenId>, KnownOfToken>,
    /// When each token was used since its last progress, in milliseconds of the run.
    asked_ms: BTreeMap<Option<TokenId>, Vec<i64>>,
    /// How many consecutive unanswered requests each token has sent. A resumed run that keeps its count does not reset this one.
    in_vain: BTreeMap<Option<TokenId>, UnansweredStreak>,
    /// How many consecutive reviews were abandoned because the agent continued by itself.
    abandoned: u32,
    /// Background tasks of the session that have not ended.
    open_tasks: u32,
    /// The core's wall clock, unix milliseconds.
    now_unix_ms: i64,
    /// The wall clock at tick zero, as told to the core.
    wall_zero_ms: i64,
    /// The state of the user's actions during the run.
    pub(super) steering: Steering,
}

impl Laws {
    /// The laws of a night with this user.
    pub(super) fn of(steering: Steering) -> Laws {
        Laws { steering, ..Laws::default() }
    }

    /// Records that a user turn reached the model.
    pub(super) fn reached_the_model(&mut self, uuid: &str, session: &str) -> Result<(), Broken> {
        self.approved = false;
        self.needs_user = false;
        self.in_turn = Some(uuid.to_owned());
        let (times, of) = self.taken.entry(uuid.to_owned()).or_default();
        if self.journal_lost && of != session {
            *times = 0;
        }
        session.clone_into(of);
        *times += 1;
        Law::ExactlyOnce.broken_if(*times > 1, || format!("turn {uuid} reached the model {times} times"))?;
        Ok(())
    }

    /// Records that the agent wrote a good result.
    pub(super) fn answered(&mut self) {
        self.answered.extend(self.in_turn.clone());
    }

    /// Records that the agent was denied a tool.
    pub(super) fn denied(&mut self) {
        self.denied += 1;
    }

    /// Records the final text of a critic. Its approval counts only if it has not changed the tree (`innocent`).
    pub(super) fn critic_said(&mut self, text: &str, innocent: bool) {
        let last = text.trim_end().lines().next_back().unwrap_or_default().trim_matches('*');
        self.approved |= innocent && last == "[TASK_COMPLETED]";
        self.needs_user |= last == "[NEEDS_USER]";
    }

    /// Records that the user's agreement to the project's files was missing.
    pub(super) fn consent_was_missing(&mut self) {
        self.needs_user = true;
    }

    /// Records that a stop was judged.
    pub(super) fn judged(&mut self) {
        self.abandoned = 0;
    }

    /// Records that the core abandoned a review because the agent continued by itself.
    pub(super) fn abandoned(&mut self) -> Result<(), Broken> {
        self.abandoned += 1;
        match self.abandoned > MOST_ABANDONED {
            true => Err(Law::JudgedSoon.broken(format!("it is given up for the {}th time in a row", self.abandoned))),
            false => Ok(()),
        }
    }

    /// Records that the core read a rejection that names this reset, whether the core could use it or not. Returns false if the
    /// time cannot be a reset.
    pub(super) fn named(&mut self, token: Option<&TokenId>, resets_at_unix_ms: i64) -> bool {
        let may_be = (1..=LONGEST_RESET_MS).contains(&resets_at_unix_ms.saturating_sub(self.now_unix_ms));
        if may_be {
            self.told.entry(token.cloned()).or_default().named_ms = Some(resets_at_unix_ms);
        }
        may_be
    }

    /// Records that the core read the end of a turn because its token is limited until then.
    pub(super) fn spent(&mut self, token: Option<&TokenId>, resets_at_unix_ms: i64) {
        // A time in the past, or further away than the longest window, is not a reset: the earlier limit stays.
        if !self.named(token, resets_at_unix_ms) {
            return;
        }
        // While a background task is open the turn is not over, and the adapter holds its result back. If the process dies
        // before, the limit is lost too, and the core rightly sends one more request.
        if self.open_tasks > 0 {
            return;
        }
        // The provider has just confirmed the limit, so the limit starts now, even if the same reset was announced before.
        self.told.entry(token.cloned()).or_default().announced_ms = None;
        self.limited(token.cloned(), Some(resets_at_unix_ms));
    }

    fn limited(&mut self, token: Option<TokenId>, until_ms: Option<i64>) {
        let (now_ms, now_unix_ms) = (self.now_ms, self.now_unix_ms);
        let told = self.told.entry(token).or_default();
        told.until_ms = until_ms.filter(|&until_ms| until_ms > now_unix_ms);
        if told.announced_ms != until_ms {
            told.announced_ms = until_ms;
            told.due_ms = until_ms.map_or(0, |until_ms| now_ms.saturating_add((until_ms - now_unix_ms).max(0)));
        }
    }

    /// Records what the core was told about the tokens. They do not include the credential that the CLI finds by itself.
    pub(super) fn tokens_told(&mut self, tokens: &[TokenFact], anew: bool) {
        if anew {
            self.tries_refused = tokens.iter().all(|token| token.refused);
        }
        for token in tokens {
            self.limited(Some(token.id.clone()), token.limited_until_unix_ms);
            let told = self.told.entry(Some(token.id.clone())).or_default();
            if anew {
                (told.by_us, told.kept) = (false, false);
            }
            told.refused = told.by_us || (token.refused && !self.tries_refused);
        }
    }

    /// Records that the provider refused a token to this run. Reports of other ccc processes do not change that.
    pub(super) fn refused(&mut self, token: &TokenId) {
        let told = self.told.entry(Some(token.clone())).or_default();
        (told.by_us, told.refused) = (true, true);
    }

    /// Records that the user chose to continue with this token despite its limit.
    pub(super) fn kept(&mut self, token: Option<&TokenId>) {
        self.told.entry(token.cloned()).or_default().kept = true;
    }

    /// Records that a background task of the agent began or ended.
    pub(super) fn task(&mut self, began: bool) {
        self.open_tasks = if began { self.open_tasks + 1 } else { self.open_tasks.saturating_sub(1) };
    }

    /// Whether a background task of the agent may still be running.
    pub(super) fn has_open_tasks(&self) -> bool {
        self.open_tasks > 0
    }

    /// Sets the core's tick, and its wall clock if the core was told one. A reset that has passed by that clock stays passed,
    /// even if the clock is set back later.
    pub(super) fn time(&mut self, tick_ms: i64, told_unix_ms: Option<i64>) {
        if let Some(unix_ms) = told_unix_ms {
            self.wall_zero_ms = unix_ms - tick_ms;
        }
        self.now_ms = tick_ms;
        self.steering.time(u64::try_from(tick_ms).unwrap_or(0));
        let now_unix_ms = self.wall_zero_ms + tick_ms;
        self.now_unix_ms = now_unix_ms;
        for told in self.told.values_mut() {
            told.until_ms = told.until_ms.filter(|&until_ms| until_ms > now_unix_ms);
            told.named_ms = told.named_ms.filter(|&named_ms| named_ms > now_unix_ms);
        }
    }

    /// Checks that the provider may get a request with this token.
    pub(super) fn uses(&self, token: Option<&TokenId>) -> Result<(), Broken> {
        let Some(told) = self.told.get(&token.cloned()) else { return Ok(()) };
        let name = token.map_or("the CLI's own credential", |token| token.0.as_str());
        if told.kept {
            return Ok(());
        }
        Law::SpentToken.broken_if(told.refused, || format!("{name} is used, which was refused"))?;
        let holds = |until_ms: i64| {
            self.now_ms < told.due_ms && (1..=BELIEVED_LIMIT_MS).contains(&(until_ms - self.now_unix_ms))
        };
        match told.until_ms.filter(|&until_ms| holds(until_ms)) {
            Some(until_ms) => Err(Law::SpentToken.broken(format!(
                "{name} is used {} s before its reset",
                (until_ms - self.now_unix_ms).div_euclid(1_000)
            ))),
            None => Ok(()),
        }
    }

    /// Counts a request to the model with this token, and checks the pauses between unanswered requests.
    pub(super) fn asks(&mut self, token: Option<&TokenId>, max_restarts: u32) -> Result<(), Broken> {
        let now_ms = self.now_ms;
        let asked_ms = self.asked_ms.entry(token.cloned()).or_default();
        let most = MOST_ASKED.max(usize::try_from(max_restarts).unwrap_or(0) + ASKED_AT_ONCE);
        let (times, since_ms) = (asked_ms.len(), asked_ms.last().map(|last| now_ms - last));
        asked_ms.push(now_ms);
        let in_vain = self.in_vain.entry(token.cloned()).or_default();
        in_vain.now += 1;
        in_vain.most = in_vain.most.max(in_vain.now);
        Law::AskedAgain
            .broken_if(times >= most, || format!("it is asked for the {}th time without an answer", times + 1))?;
        let doublings = times.checked_sub(ASKED_AT_ONCE).and_then(|over| u32::try_from(over).ok());
        let pause_ms = doublings.map_or(0, |over| (FIRST_PAUSE_MS << over.min(20)).min(LONGEST_PAUSE_MS));
        match since_ms.filter(|&since_ms| since_ms < pause_ms) {
            Some(since_ms) => Err(Law::AskedAgain.broken(format!(
                "it is asked for the {}th time without an answer, {since_ms} ms after the last and not {pause_ms} ms",
                times + 1
            ))),
            None => Ok(()),
        }
    }

    /// Records that the core read an answer of the model, perhaps only a part of one. `token` is the token that the core knows
    /// the process to use; while an exchange is not answered, that is the one before.
    pub(super) fn progress(&mut self, token: Option<&TokenId>) {
        self.asked_ms.remove(&token.cloned());
        self.in_vain.entry(token.cloned()).or_default().now = 0;
    }

    /// Records and checks a turn that is sent to the agent.
    pub(super) fn send(&mut self, send: &Send) -> Result<(), Broken> {
        // A turn follows a judged stop or other work, so it ends a sequence of abandoned reviews.
        self.judged();
        let uuid = &send.turn.0;
        let words = words_before_continue(&send.text);
        if let Some((before, text)) = self.sent.replace((uuid.clone(), send.text.clone()))
            && before != *uuid
        {
            if !self.taken.contains_key(&before) && matches!(send.kind, TurnKind::Operator | TurnKind::Worker) {
                // The user's messages go first. The unsent turn follows: in the same turn if it only tells the agent to continue,
                // else as the next turn.
                if words.is_none() || !send.text.ends_with(&text) {
                    self.owed.insert(before);
                }
            } else if !self.taken.contains_key(&before) {
                return Err(
                    Law::ExactlyOnce.broken(format!("turn {before} never reached the model, and {uuid} is sent"))
                );
            } else if !matches!(send.kind, TurnKind::Continue | TurnKind::Compact)
                && words.is_none()
                && !self.answered.contains(&before)
            {
                return Err(Law::Answered
                    .broken(format!("turn {before} was not answered, and {uuid} ({:?}) is sent", send.kind)));
            }
        }
        if send.kind == TurnKind::Continue {
            self.retold.insert(send.text.clone());
        }
        if matches!(send.kind, TurnKind::Task | TurnKind::Operator | TurnKind::Worker)
            && let Some(earlier) = self.words.insert(words.unwrap_or(&send.text).to_owned(), uuid.clone())
            && earlier != *uuid
        {
            return Err(Law::WordsOnce.broken(format!("the words of turn {earlier} are said again as {uuid}")));
        }
        Ok(())
    }

    /// Records a message of the user that the run must pass on to the agent.
    pub(super) fn said(&mut self, text: String) {
        self.said.push(text);
    }

    /// Records that the user took back a message that was not sent.
    pub(super) fn unsaid(&mut self, text: &str) {
        self.said.retain(|said| said != text);
    }

    /// Records that the user interrupted the turn: the last sent turn needs no answer, and ccc drops what it was about to send
    /// itself.
    pub(super) fn turn_stopped(&mut self) {
        if let Some((uuid, text)) = self.sent.take() {
            self.said.retain(|said| !text.contains(said.as_str()));
            self.answered.insert(uuid);
        }
        self.owed.clear();
    }

    /// Records that the agent ended while it was needed.
    pub(super) fn agent_died(&mut self) {
        self.deaths_ms.push(self.now_ms);
    }

    /// Records that the core read a good result.
    pub(super) fn result_came(&mut self, token: Option<&TokenId>, of_agent: bool) {
        if of_agent {
            self.deaths_ms.clear();
        }
        // An account that answers is neither limited nor refused.
        self.told.remove(&token.cloned());
    }

    /// Records and checks the start of a process.
    pub(super) fn spawn(&mut self, agent: bool, live_agents: usize, max_restarts: u32) -> Result<(), Broken> {
        Law::Shutdown.broken_if(self.interrupted, || "a process is started after the user asked for the end")?;
        if agent && live_agents > 0 {
            return Err(Law::OneAgent.broken("a second agent is started beside a live one"));
        }
        let within = self.deaths_ms.iter().filter(|&&ms| self.now_ms - ms < RESTART_WINDOW_MS).count();
        if agent && u32::try_from(within).is_ok_and(|within| within > max_restarts) {
            let what = format!("{within} restarts in a row within an hour, and {max_restarts} are allowed");
            return Err(Law::Restarts.broken(what));
        }
        Ok(())
    }

    /// Records that the user asked for the end.
    pub(super) fn interrupted(&mut self) {
        self.interrupted = true;
    }

    /// Records that the user chose to end at a limit.
    pub(super) fn chose_to_end(&mut self) {
        self.chose_to_end = true;
    }

    /// Records that the user chose to wait at a limit.
    pub(super) fn chose_to_wait(&mut self) {
        self.chose_to_wait = true;
    }

    /// Records that the user resumes the run, because ccc died or the run had ended. After an end the user may have logged in to
    /// another account, so the credential that the CLI finds by itself may be tried again. A run that was waiting, or whose stop
    /// was being judged, keeps its count of unanswered requests.
    pub(super) fn resumed(&mut self, phase: &str) {
        if matches!(phase, "ending" | "finished") {
            self.told.remove(&None);
        }
        if matches!(phase, "starting" | "working" | "ending" | "finished") {
            self.in_vain.clear();
        }
        self.interrupted = false;
        self.steering.begins();
        (self.chose_to_end, self.chose_to_wait) = (false, false);
        self.deaths_ms.clear();
        self.asked_ms.clear();
    }

    /// Forgets what no journal contains: the disk was full, so the last entries were never written.
    pub(super) fn forget(&mut self) {
        self.journal_lost = true;
        // A turn that made a verdict stale may be lost too; the resumed run then still has that verdict.
        self.approved = true;
        self.needs_user = true;
        self.sent = None;
        self.steering.forget();
        self.words.clear();
        self.retold.clear();
        self.owed.clear();
        self.said.clear();
        self.told.clear();
        self.asked_ms.clear();
        for in_vain in self.in_vain.values_mut() {
            in_vain.now = in_vain.most;
        }
    }

    /// Whether some token has sent as many unanswered requests as are allowed.
    fn gives_up(&self) -> bool {
        self.in_vain.values().any(|in_vain| in_vain.now >= MOST_ASKED)
    }

    /// Whether a limited token is ready again only after the run's time bound, so that no wait may begin.
    fn waits_past(&self, budgets: &Budgets) -> bool {
        let Some(most_ms) = budgets.max_duration_ms.and_then(|ms| i64::try_from(ms).ok()) else { return false };
        // By the clock at the time when the limit was told, or by the present clock, whichever is later.
        let due_ms = |told: &KnownOfToken, until_ms: i64| {
            told.due_ms.max(self.now_ms.saturating_add(until_ms - self.now_unix_ms))
        };
        let passes = |told: &KnownOfToken| {
            let mut resets_ms = told.until_ms.into_iter().chain(told.named_ms);
            resets_ms.any(|reset_ms| due_ms(told, reset_ms) + JITTER_MS >= most_ms)
        };
        self.chose_to_wait || self.told.values().any(passes)
    }

    /// Checks the end of the run.
    pub(super) fn finish(
        &self,
        finish: &Finish,
        budgets: &Budgets,
        no_wait: bool,
        run_ms: u64,
        patience_ms: u64,
    ) -> Result<(), Broken> {
        Law::HonestOutcome
            .broken_if(finish.reason.trim().is_empty(), || format!("{} without a reason", finish.outcome.as_str()))?;
        if finish.waited_ms > run_ms {
            return Err(Law::Waited.broken(format!("{} ms waited in a run of {run_ms} ms", finish.waited_ms)));
        }
        let honest = match finish.outcome {
            Outcome::Completed => self.approved,
            Outcome::NeedsUser => self.needs_user,
            Outcome::Interrupted => self.interrupted || self.steering.rested_out(patience_ms),
            Outcome::Limits => no_wait || self.chose_to_end || self.gives_up() || self.waits_past(budgets),
            Outcome::Budget => {
                finish.iterations >= budgets.max_iterations
                    || budgets.max_duration_ms.is_some_and(|ms| run_ms >= ms)
                    || budgets.max_cost_usd.zip(finish.cost_usd).is_some_and(|(most, spent)| spent >= most)
            }
            Outcome::Stuck => finish.iterations > budgets.max_repeats || self.denied > 1,
            Outcome::Failed => true,
        };
        if !honest {
            let what = format!("{}, and nothing of the kind happened: {}", finish.outcome.as_str(), finish.reason);
            return Err(Law::HonestOutcome.broken(what));
        }
        if finish.outcome != Outcome::Completed {
            return Ok(());
        }
        if let Some((sent, _)) = self.sent.as_ref().filter(|(sent, _)| !self.answered.contains(sent)) {
            return Err(Law::Answered.broken(format!("the run completed, and turn {sent} was not answered")));
        }
        if let Some(owed) = self.owed.iter().find(|owed| !self.taken.contains_key(*owed)) {
            return Err(Law::ExactlyOnce.broken(format!("the run completed, and turn {owed} never reached the model")));
        }
        // After a lost session, its messages are repeated in one text, together with everything else that was said there.
        let told = self.words.keys().chain(&self.retold);
        let heard = |text: &String| told.clone().any(|words| words.contains(text.as_str()));
        match self.said.iter().find(|text| !heard(text)) {
            Some(lost) => {
                Err(Law::WordsKept.broken(format!("the run completed, and the user's words were lost: {lost}")))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ASKED_AT_ONCE, Broken, Law, Laws, MOST_ASKED};
    use supervision::agent::TurnKind;
    use supervision::core::{Budgets, Finish, Outcome, ProcId, Send, TokenFact, TokenId, TokenKind, TurnId};

    const BUDGETS: Budgets = Budgets { max_iterations: 5, max_restarts: 1, ..Budgets::DEFAULT };

    fn send(uuid: &str, kind: TurnKind) -> Send {
        Send {
            proc: ProcId(1),
            turn: TurnId(uuid.to_owned()),
            kind,
            text: format!("text of {uuid}"),
            images: Vec::new(),
        }
    }

    fn ended(outcome: Outcome) -> Finish {
        Finish { iterations: 1, ..Finish::new(outcome, "so") }
    }

    fn finish(laws: &Laws, outcome: Outcome) -> Result<(), Broken> {
        laws.finish(&ended(outcome), &BUDGETS, false, 1_000, 0)
    }

    fn law(broken: Result<(), Broken>) -> Option<Law> {
        broken.err().map(|broken| broken.law)
    }

    #[test]
    fn a_turn_reaches_the_model_once_and_is_not_left_unanswered() {
        let mut laws = Laws::default();
        assert_eq!(law(laws.send(&send("a", TurnKind::Task))), None);
        assert_eq!(law(laws.clone().send(&send("b", TurnKind::Continue))), Some(Law::ExactlyOnce), "a never arrived");
        assert_eq!(law(laws.reached_the_model("a", "s")), None);
        assert_eq!(law(laws.clone().reached_the_model("a", "s")), Some(Law::ExactlyOnce), "twice");
        assert_eq!(law(laws.clone().send(&send("b", TurnKind::Feedback))), Some(Law::Answered));
        assert_eq!(law(laws.clone().send(&send("b", TurnKind::Continue))), None);
        laws.answered();
        assert_eq!(law(laws.send(&send("b", TurnKind::Feedback))), None);
        let again = Send { text: "text of a".to_owned(), ..send("c", TurnKind::Operator) };
        assert!(laws.reached_the_model("b", "s").is_ok());
        laws.answered();
        assert_eq!(law(laws.send(&again)), Some(Law::WordsOnce));
    }

    /// Seeds 21405 and 37004.
    #[test]
    fn an_unheard_word_to_go_on_may_go_out_after_the_users_words_and_feedback_comes_next() {
        let cut_off = words_before_continue_of("");
        let folded = Send { text: words_before_continue_of("Use tabs."), ..send("b", TurnKind::Operator) };
        for (before, owed) in [(cut_off, false), ("Add tests.".to_owned(), true)] {
            let mut laws = Laws::default();
            assert!(laws.send(&Send { text: before, ..send("a", TurnKind::Continue) }).is_ok());
            assert_eq!(law(laws.send(&folded)), None, "a was never heard");
            assert!(laws.reached_the_model("b", "s").is_ok());
            laws.answered();
            laws.critic_said("[TASK_COMPLETED]", true);
            assert_eq!(law(finish(&laws, Outcome::Completed)), owed.then_some(Law::ExactlyOnce));
        }
    }

    /// The core's text that tells the agent to continue, after these words of the user.
    fn words_before_continue_of(words: &str) -> String {
        let go_on = "The session in which this work was begun cannot be continued; this is a new one. The work that was done \
                     in it is on disk. Look at what is there first, and do not begin anew.\n\nGo on with the work.";
        if words.is_empty() { go_on.to_owned() } else { format!("{words}\n\n{go_on}") }
    }

    #[test]
    fn only_an_innocent_critic_after_the_last_turn_completes_a_run() {
        let mut laws = Laws::default();
        assert!(laws.send(&send("a", TurnKind::Task)).is_ok() && laws.reached_the_model("a", "s").is_ok());
        laws.answered();
        assert_eq!(law(finish(&laws, Outcome::Completed)), Some(Law::HonestOutcome), "nobody agreed");
        laws.critic_said("Fine.\n\n[TASK_COMPLETED]", false);
        assert_eq!(law(finish(&laws, Outcome::Completed)), Some(Law::HonestOutcome), "it had changed the tree");
        laws.critic_said("Fine.\n\n[TASK_COMPLETED]", true);
        assert_eq!(law(finish(&laws, Outcome::Completed)), None);
        laws.said("and one more thing".to_owned());
        assert_eq!(law(finish(&laws, Outcome::Completed)), Some(Law::WordsKept));
    }

    #[test]
    fn an_outcome_is_what_happened() {
        let mut laws = Laws::default();
        for outcome in [Outcome::NeedsUser, Outcome::Interrupted, Outcome::Limits, Outcome::Budget, Outcome::Stuck] {
            assert_eq!(law(finish(&laws, outcome)), Some(Law::HonestOutcome), "{outcome:?}");
        }
        laws.critic_said("Which?\n\n[NEEDS_USER]", true);
        laws.interrupted();
        laws.chose_to_end();
        for outcome in [Outcome::NeedsUser, Outcome::Interrupted, Outcome::Limits, Outcome::Failed] {
            assert_eq!(law(finish(&laws, outcome)), None, "{outcome:?}");
        }
        let mut limited = Laws::default();
        limited.time(0, Some(4_000_000));
        limited.spent(None, 5_000_000);
        let bounded = |ms| Budgets { max_duration_ms: Some(ms), ..BUDGETS };
        let waited = |ms| law(limited.finish(&ended(Outcome::Limits), &bounded(ms), false, 1_000, 0));
        assert_eq!((waited(900_000), waited(2_000_000)), (None, Some(Law::HonestOutcome)), "the reset is in 1,000 s");
        let told = |finish| law(laws.finish(&finish, &BUDGETS, false, 1_000, 0));
        assert_eq!(told(Finish { iterations: 5, ..ended(Outcome::Budget) }), None);
        assert_eq!(told(Finish { reason: " ".to_owned(), ..ended(Outcome::Failed) }), Some(Law::HonestOutcome));
        assert_eq!(told(Finish { waited_ms: 1_001, ..ended(Outcome::Failed) }), Some(Law::Waited));
    }

    #[test]
    fn a_limit_holds_until_its_reset_has_passed_by_the_clock_that_the_core_was_told() {
        let mut laws = Laws::default();
        laws.time(0, Some(4_000_000));
        laws.spent(None, 5_000_000);
        assert_eq!(law(laws.uses(None)), Some(Law::SpentToken));
        assert_eq!(law(laws.uses(Some(&TokenId("other".to_owned())))), None);
        laws.time(999_999, None);
        assert_eq!(law(laws.uses(None)), Some(Law::SpentToken));
        laws.time(1_000_000, None);
        laws.time(1_000_001, Some(0));
        assert_eq!(law(laws.uses(None)), None, "it had passed");
        laws.spent(None, 5_000_000);
        laws.resumed("working");
        assert_eq!(law(laws.uses(None)), Some(Law::SpentToken), "ccc alone had died");
        laws.resumed("finished");
        assert_eq!(law(laws.uses(None)), None, "the user goes on, perhaps with another account");
    }

    #[test]
    fn what_is_not_answered_is_asked_again_after_longer_and_longer_pauses_and_not_for_ever() {
        let id = TokenId("a".to_owned());
        let mut laws = Laws::default();
        let mut now_ms = 0;
        for times in 0..MOST_ASKED {
            assert_eq!(law(laws.asks(Some(&id), 5)), None, "{times}");
            if times + 1 >= ASKED_AT_ONCE && times + 1 < MOST_ASKED {
                assert_eq!(law(laws.clone().asks(Some(&id), 5)), Some(Law::AskedAgain), "at once, {times}");
                let pause_ms = (2_000 << (times + 1 - ASKED_AT_ONCE)).min(3_600_000);
                laws.time(now_ms + pause_ms - 1, None);
                assert_eq!(law(laws.clone().asks(Some(&id), 5)), Some(Law::AskedAgain), "too soon, {times}");
                now_ms += pause_ms;
                // The wall clock jumps by hours; only the run's own clock must be used.
                laws.time(now_ms, Some(if times % 2 == 0 { now_ms + 21_600_000 } else { now_ms - 21_600_000 }));
            }
        }
        laws.time(now_ms + 7_200_000, None);
        assert_eq!(law(laws.clone().asks(Some(&id), 5)), Some(Law::AskedAgain), "for ever");
        assert_eq!(law(laws.clone().asks(Some(&id), 14)), None, "the user allows more restarts than that");
        assert_eq!(law(laws.clone().asks(None, 5)), None, "another credential");
        assert_eq!(law(finish(&laws, Outcome::Limits)), None, "it was asked as often as may be");
        laws.progress(Some(&id));
        assert_eq!(law(laws.asks(Some(&id), 5)), None);
    }

    /// Seed 21989.
    #[test]
    fn a_rejection_that_names_no_reset_ahead_lets_no_limit_last_anew() {
        let mut laws = Laws::default();
        laws.time(0, Some(4_000_000));
        laws.spent(None, 5_000_000);
        laws.time(1_000_001, Some(4_100_000));
        assert_eq!(law(laws.uses(None)), None, "the time that it was to last has passed");
        laws.spent(None, 4_000_000);
        laws.limited(None, Some(5_000_000));
        assert_eq!(law(laws.uses(None)), None, "it is the limit that was known");
        laws.spent(None, 5_000_000);
        assert_eq!(law(laws.uses(None)), Some(Law::SpentToken), "the provider names it anew");
    }

    /// Seeds 43245 and 91502.
    #[test]
    fn a_reset_named_while_a_task_is_open_may_end_the_run_and_forbids_nothing() {
        let mut laws = Laws::default();
        laws.time(0, Some(4_000_000));
        laws.task(true);
        laws.spent(None, 5_000_000);
        assert_eq!(law(laws.uses(None)), None, "its turn may not have ended");
        laws.named(None, 3_000_000);
        laws.named(None, 5_000_000 + super::LONGEST_RESET_MS);
        let bounded = |ms| Budgets { max_duration_ms: Some(ms), ..BUDGETS };
        let ends = |laws: &Laws, ms| law(laws.finish(&ended(Outcome::Limits), &bounded(ms), false, 1_000, 0));
        assert_eq!((ends(&laws, 900_000), ends(&laws, 2_000_000)), (None, Some(Law::HonestOutcome)));
        laws.time(0, Some(6_000_000));
        assert_eq!(ends(&laws, 900_000), Some(Law::HonestOutcome), "it has passed");
    }

    /// Seed 27416.
    #[test]
    fn what_was_asked_in_vain_before_a_death_counts_where_the_run_counts_on() {
        let asked = |phase: &str, lost: bool| {
            let mut laws = Laws::default();
            for times in 0..MOST_ASKED {
                laws.time(i64::try_from(times).expect("few") * 4_000_000, None);
                assert_eq!(law(laws.asks(None, 5)), None, "{times}");
                if times == MOST_ASKED / 2 {
                    if lost {
                        laws.forget();
                    }
                    laws.resumed(phase);
                }
            }
            law(finish(&laws, Outcome::Limits))
        };
        for lost in [false, true] {
            assert_eq!((asked("waiting", lost), asked("reviewing", lost)), (None, None));
            assert_eq!(asked("finished", lost), Some(Law::HonestOutcome), "the user goes on, and it counts anew");
        }
    }

    #[test]
    fn what_is_told_about_a_token_counts_until_something_else_is_told() {
        let id = TokenId("a".to_owned());
        let fact = |limited_until_unix_ms, refused| TokenFact {
            id: id.clone(),
            label: "A".to_owned(),
            kind: TokenKind::OAuth,
            hot_group: None,
            model: None,
            windows: Vec::new(),
            limited_until_unix_ms,
            refused,
        };
        let mut laws = Laws::default();
        laws.tokens_told(&[fact(Some(10), false)], true);
        assert_eq!(law(laws.uses(Some(&id))), Some(Law::SpentToken));
        laws.kept(Some(&id));
        assert_eq!(law(laws.uses(Some(&id))), None, "the user said to go on with it");
        let other = TokenFact { id: TokenId("b".to_owned()), ..fact(None, false) };
        laws.tokens_told(&[fact(None, true), other], true);
        assert_eq!(law(laws.uses(Some(&id))), Some(Law::SpentToken), "another one met the refusal");
        laws.tokens_told(&[fact(None, true)], true);
        assert_eq!(law(laws.uses(Some(&id))), None, "when nothing else is left it is tried once more");
        laws.tokens_told(&[fact(None, false)], false);
        assert_eq!(law(laws.uses(Some(&id))), None, "and took it back");
        laws.refused(&id);
        laws.tokens_told(&[fact(None, false)], false);
        assert_eq!(law(laws.uses(Some(&id))), Some(Law::SpentToken), "refused is refused");
        laws.result_came(Some(&id), true);
        assert_eq!(law(laws.uses(Some(&id))), None, "it answers");
    }

    #[test]
    fn processes_are_bounded() {
        let mut laws = Laws::default();
        assert_eq!(law(laws.spawn(true, 0, 1)), None);
        assert_eq!(law(laws.spawn(true, 1, 1)), Some(Law::OneAgent));
        assert_eq!(law(laws.spawn(false, 1, 1)), None, "a critic may live beside the agent");
        laws.agent_died();
        assert_eq!(law(laws.spawn(true, 0, 1)), None);
        laws.agent_died();
        assert_eq!(law(laws.spawn(true, 0, 1)), Some(Law::Restarts));
        laws.resumed("working");
        assert_eq!(law(laws.spawn(true, 0, 1)), None);
        laws.interrupted();
        assert_eq!(law(laws.spawn(false, 0, 1)), Some(Law::Shutdown));
    }
}
