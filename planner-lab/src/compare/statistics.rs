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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_nothing_there_is_no_geometric_mean_and_the_mean_is_0() {
        assert_eq!((mean(&[]), interval(&[]), geometric_mean([])), (0.0, (0.0, 0.0), None));
    }

    #[test]
    fn the_interval_of_one_value_is_that_value() {
        assert_eq!(interval(&[7.0]), (7.0, 7.0));
    }

    #[test]
    fn the_interval_of_three_is_students() {
        // t of 0.975 with 2 degrees of freedom is 4.302653; the standard error is 1 / sqrt 3.
        let (low, high) = interval(&[1.0, 2.0, 3.0]);
        let half = 4.302_652_73 / 3.0_f64.sqrt();
        assert!((low - (2.0 - half)).abs() < 1e-6 && (high - (2.0 + half)).abs() < 1e-6);
    }

    #[test]
    fn a_geometric_mean_of_a_ratio_and_its_inverse_is_1() {
        assert!(geometric_mean([4.0, 0.25]).is_some_and(|it| (it - 1.0).abs() < 1e-12));
    }
}
