//! The user turns of the session and how far the present one has been delivered (design §5, "Exactly-once turns").

use std::collections::VecDeque;

use super::{ProcId, TurnId, derive_uuid};
use crate::agent::TurnKind;

/// How far a turn has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Not written to any process, or to one that died before it acknowledged.
    Queued,
    /// Written to this process, not acknowledged.
    Sent(ProcId),
    /// Acknowledged by this process: it stands in the session.
    Accepted(ProcId),
}

/// A turn that is not answered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) id: TurnId,
    pub(super) kind: TurnKind,
    pub(super) text: String,
    pub(super) delivery: Delivery,
    /// It was written to a process that is gone, so it may or may not be in the session.
    pub(super) is_doubtful: bool,
}

impl Turn {
    /// It goes on with the turn before, which was broken off.
    pub(super) fn goes_on(&self) -> bool {
        matches!(self.kind, TurnKind::Continue | TurnKind::Compact)
    }
}

/// Said when the present turn was cut off, by a restart or by a passing failure of the provider.
/// The agent must not repeat what may have had its effects already (lessons, "Hangs": resumed agents repeat work).
const CONTINUE_AFTER_RESTART: &str = "Your process ended before you had finished your last turn, and the session was \
resumed. Go on with the work from where you were. The last command or edit before the interruption may already have \
had its effects, wholly or in part, even if you see no result of it: check what is there first, and do not repeat it \
blindly.";
const CONTINUE_AFTER_FAILURE: &str = "Your last turn was cut off because a request to the service was not answered (it \
failed, was limited, or was refused for reasons of the account), not by anything you did. It is tried again now. Go on with the work from where you were; check first what of it is already done.";

/// As it was said before it named a limit and a refusal.
const CONTINUED_AFTER_FAILURE: &str = "Your last turn was cut off by a failure of the service, not by anything you did. \
It should work again now. Go on with the work from where you were; check first what of it is already done.";

const CONTINUE_IN_PARTS: &str = "Your last answer was cut off: it was longer than one answer may be, and what was cut off \
is lost. Go on with the work from where you were, and write less at a time: one file or one part of a file in each tool \
call, and short texts between them. Check first what of it is already done.";

/// What the user says in a turn that also says to go on.
pub fn words_before_continue(text: &str) -> Option<&str> {
    let before = |words| text.strip_suffix(words).and_then(|text| text.strip_suffix("\n\n"));
    // Sessions of earlier versions hold the third.
    let known = [CONTINUE_AFTER_RESTART, CONTINUE_AFTER_FAILURE, CONTINUED_AFTER_FAILURE, CONTINUE_IN_PARTS];
    known.into_iter().find_map(before).or_else(|| {
        let (words, told) = text.split_once(IN_NEW_SESSION)?;
        told.ends_with(GO_ON).then(|| {
            words.strip_suffix(
                "

",
            )
        })?
    })
}

/// How a new session begins that is told what was said in the one before, and how that ends.
const IN_NEW_SESSION: &str = "The session in which this work was begun cannot be continued; this is a new one. The work that \
was done in it is on disk. Look at what is there first, and do not begin anew.\n";
const GO_ON: &str = "\nGo on with the work.";

/// Why a turn has to be continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CutOff {
    /// The process ended.
    Restart,
    /// The provider failed.
    Failure,
    /// The answer was longer than one may be.
    TooLong,
}

/// All that was said to the agent.
#[derive(Debug, Clone)]
pub(super) struct Conversation {
    seed: String,
    next: u32,
    current: Option<Turn>,
    queue: VecDeque<Turn>,
    /// A turn before which the user had something to say. It is listed already.
    postponed: Option<Turn>,
    said: Vec<(TurnKind, String)>,
    /// What the run had cost when the present turn was first said, and which that is.
    cost_before: f64,
    costed: Option<TurnId>,
}

impl Conversation {
    pub(super) fn new(seed: &str) -> Conversation {
        Conversation {
            seed: seed.to_owned(),
            next: 1,
            current: None,
            queue: VecDeque::new(),
            postponed: None,
            said: Vec::new(),
            cost_before: 0.0,
            costed: None,
        }
    }

    /// The same, in a session in which the user has said this before.
    pub(super) fn after(mut self, earlier: &[String]) -> Conversation {
        self.said.extend(earlier.iter().map(|text| (TurnKind::Operator, text.clone())));
        self
    }

