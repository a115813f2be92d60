//! What the user is asked: the agent's requests and ccc's questions, one at a time, in the order of their numbers.
//!
//! A key counts only when the dialog has been visible for [`QUIET_MS`] and no key came within that time. A key typed for
//! something else, or still held down, therefore decides nothing. Text that is no choice goes into the draft, and so does
//! everything typed after it until an arrow key returns to the choices: the Enter after a message allows nothing.
//!
//! What a dialog is about is printed when its turn comes, so that it stands directly above the choices. Until then the dialog
//! takes no key.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::super::composer::Buffer;
use super::super::keys::Code::{
    Backspace, Char, Delete, Down, End, Enter, Escape, Home, Insert, Left, PageDown, PageUp, Right, Tab, Up,
};
use super::super::keys::Press;
use super::super::paint::{Colour, Look, Row, View};
use super::super::requests::{Words, filled_form};
use crate::agent::{AnswerForm, Asked};
use crate::core::{OperatorInput, Question, Ruling};
use crate::words::AskId;

/// How long a dialog must be visible, and the keyboard quiet, before a key counts.
pub(super) const QUIET_MS: u64 = 300;
/// How many dialogs may be open.
const OPEN_LIMIT: usize = 64;

/// The open dialogs; the first is shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Dialogs {
    open: VecDeque<Dialog>,
    /// The dialog that was printed last: only it may be decided.
    printed: Option<Key>,
    /// The request whose decision was sent. Its row comes before the next dialog is printed.
    sent: Option<Box<Dialog>>,
}

/// An open dialog.
#[derive(Debug, Clone)]
pub(super) struct Dialog {
    subject: Subject,
    /// The open step, where there are several.
    step: usize,
    /// The choices made in the steps before.
    answers: Vec<Picked>,
    menu: Menu,
    /// The text typed in place of a choice.
    entry: Option<Buffer>,
    /// When the dialog became visible, or the last key that came too early.
    quiet_from: Option<u64>,
    /// Whether keys go to the draft.
    is_passing: bool,
    /// Whether what it is about was printed.
    was_printed: bool,
    /// Whether Enter was pressed where at least one choice must be marked.
    misses_mark: bool,
}

/// Which dialog this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Asked(AskId),
    Question(u32),
}

#[derive(Debug, Clone)]
enum Subject {
    Asked(Box<Asked>),
    Question(Question),
}

/// A list of choices, one of them selected.
#[derive(Debug, Clone, Default)]
struct Menu {
    items: Vec<Item>,
    chosen: usize,
    /// Whether more than one may be chosen.
    many: bool,
    marked: BTreeSet<usize>,
}

/// The keys of the answers to a permission and a plan. They are fixed, whatever choices are shown.
const ONCE: usize = 1;
const SESSION: usize = 2;
const NO: usize = 3;
const NO_BECAUSE: usize = 4;

#[derive(Debug, Clone, Default)]
struct Item {
    /// The digit that chooses it.
    key: usize,
    label: String,
    about: String,
    /// Whether choosing it opens a text entry.
    in_words: bool,
}

/// The answer to a step: the keys of the choices, and a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Picked {
    keys: Vec<usize>,
    words: Option<String>,
}

/// The effect of a key.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum KeyEffect {
    /// Only the view has changed.
    Shown,
    /// The key came too early.
    TooEarly,
    /// The dialog is answered: send the order, and print the answer to the last question (`picked`).
    Decided { input: OperatorInput, picked: Option<String> },
    /// The next step is open: print the answer to the step before (`picked`) and the new step's text.
    Next { picked: String, text: String },
    /// The step before is open again: print its text.
    Back(String),
    /// The key is text for the draft.
    Draft,
    /// The key does not belong to the dialog.
    Foreign,
}

fn item(key: usize, label: &str, about: &str, in_words: bool) -> Item {
    Item { key, label: label.to_owned(), about: about.to_owned(), in_words }
}

/// Choices numbered from 1.
fn counted<'a>(choices: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Item> {
    choices.enumerate().map(|(at, (label, about))| item(at + 1, label, about, false)).collect()
}

impl Dialogs {
    /// Adds a request of the agent.
    pub(super) fn ask(&mut self, asked: Asked) {
        if self.open.len() < OPEN_LIMIT && !self.open.iter().any(|open| open.ask() == Some(asked.id)) {
            self.open.push_back(Dialog::new(Subject::Asked(Box::new(asked))));
        }
    }

