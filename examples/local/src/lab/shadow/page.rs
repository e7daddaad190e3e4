//! The page of a ledger: replicas as they were, as they were needed, and as others wanted them.

use planner_lab::shadow::{Entry, Ledger};

use super::totals;
use crate::lab::chart::{Chart, Place, format_time, time_axis};
use crate::lab::journals::Head;
use crate::lab::page::{Key, Page, SERIES, counted};
use crate::report::axis::{Scale, format_number};

/// Places of a line, at most.
const PLACES_MAX: usize = 800;

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
    let entries: Vec<&Entry> = ledger.entries().collect();
    let first_s = entries.first().map_or(0.0, |entry| entry.at_s);
    let duration_s = entries.last().map_or(0.0, |entry| entry.at_s - first_s);
    let per_place = entries.len().div_ceil(PLACES_MAX).max(1);
    // Of many decisions in one place the most replicas are drawn: short peaks matter most.
    let most = |count: &dyn Fn(&Entry) -> Option<u32>| -> Vec<Place> {
        let places = entries.chunks(per_place).filter_map(|chunk| {
            let most = chunk.iter().filter_map(|entry| count(entry)).max()?;
            Some((chunk.last()?.at_s - first_s, f64::from(most)))
        });
        places.collect()
    };
    let done = most(&|entry| entry.done.replicas);
    let needed = most(&|entry| entry.verdict.map(|verdict| verdict.needed));
    let wanted: Vec<Vec<Place>> = (0..ledger.candidates().len())
        .map(|index| most(&|entry| entry.wishes.get(index)?.replicas))
        .collect();
    let all = wanted.iter().flatten().chain(&done).chain(&needed).map(|(_, count)| *count);
    let scale = Scale::from_zero(all);
    let mut chart = Chart::over_time("replicas over time", 260.0, duration_s, scale);
    chart.grid(&time_axis(duration_s), format_number);
    chart.steps_area("ready-area", &done);
    let mut keys = vec![Key::line("ready", "what was done"), Key::dash("best", "needed")];
    for (index, (totals, places)) in ledger.candidates().iter().zip(&wanted).enumerate() {
        let series = format!("s{}", index % SERIES);
        chart.steps(&format!("curve {series}"), places);
        keys.push(Key::line(&series, &totals.name));
    }
    chart.steps("ready", &done);
    chart.steps("best", &needed);
    chart.tooltips(done.iter().map(|(at_s, replicas)| {
        let at = format_time(*at_s, duration_s);
        (*at_s, format!("{at}: {} replicas", format_number(*replicas)))
    }));
    (keys, chart.finish())
}
