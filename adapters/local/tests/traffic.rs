//! The traffic source on a real balancer.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use planner_local::{BalancerSettings, LoadBalancer, TrafficSource, TrafficSourceError};
use planner_ports::{Executor, ExecutorError, ReplicaCounts, Router, TelemetrySource, Timeline};
use support::{Backend, get};

/// Knows its counts, or not.
struct Fleet(Option<ReplicaCounts>);

#[async_trait]
impl Executor for Fleet {
    async fn scale_to(&self, _replicas: u32) -> Result<(), ExecutorError> {
        Ok(())
    }

    async fn counts(&self) -> Result<ReplicaCounts, ExecutorError> {
        self.0.ok_or(ExecutorError::ShuttingDown)
    }
}

fn balancer() -> Arc<LoadBalancer> {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    Arc::new(LoadBalancer::bind(listen, BalancerSettings::default()).expect("a free port"))
}

const WINDOW: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_window_of_no_length_is_refused() {
    let fleet = Arc::new(Fleet(None));
    let error = TrafficSource::new(balancer(), fleet, Timeline::begin(), Duration::ZERO);
    let error = error.err().expect("refused");
    assert_eq!(error, TrafficSourceError::Window { window: Duration::ZERO });
    let text = "window: 0ns is not from 10 ms to 1 h; choose a few seconds";
    assert_eq!(error.to_string(), text);
}

#[tokio::test]
async fn replicas_that_nobody_knows_are_absent_and_a_quiet_window_has_no_latencies() {
    let fleet = Arc::new(Fleet(None));
    let source = TrafficSource::new(balancer(), fleet, Timeline::begin(), WINDOW);
    let window = source.expect("valid").next_window().await.expect("a window");
    assert_eq!((window.ready(), window.starting()), (None, None));
    assert_eq!((window.samples(), window.latencies()), (0, None));
    let traffic = window.traffic().expect("known");
    assert_eq!((traffic.arrivals_per_s(), traffic.in_flight()), (0.0, Some(0)));
}

#[tokio::test]
async fn every_request_is_in_one_window_and_windows_follow_each_other() {
    let balancer = balancer();
    let backend = Backend::open().await;
    balancer.route(&[backend.address]).await.expect("routed");
    assert_eq!(get(balancer.local_addr()).await.0, 200);
    let counts = ReplicaCounts { ready: 1, starting: 2, draining: 0 };
    let fleet = Arc::new(Fleet(Some(counts)));
    let source = TrafficSource::new(Arc::clone(&balancer), fleet, Timeline::begin(), WINDOW);
    let mut source = source.expect("valid");
    for _ in 0..5 {
        assert_eq!(get(balancer.local_addr()).await.0, 200);
    }
    let first = source.next_window().await.expect("a window");
    assert_eq!((first.seq(), first.samples(), first.coverage()), (1, 5, Some(1.0)));
    assert_eq!((first.ready(), first.starting()), (Some(1), Some(2)));
    let latencies = first.latencies().expect("five successes");
    assert!(latencies.p95().as_millis() > 0.0);
    let arrivals = first.traffic().expect("known").arrivals_per_s() * first.length().as_secs_f64();
    assert!((arrivals - 5.0).abs() < 1e-6, "{arrivals}: the one before is not in it");
    // The runtime is busy for more than two periods: one longer window, not several.
    tokio::time::sleep(WINDOW * 5 / 2).await;
    let second = source.next_window().await.expect("a window");
    assert_eq!((second.seq(), second.start()), (2, first.end()));
    assert!(second.length() > WINDOW * 2, "{:?}", second.length());
    let third = source.next_window().await.expect("a window");
    assert_eq!((third.seq(), third.start()), (3, second.end()));
    assert_eq!(third.samples(), 0);
    assert!(third.end() > third.start());
}
