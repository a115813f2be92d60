//! What the agent has scheduled for itself: a wake-up, a one-time job, a recurring job.
//!
//! Measured: 2.1.332 accepts a `ScheduleWakeup` and fires it in the idle process, at the next full minute after the
//! delay; 2.1.197 refuses it (`scheduledFor` 0). `CronCreate` works on both; only 2.1.332 says when a job is next
//! due. All schedules end with the process, except that a 2.1.197 process that resumes or forks the session also has
//! its jobs.

use std::collections::BTreeMap;

use crate::stream::Raw;

/// How many open scheduling calls, and how many jobs, are remembered.
const MAX_SCHEDULES: usize = 256;

/// All that is scheduled.
#[derive(Debug, Clone, Default)]
pub(super) struct Schedules {
    /// Calls that have not returned, by id.
    calls: BTreeMap<String, Call>,
    wakeup: Option<Once>,
    /// One-time jobs, by the CLI's id.
    once: BTreeMap<String, Once>,
    /// Recurring jobs, by the CLI's id: their names.
    recurring: BTreeMap<String, String>,
    /// The latest time in the CLI's lines, unix milliseconds.
    now_unix_ms: Option<i64>,
}

#[derive(Debug, Clone)]
enum Call {
    Wakeup { name: String },
    Create { name: String },
    Delete { job: String },
}

/// Something that happens once.
#[derive(Debug, Clone)]
struct Once {
    name: String,
    /// When it is due, unix milliseconds, if known.
    due_unix_ms: Option<i64>,
    /// No turn waits for it any more.
    given_up: bool,
}

impl Schedules {
    /// A tool was called. `name` is for the user.
    pub(super) fn called(&mut self, id: &str, tool: &str, input: Option<Raw<'_>>, name: &str) {
        let text = |member: &str| input.and_then(|input| input.member(member)).and_then(Raw::text).unwrap_or_default();
        let call = match tool {
            "ScheduleWakeup" => {
                Call::Wakeup { name: format!("a wake-up ({})", super::target::first_line(&text("reason"))) }
            }
            "CronCreate" => Call::Create { name: format!("the scheduled job {name}") },
            "CronDelete" => Call::Delete { job: text("id").into_owned() },
            _ => return,
        };
        if self.calls.len() < MAX_SCHEDULES {
            self.calls.insert(id.to_owned(), call);
        }
    }

    /// A call returned; `result` is the tool's structured result.
    pub(super) fn returned(&mut self, id: &str, failed: bool, result: Option<Raw<'_>>) {
        let Some(call) = self.calls.remove(id).filter(|_| !failed) else { return };
        let Some(result) = result else { return };
        let due = |member: &str| result.member(member).and_then(Raw::f64).filter(|due| *due > 0.0).map(whole);
        match call {
            Call::Wakeup { name } => {
                // A new wake-up replaces the previous one.
                if let due_unix_ms @ Some(_) = due("scheduledFor") {
                    self.wakeup = Some(Once { name, due_unix_ms, given_up: false });
                }
            }
            Call::Create { name } => {
                let Some(job) = result.member("id").and_then(Raw::text) else { return };
                let full = self.once.len() + self.recurring.len() >= MAX_SCHEDULES;
                if full {
                } else if result.member("recurring").and_then(Raw::bool) == Some(false) {
                    let once = Once { name, due_unix_ms: due("nextFireAt"), given_up: false };
                    self.once.insert(job.into_owned(), once);
                } else {
                    self.recurring.insert(job.into_owned(), name);
                }
            }
            Call::Delete { job } => {
                self.once.remove(&job);
                self.recurring.remove(&job);
            }
        }
    }

    /// The time at which a line was written, ISO 8601. Everything due before it has fired.
    pub(super) fn time(&mut self, iso: &str) {
        let Some(now) = unix_ms(iso) else { return };
        self.now_unix_ms = self.now_unix_ms.max(Some(now));
        let is_past = |once: &Once| once.due_unix_ms.is_some_and(|due| due <= now);
        self.wakeup.take_if(|wakeup| is_past(wakeup));
        self.once.retain(|_, once| !is_past(once));
    }

    /// The CLI begins a turn by itself that is not about a background task. A single one-time job without a due time
    /// counts as fired, unless a recurring job may have fired instead.
    pub(super) fn fired(&mut self) {
        if self.recurring.is_empty() && self.once.len() == 1 {
            self.once.retain(|_, once| once.due_unix_ms.is_some());
        }
    }

    /// How many a turn waits for: the one-time ones.
    pub(super) fn open(&self) -> usize {
        self.awaited().count()
    }

    /// The time until the first of those, milliseconds; `None` if unknown.
    pub(super) fn first_in_ms(&self) -> Option<u64> {
        let now = self.now_unix_ms?;
        let due = self.awaited().filter_map(|once| once.due_unix_ms).min()?;
        u64::try_from(due.saturating_sub(now)).ok()
    }