    /// Makes this the present turn. What the user and the critic said is listed for later briefs; *continue* is not.
    pub(super) fn begin(&mut self, kind: TurnKind, text: String) {
        let turn = self.make(kind, text);
        self.take_up(turn);
    }

    /// Queues something the user said while a turn runs.
    pub(super) fn queue(&mut self, text: String) {
        let turn = self.make(TurnKind::Operator, text);
        self.queue.push_back(turn);
    }

    /// Makes the next queued turn the present one; false when nothing is queued.
    pub(super) fn begin_queued(&mut self) -> bool {
        if let Some(turn) = self.postponed.take() {
            self.current = Some(turn);
            return true;
        }
        match self.queue.pop_front() {
            Some(turn) => {
                self.take_up(turn);
                true
            }
            None => false,
        }
    }

    /// Adds this to the present turn, where nobody has heard it yet.
    pub(super) fn add_to_unsaid(&mut self, text: &str) {
        if let Some(turn) = self.current.as_mut().filter(|turn| turn.delivery == Delivery::Queued && !turn.is_doubtful)
        {
            turn.text.push_str("\n\n");
            turn.text.push_str(text);
        }
    }

    pub(super) fn current(&self) -> Option<&Turn> {
        self.current.as_ref()
    }

    pub(super) fn has_queued(&self) -> bool {
        !self.queue.is_empty() || self.postponed.is_some()
    }

    /// All turns that the user and the critic have said, in order.
    pub(super) fn said(&self) -> &[(TurnKind, String)] {
        &self.said
    }

    /// The present turn was written to this process, when the run had cost so much.
    pub(super) fn sent(&mut self, proc: ProcId, spent_usd: f64) {
        let Some(turn) = &mut self.current else { return };
        turn.delivery = Delivery::Sent(proc);
        if !turn.goes_on() && self.costed.as_ref() != Some(&turn.id) {
            self.cost_before = spent_usd;
            self.costed = Some(turn.id.clone());
        }
    }

    /// What the run had cost when the present turn, or the one that it goes on with, was first said.
    pub(super) fn cost_before(&self) -> f64 {
        self.cost_before
    }

    /// The present turn was acknowledged; false when it is not the present one.
    pub(super) fn accepted(&mut self, id: &TurnId, proc: ProcId) -> bool {
        match &mut self.current {
            Some(turn) if turn.id == *id => {
                turn.delivery = Delivery::Accepted(proc);
                true
            }
            Some(_) | None => false,
        }
    }

    /// The present turn was answered.
    pub(super) fn answered(&mut self) {
        self.current = None;
    }

    /// The present turn stands in the session but will not be answered: say *continue* under a new uuid. What the user
    /// has said meanwhile comes first, in the same turn: it may change what is to be continued.
    pub(super) fn cut_off(&mut self, why: CutOff) {
        let text = match why {
            CutOff::Restart => CONTINUE_AFTER_RESTART,
            CutOff::Failure => CONTINUE_AFTER_FAILURE,
            CutOff::TooLong => CONTINUE_IN_PARTS,
        };
        if !self.words_before(text) {
            let turn = self.make(TurnKind::Continue, text.to_owned());
            self.take_up(turn);
        }
    }

    /// Says what the user has said meanwhile and this after it, in one turn; false when the user has said nothing.
    fn words_before(&mut self, text: &str) -> bool {
        let Some(mut turn) = self.queue.pop_front() else { return false };
        self.said.push((turn.kind, turn.text.clone()));
        turn.text = format!("{}\n\n{text}", turn.text);
        self.current = Some(turn);
        true
    }

    /// The process to which the present turn was sent is gone: what does not stand in the session is said again under
    /// the same uuid, what does is continued. True when there is something to deliver.
    ///
    /// `recorded` is what the session's own record says of the turn. It outweighs the acknowledgement: the CLI may die
    /// between the two, in either order, and 2.1.329 does not recognise the uuid of a turn that stands there unanswered.
    pub(super) fn process_lost(&mut self, recorded: Option<bool>) -> bool {
        let Some(turn) = self.current.as_mut() else { return false };
        match (turn.delivery, recorded) {
            (Delivery::Queued, _) => {}
            (Delivery::Sent(_), Some(true)) | (Delivery::Accepted(_), Some(true) | None) => {
                self.cut_off(CutOff::Restart)
            }
            (Delivery::Sent(_), Some(false) | None) | (Delivery::Accepted(_), Some(false)) => {
                turn.delivery = Delivery::Queued;
                turn.is_doubtful = recorded.is_none();
            }
        }
        self.user_first();
        true
    }

