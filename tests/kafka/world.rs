//! Topics of a test's own, records whose bodies are `id time_ms amount`, and sources that read
//! them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use pelton::config::stream::{KafkaConfig, Start};
use pelton::error::Error;
use pelton::kafka::create_topics;
use pelton::ring::{Envelope, LabelRecord, Position, Reason, Reject, Slot, Span};
use pelton::schema::{
    Field, LabelMeaning, Place, Scalar, Schema, Target, TimeFrom, TimeUnit, identity,
};
use pelton::source::kafka::queue::Record;
use pelton::source::kafka::{Decode, KafkaSource, Subscription};
use pelton::source::rows::{Cells, Fault, RowWriter};
use pelton::source::{Progress, Source};
use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

/// Headers of this name replace the amount in the body.
pub const AMOUNT_HEADER: &str = "amount";

/// The brokers under test; `None` after a printed skip.
pub fn brokers() -> Option<String> {
    if let Ok(brokers) = std::env::var("PELTON_BROKERS") {
        return Some(brokers);
    }
    let home = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/broker");
    if let Ok(port) = std::fs::read_to_string(home.join("port")) {
        return Some(format!("127.0.0.1:{}", port.trim()));
    }
    if std::env::var("PELTON_SKIP_BROKER").is_ok_and(|v| v == "1") {
        println!("SKIPPED: no Kafka broker, and PELTON_SKIP_BROKER=1");
        return None;
    }
    panic!("no Kafka broker: run scripts/broker start, or set PELTON_BROKERS=host:port");
}

pub fn config(brokers: &str, properties: &[(&str, &str)]) -> KafkaConfig {
    let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    KafkaConfig { brokers: brokers.to_owned(), properties: properties.iter().map(owned).collect() }
}

/// A name no other test and no earlier run has.
pub fn unique(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_micros();
    format!("{what}-{now}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

pub fn topic(brokers: &str, what: &str, partitions: i32) -> String {
    let name = unique(what);
    create(brokers, &[(&name, partitions)]);
    name
}

pub fn create(brokers: &str, topics: &[(&str, i32)]) {
    create_topics(&config(brokers, &[]), topics).unwrap();
}

pub fn subscription(topics: &[&str], labels: Option<&str>) -> Subscription {
    Subscription {
        topics: topics.iter().map(|&t| t.to_owned()).collect(),
        label_topic: labels.map(str::to_owned),
        group: unique("group"),
        alone: true,
        partition: None,
        member: None,
        start: Start::Earliest,
        stop_at_end: true,
        hold: None,
        batch_bytes_max: 1 << 30,
    }
}

/// A plain producer, to write what the tests read.
pub struct Writer(BaseProducer);

impl Writer {
    pub fn new(brokers: &str) -> Writer {
        let mut config = ClientConfig::new();
        Writer(config.set("bootstrap.servers", brokers).set("linger.ms", "0").create().unwrap())
    }

    /// Writes one body and waits until it is there.
    pub fn write(&self, topic: &str, partition: i32, body: &str) {
        self.write_all([(topic, partition, body.to_owned())]);
    }

    pub fn write_all<'a>(&self, records: impl IntoIterator<Item = (&'a str, i32, String)>) {
        for (topic, partition, body) in records {
            let record = BaseRecord::to(topic).partition(partition).key("k").payload(&body);
            self.0.send(record).map_err(|(error, _)| error).unwrap();
        }
        self.0.flush(Duration::from_secs(20)).unwrap();
    }

    /// Writes bodies under these keys; no body is a tombstone.
    pub fn write_keyed(&self, topic: &str, partition: i32, key: &[u8], body: Option<&[u8]>) {
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).partition(partition);
        let record = record.key(key).timestamp(700);
        let record = if let Some(body) = body { record.payload(body) } else { record };
        self.0.send(record).map_err(|(error, _)| error).unwrap();
    }

    pub fn flush(&self) {
        self.0.flush(Duration::from_secs(20)).unwrap();
    }

    pub fn write_with_header(&self, topic: &str, body: &str, amount: &str, time_ms: i64) {
        let headers = OwnedHeaders::new()
            .insert(Header { key: "amount", value: Some("0") })
            .insert(Header { key: "amount", value: Some(amount) });
        let record: BaseRecord<'_, (), str> =
            BaseRecord::to(topic).payload(body).headers(headers).timestamp(time_ms);
        self.0.send(record).map_err(|(error, _)| error).unwrap();
        self.0.flush(Duration::from_secs(20)).unwrap();
    }
}

/// Fields id, time, amount; the key is a text.
pub fn schema() -> Schema {
    let field = |place, target| Field { place, targets: vec![target] };
    let body = |name: &str| Place::Body(name.to_owned());
    Schema {
        fields: vec![
            field(body("id"), Target::Id),
            field(body("time"), Target::Time(TimeUnit::Milliseconds)),
            field(body("amount"), Target::Number(0)),
            field(Place::Key, Target::Text(0)),
        ],
        numbers: vec!["amount".to_owned()],
        categories: Vec::new(),
        texts: vec!["key".to_owned()],
        time: TimeFrom::Field,
        has_id: true,
        label: LabelMeaning::Binary,
        keeps_raw: false,
        keeps_labels: false,
    }
}

