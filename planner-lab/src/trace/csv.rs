//! The documented CSV: `# key: value` lines, then `t_s,value`, then rows on a grid.

use std::fmt::Write as _;

use super::grid::{fill, numbered, rate, step_of, whole_seconds};
use super::{Format, Gap, Missing, Rule, START_S_MAX, STEP_S_MAX, Trace, TraceError, one_line};

/// The line above the rows.
pub(super) const COLUMNS: &str = "t_s,value";
/// Longest unit, in bytes.
const UNIT_BYTES_MAX: usize = 200;

/// Reads a trace. The start is what `start_s` says, or 0, plus the first time.
pub(super) fn read(name: &str, text: &str, missing: Missing) -> Result<Trace, TraceError> {
    let mut header = Header::default();
    let mut lines = numbered(text);
    for (line, content) in lines.by_ref() {
        if let Some(entry) = content.strip_prefix('#') {
            header
                .take(line, content, entry)
                .map_err(|(value, rule)| refused(line, value, rule))?;
        } else if content == COLUMNS {
            let unit = header.unit.take().ok_or_else(|| not_given(line, "unit"))?;
            let step_s = header.step_s.ok_or_else(|| not_given(line, "step_s"))?;
            let rows = Rows::read(lines, step_s, if unit.counts { step_s } else { 1 })?;
            return rows.trace(name, header, &unit, step_s, missing);
        } else {
            return Err(refused(line, content, Rule::Columns));
        }
    }
    Err(TraceError::whole(Format::Csv, "", Rule::Empty))
}

fn refused(line: usize, value: &str, rule: Rule) -> TraceError {
    TraceError::line(Format::Csv, line, value, rule)
}

fn not_given(line: usize, key: &str) -> TraceError {
    refused(line, key, Rule::HeaderMissing)
}

/// What the values count, and whether they are counts per step.
struct Unit {
    text: String,
    counts: bool,
}

impl Unit {
    fn read(text: &str) -> Option<Self> {
        let counts = text.contains("per step");
        let fits = (counts || text.contains("per second")) && text.len() <= UNIT_BYTES_MAX;
        fits.then(|| Self { text: text.to_owned(), counts })
    }
}

/// What stands above the rows.
#[derive(Default)]
struct Header {
    name: Option<String>,
    unit: Option<Unit>,
    step_s: Option<u32>,
    start_s: Option<i64>,
    gaps: Option<(usize, String)>,
    metadata: Vec<(String, String)>,
    provenance: Vec<String>,
}

impl Header {
    /// Takes a line in, given whole and without its `#`.
    fn take<'a>(
        &mut self,
        line: usize,
        whole: &'a str,
        entry: &'a str,
    ) -> Result<(), (&'a str, Rule)> {
        let (key, value) = entry.split_once(':').ok_or((whole, Rule::HeaderForm))?;
        let (key, text) = (one_line(key), one_line(value));
        let value = value.trim();
        let fresh = match key.as_str() {
            "" => return Err((whole, Rule::HeaderForm)),
            // Not shortened: a list of many gaps is long.
            "gaps" => self.gaps.replace((line, value.to_owned())).is_none(),
            "name" => self.name.replace(text).is_none(),
            "provenance" => {
                self.provenance.push(text);
                true
            }
            "start_s" => {
                let start_s = whole_seconds(value).ok_or((value, Rule::Start))?;
                self.start_s.replace(start_s).is_none()
            }
            "step_s" if value == "irregular" => return Err((value, Rule::StepIrregular)),
            "step_s" => {
                let step_s = value.parse().ok().filter(|step| (1..=STEP_S_MAX).contains(step));
                self.step_s.replace(step_s.ok_or((value, Rule::Step))?).is_none()
            }
            "unit" => {
                let unit = Unit::read(&text).ok_or((value, Rule::Unit))?;
                self.unit.replace(unit).is_none()
            }
            _ => {
                self.metadata.push((key, text));
                true
            }
        };
        if fresh { Ok(()) } else { Err((whole, Rule::HeaderRepeated)) }
    }
}

/// The rows: the first time, and each step with its line, time and rate.
struct Rows {
    first_s: i64,
    known: Vec<(usize, f64)>,
    lines: Vec<(usize, i64)>,
}