    /// What the user has said meanwhile comes before a turn that is still to be said, which keeps its uuid and comes
    /// next. The task stays first: without it the agent would not know what the words are about. So does a turn that may
    /// stand in the session unanswered.
    fn user_first(&mut self) {
        let unsaid = |turn: &&Turn| turn.delivery == Delivery::Queued && !turn.is_doubtful;
        let Some(turn) = self.current.as_ref().filter(unsaid) else { return };
        match turn.kind {
            TurnKind::Continue => {
                // Its own text is kept: to a new session it also says what the old one was told.
                let text = turn.text.clone();
                self.words_before(&text);
            }
            TurnKind::Feedback | TurnKind::CheckFailure => {
                if let Some(words) = self.queue.pop_front() {
                    self.postponed = self.current.take();
                    self.take_up(words);
                }
            }
            TurnKind::Task | TurnKind::Operator | TurnKind::Compact | TurnKind::Brief => {}
        }
    }

    /// The present turn when it was given to a process and is not answered.
    pub(super) fn unanswered(&self) -> Option<&TurnId> {
        self.current.as_ref().filter(|turn| turn.delivery != Delivery::Queued).map(|turn| &turn.id)
    }

    /// The session turned out not to exist any more (the CLI had not written it yet when it was killed): what was said
    /// in it would be unknown to a new one, so it is said again. A *continue* alone would leave the new session without
    /// the very turn that it is to continue.
    pub(super) fn session_lost(&mut self) {
        let Some(turn) = &self.current else { return };
        let continued = matches!(turn.kind, TurnKind::Continue | TurnKind::Compact);
        let Some(((kind, present), earlier)) = self.said.split_last() else { return };
        if earlier.is_empty() && !continued {
            return;
        }
        let kind = *kind;
        let mut text = String::new();
        if earlier.is_empty() {
            text.push_str(present);
            text.push_str("\n\n(A session in which this was begun was lost before it was saved.");
            text.push_str(" Files may have been changed already: look at what is there first.)");
        } else {
            text.push_str("The session was lost before it was saved; this is what was said in it so far.\n");
            for (kind, said) in earlier {
                let who = match kind {
                    TurnKind::Task | TurnKind::Operator => "The user",
                    TurnKind::Feedback => "The reviewer",
                    TurnKind::CheckFailure => "The checks",
                    TurnKind::Continue | TurnKind::Compact | TurnKind::Brief => continue,
                };
                text.push_str(&format!("\n{who}:\n{said}\n"));
            }
            text.push_str("\nFiles may have been changed already: look at what is there first. And now:\n");
            text.push_str(present);
        }
        let turn = self.make(kind, text);
        self.current = Some(turn);
    }

    /// The provider rejects the session: a new one is told what the user said, the last feedback, and that the work is on
    /// disk. What the agent said in the old one is what may be rejected, so it is left there.
    pub(super) fn session_rejected(&mut self, last_feedback: Option<&str>) {
        let mut text = IN_NEW_SESSION.to_owned();
        for (_, said) in self.said.iter().filter(|(kind, _)| matches!(kind, TurnKind::Task | TurnKind::Operator)) {
            text.push_str(&format!("\nThe user said:\n{said}\n"));
        }
        let unsaid = self.current.as_ref().filter(|turn| !matches!(turn.kind, TurnKind::Continue | TurnKind::Compact));
        let feedback = unsaid
            .filter(|turn| matches!(turn.kind, TurnKind::Feedback | TurnKind::CheckFailure))
            .map(|turn| turn.text.as_str())
            .or(last_feedback);
        if let Some(feedback) = feedback {
            text.push_str(&format!("\nThe last review of the work said:\n{feedback}\n"));
        }
        text.push_str(GO_ON);
        let turn = self.make(TurnKind::Continue, text);
        self.current = Some(turn);
    }

