//! What the agent does when board, worker or peer misbehave. Each test ends with a measurement that works: no fault
//! takes the agent down or keeps the board from the next one.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use quantrack_agent::board::Root;
use quantrack_agent::governor::{Switch, helper};
use quantrack_agent::worker::Launcher;
use quantrack_proto::v1::measure_response::Event;
use quantrack_proto::{API_VERSION, MIN_API_VERSION, v1};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixListener};
use tonic::Code;

use crate::client::{Board, Held, imitated, settings, start, start_with};
use crate::raw;

const THROTTLED: &str = "sys/devices/platform/soc/soc:firmware/get_throttled";
const TEMPERATURE: &str = "sys/class/thermal/thermal_zone0/temp";
const GOVERNOR: &str = "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";

/// A Raspberry Pi 3 whose files a test may change.
struct Imitation(TempDir);

impl Imitation {
    fn new() -> Self {
        fn copy(from: &Path, to: &Path) {
            std::fs::create_dir_all(to).unwrap();
            for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
                let target = to.join(entry.file_name());
                match entry.path().is_dir() {
                    true => copy(&entry.path(), &target),
                    false => drop(std::fs::copy(entry.path(), target).unwrap()),
                }
            }
        }
        let folder = TempDir::new().unwrap();
        copy(&imitated("pi3b"), folder.path());
        Self(folder)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    /// At once, as the kernel's files change.
    fn write(&self, file: &str, text: &str) {
        let new = self.0.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.path(file)).unwrap();
    }
}

/// Measures, and calls `at` after each block with the number of blocks so far.
async fn watch(
    board: &Board,
    held: &Held,
    model: &[u8],
    settings: v1::MeasureSettings,
    mut at: impl AsyncFnMut(usize),
) -> (Vec<v1::SampleBlock>, v1::MeasureSummary) {
    let variant = board.upload(held, model).await;
    let mut events = board.measure_with(held, &[variant], settings).await.unwrap();
    let (mut blocks, mut summary) = (Vec::new(), None);
    while let Some(message) = events.message().await.unwrap() {
        match message.event {
            Some(Event::Block(block)) => {
                blocks.push(block);
                at(blocks.len()).await;
            }
            Some(Event::Summary(last)) => summary = Some(last),
            _ => {}
        }
    }
    (blocks, summary.unwrap())
}

/// So many blocks of six samples, without layers.
fn blocks(count: u32) -> v1::MeasureSettings {
    v1::MeasureSettings { max_samples: 6 * count, layers: false, ..settings() }
}

async fn works(board: &Board, held: &Held) {
    let (blocks, _) = watch(board, held, b"double", blocks(1), async |_| {}).await;
    assert_eq!(blocks.len(), 1);
}

fn reasons(blocks: &[v1::SampleBlock]) -> Vec<&str> {
    blocks.iter().filter_map(|block| block.voided.as_deref()).collect()
}

pub(crate) async fn throttle_bits_set_mid_run_void_what_they_met() {
    let pi = Imitation::new();
    // Under-voltage long ago is not now.
    pi.write(THROTTLED, "10000\n");
    let board = start(pi.0.path()).await;
    let held = board.acquire("ana").await.unwrap();
    let (seen, summary) = watch(&board, &held, b"slow", blocks(6), async |count| {
        // Into the block that has begun meanwhile: a bit that remembers, one that holds, none.
        tokio::time::sleep(Duration::from_millis(60)).await;
        match count {
            1 => pi.write(THROTTLED, "50000\n"),
            3 => pi.write(THROTTLED, "50004\n"),
            4 => pi.write(THROTTLED, "50000\n"),
            _ => {}
        }
    })
    .await;
    let voided = reasons(&seen);
    assert!(voided.contains(&"throttled") && seen[0].voided.is_none(), "{voided:?}");
    assert_eq!(seen.len() - voided.len(), 6, "voided blocks are taken again");
    assert!(seen.last().unwrap().voided.is_none() && summary.cut_short.is_none());
    works(&board, &held).await;
}

