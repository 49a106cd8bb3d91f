//! Champion and challengers through the whole engine: the shadow changes no score, cuts of the
//! stream change no verdict, and a word or the rule puts another in the champion's place.

use pelton::config::Config;

use crate::cli::{pelton, text};
use crate::guard::records;
use crate::model::{Job, events, run, scores, succeed};
use crate::support::trace;

const BASE: &str = "
    event = { id = 'id', time = 't' }
    labels = { topic = 'labels', id = 'id', field = 'y', time = 't' }
    fields.x = { type = 'number' }
    fields.shop = { type = 'category' }
    features = [{ number = 'x' }, { category = 'shop' }]";
const CHALLENGERS: &str = "
    challengers = [{ name = 'trees', kind = 'boost' }, { name = 'line', kind = 'linear' }]";

fn config(text: &str) -> Config {
    Config::parse(text).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn the_shadow_changes_no_score_and_cuts_no_verdict() {
    let records = records(81, 3000, 0..0);
    let alone = trace(&config(BASE), &records, 64);
    let both = config(&format!("{BASE}{CHALLENGERS}"));
    let shadowed = trace(&both, &records, 64);
    assert_eq!(shadowed.scores, alone.scores);
    assert_eq!(shadowed.metrics, alone.metrics);
    for cut in [1, 7, 1000] {
        assert_eq!(trace(&both, &records, cut), shadowed, "batches of {cut}");
    }
    // A champion that learns nothing is overtaken, in the same place however the stream is cut.
    let worse = "
        model = { kind = 'linear', optimizer = 'sgd', rate = 1e-6 }
        contest = { promote = true, labels_min = 100 }";
    let worse = config(&format!("{BASE}{CHALLENGERS}{worse}"));
    let overtaken = trace(&worse, &records, 64);
    for cut in [1, 7, 1000] {
        assert_eq!(trace(&worse, &records, cut), overtaken, "batches of {cut}");
    }
    let waits = format!(
        "{BASE}{CHALLENGERS}
        model = {{ kind = 'linear', optimizer = 'sgd', rate = 1e-6 }}"
    );
    assert_ne!(trace(&config(&waits), &records, 64).scores, overtaken.scores);
}

/// A challenger is promoted by a word while the engine stands still; from there on its scores
/// leave, and going on is going on.
#[test]
fn a_challenger_is_promoted_by_a_word() {
    const WORSE: &str = "
        model = { kind = 'linear', optimizer = 'sgd', rate = 1e-6 }
        challengers = [{ name = 'good', kind = 'linear' }]";
    let job = Job::new();
    let shadow = job.config_with("shadow", WORSE);
    job.append(&events(82, 0, false));
    run(&shadow);
    let listed = succeed(&pelton(&["model", "list", text(&shadow)]));
    assert!(listed.contains("champion model") && listed.contains("challenger good"), "{listed}");
    let nobody = pelton(&["model", "promote", text(&shadow), "--challenger", "nobody"]);
    let error = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert!(nobody.status.code() == Some(2) && error.contains("model, good"), "{error}");
    succeed(&pelton(&["model", "promote", text(&shadow), "--challenger", "good"]));
    let listed = succeed(&pelton(&["model", "list", text(&shadow)]));
    assert!(listed.contains("champion good") && listed.contains("challenger model"), "{listed}");
    job.append(&events(82, 1000, false));
    run(&shadow);
    // The same events, with the good one as the model from the start.
    let alone = Job::new();
    let good = alone.config_with("good", "model.kind = 'linear'");
    alone.append(&events(82, 0, false));
    run(&good);
    alone.append(&events(82, 1000, false));
    run(&good);
    let (shadow, good) = (scores(&job.path("shadow.scores")), scores(&alone.path("good.scores")));
    assert_eq!((shadow.len(), good.len()), (2000, 2000));
    assert_eq!(shadow[1000..], good[1000..]);
    assert_ne!(shadow[..1000], good[..1000]);
}

/// Challengers join a job that runs, and leave it; the champion's scores show nothing of it, and a
/// new one begins with what it could not have known.
#[test]
fn challengers_join_and_leave() {
    let (job, alone) = (Job::new(), Job::new());
    let steps = [
        "",
        "challengers = [{ name = 'trees', kind = 'boost' }]",
        "challengers = [{ name = 'line', kind = 'linear' }, { name = 'trees', kind = 'boost' }]",
        "challengers = [{ name = 'line', kind = 'linear' }]",
        "",
    ];
    let learned = |listed: &str| -> Vec<String> {
        let mut lines = listed.lines().rev();
        let told = lines.by_ref().take_while(|line| !line.ends_with("well"));
        let name = |line: &str| Some(line.split(':').next()?.trim().to_owned());
        let mut names: Vec<String> =
            told.filter(|line| line.contains("challenger")).filter_map(name).collect();
        names.sort();
        names
    };
    let expected = [vec![], vec!["trees"], vec!["line", "trees"], vec!["line"], vec![]];
    for ((at, more), expected) in steps.into_iter().enumerate().zip(expected) {
        for own in [&job, &alone] {
            own.append(&events(84, 1000 * at, false));
        }
        let shadow = job.config_with("job", &format!("model.kind = 'ffm'\n{more}"));
        run(&shadow);
        run(&alone.config_with("job", "model.kind = 'ffm'"));
        let listed = succeed(&pelton(&["model", "list", text(&shadow)]));
        let expected: Vec<String> =
            expected.into_iter().map(|name| format!("challenger {name}")).collect();
        assert_eq!(learned(&listed), expected, "{listed}");
    }
    let (shadowed, plain) = (scores(&job.path("job.scores")), scores(&alone.path("job.scores")));
    assert_eq!(shadowed.len(), 5000);
    assert_eq!(shadowed, plain);

    // One of the same name, but another kind, begins anew; the file is read again as it is then.
    for kind in ["linear", "boost"] {
        let more =
            format!("model.kind = 'ffm'\nchallengers = [{{ name = 'other', kind = '{kind}' }}]");
        run(&job.config_with("job", &more));
    }
    run(&job.config_with(
        "job",
        "model.kind = 'ffm'\nchallengers = [{ name = 'other', kind = 'boost' }]",
    ));

    // A champion that is not [model] may not go with its list.
    let more = "model.kind = 'ffm'\nchallengers = [{ name = 'line', kind = 'linear' }]";
    let shadow = job.config_with("job", more);
    succeed(&pelton(&["model", "promote", text(&shadow), "--challenger", "line"]));
    let without = job.config_with("job", "model.kind = 'ffm'");
    let refused = pelton(&["run", text(&without)]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && error.contains("line"), "{error}");
}

#[test]
fn the_report_tells_of_every_model() {
    let job = Job::new();
    job.append(&events(83, 0, false));
    let more = "
        contest = { promote = true, labels_min = 50 }
        model = { kind = 'linear', optimizer = 'sgd', rate = 1e-6 }
        challengers = [{ name = 'good', kind = 'linear' }]";
    let config = job.config_with("told", more);
    let (input, report) = (job.path("events.jsonl"), job.path("report.json"));
    let page = job.path("page.html");
    let arguments = ["replay", text(&config), "--input", text(&input)];
    let outputs = ["--report", text(&report), "--html", text(&page)];
    succeed(&pelton(&[arguments.as_slice(), outputs.as_slice()].concat()));
    let report = std::fs::read_to_string(&report).expect("a report");
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    let contest = &report["contest"];
    assert_eq!((&contest["champion"], &contest["promotions"]), (&"good".into(), &1.into()));
    let loss = |name: &str| report["metrics"]["models"][name]["log_loss"].as_f64().expect(name);
    assert!(loss("good") < loss("served") && loss("served") < loss("model"));
    assert_eq!(report["metrics"]["log_loss"].as_f64(), Some(loss("served")));
    let page = std::fs::read_to_string(&page).expect("a page");
    for told in ["good promoted", "served, all rows so far", "model, all rows so far"] {
        assert!(page.contains(told), "{told}");
    }
}
