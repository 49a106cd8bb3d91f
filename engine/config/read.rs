//! Reads settings out of TOML and gathers every problem on the way.
//!
//! Each setting is read by one call that names its key, what it does, its default and its legal
//! range. A value that is wrong adds a [`Problem`] and the default stands in, so that one reading
//! finds all problems; keys that nobody asked for are problems too. The same calls list all
//! settings (`pelton check --settings`), so that list cannot disagree with what is read.

use std::cell::RefCell;
use std::fmt;
use std::ops::RangeInclusive;

use toml::{Table, Value};

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting's path: `batch.rows_max`, `features[2].widths`.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Every problem of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "problem" } else { "problems" };
        write!(f, "{} {plural}", self.0.len())?;
        for problem in &self.0 {
            write!(f, "\n  {}: {}", problem.path, problem.message)?;
        }
        Ok(())
    }
}

/// One setting as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its path.
    pub path: String,
    /// What it does.
    pub doc: &'static str,
    /// Its default as TOML, or `required`, or `none`.
    pub default: String,
    /// Its value in the configuration that was read, as TOML.
    pub given: Option<String>,
    /// What is legal.
    pub legal: String,
}

/// What one reading of a configuration has found.
#[derive(Debug, Default)]
pub struct Findings {
    /// What is wrong.
    pub problems: RefCell<Vec<Problem>>,
    /// What was asked for.
    pub settings: RefCell<Vec<Setting>>,
}

impl Findings {
    /// Adds a problem.
    pub fn problem(&self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.borrow_mut().push(Problem { path: path.into(), message: message.into() });
    }
}

/// A table of settings that is being read.
pub struct Section<'a> {
    path: String,
    table: Table,
    asked: Vec<&'static str>,
    findings: &'a Findings,
}

/// A key and what it does.
#[derive(Clone, Copy)]
pub struct Key(pub &'static str, pub &'static str);

impl<'a> Section<'a> {
    /// A section at `path` (empty for the root of the file).
    #[must_use]
    pub fn new(path: impl Into<String>, table: Table, findings: &'a Findings) -> Section<'a> {
        Section { path: path.into(), table, asked: Vec::new(), findings }
    }

    /// The path of a key of this section.
    #[must_use]
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Adds a problem with a key of this section.
    pub fn problem(&self, key: &str, message: impl Into<String>) {
        self.findings.problem(self.path_of(key), message);
    }

    /// Whether the key is given.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// What is given for a key.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.table.get(key)
    }

    /// A whole number.
    pub fn integer(&mut self, key: Key, default: i64, legal: RangeInclusive<i64>) -> i64 {
        let range = format!("{} to {}", legal.start(), legal.end());
        self.scalar(key, default, &default.to_string(), &range, |value| {
            value.as_integer().filter(|i| legal.contains(i))
        })
    }

    /// A whole number of things in memory.
    pub fn count(&mut self, key: Key, default: usize, legal: RangeInclusive<usize>) -> usize {
        let signed = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let legal = signed(*legal.start())..=signed(*legal.end());
        usize::try_from(self.integer(key, signed(default), legal)).unwrap_or(default)
    }

    /// A number.
    pub fn float(&mut self, key: Key, default: f64, legal: RangeInclusive<f64>) -> f64 {
        let range = format!("{:?} to {:?}", legal.start(), legal.end());
        self.scalar(key, default, &format!("{default:?}"), &range, |value| {
            as_float(value).filter(|x| legal.contains(x))
        })
    }

    /// A number that may be left out.
    pub fn float_maybe(&mut self, key: Key, legal: RangeInclusive<f64>) -> Option<f64> {
        let range = format!("{:?} to {:?}", legal.start(), legal.end());
        self.scalar(key, None, "none", &range, |value| {
            as_float(value).filter(|x| legal.contains(x)).map(Some)
        })
    }

    /// True or false.
    pub fn flag(&mut self, key: Key, default: bool) -> bool {
        self.scalar(key, default, &default.to_string(), "true or false", Value::as_bool)
    }

