//! `[event]` and `[fields.*]`: what a record holds, and how its values are cleaned.

pub use pelton_kernels::repair::Outliers;
use toml::Value;

use crate::schema::{Field, LabelMeaning, Place, Schema, Target, TimeFrom, TimeUnit};

use super::layout::{self, Layout};
use super::read::{Key, Section, as_single};

/// What to do with a missing number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Missing {
    /// Put this constant.
    Constant(f32),
    /// Put the mean of all values of the column seen so far (0 before the first).
    Mean,
    /// Put the last value seen with the same key (category column), else the running mean.
    Last {
        /// The category column of the key.
        key: usize,
    },
    /// Dead-letter the record.
    Reject,
}

/// What to do with a number outside its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfRange {
    /// Dead-letter the record.
    Reject,
    /// Put the nearest bound.
    Clip,
    /// Treat it as missing.
    Missing,
}

/// How one number column is cleaned.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberRule {
    /// The field's name.
    pub name: String,
    /// Legal range, both ends included.
    pub range: Option<(f32, f32)>,
    /// What happens outside it.
    pub out_of_range: OutOfRange,
    /// What happens when it is missing.
    pub missing: Missing,
    /// What happens far from the others.
    pub outliers: Outliers,
}

/// How one category column is cleaned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CategoryRule {
    /// The field's name.
    pub name: String,
    /// Whether a missing value dead-letters the record (else it is a category of its own).
    pub required: bool,
}

/// What an event is.
#[derive(Clone, Debug, PartialEq)]
pub struct EventConfig {
    /// Name of the field with the id.
    pub id: Option<String>,
    /// The columns. Texts and the label's meaning are filled in by the sections that own them.
    pub schema: Schema,
    /// Cleaning rules by number column.
    pub numbers: Vec<NumberRule>,
    /// Cleaning rules by category column.
    pub categories: Vec<CategoryRule>,
    /// How much older than the newest event an event may be.
    pub lateness_ms: i64,
    /// How much newer than the newest event an event may be before its clock is doubted.
    pub ahead_max_ms: i64,
    /// For how long (event time) an id is remembered to find duplicates; 0 = not looked for.
    pub duplicates_within_ms: i64,
    /// Largest record in bytes.
    pub record_bytes_max: usize,
    /// Rows for which one of these does not hold are left out.
    pub filter: Vec<FilterRule>,
}

/// A condition on a number or category that events must meet to be scored at all.
#[derive(Clone, Debug, PartialEq)]
pub enum FilterRule {
    /// The number column lies in the range (missing values pass).
    Number {
        /// Column.
        column: usize,
        /// Least value that passes.
        min: f32,
        /// Largest value that passes.
        max: f32,
    },
    /// The category column has one of these codes, or none of them.
    Category {
        /// Column.
        column: usize,
        /// Codes, sorted.
        codes: Vec<u64>,
        /// Whether the codes pass (else they are left out).
        pass: bool,
    },
}

impl EventConfig {
    /// Reads `[event]`, `[layout.*]`, `[fields.*]` and `[[filter]]`.
    pub fn read(root: &mut Section<'_>) -> (EventConfig, Option<Layout>) {
        let mut fields = read_fields(root);
        let mut section = root.section("event");
        let id = section.text_maybe(Key("id", "name of the field that identifies an event"));
        if let Some(id) = &id {
            fields.add(place(id), Target::Id);
        }
        let time = read_time(&mut section, &mut fields);
        let legal = ["0ms", "3650d"];
        let doc = "how much older than the newest event an event may be";
        let lateness_ms = section.duration_ms(Key("lateness", doc), "1h", legal);
        let doc = "how much newer than the newest event an event may be before its clock is \
                   doubted; 16 such events in a row are believed";
        let ahead_max_ms = section.duration_ms(Key("ahead_max", doc), "30d", legal);
        let duplicates_within_ms = section.duration_ms(
            Key("duplicates_within", "dead-letter an id seen within this event time; 0ms = off"),
            "0ms",
            legal,
        );
        let record_bytes_max = section.count(
            Key("record_bytes_max", "larger records are dead-lettered"),
            1 << 20,
            64..=1 << 28,
        );
        let record_bytes = layout::read_format(&mut section);
        section.finish();
        let layout = layout::read(root, record_bytes);
        if duplicates_within_ms > 0 && id.is_none() {
            root.problem("event.duplicates_within", "needs event.id");
        }
        let filter = read_filter(root, &fields);
        let schema = Schema {
            fields: fields.fields,
            numbers: fields.numbers.iter().map(|rule| rule.name.clone()).collect(),
            categories: fields.categories.iter().map(|rule| rule.name.clone()).collect(),
            texts: Vec::new(),
            time,
            has_id: id.is_some(),
            label: LabelMeaning::Binary,
            keeps_raw: false,
            keeps_labels: false,
        };
        let event = EventConfig {
            id,
            schema,
            numbers: fields.numbers,
            categories: fields.categories,
            lateness_ms,
            ahead_max_ms,
            duplicates_within_ms,
            record_bytes_max,
            filter,
        };
        (event, layout)
    }

