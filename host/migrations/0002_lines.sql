-- `place` in the line at `exclusive`: when it came, and 0 from its first answer on, when its turn has begun.
ALTER TABLE flow ADD COLUMN place INTEGER;
UPDATE flow SET place = CASE WHEN checkpoint IS NULL THEN task_since ELSE 0 END WHERE exclusive IS NOT NULL;
DROP INDEX flow_exclusive;
CREATE INDEX flow_exclusive ON flow (exclusive, place, id) WHERE exclusive IS NOT NULL;

-- Timelines by the flow's own number, with what every line has as columns. `flow.lines` counts them.
ALTER TABLE flow ADD COLUMN lines INTEGER NOT NULL DEFAULT 0;

ALTER TABLE event RENAME TO event_before;
DROP INDEX event_of_flow;
CREATE TABLE event (
    n    INTEGER PRIMARY KEY,
    flow INTEGER NOT NULL,
    seq  INTEGER NOT NULL,
    at   INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
INSERT INTO event (n, flow, seq, at, body)
SELECT e.n, f.id, e.seq, json_extract(e.body, '$.at'), json_remove(e.body, '$.at', '$.seq')
FROM event_before e JOIN flow f ON f.public_id = e.flow ORDER BY e.n;
DROP TABLE event_before;
CREATE INDEX event_of_flow ON event (flow, seq);

UPDATE flow SET lines = (SELECT coalesce(max(seq), 0) FROM event WHERE event.flow = flow.id);
