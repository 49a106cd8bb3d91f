//! What the settings of `[emit]` change while the topic of scores is away.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use pelton::emit::Emit;
use pelton::ring::{Slot, Span};
use pelton::source::kafka;
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::settings::{SECOND, scored};
use super::world::Writer;
use crate::settings::row::World;

/// An emit stage at the end of a run whose topic has gone away.
fn with_topic_away<T>(world: &World, look: impl FnOnce(Emit) -> T) -> T {
    SECOND.with(|cluster| {
        cluster.create_topic(&format!("scores-{}", world.run), 1, 1).unwrap();
        let emit = Emit::open(&world.config, &Arc::new(AtomicBool::new(true))).expect("a sink");
        cluster.broker_down(1).unwrap();
        let seen = look(emit);
        cluster.broker_up(1).unwrap();
        seen
    })
}

/// What is said when the run ends, without the folder of this look.
pub fn last_words(world: &World) -> Option<String> {
    Some(with_topic_away(world, |mut emit| {
        emit.run(&scored(world, 1)).expect("taken");
        let error = emit.finish().expect_err("the topic is away").to_string();
        error.replace(&*world.folder.path().to_string_lossy(), "")
    }))
}

/// How many scores were taken, up to a number.
pub fn taken(world: &World) -> Option<String> {
    let slot = scored(world, 100);
    let count =
        with_topic_away(world, |mut emit| (0..20).take_while(|_| emit.run(&slot).is_ok()).count());
    Some(format!("{count} batches taken"))
}

/// Whether a checkpoint could rely on a score though it is not delivered.
pub fn is_kept(world: &World) -> Option<String> {
    let kept = with_topic_away(world, |mut emit| {
        emit.run(&scored(world, 1)).expect("taken");
        emit.flush().is_ok()
    });
    Some(format!("kept: {kept}"))
}

/// How a run ends whose topic comes back a little later.
pub fn last_words_after_a_while(world: &World) -> Option<String> {
    let (brought_back, is_time) = std::sync::mpsc::channel();
    let finishing = with_topic_away(world, |mut emit| {
        emit.run(&scored(world, 1)).expect("taken");
        std::thread::spawn(move || {
            let outcome = emit.finish().map_err(|error| error.to_string());
            // Nobody may be listening any more.
            let _ = brought_back.send(());
            outcome.is_ok()
        })
    });
    let _ = is_time.recv_timeout(Duration::from_secs(30));
    Some(format!("delivered: {}", finishing.join().unwrap()))
}

/// What is said a little later of a score that is to be committed, at brokers that commit nothing.
pub fn committed(world: &World) -> Option<String> {
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    let outcome = SECOND.with(|cluster| {
        cluster.create_topic(&format!("scores-{}", world.run), 1, 1).unwrap();
        let mut emit = Emit::open(&world.config, &Arc::default()).expect("a sink");
        cluster.request_errors(RDKafkaApiKey::EndTxn, &[refused; 9]);
        emit.run(&scored(world, 1)).expect("taken");
        let deadline = Instant::now() + Duration::from_secs(1);
        let mut outcome = emit.tend();
        while outcome.is_ok() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
            outcome = emit.tend();
        }
        cluster.clear_request_errors(RDKafkaApiKey::EndTxn);
        outcome.map_or_else(|error| error.to_string(), |()| "nothing".to_owned())
    });
    Some(outcome.replace(&world.run.to_string(), ""))
}

/// How many events are read while the brokers of the labels, of which there are some, are away.
pub fn read_beside_a_silent_partition(world: &World) -> Option<String> {
    let cluster = MockCluster::new(2).unwrap();
    let brokers = cluster.bootstrap_servers();
    let (events, labels) = (format!("events-{}", world.run), format!("labels-{}", world.run));
    for (topic, broker) in [(&events, 1), (&labels, 2)] {
        cluster.create_topic(topic, 1, 1).unwrap();
        cluster.partition_leader(topic, 0, Some(broker)).unwrap();
    }
    let event = |id| (events.as_str(), 0, format!(r#"{{"id":{id},"t":{id},"NUMBER":1}}"#));
    let label = |id| (labels.as_str(), 0, format!(r#"{{"id":{id},"t":{id},"label":1}}"#));
    Writer::new(&brokers).write_all((0..10).map(event).chain((0..10).map(label)));
    cluster.broker_down(2).unwrap();
    let mut config = world.config.clone();
    config.kafka.brokers = brokers;
    // As after a restart: where to begin is not asked of the brokers.
    let begin = |topic: &str| Span { topic: topic.into(), partition: 0, next: 0 };
    let resume = [begin(&events), begin(&labels)];
    let mut source = kafka::open(&config, &resume, Vec::new()).expect("a source");
    let mut slot = Slot::new(&config.event.schema, 100);
    let deadline = Instant::now() + Duration::from_secs(4);
    while slot.rows < 10 && Instant::now() < deadline {
        let until = Instant::now() + Duration::from_millis(50);
        source.read(&mut slot, until).expect("readable");
    }
    Some(format!("{} events read", slot.rows))
}
