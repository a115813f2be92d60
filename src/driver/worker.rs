//! Threads for slow work, so that the loop does not wait for it.

use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

type Job = Box<dyn FnOnce() + Send>;

/// How many jobs may be queued for one thread; the queue fills only while a disk or the system hangs.
const MOST_JOBS: usize = 1024;
/// Stack of a worker thread.
const STACK_BYTES: usize = 512 * 1024;

/// A thread that does its jobs in order. It starts with the first job, and ends after the last one once all clones of this
/// handle are dropped.
#[derive(Debug, Clone)]
pub struct Worker {
    name: &'static str,
    jobs: Arc<OnceLock<Option<SyncSender<Job>>>>,
}

/// The threads for jobs that the loop of an agent's run does not wait for. Each kind of job has its own thread, so that one
/// that hangs does not block the others.
#[derive(Debug, Clone)]
pub struct Workers {
    /// Signals to processes, which scan `/proc`.
    pub processes: Worker,
    /// The shared token state of the user's ccc processes.
    pub tokens: Worker,
    /// Session records.
    pub records: Worker,
    /// The project's settings of the agent.
    pub settings: Worker,
    /// Checkpoints of the working tree.
    pub checkpoints: Worker,
    /// Comparisons of the tests in two checkpoints.
    pub comparisons: Worker,
    /// Critics' copies of the working tree, which are removed.
    pub copies: Worker,
    /// Locks of sessions whose ids become known only during the run.
    pub locks: Worker,
    /// The timeouts for their answers.
    pub timeouts: WorkerTimeouts,
}

/// How long a run waits for its workers. Only a disk that hangs takes longer.
#[derive(Debug, Clone, Copy)]
pub struct WorkerTimeouts {
    /// For a lookup in the session record. On timeout the result is unknown.
    pub records: Duration,
    /// For the state of the tokens. On timeout the last known state is used.
    pub tokens: Duration,
    /// For the project's settings of the agent. On timeout the start of the process has failed.
    pub settings: Duration,
}

impl Default for Workers {
    fn default() -> Self {
        Self {
            processes: Worker::new("processes"),
            tokens: Worker::new("tokens"),
            records: Worker::new("records"),
            settings: Worker::new("settings"),
            checkpoints: Worker::new("checkpoints"),
            comparisons: Worker::new("comparisons"),
            copies: Worker::new("copies"),
            locks: Worker::new("locks"),
            timeouts: WorkerTimeouts::default(),
        }
    }
}

impl Default for WorkerTimeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { records: seconds(10), tokens: seconds(5), settings: seconds(10) }
    }
}

/// The same for the run of a command.
#[derive(Debug, Clone)]
pub struct CommandWorkers {
    /// Signals to the program and its descendants, which scan `/proc`.
    pub processes: Worker,
    /// The program's heartbeat file.
    pub heartbeat: Worker,
    /// The timeout for a read of it. On timeout the file counts as unreadable.
    pub heartbeat_patience: Duration,
}

impl Default for CommandWorkers {
    fn default() -> Self {
        Self {
            processes: Worker::new("processes"),
            heartbeat: Worker::new("heartbeat"),
            heartbeat_patience: Duration::from_secs(10),
        }
    }
}

impl Worker {
    pub(super) fn new(name: &'static str) -> Worker {
        Worker { name, jobs: Arc::default() }
    }

    /// Queues a job. If the system provides no thread, the job runs here. If the queue is full, the job is refused, and its
    /// answer never comes, as for a job that hangs.
    pub fn give(&self, job: impl FnOnce() + Send + 'static) {
        match self.jobs.get_or_init(|| start(self.name)) {
            Some(jobs) => match jobs.try_send(Box::new(job)) {
                // The thread runs as long as there is a sender; a job that panics has reported it.
                Ok(()) | Err(TrySendError::Disconnected(_)) => {}
                Err(TrySendError::Full(_)) => {
                    tracing::error!(
                        worker = self.name,
                        "a job is refused: {MOST_JOBS} wait, and none comes to its end"
                    );
                }
            },
            None => job(),
        }
    }

    /// Waits until all queued jobs are done, at most `wait`.
    pub(super) fn finish(&self, wait: Duration) {
        if self.jobs.get().is_none() {
            return;
        }
        let (done, is_done) = sync_channel(1);
        self.give(move || {
            let _ = done.send(());
        });
        let _ = is_done.recv_timeout(wait);
    }
}

fn start(name: &str) -> Option<SyncSender<Job>> {
    let (jobs, taken) = sync_channel::<Job>(MOST_JOBS);
    let body = move || taken.into_iter().for_each(|job| job());
    let started = thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(body);
    started.inspect_err(|error| tracing::warn!(%error, "no thread for {name}")).ok()?;
    Some(jobs)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::{MOST_JOBS, Worker};

    #[test]
    fn jobs_are_done_in_order_and_one_that_hangs_holds_up_nobody_but_the_later_ones() {
        let worker = Worker::new("test");
        let (told, hears) = channel();
        let (go, wait) = channel::<()>();
        let theirs = told.clone();
        worker.give(move || theirs.send(1).expect("the test listens"));
        assert_eq!(hears.recv(), Ok(1));
        worker.give(move || {
            let _ = wait.recv();
        });
        worker.give(move || told.send(2).expect("the test listens"));
        worker.finish(Duration::from_millis(50));
        assert!(hears.try_recv().is_err(), "it was done before the one that hangs");
        drop(go);
        worker.finish(Duration::from_secs(20));
        assert_eq!(hears.try_recv(), Ok(2));
    }

    #[test]
    fn when_too_many_jobs_wait_the_next_is_refused_and_its_answer_never_comes() {
        let worker = Worker::new("test");
        let (told, hears) = channel();
        let (go, wait) = channel::<()>();
        let (begun, begins) = channel();
        worker.give(move || {
            begun.send(()).expect("the test listens");
            let _ = wait.recv();
        });
        begins.recv().expect("the worker hangs");
        for job in 0..=MOST_JOBS {
            let told = told.clone();
            worker.give(move || told.send(job).expect("the test listens"));
        }
        go.send(()).expect("the worker listens");
        drop((worker, told));
        assert_eq!(hears.iter().collect::<Vec<_>>(), (0..MOST_JOBS).collect::<Vec<_>>());
    }
}
