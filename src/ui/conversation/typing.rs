//! Handles the user's input: for the draft, a dialog, or the run.

use std::ops::Range;
use std::sync::Arc;

use super::super::composer::{Buffer, Completion, Context, Popup, image_label, quoted_path};
use super::super::keys::Code::{
    Backspace, Char, Delete, Down, End, Enter, Escape, Home, Insert, Left, PageDown, PageUp, Right, Tab, Up,
};
use super::super::keys::{Press, Typed};
use super::commands::{self, Command};
use super::dialogs::{Dialog, KeyEffect};
use super::editing;
use super::pieces::{Note, Piece};
use super::{AGAIN_MS, Conversation, Job, Leave, Outgoing};
use crate::core::{Change, MAX_IMAGES_MIB, OperatorInput, base64_bytes};
use crate::words::Image;

/// More characters than this in one read were not typed by hand: a line end among them is text and sends nothing.
const BURST_CHARS: usize = 8;
/// A digit that comes within this time after a text continues it, and is no choice that came too early.
const TEXT_PAUSE_MS: u64 = 1_000;
/// How many completions are offered.
const COMPLETIONS: usize = 50;

/// The range of an image's path in a draft.
fn place_of(draft: &Buffer, path: &str) -> Option<Range<usize>> {
    draft.image_paths().into_iter().find_map(|(at, found)| (found == path).then_some(at))
}

impl Conversation {
    pub(super) fn typed(&mut self, at: u64, typed: Vec<Typed>) {
        let is_text = |typed: &Typed| matches!(typed, Typed::Press(press) if press.text().is_some());
        let is_burst = typed.iter().filter(|typed| is_text(typed)).count() >= BURST_CHARS;
        let last_text = typed.iter().rposition(is_text).unwrap_or(0);
        for (place, typed) in typed.into_iter().enumerate() {
            match typed {
                Typed::Press(press) if is_burst && place < last_text && press == Press::plain(Enter) => {
                    self.insert("\n")
                }
                Typed::Press(press) => self.press(at, press),
                Typed::Paste { text, cut } => {
                    if let Some(entry) = self.dialogs.entry() {
                        let fits = entry.paste(&text);
                        self.warn_unless(fits && !cut);
                    } else {
                        let fits = self.buffer.paste(quoted_path(&text).as_ref().unwrap_or(&text));
                        self.text_at = Some(at);
                        self.warn_unless(fits && !cut);
                        // A file dropped on a terminal arrives as a paste of its path.
                        for (_, path) in self.buffer.image_paths() {
                            self.jobs.push_back(Job::Look(path));
                        }
                    }
                    self.after_edit();
                }
            }
        }
    }

    fn insert(&mut self, text: &str) {
        let fits = self.buffer.insert(text);
        self.warn_unless(fits);
    }

    fn warn_unless(&mut self, fits: bool) {
        if !fits {
            self.printing.note(Note::Warning, "a message can have at most 1 MiB; the rest was left out");
        }
    }

    fn press(&mut self, at: u64, press: Press) {
        if self.left.is_some() {
            return;
        }
        if self.dialogs.first().is_some() && self.about.read_only.is_none() {
            match self.dialogs.press(at, press) {
                KeyEffect::Shown => return,
                effect @ (KeyEffect::TooEarly | KeyEffect::Draft) => {
                    // The key was meant for the draft, where it is kept and sends nothing; a choice that came too early was not,
                    // unless it continues a text.
                    let continues = self.text_at.is_some_and(|text| at < text.saturating_add(TEXT_PAUSE_MS));
                    let is_early_choice = effect == KeyEffect::TooEarly && self.dialogs.is_choice(press) && !continues;
                    if !is_early_choice && (press.text().is_some() || press.code == Backspace) {
                        self.text_at = Some(at);
                        editing::edit(&mut self.buffer, press);
                    }
                    return;
                }
                KeyEffect::Next { picked, text } => {
                    self.printing.note(Note::Picked, &picked);
                    self.printing.note(Note::Open, &text);
                    self.dialog_printed_at = self.printing.added();
                    return;
                }
                KeyEffect::Back(text) => {
                    self.printing.note(Note::Open, &text);
                    self.dialog_printed_at = self.printing.added();
                    return;
                }
                KeyEffect::Decided { input, picked } => {
                    if self.order(input).is_some() {
                        if let Some(picked) = picked {
                            self.printing.note(Note::Picked, &picked);
                        }
                        self.dialogs.decided();
                    }
                    return;
                }
                KeyEffect::Foreign => {}
            }
        }
        if self.press_for_run(at, press) {
            return;
        }
        if self.dialogs.first().is_some() {
            return;
        }
        if self.history.searched().is_some() && self.press_in_search(press) {
            return;
        }
        if self.popup.is_some() && self.press_in_popup(press) {
            return;
        }
        self.press_in_draft(at, press);
    }