    /// Adds a question of ccc, which replaces its earlier question.
    pub(super) fn question(&mut self, question: Question) {
        self.forget_question();
        self.open.push_front(Dialog::new(Subject::Question(question)));
    }

    /// Removes a settled request, wherever it was answered. Returns whether what it is about was printed. The next dialog begins
    /// its own quiet time.
    pub(super) fn settle(&mut self, id: AskId) -> bool {
        let mut was_printed = self.refused(id);
        self.open.retain(|open| {
            let is_it = open.ask() == Some(id);
            was_printed |= is_it && open.was_printed;
            !is_it
        });
        was_printed
    }

    /// Forgets the decision that was sent, if it was of this request, because no row follows; returns whether it was.
    pub(super) fn refused(&mut self, id: AskId) -> bool {
        self.sent.take_if(|sent| sent.ask() == Some(id)).is_some()
    }

    /// Removes ccc's question.
    pub(super) fn forget_question(&mut self) {
        self.open.retain(|open| matches!(open.subject, Subject::Asked(_)));
    }

    /// Removes all dialogs, because the run is over or its process is gone.
    pub(super) fn clear(&mut self) {
        *self = Dialogs::default();
    }

    /// The dialog whose turn it is.
    pub(super) fn first(&self) -> Option<&Dialog> {
        self.open.front()
    }

    /// The dialog whose turn has come and which is not printed yet; from now on it is.
    pub(super) fn turn(&mut self) -> Option<&Dialog> {
        if self.sent.is_some() {
            return None;
        }
        let key = self.open.front().map(Dialog::key);
        if key == self.printed {
            return None;
        }
        self.printed = key;
        let dialog = self.open.front_mut()?;
        dialog.was_printed = true;
        Some(dialog)
    }

    /// Whether the first dialog is printed.
    pub(super) fn is_printed(&self) -> bool {
        self.printed.is_some() && self.printed == self.open.front().map(Dialog::key)
    }

    /// How many dialogs wait behind the first.
    pub(super) fn waiting(&self) -> usize {
        self.open.len().saturating_sub(1)
    }

    /// Records when the first dialog became visible.
    pub(super) fn painted(&mut self, at: u64) {
        if self.is_printed()
            && let Some(dialog) = self.open.front_mut()
        {
            dialog.quiet_from.get_or_insert(at);
        }
    }

    /// The text entry of the first dialog.
    pub(super) fn entry(&mut self) -> Option<&mut Buffer> {
        self.open.front_mut().and_then(|dialog| dialog.entry.as_mut())
    }

    /// Handles a key for the first dialog.
    pub(super) fn press(&mut self, at: u64, press: Press) -> KeyEffect {
        self.open.front_mut().map_or(KeyEffect::Foreign, |dialog| dialog.press(at, press))
    }

    /// Whether the first dialog would take this key as one of its choices.
    pub(super) fn is_choice(&self, press: Press) -> bool {
        self.open.front().is_some_and(|dialog| dialog.is_choice(press))
    }

    /// Removes the first dialog, whose decision was sent. The next one begins its own quiet time.
    pub(super) fn decided(&mut self) {
        self.sent = self.open.pop_front().filter(|dialog| dialog.ask().is_some()).map(Box::new);
    }

    /// The connection ended before the run had settled the request whose decision was sent: it is open again.
    pub(super) fn reopen(&mut self) {
        if let Some(mut dialog) = self.sent.take() {
            (dialog.step, dialog.quiet_from) = (0, None);
            dialog.answers.clear();
            dialog.open_step();
            self.open.push_front(*dialog);
        }
    }
}

impl Dialog {
    fn new(subject: Subject) -> Dialog {
        let mut dialog = Dialog {
            subject,
            step: 0,
            answers: Vec::new(),
            menu: Menu::default(),
            entry: None,
            quiet_from: None,
            is_passing: false,
            was_printed: false,
            misses_mark: false,
        };
        dialog.open_step();
        dialog
    }

    fn key(&self) -> Key {
        match &self.subject {
            Subject::Asked(asked) => Key::Asked(asked.id),
            Subject::Question(question) => Key::Question(question.number),
        }
    }

    fn ask(&self) -> Option<AskId> {
        match &self.subject {
            Subject::Asked(asked) => Some(asked.id),
            Subject::Question(_) => None,
        }
    }

    /// The request, if the agent asked.
    pub(super) fn asked(&self) -> Option<&Asked> {
        match &self.subject {
            Subject::Asked(asked) => Some(asked),
            Subject::Question(_) => None,
        }
    }

