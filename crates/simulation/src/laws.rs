//! What must hold, seen from outside: from what was done to the agents and what reached the model.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use supervision::agent::TurnKind;
use supervision::core::policy::LONGEST_RESET_MS;
use supervision::core::{Budgets, Finish, Outcome, Send, TokenFact, TokenId, words_before_continue};

/// A limit that ends later than this is not believed: some clock is wrong.
const BELIEVED_LIMIT_MS: i64 = LONGEST_RESET_MS + 3_600_000;
/// Restarts are counted within this time.
const RESTART_WINDOW_MS: i64 = 3_600_000;
/// So often something may be asked at once of a model that does not answer.
const ASKED_AT_ONCE: usize = 3;
/// So often in a row the judging may be given up because the agent goes on by itself.
const MOST_ABANDONED: u32 = 2;
/// So often it may be asked in all.
const MOST_ASKED: usize = 16;
/// The pause after those that may come at once; doubled with each further one, up to the longest.
const FIRST_PAUSE_MS: i64 = 2_000;
const LONGEST_PAUSE_MS: i64 = 3_600_000;

/// What must hold in every night (design §4), by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each one's sentence says what it means")]
pub enum Law {
    OneAgent,
    ExactlyOnce,
    Answered,
    WordsOnce,
    WordsKept,
    SentWhileIdle,
    SpentToken,
    Restarts,
    Shutdown,
    HonestOutcome,
    NothingLeft,
    NothingFollows,
    Replay,
    LossTold,
    Ends,
    BusyLoop,
    AskedAgain,
    Waited,
    FalseKill,
    Hang,
    JudgedAtRest,
    JudgedSoon,
    Sense,
    NoPanic,
}

impl Law {
    /// What it says.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Law::OneAgent => "at most one agent lives at a time",
            Law::ExactlyOnce => "a turn reaches the model exactly once",
            Law::Answered => "a turn is answered, or continued, before another one is said",
            Law::WordsOnce => "the user's words are said once",
            Law::WordsKept => "the user's words are not lost",
            Law::SentWhileIdle => "only an idle process is spoken to",
            Law::SpentToken => "a rejected token is not used before its reset",
            Law::Restarts => "restarts in a row, within their window, stay within their limit",
            Law::Shutdown => "after a request for the end nothing is started, and the end comes soon",
            Law::HonestOutcome => "an outcome is what happened, with a reason",
            Law::NothingLeft => "a finished run has left nothing running",
            Law::NothingFollows => "a finished run asks for nothing",
            Law::Replay => "the same inputs lead to the same actions",
            Law::LossTold => "what the journal loses is told",
            Law::Ends => "without faults the run comes to its end",
            Law::BusyLoop => "deadlines lie ahead, and there are not many of them",
            Law::AskedAgain => "what is not answered is asked again after longer and longer pauses, and not for ever",
            Law::Waited => "the time waited is time that passed",
            Law::FalseKill => "a process that makes progress is not taken for hung",
            Law::Hang => "a process without progress is not left alone, whatever signs of life it gives",
            Law::JudgedAtRest => "a stop is judged while the agent rests, one check at a time",
            Law::JudgedSoon => {
                "the judging of a stop is given up a few times at most, whatever the agent begins by itself"
            }
            Law::Sense => "an action is about something that is there",
            Law::NoPanic => "no input makes ccc panic",
        }
    }

    pub(super) fn broken(self, what: impl Into<String>) -> Broken {
        Broken { law: self, what: what.into() }
    }
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// A law that does not hold, and how that shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) law: Law,
    pub(super) what: String,
}

/// A wait lasts so much longer than to the reset, at most, milliseconds.
const JITTER_MS: i64 = 30_000;

/// What the core was told about a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Told {
    /// It is spent until then, unix milliseconds.
    until_ms: Option<i64>,
    /// A rejection named this reset, unix milliseconds, in a turn that may not count as ended.
    named_ms: Option<i64>,
    /// The reset as it was announced, whether it has passed or not.
    announced_ms: Option<i64>,
    /// When that time has passed by the run's own clock, milliseconds.
    due_ms: i64,
    refused: bool,
    /// The run itself met the refusal.
    by_us: bool,
    /// The user said to use it all the same.
    kept: bool,
}

/// How often in a row something was asked and not answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct InVain {
    now: usize,
    most: usize,
}

