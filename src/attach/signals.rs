//! The signals to a process that has the terminal.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals to an interface on the whole terminal.
pub(crate) struct Signals {
    /// The terminal has another size.
    pub(crate) resized: Signal,
    /// The process continues after a stop.
    pub(crate) continued: Signal,
    /// SIGTERM, SIGHUP, SIGINT, SIGQUIT.
    pub(crate) ends: [Signal; 4],
}

impl Signals {
    pub(crate) fn listen() -> std::io::Result<Signals> {
        let ends = [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit()];
        let [first, second, third, fourth] = ends.map(signal);
        Ok(Signals {
            resized: signal(SignalKind::window_change())?,
            continued: signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?,
            ends: [first?, second?, third?, fourth?],
        })
    }
}
