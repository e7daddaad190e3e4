//! Why there is no trace: where, which value, which rule, and what to do next.

use std::fmt::{Display, Formatter};

use thiserror::Error;

/// Longest value that a message repeats, in characters.
const VALUE_CHARS_MAX: usize = 60;

/// A kind of file that holds load over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// An export of sums per period with ISO 8601 times, as `CloudWatch` gives it.
    CloudWatch,
    /// The documented CSV: `# key: value` lines, then `t_s,value`, then rows.
    Csv,
    /// An nginx access log in the combined format, with or without `$request_time` last.
    Nginx,
    /// The answer to a Prometheus range query.
    Prometheus,
}

impl Display for Format {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::CloudWatch => "CloudWatch CSV",
            Self::Csv => "trace CSV",
            Self::Nginx => "nginx access log",
            Self::Prometheus => "Prometheus JSON",
        })
    }
}

/// Where in a source a rule is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// In this line, counted from 1.
    Line(usize),
    /// In this sample, counted from 1, of this series, counted from 1.
    Sample {
        /// Which series of the result.
        series: usize,
        /// Which sample of the series.
        sample: usize,
    },
    /// In the source as a whole.
    Whole,
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line(line) => write!(f, ", line {line}"),
            Self::Sample { series, sample } => write!(f, ", series {series}, sample {sample}"),
            Self::Whole => Ok(()),
        }
    }
}

/// A rule of a format. Shown as what is wrong with the value, and what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// The column of times or values is not there.
    ColumnMissing,
    /// More than one column could hold the values.
    ColumnUnclear,
    /// The line before the rows is not `t_s,value`.
    Columns,
    /// Nothing to read.
    Empty,
    /// The list of gaps cannot be read, or does not lie within the trace.
    Gaps,
    /// A header line is not `# key: value`.
    HeaderForm,
    /// A header line stands below the rows.
    HeaderLate,
    /// A header that is needed is not given.
    HeaderMissing,
    /// A header that can only be given once is given again.
    HeaderRepeated,
    /// More lines are malformed than are not.
    Malformed,
    /// Steps are missing, and that was to be refused.
    Missing,
    /// The time is not a whole number of steps after the first.
    OffGrid,
    /// The time is no later than the one before.
    Order,
    /// The length of a period does not follow from the times.
    PeriodUnknown,
    /// The value is no number in the range of rates.
    Rate,
    /// The server did not answer with success.
    Refusal,
    /// The result is no matrix of series.
    ResultType,
    /// A row does not have the columns of the header.
    Row,
    /// No series has the label that was asked for.
    Selection,
    /// The same time is given twice.
    StampRepeated,
    /// The start cannot be read.
    Start,
    /// The length of a step is no whole number of seconds in range.
    Step,
    /// The series has no uniform grid.
    StepIrregular,
    /// The time cannot be read.
    Time,
    /// The time from first to last has more steps than a trace may have.
    TooLong,
    /// The unit says neither counts per step nor a rate.
    Unit,
}

impl Rule {
    /// What is wrong with the value, and what to do next.
    const fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::ColumnMissing => ("is no column of this file", "name one of its header line"),
            Self::ColumnUnclear => {
                ("does not say which column holds the sums", "call it Sum, or name the column")
            }
            Self::Columns => ("is not \"t_s,value\"", "write that line above the rows"),
            Self::Empty => ("holds no load", "give a source with at least one sample"),
            Self::Gaps => (
                "is no list of FIRST+LENGTH in ascending steps of the trace",
                "write it as in 3+2 9+1, or remove the line",
            ),
            Self::HeaderForm => {
                ("is no header \"# key: value\"", "write it as one, or remove the line")
            }
            Self::HeaderLate => ("stands below the rows", "move it above \"t_s,value\""),
            Self::HeaderMissing => (
                "is not given above this line",
                "write \"# unit: requests per step\" (or \"per second\") and \"# step_s: 60\"",
            ),
            Self::HeaderRepeated => ("is given twice", "keep one of the two lines"),
            Self::Malformed => (
                "is malformed, as are most lines",
                "give a log in nginx's combined format, $request_time last or left out",
            ),
            Self::Missing => (
                "does not follow one step after the time before",
                "write the missing rows, or read it with missing steps held or zero",
            ),
            Self::OffGrid => (
                "is no whole number of steps after the first time",
                "correct it, or resample the source to equal steps",
            ),
            Self::Order => {
                ("is not later than the time before", "sort by time and keep one of each")
            }
            Self::PeriodUnknown => {
                ("is a single time, which has no spacing", "say how long a period is")
            }
            Self::Rate => ("is no load from 0 to 1e9 a second", "correct it, or leave it out"),
            Self::Refusal => ("is the server's refusal", "correct the query and ask again"),
            Self::ResultType => {
                ("is no \"matrix\" of series", "ask /api/v1/query_range instead of /query")
            }
            Self::Row => ("does not have the columns of the header", "write one field per column"),
            Self::Selection => ("is no label of any series", "name one that the result has"),
            Self::StampRepeated => ("is given twice", "keep one of the two rows"),
            Self::Start => ("is no start in whole seconds", "write it as in 1700000000"),
            Self::Step => ("is no step of 1 to 604800 whole seconds", "write seconds, as in 60"),
            Self::StepIrregular => (
                "has no uniform grid, which a load needs",
                "resample the file to equal steps and say in step_s how long they are",
            ),
            Self::Time => (
                "is no time",
                "write whole seconds, or in an export ISO 8601 as in 2024-05-01T12:00:00Z",
            ),
            Self::TooLong => (
                "is more than 4000000 steps after the first time",
                "correct it, take a longer step, or a part of the source",
            ),
            Self::Unit => (
                "says neither \"per step\" (counts) nor \"per second\"",
                "write one of them, as in requests per step; latencies are no load",
            ),
        }
    }
}

