-- From which request of a person another one follows by itself: the person is told so, and not of a wish that they never had. A row
-- goes with its case.

CREATE TABLE dsrd.following (
  organisation_id text NOT NULL,
  request_id uuid NOT NULL,
  former_id uuid NOT NULL,
  received_on date NOT NULL,
  because text NOT NULL CHECK (because IN ('consent', 'hold', 'again')),
  PRIMARY KEY (organisation_id, request_id),
  FOREIGN KEY (organisation_id, request_id) REFERENCES dsrd.request ON DELETE CASCADE
);
COMMENT ON TABLE dsrd.following IS 'For a request that nobody made anew: from which one it follows.';
COMMENT ON COLUMN dsrd.following.request_id IS 'The request that follows.';
COMMENT ON COLUMN dsrd.following.former_id IS 'The request that the person made; it may be gone already.';
COMMENT ON COLUMN dsrd.following.received_on IS 'When that one reached the controller; where its case was lost, the day on which it was taken up or carried out.';
COMMENT ON COLUMN dsrd.following.because IS 'consent: it erases what rested on a consent that was withdrawn; hold: it is the rest of an erasure that a hold had postponed; again: it repeats what did not last.';
GRANT SELECT, INSERT ON dsrd.following TO dsrd_service;
