//! Rows of `[model]`, `[learn]` and `[evaluate]`.

use super::look::{metrics, models, scores, trailing};
use super::row::{NONE, Row, row};

const CLASSES: &[(&str, &str)] = &[("model.task", "'multiclass'")];
const LINEAR: &[(&str, &str)] = &[("model.kind", "'linear'")];
const FTRL: &[(&str, &str)] = &[("model.kind", "'linear'"), ("model.optimizer", "'ftrl'")];
const ADAGRAD: &[(&str, &str)] = &[("model.kind", "'linear'"), ("model.optimizer", "'adagrad'")];
const SGD: &[(&str, &str)] = &[("model.kind", "'linear'"), ("model.optimizer", "'sgd'")];
const GROUPED: &[(&str, &str)] =
    &[("evaluate.metrics", "['grouped_precision_at_k']"), ("evaluate.group", "'CATEGORY'")];

/// A champion that learns nothing to speak of, and a challenger that does.
const WORSE: &[(&str, &str)] = &[
    ("model.kind", "'linear'"),
    ("model.optimizer", "'sgd'"),
    ("model.rate", "1e-6"),
    ("challengers[0].name", "'NAME'"),
    ("challengers[0].kind", "'linear'"),
    ("contest.promote", "true"),
    ("contest.alpha", "0.5"),
    ("contest.labels_min", "1"),
];
const NAMED: &[(&str, &str)] = &[("challengers[0].name", "'NAME'")];
const SHADOW: &[(&str, &str)] =
    &[("challengers[0].name", "'NAME'"), ("challengers[0].kind", "'linear'")];
const NETWORK: &[(&str, &str)] = &[("model.kind", "'mlp'")];
const SHADOW_NETWORK: &[(&str, &str)] =
    &[("challengers[0].name", "'NAME'"), ("challengers[0].kind", "'mlp'")];
const SHADOW_FTRL: &[(&str, &str)] = &[
    ("challengers[0].name", "'NAME'"),
    ("challengers[0].kind", "'linear'"),
    ("challengers[0].optimizer", "'ftrl'"),
];

const IMPORTED: &[(&str, &str)] = &[("model.kind", "'imported'")];
const UNNAMED: &[(&str, &str)] =
    &[("model.kind", "'imported'"), ("model.file", "'{models}/unnamed.json'")];
const TWO_OUTPUTS: &[(&str, &str)] = &[
    ("model.kind", "'imported'"),
    ("model.file", "'{models}/two_outputs.onnx'"),
    ("model.file_columns", "['NUMBER']"),
];
const RISES: &[(&str, &str)] =
    &[("model.kind", "'imported'"), ("model.file", "'{models}/rises.json'")];
const SHADOW_IMPORTED: &[(&str, &str)] =
    &[("challengers[0].name", "'NAME'"), ("challengers[0].kind", "'imported'")];
const SHADOW_UNNAMED: &[(&str, &str)] = &[
    ("challengers[0].name", "'NAME'"),
    ("challengers[0].kind", "'imported'"),
    ("challengers[0].file", "'{models}/unnamed.json'"),
];
const SHADOW_TWO_OUTPUTS: &[(&str, &str)] = &[
    ("challengers[0].name", "'NAME'"),
    ("challengers[0].kind", "'imported'"),
    ("challengers[0].file", "'{models}/two_outputs.onnx'"),
    ("challengers[0].file_columns", "['NUMBER']"),
];
const SHADOW_RISES: &[(&str, &str)] = &[
    ("challengers[0].name", "'NAME'"),
    ("challengers[0].kind", "'imported'"),
    ("challengers[0].file", "'{models}/rises.json'"),
];

