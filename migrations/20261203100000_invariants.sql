-- Invariants I-1, I-2, I-3 and I-6 of the life cycle as far as rows can tell them; until now some of it was the program's alone.

-- I-1: told is who was sent an answer, or whom a person told otherwise before (`dsrd request informed`): a date alone is no
-- proof of either.
CREATE FUNCTION dsrd.closed_after_the_answer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM dsrd.notice
                 WHERE organisation_id = NEW.organisation_id AND request_id = NEW.request_id
                   AND sender = 'procedure' AND state = 'sent') THEN
    RAISE EXCEPTION 'a request is closed after its answer was sent, or told by a person'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER request_closed_after_the_answer AFTER UPDATE ON dsrd.request
  FOR EACH ROW
  WHEN (OLD.state <> 'closed' AND NEW.state = 'closed' AND OLD.informed_at IS NULL AND NEW.informed_at IS NOT NULL)
  EXECUTE FUNCTION dsrd.closed_after_the_answer();

-- I-1, for what the person takes back: its confirmation (N-16) lies in the outbox, if there is an address to send it to. The
-- confirmation follows in the same transaction, so that its end is when to look.
CREATE FUNCTION dsrd.withdrawal_is_confirmed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM dsrd.identifier
             WHERE organisation_id = NEW.organisation_id AND request_id = NEW.request_id
               AND role = 'given' AND kind = 'email')
     AND NOT EXISTS (SELECT FROM dsrd.notice
                     WHERE organisation_id = NEW.organisation_id AND request_id = NEW.request_id
                       AND kind = 'withdrawn') THEN
    RAISE EXCEPTION 'a withdrawal is confirmed to the person' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER request_withdrawal_is_confirmed AFTER UPDATE ON dsrd.request
  DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (OLD.state <> 'closed' AND NEW.outcome = 'withdrawn')
  EXECUTE FUNCTION dsrd.withdrawal_is_confirmed();

-- I-2: nobody pays for being left alone, and nobody waits longer for it.
CREATE FUNCTION dsrd.opt_out_is_free_and_at_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM dsrd.request
             WHERE organisation_id = NEW.organisation_id AND request_id = NEW.request_id
               AND kind IN ('opt_out', 'consent_withdrawal', 'ccpa_opt_out')) THEN
    RAISE EXCEPTION 'an opt-out costs nothing and is not extended: a decision % is refused', NEW.kind
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER decision_leaves_opt_outs_free BEFORE INSERT ON dsrd.decision
  FOR EACH ROW WHEN (NEW.kind IN ('fee', 'extension')) EXECUTE FUNCTION dsrd.opt_out_is_free_and_at_once();

-- I-3: a new wish is carried out with a fresh proof. The configuration may ask for a fresher one than a month (720 hours), never
-- for less; the hour beyond is for the run that asked and announces later. What follows from an erasure that was carried out
-- names nobody: its second stage, and its repetition where the contact came back.
CREATE OR REPLACE FUNCTION dsrd.deleted_for_somebody_known() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  asked record;
BEGIN
  SELECT origin, assurance, assured_at INTO asked FROM dsrd.request
  WHERE organisation_id = NEW.organisation_id AND request_id = NEW.request_id;
  -- One that had begun is brought to its end.
  IF asked.origin = 'retention'
     OR EXISTS (SELECT FROM dsrd.checkpoint
                WHERE organisation_id = NEW.organisation_id AND request_id = NEW.request_id AND step = NEW.step) THEN
    RETURN NEW;
  END IF;
  -- For an invented contact, who asks is known from the settings, and the run says whether it may be deleted.
  IF asked.assurance = 'none'
     AND NOT (asked.origin = 'self_test'
              AND EXISTS (SELECT FROM dsrd.self_test
                          WHERE organisation_id = NEW.organisation_id AND erases AND NEW.request_id = ANY (request_ids))) THEN
    RAISE EXCEPTION 'a contact is deleted only when it is known who asks' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF asked.assured_at < NEW.began_at - interval '721 hours'
     AND EXISTS (SELECT FROM dsrd.identifier
                 WHERE organisation_id = NEW.organisation_id AND request_id = NEW.request_id AND role = 'given') THEN
    RAISE EXCEPTION 'a contact is deleted only by a proof that is no older than a month'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END
$$;

-- I-3: no hold stands. Whether one that counts from a last record, or from when the contact was created, is about this contact
-- can be told by the platform's data alone: the program names those of which it found that they are not.
ALTER TABLE dsrd.checkpoint ADD COLUMN cleared_holds uuid[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN dsrd.checkpoint.cleared_holds IS 'For a deletion: the holds that were looked at with the contact''s own data and do not stand against it.';

CREATE FUNCTION dsrd.deleted_against_no_hold() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  asked_by text := (SELECT origin FROM dsrd.request
                    WHERE organisation_id = NEW.organisation_id AND request_id = NEW.request_id);
BEGIN
  IF EXISTS (SELECT FROM dsrd.hold
             WHERE hold.organisation_id = NEW.organisation_id AND hold.ended_at IS NULL
               AND (hold.kind <> 'restriction' OR asked_by = 'retention')
               -- The last day is one of the controller's time zone, and over there at the latest when it is everywhere.
               AND (hold.ends_on IS NULL OR hold.ends_on >= (NEW.began_at AT TIME ZONE 'UTC' + interval '14 hours')::date)
               AND hold.hold_id <> ALL (NEW.cleared_holds)
               AND (hold.scope = 'query'
                    OR EXISTS (SELECT FROM dsrd.hold_subject AS held
                               JOIN dsrd.identifier AS named USING (organisation_id, subject_ref)
                               WHERE held.organisation_id = hold.organisation_id AND held.hold_id = hold.hold_id
                                 AND named.request_id = NEW.request_id))) THEN
    RAISE EXCEPTION 'a hold stands against the deletion' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END
$$;
-- What ended is written with an insertion, too, and is no announcement: a hold may have been placed since.
CREATE TRIGGER checkpoint_against_no_hold BEFORE INSERT ON dsrd.checkpoint
  FOR EACH ROW WHEN (NEW.step = 'delete' AND NEW.finished_at IS NULL) EXECUTE FUNCTION dsrd.deleted_against_no_hold();

-- I-6: the event that moves a date is written in the transaction that moves it. That there was one once says nothing of a
-- change that comes later.
CREATE OR REPLACE FUNCTION dsrd.dates_follow_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.received_at IS DISTINCT FROM OLD.received_at
     OR NOT EXISTS (SELECT FROM dsrd.extension
                    WHERE extension.organisation_id = NEW.organisation_id AND extension.request_id = NEW.request_id
                      AND extension.xmin = pg_current_xact_id()::xid)
        AND NOT EXISTS (SELECT FROM dsrd.pause
                        WHERE pause.organisation_id = NEW.organisation_id AND pause.request_id = NEW.request_id
                          AND pause.xmin = pg_current_xact_id()::xid) THEN
    RAISE EXCEPTION 'due dates follow from events and are never edited' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END
$$;
