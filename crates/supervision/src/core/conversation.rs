//! The user turns of the session and the delivery of the current one (design §5, "Exactly-once turns").

use std::collections::VecDeque;

use super::{ProcId, QueuedTurn, Refused, Taken, TurnId, derive_uuid};
use crate::agent::TurnKind;
use crate::words::Image;

/// The most messages of the user that may be queued.
pub(super) const MAX_QUEUED: usize = 64;
/// The longest text of a message.
pub(super) const MAX_TEXT_MIB: usize = 1;
const MAX_TEXT_BYTES: usize = MAX_TEXT_MIB * 1024 * 1024;
/// The largest image.
pub(super) const MAX_IMAGE_MIB: usize = 5;
/// All images of a message. A request of the control socket holds them in base64, with the text.
pub const MAX_IMAGES_MIB: usize = 16;
/// The most keys that are kept; beyond that the oldest is dropped.
const MAX_KEYS: usize = 65_536;
/// The longest key, in bytes, which bounds the memory.
const MAX_KEY_BYTES: usize = 256;

/// The length of this many MiB in base64.
#[must_use]
pub const fn base64_bytes(mib: usize) -> usize {
    mib * 1024 * 1024 / 3 * 4
}

/// The delivery of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Not written, or written to a process that died before it acknowledged.
    Queued,
    /// Written to this process but not acknowledged.
    Sent(ProcId),
    /// Acknowledged by this process: the session has it.
    Accepted(ProcId),
}

/// An unanswered turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) id: TurnId,
    pub(super) kind: TurnKind,
    pub(super) text: String,
    pub(super) images: Vec<Image>,
    /// The key of a message that the user sent while the run was going on.
    key: Option<String>,
    pub(super) delivery: Delivery,
    /// It was written to a process that has ended, so the session may or may not have it.
    pub(super) is_doubtful: bool,
}

impl Turn {
    /// Whether it continues a turn that was cut off.
    pub(super) fn goes_on(&self) -> bool {
        matches!(self.kind, TurnKind::Continue | TurnKind::Compact)
    }
}

/// Sent when the current turn was cut off, by a restart or by a transient failure of the provider. The agent must not repeat
/// commands that may have had their effects already (lessons, "Hangs": resumed agents repeat work).
const CONTINUE_AFTER_RESTART: &str = "Your process ended before you had finished your last turn, and the session was \
resumed. Go on with the work from where you were. The last command or edit before the interruption may already have \
had its effects, wholly or in part, even if you see no result of it: check what is there first, and do not repeat it \
blindly.";
const CONTINUE_AFTER_FAILURE: &str = "Your last turn was cut off because a request to the service was not answered (it \
failed, was limited, or was refused for reasons of the account), not by anything you did. It is tried again now. Go on with the work from where you were; check first what of it is already done.";

/// The wording of earlier versions, which did not name a limit or a refusal.
const CONTINUED_AFTER_FAILURE: &str = "Your last turn was cut off by a failure of the service, not by anything you did. \
It should work again now. Go on with the work from where you were; check first what of it is already done.";

const CONTINUE_IN_PARTS: &str = "Your last answer was cut off: it was longer than one answer may be, and what was cut off \
is lost. Go on with the work from where you were, and write less at a time: one file or one part of a file in each tool \
call, and short texts between them. Check first what of it is already done.";

/// The user's text in a turn that also says to continue.
pub fn words_before_continue(text: &str) -> Option<&str> {
    let before = |words| text.strip_suffix(words).and_then(|text| text.strip_suffix("\n\n"));
    // Sessions of earlier versions contain the third.
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

/// The start and the end of the first turn in a new session that replaces another.
const IN_NEW_SESSION: &str = "The session in which this work was begun cannot be continued; this is a new one. The work that \
was done in it is on disk. Look at what is there first, and do not begin anew.\n";
const GO_ON: &str = "\nGo on with the work.";

/// Why a turn was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CutOff {
    /// The process ended.
    Restart,
    /// The provider failed.
    Failure,
    /// The answer exceeded the maximum length.
    TooLong,
}

