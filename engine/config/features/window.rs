//! `[[features]]` with `window`: what is computed over the past of a key.

use crate::config::read::{Key, Section, parse_duration_ms};
use crate::schema::Schema;

use super::{Aggregate, FeatureConfig, Layout, Over, WindowConfig, columns_of};

/// 3650 days.
const WIDTH_MS_MAX: i64 = 3650 * 86_400_000;

/// Reads one entry; none without a key.
pub fn read(section: &mut Section<'_>, schema: &Schema) -> Option<WindowConfig> {
    let names = section.texts(Key("window", "the category field of the key, or several"));
    let key = columns_of("window", &names, section, schema);
    let over = section.choice(
        Key("over", "events by their time, or labels by the time they arrived"),
        &[("events", Over::Events), ("labels", Over::Labels)],
    );
    let widths_ms = section.parsed(
        Key("widths", "how far back each window reaches"),
        (Vec::new(), "required"),
        "a list of durations, \"1ms\" to \"3650d\"",
        |value| {
            let width = |v: &toml::Value| parse_duration_ms(v.as_str()?);
            let widths: Option<Vec<i64>> = value.as_array()?.iter().map(width).collect();
            widths.filter(|list| {
                !list.is_empty() && list.iter().all(|ms| (1..=WIDTH_MS_MAX).contains(ms))
            })
        },
    );
    let doc = "the windows end this long before the event";
    let delay_ms = section.duration_ms(Key("delay", doc), "0ms", ["0ms", "3650d"]);
    let doc = "whether the event itself is in its window";
    let include_current = section.flag(Key("include_current", doc), true);
    let doc = "what is computed over each width";
    let legal = "a list of count, rate, since_previous, and sum, mean, std, min, max, last, ratio, \
                 distinct with a field: \"mean(AMOUNT)\" (over labels without one: \"mean\")";
    let wanted = section.texts(Key("aggregates", doc));
    let mut aggregates = Vec::new();
    for text in &wanted {
        match parse_aggregate(text, over, schema) {
            Some(aggregate) => aggregates.push(aggregate),
            None => section.problem("aggregates", format!("{text:?} is not in {legal}")),
        }
    }
    let doc = "0 keeps every entry (exact); n keeps n tiles a width (error of one tile at most)";
    let tiles = section.count(Key("tiles", doc), 0, 0..=10_000);
    let layout = if tiles == 0 { Layout::Exact } else { Layout::Tiled(tiles) };
    if tiles > 0 && aggregates.iter().any(|a| matches!(a, Aggregate::Distinct(_))) {
        section.problem("tiles", "must be 0 where distinct is computed");
    }
    if wanted.is_empty() {
        section.problem("aggregates", "is missing: what should the window compute?");
    }
    if !section.has("widths") && widths_ms.is_empty() {
        section.problem("widths", "is missing: how far back should the window reach?");
    }
    (!key.is_empty()).then_some(WindowConfig {
        key,
        over,
        widths_ms,
        delay_ms,
        include_current,
        aggregates,
        layout,
    })
}

fn parse_aggregate(text: &str, over: Over, schema: &Schema) -> Option<Aggregate> {
    let (name, field) = match text.split_once('(') {
        Some((name, rest)) => (name, Some(rest.strip_suffix(')')?)),
        None => (text, None),
    };
    let number = match (over, field) {
        (Over::Events, Some(field)) => schema.number(field).map(Some),
        (Over::Labels, None) => Some(None),
        _ => None,
    };
    match name {
        "count" if field.is_none() => Some(Aggregate::Count),
        "rate" if field.is_none() => Some(Aggregate::Rate),
        "since_previous" if field.is_none() => Some(Aggregate::SincePrevious),
        "sum" => Some(Aggregate::Sum(number?)),
        "mean" => Some(Aggregate::Mean(number?)),
        "std" => Some(Aggregate::Std(number?)),
        "min" => Some(Aggregate::Min(number?)),
        "max" => Some(Aggregate::Max(number?)),
        "last" => Some(Aggregate::Last(number?)),
        "ratio" => Some(Aggregate::Ratio(number??)),
        "distinct" if over == Over::Events => schema.category(field?).map(Aggregate::Distinct),
        _ => None,
    }
}

/// Features of all windows that have the key of this one, which one table may hold.
pub fn features_beside(feature: &FeatureConfig, list: &[FeatureConfig]) -> usize {
    let FeatureConfig::Window(window) = feature else { return 0 };
    let count = |other: &FeatureConfig| match other {
        FeatureConfig::Window(other) if other.key == window.key => {
            other.widths_ms.len() * other.aggregates.len()
        }
        _ => 0,
    };
    list.iter().map(count).sum()
}
