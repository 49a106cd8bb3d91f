//! A forest as bytes. What is read back is looked through: a walk through a tree must end, and no
//! index may lie outside.

use std::io::{self, Read, Write};

use pelton_kernels::state::{StateReader, StateWriter, invalid};

use super::Forest;
use super::config::{MEMORIES, header};
use super::leaves::{Slot, Watched};
use super::member::Challenger;
use super::tree::{NONE, Node, Tree};

/// No stream is longer.
pub(super) const COUNT_MAX: u64 = 1 << 60;

impl Forest {
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = &mut StateWriter::new(out);
        state.slice(&header(&self.config, self.shape))?;
        state.slice(&[self.learned, self.grown, self.replaced, self.bins_at])?;
        self.memory.write(state)?;
        self.bins.write(state)?;
        state.slice(&self.shares)?;
        state.put(self.vote.numbers())?;
        state.put(self.moments)?;
        for member in &self.members {
            write_tree(&member.tree, state)?;
            state.put(member.loss)?;
            member.warning.write(state)?;
            state.put(u8::from(member.challenger.is_some()))?;
            if let Some(challenger) = &member.challenger {
                write_tree(&challenger.tree, state)?;
                state.put(challenger.rows)?;
                state.put(challenger.ahead)?;
            }
        }
        Ok(())
    }

    /// Reads into an untrained model.
    pub(super) fn read(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let state = &mut StateReader::new(from);
        let header = header(&self.config, self.shape);
        state.expect(&header, "the model had another shape, task or settings")?;
        [self.learned, self.grown, self.replaced, self.bins_at] = state.get()?;
        if [self.learned, self.grown, self.replaced, self.bins_at].iter().any(|n| *n > COUNT_MAX) {
            return Err(invalid("more was learned than can have been"));
        }
        self.memory.read(state)?;
        self.bins.read(state)?;
        state.fill(&mut self.shares)?;
        let is_vote = self.vote.set(state.get()?);
        self.moments = state.get()?;
        let numbers = self.moments.iter().all(|number| number.is_finite());
        let shares = self.shares.iter().all(|share| (0.0..=1.0).contains(share));
        if !is_vote || !numbers || !shares {
            return Err(invalid("a vote counts what is no number"));
        }
        let width = self.bins.width();
        let cell = self.members.first().map_or(1, |member| member.tree.leaves.cell().width());
        let nodes_max = self.config.nodes(width, cell);
        for member in &mut self.members {
            read_tree(&mut member.tree, (width, nodes_max), state)?;
            member.loss = finite(state.get()?)?;
            member.warning.read(state)?;
            if state.get::<u8>()? == 0 {
                continue;
            }
            let mut tree = Tree::new(&self.config, &self.bins, 0);
            read_tree(&mut tree, (width, nodes_max), state)?;
            let rows = finite(state.get()?)?;
            let ahead = state.get::<[f32; 2]>()?;
            let ahead = [finite(ahead[0])?, finite(ahead[1])?];
            member.challenger = Some(Challenger { tree, rows, ahead });
        }
        Ok(())
    }
}

fn finite(number: f32) -> io::Result<f32> {
    if number.is_finite() { Ok(number) } else { Err(invalid("a number is none")) }
}

fn write_tree(tree: &Tree, state: &mut StateWriter<'_>) -> io::Result<()> {
    state.put(tree.seed)?;
    state.length(tree.nodes.len())?;
    state.each(tree.nodes.iter().map(|node| {
        [node.column, node.threshold.to_bits(), node.left, node.slot, node.rows.to_bits()]
    }))?;
    state.slice(&tree.means)?;
    state.list(&tree.free)?;
    let leaves = &tree.leaves;
    state.length(leaves.slots.len())?;
    state.each(leaves.slots.iter().map(|slot| [slot.weight, slot.next, slot.offset]))?;
    let watched = |own: &Watched| [own.column.into(), own.low.into(), own.high.into()];
    state.each(
        leaves
            .watched
            .iter()
            .map(watched)
            .map(|[column, low, high]: [u32; 3]| column << 16 | low << 8 | high),
    )?;
    state.list(&leaves.free)?;
    state.blocks(&leaves.cells, |cell| *cell)
}

/// Reads into a tree of the same shape.
fn read_tree(
    tree: &mut Tree,
    (width, nodes_max): (usize, usize),
    state: &mut StateReader<'_>,
) -> io::Result<()> {
    tree.seed = state.get()?;
    let nodes = state.list::<[u32; 5]>(nodes_max)?;
    tree.nodes = nodes
        .into_iter()
        .map(|[column, threshold, left, slot, rows]| {
            let [threshold, rows] = [threshold, rows].map(f32::from_bits);
            Node { column, threshold, left, slot, rows }
        })
        .collect();
    tree.means = state.numbers(tree.nodes.len() * MEMORIES * tree.outputs)?;
    tree.free = state.list(tree.nodes.len())?;
    let leaves = &mut tree.leaves;
    let slots = state.list::<[f32; 3]>(tree.nodes.len().div_ceil(2))?;
    leaves.slots =
        slots.iter().map(|&[weight, next, offset]| Slot { weight, next, offset }).collect();
    let columns = leaves.columns_of_each();
    leaves.watched = state
        .numbers::<u32>(leaves.slots.len() * columns)?
        .into_iter()
        .map(|word| {
            let [high, low, first, second] = word.to_le_bytes();
            Watched { column: u16::from_le_bytes([first, second]), low, high }
        })
        .collect();
    leaves.free = state.list(leaves.slots.len())?;
    leaves.cells = vec![0.0; leaves.slots.len() * leaves.stride()];
    state.blocks(&mut leaves.cells, |cell: f32| cell)?;
    let numbers = tree.means.iter().chain(&tree.leaves.cells).chain(slots.as_flattened());
    let are_numbers = numbers.fold(true, |all, number| all & number.is_finite());
    if !are_numbers || !leads_somewhere(tree, width) {
        return Err(invalid("a tree leads nowhere"));
    }
    Ok(())
}

/// Whether every node is reached once, or free; and every slot belongs to one leaf, or is free.
fn leads_somewhere(tree: &Tree, width: usize) -> bool {
    let (mut nodes, mut slots) =
        (vec![false; tree.nodes.len()], vec![false; tree.leaves.slots.len()]);
    let take = |marks: &mut [bool], at: usize| {
        marks.get_mut(at).is_some_and(|mark| !std::mem::replace(mark, true))
    };
    let mut way = vec![0];
    while let Some(at) = way.pop() {
        if !take(&mut nodes, at) {
            return false;
        }
        let Node { column, threshold, left, slot, rows } = tree.nodes[at];
        let has_slot = slot != NONE;
        let is_good = match left {
            0 => !has_slot || take(&mut slots, slot as usize),
            _ => !has_slot && (column as usize) < width && threshold.is_finite(),
        };
        if !is_good || !(0.0..=1e30).contains(&rows) {
            return false;
        }
        if left != 0 {
            way.extend([left as usize, (left as usize).saturating_add(1)]);
        }
    }
    let are_free = tree.free.iter().all(|left| {
        let left = *left as usize;
        take(&mut nodes, left) && take(&mut nodes, left.saturating_add(1))
    });
    let slots_free = tree.leaves.free.iter().all(|slot| take(&mut slots, *slot as usize));
    let is_watched = |own: &Watched| usize::from(own.column) < width && own.low <= own.high;
    are_free
        && slots_free
        && nodes.iter().chain(&slots).all(|mark| *mark)
        && tree.leaves.watched.iter().all(is_watched)
}