    /// The text of the open step, unless the request itself shows it.
    pub(super) fn step_text(&self) -> Option<String> {
        let asked = match &self.subject {
            Subject::Asked(asked) => asked,
            Subject::Question(question) => return Some(question.text()),
        };
        match asked.kind.answer_form() {
            AnswerForm::Questions => {
                let question = asked.questions.get(self.step)?;
                let of = asked.questions.len();
                let number = if of > 1 { format!("({} of {of}) ", self.step + 1) } else { String::new() };
                Some(format!("{number}{}", question.question))
            }
            AnswerForm::Fields => {
                let field = asked.fields.get(self.step)?;
                let title = if field.title.is_empty() { &field.name } else { &field.title };
                let needed = if field.required { "" } else { " (may be left empty)" };
                Some(format!("{title}{needed}"))
            }
            AnswerForm::YesOrNo => None,
        }
    }

    /// Builds the choices of the step.
    fn open_step(&mut self) {
        let mut menu = Menu::default();
        self.entry = None;
        self.misses_mark = false;
        match &self.subject {
            Subject::Question(question) => {
                let choices = question.choices();
                menu.chosen = choices.iter().position(|choice| choice.answer == question.default).unwrap_or(0);
                menu.items = counted(choices.iter().map(|choice| (choice.text.as_str(), "")));
            }
            Subject::Asked(asked) => match asked.kind.answer_form() {
                AnswerForm::YesOrNo => menu.items = rulings(asked),
                AnswerForm::Questions => {
                    if let Some(question) = asked.questions.get(self.step) {
                        let options = question.options.iter();
                        menu.items = counted(options.map(|it| (it.label.as_str(), it.description.as_str())));
                        menu.many = question.multi;
                    }
                    menu.items.push(item(menu.items.len() + 1, "something else: …", "", true));
                }
                AnswerForm::Fields => {
                    let field = asked.fields.get(self.step);
                    let choices = field.map(|field| field.choices.clone()).unwrap_or_default();
                    menu.items = counted(choices.iter().map(|choice| (choice.as_str(), "")));
                    if menu.items.is_empty() && field.is_some_and(|field| field.kind == "boolean") {
                        menu.items = counted([("true", ""), ("false", "")].into_iter());
                    }
                    if menu.items.is_empty() {
                        self.entry = Some(Buffer::new());
                    }
                }
            },
        }
        self.menu = menu;
    }

    fn press(&mut self, at: u64, press: Press) -> KeyEffect {
        let is_foreign = press.ctrl && matches!(press.code, Char('c' | 'd' | 'z' | 'l' | 'o'));
        if is_foreign {
            return KeyEffect::Foreign;
        }
        match self.quiet_from {
            Some(from) if at >= from.saturating_add(QUIET_MS) => {}
            Some(_) | None => {
                // A key that is held down, or continued typing, extends the wait.
                self.quiet_from = self.quiet_from.map(|_| at);
                return KeyEffect::TooEarly;
            }
        }
        if self.entry.is_some() {
            return self.press_in_entry(press);
        }
        let effect = self.press_in_menu(press);
        if effect == KeyEffect::Draft {
            // The following keys belong to the same text.
            self.quiet_from = Some(at);
            self.is_passing = true;
        }
        effect
    }

    /// Whether this key is one of the choices.
    fn is_choice(&self, press: Press) -> bool {
        if self.entry.is_some() || self.is_passing {
            return false;
        }
        match press.text() {
            Some(' ') => self.menu.many,
            Some(c) => c.to_digit(10).is_some_and(|digit| {
                self.menu.items.iter().any(|item| u32::try_from(item.key).is_ok_and(|key| key == digit))
            }),
            None => false,
        }
    }

