//! A model that was trained elsewhere and learns nothing here: a graph of operations
//! ([`crate::graph`]) behind the trait of the family.
//!
//! So a team starts from the model it has: alone, as the champion that challengers of the family
//! have to beat, or as a member of the mixture. What it is fed are the features of the stream, by
//! input of the graph; what comes out are probabilities, log odds or values. Labels are counted,
//! and move the means that explanations begin at (`frozen/explain.rs`), but no score.
//!
//! Invariants: a row's score depends on that row alone, to the bit (a graph that looks at a batch
//! is refused); what is no probability becomes one: beyond 0 and 1 it is 0 or 1, and what is no
//! number is the score of a coin. What this does not do: learn, or note anything.

mod explain;
mod state;
#[cfg(test)]
pub(crate) mod tests;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;

use pelton_kernels::KernelError;
use pelton_kernels::math::{sigmoid_f32, softmax_f32};

use crate::graph::{Data, Graph, GraphError, Inputs, Kind, Operation, Tensor, Value};
use crate::{ABSENT, FeatureShape, Features, LabeledBatch, LearnOutcome, Model, ModelError, Task};
use explain::Explaining;
use state::State;

const NAME: &str = "frozen";
/// Rows that a graph works out at a time, so that it needs little memory.
const ROWS_MAX: usize = 256;

/// What an input of a graph is fed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Feed {
    /// These dense features of a row, in this order.
    Dense(Vec<u32>),
    /// All sparse features of a row; -1 where it has none.
    Sparse,
}

/// A trained model, and how rows go in and scores come out.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawing {
    /// What it does; its first output counts.
    pub graph: Graph,
    /// What each of its inputs is fed.
    pub feeds: Vec<Feed>,
    /// Whether what comes out are log odds (or their like for classes).
    pub is_log_odds: bool,
    /// Tells the model from others: the digest of the file it came from.
    pub digest: u128,
}

/// A model that does not learn.
pub struct Frozen {
    task: Task,
    shape: FeatureShape,
    drawing: Arc<Drawing>,
    state: State,
    /// Oldest first.
    kept: VecDeque<State>,
    explaining: RefCell<Explaining>,
}

impl Frozen {
    /// The model behind a drawing.
    ///
    /// # Errors
    /// [`ModelError::Kernel`] when the feeds do not fit the graph or the shape;
    /// [`ModelError::Graph`] when the graph does not run, looks at other rows, or has another
    /// number of outputs than the task.
    pub fn new(
        task: Task,
        shape: FeatureShape,
        drawing: Arc<Drawing>,
    ) -> Result<Frozen, ModelError> {
        check_feeds(&drawing, shape)?;
        let refused = |reason: String| {
            ModelError::Graph(GraphError { operation: "the imported model".into(), reason })
        };
        if drawing.graph.mixes_rows()? {
            let reason = "looks at the other rows of a batch: a row's score must be its own";
            return Err(refused(reason.into()));
        }
        let frozen = Frozen {
            task,
            shape,
            drawing,
            state: State::new(shape),
            kept: VecDeque::new(),
            explaining: RefCell::default(),
        };
        // One row, absent and 0: how much comes out.
        let (dense, sparse) = (vec![0.0; shape.dense_width], vec![ABSENT; shape.sparse_width]);
        let row = Features { rows: 1, dense: &dense, sparse: &sparse, notes: &[] };
        let out = frozen.run(&row, 0..1)?;
        let (given, wanted) = (out.data().len(), task.outputs());
        if out.as_f32().is_none() {
            return Err(refused(format!("gives {:?}, not 32-bit floats", out.kind())));
        }
        if given != wanted && (task, given) != (Task::Binary, 2) {
            return Err(refused(format!("gives {given} numbers a row, the task needs {wanted}")));
        }
        Ok(frozen)
    }

