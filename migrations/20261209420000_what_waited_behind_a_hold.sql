-- Erasures that an earlier program handed in, and whose rest still waits behind a hold or has followed since: from which request they
-- follow. The migration that wrote it for open ones (20261208900000) left out those that were closed with their first stage, looked no
-- further back than one request, and said of the rest of an erasure that follows from a withdrawal that the person had asked to be
-- erased. Without it such an erasure would overrule a consent that was given again since.

WITH RECURSIVE edge AS (
  SELECT organisation_id, second_request_id AS request_id, request_id AS former_id
  FROM dsrd.follow_up WHERE second_request_id IS NOT NULL
  UNION
  SELECT organisation_id, second_request_id, request_id
  FROM dsrd.postponed_erasure WHERE second_request_id IS NOT NULL
), chain AS (
  -- Each erasure that is still to be carried out and was handed in for a withdrawal or for an erasure that waited, ...
  SELECT erasure.organisation_id, erasure.request_id, edge.former_id
  FROM dsrd.request AS erasure
  JOIN edge ON edge.organisation_id = erasure.organisation_id AND edge.request_id = erasure.request_id
  WHERE erasure.kind = 'erasure'
    AND (erasure.state <> 'closed'
         OR EXISTS (SELECT FROM dsrd.postponed_erasure AS postponed
                    WHERE postponed.organisation_id = erasure.organisation_id
                      AND postponed.request_id = erasure.request_id AND postponed.resumed_at IS NULL))
  UNION
  -- ... with all from which it follows: as those requests stand, or as it is written already of one that is gone.
  SELECT chain.organisation_id, chain.request_id, before.former_id
  FROM chain
  JOIN (SELECT organisation_id, request_id, former_id FROM edge
        UNION
        SELECT organisation_id, request_id, former_id FROM dsrd.following) AS before
    ON before.organisation_id = chain.organisation_id AND before.request_id = chain.former_id
), root AS (
  SELECT DISTINCT ON (chain.organisation_id, chain.request_id)
         chain.organisation_id, chain.request_id, former.request_id AS former_id,
         -- The organisation's time zone is not known here: the day of receipt is that of UTC.
         (former.received_at AT TIME ZONE 'UTC')::date AS received_on,
         CASE former.kind WHEN 'consent_withdrawal' THEN 'consent' ELSE 'hold' END AS because
  FROM chain
  JOIN dsrd.request AS former
    ON former.organisation_id = chain.organisation_id AND former.request_id = chain.former_id
  WHERE NOT EXISTS (SELECT FROM edge
                    WHERE edge.organisation_id = chain.organisation_id AND edge.request_id = chain.former_id)
    AND NOT EXISTS (SELECT FROM dsrd.following
                    WHERE following.organisation_id = chain.organisation_id
                      AND following.request_id = chain.former_id)
  ORDER BY chain.organisation_id, chain.request_id, former.received_at
)
INSERT INTO dsrd.following AS stored (organisation_id, request_id, former_id, received_on, because)
SELECT organisation_id, request_id, former_id, received_on, because FROM root
ON CONFLICT (organisation_id, request_id) DO UPDATE
SET former_id = excluded.former_id,
    received_on = CASE WHEN stored.former_id = excluded.former_id THEN stored.received_on ELSE excluded.received_on END,
    because = excluded.because
WHERE (stored.former_id, stored.because) IS DISTINCT FROM (excluded.former_id, excluded.because);