    /// The names of those.
    pub(super) fn open_names(&self) -> Vec<String> {
        self.awaited().map(|once| once.name.clone()).collect()
    }

    /// The names of all that are still due.
    pub(super) fn names(&self) -> Vec<String> {
        self.wakeup
            .iter()
            .chain(self.once.values())
            .map(|once| once.name.clone())
            .chain(self.recurring.values().cloned())
            .collect()
    }

    /// No turn waits any longer.
    pub(super) fn give_up(&mut self) {
        for once in self.wakeup.iter_mut().chain(self.once.values_mut()) {
            once.given_up = true;
        }
    }

    fn awaited(&self) -> impl Iterator<Item = &Once> {
        self.wakeup.iter().chain(self.once.values()).filter(|once| !once.given_up)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a time of day, and the cast saturates")]
fn whole(ms: f64) -> i64 {
    ms as i64
}

/// A time as the CLI writes it (`2026-11-27T09:51:03.560Z`), in unix milliseconds.
fn unix_ms(iso: &str) -> Option<i64> {
    let (date, time) = iso.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.splitn(3, ':');
    let (hour, minute) = (time.next()?.parse::<i64>().ok()?, time.next()?.parse::<i64>().ok()?);
    let second: f64 = time.next()?.parse().ok()?;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || !(1970..=9_999).contains(&year) {
        return None;
    }
    // Years start in March, so that the leap day is the last day.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60_000 + whole(second * 1_000.0))
}

#[cfg(test)]
mod tests {
    use super::{Schedules, unix_ms};
    use crate::stream::Raw;

    fn call(schedules: &mut Schedules, tool: &str, input: &str, result: &str) {
        schedules.called("t", tool, Raw::parse(input), "* * * * *");
        schedules.returned("t", false, Raw::parse(result));
    }

    #[test]
    fn the_time_of_a_line_is_read() {
        for (iso, ms) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-27T09:51:03.560Z", Some(1_795_773_063_560)),
            ("2024-02-29T23:59:59.999Z", Some(1_709_251_199_999)),
            ("2024-03-01T00:00:00.000Z", Some(1_709_251_200_000)),
            ("t", None),
            ("2024-13-01T00:00:00Z", None),
            ("2024-03-01 00:00:00", None),
        ] {
            assert_eq!(unix_ms(iso), ms, "{iso}");
        }
    }

    #[test]
    fn what_happens_once_is_waited_for_and_what_comes_again_is_not() {
        let mut schedules = Schedules::default();
        schedules.time("2026-11-27T09:51:03.560Z");
        call(&mut schedules, "ScheduleWakeup", r#"{"reason":"CI"}"#, r#"{"scheduledFor":0,"clampedDelaySeconds":0}"#);
        assert_eq!((schedules.open(), schedules.names().len()), (0, 0), "2.1.197 refuses it");
        call(&mut schedules, "ScheduleWakeup", r#"{"reason":"CI"}"#, r#"{"scheduledFor":1795773180000}"#);
        assert_eq!((schedules.open(), schedules.first_in_ms()), (1, Some(116_440)));
        assert_eq!(schedules.open_names(), ["a wake-up (CI)"]);
        call(&mut schedules, "CronCreate", "{}", r#"{"id":"a","recurring":true,"nextFireAt":1795773100000.5}"#);
        assert_eq!((schedules.open(), schedules.names().len()), (1, 2));
        call(&mut schedules, "CronCreate", "{}", r#"{"id":"b","recurring":false,"nextFireAt":1795773070000.5}"#);
        assert_eq!((schedules.open(), schedules.first_in_ms()), (2, Some(6_440)));
        schedules.time("2026-11-27T09:51:11.000Z");
        assert_eq!(schedules.open(), 1, "the job has run");
        schedules.give_up();
        assert_eq!((schedules.open(), schedules.names().len()), (0, 2), "it comes all the same");
        call(&mut schedules, "CronDelete", r#"{"id":"a"}"#, r#"{"id":"a"}"#);
        schedules.time("2026-11-27T10:51:11.000Z");
        assert_eq!(schedules.names(), Vec::<String>::new());
    }

    #[test]
    fn a_job_that_does_not_say_when_it_runs_has_run_when_the_cli_begins_a_turn() {
        let mut schedules = Schedules::default();
        call(&mut schedules, "CronCreate", "{}", r#"{"id":"b","recurring":false}"#);
        assert_eq!((schedules.open(), schedules.first_in_ms()), (1, None));
        schedules.fired();
        assert_eq!(schedules.open(), 0);
    }

    #[test]
    fn a_call_that_was_denied_schedules_nothing() {
        let mut schedules = Schedules::default();
        schedules.called("t", "CronCreate", None, "x");
        schedules.returned("t", true, Raw::parse(r#"{"id":"b","recurring":false}"#));
        assert_eq!(schedules.names().len(), 0);
    }
}
