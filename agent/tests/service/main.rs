//! The service over loopback, with real worker processes: this program, started again with `worker`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod client;
mod faults;
mod models;
mod raw;

use std::future::Future;
use std::time::Duration;

use client::{Held, header, imitated, settings, start};
use libtest_mimic::{Arguments, Failed, Trial};
use quantrack_agent::worker::{child, limits};
use quantrack_proto::v1;
use quantrack_proto::v1::measure_response::Event;
use quantrack_proto::v1::upload_blob_request::Part;
use tonic::Code;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("worker") {
        limits::fix_addresses();
        let (mut orders, mut replies) = (std::io::stdin().lock(), std::io::stdout().lock());
        child::serve(&models::Models, &mut orders, &mut replies).unwrap();
        return;
    }
    let tests = vec![
        test("one_holder_at_a_time", one_holder_at_a_time),
        test("who_waits_is_told_and_comes_in_turn", who_waits_is_told_and_comes_in_turn),
        test("a_drained_board_ends_what_it_does", a_drained_board_ends_what_it_does),
        test("old_and_made_up_leases_are_refused", old_and_made_up_leases_are_refused),
        test("bad_uploads_are_refused", bad_uploads_are_refused),
        test("measures_interleaved_with_conditions", measures_interleaved_with_conditions),
        test("throttling_voids_every_block", throttling_voids_every_block),
        test("misbehaving_models_end_their_worker_only", misbehaving_models_end_their_worker_only),
        test("a_holder_that_goes_frees_the_board", a_holder_that_goes_frees_the_board),
        test("a_caller_that_goes_ends_its_measurement", a_caller_that_goes_ends_its_measurement),
        test("runs_on_given_inputs", runs_on_given_inputs),
        test(
            "throttle_bits_set_mid_run_void_what_they_met",
            faults::throttle_bits_set_mid_run_void_what_they_met,
        ),
        test(
            "a_sensor_that_goes_is_unknown_and_not_fine",
            faults::a_sensor_that_goes_is_unknown_and_not_fine,
        ),
        test(
            "a_board_that_never_cools_ends_in_time_and_says_so",
            faults::a_board_that_never_cools_ends_in_time_and_says_so,
        ),
        test(
            "samples_beside_foreign_load_do_not_count",
            faults::samples_beside_foreign_load_do_not_count,
        ),
        test(
            "the_governor_is_performance_only_while_something_is_measured",
            faults::the_governor_is_performance_only_while_something_is_measured,
        ),
        test(
            "workers_that_stop_die_fork_or_flood_end_alone",
            faults::workers_that_stop_die_fork_or_flood_end_alone,
        ),
        test(
            "where_there_are_no_namespaces_workers_have_no_sockets",
            faults::where_there_are_no_namespaces_workers_have_no_sockets,
        ),
        test("callers_of_other_versions_are_told", faults::callers_of_other_versions_are_told),
        test("fuzzed_messages_are_refused_in_time", faults::fuzzed_messages_are_refused_in_time),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}

/// Runs on one thread, as the agent does.
fn test<F>(name: &str, body: fn() -> F) -> Trial
where
    F: Future<Output = ()> + 'static,
{
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let limit = Duration::from_secs(60);
        let ended = runtime?.block_on(async { tokio::time::timeout(limit, body()).await });
        ended.map_err(|_| Failed::from("took longer than a minute"))
    })
}

async fn one_holder_at_a_time() {
    let board = start(&imitated("pi3b")).await;
    let racers = futures_of(&board, 8).await;
    assert_eq!(racers.iter().filter(|won| won.is_ok()).count(), 1);
    for lost in racers.iter().filter_map(|won| won.as_ref().err()) {
        assert_eq!(lost.code(), Code::ResourceExhausted);
        assert!(lost.message().contains("racer"), "{lost}");
    }
}

async fn futures_of(board: &client::Board, count: usize) -> Vec<Result<Held, tonic::Status>> {
    let (a, b, c, d) = tokio::join!(
        board.acquire("racer a"),
        board.acquire("racer b"),
        board.acquire("racer c"),
        board.acquire("racer d"),
    );
    let mut all = vec![a, b, c, d];
    while all.len() < count {
        all.push(board.acquire("racer late").await);
    }
    all
}

/// The message in which a waiting client learns what it waits for.
async fn told(
    stream: &mut tonic::Streaming<v1::AcquireLeaseResponse>,
    wanted: impl Fn(&v1::AcquireLeaseResponse) -> bool,
) -> v1::AcquireLeaseResponse {
    loop {
        let message = stream.message().await.unwrap().unwrap();
        if wanted(&message) {
            return message;
        }
    }
}

