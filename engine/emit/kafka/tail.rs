//! The end of a topic we write to: where it is, and what lies before it.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};

use crate::config::stream::KafkaConfig;
use crate::emit::delivered::{Delivered, origin_of_headers, origin_of_json};
use crate::error::Error;
use crate::kafka;
use crate::kafka::stored::{Extent, Stored, read_stored};

/// How long one question to the brokers may take.
const ASK: Duration = Duration::from_secs(10);

/// The offset that the next record of each partition gets, or an earlier one.
///
/// # Errors
/// [`Error::Kafka`] when the brokers do not answer.
pub fn ends<C: ClientContext>(
    client: &Client<C>,
    brokers: &str,
    topic: &str,
) -> Result<Vec<(i32, i64)>, Error> {
    let partitions = kafka::find_topic(client, brokers, topic, ASK)?;
    let end = |partition| match client.fetch_watermarks(topic, partition, ASK) {
        Ok((_, high)) => Ok((partition, high)),
        Err(error) => {
            let action = || format!("find the end of {topic:?}, partition {partition}");
            Err(kafka::error(brokers, action)(error))
        }
    };
    partitions.into_iter().map(end).collect()
}

/// Notes every record from the offsets `from` on, once nothing has come for `settle`. A partition
/// that `from` does not name is read whole.
///
/// # Errors
/// [`Error::Kafka`] when the brokers refuse, or send nothing for half a minute.
pub fn read(
    config: &KafkaConfig,
    topic: &str,
    from: &[(i32, i64)],
    settle: Duration,
    delivered: &mut Delivered,
) -> Result<(), Error> {
    let from = |partition| Some(from.iter().find(|(p, _)| *p == partition).map_or(0, |&(_, n)| n));
    let of_any = delivered.clone();
    let is_settling =
        |stored: &Stored<'_>| origin(stored).is_none_or(|(_, of, _)| of_any.is_of(of));
    let extent = Extent { topic, from: &from, settle, is_settling: &is_settling };
    read_stored(config, &extent, &mut |stored| {
        if let Some((topic, partition, offset)) = origin(stored) {
            delivered.note(&topic, partition, offset);
        }
        Ok(ControlFlow::Continue(()))
    })
}

/// A dead letter names its record in headers, a score in its payload.
fn origin<'s>(stored: &Stored<'s>) -> Option<(Cow<'s, str>, i32, i64)> {
    if stored.headers.is_empty() {
        return origin_of_json(stored.payload);
    }
    origin_of_headers(&stored.headers)
}
