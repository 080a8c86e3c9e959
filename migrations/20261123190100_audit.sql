-- The audit log, first form. Writers put entries into audit.inbox inside the transaction of the change they record;
-- the sealer numbers what is committed and moves it to audit.entry. Writers therefore take no common lock, and a log
-- read by page never gains rows in the past.

CREATE TABLE audit.inbox (
  inbox_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  uid uuid NOT NULL,
  at timestamptz NOT NULL,
  organisation_id text NOT NULL CHECK (organisation_id ~ '^[a-z][a-z0-9-]{0,39}$'),
  case_id uuid,
  action text NOT NULL CHECK (action ~ '^[a-z_]{1,40}(\.[a-z_]{1,40}){1,2}$'),
  outcome text CHECK (outcome ~ '^[a-z_]{1,40}$'),
  actor text NOT NULL CHECK (actor ~ '^(person|process|schedule|producer):[A-Za-z0-9_.-]{1,63}$'),
  intent uuid,
  -- A flat object of numbers, booleans and short words of a closed alphabet: no room for free text or an identifier. One
  -- regular expression without counted repetitions, because the check runs on every append.
  detail jsonb NOT NULL CHECK (
    length(detail::text) <= 1000
    AND detail::text ~ '^\{("[a-z][a-z0-9_]*": ("[A-Za-z0-9_.:/ +-]*"|-?[0-9]+|true|false)(, )?)*\}$'
  )
);

CREATE TABLE audit.entry (
  seq bigint PRIMARY KEY CHECK (seq > 0),
  uid uuid NOT NULL UNIQUE,
  at timestamptz NOT NULL,
  organisation_id text NOT NULL,
  case_id uuid,
  action text NOT NULL,
  outcome text,
  actor text NOT NULL,
  intent uuid,
  detail jsonb NOT NULL,
  sealed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX entry_case ON audit.entry (case_id, seq) WHERE case_id IS NOT NULL;
CREATE INDEX entry_action ON audit.entry (action, at);
CREATE INDEX entry_intent ON audit.entry (intent) WHERE intent IS NOT NULL;

COMMENT ON TABLE audit.inbox IS 'Entries written but not yet numbered; emptied by audit.seal().';
COMMENT ON TABLE audit.entry IS 'The log: one row an event, numbered 1..n without gap, never changed, never deleted.';
COMMENT ON COLUMN audit.entry.seq IS 'Sealing order. Within one case it is the order of the events.';
COMMENT ON COLUMN audit.entry.uid IS 'Id of the entry, chosen by its writer (UUID version 7).';
COMMENT ON COLUMN audit.entry.at IS 'When it happened, by the writer''s clock, UTC.';
COMMENT ON COLUMN audit.entry.case_id IS 'The request concerned; random, says nothing about the person.';
COMMENT ON COLUMN audit.entry.action IS 'What happened, from the closed vocabulary of docs/audit-log.md.';
COMMENT ON COLUMN audit.entry.outcome IS 'How it ended, where the action is the end of something.';
COMMENT ON COLUMN audit.entry.actor IS 'person:<login>, process:<role>, schedule:<name> or producer:<database role>.';
COMMENT ON COLUMN audit.entry.intent IS 'For the end of an outside effect: uid of the entry that announced it.';
COMMENT ON COLUMN audit.entry.detail IS 'Counts and short words; never an identifier, never free text.';
COMMENT ON COLUMN audit.entry.sealed_at IS 'When the sealer numbered the entry, by the database''s clock.';

-- Moves up to `most` committed entries from the inbox to the log and returns how many. Lock, reading of the last
-- number and insertion are statements of their own: in one statement the snapshot would be older than the lock and
-- two sealers would draw the same number.
CREATE FUNCTION audit.seal(most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  last bigint;
  sealed integer;
BEGIN
  PERFORM pg_advisory_xact_lock(7236123, 1);
  SELECT coalesce(max(seq), 0) INTO last FROM audit.entry;
  WITH taken AS (
    DELETE FROM audit.inbox
    WHERE inbox_id IN (SELECT inbox_id FROM audit.inbox ORDER BY inbox_id LIMIT most)
    RETURNING *
  )
  INSERT INTO audit.entry (seq, uid, at, organisation_id, case_id, action, outcome, actor, intent, detail)
  SELECT last + row_number() OVER (ORDER BY inbox_id),
         uid, at, organisation_id, case_id, action, outcome, actor, intent, detail
  FROM taken;
  GET DIAGNOSTICS sealed = ROW_COUNT;
  RETURN sealed;
END
$$;

CREATE FUNCTION audit.refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF TG_TABLE_NAME = 'inbox' AND TG_OP = 'DELETE' AND current_user = 'dsrd_audit' THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'audit.% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER inbox_rows_stay BEFORE UPDATE OR DELETE ON audit.inbox
  FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER inbox_stays BEFORE TRUNCATE ON audit.inbox
  FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER entry_rows_stay BEFORE UPDATE OR DELETE ON audit.entry
  FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER entry_stays BEFORE TRUNCATE ON audit.entry
  FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
ALTER TABLE audit.inbox ENABLE ALWAYS TRIGGER inbox_rows_stay;
ALTER TABLE audit.inbox ENABLE ALWAYS TRIGGER inbox_stays;
ALTER TABLE audit.entry ENABLE ALWAYS TRIGGER entry_rows_stay;
ALTER TABLE audit.entry ENABLE ALWAYS TRIGGER entry_stays;

ALTER TABLE audit.inbox OWNER TO dsrd_audit;
ALTER TABLE audit.entry OWNER TO dsrd_audit;
ALTER FUNCTION audit.seal(integer) OWNER TO dsrd_audit;
ALTER FUNCTION audit.refuse_change() OWNER TO dsrd_audit;
REVOKE EXECUTE ON FUNCTION audit.seal(integer) FROM PUBLIC;

GRANT INSERT, SELECT ON audit.inbox TO dsrd_service;
GRANT SELECT ON audit.entry TO dsrd_service;
GRANT EXECUTE ON FUNCTION audit.seal(integer) TO dsrd_service;
