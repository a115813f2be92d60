//! Merges the layers of configuration, each value with its origin.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::decode::decode_one;
use super::file::rebase;
use super::prompt::NamedPrompt;
use super::setting::Overlay;
use super::{
    ConfigError, Consents, Dirs, Env, FileFault, FromProject, KEYS, Key, Layer, Origin, Project, Settings, TokenEntry,
    UnknownKey, Wish, load_file,
};

/// Something in the configuration that has no effect. It stops nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A key in the older ccc's file that neither knows.
    UnknownKey {
        /// The file.
        file: PathBuf,
        /// The key with its path.
        key: String,
    },
    /// An unknown `CCC_…` variable whose name resembles a known one.
    UnknownVariable {
        /// Its name.
        name: String,
        /// The known variable most like it.
        nearest: &'static str,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::UnknownKey { file, key } => write!(f, "{}: unknown key `{key}` is ignored", file.display()),
            Warning::UnknownVariable { name, nearest } => {
                write!(f, "the environment variable {name} means nothing; did you mean {nearest}?")
            }
        }
    }
}

/// What the command line says.
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
    /// For each key of [`KEYS`], in that order, where its value came from.
    pub origins: Vec<(&'static Key, Origin)>,
    /// The files that were read, the strongest first.
    pub files: Vec<PathBuf>,
    /// What has no effect.
    pub warnings: Vec<Warning>,
    /// The file of the critic's prompt, when one is named.
    pub named_prompt: Option<NamedPrompt>,
    /// What the project's file asks for and the user has agreed to.
    pub agreed: Vec<Wish>,
    /// What the project's file asks for and the user has not agreed to. It does not count in the settings.
    pub not_agreed: Vec<Wish>,
}

