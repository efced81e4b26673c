//! Migrations, concurrency, kills and damage.

use quantrack_engine::Level;
use tempfile::TempDir;

use super::*;
use crate::measurement::{Block, BoardFacts, Conditions, Resources};
use crate::spec::Measure;

fn variant(bytes: &[u8], level: Level) -> VariantRecord {
    VariantRecord {
        sha256: crate::digest::hex_digest(bytes),
        model_sha256: crate::digest::hex_digest(b"model"),
        level,
        recipe: "minmax".to_owned(),
        bytes: bytes.len() as u64,
        exemptions: Vec::new(),
    }
}

fn key() -> MeasurementKey {
    MeasurementKey { device: "board".to_owned(), engine_build: "e1".to_owned(), threads: 1 }
}

/// A store with one board and the variants `int8` and `fp32` of stage `a` in pipeline `p`.
async fn prepared(home: &TempDir) -> Store {
    let store = Store::open(home.path()).await.unwrap();
    let facts = BoardFacts::default();
    let (fingerprint, address) = ("board".to_owned(), "local".to_owned());
    store.save_device(&DeviceRecord { fingerprint, address, facts }).await.unwrap();
    let mut candidates = Vec::new();
    for level in [Level::Int8, Level::Fp32] {
        let bytes = level.name().as_bytes();
        store.save_variant(level.name(), &variant(bytes, level), bytes).await.unwrap();
        candidates.push(("a".to_owned(), variant(bytes, level)));
    }
    store.save_candidates("p", &candidates).await.unwrap();
    store
}

fn block(level: Level, round: u32, duration_ns: Vec<u64>, voided: Option<&str>) -> Block {
    let before = Conditions { temperature_celsius: Some(50.0), ..Conditions::default() };
    let after = Conditions {
        temperature_celsius: Some(51.5),
        throttled_bits: Some(1 << round),
        ..Conditions::default()
    };
    let sha256 = crate::digest::hex_digest(level.name().as_bytes());
    Block { sha256, round, duration_ns, before, after, voided: voided.map(str::to_owned) }
}

