-- A fee is a decision like the others: where the organisation wants it, one person proposes it and another confirms (R-14).

ALTER TABLE dsrd.organisation
  DROP CONSTRAINT organisation_two_persons_check,
  ADD CONSTRAINT organisation_two_persons_check CHECK (
    two_persons <@ ARRAY['refusal', 'extension', 'answer', 'acceptance', 'fee']);

ALTER TABLE dsrd.proposal
  ADD COLUMN amount text CHECK (char_length(amount) BETWEEN 1 AND 40),
  ADD COLUMN answer_by date,
  DROP CONSTRAINT proposal_kind_check,
  ADD CONSTRAINT proposal_kind_check CHECK (kind IN ('refusal', 'extension', 'answer', 'acceptance', 'fee')),
  ADD CONSTRAINT only_a_fee_has_an_amount CHECK (
    (kind = 'fee') = (amount IS NOT NULL) AND (kind = 'fee') = (answer_by IS NOT NULL)),
  ADD CONSTRAINT a_fee_has_a_ground CHECK (kind <> 'fee' OR reason IN ('RF-01', 'RF-02'));
COMMENT ON COLUMN dsrd.proposal.amount IS 'For a fee: how much, as the person will read it.';
COMMENT ON COLUMN dsrd.proposal.answer_by IS 'For a fee: by when the person should answer.';

CREATE OR REPLACE FUNCTION dsrd.keep_proposal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.ended_as IS NOT NULL AND (NEW.ended_as, NEW.ended_by, NEW.ended_at) IS DISTINCT FROM (OLD.ended_as, OLD.ended_by, OLD.ended_at)
     OR (NEW.organisation_id, NEW.proposal_id, NEW.request_id, NEW.kind, NEW.reason, NEW.amount, NEW.answer_by, NEW.proposed_by,
         NEW.proposed_at)
        IS DISTINCT FROM (OLD.organisation_id, OLD.proposal_id, OLD.request_id, OLD.kind, OLD.reason, OLD.amount, OLD.answer_by,
                          OLD.proposed_by, OLD.proposed_at)
     OR (NEW.sealed_facts IS DISTINCT FROM OLD.sealed_facts AND NEW.sealed_facts IS NOT NULL) THEN
    RAISE EXCEPTION 'a proposal is never changed, it ends once' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END
$$;
