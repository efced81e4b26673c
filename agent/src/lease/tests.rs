//! One holder at a time, whoever comes and goes.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

#[test]
fn one_holder_at_a_time_and_epochs_grow() {
    let leases = Leases::default();
    let first = leases.acquire("ana@host").unwrap();
    let busy = leases.acquire("bo").unwrap_err().to_string();
    assert!(busy.contains("held by ana@host (lease 1)") && !busy.contains("wait"), "{busy}");
    let old = first.proof.clone();
    assert!(leases.check(&old).is_ok());
    drop(first);
    let second = leases.acquire("bo\n").unwrap();
    assert_eq!(second.proof.epoch, 2);
    assert_eq!(leases.check(&old).unwrap_err(), LeaseError::Stale { epoch: 1 });
    let guessed = Proof { epoch: 2, token: old.token };
    assert_eq!(leases.check(&guessed).unwrap_err(), LeaseError::Stale { epoch: 2 });
    assert!(leases.check(&second.proof).is_ok());
}

#[test]
fn of_many_at_once_one_wins() {
    let leases = Leases::default();
    let got: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|i| {
                scope.spawn({
                    let leases = &leases;
                    move || leases.acquire(&i.to_string())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(got.iter().filter(|result| result.is_ok()).count(), 1);
}

#[tokio::test]
async fn the_end_wakes_those_who_watch() {
    let leases = Leases::default();
    let held = leases.acquire("ana").unwrap();
    let watch = leases.check(&held.proof).unwrap();
    drop(held);
    tokio::time::timeout(std::time::Duration::from_secs(5), watch.ended()).await.unwrap();
}

/// Waits in the queue for as long as it takes.
async fn wait(place: &mut Place) -> HeldLease {
    loop {
        if let Turn::Mine(held) = place.turn().unwrap() {
            return held;
        }
        place.moved().await;
    }
}

#[tokio::test]
async fn first_come_first_served_and_who_goes_leaves_the_queue() {
    let leases = Leases::default();
    let held = leases.acquire("ana").unwrap();
    let mut places = ["bo", "cy", "di"].map(|name| leases.line_up(name).unwrap());
    for (index, place) in places.iter_mut().enumerate() {
        let Turn::Waits { position, occupancy } = place.turn().unwrap() else { panic!() };
        assert_eq!((position, occupancy.waiting), (index + 1, 3));
        assert_eq!(occupancy.holder.as_deref(), Some("ana"));
    }
    let [bo, mut cy, mut di] = places;
    drop(bo);
    assert!(matches!(di.turn().unwrap(), Turn::Waits { position: 2, .. }));
    drop(held);
    let late = leases.acquire("late").unwrap_err();
    assert!(late.to_string().contains("free, and 2 wait"), "nobody jumps the queue: {late}");
    assert!(matches!(di.turn().unwrap(), Turn::Waits { position: 2, .. }));
    let held = wait(&mut cy).await;
    assert_eq!(leases.occupancy().holder.as_deref(), Some("cy"));
    let next = tokio::spawn(async move { wait(&mut di).await });
    tokio::task::yield_now().await;
    drop(held);
    assert_eq!(next.await.unwrap().proof.epoch, 3);
}

#[tokio::test]
async fn a_drained_board_keeps_its_lease_and_gives_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let leases = Leases::kept_in(folder.path());
    let held = leases.acquire("ana").unwrap();
    let mut waits = leases.line_up("bo").unwrap();
    assert!(matches!(waits.turn().unwrap(), Turn::Waits { .. }));
    let occupancy = leases.drain(Some("new power supply")).unwrap();
    assert_eq!(occupancy.draining.as_deref(), Some("new power supply"));
    waits.moved().await;
    for refused in [waits.turn().unwrap_err(), leases.acquire("cy").unwrap_err()] {
        assert!(refused.to_string().contains("new power supply"), "{refused}");
    }
    assert!(leases.check(&held.proof).is_ok());
    drop((held, waits));
    // An agent that is started again is drained still.
    let leases = Leases::kept_in(folder.path());
    assert!(matches!(leases.acquire("cy").unwrap_err(), LeaseError::Draining { .. }));
    assert_eq!(leases.drain(None).unwrap(), Occupancy::default());
    leases.drain(None).unwrap();
    assert!(Leases::kept_in(folder.path()).acquire("cy").is_ok());
}

/// Two orchestrators that want the board all the time, and one that loses patience again and again.
#[test]
fn of_ten_thousand_leases_none_has_two_holders_and_none_is_lost() {
    const LEASES: u64 = 10_000;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_time().build();
    let leases = Leases::default();
    let (taken, holders) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let racer = |name: &'static str| {
        let (leases, taken, holders) = (leases.clone(), taken.clone(), holders.clone());
        async move {
            let mut old: Option<Proof> = None;
            for _ in 0..LEASES / 2 {
                let held = wait(&mut leases.line_up(name).unwrap()).await;
                assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "two holders");
                assert!(leases.check(&held.proof).is_ok());
                assert_eq!(leases.occupancy().holder.as_deref(), Some(name));
                if let Some(old) = old.replace(held.proof.clone()) {
                    assert!(old.epoch < held.proof.epoch);
                    assert!(leases.check(&old).is_err(), "an old lease is in force");
                }
                taken.fetch_add(1, Ordering::SeqCst);
                holders.fetch_sub(1, Ordering::SeqCst);
                drop(held);
            }
        }
    };
    let both = (racer("one"), racer("other"));
    runtime.unwrap().block_on(async {
        let impatient = tokio::spawn({
            let leases = leases.clone();
            async move {
                loop {
                    let mut place = leases.line_up("impatient").unwrap();
                    let turn = place.turn().unwrap();
                    tokio::task::yield_now().await;
                    drop((turn, place));
                }
            }
        });
        let racers = [tokio::spawn(both.0), tokio::spawn(both.1)];
        for racer in racers {
            let limit = Duration::from_secs(120);
            tokio::time::timeout(limit, racer).await.expect("a lease was lost").unwrap();
        }
        impatient.abort();
        let _ = impatient.await;
    });
    assert_eq!(taken.load(Ordering::SeqCst), LEASES);
    assert_eq!(leases.occupancy(), Occupancy::default());
}
