-- A key that is used for two things has a row of each: the request that was accepted with it, and what was parked because it is
-- another one. Whoever handed in one of them has to be able to tell which is theirs, also where the parked row came first and
-- was handed in corrected under the same key.

CREATE OR REPLACE VIEW dsrd.receipt WITH (security_barrier) AS
  SELECT organisation_id, idempotency_key, 'accepted' AS status, request_id, reference,
         CASE WHEN assurance IN ('verified_channel_loop', 'authenticated_session') THEN state ELSE 'received' END AS state,
         due_on, NULL::text AS detail, inserted_at AS taken_at
  FROM dsrd.request
  WHERE producer = session_user
  UNION ALL
  SELECT organisation_id, idempotency_key, 'parked', NULL, NULL, NULL, NULL, detail, parked_at
  FROM dsrd.intake_parked
  WHERE producer = session_user;
COMMENT ON VIEW dsrd.receipt IS
  'What became of the rows that the present login role inserted: one row for each request and for each row that is parked, and so several for a key that was used for several things. The state of a request is shown when the person is known who made it; until then it is received.';
COMMENT ON COLUMN dsrd.receipt.taken_at IS
  'When the service accepted or parked it: moments after it was inserted, while a daemon runs, so that it tells the rows of one key apart. What staff correct counts as accepted when they hand it in.';
