//! The queue, request by request, held to what queueing theory says of it.
//!
//! Goal: the simulation is right where the answer is known, and not only by a vague test.
//! Method: for each case 20 independent replications, their beginnings discarded. The means of the
//! replications give a t interval at 99.9 %. The theory must lie inside it, *and* its half width
//! must be at most 3 % of the theory: a longer run, not a wider interval, is what makes it pass.

use planner_lab::queue::{Balancing, Queue, QueueSpec, ServiceTime};
use planner_lab::theory::{
    erlang_c, md1_wait_mean_s, mg1_wait_mean_s, mmc_wait_above, mmc_wait_mean_s,
};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Independent replications of a case.
const REPLICATIONS: u64 = 20;
/// Confidence of the interval.
const CONFIDENCE: f64 = 0.999;
/// The most that the interval's half width may be, as a share of the theory.
const HALF_WIDTH_MAX: f64 = 0.03;
/// Mean service time of every case, in seconds.
const MEAN_S: f64 = 0.02;

/// What one replication measured.
struct Measured {
    wait_mean_s: f64,
    waited_long: f64,
    busy_share: f64,
    concurrency: f64,
}

/// A queue at that utilisation, measured over so many requests after a tenth of them.
fn replicate(spec: &QueueSpec, replicas: u32, used: f64, requests: f64) -> Vec<Measured> {
    let rate_per_s = used * f64::from(replicas * spec.concurrency) / MEAN_S;
    let seconds = requests / rate_per_s;
    (1..=REPLICATIONS)
        .map(|seed| {
            let mut queue = Queue::new(spec.clone(), replicas, seed).expect("a spec");
            queue.advance(seconds / 10.0, rate_per_s).expect("a rate");
            let interval = queue.advance(seconds, rate_per_s).expect("a rate");
            Measured {
                wait_mean_s: interval.wait_mean_s().expect("waits"),
                waited_long: interval.waited_long_share().expect("waits"),
                busy_share: interval.busy_share().expect("slots"),
                concurrency: interval.concurrency(),
            }
        })
        .collect()
}

/// Holds a measured quantity to its theory.
fn hold(name: &str, theory: f64, measured: impl Iterator<Item = f64>) {
    let values: Vec<f64> = measured.collect();
    let number = values.len() as f64;
    let mean = values.iter().sum::<f64>() / number;
    let squares = values.iter().map(|it| (it - mean) * (it - mean)).sum::<f64>();
    let error = (squares / (number - 1.0) / number).sqrt();
    let students = StudentsT::new(0.0, 1.0, number - 1.0).expect("degrees of freedom");
    let half = students.inverse_cdf(f64::midpoint(1.0, CONFIDENCE)) * error;
    let width = half / theory;
    println!("{name:<44} theory {theory:>11.8}  simulated {mean:>11.8} ± {half:.8}");
    assert!((mean - theory).abs() <= half, "{name}: {theory} is not within {mean} ± {half}");
    assert!(width <= HALF_WIDTH_MAX, "{name}: half width {width} says too little");
}

fn exponential() -> QueueSpec {
    QueueSpec::of(ServiceTime::Exponential { mean_s: MEAN_S })
}

#[test]
fn exponential_services_wait_as_erlang_says() {
    for (replicas, concurrency, used, requests, threshold_s) in [
        (1, 1, 0.5, 200_000.0, 0.02),
        (1, 1, 0.8, 400_000.0, 0.10),
        (2, 1, 0.7, 250_000.0, 0.02),
        (5, 1, 0.8, 400_000.0, 0.02),
        (4, 5, 0.9, 500_000.0, 0.01),
        (50, 1, 0.9, 1_500_000.0, 0.005),
    ] {
        let spec = QueueSpec { concurrency, wait_threshold_s: threshold_s, ..exponential() };
        let servers = replicas * concurrency;
        let rate_per_s = used * f64::from(servers) / MEAN_S;
        let measured = replicate(&spec, replicas, used, requests);
        let case = format!("M/M/{servers} at {used}");
        let theory = mmc_wait_mean_s(servers, rate_per_s, MEAN_S).expect("stable");
        let of = |what: fn(&Measured) -> f64| measured.iter().map(what);
        hold(&format!("{case}: mean wait, s"), theory, of(|it| it.wait_mean_s));
        let theory = mmc_wait_above(servers, rate_per_s, MEAN_S, threshold_s).expect("stable");
        let name = format!("{case}: share beyond {threshold_s} s");
        hold(&name, theory, of(|it| it.waited_long));
        hold(&format!("{case}: utilisation"), used, of(|it| it.busy_share));
        // Little's law: requests held are the rate times the time that each stays.
        let wait_s = mmc_wait_mean_s(servers, rate_per_s, MEAN_S).expect("stable");
        let theory = rate_per_s * (wait_s + MEAN_S);
        hold(&format!("{case}: mean concurrency"), theory, of(|it| it.concurrency));
    }
}

