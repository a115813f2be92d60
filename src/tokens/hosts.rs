//! The hosts to which each provider's requests go: only those that the user has chosen.
//!
//! A token goes only to the host to which the agent itself would send it: the provider's own, or the one that the
//! user's variable or the user's own settings of the agent name. A project's file never chooses a host, because
//! cloning a repository is no consent to send a token to a host that its files name.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use super::offers::{ANTHROPIC_BASE_URL, OFFERS, Service, offer};
use super::settings_files::{SettingsPlaces, read_settings};
use crate::config::{Dirs, Env, Project, Provider};

/// The base URL of a service: `https`, or `http` on this machine.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl {
    text: String,
    host: String,
    loopback: bool,
}

/// What is wrong with a base URL. No message quotes it, because it may contain a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// It is not a URL with a host.
    #[error("is not a URL such as https://api.example.com")]
    NotAUrl,
    /// Its scheme is neither `https` nor `http`.
    #[error("does not begin with https://")]
    OtherScheme,
    /// `http` to another machine: every machine in between could read the token.
    #[error("is plain http to another machine, so that others could read the token on the way; use https")]
    PlainHttp,
    /// It contains a user name or a password.
    #[error("contains a user name or password; remove them")]
    UserInfo,
    /// It has a query or a fragment, to which no path can be appended.
    #[error("contains ? or #; give the URL without them")]
    Query,
}

/// Why no request is sent to a service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The base URL is invalid.
    #[error("{named_by} {fault}")]
    Url {
        /// The variable, key or file that names it.
        named_by: String,
        /// What is wrong.
        fault: UrlFault,
    },
    /// A file of the project names another host than the user does.
    #[error(
        "{file} sends the agent's requests to another host; a project's file must not choose where a token is checked: \
         to use that host, set {ANTHROPIC_BASE_URL} to it"
    )]
    ProjectDecides {
        /// The file.
        file: String,
    },
    /// `ANTHROPIC_BASE_URL` names another host, so the official one is not used.
    #[error(
        "requests go to {gateway} instead of Anthropic, so usage is not requested; to request it anyway, set \
         `usage.base_url` or CCC_USAGE_BASE_URL"
    )]
    Gateway {
        /// The host that is used instead.
        gateway: String,
    },
}

/// The base URLs of all services. An invalid one is an error only when it is used.
#[derive(Debug, Clone)]
pub struct Hosts {
    bases: BTreeMap<Service, Result<BaseUrl, HostError>>,
}

impl BaseUrl {
    /// Parses a base URL.
    ///
    /// # Errors
    /// When it is invalid, or the token would go over the network unencrypted.
    pub fn parse(text: &str) -> Result<Self, UrlFault> {
        let text = text.trim().trim_end_matches('/');
        if text.contains(['?', '#']) {
            return Err(UrlFault::Query);
        }
        let uri: ureq::http::Uri = text.parse().map_err(|_| UrlFault::NotAUrl)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(UrlFault::NotAUrl);
        };
        if authority.as_str().contains('@') {
            return Err(UrlFault::UserInfo);
        }
        let host = authority.host();
        if host.is_empty() {
            return Err(UrlFault::NotAUrl);
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let loopback =
            bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        match scheme {
            "https" => {}
            "http" if loopback => {}
            "http" => return Err(UrlFault::PlainHttp),
            _ => return Err(UrlFault::OtherScheme),
        }
        Ok(Self { text: text.to_owned(), host: authority.as_str().to_ascii_lowercase(), loopback })
    }

