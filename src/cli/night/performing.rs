//! The loop over the tasks of a list: decides, starts, waits, and writes down what became of it.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use jiff::tz::TimeZone;
use redaction::Redactor;

use super::arguments::{RunBounds, RunOptions, place};
use super::looking::{look, look_again, not_begun};
use super::page;
use super::reading::{list_in, list_on_stdin};
use super::showing::{Shown, bounds_in_words, end_in_words, name_of, pause_in_words, read};
use super::wanted::Wanted;
use crate::agenda::{EndWhy, Facts, Found, Headroom, ListBounds, Listed, Stage, Step, WaitWhy};
use crate::cli::subcommand::run::refuse_past;
use crate::cli::{CliError, Context, ExitCode, Paint, awake, keeper_world, zone};
use crate::config::{Reserve, Settings, Until};
use crate::core::shell;
use crate::driver;
use crate::journal::{self, LockError, RunDir, RunSummary};
use crate::process::Foreground;
use crate::tasks::{List, NightDir, NightRecord, TaskEntry, TaskOptions};
use crate::ui::clean::one_line;
use crate::ui::format;
use crate::upkeep::{Admission, Rules, admission, headroom_again};

/// How many characters of a title stand above its run.
const TITLE_CHARS: usize = 200;
/// How long the run has, once this process was asked to end, to show that it was asked as well: a second signal would make it kill
/// its agent.
const ASKED_WAIT: Duration = Duration::from_secs(2);
/// The phase of a run that is ending.
const ENDING: &str = "ending";
/// The pause between two looks at a run that another process has started, and at the wall clock during a wait: the time in which
/// the machine sleeps counts as well.
const LOOK: Duration = Duration::from_millis(500);
const CLOCK_LOOK: Duration = Duration::from_secs(20);
/// How often the usage is looked at while a run is at work, if the settings are not known.
const USAGE_LOOK: Duration = Duration::from_secs(120);
/// When this process was asked to end so often, the run is not waited for any more.
const MOST_ASKED: u32 = 4;

/// What is heard while something is at work.
enum Event {
    /// This process is asked to end.
    Asked,
    /// The run's process has ended.
    Ended(io::Result<ExitStatus>),
}

/// Where the list comes from.
enum Source {
    /// A file, which is read again before each task.
    File { typed: PathBuf, real: PathBuf },
    /// Stdin, which cannot be added to.
    Stdin,
}

/// The work on one list.
pub(in crate::cli) struct Night<'a> {
    context: &'a Context,
    typed: Vec<String>,
    dry_run: bool,
    json: bool,
    again: bool,
    source: Source,
    list: List,
    dir: NightDir,
    record: NightRecord,
    bounds: ListBounds,
    options: RunOptions,
    /// The share of the windows that is kept for the user, if the command line says so.
    reserve: Option<u8>,
    settings: Option<Settings>,
    interrupted: bool,
    /// Whether a run was started or continued.
    has_played: bool,
    /// What was said last about a wait or about the list, so that it is said once.
    said: Option<String>,
    unknown_usage_was_said: bool,
    /// The run at work was asked to end, because the rest of the usage is kept for the user.
    gives_way: bool,
    sender: Sender<Event>,
    events: Receiver<Event>,
}

