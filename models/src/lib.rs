//! What is learned, and the measures that judge it; composed of kernels, free of streams.
//!
//! A [`Model`] scores by `&self` and learns by `&mut self`: the borrow checker tells the two apart.
//! It never sees an event, only [`Features`], and the labels that came for them.

pub mod anomaly;
pub mod auto;
pub mod boost;
pub mod calibrate;
pub mod cases;
mod checks;
pub mod contest;
pub mod drift;
pub mod evaluate;
pub mod explain;
pub mod factor;
pub mod forest;
pub mod frozen;
pub mod graph;
mod index_table;
mod kept;
pub mod linear;
mod memory;
pub mod neural;
mod predictions;
mod residual;
pub mod standardized;
#[cfg(test)]
mod tests;
pub mod thinned;

use std::io::{self, Read, Write};

use pelton_kernels::KernelError;
use pelton_kernels::coordinate::device::{RowsThere, Scorer};
use pelton_kernels::device::DeviceError;

use graph::{Graph, Inputs, Value};

/// What is learned: decides the outputs of a model and the range of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// One probability; labels 0 and 1.
    Binary,
    /// One probability per class; labels are class indices.
    MultiClass {
        /// Number of classes.
        classes: u32,
    },
    /// One value; labels are targets.
    Regression,
}

impl Task {
    /// Scores per row.
    #[must_use]
    pub fn outputs(self) -> usize {
        match self {
            Task::Binary | Task::Regression => 1,
            Task::MultiClass { classes } => classes as usize,
        }
    }

    /// Whether a label can be one, and a row can count for this much.
    pub(crate) fn can_learn(self, label: f32, weight: f32) -> bool {
        let is_label = match self {
            Task::Binary => label == 0.0 || label == 1.0,
            Task::MultiClass { classes } => {
                label >= 0.0 && label < classes as f32 && label.fract() == 0.0
            }
            Task::Regression => label.abs() <= 1e30,
        };
        is_label && weight > 0.0 && weight <= 1e9
    }
}

/// A sparse feature that a row does not have.
pub const ABSENT: u32 = u32::MAX;

/// What a model sees of a run of rows; made once, at scoring time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Features<'a> {
    /// Number of rows.
    pub rows: usize,
    /// `[rows, dense_width]`, row-major.
    pub dense: &'a [f32],
    /// `[rows, sparse_width]`, row-major; each below `2^sparse_bits`, or [`ABSENT`].
    pub sparse: &'a [u32],
    /// `[rows, notes_width]`, row-major: what [`Model::note`] has noted of them at scoring time.
    pub notes: &'a [f32],
}

impl Features<'_> {
    /// The numbers of a row as trees look at them: dense features, then notes; what is not finite
    /// counts as 0.
    pub(crate) fn columns(&self, row: usize, out: &mut Vec<f32>) {
        let rows = self.rows.max(1);
        let (width, notes_width) = (self.dense.len() / rows, self.notes.len() / rows);
        let dense = &self.dense[row * width..][..width];
        let notes = &self.notes[row * notes_width..][..notes_width];
        let finite = |value: &f32| if value.is_finite() { *value } else { 0.0 };
        out.clear();
        out.extend(dense.iter().chain(notes).map(finite));
    }
}

/// The shape of [`Features`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureShape {
    /// Dense features of a row.
    pub dense_width: usize,
    /// Sparse features of a row.
    pub sparse_width: usize,
    /// Sparse features are indices below `2^sparse_bits`.
    pub sparse_bits: u32,
}

/// Features with the truth about them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabeledBatch<'a> {
    /// What was scored.
    pub features: Features<'a>,
    /// `[rows]`: 0 or 1, a class index, or a target.
    pub labels: &'a [f32],
    /// `[rows]`: how often each row counts; 1 is plain.
    pub weights: &'a [f32],
}

