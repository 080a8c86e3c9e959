-- Every right is accepted (Art. 12(2) GDPR, R-9). What no procedure covers is carried out by a person, who records what
-- was done; the machine keeps the clock, the list and the notices. Mirrors RequestKind::handling (src/domain/request.rs).

COMMENT ON COLUMN dsrd.intake.kind IS 'Required: access, erasure, opt_out (or marketing_objection), rectification, restriction, portability, objection, consent_withdrawal, automated_decision, complaint, ccpa_opt_out or other. A word that is none of these becomes other.';

ALTER TABLE dsrd.decision
  DROP CONSTRAINT decision_kind_check,
  ADD CONSTRAINT decision_kind_check CHECK (kind IN ('choice', 'refusal', 'answer')) NOT VALID,
  DROP CONSTRAINT only_refusals_have_facts,
  ADD CONSTRAINT a_choice_has_no_facts CHECK (kind <> 'choice' OR sealed_facts IS NULL) NOT VALID,
  DROP CONSTRAINT decided_for_a_reason,
  ADD CONSTRAINT decided_for_a_reason CHECK (
    CASE kind
      WHEN 'choice' THEN reason IN ('told_by_person', 'details_match', 'identity_checked')
      WHEN 'answer' THEN reason IN ('fulfilled', 'partly_fulfilled', 'fulfilled_no_data')
      ELSE reason ~ '^RF-(0[1-9]|1[0-7])$'
    END) NOT VALID;
ALTER TABLE dsrd.decision VALIDATE CONSTRAINT decision_kind_check;
ALTER TABLE dsrd.decision VALIDATE CONSTRAINT a_choice_has_no_facts;
ALTER TABLE dsrd.decision VALIDATE CONSTRAINT decided_for_a_reason;
CREATE UNIQUE INDEX decision_one_answer ON dsrd.decision (organisation_id, request_id) WHERE kind = 'answer';
COMMENT ON COLUMN dsrd.decision.kind IS 'choice: which contact is meant; refusal: the request, or what is left of it, is not followed; answer: how a person carried it out.';
COMMENT ON COLUMN dsrd.decision.reason IS 'A choice: how the person was recognised. A refusal: the ground, RF-01 to RF-17. An answer: the outcome.';
COMMENT ON COLUMN dsrd.decision.sealed_facts IS 'What the controller says in support of the ground, or what was done, as the person is told it; encrypted for its row.';

-- I-1: nothing is closed without an outcome and the person told, except a reminder of a request that is open. I-2: what
-- knows no ground of refusal is never refused.
ALTER TABLE dsrd.request
  DROP CONSTRAINT opt_out_is_never_refused,
  ADD CONSTRAINT opt_out_is_never_refused CHECK (
    kind NOT IN ('opt_out', 'consent_withdrawal', 'ccpa_opt_out') OR outcome IS DISTINCT FROM 'refused') NOT VALID,
  DROP CONSTRAINT fulfilled_was_read_back,
  ADD CONSTRAINT fulfilled_was_read_back CHECK (
    outcome IS NULL OR outcome IN ('refused', 'not_identified', 'withdrawn', 'out_of_scope', 'superseded')
    OR verified_at IS NOT NULL
    OR kind NOT IN ('access', 'erasure', 'opt_out', 'consent_withdrawal', 'ccpa_opt_out')) NOT VALID,
  DROP CONSTRAINT closed_was_told,
  ADD CONSTRAINT closed_was_told CHECK (
    outcome IS NULL OR outcome IN ('withdrawn', 'superseded') OR origin = 'retention' OR informed_at IS NOT NULL) NOT VALID;
ALTER TABLE dsrd.request VALIDATE CONSTRAINT opt_out_is_never_refused;
ALTER TABLE dsrd.request VALIDATE CONSTRAINT fulfilled_was_read_back;
ALTER TABLE dsrd.request VALIDATE CONSTRAINT closed_was_told;

-- What the machine does not read back, a person must have recorded, with this outcome.
CREATE FUNCTION dsrd.answered_by_a_person() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM dsrd.decision
                 WHERE decision.organisation_id = NEW.organisation_id AND decision.request_id = NEW.request_id
                   AND decision.kind = 'answer' AND decision.reason = NEW.outcome) THEN
    RAISE EXCEPTION 'a request of this kind ends by what a person recorded only' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER request_answered_by_a_person BEFORE INSERT OR UPDATE ON dsrd.request
  FOR EACH ROW
  WHEN (NEW.outcome IN ('fulfilled', 'partly_fulfilled', 'fulfilled_no_data')
        AND NEW.kind NOT IN ('access', 'erasure', 'opt_out', 'consent_withdrawal', 'ccpa_opt_out'))
  EXECUTE FUNCTION dsrd.answered_by_a_person();
