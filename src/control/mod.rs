//! The control socket of a run, for everyone other than the process that started it.
//!
//! [`protocol`] defines the messages and is pure. A run puts what it shows into a [`Hub`]; [`Server`] is a thread that listens
//! at a [`Places`] and passes orders of clients to the run ([`ToRun`]), which journals them as operator's inputs like any
//! other. [`Client`] is the client side, for the commands of ccc; [`Connection`] is the same for a thread that holds many of them.
//!
//! Permissions: a client of another user has none; a process inside the run (an agent, and its descendants) may watch, and ask
//! for a new agent if the run is a manager; one inside its manager's or a worker's run may watch and send text; one inside any
//! other run may watch; everyone else may do everything ([`Family`]). A hook of the agent's own interface may report to the run, and nothing else; it authenticates with
//! the run's key. The server decides this by the peer's credentials and ancestors; nothing that a client claims about itself
//! counts.
//!
//! This room decides nothing about a run and shows nothing. A run never waits for it; clients only use time of this room's
//! thread, within the limits of `server` and `hub`.

mod bounds;
mod client;
mod connection;
mod family;
mod hooks;
mod hub;
mod orders;
mod place;
pub mod protocol;
mod server;

pub use client::{Client, ClientError, EventReceiver, RequestSender};
pub use connection::Connection;
pub use family::{Family, Kin, LostWorker, Owner, Started, Wanted};
pub use hooks::{HOOK_BYTES, Hook, hook_key, tell};
pub use hub::Hub;
pub use orders::{Order, reply_of, request_of};
pub use place::{Places, SOCKETS_DIR};
pub use server::{Served, Server, ToRun};
