//! The other runs that a run knows: its manager and its workers, and what may be asked for them.
//!
//! Who a client belongs to is decided by the kernel's process tree: a client belongs to the nearest run of whose ccc it descends.
//! What it says about itself, and what its environment says, gives it no right.

use std::fmt::Debug;

use super::protocol::{Code, Fault, Request};

/// How another run is related to this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kin {
    /// It is this run's manager.
    Manager,
    /// It is one of its workers.
    Worker,
}

/// A run to which a client belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its id.
    pub run: String,
    /// Its name; its id if it has none.
    pub name: String,
    /// How it is related to this run; `None` if it is not.
    pub kin: Option<Kin>,
    /// The client is the ccc of that run itself, and not something below it.
    pub is_host: bool,
}

/// An agent that the agent of this run wants to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What follows `ccc new`.
    pub args: Vec<String>,
    /// Where it was typed.
    pub cwd: String,
    /// What was piped to it.
    pub stdin: Option<String>,
}

/// An agent that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// The id of its run.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// What a run knows of other runs. The calls may read files and start processes.
pub trait Family: Debug + Send + Sync {
    /// The run to which the process belongs; `None` if it belongs to none, or to this one.
    fn owner(&self, pid: u32) -> Option<Owner>;

    /// Starts an agent that has this run as its manager.
    ///
    /// # Errors
    /// When this run may not, or the agent cannot be started.
    fn start(&self, wanted: &Wanted) -> Result<Started, Fault>;

    /// The name of the worker with this id.
    ///
    /// # Errors
    /// When there is none.
    fn worker(&self, id: &str) -> Result<String, Fault>;
}

/// A client, by what the system says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Peer {
    /// A process of the user.
    Operator,
    /// A process inside this run.
    Own,
    /// A process inside, or the ccc of, another run.
    Of(Owner),
    /// A process inside a run that is not known any more.
    Stranger,
}

impl Peer {
    /// Whether it is not the user.
    pub(super) fn is_inside(&self) -> bool {
        !matches!(self, Peer::Operator)
    }

    /// The text of a message from it.
    pub(super) fn says(&self, text: &str) -> String {
        match self {
            Peer::Of(Owner { name, kin: Some(Kin::Manager), .. }) => {
                format!("Message from your manager {name}:\n\n{text}")
            }
            Peer::Of(Owner { name, kin: Some(Kin::Worker), .. }) => {
                format!("Message from your worker {name}:\n\n{text}")
            }
            Peer::Operator | Peer::Own | Peer::Of(_) | Peer::Stranger => text.to_owned(),
        }
    }

    /// Refuses a request that this client may not make. `sees`: whether the system tells who is inside a run.
    pub(super) fn may(&self, request: &Request, sees: bool) -> Result<(), Fault> {
        if request.only_watches() {
            return Ok(());
        }
        let inside = |message: &str| Err(Fault::new(Code::Inside, message));
        match (self, request) {
            (Peer::Own, Request::New { .. }) => Ok(()),
            (Peer::Of(Owner { kin: Some(Kin::Worker), is_host: true, run, .. }), Request::WorkerEnded { id, .. })
                if run == id =>
            {
                Ok(())
            }
            (Peer::Operator, Request::New { .. }) if sees => {
                Err(Fault::new(Code::Refused, "only an agent of this run may ask for that"))
            }
            (Peer::Operator, _) => Ok(()),
            (Peer::Of(Owner { kin: Some(_), .. }), Request::Say { images, .. }) if images.is_empty() => Ok(()),
            (Peer::Of(Owner { kin: Some(_), .. }), _) => {
                inside("the agent of a manager or of a worker may watch this run and send it text, and nothing else")
            }
            (Peer::Own, _) => inside("an agent, and the programs that it has started, may only watch its own run"),
            (Peer::Of(Owner { kin: None, .. }) | Peer::Stranger, _) => {
                inside("an agent, and the programs that it has started, may only watch another run")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kin: Option<Kin>, is_host: bool) -> Peer {
        Peer::Of(Owner { run: "r".to_owned(), name: "lead".to_owned(), kin, is_host })
    }

    #[test]
    fn each_peer_may_do_its_own_and_no_more() {
        let say = || Request::Say { key: None, text: "x".to_owned(), images: Vec::new() };
        let new = || Request::New { args: Vec::new(), cwd: "/".to_owned(), stdin: None };
        let ended = |id: &str| Request::WorkerEnded { id: id.to_owned(), text: "x".to_owned() };
        let all = |peer: &Peer| -> String {
            let requests = [
                ('w', Request::Status {}),
                ('s', say()),
                ('n', new()),
                ('e', ended("r")),
                ('o', ended("other")),
                ('x', Request::Stop { reason: None }),
                ('t', Request::Rotate { to: None }),
                ('p', Request::Pause {}),
                ('b', Request::TakeBack { key: "k".to_owned() }),
            ];
            requests.into_iter().filter(|(_, request)| peer.may(request, true).is_ok()).map(|(name, _)| name).collect()
        };
        for (peer, may) in [
            // The keeper tells the end of a worker whose ccc has died before it could.
            (Peer::Operator, "wseoxtpb"),
            (Peer::Own, "wn"),
            (Peer::Stranger, "w"),
            (of(None, false), "w"),
            (of(None, true), "w"),
            (of(Some(Kin::Manager), false), "ws"),
            (of(Some(Kin::Worker), false), "ws"),
            (of(Some(Kin::Manager), true), "ws"),
            (of(Some(Kin::Worker), true), "wse"),
        ] {
            assert_eq!(all(&peer), may, "{peer:?}");
        }
        assert!(Peer::Operator.may(&new(), false).is_ok(), "where the system does not tell who asks");
    }

    #[test]
    fn a_message_says_whom_it_is_from() {
        assert_eq!(of(Some(Kin::Manager), false).says("Go."), "Message from your manager lead:\n\nGo.");
        assert_eq!(of(Some(Kin::Worker), false).says("Done."), "Message from your worker lead:\n\nDone.");
        assert_eq!(Peer::Operator.says("Go."), "Go.");
    }
}
