//! `ccc answer RUN REQUEST ANSWER`.

use clap::Args;

use crate::cli::answering::{Open, is_yes_or_no};
use crate::cli::steer::{self, Ordered};
use crate::cli::{CliError, Context, ExitCode};
use crate::control::protocol::Request;
use crate::core::{Ruling, shell};
use crate::ui::clean;

/// How many characters of an open item are shown.
const ABOUT_CHARS: usize = 60;

/// Answer what a run asks: a permission that its agent needs, a question, a plan, or what to do at a limit.
///
/// Answer a permission with `allow`, `deny` or `deny "REASON"`; a text of several words also denies, with that reason. Answer a
/// question with an option's number or a text. Answer several questions at once, or a form, with a JSON object.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct AnswerArgs {
    /// The run.
    #[command(flatten)]
    pub ordered: Ordered,

    /// The number of the request, or `last` for the latest.
    #[arg(value_name = "REQUEST")]
    pub request: String,

    /// What to answer.
    #[arg(value_name = "ANSWER", allow_hyphen_values = true)]
    pub answer: String,

    /// After `deny`: why. The agent reads it, as with --reason.
    #[arg(value_name = "REASON", allow_hyphen_values = true)]
    pub why: Option<String>,

    /// Also allow the rules that the request shows, until the agent's session ends.
    #[arg(long)]
    pub session: bool,

    /// Why it is denied; the agent reads it.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub reason: Option<String>,
}

/// Answers a question or request.
///
/// # Errors
/// When the run cannot be reached, has no open item of that number, or refuses the answer.
pub fn run(args: AnswerArgs, context: &Context) -> Result<ExitCode, CliError> {
    let run = steer::find(&args.ordered.run, context)?;
    let mut client = steer::connect(&run, "answer", false)?;
    let all = Open::all(client.welcome());
    let wanted = all.iter().rfind(|open| args.request == "last" || open.number().to_string() == args.request);
    let Some(open) = wanted else {
        if steer::has_interface(&run) {
            return Err(CliError::failed(format!("the agent's own interface asks the user of run {} in its terminal (--native)", run.id()),
            )
            .hint(format!(
                "answer there; to interrupt the agent instead: ccc interrupt {id}; to say something: ccc send {id} TEXT",
                id = run.id()
            )));
        }
        let message = match all.last() {
            None => format!("run {} has no open request", run.id()),
            Some(_) => not_open(run.id(), &args.request, &all),
        };
        let see = format!("to see the requests: ccc attach {}", run.id());
        let hint = all.last().map_or(see.clone(), |last| format!("to answer: {}; {see}", example(run.id(), last)));
        return Err(CliError::failed(message).hint(hint));
    };
    let request = request(open, &args).map_err(|why| {
        let (id, example) = (run.id(), example(run.id(), open));
        CliError::usage(why).hint(format!("an answer that fits: {example}; to see the whole request: ccc attach {id}"))
    })?;
    let done = in_words(&request);
    let reply = client.call(&request).map_err(|error| steer::unreachable(&error))?;
    steer::said(&reply)?;
    let says = format!("request {}: {done}", open.number());
    Ok(steer::done(&run, done, &says, args.ordered.json, context))
}

/// The message for a number that nothing open has, with everything that is open.
fn not_open(run: &str, wanted: &str, all: &[Open]) -> String {
    let named = |open: &Open| {
        let about = clean::one_line(&open.about(), ABOUT_CHARS);
        if about.is_empty() { open.number().to_string() } else { format!("{} ({about})", open.number()) }
    };
    let open: Vec<String> = all.iter().map(named).collect();
    format!("run {run} has no open request {wanted}; open: {}", open.join(", "))
}

/// A command that answers the item, to be pasted and edited.
fn example(run: &str, open: &Open) -> String {
    format!("ccc answer {} {} {}", shell::quoted(run), open.number(), shell::quoted(&open.example()))
}

/// What an answer does.
fn in_words(request: &Request) -> &'static str {
    let Request::Answer { ruling, .. } = request else { return "answered" };
    match ruling {
        Ruling::Allow { .. } => "allowed",
        Ruling::Deny { .. } => "denied",
        Ruling::Answers { .. } | Ruling::Fill { .. } => "answered",
    }
}