async fn who_waits_is_told_and_comes_in_turn() {
    let board = start(&imitated("pi3b")).await;
    let held = board.acquire("ana").await.unwrap();
    let at = |position| {
        move |message: &v1::AcquireLeaseResponse| {
            message.place.as_ref().is_some_and(|place| place.position == position)
        }
    };
    let mut bo = board.line_up("bo", 60_000).await.unwrap();
    let place = told(&mut bo, at(1)).await.place.unwrap();
    assert_eq!(place.occupancy.unwrap().holder.as_deref(), Some("ana"));
    let mut cy = board.line_up("cy", 60_000).await.unwrap();
    told(&mut cy, at(2)).await;
    let request = v1::GetConditionsRequest {};
    let now = board.client.clone().get_conditions(request).await.unwrap().into_inner();
    assert_eq!(now.occupancy.unwrap().waiting, 2);
    // Who has no time is told whom it waited for.
    let mut late = board.line_up("late", 100).await.unwrap();
    let ended = loop {
        match late.message().await {
            Ok(message) => assert_eq!(message.unwrap().place.unwrap().position, 3),
            Err(status) => break status,
        }
    };
    assert_eq!(ended.code(), Code::DeadlineExceeded, "{ended}");
    assert!(ended.message().contains("held by ana (lease 1)"), "{ended}");
    drop(bo);
    told(&mut cy, at(1)).await;
    drop(held);
    let lease = told(&mut cy, |message| message.lease.is_some()).await.lease.unwrap();
    assert_eq!(lease.epoch, 2);
}

async fn a_drained_board_ends_what_it_does() {
    let board = start(&imitated("pi3b")).await;
    let held = board.acquire("ana").await.unwrap();
    let drain = async |reason: Option<&str>| {
        let request = v1::DrainRequest { reason: reason.map(str::to_owned) };
        board.client.clone().drain(request).await.unwrap().into_inner().occupancy.unwrap()
    };
    let now = drain(Some("a new fan")).await;
    assert_eq!((now.holder.as_deref(), now.draining.as_deref()), (Some("ana"), Some("a new fan")));
    let variant = board.upload(&held, b"double").await;
    assert!(board.events(&held, &[variant]).await.1.is_none(), "the lease in force goes on");
    for wait_ms in [0, 1000] {
        let refused = board.line_up("bo", wait_ms).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
        assert!(refused.message().contains("a new fan"), "{refused}");
    }
    drop(held);
    assert_eq!(drain(None).await.draining, None);
    board.acquire_soon().await;
}

async fn old_and_made_up_leases_are_refused() {
    let board = start(&imitated("pi3b")).await;
    let first = board.acquire("first").await.unwrap();
    let digest = board.upload(&first, b"double").await;
    let old = first.lease.clone();
    drop(first);
    let second = board.acquire_soon().await;
    assert!(second.lease.epoch > old.epoch);
    let made_up = v1::Lease { epoch: second.lease.epoch, token: "0".repeat(32) };
    for lease in [Some(old), Some(made_up), None] {
        let variant_sha256 = vec![digest.clone()];
        let request = v1::MeasureRequest { lease, variant_sha256, settings: Some(settings()) };
        let refused = board.client.clone().measure(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    }
}

async fn bad_uploads_are_refused() {
    let board = start(&imitated("pi3b")).await;
    let held = board.acquire("ana").await.unwrap();
    let chunk = |bytes: &[u8]| Part::Chunk(bytes.to_vec());
    let head = |size| header(&held.lease, b"double", size);
    let escape = Part::Header(v1::BlobHeader {
        lease: Some(held.lease.clone()),
        sha256: "../../../etc/passwd".to_owned(),
        size_bytes: 1,
    });
    let cases = [
        (vec![head(6), chunk(b"dauble")], Code::DataLoss),
        (vec![head(6), chunk(b"doub")], Code::DataLoss),
        (vec![head(6), chunk(b"double"), chunk(b"!")], Code::DataLoss),
        (vec![chunk(b"double"), head(6)], Code::InvalidArgument),
        (vec![head(6), head(6)], Code::InvalidArgument),
        (vec![head(2 << 20), chunk(&vec![0; (1 << 20) + 1])], Code::InvalidArgument),
        (vec![head(5 << 20)], Code::ResourceExhausted),
        (vec![head(u64::MAX)], Code::ResourceExhausted),
        (vec![escape], Code::InvalidArgument),
        (vec![], Code::InvalidArgument),
    ];
    for (index, (parts, code)) in cases.into_iter().enumerate() {
        let refused = board.send(parts).await.unwrap_err();
        assert_eq!(refused.code(), code, "case {index}: {refused}");
    }
    board.upload(&held, b"double").await;
}

async fn measures_interleaved_with_conditions() {
    let board = start(&imitated("pi3b")).await;
    let held = board.acquire("ana").await.unwrap();
    let variants = [board.upload(&held, b"slow").await, board.upload(&held, b"double").await];
    let (events, error) = board.events(&held, &variants).await;
    assert!(error.is_none(), "{error:?}");
    let blocks = events.iter().filter_map(|event| match event {
        Event::Block(block) => Some(block),
        _ => None,
    });
    let blocks: Vec<&v1::SampleBlock> = blocks.collect();
    let order: Vec<(u32, u32)> = blocks.iter().map(|block| (block.variant, block.block)).collect();
    assert_eq!(order, [(0, 0), (1, 1), (0, 2), (1, 3)]);
    for block in blocks {
        assert_eq!((block.duration_ns.len(), block.voided.as_ref()), (6, None));
        assert_eq!(block.before.as_ref().unwrap().arm_clock_hz, Some(1_200_000_000));
        assert_eq!(block.after.as_ref().unwrap().throttled_bits, Some(0));
        let slow = block.duration_ns.iter().all(|&ns| ns >= 20_000_000);
        assert_eq!(slow, block.variant == 0, "{:?}", block.duration_ns);
    }
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Layers(_))).count(), 2);
    let Some(Event::Summary(summary)) = events.last() else { panic!("no summary") };
    assert_eq!(summary.variants.len(), 2);
    assert!(summary.variants[0].peak_memory_bytes.unwrap() > 0);
    assert_eq!(summary.lease, Some(held.lease.clone()));
}

