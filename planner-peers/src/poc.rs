//! The proof of concept's planner, whole.