pub(super) fn request(open: &Open, args: &AnswerArgs) -> Result<Request, String> {
    let answer = args.answer.trim();
    if let Some(why) = &args.why {
        let is_no = answer.eq_ignore_ascii_case("deny") || answer.eq_ignore_ascii_case("no");
        if !is_no || args.reason.is_some() {
            return Err(format!(
                "unexpected {why:?} after the answer: a text of several words needs quotes, and a reason goes after `deny` or --reason"
            ));
        }
    }
    let request = match (open.answered(answer), open) {
        // A sentence that is neither yes nor no is the reason for a denial; a single word may be a misspelt yes.
        (Err(_), Open::Asked(ask)) if is_yes_or_no(ask) && answer.contains(char::is_whitespace) => {
            Request::Answer { ask: ask.id, key: None, ruling: Ruling::Deny { reason: answer.to_owned() } }
        }
        (Err(_), Open::Asked(ask)) if is_yes_or_no(ask) => {
            return Err(format!(
                "{answer:?} is not an answer to request {}: {}; answer allow, deny, or deny --reason \"TEXT\"",
                ask.id,
                open.about()
            ));
        }
        (answered, _) => answered?,
    };
    if let Request::Answer { ask, key, ruling } = request {
        let ruling = match ruling {
            Ruling::Allow { for_session, input } => Ruling::Allow { for_session: for_session || args.session, input },
            Ruling::Deny { reason } => {
                Ruling::Deny { reason: args.reason.clone().or_else(|| args.why.clone()).unwrap_or(reason) }
            }
            Ruling::Answers { .. } | Ruling::Fill { .. } => ruling,
        };
        return Ok(Request::Answer { ask, key, ruling });
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{Asked, AskedKind, AskedQuestion};
    use crate::core::AskId;

    #[test]
    fn everything_that_is_open_is_named_and_the_example_can_be_pasted() {
        let bash = |id, target: &str| {
            Open::Asked(Box::new(Asked {
                id: AskId(id),
                tool: "Bash".into(),
                target: target.into(),
                ..Asked::default()
            }))
        };
        assert_eq!(
            not_open("2026", "3", &[bash(4, "make"), bash(5, "ls")]),
            "run 2026 has no open request 3; open: 4 (Bash make), 5 (Bash ls)"
        );
        let question = |text: &str| AskedQuestion { question: text.to_owned(), ..AskedQuestion::default() };
        let questions = vec![question("Who's?"), question("B?")];
        let choices = Asked { id: AskId(1), kind: AskedKind::Choices, questions, ..Asked::default() };
        let command = example("2026", &Open::Asked(Box::new(choices)));
        assert_eq!(command, r#"ccc answer 2026 1 '{"B?":"TEXT","Who'\''s?":"TEXT"}'"#);
    }

    #[test]
    fn a_permission_takes_yes_no_or_a_reason_and_nothing_that_may_be_misspelt() {
        let permission = Open::Asked(Box::new(Asked { id: AskId(6), tool: "Bash".to_owned(), ..Asked::default() }));
        let ruled = |open: &Open, answer: &str, why: Option<&str>, reason: Option<&str>| {
            let args = AnswerArgs {
                ordered: Ordered { run: "last".to_owned(), json: false },
                request: "6".to_owned(),
                answer: answer.to_owned(),
                why: why.map(str::to_owned),
                session: false,
                reason: reason.map(str::to_owned),
            };
            request(open, &args).map(|request| {
                let Request::Answer { ruling, .. } = request else { panic!("no answer") };
                ruling
            })
        };
        let deny = |reason: &str| Ok(Ruling::Deny { reason: reason.to_owned() });
        let allow = Ok(Ruling::Allow { for_session: false, input: None });
        for (answer, why, reason, expected) in [
            ("allow", None, None, allow.clone()),
            ("yes", None, None, allow),
            ("deny", None, None, deny("")),
            ("deny", None, Some("not today"), deny("not today")),
            ("deny", Some("not today"), None, deny("not today")),
            ("No", Some("why"), None, deny("why")),
            ("use the other file", None, None, deny("use the other file")),
        ] {
            assert_eq!(ruled(&permission, answer, why, reason), expected, "{answer} {why:?} {reason:?}");
        }
        for answer in ["maybe", "alow", "dney", "x", ""] {
            let error = ruled(&permission, answer, None, None).expect_err(answer);
            assert!(error.contains("answer allow, deny, or deny --reason \"TEXT\""), "{error}");
        }
        let error = ruled(&permission, "allow", Some("it"), None).expect_err("too much");
        assert!(error.contains("--reason"), "{error}");
        let question = AskedQuestion { question: "Which?".to_owned(), ..AskedQuestion::default() };
        let choices = Asked { kind: AskedKind::Choices, questions: vec![question], ..Asked::default() };
        let answered = ruled(&Open::Asked(Box::new(choices)), "maybe", None, None);
        assert!(matches!(answered, Ok(Ruling::Answers { .. })), "a question takes any text: {answered:?}");
    }
}
