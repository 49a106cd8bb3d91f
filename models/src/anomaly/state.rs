//! The detector as bytes. The counts behind the ranks are not written: they follow from the bins.

use std::io::{self, Read, Write};

use pelton_kernels::state::{StateReader, StateWriter, invalid};

use super::tree::{NUMBER_MAX, Node};
use super::{Anomaly, AnomalyConfig, Strangeness};
use crate::FeatureShape;

/// Which detector a state is of.
fn header(config: &AnomalyConfig, shape: FeatureShape) -> [u64; 6] {
    [
        u64::from_le_bytes(*b"anomaly1"),
        (config.trees as u64) << 32 | config.sample_rows as u64,
        config.window_rows as u64,
        config.stride,
        shape.dense_width as u64,
        (shape.sparse_width as u64) << 8 | u64::from(shape.sparse_bits),
    ]
}

impl Anomaly {
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = &mut StateWriter::new(out);
        state.slice(&header(&self.config, self.shape))?;
        self.strangeness.write(state)
    }

    /// Reads into an untrained model.
    pub(super) fn read(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let state = &mut StateReader::new(from);
        let header = header(&self.config, self.shape);
        state.expect(&header, "the model had another shape or settings")?;
        self.strangeness.read(state)
    }
}

impl Strangeness {
    /// Writes everything that learning changes.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.slice(&[self.learned, self.kept, self.draws.0, self.next, self.grown])?;
        state.list(&self.ranks.bins)?;
        state.slice(&self.window)?;
        self.rarity.write(state)?;
        state.length(self.trees.len())?;
        for nodes in &self.trees {
            state.length(nodes.len())?;
            state.each(nodes.iter().map(node_bits))?;
        }
        Ok(())
    }

    /// Reads what [`Strangeness::write`] wrote into one of no rows, of the same shape and settings.
    ///
    /// # Errors
    /// Those of the reader; `InvalidData` for what cannot be. It must not be used then.
    pub fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        let [learned, kept, draws, next, grown] = state.get()?;
        (self.learned, self.kept, self.next, self.grown) = (learned, kept, next, grown);
        self.draws.0 = draws;
        let bins = state.list::<u32>(self.config.window_rows)?;
        let rows = bins.len();
        if rows as u64 != kept.min(self.config.window_rows as u64) || kept > learned {
            return Err(invalid("a window lacks rows"));
        }
        if !self.ranks.fill(bins) {
            return Err(invalid("a rank is none"));
        }
        self.window = state.numbers(rows * self.width)?;
        let is_number = |value: &f32| value.abs() <= NUMBER_MAX;
        if !self.window.iter().all(is_number) || learned > u64::MAX / 2 {
            return Err(invalid("a window holds what is no number"));
        }
        self.rarity.read(state)?;
        let trees = state.length(self.config.trees)?;
        if (trees != 0 && (trees != self.config.trees || rows == 0)) || next <= learned {
            return Err(invalid("trees are not there"));
        }
        self.trees = (0..trees).map(|_| self.read_tree(state)).collect::<io::Result<_>>()?;
        Ok(())
    }

    fn read_tree(&self, state: &mut StateReader<'_>) -> io::Result<Vec<Node>> {
        // Each row of the sample brings two nodes, and each of these a guard, at most.
        let numbers = state.list::<[u32; 6]>(4 * self.config.sample_rows)?;
        let nodes: Vec<Node> = numbers.into_iter().map(node_of).collect();
        let (count, depth_max) = (nodes.len(), self.depth_max());
        let is_sound = |(at, node): (usize, &Node)| node.is_sound(at, count, self.width, depth_max);
        if nodes.is_empty() || !nodes.iter().enumerate().all(is_sound) {
            return Err(invalid("a tree is none"));
        }
        Ok(nodes)
    }
}

fn node_bits(node: &Node) -> [u32; 6] {
    let [low, high] = node.range.map(f32::to_bits);
    [node.column, node.depth.to_bits(), node.cut.to_bits(), low, high, node.children]
}

fn node_of([column, depth, cut, low, high, children]: [u32; 6]) -> Node {
    let [depth, cut, low, high] = [depth, cut, low, high].map(f32::from_bits);
    Node { column, depth, cut, range: [low, high], children }
}
