#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
//! The prose of documents, of rustdoc and other comments, of `--help` and of error texts keeps a few rules of plain English.
//!
//! It finds words that make a reader go back: a clause in place of a noun at the start of a sentence ("What is missing is
//! …", "Who reads it gets …"), "whoever" and the like, "else" for "otherwise", "behind" for anything but lag, "can't". Code
//! and quoted text are not examined.

#[allow(dead_code, unreachable_pub, reason = "this test uses a part")]
#[path = "support/program.rs"]
mod program;

use std::{
    fs,
    path::{Path, PathBuf},
};

use self::program::program;

/// "The subscriber is five updates behind": words before "behind" that tell of lag.
const LAG: &[&str] = &[
    "event", "events", "fall", "falls", "far", "fell", "furthest", "further", "lag", "lags", "lagging",
    "left", "one", "records", "updates",
];

/// Comments that are still to be mended.
const LEFT: &[&str] =
    &["Later times can't be written.", "What everyone may do, its bearer", "not found, whatever the token."];

/// A piece of prose: a paragraph, a cell of a table, or a text of the program.
struct Prose {
    line: usize,
    text: String,
    /// Whether a phrase without a full stop counts as a sentence, as it does in rustdoc.
    is_strict: bool,
}

#[test]
fn prose_is_plain_english() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut faults = Vec::new();
    let mut examined = 0;
    let mut examine = |place: &str, prose: Vec<Prose>| {
        examined += prose.len();
        for Prose { line, text, is_strict } in prose {
            faults.extend(
                faults_of(&text, is_strict).into_iter().map(|fault| format!("{place}:{line}: {fault}")),
            );
        }
    };
    for path in files(&root) {
        let text = fs::read_to_string(&path).unwrap();
        let place = path.strip_prefix(&root).unwrap().to_str().unwrap();
        if place.ends_with(".md") {
            examine(place, of_markdown(&text, false));
        } else {
            examine(place, of_comments(&text));
            // The strings of tests are their input.
            if place.contains("/src/") {
                examine(place, of_strings(&text));
            }
        }
    }
    for (command, help) in help(&[]) {
        examine(&format!("--help {command}"), of_markdown(&help, true));
    }
    faults.retain(|fault| !LEFT.iter().any(|left| fault.ends_with(left)));
    assert!(examined > 10_000, "only {examined} pieces of prose were found");
    assert!(faults.is_empty(), "{} places are not plain:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn the_rules_find_riddles_and_nothing_else() {
    let is_riddle = |text| !faults_of(text, true).is_empty();
    for riddle in [
        "What is missing is a server.",
        "It is told. Who reads it gets an error.",
        "An error for whoever asks",
        "It runs, whatever the status.",
        "the log would else evict it",
        "It keeps what lies behind the place.",
        "a word to who comes back",
        "it can't be read",
    ] {
        assert!(is_riddle(riddle), "{riddle:?} passes");
    }
    for plain in [
        "What happens next? Nothing else does.",
        "A client that lags far behind gets a gap.",
        "It is 70 updates behind.",
        "A publisher, who pays, decides.",
        "The report says what is wrong.",
        "Use `what else` and \"whoever\".",
    ] {
        assert!(!is_riddle(plain), "{:?}", faults_of(plain, true));
    }
}

/// The documents, and the sources and tests of all crates.
fn files(root: &Path) -> Vec<PathBuf> {
    fn walk(directory: &Path, extension: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, extension, found);
            } else if path.extension().is_some_and(|it| it == extension) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root.join("docs"), "md", &mut found);
    found.extend(fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()));
    for entry in fs::read_dir(root.join("crates")).unwrap() {
        let directory = entry.unwrap().path();
        found.push(directory.join("README.md"));
        walk(&directory, "rs", &mut found);
    }
    walk(&root.join("tests"), "rs", &mut found);
    found.retain(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        path.is_file() && (name.ends_with(".md") || name.ends_with(".rs")) && !name.contains("zh-CN")
    });
    found.sort();
    found
}

/// The output of `--help`, for the program and each of its commands.
fn help(command: &[&str]) -> Vec<(String, String)> {
    let output = program().args(command).arg("--help").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let commands =
        text.split_once("\nCommands:\n").map_or("", |(_, rest)| rest.split("\n\n").next().unwrap());
    let mut all = vec![(command.join(" "), text.clone())];
    for name in commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()) {
        if !name.is_empty() && name != "help" {
            all.extend(help(&[command, &[name]].concat()));
        }
    }
    all
}

/// The paragraphs and cells of Markdown, without headings and code blocks.
fn of_markdown(text: &str, is_strict: bool) -> Vec<Prose> {
    let mut prose: Vec<Prose> = Vec::new();
    let (mut is_code, mut is_open) = (false, false);
    for (at, line) in text.lines().enumerate() {
        let mut line = line.trim();
        let is_fence = line.starts_with("```");
        is_code ^= is_fence;
        if is_code || is_fence || line.is_empty() || line.starts_with(['#', '<']) {
            is_open = false;
        } else if line.starts_with('|') {
            is_open = false;
            let cell = |text: &str| Prose { line: at + 1, text: text.to_owned(), is_strict: false };
            prose.extend(line.split('|').map(cell));
        } else {
            let item = line.strip_prefix("- ").or_else(|| line.strip_prefix("* "));
            let number = line.split_once(". ").filter(|(number, _)| number.parse::<u32>().is_ok());
            if let Some(text) = item.or(number.map(|(_, text)| text)) {
                (line, is_open) = (text, false);
            }
            match prose.last_mut().filter(|_| is_open) {
                Some(paragraph) => paragraph.text.extend([" ", line]),
                None => prose.push(Prose { line: at + 1, text: line.to_owned(), is_strict }),
            }
            is_open = true;
        }
    }
    prose
}

