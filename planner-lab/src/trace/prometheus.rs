//! The answer to a Prometheus range query.
//!
//! Rules: a sample holds from its time for one step. A series without a sample at a time, or with
//! one that is not finite, adds nothing there; a time at which no series has one is missing. A
//! counter's increase between two samples is spread evenly over the steps between them; when it
//! falls, it started from 0 again.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::error::shortened;
use super::grid::fill;
use super::{
    Format, Missing, Place, RATE_PER_S_MAX, ReadOptions, Rule, START_S_MAX, STEP_S_MAX, STEPS_MAX,
    Select, Trace, TraceError, Values, check_step,
};

pub(super) fn read(name: &str, text: &str, options: &ReadOptions) -> Result<Trace, TraceError> {
    let (series, of) = selected(text, options)?;
    let mut samples = Samples::default();
    for (index, series) in &series {
        samples.take(*index, series)?;
    }
    let step_ms = samples.step_ms(options.period_s)?;
    let first_ms = samples.first_ms();
    let step_of = |at_ms: i64| step_of(at_ms - first_ms, step_ms);
    for series in &samples.series {
        for sample in series {
            step_of(sample.at_ms).map_err(|rule| sample.refused(rule))?;
        }
    }
    let mut sums: BTreeMap<usize, f64> = BTreeMap::new();
    for series in &samples.series {
        let finite = series.iter().filter_map(|it| Some((step_of(it.at_ms).ok()?, it.finite()?)));
        match options.values {
            Values::Rate => finite.for_each(|(step, rate)| *sums.entry(step).or_default() += rate),
            Values::Counter => spread(finite, step_ms / 1_000, &mut sums),
        }
    }
    let empty = || TraceError::whole(Format::Prometheus, "no finite value", Rule::Empty);
    let (first, _) = sums.first_key_value().ok_or_else(empty)?;
    let known: Vec<(usize, f64)> = sums.iter().map(|(step, sum)| (step - first, *sum)).collect();
    if let Some((step, sum)) = known.iter().find(|(_, sum)| *sum > RATE_PER_S_MAX) {
        let value = format!("{sum} in step {step}");
        return Err(TraceError::whole(Format::Prometheus, &value, Rule::Rate));
    }
    let start_ms = first_ms + i64::try_from(*first).unwrap_or(0) * step_ms;
    let filled = fill(&known, options.missing.unwrap_or(Missing::Hold)).map_err(|index| {
        let step = i64::try_from(known[index].0).unwrap_or(0);
        let at_s = (start_ms + step * step_ms).div_euclid(1_000).to_string();
        TraceError::whole(Format::Prometheus, &at_s, Rule::Missing)
    })?;
    let step_s = u32::try_from(step_ms / 1_000).unwrap_or(STEP_S_MAX);
    let mut trace = filled.trace(name, start_ms.div_euclid(1_000), step_s)?;
    let found = std::mem::take(&mut trace.provenance);
    state(&mut trace, options, series.len(), of, samples.not_finite());
    trace.provenance.extend(found);
    Ok(trace)
}

/// Says what was made of the answer.
fn state(trace: &mut Trace, options: &ReadOptions, taken: usize, of: usize, not_finite: usize) {
    let values = match options.values {
        Values::Counter => "counters: their increase over each step, from 0 again after a fall",
        Values::Rate => "values taken as rates per second",
    };
    let label = match &options.select {
        Select::Label { name, value } => format!(" with {name}={value:?}"),
        Select::Sum => String::new(),
    };
    trace.note(&format!("sum of {taken} of {of} series{label}; {values}"));
    if not_finite > 0 {
        trace.note(&format!("samples that are not finite, counted as absent: {not_finite}"));
    }
}

#[derive(Deserialize)]
struct Outline {
    status: String,
    error: Option<String>,
    data: Option<OutlineData>,
}

#[derive(Deserialize)]
struct OutlineData {
    #[serde(rename = "resultType")]
    result_type: String,
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    /// Absent where a series only has native histograms.
    #[serde(default)]
    values: Vec<(f64, String)>,
}

