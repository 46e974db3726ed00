"""The operations of the WorkMail API, a file per feature."""
