use super::FromProject::{Free, NeedsConsent, Never};
use super::{FromProject, env};

/// A setting: its name in files, the variable and the flag that stand over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The path in a configuration file, with dots.
    pub path: &'static str,
    /// The environment variable.
    pub variable: Option<&'static str>,
    /// The command line's option.
    pub flag: Option<&'static str>,
    /// What it may do when it stands in a file of the project.
    pub from_project: FromProject,
}

const fn key(
    path: &'static str,
    variable: Option<&'static str>,
    flag: Option<&'static str>,
    from_project: FromProject,
) -> Key {
    Key { path, variable, flag, from_project }
}

/// All settings, in the order in which they are shown. A test holds them against [`super::Layer`]'s schema.
pub const KEYS: &[Key] = &[
    key("agent.path", Some(env::CCC_AGENT), Some("--agent"), NeedsConsent("is started as the agent, with a token")),
    key("agent.args", None, Some("--"), NeedsConsent("are given to the agent, which can run programs by them")),
    key("agent.allow_checks", None, None, NeedsConsent("lets the agent run the checks without asking")),
    key("transport", Some(env::CCC_TRANSPORT), Some("--transport"), Free),
    key("checks", Some(env::CCC_CHECK), Some("--check"), NeedsConsent("are run at each stop")),
    key("tokens", None, None, NeedsConsent("are taken as credentials, after your own")),
    key("critic.prompt_file", Some(env::CCC_SUPERVISOR_PROMPT), Some("--supervisor-prompt"), Free),
    key("critic.prompt", Some(env::CCC_CRITIC_PROMPT), Some("--critic-prompt"), Free),
    key("critic.model", Some(env::CCC_CRITIC_MODEL), Some("--critic-model"), Free),
    key("critic.allow", None, None, NeedsConsent("may be run by the critic")),
    key("critic.max_failures", Some(env::CCC_CRITIC_MAX_FAILURES), None, Free),
    key("critic.timeout", Some(env::CCC_CRITIC_TIMEOUT), None, Free),
    key("budgets.max_iterations", Some(env::CCC_MAX_ITERATIONS), Some("--max-iterations"), Free),
    key("budgets.max_duration", Some(env::CCC_MAX_DURATION), Some("--max-duration"), Free),
    key("budgets.until", Some(env::CCC_UNTIL), Some("--until"), Free),
    key("budgets.max_wait", Some(env::CCC_MAX_WAIT), Some("--max-wait"), Free),
    key("budgets.max_cost_usd", Some(env::CCC_MAX_COST_USD), Some("--max-cost-usd"), Free),
    key("budgets.max_restarts", Some(env::CCC_MAX_RESTARTS), Some("--max-restarts"), Free),
    key("budgets.max_repeats", Some(env::CCC_MAX_REPEATS), None, Free),
    key("start_timeout", Some(env::CCC_START_TIMEOUT), None, Free),
    key("stall_timeout", Some(env::CCC_STALL_TIMEOUT), Some("--stall-timeout"), Free),
    key("tool_timeout", Some(env::CCC_TOOL_TIMEOUT), Some("--tool-timeout"), Free),
    key("background_timeout", Some(env::CCC_BACKGROUND_TIMEOUT), Some("--background-timeout"), Free),
    key("grace", Some(env::CCC_GRACE), None, Free),
    key("share_prompt_prefix", Some(env::CCC_SHARE_PROMPT_PREFIX), None, Free),
    key("no_wait", Some(env::CCC_NO_WAIT), Some("--no-wait"), Free),
    key("rotate_at", Some(env::CCC_ROTATE_AT), Some("--rotate-at"), Free),
    key("interactive", Some(env::CCC_INTERACTIVE), Some("--interactive"), Free),
    key("answer_timeout", Some(env::CCC_ANSWER_TIMEOUT), None, Free),
    key("usage.base_url", Some(env::CCC_USAGE_BASE_URL), None, Never(TOKENS_GO)),
    key("usage.warn_threshold", Some(env::CCC_USAGE_WARN_THRESHOLD), None, Free),
    key("usage.critical_threshold", Some(env::CCC_USAGE_CRITICAL_THRESHOLD), None, Free),
    key("hand_over", Some(env::CCC_HAND_OVER), Some("--hand-over"), Free),
    key("output_format", Some(env::CCC_OUTPUT_FORMAT), Some("--output-format"), Free),
];

/// Why a project's file cannot name a host.
const TOKENS_GO: &str = "a project's file does not decide where your tokens are sent: move it into ccc.json in your \
                         configuration directory, or set CCC_USAGE_BASE_URL";

impl Key {
    /// The key's place in a JSON value, for [`serde_json::Value::pointer`].
    #[must_use]
    pub fn pointer(&self) -> String {
        format!("/{}", self.path.replace('.', "/"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::KEYS;
    use crate::config::schema;

    /// The leaves of the schema, following references into its definitions.
    fn leaves(root: &Value, node: &Value, prefix: &str, out: &mut BTreeSet<String>) {
        let properties = node["properties"].as_object().expect("an object schema");
        for (name, child) in properties {
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            let target = child["$ref"]
                .as_str()
                .and_then(|reference| root.pointer(reference.trim_start_matches('#')))
                .filter(|target| target.get("properties").is_some());
            match target {
                Some(target) => leaves(root, target, &path, out),
                None => {
                    out.insert(path);
                }
            }
        }
    }

    #[test]
    fn every_key_of_the_schema_is_in_the_table_and_none_besides() {
        let schema = schema();
        let mut published = BTreeSet::new();
        leaves(&schema, &schema, "", &mut published);
        let known: BTreeSet<String> = KEYS.iter().map(|key| key.path.to_owned()).collect();
        assert_eq!(published, known);
    }
}
