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

fn edit(s: &Sim, f: impl Fn(&mut serde_json::Value)) -> Option<Planner> {
    let mut v = serde_json::to_value(s.planner.snapshot()).unwrap();
    f(&mut v);
    let snap: Snapshot<HeuristicState> = match serde_json::from_value(v) { Ok(x) => x, Err(e) => { println!("   refused: {e}"); return None; } };
    Planner::restore(s.planner.config().clone(), Heuristic, snap).ok()
}
fn woken() -> Sim {
    let mut s = Sim::new(cfg(1, 1000, 50.0).build().unwrap(), 10, 50.0, 5.0);
    for i in 0..200 { s.step(Some(if i % 20 == 0 { 500.0 } else { 200.0 }), None); }
    assert!(s.awake());
    s
}
#[test]
fn h_absurd_snapshots() {
    let cases: Vec<(&str, Box<dyn Fn(&mut serde_json::Value)>)> = vec![
        ("open_len 200", Box::new(|v| v["state"]["outlook"]["open_len"] = 200.into())),
        ("weight 0", Box::new(|v| v["state"]["outlook"]["weight"] = 0.0.into())),
        ("weight -1", Box::new(|v| v["state"]["outlook"]["weight"] = (-1.0).into())),
        ("weight 1e300", Box::new(|v| v["state"]["outlook"]["weight"] = 1e300.into())),
        ("weight 1e-300", Box::new(|v| v["state"]["outlook"]["weight"] = 1e-300.into())),
        ("count 1e39", Box::new(|v| v["state"]["outlook"]["forecasts"][0]["counts"][3] = 1e39.into())),
        ("counts 3e38", Box::new(|v| for i in 0..56 { v["state"]["outlook"]["forecasts"][0]["counts"][i] = 3e38.into() })),
        ("margin 1e308", Box::new(|v| v["state"]["outlook"]["forecasts"][0]["margin"] = 1e308.into())),
        ("margin -1e308", Box::new(|v| v["state"]["outlook"]["forecasts"][0]["margin"] = (-1e308).into())),
        ("mean 1e308", Box::new(|v| v["state"]["outlook"]["mean_per_s"] = 1e308.into())),
        ("mean_s -10", Box::new(|v| v["state"]["outlook"]["mean_s"] = (-10.0).into())),
        ("mean_s -5", Box::new(|v| v["state"]["outlook"]["mean_s"] = (-5.0).into())),
        ("cost 1e308", Box::new(|v| v["state"]["outlook"]["forecasts"][0]["cost_per_s"] = 1e308.into())),
        ("open 1e39", Box::new(|v| v["state"]["outlook"]["open"][0][0] = 1e39.into())),
        ("open -1e38", Box::new(|v| v["state"]["outlook"]["open"][0][0] = (-1e38).into())),
        ("opened max", Box::new(|v| v["state"]["outlook"]["opened"] = u64::MAX.into())),
        ("opened 0/minute 0", Box::new(|v| { v["state"]["outlook"]["opened"] = 0.into(); v["state"]["outlook"]["minute"] = 0.into(); })),
        ("peaks 1e39", Box::new(|v| v["state"]["outlook"]["peaks_per_s"][0] = 1e39.into())),
        ("throughput 1e-310 used", Box::new(|v| { v["state"]["throughput_per_s"] = 1e-310.into(); v["state"]["used_up"] = true.into(); })),
        ("throughput 1e308 used", Box::new(|v| { v["state"]["throughput_per_s"] = 1e308.into(); v["state"]["used_up"] = true.into(); })),
        ("recent 1e39", Box::new(|v| v["state"]["recent"]["loads"][0]["arrivals_per_s"] = 1e39.into())),
        ("recent secs 0/neg", Box::new(|v| v["state"]["recent"]["loads"][0]["seconds"] = (-5.0).into())),
        ("counts empty", Box::new(|v| v["state"]["outlook"]["forecasts"][0]["counts"] = serde_json::json!([]))),
    ];
    for (name, f) in cases {
        let mut s = woken();
        let Some(p) = edit(&s, |v| f(v)) else { continue };
        s.planner = p;
        let mut first = None;
        let r = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut later = 0;
            for i in 0..4000 { let d = s.step(Some(200.0), None); if first.is_none() { first = d; } }
            let text = serde_json::to_string(&s.planner.snapshot()).unwrap();
            let back = serde_json::from_str::<Snapshot<HeuristicState>>(&text);
            let same = match &back { Ok(b) => (*b == s.planner.snapshot()).to_string(), Err(e) => format!("UNREADABLE {e}") };
            let o = s.outlook();
            let m: Vec<_> = (0..3).map(|i| o["forecasts"][i]["margin"].as_f64()).collect();
            format!("after 5.5 h total {} json {same} margins {m:?} weight {} open_len {}", s.total(), o["weight"], o["open_len"])
        }));
        println!("H {name}: first {:?}; {}", first.map(|d| d.to_string()), r.unwrap_or("PANIC".into()));
    }
}
#[test]
fn i_clock_jumps() {
    for jump in [3600.0, 86400.0 * 3650.0, -86400.0, -3.0e8] {
        let mut s = woken();
        s.now += 4.0e8;
        for _ in 0..50 { s.step(Some(200.0), None); }
        let before = s.total();
        s.now += jump;
        let mut m = 0;
        for _ in 0..500 { s.step(Some(200.0), None); m = m.max(s.total()); }
        let snap = s.planner.snapshot();
        let back: Snapshot<HeuristicState> = serde_json::from_str(&serde_json::to_string(&snap).unwrap()).unwrap();
        let o = s.outlook();
        println!("I jump {jump}: {before} max {m} end {} same {} margins {:?}", s.total(), snap == back, (0..3).map(|i| o["forecasts"][i]["margin"].as_f64()).collect::<Vec<_>>());
    }
    // absurd rates
    let mut s = woken();
    for i in 0..500 { s.poisson = false; s.step(Some([0.0, 1e9, 1e-9, 5e-324, 200.0][i % 5]), None);
        let snap = s.planner.snapshot();
        let back: Snapshot<HeuristicState> = serde_json::from_str(&serde_json::to_string(&snap).unwrap()).unwrap(); assert_eq!(snap, back); }
    println!("I absurd rates held, {}", s.total());
}
/// prior cliff by startup
#[test]
fn j_prior_cliff() {
    for startup in [5, 10, 20, 30, 35, 40, 45, 50, 60, 120, 600] {
        let mut s = Sim::new(cfg(1, 500, 50.0).startup_allowance(Duration::from_secs(startup)).build().unwrap(), 40, 50.0, 1.0);
        for _ in 0..60 { s.step(Some(1000.0), None); }
        for _ in 0..10 { s.step(Some(1500.0), None); }
        for _ in 0..(12 * 3600) { s.step(Some(1000.0), None); }
        let o = s.outlook();
        println!("J start-up {startup} s, 12 h constant: replicas {} (20 at full use), margins {:?}", s.total(), (0..3).map(|i| (o["forecasts"][i]["margin"].as_f64().unwrap_or(0.0) * 100.0).round() / 100.0).collect::<Vec<_>>());
    }
}
#[test]
fn k_night_peak() {
    let mut s = Sim::new(cfg(1, 500, 50.0).build().unwrap(), 2, 50.0, 5.0);
    for i in 0..(8 * 720) { let t = i * 5; s.step(Some(if t % 240 < 60 { 40.0 } else { 1.0 }), None); }
    let (mut m, mut over) = (0, 0);
    let mut shown = None;
    for i in 0..1440 { let d = s.step(Some(1000.0), None); if s.total() > m { m = s.total(); shown = d; } if s.total() > 40 { over += 1; } }
    println!("K max {m} of 20; {} min above 40: {}", over * 5 / 60, shown.unwrap());
}
#[test]
fn l_scale_to_zero() {
    for moved in [false, true] {
        let mut s = Sim::new(cfg(0, 50, 50.0).build().unwrap(), 3, 50.0, 5.0);
        for _ in 0..60 { s.step(Some(100.0), None); }
        if moved { for _ in 0..10 { s.step(Some(10.0), None); } for _ in 0..30 { s.step(Some(100.0), None); } } else { for r in [90.,80.,70.,60.,50.,40.,30.,25.,20.,15.,12.,9.,7.,5.,4.,3.,2.,1.] { for _ in 0..40 { s.poisson = false; s.step(Some(r), None); } } }
        let aw = s.awake();
        let mut d = None;
        for _ in 0..1500 { s.poisson = false; d = s.step(Some(0.0), Some(40.0)); }
        println!("L moved {moved} awake {aw}->{}: {} {}", s.awake(), s.total(), d.unwrap());
    }
}
/// direction changes in any hour
#[test]
fn m_flaps() {
    for (hint, completions) in [(500.0, false), (0.0, false), (50.0, true)] {
        let mut s = Sim::new(cfg(1, 60, hint).build().unwrap(), 25, 50.0, 5.0);
        s.completions = completions;
        let mut turns: Vec<f64> = vec![]; let (mut last, mut worst) = (0i32, 0); let mut prev = s.total();
        for i in 0..(12 * 720) {
            let t = i as f64 * 5.0;
            s.step(Some(800.0 + 200.0 * (t / 3600.0 * 6.283).sin()), None);
            let dir = (s.total() as i32 - prev as i32).signum(); prev = s.total();
            if dir != 0 { if last != 0 && dir != last { turns.push(t); } last = dir; }
            turns.retain(|x| t - *x < 3600.0); worst = worst.max(turns.len());
        }
        println!("M hint {hint} completions {completions}: most direction changes in an hour {worst}, budget 6");
    }
}
