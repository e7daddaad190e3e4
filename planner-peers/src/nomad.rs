//! Nomad Autoscaler.
