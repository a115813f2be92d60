//! The laws' state about the user during the run: requests of the agent and their answers, waiting messages, pauses and rests. It
//! follows what the core read, what it showed and what it asked for.

use std::collections::{BTreeMap, BTreeSet};

use super::law::{Broken, Law};
use supervision::agent::{Role, TurnKind};
use supervision::core::{AskId, ProcId, RestKind, Send, SettledHow, TurnId, Unattended};

/// The tolerance for a deadline of minutes or hours: a late timer, and rounding to milliseconds.
const SLACK_MS: u64 = 10_000;
/// How long the absence of clients has no effect after the last one has detached.
const AWAY_MS: u64 = 60_000;
/// How long a stop waits for workers of which none ends.
const WORKERS_MS: u64 = 24 * 3_600_000;

/// The state of a request that the CLI made over its protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Open,
    Answered,
    /// The CLI withdrew it, or its turn ended.
    Over,
}

/// The state of a request that the user was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    OpenSince(u64),
    /// The request was open when its ccc died. The next ccc reports it as over, if its journal contains the request.
    Lost,
    Settled,
}

/// The rest of a run, as it was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rest {
    kind: RestKind,
    since_ms: u64,
}

/// The state of the user's actions during the run.
#[derive(Debug, Clone, Default)]
pub(super) struct Steering {
    /// The run's time, milliseconds.
    now_ms: u64,
    requests: BTreeMap<(ProcId, String), Request>,
    shown: BTreeMap<AskId, Shown>,
    clients: u32,
    /// Whether this is not the run's first ccc.
    began_again: bool,
    was_attended: bool,
    alone_since_ms: u64,
    /// When the rule for unattended requests was changed.
    rule_since_ms: u64,
    paused: bool,
    /// Messages that were accepted during the run and have not been sent: key and text.
    waiting: Vec<(String, String)>,
    /// Keys with which a message was accepted.
    keys: BTreeSet<String>,
    /// Keys of messages that were being written when ccc died: the journal may or may not contain them.
    perhaps: BTreeMap<String, Option<String>>,
    /// Messages that were taken back and must never be sent.
    taken_back: BTreeSet<String>,
    /// The turn that was last sent to the agent, and the process that got it; `None` once the session's record has told that the
    /// turn is not there.
    sent: Option<(ProcId, TurnId)>,
    /// Whether the user has interrupted a turn that has not ended.
    stops: bool,
    stopped_ms: u64,
    rest: Option<Rest>,
    /// Whether the run had rested unattended for long enough when its end was decided.
    ended_alone: bool,
    /// Whether the run is a conversation.
    is_conversation: bool,
    /// Whether the journal has lost entries. The resumed run may then not know some keys and messages.
    journal_lost: bool,
}

impl Steering {
    /// The state of a run that is a conversation, or has its own task.
    pub(super) fn of(is_conversation: bool) -> Steering {
        Steering { is_conversation, ..Steering::default() }
    }

    pub(super) fn time(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
    }

    /// A ccc begins: the open requests ended with their processes, no client is attached, and nothing is paused.
    pub(super) fn begins(&mut self) {
        self.requests.clear();
        for shown in self.shown.values_mut().filter(|shown| **shown != Shown::Settled) {
            *shown = Shown::Lost;
        }
        self.began_again = true;
        (self.clients, self.was_attended, self.alone_since_ms) = (0, false, self.now_ms);
        (self.paused, self.stops, self.rest, self.ended_alone) = (false, false, None, false);
    }

    /// The journal lost its last entries: the run may not know messages, and may use request numbers again.
    pub(super) fn forget(&mut self) {
        self.journal_lost = true;
        self.shown.clear();
        self.waiting.clear();
        self.keys.clear();
        self.perhaps.clear();
        self.taken_back.clear();
        self.sent = None;
    }

    pub(super) fn clients(&self) -> u32 {
        self.clients
    }

    /// Whether an interrupted turn has not ended yet.
    pub(super) fn stops(&self) -> bool {
        self.stops
    }

    /// The numbers of the requests that were shown and are not settled.
    pub(super) fn open(&self) -> impl Iterator<Item = AskId> {
        self.shown.iter().filter(|(_, shown)| matches!(shown, Shown::OpenSince(_))).map(|(id, _)| *id)
    }

    /// Records that the core read a request of the CLI.
    pub(super) fn asked(&mut self, proc: ProcId, request_id: &str) {
        self.requests.insert((proc, request_id.to_owned()), Request::Open);
    }