impl<'a> Night<'a> {
    /// Reads the list and the options, and what is remembered about the list. Nothing is written.
    ///
    /// # Errors
    /// When one of them is wrong.
    pub(in crate::cli) fn new(
        wanted: Wanted,
        root: &clap::Command,
        context: &'a Context,
    ) -> Result<Night<'a>, CliError> {
        refuse_past(wanted.until)?;
        let now_unix_ms = driver::unix_ms();
        let state = &context.dirs()?.state;
        let here = context.cwd()?;
        let cwd = here.canonicalize().map_err(|error| {
            CliError::environment(format!("{}: {error}", here.display())).hint("change to a directory that exists")
        })?;
        let file = wanted.file;
        let (source, list, dir) = if file == Path::new("-") {
            let (list, bytes) = list_on_stdin(context)?;
            (Source::Stdin, list, NightDir::of_text(state, &cwd, &bytes))
        } else {
            let list = list_in(&here.join(&file), &file)?;
            let real = here.join(&file).canonicalize().unwrap_or_else(|_| here.join(&file));
            let dir = NightDir::of_file(state, &real);
            (Source::File { typed: file, real }, list, dir)
        };
        let record = match read(&dir) {
            Ok(Some(record)) if !wanted.again => record,
            Err(error) if !wanted.again => return Err(error),
            Ok(_) | Err(_) => {
                let path = match &source {
                    Source::File { real, .. } => Some(real.clone()),
                    Source::Stdin => None,
                };
                NightRecord::new(path, cwd.clone())
            }
        };
        if record.cwd != cwd {
            let words = |path: &Path| shell::quoted(&path.display().to_string());
            let list = record.list.as_deref().map_or_else(|| "-".to_owned(), words);
            return Err(CliError::usage(format!("the tasks of this list are worked in {}", record.cwd.display()))
                .hint(format!(
                    "to continue there: cd {} && ccc night {list}; to begin anew here: ccc night {list} --again",
                    words(&record.cwd)
                )));
        }
        let options = RunOptions::read(&wanted.run_options, &wanted.typed, root, context)?;
        let (sender, events) = channel();
        Ok(Night {
            context,
            typed: wanted.typed,
            dry_run: wanted.dry_run,
            json: wanted.json,
            again: wanted.again,
            source,
            list,
            dir,
            record,
            bounds: ListBounds {
                until_unix_ms: wanted.until.map(|until| until.unix_ms(now_unix_ms, &zone::of_process())),
                max_cost_usd: wanted.max_cost_usd.map(crate::config::Cost::usd),
                stops_at_failure: wanted.stops_at_failure,
            },
            options,
            reserve: wanted.reserve.map(u8::from),
            settings: None,
            interrupted: false,
            has_played: false,
            said: None,
            unknown_usage_was_said: false,
            gives_way: false,
            sender,
            events,
        })
    }

    /// Works through the list, or shows what would be done.
    ///
    /// # Errors
    /// When no task could begin, another ccc works on the list, or nothing can be remembered.
    pub(in crate::cli) fn run(mut self) -> Result<ExitCode, CliError> {
        self.tell_of_outside();
        if self.dry_run {
            self.take_up();
            // With the warnings of the start.
            if let Err(error) = self.check() {
                self.context.printer.warn(format_args!("the list would not be begun: {}", error.with_hint()));
            }
            return Ok(self.show_plan());
        }
        let lock = self.dir.take_lock(driver::unix_ms()).map_err(|error| self.in_use(&error))?;
        // The user is there now, and sees each warning again.
        let _ = std::fs::remove_file(self.dir.warned());
        self.context.printer.warn_once_by(self.dir.warned());
        if self.again {
            let _ = self.dir.put_aside();
        } else if let Some(record) = read(&self.dir)? {
            // Another ccc may have worked on it until just now.
            self.record = record;
        }
        self.take_up();
        self.check()?;
        self.begin();
        self.record.updated_unix_ms = driver::unix_ms();
        self.record.typed = self.to_go_on();
        self.dir.write(&self.record).map_err(|error| {
            CliError::io(error).hint("free some disk space, or set CCC_STATE_DIR to another directory")
        })?;
        let sender = self.sender.clone();
        driver::at_each_end(move || drop(sender.send(Event::Asked)))
            .map_err(|error| CliError::failed(format!("signals cannot be handled: {error}")))?;
        let why = self.work();
        let code = self.end(&why);
        drop(lock);
        Ok(code)
    }

    /// Makes the tasks those of the list.
    fn take_up(&mut self) {
        let redactor = Redactor::new();
        let listed = |task: &TaskEntry| Listed {
            key: task.key.clone(),
            title: RunSummary::task_of(task.title(), &redactor),
            max_cost_usd: self.options.max_cost_usd(&task.options, self.settings.as_ref()),
            done: task.done,
        };
        let list: Vec<Listed> = self.list.tasks.iter().map(listed).collect();
        self.record.agenda.listed(&list);
    }

    fn begin(&mut self) {
        self.take_up();
        if let Ok(dirs) = self.context.dirs() {
            look_again(&mut self.record.agenda, &dirs.state);
        }
        self.record.agenda.begin(self.bounds, driver::unix_ms());
    }

    /// Checks that the tasks that are left could begin, once for each directory, because nobody is there at night.
    fn check(&mut self) -> Result<(), CliError> {
        let cwd = self.record.cwd.clone();
        let mut checked: Vec<PathBuf> = Vec::new();
        for task in &self.list.tasks {
            let known = self.record.agenda.tasks.iter().find(|known| known.key == task.key);
            let is_left = known.is_some_and(|known| !matches!(known.stage, Stage::Completed | Stage::Failed));
            let place = place(&task.options, &cwd);
            if !is_left || checked.contains(&place) {
                continue;
            }
            if !place.is_dir() {
                return Err(CliError::environment(format!(
                    "there is no directory {}, in which a task of the list is to be worked",
                    place.display()
                ))
                .hint("correct `cwd` in the list"));
            }
            if place == cwd && self.dry_run {
                // Nobody is asked for an agreement.
                self.settings = Some(self.options.check(task, &self.context.in_directory(&cwd))?);
            } else if place == cwd {
                self.settings = Some(self.options.check(task, self.context)?);
            } else {
                self.options.check(task, &self.context.in_directory(&place))?;
            }
            checked.push(place);
        }
        Ok(())
    }

    /// Works until there is a reason to end.
    fn work(&mut self) -> EndWhy {
        let reserve = self.reserve_percent(driver::unix_ms());
        let (now, record) = (driver::unix_ms(), &self.record);
        self.context.printer.talk(format_args!(
            "{}: {}, {}",
            name_of(record),
            format::count(record.agenda.tasks.iter().filter(|task| task.listed).count(), "task"),
            bounds_in_words(record, reserve, self.bounds_of_each().as_deref(), now)
        ));
        loop {
            self.hear();
            self.read_again();
            let step = self.decide(&Headroom::Free);
            let step = match step {
                Step::Start { .. } | Step::Resume { .. } => {
                    let headroom = self.headroom(driver::unix_ms());
                    self.decide(&headroom)
                }
                other @ (Step::Await { .. } | Step::Wait { .. } | Step::End(_)) => other,
            };
            match step {
                Step::Start { task, max_cost_usd } => self.start(task, max_cost_usd),
                Step::Resume { task, run, max_cost_usd } => self.resume(task, &run, max_cost_usd),
                Step::Await { task, run } => self.await_run(task, &run),
                Step::Wait { until_unix_ms, why } => self.wait(until_unix_ms, &why),
                Step::End(why) => return why,
            }
        }
    }

    fn decide(&self, headroom: &Headroom) -> Step {
        let facts = Facts { now_unix_ms: driver::unix_ms(), headroom, interrupted: self.interrupted };
        self.record.agenda.decide(&facts)
    }

    /// Takes what was heard meanwhile.
    fn hear(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            match event {
                Event::Asked => self.interrupted = true,
                Event::Ended(_) => {}
            }
        }
    }

    /// Reads the list again, as the user may have changed it.
    fn read_again(&mut self) {
        let Source::File { typed, real } = &self.source else { return };
        match list_in(real, typed) {
            Ok(list) => {
                let changed = list != self.list;
                self.list = list;
                if changed {
                    self.tell_of_outside();
                }
            }
            // An editor may be writing it.
            Err(error) => {
                let text = format!("{}; continuing with the list as it was", error.message);
                self.say(text);
            }
        }
        self.take_up();
    }

    /// Says this, unless it was said last.
    fn say(&mut self, text: String) {
        if self.said.as_ref() != Some(&text) {
            self.context.printer.warn(&text);
            self.said = Some(text);
        }
    }

    fn tell_of_outside(&self) {
        let lines: Vec<String> = self.list.outside.iter().take(5).map(ToString::to_string).collect();
        if lines.is_empty() {
            return;
        }
        let more = if self.list.outside.len() > lines.len() { " and others" } else { "" };
        self.context.printer.warn(format_args!("not part of a task, and left out: line {}{more}", lines.join(", ")));
    }

    /// Writes down what is remembered. A full disk does not end the night.
    fn keep(&mut self) {
        self.record.updated_unix_ms = driver::unix_ms();
        if let Err(error) = self.dir.write(&self.record) {
            self.context.printer.warn(format_args!("what was done of the list cannot be written down: {error}"));
        }
    }

    /// The words to type after `ccc` to go on with this list.
    fn to_go_on(&self) -> Vec<String> {
        to_type_again(&self.typed, self.bounds.until_unix_ms, driver::unix_ms(), &zone::of_process())
    }

    fn start(&mut self, at: usize, max_cost_usd: Option<f64>) {
        let key = self.record.agenda.tasks.get(at).map(|task| task.key.clone());
        let Some(entry) = self.list.tasks.iter().find(|entry| Some(&entry.key) == key.as_ref()).cloned() else {
            // The tasks are those of the list, so this does not happen.
            return self.record.agenda.ended(at, &not_begun("it is no longer in the list"), driver::unix_ms());
        };
        let run = journal::run_id(driver::unix_ms(), uuid::Uuid::new_v4().as_fields().0);
        self.head(at);
        let file = match self.dir.write_task(&entry.text) {
            Ok(file) => file,
            Err(error) => {
                let why = format!("its text cannot be written to the state directory: {error}");
                self.record.agenda.ended(at, &not_begun(&why), driver::unix_ms());
                return self.keep();
            }
        };
        self.record.agenda.starts(at, &run);
        self.keep();
        let bounds = self.bounds_of_run(max_cost_usd);
        let args = self.options.to_start(&entry, &file, &run, bounds);
        let code = self.play(&run, args, &place(&entry.options, &self.record.cwd));
        self.dir.remove_task();
        let found = match self.look(&run) {
            Some(found @ (Found::AtWork | Found::Died { .. } | Found::Ended { .. })) => found,
            Some(Found::NotBegun { .. }) | None => not_begun(&format!("its run did not begin ({code})")),
        };
        self.ended(at, &found);
    }

    fn resume(&mut self, at: usize, run: &str, max_cost_usd: Option<f64>) {
        self.head(at);
        let before = self.summary(run);
        self.record.agenda.starts(at, run);
        self.keep();
        let cwd = self.record.cwd.clone();
        let code = self.play(run, self.options.to_resume(run, self.bounds_of_run(max_cost_usd)), &cwd);
        let found = match self.look(run) {
            Some(Found::Died { .. } | Found::Ended { .. }) if before == self.summary(run) => {
                Found::NotBegun { exists: true, why: format!("its run was not continued ({code})") }
            }
            Some(found) => found,
            None => not_begun("its run is gone"),
        };
        self.ended(at, &found);
    }

    fn ended(&mut self, at: usize, found: &Found) {
        self.gives_way = false;
        self.record.agenda.ended(at, found, driver::unix_ms());
        self.keep();
    }

    /// The bounds of a run. A time of the configuration that comes earlier stays in force.
    fn bounds_of_run(&self, max_cost_usd: Option<f64>) -> RunBounds {
        let configured = self.settings.as_ref().and_then(|settings| settings.budgets.until);
        let configured = configured.map(|until| until.unix_ms(driver::unix_ms(), &zone::of_process()));
        let until_unix_ms = self.bounds.until_unix_ms.into_iter().chain(configured).min();
        RunBounds { until_unix_ms, max_cost_usd }
    }

    /// The line above a run.
    fn head(&mut self, at: usize) {
        self.said = None;
        self.has_played = true;
        let tasks = &self.record.agenda.tasks;
        let Some(task) = tasks.get(at) else { return };
        let lead = format!("task {} of {}: ", at + 1, tasks.iter().filter(|task| task.listed).count());
        let printer = &self.context.printer;
        printer.talk("");
        printer.talk_behind(&printer.paint_err(Paint::Bold, &lead), one_line(&task.title, TITLE_CHARS));
    }

    /// Runs the command of ccc that works on this run, to its end. Returns how it ended, in words.
    fn play(&mut self, run: &str, mut args: Vec<OsString>, cwd: &Path) -> String {
        // After the word that names the command.
        args.splice(1..1, ["--warned".into(), self.dir.warned().into_os_string()]);
        let child = match Foreground::start_unattended(args, cwd) {
            Ok(child) => child,
            Err(error) => return format!("ccc cannot be started: {error}"),
        };
        let pid = child.pid();
        let sender = self.sender.clone();
        let waits =
            thread::Builder::new().name("run".to_owned()).spawn(move || drop(sender.send(Event::Ended(child.wait()))));
        if let Err(error) = waits {
            Foreground::end(pid);
            return format!("a thread cannot be started: {error}");
        }
        let mut asked = 0;
        let mut patience: Option<Duration> = None;
        let usage_look = self
            .settings
            .as_ref()
            .map_or(USAGE_LOOK, |settings| Duration::from_millis(settings.usage.check_interval.as_ms()));
        loop {
            let event = match patience {
                Some(patience) => self.events.recv_timeout(patience),
                None if asked > 0 || self.gives_way => self.events.recv().map_err(|_| RecvTimeoutError::Disconnected),
                None => self.events.recv_timeout(usage_look),
            };
            match event {
                Ok(Event::Ended(Ok(status))) => {
                    return status.code().map_or_else(|| status.to_string(), |code| format!("exit code {code}"));
                }
                Ok(Event::Ended(Err(error))) => return error.to_string(),
                Ok(Event::Asked) => {
                    self.interrupted = true;
                    asked += 1;
                    patience = Some(ASKED_WAIT);
                    if asked >= MOST_ASKED {
                        return "it was not waited for".to_owned();
                    }
                }
                Err(RecvTimeoutError::Timeout) if patience.is_none() => {
                    if self.gives_way_now(run) {
                        Foreground::end(pid);
                    }
                }
                // The summary of a run that is just being continued may still have its former end, so it is looked at again.
                Err(RecvTimeoutError::Timeout) if self.is_ending(run) => {}
                Err(RecvTimeoutError::Timeout) => {
                    Foreground::end(pid);
                    patience = None;
                }
                Err(RecvTimeoutError::Disconnected) => return "its end was not heard".to_owned(),
            }
        }
    }

    /// Whether the run at work has used what is not kept for the user; then it gives way.
    fn gives_way_now(&mut self, run: &str) -> bool {
        let Headroom::Reserved { full, again_unix_ms } = self.headroom(driver::unix_ms()) else { return false };
        self.gives_way = true;
        // Written down first, because its end says only that it was asked to end.
        let tasks = &self.record.agenda.tasks;
        if let Some(at) = tasks.iter().position(|task| task.run.as_deref() == Some(run)) {
            self.record.agenda.gives_way(at, again_unix_ms);
            self.keep();
        }
        self.context.printer.talk(format_args!(
            "{:.0} % of the window {} of {} are used, and the rest is kept for you: the run is ended, and continued later",
            full.percent, full.window, full.token
        ));
        true
    }

    /// Whether the run is ending, or has ended.
    fn is_ending(&self, run: &str) -> bool {
        self.summary(run).is_some_and(|summary| summary.outcome.is_some() || summary.phase == ENDING)
    }

    /// Waits while another process is at work on the run.
    fn await_run(&mut self, at: usize, run: &str) {
        let mut was_said = false;
        loop {
            match self.look(run) {
                Some(Found::AtWork) => {}
                Some(found) => return self.ended(at, &found),
                None => return self.ended(at, &not_begun("its run is gone")),
            }
            if !was_said {
                was_said = true;
                self.head(at);
                self.context.printer.talk(format_args!(
                    "its run {run} is still at work, in another process; waiting for its end; to see it: ccc attach {run}"
                ));
            }
            match self.events.recv_timeout(LOOK) {
                Ok(Event::Asked) => {
                    self.interrupted = true;
                    self.context.printer.talk(format_args!("the run {run} works on; to end it: ccc stop {run}"));
                    return;
                }
                Ok(Event::Ended(_)) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Waits until then, or until somebody wants an end.
    fn wait(&mut self, until_unix_ms: i64, why: &WaitWhy) {
        let now = driver::unix_ms();
        let what = match why {
            WaitWhy::TryAgain => {
                format!(
                    "the run did not begin; it is tried again in {}",
                    pause_in_words(until_unix_ms.saturating_sub(now))
                )
            }
            WaitWhy::Reset(full) => {
                let reset = full
                    .resets_unix_ms
                    .map_or(String::new(), |at| format!(" at {}", format::moment(at, now, &zone::of_process())));
                format!(
                    "{:.0} % of the window {} of {} are used, and the rest is kept for you: waiting for its reset{reset}",
                    full.percent, full.window, full.token
                )
            }
        };
        if self.said.as_ref() != Some(&what) {
            self.context.printer.talk(&what);
            self.said = Some(what);
        }
        // It would sleep past the end of the wait.
        let keeps_awake = self.settings.as_ref().is_none_or(|settings| settings.keep_awake);
        let _awake = if keeps_awake { awake::hold("a list of tasks waits", self.context) } else { None };
        loop {
            let left = until_unix_ms.saturating_sub(driver::unix_ms());
            if left <= 0 || self.interrupted {
                return;
            }
            let pause = Duration::from_millis(left.unsigned_abs()).min(CLOCK_LOOK);
            match self.events.recv_timeout(pause) {
                Ok(Event::Asked) => self.interrupted = true,
                Ok(Event::Ended(_)) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// The percentage of the windows that is kept for the user at this time.
    fn reserve_percent(&self, now_unix_ms: i64) -> u8 {
        let configured = || {
            let usage = &self.settings.as_ref()?.usage;
            let now = jiff::Timestamp::from_millisecond(now_unix_ms).ok()?.to_zoned(zone::of_process());
            let percent = |reserve: &Reserve| reserve.percent_at(&now);
            usage.enabled.then(|| usage.reserve.iter().map(percent).max()).flatten()
        };
        self.reserve.or_else(configured).unwrap_or(0)
    }

    /// How much room the usage leaves. Asks the provider where that is due.
    fn headroom(&mut self, now_unix_ms: i64) -> Headroom {
        let reserve = self.reserve_percent(now_unix_ms);
        if reserve == 0 {
            return Headroom::Free;
        }
        let most = 100.0 - f64::from(reserve);
        let rules = Rules { critical_percent: most, warn_percent: most, ..Rules::default() };
        let usage = keeper_world::usage_in(&self.record.cwd, self.context, now_unix_ms);
        match admission(&usage, false, now_unix_ms, &rules) {
            Admission::Refused(full) => {
                Headroom::Reserved { full, again_unix_ms: headroom_again(&usage, now_unix_ms, &rules) }
            }
            Admission::Unknown => {
                if !self.unknown_usage_was_said {
                    self.unknown_usage_was_said = true;
                    self.context.printer.warn(
                        "the usage of no token is known, so nothing of it can be kept for you; to see it: ccc usage",
                    );
                }
                Headroom::Free
            }
            Admission::Allowed | Admission::Ignored(_) => Headroom::Free,
        }
    }

    fn run_dir(&self, run: &str) -> Option<RunDir> {
        RunDir::at(&self.context.dirs().ok()?.state, run).ok()
    }

    fn summary(&self, run: &str) -> Option<RunSummary> {
        RunSummary::read(&self.run_dir(run)?.summary()).ok()
    }

    /// What the run is; `None` if there is none.
    fn look(&self, run: &str) -> Option<Found> {
        look(&self.context.dirs().ok()?.state, run)
    }

    /// Another ccc works on the list.
    fn in_use(&self, error: &LockError) -> CliError {
        let now = driver::unix_ms();
        let name = name_of(&self.record);
        match error {
            LockError::Held { holder, .. } => {
                let who = holder.as_ref().map_or(String::new(), |holder| {
                    format!(
                        " (pid {}, since {})",
                        holder.pid,
                        format::moment(holder.since_unix_ms, now, &zone::of_process())
                    )
                });
                let file = self
                    .record
                    .list
                    .as_ref()
                    .map_or_else(String::new, |list| format!(" {}", shell::quoted(&list.display().to_string())));
                CliError::usage(format!("another ccc works on {name}{who}")).hint(format!(
                    "a task that you add to the list is taken up there; to see how it stands: ccc night --status{file}"
                ))
            }
            LockError::Io { .. } => {
                CliError::io(error).hint("make the state directory writable, or set CCC_STATE_DIR to another one")
            }
        }
    }

    /// The bounds of each run besides those of the night, in words; `None` while they are not known.
    fn bounds_of_each(&self) -> Option<String> {
        let settings = self.settings.as_ref()?;
        let has_own = |options: &TaskOptions| {
            let TaskOptions { cwd, max_iterations, max_duration, max_cost_usd, max_tokens, .. } = options;
            let given = [cwd.is_some(), max_iterations.is_some(), max_duration.is_some()];
            given.into_iter().chain([max_cost_usd.is_some(), max_tokens.is_some()]).any(|given| given)
        };
        if self.list.tasks.iter().any(|task| !task.done && has_own(&task.options)) {
            return Some("its own bounds".to_owned());
        }
        let budgets = &settings.budgets;
        let iterations = usize::try_from(budgets.max_iterations.get()).unwrap_or(usize::MAX);
        let mut parts = vec![format::count(iterations, "iteration")];
        parts.extend(budgets.max_duration.map(|span| span.to_string()));
        let cost = self.options.max_cost_usd(&TaskOptions::default(), self.settings.as_ref());
        parts.extend(cost.map(|usd| format::money(Some(usd))));
        parts.extend(budgets.max_tokens.map(|tokens| format!("{tokens} tokens")));
        Some(format!("{} at most", parts.join(", ")))
    }

    /// Shows what would be done.
    fn show_plan(&mut self) -> ExitCode {
        self.begin();
        let now = driver::unix_ms();
        let working_since = self.dir.holder().ok().flatten().map(|holder| holder.since_unix_ms);
        let state = match self.context.dirs() {
            Ok(dirs) => dirs.state.clone(),
            Err(_) => PathBuf::new(),
        };
        let shown = Shown { record: &self.record, state: &state, working_since };
        if self.json {
            self.context.printer.json(shown.as_json(None));
            return ExitCode::COMPLETED;
        }
        let printer = &self.context.printer;
        let bounds = bounds_in_words(&self.record, self.reserve_percent(now), self.bounds_of_each().as_deref(), now);
        printer.line(format_args!("{}: {bounds}", name_of(&self.record)));
        for (at, task) in self.record.agenda.tasks.iter().enumerate().filter(|(_, task)| task.listed) {
            let what = match (task.stage, &task.run) {
                (Stage::Queued | Stage::NotStarted, _) => "start".to_owned(),
                (Stage::Broken | Stage::Interrupted | Stage::Running, Some(run)) => format!("continue {run}"),
                (Stage::Broken | Stage::Interrupted | Stage::Running, None) => "start".to_owned(),
                (Stage::Completed, _) => "completed".to_owned(),
                (Stage::Failed, run) => {
                    let resume = run.as_deref().and_then(|run| self.summary(run)?.resume);
                    resume.map_or_else(|| "failed".to_owned(), |resume| format!("failed, to continue: {resume}"))
                }
            };
            printer.behind(&format!("{:>3}  ", at + 1), format!("{} ({what})", one_line(&task.title, TITLE_CHARS)));
        }
        let ticked = self.list.tasks.iter().filter(|task| task.done).count();
        if ticked > 0 {
            printer.line(format_args!("{} ticked", format::count(ticked, "task")));
        }
        ExitCode::COMPLETED
    }

    /// Writes the report, and says how the night has ended and how to go on.
    fn end(&mut self, why: &EndWhy) -> ExitCode {
        self.record.agenda.ends(why.clone(), driver::unix_ms());
        self.dir.remove_task();
        self.keep();
        let report = page::written(&self.dir, &self.record, self.context);
        let outcome = self.record.agenda.outcome(why);
        let state = match self.context.dirs() {
            Ok(dirs) => dirs.state.clone(),
            Err(_) => PathBuf::new(),
        };
        let shown = Shown { record: &self.record, state: &state, working_since: None };
        let printer = &self.context.printer;
        printer.talk("");
        let took = u64::try_from(driver::unix_ms().saturating_sub(self.record.agenda.began_unix_ms)).unwrap_or(0);
        printer.talk(
            printer.paint_err(
                Paint::Bold,
                &format!("{}, {}: {}", shown.counts(), format::seconds(took), end_in_words(why)),
            ),
        );
        for (lead, text) in shown.rows() {
            printer.talk_behind(&lead, text);
        }
        match report {
            Ok(Some(path)) => printer.talk(format_args!("report: {}", path.display())),
            Ok(None) => {}
            Err(error) => printer.warn(format_args!("the report over the night cannot be written: {error}")),
        }
        let from = if matches!(self.source, Source::Stdin) { ", with the same list on stdin" } else { "" };
        let mut typed = self.to_go_on();
        if shown.has_more() {
            printer.talk(format_args!("to go on{from}: ccc{}", shell::words(&typed)));
        } else if !self.has_played {
            // After the word `night`: what follows two dashes is for the runs.
            typed.insert(1.min(typed.len()), "--again".to_owned());
            printer.talk(format_args!("to work it again from its beginning{from}: ccc{}", shell::words(&typed)));
        }
        ExitCode::from(outcome)
    }
}

/// What is typed to go on with a list: what was typed, without `--again`, and with the same end of the night. A span such as `+8h`
/// would count anew, so the time that it has meant stands there, unless that is over.
fn to_type_again(typed: &[String], until_unix_ms: Option<i64>, now_unix_ms: i64, zone: &TimeZone) -> Vec<String> {
    let mut words: Vec<String> = typed.iter().filter(|word| *word != "--again").cloned().collect();
    let ahead = until_unix_ms.filter(|until| *until > now_unix_ms);
    let Some(until) = ahead.and_then(|until| Until::at(until, zone)).map(String::from) else { return words };
    let own = words.iter().position(|word| word == "--").unwrap_or(words.len());
    for at in 0..own {
        let Some(word) = words.get(at) else { break };
        let is_span = |word: Option<&String>| word.is_some_and(|word| word.trim_start().starts_with('+'));
        let (at, with) = if word == "--until" && is_span(words.get(at + 1)) {
            (at + 1, until.clone())
        } else if word.starts_with("--until=+") {
            (at, format!("--until={until}"))
        } else {
            continue;
        };
        if let Some(word) = words.get_mut(at) {
            *word = with;
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_with_a_list_has_the_time_that_a_span_has_meant() {
        // 2027-01-15 08:00:00 UTC.
        let now = 1_800_000_000_000;
        let again = |typed: &str, until| {
            let typed: Vec<String> = typed.split(' ').map(str::to_owned).collect();
            to_type_again(&typed, until, now, &TimeZone::UTC).join(" ")
        };
        let until = Some(now + 3_600_001);
        assert_eq!(again("night --until +1h a --again", until), "night --until 2027-01-15T09:00:00 a");
        assert_eq!(
            again("night a --until=+1h -- --check +1h", until),
            "night a --until=2027-01-15T09:00:00 -- --check +1h"
        );
        // It is over: as much time again is meant.
        assert_eq!(again("night --until +1h a", Some(now)), "night --until +1h a");
        for typed in ["night --until 07:00 a", "night a", "night a -- --until +1h", "night a --until"] {
            assert_eq!(again(typed, until), typed);
        }
    }
}
