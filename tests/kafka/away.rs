//! What the settings of `[emit]` change while the topic of scores is away.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use pelton::emit::Emit;

use super::settings::{SECOND, scored};
use crate::settings::row::World;

/// An emit stage at the end of a run whose topic has gone away.
fn with_topic_away<T>(world: &World, look: impl FnOnce(Emit) -> T) -> T {
    SECOND.with(|cluster| {
        cluster.create_topic(&format!("scores-{}", world.run), 1, 1).unwrap();
        let emit = Emit::open(&world.config, &Arc::new(AtomicBool::new(true))).expect("a sink");
        cluster.broker_down(1).unwrap();
        let seen = look(emit);
        cluster.broker_up(1).unwrap();
        seen
    })
}

/// What is said when the run ends, without the folder of this look.
pub fn last_words(world: &World) -> Option<String> {
    Some(with_topic_away(world, |mut emit| {
        emit.run(&scored(world, 1)).expect("taken");
        let error = emit.finish().expect_err("the topic is away").to_string();
        error.replace(&*world.folder.path().to_string_lossy(), "")
    }))
}

/// How many scores were taken, up to a number.
pub fn taken(world: &World) -> Option<String> {
    let slot = scored(world, 100);
    let count =
        with_topic_away(world, |mut emit| (0..20).take_while(|_| emit.run(&slot).is_ok()).count());
    Some(format!("{count} batches taken"))
}

/// Whether a checkpoint could rely on a score though it is not delivered.
pub fn is_kept(world: &World) -> Option<String> {
    let kept = with_topic_away(world, |mut emit| {
        emit.run(&scored(world, 1)).expect("taken");
        emit.flush().is_ok()
    });
    Some(format!("kept: {kept}"))
}

/// How a run ends whose topic comes back a little later.
pub fn last_words_after_a_while(world: &World) -> Option<String> {
    let (brought_back, is_time) = std::sync::mpsc::channel();
    let finishing = with_topic_away(world, |mut emit| {
        emit.run(&scored(world, 1)).expect("taken");
        std::thread::spawn(move || {
            let outcome = emit.finish().map_err(|error| error.to_string());
            // Nobody may be listening any more.
            let _ = brought_back.send(());
            outcome.is_ok()
        })
    });
    let _ = is_time.recv_timeout(Duration::from_secs(30));
    Some(format!("delivered: {}", finishing.join().unwrap()))
}
