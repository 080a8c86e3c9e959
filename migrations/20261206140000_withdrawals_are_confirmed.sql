-- I-1, for what the person takes back: its confirmation (N-16) lies in the outbox also where the only address is that of the
-- profile. Whoever asked by telephone number is asked who they are there, and hears there that nothing follows. Nobody is told
-- of a sweep.
--
-- A program of the release before writes no such confirmation: what it takes back of those requests is refused until it is
-- replaced, as long as both run.

CREATE OR REPLACE FUNCTION dsrd.withdrawal_is_confirmed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.origin <> 'retention'
     AND EXISTS (SELECT FROM dsrd.identifier
                 WHERE organisation_id = NEW.organisation_id AND request_id = NEW.request_id
                   AND role IN ('given', 'contact_point') AND kind = 'email')
     AND NOT EXISTS (SELECT FROM dsrd.notice
                     WHERE organisation_id = NEW.organisation_id AND request_id = NEW.request_id
                       AND kind = 'withdrawn') THEN
    RAISE EXCEPTION 'a withdrawal is confirmed to the person' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END
$$;
