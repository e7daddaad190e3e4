//! What queueing theory says: the yardstick of the plants.
