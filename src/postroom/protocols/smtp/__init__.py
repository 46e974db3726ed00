"""SMTP: letters from strangers, and submission by our own users."""
