//! Whatever is read as a snapshot is refused, or is a memory that a planner can go on from.
#![no_main]

use libfuzzer_sys::fuzz_target;
use planner_core::{
    AdviceConfig, Config, Event, Heuristic, HeuristicState, Latencies, Latency, Planner,
    ReplicaBounds, Snapshot, Step, Timestamp, Traffic, Window,
};

/// A real memory, whose text the fuzzer's bytes are written over.
const REAL: &str = include_str!("../../planner-core/tests/data/snapshot-v1.json");

fuzz_target!(|input: (u16, &[u8])| {
    let (from, bytes) = input;
    let mut edited = REAL.as_bytes().to_vec();
    let start = REAL.find("\"snapshot\":").map_or(0, |at| at + "\"snapshot\":".len());
    edited.drain(..start);
    edited.pop();
    let from = usize::from(from) % edited.len();
    let until = edited.len().min(from + bytes.len());
    edited[from..until].copy_from_slice(&bytes[..until - from]);
    for text in [bytes, &edited[..]] {
        if let Ok(snapshot) = serde_json::from_slice::<Snapshot<HeuristicState>>(text) {
            go_on(snapshot);
        }
    }
});

/// Restores and takes a few steps; the memory of what it becomes can be written and read again.
fn go_on(snapshot: Snapshot<HeuristicState>) {
    let bounds = ReplicaBounds::new(2, 10).expect("bounds");
    let advice = AdviceConfig::default();
    let config = Config::builder(bounds).advice(advice).build().expect("settings");
    let Ok(mut planner) = Planner::restore(config.clone(), Heuristic, snapshot) else { return };
    for second in [1_u64, 4, 180, 183, 186, 4_000_000_000] {
        let at = Timestamp::from_nanos(second * 1_000_000_000);
        let p95_ms = if second % 2 == 0 { 41.0 } else { 900.0 };
        let traffic = Traffic::arriving(60.0).and_then(|it| it.with_completions(50.0));
        let window = Window::builder(second, at, at)
            .outcomes(40, 0, 0)
            .latencies(Latencies::from_p95(Latency::from_millis(p95_ms).expect("a latency")))
            .traffic(traffic.expect("rates"))
            .ready(4)
            .build()
            .expect("a window");
        if let Step::Decide(decision) = planner.step(at, Event::Observe(window)) {
            let target = decision.target().unwrap_or(4);
            assert!(bounds.contain(target), "{decision}");
            let _text = decision.derivation.to_string();
        }
        let _ = planner.step(at, Event::Wake);
        let written = serde_json::to_vec(&planner.snapshot()).expect("serialisable");
        let read = serde_json::from_slice(&written).expect("what was written");
        planner = Planner::restore(config.clone(), Heuristic, read).expect("its own");
    }
}
