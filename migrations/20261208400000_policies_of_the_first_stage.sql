-- Which policies the first stage of a postponed erasure had seen off: whether the person opted in again since is judged by them, and
-- not by what the settings name when the hold ends.

ALTER TABLE dsrd.postponed_erasure ADD COLUMN policies text[];
COMMENT ON COLUMN dsrd.postponed_erasure.policies IS
  'The policies that the first stage had seen off, by their names at the platform. Empty for a stage of an earlier program: then those of the settings count.';

COMMENT ON COLUMN dsrd.request.waits_for IS
  'For an erasure parked as waits_for_access: the reference of the access request. For one parked as newer_will because the data was restricted: that of the restriction.';
