//! Each rule against its formula in double precision, over random examples.

use super::*;

/// Gradients, values and a coordinate's weight after each, in double precision.
fn examples() -> Vec<(f64, f64)> {
    let mut state = 3_u64;
    (0..2_000)
        .map(|i| {
            state = crate::hash::mix64(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
            let gradient = (state >> 40) as f64 / (1_u64 << 24) as f64 - 0.5;
            let value = ((state & 0xffff) as f64 / 65_536.0 - 0.3) * (1.0 + (i / 500) as f64);
            (gradient, value)
        })
        .collect()
}

/// The largest error of `rule` against a reference that returns the weight after each example.
fn error<R: CoordinateRule>(rule: R, mut reference: impl FnMut(f64, f64) -> f64) -> f64 {
    let mut cell = [0.0; 2];
    let mut worst = 0.0_f64;
    for (gradient, value) in examples() {
        let pull = Pull { gradient: gradient as f32, value: value as f32, penalty: 1.0 };
        let change = rule.change(cell, pull);
        cell = [cell[0] + change[0], cell[1] + change[1]];
        let expected = reference(f64::from(gradient as f32), f64::from(value as f32));
        worst = worst.max((f64::from(rule.weight(cell)) - expected).abs());
    }
    worst
}

fn soft(weight: f64, amount: f64) -> f64 {
    weight.signum() * (weight.abs() - amount).max(0.0)
}

#[test]
fn adagrad_is_its_formula() {
    for (l1, l2) in [(0.0, 0.0), (1e-3, 0.0), (0.0, 1e-3)] {
        let rule = AdaGrad { rate: 0.1, l1, l2 };
        let (mut weight, mut sum) = (0.0_f64, 0.0_f64);
        let worst = error(rule, |gradient, value| {
            let g = (gradient + f64::from(l2) * weight * value) * value;
            sum += g * g;
            let step = f64::from(0.1_f32) / (sum.sqrt() + 1e-8);
            weight = soft(weight - step * g, step * f64::from(l1));
            weight
        });
        assert!(worst < 2e-5, "l1 {l1}, l2 {l2}: {worst}");
    }
}

#[test]
fn ftrl_is_its_formula() {
    for (l1, l2) in [(0.0, 0.0), (0.5, 0.0), (0.0, 1.0)] {
        let rule = FtrlProximal { alpha: 0.1, beta: 1.0, l1, l2 };
        let (mut weight, mut z, mut sum) = (0.0_f64, 0.0_f64, 0.0_f64);
        let alpha = f64::from(0.1_f32);
        let worst = error(rule, |gradient, value| {
            let g = gradient * value;
            let sigma = ((sum + g * g).sqrt() - sum.sqrt()) / alpha;
            z += g - sigma * weight;
            sum += g * g;
            weight = -soft(z, f64::from(l1)) / ((1.0 + sum.sqrt()) / alpha + f64::from(l2));
            weight
        });
        assert!(worst < 2e-5, "l1 {l1}, l2 {l2}: {worst}");
    }
}

#[test]
fn normalised_descent_is_its_formula_and_does_not_see_units() {
    let rule = NormalizedSgd { rate: 0.1, l1: 1e-4, l2: 1e-3 };
    let (mut weight, mut scale) = (0.0_f64, 0.0_f64);
    let worst = error(rule, |gradient, value| {
        let next = scale.max(value.abs());
        if scale > 0.0 {
            weight *= (scale / next).powi(2);
        }
        let kept = weight * (1.0 - f64::from(0.1_f32 * 1e-3));
        weight = soft(kept - gradient * value / (next * next), f64::from(0.1_f32 * 1e-4));
        scale = next;
        weight
    });
    assert!(worst < 1e-4, "{worst}");
    let (mut small, mut large) = ([0.0; 2], [0.0; 2]);
    let plain = NormalizedSgd { rate: 0.1, l1: 0.0, l2: 0.0 };
    for (gradient, value) in examples() {
        let (gradient, value) = (gradient as f32, value as f32);
        for (cell, unit) in [(&mut small, 1.0), (&mut large, 1024.0)] {
            let pull = Pull { gradient, value: value * unit, penalty: 1.0 };
            let change = plain.change(*cell, pull);
            *cell = [cell[0] + change[0], cell[1] + change[1]];
        }
        assert!((small[0] - large[0] * 1024.0).abs() <= 1e-5 * small[0].abs().max(1.0));
    }
}

#[test]
fn penalties_pull_to_zero() {
    let (mut plain, mut sparse) = ([0.0; 2], [0.0; 2]);
    for (gradient, value) in examples() {
        let pull = Pull { gradient: gradient as f32, value: value as f32, penalty: 1.0 };
        for (cell, l1) in [(&mut plain, 0.0), (&mut sparse, 20.0)] {
            let rule = FtrlProximal { alpha: 0.1, beta: 1.0, l1, l2: 0.0 };
            let change = rule.change(*cell, pull);
            *cell = [cell[0] + change[0], cell[1] + change[1]];
        }
    }
    let weight = |cell, l1| FtrlProximal { alpha: 0.1, beta: 1.0, l1, l2: 0.0 }.weight(cell);
    assert_eq!(weight(sparse, 20.0), 0.0);
    assert_ne!(weight(plain, 0.0), 0.0);
}

#[test]
fn huge_gradients_leave_cells_finite() {
    let huge = Pull { gradient: 1e18, value: 1e18, penalty: 1.0 };
    let usual = Pull { gradient: -0.5, value: 1.0, penalty: 1.0 };
    fn run<R: CoordinateRule>(rule: R, pulls: [Pull; 2]) {
        let mut cell = [0.0; 2];
        for pull in pulls.into_iter().cycle().take(1_000) {
            let change = rule.change(cell, pull);
            cell = [cell[0] + change[0], cell[1] + change[1]];
            assert!(cell.iter().all(|part| part.is_finite()), "{cell:?}");
            assert!(rule.weight(cell).is_finite());
        }
    }
    run(
        FtrlProximal { alpha: 0.1, beta: 1.0, l1: 0.1, l2: 0.1 },
        [Pull { gradient: 1.0, ..huge }, usual],
    );
    run(AdaGrad { rate: 0.1, l1: 0.1, l2: 0.0 }, [Pull { gradient: 1.0, ..huge }, usual]);
    run(NormalizedSgd { rate: 0.1, l1: 0.1, l2: 0.1 }, [Pull { gradient: 1.0, ..huge }, usual]);
}
