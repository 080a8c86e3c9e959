-- Who asks (R-24): the person, or somebody for them. Everything but an opt-out waits for a person then, who checks the
-- authority; that it was checked is recorded, the paper is not kept.

ALTER TABLE dsrd.intake ADD COLUMN requester_role text;
COMMENT ON COLUMN dsrd.intake.requester_role IS 'Who asks: self (when left out), agent, parent, heir or other.';
GRANT INSERT (requester_role) ON dsrd.intake TO dsrd_producer;

ALTER TABLE dsrd.request
  ADD COLUMN requester_role text NOT NULL DEFAULT 'self'
    CHECK (requester_role IN ('self', 'agent', 'parent', 'heir', 'other'));
COMMENT ON COLUMN dsrd.request.requester_role IS 'Who asks: the person, or somebody for them.';

ALTER TABLE dsrd.decision
  DROP CONSTRAINT decision_kind_check,
  ADD CONSTRAINT decision_kind_check CHECK (kind IN ('choice', 'refusal', 'answer', 'acceptance')) NOT VALID,
  DROP CONSTRAINT a_choice_has_no_facts,
  ADD CONSTRAINT who_has_facts CHECK (kind IN ('refusal', 'answer') OR sealed_facts IS NULL) NOT VALID,
  DROP CONSTRAINT decided_for_a_reason,
  ADD CONSTRAINT decided_for_a_reason CHECK (
    CASE kind
      WHEN 'choice' THEN reason IN ('told_by_person', 'details_match', 'identity_checked')
      WHEN 'answer' THEN reason IN ('fulfilled', 'partly_fulfilled', 'fulfilled_no_data')
      WHEN 'acceptance' THEN reason IN ('authority_checked', 'confirmed_by_person')
      ELSE reason ~ '^RF-(0[1-9]|1[0-7])$'
    END) NOT VALID;
ALTER TABLE dsrd.decision VALIDATE CONSTRAINT decision_kind_check;
ALTER TABLE dsrd.decision VALIDATE CONSTRAINT who_has_facts;
ALTER TABLE dsrd.decision VALIDATE CONSTRAINT decided_for_a_reason;
CREATE UNIQUE INDEX decision_one_acceptance ON dsrd.decision (organisation_id, request_id) WHERE kind = 'acceptance';
COMMENT ON COLUMN dsrd.decision.kind IS 'choice: which contact is meant; refusal: the request, or what is left of it, is not followed; answer: how a person carried it out; acceptance: whoever asks may do so.';
COMMENT ON COLUMN dsrd.decision.reason IS 'A choice: how the person was recognised. A refusal: the ground, RF-01 to RF-17. An answer: the outcome. An acceptance: what was checked.';

-- Nothing is carried out for somebody else before a person has checked their authority.
CREATE FUNCTION dsrd.authority_was_checked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM dsrd.decision
                 WHERE decision.organisation_id = NEW.organisation_id AND decision.request_id = NEW.request_id
                   AND decision.kind IN ('acceptance', 'answer', 'refusal')) THEN
    RAISE EXCEPTION 'a request by somebody else goes on after a person checked their authority only'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER request_authority_was_checked BEFORE INSERT OR UPDATE OF state ON dsrd.request
  FOR EACH ROW
  WHEN (NEW.requester_role <> 'self' AND NEW.state IN ('received', 'in_progress')
        AND NEW.kind NOT IN ('opt_out', 'consent_withdrawal', 'ccpa_opt_out'))
  EXECUTE FUNCTION dsrd.authority_was_checked();
