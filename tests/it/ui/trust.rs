//! Text from a model is not trusted, wherever it appears.

use ccc::agent::{Edit, Role, TurnKind};
use ccc::core::{Finish, Outcome, Plan, Show, Tick};
use ccc::ui::{Banner, Form, Printer, Style};
use proptest::prelude::*;

use super::whole_run::{banner, ending, finish, plan};

/// Every event, with `evil` wherever a text can stand.
fn events(evil: &str) -> Vec<Show> {
    let evil = || evil.to_owned();
    let mut shows = vec![
        Show::Phase { phase: evil(), detail: evil(), iteration: 1, goes_on_in_ms: Some(1) },
        Show::Session { session_id: evil(), model: evil(), agent_version: evil(), permission_mode: evil() },
        Show::Check {
            command: evil(),
            passed: true,
            summary: evil(),
            duration_ms: 1,
            tail: evil(),
            setup: false,
            not_run: None,
        },
        Show::Check {
            command: evil(),
            passed: false,
            summary: evil(),
            duration_ms: 1,
            tail: evil(),
            setup: false,
            not_run: None,
        },
        Show::Verdict { verdict: evil(), text: evil(), iteration: 1 },
        Show::Notice { text: evil() },
        Show::Cost { usd: None },
    ];
    for kind in [
        TurnKind::Task,
        TurnKind::Operator,
        TurnKind::Feedback,
        TurnKind::CheckFailure,
        TurnKind::Continue,
        TurnKind::Brief,
    ] {
        shows.push(Show::Turn { kind, text: evil() });
    }
    for role in [Role::Agent, Role::Critic] {
        for sub_agent in [false, true] {
            shows.push(Show::Text { role, text: evil(), sub_agent, under: None });
        }
        for edit in [
            None,
            Some(Edit { path: evil(), old: String::new(), new: evil() }),
            Some(Edit { path: evil(), old: evil() + "\nx", new: "y\n".to_owned() + &evil() }),
        ] {
            shows.push(Show::Tool { role, id: "1".into(), name: evil(), target: evil(), edit, under: None });
        }
        shows.push(Show::ToolEnded {
            role,
            id: "1".into(),
            failed: true,
            error: evil(),
            output: None,
            hunks: Vec::new(),
        });
        shows.push(Show::Denied { role, tool: evil(), target: evil() });
    }
    shows.push(Show::Finished { outcome: Outcome::Failed, reason: evil() });
    shows
}

/// All that is written of a run full of `evil`, our own erasing and parking of the status line taken out.
fn written(form: Form, live: bool, evil: &str) -> String {
    let style = Style { colour: false, live, wraps: live, columns: 40 };
    let banner = Banner {
        run_id: evil.into(),
        resumed_task: None,
        run_dir: evil.into(),
        cwd: evil.into(),
        session_id: Some(evil.into()),
        agent_path: evil.into(),
        agent_version: evil.into(),
        credential: evil.into(),
        checks: vec![evil.into()],
        protect: vec![evil.into()],
        prompt_origin: evil.into(),
        walls: evil.into(),
        ..banner()
    };
    let finish = Finish {
        outcome: Outcome::Interrupted,
        reason: evil.into(),
        result: evil.into(),
        session_id: Some(evil.into()),
        ..finish()
    };
    let plan = Plan { run_id: evil.into(), cwd: evil.into(), agent_args: vec![evil.into()], ..plan() };
    let mut ending = ending(&finish, &plan);
    ending.run_dir = evil;
    ending.agent = evil;
    ending.report = Some(evil);

    let mut printer = Printer::new(form, style);
    let mut out = Vec::new();
    out.extend(printer.start(Tick::ZERO, &banner).into_iter().map(|piece| piece.text));
    for show in events(evil) {
        out.push(printer.render(Tick::ZERO, &show).text);
        out.extend(printer.status(Tick::ZERO).map(|piece| piece.text));
    }
    out.extend(printer.finish(Tick::ZERO, &ending).into_iter().map(|piece| piece.text));
    out.iter()
        .map(|text| if live { text.strip_suffix('\r').unwrap_or(text).replace("\r\x1b[J", "") } else { text.clone() })
        .collect()
}

/// What a terminal would obey, or what would mislead the eye.
fn acts(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

const FORMS: [(Form, bool); 4] =
    [(Form::Text, true), (Form::Text, false), (Form::Json, false), (Form::StreamJson, false)];

#[test]
fn an_agent_cannot_set_the_title_clear_the_screen_or_ring() {
    for evil in [
        "\x1b]0;owned\x07",
        "\x1b[2J\x1b[H",
        "\x1bc\x1b(0",
        "\x1bPq#0\x1b\\",
        "\u{9d}0;t\u{9c}\u{9b}2J",
        "a\rb\x08\x08c\x7f",
        "abc\u{202e}fed\u{2066}",
    ] {
        for (form, live) in FORMS {
            let text = written(form, live, evil);
            assert!(!text.contains(acts), "{form:?} {live} {evil:?}: {text:?}");
        }
    }
}

#[test]
fn json_carries_the_text_unchanged_all_the_same() {
    let evil = "\x1b]0;t\x07\u{9b}2J\u{202e}\u{7f}é";
    let line =
        Printer::new(Form::StreamJson, Style::PIPED).render(Tick::ZERO, &Show::Notice { text: evil.into() }).text;
    assert!(!line.contains(acts), "{line:?}");
    let event: serde_json::Value = serde_json::from_str(&line).expect("an object");
    assert_eq!(event["text"], evil);
}

proptest! {
    #[test]
    fn whatever_the_text_nothing_that_acts_gets_through(
        parts in prop::collection::vec(
            prop_oneof![
                any::<char>().prop_map(String::from),
                prop::sample::select(vec!["\x1b", "\u{9b}", "[", "]", "2J", "\x07", "\r", "\n", "\u{202e}", "日"])
                    .prop_map(String::from),
            ],
            0..12,
        )
    ) {
        let evil = parts.concat();
        for (form, live) in FORMS {
            let text = written(form, live, &evil);
            prop_assert!(!text.contains(acts), "{:?} {} {:?}: {:?}", form, live, evil, text);
        }
    }
}
