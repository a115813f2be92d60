//! Merges the layers of configuration and records each value's origin.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::decode::decode_one;
use super::file::rebase;
use super::prompt::NamedPrompt;
use super::providers::PROVIDER_KEYS;
use super::setting::Overlay;
use super::{
    ConfigError, Consents, Dirs, Env, FileFault, FromProject, Glob, KEYS, Key, Layer, Origin, Project, Providers,
    Settings, TokenEntry, UnknownKey, Wish, load_file,
};
use crate::order::map_of;

/// A part of the configuration that has no effect. It stops nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// A key in the older ccc's file that neither version knows.
    #[error("{}: unknown key `{key}` is ignored", file.display())]
    UnknownKey {
        /// The file.
        file: PathBuf,
        /// The key with its path.
        key: String,
    },
    /// An unknown `CCC_…` variable whose name resembles a known one.
    #[error("the environment variable {name} has no effect; did you mean {nearest}?")]
    UnknownVariable {
        /// Its name.
        name: String,
        /// The most similar known variable.
        nearest: &'static str,
    },
}

/// The settings from the command line.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Flags {
    /// The options.
    pub layer: Layer,
    /// The arguments after `--`; they follow those of `agent.args`.
    pub agent_args: Vec<String>,
}

/// Settings with the origin of each value.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The settings.
    pub settings: Settings,
    /// The origin of each key's value, in the order of [`KEYS`].
    pub origins: Vec<(&'static Key, Origin)>,
    /// The files that were read, the strongest first.
    pub files: Vec<PathBuf>,
    /// Parts of the configuration that have no effect.
    pub warnings: Vec<Warning>,
    /// The critic's prompt file, if one is named.
    pub named_prompt: Option<NamedPrompt>,
    /// Settings of the project's file to which the user has agreed.
    pub agreed: Vec<Wish>,
    /// Settings of the project's file to which the user has not agreed. They are not part of `settings`.
    pub not_agreed: Vec<Wish>,
}

