//! Records of a topic decoded on a device: what goes out is what went out without it.

use pelton::checkpoint::recover::Recovery;
use pelton::config::Config;
use pelton::device::Device;
use pelton::source::kafka;
use pelton_kernels::device::double::Double;

use super::world::{Writer, brokers, create, unique};
use crate::decode::hostile;

const CONFIG: &str = "
    kafka.brokers = 'BROKERS'
    source = { topics = ['RUN-events'], alone = true, stop_at_end = true, decode = 'DECODE' }
    event = { id = 'id', time = 'ts', lateness = '3650d' }
    labels = { topic = 'RUN-labels', id = 'id', field = 'label', horizon = '30d' }
    fields.amount = { type = 'number' }
    fields.card = { type = 'category' }
    features = [{ number = 'amount' }, { category = 'card' },
                { window = 'card', widths = ['1h'], aggregates = ['count', 'mean(amount)'] }]
    model.kind = 'linear'
    batch = { rows_max = ROWS, linger = '60s' }
    emit = { file = 'DIR/scores.jsonl', fields = ['amount', 'card'] }
    dead_letters.file = 'DIR/dead.jsonl'";

/// Events of two partitions, tombstones and hostile records among them, and their labels.
fn fill(brokers: &str, run: &str) {
    let [events, labels] = ["events", "labels"].map(|what| format!("{run}-{what}"));
    create(brokers, &[(&events, 2), (&labels, 1)]);
    let writer = Writer::new(brokers);
    let mut hostile = hostile::records().into_iter().filter(|record| record.len() < 100_000);
    for id in 0..700_i64 {
        let (partition, key) = ((id % 2) as i32, [id as u8; 3]);
        let card = if id % 7 == 0 { "\\u0041" } else { "b" };
        let body = format!(
            "{{\"id\":{id},\"ts\":{},\"amount\":{}.5,\"card\":\"{card}{}\"}}",
            1000 * id,
            id % 40,
            id % 9
        );
        writer.write_keyed(&events, partition, &key, Some(body.as_bytes()));
        match id % 6 {
            0 => writer.write_keyed(&events, partition, &key, hostile.next().as_deref()),
            1 => {
                let truth = format!("{{\"id\":{},\"label\":{}}}", id / 2, id % 4);
                writer.write_keyed(&labels, 0, &key, Some(truth.as_bytes()));
            }
            _ => {}
        }
    }
    writer.flush();
}

#[test]
fn a_topic_decoded_on_a_device_gives_the_same_scores_and_dead_letters() {
    let Some(brokers) = brokers() else { return };
    let run = unique("decoded");
    fill(&brokers, &run);
    let all = |decode: &str, device: &Device, rows: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().to_str().expect("UTF-8");
        let text = CONFIG.replace("BROKERS", &brokers).replace("RUN", &run).replace("DIR", dir);
        let text = text.replace("DECODE", decode).replace("ROWS", rows);
        let config = Config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
        let source = kafka::open(&config, &[], Vec::new()).expect("a source");
        let recovery = Recovery::none(&config, device).expect("a pipeline");
        let outcome =
            pelton::run::run(&config, source, recovery, &Default::default(), &Default::default());
        let outcome = outcome.expect("a run");
        let written = ["scores.jsonl", "dead.jsonl"]
            .map(|name| std::fs::read_to_string(folder.path().join(name)).expect("written"));
        let learner = outcome.pipeline.learner();
        let digests = (learner.score_digest(), learner.model_digest().expect("it is there"));
        (written, digests, outcome.totals, outcome.pipeline.join().counts())
    };
    let gpu = Device::Gpu(Double::open(0));
    for rows in ["13", "256"] {
        let here = all("cpu", &Device::Cpu, rows);
        assert!(here.2.scored > 600 && here.2.dead_letters_total() > 50, "{:?}", here.2);
        assert!(here.3.joined > 50, "{:?}", here.3);
        assert!(all("device", &gpu, rows) == here, "batches of {rows} rows");
    }
}
