//! The checks of a board that answers.

use quantrack_proto::UNNAMED;

use super::{Finding, State};
use crate::clock::since_1970;
use crate::device::{Device, DeviceError, Now};
use crate::measurement::{Conditions, Health};
use crate::output;

/// Clocks that are further apart than this are wrong.
const CLOCK_S: i64 = 60;
/// Variants of larger pipelines need more than this.
const FREE_BYTES: u64 = 128 << 20;
/// Throttle bits: what is so now, and what has been so since boot.
const NOW_BITS: u32 = 0xf;
const UNDER_VOLTAGE_BITS: u32 = 0x1_0001;

pub(super) async fn of_device(device: &Device) -> Vec<Finding> {
    let mut findings = vec![version(device)];
    findings.extend(host_name(&device.facts().hostname));
    match device.now().await {
        Ok(Now { conditions, health, .. }) => {
            let now = since_1970();
            let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
            findings.extend(judge(&conditions, health.as_ref(), now_ms));
        }
        Err(error) => findings.push(Finding::new("conditions", State::Failed, error.to_string())),
    }
    findings.push(lease(device).await);
    findings
}

fn version(device: &Device) -> Finding {
    let (theirs, ours) = (device.agent_version(), env!("CARGO_PKG_VERSION"));
    let found = format!("agent {theirs}, engine {}", device.engine_build());
    if theirs == ours {
        return Finding::new("version", State::Ok, found);
    }
    Finding::new("version", State::Warning, format!("{found}; this orchestrator is {ours}"))
        .remedy("`orchestrator device enroll` installs the agent of this release")
}

/// Whether the board has a name of its own.
fn host_name(name: &str) -> Option<Finding> {
    let found = format!("the board has none, and is called {name}");
    name.starts_with(UNNAMED).then(|| {
        Finding::new("host name", State::Warning, found).remedy(
            "`sudo hostnamectl set-hostname pi3-a` there, then `device add` it here; baselines and histories go by names",
        )
    })
}

/// Who has the board; asking means taking it for a moment.
async fn lease(device: &Device) -> Finding {
    match device.lease().await {
        Ok(_) => Finding::new("lease", State::Ok, "free"),
        Err(DeviceError::Busy { detail, .. }) => Finding::new("lease", State::Warning, detail)
            .remedy("wait for its holder, or ask; the lease ends when that process does"),
        Err(error @ DeviceError::Draining { .. }) => {
            Finding::new("lease", State::Warning, error.to_string())
                .remedy("`orchestrator device undrain` lets it give leases again")
        }
        Err(error) => Finding::new("lease", State::Warning, error.to_string()).remedy(
            "measuring needs a certificate with the role measure: `orchestrator authority issue`",
        ),
    }
}

/// What the conditions of a board mean, at `now_ms` by our own clock.
pub fn judge(conditions: &Conditions, health: Option<&Health>, now_ms: u64) -> Vec<Finding> {
    let Some(health) = health else {
        let old = Finding::new("health", State::Unknown, "the agent is too old to say more");
        return vec![power(conditions), old.remedy("install the agent of this release")];
    };
    vec![clock(health, now_ms), disk(health), power(conditions), governor(conditions, health)]
}

fn clock(health: &Health, now_ms: u64) -> Finding {
    let skew_s = (i128::from(health.clock_unix_ms) - i128::from(now_ms)) / 1000;
    let skew_s = i64::try_from(skew_s).unwrap_or(i64::MAX);
    let direction = if skew_s < 0 { "behind" } else { "ahead of" };
    let found = format!("{} s {direction} this machine's", skew_s.unsigned_abs());
    let set =
        "let it set its clock: `timedatectl set-ntp true`, and let NTP (UDP port 123) through";
    match (skew_s.abs() <= CLOCK_S, health.clock_set) {
        (true, true) => Finding::new("clock", State::Ok, found),
        (true, false) => Finding::new("clock", State::Ok, format!("{found}, though nothing has set it since boot")),
        // Then the agent judges certificates by it.
        (false, true) => Finding::new("clock", State::Warning, format!("{found}, and the board believes it"))
            .remedy("one of the two clocks is wrong; certificates may look expired or not yet valid"),
        (false, false) => Finding::new(
            "clock",
            State::Warning,
            format!("{found}; the board does not believe it, and takes the time from what the authority has signed"),
        )
        .remedy(set),
    }
}

fn disk(health: &Health) -> Finding {
    match health.free_bytes {
        None => Finding::new("disk", State::Unknown, "the board does not say"),
        Some(free) if free < FREE_BYTES => {
            let found = format!("{} free for variants", output::bytes(free));
            Finding::new("disk", State::Warning, found).remedy(
                "uploads of larger models fail: free memory on the board, or give the agent another --state-dir",
            )
        }
        Some(free) => {
            Finding::new("disk", State::Ok, format!("{} free for variants", output::bytes(free)))
        }
    }
}