impl Resolved {
    /// The origin of a key's value.
    #[must_use]
    pub fn origin(&self, path: &str) -> Origin {
        self.origins.iter().find(|(key, _)| key.path == path).map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// Each key with its value as JSON and its origin. The value `null` means that nothing is set and there is no
    /// default.
    #[must_use]
    pub fn rows(&self) -> Vec<(&'static Key, Value, &Origin)> {
        let all = serde_json::to_value(&self.settings).unwrap_or_default();
        self.origins
            .iter()
            .map(|(key, origin)| {
                let value = all.pointer(&key.pointer()).cloned().unwrap_or_default();
                (*key, value, origin)
            })
            .collect()
    }
}

/// Keys of the older ccc in `~/.claude/ccc.json` that this one ignores.
const OLDER_KEYS: [&str; 1] = ["supervisor"];

/// One layer and its source.
struct SourcedLayer {
    layer: Layer,
    who: LayerSource,
    of_project: bool,
}

enum LayerSource {
    Flags,
    Variables,
    File(PathBuf),
}

impl LayerSource {
    fn origin(&self, key: &Key) -> Origin {
        match self {
            LayerSource::Flags => key.flag.map_or(Origin::Default, Origin::Flag),
            LayerSource::Variables => key.variable.map_or(Origin::Default, Origin::Variable),
            LayerSource::File(path) => Origin::File(path.clone()),
        }
    }
}

/// Reads all layers and resolves every key. `consents` holds the project's settings to which the user has agreed.
/// Other settings that need agreement are ignored and listed in [`Resolved::not_agreed`]. A setting that a flag or a
/// variable overrides needs no agreement.
///
/// # Errors
/// When a file or a variable is invalid, or a value makes no sense.
pub fn resolve(
    dirs: &Dirs,
    project: &Project,
    env: &Env,
    consents: &Consents,
    flags: Flags,
) -> Result<Resolved, ConfigError> {
    let mut warnings = unknown_variables(env);
    let mut flag_layer = flags.layer;
    rebase(&mut flag_layer, &project.cwd, &dirs.home);
    let mut variables = from_variables(env)?;
    rebase(&mut variables, &project.cwd, &dirs.home);
    let mut voices = vec![
        SourcedLayer::of_user(flag_layer, LayerSource::Flags),
        SourcedLayer::of_user(variables, LayerSource::Variables),
    ];
    let (mut files, mut agreed, mut not_agreed) = (Vec::new(), Vec::new(), Vec::new());
    for path in files_of(dirs, project) {
        let Some(file) = load_file(&path, &dirs.home)? else {
            continue;
        };
        let older = path == dirs.claude_config_file();
        warnings.extend(judge_unknown(&path, file.unknown, older)?);
        files.push(path.clone());
        let (mut layer, of_project) = (file.layer, !is_users(&path, dirs));
        if of_project {
            let wishes = wishes(&file.written, &path, project, &voices);
            let (covered, rest): (Vec<Wish>, Vec<Wish>) = wishes.into_iter().partition(|wish| consents.cover(wish));
            mark(&mut layer);
            agreed.extend(covered);
            not_agreed.extend(rest);
        }
        if let Some(providers) = layer.providers.as_mut().filter(|_| older) {
            providers.take_beside_for_settings();
        }
        voices.push(SourcedLayer { layer, who: LayerSource::File(path), of_project });
    }
    let settled = |voices: &[SourcedLayer]| {
        let mut origins = Vec::new();
        (settle(voices, flags.agent_args.clone(), &mut origins), origins)
    };
    let (settings, origins) = settled(&voices);
    let mut resolved = Resolved { settings, origins, files, warnings, named_prompt: None, agreed, not_agreed };
    // Senseless values are reported before the user is asked to agree to them.
    check_sense(&resolved, dirs)?;
    if !resolved.not_agreed.is_empty() {
        for voice in voices.iter_mut().filter(|voice| voice.of_project) {
            resolved.not_agreed.iter().for_each(|wish| forget(&mut voice.layer, &wish.key));
            mark(&mut voice.layer);
        }
        (resolved.settings, resolved.origins) = settled(&voices);
    }
    resolved.named_prompt = resolved.settings.critic.prompt_file.clone().map(PathBuf::from).map(|path| {
        let chosen_by_project = !users_own(&resolved.origin("critic.prompt_file"), dirs);
        NamedPrompt { path, within: chosen_by_project.then(|| project.root().to_owned()) }
    });
    Ok(resolved)
}

impl SourcedLayer {
    fn of_user(layer: Layer, who: LayerSource) -> Self {
        Self { layer, who, of_project: false }
    }
}

/// Settings of a project's file that need the user's agreement and that no stronger layer overrides. Its tokens are
/// always included, because they are added to the user's.
fn wishes(written: &Layer, file: &Path, project: &Project, above: &[SourcedLayer]) -> Vec<Wish> {
    let said = values_of(written);
    let above: Vec<Value> = above.iter().map(|voice| values_of(&voice.layer)).collect();
    let wished = KEYS.iter().filter_map(|key| {
        let effect = match key.from_project {
            FromProject::NeedsConsent(effect) => effect,
            FromProject::Free | FromProject::Never(_) => return None,
        };
        let value = said.pointer(&key.pointer()).filter(|value| !asks_nothing(value))?;
        let overruled = key.path != "tokens" && above.iter().any(|said| has(said, key));
        (!overruled).then(|| Wish::new(project.root(), file, key.path, effect, value))
    });
    wished.collect()
}

/// An empty list, as `ccc init` writes it, requests nothing.
fn asks_nothing(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

/// Removes a key from a layer.
fn forget(layer: &mut Layer, path: &str) {
    let Ok(mut said) = serde_json::to_value(&*layer) else { return *layer = Layer::default() };
    let pointer = format!("/{}", path.replace('.', "/"));
    if let Some(value) = said.pointer_mut(&pointer) {
        *value = Value::Null;
    }
    *layer = serde_json::from_value(said).unwrap_or_default();
}

/// Marks the tokens of a project's layer as the project's.
fn mark(layer: &mut Layer) {
    for entry in layer.tokens.iter_mut().flatten() {
        entry.of_project = true;
    }
}

/// The tokens of all layers: those of the user's strongest layer, then the project's.
fn tokens(voices: &[SourcedLayer]) -> Vec<TokenEntry> {
    let users = voices.iter().filter(|voice| !voice.of_project).find_map(|voice| voice.layer.tokens.clone());
    let projects = voices.iter().filter(|voice| voice.of_project).find_map(|voice| voice.layer.tokens.clone());
    users.into_iter().chain(projects).flatten().collect()
}

/// The protected files of all layers: those of the user's strongest layer, and the project's, which takes none away.
fn protect(voices: &[SourcedLayer]) -> Vec<Glob> {
    let users = voices.iter().filter(|voice| !voice.of_project).find_map(|voice| voice.layer.protect.clone());
    let projects = voices.iter().filter(|voice| voice.of_project).find_map(|voice| voice.layer.protect.clone());
    let mut all: Vec<Glob> = Vec::new();
    for glob in users.into_iter().chain(projects).flatten() {
        if !all.contains(&glob) {
            all.push(glob);
        }
    }
    all
}

/// The providers of all layers; of two with the same name the one in the stronger layer counts.
fn providers(voices: &[SourcedLayer]) -> Providers {
    let all = voices.iter().rev().filter_map(|voice| voice.layer.providers.clone());
    Providers(map_of(all.flat_map(|providers| providers.0)))
}

/// An unknown key is an error, because a misspelt bound would have no effect. The older ccc's file also holds
/// settings of another program, so there a key that resembles none of ccc's only yields a warning.
fn judge_unknown(file: &Path, unknown: Vec<UnknownKey>, older: bool) -> Result<Vec<Warning>, ConfigError> {
    let mut warnings = Vec::new();
    for UnknownKey { key, position } in unknown {
        let of_provider = key.starts_with("providers.");
        if older && (of_provider || OLDER_KEYS.contains(&key.as_str())) {
            continue;
        }
        let nearest = if of_provider {
            nearest(&key, PROVIDER_KEYS.into_iter())
        } else {
            nearest(&key, KEYS.iter().map(|key| key.path))
        };
        if !older || nearest.is_some() {
            let fault = FileFault::Unknown { key, position, nearest };
            return Err(ConfigError::File { path: file.to_owned(), fault });
        }
        warnings.push(Warning::UnknownKey { file: file.to_owned(), key });
    }
    Ok(warnings)
}

/// The configuration files that are used, whether they exist or not, the strongest first. Of the project's two
/// locations the first with a file counts.
#[must_use]
pub fn files_of(dirs: &Dirs, project: &Project) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    let candidates: Vec<PathBuf> = project.places().map(|place| place.join(".ccc.json")).collect();
    files.extend(candidates.iter().find(|file| file.exists()).or(candidates.last()).cloned());
    files.push(dirs.config_file());
    // `CCC_CONFIG_DIR=~/.claude` makes them the same.
    if !files.contains(&dirs.claude_config_file()) {
        files.push(dirs.claude_config_file());
    }
    files
}

fn from_variables(env: &Env) -> Result<Layer, ConfigError> {
    let mut layer = Layer::default();
    for key in KEYS.iter() {
        let Some(name) = key.variable else { continue };
        let Some(raw) = env.get(name) else { continue };
        let fault = |message: String| ConfigError::Variable { name, key: key.path, message };
        let text = raw.to_str().ok_or_else(|| fault("it is not valid UTF-8".to_owned()))?;
        let one = decode_one(key.path, key.variable_value(text)).map_err(fault)?;
        layer = overlay(layer, one);
    }
    Ok(layer)
}

/// The values of `over`, and those of `under` for keys that `over` does not set.
#[must_use]
pub fn overlay(under: Layer, over: Layer) -> Layer {
    over.over(under)
}

/// Takes each value from the strongest layer that sets it, and records which layer that was.
fn settle(voices: &[SourcedLayer], after_dashes: Vec<String>, origins: &mut Vec<(&'static Key, Origin)>) -> Settings {
    let said: Vec<Value> = voices.iter().map(|voice| values_of(&voice.layer)).collect();
    for key in KEYS.iter() {
        let first = voices.iter().zip(&said).find(|(_, said)| has(said, key));
        let origin = first.map_or(Origin::Default, |(voice, _)| voice.who.origin(key));
        origins.push((key, origin));
    }
    if !after_dashes.is_empty()
        && let Some((key, origin)) = origins.iter_mut().find(|(key, _)| key.path == "agent.args")
    {
        *origin = LayerSource::Flags.origin(key);
    }
    let layer = voices.iter().rev().fold(Layer::default(), |under, voice| overlay(under, voice.layer.clone()));
    let tokens = tokens(voices);
    let mut settings = layer.settled();
    settings.agent.args.extend(after_dashes);
    let tool_timeout = settings.tool_timeout;
    settings.checks = settings.checks.into_iter().map(|check| check.with_timeout(tool_timeout)).collect();
    let setup = std::mem::take(&mut settings.worktree.setup).into_iter();
    settings.worktree.setup = setup.map(|setup| setup.with_timeout(tool_timeout)).collect();
    settings.tokens = tokens;
    settings.protect = protect(voices);
    settings.providers = providers(voices);
    settings
}

fn values_of(layer: &Layer) -> Value {
    serde_json::to_value(layer).unwrap_or_default()
}

/// Whether the layer sets this key.
fn has(said: &Value, key: &Key) -> bool {
    let value = key.path.split('.').try_fold(said, |within, name| within.get(name));
    value.is_some_and(|value| !value.is_null())
}

/// Whether the user set a value, and not the author of the project.
fn users_own(origin: &Origin, dirs: &Dirs) -> bool {
    match origin {
        Origin::Default | Origin::Variable(_) | Origin::Flag(_) => true,
        Origin::File(path) => is_users(path, dirs),
    }
}

fn is_users(file: &Path, dirs: &Dirs) -> bool {
    file == dirs.config_file() || file == dirs.claude_config_file()
}

/// Rejects values of the right type that make no sense.
fn check_sense(resolved: &Resolved, dirs: &Dirs) -> Result<(), ConfigError> {
    for (key, origin) in &resolved.origins {
        if let FromProject::Never(why) = key.from_project
            && !users_own(origin, dirs)
        {
            let (variable, users_file) = (key.variable, dirs.config_file());
            return Err(ConfigError::NotTheProjects {
                key: key.path,
                origin: origin.clone(),
                why,
                variable,
                users_file,
            });
        }
    }
    let settings = &resolved.settings;
    let blank = |text: &str| text.trim().is_empty();
    let usage = &settings.usage;
    // The lower threshold is reported, unless only the upper one was set.
    let crossed = match resolved.origin("usage.warn_threshold") {
        Origin::Default => "usage.critical_threshold",
        Origin::File(_) | Origin::Variable(_) | Origin::Flag(_) => "usage.warn_threshold",
    };
    let senseless: [(&'static str, bool, &'static str); 8] = [
        ("agent.path", settings.agent.path.as_deref().is_some_and(blank), "the program's name is empty"),
        ("checks", settings.checks.iter().any(|check| blank(check.command())), "a check's command is empty"),
        (
            "worktree.setup",
            settings.worktree.setup.iter().any(|setup| blank(setup.command())),
            "a command of the setup is empty",
        ),
        ("critic.prompt_file", settings.critic.prompt_file.as_deref().is_some_and(blank), "the file's name is empty"),
        ("critic.model", settings.critic.model.as_deref().is_some_and(blank), "the model's name is empty"),
        ("usage.base_url", usage.base_url.as_deref().is_some_and(blank), "the URL is empty"),
        (
            crossed,
            usage.critical_threshold < usage.warn_threshold,
            "`usage.warn_threshold` must not be above `usage.critical_threshold`",
        ),
        ("critic.allow", settings.critic.allow.iter().any(|pattern| blank(pattern)), "a pattern is empty"),
    ];
    match senseless.into_iter().find(|(_, wrong, _)| *wrong) {
        Some((key, _, message)) => Err(ConfigError::Senseless { key, origin: resolved.origin(key), message }),
        None => Ok(()),
    }
}

/// `CCC_` variables that look like a mistyped setting. Others are ignored, because other programs may use them.
fn unknown_variables(env: &Env) -> Vec<Warning> {
    let known: Vec<&'static str> =
        KEYS.iter().filter_map(|key| key.variable).chain(super::env::OTHERS.map(|(name, _)| name)).collect();
    env.names()
        .filter_map(|name| name.to_str())
        .filter(|name| name.starts_with("CCC_") && !known.contains(name) && !is_ours(name))
        .filter_map(|name| {
            let nearest = nearest(name, known.iter().copied())?;
            Some(Warning::UnknownVariable { name: name.to_owned(), nearest })
        })
        .collect()
}

/// Whether ccc sets this variable for its agents, besides those that are listed: the mark of a process, and the ports from the
/// second on.
fn is_ours(name: &str) -> bool {
    let number = name.strip_prefix(super::env::CCC_PORT).and_then(|rest| rest.strip_prefix('_'));
    name == crate::process::SPAWN_VARIABLE || number.is_some_and(|number| number.parse::<u32>().is_ok())
}

/// The candidate most similar to `name`. A key's last part is also compared, because a right name in the wrong group
/// is the usual mistake.
fn nearest(name: &str, candidates: impl Iterator<Item = &'static str> + Clone) -> Option<&'static str> {
    const ALIKE: f64 = 0.75;
    let last = |path: &str| path.rsplit('.').next().unwrap_or(path).to_owned();
    let ratio = |a: &str, b: &str| f64::from(similar::TextDiff::from_chars(a, b).ratio());
    candidates
        .map(|candidate| {
            let whole = ratio(name, candidate);
            let part = ratio(&last(name), &last(candidate));
            (candidate, whole.max(part))
        })
        .filter(|(_, ratio)| *ratio >= ALIKE)
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
        .map(|(candidate, _)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_variable_is_named_and_the_ports_of_an_agent_are_not() {
        let given = ["CCC_SPAWN", "CCC_STATE_DRI", "CCC_PORT", "CCC_PORT_1", "CCC_PORT_22", "CCC_PORT_X", "MODEL"];
        let warnings = unknown_variables(&Env::from_pairs(given.map(|name| (name, "1"))));
        let named: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(named.len(), 2, "{named:?}");
        assert!(named[0].contains("CCC_PORT_X") && named[1].contains("CCC_STATE_DRI"), "{named:?}");
    }
}
