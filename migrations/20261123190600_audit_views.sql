-- What auditors read. The views show the log and the cases, never an identifier, a contact id or a sealed value.

CREATE VIEW audit_view.log AS
  SELECT seq, at, organisation_id, case_id, action, outcome, actor, intent, uid, detail, sealed_at
  FROM audit.entry;
COMMENT ON VIEW audit_view.log IS 'The audit log in its order. Page with: WHERE seq > <last seen> ORDER BY seq LIMIT n.';

CREATE VIEW audit_view.request AS
  SELECT organisation_id, request_id AS case_id, reference, kind, origin, channel, received_at, due_on, state,
         park_reason, outcome, executed_at, verified_at, informed_at, closed_at
  FROM dsrd.request;
COMMENT ON VIEW audit_view.request IS 'Every request with its dates and outcome; join with log on case_id.';

CREATE VIEW audit_view.open_intent AS
  SELECT intent.seq, intent.at, intent.organisation_id, intent.case_id, intent.action, intent.actor, intent.uid
  FROM audit.entry AS intent
  WHERE intent.action LIKE '%.began'
    AND NOT EXISTS (SELECT FROM audit.entry AS ended WHERE ended.intent = intent.uid);
COMMENT ON VIEW audit_view.open_intent IS 'Outside effects that were announced and whose end is not recorded (yet).';

CREATE VIEW audit_view.sweep AS
  SELECT organisation_id, sweep_id, scheduled_for, started_at, created_before, state, reason, contacts, candidates,
         unreadable, submitted, finished_at
  FROM dsrd.sweep;
COMMENT ON VIEW audit_view.sweep IS 'Every retention sweep with its counts.';

CREATE VIEW audit_view.notice AS
  SELECT organisation_id, request_id AS case_id, kind, message_id, language, state, attempts, last_code, template,
         encode(text_sha256, 'hex') AS text_sha256, enqueued_at, attempted_at, sent_at
  FROM dsrd.notice;
COMMENT ON VIEW audit_view.notice IS 'Every notice to a person, with the proof of its sending.';

GRANT SELECT ON ALL TABLES IN SCHEMA audit_view TO auditor, dsrd_service;
ALTER VIEW audit_view.log OWNER TO dsrd_audit;
ALTER VIEW audit_view.open_intent OWNER TO dsrd_audit;

-- Whoever migrates handed the log over and needs its owner's rights no more: the daemon may be the same login.
DO $$
BEGIN
  EXECUTE format('REVOKE dsrd_audit FROM %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  NULL;
END
$$;
