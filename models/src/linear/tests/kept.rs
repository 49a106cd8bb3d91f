//! Earlier states: gone back to, forgotten and saved, to the bit.

use super::*;

fn bytes(model: &Linear) -> [Vec<u8>; 2] {
    let [mut state, mut kept] = [Vec::new(), Vec::new()];
    model.write_state(&mut state).unwrap();
    model.write_kept(&mut kept).unwrap();
    [state, kept]
}

/// The model in another place.
fn moved(config: LinearConfig, model: &Linear) -> Linear {
    let [state, kept] = bytes(model);
    let mut other = Linear::new(config, SHAPE).unwrap();
    other.read_state(&mut &state[..]).unwrap();
    other.read_kept(&mut &kept[..]).unwrap();
    assert!(bytes(&other) == [state, kept], "what was read is written the same");
    other
}

#[test]
fn a_model_goes_back_to_what_it_was() {
    for task in [Task::Binary, Task::MultiClass { classes: 3 }, Task::Regression] {
        let rows = stream(task, 400, 250, 7);
        for optimizer in ALL {
            let config = LinearConfig { optimizer, ..LinearConfig::new(task) };
            let mut model = Linear::new(config, SHAPE).unwrap();
            let learn = |model: &mut Linear, from, to| {
                model.learn(&rows.batch(from, to)).unwrap();
            };
            learn(&mut model, 0, 50);
            model.keep().unwrap();
            learn(&mut model, 50, 100);
            model.keep().unwrap();
            let [good, _] = bytes(&model);
            learn(&mut model, 100, 200);
            model.keep().unwrap();
            model.forget_oldest();
            let mut model = moved(config, &model);
            learn(&mut model, 200, 300);
            model.go_back().unwrap();
            assert!(bytes(&model)[0] == good, "{task:?} {optimizer:?}");
            assert_eq!(model.version(), 100);
            let mut model = moved(config, &model);
            learn(&mut model, 300, 400);
            model.go_back().unwrap();
            assert!(bytes(&model)[0] == good, "a second time: {task:?} {optimizer:?}");
        }
    }
}

#[test]
fn damaged_kept_states_are_refused() {
    let config = LinearConfig::new(Task::Binary);
    let rows = stream(Task::Binary, 60, 60, 3);
    let mut model = Linear::new(config, SHAPE).unwrap();
    model.keep().unwrap();
    model.learn(&rows.batch(0, 60)).unwrap();
    let [_, kept] = bytes(&model);
    for length in 0..kept.len() {
        assert!(model.read_kept(&mut &kept[..length]).is_err(), "{length} bytes");
    }
    let list = 8 + 8 + u64::from_le_bytes(kept[8..16].try_into().unwrap()) as usize + 8;
    let mut kept = kept;
    kept[list..list + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(model.read_kept(&mut &kept[..]).is_err(), "a cell that is not there");
}

#[test]
fn a_model_goes_back_to_the_untrained_one() {
    for optimizer in ALL {
        let rows = stream(Task::Binary, 100, 50, 3);
        let config = LinearConfig { optimizer, ..LinearConfig::new(Task::Binary) };
        let mut model = Linear::new(config, SHAPE).unwrap();
        let [untrained, _] = bytes(&model);
        model.keep().unwrap();
        model.learn(&rows.batch(0, 100)).unwrap();
        assert!(bytes(&model)[0] != untrained);
        model.go_back().unwrap();
        assert!(bytes(&model)[0] == untrained, "{optimizer:?}");
    }
}
