//! The agent's session: its conversation on the CLI's side, which outlives its processes.

use std::collections::BTreeSet;

use super::{SessionStart, derive_uuid};
use crate::agent::{Role, SessionOpen};

/// What is known about it.
#[derive(Debug, Clone, Default)]
pub(super) struct Session {
    id: Option<String>,
    /// It exists on the CLI's side: resume it.
    exists: bool,
    /// We chose its id; a session that the user named is never invented.
    ours: bool,
    model: Option<String>,
    /// The permission mode in which it works.
    permission_mode: Option<String>,
    /// The provider rejects it, and all that was tried against that was in vain.
    rejected: bool,
    /// How often the work went on in a new session.
    renewals: u32,
    /// Whom the model has answered in this run, under the settings of now.
    answered: BTreeSet<Role>,
}

impl Session {
    /// As the plan names it.
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

    /// It is known to exist on the CLI's side.
    pub(super) fn exists(&self) -> bool {
        self.exists
    }

    pub(super) fn is_ours(&self) -> bool {
        self.ours
    }

    pub(super) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    pub(super) fn permission_mode(&self) -> Option<&str> {
        self.permission_mode.as_deref()
    }

    pub(super) fn is_rejected(&self) -> bool {
        self.rejected
    }

    /// Whether the model has answered in this role, under the settings of now.
    pub(super) fn has_answered(&self, role: Role) -> bool {
        self.answered.contains(&role)
    }

    /// How a process of the agent's opens it.
    pub(super) fn open(&self) -> SessionOpen {
        match (&self.id, self.exists) {
            (Some(id), true) => SessionOpen::Resume(id.clone()),
            (Some(id), false) => SessionOpen::New(id.clone()),
            (None, _) => SessionOpen::Latest,
        }
    }

    /// The agent named its session and its model. True when either was not known before.
    pub(super) fn named(&mut self, id: &str, model: &str) -> bool {
        let news = !self.exists || self.id.as_deref() != Some(id) || self.model.is_none();
        self.exists = true;
        self.id = Some(id.to_owned());
        if !model.is_empty() {
            self.model = Some(model.to_owned());
        }
        news
    }

    /// The CLI says that it exists.
    pub(super) fn found(&mut self) {
        self.exists = true;
    }

    /// The CLI says that it does not exist.
    pub(super) fn lost(&mut self) {
        self.exists = false;
    }

    /// The agent works in this permission mode.
    pub(super) fn works_in(&mut self, mode: &str) {
        self.permission_mode = Some(mode.to_owned());
    }

    /// The model answers in this role.
    pub(super) fn answers(&mut self, role: Role) {
        self.answered.insert(role);
    }

    /// The user gave other settings: the model may be another one.
    pub(super) fn settings_changed(&mut self) {
        self.answered.clear();
    }

    /// The provider rejects it for good.
    pub(super) fn rejected(&mut self) {
        self.rejected = true;
    }

    /// A request in it was accepted.
    pub(super) fn accepted(&mut self) {
        self.rejected = false;
    }

    /// The work goes on in a new one.
    pub(super) fn renew(&mut self, seed: &str) {
        self.renewals += 1;
        self.id = Some(derive_uuid(seed, "session again", self.renewals));
        (self.exists, self.ours, self.rejected) = (false, true, false);
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
        session.found();
        session.rejected();
        session.renew("seed");
        let renewed = session.id().map(str::to_owned).expect("an id");
        assert!(renewed != "a" && !session.is_rejected(), "{renewed}");
        assert_eq!(session.open(), SessionOpen::New(renewed.clone()));
        session.renew("seed");
        assert_ne!(session.id(), Some(renewed.as_str()));

        let mut named_by_user = Session::new(&SessionStart::Resume("u".to_owned()));
        assert_eq!((named_by_user.open(), named_by_user.is_ours()), (SessionOpen::Resume("u".to_owned()), false));
        assert!(named_by_user.named("u", "m"), "its model");
        assert_eq!(Session::new(&SessionStart::Latest).open(), SessionOpen::Latest);
    }
}
