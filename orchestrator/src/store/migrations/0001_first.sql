-- Times are UTC text as strftime('%Y-%m-%dT%H:%M:%fZ') writes it; digests are SHA-256 in lower-case hexadecimal.

-- Boards. The fingerprint covers all that makes timings comparable; the address is where it was seen last.
CREATE TABLE device (
    fingerprint TEXT PRIMARY KEY,
    address     TEXT NOT NULL,
    facts       TEXT NOT NULL,                 -- JSON
    seen_at     TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

-- Variants by their content; the files lie beside the database.
CREATE TABLE variant (
    sha256       TEXT PRIMARY KEY,
    model_sha256 TEXT NOT NULL,
    level        TEXT NOT NULL,
    recipe       TEXT NOT NULL,
    bytes        INTEGER NOT NULL,
    exemptions   TEXT NOT NULL,                -- JSON
    built_at     TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

-- What came out of building with certain inputs: the cache of the builder.
CREATE TABLE build (
    key    TEXT PRIMARY KEY,                   -- digest of everything that goes into a variant
    sha256 TEXT NOT NULL REFERENCES variant
) STRICT;

-- Which variant a pipeline's stage now has at a level by a recipe.
CREATE TABLE candidate (
    pipeline TEXT NOT NULL,
    stage    TEXT NOT NULL,
    position INTEGER NOT NULL,                 -- of the stage in the pipeline
    level    TEXT NOT NULL,
    recipe   TEXT NOT NULL,
    sha256   TEXT NOT NULL REFERENCES variant,
    PRIMARY KEY (pipeline, stage, level, recipe)
) STRICT;

-- One request to measure; finished_at is null while it runs, and for ever if it was cut off.
CREATE TABLE measurement (
    id            INTEGER PRIMARY KEY,
    device        TEXT NOT NULL REFERENCES device,
    engine_build  TEXT NOT NULL,
    agent_version TEXT NOT NULL,
    threads       INTEGER NOT NULL,
    settings      TEXT NOT NULL,               -- JSON
    cores         TEXT,                        -- JSON, those that the worker was pinned to
    converged     INTEGER,
    started_at    TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    finished_at   TEXT
) STRICT;

-- Raw samples, as they arrived.
CREATE TABLE block (
    measurement INTEGER NOT NULL REFERENCES measurement,
    sha256      TEXT NOT NULL REFERENCES variant,
    round       INTEGER NOT NULL,
    duration_ns BLOB NOT NULL,                 -- 64-bit little-endian integers
    before      TEXT NOT NULL,                 -- JSON: conditions
    after       TEXT NOT NULL,                 -- JSON: conditions
    voided      TEXT,                          -- why the samples do not count
    PRIMARY KEY (measurement, sha256, round)
) STRICT;

-- Layers timed inside whole inferences.
CREATE TABLE layer (
    measurement INTEGER NOT NULL REFERENCES measurement,
    sha256      TEXT NOT NULL REFERENCES variant,
    position    INTEGER NOT NULL,
    body        TEXT NOT NULL,                 -- JSON
    PRIMARY KEY (measurement, sha256, position)
) STRICT;

-- The latency table: the newest finished measurement for each key.
CREATE TABLE latency (
    device       TEXT NOT NULL REFERENCES device,
    sha256       TEXT NOT NULL REFERENCES variant,
    threads      INTEGER NOT NULL,
    engine_build TEXT NOT NULL,
    measurement  INTEGER NOT NULL REFERENCES measurement,
    summary      TEXT NOT NULL,                -- JSON: statistics of the samples that count
    conditions   TEXT NOT NULL,                -- JSON: summary over the blocks
    resources    TEXT NOT NULL,                -- JSON: memory, kernels
    measured_at  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    PRIMARY KEY (device, sha256, threads, engine_build)
) STRICT;

-- Per-sample results of an evaluation, written while it runs. The key is a digest of everything that decides them.
CREATE TABLE journal (
    key    TEXT NOT NULL,
    sample TEXT NOT NULL,
    result TEXT NOT NULL,                      -- JSON
    PRIMARY KEY (key, sample)
) STRICT;

-- Finished evaluations.
CREATE TABLE evaluation (
    key          TEXT PRIMARY KEY,
    pipeline     TEXT NOT NULL,
    stage        TEXT,                         -- null: end to end
    body         TEXT NOT NULL,                -- JSON
    evaluated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

-- Results of later steps: searches and verifications.
CREATE TABLE artifact (
    id       INTEGER PRIMARY KEY,
    kind     TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    device   TEXT NOT NULL,
    body     TEXT NOT NULL,                    -- JSON
    made_at  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;
CREATE INDEX artifact_newest ON artifact (kind, pipeline, device, id);
