//! What is wrong with one operator, before its index and name are added.

/// Why an operator could not be imported.
#[derive(Debug)]
pub(in crate::model) enum Fault {
    /// It is sound, but uses what the engine does not have. Importing goes on, so that all are named at once.
    Unsupported(String),
    /// The file contradicts itself.
    Malformed(String),
}

pub(in crate::model) fn unsupported(reason: String) -> Fault {
    Fault::Unsupported(reason)
}

pub(in crate::model) fn malformed(reason: String) -> Fault {
    Fault::Malformed(reason)
}
