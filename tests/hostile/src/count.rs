//! What others did, by the time in which they did it: while one of the cases ran, or while nothing attacked.

/// A time, as others' work is counted in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum During {
    /// The attacker's traces are cleared: counted nowhere.
    #[default]
    Between,
    /// Nothing attacks.
    Quiet,
    /// The case of this number.
    Case(usize),
}

/// Of all times until now.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    now: During,
    since: f64,
    quiet: Count,
    /// By the case's number.
    cases: Vec<Count>,
}

/// What was counted in one time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Count {
    pub(crate) seconds: f64,
    pub(crate) lives: u32,
    /// Seconds from the request to *active*.
    pub(crate) creates: Vec<f64>,
    /// Seconds of one call of a driver, through the API.
    pub(crate) calls: Vec<f64>,
}

impl Counts {
    /// `at`: seconds since they began.
    pub(crate) fn turn(&mut self, at: f64, now: During) {
        let took = at - std::mem::replace(&mut self.since, at);
        if let Some(count) = self.of(self.now) {
            count.seconds += took;
        }
        self.now = now;
    }

    pub(crate) fn now(&self) -> During {
        self.now
    }

    pub(crate) fn lived(&mut self) {
        if let Some(count) = self.of(self.now) {
            count.lives += 1;
        }
    }

    pub(crate) fn created(&mut self, took: f64) {
        if let Some(count) = self.of(self.now) {
            count.creates.push(took);
        }
    }

    /// It counts where it began. What began in quiet and was then attacked is of neither.
    pub(crate) fn called(&mut self, began: During, took: f64) {
        let was_attacked = began == During::Quiet && matches!(self.now, During::Case(_));
        if let Some(count) = self.of(began).filter(|_| !was_attacked) {
            count.calls.push(took);
        }
    }

    pub(crate) fn quiet(&self) -> &Count {
        &self.quiet
    }

    /// Of the cases of these numbers together.
    pub(crate) fn of_cases(&self, is: impl Fn(usize) -> bool) -> Count {
        let mut whole = Count::default();
        for (_, count) in self.cases.iter().enumerate().filter(|(number, _)| is(*number)) {
            whole.seconds += count.seconds;
            whole.lives += count.lives;
            whole.creates.extend(&count.creates);
            whole.calls.extend(&count.calls);
        }
        whole
    }

    /// Half of the last case's calls took no longer than the first, and none longer than the second. Unit: milliseconds.
    pub(crate) fn last(&self) -> (f64, f64) {
        self.cases.last().map_or((0.0, 0.0), |last| (last.call(0.5), last.call(1.0)))
    }

    fn of(&mut self, during: During) -> Option<&mut Count> {
        match during {
            During::Between => None,
            During::Quiet => Some(&mut self.quiet),
            During::Case(number) => {
                if self.cases.len() <= number {
                    self.cases.resize_with(number + 1, Count::default);
                }
                self.cases.get_mut(number)
            }
        }
    }
}

impl Count {
    pub(crate) fn rate(&self) -> f64 {
        f64::from(self.lives) / self.seconds.max(0.001)
    }

    /// The value below which `part` of the calls are. Unit: milliseconds.
    pub(crate) fn call(&self, part: f64) -> f64 {
        1_000.0 * quantile(&self.calls, part)
    }

    pub(crate) fn create(&self, part: f64) -> f64 {
        1_000.0 * quantile(&self.creates, part)
    }
}

/// The value below which `part` of them are.
fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * part).round() as usize).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_value_that_was_seen() {
        let values: Vec<f64> = (0..=100).map(f64::from).collect();
        assert_eq!((quantile(&values, 0.5), quantile(&values, 0.99), quantile(&[], 0.5)), (50.0, 99.0, 0.0));
    }

    #[test]
    fn a_call_counts_where_it_began_unless_an_attack_began_meanwhile() {
        let mut counts = Counts::default();
        counts.called(During::Between, 9.0);
        counts.turn(1.0, During::Quiet);
        counts.called(During::Quiet, 1.0);
        counts.turn(3.0, During::Case(0));
        counts.called(During::Quiet, 9.0);
        counts.lived();
        counts.turn(4.0, During::Between);
        counts.called(During::Case(0), 2.0);
        counts.lived();
        counts.turn(9.0, During::Case(2));
        counts.called(During::Case(2), 4.0);
        let (quiet, cases) = (counts.quiet(), counts.of_cases(|_| true));
        assert_eq!((quiet.calls.as_slice(), quiet.seconds, quiet.lives), (&[1.0][..], 2.0, 0));
        assert_eq!((cases.calls.as_slice(), cases.seconds, cases.lives), (&[2.0, 4.0][..], 1.0, 1));
        assert_eq!((counts.of_cases(|case| case == 0).calls, counts.last()), (vec![2.0], (4_000.0, 4_000.0)));
    }
}
