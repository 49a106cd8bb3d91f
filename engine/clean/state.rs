//! What the clean stage knows, as bytes: the clock, the ids seen, the statistics of each column.
//!
//! Invariant: equal knowledge gives equal bytes. What follows from something else is not written:
//! the set of ids from their queue, the quantiles from their histogram.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use pelton_kernels::state::{StateReader, StateWriter, invalid};

use super::last::LastSeen;
use super::screen::Screen;
use super::{Clean, Column};

/// No list here can be longer.
const LENGTH_MAX: usize = 1 << 40;

impl Clean {
    /// Writes everything that rows have changed.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_state(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = &mut StateWriter::new(out);
        self.screen.write(state)?;
        state.length(self.columns.len())?;
        self.columns.iter().try_for_each(|column| column.write(state))
    }

    /// Becomes what [`Clean::write_state`] wrote for the same configuration; on an error it is left
    /// half read and must not be used.
    ///
    /// # Errors
    /// Those of the reader; `InvalidData` for what cannot have been written.
    pub fn read_state(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let state = &mut StateReader::new(from);
        self.screen.read(state)?;
        state.expect(&[self.columns.len() as u64], "there were other number fields")?;
        self.columns.iter_mut().try_for_each(|column| column.read(state))
    }
}

impl Screen {
    fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.put(u8::from(self.clock.watermark_ms.is_some()))?;
        state.put(self.clock.watermark_ms.unwrap_or(0))?;
        state.put(self.clock.ahead_rows)?;
        state.length(self.seen.by_time.len())?;
        state.each(self.seen.by_time.iter().map(|(time_ms, _)| *time_ms))?;
        state.each(self.seen.by_time.iter().map(|(_, id)| *id))
    }

    fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        let has_watermark = state.get::<u8>()? != 0;
        let watermark_ms = state.get()?;
        self.clock.watermark_ms = has_watermark.then_some(watermark_ms);
        self.clock.ahead_rows = state.get()?;
        let times_ms = state.list::<i64>(LENGTH_MAX)?;
        let ids = state.numbers::<u128>(times_ms.len())?;
        self.seen.ids = ids.iter().copied().collect();
        if self.seen.ids.len() != ids.len() {
            return Err(invalid("an id was seen for the first time twice"));
        }
        self.seen.by_time = times_ms.into_iter().zip(ids).collect();
        Ok(())
    }
}

impl Column {
    fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        self.repair.write_sums(state)?;
        state.slice(&self.kept())?;
        self.repair.write_quantiles(state)?;
        self.last.as_ref().map_or(Ok(()), |(_, last)| last.write(state))
    }

    fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        self.repair.read_sums(state)?;
        state.expect(&self.kept(), "a number field was cleaned by other rules")?;
        self.repair.read_quantiles(state)?;
        self.last.as_mut().map_or(Ok(()), |(_, last)| last.read(state))
    }

    /// Whether there are a histogram and last values.
    fn kept(&self) -> [u8; 2] {
        [u8::from(self.repair.has_quantiles()), u8::from(self.last.is_some())]
    }
}

impl LastSeen {
    fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        for generation in [&self.young, &self.old] {
            let mut sorted: Vec<_> = generation.iter().map(|(key, value)| (*key, *value)).collect();
            sorted.sort_unstable_by_key(|(key, _)| *key);
            state.length(sorted.len())?;
            state.each(sorted.iter().map(|(key, _)| *key))?;
            state.each(sorted.iter().map(|(_, value)| *value))?;
        }
        Ok(())
    }

    fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        for generation in [&mut self.young, &mut self.old] {
            let keys = state.list::<u64>(LENGTH_MAX)?;
            let values = state.numbers::<f32>(keys.len())?;
            *generation = keys.into_iter().zip(values).collect::<HashMap<u64, f32>>();
        }
        Ok(())
    }
}
