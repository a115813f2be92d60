//! The connection to one run: a task that receives, sends orders, and gives them their answers.

use std::collections::BTreeMap;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::AbortHandle;

use super::message::{Message, Said};
use crate::attach::answer;
use crate::control::Connection;
use crate::control::protocol::{FromRun, Hello, Request};
use crate::journal::RunDir;

/// The client's name in its hello.
const NAME: &str = "watch";
/// How many orders may wait to be sent.
const ORDERS_LIMIT: usize = 64;

/// Which events a link asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// How many of the latest, at first.
    pub(super) tail: u64,
    /// Also the texts in progress.
    pub(super) words: bool,
}

/// A link. Dropping it ends the connection.
#[derive(Debug)]
pub(super) struct Link {
    /// When it was connected, if it is: earlier events are told again.
    pub(super) joined_unix_ms: Option<i64>,
    orders: Sender<(u64, Request)>,
    task: AbortHandle,
}

impl Link {
    /// Begins to connect. `number` tells its reports from those of others.
    pub(super) fn open(run: RunDir, number: u64, wanted: Wanted, messages: Sender<Message>) -> Link {
        let (orders, taken) = channel(ORDERS_LIMIT);
        let task = tokio::spawn(serve(run, number, wanted, taken, messages)).abort_handle();
        Link { joined_unix_ms: None, orders, task }
    }

    /// Sends an order; `false` when too many wait.
    pub(super) fn order(&self, number: u64, request: Request) -> bool {
        self.orders.try_send((number, request)).is_ok()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the loop of a link woke for.
enum Woken {
    Run(Option<FromRun>),
    Failed(String),
    Order(u64, Request),
    Over,
}

/// Where a link reports to.
struct Reports {
    number: u64,
    messages: Sender<Message>,
}

impl Reports {
    /// Reports to the loop; `false` if that has ended.
    async fn tell(&self, said: Said) -> bool {
        self.messages.send(Message::Link { number: self.number, said }).await.is_ok()
    }
}

async fn serve(
    run: RunDir,
    number: u64,
    wanted: Wanted,
    mut orders: Receiver<(u64, Request)>,
    messages: Sender<Message>,
) {
    let reports = Reports { number, messages };
    let mut asked: BTreeMap<u64, u64> = BTreeMap::new();
    let why = converse(&run, wanted, &mut orders, &mut asked, &reports).await;
    orders.close();
    let mut left: Vec<u64> = asked.into_values().collect();
    while let Some((order, _)) = orders.recv().await {
        left.push(order);
    }
    for order in left {
        reports.tell(Said::Answered(order, Err(format!("not answered: {why}")))).await;
    }
    reports.tell(Said::Closed(why)).await;
}

/// Serves the connection until it ends; says why.
async fn converse(
    run: &RunDir,
    wanted: Wanted,
    orders: &mut Receiver<(u64, Request)>,
    asked: &mut BTreeMap<u64, u64>,
    reports: &Reports,
) -> String {
    let (mut connection, welcome) = match Connection::open(run, &Hello::new(NAME, false)).await {
        Ok(opened) => opened,
        Err(error) => return error.to_string(),
    };
    if !reports.tell(Said::Joined(Box::new(welcome))).await {
        return String::new();
    }
    let follow = Request::Follow { tail: Some(wanted.tail), since: None, words: wanted.words };
    if let Err(error) = connection.ask(&follow).await {
        return error.to_string();
    }
    loop {
        let woken = tokio::select! {
            said = connection.next() => match said {
                Ok(said) => Woken::Run(said),
                Err(error) => Woken::Failed(error.to_string()),
            },
            order = orders.recv() => order.map_or(Woken::Over, |(order, request)| Woken::Order(order, request)),
        };
        let told = match woken {
            Woken::Run(Some(FromRun::Event(event))) => reports.tell(Said::Event(event)).await,
            Woken::Run(Some(FromRun::Reply { re, reply })) => match asked.remove(&re) {
                Some(order) => reports.tell(Said::Answered(order, answer(reply))).await,
                None => true,
            },
            Woken::Run(Some(FromRun::Fault(fault))) => return fault.message,
            Woken::Run(Some(FromRun::Greeting(_) | FromRun::Welcome(_))) => true,
            Woken::Run(None) => return "its ccc process has closed the connection".to_owned(),
            Woken::Failed(why) => return why,
            Woken::Order(order, request) => match connection.ask(&request).await {
                Ok(re) => {
                    asked.insert(re, order);
                    true
                }
                Err(error) => {
                    reports.tell(Said::Answered(order, Err(error.to_string()))).await;
                    return error.to_string();
                }
            },
            Woken::Over => return String::new(),
        };
        if !told {
            return String::new();
        }
    }
}