    fn press_in_menu(&mut self, press: Press) -> KeyEffect {
        let last = self.menu.items.len().saturating_sub(1);
        if matches!(press.code, Up | Down | Tab | Left) {
            self.is_passing = false;
        } else if self.is_passing && press.code != Escape {
            // The Enter after a text was meant to send the text.
            let is_break = press == Press::plain(Enter);
            return if is_break { KeyEffect::Shown } else { KeyEffect::Draft };
        }
        match press.code {
            Up => self.menu.chosen = self.menu.chosen.checked_sub(1).unwrap_or(last),
            Down | Tab => self.menu.chosen = if self.menu.chosen >= last { 0 } else { self.menu.chosen + 1 },
            Char(' ') if self.menu.many => self.mark(self.menu.chosen),
            Char(digit @ '1'..='9') if press.text().is_some() => {
                let key = usize::from(digit as u8 - b'0');
                let Some(place) = self.menu.items.iter().position(|item| item.key == key) else {
                    return KeyEffect::Shown;
                };
                self.menu.chosen = place;
                let in_words = self.menu.items.get(place).is_some_and(|item| item.in_words);
                if self.menu.many && !in_words {
                    self.mark(place);
                } else {
                    return self.pick();
                }
            }
            Enter => return self.pick(),
            Left | Escape if self.step > 0 => return self.back(),
            Escape => return KeyEffect::Foreign,
            Char(_) | Backspace => return KeyEffect::Draft,
            Delete | Insert | Left | Right | Home | End | PageUp | PageDown => {}
        }
        KeyEffect::Shown
    }

    /// Opens the step before again.
    fn back(&mut self) -> KeyEffect {
        self.step = self.step.saturating_sub(1);
        self.answers.truncate(self.step);
        self.open_step();
        KeyEffect::Back(self.step_text().unwrap_or_default())
    }

    fn mark(&mut self, place: usize) {
        let Some(item) = self.menu.items.get(place).filter(|item| !item.in_words) else { return };
        self.misses_mark = false;
        if !self.menu.marked.remove(&item.key) {
            self.menu.marked.insert(item.key);
        }
    }

    /// Chooses the selected item.
    fn pick(&mut self) -> KeyEffect {
        let Some(item) = self.menu.items.get(self.menu.chosen) else { return KeyEffect::Shown };
        if item.in_words {
            self.entry = Some(Buffer::new());
            return KeyEffect::Shown;
        }
        let keys: Vec<usize> = if self.menu.many { self.menu.marked.iter().copied().collect() } else { vec![item.key] };
        if keys.is_empty() {
            // The selected choice was perhaps not meant.
            self.misses_mark = true;
            return KeyEffect::Shown;
        }
        self.answered(Picked { keys, words: None })
    }

    fn press_in_entry(&mut self, press: Press) -> KeyEffect {
        let has_menu = !self.menu.items.is_empty();
        let Some(entry) = self.entry.as_mut() else { return KeyEffect::Foreign };
        match press.code {
            Enter if !press.alt && !press.shift => {
                let words = entry.content();
                let is_needed = has_menu || self.field_is_required();
                if words.trim().is_empty() && is_needed {
                    return KeyEffect::Shown;
                }
                let keys = self.menu.marked.iter().copied().collect();
                return self.answered(Picked { keys, words: Some(words) });
            }
            Escape if has_menu => self.entry = None,
            Escape if self.step > 0 => return self.back(),
            Escape => return KeyEffect::Foreign,
            Enter | Char(_) | Tab | Backspace | Delete | Insert | Up | Down | Left | Right | Home | End | PageUp
            | PageDown => {
                super::editing::edit(entry, press);
            }
        }
        KeyEffect::Shown
    }

    fn field_is_required(&self) -> bool {
        match &self.subject {
            Subject::Asked(asked) => asked.fields.get(self.step).is_some_and(|field| field.required),
            Subject::Question(_) => false,
        }
    }

    /// Records the answer to a step, and opens the next step or decides.
    fn answered(&mut self, picked: Picked) -> KeyEffect {
        let labels =
            self.menu.items.iter().filter(|item| picked.keys.contains(&item.key)).map(|item| item.label.clone());
        let said: Vec<String> = labels.chain(picked.words.clone()).collect();
        self.answers.push(picked);
        self.step += 1;
        let steps = match &self.subject {
            Subject::Asked(asked) => match asked.kind.answer_form() {
                AnswerForm::YesOrNo => 1,
                AnswerForm::Questions => asked.questions.len(),
                AnswerForm::Fields => asked.fields.len(),
            },
            Subject::Question(_) => 1,
        };
        if self.step < steps {
            self.open_step();
            return KeyEffect::Next { picked: said.join(", "), text: self.step_text().unwrap_or_default() };
        }
        // The row of a permission says how it was decided; the row of an answer does not say what it is.
        let is_answer = match &self.subject {
            Subject::Asked(asked) => asked.kind.answer_form() != AnswerForm::YesOrNo,
            Subject::Question(_) => true,
        };
        let picked = is_answer.then(|| said.join(", ")).filter(|picked| !picked.is_empty());
        match self.decision() {
            Some(input) => KeyEffect::Decided { input, picked },
            None => KeyEffect::Shown,
        }
    }