impl Rows {
    fn read<'a>(
        lines: impl Iterator<Item = (usize, &'a str)>,
        step_s: u32,
        seconds: u32,
    ) -> Result<Self, TraceError> {
        let mut rows = Self { first_s: 0, known: Vec::new(), lines: Vec::new() };
        for (line, content) in lines {
            if content.starts_with('#') {
                return Err(refused(line, content, Rule::HeaderLate));
            }
            let (time, value) = content
                .split_once(',')
                .filter(|(_, value)| !value.contains(','))
                .ok_or_else(|| refused(line, content, Rule::Row))?;
            let at_s = whole_seconds(time).filter(|at_s| *at_s >= 0);
            let at_s = at_s.ok_or_else(|| refused(line, time, Rule::Time))?;
            if rows.known.is_empty() {
                rows.first_s = at_s;
                // The grid of the format starts at 0 even where the first steps are left out.
                step_of(at_s, 0, step_s).map_err(|rule| refused(line, time, rule))?;
            }
            let step = step_of(at_s, rows.first_s, step_s);
            let step = step.map_err(|rule| refused(line, time, rule))?;
            if rows.known.last().is_some_and(|(before, _)| step <= *before) {
                return Err(refused(line, time, Rule::Order));
            }
            let rate = rate(value, seconds).map_err(|rule| refused(line, value, rule))?;
            rows.known.push((step, rate));
            rows.lines.push((line, at_s));
        }
        if rows.known.is_empty() {
            return Err(TraceError::whole(Format::Csv, COLUMNS, Rule::Empty));
        }
        Ok(rows)
    }

    fn trace(
        self,
        name: &str,
        header: Header,
        unit: &Unit,
        step_s: u32,
        missing: Missing,
    ) -> Result<Trace, TraceError> {
        let filled = fill(&self.known, missing).map_err(|index| {
            let (line, at_s) = self.lines[index];
            refused(line, &at_s.to_string(), Rule::Missing)
        })?;
        let start_s = header.start_s.unwrap_or(0) + self.first_s;
        if !(-START_S_MAX..=START_S_MAX).contains(&start_s) {
            let line = self.lines[0].0;
            return Err(refused(line, &self.first_s.to_string(), Rule::Start));
        }
        let own = header.name.filter(|own| !own.is_empty());
        let mut trace = filled.trace(own.as_deref().unwrap_or(name), start_s, step_s)?;
        trace.metadata = header.metadata;
        let found = std::mem::replace(&mut trace.provenance, header.provenance);
        if unit.counts {
            trace.note(&format!("{}: every value is divided by the step of {step_s} s", unit.text));
        }
        trace.unit = unit.text.replacen("per step", "per second", 1);
        trace.provenance.extend(found);
        if let Some((line, list)) = header.gaps {
            let gaps = read_gaps(&list, trace.rates_per_s.len());
            let stated = gaps.ok_or_else(|| refused(line, &list, Rule::Gaps))?;
            trace.gaps.extend(stated);
            trace.gaps = merged(std::mem::take(&mut trace.gaps));
        }
        Ok(trace)
    }
}

/// `3+2 9+1`: gaps in ascending order, apart from each other, within so many steps.
fn read_gaps(list: &str, steps: usize) -> Option<Vec<Gap>> {
    let mut gaps: Vec<Gap> = Vec::new();
    for word in list.split(' ') {
        let (first, length) = word.split_once('+')?;
        let gap = Gap { first_step: first.parse().ok()?, steps: length.parse().ok()? };
        let end = gap.first_step.checked_add(gap.steps)?;
        let after = gaps.last().is_none_or(|last| last.first_step + last.steps < gap.first_step);
        if gap.steps == 0 || end > steps || !after {
            return None;
        }
        gaps.push(gap);
    }
    Some(gaps)
}

/// Gaps in ascending order without overlap.
pub(super) fn merged(mut gaps: Vec<Gap>) -> Vec<Gap> {
    gaps.sort_by_key(|gap| gap.first_step);
    let mut merged: Vec<Gap> = Vec::new();
    for gap in gaps {
        match merged.last_mut() {
            Some(last) if gap.first_step <= last.first_step + last.steps => {
                let end = (last.first_step + last.steps).max(gap.first_step + gap.steps);
                last.steps = end - last.first_step;
            }
            _ => merged.push(gap),
        }
    }
    merged
}