    /// Records that the core read the withdrawal of a request.
    pub(super) fn withdrawn(&mut self, proc: ProcId, request_id: &str) {
        if let Some(request) = self.requests.get_mut(&(proc, request_id.to_owned())) {
            *request = Request::Over;
        }
    }

    /// Records that the core read the end of this process.
    pub(super) fn gone(&mut self, proc: ProcId) {
        self.requests.retain(|(of, _), _| *of != proc);
    }

    /// Checks and records the core's answer to a request.
    pub(super) fn answers(&mut self, proc: ProcId, request_id: &str) -> Result<(), Broken> {
        match self.requests.get_mut(&(proc, request_id.to_owned())) {
            Some(request @ Request::Open) => {
                *request = Request::Answered;
                Ok(())
            }
            Some(Request::Answered) => {
                Err(Law::AskedOnce.broken(format!("request {request_id} of process {proc} is answered twice")))
            }
            Some(Request::Over) => Err(Law::AskedOnce
                .broken(format!("request {request_id} of process {proc} is answered, which was taken back"))),
            None => Err(Law::AskedOnce
                .broken(format!("request {request_id} of process {proc} is answered, which is not there"))),
        }
    }

    /// Checks and records that the user is shown a request.
    pub(super) fn shown(&mut self, ask: AskId) -> Result<(), Broken> {
        match self.shown.insert(ask, Shown::OpenSince(self.now_ms)) {
            Some(Shown::OpenSince(_) | Shown::Settled) => {
                Err(Law::AskedOnce.broken(format!("request {} is shown twice", ask.0)))
            }
            Some(Shown::Lost) | None => Ok(()),
        }
    }

    /// Checks and records that the user is shown the end of a request.
    pub(super) fn settled(&mut self, ask: AskId, how: SettledHow) -> Result<(), Broken> {
        let is_gone = how == SettledHow::Gone;
        let was_open = match self.shown.insert(ask, Shown::Settled) {
            Some(Shown::OpenSince(_)) => true,
            Some(Shown::Lost) => is_gone,
            Some(Shown::Settled) => false,
            // ccc may have died before it showed what its journal contains.
            None => is_gone && self.began_again,
        };
        Law::AskedOnce.broken_if(!was_open, || format!("request {} is settled, which is not open", ask.0))?;
        if how == SettledHow::Policy && self.clients > 0 {
            let what = format!("request {} is denied for want of somebody, and {} attend", ask.0, self.clients);
            return Err(Law::NobodyDenies.broken(what));
        }
        Ok(())
    }

    /// Checks the reply to the user's answer: that it counts, or that the request is not open.
    pub(super) fn ruled(&self, ask: AskId, was_open: bool, counts: bool) -> Result<(), Broken> {
        let is_open = self.open().any(|open| open == ask);
        match (counts, was_open) {
            (true, false) => Err(Law::AskedOnce.broken(format!("a ruling of request {} counts, not open", ask.0))),
            (false, true) if is_open => {
                Err(Law::AskedOnce.broken(format!("request {} is open, and the user is told that it is not", ask.0)))
            }
            (true | false, _) => Ok(()),
        }
    }

    /// Records the number of attached clients.
    pub(super) fn attended(&mut self, clients: u32) {
        if self.clients > 0 && clients == 0 {
            self.alone_since_ms = self.now_ms;
        }
        self.was_attended |= clients != self.clients;
        self.clients = clients;
    }

    /// Records a change of the rule for unattended requests.
    pub(super) fn rule_changed(&mut self) {
        self.rule_since_ms = self.now_ms;
    }

    /// Records that the user has paused the run, or ended the pause.
    pub(super) fn paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Checks the start of a process.
    pub(super) fn spawns(&self, role: Role) -> Result<(), Broken> {
        match self.paused {
            true => Err(Law::Paused.broken(format!("the run is paused, and a process is started: {role:?}"))),
            false => Ok(()),
        }
    }

    /// Checks the start of a check.
    pub(super) fn checks(&self) -> Result<(), Broken> {
        if self.paused { Err(Law::Paused.broken("the run is paused, and a check is started")) } else { Ok(()) }
    }