    /// The order that the answers amount to.
    fn decision(&self) -> Option<OperatorInput> {
        let first = self.answers.first().cloned().unwrap_or_default();
        let key = first.keys.first().copied();
        let asked = match &self.subject {
            Subject::Question(question) => {
                let choice = question.choices().into_iter().nth(key?.checked_sub(1)?)?.answer;
                return Some(OperatorInput::Answer { number: question.number, choice });
            }
            Subject::Asked(asked) => asked,
        };
        let ruling = match asked.kind.answer_form() {
            AnswerForm::YesOrNo => match (first.words, key) {
                (Some(reason), _) => Ruling::Deny { reason },
                (None, Some(ONCE)) => Ruling::Allow { for_session: false, input: None },
                (None, Some(SESSION)) => Ruling::Allow { for_session: true, input: None },
                (None, Some(_) | None) => Ruling::Deny { reason: String::new() },
            },
            AnswerForm::Questions => {
                let mut answers = BTreeMap::new();
                for (question, picked) in asked.questions.iter().zip(&self.answers) {
                    let labels = picked.keys.iter().filter_map(|key| question.options.get(key.checked_sub(1)?));
                    let mut said: Vec<String> = labels.map(|option| option.label.clone()).collect();
                    said.extend(picked.words.clone());
                    answers.insert(question.question.clone(), said.join(", "));
                }
                Ruling::Answers { answers, notes: BTreeMap::new() }
            }
            AnswerForm::Fields => Ruling::Fill { content: filled(asked, &self.answers) },
        };
        Some(OperatorInput::Rule { ask: asked.id, key: None, ruling })
    }

    /// What the text entry is for.
    fn entry_prompt(&self) -> &'static str {
        match &self.subject {
            Subject::Asked(asked) if asked.kind.answer_form() == AnswerForm::YesOrNo => "why not: ",
            Subject::Asked(_) => "your answer: ",
            Subject::Question(_) => "",
        }
    }

    /// What it is about, in a row.
    pub(super) fn about(&self) -> String {
        let text = match &self.subject {
            Subject::Question(question) => question.text(),
            Subject::Asked(asked) => Words::of(asked).subject,
        };
        super::super::clean::one_line(text.trim(), 200)
    }

    /// The choices, with the cursor on the first row, and below them how to choose.
    pub(super) fn view(&self, columns: usize, most: usize) -> View {
        if let Some(entry) = &self.entry {
            let what = if self.menu.items.is_empty() { "" } else { self.entry_prompt() };
            let room = columns.saturating_sub(2 + super::super::columns::of(what));
            let mut view = super::editing::framed(entry.draft(room.max(2)), what, most);
            view.rows.push(Row::of(Look::DIM, "  Enter sends it · Esc goes back"));
            return view;
        }
        let most = most.max(1);
        let mut rows: Vec<Row> = Vec::new();
        let mut chosen_rows = 0..1;
        for (place, item) in self.menu.items.iter().enumerate() {
            let from = rows.len();
            rows.extend(self.item_rows(item, place == self.menu.chosen, columns));
            if place == self.menu.chosen {
                chosen_rows = from..rows.len();
            }
        }
        // Scroll so that the selected item is visible.
        let first = chosen_rows.end.saturating_sub(most).min(chosen_rows.start);
        let is_cut = rows.len() > most;
        let mut rows: Vec<Row> = rows.into_iter().skip(first).take(most).collect();
        let how = match (self.menu.many, self.misses_mark) {
            (true, true) => "nothing is marked: mark at least one with Space or its number",
            (true, false) => "Space marks · Enter answers",
            (false, _) => "a number or Enter chooses",
        };
        let mut hint =
            if self.is_passing { "your text is in the draft; ↑↓ goes back to the choices" } else { how }.to_owned();
        if self.step > 0 {
            hint.push_str(" · ← goes back");
        }
        if is_cut {
            hint.push_str(&format!(" · {}/{} ↑↓ · Ctrl-O shows all", self.menu.chosen + 1, self.menu.items.len()));
        }
        rows.push(Row::of(Look::DIM, &format!("  {hint}")));
        View { rows, ..View::default() }
    }

    /// The rows of a choice. Nothing is cut, because the user decides on it.
    fn item_rows(&self, item: &Item, is_chosen: bool, columns: usize) -> Vec<Row> {
        let mark = match (self.menu.many && !item.in_words, self.menu.marked.contains(&item.key)) {
            (true, true) => "☑ ",
            (true, false) => "☐ ",
            (false, _) => "",
        };
        let lead = if is_chosen { "❯ " } else { "  " };
        let look = if is_chosen { Look { bold: true, ..Look::of(Colour::Cyan) } } else { Look::PLAIN };
        let mut row = Row::of(look, &format!("{lead}{} {mark}{}", item.key, item.label));
        if !item.about.is_empty() {
            row.push(Look::DIM, &format!("  {}", item.about));
        }
        row.wrapped(columns, &Row::of(Look::PLAIN, "    "))
    }
}

