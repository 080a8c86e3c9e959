-- Under a hold that counts from the last record of each contact, a sweep submitted everybody whom it keeps, night after night, to have
-- their records read once more: nothing remembered until when. What a look has found out is kept until that day (R-65, R-66).

CREATE TABLE dsrd.hold_until (
  organisation_id text NOT NULL,
  hold_id uuid NOT NULL,
  subject_ref bytea NOT NULL CHECK (length(subject_ref) = 16),
  held_until date NOT NULL,
  PRIMARY KEY (organisation_id, subject_ref, hold_id),
  FOREIGN KEY (organisation_id, hold_id) REFERENCES dsrd.hold
);
CREATE INDEX hold_until_of_hold ON dsrd.hold_until (organisation_id, hold_id);
COMMENT ON TABLE dsrd.hold_until IS 'Until when holds that count from a last record keep contacts that a sweep found past their time: until then sweeps leave them alone. Forgotten after that day, and when the hold ends.';
COMMENT ON COLUMN dsrd.hold_until.subject_ref IS 'Keyed pseudonym of the platform''s contact id, as in dsrd.hold_subject.';
COMMENT ON COLUMN dsrd.hold_until.held_until IS 'Last day for this contact, in the controller''s time zone, by its records when they were looked at.';

GRANT SELECT, INSERT, DELETE ON dsrd.hold_until TO dsrd_service;
GRANT UPDATE (held_until) ON dsrd.hold_until TO dsrd_service;

-- Holds keep their contacts out of the candidates now: caps are asked of what is left to submit.
COMMENT ON COLUMN dsrd.sweep.skipped IS 'Contacts past their time that were left to a later sweep, because a hold or an open request for a copy of the data stands; those with a hold are no candidates.';

DO $$
BEGIN
  EXECUTE format('GRANT aud_owner TO %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  -- Somebody else made the role; they must have granted it already.
  NULL;
END
$$;

COMMENT ON COLUMN audit_view.sweep.candidates IS 'How many were past their time and kept by no hold.';

DO $$
BEGIN
  EXECUTE format('REVOKE aud_owner FROM %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
  NULL;
END
$$;
