-- A hold about a person knows the contact as well as the identifiers, so that it lasts when an address or number of the profile
-- changes (R-65). Where it knows one, another contact that has nothing but a telephone number in common with it, as in a household,
-- is not held without a person. And what restricted the use of data ends with the data.

ALTER TABLE dsrd.hold_subject ADD COLUMN is_contact boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN dsrd.hold_subject.is_contact IS 'Whether it is the pseudonym of the platform''s contact id; otherwise of an identifier. False also in rows from before there was this column.';
GRANT UPDATE (is_contact) ON dsrd.hold_subject TO dsrd_service;

ALTER TABLE dsrd.hold ADD COLUMN contact_sought_at timestamptz;
COMMENT ON COLUMN dsrd.hold.contact_sought_at IS 'For a hold about the person of a request: when the contact was looked up. Empty while that is still to be done, and where nobody can do it: without a request only whoever places the hold has the identifiers.';
GRANT UPDATE (contact_sought_at) ON dsrd.hold TO dsrd_service;

ALTER TABLE dsrd.request ADD COLUMN held_is_another_at timestamptz;
COMMENT ON COLUMN dsrd.request.held_is_another_at IS 'When a person decided that this erasure goes on although holds concern its contact by a telephone number: those placed until then are about somebody else.';

-- Art. 18(3): who obtained a restriction is told before it is lifted. Of data that is erased nothing is used again: the restriction
-- ends in the transaction that proves the erasure, which the person is told.
CREATE OR REPLACE FUNCTION dsrd.restriction_end_was_told() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.end_reason = 'erased'
     AND EXISTS (SELECT FROM dsrd.request
                 WHERE request.organisation_id = NEW.organisation_id AND request.kind = 'erasure'
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
