//! Derivatives against central differences of a network written down once more, in doubles.

use super::*;
use crate::neural::network::Room;

/// Two numbers and three categories of which one is absent.
const WIDE: FeatureShape = FeatureShape { dense_width: 2, sparse_width: 3, sparse_bits: 6 };
const ROW: (&[f32], &[u32]) = (&[0.7, -1.3], &[5, ABSENT, 9]);
const FACTORS: usize = 3;

/// Everything that a score of [`ROW`] depends on, in doubles.
#[derive(Clone)]
struct Reference {
    parameters: Vec<f64>,
    /// Of the two indices: vector, then linear weights.
    rows: [Vec<f64>; 2],
    dense: [f64; 2],
}

impl Reference {
    fn of(model: &Neural) -> Reference {
        let doubles = |own: &[f32]| own.iter().map(|own| f64::from(*own)).collect::<Vec<_>>();
        let row = |index| {
            let (vector, linear) = model.embeddings.row(model.embeddings.find(index));
            [doubles(vector), doubles(linear)].concat()
        };
        Reference {
            parameters: doubles(&model.parameters),
            rows: [row(5), row(9)],
            dense: [0.7, -1.3].map(|own: f32| f64::from(own)),
        }
    }

    fn layer(&self, from: usize, (inputs, outputs): (&[f64], usize)) -> Vec<f64> {
        let at = |i: usize, o: usize| self.parameters[from + i * outputs + o];
        let sum = |o| inputs.iter().enumerate().map(|(i, x)| x * at(i, o)).sum::<f64>();
        (0..outputs).map(|o| sum(o) + at(inputs.len(), o)).collect()
    }

    /// The outputs, by the definition: all pairs one by one.
    fn outputs(&self, model: &Neural) -> Vec<f64> {
        let (plan, is_deep) = (&model.plan, model.config.form == Form::Deep);
        let [one, two] = model.config.hidden;
        let mut vectors: Vec<Vec<f64>> =
            self.rows.iter().map(|row| row[..FACTORS].to_vec()).collect();
        let mut inputs = self.dense.to_vec();
        let mut linear_inputs = inputs.clone();
        if is_deep {
            let columns = self.parameters[plan.part(4)].chunks_exact(FACTORS);
            for (value, own) in self.dense.iter().zip(columns) {
                vectors.push(own.iter().map(|own| own * value).collect());
            }
            let products = |f: usize| {
                let pairs = (0..4).flat_map(|i| (0..i).map(move |j| (i, j)));
                pairs.map(|(i, j)| vectors[i][f] * vectors[j][f]).sum::<f64>()
            };
            // Five columns have ten pairs.
            inputs.extend((0..FACTORS).map(|f| products(f) / 10.0_f64.sqrt()));
            linear_inputs = inputs.clone();
        }
        for own in [&vectors[0], &vec![0.0; FACTORS], &vectors[1]] {
            inputs.extend(own);
        }
        let rectified = |own: Vec<f64>| own.into_iter().map(|own| own.max(0.0)).collect::<Vec<_>>();
        let first = rectified(self.layer(plan.part(0).start, (&inputs, one)));
        let second = rectified(self.layer(plan.part(1).start, (&first, two)));
        let mut outputs = self.layer(plan.part(2).start, (&second, 8));
        outputs.truncate(model.config.task.outputs());
        if is_deep {
            let linear = self.layer(plan.part(3).start, (&linear_inputs, 8));
            for (class, output) in outputs.iter_mut().enumerate() {
                *output += linear[class] + self.rows[0][FACTORS + class];
                *output += self.rows[1][FACTORS + class];
            }
        }
        outputs
    }

    /// The loss, by its definition.
    fn loss(&self, model: &Neural, label: f32, offset: f64) -> f64 {
        let outputs = self.outputs(model);
        match model.config.task {
            Task::Binary => {
                let margin = (outputs[0] + offset) * if label == 1.0 { -1.0 } else { 1.0 };
                (1.0 + margin.exp()).ln()
            }
            Task::MultiClass { .. } => {
                let total: f64 = outputs.iter().map(|own| own.exp()).sum();
                total.ln() - outputs[label as usize]
            }
            Task::Regression => {
                let residual = outputs[0] - f64::from(model.link.target(label));
                // Nothing was learned: the usual residual is 1.
                let inside = residual.abs().min(3.0);
                inside * residual.abs() - inside * inside / 2.0
            }
        }
    }

    /// The derivative of something by one of the numbers, as a central difference.
    fn difference(
        &self,
        own: impl Fn(&mut Reference) -> &mut f64,
        of: impl Fn(&Self) -> f64,
    ) -> f64 {
        let (mut above, mut below) = (self.clone(), self.clone());
        *own(&mut above) += 1e-5;
        *own(&mut below) -= 1e-5;
        (of(&above) - of(&below)) / 2e-5
    }
}

