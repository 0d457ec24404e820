-- Not to be edited any more: tests/fixtures/state-0.1.0 was written with it, and a test compares them. What changes is a migration of its
-- own, 0002 and on.

-- Integers inside, public ids in a side column; times are milliseconds since the epoch; bodies are JSON that SQL never looks into.

-- While `frozen_at` or `restored_at` is set no flow is due and no mutating request leaves the gate.
CREATE TABLE site (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    name        TEXT NOT NULL,
    epoch       INTEGER NOT NULL,
    frozen_at   INTEGER,
    frozen_why  TEXT,
    restored_at INTEGER
) STRICT;

-- What persons decided, for ever.
CREATE TABLE audit (
    n       INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    who     TEXT NOT NULL,
    verb    TEXT NOT NULL,
    subject TEXT NOT NULL,
    reason  TEXT NOT NULL
) STRICT;

CREATE TABLE token (
    hash       BLOB PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    project    TEXT NOT NULL,
    role       TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE secret (
    name       TEXT PRIMARY KEY,
    sealed     BLOB NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- What the gate keeps of logins, sealed; the next login overwrites it.
CREATE TABLE session (
    backend    TEXT NOT NULL,
    name       TEXT NOT NULL,
    sealed     BLOB NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (backend, name)
) STRICT, WITHOUT ROWID;

-- How many instances a project may have that are not gone; one without a row has no limit.
CREATE TABLE quota (
    project    TEXT PRIMARY KEY,
    instances  INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE flavor (
    name       TEXT PRIMARY KEY,
    body       TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE image (
    name       TEXT PRIMARY KEY,
    body       TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE network (
    name       TEXT PRIMARY KEY,
    body       TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- Nodes that failed, left out of claims until an operator clears them.
CREATE TABLE quarantine (
    backend TEXT NOT NULL,
    handle  TEXT NOT NULL,
    cause   TEXT NOT NULL,
    strikes INTEGER NOT NULL,
    since   INTEGER NOT NULL,
    PRIMARY KEY (backend, handle)
) STRICT, WITHOUT ROWID;

-- A revision is never changed. `exclusive` is the manifest's list of verbs between commas: `,compose,`.
CREATE TABLE revision (
    id         INTEGER PRIMARY KEY,
    backend    TEXT NOT NULL,
    digest     TEXT NOT NULL,
    exclusive  TEXT NOT NULL,
    body       TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE backend (
    name       TEXT PRIMARY KEY,
    revision   INTEGER NOT NULL REFERENCES revision (id),
    paused_at  INTEGER,
    paused_why TEXT
) STRICT;

CREATE TABLE instance (
    id         INTEGER PRIMARY KEY,
    public_id  TEXT NOT NULL UNIQUE,
    project    TEXT NOT NULL,
    name       TEXT NOT NULL,
    state      TEXT NOT NULL,
    ordered    TEXT NOT NULL,
    composed   INTEGER,
    reason     TEXT,
    addresses  TEXT NOT NULL,
    unverified TEXT NOT NULL,
    degraded   TEXT,
    off        INTEGER NOT NULL DEFAULT 0,
    flow       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    gone_at    INTEGER
) STRICT;
CREATE INDEX instance_of_project ON instance (project, id) WHERE gone_at IS NULL;

-- `budget`: milliseconds that the current task may take; NULL where the service's own holds.
-- The row is the truth about a flow. `wake` is NULL while it waits for another flow or for a person. `backend` is the one that the
-- current task calls. `stopped_since`: one of several pauses has ended, and from when the clocks stand.
CREATE TABLE flow (
    id         INTEGER PRIMARY KEY,
    public_id  TEXT NOT NULL UNIQUE,
    kind       TEXT NOT NULL,
    version    INTEGER NOT NULL,
    project    TEXT NOT NULL,
    instance   TEXT NOT NULL,
    phase      TEXT NOT NULL,
    task       INTEGER NOT NULL,
    attempt    INTEGER NOT NULL,
    round      INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    state      BLOB NOT NULL,
    checkpoint BLOB,
    task_since INTEGER NOT NULL,
    wake       INTEGER,
    cancel     INTEGER NOT NULL DEFAULT 0,
    fault      TEXT,
    progress   TEXT NOT NULL,
    budget     INTEGER,
    exclusive  TEXT,
    follows    TEXT,
    backend    TEXT,
    paused_at  INTEGER,
    paused_why TEXT,
    stopped_since INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX flow_due ON flow (wake) WHERE wake IS NOT NULL;
CREATE INDEX flow_exclusive ON flow (exclusive, task_since, id) WHERE exclusive IS NOT NULL;
CREATE INDEX flow_follows ON flow (follows) WHERE follows IS NOT NULL;
CREATE INDEX flow_instance ON flow (instance, id);
CREATE INDEX flow_project ON flow (project, id);
CREATE INDEX flow_backend ON flow (backend) WHERE backend IS NOT NULL;

CREATE TABLE event (
    n    INTEGER PRIMARY KEY,
    flow TEXT NOT NULL,
    seq  INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX event_of_flow ON event (flow, seq);

-- What was taken, or may have been taken. Only the confirmed end of an undo deletes a row, or a person who writes it off. `owed_at`:
-- since when it is a debt. `off_at`: when its machine was seen off.
CREATE TABLE holding (
    id            INTEGER PRIMARY KEY,
    instance      TEXT NOT NULL,
    role          TEXT NOT NULL,
    backend       TEXT NOT NULL,
    revision      INTEGER NOT NULL REFERENCES revision (id),
    undo_revision INTEGER REFERENCES revision (id),
    operation     TEXT NOT NULL UNIQUE,
    mark          TEXT NOT NULL UNIQUE,
    handle        TEXT,
    facts         TEXT NOT NULL,
    trail         BLOB,
    node          TEXT,
    state         TEXT NOT NULL,
    fault         TEXT,
    since         INTEGER NOT NULL,
    off_at        INTEGER,
    owed_at       INTEGER
) STRICT;
CREATE UNIQUE INDEX holding_handle ON holding (backend, role, handle) WHERE handle IS NOT NULL;
CREATE INDEX holding_instance ON holding (instance, id);

-- No two instances have the same machine.
CREATE TABLE identity (
    kind    TEXT NOT NULL,
    value   TEXT NOT NULL,
    holding INTEGER NOT NULL REFERENCES holding (id),
    PRIMARY KEY (kind, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX identity_holding ON identity (holding);

CREATE TABLE idempotency (
    project    TEXT NOT NULL,
    key        TEXT NOT NULL,
    request    BLOB NOT NULL,
    instance   TEXT NOT NULL,
    flow       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (project, key)
) STRICT, WITHOUT ROWID;

-- How far sweeps of a backend are. `at`: when the last whole look began, `tried_at`: the last one at all. `stopped_at`: the brake holds until
-- a person goes on; `went_on_at`: from when it counts.
CREATE TABLE sweep (
    backend     TEXT PRIMARY KEY,
    at          INTEGER,
    tried_at    INTEGER,
    fault       TEXT,
    nodes       INTEGER NOT NULL DEFAULT 0,
    stopped_at  INTEGER,
    stopped_why TEXT,
    went_on_at  INTEGER NOT NULL DEFAULT 0,
    excused     TEXT
) STRICT;

-- What was released without a person's word: an hour of it, for the brake.
CREATE TABLE automatic (
    n       INTEGER PRIMARY KEY,
    backend TEXT NOT NULL,
    at      INTEGER NOT NULL
) STRICT;
CREATE INDEX automatic_of_backend ON automatic (backend, at);

-- Theirs and not ours: it bears a mark of this site, and no holding has it.
CREATE TABLE orphan (
    id         INTEGER PRIMARY KEY,
    backend    TEXT NOT NULL,
    role       TEXT NOT NULL,
    mark       TEXT NOT NULL,
    handle     TEXT NOT NULL,
    said       TEXT NOT NULL,
    flow       TEXT,
    round      INTEGER NOT NULL,
    instance   TEXT,
    state      TEXT NOT NULL,
    why        TEXT,
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    UNIQUE (backend, role, mark)
) STRICT;
CREATE INDEX orphan_mark ON orphan (mark);

-- Ours and not theirs: no list has it, and `find` says that it is absent.
CREATE TABLE missing (
    holding    INTEGER PRIMARY KEY REFERENCES holding (id) ON DELETE CASCADE,
    kept       INTEGER NOT NULL DEFAULT 0,
    why        TEXT,
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL
) STRICT;

-- Marks of which a driver promised that nothing is left and nothing can appear. What appears under one came late.
CREATE TABLE promise (
    mark      TEXT PRIMARY KEY,
    backend   TEXT NOT NULL,
    role      TEXT NOT NULL,
    revision  INTEGER NOT NULL REFERENCES revision (id),
    instance  TEXT NOT NULL,
    at        INTEGER NOT NULL,
    broken_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX promise_kept ON promise (at) WHERE broken_at IS NULL;
CREATE INDEX promise_broken ON promise (revision) WHERE broken_at IS NOT NULL;
