//! Promises for every flag of every command: the tests walk the whole definition of the command line.

use std::{collections::BTreeMap, ffi::OsString};

use clap::{Arg, Command, builder::StyledStr};

use super::{
    environment::{Environment, is_list, is_of_hub, variable},
    flag::{Flag, Takes},
    layer::{command, parse},
};

/// The arguments that each command needs in addition to its flags.
const NEEDED: [(&str, &[&str]); 8] = [
    ("access check", &["file"]),
    ("publish", &["news"]),
    ("subscribe", &["news"]),
    ("doctor", &["http://h"]),
    ("doctor llm", &["http://h"]),
    ("log", &["dir"]),
    ("log import", &["dir", "file"]),
    ("chaos", &["--upstream=http://a"]),
];

/// The arguments of a command instead, where a flag needs or excludes another one.
const INSTEAD: [(&str, &str, &[&str]); 17] = [
    ("serve", "audience", &["--key-file=k"]),
    ("serve", "audit-publishes", &["--audit=f"]),
    ("token", "hub", &["--jti=j"]),
    ("token", "reason", &["--jti=j"]),
    ("token", "token-file", &["--jti=j"]),
    ("serve", "tls-cert", &["--tls-key=k"]),
    ("serve", "tls-key", &["--tls-cert=c"]),
    ("serve", "sync-every", &["--durability=write"]),
    ("serve", "upstream-key-env", &["--upstream=http://u"]),
    ("serve", "stream-secret-env", &["--upstream=http://u"]),
    ("publish", "utf8-only", &["news", "--lines"]),
    ("publish", "content-type", &["news", "--file=f"]),
    ("chaos", "upstream", &["--list"]),
    ("bench", "subscribe-url", &["--publish-url=http://p"]),
    ("bench", "publish-url", &["--subscribe-url=http://s"]),
    ("bench", "publish-body", &["--publish-url=http://p", "--subscribe-url=http://s"]),
    ("bench", "publish-type", &["--publish-url=http://p", "--subscribe-url=http://s"]),
];

/// Values of which every flag that takes some takes one that is not its default.
const SAMPLES: [&str; 21] = [
    "7",
    "77",
    "70s",
    "7h",
    "127.0.0.1:7",
    "http://x:7",
    "https://app.example",
    "news/*=7d",
    "hold=8KiB",
    "POST",
    "a:b",
    "grace:7s",
    "S1",
    "write",
    "subscribe",
    "ndjson",
    "none",
    "memory:",
    "event-stream",
    "10.0.0.0/8",
    "publish",
];

fn visit(definition: &Command, path: &[&str], see: &mut dyn FnMut(&[&str], &Command)) {
    see(path, definition);
    for command in definition.get_subcommands() {
        let path: Vec<_> = path.iter().copied().chain([command.get_name()]).collect();
        visit(command, &path, see);
    }
}

fn flags(see: &mut dyn FnMut(&Flag<'_>)) {
    visit(&command(), &[], &mut |path, definition| Flag::all(path, definition).for_each(|flag| see(&flag)));
}

/// The command line as it is understood; `Err` is what is printed.
fn parsed(line: &[String], variables: &[(&str, &str)]) -> Result<String, String> {
    let line: Vec<OsString> = line.iter().map(Into::into).collect();
    let look_up = |name: &str| {
        variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| OsString::from(value))
    };
    match parse(&line, &[&Environment { look_up }]) {
        Ok((cli, _)) => Ok(format!("{cli:?}")),
        Err(error) => Err(error.to_string()),
    }
}

