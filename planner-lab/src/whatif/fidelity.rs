//! How well the model repeats what was recorded.

use serde::Serialize;

use super::branch::loads;
use super::fit::{History, median, p95_ms};
use super::model::Model;
use super::service::Simulated;

/// The model under the recorded load and the recorded decisions, held against the recorded run.
///
/// The whole run is repeated in one go from its first window, so errors of the model add up as
/// they do behind the divergence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Fidelity {
    /// Windows up to the divergence, to which the model was fitted.
    pub before: Option<Errors>,
    /// Windows behind it, which it was not fitted to unless an assumption says so.
    pub behind: Option<Errors>,
}

/// How far the model is from what was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Errors {
    /// Windows that were compared.
    pub windows: u64,
    /// Median of the relative error of the p95, above 0 where the model is slower: 0.1 is 10 %.
    /// Absent where no window has a p95 in both.
    pub p95_bias: Option<f64>,
    /// Median of the size of that error.
    pub p95_error: Option<f64>,
    /// Mean of the size of the error of the ready replicas.
    pub ready_error: f64,
    /// Share of windows with exactly the recorded count; 0 to 1.
    pub ready_exact_share: f64,
}

/// Repeats the recorded run on the model.
pub(super) fn of(history: &History<'_>, model: Model) -> Fidelity {
    let known = history.moments.iter().position(|moment| moment.window.ready().is_some());
    let mut pairs = vec![Pairs::default(), Pairs::default()];
    if let Some(first) = known
        && let Some(moment) = history.moments.get(first)
    {
        let ready = moment.window.ready().unwrap_or(0);
        let mut service = Simulated::after(model, moment.window, ready);
        service.started(moment.at, moment.window.starting().unwrap_or(0));
        let mut scaled = moment.scaled;
        let loads = loads(history);
        for (index, (moment, load)) in history.moments.iter().zip(loads).enumerate().skip(first + 1)
        {
            if let Some((at, target)) = scaled {
                service.scale_to(at, target);
            }
            let passage = service.pass(moment.window, load);
            scaled = moment.scaled;
            let part = &mut pairs[usize::from(index >= history.before)];
            if let Some(ready) = moment.window.ready() {
                part.ready.push((f64::from(passage.ready) - f64::from(ready)).abs());
            }
            let recorded = p95_ms(moment.window).filter(|p95| *p95 > 0.0);
            if let Some((model, recorded)) = passage.p95_ms.zip(recorded) {
                part.p95.push(model / recorded - 1.0);
            }
        }
    }
    let behind = pairs.pop().and_then(Pairs::errors);
    Fidelity { before: pairs.pop().and_then(Pairs::errors), behind }
}

/// Errors window by window.
#[derive(Debug, Default)]
struct Pairs {
    ready: Vec<f64>,
    p95: Vec<f64>,
}

impl Pairs {
    fn errors(self) -> Option<Errors> {
        let windows = self.ready.len();
        if windows == 0 {
            return None;
        }
        let exact = self.ready.iter().filter(|error| **error == 0.0).count();
        let size = self.p95.iter().map(|error| error.abs()).collect();
        Some(Errors {
            windows: windows as u64,
            p95_bias: median(self.p95).map(|(median, _)| median),
            p95_error: median(size).map(|(median, _)| median),
            ready_error: self.ready.iter().sum::<f64>() / windows as f64,
            ready_exact_share: exact as f64 / windows as f64,
        })
    }
}
