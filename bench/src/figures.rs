//! What a measurement answers: figures by name, one JSON object a line; and medians of several.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

pub(crate) type Figures = BTreeMap<String, f64>;

/// Of one round or of all, by measurement.
#[derive(Debug, Default)]
pub(crate) struct Rounds(BTreeMap<String, Vec<Figures>>);

impl Rounds {
    pub(crate) fn add(&mut self, measurement: &str, figures: Figures) {
        self.0.entry(measurement.to_owned()).or_default().push(figures);
    }

    /// None when it was not measured.
    pub(crate) fn median(&self, measurement: &str, figure: &str) -> Option<f64> {
        median(self.0.get(measurement)?.iter().filter_map(|figures| figures.get(figure).copied()).collect())
    }

    /// The median of the ratios of each round: what was measured next to each other is compared with each other.
    pub(crate) fn ratio(&self, over: (&str, &str), under: (&str, &str)) -> Option<f64> {
        let pairs = self.0.get(over.0)?.iter().zip(self.0.get(under.0)?);
        median(pairs.filter_map(|(a, b)| Some(a.get(over.1)? / b.get(under.1)?)).collect())
    }

    pub(crate) fn measured(&self) -> impl Iterator<Item = (&str, Figures)> {
        self.0.iter().map(|(name, rounds)| {
            let names = rounds.iter().flat_map(BTreeMap::keys);
            let medians = names.filter_map(|figure| Some((figure.clone(), self.median(name, figure)?)));
            (name.as_str(), medians.collect())
        })
    }
}

/// The middle one; of an even number the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// The value that `share` of all do not exceed; 0 for none.
pub(crate) fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index below the length")]
    let at = (values.len().saturating_sub(1) as f64 * share) as usize;
    values.get(at).copied().unwrap_or_default()
}

pub(crate) fn to_line(figures: &Figures) -> String {
    serde_json::json!(figures).to_string()
}

/// The last line of what a child printed.
pub(crate) fn from_output(output: &[u8]) -> Result<Figures> {
    let text = String::from_utf8_lossy(output);
    let line = text.lines().last().context("it printed nothing")?;
    serde_json::from_str(line).with_context(|| format!("it printed {line:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(vec![]), None);
    }

    #[test]
    fn a_ratio_is_of_the_same_round() {
        let mut rounds = Rounds::default();
        for (a, b) in [(10.0, 1.0), (30.0, 10.0), (8.0, 2.0)] {
            rounds.add("a", Figures::from([("x".into(), a)]));
            rounds.add("b", Figures::from([("y".into(), b)]));
        }
        assert_eq!(rounds.ratio(("a", "x"), ("b", "y")), Some(4.0));
    }
}
