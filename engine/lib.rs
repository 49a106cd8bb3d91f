//! Pelton: an online learning engine.
#![deny(unsafe_code)]

pub mod config;
pub mod emit;
pub mod error;
pub mod kafka;
pub mod ring;
pub mod schema;
pub mod source;
