//! `pelton bench`: throughput and latency on this machine, with the floor beside each figure.

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
    /// What this machine can do at best: memory copies and elementary functions.
    Device,
}

impl Bench {
    /// Measures and prints.
    pub fn run(self) -> Result<(), Error> {
        let figures = match self.what {
            What::Learn(learn) => learn.measure()?,
            What::Features(size) => pipeline::features(&size)?,
            What::Pipeline(size) => pipeline::whole(&size)?,
            What::Device => device::measure(),
        };
        if self.json {
            println!("{}", Value::from(figures));
        } else {
            print(&figures);
        }
        Ok(())
    }
}

fn print(figures: &Map<String, Value>) {
    for (name, value) in figures {
        match value.as_f64() {
            Some(x) if x.fract() != 0.0 && x.abs() < 1000.0 => println!("{name:<32}{x:.4}"),
            Some(x) => println!("{name:<32}{x:.0}"),
            None => println!("{name:<32}{}", value.as_str().unwrap_or(&value.to_string())),
        }
    }
}

/// The middle one of some figures.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