fn line(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

/// The rest of the line with which a flag can be tried.
fn rest(flag: &Flag<'_>) -> &'static [&'static str] {
    let words = flag.command.join(" ");
    let instead =
        INSTEAD.iter().find(|(command, name, _)| (*command, *name) == (flag.command[0], flag.name()));
    let needed = || {
        let exact = NEEDED.iter().find(|(command, _)| *command == words);
        let of_all =
            || NEEDED.iter().find(|(command, _)| *command == flag.command[0] && words != "doctor origin");
        exact.or_else(of_all).map_or(&[][..], |(_, needed)| needed)
    };
    instead.map_or_else(needed, |(_, _, rest)| rest)
}

#[test]
fn every_flag_has_a_long_name_and_so_a_variable() {
    visit(&command(), &[], &mut |path, definition| {
        for arg in definition.get_arguments().filter(|arg| !arg.is_positional()) {
            assert!(arg.get_long().is_some(), "{path:?}: {} has no long name", arg.get_id());
        }
    });
}

#[test]
fn a_variable_stands_for_one_flag_of_one_command_and_its_subcommands() {
    let mut seen: BTreeMap<String, (String, String)> = BTreeMap::new();
    flags(&mut |flag| {
        let variable = variable(flag);
        let command = if is_of_hub(flag) { "every" } else { flag.command[0] };
        let this = (command.to_owned(), flag.name().to_owned());
        assert_eq!(seen.entry(variable.clone()).or_insert_with(|| this.clone()), &this, "{variable}");
        // Kubernetes sets these in every pod beside a service of the name `tidings`.
        for of_kubernetes in ["TIDINGS_SERVICE_", "TIDINGS_PORT"] {
            assert!(!variable.starts_with(of_kubernetes), "{variable}");
        }
    });
    assert!(seen.len() > 80, "{} variables", seen.len());
}

#[test]
fn help_names_each_variable_and_never_its_value() {
    visit(&command(), &[], &mut |path, definition| {
        let help = definition.clone().render_long_help().to_string();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for flag in Flag::all(path, definition) {
            let variable = variable(&flag);
            if flag.is_for_one_start() {
                assert!(!help.contains(&variable), "{path:?} --help names {variable}");
                continue;
            }
            let shown = [format!("[env: {variable}]"), format!("[env: {variable}, one a line]")];
            assert!(shown.iter().any(|note| help.contains(note)), "{path:?} --help does not name {variable}");
        }
    });
}

#[test]
fn a_variable_does_what_its_flag_does() {
    flags(&mut |flag| {
        // It has a test of its own.
        if flag.is_for_one_start() {
            return;
        }
        let (name, variable) = (flag.name(), variable(flag));
        let base: Vec<_> = line(flag.command).into_iter().chain(line(rest(flag))).collect();
        let with = |argument: &str| base.iter().cloned().chain([argument.to_owned()]).collect::<Vec<_>>();
        // Of two flags that need each other neither can be left out.
        let neither = parsed(&base, &[]);
        let tried = |argument: String, value: &str| {
            let by_flag = parsed(&with(&argument), &[]).ok()?;
            let differs = neither.as_ref() != Ok(&by_flag) || flag.is_secret();
            differs.then(|| (by_flag, value.to_owned()))
        };
        let (by_flag, value) = match flag.takes() {
            Takes::Nothing => tried(format!("--{name}"), "true"),
            Takes::Count => tried(format!("--{name}"), "1"),
            _ => SAMPLES.iter().find_map(|value| tried(format!("--{name}={value}"), value)),
        }
        .unwrap_or_else(|| panic!("no sample for --{name} of {:?}", flag.command));
        assert_eq!(parsed(&base, &[(&variable, &value)]).as_ref(), Ok(&by_flag), "{variable}={value}");
        if flag.takes() == Takes::Nothing {
            assert_eq!(parsed(&base, &[(&variable, "false")]), neither, "{variable}=false");
        }
    });
}

#[test]
fn a_flag_takes_the_place_of_its_variable() {
    let both = |words: &[&str], variables: &[(&str, &str)]| parsed(&line(words), variables).unwrap();
    for (words, variables) in [
        (&["serve", "--heartbeat=7s"][..], ("TIDINGS_HEARTBEAT", "9s")),
        (&["serve", "--allow-host=a"], ("TIDINGS_ALLOW_HOST", "b\nc")),
        (&["serve", "--data=a"], ("TIDINGS_DATA", "b")),
        (&["serve", "-v"], ("TIDINGS_VERBOSE", "2")),
        (&["serve", "--data=a"], ("TIDINGS_MEMORY", "true")),
        (&["serve", "--memory"], ("TIDINGS_DATA", "a")),
        (&["serve", "--log=memory:"], ("TIDINGS_DATA", "a")),
        (&["serve", "--memory"], ("TIDINGS_DURABILITY", "write")),
        (&["serve", "--log=memory:"], ("TIDINGS_DURABILITY", "write")),
        (&["subscribe", "a", "--http2"], ("TIDINGS_SUBSCRIBE_HTTP1_1", "1")),
        // Of a group there is at most one, and some of its arguments are not flags.
        (&["doctor", "http://h", "--json"], ("TIDINGS_DOCTOR_JUNIT", "1")),
        (&["publish", "a", "--lines"], ("TIDINGS_PUBLISH_NDJSON", "1")),
        (&["publish", "news", "hello"], ("TIDINGS_PUBLISH_LINES", "1")),
        (&["publish", "news", "hello"], ("TIDINGS_PUBLISH_FILE", "x")),
    ] {
        assert_eq!(both(words, &[variables]), both(words, &[]), "{words:?}");
    }
    // In the environment there is no later one.
    let contradiction = [("TIDINGS_DATA", "a"), ("TIDINGS_MEMORY", "1")];
    let error = parsed(&line(&["serve"]), &contradiction).unwrap_err();
    assert!(error.contains("TIDINGS_DATA") && error.contains("TIDINGS_MEMORY"), "{error}");
    assert_eq!(both(&["serve", "--memory"], &contradiction), both(&["serve", "--memory"], &[]));
    let synced = [("TIDINGS_DURABILITY", "write"), ("TIDINGS_SYNC_EVERY", "1s")];
    assert_eq!(both(&["serve", "--memory"], &synced), both(&["serve", "--memory"], &[]));
}

#[test]
fn a_new_epoch_is_a_persons_decision_and_no_variables() {
    for value in ["1", "false"] {
        let error = parsed(&line(&["serve"]), &[("TIDINGS_NEW_EPOCH", value)]).unwrap_err();
        assert!(error.contains("TIDINGS_NEW_EPOCH") && error.contains("give --new-epoch"), "{error}");
    }
    assert!(parsed(&line(&["serve", "--new-epoch"]), &[]).is_ok());
}

#[test]
fn a_repeated_flag_has_a_value_a_line_but_a_body_is_one() {
    let by_variable = |words: &[&str], name, value| parsed(&line(words), &[(name, value)]).unwrap();
    assert_eq!(
        by_variable(&["serve"], "TIDINGS_RETAIN", "a=7d,1GiB\nb=7\n"),
        parsed(&line(&["serve", "--retain=a=7d,1GiB", "--retain=b=7"]), &[]).unwrap()
    );
    assert_eq!(
        by_variable(&["serve"], "TIDINGS_ANONYMOUS", "publish,subscribe"),
        parsed(&line(&["serve", "--anonymous=publish,subscribe"]), &[]).unwrap()
    );
    assert_eq!(
        by_variable(&["subscribe", "http://h"], "TIDINGS_SUBSCRIBE_DATA", "{\n}"),
        parsed(&line(&["subscribe", "http://h", "--data={\n}"]), &[]).unwrap()
    );
}

#[test]
fn a_value_that_does_not_fit_is_named_with_its_variable_and_the_rule() {
    let refused = |words: &[&str], name, value| parsed(&line(words), &[(name, value)]).unwrap_err();
    for (name, value, rule) in [
        ("TIDINGS_MAX_HISTORY", "many", "use KiB, MiB, GiB or TiB"),
        ("TIDINGS_DURABILITY", "maybe", "use fsync, write"),
        ("TIDINGS_READERS", "1", "1 is not in 2..=256"),
        ("TIDINGS_MEMORY", "maybe", "use true or 1, or false or 0"),
        ("TIDINGS_VERBOSE", "many", "use a number from 0 to 255"),
        ("TIDINGS_RETAIN", "a=7d\nb", "has no '='"),
    ] {
        let error = refused(&["serve"], name, value);
        let value = value.lines().last().unwrap();
        for part in [name, value, rule] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
    for name in
        ["TIDINGS_DATA", "TIDINGS_MEMORY", "TIDINGS_VERBOSE", "TIDINGS_READERS", "TIDINGS_UPSTREAM_KEY_ENV"]
    {
        let error = refused(&["serve"], name, "");
        assert!(error.contains(&format!("{name} is empty")) && error.contains("remove it"), "{error}");
    }
    let error = refused(&["subscribe", "http://h"], "TIDINGS_SUBSCRIBE_USER", "hunter2");
    assert!(error.contains("TIDINGS_SUBSCRIBE_USER") && !error.contains("hunter2"), "{error}");
}

#[test]
fn a_secret_that_stands_where_its_variables_name_is_expected_is_not_shown() {
    for (words, flag) in [
        (&["serve", "--upstream=http://u"][..], "--upstream-key-env"),
        (&["serve", "--upstream=http://u"], "--stream-secret-env"),
        (&["doctor", "llm", "http://h"], "--key-env"),
        (&["subscribe", "http://h"], "--user"),
    ] {
        let error = parsed(&line(&[words, &[flag, "sk-hunter2"]].concat()), &[]).unwrap_err();
        assert!(error.contains(flag) && error.contains(": use ") && !error.contains("hunter2"), "{error}");
    }
    let secret = [("TIDINGS_UPSTREAM_KEY_ENV", "sk-hunter2")];
    let error = parsed(&line(&["serve", "--upstream=http://u"]), &secret).unwrap_err();
    assert!(error.contains("TIDINGS_UPSTREAM_KEY_ENV") && !error.contains("hunter2"), "{error}");
}

#[test]
fn an_error_of_several_flags_names_the_variables_that_count() {
    let error = parsed(&line(&["serve"]), &[("TIDINGS_TLS_CERT", "c")]).unwrap_err();
    assert!(error.contains("--tls-key") && error.contains("TIDINGS_TLS_CERT"), "{error}");
}

#[test]
fn the_table_of_variables_in_the_documentation_is_complete() {
    const DOCUMENTATION: &str = include_str!("../../../../docs/configuration.md");
    let mut rows: BTreeMap<[String; 3], (bool, Vec<String>)> = BTreeMap::new();
    visit(&command(), &[], &mut |path, definition| {
        for flag in Flag::all(path, definition).filter(|flag| !flag.is_for_one_start()) {
            let arg = definition.get_arguments().find(|arg| arg.get_id() == flag.id()).unwrap();
            let (lists, defaults) =
                rows.entry([path[0].to_owned(), usage(arg), variable(&flag)]).or_default();
            *lists |= is_list(&flag);
            let default = default(arg);
            if !default.is_empty() && !defaults.contains(&default) {
                defaults.push(default);
            }
        }
    });
    let mut missing = String::new();
    for ([command, usage, variable], (lists, defaults)) in &rows {
        let lines = if *lists { ", one a line" } else { "" };
        let row = format!("| `{command}` | `{usage}` | `{variable}`{lines} | {} |\n", defaults.join("; "));
        if !DOCUMENTATION.contains(&row) {
            missing += &row;
        }
    }
    assert!(missing.is_empty(), "docs/configuration.md lacks these rows:\n{missing}");
    let told = DOCUMENTATION.matches("| `--").count();
    assert_eq!(told, rows.len(), "docs/configuration.md has rows of flags that are gone");
}

fn usage(arg: &Arg) -> String {
    let name = arg.get_long().unwrap_or_default();
    match arg.get_value_names() {
        Some([value]) if arg.get_action().takes_values() => format!("--{name} {value}"),
        _ => format!("--{name}"),
    }
}

/// The default as the help shows it.
fn default(arg: &Arg) -> String {
    let values: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if !values.is_empty() && arg.get_action().takes_values() {
        return values.join(",");
    }
    let help = arg.get_help().map(StyledStr::to_string).unwrap_or_default();
    let told = help.split_once("[default: ").and_then(|(_, rest)| rest.split_once(']'));
    told.map_or_else(String::new, |(default, _)| default.to_owned())
}

#[test]
fn help_shows_how_the_command_is_typed() {
    for (words, usage) in [
        (&["serve", "--help"][..], "Usage: tidings serve [OPTIONS]"),
        (&["log", "tail", "-h"], "Usage: tidings log tail [OPTIONS] <DIR>"),
    ] {
        let help = parsed(&line(words), &[("TIDINGS_READERS", "1")]).unwrap_err();
        assert!(help.contains(usage), "{help}");
    }
}

#[test]
fn each_command_ends_its_help_with_an_example_of_itself() {
    visit(&command(), &[], &mut |path, definition| {
        if definition.is_hide_set() || path.is_empty() {
            return;
        }
        let after = definition.get_after_help().map(StyledStr::to_string).unwrap_or_default();
        let typed = format!("  tidings {}", path.join(" "));
        assert!(after.starts_with("Example"), "{path:?}: {after}");
        // A longer line is broken, and then it cannot be pasted.
        assert!(after.lines().all(|line| line.chars().count() <= 100), "{path:?}: {after}");
        assert!(after.lines().any(|line| line.contains(&typed[2..])), "{path:?}: {after}");
    });
}

#[test]
fn each_command_and_flag_is_explained_in_the_words_of_the_documentation() {
    const AVOIDED: [&str; 6] = [" who ", "whoever", "whatever", "can't", "don't", "would else"];
    let check = |place: &str, text: &str| {
        assert!(text.chars().next().is_some_and(|first| !first.is_lowercase()), "{place}: {text:?}");
        for words in AVOIDED {
            assert!(!text.to_lowercase().contains(words), "{place} says {words:?}: {text}");
        }
    };
    visit(&command(), &[], &mut |path, definition| {
        let about = definition.get_long_about().or(definition.get_about()).map(StyledStr::to_string);
        check(&format!("{path:?}"), &about.unwrap_or_default());
        for arg in
            definition.get_arguments().filter(|arg| !matches!(arg.get_id().as_str(), "help" | "version"))
        {
            let help = arg.get_help().map(StyledStr::to_string).unwrap_or_default();
            check(&format!("{path:?} {}", arg.get_id()), &help);
        }
    });
}
