-- The ledger knows of holds, too: a restore must not lose what somebody ordered to be kept.

CREATE INDEX ledger_of_holds ON dsrd.ledger (organisation_id) WHERE record ->> 'kind' IN ('hold', 'hold_ended');
COMMENT ON TABLE dsrd.ledger IS 'Erasures, opt-outs and reports as they were begun, and holds as they were placed and lifted: keyed hashes, the sealed id of the contact, the sealed order of a hold. Rows are never changed; they go when the oldest backup has gone.';
COMMENT ON COLUMN dsrd.ledger.request_id IS 'The request by which it was done; for a hold its id.';
