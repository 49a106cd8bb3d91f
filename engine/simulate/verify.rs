//! What must hold at the end of a history.
//!
//! Always: every record was read once, consumed = scored + dead-lettered + filtered, every event
//! has its one score or dead letter in the topics, and the state is that of the oracle to the last
//! byte. When the order of the surviving history was kept through every death, what was sent in the
//! lives before it is the oracle's too, byte by byte.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::dice::Dice;
use super::history::Left;
use super::job::Job;
use super::oracle::{self, Oracle, Stretch, by_origin};
use super::topic::{Origin, Stored, Topic};

/// Checks a history that has ended.
///
/// # Errors
/// The promise that was broken.
pub fn check(
    job: &Job,
    order: &[Stretch],
    left: &Left,
    topics: &[Arc<Topic>; 2],
    is_exact: bool,
    dice: &mut Dice,
) -> Result<(), String> {
    is_complete(job, order)?;
    let Oracle { pipeline, totals, outputs } =
        oracle::lead(job, order, dice).map_err(|error| error.chain())?;
    if !left.totals.balances() {
        return Err(format!("what went in did not come out: {:?}", left.totals));
    }
    if left.totals != totals {
        return Err(format!("counted {:?}, and should have {totals:?}", left.totals));
    }
    let state = |pipeline| oracle::state(pipeline).map_err(|error| error.chain());
    let (found, expected) = (state(&left.pipeline)?, state(&pipeline)?);
    let differs = |section: &&&str| found.get(**section) != expected.get(**section);
    if let Some(section) = expected.keys().find(differs) {
        return Err(format!("the state of {section:?} is not that of the order it was made in"));
    }
    let digests = |pipeline: &crate::pipeline::Pipeline| {
        let learner = pipeline.learner();
        (learner.model_digest().ok(), learner.score_digest())
    };
    if digests(&left.pipeline) != digests(&pipeline) {
        return Err("the digests are not those of the order".into());
    }
    let (learned, joins) =
        (left.pipeline.learner().counts().learned, left.pipeline.join().counts());
    if learned > totals.scored + joins.corrected {
        return Err(format!("{learned} labels learned of {} events", totals.scored));
    }
    for ((topic, expected), what) in topics.iter().zip(outputs).zip(["scores", "dead letters"]) {
        are_sent(&by_origin(topic.records()), &by_origin(expected), is_exact)
            .map_err(|why| format!("{what}: {why}"))?;
    }
    Ok(())
}

/// Every record of every partition, each once, in the partition's order.
fn is_complete(job: &Job, order: &[Stretch]) -> Result<(), String> {
    let mut next = vec![0; job.partitions.len()];
    for &(partition, from, to) in order {
        if next[partition] != from {
            let known = next[partition];
            return Err(format!("partition {partition} was read to {known}, then from {from}"));
        }
        next[partition] = to;
    }
    for (rank, partition) in job.partitions.iter().enumerate() {
        let end = partition.entries.last().map_or(0, |entry| entry.offset + 1);
        if next[rank] != end {
            return Err(format!("partition {rank} was read to {} of {end}", next[rank]));
        }
    }
    Ok(())
}

/// Each is there once, and in an exact history nothing else is.
fn are_sent(
    sent: &BTreeMap<Option<Origin>, Vec<Stored>>,
    expected: &BTreeMap<Option<Origin>, Vec<Stored>>,
    is_exact: bool,
) -> Result<(), String> {
    for (origin, records) in sent {
        if records.len() > 1 {
            return Err(format!("{} records of {origin:?}", records.len()));
        }
        // In another order a record may have been late or a duplicate that is none in this one.
        if is_exact && !expected.contains_key(origin) {
            return Err(format!("a record of {origin:?}, which has none"));
        }
    }
    for (origin, records) in expected {
        let Some(found) = sent.get(origin) else { return Err(format!("none of {origin:?}")) };
        if is_exact && found != records {
            let text =
                |records: &[Stored]| String::from_utf8_lossy(&records[0].payload).into_owned();
            return Err(format!("{} instead of {}", text(found), text(records)));
        }
    }
    Ok(())
}
