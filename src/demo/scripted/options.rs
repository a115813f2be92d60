//! Reads the command line. The options are those of the real CLI (both versions), so that an unknown option is refused in the
//! same way.

/// The imitated version of the CLI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum CliVersion {
    /// 2.1.197.
    V197,
    /// 2.1.332.
    #[default]
    V332,
}

impl CliVersion {
    /// The version in the CLI's form.
    #[must_use]
    pub fn number(self) -> &'static str {
        match self {
            CliVersion::V197 => "2.1.197",
            CliVersion::V332 => "2.1.332",
        }
    }

    /// The version with this number; the newest for any other number.
    #[must_use]
    pub fn of(number: &str) -> CliVersion {
        if number == CliVersion::V197.number() { CliVersion::V197 } else { CliVersion::V332 }
    }

    pub(super) fn default_model(self) -> &'static str {
        match self {
            CliVersion::V197 => "claude-opus-4-8[1m]",
            CliVersion::V332 => "claude-opus-5-5",
        }
    }
}

/// How the session is opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Open {
    /// A new session; the caller chooses its id.
    #[default]
    Unnamed,
    /// A new session with this id.
    New(String),
    /// Continues this session.
    Resume(String),
    /// Continues the directory's latest session.
    Latest,
    /// A copy of this session.
    Fork(String),
}

/// The options of the command line and the environment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// How the session is opened.
    pub open: Open,
    /// The id of a new or forked session; the machine's caller chooses it if the command line has none.
    pub session_id: String,
    /// Whether the session is kept without a transcript.
    pub ephemeral: bool,
    /// The requested model.
    pub model: Option<String>,
    /// Whether partial messages are written.
    pub partial: bool,
    /// Whether user messages are replayed.
    pub replay: bool,
    /// The permission mode.
    pub permission_mode: String,
    /// Additionally allowed tools.
    pub allowed_tools: Vec<String>,
    /// Whether session states are written (a variable of the environment switches them on).
    pub session_states: bool,
    /// Whether permissions are asked for over the protocol.
    pub asks: bool,
    /// The working directory.
    pub cwd: String,
    /// The process's uuids derive from this, so it must differ between two processes.
    pub nonce: String,
    /// The imitated version.
    pub version: CliVersion,
    /// The prompt on the command line.
    pub prompt: Option<String>,
}

/// The result of reading the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// Run the agent.
    Run(Box<Options>),
    /// Print this to stdout and exit with 0.
    Tell(String),
    /// Print this to stderr and exit with 1.
    Refuse(String),
}

/// Options without a value.
const FLAGS: &[&str] = &[
    "-p",
    "--print",
    "--verbose",
    "--include-partial-messages",
    "--replay-user-messages",
    "--fork-session",
    "--no-session-persistence",
    "-c",
    "--continue",
    "--include-hook-events",
    "--bare",
    "--safe-mode",
    "--dangerously-skip-permissions",
    "--allow-dangerously-skip-permissions",
    "--disable-slash-commands",
    "--strict-mcp-config",
    "--exclude-dynamic-system-prompt-sections",
    "--ide",
    "--restricted",
    "--forward-subagent-text",
];
/// Options with one value.
const VALUED: &[&str] = &[
    "--input-format",
    "--output-format",
    "--session-id",
    "-r",
    "--resume",
    "--model",
    "--permission-mode",
    "--settings",
    "--setting-sources",
    "--system-prompt",
    "--system-prompt-file",
    "--append-system-prompt",
    "--append-system-prompt-file",
    "--system-prompt-snapshot",
    "--max-turns",
    "--max-budget-usd",
    "--fallback-model",
    "--effort",
    "--permission-prompt-tool",
    "--permission-prompts",
    "--json-schema",
    "--agents",
    "--agent",
    "--autocompact",
    "-n",
    "--name",
    "--plugin-dir",
];
/// Options with any number of values.
const VARIADIC: &[&str] = &[
    "--allowedTools",
    "--allowed-tools",
    "--disallowedTools",
    "--disallowed-tools",
    "--tools",
    "--mcp-config",
    "--add-dir",
    "--betas",
    "--file",
];

