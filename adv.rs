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

/// D: outlook awake, traffic metering disappears: are there experiments any more?
#[test]
fn a_traffic_disappears() {
    for moved in [false, true] {
        let mut s = Sim::new(cfg(1, 50, 50.0).build().unwrap(), 10, 50.0, 5.0);
        for _ in 0..60 { s.step(Some(300.0), None); }
        if moved { for _ in 0..6 { s.step(Some(150.0), None); } for _ in 0..60 { s.step(Some(300.0), None); } }
        let start = s.total();
        let mut last = None;
        for _ in 0..(6 * 720) { last = (s.step(None, Some(40.0))); }
        println!("A moved={moved} awake={} {start} -> {} after 6 h: {}", s.awake(), s.total(), last.unwrap());
    }
    // capacity hint withdrawn at a restart
    let mut s = Sim::new(cfg(1, 50, 50.0).build().unwrap(), 10, 50.0, 5.0);
    for _ in 0..60 { s.step(Some(300.0), None); }
    for _ in 0..6 { s.step(Some(150.0), None); }
    for _ in 0..60 { s.step(Some(300.0), None); }
    let snap = s.planner.snapshot();
    s.planner = Planner::restore(cfg(1, 50, 0.0).build().unwrap(), Heuristic, snap).unwrap();
    let start = s.total();
    let mut last = None;
    for _ in 0..(6 * 720) { last = (s.step(Some(10.0), Some(40.0))); }
    println!("A hint withdrawn awake={} {start} -> {} at 10/s after 6 h: {}", s.awake(), s.total(), last.unwrap());
}

/// C: window length vs. horizon.
#[test]
fn b_cadence() {
    // a slow swing: 30 min period, between 200 and 1000. Within a start-up time of 60 s it rises at most ~x1.15.
    for len in [1.0, 5.0, 15.0, 30.0, 60.0, 120.0] {
        let mut s = Sim::new(cfg(1, 500, 50.0).window_age_max(Duration::from_secs(200)).build().unwrap(), 40, 50.0, len);
        let n = (24.0 * 3600.0 / len) as u64;
        let (mut used, mut need) = (0.0, 0.0);
        for i in 0..n {
            let t = i as f64 * len;
            let rate = 600.0 + 400.0 * (t / 1800.0 * 6.283185).sin();
            s.step(Some(rate), None);
            if i > n / 2 { used += f64::from(s.total()); need += rate / 50.0; }
        }
        let o = s.outlook();
        let margins: Vec<_> = (0..3).map(|i| o["forecasts"][i]["margin"].as_f64().unwrap_or(0.0)).collect();
        let costs: Vec<_> = (0..3).map(|i| o["forecasts"][i]["cost_per_s"].as_f64().unwrap_or(0.0)).collect();
        println!("B breaches {} window {len} s: replicas/needed {:.2}, outs {} ins {} margins {margins:.2?} costs {costs:.0?}", s.breaches, used / need, s.outs, s.ins);
    }
}

/// RR: constant Poisson load: how long until it wakes; and what that costs.
#[test]
fn c_false_wake() {
    for len in [1.0, 5.0] {
        for rate in [20.0, 1000.0] {
            let mut hours = vec![]; let mut after = vec![]; let mut before = vec![];
            for seed in 0..12 {
                let mut s = Sim::new(cfg(1, 200, if rate > 100.0 { 50.0 } else { 1.0 }).build().unwrap(), 30, if rate > 100.0 { 50.0 } else { 1.0 }, len);
                s.rng = Rng(seed * 77);
                let mut woke = None;
                let mut b = 0;
                for i in 0..(12.0 * 3600.0 / len) as u64 {
                    s.step(Some(rate), None);
                    if woke.is_none() { b = s.total(); }
                    if woke.is_none() && i % 100 == 0 && s.awake() { woke = Some(i as f64 * len / 3600.0); }
                    if woke.is_some_and(|w| i as f64 * len / 3600.0 > w + 2.0) { break; }
                }
                hours.push(woke.map_or(f64::NAN, |h| (h * 10.0).round() / 10.0)); before.push(b); after.push(s.total());
            }
            println!("C window {len} rate {rate}: woke after hours {hours:?}; replicas before {before:?} after {after:?}");
        }
    }
}

/// H: margins learned at night on a floor of 0.2 capacities applied by day.
#[test]
fn d_night_margins() {
    let mut s = Sim::new(cfg(1, 500, 50.0).build().unwrap(), 2, 50.0, 5.0);
    // night: 4 s of nothing / small bursts of 40/s for 1 min every 4 min
    for i in 0..(8 * 720) { let t = i * 5; s.step(Some(if t % 240 < 60 { 40.0 } else { 1.0 }), None); }
    let o = s.outlook();
    println!("D night margins {:?}", (0..3).map(|i| o["forecasts"][i]["margin"].as_f64().unwrap_or(0.0)).collect::<Vec<_>>());
    for h in 0..8 {
        let mut used = 0.0;
        let mut d = None;
        for i in 0..720 { d = (s.step(Some(1000.0), None)); used += f64::from(s.total()); }
        println!("D day hour {h}: mean replicas {:.1} of 20 needed: {}", used / 720.0, d.unwrap());
    }
}

