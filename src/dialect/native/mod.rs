//! The native protocol, version 1: strict JSON in, JSON in a fixed field order out.

mod parse;
mod render;

pub use parse::parse;
pub use render::{exit, render};

/// The one version there is.
pub const VERSION: i64 = 1;
