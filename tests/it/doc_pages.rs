//! The pages of the documentation that are made of the code: settings, variables of the environment, files, exit codes.
//!
//! [`VARIABLES`] and [`FILES`] are declared here once. Tests compare the pages with the tables, look in the source for variables that
//! the tables lack, and in the directories of a run for files that they lack.

use ccc::config::env::OTHERS;
use ccc::config::{FromProject, KEYS};
use serde_json::Value;

/// A group of variables: its heading, and the variables with what they mean.
pub(crate) struct Variables {
    /// The heading.
    pub title: &'static str,
    /// Each variable, and what it is for.
    pub rows: &'static [(&'static str, &'static str)],
}

/// The variables that are neither settings nor [`OTHERS`].
pub(crate) const VARIABLES: &[Variables] = &[
    Variables {
        title: "Tokens",
        rows: &[
            (
                "ANTHROPIC_API_KEY",
                "an API key; `ANTHROPIC_API_KEYS` has several, separated by commas, `ANTHROPIC_API_KEYS_FILE` names a file with one on each line. The same endings work with every variable of a token",
            ),
            ("ANTHROPIC_AUTH_TOKEN", "a bearer token"),
            ("CLAUDE_CODE_OAUTH_TOKEN", "an OAuth token of a subscription"),
            ("OPENAI_API_KEY", "for programs of `ccc supervise`"),
            ("GEMINI_API_KEY", "for programs of `ccc supervise`"),
            ("GOOGLE_API_KEY", "the same"),
            ("COHERE_API_KEY", "for programs of `ccc supervise`"),
            ("CO_API_KEY", "the same"),
            ("ANTHROPIC_BASE_URL", "where tokens of Anthropic are sent, instead of the official host"),
            ("OPENAI_BASE_URL", "the same for OpenAI"),
            ("GEMINI_BASE_URL", "the same for Gemini"),
            ("GOOGLE_GEMINI_BASE_URL", "the same"),
            ("COHERE_BASE_URL", "the same for Cohere"),
            ("CO_API_URL", "the same"),
            ("ANTHROPIC_MODEL", "the model of a provider; see [providers](providers.md)"),
            (
                "ANTHROPIC_CUSTOM_HEADERS",
                "a credential of the agent that ccc does not manage: it is kept away from checks and critics",
            ),
            ("ANTHROPIC_FOUNDRY_API_KEY", "the same"),
            ("ANTHROPIC_IDENTITY_TOKEN", "the same"),
            ("AWS_BEARER_TOKEN_BEDROCK", "the same"),
            ("CLAUDE_CODE_OAUTH_REFRESH_TOKEN", "the same"),
            ("CLAUDE_CODE_SESSION_ACCESS_TOKEN", "the same"),
        ],
    },
    Variables {
        title: "Network",
        rows: &[
            ("HTTPS_PROXY", "the proxy for requests to providers; also in small letters"),
            ("ALL_PROXY", "the same, if `HTTPS_PROXY` is not set"),
            ("NO_PROXY", "hosts that are asked without the proxy; also in small letters"),
            ("SSL_CERT_FILE", "certificates that are trusted besides the usual ones"),
        ],
    },
    Variables {
        title: "Terminal, user and directories",
        rows: &[
            ("HOME", "your home directory"),
            ("PATH", "where the agent's CLI, git, and the commands of checks are searched"),
            ("TERM", "the terminal; `dumb` has no conversation, no dashboard and no pager"),
            (
                "TERM_PROGRAM",
                "which terminal it is, and so how a notification is shown (`notify`); `VTE_VERSION` and `KITTY_WINDOW_ID` tell it, too",
            ),
            ("VTE_VERSION", "the same"),
            ("KITTY_WINDOW_ID", "the same"),
            ("NO_COLOR", "no colours, if it is not empty"),
            (
                "PAGER",
                "shows a list that does not fit on the screen (`ccc runs`, `ccc logs`) [less -FRX]; empty or `cat`: none",
            ),
            ("TZ", "the time zone in which times are shown"),
            ("USER", "your name: for the login in the Keychain, and replaced in exported runs"),
            ("LOGNAME", "the same, if `USER` is not set"),
            ("HOSTNAME", "the name of the machine: replaced in exported runs"),
            (
                "CLAUDE_CONFIG_DIR",
                "the directory of the agent's CLI for settings, login and sessions, instead of `~/.claude`",
            ),
            ("XDG_CONFIG_HOME", "where your configuration is searched"),
            ("XDG_STATE_HOME", "where the state directory is"),
            ("XDG_RUNTIME_DIR", "where the control sockets are"),
            ("XDG_SESSION_ID", "your session, which may end runs in the background at logout"),
        ],
    },
    Variables {
        title: "What agents, checks and setup commands find",
        rows: &[
            ("CCC_SPAWN", "marks one process with all that it starts, so that nothing of it is left behind"),
            (
                "GIT_CONFIG_COUNT",
                "settings for git, unless `push` is `all`: hooks of the run, no credential helper, no signatures",
            ),
            (
                "GIT_SSH_COMMAND",
                "unless `push` lets the agent push: a command that refuses; likewise `GIT_ASKPASS`, `GH_CONFIG_DIR`",
            ),
        ],
    },
    Variables {
        title: "Where caches are that may be written behind the walls",
        rows: &[
            ("BUN_INSTALL", "bun"),
            ("CABAL_DIR", "cabal"),
            ("CARGO_HOME", "cargo"),
            ("GOMODCACHE", "go"),
            ("GRADLE_USER_HOME", "gradle"),
            ("PUB_CACHE", "dart"),
            ("TMPDIR", "temporary files"),
            ("XDG_CACHE_HOME", "many programs"),
            ("npm_config_cache", "npm"),
        ],
    },
    Variables {
        title: "Between processes of ccc",
        rows: &[
            ("CCC_CONTROL", "with `--native`: where a hook of the agent reaches its run"),
            ("CCC_HOOK_KEY", "with `--native`: what shows the run that the hook is its own"),
            ("CCC_PROGRAM", "with `--native`: the program that is the hook"),
            ("CCC_SCRIPT", "`ccc demo`: what its scripted agent does"),
            ("CCC_SCRIPTED_HOME", "`ccc demo`: where its scripted agent keeps its sessions"),
            ("CCC_SCRIPTED_SPEED", "`ccc demo`: how fast its scripted agent is"),
            ("CCC_SCRIPTED_VERSION", "`ccc demo`: the version that its scripted agent reports"),
        ],
    },
];

