//! The no-change baseline: predict for every row the label that was judged just before.
//!
//! On streams whose labels come in runs it is hard to beat, and a model that does not beat it has
//! learned nothing of use; so it belongs beside every accuracy. The order is that of judging, so
//! with late labels the baseline knows labels the model could not have known yet. A label outside
//! the time bounds is remembered, not judged; a later correction changes nothing here.

use std::io;

use pelton_kernels::state::{StateReader, StateWriter};

/// The last label, and how often it was the next one as well.
#[derive(Clone, Debug, Default)]
pub(super) struct NoChange {
    last: Option<u32>,
    rows: i64,
    agreed: i64,
}

impl NoChange {
    /// Judges the last label by this one, then remembers this one.
    #[inline]
    pub(super) fn judge(&mut self, class: u32) {
        if let Some(last) = self.last {
            self.rows += 1;
            self.agreed += i64::from(last == class);
        }
        self.last = Some(class);
    }

    /// Remembers a label without judging by it.
    pub(super) fn remember(&mut self, class: u32) {
        self.last = Some(class);
    }

    /// Share of rows whose label was that of the row before; NaN before the second row.
    pub(super) fn accuracy(&self) -> f64 {
        self.agreed as f64 / self.rows as f64
    }

    pub(super) fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.put(self.last.map_or(-1, i64::from))?;
        state.put(self.rows)?;
        state.put(self.agreed)
    }

    pub(super) fn read(state: &mut StateReader<'_>) -> io::Result<NoChange> {
        let last = u32::try_from(state.get::<i64>()?).ok();
        Ok(NoChange { last, rows: state.get()?, agreed: state.get()? })
    }
}
