//! Standardisation as operations, by the moments as they are.

use pelton_kernels::fixed::VALUE_MAX;
use pelton_kernels::moments::Moments;

use super::Standardized;
use crate::graph::{Graph, Inputs, Operation, Tensor, Unary, Value};

impl Standardized {
    /// The features as the model inside sees them.
    pub(super) fn draw_inputs(&self, graph: &mut Graph, inputs: &Inputs) -> Inputs {
        let dense = inputs.dense.map(|dense| draw_moments(graph, &self.moments, dense));
        inputs.with(dense, inputs.notes)
    }
}

/// Draws what [`Moments::apply`] does, in doubles as there: a mean may be large beside the
/// deviation.
///
/// # Shapes
/// `dense: [rows, width]` of 32-bit floats, as is what is returned.
pub(crate) fn draw_moments(graph: &mut Graph, moments: &Moments, dense: Value) -> Value {
    graph.within("moments", |graph| {
        let (means, inverses) = moments.rates();
        let is_missing = graph.node(Operation::Unary(Unary::IsNaN), &[dense]);
        let legal = graph.clamp(dense, [-VALUE_MAX, VALUE_MAX]);
        let values = graph.doubled(legal);
        let means = graph.constant("means", Tensor::doubles(means.to_vec()));
        let inverses = graph.constant("inverses", Tensor::doubles(inverses.to_vec()));
        let off = graph.sub(values, means);
        let scaled = graph.mul(off, inverses);
        let clip = f64::from(moments.spec().clip);
        let (least, most) = (graph.double(-clip), graph.double(clip));
        let raised = graph.max(scaled, least);
        let clipped = graph.min(raised, most);
        let (scaled, zero) = (graph.single(clipped), graph.number(0.0));
        graph.choose(is_missing, zero, scaled)
    })
}
