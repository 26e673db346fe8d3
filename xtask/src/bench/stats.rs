//! Medians, spreads, and numbers as people read them.

/// What came of several rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    /// `least <= median <= greatest`
    pub(crate) least: f64,
    pub(crate) greatest: f64,
}

impl Summary {
    /// None without values; those that are no numbers do not count.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let upper = *values.get(middle)?;
        let lower = if values.len().is_multiple_of(2) {
            *values.get(middle.checked_sub(1)?)?
        } else {
            upper
        };
        Some(Self {
            median: f64::midpoint(lower, upper),
            least: *values.first()?,
            greatest: *values.last()?,
        })
    }
}

/// `a / b`, where that is a number.
pub(crate) fn ratio(a: f64, b: f64) -> Option<f64> {
    Some(a / b).filter(|ratio| ratio.is_finite())
}

/// Three digits, thousands and millions by `k` and `M`.
pub(crate) fn short(value: f64) -> String {
    let (value, unit) = match value.abs() {
        // From where three digits round up to the next unit.
        size if size >= 999_500.0 => (value / 1e6, " M"),
        size if size >= 9_995.0 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    format!("{}{unit}", digits(value))
}

/// Three digits that count, or all before the point.
pub(crate) fn digits(value: f64) -> String {
    let places = match value.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.0995 || size == 0.0 => 2,
        size if size >= 0.00995 => 3,
        _ => 4,
    };
    format!("{value:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_value_or_between_the_two() {
        let of = |values: &[f64]| Summary::of(values.iter().copied());
        let odd = of(&[3.0, 1.0, 10.0]).unwrap();
        assert_eq!((odd.median, odd.least, odd.greatest), (3.0, 1.0, 10.0));
        assert_eq!(of(&[4.0, 1.0, 2.0, 8.0]).unwrap().median, 3.0);
        assert_eq!(of(&[7.0]).unwrap().median, 7.0);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn what_is_no_number_does_not_count() {
        let summary = Summary::of([f64::NAN, 2.0, f64::INFINITY]).unwrap();
        assert_eq!((summary.median, summary.greatest), (2.0, 2.0));
        assert_eq!(Summary::of([f64::NAN]), None);
        assert_eq!(ratio(1.0, 0.0), None);
        assert_eq!(ratio(0.0, 0.0), None);
        assert_eq!(ratio(1.0, 4.0), Some(0.25));
    }

    #[test]
    fn numbers_have_three_digits() {
        let told =
            [9_134_567.0, 837_123.0, 17_449.0, 9_994.0, 999_600.0, 81.24, 1.558, 0.0234].map(short);
        assert_eq!(told, ["9.13 M", "837 k", "17.4 k", "9994", "1.00 M", "81.2", "1.56", "0.023"]);
        assert_eq!([0.0, 0.27, 0.0042].map(digits), ["0.00", "0.27", "0.0042"]);
    }
}
