"""The administration side: the AWS JSON gateway and its operations."""
