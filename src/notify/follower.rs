//! Turns what a run shows into news, each once. Pure: a journal gives the same news again, and so the same keys.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::agent::{Asked, AskedKind, Role, TurnKind};
use crate::config::NotifyEvent;
use crate::core::{Outcome, SettledHow, Show};

/// The most news of one run; what comes later is not told.
const NEWS_LIMIT: usize = 10_000;
/// Two waits whose ends differ by less are one: the reset is reported anew while it is waited for.
const SAME_WAIT_MS: i64 = 5 * 60_000;

/// How the run stands after the news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It goes on, or waits for something.
    GoesOn,
    /// It rests until the user's next message.
    Rests,
    /// It has ended.
    Ended,
}

/// A piece of news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// What it is.
    pub event: NotifyEvent,
    /// How the run stands.
    pub(super) standing: Standing,
    /// Why, in words; it may hold secrets.
    pub text: String,
    /// When a wait ends, unix milliseconds.
    pub until_unix_ms: Option<i64>,
    /// What it is told apart by within the run.
    pub(super) key: String,
}

/// Follows one run.
#[derive(Debug, Clone, Default)]
pub struct Follower {
    /// How many messages of the user the agent got: what is said again after one is news.
    messages: u32,
    /// How many requests the user has answered: one that is made again after an answer is news.
    answers: u32,
    /// How many calls of the agent's tools were denied.
    denied: u32,
    /// The end of the wait that was told last, and whether the agent has worked since.
    wait: Option<(i64, bool)>,
    told: BTreeSet<[u8; 8]>,
}

impl Follower {
    /// How many calls of the agent's tools were denied so far.
    pub(super) fn denied(&self) -> u32 {
        self.denied
    }

    /// The news in what is shown; `None` if there is none, or it was told.
    pub fn follow(&mut self, show: &Show) -> Option<News> {
        match show {
            Show::Turn { kind, .. } => {
                match kind {
                    TurnKind::Task | TurnKind::Operator => self.messages += 1,
                    TurnKind::Worker
                    | TurnKind::Feedback
                    | TurnKind::CheckFailure
                    | TurnKind::Continue
                    | TurnKind::Compact
                    | TurnKind::Brief => {}
                }
                None
            }
            Show::Settled { how, .. } => {
                match how {
                    SettledHow::Allowed | SettledHow::AllowedForSession | SettledHow::Denied | SettledHow::Answered => {
                        self.answers += 1
                    }
                    SettledHow::Withdrawn | SettledHow::Gone | SettledHow::Policy => {}
                }
                None
            }
            Show::Denied { role: Role::Agent, .. } => {
                self.denied = self.denied.saturating_add(1);
                None
            }
            Show::Text { role: Role::Agent, .. } | Show::Tool { role: Role::Agent, .. } => {
                if let Some((_, worked)) = &mut self.wait {
                    *worked = true;
                }
                None
            }
            Show::Phase { phase, detail, .. } if phase == "restarting" => {
                self.news(NotifyEvent::Restarts, Standing::GoesOn, format!("the agent's process {detail}"), "")
            }
            Show::Rests { outcome: Some(outcome), reason, .. } => self.came_to(*outcome, reason, Standing::Rests),
            Show::Finished { outcome, reason } => self.came_to(*outcome, reason, Standing::Ended),
            Show::Spent { tokens, until_unix_ms, waits: true, .. } => self.limited(tokens.len(), *until_unix_ms),
            Show::Asked { ask } => {
                let text = wanted(ask);
                self.news(NotifyEvent::Approval, Standing::GoesOn, text, &ask.input)
            }
            Show::Phase { .. }
            | Show::Text { .. }
            | Show::Tool { .. }
            | Show::Rests { outcome: None, .. }
            | Show::Spent { .. }
            | Show::Session { .. }
            | Show::PermissionMode { .. }
            | Show::Retrying { .. }
            | Show::ToolEnded { .. }
            | Show::Denied { .. }
            | Show::Check { .. }
            | Show::Verdict { .. }
            | Show::Cost { .. }
            | Show::Context { .. }
            | Show::Notice { .. }
            | Show::Information { .. }
            | Show::Awaited { .. }
            | Show::Rotation { .. }
            | Show::Question { .. }
            | Show::Thinking { .. }
            | Show::Queue { .. }
            | Show::Todo { .. }
            | Show::Offers { .. }
            | Show::Attended { .. }
            | Show::Windows { .. } => None,
        }
    }

