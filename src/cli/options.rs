//! Clap's arguments for the options that are settings, made from the table of settings.

use clap::error::Error;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, ValueHint};

use crate::config::{Form, Key, Layer, RESUME_OPTIONS, RUN_OPTIONS};

/// The distance between two settings in the help. It leaves room for an option that reverses a setting after that setting.
const STEP: usize = 10;

/// The settings of a new run or of `ccc resume` on the command line.
#[derive(Debug, Clone, PartialEq)]
pub struct Options<const RESUME: bool>(pub Box<Layer>);

impl<const RESUME: bool> Args for Options<RESUME> {
    fn augment_args(command: Command) -> Command {
        if RESUME {
            return with_options(command, RESUME_OPTIONS.iter().copied(), |key| without_stop(&key.help).to_owned());
        }
        // The help of each setting names its possible values, so clap's list of them is hidden.
        with_options(command, RUN_OPTIONS.iter().map(|path| (*path, None)), with_default)
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

/// The help, with the default in brackets.
fn with_default(key: &Key) -> String {
    let default = key.default_in_words().map(|default| format!(" [{default}]"));
    format!("{}{}", without_stop(&key.help), default.unwrap_or_default())
}

/// Adds the options in this order. An option that is not a setting exists already and only gets its position.
fn with_options(
    command: Command,
    options: impl Iterator<Item = (&'static str, Option<&'static str>)>,
    help_of: fn(&Key) -> String,
) -> Command {
    options.enumerate().fold(command, |command, (at, (path, said))| {
        let order = (at + 1) * STEP;
        let Some(key) = Key::at(path) else { return command.mut_arg(path, |arg| arg.display_order(order)) };
        let help = said.map_or_else(|| help_of(key), str::to_owned);
        let option = |id: &'static str, flag: &'static str| Arg::new(id).long(flag.trim_start_matches('-'));
        let arg = option(key.path, key.flag.unwrap_or_default()).help(help).display_order(order);
        let arg = match key.form {
            Form::Switch => arg.action(ArgAction::SetTrue),
            Form::List => arg.action(ArgAction::Append).allow_hyphen_values(true),
            Form::Number => arg.allow_negative_numbers(true),
            Form::Text | Form::Object => arg,
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
