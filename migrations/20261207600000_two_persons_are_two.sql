-- Two persons decide: one who works under two accounts (anna.as.root, anna.as.dsrd) is one person. Rows that stand are not judged
-- anew: they must be able to forget what they say of people.

CREATE FUNCTION dsrd.may_be_one_person(one text, other text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT split_part(one, '.as.', 1) = split_part(other, '.as.', 1)
      OR split_part(one, '.as.', 1) = 'person:' || split_part(other, '.as.', 2)
      OR split_part(other, '.as.', 1) = 'person:' || split_part(one, '.as.', 2)
$$;
COMMENT ON FUNCTION dsrd.may_be_one_person IS 'Whether two actors may be one person: who acts under the bare name of an account that the other one acts under may be that one.';

CREATE OR REPLACE FUNCTION dsrd.two_persons_decide() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.confirmed_by IS NULL AND EXISTS (SELECT FROM dsrd.organisation
                                          WHERE organisation.organisation_id = NEW.organisation_id
                                            AND NEW.kind = ANY (organisation.two_persons)) THEN
    RAISE EXCEPTION 'a % needs a second person', NEW.kind USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF dsrd.may_be_one_person(NEW.confirmed_by, NEW.decided_by) THEN
    RAISE EXCEPTION 'nobody confirms what they proposed themselves' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END
$$;

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
  IF OLD.ended_as IS NULL AND NEW.ended_as = 'confirmed' AND dsrd.may_be_one_person(NEW.ended_by, NEW.proposed_by) THEN
    RAISE EXCEPTION 'nobody confirms what they proposed themselves' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END
$$;