    fn came_to(&mut self, outcome: Outcome, reason: &str, standing: Standing) -> Option<News> {
        let event = match outcome {
            Outcome::Completed => NotifyEvent::Completed,
            Outcome::NeedsUser => NotifyEvent::NeedsUser,
            Outcome::Budget => NotifyEvent::Budget,
            Outcome::Stuck => NotifyEvent::Stuck,
            Outcome::Limits => NotifyEvent::Limited,
            Outcome::Failed => NotifyEvent::Failed,
            // Whoever asked for the end knows of it.
            Outcome::Interrupted => return None,
        };
        self.news(event, standing, reason.to_owned(), "")
    }

    fn limited(&mut self, tokens: usize, until_unix_ms: i64) -> Option<News> {
        if let Some((told, worked)) = self.wait
            && (!worked || (until_unix_ms - told).abs() < SAME_WAIT_MS)
        {
            return None;
        }
        self.wait = Some((until_unix_ms, false));
        let text = match tokens {
            0 | 1 => "its token is at its limit".to_owned(),
            tokens => format!("all {tokens} tokens are at their limits"),
        };
        let news = self.news(NotifyEvent::Limited, Standing::GoesOn, text, &until_unix_ms.to_string())?;
        Some(News { until_unix_ms: Some(until_unix_ms), ..news })
    }