async fn throttling_voids_every_block() {
    let board = start(&imitated("pi3bplus")).await;
    let held = board.acquire("ana").await.unwrap();
    let variant = board.upload(&held, b"double").await;
    let (events, error) = board.events(&held, &[variant]).await;
    assert!(error.is_none(), "{error:?}");
    let voided = events.iter().filter_map(|event| match event {
        Event::Block(block) => Some((block.block, block.voided.as_deref())),
        _ => None,
    });
    let (numbers, voided): (Vec<u32>, Vec<Option<&str>>) = voided.unzip();
    assert!(numbers.iter().copied().eq(0..numbers.len() as u32), "{numbers:?}");
    assert!(!voided.is_empty() && voided.len() <= 20, "{}", voided.len());
    assert!(voided.iter().all(|reason| *reason == Some("throttled, under-voltage")));
    let Some(Event::Summary(summary)) = events.last() else { panic!("no summary") };
    assert!(!summary.converged);
}

async fn misbehaving_models_end_their_worker_only() {
    let board = start(&imitated("pi3b")).await;
    let held = board.acquire("ana").await.unwrap();
    let cases = [
        ("crash", Code::Aborted, "SIGABRT"),
        ("allocate", Code::ResourceExhausted, "memory limit of 2147483648 bytes"),
        ("spin", Code::DeadlineExceeded, "longer than 1500 ms"),
        ("nonsense", Code::InvalidArgument, "\"nonsense\" is no model"),
    ];
    for (model, code, cause) in cases {
        let variant = board.upload(&held, model.as_bytes()).await;
        let error = board.events(&held, &[variant]).await.1.unwrap();
        assert_eq!(error.code(), code, "{model}: {error}");
        assert!(error.message().contains(cause), "{model}: {error}");
    }
    let variant = board.upload(&held, b"double").await;
    assert!(board.events(&held, &[variant]).await.1.is_none());
}

async fn a_holder_that_goes_frees_the_board() {
    let board = start(&imitated("pi3b")).await;
    let held = board.acquire("ana").await.unwrap();
    let variant = board.upload(&held, b"spin").await;
    let mut running = board.measure(&held, &[variant]).await.unwrap();
    assert!(running.message().await.unwrap().is_some());
    drop(held);
    let error = loop {
        match running.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended without an error"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
    let next = board.acquire_soon().await;
    let variant = board.upload(&next, b"double").await;
    assert!(board.events(&next, &[variant]).await.1.is_none());
}

async fn a_caller_that_goes_ends_its_measurement() {
    let board = start(&imitated("pi3b")).await;
    let held = board.acquire("ana").await.unwrap();
    let spin = board.upload(&held, b"spin").await;
    let mut running = board.measure(&held, &[spin]).await.unwrap();
    assert!(running.message().await.unwrap().is_some());
    drop(running);
    let double = board.upload(&held, b"double").await;
    assert!(board.events(&held, &[double]).await.1.is_none());
}

async fn runs_on_given_inputs() {
    let board = start(&imitated("pi3b")).await;
    let held = board.acquire("ana").await.unwrap();
    let variant_sha256 = board.upload(&held, b"double").await;
    let lease = Some(held.lease.clone());
    let header = v1::RunHeader { lease, variant_sha256, threads: 1, memory_limit_bytes: 0 };
    let x = |shape: Vec<u64>| v1::Tensor {
        name: "x".to_owned(),
        shape,
        f32_le: [1.0f32, 2.0, 3.0, 4.0].iter().flat_map(|v| v.to_le_bytes()).collect(),
    };
    let inputs = |shape| v1::run_request::Part::Inputs(v1::TensorSet { tensors: vec![x(shape)] });
    let parts = [v1::run_request::Part::Header(header), inputs(vec![2, 2]), inputs(vec![4])];
    let requests = parts.map(|part| v1::RunRequest { part: Some(part) });
    let answer = board.client.clone().run(tokio_stream::iter(requests)).await.unwrap();
    let mut answers = answer.into_inner();
    let first = answers.message().await.unwrap().unwrap();
    let doubled: Vec<u8> = [2.0f32, 4.0, 6.0, 8.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(first.outputs.unwrap().tensors[0].f32_le, doubled);
    let error = answers.message().await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("[2, 2], not [4]"), "{error}");
}
