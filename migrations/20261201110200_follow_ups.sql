-- What follows when a consent was withdrawn (R-52): the erasure of the contact, or a task for a person, some days later. The
-- contact is the case's; a row goes with its case.

CREATE TABLE dsrd.follow_up (
  organisation_id text NOT NULL,
  request_id uuid NOT NULL,
  categories text[] NOT NULL CHECK (categories <> '{}' AND categories <@ '{profile,events,devices,accountings}'),
  due_at timestamptz NOT NULL,
  ended_at timestamptz,
  ended_as text CHECK (ended_as IN ('handed_in', 'consent_again', 'gone')),
  second_request_id uuid,
  PRIMARY KEY (organisation_id, request_id),
  FOREIGN KEY (organisation_id, request_id) REFERENCES dsrd.request ON DELETE CASCADE,
  CONSTRAINT ended_in_one_way CHECK ((ended_at IS NULL) = (ended_as IS NULL)),
  CONSTRAINT handed_in_as_a_request CHECK ((second_request_id IS NOT NULL) = (ended_as IS NOT DISTINCT FROM 'handed_in'))
);
CREATE INDEX follow_up_due ON dsrd.follow_up (organisation_id, due_at) WHERE ended_at IS NULL;
CREATE INDEX follow_up_second ON dsrd.follow_up (organisation_id, second_request_id) WHERE second_request_id IS NOT NULL;
COMMENT ON TABLE dsrd.follow_up IS 'For a withdrawal of consent that was carried out: what is to follow for the data that rested on it alone.';
COMMENT ON COLUMN dsrd.follow_up.request_id IS 'The withdrawal.';
COMMENT ON COLUMN dsrd.follow_up.categories IS 'The categories of data that rested on the consent alone, by the configuration at that time.';
COMMENT ON COLUMN dsrd.follow_up.ended_as IS 'handed_in: as the request in second_request_id; consent_again: it was given again; gone: the contact is gone.';
GRANT SELECT, INSERT, UPDATE (ended_at, ended_as, second_request_id) ON dsrd.follow_up TO dsrd_service;