    /// See [`Core::user_words_to_say`](super::Core::user_words_to_say).
    pub(super) fn user_words_to_say(&self, recorded: Option<bool>, all: bool) -> Vec<&str> {
        let of_user = |kind: TurnKind| matches!(kind, TurnKind::Task | TurnKind::Operator);
        let is_unsaid = |turn: &&Turn| match turn.delivery {
            Delivery::Queued => true,
            Delivery::Sent(_) => recorded != Some(true),
            Delivery::Accepted(_) => recorded == Some(false),
        };
        let said = self.said.iter().filter(|_| all).map(|(kind, text)| (*kind, text));
        // A turn that goes on with another one may hold what the user said before.
        let present = self.current.iter().filter(is_unsaid).map(|turn| {
            let kind = if turn.kind == TurnKind::Continue { TurnKind::Operator } else { turn.kind };
            (kind, &turn.text)
        });
        let later = self.queue.iter().map(|turn| (turn.kind, &turn.text));
        let mut words: Vec<&str> = Vec::new();
        for (kind, text) in said.chain(present).chain(later) {
            if of_user(kind) && !words.contains(&text.as_str()) {
                words.push(text);
            }
        }
        words
    }

    /// This counts instead of each of these texts. True when it takes the place of one that is still to be said, and so will be
    /// said.
    pub(super) fn restate(&mut self, text: &str, instead_of: &[String]) -> bool {
        let is_meant = |said: &String| instead_of.contains(said);
        let mut listed = false;
        self.said.retain_mut(|(_, said)| {
            if !is_meant(said) {
                return true;
            }
            *said = text.to_owned();
            !std::mem::replace(&mut listed, true)
        });
        let mut will_be_said = false;
        if let Some(turn) = self.current.take_if(|turn| is_meant(&turn.text)) {
            let kind = if turn.kind == TurnKind::Task { TurnKind::Task } else { TurnKind::Operator };
            let turn = self.make(kind, text.to_owned());
            self.current = Some(turn);
            will_be_said = true;
        }
        let before = self.queue.len();
        self.queue.retain(|turn| !is_meant(&turn.text));
        if self.queue.len() < before && !will_be_said {
            let turn = self.make(TurnKind::Operator, text.to_owned());
            self.queue.push_front(turn);
            will_be_said = true;
        }
        will_be_said
    }

    fn make(&mut self, kind: TurnKind, text: String) -> Turn {
        let id = TurnId(derive_uuid(&self.seed, "turn", self.next));
        self.next += 1;
        Turn { id, kind, text, delivery: Delivery::Queued, is_doubtful: false }
    }

    fn take_up(&mut self, turn: Turn) {
        match turn.kind {
            TurnKind::Task | TurnKind::Operator | TurnKind::Feedback | TurnKind::CheckFailure => {
                self.said.push((turn.kind, turn.text.clone()));
            }
            TurnKind::Continue | TurnKind::Compact | TurnKind::Brief => {}
        }
        self.current = Some(turn);
    }
}

#[cfg(test)]
mod tests {
    use super::{Conversation, CutOff, Delivery, words_before_continue};
    use crate::agent::TurnKind;
    use crate::core::ProcId;

    #[test]
    fn an_unacknowledged_turn_is_said_again_under_the_same_uuid() {
        let mut turns = Conversation::new("s");
        turns.begin(TurnKind::Task, "do".to_owned());
        let id = turns.current().expect("a turn").id.clone();
        turns.sent(ProcId(1), 0.0);
        assert!(turns.process_lost(None));
        let again = turns.current().expect("a turn");
        assert_eq!((again.id.clone(), again.kind, again.delivery), (id, TurnKind::Task, Delivery::Queued));
    }

    #[test]
    fn an_acknowledged_turn_is_continued_under_a_new_uuid_and_listed_once() {
        let mut turns = Conversation::new("s");
        turns.begin(TurnKind::Task, "do".to_owned());
        let id = turns.current().expect("a turn").id.clone();
        turns.sent(ProcId(1), 0.0);
        assert!(turns.accepted(&id, ProcId(1)));
        assert!(turns.process_lost(None));
        let next = turns.current().expect("a turn");
        assert_eq!(next.kind, TurnKind::Continue);
        assert_ne!(next.id, id);
        assert!(next.text.contains("do not repeat"), "it must say that effects may stand");
        assert_eq!(turns.said(), &[(TurnKind::Task, "do".to_owned())]);
    }

