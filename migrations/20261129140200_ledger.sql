-- What was about to be done to contacts, written before it was done and copied to files outside of the database at once,
-- so that a restored database can be compared with what happened (R-46, R-47).

CREATE TABLE dsrd.ledger (
  organisation_id text NOT NULL REFERENCES dsrd.organisation,
  entry_id uuid NOT NULL,
  request_id uuid NOT NULL,
  at timestamptz NOT NULL,
  record jsonb NOT NULL,
  settled text CHECK (settled IN ('still_so', 'repeated', 'left')),
  PRIMARY KEY (organisation_id, entry_id)
);
CREATE INDEX ledger_at ON dsrd.ledger (at);
COMMENT ON TABLE dsrd.ledger IS 'Erasures, opt-outs and reports as they were begun: keyed hashes and the sealed id of the contact. Rows are never changed; they go when the oldest backup has gone.';
COMMENT ON COLUMN dsrd.ledger.record IS 'The entry as it stands in the file outside.';
COMMENT ON COLUMN dsrd.ledger.settled IS 'For an entry that a restore had lost: what was found or decided when it was replayed.';

CREATE FUNCTION dsrd.keep_ledger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'an entry of the ledger is never changed' USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER ledger_stays BEFORE UPDATE OR TRUNCATE ON dsrd.ledger
  FOR EACH STATEMENT EXECUTE FUNCTION dsrd.keep_ledger();
GRANT SELECT, INSERT, DELETE ON dsrd.ledger TO dsrd_service;
