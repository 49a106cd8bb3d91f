//! What the Kafka source and the Kafka sinks share: properties of a client, its log, its errors.
//!
//! Nothing here reads or writes records; see [`source::kafka`](crate::source::kafka) and
//! [`emit::kafka`](crate::emit::kafka).

pub mod stored;

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult};
use rdkafka::client::{Client, ClientContext, DefaultClientContext};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::MetadataPartition;

use crate::backoff::{Backoff, Jitter};
use crate::config::stream::KafkaConfig;
use crate::error::Error;

/// Properties of a client: our `defaults`, over them the user's, over them `ours`, which the user
/// may not set.
///
/// # Errors
/// [`Error::Usage`] when the user sets one of `ours`.
pub fn client_config(
    kafka: &KafkaConfig,
    defaults: &[(&str, &str)],
    ours: &[(&str, &str)],
) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Warning);
    for &(name, value) in defaults {
        config.set(name, value);
    }
    for (name, value) in &kafka.properties {
        if name == "bootstrap.servers" || ours.iter().any(|(own, _)| own == name) {
            return Err(Error::Usage {
                what: format!("kafka.properties.\"{name}\" is set by the engine"),
                remedy: "remove it; brokers, group and member have settings of their own".into(),
            });
        }
        config.set(name, value);
    }
    for &(name, value) in ours {
        config.set(name, value);
    }
    config.set("bootstrap.servers", &kafka.brokers);
    Ok(config)
}

/// For `map_err`: what could not be done at these brokers. A property that librdkafka does not take
/// is the user's to fix.
pub fn error(brokers: &str, action: impl FnOnce() -> String) -> impl FnOnce(KafkaError) -> Error {
    let brokers = brokers.to_owned();
    move |source| match source {
        KafkaError::ClientConfig(_, reason, name, _) => Error::Usage {
            what: format!("kafka.properties.\"{name}\": {reason}"),
            remedy: "see the list of properties of librdkafka 2.12".into(),
        },
        source => Error::Kafka { brokers, action: action(), source: Box::new(source) },
    }
}

/// Whether the brokers refuse us for good, so that waiting would not help.
#[must_use]
pub fn ends_a_run(code: Option<RDKafkaErrorCode>) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Some(
            Code::Authentication
                | Code::SaslAuthenticationFailed
                | Code::UnsupportedSASLMechanism
                | Code::IllegalSASLState
                | Code::SSL
                | Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::InvalidGroupId
                | Code::FencedInstanceId
                | Code::UnsupportedFeature
                | Code::UnsupportedVersion
                | Code::UnknownTopic
                | Code::UnknownTopicOrPartition
                | Code::InvalidTopic
                | Code::AutoOffsetReset
                | Code::OffsetOutOfRange
                | Code::Fatal
        )
    )
}

/// The partitions of a topic; waits for the brokers up to `wait`. A pattern, which begins with `^`,
/// need not match anything yet and has none.
///
/// # Errors
/// [`Error::Kafka`] when no broker answers in time, or the topic does not exist.
pub fn find_topic<C: ClientContext>(
    client: &Client<C>,
    brokers: &str,
    topic: &str,
    wait: Duration,
) -> Result<Vec<i32>, Error> {
    if topic.starts_with('^') {
        return Ok(Vec::new());
    }
    let deadline = Instant::now() + wait;
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
    let mut jitter = Jitter::of_this_process();
    loop {
        let failed = match client.fetch_metadata(Some(topic), Duration::from_secs(2)) {
            Ok(metadata) => match metadata.topics().first() {
                Some(found) if !found.partitions().is_empty() => {
                    return Ok(found.partitions().iter().map(MetadataPartition::id).collect());
                }
                found => KafkaError::MetadataFetch(
                    found
                        .and_then(|t| t.error())
                        .map_or(RDKafkaErrorCode::UnknownTopicOrPartition, Into::into),
                ),
            },
            Err(error) => error,
        };
        if ends_a_run(failed.rdkafka_error_code()) || Instant::now() >= deadline {
            return Err(error(brokers, || format!("find topic {topic:?}"))(failed));
        }
        if backoff.attempts() == 0 {
            tracing::warn!(brokers, topic, error = %failed, "waiting for the brokers");
        }
        let pause = backoff.next(jitter.unit()).unwrap_or_default();
        std::thread::sleep(pause.min(deadline.saturating_duration_since(Instant::now())));
    }
}

/// Creates the topics that do not exist yet, each with this many partitions.
///
/// # Errors
/// [`Error::Kafka`] when the brokers do not answer or refuse.
pub fn create_topics(kafka: &KafkaConfig, topics: &[(&str, i32)]) -> Result<(), Error> {
    let wanted: Vec<NewTopic<'_>> = topics
        .iter()
        .map(|&(name, partitions)| NewTopic::new(name, partitions, TopicReplication::Fixed(-1)))
        .collect();
    administer(kafka, "create", RDKafkaErrorCode::TopicAlreadyExists, async |admin, options| {
        admin.create_topics(&wanted, options).await
    })
}

/// Deletes the topics that exist.
///
/// # Errors
/// [`Error::Kafka`] when the brokers do not answer or refuse.
pub fn delete_topics(kafka: &KafkaConfig, topics: &[&str]) -> Result<(), Error> {
    let missing = RDKafkaErrorCode::UnknownTopicOrPartition;
    administer(kafka, "delete", missing, async |admin, options| {
        admin.delete_topics(topics, options).await
    })
}

/// Asks for something to be done with topics; `already` says that there was nothing to do.
fn administer(
    kafka: &KafkaConfig,
    action: &str,
    already: RDKafkaErrorCode,
    ask: impl AsyncFnOnce(&Admin, &AdminOptions) -> KafkaResult<Vec<TopicResult>>,
) -> Result<(), Error> {
    let failed = || format!("{action} topics");
    let admin: Admin =
        client_config(kafka, &[], &[])?.create().map_err(error(&kafka.brokers, failed))?;
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::file("start", "the control thread"))?;
    let results = runtime.block_on(ask(&admin, &options)).map_err(error(&kafka.brokers, failed))?;
    for result in results {
        match result {
            Err((topic, code)) if code != already => {
                let action = || format!("{action} topic {topic:?}");
                return Err(error(&kafka.brokers, action)(KafkaError::AdminOp(code)));
            }
            _ => {}
        }
    }
    Ok(())
}

type Admin = AdminClient<DefaultClientContext>;

/// Hands a line of librdkafka's log on.
pub fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    use RDKafkaLogLevel as Level;
    match level {
        Level::Emerg | Level::Alert | Level::Critical | Level::Error | Level::Warning => {
            tracing::debug!(facility, "{message}");
        }
        Level::Notice | Level::Info | Level::Debug => tracing::trace!(facility, "{message}"),
    }
}

/// 1 while brokers can be reached, 0 while they are waited for.
pub fn broker_up() -> metrics::Gauge {
    metrics::gauge!("pelton_kafka_broker_up")
}
