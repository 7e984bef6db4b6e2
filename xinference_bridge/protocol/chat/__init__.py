"""Chat: from a call to the request that the model's engine supports, and from deltas to the answer."""