    /// The host, with its port if given.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it is this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// The URL of a path, which begins with `/`.
    #[must_use]
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }

    fn official(url: &'static str) -> Result<Self, HostError> {
        base_named(url, || "the official host".to_owned())
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A base URL with the name of its source.
pub(super) fn base_named(text: &str, named_by: impl FnOnce() -> String) -> Result<BaseUrl, HostError> {
    BaseUrl::parse(text).map_err(|fault| HostError::Url { named_by: named_by(), fault })
}

impl Hosts {
    /// The hosts that the user has chosen. `usage_base` is the setting `usage.base_url`, which no project's file can
    /// set; `managed` is the administrator's settings file of the agent's CLI.
    ///
    /// `ANTHROPIC_BASE_URL` in the agent's settings overrides the variable, as in the agent's CLI.
    #[must_use]
    pub fn read(env: &Env, dirs: &Dirs, project: &Project, managed: &Path, usage_base: Option<&str>) -> Self {
        let anthropic = anthropic(env, dirs, project, managed);
        let official = offer(Provider::Anthropic).official;
        let usage = match (usage_base, &anthropic) {
            (Some(text), _) => base_named(text, || "usage.base_url".to_owned()),
            (None, Err(error)) => Err(error.clone()),
            (None, Ok(base)) if base.text == official => BaseUrl::official(official),
            (None, Ok(base)) => Err(HostError::Gateway { gateway: base.host.clone() }),
        };
        let mut bases = BTreeMap::from([(Service::Api(Provider::Anthropic), anthropic), (Service::Usage, usage)]);
        for offer in &OFFERS {
            bases.entry(Service::Api(offer.provider)).or_insert_with(|| {
                let set = offer.base_variables.iter().find_map(|name| Some((*name, env.get(name)?)));
                set.map_or_else(
                    || BaseUrl::official(offer.official),
                    |(name, value)| base_named(&value.to_string_lossy(), || name.to_owned()),
                )
            });
        }
        Self { bases }
    }

    /// The base URL of a service.
    ///
    /// # Errors
    /// When no host is chosen, or the chosen one is invalid.
    pub fn base(&self, service: Service) -> Result<&BaseUrl, HostError> {
        match self.bases.get(&service) {
            Some(Ok(base)) => Ok(base),
            Some(Err(error)) => Err(error.clone()),
            // Every service is in the map, so this does not happen.
            None => Err(HostError::Url { named_by: "the host".to_owned(), fault: UrlFault::NotAUrl }),
        }
    }
}

/// The base URL of Anthropic's API.
fn anthropic(env: &Env, dirs: &Dirs, project: &Project, managed: &Path) -> Result<BaseUrl, HostError> {
    let users_file = dirs.claude.join("settings.json");
    let own = base_in(managed).map(|text| (managed.display().to_string(), text));
    let own = own.or_else(|| base_in(&users_file).map(|text| (users_file.display().to_string(), text)));
    let own = own.or_else(|| {
        let value = env.get(ANTHROPIC_BASE_URL)?;
        Some((ANTHROPIC_BASE_URL.to_owned(), value.to_string_lossy().into_owned()))
    });
    let meant = own.map_or_else(
        || BaseUrl::official(offer(Provider::Anthropic).official),
        |(named_by, text)| base_named(&text, || named_by),
    )?;
    let places = SettingsPlaces { dirs, cwd: &project.cwd, argument: None, sources: None, managed };
    for file in places.project_files() {
        if let Some(text) = base_in(&file)
            && BaseUrl::parse(&text).as_ref() != Ok(&meant)
        {
            return Err(HostError::ProjectDecides { file: file.display().to_string() });
        }
    }
    Ok(meant)
}

/// The base URL in a settings file of the agent. An unreadable file is ignored here: it is reported as a warning when
/// credentials are searched.
fn base_in(settings: &Path) -> Option<String> {
    let value = read_settings(settings).ok()??;
    let text = value.pointer("/env/ANTHROPIC_BASE_URL")?.as_str()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANTHROPIC: &str = "https://api.anthropic.com";

    #[test]
    fn only_https_and_this_machine_are_asked() {
        for (text, expected) in [
            ("https://api.anthropic.com", Ok("api.anthropic.com")),
            ("https://gateway.example:8443/anthropic/", Ok("gateway.example:8443")),
            ("http://127.0.0.1:8080", Ok("127.0.0.1:8080")),
            ("http://127.8.9.1", Ok("127.8.9.1")),
            ("http://[::1]:80/x", Ok("[::1]:80")),
            ("http://LocalHost:1", Ok("localhost:1")),
            ("http://api.anthropic.com", Err(UrlFault::PlainHttp)),
            ("http://192.168.1.10:4000", Err(UrlFault::PlainHttp)),
            ("http://127.0.0.1.evil.example", Err(UrlFault::PlainHttp)),
            ("http://localhost.evil.example", Err(UrlFault::PlainHttp)),
            ("http://localhost@evil.example", Err(UrlFault::UserInfo)),
            ("https://me:secret@gateway.example", Err(UrlFault::UserInfo)),
            ("ftp://gateway.example", Err(UrlFault::OtherScheme)),
            ("https://gateway.example?key=x", Err(UrlFault::Query)),
            ("gateway.example", Err(UrlFault::NotAUrl)),
            ("/v1", Err(UrlFault::NotAUrl)),
            ("", Err(UrlFault::NotAUrl)),
            ("https://", Err(UrlFault::NotAUrl)),
        ] {
            let parsed = BaseUrl::parse(text);
            assert_eq!(parsed.as_ref().map(BaseUrl::host).map_err(|fault| *fault), expected, "{text}");
        }
        let base = BaseUrl::parse("https://gateway.example/anthropic/").expect("a base");
        assert_eq!(base.join("/v1/messages"), "https://gateway.example/anthropic/v1/messages");
    }

    struct Home(tempfile::TempDir);

    impl Home {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("tempdir"))
        }

        fn write(&self, file: &str, base: &str) {
            let path = self.0.path().join(file);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
            std::fs::write(path, format!(r#"{{"env":{{"ANTHROPIC_BASE_URL":"{base}"}}}}"#)).expect("write");
        }

        fn hosts(&self, pairs: &[(&str, &str)], usage_base: Option<&str>) -> Hosts {
            let env = Env::from_pairs(pairs.iter().copied());
            let root = self.0.path();
            let dirs = Dirs::new(root, root, root, &env);
            let project = Project { cwd: root.join("project"), git_root: None };
            Hosts::read(&env, &dirs, &project, &root.join("managed.json"), usage_base)
        }
    }

    fn shown(hosts: &Hosts, service: Service) -> String {
        hosts.base(service).map_or_else(|error| format!("{error:?}"), ToString::to_string)
    }

    #[test]
    fn an_oauth_token_goes_to_the_official_host_only_when_that_is_meant() {
        const API: Service = Service::Api(Provider::Anthropic);
        let home = Home::new();
        let hosts = home.hosts(&[], None);
        assert_eq!(shown(&hosts, API), ANTHROPIC);
        assert_eq!(shown(&hosts, Service::Usage), ANTHROPIC);
        for official in [ANTHROPIC, "https://api.anthropic.com/"] {
            let hosts = home.hosts(&[(ANTHROPIC_BASE_URL, official)], None);
            assert_eq!(shown(&hosts, Service::Usage), ANTHROPIC);
        }
        let gateway = [(ANTHROPIC_BASE_URL, "https://gateway.example/a")];
        let hosts = home.hosts(&gateway, None);
        assert_eq!(shown(&hosts, API), "https://gateway.example/a");
        let error = hosts.base(Service::Usage).expect_err("withheld");
        assert_eq!(error, HostError::Gateway { gateway: "gateway.example".to_owned() });
        assert!(error.to_string().contains("usage.base_url"), "{error}");
        let hosts = home.hosts(&gateway, Some("https://usage.example"));
        assert_eq!(shown(&hosts, Service::Usage), "https://usage.example");
        let hosts = home.hosts(&[(ANTHROPIC_BASE_URL, "http://gateway.example")], None);
        assert!(shown(&hosts, API).contains("PlainHttp") && shown(&hosts, Service::Usage).contains("PlainHttp"));
    }

    #[test]
    fn the_users_settings_of_the_agent_name_a_host_and_the_projects_do_not() {
        const API: Service = Service::Api(Provider::Anthropic);
        let home = Home::new();
        home.write(".claude/settings.json", "https://gateway.example");
        let hosts = home.hosts(&[(ANTHROPIC_BASE_URL, "https://other.example")], None);
        assert_eq!(shown(&hosts, API), "https://gateway.example", "as the agent's CLI has it");
        home.write("managed.json", "https://managed.example");
        assert_eq!(shown(&home.hosts(&[], None), API), "https://managed.example");

        for file in ["project/.claude/settings.json", "project/.claude/settings.local.json"] {
            let home = Home::new();
            home.write(file, "https://evil.example");
            for service in [API, Service::Usage] {
                let error = home.hosts(&[], None).base(service).expect_err("withheld");
                assert!(matches!(error, HostError::ProjectDecides { .. }), "{error:?}");
            }
            let same = home.hosts(&[(ANTHROPIC_BASE_URL, "https://evil.example/")], None);
            assert_eq!(shown(&same, API), "https://evil.example", "the user means it as well");
        }
    }

    #[test]
    fn other_providers_have_their_own_variables() {
        let home = Home::new();
        for (variable, service) in [
            ("OPENAI_BASE_URL", Provider::OpenAi),
            ("GOOGLE_GEMINI_BASE_URL", Provider::Google),
            ("GEMINI_BASE_URL", Provider::Google),
            ("CO_API_URL", Provider::Cohere),
            ("COHERE_BASE_URL", Provider::Cohere),
        ] {
            let hosts = home.hosts(&[(variable, "https://other.example")], None);
            assert_eq!(shown(&hosts, Service::Api(service)), "https://other.example");
            let hosts = home.hosts(&[(variable, "http://other.example")], None);
            let error = hosts.base(Service::Api(service)).expect_err("plain http");
            assert!(error.to_string().starts_with(variable), "{error}");
            assert_eq!(shown(&hosts, Service::Api(Provider::Anthropic)), ANTHROPIC, "the others are as they were");
        }
    }
}
