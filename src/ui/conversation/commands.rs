//! ccc's own commands: a message that begins with one of these is not sent to the agent.

use super::super::composer::Completion;
use crate::core::{Budgets, Change, OperatorInput, is_one_word};
use crate::words::AskId;

/// What a command does.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// An order to the run, and the text shown when it is done.
    Order(OperatorInput, String),
    /// Show the keys and commands.
    Help,
    /// Leave the terminal; the run continues.
    Detach,
    /// End the run and leave the terminal.
    Quit,
    /// An invalid command: the reason and the correct form.
    Wrong(String),
}

struct Known {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
}

const KNOWN: &[Known] = &[
    Known { name: "help", arguments: "", about: "keys and commands" },
    Known { name: "supervisor", arguments: "on|off", about: "whether a critic judges the work" },
    Known { name: "critic", arguments: "now", about: "let the critic judge the work now" },
    Known { name: "rotate", arguments: "[LABEL]", about: "take another token" },
    Known { name: "pause", arguments: "", about: "start nothing new until /continue" },
    Known { name: "continue", arguments: "", about: "end a pause" },
    Known { name: "budget", arguments: "iterations|time|cost|tokens VALUE", about: "change a bound: 30, 2h, 5, off" },
    Known { name: "model", arguments: "NAME", about: "the agent's model" },
    Known { name: "detach", arguments: "", about: "leave; the run continues (Ctrl-D)" },
    Known { name: "quit", arguments: "", about: "end the run; its session is kept" },
    // The name in the agent's own interface.
    Known { name: "exit", arguments: "", about: "the same as /quit" },
];

/// ccc's commands as completions.
pub(super) fn completions() -> impl Iterator<Item = Completion> {
    KNOWN.iter().map(|known| {
        let gap = if known.arguments.is_empty() { "" } else { " " };
        Completion {
            text: format!("/{}{gap}", known.name),
            hint: known.arguments.to_owned(),
            about: known.about.to_owned(),
        }
    })
}

/// The text of `/help`.
pub(super) fn help() -> String {
    let mut text = String::from(
        "Enter sends · Shift-Enter, Alt-Enter, Ctrl-J or \\ and Enter break the line · Up takes back a queued message, then shows the history · \
         Ctrl-R searches it · @ completes files\nShift-Tab changes the permission mode · Esc interrupts the turn · Ctrl-C clears or interrupts, twice ends the run · Ctrl-D detaches · \
         Ctrl-Z suspends · Ctrl-O shows what is folded · Ctrl-L prints again\n",
    );
    let usages = KNOWN.iter().map(|known| format!("/{} {}", known.name, known.arguments).trim().to_owned());
    let usages: Vec<String> = usages.collect();
    let width = usages.iter().map(|usage| usage.chars().count()).max().unwrap_or(0);
    for (usage, known) in usages.iter().zip(KNOWN) {
        text.push_str(&format!("{usage:<width$}  {}\n", known.about));
    }
    text.push_str("Every other command with / is the agent's own.");
    text
}

/// A command in a message that neither ccc nor the agent has, and the names of theirs that are near to it. `None` if none is near:
/// the agent's CLI takes more commands than it offers, such as `/cost`.
pub(super) fn doubted(message: &str, offered: &[Completion]) -> Option<(String, Vec<String>)> {
    let name = message.trim().strip_prefix('/')?.split_whitespace().next()?;
    // `/home/me` is a path.
    let is_name = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ':'));
    let theirs = offered.iter().filter_map(|command| command.text.trim().strip_prefix('/'));
    let all: Vec<&str> = KNOWN.iter().map(|known| known.name).chain(theirs).collect();
    if !is_name || all.contains(&name) {
        return None;
    }
    let near: Vec<String> = all.iter().filter(|known| is_near(name, known)).map(|near| format!("/{near}")).collect();
    (!near.is_empty()).then(|| (format!("/{name}"), near))
}

/// Whether the names differ by at most one keystroke in five letters, or two in more; two letters in the wrong order are one.
fn is_near(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let most = if one.len().min(other.len()) > 5 { 2 } else { 1 };
    if one.len().abs_diff(other.len()) > most {
        return false;
    }
    // The rows of the table of distances between the beginnings: the last two, and the present one.
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.iter().enumerate() {
        let mut now = vec![at + 1];
        for (to, goal) in other.iter().enumerate() {
            let cell = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX - 1);
            let mut least = cell(&last, to) + usize::from(letter != goal);
            least = least.min(cell(&last, to + 1) + 1).min(cell(&now, to) + 1);
            let turned = at.checked_sub(1).and_then(|at| one.get(at)) == Some(goal)
                && to.checked_sub(1).and_then(|to| other.get(to)) == Some(letter);
            if turned {
                least = least.min(cell(&before, to - 1) + 1);
            }
            now.push(least);
        }
        before = std::mem::replace(&mut last, now);
    }
    last.last().is_some_and(|distance| *distance <= most)
}

