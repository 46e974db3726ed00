-- The hosted zone of Route 53 that a claimed domain's records are to be written into, NULL for none.
ALTER TABLE domain_claims ADD COLUMN zone TEXT;