pub const ROWS: &[Row] = &[
    row("model.task", &["'binary'", "'regression'"], "'ranking'", scores),
    row("model.classes", &["['0', '1']", "['0', '1', '2']"], "['0']", scores).with(CLASSES),
    row(
        "model.kind",
        &[
            "'auto'",
            "'linear'",
            "'fm'",
            "'ffm'",
            "'boost'",
            "'forest'",
            "'anomaly'",
            "'mlp'",
            "'deep'",
        ],
        "'trees'",
        scores,
    ),
    row("model.optimizer", &["'auto'", "'ftrl'", "'adagrad'", "'sgd'"], "'adam'", scores)
        .with(LINEAR),
    row("model.rate", &[NONE, "0.2"], "0", scores).with(LINEAR),
    row("model.rate", &[NONE, "0.2"], "1e3", scores).with(FTRL),
    row("model.rate", &[NONE, "0.2"], "'fast'", scores).with(ADAGRAD),
    row("model.rate", &[NONE, "0.2"], "nan", scores).with(SGD),
    row("model.fold", &["true", "false"], "1", scores).with(LINEAR),
    row("model.l1", &["0.0", "0.01"], "-1", scores).with(LINEAR),
    row("model.l1", &["0.0", "0.01"], "nan", scores).with(FTRL),
    row("model.l1", &["0.0", "0.01"], "inf", scores).with(ADAGRAD),
    row("model.l1", &["0.0", "0.01"], "'none'", scores).with(SGD),
    row("model.l2", &["0.0", "0.01"], "-1", scores).with(LINEAR),
    row("model.l2", &["0.0", "0.01"], "nan", scores).with(FTRL),
    row("model.l2", &["0.0", "0.01"], "1e7", scores).with(ADAGRAD),
    row("model.l2", &["0.0", "0.01"], "'none'", scores).with(SGD),
    row("model.positive_weight", &["1.0", "5.0"], "0", scores).with(LINEAR),
    row("model.positive_weight", &["1.0", "5.0"], "nan", scores).with(FTRL),
    row("model.positive_weight", &["1.0", "5.0"], "'5'", scores).with(ADAGRAD),
    row("model.positive_weight", &["1.0", "5.0"], "inf", scores).with(SGD),
    row("model.replay_rows", &["0", "100"], "-1", models).with(NETWORK),
    row("model.negatives", &["1.0", "0.3"], "0", scores),
    row("model.strangeness", &["false", "true"], "1", models),
    row("model.calibrate", &["'none'", "'platt'", "'isotonic'"], "'always'", scores),
    row("model.file", &["'{models}/rises.json'", "'{models}/falls.json'"], "5", scores)
        .with(IMPORTED),
    row("model.file", &[NONE, "'{models}/rises.json'", "'{models}/falls.json'"], "5", scores),
    row("model.file_columns", &["['NUMBER']", "['count of CATEGORY over 1h']"], "5", scores)
        .with(UNNAMED),
    row("model.file_output", &["'high'", "'low'"], "5", scores).with(TWO_OUTPUTS),
    row("model.file_gives", &["'predictions'", "'log_odds'"], "'odds'", scores).with(RISES),
    row("challengers[0].name", &["'NAME'", "'OTHER'"], "'two words'", models),
    row(
        "challengers[0].kind",
        &[
            "'auto'",
            "'linear'",
            "'fm'",
            "'ffm'",
            "'boost'",
            "'forest'",
            "'anomaly'",
            "'mlp'",
            "'deep'",
        ],
        "'trees'",
        models,
    )
    .with(NAMED),
    row("challengers[0].optimizer", &["'auto'", "'ftrl'", "'sgd'"], "'adam'", models).with(SHADOW),
    row("challengers[0].rate", &[NONE, "0.2"], "0", models).with(SHADOW_FTRL),
    row("challengers[0].fold", &["true", "false"], "1", models).with(SHADOW),
    row("challengers[0].l1", &["0.0", "0.01"], "-1", models).with(SHADOW_FTRL),
    row("challengers[0].l2", &["0.0", "0.01"], "-1", models).with(SHADOW_FTRL),
    row("challengers[0].positive_weight", &["1.0", "5.0"], "0", models).with(SHADOW),
    row("challengers[0].replay_rows", &["0", "100"], "-1", models).with(SHADOW_NETWORK),
    row("challengers[0].negatives", &["1.0", "0.3"], "1.5", models).with(SHADOW),
    row("challengers[0].strangeness", &["false", "true"], "1", models).with(NAMED),
    row("challengers[0].calibrate", &["'none'", "'platt'"], "'always'", models).with(SHADOW),
    row("challengers[0].file", &["'{models}/rises.json'", "'{models}/falls.json'"], "5", models)
        .with(SHADOW_IMPORTED),
    row(
        "challengers[0].file_columns",
        &["['NUMBER']", "['count of CATEGORY over 1h']"],
        "5",
        models,
    )
    .with(SHADOW_UNNAMED),
    row("challengers[0].file_output", &["'high'", "'low'"], "5", models).with(SHADOW_TWO_OUTPUTS),
    row("challengers[0].file_gives", &["'predictions'", "'log_odds'"], "'odds'", models)
        .with(SHADOW_RISES),
    row("contest.promote", &["true", "false"], "1", scores).with(WORSE),
    row("contest.alpha", &["0.5", "1e-9"], "0", scores).with(WORSE),
    row("contest.labels_min", &["1", "100000"], "0", scores).with(WORSE),
    row("learn.step_rows", &["1", "100"], "0", scores),
    row("evaluate.k", &["1", "50"], "0", metrics).with(GROUPED),
    row(
        "evaluate.metrics",
        &["['auc']", "['brier']", "['ece']", "['auc', 'brier']"],
        "['auk']",
        metrics,
    ),
    row("evaluate.group", &["'SHOP'", "'CATEGORY'"], "'NUMBER'", metrics).with(GROUPED),
    row("evaluate.from", &[NONE, "'2018-07-26'"], "'soon'", metrics),
    row("evaluate.to", &[NONE, "'2018-07-25'", "'2018-07-25T22:00:00Z'"], "5", metrics),
    row("evaluate.trailing_rows", &["10000", "100"], "0", trailing),
];