    /// The news, unless the same was told since the user's last message and answer.
    fn news(&mut self, event: NotifyEvent, standing: Standing, text: String, more: &str) -> Option<News> {
        let answers = if event == NotifyEvent::Approval { self.answers } else { 0 };
        let mut hash = Sha256::new();
        for part in [event.name(), &self.messages.to_string(), &answers.to_string(), &text, more] {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        let hash = hash.finalize();
        let mut key = [0; 8];
        key.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        if self.told.len() >= NEWS_LIMIT || !self.told.insert(key) {
            return None;
        }
        let key = key.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(News { event, standing, text, until_unix_ms: None, key })
    }
}

/// What the agent asks for, in words.
fn wanted(ask: &Asked) -> String {
    let target = |what: &str| {
        let tool = if ask.target.is_empty() { ask.tool.clone() } else { format!("{}: {}", ask.tool, ask.target) };
        format!("{what} {tool}")
    };
    match ask.kind {
        AskedKind::Permission => target("may it use"),
        AskedKind::Plan => "it has a plan, and waits for your approval".to_owned(),
        AskedKind::Choices => {
            let questions: Vec<&str> = ask.questions.iter().map(|question| question.question.as_str()).collect();
            if questions.is_empty() { "it has a question".to_owned() } else { questions.join("\n") }
        }
        AskedKind::Form if ask.said.is_empty() => target("it has a form of"),
        AskedKind::Form => ask.said.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::RestKind;
    use crate::words::AskId;

    fn finished(outcome: Outcome, reason: &str) -> Show {
        Show::Finished { outcome, reason: reason.to_owned() }
    }

    fn rests(outcome: Outcome, reason: &str) -> Show {
        Show::Rests { why: RestKind::Judged, outcome: Some(outcome), reason: reason.to_owned() }
    }

    fn turn(kind: TurnKind) -> Show {
        Show::Turn { kind, text: String::new() }
    }

    fn restarting(how: &str) -> Show {
        Show::Phase { phase: "restarting".into(), detail: how.into(), iteration: 0, goes_on_in_ms: None }
    }

    fn spent(until_unix_ms: i64) -> Show {
        Show::Spent { tokens: Vec::new(), until_unix_ms, waits: true, now_unix_ms: 0 }
    }

    fn works() -> Show {
        Show::Text { role: Role::Agent, text: "x".into(), sub_agent: false, under: None }
    }

    fn asks(number: u32, target: &str) -> Show {
        let ask = Asked { id: AskId(number), tool: "Bash".into(), target: target.into(), ..Asked::default() };
        Show::Asked { ask: Box::new(ask) }
    }

    fn settled(how: SettledHow) -> Show {
        Show::Settled { ask: AskId(1), how, words: String::new() }
    }

    /// The events that are told of these.
    fn told(shows: &[Show]) -> Vec<NotifyEvent> {
        let mut follower = Follower::default();
        shows.iter().filter_map(|show| follower.follow(show)).map(|news| news.event).collect()
    }

    #[test]
    fn each_outcome_is_told_but_the_one_that_the_user_asked_for() {
        let ends = Outcome::ALL.map(|outcome| finished(outcome, "why"));
        let expected = [
            NotifyEvent::Completed,
            NotifyEvent::Failed,
            NotifyEvent::NeedsUser,
            NotifyEvent::Budget,
            NotifyEvent::Stuck,
            NotifyEvent::Limited,
        ];
        assert_eq!(told(&ends), expected);
    }

    #[test]
    fn what_was_told_at_a_rest_is_not_told_at_the_end_and_is_news_after_a_message() {
        use NotifyEvent::Completed;
        let done = || rests(Outcome::Completed, "the critic agrees");
        let end = finished(Outcome::Completed, "the critic agrees");
        assert_eq!(told(&[turn(TurnKind::Task), done(), end.clone()]), [Completed]);
        assert_eq!(told(&[done(), turn(TurnKind::Feedback), done()]), [Completed], "no message of the user");
        assert_eq!(told(&[done(), turn(TurnKind::Operator), done(), end]), [Completed, Completed]);
    }

    #[test]
    fn a_restart_for_the_same_reason_is_told_once() {
        let crash = "exited with code 1";
        let shows = [restarting(crash), restarting(crash), restarting("was killed by signal 9"), restarting(crash)];
        assert_eq!(told(&shows), [NotifyEvent::Restarts; 2]);
    }

    #[test]
    fn a_wait_is_told_once_however_often_its_end_is_reported() {
        let hour = 3_600_000;
        // Without work in between every limit belongs to the same wait, even one with a later end.
        assert_eq!(told(&[spent(hour), spent(hour), spent(hour + 1_000), spent(3 * hour)]).len(), 1);
        // After work the same reset is still the same wait, and another one is a new wait.
        assert_eq!(told(&[spent(hour), works(), spent(hour + 1_000)]).len(), 1);
        assert_eq!(told(&[spent(hour), works(), spent(6 * hour)]).len(), 2);
        let ends = Show::Spent { tokens: Vec::new(), until_unix_ms: hour, waits: false, now_unix_ms: 0 };
        assert_eq!(told(&[ends]), [], "the run's end tells it");
    }

    #[test]
    fn a_request_is_told_once_until_the_user_answers() {
        let again = || asks(2, "cargo publish");
        let first = asks(1, "cargo publish");
        assert_eq!(told(&[first.clone(), settled(SettledHow::Gone), again()]).len(), 1);
        assert_eq!(told(&[first.clone(), settled(SettledHow::Policy), again()]).len(), 1);
        assert_eq!(told(&[first.clone(), settled(SettledHow::Allowed), again()]).len(), 2);
        assert_eq!(told(&[first, asks(2, "rm -r target")]).len(), 2);
    }

    #[test]
    fn a_follower_that_has_read_the_journal_tells_nothing_of_it_again() {
        let before = [turn(TurnKind::Task), restarting("exited with code 1"), spent(3_600_000), asks(1, "make")];
        let mut follower = Follower::default();
        before.iter().for_each(|show| drop(follower.follow(show)));
        for show in &before[1..] {
            assert_eq!(follower.follow(show), None);
        }
        let news = follower.follow(&finished(Outcome::Completed, "all is there")).expect("news");
        assert_eq!((news.event, news.text.as_str()), (NotifyEvent::Completed, "all is there"));
    }
}
