//! From what `--trace` names to loads: files, folders, and loads that are made up.
//!
//! Not for drawing arrivals: a load here is a rate over time, cut and scaled as was asked.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use planner_lab::trace::{Need, SECONDS_MAX, Synthetic, SyntheticError, Trace, TraceError};
use thiserror::Error;

use super::span::Span;

/// Endings of the files that a folder is read for.
const ENDINGS: [&str; 3] = ["csv", "json", "log"];
/// A file of more bytes is refused: a year of requests belongs into a trace first.
const BYTES_MAX: u64 = 1 << 30;
/// Steps of a load that is made up, in seconds.
const MADE_UP_STEP_S: u32 = 10;
/// How long it is where that is not said.
const MADE_UP: Span = Span { seconds: 86_400 };

/// Which loads, and what is done to them.
#[derive(Clone, Debug, clap::Args)]
pub struct LoadArgs {
    /// A load: a file (trace CSV, Prometheus range query, nginx access log, `CloudWatch` CSV), a
    /// folder of such files, or one that is made up, such as `sine:low=100,high=1800,period=1d`
    #[arg(long = "trace", value_name = "FILE|FOLDER|LOAD", required = true)]
    pub traces: Vec<String>,

    /// How much of each load is used, from its start: such as 4d, or all
    #[arg(long, value_name = "TIME", default_value = "4d", value_parser = first)]
    pub first: First,

    /// Leave out loads that are shorter than this
    #[arg(long, value_name = "TIME")]
    pub at_least: Option<Span>,

    /// Scale each file so that it needs this many replicas at the quantile
    #[arg(long, value_name = "N", default_value_t = 40)]
    pub replicas: u32,

    /// The share of a load's steps that need no more than that
    #[arg(long, value_name = "SHARE", default_value_t = 0.998)]
    pub quantile: f64,

    /// Take the rates of files as they are; a load that is made up is never scaled
    #[arg(long)]
    pub as_is: bool,

    /// Seed of the arrivals, and of loads that are made up with chance
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// How much of a load is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum First {
    /// All of it.
    All,
    /// This much from its start.
    Part(Span),
}

fn first(text: &str) -> Result<First, super::span::SpanError> {
    if text == "all" { Ok(First::All) } else { text.parse().map(First::Part) }
}

/// A load, with what it is called in tables.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// The file's name without its ending, or the text of one that is made up.
    pub label: String,
    /// What it calls itself.
    pub name: String,
    /// Cut and scaled as was asked, under its label.
    pub trace: Trace,
}

impl Load {
    pub(super) fn new(label: String, trace: Trace) -> Self {
        let name = trace.name().to_owned();
        let trace = trace.with_name(&label);
        Self { label, name, trace }
    }
}

/// Loads, and those that were left out for being short.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loads {
    /// In the order in which they were named, folders by file name.
    pub loads: Vec<Load>,
    /// Labels of the short ones, with their length in seconds.
    pub short: Vec<(String, u64)>,
}

/// Why there is no load.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// All loads are short.
    #[error("--at-least: no load lasts {least}, the longest {longest_s} s; name others, or less")]
    AllShort {
        /// What was asked for.
        least: Span,
        /// Length of the longest in seconds.
        longest_s: u64,
    },
    /// A folder without files that could be loads.
    #[error(
        "--trace: {} holds no .csv, .json or .log file; name files, or another folder", path.display()
    )]
    EmptyFolder {
        /// Which.
        path: PathBuf,
    },
    /// A file that is too large to be read at once.
    #[error(
        "--trace: {} has more than {BYTES_MAX} bytes; cut it, or count it into a trace CSV",
        path.display()
    )]
    Large {
        /// Which.
        path: PathBuf,
    },
    /// A load that is made up, and is wrong.
    #[error("--trace: {0}")]
    MadeUp(#[from] SyntheticError),
    /// Nothing of that name.
    #[error(
        "--trace: {given:?} is no file and no folder, and no load that is made up; name one, or \
         write one such as sine:low=100,high=1800,period=1d"
    )]
    Nothing {
        /// What was named.
        given: String,
    },
    /// A file that cannot be read.
    #[error("--trace: {} cannot be read: {cause}; name a file that you may read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A file that holds no load, or one that cannot be cut or scaled.
    #[error("--trace: {label}: {cause}")]
    Refused {
        /// Which.
        label: String,
        /// What is wrong with it.
        cause: TraceError,
    },
}

