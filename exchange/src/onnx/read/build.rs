//! A graph that is being built of a file's nodes, with every value tried on one row and on two.
//!
//! What a node does depends on shapes that a file need not tell. So each value is worked out here
//! on rows of zeros: its shape is seen, what fits nothing is found at once, and what comes of
//! constants and shapes alone is folded to a constant, or to a length that follows the rows.

use std::cell::Cell;
use std::rc::Rc;

use pelton_models::graph::{Binary, Data, Graph, Kind, Operation, Tensor, Unary, Value};

use crate::Predicts;

/// Numbers that may be worked out for a file of no size; a larger one has 2 more a byte.
const NUMBERS_MAX: usize = 1 << 26;

/// A value of a file.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// What it is for one row, and for two.
    pub(super) probes: [Rc<Tensor>; 2],
    /// Whether it comes of constants and shapes alone.
    is_known: bool,
    /// Its name, where it is a constant.
    name: Rc<str>,
    /// Its place in the graph, if it has one by now.
    value: Rc<Cell<Option<Value>>>,
    /// What it is, if it is an output.
    pub(super) predicts: Predicts,
}

/// The graph so far.
#[derive(Debug, Default)]
pub(super) struct Build {
    pub(super) graph: Graph,
    /// The first input.
    rows: Option<Item>,
    spent: usize,
    most: usize,
}

impl Item {
    pub(super) fn kind(&self) -> Kind {
        self.probes[0].kind()
    }

    pub(super) fn rank(&self) -> usize {
        self.probes[0].shape().len()
    }

    /// A length of an axis that is the same for any rows.
    pub(super) fn length(&self, axis: i64) -> Result<usize, String> {
        let at = self.axis(axis)?;
        match self.probes.each_ref().map(|probe| probe.shape()[at]) {
            [one, two] if one == two => Ok(one),
            _ => Err(format!("axis {axis} is as long as there are rows")),
        }
    }

    /// An axis, counted from the front.
    pub(super) fn axis(&self, axis: i64) -> Result<usize, String> {
        let rank = self.rank();
        let place = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
        let place = usize::try_from(place).ok().filter(|place| *place < rank);
        place.ok_or_else(|| format!("no axis {axis} of {rank}"))
    }

    /// The same, as what predicts this.
    pub(super) fn predicting(mut self, predicts: Predicts) -> Item {
        self.predicts = predicts;
        self
    }

    /// The tensor, where it is always the same.
    pub(super) fn known(&self) -> Result<&Tensor, String> {
        let [one, two] = &self.probes;
        let is_same = Rc::ptr_eq(one, two) || one == two;
        match self.is_known && is_same {
            true => Ok(one),
            false => Err("what must be constant is worked out".to_owned()),
        }
    }

    /// Integers of constants and shapes: for one row, and for two.
    pub(super) fn integers(&self) -> Result<[Vec<i64>; 2], String> {
        let own = |probe: &Rc<Tensor>| match probe.data() {
            Data::I64(own) if self.is_known => Ok(own.clone()),
            _ => Err("what must be constant integers is not".to_owned()),
        };
        let [one, two] = &self.probes;
        Ok([own(one)?, own(two)?])
    }

    /// Integers that are always the same.
    pub(super) fn same_integers(&self) -> Result<Vec<i64>, String> {
        match self.integers()? {
            [one, two] if one == two => Ok(one),
            _ => Err("a bound or an axis that follows the rows".to_owned()),
        }
    }
}

impl Build {
    /// A graph of a file of so many bytes.
    pub(super) fn of(bytes: usize) -> Build {
        Build { most: bytes.saturating_mul(2).saturating_add(NUMBERS_MAX), ..Build::default() }
    }

    /// A value that is always the same.
    pub(super) fn constant(&mut self, name: &str, tensor: Tensor) -> Item {
        let tensor = Rc::new(tensor);
        self.known(name, [tensor.clone(), tensor])
    }

