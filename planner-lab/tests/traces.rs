//! Rules that hold for every trace and every text, and the files that others published.

use std::path::Path;

use planner_lab::trace::{
    Arrivals, Format, Missing, Need, Place, ReadOptions, Rule, Synthetic, Trace, TraceError,
    Values, doctor,
};
use proptest::prelude::*;

/// Where published traces lie beside the repository, seen from this package. It ships none of them.
const SHARED: &str = "../../shared/traces";

/// The published traces with their names; none where they are not there, with the reason printed.
fn shared(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(SHARED).join(folder);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: {} is not there, and the repository ships no traces", folder.display());
        return Vec::new();
    };
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.retain(|path| path.extension().is_some_and(|it| it == "csv"));
    assert!(!files.is_empty(), "{} holds no CSV", folder.display());
    let named = |path: &std::path::PathBuf| {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        (name, std::fs::read_to_string(path).expect("a text"))
    };
    files.iter().map(named).collect()
}

#[test]
fn published_traces_are_read_where_they_are_there() {
    let traces = shared("");
    for (name, text) in &traces {
        let trace = Trace::read(name, text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let column = |it: &str| it.split_once(',').and_then(|it| it.1.parse::<f64>().ok());
        let total: f64 = text.lines().filter_map(column).sum();
        // Counts are requests already; a rate counts for every second of its step.
        let seconds = if name.contains("qps") { f64::from(trace.step_s()) } else { 1.0 };
        let expected = total * seconds;
        assert!((trace.expected() / expected - 1.0).abs() < 1e-9, "{name}: {expected}");
        assert!(trace.unit().contains("per second"), "{name}: {}", trace.unit());
        assert!(trace.metadata("publisher").is_some(), "{name}");
        assert_eq!(trace.gaps(), [], "{name}");
        let days = trace.duration_s() as f64 / 86_400.0;
        println!("{name}: {days:.2} days, mean {:.3}/s", trace.expected() / days / 86_400.0);
        for finding in doctor(&trace) {
            println!("  {finding}");
        }
        assert_eq!(Trace::read("", &trace.to_csv()).as_ref(), Ok(&trace), "{name}");
    }
    assert!(traces.is_empty() || traces.len() >= 13, "{} traces", traces.len());
}

#[test]
fn published_traces_are_scaled_to_forty_replicas_where_they_are_there() {
    for (name, text) in shared("") {
        let trace = Trace::read(&name, &text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let need = Need { quantile: 0.998, replicas: 40, rate_per_replica_per_s: 50.0 };
        let scaled = trace.scaled_so_that(need).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!((scaled.quantile(0.998) - 2_000.0).abs() < 1e-6, "{name}");
        let hour = scaled.first(3_600).unwrap_or_else(|error| panic!("{name}: {error}"));
        let drawn = Arrivals::poisson(&hour, 1).sum::<u64>() as f64;
        let noise = 6.0 * hour.expected().sqrt() + 1.0;
        assert!((drawn - hour.expected()).abs() <= noise, "{name}: {drawn}");
    }
}

#[test]
fn published_latencies_are_refused_as_load_where_they_are_there() {
    for (name, text) in shared("latency") {
        let error = Trace::read(&name, &text).expect_err("latencies are no load");
        assert!(
            matches!(
                &error,
                TraceError::Refused { format: Format::Csv, place: Place::Line(_), rule, .. }
                    if matches!(rule, Rule::Unit | Rule::StepIrregular)
            ),
            "{name}: {error}"
        );
    }
}

/// Any trace that the public constructor makes.
fn trace() -> impl Strategy<Value = Trace> {
    let rate = prop_oneof![Just(0.0), 0.0..=1e9, 0.0..10.0, Just(f64::MIN_POSITIVE)];
    let note = prop::option::of("\\PC{0,40}");
    (".{0,30}", 1_u32..=5_000, prop::collection::vec(rate, 1..80), note).prop_map(
        |(name, step_s, rates, note)| {
            let trace = Trace::new(&name, step_s, rates).expect("rates in range");
            match note {
                Some(note) => trace.with_metadata("note", &note).expect("a plain key"),
                None => trace,
            }
        },
    )
}

/// A text that starts like one of the formats, and goes on at will.
fn text() -> impl Strategy<Value = String> {
    let start = prop::sample::select(vec![
        "",
        "# unit: requests per step\n# step_s: 60\nt_s,value\n",
        "# unit: requests per second\n# step_s: 1\n# gaps: 0+1\nt_s,value\n0,1\n",
        "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[",
        "Timestamp,Sum\n2024-05-01T12:00:00Z,1\n",
        "10.0.0.1 - - [01/May/2024:12:00:00 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"curl\"\n",
        "sine:low=",
    ]);
    let end = prop_oneof![
        ".{0,80}",
        "[-0-9,.:eE+\\n\\[\\]{}\" TZ#a-z]{0,200}",
        prop::collection::vec(any::<u8>(), 0..200)
            .prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    ];
    (start, end).prop_map(|(start, end)| format!("{start}{end}"))
}

/// Samples of series on a grid, with what a query gives where there is nothing.
fn series() -> impl Strategy<Value = Vec<Vec<Option<u32>>>> {
    let value = prop::option::weighted(0.8, 0_u32..1_000);
    prop::collection::vec(prop::collection::vec(value, 2..30), 1..4)
}

/// The answer to a range query with these samples in steps of 15 s.
fn answer(series: &[Vec<Option<u32>>]) -> String {
    let one = |(number, values): (usize, &Vec<Option<u32>>)| {
        let samples = values.iter().zip(0_u64..).map(|(value, step)| {
            let value = value.map_or("NaN".to_owned(), |it| it.to_string());
            format!("[{}.25,{value:?}]", 1_700_000_000 + 15 * step)
        });
        let samples = samples.collect::<Vec<_>>().join(",");
        format!("{{\"metric\":{{\"pod\":\"{number}\"}},\"values\":[{samples}]}}")
    };
    let series = series.iter().enumerate().map(one).collect::<Vec<_>>().join(",");
    format!(
        "{{\"status\":\"success\",\"data\":{{\"resultType\":\"matrix\",\"result\":[{series}]}}}}"
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_trace_that_is_written_is_read_as_the_same(trace in trace()) {
        prop_assert_eq!(Trace::read("other", &trace.to_csv()), Ok(trace));
    }

    #[test]
    fn a_trace_that_was_worked_on_is_read_as_the_same(
        trace in trace(), step_s in 1_u32..5_000, seconds in 5_000_u64..100_000,
    ) {
        let changed = trace.resampled(step_s).and_then(|it| it.first(seconds));
        let changed = changed.and_then(|it| it.scaled(0.123_456_7)).expect("in range");
        prop_assert_eq!(changed.provenance().len(), 3);
        prop_assert_eq!(Trace::read("other", &changed.to_csv()), Ok(changed));
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in text(), period_s in prop::option::of(any::<u32>())) {
        let formats =
            [Format::CloudWatch, Format::Csv, Format::Nginx, Format::Prometheus].map(Some);
        for format in [None].into_iter().chain(formats) {
            for (missing, values) in
                [(Missing::Hold, Values::Counter), (Missing::Zero, Values::Rate)]
            {
                let missing = Some(missing);
                let options =
                    ReadOptions { format, missing, period_s, values, ..ReadOptions::default() };
                match Trace::read_with("t", &text, &options) {
                    Ok(trace) => prop_assert_eq!(
                        Trace::read("", &trace.to_csv()).expect("what was written"), trace
                    ),
                    Err(error) => prop_assert!(error.to_string().contains("; ")),
                }
            }
        }
    }

    #[test]
    fn no_text_makes_a_made_up_load_panic(text in text()) {
        if let Err(error) = Synthetic::parse(&text) {
            prop_assert!(error.to_string().contains("; "));
        }
    }

    #[test]
    fn resampling_keeps_the_total(trace in trace(), step_s in 1_u32..10_000) {
        let resampled = trace.clone().resampled(step_s).expect("in range");
        let (before, after) = (trace.expected(), resampled.expected());
        prop_assert!((before - after).abs() <= 1e-9 * before, "{} {}", before, after);
        let longest_s = u64::from(step_s);
        prop_assert!(resampled.duration_s() >= trace.duration_s());
        prop_assert!(resampled.duration_s() < trace.duration_s() + longest_s);
    }

    #[test]
    fn resampling_to_a_divisor_and_back_changes_nothing(trace in trace(), parts in 1_u32..7) {
        let coarse = trace.clone().resampled(trace.step_s() * parts).expect("in range");
        let fine = coarse.clone().resampled(trace.step_s()).expect("in range");
        let again = fine.resampled(trace.step_s() * parts).expect("in range");
        for (one, other) in again.rates_per_s().iter().zip(coarse.rates_per_s()) {
            prop_assert!((one - other).abs() <= 1e-9 * other, "{} {}", one, other);
        }
    }

    #[test]
    fn a_scaled_trace_needs_what_was_asked_for(
        trace in trace(), quantile in 0.01..=1.0, replicas in 1_u32..100,
    ) {
        let need = Need { quantile, replicas, rate_per_replica_per_s: 50.0 };
        // A trace that is nearly idle cannot be scaled within the range of rates.
        if let Ok(scaled) = trace.scaled_so_that(need) {
            let asked = f64::from(replicas) * 50.0;
            prop_assert!((scaled.quantile(quantile) / asked - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn series_of_a_query_add_up(series in series()) {
        let sums = (0..30).map(|step| {
            let known: Vec<u32> =
                series.iter().filter_map(|it| it.get(step).copied().flatten()).collect();
            (!known.is_empty()).then(|| f64::from(known.iter().sum::<u32>()))
        });
        let sums: Vec<Option<f64>> = sums.collect();
        let zero = ReadOptions { missing: Some(Missing::Zero), ..ReadOptions::default() };
        let Some(first) = sums.iter().position(Option::is_some) else {
            prop_assert!(Trace::read("t", &answer(&series)).is_err());
            return Ok(());
        };
        let last = sums.iter().rposition(Option::is_some).expect("the first");
        let expected: Vec<f64> = sums[first..=last].iter().map(|it| it.unwrap_or(0.0)).collect();
        let trace = Trace::read_with("t", &answer(&series), &zero).expect("a trace");
        prop_assert_eq!(trace.rates_per_s(), &expected[..]);
        let held = Trace::read("t", &answer(&series)).expect("a trace");
        for (step, sum) in sums[first..=last].iter().enumerate() {
            prop_assert_eq!(held.is_gap(step), sum.is_none());
        }
    }

    #[test]
    fn a_log_gives_back_as_many_requests_as_lines(
        seconds in prop::collection::vec(0_u32..86_400, 1..200), bucket_s in 1_u32..4_000,
    ) {
        let line = |second: &u32| format!(
            "10.0.0.1 - - [01/May/2024:{:02}:{:02}:{:02} +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \
             \"curl\" 0.010\n",
            second / 3_600, second / 60 % 60, second % 60
        );
        let text: String = seconds.iter().map(line).collect();
        let options = ReadOptions { bucket_s, ..ReadOptions::default() };
        let trace = Trace::read_with("t", &text, &options).expect("a trace");
        prop_assert!((trace.expected() - seconds.len() as f64).abs() < 1e-6);
    }

    #[test]
    fn arrivals_are_the_same_again_and_none_without_load(trace in trace(), seed in any::<u64>()) {
        let trace = trace.first(20 * 5_000).expect("a part");
        let draw = || Arrivals::poisson(&trace, seed).take(200).collect::<Vec<_>>();
        let counts = draw();
        prop_assert_eq!(&counts, &draw());
        for (count, rate) in counts.iter().zip(trace.each_second()) {
            prop_assert!(rate > 0.0 || *count == 0);
        }
    }
}