impl Trace {
    /// The trace as the documented CSV, in rates per second. What [`Trace::read`] makes of it is
    /// equal to this trace.
    ///
    /// ```
    /// use planner_lab::trace::Trace;
    ///
    /// let trace = Trace::new("ramp", 60, vec![1.0, 1.5])?.scaled(2.0)?;
    /// let csv = trace.to_csv();
    /// assert!(csv.starts_with("# name: ramp\n# unit: requests per second\n# step_s: 60\n"));
    /// assert!(csv.ends_with("# provenance: scaled by 2\nt_s,value\n0,2\n60,3\n"));
    /// assert_eq!(Trace::read("", &csv)?, trace);
    /// # Ok::<(), planner_lab::trace::TraceError>(())
    /// ```
    pub fn to_csv(&self) -> String {
        let mut csv = format!("# name: {}\n", self.name);
        for (key, value) in &self.metadata {
            csv.push_str(format!("# {key}: {value}").trim_end());
            csv.push('\n');
        }
        let mut header = |key: &str, value: &dyn std::fmt::Display| {
            // Writing to a string cannot fail.
            let _ = writeln!(csv, "# {key}: {value}");
        };
        header("unit", &self.unit);
        header("step_s", &self.step_s);
        if self.start_s != 0 {
            header("start_s", &self.start_s);
        }
        if !self.gaps.is_empty() {
            let gaps = self.gaps.iter().map(|gap| format!("{}+{}", gap.first_step, gap.steps));
            header("gaps", &gaps.collect::<Vec<_>>().join(" "));
        }
        for sentence in &self.provenance {
            header("provenance", sentence);
        }
        csv.push_str(COLUMNS);
        csv.push('\n');
        for (step, rate) in (0_u64..).zip(&self.rates_per_s) {
            let _ = writeln!(csv, "{},{rate}", step * u64::from(self.step_s));
        }
        csv
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        read("t", text, Missing::Refuse).expect_err("refused").to_string()
    }

    /// The error of a file whose headers are as they should be and whose rows are these.
    fn error_of_rows(rows: &str) -> String {
        error(&format!("# unit: requests per step\n# step_s: 60\nt_s,value\n{rows}"))
    }

    #[test]
    fn a_header_that_breaks_a_rule_is_named() {
        for (text, expected) in [
            (
                "# made by hand\n",
                "trace CSV, line 1: \"# made by hand\" is no header \"# key: value\"; write it as \
                 one, or remove the line",
            ),
            (
                "# unit: ms\n",
                "trace CSV, line 1: \"ms\" says neither \"per step\" (counts) nor \"per second\"; \
                 write one of them, as in requests per step; latencies are no load",
            ),
            (
                "# step_s: irregular\n",
                "trace CSV, line 1: \"irregular\" has no uniform grid, which a load needs; resample \
                 the file to equal steps and say in step_s how long they are",
            ),
            (
                "# step_s: 0.5\n",
                "trace CSV, line 1: \"0.5\" is no step of 1 to 604800 whole seconds; write seconds, \
                 as in 60",
            ),
            (
                "\n# step_s: 60\n# step_s: 60\n",
                "trace CSV, line 3: \"# step_s: 60\" is given twice; keep one of the two lines",
            ),
            (
                "# start_s: noon\n",
                "trace CSV, line 1: \"noon\" is no start in whole seconds; write it as in \
                 1700000000",
            ),
            (
                "# step_s: 60\nt_s,value\n0,1\n",
                "trace CSV, line 2: \"unit\" is not given above this line; write \"# unit: requests \
                 per step\" (or \"per second\") and \"# step_s: 60\"",
            ),
            (
                "# unit: requests per step\nt_s,value\n0,1\n",
                "trace CSV, line 2: \"step_s\" is not given above this line; write \"# unit: \
                 requests per step\" (or \"per second\") and \"# step_s: 60\"",
            ),
            (
                "# step_s: 60\ntime,rate\n",
                "trace CSV, line 2: \"time,rate\" is not \"t_s,value\"; write that line above the \
                 rows",
            ),
            (
                "# step_s: 60\n",
                "trace CSV: \"\" holds no load; give a source with at least one sample",
            ),
        ] {
            assert_eq!(error(text), expected);
        }
    }

