//! The native protocol, version 1: strict JSON in, JSON in a fixed field order out.

mod parse;
mod people;
mod providers;
mod render;
mod setup;
mod storage;
mod words;

pub use parse::parse;
pub use people::event;
pub use render::{for_people, render};
pub use words::{exit, health_name, outcome_exit};

/// The one version there is.
pub const VERSION: i64 = 1;
