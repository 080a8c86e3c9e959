-- Who asks (Art. 12(6) GDPR; R-16 to R-25): how well that is known stands on each request, and where it is not well enough
-- the request waits for a proof, with a date on which the waiting ends. Mirrors src/domain/assurance.rs and src/identity.

ALTER TABLE dsrd.intake
  ADD COLUMN assurance text,
  ADD COLUMN assured_at timestamptz;
COMMENT ON COLUMN dsrd.intake.assurance IS 'How it is known who asks: authenticated_session, verified_channel_loop, agent_proof, matched_data or none; none when left out.';
COMMENT ON COLUMN dsrd.intake.assured_at IS 'When that was proven; required beside any assurance but none.';
GRANT INSERT (assurance, assured_at) ON dsrd.intake TO dsrd_producer;

ALTER TABLE dsrd.request
  ADD COLUMN assurance text NOT NULL DEFAULT 'none' CHECK (
    assurance IN ('none', 'matched_data', 'agent_proof', 'verified_channel_loop', 'authenticated_session')),
  ADD COLUMN assured_at timestamptz,
  ADD COLUMN identity_doubt text CHECK (identity_doubt IN ('no_proof', 'not_enough', 'too_old')),
  ADD COLUMN identity_wanted_at timestamptz,
  ADD COLUMN identity_until timestamptz,
  ADD COLUMN identity_reminded boolean NOT NULL DEFAULT false,
  ADD CONSTRAINT proven_at_an_instant CHECK ((assurance = 'none') = (assured_at IS NULL)),
  -- R-20, I-2: marketing stops without a proof.
  ADD CONSTRAINT an_opt_out_needs_no_identity CHECK (
    kind NOT IN ('opt_out', 'consent_withdrawal', 'ccpa_opt_out')
    OR (state <> 'needs_identity' AND outcome IS DISTINCT FROM 'not_identified')) NOT VALID,
  ADD CONSTRAINT identity_is_wanted_with_an_end CHECK (
    (state <> 'needs_identity' AND outcome IS DISTINCT FROM 'not_identified')
    OR (identity_doubt IS NOT NULL AND identity_wanted_at IS NOT NULL AND identity_until IS NOT NULL)) NOT VALID;
ALTER TABLE dsrd.request VALIDATE CONSTRAINT an_opt_out_needs_no_identity;
ALTER TABLE dsrd.request VALIDATE CONSTRAINT identity_is_wanted_with_an_end;
COMMENT ON COLUMN dsrd.request.assurance IS 'How it is known who asks: as stated at the door, then as proven.';
COMMENT ON COLUMN dsrd.request.assured_at IS 'When that was proven.';
COMMENT ON COLUMN dsrd.request.identity_doubt IS 'Why more has to be known before the request goes on.';
COMMENT ON COLUMN dsrd.request.identity_wanted_at IS 'Since when a proof is waited for.';
COMMENT ON COLUMN dsrd.request.identity_until IS 'When the waiting ends without a proof: the request then ends as not identified.';
COMMENT ON COLUMN dsrd.request.identity_reminded IS 'Whether the person was reminded.';

-- What is not identified was not carried out, so that there is nothing to read back.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_constraint
                 WHERE conrelid = 'dsrd.request'::regclass AND conname = 'fulfilled_was_read_back'
                   AND pg_get_constraintdef(oid) LIKE '%not_identified%') THEN
    ALTER TABLE dsrd.request
      DROP CONSTRAINT fulfilled_was_read_back,
      ADD CONSTRAINT fulfilled_was_read_back CHECK (
        outcome IS NULL OR outcome IN ('refused', 'not_identified', 'withdrawn', 'out_of_scope')
        OR verified_at IS NOT NULL) NOT VALID;
    ALTER TABLE dsrd.request VALIDATE CONSTRAINT fulfilled_was_read_back;
  END IF;
END
$$;

CREATE TABLE dsrd.proof_link (
  organisation_id text NOT NULL,
  link_id uuid NOT NULL,
  request_id uuid NOT NULL,
  identifier_no smallint NOT NULL,
  purpose text NOT NULL CHECK (purpose = 'identity'),
  token_sha256 bytea UNIQUE CHECK (length(token_sha256) = 32),
  wrong_answers smallint NOT NULL DEFAULT 0 CHECK (wrong_answers BETWEEN 0 AND 5),
  made_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz,
  PRIMARY KEY (organisation_id, link_id),
  FOREIGN KEY (organisation_id, request_id) REFERENCES dsrd.request,
  FOREIGN KEY (organisation_id, request_id, identifier_no) REFERENCES dsrd.identifier,
  CONSTRAINT used_once CHECK (used_at IS NULL OR token_sha256 IS NULL)
);
CREATE INDEX proof_link_request ON dsrd.proof_link (organisation_id, request_id);
COMMENT ON TABLE dsrd.proof_link IS 'Links by which people prove that a contact point of a profile is theirs.';
COMMENT ON COLUMN dsrd.proof_link.identifier_no IS 'The contact point to which it went.';
COMMENT ON COLUMN dsrd.proof_link.token_sha256 IS 'Hash of the secret in the link; emptied when it was used, or is of no use any more.';
COMMENT ON COLUMN dsrd.proof_link.wrong_answers IS 'Wrong answers on its page; with the fifth it is locked for good.';