#[test]
fn who_waits_at_all_is_erlangs_c() {
    let spec = QueueSpec { wait_threshold_s: 0.0, ..exponential() };
    let measured = replicate(&spec, 10, 0.8, 300_000.0);
    let theory = erlang_c(10, 8.0).expect("stable");
    hold("M/M/10 at 0.8: share that waits", theory, measured.iter().map(|it| it.waited_long));
}

#[test]
fn constant_services_wait_half_as_long() {
    let spec = QueueSpec::of(ServiceTime::Deterministic { mean_s: MEAN_S });
    for used in [0.5, 0.8] {
        let measured = replicate(&spec, 1, used, 300_000.0);
        let theory = md1_wait_mean_s(used / MEAN_S, MEAN_S).expect("stable");
        let name = format!("M/D/1 at {used}: mean wait, s");
        hold(&name, theory, measured.iter().map(|it| it.wait_mean_s));
    }
}

#[test]
fn any_services_wait_as_pollaczek_and_khinchine_say() {
    let mean_s = MEAN_S;
    for (name, service, used, requests) in [
        ("lognormal, cv 1", ServiceTime::LogNormal { mean_s, cv: 1.0 }, 0.7, 500_000.0),
        ("lognormal, cv 1.5", ServiceTime::LogNormal { mean_s, cv: 1.5 }, 0.5, 1_500_000.0),
        ("gamma, shape 0.5", ServiceTime::Gamma { mean_s, shape: 0.5 }, 0.7, 500_000.0),
        ("Erlang, shape 4", ServiceTime::Gamma { mean_s, shape: 4.0 }, 0.8, 400_000.0),
        (
            "Pareto, shape 2.5, ratio 100",
            ServiceTime::Pareto { mean_s, shape: 2.5, max_over_min: 100.0 },
            0.6,
            800_000.0,
        ),
    ] {
        let measured = replicate(&QueueSpec::of(service), 1, used, requests);
        let theory = mg1_wait_mean_s(used / MEAN_S, MEAN_S, service.scv()).expect("stable");
        let name = format!("M/G/1 ({name}) at {used}: mean wait, s");
        hold(&name, theory, measured.iter().map(|it| it.wait_mean_s));
    }
}

#[test]
fn chance_makes_each_replica_a_queue_of_its_own() {
    // Poisson arrivals that are divided by chance are Poisson: ten times M/M/1.
    let spec = QueueSpec { balancing: Balancing::Random, ..exponential() };
    let measured = replicate(&spec, 10, 0.7, 800_000.0);
    let theory = mmc_wait_mean_s(1, 0.7 / MEAN_S, MEAN_S).expect("stable");
    let name = "random over 10 replicas at 0.7: mean wait, s";
    hold(name, theory, measured.iter().map(|it| it.wait_mean_s));
}

#[test]
fn one_replica_with_a_line_of_its_own_is_the_central_queue() {
    let spec = QueueSpec { balancing: Balancing::LeastConnections, ..exponential() };
    let measured = replicate(&spec, 1, 0.7, 400_000.0);
    let theory = mmc_wait_mean_s(1, 0.7 / MEAN_S, MEAN_S).expect("stable");
    hold(
        "least connections, M/M/1 at 0.7: mean wait, s",
        theory,
        measured.iter().map(|it| it.wait_mean_s),
    );
}