/// The turns given to the agent.
#[derive(Debug, Clone)]
pub(super) struct Conversation {
    seed: String,
    /// The ids of all turns but the task derive from this.
    life_seed: String,
    next: u32,
    current: Option<Turn>,
    queue: VecDeque<Turn>,
    /// A turn that a message of the user came before. It is in `said` already.
    postponed: Option<Turn>,
    said: Vec<(TurnKind, String)>,
    /// Keys of messages that the user sent while the run was going on, the oldest first.
    keys: VecDeque<String>,
    /// The queue has changed since it was shown.
    queue_is_news: bool,
    /// The session lacks some of what was said in it, and the next turn says it again.
    is_cut: bool,
    /// The cost of the run when the turn `costed` was first sent.
    cost_before: f64,
    costed: Option<TurnId>,
}

impl Conversation {
    pub(super) fn new(seed: &str) -> Conversation {
        Conversation {
            seed: seed.to_owned(),
            life_seed: seed.to_owned(),
            next: 1,
            current: None,
            queue: VecDeque::new(),
            postponed: None,
            said: Vec::new(),
            keys: VecDeque::new(),
            queue_is_news: false,
            is_cut: false,
            cost_before: 0.0,
            costed: None,
        }
    }

    /// The run is resumed: the ids of later turns derive from this, except that of the task.
    pub(super) fn begins_life(&mut self, seed: &str) {
        seed.clone_into(&mut self.life_seed);
    }

    /// Adds messages that the user sent earlier in this session.
    pub(super) fn after(mut self, earlier: &[String]) -> Conversation {
        self.said.extend(earlier.iter().map(|text| (TurnKind::Operator, text.clone())));
        self
    }

    /// Makes this the current turn. Turns of the user and the critic are listed for later briefs; *continue* is not.
    pub(super) fn begin(&mut self, kind: TurnKind, text: String) {
        let turn = self.make(kind, text);
        self.take_up(turn);
    }

    /// Makes this command of the CLI the current turn; a *continue* follows it. An unsent turn goes back to the head of the queue
    /// and is sent with that *continue*.
    pub(super) fn begin_compact(&mut self, command: String) {
        if let Some(mut turn) = self.current.take_if(|turn| turn.delivery == Delivery::Queued && !turn.goes_on()) {
            if let Some(words) = words_before_continue(&turn.text) {
                turn.text = words.to_owned();
            }
            self.said.pop_if(|(kind, text)| *kind == turn.kind && *text == turn.text);
            self.queue_is_news |= turn.key.is_some();
            self.queue.push_front(turn);
        }
        self.begin(TurnKind::Compact, command);
    }

    /// Queues a message of the user, or about a worker, while a turn runs.
    pub(super) fn queue(&mut self, kind: TurnKind, text: String) {
        let turn = self.make(kind, text);
        self.queue.push_back(turn);
    }

    /// Queues a message that the user sent while the run was going on, once for each key.
    pub(super) fn queue_said(
        &mut self,
        kind: TurnKind,
        key: Option<String>,
        text: String,
        images: Vec<Image>,
    ) -> Taken {
        if key.as_ref().is_some_and(|key| self.keys.contains(key)) {
            return Taken::Already;
        }
        if text.trim().is_empty() && images.is_empty() {
            return Taken::Refused(Refused::Nothing);
        }
        let of_images: usize = images.iter().map(|image| image.data.len()).sum();
        let is_large = |image: &Image| image.data.len() > base64_bytes(MAX_IMAGE_MIB);
        let too_large = images.iter().any(is_large) || of_images > base64_bytes(MAX_IMAGES_MIB);
        let long_key = key.as_ref().is_some_and(|key| key.len() > MAX_KEY_BYTES);
        if long_key || self.queue.len() >= MAX_QUEUED || text.len() > MAX_TEXT_BYTES || too_large {
            return Taken::Refused(Refused::TooMuch);
        }
        let mut turn = self.make(kind, text);
        // Every message needs a key, so that it can be withdrawn.
        let key = key.unwrap_or_else(|| turn.id.0.clone());
        if self.keys.len() >= MAX_KEYS {
            self.keys.pop_front();
        }
        self.keys.push_back(key.clone());
        (turn.key, turn.images) = (Some(key), images);
        let ahead = u32::try_from(self.queue.len()).unwrap_or(u32::MAX);
        self.queue.push_back(turn);
        self.queue_is_news = true;
        Taken::Queued { ahead }
    }

    /// Withdraws the queued message with this key. Gives its kind; `None` if there is none.
    pub(super) fn take_back(&mut self, key: &str) -> Option<TurnKind> {
        let at = self.queue.iter().position(|turn| turn.key.as_deref() == Some(key))?;
        self.queue_is_news = true;
        self.queue.remove(at).map(|turn| turn.kind)
    }

