//! The options that are settings, as clap's arguments: made from the settings' table.

use clap::error::Error;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, ValueHint};

use crate::config::{Form, Key, Layer, RESUME_OPTIONS, RUN_OPTIONS};

/// What stands between two options in the order of the help, for those that are no settings.
const STEP: usize = 10;

/// The settings that a new run or `ccc resume` is given on the command line.
#[derive(Debug, Clone, PartialEq)]
pub struct Options<const RESUME: bool>(pub Box<Layer>);

impl<const RESUME: bool> Args for Options<RESUME> {
    fn augment_args(command: Command) -> Command {
        if RESUME {
            let options = RESUME_OPTIONS.iter().filter_map(|(path, said)| {
                let key = Key::at(path)?;
                Some((key, said.map_or_else(|| without_stop(&key.help).to_owned(), str::to_owned)))
            });
            return with_options(command, options);
        }
        let options = RUN_OPTIONS.iter().filter_map(|path| Key::at(path)).map(|key| (key, with_default(key)));
        // What an option takes stands in its help.
        with_options(command, options)
            .mut_args(|arg| if arg.get_action().takes_values() { arg.hide_possible_values(true) } else { arg })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<const RESUME: bool> FromArgMatches for Options<RESUME> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Ok(Self(Box::new(Layer::given(matches))))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self.0 = Layer::given(matches);
        Ok(())
    }
}

fn without_stop(help: &str) -> &str {
    help.trim_end_matches('.')
}

/// The help, and in brackets what is done without the option.
fn with_default(key: &Key) -> String {
    let default = key.default_in_words().map(|default| format!(" [{default}]"));
    format!("{}{}", without_stop(&key.help), default.unwrap_or_default())
}

fn with_options(command: Command, options: impl Iterator<Item = (&'static Key, String)>) -> Command {
    options.enumerate().fold(command, |command, (at, (key, help))| {
        let order = (at + 1) * STEP;
        let option = |id: &'static str, flag: &'static str| Arg::new(id).long(flag.trim_start_matches('-'));
        let arg = option(key.path, key.flag.unwrap_or_default()).help(help).display_order(order);
        let arg = match key.form {
            Form::Switch => arg.action(ArgAction::SetTrue),
            Form::List => arg.action(ArgAction::Append).allow_hyphen_values(true),
            Form::Number => arg.allow_negative_numbers(true),
            Form::Text => arg,
        };
        let arg = match key.value_name {
            "" => arg,
            name => arg.value_name(name).value_parser((key.parser)()),
        };
        let arg = if matches!(key.value_name, "PATH" | "FILE") { arg.value_hint(ValueHint::AnyPath) } else { arg };
        let Some((flag, help)) = key.taken_back_by else { return command.arg(arg) };
        let back = option(flag, flag).help(help).display_order(order + 1);
        command.arg(arg).arg(back.action(ArgAction::SetTrue).overrides_with(key.path))
    })
}