    #[test]
    fn the_sessions_own_record_outweighs_the_acknowledgement() {
        for (acknowledged, recorded, kind) in [
            (false, Some(false), TurnKind::Task),
            (false, Some(true), TurnKind::Continue),
            (true, Some(false), TurnKind::Task),
            (true, Some(true), TurnKind::Continue),
        ] {
            let mut turns = Conversation::new("s");
            turns.begin(TurnKind::Task, "do".to_owned());
            let id = turns.current().expect("a turn").id.clone();
            turns.sent(ProcId(1), 0.0);
            if acknowledged {
                turns.accepted(&id, ProcId(1));
            }
            assert_eq!(turns.unanswered(), Some(&id));
            assert!(turns.process_lost(recorded));
            let next = turns.current().expect("a turn");
            assert_eq!((next.kind, next.delivery), (kind, Delivery::Queued), "{acknowledged} {recorded:?}");
            assert_eq!(next.id == id, kind == TurnKind::Task, "the same words go under the same uuid");
        }
    }

    #[test]
    fn a_lost_session_is_told_what_was_said_in_it() {
        let mut turns = Conversation::new("s");
        turns.begin(TurnKind::Task, "write a parser".to_owned());
        turns.session_lost();
        assert_eq!(turns.current().map(|turn| turn.text.as_str()), Some("write a parser"), "nothing was said before");
        turns.answered();
        turns.begin(TurnKind::Feedback, "add tests".to_owned());
        turns.session_lost();
        let text = turns.current().map(|turn| turn.text.clone()).unwrap_or_default();
        let task = text.find("The user:\nwrite a parser").expect("the task is said again");
        assert!(task < text.find("add tests").expect("the feedback is said"));
        assert_eq!(turns.said().len(), 2, "it is listed as it was said");
    }

    #[test]
    fn a_new_session_is_told_what_the_user_said_and_the_last_feedback() {
        let mut turns = Conversation::new("s");
        turns.begin(TurnKind::Task, "write a parser".to_owned());
        turns.answered();
        turns.begin(TurnKind::Feedback, "an old word".to_owned());
        turns.answered();
        turns.begin(TurnKind::Operator, "use tabs".to_owned());
        turns.cut_off(CutOff::Failure);
        turns.session_rejected(Some("add tests"));
        let turn = turns.current().expect("a turn").clone();
        assert_eq!((turn.kind, turn.delivery), (TurnKind::Continue, Delivery::Queued));
        for (part, times) in
            [("write a parser", 1), ("use tabs", 1), ("add tests", 1), ("an old word", 0), ("is on disk", 1)]
        {
            assert_eq!(turn.text.matches(part).count(), times, "{part}: {}", turn.text);
        }
        assert_eq!(turns.said().len(), 3, "it is listed as it was said");
    }

    #[test]
    fn after_a_cut_answer_the_model_is_told_to_write_less_at_a_time() {
        let mut turns = Conversation::new("s");
        turns.begin(TurnKind::Task, "do".to_owned());
        turns.cut_off(CutOff::TooLong);
        let text = turns.current().expect("a turn").text.clone();
        assert!(text.contains("write less at a time") && !text.contains("failure of the service"), "{text}");
    }

    #[test]
    fn nothing_is_lost_when_no_turn_was_open() {
        let mut turns = Conversation::new("s");
        assert!(!turns.process_lost(None));
        turns.begin(TurnKind::Task, "do".to_owned());
        turns.answered();
        assert!(!turns.process_lost(None));
    }

    #[test]
    fn what_the_user_says_meanwhile_waits_its_turn() {
        let mut turns = Conversation::new("s");
        turns.begin(TurnKind::Task, "one".to_owned());
        turns.queue("two".to_owned());
        turns.queue("three".to_owned());
        assert_eq!(turns.current().map(|turn| turn.text.as_str()), Some("one"));
        turns.answered();
        assert!(turns.begin_queued());
        assert_eq!(turns.current().map(|turn| turn.text.as_str()), Some("two"));
        assert!(turns.begin_queued());
        assert!(!turns.begin_queued());
        let said: Vec<&str> = turns.said().iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(said, ["one", "two", "three"]);
    }

