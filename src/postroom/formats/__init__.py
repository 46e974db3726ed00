"""Content grammars, pure: MIME and its neighbours."""