/// Reads `id time_ms amount`; a body without a time is poison.
pub struct Words(pub Arc<Schema>);

fn words(body: &[u8]) -> [Option<i64>; 3] {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let mut words = text.split(' ').map(|word| word.parse().ok());
    std::array::from_fn(|_| words.next().flatten())
}

impl Decode for Words {
    fn event_time_ms(&mut self, record: &Record<'_>) -> Option<i64> {
        words(record.body())[1]
    }

    fn label_time_ms(&mut self, record: &Record<'_>) -> Option<i64> {
        words(record.body())[1]
    }

    fn event(
        &mut self,
        record: &Record<'_>,
        position: Position,
        slot: &mut Slot,
    ) -> Result<(), Error> {
        let [id, time, amount] = words(record.body());
        let header = record.headers().filter(|(name, _)| *name == AMOUNT_HEADER).last();
        let header = header.and_then(|(_, value)| std::str::from_utf8(value).ok());
        let amount = header.map_or(amount.map_or(Scalar::Null, Scalar::Int), Scalar::Text);
        let key = record.key().and_then(|v| std::str::from_utf8(v).ok());
        let mut row = RowWriter::begin(&self.0, slot);
        let (Some(id), Some(time)) = (id, time) else {
            row.reject(Fault::record(Reason::Unparsable), position, record.body());
            return Ok(());
        };
        let cells =
            [Scalar::Int(id), Scalar::Int(time), amount, key.map_or(Scalar::Null, Scalar::Text)];
        for (field, value) in cells.into_iter().enumerate() {
            row.set(field, value).unwrap();
        }
        row.finish(position, record.time_ms(), record.body());
        Ok(())
    }

    fn label(&mut self, record: &Record<'_>, position: Position, slot: &mut Slot) {
        let [id, time, value] = words(record.body());
        let before_row = u32::try_from(slot.rows).unwrap();
        if let (Some(id), Some(time_ms), Some(value)) = (id, time, value) {
            let id = identity(Scalar::Int(id)).unwrap();
            slot.labels.push(LabelRecord {
                id,
                time_ms,
                value: value as f32,
                before_row,
                position,
            });
        } else {
            let bytes = record.body().to_vec();
            let reason = Reason::BadLabel;
            let (field, envelope) = (None, Envelope::default());
            let reject = Reject { reason, field, position, is_label: true, bytes, envelope };
            slot.rejects.push(reject);
        }
    }
}

/// One record as it came out of a source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Read {
    pub time_ms: i64,
    /// Labels sort before events of their time.
    pub is_event: bool,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
}

pub struct Reader {
    pub source: KafkaSource<Words>,
    pub slot: Slot,
    pub read: Vec<Read>,
    pub rejects: Vec<(Reject, Span)>,
    /// The last spans of each partition, as a checkpoint would hold them.
    pub next: Vec<Span>,
}

impl Reader {
    pub fn open(kafka: &KafkaConfig, what: &Subscription, rows: usize, resume: &[Span]) -> Reader {
        let schema = Arc::new(schema());
        let slot = Slot::new(&schema, rows);
        let source = KafkaSource::open(kafka, what, Words(schema), resume).unwrap();
        Reader { source, slot, read: Vec::new(), rejects: Vec::new(), next: resume.to_vec() }
    }

    /// One batch; `None` when the source has ended.
    pub fn batch(&mut self, wait: Duration) -> Option<Progress> {
        self.slot.clear();
        let progress = self.source.read(&mut self.slot, Instant::now() + wait).unwrap();
        self.take();
        (progress != Progress::Ended).then_some(progress)
    }

    /// Reads until the source has ended.
    pub fn read_to_end(mut self) -> Reader {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.batch(Duration::from_millis(200)).is_some() {
            assert!(Instant::now() < deadline, "no end after {} records", self.read.len());
        }
        self
    }

    /// Reads until there are `count` records in all.
    pub fn until(&mut self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.read.len() + self.rejects.len() < count {
            self.batch(Duration::from_millis(200));
            assert!(Instant::now() < deadline, "{} records of {count}", self.read.len());
        }
    }

    fn take(&mut self) {
        let slot = &self.slot;
        let read = |time_ms, is_event, at: Position| {
            let span = &slot.spans[at.span as usize];
            let (topic, partition) = (span.topic.to_string(), span.partition);
            Read { time_ms, is_event, topic, partition, offset: at.offset }
        };
        let mut labels = slot.labels.iter().peekable();
        for row in 0..=slot.rows {
            while let Some(label) = labels.next_if(|label| label.before_row as usize == row) {
                self.read.push(read(label.time_ms, false, label.position));
            }
            if row < slot.rows {
                self.read.push(read(slot.times_ms[row], true, slot.positions[row]));
            }
        }
        let with_span =
            |reject: &Reject| (reject.clone(), slot.spans[reject.position.span as usize].clone());
        self.rejects.extend(slot.rejects.iter().map(with_span));
        for span in &slot.spans {
            self.next.retain(|s| (&s.topic, s.partition) != (&span.topic, span.partition));
            self.next.push(span.clone());
        }
    }
}