/// The possible answers to a permission or a plan.
fn rulings(asked: &Asked) -> Vec<Item> {
    let Words { yes, no, .. } = Words::of(asked);
    let mut items = vec![item(ONCE, yes, "", false)];
    if !asked.rules.is_empty() {
        items.push(item(SESSION, "yes, for this session", &asked.rules.join(", "), false));
    }
    items.push(item(NO, no, "", false));
    items.push(item(NO_BECAUSE, "no, because …", "the agent gets your reason", true));
    items
}

/// The form filled in with what was chosen or typed for each field.
fn filled(asked: &Asked, answers: &[Picked]) -> String {
    let values = asked.fields.iter().zip(answers).map(|(field, picked)| match (&picked.words, picked.keys.first()) {
        (Some(words), _) => words.clone(),
        (None, Some(1)) if field.choices.is_empty() => "true".to_owned(),
        (None, Some(2)) if field.choices.is_empty() => "false".to_owned(),
        (None, Some(key)) => field.choices.get(key.saturating_sub(1)).cloned().unwrap_or_default(),
        (None, None) => String::new(),
    });
    filled_form(asked, values)
}

#[cfg(test)]
mod tests {
    use super::super::super::keys::Code;
    use super::super::super::paint::text_of;
    use super::*;
    use crate::agent::{AskedField, AskedKind, AskedOption, AskedQuestion};

    fn permission() -> Asked {
        Asked { id: AskId(3), tool: "Bash".to_owned(), rules: vec!["Bash(touch:*)".to_owned()], ..Asked::default() }
    }

    fn open(asked: Asked) -> Dialogs {
        let mut dialogs = Dialogs::default();
        dialogs.ask(asked);
        dialogs.turn();
        dialogs.painted(0);
        dialogs
    }

    fn rule(ruling: Ruling) -> KeyEffect {
        KeyEffect::Decided { input: OperatorInput::Rule { ask: AskId(3), key: None, ruling }, picked: None }
    }

    fn write(dialogs: &mut Dialogs, text: &str) -> KeyEffect {
        for c in text.chars() {
            dialogs.press(1_000, Press::of(c));
        }
        dialogs.press(1_000, Press::plain(Code::Enter))
    }

    #[test]
    fn a_permission_is_given_once_for_the_session_or_denied_with_a_reason() {
        let allow = |for_session| rule(Ruling::Allow { for_session, input: None });
        assert_eq!(open(permission()).press(1_000, Press::of('1')), allow(false));
        assert_eq!(open(permission()).press(1_000, Press::plain(Code::Enter)), allow(false));
        assert_eq!(open(permission()).press(1_000, Press::of('2')), allow(true));
        assert_eq!(open(permission()).press(1_000, Press::of('3')), rule(Ruling::Deny { reason: String::new() }));
        let mut dialogs = open(permission());
        assert_eq!(dialogs.press(1_000, Press::of('4')), KeyEffect::Shown);
        assert_eq!(write(&mut dialogs, ""), KeyEffect::Shown, "a reason that was announced is given");
        assert_eq!(write(&mut dialogs, "use mv"), rule(Ruling::Deny { reason: "use mv".to_owned() }));
        let without = Asked { rules: Vec::new(), ..permission() };
        for kind in [AskedKind::Permission, AskedKind::Plan] {
            let without = Asked { kind, ..without.clone() };
            assert_eq!(open(without.clone()).press(1_000, Press::of('2')), KeyEffect::Shown, "there is no such choice");
            assert_eq!(open(without).press(1_000, Press::of('3')), rule(Ruling::Deny { reason: String::new() }));
        }
    }

