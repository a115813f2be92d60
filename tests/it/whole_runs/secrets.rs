//! A token goes into its child's environment and nowhere else: least of all into an argument list, which every user of
//! the machine can read.

use serde_json::json;

use super::harness::{BRIEF, Ended, Ground, approval, bash, look_until};
use super::limits::when;
use super::onlooker::{Onlooker, Process, Sighting};
use super::requests::is_critic;
use crate::real_cli::RealCli;
use crate::scripted_api::{Recorded, Reply, Script, ScriptedApi, Times, When};

/// What is visible at the requests and in the commands of one night with these two tokens, of which the first is spent
/// after the first request.
struct Night {
    onlooker: Onlooker,
    values: [String; 2],
    header: fn(&str) -> When,
}

fn oauth_header(token: &str) -> When {
    When::header("authorization", &format!("Bearer {token}"))
}

fn key_header(key: &str) -> When {
    When::header("x-api-key", key)
}

/// Two values that stand nowhere else on the machine: other tests run beside this one.
fn values(ground: &Ground, shape: &str) -> [String; 2] {
    let unique = std::process::id().to_string()
        + &ground.home().display().to_string().replace(|c: char| !c.is_alphanumeric(), "");
    ["first", "second"].map(|which| format!("{shape}{which}{unique}"))
}

impl Night {
    fn new(ground: &Ground, values: [String; 2], header: fn(&str) -> When) -> Self {
        Self { onlooker: Onlooker::of(ground), values, header }
    }

    /// Both agents run a tool, a check is run, the critic is asked.
    fn play<'a>(&self, ground: &'a Ground, cli: &RealCli, rejection: Reply) -> Ended<'a> {
        let look = |name: &str| self.onlooker.waits_for_a_look(name);
        let agent = || When::no_user_text(BRIEF);
        let script = Script::new()
            .rule(when(agent(), Times::Once, bash(&look("first-tool"))))
            .rule(when((self.header)(&self.values[0]), Times::Forever, rejection))
            .rule(when(agent(), Times::Once, bash(&look("second-tool"))))
            .rule(when(agent(), Times::Once, Reply::text("Done.")))
            .rule(when(When::any_user_text(BRIEF), Times::Once, approval()));
        let onlooker = self.onlooker.clone();
        let (api_key, bearer) = ("x-api-key", "authorization");
        let watch = move |request: &Recorded| {
            let sent = request.headers.get(api_key).or(request.headers.get(bearer)).map_or("", String::as_str);
            let who = if is_critic(request) { "critic" } else { "agent" };
            onlooker.look(format!("{who} asks with {}", sent.trim_start_matches("Bearer ")));
        };
        let api = ScriptedApi::start_watched(script, 0, watch).unwrap();
        let check = look("check");
        let args = ["-p", "do it", "--check", &check, "--", "--dangerously-skip-permissions"];
        let running = ground.supervise(&api.base_url(), &cli.path, &args);
        for command in ["first-tool", "second-tool", "check"] {
            self.onlooker.look_at(command);
        }
        let ended = running.end();
        ended.assert_code(0);
        assert_eq!(ended.result()["rotations"], 1, "{:#?}", ended.decisions());
        self.onlooker.assert_no_secret_in_arguments(&self.values);
        self.assert_checks_have_none();
        for value in &self.values {
            assert!(!ended.stdout.contains(value) && !ended.stderr.contains(value), "{value} was said");
        }
        ended
    }

    fn assert_checks_have_none(&self) {
        let sightings = self.onlooker.sightings();
        let sighting = sightings.iter().find(|sighting| sighting.at == "check").expect("a check was seen");
        // The agent's own arguments name the check, too: it is allowed to run it.
        let of_check = |process: &&Process| {
            !process.is_ccc && process.args.contains("check.ready") && !process.args.contains("--allowedTools")
        };
        let checks: Vec<&Process> = sighting.processes.iter().filter(of_check).collect();
        assert!(!checks.is_empty(), "{:#?}", sighting.processes);
        for process in checks {
            assert!(process.credentials(&self.values).is_empty(), "a check has a credential: {}", process.args);
        }
    }

    /// Which credentials agent and critic have at the moments called so: the variable and the place among the values. The
    /// CLI may just be about to start something, as a copy of itself: so each counts once.
    fn held(&self, cli: &RealCli, at: &str) -> Vec<(String, usize)> {
        let sightings = self.onlooker.sightings().into_iter().filter(|sighting| sighting.at.contains(at));
        let mut held: Vec<_> = sightings.flat_map(|sighting| self.held_then(cli, &sighting)).collect();
        held.sort();
        held.dedup();
        assert!(!held.is_empty(), "nobody was seen at {at:?}");
        held
    }

    fn held_then(&self, cli: &RealCli, sighting: &Sighting) -> Vec<(String, usize)> {
        let is_cli = |process: &&Process| {
            let exe = std::fs::canonicalize(&cli.path).unwrap();
            process.args.starts_with(&cli.path.display().to_string())
                || process.args.starts_with(&exe.display().to_string())
        };
        let clis: Vec<&Process> = sighting.processes.iter().filter(is_cli).collect();
        assert!(!clis.is_empty(), "{}: no CLI in {:#?}", sighting.at, sighting.processes);
        clis.iter()
            .map(|process| {
                let credentials = process.credentials(&self.values);
                let [(name, value)] = credentials.as_slice() else {
                    panic!("{}: {} has {credentials:?}", sighting.at, process.args)
                };
                ((*name).to_owned(), self.values.iter().position(|known| known == value).unwrap())
            })
            .collect()
    }
}

