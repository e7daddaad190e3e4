//! planner-probe