    #[test]
    fn a_key_that_comes_with_the_dialog_or_is_held_down_decides_nothing() {
        let mut dialogs = Dialogs::default();
        dialogs.ask(permission());
        dialogs.painted(4_000);
        assert_eq!(dialogs.press(4_900, Press::of('1')), KeyEffect::TooEarly, "it is not printed yet");
        dialogs.turn();
        assert_eq!(dialogs.press(5_000, Press::of('1')), KeyEffect::TooEarly, "it is not on the screen yet");
        dialogs.painted(5_000);
        assert_eq!(dialogs.press(5_299, Press::of('1')), KeyEffect::TooEarly);
        for at in (5_330..9_000).step_by(30) {
            assert_eq!(dialogs.press(at, Press::plain(Code::Enter)), KeyEffect::TooEarly, "held down since {at}");
        }
        assert!(matches!(dialogs.press(9_300, Press::plain(Code::Enter)), KeyEffect::Decided { .. }));
    }

    #[test]
    fn a_text_that_is_no_choice_goes_into_the_draft_with_all_behind_it() {
        let mut dialogs = open(permission());
        assert_eq!(dialogs.press(1_000, Press::of('z')), KeyEffect::Draft);
        assert_eq!(dialogs.press(1_050, Press::of('1')), KeyEffect::TooEarly, "it belongs to the same text");
        assert_eq!(dialogs.press(9_000, Press::of('1')), KeyEffect::Draft);
        assert_eq!(dialogs.press(9_900, Press::plain(Code::Backspace)), KeyEffect::Draft);
        assert_eq!(dialogs.press(19_000, Press::plain(Code::Enter)), KeyEffect::Shown, "it was meant to send the text");
        assert_eq!(dialogs.press(29_000, Press::plain(Code::Down)), KeyEffect::Shown);
        assert!(matches!(dialogs.press(29_001, Press::of('1')), KeyEffect::Decided { .. }));
    }

    #[test]
    fn nothing_of_what_is_decided_on_is_cut() {
        let rules: Vec<String> = (0..9).map(|at| format!("Bash(long-command-{at} --with-options:*)")).collect();
        let dialogs = open(Asked { rules: rules.clone(), ..permission() });
        let squeeze = |text: &str| text.split_whitespace().collect::<String>();
        let view = |dialogs: &Dialogs, most| text_of(&dialogs.first().expect("a dialog").view(60, most).rows);
        let shown = view(&dialogs, 16);
        assert!(squeeze(&shown).contains(&squeeze(&rules.join(", "))), "{shown}");
        assert!(shown.lines().all(|line| crate::ui::columns::of(line) <= 60), "{shown}");
        let mut dialogs = dialogs;
        for _ in 0..3 {
            dialogs.press(1_000, Press::plain(Code::Down));
        }
        let shown = view(&dialogs, 4);
        assert!(shown.contains("❯ 4 no, because") && shown.contains("4/4 ↑↓ · Ctrl-O shows all"), "{shown}");
    }

    #[test]
    fn the_next_dialog_has_its_own_time() {
        let mut dialogs = open(permission());
        dialogs.ask(Asked { id: AskId(4), ..permission() });
        assert_eq!(dialogs.waiting(), 1);
        assert!(matches!(dialogs.press(1_000, Press::of('1')), KeyEffect::Decided { .. }));
        dialogs.decided();
        assert!(dialogs.turn().is_none(), "the row of the decision comes first");
        dialogs.painted(1_001);
        assert_eq!(dialogs.press(1_900, Press::of('1')), KeyEffect::TooEarly);
        assert!(dialogs.settle(AskId(3)), "it was printed");
        assert!(dialogs.turn().is_some_and(|dialog| dialog.ask() == Some(AskId(4))));
        assert!(dialogs.turn().is_none(), "it is printed once");
        dialogs.painted(1_010);
        assert_eq!(dialogs.press(1_200, Press::of('1')), KeyEffect::TooEarly);
        assert!(matches!(dialogs.press(1_510, Press::of('1')), KeyEffect::Decided { .. }));
        let mut dialogs = open(permission());
        dialogs.settle(AskId(3));
        assert!(dialogs.first().is_none());
        // A connection that ends before the run has answered: the request is open again.
        let mut dialogs = open(permission());
        dialogs.ask(Asked { id: AskId(4), ..permission() });
        dialogs.press(1_000, Press::of('1'));
        dialogs.decided();
        dialogs.reopen();
        dialogs.painted(2_000);
        assert_eq!(dialogs.press(3_000, Press::of('3')), rule(Ruling::Deny { reason: String::new() }));
        // A refusal is told in a row of its own.
        dialogs.decided();
        assert!(dialogs.refused(AskId(3)) && dialogs.turn().is_some());
        assert!(!dialogs.settle(AskId(5)), "it is not known");
    }