/// A group of files: its directory, and the files with what they are.
pub(crate) struct Files {
    /// The heading.
    pub title: &'static str,
    /// What is said of all.
    pub about: &'static str,
    /// Each file, and what it is; `*` stands for any characters, and a directory ends in `/`.
    pub rows: &'static [(&'static str, &'static str)],
}

/// The files that ccc reads and writes.
pub(crate) const FILES: &[Files] = &[
    Files {
        title: "Your configuration",
        about: "ccc writes none of these, except that `ccc init` makes the first two when you ask for it.",
        rows: &[
            (".ccc.json", "the settings of the project, in the directory of the repository"),
            ("SUPERVISOR.md", "the critic's prompt of the project; see [supervisor](supervisor.md)"),
            (
                "~/.config/ccc/ccc.json",
                "your settings, in the configuration directory of the system or `CCC_CONFIG_DIR`",
            ),
            ("~/.claude/ccc.json", "your settings, where older versions have them"),
            (".worktreeinclude", "the ignored files that a new worktree of an agent gets"),
        ],
    },
    Files {
        title: STATE,
        about: "`~/.local/state/ccc` on Linux, `~/Library/Application Support/ccc` on macOS, or `CCC_STATE_DIR`. Directories have the mode 0700, \
                files 0600. Nothing in it has to be kept: without it ccc has forgotten its runs and agreements.",
        rows: &[
            ("runs/", "a directory for each run, see below; what is being removed lies in `runs/.trash/`"),
            ("archive/", "the runs of agents that `ccc nuke` has removed"),
            ("nights/", "the lists of tasks of `ccc night`: how far each is, and its report"),
            ("names/", "the names of agents, each with the id of its run"),
            ("sessions/", "locks of the agent's sessions"),
            ("trees/", "locks of working trees"),
            ("trust/", "what you have agreed to (`ccc trust`)"),
            ("prompts/", "which critic's prompt a project's last run had"),
            ("providers/", "the provider that `ccc providers use` has chosen"),
            ("worktrees/", "the worktrees of agents, and what ccc knows of them"),
            ("ports/", "the ports that are reserved for agents"),
            ("keeper/", "the keeper's state, lock and log"),
            ("sock/", "control sockets, where the system has no directory for them"),
            ("usage/", "the usage of tokens that were asked for it, and its lock"),
            ("tokens.json", "what all runs know of each token: limits and refusals, no values"),
            ("tokens.json.*", "the same while it is written, or what could not be read"),
            ("tokens.lock", "the lock of `tokens.json`"),
            ("history.jsonl", "what you have typed in conversations"),
            ("report.html", "the last report over several runs (`ccc report --since`)"),
            ("retention.lock", "the lock of whoever removes runs"),
        ],
    },
    Files {
        title: RUN,
        about: "`runs/<id>/` in the state directory. `ccc runs prune` removes all of it, with the checkpoints of the run.",
        rows: &[
            ("run.json", "how the run stands: what `ccc runs` shows"),
            (
                "journal.jsonl",
                "every fact and every decision of the run; `ccc replay`, `explain`, `logs` and `report` read it",
            ),
            ("blobs/", "the large payloads of the journal"),
            ("lock", "the lock of the ccc that works on the run"),
            ("report.html", "the report, written at the end of the run"),
            ("control.json", "where the run's control socket is"),
            ("heartbeat.json", "when ccc was last seen at work"),
            ("processes*", "the processes that the run has started"),
            ("notify/", "news that are still to be told (`notify`)"),
            ("host.log", "what ccc wrote in the background"),
            (
                "agent-in-sandbox.json, critic-in-sandbox.json",
                "the settings that agent and critic are started with, with the sandbox of their CLI (`guard.mode = agent-sandbox`)",
            ),
            ("critic-settings.json", "the settings that the critic is started with"),
            (
                "protected/",
                "the agent's versions of protected files while a check runs, and the record of what is exchanged",
            ),
            (
                "protected-kept/",
                "the agent's versions of protected files that something else has written while a check ran",
            ),
            ("critic-tree-*/", "what a critic changes in its copy of the working tree; removed when it has ended"),
            ("git-hooks/", "the hooks that git runs for the agent: `pre-push`, and calls of the repository's own"),
            ("no-login/", "an empty directory in which the agent's `gh` finds no login"),
            ("interface-settings.json", "the settings that the agent's own interface is started with (`--native`)"),
            ("settings-*", "the settings of a provider"),
            ("agent.json", "for an agent of `ccc new`: its name, role, manager and worktree"),
            ("queued.json", "the agent waits in the queue"),
            ("kept-down.json", "the agent is not started by itself"),
            ("untold.json", "the agent's manager has not been told of its end yet"),
        ],
    },
    Files {
        title: "In the repository",
        about: "References of git, which no branch has. See [checkpoints](checkpoints.md) and [fleet](fleet.md).",
        rows: &[
            ("refs/ccc/<run>/<n>", "the checkpoints of a run; removed with the run"),
            ("refs/ccc/merge/<run>", "the result of a merge that had a conflict or failed its checks"),
            ("refs/ccc/salvage/<run>/<n>", "work of a removed agent that no branch had; only you remove it"),
        ],
    },
];