    /// Adds a target to the field of that name, adding the field when it is new.
    pub fn add_target(&mut self, name: &str, target: Target) {
        let at = self.place_of(name);
        add(&mut self.schema.fields, at, target);
    }

    /// Where a field lies: where `[fields.NAME]` says, else in the body under its name.
    fn place_of(&self, name: &str) -> Place {
        let declared = |target| {
            self.schema.fields.iter().find(|f| f.targets.contains(&target)).map(|f| f.place.clone())
        };
        let number = self.schema.number(name).and_then(|c| declared(Target::Number(c)));
        let category = self.schema.category(name).and_then(|c| declared(Target::Category(c)));
        number.or(category).unwrap_or_else(|| place(name))
    }
}

#[derive(Default)]
struct Fields {
    fields: Vec<Field>,
    numbers: Vec<NumberRule>,
    categories: Vec<CategoryRule>,
}

impl Fields {
    fn add(&mut self, at: Place, target: Target) {
        add(&mut self.fields, at, target);
    }
}

fn add(fields: &mut Vec<Field>, at: Place, target: Target) {
    match fields.iter_mut().find(|field| field.place == at) {
        Some(field) => field.targets.push(target),
        None => fields.push(Field { place: at, targets: vec![target] }),
    }
}

/// `key`, `header:NAME`, or a name in the body.
fn place(text: &str) -> Place {
    match text.strip_prefix("header:") {
        Some(name) => Place::Header(name.to_owned()),
        None if text == "message:key" => Place::Key,
        None => Place::Body(text.to_owned()),
    }
}

