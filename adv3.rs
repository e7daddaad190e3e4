#![allow(missing_docs, clippy::all, clippy::pedantic, unused_variables, unused_mut, unused_assignments, dead_code)]
use std::time::Duration;
use planner_core::*;

fn at(s: f64) -> Timestamp { Timestamp::from_nanos((s * 1e9) as u64) }

struct Rng(u64);
impl Rng {
    fn u(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e3779b97f4a7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d049bb133111eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
    fn poisson(&mut self, mean: f64) -> f64 {
        if mean > 60.0 {
            let n = (-2.0 * self.u().max(1e-300).ln()).sqrt() * (6.283185307 * self.u()).cos();
            return (mean + mean.sqrt() * n).round().max(0.0);
        }
        let l = (-mean).exp();
        let (mut k, mut p) = (0.0, 1.0);
        loop { p *= self.u(); if p <= l { return k; } k += 1.0; }
    }
}

struct Sim {
    planner: Planner,
    now: f64, len: f64, ready: u32, pending: Vec<(f64, u32)>, cap: f64, startup: f64, seq: u64,
    completions: bool, rng: Rng, poisson: bool, outs: u32, ins: u32, breaches: u32,
}
impl Sim {
    fn new(config: Config, ready: u32, cap: f64, len: f64) -> Self {
        Self { planner: Planner::new(config, Heuristic), now: 0.0, len, ready, pending: vec![], cap, startup: 40.0, seq: 0,
            completions: true, rng: Rng(7), poisson: true, outs: 0, ins: 0, breaches: 0 }
    }
    fn total(&self) -> u32 { self.ready + self.pending.iter().map(|p| p.1).sum::<u32>() }
    fn window(&mut self, rate: Option<f64>, p95: Option<f64>) -> Window {
        self.seq += 1;
        let carried = rate.unwrap_or(0.0);
        let util = carried / (self.cap * f64::from(self.ready.max(1)));
        let p = p95.unwrap_or(if util < 0.92 { 40.0 } else { 600.0 });
        let mut b = Window::builder(self.seq, at(self.now - self.len), at(self.now)).outcomes(40, 0, 0)
            .latencies(Latencies::from_p95(Latency::from_millis(p).unwrap()))
            .ready(self.ready).starting(self.total() - self.ready);
        if let Some(rate) = rate {
            let seen = if self.poisson { self.rng.poisson(rate * self.len) / self.len } else { rate };
            let mut t = Traffic::arriving(seen).unwrap();
            if self.completions { t = t.with_completions(seen.min(self.cap * f64::from(self.ready))).unwrap(); }
            b = b.traffic(t).coverage(1.0);
        }
        b.build().unwrap()
    }
    fn step(&mut self, rate: Option<f64>, p95: Option<f64>) -> Option<Decision> {
        self.now += self.len;
        let now = self.now;
        let mut r = 0;
        self.pending.retain(|p| if p.0 <= now { r += p.1; false } else { true });
        self.ready += r;
        let w = self.window(rate, p95);
        let d = self.planner.decide(at(self.now), &w);
        if d.derivation.signal.breach.is_some() { self.breaches += 1; }
        if let Some(to) = d.target() {
            let total = self.total();
            if to > total { self.outs += 1; self.pending.push((now + self.startup, to - total)); }
            if to < total { self.ins += 1; let mut less = total - to;
                while less > 0 { if let Some(p) = self.pending.last_mut() { let k = less.min(p.1); p.1 -= k; less -= k; if p.1 == 0 { self.pending.pop(); } } else { self.ready -= less; less = 0; } } }
        }
        Some(d)
    }
    fn awake(&self) -> bool {
        let v = serde_json::to_value(self.planner.snapshot()).unwrap();
        !v["state"]["outlook"].is_null()
    }
    fn outlook(&self) -> serde_json::Value {
        serde_json::to_value(self.planner.snapshot()).unwrap()["state"]["outlook"].clone()
    }
}
fn cfg(min: u32, max: u32, hint: f64) -> ConfigBuilder {
    Config::builder(ReplicaBounds::new(min, max).unwrap()).capacity_hint_per_s(hint)
}

#[test]
fn n_fleet_and_v1() {
    let mut rng = Rng(5);
    let mut awake = 0;
    for case in 0..40u64 {
        let config = cfg(1, 60, if case % 2 == 0 { 50.0 } else { 0.0 }).warmup_windows(3).build().unwrap();
        let mut s = Sim::new(config.clone(), 1 + (rng.u() * 20.0) as u32, 50.0, [1.0, 5.0][(case % 2) as usize]);
        s.rng = Rng(case);
        let mut fleet = Fleet::new(Heuristic);
        let class = fleet.class(config.clone()).unwrap();
        let m = fleet.add(class).unwrap();
        // a planner that is restored from JSON at every window, without the outlook key while asleep and as version 1
        let mut other = Planner::new(config.clone(), Heuristic);
        for i in 0..300 {
            s.now += s.len;
            let rate = 300.0 * if rng.u() < 0.1 { 4.0 * rng.u() } else { 1.0 };
            let now = s.now; let mut r = 0; s.pending.retain(|p| if p.0 <= now { r += p.1; false } else { true }); s.ready += r;
            let w = s.window(if rng.u() < 0.02 { None } else { Some(rate) }, None);
            let d = s.planner.decide(at(s.now), &w);
            let f = fleet.decide(at(s.now), m, &w).unwrap();
            let o = other.decide(at(s.now), &w);
            assert_eq!(d, f); assert_eq!(d, o);
            if let Some(to) = d.target() {
                if rng.u() < 0.2 {
                    let _ = s.planner.step(at(s.now), Event::Settle(d.id, Outcome::Refuse));
                    let _ = other.step(at(s.now), Event::Settle(d.id, Outcome::Refuse));
                    let _ = fleet.settle(m, d.id, Outcome::Refuse);
                } else { let t = s.total(); if to > t { s.pending.push((s.now + 40.0, to - t)); } else { let less = t - to; let p: u32 = s.pending.iter().map(|p| p.1).sum(); s.pending.clear(); s.ready = to.saturating_sub(0).min(s.ready.max(1)); if to > s.ready { s.pending.push((s.now + 10.0, to - s.ready)); } let _ = (less, p); } }
            }
            let mut v = serde_json::to_value(other.snapshot()).unwrap();
            if v["state"]["outlook"].is_null() { v["policy_version"] = 1.into(); let _ = v["state"].as_object_mut().unwrap().remove("outlook"); }
            let text = v.to_string();
            other = Planner::restore(config.clone(), Heuristic, serde_json::from_str(&text).unwrap()).unwrap();
            if i % 50 == 0 { assert_eq!(serde_json::to_value(fleet.snapshot(m).unwrap()).unwrap()["state"], serde_json::to_value(s.planner.snapshot()).unwrap()["state"]); }
        }
        if s.awake() { awake += 1; }
    }
    println!("N held, awake {awake} of 40");
}
#[test]
fn o_breaches_when() {
    let mut s = Sim::new(cfg(1, 500, 50.0).build().unwrap(), 40, 50.0, 1.0);
    let mut out = vec![];
    for h in 0..24 { s.breaches = 0; for i in 0..3600 { let t = (h * 3600 + i) as f64; s.step(Some(600.0 + 400.0 * (t / 1800.0 * 6.283185).sin()), None); } out.push((s.breaches, s.total())); }
    println!("O breaches by hour {out:?}");
    // time shift: the same an odd offset later
    let run = |off: f64| { let mut s = Sim::new(cfg(1, 500, 50.0).build().unwrap(), 40, 50.0, 5.0); s.now = off; let mut v = vec![]; for i in 0..2000 { let t = i as f64 * 5.0; s.step(Some(600.0 + 400.0 * (t / 1800.0 * 6.283185).sin()), None); v.push(s.total()); } v };
    assert_eq!(run(0.0), run(123456.0)); println!("O shift held");
}