    /// Removes the last message from the list: it was no task.
    pub(super) fn forget_task(&mut self) {
        self.said.pop();
    }

    /// Whether a message had this key.
    pub(super) fn knows_key(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known == key)
    }

    /// The user's queued messages, if they have changed since the last call.
    pub(super) fn queue_news(&mut self) -> Option<Vec<QueuedTurn>> {
        std::mem::take(&mut self.queue_is_news).then(|| self.queued().collect())
    }

    /// The user's queued messages.
    pub(super) fn queued(&self) -> impl Iterator<Item = QueuedTurn> {
        self.queue.iter().filter_map(|turn| Some(QueuedTurn { key: turn.key.clone()?, text: turn.text.clone() }))
    }

    /// Puts the user's queued messages before an unsent turn that is not the user's.
    pub(super) fn said_comes_first(&mut self) {
        if self.queue.iter().any(|turn| turn.key.is_some()) {
            self.user_first();
        }
    }

    /// Drops the current turn if it is unsent and not the user's. True if it dropped one.
    pub(super) fn give_up_unsaid(&mut self) -> bool {
        let is_such = |turn: &mut Turn| {
            let of_user = matches!(turn.kind, TurnKind::Task | TurnKind::Operator | TurnKind::Worker);
            turn.delivery == Delivery::Queued && !of_user
        };
        self.current.take_if(is_such).is_some()
    }

    /// Makes the next queued turn the current one; false if nothing is queued. The user's messages go before a postponed turn.
    pub(super) fn begin_queued(&mut self) -> bool {
        if let Some(turn) = self.postponed.take_if(|_| self.queue.iter().all(|turn| turn.key.is_none())) {
            self.current = Some(turn);
            return true;
        }
        match self.pop_queued() {
            Some(turn) => {
                self.take_up(turn);
                true
            }
            None => false,
        }
    }

    fn pop_queued(&mut self) -> Option<Turn> {
        let turn = self.queue.pop_front()?;
        self.queue_is_news |= turn.key.is_some();
        Some(turn)
    }

    /// Appends this to the current turn if it is certainly unsent.
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

    /// Whether more is queued than what is to be said about workers.
    pub(super) fn has_words_queued(&self) -> bool {
        self.queue.iter().any(|turn| turn.kind != TurnKind::Worker) || self.postponed.is_some()
    }

    /// All turns of the user, the workers and the critic, in order.
    pub(super) fn said(&self) -> &[(TurnKind, String)] {
        &self.said
    }

    /// The current turn was written to this process; `spent_usd` is the cost of the run by then.
    pub(super) fn sent(&mut self, proc: ProcId, spent_usd: f64) {
        let Some(turn) = &mut self.current else { return };
        turn.delivery = Delivery::Sent(proc);
        if !turn.goes_on() && self.costed.as_ref() != Some(&turn.id) {
            self.cost_before = spent_usd;
            self.costed = Some(turn.id.clone());
        }
    }

    /// The user sent this message directly to the process, when the run had cost `spent_usd`. Gives the turn's id. A running
    /// turn becomes part of it: either it was interrupted, or the process adds the message to it; the process does not report
    /// which.
    pub(super) fn said_there(&mut self, kind: TurnKind, text: String, proc: ProcId, spent_usd: f64) -> TurnId {
        // The user's message replaces a *continue*. Any other unsent turn follows it.
        let unsaid = |turn: &Turn| turn.delivery == Delivery::Queued && !turn.goes_on();
        if let Some(before) = self.current.take().filter(unsaid) {
            match self.postponed {
                None => self.postponed = Some(before),
                Some(_) => self.queue.push_front(before),
            }
        }
        let mut turn = self.make(kind, text);
        turn.delivery = Delivery::Accepted(proc);
        let id = turn.id.clone();
        (self.cost_before, self.costed) = (spent_usd, Some(id.clone()));
        self.take_up(turn);
        id
    }

    /// The cost of the run when the current turn, or the turn that it continues, was first sent.
    pub(super) fn cost_before(&self) -> f64 {
        self.cost_before
    }

    /// The current turn was acknowledged; false if `id` is another turn.
    pub(super) fn accepted(&mut self, id: &TurnId, proc: ProcId) -> bool {
        match &mut self.current {
            Some(turn) if turn.id == *id => {
                turn.delivery = Delivery::Accepted(proc);
                true
            }
            Some(_) | None => false,
        }
    }

    /// The current turn was answered.
    pub(super) fn answered(&mut self) {
        self.current = None;
    }

    /// The current turn is in the session but will not be answered: send *continue* under a new uuid. A queued message of the
    /// user goes first, in the same turn, because it may change what is to be continued.
    pub(super) fn cut_off(&mut self, why: CutOff) {
        let text = match why {
            CutOff::Restart => CONTINUE_AFTER_RESTART,
            CutOff::Failure => CONTINUE_AFTER_FAILURE,
            CutOff::TooLong => CONTINUE_IN_PARTS,
        };
        if !self.words_before(text) {
            if why == CutOff::TooLong {
                // Runs that were recorded by earlier versions used two ids here, and their replay expects the second.
                self.next += 1;
            }
            let turn = self.make(TurnKind::Continue, text.to_owned());
            self.take_up(turn);
        }
    }

    /// Makes one turn of the next queued message and this text; false if nothing is queued. A command of the CLI takes all that
    /// follows it as its arguments, so the text is a turn of its own after it.
    fn words_before(&mut self, text: &str) -> bool {
        let Some(mut turn) = self.pop_queued() else { return false };
        self.said.push((turn.kind, turn.text.clone()));
        if turn.text.starts_with('/') {
            let after = self.make(TurnKind::Continue, text.to_owned());
            self.postponed.get_or_insert(after);
        } else {
            turn.text = format!("{}\n\n{text}", turn.text);
        }
        self.current = Some(turn);
        true
    }

    /// The user interrupted: work that was cut off before is not continued.
    pub(super) fn give_up_postponed_continue(&mut self) {
        self.postponed.take_if(|turn| turn.goes_on());
    }

    /// The process that the current turn was sent to has ended. A turn that is not in the session is sent again under the same
    /// uuid; one that is there is continued. True if there is something to deliver.
    ///
    /// `recorded`: whether the transcript has the turn. It takes precedence over the acknowledgement, because the CLI may die
    /// between the two, in either order, and 2.1.329 does not recognise the uuid of an unanswered turn in the transcript.
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

    /// Puts a queued message of the user before an unsent turn, which keeps its uuid and comes next. The task stays first,
    /// because the message may refer to it. A turn that may be in the session unanswered stays first, too.
    fn user_first(&mut self) {
        let unsaid = |turn: &&Turn| turn.delivery == Delivery::Queued && !turn.is_doubtful;
        let Some(turn) = self.current.as_ref().filter(unsaid) else { return };
        match turn.kind {
            // A command that goes to a new session before it has been told anything has nothing to work on.
            TurnKind::Continue
                if turn.text.contains(IN_NEW_SESSION)
                    && self.queue.front().is_some_and(|words| words.text.starts_with('/')) => {}
            TurnKind::Continue => {
                // Keep its text: in a new session it also repeats what the old one was told.
                let text = turn.text.clone();
                self.words_before(&text);
            }
            TurnKind::Feedback | TurnKind::CheckFailure => {
                if let Some(words) = self.pop_queued() {
                    self.postponed = self.current.take();
                    self.take_up(words);
                }
            }
            TurnKind::Task | TurnKind::Operator | TurnKind::Worker | TurnKind::Compact | TurnKind::Brief => {}
        }
    }

    /// The current turn, if it was written to a process.
    pub(super) fn unanswered(&self) -> Option<&TurnId> {
        self.current.as_ref().filter(|turn| turn.delivery != Delivery::Queued).map(|turn| &turn.id)
    }

    /// The session does not exist (the CLI was killed before it wrote it). A new one does not know the earlier turns, so they
    /// are sent again. A *continue* alone would lack the turn that it continues.
    pub(super) fn session_lost(&mut self) {
        self.tell_again("The session was lost before it was saved; this is what was said in it so far.\n");
    }

    /// The session has lost its latest turns: all is said again, now or with the next turn.
    pub(super) fn session_cut(&mut self) {
        self.is_cut = true;
        self.tell_what_is_cut();
    }

    fn tell_what_is_cut(&mut self) {
        if self.is_cut && self.current.is_some() {
            self.is_cut = false;
            self.tell_again("The session may lack its latest messages; this is what was said in it so far.\n");
        }
    }

    fn tell_again(&mut self, what: &str) {
        let Some(turn) = &self.current else { return };
        let unsaid = turn.delivery == Delivery::Queued && !turn.goes_on();
        let Some(((kind, present), earlier)) = self.said.split_last() else { return };
        if earlier.is_empty() && unsaid {
            return;
        }
        let kind = *kind;
        let mut text = String::new();
        if earlier.is_empty() {
            text.push_str(present);
            text.push_str("\n\n(A session in which this was begun was lost before it was saved.");
            text.push_str(" Files may have been changed already: look at what is there first.)");
        } else {
            text.push_str(what);
            for (kind, said) in earlier {
                let who = match kind {
                    TurnKind::Task | TurnKind::Operator => "The user",
                    TurnKind::Worker => "About a worker",
                    TurnKind::Feedback => "The reviewer",
                    TurnKind::CheckFailure => "The checks",
                    TurnKind::Continue | TurnKind::Compact | TurnKind::Brief => continue,
                };
                text.push_str(&format!("\n{who}:\n{said}\n"));
            }
            text.push_str("\nFiles may have been changed already: look at what is there first. And now:\n");
            text.push_str(present);
        }
        let mut turn = self.make(kind, text);
        turn.images = self.current.take().map(|turn| turn.images).unwrap_or_default();
        self.current = Some(turn);
    }

    /// The provider rejects the session. A new one gets the user's messages, the last feedback, and the remark that the work is
    /// on disk. The agent's messages are left out, because they may be what is rejected.
    pub(super) fn session_rejected(&mut self, last_feedback: Option<&str>) {
        let mut text = IN_NEW_SESSION.to_owned();
        for (_, said) in self.said.iter().filter(|(kind, _)| matches!(kind, TurnKind::Task | TurnKind::Operator)) {
            text.push_str(&format!("\nThe user said:\n{said}\n"));
        }
        let feedback = self
            .current
            .as_ref()
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
        // A *continue* may contain an earlier message of the user.
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

    /// Replaces each of these texts by `text`. True if one of them is unsent, so that `text` will be sent.
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
            let again = self.make(kind, text.to_owned());
            self.current = Some(Turn { images: turn.images, ..again });
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
        let seed = if kind == TurnKind::Task { &self.seed } else { &self.life_seed };
        let id = TurnId(derive_uuid(seed, "turn", self.next));
        self.next += 1;
        Turn { id, kind, text, images: Vec::new(), key: None, delivery: Delivery::Queued, is_doubtful: false }
    }

    fn take_up(&mut self, turn: Turn) {
        match turn.kind {
            TurnKind::Task | TurnKind::Operator | TurnKind::Worker | TurnKind::Feedback | TurnKind::CheckFailure => {
                self.said.push((turn.kind, turn.text.clone()));
            }
            TurnKind::Continue | TurnKind::Compact | TurnKind::Brief => {}
        }
        self.current = Some(turn);
        self.tell_what_is_cut();
    }
}