fn unreadable(cause: &serde_json::Error) -> TraceError {
    let text = cause.to_string();
    // The place is named before the cause instead of after it.
    let cause_alone = text.rsplit_once(" at line ").map_or(text.as_str(), |(cause, _)| cause);
    TraceError::Json { line: cause.line(), column: cause.column(), cause: shortened(cause_alone) }
}

/// The series that count, each with its place from 1, and how many there are.
fn selected(
    text: &str,
    options: &ReadOptions,
) -> Result<(Vec<(usize, Series)>, usize), TraceError> {
    let refused = |value: &str, rule| TraceError::whole(Format::Prometheus, value, rule);
    let outline: Outline = serde_json::from_str(text).map_err(|cause| unreadable(&cause))?;
    if outline.status != "success" {
        let words = outline.error.unwrap_or(outline.status);
        return Err(refused(&words, Rule::Refusal));
    }
    let result_type = outline.data.map_or_else(String::new, |data| data.result_type);
    if result_type != "matrix" {
        return Err(refused(&result_type, Rule::ResultType));
    }
    let answer: Answer = serde_json::from_str(text).map_err(|cause| unreadable(&cause))?;
    let of = answer.data.result.len();
    if of == 0 {
        return Err(refused("a result without series", Rule::Empty));
    }
    let mut series: Vec<(usize, Series)> = (1..).zip(answer.data.result).collect();
    if let Select::Label { name, value } = &options.select {
        series.retain(|(_, series)| series.metric.get(name) == Some(value));
        if series.is_empty() {
            return Err(refused(&format!("{name}={value}"), Rule::Selection));
        }
    }
    Ok((series, of))
}

/// One sample and where it stands.
struct Sample {
    place: (usize, usize),
    at_ms: i64,
    value: f64,
}

impl Sample {
    fn finite(&self) -> Option<f64> {
        self.value.is_finite().then_some(self.value)
    }

    fn refused(&self, rule: Rule) -> TraceError {
        refused(self.place, &seconds(self.at_ms), rule)
    }
}

fn refused((series, sample): (usize, usize), value: &str, rule: Rule) -> TraceError {
    let place = Place::Sample { series, sample };
    TraceError::Refused { format: Format::Prometheus, place, value: shortened(value), rule }
}

#[derive(Default)]
struct Samples {
    series: Vec<Vec<Sample>>,
}

impl Samples {
    fn take(&mut self, index: usize, series: &Series) -> Result<(), TraceError> {
        let mut samples: Vec<Sample> = Vec::with_capacity(series.values.len());
        for (number, (at_s, text)) in (1..).zip(&series.values) {
            let place = (index, number);
            let at_ms =
                milliseconds(*at_s).ok_or_else(|| refused(place, &at_s.to_string(), Rule::Time))?;
            let value: f64 = text.parse().map_err(|_| refused(place, text, Rule::Rate))?;
            if value < 0.0 && value.is_finite() {
                return Err(refused(place, text, Rule::Rate));
            }
            let sample = Sample { place, at_ms, value };
            if samples.last().is_some_and(|before| before.at_ms >= at_ms) {
                return Err(sample.refused(Rule::Order));
            }
            samples.push(sample);
        }
        self.series.push(samples);
        Ok(())
    }

    fn not_finite(&self) -> usize {
        self.series.iter().flatten().filter(|sample| sample.finite().is_none()).count()
    }

    fn first_ms(&self) -> i64 {
        self.series.iter().filter_map(|series| series.first()).map(|it| it.at_ms).min().unwrap_or(0)
    }

    /// The length of a step: as told, or the smallest spacing of the samples of any series.
    fn step_ms(&self, told_s: Option<u32>) -> Result<i64, TraceError> {
        if let Some(told_s) = told_s {
            return check_step(told_s).map(|()| i64::from(told_s) * 1_000);
        }
        let pairs = self.series.iter().flat_map(|series| series.windows(2));
        let spacing = pairs.map(|pair| (pair[1].at_ms - pair[0].at_ms, pair[1].place)).min();
        let Some((step_ms, place)) = spacing else {
            let single = self.series.iter().flatten().next();
            return Err(match single {
                Some(sample) => sample.refused(Rule::PeriodUnknown),
                None => {
                    TraceError::whole(Format::Prometheus, "series without samples", Rule::Empty)
                }
            });
        };
        let whole = step_ms % 1_000 == 0 && step_ms <= i64::from(STEP_S_MAX) * 1_000;
        if whole { Ok(step_ms) } else { Err(refused(place, &seconds(step_ms), Rule::Step)) }
    }
}

