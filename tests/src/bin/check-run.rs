//! Holds a run's `run.json` against limits, one figure a line: exit 0 when all hold, 1 when not.
//!
//! `check-run RUN.json failed=0 share=0.05 floor_factor=1.3 most=8 final=1 calm_until_s=30
//! outs_until_s=63 ins_from_s=60 least=3@15 undone=1`: each limit is optional. With an advisor:
//! `questions=1 advised=1 tightened=1 expired=1` of the journal beside it, and against a run
//! without it `slower=OTHER.json` (it has more slow requests) and `others=OTHER.json` (other
//! decisions).

use std::path::Path;
use std::process::ExitCode;

use planner_tests::json;
use serde_json::Value;

/// One figure: what was found, the limit, and whether it holds.
struct Figure {
    text: String,
    holds: bool,
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(path) = args.next() else {
        eprintln!("check-run: no run.json given; name one, then limits such as failed=0");
        return ExitCode::from(2);
    };
    let report = json(Path::new(&path));
    let mut all_hold = true;
    for limit in args {
        let found = limit.split_once('=').and_then(|(name, text)| match name {
            "questions" | "advised" | "tightened" | "expired" => advice(&report, name, text),
            "slower" | "others" => beside(&report, name, Path::new(text)),
            _ => check(&report, name, text),
        });
        let Some(figure) = found else {
            eprintln!("check-run: {limit} is no limit; see the head of its source");
            return ExitCode::from(2);
        };
        println!("{} {}", if figure.holds { "ok  " } else { "FAIL" }, figure.text);
        all_hold &= figure.holds;
    }
    if all_hold { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn check(report: &Value, name: &str, text: &str) -> Option<Figure> {
    let figure = |text: String, holds| Some(Figure { text, holds });
    if name == "least" {
        let (least, after_s) = text.split_once('@')?;
        let (least, after_s): (u64, f64) = (least.parse().ok()?, after_s.parse().ok()?);
        let found = least_ready(report, after_s);
        return figure(
            format!("{found:?} replicas at least after {after_s} s, at least {least}"),
            found >= Some(least),
        );
    }
    let limit: f64 = text.parse().ok()?;
    let number = |key: &str| report[key].as_f64();
    match name {
        "failed" => {
            let failed = number("failed")?;
            figure(format!("{failed} failed, at most {limit}"), failed <= limit)
        }
        "share" => {
            let share = number("slow_or_failed_share")?;
            let told =
                format!("{:.2} % slow or failed, at most {:.2} %", share * 100.0, limit * 100.0);
            figure(told, share <= limit)
        }
        "floor_factor" => {
            let (share, floor) = (number("slow_or_failed_share")?, number("floor_share")?);
            let told = format!(
                "{:.2} % slow or failed is {:.2} x the floor of {:.2} %, at most {limit} x",
                share * 100.0,
                share / floor,
                floor * 100.0
            );
            figure(told, share <= limit * floor)
        }
        "most" => {
            let most = number("max_replicas")?;
            figure(format!("{most} replicas at most, at most {limit}"), most <= limit)
        }
        "reached" => {
            let most = number("max_replicas")?;
            figure(format!("{most} replicas at most, at least {limit}"), most >= limit)
        }
        "final" => {
            let last = number("final_replicas")?;
            figure(format!("{last} replicas at the end, expected {limit}"), last == limit)
        }
        "calm_until_s" => {
            let early = times(report, "out").filter(|at_s| *at_s < limit).count();
            figure(format!("{early} scale-outs before second {limit}, expected 0"), early == 0)
        }
        "outs_until_s" => {
            let late = times(report, "out").filter(|at_s| *at_s > limit).count();
            figure(format!("{late} scale-outs after second {limit}, expected 0"), late == 0)
        }
        "ins_from_s" => {
            let early = times(report, "in").filter(|at_s| *at_s < limit).count();
            figure(format!("{early} scale-ins before second {limit}, expected 0"), early == 0)
        }
        "undone" => {
            let undone = undone(report) as f64;
            figure(format!("{undone} scale-ins undone, at most {limit}"), undone <= limit)
        }
        _ => None,
    }
}

/// What advice did, from the run's journal.
fn advice(report: &Value, name: &str, least: &str) -> Option<Figure> {
    let least: usize = least.parse().ok()?;
    let journal = std::fs::read_to_string(report["journal"].as_str()?).ok()?;
    let mut lines = journal.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let config = lines.next()?["config"].clone();
    let steps: Vec<Value> = lines.map(|record| record["step"].clone()).collect();
    let decided = |step: &Value| step.get("decide").map(|it| it["derivation"].clone());
    let derivations: Vec<Value> = steps.iter().filter_map(decided).collect();
    let is_tight = |it: &&Value| it["thresholds"] != config["thresholds"];
    let (words, found) = match name {
        "questions" => {
            ("questions", steps.iter().filter(|step| step.get("consult").is_some()).count())
        }
        "advised" => {
            let bound = |it: &&Value| it["binding"].get("advice").is_some();
            (
                "decisions whose binding constraint is the advice",
                derivations.iter().filter(bound).count(),
            )
        }
        "tightened" => {
            ("decisions by advised thresholds", derivations.iter().filter(is_tight).count())
        }
        _ => {
            let pairs = derivations.windows(2);
            let over = pairs.filter(|pair| is_tight(&&pair[0]) && !is_tight(&&pair[1])).count();
            ("times that advised thresholds expired", over)
        }
    };
    Some(Figure { text: format!("{found} {words}, at least {least}"), holds: found >= least })
}

/// A run beside another one of the same load.
fn beside(report: &Value, name: &str, other: &Path) -> Option<Figure> {
    let other = json(other);
    if name == "slower" {
        let (slow, slower) = (report["slow"].as_u64()?, other["slow"].as_u64()?);
        let text = format!("{slow} slow, without advice {slower}");
        return Some(Figure { text, holds: slow < slower });
    }
    let list = |report: &Value| -> Vec<(String, String)> {
        let decisions = report["decisions"].as_array().into_iter().flatten();
        decisions.map(|it| (it["from"].to_string(), it["to"].to_string())).collect()
    };
    let (these, others) = (list(report), list(&other));
    let text = format!("{} scalings, without advice {}", these.len(), others.len());
    Some(Figure { text: format!("{text}; another list"), holds: these != others })
}

/// Times of the decisions in one direction.
fn times<'a>(report: &'a Value, direction: &'a str) -> impl Iterator<Item = f64> + 'a {
    let decisions = report["decisions"].as_array().into_iter().flatten();
    let chosen = decisions.filter(move |decision| decision["direction"] == direction);
    chosen.filter_map(|decision| decision["at_s"].as_f64())
}

/// Scale-outs that follow a scale-in.
fn undone(report: &Value) -> usize {
    let decisions = report["decisions"].as_array().map_or(&[][..], Vec::as_slice);
    let pairs = decisions.windows(2);
    pairs.filter(|pair| pair[0]["direction"] == "in" && pair[1]["direction"] == "out").count()
}

/// Fewest ready replicas in any window that ended after `after_s`.
fn least_ready(report: &Value, after_s: f64) -> Option<u64> {
    let windows = report["windows"].as_array()?;
    let later = windows.iter().filter(|window| window["t_s"].as_f64() > Some(after_s));
    later.filter_map(|window| window["ready"].as_u64()).min()
}
