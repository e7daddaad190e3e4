//! Numbers as Kubernetes carries them: decimal quantities, compared in thousandths.

/// Digits up to which Kubernetes keeps a quantity as an integer and a scale.
const INTEGER_DIGITS: usize = 18;
/// Digits behind the point of a measured value.
const DECIMALS: usize = 3;
/// 2^63: the first float beyond the range of a count of thousandths.
const BEYOND_I64: f64 = 9_223_372_036_854_775_808.0;

/// A measured value as the decimal text of its quantity: three decimals, nine from sixteen digits
/// before the point on; `"0"` for what is no finite number.
///
/// ```
/// use planner_peers::keda::quantity;
///
/// assert_eq!(quantity::decimal(0.406_894), "0.407");
/// assert_eq!(quantity::decimal(1e15), "1000000000000000.000000000");
/// assert_eq!(quantity::decimal(f64::NAN), "0");
/// ```
pub fn decimal(value: f64) -> String {
    if !value.is_finite() {
        return String::from("0");
    }
    let mut text = rounded(value);
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    if digits > INTEGER_DIGITS {
        // Kept as a big decimal instead, which always has the digits of a nano-unit.
        text.push_str("000000");
    }
    text
}

/// A measured value in thousandths, rounded as [`decimal`] rounds; `None` when it is not finite or
/// beyond 64 bits.
pub fn milli(value: f64) -> Option<i64> {
    if !value.is_finite() {
        return None;
    }
    let mut text = rounded(value);
    text.retain(|character| character != '.');
    text.parse().ok()
}

/// A computed value in thousandths, cut off towards zero; `None` when it is not finite or beyond
/// 64 bits.
pub fn milli_truncated(value: f64) -> Option<i64> {
    milli_scaled(value, 1.0)
}

/// `value` times `factor` in thousandths, cut off towards zero. Multiplied in this order: another
/// one cuts off elsewhere.
pub(super) fn milli_scaled(value: f64, factor: f64) -> Option<i64> {
    let milli = value * 1_000.0 * factor;
    let is_within = (-BEYOND_I64..BEYOND_I64).contains(&milli);
    #[expect(clippy::cast_possible_truncation, reason = "within the range of i64, cut on purpose")]
    is_within.then_some(milli as i64)
}

/// Three decimals, half to even on the exact value, and no negative zero.
fn rounded(value: f64) -> String {
    let text = format!("{value:.DECIMALS$}");
    match text.strip_prefix('-') {
        Some(zero) if zero.bytes().all(|byte| matches!(byte, b'0' | b'.')) => zero.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_finite_number_is_zero_as_text_and_nothing_as_thousandths() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(decimal(value), "0");
            assert_eq!((milli(value), milli_truncated(value)), (None, None));
        }
    }

    #[test]
    fn what_64_bits_cannot_hold_is_refused_and_not_wrapped() {
        assert_eq!((milli(1e16), milli_truncated(1e16)), (None, None));
        assert_eq!((milli(-1e300), milli_truncated(-1e300)), (None, None));
        assert_eq!(milli_truncated(-BEYOND_I64 / 1_000.0), Some(i64::MIN));
    }

    #[test]
    fn a_measured_value_is_rounded_and_a_computed_one_is_cut() {
        assert_eq!((milli(1.2355), milli_truncated(1.2355)), (Some(1_236), Some(1_235)));
        assert_eq!((milli(-1.2355), milli_truncated(-1.2355)), (Some(-1_236), Some(-1_235)));
    }

    #[test]
    fn a_small_negative_value_is_plain_zero() {
        assert_eq!(decimal(-0.000_1), "0.000");
        assert_eq!(decimal(-0.5), "-0.500");
        assert_eq!(milli(-0.000_1), Some(0));
    }

    #[test]
    fn from_sixteen_digits_on_it_has_nine_decimals() {
        assert_eq!(decimal(999_999_999_999_999.0), "999999999999999.000");
        assert_eq!(decimal(1e15), "1000000000000000.000000000");
        assert_eq!(decimal(-1e15), "-1000000000000000.000000000");
    }
}
