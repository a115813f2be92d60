//! The agent's session: its conversation on the CLI's side, which outlives its processes.

use std::collections::BTreeSet;

use super::{SessionStart, derive_uuid};
use crate::agent::{Role, SessionOpen};

/// The state of the session.
#[derive(Debug, Clone, Default)]
pub(super) struct Session {
    id: Option<String>,
    /// It exists on the CLI's side, so it is resumed.
    exists: bool,
    /// The CLI reported that it does not exist, and has not opened it since.
    missing: bool,
    /// The id of the copy in which it is continued, until the CLI has opened that.
    copy: Option<String>,
    /// A resume does not have its latest turns, and neither has a fork.
    cut: bool,
    /// ccc chose its id. A session that the user named is never created.
    ours: bool,
    model: Option<String>,
    /// The user chose the model during the run.
    model_is_chosen: bool,
    /// The permission mode in which it works.
    permission_mode: Option<String>,
    /// The permission mode that the agent reported last; it may be one in which the agent only plans.
    reported_mode: Option<String>,
    /// The permission mode that the user chose during the run, and the one chosen before.
    chosen_mode: Option<String>,
    chosen_mode_before: Option<String>,
    /// The provider rejects it, and no remedy helped.
    rejected: bool,
    /// How often a new session replaced it.
    renewals: u32,
    /// The roles that the model has answered in this run, with the current settings.
    answered: BTreeSet<Role>,
}

impl Session {
    /// The session that the plan names.
    pub(super) fn new(start: &SessionStart) -> Session {
        match start.clone() {
            SessionStart::New(id) => Session { id: Some(id), ours: true, ..Session::default() },
            SessionStart::Resume(id) => Session { id: Some(id), exists: true, ..Session::default() },
            SessionStart::Latest => Session::default(),
        }
    }

    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether it is known to exist on the CLI's side.
    pub(super) fn exists(&self) -> bool {
        self.exists
    }

    pub(super) fn is_ours(&self) -> bool {
        self.ours
    }

    pub(super) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Whether the user chose the model during the run; such a model overrides the user's arguments.
    pub(super) fn model_is_chosen(&self) -> bool {
        self.model_is_chosen
    }

    /// The user chose this model.
    pub(super) fn uses(&mut self, model: &str) {
        (self.model, self.model_is_chosen) = (Some(model.to_owned()), true);
        self.answered.clear();
    }

    pub(super) fn permission_mode(&self) -> Option<&str> {
        self.permission_mode.as_deref()
    }

    /// The permission mode that the user chose during the run; it overrides the user's arguments.
    pub(super) fn chosen_mode(&self) -> Option<&str> {
        self.chosen_mode.as_deref()
    }

    /// The user chose this permission mode.
    pub(super) fn chooses_mode(&mut self, mode: &str) {
        let before = self.chosen_mode.replace(mode.to_owned());
        self.chosen_mode_before = before;
    }

    /// The agent refused the permission mode that the user chose.
    pub(super) fn mode_is_refused(&mut self) {
        self.chosen_mode = self.chosen_mode_before.take();
    }

    /// The agent reported its permission mode. True if it was another one before.
    pub(super) fn reports_mode(&mut self, mode: &str) -> bool {
        let before = self.reported_mode.replace(mode.to_owned());
        before.is_some_and(|before| before != mode)
    }

    pub(super) fn reported_mode(&self) -> Option<&str> {
        self.reported_mode.as_deref()
    }

    /// The agent left the mode that the user chose, for example after a plan was approved.
    pub(super) fn leaves_chosen_mode(&mut self, mode: &str) {
        self.chosen_mode.take_if(|chosen| chosen != mode);
    }

    pub(super) fn is_rejected(&self) -> bool {
        self.rejected
    }

    /// Whether the model has answered in this role, with the current settings.
    pub(super) fn has_answered(&self, role: Role) -> bool {
        self.answered.contains(&role)
    }

    /// How a process of the agent opens it.
    pub(super) fn open(&self) -> SessionOpen {
        if let (Some(id), Some(copy), true) = (&self.id, &self.copy, self.exists) {
            return SessionOpen::Copy(id.clone(), copy.clone());
        }
        match (&self.id, self.exists) {
            (Some(id), true) => SessionOpen::Resume(id.clone()),
            (Some(id), false) => SessionOpen::New(id.clone()),
            (None, _) => SessionOpen::Latest,
        }
    }

    /// The agent reported its session and its model. True if either is news.
    pub(super) fn named(&mut self, id: &str, model: &str) -> bool {
        let news = !self.exists || self.id.as_deref() != Some(id) || self.model.is_none();
        (self.exists, self.missing) = (true, false);
        if self.copy.take_if(|copy| copy == id).is_some() {
            (self.ours, self.cut) = (true, false);
        }
        self.id = Some(id.to_owned());
        if !model.is_empty() {
            self.model = Some(model.to_owned());
        }
        news
    }

    /// The CLI reports that it exists.
    pub(super) fn found(&mut self) {
        self.exists = true;
        if let Some(copy) = self.copy.take() {
            (self.id, self.ours, self.cut) = (Some(copy), true, false);
        }
    }