    #[test]
    fn questions_are_answered_one_after_the_other() {
        let question = |text: &str, multi| AskedQuestion {
            question: text.to_owned(),
            multi,
            options: ["a", "b"].map(|label| AskedOption { label: label.to_owned(), ..AskedOption::default() }).to_vec(),
            ..AskedQuestion::default()
        };
        let asked = Asked {
            id: AskId(3),
            kind: AskedKind::Choices,
            questions: vec![question("one?", false), question("many?", true), question("else?", false)],
            ..Asked::default()
        };
        let mut dialogs = open(asked);
        let next = |picked: &str| KeyEffect::Next { picked: picked.to_owned(), text: "(2 of 3) many?".to_owned() };
        assert_eq!(dialogs.press(1_000, Press::of('1')), next("a"));
        for back in [Code::Left, Code::Escape] {
            assert_eq!(dialogs.press(1_000, Press::plain(back)), KeyEffect::Back("(1 of 3) one?".to_owned()));
            assert_eq!(dialogs.press(1_000, Press::of('2')), next("b"));
        }
        let hint = |dialogs: &Dialogs| text_of(&dialogs.first().expect("a dialog").view(60, 16).rows);
        assert_eq!(dialogs.press(1_000, Press::plain(Code::Enter)), KeyEffect::Shown, "nothing is marked");
        assert!(hint(&dialogs).contains("nothing is marked: mark at least one"), "{}", hint(&dialogs));
        assert_eq!(dialogs.press(1_000, Press::of('1')), KeyEffect::Shown);
        assert!(hint(&dialogs).contains("Space marks · Enter answers"), "{}", hint(&dialogs));
        dialogs.press(1_000, Press::plain(Code::Down));
        dialogs.press(1_000, Press::of(' '));
        let KeyEffect::Next { picked, .. } = dialogs.press(1_000, Press::plain(Code::Enter)) else {
            panic!("the next step")
        };
        assert_eq!(picked, "a, b");
        dialogs.press(1_000, Press::of('3'));
        assert!(hint(&dialogs).starts_with("❯ your answer:"), "{}", hint(&dialogs));
        let answers = [("one?", "b"), ("many?", "a, b"), ("else?", "neither")];
        let answers = answers.map(|(question, answer)| (question.to_owned(), answer.to_owned())).into();
        let input = OperatorInput::Rule {
            ask: AskId(3),
            key: None,
            ruling: Ruling::Answers { answers, notes: BTreeMap::new() },
        };
        assert_eq!(write(&mut dialogs, "neither"), KeyEffect::Decided { input, picked: Some("neither".to_owned()) });
    }

    #[test]
    fn a_form_is_filled_field_by_field() {
        let field = |name: &str, kind: &str, choices: &[&str], required| AskedField {
            name: name.to_owned(),
            kind: kind.to_owned(),
            choices: choices.iter().map(|&choice| choice.to_owned()).collect(),
            required,
            ..AskedField::default()
        };
        let fields = vec![
            field("name", "string", &[], true),
            field("count", "integer", &[], true),
            field("sure", "boolean", &[], true),
            field("colour", "string", &["red", "blue"], true),
            field("more", "string", &[], false),
        ];
        let mut dialogs = open(Asked { id: AskId(3), kind: AskedKind::Form, fields, ..Asked::default() });
        assert_eq!(write(&mut dialogs, ""), KeyEffect::Shown);
        assert!(matches!(write(&mut dialogs, "x"), KeyEffect::Next { .. }));
        assert!(matches!(write(&mut dialogs, "7"), KeyEffect::Next { .. }));
        assert!(matches!(dialogs.press(1_000, Press::of('2')), KeyEffect::Next { .. }));
        assert!(matches!(dialogs.press(1_000, Press::of('2')), KeyEffect::Next { .. }));
        let content = r#"{"name":"x","count":7,"sure":false,"colour":"blue"}"#;
        let KeyEffect::Decided { input: OperatorInput::Rule { ruling: Ruling::Fill { content: filled }, .. }, .. } =
            write(&mut dialogs, "")
        else {
            panic!("the form is filled")
        };
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(read(&filled), read(content));
    }
}