/// Reads a duration such as `1h30m`, in milliseconds; the error says what is wrong.
pub type Spans = fn(&str) -> Result<u64, String>;

/// The command in a message; `None` when the message is for the agent.
#[must_use]
pub fn read(message: &str, budgets: Option<&Budgets>, spans: Spans) -> Option<Command> {
    let mut words = message.trim().strip_prefix('/')?.split_whitespace();
    let name = words.next()?;
    let known = KNOWN.iter().find(|known| known.name == name)?;
    let arguments: Vec<&str> = words.collect();
    let wrong = || Command::Wrong(format!("usage: /{name} {}", known.arguments).trim_end().to_owned());
    let order = |input, said: &str| Command::Order(input, said.to_owned());
    Some(match (name, arguments.as_slice()) {
        ("help", []) => Command::Help,
        ("detach", []) => Command::Detach,
        ("quit" | "exit", []) => Command::Quit,
        ("pause", []) => order(OperatorInput::Pause, "the run starts nothing new until /continue"),
        ("continue", []) => order(OperatorInput::Continue, "the run continues"),
        ("critic", ["now"]) => order(OperatorInput::Judge, "the work is judged as soon as the agent stops"),
        ("supervisor", ["on"]) => order(OperatorInput::Set(Change::Supervisor(true)), "the agent's stops are judged"),
        ("supervisor", ["off"]) => {
            order(OperatorInput::Set(Change::Supervisor(false)), "the agent's stops are not judged any more")
        }
        ("model", [model]) if is_one_word(model) => {
            order(OperatorInput::Set(Change::Model((*model).to_owned())), &format!("the agent's model: {model}"))
        }
        ("rotate", []) => order(OperatorInput::Rotate { to: None }, "another token is taken"),
        ("rotate", [label]) => order(
            OperatorInput::Rotate { to: Some(crate::core::TokenId((*label).to_owned())) },
            &format!("the token {label} is taken"),
        ),
        ("budget", [what, number]) => match budgets {
            None => Command::Wrong("the bounds of this run are not known here".to_owned()),
            Some(budgets) => match changed(budgets, what, number, spans) {
                Ok(budgets) => {
                    order(OperatorInput::Set(Change::Budgets(budgets)), &format!("the bound of {what}: {number}"))
                }
                Err(why) => Command::Wrong(why),
            },
        },
        ("model", _) => {
            Command::Wrong("type one name of a model, without spaces: /model NAME, for example /model opus".to_owned())
        }
        _ => wrong(),
    })
}

/// The bounds with one changed; the error says what is wrong.
fn changed(budgets: &Budgets, what: &str, value: &str, spans: Spans) -> Result<Budgets, String> {
    let mut budgets = budgets.clone();
    let none = value == "off";
    match what {
        "iterations" => {
            budgets.max_iterations =
                value.parse().ok().filter(|most| *most > 0).ok_or_else(|| {
                    format!("`{value}` is not a number of iterations; write a whole number, such as 30")
                })?;
        }
        "tokens" => {
            let tokens = value.parse().ok().filter(|most| *most > 0);
            budgets.max_tokens = if none { None } else { tokens };
            if !none && tokens.is_none() {
                return Err(format!(
                    "`{value}` is not a number of tokens; write a whole number, such as 2000000, or off"
                ));
            }
        }
        "cost" => {
            let usd = value.trim_start_matches('$').parse().ok().filter(|usd: &f64| usd.is_finite() && *usd > 0.0);
            budgets.max_cost_usd = if none { None } else { usd };
            if !none && usd.is_none() {
                return Err(format!(
                    "`{value}` is not an amount of dollars; write a number, such as 5 or 2.50, or off"
                ));
            }
        }
        "time" => budgets.max_duration_ms = if none { None } else { Some(spans(value)?) },
        _ => return Err(format!("there is no bound `{what}`; /budget changes iterations, time, cost or tokens")),
    }
    Ok(budgets)
}

