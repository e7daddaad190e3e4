//! From text to the parts of a load.

use super::kinds::{KINDS, Key, Kind, ORDERED};
use super::{PARTS_MAX, Part, SyntheticError};
use crate::trace::error::shortened;

/// All parts of a text, at least one.
pub(super) fn parts(text: &str) -> Result<Vec<Part>, SyntheticError> {
    let parts = split(text);
    if parts.len() > PARTS_MAX {
        return Err(SyntheticError::TooMany { parts: parts.len() });
    }
    parts.into_iter().map(part).collect()
}

/// Parts of a sum: a `+` before a letter joins them, one before a digit is a sign.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    for (at, _) in text.match_indices('+') {
        let after = text[at + 1..].trim_start();
        if !after.starts_with(|it: char| it.is_ascii_digit()) {
            parts.push(&text[start..at]);
            start = at + 1;
        }
    }
    parts.push(&text[start..]);
    parts
}

fn part(text: &str) -> Result<Part, SyntheticError> {
    let (name, list) = text.split_once(':').unwrap_or((text, ""));
    let unknown = || SyntheticError::UnknownKind {
        kind: shortened(name.trim()),
        kinds: KINDS.map(|kind| kind.name).join(", "),
    };
    let kind = KINDS.iter().find(|kind| kind.name == name.trim()).ok_or_else(unknown)?;
    let values = values(kind, list)?;
    for (lesser, greater) in ORDERED {
        let of = |name| kind.keys.iter().zip(&values).find(|(key, _)| key.name == name);
        if let (Some((lesser, lesser_value)), Some((greater, greater_value))) =
            (of(lesser), of(greater))
            && lesser_value > greater_value
        {
            return Err(SyntheticError::Order {
                kind: kind.name,
                lesser: lesser.name,
                lesser_value: *lesser_value,
                greater: greater.name,
                greater_value: *greater_value,
            });
        }
    }
    let shape = (kind.build)(&values).ok_or_else(unknown)?;
    Ok(Part { kind: kind.name, keys: kind.keys, values, shape })
}

/// One value for each key.
fn values(kind: &Kind, list: &str) -> Result<Vec<f64>, SyntheticError> {
    let mut values: Vec<Option<f64>> = vec![None; kind.keys.len()];
    for entry in list.split(',').map(str::trim).filter(|_| !list.trim().is_empty()) {
        let (name, text) = entry
            .split_once('=')
            .ok_or_else(|| SyntheticError::Form { kind: kind.name, text: shortened(entry) })?;
        let name = name.trim();
        let slot = kind.keys.iter().zip(&mut values).find(|(key, _)| key.name == name);
        let (key, slot) = slot.ok_or_else(|| SyntheticError::UnknownKey {
            kind: kind.name,
            key: shortened(name),
            usage: kind.usage(),
        })?;
        if slot.replace(value(kind, *key, text.trim())?).is_some() {
            return Err(SyntheticError::Repeated { kind: kind.name, key: key.name });
        }
    }
    let given = values.into_iter().zip(kind.keys);
    given
        .map(|(value, key)| {
            value.or(key.default).ok_or_else(|| SyntheticError::Missing {
                kind: kind.name,
                key: key.name,
                usage: kind.usage(),
            })
        })
        .collect()
}

/// A number in the range of its key; a time may end in `s`, `m`, `h` or `d`.
fn value(kind: &Kind, key: Key, text: &str) -> Result<f64, SyntheticError> {
    const UNITS: [(char, f64); 4] = [('s', 1.0), ('m', 60.0), ('h', 3_600.0), ('d', 86_400.0)];
    let unit = UNITS.iter().find(|(unit, _)| key.quantity.is_time() && text.ends_with(*unit));
    let (number, seconds) = match unit {
        Some((unit, seconds)) => (text.strip_suffix(*unit).unwrap_or(text), *seconds),
        None => (text, 1.0),
    };
    let value = number.parse().ok().map(|number: f64| number * seconds + 0.0);
    value.filter(|value| key.quantity.contains(*value)).ok_or_else(|| SyntheticError::Value {
        kind: kind.name,
        key: key.name,
        value: shortened(text),
        rule: key.quantity.rule(),
    })
}

