-- The key that seals what users sent and what drivers keep, wrapped by the master key that stands outside. The first start after this
-- migration makes it, and seals what is there: `instance.ordered`, `flow.state`, `flow.checkpoint`, `holding.trail`, `secret.sealed`.
CREATE TABLE store_key (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    wrapped BLOB NOT NULL
) STRICT;

-- The order is a blob from now on. `ordered` is empty in what was written since.
ALTER TABLE instance ADD COLUMN sealed_order BLOB;
