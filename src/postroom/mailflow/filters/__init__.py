"""Is it wanted: what filters, block lists and a look of our own say of a stranger's letter."""