    /// What the graph makes of some of the rows.
    fn run(
        &self,
        features: &Features<'_>,
        rows: std::ops::Range<usize>,
    ) -> Result<Tensor, ModelError> {
        let (dense_width, sparse_width) = (self.shape.dense_width, self.shape.sparse_width);
        let graph = &self.drawing.graph;
        let input = |(feed, (_, _, kind, _)): (&Feed, (Value, &str, Kind, usize))| {
            let (columns, floats): (usize, Vec<f32>) = match feed {
                Feed::Dense(columns) => {
                    let row = |row| {
                        let dense = &features.dense[row * dense_width..][..dense_width];
                        columns.iter().map(|column| dense[*column as usize])
                    };
                    (columns.len(), rows.clone().flat_map(row).collect())
                }
                Feed::Sparse => {
                    let given =
                        &features.sparse[rows.start * sparse_width..rows.end * sparse_width];
                    let index = |own: &u32| if *own == ABSENT { -1 } else { i64::from(*own) };
                    let data = Data::I64(given.iter().map(index).collect());
                    return Tensor::new(vec![rows.len(), sparse_width], data);
                }
            };
            let data = match kind {
                Kind::F32 => Data::F32(floats),
                Kind::F64 => Data::F64(floats.into_iter().map(f64::from).collect()),
                Kind::I64 => Data::I64(floats.into_iter().map(|own| own as i64).collect()),
                Kind::Bool => Data::Bool(floats.into_iter().map(|own| own != 0.0).collect()),
            };
            Tensor::new(vec![rows.len(), columns], data)
        };
        let inputs: Option<Vec<Tensor>> =
            self.drawing.feeds.iter().zip(graph.inputs()).map(input).collect();
        let given = graph.run(&inputs.unwrap_or_default())?;
        let gone = || GraphError { operation: NAME.into(), reason: "has no output".into() };
        Ok(given.into_iter().next().ok_or_else(gone)?)
    }

    /// Writes what the graph gives of all rows, as predictions.
    fn predict(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        let outputs = self.task.outputs();
        for (part, out) in out.chunks_mut(ROWS_MAX * outputs).enumerate() {
            let from = part * ROWS_MAX;
            let given = self.run(features, from..from + out.len() / outputs)?;
            let given = given.as_f32().unwrap_or_default();
            // Of the two probabilities of a classifier that of label 1 counts.
            let both = outputs == 1 && given.len() == 2 * out.len();
            match both {
                true if self.drawing.is_log_odds => {
                    let pairs = given.as_chunks::<2>().0;
                    out.iter_mut().zip(pairs).for_each(|(out, [no, yes])| *out = yes - no);
                }
                true => out.iter_mut().zip(given.chunks_exact(2)).for_each(|(out, p)| *out = p[1]),
                false => out.copy_from_slice(given),
            }
            out.chunks_exact_mut(outputs).for_each(|row| self.link(row));
        }
        Ok(())
    }

    /// What came out of a row as a prediction.
    fn link(&self, row: &mut [f32]) {
        let is_log_odds = self.drawing.is_log_odds;
        let is_good = row.iter().all(|own| own.is_finite());
        match self.task {
            Task::Regression if !is_good => row.fill(0.0),
            Task::Regression => {}
            Task::Binary if !is_good => row.fill(0.5),
            Task::Binary if is_log_odds => row[0] = sigmoid_f32(row[0]),
            Task::Binary => row[0] = row[0].clamp(0.0, 1.0),
            Task::MultiClass { classes } if !is_good => row.fill(1.0 / classes as f32),
            Task::MultiClass { .. } if is_log_odds => softmax_f32(row),
            Task::MultiClass { classes } => {
                row.iter_mut().for_each(|own| *own = own.max(0.0));
                let total: f32 = row.iter().sum();
                match total > 0.0 {
                    true => row.iter_mut().for_each(|own| *own /= total),
                    false => row.fill(1.0 / classes as f32),
                }
            }
        }
    }
}

/// Whether each input is fed what it takes.
fn check_feeds(drawing: &Drawing, shape: FeatureShape) -> Result<(), ModelError> {
    let refused = |reason| KernelError::Value { kernel: NAME, argument: "feeds", reason };
    let inputs: Vec<(Kind, usize)> =
        drawing.graph.inputs().map(|(_, _, kind, columns)| (kind, columns)).collect();
    if inputs.len() != drawing.feeds.len() {
        return Err(refused("are not as many as the inputs of the graph").into());
    }
    for ((kind, columns), feed) in inputs.into_iter().zip(&drawing.feeds) {
        let is_good = match feed {
            Feed::Dense(own) => {
                let is_there = |column: &u32| (*column as usize) < shape.dense_width;
                own.len() == columns && own.iter().all(is_there)
            }
            Feed::Sparse => kind == Kind::I64 && columns == shape.sparse_width,
        };
        if !is_good {
            return Err(refused("do not fit the inputs of the graph or the features").into());
        }
    }
    Ok(())
}

impl Model for Frozen {
    fn outputs(&self) -> usize {
        self.task.outputs()
    }

    /// Rows counted: no score depends on them.
    fn version(&self) -> u64 {
        self.state.learned
    }

    fn score(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        self.shape.check(NAME, features, Some((self.outputs(), out.len())))?;
        self.predict(features, out)
    }

    fn explain(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        let numbers = self.outputs() * self.shape.explained_width(0);
        self.shape.check(NAME, features, Some((numbers, out.len())))?;
        self.explain_rows(features, out)
    }

