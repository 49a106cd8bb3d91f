//! Sixth stage: score records and dead letters go out.

pub mod kafka;
