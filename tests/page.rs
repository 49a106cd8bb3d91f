//! The page of a replay, by the program itself: the same for the same stream, and true.

use serde_json::Value;

use crate::cli::{pelton, text};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/fraud/pelton.toml");

#[test]
fn one_stream_gives_one_page_with_the_values_of_the_report() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let input = path("payments.parquet");
    let generated = ["generate", "fraud", "--events", "8000", "--seed", "5", "--output"];
    assert!(pelton(&[&generated[..], &[text(&input)]].concat()).status.success());
    let config = std::fs::read_to_string(EXAMPLE).expect("the example");
    let metrics = "metrics = [\"ece\", \"kappa\", ";
    let mut pages = Vec::new();
    for rows_max in [7, 4096, 4096] {
        let (own, html, report) = (path("own.toml"), path("page.html"), path("report.json"));
        // The example judges months that so short a stream does not reach.
        let is_bound = |line: &&str| line.starts_with("from = ") || line.starts_with("to = ");
        let all: Vec<&str> = config.lines().filter(|line| !is_bound(line)).collect();
        let config = all.join("\n").replace("metrics = [", metrics);
        let config =
            format!("batch.rows_max = {rows_max}\nmodel.calibrate = \"isotonic\"\n{config}");
        std::fs::write(&own, &config).expect("written");
        let arguments = ["replay", text(&own), "--input", text(&input), "--html", text(&html)];
        let output = pelton(&[&arguments[..], &["--report", text(&report)]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let page = std::fs::read_to_string(&html).expect("a page");
        let report = std::fs::read_to_string(&report).expect("a report");
        let report: Value = serde_json::from_str(&report).expect("JSON");
        for (name, value) in report["metrics"].as_object().expect("metrics") {
            let Some(value) = value.as_f64() else {
                assert_eq!(name, "models");
                continue;
            };
            let cell = format!("<th scope=\"row\">{name}</th><td><data value=\"");
            let shown = page.split(&cell).nth(1).and_then(|rest| rest.split('"').next());
            let shown: f64 = shown.and_then(|shown| shown.parse().ok()).expect("a number");
            assert!((shown - value).abs() <= 1e-14 * value.abs(), "{name}: {shown} {value}");
        }
        let bins = report["reliability"].as_array().expect("bins");
        let gap = |bin: &Value| {
            let [rows, mean, observed] = ["rows", "mean_score", "observed"]
                .map(|name| bin[name].as_f64().expect("a number"));
            [rows, rows * (mean - observed).abs()]
        };
        let add = |sum: [f64; 2], bin: [f64; 2]| [sum[0] + bin[0], sum[1] + bin[1]];
        let [rows, gaps] = bins.iter().map(gap).fold([0.0; 2], add);
        let ece = report["metrics"]["ece"].as_f64().expect("a number");
        assert!(bins.len() <= 15 && (gaps / rows - ece).abs() < 1e-12, "{bins:?} {ece}");
        for fact in ["score_digest", "model_digest", "device"] {
            let fact = report[fact].as_str().expect("a text");
            assert!(page.contains(&format!("<dd>{fact}</dd>")), "{fact}");
        }
        let digest = blake3::hash(config.as_bytes()).to_hex();
        assert!(page.contains(digest.as_str()) && page.contains("payments.parquet"));
        assert!(!page.contains("http") && !page.contains(text(folder.path())));
        // Only the configuration tells how the stream was cut.
        pages.push((page.replace(digest.as_str(), "digest"), page));
    }
    assert!(pages[1].1 == pages[2].1, "the same stream, another page");
    assert!(pages[0].0 == pages[1].0, "the cuts of the stream show on the page");
}

#[test]
fn the_help_tells_of_it() {
    let help = pelton(&["replay", "--help"]);
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(help.contains("--html <FILE>"), "{help}");
}
