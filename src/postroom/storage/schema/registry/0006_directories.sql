-- Which organization has a directory of others, and whether it says that it lives beside Microsoft Exchange.
CREATE INDEX organizations_by_directory ON organizations (directory_id);
ALTER TABLE organizations ADD COLUMN interoperability BIGINT NOT NULL DEFAULT 0;
