-- An erasure lets an open access request of the same person go first. When that could last, a person decides.
ALTER TABLE dsrd.request ADD COLUMN waits_for text;
ALTER TABLE dsrd.request ADD COLUMN despite_access boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN dsrd.request.waits_for IS 'For an erasure parked as waits_for_access: the reference of the access request.';
COMMENT ON COLUMN dsrd.request.despite_access IS 'A person decided that this erasure goes on although an access request of the same person is open.';
