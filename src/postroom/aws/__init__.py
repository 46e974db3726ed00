"""AWS as this server's own service: clients for the few of its APIs that a setting asks for."""
