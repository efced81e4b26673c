//! What a worker does so that runs are alike and models reach nothing, as both sides name it where a board did not allow it.

/// A precaution of the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precaution {
    /// Its memory stays in memory.
    Memory,
    /// It reaches no network.
    Network,
    /// Its addresses are the same in every run.
    Addresses,
    /// It keeps to the cores that were chosen for it.
    Cores,
}

impl Precaution {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Memory, Self::Network, Self::Addresses, Self::Cores];

    /// What is said where it could not be taken. A cause may follow, after a colon.
    pub fn lack(self) -> &'static str {
        match self {
            Self::Memory => "memory is not locked",
            Self::Network => "the network is reachable",
            Self::Addresses => "addresses are random",
            Self::Cores => "cores are not pinned",
        }
    }

    /// Which one the text of a [`crate::v1::MeasureSummary`] says to be missing. Agents tell more than precautions of the
    /// worker, as that the governor stays as it is.
    pub fn lacking(text: &str) -> Option<Self> {
        let lack = text.split_once(": ").map_or(text, |(lack, _)| lack);
        Self::ALL.into_iter().find(|precaution| precaution.lack() == lack)
    }

    /// Whether times that were measured with it and without it are of two kinds.
    pub fn concerns_time(self) -> bool {
        self != Self::Network
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        for precaution in Precaution::ALL {
            assert_eq!(Precaution::lacking(precaution.lack()), Some(precaution));
            let said = format!("{}: Operation not permitted", precaution.lack());
            assert_eq!(Precaution::lacking(&said), Some(precaution));
        }
        assert_eq!(Precaution::lacking("the governor stays ondemand: no helper"), None);
    }
}