    /// Handles keys for the run and the terminal; `false` for all others.
    fn press_for_run(&mut self, at: u64, press: Press) -> bool {
        match (press.code, press.ctrl) {
            (Char('c'), true) => self.ctrl_c(at),
            (Char('d'), true) if self.buffer.is_empty() || self.dialogs.first().is_some() => {
                self.leave(Leave::Detached)
            }
            (Char('z'), true) => self.jobs.push_back(Job::Suspend),
            (Char('l'), true) => self.printing.reprint(self.columns),
            (Char('o'), true) => {
                let asked = self.dialogs.first().and_then(Dialog::asked).cloned();
                match asked {
                    Some(asked) => self.printing.whole(Piece::Asked(Box::new(asked))),
                    None if self.printing.unfold(self.columns) => {}
                    None => self.printing.note(Note::Information, "there is nothing else to unfold"),
                }
            }
            (Tab, false) if press.shift => self.turn_mode(),
            (Escape, _) if self.popup.is_none() && self.history.searched().is_none() => {
                self.interrupts();
            }
            _ => return false,
        }
        true
    }

    /// Orders the next permission mode.
    fn turn_mode(&mut self) {
        let now = self.wanted_mode.as_deref().unwrap_or(&self.status.mode);
        // Before the first turn the agent has not said in which mode it is: it begins in the first.
        let at = if now.is_empty() { Some(0) } else { self.modes.iter().position(|mode| mode == now) };
        let next = at.map_or(0, |at| (at + 1) % self.modes.len().max(1));
        match self.modes.get(next).filter(|next| *next != now).cloned() {
            None => self.printing.note(Note::Information, "the agent has reported no other permission mode"),
            Some(mode) => {
                if self.order(OperatorInput::Set(Change::PermissionMode(mode.clone()))).is_some() {
                    self.wanted_mode = Some(mode);
                }
            }
        }
    }

    fn ctrl_c(&mut self, at: u64) {
        let again = self.ctrl_c_at.is_some_and(|pressed| at < pressed + AGAIN_MS);
        if again {
            self.ctrl_c_at = None;
            self.end_run("Ctrl-C was pressed twice");
        } else if let Some(entry) = self.dialogs.entry().filter(|entry| !entry.is_empty()) {
            entry.replace_all("");
        } else if !self.buffer.is_empty() {
            // This can be undone.
            self.buffer.replace_all("");
            self.after_edit();
        } else {
            self.ctrl_c_at = Some(at);
            self.interrupts();
        }
    }

    /// Interrupts the turn, if there is one.
    fn interrupts(&mut self) {
        if self.is_busy() && self.order(OperatorInput::StopTurn).is_some() {
            self.is_interrupting = true;
        }
    }

    fn end_run(&mut self, reason: &str) {
        if self.order(OperatorInput::Interrupt { reason: reason.to_owned() }).is_some() {
            self.status.detail = "ending".to_owned();
        }
    }

    fn leave(&mut self, leave: Leave) {
        self.left = Some(leave);
        self.jobs.push_back(Job::Leave(leave));
    }

