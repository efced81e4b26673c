-- What nightly checks compare with: the runs of a model on a board, by the name of the baseline. A board goes by the name
-- that it has given itself.
CREATE TABLE baseline (
    name   TEXT NOT NULL,
    board  TEXT NOT NULL,
    model  TEXT NOT NULL,
    body   TEXT NOT NULL,                      -- JSON: variant, setup of the board, settings, runs
    set_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    PRIMARY KEY (name, board, model)
) STRICT;

-- Runs of one variant on a board in one night, for the board's noise and for the history.
CREATE TABLE session (
    id           INTEGER PRIMARY KEY,
    board        TEXT NOT NULL,
    model        TEXT NOT NULL,
    sha256       TEXT NOT NULL REFERENCES variant,
    setup        TEXT NOT NULL,                -- digest of all that makes sessions comparable
    within_noise INTEGER NOT NULL,             -- whether its scatter is that of the board: nothing was found in it
    body         TEXT NOT NULL,                -- JSON: medians of the runs, measurements, verdict
    measured_at  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;
CREATE INDEX session_of_model ON session (board, model, id);
