//! Rules about names, documents, manifests and scripts.

use super::Tree;

/// Names that say nothing about what a file holds.
pub fn empty_names(tree: &Tree) -> Vec<String> {
    const EMPTY: [&str; 6] = ["utils", "util", "common", "helpers", "helper", "misc"];
    let is_empty = |part: &str| EMPTY.contains(&part.split('.').next().unwrap_or(part));
    let named = tree.keys().filter(|path| path.split('/').any(is_empty));
    named.map(|path| format!("{path}: a name that says nothing")).collect()
}

/// Paths in README, ARCHITECTURE and docs/ that lead nowhere.
pub fn dead_paths(tree: &Tree) -> Vec<String> {
    let is_document = |path: &&String| {
        let path = path.as_str();
        matches!(path, "README.md" | "ARCHITECTURE.md")
            || path.starts_with("docs/") && path.ends_with(".md")
    };
    let mut faults = Vec::new();
    for document in tree.keys().filter(is_document) {
        for (index, line) in tree[document].lines().enumerate() {
            for path in paths(line).filter(|path| names_a_file(path, tree)) {
                if !exists(path, tree) {
                    faults.push(format!("{document}:{}: there is no {path}", index + 1));
                }
            }
        }
    }
    faults
}

/// Words of a line that could be paths.
fn paths(line: &str) -> impl Iterator<Item = &str> {
    let parts = line.split(|c: char| c.is_whitespace() || "`()[]{}<>\"'|,;:=".contains(c));
    parts.map(|word| word.trim_start_matches("../").trim_end_matches(['.', '/', '?', '!']))
}

/// Whether a word speaks of a file of ours: it begins with one of our folders, or is a path or a
/// capitalised document by its extension.
fn names_a_file(word: &str, tree: &Tree) -> bool {
    let has_extension = [".rs", ".cu", ".md", ".toml"].iter().any(|end| word.ends_with(end));
    match word.split_once('/') {
        Some(("", _)) => false,
        Some((folder, _)) => has_extension || exists(folder, tree),
        None => word.ends_with(".md") || word == "Cargo.toml",
    }
}

/// Whether the path is a file, a folder with files, or a pattern that a file fits.
fn exists(path: &str, tree: &Tree) -> bool {
    let fits = |file: &String| match path.split_once('*') {
        Some((before, after)) => file.starts_with(before) && file.ends_with(after),
        None => file == path || file.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')),
    };
    tree.keys().any(fits)
}

/// Dependencies without a comment; those of the workspace are explained there.
pub fn unexplained_dependencies(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in tree.iter().filter(|(path, _)| path.ends_with("Cargo.toml")) {
        let (mut within, mut before) = (false, "");
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                within = line.ends_with("dependencies]");
            } else if within && line.contains('=') && !line.starts_with('#') {
                let is_explained = line.contains(" # ") || before.starts_with("# ");
                let is_elsewhere = line.contains("workspace = true");
                if !is_explained && !is_elsewhere {
                    faults.push(format!("{path}: why {line}?"));
                }
            }
            before = line;
        }
    }
    faults
}

/// Scripts that neither README nor another script speaks of.
pub fn unknown_scripts(tree: &Tree) -> Vec<String> {
    let is_script = |path: &&String| path.starts_with("scripts/");
    let is_known = |script: &&String| {
        let may_speak = |path: &&String| *path == "README.md" || is_script(path);
        let mut speakers = tree.keys().filter(|path| may_speak(path) && path != script);
        speakers.any(|path| mentions(&tree[path], script))
    };
    let unknown = tree.keys().filter(|path| is_script(path) && !is_known(path));
    unknown.map(|script| format!("{script}: nothing speaks of it")).collect()
}

/// Whether the text has the path, and not only as the beginning of a longer one.
fn mentions(text: &str, path: &str) -> bool {
    let goes_on = |rest: &str| rest.starts_with(|c: char| c.is_alphanumeric() || "_-".contains(c));
    text.match_indices(path).any(|(at, _)| !goes_on(&text[at + path.len()..]))
}

/// Folders of one machine in any file.
pub fn machine_paths(tree: &Tree) -> Vec<String> {
    // Put together here, so that this file has none itself.
    let folders = ["work", "home", "root"].map(|name| format!("/{name}/"));
    let mut faults = Vec::new();
    for (path, text) in tree {
        for (index, line) in text.lines().enumerate() {
            if folders.iter().any(|folder| line.contains(folder)) {
                faults.push(format!("{path}:{}: {}", index + 1, line.trim()));
            }
        }
    }
    faults
}
