//! What makes a terminal notify: its bell, and the sequence by which it shows a notification of the desktop.
//!
//! There are three such sequences, and a terminal that understands several would show several notifications. So one is chosen
//! by what the terminal says of itself: OSC 99 for kitty, OSC 777 for rxvt, foot and those of VTE, OSC 9 for all others.

use super::follower::News;
use super::message::{Message, cut};
use crate::config::{Env, NotifyEntry, NotifyWay};
use crate::ui::clean;

/// The bell.
const BELL: &str = "\x07";
/// The longest text of a notification, in characters.
const TEXT_LIMIT_CHARS: usize = 200;

/// A sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sequence {
    Osc9,
    Osc777,
    Osc99,
}

/// The terminal of the user, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    sequence: Sequence,
    /// It is one of tmux, which passes on only what is wrapped.
    in_tmux: bool,
}

impl Terminal {
    /// The terminal that the environment describes.
    #[must_use]
    pub fn of(env: &Env) -> Terminal {
        let text = |name: &str| env.get(name).and_then(|value| value.to_str()).unwrap_or_default();
        let is = |name: &str| text("TERM").starts_with(name) || text("TERM_PROGRAM").starts_with(name);
        let sequence = if is("xterm-kitty") || !text("KITTY_WINDOW_ID").is_empty() {
            Sequence::Osc99
        } else if is("rxvt") || is("foot") || !text("VTE_VERSION").is_empty() {
            Sequence::Osc777
        } else {
            Sequence::Osc9
        };
        Terminal { sequence, in_tmux: !text("TMUX").is_empty() }
    }

    /// The bytes by which it rings its bell.
    #[must_use]
    pub fn bell(self) -> &'static str {
        BELL
    }

    /// What it gets for this news, by the entries that are for a terminal.
    pub(super) fn rung(self, entries: &[NotifyEntry], news: &News, message: &Message) -> String {
        let told = entries.iter().filter(|entry| entry.events.contains(&news.event));
        told.map(|entry| match entry.way {
            NotifyWay::Bell => self.bell().to_owned(),
            NotifyWay::Desktop => self.notification(message),
            NotifyWay::Command(_) | NotifyWay::Webhook { .. } => String::new(),
        })
        .collect()
    }

    /// The bytes by which it shows the message.
    #[must_use]
    pub fn notification(self, message: &Message) -> String {
        let plain = |text: &str| cut(clean::one_line(text, usize::MAX), TEXT_LIMIT_CHARS);
        let (title, text) = (plain(&message.title), plain(&message.text));
        let sequence = match self.sequence {
            Sequence::Osc9 => format!("\x1b]9;{title}: {text}\x07"),
            // The title ends at the first semicolon.
            Sequence::Osc777 => format!("\x1b]777;notify;{};{text}\x07", title.replace(';', ",")),
            Sequence::Osc99 => format!("\x1b]99;i=ccc:d=0;{title}\x1b\\\x1b]99;i=ccc:p=body;{text}\x1b\\"),
        };
        if self.in_tmux { format!("\x1bPtmux;{}\x1b\\", sequence.replace('\x1b', "\x1b\x1b")) } else { sequence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(variables: &[(&str, &str)], text: &str) -> String {
        let mut message = Message::test("/w", 0);
        text.clone_into(&mut message.text);
        Terminal::of(&Env::from_pairs(variables.iter().copied())).notification(&message)
    }

    #[test]
    fn each_terminal_gets_the_one_sequence_that_it_understands() {
        let osc9 = "\x1b]9;ccc: a test: done\x07";
        let osc777 = "\x1b]777;notify;ccc: a test;done\x07";
        let osc99 = "\x1b]99;i=ccc:d=0;ccc: a test\x1b\\\x1b]99;i=ccc:p=body;done\x1b\\";
        for (variables, expected) in [
            (&[("TERM", "xterm-256color")][..], osc9),
            (&[("TERM", "xterm-256color"), ("TERM_PROGRAM", "iTerm.app")], osc9),
            (&[("TERM", "xterm-kitty")], osc99),
            (&[("TERM", "rxvt-unicode-256color")], osc777),
            (&[("TERM", "foot")], osc777),
            (&[("TERM", "xterm-256color"), ("VTE_VERSION", "7600")], osc777),
        ] {
            assert_eq!(shown(variables, "done"), expected, "{variables:?}");
        }
        let in_tmux = shown(&[("TERM", "tmux-256color"), ("TMUX", "/tmp/tmux-1000/default,1,0")], "done");
        assert_eq!(in_tmux, "\x1bPtmux;\x1b\x1b]9;ccc: a test: done\x07\x1b\\");
    }

    #[test]
    fn no_text_can_end_the_sequence_or_fill_the_screen() {
        let shown = shown(&[], "a\x07b\x1b\\c\nd");
        assert_eq!(shown.matches('\x07').count(), 1, "{shown:?}");
        assert_eq!(shown.matches('\x1b').count(), 1, "{shown:?}");
        assert!(!shown.contains('\n'), "{shown:?}");
        let long = super::Terminal::of(&Env::default()).notification(&Message::test(&"x".repeat(9_000), 0));
        assert!(long.len() < 1_000);
    }
}