/// F: hints wrong by ten.
#[test]
fn e_wrong_hints() {
    for (hint, completions) in [(500.0, true), (500.0, false), (5.0, true), (5.0, false), (0.0, true), (0.0, false)] {
        let mut s = Sim::new(cfg(1, 60, hint).build().unwrap(), 25, 50.0, 5.0);
        s.completions = completions;
        let mut out = vec![];
        let mut d = None;
        for h in 0..12 {
            s.breaches = 0; s.outs = 0; s.ins = 0;
            let mut used = 0.0;
            for i in 0..720 { let t = (h * 720 + i) as f64 * 5.0; d = (s.step(Some(800.0 + 200.0 * (t / 3600.0 * 6.283).sin()), None)); used += f64::from(s.total()); }
            out.push(format!("{:.0}/b{}/o{}/i{}", used / 720.0, s.breaches, s.outs, s.ins));
        }
        println!("E hint {hint} completions {completions}: mean/breaches/outs/ins per hour (16 needed at full use): {out:?}: {}", d.unwrap());
    }
}

/// GG: a slow dependency for 20 minutes at constant load with a hint of 100/s.
#[test]
fn f_slow_dependency() {
    for hint in [0.0, 100.0] {
        let mut s = Sim::new(cfg(1, 200, hint).build().unwrap(), 4, 100.0, 5.0);
        for _ in 0..720 { s.step(Some(80.0), None); }
        let before = s.total();
        let mut d = None;
        for _ in 0..240 { d = (s.step(Some(80.0), Some(600.0))); }
        println!("F hint {hint}: {before} -> during {}: {}", s.total(), d.unwrap());
        for h in 0..6 { let mut d = None; for _ in 0..720 { d = (s.step(Some(80.0), None)); }
            println!("F hint {hint} +{h} h {}: {}", s.total(), d.unwrap()); }
    }
}

/// B/18: random search for monotonicity with an awake outlook, plus JSON restart.
#[test]
fn g_monotone() {
    let mut rng = Rng(99);
    let (mut checked, mut bad, mut awake) = (0, 0, 0);
    for case in 0..400 {
        let hint = if rng.u() < 0.5 { 50.0 } else { 5.0 * 10f64.powf(rng.u() * 3.0) };
        let mut b = cfg((rng.u() * 3.0) as u32, 60, hint).warmup_windows(3).slow_price([0.0, 1.0, 8.0, 1e4][(rng.u() * 4.0) as usize])
            .startup_allowance(Duration::from_secs_f64(rng.u() * 60.0)).target_utilisation(0.05 + 0.95 * rng.u());
        if rng.u() < 0.5 { b = b.cooldown_in(Duration::ZERO).cooldown_out(Duration::ZERO).stabilisation_in(Duration::ZERO).flap_budget_per_hour(3600); }
        let mut s = Sim::new(b.build().unwrap(), 1 + (rng.u() * 30.0) as u32, 50.0, [0.5, 1.0, 5.0, 61.0][(rng.u() * 4.0) as usize]);
        s.startup = if rng.u() < 0.5 { 0.0 } else { 40.0 };
        s.rng = Rng(case);
        let base = 10f64.powf(rng.u() * 3.5 - 0.5);
        for i in 0..150 {
            let rate = base * if rng.u() < 0.2 { rng.u() * 4.0 } else { 1.0 };
            let rate = if rng.u() < 0.03 { None } else { Some(rate) };
            let p = if rng.u() < 0.08 { Some(400.0 * rng.u()) } else { None };
            s.step(rate, p);
            if i < 15 { continue; }
            // preview ladder
            let now = s.now + s.len;
            let ready = s.ready; let starting = s.total() - s.ready; let len = s.len;
            let make = |rate: f64, p: f64, to: u32, comp: f64| {
                Window::builder(9999, at(now - len), at(now)).outcomes(40, to, 0).latencies(Latencies::from_p95(Latency::from_millis(p).unwrap()))
                    .ready(ready).starting(starting).coverage(1.0)
                    .traffic(Traffic::arriving(rate).unwrap().with_completions(comp).unwrap()).build().unwrap()
            };
            let comp = base * rng.u() * 1.5;
            let (r0, p0, t0) = (base * rng.u() * 3.0, 30.0 + 60.0 * rng.u() * rng.u(), (rng.u() * 4.0) as u32);
            let r1 = r0 + if rng.u() < 0.5 { base * rng.u() * rng.u() } else { 0.0 };
            let p1 = p0 + if rng.u() < 0.5 { 600.0 * rng.u() * rng.u() } else { 0.0 };
            let t1 = t0 + if rng.u() < 0.5 { (rng.u() * 5.0) as u32 } else { 0 };
            let a = s.planner.preview(at(now), &make(r0, p0, t0, comp));
            let c = s.planner.preview(at(now), &make(r1, p1, t1, comp));
            checked += 1;
            let (ta, tc) = (a.target().unwrap_or(s.total()), c.target().unwrap_or(s.total()));
            let fin = |d: &Decision| d.derivation.proposal.preferred;
            if tc < ta || fin(&c) < fin(&a) {
                bad += 1;
                if bad < 6 { println!("G case {case} i {i} rate {r0}->{r1} p {p0}->{p1} t {t0}->{t1}: {a} [{}] | {c} [{}]", fin(&a), fin(&c)); }
            }
        }
        if s.awake() { awake += 1; }
        // JSON
        let snap = s.planner.snapshot();
        let text = serde_json::to_string(&snap).unwrap();
        let back: Snapshot<HeuristicState> = serde_json::from_str(&text).unwrap();
        assert_eq!(snap, back);
    }
    println!("G checked {checked}, bad {bad}, awake {awake} of 400");
}