    /// The CLI reports that it does not exist.
    pub(super) fn lost(&mut self) {
        (self.exists, self.missing) = (false, true);
        (self.copy, self.cut) = (None, false);
    }

    /// Its next process continues it in a copy.
    pub(super) fn continues_in_copy(&mut self, seed: &str, is_cut: bool) {
        if self.copy.is_none() {
            self.renewals += 1;
            self.copy = Some(derive_uuid(seed, "session again", self.renewals));
        }
        self.cut |= is_cut;
    }

    /// Whether a fork of it would not have its latest turns.
    pub(super) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Whether the CLI has reported that it does not exist. If the CLI then refuses to begin it, because a record of it exists,
    /// the session cannot be opened at all. A CLI leaves such a record if it is killed before it has written the first message
    /// (measured on 2.1.197 and 2.1.332).
    pub(super) fn is_missing(&self) -> bool {
        self.missing
    }

    /// The agent works in this permission mode.
    pub(super) fn works_in(&mut self, mode: &str) {
        self.permission_mode = Some(mode.to_owned());
    }

    /// The model answers in this role.
    pub(super) fn answers(&mut self, role: Role) {
        self.answered.insert(role);
    }

    /// The user changed the settings, perhaps the model.
    pub(super) fn settings_changed(&mut self) {
        self.answered.clear();
    }

    /// The provider rejects it permanently.
    pub(super) fn rejected(&mut self) {
        self.rejected = true;
    }

    /// A request in it was accepted.
    pub(super) fn accepted(&mut self) {
        self.rejected = false;
    }

    /// Replaces it by a new session.
    pub(super) fn renew(&mut self, seed: &str) {
        self.renewals += 1;
        self.id = Some(derive_uuid(seed, "session again", self.renewals));
        (self.exists, self.missing, self.ours, self.rejected) = (false, false, true, false);
        (self.copy, self.cut) = (None, false);
    }
}

#[cfg(test)]
mod tests {
    use super::Session;
    use crate::agent::SessionOpen;
    use crate::core::SessionStart;

    #[test]
    fn it_is_opened_as_what_is_known_of_it_tells() {
        let mut session = Session::new(&SessionStart::New("a".to_owned()));
        assert_eq!((session.open(), session.is_ours()), (SessionOpen::New("a".to_owned()), true));
        assert!(session.named("a", "m"), "it exists now");
        assert!(!session.named("a", ""), "nothing new");
        assert_eq!((session.open(), session.model()), (SessionOpen::Resume("a".to_owned()), Some("m")));
        session.lost();
        assert_eq!(session.open(), SessionOpen::New("a".to_owned()), "it was lost before it was saved");
        assert!(session.is_missing());
        session.named("a", "m");
        assert!(!session.is_missing(), "it was begun again");
        session.rejected();
        session.renew("seed");
        let renewed = session.id().map(str::to_owned).expect("an id");
        assert!(renewed != "a" && !session.is_rejected() && !session.is_missing(), "{renewed}");
        assert_eq!(session.open(), SessionOpen::New(renewed.clone()));
        session.renew("seed");
        assert_ne!(session.id(), Some(renewed.as_str()));

        let mut named_by_user = Session::new(&SessionStart::Resume("u".to_owned()));
        assert_eq!((named_by_user.open(), named_by_user.is_ours()), (SessionOpen::Resume("u".to_owned()), false));
        assert!(named_by_user.named("u", "m"), "its model");
        assert_eq!(Session::new(&SessionStart::Latest).open(), SessionOpen::Latest);
    }

    #[test]
    fn it_is_continued_in_a_copy_until_the_cli_has_opened_that() {
        let of_user = || Session::new(&SessionStart::Resume("u".to_owned()));
        let mut session = of_user();
        session.continues_in_copy("seed", true);
        let SessionOpen::Copy(from, copy) = session.open() else { panic!("{:?}", session.open()) };
        assert_eq!((from.as_str(), session.id(), session.is_cut()), ("u", Some("u"), true));
        session.continues_in_copy("seed", false);
        assert_eq!(session.open(), SessionOpen::Copy(from.clone(), copy.clone()), "the same copy, and still cut");
        assert!(session.named(&copy, "m"), "it is news");
        assert_eq!((session.open(), session.is_ours()), (SessionOpen::Resume(copy.clone()), true));
        assert!(!session.is_cut());

        // The CLI was killed before it reported the copy, and then refuses to begin it again.
        let mut session = of_user();
        session.continues_in_copy("seed", false);
        session.found();
        assert_eq!(session.open(), SessionOpen::Resume(copy.clone()));

        let mut session = of_user();
        session.continues_in_copy("seed", true);
        session.lost();
        assert_eq!((session.open(), session.is_cut()), (SessionOpen::New("u".to_owned()), false));
        session.named("u", "m");
        session.continues_in_copy("seed", true);
        session.renew("seed");
        assert!(matches!(session.open(), SessionOpen::New(id) if id != copy) && !session.is_cut());
    }
}