#[cfg(test)]
mod tests {
    use super::{Conversation, CutOff, Delivery, words_before_continue};
    use crate::agent::TurnKind;
    use crate::core::ProcId;

    #[test]
    fn the_task_has_the_same_id_in_each_life_and_no_other_turn_has_one_of_an_earlier_life() {
        let first = |life: Option<&str>, kind| {
            let mut turns = Conversation::new("s");
            if let Some(life) = life {
                turns.begins_life(life);
            }
            turns.begin(kind, "go on".to_owned());
            turns.current().expect("it").id.clone()
        };
        let task = first(None, TurnKind::Task);
        assert_eq!(first(Some("l"), TurnKind::Task), task, "the agent knows it, and does not begin it twice");
        for kind in [TurnKind::Operator, TurnKind::Feedback, TurnKind::Continue] {
            assert_ne!(first(Some("l"), kind), first(None, kind), "{kind:?}");
        }
    }

    #[test]
    fn a_command_of_the_cli_does_not_get_what_ccc_adds_as_its_arguments() {
        let mut turns = Conversation::new("s");
        turns.begin(TurnKind::Task, "do".to_owned());
        turns.sent(ProcId(1), 0.0);
        turns.queue_said(TurnKind::Operator, None, "/review src".to_owned(), Vec::new());
        turns.cut_off(CutOff::Restart);
        assert_eq!(turns.current().expect("the command").text, "/review src");
        let interrupted = turns.clone();
        turns.answered();
        assert!(turns.begin_queued());
        assert_eq!(turns.current().expect("the cut turn goes on").kind, TurnKind::Continue);

        let mut turns = interrupted;
        turns.give_up_postponed_continue();
        turns.answered();
        assert!(!turns.begin_queued(), "not after an interruption");
    }

