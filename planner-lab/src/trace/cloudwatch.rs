//! Exports of sums per period with ISO 8601 times, as `CloudWatch` and tools like it give them.
//! Rows may come in any order. Not for averages or percentiles: those are no load.

use super::grid::{fill, numbered, rate, step_of};
use super::{Format, Missing, ReadOptions, Rule, STEP_S_MAX, Trace, TraceError, check_step, clock};

/// Columns that hold sums, by their names in lower case, best first.
const SUMS: [&str; 5] = ["sum", "samplecount", "requestcount", "count", "value"];
/// Beginnings of names of columns that hold no sums.
const NO_SUMS: [&str; 6] = ["average", "avg", "max", "min", "p", "stddev"];

/// Whether it is a header line with a column of times.
pub(super) fn is_header(line: &str) -> bool {
    fields(line).is_some_and(|header| header.len() > 1 && header.iter().any(|it| is_time(it)))
}

pub(super) fn read(name: &str, text: &str, options: &ReadOptions) -> Result<Trace, TraceError> {
    let mut lines = numbered(text);
    let (line, content) =
        lines.next().ok_or_else(|| TraceError::whole(Format::CloudWatch, "", Rule::Empty))?;
    let columns = Columns::of(line, content, options)?;
    let mut sums = Vec::new();
    for (line, content) in lines {
        sums.push(columns.sum(line, content)?);
    }
    let sorted = sums.is_sorted_by_key(|sum| sum.at_s);
    sums.sort_by_key(|sum| sum.at_s);
    let period_s = period(&sums, options.period_s)?;
    let mut known = Vec::with_capacity(sums.len());
    for sum in &sums {
        let step = step_of(sum.at_s, sums[0].at_s, period_s);
        let step = step.map_err(|rule| refused(sum.line, sum.time, rule))?;
        let rate = rate(sum.value, period_s).map_err(|rule| refused(sum.line, sum.value, rule))?;
        known.push((step, rate));
    }
    let missing = options.missing.unwrap_or(Missing::Zero);
    let filled = fill(&known, missing)
        .map_err(|index| refused(sums[index].line, sums[index].time, Rule::Missing))?;
    let mut trace = filled.trace(name, sums[0].at_s, period_s)?;
    let found = std::mem::take(&mut trace.provenance);
    let from = if options.period_s.is_some() { "as told" } else { "the smallest spacing" };
    trace.note(&format!(
        "column {}: sums divided by the period of {period_s} s ({from})",
        columns.value_name
    ));
    if !sorted {
        trace.note("rows sorted by time");
    }
    trace.provenance.extend(found);
    Ok(trace)
}

fn refused(line: usize, value: &str, rule: Rule) -> TraceError {
    TraceError::line(Format::CloudWatch, line, value, rule)
}

/// A row: a sum and where it stands.
struct Sum<'a> {
    line: usize,
    at_s: i64,
    time: &'a str,
    value: &'a str,
}