    fn press_in_draft(&mut self, at: u64, press: Press) {
        let room = self.columns.saturating_sub(3).max(2);
        let is_plain = !press.ctrl && !press.alt && !press.shift;
        match press.code {
            Enter
                if is_plain
                    && self.buffer.text().ends_with('\\')
                    && self.buffer.cursor() == self.buffer.text().len() =>
            {
                self.buffer.backspace();
                self.insert("\n");
            }
            Enter if is_plain => self.send(),
            Up if is_plain => {
                if !self.buffer.up(room) {
                    self.back();
                }
            }
            Down if is_plain => {
                if !self.buffer.down(room)
                    && let Some(newer) = self.history.newer().map(str::to_owned)
                {
                    self.buffer.replace_all(&newer);
                }
            }
            Char('r') if press.ctrl => {
                let found = self.history.search(self.buffer.text()).map(str::to_owned);
                if let Some(found) = found {
                    self.buffer.replace_all(&found);
                }
            }
            Char(_) if press.text().is_some() => {
                self.text_at = Some(at);
                let mut text = [0; 4];
                let fits = press.text().is_none_or(|c| self.buffer.insert(c.encode_utf8(&mut text)));
                self.warn_unless(fits);
                self.after_edit();
            }
            Char(_) | Enter | Tab | Backspace | Delete | Insert | Escape | Up | Down | Left | Right | Home | End
            | PageUp | PageDown => {
                if editing::edit(&mut self.buffer, press) {
                    self.after_edit();
                }
            }
        }
    }

    /// Up in the first row: takes back the newest queued message, else shows an earlier message.
    fn back(&mut self) {
        if self.buffer.is_empty()
            && let Some(turn) = self.queue.last()
        {
            let (key, text) = (turn.key.clone(), turn.text.clone());
            if let Some(number) = self.order(OperatorInput::TakeBack { key }) {
                // The run may report its shorter queue before it answers.
                self.promises.insert(number, text);
            }
            return;
        }
        let draft = self.buffer.text().to_owned();
        if let Some(older) = self.history.older(&draft).map(str::to_owned) {
            self.buffer.replace_all(&older);
        }
    }

    fn press_in_search(&mut self, press: Press) -> bool {
        let words = self.history.searched().unwrap_or_default().to_owned();
        let found = match press.code {
            Char('r') if press.ctrl => self.history.search("").map(str::to_owned),
            Char(c) if press.text().is_some() => self.history.search_for(&format!("{words}{c}")).map(str::to_owned),
            Backspace => {
                let mut words = words;
                words.pop();
                self.history.search_for(&words).map(str::to_owned)
            }
            Escape => {
                let draft = self.history.end_search().to_owned();
                self.buffer.replace_all(&draft);
                return true;
            }
            Char(_) | Enter | Tab | Delete | Insert | Up | Down | Left | Right | Home | End | PageUp | PageDown => {
                self.history.leave();
                // Enter accepts the entry found and sends nothing.
                return press.code == Enter;
            }
        };
        if let Some(found) = found {
            self.buffer.replace_all(&found);
        }
        true
    }

    fn press_in_popup(&mut self, press: Press) -> bool {
        let Some(popup) = self.popup.as_mut() else { return false };
        match press.code {
            Up => popup.turn(false),
            Down => popup.turn(true),
            Escape => self.popup = None,
            Tab | Enter if !press.alt && !press.shift && !press.ctrl => {
                let from = match &popup.context {
                    Context::File { from, .. } => *from,
                    Context::Command { .. } => 0,
                };
                let Some(chosen) = popup.chosen().map(|chosen| chosen.text.clone()) else { return false };
                // Enter sends a command that is already complete.
                if press.code == Enter && self.buffer.text() == chosen.trim_end() {
                    self.popup = None;
                    return false;
                }
                self.buffer.complete(from, &chosen);
                self.popup = None;
            }
            Char(_) | Enter | Tab | Backspace | Delete | Insert | Left | Right | Home | End | PageUp | PageDown => {
                return false;
            }
        }
        true
    }

    /// Updates the completions after an edit.
    fn after_edit(&mut self) {
        self.popup = None;
        match Context::at(self.buffer.text(), self.buffer.cursor()) {
            Some(Context::Command { query }) => {
                let all = commands::completions().chain(self.offered.iter().cloned());
                let begins = |it: &Completion| it.text.get(1..).is_some_and(|name| name.starts_with(&query));
                let choices = all.filter(begins).take(COMPLETIONS).collect();
                self.popup = Popup::of(Context::Command { query }, choices);
            }
            Some(Context::File { query, .. }) => {
                self.jobs.retain(|job| !matches!(job, Job::Find(_)));
                self.jobs.push_back(Job::Find(query));
            }
            None => {}
        }
    }

    /// Shows the files found, unless the draft has changed meanwhile.
    pub(super) fn found(&mut self, query: &str, names: Vec<String>) {
        let context = Context::at(self.buffer.text(), self.buffer.cursor());
        if let Some(Context::File { query: now, from }) = context
            && now == query
        {
            let choices = names.into_iter().take(COMPLETIONS);
            let choice = |name| Completion { text: format!("@{name} "), hint: String::new(), about: String::new() };
            let choices = choices.map(choice).collect();
            self.popup = Popup::of(Context::File { from, query: now }, choices);
        }
    }

