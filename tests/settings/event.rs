//! Rows of `[event]`, `[fields.*]` and `[[filter]]`.

use super::look::{features, filtered, ids, laid_out, rejects};
use super::row::{NONE, Row, row};

/// A numeric label window, so that times of labels show in features.
const RANGE: (&str, &str) = ("fields.NUMBER.range", "[0, 90]");
/// Without the features that a change of types would make impossible.
const NO_CATEGORY: &[(&str, &str)] = &[("features", "[{ number = 'NUMBER' }]")];
const NO_NUMBER: &[(&str, &str)] = &[("features", "[{ calendar = ['hour'] }]")];

/// Records of 36 bytes.
const BINARY: &str = "
    event = { id = 'id', time = 't', format = 'binary', record_bytes = 36 }
    labels.topic = 'labels'
    layout.id = { offset = 0, type = 'u32' }
    layout.t = { offset = 4, type = 'i64' }
    layout.NUMBER = { offset = 12, type = 'i32' }
    layout.CATEGORY = { offset = 28, type = 'text', bytes = 4 }
    fields.NUMBER = { type = 'number' }
    fields.CATEGORY = { type = 'category' }
    features = [{ number = 'NUMBER' }]";

pub const ROWS: &[Row] = &[
    row("event.id", &["'id'", "'other_id'"], "5", ids),
    row("event.time", &["'t'", "'t2'", "'message'", "'row'"], "5", features),
    row("event.time_unit", &["'ms'", "'us'", "'ns'"], "'h'", features),
    row("event.time_unit", &["'ms'", "'s'"], "'h'", features).with(&[("event.time", "'t_s'")]),
    row("event.time_unit", &["'ms'", "'rfc3339'"], "'h'", rejects)
        .with(&[("event.time", "'t_text'")]),
    row("event.row_step", &["'1s'", "'10m'"], "'0ms'", features).with(&[("event.time", "'row'")]),
    row("event.lateness", &["'1h'", "'1s'"], "'-1s'", rejects),
    row("event.ahead_max", &["'30d'", "'1m'"], "30", rejects),
    row("event.duplicates_within", &["'0ms'", "'1h'"], "'1y'", rejects),
    row("event.record_bytes_max", &["1048576", "300"], "1", rejects),
    row("event.format", &["'json'", "'binary'"], "'xml'", laid_out).on(BINARY),
    row("event.record_bytes", &["36", "40", "37"], "0", laid_out).on(BINARY),
    row("layout.NUMBER.offset", &["12", "13"], "-1", laid_out).on(BINARY),
    row(
        "layout.NUMBER.type",
        &["'i32'", "'f32'", "'u32'", "'i64'", "'f64'", "'u64'"],
        "'i16'",
        laid_out,
    )
    .on(BINARY),
    row("layout.NUMBER.bytes", &["4", "3"], "0", laid_out)
        .on(BINARY)
        .with(&[("layout.NUMBER.type", "'text'"), ("layout.NUMBER.offset", "20")]),
    row("layout.NUMBER.missing", &[NONE, "-1080033280"], "2147483648", laid_out).on(BINARY),
    row("fields.CATEGORY.type", &["'category'", "'number'"], "'text'", rejects).with(NO_CATEGORY),
    row(
        "fields.CATEGORY.from",
        &["'CATEGORY'", "'SHOP'", "'message:key'", "'header:header'"],
        "5",
        features,
    ),
    row("fields.CATEGORY.required", &["false", "true"], "'yes'", rejects),
    row("fields.NUMBER.type", &["'number'", "'category'"], "'text'", rejects).with(NO_NUMBER),
    row("fields.NUMBER.from", &["'NUMBER'", "'OTHER'", "'header:header'"], "5", features),
    row("fields.NUMBER.range", &[NONE, "[0, 100]", "[10, 100]"], "[2, 1]", rejects),
    row("fields.NUMBER.out_of_range", &["'reject'", "'clip'", "'missing'"], "'keep'", features)
        .with(&[RANGE]),
    row("fields.NUMBER.missing_key", &["'CATEGORY'", "'SHOP'"], "'NUMBER'", features)
        .with(&[("fields.NUMBER.missing", "'last'")]),
    row("fields.NUMBER.missing", &["'mean'", "5", "'last'", "'reject'"], "'median'", features)
        .with(&[("fields.NUMBER.missing_key", "'CATEGORY'")]),
    row("fields.NUMBER.clip_sigma", &[NONE, "1.0", "2.0"], "0.1", features),
    row("fields.NUMBER.clip_quantiles", &[NONE, "[0.1, 0.9]"], "[0.1, 1.9]", features),
    row("filter[0].field", &["'OTHER'", "'NUMBER'"], "'NO_FIELD'", filtered),
    row("filter[0].min", &[NONE, "20"], "'20'", filtered),
    row("filter[0].max", &[NONE, "90", "50"], "[]", filtered),
    row("filter[0].only", &["['c1']", "['c1', 'c2']"], "5", filtered)
        .with(&[("filter", "[{ field = 'CATEGORY' }]")]),
    row("filter[0].except", &["['c1']", "['c1', 'c2']"], "[5]", filtered)
        .with(&[("filter", "[{ field = 'CATEGORY' }]")]),
];
