//! What a kernel refuses: shapes and arguments that a caller got wrong, never data.

/// A call that cannot be carried out; nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// A slice has the wrong length.
    #[error("{kernel}: `{argument}` has {given} elements, expected {expected}")]
    Shape {
        /// The kernel that refused.
        kernel: &'static str,
        /// The argument's name.
        argument: &'static str,
        /// Elements it must have.
        expected: usize,
        /// Elements it has.
        given: usize,
    },
    /// An argument is outside its range.
    #[error("{kernel}: `{argument}` {reason}")]
    Value {
        /// The kernel that refused.
        kernel: &'static str,
        /// The argument's name.
        argument: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
}
