//! What of the user's environment the processes of a run do not get: credentials to push with, and what the user has named
//! (`env.deny`). Everything goes by their environment; no configuration is written.

use std::ffi::{OsStr, OsString};
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::core::{Push, WallsPlan};
use crate::files::make_private_dir;

/// Variables that hold, or lead to, a credential for a git server.
const OF_GIT_SERVERS: &[&str] = &[
    "SSH_AUTH_SOCK",
    "SSH_ASKPASS",
    "GIT_ASKPASS",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GH_TOKEN",
    "GH_ENTERPRISE_TOKEN",
    "GITHUB_TOKEN",
    "GITHUB_ENTERPRISE_TOKEN",
    "GITLAB_TOKEN",
    "GITEA_TOKEN",
    "BITBUCKET_TOKEN",
];
/// What git starts in place of ssh. Git appends arguments, which `false` ignores.
const NO_SSH: &str =
    "echo 'ccc: this agent gets no ssh for git (setting push); the user pushes, with ccc merge --push' >&2; false";
/// The name of the variable that counts git's settings in the environment.
const COUNT: &str = "GIT_CONFIG_COUNT";
/// The most settings of the user's own that are counted.
const MOST_SETTINGS: usize = 1_000;
/// The directory of the hooks in the run's directory.
const HOOKS: &str = "git-hooks";
/// The directory in which `gh` finds no login.
const NO_LOGIN: &str = "no-login";
/// The hooks of a working tree. Those that git calls many times for each command are left out: they would be slower by a shell.
const HOOK_NAMES: &[&str] = &[
    "applypatch-msg",
    "commit-msg",
    "post-applypatch",
    "post-checkout",
    "post-commit",
    "post-merge",
    "post-rewrite",
    "pre-applypatch",
    "pre-auto-gc",
    "pre-commit",
    "pre-merge-commit",
    "pre-push",
    "pre-rebase",
    "prepare-commit-msg",
    "sendemail-validate",
];
/// Runs the repository's own hook of the same name: git uses this directory in place of the repository's, in every repository.
const CHAINED: &str = r#"
own=$(GIT_CONFIG_COUNT=COUNT git config --type=path core.hooksPath) || own=$(git rev-parse --git-common-dir)/hooks
[ "$own" != "${0%/*}" ] && [ -x "$own/${0##*/}" ] || exit 0
"#;
const PUSH_NOTHING: &str = r#"
echo "ccc: this agent may not push (setting push); the user pushes, with: ccc merge --push" >&2
exit 1
"#;
const PUSH_AGENTS_BRANCHES: &str = r#"
refs=$(cat)
while read -r _ _ remote _; do
    case $remote in
        '' | refs/heads/agent/*) ;;
        *) echo "ccc: this agent may push branches below agent/ only (setting push), not $remote" >&2; exit 1 ;;
    esac
done <<EOF
$refs
EOF
"#;

/// Names of variables that hold credentials of production systems as a rule; a star stands for any rest.
const OF_PRODUCTION: &[&str] = &[
    "ARM_CLIENT_SECRET",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_CLIENT_SECRET",
    "CARGO_REGISTRY_TOKEN",
    "CLOUDFLARE_API_KEY",
    "CLOUDFLARE_API_TOKEN",
    "DIGITALOCEAN_ACCESS_TOKEN",
    "DIGITALOCEAN_TOKEN",
    "FLY_API_TOKEN",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_CREDENTIALS",
    "HEROKU_API_KEY",
    "KUBECONFIG",
    "MYSQL_PWD",
    "NETLIFY_AUTH_TOKEN",
    "NODE_AUTH_TOKEN",
    "NPM_TOKEN",
    "PGPASSWORD",
    "PULUMI_ACCESS_TOKEN",
    "STRIPE_API_KEY",
    "STRIPE_SECRET_KEY",
    "SUPABASE_SERVICE_ROLE_KEY",
    "TF_TOKEN_*",
    "TWINE_PASSWORD",
    "VAULT_TOKEN",
    "VERCEL_TOKEN",
];
/// The schemes of the URLs of databases and queues.
const OF_DATABASES: &[&str] = &[
    "amqp",
    "amqps",
    "clickhouse",
    "cockroachdb",
    "mariadb",
    "mongodb",
    "mongodb+srv",
    "mssql",
    "mysql",
    "postgres",
    "postgresql",
    "redis",
    "rediss",
    "sqlserver",
];

type Variables = Vec<(OsString, OsString)>;

/// Changes of a process's environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Withheld {
    unset: Vec<OsString>,
    set: Variables,
    without_hooks: Option<String>,
}

impl Withheld {
    /// What the plan withholds of this environment. Makes the files that git and `gh` are led to, in the directory of the run.
    ///
    /// # Errors
    /// When these files cannot be made, and nothing else would keep branches from being pushed.
    pub fn of(plan: &WallsPlan, env: &[(OsString, OsString)], run: &Path) -> io::Result<Withheld> {
        let names = || env.iter().map(|(name, _)| name);
        let denied = |name: &&OsString| {
            // The marks of the run are ccc's.
            let name = name.to_string_lossy();
            !name.starts_with("CCC_") && plan.env_deny.iter().any(|pattern| fits(pattern, &name))
        };
        let mut withheld = Withheld { unset: names().filter(denied).cloned().collect(), ..Withheld::default() };
        if plan.push == Push::All {
            return Ok(withheld);
        }
        let own_settings = count_of(env);
        let mut settings = Vec::new();
        match make_hooks(plan.push, own_settings, run) {
            Ok(hooks) => settings.push(("core.hooksPath", hooks.into_os_string())),
            // Without credentials the hook is a second line, and a full disk must not keep the work from being done.
            Err(error) if plan.push == Push::None => withheld.without_hooks = Some(error.to_string()),
            Err(error) => return Err(error),
        }
        if plan.push == Push::None {
            let no_login = run.join(NO_LOGIN);
            // In a directory that is not there, no login is found either.
            let _ = make_private_dir(&no_login);
            withheld.unset.extend(OF_GIT_SERVERS.iter().map(OsString::from));
            // An empty value takes back all helpers before it.
            settings.push(("credential.helper", OsString::new()));
            // The key may be in the ssh agent, and then no commit could be made.
            settings.extend(["commit.gpgSign", "tag.gpgSign"].map(|key| (key, OsString::from("false"))));
            for (name, value) in [("GIT_TERMINAL_PROMPT", "0"), ("GIT_ASKPASS", "false"), ("GIT_SSH_COMMAND", NO_SSH)] {
                withheld.set.push((name.into(), value.into()));
            }
            withheld.set.push(("GH_CONFIG_DIR".into(), no_login.into_os_string()));
        }
        withheld.set.push((COUNT.into(), (own_settings + settings.len()).to_string().into()));
        for (at, (key, value)) in (own_settings..).zip(settings) {
            withheld.set.push((format!("GIT_CONFIG_KEY_{at}").into(), key.into()));
            withheld.set.push((format!("GIT_CONFIG_VALUE_{at}").into(), value));
        }
        Ok(withheld)
    }

    /// Why there are no hooks that refuse a push, if they could not be made.
    #[must_use]
    pub fn without_hooks(&self) -> Option<&str> {
        self.without_hooks.as_deref()
    }

    /// Removes the files that [`Withheld::of`] has made. What the run has started must have ended.
    pub fn remove_files(run: &Path) {
        for dir in [HOOKS, NO_LOGIN] {
            // The next start of the run makes them again.
            let _ = std::fs::remove_dir_all(run.join(dir));
        }
    }

    /// This environment without what is withheld.
    #[must_use]
    pub fn applied_to(&self, mut env: Variables) -> Variables {
        env.retain(|(name, _)| !self.unset.contains(name) && !self.set.iter().any(|(set, _)| set == name));
        env.extend(self.set.iter().cloned());
        env
    }
}

/// The names of the variables that look like credentials of production systems, and that the plan does not withhold.
#[must_use]
pub fn production_credentials(plan: &WallsPlan, env: &[(OsString, OsString)]) -> Vec<String> {
    let mut names: Vec<String> = env
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
        .filter(|(name, value)| OF_PRODUCTION.iter().any(|known| fits(known, name)) || is_remote_database(value))
        .map(|(name, _)| name)
        .filter(|name| !plan.env_deny.iter().any(|pattern| fits(pattern, name)))
        .collect();
    names.sort();
    names
}

/// Whether the name fits the pattern: a name, or the beginning of one with a star.
fn fits(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |beginning| name.starts_with(beginning))
}

/// Whether this is the URL of a database on another machine.
fn is_remote_database(value: &OsStr) -> bool {
    let Some((scheme, rest)) = value.to_str().and_then(|value| value.split_once("://")) else { return false };
    // `postgresql+asyncpg` is a driver of the same database.
    let known = |scheme: &str| OF_DATABASES.contains(&scheme);
    if !known(scheme) && !scheme.split('+').next().is_some_and(known) {
        return false;
    }
    let place = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let hosts = place.rsplit_once('@').map_or(place, |(_, hosts)| hosts);
    hosts.split(',').any(|host| !is_near(host))
}

/// Whether this host, with its port, is this machine or a container's name.
fn is_near(host: &str) -> bool {
    let bare = match host.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    !bare.contains(['.', ':'])
        || bare.starts_with("127.")
        || ["::1", "0.0.0.0", "host.docker.internal"].contains(&bare)
        || bare.ends_with(".localhost")
        || bare.ends_with(".local")
}

/// How many settings the environment gives git already.
fn count_of(env: &[(OsString, OsString)]) -> usize {
    let count = env.iter().find(|(name, _)| name == COUNT).and_then(|(_, count)| count.to_str()?.parse().ok());
    count.filter(|count| *count <= MOST_SETTINGS).unwrap_or(0)
}

/// Makes the directory of hooks.
fn make_hooks(push: Push, own_settings: usize, run: &Path) -> io::Result<PathBuf> {
    let dir = run.join(HOOKS);
    make_private_dir(&dir)?;
    let chained = CHAINED.replace("COUNT=COUNT", &format!("COUNT={own_settings}"));
    let mut same = None;
    for name in HOOK_NAMES {
        let (first, last) = match (*name, push) {
            ("pre-push", Push::None) => (PUSH_NOTHING, ""),
            ("pre-push", Push::AgentBranches) => {
                (PUSH_AGENTS_BRANCHES, "printf '%s\\n' \"$refs\" | \"$own/${0##*/}\" \"$@\"\n")
            }
            (_, Push::None | Push::AgentBranches | Push::All) => ("", "exec \"$own/${0##*/}\" \"$@\"\n"),
        };
        let file = dir.join(name);
        // Those that only call the repository's own are one file by many names, where the file system has them.
        let chains_only = first.is_empty();
        if chains_only && same.as_ref().is_some_and(|same| std::fs::hard_link(same, &file).is_ok()) {
            continue;
        }
        let text = format!("#!/bin/sh\n# Made by ccc for this run; see docs/walls.md.\n{first}{chained}{last}");
        std::fs::write(&file, text)?;
        std::fs::set_permissions(&file, Permissions::from_mode(0o700))?;
        if chains_only {
            same = Some(file);
        }
    }
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;
    use std::process::Command;

    use super::{Withheld, production_credentials};
    use crate::core::{Push, WallsPlan};

    fn variables(given: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        given.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect()
    }

    fn plan(push: Push, deny: &[&str]) -> WallsPlan {
        WallsPlan { push, env_deny: deny.iter().map(|name| (*name).to_owned()).collect(), ..WallsPlan::default() }
    }

    #[test]
    fn names_that_are_denied_are_taken_away_and_the_marks_of_the_run_are_not() {
        let run = tempfile::tempdir().unwrap();
        let env = variables(&[("AWS_REGION", "x"), ("AWS_KEY", "x"), ("HOME", "/h"), ("CCC_RUN_ID", "r")]);
        let withheld = Withheld::of(&plan(Push::All, &["AWS_*", "CCC_*"]), &env, run.path()).unwrap();
        assert_eq!(withheld.applied_to(env), variables(&[("HOME", "/h"), ("CCC_RUN_ID", "r")]));
        assert!(std::fs::read_dir(run.path()).unwrap().next().is_none(), "git needs nothing");
    }

    #[test]
    fn what_looks_like_production_is_named_unless_it_is_withheld() {
        let env = variables(&[
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("TF_TOKEN_app", "x"),
            ("NPM_TOKEN", ""),
            ("DATABASE_URL", "postgres://u:p@db.example.com:5432/shop"),
            ("QUEUE", "amqps://a,b.example.com/v"),
            ("OTHER_URL", "postgresql+asyncpg://u@db.example.com/x"),
            ("NEAR_URL", "postgres://u:p@localhost:5432/shop"),
            ("CONTAINER_URL", "mysql://u:p%40x@db/shop"),
            ("SIX", "redis://[::1]:6379"),
            ("SOCKET", "postgres:///shop"),
            ("HTTP_URL", "https://example.com"),
        ]);
        let named = |deny: &[&str]| production_credentials(&plan(Push::None, deny), &env).join(" ");
        assert_eq!(named(&[]), "AWS_SECRET_ACCESS_KEY DATABASE_URL OTHER_URL QUEUE TF_TOKEN_app");
        assert_eq!(named(&["AWS_*", "DATABASE_URL", "QUEUE", "TF_*"]), "OTHER_URL");
    }

    /// A repository with a remote, and git with what the plan withholds.
    struct Ground {
        dir: tempfile::TempDir,
        env: Vec<(OsString, OsString)>,
    }

    impl Ground {
        fn new(push: Push) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let home = dir.path().to_str().unwrap().to_owned();
            let path = crate::config::Env::of_process().get("PATH").unwrap().to_string_lossy().into_owned();
            let env = variables(&[
                ("PATH", &path),
                ("HOME", &home),
                ("SSH_AUTH_SOCK", "/agent"),
                ("GIT_CONFIG_COUNT", "2"),
                ("GIT_CONFIG_KEY_0", "user.name"),
                ("GIT_CONFIG_VALUE_0", "T"),
                ("GIT_CONFIG_KEY_1", "user.email"),
                ("GIT_CONFIG_VALUE_1", "t@example.invalid"),
            ]);
            let ground = Self { dir, env };
            for args in [&["init", "-q", "-b", "main", "work"][..], &["init", "-q", "--bare", "remote"]] {
                assert!(ground.git(".", args).0);
            }
            let work = ground.dir.path().join("work");
            assert!(ground.git("work", &["remote", "add", "origin", "../remote"]).0);
            for hook in ["pre-commit", "pre-push"] {
                ground.hook(&work.join(".git/hooks").join(hook), hook);
            }
            let run = ground.dir.path().join("run");
            std::fs::create_dir(&run).unwrap();
            let withheld = Withheld::of(&plan(push, &[]), &ground.env, &run).unwrap();
            Self { env: withheld.applied_to(ground.env.clone()), ..ground }
        }

        /// A hook of the user's, which says that it was called.
        fn hook(&self, file: &Path, says: &str) {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, format!("#!/bin/sh\necho {says} >> {}\n", self.dir.path().join("called").display()))
                .unwrap();
            std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }

        fn called(&self) -> String {
            std::fs::read_to_string(self.dir.path().join("called")).unwrap_or_default().replace('\n', " ")
        }

        fn git(&self, place: &str, args: &[&str]) -> (bool, String) {
            let dir = self.dir.path().join(place);
            let mut git = Command::new("git");
            let output = git.env_clear().envs(self.env.iter().cloned()).args(args).current_dir(dir).output().unwrap();
            (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
        }

        fn commit(&self) {
            let (done, said) = self.git("work", &["commit", "-q", "--allow-empty", "-m", "c"]);
            assert!(done, "{said}");
        }
    }

    #[test]
    fn without_leave_to_push_the_repositorys_hooks_are_run_and_a_push_is_refused_in_words() {
        let ground = Ground::new(Push::None);
        ground.commit();
        assert_eq!(ground.called(), "pre-commit ");
        let (pushed, said) = ground.git("work", &["push", "origin", "main"]);
        assert!(!pushed && said.contains("may not push") && said.contains("ccc merge --push"), "{said}");
        for remote in ["git@example.invalid:a/b", "ssh://example.invalid/a"] {
            let (fetched, said) = ground.git("work", &["fetch", remote]);
            assert!(!fetched && said.contains("gets no ssh for git"), "{said}");
        }
        assert!(ground.env.iter().all(|(name, _)| name != "SSH_AUTH_SOCK"));
    }

    #[test]
    fn no_configured_helper_gives_a_credential() {
        let ground = Ground::new(Push::None);
        let helper = ground.dir.path().join("helper");
        ground.hook(&helper, "helper");
        let helper = format!("!{}", helper.display());
        for key in ["credential.helper", "credential.https://example.invalid.helper"] {
            assert!(ground.git("work", &["config", key, &helper]).0);
        }
        let mut git = Command::new("sh");
        git.env_clear().envs(ground.env.iter().cloned()).current_dir(ground.dir.path().join("work"));
        let output = git
            .args(["-c", "printf 'protocol=https\\nhost=example.invalid\\n' | git credential fill"])
            .output()
            .unwrap();
        assert!(!output.status.success());
        assert_eq!(ground.called(), "");
    }

    #[test]
    fn branches_of_agents_are_pushed_and_others_are_refused() {
        let ground = Ground::new(Push::AgentBranches);
        ground.commit();
        let (pushed, said) = ground.git("work", &["push", "origin", "main:agent/fix"]);
        assert!(pushed, "{said}");
        let (pushed, said) = ground.git("work", &["push", "origin", "main:agent/other", "main:main"]);
        assert!(!pushed && said.contains("below agent/ only") && said.contains("refs/heads/main"), "{said}");
        assert_eq!(ground.called(), "pre-commit pre-push ");
    }

    #[test]
    fn hooks_that_a_configuration_has_elsewhere_are_found() {
        let ground = Ground::new(Push::None);
        ground.hook(&ground.dir.path().join("work/.husky/pre-commit"), "husky");
        assert!(ground.git("work", &["config", "core.hooksPath", ".husky"]).0);
        ground.commit();
        assert_eq!(ground.called(), "husky ");
    }

    #[test]
    fn hooks_that_cannot_be_made_are_missed_where_they_are_the_only_rule_and_told_where_they_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        std::fs::write(&run, "a file, in which no directory can be made").unwrap();
        let env = variables(&[("SSH_AUTH_SOCK", "/agent")]);
        let withheld = Withheld::of(&plan(Push::None, &[]), &env, &run).unwrap();
        assert!(withheld.without_hooks().is_some());
        let env_of_agent = withheld.applied_to(env.clone());
        assert!(env_of_agent.iter().all(|(name, value)| name != "SSH_AUTH_SOCK" && value != "core.hooksPath"));
        assert!(Withheld::of(&plan(Push::AgentBranches, &[]), &env, &run).is_err());
    }
}
