//! What the agent may do, and what is said when it may not.

use serde_json::json;

use super::harness::{Ground, Running, action, approval, bash, script, text};
use super::requests::{agents, critics, messages, user_texts};
use crate::scripted_api::{Reply, ScriptedApi};

const EDITS: [&str; 3] = ["--", "--permission-mode", "acceptEdits"];
const CHECK: &str = "sh test.sh";

fn said(text: &str) -> Reply {
    Reply::text(text)
}

/// The arguments of every start of this role.
fn launched(ended: &super::harness::Ended<'_>, role: &str) -> Vec<String> {
    let journal = ended.journal();
    let spawns = journal.iter().filter_map(|entry| action(entry, "spawn")).filter(|spawn| spawn["role"] == role);
    spawns.map(|spawn| spawn["launch"]["args"].to_string()).collect()
}

on_both! {
    fn the_checks_commands_are_allowed_to_the_agent_and_no_more(cli) {
        let ground = Ground::new();
        ground.write("test.sh", "echo ran >> ran.txt\n");
        let checks = ["sh test.sh", "test -f ran.txt && sh test.sh 'a (b)'", "sh test.sh x 2>&1 | tail -1"];
        let agent = checks.iter().map(|check| bash(check)).chain([bash("sh test.sh y > other.txt; touch z"), said("Done.")]);
        let api = ScriptedApi::start(script(agent.collect(), vec![approval()])).unwrap();
        let args: Vec<&str> =
            ["-p", "do it"].into_iter().chain(checks.iter().flat_map(|check| ["--check", check])).chain(["--", "--permission-mode", "default"]).collect();
        let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
        ended.assert_code(0);
        let denied: Vec<String> = ended.of_type("denied").iter().map(|denied| text(&denied["target"])).collect();
        assert_eq!(denied, ["sh test.sh y > other.txt; touch z"], "what is configured, exactly");
        assert_eq!(ground.read("ran.txt").lines().count(), 6, "three times by the agent, three times as checks");
        // The rules are the agent's alone, and change nothing in what is sent before the brief.
        assert!(launched(&ended, "agent")[0].contains("Bash(sh test.sh)"));
        assert!(!launched(&ended, "critic")[0].contains("Bash(sh test.sh)"));
        let requests = api.requests();
        let critic = critics(&requests)[0];
        for part in ["tools", "system"] {
            assert_eq!(critic.body[part], requests[4].body[part], "the critic's {part} differs from the agent's");
        }
        let shorter = messages(&requests[4]);
        assert_eq!(messages(critic)[..shorter.len()], shorter[..]);
    }

    fn a_check_that_no_rule_allows_is_named_at_the_start_with_what_does(cli) {
        let ground = Ground::new();
        let check = r#"sh -c 'test "$(echo a)" = a'"#;
        let run = |more: &[&str]| {
            let api = ScriptedApi::start(script(vec![bash(check), said("Done.")], vec![approval()])).unwrap();
            let args: Vec<&str> = ["-p", "do it", "--check", check, "--check", "true 2>&1 | tail -1"].into_iter().chain(EDITS).chain(more.iter().copied()).collect();
            let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
            ended.assert_code(0);
            (ended.of_type("denied").len(), ended.stderr.matches("no permission rule fits exactly this").count(), ended.stderr.clone())
        };
        let (denied, told, stderr) = run(&[]);
        assert_eq!((denied, told), (1, 1), "{stderr}");
        assert!(stderr.contains(r#"-- --allowedTools "Bash(sh -c:*)""#), "{stderr}");
        let (denied, told, stderr) = run(&["--allowedTools", "Bash(sh -c:*)"]);
        assert_eq!((denied, told), (0, 0), "{stderr}");
    }

    fn the_users_own_rules_are_kept_and_a_denial_is_stronger(cli) {
        let ground = Ground::new();
        ground.write("test.sh", "exit 0\n");
        let api = ScriptedApi::start(script(
            vec![bash(CHECK), bash("touch made.txt"), said("Done.")],
            vec![approval()],
        ))
        .unwrap();
        let args = [
            "-p", "do it", "--check", CHECK, "--",
            "--allowedTools", "Bash(touch made.txt)", "--disallowedTools", "Bash(sh test.sh)",
        ];
        let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
        ended.assert_code(0);
        let denied: Vec<String> = ended.of_type("denied").iter().map(|denied| text(&denied["target"])).collect();
        assert_eq!(denied, [CHECK]);
        assert!(ground.project().join("made.txt").exists(), "the user's own rule holds");
    }

    fn the_second_denial_is_told_at_once_with_a_rule_that_works(cli) {
        let ground = Ground::new();
        ground.user_config(&json!({"agent": {"allow_checks": false}}));
        ground.write("test.sh", "test -f ran.txt\n");
        let round = || [bash("sh test.sh --fix"), said("I could not run it.")];
        let agent = round().into_iter().chain(round()).collect();
        let api = ScriptedApi::start(script(agent, vec![])).unwrap();
        let args: Vec<&str> = ["-p", "do it", "--check", CHECK].into_iter().chain(EDITS).collect();
        let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
        ended.assert_code(5);
        assert_eq!(ended.result()["iterations"], 2, "not four stops later");
        let advice = "-- --allowedTools \"Bash(sh test.sh --fix)\"";
        let notices: Vec<String> = ended.of_type("notice").iter().map(|notice| text(&notice["text"])).collect();
        assert_eq!(notices.iter().filter(|notice| notice.contains(advice)).count(), 1, "{notices:?}");
        let reason = ended.reason();
        assert!(reason.contains("sh test.sh --fix was denied again") && reason.contains(advice), "{reason}");

        // As advised, it works, also in the same run: the command to go on with is the one that allows it.
        let go_on = text(&ended.result()["resume"]);
        assert!(go_on.starts_with("ccc resume ") && go_on.ends_with(advice), "{go_on}");
        ground.write("test.sh", "touch ran.txt\n");
        let api = ScriptedApi::start(script(vec![bash("sh test.sh --fix"), said("Done.")], vec![approval()])).unwrap();
        let resumed = Running::spawn(&ground, &mut ground.typed(&api.base_url(), &go_on)).end();
        resumed.assert_code(0);
        assert!(!resumed.stderr.contains("permissions were missing"), "{}", resumed.stderr);
        let said_again = user_texts(&agents(&api.requests())[0].body);
        assert!(said_again.iter().any(|said| said.contains("may be allowed now")), "{said_again:#?}");

        // And in a new one.
        let rule = "Bash(sh test.sh --fix)";
        let api = ScriptedApi::start(script(vec![bash("sh test.sh --fix"), said("Done.")], vec![approval()])).unwrap();
        let args = ["-p", "do it", "--check", CHECK, "--", "--permission-mode", "acceptEdits", "--allowedTools", rule];
        let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
        ended.assert_code(0);
        assert!(ended.of_type("denied").is_empty());
    }

    fn what_is_advised_after_a_denial_works_when_it_is_pasted(cli) {
        // Of each shape of command one, with the rules that are advised for it; none where no rule lets it pass. A night
        // tries a group of them, each with a script of its own, so that no rule lets another one's command pass.
        let groups: [&[(&str, &[&str])]; 3] = [
            &[
                ("sh a.sh 2>&1 | tail -5", &[r#""Bash(sh a.sh 2>&1)""#, r#""Bash(tail -5)""#]),
                ("sh b.sh; echo $?", &["'Bash(sh b.sh; echo $?)'"]),
                ("FOO=1 sh c.sh > o.txt 2>&1", &[r#""Bash(FOO=1 sh c.sh > o.txt 2>&1)""#]),
                // The last, because the directory stays changed.
                ("cd sub && sh ../d.sh | sh ../d.sh 'a|b'", &[r#""Bash(cd sub && sh ../d.sh)""#, r#""Bash(sh ../d.sh 'a|b')""#]),
            ],
            &[
                ("sh e.sh 'f(a)' --odd '(b c)'", &[r#""Bash(sh e.sh:*)""#]),
                ("sh f.sh \"$HOME\" a\\b $(echo a)", &[r#"'Bash(sh f.sh "$HOME" a\\b $\(echo a\))'"#]),
                ("sh g.sh *.md\nsh g.sh | sh g.sh b", &[r#""Bash(sh g.sh:*)""#, r#""Bash(sh g.sh)""#, r#""Bash(sh g.sh b)""#]),
                ("python3 - <<'EOF'\nopen('h.ran', 'a')\nEOF", &[r#""Bash(python3 -:*)""#]),
            ],
            &[("sh - <<EOF\nsh i.sh\nEOF", &[]), ("(sh j.sh)", &[]), ("{ sh k.sh; } | tail -1", &[])],
        ];
        let mut letters = 'a'..;
        for group in groups {
            let ground = Ground::new();
            ground.user_config(&json!({"agent": {"allow_checks": false}}));
            ground.write("sub/x", "");
            let ran: Vec<String> = group.iter().zip(&mut letters).map(|(_, letter)| format!("{letter}.ran")).collect();
            for name in &ran {
                let name = &name[..1];
                ground.write(&format!("{name}.sh"), &format!("touch \"$(dirname \"$0\")/{name}.ran\"\n"));
            }
            let check = ran.iter().map(|name| format!("test -f {name}")).collect::<Vec<_>>().join(" && ");
            let tried = || group.iter().map(|(command, _)| bash(command));
            let round = || tried().chain([said("I could not run it.")]);
            let api = ScriptedApi::start(script(round().chain(round()).collect(), vec![])).unwrap();
            let args: Vec<&str> = ["-p", "do it", "--check", &check].into_iter().chain(EDITS).collect();
            let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
            ended.assert_code(5);
            let denied = ended.of_type("denied").len();
            assert_eq!(denied, 2 * group.len(), "each is denied, in each round");
            let go_on = text(&ended.result()["resume"]);
            assert!(!go_on.contains(['\n', '⏎']), "{go_on}");
            let rules: Vec<&str> = group.iter().flat_map(|(_, rules)| rules.iter().copied()).collect();
            let go_on = if rules.is_empty() {
                let reason = ended.reason();
                assert!(go_on.ends_with(" -p \"TEXT\""), "{go_on}");
                assert!(reason.contains("no permission rule fits this command"), "{reason}");
                let line = reason.rsplit("in a container: ").next().unwrap();
                assert!(line.ends_with(" -- --allowedTools Bash"), "{line}");
                line.to_owned()
            } else {
                let mut advised = go_on.split_once(" -- --allowedTools").expect("the rules are advised").1.to_owned();
                for rule in rules {
                    let rule = format!(" {rule}");
                    assert!(advised.contains(&rule), "{rule}: {go_on}");
                    advised = advised.replacen(&rule, "", 1);
                }
                assert_eq!(advised, "", "and no more: {go_on}");
                go_on
            };
            let agent = tried().chain([said("Done.")]).collect();
            let api = ScriptedApi::start(script(agent, vec![approval()])).unwrap();
            let resumed = Running::spawn(&ground, &mut ground.typed(&api.base_url(), &go_on)).end();
            resumed.assert_code(0);
            assert!(!resumed.stderr.contains("permissions were missing"), "{go_on}: {}", resumed.stderr);
        }
    }

    fn plan_mode_is_refused_before_anything_starts(cli) {
        let ground = Ground::new();
        let api = ScriptedApi::start(script(vec![said("A plan.")], vec![approval()])).unwrap();
        let args = ["-p", "do it", "--", "--permission-mode", "plan"];
        let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
        ended.assert_code(2);
        assert!(ended.stderr.contains("--permission-mode acceptEdits"), "{}", ended.stderr);
        ground.user_settings(&json!({"permissions": {"defaultMode": "plan"}}));
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(2);
        assert!(ended.stderr.contains("permissions.defaultMode"), "{}", ended.stderr);
        assert!(ground.runs().is_empty() && api.requests().is_empty());
        // A mode on the command line is stronger than the settings.
        let args: Vec<&str> = ["-p", "do it"].into_iter().chain(EDITS).collect();
        ground.supervise(&api.base_url(), &cli.path, &args).end().assert_code(0);
    }

    fn plan_mode_that_the_agent_went_into_is_left_again(cli) {
        let ground = Ground::new();
        let enter = Reply::tool("EnterPlanMode", json!({}));
        let write = Reply::tool("Write", json!({"file_path": ground.project().join("a.txt"), "content": "a\n"}));
        let api = ScriptedApi::start(script(
            vec![enter, said("My plan is to write a.txt."), write, said("Done.")],
            vec![said("Write it."), approval()],
        ))
        .unwrap();
        let args: Vec<&str> =
            ["-p", "do it"].into_iter().chain(EDITS).chain(["--permission-prompt-tool", "stdio"]).collect();
        let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
        ended.assert_code(0);
        assert_eq!(ground.read("a.txt"), "a\n");
        assert!(ended.decisions().iter().any(|decision| decision.starts_with("leave plan mode")));
        assert!(user_texts(&agents(&api.requests())[2].body).iter().any(|said| said == "Write it."));
    }
}