pub(crate) async fn a_sensor_that_goes_is_unknown_and_not_fine() {
    let pi = Imitation::new();
    let board = start(pi.0.path()).await;
    let held = board.acquire("ana").await.unwrap();
    let (seen, _) = watch(&board, &held, b"slow", blocks(3), async |_| {
        let _ = std::fs::remove_file(pi.path(THROTTLED));
        let _ = std::fs::remove_dir_all(pi.path("sys/devices/system/cpu/cpu0/cpufreq"));
    })
    .await;
    let (first, last) = (seen[0].before.as_ref().unwrap(), seen[2].after.as_ref().unwrap());
    assert_eq!((first.throttled_bits, first.arm_clock_hz), (Some(0), Some(1_200_000_000)));
    assert_eq!((last.throttled_bits, last.arm_clock_hz, &last.governor), (None, None, &None));
    assert_eq!(last.throttled_source, None);
    works(&board, &held).await;
}

pub(crate) async fn a_board_that_never_cools_ends_in_time_and_says_so() {
    let pi = Imitation::new();
    let board = start(pi.0.path()).await;
    let held = board.acquire("ana").await.unwrap();
    let cool = |celsius, timeout_ms| v1::MeasureSettings {
        cool_to_celsius: Some(celsius),
        cool_timeout_ms: timeout_ms,
        ..blocks(2)
    };
    let begin = Instant::now();
    let (seen, summary) = watch(&board, &held, b"double", cool(40.0, 500), async |_| {}).await;
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    assert_eq!((seen.len(), summary.converged), (0, false));
    let why = summary.cut_short.unwrap();
    assert!(why.starts_with("the board did not cool to 40 °C in") && why.contains("48.3"), "{why}");

    // It cools while it is waited for.
    let cooling = tokio::spawn({
        let file = pi.path(TEMPERATURE);
        async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            std::fs::write(file, "39000\n").unwrap();
        }
    });
    let (seen, summary) = watch(&board, &held, b"double", cool(40.0, 30_000), async |_| {}).await;
    cooling.await.unwrap();
    assert_eq!((seen.len(), summary.cut_short), (2, None));
    assert_eq!(seen[0].before.as_ref().unwrap().temperature_celsius, Some(39.0));

    std::fs::remove_file(pi.path(TEMPERATURE)).unwrap();
    let (seen, summary) = watch(&board, &held, b"double", cool(40.0, 30_000), async |_| {}).await;
    let why = summary.cut_short.unwrap();
    assert!(seen.is_empty() && why.contains("does not tell its temperature"), "{why}");
    works(&board, &held).await;
}