/// The bookkeeping of the laws.
#[derive(Debug, Clone, Default)]
pub(super) struct Laws {
    /// All tokens were refused when this life of the run began: then they are tried once more.
    tries_refused: bool,
    /// How often each uuid reached the model, and in which session.
    taken: BTreeMap<String, (u32, String)>,
    /// The journal lost something: a run that goes on by what is left may give a uuid again, to an earlier session.
    journal_lost: bool,
    /// The turns whose good result was written.
    answered: BTreeSet<String>,
    /// The turn that the agent is in, or was in last.
    in_turn: Option<String>,
    /// What was sent to the agent last: its uuid and its words.
    sent: Option<(String, String)>,
    /// Under which uuid the user's words were sent.
    words: BTreeMap<String, String>,
    /// What was said to go on with: to a new session also what the user had said in the one before.
    retold: BTreeSet<String>,
    /// Turns before which the user's words came.
    owed: BTreeSet<String>,
    /// What the user said during the run.
    said: Vec<String>,
    /// When the agent ended while it was needed since its last good result, milliseconds of the run.
    deaths_ms: Vec<i64>,
    /// The run's time, milliseconds.
    now_ms: i64,
    interrupted: bool,
    chose_to_end: bool,
    /// The user chose to wait at a question about tokens, perhaps for a window that is only near its limit.
    chose_to_wait: bool,
    approved: bool,
    needs_user: bool,
    /// By token; without a name where the CLI finds one by itself.
    told: BTreeMap<Option<TokenId>, Told>,
    /// When something was asked with each token since it last brought progress, milliseconds of the run.
    asked_ms: BTreeMap<Option<TokenId>, Vec<i64>>,
    /// How often in a row each was asked in vain, over all lives of ccc that the run counts on through; and how often at the most.
    in_vain: BTreeMap<Option<TokenId>, InVain>,
    /// How often in a row the judging was given up because the agent went on by itself.
    abandoned: u32,
    /// Background tasks of the session that have not ended.
    open_tasks: u32,
    /// The core's wall clock, unix milliseconds.
    now_unix_ms: i64,
    /// The wall clock at tick zero, as the core was told.
    wall_zero_ms: i64,
}