    /// A text that must be given.
    pub fn text(&mut self, key: Key) -> String {
        if !self.has(key.0) {
            self.problem(key.0, format!("is missing; {}", key.1));
        }
        self.scalar(key, String::new(), "required", "a text", |v| v.as_str().map(str::to_owned))
    }

    /// A text that may be left out.
    pub fn text_maybe(&mut self, key: Key) -> Option<String> {
        self.scalar(key, None, "none", "a text", |v| v.as_str().map(|s| Some(s.to_owned())))
    }

    /// A text with a default.
    pub fn text_or(&mut self, key: Key, default: &str) -> String {
        let shown = format!("{default:?}");
        self.scalar(key, default.to_owned(), &shown, "a text", |v| v.as_str().map(str::to_owned))
    }

    /// One of a few names; the first one is the default.
    pub fn choice<T: Copy>(&mut self, key: Key, choices: &[(&str, T)]) -> T {
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
        self.scalar(key, choices[0].1, &names[0], &names.join(", "), |value| {
            choices.iter().find(|(name, _)| value.as_str() == Some(name)).map(|&(_, choice)| choice)
        })
    }

    /// A span of time such as `"7d"` or `"500ms"`, in milliseconds.
    pub fn duration_ms(&mut self, key: Key, default: &str, legal: [&str; 2]) -> i64 {
        let [least, most] = legal.map(|s| parse_duration_ms(s).expect("a legal duration"));
        let fallback = parse_duration_ms(default).expect("a legal duration");
        let range =
            format!("{:?} to {:?}, as in \"500ms\", \"2s\", \"1h30m\", \"7d\"", legal[0], legal[1]);
        self.scalar(key, fallback, &format!("{default:?}"), &range, |value| {
            parse_duration_ms(value.as_str()?).filter(|ms| (least..=most).contains(ms))
        })
    }

    /// A list of texts; one text alone is a list of one.
    pub fn texts(&mut self, key: Key) -> Vec<String> {
        self.scalar(key, Vec::new(), "[]", "a list of texts", |value| match value {
            Value::String(text) => Some(vec![text.clone()]),
            Value::Array(list) => list.iter().map(|v| v.as_str().map(str::to_owned)).collect(),
            _ => None,
        })
    }

    /// A list of numbers as features are, in single precision.
    pub fn floats(&mut self, key: Key) -> Vec<f32> {
        self.scalar(key, Vec::new(), "[]", "a list of numbers", |value| {
            value.as_array()?.iter().map(as_single).collect()
        })
    }

    /// Any value that `parse` understands; `legal` says which those are.
    pub fn parsed<T>(
        &mut self,
        key: Key,
        default: (T, &str),
        legal: &str,
        parse: impl FnOnce(&Value) -> Option<T>,
    ) -> T {
        self.scalar(key, default.0, default.1, legal, parse)
    }

    /// A table of settings below this one; an empty one when it is not given.
    pub fn section(&mut self, key: &'static str) -> Section<'a> {
        let path = self.path_of(key);
        let table = match self.take(key) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(_) => {
                self.problem(key, format!("must be a table: [{path}]"));
                Table::new()
            }
        };
        Section::new(path, table, self.findings)
    }

    /// A table whose keys are names of the user's own, each with a table: `[fields.AMOUNT]`.
    pub fn named_sections(&mut self, key: &'static str) -> Vec<(String, Section<'a>)> {
        let mut parent = self.section(key);
        let names: Vec<String> = parent.table.keys().cloned().collect();
        let mut sections = Vec::new();
        for name in names {
            let path = parent.path_of(&name);
            match parent.table.remove(&name) {
                Some(Value::Table(table)) => {
                    sections.push((name, Section::new(path, table, self.findings)));
                }
                _ => self.findings.problem(path.clone(), format!("must be a table: [{path}]")),
            }
        }
        sections
    }