async fn begin(store: &Store) -> i64 {
    let settings = Measure::default();
    let new = NewMeasurement { key: &key(), agent_version: "0", settings: &settings };
    store.begin_measurement(&new).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_may_create_one_store_at_the_same_time() {
    for _ in 0..25 {
        let home = TempDir::new().unwrap();
        let open = || {
            let home = home.path().to_owned();
            tokio::spawn(async move { Store::open(&home).await.map(drop) })
        };
        for opened in [open(), open(), open(), open(), open(), open()] {
            opened.await.unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn samples_become_a_row_and_voided_ones_do_not_count() {
    let home = TempDir::new().unwrap();
    let store = prepared(&home).await;
    let id = begin(&store).await;
    store.save_block(id, &block(Level::Int8, 0, vec![3_000, 1_000], None)).await.unwrap();
    store.save_block(id, &block(Level::Int8, 1, vec![9_000], Some("hot"))).await.unwrap();
    store.save_block(id, &block(Level::Int8, 2, vec![2_000], None)).await.unwrap();
    store.save_block(id, &block(Level::Fp32, 3, vec![9_000], Some("hot"))).await.unwrap();
    let sha = |level: Level| variant(level.name().as_bytes(), level).sha256;
    let variants =
        [Level::Int8, Level::Fp32].map(|level| (sha(level), Resources::default())).to_vec();
    let without = store.finish_measurement(id, &key(), &variants, &[3], true).await.unwrap();
    assert_eq!(without, [sha(Level::Fp32)], "all samples of fp32 were voided");
    assert!(store.has_latency(&key(), &sha(Level::Int8)).await.unwrap());
    let other = MeasurementKey { engine_build: "e2".to_owned(), ..key() };
    assert!(!store.has_latency(&other, &sha(Level::Int8)).await.unwrap());
    let rows = store.table(&TableFilter::default()).await.unwrap();
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!((row.stage.as_str(), row.level, row.summary.median_us), ("a", Level::Int8, 2.0));
    assert_eq!((row.summary.samples, row.summary.voided), (3, 1));
    assert_eq!(row.conditions.temperature_celsius, Some((50.0, 51.5)));
    assert_eq!(row.conditions.throttled_bits, Some(0b111));
    assert_eq!(row.conditions.void_reasons, ["hot"]);
    let elsewhere = TableFilter { pipeline: Some("q".to_owned()), ..TableFilter::default() };
    assert!(store.table(&elsewhere).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_newest_is_what_came_last_though_the_clock_jumps_a_day_either_way() {
    let home = TempDir::new().unwrap();
    let store = prepared(&home).await;
    let sha256 = variant(b"int8", Level::Int8).sha256;
    let variants = [(sha256.clone(), Resources::default())];
    for (build, jump) in [("e1", "+1 day"), ("e2", "-1 day"), ("e3", "+0 days")] {
        let id = begin(&store).await;
        store.save_block(id, &block(Level::Int8, 0, vec![5_000], None)).await.unwrap();
        let key = MeasurementKey { engine_build: build.to_owned(), ..key() };
        store.finish_measurement(id, &key, &variants, &[], true).await.unwrap();
        let session = StoredSession {
            board: "pi3".to_owned(),
            model: "palm".to_owned(),
            sha256: sha256.clone(),
            setup: String::new(),
            within_noise: true,
            body: build.to_owned(),
            measured_at: String::new(),
        };
        store.save_session(&session).await.unwrap();
        let clock = "UPDATE latency SET measured_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?1) WHERE engine_build = ?2;
             UPDATE session SET measured_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?1) WHERE body = '\"' || ?2 || '\"'";
        for statement in clock.split(';') {
            let query = sqlx::query(statement).bind(jump).bind(build);
            assert_eq!(query.execute(&store.pool).await.unwrap().rows_affected(), 1);
        }
    }
    let rows = store.table(&TableFilter::default()).await.unwrap();
    let builds: Vec<&str> = rows.iter().map(|row| row.engine_build.as_str()).collect();
    assert_eq!(builds, ["e3", "e2", "e1"]);
    let nights: Vec<StoredSession<String>> = store.sessions(None, None, None).await.unwrap();
    assert_eq!(
        nights.iter().map(|night| night.body.as_str()).collect::<Vec<_>>(),
        ["e1", "e2", "e3"]
    );
}

#[tokio::test]
async fn a_measurement_that_was_cut_off_leaves_no_row_and_does_not_disturb_the_next() {
    let home = TempDir::new().unwrap();
    let sha256 = variant(b"int8", Level::Int8).sha256;
    {
        let store = prepared(&home).await;
        let id = begin(&store).await;
        store.save_block(id, &block(Level::Int8, 0, vec![1], None)).await.unwrap();
    }
    let store = Store::open(home.path()).await.unwrap();
    assert!(!store.has_latency(&key(), &sha256).await.unwrap());
    let id = begin(&store).await;
    store.save_block(id, &block(Level::Int8, 0, vec![5_000], None)).await.unwrap();
    let variants = [(sha256, Resources::default())];
    store.finish_measurement(id, &key(), &variants, &[], false).await.unwrap();
    let rows = store.table(&TableFilter::default()).await.unwrap();
    assert_eq!((rows[0].summary.median_us, rows[0].summary.samples), (5.0, 1));
}

#[tokio::test]
async fn variants_are_found_by_what_they_were_built_from_and_damage_is_noticed() {
    let home = TempDir::new().unwrap();
    let store = prepared(&home).await;
    let built = store.built_variant("int8").await.unwrap().unwrap();
    assert_eq!(built, variant(b"int8", Level::Int8));
    assert_eq!(store.variant_bytes(&built.sha256).unwrap(), b"int8");
    assert_eq!(store.built_variant("other").await.unwrap(), None);
    let file = home.path().join("variants").join(format!("{}.safetensors", built.sha256));
    std::fs::write(&file, b"junk").unwrap();
    let message = store.variant_bytes(&built.sha256).unwrap_err().to_string();
    assert!(message.contains("delete the file"), "{message}");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(store.built_variant("int8").await.unwrap(), None, "a lost file is built again");
    assert!(store.variant_bytes("../../etc/passwd").is_err());
}

#[tokio::test]
async fn journals_and_evaluations_come_back() {
    let home = TempDir::new().unwrap();
    let store = prepared(&home).await;
    store.journal("k", &[("1.jpg".to_owned(), true), ("2.jpg".to_owned(), false)]).await.unwrap();
    store.journal("k", &[("2.jpg".to_owned(), true)]).await.unwrap();
    let journal = store.journalled::<bool>("k").await.unwrap();
    assert_eq!(
        journal.into_iter().collect::<Vec<_>>(),
        [("1.jpg".to_owned(), true), ("2.jpg".to_owned(), true)]
    );
    let evaluation = StoredEvaluation {
        key: "k".to_owned(),
        pipeline: "p".to_owned(),
        stage: None,
        body: vec![1, 2],
    };
    store.save_evaluation(&evaluation).await.unwrap();
    assert_eq!(store.evaluation::<Vec<i32>>("k").await.unwrap(), Some(vec![1, 2]));
    assert_eq!(store.evaluations::<Vec<i32>>("p").await.unwrap(), [evaluation]);
    let kind = ArtifactKind::Search;
    store.save_artifact(kind, "p", "board", &1).await.unwrap();
    store.save_artifact(kind, "p", "other", &2).await.unwrap();
    let newest = |device| store.newest_artifact::<i32>(kind, "p", device);
    assert_eq!(newest(None).await.unwrap().unwrap().body, 2);
    assert_eq!(newest(Some("board")).await.unwrap().unwrap().body, 1);
    assert_eq!(newest(Some("none")).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_may_open_a_new_store_and_write_at_once() {
    let home = TempDir::new().unwrap();
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let path = home.path().to_owned();
            tokio::spawn(async move {
                let store = Store::open(&path).await.unwrap();
                for index in 0..25 {
                    let sample = format!("{writer}-{index}");
                    store.journal("shared", &[(sample, writer)]).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let store = Store::open(home.path()).await.unwrap();
    assert_eq!(store.journalled::<i32>("shared").await.unwrap().len(), 200);
}

#[tokio::test]
async fn a_newer_schema_and_damage_are_refused_with_a_next_step() {
    let home = TempDir::new().unwrap();
    let store = Store::open(home.path()).await.unwrap();
    sqlx::raw_sql("PRAGMA user_version = 99").execute(&store.pool).await.unwrap();
    store.pool.close().await;
    let message = Store::open(home.path()).await.unwrap_err().to_string();
    assert!(message.contains("schema 99") && message.contains("--store"), "{message}");
    let junk = home.path().join("junk.sqlite");
    std::fs::write(&junk, "this is certainly no database, not even a small one".repeat(99))
        .unwrap();
    let error = Store::open(&junk).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    let error = Store::open(std::path::Path::new("/dev/null/store")).await.unwrap_err();
    assert!(error.to_string().contains("/dev/null"), "{error}");
}

/// A store in which a journal of 12 batches of 5 results is all that the write-ahead log holds.
async fn journalled(home: &TempDir) -> Store {
    let store = Store::open(home.path()).await.unwrap();
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&store.pool).await.unwrap();
    for batch in 10..22 {
        let results: Vec<(String, i64)> = (0..5).map(|i| (format!("{batch}/{i}"), i)).collect();
        store.journal("key", &results).await.unwrap();
    }
    store
}

#[tokio::test]
async fn a_journal_cut_anywhere_holds_its_first_batches_and_goes_on() {
    let home = TempDir::new().unwrap();
    let store = journalled(&home).await;
    let database = std::fs::read(home.path().join("store.sqlite")).unwrap();
    let log = std::fs::read(home.path().join("store.sqlite-wal")).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for cut in (0..=log.len()).step_by(log.len() / 60).chain([log.len()]) {
        let copy = TempDir::new().unwrap();
        std::fs::write(copy.path().join("store.sqlite"), &database).unwrap();
        std::fs::write(copy.path().join("store.sqlite-wal"), &log[..cut]).unwrap();
        let store = Store::open(copy.path()).await.unwrap();
        let known = store.journalled::<i64>("key").await.unwrap();
        let batches = known.len() / 5;
        let first =
            (10..10 + batches).flat_map(|batch| (0..5).map(move |i| format!("{batch}/{i}")));
        assert!(known.keys().cloned().eq(first), "cut at {cut}: {known:?}");
        store.journal("key", &[("new".to_owned(), 1)]).await.unwrap();
        assert_eq!(store.journalled::<i64>("key").await.unwrap().len(), known.len() + 1);
        seen.insert(batches);
    }
    assert_eq!((seen.first(), seen.last()), (Some(&0), Some(&12)));
    drop(store);
}

#[tokio::test]
async fn a_database_cut_anywhere_is_told_as_damaged() {
    let home = TempDir::new().unwrap();
    let store = journalled(&home).await;
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&store.pool).await.unwrap();
    store.pool.close().await;
    let database = std::fs::read(home.path().join("store.sqlite")).unwrap();
    for cut in (1..database.len()).step_by(database.len() / 40) {
        let copy = TempDir::new().unwrap();
        std::fs::write(copy.path().join("store.sqlite"), &database[..cut]).unwrap();
        let read = async { Store::open(copy.path()).await?.journalled::<i64>("key").await };
        match read.await {
            Ok(known) => assert!(known.is_empty() || known.len() == 60, "{cut}: {}", known.len()),
            Err(error) => assert!(matches!(error, StoreError::Corrupt { .. }), "{cut}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_store_without_nightly_tables_gets_them_and_keeps_its_rows() {
    let home = TempDir::new().unwrap();
    let store = prepared(&home).await;
    let old = "DROP TABLE session; DROP TABLE baseline; DROP TABLE board; DROP TABLE quarantine;
        DROP TABLE accuracy_baseline; PRAGMA user_version = 1";
    sqlx::raw_sql(old).execute(&store.pool).await.unwrap();
    store.pool.close().await;
    let store = Store::open(home.path()).await.unwrap();
    assert_eq!(store.devices().await.unwrap().len(), 1);
    assert!(store.baselines::<i64>(None).await.unwrap().is_empty());
}

#[tokio::test]
async fn baselines_are_replaced_and_sessions_are_added() {
    let home = TempDir::new().unwrap();
    let store = prepared(&home).await;
    let baseline = |name: &str, body: i64| StoredBaseline {
        name: name.to_owned(),
        board: "pi3".to_owned(),
        model: "palm".to_owned(),
        body,
        set_at: String::new(),
    };
    for (name, body) in [("main", 1), ("other", 2), ("main", 3)] {
        store.save_baseline(&baseline(name, body)).await.unwrap();
    }
    let bodies = |all: Vec<StoredBaseline<i64>>| all.iter().map(|one| one.body).collect::<Vec<_>>();
    assert_eq!(bodies(store.baselines(None).await.unwrap()), [3, 2]);
    assert_eq!(bodies(store.baselines(Some("other")).await.unwrap()), [2]);
    let session = |board: &str, level: Level, body: i64| StoredSession {
        board: board.to_owned(),
        model: "palm".to_owned(),
        sha256: variant(level.name().as_bytes(), level).sha256,
        setup: "setup".to_owned(),
        within_noise: body < 3,
        body,
        measured_at: String::new(),
    };
    for (board, level, body) in
        [("a", Level::Int8, 1), ("b", Level::Int8, 2), ("a", Level::Fp32, 3)]
    {
        store.save_session(&session(board, level, body)).await.unwrap();
    }
    let all: Vec<StoredSession<i64>> = store.sessions(None, Some("palm"), None).await.unwrap();
    assert_eq!(
        all.iter().map(|one| (one.body, one.within_noise)).collect::<Vec<_>>(),
        [(1, true), (2, true), (3, false)]
    );
    let sha256 = &all[2].sha256;
    let one: Vec<StoredSession<i64>> = store.sessions(Some("a"), None, Some(sha256)).await.unwrap();
    assert_eq!(one.iter().map(|one| one.body).collect::<Vec<_>>(), [3]);
    assert!(store.sessions::<i64>(None, Some("hand"), None).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_lock_has_one_holder() {
    let home = TempDir::new().unwrap();
    let store = Store::open(home.path()).await.unwrap();
    let held = store.lock("local", "measuring").unwrap();
    let message = store.lock("local", "measuring").unwrap_err().to_string();
    assert!(message.contains(&std::process::id().to_string()), "{message}");
    drop(held);
    store.lock("local", "measuring").unwrap();
}