    fn draw(&self, graph: &mut Graph, inputs: &Inputs) -> Result<Value, ModelError> {
        graph.within("imported", |graph| self.draw_into(graph, inputs))
    }

    fn learn(&mut self, batch: &LabeledBatch<'_>) -> Result<LearnOutcome, ModelError> {
        self.shape.check_batch(NAME, batch)?;
        let mut outcome = LearnOutcome::default();
        let width = self.shape.dense_width;
        for row in 0..batch.features.rows {
            if self.task.can_learn(batch.labels[row], batch.weights[row]) {
                self.state.learn(&batch.features.dense[row * width..][..width]);
                outcome.learned += 1;
            } else {
                outcome.refused += 1;
            }
        }
        Ok(outcome)
    }

    fn score_and_learn_each(
        &mut self,
        batch: &LabeledBatch<'_>,
        out: &mut [f32],
    ) -> Result<LearnOutcome, ModelError> {
        self.shape.check_batch(NAME, batch)?;
        self.score(&batch.features, out)?;
        self.learn(batch)
    }

    fn write_state(&self, out: &mut dyn Write) -> io::Result<()> {
        self.write(out)
    }

    fn read_state(&mut self, from: &mut dyn Read) -> Result<(), ModelError> {
        self.state = self.read(from)?;
        self.kept.clear();
        Ok(())
    }

    fn keep(&mut self) -> Result<(), ModelError> {
        self.kept.push_back(self.state.clone());
        Ok(())
    }

    fn forget_oldest(&mut self) {
        self.kept.pop_front();
    }

    fn go_back(&mut self) -> Result<(), ModelError> {
        self.kept.truncate(1);
        if let Some(oldest) = self.kept.front() {
            self.state = oldest.clone();
        }
        Ok(())
    }

    fn write_kept(&self, out: &mut dyn Write) -> io::Result<()> {
        self.write_all_kept(out)
    }

    fn read_kept(&mut self, from: &mut dyn Read) -> Result<(), ModelError> {
        self.kept = self.read_all_kept(from)?;
        Ok(())
    }
}

impl Frozen {
    /// The graph as part of another.
    fn draw_into(&self, graph: &mut Graph, inputs: &Inputs) -> Result<Value, ModelError> {
        let mut given = Vec::new();
        for (feed, (_, _, kind, _)) in self.drawing.feeds.iter().zip(self.drawing.graph.inputs()) {
            let value = match (feed, inputs.dense, inputs.sparse) {
                (Feed::Dense(columns), Some(dense), _) => {
                    let which = columns.iter().map(|column| i64::from(*column)).collect();
                    let which = graph.constant("columns", Tensor::integers(which));
                    let picked = graph.node(Operation::Gather { axis: 1 }, &[dense, which]);
                    if kind == Kind::F32 {
                        picked
                    } else {
                        graph.node(Operation::Cast(kind), &[picked])
                    }
                }
                (Feed::Sparse, _, Some(sparse)) => {
                    // What is absent here is -1 there.
                    let (limit, none) =
                        (graph.integer(1 << self.shape.sparse_bits), graph.integer(-1));
                    let is_there = graph.less(sparse, limit);
                    graph.choose(is_there, sparse, none)
                }
                _ => return Err(ModelError::NotDrawn("a model of features that are not there")),
            };
            given.push(value);
        }
        let out = graph.embed(&self.drawing.graph, &given);
        let out = graph.reshape(out, &[-1, self.width()? as i64]);
        let is_log_odds = self.drawing.is_log_odds;
        Ok(match self.task {
            Task::Regression => out,
            Task::Binary if self.width()? == 2 => {
                let yes = graph.columns(out, 1, 2);
                let no = graph.columns(out, 0, 1);
                if is_log_odds {
                    let odds = graph.sub(yes, no);
                    graph.sigmoid(odds)
                } else {
                    graph.clamp(yes, [0.0, 1.0])
                }
            }
            Task::Binary if is_log_odds => graph.sigmoid(out),
            Task::Binary => graph.clamp(out, [0.0, 1.0]),
            Task::MultiClass { .. } if is_log_odds => graph.softmax(out),
            Task::MultiClass { .. } => {
                let zero = graph.number(0.0);
                let shares = graph.max(out, zero);
                let total = graph.sum(shares, &[1]);
                let total = graph.reshape(total, &[-1, 1]);
                graph.div(shares, total)
            }
        })
    }

    /// Numbers the graph gives a row.
    fn width(&self) -> Result<usize, ModelError> {
        let (dense, sparse) =
            (vec![0.0; self.shape.dense_width], vec![ABSENT; self.shape.sparse_width]);
        let row = Features { rows: 1, dense: &dense, sparse: &sparse, notes: &[] };
        Ok(self.run(&row, 0..1)?.data().len())
    }
}