pub(crate) async fn samples_beside_foreign_load_do_not_count() {
    let pi = Imitation::new();
    let board = start(pi.0.path()).await;
    let held = board.acquire("ana").await.unwrap();
    pi.write("proc/stat", "cpu  100 0 0 0 0 0 0 0 0 0\n");
    let (seen, _) = watch(&board, &held, b"slow", blocks(4), async |_| {}).await;
    assert_eq!(reasons(&seen), Vec::<&str>::new());
    assert_eq!(seen.last().unwrap().foreign_load, Some(0.0));

    // Two cores are busy with something else from now on.
    let begin = Instant::now();
    let busy = async {
        loop {
            let ticks = 100 + begin.elapsed().as_millis() / 5;
            pi.write("proc/stat", &format!("cpu  {ticks} 0 0 0 0 0 0 0 0 0\n"));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let measured = tokio::select! {
        measured = watch(&board, &held, b"slow", blocks(4), async |_| {}) => measured,
        _ = busy => unreachable!("it has no end"),
    };
    let (seen, summary) = measured;
    let voided = reasons(&seen);
    assert!(voided.iter().all(|why| why.starts_with("foreign load: others kept")), "{voided:?}");
    assert!(voided.len() >= 10, "{}", voided.len());
    assert!(summary.cut_short.unwrap().contains("foreign load"));
    works(&board, &held).await;
}

pub(crate) async fn the_governor_is_performance_only_while_something_is_measured() {
    let pi = Imitation::new();
    pi.write(GOVERNOR, "ondemand\n");
    let board = start(pi.0.path()).await;
    let held = board.acquire("ana").await.unwrap();
    let under = |blocks: &[v1::SampleBlock]| blocks[0].before.clone().unwrap().governor.unwrap();
    let (seen, summary) = watch(&board, &held, b"double", blocks(1), async |_| {}).await;
    assert_eq!(under(&seen), "ondemand");
    let said = summary.missing.iter().find(|text| text.contains("governor")).unwrap();
    assert!(said.contains("stays ondemand: no helper at"), "{said}");

    let switch = Switch::new(Root::new(pi.0.path()), pi.path("journal"));
    let listener = UnixListener::bind(board.governor_socket()).unwrap();
    let helper = tokio::spawn(helper::serve(listener, switch, std::future::pending()));
    let (seen, summary) = watch(&board, &held, b"double", blocks(1), async |_| {}).await;
    assert_eq!(under(&seen), "performance");
    assert!(summary.missing.iter().all(|text| !text.contains("governor")), "{summary:?}");
    // Also when the measurement does not end by itself.
    let spin = board.upload(&held, b"spin").await;
    let mut running = board.measure(&held, &[spin]).await.unwrap();
    assert!(running.message().await.unwrap().is_some());
    drop(running);
    let begin = Instant::now();
    while std::fs::read_to_string(pi.path(GOVERNOR)).unwrap().trim() != "ondemand" {
        assert!(begin.elapsed() < Duration::from_secs(10), "it was not restored");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    helper.abort();
    works(&board, &held).await;
}

pub(crate) async fn workers_that_stop_die_fork_or_flood_end_alone() {
    let board = start(&imitated("pi3b")).await;
    let held = board.acquire("ana").await.unwrap();
    let cases = [
        ("stop", Code::DeadlineExceeded, "longer than 1500 ms"),
        ("kill", Code::Aborted, "SIGKILL"),
        ("fork", Code::DeadlineExceeded, "longer than 1500 ms"),
        ("write", Code::Aborted, "SIGXFSZ"),
    ];
    for (model, code, cause) in cases {
        let variant = board.upload(&held, model.as_bytes()).await;
        let begin = Instant::now();
        let error = board.events(&held, &[variant]).await.1.unwrap();
        assert_eq!(error.code(), code, "{model}: {error}");
        assert!(error.message().contains(cause), "{model}: {error}");
        assert!(begin.elapsed() < Duration::from_secs(20), "{model}: {:?}", begin.elapsed());
    }
    // What the model has started went with it.
    let sleeps = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let line = std::fs::read(entry.ok()?.path().join("cmdline")).ok()?;
        String::from_utf8_lossy(&line).contains(crate::models::FORKED).then_some(())
    });
    assert_eq!(sleeps.count(), 0);
    // What it says does not fill the agent's memory, nor block it.
    let shout = board.upload(&held, b"shout").await;
    assert!(board.events(&held, &[shout]).await.1.is_none());
    // It is alone with its model: no network, where the system allows to take it away.
    let network = board.upload(&held, b"network").await;
    let (events, error) = board.events(&held, &[network]).await;
    match error {
        Some(error) => assert!(error.message().contains("no network"), "{error}"),
        None => {
            let Some(Event::Summary(summary)) = events.last() else { panic!("no summary") };
            assert!(
                summary.missing.iter().any(|text| text.starts_with("the network")),
                "{summary:?}"
            );
        }
    }
    works(&board, &held).await;
}

pub(crate) async fn where_there_are_no_namespaces_workers_have_no_sockets() {
    // Among users of its own it may forbid itself networks of its own, as a board's kernel does. Where it may not even be
    // among such users, it has no network of its own anyway.
    const WITHOUT: &str = r#"
unshare --user --map-root-user true 2>/dev/null || exec "$0" "$@"
exec unshare --user --map-root-user sh -c 'echo 0 >/proc/sys/user/max_net_namespaces && exec "$0" "$@"' "$0" "$@"
"#;
    let program = std::env::current_exe().unwrap();
    let arguments = ["-c".into(), WITHOUT.into(), program.into(), "worker".into()];
    let launcher = Launcher { program: "/bin/sh".into(), arguments: arguments.into() };
    let board = start_with(&imitated("pi3b"), launcher).await;
    let held = board.acquire("ana").await.unwrap();
    let network = board.upload(&held, b"network").await;
    let error = board.events(&held, &[network]).await.1.unwrap();
    // Not that nobody is reached: there is not even a socket.
    assert!(error.message().contains("no network: Operation not permitted"), "{error}");
    let double = board.upload(&held, b"double").await;
    let (events, error) = board.events(&held, &[double]).await;
    assert!(error.is_none(), "{error:?}");
    let Some(Event::Summary(summary)) = events.last() else { panic!("no summary") };
    assert!(!summary.missing.iter().any(|text| text.starts_with("the network")), "{summary:?}");
}

pub(crate) async fn callers_of_other_versions_are_told() {
    let board = start(&imitated("pi3b")).await;
    let ask = async |min_api_version, max_api_version| {
        let request = v1::GetCapabilitiesRequest { min_api_version, max_api_version };
        board.client.clone().get_capabilities(request).await
    };
    // One older and one newer, alone and beside what this agent speaks.
    for (least, most) in [
        (MIN_API_VERSION - 1, MIN_API_VERSION - 1),
        (API_VERSION + 1, API_VERSION + 1),
        (API_VERSION + 1, API_VERSION),
    ] {
        let refused = ask(least, most).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert!(refused.message().contains("install the same release"), "{refused}");
    }
    for (least, most) in [(MIN_API_VERSION - 1, MIN_API_VERSION), (API_VERSION, API_VERSION + 1)] {
        assert_eq!(ask(least, most).await.unwrap().into_inner().max_api_version, API_VERSION);
    }
    let held = board.acquire("ana").await.unwrap();
    works(&board, &held).await;
}

/// Bytes that are no message, or one of another kind, or one that was cut or changed.
fn nonsense(valid: &[Vec<u8>], runner: &mut TestRunner) -> Vec<u8> {
    let random = proptest::collection::vec(proptest::num::u8::ANY, 0..400);
    let bytes = random.new_tree(runner).unwrap().current();
    let pick = (0..3 * valid.len(), 0..1000usize, 0..=255u8);
    let (which, place, value) = pick.new_tree(runner).unwrap().current();
    let Some(message) = valid.get(which) else { return bytes };
    let mut message = message.clone();
    let place = place % message.len().max(1);
    match value {
        0..128 => message.truncate(place),
        _ => message.iter_mut().skip(place).take(2).for_each(|byte| *byte ^= value),
    }
    message
}

pub(crate) async fn fuzzed_messages_are_refused_in_time() {
    let board = start(&imitated("pi3b")).await;
    let held = board.acquire("ana").await.unwrap();
    let variant = board.upload(&held, b"double").await;
    let valid = raw::valid(&held.lease, &variant, settings());
    let mut runner = TestRunner::deterministic();
    let mut answered = 0;
    for _ in 0..25 {
        for method in raw::METHODS {
            let messages: Vec<Vec<u8>> = (0..2).map(|_| nonsense(&valid, &mut runner)).collect();
            let call = raw::call(board.channel.clone(), method, messages);
            let status = tokio::time::timeout(Duration::from_secs(10), call).await;
            let status = status.unwrap_or_else(|_| panic!("{method} did not answer"));
            answered += 1;
            // None of them is the agent's own fault.
            assert!(status.code() != Code::Unknown, "{method}: {status}");
        }
    }
    assert_eq!(answered, 25 * raw::METHODS.len());

    // No HTTP/2 at all, and a peer that says nothing.
    for bytes in
        [&b"GET / HTTP/1.0\r\n\r\n"[..], &[0xff; 4096], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxxxx"]
    {
        let mut stream = TcpStream::connect(board.address).await.unwrap();
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer));
        assert!(end.await.is_ok(), "the connection stays open");
    }
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(board.address).await.unwrap());
    }
    works(&board, &held).await;
}