/// The heading of the state directory.
pub(crate) const STATE: &str = "The state directory";
/// The heading of a run's directory.
pub(crate) const RUN: &str = "The directory of a run";

const GENERATED: &str = "This page is generated from `tests/it/doc_pages.rs`; a test compares the two.\n";

const HEAD: &str = "# Configuration

This page is generated from the table of settings in `src/config/table.rs`; a test compares the two.

A setting is given by an option, by a variable, or by a key in a JSON file. Options override variables. Variables override,
in this order, the project's `.ccc.json`, `ccc.json` in your configuration directory, `~/.claude/ccc.json`, and the defaults.
`ccc config` shows each setting with its value and its origin, `ccc config path` the files, and `ccc config schema` their
JSON schema. A key with a dot belongs to a group: `budgets.max_duration` is
`{\"budgets\": {\"max_duration\": \"8h\"}}`.

A setting of a project's file that makes ccc run something, or do something with credentials, counts only after you have
agreed to it: [trust](trust.md).

| key | variable, option | default | in a project's file | what it does |
|---|---|---|---|---|
";

const OTHER_VARIABLES: &str = "
## Other variables

| variable | what it is |
|---|---|
";

const CODES: &str = "
## Exit codes

| code | outcome | meaning |
|---|---|---|
";

