"""The protocols of AWS services: JSON 1.1, Query and REST-JSON."""
