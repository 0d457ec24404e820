-- Which revision the current task calls. What is stopped about a plugin stops those flows.
ALTER TABLE flow ADD COLUMN calls INTEGER;
CREATE INDEX flow_calls ON flow (calls) WHERE calls IS NOT NULL;
UPDATE flow SET calls = (
    SELECT coalesce(h.undo_revision, h.revision) FROM holding h
    WHERE h.instance = flow.instance AND h.backend = flow.backend ORDER BY h.id DESC LIMIT 1)
WHERE phase IN ('forward', 'backward') AND backend IS NOT NULL;

-- `served`: it was the backend's newest at some time, and not a canary alone. `withdrawn_at`: a roll-back left it.
ALTER TABLE revision ADD COLUMN served INTEGER NOT NULL DEFAULT 1;
ALTER TABLE revision ADD COLUMN withdrawn_at INTEGER;
CREATE INDEX revision_digest ON revision (digest);

-- What operators say of plugin files. Disabled: not called until it is enabled. Denied: nor added or bound.
CREATE TABLE plugin (
    digest       TEXT PRIMARY KEY,
    disabled_at  INTEGER,
    disabled_why TEXT,
    denied_at    INTEGER,
    denied_why   TEXT
) STRICT, WITHOUT ROWID;

-- By a plugin's name: no older version is bound any more, but by a roll-back.
CREATE TABLE plugin_floor (
    name    TEXT PRIMARY KEY,
    version TEXT NOT NULL,
    why     TEXT NOT NULL,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Plugins that break at a backend, a row until one of their calls is whole. `broken`: calls in a row; `opened`: how often it was opened;
-- `until`: nobody calls before then, and then one flow alone.
CREATE TABLE breaker (
    id      INTEGER PRIMARY KEY,
    backend TEXT NOT NULL,
    digest  TEXT NOT NULL,
    broken  INTEGER NOT NULL,
    opened  INTEGER NOT NULL DEFAULT 0,
    until   INTEGER,
    why     TEXT NOT NULL,
    since   INTEGER NOT NULL,
    UNIQUE (backend, digest)
) STRICT;

-- A plugin on trial at a backend: a canary gets some operations, any other swap all of them. `enough`: so many operations that end
-- whole, and it stays; none: a person says so. `most`: so many broken calls, and `before` is the newest again.
CREATE TABLE trial (
    backend  TEXT PRIMARY KEY,
    revision INTEGER NOT NULL REFERENCES revision (id),
    digest   TEXT NOT NULL,
    before   INTEGER NOT NULL REFERENCES revision (id),
    canary   INTEGER NOT NULL,
    remaining INTEGER,
    instance TEXT,
    project  TEXT,
    enough   INTEGER,
    ended    INTEGER NOT NULL DEFAULT 0,
    broken   INTEGER NOT NULL DEFAULT 0,
    most     INTEGER NOT NULL,
    since    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
