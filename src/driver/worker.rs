//! Threads for slow work, so that the loop does not wait for it.

use std::sync::mpsc::{Sender, channel, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

type Job = Box<dyn FnOnce() + Send>;

/// Stack of such a thread.
const STACK_BYTES: usize = 512 * 1024;

/// A thread that does its jobs one after the other. It begins with the first job and ends after the last one, when all clones of this
/// are dropped.
#[derive(Debug, Clone)]
pub(super) struct Worker {
    name: &'static str,
    jobs: Arc<OnceLock<Option<Sender<Job>>>>,
}

impl Worker {
    pub(super) fn new(name: &'static str) -> Worker {
        Worker { name, jobs: Arc::default() }
    }

    /// Has this done after what it was given before. Where the system gives no thread, it is done here.
    pub(super) fn give(&self, job: impl FnOnce() + Send + 'static) {
        match self.jobs.get_or_init(|| start(self.name)) {
            // The thread ends with the last sender only; a job that panics has said so.
            Some(jobs) => drop(jobs.send(Box::new(job))),
            None => job(),
        }
    }

    /// Waits until all that it was given is done, but not longer.
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

fn start(name: &str) -> Option<Sender<Job>> {
    let (jobs, taken) = channel::<Job>();
    let body = move || taken.into_iter().for_each(|job| job());
    let started = thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(body);
    started.inspect_err(|error| tracing::warn!(%error, "no thread for {name}")).ok()?;
    Some(jobs)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::Worker;

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
}
