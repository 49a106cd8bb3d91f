//! A row of the table of settings, and how it is checked.

use std::net::TcpListener;

use pelton::config::Config;
use tempfile::TempDir;
use toml::{Table, Value};

use crate::kafka::settings::second_brokers;
use crate::kafka::world::{brokers, unique};

/// Every table that settings are listed for, in the order of the list, and a few fields more.
pub const BASE: &str = "
    event = { id = 'id', time = 't' }
    labels = { topic = 'labels', id = 'id', field = 'label', time = 't' }
    fields.NUMBER = { type = 'number' }
    fields.OTHER = { type = 'number' }
    fields.CATEGORY = { type = 'category' }
    fields.SHOP = { type = 'category' }
    filter = [{ field = 'OTHER', max = 90 }]
    features = [
        { number = 'NUMBER' }, { category = 'CATEGORY' }, { calendar = ['hour'] },
        { window = 'CATEGORY', widths = ['1h'], aggregates = ['count', 'mean(OTHER)'] },
    ]";

/// Small trained models of other tools.
const MODELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/models");

/// A value that stands for none: the key is left out.
pub const NONE: &str = "-";

/// One setting and what shows that it does something.
pub struct Row {
    /// Its path, as it is listed.
    pub path: &'static str,
    /// Changes of the base that make it matter, by path.
    pub with: &'static [(&'static str, &'static str)],
    /// Values as TOML, no two of which may look the same. `{dir}` is a folder and `{run}` a word of
    /// each look's own, `{models}` one of small models, `{port}` one that
    /// is free, `{brokers}` and `{second_brokers}` two clusters.
    pub values: &'static [&'static str],
    /// An illegal value.
    pub wrong: &'static str,
    /// What the engine does, for comparison; nothing when it has to be skipped.
    pub look: fn(&World) -> Option<String>,
    base: &'static str,
}

/// A row on the plain base.
pub const fn row(
    path: &'static str,
    values: &'static [&'static str],
    wrong: &'static str,
    look: fn(&World) -> Option<String>,
) -> Row {
    Row { path, with: &[], values, wrong, look, base: BASE }
}

impl Row {
    /// The same with changes of the base.
    pub const fn with(mut self, with: &'static [(&'static str, &'static str)]) -> Row {
        self.with = with;
        self
    }

    /// The same on another base.
    pub const fn on(mut self, base: &'static str) -> Row {
        self.base = base;
        self
    }

    /// The configuration with this value.
    pub fn table(&self, value: &str) -> Table {
        let mut table = self.base.parse().expect("a base is TOML");
        for (path, value) in self.with {
            set(&mut table, path, value);
        }
        set(&mut table, self.path, value);
        table
    }
}

/// A configuration in use, with a folder and a word of its own.
pub struct World {
    /// The configuration.
    pub config: Config,
    /// The same as TOML.
    pub text: String,
    /// A folder for files.
    pub folder: TempDir,
    /// A word that nothing else has, for names of topics.
    pub run: String,
    /// A port that nothing listens to yet.
    pub port: u16,
}

impl World {
    fn new(table: &Table) -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let run = unique("run");
        let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr();
        let port = port.expect("an address").port();
        let path = folder.path().to_string_lossy().into_owned();
        let text = table.to_string().replace("{dir}", &path).replace("{run}", &run);
        let text = text.replace("{models}", MODELS);
        let mut text = text.replace("{port}", &port.to_string());
        if text.contains("{brokers}") {
            text = text.replace("{brokers}", &brokers().expect("rows of Kafka need a broker"));
        }
        if text.contains("{second_brokers}") {
            text = text.replace("{second_brokers}", &second_brokers());
        }
        let config = Config::parse(&text).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        World { config, text, folder, run, port }
    }

    /// What was seen without the names of this world, which differ each time.
    fn plain(&self, seen: &str) -> String {
        let path = self.folder.path().to_string_lossy();
        seen.replace(&*path, "{dir}").replace(&self.run, "{run}")
    }
}

/// Rows looked at side by side: those of Kafka mostly wait.
const THREADS: usize = 4;

/// Looks at every value of every row; a row whose values look the same does nothing.
pub fn check(rows: &[Row]) {
    let mut idle = Vec::new();
    std::thread::scope(|scope| {
        let part = |first| move || idle_rows(rows.iter().skip(first).step_by(THREADS));
        let parts: Vec<_> = (0..THREADS).map(|first| scope.spawn(part(first))).collect();
        for part in parts {
            idle.extend(part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
    });
    assert!(idle.is_empty(), "settings that do nothing:\n{}", idle.join("\n"));
}

fn idle_rows<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<String> {
    let mut idle = Vec::new();
    for row in rows {
        let mut seen: Vec<(&str, String)> = Vec::new();
        for value in row.values {
            let world = World::new(&row.table(value));
            let Some(sight) = (row.look)(&world) else { continue };
            let sight = world.plain(&sight);
            if let Some((same, _)) = seen.iter().find(|(_, other)| *other == sight) {
                let short: String = sight.chars().take(300).collect();
                idle.push(format!("{} = {same} and {value} look the same: {short}", row.path));
            }
            seen.push((value, sight));
        }
    }
    idle
}

/// Sets, or takes away, what is at a path such as `features[3].over`.
pub fn set(table: &mut Table, path: &str, value: &str) {
    let (parents, key) = path.rsplit_once('.').unwrap_or(("", path));
    let mut at = table;
    for part in parents.split('.').filter(|part| !part.is_empty()) {
        at = step(at, part);
    }
    if value == NONE {
        at.remove(key);
        return;
    }
    let value = format!("value = {value}").parse::<Table>().expect("a value is TOML");
    match key.split_once('[') {
        Some(_) => *step(at, key) = value["value"].as_table().expect("a table").clone(),
        None => {
            at.insert(key.to_owned(), value["value"].clone());
        }
    }
}

/// One part of a path: `event`, or `features[3]`; one that is not there is made.
fn step<'a>(table: &'a mut Table, part: &str) -> &'a mut Table {
    let (name, index) = match part.strip_suffix(']').and_then(|part| part.split_once('[')) {
        Some((name, index)) => (name, index.parse().expect("an index")),
        None => (part, 0),
    };
    let is_list = part.ends_with(']');
    let new = || match is_list {
        true => Value::Array(vec![Value::Table(Table::new())]),
        false => Value::Table(Table::new()),
    };
    let value = table.entry(name.to_owned()).or_insert_with(new);
    match value {
        Value::Table(table) => table,
        Value::Array(list) => list[index].as_table_mut().expect("a list of tables"),
        _ => panic!("{part} is no table"),
    }
}

#[test]
fn a_setting_that_does_nothing_is_found() {
    let same = |_: &World| Some("the same".to_owned());
    let found =
        std::panic::catch_unwind(|| check(&[row("batch.rows_max", &["1", "2"], "0", same)]));
    let message = *found.expect_err("it passed").downcast::<String>().expect("a message");
    assert!(message.contains("batch.rows_max = 1 and 2 look the same"), "{message}");
}