/// The comments of a source, rustdoc and others.
fn of_comments(text: &str) -> Vec<Prose> {
    // Lines of code become blank, so that each line keeps its number.
    let comment = |line: &str| {
        let comment = line.trim_start().strip_prefix("//").unwrap_or_default();
        comment.trim_start_matches(['/', '!']).to_owned()
    };
    of_markdown(&text.lines().map(comment).collect::<Vec<_>>().join("\n"), true)
}

/// The string literals of a source, of three words or more, up to its tests.
fn of_strings(text: &str) -> Vec<Prose> {
    let is_tests =
        |(at, _): &(usize, &str)| text[*at..].lines().nth(1).is_some_and(|line| line.contains("mod "));
    let tests = text.match_indices("#[cfg(test)]\n").find(is_tests);
    let code = tests.map_or(text, |(at, _)| &text[..at]);
    let mut prose = Vec::new();
    let is_comment = |line: &str| line.trim_start().starts_with("//");
    let blank = |line| if is_comment(line) { "" } else { line };
    let code = code.lines().map(blank).collect::<Vec<_>>().join("\n");
    let (mut rest, mut line) = (code.as_str(), 1);
    while let Some(start) = rest.find('"') {
        line += rest[..start].matches('\n').count();
        let is_character = rest[..start].ends_with(['\'', '\\']) && rest[start + 1..].starts_with('\'');
        rest = &rest[start + 1..];
        if is_character {
            continue;
        }
        let mut is_escaped = false;
        let ends = |(_, c): &(usize, char)| {
            let ends = *c == '"' && !is_escaped;
            is_escaped = *c == '\\' && !is_escaped;
            ends
        };
        let end = rest.char_indices().find(ends).map_or(rest.len(), |(at, _)| at);
        let text = rest[..end].split("\\\n").map(str::trim_start).collect::<String>();
        if text.split(' ').count() > 2 {
            prose.push(Prose { line, text, is_strict: true });
        }
        line += rest[..end].matches('\n').count();
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    prose
}

/// Text without code, quotes, and the targets of links.
fn without_code(text: &str) -> String {
    let mut out = String::new();
    for (at, part) in text.split('`').enumerate() {
        out.push_str(if at % 2 == 0 { part } else { "code" });
    }
    for (open, close) in [("](", ")"), ("\"", "\"")] {
        let mut rest = std::mem::take(&mut out);
        while let Some((before, inside)) = rest.split_once(open) {
            let Some((_, after)) = inside.split_once(close) else { break };
            out.push_str(before);
            rest = after.to_owned();
        }
        out.push_str(&rest);
    }
    out
}

/// Each breach of a rule, with the words around it.
fn faults_of(text: &str, is_strict: bool) -> Vec<String> {
    let text = without_code(text);
    let words: Vec<&str> = text.split_whitespace().collect();
    let bare = |at: usize| words[at].trim_matches(|c: char| !c.is_alphanumeric());
    let ends = |word: &&str, ends: &[char]| word.trim_end_matches([')', '*', '_', ']']).ends_with(ends);
    let mut faults = Vec::new();
    for at in 0..words.len() {
        let word = bare(at).to_lowercase();
        let before = if at > 0 { bare(at - 1).to_lowercase() } else { String::new() };
        let begins = at == 0 || ends(&words[at - 1], &['.', '!', '?', ':', ';']);
        let sentence = words[at..].iter().find(|word| ends(word, &['.', '!', '?', ':']));
        let is_statement = sentence.map_or(is_strict, |last| ends(last, &['.', '!']));
        let is_fault = match word.as_str() {
            "whoever" | "whomever" | "whatever" => true,
            "can't" | "can’t" => true,
            "who" if begins => is_statement,
            "who" => ["as", "but", "by", "for", "from", "if", "of", "than", "to", "when"]
                .contains(&before.as_str()),
            "what" => begins && bare(at) == "What" && is_statement,
            "else" => {
                let is_other = |word: &str| {
                    ["what", "who", "where", "all", "little", "much"].contains(&word)
                        || ["thing", "body", "one", "where", "time"].iter().any(|end| word.ends_with(end))
                };
                !is_other(&before)
            }
            "behind" => {
                let is_state = ["are", "be", "is", "was", "were"].contains(&before.as_str());
                let is_lag = LAG.contains(&before.as_str()) || is_state && words[at] != "behind";
                !is_lag && !words[at].contains('-')
            }
            _ => false,
        };
        if is_fault {
            faults.push(words[at.saturating_sub(4)..words.len().min(at + 6)].join(" "));
        }
    }
    faults
}
