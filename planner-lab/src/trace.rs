//! Load over time: measured by others, exported by tools, or made up.
