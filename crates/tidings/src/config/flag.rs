//! A flag, as every layer sees it.

use std::ffi::{OsStr, OsString};

use clap::{Arg, ArgAction, Command, error::ContextKind, error::ContextValue};

/// A flag of a command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flag<'a> {
    /// The command as it is typed, without `tidings`: `["log", "tail"]`.
    pub(crate) command: &'a [&'a str],
    arg: &'a Arg,
    name: &'a str,
}

/// The kind of value that a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Nothing: it is given or not.
    Nothing,
    /// Nothing, but it counts how often it is given.
    Count,
    /// A value, or several in one, separated by commas.
    Value,
    /// A value each time that it is given.
    Values,
}

impl<'a> Flag<'a> {
    /// The flags of a command; not its positional arguments, and not `--help` and `--version`.
    pub(crate) fn all(command: &'a [&'a str], definition: &'a Command) -> impl Iterator<Item = Flag<'a>> {
        definition.get_arguments().filter_map(move |arg| {
            let shows_help = matches!(
                arg.get_action(),
                ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
            );
            arg.get_long().filter(|_| !shows_help).map(|name| Flag { command, arg, name })
        })
    }

    /// Its name: `max-history`.
    pub(crate) fn name(&self) -> &'a str {
        self.name
    }

    /// The name that the command line's definition has for it.
    pub(crate) fn id(&self) -> &'a str {
        self.arg.get_id().as_str()
    }

    /// Whether its value must not be shown.
    pub(crate) fn is_secret(&self) -> bool {
        self.arg.is_hide_env_values_set()
    }

    /// Whether it is for one start only, and so no setting: `--new-epoch` in a layer would begin a new epoch at each start.
    pub(crate) fn is_for_one_start(&self) -> bool {
        self.command.first() == Some(&"serve") && self.name == "new-epoch"
    }

    /// Whether an argument in a higher layer replaces the value of this flag in a lower one: it is the same flag, or they exclude
    /// each other.
    pub(crate) fn yields_to(&self, arg: &Arg, definition: &Command) -> bool {
        // These three answer one question, and on a line have rules of their own.
        let is_of_history = |id: &str| matches!(id, "log" | "data" | "memory");
        let both_are_of_history = self.command.first() == Some(&"serve")
            && is_of_history(self.id())
            && is_of_history(arg.get_id().as_str());
        self.id() == arg.get_id().as_str()
            || both_are_of_history
            || excludes(definition, self.arg, arg)
            || excludes(definition, arg, self.arg)
            || share_a_choice(definition, self.arg, arg)
    }

    /// The same for two flags of one layer.
    pub(crate) fn excludes(&self, other: &Flag<'_>, definition: &Command) -> bool {
        self.yields_to(other.arg, definition)
    }

    /// The kind of value that it takes.
    pub(crate) fn takes(&self) -> Takes {
        match self.arg.get_action() {
            ArgAction::SetTrue => Takes::Nothing,
            ArgAction::Count => Takes::Count,
            ArgAction::Append if self.arg.get_value_delimiter().is_none() => Takes::Values,
            _ => Takes::Value,
        }
    }

    /// The arguments that give the flag these values.
    ///
    /// # Errors
    /// The first value that it does not take, and the rule that the value breaks.
    pub(crate) fn arguments(&self, values: &[OsString]) -> Result<Vec<OsString>, Refused> {
        let mut arguments = Vec::new();
        for value in values {
            let refused = |rule: &str| Refused { value: value.clone(), rule: rule.to_owned() };
            match self.takes() {
                Takes::Nothing => match value.to_str() {
                    Some("true" | "1") => arguments.push(format!("--{}", self.name).into()),
                    Some("false" | "0") => {}
                    _ => return Err(refused("use true or 1, or false or 0")),
                },
                Takes::Count => {
                    let count: Option<u8> = value.to_str().and_then(|text| text.parse().ok());
                    let count = count.ok_or_else(|| refused("use a number from 0 to 255"))?;
                    arguments.extend((0..count).map(|_| OsString::from(format!("--{}", self.name))));
                }
                Takes::Value | Takes::Values => {
                    self.check(value).map_err(|rule| refused(&rule))?;
                    arguments.push(with_value(self.name, value));
                }
            }
        }
        Ok(arguments)
    }

    /// Whether the flag takes this value; otherwise the rule.
    fn check(&self, value: &OsStr) -> Result<(), String> {
        let mut alone = Arg::new("alone")
            .long("alone")
            .action(self.arg.get_action().clone())
            .value_parser(self.arg.get_value_parser().clone())
            .ignore_case(self.arg.is_ignore_case_set());
        if let Some(delimiter) = self.arg.get_value_delimiter() {
            alone = alone.value_delimiter(delimiter);
        }
        let command = Command::new("alone").no_binary_name(true).disable_help_flag(true).arg(alone);
        command.try_get_matches_from([with_value("alone", value)]).map(drop).map_err(|error| rule(&error))
    }
}

fn excludes(definition: &Command, one: &Arg, other: &Arg) -> bool {
    definition.get_arg_conflicts_with(one).iter().any(|excluded| excluded.get_id() == other.get_id())
}

/// Whether both are in a group of which a line has at most one argument.
fn share_a_choice(definition: &Command, one: &Arg, other: &Arg) -> bool {
    definition.get_groups().any(|group| {
        let has = |arg: &Arg| group.get_args().any(|id| id == arg.get_id());
        !group.clone().is_multiple() && has(one) && has(other)
    })
}

fn with_value(name: &str, value: &OsStr) -> OsString {
    let mut argument = OsString::from(format!("--{name}="));
    argument.push(value);
    argument
}

/// A value that a flag does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) value: OsString,
    pub(crate) rule: String,
}

/// The rule that a value breaks, without the value.
pub(super) fn rule(error: &clap::Error) -> String {
    if let Some(source) = std::error::Error::source(error) {
        return source.to_string();
    }
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => format!("use {}", values.join(", ")),
        _ => "it needs a value of valid UTF-8".to_owned(),
    }
}
