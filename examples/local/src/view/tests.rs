//! The view as text: what is unknown, hostile, narrow, and what a good run looks like.

use super::*;

fn decision_at(at_s: f64, why: &str) -> DecisionRow {
    DecisionRow {
        id: 4,
        at_s,
        from: Some(1),
        to: Some(3),
        direction: Direction::Out,
        why: why.to_owned(),
        binding: String::new(),
        derivation: Vec::new(),
    }
}

fn state() -> ViewState {
    let last = WindowRow {
        t_s: 33.0,
        p95_ms: Some(412.0),
        p50_ms: Some(300.0),
        baseline_ms: Some(22.4),
        band_high_ms: Some(33.0),
        arrivals_per_s: Some(118.0),
        in_flight: Some(60),
        success_share: Some(0.995),
        ready: Some(1),
        starting: Some(2),
    };
    ViewState {
        title: "30x20,60x120,40x20".to_owned(),
        elapsed_s: 33.4,
        total_s: Some(130.0),
        slo_ms: 150.0,
        last: Some(last),
        recent_p95_ms: vec![Some(22.0), Some(33.0), None, Some(206.0), Some(412.0)],
        decisions: vec![decision_at(33.2, "p95 412 ms is 18 times the baseline")],
        requests: 955,
        slow: Some(87),
        failed: 1,
        is_coloured: false,
    }
}

#[test]
fn a_run_of_which_nothing_is_known_yet_shows_dashes_and_not_zeros() {
    let text = frame(&ViewState::default(), 80);
    assert!(text.contains("p95              –"), "{text}");
    assert!(text.contains("replicas         –   – starting"), "{text}");
    assert!(text.contains("  none yet"), "{text}");
    let line = plain_line(&ViewState::default());
    assert!(line.contains("p95 –  baseline –  –/s  ok –  replicas –+–"), "{line}");
}

#[test]
fn texts_from_outside_cannot_command_the_terminal() {
    let mut state = state();
    state.title = "\u{1b}]0;owned\u{7}\u{1b}[2J".to_owned();
    state.decisions = vec![decision_at(34.0, "a\r\nb\u{9b}31mc\u{202e}d")];
    for text in [frame(&state, 80), plain_line(&state)] {
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        assert!(text.contains("a\u{fffd}\u{fffd}b\u{fffd}31mc\u{fffd}d"), "{text:?}");
    }
}

#[test]
fn undefined_figures_and_absurd_counts_are_drawn_without_panic() {
    let mut state = state();
    state.elapsed_s = f64::NAN;
    state.recent_p95_ms = vec![Some(f64::NAN), Some(f64::INFINITY), Some(-1.0)];
    state.last = Some(WindowRow {
        p95_ms: Some(f64::NAN),
        ready: Some(u32::MAX),
        starting: Some(u32::MAX),
        ..WindowRow::default()
    });
    for width in [0, 1, 39, 40, 80, usize::MAX] {
        assert!(!frame(&state, width).is_empty());
    }
}

#[test]
fn no_line_is_wider_than_asked_and_there_are_at_most_fourteen() {
    let mut state = state();
    state.recent_p95_ms = vec![Some(20.0); 500];
    state.title = "x".repeat(300);
    state.decisions = vec![decision_at(33.2, &"because ".repeat(50)); 40];
    for width in [40, 80, 120] {
        let text = frame(&state, width);
        assert!(text.lines().count() <= 14, "{text}");
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(width), "{widest:?} columns of {width}:\n{text}");
    }
}

#[test]
fn a_frame_says_everything_in_plain_text() {
    let bar = format!("{}{}  26 %  97 s left", "█".repeat(14), "░".repeat(41));
    let lines = [
        "planner  30x20,60x120,40x20",
        &bar,
        "",
        "p95         412 ms   baseline 22.4 ms, near it up to 33 ms; SLO 150 ms",
        "         ▁▁ ▅█",
        "success     99.5 %   118 requests/s; 955 so far, 87 slow, 1 failed",
        "replicas         1   2 starting  ■□□",
        "",
        "last decisions",
        "   33.2 s ▲ 1 → 3   p95 412 ms is 18 times the baseline",
        "",
    ];
    assert_eq!(frame(&state(), 72), lines.join("\n"));
}

#[test]
fn without_colour_there_is_no_escape_sequence_and_with_it_the_text_is_the_same() {
    let plain = frame(&state(), 80);
    assert!(!plain.contains('\u{1b}'));
    let coloured = frame(&ViewState { is_coloured: true, ..state() }, 80);
    assert!(coloured.contains("\u{1b}[31m"), "over the objective is red");
    let mut stripped = String::new();
    for (index, part) in coloured.split('\u{1b}').enumerate() {
        stripped.push_str(if index == 0 { part } else { part.split_once('m').expect("a style").1 });
    }
    assert_eq!(stripped, plain);
}

#[test]
fn a_plain_line_has_the_window_and_the_decision_made_since() {
    assert_eq!(
        plain_line(&state()),
        "   33.4 s  p95 412 ms  baseline 22.4 ms  118/s  ok 99.5 %  replicas 1+2  slow 87  \
         failed 1  [#4 1 → 3: p95 412 ms is 18 times the baseline]"
    );
    let old = ViewState { decisions: vec![decision_at(12.0, "long ago")], ..state() };
    assert!(plain_line(&old).ends_with("failed 1"));
}
