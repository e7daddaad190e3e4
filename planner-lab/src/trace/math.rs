//! A cosine and a power of two of `+ - * /` alone, so that every machine computes the same bits.
//! Not fast, and not accurate to the last bit: good to 1e-14 of the largest value.

use std::f64::consts::{LN_2, PI};

/// The cosine of so many whole turns; of the fraction of them. 0 for what is no number.
pub(super) fn cos_turns(turns: f64) -> f64 {
    let fraction = turns - turns.floor();
    // cos(2πx) = -cos(2π(x - 1/2)): the angle is at most π, where the series is short.
    let angle = 2.0 * PI * (fraction - 0.5);
    let square = angle * angle;
    if !square.is_finite() {
        return 0.0;
    }
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..=16 {
        let n = 2.0 * f64::from(n);
        term *= -square / (n * (n - 1.0));
        sum += term;
    }
    -sum
}

/// Two to this power, which is taken into -1000 to 1000.
pub(super) fn exp2(power: f64) -> f64 {
    if power.is_nan() {
        return 1.0;
    }
    let power = power.clamp(-1_000.0, 1_000.0);
    let whole = power.floor();
    let rest = (power - whole) * LN_2;
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..=20 {
        term *= rest / f64::from(n);
        sum += term;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "1023 plus a whole number from -1000 to 1000 is a biased exponent"
    )]
    let scale = f64::from_bits(((1_023.0 + whole) as u64) << 52);
    sum * scale
}

/// e to this power.
pub(super) fn exp(power: f64) -> f64 {
    exp2(power / LN_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_agree_with_the_platform() {
        for step in -4_000..=4_000 {
            let x = f64::from(step) / 400.0;
            assert!((cos_turns(x) - (2.0 * PI * x).cos()).abs() < 1e-12, "{x}");
            assert!((exp2(x) / x.exp2() - 1.0).abs() < 1e-13, "{x}");
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-12, "{x}");
        }
    }

    #[test]
    fn nothing_of_them_is_infinite() {
        for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            assert!(cos_turns(x).is_finite() && exp2(x).is_finite() && exp(x).is_finite(), "{x}");
        }
    }
}