    /// A value that follows from the shapes.
    pub(super) fn known(&mut self, name: &str, probes: [Rc<Tensor>; 2]) -> Item {
        let (name, value) = (Rc::from(name), Rc::default());
        Item { probes, is_known: true, name, value, predicts: Predicts::Unknown }
    }

    /// An input of the graph.
    pub(super) fn input(&mut self, name: &str, kind: Kind, columns: usize) -> Result<Item, String> {
        self.spend(columns.saturating_mul(3))?;
        let probe = |rows: usize| {
            let data = match kind {
                Kind::F32 => Data::F32(vec![0.0; rows * columns]),
                Kind::F64 => Data::F64(vec![0.0; rows * columns]),
                Kind::I64 => Data::I64(vec![0; rows * columns]),
                Kind::Bool => Data::Bool(vec![false; rows * columns]),
            };
            Tensor::new(vec![rows, columns], data).map(Rc::new)
        };
        let (Some(one), Some(two)) = (probe(1), probe(2)) else {
            return Err("too many columns".to_owned());
        };
        let value = Rc::new(Cell::new(Some(self.graph.input(name, kind, columns))));
        let (is_known, name, predicts) = (false, Rc::from(name), Predicts::Unknown);
        let item = Item { probes: [one, two], is_known, name, value, predicts };
        self.rows.get_or_insert_with(|| item.clone());
        Ok(item)
    }

    /// The place of a value in the graph; a constant gets one now.
    pub(super) fn place(&mut self, item: &Item) -> Result<Value, String> {
        if let Some(value) = item.value.get() {
            return Ok(value);
        }
        let value = match item.known() {
            Ok(tensor) => self.graph.constant(&item.name, tensor.clone()),
            Err(reason) if item.is_known => self.in_every_row(item).ok_or(reason)?,
            Err(reason) => return Err(reason),
        };
        item.value.set(Some(value));
        Ok(value)
    }

    /// What is known and the same in each row: chosen between itself and itself by an input.
    fn in_every_row(&mut self, item: &Item) -> Option<Value> {
        let (row, two) = (&*item.probes[0], &*item.probes[1]);
        let is_same = row.shape().first() == Some(&1)
            && Operation::Concat { axis: 0 }.work_out(&[row, row]).as_ref() == Ok(two);
        let rows = self.rows.clone().filter(|_| is_same)?;
        let first = Operation::Slice { axis: 1, start: 0, end: 1 };
        let first = self.node(first, &[&rows]).ok()?;
        let truths = match first.kind() {
            Kind::F32 | Kind::F64 => self.unary(Unary::IsNaN, &first),
            Kind::I64 | Kind::Bool => self.binary(Binary::Equal, &first, &first),
        };
        let shape = std::iter::once(-1).chain(std::iter::repeat_n(1, row.shape().len() - 1));
        let shape = Operation::Reshape { shape: shape.collect() };
        let truths = self.node(shape, &[&truths.ok()?]).ok()?;
        let row = self.constant(&item.name, row.clone());
        let chosen = self.node(Operation::Where, &[&truths, &row, &row]).ok()?;
        chosen.value.get()
    }

    /// An operation.
    pub(super) fn node(&mut self, operation: Operation, inputs: &[&Item]) -> Result<Item, String> {
        let work_out = |at: usize, build: &mut Build| {
            let inputs: Vec<&Tensor> = inputs.iter().map(|item| &*item.probes[at]).collect();
            build.spend(result_size(&operation, &inputs))?;
            operation.work_out(&inputs).map(Rc::new).map_err(|error| error.to_string())
        };
        let one = work_out(0, self)?;
        let is_known = inputs.iter().all(|item| item.is_known);
        let is_same = is_known && inputs.iter().all(|item| item.known().is_ok());
        let two = if is_same { one.clone() } else { work_out(1, self)? };
        if is_known {
            let name = inputs.first().map_or("folded", |item| &item.name).to_owned();
            return Ok(self.known(&name, [one, two]));
        }
        let places = inputs.iter().map(|item| self.place(item));
        let places = places.collect::<Result<Vec<Value>, String>>()?;
        let value = Rc::new(Cell::new(Some(self.graph.node(operation, &places))));
        let (name, predicts) = (Rc::from(""), Predicts::Unknown);
        Ok(Item { probes: [one, two], is_known, name, value, predicts })
    }