    /// Records a message of the user with this key: it waits, or it was accepted before. Returns whether the laws learn only now
    /// that it was accepted.
    pub(super) fn said(&mut self, key: &str, text: &str, waits: bool) -> Result<bool, Broken> {
        let is_known = self.keys.contains(key);
        match (waits, is_known) {
            (true, true) => Err(Law::WordsOnce.broken(format!("the words under {key} are taken in twice"))),
            (true, false) => {
                self.keys.insert(key.to_owned());
                self.waiting.push((key.to_owned(), text.to_owned()));
                Ok(false)
            }
            (false, false) if self.perhaps.remove(key).is_some() => {
                self.keys.insert(key.to_owned());
                Ok(true)
            }
            (false, false) if !self.journal_lost => {
                Err(Law::WordsKept.broken(format!("{key} is called known, and its words never came in")))
            }
            (false, _) => Ok(false),
        }
    }

    /// ccc died while it wrote this message, or its withdrawal, to the journal. Returns the text if the message was waiting.
    pub(super) fn perhaps(&mut self, key: &str) -> Option<String> {
        let at = self.waiting.iter().position(|(waiting, _)| waiting == key);
        let text = at.map(|at| self.waiting.remove(at).1);
        // Words that were sent can be neither said again nor taken back.
        if text.is_some() || !self.keys.contains(key) {
            self.perhaps.insert(key.to_owned(), text.clone());
        }
        text
    }

    /// Records that the message with this key was taken back. Returns its text.
    pub(super) fn takes_back(&mut self, key: &str) -> Result<Option<String>, Broken> {
        let at = self.waiting.iter().position(|(waiting, _)| waiting == key);
        match at.map(|at| self.waiting.remove(at)) {
            Some((_, text)) => {
                self.taken_back.insert(text.clone());
                Ok(Some(text))
            }
            None if self.journal_lost => Ok(None),
            None if let Some(text) = self.perhaps.remove(key) => {
                self.taken_back.extend(text);
                Ok(None)
            }
            None => Err(Law::WordsOnce.broken(format!("{key} is taken back, and its words were sent before"))),
        }
    }

    /// Checks the reply that it is too late to take this message back: it was sent, or is the next to be sent.
    pub(super) fn is_too_late(&mut self, key: &str) -> Result<(), Broken> {
        Law::WordsOnce.broken_if(self.waiting.iter().skip(1).any(|(waiting, _)| waiting == key), || {
            format!("{key} waits behind other words, and cannot be taken back")
        })?;
        Ok(())
    }

    /// Records that the core read the end of this process, or of ccc and so of all processes (`None`), and whether the session's
    /// record has the turn that was sent last.
    pub(super) fn record_told(&mut self, proc: Option<ProcId>, has_turn: Option<bool>) {
        self.sent.take_if(|(to, _)| has_turn == Some(false) && proc.is_none_or(|proc| proc == *to));
    }

    /// Checks and records a turn that is sent to the agent or a critic.
    pub(super) fn sends(&mut self, role: Role, send: &Send) -> Result<(), Broken> {
        if role == Role::Critic {
            return Ok(());
        }
        let (kind, text) = (send.kind, send.text.as_str());
        self.rest = None;
        // An interruption is about the turn that runs.
        self.stops = false;
        let before = self.sent.replace((send.proc, send.turn.clone()));
        let may_be_there = before.is_some_and(|(_, turn)| turn == send.turn);
        Law::Paused.broken_if(self.paused, || format!("the run is paused, and a turn is sent ({kind:?})"))?;
        if let Some(taken_back) = self.taken_back.iter().find(|taken_back| text.contains(taken_back.as_str())) {
            return Err(Law::WordsOnce.broken(format!("what the user took back is said: {taken_back}")));
        }
        if matches!(kind, TurnKind::Feedback | TurnKind::CheckFailure)
            && !may_be_there
            && let Some((key, _)) = self.waiting.first()
        {
            return Err(Law::UserFirst.broken(format!("{kind:?} is sent, and the words under {key} wait")));
        }
        // Messages are sent in order: the turn contains the first waiting one, or none.
        if self.waiting.iter().skip(1).any(|(_, waiting)| text.contains(waiting.as_str()))
            && !self.waiting.first().is_some_and(|(_, first)| text.contains(first.as_str()))
        {
            return Err(Law::UserFirst.broken("later words of the user are sent before earlier ones"));
        }
        self.waiting.retain(|(_, waiting)| !text.contains(waiting.as_str()));
        self.perhaps.retain(|_, waiting| !waiting.as_ref().is_some_and(|waiting| text.contains(waiting.as_str())));
        Ok(())
    }

    /// Records that the core interrupts the turn for the user. The interruption is over when the turn ends, or its process if that
    /// is being ended.
    pub(super) fn stops_turn(&mut self) {
        (self.stops, self.stopped_ms) = (true, self.now_ms);
    }