/// The length of a period: as told, or the smallest spacing of these sums, which ascend.
fn period(sums: &[Sum<'_>], told_s: Option<u32>) -> Result<u32, TraceError> {
    let first = sums.first().ok_or_else(|| {
        TraceError::whole(Format::CloudWatch, "a header without rows", Rule::Empty)
    })?;
    if let Some(twice) = sums.windows(2).find(|pair| pair[0].at_s == pair[1].at_s) {
        return Err(refused(twice[1].line, twice[1].time, Rule::StampRepeated));
    }
    if let Some(told_s) = told_s {
        return check_step(told_s).map(|()| told_s);
    }
    let closest = sums.windows(2).map(|pair| (pair[1].at_s - pair[0].at_s, pair[1].line)).min();
    let (spacing_s, line) =
        closest.ok_or_else(|| refused(first.line, first.time, Rule::PeriodUnknown))?;
    u32::try_from(spacing_s)
        .ok()
        .filter(|spacing_s| *spacing_s <= STEP_S_MAX)
        .ok_or_else(|| refused(line, &format!("{spacing_s} s"), Rule::Step))
}

/// Where in a row time and sum stand.
struct Columns {
    count: usize,
    time: usize,
    value: usize,
    value_name: String,
}

impl Columns {
    fn of(line: usize, content: &str, options: &ReadOptions) -> Result<Self, TraceError> {
        let header = fields(content).ok_or_else(|| refused(line, content, Rule::ColumnMissing))?;
        let named = |name: &str| header.iter().position(|own| own.eq_ignore_ascii_case(name));
        let asked =
            |name: &str| named(name.trim()).ok_or_else(|| refused(line, name, Rule::ColumnMissing));
        let time = match &options.time_column {
            Some(name) => asked(name)?,
            None => header
                .iter()
                .position(|own| is_time(own))
                .ok_or_else(|| refused(line, "Timestamp", Rule::ColumnMissing))?,
        };
        let value = match &options.value_column {
            Some(name) => asked(name)?,
            None => SUMS
                .iter()
                .find_map(|name| named(name).filter(|column| *column != time))
                .or_else(|| only_other(&header, time))
                .ok_or_else(|| refused(line, content, Rule::ColumnUnclear))?,
        };
        Ok(Self { count: header.len(), time, value, value_name: header[value].to_owned() })
    }

    fn sum<'a>(&self, line: usize, content: &'a str) -> Result<Sum<'a>, TraceError> {
        let row = fields(content)
            .filter(|row| row.len() == self.count)
            .ok_or_else(|| refused(line, content, Rule::Row))?;
        let (time, value) = (row[self.time], row[self.value]);
        let at_s = clock::iso(time).ok_or_else(|| refused(line, time, Rule::Time))?;
        Ok(Sum { line, at_s, time, value })
    }
}

fn is_time(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("time") || name.starts_with("date")
}

/// The other of two columns, unless its name says that it holds no sums.
fn only_other(header: &[&str], time: usize) -> Option<usize> {
    let other = 1_usize.checked_sub(time).filter(|_| header.len() == 2)?;
    let name = header[other].to_ascii_lowercase();
    (!NO_SUMS.iter().any(|start| name.starts_with(start))).then_some(other)
}