impl<'a> LabeledBatch<'a> {
    /// One of its rows.
    #[must_use]
    pub fn row(&self, row: usize) -> LabeledBatch<'a> {
        let Features { rows, dense, sparse, notes } = self.features;
        let widths = [dense.len() / rows, sparse.len() / rows, notes.len() / rows];
        let of = |width: usize| row * width..(row + 1) * width;
        LabeledBatch {
            features: Features {
                rows: 1,
                dense: &dense[of(widths[0])],
                sparse: &sparse[of(widths[1])],
                notes: &notes[of(widths[2])],
            },
            labels: &self.labels[row..=row],
            weights: &self.weights[row..=row],
        }
    }
}

/// What became of the rows of a [`LabeledBatch`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LearnOutcome {
    /// Rows learned.
    pub learned: u64,
    /// Rows refused because something about them was not finite.
    pub refused: u64,
}

impl LearnOutcome {
    /// Adds what became of other rows.
    pub(crate) fn add(&mut self, other: LearnOutcome) {
        self.learned += other.learned;
        self.refused += other.refused;
    }
}

/// How a member of a mixture does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemberStatus {
    /// Its name.
    pub name: &'static str,
    /// How much it counts now; all weights sum to 1.
    pub weight: f64,
    /// Its mean loss over all rows learned: log loss, or residuals in usual ones.
    pub loss: f64,
}

/// Something that scores and learns.
pub trait Model: Send {
    /// Scores per row.
    fn outputs(&self) -> usize;

    /// Rows learned so far: names the weights that gave a score.
    fn version(&self) -> u64;

    /// Numbers that [`Model::note`] notes of a row.
    fn notes_width(&self) -> usize {
        0
    }

    /// Notes what this model knows about each row by itself, such as the last labels of its
    /// categories, at the moment it is scored: with these notes it is scored and, later, learned.
    ///
    /// # Shapes
    /// `notes: [rows, notes_width]`, row-major.
    ///
    /// # Errors
    /// [`ModelError::Kernel`] when a shape does not fit.
    fn note(&self, features: &Features<'_>, notes: &mut [f32]) -> Result<(), ModelError> {
        let _ = (features, notes);
        Ok(())
    }