    #[test]
    fn a_message_that_waits_to_be_sent_is_not_lost_to_a_compaction() {
        let mut turns = Conversation::new("s");
        turns.begin(TurnKind::Task, "do".to_owned());
        turns.sent(ProcId(1), 0.0);
        turns.queue_said(TurnKind::Operator, Some("a".to_owned()), "use tabs".to_owned(), Vec::new());
        turns.queue_said(TurnKind::Operator, Some("b".to_owned()), "add tests".to_owned(), Vec::new());
        turns.cut_off(CutOff::Failure);
        let waiting = turns.current().expect("the first message").clone();
        assert_eq!(words_before_continue(&waiting.text), Some("use tabs"));

        turns.begin_compact("/compact".to_owned());
        assert_eq!(turns.current().expect("the command").kind, TurnKind::Compact);
        turns.cut_off(CutOff::Failure);
        assert_eq!(turns.current(), Some(&waiting), "under its uuid, before the later message");
        let said: Vec<&str> = turns.said().iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(said, ["do", "use tabs"], "once each");
        assert!(turns.has_queued(), "the later message waits");
    }

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
    fn a_rejected_session_hands_over_the_feedback_that_was_on_its_way() {
        for (kind, expected) in [(TurnKind::Feedback, "rename it"), (TurnKind::Continue, "add tests")] {
            let mut turns = Conversation::new("s");
            turns.begin(kind, "rename it".to_owned());
            turns.session_rejected(Some("add tests"));
            let text = turns.current().map(|turn| turn.text.clone()).unwrap_or_default();
            assert!(text.contains(&format!("The last review of the work said:\n{expected}\n")), "{kind:?}: {text}");
        }
    }

