"""Who may do what: sign-in, passwords, access rules, IAM."""
