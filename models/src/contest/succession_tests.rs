//! Entrants that stay go on to the bit, whoever else joins or leaves.

use super::succeed::{Former, Layout, renote};
use super::tests::contest;
use super::*;
use crate::boost::Boost;
use crate::linear::{Linear, LinearConfig};
use crate::tests::{SHAPE, Stream, notes_of, saved, small, walk};

const RULE: Rule = Rule { is_automatic: false, alpha: 0.01, labels_min: 100 };
const TASK: Task = Task::Binary;

fn stream() -> Stream {
    Stream::new(31, 3000, |x, y, _| f32::from(u8::from(x * y > 0.0)))
}

fn linear() -> Box<dyn Model> {
    Box::new(Linear::new(LinearConfig::new(TASK), SHAPE).expect("possible"))
}

fn trees() -> Box<dyn Model> {
    Box::new(Boost::new(small(TASK), SHAPE).expect("possible"))
}

fn of(models: Vec<(&str, Box<dyn Model>)>) -> Contest {
    let models = models.into_iter().map(|(name, model)| (name.to_owned(), model)).collect();
    Contest::new(TASK, SHAPE, RULE, models).expect("possible")
}

fn all() -> Vec<String> {
    ["model", "line", "trees"].map(str::to_owned).to_vec()
}

/// A model alone becomes a champion: its scores are what they would have been alone.
#[test]
fn a_model_alone_gets_challengers() {
    let stream = stream();
    let [mut alone, mut again] = [linear(), linear()];
    walk(&mut *alone, &stream, 0, 1000);
    walk(&mut *again, &stream, 0, 1000);
    let mut next = of(vec![("model", linear()), ("trees", trees())]);
    let former = Former { name: "model".to_owned(), model: again };
    assert!(next.succeed(former, &all()).is_ok());
    assert_eq!(next.version(), alone.version());
    let expected = walk(&mut *alone, &stream, 1000, 3000);
    assert_eq!(walk(&mut next, &stream, 1000, 3000), expected);
    // The new one is as if it had begun there.
    let mut fresh = trees();
    walk(&mut *fresh, &stream, 1000, 3000);
    assert!(saved(&*next.entrants[1].model) == saved(&*fresh));
    // And back: the champion goes on alone.
    let left = next.leave("model").expect("it is the champion");
    assert!(saved(&*left) == saved(&*alone));
}

/// One leaves, one joins; who stays keeps model, losses and place.
#[test]
fn others_join_and_leave() {
    let stream = stream();
    let mut before = contest(TASK, RULE);
    walk(&mut before, &stream, 0, 2000);
    let mut same = contest(TASK, RULE);
    walk(&mut same, &stream, 0, 2000);
    let standings = before.standings();
    let mut next = of(vec![("new", linear()), ("line", linear())]);
    let former = Former { name: "model".to_owned(), model: Box::new(before) };
    assert!(next.succeed(former, &all()).is_ok());
    let [new, line] = &next.standings()[..] else { panic!("two") };
    assert!(line.is_champion && !new.is_champion && line.loss == standings[0].loss);
    assert_eq!((new.loss, new.evidence), (0.0, 0.0));
    let expected = walk(&mut same, &stream, 2000, 3000);
    assert_eq!(walk(&mut next, &stream, 2000, 3000), expected);
    // The mean is over the rows that each was judged by.
    assert!((next.standings()[0].loss - 0.7).abs() < 0.1, "{:?}", next.standings());

    // One of the same name that is another begins.
    let mut other = of(vec![("trees", trees()), ("line", linear())]);
    let bytes = saved(&next);
    let mut copy = of(vec![("new", linear()), ("line", linear())]);
    copy.read_state(&mut &bytes[..]).expect("own bytes");
    let former = Former { name: "model".to_owned(), model: Box::new(copy) };
    assert!(other.succeed(former, &["line".to_owned()]).is_ok());
    assert_eq!(other.entrants[0].model.version(), 0);

    // The champion may not leave.
    let mut none = of(vec![("other", linear()), ("trees", trees())]);
    let former = Former { name: "model".to_owned(), model: Box::new(same) };
    let back = none.succeed(former, &all()).expect_err("the champion is not among them");
    assert!(back.model.contest().is_some());
}

/// Notes of who stays are the same, those of who is new are what it says untrained; a row that was
/// scored before is judged and learned after.
#[test]
fn what_waits_gets_its_notes() {
    let stream = stream();
    let mut before = contest(TASK, RULE);
    walk(&mut before, &stream, 0, 500);
    let old = notes_of(&before, &stream, 500, 501);
    let (features, _) = stream.batch(&old, 500, 501);
    let mut scores = [0.0];
    before.score(&features, &mut scores).expect("it fits");
    let layout = Layout::of("model", &before);
    let mut next = of(vec![("line", linear()), ("new", trees()), ("trees", trees())]);
    let former = Former { name: "model".to_owned(), model: Box::new(before) };
    assert!(next.succeed(former, &all()).is_ok());
    let after = Layout::of("model", &next);
    let mut notes = Vec::new();
    renote((&layout, &after), &next, (&features, &scores), &mut notes).expect("it fits");
    let whole = notes_of(&next, &stream, 500, 501);
    // Nobody has learned since: all would note the same now.
    assert_eq!(notes, whole);
    assert_eq!(next.noted_scores(0, &notes), scores);
    // Of a model alone the scores are those that were given.
    let alone = Layout::of("line", &*linear());
    let given = Features { notes: &[], ..features };
    renote((&alone, &after), &next, (&given, &[0.25]), &mut notes).expect("it fits");
    assert_eq!(next.noted_scores(0, &notes), [0.25]);
    assert_eq!(next.noted_scores(1, &notes), next.noted_scores(1, &whole));
}