#[cfg(test)]
mod tests {
    use crate::trace::Synthetic;

    #[test]
    fn what_is_no_load_is_told_how_to_write_one() {
        for (text, expected) in [
            (
                "",
                "\"\" is no kind of load; take one of constant, flash, mmpp, onoff, ramp, sawtooth, \
                 sine, spikes, step, walk, weekly",
            ),
            (
                "sin:low=1",
                "\"sin\" is no kind of load; take one of constant, flash, mmpp, onoff, ramp, \
                 sawtooth, sine, spikes, step, walk, weekly",
            ),
            (
                "constant:rate=1+",
                "\"\" is no kind of load; take one of constant, flash, mmpp, onoff, ramp, sawtooth, \
                 sine, spikes, step, walk, weekly",
            ),
            (
                "sine:low=1,high",
                "sine: \"high\" is not KEY=VALUE; write it as one, with commas between them",
            ),
            (
                "constant:rate=1,",
                "constant: \"\" is not KEY=VALUE; write it as one, with commas between them",
            ),
            (
                "sine:low=1",
                "sine: high is not given; write sine:low=RATE,high=RATE[,period=SECONDS, else \
                 86400][,phase=SECONDS, else 0]",
            ),
            (
                "step:from=1,to=2,when=3",
                "step: \"when\" is no key of it; write step:from=RATE,to=RATE,at=SECONDS\
                 [,back=SECONDS, else never]",
            ),
            ("constant:rate=1,rate=2", "constant: rate is given twice; keep one"),
            (
                "constant:rate=lots",
                "constant: rate: \"lots\" is no rate from 0 to 1e9 a second; write a number, as in \
                 100",
            ),
            (
                "constant:rate=5m",
                "constant: rate: \"5m\" is no rate from 0 to 1e9 a second; write a number, as in 100",
            ),
            (
                "sine:low=1,high=2,period=0",
                "sine: period: \"0\" is no duration from 1 s to 366 days; write seconds or a unit, \
                 as in 90 or 1h",
            ),
            (
                "onoff:mean=1,sources=1.5",
                "onoff: sources: \"1.5\" is no whole number from 1 to 200; write it as in 50",
            ),
            (
                "walk:low=0,high=2",
                "walk: low: \"0\" is no rate from 1e-6 to 1e9 a second; write a number, as in 100",
            ),
            ("sine:low=9,high=2", "sine: low of 9 is above high of 2; swap them, or change one"),
            (
                "spikes:base=0,height=1,period=1m,width=90",
                "spikes: width of 90 is above period of 60; swap them, or change one",
            ),
        ] {
            assert_eq!(Synthetic::parse(text).expect_err(text).to_string(), expected);
        }
        let nine = ["constant:rate=1"; 9].join("+");
        let error = Synthetic::parse(&nine).expect_err("nine").to_string();
        assert_eq!(error, "9 parts are more than 8; leave some out");
    }

    #[test]
    fn a_load_written_out_is_read_as_the_same() {
        for text in [
            "constant:rate=1e+3",
            "flash : base = 0 , peak = 5 , at = 1.5h",
            "sine:low=1,high=2 + spikes:base=0,height=3,period=1d,width=1m",
            "step:from=+1,to=2,at=3+weekly:low=1,high=2",
            "walk:low=0.5,high=8",
        ] {
            let load = Synthetic::parse(text).expect(text);
            assert_eq!(load.to_string().parse(), Ok(load), "{text}");
        }
    }

    #[test]
    fn help_names_every_kind() {
        let help = Synthetic::help();
        assert!(help.starts_with("constant:rate=RATE\n    the same rate all the time\n"), "{help}");
        assert_eq!(help.lines().count(), 22);
    }
}
