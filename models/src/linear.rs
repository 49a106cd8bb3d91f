//! stub
use crate::*;
/// stub
pub struct Stub {
    w: Vec<f32>,
    v: u64,
}
impl Stub {
    /// stub
    pub fn new(shape: FeatureShape) -> Stub {
        Stub { w: vec![0.0; shape.dense_width + 1], v: 0 }
    }
    fn p(&self, x: &[f32]) -> f32 {
        let z: f32 = x.iter().zip(&self.w).map(|(a, b)| a * b).sum::<f32>() + self.w[x.len()];
        pelton_kernels::math::sigmoid_f32(z)
    }
}
impl Model for Stub {
    fn outputs(&self) -> usize {
        1
    }
    fn version(&self) -> u64 {
        self.v
    }
    fn score(&self, f: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        let n = self.w.len() - 1;
        for r in 0..f.rows {
            out[r] = self.p(&f.dense[r * n..(r + 1) * n]);
        }
        Ok(())
    }
    fn learn(&mut self, b: &LabeledBatch<'_>) -> Result<LearnOutcome, ModelError> {
        let n = self.w.len() - 1;
        for r in 0..b.features.rows {
            let x = &b.features.dense[r * n..(r + 1) * n];
            let g = self.p(x) - b.labels[r];
            for (w, x) in self.w.iter_mut().zip(x.iter().chain(&[1.0])) {
                *w -= 0.01 * g * x;
            }
            self.v += 1;
        }
        Ok(LearnOutcome { learned: b.features.rows as u64, refused: 0 })
    }
    fn write_state(&self, out: &mut dyn Write) -> io::Result<()> {
        self.w.iter().try_for_each(|w| out.write_all(&w.to_le_bytes()))
    }
    fn read_state(&mut self, _: &mut dyn Read) -> Result<(), ModelError> {
        Ok(())
    }
}
