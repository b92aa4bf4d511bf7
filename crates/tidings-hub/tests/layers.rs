//! The map of this crate: a room uses the rooms below it, and the paths in ARCHITECTURE.md lead somewhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The rooms, from the lowest to the highest. Rooms of one line may use each other.
const LAYERS: [&[&str]; 10] = [
    &["owner_only", "peer", "pace", "caught", "one_or_many"],
    &["model"],
    &["attachments"],
    &["log", "error"],
    &["authorize", "budget", "metrics", "seats", "encoder", "settings"],
    &["delivery"],
    &["extension", "hub", "probe"],
    &["dialect"],
    &["http"],
    &["gateway", "server"],
];

/// Modules that look at everything.
const OUTSIDE: [&str; 2] = ["lib", "fuzzing"];

#[test]
fn rooms_use_the_rooms_below_them() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let exported = exported(&fs::read_to_string(source.join("lib.rs")).unwrap());
    let layer_of = |room: &str| {
        let layer = LAYERS.iter().position(|rooms| rooms.contains(&room));
        layer.unwrap_or_else(|| panic!("the room {room:?} has no layer: give it one in this test"))
    };
    let (mut up, mut all) = (BTreeMap::new(), 0);
    for file in files(&source) {
        let position = file.strip_prefix(&source).unwrap();
        let room = position.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if OUTSIDE.contains(&&*room) {
            continue;
        }
        for used in rooms_used(&fs::read_to_string(&file).unwrap(), &exported) {
            if used == room || OUTSIDE.contains(&&*used) {
                continue;
            }
            all += 1;
            if layer_of(&used) > layer_of(&room) {
                up.entry((room.clone(), used)).or_insert_with(Vec::new).push(position.to_owned());
            }
        }
    }
    assert!(all > 100, "only {all} arrows were found: the test no longer reads them");
    assert!(up.is_empty(), "these arrows run up: {up:#?}");
}

#[test]
fn the_feature_of_the_gateway_has_one_place() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut named = 0;
    for file in files(&source) {
        let room = file.strip_prefix(&source).unwrap().iter().next().unwrap();
        if fs::read_to_string(&file).unwrap().contains("feature = \"gateway\"") {
            assert!(
                ["lib.rs", "gateway", "fuzzing"].iter().any(|place| room == *place),
                "{file:?} asks whether there is a gateway: what it needs belongs to `Extension`"
            );
            named += 1;
        }
    }
    assert!(named > 0, "the feature is named nowhere: the test no longer finds it");
}

#[test]
fn the_paths_in_the_architecture_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let hub = root.join("crates/tidings-hub/src");
    let mut found = 0;
    for line in text.lines() {
        // In a row, a bare name stands in the folder of the path before it.
        let mut folder = hub.clone();
        for name in line.split('`').skip(1).step_by(2) {
            let is_path = name.ends_with(".rs") || name.ends_with(".js") || name.ends_with('/');
            if !is_path || name.starts_with('/') {
                continue;
            }
            let bases = [&root, &hub, &hub.join("gateway"), &folder];
            let path = bases.into_iter().map(|base| base.join(name)).find(|path| path.exists());
            let path =
                path.unwrap_or_else(|| panic!("ARCHITECTURE.md names {name:?}, which is not there: {line}"));
            found += 1;
            if name.trim_end_matches('/').contains('/') {
                folder = if path.is_dir() { path } else { path.parent().unwrap().to_owned() };
            }
        }
    }
    assert!(found > 50, "only {found} paths were found: the test no longer reads them");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The room of each name that the crate's root exports.
fn exported(root: &str) -> BTreeMap<String, String> {
    let statements = root.split("pub use ").skip(1);
    let mut exported = BTreeMap::new();
    for statement in statements {
        let statement =
            statement.split(';').next().expect("text has a first part").trim_start_matches("self::");
        let (room, names) = statement.split_once("::").expect("a name of a room");
        for name in names.split(|character: char| !character.is_alphanumeric() && character != '_') {
            exported.insert(name.to_owned(), room.to_owned());
        }
    }
    exported
}

/// The rooms that a file names after `crate::`, in a `use` or anywhere else.
fn rooms_used(text: &str, exported: &BTreeMap<String, String>) -> BTreeSet<String> {
    // A test may use everything.
    let text = text.split("\nmod tests {").next().unwrap_or_default();
    let code: String =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut names = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            Some(list) => names.extend(first_names(list)),
            None => {
                let name = after.split(|character: char| !is_of_name(character)).next().unwrap_or_default();
                // A macro stands at the root, wherever it is written down.
                if !after[name.len()..].starts_with('!') {
                    names.insert(name.to_owned());
                }
            }
        }
    }
    names
        .into_iter()
        .map(|name| exported.get(&name).cloned().unwrap_or(name))
        .filter(|room| !room.is_empty())
        .collect()
}

/// The first name of each element of a list, up to the brace that closes it.
fn first_names(list: &str) -> Vec<String> {
    let (mut names, mut depth, mut name, mut takes) = (Vec::new(), 0, String::new(), true);
    for character in list.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(std::mem::take(&mut name));
                takes = true;
            }
            character if depth == 0 && takes && is_of_name(character) => name.push(character),
            character if depth == 0 && !name.is_empty() && !character.is_whitespace() => takes = false,
            _ => {}
        }
    }
    names.push(name);
    names.retain(|name| !name.is_empty());
    names
}

fn is_of_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}
