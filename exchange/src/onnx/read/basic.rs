//! Nodes that work on each number: arithmetic, comparisons, activations.

use pelton_models::graph::{Binary, Kind, Operation, Unary};

use super::build::{Build, Item};
use super::call::Call;
use crate::Predicts;

/// What is lowered here, beside what has the name of an operation.
pub(super) const NAMES: [&str; 22] = [
    "Clip",
    "Constant",
    "Cast",
    "Celu",
    "Dropout",
    "Elu",
    "Erf",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "Mean",
    "PRelu",
    "Reciprocal",
    "Selu",
    "Softsign",
    "Sum",
    "ThresholdedRelu",
    "Where",
    "Xor",
    "Sign",
];

/// The unary operation of this name.
pub(super) fn unary(name: &str) -> Option<Unary> {
    Unary::ALL.into_iter().find(|own| own.name() == name)
}

/// The binary one.
pub(super) fn binary(name: &str) -> Option<Binary> {
    Binary::ALL.into_iter().find(|own| own.name() == name)
}

/// The node, if it is one of these.
pub(super) fn lower(call: &mut Call<'_>) -> Result<Option<Item>, String> {
    let name = call.node.op_type.as_str();
    if let Some(own) = unary(name) {
        let x = call.input(0)?;
        let y = call.build.unary(own, &x)?;
        let is_one = own == Unary::Sigmoid && y.rank() == 2 && y.probes[0].shape()[1] == 1;
        return Ok(Some(if is_one { y.predicting(Predicts::Probability) } else { y }));
    }
    match name {
        "Max" => return many(call, Binary::Max).map(Some),
        "Min" => return many(call, Binary::Min).map(Some),
        "Sum" => return many(call, Binary::Add).map(Some),
        "Mean" => {
            let count = call.all()?.len() as f64;
            let sum = many(call, Binary::Add)?;
            return call.build.with(Binary::Div, &sum, count).map(Some);
        }
        "Pow" => {
            let (x, power) = (call.input(0)?, call.input(1)?);
            let power = call.build.cast(x.kind(), &power)?;
            return call.build.binary(Binary::Pow, &x, &power).map(Some);
        }
        _ => {}
    }
    if let Some(own) = binary(name) {
        let (a, b) = (call.input(0)?, call.input(1)?);
        let y = call.build.binary(own, &a, &b)?;
        // Probabilities by a number, as LightGBM's are written: as many.
        let is_scaled = own == Binary::Mul && b.known().is_ok_and(|own| own.data().len() == 1);
        return Ok(Some(if is_scaled { y.predicting(a.predicts) } else { y }));
    }
    plain(call)
}

fn plain(call: &mut Call<'_>) -> Result<Option<Item>, String> {
    Ok(Some(match call.node.op_type.as_str() {
        "Identity" | "Dropout" => call.input(0)?,
        "Constant" => constant(call)?,
        "Cast" => {
            let x = call.input(0)?;
            let to = super::kind_of(i32::try_from(call.int("to", 0)).unwrap_or(0))?;
            let predicts = x.predicts;
            call.build.cast(to, &x)?.predicting(predicts)
        }
        "Where" => {
            let (which, yes, no) = (call.input(0)?, call.input(1)?, call.input(2)?);
            call.build.node(Operation::Where, &[&which, &yes, &no])?
        }
        "Xor" => {
            let (a, b) = (call.input(0)?, call.input(1)?);
            let is_same = call.build.binary(Binary::Equal, &a, &b)?;
            call.build.unary(Unary::Not, &is_same)?
        }
        "Clip" => clip(call)?,
        _ => return activation(call),
    }))
}

