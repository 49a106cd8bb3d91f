//! `pelton bench broker`: the main job through a Kafka cluster, beside the bare client.
//!
//! One topic of generated payments and one of their labels are filled once. Then two read them to
//! their ends, in turns: a [bare] loop of the client library that decodes nothing and writes a
//! record of a score's size for each payment, and the engine with the features and the model of
//! `examples/fraud/linear.toml`. The bare loop is the floor: no engine on this client is faster.
//! [latency] then measures both under a load that does not wait for them.
//!
//! Both use this process, so that its CPU time is theirs; the cluster has its own.

mod bare;
mod latency;
mod stream;

use clap::Args;
use pelton::config::stream::KafkaConfig;
use pelton::error::Error;
use pelton::generate::fraud::FraudSpec;
use serde_json::{Map, Value, json};

use super::median;
use crate::cli::generate::Topics;
use stream::{Pass, Stream};

/// Arguments of `pelton bench broker`.
#[derive(Debug, Args)]
pub struct Broker {
    /// host:port of the brokers. Topics named pelton-bench-* are made there, and removed.
    #[arg(long, value_name = "B", env = "PELTON_BROKERS")]
    brokers: String,
    /// A librdkafka property for every client, NAME=VALUE; may be repeated.
    #[arg(long, value_name = "P", value_parser = property)]
    property: Vec<(String, String)>,
    /// How many payments.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    events: u64,
    /// Another seed, another world.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Turns of the bare loop and the engine; medians are shown.
    #[arg(long, value_name = "P", default_value_t = 3)]
    passes: usize,
    /// Payments per second at which latency is measured; several, separated by commas.
    #[arg(long, value_name = "R", value_delimiter = ',', default_values_t = [5_000, 20_000])]
    rate: Vec<u32>,
    /// How long each rate is measured, after two seconds of warming up; 0 leaves latency out.
    #[arg(long, value_name = "S", default_value_t = 10)]
    seconds: u32,
}

fn property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a property is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Broker {
    /// Fills the topics, takes the turns, then measures each rate.
    pub fn measure(&self) -> Result<Map<String, Value>, Error> {
        let properties = self.property.clone();
        let kafka = KafkaConfig { brokers: self.brokers.clone(), properties };
        let mut figures = self.throughput(&kafka)?;
        let mut latencies = Vec::new();
        for &rate in self.rate.iter().filter(|_| self.seconds > 0) {
            let load = latency::Load { rate, seconds: self.seconds, seed: self.seed };
            latencies.push(load.measure(&kafka)?);
        }
        figures.insert("latency".to_owned(), latencies.into());
        Ok(figures)
    }

    fn throughput(&self, kafka: &KafkaConfig) -> Result<Map<String, Value>, Error> {
        let stream = Stream::make(kafka, "turns")?;
        let ran = self.turns(&stream);
        stream.remove()?;
        let (floors, engines) = ran?;
        let ratio = |figure: fn(&Pass) -> f64| {
            median(floors.iter().zip(&engines).map(|(f, e)| figure(e) / figure(f)).collect())
        };
        let labels = engines.first().map_or(0, |pass| pass.labels);
        let figures = json!({
            "bench": "broker",
            "events": self.events,
            "labels": labels,
            "features": 15,
            "passes": self.passes,
            "ratio": ratio(Pass::per_second),
            "ratio_per_cpu_second": ratio(Pass::per_cpu_second),
            "engine": figures(&engines),
            "floor": figures(&floors),
        });
        Ok(figures.as_object().cloned().unwrap_or_default())
    }

    fn turns(&self, stream: &Stream) -> Result<(Vec<Pass>, Vec<Pass>), Error> {
        stream.fill(FraudSpec::new(self.events, self.seed), Topics::LINGER_MS, |_| {})?;
        let (mut floors, mut engines) = (Vec::new(), Vec::new());
        for pass in 0..self.passes.max(1) {
            floors.push(stream.bare_pass(pass)?);
            engines.push(stream.engine_pass(pass)?);
        }
        Ok((floors, engines))
    }
}

/// The medians over the passes, and each pass.
fn figures(passes: &[Pass]) -> Value {
    let all = |figure: fn(&Pass) -> f64| passes.iter().map(figure).collect::<Vec<f64>>();
    json!({
        "events_per_second": median(all(Pass::per_second)),
        "events_per_cpu_second": median(all(Pass::per_cpu_second)),
        "events_per_second_of_each_pass": all(Pass::per_second),
        "events_per_cpu_second_of_each_pass": all(Pass::per_cpu_second),
    })
}