/// The beginning of the message about a refused order.
pub(super) fn subject(input: &OperatorInput) -> String {
    match input {
        OperatorInput::Say { .. } => "the message was not sent".to_owned(),
        OperatorInput::TakeBack { .. } => "the message could not be taken back".to_owned(),
        OperatorInput::StopTurn => "nothing was interrupted".to_owned(),
        OperatorInput::Rule { ask: AskId(number), .. } => format!("request {number} was not answered"),
        OperatorInput::Interrupt { .. } => "the run was not ended".to_owned(),
        OperatorInput::Set(Change::PermissionMode(_)) => "the permission mode was not changed".to_owned(),
        OperatorInput::Turn { .. }
        | OperatorInput::Restate { .. }
        | OperatorInput::Moved { .. }
        | OperatorInput::NotEnforced { .. }
        | OperatorInput::Budgets(_)
        | OperatorInput::Plan(_)
        | OperatorInput::Answer { .. }
        | OperatorInput::Pause
        | OperatorInput::Continue
        | OperatorInput::Judge
        | OperatorInput::Rotate { .. }
        | OperatorInput::Set(_)
        | OperatorInput::TakeUp
        | OperatorInput::WorkerStarted { .. }
        | OperatorInput::WorkerEnded { .. }
        | OperatorInput::Attended { .. } => "the command was not carried out".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(text: &str) -> Result<u64, String> {
        if text == "2h" { Ok(7_200_000) } else { Err(format!("`{text}` is no time")) }
    }

    #[test]
    fn bounds_are_changed_one_by_one_and_what_is_wrong_is_said() {
        let bounds = Budgets { max_cost_usd: Some(1.0), max_tokens: Some(5), ..Budgets::DEFAULT };
        let set = |text: &str| match read(text, Some(&bounds), spans) {
            Some(Command::Order(OperatorInput::Set(Change::Budgets(budgets)), _)) => Ok(budgets),
            Some(Command::Wrong(why)) => Err(why),
            other => panic!("{text}: {other:?}"),
        };
        let changed = |change: fn(&mut Budgets)| {
            let mut budgets = bounds.clone();
            change(&mut budgets);
            Ok(budgets)
        };
        assert_eq!(set("/budget time 2h"), changed(|it| it.max_duration_ms = Some(7_200_000)));
        assert_eq!(set("/budget time off"), changed(|it| it.max_duration_ms = None));
        assert_eq!(set("/budget iterations 30"), changed(|it| it.max_iterations = 30));
        assert_eq!(set("/budget cost $2.50"), changed(|it| it.max_cost_usd = Some(2.5)));
        assert_eq!(set("/budget cost off"), changed(|it| it.max_cost_usd = None));
        assert_eq!(set("/budget tokens 9"), changed(|it| it.max_tokens = Some(9)));
        assert_eq!(set("/budget tokens off"), changed(|it| it.max_tokens = None));
        for (text, why) in [
            ("/budget time 2", "`2` is no time"),
            ("/budget iterations 0", "not a number of iterations"),
            ("/budget iterations off", "not a number of iterations"),
            ("/budget cost NaN", "not an amount of dollars"),
            ("/budget cost -1", "not an amount of dollars"),
            ("/budget tokens 1.5", "not a number of tokens"),
            ("/budget patience 5", "there is no bound `patience`; /budget changes iterations, time, cost or tokens"),
            ("/budget time", "usage: /budget iterations|time|cost|tokens VALUE"),
        ] {
            assert!(set(text).expect_err(text).contains(why), "{text}: {:?}", set(text));
        }
    }

    #[test]
    fn a_command_that_nobody_has_is_doubted_and_the_near_ones_are_named() {
        let offered = ["compact", "usage", "my:review"].map(|name| Completion {
            text: format!("/{name} "),
            hint: String::new(),
            about: String::new(),
        });
        let near = |text: &str, offered: &[Completion]| {
            doubted(text, offered).map(|(name, near)| format!("{name}: {}", near.join(" ")))
        };
        for (text, unknown, known) in [
            ("/budgte cost 5", Some("/budgte: /budget"), Some("/budgte: /budget")),
            ("/contineu", Some("/contineu: /continue"), Some("/contineu: /continue")),
            ("/compat", None, Some("/compat: /compact")),
            ("/zzz", None, None),
            ("/cost", None, None),
            ("/usage", None, None),
            ("/my:review now", None, None),
            ("/budget cost 5", None, None),
            ("/home/me is full", None, None),
            ("fix /budgte", None, None),
            ("/", None, None),
        ] {
            assert_eq!(near(text, &[]).as_deref(), unknown, "{text}");
            assert_eq!(near(text, &offered).as_deref(), known, "{text}");
        }
    }

    #[test]
    fn ours_are_read_and_the_agents_pass() {
        for (text, expected) in [
            ("/compact", None),
            ("fix /quit", None),
            ("/", None),
            ("/quit", Some(Command::Quit)),
            ("/exit", Some(Command::Quit)),
            (" /detach ", Some(Command::Detach)),
        ] {
            assert_eq!(read(text, None, spans), expected, "{text}");
        }
        let order = |text: &str| match read(text, None, spans) {
            Some(Command::Order(input, _)) => Some(input),
            _ => None,
        };
        assert_eq!(order("/supervisor off"), Some(OperatorInput::Set(Change::Supervisor(false))));
        assert_eq!(order("/model opus"), Some(OperatorInput::Set(Change::Model("opus".to_owned()))));
        assert_eq!(order("/critic now"), Some(OperatorInput::Judge));
        for wrong in ["/supervisor maybe", "/model", "/budget cost", "/quit now", "/exit now", "/budget cost 5"] {
            assert!(matches!(read(wrong, None, spans), Some(Command::Wrong(_))), "{wrong}");
        }
        for odd in ["/model", "/model opus please", "/model op\u{1b}[2Jus", "/model op\u{7f}us"] {
            let read = read(odd, None, spans);
            assert!(matches!(&read, Some(Command::Wrong(why)) if why.contains("type one name")), "{odd:?}: {read:?}");
        }
        assert!(completions().all(|it| help().contains(it.text.trim())));
    }
}