    /// Writes a probability (per class), or the value, of each row to `out`.
    ///
    /// # Shapes
    /// `out: [rows, outputs]`, row-major.
    ///
    /// # Errors
    /// [`ModelError::Kernel`] when a shape does not fit.
    fn score(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError>;

    /// What each input of a row adds to its score, in log odds (binary, and per class before the
    /// softmax) or in units of the value (regression); see [`explain`].
    ///
    /// # Shapes
    /// `out: [rows, outputs, inputs + 1]`, row-major; inputs are dense features, sparse features,
    /// notes; the last number is the base: [`FeatureShape::explained_width`] in all.
    ///
    /// # Errors
    /// [`ModelError::Kernel`] when a shape does not fit; [`ModelError::Device`] where the weights
    /// lie on a device that fails.
    fn explain(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError>;

    /// The sparse feature whose labels a note is about; none where it is about those of all rows.
    fn noted_feature(&self, note: usize) -> Option<usize> {
        let _ = note;
        None
    }

    /// [`Model::score`] for rows that lie in the memory of a GPU as well: a model that lives there
    /// takes them from there.
    ///
    /// # Errors
    /// As [`Model::score`].
    fn score_there(
        &self,
        features: &Features<'_>,
        there: RowsThere<'_>,
        out: &mut [f32],
    ) -> Result<(), ModelError> {
        let _ = there;
        self.score(features, out)
    }

    /// What scores rows where a GPU makes them, for a model that needs nothing but their features:
    /// its scores, finished by [`Model::finish_scores`], are those of [`Model::score`] as long as
    /// the model stands.
    fn scorer(&self) -> Option<&dyn Scorer> {
        None
    }

    /// Makes scores of what [`Model::scorer`] gave.
    fn finish_scores(&self, scores: &mut [f32]) {
        let _ = scores;
    }

    /// Learns the rows together, as one step. In what way is the model's affair, as long as it is a
    /// function of the rows in their order; a step of one row is that row learned by itself.
    ///
    /// # Errors
    /// [`ModelError::Kernel`] when a shape does not fit.
    fn learn(&mut self, batch: &LabeledBatch<'_>) -> Result<LearnOutcome, ModelError>;

    /// Scores each row, then learns it, before the next row is scored: the bits of
    /// [`Model::score`] and [`Model::learn`] called row by row, for the price of learning alone.
    ///
    /// # Shapes
    /// `out: [rows, outputs]`, row-major.
    ///
    /// # Errors
    /// [`ModelError::Kernel`] when a shape does not fit; nothing is learned then.
    fn score_and_learn_each(
        &mut self,
        batch: &LabeledBatch<'_>,
        out: &mut [f32],
    ) -> Result<LearnOutcome, ModelError>;

    /// Draws what [`Model::score`] does with the weights as they are: `[rows, outputs]`.
    ///
    /// # Errors
    /// [`ModelError::NotDrawn`] for what is no graph of operations; [`ModelError::Device`] where
    /// the weights lie on a device that fails.
    fn draw(&self, graph: &mut Graph, inputs: &Inputs) -> Result<Value, ModelError> {
        let _ = (graph, inputs);
        Err(ModelError::NotDrawn("this kind of model"))
    }

    /// Draws what [`Model::note`] notes of rows, as of now: `[rows, notes_width]`; none where that
    /// is 0.
    ///
    /// # Errors
    /// As [`Model::draw`].
    fn draw_notes(&self, graph: &mut Graph, inputs: &Inputs) -> Result<Option<Value>, ModelError> {
        let _ = (graph, inputs);
        match self.notes_width() {
            0 => Ok(None),
            _ => Err(ModelError::NotDrawn("this kind of model")),
        }
    }

    /// The members of a mixture; none for what is none.
    fn members(&self) -> Vec<MemberStatus> {
        Vec::new()
    }

    /// What a mixture has lost more than the best of its members would have, over all rows.
    fn regret(&self) -> f64 {
        0.0
    }

    /// How often members were begun afresh because they had become worse, and how often the fresh
    /// ones took their place.
    fn renewals(&self) -> [u64; 2] {
        [0; 2]
    }

    /// The contest, for what is one.
    fn contest(&self) -> Option<&contest::Contest> {
        None
    }

    /// The same, to promote a challenger.
    fn contest_mut(&mut self) -> Option<&mut contest::Contest> {
        None
    }

    /// Writes everything that learning changes.
    ///
    /// # Errors
    /// What the writer reports.
    fn write_state(&self, out: &mut dyn Write) -> io::Result<()>;

    /// Takes the state that [`Model::write_state`] wrote.
    ///
    /// # Errors
    /// [`ModelError::State`] when it ends early or is of another shape; the model is unchanged.
    /// Nothing is kept afterwards.
    fn read_state(&mut self, from: &mut dyn Read) -> Result<(), ModelError>;

    /// Keeps the state as it is, behind those that are kept already. It costs memory for what is
    /// learned from now on, until it is forgotten.
    ///
    /// # Errors
    /// [`ModelError::State`] for a bug only.
    fn keep(&mut self) -> Result<(), ModelError>;

    /// Forgets the oldest kept state.
    fn forget_oldest(&mut self);

    /// Goes back to the oldest kept state, which stays kept while later ones are forgotten.
    ///
    /// # Errors
    /// [`ModelError::State`] for a bug only.
    fn go_back(&mut self) -> Result<(), ModelError>;

    /// Writes the kept states.
    ///
    /// # Errors
    /// What the writer reports.
    fn write_kept(&self, out: &mut dyn Write) -> io::Result<()>;

    /// Takes what [`Model::write_kept`] wrote of a model whose state this one has read.
    ///
    /// # Errors
    /// [`ModelError::State`] when it ends early or is of another shape; the model must not be used
    /// then.
    fn read_kept(&mut self, from: &mut dyn Read) -> Result<(), ModelError>;
}

/// What a model cannot do.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Arguments that do not fit.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The device could not do it.
    #[error("the device failed")]
    Device(#[from] DeviceError),
    /// A state that ends early or is of another shape.
    #[error("the model state cannot be read")]
    State(#[from] io::Error),
    /// A graph that cannot be worked out.
    #[error("the graph of the model cannot be worked out")]
    Graph(#[from] graph::GraphError),
    /// What cannot be drawn as a graph.
    #[error("{0} cannot be exported")]
    NotDrawn(&'static str),
}
