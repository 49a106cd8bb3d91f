//! The breaker as bytes.

use std::io;

use pelton_kernels::state::{StateReader, StateWriter, invalid};
use pelton_models::Task;

use super::figures::{Measure, Scale, Tally};
use super::{Guard, GuardCounts, Past};

impl Guard {
    /// Writes everything labels have changed.
    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.put(self.counts.judged)?;
        state.slice(&self.counts.trips)?;
        self.runs.iter().try_for_each(|run| run.write(state))?;
        state.slice(&[self.scored, self.runs_ended, self.past.windows])?;
        state.slice(&self.past.mean)?;
        state.slice(&self.past.variance)?;
        state.slice(&self.past.scale.labels)?;
        state.put(self.past.scale.variance)?;
        state.slice(&self.figures)?;
        state.put(self.tripped_at.map_or(u64::MAX, |at| at))
    }

    /// Becomes what [`Guard::write`] wrote for the same settings; on an error it is left half read
    /// and must not be used.
    pub fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        let judged = state.get()?;
        let trips = state.get::<[u64; Measure::ALL.len()]>()?;
        if judged > 1 << 60 || trips.iter().any(|count| *count > 1 << 50) {
            return Err(invalid("the guard has seen more than there can be"));
        }
        self.counts = GuardCounts { judged, trips };
        for run in &mut self.runs {
            *run = Tally::read(self.task, state)?;
        }
        let [scored, runs_ended, windows] = state.get()?;
        (self.scored, self.runs_ended) = (scored, runs_ended);
        if windows > 1 << 60 || runs_ended > 1 << 60 {
            return Err(invalid("the guard has seen more than there can be"));
        }
        let (mean, variance) = (state.get()?, state.get()?);
        let scale = read_scale(self.task, state)?;
        self.past = Past { windows, mean, variance, scale };
        self.figures = state.get()?;
        self.tripped_at = Some(state.get()?).filter(|at| *at != u64::MAX);
        if self.tripped_at.is_some_and(|at| at > judged) {
            return Err(invalid("the guard has tripped at a label that is still to come"));
        }
        Ok(())
    }
}

fn read_scale(task: Task, state: &mut StateReader<'_>) -> io::Result<Scale> {
    Ok(Scale { labels: state.numbers(task.outputs())?, variance: state.get()? })
}