CREATE TABLE dsrd.identity_proof (
  organisation_id text NOT NULL,
  proof_id uuid NOT NULL,
  request_id uuid NOT NULL,
  assurance text NOT NULL CHECK (
    assurance IN ('matched_data', 'agent_proof', 'verified_channel_loop', 'authenticated_session')),
  method text NOT NULL CHECK (method IN ('link', 'in_person', 'account', 'contact_point', 'agent_authority')),
  proven_at timestamptz NOT NULL,
  recorded_by text NOT NULL CHECK (recorded_by ~ '^(person|process):[A-Za-z0-9_.-]{1,63}$'),
  PRIMARY KEY (organisation_id, proof_id),
  FOREIGN KEY (organisation_id, request_id) REFERENCES dsrd.request
);
CREATE INDEX identity_proof_request ON dsrd.identity_proof (organisation_id, request_id);
COMMENT ON TABLE dsrd.identity_proof IS 'How and when it became known who asks, and who recorded it: never with a document, nor with a number of one (R-17).';

CREATE FUNCTION dsrd.keep_identity_proof() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' AND EXISTS (SELECT FROM dsrd.request
                                  WHERE request.organisation_id = OLD.organisation_id
                                    AND request.request_id = OLD.request_id AND contact_forgotten_at IS NOT NULL) THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'a proof of identity is never changed: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER identity_proof_stays BEFORE UPDATE OR DELETE ON dsrd.identity_proof
  FOR EACH ROW EXECUTE FUNCTION dsrd.keep_identity_proof();

GRANT SELECT, INSERT, UPDATE, DELETE ON dsrd.proof_link TO dsrd_service;
GRANT SELECT, INSERT, DELETE ON dsrd.identity_proof TO dsrd_service;

-- I-3: nobody is deleted at a person's wish while nothing is known of who wishes it. How much is enough, and how old it may
-- be, is the configuration's; that it is something is not.
CREATE FUNCTION dsrd.deleted_for_somebody_known() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM dsrd.request
             WHERE organisation_id = NEW.organisation_id AND request_id = NEW.request_id
               AND origin <> 'retention' AND assurance = 'none')
     -- One that had begun before there were proofs is brought to its end.
     AND NOT EXISTS (SELECT FROM dsrd.checkpoint
                     WHERE organisation_id = NEW.organisation_id AND request_id = NEW.request_id AND step = NEW.step) THEN
    RAISE EXCEPTION 'a contact is deleted only when it is known who asks' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER checkpoint_of_somebody_known BEFORE INSERT ON dsrd.checkpoint
  FOR EACH ROW WHEN (NEW.step = 'delete') EXECUTE FUNCTION dsrd.deleted_for_somebody_known();

-- A person may have to be asked twice: the same kind of notice, another link.
ALTER TABLE dsrd.notice
  ADD COLUMN round smallint NOT NULL DEFAULT 1 CHECK (round BETWEEN 1 AND 20),
  DROP CONSTRAINT notice_organisation_id_request_id_kind_key,
  ADD CONSTRAINT notice_once_a_round UNIQUE (organisation_id, request_id, kind, round);
COMMENT ON COLUMN dsrd.notice.round IS 'The how-manieth notice of its kind this is for the request.';

-- S-5: what became of a request shows whether its person is in the data. A producer reads it only for a person who is known.
CREATE OR REPLACE VIEW dsrd.receipt WITH (security_barrier) AS
  SELECT organisation_id, idempotency_key, 'accepted' AS status, request_id, reference,
         CASE WHEN assurance IN ('verified_channel_loop', 'authenticated_session') THEN state ELSE 'received' END AS state,
         due_on, NULL::text AS detail
  FROM dsrd.request
  WHERE producer = session_user
  UNION ALL
  SELECT organisation_id, idempotency_key, 'parked', NULL, NULL, NULL, NULL, detail
  FROM dsrd.intake_parked
  WHERE producer = session_user;
COMMENT ON VIEW dsrd.receipt IS 'What became of the rows that the present login role inserted. The state of a request is shown when the person is known who made it; until then it is received.';
