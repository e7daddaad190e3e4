//! Knative Pod Autoscaler.