    #[test]
    fn a_row_that_breaks_a_rule_is_named() {
        for (rows, expected) in [
            (
                "0,1\n# note: late\n",
                "trace CSV, line 5: \"# note: late\" stands below the rows; move it above \
                 \"t_s,value\"",
            ),
            (
                "0,1,2\n",
                "trace CSV, line 4: \"0,1,2\" does not have the columns of the header; write one \
                 field per column",
            ),
            (
                "1.5,1\n",
                "trace CSV, line 4: \"1.5\" is no time; write whole seconds, or in an export ISO \
                 8601 as in 2024-05-01T12:00:00Z",
            ),
            (
                "0,1\n61,1\n",
                "trace CSV, line 5: \"61\" is no whole number of steps after the first time; \
                 correct it, or resample the source to equal steps",
            ),
            (
                "60,1\n60,1\n",
                "trace CSV, line 5: \"60\" is not later than the time before; sort by time and \
                 keep one of each",
            ),
            (
                "0,1\n120,1\n",
                "trace CSV, line 5: \"120\" does not follow one step after the time before; write \
                 the missing rows, or read it with missing steps held or zero",
            ),
            (
                "0,1\n60,-1\n",
                "trace CSV, line 5: \"-1\" is no load from 0 to 1e9 a second; correct it, or leave \
                 it out",
            ),
            (
                "0,1\n240000060,1\n",
                "trace CSV, line 5: \"240000060\" is more than 4000000 steps after the first time; \
                 correct it, take a longer step, or a part of the source",
            ),
            ("", "trace CSV: \"t_s,value\" holds no load; give a source with at least one sample"),
        ] {
            assert_eq!(error_of_rows(rows), expected);
        }
        assert!(error_of_rows("-60,1\n").contains("is no time"));
        assert!(error_of_rows("30,1\n").contains("no whole number of steps"));
    }

    #[test]
    fn gaps_lie_within_the_trace_in_order_and_apart() {
        for list in ["", "x", "0+0", "2+1 0+1", "0+1 1+1", "2+2", "0+18446744073709551615", "1"] {
            let text = format!(
                "# unit: requests per second\n# step_s: 1\n# gaps: {list}\nt_s,value\n0,1\n1,1\n\
                 2,1\n"
            );
            assert_eq!(
                error(&text),
                format!(
                    "trace CSV, line 3: {list:?} is no list of FIRST+LENGTH in ascending steps of \
                     the trace; write it as in 3+2 9+1, or remove the line"
                )
            );
        }
    }

    #[test]
    fn counts_are_divided_and_rates_are_not() {
        let counts = "# unit: VM arrivals per step, sampled\n# step_s: 60\nt_s,value\n60,30\n";
        let trace = read("t", counts, Missing::Refuse).expect("a trace");
        assert_eq!((trace.rates_per_s(), trace.start_s()), (&[0.5][..], 60));
        assert_eq!(trace.unit(), "VM arrivals per second, sampled");
        assert_eq!(
            trace.provenance(),
            ["VM arrivals per step, sampled: every value is divided by the step of 60 s"]
        );
        let rates = "# unit: requests per second\n# step_s: 60\nt_s,value\n0,30\n";
        assert_eq!(read("t", rates, Missing::Refuse).expect("a trace").rates_per_s(), [30.0]);
    }

    #[test]
    fn stated_gaps_and_holes_are_one_list() {
        for (stated, gaps) in [("0+1 3+1", vec![(0, 2), (3, 1)]), ("0+4", vec![(0, 4)])] {
            let text = format!(
                "# unit: requests per second\n# step_s: 1\n# gaps: {stated}\nt_s,value\n0,1\n2,1\n\
                 3,1\n"
            );
            let trace = read("t", &text, Missing::Hold).expect("a trace");
            let found = trace.gaps().iter().map(|gap| (gap.first_step, gap.steps));
            assert_eq!(found.collect::<Vec<_>>(), gaps);
        }
    }

    #[test]
    fn what_the_file_says_of_itself_is_kept() {
        let text = "# name: Shop\n# licence: MIT\n# note: a: b\n# note:\n# unit: requests per second\n\
                    # step_s: 1\nt_s,value\n0,1\n";
        let trace = read("file", text, Missing::Refuse).expect("a trace");
        assert_eq!((trace.name(), trace.metadata("licence")), ("Shop", Some("MIT")));
        assert_eq!(trace.entries().filter(|(key, _)| *key == "note").count(), 2);
        assert_eq!(read("", &trace.to_csv(), Missing::Refuse), Ok(trace));
    }
}
