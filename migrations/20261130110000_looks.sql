-- Looks at contacts after they were erased or opted out (src/suppression/watch): whether they came back (R-48), and whether
-- marketing is still off (R-53).

CREATE TABLE dsrd.look (
  organisation_id text NOT NULL REFERENCES dsrd.organisation,
  look_id uuid NOT NULL,
  request_id uuid,
  purpose text NOT NULL CHECK (purpose IN ('re_creation', 'marketing')),
  cause text NOT NULL CHECK (cause IN ('planned', 'sample', 'sweep', 'person')),
  after_days integer NOT NULL CHECK (after_days >= 0),
  contact bytea NOT NULL,
  contact_hash bytea NOT NULL CHECK (length(contact_hash) = 32),
  policies text[] NOT NULL,
  others bigint NOT NULL CHECK (others >= 0),
  since timestamptz NOT NULL,
  due_at timestamptz NOT NULL,
  run_at timestamptz NOT NULL DEFAULT now(),
  tries integer NOT NULL DEFAULT 0,
  last_code text CHECK (last_code ~ '^[a-z_]{1,40}$'),
  looked_at timestamptz,
  verdict text CHECK (verdict IN ('still_so', 'back', 'newer_will', 'signed_up', 'other_contact')),
  searches bigint,
  settled text CHECK (settled IN ('again', 'left', 'known')),
  settled_at timestamptz,
  settled_by text,
  again_request_id uuid,
  PRIMARY KEY (organisation_id, look_id),
  CONSTRAINT looked_with_a_verdict CHECK ((looked_at IS NULL) = (verdict IS NULL)),
  CONSTRAINT settled_by_somebody CHECK ((settled IS NULL) = (settled_at IS NULL) AND (settled IS NULL) = (settled_by IS NULL)),
  CONSTRAINT only_what_was_found_is_settled CHECK (settled IS NULL OR verdict IS NOT NULL),
  CONSTRAINT again_by_a_request CHECK ((settled IS NOT DISTINCT FROM 'again') = (again_request_id IS NOT NULL)),
  CONSTRAINT only_sweeps_name_no_request CHECK (request_id IS NOT NULL OR cause = 'sweep')
);
CREATE INDEX look_due ON dsrd.look (organisation_id, due_at) WHERE looked_at IS NULL;
CREATE INDEX look_of_contact ON dsrd.look (organisation_id, purpose, contact_hash);
CREATE INDEX look_of_request ON dsrd.look (organisation_id, request_id);
COMMENT ON TABLE dsrd.look IS 'Looks at the platform after an erasure or opt-out was proven, each with the instant at which it is due and with what it found.';
COMMENT ON COLUMN dsrd.look.request_id IS 'The request whose effect is looked at again; empty where only the suppression list knew the contact that a sweep listed.';
COMMENT ON COLUMN dsrd.look.purpose IS 're_creation: whether the contact is still gone; marketing: whether its policies are still off.';
COMMENT ON COLUMN dsrd.look.cause IS 'planned: so many days after; sample: drawn that day; sweep: a sweep listed the contact; person: somebody asked.';
COMMENT ON COLUMN dsrd.look.after_days IS 'How many days after the proof it is due.';
COMMENT ON COLUMN dsrd.look.contact IS 'The platform''s id of the contact, sealed for this row.';
COMMENT ON COLUMN dsrd.look.contact_hash IS 'The same as a keyed hash of the suppression list: one task for one contact, however often it is seen.';
COMMENT ON COLUMN dsrd.look.others IS 'How many other contacts carried one of the person''s identifiers when the erasure was proven.';
COMMENT ON COLUMN dsrd.look.since IS 'When the effect was proven; whatever the person did after that is their newer will.';
COMMENT ON COLUMN dsrd.look.run_at IS 'Not before this instant, by the database''s clock; moved on while somebody is looking.';
COMMENT ON COLUMN dsrd.look.searches IS 'By how many of the person''s identifiers was searched; 0 where they are forgotten or searches are switched off.';
COMMENT ON COLUMN dsrd.look.settled IS 'again: done again by a request; left: a person leaves it; known: the same is a task already. Empty with back, newer_will or other_contact: a task for a person.';
GRANT SELECT, INSERT, UPDATE, DELETE ON dsrd.look TO dsrd_service;