impl Options {
    /// Reads the arguments after the program's name.
    #[must_use]
    pub fn parse(args: &[String], version: CliVersion) -> Parsed {
        let mut options = Options { version, permission_mode: "default".to_owned(), ..Options::default() };
        let (mut fork, mut session_id, mut resume, mut latest) = (false, None, None, false);
        let mut rest = args.iter().peekable();
        while let Some(arg) = rest.next() {
            let (name, inline) = match arg.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                Some(_) | None => (arg.as_str(), None),
            };
            match name {
                "-v" | "--version" => return Parsed::Tell(format!("{} (Claude Code)", version.number())),
                "-h" | "--help" => return Parsed::Tell(help(version)),
                "--" => {
                    options.prompt = rest.next().cloned();
                    break;
                }
                flag if FLAGS.contains(&flag) => match flag {
                    "--include-partial-messages" => options.partial = true,
                    "--replay-user-messages" => options.replay = true,
                    "--fork-session" => fork = true,
                    "--no-session-persistence" => options.ephemeral = true,
                    "-c" | "--continue" => latest = true,
                    "--dangerously-skip-permissions" => options.permission_mode = "bypassPermissions".to_owned(),
                    _ => {}
                },
                valued if VALUED.contains(&valued) => {
                    let Some(value) = inline.or_else(|| rest.next().cloned()) else {
                        return Parsed::Refuse(format!("error: option '{valued} <value>' argument missing"));
                    };
                    match valued {
                        "--session-id" => session_id = Some(value),
                        "-r" | "--resume" => resume = Some(value),
                        "--model" => options.model = Some(value),
                        "--permission-mode" => options.permission_mode = value,
                        "--permission-prompt-tool" => options.asks = value == "stdio",
                        _ => {}
                    }
                }
                variadic if VARIADIC.contains(&variadic) => {
                    let mut values: Vec<String> = inline.into_iter().collect();
                    while let Some(value) = rest.next_if(|next| !next.starts_with('-')) {
                        values.push(value.clone());
                    }
                    if matches!(variadic, "--allowedTools" | "--allowed-tools") {
                        options.allowed_tools.extend(values.iter().flat_map(|value| split_tools(value)));
                    }
                }
                unknown if unknown.starts_with('-') && unknown.len() > 1 => {
                    return Parsed::Refuse(format!("error: unknown option '{name}'"));
                }
                prompt => options.prompt = Some(prompt.to_owned()),
            }
        }
        if let Some(id) = session_id.iter().chain(&resume).find(|id| !is_uuid(id)) {
            return Parsed::Refuse(if session_id.as_ref() == Some(id) {
                "Error: Invalid session ID. Must be a valid UUID.".to_owned()
            } else {
                format!(
                    "Error: --resume requires a valid session ID or session title when used with --print. Usage: claude -p \
                     --resume <session-id|title>. Provided value \"{id}\" is not a UUID and does not match any session title."
                )
            });
        }
        options.open = match (resume, latest, fork) {
            (Some(id), _, true) => Open::Fork(id),
            (Some(id), _, false) => Open::Resume(id),
            (None, true, _) => Open::Latest,
            (None, false, _) => session_id.clone().map_or(Open::Unnamed, Open::New),
        };
        options.session_id = session_id.unwrap_or_default();
        Parsed::Run(Box::new(options))
    }
}

/// Splits a list such as `Bash(git log:*),Read Edit` into patterns. Commas and spaces inside parentheses do not split.
fn split_tools(list: &str) -> Vec<String> {
    let (mut patterns, mut pattern, mut depth) = (Vec::new(), String::new(), 0u32);
    for c in list.chars() {
        match c {
            ',' | ' ' if depth == 0 => patterns.push(std::mem::take(&mut pattern)),
            _ => {
                depth = match c {
                    '(' => depth + 1,
                    ')' => depth.saturating_sub(1),
                    _ => depth,
                };
                pattern.push(c);
            }
        }
    }
    patterns.push(pattern);
    patterns.retain(|pattern| !pattern.is_empty());
    patterns
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text
            .char_indices()
            .all(|(at, c)| if matches!(at, 8 | 13 | 18 | 23) { c == '-' } else { c.is_ascii_hexdigit() })
}

fn help(version: CliVersion) -> String {
    let newer = [
        "--system-prompt-snapshot",
        "--permission-prompts",
        "--restricted",
        "--autocompact",
        "--forward-subagent-text",
    ];
    let mut text = "Usage: claude [options] [command] [prompt]\n\nOptions:\n".to_owned();
    let known = |name: &&&str| version >= CliVersion::V332 || !newer.contains(name);
    for flag in FLAGS.iter().filter(known) {
        text.push_str(&format!("  {flag}\n"));
    }
    for valued in VALUED.iter().filter(known) {
        text.push_str(&format!("  {valued} <value>\n"));
    }
    for variadic in VARIADIC {
        text.push_str(&format!("  {variadic} <values...>\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{CliVersion, Open, Options, Parsed};

    const SID: &str = "11111111-0000-4000-8000-000000000001";

    fn parse(line: &str) -> Parsed {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&args, CliVersion::V332)
    }

    fn options(line: &str) -> Options {
        match parse(line) {
            Parsed::Run(options) => *options,
            Parsed::Tell(text) | Parsed::Refuse(text) => panic!("{line}: {text}"),
        }
    }

    #[test]
    fn the_ways_to_open_a_session() {
        let base = "-p --input-format stream-json --output-format stream-json --verbose --include-partial-messages";
        assert_eq!(options(base).open, Open::Unnamed);
        assert_eq!(options(&format!("{base} --session-id {SID}")).open, Open::New(SID.to_owned()));
        assert_eq!(options(&format!("{base} --resume {SID}")).open, Open::Resume(SID.to_owned()));
        assert_eq!(options(&format!("{base} --resume={SID}")).open, Open::Resume(SID.to_owned()));
        assert_eq!(options(&format!("{base} -c")).open, Open::Latest);
        let critic = options(&format!(
            "{base} --resume {SID} --fork-session --no-session-persistence --permission-mode dontAsk"
        ));
        assert_eq!(
            (critic.open, critic.ephemeral, critic.permission_mode.as_str()),
            (Open::Fork(SID.to_owned()), true, "dontAsk")
        );
    }

    #[test]
    fn allowed_tools_keep_their_patterns_whole() {
        let args: Vec<String> =
            ["--allowedTools", "Bash(cargo test:*),Read", "Edit", "--model", "m"].map(str::to_owned).to_vec();
        let Parsed::Run(options) = Options::parse(&args, CliVersion::V332) else { panic!("refused") };
        assert_eq!(options.allowed_tools, ["Bash(cargo test:*)", "Read", "Edit"]);
        assert_eq!(options.model.as_deref(), Some("m"));
    }

    #[test]
    fn what_the_real_cli_refuses_is_refused_in_its_words() {
        assert_eq!(parse("--no-such-option"), Parsed::Refuse("error: unknown option '--no-such-option'".to_owned()));
        assert!(matches!(parse("--model"), Parsed::Refuse(why) if why.contains("argument missing")));
        assert!(matches!(parse("--resume hello"), Parsed::Refuse(why) if why.contains("\"hello\" is not a UUID")));
        assert_eq!(parse("--version"), Parsed::Tell("2.1.332 (Claude Code)".to_owned()));
    }
}
