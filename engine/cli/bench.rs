//! `pelton bench`: throughput and latency on this machine, with the floor beside each figure.

mod broker;
mod device;
mod learn;
mod pipeline;

use clap::{Args, Subcommand};
use pelton::error::Error;
use serde_json::{Map, Value};

/// Arguments of `pelton bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// Print JSON instead of lines.
    #[arg(long, global = true)]
    json: bool,
    /// What is measured.
    #[command(subcommand)]
    what: What,
}

/// What can be measured.
#[derive(Debug, Subcommand)]
enum What {
    /// Predict and learn clicks one after another: 13 numbers and 26 categories from decoded
    /// columns, 2^22 weights, one thread, hashing included.
    Learn(learn::Learn),
    /// Exact windows and all other features of generated payments, one thread, without a model.
    Features(pipeline::Size),
    /// The whole engine over generated payments: decode, clean, features, score, join, learn.
    Pipeline(pipeline::Size),
    /// The main job through a Kafka cluster, beside the bare client that decodes nothing:
    /// throughput, and latency under a load that does not wait.
    Broker(broker::Broker),
    /// What this machine and its GPU can do at best (copies, launches, elementary functions), each
    /// kernel beside its floor, and clicks from decoded columns to the weights by batch size.
    Device(device::Ceilings),
}

impl Bench {
    /// Measures and prints.
    pub fn run(self) -> Result<(), Error> {
        let figures = match self.what {
            What::Learn(learn) => learn.measure()?,
            What::Features(size) => pipeline::features(&size)?,
            What::Pipeline(size) => pipeline::whole(&size)?,
            What::Broker(broker) => broker.measure()?,
            What::Device(ceilings) => ceilings.measure()?,
        };
        if self.json {
            println!("{}", Value::from(figures));
        } else {
            print("", &figures);
        }
        Ok(())
    }
}

/// One figure a line; those within others have the names of both.
fn print(within: &str, figures: &Map<String, Value>) {
    for (name, value) in figures {
        let name = format!("{within}{name}");
        match value {
            Value::Object(inner) => print(&format!("{name}."), inner),
            Value::Array(items) if items.iter().any(Value::is_object) => {
                let items: Vec<_> = items.iter().filter_map(Value::as_object).collect();
                if items.iter().all(|item| item.values().all(|value| !value.is_object())) {
                    print_table(&name, &items);
                } else {
                    items.iter().for_each(|inner| print(&format!("{name}."), inner));
                }
            }
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(shown).collect();
                println!("{name:<46}{}", items.join("  "));
            }
            _ => println!("{name:<46}{}", shown(value)),
        }
    }
}

/// Figures of the same names, one set a line: texts first, then numbers.
fn print_table(name: &str, items: &[&Map<String, Value>]) {
    let Some(first) = items.first() else { return };
    let (texts, numbers): (Vec<_>, Vec<_>) = first.keys().partition(|key| first[*key].is_string());
    let keys: Vec<&String> = texts.into_iter().chain(numbers).collect();
    let cell = |item: &Map<String, Value>, key: &str| item.get(key).map_or(String::new(), shown);
    let width = |key: &&String| {
        let widths = items.iter().map(|item| cell(item, key).len());
        widths.max().unwrap_or(0).max(key.len())
    };
    let widths: Vec<usize> = keys.iter().map(width).collect();
    let line = |cells: Vec<String>| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        println!("  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
    };
    println!("{name}");
    line(keys.iter().map(|key| (*key).clone()).collect());
    items.iter().for_each(|item| line(keys.iter().map(|key| cell(item, key)).collect()));
}

fn shown(value: &Value) -> String {
    match value.as_f64() {
        Some(x) if x.fract() != 0.0 && x.abs() < 1000.0 => format!("{x:.4}"),
        Some(x) => format!("{x:.0}"),
        None => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    }
}

/// The middle one of some figures.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
