"""The bytes of IMAP: commands to typed values, answers to bytes; pure."""
