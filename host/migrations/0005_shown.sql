-- Whether looks at many machines tell when the flow's wait ends, so that its own wake is far off. Those looks are in memory alone: a new
-- run begins with a call of each such flow.
ALTER TABLE flow ADD COLUMN shown INTEGER NOT NULL DEFAULT 0;
CREATE INDEX flow_shown ON flow (id) WHERE shown;