fn activation(call: &mut Call<'_>) -> Result<Option<Item>, String> {
    let alpha = |usual: f32| f64::from(call.float("alpha", usual));
    let (alpha_one, alpha_small, alpha_selu, alpha_hard) =
        (alpha(1.0), alpha(0.01), alpha(1.673_263_2), alpha(0.2));
    let (beta, gamma) = (f64::from(call.float("beta", 0.5)), call.float("gamma", 1.050_701));
    let approximate = call.text("approximate");
    let name = call.node.op_type.as_str();
    let (x, slope) = (call.input(0)?, call.optional(1));
    let build = &mut *call.build;
    Ok(Some(match name {
        "Reciprocal" => build.before(Binary::Div, 1.0, &x)?,
        "Elu" => elu(build, &x, alpha_one)?,
        "Celu" => {
            let scaled = build.with(Binary::Div, &x, alpha_one)?;
            let below = elu(build, &scaled, alpha_one)?;
            negative_or(build, &x, &below, &x)?
        }
        "Selu" => {
            let own = elu(build, &x, alpha_selu)?;
            build.with(Binary::Mul, &own, f64::from(gamma))?
        }
        "LeakyRelu" => {
            let below = build.with(Binary::Mul, &x, alpha_small)?;
            negative_or(build, &x, &below, &x)?
        }
        "PRelu" => {
            let slope = slope.ok_or("has no slope")?;
            let below = build.binary(Binary::Mul, &x, &slope)?;
            negative_or(build, &x, &below, &x)?
        }
        "ThresholdedRelu" => {
            let is_above = build.with(Binary::Greater, &x, alpha_one)?;
            let zero = build.number(&x, 0.0);
            build.node(Operation::Where, &[&is_above, &x, &zero])?
        }
        "HardSigmoid" => hard_sigmoid(build, &x, alpha_hard, beta)?,
        "HardSwish" => {
            let gate = hard_sigmoid(build, &x, 1.0 / 6.0, 0.5)?;
            build.binary(Binary::Mul, &x, &gate)?
        }
        "Softsign" => {
            let size = build.unary(Unary::Abs, &x)?;
            let more = build.with(Binary::Add, &size, 1.0)?;
            build.binary(Binary::Div, &x, &more)?
        }
        "Sign" => sign(build, &x)?,
        "Erf" => erf(build, &x)?,
        "Gelu" => gelu(build, &x, approximate == "tanh")?,
        _ => return Ok(None),
    }))
}

/// Several inputs to one, from the first on.
fn many(call: &mut Call<'_>, own: Binary) -> Result<Item, String> {
    let all = call.all()?;
    let mut sum = all[0].clone();
    for item in &all[1..] {
        sum = call.build.binary(own, &sum, item)?;
    }
    Ok(sum)
}

fn constant(call: &mut Call<'_>) -> Result<Item, String> {
    use pelton_models::graph::Tensor;
    let name = call.node.output.first().cloned().unwrap_or_default();
    let one = |tensor: Tensor| tensor.reshaped(Vec::new()).ok_or("not one number");
    let tensor = if let Some(tensor) = call.tensor("value") {
        tensor?
    } else if let Some(own) = call.attribute("value_float").and_then(|own| own.f) {
        one(Tensor::floats(vec![own]))?
    } else if let Some(own) = call.attribute("value_int").and_then(|own| own.i) {
        one(Tensor::integers(vec![own]))?
    } else if let Some(own) = call.ints("value_ints") {
        Tensor::integers(own.to_vec())
    } else if call.attribute("value_floats").is_some() {
        Tensor::floats(call.floats("value_floats").to_vec())
    } else {
        return Err("is of another kind than numbers".to_owned());
    };
    Ok(call.build.constant(&name, tensor))
}

/// Bounds are attributes in an old file, and inputs in a newer one.
fn clip(call: &mut Call<'_>) -> Result<Item, String> {
    let mut x = call.input(0)?;
    for (place, name, own) in [(1, "min", Binary::Max), (2, "max", Binary::Min)] {
        let bound = match call.attribute(name).and_then(|own| own.f) {
            Some(bound) => Some(call.build.number(&x, f64::from(bound))),
            None => call.optional(place),
        };
        if let Some(bound) = bound {
            x = call.build.binary(own, &x, &bound)?;
        }
    }
    Ok(x)
}