fn seconds(ms: i64) -> String {
    (ms as f64 / 1_000.0).to_string()
}

/// A time in milliseconds, if it is one that a trace may start at.
fn milliseconds(at_s: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "within the range that was just checked")]
    let at_ms = (at_s * 1_000.0).round() as i64;
    (at_s.abs() <= START_S_MAX as f64).then_some(at_ms)
}

fn step_of(since_ms: i64, step_ms: i64) -> Result<usize, Rule> {
    if since_ms % step_ms != 0 {
        return Err(Rule::OffGrid);
    }
    let step = usize::try_from(since_ms / step_ms).ok();
    step.filter(|step| *step < STEPS_MAX).ok_or(Rule::TooLong)
}

/// Adds a counter's increases, each spread evenly over the steps from one sample to the next.
fn spread(
    samples: impl Iterator<Item = (usize, f64)>,
    step_s: i64,
    sums: &mut BTreeMap<usize, f64>,
) {
    let mut before: Option<(usize, f64)> = None;
    for (step, count) in samples {
        if let Some((from, count_before)) = before {
            let increase = if count < count_before { count } else { count - count_before };
            let rate_per_s = increase / ((step - from) as f64 * step_s as f64);
            for between in from..step {
                *sums.entry(between).or_default() += rate_per_s;
            }
        }
        before = Some((step, count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(series: &str) -> String {
        format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}}}}"#)
    }

    fn told(text: &str, options: &ReadOptions) -> Result<Trace, String> {
        read("t", text, options).map_err(|error| error.to_string())
    }

    fn error(text: &str) -> String {
        told(text, &ReadOptions::default()).expect_err("refused")
    }

    #[test]
    fn an_answer_without_series_is_refused() {
        for (text, expected) in [
            (
                r#"{"status":"error","errorType":"bad_data","error":"parse error: x"}"#,
                "Prometheus JSON: \"parse error: x\" is the server's refusal; correct the query and \
                 ask again",
            ),
            (
                r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#,
                "Prometheus JSON: \"vector\" is no \"matrix\" of series; ask /api/v1/query_range \
                 instead of /query",
            ),
            (
                "{\n  \"status\": 1}",
                "Prometheus JSON, line 2, column 13: invalid type: integer `1`, expected a string; \
                 save what /api/v1/query_range answers as it came",
            ),
            (
                &matrix(""),
                "Prometheus JSON: \"a result without series\" holds no load; give a source with at \
                 least one sample",
            ),
            (
                &matrix(r#"{"metric":{},"histograms":[]}"#),
                "Prometheus JSON: \"series without samples\" holds no load; give a source with at \
                 least one sample",
            ),
            (
                &matrix(r#"{"metric":{},"values":[[1,"NaN"],[2,"+Inf"]]}"#),
                "Prometheus JSON: \"no finite value\" holds no load; give a source with at least \
                 one sample",
            ),
        ] {
            assert_eq!(error(text), expected);
        }
    }

    #[test]
    fn a_sample_that_breaks_a_rule_is_named() {
        for (values, expected) in [
            (
                r#"[1,"1"],[2,"x"]"#,
                "Prometheus JSON, series 1, sample 2: \"x\" is no load from 0 to 1e9 a second; \
                 correct it, or leave it out",
            ),
            (
                r#"[1,"1"],[2,"-1"]"#,
                "Prometheus JSON, series 1, sample 2: \"-1\" is no load from 0 to 1e9 a second; \
                 correct it, or leave it out",
            ),
            (
                r#"[2,"1"],[2,"1"]"#,
                "Prometheus JSON, series 1, sample 2: \"2\" is not later than the time before; sort \
                 by time and keep one of each",
            ),
            (
                r#"[1,"1"],[3,"1"],[6,"1"]"#,
                "Prometheus JSON, series 1, sample 3: \"6\" is no whole number of steps after the \
                 first time; correct it, or resample the source to equal steps",
            ),
            (
                r#"[1,"1"],[1.5,"1"]"#,
                "Prometheus JSON, series 1, sample 2: \"0.5\" is no step of 1 to 604800 whole \
                 seconds; write seconds, as in 60",
            ),
            (
                r#"[1,"1"]"#,
                "Prometheus JSON, series 1, sample 1: \"1\" is a single time, which has no spacing; \
                 say how long a period is",
            ),
            (r#"[1e300,"1"]"#, "Prometheus JSON, series 1, sample 1: \"1"),
            (
                r#"[1,"1"],[2,"1"],[4000001,"1"]"#,
                "Prometheus JSON, series 1, sample 3: \"4000001\" is more than 4000000 steps after \
                 the first time; correct it, take a longer step, or a part of the source",
            ),
            (
                r#"[1,"1"],[2,"1e10"]"#,
                "Prometheus JSON: \"10000000000 in step 1\" is no load from 0 to 1e9 a second; \
                 correct it, or leave it out",
            ),
        ] {
            let error = error(&matrix(&format!(r#"{{"metric":{{}},"values":[{values}]}}"#)));
            assert!(error.starts_with(expected), "{error}\n{expected}");
        }
    }

    /// Two pods, of which the second has no sample at 60 and no finite one at 90.
    fn two_pods() -> String {
        matrix(
            r#"{"metric":{"pod":"a"},"values":[[30.5,"1"],[60.5,"2"],[120.5,"4"]]},
               {"metric":{"pod":"b"},"values":[[30.5,"10"],[90.5,"NaN"],[120.5,"40"]]}"#,
        )
    }

    #[test]
    fn series_are_summed_and_what_is_missing_everywhere_is_held() {
        let trace = told(&two_pods(), &ReadOptions::default()).expect("a trace");
        assert_eq!(trace.rates_per_s(), [11.0, 2.0, 2.0, 44.0]);
        assert_eq!((trace.start_s(), trace.step_s(), trace.gaps().len()), (30, 30, 1));
        assert_eq!(
            trace.provenance(),
            [
                "sum of 2 of 2 series; values taken as rates per second",
                "samples that are not finite, counted as absent: 1",
                "1 of 4 steps missing: held at the rate before, and stated as gaps",
            ]
        );
        let zero = ReadOptions { missing: Some(Missing::Zero), ..ReadOptions::default() };
        assert_eq!(told(&two_pods(), &zero).expect("a trace").rates_per_s()[2], 0.0);
        let refuse = ReadOptions { missing: Some(Missing::Refuse), ..ReadOptions::default() };
        assert_eq!(
            told(&two_pods(), &refuse).expect_err("refused"),
            "Prometheus JSON: \"120\" does not follow one step after the time before; write the \
             missing rows, or read it with missing steps held or zero"
        );
    }

    #[test]
    fn one_series_is_chosen_by_label_or_none_is_there() {
        let of = |value: &str| ReadOptions {
            select: Select::Label { name: "pod".into(), value: value.into() },
            ..ReadOptions::default()
        };
        let trace = told(&two_pods(), &of("a")).expect("a trace");
        assert_eq!(trace.rates_per_s(), [1.0, 2.0, 2.0, 4.0]);
        assert_eq!(
            trace.provenance()[0],
            "sum of 1 of 2 series with pod=\"a\"; values taken as rates per second"
        );
        assert_eq!(
            told(&two_pods(), &of("c")).expect_err("refused"),
            "Prometheus JSON: \"pod=c\" is no label of any series; name one that the result has"
        );
    }

    #[test]
    fn a_counter_is_its_increase_across_holes_and_restarts() {
        let text = matrix(
            r#"{"metric":{},"values":[[0,"100"],[10,"150"],[20,"NaN"],[30,"250"],[40,"30"]]}"#,
        );
        let counter = ReadOptions { values: Values::Counter, ..ReadOptions::default() };
        let trace = told(&text, &counter).expect("a trace");
        assert_eq!(trace.rates_per_s(), [5.0, 5.0, 5.0, 3.0]);
        assert_eq!(
            trace.provenance()[0],
            "sum of 1 of 1 series; counters: their increase over each step, from 0 again after a \
             fall"
        );
    }
}
