//! Rows of `[labels]`, `[batch]`, `[emit]`, `[dead_letters]`, `[run]`, and what the program alone
//! can show.

use super::look::{
    checked, cuts, cuts_of_a_trickle, device, features, joins, page, reported, scores, semicolons,
    watching, written,
};
use super::row::{NONE, Row, row};

/// Times of labels show in windows over labels.
const LABEL_WINDOW: &[(&str, &str)] = &[
    ("features[3].over", "'labels'"),
    ("features[3].aggregates", "['count', 'mean', 'since_previous']"),
];
const ASSUMED: &[(&str, &str)] = &[("labels.horizon", "'1m'"), ("labels.unlabelled", "'negative'")];
/// Events carry their label.
const RECORDED: (&str, &str) = ("labels", "{ field = 'label' }");

pub const ROWS: &[Row] = &[
    row("labels.field", &["'label'", "'truth'"], "5", scores),
    row("labels.field", &["'label'", "'truth'"], "5", scores).with(&[RECORDED]),
    row("labels.id", &["'id'", "'other'"], "5", scores),
    row("labels.time", &[NONE, "'t'", "'t2'"], "5", features).with(LABEL_WINDOW),
    row("labels.time_unit", &["'ms'", "'us'"], "'h'", features).with(LABEL_WINDOW),
    row("labels.delay", &["'0ms'", "'10m'"], "'x'", scores).with(&[RECORDED]),
    row("labels.horizon", &["'30d'", "'1m'"], "'0ms'", joins),
    row("labels.unlabelled", &["'drop'", "'negative'"], "'positive'", scores)
        .with(&[("labels.horizon", "'1m'")]),
    row("labels.correct_within", &["'30d'", "'0ms'"], "30", joins).with(ASSUMED),
    row("labels.orphan_wait", &["'1h'", "'0ms'"], "'never'", joins),
    row("labels.pending_max", &["50000000", "20"], "0", joins),
    row("batch.rows_max", &["64", "100"], "0", cuts).with(&[RECORDED]),
    row("batch.bytes_max", &["8388608", "2000"], "1", cuts).with(&[RECORDED]),
    row("batch.linger", &["'0ms'", "'60s'"], "'61s'", cuts_of_a_trickle).with(&[RECORDED]),
    row("batch.budget", &["'0ms'", "'1ms'"], "'2m'", cuts_of_a_trickle)
        .with(&[RECORDED, ("batch.linger", "'60s'")]),
    row("batch.csv_delimiter", &["','", "';'"], "',,'", semicolons).with(&[RECORDED]),
    row("emit.file", &[NONE, "'{dir}/a.jsonl'", "'{dir}/b.jsonl'"], "5", written).with(&[RECORDED]),
    row("emit.fields", &["[]", "['CATEGORY']", "['SHOP', 'OTHER']"], "5", written)
        .with(&[RECORDED, ("emit.file", "'{dir}/scores.jsonl'")]),
    row("emit.reasons", &["0", "1", "3"], "65", written)
        .with(&[RECORDED, ("emit.file", "'{dir}/scores.jsonl'")]),
    row("emit.features", &["false", "true"], "1", written)
        .with(&[RECORDED, ("emit.file", "'{dir}/scores.jsonl'")]),
    row("dead_letters.file", &[NONE, "'{dir}/a.jsonl'", "'{dir}/b.jsonl'"], "5", written)
        .with(&[RECORDED]),
    row("source.file", &["'{dir}/a.jsonl'", "'{dir}/b.jsonl'"], "5", reported).with(&[RECORDED]),
    row("source.decode", &["'cpu'", "'device'"], "'gpu'", checked),
    row("metrics.listen", &[NONE, "'127.0.0.1:{port}'"], "'9464'", page)
        .with(&[RECORDED, ("source.file", "'{dir}/endless.jsonl'")]),
    row("device", &["'auto'", "'cpu'", "'cuda:99'"], "'gpu'", device),
    row("run.stall_after", &["'30s'", "'10s'", "'0s'"], "'2d'", watching),
    row("run.stall_exit", &["'0s'", "'40s'", "'1m'"], "'8d'", watching),
];
