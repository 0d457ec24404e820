//! Durable lists of tasks. The row is the truth; there is one way to run, and starting after a crash is the same question.
//!
//! ```text
//!        due?                call                 advance               commit
//! store ------> runner.rs ---------> task.rs ----------------> advance.rs -------> store
//! ```
//!
//! `advance.rs` alone decides what comes next, without clock or IO. `list.rs` is how a flow reads in code. No driver is known here.

mod advance;
mod calls;
mod first;
mod list;
mod notices;
mod runner;
mod story;
mod task;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use advance::{Limits, Next, Signals, Wake, advance};
pub use first::first;
pub use list::{Book, List};
pub use notices::{Notices, Shown};
pub use runner::{Patience, Runner};
pub use task::{Begin, Cx, Outcome, Task};
#[cfg(test)]
mod tests;
