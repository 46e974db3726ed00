"""The nouns of the house: frozen values, ids, enumerations and typed errors; imports nothing of ours."""