on_both! {
    fn no_argument_list_holds_a_token_that_is_exchanged_in_the_live_process(cli) {
        let ground = Ground::new();
        let values = values(&ground, "sk-ant-oat01-");
        let ground = ground.env("ANTHROPIC_API_KEY", "").env("CLAUDE_CODE_OAUTH_TOKENS", values.join(","));
        let night = Night::new(&ground, values, oauth_header);
        night.play(&ground, cli, Reply::limit_reached("five_hour", 3_600));
        let [first, second] = [0, 1].map(|place| ("CLAUDE_CODE_OAUTH_TOKEN".to_owned(), place));
        assert_eq!(night.held(cli, "first-tool"), vec![first.clone()]);
        // The live process was given the second one by its stdin; its environment is what it was started with.
        assert_eq!(night.held(cli, "second-tool"), vec![first.clone()]);
        assert_eq!(night.held(cli, "critic asks"), [first, second]);
    }

    fn a_server_of_the_users_is_not_started_with_a_mark_in_the_place_of_its_token(cli) {
        let ground = Ground::new();
        let token = format!("ghp_{}", "a1".repeat(18));
        let (told, begun) = (ground.home().join("told"), ground.home().join("begun"));
        let server = json!({"mcpServers": {"t": {
            "command": "sh", "args": ["-c", format!("echo \"$TOK\" >> '{}'", told.display())], "env": {"TOK": token},
        }}})
        .to_string();
        let api = ScriptedApi::start(
            Script::new()
                .then(bash(&format!("echo > '{}'; sleep 600", begun.display())))
                .then(Reply::text("Done."))
                .then(approval()),
        )
        .unwrap();
        let given = ["--dangerously-skip-permissions", "--mcp-config", &server];
        let running = ground.supervise(&api.base_url(), &cli.path, &[&["-p", "do it", "--"], &given[..]].concat());
        look_until("the tool", || begun.exists().then_some(()));
        running.signal(rustix::process::Signal::KILL);
        drop(running.wait());
        let refused = ground.start(&api.base_url(), ["resume"]).wait();
        assert_eq!(refused.status.code(), Some(2), "{}", refused.stderr);
        assert!(refused.stderr.contains("-- --mcp-config VALUE"), "{}", refused.stderr);
        let again = ["resume", "--output-format", "stream-json", "--", "--mcp-config", &server];
        let ended = ground.start(&api.base_url(), again).end();
        ended.assert_code(0);
        let told = std::fs::read_to_string(told).unwrap();
        assert!(told.lines().count() > 1 && told.lines().all(|line| line == token), "{told}");
        assert_eq!(api.request_count(), 3);
    }

    fn no_argument_list_holds_a_key_that_is_exchanged_by_a_restart(cli) {
        let ground = Ground::new();
        let values = values(&ground, "sk-ant-api03-");
        let ground = ground.env("ANTHROPIC_API_KEY", "").env("ANTHROPIC_API_KEYS", values.join(","));
        let night = Night::new(&ground, values, key_header);
        let spent = Reply::Error {
            status: 429,
            error_type: "rate_limit_error".to_owned(),
            message: "Number of request tokens has exceeded your rate limit".to_owned(),
            headers: [("retry-after".to_owned(), "300".to_owned())].into(),
            limit: None,
        };
        night.play(&ground, cli, spent);
        let named = |place| ("ANTHROPIC_API_KEY".to_owned(), place);
        assert_eq!(night.held(cli, "first-tool"), [named(0)]);
        assert_eq!(night.held(cli, "second-tool"), [named(1)]);
        assert_eq!(night.held(cli, "critic asks"), [named(1)]);
    }

    fn no_argument_list_holds_a_token_that_a_command_gives(cli) {
        let ground = Ground::new();
        let values = values(&ground, "sk-ant-oat01-");
        let ground = ground.env("ANTHROPIC_API_KEY", "");
        let vaults = [0, 1].map(|at| {
            let name = format!("vault-{at}");
            std::fs::write(ground.home().join(&name), &values[at]).unwrap();
            json!({"kind": "oauth", "label": name, "command": format!("cat \"$HOME/{name}\"")})
        });
        ground.write("../home/ccc-config/ccc.json", &json!({"tokens": vaults}).to_string());
        let night = Night::new(&ground, values, oauth_header);
        night.play(&ground, cli, Reply::limit_reached("five_hour", 3_600));
        assert_eq!(night.held(cli, "first-tool"), [("CLAUDE_CODE_OAUTH_TOKEN".to_owned(), 0)]);
        assert_eq!(night.held(cli, "critic asks").last().unwrap().1, 1);
    }
}