/// The page `docs/configuration.md`. `exit_codes` lists each exit code with its words and its meaning.
#[must_use]
pub(crate) fn configuration(exit_codes: &[(u8, &str, &str)]) -> String {
    let mut page = HEAD.to_owned();
    for key in KEYS.iter() {
        let code = |text: &str| format!("`{text}`");
        let option = key.flag.map(|flag| code(format!("{flag} {}", key.value_name).trim_end()));
        let back = key.taken_back_by.map(|(flag, _)| code(flag));
        let default = match (key.default(), key.otherwise) {
            (Value::Null, otherwise) => otherwise.unwrap_or("none").to_owned(),
            (value, _) => code(&value.to_string()),
        };
        let project = match key.from_project {
            FromProject::Free => "yes",
            FromProject::NeedsConsent(_) => "after `ccc trust`",
            FromProject::Never(_) => "no",
        };
        let names: Vec<String> = [key.variable.map(code), option, back].into_iter().flatten().collect();
        let names = if names.is_empty() { "–".to_owned() } else { names.join(", ") };
        page.push_str(&format!(
            "| `{}` | {names} | {default} | {project} | {} |\n",
            key.path,
            format!("{} {}", key.help, key.in_file).trim_end()
        ));
    }
    page.push_str(OTHER_VARIABLES);
    for (name, what) in OTHERS {
        page.push_str(&format!("| `{name}` | {what} |\n"));
    }
    page.push_str(CODES);
    for (code, words, meaning) in exit_codes {
        page.push_str(&format!("| {code} | {words} | {meaning} |\n"));
    }
    page
}

/// `docs/environment.md`.
#[must_use]
pub(crate) fn environment() -> String {
    let mut page =
        format!("# Environment variables\n\n{GENERATED}\nAn empty variable counts as one that is not set.\n");
    page.push_str("\n## Settings\n\nWhat each does is told in [configuration](configuration.md).\n\n| variable | setting |\n|---|---|\n");
    for key in KEYS.iter() {
        if let Some(variable) = key.variable {
            page.push_str(&format!("| `{variable}` | `{}` |\n", key.path));
        }
    }
    table(&mut page, "ccc's own", "variable", &OTHERS);
    for group in VARIABLES {
        table(&mut page, group.title, "variable", group.rows);
    }
    page
}

/// `docs/files.md`.
#[must_use]
pub(crate) fn files() -> String {
    let mut page = format!("# Files\n\n{GENERATED}");
    for group in FILES {
        let mut rows = String::new();
        table(&mut rows, group.title, "file", group.rows);
        let heading = format!("## {}\n", group.title);
        page.push_str(&rows.replacen(&heading, &format!("{heading}\n{}\n", group.about), 1));
    }
    page
}

/// `docs/exit-codes.md`, made of the exit codes with their words and meanings.
#[must_use]
pub(crate) fn exit_codes(codes: &[(u8, &str, &str)]) -> String {
    let mut page = format!(
        "# Exit codes\n\n{GENERATED}\nA run ends with the code of its outcome, also in `ccc resume`, `ccc follow` and `ccc wait`. \
         Every other command ends with 0 when it succeeded, with 1 when it failed, and with 2 when it was used wrongly.\n\n\
         | code | outcome | what it means |\n|---|---|---|\n"
    );
    for (code, words, meaning) in codes {
        page.push_str(&format!("| {code} | {words} | {meaning} |\n"));
    }
    page.push_str(
        "\n`ccc supervise` passes on the code of its command, and 128 and the signal's number for one that was ended by a signal; \
         75 says that all tokens are limited. `ccc` and `ccc PROVIDER` end with the code of the agent. `ccc replay --check` ends \
         with 1 when a decision differs, `ccc doctor` when a check failed.\n",
    );
    page
}

fn table(page: &mut String, title: &str, of: &str, rows: &[(&str, &str)]) {
    page.push_str(&format!("\n## {title}\n\n| {of} | what it is |\n|---|---|\n"));
    for (name, about) in rows {
        page.push_str(&format!("| `{name}` | {about} |\n"));
    }
}