    #[test]
    fn the_words_of_the_user_that_a_resumed_run_says() {
        use TurnKind::{Continue, Feedback, Operator, Task};
        let none: &[&str] = &[];
        // The current turn, its delivery, what the transcript says of it, whether a new session is told everything.
        for (kind, accepted, recorded, all, said) in [
            (Task, None, None, false, &["now"][..]),
            (Operator, Some(false), None, false, &["now"]),
            (Operator, Some(false), Some(true), false, none),
            (Operator, Some(false), Some(false), false, &["now"]),
            (Operator, Some(true), None, false, none),
            (Operator, Some(true), Some(true), false, none),
            (Operator, Some(true), Some(false), false, &["now"]),
            (Feedback, None, None, false, none),
            (Feedback, None, None, true, &["before"]),
            // A *continue* may contain an earlier message of the user.
            (Continue, None, None, false, &["now"]),
            (Operator, Some(true), Some(true), true, &["before", "now"]),
        ] {
            let mut turns = Conversation::new("s");
            turns.begin(Task, "before".to_owned());
            turns.sent(ProcId(1), 0.0);
            let id = turns.current().expect("a turn").id.clone();
            turns.accepted(&id, ProcId(1));
            turns.answered();
            turns.begin(kind, "now".to_owned());
            if let Some(accepted) = accepted {
                turns.sent(ProcId(2), 0.0);
                let id = turns.current().expect("a turn").id.clone();
                assert!(!accepted || turns.accepted(&id, ProcId(2)));
            }
            assert_eq!(turns.user_words_to_say(recorded, all), said, "{kind:?} {accepted:?} {recorded:?} {all}");
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
        turns.queue(TurnKind::Operator, "two".to_owned());
        turns.queue(TurnKind::Operator, "three".to_owned());
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
        turns.queue(TurnKind::Operator, "Use tabs.".to_owned());
        assert!(turns.process_lost(None));
        let next = turns.current().expect("a turn").clone();
        assert_eq!((next.kind, next.delivery), (TurnKind::Operator, Delivery::Queued));
        assert!(next.text.starts_with("Use tabs.\n\n") && next.text.contains("do not repeat"), "{}", next.text);
        assert_eq!(turns.said(), &[(TurnKind::Task, "do".to_owned()), (TurnKind::Operator, "Use tabs.".to_owned())]);
        assert!(!turns.has_queued());

        // An unsent feedback keeps its uuid and comes next.
        turns.answered();
        turns.begin(TurnKind::Feedback, "add tests".to_owned());
        let feedback = turns.current().expect("a turn").id.clone();
        turns.queue(TurnKind::Operator, "In English.".to_owned());
        assert!(turns.process_lost(None));
        assert_eq!(turns.current().map(|turn| turn.text.as_str()), Some("In English."));
        assert!(turns.has_queued(), "the feedback is still to be said");
        turns.answered();
        assert!(turns.begin_queued());
        assert_eq!(turns.current().map(|turn| turn.id.clone()), Some(feedback));
        assert_eq!(turns.said().len(), 4, "it is listed once: {:?}", turns.said());

        // An unsent *continue* is merged with the user's message.
        turns.answered();
        turns.cut_off(CutOff::Failure);
        turns.queue(TurnKind::Operator, "Slowly.".to_owned());
        assert!(turns.process_lost(None));
        assert!(turns.current().is_some_and(|turn| turn.text.starts_with("Slowly.\n\n")));
        turns.answered();
        assert!(!turns.begin_queued());
    }

    #[test]
    fn a_task_that_was_not_heard_comes_before_what_the_user_adds() {
        let mut turns = Conversation::new("s");
        turns.begin(TurnKind::Task, "do".to_owned());
        turns.queue(TurnKind::Operator, "Use tabs.".to_owned());
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
    fn a_session_that_lacks_its_latest_turns_is_told_all_once() {
        // Whether a turn was open when this became known.
        for is_open in [true, false] {
            let mut turns = Conversation::new("s");
            turns.begin(TurnKind::Task, "write a parser".to_owned());
            turns.answered();
            turns.begin(TurnKind::Operator, "use tabs".to_owned());
            turns.sent(ProcId(1), 0.0);
            let id = turns.current().expect("a turn").id.clone();
            assert!(turns.accepted(&id, ProcId(1)));
            if !is_open {
                turns.answered();
            }
            turns.session_cut();
            assert_eq!(turns.process_lost(Some(true)), is_open);
            if !is_open {
                turns.begin(TurnKind::Operator, "add tests".to_owned());
            }
            let turn = turns.current().expect("a turn").clone();
            assert_eq!((turn.kind, turn.delivery), (TurnKind::Operator, Delivery::Queued));
            assert_ne!(turn.id, id, "the CLI ignores a uuid that it has in the record");
            for part in ["write a parser", "use tabs"] {
                assert_eq!(turn.text.matches(part).count(), 1, "{part}: {}", turn.text);
            }
            turns.answered();
            turns.begin(TurnKind::Operator, "later".to_owned());
            assert_eq!(turns.current().map(|turn| turn.text.as_str()), Some("later"));
        }
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
        turns.queue(TurnKind::Operator, "Use tabs.".to_owned());
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
        turns.queue(TurnKind::Operator, "another mark".to_owned());
        turns.queue(TurnKind::Operator, "Use tabs.".to_owned());
        assert!(turns.restate("both", &["a mark".to_owned(), "another mark".to_owned()]));
        assert_eq!(turns.current().map(|turn| turn.text.as_str()), Some("both"));
        turns.answered();
        assert!(turns.begin_queued());
        assert_eq!(turns.current().map(|turn| turn.text.as_str()), Some("Use tabs."));
        turns.answered();
        assert!(!turns.begin_queued());
        let said: Vec<&str> = turns.said().iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(said, ["both", "Use tabs."]);
        // An answered message is replaced in the list and not sent again.
        assert!(!turns.restate("tabs", &["Use tabs.".to_owned()]));
        assert_eq!(turns.said().last().map(|(_, text)| text.as_str()), Some("tabs"));
        // A queued message keeps its place.
        turns.begin(TurnKind::Feedback, "add tests".to_owned());
        turns.queue(TurnKind::Operator, "a mark".to_owned());
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
        // The same turn again, then a *continue*.
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
        turns.queue(TurnKind::Operator, "Use tabs.".to_owned());
        assert!(turns.process_lost(None));
        assert_eq!(turns.current().map(|turn| turn.text.as_str()), Some("add tests"));
        assert!(turns.current().is_some_and(|turn| turn.is_doubtful));
        turns.sent(ProcId(2), 0.0);
        assert!(turns.process_lost(Some(false)), "now it is known that it does not stand there");
        assert_eq!(turns.current().map(|turn| turn.text.as_str()), Some("Use tabs."));
    }
}