/// The fields of a line, without white space and quotation marks around them. None when a quotation
/// mark stands elsewhere.
fn fields(line: &str) -> Option<Vec<&str>> {
    let (mut fields, mut rest) = (Vec::new(), line.trim());
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (field, after) = quoted.split_once('"')?;
            fields.push(field.trim());
            match after.trim_start() {
                "" => return Some(fields),
                after => rest = after.strip_prefix(',')?.trim_start(),
            }
        } else {
            let (field, after) = rest
                .split_once(',')
                .map_or((rest, None), |(field, after)| (field, Some(after.trim_start())));
            if field.contains('"') {
                return None;
            }
            fields.push(field.trim_end());
            match after {
                None => return Some(fields),
                Some(after) => rest = after,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, options: &ReadOptions) -> Result<Trace, String> {
        read("t", text, options).map_err(|error| error.to_string())
    }

    fn error(text: &str) -> String {
        told(text, &ReadOptions::default()).expect_err("refused")
    }

    #[test]
    fn what_breaks_a_rule_is_named() {
        for (text, expected) in [
            (
                "Timestamp,Average\n2024-05-01T12:00:00Z,1\n",
                "CloudWatch CSV, line 1: \"Timestamp,Average\" does not say which column holds the \
                 sums; call it Sum, or name the column",
            ),
            (
                "a,b\n1,2\n",
                "CloudWatch CSV, line 1: \"Timestamp\" is no column of this file; name one of its \
                 header line",
            ),
            (
                "Timestamp,Sum\n",
                "CloudWatch CSV: \"a header without rows\" holds no load; give a source with at \
                 least one sample",
            ),
            (
                "Timestamp,Sum\n2024-05-01T12:00:00Z\n",
                "CloudWatch CSV, line 2: \"2024-05-01T12:00:00Z\" does not have the columns of the \
                 header; write one field per column",
            ),
            (
                "Timestamp,Sum\n1 May 2024,1\n",
                "CloudWatch CSV, line 2: \"1 May 2024\" is no time; write whole seconds, or in an \
                 export ISO 8601 as in 2024-05-01T12:00:00Z",
            ),
            (
                "Timestamp,Sum\n2024-05-01T12:00:00Z,1\n",
                "CloudWatch CSV, line 2: \"2024-05-01T12:00:00Z\" is a single time, which has no \
                 spacing; say how long a period is",
            ),
            (
                "Timestamp,Sum\n2024-05-01T12:05Z,1\n2024-05-01T12:00Z,1\n2024-05-01 12:05,2\n",
                "CloudWatch CSV, line 4: \"2024-05-01 12:05\" is given twice; keep one of the two \
                 rows",
            ),
            (
                "Timestamp,Sum\n2024-05-01T12:00Z,1\n2024-05-01T12:02Z,1\n2024-05-01T12:05Z,2\n",
                "CloudWatch CSV, line 4: \"2024-05-01T12:05Z\" is no whole number of steps after \
                 the first time; correct it, or resample the source to equal steps",
            ),
            (
                "Timestamp,Sum\n2024-05-01T12:00Z,1\n2024-05-01T12:05Z,n/a\n",
                "CloudWatch CSV, line 3: \"n/a\" is no load from 0 to 1e9 a second; correct it, or \
                 leave it out",
            ),
        ] {
            assert_eq!(error(text), expected);
        }
        let missing = ReadOptions { missing: Some(Missing::Refuse), ..ReadOptions::default() };
        let text = "Timestamp,Sum\n2024-05-01T12:00Z,1\n2024-05-01T12:01Z,1\n2024-05-01T12:03Z,1\n";
        assert!(told(text, &missing).expect_err("refused").contains("line 4"));
        let column = ReadOptions { value_column: Some("Errors".into()), ..ReadOptions::default() };
        assert_eq!(
            told(text, &column).expect_err("refused"),
            "CloudWatch CSV, line 1: \"Errors\" is no column of this file; name one of its header \
             line"
        );
    }

    #[test]
    fn rows_in_any_order_with_quotes_and_holes_become_rates() {
        let text = "\"Label, all\",Timestamp,Sum,Unit\n\
                    a,\"2024-05-01T12:10:00Z\",600,Count\n\
                    \"a, b\",2024-05-01T12:00:00Z,300,Count\n\
                    a,2024-05-01T12:05:00Z, 0 ,Count\n\
                    a,2024-05-01T12:20:00Z,300.0,Count\n";
        let trace = told(text, &ReadOptions::default()).expect("a trace");
        assert_eq!(trace.rates_per_s(), [1.0, 0.0, 2.0, 0.0, 1.0]);
        assert_eq!((trace.start_s(), trace.step_s()), (1_714_564_800, 300));
        assert_eq!(
            trace.provenance(),
            [
                "column Sum: sums divided by the period of 300 s (the smallest spacing)",
                "rows sorted by time",
                "1 of 5 steps missing: counted as 0",
            ]
        );
    }

    #[test]
    fn columns_and_period_can_be_told() {
        let text = "when,hits,Sum\n2024-05-01 12:00,60,9\n";
        let options = ReadOptions {
            time_column: Some("When".into()),
            value_column: Some(" hits".into()),
            period_s: Some(60),
            ..ReadOptions::default()
        };
        assert_eq!(told(text, &options).expect("a trace").rates_per_s(), [1.0]);
        let zero = ReadOptions { period_s: Some(0), ..options };
        assert_eq!(
            told(text, &zero).expect_err("refused"),
            "step: 0 s is not from 1 s to 604800 s; take a step in that range"
        );
    }

    #[test]
    fn the_only_other_column_holds_the_sums_unless_its_name_says_no() {
        for (header, taken) in
            [("timestamp,hits", true), ("timestamp,p95", false), ("Time,Maximum", false)]
        {
            let text = format!("{header}\n2024-05-01 12:00,60\n2024-05-01 12:01,60\n");
            assert_eq!(told(&text, &ReadOptions::default()).is_ok(), taken, "{header}");
        }
    }
}
