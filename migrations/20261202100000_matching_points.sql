-- R-20: what was compared to find out who asks. The names of the fields only, never what stood in them. California wants two
-- of them for whoever has no account, and three with a declaration under penalty of perjury for specific pieces of
-- information (11 CCR 7062).
CREATE FUNCTION dsrd.all_distinct(words text[]) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT count(DISTINCT word) = cardinality(words) FROM unnest(words) AS word
$$;
COMMENT ON FUNCTION dsrd.all_distinct(text[]) IS 'Whether no word occurs twice, and none is missing.';

ALTER TABLE dsrd.identity_proof
  ADD COLUMN regime text CHECK (regime ~ '^[A-Za-z-]{2,20}$'),
  ADD COLUMN matching_points text[] NOT NULL DEFAULT '{}',
  ADD COLUMN sealed_declaration bytea;
COMMENT ON COLUMN dsrd.identity_proof.regime IS 'The law under which it was found out; nothing for proofs from before it was recorded.';
COMMENT ON COLUMN dsrd.identity_proof.matching_points IS 'The names of the fields in which what the person said was compared with the profile, and was the same.';
COMMENT ON COLUMN dsrd.identity_proof.sealed_declaration IS 'Day and reference of the declaration that the person signed under penalty of perjury, where one was; encrypted for its row.';

ALTER TABLE dsrd.identity_proof DROP CONSTRAINT identity_proof_method_check;
ALTER TABLE dsrd.identity_proof
  ADD CONSTRAINT identity_proof_method_check CHECK (
    method IN ('link', 'code', 'in_person', 'account', 'contact_point', 'agent_authority', 'matched_data')) NOT VALID,
  ADD CONSTRAINT matching_points_are_known CHECK (
    matching_points <@ '{email,phone,username,external_id,postal_code,date_of_visit,venue,device,sign_up_date}'
    AND dsrd.all_distinct(matching_points)) NOT VALID,
  ADD CONSTRAINT compared_data_need_two_points CHECK (method <> 'matched_data' OR cardinality(matching_points) >= 2) NOT VALID,
  ADD CONSTRAINT a_declaration_is_sealed CHECK (length(sealed_declaration) BETWEEN 1 AND 1000) NOT VALID;
ALTER TABLE dsrd.identity_proof VALIDATE CONSTRAINT identity_proof_method_check;
ALTER TABLE dsrd.identity_proof VALIDATE CONSTRAINT matching_points_are_known;
ALTER TABLE dsrd.identity_proof VALIDATE CONSTRAINT compared_data_need_two_points;
ALTER TABLE dsrd.identity_proof VALIDATE CONSTRAINT a_declaration_is_sealed;

-- How much it must be follows from what the request asks for.
CREATE FUNCTION dsrd.compared_as_california_asks() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  asked text;
BEGIN
  SELECT kind INTO asked FROM dsrd.request
  WHERE organisation_id = NEW.organisation_id AND request_id = NEW.request_id;
  IF asked NOT IN ('opt_out', 'consent_withdrawal', 'ccpa_opt_out') AND cardinality(NEW.matching_points) < 2
     OR asked IN ('access', 'portability')
        AND (cardinality(NEW.matching_points) < 3 OR NEW.sealed_declaration IS NULL) THEN
    RAISE EXCEPTION 'the law of California wants more to be compared before a request of kind % goes on', asked
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER identity_proof_in_california BEFORE INSERT ON dsrd.identity_proof
  FOR EACH ROW WHEN (NEW.regime = 'US-CA' AND NEW.method NOT IN ('link', 'code', 'account'))
  EXECUTE FUNCTION dsrd.compared_as_california_asks();
