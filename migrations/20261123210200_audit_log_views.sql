-- What auditors read, over the log in its new form. The columns are those of before.

CREATE VIEW audit_view.log AS
  SELECT entry.seq, entry.at, entry.organisation_id, entry.case_id, entry.action, entry.outcome,
         coalesce('person:' || known.name, entry.actor) AS actor, entry.intent, entry.uid,
         audit.detail_of(entry.entry) AS detail, entry.sealed_at
  FROM audit.entry AS entry
  LEFT JOIN audit_private.actor AS known ON known.actor_id = entry.actor;
COMMENT ON VIEW audit_view.log IS
  'The audit log in its order. Page with: WHERE seq > <last seen> ORDER BY seq LIMIT n. People stand by their login name as long as it is kept.';

CREATE VIEW audit_view.open_intent AS
  SELECT intent.seq, intent.at, intent.organisation_id, intent.case_id, intent.action, intent.actor, intent.uid
  FROM audit_view.log AS intent
  WHERE intent.action LIKE '%.began'
    AND NOT EXISTS (SELECT FROM audit.entry AS ended WHERE ended.intent = intent.uid);
COMMENT ON VIEW audit_view.open_intent IS 'Outside effects that were announced and whose end is not recorded (yet).';

-- Entries that are not sealed yet, read in the same way.
CREATE VIEW audit.pending AS
  SELECT inbox_id, uid, audit.instant_of(audit.field(entry, 'at_us')::bigint) AS at,
         audit.field(entry, 'tenant') AS organisation_id, audit.field(entry, 'case')::uuid AS case_id,
         audit.field(entry, 'action') AS action, audit.field(entry, 'outcome') AS outcome,
         coalesce('person:' || known.name, audit.field(entry, 'actor')) AS actor, audit.field(entry, 'intent')::uuid AS intent,
         audit.detail_of(entry) AS detail
  FROM audit.inbox
  LEFT JOIN audit_private.actor AS known ON known.actor_id = audit.field(entry, 'actor');
COMMENT ON VIEW audit.pending IS 'Entries that are written but not yet sealed.';

GRANT SELECT ON audit_view.log, audit_view.open_intent TO auditor, aud_reader, dsrd_service;
GRANT USAGE ON SCHEMA audit_view TO aud_reader;
GRANT SELECT ON audit.pending TO aud_reader, auditor, dsrd_service;
ALTER VIEW audit_view.log OWNER TO aud_owner;
ALTER VIEW audit_view.open_intent OWNER TO aud_owner;
ALTER VIEW audit.pending OWNER TO aud_owner;

-- Whoever migrates handed the log over and needs its owners' rights no more: the daemon may be the same login.
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['aud_owner', 'dsrd_audit'] LOOP
    BEGIN
      EXECUTE format('REVOKE %I FROM %I', name, current_user);
    EXCEPTION WHEN insufficient_privilege THEN
      NULL;
    END;
  END LOOP;
END
$$;
