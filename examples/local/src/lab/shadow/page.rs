//! The page of a ledger: replicas as they were, as they were needed, and as others wanted them.

use planner_lab::shadow::{Entry, Ledger};

use super::totals;
use crate::lab::chart::{Chart, PLACES_MAX, Place, format_time, time_axis};
use crate::lab::journals::Head;
use crate::lab::page::{Key, Page, SERIES, counted};
use crate::report::axis::{Scale, format_number};

pub(super) fn page(head: &Head, ledger: &Ledger, lead: &str) -> String {
    let watching = counted(ledger.candidates().len(), "policy", "policies");
    let headline = format!("{watching} beside {}", head.policy);
    let mut page = Page::new("planner lab shadow", &headline, lead);
    page.heading("Ledger");
    page.table(&totals(ledger));
    page.paragraph(
        "Nothing of what they decided was carried out. They start from the real count at every \
         window: this says what each would have done next, not where it would be by now.",
    );
    page.heading("Decisions");
    if ledger.dropped() > 0 {
        let kept = format_number(ledger.entries().len() as f64);
        page.paragraph(&format!("The last {kept} are drawn; the ledger is of all."));
    }
    let (keys, svg) = replicas(ledger);
    page.chart("Replicas", &keys, &svg);
    page.finish()
}

/// What was done, what was needed, and what each policy wanted.
fn replicas(ledger: &Ledger) -> (Vec<Key>, String) {
    let all: Vec<&Entry> = ledger.entries().collect();
    // Where the clock was set back another time begins; the last is drawn.
    let set_back = all.windows(2).rposition(|pair| pair[1].at_s < pair[0].at_s);
    let entries = &all[set_back.map_or(0, |at| at + 1)..];
    let first_s = entries.first().map_or(0.0, |entry| entry.at_s);
    let end_s = entries.last().map_or(0.0, |entry| {
        entry.at_s - first_s + entry.verdict.map_or(0.0, |verdict| verdict.seconds)
    });
    let chunks: Vec<&[&Entry]> =
        entries.chunks(entries.len().div_ceil(PLACES_MAX).max(1)).collect();
    let begins = |at: usize| chunks.get(at).map_or(end_s, |chunk| chunk[0].at_s - first_s);
    // A count holds from its decision to the next. Of many decisions in one place the most replicas
    // are drawn: short peaks matter most.
    let held = |count: &dyn Fn(&Entry) -> Option<u32>| -> Vec<Option<Place>> {
        let held = chunks.iter().enumerate().flat_map(|(at, chunk)| {
            let most = chunk.iter().filter_map(|entry| count(entry)).max();
            [begins(at), begins(at + 1)].map(|at_s| Some((at_s, f64::from(most?))))
        });
        held.collect()
    };
    let done = held(&|entry| entry.done.replicas);
    let needed = held(&|entry| entry.verdict.map(|verdict| verdict.needed));
    let wanted: Vec<Vec<Option<Place>>> = (0..ledger.candidates().len())
        .map(|index| held(&|entry| entry.wishes.get(index)?.replicas))
        .collect();
    let counts = wanted.iter().flatten().chain(&done).chain(&needed).flatten();
    let scale = Scale::from_zero(counts.map(|(_, count)| *count));
    let mut chart = Chart::over_time("replicas over time", 260.0, end_s, scale);
    chart.grid(&time_axis(end_s), format_number);
    let ends: Vec<Place> = done.iter().skip(1).step_by(2).flatten().copied().collect();
    chart.steps_area("ready-area", &ends);
    let mut keys = vec![Key::line("ready", "what was done"), Key::dash("best", "needed")];
    for (index, (totals, places)) in ledger.candidates().iter().zip(&wanted).enumerate() {
        let series = format!("s{}", index % SERIES);
        chart.line(&format!("curve {series}"), places);
        keys.push(Key::line(&series, &totals.name));
    }
    chart.line("ready", &done);
    chart.line("best", &needed);
    chart.tooltips(ends.iter().map(|(until_s, replicas)| {
        let until = format_time(*until_s, end_s);
        (*until_s, format!("until {until}: {} replicas", format_number(*replicas)))
    }));
    (keys, chart.finish())
}
