"""Search: which runs to do, what they show. Knows records, nothing of tensors."""