impl Laws {
    /// A user turn reached the model.
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
        if *times > 1 {
            return Err(Law::ExactlyOnce.broken(format!("turn {uuid} reached the model {times} times")));
        }
        Ok(())
    }

    /// The agent wrote a good result.
    pub(super) fn answered(&mut self) {
        self.answered.extend(self.in_turn.clone());
    }

    /// A critic said this at last. An approval counts only of one that has changed nothing: only that can be bought.
    pub(super) fn critic_said(&mut self, text: &str, innocent: bool) {
        let last = text.trim_end().lines().next_back().unwrap_or_default().trim_matches('*');
        self.approved |= innocent && last == "[TASK_COMPLETED]";
        self.needs_user |= last == "[NEEDS_USER]";
    }

    /// The project's files asked for what was not agreed to.
    pub(super) fn consent_was_missing(&mut self) {
        self.needs_user = true;
    }

    /// The judging was given up because the agent went on by itself.
    pub(super) fn abandoned(&mut self) -> Result<(), Broken> {
        self.abandoned += 1;
        match self.abandoned > MOST_ABANDONED {
            true => Err(Law::JudgedSoon.broken(format!("it is given up for the {}th time in a row", self.abandoned))),
            false => Ok(()),
        }
    }

    /// The core heard a rejection name this reset, whatever it could make of it. False when it cannot be one.
    pub(super) fn named(&mut self, token: Option<&TokenId>, resets_at_unix_ms: i64) -> bool {
        let may_be = (1..=LONGEST_RESET_MS).contains(&resets_at_unix_ms.saturating_sub(self.now_unix_ms));
        if may_be {
            self.told.entry(token.cloned()).or_default().named_ms = Some(resets_at_unix_ms);
        }
        may_be
    }

    /// The core heard a process end its turn because its token is spent until then.
    pub(super) fn spent(&mut self, token: Option<&TokenId>, resets_at_unix_ms: i64) {
        // What is past, or further away than the longest window, is no reset: what was known before stays, with its end.
        if !self.named(token, resets_at_unix_ms) {
            return;
        }
        // With a background task open the turn is not over, and the adapter keeps what it came to until its end: a
        // process that dies before it takes the limit with it, and the next request is one too many.
        if self.open_tasks > 0 {
            return;
        }
        // What a provider says now counts from now on, also where it has said the same before.
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

    /// The core heard what is known about the tokens. What is known of one without a name stays.
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

    /// The run met the refusal of a token; whatever others say of it, it has seen so.
    pub(super) fn refused(&mut self, token: &TokenId) {
        let told = self.told.entry(Some(token.clone())).or_default();
        (told.by_us, told.refused) = (true, true);
    }

    /// The user said to go on with this token, whatever its limit.
    pub(super) fn kept(&mut self, token: Option<&TokenId>) {
        self.told.entry(token.cloned()).or_default().kept = true;
    }

    /// A background task began, or ended.
    pub(super) fn task(&mut self, began: bool) {
        self.open_tasks = if began { self.open_tasks + 1 } else { self.open_tasks.saturating_sub(1) };
    }

    /// Whether something that the agent began may still be at work.
    pub(super) fn has_open_tasks(&self) -> bool {
        self.open_tasks > 0
    }

    /// The core is at this tick, and perhaps was told the time: by its clock, as far as it knows it, a reset may have
    /// passed, and has passed for good even if the clock is set back later.
    pub(super) fn time(&mut self, tick_ms: i64, told_unix_ms: Option<i64>) {
        if let Some(unix_ms) = told_unix_ms {
            self.wall_zero_ms = unix_ms - tick_ms;
        }
        self.now_ms = tick_ms;
        let now_unix_ms = self.wall_zero_ms + tick_ms;
        self.now_unix_ms = now_unix_ms;
        for told in self.told.values_mut() {
            told.until_ms = told.until_ms.filter(|&until_ms| until_ms > now_unix_ms);
            told.named_ms = told.named_ms.filter(|&named_ms| named_ms > now_unix_ms);
        }
    }

    /// Something is asked of the provider with this token.
    pub(super) fn uses(&self, token: Option<&TokenId>) -> Result<(), Broken> {
        let Some(told) = self.told.get(&token.cloned()) else { return Ok(()) };
        let name = token.map_or("the CLI's own credential", |token| token.0.as_str());
        if told.kept {
            return Ok(());
        }
        if told.refused {
            return Err(Law::SpentToken.broken(format!("{name} is used, which was refused")));
        }
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

    /// Something is asked of the model with this token, whatever came of what was asked before.
    pub(super) fn asks(&mut self, token: Option<&TokenId>, max_restarts: u32) -> Result<(), Broken> {
        let now_ms = self.now_ms;
        let asked_ms = self.asked_ms.entry(token.cloned()).or_default();
        let most = MOST_ASKED.max(usize::try_from(max_restarts).unwrap_or(0) + ASKED_AT_ONCE);
        let (times, since_ms) = (asked_ms.len(), asked_ms.last().map(|last| now_ms - last));
        asked_ms.push(now_ms);
        let in_vain = self.in_vain.entry(token.cloned()).or_default();
        in_vain.now += 1;
        in_vain.most = in_vain.most.max(in_vain.now);
        if times >= most {
            return Err(Law::AskedAgain.broken(format!("it is asked for the {}th time without an answer", times + 1)));
        }
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

    /// The core heard the model answer, if only in part.
    pub(super) fn progress(&mut self, token: Option<&TokenId>) {
        self.asked_ms.remove(&token.cloned());
        self.in_vain.entry(token.cloned()).or_default().now = 0;
    }

    /// A turn is sent to the agent.
    pub(super) fn send(&mut self, send: &Send) -> Result<(), Broken> {
        // A stop was judged, or there is something else to do.
        self.abandoned = 0;
        let uuid = &send.turn.0;
        let words = words_before_continue(&send.text);
        if let Some((before, text)) = self.sent.replace((uuid.clone(), send.text.clone()))
            && before != *uuid
        {
            if !self.taken.contains_key(&before) && send.kind == TurnKind::Operator {
                // The user's words come first; what was to be said comes after them: in the same turn where it is a word to go
                // on, else as the next one.
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
        if matches!(send.kind, TurnKind::Task | TurnKind::Operator)
            && let Some(earlier) = self.words.insert(words.unwrap_or(&send.text).to_owned(), uuid.clone())
            && earlier != *uuid
        {
            return Err(Law::WordsOnce.broken(format!("the words of turn {earlier} are said again as {uuid}")));
        }
        Ok(())
    }

    /// The user said something that the run has to pass on.
    pub(super) fn said(&mut self, text: String) {
        self.said.push(text);
    }

    /// The agent ended while it was needed.
    pub(super) fn agent_died(&mut self) {
        self.deaths_ms.push(self.now_ms);
    }

    /// A good result reached the core.
    pub(super) fn result_came(&mut self, token: Option<&TokenId>, of_agent: bool) {
        if of_agent {
            self.deaths_ms.clear();
        }
        // An account that answers takes requests.
        self.told.remove(&token.cloned());
    }

    /// A process is started.
    pub(super) fn spawn(&mut self, agent: bool, live_agents: usize, max_restarts: u32) -> Result<(), Broken> {
        if self.interrupted {
            return Err(Law::Shutdown.broken("a process is started after the user asked for the end"));
        }
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

    /// The user asked for the end.
    pub(super) fn interrupted(&mut self) {
        self.interrupted = true;
    }

    /// The user chose to end at a limit.
    pub(super) fn chose_to_end(&mut self) {
        self.chose_to_end = true;
    }

    /// The user chose to wait at a limit.
    pub(super) fn chose_to_wait(&mut self) {
        self.chose_to_wait = true;
    }

    /// ccc died or had ended, and goes on: the user wants the run again. When it had come to its end, the user
    /// may have logged in to another account: what the CLI finds by itself is tried once more. One that waits, or whose stop is
    /// judged, counts on.
    pub(super) fn resumed(&mut self, phase: &str) {
        if matches!(phase, "ending" | "finished") {
            self.told.remove(&None);
        }
        if matches!(phase, "starting" | "working" | "ending" | "finished") {
            self.in_vain.clear();
        }
        self.interrupted = false;
        (self.chose_to_end, self.chose_to_wait) = (false, false);
        self.deaths_ms.clear();
        self.asked_ms.clear();
    }

    /// What was last told stands nowhere, for the disk was full: nobody can know of it any more.
    pub(super) fn forget(&mut self) {
        self.journal_lost = true;
        // Also a turn that had made a verdict stale: the run stands where it was judged.
        self.approved = true;
        self.needs_user = true;
        self.sent = None;
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

    /// Some token was asked in vain as often as may be.
    fn gives_up(&self) -> bool {
        self.in_vain.values().any(|in_vain| in_vain.now >= MOST_ASKED)
    }

    /// A token that is spent is free again only past the bound on the run's time: such a wait is not begun.
    fn waits_past(&self, budgets: &Budgets) -> bool {
        let Some(most_ms) = budgets.max_duration_ms.and_then(|ms| i64::try_from(ms).ok()) else { return false };
        // By the clock as it was when the limit was told, or as it is now.
        let due_ms =
            |told: &Told, until_ms: i64| told.due_ms.max(self.now_ms.saturating_add(until_ms - self.now_unix_ms));
        let passes = |told: &Told| {
            let mut resets_ms = told.until_ms.into_iter().chain(told.named_ms);
            resets_ms.any(|reset_ms| due_ms(told, reset_ms) + JITTER_MS >= most_ms)
        };
        self.chose_to_wait || self.told.values().any(passes)
    }

    /// The run is over.
    pub(super) fn finish(&self, finish: &Finish, budgets: &Budgets, no_wait: bool, run_ms: u64) -> Result<(), Broken> {
        if finish.reason.trim().is_empty() {
            return Err(Law::HonestOutcome.broken(format!("{} without a reason", finish.outcome.as_str())));
        }
        if finish.waited_ms > run_ms {
            return Err(Law::Waited.broken(format!("{} ms waited in a run of {run_ms} ms", finish.waited_ms)));
        }
        let honest = match finish.outcome {
            Outcome::Completed => self.approved,
            Outcome::NeedsUser => self.needs_user,
            Outcome::Interrupted => self.interrupted,
            Outcome::Limits => no_wait || self.chose_to_end || self.gives_up() || self.waits_past(budgets),
            Outcome::Budget => {
                finish.iterations >= budgets.max_iterations
                    || budgets.max_duration_ms.is_some_and(|ms| run_ms >= ms)
                    || budgets.max_cost_usd.zip(finish.cost_usd).is_some_and(|(most, spent)| spent >= most)
            }
            Outcome::Stuck => finish.iterations > budgets.max_repeats,
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
        // Words that were said in a session that was lost are said again with what else was said there.
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
        Send { proc: ProcId(1), turn: TurnId(uuid.to_owned()), kind, text: format!("text of {uuid}") }
    }

    fn ended(outcome: Outcome) -> Finish {
        Finish { iterations: 1, ..Finish::new(outcome, "so") }
    }

    fn finish(laws: &Laws, outcome: Outcome) -> Result<(), Broken> {
        laws.finish(&ended(outcome), &BUDGETS, false, 1_000)
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

    /// A word to go on, as the core says it, after these words.
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
        let waited = |ms| law(limited.finish(&ended(Outcome::Limits), &bounded(ms), false, 1_000));
        assert_eq!((waited(900_000), waited(2_000_000)), (None, Some(Law::HonestOutcome)), "the reset is in 1,000 s");
        let told = |finish| law(laws.finish(&finish, &BUDGETS, false, 1_000));
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
                // The wall clock may say what it likes.
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
        let ends = |laws: &Laws, ms| law(laws.finish(&ended(Outcome::Limits), &bounded(ms), false, 1_000));
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