fn power(conditions: &Conditions) -> Finding {
    let Some(bits) = conditions.throttled_bits else {
        return Finding::new("power", State::Unknown, "nothing on the board tells of throttling")
            .remedy(
                "on a Raspberry Pi, the agent's user must be in the group video to ask vcgencmd",
            );
    };
    let mut causes = Vec::new();
    for (bit, cause) in
        [(0, "under-voltage"), (1, "capped clock"), (2, "throttled"), (3, "soft limit")]
    {
        if bits >> bit & 1 == 1 {
            causes.push(format!("{cause} now"));
        } else if bits >> (bit + 16) & 1 == 1 {
            causes.push(format!("{cause} since boot"));
        }
    }
    if causes.is_empty() {
        return Finding::new("power", State::Ok, "no throttling since boot");
    }
    let remedy = if bits & UNDER_VOLTAGE_BITS != 0 {
        "use a power supply of 5.1 V and at least 2.5 A, and a short thick cable; then reboot, which clears the bits"
    } else {
        "cool the board (heat sink, fan, air); reboot to clear the bits"
    };
    let found = format!("{} (bits {bits:#x})", causes.join(", "));
    let finding = Finding::new("power", State::Warning, found).remedy(remedy);
    if bits & NOW_BITS == 0 {
        return Finding { found: format!("{}; not now", finding.found), ..finding };
    }
    finding
}

fn governor(conditions: &Conditions, health: &Health) -> Finding {
    let governor = conditions.governor.as_deref().unwrap_or("none");
    match health.governor_settable {
        None => Finding::new("governor", State::Ok, "the board has none: its clock is fixed"),
        Some(true) => Finding::new("governor", State::Ok, format!("{governor}; can be set")),
        Some(false) => Finding::new("governor", State::Warning, format!("{governor}; cannot be set"))
            .remedy("start the helper that may set it: `systemctl enable --now quantrack-governor`; or set performance yourself"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_800_000_000_000;

    fn good() -> (Conditions, Health) {
        let conditions = Conditions {
            throttled_bits: Some(0),
            governor: Some("ondemand".to_owned()),
            ..Conditions::default()
        };
        let health = Health {
            clock_unix_ms: NOW_MS,
            clock_set: true,
            free_bytes: Some(1 << 30),
            governor_settable: Some(true),
        };
        (conditions, health)
    }

    #[test]
    fn a_healthy_board_is_ok_in_all() {
        let (conditions, health) = good();
        let findings = judge(&conditions, Some(&health), NOW_MS);
        assert!(
            findings.iter().all(|f| f.state == State::Ok && f.remedy.is_none()),
            "{findings:?}"
        );
    }

    #[test]
    fn a_board_without_a_name_is_advised_to_take_one() {
        assert!(host_name("pi3-a").is_none());
        let found = host_name("unnamed-0a1b2c3d").unwrap();
        assert!(found.state == State::Warning && found.remedy.unwrap().contains("set-hostname"));
    }

    #[test]
    fn every_fault_is_told_with_its_remedy() {
        type Change = fn(&mut Conditions, &mut Health);
        let cases: [(&str, &str, Change); 8] = [
            ("clock", "86400 s behind", |_, h| h.clock_unix_ms -= 86_400_000),
            ("clock", "ahead of", |_, h| h.clock_unix_ms += 86_400_000),
            ("clock", "does not believe", |_, h| (h.clock_unix_ms, h.clock_set) = (0, false)),
            ("disk", "10.0 MiB", |_, h| h.free_bytes = Some(10 << 20)),
            ("power", "under-voltage now", |c, _| c.throttled_bits = Some(0x5_0005)),
            ("power", "throttled since boot (bits 0x40000); not now", |c, _| {
                c.throttled_bits = Some(0x4_0000);
            }),
            ("power", "nothing on the board", |c, _| c.throttled_bits = None),
            ("governor", "cannot be set", |_, h| h.governor_settable = Some(false)),
        ];
        for (check, text, change) in cases {
            let (mut conditions, mut health) = good();
            change(&mut conditions, &mut health);
            let findings = judge(&conditions, Some(&health), NOW_MS);
            let bad: Vec<&Finding> = findings.iter().filter(|f| f.state != State::Ok).collect();
            assert!(
                matches!(bad[..], [f] if f.check == check && f.found.contains(text) && f.remedy.is_some()),
                "{check} {text}: {bad:?}"
            );
        }
    }
}
