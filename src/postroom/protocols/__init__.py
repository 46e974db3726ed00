"""What mail clients and other servers speak; siblings that do not know each other."""