    #[test]
    fn what_the_user_says_comes_before_what_is_continued_or_still_to_be_said() {
        let mut turns = Conversation::new("s");
        turns.begin(TurnKind::Task, "do".to_owned());
        let task = turns.current().expect("a turn").id.clone();
        turns.sent(ProcId(1), 0.0);
        assert!(turns.accepted(&task, ProcId(1)));
        turns.queue("Use tabs.".to_owned());
        assert!(turns.process_lost(None));
        let next = turns.current().expect("a turn").clone();
        assert_eq!((next.kind, next.delivery), (TurnKind::Operator, Delivery::Queued));
        assert!(next.text.starts_with("Use tabs.\n\n") && next.text.contains("do not repeat"), "{}", next.text);
        assert_eq!(turns.said(), &[(TurnKind::Task, "do".to_owned()), (TurnKind::Operator, "Use tabs.".to_owned())]);
        assert!(!turns.has_queued());

        // Feedback that was not given any more keeps its uuid and comes next.
        turns.answered();
        turns.begin(TurnKind::Feedback, "add tests".to_owned());
        let feedback = turns.current().expect("a turn").id.clone();
        turns.queue("In English.".to_owned());
        assert!(turns.process_lost(None));
        assert_eq!(turns.current().map(|turn| turn.text.as_str()), Some("In English."));
        assert!(turns.has_queued(), "the feedback is still to be said");
        turns.answered();
        assert!(turns.begin_queued());
        assert_eq!(turns.current().map(|turn| turn.id.clone()), Some(feedback));
        assert_eq!(turns.said().len(), 4, "it is listed once: {:?}", turns.said());

        // A word to go on that was not said yet goes with the user's.
        turns.answered();
        turns.cut_off(CutOff::Failure);
        turns.queue("Slowly.".to_owned());
        assert!(turns.process_lost(None));
        assert!(turns.current().is_some_and(|turn| turn.text.starts_with("Slowly.\n\n")));
        turns.answered();
        assert!(!turns.begin_queued());
    }

    #[test]
    fn a_task_that_was_not_heard_comes_before_what_the_user_adds() {
        let mut turns = Conversation::new("s");
        turns.begin(TurnKind::Task, "do".to_owned());
        turns.queue("Use tabs.".to_owned());
        assert!(turns.process_lost(Some(false)));
        assert_eq!(turns.current().map(|turn| turn.text.as_str()), Some("do"));
        turns.answered();
        assert!(turns.begin_queued());
        assert_eq!(turns.current().map(|turn| turn.text.as_str()), Some("Use tabs."));
    }

    #[test]
    fn a_stranger_acknowledgement_is_not_ours() {
        let mut turns = Conversation::new("s");
        turns.begin(TurnKind::Task, "do".to_owned());
        turns.sent(ProcId(1), 0.0);
        assert!(!turns.accepted(&crate::core::TurnId("other".to_owned()), ProcId(1)));
        turns.cut_off(CutOff::Failure);
        assert_eq!(turns.current().map(|turn| turn.kind), Some(TurnKind::Continue));
    }

    #[test]
    fn a_turn_acknowledged_in_a_session_that_was_lost_is_said_again_itself() {
        let mut turns = Conversation::new("s");
        turns.begin(TurnKind::Task, "write a parser".to_owned());
        turns.sent(ProcId(1), 0.0);
        let id = turns.current().expect("a turn").id.clone();
        assert!(turns.accepted(&id, ProcId(1)));
        assert!(turns.process_lost(None));
        assert_eq!(turns.current().expect("a turn").kind, TurnKind::Continue);
        turns.session_lost();
        let again = turns.current().expect("a turn").clone();
        assert_eq!((again.kind, again.delivery), (TurnKind::Task, Delivery::Queued));
        assert!(again.text.starts_with("write a parser\n"), "{}", again.text);
        assert_ne!(again.id, id);
        turns.session_lost();
        assert_eq!(turns.current().expect("a turn").text, again.text, "a second loss adds nothing");
    }

    #[test]
    fn all_that_was_said_in_a_lost_session_is_said_once() {
        let mut turns = Conversation::new("s");
        turns.begin(TurnKind::Task, "write a parser".to_owned());
        turns.answered();
        turns.begin(TurnKind::Feedback, "add tests".to_owned());
        let id = turns.current().expect("a turn").id.clone();
        turns.sent(ProcId(2), 0.0);
        assert!(turns.accepted(&id, ProcId(2)));
        assert!(turns.process_lost(None));
        turns.session_lost();
        turns.session_lost();
        let text = turns.current().expect("a turn").text.clone();
        assert_eq!((text.matches("write a parser").count(), text.matches("add tests").count()), (1, 1), "{text}");
        assert!(text.ends_with("add tests"), "{text}");
    }

