"""The program: configuration, wiring, listeners, certificates, logs, metrics, the command line."""