impl Resolved {
    /// Where a key's value came from.
    #[must_use]
    pub fn origin(&self, path: &str) -> Origin {
        self.origins.iter().find(|(key, _)| key.path == path).map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// Each key with its value as JSON and its origin. Without a value (`null`) nothing is set and there is no default.
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

/// Keys that the older ccc keeps in `~/.claude/ccc.json`: providers and what belongs to them.
const OLDER_KEYS: [&str; 5] = ["settings", "claude_args", "current_provider", "providers", "supervisor"];

/// One layer and who speaks in it.
struct Voice {
    layer: Layer,
    who: Who,
    of_project: bool,
}

enum Who {
    Flags,
    Variables,
    File(PathBuf),
}

impl Who {
    fn origin(&self, key: &Key) -> Origin {
        match self {
            Who::Flags => key.flag.map_or(Origin::Default, Origin::Flag),
            Who::Variables => key.variable.map_or(Origin::Default, Origin::Variable),
            Who::File(path) => Origin::File(path.clone()),
        }
    }
}

/// Reads all layers and settles every key. `consents` is what the user has agreed to of what the project's file asks for; the
/// rest of what needs agreement does not count, and stands in [`Resolved::not_agreed`]. What a flag or a variable stands over
/// needs none.
///
/// # Errors
/// When a file or a variable cannot be understood, or a value makes no sense.
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
    let mut voices = vec![Voice::of_user(flag_layer, Who::Flags), Voice::of_user(variables, Who::Variables)];
    let (mut files, mut agreed, mut not_agreed) = (Vec::new(), Vec::new(), Vec::new());
    for path in files_of(dirs, project) {
        let Some(file) = load_file(&path, &dirs.home)? else {
            continue;
        };
        warnings.extend(judge_unknown(&path, file.unknown, path == dirs.claude_config_file())?);
        files.push(path.clone());
        let (mut layer, of_project) = (file.layer, !is_users(&path, dirs));
        if of_project {
            let wishes = wishes(&file.written, &path, project, &voices);
            let (covered, rest): (Vec<Wish>, Vec<Wish>) = wishes.into_iter().partition(|wish| consents.cover(wish));
            mark(&mut layer);
            agreed.extend(covered);
            not_agreed.extend(rest);
        }
        voices.push(Voice { layer, who: Who::File(path), of_project });
    }
    let settled = |voices: &[Voice]| {
        let mut origins = Vec::new();
        (settle(voices, flags.agent_args.clone(), &mut origins), origins)
    };
    let (settings, origins) = settled(&voices);
    let mut resolved = Resolved { settings, origins, files, warnings, named_prompt: None, agreed, not_agreed };
    // What makes no sense is told before the user is asked to agree to it.
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

impl Voice {
    fn of_user(layer: Layer, who: Who) -> Self {
        Self { layer, who, of_project: false }
    }
}

/// What a project's file asks for that would count below these voices and needs the user's agreement. Its tokens always
/// count: they are added to the user's.
fn wishes(written: &Layer, file: &Path, project: &Project, above: &[Voice]) -> Vec<Wish> {
    let said = serde_json::to_value(written).unwrap_or_default();
    let wished = KEYS.iter().filter_map(|key| {
        let effect = match key.from_project {
            FromProject::NeedsConsent(effect) => effect,
            FromProject::Free | FromProject::Never(_) => return None,
        };
        let value = said.pointer(&key.pointer()).filter(|value| !asks_nothing(value))?;
        let overruled = key.path != "tokens" && above.iter().any(|voice| has(&voice.layer, key));
        (!overruled).then(|| Wish::new(project.root(), file, key.path, effect, value))
    });
    wished.collect()
}

/// An empty list, as `ccc init` writes them, asks for nothing.
fn asks_nothing(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

/// Takes a key out of a layer.
fn forget(layer: &mut Layer, path: &str) {
    let Ok(mut said) = serde_json::to_value(&*layer) else { return *layer = Layer::default() };
    let pointer = format!("/{}", path.replace('.', "/"));
    if let Some(value) = said.pointer_mut(&pointer) {
        *value = Value::Null;
    }
    *layer = serde_json::from_value(said).unwrap_or_default();
}

/// Marks the tokens of a project's layer as such.
fn mark(layer: &mut Layer) {
    for entry in layer.tokens.iter_mut().flatten() {
        entry.of_project = true;
    }
}

/// The tokens of all voices: those of the user's strongest one, and after them the project's.
fn tokens(voices: &[Voice]) -> Vec<TokenEntry> {
    let users = voices.iter().filter(|voice| !voice.of_project).find_map(|voice| voice.layer.tokens.clone());
    let projects = voices.iter().filter(|voice| voice.of_project).find_map(|voice| voice.layer.tokens.clone());
    users.into_iter().chain(projects).flatten().collect()
}

/// An unknown key is refused, because a misspelt bound would not bind. Only in the older ccc's file, which holds settings of
/// another program, a key that resembles none of ours is passed over with a warning.
fn judge_unknown(file: &Path, unknown: Vec<UnknownKey>, older: bool) -> Result<Vec<Warning>, ConfigError> {
    let mut warnings = Vec::new();
    for UnknownKey { key, position } in unknown {
        if older && OLDER_KEYS.contains(&key.as_str()) {
            continue;
        }
        let nearest = nearest(&key, KEYS.iter().map(|key| key.path));
        if !older || nearest.is_some() {
            let fault = FileFault::Unknown { key, position, nearest };
            return Err(ConfigError::File { path: file.to_owned(), fault });
        }
        warnings.push(Warning::UnknownKey { file: file.to_owned(), key });
    }
    Ok(warnings)
}

/// The configuration files that count, whether they exist or not, the strongest first. Of the project's two places
/// the first that has one counts.
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

/// `over` where it says something, else `under`.
#[must_use]
pub fn overlay(under: Layer, over: Layer) -> Layer {
    over.over(under)
}

/// Picks each value from the first voice that has one, and notes which it was.
fn settle(voices: &[Voice], after_dashes: Vec<String>, origins: &mut Vec<(&'static Key, Origin)>) -> Settings {
    for key in KEYS.iter() {
        let origin =
            voices.iter().find(|voice| has(&voice.layer, key)).map_or(Origin::Default, |voice| voice.who.origin(key));
        origins.push((key, origin));
    }
    if !after_dashes.is_empty()
        && let Some((key, origin)) = origins.iter_mut().find(|(key, _)| key.path == "agent.args")
    {
        *origin = Who::Flags.origin(key);
    }
    let layer = voices.iter().rev().fold(Layer::default(), |under, voice| overlay(under, voice.layer.clone()));
    let tokens = tokens(voices);
    let mut settings = layer.settled();
    settings.agent.args.extend(after_dashes);
    let tool_timeout = settings.tool_timeout;
    settings.checks = settings.checks.into_iter().map(|check| check.with_timeout(tool_timeout)).collect();
    settings.tokens = tokens;
    settings
}

fn has(layer: &Layer, key: &Key) -> bool {
    serde_json::to_value(layer)
        .ok()
        .and_then(|value| value.pointer(&key.pointer()).map(|value| !value.is_null()))
        .unwrap_or(false)
}

/// Whether a value was given by the user and not by the author of the project.
fn users_own(origin: &Origin, dirs: &Dirs) -> bool {
    match origin {
        Origin::Default | Origin::Variable(_) | Origin::Flag(_) => true,
        Origin::File(path) => is_users(path, dirs),
    }
}

fn is_users(file: &Path, dirs: &Dirs) -> bool {
    file == dirs.config_file() || file == dirs.claude_config_file()
}

/// Values of the right type that cannot be meant.
fn check_sense(resolved: &Resolved, dirs: &Dirs) -> Result<(), ConfigError> {
    for (key, origin) in &resolved.origins {
        if let FromProject::Never(message) = key.from_project
            && !users_own(origin, dirs)
        {
            return Err(ConfigError::Senseless { key: key.path, origin: origin.clone(), message });
        }
    }
    let settings = &resolved.settings;
    let blank = |text: &str| text.trim().is_empty();
    let usage = &settings.usage;
    // The lower key is the one to blame unless only the upper one was set.
    let crossed = match resolved.origin("usage.warn_threshold") {
        Origin::Default => "usage.critical_threshold",
        Origin::File(_) | Origin::Variable(_) | Origin::Flag(_) => "usage.warn_threshold",
    };
    let senseless: [(&'static str, bool, &'static str); 7] = [
        ("agent.path", settings.agent.path.as_deref().is_some_and(blank), "the program's name is empty"),
        ("checks", settings.checks.iter().any(|check| blank(check.command())), "a check's command is empty"),
        ("critic.prompt_file", settings.critic.prompt_file.as_deref().is_some_and(blank), "the file's name is empty"),
        ("critic.model", settings.critic.model.as_deref().is_some_and(blank), "the model's name is empty"),
        ("usage.base_url", usage.base_url.as_deref().is_some_and(blank), "the URL is empty"),
        (crossed, usage.critical_threshold < usage.warn_threshold, "the warning would come after what is critical"),
        ("critic.allow", settings.critic.allow.iter().any(|pattern| blank(pattern)), "a pattern is empty"),
    ];
    match senseless.into_iter().find(|(_, wrong, _)| *wrong) {
        Some((key, _, message)) => Err(ConfigError::Senseless { key, origin: resolved.origin(key), message }),
        None => Ok(()),
    }
}

/// `CCC_` variables that look like a mistyped setting. Others are left alone: more programs than this one may use them.
fn unknown_variables(env: &Env) -> Vec<Warning> {
    let known: Vec<&'static str> =
        KEYS.iter().filter_map(|key| key.variable).chain(super::env::OTHERS.map(|(name, _)| name)).collect();
    env.names()
        .filter_map(|name| name.to_str())
        .filter(|name| name.starts_with("CCC_") && !known.contains(name))
        .filter_map(|name| {
            let nearest = nearest(name, known.iter().copied())?;
            Some(Warning::UnknownVariable { name: name.to_owned(), nearest })
        })
        .collect()
}

/// The candidate most like `name`. A key's last part counts as well, since a right name in the wrong place is the
/// usual mistake.
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