    pub(super) fn unary(&mut self, own: Unary, x: &Item) -> Result<Item, String> {
        self.node(Operation::Unary(own), &[x])
    }

    pub(super) fn binary(&mut self, own: Binary, a: &Item, b: &Item) -> Result<Item, String> {
        self.node(Operation::Binary(own), &[a, b])
    }

    /// One number of the kind that another value has.
    pub(super) fn number(&mut self, like: &Item, number: f64) -> Item {
        let data = match like.kind() {
            Kind::F64 => Data::F64(vec![number]),
            Kind::I64 => Data::I64(vec![number as i64]),
            Kind::F32 | Kind::Bool => Data::F32(vec![number as f32]),
        };
        let tensor = Tensor::new(Vec::new(), data).unwrap_or_else(|| Tensor::floats(Vec::new()));
        self.constant("number", tensor)
    }

    /// With one number: `x own number`.
    pub(super) fn with(&mut self, own: Binary, x: &Item, number: f64) -> Result<Item, String> {
        let number = self.number(x, number);
        self.binary(own, x, &number)
    }

    /// With one number in front: `number own x`.
    pub(super) fn before(&mut self, own: Binary, number: f64, x: &Item) -> Result<Item, String> {
        let number = self.number(x, number);
        self.binary(own, &number, x)
    }

    /// To another kind.
    pub(super) fn cast(&mut self, kind: Kind, x: &Item) -> Result<Item, String> {
        match x.kind() == kind {
            true => Ok(x.clone()),
            false => self.node(Operation::Cast(kind), &[x]),
        }
    }

    /// Takes so many numbers of what may be worked out.
    pub(super) fn spend(&mut self, numbers: usize) -> Result<(), String> {
        self.spent = self.spent.saturating_add(numbers);
        match self.spent <= self.most {
            true => Ok(()),
            false => Err("it is too large to be tried".to_owned()),
        }
    }
}

/// About how many numbers come out, at most.
fn result_size(operation: &Operation, inputs: &[&Tensor]) -> usize {
    let product = |shape: &[usize]| shape.iter().fold(1_usize, |all, own| all.saturating_mul(*own));
    let sizes = inputs.iter().map(|input| product(input.shape()));
    let first = inputs.first().map_or(&[][..], |input| input.shape());
    let second = inputs.get(1).map_or(&[][..], |input| input.shape());
    match operation {
        Operation::Binary(_) | Operation::Where => {
            let rank = inputs.iter().map(|input| input.shape().len()).max().unwrap_or(0);
            let length = |from_end: usize| {
                let own = |input: &&Tensor| input.shape().iter().rev().nth(from_end).copied();
                inputs.iter().filter_map(own).max().unwrap_or(1)
            };
            (0..rank).fold(1, |all, at| all.saturating_mul(length(at)))
        }
        Operation::MatMul => {
            let rows = product(first.split_last().map_or(&[], |(_, rows)| rows));
            rows.saturating_mul(second.last().copied().unwrap_or(1))
        }
        Operation::Gather { axis } => {
            let at = if *axis < 0 { axis + first.len() as i64 } else { *axis };
            let length = usize::try_from(at).ok().and_then(|at| first.get(at)).copied();
            (product(first) / length.unwrap_or(1).max(1)).saturating_mul(product(second))
        }
        Operation::Trees(trees) => product(first).saturating_mul(trees.base.len()),
        _ => sizes.fold(0, usize::saturating_add),
    }
}
