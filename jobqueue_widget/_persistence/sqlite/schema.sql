-- The journal of a queue, version 3. A change needs a new VERSION, a step in STEPS (journal.py) and
-- a fixture (tests/data/README.md).
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- One row for each kernel that had the journal; ended_at is NULL if it did not close the journal.
CREATE TABLE sessions (
    run_id     TEXT PRIMARY KEY,
    pid        INTEGER NOT NULL,
    host       TEXT NOT NULL,
    title      TEXT NOT NULL,
    started_at REAL NOT NULL,
    seen_at    REAL NOT NULL,
    ended_at   REAL
);

-- Pickles of functions, one for all jobs that run it.
CREATE TABLE functions (
    digest BLOB PRIMARY KEY,
    data   BLOB NOT NULL,
    source TEXT
);

-- What was asked for, written once. The number is the key: it grows, so that a new job touches one
-- page of this table and one of the next. `seal` proves that our user wrote function and call.
CREATE TABLE jobs (
    number     INTEGER PRIMARY KEY,
    id         TEXT NOT NULL,
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL,
    options    TEXT NOT NULL,
    shown      TEXT NOT NULL,
    missing    TEXT,
    function   BLOB,
    call       BLOB,
    seal       BLOB,
    retry_of   TEXT,
    created_at REAL NOT NULL
);

-- The state of each job, written at each change but progress.
CREATE TABLE standings (
    number        INTEGER PRIMARY KEY,
    id            TEXT NOT NULL,
    status        TEXT NOT NULL,
    attempt       INTEGER NOT NULL,
    priority      INTEGER NOT NULL,
    rank          INTEGER NOT NULL,
    asked         INTEGER NOT NULL,
    held          INTEGER NOT NULL,
    hold_then     TEXT NOT NULL,
    hold_until    REAL,
    started_at    REAL,
    completed_at  REAL,
    message       TEXT NOT NULL,
    executor      TEXT NOT NULL,
    cancel_reason TEXT NOT NULL,
    finished_before_cancel INTEGER NOT NULL,
    failure       TEXT,
    ended_number  INTEGER,
    place         TEXT,
    progress      REAL
);

-- Results and logs are read one by one, so they have tables of their own.
CREATE TABLE results (
    id    TEXT PRIMARY KEY,
    form  TEXT NOT NULL,
    data  BLOB NOT NULL,
    shown TEXT NOT NULL,
    seal  BLOB
) WITHOUT ROWID;
CREATE TABLE logs (
    id   TEXT PRIMARY KEY,
    tail BLOB NOT NULL
) WITHOUT ROWID;

-- What else an ended job has told, as JSON: what it has measured, displayed and used over time.
CREATE TABLE told (
    id      TEXT PRIMARY KEY,
    metrics TEXT,
    outputs TEXT,
    usage   TEXT
) WITHOUT ROWID;
