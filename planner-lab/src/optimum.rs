//! The least that was possible, with the whole load known in advance.
