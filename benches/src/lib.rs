//! Streams, clock and yardsticks that the benchmarks share. Not for judging decisions: that is
//! what tests are for.

pub mod clock;
pub mod streams;
pub mod yardsticks;
