//! What the body of a broker test may return: nothing, or a `Result` of it.

use std::fmt::Debug;

/// The value of a test's body.
pub trait Outcome {
    /// Panics, and so fails the test, if it is an error.
    fn judge(self);
}

impl Outcome for () {
    fn judge(self) {}
}

impl<E: Debug> Outcome for Result<(), E> {
    #[track_caller]
    fn judge(self) {
        if let Err(error) = self {
            // The way a test fails.
            #[allow(clippy::panic)]
            {
                panic!("the test returned an error: {error:?}");
            }
        }
    }
}
