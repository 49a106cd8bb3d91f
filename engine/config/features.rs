//! `[[features]]` and `[transform]`: what the model sees of an event.

mod window;

pub use pelton_kernels::assemble::Form as NumberForm;
pub use pelton_kernels::calendar::Part as CalendarPart;

use crate::schema::Schema;

use super::read::{Key, Section};

/// The name of a part of the calendar as a feature.
#[must_use]
pub fn name_of(part: CalendarPart) -> &'static str {
    match part {
        CalendarPart::Hour => "hour",
        CalendarPart::Weekday => "weekday",
        CalendarPart::Weekend => "weekend",
        CalendarPart::Night => "night",
        CalendarPart::DayCycle { sine: true } => "sin(day)",
        CalendarPart::DayCycle { sine: false } => "cos(day)",
        CalendarPart::WeekCycle { sine: true } => "sin(week)",
        CalendarPart::WeekCycle { sine: false } => "cos(week)",
    }
}

/// The parts a name in the configuration stands for.
fn parts_named(name: &str) -> Option<&'static [CalendarPart]> {
    use CalendarPart::{DayCycle, Hour, Night, WeekCycle, Weekday, Weekend};
    match name {
        "hour" => Some(&[Hour]),
        "weekday" => Some(&[Weekday]),
        "weekend" => Some(&[Weekend]),
        "night" => Some(&[Night]),
        "day_cycle" => Some(&[DayCycle { sine: true }, DayCycle { sine: false }]),
        "week_cycle" => Some(&[WeekCycle { sine: true }, WeekCycle { sine: false }]),
        _ => None,
    }
}

/// What a window is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The events of the key, by their time.
    Events,
    /// The labels of the key's events, by the time they arrived.
    Labels,
}

/// What is computed over a window; the index is that of a number or category column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// Entries.
    Count,
    /// Entries per second of width.
    Rate,
    /// Seconds since the newest entry before this event.
    SincePrevious,
    /// Sum of a number (of the label, over labels: `None`).
    Sum(Option<usize>),
    /// Mean.
    Mean(Option<usize>),
    /// Population standard deviation.
    Std(Option<usize>),
    /// Smallest.
    Min(Option<usize>),
    /// Largest.
    Max(Option<usize>),
    /// Newest.
    Last(Option<usize>),
    /// This event's number divided by the window's mean of it.
    Ratio(usize),
    /// Different values of a category.
    Distinct(usize),
}

/// How a window keeps its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Every entry once a key.
    Exact,
    /// Tiles of `width / tiles`.
    Tiled(usize),
}

/// One group of windows of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowConfig {
    /// Category columns that make up the key.
    pub key: Vec<usize>,
    /// Events or labels.
    pub over: Over,
    /// Widths in milliseconds.
    pub widths_ms: Vec<i64>,
    /// The window ends this long before the event.
    pub delay_ms: i64,
    /// Whether the event itself is in its window (only without delay, over events).
    pub include_current: bool,
    /// What is computed over each width.
    pub aggregates: Vec<Aggregate>,
    /// How entries are kept.
    pub layout: Layout,
}

/// One entry of `[[features]]`.
#[derive(Clone, Debug, PartialEq)]
pub enum FeatureConfig {
    /// A number in one or more forms.
    Number {
        /// The number column.
        column: usize,
        /// Its dense forms.
        forms: Vec<NumberForm>,
        /// Bounds put on it before any form.
        clip: Option<(f32, f32)>,
        /// Boundaries of buckets, which become a category.
        buckets: Vec<f32>,
    },
    /// One category, or the cross of several.
    Category {
        /// The category columns.
        columns: Vec<usize>,
    },
    /// Parts of the calendar.
    Calendar(Vec<CalendarPart>),
    /// Windows.
    Window(WindowConfig),
}

/// What the model sees.
#[derive(Clone, Debug, PartialEq)]
pub struct FeaturesConfig {
    /// Features in order.
    pub list: Vec<FeatureConfig>,
    /// IANA name of the calendar's time zone.
    pub time_zone: String,
    /// First and last hour of the night.
    pub night: (u8, u8),
    /// Whether dense features are standardised by their running mean and deviation.
    pub standardize: bool,
    /// Standardised features are clipped to this many deviations.
    pub clip_sigma: f32,
    /// Categories are hashed into 2^bits weights.
    pub hash_bits: u32,
    /// Most keys a window table may hold.
    pub keys_max: usize,
    /// Most bytes a window table may hold.
    pub bytes_max: usize,
}

