-- Who must not be erased for now, and on which ground (src/holds); the erasures that wait for it.

CREATE TABLE dsrd.hold (
  organisation_id text NOT NULL REFERENCES dsrd.organisation,
  hold_id uuid NOT NULL,
  reference text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('court', 'claim', 'statutory', 'restriction')),
  category text NOT NULL CHECK (category IN ('everything', 'profile', 'events', 'devices', 'accountings')),
  ground text NOT NULL CHECK (ground ~ '^(RF-[0-9]{2}|art_18)$'),
  statute text CHECK (statute ~ '^[a-z][a-z0-9_]{1,39}$'),
  matter text CHECK (matter ~ '^[A-Za-z0-9_./:+-]{1,60}$'),
  owner text NOT NULL CHECK (owner ~ '^[A-Za-z0-9_.@-]{1,63}$'),
  scope text NOT NULL CHECK (scope IN ('person', 'query')),
  created_from timestamptz,
  created_before timestamptz,
  ends_on date,
  months_after_last smallint CHECK (months_after_last BETWEEN 1 AND 240),
  review_on date NOT NULL,
  reminded_on date,
  placed_by text NOT NULL,
  placed_at timestamptz NOT NULL,
  ended_at timestamptz,
  ended_by text,
  end_reason text CHECK (end_reason ~ '^[a-z_]{1,40}$'),
  PRIMARY KEY (organisation_id, hold_id),
  UNIQUE (organisation_id, reference),
  CONSTRAINT one_rule_for_the_end CHECK (ends_on IS NULL OR months_after_last IS NULL),
  CONSTRAINT only_records_have_a_last_one CHECK (months_after_last IS NULL OR category IN ('events', 'devices', 'accountings')),
  CONSTRAINT a_statute_ends CHECK (kind <> 'statutory' OR ends_on IS NOT NULL OR months_after_last IS NOT NULL),
  CONSTRAINT persons_have_no_query CHECK (scope = 'query' OR (created_from IS NULL AND created_before IS NULL)),
  CONSTRAINT ended_for_a_reason CHECK ((ended_at IS NULL) = (ended_by IS NULL) AND (ended_at IS NULL) = (end_reason IS NULL))
);
CREATE INDEX hold_in_force ON dsrd.hold (organisation_id) WHERE ended_at IS NULL;
COMMENT ON TABLE dsrd.hold IS 'Recorded orders not to erase for now (R-65). One without a date of review cannot be stored.';
COMMENT ON COLUMN dsrd.hold.kind IS 'court, claim and statutory stop every erasure; restriction (Art. 18) stops sweeps only.';
COMMENT ON COLUMN dsrd.hold.category IS 'What must be kept. The platform deletes a contact as a whole, so that any category stops the deletion (R-67).';
COMMENT ON COLUMN dsrd.hold.ground IS 'The refusal ground of the law that the person is told, for example RF-08; art_18 for a restriction.';
COMMENT ON COLUMN dsrd.hold.statute IS 'A word of the statutory library (domain::Statute).';
COMMENT ON COLUMN dsrd.hold.matter IS 'The court''s or the controller''s own number of the matter; never a name.';
COMMENT ON COLUMN dsrd.hold.owner IS 'The member of staff who answers for it and reviews it.';
COMMENT ON COLUMN dsrd.hold.scope IS 'person: those of dsrd.hold_subject; query: every contact created in the span, or everybody without one.';
COMMENT ON COLUMN dsrd.hold.ends_on IS 'Last day, in the controller''s time zone. Empty with months_after_last empty: until it is lifted.';
COMMENT ON COLUMN dsrd.hold.months_after_last IS 'Months after the last record of the category, computed for each contact when it matters.';
COMMENT ON COLUMN dsrd.hold.review_on IS 'By when a person must look whether it is still needed.';
COMMENT ON COLUMN dsrd.hold.reminded_on IS 'The date of review that was reminded of.';

CREATE TABLE dsrd.hold_subject (
  organisation_id text NOT NULL,
  hold_id uuid NOT NULL,
  subject_ref bytea NOT NULL CHECK (length(subject_ref) = 16),
  PRIMARY KEY (organisation_id, hold_id, subject_ref),
  FOREIGN KEY (organisation_id, hold_id) REFERENCES dsrd.hold
);
CREATE INDEX hold_subject_of ON dsrd.hold_subject (organisation_id, subject_ref);
COMMENT ON TABLE dsrd.hold_subject IS 'Whom a hold is about: keyed pseudonyms of identifiers and of the platform''s contact id, as in dsrd.identifier.';

CREATE TABLE dsrd.postponed_erasure (
  organisation_id text NOT NULL,
  request_id uuid NOT NULL,
  contact_id text,
  language text NOT NULL,
  postponed_at timestamptz NOT NULL,
  resumed_at timestamptz,
  second_request_id uuid,
  PRIMARY KEY (organisation_id, request_id),
  CONSTRAINT resumed_by_a_request CHECK ((resumed_at IS NULL) = (second_request_id IS NULL)),
  CONSTRAINT named_until_resumed CHECK ((resumed_at IS NULL) = (contact_id IS NOT NULL))
);
CREATE INDEX postponed_erasure_waiting ON dsrd.postponed_erasure (organisation_id) WHERE resumed_at IS NULL;
COMMENT ON TABLE dsrd.postponed_erasure IS 'Erasures of which a hold left the rest: it follows by a request of its own when no hold stands any more.';
COMMENT ON COLUMN dsrd.postponed_erasure.request_id IS 'The request whose first stage was carried out and told.';
COMMENT ON COLUMN dsrd.postponed_erasure.contact_id IS 'The platform''s id of the contact, until the second request names it.';

CREATE TABLE dsrd.postponed_by (
  organisation_id text NOT NULL,
  request_id uuid NOT NULL,
  hold_id uuid NOT NULL,
  held_until date,
  PRIMARY KEY (organisation_id, request_id, hold_id),
  FOREIGN KEY (organisation_id, request_id) REFERENCES dsrd.postponed_erasure,
  FOREIGN KEY (organisation_id, hold_id) REFERENCES dsrd.hold
);
COMMENT ON TABLE dsrd.postponed_by IS 'The holds that an erasure waits for.';
COMMENT ON COLUMN dsrd.postponed_by.held_until IS 'Last day for this contact, as the person was told; empty: until the hold is lifted.';

ALTER TABLE dsrd.sweep_candidate ADD COLUMN skipped text CHECK (skipped IN ('hold', 'restriction', 'open_access_request')),
  ADD CONSTRAINT skipped_or_submitted CHECK (skipped IS NULL OR request_id IS NULL);
ALTER TABLE dsrd.sweep ADD COLUMN skipped bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN dsrd.sweep_candidate.skipped IS 'Why no erasure was submitted; a later sweep looks again.';
COMMENT ON COLUMN dsrd.sweep.skipped IS 'Candidates that were left to a later sweep, because a hold or an open access request stands.';

GRANT SELECT, INSERT ON dsrd.hold, dsrd.hold_subject, dsrd.postponed_erasure, dsrd.postponed_by TO dsrd_service;
-- What a hold says is never changed; it ends, and its review moves on.
GRANT UPDATE (review_on, reminded_on, ended_at, ended_by, end_reason) ON dsrd.hold TO dsrd_service;
GRANT UPDATE (contact_id, resumed_at, second_request_id) ON dsrd.postponed_erasure TO dsrd_service;
GRANT DELETE ON dsrd.hold, dsrd.hold_subject, dsrd.postponed_erasure, dsrd.postponed_by TO dsrd_service;