/// What one `--trace` turned out to be.
enum Source {
    File(PathBuf),
    MadeUp(Synthetic),
}

impl LoadArgs {
    /// All loads, in order, for replicas that answer `rate_per_s` requests a second.
    ///
    /// # Errors
    ///
    /// [`LoadError`] for the first that is none.
    pub fn read(&self, rate_per_s: f64) -> Result<Loads, LoadError> {
        let mut sources = Vec::new();
        for given in &self.traces {
            sources.extend(found(given)?);
        }
        let mut loads = Loads::default();
        for source in sources {
            let load = self.load(source, rate_per_s)?;
            let length_s = load.trace.duration_s();
            if self.at_least.is_some_and(|least| length_s < least.seconds) {
                loads.short.push((load.label, length_s));
            } else {
                loads.loads.push(load);
            }
        }
        if let Some(least) = self.at_least.filter(|_| loads.loads.is_empty()) {
            let longest_s = loads.short.iter().map(|(_, length_s)| *length_s).max().unwrap_or(0);
            return Err(LoadError::AllShort { least, longest_s });
        }
        told_apart(&mut loads.loads);
        Ok(loads)
    }

    fn load(&self, source: Source, rate_per_s: f64) -> Result<Load, LoadError> {
        match source {
            Source::MadeUp(load) => {
                let label = load.to_string();
                let seconds = match self.first {
                    First::All => MADE_UP.seconds,
                    First::Part(span) => span.seconds,
                };
                let seconds = u32::try_from(seconds).unwrap_or(SECONDS_MAX.saturating_add(1));
                let refused = |cause| LoadError::Refused { label: label.clone(), cause };
                let trace = load.trace(seconds, MADE_UP_STEP_S, self.seed).map_err(refused)?;
                Ok(Load::new(label, trace))
            }
            Source::File(path) => {
                let label = label_of(&path);
                let text = text_of(&path)?;
                let trace =
                    Trace::read(&label, &text).and_then(|trace| self.fit(trace, rate_per_s));
                let trace = trace.map_err(|cause| LoadError::Refused {
                    label: path.display().to_string(),
                    cause,
                })?;
                Ok(Load::new(label, trace))
            }
        }
    }

    /// Cut, then scaled: the quantile is that of what is used.
    fn fit(&self, trace: Trace, rate_per_replica_per_s: f64) -> Result<Trace, TraceError> {
        let trace = match self.first {
            First::Part(span) if span.seconds < trace.duration_s() => trace.first(span.seconds)?,
            First::All | First::Part(_) => trace,
        };
        if self.as_is {
            return Ok(trace);
        }
        trace.scaled_so_that(Need {
            quantile: self.quantile,
            replicas: self.replicas,
            rate_per_replica_per_s,
        })
    }
}

fn found(given: &str) -> Result<Vec<Source>, LoadError> {
    let path = Path::new(given);
    if path.is_dir() {
        return files_in(path).map(|files| files.into_iter().map(Source::File).collect());
    }
    if path.exists() {
        return Ok(vec![Source::File(path.to_owned())]);
    }
    if given.contains(':') && !given.contains('/') {
        return Ok(vec![Source::MadeUp(Synthetic::parse(given)?)]);
    }
    Err(LoadError::Nothing { given: given.chars().take(200).collect() })
}

/// Files that could be loads, by name.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let failed = |cause| LoadError::Read { path: folder.to_owned(), cause };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or("");
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
        if ENDINGS.contains(&ending) && !is_hidden && path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(LoadError::EmptyFolder { path: folder.to_owned() });
    }
    files.sort();
    Ok(files)
}

fn text_of(path: &Path) -> Result<String, LoadError> {
    let failed = |cause| LoadError::Read { path: path.to_owned(), cause };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    // Not by the file's own length: a pipe has none.
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(LoadError::Large { path: path.to_owned() });
    }
    // Access logs hold what clients sent, which need not be text.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn label_of(path: &Path) -> String {
    path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}