impl Display for Rule {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let (wrong, remedy) = self.text();
        write!(f, "{wrong}; {remedy}")
    }
}

/// Why there is no trace.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum TraceError {
    /// An argument is outside its range.
    #[error("{what}: {value} is not {rule}; {remedy}")]
    Argument {
        /// Which argument.
        what: &'static str,
        /// What was given.
        value: String,
        /// What it has to be.
        rule: &'static str,
        /// What to do next.
        remedy: &'static str,
    },
    /// The text starts like JSON and is no answer of Prometheus.
    #[error(
        "Prometheus JSON, line {line}, column {column}: {cause}; save what /api/v1/query_range \
         answers as it came"
    )]
    Json {
        /// In which line, counted from 1.
        line: usize,
        /// In which column, counted from 1.
        column: usize,
        /// What the parser says.
        cause: String,
    },
    /// The source breaks a rule of its format.
    #[error("{format}{place}: {value:?} {rule}")]
    Refused {
        /// What the source was taken for.
        format: Format,
        /// Where in it.
        place: Place,
        /// What is there, shortened.
        value: String,
        /// The rule that it breaks.
        rule: Rule,
    },
    /// Content of no known kind.
    #[error(
        "{name}: {start:?} starts no trace CSV, Prometheus JSON, nginx access log or CloudWatch \
         CSV; say which of them it is, or write it as \"# unit: requests per step\", \
         \"# step_s: 60\", \"t_s,value\" and rows"
    )]
    Unrecognised {
        /// The name that was given with the text.
        name: String,
        /// How the text starts, shortened.
        start: String,
    },
}

impl TraceError {
    /// A rule broken in a line.
    pub(super) fn line(format: Format, line: usize, value: &str, rule: Rule) -> Self {
        Self::Refused { format, place: Place::Line(line), value: shortened(value), rule }
    }

    /// A rule broken by a source as a whole.
    pub(super) fn whole(format: Format, value: &str, rule: Rule) -> Self {
        Self::Refused { format, place: Place::Whole, value: shortened(value), rule }
    }
}

/// The value as far as a message repeats it.
pub(super) fn shortened(value: &str) -> String {
    let mut short: String = value.chars().take(VALUE_CHARS_MAX).collect();
    if short.len() < value.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_no_known_kind_is_told_how_to_write_it() {
        let error = TraceError::Unrecognised { name: "a.txt".into(), start: "hello".into() };
        assert_eq!(
            error.to_string(),
            "a.txt: \"hello\" starts no trace CSV, Prometheus JSON, nginx access log or CloudWatch \
             CSV; say which of them it is, or write it as \"# unit: requests per step\", \
             \"# step_s: 60\", \"t_s,value\" and rows"
        );
    }

    #[test]
    fn a_value_is_repeated_up_to_a_length() {
        let error = TraceError::line(Format::Csv, 3, &"x".repeat(99), Rule::Rate).to_string();
        assert_eq!(
            error,
            format!(
                "trace CSV, line 3: \"{}…\" is no load from 0 to 1e9 a second; correct it, or \
                 leave it out",
                "x".repeat(60)
            )
        );
    }

    #[test]
    fn a_control_character_of_a_source_does_not_reach_a_terminal() {
        let error = TraceError::line(Format::Nginx, 1, "\u{1b}[2J", Rule::Malformed).to_string();
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
}
