//! Shows each denial of a tool once. It is reported up to three times, in any order: the request is settled, the tool is denied,
//! the call fails.

use std::collections::{BTreeMap, VecDeque};

use crate::words::AskId;

/// How many calls and requests are tracked. When there are more, the oldest is forgotten.
const TRACKED: usize = 64;

/// A tool and its target.
pub(super) type Subject = (String, String);

/// The calls and requests of the turn, and which of their denials was shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Denials {
    running: VecDeque<Running>,
    asked: BTreeMap<AskId, Subject>,
    /// Denied while its request was open: the row of the request tells it.
    told: VecDeque<Subject>,
    /// Shown as settled; the denial of the tool may follow.
    settled: VecDeque<Subject>,
    /// Shown as a failed call; the denial of the tool may follow.
    failed: VecDeque<Subject>,
}

#[derive(Debug, Clone)]
struct Running {
    id: String,
    subject: Subject,
    /// Whether its denial was shown.
    is_denied: bool,
}

fn push<T>(all: &mut VecDeque<T>, one: T) {
    if all.len() == TRACKED {
        all.pop_front();
    }
    all.push_back(one);
}

fn take(all: &mut VecDeque<Subject>, subject: &Subject) -> bool {
    all.iter().position(|other| other == subject).is_some_and(|at| all.remove(at).is_some())
}

impl Denials {
    /// A turn begins: what was reported before is over.
    pub(super) fn begin_turn(&mut self) {
        self.told.clear();
        self.settled.clear();
        self.failed.clear();
    }

    /// A call began.
    pub(super) fn started(&mut self, id: &str, subject: Subject) {
        push(&mut self.running, Running { id: id.to_owned(), subject, is_denied: false });
    }

    /// The agent asks for permission.
    pub(super) fn asked(&mut self, ask: AskId, subject: Subject) {
        if self.asked.len() == TRACKED {
            self.asked.pop_first();
        }
        self.asked.insert(ask, subject);
    }

    /// A request was settled, which is shown. `is_denial`: the tool is not used. Returns what the request was about.
    pub(super) fn settled(&mut self, ask: AskId, is_denial: bool) -> Option<Subject> {
        let subject = self.asked.remove(&ask)?;
        if !take(&mut self.told, &subject) && is_denial {
            self.mark(&subject);
            push(&mut self.settled, subject.clone());
        }
        Some(subject)
    }

    /// A tool was denied. True if that is to be shown.
    pub(super) fn denied(&mut self, subject: &Subject) -> bool {
        if take(&mut self.settled, subject) || take(&mut self.failed, subject) {
            return false;
        }
        // The row of the request that is open follows and tells it.
        if self.asked.values().any(|asked| asked == subject) && !self.told.contains(subject) {
            self.mark(subject);
            push(&mut self.told, subject.clone());
            return false;
        }
        self.mark(subject);
        true
    }

    /// A call ended. True if its denial was shown, so that its failure is not.
    pub(super) fn ended(&mut self, id: &str, failed: bool) -> bool {
        let at = self.running.iter().position(|running| running.id == id);
        let Some(running) = at.and_then(|at| self.running.remove(at)) else { return false };
        if failed && !running.is_denied {
            push(&mut self.failed, running.subject);
        }
        failed && running.is_denied
    }

    /// All calls and requests are over.
    pub(super) fn clear(&mut self) {
        *self = Denials::default();
    }

    fn mark(&mut self, subject: &Subject) {
        let open = self.running.iter_mut().rev().find(|running| !running.is_denied && running.subject == *subject);
        if let Some(running) = open {
            running.is_denied = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often the denial of one call is shown when it is reported in this order.
    fn shown(order: &str) -> usize {
        let subject = ("Bash".to_owned(), "touch a".to_owned());
        let mut denials = Denials::default();
        denials.begin_turn();
        denials.started("t1", subject.clone());
        if order.contains('s') {
            denials.asked(AskId(1), subject.clone());
        }
        let mut shown = 0;
        for report in order.chars() {
            shown += usize::from(match report {
                's' => {
                    denials.settled(AskId(1), true);
                    true
                }
                'd' => denials.denied(&subject),
                _ => !denials.ended("t1", true),
            });
        }
        assert!(denials.settled.len() + denials.failed.len() <= 1, "{denials:?}");
        shown
    }

    #[test]
    fn a_denial_is_shown_once_in_whatever_order_it_is_reported() {
        for order in ["de", "ed", "sde", "sed", "se", "dse", "d", "e"] {
            assert_eq!(shown(order), 1, "{order}");
        }
        let subject = ("Bash".to_owned(), "touch a".to_owned());
        let mut denials = Denials::default();
        denials.asked(AskId(1), subject.clone());
        denials.settled(AskId(1), true);
        denials.begin_turn();
        assert!(denials.denied(&subject), "what an earlier turn has left hides nothing");
        assert!(denials.denied(&subject), "each denial is shown");
    }
}
