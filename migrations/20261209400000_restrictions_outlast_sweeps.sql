-- Art. 18(3): a restriction ends untold with the data only where the person asked for the erasure, and is told of that. Nobody is told
-- of a sweep.

CREATE OR REPLACE FUNCTION dsrd.restriction_end_was_told() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.end_reason = 'erased'
     AND EXISTS (SELECT FROM dsrd.request
                 WHERE request.organisation_id = NEW.organisation_id AND request.kind = 'erasure'
                   AND request.origin = 'subject'
                   AND request.verified_at IS NOT NULL AND request.xmin = pg_current_xact_id()::xid) THEN
    RETURN NEW;
  END IF;
  IF NEW.told_otherwise_at IS NULL
     AND NOT EXISTS (SELECT FROM dsrd.notice
                     WHERE notice.organisation_id = NEW.organisation_id AND notice.notice_id = NEW.lift_notice_id
                       AND notice.kind = 'restriction_lifting'
                       AND (notice.made_good_at IS NOT NULL OR (notice.state = 'sent' AND notice.bounced_at IS NULL))) THEN
    RAISE EXCEPTION 'a restriction ends only after the person was told' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END
$$;