fn read_time(section: &mut Section<'_>, fields: &mut Fields) -> TimeFrom {
    let name = section.text_maybe(Key(
        "time",
        "the field with the event's time; \"message\" = the Kafka timestamp; \"row\" = its index",
    ));
    let unit = section.choice(
        Key("time_unit", "how the time is written"),
        &[
            ("ms", TimeUnit::Milliseconds),
            ("s", TimeUnit::Seconds),
            ("us", TimeUnit::Microseconds),
            ("ns", TimeUnit::Nanoseconds),
            ("rfc3339", TimeUnit::Rfc3339),
        ],
    );
    let step_ms = section.duration_ms(
        Key("row_step", "time between two rows when time = \"row\""),
        "1s",
        ["1ms", "365d"],
    );
    match name.as_deref() {
        None | Some("message") => TimeFrom::Message,
        Some("row") => TimeFrom::Row { step_ms },
        Some(field) => {
            fields.add(place(field), Target::Time(unit));
            TimeFrom::Field
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Type {
    Number,
    Category,
}

/// Categories are read first, since numbers may name one as the key of their last value.
fn read_fields(root: &mut Section<'_>) -> Fields {
    let mut fields = Fields::default();
    let mut numbers = Vec::new();
    for (name, mut section) in root.named_sections("fields") {
        let kind = section.choice(
            Key("type", "what the field is to the model"),
            &[("number", Type::Number), ("category", Type::Category)],
        );
        let from = section.text_or(
            Key("from", "where it is: a dotted path in the body, \"message:key\", \"header:NAME\""),
            &name,
        );
        if kind == Type::Number {
            numbers.push((name, from, section));
            continue;
        }
        let doc = "dead-letter records without it (else missing is a category of its own)";
        let required = section.flag(Key("required", doc), false);
        section.finish();
        fields.add(place(&from), Target::Category(fields.categories.len()));
        fields.categories.push(CategoryRule { name, required });
    }
    for (name, from, section) in numbers {
        fields.add(place(&from), Target::Number(fields.numbers.len()));
        let rule = read_number(name, section, &fields.categories);
        fields.numbers.push(rule);
    }
    fields
}

fn read_number(name: String, mut section: Section<'_>, categories: &[CategoryRule]) -> NumberRule {
    let pair = "two numbers in order";
    let doc = "legal range, both ends included";
    let range = section.parsed(Key("range", doc), (None, "none"), pair, |v| Some(Some(two(v)?)));
    let out_of_range = section.choice(
        Key("out_of_range", "what happens outside the range"),
        &[
            ("reject", OutOfRange::Reject),
            ("clip", OutOfRange::Clip),
            ("missing", OutOfRange::Missing),
        ],
    );
    let doc = "category field whose last value replaces a missing one (missing = \"last\")";
    let key = section.text_maybe(Key("missing_key", doc));
    let key = key.and_then(|key| {
        let found = categories.iter().position(|c| c.name == key);
        if found.is_none() {
            section.problem("missing_key", format!("{key:?} is not a category field"));
        }
        found
    });
    let legal = "a number, \"mean\", \"last\" (with missing_key), \"reject\"";
    let doc = "what replaces a missing value";
    let missing =
        section.parsed(Key("missing", doc), (Missing::Mean, "\"mean\""), legal, |v| {
            match (v.as_str(), key) {
                (Some("mean"), _) => Some(Missing::Mean),
                (Some("last"), Some(key)) => Some(Missing::Last { key }),
                (Some("reject"), _) => Some(Missing::Reject),
                _ => as_single(v).map(Missing::Constant),
            }
        });
    let outliers = read_outliers(&mut section);
    section.finish();
    NumberRule { name, range, out_of_range, missing, outliers }
}

fn read_outliers(section: &mut Section<'_>) -> Outliers {
    let doc = "clip to the running mean plus and minus so many deviations";
    let sigma = section.float_maybe(Key("clip_sigma", doc), 0.5..=1e6);
    let doc = "clip to these running quantiles, such as [0.001, 0.999]";
    let legal = "two fractions in order, within 0 to 1";
    let quantiles = section.parsed(Key("clip_quantiles", doc), (None, "none"), legal, |v| {
        two(v).filter(|&(low, high)| low >= 0.0 && high <= 1.0).map(Some)
    });
    match (sigma, quantiles) {
        (None, None) => Outliers::Keep,
        (Some(sigma), None) => Outliers::Sigma(sigma as f32),
        (None, Some((low, high))) => Outliers::Quantiles(low, high),
        (Some(_), Some(_)) => {
            section.problem("clip_sigma", "choose one of clip_sigma and clip_quantiles");
            Outliers::Keep
        }
    }
}

fn read_filter(root: &mut Section<'_>, fields: &Fields) -> Vec<FilterRule> {
    let mut rules = Vec::new();
    for mut section in root.listed_sections("filter") {
        let name = section.text(Key("field", "the number or category the condition is on"));
        let min = section.float_maybe(Key("min", "least number that passes"), -1e30..=1e30);
        let max = section.float_maybe(Key("max", "largest number that passes"), -1e30..=1e30);
        let only = section.texts(Key("only", "categories that pass"));
        let except = section.texts(Key("except", "categories that do not pass"));
        let number = fields.numbers.iter().position(|n| n.name == name);
        let category = fields.categories.iter().position(|c| c.name == name);
        match (number, category) {
            (Some(column), _) => {
                if !(only.is_empty() && except.is_empty()) {
                    section.problem("field", format!("{name:?} is a number: give min or max"));
                }
                rules.push(FilterRule::Number {
                    column,
                    min: min.map_or(f32::NEG_INFINITY, |x| x as f32),
                    max: max.map_or(f32::INFINITY, |x| x as f32),
                });
            }
            (None, Some(column)) => {
                if min.or(max).is_some() {
                    let message = format!("{name:?} is a category: give only or except");
                    section.problem("field", message);
                }
                if only.is_empty() == except.is_empty() {
                    section.problem("only", "give one of `only` and `except`");
                }
                let pass = except.is_empty();
                let texts = if pass { only } else { except };
                let code =
                    |text: &String| crate::schema::category(crate::schema::Scalar::Text(text));
                let mut codes: Vec<u64> = texts.iter().map(code).collect();
                codes.sort_unstable();
                rules.push(FilterRule::Category { column, codes, pass });
            }
            (None, None) => section.problem("field", format!("{name:?} is not in [fields]")),
        }
        section.finish();
    }
    rules
}

fn two(value: &Value) -> Option<(f32, f32)> {
    match value.as_array()?.as_slice() {
        [low, high] => Some((as_single(low)?, as_single(high)?)).filter(|(low, high)| low <= high),
        _ => None,
    }
}
