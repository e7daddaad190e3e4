//! A service as a queue of single requests, in virtual time.
