//! The arguments of the CLI's own interface, when it is started without supervision.

use crate::agent::InterfaceArgs;

const SETTINGS: &str = "--settings";
const SETTING_SOURCES: &str = "--setting-sources";
const MODEL: &str = "--model";

/// Separates the settings from the user's other arguments. The others are not validated: the CLI reports unknown ones
/// itself.
pub(super) fn read(args: &[String]) -> InterfaceArgs {
    let mut read = InterfaceArgs::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--" {
            read.rest.push(arg.clone());
            read.rest.extend(args.by_ref().cloned());
            break;
        }
        let (name, attached) = arg.split_once('=').map_or((arg.as_str(), None), |(name, value)| (name, Some(value)));
        read.choose_model |= name == MODEL;
        if name != SETTINGS && name != SETTING_SOURCES {
            read.rest.push(arg.clone());
            continue;
        }
        let value = attached.map(str::to_owned).or_else(|| args.next().cloned());
        if name == SETTINGS {
            // If given twice, the last one counts (facts). A missing value is left for the CLI to report.
            match value {
                Some(value) => read.settings = Some(value),
                None => read.rest.push(arg.clone()),
            }
            continue;
        }
        let sources = value.as_deref().unwrap_or_default().split(',').map(|source| source.trim().to_owned());
        read.setting_sources = Some(sources.filter(|source| !source.is_empty()).collect());
        read.rest.push(SETTING_SOURCES.to_owned());
        read.rest.extend(value);
    }
    read
}

/// The arguments for a provider's settings and model.
pub(super) fn of_provider(settings: Option<&str>, model: Option<&str>) -> Vec<String> {
    let settings = settings.into_iter().flat_map(|settings| [SETTINGS, settings]);
    let model = model.into_iter().flat_map(|model| [MODEL, model]);
    settings.chain(model).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::{of_provider, read};
    use crate::agent::InterfaceArgs;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn settings_are_taken_out_and_everything_else_passes_as_it_is() {
        let sources = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        for (args, rest, settings, setting_sources, choose_model) in [
            ("", "", None, None, false),
            ("-p hello --verbose", "-p hello --verbose", None, None, false),
            ("mcp list", "mcp list", None, None, false),
            ("--settings a.json -c", "-c", Some("a.json"), None, false),
            ("--settings={} --settings b.json", "", Some("b.json"), None, false),
            ("--settings", "--settings", None, None, false),
            ("--model opus", "--model opus", None, None, true),
            ("--model=opus", "--model=opus", None, None, true),
            (
                "--setting-sources user,project -c",
                "--setting-sources user,project -c",
                None,
                sources(&["user", "project"]),
                false,
            ),
            ("-p -- --settings a.json", "-p -- --settings a.json", None, None, false),
        ] {
            let expected = InterfaceArgs {
                rest: words(rest),
                settings: settings.map(str::to_owned),
                setting_sources,
                choose_model,
            };
            assert_eq!(read(&words(args)), expected, "{args}");
        }
    }

    #[test]
    fn a_provider_gives_settings_and_model_where_it_has_them() {
        assert_eq!(of_provider(None, None), words(""));
        assert_eq!(of_provider(Some("{}"), None), words("--settings {}"));
        assert_eq!(of_provider(Some("f"), Some("kimi-k2")), words("--settings f --model kimi-k2"));
    }
}
