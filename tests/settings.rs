//! Every setting does something, and every illegal value is refused by name.
//!
//! Each setting that `pelton check --settings` lists has a [`Row`](row::Row): a base
//! configuration, values of which no two may look the same, a value that is illegal, and the look:
//! what of the engine's behaviour is compared. **A new setting needs a row**, in the file of its
//! section here, or in `tests/kafka/settings.rs` when only a broker can show it; several rows of
//! one setting show it under several bases. The committed list of settings is held to the program
//! here too.

mod checkpoint;
mod drift;
mod event;
mod features;
mod flow;
mod guard;
mod listing;
pub mod look;
mod model;
pub mod row;
pub mod stream;

use std::collections::BTreeSet;

use pelton::config::Config;
use row::{Row, check};
use toml::Table;

fn rows() -> impl Iterator<Item = &'static Row> {
    let own = [event::ROWS, flow::ROWS, features::ROWS, model::ROWS];
    let own = own.into_iter().chain([guard::ROWS, drift::ROWS, checkpoint::ROWS]);
    let all = own.chain([crate::kafka::settings::ROWS]);
    all.flatten()
}

#[test]
fn every_setting_has_a_row() {
    let listed: BTreeSet<String> = Config::settings().into_iter().map(|s| s.path).collect();
    let proven: BTreeSet<String> = rows().map(|row| row.path.to_owned()).collect();
    let without: Vec<_> = listed.difference(&proven).collect();
    assert!(without.is_empty(), "no row in tests/settings/ shows what these do: {without:?}");
    let gone: Vec<_> = proven.difference(&listed).collect();
    assert!(gone.is_empty(), "rows of what is no setting (any more): {gone:?}");
}

#[test]
fn settings_of_events_do_something() {
    check(event::ROWS);
}

#[test]
fn settings_of_labels_batches_and_files_do_something() {
    check(flow::ROWS);
}

#[test]
fn settings_of_features_do_something() {
    check(features::ROWS);
}

#[test]
fn settings_of_the_model_and_its_judge_do_something() {
    check(model::ROWS);
}

#[test]
fn settings_of_the_guard_do_something() {
    check(guard::ROWS);
}

#[test]
fn settings_of_drift_do_something() {
    check(drift::ROWS);
}

#[test]
fn settings_of_checkpoints_do_something() {
    check(checkpoint::ROWS);
}

/// The paths of the problems of a configuration.
fn problems(table: &Table) -> Vec<String> {
    let problems = Config::parse(&table.to_string()).expect_err("an illegal value is accepted");
    problems.0.into_iter().map(|problem| problem.path).collect()
}

fn names(problems: &[String], path: &str) -> bool {
    let is_within = |problem: &String| {
        problem.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    problems.iter().any(is_within)
}

#[test]
fn an_illegal_value_of_each_setting_is_refused_by_its_path() {
    for row in rows() {
        let mut table = row.table(row.values[0]);
        row::set(&mut table, row.path, row.wrong);
        let problems = problems(&table);
        assert!(names(&problems, row.path), "{} = {}: {problems:?}", row.path, row.wrong);
    }
}

#[test]
fn all_illegal_values_are_reported_together() {
    let mut table: Table = row::BASE.parse().expect("a constant");
    for row in rows() {
        row::set(&mut table, row.path, row.wrong);
    }
    let problems = problems(&table);
    for row in rows() {
        assert!(names(&problems, row.path), "{} = {} is not in {problems:?}", row.path, row.wrong);
    }
}