    #[test]
    fn words_before_a_turn_to_a_new_session_leave_out_nothing_that_it_says() {
        let mut turns = Conversation::new("s");
        turns.begin(TurnKind::Task, "Build the parser.".to_owned());
        turns.sent(ProcId(1), 0.0);
        turns.session_rejected(Some("Tests are missing."));
        turns.queue("Use tabs.".to_owned());
        assert!(turns.process_lost(None));
        let said = turns.current().expect("a turn").text.clone();
        assert!(said.starts_with("Use tabs.\n\n"), "{said}");
        assert_eq!(words_before_continue(&said), Some("Use tabs."));
        for kept in ["Build the parser.", "Tests are missing.", "Go on with the work."] {
            assert!(said.contains(kept), "{kept}: {said}");
        }
    }

    #[test]
    fn words_said_anew_take_the_place_of_all_that_they_stand_for() {
        let mut turns = Conversation::new("s");
        turns.begin(TurnKind::Task, "a mark".to_owned());
        turns.queue("another mark".to_owned());
        turns.queue("Use tabs.".to_owned());
        assert!(turns.restate("both", &["a mark".to_owned(), "another mark".to_owned()]));
        assert_eq!(turns.current().map(|turn| turn.text.as_str()), Some("both"));
        turns.answered();
        assert!(turns.begin_queued());
        assert_eq!(turns.current().map(|turn| turn.text.as_str()), Some("Use tabs."));
        turns.answered();
        assert!(!turns.begin_queued());
        let said: Vec<&str> = turns.said().iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(said, ["both", "Use tabs."]);
        // What was said and answered is listed anew, and not said by that.
        assert!(!turns.restate("tabs", &["Use tabs.".to_owned()]));
        assert_eq!(turns.said().last().map(|(_, text)| text.as_str()), Some("tabs"));
        // Words that wait are said in their place.
        turns.begin(TurnKind::Feedback, "add tests".to_owned());
        turns.queue("a mark".to_owned());
        assert!(turns.restate("clear", &["a mark".to_owned()]));
        turns.answered();
        assert!(turns.begin_queued());
        assert_eq!(turns.current().map(|turn| turn.text.as_str()), Some("clear"));
    }

    #[test]
    fn what_a_turn_costs_is_counted_from_when_it_was_first_said() {
        let mut turns = Conversation::new("s");
        turns.begin(TurnKind::Task, "do".to_owned());
        turns.sent(ProcId(1), 1.5);
        assert_eq!(turns.cost_before(), 1.5);
        // The same words again, then a word to go on with them.
        assert!(turns.process_lost(Some(false)));
        turns.sent(ProcId(2), 2.0);
        assert_eq!(turns.cost_before(), 1.5);
        turns.cut_off(CutOff::Failure);
        turns.sent(ProcId(2), 3.0);
        assert_eq!(turns.cost_before(), 1.5);
        turns.answered();
        turns.begin(TurnKind::Feedback, "add tests".to_owned());
        turns.sent(ProcId(2), 4.0);
        assert_eq!(turns.cost_before(), 4.0);
    }

    #[test]
    fn words_are_added_only_to_a_turn_that_nobody_can_have_heard() {
        for (is_sent, recorded, is_added) in
            [(false, None, true), (true, None, false), (true, Some(Some(false)), true), (true, Some(None), false)]
        {
            let mut turns = Conversation::new("s");
            turns.begin(TurnKind::Task, "do".to_owned());
            if is_sent {
                turns.sent(ProcId(1), 0.0);
            }
            if let Some(recorded) = recorded {
                assert!(turns.process_lost(recorded));
            }
            turns.add_to_unsaid("and this");
            let expected = if is_added { "do\n\nand this" } else { "do" };
            assert_eq!(turns.current().map(|turn| turn.text.as_str()), Some(expected), "{is_sent} {recorded:?}");
        }
    }

    #[test]
    fn a_turn_that_may_stand_in_the_session_comes_before_what_the_user_adds() {
        let mut turns = Conversation::new("s");
        turns.begin(TurnKind::Feedback, "add tests".to_owned());
        turns.sent(ProcId(1), 0.0);
        turns.queue("Use tabs.".to_owned());
        assert!(turns.process_lost(None));
        assert_eq!(turns.current().map(|turn| turn.text.as_str()), Some("add tests"));
        assert!(turns.current().is_some_and(|turn| turn.is_doubtful));
        turns.sent(ProcId(2), 0.0);
        assert!(turns.process_lost(Some(false)), "now it is known that it does not stand there");
        assert_eq!(turns.current().map(|turn| turn.text.as_str()), Some("Use tabs."));
    }
}