    pub(super) fn turn_is_over(&mut self) {
        self.stops = false;
    }

    /// Checks the end of a process that does not end the turn that the user interrupted.
    pub(super) fn ended_for_stop(&self, grace_ms: u64) -> Result<(), Broken> {
        if self.now_ms < self.stopped_ms + grace_ms {
            let what = format!("{} ms after the interruption of its turn", self.now_ms - self.stopped_ms);
            return Err(Law::FalseKill.broken(what));
        }
        Ok(())
    }

    /// Records that the user is shown that the run rests.
    pub(super) fn rests(&mut self, kind: RestKind) {
        self.rest = Some(Rest { kind, since_ms: self.now_ms });
    }

    /// Records that the end of the run is decided. A client that attaches later does not prevent it.
    pub(super) fn ends(&mut self, patience_ms: u64) {
        self.ended_alone = self.rested_out(patience_ms);
    }

    /// Whether a run that ends as interrupted had rested unattended for long enough.
    pub(super) fn rested_out(&self, patience_ms: u64) -> bool {
        self.ended_alone || self.rest.is_some_and(|rest| self.alone_ms(rest) >= self.patience_ms(rest, patience_ms))
    }

    /// How long a rest has been unattended.
    fn alone_ms(&self, rest: Rest) -> u64 {
        if self.clients > 0 { 0 } else { self.now_ms - rest.since_ms.max(self.alone_since_ms) }
    }

    fn patience_ms(&self, rest: Rest, patience_ms: u64) -> u64 {
        match rest.kind {
            RestKind::Judged | RestKind::TakenUp => AWAY_MS,
            RestKind::NoTask if self.was_attended => AWAY_MS,
            RestKind::Interrupted | RestKind::Unsupervised if !self.is_conversation => AWAY_MS,
            RestKind::NoTask | RestKind::Interrupted | RestKind::Unsupervised | RestKind::Paused => patience_ms,
            RestKind::Workers => WORKERS_MS,
        }
    }