impl FeaturesConfig {
    /// Reads `[transform]` and `[[features]]`.
    pub fn read(root: &mut Section<'_>, schema: &Schema) -> FeaturesConfig {
        let mut section = root.section("transform");
        let time_zone = section.text_or(Key("time_zone", "IANA zone of the calendar"), "UTC");
        if jiff::tz::TimeZone::get(&time_zone).is_err() {
            section.problem("time_zone", format!("{time_zone:?} is not an IANA time zone"));
        }
        let doc = "first and last hour of the night, both included; may pass midnight";
        let legal = "two hours, 0 to 23";
        let night = section.parsed(Key("night", doc), ((0, 6), "[0, 6]"), legal, |v| {
            let hours: Option<Vec<u8>> = v.as_array()?.iter().map(hour).collect();
            <[u8; 2]>::try_from(hours?).ok().map(|[first, last]| (first, last))
        });
        let doc = "scale dense features by their running mean and deviation";
        let standardize = section.flag(Key("standardize", doc), true);
        let doc = "standardised features are clipped to so many deviations";
        let clip_sigma = section.float(Key("clip_sigma", doc), 100.0, 1.0..=1e6) as f32;
        let doc = "categories are hashed into 2^bits weights";
        let hash_bits = section.integer(Key("hash_bits", doc), 18, 1..=28);
        let doc = "most keys a window table holds; beyond it the longest idle key is forgotten";
        let keys_max = section.count(Key("keys_max", doc), 10_000_000, 1..=1 << 31);
        let doc = "most bytes a window table holds; beyond it the longest idle key is forgotten";
        let bytes_max = section.count(Key("bytes_max", doc), 4 << 30, 1 << 16..=1 << 40);
        section.finish();
        let mut list = Vec::new();
        for section in root.listed_sections("features") {
            list.extend(read_feature(section, schema));
        }
        let most =
            list.iter().map(|feature| window::features_beside(feature, &list)).max().unwrap_or(0);
        if most.saturating_mul(keys_max) > 1 << 31 {
            let message = format!("times the {most} features of one window key must be below 2^31");
            root.problem("transform.keys_max", message);
        }
        let hash_bits = u32::try_from(hash_bits).unwrap_or(18);
        FeaturesConfig {
            list,
            time_zone,
            night,
            standardize,
            clip_sigma,
            hash_bits,
            keys_max,
            bytes_max,
        }
    }
}

fn hour(value: &toml::Value) -> Option<u8> {
    u8::try_from(value.as_integer()?).ok().filter(|&h| h < 24)
}

const KINDS: &str = "is none of the kinds: give one of number, category, calendar, window";

fn read_feature(mut section: Section<'_>, schema: &Schema) -> Option<FeatureConfig> {
    let feature = if section.has("number") {
        read_number(&mut section, schema)
    } else if section.has("category") {
        let doc = "the category field, or several to cross";
        let names = section.texts(Key("category", doc));
        let columns = columns_of("category", &names, &section, schema);
        (!columns.is_empty()).then_some(FeatureConfig::Category { columns })
    } else if section.has("calendar") {
        read_calendar(&mut section)
    } else if section.has("window") {
        window::read(&mut section, schema).map(FeatureConfig::Window)
    } else {
        section.problem("kind", KINDS);
        return None;
    };
    section.finish();
    feature
}

fn read_number(section: &mut Section<'_>, schema: &Schema) -> Option<FeatureConfig> {
    let name = section.text(Key("number", "the number field"));
    let doc = "its dense forms";
    let default = (vec![NumberForm::Identity], "[\"identity\"]");
    let legal = "a list of \"identity\" and \"log\"";
    let forms = section.parsed(Key("forms", doc), default, legal, |value| {
        let form = |v: &toml::Value| match v.as_str() {
            Some("identity") => Some(NumberForm::Identity),
            Some("log") => Some(NumberForm::Log),
            _ => None,
        };
        value.as_array()?.iter().map(form).collect()
    });
    let clip = section.floats(Key("clip", "bounds put on it before any form, [low, high]"));
    let clip = match clip[..] {
        [] => None,
        [low, high] if low < high => Some((low, high)),
        _ => {
            section.problem("clip", "must be two numbers in order");
            None
        }
    };
    let doc = "boundaries of buckets; the bucket is a category feature";
    let buckets = section.floats(Key("buckets", doc));
    if !buckets.windows(2).all(|pair| pair[0] < pair[1]) {
        section.problem("buckets", "must increase");
    }
    let Some(column) = schema.number(&name) else {
        section.problem("number", format!("{name:?} is not a number in [fields]"));
        return None;
    };
    Some(FeatureConfig::Number { column, forms, clip, buckets })
}

fn read_calendar(section: &mut Section<'_>) -> Option<FeatureConfig> {
    let doc = "parts of the event's local time";
    let legal = "a list of hour, weekday, weekend, night, day_cycle, week_cycle";
    let parts = section.parsed(Key("calendar", doc), (Vec::new(), "[]"), legal, |value| {
        let part = |v: &toml::Value| parts_named(v.as_str()?);
        let parts: Option<Vec<_>> = value.as_array()?.iter().map(part).collect();
        Some(parts?.concat())
    });
    if parts.is_empty() {
        section.problem("calendar", "names no part");
    }
    Some(FeatureConfig::Calendar(parts))
}

fn columns_of(key: &str, names: &[String], section: &Section<'_>, schema: &Schema) -> Vec<usize> {
    let mut columns = Vec::new();
    if names.is_empty() {
        section.problem(key, "names no field");
    }
    for name in names {
        match schema.category(name) {
            Some(column) => columns.push(column),
            None => section.problem(key, format!("{name:?} is not a category in [fields]")),
        }
    }
    columns
}
