//! Saved and read, kept and gone back to, and states that are not what they should be.

use pelton_kernels::cases::scaled;
use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: scaled(12), ..ProptestConfig::default() })]

    /// Wherever the stream is cut: saved and read, kept and gone back to, it goes on to the bit.
    #[test]
    fn a_restart_and_a_way_back_show_nothing(
        seed: u64, cut in 0_usize..400, task in 0_usize..3, kind in 0_usize..2,
    ) {
        let (task, interaction) = (TASKS[task], KINDS[kind]);
        let stream = Stream::new(seed, 600, 120, label(task));
        // Little room, so that embeddings come and go all the time.
        let config = FactorConfig { memory_bytes: 0, ..FactorConfig::new(task, interaction) };
        let new = || Factor::new(config, SHAPE).expect("possible");
        let mut whole = new();
        walk(&mut whole, &stream, 0, cut);
        let bytes = saved(&whole);
        let mut resumed = new();
        resumed.read_state(&mut &bytes[..]).expect("own bytes");
        prop_assert!(saved(&resumed) == bytes);
        whole.keep().expect("kept");
        let mut kept = Vec::new();
        whole.write_kept(&mut kept).expect("a vector takes all bytes");
        let first = walk(&mut whole, &stream, cut, 600);
        prop_assert!(whole.embedded().1 > 0);
        prop_assert_eq!(&walk(&mut resumed, &stream, cut, 600), &first);
        prop_assert!(saved(&resumed) == saved(&whole));
        let mut again = new();
        again.read_state(&mut &bytes[..]).expect("own bytes");
        again.read_kept(&mut &kept[..]).expect("own bytes");
        for model in [&mut whole, &mut again] {
            model.go_back().expect("kept before");
            prop_assert!(saved(model) == bytes);
            prop_assert_eq!(&walk(model, &stream, cut, 600), &first);
        }
    }
}

#[test]
fn damaged_bytes_are_an_error_or_a_state() {
    for interaction in KINDS {
        let stream = Stream::new(5, 300, 40, label(Task::Binary));
        let mut model = model(Task::Binary, interaction);
        walk(&mut model, &stream, 0, 300);
        let bytes = saved(&model);
        let mut draw = Draw::new(6);
        let mut refused = 0;
        for _ in 0..300 {
            let mut damaged = bytes.clone();
            let at = (draw.bits() % bytes.len() as u64) as usize;
            damaged[at] ^= 1 << (draw.bits() % 8);
            if draw.unit() < 0.2 {
                damaged.truncate(at);
            }
            let mut other = super::model(Task::Binary, interaction);
            match other.read_state(&mut &damaged[..]) {
                Ok(()) => {
                    let features = stream.batch(0, 5).features;
                    other.score(&features, &mut [0.0; 5]).expect("the shapes fit");
                    other.learn(&stream.batch(0, 5)).expect("the shapes fit");
                }
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 50, "{refused}");
    }
}

#[test]
fn a_state_of_another_machine_is_refused() {
    let bytes = saved(&model(Task::Binary, KINDS[0]));
    for (task, interaction) in [(Task::Binary, KINDS[1]), (Task::Regression, KINDS[0])] {
        assert!(model(task, interaction).read_state(&mut &bytes[..]).is_err());
    }
    let config = FactorConfig::new(Task::Binary, KINDS[0]);
    for wrong in [
        FactorConfig { factors: 0, ..config },
        FactorConfig { task: Task::MultiClass { classes: 2000 }, ..config },
    ] {
        assert!(Factor::new(wrong, SHAPE).is_err());
    }
    let wide = FeatureShape { dense_width: 100, sparse_width: 29, sparse_bits: 8 };
    assert!(Factor::new(config, wide).is_ok());
    assert!(Factor::new(FactorConfig::new(Task::Binary, KINDS[1]), wide).is_err());
}

/// Endless new values: memory stays where it is, and two machines do the same.
#[test]
fn memory_is_bounded_and_expiry_deterministic() {
    let shape = FeatureShape { sparse_bits: 20, ..SHAPE };
    for interaction in KINDS {
        let config =
            FactorConfig { memory_bytes: 1 << 16, ..FactorConfig::new(Task::Binary, interaction) };
        let stream = Stream::new(9, 4000, 1 << 19, label(Task::Binary));
        let [mut one, mut other] = [(); 2].map(|()| Factor::new(config, shape).expect("possible"));
        walk(&mut one, &stream, 0, 4000);
        for from in (0..4000).step_by(125) {
            walk(&mut other, &stream, from, from + 125);
        }
        let (rows, expired) = one.embedded();
        assert_eq!(rows, config.rows_max(shape));
        assert!(rows.is_power_of_two() && expired > 5000, "{rows} {expired}");
        assert!(saved(&one) == saved(&other));
        let cells = one.rows.learner_mut().embeddings().parts().1;
        assert_eq!(cells.len(), cells.capacity());
        assert!(size_of_val(&cells[..]) <= config.memory_bytes + 1024);
    }
}