    /// Takes the result of reading an image, and replaces the paths that name it.
    pub(super) fn looked(&mut self, path: &str, image: Result<Image, Option<String>>) {
        let image = match image {
            Ok(image) => Some(Arc::new(image)),
            Err(why) => {
                if let Some(why) = why {
                    self.printing.note(Note::Warning, &why);
                }
                None
            }
        };
        let drafts = self.outbox.iter_mut().map(|outgoing| &mut outgoing.buffer).chain([&mut self.buffer]);
        for (draft, image) in drafts.zip(std::iter::repeat(&image)) {
            while let (Some(image), Some(at)) = (image, place_of(draft, path)) {
                let of_images: usize = draft.images().map(|image| image.data.len()).sum();
                if of_images + image.data.len() > base64_bytes(MAX_IMAGES_MIB) {
                    let why = format!(
                        "the image {path} is not sent: a message can have at most {MAX_IMAGES_MIB} MiB of images"
                    );
                    self.printing.note(Note::Warning, &why);
                    break;
                }
                draft.fold_image(at, &image_label(path), Arc::clone(image));
            }
        }
        for outgoing in &mut self.outbox {
            outgoing.waits.retain(|waits| waits != path);
        }
        self.say();
    }

    /// Sends the messages whose images have been read, in order.
    fn say(&mut self) {
        while let Some(outgoing) = self.outbox.pop_front_if(|outgoing| outgoing.waits.is_empty()) {
            self.numbers += 1;
            let key = format!("{}-{}", self.seed, self.numbers);
            let text = outgoing.buffer.content();
            let images: Vec<Image> = outgoing.buffer.images().map(|image| Image::clone(image)).collect();
            if !images.is_empty() {
                self.said_images.insert(key.clone(), images.clone());
            }
            self.order(OperatorInput::Say { key: Some(key), text, images });
        }
    }

    /// Whether the draft stays, because it begins with a command that nobody has: says so. The next Enter sends it.
    fn doubts(&mut self) -> bool {
        let message = self.buffer.content();
        if self.doubted.take().is_some_and(|doubted| doubted == message) {
            return false;
        }
        let Some((name, near)) = commands::doubted(&message, &self.offered) else { return false };
        let near = near.join(", ");
        let text = format!("there is no command {name}; near to it: {near}. Enter again sends it to the agent");
        self.printing.note(Note::Warning, &text);
        self.popup = None;
        self.doubted = Some(message);
        true
    }

    /// Sends the draft, or performs the command in it.
    fn send(&mut self) {
        if self.buffer.content().trim().is_empty() {
            return;
        }
        let command = commands::read(&self.buffer.content(), self.about.budgets.as_ref(), self.spans);
        if command.is_none() && self.about.read_only.is_some() {
            self.printing.note(Note::Warning, "this terminal is read-only: the message is not sent");
            return;
        }
        if command.is_none() && self.doubts() {
            return;
        }
        let seen = self.buffer.text().to_owned();
        let buffer = self.buffer.clone();
        self.buffer.replace_all("");
        self.popup = None;
        if self.history.add(&seen) {
            self.jobs.push_back(Job::Remember(seen));
        }
        match command {
            None => {
                let waits: Vec<String> = buffer.image_paths().into_iter().map(|(_, path)| path).collect();
                self.jobs.extend(waits.iter().cloned().map(Job::Look));
                self.outbox.push_back(Outgoing { buffer, waits });
                self.say();
            }
            Some(Command::Order(input, said)) => {
                if let OperatorInput::Set(Change::Budgets(budgets)) = &input {
                    self.bounded_by(budgets.clone());
                }
                if let Some(number) = self.order(input) {
                    self.promises.insert(number, said);
                }
            }
            Some(Command::Help) => self.printing.note(Note::Information, &commands::help()),
            Some(Command::Detach) => self.leave(Leave::Detached),
            Some(Command::Quit) => {
                self.has_quit = true;
                self.end_run("the user quit");
            }
            Some(Command::Wrong(text)) => self.printing.note(Note::Warning, &text),
        }
    }
}
