//! Means, intervals and geometric means.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// The mean; 0 of nothing.
pub(super) fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// The 95 % interval of the mean by Student's t; of one value, that value.
pub(super) fn interval(values: &[f64]) -> (f64, f64) {
    let (mean, count) = (mean(values), values.len() as f64);
    let Ok(students) = StudentsT::new(0.0, 1.0, count - 1.0) else { return (mean, mean) };
    let squares = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>();
    let half = students.inverse_cdf(0.975) * (squares / (count - 1.0) / count).sqrt();
    (mean - half, mean + half)
}

/// The geometric mean of values above 0; `None` of nothing.
pub(super) fn geometric_mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0_u32);
    for value in values {
        sum += value.ln();
        count += 1;
    }
    (count > 0).then(|| (sum / f64::from(count)).exp())
}