/// Loads of one name get numbers: tables and files are read by label.
fn told_apart(loads: &mut [Load]) {
    for index in 0..loads.len() {
        let label = loads[index].label.clone();
        let mut number = 2;
        while loads[..index].iter().any(|earlier| earlier.label == loads[index].label) {
            let load = &mut loads[index];
            load.label = format!("{label} ({number})");
            load.trace = load.trace.clone().with_name(&load.label);
            number += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(traces: &[&str]) -> LoadArgs {
        LoadArgs {
            traces: traces.iter().map(|&trace| trace.to_owned()).collect(),
            first: First::All,
            at_least: None,
            replicas: 40,
            quantile: 1.0,
            as_is: false,
            seed: 1,
        }
    }

    fn refusal(args: &LoadArgs) -> String {
        args.read(50.0).expect_err("refused").to_string()
    }

    fn csv(rows: &str) -> String {
        format!("# unit: requests per step\n# step_s: 60\nt_s,value\n{rows}")
    }

    #[test]
    fn what_is_not_there_is_told_how_to_be_named() {
        assert_eq!(
            refusal(&args(&["missing.csv"])),
            "--trace: \"missing.csv\" is no file and no folder, and no load that is made up; name \
             one, or write one such as sine:low=100,high=1800,period=1d"
        );
        assert!(refusal(&args(&["sinus:low=1"])).starts_with("--trace: \"sinus\" is no kind of"));
    }

    #[test]
    fn a_folder_without_loads_and_a_file_that_is_none_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("README.md"), "no load").expect("written");
        let given = folder.path().display().to_string();
        assert_eq!(
            refusal(&args(&[&given])),
            format!(
                "--trace: {given} holds no .csv, .json or .log file; name files, or another folder"
            )
        );
        let file = folder.path().join("a.csv");
        fs::write(&file, csv("0,1\n120,1\n")).expect("written");
        let file = file.display().to_string();
        assert_eq!(
            refusal(&args(&[&file])),
            format!(
                "--trace: {file}: trace CSV, line 5: \"120\" does not follow one step after the \
                 time before; write the missing rows, or read it with missing steps held or zero"
            )
        );
    }

    #[test]
    fn loads_that_are_all_too_short_are_an_error_and_single_ones_are_left_out() {
        let short = LoadArgs {
            at_least: Some(Span { seconds: 7_200 }),
            first: First::Part(Span { seconds: 3_600 }),
            ..args(&["constant:rate=10"])
        };
        assert_eq!(
            refusal(&short),
            "--at-least: no load lasts 2h, the longest 3600 s; name others, or less"
        );
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("b.csv"), csv("0,60\n60,120\n")).expect("written");
        fs::write(folder.path().join("a.csv"), csv("0,60\n")).expect("written");
        fs::write(folder.path().join(".hidden.csv"), "nothing").expect("written");
        let given = folder.path().display().to_string();
        let two = LoadArgs { at_least: Some(Span { seconds: 120 }), ..args(&[&given]) };
        let loads = two.read(50.0).expect("one is long enough");
        assert_eq!(loads.short, [("a".to_owned(), 60)]);
        assert_eq!(loads.loads[0].label, "b");
        assert_eq!(loads.loads[0].trace.rates_per_s(), [1_000.0, 2_000.0]);
    }

    #[test]
    fn a_file_is_cut_before_it_is_scaled_and_a_made_up_load_is_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("t.csv");
        fs::write(&file, csv("0,60\n60,120\n120,6000\n")).expect("written");
        let file = file.display().to_string();
        let first = First::Part(Span { seconds: 120 });
        let cut = LoadArgs { first, ..args(&[&file, "constant:rate=7", &file]) };
        let loads = cut.read(50.0).expect("loads").loads;
        assert_eq!(loads[0].trace.rates_per_s(), [1_000.0, 2_000.0]);
        assert_eq!((loads[1].trace.duration_s(), loads[1].trace.rate_at(0)), (120, 7.0));
        assert_eq!([&loads[0].label, &loads[2].label], ["t", "t (2)"]);
        let as_is = LoadArgs { as_is: true, ..cut }.read(50.0).expect("loads").loads;
        assert_eq!(as_is[0].trace.rates_per_s(), [1.0, 2.0]);
    }
}
