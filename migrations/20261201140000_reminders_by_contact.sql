-- A request may turn out to be a reminder when its contact is found (R-12): before anything was done for it, of an open request
-- of the same kind and scope about the same contact that was received before. It keeps its own dates, and the first keeps its.

CREATE INDEX request_open_of_contact ON dsrd.request (organisation_id, contact_id)
  WHERE state <> 'closed' AND contact_id IS NOT NULL;
COMMENT ON COLUMN dsrd.request.reminds_of IS 'The open request of the same kind of which this one is a reminder: named by the same identifiers at its receipt, or found to be about the same contact (then procedure_version is set).';

CREATE OR REPLACE FUNCTION dsrd.keep_reminder() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.reminds_of IS NULL AND OLD.state IN ('received', 'in_progress')
     AND NEW.state = 'closed' AND NEW.outcome = 'superseded'
     AND NEW.kind IN ('access', 'portability', 'erasure')
     AND NEW.origin = 'subject' AND NEW.requester_role = 'self'
     AND EXISTS (SELECT FROM dsrd.request AS first
                 WHERE first.organisation_id = NEW.organisation_id AND first.request_id = NEW.reminds_of
                   AND first.request_id <> NEW.request_id AND first.kind = NEW.kind
                   AND first.origin = 'subject' AND first.requester_role = 'self'
                   AND first.state <> 'closed' AND first.contact_id = NEW.contact_id
                   AND first.erasure_ground IS NOT DISTINCT FROM NEW.erasure_ground
                   AND first.received_at <= NEW.received_at)
     AND NOT EXISTS (SELECT FROM dsrd.checkpoint AS step
                     WHERE step.organisation_id = NEW.organisation_id AND step.request_id = NEW.request_id
                       AND step.step <> 'locate') THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a request is a reminder from its receipt on, or before anything was done for it, or never'
    USING ERRCODE = 'integrity_constraint_violation';
END
$$;
