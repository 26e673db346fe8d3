//! [`Decimal`], the fixed-point number of tables. Plain data; no arithmetic.

use std::fmt;

/// A decimal number in a table: `value` divided by ten to the power of `scale`.
///
/// The text of the specification has a signed value, brokers read an unsigned one; the two agree up
/// to 2³¹−1, so only that is sent.
///
/// ```
/// use amqp_types::Decimal;
///
/// assert_eq!(Decimal { scale: 2, value: 314 }.to_string(), "3.14");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Decimal {
    /// How many of the digits stand after the point.
    pub scale: u8,
    /// All digits.
    pub value: u32,
}

impl Decimal {
    /// `value` divided by ten to the power of `scale`.
    #[must_use]
    pub const fn new(value: u32, scale: u8) -> Self {
        Self { scale, value }
    }

    /// The nearest floating point number.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        f64::from(self.value) / 10_f64.powi(i32::from(self.scale))
    }
}

/// All digits, the last `scale` of them after the point.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = usize::from(self.scale);
        let digits = format!("{:0>width$}", self.value, width = scale + 1);
        match digits.split_at_checked(digits.len() - scale) {
            Some((whole, part)) if scale > 0 => write!(f, "{whole}.{part}"),
            _ => f.write_str(&digits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_as_many_digits_after_the_point_as_the_scale_says() {
        let shown = |value, scale| Decimal::new(value, scale).to_string();
        assert_eq!(shown(0, 0), "0");
        assert_eq!(shown(7, 0), "7");
        assert_eq!(shown(7, 1), "0.7");
        assert_eq!(shown(7, 3), "0.007");
        assert_eq!(shown(12_345, 3), "12.345");
        assert_eq!(shown(u32::MAX, 255).len(), 257);
        assert!((Decimal::new(275, 2).to_f64() - 2.75).abs() < 1e-12);
    }
}