/// One value where `x` is negative, else the other.
fn negative_or(build: &mut Build, x: &Item, yes: &Item, no: &Item) -> Result<Item, String> {
    let is_negative = build.with(Binary::Less, x, 0.0)?;
    build.node(Operation::Where, &[&is_negative, yes, no])
}

fn elu(build: &mut Build, x: &Item, alpha: f64) -> Result<Item, String> {
    let power = build.unary(Unary::Exp, x)?;
    let less = build.with(Binary::Sub, &power, 1.0)?;
    let below = build.with(Binary::Mul, &less, alpha)?;
    negative_or(build, x, &below, x)
}

fn hard_sigmoid(build: &mut Build, x: &Item, alpha: f64, beta: f64) -> Result<Item, String> {
    let scaled = build.with(Binary::Mul, x, alpha)?;
    let moved = build.with(Binary::Add, &scaled, beta)?;
    let raised = build.with(Binary::Max, &moved, 0.0)?;
    build.with(Binary::Min, &raised, 1.0)
}

fn sign(build: &mut Build, x: &Item) -> Result<Item, String> {
    let [above, below] = [build.with(Binary::Greater, x, 0.0)?, build.with(Binary::Less, x, 0.0)?];
    let [above, below] = [build.cast(x.kind(), &above)?, build.cast(x.kind(), &below)?];
    build.binary(Binary::Sub, &above, &below)
}

/// By the rational function 7.1.26 of Abramowitz and Stegun (1964), within 1.5e-7, in doubles.
fn erf(build: &mut Build, x: &Item) -> Result<Item, String> {
    const FACTORS: [f64; 5] =
        [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592];
    let own = build.cast(Kind::F64, x)?;
    let size = build.unary(Unary::Abs, &own)?;
    let scaled = build.with(Binary::Mul, &size, 0.327_591_1)?;
    let more = build.with(Binary::Add, &scaled, 1.0)?;
    let t = build.before(Binary::Div, 1.0, &more)?;
    let mut sum = build.with(Binary::Mul, &t, FACTORS[0])?;
    for factor in &FACTORS[1..] {
        sum = build.with(Binary::Add, &sum, *factor)?;
        sum = build.binary(Binary::Mul, &sum, &t)?;
    }
    let square = build.binary(Binary::Mul, &size, &size)?;
    let less = build.unary(Unary::Neg, &square)?;
    let power = build.unary(Unary::Exp, &less)?;
    let rest = build.binary(Binary::Mul, &sum, &power)?;
    let positive = build.before(Binary::Sub, 1.0, &rest)?;
    let sign = sign(build, &own)?;
    let signed = build.binary(Binary::Mul, &positive, &sign)?;
    build.cast(x.kind(), &signed)
}

/// `x / 2 (1 + erf(x / sqrt 2))` (Hendrycks and Gimpel, 2016), or its form by tanh.
fn gelu(build: &mut Build, x: &Item, is_by_tanh: bool) -> Result<Item, String> {
    let own = if is_by_tanh {
        let power = build.with(Binary::Pow, x, 3.0)?;
        let small = build.with(Binary::Mul, &power, 0.044_715)?;
        let sum = build.binary(Binary::Add, x, &small)?;
        let scaled = build.with(Binary::Mul, &sum, 0.797_884_560_802_865_4)?;
        build.unary(Unary::Tanh, &scaled)?
    } else {
        let scaled = build.with(Binary::Mul, x, std::f64::consts::FRAC_1_SQRT_2)?;
        erf(build, &scaled)?
    };
    let more = build.with(Binary::Add, &own, 1.0)?;
    let half = build.with(Binary::Mul, x, 0.5)?;
    build.binary(Binary::Mul, &half, &more)
}
