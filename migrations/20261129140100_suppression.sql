-- Who must not be created again or contacted (src/suppression): keyed hashes, and nothing else about anybody (R-54).

CREATE TABLE dsrd.suppression (
  organisation_id text NOT NULL REFERENCES dsrd.organisation,
  purpose text NOT NULL CHECK (purpose IN ('re_creation', 'marketing')),
  kind text NOT NULL CHECK (kind IN ('email', 'phone', 'username', 'external_id', 'external_property_1', 'external_property_2', 'contact')),
  hash bytea NOT NULL CHECK (length(hash) = 32),
  source text NOT NULL CHECK (source IN ('erasure', 'opt_out', 'replay', 'person')),
  jurisdiction text NOT NULL CHECK (jurisdiction ~ '^[A-Za-z-]{2,20}$'),
  since timestamptz NOT NULL,
  PRIMARY KEY (organisation_id, purpose, kind, hash)
);
COMMENT ON TABLE dsrd.suppression IS 'Keyed hashes of those who were erased or opted out, kept until they revoke it. Never exported as an audience.';
COMMENT ON COLUMN dsrd.suppression.purpose IS 're_creation: no import may create the contact again; marketing: no marketing by this channel. Each purpose has a key of its own, so that entries of two purposes cannot be joined.';
COMMENT ON COLUMN dsrd.suppression.kind IS 'The channel: what kind of identifier was hashed; contact is the platform''s own id.';
COMMENT ON COLUMN dsrd.suppression.hash IS 'HMAC-SHA-256 of the identifier in normal form, with a key of the organisation and the purpose.';
COMMENT ON COLUMN dsrd.suppression.since IS 'A sign-up of the person after this instant is allowed.';
GRANT SELECT, INSERT, DELETE ON dsrd.suppression TO dsrd_service;
GRANT UPDATE (source, since) ON dsrd.suppression TO dsrd_service;
