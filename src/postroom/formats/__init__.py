"""Content grammars, pure: bytes and text in, values out, no input or output of their own."""
