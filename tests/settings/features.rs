//! Rows of `[transform]` and `[[features]]`.

use super::look::{features, scores};
use super::row::{Row, row};

/// Windows wide enough that what is forgotten is missed.
const WIDE: &[(&str, &str)] = &[("features[3].widths", "['1d']")];
/// Many keys with much to keep.
const MANY: &[(&str, &str)] = &[
    ("features[3].window", "['CATEGORY', 'SHOP']"),
    ("features[3].widths", "['1d']"),
    ("features[3].aggregates", "['sum(OTHER)', 'min(NUMBER)', 'distinct(SHOP)', 'last(OTHER)']"),
];
const LINEAR: &[(&str, &str)] = &[("model.kind", "'linear'")];
const LABELS: &[(&str, &str)] = &[("features[3].aggregates", "['count']")];

pub const ROWS: &[Row] = &[
    row("transform.time_zone", &["'UTC'", "'Asia/Tokyo'"], "'Mars/Olympus'", features),
    row("transform.night", &["[0, 6]", "[2, 3]", "[22, 1]"], "[0, 24]", features)
        .with(&[("features[2].calendar", "['night']")]),
    row("transform.standardize", &["true", "false"], "1", features).with(LINEAR),
    row("transform.standardize", &["true", "false"], "'no'", scores),
    row("transform.clip_sigma", &["100.0", "1.0"], "0.5", features).with(LINEAR),
    row("transform.clip_sigma", &["100.0", "1.0"], "'none'", scores),
    row("transform.hash_bits", &["18", "4"], "29", features),
    row("transform.keys_max", &["10000000", "20"], "0", features).with(WIDE),
    row("transform.bytes_max", &["4294967296", "65536"], "1", features).with(MANY),
    row("features[0].number", &["'NUMBER'", "'OTHER'"], "'NO_FIELD'", features),
    row(
        "features[0].forms",
        &["['identity']", "['log']", "['identity', 'log']"],
        "['square']",
        features,
    ),
    row("features[0].clip", &["[]", "[10, 20]", "[10, 60]"], "[20, 10]", features),
    row("features[0].buckets", &["[]", "[10, 50]", "[20, 50]"], "[20, 20]", features),
    row(
        "features[1].category",
        &["'CATEGORY'", "'SHOP'", "['CATEGORY', 'SHOP']"],
        "'NUMBER'",
        features,
    ),
    row(
        "features[2].calendar",
        &["['hour']", "['weekday']", "['weekend']", "['night']", "['day_cycle']", "['week_cycle']"],
        "['minute']",
        features,
    ),
    row(
        "features[3].window",
        &["'CATEGORY'", "'SHOP'", "['CATEGORY', 'SHOP']"],
        "'NUMBER'",
        features,
    ),
    row("features[3].over", &["'events'", "'labels'"], "'scores'", features).with(LABELS),
    row("features[3].widths", &["['1h']", "['10m']", "['10m', '1h']"], "['0ms']", features),
    row("features[3].delay", &["'0ms'", "'10m'"], "'1y'", features),
    row("features[3].include_current", &["true", "false"], "0", features),
    row(
        "features[3].aggregates",
        &[
            "['count']",
            "['rate']",
            "['since_previous']",
            "['sum(OTHER)']",
            "['mean(OTHER)']",
            "['std(OTHER)']",
            "['min(OTHER)']",
            "['max(OTHER)']",
            "['last(OTHER)']",
            "['ratio(OTHER)']",
            "['distinct(SHOP)']",
        ],
        "['mean(SHOP)']",
        features,
    )
    .with(&[("transform.standardize", "false")]),
    row("features[3].tiles", &["0", "4", "8"], "-1", features),
];
