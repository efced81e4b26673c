//! Letting the board cool, for a bounded time.

use std::time::Duration;

/// To which temperature the board is to cool, and how long it may take altogether.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CoolTo {
    /// Degrees Celsius.
    pub celsius: f64,
    /// For all blocks of a measurement together.
    pub timeout: Duration,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq)]
pub enum Cooling {
    /// Sample: it is cool enough.
    Cool,
    /// Wait a little and look again.
    Wait,
    /// Give up, and why.
    Never(String),
}

impl CoolTo {
    /// Decides by the temperature, after so long a wait. A board that does not tell its temperature cannot be waited for.
    pub fn decide(&self, temperature_celsius: Option<f64>, waited: Duration) -> Cooling {
        let Self { celsius, timeout } = self;
        match temperature_celsius {
            None => Cooling::Never(format!(
                "the board does not tell its temperature, so nobody knows when it has cooled to {celsius} °C"
            )),
            Some(now) if now <= *celsius => Cooling::Cool,
            Some(_) if waited < *timeout => Cooling::Wait,
            Some(now) => Cooling::Never(format!(
                "the board did not cool to {celsius} °C in {:.0} s: it has {now:.1} °C",
                timeout.as_secs_f64()
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_has_an_end_and_silence_is_not_cool() {
        let cool = CoolTo { celsius: 50.0, timeout: Duration::from_secs(60) };
        assert_eq!(cool.decide(Some(50.0), Duration::ZERO), Cooling::Cool);
        assert_eq!(cool.decide(Some(50.1), Duration::from_secs(59)), Cooling::Wait);
        let Cooling::Never(why) = cool.decide(Some(61.22), Duration::from_secs(60)) else {
            panic!()
        };
        assert_eq!(why, "the board did not cool to 50 °C in 60 s: it has 61.2 °C");
        let Cooling::Never(why) = cool.decide(None, Duration::ZERO) else { panic!() };
        assert!(why.contains("does not tell its temperature"), "{why}");
    }
}