/// A model whose numbers are all away from zero, with the row's indices admitted.
fn drawn(task: Task, form: Form, seed: u64) -> Neural {
    let config =
        NeuralConfig { hidden: [16, 8], embedding: FACTORS, ..NeuralConfig::new(task, form) };
    let mut model = Neural::new(config, WIDE).expect("possible");
    let mut draw = Draw::new(seed);
    let parameters: Vec<usize> = match form {
        Form::Mlp => (0..3).flat_map(|part| model.plan.part(part)).collect(),
        Form::Deep => (0..5).flat_map(|part| model.plan.part(part)).collect(),
    };
    for at in parameters {
        model.parameters[at] = draw.unit() - 0.5;
    }
    for index in [5, 9] {
        model.embeddings.admit(index, 1);
        let numbers: Vec<f32> = (0..config.row_numbers()).map(|_| draw.unit() - 0.5).collect();
        // AdaGrad's first step is one against the sign: some steps make some numbers.
        for _ in 0..5 {
            let place = model.embeddings.find(index);
            model.embeddings.step(place, &numbers[..FACTORS], &numbers[FACTORS..]);
        }
    }
    model
}

fn close(own: f32, expected: f64, what: &str) {
    let off = (f64::from(own) - expected).abs();
    assert!(off < 2e-4 * (1.0 + expected.abs()), "{what}: {own} for {expected}");
}

/// Every parameter of every layer, every number of an embedding and every input: both forms, all
/// tasks, with and without an offset of the odds.
#[test]
fn derivatives_are_those_of_differences() {
    let tasks = [Task::Binary, Task::MultiClass { classes: 3 }, Task::Regression];
    for (seed, (form, task)) in
        FORMS.into_iter().flat_map(|form| tasks.map(|task| (form, task))).enumerate()
    {
        let model = drawn(task, form, seed as u64);
        let reference = Reference::of(&model);
        let (label, offset) = (1.0, if task == Task::Binary { 1.6 } else { 0.0 });
        let loss = |own: &Reference| own.loss(&model, label, f64::from(offset));
        let (mut room, mut gradient) = (Room::default(), vec![0.0; model.plan.parameters()]);
        let outputs = task.outputs();
        model.plan.make_room(&mut room);
        model.plan.take(ROW, &model.embeddings, &mut room);
        model.plan.forward(&model.parameters, &model.embeddings, &mut room);
        for (own, expected) in room.outputs.iter().zip(reference.outputs(&model)) {
            close(*own, expected, "output");
        }
        room.pulls.fill(0.0);
        pull(&model.link, &room.outputs[..outputs], (label, offset), &mut room.pulls[..outputs]);
        model.plan.back(&model.parameters, &mut gradient, &mut room);
        for (at, own) in gradient.iter().enumerate() {
            let expected = reference.difference(|own| &mut own.parameters[at], loss);
            close(*own, expected, &format!("{form:?} {task:?}: parameter {at}"));
        }
        for (row, column) in [(0, 0), (1, 2)] {
            let own = &room.input_pulls[model.plan.vector(column)];
            for (at, own) in own.iter().enumerate() {
                let expected = reference.difference(|own| &mut own.rows[row][at], loss);
                close(*own, expected, &format!("{form:?} {task:?}: vector {row} {at}"));
            }
            for class in (0..outputs).filter(|_| form == Form::Deep) {
                let at = FACTORS + class;
                let expected = reference.difference(|own| &mut own.rows[row][at], loss);
                close(room.pulls[class], expected, "linear weight");
            }
        }
        model.plan.back_inputs(&model.parameters, 0, &mut room);
        for column in 0..2 {
            let expected = reference.difference(|own| &mut own.dense[column], loss);
            close(
                room.input_pulls[column],
                expected,
                &format!("{form:?} {task:?}: input {column}"),
            );
        }
    }
}

/// An embedding moves by AdaGrad with one sum of squares for its vector, one for its weights.
#[test]
fn embeddings_move_by_the_definition() {
    let mut model = drawn(Task::Binary, Form::Deep, 3);
    model.embeddings.admit(17, 1);
    let place = model.embeddings.find(17);
    let mut expected: Vec<f64> =
        model.embeddings.row(place).0.iter().map(|own| f64::from(*own)).collect();
    expected.push(0.0);
    let mut squares = [1e-8_f64; 2];
    let mut draw = Draw::new(4);
    for _ in 0..50 {
        let pulls: Vec<f32> = (0..=FACTORS).map(|_| draw.unit() - 0.5).collect();
        model.embeddings.step(place, &pulls[..FACTORS], &pulls[FACTORS..]);
        let square = |own: &[f32]| own.iter().map(|own| f64::from(*own).powi(2)).sum::<f64>();
        squares[0] += square(&pulls[..FACTORS]) / FACTORS as f64;
        squares[1] += square(&pulls[FACTORS..]);
        for (at, (own, pull)) in expected.iter_mut().zip(&pulls).enumerate() {
            *own -= 0.1 * f64::from(*pull) / squares[usize::from(at == FACTORS)].sqrt();
        }
    }
    let (vector, linear) = model.embeddings.row(place);
    for (own, expected) in vector.iter().chain(linear).zip(&expected) {
        close(*own, *expected, "number");
    }
}
