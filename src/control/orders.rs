//! Converts requests of clients to operator's inputs, and the run's results to replies.

use tokio::sync::oneshot;

use super::protocol::{Code, Fault, Reply, Request};
use crate::core::{OperatorInput, Refused, Taken, TokenId};

/// An order for the run, and the channel for its reply.
#[derive(Debug)]
pub struct Order {
    /// The operator's input.
    pub input: OperatorInput,
    /// The reply. If it is dropped, the run is over.
    pub done: oneshot::Sender<Reply>,
}

/// The operator's input for a request; `None` for a request that concerns only the connection.
pub(super) fn input_of(request: Request) -> Option<OperatorInput> {
    match request {
        Request::Status {}
        | Request::Follow { .. }
        | Request::Away {}
        | Request::Back {}
        | Request::Hook { .. }
        | Request::New { .. }
        | Request::WorkerEnded { .. }
        | Request::WorkerResumed { .. }
        | Request::WorkerLost { .. } => None,
        Request::Say { key, text, images } => Some(OperatorInput::Say { key, text, images }),
        Request::TakeBack { key } => Some(OperatorInput::TakeBack { key }),
        Request::Interrupt {} => Some(OperatorInput::StopTurn),
        Request::Pause {} => Some(OperatorInput::Pause),
        Request::Continue {} => Some(OperatorInput::Continue),
        Request::Answer { ask, key, ruling } => Some(OperatorInput::Rule { ask, key, ruling }),
        Request::Choose { question, choice } => Some(OperatorInput::Answer { number: question, choice }),
        Request::Judge {} => Some(OperatorInput::Judge),
        Request::Rotate { to } => Some(OperatorInput::Rotate { to: to.map(TokenId) }),
        Request::Set(change) => Some(OperatorInput::Set(change)),
        Request::Stop { reason } => {
            let reason = reason.unwrap_or_else(|| "a client ended the run".to_owned());
            Some(OperatorInput::Interrupt { reason })
        }
    }
}

/// The request for an operator's input; `None` for an input that no client may send. The inverse of `input_of`.
#[must_use]
pub fn request_of(input: OperatorInput) -> Option<Request> {
    Some(match input {
        OperatorInput::Say { key, text, images } => Request::Say { key, text, images },
        OperatorInput::TakeBack { key } => Request::TakeBack { key },
        OperatorInput::StopTurn => Request::Interrupt {},
        OperatorInput::Pause => Request::Pause {},
        OperatorInput::Continue => Request::Continue {},
        OperatorInput::Rule { ask, key, ruling } => Request::Answer { ask, key, ruling },
        OperatorInput::Answer { number, choice } => Request::Choose { question: number, choice },
        OperatorInput::Judge => Request::Judge {},
        OperatorInput::Rotate { to } => Request::Rotate { to: to.map(|token| token.0) },
        OperatorInput::Set(change) => Request::Set(change),
        OperatorInput::Interrupt { reason } => Request::Stop { reason: Some(reason) },
        OperatorInput::Turn { .. }
        | OperatorInput::Restate { .. }
        | OperatorInput::Moved { .. }
        | OperatorInput::NotEnforced { .. }
        | OperatorInput::Budgets(_)
        | OperatorInput::Plan(_)
        | OperatorInput::TakeUp
        | OperatorInput::WorkerStarted { .. }
        | OperatorInput::WorkerEnded { .. }
        | OperatorInput::Attended { .. } => return None,
    })
}

/// The reply to a client for the run's result.
#[must_use]
pub fn reply_of(taken: &Taken) -> Reply {
    match taken {
        Taken::Done => Reply::Done,
        Taken::Queued { ahead } => Reply::Queued { ahead: *ahead },
        Taken::Already => Reply::Already,
        Taken::Refused(why) => {
            let code = match why {
                Refused::NotOpen | Refused::TooLate => Code::NotOpen,
                Refused::Ending => Code::Ending,
                Refused::Nothing
                | Refused::TooMuch
                | Refused::NoSuchToken
                | Refused::BadAnswer(_)
                | Refused::NotForThisRun => Code::Refused,
            };
            Reply::Fault(Fault::new(code, why.in_words()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{input_of, request_of};
    use crate::core::{Answer, AskId, Change, OperatorInput, Ruling, TokenId};

    #[test]
    fn what_a_client_says_reaches_the_run_as_it_was_meant() {
        let text = |text: &str| text.to_owned();
        for input in [
            OperatorInput::Say { key: Some(text("k")), text: text("Use tabs."), images: Vec::new() },
            OperatorInput::TakeBack { key: text("k") },
            OperatorInput::StopTurn,
            OperatorInput::Pause,
            OperatorInput::Continue,
            OperatorInput::Rule { ask: AskId(3), key: None, ruling: Ruling::Deny { reason: text("no") } },
            OperatorInput::Answer { number: 2, choice: Answer::Wait },
            OperatorInput::Judge,
            OperatorInput::Rotate { to: Some(TokenId(text("t"))) },
            OperatorInput::Set(Change::Supervisor(false)),
            OperatorInput::Interrupt { reason: text("enough") },
        ] {
            assert_eq!(request_of(input.clone()).and_then(input_of), Some(input));
        }
        for input in [OperatorInput::Moved { real: text("/") }, OperatorInput::Attended { clients: 1, why: None }] {
            assert_eq!(request_of(input), None, "only the run and its host say so");
        }
    }
}
