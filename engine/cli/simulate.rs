//! `pelton simulate`: histories of crashes from seeds.

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use pelton::error::Error;
use pelton::simulate::{Plan, Summary, simulate_all};

/// Arguments of `pelton simulate`.
#[derive(Debug, Args)]
pub struct Simulate {
    /// The first seed.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many seeds, one after another.
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    seeds: u64,
    /// Steps of the engine's stages in a history, and events in its stream.
    #[arg(long, value_name = "N", default_value_t = Plan::STEPS)]
    steps: u64,
    /// Print a line for each seed; of a single one, also what happens in it.
    #[arg(long)]
    verbose: bool,
}

impl Simulate {
    /// Lives through the histories and says what happened in them.
    pub fn run(self) -> Result<(), Error> {
        let bar = if self.verbose { ProgressBar::hidden() } else { ProgressBar::new(self.seeds) };
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} seeds  {per_sec}  {eta}");
        bar.set_style(style.expect("the template is a constant"));
        let each = |seed, summary: &Summary| {
            bar.inc(1);
            if self.verbose {
                println!("seed {seed}: {}", text(summary));
            }
        };
        let is_quiet = !self.verbose || self.seeds > 1;
        let plan = Plan { steps: self.steps, is_quiet, ..Plan::new(self.seed) };
        let lived = simulate_all(plan, self.seeds, &each);
        bar.finish_and_clear();
        let summary = lived.map_err(|failure| Error::Simulated {
            seed: failure.seed,
            steps: self.steps,
            what: failure.what,
        })?;
        println!("{} seeds: {}", self.seeds, text(&summary));
        Ok(())
    }
}

fn text(summary: &Summary) -> String {
    let Summary { steps, records, process_deaths, machine_deaths, errors, stops, .. } = summary;
    let Summary { resumed, fallbacks, refusals, exact, .. } = summary;
    format!(
        "{steps} steps, {records} records, {process_deaths} deaths of the process, \
         {machine_deaths} of the machine, {errors} errors, {stops} stops, {resumed} checkpoints \
         gone on from ({fallbacks} behind damaged ones), {refusals} starts refused, {exact} exact"
    )
}
