//! Layers of settings, and the command line above them.

use std::{ffi::OsString, fmt, iter};

use clap::{
    Arg, ArgMatches, Command, CommandFactory, FromArgMatches,
    builder::StyledStr,
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
};
use tidings_hub::log::LogUrl;

use super::{
    environment::{is_list, variable},
    flag::{Flag, Refused, rule},
};
use crate::cli::Cli;

/// A source of settings below the command line.
pub(crate) trait Layer {
    /// The values that it has for a flag. `None` leaves the flag to the layers below.
    fn say(&self, flag: &Flag<'_>) -> Option<Said>;
}

/// The values that a layer has for a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// Where the values are from, for an error: the name of a variable, a line of a file.
    pub(crate) origin: String,
    /// The values of the flag: one, or any number for a flag that may be repeated. A flag without a value has `true` or `false`,
    /// and a flag that is counted has a number.
    pub(crate) values: Vec<OsString>,
}

/// The places of the values that count beside the command line, for errors that would be a riddle without them.
#[derive(Debug)]
pub(crate) struct Origins(String);

impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "note: these count as their flags: {}", self.0)
    }
}

/// The definition of the command line, whose help names the variable of each flag.
pub(super) fn command() -> Command {
    with_variables(Cli::command(), &[])
}

/// Parses a command line (without the name of the program), and has the layers say what it leaves out: the first layer that
/// says something of a flag counts.
///
/// # Errors
/// An error of the command line, or a layer's value that its flag does not take.
pub(crate) fn parse(line: &[OsString], layers: &[&dyn Layer]) -> Result<(Cli, Option<Origins>), clap::Error> {
    let definition = command();
    // Only a definition that was built has the groups that its arguments name.
    let mut built = definition.clone();
    built.build();
    let words: Vec<_> = line.iter().map_while(|word| word.to_str()).collect();
    let (depth, selected) = selected(&built, &words);
    // Mistakes in the line itself are said first. A layer may have the values that the line lacks.
    let given = match definition.clone().try_get_matches_from(program(line)) {
        Ok(given) => of_subcommand(given, depth),
        Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => lenient(&definition, line, depth),
        Err(error) => return Err(without_secret(error, selected)),
    };
    let (mut arguments, mut said) = (line[..depth].to_vec(), Vec::new());
    let flags: Vec<_> = Flag::all(&words[..depth], selected).collect();
    let on_line: Vec<_> = selected.get_arguments().filter(|arg| has(&given, arg)).collect();
    let is_decided = |flag: &Flag<'_>| on_line.iter().any(|arg| flag.yields_to(arg, selected));
    for flag in flags.iter().filter(|flag| !is_decided(flag)) {
        let Some(Said { origin, values }) = layers.iter().find_map(|layer| layer.say(flag)) else {
            continue;
        };
        if flag.is_for_one_start() {
            return Err(for_one_start(&origin, flag));
        }
        let given = flag.arguments(&values).map_err(|refused| invalid(&origin, flag, &refused))?;
        if !given.is_empty() {
            arguments.extend(given);
            said.push((flag, origin));
        }
    }
    // On a line the later of two flags may take the other's place, and here there is no later one.
    let pairs =
        said.iter().enumerate().flat_map(|(index, one)| said[..index].iter().map(move |other| (other, one)));
    if let Some(((_, one), (_, other))) =
        pairs.into_iter().find(|((one, _), (other, _))| one.excludes(other, selected))
    {
        let problem = format!("{one} and {other} exclude each other; remove one of them\n");
        return Err(clap::Error::raw(ErrorKind::ArgumentConflict, problem));
    }
    let origins: Vec<_> = said.into_iter().map(|(_, origin)| origin).collect();
    let origins = (!origins.is_empty()).then(|| Origins(origins.join(", ")));
    arguments.extend_from_slice(&line[depth..]);
    let parsed = definition.try_get_matches_from(program(&arguments));
    let cli = parsed.and_then(|matches| Cli::from_arg_matches(&matches));
    match cli {
        Ok(cli) => Ok((cli, origins)),
        Err(error) => Err(with_origins(without_secret(error, selected), origins.as_ref())),
    }
}

/// A line with the name of the program before it.
fn program(line: &[OsString]) -> impl Iterator<Item = OsString> + use<'_> {
    iter::once("tidings".into()).chain(line.iter().cloned())
}

