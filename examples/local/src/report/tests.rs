//! The page as a whole: harmless, self-contained, complete.

use super::*;

const HOSTILE: &str = "</title></style><script>alert(1)</script>\" onload='x'&\u{1b}[2J";

fn sample() -> RunReport {
    let windows = (1..=120).map(|second| WindowRow {
        t_s: f64::from(second),
        p95_ms: Some(if (30..45).contains(&second) { 900.0 } else { 22.0 }),
        p50_ms: Some(21.0),
        baseline_ms: Some(21.5),
        band_high_ms: Some(30.0),
        arrivals_per_s: Some(if second < 30 { 20.0 } else { 120.0 }),
        in_flight: Some(2),
        success_share: Some(1.0),
        ready: Some(if second < 40 { 1 } else { 3 }),
        starting: Some(u32::from((33..40).contains(&second)) * 2),
    });
    let decision = DecisionRow {
        id: 12,
        at_s: 33.0,
        from: Some(1),
        to: Some(3),
        direction: Direction::Out,
        why: "p95 900 ms is above the band".to_owned(),
        binding: "step limit".to_owned(),
        derivation: vec!["demand 2.4 replicas".to_owned(), "rounded up: 3".to_owned()],
    };
    let hold = DecisionRow { id: 13, to: None, direction: Direction::Hold, ..decision.clone() };
    RunReport {
        scenario: "30x20,90x120".to_owned(),
        seed: 7,
        policy: "latency".to_owned(),
        slo_ms: 150.0,
        requests: 11_400,
        failed: 3,
        slow: Some(240),
        slow_or_failed_share: Some(243.0 / 11_400.0),
        floor_share: Some(0.008),
        replica_seconds: 282.0,
        min_replicas: 1,
        max_replicas: 3,
        duration_s: 120.0,
        settings: [("cooldown".to_owned(), "10 s".to_owned())].into(),
        windows: windows.collect(),
        decisions: vec![decision, hold],
        decisions_total: 130,
        journal: "runs/7/journal.jsonl".to_owned(),
        requests_log: "runs/7/requests.jsonl".to_owned(),
        ..RunReport::default()
    }
}

#[test]
fn hostile_texts_are_inert_wherever_they_come_from() {
    let mut report = sample();
    let hostile = || HOSTILE.to_owned();
    report.scenario = hostile();
    report.policy = hostile();
    report.journal = hostile();
    report.requests_log = hostile();
    report.faults = vec![hostile()];
    report.settings.insert(hostile(), hostile());
    for decision in &mut report.decisions {
        decision.why = hostile();
        decision.binding = hostile();
        decision.derivation = vec![hostile()];
    }
    let page = render_html(&report);
    assert!(!page.contains("<script"), "a script got through");
    assert!(!page.contains('\u{1b}'), "an escape sequence got through");
    assert!(!page.contains("onload='"), "an attribute got through");
    assert_eq!(page.matches("</style>").count(), 1);
    assert_eq!(page.matches("</title></style>").count(), 0);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot; onload=&#39;x&#39;&amp;"));
}

#[test]
fn undefined_figures_and_an_empty_run_give_a_page_all_the_same() {
    assert!(render_html(&RunReport::default()).contains("<h1>No request was made</h1>"));
    let mut report = sample();
    report.duration_s = f64::NAN;
    report.slo_ms = f64::INFINITY;
    report.windows[5].p95_ms = Some(f64::NAN);
    report.windows[6].arrivals_per_s = Some(f64::INFINITY);
    report.windows[7].t_s = f64::NAN;
    report.decisions[0].at_s = f64::NEG_INFINITY;
    let page = render_html(&report);
    let drawn = page.split("<svg").skip(1).collect::<String>();
    for attribute in ["x=\"NaN", "y=\"NaN", "\"inf", "LNaN", "NaN,", ",NaN"] {
        assert!(!drawn.contains(attribute), "{attribute} was drawn");
    }
}

#[test]
fn the_page_fetches_nothing_and_runs_nothing() {
    let page = render_html(&sample());
    for foreign in ["http://", "https://", "src=", "@import", "url(", "<script", "<link"] {
        assert!(!page.contains(foreign), "the page contains {foreign}");
    }
}

#[test]
fn the_headline_figures_are_the_ones_given() {
    let page = render_html(&sample());
    for text in [
        "<h1>2.13 % of 11,400 requests were slow or failed</h1>",
        "An ideal reaction to the same arrivals would have lost 0.8 %.",
        "<dt>Failed</dt><dd>3<small>0.03 % of all</small>",
        "<dt>Slower than 150 ms</dt><dd>240<small>2.11 % of all</small>",
        "<dt>Replica-seconds</dt><dd>282<small>2.35 replicas on average</small>",
        "<dt>Scaling decisions</dt><dd>1<small>1 out, 0 in, of 130 decisions</small>",
    ] {
        assert!(page.contains(text), "missing: {text}");
    }
    let flawless =
        RunReport { failed: 0, slow: Some(0), slow_or_failed_share: Some(0.0), ..sample() };
    let page = render_html(&flawless);
    assert!(page.contains("<h1>All 11,400 requests were answered in time</h1>"));
}

#[test]
fn a_scaling_decision_is_in_the_table_on_the_chart_and_can_be_replayed() {
    let page = render_html(&sample());
    for text in [
        "<tr id=\"decision-12\">",
        "<span class=\"change out\">1 → 3</span>",
        "<li>rounded up: 3</li>",
        "<a href=\"#decision-12\">",
        "<title>#12 at 33 s: 1 → 3 replicas. p95 900 ms is above the band</title>",
        "<code>replay runs/7/journal.jsonl</code>",
        "<code>why runs/7/journal.jsonl 12</code>",
    ] {
        assert!(page.contains(text), "missing: {text}");
    }
    assert!(!page.contains("href=\"#decision-13\""), "a hold is no mark on the chart");
}

#[test]
fn a_generator_that_was_late_is_admitted() {
    let late = RunReport { max_sent_late_ms: 80.0, ..sample() };
    assert!(render_html(&late).contains("sent a request 80 ms late at worst"));
    assert!(!render_html(&sample()).contains("class=\"note\""));
}

#[test]
fn a_report_reads_back_from_its_json() {
    let text = serde_json::to_string_pretty(&sample()).expect("nothing unserialisable");
    assert!(text.contains("\"direction\": \"out\""), "{text}");
    assert_eq!(serde_json::from_str::<RunReport>(&text).expect("round trip"), sample());
}
