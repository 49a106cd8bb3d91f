//! The list of all settings as a configuration: `pelton check --settings`, and the file
//! `pelton.toml` beside the sources.
//!
//! Invariant: the text is TOML, and what it sets is what holds without it. What has no default, or
//! belongs to tables that the user names (`[fields.NAME]`, `[layout.NAME]`) or repeats
//! (`[[features]]`), is a comment.

use super::read::Setting;

const HEAD: &str = "\
# Every setting of Pelton: what it does, what is legal, and its default (with its unit, where it has
# one). Printed by `pelton check --settings`; a test keeps it so. A configuration names only what it
# changes. Lines that begin with `#` and a key show a setting without a default, or one of a table
# that is named or repeated as often as it is needed.
";

const COLUMNS_MAX: usize = 100;

/// All of these settings, those of one table together.
pub fn toml(settings: &[Setting]) -> String {
    let mut tables: Vec<&str> = Vec::new();
    for setting in settings {
        let (table, _) = split(&setting.path);
        if !tables.contains(&table) {
            tables.push(table);
        }
    }
    let mut out = HEAD.to_owned();
    for table in tables {
        let is_named = table.starts_with("fields.") || table.starts_with("layout.");
        let is_template = is_named || table.contains('[');
        let mark = if is_template { "#" } else { "" };
        let header = match table.split_once('[') {
            // What belongs to no table comes first.
            _ if table.is_empty() => String::new(),
            Some((list, _)) => format!("{mark}[[{list}]]\n"),
            None => format!("{mark}[{table}]\n"),
        };
        out.push_str(&format!("\n{header}"));
        for setting in settings.iter().filter(|setting| split(&setting.path).0 == table) {
            push(setting, mark, &mut out);
        }
    }
    out
}

/// The table of a setting, and its key there.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

fn push(setting: &Setting, mark: &str, out: &mut String) {
    // Wider than any line: nothing is written yet.
    let mut width = COLUMNS_MAX + 1;
    for word in format!("{}. Legal: {}.", setting.doc, setting.legal).split_whitespace() {
        if width + 1 + word.len() > COLUMNS_MAX {
            out.push_str(if width > COLUMNS_MAX { "#" } else { "\n#" });
            width = 1;
        }
        out.push(' ');
        out.push_str(word);
        width += 1 + word.len();
    }
    let (_, key) = split(&setting.path);
    let value = match (setting.given.as_deref(), setting.default.as_str()) {
        (Some(given), _) => given,
        (None, "none" | "required") => {
            out.push_str(&format!("\n#{key} =\n"));
            return;
        }
        (None, default) => default,
    };
    out.push_str(&format!("\n{mark}{key} = {value}\n"));
}