/// The flags of a line, even if it lacks others.
fn lenient(definition: &Command, line: &[OsString], depth: usize) -> ArgMatches {
    let given = definition.clone().ignore_errors(true).try_get_matches_from(program(line));
    given.map_or_else(|_| ArgMatches::default(), |given| of_subcommand(given, depth))
}

fn of_subcommand(given: ArgMatches, depth: usize) -> ArgMatches {
    (0..depth)
        .fold(given, |mut given, _| given.remove_subcommand().map(|(_, given)| given).unwrap_or_default())
}

/// Whether an argument is on a line; `--log memory:` is `--memory`.
fn has(given: &ArgMatches, arg: &Arg) -> bool {
    let id = arg.get_id().as_str();
    let is_known = given.try_contains_id(id).is_ok();
    let is_memory =
        || given.get_one::<LogUrl>("log").is_some_and(|url| url.to_string() == LogUrl::memory().to_string());
    is_known && (given.value_source(id) == Some(ValueSource::CommandLine) || (id == "memory" && is_memory()))
}

fn for_one_start(origin: &str, flag: &Flag<'_>) -> clap::Error {
    let problem = format!(
        "{origin} would count at each start; remove it, and give --{} on the command line of one start\n",
        flag.name()
    );
    clap::Error::raw(ErrorKind::ArgumentConflict, problem)
}

fn invalid(origin: &str, flag: &Flag<'_>, Refused { value, rule }: &Refused) -> clap::Error {
    if value.is_empty() {
        let problem = format!("{origin} is empty; give it a value for --{}, or remove it\n", flag.name());
        return clap::Error::raw(ErrorKind::ValueValidation, problem);
    }
    let value = if flag.is_secret() { String::new() } else { format!(" {value:?}") };
    let problem = format!("{origin} has an invalid value{value} for --{}: {rule}\n", flag.name());
    clap::Error::raw(ErrorKind::ValueValidation, problem)
}

/// An error does not show the value of a flag that takes a secret.
fn without_secret(error: clap::Error, selected: &Command) -> clap::Error {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else { return error };
    let is_secret =
        selected.get_arguments().any(|arg| arg.is_hide_env_values_set() && arg.to_string() == *shown);
    if error.kind() != ErrorKind::ValueValidation || !is_secret {
        return error;
    }
    let problem = format!("invalid value for '{shown}': {}\n", rule(&error));
    clap::Error::raw(error.kind(), problem)
}

/// The command that a line selects, and the number of words that do.
fn selected<'a>(definition: &'a Command, words: &[&str]) -> (usize, &'a Command) {
    let (mut depth, mut selected) = (0, definition);
    while let Some(next) = words.get(depth).and_then(|word| selected.find_subcommand(word)) {
        (depth, selected) = (depth + 1, next);
    }
    (depth, selected)
}

/// Flags that exclude or need each other may be from different layers. An error that names only the flags would be a riddle
/// then.
fn with_origins(error: clap::Error, origins: Option<&Origins>) -> clap::Error {
    let is_of_several =
        matches!(error.kind(), ErrorKind::ArgumentConflict | ErrorKind::MissingRequiredArgument);
    let Some(origins) = origins.filter(|_| is_of_several) else { return error };
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    clap::Error::raw(error.kind(), format!("{text}\n{origins}\n"))
}

fn with_variables(definition: Command, path: &[&str]) -> Command {
    let variables: Vec<_> = Flag::all(path, &definition)
        .filter(|flag| !flag.is_for_one_start())
        .map(|flag| (flag.id().to_owned(), variable(&flag), is_list(&flag)))
        .collect();
    let names: Vec<_> = definition.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let mut definition = definition;
    for (id, variable, is_list) in variables {
        let note =
            if is_list { format!("[env: {variable}, one a line]") } else { format!("[env: {variable}]") };
        definition = definition.mut_arg(id, |arg| {
            let help = arg.get_help().map(StyledStr::to_string).unwrap_or_default();
            arg.help(format!("{help} {note}"))
        });
    }
    for name in names {
        let path: Vec<_> = path.iter().copied().chain([&*name]).collect();
        definition = definition.mut_subcommand(&name, |command| with_variables(command, &path));
    }
    definition
}
