//! Whatever a provider sends, it is sorted; and whatever a model wrote, an answer that is read is
//! within bounds, step and envelope.
#![no_main]

use std::time::{Duration, SystemTime};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use planner_core::{ReplicaBounds, Thresholds};
use planner_llm::{Asked, Class, Heard, Provider, RawReply, TEXT_BYTES_MAX, read, sort};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    provider: u8,
    status: u16,
    header: Option<(u8, String)>,
    text: String,
    body: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let thresholds = Thresholds { up_ratio: 8.0, down_ratio: 1.1, up_z: 6.0 };
    let asked = Asked {
        service: String::from("app"),
        current: 4,
        bounds: ReplicaBounds::new(2, 10).expect("legal"),
        max_step: 2,
        active: thresholds,
        operator: thresholds,
    };
    let names = ["retry-after", "retry-after-ms", "date"];
    let headers: Vec<(String, String)> = input
        .header
        .map(|(name, value)| (names[usize::from(name) % names.len()].into(), value))
        .into_iter()
        .collect();
    let provider = Provider::ALL[usize::from(input.provider) % Provider::ALL.len()];
    let wait_max = Duration::from_secs(300);
    let (status, body, at) = (input.status, input.body, SystemTime::UNIX_EPOCH);
    let raw = RawReply { status, headers: &headers, body, at };
    let text = match sort(provider, &raw, wait_max) {
        Heard::Text(text) => Some((text.text, text.finish)),
        Heard::Fault(fault) => {
            assert_ne!(fault.class, Class::Answer);
            let is_short = fault.wait.is_none_or(|wait| wait <= wait_max);
            assert!(fault.class != Class::RateLimited || is_short, "{fault:?}");
            None
        }
        _ => None,
    };
    let own = Some((input.text, String::from("stop")));
    for (text, finish) in [text, own].into_iter().flatten() {
        let Ok(answer) = read(&text, &finish, &asked) else { continue };
        assert!(text.len() <= TEXT_BYTES_MAX);
        assert!(answer.replicas.is_none_or(|replicas| (2..=6).contains(&replicas)), "{answer:?}");
        assert!(answer.reason.chars().count() <= 160);
        assert!(!answer.reason.chars().any(char::is_control), "{answer:?}");
        let advice = answer.advice(asked.active);
        if let Some(all) = advice.thresholds {
            assert!((6.0..=8.0).contains(&all.up_ratio), "{all:?}");
            assert!((1.0..=1.1).contains(&all.down_ratio), "{all:?}");
            assert!((4.5..=6.0).contains(&all.up_z), "{all:?}");
        }
        // What is recorded is read again, unless the text alone is too long by then.
        let written = answer.to_json().to_string();
        if written.len() <= TEXT_BYTES_MAX {
            let again = read(&written, "stop", &asked).expect("what was accepted");
            assert_eq!((again.action, again.replicas), (answer.action, answer.replicas));
        }
    }
});
