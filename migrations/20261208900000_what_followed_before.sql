-- Erasures that an earlier program handed in, after a consent was withdrawn or a hold had ended, and that are still open: from which
-- request they follow. Without it they would overrule a consent that was given again since, and the person would be told of a wish
-- that they never had. The organisation's time zone is not known here: the day of receipt is that of UTC.

INSERT INTO dsrd.following (organisation_id, request_id, former_id, received_on, because)
SELECT erasure.organisation_id, erasure.request_id, former.request_id, (former.received_at AT TIME ZONE 'UTC')::date, 'consent'
FROM dsrd.follow_up
JOIN dsrd.request AS erasure
  ON erasure.organisation_id = follow_up.organisation_id AND erasure.request_id = follow_up.second_request_id
JOIN dsrd.request AS former
  ON former.organisation_id = follow_up.organisation_id AND former.request_id = follow_up.request_id
WHERE erasure.state <> 'closed'
ON CONFLICT DO NOTHING;

-- The rest of an erasure that a hold had postponed; where that one followed from a withdrawal, so does its rest.
INSERT INTO dsrd.following (organisation_id, request_id, former_id, received_on, because)
SELECT erasure.organisation_id, erasure.request_id, former.request_id, (former.received_at AT TIME ZONE 'UTC')::date, 'hold'
FROM dsrd.postponed_erasure AS postponed
LEFT JOIN dsrd.follow_up
  ON follow_up.organisation_id = postponed.organisation_id AND follow_up.second_request_id = postponed.request_id
JOIN dsrd.request AS erasure
  ON erasure.organisation_id = postponed.organisation_id AND erasure.request_id = postponed.second_request_id
JOIN dsrd.request AS former
  ON former.organisation_id = postponed.organisation_id
  AND former.request_id = coalesce(follow_up.request_id, postponed.request_id)
WHERE erasure.state <> 'closed'
ON CONFLICT DO NOTHING;
