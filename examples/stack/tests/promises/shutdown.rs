//! P27: a program that is asked to end does so at once, in order, whatever it is doing.

use std::collections::BTreeMap;
use std::time::Duration;

use planner_examples_stack::demo::servers::{Process, free_address};
use tokio::time::{Instant, sleep, timeout};

use crate::rounds;
use crate::support::{PROGRAMS, eventually};
use crate::support_stack::Stack;

/// How long a program may take to end.
const END_WITHIN: Duration = Duration::from_secs(5);

/// Starts everything, and waits until each has begun.
async fn start(stack: &Stack) -> BTreeMap<&'static str, Process> {
    let running = PROGRAMS.map(|name| (name, stack.rig.run(name, &[]))).into();
    for name in PROGRAMS {
        eventually(name, || (!stack.rig.log(name).is_empty()).then_some(())).await;
    }
    running
}

/// What is half written in the folder of state.
fn half_written(stack: &Stack) -> Vec<String> {
    let entries = std::fs::read_dir(stack.rig.path("state")).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let is_whole = |text: &[u8]| match text.split_last() {
        Some((b'\n', lines)) => lines
            .split(|byte| *byte == b'\n')
            .all(|line| serde_json::from_slice::<serde_json::Value>(line).is_ok()),
        _ => serde_json::from_slice::<serde_json::Value>(text).is_ok(),
    };
    let mut broken = Vec::new();
    for path in paths {
        let is_broken = match path.extension().and_then(|extension| extension.to_str()) {
            Some("tmp") => true,
            Some("json" | "jsonl") => !is_whole(&std::fs::read(&path).expect("there")),
            _ => false,
        };
        if is_broken {
            broken.push(path.display().to_string());
        }
    }
    broken
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, nginx and a Docker engine"]
async fn p27_a_program_that_is_asked_to_end_ends_in_order_whatever_it_is_doing() {
    let mut stack = Stack::start().await;
    let listen = free_address().expect("a port");
    for (name, value) in [
        ("sample_interval", String::from("0.5")),
        ("lease_sec", String::from("30")),
        ("listen", format!("{:?}", listen.to_string())),
    ] {
        stack.rig.set(name, value);
    }
    let rounds = rounds(20, 500);
    let mut slowest = BTreeMap::new();
    for round in 0..rounds {
        let running = start(&stack).await;
        // So that there is something to be doing.
        stack.order(1_000_000, u64::from(round) + 1, 1 + round % 3, None).await;
        // Up to 3 s, in an order that looks like none.
        sleep(Duration::from_millis((round * 1_373 % 3_001).into())).await;
        for (name, program) in running {
            let asked = Instant::now();
            let ended = timeout(END_WITHIN, program.end()).await;
            let took = asked.elapsed();
            let code = ended.ok().flatten().and_then(|status| status.code());
            assert_eq!(code, Some(0), "{name}, round {round}: {}", stack.rig.log(name));
            let most = slowest.entry(name).or_insert(took);
            *most = took.max(*most);
        }
        // Which would stand for 30 s.
        let holder = stack.rig.text("planner:app:lease").await;
        assert_eq!(holder, None, "round {round}: the lease was not released");
        assert_eq!(half_written(&stack), <[String; 0]>::default(), "round {round}");
    }
    println!("{rounds} requests to end each, all obeyed with 0; the slowest: {slowest:.2?}");
    stack.end().await;
}
