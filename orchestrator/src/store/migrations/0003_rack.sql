-- The boards of the rack, by the name that they have given themselves.
CREATE TABLE board (
    name     TEXT PRIMARY KEY,
    address  TEXT NOT NULL UNIQUE,             -- as the user gave it
    facts    TEXT NOT NULL,                    -- JSON, as they were when it was seen last
    labels   TEXT NOT NULL,                    -- JSON: names in order
    added_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    seen_at  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

-- When boards were off their own history, and when they were back. The newest row of a board tells which.
CREATE TABLE quarantine (
    id    INTEGER PRIMARY KEY,
    board TEXT NOT NULL,
    cause TEXT,                                -- null: over
    at    TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;
CREATE INDEX quarantine_newest ON quarantine (board, id);

-- Accuracy that nightly checks compare with, by the name of the baseline and that of the assignment in the suite.
CREATE TABLE accuracy_baseline (
    name       TEXT NOT NULL,
    assignment TEXT NOT NULL,
    body       TEXT NOT NULL,                  -- JSON: variants, images, answers
    set_at     TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    PRIMARY KEY (name, assignment)
) STRICT;