    /// Checks that no request is open, and no run rests, for longer than allowed. `rests`: the run reports that it rests.
    pub(super) fn passes(&self, unattended: Option<Unattended>, rests: bool, patience_ms: u64) -> Result<(), Broken> {
        if self.clients > 0 {
            return Ok(());
        }
        let most_ms = match unattended {
            None => 0,
            Some(Unattended::Deny) => AWAY_MS,
            Some(Unattended::Wait { timeout_ms }) => timeout_ms.max(AWAY_MS),
        };
        for (ask, shown) in &self.shown {
            let Shown::OpenSince(since_ms) = shown else { continue };
            let open_ms = self.now_ms - (*since_ms).max(self.alone_since_ms);
            if open_ms > most_ms + SLACK_MS && self.now_ms > self.rule_since_ms + SLACK_MS {
                let what = format!("request {} is open for {open_ms} ms, and nobody attends", ask.0);
                return Err(Law::NobodyDenies.broken(what));
            }
        }
        if let Some(rest) = self.rest.filter(|_| rests) {
            let (alone_ms, most_ms) = (self.alone_ms(rest), self.patience_ms(rest, patience_ms));
            if alone_ms > most_ms + SLACK_MS {
                let what = format!("it rests ({:?}) for {alone_ms} ms, and nobody attends", rest.kind);
                return Err(Law::RestsForSomebody.broken(what));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{AWAY_MS, SLACK_MS, Steering};
    use crate::law::{Broken, Law};
    use supervision::agent::{Role, TurnKind};
    use supervision::core::{AskId, ProcId, RestKind, Send, SettledHow, TurnId, Unattended};

    const PROC: ProcId = ProcId(1);
    const HOUR_MS: u64 = 3_600_000;

    fn law<T>(broken: Result<T, Broken>) -> Option<Law> {
        broken.err().map(|broken| broken.law)
    }

    fn turn(kind: TurnKind, text: &str) -> Send {
        Send { proc: PROC, turn: TurnId(format!("id of {text}")), kind, text: text.to_owned(), images: Vec::new() }
    }

    #[test]
    fn a_request_is_answered_once_or_taken_back_or_gone() {
        let mut steering = Steering::default();
        assert_eq!(law(steering.answers(PROC, "r")), Some(Law::AskedOnce), "it was never asked");
        steering.asked(PROC, "r");
        assert_eq!(law(steering.answers(PROC, "r")), None);
        assert_eq!(law(steering.answers(PROC, "r")), Some(Law::AskedOnce), "twice");
        steering.asked(PROC, "s");
        steering.withdrawn(PROC, "s");
        assert_eq!(law(steering.answers(PROC, "s")), Some(Law::AskedOnce), "it was taken back");
        steering.asked(PROC, "t");
        steering.gone(PROC);
        assert_eq!(law(steering.answers(PROC, "t")), Some(Law::AskedOnce), "its process is gone");
    }

    #[test]
    fn a_request_is_shown_and_settled_once_and_a_ruling_is_told_what_came_of_it() {
        let (mut steering, ask) = (Steering::default(), AskId(1));
        assert_eq!(law(steering.clone().settled(ask, SettledHow::Denied)), Some(Law::AskedOnce), "nobody was asked");
        assert_eq!(law(steering.shown(ask)), None);
        assert_eq!(law(steering.clone().shown(ask)), Some(Law::AskedOnce), "twice");
        assert_eq!(law(steering.ruled(ask, true, false)), Some(Law::AskedOnce), "it is open");
        assert_eq!(law(steering.settled(ask, SettledHow::Allowed)), None);
        assert_eq!(law(steering.ruled(ask, true, true)), None);
        assert_eq!(law(steering.ruled(ask, false, true)), Some(Law::AskedOnce), "it is settled");
        assert_eq!(law(steering.settled(ask, SettledHow::Denied)), Some(Law::AskedOnce), "twice");
    }

    #[test]
    fn a_request_waits_for_as_long_as_somebody_attends_and_no_longer_than_the_rule_says() {
        for (unattended, most_ms) in [
            (Some(Unattended::Deny), AWAY_MS),
            (Some(Unattended::Wait { timeout_ms: 1_000 }), AWAY_MS),
            (Some(Unattended::Wait { timeout_ms: HOUR_MS }), HOUR_MS),
            (None, 0),
        ] {
            let mut steering = Steering::default();
            steering.attended(1);
            steering.shown(AskId(1)).expect("shown");
            steering.time(10 * HOUR_MS);
            assert_eq!(law(steering.passes(unattended, false, 0)), None, "somebody attends");
            assert_eq!(law(steering.clone().settled(AskId(1), SettledHow::Policy)), Some(Law::NobodyDenies));
            steering.attended(0);
            steering.time(10 * HOUR_MS + most_ms + SLACK_MS);
            assert_eq!(law(steering.passes(unattended, false, 0)), None, "{unattended:?}");
            steering.time(10 * HOUR_MS + most_ms + SLACK_MS + 1);
            assert_eq!(law(steering.passes(unattended, false, 0)), Some(Law::NobodyDenies), "{unattended:?}");
            assert_eq!(law(steering.settled(AskId(1), SettledHow::Policy)), None);
        }
    }

    #[test]
    fn the_users_words_go_first_in_their_order_once_and_not_at_all_when_they_were_taken_back() {
        let send = |steering: &mut Steering, kind, text: &str| law(steering.sends(Role::Agent, &turn(kind, text)));
        let mut steering = Steering::default();
        for (key, text) in [("a", "Use tabs."), ("b", "Add tests."), ("c", "In English.")] {
            assert_eq!(law(steering.said(key, text, true)), None);
        }
        assert_eq!(law(steering.clone().said("a", "Use tabs.", true)), Some(Law::WordsOnce), "twice under one key");
        assert_eq!(law(steering.clone().said("d", "More.", false)), Some(Law::WordsKept), "nobody has said that");
        assert_eq!(law(steering.said("a", "Use tabs.", false)), None);
        assert_eq!(steering.clone().perhaps("e"), None, "ccc died at it");
        let mut unsure = steering.clone();
        unsure.perhaps("e");
        assert_eq!(unsure.said("e", "Perhaps.", false), Ok(true));
        for kind in [TurnKind::Feedback, TurnKind::CheckFailure] {
            assert_eq!(send(&mut steering.clone(), kind, "Mend it."), Some(Law::UserFirst), "{kind:?}");
        }
        assert_eq!(law(steering.clone().sends(Role::Critic, &turn(TurnKind::Brief, "Judge."))), None);
        assert_eq!(send(&mut steering.clone(), TurnKind::Operator, "Add tests."), Some(Law::UserFirst), "out of order");
        assert_eq!(send(&mut steering, TurnKind::Operator, "Use tabs."), None);
        assert_eq!(law(steering.takes_back("a")), Some(Law::WordsOnce), "it was sent");
        assert_eq!(law(steering.is_too_late("a")), None);
        assert_eq!(law(steering.is_too_late("c")), Some(Law::WordsOnce), "it waits");
        assert_eq!(steering.takes_back("b"), Ok(Some("Add tests.".to_owned())));
        assert_eq!(send(&mut steering.clone(), TurnKind::Operator, "Add tests."), Some(Law::WordsOnce), "taken back");
        assert_eq!(send(&mut steering, TurnKind::Operator, "In English."), None);
        assert_eq!(send(&mut steering, TurnKind::Feedback, "Mend it."), None);
    }

    /// Seeds 15973 and 17539.
    #[test]
    fn feedback_that_may_stand_in_the_session_goes_again_before_the_users_words_and_no_other_does() {
        let feedback = turn(TurnKind::Feedback, "Mend it.");
        let again = |ends: &[(Option<ProcId>, Option<bool>)], send: &Send| {
            let mut steering = Steering::default();
            assert_eq!(law(steering.sends(Role::Agent, &feedback)), None);
            assert_eq!(law(steering.said("a", "Use tabs.", true)), None);
            for (proc, has_turn) in ends {
                steering.record_told(*proc, *has_turn);
            }
            law(steering.sends(Role::Agent, send))
        };
        for of_ccc in [None, Some(PROC)] {
            assert_eq!(again(&[(of_ccc, None)], &feedback), None, "nobody knows");
            assert_eq!(again(&[(of_ccc, Some(false))], &feedback), Some(Law::UserFirst), "it is not there");
        }
        assert_eq!(again(&[(Some(ProcId(2)), Some(false))], &feedback), None, "a critic's end tells nothing");
        assert_eq!(again(&[], &turn(TurnKind::Feedback, "Test it.")), Some(Law::UserFirst), "another turn");
    }

    #[test]
    fn an_interruption_is_about_the_turn_that_runs() {
        let mut steering = Steering::default();
        steering.stops_turn();
        assert!(steering.stops());
        assert_eq!(law(steering.sends(Role::Agent, &turn(TurnKind::Operator, "x"))), None);
        assert!(!steering.stops(), "a later turn");
    }

    #[test]
    fn nothing_begins_while_a_run_is_paused() {
        let mut steering = Steering::default();
        steering.paused(true);
        assert_eq!(law(steering.spawns(Role::Agent)), Some(Law::Paused));
        assert_eq!(law(steering.spawns(Role::Critic)), Some(Law::Paused));
        assert_eq!(law(steering.checks()), Some(Law::Paused));
        assert_eq!(law(steering.sends(Role::Agent, &turn(TurnKind::Operator, "x"))), Some(Law::Paused));
        assert_eq!(law(steering.sends(Role::Critic, &turn(TurnKind::Brief, "x"))), None, "a critic that runs is asked");
        steering.paused(false);
        assert_eq!(law(steering.spawns(Role::Agent)), None);
        assert_eq!(law(steering.checks()), None);
        steering.paused(true);
        steering.begins();
        assert_eq!(law(steering.spawns(Role::Agent)), None, "a pause does not outlive its ccc");
    }

    #[test]
    fn a_run_rests_while_somebody_attends_or_within_its_patience() {
        for (conversation, kind, attended, most_ms) in [
            (true, RestKind::Judged, true, AWAY_MS),
            (true, RestKind::NoTask, true, AWAY_MS),
            (true, RestKind::NoTask, false, HOUR_MS),
            (true, RestKind::Interrupted, true, HOUR_MS),
            (false, RestKind::Interrupted, true, AWAY_MS),
            (false, RestKind::Unsupervised, false, AWAY_MS),
            (true, RestKind::Paused, false, HOUR_MS),
        ] {
            let mut steering = Steering::of(conversation);
            steering.attended(u32::from(attended));
            steering.rests(kind);
            if attended {
                steering.time(9 * HOUR_MS);
                assert_eq!(law(steering.passes(None, true, HOUR_MS)), None, "{kind:?}");
                assert!(!steering.rested_out(HOUR_MS));
                steering.attended(0);
            }
            let from_ms = if attended { 9 * HOUR_MS } else { 0 };
            steering.time(from_ms + most_ms);
            assert!(steering.rested_out(HOUR_MS), "{kind:?}");
            steering.time(from_ms + most_ms + SLACK_MS + 1);
            assert_eq!(law(steering.passes(None, false, HOUR_MS)), None, "it works again");
            assert_eq!(law(steering.passes(None, true, HOUR_MS)), Some(Law::RestsForSomebody), "{kind:?}");
        }
    }
}
