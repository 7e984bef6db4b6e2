"""Chat: from what a caller asks for to the request that the model's engine honours, and from deltas to the answer."""
