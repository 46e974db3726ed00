"""Work with no waiting client: batches, with no decisions of their own."""
