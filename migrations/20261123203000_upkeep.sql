-- What the service forgets by itself (src/upkeep). Nothing here touches a request that is open.

-- The identifier itself goes first; its pseudonym stays beside the case as long as the evidence does.
ALTER TABLE dsrd.identifier ALTER COLUMN sealed DROP NOT NULL;
COMMENT ON COLUMN dsrd.identifier.sealed IS 'The identifier, encrypted for its row; emptied some time after its request was closed.';
GRANT UPDATE (sealed) ON dsrd.identifier TO dsrd_service;

ALTER TABLE dsrd.request
  ADD COLUMN identifiers_forgotten_at timestamptz,
  ADD COLUMN contact_forgotten_at timestamptz,
  DROP CONSTRAINT retention_names_its_contact,
  ADD CONSTRAINT retention_names_its_contact CHECK (
    origin = 'subject' OR contact_forgotten_at IS NOT NULL OR (contact_id IS NOT NULL AND created_before IS NOT NULL)),
  ADD CONSTRAINT only_closed_requests_are_forgotten CHECK (
    state = 'closed' OR (identifiers_forgotten_at IS NULL AND contact_forgotten_at IS NULL)),
  ADD CONSTRAINT a_forgotten_contact_is_not_named CHECK (contact_forgotten_at IS NULL OR contact_id IS NULL);
COMMENT ON COLUMN dsrd.request.identifiers_forgotten_at IS 'When the identifiers of the closed request were emptied.';
COMMENT ON COLUMN dsrd.request.contact_forgotten_at IS 'When the platform''s id of the contact, and the checkpoints that name it, were deleted.';
CREATE INDEX request_closed ON dsrd.request (closed_at) WHERE closed_at IS NOT NULL;

GRANT DELETE ON dsrd.request, dsrd.checkpoint, dsrd.notice, dsrd.package, dsrd.job_done, dsrd.stray_effect,
                dsrd.sweep, dsrd.sweep_candidate TO dsrd_service;

-- The right to delete rows came with this migration; an open request must not be lost by it.
CREATE FUNCTION dsrd.keep_open_request() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'an open request is never deleted' USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER request_open_stays BEFORE DELETE ON dsrd.request
  FOR EACH ROW WHEN (OLD.state <> 'closed') EXECUTE FUNCTION dsrd.keep_open_request();

-- A decision stays as it was made, as long as the case does. What would lead back to the person goes with the rest.
CREATE OR REPLACE FUNCTION dsrd.keep_decision() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  forgotten boolean;
BEGIN
  IF TG_LEVEL = 'ROW' THEN
    SELECT contact_forgotten_at IS NOT NULL INTO forgotten
    FROM dsrd.request
    WHERE organisation_id = OLD.organisation_id AND request_id = OLD.request_id;
    IF forgotten AND TG_OP = 'DELETE' THEN
      RETURN OLD;
    END IF;
    IF forgotten AND TG_OP = 'UPDATE' AND NEW.contact_id IS NULL AND NEW.sealed_facts IS NULL
       AND (NEW.organisation_id, NEW.decision_id, NEW.request_id, NEW.kind, NEW.reason, NEW.decided_by, NEW.decided_at)
         = (OLD.organisation_id, OLD.decision_id, OLD.request_id, OLD.kind, OLD.reason, OLD.decided_by, OLD.decided_at)
    THEN
      RETURN NEW;
    END IF;
  END IF;
  RAISE EXCEPTION 'a decision is never changed: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;
ALTER TABLE dsrd.decision
  DROP CONSTRAINT choice_names_its_contact,
  ADD CONSTRAINT only_choices_name_a_contact CHECK (kind = 'choice' OR contact_id IS NULL);
COMMENT ON TABLE dsrd.decision IS 'What persons decided about requests; one row an act, never changed. It goes with its case.';
COMMENT ON COLUMN dsrd.decision.contact_id IS 'The platform''s id of the contact chosen; emptied with that of the case.';
GRANT UPDATE (contact_id, sealed_facts), DELETE ON dsrd.decision TO dsrd_service;
