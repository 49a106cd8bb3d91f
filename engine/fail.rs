//! Places where a test may let the process die, or an operation fail.
//!
//! With the cargo feature `failpoints` (tests only) the environment variable `PELTON_FAIL` names
//! them: `checkpoint::synced=3:die` ends the process the third time that place is passed, as
//! `kill -9` would; `checkpoint::written=1:full` makes the operation fail like a full disk, from
//! that time on, `:once` once; with `:sleep:500` passing it takes so many milliseconds, once.
//! Several are separated by commas. Without the feature a place costs nothing.

/// Passes a place.
///
/// # Errors
/// Only with the feature `failpoints`, when the environment asks for it.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn fail_point(_place: &'static str) -> std::io::Result<()> {
    Ok(())
}

#[cfg(feature = "failpoints")]
pub use enabled::fail_point;

#[cfg(feature = "failpoints")]
mod enabled {
    use std::collections::HashMap;
    use std::io;
    use std::sync::{LazyLock, Mutex, PoisonError};
    use std::time::Duration;

    #[derive(Clone, Copy)]
    enum Deed {
        Die,
        Full,
        /// Fails this once.
        Once,
        /// Takes so long, this once.
        Sleep(Duration),
    }

    struct Point {
        passes_left: u64,
        deed: Deed,
    }

    static POINTS: LazyLock<Mutex<HashMap<String, Point>>> = LazyLock::new(|| {
        let wanted = std::env::var("PELTON_FAIL").unwrap_or_default();
        let points = wanted.split(',').filter(|p| !p.is_empty()).map(|point| {
            parse(point).unwrap_or_else(|| panic!("PELTON_FAIL: cannot read {point:?}"))
        });
        Mutex::new(points.collect())
    });

    fn parse(point: &str) -> Option<(String, Point)> {
        let (place, rest) = point.split_once('=')?;
        let (count, deed) = rest.split_once(':')?;
        let deed = match deed {
            "die" => Deed::Die,
            "full" => Deed::Full,
            "once" => Deed::Once,
            _ => {
                let ms = deed.strip_prefix("sleep:")?.parse().ok()?;
                Deed::Sleep(Duration::from_millis(ms))
            }
        };
        Some((place.to_owned(), Point { passes_left: count.parse().ok()?, deed }))
    }

    /// Passes a place; see the module.
    ///
    /// # Errors
    /// When the environment asks for it.
    pub fn fail_point(place: &'static str) -> io::Result<()> {
        let mut points = POINTS.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(point) = points.get_mut(place) else { return Ok(()) };
        let is_spent = point.passes_left == 0;
        point.passes_left = point.passes_left.saturating_sub(1);
        match (point.passes_left, point.deed) {
            (0, Deed::Die) => {
                // SIGABRT with no handler of ours: no destructor runs, no buffer is flushed.
                std::process::abort()
            }
            (0, Deed::Once | Deed::Sleep(_)) if is_spent => Ok(()),
            (0, Deed::Sleep(how_long)) => {
                // Others may pass meanwhile.
                drop(points);
                std::thread::sleep(how_long);
                Ok(())
            }
            (0, Deed::Full | Deed::Once) => Err(io::Error::from(io::ErrorKind::StorageFull)),
            _ => Ok(()),
        }
    }
}
