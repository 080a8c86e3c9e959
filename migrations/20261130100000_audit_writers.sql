-- Each entry says which process wrote it and as its how many-th (fields w and n, which entries have had from the start). A
-- process enters itself here when it announces itself, and leaves when it has closed its account; who has not been heard
-- of for long is declared ended by another one. The table is working data: what counts as evidence stands in the log.

DO $$
BEGIN
  EXECUTE format('GRANT aud_owner TO %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  -- Somebody else made the role; they must have granted it already.
  NULL;
END
$$;

CREATE TABLE audit.writer (
  writer text PRIMARY KEY CHECK (writer ~ '^[0-9a-f]{16}$'),
  entered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  beat_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE audit.writer IS
  'Processes that write entries and have not closed their account. Working data; the log has writer.start, writer.stop, writer.ended.';
COMMENT ON COLUMN audit.writer.writer IS 'As the field w of its entries.';
COMMENT ON COLUMN audit.writer.beat_at IS 'When it was last heard of; after ten minutes another process declares it ended.';

CREATE OR REPLACE VIEW audit.pending AS
  SELECT inbox_id, uid, audit.instant_of(audit.field(entry, 'at_us')::bigint) AS at,
         audit.field(entry, 'tenant') AS organisation_id, audit.field(entry, 'case')::uuid AS case_id,
         audit.field(entry, 'action') AS action, audit.field(entry, 'outcome') AS outcome,
         coalesce('person:' || known.name, audit.field(entry, 'actor')) AS actor, audit.field(entry, 'intent')::uuid AS intent,
         audit.detail_of(entry) AS detail,
         audit.field(entry, 'w') AS writer, audit.field(entry, 'n')::bigint AS wseq
  FROM audit.inbox
  LEFT JOIN audit_private.actor AS known ON known.actor_id = audit.field(entry, 'actor');

ALTER TABLE audit.writer OWNER TO aud_owner;
GRANT SELECT, INSERT (writer), UPDATE (beat_at), DELETE ON audit.writer TO dsrd_service;
GRANT SELECT ON audit.writer TO aud_reader, auditor;

DO $$
BEGIN
  EXECUTE format('REVOKE aud_owner FROM %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  NULL;
END
$$;