    /// A list of tables: `[[features]]`.
    pub fn listed_sections(&mut self, key: &'static str) -> Vec<Section<'a>> {
        let path = self.path_of(key);
        let list = match self.take(key) {
            None => Vec::new(),
            Some(Value::Array(list)) => list,
            Some(_) => {
                self.problem(key, format!("must be a list of tables: [[{path}]]"));
                Vec::new()
            }
        };
        let mut sections = Vec::new();
        for (index, value) in list.into_iter().enumerate() {
            let path = format!("{path}[{index}]");
            match value {
                Value::Table(table) => sections.push(Section::new(path, table, self.findings)),
                _ => self.findings.problem(path, "must be a table"),
            }
        }
        sections
    }

    /// A table of values with keys of the user's own, such as librdkafka's properties.
    pub fn properties(&mut self, key: Key) -> Vec<(String, Value)> {
        self.scalar(key, Vec::new(), "{}", "a table of texts, numbers and truth values", |value| {
            Some(value.as_table()?.clone().into_iter().collect())
        })
    }

    /// Ends the reading: whatever was not asked for is a problem.
    pub fn finish(self) {
        for key in self.table.keys() {
            let nearest = self.asked.iter().min_by_key(|asked| distance(asked, key));
            let hint = match nearest {
                Some(asked) if distance(asked, key) <= 3 => format!("; did you mean `{asked}`?"),
                _ if self.asked.is_empty() => String::new(),
                _ => format!("; known here: {}", self.asked.join(", ")),
            };
            self.problem(key, format!("is not a setting{hint}"));
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.asked.push(key);
        self.table.remove(key)
    }

    fn scalar<T>(
        &mut self,
        key: Key,
        default: T,
        shown: &str,
        legal: &str,
        parse: impl FnOnce(&Value) -> Option<T>,
    ) -> T {
        self.findings.settings.borrow_mut().push(Setting {
            path: self.path_of(key.0),
            doc: key.1,
            default: shown.to_owned(),
            given: self.table.get(key.0).map(Value::to_string),
            legal: legal.to_owned(),
        });
        let Some(value) = self.take(key.0) else { return default };
        parse(&value).unwrap_or_else(|| {
            self.problem(key.0, format!("is {value}, but must be {legal}"));
            default
        })
    }
}

/// A number that is finite in single precision.
pub(super) fn as_single(value: &Value) -> Option<f32> {
    as_float(value).map(|x| x as f32).filter(|x| x.is_finite())
}

fn as_float(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(i) => Some(*i as f64),
        Value::Float(x) => Some(*x),
        _ => None,
    }
}

/// `"1h30m"` in milliseconds: whole numbers, each with one of ms, s, m, h, d, w.
#[must_use]
pub fn parse_duration_ms(text: &str) -> Option<i64> {
    let mut rest = text.trim();
    let mut total: i64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|&n| n > 0)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit_ms: i64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return None,
        };
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(unit_ms)?)?;
        rest = tail;
    }
    Some(total)
}

/// Levenshtein distance, for the suggestion of a name.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_every_unit() {
        assert_eq!(parse_duration_ms("1h30m"), Some(5_400_000));
        assert_eq!(parse_duration_ms("500ms"), Some(500));
        assert_eq!(parse_duration_ms("7d"), Some(604_800_000));
        for wrong in ["", "7", "d", "7 d", "-1s", "1.5h", "99999999999999w"] {
            assert_eq!(parse_duration_ms(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn all_problems_are_reported_together() {
        let table: Table = "rows_max = 0\nlinger = 5\nrows_maks = 1".parse().expect("toml");
        let findings = Findings::default();
        let mut section = Section::new("batch", table, &findings);
        section.integer(Key("rows_max", ""), 4096, 1..=10);
        section.duration_ms(Key("linger", ""), "1ms", ["0ms", "10s"]);
        section.finish();
        let problems = Problems(findings.problems.into_inner()).to_string();
        assert!(problems.contains("batch.rows_max: is 0, but must be 1 to 10"), "{problems}");
        assert!(problems.contains("batch.linger: is 5"), "{problems}");
        assert!(problems.contains("did you mean `rows_max`"), "{problems}");
    }
}
